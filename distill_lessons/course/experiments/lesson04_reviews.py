"""Lesson 04 on `reviews`: how many epochs of the teacher's probabilities for 5,000 sentences are enough.

Stated before the runs: rates searched for each number of epochs on three seeds of their own, by accuracy on validation
sentences; ten seeds; accuracy against people's majority. The schedule ends with the training, as in every run.
"""

from distill_lessons.course.experiments import on_reviews, study

ARMS = {f"{epochs} epochs": epochs for epochs in (3, 5, 10, 20, 40)}


def score(arm, seed, rate, split):
    """`on_reviews.scores` of a student after an arm's epochs."""
    places = on_reviews.drawn(seed)
    steps = ARMS[arm] * on_reviews.EPOCH
    model = on_reviews.learn("frozen", places, on_reviews.soft(places), rate, seed, steps=steps)
    return on_reviews.scores(model, "frozen", split)


EXPERIMENTS = study.at_chosen_rates(
    "lesson04-reviews-rates",
    "lesson04-reviews",
    ARMS,
    [2.0**step * 1e-3 for step in range(-5, 5)],
    score,
    range(10),
    groups=on_reviews.groups,
)

NAMES = {"accuracy": "accuracy"}
