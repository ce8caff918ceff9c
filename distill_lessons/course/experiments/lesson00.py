"""Lesson 00, start here: the live run of the notebook over several seeds, with the teacher's text as control.

Two steps. First each arm tries several learning rates on one seed, scored on the validation prompts. Then it runs three
seeds at its own best rate, scored on the test prompts.
"""

from distill_lessons.course.experiments import language, study
from distill_lessons.pairs import smollm

STEPS = 80
ARMS = ("text", "logits")
RATES = (3.5e-4, 7e-4, 1.4e-3, 2.8e-3, 5.6e-3)


def learned(arm, seed, rate):
    """Arm "logits" is the KL to the teacher's distribution, "text" the cross-entropy on its answers."""
    return language.distil(seed, STEPS, alpha=1.0 if arm == "logits" else 0.0, learning_rate=rate)


def untrained(seed):
    """The student as it begins, whatever the seed."""
    return language.held_out(smollm.student(language.pair()[0]), "test") | {"learning_rate": 0.0}


EXPERIMENTS = study.on_a_grid(
    "lesson00-rates",
    "lesson00-distil",
    ARMS,
    RATES,
    learned,
    language.held_out,
    seeds=(0, 1, 2),
    before={"untrained": untrained},
)

NAMES = {"kl": "KL to the teacher", "text": "the teacher's text", "logits": "its distribution"}
