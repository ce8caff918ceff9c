"""The ledger of claims: what somebody published, the test of it, the rows of recorded runs, and the verdict they give.

A claim has one main test (for a language model one a training budget); other settings are its moderators: shown beside
it, never mixed in. A premise says what must be true for a test to mean anything. The verdict follows from the interval
alone. What a claim is stands in `stated`, the claims themselves in `published`.
"""

import argparse
import csv
import io
import json
import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

from distill_lessons.course import experiments, intervals, published, results
from distill_lessons.course.stated import CONTRADICTED, FEWEST, SUPPORTED, UNTESTABLE, WEAKER, Claim, claimed, verdict

WIDTH = 96  # columns: what a notebook shows without breaking a line
SEEDS, LANGUAGE_SEEDS = 10, 5  # that a test needs for its best grade

FINDS = (SUPPORTED, WEAKER, CONTRADICTED)  # verdicts that many tests would also give by chance

Row = dict  # one judged test, as `judge` makes it


def opposed(one: str, other: str) -> bool:
    """Whether two verdicts point in opposite directions."""
    sides = {SUPPORTED: 1, WEAKER: 1, CONTRADICTED: -1}
    return sides.get(one, 0) * sides.get(other, 0) < 0


def judge(claim: Claim, folder: str | Path | None = None) -> list[Row]:
    """A claim's rows of the ledger, main tests first, computed from the recorded tables in `folder`."""
    rows = []
    for role, tests in (("main", claim.main), ("moderator", claim.moderators)):
        for test in tests:
            interval = test.interval(folder)
            premises = [
                {"words": premise.words, "holds": verdict(premise.test, found) == SUPPORTED,
                 "estimate": found.estimate, "interval": [found.low, found.high]}
                for premise in test.premises
                for found in [premise.test.interval(folder, spare=results.recorded_folder())]
            ]  # fmt: skip
            stamps = [results.stamp(name, test.home(folder)) for name in test.tables()]
            rows.append(
                {
                    "claim": claim.id,
                    "statement": claim.statement,
                    "source": claim.source,
                    "lesson": claim.lesson,
                    "role": role,
                    "setting": test.setting,
                    "budget": test.budget,
                    "experiment": test.experiment,
                    "metric": test.metric,
                    "arms": [arm for arm in (test.arm, test.other) if arm is not None],
                    "unit": test.unit,
                    "claimed": claimed(test),
                    "least": None if test.within is not None else -test.least if test.lower else test.least,
                    "lower": test.lower,
                    "why": test.why,
                    "seeds": interval.seeds,
                    "items": interval.items,
                    "estimate": interval.estimate,
                    "interval": [interval.low, interval.high],
                    "next run": [interval.next_low, interval.next_high],
                    "p": interval.p if test.within is None and not test.exact and interval.seeds >= FEWEST else None,
                    "premises": premises,
                    "verdict": verdict(test, interval) if all(each["holds"] for each in premises) else UNTESTABLE,
                    "exact": test.exact,
                    "post hoc": any(test.digest() not in stamp.get("plans", ()) for stamp in stamps),
                    "rates searched": test.exact or test.rates == "none" or _searched(test.rates, folder),
                    "note": claim.note,
                    "digest": test.digest(),
                    "machine": " + ".join(dict.fromkeys(_machine(stamp) for stamp in stamps)),
                    "commit": " + ".join(dict.fromkeys(stamp.get("commit", "not kept") for stamp in stamps)),
                }
            )
    return rows


def _searched(rates, folder):
    """Whether an experiment tried the learning rates on at least three seeds."""
    try:
        return bool(rates and results.load(rates, folder).groupby("arm").seed.nunique().min() >= 3)
    except FileNotFoundError:
        return False


def _machine(stamp):
    return stamp.get("processor", "") if stamp.get("device", "cpu") == "cpu" else stamp["device"]


