"""Verdicts, premises, grades: the ledger says what the rows say, and something else when they do."""

import csv
import io
import json
import math
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from distill_lessons import runtime
from distill_lessons.course import claims, experiments, plots, published, results, stated
from distill_lessons.course.experiments import study
from distill_lessons.course.intervals import Interval
from distill_lessons.course.stated import Claim, Comparison, Premise

BETTER = Comparison("toy, here", "toy", "score", "a", "b", least=0.5)
SURELY = [0.9, 1.0, 1.1, 1.2, 0.8]


def write(folder, differences, name="toy", arm="a", plans=()):
    """A table whose arms a and b differ by these numbers, one a seed."""
    rows = [(name, arm, seed, "score", 1.0 + value) for seed, value in enumerate(differences)]
    rows += [(name, "b", seed, "score", 1.0) for seed in range(len(differences))]
    folder.mkdir(exist_ok=True)
    pd.DataFrame(rows, columns=["experiment", "arm", "seed", "metric", "value"]).to_csv(
        folder / f"{name}.csv", index=False
    )
    (folder / f"{name}.json").write_text(json.dumps({"processor": "a chip", "commit": "abc", "plans": list(plans)}))


def ledger_of(monkeypatch, folder, *every):
    monkeypatch.setattr(published, "CLAIMS", every)
    return claims.ledger(folder=folder)


def interval(low, high, seeds=5):
    return Interval((low + high) / 2, low, high, seeds, low, high, 0.01)


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (0.6, 0.9, stated.SUPPORTED),
        (0.4, 0.9, stated.WEAKER),
        (0.1, 0.3, stated.WEAKER),
        (-0.1, 0.3, stated.NONE),
        (-0.4, -0.1, stated.NONE),
        (-0.9, -0.1, stated.CONTRADICTED),
        (-0.9, 0.1, stated.UNDECIDED),
        (-0.1, 0.9, stated.UNDECIDED),
        (0.5, 0.9, stated.WEAKER),
        (-0.5, 0.5, stated.UNDECIDED),
    ],
)
def test_the_six_verdicts_and_their_mirror_image(low, high, verdict):
    assert stated.verdict(BETTER, interval(low, high)) == verdict
    assert stated.verdict(replace(BETTER, lower=True), interval(-high, -low)) == verdict


@pytest.mark.parametrize(
    "low, high, verdict",
    [
        (0.5, 2.0, stated.SUPPORTED),
        (0.4, 2.0, stated.UNDECIDED),
        (2.1, 3, stated.CONTRADICTED),
        (0.1, 0.4, stated.CONTRADICTED),
    ],
)
def test_a_range_holds_a_whole_interval_or_not(low, high, verdict):
    assert stated.verdict(replace(BETTER, within=(0.5, 2.0)), interval(low, high)) == verdict
    assert stated.verdict(replace(BETTER, within=(-math.inf, 0.5)), interval(-3, 0.4)) == stated.SUPPORTED


def test_two_seeds_decide_nothing_but_arithmetic_needs_one():
    assert stated.verdict(BETTER, interval(0.6, 0.9, 2)) == stated.UNDECIDED
    assert stated.verdict(replace(BETTER, exact=True), interval(0.6, 0.6, 1)) == stated.SUPPORTED


def test_a_least_effect_is_a_size():
    with pytest.raises(ValueError, match="from zero on"):
        replace(BETTER, least=-0.1)


def test_the_verdict_follows_the_rows(tmp_path):
    for sign, verdict in ((1, stated.SUPPORTED), (-1, stated.CONTRADICTED), (0, stated.NONE)):
        write(tmp_path, [sign * value for value in SURELY])
        (row,) = claims.judge(Claim("C0", "a beats b", "nobody", "99", (BETTER,)), tmp_path)
        assert row["verdict"] == verdict and row["seeds"] == 5
        assert row["estimate"] == pytest.approx(sign * np.mean(SURELY))


