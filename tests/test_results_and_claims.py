"""Recording, intervals, verdicts: the ledger says what the rows say, and something else when they do."""

import json
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from distill_lessons import runtime
from distill_lessons.course import claims, experiments, results
from distill_lessons.course.claims import Claim, Comparison
from distill_lessons.course.experiments import __main__ as command
from distill_lessons.course.results import Experiment

CALLS = []


def toy(arm, seed):
    CALLS.append((arm, seed))
    return {"score": {"a": 2.0, "b": 1.0}[arm] + 0.1 * seed}


def breaks_at_b(arm, seed):
    if arm == "b":
        raise KeyboardInterrupt
    return {"score": 1.0}


TOY = Experiment("toy", ("a", "b"), (0, 1, 2), toy)


def silent(line):
    pass


def test_recording_resumes_and_runs_nothing_twice(tmp_path):
    CALLS.clear()
    table = results.record(TOY, tmp_path / "out", tmp_path / "parts", silent)
    assert len(CALLS) == 6 and len(table) == 6
    (tmp_path / "parts" / "toy" / "b-1.json").unlink()  # one run lost
    (tmp_path / "parts" / "toy" / "a-0.json").write_text("{")  # one file cut short
    CALLS.clear()
    again = results.record(TOY, tmp_path / "out", tmp_path / "parts", silent)
    assert sorted(CALLS) == [("a", 0), ("b", 1)]
    pd.testing.assert_frame_equal(again, table)
    pd.testing.assert_frame_equal(results.load("toy", tmp_path / "out"), table)
    about = json.loads((tmp_path / "out" / "toy.json").read_text())
    assert about["seeds"] == 3 and about["torch"] and about["processor"] and about["date"]
    assert "3 seeds" in results.provenance("toy", tmp_path / "out")


def test_an_interrupted_experiment_keeps_what_was_finished(tmp_path):
    broken = Experiment("toy", ("a", "b"), (0,), breaks_at_b)
    with pytest.raises(KeyboardInterrupt):
        results.record(broken, tmp_path, tmp_path / "parts", silent)
    assert [path.name for path in (tmp_path / "parts" / "toy").iterdir()] == ["a-0.json"]
    assert not (tmp_path / "toy.csv").exists()


def test_out_of_minutes_the_command_stops_after_a_run_and_the_next_call_goes_on(tmp_path, monkeypatch, capsys):
    kind = runtime.device().type
    there = Experiment("toy", ("a", "b"), (0, 1), toy, (kind,))
    elsewhere = Experiment("other", ("a",), (0,), toy, ("abacus",))
    monkeypatch.setattr(experiments, "find", lambda name: [elsewhere, there])
    monkeypatch.setattr(runtime, "REPOSITORY", tmp_path)
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path / device)
    CALLS.clear()
    command.main(["--minutes", "0"])
    assert len(CALLS) == 1 and not (tmp_path / kind / "toy.csv").exists()
    assert "stopped in toy after 0 minutes" in capsys.readouterr().out
    command.main(["--minutes", "60"])
    assert len(CALLS) == 4 and len(results.load("toy", tmp_path / kind)) == 4
    assert "other: not recorded on" in capsys.readouterr().out


def named(arm, seed):
    return {"score": 1234567.891 + seed, "tiny": 1.23456789e-7}


def test_arms_of_any_name_and_numbers_of_many_digits_survive_a_round_trip(tmp_path):
    arms = ("None", "nan", "1", "007", "", "a/b", "a:b", "a%2Fb", "..", "Ünïcode → b", "teacher's, T 1")
    odd = Experiment("odd", arms, (0, 1), named)
    made = results.record(odd, tmp_path, tmp_path / "parts", silent)
    read = results.load("odd", tmp_path)
    assert list(read.arm) == list(made.arm) and set(read.arm) == set(arms)
    assert list(read.value) == pytest.approx(list(made.value), rel=1e-9)
    assert results.per_seed(read, "score", "1").to_dict() == {0: 1234567.891, 1: 1234568.891}
    assert len(list((tmp_path / "parts" / "odd").iterdir())) == 2 * len(arms)
    assert all(set('/\\:*?"<>|').isdisjoint(path.name) for path in (tmp_path / "parts" / "odd").iterdir())
    results.record(odd, tmp_path, tmp_path / "parts", lambda line: pytest.fail(f"made again: {line}"))


