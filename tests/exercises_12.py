"""Right and plausible wrong answers to the exercises of lesson 12."""

import math
from statistics import NormalDist, quantiles

import numpy as np
import torch
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


def ece_largest_gap(confidence, right, bins):
    return np.abs(_by_bin(confidence, right, bins)[0]).max()


def ece_bins_from_least_to_most(confidence, right, bins):
    place = np.digitize(confidence, np.linspace(confidence.min(), confidence.max(), bins + 1)) - 1
    return _ece_at(np.minimum(place, bins - 1), confidence, right)


def _ece_at(place, confidence, right):
    gaps = [
        (place == b).sum() * abs(confidence[place == b].mean() - right[place == b].mean()) for b in np.unique(place)
    ]
    return sum(gaps) / len(right)


def ece_equal_counts(confidence, right, bins):
    order = np.argsort(confidence)
    parts = [(confidence[part], right[part]) for part in np.array_split(order, bins)]
    return sum(len(c) * abs(c.mean() - r.mean()) for c, r in parts) / len(right)


def ece_changes_the_confidence(confidence, right, bins):
    confidence[confidence == 1] -= 1e-9
    return ece(confidence, right, bins)


def ece_in_points(confidence, right, bins):
    return 100 * ece(confidence, right, bins)


def ece_in_a_loop(confidence, right, bins):
    held = {}
    for c, r in zip(confidence.tolist(), right.tolist()):
        held.setdefault(min(int(c * bins), bins - 1), []).append(c - r)
    return sum(abs(sum(gaps)) for gaps in held.values()) / len(right)


def ece_by_tensors(confidence, right, bins):
    gap = torch.from_numpy(confidence - right)
    place = (torch.from_numpy(confidence) * bins).long().clamp(max=bins - 1)
    return torch.zeros(bins, dtype=gap.dtype).index_add(0, place, gap).abs().sum() / len(gap)


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


def ratio_with_draws_of_its_own(student, teacher, draws):
    own = np.random.default_rng(0).integers(0, len(student), draws.shape)
    return transfer_ratio(student, teacher, own)