def test_a_test_whose_premise_fails_says_so_whatever_came(tmp_path):
    write(tmp_path, SURELY)
    write(tmp_path, [0.0, 0.1, -0.1], name="other")
    for least, holds in ((0.5, False), (0.0, False)):
        premise = Premise("something must be there", Comparison("toy", "other", "score", "a", "b", least=least))
        (row,) = claims.judge(Claim("C0", "x", "y", "99", (replace(BETTER, premises=(premise,)),)), tmp_path)
        assert row["verdict"] == stated.UNTESTABLE and row["premises"][0]["holds"] is holds
    premise = Premise("it is there", replace(BETTER, least=0.1))
    (row,) = claims.judge(Claim("C0", "x", "y", "99", (replace(BETTER, premises=(premise,)),)), tmp_path)
    assert row["verdict"] == stated.SUPPORTED


def test_moderators_are_shown_and_never_mixed_in_but_a_contradiction_is_named(tmp_path, monkeypatch):
    write(tmp_path, SURELY)
    write(tmp_path, [-value for value in SURELY], name="other")
    there = replace(BETTER, setting="abacus, there", experiment="other")
    main, moderator = ledger_of(monkeypatch, tmp_path, Claim("C1", "a beats b", "nobody", "99", (BETTER,), (there,)))
    assert main["verdict"] == stated.SUPPORTED and moderator["verdict"] == stated.CONTRADICTED
    assert claims.against(main) == " (the other way: abacus, there)" and claims.against(moderator) == ""
    assert "(the other way: abacus, there)" in claims.report([main, moderator])
    assert "abacus" in claims.markdown([main, moderator]) and claims.markdown([main, moderator]).count("\n") == 2


def test_items_widen_an_interval_that_seeds_alone_would_call_sure(tmp_path):
    write(tmp_path, SURELY)
    narrow = BETTER.interval(tmp_path)
    import pyarrow as pa
    import pyarrow.parquet as pq

    spread = np.linspace(-9, 9, 6)
    rows = [
        {"arm": arm, "seed": seed, "metric": "score", "values": (1 + (SURELY[seed] + spread) * (arm == "a")).tolist()}
        for arm in "ab"
        for seed in range(5)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "toy.items.parquet")
    wide = BETTER.interval(tmp_path)
    assert wide.estimate == pytest.approx(narrow.estimate) and wide.items == 6
    assert wide.low < 0 < narrow.low


def test_a_test_that_was_changed_after_its_runs_is_marked(tmp_path, monkeypatch):
    write(tmp_path, SURELY, plans=[BETTER.digest()])
    for test, marked in ((BETTER, False), (replace(BETTER, least=0.1), True), (replace(BETTER, lower=True), True)):
        (row,) = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (test,)))
        assert row["post hoc"] is marked and ("a test stated before the run" in row["lacks"]) is marked
    assert replace(BETTER, why="another reason", setting="toy, elsewhere").digest() == BETTER.digest()
    premise = Premise("words", replace(BETTER, least=0.2))
    assert replace(BETTER, premises=(premise,)).digest() != BETTER.digest()


def test_what_is_recorded_keeps_the_digests_of_its_own_tests():
    test = next(claim for claim in claims.every() if claim.id == "C4").main[0]
    assert test.digest() in claims.plans("lesson02-reviews") and test.digest() not in claims.plans("lesson01-classes")
    assert claims.plans("nothing") == []


