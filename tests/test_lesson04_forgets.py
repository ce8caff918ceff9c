"""Lesson 04's student that is trained on one kind of text and then distilled on another: rates, starts and what it forgets."""

import pytest
import torch
from torch import nn

from distill_lessons import training
from distill_lessons.course.experiments import lesson04_reviews_forgets as lesson
from distill_lessons.course.experiments import on_reviews
from distill_lessons.pairs import reviews

OLD, NEW = 0, 1  # first token of a sentence: what it is about


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """A student that counts its trainings, on forty sentences: places 0 to 19 are of the other sources."""
    seen = []

    def fit(model, inputs, labels, loss, teacher, learning_rate, seed, steps, **options):
        with torch.no_grad():
            model.weight += 1
        targets = teacher(inputs)
        assert len(targets) == len(inputs) == len(labels) and not labels.any() and steps == 500
        assert loss(targets.log(), targets, labels).isfinite() or (targets == 0).any()
        seen.append((inputs.flatten().tolist(), targets, learning_rate, seed, model.weight.item()))
        return model

    def start():
        model = nn.Linear(1, 1, bias=False)
        nn.init.constant_(model.weight, torch.initial_seed())
        return model

    def places(split, sources=reviews.CASE):
        sources = [sources] if isinstance(sources, str) else sources
        return torch.tensor(
            [n for name in sources for n in {"message": [0, 1], "newspaper": [2, 3]}.get(name, [30])]
        ).numpy()

    monkeypatch.setattr(training, "fit", fit)
    monkeypatch.setattr(reviews, "frozen", start)
    monkeypatch.setattr(reviews, "places", places)
    monkeypatch.setattr(reviews, "labels", lambda: torch.arange(40) % 2)
    monkeypatch.setattr(on_reviews, "inputs", lambda student: torch.arange(40.0)[:, None])
    monkeypatch.setattr(on_reviews, "drawn", lambda seed: torch.arange(20, 40).numpy())
    monkeypatch.setattr(on_reviews, "soft", lambda places: torch.full((len(places), 2), 0.5))
    monkeypatch.setattr(on_reviews, "score", lambda z, places: {"accuracy": 0.5})
    monkeypatch.setattr(lesson, "rate_before", lambda: 0.064)
    # Right on sentence 0 alone, of those with an even number.
    monkeypatch.setattr(
        on_reviews, "logits", lambda model, student, places: torch.tensor([[1.0, 0.0]]).repeat(len(places), 1)
    )
    lesson.pretrained.cache_clear()
    yield seen
    lesson.pretrained.cache_clear()


@pytest.mark.parametrize(
    "arm, rate", [("as in pre-training", 0.064), ("a 4th", 0.016), ("a 16th", 0.004), ("a 64th", 0.001)]
)
def test_an_arm_begins_where_pretraining_ended_and_goes_on_at_its_own_rate(small, arm, rate):
    found = lesson.run(arm, 7)
    (first, labels, before, _, one), (second, soft, after, _, two) = small
    assert first == [0, 1, 2, 3] and labels.tolist() == [[1, 0], [0, 1], [1, 0], [0, 1]] and before == 0.064
    assert second == list(range(20, 40)) and (soft == 0.5).all() and after == pytest.approx(rate)
    assert (one, two) == (8, 9) and found["learning_rate"] == pytest.approx(rate)


def test_the_arms_of_a_seed_share_their_start_and_leave_it_as_it_was(small):
    for arm in lesson.ARMS:
        lesson.run(arm, 7)
    assert [weight for *_, weight in small] == [8, 9, 9, 9, 9]
    lesson.run("not distilled", 7)
    assert len(small) == 5
    lesson.run("a 4th", 8)
    assert [weight for *_, weight in small[5:]] == [9, 10]


def test_who_never_saw_the_other_sources_begins_afresh(small):
    found = lesson.run("fresh", 7)
    ((inputs, _, rate, seed, weight),) = small
    assert inputs == list(range(20, 40)) and (rate, seed, weight) == (0.064, 7, 8) and found["learning_rate"] == 0.064


def test_what_is_forgotten_is_the_mean_of_the_two_sources(monkeypatch):
    parts = {"message": 0.9, "newspaper": 0.5}
    monkeypatch.setattr(lesson, "accuracy", lambda model, split, sources: parts[sources] if split == "test" else 0)
    assert lesson.run("not distilled", 0)["old"] == pytest.approx(0.7)
    monkeypatch.undo()


def test_accuracy_is_held_against_the_majority():
    assert lesson.accuracy(None, "test", "message") == 0.5


def test_what_was_stated():
    search, table = lesson.EXPERIMENTS
    assert len(table.seeds) == 10 and not set(search.seeds) & set(table.seeds) and len(search.arms) == len(lesson.GRID)
    assert set(lesson.ARMS.values()) == {1, 1 / 4, 1 / 16, 1 / 64} and set(table.arms) < set(lesson.NAMES)
