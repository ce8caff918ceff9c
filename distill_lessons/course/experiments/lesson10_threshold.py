"""Lesson 10 on `reviews`: how much of a mixture's gain is one threshold, and how much is knowing the source.

Added after a reader had seen the page's mixtures itself and measured, asked and without students, that the teachers say
"positive" too rarely, so that one constant mends much of what was put down to knowing the source. A temperature divides a
logit and cannot shift it. Stated before the students below were trained. No claim rests on these arms.

===================  ====================================================================================================
bias                 the log-odds of the three's mean plus one constant for all sources: with it the mean says "positive"
                     as often on validation sentences as people do
stack                one logistic regression of people's majority on the three teachers' log-odds, for all sources
stack by source      the same, one regression a source
shifted by source    each teacher's log-odds through a slope and a shift of its own on each source (Platt), then added;
                     asked only
===================  ====================================================================================================

All are fitted on the 1,939 validation sentences of four sources. The students are those of `lesson10_reviews`: the same
seeds, sentences, steps, grid of rates, search seeds and test sentences, so that the two tables are paired by seed. Least
effect: a point, 400 of 40,000 sentences a day. Cost: 93 runs of 1 s.
"""

import functools

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

from distill_lessons.course.experiments import lesson10_reviews as before
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews


def log_odds():
    """Of "positive", by each teacher: ``[23703, 3]``."""
    z = torch.stack([reviews.logits(name) for name in before.TEACHERS], 1).double()
    return (z[..., 1] - z[..., 0]).numpy()


def heard(sources=before.EVERYWHERE):
    """The sentences that a mixture is fitted on, and people's majority there."""
    places = reviews.places("validation", sources)
    return places, reviews.labels()[places].numpy()


def distributions(odds):
    """Log-odds ``[N]`` as probabilities ``[N, 2]``."""
    odds = torch.as_tensor(odds)
    return torch.stack([-odds, odds], -1).sigmoid().float()


def biased():
    """The mean of three, shifted by one constant until it says "positive" as often as people do."""
    p = before.mixture("mean").double()
    odds = (p[:, 1] / p[:, 0]).log().numpy()
    places, labels = heard()
    return distributions(odds - np.quantile(odds[places], 1 - labels.mean()))


def regressed(odds, sources):
    """Log-odds ``[23703]`` by a logistic regression fitted on these sources' validation sentences."""
    places, labels = heard(sources)
    return LogisticRegression().fit(odds[places], labels).decision_function(odds)


def by_source(of):
    """Log-odds ``[23703]``: at every sentence those of ``of(source)``, a function that gives them for all."""
    found = np.empty(len(before.sources()))
    for source in before.EVERYWHERE:
        rows = before.sources() == source
        found[rows] = of(source)[rows]
    return found


def shifted(source):
    """Each teacher's own regression on a source, added."""
    odds = log_odds()
    return sum(regressed(odds[:, [teacher]], source) for teacher in range(odds.shape[1]))


MIXTURES = {
    "bias": biased,
    "stack": lambda: distributions(regressed(log_odds(), before.EVERYWHERE)),
    "stack by source": lambda: distributions(by_source(lambda source: regressed(log_odds(), source))),
    "shifted by source": lambda: distributions(by_source(shifted)),
}


@functools.cache
def mixture(name):
    """Probabilities ``[23703, 2]`` of one of MIXTURES."""
    return MIXTURES[name]()


def score(arm, seed, rate, split):
    """Scores of an arm's student everywhere."""
    places = before.drawn(seed)
    model = on_reviews.learn("frozen", places, mixture(arm)[places], rate, seed, steps=before.STEPS)
    return before.scored(model, before.EVERYWHERE, split)


def asked(name):
    """A function of the seed: a mixture's own scores, whatever the seed."""

    def run(seed):
        log_p = mixture(name).clamp(min=1e-6).log()
        return before.measured(lambda places: log_p[places], before.EVERYWHERE)

    return run


EXPERIMENTS = study.at_chosen_rates(
    "lesson10-threshold-rates",
    "lesson10-threshold",
    ("bias", "stack", "stack by source"),
    [2.0**step * 1e-3 for step in range(-2, 5)],
    score,
    range(10),
    beside={f"ask {name}": asked(name) for name in MIXTURES},
    groups=before.groups,
)

NAMES = {
    "bias": "mean and one constant",
    "stack": "one regression",
    "stack by source": "a regression a source",
    "shifted by source": "shifted by source, added",
}
NAMES |= {f"ask {name}": f"{NAMES[name]} itself" for name in MIXTURES}
