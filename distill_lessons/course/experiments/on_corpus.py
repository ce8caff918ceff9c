"""What the language-model experiments share: students of the corpus at temperature 1, at two budgets, prompt by prompt.

A student is ten of the teacher's layers. It sees every example once, for about 15,000 response tokens or 110,000, which is
nearly the whole corpus. A seed decides which examples, and their order. Scores are those of 200 test prompts on topics
that no training prompt mentions; each prompt counts once, and what a student makes of each is kept.
"""

import functools
import math
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from datasets import Dataset
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill_lessons import evaluation, runtime, training
from distill_lessons.course import results
from distill_lessons.course.experiments import study
from distill_lessons.course.results import Experiment
from distill_lessons.evaluation import calibration
from distill_lessons.models import response_states
from distill_lessons.models.students import kept_layers
from distill_lessons.pairs import smollm, smollm_corpus
from distill_lessons.teacher import generation, targets
from distill_lessons.teacher.text import collator, encode

DEPTH, BATCH = 10, 8
LAST = 30  # the teacher's state that its head sees
BUDGETS = {"15K": 15_000, "110K": 110_000}  # response tokens, each example once
RATES = tuple(3.5e-4 * 2.0**step for step in range(8))  # for all arms; those of adapters are the high ones
SEEDS = range(5)
JUDGED, SAID = 60, 48  # test prompts that a student answers, and tokens of an answer

# --- Texts and what the teacher makes of them -------------------------------------------------------------------------


@functools.cache
def material() -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Dataset]:
    """Teacher, tokenizer, and the training examples with their stored draws, memory-mapped."""
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    vocabulary = teacher.get_output_embeddings().weight.shape[0]
    return teacher, tokenizer, targets.load(smollm_corpus.folder() / "targets", tokenizer, vocabulary)


@functools.cache
def cooler() -> list[dict]:
    """Answers to the same training prompts sampled at temperature 0.7 from the 50 likeliest tokens, encoded."""
    return encode(material()[1], smollm.corpus("train"), max_response=smollm_corpus.MAX_NEW_TOKENS + 1)


def drawn(seed: int, tokens: int, sizes: Sequence[int]) -> list[int]:
    """The seed's examples in its order, as many as come nearest to `tokens` response tokens.

    Args:
        sizes: response tokens of every example.
    Raises:
        ValueError: all of them together have fewer.
    """
    if sum(sizes) < tokens:
        raise ValueError(f"{tokens} response tokens were asked for and the corpus has {sum(sizes)}: ask for fewer")
    order = torch.randperm(len(sizes), generator=torch.Generator().manual_seed(seed)).tolist()
    seen = np.cumsum([sizes[place] for place in order])
    return order[: int(np.abs(seen - tokens).argmin()) + 1]


@functools.cache
def held_out(split: str) -> tuple[list[dict[str, torch.Tensor]], list[str]]:
    """Batches of a split with what the teacher's head sees on them, and each row's topic in their order."""
    teacher, tokenizer, _ = material()
    rows = smollm_corpus.rows(split)
    examples = encode(tokenizer, rows, max_response=smollm_corpus.MAX_NEW_TOKENS + 1)
    order = sorted(range(len(rows)), key=lambda place: len(examples[place]["input_ids"]))
    collate, batches = collator(tokenizer), []
    for start in range(0, len(order), 16):
        batches.append(collate([examples[place] for place in order[start : start + 16]]))
    return evaluation.remember(teacher, batches), [rows[place]["topic"] for place in order]


def groups() -> list[str]:
    """The topic of each test prompt: prompts of one topic are alike."""
    return held_out("test")[1]


# --- The teacher's states, computed once ------------------------------------------------------------------------------


