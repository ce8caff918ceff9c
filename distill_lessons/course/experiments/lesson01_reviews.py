"""Lesson 01 on `reviews`: the same student trained on the teacher's probabilities at T=2 to 20; T=1 is lesson 02's "soft".

Stated before the runs: 5,000 sentences of the pool; T² times the cross-entropy at T; rates searched for each T on three
seeds of their own, by accuracy on validation sentences; ten seeds; accuracy against people's majority.
"""

from distill_lessons.course.experiments import on_reviews, study

ARMS = {f"T{t}": float(t) for t in (2, 3, 5, 10, 20)}


def score(arm, seed, rate, split):
    """`on_reviews.scores` of a student trained at the arm's temperature."""
    places, temperature = on_reviews.drawn(seed), ARMS[arm]
    model = on_reviews.learn("frozen", places, on_reviews.soft(places, temperature), rate, seed, temperature)
    return on_reviews.scores(model, "frozen", split)


EXPERIMENTS = study.at_chosen_rates(
    "lesson01-reviews-rates",
    "lesson01-reviews",
    ARMS,
    [2.0**step * 1e-3 for step in range(-5, 5)],
    score,
    range(10),
    groups=on_reviews.groups,
)

NAMES = {
    **{f"T{t}": f"T={t}" for t in (2, 3, 5, 10, 20)},
    "soft": "T=1",
    "hard": "answers",
    "rank": "correlation with the raters' shares",
}
