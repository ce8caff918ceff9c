"""Lesson 09 on `multiplication`: the student writes and the teacher scores, against the teacher's own text.

Stated before the runs. The teacher splits its factors in ways of its own and is right on 94% of what it draws. A student
first learns what the teacher wrote, 1,500 steps of 32: on 500 problems ("few", where a student that writes for itself
meets prefixes it never saw; the main setting) or on all 7,100 ("many", where a first look found nothing to gain). Then it
takes 400 updates of 32 more, on the problems that it has no traces of ("few") or on all ("many"):

==================  =====================================================================================================
again               soft, on the texts of the start: no further text is asked for
text                cross-entropy of texts that the teacher writes now
soft                forward KL to the teacher on the same texts: supervised distillation
soft, equal time    as soft, with twice the updates: an update of "own" takes about twice as long, for the writing
mixed               half of the updates on text of its own, half on the teacher's; Jensen-Shannon, beta 0.5 (GKD)
own, beta 0.5       all on text of its own, Jensen-Shannon
own                 all on text of its own, reverse KL on the whole distribution (on-policy)
reward              all on text of its own, no teacher: right or wrong, less the batch's mean (REINFORCE)
==================  =====================================================================================================

"start" is the student before. An update of soft, mixed and own asks the teacher for the scores of 32 texts; text and soft ask
it to write them as well, so that own is never dearer. Rates are searched on three seeds of their own, one grid for all arms,
by what an arm gains on its seed's start on 500 validation problems: starts differ by more than rates do. (Seven of the eight
rates ran before that was seen; their gains were taken from the accuracies kept.) With many traces a reward alone was best at
the lowest of seven rates, that is at staying where it was, and is left out. Ten seeds of first weights, of order and of what
is drawn. Metric: exact answers on 500 test problems, mirror images one group. Main test: own against soft, "few", equal
updates. Least effect: a problem in fifty, what a seed of these students moves by. Premises: the start is right on 5% to 95%,
so that there is room both ways; soft gains on the start, so that the teacher has something to say. "forward on the teacher's
text" and "reverse on its own" are KL to the teacher in nats per token, on 100 test problems. Cost: 310 runs of 15 to 60 s, 26
starts of 30 s.
"""

import copy
import functools
import time

import numpy as np
import torch
from transformers import get_cosine_schedule_with_warmup

from distill_lessons import training
from distill_lessons.course.experiments import lesson07_steps, on_multiplication, study
from distill_lessons.evaluation import exposure
from distill_lessons.losses import IGNORE
from distill_lessons.pairs import multiplication as pair
from distill_lessons.teacher.generation import end_tokens
from distill_lessons.training import onpolicy

START, UPDATES, BATCH = 1500, 400, on_multiplication.BATCH
START_RATE = 6e-3
FEW = 500
LONGEST = 48  # tokens of a response while training: the teacher's have at most 41
SAMPLES = lesson07_steps.SAMPLES
COMPARED = 100
SETTINGS = ("few", "many")
METHODS = {  # updates, as a multiple of UPDATES; who writes; how far apart is measured
    "again": (1, 0.0, 0.0),
    "soft": (1, 0.0, 0.0),
    "soft, equal time": (2, 0.0, 0.0),
    "mixed": (1, 0.5, 0.5),
    "own, beta 0.5": (1, 1.0, 0.5),
    "own": (1, 1.0, 1.0),
}
ARMS = (
    *(f"few {arm}" for arm in ("again", "text", "soft", "soft, equal time", "mixed", "own, beta 0.5", "own", "reward")),
    *(f"many {arm}" for arm in ("soft", "own")),
)

# --- Texts ------------------------------------------------------------------------------------------------------------


@functools.cache
def teacher():
    """The teacher of all arms, frozen."""
    return pair.teacher("free")


