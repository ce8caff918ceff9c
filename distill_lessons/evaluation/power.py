"""How sure a comparison on test items is, and how many items it needs. Pure arithmetic on scores; prints nothing."""

import math
from typing import NamedTuple

import numpy as np
from scipy import stats


class Estimate(NamedTuple):
    """A number measured on test items, with its 95% interval."""

    value: float
    low: float
    high: float
    items: int


def paired(first, second):
    """Two score arrays ``[N]`` of the same items as float64.

    Raises:
        ValueError: they differ in length, are empty, or hold a value that is not finite.
    """
    first, second = (np.asarray(scores, dtype=float).ravel() for scores in (first, second))
    if len(first) != len(second):
        raise ValueError(f"{len(first)} scores against {len(second)}: score both models on the same items")
    if len(first) == 0 or not np.isfinite(first).all() or not np.isfinite(second).all():
        raise ValueError("a comparison needs at least one item, and every score finite")
    return first, second


def bootstrap(statistic, *scores, resamples=4000, seed=0):
    """95% percentile bootstrap interval of a function of mean scores, items drawn with replacement, the same for all.

    Args:
        statistic: a function of one array of means for each of `scores`; must work on arrays.
        scores: ``[N]`` each, an entry an item.
    Source: Efron 1979; for comparing systems, Koehn 2004.
    """
    scores = [np.asarray(each, dtype=float) for each in scores]
    count = len(scores[0])
    rng, draws = np.random.default_rng(seed), []
    for begin in range(0, resamples, 500):
        times = rng.multinomial(count, np.full(count, 1 / count), size=min(500, resamples - begin))
        draws.append(statistic(*(times @ each / count for each in scores)))
    low, high = np.quantile(np.concatenate(draws), [0.025, 0.975])
    return Estimate(float(statistic(*(each.mean() for each in scores))), float(low), float(high), count)


def proportion(right, items):
    """An accuracy with its 95% interval (Wilson 1927), which never leaves 0 to 1 and works for few items.

    Args:
        right: how many were right; items: of how many.
    """
    if not 0 <= right <= items or items < 1:
        raise ValueError(f"{right} right of {items} is no accuracy: right must lie between 0 and items, items above 0")
    interval = stats.binomtest(int(right), int(items)).proportion_ci(method="wilson")
    return Estimate(right / items, interval.low, interval.high, int(items))


def difference(first, second):
    """Mean of ``first − second`` over the same items, with its paired bootstrap interval."""
    first, second = paired(first, second)
    return bootstrap(lambda gap: gap, first - second)


def mcnemar(first, second):
    """Exact paired test of two models that are right or wrong on the same items.

    Items on which both are right, or both wrong, say nothing about who is better. Of the others, half would go to
    either if neither were.

    Returns:
        dict of ``first_only``, ``second_only`` (items that only one got right) and two-sided ``p``.
    Source: McNemar 1947, in its exact binomial form.
    """
    first, second = (scores.astype(bool) for scores in paired(first, second))
    one, other = int((first & ~second).sum()), int((second & ~first).sum())
    p = stats.binomtest(one, one + other).pvalue if one + other else 1.0
    return {"first_only": one, "second_only": other, "p": float(p)}


def power(items, gain, disagreement, alpha=0.05):
    """Probability that `mcnemar` finds a true gain at that level, on so many items.

    Args:
        gain: how much more often one model is right, for example 0.03.
        disagreement: share of items that only one of the two gets right; at least the gain.
    """
    _check(gain, disagreement)
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


def items_needed(gain, disagreement, chance=0.8, alpha=0.05):
    """About how many test items `mcnemar` needs to find a true gain with that chance (its power).

    .. math:: n = \\frac{(z_{1-α/2} \\sqrt d + z_{chance} \\sqrt{d - g^2})^2}{g^2}

    for a gain g and a disagreement d; see `power` for both.

    Raises:
        ValueError: the gain is 0, or larger than the disagreement.
    Source: Connor 1987, "Sample size for testing differences in proportions for the paired-sample design".
    """
    _check(gain, disagreement)
    normal = stats.norm.ppf
    root = normal(1 - alpha / 2) * math.sqrt(disagreement) + normal(chance) * math.sqrt(disagreement - gain**2)
    return math.ceil(root**2 / gain**2)


def _check(gain, disagreement):
    if not 0 < gain <= disagreement <= 1:
        raise ValueError(
            f"a gain of {gain} with a disagreement of {disagreement} cannot be: 0 < gain ≤ disagreement ≤ 1 is needed"
        )
