"""A project from its table to its student: stopped and gone on, changed and done anew, saved and loaded, told in a page."""

import csv
import dataclasses
import html.parser
import io
import json
import os
import re
import shutil
import subprocess
import sys
import time
import types
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import project_tables as tables
import pytest
import torch

import distill_lessons.__main__ as cli
from distill_lessons import project
from distill_lessons.pairs import reviews
from distill_lessons.project import distilling, exporting, predicting, reporting, stages, students
from distill_lessons.project.config import TableSettings, settings
from distill_lessons.project.table import Row, rows


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A project that went through, what its stages gave, and what was told."""
    told = []
    folder = tables.tiny(tmp_path_factory.mktemp("projects") / "mine")
    return folder, project.distil(folder, tell=told.append), told


@pytest.fixture
def again(finished, tmp_path):
    """A copy of it to change."""
    return Path(shutil.copytree(finished[0], tmp_path / "mine"))


def redone(folder, monkeypatch=None, **changes):
    """The stages that are made when a setting is changed, pieces of them left out."""
    if monkeypatch:
        monkeypatch.setattr(reporting, "picture", lambda figure, words: "")
    text = (folder / "project.toml").read_text(encoding="utf-8")
    for old, new in changes.get("replace", []):
        assert old in text
        text = text.replace(old, new)
    (folder / "project.toml").write_text(text, encoding="utf-8")
    told = []
    project.distil(folder, tell=told.append)
    return {line.split(":")[0] for line in told if "done before" not in line and "/" not in line}


# --- The whole --------------------------------------------------------------------------------------------------------


def test_a_student_learns_what_a_rule_on_a_part_of_the_words_knows(finished):
    judged = finished[1]["evaluation"].values
    assert judged["accuracy"]["student"]["value"] > 0.85 > judged["accuracy"]["commonest class"]["value"]
    assert judged["against_teacher"]["items"] <= judged["labelled"] <= judged["rows"]


def test_the_same_command_again_does_nothing(finished, again):
    assert redone(again) == set()


LATER = {"export", "report"}
AFTER_STUDENT = {"control", "calibration", "evaluation", "int8", "speed", "cost"} | LATER


@pytest.mark.parametrize(
    "replace, expected",
    [
        ([("[report]", "[report]\nmargin = 0.1")], {"evaluation", "report"}),
        ([("[report]", "[report]\nint8_change = 0.0")], {"int8"} | LATER),
        ([("teacher = 2.0", "teacher = 3.0")], {"cost", "report"}),
        ([("[student]", "[student]\ncontrol = false")], {"control", "evaluation", "report"}),
        ([("steps = 12", "steps = 13")], {"student"} | AFTER_STUDENT),
        ([("filters = []", 'filters = [{ name = "agreement" }]')], {"select", "student"} | AFTER_STUDENT),
        ([(', "broken"', "")], {"teacher", "select", "student"} | AFTER_STUDENT),
        ([("[table]", '[table]\nclasses = ["good", "bad"]')], {"split", "teacher", "select", "student"} | AFTER_STUDENT),
    ],
)  # fmt: skip
def test_a_changed_setting_repeats_what_depends_on_it_and_nothing_else(again, monkeypatch, replace, expected):
    assert redone(again, monkeypatch, replace=replace) == expected


def test_a_changed_table_repeats_everything_and_a_lost_file_is_made_again(again, monkeypatch):
    (again / "student" / "vocabulary.json").unlink()
    (again / "report.html").write_text("other", encoding="utf-8")
    (again / "work" / "calibration.safetensors").write_bytes(b"damaged")
    assert redone(again, monkeypatch) == {"calibration", "export", "report"}
    with open(again / "texts.csv", "a", encoding="utf-8") as file:
        file.write("one more warm text,good\n")
    assert redone(again, monkeypatch) == {"split", "teacher", "select", "student"} | AFTER_STUDENT


STOPPED = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from distill_lessons import project, runtime
from distill_lessons.project import reporting

folder, log = sys.argv[1:]
reporting.picture = lambda figure, words: ""
plain = runtime.replacing

def once(attempt):
    @contextmanager
    def replacing(path):
        with plain(path) as temporary:
            yield temporary
            if attempt % 2:  # written and not yet in its place
                os.kill(os.getpid(), signal.SIGKILL)
        with open(log, "a") as file:
            file.write(f"{Path(path).relative_to(folder)}\\n")
        os.kill(os.getpid(), signal.SIGKILL)
    runtime.replacing = replacing
    project.distil(folder)
    os._exit(0)

for attempt in range(200):
    child = os.fork()
    if not child:
        once(attempt)
    _, status = os.waitpid(child, 0)
    if os.WIFEXITED(status):
        sys.exit(os.WEXITSTATUS(status) or attempt < 20)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_killed_anywhere_it_goes_on_and_repeats_nothing_that_is_finished(finished, tmp_path):
    folder, log = tables.tiny(tmp_path / "mine"), tmp_path / "log"
    done = subprocess.run([sys.executable, "-c", STOPPED, str(folder), str(log)], env=os.environ | {"OMP_NUM_THREADS": "1"},
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 0, done.stderr
    written = log.read_text().split()
    work = [name for name in written if name.startswith("work/")]
    assert len(work) == len(set(work)) == len(list((folder / "work").rglob("*.safetensors")))
    assert not [name for name in work if "/." in name]
    for name in ("student", "evaluation", "calibration"):
        ours = project.distil(folder)[name]
        assert ours.key == finished[1][name].key
        assert all(torch.equal(tensor, ours.tensors[each]) for each, tensor in finished[1][name].tensors.items())


def test_half_written_files_of_a_killed_run_are_removed_in_time(tmp_path):
    work = tmp_path / "work" / "trials"
    work.mkdir(parents=True)
    for name, age in ((".bag.safetensors.old", 2), (".bag.safetensors.new", 0.5), ("bag.safetensors", 9)):
        (work / name).touch()
        os.utime(work / name, (time.time() - age * stages.LEFT_OVER,) * 2)
    stages.tidy(tmp_path)
    assert sorted(path.name for path in work.iterdir()) == [".bag.safetensors.new", "bag.safetensors"]


# --- The student's folder, and its answers ----------------------------------------------------------------------------


def test_a_loaded_student_answers_to_the_bit_what_the_one_in_memory_does(finished):
    folder, done, _ = finished
    temperature = done["calibration"].values["temperature"]
    ours = project.student_of(settings(folder), done["split"], done["student"], temperature)
    texts = [text for text, _ in tables.texts(50, seed=9)]
    read = project.load(folder / "student")
    assert torch.equal(project.probabilities(ours, texts), project.probabilities(read, texts))
    assert temperature != 1 and read.temperature == temperature
    assert torch.equal(project.probabilities(read, texts), (students.logits(ours, texts) / temperature).softmax(1))
    small = project.load(folder / "student", int8=True)
    assert (project.probabilities(small, texts) - project.probabilities(read, texts)).abs().max() < 0.05
    assert not list(folder.rglob("*.p*kl*")) and not list(folder.rglob("*.bin"))


def test_the_test_logits_are_those_of_the_student_on_the_test_rows(finished):
    folder, done, _ = finished
    table = project.read(settings(folder))
    judged = done["evaluation"]
    assert torch.equal(judged.tensors["places"], project.places(done["split"], project.TEST))
    texts = [table.texts[place] for place in judged.tensors["places"]]
    assert torch.equal(judged.tensors["logits"], students.logits(project.load(folder / "student"), texts))


def test_the_vocabulary_is_of_training_texts_alone(finished):
    folder, done, _ = finished
    table, used = project.read(settings(folder)), done["select"].tensors["used"].nonzero().flatten().tolist()
    read = {word for place in used for word in students.words(table.texts[place])}
    assert set(project.load(folder / "student").vocabulary) <= read
    assert not set(used) & set(project.places(done["split"], project.TEST).tolist())


@pytest.mark.parametrize(
    "name, content, said",
    [
        ("model.safetensors", None, "no model.safetensors"),
        ("model.safetensors", b"torn", "cannot be read"),
        ("vocabulary.json", b"[]", "cannot be read"),
        ("student.json", b"{}", "cannot be read"),
        ("student.json", (b'"format": 1', b'"format": 2'), "format 2"),
        ("student.json", (b'"kind": "bag"', b'"kind": "os.system"'), "os.system"),
    ],
)
def test_a_damaged_student_is_told_in_one_sentence(again, name, content, said):
    path = again / "student" / name
    if content is None:
        path.unlink()
    else:
        path.write_bytes(path.read_bytes().replace(*content) if isinstance(content, tuple) else content)
    with pytest.raises((ValueError, OSError), match=re.escape(said)) as told:
        project.load(again / "student")
    assert len(str(told.value).splitlines()) == 1


def test_answers_come_in_order_whatever_the_batch_and_broken_rows_stay(finished):
    student = project.load(finished[0] / "student")
    given = [Row(number, {"text": text}) for number, (text, _) in enumerate(tables.texts(20, seed=5), 1)]
    given[3], given[7], given[8] = Row(4, {}, "row 4 is torn"), Row(8, {"text": " "}), Row(9, {"text": 5})
    whole = list(project.predict(student, given))
    assert [answer.row for answer in whole] == list(range(1, 21))
    assert [answer.row for answer in whole if answer.label is None] == [4, 8, 9] == [a.row for a in whole if a.problem]
    for batch in (1, 3, 20):
        for one, other in zip(whole, project.predict(student, given, batch=batch)):
            assert (one.row, one.label, one.problem) == (other.row, other.label, other.problem)
            assert one.label is None or one.probability == pytest.approx(other.probability, abs=1e-6)
    text = given[0].cells["text"]
    expected = project.probabilities(student, [text])[0]
    assert whole[0].label == student.classes[expected.argmax()]
    assert whole[0].probability == pytest.approx(expected.max().item(), abs=1e-6) and 0.5 <= whole[0].probability <= 1
    assert project.probabilities(student, [row.cells["text"] for row in given[9:]]).sum(1).sub(1).abs().max() < 1e-6


def test_predict_reads_a_table_and_writes_csv_or_json_lines(finished, tmp_path, capsys):
    (tmp_path / "t.csv").write_bytes(b"id;text\n1;warm lovely kind\n2;\n3;caf\xe9\n4;cold awful grim\n")
    call = ["predict", str(finished[0] / "student"), str(tmp_path / "t.csv")]
    assert cli.main(call) == 0
    out, err = capsys.readouterr()
    rows = list(csv.DictReader(io.StringIO(out)))
    assert [row["row"] for row in rows] == ["1", "2", "3", "4"]
    assert [row["label"] for row in rows] == ["good", "", "", "bad"] and rows[1]["probability"] == ""
    assert "row 2, column 'text' is empty" in err and "row 3, column 'text' is not utf-8" in err
    assert cli.main([*call, "--format", "jsonl", "--out", str(tmp_path / "out.jsonl"), "--int8"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [line["label"] for line in lines] == ["good", None, None, "bad"]
    assert 0.5 < lines[0]["probability"] <= 1 and "problem" not in lines[0] and "row 3" in lines[2]["problem"]
    assert cli.main([*call[:2], str(tmp_path / "none.csv")]) == 1 and "no file" in capsys.readouterr().err
    assert cli.main([*call, "--column", "words"]) == 1 and "no column 'words'" in capsys.readouterr().err


def test_predict_reads_a_line_a_text_from_standard_input(finished, monkeypatch, capsys):
    given = b"\xef\xbb\xbfwarm lovely kind\r\n\n\xff\xfe\ncold awful grim"
    monkeypatch.setattr(sys, "stdin", types.SimpleNamespace(buffer=io.BytesIO(given)))
    assert cli.main(["predict", str(finished[0] / "student"), "--format", "jsonl"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(line["row"], line["label"]) for line in lines] == [(1, "good"), (2, None), (3, None), (4, "bad")]


# --- The page and the card --------------------------------------------------------------------------------------------


class Page(html.parser.HTMLParser):
    """What is needed of a page: open tags, images, links, text."""

    VOID = {"meta", "img", "br"}

    def __init__(self, text):
        super().__init__()
        self.open, self.images, self.links, self.text, self.tags = [], [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        given = dict(attributes)
        if tag == "img":
            self.images.append(given)
        self.links += [given[name] for name in ("src", "href") if name in given]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_the_page_needs_nothing_else_and_says_what_was_found(finished):
    folder, done, _ = finished
    page = Page((folder / "report.html").read_text(encoding="utf-8"))
    assert page.open == [] and page.tags.count("h1") == 1 and "script" not in page.tags
    assert len(page.images) >= 3 and all(len(image["alt"]) > 20 for image in page.images)
    assert all(link.startswith("data:image/png;base64,") for link in page.links)
    text = " ".join(" ".join(page.text).split())
    for sentence in project.sentences(done):
        assert " ".join(sentence.split()) in text
    for stage in ("int8", "cost"):
        assert done[stage].values["words"][1:] in text
    one = project.read(settings(folder)).texts[0]
    card = (folder / "student" / "README.md").read_text(encoding="utf-8")
    assert one not in text and one not in card
    assert "distill-lessons predict" in card and all(sentence in card for sentence in project.sentences(done))


def test_names_from_the_table_cannot_become_markup(finished):
    folder, done, _ = finished
    split = done["split"]
    odd = '<script>alert("x")</script> $a & b$'
    classes = split.values["classes"]
    judged = done["evaluation"].values
    shown = [row | {"class": odd} for row in judged["classes"]]
    done = done | {
        "split": split._replace(values=split.values | {"classes": [odd, *classes[1:]]}),
        "evaluation": done["evaluation"]._replace(values=judged | {"classes": shown}),
    }
    page = Page(reporting.page(settings(folder), done))
    assert "script" not in page.tags and odd in "".join(page.text)


def test_a_student_without_a_labelled_test_is_reported_by_agreement(tmp_path, monkeypatch):
    folder = tables.tiny(tmp_path / "mine", count=120, labelled=10**6, table={"classes": ["bad", "good"]})
    done = project.distil(folder)
    judged = done["evaluation"].values
    assert judged["accuracy"] == {} and judged["against_teacher"] is None and judged["agreement"]["items"] >= 15
    said = " ".join(project.sentences(done))
    assert "too few to tell an accuracy" in said and "are the teacher's" in said
    Page((folder / "report.html").read_text(encoding="utf-8"))


def test_the_verdict_comes_first_and_what_is_saved_by_a_worse_student_says_so(finished):
    folder, done, _ = finished
    judged = done["evaluation"].values

    def page_with(verdict):
        against = judged["against_teacher"] | {"verdict": verdict}
        changed = done["evaluation"]._replace(values=judged | {"against_teacher": against})
        return reporting.page(settings(folder), done | {"evaluation": changed})

    first = project.sentences(done)[0]
    assert first.startswith("The student against its teacher: ") and judged["against_teacher"]["words"] in first
    assert ["paid for in answers" in page_with(verdict) for verdict in ("worse", "open", "not worse")] == [
        True,
        False,
        False,
    ]


def test_names_keep_their_capitals_in_the_card(finished):
    card = (finished[0] / "student" / "README.md").read_text(encoding="utf-8")
    words = finished[1]["export"].values["onnx"]
    assert "ONNX" in words + "ONNX" and reporting.sentence("no ONNX: onnx") == "No ONNX: onnx."
    assert words[1:] in card


def test_a_column_of_another_name_is_told_where_the_student_is_asked(finished, tmp_path, capsys):
    about = settings(finished[0])
    assert reporting.command(about, "student") == "distill-lessons predict student texts.csv"
    named = dataclasses.replace(about, table=dataclasses.replace(about.table, text="my text"))
    assert reporting.command(named, "student") == "distill-lessons predict student texts.csv --column 'my text'"
    (tmp_path / "t.csv").write_text("Meinung\nwarm\n", encoding="utf-8")
    assert cli.main(["predict", str(finished[0] / "student"), str(tmp_path / "t.csv")]) == 1
    said = capsys.readouterr().err
    assert "no column 'text', only 'Meinung': name it with --column" in said and "project.toml" not in said


def test_ctrl_c_says_that_the_same_command_goes_on(again, monkeypatch, capsys):
    def stopped(*arguments, **keywords):
        raise KeyboardInterrupt

    monkeypatch.setattr(distilling, "distil", stopped)
    with pytest.raises(SystemExit) as left:
        cli.main(["distil", str(again)])
    told = capsys.readouterr().err
    assert left.value.code == 130 and "the same command goes on" in told and "Traceback" not in told


@pytest.mark.skipif(exporting.missing_for_onnx() != [], reason="needs onnx, onnxscript and onnxruntime")
@pytest.mark.parametrize("kind", list(students.KINDS))
def test_onnx_gives_the_same_logits_and_is_not_kept_where_it_does_not(kind, tmp_path, monkeypatch):
    texts = [text for text, _ in tables.texts(20)]
    student = students.build(kind, ["a", "b"], *students.vocabulary_of(texts)[:1], 8, 16)
    assert "gives the same logits" in exporting.to_onnx(student, tmp_path / "model.onnx", texts, [])
    monkeypatch.setattr(exporting, "ONNX_TOLERANCE", -1.0)
    assert "a logit differs" in exporting.to_onnx(student, tmp_path / "model.onnx", texts, [])
    assert list(tmp_path.iterdir()) == []


# --- new, and the notebook --------------------------------------------------------------------------------------------


def test_new_makes_a_folder_that_says_what_is_missing(tmp_path, capsys):
    folder = tmp_path / "my project"
    assert cli.main(["new", str(folder)]) == 0
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "distil.ipynb", "project.toml"]
    assert cli.main(["distil", str(folder)]) == 1
    assert "there is no table texts.csv" in capsys.readouterr().err
    assert cli.main(["new", str(folder)]) == 1
    assert "is a project already" in capsys.readouterr().err
    nbformat.validate(nbformat.read(folder / "distil.ipynb", 4))


def test_the_example_is_a_project_that_is_ready_and_gives_no_label_away(tmp_path, capsys):
    folder = tmp_path / "reviews"
    assert cli.main(["new", str(folder), "--example"]) == 0
    found = settings(folder)
    table = project.read(found)
    frame = pd.read_csv(folder / "texts.csv", keep_default_na=False)
    counts = frame.groupby("part").label.agg(lambda each: (each != "").sum()).to_dict()
    assert len(table.texts) == len(frame) == len(reviews.sentences())
    assert counts["train"] == 640 and set(counts) == {"train", "validation", "test"}
    assert set(np.flatnonzero((frame.part == "train") & (frame.label != ""))) == set(reviews.labelled(640).tolist())
    places = reviews.places("test")
    said = (frame.yes > frame.no).to_numpy()[places] == (frame.label == "positive").to_numpy()[places]
    assert said.mean() == pytest.approx(0.815, abs=0.01)  # the teacher's logits stand beside their own sentences
    assert (found.teacher.kind, found.table.label, found.split.column) == ("probabilities", "label", "part")
    split = project.split(found, table)
    answers = project.teach(found, table, split).tensors["probabilities"]
    assert answers.isnan().any(1).sum() == len(split.values["left_out"])  # near-copies, which nobody is asked about


def test_an_example_is_not_laid_over_a_table(tmp_path, capsys):
    (tmp_path / "texts.csv").write_text("text\nmine\n", encoding="utf-8")
    assert cli.main(["new", str(tmp_path), "--example"]) == 1
    assert "has a texts.csv already" in capsys.readouterr().err
    assert (tmp_path / "texts.csv").read_text(encoding="utf-8") == "text\nmine\n"
    assert not (tmp_path / "project.toml").exists()


def test_the_settings_that_new_writes_are_the_defaults_and_name_every_one(tmp_path):
    folder = project.new(tmp_path / "mine")
    found = settings(folder)
    text = (folder / "project.toml").read_text(encoding="utf-8")
    for section in ("table", "split", "teacher", "student", "report", "prices"):
        for field in dataclasses.fields(getattr(found, section)):
            assert re.search(rf"^(# )?{field.name} = ", text, re.M), f"{section}.{field.name}"
            assert getattr(getattr(found, section), field.name) == (
                field.default if field.default is not dataclasses.MISSING else field.default_factory()
            )
    everything = re.sub(r"^# (?=[a-z_0-9]+ = )", "", text.replace("words = { }", ""), flags=re.M)
    (folder / "project.toml").write_text(everything.replace('model = "its-name"\n', ""), encoding="utf-8")
    settings(folder)  # what stands in comments is TOML too, and known


def test_the_notebooks_cells_run_and_share_the_finished_work(again, monkeypatch, capsys):
    project.new(again.parent / "other")
    monkeypatch.chdir(again)
    monkeypatch.setattr(reporting, "picture", lambda figure, words: "")
    before = {path: path.stat().st_mtime_ns for path in (again / "work").rglob("*.safetensors")}
    space = {}
    for cell in nbformat.read(again.parent / "other" / "distil.ipynb", 4).cells:
        if cell.cell_type == "code":
            exec(compile(cell.source, cell.id, "exec"), space)
    changed = {path.name for path, time in before.items() if path.stat().st_mtime_ns != time}
    assert changed == set() and "student" in capsys.readouterr().out.lower()
    assert all(len(line) <= 96 for cell in nbformat.read(again.parent / "other" / "distil.ipynb", 4).cells
               if cell.cell_type == "code" for line in cell.source.splitlines())  # fmt: skip


@pytest.mark.parametrize("command", ["new", "distil", "predict"])
def test_every_command_has_a_help(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0 and f"usage: distill-lessons {command}" in capsys.readouterr().out


def test_rows_of_a_table_are_read_as_they_come(tmp_path):
    (tmp_path / "t.csv").write_text("text\n" + "warm\n" * 1000, encoding="utf-8")
    read = []

    def watched():
        for row in rows(tmp_path / "t.csv", TableSettings(), ["text"]):
            read.append(row.number)
            yield row

    student = students.build("bag", ["a", "b"], ["warm"], 8, 16)
    first = next(predicting.predict(student, watched(), batch=10))
    assert first.row == 1 and len(read) == 10
