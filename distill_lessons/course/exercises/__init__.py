"""Exercises that check themselves. `check("3.2", answer)` prints one sentence or two, and never raises.

Each lesson's module holds ``CHECKS``: exercise id to a function of the learner's answer. That function compares
behaviour on fresh random input with an independent reference, and raises `Wrong` with a sentence that names the mistake.
"""

import functools
import importlib
import inspect
import math
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch


class Wrong(Exception):
    """What the learner should read: what was expected, what came, which hint fits."""


class NotAttempted(Exception):
    """The stub is still a stub."""


class _Watched:
    """Calls the learner's function and notices a body that is still ``...`` (it returns None)."""

    def __init__(self, function: Callable):
        self.function = function

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
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


def check(exercise: str, answer: Any) -> None:
    """Check the answer to an exercise (a function or a value) and print the outcome, in lines of at most 96 characters.

    ``○`` not attempted, ``✗`` wrong with what was expected, ``✓`` right. Raises nothing, whatever the answer does; only an
    interrupt passes through.
    """
    print(textwrap.fill(verdict(exercise, answer), 96, subsequent_indent="  ", break_on_hyphens=False))


def verdict(exercise: str, answer: Any, seed: int | None = None) -> str:
    """What `check` prints, in one line. A check draws fresh input at every call; with a seed the same again."""
    checks = _checks(exercise)
    if checks is None:
        return f"✗ {exercise} There is no exercise {exercise}: give the number in the first line of the exercise's cell"
    if answer is None or answer is Ellipsis:
        return f"○ {exercise} not attempted yet"
    try:
        with torch.random.fork_rng():
            torch.seed() if seed is None else torch.manual_seed(seed)
            checks[exercise](_Watched(answer) if callable(answer) else answer)
    except NotAttempted:
        return f"○ {exercise} not attempted yet"
    except Wrong as wrong:
        return f"✗ {exercise} {_one_line(wrong)}"
    except KeyboardInterrupt:  # whoever interrupts a loop wants out
        raise
    except BaseException as error:  # the learner's code may do anything, exit too; the notebook must go on
        return f"✗ {exercise} Your code stopped with {type(error).__name__}{_told(error)}{_where(error, answer)}"
    return f"✓ {exercise}"


def _checks(exercise):
    """The checks of the exercise's lesson, or None if there is no such exercise."""
    lesson, _, _ = str(exercise).partition(".")
    if not (lesson.isdecimal() and (Path(__file__).parent / f"lesson{int(lesson):02d}.py").is_file()):
        return None
    checks = importlib.import_module(f"{__name__}.lesson{int(lesson):02d}").CHECKS
    return checks if exercise in checks else None


def _told(error):
    """What an error says, after a colon; some say nothing, and some fail while they say it."""
    try:
        words = _one_line(error)
    except Exception:
        words = ""
    return f": {words}" if words else ""


def _where(error, answer):
    """The line of the learner's that failed, the innermost one in the file or cell of the answer; or nothing."""
    code = _code(answer)
    frames = [
        frame for frame in traceback.extract_tb(error.__traceback__) if code and frame.filename == code.co_filename
    ]
    if not frames:
        return ""
    line = _one_line(frames[-1].line or "")
    line = line if len(line) <= 96 else line[:95] + "…"
    place = Path(frames[-1].filename).name if Path(frames[-1].filename).is_file() else "your cell"
    return f", in line {frames[-1].lineno} of {place}" + (f': "{line}"' if line else "")


def _code(answer):
    """The code object behind a function, a decorated or partial one, or an object that can be called; or None."""
    while isinstance(answer, functools.partial):
        answer = answer.func
    if not callable(answer):
        return None
    answer = inspect.unwrap(answer)
    return getattr(answer, "__code__", None) or getattr(type(answer).__call__, "__code__", None)


def _one_line(message):
    return " ".join(str(message).split())


def close(answer: Any, expected: Any, tolerance: float = 1e-4) -> bool:
    """Whether two numbers or arrays agree in shape and, to the tolerance (absolute plus relative), in value."""
    answer, expected = _array(answer), _array(expected)
    return answer.shape == expected.shape and np.allclose(answer, expected, atol=tolerance, rtol=tolerance)


def number(answer: Any) -> float:
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
    except (TypeError, ValueError, RuntimeError):  # RuntimeError: a list of tensors with gradients
        raise Wrong(f"Numbers were expected, and this came: {value!r}") from None
