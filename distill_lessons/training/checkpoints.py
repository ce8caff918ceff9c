"""Checkpoints that a full disk or a kill cannot spoil, and that only the training they belong to goes on from."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from distill_lessons import runtime


@contextmanager
def saving(what: str, kept: str) -> Iterator[None]:
    """Within the block, whatever the libraries raise when a disk is full becomes an OSError with one sentence."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        if not writing_failed(error):
            raise
        raise could_not_save(what, kept, error) from error


def writing_failed(error: Exception) -> bool:
    """Whether an error is of a file that could not be written, and not of the training."""
    if isinstance(error, RuntimeError):
        return "inline_container" in str(error)  # torch's writer of files
    return isinstance(error, (OSError, SafetensorError))


def could_not_save(what: str, kept: str, error: Exception) -> OSError:
    """The one sentence for a file that could not be written."""
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(error, RuntimeError):
        reason = "a file could not be written to its end"
    return OSError(
        f"could not save {what} ({reason}); {kept}: free some disk space (save_total_limit keeps fewer checkpoints), then "
        "start the same training again, from its last checkpoint"
    )


def last_checkpoint(folder: str | Path) -> str | None:
    """The newest complete checkpoint in a folder, or None; one that a kill cut short is passed over."""
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name[11:].isdigit() and complete(path)]
    return str(max(found, key=lambda path: int(path.name[11:]))) if found else None


def complete(checkpoint: Path) -> bool:
    """Whether a checkpoint has its last file, and all of it."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


def remember_settings(path: str | Path, settings: Mapping) -> None:
    """Write what a training was asked for beside what it makes."""
    with runtime.replacing(path) as temporary:
        temporary.write_text(json.dumps(settings, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def same_settings(path: str | Path, settings: Mapping, where: str) -> None:
    """Refuse to go on with what a training of other settings has made; a file that is not there says nothing.

    Raises:
        ValueError: they differ; says in what, and both values of the first.
    """
    try:
        before = json.loads(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return
    now = json.loads(json.dumps(settings))  # tuples become lists, as on disk
    different = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    if different:
        first = different[0]
        others = f" (and {', '.join(different[1:])})" if different[1:] else ""
        raise ValueError(
            f"{where} was begun with {first}={before.get(first)!r}, now it is {now.get(first)!r}{others}: choose another "
            "output_dir, or remove this one"
        )