def test_grades_count_what_a_row_lacks(tmp_path, monkeypatch):
    ten = [1.0 + 0.01 * k for k in range(10)]
    premise = Premise("words", replace(BETTER, least=0.1))
    test = replace(BETTER, premises=(premise,), rates="none")
    other = replace(test, setting="abacus", experiment="other")
    write(tmp_path, ten, plans=[test.digest()])
    write(tmp_path, ten, "other", plans=[other.digest()])
    rows = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (test,), (other,)))
    assert [row["lacks"] for row in rows] == [["the items' noise"]] * 2 and rows[0]["grade"] == "B"
    rows = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (replace(test, premises=(), rates=""),)))
    assert rows[0]["grade"] == "D" and len(rows[0]["lacks"]) == 5
    write(tmp_path, SURELY, plans=[test.digest()])
    (row,) = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (test,)))
    assert "10 seeds" in row["lacks"]
    (row,) = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (replace(test, budget="24 steps"),)))
    assert not {"10 seeds", "5 seeds"} & set(row["lacks"])


def test_only_what_chance_can_give_needs_a_find_after_correction(tmp_path, monkeypatch):
    write(tmp_path, [0.0, 0.1, -0.1, 0.05, -0.05])
    (row,) = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (BETTER,)))
    assert row["verdict"] == stated.NONE and row["after correction"] is False
    assert "a find after correction" not in row["lacks"]


def test_a_level_is_a_range_and_has_no_test_against_zero():
    for row in claims.ledger():
        if row["metric"] in ("transfer ratio", "threes_test_bias") or (row["claim"], row["role"]) == ("C5b", "main"):
            assert row["p"] is None and row["claimed"].startswith("at least"), row["setting"]


def test_rates_count_as_searched_from_three_seeds_on(tmp_path, monkeypatch):
    write(tmp_path, SURELY)
    for seeds, searched in ((1, False), (2, False), (3, True)):
        write(tmp_path, [0.0] * seeds, "rates")
        (row,) = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (replace(BETTER, rates="rates"),)))
        assert row["rates searched"] is searched
    (row,) = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (replace(BETTER, rates="never made"),)))
    assert row["rates searched"] is False


def test_the_correction_marks_a_find_that_many_tests_would_give_by_chance(tmp_path, monkeypatch):
    write(tmp_path, [0.4, 1.0, 0.3, 1.1, 0.6])  # p of 0.013
    generator = np.random.default_rng(0)
    for number in range(20):
        write(tmp_path, generator.normal(0, 1, 5), f"null{number}")
    nulls = tuple(replace(BETTER, experiment=f"null{number}") for number in range(20))
    (alone,) = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (replace(BETTER, least=0.0),)))
    rows = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (replace(BETTER, least=0.0),), nulls))
    assert alone["after correction"] is True and rows[0]["after correction"] is False
    assert "a find after correction" in rows[0]["lacks"]


GRID = (0.001, 0.002, 0.004, 0.008)


def tried(scores, arm="x", seeds=(100, 101, 102), spread=0.0):
    rows = [
        ("rates", f"{arm} at {rate:g}", seed, "score", score + spread * (seed - 101))
        for rate, score in zip(GRID, scores)
        for seed in seeds
    ]
    return pd.DataFrame(rows, columns=["experiment", "arm", "seed", "metric", "value"])


def test_the_lowest_rate_within_one_standard_error_of_the_best_is_chosen():
    assert study.chosen_rate(tried([0.1, 0.79, 0.8, 0.2]), "x", GRID, "score") == 0.004
    assert study.chosen_rate(tried([0.1, 0.79, 0.8, 0.2], spread=0.05), "x", GRID, "score") == 0.002
    losses = tried([-0.1, -0.79, -0.8, -0.2], spread=0.05).assign(value=lambda table: -table.value)
    low = losses.assign(value=1 - losses.value)
    assert study.chosen_rate(low, "x", GRID, "score", lower_is_better=True) == 0.002


@pytest.mark.parametrize(
    "scores, add",
    [([0.9, 0.8, 0.7, 0.6], "0.0005"), ([0.1, 0.2, 0.3, 0.4], "0.016"), ([0.79, 0.8, 0.7, 0.6], "0.0005")],
)
def test_an_arm_whose_best_rate_is_an_end_of_the_grid_is_under_searched(scores, add):
    with pytest.raises(ValueError, match=f"an end of the grid.*add {add} for all arms"):
        study.chosen_rate(tried(scores, spread=0.05), "x", GRID, "score")


