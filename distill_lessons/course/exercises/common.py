"""What several checks need: to see that an answer leaves its inputs alone, and to tell which mistake gives a number."""

import copy
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

from distill_lessons.course.exercises import Wrong, close

# For each type: its name, and how to leave such a thing alone.
KINDS = {
    torch.Tensor: (
        "tensor",
        "Write z = z / T, not z /= T, use no function that ends in _, and .clone() what you fill.",
    ),
    np.ndarray: (
        "array",
        "Write x = np.sort(x), not x.sort() or x -= …: a slice is the same memory. Or take x.copy().",
    ),
    list: ("list", "a + b and sorted(a) make new lists; append, insert, sort and += change the old one."),
    dict: ("dict", "Work on a copy, dict(old), or build a new one."),
}


def unchanged(function: Callable) -> Callable:
    """The function, watched: calling it raises `Wrong` if it changes a tensor, array, list or dict that it is handed."""

    def watched(*arguments: Any) -> Any:
        before = [_copy(value) for value in arguments]
        try:
            answer = function(*arguments)
        except RuntimeError as error:
            if "in-place operation" in str(error):  # torch itself refuses it where a gradient was asked for
                raise Wrong(f"Your function changes a tensor that it gets. {KINDS[torch.Tensor][1]}") from None
            raise
        for place, (was, now) in enumerate(zip(before, arguments), start=1):
            if not _same(was, now):
                name, cure = next(told for kind, told in KINDS.items() if isinstance(now, kind))
                raise Wrong(f"Your function changes the {name} that it gets as argument number {place}. {cure}")
        return answer

    return watched


def _copy(value):
    return value.detach().clone() if isinstance(value, torch.Tensor) else copy.deepcopy(value)


def _same(was, now):
    if isinstance(now, torch.Tensor):
        return torch.equal(was, now.detach())
    return np.array_equal(was, now) if isinstance(now, np.ndarray) else was == now


def nearest(got: Any, mistakes: Iterable[tuple[Any, str]], otherwise: str, tolerance: float = 1e-4) -> str:
    """The words of the mistake whose value is nearest to what came, if one lies within the tolerance (as in `close`).

    Where several lie equally near, the number cannot tell them apart, and all are named.
    """
    found = [
        (np.max(np.abs(np.subtract(_plain(got), _plain(value)))), words)
        for value, words in mistakes
        if close(got, value, tolerance)
    ]
    least = min(found, default=(0.0, ""))[0]
    return " Or: ".join(dict.fromkeys(words for far, words in found if far <= least + 1e-9)) or otherwise


def _plain(value):
    return np.asarray(value.detach() if isinstance(value, torch.Tensor) else value, dtype=float)
