"""Intervals cover what they say, whatever the seeds and items are like: simulated, with the truth known."""

import numpy as np
import pytest
from scipy import stats

from distill_lessons.course import intervals, results, stated
from distill_lessons.course.stated import Comparison


def in_use():
    """All numbers of seeds that a table has, from three on."""
    tables = [results.load(path.stem) for path in results.recorded_folder().glob("*.csv")]
    return sorted({table.seed.nunique() for table in tables} - {1, 2})


def noise(kind, generator, shape):
    """Noise of mean 0 and deviation 1: normal, or as skewed as a lognormal of sigma ½."""
    if kind == "normal":
        return generator.standard_normal(shape)
    drawn = generator.lognormal(0, 0.5, shape) - np.exp(0.125)
    return drawn / np.sqrt((np.exp(0.25) - 1) * np.exp(0.25))


@pytest.mark.parametrize("kind", ["normal", "skewed"])
@pytest.mark.parametrize("seeds", in_use())
def test_over_seeds_95_percent_are_at_least_93(kind, seeds):
    values = noise(kind, np.random.default_rng(seeds), (1500, seeds))
    found = [intervals.over_seeds(row) for row in values]
    assert np.mean([each.low <= 0 <= each.high for each in found]) >= 0.93


def test_a_plain_students_t_would_cover_less_where_seeds_are_skewed():
    values = noise("skewed", np.random.default_rng(5), (20_000, 5))
    half = stats.t.ppf(0.975, 4) * values.std(1, ddof=1) / np.sqrt(5)
    assert np.mean(np.abs(values.mean(1)) <= half) < 0.93


@pytest.mark.parametrize("kind", ["normal", "skewed"])
@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize("share", [0.0, 1.0, 5.0])
def test_over_seeds_and_items_95_percent_are_at_least_93(kind, seeds, share):
    """`share`: how much more than the seeds the items move the mean; both and each cell have noise of their own."""
    generator, items, hits = np.random.default_rng(7), 60, 0
    for _ in range(300):
        of_seed = noise(kind, generator, (seeds, 1)) / np.sqrt(seeds)
        of_item = noise(kind, generator, (1, items)) * share / np.sqrt(seeds)
        values = of_seed + of_item * np.sqrt(items / seeds) + generator.standard_normal((seeds, items))
        found = intervals.over_seeds_and_items(values)
        hits += found.low <= 0 <= found.high
    assert hits / 300 >= 0.93


def test_items_that_the_seeds_share_are_not_counted_away():
    """The same ten items for every seed: seeds alone would call a mean sure that other items would move."""
    generator = np.random.default_rng(1)
    hits = {"seeds": 0, "both": 0}
    for _ in range(200):
        values = generator.standard_normal((1, 40)) + 0.1 * generator.standard_normal((10, 40))
        for name, found in (
            ("seeds", intervals.over_seeds(values.mean(1))),
            ("both", intervals.over_seeds_and_items(values)),
        ):
            hits[name] += found.low <= 0 <= found.high
    assert hits["seeds"] < 60 and hits["both"] >= 186


def test_where_all_seeds_agree_the_interval_is_that_over_the_items():
    row = np.random.default_rng(6).standard_normal(30)
    found, alone = intervals.over_seeds_and_items(np.stack([row] * 4)), intervals.over_seeds(row)
    assert found[:3] == pytest.approx(alone[:3]) and (found.seeds, found.items) == (4, 30)


def test_where_all_items_agree_the_interval_is_that_over_the_seeds():
    row = np.random.default_rng(8).standard_normal(5)
    found, alone = intervals.over_seeds_and_items(np.stack([row] * 40, axis=1)), intervals.over_seeds(row)
    assert found[:6] == pytest.approx(alone[:6]) and found.p == pytest.approx(alone.p)


def test_items_of_a_topic_count_as_one_source():
    generator, groups = np.random.default_rng(2), np.repeat(np.arange(12), 10)
    hits = {"items": 0, "topics": 0}
    for _ in range(300):
        values = generator.standard_normal((1, 12)).repeat(10, axis=1) + 0.3 * generator.standard_normal((5, 120))
        for name, given in (("items", None), ("topics", groups)):
            found = intervals.over_seeds_and_items(values, given)
            hits[name] += found.low <= 0 <= found.high
    assert hits["items"] < 240 and hits["topics"] >= 279


