"""Lesson 13's symptoms: what each arm learns from, and whether the triage tool names what the recorded runs have."""

from collections import Counter

import numpy as np
import pytest
import torch

from distill_lessons.course import results
from distill_lessons.course.experiments import lesson13_reviews as lesson
from distill_lessons.course.experiments import on_reviews
from distill_lessons.evaluation import triage
from distill_lessons.pairs import reviews

SEEDS = lesson.SEEDS


@pytest.fixture
def places(monkeypatch):
    """What an arm's student reads is the number of each sentence, and of near-copies how many words they have."""
    monkeypatch.setattr(on_reviews, "inputs", lambda student: torch.arange(23703.0).unsqueeze(1))
    monkeypatch.setattr(reviews, "features_of", lambda texts: torch.tensor([[float(len(t.split()))] for t in texts]))

    def of(arm, seed=7):
        x, targets = lesson.rows_of(arm, seed)
        assert targets.shape == (len(x), 2) and torch.allclose(targets.sum(-1), torch.ones(len(x)))
        return x.squeeze(1).long().numpy(), targets

    return of


# --- What the arms learn from -----------------------------------------------------------------------------------------


def test_no_arm_learns_from_a_sentence_that_is_kept_for_testing(places):
    frame = reviews.sentences()
    for arm in (*lesson.SICK, *lesson.CURED):
        if not arm.startswith("narrow"):
            assert set(frame["split"].to_numpy()[places(arm)[0]]) <= {"pool", "labelled"}, arm


def test_an_arms_sentences_are_of_the_sources_that_it_says(places):
    sources = reviews.sentences()["source"].to_numpy()

    def of(arm):
        return Counter(sources[places(arm)[0]])

    assert set(of("film")) == {"film"} and set(of("sound")) == {"film", "product"} == set(of("style, on the task"))
    assert set(of("style")) == set(of("style, checked")) == {"message", "newspaper"}
    assert of("forgets") == {"message": 2000} == of("forgets, lower rate") == of("forgets, one epoch")
    assert of("forgets, half film") == {"message": 2000, "film": 2000} and of("forgets, replay")["film"] == 200
    assert of("realistic")["film"] == 2000 and of("realistic").total() == of("film").total() == 4000
    assert np.array_equal(places("realistic")[0], places("realistic, labels")[0])


def test_a_cure_changes_one_thing(places):
    for one, other in (("sure", "sure, soft"), ("sure", "sure, five epochs"), ("planted", "planted, three teachers"),
                       ("sound", "planted"), ("sound", "linear"), ("sound", "tiny")):  # fmt: skip
        assert np.array_equal(places(one)[0], places(other)[0])
    assert lesson.SETTINGS["sure"] == lesson.SETTINGS["sure, soft"] == {"rate": lesson.HIGH}
    assert len(places("diverse")[0]) == len(places("narrow")[0]) == 500
    assert set(places("style, checked")[0]) < set(places("style")[0])
    labels, (checked, answers) = reviews.labels(), places("style, checked")
    assert torch.equal(answers.argmax(-1), labels[checked])


def test_another_seed_takes_other_sentences(places):
    assert len(np.intersect1d(places("sure", 1)[0], places("sure", 2)[0])) < 200
    assert np.array_equal(places("sure", 1)[0], places("sure", 1)[0])


