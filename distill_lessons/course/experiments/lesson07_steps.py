"""Lesson 07 on `multiplication`: answers, worked steps, a teacher's own steps and three richer kinds of trace, on one grid.

Stated before the runs. All students see the same 7,100 problems; rates are searched by accuracy on 500 others, on three
seeds of their own, and each arm takes the lowest within a standard error of the best; where that is an end of the grid, the
next rate is added for all arms. Equal steps are 1,500 of 32 examples. Equal tokens are those that worked steps have in them,
prompts included: shorter texts take more steps and longer ones fewer. So long a training has taken worked steps off the
floor, and leaves something to gain. Ten seeds of first weights, order and what is random in a text. Scored by exact answers
on 500 test problems, each kept; mirror images (23·47 and 47·23) are one group. The teacher of `lesson07_teacher` was asked
for its traces at T=1: a seed takes one of four of each problem, and those that end on a wrong answer are left out. The
answers alone are the right ones, of all problems. An arm is on the floor below 5% right, and a base above 95% leaves less than
the least effect to gain.
"""

import functools
from collections.abc import Callable

import numpy as np

from distill_lessons.course.experiments import on_multiplication, study
from distill_lessons.course.experiments.on_multiplication import Problem, accuracy, ask, learn, tokens_of
from distill_lessons.pairs import multiplication as pair
from distill_lessons.teacher import generation

STEPS = 1500  # of on_multiplication.BATCH examples
VALIDATED = 500
SAMPLES = 4  # traces that the teacher was asked for, a problem
ARMS = {  # what is learned, and what is equal to the run on worked steps
    "answer": ("answer", "steps"),
    "answer, equal tokens": ("answer", "tokens"),
    "steps": ("steps", "tokens"),
    "free": ("free", "tokens"),
    "detailed": ("detailed", "tokens"),
    "mistake": ("mistake", "steps"),
    "verified": ("verified", "steps"),
}
SEEDED = ("mistake", "verified")  # texts in which something is random

# --- Problems and texts -----------------------------------------------------------------------------------------------


@functools.cache
def split() -> tuple[list[Problem], list[Problem]]:
    """The problems to train on and the 500 to validate on: the pair's own 200 and the first of its training problems.

    Mirror images stay together.
    """
    train, validation = pair.problems("train"), pair.problems("validation")
    cut = VALIDATED - len(validation)
    while set(train[cut - 1]) == set(train[cut]):
        cut -= 1
    return train[cut:], validation + train[:cut]


@functools.lru_cache(maxsize=2)
def lessons(material: str, seed: int) -> list[tuple[str, str]]:
    """(prompt, response) pairs of the training problems: a style of `pair`, or "free", the teacher's own right traces."""
    train = split()[0]
    if material == "free":
        known, traces = set(train), pair.traces("free")[seed % SAMPLES :: SAMPLES]
        return [(pair.prompt(a, b), text) for a, b, text in traces if (a, b) in known and pair.is_right(a, b, text)]
    style, more = pair.STYLES[material], {"seed": seed} if material in SEEDED else {}
    return [(pair.prompt(a, b), style(a, b, **more)) for a, b in train]


def steps_for(arm: str, seed: int) -> int:
    """How many steps an arm takes: STEPS, or as many as see the tokens of STEPS steps of worked steps."""
    material, equal = ARMS[arm]
    if equal == "steps":
        return STEPS
    return round(STEPS * tokens_of(lessons("steps", 0)) / tokens_of(lessons(material, seed)))


# --- Training and scores ----------------------------------------------------------------------------------------------


def score(arm: str, seed: int, rate: float, split_name: str) -> dict:
    """What an arm's student comes to on "validation" or "test" problems."""
    pairs, steps = lessons(ARMS[arm][0], seed), steps_for(arm, seed)
    model, seconds = learn(pair.student(seed), pair.tokenizer(), pairs, steps, seed, rate)
    if split_name == "validation":
        problems = split()[1]
        return {"accuracy": accuracy(problems, ask(model, problems))}
    return tested(lambda problems: ask(model, problems)) | {
        "seconds": seconds,
        "steps": steps,
        "tokens learned": steps * on_multiplication.BATCH * tokens_of(pairs),
        "examples": len(pairs),
    }


def tested(asked: Callable[[list[Problem]], list[str]]) -> dict:
    """Scores of whoever is asked the test problems.

    Returns:
        a number a problem for ``accuracy``, ``more carries minus none`` (its mean is the accuracy with two carries or more
        less that with none) and ``gain of the check`` (of the last attempt over the first); one number for ``no carry``,
        ``more carries``, ``three digits``, ``tokens`` (a response, with its end), ``true traces`` (no equation is false), and
        ``flagged`` (first attempts that the student's own check rejects).
    """
    problems, longer = pair.problems("test"), pair.longer_problems()
    made = asked(problems)
    right = np.array([pair.is_right(a, b, text) for (a, b), text in zip(problems, made)], float)
    carries = np.array([pair.carries(a, b) for a, b in problems])
    first = [(pair.attempts(text) or [(None, None)])[0] for text in made]
    at_first = np.array([answer == a * b for (a, b), (answer, _) in zip(problems, first)], float)
    return {
        "accuracy": right,
        "more carries minus none": on_multiplication.contrast(right, carries >= 2, carries == 0),
        "gain of the check": right - at_first,
        "no carry": right[carries == 0].mean(),
        "more carries": right[carries >= 2].mean(),
        "three digits": accuracy(longer, asked(longer)),
        "tokens": np.mean([len(text) + 1 for text in made]),
        "true traces": np.mean([pair.first_error(a, b, text) is None for (a, b), text in zip(problems, made)]),
        "flagged": np.mean([verdict == "n" for _, verdict in first]),
    }


def teacher(seed: int) -> dict:
    """The teacher's own scores by its likeliest traces, and ``accuracy at T=1``, asked as for the students' traces."""
    model, problems = pair.teacher("free"), pair.problems("test")
    prompts = [pair.prompt(a, b) for a, b in problems]
    how = {"max_new_tokens": 40, "temperature": 1.0, "seed": seed, "batch_size": len(prompts)}
    drawn = [text for text, _ in generation.generate(model, pair.tokenizer(), prompts, **how)]
    right = [float(pair.is_right(a, b, text)) for (a, b), text in zip(problems, drawn)]
    return tested(lambda asked: ask(model, asked)) | {"accuracy at T=1": right}


def groups() -> list[str]:
    """What each test problem belongs to: the two numbers, whichever comes first."""
    return ["*".join(map(str, sorted(problem))) for problem in pair.problems("test")]


EXPERIMENTS = study.at_chosen_rates(
    "lesson07-steps-rates",
    "lesson07-steps",
    ARMS,
    [2.0**step * 6e-3 for step in range(-3, 3)],  # 0.012 was the end of a first grid, and best for one arm
    score,
    range(10),
    beside={"teacher": teacher},
    groups=groups,
)

NAMES = {
    "accuracy": "right answers",
    "more carries minus none": "right answers with two carries or more less those without",
    "three digits": "right answers on three digits",
    "answer": "answers (equal steps)",
    "answer, equal tokens": "answers (equal tokens)",
    "steps": "a program's steps",
    "free": "a teacher's own steps",
    "detailed": "detailed steps",
    "mistake": "error analysis",
    "verified": "self-verification",
}
