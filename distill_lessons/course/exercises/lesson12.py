"""Checks of lesson 12, did it work?: ECE, transfer ratio, paired test, percentiles, win rate, number of test items."""

import math

import numpy as np
import torch
from scipy import stats

from distill_lessons.course.exercises import Wrong, close, number


def _rng():
    return np.random.default_rng(torch.randint(2**31, ()).item())


def _several(answer, names):
    """The answer as one finite number for each name, or `Wrong`."""
    try:
        found = [number(value) for value in answer]
    except TypeError:
        raise Wrong(f"{len(names)} numbers were expected ({', '.join(names)}), and this came: {answer!r}") from None
    if len(found) != len(names):
        raise Wrong(f"{len(names)} numbers were expected ({', '.join(names)}), and {len(found)} came: {answer!r}")
    return found


def _ece(confidence, right, bins, weigh=True, signed=False, squared=False, empty=False):
    """ECE, or a version of it with a mistake."""
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps, items = [], []
    for each in range(bins):
        inside = place == each
        gap = confidence[inside].mean() - right[inside].mean() if inside.any() else 0.0
        if inside.any() or empty:
            gaps.append(gap if signed else gap**2 if squared else abs(gap))
            items.append(inside.sum())
    return np.average(gaps, weights=items) if weigh else np.mean(gaps)


def check_ece(ece):
    """12.1: expected calibration error with bins of equal width."""
    rng = _rng()
    for count, bins in ((400, 10), (150, 15), (60, 5)):
        confidence = 0.3 + 0.7 * rng.random(count) ** 0.5
        confidence[:2] = 1.0  # belongs to the last bin
        right = (rng.random(count) < np.where(confidence < 0.7, 0.95, 0.5)).astype(
            float
        )  # unsure and right, sure and wrong
        right[:2] = 0.0
        expected = _ece(confidence, right, bins)
        got = number(ece(confidence.copy(), right.copy(), bins))
        if close(got, expected, 1e-6):
            continue
        lost = confidence < 1
        mistakes = (
            (_ece(confidence, right, bins, weigh=False), "Each bin counts by its number of items. (hint 2)"),
            (_ece(confidence, right, bins, weigh=False, empty=True), "Each bin counts by its items, and an empty one not."),
            (_ece(confidence, right, bins, signed=True), "A bin that is too sure must not make up for one that is too unsure: take absolute values within bins."),
            (abs(confidence.mean() - right.mean()), "That is one bin for everything: compare within each bin. (hint 1)"),
            (np.abs(confidence - right).mean(), "That is the distance item by item; average within a bin first. (hint 1)"),
            (_ece(confidence, right, bins, squared=True), "You squared the gaps: the ECE takes absolute values."),
            (_ece(confidence[lost], right[lost], bins), "You lost the items of confidence 1: they belong to the last bin. (hint 1)"),
            (_ece(confidence[lost], right[lost], bins) * lost.mean(), "You lost the items of confidence 1: they belong to the last bin. (hint 1)"),
        )  # fmt: skip
        why = next((words for value, words in mistakes if close(got, value, 1e-6)), "See both hints.")
        raise Wrong(
            f"With {count} answers in {bins} bins an ECE of {expected:.4f} was expected, and {got:.4f} came. {why}"
        )


def check_transfer_ratio(transfer_ratio):
    """12.2: ratio of mean scores with a paired bootstrap interval."""
    rng = _rng()
    names = ("ratio", "low", "high")
    for count in (40, 60):
        teacher = rng.uniform(0.1, 1.0, count)
        student = np.clip(0.8 * teacher + 0.15 * rng.standard_normal(count), 0, None)
        draws = rng.integers(0, count, (2000, count))
        ratios = student[draws].mean(1) / teacher[draws].mean(1)
        expected = [student.mean() / teacher.mean(), *np.quantile(ratios, [0.025, 0.975])]
        got = _several(transfer_ratio(student.copy(), teacher.copy(), draws.copy()), names)
        if close(got, expected, 2e-3):
            continue
        told = (
            f"A ratio of {expected[0]:.3f} [{expected[1]:.3f}, {expected[2]:.3f}] was expected, and "
            f"{got[0]:.3f} [{got[1]:.3f}, {got[2]:.3f}] came. "
        )
        if not close(got[0], expected[0], 2e-3):
            mistakes = (
                (1 / expected[0], "You divided the teacher by the student."),
                ((student / teacher).mean(), "That is the mean of the ratios: take the ratio of the means. (hint 1)"),
                (student.mean() - teacher.mean(), "That is a difference, and a ratio was asked for."),
                (np.mean(ratios), "That is the mean of the draws: the estimate comes from all items, each once."),
            )
            why = next((words for value, words in mistakes if close(got[0], value, 1e-4)), "See hint 1.")
            raise Wrong(told + why)
        apart = student[draws].mean(1) / teacher[draws[::-1]].mean(1)
        fixed = student[draws].mean(1) / teacher.mean()
        mistakes = (
            (np.quantile(ratios, [0.05, 0.95]), "Those are the 5% and 95% quantiles: 95% lie between 2.5% and 97.5%. (hint 2)"),
            (np.quantile(apart, [0.025, 0.975]), "Draw the same items for both: the pairs must stay together. (hint 2)"),
            (np.quantile(fixed, [0.025, 0.975]), "The teacher's mean must be drawn too, over the same items. (hint 2)"),
            ([expected[0] - ratios.std(), expected[0] + ratios.std()], "That is one standard error to each side. (hint 2)"),
            ([ratios.min(), ratios.max()], "Those are the smallest and largest draw. (hint 2)"),
        )  # fmt: skip
        why = next((words for value, words in mistakes if close(got[1:], value, 3e-3)), "See hint 2.")
        raise Wrong(told + why)


