"""The machine: device, seeds, threads, safe file writing and the stamp that goes with every recorded number.

Training shows a progress bar where stderr is a terminal; ``DISTILL_PROGRESS=1`` shows it elsewhere too, in a notebook for
instance, and ``DISTILL_PROGRESS=0`` nowhere.
"""

import datetime
import difflib
import functools
import hashlib
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parent.parent
SMALL = 4_000_000  # weights; below it a CPU's threads wait for each other longer than they work
LARGEST_SEED = 2**31 - 1  # numpy takes twice that, and leaves room for an offset


def data_folder() -> Path:
    """The repository's ``data/`` folder, found from the package and not from the working directory.

    Raises:
        FileNotFoundError: the package was installed without the repository; says what to do.
    """
    folder = REPOSITORY / "data"
    if not folder.is_dir():
        raise FileNotFoundError(
            "the course's data/ folder is not beside the package: clone the repository and run `pip install -e .` in it"
        )
    return folder


def cache_folder() -> Path:
    """Where large files made at set-up live: ``DISTILL_CACHE`` if set, else ``~/.cache/distill_lessons``."""
    return Path(os.environ.get("DISTILL_CACHE") or "~/.cache/distill_lessons").expanduser()


def device() -> torch.device:
    """The device that every lesson uses: ``DISTILL_DEVICE`` if set, else a CUDA GPU if there is one, else the CPU.

    Apple's GPU (``mps``) is used where it is asked for, and never picked: no recorded number was made on one.

    Raises:
        ValueError: ``DISTILL_DEVICE`` is not ``cpu``, ``cuda``, ``cuda:N`` or ``mps``, or torch does not see it here.
    """
    wanted = os.environ.get("DISTILL_DEVICE")
    if not wanted:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if not re.fullmatch(r"cpu|mps|cuda(:[0-9]+)?", wanted):
        raise ValueError(f"DISTILL_DEVICE must be cpu, cuda, cuda:N or mps, and it is {wanted!r}")
    kind, _, number = wanted.partition(":")
    there = {
        "cpu": 1,
        "mps": torch.backends.mps.is_available(),
        "cuda": torch.cuda.device_count() if torch.cuda.is_available() else 0,
    }[kind]
    if int(number or 0) >= there:
        raise ValueError(f"DISTILL_DEVICE asks for {wanted} but torch sees no such GPU: unset it to run on the CPU")
    return torch.device(wanted)


def bf16() -> bool:
    """Whether the run's device multiplies bfloat16 in hardware; where it does, training and generation are faster in it."""
    kind = device().type
    if kind == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    if kind == "mps":
        return False  # not tried on one
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def _whole_number(variable: str, least: int, most: int | None = None) -> int | None:
    """An environment variable as a whole number; None if it is unset or empty."""
    text = os.environ.get(variable)
    if not text:
        return None
    try:
        number = int(text)
        if number < least or (most is not None and number > most):
            raise ValueError
    except ValueError:
        limits = f"from {least} on" if most is None else f"from {least} to {most}"
        raise ValueError(f"{variable} must be a whole number {limits}, and it is {text!r}") from None
    return number


