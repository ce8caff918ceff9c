"""Checks of lesson 12, did it work?: ECE, transfer ratio, paired test, percentiles, win rate, number of test items."""

import math

import numpy as np
import torch
from scipy import stats

from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import nearest, unchanged


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


def _ece_of(place, gap):
    return np.abs(np.bincount(place, gap)).sum() / len(gap)


def check_ece(ece):
    """12.1: expected calibration error with bins of equal width."""
    ece = unchanged(ece)
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
        ends = np.linspace(confidence.min(), confidence.max(), bins + 1)
        ordered = np.argsort(confidence, kind="stable")
        gaps = [confidence[part] - right[part] for part in np.array_split(ordered, bins)]
        held = np.minimum((confidence * bins).astype(int), bins - 1)
        mistakes = (
            (_ece_of(np.minimum(np.digitize(confidence, ends) - 1, bins - 1), confidence - right), "Your bins run from the least to the largest confidence: they run from 0 to 1. (hint 1)"),
            (sum(abs(part.sum()) for part in gaps) / count, "Your bins hold equally many answers: they are of equal width, from 0 to 1. (hint 1)"),
            (max(abs((confidence - right)[held == each].mean()) for each in np.unique(held)), "That is the largest gap of any bin: take the mean, weighed by items. (hint 2)"),
            (100 * expected, "That is in points: leave it a share."),
            (_ece(confidence, right, bins, weigh=False), "Each bin counts by its number of items. (hint 2)"),
            (_ece(confidence, right, bins, weigh=False, empty=True), "Each bin counts by its items, and an empty one not."),
            (_ece(confidence, right, bins, signed=True), "A bin that is too sure must not make up for one that is too unsure: take absolute values within bins."),
            (abs(confidence.mean() - right.mean()), "That is one bin for everything: compare within each bin. (hint 1)"),
            (np.abs(confidence - right).mean(), "That is the distance item by item; average within a bin first. (hint 1)"),
            (_ece(confidence, right, bins, squared=True), "You squared the gaps: the ECE takes absolute values."),
            (_ece(confidence[lost], right[lost], bins), "You lost the items of confidence 1: they belong to the last bin. (hint 1)"),
            (_ece(confidence[lost], right[lost], bins) * lost.mean(), "You lost the items of confidence 1: they belong to the last bin. (hint 1)"),
        )  # fmt: skip
        why = "In each bin |mean confidence − accuracy|, times its share of the answers, added up. (hints 1 and 2)"
        why = nearest(got, mistakes, why, 1e-6)
        raise Wrong(
            f"With {count} answers in {bins} bins an ECE of {expected:.4f} was expected, and {got:.4f} came. {why}"
        )


def _scores(rng, count):
    """Scores, and draws that tell answers apart: lopsided, and with some items oftener than chance would draw them.

    Whoever draws again, or puts a normal distribution in place of the draws, then gets another interval.
    """
    while True:
        teacher = rng.uniform(0.1, 0.4, count)
        teacher[:2] = rng.uniform(3.0, 5.0, 2)  # two items hold most of the teacher's score
        student = np.clip(0.8 * teacher + 0.15 * rng.standard_normal(count), 0, None)
        student[:2] *= 0.5
        order = rng.permutation(count)
        teacher, student = teacher[order], student[order]
        weights = rng.dirichlet(np.full(count, 3.0))
        draws = rng.choice(count, (2000, count), p=weights)
        ratios = student[draws].mean(1) / teacher[draws].mean(1)
        estimate, ends = student.mean() / teacher.mean(), np.quantile(ratios, [0.025, 0.975])
        half = 1.96 * ratios.std() * np.array([-1, 1])
        own = rng.integers(0, count, (2000, count))
        own = np.quantile(student[own].mean(1) / teacher[own].mean(1), [0.025, 0.975])
        others = [own, estimate + half, ratios.mean() + half, 2 * estimate - ends[::-1]]
        if abs(ratios.mean() - estimate) > 0.02 and all(np.abs(other - ends).max() > 0.03 for other in others):
            return student, teacher, draws, ratios


