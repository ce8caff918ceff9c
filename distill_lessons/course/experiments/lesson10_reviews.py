"""Lesson 10 on `reviews`: three unlike teachers, alone and mixed, what a student makes of each; and one's own teacher.

Stated before the runs. Teachers: SmolLM2 fine-tuned on 640 labels ("tuned"), the same model prompted and not trained, and a
word list with rules. Two settings: everywhere (film, products, messages, editorials: the three are right about equally often
there) and the case (film and products, where one was trained for it and the others were not). Students see the seed's own
5,000 sentences of the pool, whose labels no teacher has seen, and take 200 steps of 128.

====================  ===================================================================================================
tuned, prompted,      a student of that teacher's probabilities
rules
mean                  of the three's probabilities: what "several teachers" says without further words, and the main test
confident,            their mean with each one's confidence as weight, after one temperature a teacher
calibrated
by source             at every sentence the teacher that is best on its source's validation sentences
calibrated by source  the sum of logits, each divided by its teacher's temperature on that source
agree                 mean, on those of the 5,000 where all three answer alike: disagreement as a filter, equal steps
kin                   mean of two of one kind, tuned on 640 labels and on 160 of the same: correlated errors
people                people's majority: the ceiling
====================  ===================================================================================================

"ask …" is a teacher or a mixture itself, without a student. Mixtures were looked at on validation sentences and single
teachers' students tried on seed 100: tuned is the best teacher there, but the student of rules is the best student of one,
and so it is whom several teachers must beat; the others stand beside it. Rates searched on three seeds of their own by
accuracy on validation sentences of the setting, one grid for all; ten seeds of draw, start and order. Metric: accuracy
against people's majority on 5,817 test sentences of four sources, or the case's 3,000. Least effect: a point is 400 of
40,000 sentences a day. Premises: people's labels beat the best single teacher's student by a point, so that a better
teacher could; for "the student passes its teacher", a student of people's labels passes it. Cost: 403 runs of 1 s.

One's own teacher, on the case: round 1 learns 640 labels ("labels") or the tuned teacher's probabilities for 5,000 sentences
("teacher"); each next round's student, with fresh weights, the probabilities of the last one's for the same 5,000. "answers"
begins as "labels", and hands on answers instead. Five rounds of 200 steps; the control takes 1,000 steps on what round 1
learns from. Rates are those of a diet: round 1 and its control the one searched for it, later rounds the one searched for
5,000 probabilities. Main test: "labels", round 5 against round 1, by a point. Premises: round 1 is right over 55%, so that
there is something to hand on; people's labels for 5,000 sentences beat 640 by a point, so that there is room. Cost: 42
searches, ten seeds of 24 students.

Added when that table was there and two other seeds had been tried: all rounds with ten times the steps, at the same rates
("lesson10-again-long", ten seeds of 10 students of 10 s). It asks whether what the rounds lose is their shortness.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F

from distill_lessons.course import results
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.evaluation import calibration
from distill_lessons.pairs import reviews

TEACHERS = ("tuned-640", "prompted", "rules")
KIN = ("tuned-640", "tuned-160")
EVERYWHERE = (*reviews.CASE, *reviews.SHIFTED)
STEPS, POOL = 200, on_reviews.POOL

# --- Mixtures ---------------------------------------------------------------------------------------------------------


@functools.cache
def sources():
    """Every sentence's source, ``[23703]``."""
    return reviews.sentences()["source"].to_numpy()


def spoken(teachers=TEACHERS, temperature=lambda name: 1.0):
    """What each teacher says of every sentence: log-probabilities ``[teachers, 23703, 2]``.

    Args:
        temperature: of a teacher, a number or one a sentence ``[23703, 1]``; its logits are divided by it.
    """
    return torch.stack([(reviews.logits(name) / temperature(name)).log_softmax(-1) for name in teachers])


def fitted(name, sources):
    """The temperature that suits a teacher best on the validation sentences of these sources."""
    places = reviews.places("validation", sources)
    return calibration.fit_temperature(reviews.logits(name)[places], reviews.labels()[places])


def at_home(name):
    """A teacher's fitted temperature at every sentence: that of its source, ``[23703, 1]``."""
    found = {source: fitted(name, source) for source in EVERYWHERE}
    return torch.tensor([[found[source]] for source in sources()])


def mean(log_p):
    """The mean of probabilities."""
    return log_p.exp().mean(0)


def geometric(log_p):
    """The mean of logits, as probabilities."""
    return log_p.mean(0).softmax(-1)


def added(log_p):
    """The sum of logits, as probabilities: right where each is calibrated and their errors are independent."""
    return log_p.sum(0).softmax(-1)


def confident(log_p):
    """The mean of probabilities, each with its teacher's confidence as weight."""
    p = log_p.exp()
    weights = p.amax(-1, keepdim=True)
    return (weights * p).sum(0) / weights.sum(0)


