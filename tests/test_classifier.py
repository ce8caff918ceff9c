"""`fit`: what it learns and repeats, what it shows the teacher, and what it refuses."""

import copy
import math

import pytest
import torch
from torch import nn

from distill_lessons import losses, runtime, training
from distill_lessons.pairs import digits

IMAGES, LABELS = torch.rand(60, 64, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 10


def soft(student, teacher, labels):
    return losses.forward_kl(student, teacher)


def weights(model):
    return torch.cat([weight.detach().flatten().cpu() for weight in model.parameters()])


def with_dropout():
    torch.manual_seed(1)
    return digits.mlp([64, 16, 10], dropout=0.5)


@pytest.mark.parametrize("augment", [None, digits.shift])
def test_the_teacher_is_asked_without_dropout(augment):
    """Whatever mode the teacher comes in, the student learns the same."""
    torch.manual_seed(0)
    student = digits.student()
    learned = []
    for mode in (True, False):
        teacher = with_dropout().train(mode)
        learned.append(
            weights(training.fit(copy.deepcopy(student), IMAGES, LABELS, soft, teacher, steps=3, augment=augment))
        )
    torch.testing.assert_close(*learned, rtol=0, atol=0)


def test_the_teacher_is_asked_the_images_that_the_student_sees():
    seen, asked = [], []

    def teacher(batch):
        asked.append(batch.clone())
        return torch.zeros(len(batch), 10, device=batch.device)

    class Watching(nn.Linear):
        def forward(self, batch):
            seen.append(batch.clone())
            return super().forward(batch)

    training.fit(Watching(64, 10), IMAGES, LABELS, soft, teacher, steps=3, augment=digits.shift)
    assert len(asked) == 3 and all(torch.equal(one, other) for one, other in zip(asked, seen))


def test_dropout_repeats_whatever_was_drawn_before():
    learned = []
    for drawn in (0, 5):
        model = with_dropout()
        torch.rand(drawn)
        learned.append(weights(training.fit(model, IMAGES, LABELS, steps=3)))
    torch.testing.assert_close(*learned, rtol=0, atol=0)


def test_another_seed_draws_other_batches_and_other_dropout():
    model = digits.student()
    one, other = (
        weights(training.fit(copy.deepcopy(model), IMAGES, LABELS, steps=2, batch_size=8, seed=s)) for s in (0, 1)
    )
    assert not torch.equal(one, other)
    whole = [with_dropout(), with_dropout()]
    one, other = (
        weights(training.fit(m, IMAGES, LABELS, steps=2, batch_size=60, seed=s)) for m, s in zip(whole, (0, 1))
    )
    assert not torch.equal(one, other)


def test_every_image_is_drawn_before_one_comes_again():
    seen = []

    def loss(student, teacher, labels):
        seen.extend(labels.tolist())
        return student.mean() * 0

    model = nn.Linear(64, 60)
    training.fit(model, IMAGES, torch.arange(60), loss, steps=4, batch_size=30)
    assert sorted(seen[:60]) == sorted(seen[60:]) == list(range(60)) and seen[:60] != seen[60:]


def test_it_returns_the_model_itself_in_eval_mode():
    model, before = with_dropout(), None
    before = weights(model)
    assert training.fit(model, IMAGES, LABELS, steps=1) is model and not model.training
    assert not torch.equal(before, weights(model))


def test_dropout_is_on_in_training_whatever_mode_the_model_comes_in():
    learned = [weights(training.fit(with_dropout().train(mode), IMAGES, LABELS, steps=3)) for mode in (True, False)]
    torch.testing.assert_close(*learned, rtol=0, atol=0)


def test_the_rate_falls_along_half_a_cosine():
    """Under a constant gradient each of Adam's steps is as long as the rate."""
    model, seen = nn.Linear(64, 1, bias=False), []

    def loss(student, teacher, labels):
        seen.append(model.weight.detach().clone())
        return student.mean()

    training.fit(model, torch.ones(8, 64), torch.zeros(8, dtype=torch.long), loss, steps=4, learning_rate=1e-2)
    moved = [float((one - other).mean()) for one, other in zip(seen, [*seen[1:], model.weight.detach()])]
    assert moved == pytest.approx([1e-2 * (1 + math.cos(math.pi * step / 4)) / 2 for step in range(4)], rel=1e-2)


def test_a_small_model_trains_on_one_thread_and_the_number_is_put_back(monkeypatch):
    monkeypatch.setenv("DISTILL_DEVICE", "cpu")
    monkeypatch.delenv("DISTILL_THREADS", raising=False)
    inside, before = [], torch.get_num_threads()

    def loss(student, teacher, labels):
        inside.append(torch.get_num_threads())
        return student.sum() * (float("nan") if len(inside) == 3 else 0.0)

    torch.set_num_threads(2)
    try:
        training.fit(digits.student(), IMAGES, LABELS, loss, steps=2)
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="at step 0"):
            training.fit(digits.student(), IMAGES, LABELS, loss, steps=2)
        assert torch.get_num_threads() == 2 and inside == [1, 1, 1]
        monkeypatch.setenv("DISTILL_THREADS", "3")
        training.fit(digits.student(), IMAGES, LABELS, loss, steps=1)
        assert inside[-1] == 3 and torch.get_num_threads() == 2
        monkeypatch.delenv("DISTILL_THREADS")
        monkeypatch.setattr(runtime, "SMALL", 1000)
        training.fit(digits.student(), IMAGES, LABELS, loss, steps=1)
        assert inside[-1] == 2
    finally:
        torch.set_num_threads(before)


