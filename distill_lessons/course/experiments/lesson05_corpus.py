"""Lesson 05 on the corpus: text sampled at temperature 0.7 from the 50 likeliest tokens, and text through adapters.

Stated before the runs, as in `lesson04_corpus`, whose "text" is the same prompts answered at temperature 1, all weights
trained. All are scored at temperature 1, and text at 0.7 aims at something sharper: so the teacher's opinion of what the
students say is measured too.
"""

from distill_lessons.course.experiments import on_corpus

ARMS = {"text at 0.7": {"rows": on_corpus.cooler}, "lora": {"lora": 16}}


def learned(arm, seed, rate, tokens):
    """A student of an arm, and what it spent."""
    return on_corpus.learn(seed, rate, tokens, how={"alpha": 0.0}, **ARMS[arm])


EXPERIMENTS = on_corpus.both_budgets("lesson05", ARMS, learned)

NAMES = {"kl": "KL to the teacher", "text at 0.7": "text sampled at 0.7", "lora": "text through adapters of rank 16"}
