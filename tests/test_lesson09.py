"""Lesson 09's runs: who has seen which problems, what a reward teaches, and what each arm is."""

import numpy as np
import pytest
import torch

from distill_lessons import losses
from distill_lessons.course.experiments import lesson07_steps, lesson09_curves
from distill_lessons.course.experiments import lesson09_multiplication as lesson
from distill_lessons.losses import IGNORE
from distill_lessons.pairs import multiplication as pair


def prompts(setting, part, seed=0):
    return {prompt for prompt, _ in lesson.texts(setting, part, seed)}


def test_few_traces_leave_the_other_problems_for_later_and_no_test_problem_is_seen():
    start, after = prompts("few", "start"), prompts("few", "after")
    assert len(start) == lesson.FEW and not start & after
    assert start | after == prompts("many", "start") == prompts("many", "after")
    held_out = {pair.prompt(a, b) for a, b in [*pair.problems("test"), *lesson07_steps.split()[1]]}
    assert not held_out & (start | after)


def test_a_seed_has_problems_and_an_order_of_its_own_and_the_same_ones_again():
    assert lesson.texts("few", "start", 3) == lesson.texts("few", "start", 3)
    assert prompts("few", "start", 3) != prompts("few", "start", 4)


def test_every_text_of_the_teacher_stands_beside_its_own_problem():
    assert np.mean([lesson.is_right(*each) for each in lesson.texts("many", "after", 0)]) == pytest.approx(
        0.94, abs=0.02
    )


def test_no_text_is_longer_than_an_answer_may_be():
    assert max(len(text) + 1 for _, text in lesson.texts("many", "start", 0)) <= lesson.LONGEST


@pytest.fixture(scope="module")
def model():
    return pair.llama(len(pair.tokenizer()), 16, 1)


def examples():
    rows = pair.tokenizer()(["23*47=", "5*6="], add_special_tokens=False)["input_ids"]
    said = pair.tokenizer()(["1081", "31"], add_special_tokens=False)["input_ids"]
    return [{"input_ids": [*a, *b, 1], "labels": [IGNORE] * len(a) + [*b, 1]} for a, b in zip(rows, said)]


def test_the_policy_loss_is_the_sum_that_one_writes_by_hand(model):
    rewards, total, count = torch.tensor([1.0, 0.0]), 0.0, 0
    for row, reward in zip(examples(), rewards):
        logits = model(input_ids=torch.tensor([row["input_ids"]])).logits[0].log_softmax(-1)
        for place, label in enumerate(row["labels"]):
            if label != IGNORE:
                total, count = total - (reward - 0.5) * logits[place - 1, label], count + 1
    assert lesson.policy_loss(model, examples(), rewards).item() == pytest.approx((total / count).item(), abs=1e-6)


def test_where_all_are_right_or_none_is_nothing_is_learned(model):
    for rewards in (torch.ones(2), torch.zeros(2)):
        assert lesson.policy_loss(model, examples(), rewards).item() == 0


def test_a_step_makes_the_right_answer_likelier_and_the_wrong_one_less_likely(model):
    def likely():
        with torch.no_grad():
            return [
                -lesson.policy_loss(model, examples(), torch.tensor(each)).item() for each in ([1.0, 0.0], [0.0, 1.0])
            ]

    before = likely()
    loss = lesson.policy_loss(model, examples(), torch.tensor([1.0, 0.0]))
    (gradient,) = torch.autograd.grad(loss, [model.lm_head.weight])
    with torch.no_grad():
        model.lm_head.weight -= 0.01 * gradient
    after = likely()
    assert after[0] > before[0] and after[1] < before[1]


def test_rewards_alone_teach_a_student_that_is_sometimes_right(model, monkeypatch):
    monkeypatch.setattr(lesson, "is_right", lambda prompt, text: float(text[:1] == "7"))
    taught = lesson.rewarded(model, lesson.texts("few", "after", 0)[:100], seed=0, rate=2e-2, updates=25)
    rows = lesson.prompts_of([(12, 34), (56, 78)])
    with torch.no_grad():
        first = [taught(input_ids=torch.tensor([row])).logits[0, -1].argmax().item() for row in rows]
    assert pair.tokenizer().batch_decode([[each] for each in first]) == ["7", "7"]