@torch.no_grad()
def remember_states(path: Path, layers: Sequence[int]) -> None:
    """The teacher's states at every response token of the training examples, as bfloat16 in one file.

    State 30, which the head sees, and the `layers` below it: ``[tokens, 576]`` each, in the order of the stored rows.
    """
    teacher, tokenizer, stored = material()
    collate, found = targets.Collator(tokenizer.pad_token_id), {str(layer): [] for layer in (*layers, "head")}
    for start in range(0, len(stored), 32):
        batch = collate(list(stored.select(range(start, min(start + 32, len(stored))))))
        last, inner = response_states(teacher, batch, lambda states, inner: (states, inner), layers=layers)
        for layer in layers:
            found[str(layer)].append(inner[layer].to("cpu", torch.bfloat16))
        found["head"].append(last.to("cpu", torch.bfloat16))
    with runtime.replacing(path) as temporary:
        save_file({name: torch.cat(parts) for name, parts in found.items()}, temporary)


class Remembering(training.DistillationTrainer):
    """A trainer whose teacher has read the examples before: its states are looked up, row by row.

    Args:
        states: a file of `remember_states`.
        starts: where each stored row's tokens begin in it, and behind the last where they end.
    """

    def __init__(self, *arguments, states: Path, starts: Sequence[int], **options):
        super().__init__(*arguments, **options)
        self._file, self._starts = safe_open(states, "pt"), starts

    def _teacher_states(self, inputs):
        def read(name):
            part = self._file.get_slice(name)
            rows = inputs["place"].tolist()
            found = torch.cat([part[self._starts[row] : self._starts[row + 1]] for row in rows])
            return found.to(inputs["labels"].device)

        if self.targets is not None and self.features is None:
            return None, None
        if self.features is None:
            return read("head"), None
        return read("head"), {n: read("head" if n == LAST else str(n)) for n in self.features.teacher_layers}


class Placed:
    """`targets.Collator`, and ``place``: which stored row each row of the batch is."""

    def __init__(self, pad_token_id: int, places: Mapping[str, int]):
        self.inner, self.places = targets.Collator(pad_token_id), places

    def __call__(self, rows):
        return self.inner(rows) | {"place": torch.tensor([self.places[row["id"]] for row in rows])}


@functools.cache
def memory() -> tuple[Path, list[int], dict[str, int]]:
    """The file of the teacher's states, made if it is not there; where rows begin in it; and each row's number by id."""
    stored = material()[2]
    name = f"states-{targets.read_manifest(smollm_corpus.folder() / 'targets')['examples'][:12]}.safetensors"
    path = runtime.cache_folder() / name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        remember_states(path, sorted(set(matched().values()) - {LAST}))
    sizes = [len(each) for each in stored["sizes"]]
    return path, [0, *np.cumsum(sizes).tolist()], {name: place for place, name in enumerate(stored["id"])}


def matched() -> dict[int, int]:
    """Each state of the student to the state that its next layer received in the teacher."""
    kept = kept_layers(LAST, DEPTH)
    return {state: kept[state] for state in range(1, DEPTH)} | {DEPTH: LAST}


# --- A run ------------------------------------------------------------------------------------------------------------


