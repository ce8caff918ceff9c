"""What every measure asks of its input: finite numbers in the right shape, refused by name where they are not."""

from numbers import Integral, Real

import numpy as np
import torch
from numpy.typing import ArrayLike

from distill_lessons.losses import IGNORE


def plain(values: ArrayLike | torch.Tensor) -> np.ndarray:
    """An array of what came: a tensor may lie on a GPU, need a gradient, or be bfloat16."""
    if isinstance(values, torch.Tensor):
        values = values.detach().cpu()
        values = values.float() if values.dtype == torch.bfloat16 else values
    return np.asarray(values)


def numbers(name: str, values: ArrayLike | torch.Tensor, dimensions: int = 1) -> np.ndarray:
    """Values as float64, in that many dimensions and with at least one item.

    Raises:
        ValueError: they are no numbers, of another shape, empty, or not finite; says which and names them.
    """
    try:
        found = plain(values)
    except ValueError:  # rows of unequal length
        raise ValueError(f"{name} must be an array of numbers, and it has rows of unequal length") from None
    if found.dtype.kind not in "biuf":
        raise ValueError(f"{name} must be numbers, and {_short(values)} came")
    if found.ndim != dimensions:
        wanted = ("one number", "one number an item, [N]", "one row an item, [N, C]")[dimensions]
        raise ValueError(f"{name} must be {wanted}, and it has the shape {list(found.shape)}")
    if found.size == 0:
        raise ValueError(f"{name} must hold at least one item, and there is none")
    if not np.isfinite(found).all():
        raise ValueError(f"{name} must be finite, and {np.count_nonzero(~np.isfinite(found))} of {found.size} are not")
    return found.astype(float)


def verdicts(name: str, values: ArrayLike | torch.Tensor) -> np.ndarray:
    """`numbers` of which each is 1 (or True) or 0.

    Raises:
        ValueError: one is neither, such as 100 for a percentage or -100 for what does not count; says which.
    """
    found = numbers(name, values)
    strange = found[~np.isin(found, (0, 1))]
    if len(strange):
        raise ValueError(f"{name} must be 1 or 0 for each item, and it holds {strange[0]:g}")
    return found


def labels_of(labels: ArrayLike | torch.Tensor, items: int, classes: int) -> np.ndarray:
    """Labels ``[N]`` as int64, one an item and each a class.

    Raises:
        ValueError: they are not whole numbers, not one an item, or outside the classes; -100 is named.
    """
    found = plain(labels)
    if found.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers, and they are {found.dtype}")
    if found.shape != (items,):
        raise ValueError(f"labels must be one number an item, [{items}], and they have the shape {list(found.shape)}")
    if (found == IGNORE).any():
        raise ValueError(f"labels hold {IGNORE}, which marks what does not count: leave those items out")
    if not ((found >= 0) & (found < classes)).all():
        raise ValueError(f"labels must lie in 0..{classes - 1}, and they run from {found.min()} to {found.max()}")
    return found.astype(np.int64)


def whole(name: str, value: int, least: int = 1) -> int:
    """A count as a Python integer.

    Raises:
        ValueError: it is no whole number, or under `least`.
    """
    if isinstance(value, bool) or not isinstance(value, Integral) or value < least:
        raise ValueError(f"{name} must be a whole number of at least {least}, and it is {value!r}")
    return int(value)


def positive(name: str, value: float) -> float:
    """A positive finite number as a Python float.

    Raises:
        ValueError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 < value < float("inf"):
        raise ValueError(f"{name} must be a positive finite number, and it is {value!r}")
    return float(value)


def _short(values):
    text = repr(values)
    return text if len(text) <= 40 else f"{text[:37]}..."
