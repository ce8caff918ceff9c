"""What ails a student? Seven symptoms, looked for in tables of predictions: ``python -m distill_lessons diagnose FOLDER``.

A folder holds ``predictions``, and if there are any ``curves`` and ``old_task``, each as .csv or .parquet.

predictions, one row a prompt:
    student, student_confidence   its answer (a word or a number), and the probability that it gave this answer
    teacher, teacher_confidence   the same of the teacher
    label                         what people say; empty where nobody was asked
    split                         "train" for prompts that the student learned from, else "held-out"; without it all are held out
    source                        the kind of prompt: where it comes from, or its topic
    group                         rows of one group are alike (sentences of one document) and are drawn together
old_task, one row a prompt of what the student could do before:
    before, after, label          its answer before and after the new training, and the right one; `group` as above
curves, one row a look during training:
    step, train_loss, held_out_accuracy, held_out_rows

Only `student` is asked of every table of predictions. A symptom whose columns are missing is said to be out of reach.

Each rule compares one or more numbers, with 95% intervals, with the least that matters (`LEAST`). A symptom is *shown* where
every interval lies wholly beyond it, *not shown* where one lies wholly on the other side; in between there are not enough
rows to tell. Rows, or groups, are drawn with replacement; where sources are many, intervals are wider (Bonferroni).
"""

import functools
import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from distill_lessons.evaluation.power import Estimate

SHOWN, ABSENT, FEW, MISSING = "shown", "not shown", "not enough rows to tell", "cannot be asked"

LEAST = {
    "overfits": 0.25,  # training answers repeated, less held-out ones: sound students on `reviews` stand at 0.1 to 0.2
    "falls": 0.02,  # held-out accuracy at its best look, less that at the last
    "behind": 0.10,  # the teacher's lead in accuracy
    "as sure": 0.05,  # how far a student's mean confidence may be from that of the teacher it sounds like
    "forgets": 0.02,  # accuracy lost on the old task
    "overconfident": 0.05,  # mean confidence less accuracy
    "unfit": 0.75,  # the share of its own training answers below which a student has no room for them
    "astray": 0.10,  # the teacher's accuracy elsewhere, less that on one source
    "follows": 0.0,  # the same of the student: that the source is a bad one is shown by the teacher
    "shifted": 0.02,  # accuracy at home, less that on a source that it has not seen
}
FEWEST = 30  # rows or groups on either side of a comparison: fewer say nothing
DRAWS, SURE = 1000, 0.95
TABLES = ("predictions", "old_task", "curves")
KINDS = (".csv", ".parquet")


class Finding(NamedTuple):
    """One symptom: its state (shown, not shown, not enough rows to tell, cannot be asked), why, and what to try next.

    `numbers` has what the state was judged by, each an `Estimate`: value, interval, rows.
    """

    symptom: str
    state: str
    evidence: str
    next: str
    numbers: dict[str, Estimate]


def diagnose(
    predictions: pd.DataFrame,
    old_task: pd.DataFrame | None = None,
    curves: pd.DataFrame | None = None,
    trained_on: Sequence[str] | None = None,
) -> list[Finding]:
    """The seven symptoms, each looked for in the tables that the module describes; always all seven, in one order.

    Args:
        trained_on: the sources that the student learned from; by default those of the rows whose split is "train".
    Raises:
        ValueError: a table has no rows, lacks a column without which it says nothing, or holds what it cannot mean: an
            answer that is missing, a confidence that is no probability of the answer, labels that are no answers.
    """
    table = _predictions(predictions, trained_on)
    return [
        _overfits(table, _curves(curves)),
        _style(table),
        _forgets(_old_task(old_task)),
        _confidently_wrong(table),
        _gap(table),
        _inherits(table),
        _shifted(table),
    ]


def named(findings: Sequence[Finding]) -> list[str]:
    """The symptoms that are shown."""
    return [each.symptom for each in findings if each.state == SHOWN]


# --- Rules ------------------------------------------------------------------------------------------------------------


