"""Finished work is never done twice: a stage's result is one file with a fingerprint of all that went into it."""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from distill_lessons import runtime

FORMAT = 2  # of all stages' files; a change of what a stage computes counts it up
LEFT_OVER = 3600  # seconds after which a temporary file belongs to a run that was killed


class Result(NamedTuple):
    """What a stage gave: the fingerprint of its inputs, plain data, and tensors by name."""

    key: str
    values: dict
    tensors: dict[str, torch.Tensor]


Made = tuple[dict, dict[str, torch.Tensor]]  # what a stage's function returns: values and tensors


def fingerprint(*inputs) -> str:
    """SHA-256 over plain data, as hex; dictionaries count by what they hold, not by their order."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()


def stage(folder: Path, name: str, inputs: Mapping, make: Callable[[], Made], tell=None) -> Result:
    """The result of a stage: read from ``work/<name>.safetensors`` if that was made of the same inputs, else made now.

    The file is there whole or not at all (`runtime.replacing`); one that cannot be read is made again. The first run
    returns what it has read back, so that a later one has the very same numbers.

    Args:
        folder: the project's. inputs: plain data, everything that decides the result; keys of the stages before it too.
        make: does the work; values must be plain data.
        tell: is given one line a stage, of what was done; None tells nobody.
    """
    path = Path(folder) / "work" / f"{name}.safetensors"
    key = fingerprint(FORMAT, name, inputs)
    found = _read(path, key)
    if found is not None:
        if tell:
            tell(f"{name}: done before")
        return found
    began = time.perf_counter()
    values, tensors = make()
    seconds = time.perf_counter() - began
    values = {**values, "seconds": round(seconds, 3)}
    tensors = {each: tensor.detach().cpu().contiguous().clone() for each, tensor in tensors.items()}
    with runtime.replacing(path) as temporary:
        save_file(tensors, temporary, metadata={"key": key, "values": json.dumps(values)})
    if tell:
        tell(f"{name}: {seconds:.1f} s")
    found = _read(path, key)
    if found is None:
        raise OSError(f"{path.name} was written and cannot be read again: look at the disk of {folder}")
    return found


def _read(path, key) -> Result | None:
    """A finished stage of that fingerprint; None if there is none, or its file is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            about = file.metadata() or {}
            if about.get("key") != key:
                return None
            return Result(key, json.loads(about["values"]), {name: file.get_tensor(name) for name in file.keys()})
    except (OSError, SafetensorError, KeyError, ValueError):
        return None


def tidy(folder: Path) -> None:
    """Remove the half-written files of runs that were killed."""
    for path in (Path(folder) / "work").rglob(".*.safetensors.*"):
        if time.time() - path.stat().st_mtime > LEFT_OVER:
            path.unlink(missing_ok=True)
