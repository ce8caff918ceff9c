"""Lesson 04 on `reviews`: students of three kinds and about one size, from scratch, none of them the teacher's kind but one.

A bag of words, a recurrent net and a small transformer (the teacher's own kind), 0.8 to 0.9 million weights each. Stated
before the runs: 640 labels, or the teacher's probabilities or answers for 5,000 sentences; rates searched for every arm on
three seeds of their own, by accuracy on validation sentences; ten seeds; accuracy against people's majority.
"""

from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews

KINDS, DIETS = ("bag", "gru", "transformer"), ("labels", "soft", "hard")
ARMS = {f"{kind}, {diet}": (kind, diet) for kind in KINDS for diet in DIETS}


def score(arm, seed, rate, split):
    """`on_reviews.scores` of a student of an arm's kind."""
    kind, diet = ARMS[arm]
    places = reviews.labelled(640) if diet == "labels" else on_reviews.drawn(seed)
    targets = on_reviews.answers(reviews.labels()[places]) if diet == "labels" else on_reviews.soft(places)
    if diet == "hard":
        targets = on_reviews.answers(targets.argmax(-1))
    model = on_reviews.learn(kind, places, targets, rate, seed)
    return on_reviews.scores(model, kind, split)


EXPERIMENTS = study.at_chosen_rates(
    "lesson04-kinds-rates",
    "lesson04-kinds",
    ARMS,
    [2.0**step * 1e-3 for step in range(-2, 6)],
    score,
    range(10),
    groups=on_reviews.groups,
)

NAMES = {arm: f"{kind} on {'640 labels' if diet == 'labels' else diet}" for arm, (kind, diet) in ARMS.items()}