def _finish(rows: list[Row]) -> list[Row]:
    """What needs all rows: the correction for many tests, contradictions within a claim, and the grades."""
    tested = [row for row in rows if row["p"] is not None and row["verdict"] != UNTESTABLE]
    for row, stays in zip(tested, intervals.survivors([row["p"] for row in tested])):
        row["after correction"] = stays
    for row in rows:
        row.setdefault("after correction", None)
        same = [each for each in rows if each["claim"] == row["claim"] and each is not row]
        main = row["role"] == "main"
        row["against"] = [where(each) for each in same if main and opposed(row["verdict"], each["verdict"])]
        row["lacks"] = lacks(row, same)
        row["grade"] = "ABCCDDDD"[len(row["lacks"])]
    return rows


def lacks(row: Row, same: Sequence[Row]) -> list[str]:
    """What keeps a row from grade A; `same` are the claim's other rows. None missing is A, one B, two or three C, else D."""
    if row["exact"]:
        return []
    needed = LANGUAGE_SEEDS if row["budget"] else SEEDS
    second = [each for each in same if _pair(each) != _pair(row) and each["verdict"] == row["verdict"]]
    missing = {
        f"{needed} seeds": row["seeds"] < needed,
        "rates searched on three seeds": not row["rates searched"],
        "a premise": not row["premises"],
        "the items' noise": not row["items"],
        "a second pair that agrees": not second,
        "a test stated before the run": row["post hoc"],
        "a find after correction": row["after correction"] is False and row["verdict"] in FINDS,
    }
    return [words for words, applies in missing.items() if applies]


def _pair(row):
    """What tells one pair from another: the first word of a setting."""
    return row["setting"].replace(",", " ").split()[0]


def every() -> list[Claim]:
    """All claims, in order of their number."""
    return sorted(published.CLAIMS, key=lambda claim: (_number(claim.id), claim.id))


def _number(name):
    return int("".join(filter(str.isdigit, name)))


def plans(experiment: str) -> list[str]:
    """Digests of the tests that read a table: what `results.record` keeps with every run."""
    return [
        test.digest() for claim in every() for test in (*claim.main, *claim.moderators) if experiment in test.tables()
    ]


def ledger(lesson: str | int | None = None, folder: str | Path | None = None) -> list[Row]:
    """All claims, judged, in order of their number; or those of one lesson: 1, "1", "01" and "lesson01" are the same.

    The correction for many tests is always over the whole ledger. A test is stated before its runs, and is left out while
    its tables are not there (`waiting`); in another folder of results a premise may be judged by the course's own.

    Raises:
        ValueError: no claim is tested in that lesson; says in which there are some.
    """
    chosen = [_recorded(claim, folder) for claim in every()]
    rows = _finish([row for claim in chosen for row in judge(claim, folder)])
    if folder is None:
        _other_device(rows)
    if lesson is not None:
        number = experiments.number(lesson)
        there = sorted({claim.lesson for claim in every()})
        if number not in there:
            raise ValueError(f"no claim is tested in lesson {lesson!r}; there are claims in {', '.join(there)}")
        rows = [row for row in rows if row["lesson"] == number]
    return rows


def _other_device(rows):
    """Names the GPU among what contradicts a row, where its tables do."""
    found = {_key(row): row["verdict"] for row in ledger(folder=results.recorded_folder("cuda"))}
    for row in rows:
        if row["role"] == "main" and opposed(row["verdict"], found.get(_key(row), "")):
            row["against"].append("the same on a GPU")


def waiting() -> list[tuple[str, str]]:
    """The tests that are stated and not yet run: claim and setting."""
    return [(claim.id, test.setting) for claim in every() for test in (*claim.main, *claim.moderators)
            if not test.recorded()]  # fmt: skip


def _recorded(claim, folder):
    """A claim with only those tests whose tables are all in a folder."""
    return replace(claim, main=tuple(test for test in claim.main if test.recorded(folder)),
                   moderators=tuple(test for test in claim.moderators if test.recorded(folder)))  # fmt: skip