def surest(log_p):
    """At every sentence what the surest teacher says."""
    p = log_p.exp()
    return p[p.amax(-1).argmax(0), torch.arange(p.shape[1])]


def best_by_source():
    """The teacher of `TEACHERS` that is right most often on a source's validation sentences, by source."""

    def right(name, source):
        places = reviews.places("validation", source)
        return (reviews.logits(name)[places].argmax(-1) == reviews.labels()[places]).float().mean().item()

    return {source: max(TEACHERS, key=lambda name: right(name, source)) for source in EVERYWHERE}


def routed():
    """At every sentence what the teacher says that is best for its source."""
    log_p, best = spoken(), best_by_source()
    whose = torch.tensor([TEACHERS.index(best[source]) for source in sources()])
    return log_p.exp()[whose, torch.arange(len(whose))]


def everywhere(name):
    """A teacher's one temperature, fitted on validation sentences of all four sources."""
    return fitted(name, EVERYWHERE)


MIXTURES = {
    "tuned": lambda: mean(spoken(TEACHERS[:1])),
    "prompted": lambda: mean(spoken(TEACHERS[1:2])),
    "rules": lambda: mean(spoken(TEACHERS[2:])),
    "mean": lambda: mean(spoken()),
    "logits": lambda: geometric(spoken()),
    "confident": lambda: confident(spoken()),
    "surest": lambda: surest(spoken()),
    "mean, calibrated": lambda: mean(spoken(temperature=everywhere)),
    "confident, calibrated": lambda: confident(spoken(temperature=everywhere)),
    "surest, calibrated": lambda: surest(spoken(temperature=everywhere)),
    "by source": routed,
    "calibrated by source": lambda: added(spoken(temperature=at_home)),
    "kin": lambda: mean(spoken(KIN)),
    "people": lambda: on_reviews.answers(reviews.labels()),
}


@functools.cache
def mixture(name):
    """Probabilities ``[23703, 2]`` of one of MIXTURES; of "people" their majority."""
    return MIXTURES[name]()


@functools.cache
def agree():
    """Where all three teachers give the same answer, ``[23703]`` bool."""
    answers = spoken().argmax(-1)
    return (answers == answers[0]).all(0).numpy()


# --- Students and scores ----------------------------------------------------------------------------------------------


def drawn(seed, sources=EVERYWHERE):
    """The seed's own sentences of these sources' pool, `POOL` of them; no teacher has seen their labels."""
    return np.random.default_rng(seed).permutation(reviews.pool(on_reviews.TEACHER, sources))[:POOL]


def diet(arm, seed, sources=EVERYWHERE):
    """The places of an arm's sentences, and the targets for them ``[N, 2]``."""
    places = drawn(seed, sources)
    if arm == "agree":
        places = places[agree()[places]]
    return places, mixture("mean" if arm == "agree" else arm)[places]


def student(arm, seed, rate, sources=EVERYWHERE):
    """A student of an arm, 110,786 weights on frozen word vectors."""
    return on_reviews.learn("frozen", *diet(arm, seed, sources), rate, seed, steps=STEPS)


def measured(ask, setting):
    """Scores of one who is asked, on a setting's test sentences.

    Args:
        ask: a function from places to logits ``[N, 2]``.
    """
    places = reviews.places("test", setting)
    z, labels, where = ask(places), reviews.labels()[places], sources()[places]
    right = (z.argmax(-1) == labels).float()
    found = {"accuracy": right.tolist(), "nats": F.cross_entropy(z, labels).item()}
    found |= {source: right[torch.from_numpy(where == source)].mean().item() for source in setting}
    found["overconfidence"] = (z.softmax(-1).amax(-1) - right).mean().item()
    for name in TEACHERS:
        wrong = reviews.logits(name)[places].argmax(-1) != labels
        found[f"copied from {name}"] = (1 - right)[wrong].mean().item()
    return found


def scored(model, setting, split):
    """A student's `measured`, or on "validation" its accuracy there."""
    if split == "test":
        return measured(lambda places: on_reviews.logits(model, "frozen", places), setting)
    places = reviews.places("validation", setting)
    return on_reviews.validated(on_reviews.logits(model, "frozen", places), places)


def score(arm, seed, rate, split):
    """An arm's student everywhere."""
    return scored(student(arm, seed, rate), EVERYWHERE, split)


def case_score(arm, seed, rate, split):
    """An arm's student of the case."""
    return scored(student(arm, seed, rate, reviews.CASE), reviews.CASE, split)


def asked(name, setting):
    """A function of the seed: a teacher's or a mixture's own scores, whatever the seed."""

    def run(seed):
        log_p = mixture(name).clamp(min=1e-6).log()
        return measured(lambda places: log_p[places], setting)

    return run


def groups(setting=EVERYWHERE):
    """What each test sentence belongs to: its document, or itself."""
    ids = reviews.sentences()["id"].to_numpy()[reviews.places("test", setting)]
    return [name.rsplit("_", 1)[0] for name in ids]


