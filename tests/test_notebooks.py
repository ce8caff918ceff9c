"""Every notebook: anatomy, one clean run, no debris, enough compared outputs. (nbval runs them; this reads them.)"""

import html.parser
import json
import re

import execute
import nbconvert
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
def test_figures_are_described_for_those_who_cannot_see_them(path):
    """The sentence under a figure is its alternative text too: `python tools/execute.py --tidy` writes it."""
    notebook = read(path)
    described = 0
    for cell, following in zip(notebook.cells, notebook.cells[1:]):
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                text = execute.alternative_text(following.source)
                assert output.metadata.get("image/png", {}).get("alt") == text, cell.source
                described += text is not None
    assert described >= 2


@every_notebook
def test_pages_without_a_kernel_show_what_sliders_draw(path):
    for cell in code_cells(read(path)):
        for output in cell.outputs:
            assert execute.WIDGET not in output.get("data", {}), "execute it anew: `python tools/execute.py NOTEBOOK`"
            assert "interactive(" not in output.get("data", {}).get("text/plain", ""), cell.source


@every_notebook
def test_saving_it_unrun_changes_nothing(path):
    """What Jupyter writes about the kernel stands there already, the same everywhere but for the version of Python."""
    about = json.loads(json.dumps(read(path).metadata))
    assert about["language_info"].pop("version")
    assert about == {"kernelspec": execute.KERNEL, "language_info": execute.LANGUAGE}


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


# --- what tools/execute.py makes of a run ---------------------------------------------------------------------------------

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PICTURE = {"output_type": "display_data", "metadata": {}, "data": {"image/png": PIXEL, "text/plain": "<Figure>"}}


def made(*cells):
    """A notebook of code cells (lists of outputs) and Markdown cells (texts)."""
    return nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell(cell)
            if isinstance(cell, str)
            else nbformat.v4.new_code_cell("f()", outputs=[nbformat.from_dict(output) for output in cell])
            for cell in cells
        ]
    )


@pytest.mark.parametrize(
    "markdown, text",
    [
        ("*Figure:* one bar\na row.\n\nMore.", "One bar a row."),
        ("*Figure: the **teacher** and the `student`.*", "The teacher and the student."),
        ("*Figure:* the loss $\\alpha x$ in [lesson 3](03.ipynb), from $0.001 to $5.", "The loss \\alpha x in lesson 3, from $0.001 to $5."),
        ("*Figure:* it costs \\$5.", "It costs $5."),
        ("A figure: no.", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_sentence_under_a_figure_becomes_plain_text(markdown, text):
    assert execute.alternative_text(markdown) == text


def test_a_figure_is_described_by_the_sentence_under_it():
    large = PICTURE | {"metadata": {"image/png": {"width": 300, "alt": "old"}}}
    text = {"output_type": "stream", "name": "stdout", "text": "1"}
    notebook = execute.described(made([text, large, PICTURE], "*Figure:* rising.", [large], "Nothing.", [PICTURE]))
    about = [
        output.metadata for cell in code_cells(notebook) for output in cell.outputs if output.output_type != "stream"
    ]
    assert about[:2] == [{"image/png": {"width": 300, "alt": "Rising."}}, {"image/png": {"alt": "Rising."}}]
    assert about[2:] == [{"image/png": {"width": 300}}, {}]


def images(page):
    """The attributes of every picture of an HTML page."""
    found = []
    parser = html.parser.HTMLParser()
    parser.handle_starttag = lambda tag, attributes: found.append(dict(attributes)) if tag == "img" else None
    parser.feed(page)
    return found


def test_the_description_reaches_html():
    notebook = execute.described(made([PICTURE], '*Figure:* "a" < b & c.', [PICTURE]))
    exporter = nbconvert.HTMLExporter(extra_template_basedirs=[str(ROOT / "tools")], template_name="page")
    one, other = images(exporter.from_notebook_node(notebook)[0])
    assert one["alt"] == '"a" < b & c.' and one["src"].endswith(PIXEL)
    assert other["alt"].startswith("No description")


def with_slider(held):
    """A cell that shows a widget, whose child of a child holds outputs."""
    view = {"model_id": "top", "version_major": 2, "version_minor": 0}
    shown = {
        "output_type": "display_data",
        "metadata": {},
        "data": {execute.WIDGET: view, "text/plain": "interactive("},
    }
    state = {
        "top": {"state": {"children": ["IPY_MODEL_slider", "IPY_MODEL_box"]}},
        "slider": {"state": {"value": 1.0}},
        "box": {"state": {"children": ["IPY_MODEL_out"]}},
        "out": {"state": {"outputs": held}},
    }
    text = {"output_type": "stream", "name": "stdout", "text": "before"}
    notebook = made([text, shown], "*Figure:* rising.")
    notebook.metadata["widgets"] = {execute.STATE: {"state": state}}
    return notebook


def test_a_slider_leaves_the_picture_that_it_holds():
    notebook = execute.tidied(with_slider([PICTURE]))
    nbformat.validate(notebook)
    first, second = notebook.cells[0].outputs
    assert first.text == "before" and second.data == PICTURE["data"]
    assert second.metadata == {"image/png": {"alt": "Rising."}}
    assert "widgets" not in notebook.metadata and execute.WIDGET not in json.dumps(notebook)


def test_a_widget_that_holds_nothing_leaves_nothing():
    assert [output.text for output in execute.tidied(with_slider([])).cells[0].outputs] == ["before"]


def test_a_real_slider_runs_and_is_replaced(tmp_path):
    source = """import ipywidgets, matplotlib.pyplot as plt
%matplotlib inline
def show(T=1.0):
    plt.plot([1, T])
    plt.show()
_ = ipywidgets.interact(show, T=ipywidgets.FloatSlider(value=1.0))"""
    notebook = made()
    notebook.cells = [nbformat.v4.new_code_cell(source, metadata={"tags": ["a"], "editable": True})]
    nbformat.write(notebook, tmp_path / "slider.ipynb")
    execute.main([str(tmp_path / "slider.ipynb")])
    done = read(tmp_path / "slider.ipynb")
    (output,) = done.cells[0].outputs
    assert "image/png" in output.data and execute.WIDGET not in output.data
    assert done.cells[0].metadata == {"tags": ["a"]} and done.metadata.kernelspec == execute.KERNEL


def test_tidying_runs_nothing_writes_what_changed_and_refuses_sliders(tmp_path, capsys):
    path = tmp_path / "one.ipynb"
    nbformat.write(made([PICTURE], "*Figure:* rising."), path)
    assert execute.tidy(path) and not execute.tidy(path)
    assert read(path).cells[0].execution_count is None and read(path).cells[0].outputs[0].metadata["image/png"]
    execute.main(["--tidy", str(path)])
    assert "as it was" in capsys.readouterr().out
    nbformat.write(with_slider([PICTURE]), path)
    with pytest.raises(ValueError, match="one.ipynb holds a slider.*without --tidy"):
        execute.tidy(path)


def test_the_picture_of_the_readme_is_that_of_the_lesson_and_not_of_its_solutions(tmp_path, monkeypatch):
    monkeypatch.setattr(execute, "PICTURE", tmp_path / "picture.png")
    for folder in ("solutions", "notebooks"):
        (tmp_path / folder).mkdir()
        execute.save(made([PICTURE], "*Figure:* rising."), tmp_path / folder / "00_x.ipynb")
        assert (tmp_path / "picture.png").exists() == (folder == "notebooks")
