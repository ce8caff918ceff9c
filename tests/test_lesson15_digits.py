"""What lesson 15 measures on digits: students of sentences taught by a teacher of images; a teacher trained to teach."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from distill_lessons.course import results
from distill_lessons.course.experiments import lesson15_digits as lesson
from distill_lessons.course.experiments import lesson15_friendly as friendly
from distill_lessons.course.experiments import on_digits, study
from distill_lessons.pairs import digits

TABLES = {"lesson15-digits": lesson, "lesson15-friendly": friendly}


@pytest.fixture
def quick(monkeypatch):
    """Teachers and students of five steps."""
    fit = lesson.training.fit
    monkeypatch.setattr(lesson.training, "fit", lambda *given, **how: fit(*given, **how | {"steps": 5}))
    caches = (lesson.pairs, friendly.teachers)
    for each in caches:
        each.cache_clear()
    yield
    for each in caches:
        each.cache_clear()


# --- Sentences --------------------------------------------------------------------------------------------------------


def drawing(text):
    return torch.tensor([[float(mark == "#") for mark in line] for line in text.split()]).reshape(1, 64)


RING = drawing("........ ..####.. ..#..#.. ..#..#.. ..#..#.. ..#..#.. ..####.. ........")
BAR = drawing("####.... ####.... ........ ........ ........ ........ ........ ........")


def test_traits_are_those_of_the_drawing():
    ring, bar = ({name: value[0] for name, value in lesson.measured(each).items()} for each in (RING, BAR))
    assert ring["holes"] == 1 and bar["holes"] == 0
    assert ring["above"] == ring["left"] == 0 and bar["above"] == bar["left"] == 1
    assert ring["width"] == bar["width"] == 4 and ring["middle"] == bar["middle"] == 0
    assert ring["mirror"] == 0 and bar["mirror"] == 2
    assert (ring["foot"], bar["foot"], bar["head"]) == (4, 0, 4)


def test_a_sentence_says_five_true_things_and_no_digit():
    data = digits.load()
    images, values = data.val_images[:50], lesson.measured(data.val_images[:50])
    for place, text in enumerate(lesson.sentences(images, 3)):
        phrases = text.removeprefix("a digit with ").split(", ")
        assert len(set(phrases)) == len(phrases) == lesson.SAID
        for phrase in phrases:
            ((trait, level),) = [
                (trait, level) for trait, (_, _, *wordings) in lesson.TRAITS.items() for level in range(3)
                if phrase in wordings[level]
            ]  # fmt: skip
            low, high = lesson.TRAITS[trait][:2]
            value = values[trait][place]
            assert level == (0 if value <= low else 1 if value <= high else 2)


def test_wordings_change_with_the_seed_alone():
    images = digits.load().val_images[:20]
    assert lesson.sentences(images, 1) == lesson.sentences(images, 1) != lesson.sentences(images, 2)


def test_a_student_sees_words_and_neighbours_within_a_phrase():
    row = lesson.read(["a digit with a slim shape, no hole"])[0]
    seen = {part for part, place in lesson.vocabulary().items() if row[place]}
    assert seen == {"a", "slim", "shape", "a slim", "slim shape", "no", "hole", "no hole"}
    above, below = lesson.read(["a digit with more ink above than below", "a digit with more ink below than above"])
    assert not torch.equal(above, below)


def test_sentences_of_a_split_belong_to_its_images():
    x, labels = lesson.asked("validation")
    assert len(x) == len(labels) == 1000 and torch.equal(labels[:200], labels[200:400])
    data = digits.load()
    assert torch.equal(x[:200], lesson.read(lesson.sentences(data.val_images, 2)))
    assert torch.equal(lesson.asked("test")[1], data.test_labels)


# --- What an arm learns from ------------------------------------------------------------------------------------------


def test_the_teacher_has_not_seen_the_pairs_and_pairs_belong_together(quick):
    pair, data = lesson.pairs(3), digits.load()
    order = torch.randperm(997, generator=torch.Generator().manual_seed(3))
    assert torch.equal(pair["images"], data.train_images[order[297:]])
    assert pair["texts"] == lesson.sentences(pair["images"], 3)
    assert torch.equal(pair["logits"], on_digits.logits(pair["teacher"], pair["images"]))


def test_diets(quick):
    pair = lesson.pairs(3)
    x, soft = lesson.diet("soft", 3)
    assert len(x) == 700 and torch.equal(soft, pair["logits"].softmax(-1))
    few, labels = lesson.diet("labels", 3)
    assert len(few) == 50 and labels.sum(0).tolist() == [5] * 10
    assert lesson.diet("labels 200", 3)[1].sum(0).tolist() == [20] * 10
    same, told = lesson.diet("soft 50", 3)
    assert torch.equal(same, few) and {tuple(row) for row in told.tolist()} <= {tuple(row) for row in soft.tolist()}
    assert torch.equal(lesson.diet("hard", 3)[1], F.one_hot(soft.argmax(-1), 10).float())
    assert torch.equal(lesson.diet("people", 3)[1].argmax(-1), pair["labels"])
    x, shuffled = lesson.diet("shuffled", 3)
    assert torch.equal(x, pair["x"]) and not torch.equal(shuffled, soft)
    assert torch.equal(shuffled.sort(0).values, soft.sort(0).values)
    own = lesson.diet("own", 3)[1]
    assert own.shape == (700, 10) and not torch.allclose(own, soft) and torch.allclose(own.sum(1), torch.ones(700))


def test_scores_count_what_is_right(quick):
    z = torch.log(torch.tensor([[0.8, 0.2], [0.7, 0.3]]))
    found = lesson.counted(z, torch.tensor([0, 1]))
    assert found["accuracy"] == [1.0, 0.0] and found["overconfidence"] == pytest.approx(0.25)
    assert found["nats"] == pytest.approx(-(np.log(0.8) + np.log(0.3)) / 2)
    assert len(lesson.score("soft", 3, 1e-3, "test")["accuracy"]) == 600
    assert 0 <= lesson.score("soft", 3, 1e-3, "validation")["accuracy"] <= 1
    assert len(lesson.image_teacher(3)["accuracy"]) == 600


# --- A teacher trained to teach ---------------------------------------------------------------------------------------


def test_the_friendly_loss_by_hand():
    generator = torch.Generator().manual_seed(0)
    own, branch = torch.randn(2, 6, 10, generator=generator)
    labels = torch.arange(6)
    p, q = (own / 4).softmax(-1), (branch / 4).softmax(-1)
    apart = (p * (p.log() - q.log())).sum(-1).mean()
    expected = F.cross_entropy(own, labels) + F.cross_entropy(branch, labels) + 0.1 * 16 * apart
    assert friendly.friendly_loss(torch.cat([own, branch], -1), None, labels).item() == pytest.approx(expected.item())


def test_the_branch_is_thrown_away_and_an_ensemble_is_the_mean_of_probabilities(quick):
    images, found = digits.load().val_images, friendly.teachers(5)
    whole = on_digits.logits(found["friendly"], images)
    assert whole.shape == (200, 20)
    assert torch.allclose(friendly.says("friendly", 5, images), whole[:, :10].log_softmax(-1))
    mean = sum(on_digits.logits(found[each], images).softmax(-1) for each in "012") / 3
    assert torch.allclose(friendly.says("ensemble", 5, images).exp(), mean, atol=1e-6)
    plain = on_digits.logits(found["0"], images).softmax(-1)
    assert torch.allclose(friendly.says("plain", 5, images).exp(), plain, atol=1e-6)


def test_students_learn_from_images_that_their_teacher_has_not_seen(quick, monkeypatch):
    seen, rest = friendly.drawn(4)
    assert sorted([*seen.tolist(), *rest.tolist()]) == list(range(997)) and len(seen) == 300
    calls = []
    monkeypatch.setattr(on_digits, "learn", lambda *given: calls.append(given))
    for arm in friendly.ARMS:
        friendly.students(arm, 4, 0.01, 2)
    data = digits.load()
    for arm, start, (targets, temperature, images, seed, rate, width) in zip(
        [arm for arm in friendly.ARMS for _ in range(2)], [0, 1] * len(friendly.ARMS), calls
    ):
        assert torch.equal(images, data.train_images[rest]) and (rate, width) == (0.01, 10)
        assert temperature == (4 if arm.endswith("T 4") else 1) and seed == 4 + 1000 * start
        if arm == "people":
            assert torch.equal(targets.argmax(-1), data.train_labels[rest])
        else:
            z = friendly.says(arm.removesuffix(", T 4"), 4, images)
            assert torch.allclose(targets, (z / temperature).softmax(-1))


def test_an_arms_accuracy_is_the_mean_of_its_students(quick):
    found = friendly.score("plain", 4, 0.01, "test")["accuracy"]
    right = [on_digits.accuracy(each, *digits.load()[4:]) for each in friendly.students("plain", 4, 0.01, 3)]
    assert len(found) == 600 and np.mean(found) == pytest.approx(np.mean(right), abs=1e-5)


# --- Recorded ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_recorded_with_ten_seeds_and_rates_that_are_no_end_of_the_grid(name):
    found, module = results.load(name), TABLES[name]
    assert set(found.arm) == set(module.EXPERIMENTS[1].arms) and sorted(found.seed.unique()) == list(range(10))
    searched = results.load(f"{name}-rates")
    assert searched.groupby("arm").seed.nunique().min() == 3 and not set(searched.seed) & set(found.seed)
    for arm in module.ARMS:
        rate = study.chosen_rate(searched, arm, study.rates_of(f"{name}-rates", arm), "accuracy")
        assert np.allclose(results.per_seed(found, "learning_rate", arm), rate)
