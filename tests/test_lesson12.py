"""What lesson 12 measures on, its report, and what its page says: texts, confidence, ratios from rows, an interval."""

import ast
import math

import nbformat
import numpy as np
import pandas as pd
import pytest
import torch

from distill_lessons import losses, runtime
from distill_lessons.course import results
from distill_lessons.course.exercises import lesson12 as exercise
from distill_lessons.course.experiments import lesson12, lesson12_small, on_multiplication
from distill_lessons.pairs import digits, multiplication, reviews


def test_human_text_is_prose_with_a_context_that_is_not_scored():
    rows = lesson12.human_text()
    assert len(rows) >= 20
    for row in rows:
        assert row["labels"][:16] == [-100] * 16 and row["labels"][16:] == row["input_ids"][16:]
        assert 16 < len(row["input_ids"]) <= 80


def test_noise_is_the_same_each_time_and_leaves_the_clean_images_alone():
    clean = digits.load().test_images
    noisy = lesson12_small.noisy_images()
    assert noisy.shape == clean.shape and 0 <= noisy.min() and noisy.max() <= 1
    assert 0.1 < (noisy - clean).abs().mean() < 0.3
    assert torch.equal(noisy, lesson12_small.noisy_images())


def test_scores_of_a_classifier_against_itself_and_by_hand():
    logits = torch.randn(200, 10, generator=torch.Generator().manual_seed(0)) * 3
    teacher = logits + torch.randn(200, 10, generator=torch.Generator().manual_seed(1))
    labels = teacher.argmax(-1)
    found = lesson12_small.classifier_scores(logits, teacher, labels)
    assert found["accuracy"] == found["agreement"] == pytest.approx(found["transfer ratio"])
    assert found["kl"] == pytest.approx(losses.forward_kl(logits, teacher).item())
    assert found["transfer ratio, low"] < found["transfer ratio"] < found["transfer ratio, high"]
    assert lesson12_small.classifier_scores(teacher, teacher, labels)["kl"] == pytest.approx(0, abs=1e-6)


def test_a_written_answer_is_as_sure_as_its_text_is_likely():
    problems = multiplication.problems("test")[:5]
    model = multiplication.teacher()
    right, answers, confidence, tokens = lesson12_small.written(model, problems)
    assert answers.shape == right.shape == confidence.shape == (5,) and tokens > 10
    tokenizer = multiplication.tokenizer()
    (a, b), likelihood = problems[2], 0.0
    text = on_multiplication.ask(model, problems)[2]
    ids = tokenizer(multiplication.prompt(a, b) + text)["input_ids"] + [tokenizer.eos_token_id]
    begin = len(multiplication.prompt(a, b))
    with torch.no_grad():
        log_p = model(torch.tensor([ids], device=model.device)).logits[0].log_softmax(-1)
    likelihood = sum(log_p[place - 1, ids[place]].item() for place in range(begin, len(ids)))
    assert confidence[2] == pytest.approx(math.exp(likelihood), rel=1e-3)
    assert right[2] == (answers[2] == a * b)


def test_the_report_divides_what_the_rows_hold(monkeypatch):
    rows = []
    for (_, _), (experiment, arm, timed) in lesson12.CANDIDATES.items():
        for seed in range(3):
            rows.append((experiment, arm, seed, "transfer ratio", 0.9 + 0.01 * seed))
            rows += [
                (experiment, arm, seed, f"transfer ratio, {end}", value) for end, value in (("low", 0.8), ("high", 0.9))
            ]
            for name, rate, wait in ((timed, 400.0, 0.5), (f"{timed.split()[0]} teacher", 100.0, 1.5)):
                speeds = {"log2 queries a second": math.log2(rate), "log2 p50": math.log2(wait)}
                rows += [("lesson12-speed", name, seed, metric, value) for metric, value in speeds.items()]
    table = pd.DataFrame(rows, columns=["experiment", "arm", "seed", "metric", "value"]).drop_duplicates()
    table = table.drop_duplicates(["experiment", "arm", "seed", "metric"])
    monkeypatch.setattr(results, "load", lambda name, folder=None: table[table.experiment == name])
    report = lesson12.report()
    assert len(report) == len(lesson12.CANDIDATES)
    student = report[~report.model.str.endswith("teacher")]
    assert np.allclose(student.quality, 0.91)
    assert np.allclose(student["quality low"], 0.8)  # over items
    assert np.allclose(student["quality high"], results.interval([0.9, 0.91, 0.92]).high)  # over seeds
    assert np.allclose(student.cost, 4) and np.allclose(student.speed, 3)


