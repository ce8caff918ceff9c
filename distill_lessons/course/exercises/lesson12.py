"""Checks of lesson 12, did it work?: signed ECE, transfer ratio, a decision, percentiles, four judges, number of test items."""

import math
from numbers import Real

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


def _halves(place, gap):
    """ECE in two parts: of the bins that are too sure, and of those that are too unsure."""
    sums = np.bincount(place, gap) / len(gap)
    return np.array([sums[sums > 0].sum(), -sums[sums < 0].sum()])


def _means(place, gap):
    """The bins' mean gaps, without their weights."""
    items = np.bincount(place)
    return np.bincount(place, gap)[items > 0] / items[items > 0]


def _split(gaps):
    return np.array([gaps[gaps > 0].sum(), -gaps[gaps < 0].sum()])


def check_halves(halves):
    """12.1: expected calibration error with bins of equal width, in its two halves."""
    halves = unchanged(halves)
    rng = _rng()
    for count, bins in ((400, 10), (150, 15), (60, 5)):
        confidence = 0.3 + 0.7 * rng.random(count) ** 0.5
        confidence[:2] = 1.0  # belongs to the last bin
        # Unsure and right, sure and wrong.
        right = (rng.random(count) < np.where(confidence < 0.7, 0.95, 0.5)).astype(float)
        right[:2] = 0.0
        gap, place = confidence - right, np.minimum((confidence * bins).astype(int), bins - 1)
        expected = _halves(place, gap)
        got = _several(halves(confidence.copy(), right.copy(), bins), ("too sure", "too unsure"))
        if close(got, expected, 1e-6):
            continue
        lost = confidence < 1
        ends = np.linspace(confidence.min(), confidence.max(), bins + 1)
        tenth = np.empty(count, dtype=int)
        for number_, part in enumerate(np.array_split(np.argsort(confidence, kind="stable"), bins)):
            tenth[part] = number_
        means, net = _means(place, gap), gap.mean()
        mistakes = (
            (expected[::-1], "The first is the part of the bins that are too sure, where confidence is above accuracy. (hint 2)"),
            (expected * [1, -1], "Both parts are positive: they add up to the ECE. (hint 2)"),
            (_halves(np.minimum(np.digitize(confidence, ends) - 1, bins - 1), gap), "Your bins run from the least to the largest confidence: they run from 0 to 1. (hint 1)"),
            (_halves(tenth, gap), "Your bins hold equally many answers: they are of equal width, from 0 to 1. (hint 1)"),
            (100 * expected, "Those are points: leave them shares."),
            (_split(means), "Each bin counts by its share of the answers. (hint 2)"),
            (_split(means) / len(means), "Each bin counts by its share of the answers. (hint 2)"),
            (_split(means) / bins, "Each bin counts by its share of the answers, and an empty one not at all. (hint 2)"),
            ([max(net, 0), max(-net, 0)], "That is one bin for everything, in which too sure makes up for too unsure: look bin by bin. (hint 1)"),
            (_split(gap) / count, "That is the distance item by item: average within a bin first. (hint 1)"),
            (_halves(place[lost], gap[lost]), "You lost the items of confidence 1: they belong to the last bin. (hint 1)"),
            (_halves(place[lost], gap[lost]) * lost.mean(), "You lost the items of confidence 1: they belong to the last bin. (hint 1)"),
        )  # fmt: skip
        why = "In each bin mean confidence − accuracy, times its share of the answers; add up those above 0, and those below. (hints 1 and 2)"
        why = nearest(got, mistakes, why, 1e-6)
        raise Wrong(
            f"With {count} answers in {bins} bins {expected[0]:.4f} too sure and {expected[1]:.4f} too unsure were expected, "
            f"and {got[0]:.4f} and {got[1]:.4f} came. {why}"
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


# --- 12.3: ship it? ---------------------------------------------------------------------------------------------------

REASONS = {"not worse": "ship", "worse": "stop", "hopeless": "stop", "too dear": "stop", "unclear": "collect"}
SHOWN = {  # difference, half the interval, items, margin, what an item costs, what is left to spend
    "A": (-0.008, 0.008, 3000, 0.02, 0.5, 4000),
    "B": (-0.012, 0.021, 600, 0.02, 0.5, 4000),
    "C": (-0.031, 0.007, 3000, 0.02, 0.5, 4000),
    "D": (-0.024, 0.015, 1200, 0.02, 0.5, 4000),
    "E": (-0.015, 0.014, 900, 0.02, 3.0, 4000),
}


def _trial(difference, half, items, margin, price, budget):
    return {"difference": difference, "low": difference - half, "high": difference + half, "items": items,
            "margin": margin, "price": price, "budget": budget}  # fmt: skip


def trials() -> dict[str, dict[str, float]]:
    """Five trials by letter; see `show_trials`."""
    return {letter: _trial(*numbers) for letter, numbers in SHOWN.items()}


def show_trials() -> None:
    """The five trials of exercise 12.3 as a table, in points."""
    print("trial   difference   low, high     items   margin   USD an item   USD left")
    for letter, each in trials().items():
        ends = f"[{100 * each['low']:+.1f}, {100 * each['high']:+.1f}]"
        print(f"{letter:7} {100 * each['difference']:+10.1f}   {ends:13} {each['items']:5,} {100 * each['margin']:8.1f} "
              f"{each['price']:13.2f} {each['budget']:10,}")  # fmt: skip


def _decided(trial):
    """Reason, and the further items that would do if all stays as it is (0 where they would not)."""
    low, high, difference, margin = (trial[name] for name in ("low", "high", "difference", "margin"))
    if low > -margin:
        return "not worse", 0
    if high < -margin:
        return "worse", 0
    if difference <= -margin:
        return "hopeless", 0
    more = trial["items"] * (((difference - low) / (difference + margin)) ** 2 - 1)
    return ("too dear" if more * trial["price"] > trial["budget"] else "unclear"), more


def _fresh_trial(rng, reason):
    """A trial with that outcome, well away from its borders."""
    margin, items, price = rng.uniform(0.01, 0.05), int(rng.integers(300, 4000)), rng.uniform(0.2, 4)
    if reason == "not worse":
        difference = -margin * rng.uniform(0.2, 0.6)
        half = (margin + difference) * rng.uniform(0.3, 0.9)
    elif reason == "worse":
        difference = -margin * rng.uniform(1.3, 2)
        half = (-difference - margin) * rng.uniform(0.3, 0.9)
    elif reason == "hopeless":
        difference = -margin * rng.uniform(1.05, 1.5)
        half = (-difference - margin) * rng.uniform(1.2, 3)
    else:
        difference = -margin * rng.uniform(0.2, 0.8)
        half = (margin + difference) * rng.uniform(1.2, 2.5)
    trial = _trial(difference, half, items, margin, price, 0)
    needed = items * ((half / (margin + difference)) ** 2 - 1) * price if reason in ("unclear", "too dear") else 1000
    trial["budget"] = float(needed * (rng.uniform(0.3, 0.8) if reason == "too dear" else rng.uniform(1.2, 1.9)))
    return trial


def check_decide(decide):
    """12.3: ship, stop, or collect how many more items, and why."""
    decide = unchanged(decide)
    rng = _rng()
    drawn = [_fresh_trial(rng, reason) for reason in [*REASONS] * 3]
    for trial in [*trials().values(), *(drawn[place] for place in rng.permutation(len(drawn)))]:
        answer = decide(dict(trial))
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Wrong(
                f'A pair is expected, such as ("ship", "not worse") or (1200, "unclear"), and this came: {answer!r:.80}.'
            )
        choice, reason = answer
        choice = choice.item() if isinstance(choice, np.generic) else choice
        expected, more = _decided(trial)
        told = (
            f"Difference {100 * trial['difference']:+.2f} [{100 * trial['low']:+.2f}, {100 * trial['high']:+.2f}] points on "
            f"{trial['items']} items, margin {100 * trial['margin']:.2f}, {trial['price']:.2f} USD an item, "
            f"{trial['budget']:,.0f} left: you say {choice!r:.30} because {reason!r:.30}. "
        )
        if not isinstance(reason, str) or reason not in REASONS:
            raise Wrong(told + f"The reason is one of {', '.join(REASONS)}.")
        counted = isinstance(choice, Real) and not isinstance(choice, bool)
        if not counted and choice not in ("ship", "stop"):
            raise Wrong(told + 'The decision is "ship", "stop", or a number of further items.')
        if (REASONS[reason] == "collect") != counted or (not counted and REASONS[reason] != choice):
            raise Wrong(told + "Decision and reason contradict each other.")
        if reason != expected:
            raise Wrong(told + _why_not(trial, reason, expected))
        if counted and (not math.isfinite(choice) or abs(choice - more) > 3 + 0.01 * more):
            raise Wrong(told + _why_not_so_many(trial, float(choice), more))


def _why_not(trial, said, expected):
    if expected == "not worse":
        return "The whole interval lies above −margin: that is what was asked for, be it below 0 or not. (hint 1)"
    if said == "not worse" and trial["high"] > 0:
        return "The interval reaches beyond −margin: that it holds 0 too only says that nobody knows. (hint 1)"
    if said == "not worse":
        return "The low end, not the estimate, must lie above −margin. (hint 1)"
    if expected == "worse":
        return "The whole interval lies below −margin: no more items are needed to say so. (hint 1)"
    if expected == "hopeless":
        return "The estimate itself lies beyond the margin: more items shrink the interval around it. (hint 2)"
    if said in ("worse", "hopeless"):
        return "The estimate lies inside the margin: enough items may show it. (hint 2)"
    more = _decided(trial)[1]
    return f"About {more:,.0f} further items would do, for {more * trial['price']:,.0f} USD. (hint 3)"


def _why_not_so_many(trial, got, more):
    items, half = trial["items"], trial["difference"] - trial["low"]
    room, total = trial["difference"] + trial["margin"], more + trial["items"]
    mistakes = (
        (total, "That is how many it takes in all: how many *more*? (hint 3)"),
        (items * (half / room - 1), "An interval shrinks with the root of the items: half as wide takes four times as many. (hint 3)"),
        (items * half / room, "An interval shrinks with the root of the items, and some are there already. (hint 3)"),
        (items * ((half / trial["margin"]) ** 2 - 1), "The interval must fit between the estimate and −margin, not between 0 and −margin. (hint 3)"),
        (trial["budget"] / trial["price"], "That spends all there is: how many are needed? (hint 3)"),
        (more * trial["price"], "That is what they cost: return the items. (hint 3)"),
        (items * ((2 * half / room) ** 2 - 1), "Only the half below the estimate has to fit. (hint 3)"),
    )  # fmt: skip
    near = {words for value, words in mistakes if abs(got - value) <= 3 + 0.01 * abs(value)}
    why = near.pop() if len(near) == 1 else "Shrink low to −margin, the estimate standing where it is. (hint 3)"
    return f"About {more:,.0f} further items were expected. {why}"


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


# --- 12.5: four judges ------------------------------------------------------------------------------------------------

JUDGES = ("sound", "first place", "longer answer", "coin")
PAIRS = 160


def _judges(rng):
    """Verdicts of four judges by letter, and for each pair which answer people rate higher and which is longer.

    The longer answer is the better one in three pairs of four, so a judge of length agrees with people more often (71%)
    than the sound one does (66%).
    """
    better = rng.random(PAIRS) < 0.5  # ours
    longer = better ^ _some(rng, np.arange(PAIRS), 0.25)
    apart = better != longer
    # What a judge goes by, how often, and how often its verdict hangs on the order.
    follows = {"sound": (better, 0.68, 0.05), "longer answer": (longer, 0.95, 0.02)}
    found = {}
    for name, (target, share, often) in follows.items():
        missed = _some(rng, np.flatnonzero(~apart), 1 - share) | _some(rng, np.flatnonzero(apart), 1 - share)
        ours = target ^ missed
        found[name] = [np.where(ours, "A", "B"), np.where(ours, "B", "A")]
        for verdicts in found[name]:
            # In each kind of pair by itself: a few more in the smaller one would make a sound judge look like a coin.
            turned = _some(rng, np.flatnonzero(apart), often) | _some(rng, np.flatnonzero(~apart), often)
            verdicts[turned] = np.where(verdicts[turned] == "A", "B", "A")
    found["first place"] = [np.where(_some(rng, np.arange(PAIRS), 0.1), "B", "A") for _ in range(2)]
    # Right in half of the pairs, also of those in which the longer answer is the worse one.
    tossed = [
        better ^ _some(rng, np.flatnonzero(apart), 0.5) ^ _some(rng, np.flatnonzero(~apart), 0.5) for _ in range(2)
    ]
    found["coin"] = [np.where(tossed[0], "A", "B"), np.where(tossed[1], "B", "A")]
    letters = rng.permutation(list("KLMN"))
    right = dict(sorted(zip(letters.tolist(), JUDGES)))
    judges = {letter: tuple(each.tolist() for each in found[name]) for letter, name in right.items()}
    words = [np.where(each, "ours", "theirs").tolist() for each in (better, longer)]
    return judges, *words, right


def _some(rng, places, share):
    """A mask over all pairs: that share of these places, drawn at random."""
    mask = np.zeros(PAIRS, dtype=bool)
    mask[rng.permutation(places)[: round(share * len(places))]] = True
    return mask


def check_diagnose(diagnose):
    """12.5: which judge follows what, from its verdicts in both orders."""
    diagnose = unchanged(diagnose)
    for _ in range(6):
        judges, better, longer, right = _judges(_rng())
        answer = diagnose(
            {letter: tuple(map(list, each)) for letter, each in judges.items()}, list(better), list(longer)
        )
        if not isinstance(answer, dict) or set(answer) != set(right):
            raise Wrong(
                f"A dict from the letters {', '.join(right)} to four words is expected, and this came: {answer!r:.80}."
            )
        if strange := [word for word in answer.values() if word not in JUDGES]:
            raise Wrong(f"{strange[0]!r:.40} is none of the four words: {', '.join(JUDGES)}.")
        if len(set(answer.values())) < 4:
            raise Wrong(f"Each of the four words belongs to one judge: yours are {', '.join(answer.values())}.")
        for letter, word in sorted(right.items(), key=lambda item: JUDGES.index(item[1]), reverse=True):
            if answer[letter] != word:
                raise Wrong(_misjudged(letter, judges[letter], better, longer, answer[letter], word))


def _misjudged(letter, verdicts, better, longer, said, word):
    ours = np.array([[v == "A" for v in verdicts[0]], [v == "B" for v in verdicts[1]]])
    better, longer = (np.array([each == "ours" for each in words]) for words in (better, longer))
    shares = {
        "the first place": np.mean([v == "A" for each in verdicts for v in each]),
        "the longer answer": (ours == longer).mean(),
        "the better one": (ours == better).mean(),
        "the better one where that is the shorter": (ours == better)[:, better != longer].mean(),
    }
    told = ", ".join(f"{name} {share:.0%}" for name, share in shares.items())
    words = {
        "first place": "Over both orders no honest judge prefers a place. (hint 1)",
        "longer answer": "It agrees with people since the longer answer is mostly the better one: look where it is not. (hint 2)",
        "sound": "Look where the better answer is the shorter one. (hint 2)",
        "coin": "Whatever you hold it against, it is right half the time. (hint 2)",
    }
    return f'You call {letter} "{said}". How often it takes {told}. {words[word]}'


def check_items_needed(items_needed):
    """12.6: test items to show that a student is not worse by more than a margin."""
    rng = _rng()
    # Small gaps first: there every mistake gives a number of its own, but that of the variance; it shows last.
    cases = [
        (-0.01, 0.06, 0.03),
        (0.0, 0.12, 0.02),
        (0.01, 0.05, 0.02),
        (-0.2, 0.25, 0.25),  # before those at random, where two mistakes may come to the same
        (-0.3, 0.35, 0.4),
        *((-g, g + e, g + m) for g, e, m in rng.uniform(0.02, 0.06, (3, 3))),
    ]
    z = stats.norm.ppf
    za, zb = z(0.95), z(0.8)
    for gain, disagreement, margin in cases:

        def size(za=za, zb=zb, inner=disagreement - gain**2, room=margin + gain):
            return (za + zb) ** 2 * inner / room**2 if room else math.inf

        expected, got = size(), number(items_needed(gain, disagreement, margin))
        if abs(got - expected) <= 1 + 0.006 * expected:  # rounded up or down, and z to two or three decimals
            continue
        mistakes = [
            (size(za=z(0.975)), "You split the 5% over both tails: only worse matters, one side, z = 1.645. (hint 1)"),
            (size(zb=0.0), "A chance of 80% was asked for; without its z you get 50%. (hint 1)"),
            (size(zb=z(0.9)), "You took z for 90%: a chance of 80% has 0.842. (hint 1)"),
            (size(zb=za), "You took 1.645 twice: a chance of 80% has 0.842. (hint 1)"),
            (size(zb=-zb), "One z of yours is negative: take those of 0.95 and 0.8, 1.645 and 0.842. (hint 1)"),
            (size(inner=disagreement), "The variance of an item's difference is d − g², not d. (hint 2)"),
            (size(inner=disagreement + gain**2), "The variance of an item's difference is d − g², with a minus. (hint 2)"),
            ((za + zb) * (disagreement - gain**2) / (margin + gain) ** 2, "Square the sum of both z. (hint 2)"),
            ((za**2 + zb**2) * (disagreement - gain**2) / (margin + gain) ** 2, "You square each z: add them first, then square the sum. (hint 2)"),
            (size() * (margin + gain), "Divide by the square of the room. (hint 2)"),
            (math.sqrt(size()), "That is the root of it: square the whole. (hint 2)"),
            (size() / 1e4, "All are shares, 0.02 and not 2: leave them as they come. (hint 2)"),
            (2 * size(), "The items are shared by both models: nothing is doubled."),
            (size() / 2, "Nothing is halved: every item is shown to both models."),
        ]  # fmt: skip
        if gain:
            mistakes += [
                (size(room=margin), "The room is the margin and the expected difference together: a student that is worse has less of it. (hint 2)"),
                (size(room=margin - gain), "Mind the sign: a student that is worse has g below 0, and less room. (hint 2)"),
                (size(room=gain), "That finds the difference itself: the question is whether it is smaller than the margin. (hint 2)"),
            ]  # fmt: skip
        # Within rounding up, and z to two decimals. Where several are that near, none can be told from the number.
        told = (
            f"To show, with a difference of {gain:+.3f}, where models differ on {disagreement:.3f} of the items, that it is "
            f"inside a margin of {margin:.3f} takes {expected:.1f} items, and {got:.1f} came. "
        )
        near = {words for value, words in mistakes if -0.01 - 0.003 * value <= got - value <= 1.01 + 0.003 * value}
        why = "(z₀.₉₅ + z₀.₈)² times the variance of a difference, over the square of the room. (hints 1 and 2)"
        raise Wrong(told + (near.pop() if len(near) == 1 else why))


CHECKS = {
    "12.1": check_halves,
    "12.2": check_transfer_ratio,
    "12.3": check_decide,
    "12.4": check_percentiles,
    "12.5": check_diagnose,
    "12.6": check_items_needed,
}