def test_one_seed_is_no_search_and_a_coarse_grid_is_none():
    with pytest.raises(ValueError, match="three seeds or more"):
        study.chosen_rate(tried([0.1, 0.8, 0.7, 0.2], seeds=(100, 101)), "x", GRID, "score")
    for grid in ((0.001, 0.01, 0.1), (0.001, 0.002)):
        with pytest.raises(ValueError, match="factor of two apart"):
            study.rate_search("rates", ("x",), grid, scored)


def scored(arm, seed, rate):
    return {"score": rate * 1000 + (arm == "y") + seed}


def test_a_search_tries_every_arm_at_every_rate_on_its_own_seeds(tmp_path):
    search = study.rate_search("rates", ("x", "y"), GRID, scored)
    assert search.seeds == (100, 101, 102) and len(search.arms) == 8
    table = results.record(search, tmp_path, tmp_path / "parts", lambda line: None)
    assert results.per_seed(table, "score", "y at 0.004").tolist() == [105, 106, 107]
    judged = {seed for experiment in experiments.find() for seed in experiment.seeds if "rates" not in experiment.name}
    assert not judged & set(search.seeds)


def test_a_report_is_wrapped_between_words_and_uses_the_names_of_the_lesson(tmp_path, monkeypatch):
    write(tmp_path, SURELY)
    claim = Claim("C1", "Something " * 30, "nobody", "99", (replace(BETTER, why="by very much " * 20),))
    module = type(
        "module", (), {"EXPERIMENTS": (type("e", (), {"name": "toy"}),), "NAMES": {"score": "marks", "a": "A"}}
    )
    monkeypatch.setattr(experiments, "modules", lambda: [module])
    text = claims.report(ledger_of(monkeypatch, tmp_path, claim))
    assert max(map(len, text.splitlines())) <= 96 and "marks, A − b" in " ".join(text.split()) and "score" not in text
    assert {word for line in text.splitlines() for word in line.split()} >= {"Something", "very", "SUPPORTED", "grade"}


def test_every_line_of_the_published_ledger_fits_and_shows_no_internal_name():
    rows = claims.ledger()
    text = claims.report(rows)
    assert max(map(len, text.splitlines())) <= 96 and "_" not in text
    once = " ".join(text.split())
    assert all(" ".join(row["statement"].split()) in once for row in rows)


@pytest.mark.parametrize("lesson", [1, "1", "01", "lesson01", "lesson1", " Lesson 1 "])
def test_a_lesson_has_one_set_of_claims_however_it_is_called(lesson):
    assert list(dict.fromkeys(row["claim"] for row in claims.ledger(lesson))) == ["C1", "C2a", "C2b", "C3a", "C3b"]
    if isinstance(lesson, str):
        names = [experiment.name for experiment in experiments.find(lesson)]
        assert names[0] == "lesson01-table" and all(name.startswith("lesson01-") for name in names)


def test_one_lessons_rows_are_those_of_the_whole_ledger():
    whole = [row for row in claims.ledger() if row["lesson"] == "04"]
    assert claims.ledger("04") == whole and whole


@pytest.mark.parametrize("lesson", ["99", "11", "first", "011"])
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


