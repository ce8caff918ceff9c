"""Lesson 00, start here: the live run of the notebook over several seeds, with the teacher's text as control.

Two steps. First each arm tries several learning rates on one seed, scored on the validation prompts. Then it runs three
seeds at its own best rate, scored on the test prompts.
"""

from distill_lessons.course.experiments import language
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import smollm

STEPS = 80


def learn(arm, seed, rate):
    """Arm "logits" is the KL to the teacher's distribution, "text" the cross-entropy on its answers."""
    return language.distil(seed, STEPS, alpha=1.0 if arm == "logits" else 0.0, learning_rate=rate)


def try_rate(arm, seed):
    """Arm "logits-0.0014" is method and learning rate; scored on the validation prompts."""
    name, rate = arm.split("-")
    return language.held_out(learn(name, seed, float(rate)), "validation")


def run(arm, seed):
    """Arm "untrained", or "logits" or "text" at its best rate; scored on the test prompts."""
    if arm == "untrained":
        return language.held_out(smollm.student(language.pair()[0]), "test") | {"learning_rate": 0.0}
    rate = language.best_rate("lesson00-rates", arm)
    return language.held_out(learn(arm, seed, rate), "test") | {"learning_rate": rate}


ARMS = ("text", "logits")
RATES = (3.5e-4, 7e-4, 1.4e-3, 2.8e-3, 5.6e-3)

EXPERIMENTS = (
    Experiment(
        "lesson00-rates",
        tuple(f"{arm}-{rate:g}" for arm in ARMS for rate in RATES),
        (0,),
        try_rate,
    ),
    Experiment("lesson00-distil", ("untrained", *ARMS), (0, 1, 2), run, ("cpu", "cuda")),
)
