"""Every notebook: anatomy, one clean run, no debris, enough compared outputs. (nbval runs them; this reads them.)"""

import html.parser
import json
import re
import sys

import execute
import nbconvert
import nbformat
import pytest
import tolerance

from distill_lessons import runtime
from distill_lessons.course import exercises

ROOT = runtime.REPOSITORY
LESSONS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SOLUTIONS = sorted((ROOT / "solutions").glob("*.ipynb"))
every_lesson = pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
every_notebook = pytest.mark.parametrize(
    "path", LESSONS + SOLUTIONS, ids=lambda path: f"{path.parent.name}/{path.stem}"
)

SETUP = """try:
    from distill_lessons import runtime
except ModuleNotFoundError:
    how = "run `make setup`, then `make lab`, in the course's folder (without make: README.md)"
    raise ImportError(f"The course is not installed in this Python: {how}.") from None"""
LEFT_OUT = "nbval-ignore-output"  # times, memory, a model's free text: no number to compare
TAGS = {"exercise", LEFT_OUT}


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
def test_cells_fit_on_a_screen(path):
    for cell in code_cells(read(path)):
        assert len(cell.source.splitlines()) <= 25, cell.source.splitlines()[0]


def shown_texts(cell):
    """What a code cell printed or showed as text."""
    return [text for output in cell.outputs for kind, text, *_ in tolerance.texts(output) if kind != "text/html"]


def shortcomings(notebook):
    """What a reader of a notebook would mind, one sentence each."""
    cells, words = code_cells(notebook), len(prose(notebook).split())
    if words > 1800:
        yield f"{words} words of prose, and 1,800 are a sitting"
    if len(cells) > 30:
        yield f"{len(cells)} code cells, and 30 are enough"
    left_out = [cell for cell in cells if LEFT_OUT in cell.metadata.get("tags", [])]
    if len(left_out) > len(cells) / 5:
        yield f"the outputs of {len(left_out)} of {len(cells)} code cells are not compared, and a fifth may be left out"
    for cell in cells:
        for line in cell.source.splitlines():
            if len(line) > 96:
                yield f"a code line of {len(line)} characters scrolls sideways from 97 on: {line.strip()}"
        for line in "\n".join(shown_texts(cell)).splitlines():
            if re.search(r"\b(True|False)\W*$", line):
                yield f"print the number, and not whether it is as expected: {line}"


@every_notebook
def test_pages_are_short_and_show_numbers(path):
    assert list(shortcomings(read(path))) == []


@every_notebook
def test_the_first_cell_says_how_to_set_up(path):
    """The same cell everywhere, so that a reader in any Jupyter is told what to do before anything else fails."""
    assert code_cells(read(path))[0].source == SETUP


def test_without_the_package_the_first_cell_says_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "distill_lessons", None)  # as if it were not there
    with pytest.raises(ImportError) as told:
        exec(SETUP, {})
    assert str(told.value) == (
        "The course is not installed in this Python: run `make setup`, then `make lab`, in the course's folder "
        "(without make: README.md)."
    )
    assert told.value.__suppress_context__


def test_with_the_package_the_first_cell_brings_runtime():
    found = {}
    exec(SETUP, found)
    assert found["runtime"] is runtime


@pytest.mark.parametrize("place", range(len(LESSONS)), ids=lambda place: LESSONS[place].stem)
def test_a_page_leads_to_its_neighbours(place):
    """To the lesson before, the one after and the solutions; and from these back."""
    path = LESSONS[place]
    wanted = {f"../solutions/{path.name}", *(other.name for other in LESSONS[max(place - 1, 0) : place + 2])}
    links = set(re.findall(r"\]\(([^)#]+)\)", prose(read(path))))
    assert wanted - {path.name} <= links
    assert f"](../notebooks/{path.name})" in prose(read(SOLUTIONS[place]))


@pytest.mark.parametrize(
    "words, sources, left_out, told",
    [
        (1800, ["x" * 96] * 30, 6, None),
        (1801, [], 0, "1801 words"),
        (0, ["x"] * 31, 0, "31 code cells"),
        (0, ["x\n" + "x" * 97], 0, "97 characters"),
        (0, ["x"] * 30, 7, "7 of 30"),
        (0, ["x"] * 5, 1, None),
        (0, ["x"] * 4, 1, "1 of 4"),
    ],
)
def test_what_a_page_lacks_is_told(words, sources, left_out, told):
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    for cell in cells[:left_out]:
        cell.metadata["tags"] = [LEFT_OUT]
    found = list(shortcomings(nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("word " * words), *cells])))
    assert found == [] if told is None else len(found) == 1 and told in found[0]


@pytest.mark.parametrize(
    "text, told",
    [("same: True\n0.5", 1), ("a: False.\nb: True", 2), ("True or 0.5", 0), ("{'a': True}", 1), ("Untrue: UnTrue", 0)],
)
def test_a_line_that_ends_in_a_verdict_is_told(text, told):
    for output in (
        nbformat.v4.new_output("stream", name="stdout", text=text),
        nbformat.v4.new_output("execute_result", data={"text/plain": text}),
    ):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("x", outputs=[output])])
        assert len(list(shortcomings(notebook))) == told


@every_notebook
def test_tags_mean_something(path):
    for cell in code_cells(read(path)):
        tags = cell.metadata.get("tags", [])
        asked = [tag for tag in tags if tag not in TAGS]
        if asked:
            assert tolerance.asked(asked) is not None and tolerance.asked(tags), f"an unknown tag: {asked}"
            numbers = [number for text in shown_texts(cell) for number in tolerance.split(text)[1]]
            assert numbers, f"{asked}, and no number in the output of: {cell.source}"


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
    ignored = [cell for cell in cells if LEFT_OUT in cell.metadata.get("tags", [])]
    assert len(ignored) <= len(cells) / 2
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


def test_what_a_check_says_wraps_at_words(capsys):
    def answer(student_logits, teacher_logits):
        raise ValueError("a long story " * 30)

    exercises.check("0.1", answer)
    printed = capsys.readouterr().out
    assert len(printed.splitlines()) > 3 and max(map(len, printed.splitlines())) <= 96
    assert " ".join(printed.split()) == exercises.verdict("0.1", answer)
    exercises.check("0.1", ...)
    assert capsys.readouterr().out == "○ 0.1 not attempted yet\n"


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