def check_mcnemar(p_value):
    """12.3: exact paired test."""
    rng = _rng()
    fixed = ((9, 1, 30), (5, 5, 10), (0, 0, 12), (0, 6, 3), (14, 3, 200))
    for one, other, same in (*fixed, *((int(a), int(b), 20) for a, b in rng.integers(2, 25, (3, 2)))):
        both = rng.random(same) < 0.7
        first = np.concatenate([np.ones(one), np.zeros(other), both])
        second = np.concatenate([np.zeros(one), np.ones(other), both])
        order = rng.permutation(len(first))
        first, second = first[order], second[order]
        split, least = one + other, min(one, other)
        expected = min(1.0, 2 * stats.binom.cdf(least, split, 0.5)) if split else 1.0
        got = number(p_value(first.copy(), second.copy()))
        if close(got, expected, 1e-6):
            continue
        table = [[first.sum(), len(first) - first.sum()], [second.sum(), len(first) - second.sum()]]
        mistakes = [
            (stats.binom.cdf(least, split, 0.5), "That is one tail: nobody told you in advance who would win. (hint 2)"),
            (2 * stats.binom.cdf(least, split, 0.5), "No probability is above 1: cut it there. (hint 2)"),
            (stats.binomtest(one, len(first)).pvalue, "Items on which both agree do not count. (hint 1)"),
            (stats.fisher_exact(table)[1], "That test takes two sets of different items: these are pairs. (hint 1)"),
            (2 * stats.binom.pmf(least, split, 0.5), "Add up the tail: as few as that, or fewer. (hint 2)"),
        ]  # fmt: skip
        if split:
            chi = stats.chi2.sf((one - other) ** 2 / split, 1)
            corrected = stats.chi2.sf(max(abs(one - other) - 1, 0) ** 2 / split, 1)
            words = "That is the chi-squared approximation: with few items use the binomial itself. (hint 2)"
            mistakes += [(chi, words), (corrected, words)]
        why = next((words for value, words in mistakes if close(got, value, 1e-5)), "See both hints.")
        raise Wrong(
            f"One model alone was right on {one} items, the other alone on {other}, the same on {same}: p = {expected:.4f} "
            f"was expected, and {got:.4f} came. {why}"
        )


def check_percentiles(latencies):
    """12.4: p50, p95 and p99 after the warm-up."""
    rng = _rng()
    for count, warm_up in ((300, 5), (120, 20), (80, 0)):
        seconds = rng.lognormal(-2, 0.5, count)
        seconds[:warm_up] = 4 + 4 * rng.random(warm_up)
        expected = np.percentile(seconds[warm_up:], [50, 95, 99])
        got = _several(latencies(seconds.copy(), warm_up), ("p50", "p95", "p99"))
        if close(got, expected, 1e-6):
            continue
        kept = seconds[warm_up:]
        middle, spread = kept.mean(), kept.std()
        mistakes = (
            (np.percentile(seconds, [50, 95, 99]), "The warm-up is still in. (hint 1)"),
            (np.percentile(seconds[: count - warm_up], [50, 95, 99]), "You dropped the last ones: the warm-up comes first. (hint 1)"),
            (np.percentile(np.sort(seconds)[warm_up:], [50, 95, 99]), "You sorted before dropping: the warm-up are the earliest, not the fastest. (hint 1)"),
            (np.percentile(np.sort(seconds)[: count - warm_up], [50, 95, 99]), "You dropped the slowest: the warm-up are the earliest. (hint 1)"),
            (1000 * expected, "Seconds were expected, and those are milliseconds."),
            (middle + spread * np.array([0, 1.645, 2.326]), "Latencies are no normal distribution: take percentiles of what was measured. (hint 2)"),
            (np.percentile(kept, [50, 5, 1]), "Slow is large: p95 is what 95% of the users stay under. (hint 2)"),
        )  # fmt: skip
        why = next((words for value, words in mistakes if close(got, value, 1e-6)), "See both hints.")
        told = ", ".join(f"{value:.3f}" for value in expected), ", ".join(f"{value:.3f}" for value in got)
        raise Wrong(
            f"Of {count} latencies with a warm-up of {warm_up}, {told[0]} s were expected, and {told[1]} came. {why}"
        )


