"""The process in which `sandbox` runs one program: it reads its job, locks itself in, and answers one line a call.

Run as a script by `sandbox.run`, never imported by the package, and made of the standard library alone. By the time the
program runs, nothing here is trusted any more: the program may rewrite all of it. It gains nothing by that, because the
kernel holds the locks and the expected values were never in this process.
"""

import ctypes
import json
import mmap
import os
import random
import struct
import sys
import time

try:
    import zlib  # noqa: F401  loads the system's library while that can still be read; base64 needs it on some machines
except ImportError:
    pass

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of `CALLS`, the kernel's name for it
# What a Python that only computes asks of the kernel, by number. Everything else is answered "not permitted": sockets,
# new processes and threads, signals to others, other programs, links, removing, renaming, permissions, shared memory.
CALLS = {
    "read": (0, 63), "write": (1, 64), "close": (3, 57), "lseek": (8, 62), "pread64": (17, 67), "pwrite64": (18, 68),
    "readv": (19, 65), "writev": (20, 66), "dup": (32, 23), "dup2": (33, None), "dup3": (292, 24), "poll": (7, None),
    "ppoll": (None, 73), "ftruncate": (77, 46), "stat": (4, None), "lstat": (6, None), "fstat": (5, 80),
    "newfstatat": (262, 79), "statx": (332, 291), "access": (21, None), "faccessat": (None, 48), "getcwd": (79, 17),
    "getdents64": (217, 61), "mmap": (9, 222), "mprotect": (10, 226), "munmap": (11, 215), "mremap": (25, 216),
    "madvise": (28, 233), "brk": (12, 214), "rt_sigaction": (13, 134), "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139), "sigaltstack": (131, 132), "restart_syscall": (219, 128), "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123), "nanosleep": (35, 101), "clock_nanosleep": (230, 115), "clock_gettime": (228, 113),
    "clock_getres": (229, 114), "gettimeofday": (96, 169), "times": (100, 153), "getrusage": (98, 165),
    "uname": (63, 160), "getrandom": (318, 278), "futex": (202, 98), "getpid": (39, 172), "getppid": (110, 173),
    "gettid": (186, 178), "getuid": (102, 174), "getgid": (104, 176), "geteuid": (107, 175), "getegid": (108, 177),
    "exit": (60, 93), "exit_group": (231, 94),
}  # fmt: skip
WITH_SOME_ARGUMENTS = {"openat": (257, 56), "fcntl": (72, 25), "prlimit64": (302, 261)}
NOT_PERMITTED = 0x00050000 | 1  # the call returns EPERM
ALLOWED, KILLED = 0x7FFF0000, 0x80000000
READ_FILE, READ_DIR, WRITE_FILE, MAKE_FILE, TRUNCATE = 1 << 2, 1 << 3, 1 << 1, 1 << 8, 1 << 14
NOT_A_MODULE = {"site-packages", "dist-packages"}


def main() -> None:
    job = json.loads(sys.stdin.buffer.read())
    replies = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for handle in (0, 1, 2):  # what the program prints is thrown away, so it is never mistaken for a reply
        os.dup2(nothing, handle)
    os.close(nothing)
    os.environ.clear()
    random.seed(job["seed"])

    def reply(**what) -> None:
        line = json.dumps(what).encode() + b"\n"
        while line:
            line = line[os.write(replies, line) :]

    missing = lock(job["caller"], job["memory"], job["file"], job["cpu"])
    reply(missing=missing, cpu=time.process_time())
    if set(missing) - set(job["unprotected"]):
        return
    module = type(sys)("program")
    sys.modules["program"] = module
    try:
        exec(compile(job["source"], "<program>", "exec"), module.__dict__)
        function = getattr(module, job["function"])
        reply(loaded=True)
        for text in job["arguments"]:
            try:
                value = plain(function(*json.loads(text)))
            except Strange as strange:
                reply(strange=str(strange))
            else:
                reply(value=value)
    except BaseException as error:  # SystemExit too: it is the program's, and we have replies to give
        reply(error=describe(error))
    os._exit(0)  # nothing of the program runs after its last answer


