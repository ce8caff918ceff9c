"""Intervals, paired tests and numbers of items: against scipy, simulation and arithmetic by hand."""

import numpy as np
import pytest
import torch
from scipy import stats

from distill_lessons.evaluation import power


def test_an_accuracy_has_an_interval_that_stays_between_0_and_1_and_covers():
    assert power.proportion(0, 10).low == 0 and power.proportion(10, 10).high == 1
    assert power.proportion(9, 10).low == pytest.approx(0.5958, abs=1e-4)  # Wilson, by hand
    rng = np.random.default_rng(0)
    covered = [p.low <= 0.9 <= p.high for p in (power.proportion(k, 50) for k in rng.binomial(50, 0.9, 2000))]
    assert 0.92 < np.mean(covered) < 0.98
    for right in (11, -1, float("nan"), None, True):
        with pytest.raises(ValueError, match=f"{right} right of 10 is no accuracy"):
            power.proportion(right, 10)
    for items in (0, -1, 2.5, None):
        with pytest.raises(ValueError, match="items must be a whole number of at least 1"):
            power.proportion(0, items)


@pytest.mark.parametrize("items", [1, 5, 40, 1000])
def test_an_accuracys_interval_is_scipys_and_ties_may_count_half(items):
    for right in {0, 1, items // 2, items}:
        found = power.proportion(np.int64(right), np.int32(items))
        theirs = stats.binomtest(right, items).proportion_ci(method="wilson")
        assert found == pytest.approx((right / items, theirs.low, theirs.high, items), abs=1e-12)
    whole, half = power.proportion(items - 1, items), power.proportion(items - 0.5, items)
    assert whole.low < half.low < power.proportion(items, items).low


def test_the_bootstrap_is_near_the_interval_of_theory_and_repeats_itself():
    values = np.random.default_rng(1).normal(1.0, 2.0, 400)
    found = power.bootstrap(lambda mean: mean, values)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean()) and found.items == 400
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert found == power.bootstrap(lambda mean: mean, values)
    assert found != power.bootstrap(lambda mean: mean, values, seed=1)


def test_the_interval_of_the_bootstrap_holds_95_percent_of_its_draws():
    values = np.random.default_rng(4).exponential(size=60)
    found = power.bootstrap(lambda mean: mean, values, resamples=20_000)
    draws = values[np.random.default_rng(5).integers(0, 60, (20_000, 60))].mean(1)
    assert np.mean(draws < found.low) == pytest.approx(0.025, abs=0.005)
    assert np.mean(draws > found.high) == pytest.approx(0.025, abs=0.005)


@pytest.mark.parametrize("count", [1, 2, 5, 40])
def test_items_that_all_agree_leave_room_for_those_not_seen(count):
    right, wrong = np.ones(count), np.zeros(count)
    exact = stats.binomtest(count, count).proportion_ci(method="exact")  # Clopper and Pearson
    all_right = power.bootstrap(lambda mean: mean, right)
    assert (all_right.value, all_right.high) == (1, 1) and all_right.low == pytest.approx(exact.low)
    assert power.bootstrap(lambda mean: mean, wrong).high == pytest.approx(1 - exact.low)
    for same in (right, wrong, np.arange(count) % 2):
        gap = power.difference(same, same)
        assert gap.value == 0 and gap.low < -0.5 / count and gap.high > 0.5 / count
    assert power.difference(right, wrong).low < 1 == power.difference(right, wrong).high


def test_agreement_that_chance_explains_is_inside_the_interval():
    true, covered = 0.97, 0  # 15 items: usually all are right
    for seed in range(400):
        scores = (np.random.default_rng(seed).random(15) < true).astype(float)
        found = power.bootstrap(lambda mean: mean, scores, resamples=100)
        covered += found.low <= true <= found.high
    assert covered / 400 > 0.95


@pytest.mark.parametrize("score, low, high", [(3.2, 0, 3.2), (-7.0, -7, 1), (0.4, 0, 1)])
def test_the_room_reaches_as_far_as_the_scores_go(score, low, high):
    unseen = 1 - 0.025 ** (1 / 10)
    found = power.bootstrap(lambda mean: mean, np.full(10, score))
    assert found.low == pytest.approx((1 - unseen) * score + unseen * low)
    assert found.high == pytest.approx((1 - unseen) * score + unseen * high)


def test_one_item_is_sure_of_nothing():
    for found in (power.difference([1.0], [0.0]), power.bootstrap(lambda mean: mean, [0.4])):
        assert found.items == 1 and found.high - found.low > 0.9


@pytest.mark.parametrize("resamples", [0, -5, 10, 100.5, None])
def test_too_few_resamples_are_refused(resamples):
    with pytest.raises(ValueError, match="resamples must be a whole number of at least 40"):
        power.bootstrap(lambda mean: mean, [1.0, 2.0], resamples=resamples)


def test_a_bootstrap_of_nothing_or_of_unlike_items_is_refused():
    with pytest.raises(ValueError, match="a bootstrap needs scores"):
        power.bootstrap(lambda: 1.0)
    with pytest.raises(ValueError, match="2 scores against 3"):
        power.bootstrap(lambda a, b: a - b, [1, 2], [1, 2, 3])
    with pytest.raises(ValueError, match=r"one number an item, \[N\], and it has the shape \[2, 1\]"):
        power.difference([[1], [0]], [1, 0])


def test_tensors_are_scores_too():
    first, second = torch.rand(30), torch.rand(30, requires_grad=True)
    assert power.difference(first, second) == power.difference(first.numpy(), second.detach().numpy())


