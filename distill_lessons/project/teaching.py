"""The teacher's probabilities for as many rows as the budget buys: stored ones, a rule, a tuned model, or a server."""

import itertools
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from distill_lessons import runtime
from distill_lessons.project import stored, tuning
from distill_lessons.project.config import FILE, Settings
from distill_lessons.project.splitting import TEST, TRAIN, VALIDATION, order, places
from distill_lessons.project.stages import Result, stage
from distill_lessons.project.table import Table
from distill_lessons.teacher import served
from distill_lessons.teacher.filters.by_models import remembered

Ask = Callable[[Sequence[str]], Sequence[str]]
PART = 64  # texts whose answers are one file: so many are lost at most where a run is stopped


def teach(
    settings: Settings, table: Table, split: Result, ask: Ask | None = None, allow_code=False, model="", tell=None
) -> Result:
    """What the teacher says of the rows, in a shuffled order until the budget is spent.

    Args:
        ask: for a served teacher: ``ask(prompts)`` returns an answer for each, as text; None asks the server of project.toml.
        allow_code: whether a function of the project's folder may be run.
        model: what a tuned teacher is made of where project.toml names none.
    Returns:
        `Result`: tensor probabilities ``[N, C]``, NaN where the teacher was not asked or gave no class; values asked,
        unread (answers without a class), affordable (None for all), spent and about (a sentence).
    Raises:
        ValueError: the settings do not fit the table, or the teacher gave what is no probability; says where.
    """
    about = settings.teacher
    kinds = {"probabilities": stored.teacher, "rule": _rule, "tuned": tuning.teacher, "served": _served}
    asked = order(split, settings.split.seed)
    affordable = None
    if settings.prices.teacher and math.isfinite(about.budget):
        affordable = math.floor(about.budget / settings.prices.teacher * 1000 * (1 + 1e-12))
        asked = asked[:affordable]
    if not len(asked):
        raise ValueError(
            f"a budget of {about.budget:g} buys no answer at {settings.prices.teacher:g} per 1,000: raise it in {FILE}"
        )
    more = {"ask": ask, "allow_code": allow_code, "model": model, "tell": tell}
    own, read = kinds[about.kind](settings, table, split, more)
    inputs = {"split": split.key, "teacher": own, "asked": len(asked)}

    def make():
        found = torch.full((len(table.texts), len(split.values["classes"])), math.nan)
        found[asked] = read(asked)
        _check(found[asked], asked, about.kind)
        unread = int(found[asked].isnan().any(1).sum())
        values = {"kind": about.kind, "asked": len(asked), "unread": unread, "affordable": affordable}
        return values, {"probabilities": found}

    made = stage(settings.folder, "teacher", inputs, make, tell)
    spent = made.values["asked"] / 1000 * settings.prices.teacher
    return made._replace(values=made.values | {"affordable": affordable, "spent": spent})


def _check(found, asked, kind):
    """Refuse what is no distribution; a row of NaN stands for no answer."""
    there = ~found.isnan().all(1)
    wrong = there & ~((found >= 0).all(1) & ((found.sum(1) - 1).abs() < 1e-3))
    if wrong.any():
        place = int(wrong.nonzero()[0])
        raise ValueError(
            f"the teacher ({kind}) gave {[round(each, 4) for each in found[place].tolist()]} for row "
            f"{int(asked[place]) + 1}: they must be at least 0 and sum to 1 (for logits set logits = true in {FILE})"
        )
    if not there.any():
        raise ValueError(f"the teacher ({kind}) answered for none of {len(asked)} rows: look at [teacher] in {FILE}")


# --- A rule -----------------------------------------------------------------------------------------------------------


def _rule(settings, table, split, more):
    """Words counted, or the reader's own function: probabilities of texts, and what decides them."""
    about, classes = settings.teacher, split.values["classes"]
    if about.function:
        digest, function = stored.function_of(settings, more["allow_code"])
        own = {"function": about.function, "file": digest}
        return own, lambda rows: _of_function(function, [table.texts[place] for place in rows], classes, rows)
    if not about.words:
        raise ValueError(f'a rule needs words in [teacher] of {FILE}: words = {{ good = ["warm", …], bad = […] }}')
    runtime.check_names(about.words, classes, f"words in [teacher] of {FILE}")
    own = {"words": {name: sorted(map(str, words)) for name, words in about.words.items()}}
    return own, lambda rows: by_words([table.texts[place] for place in rows], about.words, classes)


