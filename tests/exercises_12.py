"""Right and plausible wrong answers to the exercises of lesson 12."""

import math
from statistics import NormalDist, quantiles

import numpy as np
import torch
from scipy import stats

# --- 12.1 ------------------------------------------------------------------------------------------------------------


def halves(confidence, right, bins):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    sure = unsure = 0.0
    for each in range(bins):
        inside = place == each
        if inside.any():
            gap = inside.mean() * (confidence[inside].mean() - right[inside].mean())
            sure, unsure = sure + max(gap, 0), unsure + max(-gap, 0)
    return sure, unsure


def halves_from_ece_and_overconfidence(confidence, right, bins):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    ece = np.abs(np.bincount(place, confidence - right)).sum() / len(right)
    over = confidence.mean() - right.mean()  # the halves' difference; the ECE is their sum
    return np.array([ece + over, ece - over]) / 2


def halves_in_a_loop(confidence, right, bins):
    held = {}
    for c, r in zip(confidence.tolist(), right.tolist()):
        held.setdefault(min(int(c * bins), bins - 1), []).append(c - r)
    sums = [sum(gaps) / len(right) for gaps in held.values()]
    return [sum(each for each in sums if each > 0), -sum(each for each in sums if each < 0)]


def halves_by_tensors(confidence, right, bins):
    gap = torch.from_numpy(confidence - right)
    place = (torch.from_numpy(confidence) * bins).long().clamp(max=bins - 1)
    sums = torch.zeros(bins, dtype=gap.dtype).index_add(0, place, gap) / len(gap)
    return torch.stack([sums.clamp(min=0).sum(), (-sums).clamp(min=0).sum()])


def _by_bin(confidence, right, bins):
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    held = [place == each for each in range(bins) if (place == each).any()]
    return np.array([confidence[b].mean() - right[b].mean() for b in held]), np.array([b.sum() for b in held])


def _parts(gaps):
    return gaps[gaps > 0].sum(), -gaps[gaps < 0].sum()


def ece_unweighted(confidence, right, bins):
    return _parts(_by_bin(confidence, right, bins)[0] / bins)


def ece_mean_of_bins(confidence, right, bins):
    gaps = _by_bin(confidence, right, bins)[0]
    return _parts(gaps / len(gaps))


def ece_net(confidence, right, bins):
    over = confidence.mean() - right.mean()
    return max(over, 0), max(-over, 0)


def ece_itemwise(confidence, right, bins):
    return _parts((confidence - right) / len(right))


def ece_exchanged(confidence, right, bins):
    return halves(confidence, right, bins)[::-1]


def ece_with_its_sign(confidence, right, bins):
    sure, unsure = halves(confidence, right, bins)
    return sure, -unsure


def ece_loses_the_sure(confidence, right, bins):
    sums = []
    for low in np.arange(bins) / bins:
        inside = (confidence >= low) & (confidence < low + 1 / bins)
        sums.append((confidence[inside] - right[inside]).sum() / len(right))
    return _parts(np.array(sums))


def ece_bins_from_least_to_most(confidence, right, bins):
    place = np.digitize(confidence, np.linspace(confidence.min(), confidence.max(), bins + 1)) - 1
    return _parts(np.bincount(np.minimum(place, bins - 1), confidence - right) / len(right))


def ece_equal_counts(confidence, right, bins):
    parts = np.array_split(np.argsort(confidence), bins)
    return _parts(np.array([(confidence - right)[part].sum() for part in parts]) / len(right))


def ece_changes_the_confidence(confidence, right, bins):
    confidence[confidence == 1] -= 1e-9
    return halves(confidence, right, bins)


def ece_in_points(confidence, right, bins):
    sure, unsure = halves(confidence, right, bins)
    return 100 * sure, 100 * unsure


def ece_whole(confidence, right, bins):
    return sum(halves(confidence, right, bins))


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


def decide(trial):
    low, high, difference, margin = (trial[name] for name in ("low", "high", "difference", "margin"))
    if low > -margin:
        return "ship", "not worse"
    if high < -margin:
        return "stop", "worse"
    if difference <= -margin:
        return "stop", "hopeless"
    more = trial["items"] * ((difference - low) / (difference + margin)) ** 2 - trial["items"]
    if more * trial["price"] > trial["budget"]:
        return "stop", "too dear"
    return more, "unclear"


def decide_by_trying(trial):
    """Adds items until the interval fits or the money is gone."""
    half = trial["difference"] - trial["low"]
    if trial["difference"] - half > -trial["margin"]:
        return ["ship", "not worse"]
    if trial["difference"] <= -trial["margin"]:
        return ["stop", "worse" if trial["high"] < -trial["margin"] else "hopeless"]
    more = 0
    while trial["difference"] - half * math.sqrt(trial["items"] / (trial["items"] + more)) <= -trial["margin"]:
        more += 1
        if more * trial["price"] > trial["budget"]:
            return ["stop", "too dear"]
    return [more, "unclear"]