MODEL = digits.student()
BAD = {
    "no images": (dict(images=IMAGES[:0], labels=LABELS[:0]), "at least one image"),
    "fewer labels": (dict(labels=LABELS[:59]), r"one whole number as label for each image.*\[59\].*60 images"),
    "more labels": (dict(labels=LABELS.repeat(2)), r"\[120\].*60 images"),
    "a column of labels": (dict(labels=LABELS[:, None]), r"\[60, 1\]"),
    "labels as floats": (dict(labels=LABELS.float()), "torch.float32"),
    "a label too high": (dict(labels=LABELS + 1), "labels run from 1 to 10 and the model has 10 logits"),
    "an ignored label": (dict(labels=LABELS.masked_fill(LABELS == 3, -100)), "labels run from -100 to 9"),
    "its own teacher": (dict(teacher=MODEL, loss=soft), "the teacher is the model itself"),
    "an empty batch": (dict(batch_size=0), "batch size from 1 on, and it got 1500 and 0"),
    "negative steps": (dict(steps=-1), "steps from 0 on"),
    "a loss for each example": (dict(loss=lambda s, t, y: s.sum(-1)), r"shape \[60\].*take its mean"),
    "NaN": (
        dict(loss=lambda s, t, y: s.sum() * float("nan")),
        "became nan at step 0: lower the learning rate, now 0.002",
    ),
    "infinity": (dict(loss=lambda s, t, y: s.sum() + float("inf")), "became inf at step 0"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_learned_is_refused_in_one_sentence(case):
    how, words = BAD[case]
    before = weights(MODEL)
    with pytest.raises(ValueError, match=words) as refused:
        training.fit(MODEL, **{"images": IMAGES, "labels": LABELS} | how)
    assert len(str(refused.value).splitlines()) == 1
    assert torch.equal(before, weights(MODEL))


def test_a_run_that_diverges_later_says_at_which_step():
    seen = []

    def loss(student, teacher, labels):
        seen.append(1)
        return student.mean() * (float("inf") if len(seen) == 3 else 1.0)

    with pytest.raises(ValueError, match="at step 2"):
        training.fit(digits.student(), IMAGES, LABELS, loss, steps=5)


def test_the_loss_is_given_what_the_teacher_says_in_eval_mode():
    teacher, said = with_dropout().train(), []

    def watched(student, teacher, labels):
        said.append(teacher.cpu())
        return losses.forward_kl(student, teacher)

    for augment in (None, lambda batch, generator: batch):
        training.fit(digits.student(), IMAGES, LABELS, watched, teacher, steps=1, batch_size=60, augment=augment)
    with torch.no_grad():
        expected = teacher.cpu().eval()(IMAGES).sum(0)  # whatever order the images come in
    for given in said:
        torch.testing.assert_close(given.sum(0), expected)
