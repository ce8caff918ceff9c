"""The recorded experiments: what a digest covers, how rates are searched, and what every lesson's module states."""

import ast
import shutil

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from distill_lessons import runtime
from distill_lessons.course import experiments, fingerprint, results
from distill_lessons.course.experiments import (
    lesson00,
    lesson01_language,
    on_digits,
    on_multiplication,
    on_reviews,
    on_smollm,
    study,
)
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import digits, reviews

LESSONS = "distill_lessons.course.experiments"


# --- The digest of the code ---------------------------------------------------------------------------------------------


NAMES = [module.__name__ for module in experiments.modules()]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """A copy of the package's source, and the digest of every lesson's module in it."""
    package = tmp_path_factory.mktemp("before") / "distill_lessons"
    shutil.copytree(fingerprint.PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    return package, {name: fingerprint.digest(name, package) for name in NAMES}


@pytest.fixture
def changed(copy, tmp_path):
    """``changed((file, old, new), …)``: which lesson modules have another digest after these changes to the package."""

    def change(*changes):
        package = tmp_path / str(len(list(tmp_path.iterdir()))) / "distill_lessons"
        shutil.copytree(copy[0], package)
        for file, old, new in changes:
            text = (package / file).read_text(encoding="utf-8")
            assert old in text, (file, old)
            (package / file).write_text(text.replace(old, new, 1), encoding="utf-8")
        return {name.rsplit(".", 1)[1] for name in NAMES if fingerprint.digest(name, package) != copy[1][name]}

    return change


def test_a_changed_loss_changes_the_digest_of_all_that_train_with_it(changed):
    found = changed(("losses.py", "\ndef forward_kl(", "\nSCALE = 2.0\n\n\ndef forward_kl("))
    assert {name.rsplit(".", 1)[1] for name in NAMES} - found == {"lesson14"}  # its arithmetic uses no loss


def test_only_what_a_lesson_uses_counts(changed):
    assert changed(("economics/costs.py", "\ndef ", "\nLEAST = 1\n\n\ndef ")) == {"lesson14"}
    assert changed(("course/experiments/on_digits.py", "STEPS = 600", "STEPS = 601")) == {
        "lesson01", "lesson02", "lesson03", "lesson12_small", "lesson12_speed", "lesson14_labels",
        "lesson15_digits", "lesson15_friendly",
    }  # fmt: skip


def test_a_comment_a_docstring_a_claim_a_name_on_a_page_and_a_figure_change_no_digest(changed):
    lesson02, lesson04 = "course/experiments/lesson02.py", "course/experiments/lesson04.py"
    assert not changed(
        ("losses.py", "\ndef forward_kl(", "\n# a remark\n\n\ndef forward_kl("),
        ("losses.py", '"""', '"""Said otherwise. '),
        (lesson02, "    data = digits.load()\n", "    data = (digits.load())  # the images\n\n"),
        ("course/published.py", "0.986", "0.5"),
        (lesson02, '("hard", "smoothing", "averaged", "soft", "teacher"), SEEDS', '("hard",), SEEDS'),
        (lesson04, '"GPT-NeoX untrained"', '"NeoX untrained"'),
        ("course/experiments/on_digits.py", '"""Share of images', '"""The share of images'),
        ("course/plots.py", "7.5", "8.5"),
        ("course/intervals.py", "0.975", "0.95"),
        ("course/stated.py", "FEWEST = 3", "FEWEST = 2"),
    )


def test_what_a_function_imports_counts_too(changed):
    assert "lesson03" in changed(("pairs/smollm.py", "\ndef ", "\nLEAST = 1\n\n\ndef "))
    tree = ast.parse(
        "def f():\n    from distill_lessons.teacher import targets\n    import distill_lessons.losses as l"
    )
    assert fingerprint.imported(tree, f"{LESSONS}.x") == {"distill_lessons.teacher.targets", "distill_lessons.losses"}


@pytest.mark.parametrize(
    "line, found",
    [
        ("from distill_lessons import losses, runtime", {"distill_lessons.losses", "distill_lessons.runtime"}),
        ("from distill_lessons.models import response_logits", {"distill_lessons.models"}),
        ("from distill_lessons.models.responses import response_logits", {"distill_lessons.models.responses"}),
        ("from . import study", {f"{LESSONS}.study"}),
        ("from .study import search", {f"{LESSONS}.study"}),
        ("from ...pairs import digits", {"distill_lessons.pairs.digits"}),
        ("import torch, json", set()),
    ],
)
def test_an_import_is_of_the_module_that_lends_the_name(line, found):
    assert fingerprint.imported(ast.parse(line), f"{LESSONS}.lesson99") == found


def test_what_is_typed_into_a_notebook_has_no_digest():
    with pytest.raises(ValueError, match="'nowhere' has no file to take a digest of"):
        Experiment("toy", ("a",), (0,), lambda arm, seed: {}, module="nowhere").digest()


def test_every_experiment_counts_the_module_of_its_lesson():
    for module in experiments.modules():
        for experiment in getattr(module, "EXPERIMENTS", ()):
            assert (experiment.module or experiment.run.__module__) == module.__name__, experiment.name
            assert experiment.name.startswith(module.__name__.rsplit(".", 1)[1][:8])


# --- Searches of learning rates -------------------------------------------------------------------------------------------

SEARCHES = [
    *(f"lesson{name}-rates" for name in ("04", "04-epochs", "04-sweep", "05", "08", "08-weight")),
]


def table_of(folder, name, rows):
    table = pd.DataFrame(rows, columns=["arm", "seed", "metric", "value"]).assign(experiment=name)
    table.to_csv(folder / f"{name}.csv", index=False)


def learned(arm, seed, rate):
    """A "student" that is what it was made from; `study` scores it."""
    ASKED.append((arm, seed, rate))
    return (arm, seed, rate), 1.5


ASKED = []


def test_both_steps_of_a_search_are_made_from_arms_and_one_function(tmp_path, monkeypatch):
    def score(student, split="test"):  # on test prompts another rate would be best
        return {"kl": abs(np.log2(student[2]) - (0 if split == "validation" else 5))}

    monkeypatch.setattr(on_smollm, "score", score)
    rates, runs = study.searched(
        "x-rates",
        "x",
        {"a": {}, "b": {}},
        learned,
        seeds=(0, 1),
        first=lambda arm: {"a": 1.0, "b": 8.0}[arm],
        before={"start": lambda seed: {"kl": 10.0 + seed}},
        after={"fixed": lambda seed: {"kl": 20.0 + seed}},
    )
    assert (rates.name, rates.arms, rates.seeds, rates.devices) == ("x-rates", ("a", "b"), (0,), ("cpu",))
    assert (runs.name, runs.arms, runs.seeds) == ("x", ("start", "a", "b", "fixed"), (0, 1))
    assert runs.devices == ("cpu", "cuda") and rates.module == runs.module == __name__
    ASKED.clear()
    found = rates.run("b", 0)
    assert (found["learning_rate"], found["kl"], found["seconds"]) == (1.0, 5.0, 1.5)
    assert found["validation at 8"] == 3.0 and found["validation at 0.5"] == 1.0
    assert [rate for _, _, rate in ASKED] == [8.0, 16.0, 4.0, 2.0, 1.0, 0.5] and {arm for arm, _, _ in ASKED} == {"b"}
    assert runs.run("start", 1) == {"kl": 11.0} and runs.run("fixed", 1) == {"kl": 21.0}


def test_a_gpu_takes_the_rates_found_on_the_cpu_and_makes_every_run_itself(tmp_path, monkeypatch):
    found = {"learning_rate": 0.25, "kl": 1.0, "agreement": 0.5, "cross_entropy": 2.0, "tokens": 9, "seconds": 3.0}
    table_of(tmp_path, "x-rates", [("a", 0, metric, value) for metric, value in found.items()] + [("b", 0, "kl", 5.0)])
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path / ("" if device == "cpu" else device))
    monkeypatch.setattr(on_smollm, "score", lambda student: {"kl": student[2]})
    _, experiment = study.searched("x-rates", "x", ("a", "b"), learned)
    for device, asked in (("cpu", [1]), ("cuda", [0, 1])):
        ASKED.clear()
        monkeypatch.setattr(runtime, "device", lambda device=device: torch.device(device))
        runs = [experiment.run("a", seed) for seed in (0, 1)]
        assert ASKED == [("a", seed, 0.25) for seed in asked]
        assert runs[1] == {"kl": 0.25, "seconds": 1.5, "learning_rate": 0.25}
        assert runs[0] == (found if device == "cpu" else runs[1])


