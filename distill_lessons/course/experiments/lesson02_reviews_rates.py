"""Lesson 02 on `reviews`, afterwards: the same arms at one another's rates, to see what hangs on the rate.

Run after `lesson02-reviews`, whose search chose 0.0005 for probabilities, 0.001 for answers and 0.002 for shuffled doubts
from rates that do nearly alike on validation.
"""

from distill_lessons.course.experiments import lesson02_reviews, on_reviews
from distill_lessons.course.results import Experiment

ARMS = {"permuted at 0.0005": ("permuted", 5e-4), "hard at 0.0005": ("hard", 5e-4), "soft at 0.001": ("soft", 1e-3)}


def run(arm, seed):
    """`lesson02_reviews.score` of an arm at another rate."""
    kind, rate = ARMS[arm]
    return lesson02_reviews.score(kind, seed, rate, "test") | {"learning_rate": rate}


EXPERIMENTS = (Experiment("lesson02-reviews-other", tuple(ARMS), tuple(range(10)), run, groups=on_reviews.groups),)

NAMES = {}
