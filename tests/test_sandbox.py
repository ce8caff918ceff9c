"""The sandbox against programs that want out, that want to pass, and that only want to compute."""

import ctypes
import json
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from distill_lessons.teacher import sandbox

LOOT = "loot-" + os.urandom(8).hex()  # what a hostile program must return to pass: in a file, in the environment, here
ANSWER = sandbox.Tests("f", [(1,), (2,)], [LOOT, LOOT])
LIMIT = 0.5

ONE = sandbox.run(["def f(x): return x"], sandbox.Tests("f", [(1,)], [1]))[0]
locked = pytest.mark.skipif(ONE.outcome == "refused", reason=f"nothing to attack: {ONE.detail}")


class Attack(NamedTuple):
    name: str
    outcome: str
    detail: str  # must be part of the verdict's
    source: str


def attack(name: str, outcome: str, detail: str, body: str) -> Attack:
    """An attack from inside the function, on ``x`` being 1 or 2; BASE, HOME, PORT and PARENT are filled in."""
    return Attack(name, outcome, detail, "def f(x):\n" + textwrap.indent(textwrap.dedent(body).strip(), "    "))


def at_import(name: str, outcome: str, detail: str, body: str) -> Attack:
    return Attack(name, outcome, detail, textwrap.dedent(body).strip())


SYSCALL = "import ctypes; call = ctypes.CDLL(None, use_errno=True).syscall; "
SEARCH = """
    def search(things):
        return next((text for text in things if text.startswith("loot-") and len(text) > 5), "nothing")
"""
SPRAY = """
    import os
    def spray(data):
        for handle in range(64):
            try: os.write(handle, data)
            except OSError: pass
"""

