"""Lesson 02 on the corpus at temperature 1: the teacher's text with its labels smoothed by a tenth.

Stated before the runs, as in `lesson04_corpus`, whose "text" and "logits" stand beside it.
"""

from distill_lessons.course.experiments import on_corpus


def learned(arm, seed, rate, tokens):
    """A student of the one arm, and what it spent."""
    return on_corpus.learn(seed, rate, tokens, how={"alpha": 0.0}, label_smoothing_factor=0.1)


EXPERIMENTS = on_corpus.both_budgets("lesson02", ("smoothing",), learned)

NAMES = {"kl": "KL to the teacher", "smoothing": "text with label smoothing"}