@functools.cache
def written() -> list[list[tuple[str, str]]]:
    """The teacher's SAMPLES texts at temperature 1, right or wrong, of every training problem: (prompt, response) pairs."""
    known, traces = set(lesson07_steps.split()[0]), pair.traces("free")
    groups = [traces[at : at + SAMPLES] for at in range(0, len(traces), SAMPLES)]
    return [[(pair.prompt(a, b), text) for a, b, text in group] for group in groups if group[0][:2] in known]


def texts(setting: str, part: str, seed: int) -> list[tuple[str, str]]:
    """(prompt, response) pairs of the "start" or of what comes "after", in an order of the seed's own."""
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(written()))
    if setting == "few":
        order = order[:FEW] if part == "start" else order[FEW:]
    pairs = [text for at in order for text in written()[at]]
    return [pairs[at] for at in rng.permutation(len(pairs))]


# --- Training ---------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def started(setting: str, seed: int):
    """The student that all arms of a seed go on from."""
    pairs = texts(setting, "start", seed)
    return on_multiplication.learn(pair.student(seed), pair.tokenizer(), pairs, START, seed, START_RATE)[0]


def go_on(setting: str, method: str, seed: int, rate: float):
    """The student of a setting after an arm's further updates."""
    model = copy.deepcopy(started(setting, seed))
    pairs = texts(setting, "start" if method == "again" else "after", seed)
    if method == "text":
        return on_multiplication.learn(model, pair.tokenizer(), pairs, UPDATES, seed, rate)[0]
    if method == "reward":
        return rewarded(model, pairs, seed, rate)
    longer, lmbda, beta = METHODS[method]
    steps = longer * UPDATES
    how = {
        "logging_strategy": "no",
        "train_sampling_strategy": "random",
        "warmup_steps": steps // 5,
        "adam_beta2": 0.99,
    }
    onpolicy.OnPolicyTrainer(
        model=model,
        teacher=teacher(),
        args=training.settings(steps, BATCH, rate, seed, **how),
        train_dataset=pair.encode(pair.tokenizer(), pairs),
        data_collator=pair.collate,
        processing_class=pair.tokenizer(),
        lmbda=lmbda,
        beta=beta,
        max_new_tokens=LONGEST,
    ).train()
    return model.eval()


