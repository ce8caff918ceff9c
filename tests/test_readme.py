"""The README says what the repository does: its ledger, picture and samples are real, its links and commands exist."""

import base64
import re

import nbformat

from distill_lessons import runtime
from distill_lessons.course import claims, results

README = (runtime.REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_the_ledger_is_the_computed_one():
    assert claims.markdown(claims.ledger()) in README, (
        "paste what `python -m distill_lessons.course.claims --markdown` prints"
    )


def test_the_data_card_compares_cpu_and_gpu_as_computed():
    card = (runtime.data_folder() / "results" / "README.md").read_text(encoding="utf-8")
    rows = claims.ledger(), claims.ledger(folder=results.recorded_folder("cuda"))
    assert claims.beside(*rows, ["cpu", "cuda"]) in card, "paste what `claims --beside data/results/cuda` prints"


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    headings = {f"#{heading.lower().replace(' ', '-')}" for heading in re.findall(r"^#+ (.+)$", README, re.M)}
    for target in targets:
        assert target in headings or (runtime.REPOSITORY / target).exists(), target


def test_commands_exist():
    makefile = (runtime.REPOSITORY / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, re.M), target


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