def test_rates_of_a_grid_are_arms_and_the_best_one_is_run(tmp_path, monkeypatch):
    rates, runs = study.on_a_grid(
        "y-rates",
        "y",
        ("text", "T-1"),
        (1e-5, 0.002, 4e-3),
        lambda arm, seed, rate: (arm, seed, rate),
        lambda student, split: {"kl": student, "split": split},
        seeds=(3, 4),
        before={"start": lambda seed: {"kl": seed}},
    )
    assert rates.arms == ("text-1e-05", "text-0.002", "text-0.004", "T-1-1e-05", "T-1-0.002", "T-1-0.004")
    assert rates.run("T-1-1e-05", 0) == {"kl": ("T-1", 0, 1e-5), "split": "validation"}
    assert runs.arms == ("start", "text", "T-1") and runs.run("start", 4) == {"kl": 4}
    table_of(tmp_path, "y-rates", [(arm, 0, "kl", value) for arm, value in zip(rates.arms, (1, 2, 3, 1, 0.5, 1))])
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path)
    for arm, rate in (("text", 1e-5), ("T-1", 0.002)):
        assert runs.run(arm, 4) == {"kl": (arm, 4, rate), "split": "test", "learning_rate": rate}


@pytest.mark.parametrize("lesson", [lesson00, lesson01_language], ids=lambda module: module.__name__.rsplit(".", 1)[1])
def test_the_best_learning_rate_is_not_an_end_of_the_list(lesson):
    """A best rate at the end means that the list was too short, and that an arm was not given its best."""
    search = next(experiment for experiment in lesson.EXPERIMENTS if experiment.name.endswith("-rates"))
    for arm in lesson.ARMS:
        rate = study.best_of_grid(search.name, arm, lesson.RATES)
        assert lesson.RATES[0] < rate < lesson.RATES[-1], (arm, rate)


