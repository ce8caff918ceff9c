"""Recording: what was run is kept, once, with where it came from."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from distill_lessons import runtime
from distill_lessons.course import claims, experiments, published, results
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


def test_what_is_read_is_what_was_written_last_and_ones_own_to_change(tmp_path):
    def made(scale):
        return Experiment("items", ("a",), (0, 1), lambda arm, seed: {"score": [scale + seed, scale]}, module=__name__)

    for scale in (1.0, 2.0):  # as long as the first, so that size alone tells nothing
        shutil.rmtree(tmp_path / "parts", ignore_errors=True)
        results.record(made(scale), tmp_path, tmp_path / "parts", silent)
        assert results.per_seed(results.load("items", tmp_path), "score", "a").tolist() == [scale, scale + 0.5]
        items = results.items_of("items", "score", "a", tmp_path)
        assert {seed: values.tolist() for seed, values in items.items()} == {0: [scale, scale], 1: [scale + 1, scale]}
        assert results.items_of("items", "score", "b", tmp_path) is None
        mine = results.load("items", tmp_path)
        mine["value"] = 0.0
        items[0][:] = 0.0
        assert results.load("items", tmp_path)["value"].min() == scale
        assert results.items_of("items", "score", "a", tmp_path)[0].min() == scale


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


def by_item(arm, seed):
    return {"right": np.arange(4) % 2 + {"a": 0.5, "b": 0.0}[arm], "loss": 1.0 + seed}


def topics():
    return ["fog", "fog", "ice", "sea"]


def test_values_at_test_items_are_kept_beside_the_table_which_has_their_mean(tmp_path):
    experiment = Experiment("items", ("a", "b"), (0, 1), by_item, groups=topics)
    table = results.record(experiment, tmp_path, tmp_path / "parts", silent)
    assert results.per_seed(table, "right", "a").tolist() == [1.0, 1.0]
    kept = results.items_of("items", "right", "a", tmp_path)
    assert sorted(kept) == [0, 1] and kept[1].tolist() == [0.5, 1.5, 0.5, 1.5]
    assert results.items_of("items", "loss", "a", tmp_path) is None
    assert results.stamp("items", tmp_path)["groups"] == topics()
    results.record(experiment, tmp_path, tmp_path / "parts", lambda line: pytest.fail(f"made again: {line}"))
    assert results.items_of("items", "right", "b", tmp_path)[0].tolist() == [0.0, 1.0, 0.0, 1.0]


def test_a_table_without_items_has_no_file_of_them(tmp_path):
    results.record(TOY, tmp_path, tmp_path / "parts", silent)
    assert results.items_of("toy", "score", "a", tmp_path) is None and not list(tmp_path.glob("*.parquet"))


def test_a_table_keeps_the_tests_that_stood_before_all_its_runs(tmp_path):
    results.record(TOY, tmp_path, tmp_path / "parts", silent, plans=["early", "both"])
    (tmp_path / "parts" / "toy" / "b-1.json").unlink()
    results.record(TOY, tmp_path, tmp_path / "parts", silent, plans=["both", "late"])
    assert results.stamp("toy", tmp_path)["plans"] == ["both"]


def test_pairing_by_seed_removes_what_seeds_share():
    rows = [("a", seed, 100 * seed + 1.0) for seed in range(5)] + [("b", seed, 100.0 * seed) for seed in range(5)]
    table = pd.DataFrame(rows, columns=["arm", "seed", "value"]).assign(metric="score", experiment="toy")
    assert results.paired_difference(table, "score", "a", "b")[:4] == (1, 1, 1, 5)
    with pytest.raises(ValueError, match="no rows for arm 'c'"):
        results.paired_difference(table, "score", "a", "c")


def test_arms_without_a_common_seed_are_refused():
    with pytest.raises(ValueError, match="share no seed"):
        results.paired(pd.Series([1.0, 2.0], [0, 1]), pd.Series([1.0, 2.0], [2, 3]))


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
    # What is stated and not yet run has no table, and nor has its search of rates; everything else has one.
    every = (*claims.every(), *published.WRITING)  # those of lesson 09 are stated, and their runs to come
    stated = [test for claim in every for test in (*claim.main, *claim.moderators)]
    stated += [premise.test for test in stated for premise in test.premises]
    waiting = {name for test in stated for name in test.tables()} - tables
    waiting |= {name for name in known if any(each.startswith(name.partition("-rates")[0]) for each in waiting)}
    waiting |= {"lesson04-flagship"}  # hours of one run, on which no verdict rests
    assert tables | waiting >= set(known) >= tables
    for name, experiment in known.items():
        if name not in tables:
            continue
        table = results.load(name)
        runs = set(zip(table.arm, table.seed))
        assert runs == {(arm, seed) for arm in experiment.arms for seed in experiment.seeds}, name
        assert results.provenance(name)


def test_the_command_for_experiments_says_which_there_are(capsys):
    with pytest.raises(SystemExit):
        command.main(["nothing"])
    assert "no experiment 'nothing'; there are: lesson00-rates" in capsys.readouterr().err