def test_arms_that_all_look_like_numbers_are_names_all_the_same(tmp_path):
    results.record(Experiment("counts", ("1", "007"), (0,), named), tmp_path, tmp_path / "parts", silent)
    read = results.load("counts", tmp_path)
    assert set(read.arm) == {"1", "007"} and len(results.per_seed(read, "score", "007")) == 1


def test_the_committed_tables_hold_names_and_numbers_as_they_always_did():
    """Read with pandas' own guesses they are the same: no arm of theirs looks like a number or like nothing."""
    paths = list(results.recorded_folder().parent.glob("*/*.csv"))
    assert len(paths) > 40
    for path in paths:
        pd.testing.assert_frame_equal(results.load(path.stem, path.parent), pd.read_csv(path), check_exact=True)


def test_runs_and_table_keep_the_digest_of_the_code_and_another_digest_makes_runs_anew(tmp_path, monkeypatch):
    results.record(TOY, tmp_path, tmp_path / "parts", silent)
    digest = TOY.digest()
    parts = [json.loads(path.read_text()) for path in (tmp_path / "parts" / "toy").iterdir()]
    assert {part["digest"] for part in parts} == {digest}
    assert json.loads((tmp_path / "toy.json").read_text())["digest"] == digest
    CALLS.clear()
    results.record(TOY, tmp_path, tmp_path / "parts", silent)
    assert not CALLS
    monkeypatch.setattr(Experiment, "digest", lambda self: "another")
    results.record(TOY, tmp_path, tmp_path / "parts", silent)
    assert len(CALLS) == 6 and json.loads((tmp_path / "toy.json").read_text())["digest"] == "another"


def test_the_line_under_a_figure_names_the_commit_where_it_was_kept(tmp_path, monkeypatch):
    stamp = runtime.machine_stamp()
    for commit, end in (({"commit": "abc1234+"}, " · commit abc1234+"), ({}, f" · {stamp['date']}")):
        old = {key: value for key, value in stamp.items() if key != "commit"}
        monkeypatch.setattr(runtime, "machine_stamp", lambda old=old, commit=commit: old | commit)
        results.record(TOY, tmp_path / end[-4:], tmp_path / f"parts{end[-4:]}", silent)
        assert results.provenance("toy", tmp_path / end[-4:]).endswith(end)


def test_a_number_that_is_not_finite_is_refused(tmp_path):
    diverged = Experiment("toy", ("a",), (0,), not_finite)
    with pytest.raises(ValueError, match="arm a, seed 0: score is not a finite number"):
        results.record(diverged, tmp_path, tmp_path / "parts", silent)


def not_finite(arm, seed):
    return {"score": float("nan")}


def test_missing_results_say_which_command_makes_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="python -m distill_lessons experiments nothing"):
        results.load("nothing", tmp_path)


def test_interval_covers_the_mean_about_as_often_as_it_says():
    generator = np.random.default_rng(0)
    for count in (5, 10):
        covered = 0
        for _ in range(300):
            interval = results.bootstrap_interval(generator.normal(1.0, 2.0, count), resamples=1000)
            covered += interval.low <= 1.0 <= interval.high
        assert covered / 300 > 0.9, f"{covered / 300:.2f} with {count} values"


def test_interval_is_near_students_t_for_a_plain_sample():
    values = np.random.default_rng(1).normal(size=30)
    interval = results.bootstrap_interval(values)
    low, high = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
    assert interval.low == pytest.approx(low, abs=0.05) and interval.high == pytest.approx(high, abs=0.05)
    assert results.bootstrap_interval([3.0, 3.0]) == (3.0, 3.0, 3.0, 2)
    with pytest.raises(ValueError):
        results.bootstrap_interval([1.0, np.nan])


