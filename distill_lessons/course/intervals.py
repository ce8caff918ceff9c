"""Intervals over seeds, and over seeds and test items, that cover what they say also for few and skewed values."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

# Student's t is read at its 97.5% interval and called 95%: with seeds as skewed as a lognormal of sigma ½ the plain one
# covers 92%, this one 95% (`tests/test_intervals.py` simulates both).
NOMINAL = 0.975


class Interval(NamedTuple):
    """A mean over seeds, its 95% interval, and where one new run would fall (95%).

    `p` is the two-sided p-value of Student's t against zero; `items` says how many test items entered as a second source
    of noise, 0 where only seeds did.
    """

    estimate: float
    low: float
    high: float
    seeds: int
    next_low: float
    next_high: float
    p: float
    items: int = 0


def over_seeds(values: ArrayLike) -> Interval:
    """Mean of one value a seed, with Student's t.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    values = _finite(values, 1)
    count = len(values)
    variance = values.var(ddof=1) if count > 1 else 0.0
    return _interval(values.mean(), variance / count, count - 1, variance, count, 0)


def over_seeds_and_items(values: ArrayLike, groups: Sequence | None = None) -> Interval:
    """Mean of ``values[seed, item]`` where the items are the same for all seeds: both are sources of noise.

    The variance of the mean is that between seeds plus that between items less what both count, the noise of single
    cells; never less than either. Its degrees of freedom are Satterthwaite's (1946).

    Args:
        values: ``[S, I]``, S of at least 2 seeds.
        groups: ``[I]``, items of one group (a topic) count as one source; each by itself if None.
    Raises:
        ValueError: another shape, numbers that are not finite, fewer than two seeds or groups.
    """
    values = _finite(values, 2)
    seeds, items = values.shape
    groups = np.arange(items) if groups is None else np.unique(np.asarray(groups), return_inverse=True)[1]
    if len(groups) != items:
        raise ValueError(f"{len(groups)} groups for {items} items: give one a test item")
    count = groups.max() + 1
    if seeds < 2 or count < 2:
        raise ValueError(f"{seeds} seeds and {count} groups of items: an interval over both needs two of each")
    mean, by_seed, by_item = values.mean(), values.mean(1), values.mean(0)
    # Sums of each group's distance from the mean: groups of any size count for what they hold.
    spread = np.stack([np.bincount(groups, row - mean, count) for row in values])  # [S, groups]
    between_seeds = by_seed.var(ddof=1) / seeds
    between_items = (spread.mean(0) ** 2).sum() * count / (count - 1) / items**2
    sizes = np.bincount(groups, minlength=count)
    cells = spread - (by_seed - mean)[:, None] * sizes - spread.mean(0)
    both = (cells**2).sum() * count / ((seeds - 1) * (count - 1)) / seeds / items**2
    variance = max(between_seeds + between_items - both, between_seeds, between_items)
    freedom = seeds - 1
    if variance > 0:
        freedom = variance**2 / (between_seeds**2 / (seeds - 1) + between_items**2 / (count - 1))
    return _interval(by_item.mean(), variance, freedom, by_seed.var(ddof=1), seeds, items)


def _finite(values, dimensions):
    values = np.asarray(values, dtype=float)
    if values.ndim != dimensions or values.size == 0 or not np.isfinite(values).all():
        raise ValueError(f"an interval needs at least one value, and all of them finite, in {dimensions} dimension(s)")
    return values


def _interval(mean, variance, freedom, of_a_seed, seeds, items):
    mean = float(mean)
    if seeds == 1:
        return Interval(mean, mean, mean, 1, mean, mean, 1.0, items)
    wide = stats.t.ppf((1 + NOMINAL) / 2, freedom)
    half, new = wide * np.sqrt(variance), wide * np.sqrt(variance + of_a_seed)
    if variance == 0:
        p = 0.0 if mean else 1.0
    else:
        p = 2 * stats.t.sf(abs(mean) / np.sqrt(variance), freedom)
    return Interval(mean, float(mean - half), float(mean + half), seeds, float(mean - new), float(mean + new), float(p),
                    items)  # fmt: skip


def survivors(p: Sequence[float], level: float = 0.05) -> list[bool]:
    """Which of many tests stay after Benjamini and Hochberg's (1995) correction at that rate of false finds."""
    p = np.asarray(p, dtype=float)
    if p.size == 0:
        return []
    return (stats.false_discovery_control(p) <= level).tolist()