class Strange(Exception):
    """A value that is none of None, bool, int, float, str, list, tuple, dict with str keys."""


def plain(value):
    """``value`` as JSON can carry it without loss: subclasses become what they extend, tuples become lists."""
    if value is None or value is True or value is False:
        return value
    for kind in (int, float, str):
        if isinstance(value, kind):
            return kind(value)
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        for key in value:
            if not isinstance(key, str):
                raise Strange(f"dict with a key of type {type(key).__name__}")
        return {str(key): plain(item) for key, item in value.items()}
    raise Strange(type(value).__name__)


def describe(error: BaseException) -> str:
    """``line 3: ZeroDivisionError: division by zero``, as well as the error lets itself be described."""
    line, trace = None, error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == "<program>":
            line = trace.tb_lineno
        trace = trace.tb_next
    if isinstance(error, SyntaxError) and error.filename == "<program>":
        line = error.lineno
    try:
        text = f"{type(error).__name__}: {error}"[:1000]
    except BaseException:  # its own __str__ raises
        text = type(error).__name__
    return text if line is None else f"line {line}: {text}"


def lock(caller: int, memory: int, file: int, cpu: int) -> list[str]:
    """Puts every protection in place that this machine has, tries each door, and names those that still open."""
    limit(memory, file, cpu)
    if sys.platform != "linux":
        return ["files", "network", "processes"] + ["memory"] * takes(memory)
    libc = ctypes.CDLL(None, use_errno=True)
    give_up_privileges(libc, caller)
    fence_files(libc)
    filter_calls(libc)
    if not opens(os.__file__):
        os._exit(1)  # a Python that asks the kernel in other ways than ours could run nothing behind these locks
    doors = {"files": opens("/"), "network": libc.socket(2, 1, 0) >= 0, "processes": forks(), "memory": takes(memory)}
    return [name for name, is_open in doors.items() if is_open]


def limit(memory: int, file: int, cpu: int) -> None:
    try:
        import resource
    except ImportError:  # Windows
        return
    wanted = {"AS": memory, "CPU": cpu, "FSIZE": file, "CORE": 0, "NOFILE": 32, "NPROC": 0, "MEMLOCK": 0}
    for name, most in wanted.items():
        kind = getattr(resource, f"RLIMIT_{name}", None)
        if kind is None:
            continue
        hard = resource.getrlimit(kind)[1]
        if hard != resource.RLIM_INFINITY:
            most = min(most, hard)
        try:
            resource.setrlimit(kind, (most, most))
        except (OSError, ValueError):  # macOS knows some of them by name only; the doors are tried below
            pass


def give_up_privileges(libc, caller: int) -> None:
    """No capability, not even root's, none to be gained; the process dies with the one that started it."""
    libc.capset(struct.pack("Ii", 0x20080522, 0), bytes(24))  # _LINUX_CAPABILITY_VERSION_3, this process, none
    libc.prctl(38, *map(ctypes.c_ulong, (1, 0, 0, 0)))  # PR_SET_NO_NEW_PRIVS
    libc.prctl(1, *map(ctypes.c_ulong, (9, 0, 0, 0)))  # PR_SET_PDEATHSIG, SIGKILL
    if os.getppid() != caller:  # it is dead already, and the signal would never come
        os._exit(1)


