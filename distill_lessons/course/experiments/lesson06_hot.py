"""Lesson 06: sentences written at temperature 0.5, 1 and 1.5, and what checks of length and form make of the mixture.

Stated before the runs. SmolLM2 wrote from the same prompts at every temperature, and the teacher of 640 labels gives its
probabilities. Every student learns from 600 sentences, the seed's own: of one temperature, or of all three together
("mixed"), or of those of the mixture that pass the cheap filters ("checked": it ended by itself, has 4 to 40 words, does
not go round in circles, and is unlike the others). 500 steps of 128; rates searched on three seeds of their own by accuracy
on validation sentences, one grid; ten seeds of draw, start and order; accuracy against people's majority on 3,000 test
sentences. Least effect: a point is 400 of the case's 40,000 sentences a day. Premise: a student of the written sentences is
better than chance by five points. Cost: 185 runs of 3 s.
"""

import functools

import datasets
import numpy as np
import torch

from distill_lessons import runtime
from distill_lessons.course.experiments import lesson06_much, on_reviews, study
from distill_lessons.pairs import reviews, reviews_written
from distill_lessons.teacher import filters

COUNT = 600


def ended(dataset):
    """A filter: keeps what ended by itself."""
    return [
        filters.Verdict(done, "ended by itself" if done else "cut at the token limit") for done in dataset["finished"]
    ]


CHECKS = (ended, filters.length(4, 40, "words"), filters.repetition(), filters.near_duplicates())


@functools.cache
def mixture():
    """Everything that was written, as a data set with the row's number."""
    frame = reviews_written.written()
    columns = {"row": list(range(len(frame))), "text": frame["text"].tolist(), "finished": frame["finished"].tolist()}
    return datasets.Dataset.from_dict(columns)


@functools.cache
def funnel():
    """`filters.run` of the cheap checks on the mixture."""
    return filters.run(mixture(), CHECKS)


def rows_of(arm):
    """The numbers of an arm's sentences, in `reviews_written.written()`."""
    if arm == "mixed":
        return np.arange(len(mixture()))
    if arm == "checked":
        return np.array(funnel().kept["row"])
    return np.flatnonzero(reviews_written.written()["temperature"] == float(arm))


@functools.cache
def everything():
    """Features ``[N, 1728]`` of all that was written, and the teacher's probabilities."""
    frame = reviews_written.written()
    return reviews.features_of(frame["text"].tolist()), reviews_written.logits(frame).softmax(-1)


def diet(arm, seed):
    """Features ``[600, 1728]`` and the teacher's probabilities ``[600, 2]``.

    Raises:
        ValueError: an arm has fewer sentences.
    """
    rows = rows_of(arm)
    if len(rows) < COUNT:
        raise ValueError(
            f"{arm} has {len(rows)} sentences, and {COUNT} are needed: write more with {reviews_written.COMMAND}"
        )
    chosen = np.random.default_rng(seed).permutation(rows)[:COUNT]
    features, soft = everything()
    return features[chosen], soft[chosen]


def score(arm, seed, rate, split):
    """`on_reviews.scores` of an arm's student."""
    return on_reviews.scores(lesson06_much.learn(*diet(arm, seed), rate, seed), "frozen", split)


def untrained(seed):
    """The student as it begins: chance."""
    torch.manual_seed(seed)
    return on_reviews.scores(reviews.frozen().to(runtime.device()).eval(), "frozen", "test")


EXPERIMENTS = study.at_chosen_rates(
    "lesson06-hot-rates",
    "lesson06-hot",
    ("0.5", "1.0", "1.5", "mixed", "checked"),
    [2.0**step * 1e-3 for step in range(-6, 3)],
    score,
    range(10),
    beside={"untrained": untrained},
    groups=on_reviews.groups,
)

NAMES = {
    "0.5": "written at T=0.5",
    "1.0": "written at T=1",
    "1.5": "written at T=1.5",
    "mixed": "a mixture",
    "checked": "what passed the checks",
}