@pytest.mark.parametrize("name", SEARCHES)
def test_the_best_rate_of_a_search_has_a_worse_one_on_either_side(name):
    table = results.load(name)
    for arm in table.arm.unique():
        found = table[table.arm == arm].set_index("metric").value
        tried = {
            float(metric.removeprefix("validation at ")): value
            for metric, value in found.items()
            if metric.startswith("validation at ")
        }
        assert min(tried) < float(f"{found['learning_rate']:.2g}") < max(tried), (arm, tried)
        assert min(tried, key=tried.get) == float(f"{found['learning_rate']:.2g}")


def test_lesson_07_takes_the_rate_that_is_best_over_all_seeds_of_a_search(tmp_path, monkeypatch):
    rows = [("steps", 5, 0.003, 0.9), ("steps", 6, 0.003, 0.7), ("steps", 5, 0.006, 0.8), ("steps", 6, 0.006, 0.9),
            ("mistake", 5, 0.003, 0.4), ("mistake", 5, 0.006, 0.3)]  # fmt: skip
    table = pd.DataFrame([(arm, seed, f"validation at {rate:g}", value) for arm, seed, rate, value in rows],
                         columns=["arm", "seed", "metric", "value"])  # fmt: skip
    table.to_csv(tmp_path / "some-rates.csv", index=False)
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path)
    found = {arm: on_multiplication.rate_of(arm, "some-rates") for arm in ("steps", "mistake, equal steps", "shuffled")}
    assert found == {"steps": 0.006, "mistake, equal steps": 0.003, "shuffled": 0.006}


@pytest.mark.parametrize("name, arm", [("lesson07-rates", "teacher's steps"), ("lesson07-word-rates", "answer")])
def test_every_recorded_search_of_lesson_07_can_be_read(name, arm):
    table = results.load(name)
    tried = {float(m.removeprefix("validation at ")) for m in table.metric if m.startswith("validation at ")}
    assert on_multiplication.rate_of(arm, name) in tried


def test_a_search_goes_on_until_the_best_rate_lies_between_two_others(monkeypatch):
    monkeypatch.setattr(on_smollm, "score", lambda student, split="test": {"kl": student, "split": len(split)})
    for best in (2.0, -3.0, 0.0):
        tried = []

        def learned(rate, best=best, tried=tried):
            tried.append(rate)
            return abs(np.log2(rate) - best), 1.0

        found = study.search(learned, first=1.0)
        assert found["learning_rate"] == 2.0**best and len(set(tried)) == len(tried)
        assert min(tried) < 2.0**best < max(tried)