def test_another_folder_is_judged_by_the_tests_that_it_has_whole(tmp_path, monkeypatch):
    both, one = tmp_path / "both", tmp_path / "one"
    for folder, names in ((both, ("toy", "other")), (one, ("toy",))):
        for name in names:
            write(folder, SURELY if folder == both else [-value for value in SURELY], name)
    there = replace(BETTER, setting="there", experiment="other")
    monkeypatch.setattr(published, "CLAIMS", (Claim("C1", "a beats b", "nobody", "99", (BETTER, there)),))
    whole, part = claims.ledger(folder=both), claims.ledger(folder=one)
    assert [row["setting"] for row in whole] == ["toy, here", "there"]
    assert [row["setting"] for row in part] == ["toy, here"] and part[0]["verdict"] == stated.CONTRADICTED
    lines = claims.beside(whole, part, ["both", "one"]).splitlines()
    assert lines[0] == "| claim | test | claimed | both | one |" and len(lines) == 3
    assert lines[2].startswith("| C1 | toy, here | above 0.5 | +1 [") and lines[2].endswith(": contradicted |")
    longer = [row | {"budget": "long"} for row in part]  # another budget is another test
    assert claims.beside(whole, longer, ["both", "one"]).count("\n") == 1
    (one / "toy.csv").unlink()
    assert claims.ledger(folder=one) == []


def test_a_gpu_that_says_the_opposite_is_named(tmp_path, monkeypatch):
    own, gpu = tmp_path / "cpu", tmp_path / "cuda"
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path / device)
    monkeypatch.setattr(published, "CLAIMS", (Claim("C1", "a beats b", "nobody", "99", (BETTER,)),))
    write(own, SURELY)
    for sign, against in ((1, []), (-1, ["the same on a GPU"])):
        write(gpu, [sign * value for value in SURELY])
        (row,) = claims.ledger()
        assert row["verdict"] == stated.SUPPORTED and row["against"] == against


def test_what_only_a_gpu_has_recorded_is_judged_there_and_never_mixed_with_the_cpus(tmp_path, monkeypatch):
    cpu, gpu = tmp_path / "cpu", tmp_path / "cuda"
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path / device)
    joined = replace(BETTER, setting="joined", experiment="toy + more", other="c")
    monkeypatch.setattr(published, "CLAIMS", (Claim("C1", "a beats b", "nobody", "99", (BETTER,), (joined,)),))
    write(cpu, SURELY)
    write(gpu, [value + 1 for value in SURELY])
    more = pd.DataFrame([("more", "c", seed, "score", 0.0) for seed in range(5)],
                        columns=["experiment", "arm", "seed", "metric", "value"])  # fmt: skip
    assert claims.waiting() == [("C1", "joined")]
    more.to_csv(gpu / "more.csv", index=False)
    assert not claims.waiting()
    alone, both = claims.ledger()
    assert alone["estimate"] == pytest.approx(1) and both["estimate"] == pytest.approx(3)
    table = claims.beside(claims.ledger(), claims.ledger(folder=gpu), ["cpu", "cuda"])
    assert "toy, here" in table and "joined" not in table  # run on one device, it has nothing beside it
    more.to_csv(cpu / "more.csv", index=False)
    assert claims.ledger()[1]["estimate"] == pytest.approx(2)  # the CPU's, once it has both


def test_the_readmes_line_counts_contradictions_when_they_are_many(tmp_path, monkeypatch):
    write(tmp_path, SURELY)
    write(tmp_path, [-value for value in SURELY], "other")
    others = tuple(replace(BETTER, setting=f"no. {n}", experiment="other") for n in range(3))
    for count, told in ((2, "the other way: no. 0; no. 1"), (3, "the other way in 3 other settings")):
        rows = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (BETTER,), others[:count]))
        assert f"supported ({told})" in claims.markdown(rows) and "no. 0" in claims.report(rows)


def test_a_table_that_is_missing_is_never_replaced_but_for_a_premise(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path / device)
    write(tmp_path / "cpu", SURELY)
    (tmp_path / "cuda").mkdir()
    with pytest.raises(FileNotFoundError, match="no recorded results"):
        claims.judge(Claim("C1", "x", "y", "99", (BETTER,)), tmp_path / "cuda")


