"""Training, validation and test rows: labelled ones first, no near-duplicate twice, so that nothing leaks."""

import itertools
from collections import Counter

import datasets
import numpy as np
import torch

from distill_lessons import runtime
from distill_lessons.project.config import FILE, Settings
from distill_lessons.project.stages import Result, stage
from distill_lessons.project.table import Table
from distill_lessons.teacher import filters

LEFT_OUT, TRAIN, VALIDATION, TEST = -1, 0, 1, 2
PARTS = {"train": TRAIN, "validation": VALIDATION, "test": TEST}
FEWEST = 5  # rows of a part
LEAST = 50  # rows that are left when duplicates are gone
MOST = {TEST: 3000, VALIDATION: 1500}  # more say little more, and could teach
ENOUGH = {TEST: 500, VALIDATION: 300}  # up to which rows without a label are taken too
MANY_CLASSES = 50


def split(settings: Settings, table: Table, tell=None) -> Result:
    """Which rows train, choose and test.

    A text that is nearly the same as another (`filters.near_duplicates`) is left out, the labelled one being kept, so no
    two splits have one in common. Each class is divided alike.

    Returns:
        `Result`: tensors split ``[N]`` (−1 left out, 0 train, 1 validation, 2 test) and label ``[N]`` (−1 none); values
        classes, counts, left_out (list of row, reason) and conflicts (rows whose duplicate has another label).
    Raises:
        ValueError: too few rows, one class, a label that is no class; says row and column.
    """
    about = settings.split
    inputs = {
        "table": table.digest,
        "columns": [settings.table.text, settings.table.label, settings.table.encoding, settings.table.separator,
                    settings.table.quote],
        "classes": list(classes_of(settings, table)),
        "split": [about.column, about.test, about.validation, about.alike, about.seed],
    }  # fmt: skip
    return stage(settings.folder, "split", inputs, lambda: _split(settings, table), tell)


def classes_of(settings: Settings, table: Table) -> tuple[str, ...]:
    """The classes: those that project.toml names, or else the labels that occur.

    Raises:
        ValueError: there are not two, there are too many, or a label is none of those named.
    """
    where = f"column {settings.table.label!r} of {settings.table.file}"
    named, often = settings.table.classes, Counter(filter(None, table.labels))
    if named:
        for number, label in enumerate(table.labels, 1):
            if label and label not in named:
                near = [each for each in named if each.casefold() == label.casefold()]
                hint = f"is {near[0]!r} meant? " if near else ""
                raise ValueError(
                    f"row {number} of {where} is {label!r:.40}, and no class: {hint}There are {', '.join(named)}"
                )
        return named
    if not often:
        raise ValueError(f"nobody labelled a row, and no class is named: set classes in [table] of {FILE}")
    if len(often) == 1:
        raise ValueError(f"{where} has one class only, {next(iter(often))!r}: two are needed, or set classes in {FILE}")
    for one, other in itertools.combinations(sorted(often), 2):
        if one.casefold() == other.casefold():
            number = table.labels.index(min(one, other, key=often.get)) + 1
            raise ValueError(
                f"{where} has the labels {one!r:.40} and {other!r:.40} (row {number}), which differ in capitals alone: write "
                f"them alike, or name both in classes of {FILE} if two are meant"
            )
    if len(often) > MANY_CLASSES:
        number = next(n for n, label in enumerate(table.labels, 1) if often[label] == 1 or n == len(table.labels))
        raise ValueError(
            f"{where} has {len(often)} different values (row {number}: {table.labels[number - 1]!r:.40}), and at most "
            f"{MANY_CLASSES} classes can be told apart: is it a label? Name another column, or set classes in {FILE}"
        )
    return tuple(sorted(often))


