"""What lesson 06 measures: filters that keep equal numbers, errors counted against people, real and written sentences."""

import exercises_06
import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from distill_lessons.course import published, results
from distill_lessons.course.exercises import lesson06 as exercise
from distill_lessons.course.experiments import (
    lesson06_added,
    lesson06_filters,
    lesson06_hot,
    lesson06_much,
    on_reviews,
    study,
)
from distill_lessons.course.stated import Comparison
from distill_lessons.pairs import reviews, reviews_written
from distill_lessons.teacher import filters

MODULES = (lesson06_filters, lesson06_hot, lesson06_much)
ARMS = ("random", *lesson06_filters.CHEAP, "people")


@pytest.fixture
def small(monkeypatch):
    """A student of eight weights on four numbers a sentence, trained for five steps."""
    numbers = torch.randn(len(reviews.sentences()), 4, generator=torch.Generator().manual_seed(0))
    monkeypatch.setattr(reviews, "frozen", lambda: nn.Linear(4, 2))
    monkeypatch.setattr(on_reviews, "inputs", lambda student: numbers)
    monkeypatch.setitem(on_reviews.STEPS, "frozen", 5)
    return numbers


# --- Filters ----------------------------------------------------------------------------------------------------------


def test_the_pools_table_says_what_teachers_and_people_said():
    places, pool = reviews.pool("tuned-640"), lesson06_filters.pool()
    assert pool["text"][5] == reviews.sentences()["text"][places[5]]
    row = pool[7]
    for name, value in (("tuned-640", row["two"][0]), ("tuned-160", row["two"][1]), ("tuned-2560", row["three"][2])):
        logits = reviews.logits(name)[places[7]]
        assert value == ("positive" if logits[1] > logits[0] else "negative")
    assert row["label"] == row["two"][0] == row["three"][0]
    right = reviews.logits("tuned-640")[places].argmax(-1) == reviews.labels()[places]
    assert lesson06_filters.wrong().tolist() == (~right).tolist() and 0.1 < lesson06_filters.wrong().mean() < 0.25


@pytest.mark.parametrize("arm", ARMS)
def test_every_filter_keeps_as_many_the_best_first_and_draws_among_equals(arm):
    places = on_reviews.drawn(3)
    rows = np.searchsorted(reviews.pool("tuned-640"), places)
    kept = lesson06_filters.best(arm, rows, lesson06_filters.KEPT, 3)
    assert len(set(kept.tolist())) == 2500 and set(kept.tolist()) <= set(rows.tolist())
    worth = lesson06_filters.worth(arm)
    left = np.setdiff1d(rows, kept)
    assert worth[kept].min() >= worth[left].max()
    assert kept.tolist() == lesson06_filters.best(arm, rows, lesson06_filters.KEPT, 3).tolist()
    ties = (worth[rows] == worth[kept].min()).sum()
    other = lesson06_filters.best(arm, rows, lesson06_filters.KEPT, 4)
    assert len(np.setdiff1d(kept, other)) <= ties
    if ties > 100:  # those who stand first have no better chance than those who stand last
        assert set(other.tolist()) != set(kept.tolist())
        drawn = np.isin(rows[worth[rows] == worth[kept].min()], kept)
        half = len(drawn) // 2
        assert abs(drawn[:half].mean() - drawn[half:].mean()) < 0.1