def test_what_is_recorded_once_is_a_constant_and_an_arm_that_lost_its_seeds_is_not(tmp_path):
    write(tmp_path, SURELY)
    once = pd.DataFrame({"experiment": "floor", "arm": "c", "seed": [0], "metric": "score", "value": 0.5})
    once.to_csv(tmp_path / "floor.csv", index=False)
    against = Comparison("toy", "toy + floor", "score", "a", "c").interval(tmp_path)
    assert against.seeds == 5 and against.estimate == pytest.approx(1 + np.mean(SURELY) - 0.5)
    table = results.load("toy", tmp_path)
    table[(table.arm == "a") | (table.seed == 0)].to_csv(tmp_path / "toy.csv", index=False)
    assert BETTER.interval(tmp_path).seeds == 1


def test_a_premise_is_judged_by_the_courses_own_table_where_a_folder_has_none(tmp_path, monkeypatch):
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path / device)
    write(tmp_path / "cpu", [0.0, 0.1, -0.1], "floor")
    write(tmp_path / "cuda", SURELY)
    premise = Premise("off the floor", replace(BETTER, experiment="floor"))
    claim = Claim("C1", "x", "y", "99", (replace(BETTER, premises=(premise,)),))
    (row,) = ledger_of(monkeypatch, tmp_path / "cuda", claim)
    assert row["verdict"] == stated.UNTESTABLE


def test_the_published_ledger_turns_when_its_rows_are_turned(tmp_path):
    """Turn every recorded value round, or make all of them zero: no claim may keep all its verdicts both times."""
    before = claims.ledger()
    for name, scale, shift in (("turned", -1, -5), ("nothing", 0, 0)):
        (tmp_path / name).mkdir()
        for path in results.recorded_folder().glob("*.csv"):
            table = results.load(path.stem)
            table["value"] = table.value * scale + shift
            table.to_csv(tmp_path / name / path.name, index=False)
    after = [claims.ledger(folder=tmp_path / name) for name in ("turned", "nothing")]
    for claim in dict.fromkeys(row["claim"] for row in before):
        kept = [[row["verdict"] for row in rows if row["claim"] == claim] for rows in (before, *after)]
        assert kept[0] != kept[1] or kept[0] != kept[2] or set(kept[0]) == {stated.UNTESTABLE}, claim


def test_every_claim_is_stated_whole():
    every = claims.every()
    assert len({claim.id for claim in every}) == len(every)
    numbers = {int("".join(filter(str.isdigit, claim.id))) for claim in every}
    assert numbers == {
        *range(1, 14),
        16,
        17,
        18,
        19,
        21,
        *range(22, 31),
        33,
        35,
        36,
        37,
        38,
        39,
        40,
        41,
        42,
        *range(46, 52),
        52,
        53,
        55,
        *range(57, 61),
    }
    for claim in every:
        assert claim.statement and claim.source and claim.main, claim.id
        settings = [test.setting + test.budget + test.metric for test in (*claim.main, *claim.moderators)]
        assert len(set(settings)) == len(settings), claim.id
        for test in claim.main:
            border = test.why == "to pass is to be right more often"  # which has no width
            assert test.why and (test.least > 0 or test.within or border), (claim.id, "a least effect, with its reason")
            assert len(claim.main) == 1 or test.budget


def test_the_table_to_download_is_the_computed_one():
    path = runtime.data_folder() / "ledger.csv"
    made = claims.table(claims.ledger())
    assert path.read_text(encoding="utf-8") == made, "write what `python -m distill_lessons claims --csv` prints"
    rows = list(csv.DictReader(io.StringIO(made)))
    assert len(rows) == len(claims.ledger()) and set(rows[0]) == set(claims.COLUMNS)
    for row, judged in zip(rows, claims.ledger()):
        assert float(row["effect"]) == pytest.approx(judged["estimate"], rel=1e-5, abs=1e-12)
        assert row["verdict"] in stated.VERDICTS and row["grade"] in "ABCD"


