"""Lesson 13 on `reviews`: each symptom made on purpose, beside its sound control, and cured.

Stated before the runs; settings were tried on seed 100, and the rules of `evaluation.triage` looked at on seeds 0 to 7. One
student, `frozen`, 200 steps of 128 sentences, for every arm but "tiny" and "linear". One learning rate for all, RATE: the
symptoms are made by data and settings, and a cure changes one thing at its symptom's rate. Where the rate is the cause it is
HIGH, fixed. The arms whose cause is the data alone are run a second time, each at the rate that three other seeds choose from
one grid (`SEARCHED`). Targets are the probabilities of the teacher that saw 640 labels, where nothing else is said.

==================  =====================================================================================================
sound               5,000 sentences of film and product reviews: the control of every symptom
narrow              50 sentences, each in ten near-copies with two words left out: overfits the synthetic data. Cures: the
                    same 50 with early stop or weight decay; "diverse", 500 different sentences
style               the answers, not the probabilities, for 2,000 messages and editorials, none of the task; at HIGH, kept at
                    the step when it sounds as sure as its teacher. Cures, under the same rule: "style, checked", only those
                    whose answer people share; "style, on the task", 2,000 of film and product reviews
film                4,000 film sentences: what is known before specialising, and what is shifted elsewhere
forgets             the film student goes on with 2,000 messages and the rule-based teacher, at HIGH. Cures: half film, a
                    tenth of film (replay), a lower rate (RATE / 4), one epoch, the last layer alone
sure                answers for 640 sentences, 40 epochs at HIGH: confidently wrong. Cures: their probabilities instead, five
                    epochs; a temperature fitted afterwards is a metric of every arm
tiny                194 weights: the gap is too wide. Cures: "linear" (3,458), "sound" (110,786); the surest half of its
                    answers is a metric
planted             this teacher is 97% sure that all that speaks of plot or players is positive. Cures: without
                    sentences on which a rule-based teacher differs; with the labels of 640 sentences for half of the rows;
                    the mean of three teachers, planted, tuned-160 and rules
realistic           half film, half messages and editorials, the same 4,000 in all: cures film's shift. "realistic, labels":
                    the same with people's labels
==================  =====================================================================================================

Metric: accuracy against people's majority on 3,000 test sentences of the case; for forgetting on the film ones; for errors
on the topic's; for the shift on messages and editorials; for confidence, mean confidence less accuracy. Least effects: 2
points of accuracy, a third of what lesson 02's student wins from 640 sentences to 5,000; 5 points of confidence, below which
nobody who reads "80% sure" would notice. Premises: the control is right over 65% of the time (a coin: 50%), the teacher 5
points more often, and the symptom itself is there by the least effect. Seeds 10 to 19 decide sentences, first weights, order.
"""

import copy
import functools
import re

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from torch import nn

from distill_lessons import training
from distill_lessons.course import results
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.course.results import Experiment
from distill_lessons.evaluation import calibration
from distill_lessons.pairs import reviews

RATE, HIGH = 1e-3, 4e-3
STEPS, BATCH, EVERY = 200, on_reviews.BATCH, 10
POOL, FILM, MESSAGES, OFF_TASK = on_reviews.POOL, 4000, 2000, 2000
ONCE, COPIES, LEFT_OUT = 50, 10, 2
FEW, SURE, LABELS = 500, 640, 640
DECAY = 1e-2
TOPIC = re.compile(
    r"\b(story|stories|plot|script|screenplay|characters?|actors?|acting|cast|performances?)\b", re.IGNORECASE
)
SHIFTED = reviews.SHIFTED
SEEDS = range(10, 20)


# --- Sentences and targets --------------------------------------------------------------------------------------------


def drawn(seed, count, sources=reviews.CASE):
    """The seed's own `count` sentences of these sources' pool: fewer are the first of more."""
    return np.random.default_rng(seed).permutation(reviews.pool(on_reviews.TEACHER, sources))[:count]


