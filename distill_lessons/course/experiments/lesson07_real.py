"""Lesson 07: the real model, SmolLM2-135M, asked problems with and without "step by step"."""

import functools
import re

from distill_lessons import evaluation
from distill_lessons.course.experiments import on_multiplication
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import multiplication, smollm, word_problems

PROMPTS = {
    "bare": "{problem} Answer with a number only.",
    "step by step": "{problem} Think step by step, then give the answer.",
}
GROUPS = 10
LONGEST = {"bare": 24, "step by step": 160}  # tokens of an answer


def problems(group):
    """Ten problems with their answers: five word problems, as one would type them, and five products of two digits."""
    words = [(tidy(p.prompt), int(p.answer)) for p in word_problems.problems(5, f"real {group}")]
    products = multiplication.problems("test")[5 * group : 5 * group + 5]
    return words + [(f"What is {a} × {b}?", a * b) for a, b in products]


def tidy(text):
    """A word problem with the spaces and capitals of ordinary writing."""
    text = re.sub(r" ([.?])", r"\1", text)
    return re.sub(r"(^|[.?] )([a-z])", lambda found: found[1] + found[2].upper(), text)


@functools.lru_cache(maxsize=2)
def answers(arm):
    """The model's likeliest answers to all hundred problems, asked together."""
    prompts = [PROMPTS[arm].format(problem=problem) for group in range(GROUPS) for problem, _ in problems(group)]
    return evaluation.responses(smollm.teacher(), smollm.tokenizer(), prompts, LONGEST[arm])


def run(arm, seed):
    """Share right of ten problems, and of the word problems and the products among them; tokens an answer.

    The "seed" chooses the problems. Right is whose last number is the answer.
    """
    made, tokenizer = answers(arm)[10 * seed : 10 * seed + 10], smollm.tokenizer()
    right = [on_multiplication.last_number(text) == answer for text, (_, answer) in zip(made, problems(seed))]
    tokens = sum(len(tokenizer(text)["input_ids"]) for text in made) / len(made)
    return {"accuracy": sum(right) / 10, "words": sum(right[:5]) / 5, "products": sum(right[5:]) / 5, "tokens": tokens}


EXPERIMENTS = (Experiment("lesson07-real", tuple(PROMPTS), tuple(range(GROUPS)), run, ("cpu", "cuda")),)