def rewarded(model, pairs, seed: int, rate: float, updates: int = UPDATES):
    """A student that draws answers and learns which of them were right: policy gradient, no teacher.

    Args:
        pairs: as `texts`; only their prompts are read.
    """
    tokenizer = pair.tokenizer()
    optimizer = torch.optim.AdamW(model.parameters(), rate, betas=(0.9, 0.99), weight_decay=0.0)
    schedule = get_cosine_schedule_with_warmup(optimizer, updates // 5, updates)
    ends, rng = end_tokens(model, tokenizer), np.random.default_rng(seed)
    for update in range(updates):
        chosen = [pairs[at][0] for at in rng.choice(len(pairs), BATCH, replace=False)]
        prompts = tokenizer(chosen, add_special_tokens=False)["input_ids"]
        drawn = onpolicy.write(model, prompts, ends, onpolicy.uniform(seed, update, range(BATCH), LONGEST))
        said = tokenizer.batch_decode([each.ids for each in drawn], skip_special_tokens=True)
        right = torch.tensor([is_right(prompt, text) for prompt, text in zip(chosen, said)])
        loss = policy_loss(model, [onpolicy.example(*both) for both in zip(prompts, drawn)], right)
        model.train()
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
    return model.eval()


def policy_loss(model, examples: list[dict], rewards: torch.Tensor) -> torch.Tensor:
    """Minus the mean over tokens of log-probability times the text's reward less the mean reward; rewards ``[B]``."""
    length = max(len(each["input_ids"]) for each in examples)
    ids, labels = (
        torch.tensor([each[name] + [filler] * (length - len(each[name])) for each in examples], device=model.device)
        for name, filler in (("input_ids", 0), ("labels", IGNORE))
    )
    log_probs = model(input_ids=ids).logits[:, :-1].log_softmax(-1)
    counted = labels[:, 1:] != IGNORE
    said = log_probs.gather(-1, labels[:, 1:].clamp(min=0)[..., None]).squeeze(-1)
    advantage = (rewards - rewards.mean()).to(said)[:, None]
    return -(advantage * said * counted).sum() / counted.sum()


def is_right(prompt: str, text: str) -> float:
    """1 where a response to ``23*47=`` ends on the product, else 0."""
    a, b = map(int, prompt.rstrip("=").split("*"))
    return float(pair.is_right(a, b, text))


# --- Scores -----------------------------------------------------------------------------------------------------------


def score(arm: str, seed: int, rate: float, split: str) -> dict:
    """What an arm's student comes to on "validation" or "test" problems, and the seconds of its further updates."""
    setting, _, method = arm.partition(" ")
    started(setting, seed)  # before the clock
    began = time.perf_counter()
    model = go_on(setting, method, seed, rate)
    found = scores(model, split) | {"seconds": time.perf_counter() - began}
    if split == "validation":
        found["gain"] = found["accuracy"] - before_accuracy(setting, seed)
    return found


@functools.cache
def before_accuracy(setting: str, seed: int) -> float:
    """What the start of a seed is right on, of the validation problems."""
    return scores(started(setting, seed), "validation")["accuracy"]


def scores(model, split: str) -> dict:
    """Exact answers, one a problem; on test problems also how far the model is from the teacher, on whose text."""
    problems = lesson07_steps.split()[1] if split == "validation" else pair.problems("test")
    made = on_multiplication.ask(model, problems)
    if split == "validation":
        return {"accuracy": on_multiplication.accuracy(problems, made)}
    rows = [{"input_ids": row, "labels": [IGNORE] * len(row)} for row in prompts_of(problems[:COMPARED])]
    theirs = exposure.own_examples(teacher(), rows, pair.tokenizer(), LONGEST)
    ours = exposure.own_examples(model, rows, pair.tokenizer(), LONGEST)
    return {
        "accuracy": [float(pair.is_right(a, b, text)) for (a, b), text in zip(problems, made)],
        "forward on the teacher's text": per_token(model, theirs, "forward"),
        "reverse on its own": per_token(model, ours, "reverse"),
    }


def prompts_of(problems) -> list[list[int]]:
    """Problems as token ids."""
    return pair.tokenizer()([pair.prompt(a, b) for a, b in problems], add_special_tokens=False)["input_ids"]


def per_token(model, examples: list[dict], metric: str) -> float:
    """Mean over all tokens of what `exposure.by_position` has by position."""
    rows = exposure.by_position(model, teacher(), examples)
    return float(np.average([row[metric] for row in rows], weights=[row["tokens"] for row in rows]))


def before(setting):
    """An arm beside: the start of a seed, as it was."""

    def run(seed):
        return scores(started(setting, seed), "test")

    return run


def asked(seed):
    """An arm beside: the teacher's own likeliest answers, whatever the seed."""
    return scores(teacher(), "test")


EXPERIMENTS = study.at_chosen_rates(
    "lesson09-multiplication-rates",
    "lesson09-multiplication",
    ARMS,
    [2.0**step * 6e-3 for step in range(-5, 3)],
    score,
    range(10),
    metric="gain",
    beside={"teacher": asked} | {f"{setting} start": before(setting) for setting in SETTINGS},
    groups=lesson07_steps.groups,
)

NAMES = {
    "accuracy": "right answers",
    "start": "the start",
    "again": "the start's own texts again",
    "text": "the teacher's new texts",
    "soft": "supervised, the teacher's distributions",
    "soft, equal time": "supervised, equal time",
    "mixed": "half its own texts",
    "own, beta 0.5": "on-policy, Jensen-Shannon",
    "own": "on-policy",
    "reward": "right or wrong, no teacher",
}
