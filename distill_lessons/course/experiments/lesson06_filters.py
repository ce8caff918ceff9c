"""Lesson 06: 5,000 sentences answered by the teacher, half of them kept. Which filter finds its errors, and what is won?

Stated before the runs. The teacher is the one of 640 labels; a student learns from its answers, not its probabilities, so
that an error is one. Every filter keeps 2,500 of the seed's 5,000 sentences: those it thinks best, drawn among equals.

Arms: "random" is the control, "all" what half the sentences cost, "people" the best that any filter could do (the
teacher's errors go first). "confident" goes by the teacher's probability; "consistent" by whether the teacher of 160 of
the 640 labels agrees, "three agree" by that and one of 2,560 labels, which are paid for; "rules" by whether the word list
agrees; "reward" by a reward model fitted on the 640 labels; "length" keeps what is nearest to the middle length;
"unlike" what has the least in common with another sentence; "likely" what SmolLM2 finds least strange. "labels too" adds
the people's 640 labels to the 2,500 of "random".

Found: which of the teacher's errors in the whole pool are dropped when half of it is; no training, ten seeds of the
drawing among equals, pool sentences as items. Students: rates searched on three seeds of their own by accuracy on
validation sentences, one grid; ten seeds of draw, start and order; accuracy against people's majority on 3,000 test
sentences. Least effects: a point of accuracy is 400 of the case's 40,000 sentences a day; a filter that finds less than
five points more of the errors than chance is not worth a second reading. Premises: the teacher beats the best student
without it by five points, and "people" beats "random" by a point: otherwise no filter could matter.

Cost: found, a minute; students, 374 runs of 3 s; "likely" reads the pool once (about 12 minutes on a core), then 34 runs.
"""

import functools

import datasets
import numpy as np
import torch

from distill_lessons import runtime
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import reviews, smollm
from distill_lessons.teacher import filters

KEPT = on_reviews.POOL // 2
TEACHER_LABELS = 640
WORDS = ("negative", "positive")
GRID = [2.0**step * 1e-3 for step in range(-4, 4)]

# --- The pool as a data set ---------------------------------------------------------------------------------------------


@functools.cache
def pool():
    """The teacher's pool as a data set, in the order of `reviews.pool`: its answers, others' answers, and words for them."""
    places = reviews.pool(on_reviews.TEACHER)
    texts = reviews.sentences()["text"].to_numpy()[places].tolist()
    answers = said(on_reviews.TEACHER)[places]
    others = {name: [WORDS[answer] for answer in said(name)[places]] for name in ("tuned-160", "tuned-2560", "rules")}
    own = [WORDS[answer] for answer in answers]
    return datasets.Dataset.from_dict(
        {
            "text": texts,
            "label": own,
            "two": [list(each) for each in zip(own, others["tuned-160"])],
            "three": [list(each) for each in zip(own, others["tuned-160"], others["tuned-2560"])],
            "rules": others["rules"],
            "marked": [marked(text, answer) for text, answer in zip(texts, answers)],
        }
    )


def said(teacher):
    """A teacher's answers to all sentences, ``[23703]`` of 0 and 1."""
    return reviews.logits(teacher).argmax(-1).numpy()


@functools.cache
def wrong():
    """Where the teacher's answer is not people's majority, ``[pool]`` bool."""
    places = reviews.pool(on_reviews.TEACHER)
    return said(on_reviews.TEACHER)[places] != reviews.labels().numpy()[places]


def marked(text, answer):
    """Text and answer in one text, so that a reward model of words sees both: each word carries the answer."""
    return " ".join(f"{WORDS[answer]}_{word}" for word in filters.words(text))


@functools.cache
def fitted_reward():
    """A reward model that has seen the teacher's 640 labels: the sentence with its answer is better than with the other."""
    places = reviews.labelled(TEACHER_LABELS)
    texts, labels = reviews.sentences()["text"].to_numpy()[places], reviews.labels().numpy()[places]
    pairs = [[marked(text, answer) for text, answer in zip(texts, some)] for some in (labels, 1 - labels)]
    return filters.fit_reward(*pairs)


# --- The filters --------------------------------------------------------------------------------------------------------


def confident(dataset):
    """Keeps what the teacher is at least 90% sure of."""
    sure = on_reviews.soft(reviews.pool(on_reviews.TEACHER)).amax(-1).tolist()
    return [filters.Verdict(value >= 0.9, f"sure: {value:.2f}", value) for value in sure]


def likely(dataset):
    """The package's filter by perplexity, under SmolLM2; what it measures is kept in the build folder."""
    cache = runtime.REPOSITORY / "build" / "reviews" / "perplexity.parquet"
    model, tokenizer = smollm.teacher(), smollm.tokenizer()
    model = model.to(torch.bfloat16 if runtime.bf16() else torch.float32)
    return filters.perplexity(model, tokenizer, most=500, cache=cache, say=print)(dataset)


def by(verdict):
    """A filter's own number for a row, or 1 and 0 for keep and drop."""
    return float(verdict.keep if verdict.value is None else verdict.value)


def near(middle):
    """A function of a verdict: the less a length differs from the middle, by ratio, the better."""
    return lambda verdict: -abs(np.log(max(verdict.value, 1) / middle))


