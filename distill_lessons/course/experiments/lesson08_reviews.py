"""Lesson 08 on `reviews`: a small transformer from scratch learns the teacher's probabilities, with or without its states.

Stated before the runs. The student has two layers 64 wide and reads the first 32 words; the teacher is SmolLM2 tuned on 640
labels; 5,000 sentences of the pool without labels. Beside the probabilities stand the teacher's states: state 10, 20 and the
one its head reads, at a sentence's last token, each number shifted and scaled to mean 0 and variance 1. The student's are its
mean states: of its words, after one layer, and the one its head reads. A linear map for each, trained along, brings 64
numbers to 576; the distance is one minus the cosine, mean over the three.

Arms: the probabilities alone; with states, at weight 1 and at weight 10 (two weights as two arms, so that neither is a choice
that nobody tested); and at weight 10, where states count most, two controls: layers reversed (the middle one stays right) and
the right states at other sentences, which keeps everything but the meaning. Rates from one grid with the same tries for every
arm, on three seeds of their own, by accuracy on validation sentences; ten seeds; accuracy against people's majority on 3,000
test sentences. Least effect that matters: a point, 400 of the case's 40,000 sentences a day. Premises: the teacher beats the
best student without it by five points (lesson 02), and this student, on the probabilities alone, is right on 60%: below that
it has learned next to nothing, and nothing can be compared. The whole takes about half an hour of one core, and the states
some minutes more, once.
"""

import functools
from pathlib import Path

import torch
import torch.nn.functional as F
from peft import PeftModel
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from distill_lessons import runtime, training
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews, reviews_students, reviews_teachers, smollm
from distill_lessons.training.features import Matching

WORDS, BATCH, STEPS = 32, 64, 400  # about five epochs
WIDTH, TEACHER_WIDTH, LAST = 64, 576, 30
RIGHT = {0: 10, 1: 20, 2: LAST}
REVERSED = {0: LAST, 1: 20, 2: 10}
ARMS = {  # layers to match, their weight, and whether the states are those of other sentences
    "outputs": (RIGHT, 0.0, False),
    "states, weight 1": (RIGHT, 1.0, False),
    "states, weight 10": (RIGHT, 10.0, False),
    "reversed, weight 10": (REVERSED, 10.0, False),
    "shuffled, weight 10": (RIGHT, 10.0, True),
}

# --- The teacher's states, computed once ------------------------------------------------------------------------------


def tuned() -> nn.Module:
    """The teacher with 640 labels as a model, where `reviews.tuned` is a function from texts to logits."""
    folder = runtime.data_folder() / "reviews" / "teacher"
    model = PeftModel.from_pretrained(reviews_teachers.classifier(), folder).merge_and_unload()
    return model.to(runtime.device(), torch.bfloat16 if runtime.bf16() else torch.float32).eval()


@torch.inference_mode()
def read_states(model: nn.Module, texts: list[str], layers: tuple[int, ...], batch: int = 48) -> dict[int, Tensor]:
    """A causal model's states at each text's last token, ``{layer: [N, D]}`` in float32 on the CPU.

    The last token is the one that has seen the whole text, and the one that the teacher's head reads.
    """
    tokenizer, found = smollm.tokenizer(), {layer: [] for layer in layers}
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))  # those of like length together
    for start in range(0, len(order), batch):
        rows = tokenizer([texts[place] for place in order[start : start + batch]], return_tensors="pt", padding=True)
        states = model.model(**rows.to(model.device), output_hidden_states=True).hidden_states
        last = rows["attention_mask"].sum(1) - 1  # padding is on the right
        for layer in layers:
            found[layer].append(states[layer][torch.arange(len(last)), last].float().cpu())
    back = torch.tensor(order).argsort()
    return {layer: torch.cat(parts)[back] for layer, parts in found.items()}


def memory() -> Path:
    """The file of the teacher's states at all pool sentences that it may teach on; made if it is not there."""
    adapter = runtime.data_folder() / "reviews" / "teacher" / "adapter_model.safetensors"
    layers = sorted(RIGHT.values())
    name = "-".join(["reviews-states", runtime.sha256(adapter)[:12], *map(str, layers)])
    path = runtime.cache_folder() / f"{name}.safetensors"
    if not path.is_file():
        texts = reviews.sentences()["text"].iloc[reviews.pool(on_reviews.TEACHER)].tolist()
        found = read_states(tuned(), texts, tuple(layers))
        path.parent.mkdir(parents=True, exist_ok=True)
        with runtime.replacing(path) as temporary:
            save_file({str(layer): states.bfloat16() for layer, states in found.items()}, temporary)
    return path


@functools.cache
def teacher_states() -> dict[int, Tensor]:
    """The teacher's states ``{layer: [N, 576]}`` at all pool sentences, each number with mean 0 and variance 1 over them."""
    found = {int(layer): states.float() for layer, states in load_file(memory()).items()}
    return {layer: (states - states.mean(0)) / states.std(0) for layer, states in found.items()}


