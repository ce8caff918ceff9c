"""Lesson 08: the same matching of hidden states, right and reversed, with ten times its weight beside the logits."""

from distill_lessons.course.experiments import lesson08, study
from distill_lessons.course.results import Experiment

ARMS = {
    "weight 10": {"how": {"features": lesson08.matching(lesson08.expected_map()), "feature_weight": 10.0}},
    "reversed 10": {"how": {"features": lesson08.matching(lesson08.reversed_map()), "feature_weight": 10.0}},
}


def find_rate(arm, seed):
    """An arm's best learning rate: `study.search`."""
    return study.search(lambda rate: study.learn(seed, rate, **ARMS[arm]))


def run(arm, seed):
    """An arm at its best rate."""
    return study.run("lesson08-weight-rates", arm, seed, lambda rate: study.learn(seed, rate, **ARMS[arm]))


EXPERIMENTS = (
    Experiment("lesson08-weight-rates", tuple(ARMS), (0,), find_rate),
    Experiment("lesson08-weight", tuple(ARMS), (0, 1, 2), run, ("cpu", "cuda")),
)