def ratio_mean_of_draws(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher[draws].mean(1)
    return ratios.mean(), *np.quantile(ratios, [0.025, 0.975])


def ratio_normal(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher[draws].mean(1)
    ratio = student.mean() / teacher.mean()
    return ratio, ratio - 1.96 * ratios.std(), ratio + 1.96 * ratios.std()


def ratio_normal_about_the_mean_of_draws(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher[draws].mean(1)
    half = 1.96 * ratios.std()
    return student.mean() / teacher.mean(), ratios.mean() - half, ratios.mean() + half


def ratio_basic(student, teacher, draws):
    ratio, low, high = transfer_ratio(student, teacher, draws)
    return ratio, 2 * ratio - high, 2 * ratio - low


def ratio_median_of_draws(student, teacher, draws):
    ratios = student[draws].mean(1) / teacher[draws].mean(1)
    return np.median(ratios), *np.quantile(ratios, [0.025, 0.975])


def ratio_difference(student, teacher, draws):
    gaps = student[draws].mean(1) - teacher[draws].mean(1)
    return student.mean() - teacher.mean(), *np.quantile(gaps, [0.025, 0.975])


def ratio_student_only(student, teacher, draws):
    return student.mean() / teacher.mean(), *np.quantile(student[draws].mean(1), [0.025, 0.975])


def ratio_by_tensors(student, teacher, draws):
    s, t, d = (torch.from_numpy(each) for each in (student, teacher, draws))
    ends = (s[d].mean(1) / t[d].mean(1)).quantile(torch.tensor([0.025, 0.975], dtype=s.dtype))
    return torch.cat([(s.mean() / t.mean())[None], ends])


def ratio_one_by_one(student, teacher, draws):
    yield sum(student) / sum(teacher)
    ratios = [student[draw].sum() / teacher[draw].sum() for draw in draws]
    yield from np.percentile(ratios, [2.5, 97.5], method="nearest")


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


def p_in_the_middle(first, second):
    one, other = _split(first, second)
    split, least = one + other, min(one, other)
    tail = stats.binom.cdf(least, split, 0.5) - 0.5 * stats.binom.pmf(least, split, 0.5)
    return min(1.0, 2 * tail)


def p_of_a_t_test(first, second):
    return stats.ttest_rel(first, second).pvalue if (first != second).any() else 1.0


def p_of_one_end_only(first, second):
    one, other = _split(first, second)
    return min(1.0, 2 * stats.binom.cdf(one, one + other, 0.5))


def p_of_the_larger_count(first, second):
    one, other = _split(first, second)
    return min(1.0, 2 * stats.binom.sf(max(one, other), one + other, 0.5))


def p_of_agreement(first, second):
    return (first == second).mean()


def p_by_binomtest(first, second):
    one, other = _split(first, second)
    return stats.binomtest(one, one + other).pvalue if one + other else 1


def p_in_a_loop(first, second):
    one = other = 0
    for f, s in zip(first.tolist(), second.tolist()):
        one, other = one + (f > s), other + (f < s)
    tails = sum(
        math.comb(one + other, k) for k in range(one + other + 1) if abs(2 * k - one - other) >= abs(one - other)
    )
    return tails / 2 ** (one + other)


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


def latencies_without_the_slowest(seconds, warm_up):
    return tuple(np.percentile(np.sort(seconds)[: len(seconds) - warm_up], [50, 95, 99]))


def latencies_sorts_a_view(seconds, warm_up):
    kept = seconds[warm_up:]
    kept.sort()
    return tuple(np.percentile(kept, [50, 95, 99]))


def latencies_by_nearest_rank(seconds, warm_up):
    kept = np.sort(seconds[warm_up:])
    return tuple(kept[int(len(kept) * share)] for share in (0.5, 0.95, 0.99))


def latencies_with_a_mean(seconds, warm_up):
    kept = seconds[warm_up:]
    return kept.mean(), *np.percentile(kept, [95, 99])


def latencies_fast_is_large(seconds, warm_up):
    return tuple(np.percentile(seconds[warm_up:], [50, 5, 1]))


def latencies_drops_one_more(seconds, warm_up):
    return tuple(np.percentile(seconds[warm_up + 1 :], [50, 95, 99]))


def latencies_without_outliers(seconds, warm_up):
    kept = seconds[warm_up:]
    return tuple(np.percentile(kept[kept < 4], [50, 95, 99]))


def latencies_one_by_one(seconds, warm_up):
    kept = sorted(seconds[warm_up:].tolist())
    for share in (0.5, 0.95, 0.99):
        low, part = divmod(share * (len(kept) - 1), 1)
        yield kept[int(low)] + part * (kept[min(int(low) + 1, len(kept) - 1)] - kept[int(low)])


def latencies_by_statistics(seconds, warm_up):
    cuts = quantiles(seconds[warm_up:].tolist(), n=100, method="inclusive")
    return cuts[49], cuts[94], cuts[98]


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


def win_rate_joins_in_place(ours_first, theirs_first):
    rate = win_rate(ours_first, theirs_first)[0]
    ours_first += theirs_first
    return rate, ours_first.count("A") / len(ours_first) - 0.5


def win_rate_of_the_second_order(ours_first, theirs_first):
    return theirs_first.count("B") / len(theirs_first), win_rate(ours_first, theirs_first)[1]


def win_rate_bias_doubled(ours_first, theirs_first):
    rate, bias = win_rate(ours_first, theirs_first)
    return rate, 2 * bias


def win_rate_bias_turned_round(ours_first, theirs_first):
    rate, bias = win_rate(ours_first, theirs_first)
    return rate, -bias


def win_rate_bias_size(ours_first, theirs_first):
    rate, bias = win_rate(ours_first, theirs_first)
    return rate, abs(bias)


def win_rate_theirs(ours_first, theirs_first):
    rate, bias = win_rate(ours_first, theirs_first)
    return 1 - rate, bias


def win_rate_disagreement_as_bias(ours_first, theirs_first):
    ties = np.mean([a == b for a, b in zip(ours_first, theirs_first)])
    return win_rate(ours_first, theirs_first)[0], ties / 2


def win_rate_one_by_one(ours_first, theirs_first):
    yield (ours_first.count("A") + theirs_first.count("B")) / (2 * len(ours_first))
    yield np.mean([letter == "A" for letter in [*ours_first, *theirs_first]]) - 0.5


def win_rate_in_a_loop(ours_first, theirs_first):
    points = seen = 0
    for a, b in zip(ours_first, theirs_first):
        points += 1 if (a, b) == ("A", "B") else 0.5 if a == b else 0
        seen += (a == "A") + (b == "A")
    return np.array([points / len(ours_first), seen / len(ours_first) / 2 - 0.5])


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


def items_of_two_halves(gain, disagreement):
    return items_needed(gain, disagreement) / 2


def items_negative_z(gain, disagreement):
    z = NormalDist().inv_cdf
    return (z(0.975) * disagreement**0.5 + z(0.2) * (disagreement - gain**2) ** 0.5) ** 2 / gain**2


def items_of_ninety(gain, disagreement):
    z = NormalDist().inv_cdf
    return (z(0.975) * disagreement**0.5 + z(0.9) * (disagreement - gain**2) ** 0.5) ** 2 / gain**2


def items_in_points(gain, disagreement):
    return items_needed(gain, disagreement) / 100**2


def items_without_roots(gain, disagreement):
    return (1.959964 * disagreement + 0.841621 * (disagreement - gain**2)) ** 2 / gain**2


def items_of_sums_of_squares(gain, disagreement):
    return (1.959964**2 * disagreement + 0.841621**2 * (disagreement - gain**2)) / gain**2


def items_by_counting(gain, disagreement):
    items = 1
    while stats.norm.cdf((gain * items**0.5 - 1.959964 * disagreement**0.5) / (disagreement - gain**2) ** 0.5) < 0.8:
        items += 1
    return items


def items_rounded_down(gain, disagreement):
    z_alpha, z_power = np.abs(stats.norm.ppf([0.025, 0.2]))
    return int(np.square(z_alpha * np.sqrt(disagreement) + z_power * np.sqrt(disagreement - gain**2)) / gain**2)


RIGHT = {
    "12.1": ece,
    "12.2": transfer_ratio,
    "12.3": p_value,
    "12.4": latencies,
    "12.5": win_rate,
    "12.6": items_needed,
}
ALSO_RIGHT = {
    "12.1": [ece_in_a_loop, ece_by_tensors, ece_by_sums],
    "12.2": [ratio_by_tensors, ratio_one_by_one, ratio_with_a_loop],
    "12.3": [p_by_binomtest, p_in_a_loop, p_by_counting],
    "12.4": [latencies_one_by_one, latencies_by_statistics, latencies_as_array],
    "12.5": [win_rate_one_by_one, win_rate_in_a_loop, win_rate_by_means],
    "12.6": [items_by_counting, items_rounded_down, items_needed_float],
}
WRONG = {
    "12.1": [
        ece_largest_gap,
        ece_bins_from_least_to_most,
        ece_equal_counts,
        ece_changes_the_confidence,
        ece_in_points,
        ece_unweighted,
        ece_signed,
        ece_itemwise,
        ece_squared,
        ece_loses_the_sure,
    ],
    "12.2": [
        ratio_with_draws_of_its_own,
        ratio_mean_of_draws,
        ratio_normal,
        ratio_normal_about_the_mean_of_draws,
        ratio_basic,
        ratio_median_of_draws,
        ratio_difference,
        ratio_student_only,
        ratio_of_means_inverted,
        ratio_mean_of_ratios,
        ratio_unpaired,
        ratio_teacher_fixed,
        ratio_ninety,
        ratio_one_error,
    ],
    "12.3": [
        p_in_the_middle,
        p_of_a_t_test,
        p_of_one_end_only,
        p_of_the_larger_count,
        p_of_agreement,
        p_one_tail,
        p_over_one,
        p_chi_squared,
        p_all_items,
        p_unpaired,
    ],
    "12.4": [
        latencies_without_the_slowest,
        latencies_sorts_a_view,
        latencies_by_nearest_rank,
        latencies_with_a_mean,
        latencies_fast_is_large,
        latencies_drops_one_more,
        latencies_without_outliers,
        latencies_with_warm_up,
        latencies_drops_last,
        latencies_sorted_first,
        latencies_normal,
        latencies_in_milliseconds,
    ],
    "12.5": [
        win_rate_joins_in_place,
        win_rate_of_the_second_order,
        win_rate_bias_doubled,
        win_rate_bias_turned_round,
        win_rate_bias_size,
        win_rate_theirs,
        win_rate_disagreement_as_bias,
        win_rate_one_order,
        win_rate_ties_are_losses,
        win_rate_without_ties,
        win_rate_forgets_the_swap,
        win_rate_share_of_first,
        win_rate_bias_of_one_order,
    ],
    "12.6": [
        items_of_two_halves,
        items_negative_z,
        items_of_ninety,
        items_in_points,
        items_without_roots,
        items_of_sums_of_squares,
        items_one_sided,
        items_without_power,
        items_without_gain_inside,
        items_not_squared,
        items_unpaired,
    ],
}
