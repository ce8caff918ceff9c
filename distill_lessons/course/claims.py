"""The ledger of claims: what somebody published, the rows that test it, and the verdict those rows give.

A comparison says where the difference between two arms should lie if the claim is true. Its verdict follows from the
95% interval alone: inside that range, it holds; wholly outside, it does not; otherwise it cannot be told apart here.

Comparisons share a condition: a setting, or a reading of the claim. The claim holds there if all of them hold. It holds
without qualification if it holds under all its conditions, and "under a condition", which is then named, if under some.
"""

import argparse
import json
import math
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from distill_lessons.course import results

HOLDS = "holds"
FAILS = "does not hold"
OPEN = "not distinguishable here"
CONDITION = "holds under a condition"

WIDTH = 96  # columns: what a notebook shows without breaking a line

Row = dict  # a claim's row of the ledger, as `judge` makes it; its "comparisons" are of the same kind


@dataclass(frozen=True)
class Comparison:
    """One test: the mean of ``metric`` of `arm` minus that of `other` should lie strictly between `low` and `high`.

    With ``other=None`` the metric of `arm` itself should.

    Args:
        condition: the setting, or the reading of the claim, under which this is a test; in a few words.
        detail: what tells this comparison from others under the same condition; may be empty.
        experiment: the recorded table, or two joined by " + " whose arms are paired by seed.
    """

    condition: str
    detail: str
    experiment: str
    metric: str
    arm: str
    other: str | None = None
    low: float = 0.0
    high: float = math.inf
    unit: str = ""

    def recorded(self, folder: Path) -> bool:
        """Whether all its tables are in a folder."""
        return all((folder / f"{name}.csv").is_file() for name in self.experiment.split(" + "))

    def interval(self, folder: str | Path | None = None) -> results.Interval:
        """The mean over seeds with its 95% interval, from the recorded rows in `folder`."""
        table = pd.concat([results.load(name, folder) for name in self.experiment.split(" + ")])
        if self.other is None:
            return results.bootstrap_interval(results.per_seed(table, self.metric, self.arm))
        return results.paired_difference(table, self.metric, self.arm, self.other)

    def verdict(self, interval: results.Interval) -> str:
        """HOLDS, FAILS or OPEN."""
        if self.low < interval.low and interval.high < self.high:
            return HOLDS
        if interval.high < self.low or interval.low > self.high:
            return FAILS
        return OPEN


@dataclass(frozen=True)
class Claim:
    """A published sentence in our words, its source, the lesson that tests it, and its comparisons, main one first."""

    id: str
    statement: str
    source: str
    lesson: str
    comparisons: tuple[Comparison, ...]


def together(verdicts: Sequence[str]) -> str:
    """One verdict from several tests of the same thing: it holds if all do, and fails if one does."""
    if all(verdict == HOLDS for verdict in verdicts):
        return HOLDS
    return FAILS if FAILS in verdicts else OPEN


def overall(verdicts: Iterable[str]) -> str:
    """One verdict from those of the conditions: a claim that holds under some of them only holds under a condition."""
    verdicts = list(verdicts)
    if HOLDS in verdicts and any(verdict != HOLDS for verdict in verdicts):
        return CONDITION
    return together(verdicts)


def judge(claim: Claim, folder: str | Path | None = None) -> Row:
    """A claim's ledger row, computed from the recorded rows in `folder`.

    Returns:
        dict with id, statement, source, lesson, verdict; arms, metric, seeds, estimate and interval of the main
        comparison; `conditions`, each with its verdict; and `comparisons`, one dict each.
    """
    rows, conditions = [], {}
    for comparison in claim.comparisons:
        interval = comparison.interval(folder)
        rows.append(
            {
                "condition": comparison.condition,
                "detail": comparison.detail,
                "experiment": comparison.experiment,
                "arms": [arm for arm in (comparison.arm, comparison.other) if arm is not None],
                "metric": comparison.metric,
                "unit": comparison.unit,
                "expected": [None if math.isinf(end) else end for end in (comparison.low, comparison.high)],
                "seeds": interval.seeds,
                "estimate": round(interval.estimate, 6),
                "interval": [round(interval.low, 6), round(interval.high, 6)],
                "verdict": comparison.verdict(interval),
            }
        )
        conditions.setdefault(comparison.condition, []).append(rows[-1]["verdict"])
    conditions = {condition: together(verdicts) for condition, verdicts in conditions.items()}
    main = rows[0]
    return {
        "id": claim.id,
        "statement": claim.statement,
        "source": claim.source,
        "lesson": claim.lesson,
        "arms": main["arms"],
        "metric": main["metric"],
        "seeds": main["seeds"],
        "estimate": main["estimate"],
        "interval": main["interval"],
        "verdict": overall(conditions.values()),
        "conditions": conditions,
        "comparisons": rows,
    }


def ledger(lesson: str | int | None = None, folder: str | Path | None = None) -> list[Row]:
    """All claims, judged, in order of their number; or those of one lesson: 1, "1", "01" and "lesson01" are the same.

    In another folder of results not everything may be recorded: conditions are left out there whose tables are missing.

    Raises:
        ValueError: no claim is tested in that lesson; says in which there are some.
    """
    from distill_lessons.course import experiments

    every = [claim for module in experiments.modules() for claim in getattr(module, "CLAIMS", ())]
    every.sort(key=lambda claim: int(claim.id[1:]))
    if lesson is not None:
        there = sorted({claim.lesson for claim in every})
        every = [claim for claim in every if claim.lesson == experiments.number(lesson)]
        if not every:
            raise ValueError(f"no claim is tested in lesson {lesson!r}; there are claims in {', '.join(there)}")
    if folder is not None:
        every = [part for claim in every if (part := _recorded(claim, Path(folder))).comparisons]
    return [judge(claim, folder) for claim in every]


