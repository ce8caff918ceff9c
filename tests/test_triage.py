"""The triage tool: each symptom on made-up tables with a known cause, its intervals, its words, and what it refuses."""

import json

import numpy as np
import pandas as pd
import pytest

import distill_lessons.__main__ as cli
from distill_lessons.evaluation import triage
from distill_lessons.evaluation.triage import ABSENT, FEW, MISSING, SHOWN

OVERFITS, STYLE, FORGETS, SURE, GAP, INHERITS, SHIFTED = ORDER = (
    "overfits its training data",
    "style without substance",
    "forgets",
    "confidently wrong",
    "gap too wide",
    "inherits the teacher's errors",
    "shifted prompts",
)


def predictions(seed=0, rows=1500, student=0.75, teacher=0.8, confidence=0.72, train=0.8, trained=400, **more):
    """A table of a student that is sound unless told otherwise; people's answer is "yes" or "no".

    Args:
        student, teacher: accuracy; confidence: the student's, on average; train: share of training answers given back.
    """
    rng = np.random.default_rng(seed)
    label = rng.choice(["yes", "no"], rows)
    other = np.where(label == "yes", "no", "yes")
    held = pd.DataFrame(
        {
            "student": np.where(rng.random(rows) < student, label, other),
            "student_confidence": np.clip(rng.normal(confidence, 0.05, rows), 0.5, 1),
            "teacher": np.where(rng.random(rows) < teacher, label, other),
            "teacher_confidence": np.clip(rng.normal(teacher, 0.05, rows), 0.5, 1),
            "label": label,
            "source": rng.choice(["film", "product"], rows),
            "split": "held-out",
        }
    )
    said = rng.choice(["yes", "no"], trained)
    turned = np.where(said == "yes", "no", "yes")
    own = pd.DataFrame({"teacher": said, "student": np.where(rng.random(trained) < train, said, turned)})
    own = own.assign(student_confidence=0.8, teacher_confidence=0.8, split="train", source="film")
    own.loc[own.index[::2], "source"] = "product"
    return pd.concat([held, own], ignore_index=True).assign(**more)


def old_task(before=0.8, after=0.8, rows=800, seed=0):
    rng = np.random.default_rng(seed)
    luck = rng.random(rows)
    return pd.DataFrame({"before": luck < before, "after": (luck + rng.normal(0, 0.02, rows)) < after, "label": True})


def states(*tables, **more):
    return {each.symptom: each.state for each in triage.diagnose(*tables, **more)}


def astray(table, source="product", student=0.5, teacher=0.4, seed=1):
    """The table with a source on which the teacher is right that often, and the student too."""
    rng, inside = np.random.default_rng(seed), (table["source"] == source) & (table["split"] == "held-out")
    for who, share in (("student", student), ("teacher", teacher)):
        label = table["label"][inside]
        table.loc[inside, who] = np.where(
            rng.random(inside.sum()) < share, label, label.map({"yes": "no", "no": "yes"})
        )
    return table


CASES = {  # symptom: tables that have it, and everything else that such a table has too
    OVERFITS: ((predictions(student=0.6, confidence=0.6, train=1.0),), set()),
    STYLE: ((predictions(student=0.6, confidence=0.8, train=0.8),), {SURE}),
    FORGETS: ((predictions(), old_task(after=0.7)), set()),
    SURE: ((predictions(confidence=0.95),), set()),
    GAP: ((predictions(student=0.6, confidence=0.6, train=0.65),), set()),
    INHERITS: ((astray(predictions()),), {SURE}),
}


@pytest.mark.parametrize("symptom", CASES)
def test_each_symptom_is_named_where_it_was_made(symptom):
    tables, beside = CASES[symptom]
    found = triage.diagnose(*tables)
    assert [each.symptom for each in found] == list(ORDER)
    assert {*triage.named(found)} - beside == {symptom}
    (shown,) = (each for each in found if each.symptom == symptom)
    assert shown.next and shown.evidence and shown.numbers