ATTACKS = [
    # processes and threads
    attack("fork bomb", "error", "line 3: PermissionError", "import os\nwhile True: os.fork()"),
    attack(
        "fork bomb that minds no error",
        "timeout",
        "test 1",
        """
        import os
        while True:
            try: os.fork()
            except OSError: pass
        """,
    ),
    attack("subprocess", "error", "PermissionError", "import subprocess; subprocess.run(['sleep', '60'])"),
    attack("shell", "wrong", "", "import os; return str(os.system('sleep 60'))"),
    attack("spawn", "error", "PermissionError", "import os; os.posix_spawn('/bin/sleep', ['sleep', '60'], {})"),
    attack("exec", "error", "PermissionError", "import os; os.execv('/bin/cat', ['cat', 'BASE/secret.txt'])"),
    attack("thread", "error", "RuntimeError", "import threading; threading.Thread(target=print).start()"),
    attack(
        "surviving grandchild",
        "error",
        "PermissionError",
        "import os, time\nif os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(60)\n    os._exit(0)",
    ),
    attack("multiprocessing", "error", "line", "import multiprocessing as m; return m.Pool(2).map(str, [1])[0]"),
    attack("kill the caller", "error", "PermissionError", "import os; os.kill(PARENT, 9)"),
    attack("kill everybody", "error", "PermissionError", "import os; os.kill(-1, 9)"),
    attack("kill the group", "error", "PermissionError", "import os; os.killpg(0, 9)"),
    attack("leave the group", "error", "PermissionError", "import os; os.setpgid(0, 0)"),
    attack(
        "have the kernel signal the caller", "error", "PermissionError", "import fcntl; fcntl.fcntl(1, fcntl.F_SETOWN, PARENT)"
    ),
    attack("attach to the caller", "wrong", "-1", SYSCALL + "return str(call(101, 16, PARENT, 0, 0))"),
    attack("read the caller's memory", "error", "PermissionError", "open('/proc/PARENT/mem', 'rb').read(1)"),
    # time and signals
    attack("endless loop", "timeout", "test 1", "while True: pass"),
    attack("sleep", "timeout", "test 1", "import time; time.sleep(600)"),
    attack("endless second test", "wrong", "test 1", "while x == 2: pass"),
    attack(
        "signal handlers",
        "timeout",
        "test 1",
        """
        import signal
        for number in range(1, 65):
            try: signal.signal(number, lambda *_: None)
            except (OSError, ValueError): pass
        while True: pass
        """,
    ),
    attack(
        "blocked signals",
        "timeout",
        "test 1",
        "import signal, time; signal.pthread_sigmask(0, range(1, 65)); time.sleep(600)",
    ),
    attack("alarm", "error", "not permitted", "import signal; signal.setitimer(0, 1); signal.pause()"),
    at_import("endless import", "timeout", "", "while True: pass"),
    # memory, output, files
    attack("memory at once", "error", "line 2: MemoryError", "return 'x' * 10**11"),
    attack("memory bit by bit", "error", "MemoryError", "rows = []\nwhile True: rows.append(bytearray(10**6))"),
    attack(
        "memory that minds no error",
        "timeout",
        "",
        """
        rows = []
        while True:
            try: rows.append(bytearray(10**6))
            except MemoryError: pass
        """,
    ),
    attack("mapped memory", "error", "OSError", "import mmap\nrows = []\nwhile True: rows.append(mmap.mmap(-1, 10**7))"),
    attack("raised limits", "error", "", "import resource; resource.setrlimit(resource.RLIMIT_AS, (-1, -1))"),
    attack(
        "limits of the caller",
        "error",
        "PermissionError",
        "import resource; resource.prlimit(PARENT, resource.RLIMIT_NOFILE, (1, 1))",
    ),
    attack(
        "look at the limits of the caller",
        "error",
        "PermissionError",
        "import resource; return str(resource.prlimit(PARENT, resource.RLIMIT_NOFILE))",
    ),
    attack(
        "new limits at an address whose lower half is zero",
        "wrong",
        "gave '-1'",
        """
        import ctypes
        c = ctypes.CDLL(None)
        c.mmap.restype, c.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 4]
        place = c.mmap(1 << 32, 4096, 3, 0x32, -1, 0)
        (ctypes.c_ulong * 2).from_address(place)[:] = [16, 16]
        return str(c.prlimit(0, 7, ctypes.c_void_p(place), None)) + hex(place).replace('0x100000000', '')
        """,
    ),
    attack("shared memory", "error", "PermissionError", "import _posixshmem; _posixshmem.shm_open('/loot', 66, 384)"),
    attack("memory without a file", "error", "PermissionError", "import os; os.memfd_create('loot')"),
    attack("endless output", "timeout", "test 1", "while True: print('x' * 1000)"),
    attack("endless errors", "timeout", "test 1", "import os\nwhile True: os.write(2, b'x' * 1000)"),
    attack("huge value", "error", "returned more than 1,000,000 bytes", "return 'x' * 10**7"),
    at_import("flooded replies", "error", "", SPRAY + "    while True: spray(b'x' * 65536)"),
    at_import("replies of nothing", "error", "no readable reply", SPRAY + "    while True: spray(b'\\n' * 65536)"),
    attack("large file", "error", "OSError: [Errno 27]", "open('large', 'wb').write(bytes(10**8))"),
    attack(
        "many files",
        "error",
        "filled its folder",
        "i = 0\nwhile True:\n    i += 1\n    with open(str(i), 'w') as file: file.write('x' * 1000)",
    ),
    attack("unnamed file", "error", "[Errno 1]", "import os; os.open('.', os.O_TMPFILE | os.O_RDWR)"),
    attack("thousand open files", "error", "OSError: [Errno 24]", "a = [open('one', 'a') for _ in range(1000)]"),
    # the network
    attack(
        "connect",
        "error",
        "line 3: PermissionError",
        "import socket\nsocket.create_connection(('127.0.0.1', PORT)).send(b'loot')",
    ),
    attack("datagram", "error", "PermissionError", "import socket as s; s.socket(s.AF_INET, s.SOCK_DGRAM)"),
    attack("local socket", "error", "PermissionError", "import socket as s; s.socket(s.AF_UNIX)"),
    attack("socket pair", "error", "PermissionError", "import socket; socket.socketpair()"),
    attack("kernel's own socket", "error", "PermissionError", "import socket as s; s.socket(s.AF_NETLINK, s.SOCK_RAW)"),
    attack("name service", "error", "", "import socket; socket.getaddrinfo('example.org', 80)"),
    # files outside
    attack("read a file", "error", "line 2: PermissionError", "return open('BASE/secret.txt').read()"),
    attack("read home", "error", "PermissionError", "import os; return str(os.listdir('HOME'))"),
    attack("read the root", "error", "PermissionError", "import os; return str(os.listdir('/'))"),
    attack("own environment in /proc", "error", "PermissionError", "return open('/proc/self/environ').read()"),
    attack("caller's environment in /proc", "error", "PermissionError", "return open('/proc/PARENT/environ').read()"),
    attack("own maps", "error", "PermissionError", "return open('/proc/self/maps').read()"),
    attack("passwords", "error", "PermissionError", "return open('/etc/passwd').read()"),
    attack(
        "up and out",
        "error",
        "PermissionError",
        "import os; return open(os.open('../../course/secret.txt', 0, dir_fd=os.open('.', os.O_PATH))).read()",
    ),
    attack("move to the root", "error", "PermissionError", "import os; os.chdir('/')"),
    attack("new root", "error", "PermissionError", "import os; os.chroot('.')"),
    attack(
        "walk everywhere",
        "wrong",
        "nothing",
        """
        import os
        for folder, _, names in os.walk('/'):
            for name in names:
                if name == 'secret.txt': return open(os.path.join(folder, name)).read()
        return 'nothing'
        """,
    ),
    attack("write the course's file", "error", "PermissionError", "open('BASE/course.txt', 'a').write('loot')"),
    attack("new file beside it", "error", "PermissionError", "open('BASE/new.txt', 'w').write('loot')"),
    attack("cut it", "error", "PermissionError", "import os; os.truncate('BASE/course.txt', 0)"),
    attack("cut it by reading", "error", "[Errno 1]", "import os; os.open('BASE/course.txt', os.O_TRUNC)"),
    attack("cut the library by reading", "error", "[Errno 1]", "import os; os.open(os.__file__, os.O_TRUNC)"),
    attack("write the library", "error", "PermissionError", "import os; open(os.__file__, 'a')"),
    attack("remove it", "error", "PermissionError", "import os; os.remove('BASE/course.txt')"),
    attack("rename it", "error", "PermissionError", "import os; os.rename('BASE/course.txt', 'mine')"),
    attack("open it to all", "error", "PermissionError", "import os; os.chmod('BASE/course.txt', 0o777)"),
    attack("date it back", "error", "PermissionError", "import os; os.utime('BASE/course.txt', (0, 0))"),
    attack("remove the folder", "error", "PermissionError", "import shutil; shutil.rmtree('BASE')"),
    attack("lock its own folder", "error", "PermissionError", "import os; os.chmod('.', 0)"),
    attack("symlink", "error", "PermissionError", "import os; os.symlink('BASE/secret.txt', 'a'); return open('a').read()"),
    attack("hard link", "error", "PermissionError", "import os; os.link('BASE/secret.txt', 'a'); return open('a').read()"),
    attack("pipe with a name", "error", "PermissionError", "import os; os.mkfifo('a'); open('a')"),
    attack("shared memory folder", "error", "PermissionError", "open('/dev/shm/loot', 'w')"),
    attack("terminal", "error", "PermissionError", "open('/dev/tty', 'w')"),
    attack("import the course", "error", "ModuleNotFound", "import sys; sys.path.append('REPO'); import distill_lessons"),
    attack("import what is installed", "error", "ModuleNotFound", "import sys; sys.path += ['SITE']; import numpy"),
    attack(
        "import what is installed beside the library",
        "error",
        "Error",
        "import os, sys; sys.path.append(os.path.dirname(os.__file__) + '/site-packages'); import pip",
    ),
    # the caller's things
    attack("environment", "wrong", "nothing", "import os; return os.environ.get('LOOT', 'nothing')"),
    attack(
        "environment of C",
        "wrong",
        "nothing",
        "import ctypes; g = ctypes.CDLL(None).getenv; g.restype = ctypes.c_char_p; return (g(b'LOOT') or b'nothing').decode()",
    ),
    attack(
        "file descriptors",
        "wrong",
        "nothing",
        """
        import os
        for handle in range(64):
            try: data = os.pread(handle, 100, 0)
            except OSError: continue
            if data: return data.decode()
        return 'nothing'
        """,
    ),
    attack(
        "files in its process",
        "wrong",
        "[0, 1, 2, 3]",
        """
        import os
        there = []
        for handle in range(64):
            try: there.append(os.fstat(handle) and handle)
            except OSError: pass
        return str(there)
        """,
    ),
    # passing without being right
    at_import("exit before the tests", "error", "exit code 0", "import os; os._exit(0)"),
    at_import("polite exit before the tests", "error", "line 1: SystemExit", "import sys; sys.exit(0)"),
    attack("exit in a test", "error", "test 1", "import os; os._exit(0)"),
    attack("printed results", "wrong", "", "print('{\"value\": \"LOOT\"}\\npass\\n1 passed'); return 'pass'"),
    attack("true to everything", "wrong", "type Yes", "class Yes:\n    __eq__ = lambda *_: True\nreturn Yes()"),
    attack("a str equal to everything", "wrong", "'no'", "class S(str):\n    __eq__ = lambda *_: True\nreturn S('no')"),
    attack(
        "a borrowed class",
        "wrong",
        "",
        "class S:\n    __class__ = str\n    __eq__ = lambda *_: True\n    __str__ = lambda _: 'no'\nreturn S()",
    ),
    at_import(
        "rewritten test code",
        "wrong",
        "'mine'",
        "import sys\nmain = sys.modules['__main__']\nmain.plain = lambda value: 'mine'\ndef f(x): return x",
    ),
    at_import(
        "rewritten json",
        "error",
        "no readable reply",
        "import json\njson.dumps = lambda *_, **__: '{\"pass\": true}'\ndef f(x): return x",
    ),
    at_import("rewritten builtins", "error", "", "import builtins\nbuiltins.isinstance = lambda *_: 1\ndef f(x): return x"),
    at_import(
        "expected values in memory",
        "wrong",
        "nothing",
        textwrap.dedent(SEARCH)
        + "def f(x):\n    import gc, sys\n    found, frame = [], sys._getframe()\n"
        + "    while frame: found += frame.f_locals.values(); frame = frame.f_back\n"
        + "    for thing in gc.get_objects():\n        found += thing.values() if type(thing) is dict else ()\n"
        + "        found += thing if type(thing) in (list, tuple) else ()\n"
        + "    return search([thing for thing in found if type(thing) is str])",
    ),
    at_import(
        "forged replies", "wrong", "'loot-0'", SPRAY + '    spray(b\'{"loaded": true}\\n\' + b\'{"value": "loot-0"}\\n\' * 2)'
    ),
    at_import("forged verdict", "error", "", SPRAY + '    spray(b\'{"outcome": "pass"}\\n\' * 9)'),
    at_import("forged depth", "error", "no readable", SPRAY + "    spray(b'{}\\n' + b'[' * 10**5 + b'\\n')"),
    at_import(
        "forged deep error", "error", "no readable", SPRAY + "    spray(b'{}\\n{\"error\":' + b'[' * 400 + b']' * 400 + b'}\\n')"
    ),
    at_import("forged bytes", "error", "no readable", SPRAY + "    spray(b'{}\\n\\xff\\xfe\\n')"),
    at_import("forged digits", "error", "no readable", SPRAY + "    spray(b'{}\\n{\"value\":' + b'1' * 9999 + b'}\\n')"),
    at_import("closed channel", "error", "ended", "import os\nos.closerange(0, 64)\nwhile True: pass"),
    at_import("import hooks", "wrong", "'mine'", "import sys\nsys.meta_path[:] = []\ndef f(x): return 'mine'"),
    at_import("replaced import", "wrong", "", "import builtins\nbuiltins.__import__ = None\ndef f(x): return 'x'"),
    at_import("work after the end", "wrong", "", "import atexit\nwhile_ = atexit.register(input)\ndef f(x): return 1"),
    at_import("exit replaced", "wrong", "'x'", "import os\ndef stay(_):\n    while 1: pass\nos._exit = stay\ndef f(x): return 'x'"),
    # errors and values that bite
    attack("error without words", "error", "line 4: E", "class E(Exception):\n    __str__ = lambda _: 1 / 0\nraise E"),
    attack("error that never ends", "timeout", "", "class E(Exception):\n    def __str__(s):\n        while 1: pass\nraise E"),
    attack("error that exits", "error", "exit code 0", "import os\nclass E(Exception):\n    __str__ = lambda _: os._exit(0)\nraise E"),
    attack("error in colour", "error", "\\x1b[31m", "raise ValueError('\\x1b[31m\\r\\n\\x07\\ud800\\u202e')"),
    attack("error of a megabyte", "error", "...", "raise ValueError('long ' * 200_000)"),
    attack("error without a name", "error", "", "class M(type):\n    __name__ = 7\nclass E(Exception, metaclass=M): pass\nraise E"),
    attack("no exception", "error", "TypeError", "raise 7"),
    attack("gigantic recursion", "error or timeout", "", "import sys; sys.setrecursionlimit(10**9)\ndef g(): return g() + 1\nreturn g()"),
    attack("recursion in C", "error", "", "import sys; sys.setrecursionlimit(10**9)\nclass R:\n    def __repr__(s): return repr(s)\nreturn repr(R())"),
    attack("crash", "error", "SIGSEGV", "import ctypes; ctypes.string_at(0)"),
    attack("abort", "error", "SIG", "import os; os.abort()"),
    attack("value in itself", "error", "RecursionError", "a = []; a.append(a); return a"),
    attack("deep value", "error", "RecursionError", "a = []\nfor _ in range(10**5): a = [a]\nreturn a"),
    attack("large number", "error", "ValueError", "return 10**5000"),
    attack("no value at all", "wrong", "type generator", "yield x"),
    at_import("no function", "error", "AttributeError", "g = 1"),
    at_import("not a function", "error", "TypeError", "f = 1"),
    at_import("no Python", "error", "line 1: SyntaxError", "def f(x) return x"),
    at_import("null byte", "error", "", "f = '\0'"),
    at_import("half a character", "error", "UnicodeEncodeError", "f = '\ud800'"),
    at_import("parser's stack", "error", "", "f = " + "(" * 100_000),
    at_import("compiler's stack", "error", "", "f = " + "-" * 100_000 + "1"),
]  # fmt: skip


