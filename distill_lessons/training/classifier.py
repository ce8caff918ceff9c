"""`fit`: the training loop of the small classifiers."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_lessons import runtime

Loss = Callable[[Tensor, Tensor | None, Tensor], Tensor]


def cross_entropy(student_logits: Tensor, teacher_logits: Tensor | None, labels: Tensor) -> Tensor:
    """The loss of a student without a teacher, in the form that `fit` expects."""
    return F.cross_entropy(student_logits, labels)


def fit(
    model: nn.Module,
    images: Tensor,
    labels: Tensor,
    loss: Loss = cross_entropy,
    teacher: nn.Module | Callable[[Tensor], Tensor] | None = None,
    steps: int = 1500,
    batch_size: int = 128,
    learning_rate: float = 2e-3,
    augment: Callable[[Tensor, torch.Generator], Tensor] | None = None,
    seed: int = 0,
) -> nn.Module:
    """Train a classifier with AdamW and a cosine schedule; returns the model, on the run's device and in eval mode.

    Small models train on one thread on a CPU (`runtime.threads_for`).

    Args:
        model: maps ``[B, ...]`` to logits ``[B, C]``; trained in place.
        images, labels: ``[N, ...]`` and ``[N]`` int from 0 to C-1; zeros, say, where the loss does not look at labels.
        loss: ``loss(student_logits, teacher_logits, labels)``, a scalar. The default looks at the labels only.
        teacher: maps the same (augmented) batch to logits; in eval mode and without gradients. None passes None on.
        steps, batch_size, learning_rate: the budget; batches are drawn without replacement, epoch after epoch.
        augment: ``augment(batch, generator)``, applied to each batch before both models see it.
        seed: fixes batches, augmentation and dropout (torch's global generator). The initial weights are the caller's.
    Raises:
        ValueError: no images, or not one label each; a label that the model has no logit for; the teacher is the model;
            the loss is not a scalar, or becomes NaN or infinite (says at which step).
    """
    _check(model, images, labels, teacher, steps, batch_size)
    with runtime.threads(runtime.threads_for(model, teacher)):
        return _fit(model, images, labels, loss, teacher, steps, batch_size, learning_rate, augment, seed)


def _check(model, images, labels, teacher, steps, batch_size):
    if len(images) == 0:
        raise ValueError("fit needs at least one image")
    if labels.shape != (len(images),) or labels.is_floating_point() or labels.is_complex():
        raise ValueError(
            f"fit needs one whole number as label for each image, and it got labels of shape {list(labels.shape)} and "
            f"type {labels.dtype} for {len(images)} images: pass class numbers, [{len(images)}]"
        )
    if teacher is model:
        raise ValueError("the teacher is the model itself, so it would change while it teaches: pass a copy of it")
    if steps < 0 or batch_size < 1:
        raise ValueError(f"fit needs steps from 0 on and a batch size from 1 on, and it got {steps} and {batch_size}")


def _fit(model, images, labels, loss, teacher, steps, batch_size, learning_rate, augment, seed):
    device = runtime.device()
    images, labels, model = images.to(device), labels.to(device), model.to(device).train()
    if isinstance(teacher, nn.Module):
        teacher = teacher.to(device).eval()
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout draws from the global generator
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.empty(0, dtype=torch.long)
    with torch.no_grad():  # images that never change are shown to the teacher once
        stored = teacher(images) if teacher is not None and augment is None else None
    for step in range(steps):
        if len(order) < min(batch_size, len(images)):
            order = torch.randperm(len(images), generator=generator)
        rows, order = order[:batch_size].to(device), order[batch_size:]
        batch = augment(images[rows], generator) if augment else images[rows]
        with torch.no_grad():
            targets = stored[rows] if stored is not None else teacher(batch) if teacher is not None else None
        logits = model(batch)
        if step == 0:
            _check_classes(labels, logits)
        value = loss(logits, targets, labels[rows])
        if value.numel() != 1:
            raise ValueError(f"the loss has shape {list(value.shape)} and must be one number: take its mean")
        if not torch.isfinite(value):
            raise ValueError(
                f"the loss became {value.item()} at step {step}: lower the learning rate, now {learning_rate}"
            )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def _check_classes(labels, logits):
    least, most, classes = int(labels.min()), int(labels.max()), logits.shape[-1]
    if least < 0 or most >= classes:
        raise ValueError(
            f"labels run from {least} to {most} and the model has {classes} logits, for labels 0 to {classes - 1}: "
            "number the classes from 0, or widen the model"
        )