def test_one_new_run_falls_where_the_prediction_says():
    values = np.random.default_rng(3).standard_normal((2000, 6))
    found = [intervals.over_seeds(row[:5]) for row in values]
    inside = np.mean([each.next_low <= row[5] <= each.next_high for each, row in zip(found, values)])
    assert 0.95 <= inside <= 0.99
    assert all(each.next_low < each.low and each.high < each.next_high for each in found)


def test_a_new_run_adds_its_own_noise_to_that_of_the_mean():
    values = [0.0, 1.0, 2.0, 4.0, 8.0]
    found, mean = intervals.over_seeds(values), np.mean(values)
    half = found.high - mean
    assert found.next_high - mean == pytest.approx(half * np.sqrt(1 + 5))
    assert found.next_low - mean == pytest.approx(-half * np.sqrt(1 + 5))


def test_an_interval_is_students_t_at_its_97_5_percent():
    values = [0.0, 1.0, 2.0, 4.0, 8.0]
    found = intervals.over_seeds(values)
    low, high = stats.t.interval(0.975, 4, np.mean(values), stats.sem(values))
    assert (found.low, found.high) == pytest.approx((low, high))
    assert found.p == pytest.approx(stats.ttest_1samp(values, 0).pvalue)


def test_single_values_and_equal_ones_have_no_width():
    assert intervals.over_seeds([2.0]) == (2, 2, 2, 1, 2, 2, 1.0, 0)
    assert intervals.over_seeds([3.0, 3.0])[:4] == (3, 3, 3, 2) and intervals.over_seeds([3.0, 3.0]).p == 0
    assert intervals.over_seeds([0.0, 0.0]).p == 1


@pytest.mark.parametrize("values", [[], [1.0, np.nan], [np.inf], [[1.0]]])
def test_what_has_no_mean_is_refused(values):
    with pytest.raises(ValueError, match="finite"):
        intervals.over_seeds(values)


def test_items_need_two_seeds_two_groups_and_a_group_each():
    for values, groups in ((np.ones((1, 5)), None), (np.ones((3, 5)), [0] * 5), (np.ones((3, 5)), [0, 1])):
        with pytest.raises(ValueError, match="groups"):
            intervals.over_seeds_and_items(values, groups)


def test_the_correction_for_many_tests_is_benjamini_and_hochbergs():
    p = [0.001, 0.008, 0.039, 0.041, 0.042, 0.06, 0.074, 0.205, 0.212, 0.216]  # of these the paper's rule keeps two
    assert intervals.survivors(p) == [True, True] + [False] * 8
    assert intervals.survivors([]) == []
    by_hand = [
        value <= max((q for rank, q in enumerate(sorted(p), 1) if q <= 0.2 * rank / 10), default=-1) for value in p
    ]
    assert intervals.survivors(p, 0.2) == by_hand


def test_true_effects_are_supported_and_null_ones_are_not():
    """Whole experiments with a known truth, through the verdicts: ten seeds, a least effect of one deviation."""
    generator, test = np.random.default_rng(4), Comparison("here", "toy", "score", "a", "b", least=1.0)
    found = {
        size: [stated.verdict(test, intervals.over_seeds(generator.normal(size, 1, 10))) for _ in range(300)]
        for size in (3.0, 1.0, 0.0, -3.0)
    }
    share = lambda size, *wanted: np.mean([each in wanted for each in found[size]])  # noqa: E731
    assert share(3.0, stated.SUPPORTED) > 0.95 and share(-3.0, stated.CONTRADICTED) > 0.95
    assert share(1.0, stated.SUPPORTED) < 0.05 and share(0.0, stated.SUPPORTED) < 0.01
    assert share(0.0, stated.NONE, stated.UNDECIDED) > 0.95 and share(0.0, stated.CONTRADICTED) < 0.05