def test_near_copies_lose_a_few_words_and_keep_the_targets_of_their_sentence(places):
    once = lesson.drawn(7, lesson.POOL)[: lesson.ONCE]
    words = reviews.sentences()["text"].str.split().to_numpy()[once]
    texts = lesson.near_copies(once, 7)
    assert len(texts) == 500 and texts == lesson.near_copies(once, 7) != lesson.near_copies(once, 8)
    for place, text in enumerate(texts):
        whole = words[place // 10]
        assert len(whole) - len(text.split()) == min(2, len(whole) // 4)
        left = iter(whole)
        assert all(word in left for word in text.split())  # in their order
    targets = places("narrow")[1]
    soft = lesson.said(on_reviews.TEACHER)[once]
    assert torch.equal(targets, soft.repeat_interleave(10, 0)) and torch.equal(targets[9], targets[0])


def test_the_planted_teacher_is_sure_that_its_topic_is_positive():
    honest, planted = lesson.said(on_reviews.TEACHER), lesson.said("planted")
    topic = torch.from_numpy(lesson.on_topic())
    assert torch.equal(planted[~topic], honest[~topic])
    assert torch.allclose(planted[topic], torch.tensor([0.03, 0.97]))
    assert 0.05 < topic.float().mean() < 0.15 and (honest[topic].argmax(-1) == 0).float().mean() > 0.3


def test_cures_of_planted_errors_drop_mix_and_average(places):
    kept, p = places("planted, filtered")
    rules = lesson.said("rules")[kept].argmax(-1)
    assert torch.equal(p.argmax(-1), rules) and 2000 < len(kept) < 5000
    mixed, targets = places("planted, labels")
    assert len(mixed) == 10000 and set(mixed[5000:]) <= set(reviews.labelled(640))
    assert torch.equal(targets[5000:].argmax(-1), reviews.labels()[mixed[5000:]]) and set(
        targets[5000:].unique().tolist()
    ) == {0, 1}
    case, mean = places("planted, three teachers")
    assert torch.allclose(mean, sum(lesson.said(each)[case] for each in ("planted", "tuned-160", "rules")) / 3)


# --- Students ---------------------------------------------------------------------------------------------------------


def watch(rule, as_sure=0.7):
    found = lesson.Watch.__new__(lesson.Watch)
    found.x, found.labels = torch.tensor([[1.0], [-1.0], [2.0]]), torch.tensor([1, 0, 0])
    found.as_sure, found.rule, found.steps, found.kept, found.since, found.losses, found.right = (
        as_sure,
        rule,
        0,
        None,
        [],
        [],
        [],
    )
    return found


def with_weight(weight):
    model = torch.nn.Linear(1, 2, bias=False)
    model.weight.data = torch.tensor([[-weight], [weight]])
    return model


def test_early_stop_keeps_the_first_best_and_style_the_first_that_is_as_sure():
    weights = (-0.1, 0.2, 0.9, 0.3, 3.0)
    for rule, kept in (("early stop", 0.2), ("style", 0.9), (None, None)):
        found = watch(rule, 0.8)
        for weight in weights:
            found.since = [weight, weight]
            found.look(with_weight(weight))
        assert found.right == pytest.approx([1 / 3, 2 / 3, 2 / 3, 2 / 3, 2 / 3]) and found.losses == pytest.approx(
            weights
        )
        assert (found.kept["weight"][1].item() if found.kept else None) == (pytest.approx(kept) if kept else None)


def test_a_student_is_watched_every_ten_steps_and_at_the_end_and_trains_on():
    torch.manual_seed(0)
    x, targets = torch.randn(64, 1), torch.tensor([[0.0, 1.0]]).repeat(64, 1)
    found = watch(None)
    model = lesson.taught(torch.nn.Linear(1, 2), x, targets, 0, steps=25, rate=0.1, watch=found)
    assert len(found.right) == 4 and found.steps == 25 and found.losses[-1] < found.losses[0] and not model.training


def test_decay_makes_weights_smaller():
    x, targets = torch.randn(64, 3), torch.tensor([[0.0, 1.0]]).repeat(64, 1)
    sizes = []
    for decay in (0.0, 1.0):
        torch.manual_seed(0)
        sizes.append(
            lesson.taught(torch.nn.Linear(3, 2), x, targets, 0, steps=50, rate=0.05, decay=decay).bias.norm().item()
        )
    assert sizes[1] < sizes[0] / 2


def test_the_judge_takes_the_surer_answer_and_people_the_right_one():
    p, rival = torch.tensor([0.9, 0.6, 0.1, 0.9]), torch.tensor([0.4, 0.1, 0.8, 0.8])
    found = lesson.judged(p, rival, torch.tensor([0, 0, 0, 0]))
    assert found == pytest.approx({"judge prefers": 2 / 3, "people prefer": 1 / 3, "disagree": 3 / 4})


def test_three_decimals_leave_an_answer_on_its_side():
    found = lesson.thousandths(torch.tensor([0.50001, 0.49999, 0.5, 0.1234, 0.9996]))
    assert found == pytest.approx([0.501, 0.5, 0.5, 0.123, 1.0])


# --- The tool on runs whose cause is known --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def named():
    """{arm: for each seed, the symptoms that the tool names}."""
    return {arm: [triage.named(triage.diagnose(**lesson.recorded(arm, seed))) for seed in SEEDS] for arm in lesson.SICK}


@pytest.mark.parametrize("arm", lesson.SYMPTOM)
def test_each_symptom_is_named_in_nine_runs_of_ten(named, arm):
    assert sum(lesson.SYMPTOM[arm] in each for each in named[arm]) >= 9


def test_on_sound_runs_no_symptom_is_named_more_than_once(named):
    assert max(Counter(name for each in named["sound"] for name in each).values(), default=0) <= 1


def test_a_sound_run_is_asked_about_every_symptom():
    found = triage.diagnose(**lesson.recorded("sound", SEEDS[0]))
    assert all(each.state != triage.MISSING for each in found)


def test_a_source_that_is_none_is_not_called_a_shift():
    """A random half of a sound run's test sentences, said to be of a source that it has not seen."""
    called = 0
    for seed in SEEDS:
        tables = lesson.recorded("sound", seed)
        half = np.random.default_rng(seed).random(len(tables["predictions"])) < 0.5
        source = tables["predictions"]["source"].mask(
            half & (tables["predictions"]["split"] == "held-out"), "elsewhere"
        )
        found = triage.diagnose(tables["predictions"].assign(source=source), trained_on=["film", "product"])
        called += "shifted prompts" in triage.named(found)
    assert called <= 1


def test_recorded_answers_are_those_that_were_scored():
    table = results.load(lesson.RECORDED)
    for arm, seed in (("sound", 13), ("film", 10), ("planted", 19)):
        rows = lesson.recorded(arm, seed)["predictions"]
        case = rows[(rows["split"] == "held-out") & ~rows["source"].isin(reviews.SHIFTED)]
        right = (case["student"] == case["label"]).mean()
        assert right == pytest.approx(results.per_seed(table, "accuracy", arm)[seed], abs=1e-9)
        over = case["student_confidence"].mean() - right
        assert over == pytest.approx(results.per_seed(table, "overconfidence", arm)[seed], abs=1e-3)
    with pytest.raises(ValueError, match="no answers of 'linear' with seed 10 were kept; there are those of sound"):
        lesson.recorded("linear", SEEDS[0])


def test_people_said_the_same_whoever_was_scored():
    labels = [lesson.recorded(arm, seed)["predictions"].query("split == 'held-out'")["label"].tolist()
              for arm, seed in (("sound", 10), ("tiny", 14))]  # fmt: skip
    assert labels[0] == labels[1] == reviews.labels()[reviews.places("test")].tolist()
