"""Evaluation per token and per item, the transfer ratio and its interval, sizes."""

import numpy as np
import pytest
import torch
from helpers import peaked
from test_pairs import small_llama
from test_training import collate, examples
from torch import nn

from distill_lessons import evaluation, runtime
from distill_lessons.models import compression, response_logits
from distill_lessons.pairs import smollm


def student_and_teacher():
    teacher = small_llama().eval().to(runtime.device())
    return smollm.student(teacher, 4).eval(), teacher


def test_what_is_said_of_each_token_averages_to_closeness():
    student, teacher = student_and_teacher()
    batches = [collate(examples(5)), collate(examples(3, seed=1))]
    tokens = evaluation.next_tokens(student, batches, teacher)
    whole = evaluation.closeness(student, teacher, batches)
    assert tokens["kl"].mean() == pytest.approx(whole["kl"], abs=1e-5)
    assert tokens["agrees"].mean() == pytest.approx(whole["agreement"])
    assert tokens["surprise"].mean() == pytest.approx(whole["cross_entropy"], abs=1e-5)
    assert evaluation.perplexity(whole["cross_entropy"]) == pytest.approx(np.exp(tokens["surprise"].mean()), rel=1e-5)
    assert len(tokens["row"]) == whole["tokens"]
    remembered = evaluation.next_tokens(student, evaluation.remember(teacher, batches), teacher)
    assert remembered["kl"] == pytest.approx(tokens["kl"], abs=1e-5)
    assert "kl" not in evaluation.next_tokens(student, batches)


def sure_student_and_teacher():
    """Models that are sure of something, and not of the same."""
    teacher = peaked(small_llama()).eval().to(runtime.device())
    return peaked(smollm.student(small_llama(), 4)).eval().to(runtime.device()), teacher


def test_the_kl_is_that_of_the_teacher_to_the_student_and_not_the_other_way_round():
    student, teacher = sure_student_and_teacher()
    batch = collate(examples(6))
    with torch.no_grad():
        q, p = (response_logits(model, batch)[0].double().softmax(-1).cpu().numpy() for model in (student, teacher))
    forward, backward = (p * np.log(p / q)).sum(1), (q * np.log(q / p)).sum(1)
    assert -(p * np.log(p)).sum(1).mean() < 0.5 * np.log(300)  # the teacher is far from uniform
    assert forward.mean() > 1.3 * backward.mean()
    assert evaluation.closeness(student, teacher, [batch])["kl"] == pytest.approx(forward.mean(), rel=1e-4)
    assert evaluation.next_tokens(student, [batch], teacher)["kl"] == pytest.approx(forward, rel=1e-3, abs=1e-5)


def test_models_in_training_mode_are_measured_without_dropout_and_left_in_it():
    student, teacher = sure_student_and_teacher()
    batches = [collate(examples(4))]
    quiet = evaluation.closeness(student, teacher, batches), evaluation.next_tokens(student, batches, teacher)
    for model in (student, teacher):
        model.model.norm = nn.Sequential(model.model.norm, nn.Dropout(0.5))
        model.train()
    student.model.norm[0].eval()  # a part that was frozen stays so
    assert evaluation.closeness(student, teacher, batches) == pytest.approx(quiet[0])
    assert evaluation.next_tokens(student, batches, teacher)["kl"] == pytest.approx(quiet[1]["kl"])
    for name in ("surprise", "confidence"):
        assert evaluation.next_tokens(student, batches)[name] == pytest.approx(quiet[1][name])
    remembered = evaluation.remember(teacher, batches)
    assert evaluation.closeness(student, teacher, remembered)["kl"] == pytest.approx(quiet[0]["kl"], rel=1e-4)
    assert student.training and teacher.training and teacher.model.norm[1].training
    assert not student.model.norm[0].training


def test_nothing_to_measure_on_is_said():
    student, teacher = student_and_teacher()
    for call in (lambda: evaluation.closeness(student, teacher, []), lambda: evaluation.next_tokens(student, [])):
        with pytest.raises(ValueError, match="there is no batch"):
            call()
    tokens = evaluation.next_tokens(student, [collate(examples(2))])
    with pytest.raises(ValueError, match="there is no 'kl', only row, right.*: kl and agrees need a teacher"):
        evaluation.by_row(tokens, "kl")
    assert evaluation.perplexity(1000) == np.inf


