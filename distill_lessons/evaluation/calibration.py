"""Is a model as sure as it is right? Expected calibration error with its bias, Brier score, temperature scaling.

Everything here works on plain arrays: ``confidence`` is the probability of the answer a model gave, ``right`` whether that
answer was right. Returns numbers, prints none.
"""

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

BINS = 15  # of equal width, from 0 to 1


def _checked(confidence, right):
    confidence, right = np.asarray(confidence, dtype=float).ravel(), np.asarray(right, dtype=float).ravel()
    if len(confidence) != len(right) or len(right) == 0:
        raise ValueError(
            f"{len(confidence)} confidences and {len(right)} answers: one confidence an answer is needed, and at least one"
        )
    if not ((confidence >= 0) & (confidence <= 1 + 1e-6)).all():
        raise ValueError("a confidence must lie between 0 and 1: give probabilities, not logits")
    return confidence.clip(0, 1), right


def reliability(confidence, right, bins=BINS):
    """Mean confidence and accuracy in bins of equal width: the reliability figure's points.

    Returns:
        dict of arrays ``items``, ``confidence``, ``accuracy``, an entry for each bin that holds an item.
    Source: DeGroot and Fienberg 1983; bins as in Guo et al. 2017.
    """
    confidence, right = _checked(confidence, right)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    items = np.bincount(place, minlength=bins)
    held = items > 0
    mean = (np.bincount(place, weights=values, minlength=bins)[held] / items[held] for values in (confidence, right))
    return {"items": items[held], "confidence": next(mean), "accuracy": next(mean)}


def ece(confidence, right, bins=BINS):
    r"""Expected calibration error: the mean gap between confidence and accuracy over bins, each weighed by its items.

    .. math:: \sum_b \frac{n_b}{n} \, | \mathrm{acc}_b - \mathrm{conf}_b |

    Never below 0, so chance alone makes it positive, and the more so the fewer items and the more bins there are: see
    `ece_by_chance`. Source: Guo et al. 2017, equation 5 (Naeini et al. 2015).
    """
    points = reliability(confidence, right, bins)
    gaps = np.abs(points["accuracy"] - points["confidence"])
    return float((points["items"] * gaps).sum() / points["items"].sum())


def ece_by_chance(confidence, bins=BINS, draws=400, seed=0):
    """The ECE that a model with these confidences has on average if it is perfectly calibrated.

    Each answer is right with just the probability that its confidence states; the mean over `draws` such worlds.
    An ECE is evidence of miscalibration by what it has beyond this.
    Source: Bröcker and Smith 2007 (consistency resampling).
    """
    confidence, _ = _checked(confidence, confidence)
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    rng, total = np.random.default_rng(seed), 0.0
    for _ in range(draws):
        gap = (rng.random(len(confidence)) < confidence) - confidence
        total += np.abs(np.bincount(place, weights=gap, minlength=bins)).sum() / len(confidence)
    return float(total / draws)


def summary(confidence, right, bins=BINS):
    """What a calibration report needs, as a dict of numbers.

    ``ece``; ``ece by chance``; ``excess ece`` (their difference: below 0 means better than luck would have it);
    ``overconfidence`` (mean confidence − accuracy, signed); ``confidence when wrong`` (left out if nothing is wrong).
    """
    confidence, right = _checked(confidence, right)
    found = {"ece": ece(confidence, right, bins), "ece by chance": ece_by_chance(confidence, bins)}
    found["excess ece"] = found["ece"] - found["ece by chance"]
    found["overconfidence"] = float(confidence.mean() - right.mean())
    if (right < 1).any():
        found["confidence when wrong"] = float(confidence[right < 1].mean())
    return found


def brier(probabilities, labels):
    """Mean squared error of whole distributions against one-hot labels, 0 (perfect) to 2. Proper: honesty minimises it.

    Args:
        probabilities: ``[N, C]``; labels: ``[N]`` int.
    Source: Brier 1950. scikit-learn's `brier_score_loss` is this for two classes, halved.
    """
    probabilities, labels = np.asarray(probabilities, dtype=float), np.asarray(labels)
    hot = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - hot) ** 2).sum(1).mean())


def fit_temperature(logits, labels):
    """The temperature that, dividing the logits, makes the labels likeliest: above 1 if the model was too sure.

    It changes no answer, only how sure the model is of it. Choose it on validation items.

    Args:
        logits: ``[N, C]``; labels: ``[N]`` int.
    Source: Guo et al. 2017, section 4.2 (temperature scaling).
    """
    logits, labels = np.asarray(logits, dtype=float), np.asarray(labels)
    rows = np.arange(len(labels))

    def surprise(log_temperature):
        return -log_softmax(logits / np.exp(log_temperature), axis=1)[rows, labels].mean()

    return float(np.exp(minimize_scalar(surprise, bounds=(np.log(0.05), np.log(50)), method="bounded").x))
