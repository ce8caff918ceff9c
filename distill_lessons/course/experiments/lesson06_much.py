"""Lesson 06: how many sentences, and whose? Real ones without labels, ones that a model wrote, and both together.

Stated before the runs. The teacher of 640 labels gives its probabilities for every sentence. "real N": N sentences of film
and product reviews whose labels the teacher has not seen, the seed's own; "written N": N that SmolLM2 wrote at temperature
1; "both N": N of each. "teacher" is the teacher itself. Every student takes 500 steps of 128, however few sentences there
are, so that the cost is the same. Rates searched on three seeds of their own by accuracy on validation sentences, one grid;
ten seeds of draw, start and order; accuracy against people's majority on 3,000 test sentences. Least effect: a point is
400 of the case's 40,000 sentences a day. Premise where the teacher is spoken of as a limit: a student of people's labels
comes up to it. Cost: 407 runs of 3 s, and features of the sentences once.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F

from distill_lessons import training
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews, reviews_written

REAL = (100, 320, 1000, 3200, 5000, 9600)
WRITTEN = (100, 320, 1000)
BOTH = (320, 1000)
TEMPERATURE = 1.0  # of the written ones
ARMS = (*(f"real {n}" for n in REAL), *(f"written {n}" for n in WRITTEN), *(f"both {n}" for n in BOTH))


@functools.cache
def unseen():
    """Places of the sentences of the case whose labels the teacher has not seen, in `reviews.sentences`: pool and labelled."""
    left = np.concatenate([reviews.places("pool"), reviews.places("labelled")])
    return np.setdiff1d(left, reviews.trained_on(on_reviews.TEACHER))


def real(count, seed):
    """Features ``[N, 1728]`` of the seed's own sentences, and the teacher's probabilities for them."""
    places = np.random.default_rng(seed).permutation(unseen())[:count]
    return on_reviews.inputs("frozen")[places], on_reviews.soft(places)


@functools.cache
def by_model(temperature):
    """What was written at a temperature: features ``[N, 1728]``, and the teacher's probabilities."""
    frame = reviews_written.written(temperature)
    return reviews.features_of(frame["text"].tolist()), reviews_written.logits(frame).softmax(-1)


def written(count, seed, temperature=TEMPERATURE):
    """As `real`, of the sentences that were written at a temperature.

    Raises:
        ValueError: there are not so many.
    """
    features, soft = by_model(temperature)
    if count > len(features):
        raise ValueError(
            f"{len(features)} sentences were written at {temperature:g}, and {count} are asked for: write more with "
            f"{reviews_written.COMMAND}"
        )
    rows = np.random.default_rng(seed).permutation(len(features))[:count]
    return features[rows], soft[rows]


def diet(arm, seed):
    """Features ``[N, 1728]`` and target distributions ``[N, 2]``."""
    kind, count = arm.split()
    parts = [make(int(count), seed) for name, make in (("real", real), ("written", written)) if kind in (name, "both")]
    return tuple(torch.cat(each) for each in zip(*parts))


def learn(features, targets, rate, seed):
    """A student on frozen word vectors, trained towards target distributions, for the steps that all students take."""

    def loss(student_logits, batch_targets, labels):
        return F.cross_entropy(student_logits, batch_targets)

    torch.manual_seed(seed)
    return training.fit(
        reviews.frozen(),
        features,
        torch.zeros(len(features), dtype=torch.long),  # no label enters but through the targets
        loss=loss,
        teacher=lambda batch: targets.to(batch.device),
        steps=on_reviews.STEPS["frozen"],
        batch_size=on_reviews.BATCH,
        learning_rate=rate,
        seed=seed,
    )


def score(arm, seed, rate, split):
    """`on_reviews.scores` of an arm's student."""
    return on_reviews.scores(learn(*diet(arm, seed), rate, seed), "frozen", split)


def teacher(seed):
    """The teacher, whatever the seed."""
    return on_reviews.teacher_scores()


EXPERIMENTS = study.at_chosen_rates(
    "lesson06-much-rates",
    "lesson06-much",
    ARMS,
    [2.0**step * 1e-3 for step in range(-6, 7)],
    score,
    range(10),
    beside={"teacher": teacher},
    groups=on_reviews.groups,
)

NAMES = {
    **{f"real {n}": f"{n:,} real sentences" for n in REAL},
    **{f"written {n}": f"{n:,} written ones" for n in WRITTEN},
    **{f"both {n}": f"{n:,} of each" for n in BOTH},
}