# --- One's own teacher ------------------------------------------------------------------------------------------------

ROUNDS, LABELS, AGAIN, LONG = 5, 640, "lesson10-again", 2000  # LONG: steps of a round, ten times STEPS


def beginning(origin, seed):
    """What round 1 learns from: places, and targets ``[N, 2]``."""
    if origin == "teacher":
        places = drawn(seed, reviews.CASE)
        return places, on_reviews.soft(places)
    places = reviews.labelled(LABELS)
    return places, on_reviews.answers(reviews.labels()[places])


def again_score(origin, seed, rate, split):
    """The student of round 1."""
    model = on_reviews.learn("frozen", *beginning(origin, seed), rate, seed, steps=STEPS)
    return scored(model, reviews.CASE, split)


def found_rate(origin):
    """The learning rate that the search found for "labels" or "teacher"."""
    name = f"{AGAIN}-rates"
    return study.chosen_rate(results.load(name), origin, study.rates_of(name, origin), "accuracy")


@functools.lru_cache(maxsize=3)
def rounds(origin, seed, steps=None):
    """The students of all rounds of "labels", "answers" or "teacher", STEPS or `steps` each."""
    steps = steps or STEPS
    start = "teacher" if origin == "teacher" else "labels"
    students = [on_reviews.learn("frozen", *beginning(start, seed), found_rate(start), seed, steps=steps)]
    places = drawn(seed, reviews.CASE)
    for number in range(1, ROUNDS):
        p = on_reviews.logits(students[-1], "frozen", places).softmax(-1)
        targets = on_reviews.answers(p.argmax(-1)) if origin == "answers" else p
        fresh = seed + 1000 * number
        students.append(on_reviews.learn("frozen", places, targets, found_rate("teacher"), fresh, steps=steps))
    return students


def of_round(origin, number, steps=None):
    """A function of the seed: scores of that round's student."""
    return lambda seed: scored(rounds(origin, seed, steps)[number - 1], reviews.CASE, "test")


def longer(origin):
    """A function of the seed: scores of a student that takes all rounds' steps on what round 1 learns from."""

    def score_of(seed):
        steps = ROUNDS * STEPS
        model = on_reviews.learn("frozen", *beginning(origin, seed), found_rate(origin), seed, steps=steps)
        return scored(model, reviews.CASE, "test")

    return score_of


def long_round(arm, seed):
    """Scores of a student of `rounds` at LONG steps each: an arm is "labels, round 3"."""
    origin, _, number = arm.partition(", round ")
    return of_round(origin, int(number), LONG)(seed)


ASKED = tuple(name for name in MIXTURES if name != "people")

EXPERIMENTS = (
    *study.at_chosen_rates(
        "lesson10-teachers-rates",
        "lesson10-teachers",
        ("tuned", "prompted", "rules", "mean", "confident, calibrated", "by source", "calibrated by source", "agree", "kin",
         "people"),
        [2.0**step * 1e-3 for step in range(-2, 5)],
        score,
        range(10),
        beside={f"ask {name}": asked(name, EVERYWHERE) for name in ASKED},
        groups=groups,
    ),
    *study.at_chosen_rates(
        f"{AGAIN}-rates",
        AGAIN,
        ("labels", "teacher"),
        [2.0**step * 1e-3 for step in range(-3, 4)],
        again_score,
        range(10),
        beside={
            **{f"{origin}, round {number}": of_round(origin, number)
               for origin in ("labels", "answers", "teacher") for number in range(2, ROUNDS + 1)},
            **{f"{origin}, 1,000 steps": longer(origin) for origin in ("labels", "teacher")},
        },
        groups=on_reviews.groups,
    ),
    results.Experiment(
        f"{AGAIN}-long",
        tuple(f"{origin}, round {number}" for origin in ("labels", "teacher") for number in range(1, ROUNDS + 1)),
        tuple(range(10)),
        long_round,
        groups=on_reviews.groups,
    ),
    *study.at_chosen_rates(
        "lesson10-case-rates",
        "lesson10-case",
        ("tuned", "rules", "mean"),
        [2.0**step * 1e-3 for step in range(-2, 5)],
        case_score,
        range(10),
        beside={f"ask {name}": asked(name, reviews.CASE) for name in ASKED},
        groups=on_reviews.groups,
    ),
)  # fmt: skip

NAMES = {
    "tuned": "trained",
    "rules": "word list",
    "mean": "mean of three",
    "confident": "weighted by confidence",
    "confident, calibrated": "weighted by confidence, calibrated",
    "surest": "the surest",
    "surest, calibrated": "the surest, calibrated",
    "by source": "the best on each source",
    "calibrated by source": "added, calibrated by source",
    "agree": "where all three agree",
    "kin": "mean of two of a kind",
    "people": "people's majority",
}
NAMES |= {f"ask {name}": f"{NAMES.get(name, name)} itself" for name in ASKED}