@pytest.mark.parametrize("name", SEARCHES)
def test_every_arm_of_a_table_ran_at_the_rate_that_its_search_found(name):
    (search, table) = next(
        pair.EXPERIMENTS[:2] for pair in experiments.modules() if getattr(pair, "EXPERIMENTS", [None])[0] is not None
        and pair.EXPERIMENTS[0].name == name
    )  # fmt: skip
    recorded = results.load(table.name)
    for arm in search.arms:
        assert set(results.per_seed(recorded, "learning_rate", arm)) == {study.found_rate(name, arm)}, arm


def scored(arm, seed, rate, split):
    """Best at 0.004 on validation, where 0.002 is as good as; on test prompts any rate is."""
    return {
        "accuracy": {0.001: 0.1, 0.002: 0.79, 0.004: 0.8, 0.008: 0.2}[rate] + 0.05 * (seed % 2),
        "split": len(split),
    }


def test_every_arm_is_run_at_its_chosen_rate_on_seeds_that_its_search_has_not_seen(tmp_path, monkeypatch):
    search, runs = study.at_chosen_rates(
        "z-rates",
        "z",
        ("a", "b"),
        (0.001, 0.002, 0.004, 0.008),
        scored,
        (3, 4),
        beside={"teacher": lambda seed: {"accuracy": seed}},
        groups=lambda: ["x"],
    )
    assert (search.seeds, runs.seeds, runs.arms) == (study.SEARCH_SEEDS, (3, 4), ("teacher", "a", "b"))
    assert search.module == runs.module == __name__ and search.run("b at 0.004", 100)["split"] == len("validation")
    rows = [(arm, seed, "accuracy", search.run(arm, seed)["accuracy"]) for arm in search.arms for seed in search.seeds]
    table_of(tmp_path, "z-rates", [row for row in rows if row[0] != "b at 0.001"])
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path)
    assert study.rates_of("z-rates", "a") == [0.001, 0.002, 0.004, 0.008]
    assert runs.run("a", 4) == scored("a", 4, 0.002, "test") | {"learning_rate": 0.002}
    assert runs.run("teacher", 4) == {"accuracy": 4} and runs.groups() == ["x"]
    with pytest.raises(ValueError, match="b: the rate 0.002 is an end of the grid"):
        runs.run("b", 4)


ON_REVIEWS = ("lesson01-reviews", "lesson02-reviews", "lesson03-reviews", "lesson14-reviews")


@pytest.mark.parametrize("name", ON_REVIEWS)
def test_every_student_on_reviews_ran_at_the_rate_that_three_seeds_chose_of_one_grid(name):
    table, searched = results.load(name), results.load(f"{name}-rates")
    assert set(searched.seed) == set(study.SEARCH_SEEDS) and set(table.seed) == set(range(10))
    shared = study.rates_of("lesson02-reviews-rates", "soft")
    arms = {arm.rpartition(" at ")[0] for arm in searched.arm}
    for arm in arms:
        rates = study.rates_of(f"{name}-rates", arm)
        assert rates == shared
        chosen = study.chosen_rate(searched, arm, rates, "accuracy")
        assert set(results.per_seed(table, "learning_rate", arm)) == {chosen}, arm


# --- What several lessons do on reviews -------------------------------------------------------------------------------


def test_shuffled_doubts_are_the_same_doubts_at_other_sentences_of_the_same_answer():
    soft = on_reviews.soft(on_reviews.drawn(0, 400))
    moved, answer = on_reviews.permuted(soft, 1), soft.argmax(-1)
    assert torch.equal(moved.argmax(-1), answer) and (moved != soft).any(-1).float().mean() > 0.9
    for kind in (0, 1):
        assert torch.equal(moved[answer == kind].sort(0).values, soft[answer == kind].sort(0).values)
    assert not torch.equal(moved, on_reviews.permuted(soft, 2))


