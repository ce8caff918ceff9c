"""The `digits` pair: scikit-learn's 1,797 handwritten digits (8×8), a wide MLP as teacher, a narrow one as student."""

from typing import NamedTuple

import numpy as np
import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

CLASSES = 10


class Digits(NamedTuple):
    """Images ``[N, 64]`` float in [0, 1] and labels ``[N]`` int, split by a fixed seed that no experiment changes."""

    train_images: torch.Tensor
    train_labels: torch.Tensor
    val_images: torch.Tensor
    val_labels: torch.Tensor
    test_images: torch.Tensor
    test_labels: torch.Tensor

    def to(self, device):
        return Digits(*(tensor.to(device) for tensor in self))


def load():
    """997 training, 200 validation and 600 test images, stratified; one split for all seeds, so that seeds compare models.

    Settings such as the learning rate are chosen on the validation images; the test images are only ever scored.
    """
    images, labels = load_digits(return_X_y=True)
    images = images.astype(np.float32) / 16
    images, test_images, labels, test_labels = train_test_split(
        images, labels, test_size=600, stratify=labels, random_state=0
    )
    train_images, val_images, train_labels, val_labels = train_test_split(
        images, labels, test_size=200, stratify=labels, random_state=0
    )
    arrays = train_images, train_labels, val_images, val_labels, test_images, test_labels
    return Digits(*map(torch.as_tensor, arrays))


def mlp(widths, dropout=0.0):
    """A plain multilayer perceptron: ``widths`` from input to output, ReLU and dropout between."""
    layers = []
    for narrow, wide in zip(widths[:-2], widths[1:-1]):
        layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(widths[-2], widths[-1]))


def teacher():
    """64-512-512-10 with dropout: about 300,000 parameters, untrained."""
    return mlp([64, 512, 512, CLASSES], dropout=0.4)


def student(width=16):
    """64-width-width-10, untrained: 1,482 parameters at width 16, 3,466 at 32."""
    return mlp([64, width, width, CLASSES])


def shift(images, generator=None):
    """Move each image by at most one pixel in each direction, at random: ``[N, 64]`` to ``[N, 64]``.

    With it the teacher sees nine times as many images, and so can a student that asks the teacher about them.
    """
    count = len(images)
    padded = nn.functional.pad(images.view(count, 8, 8), (1, 1, 1, 1))
    down, right = torch.randint(0, 3, (2, count, 1, 1), generator=generator).to(images.device)
    span = torch.arange(8, device=images.device)
    rows, columns = down + span.view(1, 8, 1), right + span.view(1, 1, 8)
    return padded[torch.arange(count, device=images.device).view(-1, 1, 1), rows, columns].reshape(count, 64)
