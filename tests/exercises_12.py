"""Right and plausible wrong answers to the exercises of lesson 12."""

import math
from statistics import NormalDist

import numpy as np
from scipy import stats

# --- 12.1 ------------------------------------------------------------------------------------------------------------


def ece(confidence, right, bins):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    total = 0.0
    for each in range(bins):
        inside = place == each
        if inside.any():
            total += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    return total / len(confidence)


def ece_by_sums(confidence, right, bins):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return np.abs(np.bincount(place, confidence - right)).sum() / len(right)


def _by_bin(confidence, right, bins):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    held = [place == each for each in range(bins) if (place == each).any()]
    return np.array([confidence[b].mean() - right[b].mean() for b in held]), np.array([b.sum() for b in held])


def ece_unweighted(confidence, right, bins):
    return np.abs(_by_bin(confidence, right, bins)[0]).mean()


def ece_signed(confidence, right, bins):
    gaps, items = _by_bin(confidence, right, bins)
    return abs((gaps * items).sum() / items.sum())


def ece_itemwise(confidence, right, bins):
    return np.abs(confidence - right).mean()


def ece_squared(confidence, right, bins):
    gaps, items = _by_bin(confidence, right, bins)
    return (gaps**2 * items).sum() / items.sum()


def ece_loses_the_sure(confidence, right, bins):
    total = 0.0
    for low in np.arange(bins) / bins:
        inside = (confidence >= low) & (confidence < low + 1 / bins)
        if inside.any():
            total += inside.sum() * abs(confidence[inside].mean() - right[inside].mean())
    return total / len(confidence)


# --- 12.2 ------------------------------------------------------------------------------------------------------------


