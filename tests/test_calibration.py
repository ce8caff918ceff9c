"""Calibration: errors of known size are found, chance is told from error, temperature scaling recovers a temperature."""

import warnings

import numpy as np
import pytest
import torch
from scipy.special import softmax
from sklearn.calibration import calibration_curve
from sklearn.metrics import brier_score_loss

from distill_lessons.evaluation import calibration

RNG = np.random.default_rng(0)


def honest(count, seed=0):
    """Confidences, and answers that are right just as often as those say."""
    rng = np.random.default_rng(seed)
    confidence = rng.uniform(0.1, 1.0, count)
    return confidence, (rng.random(count) < confidence).astype(float)


def test_ece_by_hand():
    confidence, right = [0.9, 0.9, 0.9, 0.9, 0.2], [1, 1, 0, 0, 0]
    assert calibration.ece(confidence, right, bins=10) == pytest.approx((4 * 0.4 + 1 * 0.2) / 5)
    assert calibration.ece([1.0, 1.0], [1, 0], bins=10) == pytest.approx(0.5)  # confidence 1 has a bin


def test_the_points_of_the_reliability_figure_are_those_of_scikit_learn():
    confidence, right = honest(500)
    points = calibration.reliability(confidence, right, bins=10)
    accuracy, mean = calibration_curve(right, confidence, n_bins=10)
    assert points["accuracy"] == pytest.approx(accuracy) and points["confidence"] == pytest.approx(mean)
    assert points["items"].sum() == 500


def test_a_perfectly_calibrated_model_has_an_ece_above_0_that_shrinks_with_items():
    found = {}
    for count in (50, 500, 5000):
        pairs = [honest(count, seed) for seed in range(40)]
        found[count] = np.mean([calibration.ece(*pair) for pair in pairs])
        expected = np.mean([calibration.ece_by_chance(confidence, draws=50) for confidence, _ in pairs])
        assert found[count] == pytest.approx(expected, rel=0.1)
    assert found[50] > 2.5 * found[500] > 6 * found[5000] > 0


def test_a_known_overconfidence_is_found():
    confidence, _ = honest(4000, 1)
    right = (np.random.default_rng(2).random(4000) < confidence - 0.1).astype(float)
    found = calibration.summary(confidence, right)
    assert found["overconfidence"] == pytest.approx(0.1, abs=0.02)
    assert found["ece"] == pytest.approx(0.1, abs=0.02) and found["excess ece"] > 0.06
    assert found["confidence when wrong"] == pytest.approx(confidence[right == 0].mean())
    assert "confidence when wrong" not in calibration.summary([0.5], [1])


def test_brier_is_twice_scikit_learns_for_two_classes():
    p = RNG.random(200)
    labels = RNG.integers(0, 2, 200)
    assert calibration.brier(np.c_[1 - p, p], labels) == pytest.approx(2 * brier_score_loss(labels, p))
    assert calibration.brier(np.eye(3), np.arange(3)) == 0 and calibration.brier(np.eye(3), [1, 2, 0]) == 2


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_the_temperature_of_a_model_that_is_too_sure_or_too_unsure_is_recovered(temperature):
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (8000, 6))
    labels = np.array([rng.choice(6, p=p) for p in softmax(logits / temperature, axis=1)])
    assert calibration.fit_temperature(logits, labels) == pytest.approx(temperature, rel=0.08)


def test_brier_for_many_classes_is_the_squared_distance_whatever_the_labels_that_occur():
    p = softmax(RNG.normal(size=(50, 7)), axis=1)
    labels = RNG.integers(0, 3, 50)  # four classes never come
    by_hand = np.mean([((row - np.eye(7)[label]) ** 2).sum() for row, label in zip(p, labels)])
    assert calibration.brier(p, labels) == pytest.approx(by_hand)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dtype in (torch.float32, torch.float16):  # rows that sum to 1 but for rounding
            assert calibration.brier(torch.tensor(p).to(dtype), labels) == pytest.approx(by_hand, abs=2e-3)


def test_tensors_are_read_wherever_they_come_from():
    confidence, right = honest(200)
    logits = RNG.normal(size=(200, 4))
    labels = RNG.integers(0, 4, 200)
    tensor = torch.tensor(confidence, requires_grad=True)
    assert calibration.summary(tensor, torch.tensor(right) == 1) == calibration.summary(confidence, right)
    assert calibration.fit_temperature(torch.tensor(logits, requires_grad=True), torch.tensor(labels)) == pytest.approx(
        calibration.fit_temperature(logits, labels)
    )
    assert 0 <= calibration.ece(torch.tensor([0.5, 1.0], dtype=torch.bfloat16), [0, 1]) <= 1


ABOUT_RIGHT = [calibration.reliability, calibration.ece, calibration.summary]