@pytest.mark.parametrize("method", [*lesson.METHODS, "text"])
def test_an_arm_learns_from_what_its_table_says(method, monkeypatch, model):
    """Which texts, how many updates, who writes and what is measured: read off what the trainer is given."""
    seen = {}

    class Trainer:
        def __init__(self, **given):
            seen.update(given)

        def train(self):
            pass

    monkeypatch.setattr(lesson, "started", lambda setting, seed: model)
    monkeypatch.setattr(lesson, "teacher", lambda: model)
    monkeypatch.setattr(lesson.onpolicy, "OnPolicyTrainer", Trainer)
    monkeypatch.setattr(lesson.training, "DistillationTrainer", Trainer)
    lesson.go_on("few", method, 0, 1e-3)
    assert len(seen["train_dataset"]) == lesson.SAMPLES * (lesson.FEW if method == "again" else 6600)
    assert seen["args"].max_steps == lesson.UPDATES * (2 if method == "soft, equal time" else 1)
    assert seen["model"] is not model  # the start is another arm's too
    if method == "text":
        assert seen["alpha"] == 0
    else:
        asked = {
            "again": (0, 0),
            "soft": (0, 0),
            "soft, equal time": (0, 0),
            "mixed": (0.5, 0.5),
            "own, beta 0.5": (1, 0.5),
            "own": (1, 1),
        }[method]
        assert (seen["lmbda"], seen["beta"]) == asked


def test_a_student_that_is_its_teacher_is_not_apart_from_it(monkeypatch, model):
    monkeypatch.setattr(lesson, "teacher", lambda: model)
    rows = [{"input_ids": row, "labels": [IGNORE] * len(row)} for row in lesson.prompts_of([(12, 34), (56, 78)])]
    own = lesson.exposure.own_examples(model, rows, pair.tokenizer(), 8)
    assert lesson.per_token(model, own, "reverse") == pytest.approx(0, abs=1e-6)
    other = pair.llama(len(pair.tokenizer()), 16, 1, seed=1)
    assert lesson.per_token(other, own, "forward") > 0.01


def test_a_rate_is_chosen_by_what_is_gained_on_the_seeds_own_start(monkeypatch):
    right = {"start 1": 0.3, "start 2": 0.5, "after 1": 0.4, "after 2": 0.4}
    monkeypatch.setattr(lesson, "started", lambda setting, seed: f"start {seed}")
    monkeypatch.setattr(lesson, "go_on", lambda setting, method, seed, rate: f"after {seed}")
    monkeypatch.setattr(lesson, "scores", lambda model, split: {"accuracy": right[model]})
    lesson.before_accuracy.cache_clear()
    try:
        gains = [lesson.score("few own", seed, 1e-3, "validation")["gain"] for seed in (1, 2)]
    finally:
        lesson.before_accuracy.cache_clear()
    assert gains == pytest.approx([0.1, -0.1])
    assert "gain" not in lesson.score("few own", 1, 1e-3, "test")


def test_the_five_ways_of_exercise_9_3_are_what_they_are_called():
    z, told = torch.randn(6, 9), torch.randn(6, 9)
    log_q, log_p, tokens = z.log_softmax(-1), told.log_softmax(-1), torch.randint(9, (6,))
    rows = torch.arange(6)
    expected = {
        "fine": losses.reverse_kl(z, told),
        "stale": losses.reverse_kl(z, told),
        "k1": (log_q - log_p)[rows, tokens].mean(),
        "own words": torch.nn.functional.cross_entropy(z, tokens),
        "shifted": losses.reverse_kl(z, told[[1, 2, 3, 4, 5, 0]]),
    }
    for way, loss in expected.items():
        assert lesson09_curves.loss_of(way, log_q, log_p, tokens).item() == pytest.approx(loss.item(), abs=1e-5), way