def _overfits(table, curves):
    name = "overfits its training data"
    advice = (
        "Train again with as many prompts of which no two are alike, for as many steps, and compare accuracy on the same "
        "held-out rows."
    )
    found = []
    if {"split", "target"} <= set(table) and (table["split"] == "train").any():
        rows = table[table["target"].notna()]
        own, held = rows["split"] == "train", rows["split"] != "train"
        if table.attrs["home"] is not None:  # a shift is another symptom
            held &= rows["source"].isin(table.attrs["home"])
        same = rows["student"] == rows["target"]
        gap = _difference(same, own, same, held, rows["group"])
        evidence = (
            f"It gives {_percent(same[own].mean())} of its training answers back and {_percent(same[held].mean())} of those "
            f"held out, {_points(gap)} apart."
        )
        found.append(_finding(name, {"gap": (gap, LEAST["overfits"])}, evidence, advice))
    if curves is not None:
        best = curves.iloc[int(curves["held_out_accuracy"].argmax())]
        fall = _fall(best, curves.iloc[-1])
        evidence = (
            f"Held-out accuracy was best at step {best['step']:g}, {_percent(best['held_out_accuracy'])}, and ended "
            f"{_points(fall)} lower."
        )
        stop = f"Stop at step {best['step']:g}. {advice}"
        found.append(_finding(name, {"fall": (fall, LEAST["falls"])}, evidence, stop))
    if not found:
        return _missing(name, 'training rows (split "train") with the teacher\'s answer or a label, or curves')
    # Curves whose fall cannot be told from chance do not make a clear gap unclear.
    decides = next((each for each in found if each.state == SHOWN), found[0])
    numbers = {key: value for each in found for key, value in each.numbers.items()}
    return decides._replace(evidence=" ".join(each.evidence for each in found), numbers=numbers)


def _style(table):
    name = "style without substance"
    if missing := _lacks(table, "teacher", "student_confidence", "teacher_confidence", "label"):
        return _missing(name, missing)
    rows = _held(table, "label", "teacher")
    doubt = _mean(rows["teacher_confidence"] - rows["student_confidence"], rows["group"])
    lead = _lead(rows)
    evidence = (
        f"Its mean confidence is {_percent(rows['student_confidence'].mean())}, the teacher's "
        f"{_percent(rows['teacher_confidence'].mean())}; people agree with it {_points(lead)} less often than with the teacher."
    )
    above = {"teacher's lead": (lead, LEAST["behind"]), "teacher more sure": (doubt, -LEAST["as sure"])}
    below = {"teacher more sure": (doubt, LEAST["as sure"])}
    advice = (
        "Do not rank by how sure an answer sounds: let people, or a check, decide on the rows where the two differ, and "
        "train on the teacher's checked answers to prompts of the task itself."
    )
    return _finding(name, above, evidence, advice, below)


def _forgets(old):
    name = "forgets"
    if old is None:
        return _missing(name, "a table old_task with the answers before and after")
    before, after = old["before"] == old["label"], old["after"] == old["label"]
    lost = _mean(before.astype(float) - after, old["group"])
    evidence = f"On the old task {_percent(before.mean())} were right before and {_percent(after.mean())} are now: {_points(lost)} lost."
    advice = "Train on the new task again with a quarter of the rate, then with half of the batch from the old task."
    return _finding(name, {"lost": (lost, LEAST["forgets"])}, evidence, advice)


def _confidently_wrong(table):
    name = "confidently wrong"
    if missing := _lacks(table, "student_confidence", "label"):
        return _missing(name, missing)
    rows = _held(table, "label")
    right = rows["student"] == rows["label"]
    over = _mean(rows["student_confidence"] - right, rows["group"])
    evidence = (
        f"It is {_percent(rows['student_confidence'].mean())} sure on average and right {_percent(right.mean())} of the "
        f"time: {_points(over)} too sure."
    )
    advice = "Fit a temperature on validation rows; then train on the teacher's probabilities, or for fewer epochs."
    return _finding(name, {"too sure": (over, LEAST["overconfident"])}, evidence, advice)


