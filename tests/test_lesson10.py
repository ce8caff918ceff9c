"""What lesson 10 measures: mixtures of teachers, students of them, and rounds in which a student teaches the next."""

import numpy as np
import pytest
import torch
from torch import nn

from distill_lessons.course import published, results
from distill_lessons.course.experiments import lesson10_reviews as lesson
from distill_lessons.course.experiments import lesson10_threshold as threshold
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews

TABLES = ("lesson10-teachers", "lesson10-again", "lesson10-case", "lesson10-threshold")


@pytest.fixture
def small(monkeypatch):
    """A student of eight weights on four numbers a sentence, trained for five steps."""
    numbers = torch.randn(len(reviews.sentences()), 4, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(reviews, "frozen", lambda: nn.Linear(4, 2))
    monkeypatch.setattr(on_reviews, "inputs", lambda student: numbers)
    monkeypatch.setattr(lesson, "STEPS", 5)
    monkeypatch.setattr(lesson, "found_rate", lambda origin: {"labels": 0.02, "teacher": 0.01}[origin])
    lesson.rounds.cache_clear()
    yield numbers
    lesson.rounds.cache_clear()


# --- Mixtures ---------------------------------------------------------------------------------------------------------

LOG_P = torch.log(torch.tensor([[[0.9, 0.1], [0.4, 0.6]], [[0.2, 0.8], [0.3, 0.7]], [[0.3, 0.7], [0.95, 0.05]]]))


def test_mixtures_by_hand():
    assert lesson.mean(LOG_P)[0].tolist() == pytest.approx([1.4 / 3, 1.6 / 3])
    odds = (9 * 0.25 * 3 / 7) ** (1 / 3)
    assert lesson.geometric(LOG_P)[0, 0].item() == pytest.approx(odds / (1 + odds))
    odds = odds**3
    assert lesson.added(LOG_P)[0, 0].item() == pytest.approx(odds / (1 + odds))
    weighted = (0.9 * 0.9 + 0.8 * 0.2 + 0.7 * 0.3) / 2.4
    assert lesson.confident(LOG_P)[0, 0].item() == pytest.approx(weighted)
    assert lesson.surest(LOG_P).flatten().tolist() == pytest.approx([0.9, 0.1, 0.95, 0.05])


@pytest.mark.parametrize("name", lesson.MIXTURES)
def test_every_mixture_is_a_distribution_for_every_sentence(name):
    p = lesson.mixture(name)
    assert p.shape == (23703, 2) and (p >= 0).all() and torch.allclose(p.sum(1), torch.ones(len(p)), atol=1e-5)


def test_single_teachers_are_themselves_and_people_their_majority():
    for name, teacher in (("tuned", "tuned-640"), ("prompted", "prompted"), ("rules", "rules")):
        assert torch.allclose(lesson.mixture(name), reviews.logits(teacher).softmax(-1), atol=1e-6)
    assert torch.equal(lesson.mixture("people").argmax(-1), reviews.labels())
    both = (reviews.logits("tuned-640").softmax(-1) + reviews.logits("tuned-160").softmax(-1)) / 2
    assert torch.allclose(lesson.mixture("kin"), both, atol=1e-6)


def test_the_best_of_a_source_is_chosen_on_validation_sentences_and_asked_there():
    best = lesson.best_by_source()
    assert best["message"] == "rules" and best["film"] == "tuned-640"
    for source, name in best.items():
        places = reviews.places("validation", source)
        right = [
            (reviews.logits(each)[places].argmax(-1) == reviews.labels()[places]).sum() for each in lesson.TEACHERS
        ]
        assert right[lesson.TEACHERS.index(name)] == max(right)
        for split in ("test", "pool"):
            places = reviews.places(split, source)
            assert torch.allclose(
                lesson.mixture("by source")[places], reviews.logits(name)[places].softmax(-1), atol=1e-6
            )


def test_the_best_of_a_source_is_not_chosen_on_test_sentences(monkeypatch):
    before, spoiled = lesson.best_by_source(), reviews.labels()
    test = reviews.places("test", "message")
    spoiled[test] = 1 - reviews.logits("rules").argmax(-1)[test]
    monkeypatch.setattr(reviews, "labels", lambda: spoiled)
    assert lesson.best_by_source() == before
    spoiled[reviews.places("validation", "message")] = reviews.logits("prompted").argmax(-1)[
        reviews.places("validation", "message")
    ]
    assert lesson.best_by_source() == before | {"message": "prompted"}


def test_a_temperature_is_fitted_on_validation_sentences_alone(monkeypatch):
    before = lesson.fitted("tuned-640", "message")
    true = reviews.labels()
    spoiled = true.clone()
    spoiled[reviews.places("test", lesson.EVERYWHERE)] = 0
    monkeypatch.setattr(reviews, "labels", lambda: spoiled)
    assert lesson.fitted("tuned-640", "message") == before > 1.5
    spoiled[reviews.places("validation", "message")] = 1
    assert lesson.fitted("tuned-640", "message") != before


def test_at_home_gives_each_sentence_its_sources_temperature():
    home = lesson.at_home("rules")
    for source in lesson.EVERYWHERE:
        rows = torch.from_numpy(lesson.sources() == source)
        assert torch.allclose(home[rows], torch.tensor(lesson.fitted("rules", source)))
    alone = lesson.spoken(("rules",), lesson.at_home)[0]
    place = reviews.places("test", "message")[0]
    expected = (reviews.logits("rules")[place] / lesson.fitted("rules", "message")).log_softmax(-1)
    assert torch.allclose(alone[place], expected)


def test_where_all_agree():
    answers = torch.stack([reviews.logits(name).argmax(-1) for name in lesson.TEACHERS])
    assert lesson.agree().tolist() == ((answers[0] == answers[1]) & (answers[1] == answers[2])).tolist()


# --- A threshold ------------------------------------------------------------------------------------------------------


def odds_of(p):
    return (p[:, 1].double() / p[:, 0].double()).log()


@pytest.mark.parametrize("name", threshold.MIXTURES)
def test_every_shifted_mixture_is_a_distribution_for_every_sentence(name):
    p = threshold.mixture(name)
    assert p.shape == (23703, 2) and (p >= 0).all() and torch.allclose(p.sum(1), torch.ones(len(p)), atol=1e-5)


def test_the_constant_is_one_for_all_and_the_mean_then_says_yes_as_often_as_people():
    added = odds_of(threshold.mixture("bias")) - odds_of(lesson.mixture("mean"))
    assert added.max() - added.min() < 1e-3 and 0.3 < added.mean() < 0.6
    places = reviews.places("validation", lesson.EVERYWHERE)
    yes = threshold.mixture("bias")[places].argmax(-1).double().mean()
    assert yes.item() == pytest.approx(reviews.labels()[places].double().mean().item(), abs=1e-3)


def test_a_regression_weighs_the_three_log_odds_and_shifts_them_alike_on_all_streets():
    places = np.arange(0, 23703, 97)
    x = np.column_stack([threshold.log_odds(), np.ones(23703)])
    odds = odds_of(threshold.mixture("stack").double()).numpy()
    weights = np.linalg.lstsq(x[places], odds[places], rcond=None)[0]
    assert np.abs(x @ weights - odds).max() < 2e-3 and (weights > 0.3).all()


def test_by_source_another_regression_holds_on_each():
    every = {name: [] for name in ("stack by source", "shifted by source")}
    for name, found in every.items():
        odds = odds_of(threshold.mixture(name)).numpy()
        for source in lesson.EVERYWHERE:
            x = np.column_stack([threshold.log_odds(), np.ones(23703)])[lesson.sources() == source]
            weights, *_ = np.linalg.lstsq(x, odds[lesson.sources() == source], rcond=None)
            assert np.abs(x @ weights - odds[lesson.sources() == source]).max() < 2e-2
            found.append(weights)
        list_, tuned = found[2][2], found[2][0]
        assert list_ > tuned  # on messages the word list weighs more


def test_shifts_are_fitted_on_validation_sentences_alone(monkeypatch):
    before, spoiled = {name: threshold.MIXTURES[name]() for name in threshold.MIXTURES}, reviews.labels().clone()
    for split in ("test", "pool"):
        spoiled[reviews.places(split, lesson.EVERYWHERE)] = 0
    monkeypatch.setattr(reviews, "labels", lambda: spoiled)
    for name, was in before.items():
        assert torch.equal(threshold.MIXTURES[name](), was)
    heard = reviews.places("validation", "message")
    spoiled[heard] = 1 - spoiled[heard]
    for name, was in before.items():
        assert not torch.allclose(threshold.MIXTURES[name](), was, atol=0.01)


def test_a_shifted_mixture_has_the_students_of_the_lesson(small, monkeypatch):
    monkeypatch.setattr(threshold, "mixture", lesson.mixture)
    one, other = threshold.score("mean", 3, 1e-2, "test"), lesson.score("mean", 3, 1e-2, "test")
    assert one["accuracy"] == other["accuracy"] and one["message"] == other["message"]


# --- Students ---------------------------------------------------------------------------------------------------------


def test_students_see_the_pool_whose_labels_no_teacher_has_seen():
    for sources in (lesson.EVERYWHERE, reviews.CASE):
        places = lesson.drawn(3, sources)
        assert len(set(places.tolist())) == 5000 and set(places) <= set(reviews.places("pool", sources))
        for name in (*lesson.TEACHERS, *lesson.KIN):
            assert not set(places) & set(reviews.trained_on(name))
    assert set(lesson.sources()[lesson.drawn(3)]) == set(lesson.EVERYWHERE)
    assert lesson.drawn(3).tolist() != lesson.drawn(4).tolist()


def test_the_diet_of_an_arm():
    places, targets = lesson.diet("mean", 5)
    assert torch.equal(targets, lesson.mixture("mean")[places]) and places.tolist() == lesson.drawn(5).tolist()
    kept, targets = lesson.diet("agree", 5)
    assert kept.tolist() == [each for each in places if lesson.agree()[each]] and 2000 < len(kept) < 3500
    assert torch.equal(targets, lesson.mixture("mean")[kept])


def test_scores_are_counted_against_people(small):
    found = lesson.score("by source", 0, 1e-2, "test")
    places = reviews.places("test", lesson.EVERYWHERE)
    assert len(found["accuracy"]) == len(places) == len(lesson.groups()) == 5817
    by = sum(found[each] * (lesson.sources()[places] == each).sum() for each in lesson.EVERYWHERE)
    assert by / 5817 == pytest.approx(np.mean(found["accuracy"]), abs=1e-5)
    case = lesson.case_score("tuned", 0, 1e-2, "test")
    assert len(case["accuracy"]) == 3000 and "message" not in case
    assert set(lesson.score("mean", 0, 1e-2, "validation")) == {"accuracy", "nats"}


def test_who_is_asked_itself_answers_like_the_stored_logits():
    places = reviews.places("test")
    right = reviews.logits("tuned-640")[places].argmax(-1) == reviews.labels()[places]
    found = lesson.asked("tuned", reviews.CASE)(0)
    assert found["accuracy"] == right.float().tolist() and found["copied from tuned-640"] == pytest.approx(1)
    nats = nn.functional.cross_entropy(reviews.logits("tuned-640")[places], reviews.labels()[places]).item()
    assert found["nats"] == pytest.approx(nats, abs=1e-4)


# --- One's own teacher ------------------------------------------------------------------------------------------------


def test_round_one_learns_labels_or_a_teacher():
    places, targets = lesson.beginning("labels", 0)
    assert places.tolist() == reviews.labelled(640).tolist() and torch.equal(
        targets.argmax(-1), reviews.labels()[places]
    )
    places, targets = lesson.beginning("teacher", 7)
    assert places.tolist() == lesson.drawn(7, reviews.CASE).tolist()
    assert torch.allclose(targets, reviews.logits("tuned-640")[places].softmax(-1))


@pytest.mark.parametrize("origin", ["labels", "answers", "teacher"])
def test_each_round_learns_from_the_last_ones_student(small, monkeypatch, origin):
    calls, learn = [], on_reviews.learn

    def watched(student, places, targets, rate, seed, **more):
        model = learn(student, places, targets, rate, seed, **more)
        calls.append((places, targets, rate, seed, more, model))
        return model

    monkeypatch.setattr(on_reviews, "learn", watched)
    students = lesson.rounds(origin, 2)
    assert len(students) == len(calls) == 5 and len({call[3] for call in calls}) == 5
    start = "teacher" if origin == "teacher" else "labels"
    assert torch.equal(calls[0][1], lesson.beginning(start, 2)[1]) and calls[0][2] == lesson.found_rate(start)
    for before, (places, targets, rate, _, more, _) in zip(calls, calls[1:]):
        said = on_reviews.logits(before[-1], "frozen", places).softmax(-1)
        assert places.tolist() == lesson.drawn(2, reviews.CASE).tolist()
        assert rate == lesson.found_rate("teacher") and more["steps"] == 5
        assert torch.equal(targets, on_reviews.answers(said.argmax(-1)) if origin == "answers" else said)
    third = lesson.of_round(origin, 3)(2)
    assert third["accuracy"] == lesson.scored(students[2], reviews.CASE, "test")["accuracy"]


def test_a_long_round_is_that_rounds_student_at_ten_times_the_steps(small, monkeypatch):
    asked, learn = [], on_reviews.learn

    def watched(*arguments, steps):
        asked.append(steps)
        return learn(*arguments, steps=6)

    assert lesson.LONG == 10 * 200
    monkeypatch.setattr(on_reviews, "learn", watched)
    found = lesson.long_round("teacher, round 2", 3)
    assert asked == [lesson.LONG] * 5
    second = lesson.rounds("teacher", 3, lesson.LONG)[1]
    assert found["accuracy"] == lesson.scored(second, reviews.CASE, "test")["accuracy"]


def test_the_control_takes_all_rounds_steps_on_what_round_one_learns_from(small, monkeypatch):
    calls, learn = [], on_reviews.learn

    def watched(*arguments, **more):
        calls.append((arguments, more))
        return learn(*arguments, **more)

    monkeypatch.setattr(on_reviews, "learn", watched)
    lesson.longer("labels")(4)
    (student, places, targets, rate, seed), more = calls[0]
    assert more == {"steps": 25} and rate == 0.02 and seed == 4
    assert torch.equal(targets, lesson.beginning("labels", 4)[1])


def test_a_round_begins_anew(small):
    again = [each.weight.clone() for each in lesson.rounds("labels", 2)]
    lesson.rounds.cache_clear()
    for one, other in zip(again, lesson.rounds("labels", 2)):
        assert torch.equal(one, other.weight)
    assert not torch.equal(again[0], again[1])


# --- Recorded ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TABLES)
def test_recorded_with_ten_seeds_and_rates_that_are_no_end_of_the_grid(name):
    found = results.load(name)
    every = next(each for each in (*lesson.EXPERIMENTS, *threshold.EXPERIMENTS) if each.name == name)
    assert set(found.arm) == set(every.arms) and sorted(found.seed.unique()) == list(range(10))
    searched = results.load(f"{name}-rates")
    assert searched.groupby("arm").seed.nunique().min() == 3 and not set(searched.seed) & set(found.seed)
    for arm in {each.rpartition(" at ")[0] for each in searched.arm.unique()}:
        rate = study.chosen_rate(searched, arm, study.rates_of(f"{name}-rates", arm), "accuracy")
        used = results.per_seed(found, "learning_rate", arm)
        assert np.allclose(used, rate)


def test_every_claim_was_stated_before_its_runs():
    for claim in published.TEACHERS:
        for test in (*claim.main, *claim.moderators):
            for name in test.tables():
                if name in TABLES:
                    assert test.digest() in results.stamp(name)["plans"], (claim.id, test.setting)
