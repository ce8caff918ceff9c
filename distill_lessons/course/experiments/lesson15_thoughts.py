"""Lesson 15 on `multiplication`: a thinking teacher's traces, whole, short, or cut to fit a length limit.

Stated before the runs. All students see the same 7,100 problems and as many tokens as 1,500 steps of 32 short thoughts have
in them, prompts included.

======  =======================================================================================================
answer  the product alone
short   worked steps: the two partial products and their sum
long    every digit's product and every place of the sum
cut     the long thought as far as it fits in `LIMIT` tokens with the answer behind it: its beginning, and how it ended
======  =======================================================================================================

Rates are searched on three seeds of their own, one grid for all arms, by accuracy on 500 validation problems
(`lesson07_steps`); ten seeds of first weights and order. Metric: exact answers on 500 test problems, mirror images one
group. Main test: long against cut, by two points: a problem in fifty is what a seed of these students moves by. Premise:
students of whole thoughts are right on 5% to 95%. `LIMIT` is half a long thought: a common cure for a long trace is to cut
it there. One pilot, seed 900 at 6e-3: long 75%, cut 21% on validation problems, so that neither is at an end. Cost: 72
searches and 40 runs of about 28 s, 52 minutes of one thread.
"""

import functools

from distill_lessons.course.experiments import lesson07_steps, on_multiplication, study
from distill_lessons.pairs import multiplication as pair

STEPS = 1500
LIMIT = 40  # tokens of a response, its end not counted; a long thought has about 80


def cut(a: int, b: int) -> str:
    """The long thought up to the limit, then the answer: ``23*40+23*7;23*4=80+12=92;23*40=920;=1081``."""
    thought, _, answer = pair.detailed(a, b).rpartition("=")
    return f"{thought[: LIMIT - len(answer) - 1]}={answer}"


ARMS = {"answer": pair.answer, "short": pair.steps, "long": pair.detailed, "cut": cut}


@functools.cache
def texts(arm: str) -> list[tuple[str, str]]:
    """(prompt, response) pairs of the training problems."""
    return [(pair.prompt(a, b), ARMS[arm](a, b)) for a, b in lesson07_steps.split()[0]]


def steps_for(arm: str) -> int:
    """How many steps see the tokens of STEPS steps of short thoughts."""
    return round(STEPS * on_multiplication.tokens_of(texts("short")) / on_multiplication.tokens_of(texts(arm)))


def score(arm: str, seed: int, rate: float, split: str) -> dict:
    """What an arm's student comes to on "validation" or "test" problems."""
    steps = steps_for(arm)
    model, seconds = on_multiplication.learn(pair.student(seed), pair.tokenizer(), texts(arm), steps, seed, rate)
    if split == "validation":
        problems = lesson07_steps.split()[1]
        return {"accuracy": on_multiplication.accuracy(problems, on_multiplication.ask(model, problems))}
    found = lesson07_steps.tested(lambda problems: on_multiplication.ask(model, problems))
    names = ("accuracy", "no carry", "more carries", "tokens")
    return {name: found[name] for name in names} | {"seconds": seconds, "steps": steps}


EXPERIMENTS = study.at_chosen_rates(
    "lesson15-thoughts-rates",
    "lesson15-thoughts",
    ARMS,
    [2.0**step * 6e-3 for step in range(-3, 3)],
    score,
    range(10),
    groups=lesson07_steps.groups,
)

NAMES = {
    "accuracy": "right answers",
    "answer": "the answer alone",
    "short": "short thoughts",
    "long": "long thoughts",
    "cut": "long thoughts, cut",
}
