"""What lesson 12 measures on, and its report: the texts, the confidence of a written answer, ratios from rows."""

import math

import numpy as np
import pandas as pd
import pytest
import torch

from distill_lessons import losses
from distill_lessons.course import results
from distill_lessons.course.experiments import lesson12, lesson12_small, on_multiplication
from distill_lessons.pairs import digits, multiplication


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
