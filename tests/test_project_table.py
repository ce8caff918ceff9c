"""Tables as they come: other quotes and separators, missing cells, one class, duplicates: right, or one clear sentence."""

import collections
import itertools
import random

import project_tables as tables
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from distill_lessons import project
from distill_lessons.project import config
from distill_lessons.project.splitting import LEFT_OUT, PARTS
from distill_lessons.project.table import csv_rows, rows
from distill_lessons.teacher import filters


def table_of(folder, content, name="texts.csv", **about):
    (folder / name).write_bytes(content)
    given = {"table": {"file": name, "label": "label", **about}}
    return project.read(config.from_dict(folder, given))


@pytest.mark.parametrize(
    "content, about",
    [
        (b"text,label\nwarm,x\ncold,\n", {}),
        (b"\xef\xbb\xbftext,label\nwarm,x\ncold,\n", {}),
        (b"text;label\r\nwarm;x\r\ncold;\r\n", {}),
        (b"label\ttext\nx\twarm\n\tcold\n", {}),
        (b"id|label|text\n1|x|warm\n2||cold", {}),
        (b'"text","label"\n"warm","x"\n"cold",""\n\n', {}),
        (b"'text','label'\n'warm','x'\ncold,\n", {"quote": "'"}),
        (b" text , label \n warm ,x \ncold, \n", {}),
        (b"text#label\nwarm#x\ncold#\n", {"separator": "#"}),
        ("text,label\nwarm,x\ncold,\n".encode("utf-16"), {}),
        (b"text,label\n\nwarm,x\n\n\ncold,\n", {}),
    ],
)
def test_tables_of_many_forms_read_alike(tmp_path, content, about):
    found = table_of(tmp_path, content, **about)
    assert (found.texts, found.labels) == (["warm", "cold"], ["x", ""])


def test_a_text_may_hold_separators_quotes_and_line_breaks(tmp_path):
    found = table_of(tmp_path, 'text,label\n"one, ""two""\nthree",x\n"naïve – 好 😀",y\n'.encode())
    assert found.texts == ['one, "two"\nthree', "naïve – 好 😀"] and found.labels == ["x", "y"]


def test_another_encoding_is_read_if_it_is_named(tmp_path):
    assert table_of(tmp_path, "text,label\ncafé,x\n".encode("latin-1"), encoding="latin-1").texts == ["café"]


@pytest.mark.parametrize(
    "content, about, said",
    [
        (b"", {}, "no header"),
        (b"text,label\n", {}, "no row"),
        (b"words,label\nwarm,x\n", {}, "no column 'text', only 'words', 'label'"),
        (b"text,text,label\na,b,c\n", {}, "two columns 'text'"),
        (b"text,label\nwarm,x\none, two,y\n", {}, "row 2 has 3 cells and the header 2"),
        (b"text,label\nwarm\n", {}, "row 1 has 1 cells"),
        (b'text,label\nwarm,x\n"cold,y\nmore,x\n', {}, 'row 2 .*look for a " that is opened'),
        (b'text,label\n"a" b,x\n', {}, "row 1 .*cannot be read"),
        ("text,label\nwarm,x\ncafé,y\n".encode("latin-1"), {}, "row 2, column 'text' is not utf-8"),
        (b"text,label\nwarm,x\n", {"encoding": "klingon"}, "klingon"),
        (b"text,label\nwarm,x\n", {"file": "other.csv"}, "no table other.csv"),
        (b"no parquet", {"file": "texts.parquet"}, "no parquet file"),
    ],
)
def test_a_broken_table_is_told_by_row_and_column(tmp_path, content, about, said):
    about = dict(about)
    (tmp_path / ("texts.csv" if about.get("file") == "other.csv" else about.get("file", "texts.csv"))).write_bytes(
        content
    )
    with pytest.raises((ValueError, OSError), match=said) as told:
        project.read(config.from_dict(tmp_path, {"table": {"label": "label", **about}}))
    assert len(str(told.value).splitlines()) == 1