def test_pairing_makes_the_interval_of_a_difference_narrow():
    rng = np.random.default_rng(2)
    hard = rng.random(300)  # how hard an item is, for both
    first, second = hard + 0.01 * rng.random(300) + 0.05, hard
    gap = power.difference(first, second)
    assert gap.low > 0.05 and gap.high < 0.06
    with pytest.raises(ValueError, match="300 scores against 299"):
        power.difference(first, second[:-1])
    with pytest.raises(ValueError, match="at least one item"):
        power.difference([], [])
    with pytest.raises(ValueError, match="scores must be finite, and 1 of 1 are not"):
        power.difference([float("nan")], [1.0])


@pytest.mark.parametrize("one, other", [(9, 1), (5, 5), (0, 6), (30, 18)])
def test_mcnemar_is_the_binomial_test_of_the_items_that_differ(one, other):
    first = np.r_[np.ones(one), np.zeros(other), np.ones(40), np.zeros(7)]
    second = np.r_[np.zeros(one), np.ones(other), np.ones(40), np.zeros(7)]
    found = power.mcnemar(first, second)
    assert found == {"first_only": one, "second_only": other, "p": stats.binomtest(one, one + other).pvalue}
    assert power.mcnemar(second, first)["p"] == pytest.approx(found["p"])


def test_mcnemar_of_a_model_with_itself_is_certain_of_nothing():
    assert power.mcnemar([1, 0, 1], [1, 0, 1])["p"] == 1.0


@pytest.mark.parametrize("score", [0.5, 100, -100, 2])
def test_mcnemar_is_for_right_and_wrong_and_not_for_scores(score):
    for pair in (([1, score], [0, 1]), ([0, 1], [1, score])):
        with pytest.raises(ValueError, match=f"must be 1 or 0 for each item, and it holds {score:g}"):
            power.mcnemar(*pair)
    assert power.mcnemar([True, False], np.array([0, 1]))["p"] == 1.0


def test_the_power_is_what_simulation_gives():
    rng, items, gain, disagreement = np.random.default_rng(3), 200, 0.08, 0.2
    found = 0
    for split in rng.binomial(items, disagreement, 4000):
        one = rng.binomial(split, (1 + gain / disagreement) / 2)
        found += split > 0 and stats.binomtest(int(one), int(split)).pvalue <= 0.05
    assert power.power(items, gain, disagreement) == pytest.approx(found / 4000, abs=0.03)


@pytest.mark.parametrize("items", [5, 6, 12])
def test_the_power_on_few_items_is_the_sum_over_all_outcomes(items):
    gain, disagreement, found = 0.4, 0.8, 0.0
    for split in range(1, items + 1):
        for one in range(split + 1):
            if stats.binomtest(one, split).pvalue <= 0.05:
                chance = stats.binom.pmf(one, split, (1 + gain / disagreement) / 2)
                found += stats.binom.pmf(split, items, disagreement) * chance
    assert power.power(items, gain, disagreement) == pytest.approx(found)  # 5 items are never enough


@pytest.mark.parametrize("gain, disagreement", [(0.02, 0.05), (0.05, 0.2), (0.2, 0.3)])
def test_so_many_items_have_about_that_power(gain, disagreement):
    items = power.items_needed(gain, disagreement)
    assert 0.72 < power.power(items, gain, disagreement) < 0.85  # the exact test is a little conservative
    assert power.items_needed(gain / 2, disagreement) == pytest.approx(4 * items, rel=0.1)
    assert power.items_needed(gain, disagreement, chance=0.9) > items


@pytest.mark.parametrize("chance, alpha", [(0.0, 0.05), (1.0, 0.05), (1.2, 0.05), (float("nan"), 0.05), (None, 0.05),
                                           (0.8, 0.0), (0.8, 1.0), (0.8, -0.1), (0.8, 5), (0.05, 0.05), (0.01, 0.05)])  # fmt: skip
def test_levels_and_chances_lie_between_0_and_1(chance, alpha):
    with pytest.raises(ValueError, match="must lie between 0 and 1|must be over alpha"):
        power.items_needed(0.05, 0.1, chance, alpha)
    if alpha != 0.05:
        with pytest.raises(ValueError, match="alpha must lie between 0 and 1"):
            power.power(100, 0.05, 0.1, alpha)


@pytest.mark.parametrize("items", [0, -3, 10.5, None])
def test_the_power_is_of_a_number_of_items(items):
    with pytest.raises(ValueError, match="items must be a whole number of at least 1"):
        power.power(items, 0.05, 0.1)
    assert power.power(np.int64(50), np.float64(0.05), np.float64(0.1)) == power.power(50, 0.05, 0.1)


@pytest.mark.parametrize("gain, disagreement", [(0.0, 0.1), (0.2, 0.1), (-0.1, 0.2), (float("nan"), 0.1), (None, 0.1)])
def test_impossible_gains_are_refused(gain, disagreement):
    for function in (power.items_needed, lambda g, d: power.power(100, g, d)):
        with pytest.raises(ValueError, match="gain ≤ disagreement"):
            function(gain, disagreement)


@pytest.mark.parametrize("gain, disagreement", [(0.02, 0.05), (0.05, 0.2), (0.1, 0.33)])
def test_the_items_needed_are_the_least_whole_number_that_is_enough(gain, disagreement):
    root = stats.norm.ppf(0.975) * disagreement**0.5 + stats.norm.ppf(0.8) * (disagreement - gain**2) ** 0.5
    assert power.items_needed(gain, disagreement) - 1 < root**2 / gain**2 <= power.items_needed(gain, disagreement)
