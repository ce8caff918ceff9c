"""Bugs put into the package one at a time, to see which of them the tests notice: ``make mutants``.

``tests/mutations/*.toml`` lists them: a name, a file, a text that stands in it once, what to put in its place, and the tests
nearest to it, files or single ones. Each is applied alone, in a copy of the repository, and those tests are run there. A bug
is noticed if they fail, or do not come to an end. One that cannot be noticed, since nothing that it changes can be seen, says
so under `unseen`. First all these tests are run without any bug: if one fails there, nothing that follows would mean much.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COPIED = ("distill_lessons", "tests", "tools", "pyproject.toml")  # the rest is only read, and linked
LONGEST = 300  # seconds that a bug's tests may take


@dataclass(frozen=True)
class Mutation:
    """One bug: in `file`, `find` becomes `put`; `tests` are run; `unseen` says why none of them can fail, if so."""

    name: str
    file: str
    find: str
    put: str
    tests: str
    unseen: str = ""


def read(folder: Path = ROOT / "tests" / "mutations") -> list[Mutation]:
    """All bugs of the list.

    Raises:
        ValueError: two have one name; a text does not stand in its file exactly once, or would not change.
    """
    found = []
    for path in sorted(folder.glob("*.toml")):
        found += [Mutation(**entry) for entry in tomllib.loads(path.read_text(encoding="utf-8"))["mutation"]]
    names = [each.name for each in found]
    for each in found:
        count = (ROOT / each.file).read_text(encoding="utf-8").count(each.find)
        if count != 1:
            raise ValueError(f"{each.name!r}: its text stands {count} times in {each.file}, and must stand there once")
        if each.find == each.put or names.count(each.name) > 1:
            raise ValueError(f"{each.name!r}: it changes nothing, or another has its name")
    return found


def copy(folder: Path) -> None:
    """The repository in a folder: what may be changed is copied, the rest is linked."""
    for path in ROOT.iterdir():
        if path.name in COPIED and path.is_dir():
            shutil.copytree(path, folder / path.name, ignore=shutil.ignore_patterns("__pycache__"))
        elif path.name in COPIED:
            shutil.copy(path, folder / path.name)
        elif not path.name.startswith("."):
            (folder / path.name).symlink_to(path)


def run(mutation: Mutation | None, tests: str, longest: float = LONGEST) -> tuple[bool, str]:
    """Whether the tests fail with a bug (or without any), and which of them did, or the last line of what they say.

    Args:
        tests: files, or single tests as pytest names them, with blanks between.
        longest: seconds after which they count as failed.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        copy(folder)
        if mutation is not None:
            path = folder / mutation.file
            text = path.read_text(encoding="utf-8")
            if mutation.find not in text:
                raise ValueError(f"{mutation.name!r}: its text does not stand in {mutation.file}")
            path.write_text(text.replace(mutation.find, mutation.put), encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", *tests.split()]
        environment = os.environ | {"PYTHONPATH": name, "PYTHONDONTWRITEBYTECODE": "1"}
        try:
            done = subprocess.run(command, cwd=name, env=environment, capture_output=True, text=True, timeout=longest)
        except subprocess.TimeoutExpired:
            return True, f"no end after {longest} s"
        lines = done.stdout.strip().splitlines() or done.stderr.strip().splitlines() or ["nothing was said"]
        failed = [line.split(" - ")[0] for line in lines if line.startswith(("FAILED", "ERROR"))]
        return done.returncode != 0, (failed or lines)[-1]


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python tools/mutants.py", description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only bugs whose name, file or tests have one of these words in them")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time")
    options = parser.parse_args(words)
    chosen = [
        each
        for each in read()
        if not options.words or any(word in f"{each.name} {each.file} {each.tests}" for word in options.words)
    ]
    began, count, missed = time.perf_counter(), 0, []
    every = sorted({test for each in chosen for test in each.tests.split()})
    # A single test is left out where its whole file is run.
    sound = [test for test in every if "::" not in test or test.split("::")[0] not in every]
    failed, said = run(None, " ".join(sound), 4 * LONGEST)
    if failed:
        sys.exit(f"without any bug: {said}")
    with ThreadPoolExecutor(options.jobs) as pool:
        made = {pool.submit(run, each, each.tests): each for each in chosen}
        for future in as_completed(made):
            bug, (noticed, said) = made[future], future.result()
            word = "noticed" if noticed else "unseen" if bug.unseen else "MISSED"
            print(f"{word:8} {bug.name}: {said if noticed else bug.unseen or bug.file}", flush=True)
            count += noticed
            missed += [bug.name] if word == "MISSED" else []
    print(f"{count} of {len(chosen)} bugs were noticed, in {time.perf_counter() - began:.0f} s")
    sys.exit(f"missed: {'; '.join(missed)}" if missed else 0)


if __name__ == "__main__":
    main()