def check_win_rate(win_rate):
    """12.5: win rate and position bias when each pair is shown in both orders."""
    rng = _rng()
    sides = [("A", "B"), ("B", "A"), ("A", "A"), ("B", "B")]  # won, lost, always first, always second
    for weights in ([0.4, 0.2, 0.3, 0.1], [0.1, 0.2, 0.6, 0.1], [0.3, 0.3, 0.0, 0.4]):
        counts = np.array(weights) * 40 + rng.integers(1, 6, 4)
        chosen = [side for side, count in zip(sides, counts.astype(int)) for _ in range(count)]
        rng.shuffle(chosen)
        ours_first, theirs_first = [a for a, _ in chosen], [b for _, b in chosen]
        won, lost, always_first, always_second = (sum(tuple(c) == side for c in chosen) for side in sides)
        count = len(chosen)
        expected = [(won + (always_first + always_second) / 2) / count, (always_first - always_second) / (2 * count)]
        got = _several(win_rate(list(ours_first), list(theirs_first)), ("win rate", "position bias"))
        if close(got, expected, 1e-6):
            continue
        told = (
            f"{won} pairs won in both orders, {lost} lost, {always_first} decided for A both times, {always_second} for B: "
            f"win rate {expected[0]:.3f} and position bias {expected[1]:+.3f} were expected, {got[0]:.3f} and {got[1]:+.3f} came. "
        )
        if not close(got[0], expected[0], 1e-6):
            mistakes = (
                ((won + always_first) / count, "You looked at one order only. (hint 1)"),
                ((won + always_second) / count, "You looked at the second order only. (hint 1)"),
                (won / count, "Where the orders disagree it is a tie, and a tie counts half. (hint 1)"),
                (won / max(won + lost, 1), "You left ties out: they count half. (hint 1)"),
                ((2 * won + always_first + always_first) / (2 * count), "In the second order our answer is B. (hint 1)"),
                (ours_first.count("A") / count / 2 + theirs_first.count("A") / count / 2, "In the second order our answer is B. (hint 1)"),
                (1 - expected[0], "That is their win rate."),
            )  # fmt: skip
            why = next((words for value, words in mistakes if close(got[0], value, 1e-6)), "See hint 1.")
            raise Wrong(told + why)
        mistakes = (
            (expected[1] + 0.5, "Take one half off: a judge without bias names A half the time. (hint 2)"),
            (2 * expected[1], "Over all verdicts of both orders: there are twice as many as pairs. (hint 2)"),
            (-expected[1], "Towards the first place counts as positive. (hint 2)"),
            (abs(expected[1]), "The sign says which place is preferred: keep it. (hint 2)"),
            (ours_first.count("A") / count - 0.5, "In one order alone, good answers and the first place cannot be told apart. (hint 2)"),
        )  # fmt: skip
        why = next((words for value, words in mistakes if close(got[1], value, 1e-6)), "See hint 2.")
        raise Wrong(told + why)


def check_items_needed(items_needed):
    """12.6: test items for a paired comparison."""
    rng = _rng()
    cases = [(0.3, 0.35), (0.2, 0.25), (0.02, 0.1), *((g, g + e) for g, e in rng.uniform(0.02, 0.3, (3, 2)))]
    for gain, disagreement in cases:
        za, zb = stats.norm.ppf(0.975), stats.norm.ppf(0.8)

        def size(za=za, zb=zb, inner=disagreement - gain**2, gain=gain, disagreement=disagreement):
            return (za * math.sqrt(disagreement) + zb * math.sqrt(inner)) ** 2 / gain**2

        expected, got = size(), number(items_needed(gain, disagreement))
        if abs(got - expected) <= max(1.0, 0.01 * expected):
            continue
        mistakes = (
            (size(za=stats.norm.ppf(0.95)), "You tested one side only: the 5% are split over both tails, z = 1.96. (hint 1)"),
            (size(zb=0.0), "A chance of 80% was asked for; without its z you get 50%. (hint 1)"),
            (size(inner=disagreement), "Under the second root stands d − g². (hint 2)"),
            (size() * gain, "Divide by g squared. (hint 2)"),
            (math.sqrt(size()), "Square the sum in the numerator. (hint 2)"),
            (2 * size(), "The items are shared by both models: nothing is doubled."),
        )  # fmt: skip
        why = next(
            (words for value, words in mistakes if abs(got - value) <= max(2.0, 0.005 * value)), "See both hints."
        )
        raise Wrong(
            f"A gain of {gain:.3f} where models differ on {disagreement:.3f} of the items needs {expected:.0f} items, and "
            f"{got:.0f} came. {why}"
        )


CHECKS = {
    "12.1": check_ece,
    "12.2": check_transfer_ratio,
    "12.3": check_mcnemar,
    "12.4": check_percentiles,
    "12.5": check_win_rate,
    "12.6": check_items_needed,
}