def test_a_sound_student_has_none():
    found = triage.diagnose(predictions(), old_task())
    assert triage.named(found) == [] and {each.state for each in found} == {ABSENT}
    assert all(each.next == "" for each in found)


def test_sound_students_are_rarely_called_sick():
    """Fifteen students whose every measure lies a tenth of a point on the sound side: a test at 5% calls few of them sick."""
    table = dict(confidence=0.799, student=0.75, trained=40)
    found = [
        triage.named(triage.diagnose(predictions(seed, **table), old_task(0.8, 0.781, seed=seed))) for seed in range(20)
    ]
    counted = pd.Series([name for each in found for name in each]).value_counts()
    assert counted.get(SURE, 0) <= 3 and counted.get(FORGETS, 0) <= 3


@pytest.mark.parametrize("trained_on", [None, ["film"]])
def test_a_shift_is_told_from_a_teachers_errors_by_what_the_student_has_seen(trained_on):
    table = astray(predictions(), student=0.55, teacher=0.8)
    if trained_on is None:
        table = table[(table["split"] == "held-out") | (table["source"] == "film")]
    (found,) = (each for each in triage.diagnose(table, trained_on=trained_on) if each.symptom == SHIFTED)
    assert found.state == SHOWN and "On product" in found.evidence and "prompts from product" in found.next
    assert states(table, trained_on=["film", "product"])[SHIFTED] == ABSENT


def test_a_shift_is_not_taken_for_overfitting():
    table = astray(predictions(train=0.8), student=0.4, teacher=0.9)
    assert states(table, trained_on=["film"])[OVERFITS] == ABSENT != states(table)[OVERFITS]


def test_where_the_teacher_is_lost_too_more_prompts_are_not_the_advice():
    table = astray(predictions(), student=0.5, teacher=0.5)
    (found,) = (each for each in triage.diagnose(table, trained_on=["film"]) if each.symptom == SHIFTED)
    assert found.state == SHOWN and "another teacher" in found.next
    assert states(table, trained_on=["film"])[INHERITS] != SHOWN  # one that it has not learned from


def test_a_teachers_error_that_the_student_does_not_repeat_is_not_inherited():
    assert states(astray(predictions(), student=0.8, teacher=0.4))[INHERITS] == ABSENT
    assert states(astray(predictions(), student=0.5, teacher=0.8))[INHERITS] == ABSENT


def test_the_worst_source_is_the_one_that_is_reported():
    table = predictions(rows=4000)
    table["source"] = np.random.default_rng(3).choice(list("abc"), len(table), p=[0.7, 0.15, 0.15])
    table = astray(astray(table, "b", 0.5, 0.55), "c", 0.3, 0.2)
    (found,) = (each for each in triage.diagnose(table) if each.symptom == INHERITS)
    assert found.state == SHOWN and found.evidence.startswith("On c ")


@pytest.mark.parametrize(
    "rows, confidence, state", [(100, 0.83, FEW), (4000, 0.83, SHOWN), (100, 0.77, FEW), (4000, 0.77, ABSENT)]
)
def test_few_rows_are_not_enough_and_many_are(rows, confidence, state):
    table = predictions(rows=rows, confidence=confidence)
    held = table["split"] == "held-out"
    label = table["label"][held]
    table.loc[held, "student"] = np.where(np.arange(rows) % 4, label, label.map({"yes": "no", "no": "yes"}))
    found = {each.symptom: each for each in triage.diagnose(table)}
    assert found[SURE].state == state
    if state == FEW:
        needed = int(found[SURE].next.split()[1].replace(",", ""))
        assert found[SURE].next.startswith("About ") and 100 < needed < 4000


def test_fewer_than_thirty_rows_say_nothing_whatever_they_show():
    found = {each.symptom: each for each in triage.diagnose(predictions(rows=20, student=0.0, confidence=0.99))}
    assert found[SURE].state == FEW and "20 rows or groups" in found[SURE].evidence
    assert states(predictions(trained=20, train=1.0, student=0.5, confidence=0.5))[OVERFITS] == FEW