def test_pairing_by_seed_removes_what_seeds_share():
    rows = [("a", seed, 100 * seed + 1.0) for seed in range(5)] + [("b", seed, 100.0 * seed) for seed in range(5)]
    table = pd.DataFrame(rows, columns=["arm", "seed", "value"]).assign(metric="score", experiment="toy")
    assert results.paired_difference(table, "score", "a", "b") == (1, 1, 1, 5)
    with pytest.raises(ValueError, match="no rows for arm 'c'"):
        results.paired_difference(table, "score", "a", "c")


def write(folder, differences, name="toy"):
    """A table whose arms a and b differ by these numbers, one a seed."""
    rows = [(name, "a", seed, "score", 1.0 + value) for seed, value in enumerate(differences)]
    rows += [(name, "b", seed, "score", 1.0) for seed in range(len(differences))]
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows, columns=["experiment", "arm", "seed", "metric", "value"]).to_csv(
        folder / f"{name}.csv", index=False
    )


BETTER = Comparison("here", "", "toy", "score", "a", "b")


@pytest.mark.parametrize(
    "differences, verdict",
    [
        ([0.9, 1.0, 1.1, 1.2, 0.8], claims.HOLDS),
        ([-0.9, -1.0, -1.1, -1.2, -0.8], claims.FAILS),
        ([-1.0, 1.0, -0.5, 0.5, 0.1], claims.OPEN),
        ([0.0, 0.0, 0.0, 0.0, 0.0], claims.OPEN),
    ],
)
def test_the_verdict_follows_the_rows(tmp_path, differences, verdict):
    write(tmp_path, differences)
    row = claims.judge(Claim("C0", "a beats b", "nobody", "99", (BETTER,)), tmp_path)
    assert row["verdict"] == verdict
    assert row["estimate"] == pytest.approx(np.mean(differences), abs=1e-6)
    assert row["seeds"] == 5


def test_a_claim_that_holds_in_one_place_only_holds_under_a_condition_and_names_it(tmp_path):
    write(tmp_path, [0.9, 1.0, 1.1, 1.2, 0.8])
    write(tmp_path, [-0.9, -1.0, -1.1, -1.2, -0.8], name="other")
    there = Comparison("there", "", "other", "score", "a", "b")
    row = claims.judge(Claim("C0", "a beats b", "nobody", "99", (BETTER, there)), tmp_path)
    assert row["verdict"] == claims.CONDITION
    assert row["conditions"] == {"here": claims.HOLDS, "there": claims.FAILS}
    assert claims.report([row]).endswith("HOLDS UNDER A CONDITION: here")


def test_under_one_condition_every_comparison_must_hold(tmp_path):
    """Half a claim that holds does not save the other half."""
    write(tmp_path, [0.9, 1.0, 1.1, 1.2, 0.8])
    much = Comparison("here", "by far", "toy", "score", "a", "b", low=5.0)
    row = claims.judge(Claim("C0", "a beats b", "nobody", "99", (BETTER, much)), tmp_path)
    assert row["verdict"] == claims.FAILS and row["conditions"] == {"here": claims.FAILS}


def test_a_report_is_wrapped_between_words_and_uses_the_names_of_the_lesson(tmp_path, monkeypatch):
    write(tmp_path, [0.9, 1.0, 1.1, 1.2, 0.8])
    claim = Claim("C1", "Something " * 30, "nobody", "99", (replace(BETTER, detail="by very much " * 20),))
    names = {"score": "marks", "a": "the first"}
    module = type("module", (), {"CLAIMS": (claim,), "EXPERIMENTS": (TOY,), "NAMES": names})
    monkeypatch.setattr(experiments, "modules", lambda: [module])
    text = claims.report(claims.ledger(folder=tmp_path))
    assert max(map(len, text.splitlines())) <= 96 and "marks, the first − b" in " ".join(text.split())
    assert {word for line in text.splitlines() for word in line.split()} >= {"Something", "very", "HOLDS", "seeds;"}
    assert "score" not in text


def test_every_line_of_the_published_ledger_fits_and_shows_no_internal_name():
    rows = claims.ledger()
    text = claims.report(rows)
    assert max(map(len, text.splitlines())) <= 96 and "_" not in text
    once = " ".join(text.split())
    assert all(" ".join(row["statement"].split()) in once for row in rows)