# --- A student that shows its states ----------------------------------------------------------------------------------


class Shown(nn.Module):
    """A student, and the linear maps that bring its states to the teacher's width: logits and states side by side.

    ``[B, L]`` word ids to ``[B, 2 + 3 · 64]``: the logits, then the mean states that `states_of` gives.
    """

    def __init__(self, student: nn.Module, matching: Matching):
        super().__init__()
        self.student, self.matching = student, matching

    def forward(self, ids: Tensor) -> Tensor:
        return torch.cat(states_of(self.student, ids), -1)


def states_of(student: nn.Module, ids: Tensor) -> list[Tensor]:
    """What `reviews.transformer` computes, step by step: its logits, then its mean states 0, 1 and 2, ``[B, 64]`` each."""
    ids = reviews_students.shortened(ids)
    padding, places = ids == reviews_students.PADDING, torch.arange(ids.shape[1], device=ids.device)
    states = student.dropout(student.embedding(ids) + student.place(places))
    found = [reviews_students.mean_of(states, ids)]
    for layer in student.body.layers:
        states = layer(states, src_key_padding_mask=padding)
        found.append(reviews_students.mean_of(states, ids))
    found[-1] = reviews_students.mean_of(student.body.norm(states), ids)
    return [student.head(student.dropout(found[-1])), *found]


# --- A run ------------------------------------------------------------------------------------------------------------


@functools.cache
def inputs() -> Tensor:
    """All sentences as the student reads them, their first words."""
    return on_reviews.inputs("transformer")[:, :WORDS]


def rows_of(places) -> Tensor:
    """Where these sentences of the pool stand in `teacher_states`."""
    return torch.from_numpy(reviews.pool(on_reviews.TEACHER).searchsorted(places))


def learn(arm: str, seed: int, rate: float, steps: int = STEPS) -> Shown:
    """A student of an arm, trained, with its maps."""
    layers, weight, shuffled = ARMS[arm]
    places = on_reviews.drawn(seed)
    rows = rows_of(places)
    if shuffled:
        rows = rows[torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))]
    targets = torch.cat([on_reviews.soft(places), *(teacher_states()[layers[state]][rows] for state in layers)], 1)
    torch.manual_seed(seed)
    model = Shown(reviews.transformer(WIDTH), Matching(layers, WIDTH, TEACHER_WIDTH, "cosine"))

    def loss(shown, batch_targets, labels):
        own = shown[:, 2:].split(WIDTH, 1)
        theirs = batch_targets[:, 2:].split(TEACHER_WIDTH, 1)
        apart = model.matching(dict(zip(layers, own)), dict(zip(layers.values(), theirs)), None) / len(shown)
        return F.cross_entropy(shown[:, :2], batch_targets[:, :2]) + weight * apart

    return training.fit(
        model,
        inputs()[places],
        torch.zeros(len(places), dtype=torch.long),  # no label enters but through the targets
        loss=loss,
        teacher=lambda batch: targets.to(batch.device),
        steps=steps,
        batch_size=BATCH,
        learning_rate=rate,
        seed=seed,
    )


@torch.no_grad()
def asked(model: Shown, places) -> list[Tensor]:
    """Logits and mean states of a student for these sentences, on the CPU."""
    device = runtime.device()
    with runtime.threads(runtime.threads_for(model)):
        parts = [states_of(model.student, part.to(device)) for part in inputs()[places].split(250)]
    return [torch.cat(each).cpu() for each in zip(*parts)]


@torch.no_grad()
def nearness(model: Shown, places) -> float:
    """Mean cosine of a student's projected states to the teacher's at pool sentences, over its three states."""
    own, rows, matching = asked(model, places)[1:], rows_of(places), model.matching.cpu()
    theirs = {layer: states[rows] for layer, states in teacher_states().items()}
    return 1 - matching(dict(zip(matching.layers, own)), theirs, None).item() / len(rows)


def score(arm, seed, rate, split):
    """`on_reviews.score` of an arm's student; ``cosine`` to the teacher's states at 500 pool sentences that it has not read."""
    model = learn(arm, seed, rate)
    places = reviews.places(split)
    z = asked(model, places)[0]
    if split == "validation":
        return on_reviews.validated(z, places)
    found = on_reviews.score(z, places)
    if ARMS[arm][1]:
        unread = on_reviews.drawn(seed, count=on_reviews.POOL + 500)[on_reviews.POOL :]
        found["cosine"] = nearness(model, unread)
    return found


EXPERIMENTS = study.at_chosen_rates(
    "lesson08-reviews-rates",
    "lesson08-reviews",
    ARMS,
    [2.0**step * 1e-3 for step in range(7)],
    score,
    range(10),
    groups=on_reviews.groups,
)

NAMES = {
    "accuracy": "accuracy",
    "outputs": "probabilities alone",
    "states, weight 1": "and states, weight 1",
    "states, weight 10": "and states, weight 10",
    "reversed, weight 10": "and states, layers reversed",
    "shuffled, weight 10": "and other sentences' states",
}