def _recorded(claim, folder):
    """A claim with only those conditions whose tables are all in a folder."""
    missing = {test.condition for test in claim.comparisons if not test.recorded(folder)}
    return replace(claim, comparisons=tuple(test for test in claim.comparisons if test.condition not in missing))


def claimed(low: float | None, high: float | None) -> str:
    """Where the claim puts the difference, in words."""
    if high is None:
        return f"above {low:g}"
    return f"below {high:g}" if low is None else f"{low:g} to {high:g}"


def report(rows: Iterable[Row]) -> str:
    """The ledger as text of WIDTH columns: a claim a paragraph, under each condition its verdict and its comparisons."""
    lines = []
    for row in rows:
        lines += _wrapped(f"{row['id']} · {row['statement']} ({row['source']})", "")
        for condition, verdict in row["conditions"].items():
            lines += _wrapped(f"{condition} → {verdict}", "  ")
            for test in row["comparisons"]:
                if test["condition"] == condition:
                    lines += _wrapped(comparison_line(test), "    ")
        named = [condition for condition, verdict in row["conditions"].items() if verdict == HOLDS]
        where = f": {'; '.join(named)}" if row["verdict"] == CONDITION else ""
        lines += [*_wrapped(f"{row['verdict'].upper()}{where}", "  "), ""]
    return "\n".join(lines).rstrip()


def _wrapped(text, indent):
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def markdown(rows: Iterable[Row]) -> str:
    """The ledger as a Markdown table, a claim a row, with the conditions behind its verdict: the README's."""
    lines = ["| claim | verdict | where |", "|---|---|---|"]
    for row in rows:
        groups = {}
        for condition, verdict in row["conditions"].items():
            groups.setdefault(verdict, []).append(condition)
        where = " · ".join(
            f"{verdict}: {'; '.join(groups[verdict])}" for verdict in (HOLDS, FAILS, OPEN) if verdict in groups
        )
        lines.append(f"| **{row['id']}** {row['statement']} ({row['source']}) | {row['verdict']} | {where} |")
    return "\n".join(lines)


def beside(rows: Iterable[Row], others: Iterable[Row], names: Sequence[str]) -> str:
    """Two ledgers as a Markdown table, a row for every comparison that both have; `names` are their headings."""
    lines = [f"| claim | comparison | claimed | {' | '.join(names)} |", "|---|---|---|---|---|"]
    found = {(row["id"], *_key(test)): test for row in others for test in row["comparisons"]}
    for row in rows:
        for test in row["comparisons"]:
            if (other := found.get((row["id"], *_key(test)))) is None:
                continue
            what = ", ".join(part for part in (test["condition"], test["detail"]) if part)
            cells = [f"{_figure(each)}: {each['verdict']}" for each in (test, other)]
            lines.append(f"| {row['id']} | {what} | {_expected(test)} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _key(test):
    return test["condition"], test["detail"], test["metric"], tuple(test["arms"])


def _expected(test):
    return f"{claimed(*test['expected'])} {test['unit']}".rstrip()


def _figure(test):
    low, high = test["interval"]
    return f"{test['estimate']:+.3g}" + ("" if low == high else f" [{low:+.3g}, {high:+.3g}]")


def comparison_line(test: Row) -> str:
    """What was expected and what came, in one line, with the names that the lesson gives to metric and arms."""
    names = _names(test["experiment"])
    metric, *arms = (names.get(name, name.replace("_", " ")) for name in (test["metric"], *test["arms"]))
    unit = f" {test['unit']}" if test["unit"] else ""
    detail = f"{test['detail']}: " if test["detail"] else ""
    return (
        f"{detail}{metric}, {' − '.join(arms)} = {_figure(test)}{unit}, "
        f"{test['seeds']} seed{'s' if test['seeds'] != 1 else ''}; claimed {claimed(*test['expected'])}"
        f" → {test['verdict']}"
    )


def _names(experiment):
    """What metrics and arms of a table, or of two, are called on a page: the NAMES of the modules that record them."""
    from distill_lessons.course import experiments

    names, tables = {}, experiment.split(" + ")
    for module in experiments.modules():
        if any(each.name in tables for each in getattr(module, "EXPERIMENTS", ())):
            names |= getattr(module, "NAMES", {})
    return names


def show(lesson: str | int, folder: str | Path | None = None) -> None:
    """Print a lesson's own rows of the ledger."""
    print(report(ledger(lesson, folder)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; exits with a sentence where there is no such lesson, or nothing recorded."""
    parser = argparse.ArgumentParser(prog="python -m distill_lessons claims", description="The ledger of claims.")
    parser.add_argument("--json", action="store_true", help="a list of objects instead of text")
    parser.add_argument("--markdown", action="store_true", help="a table, as in the README")
    parser.add_argument("--lesson", help="only this lesson's, for example 2")
    parser.add_argument("--results", type=Path, help="folder of recorded tables, by default data/results/cpu")
    parser.add_argument("--beside", type=Path, help="compare with the tables in another folder, as a Markdown table")
    options = parser.parse_args(arguments)
    try:
        rows, others = (
            ledger(options.lesson, folder) if place == 0 or folder else []
            for place, folder in enumerate((options.results, options.beside))
        )
    except ValueError as error:
        parser.error(str(error))
    for folder, found in ((options.results, rows), (options.beside, others)):
        if folder and not found:
            parser.error(f"{folder} has no recorded table that one of these claims is judged by")
    if options.beside:
        print(beside(rows, others, [(options.results or results.recorded_folder()).name, options.beside.name]))
    elif options.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    else:
        print(markdown(rows) if options.markdown else report(rows))


if __name__ == "__main__":
    main()