@pytest.mark.parametrize("measure", ABOUT_RIGHT)
@pytest.mark.parametrize(
    "confidence, right, words",
    [
        ([0.1, 0.2], [1, 0, 1], "2 confidences and 3 answers"),
        ([], [], "confidence must hold at least one item"),
        ([3.2], [1], "give probabilities, not logits"),
        ([-0.1], [1], "give probabilities, not logits"),
        ([float("nan"), 0.5], [1, 0], "confidence must be finite, and 1 of 2 are not"),
        ([0.5, 0.5], [1, float("nan")], "right must be finite, and 1 of 2 are not"),
        ([0.5, 0.5], [100, 0], "right must be 1 or 0 for each item, and it holds 100"),
        ([0.5, 0.5], [1, -100], "right must be 1 or 0 for each item, and it holds -100"),
        ([0.5, 0.5], [1, 0.5], "right must be 1 or 0 for each item, and it holds 0.5"),
        ([[0.5], [0.5]], [1, 0], r"confidence must be one number an item, \[N\], and it has the shape \[2, 1\]"),
        ([0.5, 0.5], [[1], [0]], r"right must be one number an item, \[N\], and it has the shape \[2, 1\]"),
        (0.5, 1, r"confidence must be one number an item, \[N\], and it has the shape \[\]"),
        ([0.5, 0.5], ["1", "0"], "right must be numbers"),
        ([0.5, None], [1, 0], "confidence must be numbers"),
        ([[0.5], [0.5, 0.1]], [1, 0], "confidence must be an array of numbers, and it has rows of unequal length"),
    ],
)
def test_what_is_no_confidence_or_no_verdict_is_named(measure, confidence, right, words):
    with pytest.raises(ValueError, match=words):
        measure(confidence, right)


@pytest.mark.parametrize("bins", [0, -1, 2.5, None, True])
def test_bins_and_draws_are_counts(bins):
    for measure in ABOUT_RIGHT:
        with pytest.raises(ValueError, match="bins must be a whole number of at least 1"):
            measure([0.5], [1], bins)
    with pytest.raises(ValueError, match="bins must be a whole number of at least 1"):
        calibration.ece_by_chance([0.5], bins)
    with pytest.raises(ValueError, match="draws must be a whole number of at least 1"):
        calibration.ece_by_chance([0.5], draws=bins)
    assert calibration.ece([0.5], [1], np.int64(10)) == 0.5


ABOUT_LABELS = [calibration.brier, calibration.fit_temperature]
UNIFORM = np.full((2, 4), 0.25)


@pytest.mark.parametrize("measure", ABOUT_LABELS)
@pytest.mark.parametrize(
    "labels, words",
    [
        ([1, -100], "labels hold -100, which marks what does not count: leave those items out"),
        ([1, 4], r"labels must lie in 0\.\.3, and they run from 1 to 4"),
        ([1, -1], r"labels must lie in 0\.\.3, and they run from -1 to 1"),
        ([[1], [2]], r"labels must be one number an item, \[2\], and they have the shape \[2, 1\]"),
        ([1, 2, 3], r"labels must be one number an item, \[2\], and they have the shape \[3\]"),
        ([1.0, 2.0], "labels must be whole numbers, and they are float"),
        ([True, False], "labels must be whole numbers, and they are bool"),
    ],
)
def test_what_is_no_label_is_named(measure, labels, words):
    for each in (labels, np.array(labels), torch.tensor(labels)):
        with pytest.raises(ValueError, match=words):
            measure(UNIFORM, each)


@pytest.mark.parametrize("measure", ABOUT_LABELS)
@pytest.mark.parametrize(
    "rows, words",
    [
        ([0.5, 0.5], r"must be one row an item, \[N, C\], and it has the shape \[2\]"),
        ([[1.0], [1.0]], r"a column for each of at least two classes, and the shape \[2, 1\] came"),
        ([[float("nan"), 0.5], [0.5, 0.5]], "must be finite, and 1 of 4 are not"),
        ([[float("inf"), 0.5], [0.5, 0.5]], "must be finite, and 1 of 4 are not"),
        (np.zeros((0, 3)), "must hold at least one item"),
    ],
)
def test_what_is_no_row_of_classes_is_named(measure, rows, words):
    with pytest.raises(ValueError, match=words):
        measure(rows, [0, 1])


def test_what_is_no_distribution_is_named():
    with pytest.raises(ValueError, match="each row of probabilities must sum to 1, and one sums to 0.9"):
        calibration.brier([[0.5, 0.5], [0.5, 0.4]], [0, 1])
    with pytest.raises(ValueError, match="run from -1 to 2: give probabilities, not logits"):
        calibration.brier([[2.0, -1.0]], [0])
