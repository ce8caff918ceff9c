"""Every notebook: anatomy, one clean run, no debris, enough compared outputs. (nbval runs them; this reads them.)"""

import json
import re

import nbformat
import pytest

from distill_lessons import runtime

ROOT = runtime.REPOSITORY
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
every_notebook = pytest.mark.parametrize(
    "path", LESSONS + SOLUTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)


def read(path):
    return nbformat.read(path, as_version=4)


def code_cells(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def prose(notebook):
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def test_each_lesson_has_its_solutions_and_the_other_way_round():
    assert [path.name for path in LESSONS] == [path.name for path in SOLUTIONS]
    assert [path.name[:2] for path in LESSONS][:4] == ["00", "01", "02", "03"]


@every_lesson
def test_anatomy(path):
    notebook = read(path)
    first = notebook.cells[0].source
    number = int(path.name[:2])
    assert re.match(rf"# {number} · \S", first)
    assert re.search(r"^\*\*.+\?\*\*$", first, re.M), "the one question, bold"
    for row in ("| Time |", "| You need |", "| Afterwards you can |"):
        assert row in first
    assert "**Predict.**" in first
    headings = re.findall(r"^## (.+)$", prose(notebook), re.M)
    wanted = ["Measure it", "Where it breaks", "Exercises", "Recap"]
    assert [heading for heading in headings if heading in wanted] == wanted
    assert "Further reading" in prose(notebook)


@every_lesson
def test_length(path):
    notebook = read(path)
    assert len(prose(notebook).split()) <= 2600  # about 2,500
    assert len(code_cells(notebook)) <= 40
    for cell in code_cells(notebook):
        assert len(cell.source.splitlines()) <= 25, cell.source.splitlines()[0]


@every_lesson
def test_figures_are_described_in_words(path):
    notebook = read(path)
    figures = 0
    for cell, following in zip(notebook.cells, notebook.cells[1:]):
        pictures = [output for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
        if pictures and "interact" not in cell.source:
            figures += 1
            assert following.cell_type == "markdown" and following.source.startswith("*Figure:"), cell.source
    assert figures >= 2


@every_lesson
def test_at_least_half_of_the_outputs_are_compared(path):
    cells = code_cells(read(path))
    ignored = [cell for cell in cells if "nbval-ignore-output" in cell.metadata.get("tags", [])]
    assert len(ignored) <= len(cells) / 2
    assert not any(tag.startswith("nbval-skip") for cell in cells for tag in cell.metadata.get("tags", []))
    assert "NBVAL" not in json.dumps([cell.source for cell in cells])


@every_notebook
def test_outputs_come_from_one_clean_run(path):
    notebook = read(path)
    counts = [cell.execution_count for cell in code_cells(notebook)]
    assert counts == list(range(1, len(counts) + 1))
    assert path.stat().st_size < 2e6
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error", cell.source
            assert output.get("name") != "stderr", cell.source


@every_notebook
def test_no_paths_warnings_or_progress_bars(path):
    notebook = read(path)
    seen = [cell.source for cell in notebook.cells]
    for cell in code_cells(notebook):
        for output in cell.outputs:
            seen.append(output.get("text", ""))
            seen.append(output.get("data", {}).get("text/plain", ""))
    text = "\n".join(seen)
    assert not re.search(r"(?<![\w.])/(root|home|tmp|work|Users|mnt)/", text)
    assert not re.search(r"Warning:|it/s\]|%\|", text)


@every_notebook
def test_links_in_the_repository_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)#]+)\)", prose(read(path))):
        if not target.startswith("http"):
            assert (path.parent / target).exists(), target
