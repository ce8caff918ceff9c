"""What several lessons do on `digits`: the trained teacher, target distributions, students at their best rate, scores."""

import functools
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_lessons import losses, runtime, training
from distill_lessons.pairs import digits

STEPS = 600  # of a student
RATES = (5e-4, 2e-3, 8e-3, 3e-2, 1e-1)
EPSILONS = (0.1, 0.3)
TEMPERATURE = 4.0

# --- Models and their scores ------------------------------------------------------------------------------------------


def trained_teacher(
    seed: int, steps: int = 1000, labels: Tensor | None = None, augment: Callable | None = digits.shift
) -> nn.Module:
    """The `digits` teacher's network, trained on all training images, each moved by up to a pixel.

    Args:
        labels: ``[N]``, taken for the true ones: what a teacher would believe that errs.
        augment: what happens to a batch of images; None for none of it.
    """
    data = digits.load()
    torch.manual_seed(seed)
    return training.fit(
        digits.teacher(),
        data.train_images,
        data.train_labels if labels is None else labels,
        steps=steps,
        learning_rate=1e-3,
        augment=augment,
        seed=seed,
    )


@functools.lru_cache(maxsize=10)
def teacher(seed: int = 0, steps: int = 1000) -> nn.Module:
    """The course's `digits` teacher: `trained_teacher`, made once a process for each seed."""
    return trained_teacher(seed, steps)


@torch.no_grad()
def logits(model: nn.Module, images: Tensor) -> Tensor:
    """The model's logits for images, on the CPU."""
    return model.eval().to(runtime.device())(images.to(runtime.device())).cpu()


def accuracy(model: nn.Module, images: Tensor, labels: Tensor) -> float:
    """Share of images classified right, between 0 and 1."""
    return (logits(model, images).argmax(-1) == labels).float().mean().item()


def validation_accuracy(model: nn.Module) -> float:
    """Accuracy on the validation images: what a learning rate is chosen by."""
    data = digits.load()
    return accuracy(model, data.val_images, data.val_labels)


# --- What a student learns from ---------------------------------------------------------------------------------------


def few(labels: Tensor, seed: int, each: int = 10) -> Tensor:
    """Rows of `each` random images of every class."""
    generator = torch.Generator().manual_seed(seed)
    rows = [(labels == label).nonzero().squeeze(-1) for label in range(digits.CLASSES)]
    return torch.cat([row[torch.randperm(len(row), generator=generator)[:each]] for row in rows])


def smoothed(labels: Tensor, epsilon: float) -> Tensor:
    """Label smoothing as a target distribution: (1 − ε) one-hot + ε / C."""
    return (1 - epsilon) * F.one_hot(labels, digits.CLASSES).float() + epsilon / digits.CLASSES


def soft(model: nn.Module, images: Tensor, temperature: float = TEMPERATURE) -> Tensor:
    """A teacher's probabilities at a temperature."""
    return losses.softmax_with_temperature(logits(model, images), temperature)


def averaged(targets: Tensor, labels: Tensor) -> Tensor:
    """The same probability for the label, and the rest in equal parts: confidence without class information."""
    label = F.one_hot(labels, digits.CLASSES).bool()
    sure = targets[label].unsqueeze(-1)
    return torch.where(label, sure, (1 - sure) / (digits.CLASSES - 1))


def permuted(targets: Tensor, labels: Tensor, seed: int) -> Tensor:
    """The same probability for the label, and the nine others shuffled, once for each image."""
    label = F.one_hot(labels, digits.CLASSES).bool()
    others = targets[~label].view(-1, digits.CLASSES - 1)
    order = torch.rand(others.shape, generator=torch.Generator().manual_seed(seed)).argsort(-1)
    out = targets.clone()
    out[~label] = others.gather(-1, order).flatten()
    return out


def target_options(
    kind: str, images: Tensor, labels: Tensor, seed: int, model: nn.Module | None = None
) -> list[tuple[Tensor, float]]:
    """The (target distributions, temperature) that an arm may choose from, on validation images.

    Args:
        kind: "hard" and "smoothing" use the labels; "teacher-labels", "soft", "averaged" and "permuted" a teacher.
        seed: of the shuffling, and of the teacher.
        model: the teacher; by default `teacher` of that seed.
    Raises:
        ValueError: there is no such kind.
    """
    if kind == "hard":
        return [(smoothed(labels, 0.0), 1.0)]
    if kind == "smoothing":
        return [(smoothed(labels, epsilon), 1.0) for epsilon in EPSILONS]
    if kind not in ("teacher-labels", "soft", "averaged", "permuted"):
        raise ValueError(f"no targets are called {kind!r}: hard, smoothing, teacher-labels, soft, averaged or permuted")
    model = teacher(seed) if model is None else model
    if kind == "teacher-labels":
        return [(smoothed(logits(model, images).argmax(-1), 0.0), 1.0)]
    probabilities = soft(model, images)
    if kind == "averaged":
        probabilities = averaged(probabilities, labels)
    if kind == "permuted":
        probabilities = permuted(probabilities, labels, seed)
    return [(probabilities, TEMPERATURE)]


# --- Students ---------------------------------------------------------------------------------------------------------


def learn(
    targets: Tensor, temperature: float, images: Tensor, seed: int, rate: float, width: int, steps: int = STEPS
) -> nn.Module:
    """A student trained towards target distributions: T² times the cross-entropy at T, the same for every arm."""

    def loss(student_logits, batch_targets, labels):
        return temperature**2 * F.cross_entropy(student_logits / temperature, batch_targets)

    torch.manual_seed(seed)
    return training.fit(
        digits.student(width),
        images,
        torch.zeros(len(images), dtype=torch.long),  # no label enters but through the targets
        loss=loss,
        teacher=lambda batch: targets.to(batch.device),
        steps=steps,
        learning_rate=rate,
        seed=seed,
    )


def best(
    options: list[tuple[Tensor, float]], images: Tensor, seed: int, score: Callable[[nn.Module], float], **how
) -> tuple[nn.Module, float]:
    """The student with the highest ``score(student)`` among all options and learning rates, and its rate."""
    tried = []
    for distributions, temperature in options:
        for rate in RATES:
            student = learn(distributions, temperature, images, seed, rate, **how)
            tried.append((score(student), -rate, student))
    _, rate, student = max(tried, key=lambda entry: entry[:2])
    return student, -rate