@pytest.mark.parametrize("lesson", [1, "1", "01", "lesson01", "lesson1", " Lesson 1 "])
def test_a_lesson_has_one_set_of_claims_however_it_is_called(lesson):
    assert [row["id"] for row in claims.ledger(lesson)] == ["C1", "C2", "C3"]
    if isinstance(lesson, str):
        names = [experiment.name for experiment in experiments.find(lesson)]
        assert names[0] == "lesson01-table" and all(name.startswith("lesson01-") for name in names)


@pytest.mark.parametrize("lesson", ["99", "06", "first", "010"])
def test_a_lesson_without_claims_is_answered_with_those_that_have_some(lesson, capsys):
    with pytest.raises(ValueError, match="there are claims in 01, 02, 03"):
        claims.ledger(lesson)
    with pytest.raises(SystemExit):
        claims.main(["--lesson", lesson])
    assert f"no claim is tested in lesson '{lesson}'; there are claims in 01" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--results", "--beside"])
def test_a_folder_without_tables_is_named(option, tmp_path, capsys):
    with pytest.raises(SystemExit):
        claims.main([option, str(tmp_path)])
    assert f"{tmp_path} has no recorded table" in capsys.readouterr().err


def test_the_command_for_experiments_says_which_there_are(capsys):
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "no experiment 'nothing'; there are: lesson00-rates" in capsys.readouterr().err


def test_another_folder_is_judged_by_the_conditions_that_it_has_whole(tmp_path, monkeypatch):
    both, one = tmp_path / "both", tmp_path / "one"
    for folder, names in ((both, ("toy", "other")), (one, ("toy",))):
        for name in names:
            write(folder, [0.9, 1.0, 1.1] if folder == both else [-0.9, -1.0, -1.1], name)
    there = Comparison("there", "", "other", "score", "a", "b")
    split = Comparison("here", "elsewhere", "other", "score", "a", "b")
    own = Comparison("alone", "", "toy", "score", "a", "b")
    module = type("module", (), {"CLAIMS": (Claim("C1", "a beats b", "nobody", "99", (BETTER, split, there, own)),)})
    monkeypatch.setattr(experiments, "modules", lambda: [module])
    (whole,), (part,) = claims.ledger(folder=both), claims.ledger(folder=one)
    assert list(whole["conditions"]) == ["here", "there", "alone"] and part["conditions"] == {"alone": claims.FAILS}
    lines = claims.beside([whole], [part], ["both", "one"]).splitlines()
    assert lines[0] == "| claim | comparison | claimed | both | one |" and len(lines) == 3
    assert lines[2] == "| C1 | alone | above 0 | +1 [+0.9, +1.1]: holds | -1 [-1.1, -0.9]: does not hold |"
    (one / "toy.csv").unlink()
    assert claims.ledger(folder=one) == []


@pytest.mark.parametrize(
    "conditions, verdict",
    [
        ([claims.HOLDS, claims.HOLDS], claims.HOLDS),
        ([claims.HOLDS, claims.OPEN], claims.CONDITION),
        ([claims.HOLDS, claims.FAILS], claims.CONDITION),
        ([claims.FAILS, claims.OPEN], claims.FAILS),
        ([claims.OPEN, claims.OPEN], claims.OPEN),
    ],
)
def test_one_verdict_from_several_conditions(conditions, verdict):
    assert claims.overall(conditions) == verdict


def test_the_published_ledger_turns_when_its_rows_are_turned(tmp_path):
    """Negate or move every recorded value: no claim of the ledger may keep the verdict of every comparison."""
    for path in results.recorded_folder().glob("*.csv"):
        table = results.load(path.stem)
        table["value"] = -table["value"] - 5
        table.to_csv(tmp_path / path.name, index=False)
    for before, after in zip(claims.ledger(), claims.ledger(folder=tmp_path)):
        assert [test["verdict"] for test in before["comparisons"]] != [
            test["verdict"] for test in after["comparisons"]
        ] or {test["verdict"] for test in before["comparisons"]} == {claims.OPEN}, before["id"]