# --- What the page says -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def interval():
    """The page's own interval of a paired difference."""
    page = nbformat.read(runtime.REPOSITORY / "notebooks" / "12_did_it_work.ipynb", 4)
    source = next(cell.source for cell in page.cells if "def interval(" in cell.source)
    function = next(node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef))
    found = {"np": np}
    exec(ast.unparse(function), found)
    return found["interval"]


@pytest.mark.parametrize("gain, lose", [(0.08, 0.19), (0.022, 0.029), (0.005, 0.01), (0.02, 0.02)])
@pytest.mark.parametrize("n", [100, 300, 3000])
def test_the_low_end_is_passed_as_seldom_as_it_says(interval, gain, lose, n):
    rng = np.random.default_rng(0)
    gained, lost, _ = rng.multinomial(n, [gain, lose, 1 - gain - lose], 20_000).T
    gap, low, high = interval(gained, lost, n)
    assert (low > gain - lose).mean() < 0.06 and (high < gain - lose).mean() < 0.065
    assert (low < gap).all() and (gap < high).all()


def test_no_difference_seen_is_not_no_difference(interval):
    gap, low, high = interval(0, 0, 30)
    assert gap == 0 and low == -high < -0.02
    assert interval(10, 20, 300)[1] > interval(10, 20, 300, z=1.96)[1]
    big = np.array(interval(0, 0, 100_000))
    assert np.abs(big).max() < 1e-4


@pytest.mark.parametrize("rounded", [float, math.ceil, math.floor, round])
@pytest.mark.parametrize("z", [1.644854 + 0.841621, 1.645 + 0.842, 1.64 + 0.84, 1.65 + 0.84])
def test_a_number_of_items_may_be_rounded_in_any_way(rounded, z):
    for _ in range(60):  # each draws other cases
        exercise.check_items_needed(lambda g, d, m: rounded(z**2 * (d - g**2) / (m + g) ** 2))


def test_the_shown_trials_have_every_outcome(capsys):
    reasons = {letter: exercise._decided(trial)[0] for letter, trial in exercise.trials().items()}
    assert sorted(reasons.values()) == sorted(exercise.REASONS)
    exercise.show_trials()
    printed = capsys.readouterr().out.splitlines()
    assert len(printed) == 6 and max(map(len, printed)) <= 96
    assert all(line.startswith(letter) for line, letter in zip(printed[1:], reasons))


def test_the_judge_of_length_agrees_with_people_more_than_the_sound_one():
    for seed in range(20):
        judges, better, longer, right = exercise._judges(np.random.default_rng(seed))
        agrees = {}
        for letter, (ours_first, theirs_first) in judges.items():
            ours = [a == "A" for a in ours_first] + [b == "B" for b in theirs_first]
            agrees[right[letter]] = np.mean([o == (b == "ours") for o, b in zip(ours, 2 * better)])
        assert agrees["longer answer"] > agrees["sound"] > agrees["coin"] + 0.1
        assert agrees["coin"] == pytest.approx(0.5, abs=0.01)


def test_on_messages_a_ratio_flatters_and_the_teacher_prefers_its_own_pupils():
    table = results.load("lesson02-reviews")
    mean = lambda metric, arm: results.per_seed(table, metric, arm).mean()  # noqa: E731
    positive = reviews.labels()[reviews.places("test", "message")].double().mean().item()
    assert mean("message", "soft") > mean("message", "teacher") and positive > mean("message", "soft")
    for metric, sign in {"accuracy": -1, "agreement": 1}.items():
        gap = results.paired_difference(table, metric, "soft", "people")
        assert sign * gap.estimate > 0.005 and min(sign * gap.low, sign * gap.high) > 0
    for arm, sign in {"hard": 1, "soft": -1}.items():
        assert (sign * results.per_seed(table, "overconfidence", arm) > 0).all()