def check_names(given: Iterable[str], known: Iterable[str], where: str) -> None:
    """Refuse a name that is not known, and tell the nearest one.

    Raises:
        ValueError: says which, where, and what is meant perhaps.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.4)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
            raise ValueError(f"{where} knows no {name!r}: {hint}")


def seed(offset: int = 0) -> int:
    """The seed of a live run: ``DISTILL_SEED`` (0 if unset) plus an offset.

    Raises:
        ValueError: ``DISTILL_SEED`` is not a whole number from 0 to 2,147,483,647.
    """
    return (_whole_number("DISTILL_SEED", 0, LARGEST_SEED) or 0) + offset


def seed_everything(number: int) -> None:
    """Seed python, numpy and torch (all devices)."""
    from transformers import set_seed

    set_seed(number)


@contextmanager
def threads(count: int | None) -> Iterator[None]:
    """Run a block on `count` of torch's threads, and put back the number that was there, after an error too.

    ``DISTILL_THREADS`` wins over `count`: who sets it has decided. None or 0 changes nothing.

    Raises:
        ValueError: `count` is negative or ``DISTILL_THREADS`` is not a whole number from 1 on.
    """
    if count is not None and count < 0:
        raise ValueError(f"threads needs a number from 1 on, or None to change nothing, and it got {count}")
    before = torch.get_num_threads()
    if count:
        torch.set_num_threads(_whole_number("DISTILL_THREADS", 1) or count)
    try:
        yield
    finally:
        if torch.get_num_threads() != before:
            torch.set_num_threads(before)


def threads_for(*models: torch.nn.Module | None) -> int | None:
    """How many threads a run of these models should have, for `threads`: 1 for small ones on a CPU, else None.

    Small means fewer than four million weights together, each shared or frozen weight counted once. Two threads on such
    a model gain little on a quiet machine, and on a busy one each waits for the other: a run of 19 s took over 8 minutes.
    What is no ``Module`` (a function as teacher, None) is not counted.
    """
    weights = {id(w): w.numel() for m in models if isinstance(m, torch.nn.Module) for w in m.parameters()}
    return 1 if device().type == "cpu" and sum(weights.values()) < SMALL else None


def start(quiet: bool = True) -> torch.device:
    """Begin a notebook: seed everything, honour ``DISTILL_THREADS``, silence progress bars; returns the device.

    Raises:
        ValueError: a ``DISTILL_`` variable holds what it cannot mean; says which and what it may be.
    """
    asked = _whole_number("DISTILL_THREADS", 1)
    if asked:
        torch.set_num_threads(asked)
    progress()  # a wrong DISTILL_PROGRESS is told here, not minutes later
    if quiet:
        warnings.filterwarnings("ignore", module="(transformers|torch|huggingface_hub|ipywidgets|tqdm).*")
        import transformers

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
    seed_everything(seed())
    return device()


def progress() -> bool:
    """Whether training shows a progress bar: ``DISTILL_PROGRESS`` if it is 1 or 0, else whether stderr is a terminal.

    Raises:
        ValueError: ``DISTILL_PROGRESS`` is something else.
    """
    wanted = os.environ.get("DISTILL_PROGRESS")
    if not wanted:
        return sys.stderr is not None and sys.stderr.isatty()
    if wanted not in ("0", "1"):
        raise ValueError(f"DISTILL_PROGRESS must be 1 (a bar everywhere) or 0 (nowhere), and it is {wanted!r}")
    return wanted == "1"


def why_not_loaded(name: str, error: Exception) -> str:
    """What to say when `transformers` could not load the model `name`: the reason that holds here, and what to do."""
    from huggingface_hub import is_offline_mode

    library = " ".join(str(error).split())
    if Path(name).is_dir():
        reason = "the folder is there, but no model that transformers can read: it needs what save_pretrained writes"
    elif name.startswith((".", "/", "~")) or "\\" in name or name.count("/") > 1:
        reason = "there is no such folder: give its whole path"
    elif is_offline_mode():
        reason = (
            "it is no folder here, and HF_HUB_OFFLINE=1 forbids to fetch it: unset HF_HUB_OFFLINE, or name a folder"
        )
    else:
        reason = (
            "it is no folder here, and could not be fetched: check its name on the Hugging Face hub, and the network"
        )
    return f"could not load {name!r}: {reason} (the library says: {library})"


def processor_name() -> str:
    """The processor's marketing name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str:
    """What git says about this repository. Variables of a surrounding git command (a hook, say) do not mislead it."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "--no-optional-locks", "-C", str(REPOSITORY), *arguments]
    return subprocess.run(
        command, env=environment, capture_output=True, text=True, encoding="utf-8", timeout=30, check=True
    ).stdout.strip()


@functools.cache
def commit() -> str:
    """The commit that the package's code comes from, as git's short hash; asked once a process.

    A "+" behind it says that the package's files differ from that commit; "unknown" that there is no git or no repository.
    """
    if not (REPOSITORY / ".git").exists():  # an installed package may lie in somebody else's repository
        return "unknown"
    try:
        changed = _git("status", "--porcelain", "--untracked-files=all", "--", "distill_lessons")
        return _git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def machine_stamp() -> dict[str, str | int]:
    """What a recorded number needs to be believed: machine, threads, commit, versions, date. Flat: strings and ints."""
    import transformers

    where = device()
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else where.type,
        "commit": commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": datetime.date.today().isoformat(),
    }


@contextmanager
def replacing(path: str | os.PathLike) -> Iterator[Path]:
    """Write a file safely: yields a temporary path in the same folder, renamed to `path` only if the block succeeds.

    A crash or a full disk leaves whatever stood at `path` untouched, and no half-written file beside it.

    Raises:
        OSError: with one sentence that says what to do, when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    temporary = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        yield temporary
        temporary.chmod(0o644)
        os.replace(temporary, path)
    except OSError as error:
        raise OSError(
            error.errno,
            f"could not write {path.name} ({error.strerror or error}); nothing was changed: "
            "free some disk space or set DISTILL_CACHE to a folder that can be written, then run it again",
        ) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


@contextmanager
def replacing_folder(folder: str | os.PathLike, what: str, needs: str) -> Iterator[Path]:
    """Fill a folder of the cache safely: yields an empty one beside it, which takes its place only if the block succeeds.

    Args:
        what, needs: for the sentence: what is written, and about how much room that takes ("6 MB").
    Raises:
        OSError: with one sentence that says what to do, when the disk is full or the folder cannot be written.
    """
    folder = Path(folder)
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as temporary:
            made = Path(temporary) / folder.name
            made.mkdir()
            yield made
            if folder.exists():
                shutil.rmtree(folder)
            made.rename(folder)
    except OSError as error:
        raise OSError(
            error.errno,
            f"could not write {what} ({error.strerror or error}): {needs} must be free in the cache folder; free some "
            "space or set DISTILL_CACHE to another folder, then run it again",
        ) from error


def sha256(path: str | os.PathLike) -> str:
    """The file's SHA-256 as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