def test_ledger_rows_are_complete():
    rows = claims.ledger()
    assert len({row["id"] for row in rows}) == len(rows)
    assert {f"C{number}" for number in (*range(1, 14), *range(22, 29), 33, 38, 39, 40, 46)} <= {
        row["id"] for row in rows
    }
    for row in rows:
        assert row["statement"] and row["source"] and row["arms"] and row["metric"]
        for test in row["comparisons"]:
            language = ("lesson00", "lesson04", "lesson05", "lesson08", "lesson12-language", "lesson14-options")
            needed = 3 if test["experiment"].startswith((*language, "lesson12-speed")) else 5
            assert test["seeds"] >= needed or "exact" in test["condition"], (row["id"], test["condition"])
            assert test["interval"][0] <= test["estimate"] <= test["interval"][1]


def test_command_line_prints_the_ledger_as_json(capsys):
    claims.main(["--json"])
    rows = json.loads(capsys.readouterr().out)
    keys = {"id", "statement", "source", "lesson", "arms", "metric", "seeds", "estimate", "interval", "verdict"}
    assert rows and all(keys <= set(row) for row in rows)
    printed = subprocess.run(
        [sys.executable, "-m", "distill_lessons.course.claims", "--lesson", "1"], capture_output=True, check=True
    )
    assert printed.stdout.decode().startswith("C1 · ")


def test_every_table_of_a_gpu_is_of_an_experiment_for_it_and_has_whole_seeds():
    for path in results.recorded_folder("cuda").glob("*.csv"):
        (experiment,) = [each for each in experiments.find(path.stem) if each.name == path.stem]
        table, about = results.load(path.stem, path.parent), json.loads(path.with_suffix(".json").read_text())
        assert "cuda" in experiment.devices and about["device"] != "cpu"
        seeds = set(table.seed)
        assert seeds <= set(experiment.seeds) and len(seeds) == about["seeds"]
        assert set(zip(table.arm, table.seed)) == {(arm, seed) for arm in experiment.arms for seed in seeds}, path.stem


def test_every_recorded_table_belongs_to_an_experiment_and_has_all_its_runs():
    known = {experiment.name: experiment for experiment in experiments.find()}
    tables = {path.stem for path in results.recorded_folder().glob("*.csv")}
    assert tables == set(known)
    for name, experiment in known.items():
        table = results.load(name)
        runs = set(zip(table.arm, table.seed))
        assert runs == {(arm, seed) for arm in experiment.arms for seed in experiment.seeds}, name
        assert results.provenance(name)


def test_two_tables_are_paired_by_seed(tmp_path):
    write(tmp_path, [1.0, 2.0, 3.0, 4.0, 5.0])
    other = pd.DataFrame({"experiment": "more", "arm": "c", "seed": range(5), "metric": "score", "value": 0.5})
    other.to_csv(tmp_path / "more.csv", index=False)
    there = Comparison("here", "", "toy + more", "score", "a", "c")
    table = results.load("toy", tmp_path)
    expected = results.per_seed(table, "score", "a").mean() - 0.5
    assert there.interval(tmp_path).estimate == pytest.approx(expected)


def test_an_interval_of_five_values_is_read_where_students_t_says():
    # 0.1% of all resamples, and not 2.5%: one in 3,125 is five times the least value, five are four times it
    interval = results.bootstrap_interval([0.0, 1.0, 2.0, 4.0, 8.0])
    assert (interval.low, interval.high) == pytest.approx((0.2, 7.2))


def test_a_ledger_beside_itself_says_everything_twice(tmp_path):
    write(tmp_path, [1.9, 2.0, 2.1])
    tests = Comparison("here", "", "toy", "score", "a", "b"), Comparison("here", "", "toy", "score", "b")
    row = claims.judge(Claim("C1", "a beats b", "nobody", "99", tests), tmp_path)
    assert row["comparisons"][0]["estimate"] != row["comparisons"][1]["estimate"]
    lines = claims.beside([row], [row], ["one", "other"]).splitlines()[2:]
    cells = [line.removesuffix(" |").split(" | ")[-2:] for line in lines]
    assert len(cells) == 2 and all(one == other for one, other in cells)
