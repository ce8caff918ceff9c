"""What several lessons do on `reviews`: sentences of the pool, target distributions, students, and scores against people.

A run's seed decides which sentences of the pool a student sees, its first weights and the order. The test sentences are
the same for all runs, and what a student makes of each is kept: an interval then counts both.
"""

import functools
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import Tensor, nn

from distill_lessons import evaluation, losses, runtime, training
from distill_lessons.evaluation import calibration
from distill_lessons.pairs import reviews

TEACHER = "tuned-640"  # SmolLM2 with adapters, which has read 640 labelled sentences
POOL, BATCH = 5000, 128
STEPS = {"frozen": 500, "bag": 500, "gru": 500, "transformer": 500}
EPOCH = POOL // BATCH  # steps

# --- Sentences and targets --------------------------------------------------------------------------------------------


@functools.cache
def inputs(student: str) -> Tensor:
    """All sentences as a student reads them."""
    return reviews.features() if student == "frozen" else reviews.encode(reviews.sentences()["text"].tolist())


def drawn(seed: int, count: int = POOL, teacher: str = TEACHER) -> np.ndarray:
    """The seed's own `count` sentences of a teacher's pool: fewer are the first of more."""
    return np.random.default_rng(seed).permutation(reviews.pool(teacher))[:count]


def answers(labels: Tensor, epsilon: float = 0.0) -> Tensor:
    """Answers ``[N]`` as distributions ``[N, 2]``: (1 − ε) on the answer and ε in equal parts."""
    return (1 - epsilon) * F.one_hot(labels, 2).float() + epsilon / 2


def soft(places: np.ndarray, temperature: float = 1.0, teacher: str = TEACHER) -> Tensor:
    """A teacher's probabilities for these sentences, ``[N, 2]``."""
    return losses.softmax_with_temperature(reviews.logits(teacher)[places], temperature)


def smoothed(targets: Tensor) -> Tensor:
    """The same answers, all with the mean doubt of these targets: label smoothing that is as sure as the teacher."""
    return answers(targets.argmax(-1), 2 * (1 - targets.amax(-1)).mean().item())


def permuted(targets: Tensor, seed: int) -> Tensor:
    """The same answers with the same doubts, but each doubt at another sentence of the same answer."""
    out, generator = targets.clone(), torch.Generator().manual_seed(seed)
    for answer in (0, 1):
        rows = (targets.argmax(-1) == answer).nonzero().squeeze(-1)
        out[rows] = targets[rows[torch.randperm(len(rows), generator=generator)]]
    return out


def people_soft(places: np.ndarray) -> Tensor:
    """The raters' shares for these sentences, ``[N, 2]``; who rates 0 counts half for either side."""
    share = torch.from_numpy(reviews.sentences()["people"].to_numpy()[places]).float()
    return torch.stack([1 - share, share], -1)


# --- Students ---------------------------------------------------------------------------------------------------------


def learn(
    student: str,
    places: np.ndarray,
    targets: Tensor,
    rate: float,
    seed: int,
    temperature: float = 1.0,
    steps: int | None = None,
) -> nn.Module:
    """A student trained towards targets ``[N, 2]``: T² times the cross-entropy at T, the same for every arm."""

    def loss(student_logits, batch_targets, labels):
        return temperature**2 * F.cross_entropy(student_logits / temperature, batch_targets)

    torch.manual_seed(seed)
    return training.fit(
        getattr(reviews, student)(),
        inputs(student)[places],
        torch.zeros(len(places), dtype=torch.long),  # no label enters but through the targets
        loss=loss,
        teacher=lambda batch: targets.to(batch.device),
        steps=STEPS[student] if steps is None else steps,
        batch_size=BATCH,
        learning_rate=rate,
        seed=seed,
    )


@torch.no_grad()
def logits(model: nn.Module, student: str, places: np.ndarray) -> Tensor:
    """A student's logits ``[N, 2]`` for these sentences, on the CPU."""
    with runtime.threads(runtime.threads_for(model)):
        parts = inputs(student)[places].split(1000)
        return torch.cat([model(part.to(runtime.device())).float().cpu() for part in parts])