def test_parquet_reads_as_csv_does(tmp_path):
    pq.write_table(pa.table({"text": ["warm", None, " cold "], "label": [1.0, None, 2.0]}), tmp_path / "t.parquet")
    found = project.read(config.from_dict(tmp_path, {"table": {"file": "t.parquet", "label": "label"}}))
    assert (found.texts, found.labels) == (["warm", "", "cold"], ["1", "", "2"])


@pytest.mark.parametrize(
    "columns, said",
    [
        ({"text": [1, 2], "label": ["a", "b"]}, "row 1, column 'text' holds 1 and no text"),
        ({"text": ["a", "b"], "label": [0.0, 0.5]}, "row 2, column 'label' holds 0.5"),
        ({"texts": ["a"], "label": ["b"]}, "no column 'text'"),
    ],
)
def test_a_parquet_of_other_types_is_told_by_row_and_column(tmp_path, columns, said):
    pq.write_table(pa.table(columns), tmp_path / "t.parquet")
    with pytest.raises(ValueError, match=said):
        project.read(config.from_dict(tmp_path, {"table": {"file": "t.parquet", "label": "label"}}))


def test_rows_after_a_broken_one_keep_their_numbers(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(b'text,label\nwarm,x\n"a" b,x\nthree,cells,here\n\xff,x\ncold,y\n')
    found = list(rows(path, config.TableSettings(), ["text"]))
    assert [row.number for row in found] == [1, 2, 3, 4, 5]
    assert [bool(row.problem) for row in found] == [False, True, True, True, False]
    assert found[4].cells == {"text": "cold", "label": "y"}
    with open(path, "rb") as file:
        assert [row.number for row in csv_rows(file, "t.csv", config.TableSettings(), ["text"])] == [1, 2, 3, 4, 5]


# --- Classes and splits -----------------------------------------------------------------------------------------------


def split_of(folder, rows, **table):
    tables.write(folder / "texts.csv", ["text", "label"], rows)
    about = config.from_dict(folder, {"table": {"label": "label", **table}})
    return project.split(about, project.read(about))


def test_labels_that_differ_in_capitals_alone_are_told_unless_both_are_named(tmp_path):
    rows = [(text, name.upper() if place == 6 else name) for place, (text, name) in enumerate(tables.texts(80))]
    odd = rows[6][1]
    with pytest.raises(ValueError, match=f"'{odd}' and '{odd.lower()}' \\(row 7\\), which differ in capitals alone"):
        split_of(tmp_path, rows)
    named = split_of(tmp_path, rows, classes=["good", "bad", odd])
    assert named.values["classes"] == ["good", "bad", odd]


def test_one_class_and_a_label_that_is_none_are_told(tmp_path):
    rows = tables.texts(80)
    with pytest.raises(ValueError, match="column 'label' of texts.csv has one class only, 'good'"):
        split_of(tmp_path, [(text, "good") for text, _ in rows])
    with pytest.raises(ValueError, match="row 80 of column 'label' .* is 'Good', and no class: is 'good' meant"):
        split_of(tmp_path, [*rows[:79], (rows[79][0], "Good")], classes=["bad", "good"])
    with pytest.raises(ValueError, match="different values"):
        split_of(tmp_path, [(text, f"label {place}") for place, (text, _) in enumerate(rows)])
    with pytest.raises(ValueError, match="nobody labelled a row"):
        split_of(tmp_path, [(text, "") for text, _ in rows])


@pytest.mark.parametrize("count, copies", [(49, 1), (30, 4), (1, 200)])
def test_too_few_different_rows_are_told(tmp_path, count, copies):
    with pytest.raises(ValueError, match=f"of {count * copies} rows of texts.csv are left"):
        split_of(tmp_path, tables.texts(count) * copies, classes=["bad", "good"])


def test_fifty_rows_are_enough(tmp_path):
    found = split_of(tmp_path, tables.texts(50))
    assert sum(part["rows"] for part in found.values["counts"].values()) == 50
    assert all(part["rows"] >= 5 for part in found.values["counts"].values())


def test_no_text_stands_in_two_parts_and_none_nearly(tmp_path):
    rng, rows = random.Random(1), tables.texts(200)
    changed = [(text.upper() + "!", name) for text, name in rng.sample(rows, 40)]
    longer = [(text + " " + rng.choice(tables.OTHERS)[:1], "") for text, _ in rng.sample(rows, 40)]
    rows = rows + changed + longer + [("", "good"), ("   ", "")]
    rng.shuffle(rows)
    found = split_of(tmp_path, rows)
    part = found.tensors["split"].tolist()
    kept = [(text, where) for (text, _), where in zip(rows, part) if where != LEFT_OUT]
    assert len(kept) <= 200 and {where for _, where in kept} == set(PARTS.values())
    for (one, here), (other, there) in itertools.combinations(kept, 2):
        if here != there:
            groups = [{filters.normalised(each)[at : at + 5] for at in range(len(each) - 4)} for each in (one, other)]
            assert len(groups[0] & groups[1]) < 0.8 * len(groups[0] | groups[1])
    assert len(found.values["left_out"]) == len(rows) - len(kept)
    reasons = collections.Counter(reason for _, reason in found.values["left_out"])
    assert reasons["no text"] == 2


def test_of_two_copies_the_labelled_one_stays_and_a_quarrel_is_told(tmp_path):
    rows = tables.texts(80)
    rows = [(rows[0][0], ""), *rows, (rows[5][0], "bad" if rows[5][1] == "good" else "good")]
    found = split_of(tmp_path, rows)
    assert found.tensors["split"][0] == LEFT_OUT and found.tensors["split"][1] != LEFT_OUT
    assert found.values["conflicts"] == [[82, 7]]


def test_each_class_is_divided_alike(tmp_path):
    rows = [
        (text, "good" if name == "good" and place % 3 == 0 else "bad")
        for place, (text, name) in enumerate(tables.texts(600))
    ]
    found = split_of(tmp_path, rows)
    label, part = found.tensors["label"], found.tensors["split"]
    shares = [[((label == c) & (part == p)).sum() / (label == c).sum() for p in PARTS.values()] for c in (0, 1)]
    assert torch.tensor(shares).diff(dim=0).abs().max() < 0.02


def test_the_table_may_say_the_parts_itself(tmp_path):
    rows = tables.texts(90)
    parts = ["train", "", "validation", "test"]
    named = [(text, name, parts[place % 4]) for place, (text, name) in enumerate(rows)]
    named.append((rows[3][0].upper(), rows[3][1], "train"))  # the test's copy stays
    tables.write(tmp_path / "texts.csv", ["text", "label", "part"], named)
    about = config.from_dict(tmp_path, {"table": {"label": "label"}, "split": {"column": "part"}})
    found = project.split(about, project.read(about)).tensors["split"].tolist()
    assert found == [[0, 0, 1, 2][place % 4] for place in range(90)] + [LEFT_OUT]
    tables.write(tmp_path / "texts.csv", ["text", "label", "part"], [*named[:8], (*named[8][:2], "tset"), *named[9:]])
    with pytest.raises(ValueError, match="row 9 of column 'part' is 'tset'"):
        project.split(about, project.read(about))


def test_a_training_text_that_holds_a_test_text_is_not_learned_from(tmp_path):
    about = tables.settings(tmp_path, count=150)
    rows = [
        (text, name, ["train", "train", "validation", "test"][place % 4])
        for place, (text, name) in enumerate(tables.texts(150))
    ]
    holds = f"{' '.join(tables.OTHERS[:12])} {rows[3][0]} {' '.join(tables.OTHERS[12:30])}"
    tables.write(tmp_path / "texts.csv", ["text", "label", "part"], [*rows, (holds, "good", "train")])
    about = config.from_dict(tmp_path, {"table": {"label": "label"}, "split": {"column": "part"},
                                        "teacher": {"kind": "rule", "words": tables.WORDS}})  # fmt: skip
    table = project.read(about)
    split = project.split(about, table)
    data = project.select(about, table, split, project.teach(about, table, split))
    assert split.tensors["split"][150] == 0 and not data.tensors["used"][150]
    assert data.values["steps"][1]["filter"] == "contamination" and data.values["steps"][1]["dropped"] == 1