def _gap(table):
    name = "gap too wide"
    if missing := _lacks(table, "split", "target", "teacher", "label"):
        return _missing(name, missing)
    rows = _held(table, "label", "teacher")
    own = table[(table["split"] == "train") & table["target"].notna()]
    lead = _lead(rows)
    repeated = _mean(own["student"] == own["target"], own["group"])
    evidence = (
        f"It gives {_percent(repeated.value)} [{_percent(repeated.low)}, {_percent(repeated.high)}] of its own training "
        f"answers back, and the teacher leads by {_points(lead)}."
    )
    advice = "Train a student several times as wide on the same rows; if it may not grow, give it a narrower task."
    above, below = {"teacher's lead": (lead, LEAST["behind"])}, {"training answers": (repeated, LEAST["unfit"])}
    return _finding(name, above, evidence, advice, below)


def _inherits(table):
    name = "inherits the teacher's errors"
    if missing := _lacks(table, "teacher", "label", "source"):
        return _missing(name, missing)
    rows = _held(table, "label", "teacher", "source")
    if table.attrs["home"] is not None:
        rows = rows[rows["source"].isin(table.attrs["home"])]
    right = {who: rows[who] == rows["label"] for who in ("teacher", "student")}
    sources = sorted(rows["source"].unique())
    found = []
    for source in sources if len(sources) > 1 else ():
        inside = rows["source"] == source
        astray, follows = (
            _difference(right[who], ~inside, right[who], inside, rows["group"], len(sources) - 1) for who in right
        )
        shares = [_percent(right[who][rows_of].mean()) for who in right for rows_of in (inside, ~inside)]
        evidence = (
            f"On {source} the teacher is right {shares[0]} of the time, elsewhere {shares[1]}, {_points(astray)} more; the "
            f"student {shares[2]}, elsewhere {shares[3]}, {_points(follows)} more."
        )
        advice = (
            f"Ask people about 100 rows of {source}; then train without the rows there on which another teacher differs, or "
            "with people's labels mixed in."
        )
        parts = {"teacher": (astray, LEAST["astray"]), "student": (follows, LEAST["follows"])}
        found.append(_finding(name, parts, evidence, advice))
    if not found:
        return _missing(name, "two sources that the student was trained on")
    return _worst(found, "teacher")


def _shifted(table):
    name = "shifted prompts"
    if missing := _lacks(table, "label", "source"):
        return _missing(name, missing)
    home = table.attrs["home"]
    rows = _held(table, "label", "source")
    if home is None or not rows["source"].isin(home).any():
        return _missing(name, 'the sources it was trained on, by training rows (split "train") or by name')
    at_home, right = rows["source"].isin(home), rows["student"] == rows["label"]
    away = sorted(rows["source"][~at_home].unique())
    found = []
    for source in away:
        inside = rows["source"] == source
        lost = _difference(right, at_home, right, inside, rows["group"], len(away))
        evidence = f"On {source}, which it has not seen, it is right {_percent(right[inside].mean())} of the time, {_points(lost)} less often than at home."
        advice = (
            f"Put prompts from {source} among the training prompts, a tenth at first, and measure both places again."
        )
        if not _lacks(table, "teacher"):
            share = (rows["teacher"] == rows["label"])[inside].mean()
            evidence += f" The teacher is right {_percent(share)} of the time there."
            if share < (rows["teacher"] == rows["label"])[at_home].mean() - LEAST["astray"]:
                advice = (
                    f"The teacher is lost on {source} too: find another teacher or labels for it before more prompts."
                )
        found.append(_finding(name, {"lost": (lost, LEAST["shifted"])}, evidence, advice))
    if not found:
        return Finding(name, ABSENT, "Every source of the held-out rows stands among the training rows.", "", {})
    return _worst(found, "lost")


# --- From numbers to a state ------------------------------------------------------------------------------------------


def _finding(symptom, above, evidence, advice, below=None):
    """A `Finding` from ``{name: (Estimate, least)}``: the symptom claims that every one is above, or below, its least."""
    below = below or {}
    numbers = {name: estimate for name, (estimate, _) in (above | below).items()}
    if (few := min(estimate.items for estimate in numbers.values())) < FEWEST:
        said = f"There are {few} rows or groups to compare, and {FEWEST} are the least."
        return Finding(symptom, FEW, said, f"Collect at least {FEWEST}, better some hundreds.", numbers)
    parts = [*above.values(), *((_negative(estimate), -least) for estimate, least in below.values())]
    if any(estimate.high <= least for estimate, least in parts):
        return Finding(symptom, ABSENT, evidence, "", numbers)
    if all(estimate.low > least for estimate, least in parts):
        return Finding(symptom, SHOWN, evidence, advice, numbers)
    needed = max(_needed(estimate, least) for estimate, least in parts if estimate.low <= least)
    return Finding(symptom, FEW, evidence, f"About {needed:,} rows would tell.", numbers)