@pytest.mark.filterwarnings("error")
def test_a_side_without_rows_says_nothing_and_warns_of_nothing():
    table = predictions()
    away = table.assign(source=table["source"].where(table["split"] == "train", "elsewhere"))
    own = table["split"] == "train"
    unasked = table.assign(label=table["teacher"].where(own, None))
    assert set(states(unasked).values()) <= {FEW, MISSING, ABSENT}
    assert states(away)[OVERFITS] == FEW


def test_rows_of_one_group_count_as_one():
    table = predictions(rows=600, confidence=0.85)
    held = table["split"] == "held-out"
    copies = pd.concat([table[held]] * 10 + [table[~held]], ignore_index=True)
    grouped = copies.assign(group=[f"g{place % 600}" for place in range(6000)] + [f"t{i}" for i in range(400)])
    alone, many, together = (
        {each.symptom: each for each in triage.diagnose(each)}[SURE].numbers["too sure"]
        for each in (table, copies, grouped)
    )
    assert together.items == 600 and many.items == 6000
    assert together.high - together.low == pytest.approx(alone.high - alone.low, rel=0.15)
    assert many.high - many.low < 0.5 * (alone.high - alone.low)


def test_an_interval_is_that_of_the_normal_for_many_rows():
    table = predictions(rows=3000, confidence=0.85)
    rows = table[table["split"] == "held-out"]
    gaps = rows["student_confidence"] - (rows["student"] == rows["label"])
    (found,) = (each for each in triage.diagnose(table) if each.symptom == SURE)
    estimate = found.numbers["too sure"]
    assert estimate.value == pytest.approx(gaps.mean()) and estimate.items == 3000
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * gaps.std() / 3000**0.5, rel=0.1)


def test_a_difference_of_two_samples_has_both_their_noise():
    table = predictions(rows=1000, trained=500, train=0.9, student=0.6)
    (found,) = (each for each in triage.diagnose(table) if each.symptom == OVERFITS)
    held, own = table["split"] == "held-out", table["split"] == "train"
    same = table["student"] == table["teacher"]
    error = np.sqrt(same[held].var() / 1000 + same[own].var() / 500)
    gap = found.numbers["gap"]
    assert gap.value == pytest.approx(same[own].mean() - same[held].mean())
    assert (gap.high - gap.low, gap.items) == (pytest.approx(2 * 1.96 * error, rel=0.12), 500)


def test_many_sources_widen_each_interval():
    one = triage._difference(np.r_[np.ones(40), np.zeros(40)], np.ones(80), np.zeros(80), np.ones(80), range(80))
    eight = triage._difference(np.r_[np.ones(40), np.zeros(40)], np.ones(80), np.zeros(80), np.ones(80), range(80), 8)
    assert eight.low < one.low < one.value < one.high < eight.high


def test_curves_show_what_early_stopping_would_have_won():
    curves = pd.DataFrame({"step": [0, 10, 20, 30], "held_out_accuracy": [0.5, 0.8, 0.75, 0.6], "train_loss": 1.0})
    table = predictions().query("split == 'held-out'").drop(columns="split")
    assert states(table)[OVERFITS] == MISSING
    for rows, state in ((20, FEW), (60, SHOWN), (1000, SHOWN)):
        (found,) = (
            each
            for each in triage.diagnose(table, curves=curves.assign(held_out_rows=rows).sample(frac=1, random_state=1))
            if each.symptom == OVERFITS
        )
        assert found.state == state
    assert "best at step 10, 80.0%" in found.evidence
    assert found.numbers["fall"].value == pytest.approx(0.2)
    half = 1.96 * (0.8 * 0.2 / 1000 + 0.6 * 0.4 / 1000) ** 0.5
    assert found.numbers["fall"].low == pytest.approx(0.2 - half)
    rising = curves.assign(held_out_accuracy=[0.5, 0.6, 0.7, 0.8], held_out_rows=1000)
    assert states(table, curves=rising)[OVERFITS] == ABSENT
    assert states(predictions(), curves=rising)[OVERFITS] == ABSENT
    assert states(predictions(), curves=curves.assign(held_out_rows=1000))[OVERFITS] == SHOWN


