"""Lesson 01, temperature, on the language model: does a student distilled at T = 2 or 4 come closer than at T = 1?"""

from distill_lessons.experiments import language
from distill_lessons.results import Experiment

STEPS = 20
RATES = (5e-4, 1e-3)


def run(arm, seed):
    """Arm "T1", "T2" or "T4", at the better of two learning rates on the validation prompts; scored at T = 1."""
    students = [(language.distil(seed, STEPS, temperature=float(arm[1:]), learning_rate=rate), rate) for rate in RATES]
    student, rate = min(students, key=lambda pair: language.held_out(pair[0], "validation")["kl"])
    return language.held_out(student, "test") | {"learning_rate": rate}


EXPERIMENTS = (Experiment("lesson01-language", ("T1", "T2", "T4"), (0, 1, 2, 3, 4), run),)
