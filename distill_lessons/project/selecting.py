"""What the student learns from: the teacher's probabilities with people's labels, after the filters of project.toml."""

import math

import datasets
import torch

from distill_lessons import runtime
from distill_lessons.project.config import FILE, Settings
from distill_lessons.project.splitting import TRAIN, places
from distill_lessons.project.stages import Result, stage
from distill_lessons.project.table import Table
from distill_lessons.teacher import filters
from distill_lessons.teacher.filters import Verdict

FEWEST = 20  # rows to learn from


def confidence(least: float = 0.6) -> filters.Filter:
    """Keeps rows whose likeliest class has at least that probability, the teacher says; and those it was not asked about."""

    def apply(dataset):
        found = filters.verdicts.column_of(dataset, "sure")
        told = {True: "sure enough", False: "unsure"}
        return [Verdict(ok, f"{told[ok]}: {sure:.2f}", sure) for sure in found for ok in [sure >= least or sure < 0]]

    apply.about = {"filter": "confidence", "column": "text", "least": least}
    return apply


def agreement() -> filters.Filter:
    """Drops rows that a person has labelled otherwise than the teacher would."""

    def apply(dataset):
        pairs = zip(filters.verdicts.column_of(dataset, "label"), filters.verdicts.column_of(dataset, "says"))
        return [
            Verdict(False, f"label and teacher differ: {label} and {says}")
            if -1 not in (label, says) and label != says
            else Verdict(True, "not at odds")
            for label, says in pairs
        ]

    apply.about = {"filter": "agreement", "column": "text"}
    return apply


KNOWN = {"length": filters.length, "repetition": filters.repetition, "confidence": confidence, "agreement": agreement}


def made(given: dict) -> filters.Filter:
    """A filter of project.toml: its name and its settings.

    Raises:
        ValueError: there is none of that name, or it does not take a setting, or not that value.
    """
    options = {name: value for name, value in given.items() if name != "name"}
    runtime.check_names([given["name"]], KNOWN, f"filters in {FILE}")
    try:
        return KNOWN[given["name"]](**options)
    except TypeError as error:
        raise ValueError(f"the filter {given['name']} in {FILE} was not understood: {error}") from None


def select(settings: Settings, table: Table, split: Result, teacher: Result, tell=None) -> Result:
    """The training rows that are left, and what each is to be answered.

    Rows that hold a test or validation text (`filters.contamination`) go first, then what the filters of project.toml drop.
    A row's target is the teacher's probabilities, the label, or their mixture where there are both.

    Returns:
        `Result`: tensors target ``[N, C]`` (NaN outside) and used ``[N]`` bool; values steps, the filters' report.
    Raises:
        ValueError: a filter is unknown or wrongly set; too few rows are left.
    """
    chain = [made(each) for each in settings.filters]
    weight = settings.student.labels
    inputs = {"split": split.key, "teacher": teacher.key, "filters": list(settings.filters), "labels": weight}

    def make():
        target = mixture(teacher.tensors["probabilities"], split.tensors["label"], weight)
        rows = places(split, TRAIN)
        there = rows[~target[rows].isnan().any(1)]
        found = filters.run(_dataset(table, split, teacher, there), [_apart(table, split), *chain])
        kept = torch.tensor(found.kept["place"], dtype=torch.long)
        if len(kept) < FEWEST:
            names = ", ".join(f"{step['filter']} dropped {step['dropped']}" for step in found.report["steps"])
            raise ValueError(
                f"{len(kept)} rows are left to learn from, and at least {FEWEST} are needed: {len(rows) - len(there)} had "
                f"neither label nor teacher, {names}; loosen the filters in {FILE}, or ask the teacher about more"
            )
        used = torch.zeros(len(table.texts), dtype=torch.bool)
        used[kept] = True
        target[~used] = math.nan
        steps = [
            {name: step[name] for name in ("filter", "in", "out", "dropped", "reasons")}
            for step in found.report["steps"]
        ]
        silent = {"filter": "neither label nor teacher", "in": len(rows), "out": len(there),
                  "dropped": len(rows) - len(there), "reasons": {}}  # fmt: skip
        return {"steps": [silent, *steps], "rows": len(kept)}, {"target": target, "used": used}

    return stage(settings.folder, "select", inputs, make, tell)


def mixture(probabilities: torch.Tensor, label: torch.Tensor, weight: float) -> torch.Tensor:
    """Targets ``[N, C]``: the label counts `weight` where the teacher has answered too, and 1 where not; NaN with neither."""
    target, there, known = probabilities.clone(), ~probabilities.isnan().any(1), label >= 0
    sharp = torch.nn.functional.one_hot(label.clamp(min=0), probabilities.shape[1]).float()
    both = known & there
    target[both] = weight * sharp[both] + (1 - weight) * probabilities[both]
    target[known & ~there] = sharp[known & ~there]
    return target


def _dataset(table, split, teacher, rows):
    """The rows as the filters read them."""
    probabilities, label = teacher.tensors["probabilities"][rows], split.tensors["label"][rows]
    silent = probabilities.isnan().any(1)
    best = probabilities.nan_to_num(0).max(1)
    return datasets.Dataset.from_dict(
        {
            "place": rows.tolist(),
            "text": [table.texts[place] for place in rows],
            "label": label.tolist(),
            "sure": best.values.masked_fill(silent, -1.0).tolist(),
            "says": best.indices.masked_fill(silent, -1).tolist(),
        }
    )


def _apart(table, split):
    """The filter that no text of validation or test stands in a training text."""
    others = (split.tensors["split"] > TRAIN).nonzero().flatten()
    return filters.contamination([table.texts[place] for place in others])