def test_what_a_table_lacks_cannot_be_asked():
    found = states(predictions()[["student"]])
    assert set(found.values()) == {MISSING}
    table = predictions()
    no_labels = states(table.drop(columns="label"))
    assert {name for name, state in no_labels.items() if state == MISSING} == {*ORDER} - {OVERFITS}
    asked_few = table.assign(label=table["label"].where(table.index < 200))
    found = {each.symptom: each.numbers for each in triage.diagnose(asked_few)}
    assert found[SURE]["too sure"].items == found[GAP]["teacher's lead"].items == 200


def test_labels_are_what_a_student_without_a_teacher_was_trained_on():
    table = predictions(train=1.0, student=0.6, confidence=0.6)
    own = table["split"] == "train"
    table.loc[own, "label"] = table.loc[own, "teacher"]
    assert states(table.drop(columns=["teacher", "teacher_confidence"]))[OVERFITS] == SHOWN


def test_as_sure_as_the_teacher_means_neither_less_nor_more():
    for confidence, state in ((0.65, ABSENT), (0.8, SHOWN), (0.95, ABSENT)):
        assert states(predictions(student=0.6, confidence=confidence))[STYLE] == state


def test_a_share_that_may_be_on_either_side_of_its_least_does_not_tell():
    found = {each.symptom: each for each in triage.diagnose(predictions(student=0.6, confidence=0.6, train=0.75))}
    repeated = found[GAP].numbers["training answers"]
    assert repeated.low < triage.LEAST["unfit"] < repeated.high and found[GAP].state == FEW


def test_the_callers_tables_stay_as_they_were_and_the_index_does_not_matter():
    table, old = predictions(), old_task()
    before = table.copy(), old.copy()
    found = triage.diagnose(table, old)
    pd.testing.assert_frame_equal(table, before[0])
    pd.testing.assert_frame_equal(old, before[1])
    moved = table.set_index(pd.Index(np.zeros(len(table), int)))
    assert triage.diagnose(moved, old) == found


@pytest.mark.parametrize("kind", [int, float, str, bool])
def test_answers_compare_by_what_they_say_not_by_their_type(kind):
    table = predictions()
    for name in ("student", "teacher", "label"):
        numbers = table[name].map({"yes": 1, "no": 0})
        table[name] = numbers if name != "student" else numbers.map(kind)
    assert states(table) == states(predictions())


# --- What is refused --------------------------------------------------------------------------------------------------

BAD = {
    "the table has no rows": lambda t: t.iloc[:0],
    "no column student; there are student_confidence": lambda t: t.drop(columns="student"),
    "1 rows have no answer of the student": lambda t: t.assign(student=t["student"].where(t.index > 0)),
    "student_confidence must be a number in every row, and one is 'sure'": lambda t: t.assign(
        student_confidence="sure"
    ),
    "teacher_confidence must lie between 0 and 1, and one is 80": lambda t: t.assign(teacher_confidence=80),
    r"never under a half, and one is 0.2: give max\(p, 1 − p\)": lambda t: t.assign(
        student_confidence=np.where(t.index == 5, 0.2, 0.9)
    ),
    "no label is an answer of the student": lambda t: t.assign(label=t["label"].map({"yes": "good", "no": "bad"})),
    'split must be "train" or "held-out", and it is \'test\'': lambda t: t.assign(split="test"),
}


