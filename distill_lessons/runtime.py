"""The machine: device, seeds, threads, safe file writing and the stamp that goes with every recorded number.

Training shows a progress bar where stderr is a terminal; ``DISTILL_PROGRESS=1`` shows it elsewhere too, in a notebook for
instance, and ``DISTILL_PROGRESS=0`` nowhere.
"""

import datetime
import hashlib
import os
import platform
import sys
import tempfile
import warnings
from contextlib import contextmanager
from pathlib import Path

import torch

REPOSITORY = Path(__file__).resolve().parent.parent


def data_folder():
    """The repository's ``data/`` folder, found from the package and not from the working directory."""
    folder = REPOSITORY / "data"
    if not folder.is_dir():
        raise FileNotFoundError(
            "the course's data/ folder is not beside the package: clone the repository and run `pip install -e .` in it"
        )
    return folder


def cache_folder():
    """Where large files made at set-up live: ``DISTILL_CACHE`` if set, else ``~/.cache/distill_lessons``."""
    return Path(os.environ.get("DISTILL_CACHE") or Path.home() / ".cache" / "distill_lessons")


def device():
    """The device that every lesson uses: ``DISTILL_DEVICE`` if set, else a CUDA GPU if there is one, else the CPU."""
    wanted = os.environ.get("DISTILL_DEVICE")
    if wanted:
        if wanted.startswith("cuda") and not torch.cuda.is_available():
            raise RuntimeError("DISTILL_DEVICE asks for cuda but torch sees no GPU: unset it to run on the CPU")
        return torch.device(wanted)
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bf16():
    """Whether the run's device multiplies bfloat16 in hardware; where it does, training and generation are faster in it."""
    if device().type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(getattr(torch.cpu, name, bool)() for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported"))


def seed(offset=0):
    """The seed of a live run: ``DISTILL_SEED`` (0 if unset) plus an offset."""
    text = os.environ.get("DISTILL_SEED", "0")
    try:
        return int(text) + offset
    except ValueError:
        raise ValueError(f"DISTILL_SEED must be a whole number, and it is {text!r}") from None


def seed_everything(number):
    """Seed python, numpy and torch (all devices)."""
    from transformers import set_seed

    set_seed(number)


def start(quiet=True):
    """Begin a notebook: seed everything, honour ``DISTILL_THREADS``, silence progress bars; returns the device."""
    if os.environ.get("DISTILL_THREADS"):
        torch.set_num_threads(int(os.environ["DISTILL_THREADS"]))
    if quiet:
        warnings.filterwarnings("ignore", module="(transformers|torch|huggingface_hub|ipywidgets|tqdm).*")
        import transformers

        transformers.utils.logging.set_verbosity_error()
        transformers.utils.logging.disable_progress_bar()
    seed_everything(seed())
    return device()


def progress():
    """Whether training shows a progress bar: ``DISTILL_PROGRESS`` if it is 1 or 0, else whether stderr is a terminal."""
    wanted = os.environ.get("DISTILL_PROGRESS")
    if wanted in ("0", "1"):
        return wanted == "1"
    return sys.stderr is not None and sys.stderr.isatty()


def processor_name():
    """The processor's marketing name where the system tells it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def machine_stamp():
    """What a recorded number needs to be believed: machine, threads, versions, date. A flat dict of strings and ints."""
    import transformers

    where = device()
    return {
        "processor": processor_name(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(where) if where.type == "cuda" else "cpu",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": transformers.__version__,
        "date": datetime.date.today().isoformat(),
    }


@contextmanager
def replacing(path):
    """Write a file safely: yields a temporary path in the same folder, renamed to `path` only if the block succeeds.

    A crash or a full disk leaves whatever stood at `path` untouched, and no half-written file beside it.

    Raises:
        OSError: with one sentence that says what to do, when the disk is full or the folder cannot be written.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
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
        temporary.unlink(missing_ok=True)


def sha256(path):
    """The file's SHA-256 as hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
