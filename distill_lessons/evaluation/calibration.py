"""Is a model as sure as it is right? Expected calibration error with its bias, Brier score, temperature scaling.

Everything here works on arrays or tensors: ``confidence`` is the probability of the answer a model gave, ``right`` whether
that answer was right (1 or 0). Returns numbers, prints none.
"""

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax
from sklearn.metrics import brier_score_loss

from distill_lessons.evaluation.arrays import labels_of, numbers, verdicts, whole

BINS = 15  # of equal width, from 0 to 1
ROUNDING = 1e-3  # what a row of probabilities in 16 bits may miss 1 by
TEMPERATURES = (0.05, 50.0)  # between which one is looked for

Values = ArrayLike | torch.Tensor


def reliability(confidence: Values, right: Values, bins: int = BINS) -> dict[str, np.ndarray]:
    """Mean confidence and accuracy in bins of equal width: the reliability figure's points.

    Args:
        confidence: ``[N]``, between 0 and 1; right: ``[N]``, 1 or 0 (or bool); bins: how many.
    Returns:
        dict of arrays ``items``, ``confidence``, ``accuracy``, an entry for each bin that holds an item.
    Raises:
        ValueError: the two differ in length, are empty, not ``[N]``, not finite; a confidence is no probability; `right` is
            neither 1 nor 0 (0 and 100, for instance, or a label of -100); `bins` is no whole number of at least 1.
    Source: DeGroot and Fienberg 1983; bins as in Guo et al. 2017.
    """
    confidence, right = _confidence(confidence), verdicts("right", right)
    if len(confidence) != len(right):
        raise ValueError(f"{len(confidence)} confidences and {len(right)} answers: one confidence an answer is needed")
    bins = whole("bins", bins)
    place = _bin(confidence, bins)
    items = np.bincount(place, minlength=bins)
    held = items > 0
    means = [np.bincount(place, weights=each, minlength=bins)[held] / items[held] for each in (confidence, right)]
    return {"items": items[held], "confidence": means[0], "accuracy": means[1]}


def ece(confidence: Values, right: Values, bins: int = BINS) -> float:
    r"""Expected calibration error: the mean gap between confidence and accuracy over bins, each weighed by its items.

    .. math:: \sum_b \frac{n_b}{n} \, | \mathrm{acc}_b - \mathrm{conf}_b |

    Never below 0, so chance alone makes it positive, and the more so the fewer items and the more bins there are: see
    `ece_by_chance`. Arguments and errors as `reliability`. Source: Guo et al. 2017, equation 5 (Naeini et al. 2015).
    """
    points = reliability(confidence, right, bins)
    gaps = np.abs(points["accuracy"] - points["confidence"])
    return float((points["items"] * gaps).sum() / points["items"].sum())


def ece_by_chance(confidence: Values, bins: int = BINS, draws: int = 400, seed: int = 0) -> float:
    """The ECE that a model with these confidences has on average if it is perfectly calibrated.

    Each answer is right with just the probability that its confidence states; the mean over `draws` such worlds.
    An ECE is evidence of miscalibration by what it has beyond this. Errors as `reliability`; `draws` must be at least 1.
    Source: Bröcker and Smith 2007 (consistency resampling).
    """
    confidence, bins, draws = _confidence(confidence), whole("bins", bins), whole("draws", draws)
    place = _bin(confidence, bins)
    rng, total = np.random.default_rng(seed), 0.0
    for _ in range(draws):
        gap = (rng.random(len(confidence)) < confidence) - confidence
        total += np.abs(np.bincount(place, weights=gap, minlength=bins)).sum() / len(confidence)
    return float(total / draws)


def summary(confidence: Values, right: Values, bins: int = BINS) -> dict[str, float]:
    """What a calibration report needs, as a dict of numbers.

    ``ece``; ``ece by chance``; ``excess ece`` (their difference: below 0 means better than luck would have it);
    ``overconfidence`` (mean confidence − accuracy, signed); ``confidence when wrong`` (left out if nothing is wrong).
    Arguments and errors as `reliability`.
    """
    found = {"ece": ece(confidence, right, bins), "ece by chance": ece_by_chance(confidence, bins)}
    found["excess ece"] = found["ece"] - found["ece by chance"]
    confidence, right = _confidence(confidence), verdicts("right", right)
    found["overconfidence"] = float(confidence.mean() - right.mean())
    if (right == 0).any():
        found["confidence when wrong"] = float(confidence[right == 0].mean())
    return found


def brier(probabilities: Values, labels: Values) -> float:
    """Mean squared error of whole distributions against one-hot labels, 0 (perfect) to 2. Proper: honesty minimises it.

    Args:
        probabilities: ``[N, C]``, each row a distribution; labels: ``[N]`` int, each a class.
    Raises:
        ValueError: a shape does not fit, a label is no class (-100 for instance), a row holds something that is no
            probability or does not sum to 1 within a thousandth.
    Source: Brier 1950. For two classes scikit-learn's default halves this.
    """
    probabilities = _classes("probabilities", probabilities)
    labels = labels_of(labels, *probabilities.shape)
    total = probabilities.sum(1)
    if probabilities.min() < 0 or probabilities.max() > 1 + ROUNDING:
        raise ValueError(
            f"probabilities must lie between 0 and 1, and they run from {probabilities.min():g} to "
            f"{probabilities.max():g}: give probabilities, not logits"
        )
    if np.abs(total - 1).max() > ROUNDING:
        raise ValueError(
            f"each row of probabilities must sum to 1, and one sums to {total[np.abs(total - 1).argmax()]:g}"
        )
    exact = probabilities / total[:, None]  # rounding to 32 bits or fewer, of which scikit-learn would warn
    return brier_score_loss(labels, exact, labels=range(probabilities.shape[1]), scale_by_half=False)


def fit_temperature(logits: Values, labels: Values) -> float:
    """The temperature that, dividing the logits, makes the labels likeliest: above 1 if the model was too sure.

    It changes no answer, only how sure the model is of it. Choose it on validation items. It is looked for between 0.05
    and 50: an answer at either end says that none fits, as for a model that is right on every item.

    Args:
        logits: ``[N, C]``; labels: ``[N]`` int, each a class.
    Raises:
        ValueError: a shape does not fit, a logit is not finite, a label is no class (-100 for instance).
    Source: Guo et al. 2017, section 4.2 (temperature scaling).
    """
    logits = _classes("logits", logits)
    labels = labels_of(labels, *logits.shape)
    rows = np.arange(len(labels))

    def surprise(log_temperature):
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean()

    return float(np.exp(minimize_scalar(surprise, bounds=np.log(TEMPERATURES), method="bounded").x))


def _confidence(values):
    confidence = numbers("confidence", values)
    if not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():
        raise ValueError("a confidence must lie between 0 and 1: give probabilities, not logits")
    return confidence.clip(0, 1)


def _bin(confidence, bins):
    """The number of each confidence's bin; a confidence of 1 belongs to the last."""
    return np.minimum((confidence * bins).astype(int), bins - 1)


def _classes(name, values):
    found = numbers(name, values, dimensions=2)
    if found.shape[1] < 2:
        raise ValueError(
            f"{name} must have a column for each of at least two classes, and the shape {list(found.shape)} came"
        )
    return found
