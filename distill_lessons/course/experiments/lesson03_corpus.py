"""Lesson 03 on the corpus at temperature 1: half the loss on stored draws, half on the text.

Stated before the runs, as in `lesson04_corpus`, whose "logits" is alpha 1 and whose "text" is alpha 0.
"""

from distill_lessons.course.experiments import on_corpus


def learned(arm, seed, rate, tokens):
    """A student of the one arm, and what it spent."""
    return on_corpus.learn(seed, rate, tokens, how={"targets": "sampled", "alpha": 0.5})


EXPERIMENTS = on_corpus.both_budgets("lesson03", ("alpha 0.5",), learned)

NAMES = {"kl": "KL to the teacher"}