def decide_in_standard_errors(trial):
    error = (trial["high"] - trial["low"]) / 2 / 1.645
    spread, room = error * np.sqrt(trial["items"]), trial["margin"] + trial["difference"]
    if room > 1.645 * error:
        return "ship", "not worse"
    if room <= 0:
        return "stop", "worse" if room < -1.645 * error else "hopeless"
    more = np.ceil((1.645 * spread / room) ** 2) - trial["items"]
    return (np.int64(more), "unclear") if more * trial["price"] <= trial["budget"] else ("stop", "too dear")


def decide_no_significant_difference(trial):
    return ("ship", "not worse") if trial["high"] > 0 else decide(trial)


def decide_significant_is_worse(trial):
    return ("stop", "worse") if trial["high"] < 0 else decide(trial)


def decide_by_the_estimate(trial):
    return ("ship", "not worse") if trial["difference"] > -trial["margin"] else ("stop", "worse")


def decide_by_the_best_end(trial):
    return ("ship", "not worse") if trial["high"] > -trial["margin"] else ("stop", "worse")


def decide_never_collects(trial):
    return decide(trial) if trial["low"] > -trial["margin"] else ("stop", "worse")


def decide_always_collects(trial):
    choice, reason = decide(trial)
    more = trial["items"] * ((trial["difference"] - trial["low"]) / (trial["difference"] + trial["margin"])) ** 2
    return (more, "unclear") if reason == "hopeless" else (choice, reason)


def decide_without_money(trial):
    return decide(trial | {"budget": math.inf})


def _with(change):
    def decided(trial):
        choice, reason = decide(trial)
        return (change(trial, choice), reason) if reason == "unclear" else (choice, reason)

    return decided


decide_counts_all = _with(lambda trial, more: more + trial["items"])
decide_without_the_root = _with(
    lambda trial, more: trial["items"] * ((trial["difference"] - trial["low"]) / (trial["difference"] + trial["margin"]) - 1)
)  # fmt: skip
decide_from_zero = _with(
    lambda trial, more: trial["items"] * (((trial["difference"] - trial["low"]) / trial["margin"]) ** 2 - 1)
)
decide_whole_width = _with(
    lambda trial, more: (
        trial["items"] * (((trial["high"] - trial["low"]) / (trial["difference"] + trial["margin"])) ** 2 - 1)
    )
)
decide_in_money = _with(lambda trial, more: more * trial["price"])
decide_spends_all = _with(lambda trial, more: trial["budget"] / trial["price"])
decide_says_collect = _with(lambda trial, more: "collect")


def decide_contradicts(trial):
    return "ship", decide(trial)[1]


def decide_without_reason(trial):
    return decide(trial)[0]


def decide_changes_the_trial(trial):
    trial["room"] = trial["difference"] + trial["margin"]
    return decide(trial)


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


def _ours(verdicts):
    """Whether our answer was taken, in either order."""
    return np.array([[v == "A" for v in verdicts[0]], [v == "B" for v in verdicts[1]]])


def _best(judges, score, words):
    """The judge with the highest score gets the first word, and so on with those left."""
    left, found = dict(judges), {}
    for word in words:
        letter = max(left, key=lambda letter: score(word, left[letter]))
        found[letter] = word
        del left[letter]
    return found


def diagnose(judges, better, longer):
    better, longer = (np.array([each == "ours" for each in words]) for words in (better, longer))

    def score(word, verdicts):
        if word == "first place":
            return sum(each.count("A") for each in verdicts)
        ours = _ours(verdicts)
        if word == "longer answer":
            return (ours == longer).mean()
        return (ours == better).mean() if word == "sound" else 0

    return _best(judges, score, ("first place", "longer answer", "sound", "coin"))


def diagnose_where_length_misleads(judges, better, longer):
    apart = [one != other for one, other in zip(better, longer)]
    found = {}
    for letter, (first, second) in judges.items():
        rows = [(f == "A") == (b == "ours") for f, b, a in zip(first, better, apart) if a]
        rows += [(s == "B") == (b == "ours") for s, b, a in zip(second, better, apart) if a]
        right = sum(rows) / len(rows)
        if (first + second).count("A") > 0.75 * 2 * len(first):
            found[letter] = "first place"
        else:
            found[letter] = "sound" if right > 0.57 else "longer answer" if right < 0.25 else "coin"
    return found


