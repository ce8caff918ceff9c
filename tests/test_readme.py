"""The README says what the repository does: its ledger, picture and samples are real, its links and commands exist."""

import base64
import importlib.util
import os
import re
import shutil
import subprocess

import nbformat
import pytest

import distill_lessons.__main__ as cli
from distill_lessons import runtime
from distill_lessons.course import claims, results

README = (runtime.REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_ledger_is_the_computed_one():
    assert claims.markdown(claims.ledger()) in README, "paste what `python -m distill_lessons claims --markdown` prints"


def test_the_data_card_compares_cpu_and_gpu_as_computed():
    card = (runtime.data_folder() / "results" / "README.md").read_text(encoding="utf-8")
    rows = claims.ledger(), claims.ledger(folder=results.recorded_folder("cuda"))
    assert claims.beside(*rows, ["cpu", "cuda"]) in card, (
        "paste what `python -m distill_lessons claims --beside data/results/cuda` prints"
    )


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    headings = {f"#{heading.lower().replace(' ', '-')}" for heading in re.findall(r"^#+ (.+)$", README, re.M)}
    for target in targets:
        assert target in headings or (runtime.REPOSITORY / target).exists(), target


MAKEFILE = (runtime.REPOSITORY / "Makefile").read_text(encoding="utf-8")
PAGES = [runtime.REPOSITORY / "README.md", *sorted((runtime.REPOSITORY / "data").glob("*/README.md"))]


def test_commands_exist():
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for target in set(re.findall(r"(?:^|`)make (\w+)", text, re.M)):
            assert re.search(rf"^{target}:", MAKEFILE, re.M), target
        for variable in set(re.findall(r"make \w+ ([A-Z_]+)=", text)):
            assert re.search(rf"^{variable} \?=", MAKEFILE, re.M), variable
        for command in set(re.findall(r"-m distill_lessons (\w+)", text)):
            assert command in cli.COMMANDS, command
        for module in set(re.findall(r"-m (distill_lessons\.[\w.]+)", text)):
            assert importlib.util.find_spec(module), module


def test_every_command_is_named():
    for command in cli.COMMANDS:
        assert f"`{command}`" in README


def test_every_variable_is_explained():
    code = [path.read_text(encoding="utf-8") for path in (runtime.REPOSITORY / "distill_lessons").rglob("*.py")]
    for variable in set(re.findall(r"DISTILL_[A-Z_]*[A-Z]", "".join(code))):
        assert f"`{variable}`" in README, variable


def test_torch_is_the_version_of_the_lock():
    lock = (runtime.REPOSITORY / "requirements.lock").read_text(encoding="utf-8")
    assert set(re.findall(r"torch==[\d.]+", README)) == set(re.findall(r"^torch==[\d.]+", lock, re.M))


def test_every_room_is_named():
    for path in (runtime.REPOSITORY / "distill_lessons").iterdir():
        if path.is_dir() and not path.name.startswith("__"):
            assert f"`{path.name}/`" in README, path.name


# --- the Makefile ----------------------------------------------------------------------------------------------------------


def make(*arguments, **variables):
    """What `make` would do, or do with a target that only shows its environment."""
    environment = {
        name: value for name, value in os.environ.items() if name not in ("DISTILL_TEACHER", "HF_HUB_OFFLINE")
    }
    command = ["make", "--silent", "--makefile", "-", *arguments]
    return subprocess.run(
        command,
        input="include Makefile\nshow:\n\t@echo \"$$DISTILL_TEACHER $$HF_HUB_OFFLINE\"\n",
        cwd=runtime.REPOSITORY, env=environment | variables, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip


needs_make = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")


@needs_make
@pytest.mark.parametrize("how", ["on the command line", "in the environment"])
def test_make_goes_online_only_for_a_teacher_that_is_no_folder(tmp_path, how):
    folder = tmp_path / "a model"
    folder.mkdir()

    def shown(teacher):
        if how == "in the environment":
            return make("show", DISTILL_TEACHER=teacher).strip("\n")
        return make("show", f"DISTILL_TEACHER={teacher}").strip("\n")

    assert make("show").strip() == "1"
    assert shown("") == " 1"
    assert shown(str(folder)) == f"{folder} 1"
    assert shown("data/multiplication") == f"{runtime.REPOSITORY / 'data' / 'multiplication'} 1"
    assert shown("an/id") == "an/id "
    assert make("show", DISTILL_TEACHER="an/id", HF_HUB_OFFLINE="1") == "an/id 1\n"


@needs_make
def test_make_lab_serves_the_whole_repository_and_passes_options_on():
    for root in ("0", ""):
        said = make("--dry-run", "lab", f"ROOT={root}", "LAB_ARGS=--no-browser --port 9000")
        (command,) = [line for line in said.splitlines() if "jupyter lab" in line]
        words = command.split()
        assert "--notebook-dir=." in words and words[-1] == "notebooks/00_start_here.ipynb"
        assert "--no-browser --port 9000" in command
        assert ("--allow-root" in words) == ("You are root" in said) == bool(root)


@needs_make
def test_make_setup_says_its_steps_and_takes_torch_from_where_it_is_told():
    said = make("--dry-run", "--always-make", "setup")
    assert [f"set-up {step} of 5" in said for step in (1, 2, 3, 4, 5)] == [True] * 5 and "--index-url" not in said
    said = make("--dry-run", "--always-make", "setup", "TORCH_INDEX=https://an.index/cpu")
    (line,) = [line for line in said.splitlines() if "--index-url" in line]
    assert "--no-deps --index-url https://an.index/cpu" in line
    assert said.index("--index-url") < said.index("--requirement requirements.lock")


def test_every_lesson_is_on_the_map():
    for path in (runtime.REPOSITORY / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{path.name})" in README


def outputs_of_lesson_00():
    cells = nbformat.read(runtime.REPOSITORY / "notebooks" / "00_start_here.ipynb", 4).cells
    return [output for cell in cells for output in cell.get("outputs", [])]


def test_the_picture_is_the_first_figure_of_lesson_00():
    pictures = [output.data["image/png"] for output in outputs_of_lesson_00() if "image/png" in output.get("data", {})]
    shown = (runtime.REPOSITORY / "images" / "lesson00.png").read_bytes()
    assert shown == base64.b64decode(pictures[0]), "run `make notebooks`: it writes both"


def test_the_samples_are_what_the_models_said_in_lesson_00():
    said = re.sub(r"\s+", "", "".join(output.get("text", "") for output in outputs_of_lesson_00()))
    rows = re.findall(r"^\| (?:teacher|student)[^|]*\|([^|]+)\|([^|]+)\|$", README, re.M)
    assert len(rows) == 3
    for sample in (sample for row in rows for sample in row):
        assert re.sub(r"\s+", "", sample.rstrip(" …")) in said, sample