def _split(settings, table):
    classes, rows = classes_of(settings, table), len(table.texts)
    number = {name: place for place, name in enumerate(classes)}
    label = np.array([number.get(each, -1) for each in table.labels])
    given = _given(settings, table)
    left_out, conflicts = _duplicates(settings, table, given)
    kept = np.array([place for place in range(rows) if place not in left_out], dtype=int)
    if len(kept) < LEAST:
        raise ValueError(
            f"{len(kept)} of {rows} rows of {settings.table.file} are left without empty texts and duplicates, and at "
            f"least {LEAST} are needed: bring more texts, or look at column {settings.table.text!r}"
        )
    found = np.full(rows, LEFT_OUT)
    found[kept] = TRAIN
    rng = np.random.default_rng(settings.split.seed)
    if given is not None:
        found[kept] = given[kept]
    else:
        for part, share in ((TEST, settings.split.test), (VALIDATION, settings.split.validation)):
            found[_drawn(kept, label, found, part, share, rng)] = part
    for name, part in PARTS.items():
        if (found == part).sum() < FEWEST:
            raise ValueError(
                f"{(found == part).sum()} rows are left for {name}, and at least {FEWEST} are needed: see [split]"
            )
    counts = {
        name: {"rows": int((found == part).sum()), "labelled": int(((found == part) & (label >= 0)).sum())}
        for name, part in PARTS.items()
    }
    told = [[place + 1, reason] for place, reason in sorted(left_out.items())]
    values = {"classes": classes, "counts": counts, "left_out": told, "conflicts": conflicts, "rows": rows}
    return values, {"split": torch.from_numpy(found), "label": torch.from_numpy(label)}


def _given(settings, table):
    """The part of each row that the table itself names; None where it names none."""
    column = settings.split.column
    if not column:
        return None
    if column not in table.others:
        raise ValueError(
            f"{settings.table.file} has no column {column!r} that says train, validation or test: see {FILE}"
        )
    for number, cell in enumerate(table.others[column], 1):
        if str(cell or "train").strip() not in PARTS:
            raise ValueError(
                f"row {number} of column {column!r} is {cell!r:.40}: it must be {', '.join(PARTS)}, or empty for train"
            )
    return np.array([PARTS[str(cell or "train").strip()] for cell in table.others[column]])


def _duplicates(settings, table, given):
    """Places that are left out with the reason, and rows whose exact duplicate has another label.

    Of two texts that are alike the test's stays, then the validation's, then the labelled one, then the first.
    """

    def rank(place):
        return (0 if given is None else -given[place]), not table.labels[place]

    order = sorted(range(len(table.texts)), key=rank)
    texts = [table.texts[place] for place in order]
    verdicts = filters.near_duplicates(settings.split.alike)(datasets.Dataset.from_dict({"text": texts}))
    left_out = {place: verdict.kind for place, verdict in zip(order, verdicts) if not verdict.keep}
    first, conflicts = {}, []
    for place in filter(lambda place: table.texts[place], order):
        other = first.setdefault(filters.normalised(table.texts[place]), place)
        if table.labels[place] and table.labels[place] != table.labels[other]:
            conflicts.append([place + 1, other + 1])
    return left_out, conflicts


def _drawn(kept, label, found, part, share, rng):
    """Places for a part: its share of each class, and of rows without a label where those are too few."""
    labelled, drawn = kept[label[kept] >= 0], []
    capped = min(share, MOST[part] / max(1, len(labelled)))
    for each in np.unique(label[labelled]):
        free = rng.permutation(labelled[(label[labelled] == each) & (found[labelled] == TRAIN)])
        wanted = round(capped * (label[labelled] == each).sum())
        drawn += free[: min(wanted, max(0, len(free) - 1))].tolist()  # one of each class is left to learn from
    others = rng.permutation(kept[(label[kept] < 0) & (found[kept] == TRAIN)])
    room = max(0, ENOUGH[part] - len(drawn))
    wanted = round(share * (len(kept) - len(labelled)))
    return drawn + others[: min(wanted, room)].tolist()


def places(result: Result, part: int, labelled: bool | None = None) -> torch.Tensor:
    """Places ``[n]`` of a part's rows, ascending; only those with a label, or only those without, if asked."""
    wanted = result.tensors["split"] == part
    if labelled is not None:
        wanted &= (result.tensors["label"] >= 0) == labelled
    return wanted.nonzero().flatten()


def order(result: Result, seed: int) -> torch.Tensor:
    """All rows that are not left out, shuffled: the order in which a teacher is asked while the money lasts."""
    kept = (result.tensors["split"] != LEFT_OUT).nonzero().flatten()
    return kept[torch.randperm(len(kept), generator=torch.Generator().manual_seed(runtime.LARGEST_SEED - seed))]