# --- Shown ------------------------------------------------------------------------------------------------------------


def where(row: Row) -> str:
    """A test's setting, with its budget."""
    return f"{row['setting']}, {row['budget']}" if row["budget"] else row["setting"]


def against(row: Row) -> str:
    """What contradicts a verdict, in brackets; empty where nothing does."""
    return f" (the other way: {'; '.join(row['against'])})" if row["against"] else ""


def report(rows: Iterable[Row]) -> str:
    """The ledger as text of WIDTH columns: a claim a paragraph, its main test first, its moderators below."""
    lines, last = [], None
    for row in rows:
        if row["claim"] != last:
            lines += ["", *_wrapped(f"{row['claim']} · {row['statement']} ({row['source']})", "")]
            last = row["claim"]
        if row["role"] == "main":
            lines += _wrapped(f"{where(row)}: {row['verdict'].upper()}{against(row)} · grade {row['grade']}", "  ")
            lines += _wrapped(f"{figure(row)}; claimed {row['claimed']}" + (f" ({row['why']})" if row["why"] else ""),
                              "    ")  # fmt: skip
            lines += [line for premise in row["premises"] for line in _wrapped(_premise(premise), "    ")]
            if row["lacks"]:
                lines += _wrapped(f"lacks {', '.join(row['lacks'])}", "    ")
            if row["note"]:
                lines += _wrapped(row["note"], "    ")
        else:
            lines += _wrapped(f"beside it, {where(row)}: {row['verdict']}; {figure(row)}, claimed {row['claimed']}",
                              "    ")  # fmt: skip
    return "\n".join(lines).strip()


def _premise(premise):
    state = "holds" if premise["holds"] else "fails"
    return f"premise: {premise['words']}: {state} ({_number_and_ends(premise['estimate'], premise['interval'])})"


def _wrapped(text, indent):
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=f"{indent}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def figure(row: Row) -> str:
    """What came, in one line, with the names that the lessons give to metric and arms."""
    names = _names(row)
    metric, *arms = (names.get(name, name.replace("_", " ")) for name in (row["metric"], *row["arms"]))
    unit = f" {row['unit']}" if row["unit"] else ""
    seeds = "" if row["exact"] else f", {row['seeds']} seed{'s' if row['seeds'] != 1 else ''}"
    return f"{metric}, {' − '.join(arms)} = {_number_and_ends(row['estimate'], row['interval'])}{unit}{seeds}"


def _number_and_ends(estimate, interval):
    low, high = interval
    return f"{estimate:+.3g}" + ("" if low == high else f" [{low:+.3g}, {high:+.3g}]")


def markdown(rows: Iterable[Row]) -> str:
    """The main tests as a Markdown table, one line each: the README's."""
    lines = ["| claim | verdict | setting | effect | grade |", "|---|---|---|---|---|"]
    for row in rows:
        if row["role"] == "main":
            effect = f"{_number_and_ends(row['estimate'], row['interval'])} {row['unit']}".strip()
            many = (
                f" (the other way in {len(row['against'])} other settings)" if len(row["against"]) > 2 else against(row)
            )
            lines.append(
                f"| **{row['claim']}** {row['statement']} ({row['source']}) | {row['verdict']}{many} | {where(row)} | "
                f"{effect} | {row['grade']} |"
            )
    return "\n".join(lines)