def transfer_ratio(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher[draws].mean(1)
    return student.mean() / teacher.mean(), *np.quantile(ratios, [0.025, 0.975])


def ratio_with_a_loop(student, teacher, draws):
    ratios = sorted(student[draw].sum() / teacher[draw].sum() for draw in draws)
    return student.sum() / teacher.sum(), ratios[round(0.025 * len(draws))], ratios[round(0.975 * len(draws)) - 1]


def ratio_of_means_inverted(student, teacher, draws):
    return transfer_ratio(teacher, student, draws)


def ratio_mean_of_ratios(student, teacher, draws):
    each = student / teacher
    return each.mean(), *np.quantile(each[draws].mean(1), [0.025, 0.975])


def ratio_unpaired(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher[draws[::-1]].mean(1)
    return student.mean() / teacher.mean(), *np.quantile(ratios, [0.025, 0.975])


def ratio_teacher_fixed(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher.mean()
    return student.mean() / teacher.mean(), *np.quantile(ratios, [0.025, 0.975])


def ratio_ninety(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher[draws].mean(1)
    return student.mean() / teacher.mean(), *np.quantile(ratios, [0.05, 0.95])


def ratio_one_error(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher[draws].mean(1)
    ratio = student.mean() / teacher.mean()
    return ratio, ratio - ratios.std(), ratio + ratios.std()


# --- 12.3 ------------------------------------------------------------------------------------------------------------


def p_value(first, second):
    one, other = int(((first == 1) & (second == 0)).sum()), int(((first == 0) & (second == 1)).sum())
    if one + other == 0:
        return 1.0
    return min(1.0, 2 * stats.binom.cdf(min(one, other), one + other, 0.5))


def p_by_counting(first, second):
    one, other = int((first > second).sum()), int((first < second).sum())
    split, least = one + other, min(one, other)
    return min(1.0, 2 * sum(math.comb(split, k) for k in range(least + 1)) / 2**split)


def _split(first, second):
    return int((first > second).sum()), int((first < second).sum())


def p_one_tail(first, second):
    one, other = _split(first, second)
    return stats.binom.cdf(min(one, other), one + other, 0.5)


def p_over_one(first, second):
    one, other = _split(first, second)
    return 2 * stats.binom.cdf(min(one, other), one + other, 0.5)


def p_chi_squared(first, second):
    one, other = _split(first, second)
    return stats.chi2.sf((one - other) ** 2 / max(one + other, 1), 1)


def p_all_items(first, second):
    return stats.binomtest(_split(first, second)[0], len(first)).pvalue


def p_unpaired(first, second):
    count = len(first)
    return stats.fisher_exact([[first.sum(), count - first.sum()], [second.sum(), count - second.sum()]])[1]


# --- 12.4 ------------------------------------------------------------------------------------------------------------


def latencies(seconds, warm_up):
    return tuple(np.percentile(seconds[warm_up:], [50, 95, 99]))


def latencies_as_array(seconds, warm_up):
    return np.quantile(seconds[warm_up:], [0.5, 0.95, 0.99])


def latencies_with_warm_up(seconds, warm_up):
    return tuple(np.percentile(seconds, [50, 95, 99]))


def latencies_drops_last(seconds, warm_up):
    return tuple(np.percentile(seconds[: len(seconds) - warm_up], [50, 95, 99]))


def latencies_sorted_first(seconds, warm_up):
    return tuple(np.percentile(np.sort(seconds)[warm_up:], [50, 95, 99]))


def latencies_normal(seconds, warm_up):
    kept = seconds[warm_up:]
    return tuple(kept.mean() + kept.std() * np.array([0, 1.645, 2.326]))


def latencies_in_milliseconds(seconds, warm_up):
    return tuple(1000 * np.percentile(seconds[warm_up:], [50, 95, 99]))


# --- 12.5 ------------------------------------------------------------------------------------------------------------


def win_rate(ours_first, theirs_first):
    scores = [1.0 if (a, b) == ("A", "B") else 0.0 if (a, b) == ("B", "A") else 0.5
              for a, b in zip(ours_first, theirs_first)]  # fmt: skip
    verdicts = ours_first + theirs_first
    return sum(scores) / len(scores), verdicts.count("A") / len(verdicts) - 0.5


def win_rate_by_means(ours_first, theirs_first):
    first = np.array([letter == "A" for letter in ours_first], dtype=float)
    second = np.array([letter == "B" for letter in theirs_first], dtype=float)
    return (first + second).mean() / 2, (first.mean() + (1 - second).mean()) / 2 - 0.5


def win_rate_one_order(ours_first, theirs_first):
    return ours_first.count("A") / len(ours_first), win_rate(ours_first, theirs_first)[1]


def win_rate_ties_are_losses(ours_first, theirs_first):
    won = sum((a, b) == ("A", "B") for a, b in zip(ours_first, theirs_first))
    return won / len(ours_first), win_rate(ours_first, theirs_first)[1]


def win_rate_without_ties(ours_first, theirs_first):
    won = sum((a, b) == ("A", "B") for a, b in zip(ours_first, theirs_first))
    lost = sum((a, b) == ("B", "A") for a, b in zip(ours_first, theirs_first))
    return won / (won + lost), win_rate(ours_first, theirs_first)[1]


def win_rate_forgets_the_swap(ours_first, theirs_first):
    both = ours_first + theirs_first
    return both.count("A") / len(both), win_rate(ours_first, theirs_first)[1]


def win_rate_share_of_first(ours_first, theirs_first):
    rate, bias = win_rate(ours_first, theirs_first)
    return rate, bias + 0.5


def win_rate_bias_of_one_order(ours_first, theirs_first):
    return win_rate(ours_first, theirs_first)[0], ours_first.count("A") / len(ours_first) - 0.5


# --- 12.6 ------------------------------------------------------------------------------------------------------------


def items_needed(gain, disagreement):
    root = 1.959964 * math.sqrt(disagreement) + 0.841621 * math.sqrt(disagreement - gain**2)
    return math.ceil(root**2 / gain**2)


def items_needed_float(gain, disagreement):
    z = NormalDist().inv_cdf
    return (z(0.975) * disagreement**0.5 + z(0.8) * (disagreement - gain**2) ** 0.5) ** 2 / gain**2


def items_one_sided(gain, disagreement):
    return (1.645 * math.sqrt(disagreement) + 0.8416 * math.sqrt(disagreement - gain**2)) ** 2 / gain**2


def items_without_power(gain, disagreement):
    return 1.96**2 * disagreement / gain**2


def items_without_gain_inside(gain, disagreement):
    return (1.96 + 0.8416) ** 2 * disagreement / gain**2


def items_not_squared(gain, disagreement):
    return (1.96 * math.sqrt(disagreement) + 0.8416 * math.sqrt(disagreement - gain**2)) / gain


def items_unpaired(gain, disagreement):
    return 2 * items_needed(gain, disagreement)


RIGHT = {
    "12.1": ece,
    "12.2": transfer_ratio,
    "12.3": p_value,
    "12.4": latencies,
    "12.5": win_rate,
    "12.6": items_needed,
}
ALSO_RIGHT = {
    "12.1": [ece_by_sums],
    "12.2": [ratio_with_a_loop],
    "12.3": [p_by_counting],
    "12.4": [latencies_as_array],
    "12.5": [win_rate_by_means],
    "12.6": [items_needed_float],
}
WRONG = {
    "12.1": [ece_unweighted, ece_signed, ece_itemwise, ece_squared, ece_loses_the_sure],
    "12.2": [
        ratio_of_means_inverted,
        ratio_mean_of_ratios,
        ratio_unpaired,
        ratio_teacher_fixed,
        ratio_ninety,
        ratio_one_error,
    ],
    "12.3": [p_one_tail, p_over_one, p_chi_squared, p_all_items, p_unpaired],
    "12.4": [
        latencies_with_warm_up,
        latencies_drops_last,
        latencies_sorted_first,
        latencies_normal,
        latencies_in_milliseconds,
    ],
    "12.5": [
        win_rate_one_order,
        win_rate_ties_are_losses,
        win_rate_without_ties,
        win_rate_forgets_the_swap,
        win_rate_share_of_first,
        win_rate_bias_of_one_order,
    ],
    "12.6": [
        items_one_sided,
        items_without_power,
        items_without_gain_inside,
        items_not_squared,
        items_unpaired,
    ],
}