def check_transfer_ratio(transfer_ratio):
    """12.2: ratio of mean scores with a paired bootstrap interval."""
    transfer_ratio = unchanged(transfer_ratio)
    rng = _rng()
    names = ("ratio", "low", "high")
    for count in (20, 30):
        student, teacher, draws, ratios = _scores(rng, count)
        expected = [student.mean() / teacher.mean(), *np.quantile(ratios, [0.025, 0.975])]
        got = _several(transfer_ratio(student.copy(), teacher.copy(), draws.copy()), names)
        # Quantiles have several conventions: anything between the neighbours in rank is right.
        ordered = np.sort(ratios)
        low, high = (0.025 * (len(ratios) - 1), 0.975 * (len(ratios) - 1))
        ranks = [(math.floor(rank) - 1, math.ceil(rank) + 1) for rank in (low, high)]
        inside = [ordered[least] - 1e-6 <= end <= ordered[most] + 1e-6 for end, (least, most) in zip(got[1:], ranks)]
        if close(got[0], expected[0], 1e-6) and all(inside):
            continue
        told = (
            f"A ratio of {expected[0]:.3f} [{expected[1]:.3f}, {expected[2]:.3f}] was expected, and "
            f"{got[0]:.3f} [{got[1]:.3f}, {got[2]:.3f}] came. "
        )
        if not close(got[0], expected[0], 1e-6):
            mistakes = (
                (1 / expected[0], "You divided the teacher by the student."),
                ((student / teacher).mean(), "That is the mean of the ratios: take the ratio of the means. (hint 1)"),
                (student.mean() - teacher.mean(), "That is a difference, and a ratio was asked for."),
                (np.mean(ratios), "That is the mean of the draws: the estimate comes from all items, each once. (hint 1)"),
                (np.median(ratios), "That is the median of the draws: the estimate comes from all items, each once. (hint 1)"),
                (student.mean(), "That is the student's mean: divide it by the teacher's. (hint 1)"),
                (np.median(student) / np.median(teacher), "That is a ratio of medians: take means. (hint 1)"),
            )  # fmt: skip
            why = "The student's mean over all items, divided by the teacher's. (hint 1)"
            raise Wrong(told + nearest(got[0], mistakes, why))
        if got[1] > got[2]:
            raise Wrong(told + "The lower end comes first.")
        apart = student[draws].mean(1) / teacher[draws[::-1]].mean(1)
        fixed = student[draws].mean(1) / teacher.mean()
        each = (student / teacher)[draws].mean(1)
        deviation = ratios.std()
        mistakes = (
            (np.quantile(ratios, [0.05, 0.95]), "Those are the 5% and 95% quantiles: 95% lie between 2.5% and 97.5%. (hint 2)"),
            (np.quantile(ratios, [0.005, 0.995]), "Those are the 0.5% and 99.5% quantiles: 95% lie between 2.5% and 97.5%. (hint 2)"),
            (np.quantile(apart, [0.025, 0.975]), "Draw the same items for both: the pairs must stay together. (hint 2)"),
            (np.quantile(fixed, [0.025, 0.975]), "The teacher's mean must be drawn too, over the same items. (hint 2)"),
            (np.quantile(each, [0.025, 0.975]), "You draw the items' ratios: take both means of each draw, then divide. (hint 2)"),
            (np.quantile(student[draws].mean(1), [0.025, 0.975]), "Those are quantiles of the student's means: divide by the teacher's. (hint 2)"),
            ([expected[0] - deviation, expected[0] + deviation], "That is one standard error to each side. (hint 2)"),
            ([expected[0] - 1.96 * deviation, expected[0] + 1.96 * deviation], "That is the estimate ± 1.96 standard errors: the draws are lopsided, take their quantiles. (hint 2)"),
            ([ratios.mean() - 1.96 * deviation, ratios.mean() + 1.96 * deviation], "That is the mean ± 1.96 standard errors: the draws are lopsided, take their quantiles. (hint 2)"),
            (2 * expected[0] - np.array(expected[:0:-1]), "You turned the draws round the estimate: their quantiles themselves were asked for. (hint 2)"),
            ([ratios.min(), ratios.max()], "Those are the smallest and largest draw. (hint 2)"),
        )  # fmt: skip
        why = nearest(got[1:], mistakes, "", 2e-3)
        if not why:
            own = rng.integers(0, count, (4000, count))
            own = np.quantile(student[own].mean(1) / teacher[own].mean(1), [0.025, 0.975])
            why = "Both means over the items of each row of draws, divided, then their quantiles. (hint 2)"
            if close(got[1:], own, 0.05):
                why = "Do you draw the items yourself? Take the draws that are handed over: student[draws]. (hint 2)"
        raise Wrong(told + why)


