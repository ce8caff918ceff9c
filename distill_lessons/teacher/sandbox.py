"""Runs a function that a model wrote against tests, in a process that can do nothing but compute.

Each program gets a Python process of its own (`sandbox_worker`), which locks itself in before it runs a line of the
program, tries every lock, and refuses to go on where one is missing. The program then sees the arguments of the tests
and sends back what its function returned, as JSON through a pipe. The expected values stay here and are compared here,
so whatever a program does to its own process (its own ``__eq__``, rewritten test code, forged replies, an early exit),
all that it can do is return values.

What is locked, and by what, on Linux (x86-64 or ARM64, kernel 5.13 or newer with Landlock switched on; no privilege):

- ``files``: Landlock. It reads Python's standard library, without installed packages, and its own working folder, where
  it may also make files (`FILES`, `FILE_BYTES`) and remove none. The folder goes afterwards. No /proc, home or device.
- ``network`` and ``processes``: seccomp lets through the system calls of a Python that computes. No sockets, no new
  processes or threads, no other program, no signal to anybody, no links, nothing renamed, removed or re-permitted.
- ``memory``: a limit on the address space. Also limited: processor time, size of files, open files; no core dumps.
- No environment, handle or argument of the caller is inherited; what is printed is thrown away; root keeps no power.
- The process leads its own group and is killed with it, and dies with the process that started it.

So an honest program does without threads, ``asyncio``, ``tempfile``, and the modules that need a library of the system
(``ssl``, ``sqlite3``, ``lzma``): it gets an error there.

What it is no protection against: a fault in the kernel or the processor, and side channels. A program may ask whether a
path exists and how large the file is, and for the machine's name and the time; it can tell nobody but the verdict's
``detail``, which is cut and stripped of control characters and is still a stranger's text. Programs compete for the
processors, and together may take ``workers`` times ``memory_mb``. A program learns the arguments of all tests at once.

On macOS, Windows and Linux without Landlock or seccomp, what is missing is not enforced, and every verdict is
``refused`` unless ``unprotected`` names it. With ``processes`` unprotected, a child that leaves its group survives.
"""

import ctypes
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

PROTECTIONS = ("files", "network", "processes", "memory")
FILES = 64  # in the working folder; more, or more bytes together, and the program is stopped
FILE_BYTES = 4_000_000
PATIENCE = 5  # a program that sleeps is stopped after so many times its seconds on the clock
STARTING = 30.0  # seconds on the clock for Python itself to start, on a machine that is busy
SHOWN = 300  # characters of a verdict's detail
WORKER = Path(__file__).with_name("sandbox_worker.py")


@dataclass(frozen=True)
class Tests:
    """What a function must return: ``function(*arguments[i])`` is to equal ``expected[i]``.

    Arguments and expected values are plain: None, bool, int, float, str, list, dict with str keys; a tuple counts as a
    list. Equal means: bool only with bool, int exactly, float within 1e-9 of its size (NaN with NaN), the rest item by
    item. One expected value for every tuple of arguments, at least one.
    """

    __test__ = False  # pytest: not a test case
    function: str
    arguments: Sequence[Sequence]
    expected: Sequence


@dataclass(frozen=True)
class Verdict:
    """How one program did. The first test that does not pass decides.

    ``outcome`` is ``pass``, ``wrong`` (another value), ``error`` (an exception, with its line in the program; a crash,
    an early exit, too much output), ``timeout``, or ``refused`` (a protection is missing; nothing was run). ``detail``
    says which test or line, and is empty for a pass. ``seconds`` is the program's processor time (0 on Windows, which
    does not tell).
    """

    outcome: str
    detail: str
    seconds: float