def beside(rows: Iterable[Row], others: Iterable[Row], names: Sequence[str]) -> str:
    """Two ledgers as a Markdown table, a row for every test that both have; `names` are their headings.

    A test that only the second device has run stands in both with the same numbers, and is left out.
    """
    lines = [f"| claim | test | claimed | {' | '.join(names)} |", "|---|---|---|---|---|"]
    found = {_key(row): row for row in others}
    for row in rows:
        other = found.get(_key(row), row)
        if any(other[name] != row[name] for name in ("machine", "estimate", "interval")):
            cells = [
                f"{_number_and_ends(each['estimate'], each['interval'])}: {each['verdict']}" for each in (row, other)
            ]
            lines.append(f"| {row['claim']} | {row['setting']} | {row['claimed']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _key(row):
    return row["claim"], row["setting"], row["budget"], row["metric"], tuple(row["arms"])


COLUMNS = ("claim", "statement", "source", "lesson", "role", "setting", "budget", "arms", "metric", "unit", "claimed", "why",
           "seeds", "items", "effect", "low", "high", "next low", "next high", "verdict", "against", "premise", "p",
           "after correction", "post hoc", "grade", "lacks", "experiment", "digest", "machine", "commit")  # fmt: skip


def table(rows: Iterable[Row]) -> str:
    """The whole ledger as CSV, a test a row: ``data/ledger.csv``."""
    out = io.StringIO()
    writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    for row in rows:
        ends = dict(zip(("effect", "low", "high", "next low", "next high"),
                        (row["estimate"], *row["interval"], *row["next run"])))  # fmt: skip
        flat = row | {name: f"{value:.6g}" for name, value in ends.items()}
        flat["p"] = "" if row["p"] is None else f"{row['p']:.3g}"
        flat["premise"] = "; ".join(_premise(each).removeprefix("premise: ") for each in row["premises"])
        for name in ("arms", "against", "lacks"):
            flat[name] = (" − " if name == "arms" else "; ").join(row[name])
        for name in ("after correction", "post hoc"):
            flat[name] = {True: "yes", False: "no", None: ""}[row[name]]
        writer.writerow(flat)
    return out.getvalue()


def _names(row):
    """What metrics and arms of a row's tables are called: the NAMES of the modules that record them, its lesson's first."""
    names, tables = {}, row["experiment"].split(" + ")
    for module in sorted(experiments.modules(), key=lambda each: f".lesson{row['lesson']}" in each.__name__):
        if any(each.name in tables for each in getattr(module, "EXPERIMENTS", ())):
            names |= getattr(module, "NAMES", {})
    return names


def show(lesson: str | int, folder: str | Path | None = None) -> None:
    """Print a lesson's own rows of the ledger."""
    print(report(ledger(lesson, folder)))


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; exits with a sentence where there is no such lesson or claim, or nothing recorded."""
    parser = argparse.ArgumentParser(prog="python -m distill_lessons claims", description="The ledger of claims.")
    form = parser.add_mutually_exclusive_group()
    form.add_argument("--json", action="store_true", help="a list of objects, a test each")
    form.add_argument("--csv", action="store_true", help="a table, a test a row: data/ledger.csv")
    form.add_argument("--markdown", action="store_true", help="a table of the main tests, as in the README")
    form.add_argument("--forest", metavar="CLAIM", help="draw one claim's tests, for example C4")
    parser.add_argument("--out", type=Path, help="where --forest draws; by default CLAIM.png")
    parser.add_argument("--lesson", help="only this lesson's, for example 2")
    parser.add_argument(
        "--results",
        type=Path,
        help="folder of recorded tables, by default data/results/cpu, or cuda where a test has only that",
    )
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
    elif options.forest:
        own = [row for row in rows if row["claim"].upper() == options.forest.upper()]
        if not own:
            parser.error(
                f"there is no claim {options.forest!r}; there are {', '.join(dict.fromkeys(r['claim'] for r in rows))}"
            )
        from distill_lessons.course import plots

        path = options.out or Path(f"{own[0]['claim']}.png")
        plots.use_style()
        plots.forest(own).figure.savefig(path)
        print(f"drawn: {path}")
    elif options.json:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
    elif options.csv:
        print(table(rows), end="")
    else:
        print(markdown(rows) if options.markdown else report(rows))
        if not options.markdown and not options.lesson and (stated := waiting()):
            print("\n" + "\n".join(_wrapped(f"stated and not yet run: {'; '.join(map(' '.join, stated))}", "")))


if __name__ == "__main__":
    main()