@pytest.mark.parametrize("said", BAD)
def test_a_bad_table_is_refused_in_one_sentence(said):
    with pytest.raises(ValueError, match=said) as error:
        triage.diagnose(BAD[said](predictions()))
    assert "\n" not in str(error.value)


def test_a_confidence_under_a_half_is_allowed_among_three_answers():
    table = predictions(student_confidence=0.4)
    table.loc[0, "label"] = "maybe"
    assert states(table)[SURE] == ABSENT


def test_the_other_tables_are_looked_at_too():
    with pytest.raises(ValueError, match="old_task: there is no column after; there are before, label"):
        triage.diagnose(predictions(), old_task().drop(columns="after"))
    with pytest.raises(ValueError, match="old_task: 800 rows have no label"):
        triage.diagnose(predictions(), old_task().assign(label=None))
    curves = pd.DataFrame({"step": [1, 2], "held_out_accuracy": [80, 70], "held_out_rows": 10})
    with pytest.raises(ValueError, match="curves: held_out_accuracy must lie between 0 and 1"):
        triage.diagnose(predictions(), curves=curves)
    with pytest.raises(ValueError, match="curves: held_out_rows must be at least 1"):
        triage.diagnose(predictions(), curves=curves.assign(held_out_accuracy=0.5, held_out_rows=0))
    with pytest.raises(ValueError, match="no row is of the source 'tweets'; there are film, product"):
        triage.diagnose(predictions(), trained_on=["tweets"])


# --- The command ------------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    predictions(confidence=0.95).to_csv(tmp_path / "predictions.csv", index=False)
    old_task(after=0.7).to_parquet(tmp_path / "old_task.parquet")
    return tmp_path


def test_the_command_reads_a_folder_and_says_what_is_shown_first(folder, capsys):
    assert cli.main(["diagnose", str(folder)]) == 0
    said = capsys.readouterr().out
    first = said.index("! forgets: shown"), said.index("! confidently wrong: shown")
    assert max(first) < said.index("· overfits its training data: not shown")
    assert "Next: Fit a temperature" in said and max(map(len, said.splitlines())) <= 100


def test_the_command_prints_the_same_as_json(folder, capsys):
    assert cli.main(["diagnose", str(folder / "predictions.csv"), str(folder / "old_task.parquet"), "--json"]) == 0
    found = {each["symptom"]: each for each in json.loads(capsys.readouterr().out)}
    whole = triage.diagnose(predictions(confidence=0.95), old_task(after=0.7))
    assert {name: each["state"] for name, each in found.items()} == {each.symptom: each.state for each in whole}
    assert set(found[FORGETS]["numbers"]["lost"]) == {"value", "low", "high", "items"}


def test_the_command_is_told_the_sources_by_name(folder, capsys):
    astray(predictions(), student=0.5).drop(columns="split").to_csv(folder / "predictions.csv", index=False)
    assert cli.main(["diagnose", str(folder), "--trained-on", "film"]) == 0
    assert "! shifted prompts: shown" in capsys.readouterr().out


def test_the_command_says_in_one_sentence_what_it_cannot_read(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("x")
    (tmp_path / "broken.parquet").write_bytes(b"no")
    (tmp_path / "empty.csv").write_text("")
    for given, words in {
        tmp_path: "holds no predictions.csv or predictions.parquet",
        tmp_path / "notes.txt": "is no table",
        tmp_path / "nowhere.csv": "there is no file",
        tmp_path / "broken.parquet": "cannot be read as a table",
        tmp_path / "empty.csv": "cannot be read as a table",
    }.items():
        assert cli.main(["diagnose", str(given)]) == 1
        out, err = capsys.readouterr()
        assert out == "" and words in err and len(err.splitlines()) == 1


def test_numbers_that_could_not_be_computed_are_null_in_json(capsys, tmp_path):
    predictions(rows=1).to_csv(tmp_path / "predictions.csv", index=False)
    assert cli.main(["diagnose", str(tmp_path), "--json"]) == 0
    assert "NaN" not in capsys.readouterr().out