def diagnose_by_regression(judges, better, longer):
    columns = [[1] * len(better), *([1 if each == "ours" else -1 for each in words] for words in (better, longer))]
    found, left = {}, list(judges)
    weights = {}
    for letter, (first, second) in judges.items():
        x = np.array([[1, *row[1:]] for row in zip(*columns)] + [[-1, *row[1:]] for row in zip(*columns)])
        y = np.array([1 if v == "A" else -1 for v in first] + [1 if v == "B" else -1 for v in second])
        weights[letter] = np.linalg.lstsq(x, y, rcond=None)[0]
    for place, word in ((0, "first place"), (2, "longer answer"), (1, "sound"), (1, "coin")):
        letter = max(left, key=lambda letter: weights[letter][place])
        left.remove(letter)
        found[letter] = word
    return found


def diagnose_by_agreement(judges, better, longer):
    """Who agrees with people most is sound."""
    better, longer = (np.array([each == "ours" for each in words]) for words in (better, longer))
    score = {"sound": lambda v: (_ours(v) == better).mean(), "longer answer": lambda v: (_ours(v) == longer).mean()}
    score |= {"first place": lambda v: v[0].count("A") + v[1].count("A"), "coin": lambda v: 0}
    return _best(judges, lambda word, v: score[word](v), ("sound", "longer answer", "first place", "coin"))


def diagnose_by_one_order(judges, better, longer):
    """Only the order in which ours stands first: as often A as not."""
    better, longer = (np.array([each == "ours" for each in words]) for words in (better, longer))
    score = {"first place": lambda o: 0.5 + abs(o.mean() - 0.5), "longer answer": lambda o: (o == longer).mean()}
    score |= {"sound": lambda o: (o == better).mean(), "coin": lambda o: 0}
    order = ("sound", "longer answer", "first place", "coin")
    return _best(judges, lambda word, v: score[word](_ours(v)[0]), order)


def diagnose_forgets_the_swap(judges, better, longer):
    better, longer = ([each == "ours" for each in words] for words in (better, longer))

    def score(word, verdicts):
        picked = [v == "A" for v in (*verdicts[0], *verdicts[1])]
        if word == "first place":
            return sum(picked)
        return np.mean([p == t for p, t in zip(picked, 2 * (longer if word == "longer answer" else better))])

    return _best(judges, score, ("first place", "longer answer", "sound", "coin"))


def diagnose_by_consistency(judges, better, longer):
    """The steadier, the sounder."""
    order = ("sound", "longer answer", "coin", "first place")
    return _best(judges, lambda word, v: np.mean([a != b for a, b in zip(*v)]), order)


def diagnose_exchanges_two(judges, better, longer):
    turned = {"sound": "coin", "coin": "sound"}
    return {letter: turned.get(word, word) for letter, word in diagnose(judges, better, longer).items()}


def diagnose_always_the_same(judges, better, longer):
    return dict(zip(judges, ("sound", "first place", "longer answer", "coin")))


def diagnose_all_sound(judges, better, longer):
    return dict.fromkeys(judges, "sound")


def diagnose_other_words(judges, better, longer):
    return {letter: word.replace("answer", "one") for letter, word in diagnose(judges, better, longer).items()}


def diagnose_three(judges, better, longer):
    return {letter: word for letter, word in diagnose(judges, better, longer).items() if word != "coin"}


def win_rate_joins_in_place(judges, better, longer):
    """Counts the wins over both orders in one list, which is the first of the two."""
    found = diagnose(judges, better, longer)
    for first, second in judges.values():
        first += ["A" if each == "B" else "B" for each in second]
    return found


# --- 12.6 ------------------------------------------------------------------------------------------------------------

Z = NormalDist().inv_cdf


def items_needed(gain, disagreement, margin):
    return math.ceil((1.644854 + 0.841621) ** 2 * (disagreement - gain**2) / (margin + gain) ** 2)


def items_needed_float(gain, disagreement, margin):
    gained, lost = (disagreement + gain) / 2, (disagreement - gain) / 2
    return (Z(0.95) - Z(0.2)) ** 2 * (gained + lost - (gained - lost) ** 2) / (gained - lost + margin) ** 2


def items_by_counting(gain, disagreement, margin):
    items, spread = 1, math.sqrt(disagreement - gain**2)
    while stats.norm.sf(1.644854 - (gain + margin) * items**0.5 / spread) < 0.8:
        items += 1
    return items


def items_by_the_hint(gain, disagreement, margin):
    """With the z of the hint, rounded up: a little over the exact number before it is rounded."""
    return math.ceil((1.645 + 0.842) ** 2 * (disagreement - gain**2) / (margin + gain) ** 2)


def items_with_two_decimals(gain, disagreement, margin):
    return round((1.64 + 0.84) ** 2 * (disagreement - gain**2) / (margin + gain) ** 2)


