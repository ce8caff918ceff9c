"""What several lessons' experiments need: the trained digits teacher, and accuracy on digits."""

import functools

import torch

from distill_lessons import runtime, training
from distill_lessons.pairs import digits


@functools.lru_cache(maxsize=4)
def digits_teacher(seed=0, steps=1000):
    """The `digits` teacher, trained on one-pixel shifts of all training images; made once a process for each seed."""
    data = digits.load()
    torch.manual_seed(seed)
    return training.fit(
        digits.teacher(),
        data.train_images,
        data.train_labels,
        steps=steps,
        learning_rate=1e-3,
        augment=digits.shift,
        seed=seed,
    )


@torch.no_grad()
def logits(model, images):
    """The model's logits for images, on the CPU."""
    return model.eval().to(runtime.device())(images.to(runtime.device())).cpu()


def accuracy(model, images, labels):
    """Share of images classified right, between 0 and 1."""
    return (logits(model, images).argmax(-1) == labels).float().mean().item()
