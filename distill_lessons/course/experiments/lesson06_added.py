"""Lesson 06: what do written sentences that passed the checks add to real ones?

Added after a reader had seen that the page spoke of written sentences as they came, 70 in 100 of them cut off, and had
measured two points on ten seeds for those that passed. Stated before the runs below. No claim of the course rests on them.

"real 320 + checked": the seed's 320 real sentences of `lesson06_much` and its 600 of `lesson06_hot` that passed the checks.
"real 320 + mixed": the same with its 600 of the unchecked mixture, so that what the checks do is told from what 600
sentences more do. Beside them stand the arms recorded before, paired by seed: "real 320" and "real 1000" of
`lesson06-much`, "checked" of `lesson06-hot`. Main test: "real 320 + checked" − "real 320", accuracy against people's majority
on 3,000 test sentences; what the checks do: "real 320 + checked" − "real 320 + mixed". The protocol is that of
`lesson06_much`: probabilities of the teacher of 640 labels, 500 steps of 128, its grid of rates, three search seeds, ten
seeds. Least effect: a point is 400 of the case's 40,000 sentences a day. Cost: 98 runs of 3 s.
"""

import torch

from distill_lessons.course.experiments import lesson06_hot, lesson06_much, on_reviews, study

ARMS = ("real 320 + checked", "real 320 + mixed")


def diet(arm, seed):
    """Features ``[920, 1728]`` and target distributions ``[920, 2]``: the real ones first."""
    real, _, written = arm.partition(" + ")
    parts = lesson06_much.diet(real, seed), lesson06_hot.diet(written, seed)
    return tuple(torch.cat(each) for each in zip(*parts))


def score(arm, seed, rate, split):
    """`on_reviews.scores` of an arm's student."""
    return on_reviews.scores(lesson06_much.learn(*diet(arm, seed), rate, seed), "frozen", split)


EXPERIMENTS = study.at_chosen_rates(
    "lesson06-added-rates",
    "lesson06-added",
    ARMS,
    [2.0**step * 1e-3 for step in range(-6, 7)],
    score,
    range(10),
    groups=on_reviews.groups,
)

NAMES = {
    "real 320 + checked": "320 real and 600 that passed",
    "real 320 + mixed": "320 real and 600 as they came",
}