def learn(
    seed: int,
    rate: float,
    tokens: int,
    how: Mapping | None = None,
    lora: int = 0,
    rows: Callable[[], list[dict]] | None = None,
    **changes,
) -> tuple[PreTrainedModel, dict[str, float]]:
    """Train one student on about `tokens` response tokens; returns it with tokens, steps and seconds.

    Args:
        how: options of `training.DistillationTrainer`; `features` may be a function that makes a `Matching`. Where they need
            a teacher in the loop, its remembered states take its place.
        lora: rank of adapters, merged afterwards.
        rows: gives other examples than the corpus, for training on text alone.
        changes: go to `training.settings`.
    """
    teacher, tokenizer, stored = material()
    torch.manual_seed(seed)
    student = smollm.student(teacher, DEPTH)
    student.get_input_embeddings().requires_grad_(False)  # taken from the teacher, and a third of a step's time saved
    if lora:
        student = training.lora(student, lora)
    how = dict(how or {})
    if callable(how.get("features")):
        how["features"] = how["features"]()
    every = rows() if rows else stored
    sizes = (
        [sum(label != -100 for label in row["labels"]) for row in every] if rows else list(map(len, stored["sizes"]))
    )
    chosen = drawn(seed, tokens, sizes)
    kind, more, collate = training.DistillationTrainer, {}, None
    beside = how.get("features") or (how.get("alpha", 1.0) > 0 and not how.get("targets"))
    if beside:
        path, starts, places = memory()
        kind, collate = Remembering, Placed(tokenizer.pad_token_id, places)
        more = {"states": path, "starts": starts, "teacher": teacher}
    elif not rows:
        collate = targets.Collator(tokenizer.pad_token_id)
    steps = math.ceil(len(chosen) / BATCH)
    with tempfile.TemporaryDirectory() as folder:
        options = {"logging_strategy": "no", "bf16": runtime.bf16(), "output_dir": folder} | changes
        trainer = kind(
            model=student,
            args=training.settings(steps, BATCH, rate, seed, **options),
            train_dataset=[every[place] for place in chosen] if rows else stored.select(chosen),
            processing_class=tokenizer,
            data_collator=collate,
            **more,
            **how,
        )
        began = time.perf_counter()
        trainer.train()
    seconds = time.perf_counter() - began
    spent = {"tokens": sum(sizes[place] for place in chosen), "steps": steps, "seconds": seconds}
    return (student.merge_and_unload() if lora else student).eval(), spent


def scores(student: PreTrainedModel, split: str) -> dict[str, float | list[float]]:
    """A student beside its teacher on held-out prompts, at temperature 1; on "test" a number a prompt.

    Returns:
        ``kl`` (teacher ‖ student), ``cross_entropy`` (of the teacher's text), both in nats per token, and ``agreement``, each
        the mean over a prompt's tokens. On "test" also ``ece`` and ``overconfidence`` of the next token, the transfer
        ratio of next tokens guessed, and ``judged``: the teacher's nats per token for what the student says when it
        samples at temperature 1, whose value for the teacher's own answers is its cross-entropy on itself.
    """
    batches, _ = held_out(split)
    tokens = evaluation.next_tokens(student, batches, material()[0])
    lengths = np.bincount(tokens["row"].astype(int))
    names = {"kl": "kl", "agreement": "agrees", "cross_entropy": "surprise"}
    found = {name: evaluation.by_row(tokens, column) / lengths for name, column in names.items()}
    if split == "validation":
        return {name: float(values.mean()) for name, values in found.items()}
    sure = calibration.summary(tokens["confidence"], tokens["right"])
    ratio = evaluation.transfer_ratio(*(evaluation.by_row(each, "right") for each in (tokens, teacher_tokens())))
    return {name: values.tolist() for name, values in found.items()} | {
        "ece": sure["ece"],
        "overconfidence": float(tokens["confidence"].mean() - tokens["right"].mean()),
        "transfer ratio": ratio.value,
        "judged": judged(student),
    }


@functools.cache
def teacher_tokens() -> dict[str, np.ndarray]:
    """What the teacher says before every token of the test responses."""
    return evaluation.next_tokens(material()[0], held_out("test")[0])


def judged(student: PreTrainedModel) -> float:
    """The teacher's nats per token for a student's answers to the first test prompts, sampled at temperature 1."""
    teacher, tokenizer, _ = material()
    prompts = [row["prompt"] for row in smollm_corpus.rows("test")[:JUDGED]]
    made = generation.generate(student, tokenizer, prompts, max_new_tokens=SAID, temperature=1.0, seed=0)
    said = [
        {"prompt": prompt, "response": text, "finished": finished}
        for prompt, (text, finished) in zip(prompts, made)
        if text
    ]
    examples, collate = encode(tokenizer, said, max_response=SAID), collator(tokenizer)
    batches = [collate(examples[start : start + 16]) for start in range(0, len(examples), 16)]
    return float(evaluation.next_tokens(teacher, batches)["surprise"].mean())


# --- Two budgets, one grid --------------------------------------------------------------------------------------------

