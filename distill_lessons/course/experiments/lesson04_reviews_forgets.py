"""Lesson 04 on `reviews`: a student that knows messages and editorials is distilled on reviews, at higher and lower rates.

Stated before the runs. The student has 64 hidden units on frozen word vectors. It is first trained on people's labels for
all pool sentences from messages and newspapers, 500 steps: a stand-in for pre-training, at a rate searched on three seeds of
its own, by accuracy on their validation sentences. Then it learns the teacher's probabilities for 5,000 sentences of the case,
500 steps, at that rate and at a 4th, a 16th and a 64th of it: the rates are what is compared, so none of them is searched.

Metrics: ``old``, accuracy against people's majority on test sentences of messages and newspapers (mean of the two): what it
forgets; and accuracy on those of the case: how far it comes. Ten seeds. Least effect that matters: a point, as everywhere on
these sentences. Premise: there is something to forget, five points that a student has not who never saw them. That one,
"fresh", takes the case's probabilities alone at pre-training's rate. About six minutes of one core.
"""

import copy
import functools

import torch
import torch.nn.functional as F
from torch import nn

from distill_lessons import runtime, training
from distill_lessons.course import results
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import reviews

STEPS = 500
GRID = [2.0**step * 1e-3 for step in range(-5, 5)]
SEARCH = "lesson04-forgets-rates"
ARMS = {"as in pre-training": 1.0, "a 4th": 1 / 4, "a 16th": 1 / 16, "a 64th": 1 / 64}


def trained(model: nn.Module, places, targets, rate: float, seed: int) -> nn.Module:
    """A copy of a student, trained towards targets ``[N, 2]``."""
    return training.fit(
        copy.deepcopy(model),
        on_reviews.inputs("frozen")[places],
        torch.zeros(len(places), dtype=torch.long),  # no label enters but through the targets
        loss=lambda z, batch_targets, labels: F.cross_entropy(z, batch_targets),
        teacher=lambda batch: targets.to(batch.device),
        steps=STEPS,
        batch_size=on_reviews.BATCH,
        learning_rate=rate,
        seed=seed,
    )


def begun(seed: int) -> nn.Module:
    """The student's first weights."""
    torch.manual_seed(seed)
    return reviews.frozen()


@functools.lru_cache(maxsize=1)
def pretrained(seed: int, rate: float) -> nn.Module:
    """A student that has read messages and editorials with people's labels; shared by the arms of a seed, so never changed."""
    places = reviews.places("pool", reviews.SHIFTED)
    return trained(begun(seed), places, on_reviews.answers(reviews.labels()[places]), rate, seed)


def accuracy(model: nn.Module, split: str, sources) -> float:
    """Share of these sources' sentences on which a student sides with people's majority."""
    places = reviews.places(split, sources)
    right = on_reviews.logits(model, "frozen", places).argmax(-1) == reviews.labels()[places]
    return right.float().mean().item()


def score(arm, seed, rate):
    """Of a pre-trained student, on validation sentences of what it was pre-trained on."""
    return {"accuracy": accuracy(pretrained(seed, rate), "validation", reviews.SHIFTED)}


def rate_before() -> float:
    """The rate of pre-training that its search chose."""
    return study.chosen_rate(results.load(SEARCH), "pre-training", GRID, "accuracy")


def run(arm, seed):
    """`on_reviews.score` on the case, and ``old``."""
    before = rate_before()
    model = begun(seed) if arm == "fresh" else pretrained(seed, before)
    if arm != "not distilled":
        places = on_reviews.drawn(seed)
        model = trained(model, places, on_reviews.soft(places), before * ARMS.get(arm, 1.0), seed)
    test = reviews.places("test")
    old = [accuracy(model, "test", source) for source in reviews.SHIFTED]
    return on_reviews.score(on_reviews.logits(model.to(runtime.device()), "frozen", test), test) | {
        "old": sum(old) / len(old),
        "learning_rate": before * ARMS.get(arm, 1.0),
    }


EXPERIMENTS = (
    study.rate_search(SEARCH, ["pre-training"], GRID, score),
    Experiment("lesson04-forgets", ("not distilled", "fresh", *ARMS), tuple(range(10)), run, groups=on_reviews.groups),
)

NAMES = {
    "old": "accuracy on messages and editorials",
    "not distilled": "before distilling",
    "fresh": "never saw messages",
    "as in pre-training": "pre-training's rate",
    "a 4th": "a 4th of it",
    "a 16th": "a 16th of it",
    "a 64th": "a 64th of it",
}
