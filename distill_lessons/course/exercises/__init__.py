"""Exercises that check themselves. `check("3.2", answer)` prints one line and never raises.

Each lesson's module holds ``CHECKS``: exercise id to a function of the learner's answer. That function compares
behaviour on fresh random input with an independent reference, and raises `Wrong` with a sentence that names the mistake.
"""

import importlib
import math

import numpy as np
import torch


class Wrong(Exception):
    """What the learner should read: what was expected, what came, which hint fits."""


class NotAttempted(Exception):
    """The stub is still a stub."""


class _Watched:
    """Calls the learner's function and notices a body that is still ``...`` (it returns None)."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *arguments, **keywords):
        answer = self.function(*arguments, **keywords)
        if answer is Ellipsis or (answer is None and _is_stub(self.function)):
            raise NotAttempted
        if answer is None:
            raise Wrong("Your function returned nothing: is a `return` missing on some path?")
        return answer


def _is_stub(function):
    """Whether a function has no body to speak of: it uses no name and does nothing but return."""
    code = getattr(function, "__code__", None)
    return code is None or (not code.co_names and len(code.co_code) <= 8)


def check(exercise, answer):
    """Check the answer to an exercise (a function or a value) and print the outcome in one line.

    ``○`` not attempted, ``✗`` wrong with what was expected, ``✓`` right. Raises nothing, whatever the answer does.
    """
    print(verdict(exercise, answer))


def verdict(exercise, answer):
    """The line that `check` prints."""
    checks = importlib.import_module(f"{__name__}.lesson{int(exercise.split('.')[0]):02d}").CHECKS
    if answer is None or answer is Ellipsis:
        return f"○ {exercise} not attempted yet"
    try:
        with torch.random.fork_rng():
            torch.seed()  # fresh input at every call
            checks[exercise](_Watched(answer) if callable(answer) else answer)
    except NotAttempted:
        return f"○ {exercise} not attempted yet"
    except Wrong as wrong:
        return f"✗ {exercise} {_one_line(wrong)}"
    except Exception as error:  # the learner's code may do anything; the notebook must go on
        return f"✗ {exercise} Your code stopped with {type(error).__name__}: {_one_line(error)}"
    return f"✓ {exercise}"


def _one_line(message):
    return " ".join(str(message).split())


def close(answer, expected, tolerance=1e-4):
    """Whether two numbers or arrays agree in shape and, to the tolerance (absolute plus relative), in value."""
    answer, expected = _array(answer), _array(expected)
    return answer.shape == expected.shape and np.allclose(answer, expected, atol=tolerance, rtol=tolerance)


def number(answer):
    """The answer as a float, or `Wrong` if it is no single finite number."""
    array = _array(answer)
    if array.size != 1 or not math.isfinite(array.item()):
        raise Wrong(f"One finite number was expected, and this came: {answer!r}")
    return array.item()


def _array(value):
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().double().numpy()
    if isinstance(value, str):
        raise Wrong(f"A number was expected, and a text came: {value!r}. Return the number itself.")
    try:
        return np.asarray(value, dtype=float)
    except (TypeError, ValueError):
        raise Wrong(f"Numbers were expected, and this came: {value!r}") from None