def run(
    code: Sequence[str],
    tests: Tests | Sequence[Tests],
    seconds: float = 2.0,
    memory_mb: int = 256,
    output_bytes: int = 1_000_000,
    workers: int | None = None,
    seed: int = 0,
    unprotected: Collection[str] = (),
) -> list[Verdict]:
    """A verdict for every program, in their order; nothing that a program does raises here.

    Args:
        code: the programs, each defining its tests' function.
        tests: for all programs, or one for each.
        seconds: of processor time for one program, all its tests together; five times that on the clock.
        memory_mb: address space of one process, Python's own 30 MB included.
        output_bytes: of replies, as JSON.
        workers: programs at a time; as many as there are processors if None.
        seed: of ``random`` and of the order of sets.
        unprotected: names from `PROTECTIONS` that may be missing on this machine.
    Raises:
        ValueError: the request itself is wrong (tests that are not plain, no test, a limit that is not positive).
        OSError: the machine could start no process or make no folder.
    """
    _check(code, seconds, memory_mb, output_bytes, workers, seed, unprotected)
    each = [tests] * len(code) if isinstance(tests, Tests) else list(tests)
    if len(each) != len(code):
        raise ValueError(f"{len(code)} programs came with {len(each)} tests: give one for each, or one for all")
    limits = {
        "caller": os.getpid(),
        "seed": seed,
        "memory": memory_mb * 2**20,
        "file": FILE_BYTES,
        "cpu": math.ceil(seconds) + 2,  # the kernel's own clock, should this process die; ours is finer
        "unprotected": sorted(unprotected),
    }
    jobs = []
    for source, test in zip(code, each):
        arguments, expected = _plain(test)
        jobs.append(({"source": source, "function": test.function, "arguments": arguments} | limits, expected))
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        futures = [pool.submit(_judge, job, expected, seconds, output_bytes) for job, expected in jobs]
        try:
            return [future.result() for future in futures]
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _check(code, seconds, memory_mb, output_bytes, workers, seed, unprotected) -> None:
    if isinstance(code, str) or not all(isinstance(source, str) for source in code):
        raise ValueError("code must be a list of programs, each a str")
    for name, value, least in (
        ("seconds", seconds, 0.01),
        ("memory_mb", memory_mb, 64),
        ("output_bytes", output_bytes, 1),
        ("workers", 1 if workers is None else workers, 1),
    ):
        if not least <= value < math.inf:
            raise ValueError(f"{name} must be at least {least}, and it is {value}")
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be from 0 to 2**32 - 1, and it is {seed}")
    if isinstance(unprotected, str) or not set(unprotected) <= set(PROTECTIONS):
        raise ValueError(f"unprotected must be a list of names from {PROTECTIONS}, and it is {unprotected!r}")


def _plain(tests: Tests) -> tuple[list[str], list]:
    """The arguments as JSON, one text a call, and the expected values as JSON would bring them back."""
    if not tests.function.isidentifier():
        raise ValueError(f"a test's function is given by its name, and it is {tests.function!r}")
    if not tests.expected or len(tests.arguments) != len(tests.expected):
        raise ValueError(
            f"{tests.function} has {len(tests.arguments)} calls and {len(tests.expected)} expected values: "
            "give one value for each call, and at least one call"
        )
    if not all(isinstance(call, (list, tuple)) for call in tests.arguments):
        raise ValueError(f"the arguments of one call of {tests.function} are a tuple: (1,) for one argument")
    try:
        for value in (*tests.arguments, *tests.expected):
            _refuse_keys(value)
        return [json.dumps(list(call)) for call in tests.arguments], json.loads(json.dumps(list(tests.expected)))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the tests of {tests.function} must be plain values: {error}") from None


