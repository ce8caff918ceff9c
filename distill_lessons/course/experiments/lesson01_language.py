"""Lesson 01, temperature, on the language model: at which T does a student come closest to its teacher?

Two steps. First each arm tries several learning rates on one seed, scored on the validation prompts. Then it runs five
seeds at its own best rate, scored on the test prompts.
"""

from distill_lessons.course.experiments import language
from distill_lessons.course.results import Experiment

STEPS = 20


def learn(arm, seed, rate):
    """Arm "T3" is T² times the KL at T=3, and nothing else; "text" the cross-entropy on the teacher's answers."""
    if arm == "text":
        return language.distil(seed, STEPS, alpha=0.0, learning_rate=rate)
    return language.distil(seed, STEPS, temperature=float(arm[1:]), learning_rate=rate)


def try_rate(arm, seed):
    """Arm "T3-0.0008" is temperature and learning rate. Every score is at T=1, whatever the student was trained at."""
    name, rate = arm.split("-")
    return language.held_out(learn(name, seed, float(rate)), "validation")


def run(arm, seed):
    """Arm "text", "T1" and so on, at its best rate, on the test prompts."""
    rate = language.best_rate("lesson01-rates", arm)
    return language.held_out(learn(arm, seed, rate), "test") | {"learning_rate": rate}


ARMS = ("text", "T1", "T2", "T3", "T5")
RATES = (4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3)

EXPERIMENTS = (
    Experiment(
        "lesson01-rates",
        tuple(f"{arm}-{rate:g}" for arm in ARMS for rate in RATES),
        (0,),
        try_rate,
    ),
    Experiment("lesson01-language", ARMS, (0, 1, 2, 3, 4), run, ("cpu", "cuda")),
)