def _needed(estimate, least):
    """Rows at which an interval of that kind would end where the least begins; at most a hundred times as many."""
    half, away = (estimate.high - estimate.low) / 2, abs(estimate.value - least)
    times = min(100.0, (half / away) ** 2) if away else 100.0
    return round(math.ceil(max(1.1, times) * estimate.items), -1)


def _worst(found, by):
    """Of one symptom on several sources: what is shown most, else what cannot be told, else the largest that is absent."""
    order = (SHOWN, FEW, ABSENT)
    return min(found, key=lambda each: (order.index(each.state), -each.numbers[by].value))


def _missing(symptom, what):
    return Finding(symptom, MISSING, f"That takes {what}.", "", {})


def _lead(rows):
    """The teacher's accuracy less the student's, on the same rows."""
    teacher, student = (rows[who] == rows["label"] for who in ("teacher", "student"))
    return _mean(teacher.astype(float) - student, rows["group"])


def _negative(estimate):
    return Estimate(-estimate.value, -estimate.high, -estimate.low, estimate.items)


def _fall(best, last):
    """Accuracy at the best look less that at the last. The rows are the same, and taken as if they were others: the best of
    many looks is so in part by chance, and the wider interval makes up for it."""
    shares = [float(each["held_out_accuracy"]) for each in (best, last)]
    rows = int(min(best["held_out_rows"], last["held_out_rows"]))
    half = 1.96 * math.sqrt(sum(share * (1 - share) for share in shares) / rows)
    value = shares[0] - shares[1]
    if value == 0:  # the last look is the best
        return Estimate(0.0, 0.0, 0.0, rows)
    return Estimate(value, value - half, value + half, rows)


# --- Intervals --------------------------------------------------------------------------------------------------------


def _mean(values, groups):
    """The mean of a value a row, groups drawn with replacement."""
    values = np.asarray(values, dtype=float)
    return _drawn(lambda s: s[..., 0] / s[..., 1], [values, np.ones(len(values))], groups)


def _difference(first, among, second, others, groups, comparisons=1):
    """The mean of `first` among some rows less that of `second` among others; its rows are those of the smaller side."""
    among, others = np.asarray(among, dtype=float), np.asarray(others, dtype=float)
    first, second = (np.asarray(each, dtype=float) for each in (first, second))
    columns = [first * among, among, second * others, others]
    fewest = min(pd.Series(groups)[side > 0].nunique() for side in (among, others))
    return _drawn(lambda s: s[..., 0] / s[..., 1] - s[..., 2] / s[..., 3], columns, groups, comparisons)._replace(
        items=fewest
    )


def _drawn(statistic, columns, groups, comparisons=1):
    """`statistic` of sums ``[..., K]`` of the columns over the rows, with the percentile interval over drawn groups.

    Source: Efron 1979; groups drawn whole, Davison and Hinkley 1997, section 3.8.
    """
    numbers = pd.factorize(np.asarray(groups))[0]
    count = int(numbers.max()) + 1 if len(numbers) else 0
    if count < 2:
        return Estimate(math.nan, math.nan, math.nan, count)
    sums = np.stack([np.bincount(numbers, each, count) for each in columns], 1)
    worlds = np.concatenate([times.astype(np.float32) @ sums.astype(np.float32) for times in _times(count)])
    with np.errstate(invalid="ignore", divide="ignore"):  # a world may lack one side altogether
        found, value = statistic(worlds.astype(float)), statistic(sums.sum(0))
    if not np.isfinite(found).any():  # one side has no row
        return Estimate(math.nan, math.nan, math.nan, count)
    tail = (1 - SURE) / 2 / comparisons
    low, high = np.nanquantile(found, [tail, 1 - tail])
    return Estimate(float(value), float(low), float(high), count)


@functools.lru_cache(maxsize=4)
def _kept_times(count):
    return list(_fresh_times(count))


