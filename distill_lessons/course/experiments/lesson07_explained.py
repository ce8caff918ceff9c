"""Lesson 07 on word problems: bare answers against explanations, on one grid of rates.

Stated before the runs. All students see the same problems of one to four steps, those of explanations in 1,000 steps of 32;
answers take as many steps more as see the same tokens, prompts included. Rates are searched by accuracy on 500 other
problems, on three seeds of their own, and each arm takes the lowest within a standard error of the best; where that is an
end of the grid, the next rate is added for both. Ten seeds of first weights and order. Scored by exact answers on 600
problems that are in no training text, each kept; problems that differ in names, things and numbers alone are one group.
Beside them 600 with the sentences in an order not trained on. The explanations are a program's.
"""

import functools
import re

import numpy as np

from distill_lessons import evaluation
from distill_lessons.course.experiments import on_multiplication, study
from distill_lessons.pairs import word_problems
from distill_lessons.pairs.word_problems import Problem

STEPS, BATCH = 1000, 32
LONGEST = 80  # tokens of a response; an explanation of four steps has up to 54
VALIDATED = 500
ARMS = ("answer", "explanation")

# --- Problems and texts -----------------------------------------------------------------------------------------------


@functools.cache
def split() -> dict[str, list[Problem]]:
    """Problems for "train", "validation", "seen" (test) and "held out" (test, other orders); no prompt is in two of them."""
    train, seen, held_out = word_problems.split()
    taken = {problem.prompt for problem in train + seen}
    fresh = [problem for problem in word_problems.problems(2 * VALIDATED, "validation") if problem.prompt not in taken]
    return {"train": train, "validation": fresh[:VALIDATED], "seen": seen, "held out": held_out}


def lessons(kind: str) -> list[tuple[str, str]]:
    """(prompt, response) pairs of the training problems, with their "answer" or "explanation"."""
    return [(problem.prompt, getattr(problem, kind)) for problem in split()["train"]]


@functools.cache
def tokens_of(kind: str) -> float:
    """Mean number of tokens of a training example: prompt, response and end."""
    rows = word_problems.tokenizer()([" ".join(pair) for pair in lessons(kind)])["input_ids"]
    return sum(len(ids) + 1 for ids in rows) / len(rows)


def steps_for(arm: str) -> int:
    """As many steps as see the tokens of STEPS steps of explanations."""
    return round(STEPS * tokens_of("explanation") / tokens_of(arm))


def form(problem: Problem) -> str:
    """A problem with its names, things and numbers left out: ``_ has _ _ . _ buys _ _ . how many _ does _ have now ?``"""
    words = {*word_problems.NAMES, *word_problems.NAMES.values(), *word_problems.THINGS}
    return " ".join("_" if word in words or re.fullmatch(r"\d+", word) else word for word in problem.prompt.split())


# --- Training and scores ----------------------------------------------------------------------------------------------


def score(arm: str, seed: int, rate: float, split_name: str) -> dict:
    """What an arm's student comes to on "validation" or "test" problems."""
    steps = steps_for(arm)
    model, seconds = on_multiplication.learn(
        word_problems.student(seed), word_problems.tokenizer(), lessons(arm), steps, seed, rate, BATCH
    )
    if split_name == "validation":
        return {"accuracy": float(right(model, split()["validation"]).mean())}
    found = tested(split()["seen"], right(model, split()["seen"]))
    found["held out accuracy"] = right(model, split()["held out"]).mean()
    return found | {"seconds": seconds, "steps": steps, "tokens learned": steps * BATCH * tokens_of(arm)}


def right(model, problems: list[Problem]) -> np.ndarray:
    """Whether a model's response to each problem ends in its answer, ``[N]``, 1 or 0."""
    made = evaluation.responses(model, word_problems.tokenizer(), [problem.prompt for problem in problems], LONGEST)
    return np.array([word_problems.is_right(problem, text) for problem, text in zip(problems, made)], float)


def tested(problems: list[Problem], found: np.ndarray) -> dict:
    """Scores of problems that were answered rightly or not.

    Returns:
        a number a problem for ``accuracy`` and ``four steps minus one`` (its mean is the accuracy in four steps less that
        in one); one number for the accuracy in one to four steps.
    """
    steps = np.array([problem.steps for problem in problems])
    return {
        "accuracy": found,
        "four steps minus one": on_multiplication.contrast(found, steps == 4, steps == 1),
        **{f"accuracy, {count} steps": found[steps == count].mean() for count in (1, 2, 3, 4)},
    }


def groups() -> list[str]:
    """What each test problem belongs to: its form."""
    return [form(problem) for problem in split()["seen"]]


EXPERIMENTS = study.at_chosen_rates(
    "lesson07-explained-rates",
    "lesson07-explained",
    ARMS,
    [2.0**step * 6e-3 for step in range(-3, 2)],
    score,
    range(10),
    groups=groups,
)

NAMES = {
    "accuracy": "right answers",
    "held out accuracy": "right answers",
    "four steps minus one": "right answers in four steps less those in one",
    "answer": "answers (equal tokens)",
    "explanation": "explanations",
}
