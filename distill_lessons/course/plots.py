"""The course's figures: one look, a handful of kinds. A title says what is seen; every axis has a name and a unit."""

import textwrap
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from numpy.typing import ArrayLike

from distill_lessons.course import results

Colour = tuple[float, float, float] | str

COLOURS = sns.color_palette("colorblind")
TEACHER, STUDENT, CONTROL, WARNING = COLOURS[0], COLOURS[1], COLOURS[7], COLOURS[3]


def use_style() -> None:
    """The look of the course; call it once at the top of a notebook."""
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update(
        {
            "figure.figsize": (7.5, 4.2),
            "figure.dpi": 96,
            "savefig.bbox": "tight",
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlesize": "medium",
            "axes.grid": True,
            "grid.alpha": 0.25,
            "legend.frameon": False,
        }
    )


def finish(axes: Axes, title: str, x: str, y: str) -> Axes:
    """Name a figure: its finding as the title, and both axes with units. Returns the axes."""
    axes.set(xlabel=x, ylabel=y)
    axes.set_title(title, pad=12)
    return axes


def arms(
    table: pd.DataFrame,
    metric: str,
    names: Mapping[str, str],
    title: str,
    x: str,
    axes: Axes | None = None,
    better: str = "higher",
    scale: float = 1.0,
    colours: Sequence[Colour] | None = None,
) -> Axes:
    """A dot an arm with its 95% interval over seeds, and each seed as a faint dot: compare arms at a glance.

    Args:
        table: recorded rows; names: dict of arm to the label shown, top to bottom; scale: multiplies the values.
        better: "higher" or "lower", told on the axis.
    """
    axes = axes or plt.subplots(figsize=(7.5, 0.55 * len(names) + 1.4))[1]
    colours = colours or [COLOURS[0]] * len(names)
    for row, (arm, colour) in enumerate(zip(names, colours)):
        values = results.per_seed(table, metric, arm) * scale
        interval = results.interval(values)
        axes.plot(values, np.full(len(values), row + 0.18), "o", color=colour, alpha=0.25, markersize=4)
        axes.plot([interval.low, interval.high], [row, row], "-", color=colour, linewidth=2.5)
        axes.plot(interval.estimate, row, "o", color=colour, markersize=8)
        text = f"{interval.estimate:{'.1f' if scale == 100 else '#.3g'}}"
        axes.annotate(text, (interval.estimate, row), (0, 8), textcoords="offset points", ha="center",
                      fontsize="small")  # fmt: skip
    axes.set_yticks(range(len(names)), names.values())
    axes.set_ylim(len(names) - 0.4, -0.7)
    axes.grid(axis="y", visible=False)
    return finish(axes, title, f"{x} · {better} is better", "")


def sweep(
    table: pd.DataFrame,
    metric: str,
    arms_by_line: Mapping[str, Mapping[float, str]],
    title: str,
    x: str,
    y: str,
    axes: Axes | None = None,
    scale: float = 1.0,
    colours: Iterable[Colour] = COLOURS,
) -> Axes:
    """A line per method over a numeric setting, with a band for the 95% interval over seeds.

    Args:
        arms_by_line: dict of line label to {setting: arm}.
    """
    axes = axes or plt.subplots()[1]
    for (label, points), colour in zip(arms_by_line.items(), colours):
        intervals = [results.interval(results.per_seed(table, metric, arm) * scale) for arm in points.values()]
        axes.plot(list(points), [i.estimate for i in intervals], "o-", color=colour, label=label)
        axes.fill_between(
            list(points), [i.low for i in intervals], [i.high for i in intervals], color=colour, alpha=0.2
        )
    if len(arms_by_line) > 1:
        axes.legend()
    return finish(axes, title, x, y)


def heatmap(
    values: ArrayLike,
    rows: Sequence[str],
    columns: Sequence[str],
    title: str,
    x: str,
    y: str,
    axes: Axes | None = None,
    form: str = ".2f",
    colours: str = "viridis",
    unit: str = "",
) -> Axes:
    """Numbers ``[rows, columns]`` on a grid, each written in its cell."""
    axes = axes or plt.subplots(figsize=(7.2, 5.6))[1]
    sns.heatmap(values, annot=True, fmt=form, cmap=colours, xticklabels=columns, yticklabels=rows, ax=axes,
                annot_kws={"fontsize": 8}, cbar_kws={"label": unit})  # fmt: skip
    axes.tick_params(axis="y", rotation=0)
    return finish(axes, title, x, y)


def distributions(
    probabilities: ArrayLike,
    labels: Sequence[str],
    title: str,
    axes: Axes | None = None,
    names: Sequence[str] | None = None,
    y: str = "probability",
) -> Axes:
    """Bars side by side: one group a label, one colour a distribution.

    Args:
        probabilities: ``[number of distributions, number of labels]``; names: one per distribution.
    """
    axes = axes or plt.subplots()[1]
    probabilities = np.atleast_2d(probabilities)
    width = 0.8 / len(probabilities)
    for index, row in enumerate(probabilities):
        where = np.arange(len(labels)) + (index - (len(probabilities) - 1) / 2) * width
        axes.bar(where, row, width, color=COLOURS[index], label=None if names is None else names[index])
    axes.set_xticks(range(len(labels)), labels)
    axes.grid(axis="x", visible=False)
    if names is not None:
        axes.legend()
    return finish(axes, title, "", y)


