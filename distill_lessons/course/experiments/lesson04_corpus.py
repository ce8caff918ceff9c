"""Lesson 04 on the corpus at temperature 1: the teacher's text, stored draws of its distribution, or the teacher in the loop.

Stated before the runs: ten of 30 layers; 15,000 and 110,000 response tokens, no example twice; one grid of rates for all
arms (`on_corpus`); five seeds; KL to the teacher on 200 test prompts of unseen topics, with agreement, the cross-entropy
of its text and what it makes of the student's own answers beside it.
"""

from distill_lessons.course.experiments import on_corpus

ARMS = {"text": {"how": {"alpha": 0.0}}, "logits": {"how": {"targets": "sampled"}}, "online": {}}


def learned(arm, seed, rate, tokens):
    """A student of an arm, and what it spent."""
    return on_corpus.learn(seed, rate, tokens, **ARMS[arm])


EXPERIMENTS = on_corpus.both_budgets("lesson04", ARMS, learned)

NAMES = {
    "kl": "KL to the teacher",
    "cross_entropy": "cross-entropy of the teacher's text",
    "text": "the teacher's text",
    "logits": "stored draws",
    "online": "teacher in the loop",
}