def test_smoothed_answers_are_as_sure_as_the_teacher_on_average_and_equally_sure_each():
    soft = on_reviews.soft(on_reviews.drawn(0, 400))
    smoothed = on_reviews.smoothed(soft)
    assert torch.equal(smoothed.argmax(-1), soft.argmax(-1))
    torch.testing.assert_close(smoothed.amax(-1), soft.amax(-1).mean().expand(400))
    torch.testing.assert_close(on_reviews.answers(torch.tensor([1, 0]), 0.2), torch.tensor([[0.1, 0.9], [0.9, 0.1]]))


def test_a_seeds_sentences_are_of_the_pool_its_own_and_the_first_of_more():
    pool = {*reviews.pool(on_reviews.TEACHER)}
    every, few = on_reviews.drawn(3), on_reviews.drawn(3, 640)
    assert len({*every}) == 5000 and {*every} <= pool and (every[:640] == few).all()
    assert {*on_reviews.drawn(4, 640)} != {*few}


def test_peoples_shares_are_those_of_the_raters():
    places = on_reviews.drawn(0, 50)
    shares = on_reviews.people_soft(places)
    for place, (no, yes) in zip(places, shares.tolist()):
        ratings = reviews.sentences()["ratings"].iloc[place]
        assert yes == pytest.approx(np.mean([(r > 0) + (r == 0) / 2 for r in ratings]), abs=1e-6)
        assert no + yes == pytest.approx(1)


def test_a_students_scores_are_held_against_people_and_its_errors_against_the_teachers():
    places = reviews.places("test")
    labels, theirs = reviews.labels()[places], reviews.logits(on_reviews.TEACHER)[places]
    wrong = theirs.argmax(-1) != labels
    # A student that is sure of people's answers, but at half the teacher's errors sides with the teacher.
    repeated = wrong.nonzero().squeeze(-1)[::2]
    answers = labels.clone()
    answers[repeated] = 1 - answers[repeated]
    found = on_reviews.score(3.0 * torch.nn.functional.one_hot(answers, 2).float(), places)
    assert np.mean(found["accuracy"]) == pytest.approx(1 - len(repeated) / 3000)
    assert np.mean(found["copied"]) == pytest.approx(len(repeated) / wrong.sum().item(), abs=1e-6)
    confidence = 1 / (1 + np.exp(-3))
    assert np.mean(found["overconfidence"]) == pytest.approx(confidence - np.mean(found["accuracy"]), abs=1e-6)
    assert found["agreement"] == pytest.approx((answers == theirs.argmax(-1)).float().mean().item())
    same = on_reviews.score(theirs, places)
    assert (same["agreement"], np.mean(same["copied"])) == (1, pytest.approx(1)) and abs(same["kl"]) < 1e-6
    assert same["transfer ratio"] == pytest.approx(1) and 0.5 < same["rank"] < 1
    groups = on_reviews.groups()
    assert (
        len(groups) == 3000 and len(set(groups)) < 3000 and all(len(found[m]) == 3000 for m in ("accuracy", "copied"))
    )


def test_a_student_on_reviews_minimises_t_squared_times_the_cross_entropy_to_its_targets(monkeypatch):
    seen = {}

    def fit(model, inputs, labels, loss, teacher, **how):
        seen.update(loss=loss, targets=teacher(inputs[:3]), how=how, inputs=inputs)
        return model

    monkeypatch.setattr(on_reviews.training, "fit", fit)
    targets = torch.tensor([[0.2, 0.8], [0.5, 0.5], [1.0, 0.0]])
    places = on_reviews.drawn(0, 3)
    on_reviews.learn("bag", places, targets, 0.01, 5, temperature=3.0, steps=7)
    z = torch.randn(3, 2)
    expected = -9 * (targets * (z / 3).log_softmax(-1)).sum(-1).mean()
    torch.testing.assert_close(seen["loss"](z, seen["targets"], None), expected)
    assert (seen["how"]["steps"], seen["how"]["learning_rate"], seen["how"]["seed"]) == (7, 0.01, 5)
    assert torch.equal(seen["inputs"], on_reviews.inputs("bag")[places])


# --- What several lessons do on digits ---------------------------------------------------------------------------------------