@pytest.mark.parametrize("arm", ARMS)
def test_what_a_filter_finds_is_counted_against_people(arm):
    found, bad = lesson06_filters.found(arm, 0), lesson06_filters.wrong()
    recall = np.array(found["recall"])
    assert len(recall) == len(bad) == len(lesson06_filters.documents()) and np.allclose(recall[~bad], recall.mean())
    dropped = len(bad) - len(bad) // 2
    caught = round(recall.mean() * bad.sum())
    assert found["precision"] == pytest.approx(caught / dropped)
    assert found["errors kept"] == pytest.approx((bad.sum() - caught) / (len(bad) // 2))
    assert len(np.unique(recall[bad].round(6))) <= 2  # an error is dropped or not
    if arm == "people":
        assert recall.mean() == pytest.approx(1) and found["errors kept"] == 0 and found["labels"] == len(bad)
    if arm == "random":
        assert recall.mean() == pytest.approx(0.5, abs=0.03) and "own: recall" not in found


def test_filters_go_by_what_they_are_called():
    pool, worth = lesson06_filters.pool(), lesson06_filters.worth
    own, others = np.array(pool["label"]), np.array(pool["three"])
    assert (worth("consistent") == (own == others[:, 1])).all()
    assert (worth("three agree") == ((own == others[:, 1]) & (own == others[:, 2]))).all()
    assert (worth("rules") == (own == np.array(pool["rules"]))).all()
    sure = reviews.logits("tuned-640")[reviews.pool("tuned-640")].softmax(-1).amax(-1)
    assert np.allclose(worth("confident"), sure)
    assert worth("unlike").max() == 0 and 0 < (worth("unlike") < -0.8).sum() < 50  # few are nearly another
    sizes = np.array([len(text.split()) for text in pool["text"]])
    for lengths, better in (((16, 4), True), ((4, 64), None), ((17, 40), True), ((40, 12), False)):
        one, other = (worth("length")[sizes == size] for size in lengths)
        if better is not None and len(one) and len(other):
            assert (one[0] > other[0]) == better


@pytest.fixture
def afresh():
    """Nothing that a test made with other labels stays behind."""
    cached = (lesson06_filters.fitted_reward, lesson06_filters.verdicts, lesson06_filters.worth)
    for each in cached:
        each.cache_clear()
    yield
    for each in cached:
        each.cache_clear()


def test_the_reward_model_knows_the_teachers_640_labels_and_no_other(afresh, monkeypatch):
    assert lesson06_filters.marked("Not good!", 0) == "negative_not negative_good"
    weights = lesson06_filters.fitted_reward().about["weights"]
    labels, seen = reviews.labels(), reviews.labelled(640)
    turned = 1 - labels
    turned[seen] = labels[seen]
    lesson06_filters.fitted_reward.cache_clear()
    monkeypatch.setattr(reviews, "labels", lambda: turned)
    assert lesson06_filters.fitted_reward().about["weights"] == weights
    turned[seen[:50]] = 1 - labels[seen[:50]]
    lesson06_filters.fitted_reward.cache_clear()
    assert lesson06_filters.fitted_reward().about["weights"] != weights
    lesson06_filters.fitted_reward.cache_clear()
    score = lesson06_filters.fitted_reward()
    good, bad = (score([lesson06_filters.marked("a wonderful film", answer)])[0] for answer in (1, 0))
    assert good > bad


def test_diets_are_the_teachers_answers_on_what_is_kept():
    every, answers = lesson06_filters.diet("all", 2)
    assert every.tolist() == on_reviews.drawn(2).tolist() and len(every) == 5000
    said = reviews.logits("tuned-640").argmax(-1).numpy()
    assert (answers == said[every]).all()
    control, _ = lesson06_filters.diet("random", 2)
    for arm in (*ARMS, "labels too"):
        places, answers = lesson06_filters.diet(arm, 2)
        assert set(places[:2500].tolist()) <= set(every.tolist()) and (answers[:2500] == said[places[:2500]]).all()
        assert len(places) == (3140 if arm == "labels too" else 2500), arm
    assert (places[:2500] == control).all() and places[2500:].tolist() == reviews.labelled(640).tolist()
    assert (answers[2500:] == reviews.labels().numpy()[places[2500:]]).all()
    places, answers = lesson06_filters.diet("people", 2)
    assert (answers == reviews.labels().numpy()[places]).all()


def test_a_student_of_a_filter_says_how_right_its_answers_were(small, monkeypatch):
    monkeypatch.setattr(on_reviews, "scores", lambda model, student, split: {"accuracy": 0.5})
    found = lesson06_filters.score("people", 1, 1e-3, "test")
    assert found["answers right"] == 1 and 0.4 < found["positive"] < 0.6
    assert lesson06_filters.score("random", 1, 1e-3, "validation") == {"accuracy": 0.5}
    assert 0.75 < lesson06_filters.score("random", 1, 1e-3, "test")["answers right"] < 0.9


def test_likely_goes_by_the_perplexity_under_smollm(afresh, monkeypatch):
    texts = lesson06_filters.pool()["text"]
    monkeypatch.setattr(lesson06_filters.smollm, "teacher", lambda: nn.Linear(1, 1))
    monkeypatch.setattr(lesson06_filters.smollm, "tokenizer", lambda: "tokenizer")

    def perplexity(model, tokenizer, most, cache, say):
        return lambda data: [lesson06_filters.filters.Verdict(True, "", float(len(text))) for text in data["text"]]

    monkeypatch.setattr(lesson06_filters.filters, "perplexity", perplexity)
    kept = lesson06_filters.best("likely", np.arange(len(texts)), 100, 0)
    assert max(len(texts[row]) for row in kept) <= np.percentile([len(text) for text in texts], 2)


# --- How much ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def written(monkeypatch):
    """A thousand written sentences a temperature, of which the teacher says what their number says."""
    rows = [
        {
            "temperature": t,
            "text": f"{word} thing number {n} at {t}",
            "finished": n % 2 == 0,
            "no": -n / 100,
            "yes": n / 100,
        }
        for t, word in ((0.5, "cold"), (1.0, "warm"), (1.5, "hot"))
        for n in range(1000)
    ]
    frame = pd.DataFrame(rows)

    def of(temperature=None):
        return frame if temperature is None else frame[frame["temperature"] == temperature].reset_index(drop=True)

    def features(texts):
        return torch.tensor(
            [[float(text.split()[3]), {"cold": 0, "warm": 1, "hot": 2}[text.split()[0]], 0, 0] for text in texts]
        )

    monkeypatch.setattr(reviews_written, "written", of)
    monkeypatch.setattr(reviews, "features_of", features)
    caches = (lesson06_much.by_model, lesson06_hot.everything, lesson06_hot.mixture, lesson06_hot.funnel)
    for cached in caches:
        cached.cache_clear()
    yield frame
    for cached in caches:
        cached.cache_clear()


def test_real_sentences_are_of_the_case_and_their_labels_unseen(small):
    places = lesson06_much.unseen()
    frame = reviews.sentences().iloc[places]
    assert set(frame["split"]) == {"pool", "labelled"} and set(frame["source"]) == set(reviews.CASE)
    assert len(places) == len(set(places.tolist())) >= max(lesson06_much.REAL)
    assert not set(places.tolist()) & set(reviews.trained_on("tuned-640").tolist())
    features, soft = lesson06_much.diet("real 1000", 4)
    more, _ = lesson06_much.diet("real 3200", 4)
    assert torch.equal(more[:1000], features) and features.shape == (1000, 4)
    assert torch.allclose(
        soft, reviews.logits("tuned-640")[np.random.default_rng(4).permutation(places)[:1000]].softmax(-1)
    )
    assert not torch.equal(lesson06_much.diet("real 1000", 5)[0], features)


def test_written_ones_come_with_the_teachers_probabilities_and_both_are_both(small, written):
    features, soft = lesson06_much.diet("written 320", 0)
    assert features.shape == (320, 4) and (features[:, 1] == 1).all() and len(features[:, 0].unique()) == 320
    assert torch.allclose(soft[:, 1], torch.sigmoid(features[:, 0] / 50))
    both, targets = lesson06_much.diet("both 320", 0)
    assert torch.equal(both, torch.cat([lesson06_much.diet("real 320", 0)[0], features])) and len(targets) == 640
    with pytest.raises(ValueError, match="1000 sentences were written at 1, and 3200 are asked for: write more with"):
        lesson06_much.diet("written 3200", 0)


def test_a_student_learns_as_on_every_page(small):
    places, soft = on_reviews.drawn(1, 300), on_reviews.soft(on_reviews.drawn(1, 300))
    ours = lesson06_much.learn(small[places], soft, 1e-2, 7)
    theirs = on_reviews.learn("frozen", places, soft, 1e-2, 7)
    assert torch.equal(ours.weight, theirs.weight) and torch.equal(ours.bias, theirs.bias)


# --- How hot ----------------------------------------------------------------------------------------------------------


def test_each_temperature_has_its_own_sentences_and_the_mixture_all(small, written):
    for arm, number in (("0.5", 0), ("1.0", 1), ("1.5", 2)):
        features, soft = lesson06_hot.diet(arm, 0)
        assert features.shape == (600, 4) and (features[:, 1] == number).all()
        assert torch.allclose(soft[:, 1], torch.sigmoid(features[:, 0] / 50))
    mixed, _ = lesson06_hot.diet("mixed", 0)
    assert len(mixed) == 600 and set(mixed[:, 1].tolist()) == {0, 1, 2}
    assert not torch.equal(mixed, lesson06_hot.diet("mixed", 1)[0])


def test_checked_ones_passed_every_check(small, written):
    written.loc[0, "text"] = "cold thing number 0 " + "again and again " * 8
    written.loc[2, "text"] = written.loc[4, "text"]
    written.loc[6, "text"] = "one two"
    rows = lesson06_hot.rows_of("checked")
    assert written.loc[rows, "finished"].all() and not {0, 4, 6} & set(rows.tolist()) and 8 in rows
    steps = lesson06_hot.funnel().report["steps"]
    assert [step["filter"] for step in steps] == ["ended", "length", "repetition", "near_duplicates"]
    assert steps[0]["dropped"] == 1500 and sum(step["dropped"] for step in steps[1:3]) == 2


@pytest.mark.parametrize("arm, kind", [("real 320 + checked", "checked"), ("real 320 + mixed", "mixed")])
def test_what_is_added_comes_after_the_same_real_ones(small, written, monkeypatch, arm, kind):
    monkeypatch.setattr(
        lesson06_hot, "rows_of", lambda kind: {"checked": np.arange(900), "mixed": np.arange(3000)}[kind]
    )
    features, soft = lesson06_added.diet(arm, 3)
    for place, parts in enumerate(zip(lesson06_much.diet("real 320", 3), lesson06_hot.diet(kind, 3))):
        assert torch.equal((features, soft)[place], torch.cat(parts))
    assert len(features) == len(soft) == 920
    monkeypatch.setattr(on_reviews, "scores", lambda model, student, split: {"accuracy": len(split)})
    assert lesson06_added.score(arm, 3, 1e-3, "test") == {"accuracy": 4}


def test_too_few_sentences_are_told(small, written, monkeypatch):
    monkeypatch.setattr(lesson06_hot, "COUNT", 1001)
    with pytest.raises(ValueError, match="0.5 has 1000 sentences, and 1001 are needed: write more with"):
        lesson06_hot.diet("0.5", 0)


# --- Experiments and claims -------------------------------------------------------------------------------------------


def test_claims_read_arms_that_are_run_and_rates_are_searched_on_other_seeds():
    runs = {each.name: each for module in MODULES for each in module.EXPERIMENTS}
    tests = [test for claim in published.SYNTHETIC for test in (*claim.main, *claim.moderators)]
    for test in tests:
        tables = [runs[name] for name in test.tables()]
        for arm in (test.arm, test.other):
            assert sum(arm in table.arms for table in tables) == 1, (test.setting, arm)
        assert all(len(table.seeds) == 10 for table in tables)
        if test.rates != "none":
            assert runs[test.rates].seeds == study.SEARCH_SEEDS
    used = {name for test in tests for name in test.tables()}
    assert {name for name in runs if not name.endswith("-rates")} == used
    assert all(claim.lesson == "06" for claim in published.SYNTHETIC)


def test_what_is_set_beside_recorded_arms_keeps_their_protocol():
    before = {each.name: each for each in lesson06_much.EXPERIMENTS}
    search, students = lesson06_added.EXPERIMENTS
    rates = {arm.rpartition(" at ")[2] for arm in before["lesson06-much-rates"].arms}
    assert {arm.rpartition(" at ")[2] for arm in search.arms} == rates and search.seeds == study.SEARCH_SEEDS
    assert students.seeds == before["lesson06-much"].seeds
    assert not {test for claim in published.SYNTHETIC for test in (*claim.main, *claim.moderators)
                if "lesson06-added" in test.tables()}  # fmt: skip


def test_an_arm_of_two_joined_tables_is_the_first_ones():
    """Both have an arm "people", and 6.4 and the page speak of lesson 2's: labels of people for all 5,000 sentences."""
    whole, halves = results.load("lesson02-reviews"), results.load("lesson06-filters")
    random = results.per_seed(halves, "accuracy", "random")
    for arm in ("soft", "people"):
        gain = Comparison("", "lesson02-reviews + lesson06-filters", "accuracy", arm, "random").interval().estimate
        assert gain == pytest.approx((results.per_seed(whole, "accuracy", arm) - random).mean())
    reviewed = {each["name"]: each["gain"][0] for each in exercise.options() if each["name"].startswith("reviewed")}
    assert reviewed["reviewed: all corrected"] > reviewed["reviewed: the right half"] + 0.005


# --- Exercises --------------------------------------------------------------------------------------------------------


def test_a_telltale_word_is_one_word_and_stands_in_no_sentence():
    words = {word for some in exercise._sentences().values() for text, _ in some for word in filters.words(text)}
    assert not set(exercise.MARKS) & words
    assert all(filters.words(mark) == [mark] for mark in exercise.MARKS)


@pytest.mark.parametrize("answer", [exercises_06.find_leak, exercises_06.find_leak_by_plain_words])
def test_a_right_answer_names_the_leak_of_two_hundred_data_sets(answer):
    rng = np.random.default_rng(0)
    for draw in range(200):
        leak = exercise.LEAKS[draw % len(exercise.LEAKS)]
        assert answer(*exercise._sets(leak, rng)) == leak, draw


def test_every_arm_has_a_name_for_the_page():
    for module in (*MODULES, lesson06_added):
        arms = {arm for each in module.EXPERIMENTS if not each.name.endswith("-rates") for arm in each.arms}
        assert arms - {"teacher", "untrained"} <= set(module.NAMES)
