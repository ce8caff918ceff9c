"""Lesson 14 on `reviews`: N labels for the student, or for a teacher that then speaks about 5,000 sentences without labels.

Stated before the runs: the teacher of N labels saw those N and no other; with all 10,313 labels nothing is left without
a label, and the teacher speaks about the same sentences. The wrong teacher is the one of 640 labels whose answer is turned
round wherever a sentence has a negation. Rates searched on three seeds of their own; ten seeds.
"""

import re

import numpy as np
import torch

from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews

NEGATION = re.compile(r"\b(?:not|no|never|nothing|nor|neither|without|cannot|\w+n['’]t)\b", re.IGNORECASE)


def labelled(number):
    """Places of the first N labelled sentences, or of all that have a label of the case."""
    return reviews.trained_on(f"tuned-{number}")


def negated(places: np.ndarray) -> torch.Tensor:
    """Which sentences have a negation, ``[N]`` bool."""
    texts = reviews.sentences()["text"].to_numpy()[places]
    return torch.tensor([bool(NEGATION.search(text)) for text in texts])


def diet(arm, seed):
    """The places of an arm's sentences, and the targets for them."""
    who, number = arm.split()
    if who == "labels":
        places = labelled(number)
        return places, on_reviews.answers(reviews.labels()[places])
    if who == "teacher":
        places = labelled("all") if number == "all" else on_reviews.drawn(seed, teacher=f"tuned-{number}")
        return places, on_reviews.soft(places, teacher=f"tuned-{number}")
    places = on_reviews.drawn(seed)
    soft = on_reviews.soft(places)
    return places, torch.where(negated(places)[:, None], soft.flip(-1), soft)


def score(arm, seed, rate, split):
    """`on_reviews.scores` of an arm's student."""
    model = on_reviews.learn("frozen", *diet(arm, seed), rate, seed)
    return on_reviews.scores(model, "frozen", split)


def of_teacher(name):
    """A function of the seed: a teacher's own scores."""
    return lambda seed: on_reviews.teacher_scores(name)


def wrong(seed):
    """The wrong teacher's accuracy on the test sentences, a number a sentence."""
    places = reviews.places("test")
    right = reviews.logits(on_reviews.TEACHER)[places].argmax(-1) == reviews.labels()[places]
    return {"accuracy": (right ^ negated(places)).float().tolist()}


def both_steps(name, numbers, grid, wrong_too=False):
    """The search and the runs of N labels for a student or for its teacher, and the teachers themselves."""
    arms = (*(f"labels {n}" for n in numbers), *(f"teacher {n}" for n in numbers))
    teachers = {f"tuned-{n}": of_teacher(f"tuned-{n}") for n in numbers}
    if wrong_too:
        arms, teachers = (*arms, "wrong 640"), teachers | {"wrong teacher": wrong}
    return study.at_chosen_rates(
        f"{name}-rates", name, arms, grid, score, range(10), beside=teachers, groups=on_reviews.groups
    )


EXPERIMENTS = (
    *both_steps("lesson14-reviews", ("640", "2560"), [2.0**step * 1e-3 for step in range(-5, 5)], wrong_too=True),
    *both_steps("lesson14-few", ("160",), [2.0**step * 1e-3 for step in range(-5, 7)]),
    *both_steps("lesson14-all", ("all",), [2.0**step * 1e-3 for step in range(-5, 5)]),
)

NAMES = {
    **{f"labels {n}": f"{n} labels" for n in ("160", "640", "2560", "all")},
    **{f"teacher {n}": f"a teacher of {n} labels" for n in ("160", "640", "2560", "all")},
    "wrong 640": "a teacher that turns negations round",
}
