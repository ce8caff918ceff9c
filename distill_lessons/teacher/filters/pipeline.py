"""Filters one after another, with a report; the random filter that each must beat; and how well one agrees with people."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import datasets
import numpy as np

from distill_lessons.teacher.filters.verdicts import Filter, Verdict, check_number, column_of, cut

ADDED = ("kept", "reason", "filter")  # the columns that `run` adds
SHOWN = 3  # examples a reason


class Run(NamedTuple):
    """What `run` gives: the rows that are kept, all rows with what became of them, and the report."""

    kept: datasets.Dataset
    rows: datasets.Dataset
    report: dict


def run(dataset: datasets.Dataset, filters: Sequence[Filter]) -> Run:
    """Put a data set through filters, one after another; each sees what those before it have kept.

    Args:
        filters: functions that give a `Verdict` a row, those of this package or any other. Cheap ones first.
    Returns:
        kept, the rows that every filter keeps, unchanged and in their order; rows, all of them, with the columns kept
        (bool), reason (text) and filter (which dropped it, None if none did); and report, plain data: rows in and out, and
        for each step its filter, settings, rows in, out and dropped, seconds, reasons (dict of kind to count, the commonest
        first) and examples (dict of kind to three at most, each with row, text and reason).
    Raises:
        ValueError: it is no `datasets.Dataset`, or has a column of one of those names; a filter gives no verdict for each
            row, or drops one without a reason; says which.
    """
    if not isinstance(dataset, datasets.Dataset):
        raise ValueError(f"a filter reads a datasets.Dataset, and this is a {type(dataset).__name__}: make one of it")
    taken = [name for name in ADDED if name in dataset.column_names]
    if taken:
        raise ValueError(f"the data set has a column {taken[0]!r}, which the filters add: rename or remove it")
    places, dropped, steps, names = list(range(len(dataset))), {}, [], Counter()
    for each in filters:
        about = dict(getattr(each, "about", {}))
        name = about.pop("filter", getattr(each, "__name__", "a filter"))
        names[name] += 1
        name = name if names[name] == 1 else f"{name} {names[name]}"
        present = dataset.select(places)
        began = time.perf_counter()
        verdicts = _checked(each(present), len(places), name)
        seconds = time.perf_counter() - began
        texts = column_of(present, about["column"]) if about.get("column") in dataset.column_names else None
        step, kept = {"filter": name, "settings": about, "in": len(places)}, []
        examples, counts = {}, Counter()
        for at, (place, verdict) in enumerate(zip(places, verdicts)):
            if verdict.keep:
                kept.append(place)
                continue
            dropped[place] = (verdict.reason, name)
            counts[verdict.kind] += 1
            if counts[verdict.kind] <= SHOWN:
                text = cut(str(texts[at]), 120) if texts else None
                examples.setdefault(verdict.kind, []).append({"row": place, "text": text, "reason": verdict.reason})
        step |= {"out": len(kept), "dropped": len(places) - len(kept), "seconds": seconds}
        steps.append(step | {"reasons": dict(counts.most_common()), "examples": examples})
        places = kept
    whole = range(len(dataset))
    passed = f"passed all filters: {len(steps)}"
    told = {
        "kept": ([place not in dropped for place in whole], "bool"),
        "reason": ([dropped.get(place, (passed,))[0] for place in whole], "string"),
        "filter": ([dropped.get(place, (None, None))[1] for place in whole], "string"),
    }
    rows = dataset
    for name, (values, kind) in told.items():
        rows = rows.add_column(name, values, feature=datasets.Value(kind))
    return Run(dataset.select(places), rows, {"in": len(dataset), "out": len(places), "steps": steps})


def _checked(verdicts, count, name):
    """A filter's verdicts, which must be one for each row, and a reason for each that is dropped."""
    verdicts = list(verdicts)
    if len(verdicts) != count:
        raise ValueError(f"{name} gave {len(verdicts)} verdicts for {count} rows: it must give one each")
    for place, verdict in enumerate(verdicts):
        if not isinstance(verdict, Verdict):
            raise ValueError(f"{name} gave {verdict!r:.60} for row {place}: give a filters.Verdict, of keep and reason")
        if not verdict.keep and not verdict.reason:
            raise ValueError(f"{name} dropped row {place} without a reason: nothing is dropped silently")
    return verdicts


def random_share(share: float, seed: int = 0) -> Filter:
    """Keeps a share of the rows, drawn at random, whatever they hold: the control at an equal number of rows.

    It keeps ``round(share * rows)`` exactly, so that ``kept / rows`` of another filter gives as many as that keeps. Drawn
    with one seed, a smaller share is part of a larger one.

    Raises:
        ValueError: the share is not from 0 to 1.
    """
    check_number("share", share, 0, 1)

    def apply(dataset: datasets.Dataset) -> list[Verdict]:
        kept = set(np.random.default_rng(seed).permutation(len(dataset))[: round(share * len(dataset))].tolist())
        told = {True: "drawn", False: "not drawn"}
        return [Verdict(place in kept, told[place in kept]) for place in range(len(dataset))]

    apply.about = {"filter": "random_share", "share": share, "seed": seed}
    return apply


def against(verdicts: Sequence[Verdict], good: Sequence[bool | None]) -> dict[str, float]:
    """How well a filter finds the rows that are good, people's judgements say.

    Args:
        verdicts: a filter's, on all rows; good: one each, None where nobody judged, which is left out.
    Returns:
        dict of rows (that were judged), kept (of those), good (their share among all: what a random filter's precision is),
        precision (share of the kept that are good) and recall (share of the good that are kept); NaN where there are none.
    Raises:
        ValueError: not as many of one as of the other.
    """
    if len(verdicts) != len(good):
        raise ValueError(f"there are {len(verdicts)} verdicts and {len(good)} judgements: give one each")
    pairs = [(bool(verdict.keep), bool(fine)) for verdict, fine in zip(verdicts, good) if fine is not None]
    kept, fine = sum(keep for keep, _ in pairs), sum(fine for _, fine in pairs)
    both = sum(keep and fine for keep, fine in pairs)
    return {
        "rows": len(pairs),
        "kept": kept,
        "good": fine / len(pairs) if pairs else float("nan"),
        "precision": both / kept if kept else float("nan"),
        "recall": both / fine if fine else float("nan"),
    }