Learned = Callable[[str, int, float, int], tuple[PreTrainedModel, dict[str, float]]]
NEAR, FURTHER = (
    (-3, -2, -1, 0, 1),
    (-5, -4, 2, 3),
)  # factors of two from the rate of the short budget; longer asks for less


def near(arm: str, step: int) -> str:
    """What an attempt is called: "text, rate × 0.5"."""
    return f"{arm}, rate × {2.0**step:g}"


def best_step(arm: str, *tables: pd.DataFrame, end: bool = False) -> int:
    """Which step had the lowest validation KL at the long budget for an arm, among those that were tried.

    Args:
        end: whether it may be an end of them.
    Raises:
        ValueError: it is an end, and a better rate may lie beyond.
    """
    table = pd.concat(tables)
    table = table[table.metric == "kl"]
    tried = [step for step in sorted(NEAR + FURTHER) if near(arm, step) in set(table.arm)]
    best = min(tried, key=lambda step: results.per_seed(table, "kl", near(arm, step)).iloc[0])
    if best in (tried[0], tried[-1]) and not end:
        raise ValueError(f"{arm}: {near(arm, best)} is the last that was tried on its side: add one beyond it")
    return best


def both_budgets(name: str, arms: Sequence[str], learned: Learned, beside: study.Beside | None = None) -> tuple:
    """Every arm at 15,000 and at 110,000 tokens, each at its own rate: five experiments.

    The short budget's rates are searched on three seeds and the shared grid (`study.at_chosen_rates`, by KL on 100
    validation prompts). The long budget tries five rates around that one on one of the search's seeds, two more on a side
    whose end is best, and takes the best; one that has no worse rate on either side is refused.

    Args:
        name: of the lesson: "lesson04" records lesson04-corpus-rates, -15K, -rates-near, -rates-further and -110K.
        learned: ``learned(arm, seed, rate, tokens)``, a function of the lesson's module: a student, and what it spent.
        beside: arms without a rate, each a function of the seed.
    """
    beside, module = dict(beside or {}), learned.__module__
    short, close, further = (f"{name}-corpus-{part}" for part in ("rates", "rates-near", "rates-further"))
    search = study.SEARCH_SEEDS[:1]

    def score(arm, seed, rate, split):
        student, spent = learned(arm, seed, rate, BUDGETS["15K"])
        return scores(student, split) | spent

    def rate_of(arm, step):
        chosen = study.chosen_rate(results.load(short), arm, study.rates_of(short, arm), "kl", lower_is_better=True)
        return chosen * 2.0**step

    def attempt(each, seed):
        arm, step = tried[each]
        if step in FURTHER:
            best = best_step(arm, results.load(close), end=True)
            if best != (NEAR[-1] if step > 0 else NEAR[0]):
                return {"needed": 0.0}
        student, spent = learned(arm, seed, rate_of(arm, step), BUDGETS["110K"])
        return scores(student, "validation") | spent | {"learning_rate": rate_of(arm, step)}

    def run(arm, seed):
        if arm in beside:
            return beside[arm](seed)
        rate = rate_of(arm, best_step(arm, results.load(close), results.load(further)))
        student, spent = learned(arm, seed, rate, BUDGETS["110K"])
        return scores(student, "test") | spent | {"learning_rate": rate}

    score.__module__ = module
    how = {"metric": "kl", "lower_is_better": True, "groups": groups, "beside": beside}
    tried = {near(arm, step): (arm, step) for step in NEAR + FURTHER for arm in arms}
    names = [tuple(each for each, (_, step) in tried.items() if step in steps) for steps in (NEAR, FURTHER)]
    found = (
        *study.at_chosen_rates(short, f"{name}-corpus-15K", arms, RATES, score, SEEDS, **how),
        Experiment(close, names[0], search, attempt, module=module),
        Experiment(further, names[1], search, attempt, module=module),
        Experiment(f"{name}-corpus-110K", (*beside, *arms), tuple(SEEDS), run, module=module, groups=groups),
    )
    return tuple(replace(experiment, devices=("cpu", "cuda")) for experiment in found)