# An arm's filter, and how good a row is by its verdict.
FILTERS = {
    "confident": (lambda: confident, by),
    "consistent": (lambda: filters.self_consistency("two", 1.0, label="label"), lambda verdict: float(verdict.keep)),
    "three agree": (lambda: filters.self_consistency("three", 1.0, label="label"), lambda verdict: float(verdict.keep)),
    "rules": (lambda: filters.reference("rules", "label"), by),
    "reward": (lambda: filters.reward(fitted_reward(), 0.0, "marked"), by),
    "length": (lambda: filters.length(4, 40, "words"), near(16)),
    "unlike": (lambda: filters.near_duplicates(), lambda verdict: -by(verdict)),
    "likely": (lambda: likely, lambda verdict: -by(verdict)),
}
# What a filter costs beside the teacher: people's labels, and readings of a sentence by a model as large as the teacher.
COST = {"consistent": (0, 1), "three agree": (1920, 2), "likely": (0, 1)}


@functools.cache
def verdicts(arm):
    """A filter's verdicts on the whole pool."""
    make, _ = FILTERS[arm]
    return make()(pool())


@functools.cache
def worth(arm):
    """How good each sentence of the pool is to a filter, ``[pool]``; all alike to chance."""
    if arm == "people":
        return 1.0 - wrong()
    if arm not in FILTERS:
        return np.zeros(len(wrong()))
    _, value = FILTERS[arm]
    return np.array([value(verdict) for verdict in verdicts(arm)])


def best(arm, rows, count, seed):
    """Which `count` of these rows of the pool a filter keeps: the best, drawn among equals."""
    chance = np.random.default_rng([seed, 6]).random(len(rows))
    return rows[np.lexsort((chance, -worth(arm)[rows]))[:count]]


# --- What it finds, and what a student makes of it ----------------------------------------------------------------------


def found(arm, seed):
    """Half of the pool is dropped. ``recall`` (a number a sentence, whose mean is the share of the errors that are dropped),
    ``precision`` (share of errors among the dropped) and ``errors kept``; "own", the same where the filter itself draws its
    line; and the filter's cost.
    """
    bad, rows = wrong(), np.arange(len(wrong()))
    dropped = ~np.isin(rows, best(arm, rows, len(rows) // 2, seed))
    labels, readings = COST.get(arm, (0, 0))
    recall = dropped[bad].mean()
    out = {
        # A share of some items as a mean over all: each error counts for its distance from the share (delta method).
        "recall": (recall + bad * (dropped - recall) / bad.mean()).tolist(),
        "precision": bad[dropped].mean(),
        "errors kept": bad[~dropped].mean(),
        "labels": len(rows) if arm == "people" else labels,
        "readings": readings,
    }
    own = np.array([not verdict.keep for verdict in verdicts(arm)]) if arm in FILTERS else np.zeros(len(rows), bool)
    if own.any():
        out |= {
            "own: dropped": own.mean(),
            "own: precision": bad[own].mean(),
            "own: recall": own[bad].mean(),
        }
    return out


def documents():
    """What each pool sentence belongs to: its product review, or itself."""
    ids = reviews.sentences()["id"].to_numpy()[reviews.pool(on_reviews.TEACHER)]
    return [name.rsplit("_", 1)[0] for name in ids]


def diet(arm, seed):
    """The places of an arm's sentences, and the answers that a student learns from, ``[N]``."""
    places, answers = on_reviews.drawn(seed), said(on_reviews.TEACHER)
    if arm != "all":
        rows = np.searchsorted(reviews.pool(on_reviews.TEACHER), places)
        places = reviews.pool(on_reviews.TEACHER)[best(arm, rows, KEPT, seed)]
    targets = answers[places]
    if arm == "labels too":
        labelled = reviews.labelled(TEACHER_LABELS)
        places, targets = np.append(places, labelled), np.append(targets, reviews.labels().numpy()[labelled])
    return places, targets


def score(arm, seed, rate, split):
    """`on_reviews.scores` of an arm's student; on "test" also how many of its answers were right, and how many positive."""
    places, targets = diet(arm, seed)
    model = on_reviews.learn("frozen", places, on_reviews.answers(torch.from_numpy(targets)), rate, seed)
    out = on_reviews.scores(model, "frozen", split)
    if split == "test":
        out |= {"answers right": (targets == reviews.labels().numpy()[places]).mean(), "positive": targets.mean()}
    return out


CHEAP = tuple(name for name in FILTERS if name != "likely")

EXPERIMENTS = (
    Experiment("lesson06-found", ("random", *CHEAP, "people"), tuple(range(10)), found, groups=documents),
    *study.at_chosen_rates(
        "lesson06-filters-rates",
        "lesson06-filters",
        ("random", "all", "people", *CHEAP, "labels too"),
        GRID,
        score,
        range(10),
        groups=on_reviews.groups,
    ),
    Experiment("lesson06-perplexity-found", ("likely",), tuple(range(10)), found, groups=documents),
    *study.at_chosen_rates(
        "lesson06-perplexity-rates",
        "lesson06-perplexity",
        ("likely",),
        GRID,
        score,
        range(10),
        groups=on_reviews.groups,
    ),
)

NAMES = {
    "random": "a random half",
    "all": "all 5,000",
    "people": "without the errors that people see",
    "confident": "what the teacher is sure of",
    "consistent": "what a second teacher agrees on",
    "three agree": "what three teachers agree on",
    "rules": "what the word list agrees on",
    "reward": "what a reward model likes",
    "length": "of middle length",
    "unlike": "unlike each other",
    "likely": "what SmolLM2 finds likely",
    "labels too": "a random half and 640 labels",
    "recall": "share of the teacher's errors that it drops",
    "precision": "share of errors in what it drops",
}
