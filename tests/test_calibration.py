"""Calibration: errors of known size are found, chance is told from error, temperature scaling recovers a temperature."""

import numpy as np
import pytest
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


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="2 confidences and 3 answers"):
        calibration.ece([0.1, 0.2], [1, 0, 1])
    with pytest.raises(ValueError, match="give probabilities, not logits"):
        calibration.ece([3.2], [1])
    with pytest.raises(ValueError, match="at least one"):
        calibration.summary([], [])
