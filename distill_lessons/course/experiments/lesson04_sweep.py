"""Lesson 04, sweeps: more values of alpha and of the temperature, and students of other depths, each at its own best rate.

The values that `lesson04` has already (alpha 0, 1/2 and 1, temperatures 1 and 2, logits at four, six and ten layers, where
"cut" is four, text at six and ten) are not made again.
"""

from distill_lessons.course.experiments import on_smollm, study
from distill_lessons.course.experiments.lesson04 import STORED, TEXT

ARMS = {
    "alpha 0.25": {"how": STORED | {"alpha": 0.25}},
    "alpha 0.75": {"how": STORED | {"alpha": 0.75}},
    "T4": {"how": {"temperature": 4.0}},
    "text 4": {"how": TEXT, "depth": 4},
    "text 16": {"how": TEXT, "depth": 16},
    "logits 16": {"how": STORED, "depth": 16},
}


def learned(arm, seed, rate):
    """A trained student of an arm, with its seconds."""
    return on_smollm.learn(seed, rate, **ARMS[arm])


EXPERIMENTS = study.searched("lesson04-sweep-rates", "lesson04-sweep", ARMS, learned)