def check_mcnemar(p_value):
    """12.3: exact paired test."""
    p_value = unchanged(p_value)
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
            (2 * stats.binom.cdf(least, split, 0.5) - stats.binom.pmf(least, split, 0.5), "That is the mid-p: count the observed split whole. (hint 2)"),
            (min(1.0, 2 * stats.binom.cdf(one, split, 0.5)), "Take the smaller of the two counts, whichever model it belongs to. (hint 2)"),
            (min(1.0, 2 * stats.binom.cdf(other, split, 0.5)), "Take the smaller of the two counts, whichever model it belongs to. (hint 2)"),
            (2 * stats.binom.sf(max(one, other), split, 0.5), "sf leaves the observed count out: as many as that, or more. (hint 2)"),
            ((first == second).mean(), "That is the share on which both agree: count where they differ. (hint 1)"),
            (2 * stats.binom.pmf(least, split, 0.5), "Add up the tail: as few as that, or fewer. (hint 2)"),
        ]  # fmt: skip
        if split:
            chi = stats.chi2.sf((one - other) ** 2 / split, 1)
            corrected = stats.chi2.sf(max(abs(one - other) - 1, 0) ** 2 / split, 1)
            words = "That is the chi-squared approximation: with few items use the binomial itself. (hint 2)"
            mistakes += [(chi, words), (corrected, words)]
            if np.std(first - second) > 0:
                words = "That is a t-test of the differences: with so few items use the binomial itself. (hint 2)"
                mistakes.append((stats.ttest_rel(first, second).pvalue, words))
        why = "Twice the tail of the binomial over the items on which they differ, at most 1. (hints 1 and 2)"
        why = nearest(got, mistakes, why, 1e-5)
        raise Wrong(
            f"One model alone was right on {one} items, the other alone on {other}, the same on {same}: p = {expected:.4f} "
            f"was expected, and {got:.4f} came. {why}"
        )


def check_percentiles(latencies):
    """12.4: p50, p95 and p99 after the warm-up."""
    latencies = unchanged(latencies)
    rng = _rng()
    for count, warm_up in ((300, 5), (120, 20), (80, 0)):
        seconds = rng.lognormal(-2, 0.5, count)
        seconds[:warm_up] = 4 + 4 * rng.random(warm_up)
        seconds[:warm_up:4] = 0.05  # not all of the warm-up is slow,
        seconds[rng.choice(np.arange(warm_up, count), 6, replace=False)] = 5 + 6 * rng.random(
            6
        )  # nor all that is slow warm-up
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
            (np.percentile(seconds[warm_up + 1 :], [50, 95, 99]), "You drop one too many: seconds[warm_up:]. (hint 1)"),
            (np.percentile(kept[kept < 4], [50, 95, 99]), "You drop what is slow: slow answers are what p99 is about. The warm-up goes by position. (hint 1)"),
            ([middle, *expected[1:]], "The first is the mean: p50 is the median. (hint 2)"),
            (np.percentile(kept, [50, 95, 99], method="inverted_cdf"), "You take a single measured one: np.percentile goes between two neighbours. (hint 2)"),
            (np.percentile(kept, [50, 95, 99], method="higher"), "You take a single measured one: np.percentile goes between two neighbours. (hint 2)"),
            (np.percentile(kept, [50, 95, 99], method="lower"), "You take a single measured one: np.percentile goes between two neighbours. (hint 2)"),
            (np.sort(kept)[[min(int(share * len(kept)), len(kept) - 1) for share in (0.5, 0.95, 0.99)]], "You take a single measured one: np.percentile goes between two neighbours. (hint 2)"),
            ([np.percentile(kept, q) for q in (0.5, 0.95, 0.99)], "np.percentile takes 50, 95 and 99; 0.5, 0.95 and 0.99 belong to np.quantile. (hint 2)"),
            (1000 * expected, "Seconds were expected, and those are milliseconds."),
            (middle + spread * np.array([0, 1.645, 2.326]), "Latencies are no normal distribution: take percentiles of what was measured. (hint 2)"),
            (np.percentile(kept, [50, 5, 1]), "Slow is large: p95 is what 95% of the users stay under. (hint 2)"),
        )  # fmt: skip
        why = "np.percentile of seconds[warm_up:] at 50, 95 and 99. (hints 1 and 2)"
        why = nearest(got, mistakes, why, 1e-6)
        told = ", ".join(f"{value:.3f}" for value in expected), ", ".join(f"{value:.3f}" for value in got)
        raise Wrong(
            f"Of {count} latencies with a warm-up of {warm_up}, {told[0]} s were expected, and {told[1]} came. {why}"
        )


def check_win_rate(win_rate):
    """12.5: win rate and position bias when each pair is shown in both orders."""
    win_rate = unchanged(win_rate)
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
                (ours_first.count("A") / count / 2 + theirs_first.count("A") / count / 2, "In the second order our answer is B. (hint 1)"),
                (1 - expected[0], "That is their win rate."),
            )  # fmt: skip
            why = "A pair won counts 1, a tie one half, over the number of pairs. (hint 1)"
            raise Wrong(told + nearest(got[0], mistakes, why, 1e-6))
        mistakes = (
            ((always_first + always_second) / (2 * count), "Verdicts that disagree may favour either place: count the \"A\" of both lists. (hint 2)"),
            ((always_first + always_second) / count, "That is the share of ties: count the \"A\" of both lists. (hint 2)"),
            (expected[1] + 0.5, "Take one half off: a judge without bias names A half the time. (hint 2)"),
            (2 * expected[1], "Over all verdicts of both orders: there are twice as many as pairs. (hint 2)"),
            (-expected[1] if expected[1] > 0 else math.nan, "Towards the first place counts as positive. (hint 2)"),
            (abs(expected[1]), "The sign says which place is preferred: keep it. (hint 2)"),
            (ours_first.count("A") / count - 0.5, "In one order alone, good answers and the first place cannot be told apart. (hint 2)"),
        )  # fmt: skip
        why = 'The share of "A" among all verdicts of both lists, less one half. (hint 2)'
        raise Wrong(told + nearest(got[1], mistakes, why, 1e-6))


