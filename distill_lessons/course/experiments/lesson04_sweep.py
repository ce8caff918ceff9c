"""Lesson 04, sweeps: more values of alpha and of the temperature, and students of other depths, each at its own best rate.

The values that `lesson04` has already (alpha 0, 1/2 and 1, temperatures 1 and 2, logits at four, six and ten layers, where
"cut" is four, text at six and ten) are not made again.
"""

from distill_lessons.course.experiments import study
from distill_lessons.course.experiments.lesson04 import STORED, TEXT
from distill_lessons.course.results import Experiment

ARMS = {
    "alpha 0.25": {"how": STORED | {"alpha": 0.25}},
    "alpha 0.75": {"how": STORED | {"alpha": 0.75}},
    "T4": {"how": {"temperature": 4.0}},
    "text 4": {"how": TEXT, "depth": 4},
    "text 16": {"how": TEXT, "depth": 16},
    "logits 16": {"how": STORED, "depth": 16},
}


def find_rate(arm, seed):
    """An arm's best learning rate: `study.search`."""
    return study.search(lambda rate: study.learn(seed, rate, **ARMS[arm]))


def run(arm, seed):
    """An arm at its best rate."""
    return study.run("lesson04-sweep-rates", arm, seed, lambda rate: study.learn(seed, rate, **ARMS[arm]))


EXPERIMENTS = (
    Experiment("lesson04-sweep-rates", tuple(ARMS), (0,), find_rate),
    Experiment("lesson04-sweep", tuple(ARMS), (0, 1, 2), run, ("cpu", "cuda")),
)
