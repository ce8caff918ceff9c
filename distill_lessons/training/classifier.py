"""`fit`: the training loop of the small classifiers."""

import torch
import torch.nn.functional as F

from distill_lessons import runtime


def cross_entropy(student_logits, teacher_logits, labels):
    """The loss of a student without a teacher, in the form that `fit` expects."""
    return F.cross_entropy(student_logits, labels)


def fit(
    model,
    images,
    labels,
    loss=cross_entropy,
    teacher=None,
    steps=1500,
    batch_size=128,
    learning_rate=2e-3,
    augment=None,
    seed=0,
):
    """Train a classifier with AdamW and a cosine schedule; returns the model, on the run's device and in eval mode.

    Args:
        model: maps ``[B, ...]`` to logits ``[B, C]``; trained in place.
        images, labels: ``[N, ...]`` and ``[N]`` int.
        loss: ``loss(student_logits, teacher_logits, labels)``, a scalar. The default looks at the labels only.
        teacher: maps the same (augmented) batch to logits; frozen here. None passes None on to the loss.
        steps, batch_size, learning_rate: the budget; batches are drawn without replacement, epoch after epoch.
        augment: ``augment(batch, generator)``, applied to each batch before both models see it.
        seed: fixes batches and augmentation. The initial weights are the caller's.
    Raises:
        ValueError: no images; the loss becomes NaN or infinite (says at which step).
    """
    if len(images) == 0:
        raise ValueError("fit needs at least one image")
    device = runtime.device()
    images, labels, model = images.to(device), labels.to(device), model.to(device).train()
    if teacher is not None and isinstance(teacher, torch.nn.Module):
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
        value = loss(model(batch), targets, labels[rows])
        if not torch.isfinite(value):
            raise ValueError(
                f"the loss became {value.item()} at step {step}: lower the learning rate, now {learning_rate}"
            )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return model.eval()