def forest(rows: Sequence[Mapping], axes: Axes | None = None) -> Axes:
    """One claim's tests below each other, main test first: effect, 95% interval, and where one new run would fall.

    The title is the claim with its main test's verdict. Effects are turned so that right is what the claim says, and divided
    by the least effect where there is one, so that tests in different units share an axis; a range has no such scale and is
    left out.

    Args:
        rows: of `claims.ledger`, all of one claim.
    Raises:
        ValueError: no test of the claim is about an effect.
    """
    shown = [row for row in rows if row["least"] is not None]
    if not shown:
        raise ValueError(
            f"the tests of {rows[0]['claim'] if rows else 'no claim'} are about ranges: there is no effect to draw"
        )
    axes = axes or plt.subplots(figsize=(8.5, 0.55 * len(shown) + 1.6))[1]
    for place, row in enumerate(shown):
        scale = row["least"] or (-1.0 if row["lower"] else 1.0)
        colour = TEACHER if row["role"] == "main" else CONTROL
        axes.plot(np.asarray(row["next run"]) / scale, [place, place], "-", color=colour, linewidth=1, alpha=0.5)
        axes.plot(np.asarray(row["interval"]) / scale, [place, place], "-", color=colour, linewidth=3)
        axes.plot(row["estimate"] / scale, place, "o", color=colour, markersize=8)
        axes.annotate(row["verdict"], (1.01, place), xycoords=("axes fraction", "data"), va="center", fontsize="small")
    axes.axvline(0, color="0.4", linewidth=1)
    axes.axvline(1, color="0.4", linewidth=1, linestyle="--")
    axes.set_yticks(range(len(shown)), [f"{row['setting']}" for row in shown])
    axes.set_ylim(len(shown) - 0.4, -0.6)
    axes.grid(axis="y", visible=False)
    found = "".join(f": {row['verdict']}" for row in rows[:1] if row["role"] == "main")  # others decide nothing
    title = "\n".join(textwrap.wrap(f"{rows[0]['claim']} · “{rows[0]['statement']}”{found}", 70))
    return finish(axes, title, "effect ÷ least effect that matters, to the right as claimed (thin: one new run)", "")


def funnel(report: Mapping, title: str, axes: Axes | None = None) -> Axes:
    """What each step of a `teacher.filters.run` leaves (bar) and drops (grey), with its commonest reason."""
    steps = report["steps"]
    axes = axes or plt.subplots(figsize=(7.5, 0.55 * (len(steps) + 1) + 1.4))[1]
    left, lost = [report["in"]], [0]
    words = [f"{report['in']:,}"]
    for step in steps:
        left.append(step["out"])
        lost.append(step["dropped"])
        why = f"  −{step['dropped']:,} · {next(iter(step['reasons']))}" if step["dropped"] else ""
        words.append(f"{step['out']:,}{why}")
    places = range(len(left))
    axes.barh(places, left, color=STUDENT)
    axes.barh(places, lost, left=left, color=CONTROL, alpha=0.5)
    for place, text in enumerate(words):
        axes.annotate(text, (left[place] + lost[place], place), (5, 0), textcoords="offset points", va="center",
                      fontsize="small")  # fmt: skip
    axes.set_yticks(places, ["all rows", *(step["filter"].replace("_", " ") for step in steps)])
    axes.invert_yaxis()
    axes.set_xlim(0, report["in"] * 1.6)  # room for the words
    axes.grid(axis="y", visible=False)
    return finish(axes, title, "rows that are left (grey: dropped here)", "")


def scoreboard(
    scores: Mapping[str, tuple[float, float, float]],
    title: str,
    x: str,
    axes: Axes | None = None,
    last: Sequence[str] = (),
) -> Axes:
    """A row each: value and interval (value, low, high), the rows in the order given, those of `last` in grey."""
    axes = axes or plt.subplots(figsize=(8.5, 0.36 * len(scores) + 1.5))[1]
    for place, (name, (value, low, high)) in enumerate(scores.items()):
        colour = CONTROL if name in last else STUDENT
        axes.plot([low, high], [place, place], color=colour, linewidth=3)
        axes.plot(value, place, "o", color=colour, markersize=7)
    axes.set_yticks(range(len(scores)), list(scores))
    axes.set_ylim(len(scores) - 0.4, -0.6)
    return finish(axes, title, x, "")


def ledger_map(rows: Sequence[Mapping], title: str, axes: Axes | None = None, wide: int = 12) -> Axes:
    """Every main test of a ledger as a tile with its claim's name: a block a verdict, the darker the better its grade.

    Args:
        rows: with claim, role, verdict and grade. wide: tiles in a line.
    """
    main = [row for row in rows if row["role"] == "main"]
    often = Counter(row["verdict"] for row in main)
    shades = {"A": 1.0, "B": 0.7, "C": 0.4, "D": 0.18}
    axes = axes or plt.subplots(figsize=(10, 0.36 * sum(-(-count // wide) for count in often.values()) + 1.6))[1]
    line, ticks = 0, {}
    for verdict, count in often.most_common():
        tiles = sorted((row for row in main if row["verdict"] == verdict), key=lambda row: row["grade"])
        for place, row in enumerate(tiles):
            across, down = place % wide, line + place // wide
            shade = shades[row["grade"]]
            axes.add_patch(plt.Rectangle((across, down), 0.94, 0.9, color=STUDENT, alpha=shade, linewidth=0))
            axes.text(across + 0.47, down + 0.45, row["claim"], ha="center", va="center", fontsize="x-small")
        lines = -(-count // wide)
        ticks[line + lines / 2] = f"{verdict}: {count}"
        line += lines + 0.35
    axes.set(xlim=(-0.1, wide), ylim=(line, -0.2), xticks=[])
    axes.set_yticks(list(ticks), list(ticks.values()))
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=0)
    return finish(axes, title, "a tile a main test; darker: grade A, then B, C, D", "")