def test_confidence_rightness_and_brier_of_each_token_are_those_of_its_distribution():
    student, _ = student_and_teacher()
    batch = collate(examples(4))
    logits, labels = response_logits(student, batch)
    p, labels = logits.softmax(-1).cpu(), labels.cpu()
    tokens = evaluation.next_tokens(student, [batch])
    assert tokens["confidence"] == pytest.approx(p.amax(-1).detach().numpy(), abs=1e-6)
    assert tokens["right"].tolist() == (p.argmax(-1) == labels).float().tolist()
    hot = torch.nn.functional.one_hot(labels, p.shape[-1])
    assert tokens["brier"] == pytest.approx((p - hot).square().sum(-1).detach().numpy(), abs=1e-5)


def test_tokens_are_counted_to_the_response_that_they_belong_to():
    student, _ = student_and_teacher()
    rows = examples(7)
    tokens = evaluation.next_tokens(student, [collate(rows[:4]), collate(rows[4:])])
    lengths = [sum(label != -100 for label in row["labels"]) for row in rows]
    assert np.bincount(tokens["row"].astype(int)).tolist() == lengths
    alone = [evaluation.next_tokens(student, [collate([row])])["surprise"].sum() for row in rows]
    assert evaluation.by_row(tokens, "surprise") == pytest.approx(alone, abs=1e-4)


def test_the_transfer_ratio_is_that_of_the_means_and_its_interval_covers_the_truth():
    rng, covered = np.random.default_rng(0), 0
    for _ in range(200):
        teacher = (rng.random(150) < 0.9).astype(float)
        student = teacher * (rng.random(150) < 0.8)
        found = evaluation.transfer_ratio(student, teacher)
        assert found.value == pytest.approx(student.mean() / teacher.mean())
        covered += found.low <= 0.8 <= found.high
    assert 0.88 < covered / 200 < 0.99


def test_the_same_items_are_drawn_for_both():
    scores = np.random.default_rng(1).random(50)
    half = scores / 2 * np.where(np.arange(50) % 2, 0.99, 1.01)  # about half on every item
    found = evaluation.transfer_ratio(half, scores)
    assert found.low == pytest.approx(0.5, abs=0.004) and found.high == pytest.approx(0.5, abs=0.004)


@pytest.mark.parametrize("count", [1, 5, 100])
def test_right_on_every_item_is_no_certainty(count):
    found = evaluation.transfer_ratio(np.ones(count), np.ones(count))
    assert found.value == 1 and found.low == pytest.approx(0.025 ** (1 / count)) and found.high > 1
    half = evaluation.transfer_ratio(np.full(count, 0.5), np.ones(count))
    assert half.low < 0.5 < half.high


def test_bad_scores_are_refused():
    with pytest.raises(ValueError, match="3 scores against 2: score both models on the same items"):
        evaluation.transfer_ratio([1, 0, 1], [1, 1])
    with pytest.raises(ValueError, match="a ratio to it means nothing"):
        evaluation.transfer_ratio([1, 0], [0, 0])


def test_the_size_of_int8_weights_is_that_of_their_bytes_and_their_number_stays():
    model = small_llama()
    whole, small = evaluation.size(model), evaluation.size(compression.int8(model))
    assert small["parameters"] == whole["parameters"]
    assert small["megabytes"] == pytest.approx(evaluation.size_on_disk(compression.int8(model)), abs=0.01)
    assert small["megabytes"] < 0.4 * whole["megabytes"]


def test_megabytes_are_millions_of_bytes_and_statistics_are_no_parameters():
    layer = nn.Linear(1000, 1000, bias=False)
    assert evaluation.size(layer) == {"parameters": 10**6, "megabytes": 4.0}
    assert evaluation.size(layer.half()) == {"parameters": 10**6, "megabytes": 2.0}
    assert evaluation.size_on_disk(layer) == pytest.approx(2.0, rel=1e-3)
    norm = evaluation.size(nn.BatchNorm1d(100))
    assert norm["parameters"] == 200 and norm["megabytes"] == pytest.approx((4 * 400 + 8) / 1e6)


def test_the_size_on_disk_is_that_of_the_weights_shared_ones_once():
    model = small_llama()
    weights = 4 * sum(p.numel() for p in model.parameters()) / 1e6
    assert evaluation.size_on_disk(model) == pytest.approx(weights, rel=0.1)
    assert evaluation.size_on_disk(compression.int8(model)) < 0.5 * weights