def near_copies(places, seed):
    """Texts: COPIES of each sentence, each with LEFT_OUT words left out, or with a quarter of a short one's."""
    rng, made = np.random.default_rng(seed), []
    for text in reviews.sentences()["text"].to_numpy()[places]:
        words = text.split()
        for _ in range(COPIES):
            gone = rng.choice(len(words), min(LEFT_OUT, len(words) // 4), replace=False)
            made.append(" ".join(word for place, word in enumerate(words) if place not in gone))
    return made


@functools.cache
def on_topic():
    """Whether each sentence speaks of plot or players: ``[23703]`` bool."""
    return np.array([bool(TOPIC.search(text)) for text in reviews.sentences()["text"]])


@functools.cache
def said(teacher):
    """A teacher's probabilities for all sentences; the planted one is 97% sure that all on the topic is positive."""
    if teacher != "planted":
        return reviews.logits(teacher).softmax(-1)
    p = said(on_reviews.TEACHER).clone()
    p[torch.from_numpy(on_topic())] = torch.tensor([0.03, 0.97])
    return p


def answers_of(p):
    """The answers of probabilities, as distributions."""
    return on_reviews.answers(p.argmax(-1))


def people(places):
    """People's majority, as distributions."""
    return on_reviews.answers(reviews.labels()[places])


def rows_of(arm, seed):
    """What an arm's student reads ``[N, 1728]`` and the targets for it ``[N, 2]``."""
    x, p = on_reviews.inputs("frozen"), said(on_reviews.TEACHER)
    case, film, messages = drawn(seed, POOL), drawn(seed, FILM, "film"), drawn(seed, MESSAGES, "message")
    if arm.startswith("narrow"):
        once = case[:ONCE]
        return reviews.features_of(near_copies(once, seed)), p[once].repeat_interleave(COPIES, 0)
    if arm.startswith("style"):
        places = case[:OFF_TASK] if arm == "style, on the task" else drawn(seed, OFF_TASK, SHIFTED)
        if arm == "style, checked":
            places = places[(p[places].argmax(-1) == reviews.labels()[places]).numpy()]
        return x[places], answers_of(p[places])
    if arm.startswith("sure"):
        return x[case[:SURE]], p[case[:SURE]] if arm == "sure, soft" else answers_of(p[case[:SURE]])
    if arm.startswith("planted"):
        return planted_rows(arm, case, seed)
    if arm.startswith("forgets"):
        kept = {"forgets, half film": film[:MESSAGES], "forgets, replay": film[: MESSAGES // 10]}.get(arm, film[:0])
        return x[np.r_[messages, kept]], torch.cat([said("rules")[messages], p[kept]])
    if arm.startswith("realistic"):
        places = np.r_[film[: FILM // 2], drawn(seed, FILM // 2, SHIFTED)]
        return x[places], people(places) if arm == "realistic, labels" else p[places]
    places = {"film": film, "diverse": case[:FEW]}.get(arm, case)
    return x[places], p[places]


def planted_rows(arm, case, seed):
    """`rows_of` the arms with planted errors."""
    x, p = on_reviews.inputs("frozen"), said("planted")
    if arm == "planted, filtered":
        case = case[(p[case].argmax(-1) == said("rules")[case].argmax(-1)).numpy()]
    if arm == "planted, labels":
        labelled = np.random.default_rng(seed).choice(reviews.labelled(LABELS), len(case))
        return x[np.r_[case, labelled]], torch.cat([p[case], people(labelled)])
    if arm == "planted, three teachers":
        return x[case], (p[case] + said("tuned-160")[case] + said("rules")[case]) / 3
    return x[case], p[case]


# --- Students ---------------------------------------------------------------------------------------------------------


class Few(nn.Module):
    """A linear student that reads the first `width` of the 1,728 numbers: 2 · width + 2 weights."""

    def __init__(self, width):
        super().__init__()
        self.width, self.head = width, nn.Linear(width, 2)

    def forward(self, x):
        return self.head(x[:, : self.width])


MAKE = {"tiny": lambda: Few(96), "linear": lambda: Few(3 * 576)}
SETTINGS = {  # where it is not RATE and STEPS
    "forgets": {"rate": HIGH},
    "forgets, half film": {"rate": HIGH},
    "forgets, replay": {"rate": HIGH},
    "forgets, lower rate": {"rate": RATE / 4},
    "forgets, one epoch": {"rate": HIGH, "steps": MESSAGES // BATCH + 1},
    "forgets, last layer": {"rate": HIGH},
    "style": {"rate": HIGH},
    "style, checked": {"rate": HIGH},
    "style, on the task": {"rate": HIGH},
    "sure": {"rate": HIGH},
    "sure, soft": {"rate": HIGH},
    "sure, five epochs": {"rate": HIGH, "steps": 5 * SURE // BATCH},
    "tiny": {"rate": HIGH},
    "narrow, weight decay": {"decay": DECAY},
}


class Watch:
    """Looks at a student on validation sentences every EVERY steps, and keeps its weights where a rule says so.

    "early stop" keeps the step with the best accuracy; "style" the first at which the student is as sure, on average, as its
    teacher. Without such a step the last weights stay.
    """

    def __init__(self, rule=None):
        places = reviews.places("validation")
        self.x, self.labels = on_reviews.inputs("frozen")[places], reviews.labels()[places]
        self.as_sure = said(on_reviews.TEACHER)[places].amax(-1).mean().item()
        self.rule, self.steps, self.kept, self.since, self.losses, self.right = rule, 0, None, [], [], []

    def __call__(self, model, loss):
        self.since.append(loss)
        if self.steps % EVERY == 0:
            self.look(model)
        self.steps += 1

    @torch.no_grad()
    def look(self, model):
        model.eval()
        p = model(self.x).softmax(-1)
        right = (p.argmax(-1) == self.labels).float().mean().item()
        best = self.rule == "early stop" and right > max(self.right, default=0)
        as_sure = self.rule == "style" and self.kept is None and p.amax(-1).mean().item() >= self.as_sure
        if best or as_sure:
            self.kept = copy.deepcopy(model.state_dict())
        self.losses.append(float(np.mean(self.since)))
        self.right.append(right)
        self.since = []
        model.train()


def taught(model, x, targets, seed, rate=RATE, steps=STEPS, decay=0.0, watch=None):
    """A student trained towards targets ``[N, 2]``; `decay` times the squared weights is added to the loss."""

    def loss(logits, batch_targets, labels):
        value = F.cross_entropy(logits, batch_targets)
        if watch is not None:
            watch(model, value.item())
        return value + decay * sum(each.square().sum() for each in model.parameters()) if decay else value

    zeros = torch.zeros(len(x), dtype=torch.long)  # no label enters but through the targets
    training.fit(model, x, zeros, loss, lambda batch: targets, steps, BATCH, rate, seed=seed)
    if watch is not None:
        watch.look(model)
        if watch.kept is not None:
            model.load_state_dict(watch.kept)
    return model.eval()


@functools.lru_cache(maxsize=4)
def student(arm, seed, rate=None):
    """An arm's student at a rate, by default the arm's own, and what watched it: None, or `Watch`."""
    if arm.startswith("forgets"):
        model = copy.deepcopy(student("film", seed)[0])
        model[1].requires_grad_(arm != "forgets, last layer")
    else:
        torch.manual_seed(seed)
        model = MAKE.get(arm, reviews.frozen)()
    rule = "style" if arm.startswith("style") else "early stop" if arm.endswith("early stop") else None
    watch = Watch(rule) if rule or arm in CURVES else None
    settings = SETTINGS.get(arm, {}) | ({} if rate is None else {"rate": rate})
    return taught(model, *rows_of(arm, seed), seed, watch=watch, **settings), watch


# --- Scores -----------------------------------------------------------------------------------------------------------

# Arms whose answers to every test sentence are kept, for the triage tool; and those whose course is.
KEPT = ("sound", "narrow", "style", "film", "forgets", "sure", "tiny", "planted")
CURVES = ("sound", "narrow", "diverse", "sure")
TEACHER_OF = {"planted": "planted"}


@torch.no_grad()
def probability(model, places):
    """A student's probability that each sentence is positive, ``[N]``."""
    return model(on_reviews.inputs("frozen")[places]).softmax(-1)[:, 1]


def measured(ask, temperature, kept):
    """Scores of one that says how likely each sentence is to be positive.

    Args:
        ask: a function from places to probabilities; temperature: what its logits are divided by, fitted on validation
            sentences; kept: which of its answers are, to the test sentences of the "case" or "everywhere".
    """
    case, labels = reviews.places("test"), reviews.labels()
    p = ask(case)
    right, sure = ((p > 0.5) == labels[case]).float(), torch.maximum(p, 1 - p)
    z = torch.logit(p.double(), 1e-6)
    scaled = torch.sigmoid(z.abs() / temperature)
    topic = torch.from_numpy(on_topic()[case])
    surest = sure.argsort(descending=True)[: len(sure) // 2]
    found = {
        "accuracy": right.tolist(),
        "overconfidence": (sure - right).mean().item(),
        "confidence": sure.mean().item(),
        "scaled: overconfidence": (scaled - right).mean().item(),
        "ece": calibration.ece(sure, right),
        "scaled: ece": calibration.ece(scaled, right),
        "surest half": right[surest].mean().item(),
        "topic": right[topic].mean().item(),
        "beside the topic": right[~topic].mean().item(),
    }
    shifted = reviews.places("test", SHIFTED)
    other = ask(shifted)
    for source in (*reviews.CASE, *SHIFTED):
        places = reviews.places("test", source)
        found[source] = ((ask(places) > 0.5) == labels[places]).float().mean().item()
    found["shifted"] = ((other > 0.5) == labels[shifted]).float().mean().item()
    if kept:
        found["p"] = thousandths(p)
    if kept == "everywhere":
        right = ((other > 0.5) == labels[shifted]).float()
        found |= {"p shifted": thousandths(other), "right shifted": right.tolist()}
    return found


def thousandths(p):
    """Probabilities to three decimals, on the side of a half on which they lie."""
    p = p.double().numpy()
    return np.where(p > 0.5, np.maximum(np.round(p, 3), 0.501), np.minimum(np.round(p, 3), 0.5)).tolist()


def score(arm, seed, rate=None):
    """Everything about an arm's student on test sentences, and how it repeats its own training answers."""
    model, watch = student(arm, seed, rate)
    x, targets = rows_of(arm, seed)
    validation = reviews.places("validation")
    with torch.no_grad():
        z, own = model(on_reviews.inputs("frozen")[validation]), model(x)
    followed = (own.argmax(-1) == targets.argmax(-1)).float()
    case = reviews.places("test")
    teacher = said(TEACHER_OF.get(arm.split(",")[0], on_reviews.TEACHER))[case].argmax(-1)
    p = probability(model, case)
    found = measured(
        lambda places: probability(model, places),
        calibration.fit_temperature(z, reviews.labels()[validation]),
        "" if rate is not None or arm not in KEPT else "everywhere" if arm in ("film", "forgets") else "case",
    )
    found |= {
        "agreement": ((p > 0.5) == teacher).float().mean().item(),
        "train agreement": followed.mean().item(),
        "sentences": len(x),
    }
    if rate is not None:
        return found
    if arm in KEPT:
        found["train agrees"] = followed[np.random.default_rng(seed).permutation(len(x))[:FEW]].tolist()
    if arm in CURVES:
        found |= {"curve: loss": watch.losses, "curve: accuracy": watch.right}
    if arm.startswith("style"):
        found |= judged(p, probability(student("sound", seed)[0], case), reviews.labels()[case])
    return found


def judged(p, rival, labels):
    """Where two disagree: how often a judge who takes the surer one takes the first, and how often people do."""
    apart = (p > 0.5) != (rival > 0.5)
    surer = (p - 0.5).abs() > (rival - 0.5).abs()
    return {
        "judge prefers": surer[apart].float().mean().item(),
        "people prefer": ((p > 0.5) == labels)[apart].float().mean().item(),
        "disagree": apart.float().mean().item(),
    }


def told(name):
    """A function of the seed: a teacher's own scores, whatever the seed."""

    def run(seed):
        z = torch.logit(said(name)[:, 1].double(), 1e-6)
        validation = reviews.places("validation")
        both = torch.stack([-z[validation] / 2, z[validation] / 2], -1)
        temperature = calibration.fit_temperature(both, reviews.labels()[validation])
        found = measured(lambda places: said(name)[places, 1], temperature, "everywhere" if seed == SEEDS[0] else "")
        if seed == SEEDS[0]:
            newspaper = np.isin(reviews.places("test", SHIFTED), reviews.places("test", "newspaper"))
            found["topical"] = on_topic()[reviews.places("test")].astype(float).tolist()
            found["of newspapers"] = newspaper.astype(float).tolist()
        return found

    return run


def at_rate(arm, seed, rate, split):
    """The same at a rate, or on validation sentences what a rate is chosen by."""
    if split == "test":
        return score(arm, seed, rate)
    places = reviews.places("validation")
    right = (probability(student(arm, seed, rate)[0], places) > 0.5) == reviews.labels()[places]
    return {"accuracy": right.float().mean().item()}


SICK = ("sound", "narrow", "style", "film", "forgets", "sure", "tiny", "planted")
CURED = (
    *("narrow, early stop", "narrow, weight decay", "diverse", "style, checked", "style, on the task"),
    *("forgets, half film", "forgets, replay", "forgets, lower rate", "forgets, one epoch", "forgets, last layer"),
    *("sure, soft", "sure, five epochs", "linear", "planted, filtered", "planted, labels", "planted, three teachers"),
    *("realistic", "realistic, labels"),
)
SEARCHED = (  # those whose cause is the data alone
    *("sound", "narrow", "narrow, early stop", "narrow, weight decay", "diverse"),
    *("planted", "planted, filtered", "planted, labels", "planted, three teachers"),
    *("film", "realistic", "realistic, labels"),
)
TEACHERS = {"teacher": on_reviews.TEACHER, "planted teacher": "planted", "rule-based teacher": "rules"}


def run(arm, seed):
    """A teacher's scores or a student's."""
    return told(TEACHERS[arm])(seed) if arm in TEACHERS else score(arm, seed)


EXPERIMENTS = (
    Experiment("lesson13-reviews", (*TEACHERS, *SICK), tuple(SEEDS), run, groups=on_reviews.groups),
    Experiment("lesson13-reviews-cures", CURED, tuple(SEEDS), run, groups=on_reviews.groups),
    *study.at_chosen_rates(
        "lesson13-reviews-rates",
        "lesson13-reviews-chosen",
        SEARCHED,
        [2.0**step * 1e-3 for step in range(-7, 6)],
        at_rate,
        SEEDS,
        groups=on_reviews.groups,
    ),
)

NAMES = {
    "style": "as sure as its teacher",
    "sure": "answers, 40 epochs",
    "tiny": "194 weights",
    "linear": "3,458 weights",
    "sound": "110,786 weights",
    "overconfidence": "confidence less accuracy",
    "topic": "accuracy on plot and players",
    "shifted": "accuracy on messages and editorials",
}


SYMPTOM = {  # of each arm, in the words of `evaluation.triage`
    "narrow": "overfits its training data",
    "style": "style without substance",
    "forgets": "forgets",
    "sure": "confidently wrong",
    "tiny": "gap too wide",
    "planted": "inherits the teacher's errors",
    "film": "shifted prompts",
}


# --- The recorded runs as tables for `evaluation.triage` ----------------------------------------------------------------

RECORDED = "lesson13-reviews"


def recorded(arm: str, seed: int) -> dict:
    """A recorded run as what `triage.diagnose` takes: predictions, trained_on, and where there are any curves and old_task.

    The held-out rows are the test sentences of the case; for "film" those of all four sources, for "forgets" the messages.
    "planted" has its topic as source. "forgets" and, to compare, "sound" have the film sentences as their old task, before by
    the film student. Nothing is trained.

    Raises:
        FileNotFoundError: the runs have not been recorded; ValueError: this arm's answers were not kept.
    """
    kept = _kept(results.recorded_folder())
    if (arm, "p", seed) not in kept:
        raise ValueError(f"no answers of {arm!r} with seed {seed} were kept; there are those of {', '.join(KEPT)}")
    case = _rows(kept, arm, seed, "p", "accuracy", "planted teacher" if arm == "planted" else "teacher")
    case["group"] = results.stamp(RECORDED)["groups"]
    film = case["group"].str.startswith("film").to_numpy()
    case["source"] = np.where(film, *reviews.CASE)
    found = {"trained_on": list(reviews.CASE)}
    if arm == "planted":
        case["source"] = np.where(kept["teacher", "topical", SEEDS[0]] > 0, "plot or players", "other")
        found["trained_on"] = ["plot or players", "other"]
    if arm in ("film", "forgets"):
        told = "rule-based teacher" if arm == "forgets" else "teacher"
        other = _rows(kept, arm, seed, "p shifted", "right shifted", told)
        other["source"] = np.where(kept["teacher", "of newspapers", SEEDS[0]] > 0, *reversed(SHIFTED))
        ids = reviews.sentences()["id"].to_numpy()[reviews.places("test", SHIFTED)]
        other["group"] = [name.rsplit("_", 1)[0] for name in ids]
        found["trained_on"] = ["film"] if arm == "film" else ["message"]
        case = pd.concat([case, other]) if arm == "film" else other[other["source"] == "message"]
    agrees = kept[arm, "train agrees", seed].astype(int)
    own = pd.DataFrame({"student": 1, "teacher": agrees, "split": "train", "source": found["trained_on"][0]})
    own["group"] = [f"train {place}" for place in range(len(own))]
    own["student_confidence"] = own["teacher_confidence"] = 1.0  # not kept, and nothing asks for it
    found["predictions"] = pd.concat([case.assign(split="held-out"), own], ignore_index=True)
    if arm in CURVES:
        right = kept[arm, "curve: accuracy", seed]
        found["curves"] = pd.DataFrame({"step": np.minimum(np.arange(len(right)) * EVERY, STEPS),
                                        "train_loss": kept[arm, "curve: loss", seed],
                                        "held_out_accuracy": right, "held_out_rows": VALIDATION})  # fmt: skip
    if arm in ("sound", "forgets"):
        before, after = (_rows(kept, each, seed, "p", "accuracy", "teacher")[film] for each in ("film", arm))
        found["old_task"] = pd.DataFrame(
            {"before": before["student"], "after": after["student"], "label": before["label"]}
        )
    return found


VALIDATION = 1000  # sentences on which the curves were measured


@functools.lru_cache(maxsize=1)
def _kept(folder):
    """``{(arm, metric, seed): [I]}`` of the recorded runs."""
    path = folder / f"{RECORDED}.items.parquet"
    if not path.is_file():
        raise FileNotFoundError(f"no recorded answers: run `python -m distill_lessons experiments {RECORDED}`")
    return {
        (row["arm"], row["metric"], row["seed"]): np.asarray(row["values"]) for row in pq.read_table(path).to_pylist()
    }


def _rows(kept, arm, seed, p, right, teacher):
    """A row a sentence: answers of student and teacher with their confidence, and people's, which follows from both."""
    found = {}
    for who, (name, number) in {"student": (arm, seed), "teacher": (teacher, SEEDS[0])}.items():
        says = kept[name, p, number]
        found |= {who: (says > 0.5).astype(int), f"{who}_confidence": np.maximum(says, 1 - says)}
    was_right = kept[arm, right, seed] > 0
    return pd.DataFrame(found | {"label": np.where(was_right, found["student"], 1 - found["student"])})