def _times(count):
    """How often each of `count` groups is drawn in DRAWS worlds: blocks ``[B, count]``; always the same."""
    return _kept_times(count) if count <= 10_000 else _fresh_times(count)


def _fresh_times(count):
    rng, block = np.random.default_rng(0), max(1, min(DRAWS, 2**22 // count))
    for start in range(0, DRAWS, block):
        size = min(block, DRAWS - start)
        yield np.stack([np.bincount(rng.integers(count, size=count), minlength=count) for _ in range(size)]).astype(
            np.uint16
        )


# --- Tables -----------------------------------------------------------------------------------------------------------


def _predictions(table, trained_on):
    """The table with comparable answers, and columns ``group`` and where it can be ``target``; ``attrs["home"]`` set."""
    table = _checked("predictions", table, ["student"])
    answers = [name for name in ("student", "teacher", "label") if name in table]
    for name in answers:
        table[name] = _answers(table[name])
    if table["student"].isna().any():
        raise ValueError(
            f"predictions: {int(table['student'].isna().sum())} rows have no answer of the student: leave them out"
        )
    classes = pd.unique(table[answers].to_numpy().ravel())
    two = sum(isinstance(each, str) for each in classes) <= 2
    for who in ("student", "teacher"):
        if f"{who}_confidence" in table:
            table[f"{who}_confidence"] = _confidence(f"{who}_confidence", table[f"{who}_confidence"], two)
    for name in answers[1:]:
        known = table[name].dropna()
        if len(known) and not known.isin(set(table["student"])).any():
            raise ValueError(
                f"predictions: no {name} is an answer of the student ({known.iloc[0]!r} against "
                f"{table['student'].iloc[0]!r}): write both in the same words"
            )
    if "split" in table:
        strange = table["split"][~table["split"].isin(["train", "held-out"])]
        if len(strange):
            raise ValueError(f'predictions: split must be "train" or "held-out", and it is {strange.iloc[0]!r}')
    source = "teacher" if "teacher" in table else "label" if "label" in table else None
    if source:
        table["target"] = table[source]
    home = None
    if "source" in table:
        table["source"] = table["source"].astype("string").astype(object)
        if trained_on is not None:
            home = [str(each) for each in trained_on]
            unknown = [each for each in home if each not in set(table["source"])]
            if unknown:
                raise ValueError(
                    f"predictions: no row is of the source {unknown[0]!r}; there are {', '.join(sorted(table['source'].dropna().unique()))}"
                )
        elif "split" in table and (table["split"] == "train").any():
            home = sorted(table["source"][table["split"] == "train"].dropna().unique())
    table.attrs["home"] = home
    return table


def _old_task(table):
    if table is None:
        return None
    table = _checked("old_task", table, ["before", "after", "label"])
    for name in ("before", "after", "label"):
        table[name] = _answers(table[name])
        if table[name].isna().any():
            raise ValueError(f"old_task: {int(table[name].isna().sum())} rows have no {name}: leave them out")
    return table


def _curves(table):
    if table is None:
        return None
    names = ["step", "held_out_accuracy", "held_out_rows"]
    table = _checked("curves", table, names).sort_values("step")
    for name in names:
        table[name] = _numbers("curves", name, table[name])
    if not table["held_out_accuracy"].between(0, 1).all():
        raise ValueError("curves: held_out_accuracy must lie between 0 and 1: give a share, not a percentage")
    if (table["held_out_rows"] < 1).any():
        raise ValueError("curves: held_out_rows must be at least 1: give the rows that the accuracy was measured on")
    return table


def _checked(name, table, needed):
    """A copy with a new index and a column ``group``."""
    if not len(table):
        raise ValueError(f"{name}: the table has no rows")
    missing = [each for each in needed if each not in table]
    if missing:
        raise ValueError(f"{name}: there is no column {missing[0]}; there are {', '.join(map(str, table.columns))}")
    table = table.reset_index(drop=True).copy()
    alone = pd.Series([f"row {place}" for place in range(len(table))])
    table["group"] = table["group"].astype("string").fillna(alone).astype(object) if "group" in table else alone
    return table


def _answers(values):
    """Answers as words: 1, 1.0, "1" and "1.0" are the same; None where there is none."""

    def word(value):
        if pd.isna(value):
            return None
        text = str(int(value)) if isinstance(value, bool | np.bool_) else str(value).strip()
        try:
            number = float(text)
        except ValueError:
            return text
        return str(int(number)) if math.isfinite(number) and number == int(number) else text

    return values.map({value: word(value) for value in values.unique()}).astype(object).where(values.notna(), None)


def _numbers(table, name, values):
    found = pd.to_numeric(values, errors="coerce")
    if not np.isfinite(found).all():
        strange = values[~np.isfinite(found)].iloc[0]
        raise ValueError(f"{table}: {name} must be a number in every row, and one is {strange!r}")
    return found.astype(float)


def _confidence(name, values, two):
    found = _numbers("predictions", name, values)
    if not found.between(0, 1 + 1e-6).all():
        raise ValueError(
            f"predictions: {name} must lie between 0 and 1, and one is {found[~found.between(0, 1)].iloc[0]:g}"
        )
    if two and (found < 0.5 - 1e-6).any():
        raise ValueError(
            f"predictions: {name} is the probability of the answer that was given, which of two is never under a half, and "
            f"one is {found.min():g}: give max(p, 1 − p)"
        )
    return found


def _lacks(table, *names):
    """Words for the columns that a table lacks, or an empty text; a column without one value is lacking."""
    missing = [name for name in names if name not in table or table[name].isna().all()]
    if "split" in names and not missing and not (table["split"] == "train").any():
        return 'training rows (split "train")'
    return f"column{'s' if len(missing) > 1 else ''} {', '.join(missing)}" if missing else ""


def _held(table, *known):
    """The held-out rows on which these columns are known."""
    rows = table[table["split"] != "train"] if "split" in table else table
    return rows[rows[list(known)].notna().all(axis=1)]


def _percent(share):
    return f"{100 * share:.1f}%"


def _points(estimate):
    return f"{100 * estimate.value:.1f} points [{100 * estimate.low:.1f}, {100 * estimate.high:.1f}]"


# --- Files and words ---------------------------------------------------------------------------------------------------


def read(*paths: str | Path) -> dict[str, pd.DataFrame]:
    """The tables of a folder, or of a file of predictions and perhaps one of the old task: ``{name: table}``.

    Raises:
        ValueError: a file is no table of its kind; FileNotFoundError: there is no predictions table. Both say which.
    """
    first = Path(paths[0])
    if len(paths) == 1 and first.is_dir():
        found = {
            name: first / f"{name}{kind}" for name in TABLES for kind in KINDS if (first / f"{name}{kind}").is_file()
        }
        if "predictions" not in found:
            raise FileNotFoundError(f"{first} holds no predictions.csv or predictions.parquet: write one row a prompt")
    else:
        found = dict(zip(TABLES, map(Path, paths)))
    return {name: _read(path) for name, path in found.items()}


def _read(path):
    if path.suffix not in KINDS:
        raise ValueError(f"{path} is no table: give a folder, or files that end in {' or '.join(KINDS)}")
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        return pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as error:  # of pandas and of Arrow, whose errors are these
        raise ValueError(f"{path} cannot be read as a table: {str(error).splitlines()[0]}") from error


def report(findings: Sequence[Finding], width: int = 100) -> str:
    """The findings in words: what is shown first, then what cannot be told, what is not there, what was not asked."""
    order = {SHOWN: "!", FEW: "?", ABSENT: "·", MISSING: " "}
    lines = []
    for state, mark in order.items():
        for each in (each for each in findings if each.state == state):
            lines.append(f"{mark} {each.symptom}: {state}")
            for text in filter(None, (each.evidence, f"Next: {each.next}" if each.next else "")):
                lines += textwrap.wrap(text, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join(lines)


def as_rows(findings: Sequence[Finding]) -> list[Mapping]:
    """The findings as plain dicts, for JSON; numbers that could not be computed are None."""
    plain: Callable = lambda estimate: {  # noqa: E731
        name: None if isinstance(value, float) and math.isnan(value) else value
        for name, value in estimate._asdict().items()
    }
    return [
        each._asdict() | {"numbers": {name: plain(value) for name, value in each.numbers.items()}} for each in findings
    ]
