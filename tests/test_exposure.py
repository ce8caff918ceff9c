"""Exposure bias by position: against plain sums, and on a student that is right until it errs."""

import pytest
import torch
from helpers import peaked
from test_pairs import small_llama
from test_training import collate, examples

from distill_lessons import losses
from distill_lessons.evaluation import exposure
from distill_lessons.losses import IGNORE
from distill_lessons.models import response_logits, students
from distill_lessons.training import onpolicy


def two():
    teacher = peaked(small_llama(), 5.0)
    return students.cut(teacher, 4).train(), teacher.eval()


def test_each_position_has_the_mean_of_the_responses_that_reach_it():
    student, teacher = two()
    rows = examples(9)
    found = exposure.by_position(student, teacher, rows, batch_size=4)
    assert student.training
    lengths = [sum(label != IGNORE for label in row["labels"]) for row in rows]
    assert [row["position"] for row in found] == list(range(1, max(lengths) + 1))
    assert [row["tokens"] for row in found] == [
        sum(n >= place for n in lengths) for place in range(1, max(lengths) + 1)
    ]
    sums = torch.zeros(3, max(lengths))
    student.eval()
    for row in rows:
        with torch.no_grad():
            ours, theirs = (response_logits(model, collate([row]))[0].cpu() for model in (student, teacher))
        for place, (one, other) in enumerate(zip(ours, theirs)):
            sums[0, place] += losses.forward_kl(one, other)
            sums[1, place] += losses.reverse_kl(one, other)
            sums[2, place] += one.argmax() != other.argmax()
    for place, row in enumerate(found):
        expected = (sums[:, place] / row["tokens"]).tolist()
        assert [row["forward"], row["reverse"], row["differs"]] == pytest.approx(expected, abs=1e-4)
    with pytest.raises(ValueError, match="give at least one"):
        exposure.by_position(student, teacher, [])


def test_own_examples_are_the_prompts_with_the_models_own_words():
    student, _ = two()
    rows, ends = examples(7), list(range(3, 60))
    student.generation_config.eos_token_id = ends
    found = exposure.own_examples(student, rows, max_new_tokens=6, seed=3, batch_size=3)
    prompts = onpolicy.prompts_of(collate(rows))
    ends = sorted({*ends, student.config.eos_token_id})
    expected = onpolicy.write(student, prompts, ends, onpolicy.uniform(3, 0, range(7), 6))
    assert found == [onpolicy.example(prompt, each) for prompt, each in zip(prompts, expected)]
    assert len({len(row["labels"]) - row["labels"].count(IGNORE) for row in found}) > 1
    assert found != exposure.own_examples(student, rows, max_new_tokens=6, seed=4)
    greedy = exposure.own_examples(student, rows, max_new_tokens=6, temperature=0, seed=3)
    assert greedy == exposure.own_examples(student, rows, max_new_tokens=6, temperature=0, seed=4)
