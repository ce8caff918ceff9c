"""Intervals, paired tests and numbers of items: against scipy, simulation and arithmetic by hand."""

import numpy as np
import pytest
from scipy import stats

from distill_lessons.evaluation import power


def test_an_accuracy_has_an_interval_that_stays_between_0_and_1_and_covers():
    assert power.proportion(0, 10).low == 0 and power.proportion(10, 10).high == 1
    assert power.proportion(9, 10).low == pytest.approx(0.5958, abs=1e-4)  # Wilson, by hand
    rng = np.random.default_rng(0)
    covered = [p.low <= 0.9 <= p.high for p in (power.proportion(k, 50) for k in rng.binomial(50, 0.9, 2000))]
    assert 0.92 < np.mean(covered) < 0.98
    with pytest.raises(ValueError, match="11 right of 10 is no accuracy"):
        power.proportion(11, 10)


def test_the_bootstrap_is_near_the_interval_of_theory_and_repeats_itself():
    values = np.random.default_rng(1).normal(1.0, 2.0, 400)
    found = power.bootstrap(lambda mean: mean, values)
    half = 1.96 * values.std() / 20
    assert found.value == pytest.approx(values.mean()) and found.items == 400
    assert found.low == pytest.approx(values.mean() - half, abs=0.15 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.15 * half)
    assert found == power.bootstrap(lambda mean: mean, values)


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
    with pytest.raises(ValueError, match="every score finite"):
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


def test_the_power_is_what_simulation_gives():
    rng, items, gain, disagreement = np.random.default_rng(3), 200, 0.08, 0.2
    found = 0
    for split in rng.binomial(items, disagreement, 4000):
        one = rng.binomial(split, (1 + gain / disagreement) / 2)
        found += split > 0 and stats.binomtest(int(one), int(split)).pvalue <= 0.05
    assert power.power(items, gain, disagreement) == pytest.approx(found / 4000, abs=0.03)


@pytest.mark.parametrize("gain, disagreement", [(0.02, 0.05), (0.05, 0.2), (0.2, 0.3)])
def test_so_many_items_have_about_that_power(gain, disagreement):
    items = power.items_needed(gain, disagreement)
    assert 0.72 < power.power(items, gain, disagreement) < 0.85  # the exact test is a little conservative
    assert power.items_needed(gain / 2, disagreement) == pytest.approx(4 * items, rel=0.1)
    assert power.items_needed(gain, disagreement, chance=0.9) > items


@pytest.mark.parametrize("gain, disagreement", [(0.0, 0.1), (0.2, 0.1), (-0.1, 0.2)])
def test_impossible_gains_are_refused(gain, disagreement):
    for function in (power.items_needed, lambda g, d: power.power(100, g, d)):
        with pytest.raises(ValueError, match="gain ≤ disagreement"):
            function(gain, disagreement)
