"""The wheel, installed alone: all of the package is in it, and what needs the repository says so in one sentence."""

import ast
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib

import pytest

from distill_lessons import runtime

PACKAGE = runtime.REPOSITORY / "distill_lessons"
IMPORT_ALL = """
import contextlib, importlib, io, json, pkgutil, sys
import distill_lessons
from distill_lessons import __main__ as cli
found = [module.name for module in pkgutil.walk_packages(distill_lessons.__path__, "distill_lessons.")]
for name in found:
    importlib.import_module(name)
said = {}
for command in ["claims", "demo", "experiments", "bench"]:
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = cli.main([command])
    said[command] = [status, out.getvalue(), err.getvalue()]
print(json.dumps({"where": distill_lessons.__file__, "modules": found, "said": said}))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder that the wheel was installed into. Built from a copy, so that no old build folder gets in."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    shutil.copytree(PACKAGE, source / "distill_lessons", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(runtime.REPOSITORY / name, source)
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", str(source), "--no-deps", "--no-build-isolation", "-w", str(folder)], check=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", str(folder / "site"), str(wheel)], check=True)
    return folder / "site"


def alone(installed, *command):
    """Run python with the wheel's package, away from the repository."""
    environment = os.environ | {"PYTHONPATH": str(installed), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, *command], cwd=installed.parent, env=environment, capture_output=True, text=True, timeout=400
    )


def test_it_holds_every_module_and_its_command(installed):
    inside = {path.relative_to(installed) for path in (installed / "distill_lessons").rglob("*.py")}
    assert inside == {path.relative_to(PACKAGE.parent) for path in PACKAGE.rglob("*.py")}
    assert (installed / "bin" / "distill-lessons").exists() or (installed / "bin" / "distill-lessons.exe").exists()


def test_everything_can_be_imported_and_what_needs_the_repository_says_so(installed):
    done = alone(installed, "-c", IMPORT_ALL)
    assert done.returncode == 0, done.stderr
    about = json.loads(done.stdout.splitlines()[-1])
    assert about["where"].startswith(str(installed))
    for command, (status, out, err) in about["said"].items():
        assert (status, out) == (1, ""), command
        assert err.startswith(f"distill-lessons {command}: the course's data/ folder is not beside the package")
        assert len(err.splitlines()) == 1


def test_what_needs_no_data_works(installed):
    code = "import torch; from distill_lessons import losses; print(float(losses.forward_kl(torch.zeros(2), torch.zeros(2))))"
    assert alone(installed, "-c", code).stdout.strip() == "0.0"
    said = alone(installed, "-m", "distill_lessons")
    assert said.returncode == 0 and "experiments" in said.stdout


def test_every_library_that_the_package_imports_is_declared():
    project = tomllib.loads((runtime.REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = project["dependencies"] + project["optional-dependencies"]["onnx"]  # asked for before it is used
    declared = {re.match(r"[\w.-]+", line)[0].lower() for line in lines}
    pinned = (runtime.REPOSITORY / "requirements-teacher.txt").read_text(encoding="utf-8")
    declared |= {
        name.lower() for name in re.findall(r"^([\w-]+)==", pinned, re.M)
    }  # installed by set-up, with their hashes
    imported = set()
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module] if isinstance(node, ast.ImportFrom) and not node.level else []
            imported |= {name.split(".")[0] for name in names}
    libraries = imported - set(sys.stdlib_module_names) - {"distill_lessons"}
    owners = importlib.metadata.packages_distributions()
    assert libraries >= {"torch", "transformers", "nbclient"}
    for library in libraries:
        assert {owner.lower() for owner in owners.get(library, [library])} & declared, library
