"""Lesson 03 on `reviews`: alpha weighs the teacher's probabilities against people's labels for the same 5,000 sentences.

Stated before the runs: T=1; rates searched for each alpha on three seeds of their own, by accuracy on validation sentences;
ten seeds; accuracy against people's majority, and the share of the teacher's errors that a student repeats. Alpha 0 is
lesson 02's "people", alpha 1 its "soft". "low" and "high" take the alpha of their three with the best validation mean.
"""

from distill_lessons.course import results
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews

ALPHAS = {f"alpha {alpha:g}": alpha for alpha in (0.1, 0.3, 0.5, 0.7, 0.9)}
LOW, HIGH = ("people", "alpha 0.1", "alpha 0.3"), ("alpha 0.5", "alpha 0.7", "alpha 0.9")
WITHIN = {"people": "lesson02-reviews-rates"}  # the search that has an arm; else this lesson's
SEARCH = "lesson03-reviews-rates"


def score(arm, seed, rate, split):
    """`on_reviews.scores` of a student of (1 − alpha) labels and alpha probabilities."""
    places, alpha = on_reviews.drawn(seed), ALPHAS.get(arm, 0.0)
    labels = on_reviews.answers(reviews.labels()[places])
    model = on_reviews.learn("frozen", places, alpha * on_reviews.soft(places) + (1 - alpha) * labels, rate, seed)
    return on_reviews.scores(model, "frozen", split)


def best_of(arms):
    """A function of the seed: the scores of the arm whose chosen rate has the best mean accuracy on validation."""

    def run(seed):
        found = []
        for arm in arms:
            search = WITHIN.get(arm, SEARCH)
            table = results.load(search)
            rate = study.chosen_rate(table, arm, study.rates_of(search, arm), "accuracy")
            found.append((results.per_seed(table, "accuracy", f"{arm} at {rate:g}").mean(), arm, rate))
        _, arm, rate = max(found)
        return score(arm, seed, rate, "test") | {"learning_rate": rate, "alpha": ALPHAS.get(arm, 0.0)}

    return run


EXPERIMENTS = study.at_chosen_rates(
    SEARCH,
    "lesson03-reviews",
    ALPHAS,
    [2.0**step * 1e-3 for step in range(-5, 5)],
    score,
    range(10),
    beside={"low": best_of(LOW), "high": best_of(HIGH)},
    groups=on_reviews.groups,
)

NAMES = {
    "low": "best alpha of 0–0.3",
    "high": "best alpha of 0.5–0.9",
    "people": "alpha 0",
    "soft": "alpha 1",
    "copied": "of the teacher's errors repeated",
}