def _refuse_keys(value) -> None:
    """JSON would write the key 1 as "1", and then two different dicts would be equal."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"a dict has the key {key!r}, which is not a str")
            _refuse_keys(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _refuse_keys(item)


def _judge(job: dict, expected: list, seconds: float, output_bytes: int) -> Verdict:
    replies, ending, spent = _execute(job, len(expected), seconds, output_bytes)
    if not replies or not isinstance(replies[0].get("missing"), list):  # written before the program had its turn
        return Verdict("refused", f"the sandbox's own process did not start: {ending}", 0.0)
    missing = [name for name in replies[0]["missing"] if name not in job["unprotected"]]
    if missing:
        what = f"this machine cannot lock {' and '.join(missing)}, so nothing ran; unprotected={missing} runs it anyway"
        return Verdict("refused", what, 0.0)

    def verdict(outcome: str, detail: str = "") -> Verdict:
        return Verdict(outcome, _clean(detail), spent)

    for number, reply in enumerate(replies[1:]):
        where = "" if number == 0 else f"test {number}: {_call(job, number - 1)} "
        if isinstance(reply.get("error"), str):
            return verdict("error", (where and where + "raised ") + reply["error"])
        if number == 0:
            continue
        if isinstance(reply.get("strange"), str):
            what = f"a value of type {reply['strange'][:60]}, which is not plain"
            return verdict("wrong", f"{where}gave {what}, expected {_show(expected[number - 1])}")
        if "value" not in reply:
            return verdict("error", f"{where}gave no readable reply")
        if not _same(expected[number - 1], reply["value"]):
            return verdict("wrong", f"{where}gave {_show(reply['value'])}, expected {_show(expected[number - 1])}")
    where = "" if len(replies) == 1 else f"test {min(len(replies) - 1, len(expected))}: "
    if spent > seconds or ending == "timeout":
        return verdict("timeout", f"{where}not done after {seconds:g} seconds")
    if len(replies) < len(expected) + 2:
        return verdict("error", f"{where}the program {ending}")
    return verdict("pass")


def _execute(job: dict, calls: int, seconds: float, output_bytes: int) -> tuple[list[dict], str, float]:
    """The replies that came, how the process ended, and the processor seconds that the program took."""
    with (
        tempfile.TemporaryDirectory(prefix="sandbox-", ignore_cleanup_errors=True) as folder,
        tempfile.TemporaryFile() as letter,
    ):
        letter.write(json.dumps(job).encode())
        letter.seek(0)
        # -I would also ignore PYTHONHASHSEED, on which the order of sets hangs; with nothing else in the environment,
        # -s -P are what is left of it.
        environment = {"PYTHONHASHSEED": str(job["seed"])}
        if sys.platform == "win32":
            environment["SYSTEMROOT"] = os.environ["SYSTEMROOT"]  # Windows starts no Python without it
        process = subprocess.Popen(
            [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", str(WORKER)],
            stdin=letter,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            cwd=folder,
            start_new_session=True,
        )
        try:
            inbox = _Inbox(process.stdout, calls + 2, output_bytes)
            ending = _watch(process, inbox, Path(folder), seconds)
        finally:
            total = _end(process)
        inbox.thread.join(1.0)  # longer only where a child that got away holds the other end
        replies = inbox.replies()
        spent = max(0.0, total - replies[0].get("cpu", 0.0)) if replies else 0.0
        return replies, ending or _last_words(process.returncode), spent


class _Inbox:
    """Reads replies as they come, no more of them and no more bytes than asked for."""

    def __init__(self, pipe: BinaryIO, lines: int, most: int):
        self.data, self.lines, self.most = bytearray(), lines, most
        self.started, self.done = threading.Event(), threading.Event()
        self.thread = threading.Thread(target=self._read, args=(pipe,), daemon=True)
        self.thread.start()

    def _read(self, pipe: BinaryIO) -> None:
        lines = self.lines
        with pipe:
            while lines > 0 and len(self.data) <= self.most:
                chunk = os.read(pipe.fileno(), 65536)
                if not chunk:
                    break
                self.data += chunk
                lines -= chunk.count(b"\n")
                if b"\n" in chunk:
                    self.started.set()
            self.done.set()

    def replies(self) -> list[dict]:
        """One dict a finished line; a line that is no JSON object becomes an empty one."""
        return [_parse(line) for line in self.data[: self.most].split(b"\n", self.lines)[:-1]]


def _watch(process: subprocess.Popen, inbox: _Inbox, folder: Path, seconds: float) -> str:
    """Waits for the last reply and says why it did not: ``timeout``, a sentence, or nothing."""
    used = _processor_clock(process.pid)
    begun, start = time.monotonic(), None
    while not inbox.done.wait(0.02):
        now = time.monotonic()
        if start is None:
            if inbox.started.is_set():
                start = now, used()
            elif now - begun > STARTING:
                return "timeout"
            continue
        if now - start[0] > PATIENCE * seconds or used() - start[1] > seconds:
            return "timeout"
        if _overfull(folder):
            return f"filled its folder: at most {FILES} files and {FILE_BYTES:,} bytes"
    return f"returned more than {inbox.most:,} bytes" if len(inbox.data) > inbox.most else ""


def _overfull(folder: Path) -> bool:
    try:
        sizes = [entry.stat(follow_symlinks=False).st_size for entry in os.scandir(folder)]
    except OSError:  # it may remove files, and the folder, where files are unprotected
        return False
    return len(sizes) > FILES or sum(sizes) > FILE_BYTES


def _processor_clock(pid: int) -> Callable[[], float]:
    """Reads the processor seconds of a process; always 0 where the system has no such clock."""
    clock = ctypes.c_int()
    try:
        failed = ctypes.CDLL(None).clock_getcpuclockid(pid, ctypes.byref(clock))
    except (AttributeError, TypeError):  # macOS; Windows
        failed = True

    def used() -> float:
        if failed:
            return 0.0
        try:
            return time.clock_gettime(clock.value)
        except OSError:  # it has just ended
            return 0.0

    return used


def _end(process: subprocess.Popen) -> float:
    """Kills the process and its group, waits for it, and returns the processor seconds that it took."""
    if not hasattr(os, "wait4"):
        process.kill()
        process.wait()
        return 0.0
    with suppress(ProcessLookupError, PermissionError):  # it is not waited for yet, so its number is still its own
        os.killpg(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_utime + usage.ru_stime


def _last_words(code: int) -> str:
    if code >= 0:
        return f"ended its process early, with exit code {code}"
    names = {number.value: number.name for number in signal.Signals}
    return f"ended its process early, by signal {names.get(-code, -code)}"


def _parse(line: bytearray) -> dict:
    try:
        reply = json.loads(line.decode())
    except (ValueError, RecursionError):
        return {}
    return reply if isinstance(reply, dict) else {}


def _same(expected, got) -> bool:
    """Whether two plain values are equal, as `Tests` says; goes only as deep as what is expected."""
    if expected is None or isinstance(expected, bool) or isinstance(got, bool):
        return type(expected) is type(got) and expected == got
    if isinstance(expected, int):
        return isinstance(got, (int, float)) and expected == got
    if isinstance(expected, float):
        if not isinstance(got, (int, float)):
            return False
        try:
            return math.isclose(expected, got, rel_tol=1e-9, abs_tol=1e-12) or (
                math.isnan(expected) and math.isnan(got)
            )
        except OverflowError:  # an int beyond every float
            return False
    if isinstance(expected, list):
        return isinstance(got, list) and len(expected) == len(got) and all(map(_same, expected, got))
    if isinstance(expected, dict):
        return isinstance(got, dict) and expected.keys() == got.keys() and all(_same(expected[k], got[k]) for k in got)
    return isinstance(got, str) and expected == got


def _show(value) -> str:
    try:
        text = repr(value)
    except (RecursionError, ValueError):  # nested deeper, or with more digits, than Python prints
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def _call(job: dict, number: int) -> str:
    arguments = ", ".join(map(_show, json.loads(job["arguments"][number])))
    return f"{job['function']}({arguments if len(arguments) <= 80 else arguments[:77] + '...'})"


def _clean(text: str) -> str:
    """At most `SHOWN` characters, each one printable: no escape sequences of a terminal, no half a surrogate pair."""
    text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[: SHOWN + 1])
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."
