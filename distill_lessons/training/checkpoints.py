"""Checkpoints that a full disk or a kill cannot spoil: finding the last complete one, and one sentence for what failed."""

import json
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError


@contextmanager
def saving(what, kept):
    """Within the block, whatever the libraries raise when a disk is full becomes an OSError with one sentence."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, RuntimeError):
            if "inline_container" not in reason:  # torch's writer of files
                raise
            reason = "a file could not be written to its end"
        raise OSError(
            f"could not save {what} ({reason}); {kept}: free some disk space (save_total_limit keeps fewer "
            "checkpoints), then start the same training again, from its last checkpoint",
        ) from error


def last_checkpoint(folder):
    """The newest complete checkpoint in a folder, or None; one that a kill cut short is passed over."""
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name[11:].isdigit() and complete(path)]
    return str(max(found, key=lambda path: int(path.name[11:]))) if found else None


def complete(checkpoint):
    """Whether a checkpoint has its last file, and all of it."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True