def test_command_line_prints_the_ledger_as_data_and_draws_a_claim(capsys, tmp_path):
    claims.main(["--json", "--lesson", "2"])
    rows = json.loads(capsys.readouterr().out)
    assert rows and {"claim", "verdict", "estimate", "interval", "next run", "grade", "digest"} <= set(rows[0])
    claims.main(["--forest", "c4", "--out", str(tmp_path / "c4.png")])
    assert (tmp_path / "c4.png").stat().st_size > 5000
    with pytest.raises(SystemExit):
        claims.main(["--forest", "C999"])
    assert "there is no claim 'C999'; there are C1, C2a" in capsys.readouterr().err
    printed = subprocess.run(
        [sys.executable, "-m", "distill_lessons", "claims", "--lesson", "1"], capture_output=True, check=True
    )
    assert printed.stdout.decode().startswith("C1 · ")


def test_a_forest_turns_effects_so_that_right_is_as_claimed(tmp_path, monkeypatch):
    write(tmp_path, [-value for value in SURELY])
    (row,) = ledger_of(monkeypatch, tmp_path, Claim("C1", "x", "y", "99", (replace(BETTER, lower=True),)))
    axes = plots.forest([row])
    (dot,) = [line for line in axes.lines if line.get_marker() == "o"]
    assert dot.get_xdata()[0] == pytest.approx(2.0)  # 1.0 below, of at least 0.5
    beside = row | {"role": "moderator", "verdict": "contradicted"}
    for rows, title in (
        ([row, beside], f"C1 · “x”: {row['verdict']}"),
        ([beside], "C1 · “x”"),
    ):  # the main test decides
        assert title in [plots.forest(rows).get_title(place) for place in ("left", "center")]
    with pytest.raises(ValueError, match="about ranges"):
        plots.forest([row | {"least": None}])


def test_two_tables_are_paired_by_seed(tmp_path):
    write(tmp_path, [1.0, 2.0, 3.0, 4.0, 5.0])
    other = pd.DataFrame({"experiment": "more", "arm": "c", "seed": range(5), "metric": "score", "value": 0.5})
    other.to_csv(tmp_path / "more.csv", index=False)
    there = Comparison("here", "toy + more", "score", "a", "c")
    expected = results.per_seed(results.load("toy", tmp_path), "score", "a").mean() - 0.5
    assert there.interval(tmp_path).estimate == pytest.approx(expected)


def test_a_test_is_stated_before_its_runs_and_joins_the_ledger_with_them(tmp_path, monkeypatch, capsys):
    write(tmp_path, SURELY)
    later = replace(BETTER, setting="toy, later", experiment="not-yet")
    claim = Claim("C1", "It is better", "somebody 2020", "01", (BETTER,), (later,))
    monkeypatch.setattr(claims, "every", lambda: [claim])
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path / ("" if device == "cpu" else device))
    assert [row["setting"] for row in claims.ledger()] == [BETTER.setting]
    assert claims.waiting() == [("C1", "toy, later")]
    claims.main([])
    assert capsys.readouterr().out.endswith("stated and not yet run: C1 toy, later\n")
    write(tmp_path, SURELY, "not-yet")
    assert [row["setting"] for row in claims.ledger()] == [BETTER.setting, "toy, later"] and not claims.waiting()


def test_every_claim_that_the_ledger_judges_has_its_main_test_run():
    judged = {row["claim"] for row in claims.ledger()}
    assert all(test.recorded() for claim in claims.every() if claim.id in judged for test in claim.main)


def test_an_arm_that_two_lessons_call_differently_has_its_own_lessons_name():
    figures = {row["setting"]: claims.figure(row) for row in claims.ledger() if row["metric"] in ("accuracy", "copied")}
    assert "T=2 − T=1 = " in figures["reviews, T=2 against 1"]
    assert "alpha 1 − alpha 0.5 = " in figures["reviews, alpha 1 against 0.5"]
