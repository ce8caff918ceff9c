"""What a filter is: a function of a data set that gives a `Verdict` a row; and how texts are compared."""

import re
import unicodedata
from collections.abc import Callable, Sequence
from numbers import Real
from typing import NamedTuple

import datasets


class Verdict(NamedTuple):
    """Keep or drop, and why.

    `reason` is its kind, then ": ", then the particulars: "longer than 300 characters: 412". `value` is the number that
    the filter went by, where there is one, so that another threshold can be tried without measuring again.
    """

    keep: bool
    reason: str
    value: float | None = None

    @property
    def kind(self) -> str:
        """The reason without its particulars, to count by."""
        return self.reason.partition(": ")[0]


Filter = Callable[[datasets.Dataset], list[Verdict]]


def make(
    name: str,
    judge: Callable[..., list[Verdict]],
    columns: Sequence[str],
    texts: Sequence[str] | None = None,
    **settings,
) -> Filter:
    """A filter that drops rows with nothing in one of `columns` and lets `judge` decide on the others.

    Args:
        judge: called with a list for each column, of the rows that have something in all of them.
        columns: the first one is shown in a report's examples.
        texts: those of the columns that must hold texts; all of them by default.
        settings: go with the name into the filter's `about`.
    Raises (when the filter is called):
        ValueError: no `datasets.Dataset`; it lacks a column; a row holds something else than a text. Says which.
    """
    texts = columns if texts is None else texts

    def apply(dataset: datasets.Dataset) -> list[Verdict]:
        values = [column_of(dataset, column) for column in columns]
        verdicts: list = [None] * len(dataset)
        for column, rows in zip(columns, values):
            for place, value in enumerate(rows):
                if value is not None and not isinstance(value, str) and column in texts:
                    raise ValueError(
                        f"row {place} has {value!r:.60} as {column!r}, and {name} reads texts: choose another column"
                    )
                if absent(value) and verdicts[place] is None:
                    verdicts[place] = Verdict(False, f"no {column}: it is {'missing' if value is None else 'empty'}")
        there = [place for place, verdict in enumerate(verdicts) if verdict is None]
        judged = judge(*([rows[place] for place in there] for rows in values))
        for place, verdict in zip(there, judged, strict=True):
            verdicts[place] = verdict
        return verdicts

    apply.about = {"filter": name, "column": columns[0], **settings}
    return apply


def column_of(dataset: datasets.Dataset, column: str) -> list:
    """A column as a list.

    Raises:
        ValueError: it is no `datasets.Dataset`, or has no such column; says which it has.
    """
    if not isinstance(dataset, datasets.Dataset):
        raise ValueError(f"a filter reads a datasets.Dataset, and this is a {type(dataset).__name__}: make one of it")
    if column not in dataset.column_names:
        has = ", ".join(dataset.column_names) or "none"
        raise ValueError(f"the data set has no column {column!r}: give the filter one of its columns ({has})")
    return list(dataset.with_format(None)[column][:])  # at once: a column that is gone through is read slowly


def absent(value: object) -> bool:
    """Whether there is nothing: None, or a text without any sign that can be seen."""
    return value is None or isinstance(value, str) and not any(c.isprintable() and not c.isspace() for c in value)


HIDDEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")  # soft hyphens, joiners and other signs of no width
UNSPACED = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff"  # Chinese and Japanese, where each sign counts as a word
WORD = re.compile(f"[{UNSPACED}]|[^\\W_{UNSPACED}]+")


def words(text: str) -> list[str]:
    """The words of a text without case, spacing and punctuation; its signs where it has no words ("!!!", emojis)."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", HIDDEN.sub("", text))
    text = text.casefold()
    return WORD.findall(text) or [sign for sign in text if not sign.isspace()]


def normalised(text: str) -> str:
    """A text as it is compared with others: its `words`, a space between."""
    return " ".join(words(text))


def cut(text: str, most: int) -> str:
    """The beginning of a text, at most `most` signs of it."""
    return text if len(text) <= most else text[: most - 1] + "…"


def quoted(value: object, most: int = 60) -> str:
    """A value for a sentence, on one line and cut."""
    return repr(cut(value, most)) if isinstance(value, str) else cut(repr(value), most)


def check_number(name: str, value: object, least: float, most: float = float("inf"), whole: bool = False) -> None:
    """Refuse a setting that is no number from `least` to `most`.

    Raises:
        ValueError: says which setting, and what it may be.
    """
    fits = isinstance(value, Real) and not isinstance(value, bool) and least <= value <= most
    if not fits or (whole and value % 1):
        kind = "a whole number" if whole else "a number"
        limits = f"of at least {least}" if most == float("inf") else f"from {least} to {most}"
        raise ValueError(f"{name} must be {kind} {limits}, and it is {value!r}")
