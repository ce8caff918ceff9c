"""Lesson 02 on `reviews`: one student and one loss, fed with probabilities, answers, blurred and shuffled probabilities.

Stated before the runs: 5,000 sentences of the pool without labels, or 640; rates searched on three seeds of their own,
by accuracy on validation sentences; ten seeds; accuracy against people's majority on 3,000 test sentences.
"""

import torch

from distill_lessons import runtime
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews

FEW = 640
# Sentences, and what a student learns from. "labels" are people's for the 640 sentences that the teacher was trained on.
ARMS = {
    "soft": (on_reviews.POOL, "soft"),
    "hard": (on_reviews.POOL, "hard"),
    "smoothing": (on_reviews.POOL, "smoothing"),
    "permuted": (on_reviews.POOL, "permuted"),
    "people": (on_reviews.POOL, "people"),
    "people soft": (on_reviews.POOL, "people soft"),
    "soft, 640": (FEW, "soft"),
    "hard, 640": (FEW, "hard"),
    "labels": (FEW, "labels"),
    "labels smoothed": (FEW, "labels smoothed"),
}


def diet(arm, seed):
    """The places of an arm's sentences, and the targets for them."""
    count, kind = ARMS[arm]
    if kind.startswith("labels"):
        places = reviews.labelled(count)
        return places, on_reviews.answers(reviews.labels()[places], 0.1 if kind == "labels smoothed" else 0.0)
    places = on_reviews.drawn(seed, count)
    if kind == "people soft":
        return places, on_reviews.people_soft(places)
    if kind == "people":
        return places, on_reviews.answers(reviews.labels()[places])
    soft = on_reviews.soft(places)
    if kind == "soft":
        return places, soft
    if kind == "permuted":
        return places, on_reviews.permuted(soft, seed)
    return places, on_reviews.smoothed(soft) if kind == "smoothing" else on_reviews.answers(soft.argmax(-1))


def score(arm, seed, rate, split):
    """`on_reviews.scores` of an arm's student."""
    model = on_reviews.learn("frozen", *diet(arm, seed), rate, seed)
    return on_reviews.scores(model, "frozen", split)


def untrained(seed):
    """The student as it begins."""
    torch.manual_seed(seed)
    return on_reviews.scores(reviews.frozen().to(runtime.device()).eval(), "frozen", "test")


def teacher(seed):
    """The teacher, whatever the seed."""
    return on_reviews.teacher_scores()


EXPERIMENTS = study.at_chosen_rates(
    "lesson02-reviews-rates",
    "lesson02-reviews",
    ARMS,
    [2.0**step * 1e-3 for step in range(-5, 5)],
    score,
    range(10),
    beside={"teacher": teacher, "untrained": untrained},
    groups=on_reviews.groups,
)

NAMES = {
    "soft": "probabilities",
    "hard": "answers",
    "smoothing": "answers, smoothed",
    "permuted": "shuffled probabilities",
    "people": "people's majority",
    "people soft": "people's shares",
    "soft, 640": "probabilities",
    "hard, 640": "answers",
    "labels": "640 labels",
    "labels smoothed": "640 labels, smoothed",
    "scaling gains": "ECE won",
    "ece": "ECE",
}