def by_words(texts: Sequence[str], words: dict[str, Sequence[str]], classes: Sequence[str]) -> torch.Tensor:
    """The softmax ``[N, C]`` of how often each class's words stand in a text; NaN where none does.

    A word may be several, "not good"; case does not matter, and a word does not count within another.
    """
    counts = torch.zeros(len(texts), len(classes))
    for place, name in enumerate(classes):
        listed = sorted((re.escape(str(word).casefold()) for word in words.get(name, ())), key=len, reverse=True)
        if listed:
            pattern = re.compile(rf"(?<!\w)(?:{'|'.join(listed)})(?!\w)")
            counts[:, place] = torch.tensor([float(len(pattern.findall(text.casefold()))) for text in texts])
    found = counts.softmax(1)
    found[counts.sum(1) == 0] = math.nan
    return found


def _of_function(function, texts, classes, rows):
    """What the reader's function says of each text: a class, or a probability for each class; None for no answer."""
    found = torch.full((len(texts), len(classes)), math.nan)
    for place, text in enumerate(texts):
        said = function(text)
        if isinstance(said, str):
            said = {said: 1.0}
        if said is None:
            continue
        if not isinstance(said, dict) or not set(said) <= set(classes):
            raise ValueError(
                f"the rule gave {said!r:.60} for row {int(rows[place]) + 1}: return one of {', '.join(classes)}, a dict of "
                "class to probability, or None"
            )
        found[place] = torch.tensor([float(said.get(name, 0.0)) for name in classes])
    return found


# --- A server ---------------------------------------------------------------------------------------------------------


def asker(about, path: Path) -> Ask:
    """The function that asks the server of project.toml (`served.ask`); each of the samples has a seed of its own."""
    seeds = itertools.cycle(range(about.samples))
    how = {"max_tokens": 16, "temperature": 0.8 if about.samples > 1 else 0.0}

    def ask(prompts):
        found = served.ask(list(prompts), url=about.url, model=about.model, path=path, seed=next(seeds), **how)
        return [None if one is None else one.text for one in found.answers]

    return ask


def _served(settings, table, split, more):
    """A model behind a function of prompts: its answers are kept, ``PART`` at a time, so that none is paid twice."""
    about, classes = settings.teacher, split.values["classes"]
    own = {"model": about.model, "url": about.url, "prompt": about.prompt, "samples": about.samples}
    if "{text}" not in about.prompt:
        raise ValueError(f"prompt in [teacher] of {FILE} must hold {{text}}: it stands for the text")

    def read(rows):
        prompts = [prompt_for(table.texts[place], about.prompt, classes) for place in rows]
        ask = more["ask"] or asker(about, settings.folder / "work" / "served.jsonl")
        answers = remembered(
            settings.folder / "work" / "answers.parquet", {"measured": "answers", **own}, prompts,
            lambda some: list(zip(*(answers_of(ask, some) for _ in range(about.samples)))), PART, more["tell"],
        )  # fmt: skip
        return shares([answers[prompt] for prompt in prompts], classes)

    return own, read


def prompt_for(text: str, template: str, classes: Sequence[str]) -> str:
    """The template with the text and the classes in it; other braces stay what they are."""
    filled = {"{text}": text, "{classes}": ", ".join(classes)}
    return re.sub(r"\{text\}|\{classes\}", lambda found: filled[found.group()], template)


def answers_of(ask: Ask, prompts: Sequence[str]) -> list[str]:
    """An answer for each prompt. Raises ValueError: there are not as many, or one is no text."""
    answers = list(ask(prompts))
    if len(answers) != len(prompts) or not all(isinstance(each, str) or each is None for each in answers):
        raise ValueError(f"{len(prompts)} prompts were asked and {len(answers)} answers came: a text each is needed")
    return answers


def shares(answers: Sequence[Sequence[str | None]], classes: Sequence[str]) -> torch.Tensor:
    """The share ``[N, C]`` of each text's answers that name a class; NaN where none does."""
    found = torch.zeros(len(answers), len(classes))
    for place, said in enumerate(answers):
        for answer in said:
            number = named(answer, classes)
            if number is not None:
                found[place, number] += 1
    return found / found.sum(1, keepdim=True).where(found.sum(1, keepdim=True) > 0, math.nan)


def named(answer: str | None, classes: Sequence[str]) -> int | None:
    """The number of the class that an answer names first, whole words, case aside; of two at one place the longer one."""
    best = None
    for number, name in enumerate(classes):
        found = re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", (answer or "").casefold())
        if found and (best is None or (found.start(), -found.end()) < best[:2]):
            best = found.start(), -found.end(), number
    return None if best is None else best[2]


def asked_of(split: Result, teacher: Result) -> dict[str, int]:
    """How many rows of each part the teacher has answered for."""
    there = ~teacher.tensors["probabilities"].isnan().any(1)
    parts = (("train", TRAIN), ("validation", VALIDATION), ("test", TEST))
    return {name: int(there[places(split, part)].sum()) for name, part in parts}
