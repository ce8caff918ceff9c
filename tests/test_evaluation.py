"""Evaluation per token and per item, the transfer ratio and its interval, sizes."""

import numpy as np
import pytest
import torch
from test_pairs import small_llama
from test_training import collate, examples

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
    same = evaluation.transfer_ratio(scores / 2, scores)  # exactly half on every item
    assert (same.value, same.low, same.high) == pytest.approx((0.5, 0.5, 0.5))


def test_bad_scores_are_refused():
    with pytest.raises(ValueError, match="3 scores against 2: score both models on the same items"):
        evaluation.transfer_ratio([1, 0, 1], [1, 1])
    with pytest.raises(ValueError, match="a ratio to it means nothing"):
        evaluation.transfer_ratio([1, 0], [0, 0])


def test_the_size_on_disk_is_that_of_the_weights_shared_ones_once():
    model = small_llama()
    weights = 4 * sum(p.numel() for p in model.parameters()) / 1e6
    assert evaluation.size_on_disk(model) == pytest.approx(weights, rel=0.1)
    assert evaluation.size_on_disk(compression.int8(model)) < 0.5 * weights
