"""Lesson 00, start here: the live run of the notebook over several seeds, with the teacher's text as control."""

from distill_lessons.experiments import language
from distill_lessons.pairs import smollm
from distill_lessons.results import Experiment

STEPS = 80


def run(arm, seed):
    """Arm "untrained", "logits" (KL to the teacher's distribution) or "text" (cross-entropy on its answers)."""
    if arm == "untrained":
        student = smollm.student(language.pair()[0])
    else:
        student = language.distil(seed, STEPS, alpha=1.0 if arm == "logits" else 0.0)
    return language.held_out(student, "test")


EXPERIMENTS = (Experiment("lesson00-distil", ("untrained", "logits", "text"), (0, 1, 2), run, ("cpu", "cuda")),)