def used() -> float:
    return sum(resource.getrusage(who).ru_utime + resource.getrusage(who).ru_stime for who in (0, -1))


def left_over(base: Path) -> list[str]:
    """Processes that work in ``base``, and files that are in it."""
    found = [str(path) for path in base.iterdir()]
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if os.readlink(process / "cwd").startswith(str(base)):
                found.append(str(process))
        except OSError:
            pass
    return found


def state() -> dict:
    """What a program could have changed in the process that called the sandbox."""
    return {
        "folder": os.getcwd(),
        "environment": dict(os.environ),
        "handles": sorted(os.listdir("/proc/self/fd")),
        "threads": sorted(thread.name for thread in threading.enumerate()),
        "modules": set(sys.modules),
        "recursion": sys.getrecursionlimit(),
        "signals": [signal.getsignal(number) for number in signal.valid_signals()],
        "limits": [resource.getrlimit(getattr(resource, name)) for name in dir(resource) if name.startswith("RLIMIT")],
        "path": list(sys.path),
    }


@pytest.fixture
def base(tmp_path, monkeypatch):
    """A folder of our own for all temporary ones, so that whatever is left in it is ours."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """Every attack at once, the way the course runs samples; verdicts by name, and what there was before and after."""
    root = tmp_path_factory.mktemp("attacked")
    base, temporary = root / "course", root / "temporary"
    base.mkdir()
    temporary.mkdir()
    (base / "secret.txt").write_text(LOOT)
    (base / "course.txt").write_text("the course")
    os.utime(base / "course.txt", (10**9, 10**9))
    with pytest.MonkeyPatch.context() as patch, open(base / "secret.txt") as handle, socket.socket() as server:
        os.set_inheritable(handle.fileno(), True)
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(0.01)
        patch.setenv("LOOT", LOOT)
        patch.setattr(tempfile, "tempdir", str(temporary))
        words = {
            "BASE": str(base),
            "HOME": os.path.expanduser("~"),
            "PORT": str(server.getsockname()[1]),
            "PARENT": str(os.getpid()),
            "REPO": str(Path(sandbox.__file__).parents[2]),
            "SITE": str(Path(pytest.__file__).parents[1]),
        }
        sources = []
        for _, _, _, source in ATTACKS:
            for word, meaning in words.items():
                source = source.replace(word, meaning)
            sources.append(textwrap.dedent(source))
        before = state()
        verdicts = sandbox.run(sources, ANSWER, seconds=LIMIT)
        after = state()
        with pytest.raises(TimeoutError):
            server.accept()
    return dict(zip((attack.name for attack in ATTACKS), verdicts)), before, after, base, temporary


def test_nothing_is_refused_where_the_kernel_can_lock():
    """Else a lock that no longer closes would be skipped below instead of failing."""
    if sys.platform != "linux" or platform.machine() not in ("x86_64", "aarch64"):
        pytest.skip("no kernel that the sandbox knows")
    landlock = ctypes.CDLL(None).syscall(444, None, ctypes.c_size_t(0), ctypes.c_uint(1))
    if landlock < 1 or not os.path.exists("/proc/sys/kernel/seccomp/actions_avail"):
        pytest.skip("a kernel without Landlock or seccomp")
    assert ONE.outcome == "pass", ONE


@locked
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack(attack, attacked):
    verdict = attacked[0][attack.name]
    assert verdict.outcome in attack.outcome.split(" or "), verdict
    assert attack.detail in verdict.detail, verdict
    assert verdict.detail.isprintable() and len(verdict.detail) <= 300
    verdict.detail.encode()
    assert verdict.seconds < LIMIT + 1


@locked
def test_attacks_leave_nothing(attacked):
    _, before, after, base, temporary = attacked
    assert before == after
    assert left_over(temporary) == []
    assert sorted(path.name for path in base.iterdir()) == ["course.txt", "secret.txt"]
    assert (base / "course.txt").read_text() == "the course" and os.stat(base / "course.txt").st_mtime == 10**9
    assert not os.path.exists("/dev/shm/loot")
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS) >= 40


@locked
def test_every_other_system_call_is_refused():
    from distill_lessons.teacher import sandbox_worker as worker

    column, _ = worker.MACHINES[platform.machine()]
    known = [
        numbers[column]
        for numbers in (worker.CALLS | worker.WITH_SOME_ARGUMENTS).values()
        if numbers[column] is not None
    ]
    # The tracer's own two on x86-64 pass any filter, and do nothing but fail when a program calls them.
    known += [335, 336] * (platform.machine() == "x86_64")
    source = textwrap.dedent(
        """
        import ctypes
        def f(known):
            call, answered = ctypes.CDLL(None, use_errno=True).syscall, []
            for number in set(range(1024)) - set(known):
                for bit in (0, 1 << 30):  # the second table of x86-64
                    if call(number | bit, 0, 0, 0, 0, 0, 0) != -1 or ctypes.get_errno() != 1: answered.append(number | bit)
            return answered
        """
    )
    (verdict,) = sandbox.run([source], sandbox.Tests("f", [(known,)], [[]]))
    assert verdict.outcome == "pass", verdict


@locked
@pytest.mark.skipif(platform.machine() != "x86_64", reason="machine code of x86")
def test_system_calls_of_another_architecture_end_the_process():
    source = textwrap.dedent(
        r"""
        import ctypes, mmap
        def f(x):
            page = mmap.mmap(-1, 4096, prot=7)
            page.write(b"\xb8\x14\x00\x00\x00\xcd\x80\xc3")  # getpid as 32-bit Linux calls it
            return ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()
        """
    )
    (verdict,) = sandbox.run([source], sandbox.Tests("f", [(1,)], [1]))
    assert verdict.outcome == "error" and ("SIGSYS" in verdict.detail or "SIGSEGV" in verdict.detail), verdict


@locked
def test_the_process_has_no_privilege_and_its_own_group(base):
    source = "import time\ndef f(x): time.sleep(2)"
    thread = threading.Thread(
        target=sandbox.run, args=([source], sandbox.Tests("f", [(1,)], [1])), kwargs={"seconds": 3}
    )
    thread.start()
    lines = {}
    while thread.is_alive() and lines.get("Seccomp") != "2":
        for process in left_over(base):
            if process.startswith("/proc"):
                try:
                    lines = dict(
                        line.split(":\t", 1)
                        for line in Path(process, "status").read_text().splitlines()
                        if ":\t" in line
                    )
                    environment = Path(process, "environ").read_bytes()
                    group = os.getpgid(int(Path(process).name))
                except (OSError, ProcessLookupError):
                    pass
        time.sleep(0.01)
    thread.join()
    assert lines["NoNewPrivs"] == "1" and lines["Seccomp"] == "2" and lines["Threads"] == "1"
    assert {lines[name] for name in ("CapEff", "CapPrm", "CapInh")} == {"0" * 16}
    assert group == int(lines["Pid"]) != os.getpgid(0)
    assert environment == b"PYTHONHASHSEED=0\0"


@locked
def test_a_killed_caller_takes_its_programs_along(base):
    script = textwrap.dedent(
        f"""
        import sys, tempfile
        sys.path.insert(0, {str(Path(sandbox.__file__).parent)!r})
        import sandbox
        tempfile.tempdir = {str(base)!r}
        sandbox.run(["import time\\ndef f(x): time.sleep(600)"], sandbox.Tests("f", [(1,)], [1]), seconds=60)
        """
    )
    caller = subprocess.Popen([sys.executable, "-c", script])
    try:
        deadline = time.monotonic() + 30
        while not any(name.startswith("/proc") for name in left_over(base)) and time.monotonic() < deadline:
            time.sleep(0.05)
        time.sleep(0.3)
        assert any(name.startswith("/proc") for name in left_over(base))
    finally:
        caller.kill()
        caller.wait()
    while any(name.startswith("/proc") for name in left_over(base)) and time.monotonic() < deadline + 10:
        time.sleep(0.05)
    assert not any(name.startswith("/proc") for name in left_over(base))


HONEST = {
    "arithmetic": ("def f(a, b): return a + b", [(1, 2), (-1, 1)], [3, 0]),
    "helpers": ("def g(n): return n * 2\ndef f(n): return g(n) + 1", [(3,)], [7]),
    "recursion": ("def f(n): return 1 if n < 2 else n * f(n - 1)", [(200,)], [__import__("math").factorial(200)]),
    "printing": ("def f(x):\n    print('working', x)\n    return x", [("a",)], ["a"]),
    "main block": ("def f(x): return x\nif __name__ == '__main__': input()", [(1,)], [1]),
    "dataclass": ("from dataclasses import dataclass\n@dataclass\nclass P:\n    x: 'int'\ndef f(x): return P(x).x", [(1,)], [1]),
    "counter": ("from collections import Counter\ndef f(s): return Counter(s)", [("aab",)], [{"a": 2, "b": 1}]),
    "tuple": ("def f(x): return (x, (x,))", [(1,)], [[1, [1]]]),
    "expected tuple": ("def f(x): return [x, [x]]", [(1,)], [(1, (1,))]),
    "own file": ("def f(x):\n    open('a', 'w').write(x)\n    return open('a').read()", [("ä",)], ["ä"]),
    "float": ("def f(x): return x / 3", [(1,), (3,)], [0.333333333333, 1]),
    "nothing": ("def f(x): pass", [(1,)], [None]),
    "infinite": ("def f(x): return [float('nan'), float('inf')]", [(1,)], [[float("nan"), float("inf")]]),
    "words": ("import re\ndef f(s): return re.findall(r'\\w+', s)", [("zwei Wörter",)], [["zwei", "Wörter"]]),
    "own errors": ("def f(x):\n    try: return 1 / x\n    except ZeroDivisionError: return 'none'", [(0,)], ["none"]),
    "changed argument": ("def f(rows):\n    rows.append(1)\n    return len(rows)", [([],), ([],)], [1, 1]),
    "libraries": (
        "import base64, bisect, copy, csv, datetime, decimal, enum, fractions, functools, hashlib, heapq, itertools, json\n"
        "import math, operator, random, statistics, string, textwrap, typing, unicodedata\ndef f(x): return x",
        [(1,)],
        [1],
    ),
}  # fmt: skip


@locked
def test_honest_programs_pass(base):
    tests = [sandbox.Tests("f", arguments, expected) for _, arguments, expected in HONEST.values()]
    verdicts = sandbox.run([source for source, _, _ in HONEST.values()], tests)
    assert {name: verdict.detail for name, verdict in zip(HONEST, verdicts) if verdict.outcome != "pass"} == {}
    assert all(verdict.detail == "" and 0 < verdict.seconds < 2 for verdict in verdicts)
    assert left_over(base) == []


DIFFERENT = [
    ("1", True), ("True", 1), ("0", False), ("False", 0), ("None", 0), ("0", None), ("''", None), ("1", "1"), ("'1'", 1),
    ("1.0000001", 1.0), ("1 + 1e-12", 1), ("10**400", 1e300), ("float('nan')", 1.0), ("1.0", float("nan")), ("[1]", [1, 1]),
    ("[1, 2]", [2, 1]), ("[]", {}), ("{}", []), ("{1: 2}", {"1": 2}), ("{'a': 1}", {"a": 1, "b": 2}), ("{'a': 1}", {"a": 2}),
    ("{'a': 1, 'b': 2}", {"a": 1}),
    ("{1}", [1]), ("b'a'", "a"), ("'a'", ["a"]), ("['a']", "a"), ("1j", 1), ("range(2)", [0, 1]), ("[[1]]", [[1.1]]),
]  # fmt: skip


@locked
def test_different_values_do_not_pass():
    verdicts = sandbox.run(
        [f"def f(x): return {value}" for value, _ in DIFFERENT],
        [sandbox.Tests("f", [(0,)], [expected]) for _, expected in DIFFERENT],
    )
    assert [pair for pair, verdict in zip(DIFFERENT, verdicts) if verdict.outcome != "wrong"] == []


@locked
def test_the_first_test_that_fails_decides_and_is_named():
    tests = sandbox.Tests("f", [(0,), (1,), (2,)], [0, 5, 2])
    sources = [
        "def f(x):\n    if x == 2: raise KeyError\n    return x",
        "def f(x):\n    if x == 1:\n        return {}['k']\n    return x",
    ]
    wrong, error = sandbox.run(sources, tests)
    assert (wrong.outcome, wrong.detail) == ("wrong", "test 2: f(1) gave 1, expected 5")
    assert (error.outcome, error.detail) == ("error", "test 2: f(1) raised line 3: KeyError: 'k'")


@locked
def test_a_second_is_one_of_the_processor(monkeypatch):
    """So that a busy machine gives the verdicts of a quiet one."""
    monkeypatch.setattr(sandbox, "PATIENCE", 100)
    (verdict,) = sandbox.run(["def f(x):\n    while True: pass"], sandbox.Tests("f", [(1,)], [1]), seconds=0.3)
    assert verdict.outcome == "timeout" and 0.3 < verdict.seconds < 1.3


@locked
def test_the_same_seed_gives_the_same_values():
    source = (
        "import random\ndef f(): return [random.random(), list({'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h'}), hash('x')]"
    )
    tests = sandbox.Tests("f", [()], [0])
    details = [sandbox.run([source] * 2, tests, seed=seed) for seed in (1, 1, 2)]
    assert len({verdict.detail for pair in details[:2] for verdict in pair}) == 1
    assert details[0][0].detail != details[2][0].detail


def test_workers_are_bounded_and_the_order_is_kept(monkeypatch):
    running, most, lock = 0, 0, threading.Lock()

    def judge(job, *_):
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.01)
        with lock:
            running -= 1
        return sandbox.Verdict("pass", job["source"], 0.0)

    monkeypatch.setattr(sandbox, "_judge", judge)
    verdicts = sandbox.run([str(i) for i in range(20)], sandbox.Tests("f", [(1,)], [1]), workers=3)
    assert [verdict.detail for verdict in verdicts] == [str(i) for i in range(20)]
    assert most == 3


@locked
def test_twenty_programs_a_second_on_two_cores():
    start = used()
    verdicts = sandbox.run(["def f(x): return x"] * 20, sandbox.Tests("f", [(1,)] * 7, [1] * 7))
    assert {verdict.outcome for verdict in verdicts} == {"pass"}
    assert (used() - start) / 20 < 2 / 20  # processor seconds for one program; two cores have two of them a second


LOCKS = {
    "files": (["files"], "    fence_files(libc)\n"),
    "calls": (["network", "processes"], "    filter_calls(libc)\n"),
    "memory": (["memory"], "    limit(memory, file, cpu)\n"),
}


@pytest.fixture
def without(tmp_path, monkeypatch):
    """A function that takes one lock out of the worker."""

    def take(lock: str) -> list[str]:
        missing, line = LOCKS[lock]
        text = Path(sandbox.__file__).with_name("sandbox_worker.py").read_text()
        assert text.count(line) == 1
        worker = tmp_path / "worker.py"
        worker.write_text(text.replace(line, "    pass\n"))
        monkeypatch.setattr(sandbox, "WORKER", worker)
        return missing

    return take


@locked
@pytest.mark.parametrize("lock", LOCKS)
def test_a_missing_lock_is_refused_unless_named(lock, without):
    missing = without(lock)
    tests = sandbox.Tests("f", [(1,)], [1])
    (refused,) = sandbox.run(["def f(x): return x"], tests)
    assert refused.outcome == "refused" and refused.seconds == 0
    assert all(name in refused.detail for name in missing), refused
    (partly,) = sandbox.run(["def f(x): return x"], tests, unprotected=set(sandbox.PROTECTIONS) - {missing[0]})
    assert partly.outcome == "refused"
    (allowed,) = sandbox.run(["def f(x): return x"], tests, unprotected=missing)
    assert allowed.outcome == "pass", allowed


@locked
def test_without_the_locks_the_same_attacks_succeed(without, tmp_path, base):
    """Else the attacks above would prove nothing."""
    (tmp_path / "secret.txt").write_text(LOOT)
    attacks = {
        "files": f"def f(x): return open({str(tmp_path / 'secret.txt')!r}).read()",
        "calls": f"import socket, threading\ndef f(x): socket.socket(); threading.Thread(target=print).start(); return {LOOT!r}",
        "memory": f"def f(x): return {LOOT!r} + 'x' * (len('x' * 2**29) - 2**29)",
    }
    for lock, source in attacks.items():
        (verdict,) = sandbox.run([source], ANSWER, unprotected=without(lock))
        assert verdict.outcome == "pass", (lock, verdict)


@locked
def test_without_the_lock_on_processes_children_are_killed_with_the_group(without, base):
    missing = without("calls")
    source = "import os, time\ndef f(x):\n    if os.fork() == 0: time.sleep(600)\n    return x"
    (verdict,) = sandbox.run([source], sandbox.Tests("f", [(1,)], [1]), unprotected=missing)
    assert verdict.outcome == "pass", verdict
    deadline = time.monotonic() + 5
    while left_over(base) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert left_over(base) == []


@locked
def test_without_the_lock_on_processes_a_child_that_leaves_does_not_hold_us_up(without, base):
    missing = without("calls")
    source = (
        "import os, time\ndef f(x):\n    if os.fork() == 0:\n        os.setsid()\n        time.sleep(4)\n        os._exit(0)\n"
        "    time.sleep(0.1)\n    return x"
    )
    start = time.monotonic()
    (verdict,) = sandbox.run([source], sandbox.Tests("f", [(1,)], [1]), unprotected=missing)
    assert verdict.outcome == "pass", verdict
    assert left_over(base)  # what the docstring says: such a child survives
    assert time.monotonic() - start < 4
    while left_over(base) and time.monotonic() < start + 30:
        time.sleep(0.05)


def test_a_worker_that_does_not_start_is_refused(tmp_path, monkeypatch):
    (tmp_path / "worker.py").write_text("raise SystemExit(3)")
    monkeypatch.setattr(sandbox, "WORKER", tmp_path / "worker.py")
    (verdict,) = sandbox.run(["def f(x): return x"], sandbox.Tests("f", [(1,)], [1]))
    assert verdict.outcome == "refused" and "exit code 3" in verdict.detail


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"code": "def f(x): return x"}, "list of programs"),
        ({"code": [b"f"]}, "list of programs"),
        ({"seconds": 0}, "seconds must be"),
        ({"seconds": float("nan")}, "seconds must be"),
        ({"seconds": float("inf")}, "seconds must be"),
        ({"memory_mb": 8}, "memory_mb must be"),
        ({"output_bytes": 0}, "output_bytes must be"),
        ({"workers": 0}, "workers must be"),
        ({"seed": -1}, "seed must be"),
        ({"unprotected": "files"}, "unprotected must be"),
        ({"unprotected": ["everything"]}, "unprotected must be"),
        ({"tests": []}, "give one for each"),
        ({"tests": sandbox.Tests("f", [], [])}, "at least one call"),
        ({"tests": sandbox.Tests("f(1)", [(1,)], [1])}, "by its name"),
        ({"tests": sandbox.Tests("f", ["ab"], [1])}, "are a tuple"),
        ({"tests": sandbox.Tests("f", [(1,)], [1, 2])}, "one value for each call"),
        ({"tests": sandbox.Tests("f", [(1,)], [{1: 2}])}, "plain values"),
        ({"tests": sandbox.Tests("f", [({1},)], [1])}, "plain values"),
        ({"tests": sandbox.Tests("f", [([{1: 2}],)], [1])}, "plain values"),
    ],
)
def test_a_request_that_makes_no_sense_is_said(change, words):
    request = {"code": ["def f(x): return x"], "tests": sandbox.Tests("f", [(1,)], [1])} | change
    with pytest.raises(ValueError, match=words):
        sandbox.run(**request)


def test_no_program_is_no_verdict():
    assert sandbox.run([], sandbox.Tests("f", [(1,)], [1])) == []


def test_tests_stay_as_they_were():
    tests = sandbox.Tests("f", [([1], {"a": [2]})], [[1]])
    sandbox.run(["def f(a, b):\n    a.clear()\n    b.clear()\n    return a"], tests)
    assert json.dumps([tests.arguments, tests.expected]) == '[[[[1], {"a": [2]}]], [[1]]]'
