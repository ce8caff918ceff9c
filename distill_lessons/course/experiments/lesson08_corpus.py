"""Lesson 08 on the corpus at temperature 1: the teacher's hidden states beside its outputs, right and with layers reversed.

Stated before the runs, as in `lesson04_corpus`, whose "online" is the outputs alone.
"""

import functools

from distill_lessons.course.experiments import on_corpus
from distill_lessons.training.features import Matching

RIGHT = on_corpus.matched()
REVERSED = {state: RIGHT[on_corpus.DEPTH - state] for state in range(1, on_corpus.DEPTH)} | {
    on_corpus.DEPTH: on_corpus.LAST
}
ARMS = {"states": RIGHT, "states reversed": REVERSED}


def learned(arm, seed, rate, tokens):
    """A student of an arm, and what it spent."""
    features = functools.partial(Matching, ARMS[arm], 576, 576, "cosine")
    return on_corpus.learn(seed, rate, tokens, how={"features": features})


EXPERIMENTS = on_corpus.both_budgets("lesson08", ARMS, learned)

NAMES = {
    "kl": "KL to the teacher",
    "states": "outputs and states",
    "states reversed": "outputs and states, layers reversed",
}