# --- Scores -----------------------------------------------------------------------------------------------------------


def score(z: Tensor, places: np.ndarray, teacher: str = TEACHER) -> dict[str, list[float] | float]:
    """Logits ``[N, 2]`` for test sentences of the case, held against people's majority and the teacher.

    Returns:
        a number a sentence for ``accuracy``, ``overconfidence`` (confidence less accuracy), ``copied`` (its mean is the share
        of the teacher's errors that the student makes too); one number for ``nats`` (cross-entropy of people's majority),
        ``rank`` (Spearman's correlation with the raters' shares), ``agreement`` and ``kl`` (with the teacher), ``ece``,
        ``brier``, and the transfer ratio.
    """
    labels, theirs = reviews.labels()[places], reviews.logits(teacher)[places]
    p, right = z.softmax(-1), (z.argmax(-1) == labels).float()
    wrong = (theirs.argmax(-1) != labels).float()
    ratio = evaluation.transfer_ratio(right, 1 - wrong)
    shares = reviews.sentences()["people"].to_numpy()[places]
    return {
        "accuracy": right.tolist(),
        "overconfidence": (p.amax(-1) - right).tolist(),
        "copied": ((1 - right) * wrong / wrong.mean()).tolist(),
        "nats": F.cross_entropy(z, labels).item(),
        "rank": float(spearmanr((z[:, 1] - z[:, 0]).numpy(), shares).statistic),
        "agreement": (z.argmax(-1) == theirs.argmax(-1)).float().mean().item(),
        "kl": losses.forward_kl(z, theirs).item(),
        "ece": calibration.summary(p.amax(-1), right)["ece"],
        "brier": calibration.brier(p, labels),
        "transfer ratio": ratio.value,
        "transfer ratio, low": ratio.low,
        "transfer ratio, high": ratio.high,
    }


def validated(z: Tensor, places: np.ndarray) -> dict[str, float]:
    """Logits for validation sentences, held against people's majority: what a learning rate is chosen by."""
    labels = reviews.labels()[places]
    return {
        "accuracy": (z.argmax(-1) == labels).float().mean().item(),
        "nats": F.cross_entropy(z, labels).item(),
    }


def scores(model: nn.Module, student: str, split: str) -> dict[str, list[float] | float]:
    """A student's `validated`, or on "test" its `score`, accuracy on every source, and what a fitted temperature gains."""
    places = reviews.places("validation")
    validation = logits(model, student, places)
    if split == "validation":
        return validated(validation, places)
    return tested(
        validation, lambda sources: logits(model, student, reviews.places("test", sources)), reviews.labels()[places]
    )


def teacher_scores(name: str = TEACHER) -> dict[str, list[float] | float]:
    """A teacher's own scores on the test sentences, from its stored logits."""
    stored, places = reviews.logits(name), reviews.places("validation")
    return tested(
        stored[places], lambda sources: stored[reviews.places("test", sources)], reviews.labels()[places], name
    )


def tested(validation, asked, labels, teacher=TEACHER):
    places = reviews.places("test")
    z = asked(reviews.CASE)
    found = score(z, places, teacher)
    for source in (*reviews.CASE, *reviews.SHIFTED):
        right = asked(source).argmax(-1) == reviews.labels()[reviews.places("test", source)]
        found[source] = right.float().mean().item()
    temperature = calibration.fit_temperature(validation, labels)
    right = (z.argmax(-1) == reviews.labels()[places]).float()
    scaled = calibration.summary((z / temperature).softmax(-1).amax(-1), right)["ece"]
    return found | {"temperature": temperature, "scaled: ece": scaled, "scaling gains": found["ece"] - scaled}


def groups() -> Sequence[str]:
    """What each test sentence belongs to: its product review, or itself."""
    ids = reviews.sentences()["id"].to_numpy()[reviews.places("test")]
    return [name.rsplit("_", 1)[0] for name in ids]
