"""What several lessons do on `multiplication`: texts to learn from, budgets, training, asking, and searched rates."""

import functools
import re
import time
from collections.abc import Callable, Sequence

import numpy as np
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from distill_lessons import evaluation, training
from distill_lessons.course import results
from distill_lessons.pairs import multiplication as pair

Problem = tuple[int, int]

STEPS, BATCH, RATE = 2000, 32, 6e-3
LONGEST = 120  # tokens of a response
TRIED = (1.5e-3, 3e-3, 6e-3, 1.2e-2)  # learning rates of a search

# --- What the students learn from -------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def teacher_traces(name: str, only_right: bool) -> list[tuple[int, int, str]]:
    """A teacher's own traces of the training problems, all or those that end on the right answer."""
    return [(a, b, text) for a, b, text in pair.traces(name) if not only_right or pair.is_right(a, b, text)]


def texts(material: str) -> list[tuple[str, str]]:
    """(prompt, response) pairs: of a style of `pair`, or of a teacher ("teacher", "noisy", "noisy all")."""
    if material in pair.STYLES | pair.FLAWED:
        style = (pair.STYLES | pair.FLAWED)[material]
        return [(pair.prompt(a, b), style(a, b)) for a, b in pair.problems("train")]
    kept = teacher_traces(material.split()[0], only_right=not material.endswith(" all"))
    return [(pair.prompt(a, b), text) for a, b, text in kept]


def tokens_of(pairs: Sequence[tuple[str, str]]) -> float:
    """Mean number of tokens of a training example: prompt, response and end."""
    return sum(len(prompt) + len(response) + 1 for prompt, response in pairs) / len(pairs)


def steps_for(material: str, equal: str) -> int:
    """The budget of an arm: STEPS for equal "steps", or as many as see the "tokens" of STEPS steps of worked steps."""
    return STEPS if equal == "steps" else round(STEPS * tokens_of(texts("steps")) / tokens_of(texts(material)))


# --- Training and asking ------------------------------------------------------------------------------------------------


def learn(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    pairs: Sequence[tuple[str, str]],
    steps: int,
    seed: int = 0,
    rate: float = RATE,
    batch: int = BATCH,
    callbacks: Sequence[TrainerCallback] = (),
    **changes,
) -> tuple[PreTrainedModel, float]:
    """Train a small model on (prompt, response) pairs by the cross-entropy of the responses; returns it with the seconds.

    The first fifth of the steps warms up: without it these models stay for long where all answers look alike.
    `changes` go to `training.settings`.
    """
    how = {
        "logging_strategy": "no",
        "train_sampling_strategy": "random",
        "warmup_steps": steps // 5,
        "adam_beta2": 0.99,
    }
    trainer = training.DistillationTrainer(
        model=model,
        args=training.settings(steps, batch, rate, seed, **how | changes),
        train_dataset=pair.encode(tokenizer, pairs),
        data_collator=pair.collate,
        callbacks=list(callbacks),
        alpha=0.0,
    )
    began = time.perf_counter()
    trainer.train()
    return model.eval(), time.perf_counter() - began


def ask(model: PreTrainedModel, problems: Sequence[Problem]) -> list[str]:
    """A model's responses to problems (a, b)."""
    return evaluation.responses(model, pair.tokenizer(), [pair.prompt(a, b) for a, b in problems], LONGEST)


def accuracy(problems: Sequence[Problem], made: Sequence[str]) -> float:
    """Share of responses that end on the right answer."""
    return sum(pair.is_right(a, b, text) for (a, b), text in zip(problems, made)) / len(problems)


def contrast(values: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Numbers ``[N]`` whose mean is that of `values` over the items of `first` less that over the items of `second`.

    So a difference between two kinds of items is kept item by item, and its interval can count them.

    Args:
        values: ``[N]``; first, second: ``[N]`` bool, neither of them empty.
    """
    return values * (first / first.mean() - second / second.mean())


def last_number(text: str) -> int | None:
    """The last whole number in a text, or None."""
    found = re.findall(r"\d+", text.replace(",", ""))
    return int(found[-1]) if found else None


# --- Learning rates -----------------------------------------------------------------------------------------------------


def search(validate: Callable[[float], float]) -> dict[str, float]:
    """What ``validate(rate)``, accuracy on validation problems, says at each of TRIED, and the rate where it is highest."""
    found = {rate: validate(rate) for rate in TRIED}
    return {"learning_rate": max(found, key=found.get)} | {
        f"validation at {rate:g}": share for rate, share in found.items()
    }


def rate_of(arm: str, name: str = "lesson07-rates") -> float:
    """The rate with the highest mean over the seeds that an experiment tried, for an arm or the one that is most like it.

    An arm that was not searched takes the rate of its name before the comma, or else that of "steps".
    """
    table = results.load(name)
    like = next(each for each in (arm, arm.split(",")[0], "steps") if each in set(table.arm))
    tried = table[(table.arm == like) & table.metric.str.startswith("validation at ")].groupby("metric").value.mean()
    return float(tried.idxmax().removeprefix("validation at "))