def items_rounded_down(gain, disagreement, margin):
    z_sure, z_power = np.abs(stats.norm.ppf([0.05, 0.2]))
    return int(np.square((z_sure + z_power) / (margin + gain)) * (disagreement - np.square(gain)))


def _size(gain, disagreement, margin, z=2.486475):  # of 0.95 and of 0.8 together
    return z**2 * (disagreement - gain**2) / (margin + gain) ** 2


def items_two_sided(gain, disagreement, margin):
    return _size(gain, disagreement, margin, Z(0.975) + Z(0.8))


def items_without_power(gain, disagreement, margin):
    return _size(gain, disagreement, margin, Z(0.95))


def items_of_ninety(gain, disagreement, margin):
    return _size(gain, disagreement, margin, Z(0.95) + Z(0.9))


def items_negative_z(gain, disagreement, margin):
    return _size(gain, disagreement, margin, Z(0.95) + Z(0.2))


def items_without_gain_inside(gain, disagreement, margin):
    return (Z(0.95) + Z(0.8)) ** 2 * disagreement / (margin + gain) ** 2


def items_as_if_equal(gain, disagreement, margin):
    return (Z(0.95) + Z(0.8)) ** 2 * (disagreement - gain**2) / margin**2


def items_sign_turned(gain, disagreement, margin):
    return (Z(0.95) + Z(0.8)) ** 2 * (disagreement - gain**2) / (margin - gain) ** 2


def items_not_squared(gain, disagreement, margin):
    return (Z(0.95) + Z(0.8)) * math.sqrt(disagreement - gain**2) / (margin + gain)


def items_of_sums_of_squares(gain, disagreement, margin):
    return (Z(0.95) ** 2 + Z(0.8) ** 2) * (disagreement - gain**2) / (margin + gain) ** 2


def items_unpaired(gain, disagreement, margin):
    return 2 * _size(gain, disagreement, margin)


def items_of_two_halves(gain, disagreement, margin):
    return _size(gain, disagreement, margin) / 2


def items_in_points(gain, disagreement, margin):
    return _size(gain, disagreement, margin) / 100**2


def items_to_find_a_difference(gain, disagreement, margin):
    gain = gain or margin
    return (Z(0.975) * math.sqrt(disagreement) + Z(0.8) * math.sqrt(disagreement - gain**2)) ** 2 / gain**2


RIGHT = {
    "12.1": halves,
    "12.2": transfer_ratio,
    "12.3": decide,
    "12.4": latencies,
    "12.5": diagnose,
    "12.6": items_needed,
}
ALSO_RIGHT = {
    "12.1": [halves_from_ece_and_overconfidence, halves_in_a_loop, halves_by_tensors],
    "12.2": [ratio_by_tensors, ratio_one_by_one, ratio_with_a_loop],
    "12.3": [decide_by_trying, decide_in_standard_errors],
    "12.4": [latencies_one_by_one, latencies_by_statistics, latencies_as_array],
    "12.5": [diagnose_where_length_misleads, diagnose_by_regression],
    "12.6": [
        items_by_counting,
        items_by_the_hint,
        items_with_two_decimals,
        items_rounded_down,
        items_needed_float,
    ],
}
WRONG = {
    "12.1": [
        ece_bins_from_least_to_most,
        ece_equal_counts,
        ece_changes_the_confidence,
        ece_in_points,
        ece_unweighted,
        ece_mean_of_bins,
        ece_net,
        ece_itemwise,
        ece_exchanged,
        ece_with_its_sign,
        ece_loses_the_sure,
        ece_whole,
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
        decide_no_significant_difference,
        decide_significant_is_worse,
        decide_by_the_estimate,
        decide_by_the_best_end,
        decide_never_collects,
        decide_always_collects,
        decide_without_money,
        decide_counts_all,
        decide_without_the_root,
        decide_from_zero,
        decide_whole_width,
        decide_in_money,
        decide_spends_all,
        decide_says_collect,
        decide_contradicts,
        decide_without_reason,
        decide_changes_the_trial,
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
        diagnose_by_agreement,
        diagnose_by_one_order,
        diagnose_forgets_the_swap,
        diagnose_by_consistency,
        diagnose_exchanges_two,
        diagnose_always_the_same,
        diagnose_all_sound,
        diagnose_other_words,
        diagnose_three,
        win_rate_joins_in_place,
    ],
    "12.6": [
        items_of_two_halves,
        items_negative_z,
        items_of_ninety,
        items_in_points,
        items_as_if_equal,
        items_sign_turned,
        items_of_sums_of_squares,
        items_two_sided,
        items_without_power,
        items_without_gain_inside,
        items_not_squared,
        items_unpaired,
        items_to_find_a_difference,
    ],
}