def fence_files(libc) -> None:
    """Landlock: read the standard library, read and make files in the working folder, nothing else anywhere."""

    def landlock(number: int, *arguments) -> int:
        return libc.syscall(*(ctypes.c_long(a) if isinstance(a, int) else a for a in (number, *arguments)))

    version = landlock(444, None, 0, 1)
    if version < 1:
        return
    rights = (1 << {1: 13, 2: 14, 3: 15, 4: 15}.get(version, 16)) - 1
    size = 8 if version < 4 else 16 if version < 6 else 24
    ruleset = landlock(444, struct.pack("QQQ", rights, 3, 3), size, 0)  # files; TCP; signals and abstract sockets
    if ruleset < 0:
        return

    def allow(path: str, access: int) -> None:
        try:
            handle = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except OSError:  # a link to nowhere, a folder of somebody else
            return
        landlock(445, ruleset, 1, struct.pack("=Qi", access & rights, handle), 0)
        os.close(handle)

    library = os.path.dirname(os.__file__)
    allow(library, READ_DIR)
    for entry in os.scandir(library):  # one by one, because installed packages lie in the same folder
        if entry.name not in NOT_A_MODULE:
            allow(entry.path, READ_FILE)
    allow(".", READ_FILE | READ_DIR | WRITE_FILE | MAKE_FILE | TRUNCATE)
    landlock(446, ruleset, 0)
    os.close(ruleset)


def filter_calls(libc) -> None:
    """seccomp: the kernel answers the calls in `CALLS`, those in `WITH_SOME_ARGUMENTS` checked, and no other."""
    machine = os.uname().machine
    if machine not in MACHINES or struct.calcsize("P") != 8:
        return
    column, architecture = MACHINES[machine]
    allowed = [numbers[column] for numbers in CALLS.values() if numbers[column] is not None]
    special = {name: numbers[column] for name, numbers in WITH_SOME_ARGUMENTS.items()}

    def load(offset):
        return (0x20, 0, 0, offset)

    def equal(value, yes, no):
        return (0x15, yes, no, value)

    def some(bits, yes, no):
        return (0x45, yes, no, bits)

    def answer(what):
        return (0x06, 0, 0, what)

    def argument(number, high=False):
        return load(16 + 8 * number + 4 * high)  # both architectures are little-endian

    def only(number, *steps):
        return [equal(number, 0, len(steps)), *steps]

    no, yes = answer(NOT_PERMITTED), answer(ALLOWED)
    steps = [load(4), equal(architecture, 1, 0), answer(KILLED), load(0)]
    for number in allowed:
        steps += only(number, yes)
    # Opening: no file without a name (nobody would count it), no emptying of a file that is opened to be read.
    unnamed, writes = some(os.O_TMPFILE & ~os.O_DIRECTORY, 0, 1), some(os.O_WRONLY | os.O_RDWR, 1, 0)
    steps += only(special["openat"], argument(2), unnamed, no, some(os.O_TRUNC, 0, 2), writes, no, yes)
    # fcntl: duplicate and inspect. F_SETOWN would have the kernel signal any process of the same user.
    commands = [step for command in (0, 1, 2, 3, 1030) for step in (equal(command, 0, 1), yes)]
    steps += only(special["fcntl"], argument(1), *commands, no)
    # prlimit64: read one's own limits, set none.
    zero = (equal(0, 1, 0), no)
    steps += only(special["prlimit64"], argument(0), *zero, argument(2), *zero, argument(2, high=True), *zero, yes)
    steps += [no]

    code = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *step) for step in steps))
    program = struct.pack("HP", len(steps), ctypes.addressof(code))
    libc.prctl(22, ctypes.c_ulong(2), program, *map(ctypes.c_ulong, (0, 0)))  # PR_SET_SECCOMP, SECCOMP_MODE_FILTER


def opens(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY))
    except PermissionError:
        return False
    return True


def forks() -> bool:
    try:
        child = os.fork()
    except PermissionError:
        return False
    except OSError:  # this user has too many processes just now, which is no protection
        return True
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)
    return True


def takes(memory: int) -> bool:
    try:
        mmap.mmap(-1, memory).close()
    except (OSError, MemoryError):
        return False
    return True


if __name__ == "__main__":
    main()
