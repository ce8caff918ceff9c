"""How sure a comparison on test items is, and how many items it needs. Pure arithmetic on scores; prints nothing."""

import itertools
import math
from collections.abc import Callable
from numbers import Real
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import stats

from distill_lessons.evaluation.arrays import numbers, verdicts, whole

Scores = ArrayLike | torch.Tensor
SURE = 0.95  # of every interval here


class Estimate(NamedTuple):
    """A number measured on test items, with its 95% interval."""

    value: float
    low: float
    high: float
    items: int


def paired(first: Scores, second: Scores) -> tuple[np.ndarray, np.ndarray]:
    """Two score arrays ``[N]`` of the same items as float64.

    Raises:
        ValueError: they differ in length, are empty or not ``[N]``, or hold a value that is not finite.
    """
    first, second = numbers("scores", first), numbers("scores", second)
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores against {len(second)}: score both models on the same items")
    return first, second


def bootstrap(statistic: Callable, *scores: Scores, resamples: int = 4000, seed: int = 0) -> Estimate:
    """95% percentile bootstrap interval of a function of mean scores, items drawn with replacement, the same for all.

    Where every draw gives the same, since all items agree or there is only one, the draws know nothing of items that were
    not seen. Of those, as N items that agree allow, a share of up to 1 − 0.025^(1/N) may be of another kind. The interval
    then reaches as far as that share could move the means, if its scores were at the ends of the range: 0 to 1, or
    further where the scores go further. For N right of N this is the exact interval of Clopper and Pearson.

    Args:
        statistic: a function of one array of means for each of `scores`; must work on arrays.
        scores: ``[N]`` each, an entry an item.
        resamples: how many draws, at least 40: with fewer, 2.5% are less than one.
    Raises:
        ValueError: as `paired`; too few resamples.
    Source: Efron 1979; for comparing systems, Koehn 2004. Clopper and Pearson 1934.
    """
    resamples = whole("resamples", resamples, 40)
    if not scores:
        raise ValueError("a bootstrap needs scores: give an array [N], or several of the same items")
    scores = [paired(scores[0], each)[1] for each in scores]
    count, means = len(scores[0]), [each.mean() for each in scores]
    value = float(statistic(*means))
    low = high = value
    if count > 1:
        found = stats.bootstrap(
            scores,
            lambda *drawn, axis: statistic(*(each.mean(axis) for each in drawn)),
            n_resamples=resamples,
            batch=max(1, 2**21 // count),  # draws that are in memory at a time
            vectorized=True,
            paired=True,
            confidence_level=SURE,
            method="percentile",
            rng=np.random.default_rng(seed),
        ).confidence_interval
        low, high = float(found.low), float(found.high)
    if high - low <= 1e-9 * max(1.0, abs(value)):
        unseen = 1 - ((1 - SURE) / 2) ** (1 / count)
        ends = min(0.0, *(each.min() for each in scores)), max(1.0, *(each.max() for each in scores))
        worlds = itertools.product(*([mean + unseen * (end - mean) for end in ends] for mean in means))
        moved = [float(statistic(*world)) for world in worlds]
        low, high = min(value, *moved), max(value, *moved)
    return Estimate(value, low, high, count)


def proportion(right: float, items: int) -> Estimate:
    """An accuracy with its 95% interval (Wilson 1927), which never leaves 0 to 1 and works for few items.

    Args:
        right: how many were right; a tie may count half. The interval is wider than need be where many do, since ties
            spread less than rights and wrongs.
        items: of how many.
    Raises:
        ValueError: `items` is no whole number of at least 1, or `right` is not between 0 and that.
    """
    items = whole("items", items)
    if isinstance(right, bool) or not isinstance(right, Real) or not 0 <= right <= items:
        raise ValueError(f"{right} right of {items} is no accuracy: right must lie between 0 and items")
    share, z = float(right) / items, stats.norm.ppf((1 + SURE) / 2)
    middle = (share + z**2 / (2 * items)) / (1 + z**2 / items)
    half = z / (1 + z**2 / items) * math.sqrt(share * (1 - share) / items + z**2 / (4 * items**2))
    # At the ends the formula gives 0 and 1 but for rounding.
    low = 0.0 if right == 0 else float(middle - half)
    return Estimate(share, low, 1.0 if right == items else float(middle + half), items)


def difference(first: Scores, second: Scores) -> Estimate:
    """Mean of ``first − second`` over the same items, with its paired bootstrap interval (`bootstrap`).

    Raises:
        ValueError: as `paired`.
    """
    return bootstrap(lambda one, other: one - other, *paired(first, second))


def mcnemar(first: Scores, second: Scores) -> dict[str, float]:
    """Exact paired test of two models that are right or wrong on the same items.

    Items on which both are right, or both wrong, say nothing about who is better. Of the others, half would go to
    either if neither were.

    Args:
        first, second: ``[N]``, 1 where that model is right and 0 where it is not.
    Returns:
        dict of ``first_only``, ``second_only`` (items that only one got right) and two-sided ``p``.
    Raises:
        ValueError: as `paired`; a score is neither 1 nor 0 (of other scores take the `difference`).
    Source: McNemar 1947, in its exact binomial form.
    """
    first, second = paired(verdicts("first", first), verdicts("second", second))
    one, other = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    p = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    return {"first_only": one, "second_only": other, "p": float(p)}


def power(items: int, gain: float, disagreement: float, alpha: float = 0.05) -> float:
    """Probability that `mcnemar` finds a true gain at that level, on so many items.

    Args:
        gain: how much more often one model is right, for example 0.03.
        disagreement: share of items that only one of the two gets right; at least the gain.
        alpha: the test's level, the chance of a find where there is nothing.
    Raises:
        ValueError: `items` is no whole number of at least 1; the gain is 0, or larger than the disagreement; alpha is not
            between 0 and 1.
    """
    items = whole("items", items)
    gain, disagreement = _gain(gain, disagreement)
    alpha = _chance("alpha", alpha)
    spread = 8 * math.sqrt(items * disagreement * (1 - disagreement)) + 8
    middle = items * disagreement
    found = 0.0
    for split in range(max(0, int(middle - spread)), min(items, int(middle + spread)) + 1):
        weight = stats.binom.pmf(split, items, disagreement)
        least = stats.binom.ppf(alpha / 2, split, 0.5) - 1  # as many wins or fewer are significant
        while stats.binom.cdf(least + 1, split, 0.5) <= alpha / 2:
            least += 1
        better = (1 + gain / disagreement) / 2
        if least >= 0:
            found += weight * (stats.binom.cdf(least, split, better) + stats.binom.sf(split - least - 1, split, better))
    return float(found)


def items_needed(gain: float, disagreement: float, chance: float = 0.8, alpha: float = 0.05) -> int:
    """About how many test items `mcnemar` needs to find a true gain with that chance (its power).

    .. math:: n = \\frac{(z_{1-α/2} \\sqrt d + z_{chance} \\sqrt{d - g^2})^2}{g^2}

    for a gain g and a disagreement d; see `power` for both.

    Raises:
        ValueError: the gain is 0, or larger than the disagreement; alpha and chance are not 0 < alpha < chance < 1.
    Source: Connor 1987, "Sample size for testing differences in proportions for the paired-sample design".
    """
    gain, disagreement = _gain(gain, disagreement)
    chance, alpha = _chance("the chance of a find", chance), _chance("alpha", alpha)
    if chance <= alpha:
        raise ValueError(
            f"the chance of a find, {chance:g}, must be over alpha, {alpha:g}: so often the test finds what is not there"
        )
    normal = stats.norm.ppf
    root = normal(1 - alpha / 2) * math.sqrt(disagreement) + normal(chance) * math.sqrt(disagreement - gain**2)
    return math.ceil(root**2 / gain**2)


def _gain(gain, disagreement):
    if not all(isinstance(each, Real) for each in (gain, disagreement)) or not 0 < gain <= disagreement <= 1:
        raise ValueError(
            f"a gain of {gain} with a disagreement of {disagreement} cannot be: 0 < gain ≤ disagreement ≤ 1 is needed"
        )
    return float(gain), float(disagreement)


def _chance(name, value):
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < 1:
        raise ValueError(f"{name} must lie between 0 and 1, both excluded, and it is {value!r}")
    return float(value)
