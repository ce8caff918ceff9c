"""Lesson 01 on the corpus at temperature 1: the teacher in the loop at T=3; T=1 is lesson 04's "online".

Stated before the runs, as in `lesson04_corpus`. KL at T=1 is what training at T=1 lowers; agreement, which favours no
temperature, is as good a measure, and both have a test.
"""

from distill_lessons.course.experiments import on_corpus

ARMS = {"T3": {"how": {"temperature": 3.0}}}


def learned(arm, seed, rate, tokens):
    """A student of an arm, and what it spent."""
    return on_corpus.learn(seed, rate, tokens, **ARMS[arm])


EXPERIMENTS = on_corpus.both_budgets("lesson01", ARMS, learned)

NAMES = {"kl": "KL to the teacher", "T3": "T=3"}