def check_items_needed(items_needed):
    """12.6: test items for a paired comparison."""
    rng = _rng()
    # Many items first: there every mistake gives a number of its own, but that of the second root; it shows last.
    cases = [
        (0.02, 0.1),
        (0.05, 0.3),
        *((g, g + e) for g, e in rng.uniform(0.02, 0.1, (3, 2))),
        (0.2, 0.25),
        (0.3, 0.35),
    ]
    z = stats.norm.ppf
    za, zb = z(0.975), z(0.8)
    for gain, disagreement in cases:

        def size(za=za, zb=zb, inner=disagreement - gain**2, gain=gain, disagreement=disagreement):
            return (za * math.sqrt(disagreement) + zb * math.sqrt(inner)) ** 2 / gain**2

        expected, got = size(), number(items_needed(gain, disagreement))
        if abs(got - expected) <= max(1.0, 0.003 * expected):  # rounded up or down, or z to two decimals
            continue
        roots = z(0.975) * math.sqrt(disagreement), z(0.8) * math.sqrt(disagreement - gain**2)
        mistakes = (
            (size(za=z(0.95)), "You tested one side only: the 5% are split over both tails, z = 1.96. (hint 1)"),
            (size(zb=0.0), "A chance of 80% was asked for; without its z you get 50%. (hint 1)"),
            (size(zb=z(0.9)), "You took z for 90%: a chance of 80% has 0.842. (hint 1)"),
            (size(zb=z(0.975)), "You took 1.96 twice: a chance of 80% has 0.842. (hint 1)"),
            (size(zb=-z(0.8)), "One z of yours is negative: take those of 0.975 and 0.8, 1.960 and 0.842. (hint 1)"),
            (size(za=z(0.8), zb=z(0.975)), "You exchanged the two z: 1.96 goes with the root of d. (hint 1)"),
            (size(inner=disagreement), "Under the second root stands d − g², not d. (hint 2)"),
            (size(inner=disagreement + gain**2), "Under the second root stands d − g², with a minus. (hint 2)"),
            (size(inner=disagreement - gain), "Under the second root stands d − g²: square g. (hint 2)") if disagreement > gain
            else (math.nan, ""),
            (size() * gain, "Divide by g squared. (hint 2)"),
            (size() * gain**2, "Divide by g squared. (hint 2)"),
            (size() / 1e4, "g is a share, 0.02 and not 2: leave it as it comes. (hint 2)"),
            (math.sqrt(size()), "Square the sum in the numerator. (hint 2)"),
            (sum(roots) / gain**2, "Square the sum in the numerator. (hint 2)"),
            ((roots[0] ** 2 + roots[1] ** 2) / gain**2, "You square each term: add them first, then square the sum. (hint 2)"),
            ((z(0.975) * disagreement + z(0.8) * (disagreement - gain**2)) ** 2 / gain**2, "You left out the two roots. (hint 2)"),
            (2 * size(), "The items are shared by both models: nothing is doubled."),
            (size() / 2, "Nothing is halved: every item is shown to both models."),
        )  # fmt: skip
        # Within rounding up, and z to two decimals. Where several are that near, none can be told from the number.
        told = (
            f"A gain of {gain:.3f} where models differ on {disagreement:.3f} of the items needs {expected:.1f} items, and "
            f"{got:.1f} came. "
        )
        near = {words for value, words in mistakes if -0.01 - 0.003 * value <= got - value <= 1.01 + 0.003 * value}
        if len(near) == 1:
            raise Wrong(told + near.pop())
        raise Wrong(
            told
            + f"z₀.₉₇₅ √d is {roots[0]:.4f} and z₀.₈ √(d − g²) is {roots[1]:.4f}: their sum squared, over g². (hints 1 and 2)"
        )


CHECKS = {
    "12.1": check_ece,
    "12.2": check_transfer_ratio,
    "12.3": check_mcnemar,
    "12.4": check_percentiles,
    "12.5": check_win_rate,
    "12.6": check_items_needed,
}