def test_targets_keep_what_their_name_says():
    torch.manual_seed(0)
    labels, images = torch.tensor([1, 3, 3, 9]), digits.load().test_images[:4]
    model = digits.teacher().to(runtime.device())
    soft = on_digits.soft(model, images)
    sure = soft[torch.arange(4), labels]
    made = {kind: on_digits.target_options(kind, images, labels, 0, model) for kind in
            ("hard", "smoothing", "teacher-labels", "soft", "averaged", "permuted")}  # fmt: skip
    assert {kind: len(options) for kind, options in made.items()} == dict.fromkeys(made, 1) | {"smoothing": 2}
    for options in made.values():
        for target, _ in options:
            assert torch.allclose(target.sum(-1), torch.ones(4), atol=1e-6)
    assert torch.equal(made["hard"][0][0], nn.functional.one_hot(labels, 10).float()) and made["hard"][0][1] == 1
    assert torch.equal(made["teacher-labels"][0][0].argmax(-1), soft.argmax(-1))
    for kind in ("soft", "averaged", "permuted"):
        ((target, temperature),) = made[kind]
        assert temperature == on_digits.TEMPERATURE and torch.allclose(target[torch.arange(4), labels], sure)
    assert torch.equal(made["permuted"][0][0].sort(-1).values, soft.sort(-1).values)
    assert not torch.equal(made["permuted"][0][0], soft)
    others = made["averaged"][0][0].scatter(1, labels[:, None], torch.nan)
    assert all(len(row[~row.isnan()].unique()) == 1 for row in others)
    with pytest.raises(ValueError, match="no targets are called 'sharp'"):
        on_digits.target_options("sharp", images, labels, 0, model)


def test_a_few_are_of_every_class_and_of_the_seed():
    labels = digits.load().train_labels
    rows = on_digits.few(labels, 1, each=3)
    assert labels[rows].tolist() == [label for label in range(10) for _ in range(3)]
    assert torch.equal(rows, on_digits.few(labels, 1, 3)) and not torch.equal(rows, on_digits.few(labels, 2, 3))


def test_the_best_student_is_the_one_that_scores_highest_and_the_lower_rate_wins_a_tie(monkeypatch):
    monkeypatch.setattr(on_digits, "learn", lambda targets, temperature, images, seed, rate, width: (targets, rate))
    scores = {0.0005: 1.0, 0.002: 3.0, 0.008: 3.0, 0.03: 2.0, 0.1: 0.0}
    options = [("these", 1.0), ("those", 4.0)]
    score = lambda student: scores[student[1]] + (student[0] == "those")  # noqa: E731
    assert on_digits.best(options, None, 0, score, width=16) == (("those", 0.002), 0.002)


def test_a_teacher_is_trained_on_the_labels_that_it_is_given(monkeypatch):
    called = {}
    monkeypatch.setattr(
        on_digits.training, "fit", lambda model, images, labels, **how: called.update(how, labels=labels)
    )
    data = digits.load()
    on_digits.trained_teacher(3)
    assert torch.equal(called.pop("labels"), data.train_labels)
    assert called == {"steps": 1000, "learning_rate": 1e-3, "augment": digits.shift, "seed": 3}
    on_digits.trained_teacher(3, 5, labels=9 - data.train_labels, augment=None)
    assert torch.equal(called["labels"], 9 - data.train_labels)
    assert called["augment"] is None and called["steps"] == 5


def test_a_student_minimises_t_squared_times_the_cross_entropy_to_its_targets(monkeypatch):
    called = {}
    monkeypatch.setattr(on_digits.training, "fit", lambda *model_and_data, **how: called.update(how))
    targets, z = torch.rand(6, 10).softmax(-1), torch.randn(6, 10)
    on_digits.learn(targets, 3.0, torch.zeros(6, 64), 2, 0.25, width=16)
    expected = 9 * -(targets * (z / 3).log_softmax(-1)).sum(-1).mean()
    assert torch.allclose(called.pop("loss")(z, called.pop("teacher")(z), None), expected)
    assert called == {"steps": on_digits.STEPS, "learning_rate": 0.25, "seed": 2}


def test_every_seed_learns_from_examples_of_its_own_and_from_each_before_one_comes_again(monkeypatch):
    monkeypatch.setattr(on_smollm, "material", lambda: (None, None, range(10)))
    one, other = on_smollm.chosen(1, 25), on_smollm.chosen(2, 25)
    assert one != other and one == on_smollm.chosen(1, 25)
    assert sorted(one[:10]) == list(range(10)) and one[10:20] == one[:10] and one[20:] == one[:5]
