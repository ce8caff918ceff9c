"""The stream of lesson 09: who is asked, what comes again, when there is an alarm, and how it is scored."""

import copy

import numpy as np
import pytest
import torch

from distill_lessons.course.experiments import lesson09_stream as lesson
from distill_lessons.pairs import reviews


@pytest.fixture(scope="module", autouse=True)
def on_the_cpu():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DISTILL_DEVICE", "cpu")
        yield
    lesson.started.cache_clear()


@pytest.fixture
def short(monkeypatch):
    """A stream of eight batches a part."""
    monkeypatch.setattr(lesson, "EACH", 8 * lesson.BATCH)


def start(seed=7):
    return copy.deepcopy(lesson.started(seed))


def test_what_comes_was_not_in_the_start_and_is_nobodys_test():
    first, coming = lesson.stream(3)
    sources, splits = (reviews.sentences()[name].to_numpy() for name in ("source", "split"))
    assert len(first) == 2000 and [len(part) for part in coming] == [2048, 2048]
    every = np.concatenate([first, *coming])
    assert len(set(every)) == len(every) and set(splits[every]) == {"pool"}
    assert [set(sources[part]) for part in (first, *coming)] == [{"film"}, {"product"}, {"newspaper"}]
    assert not np.array_equal(first, lesson.stream(4)[0])


def test_those_asked_about_are_all_some_or_the_unsure():
    rows, model = lesson.stream(3)[1][0][:32], start()
    assert lesson.everything(3)(model, rows) is rows
    ask = lesson.drawn(3)
    one, two = ask(model, rows), ask(model, rows)
    assert len(set(one)) == len(one) == 8 and set(one) <= set(rows) and set(one) != set(two)
    doubt = (lesson.probabilities(model, rows)[:, 1] - 0.5).abs().numpy()
    chosen = lesson.unsure(3)(model, rows)
    others = [place for place, row in enumerate(rows) if row not in chosen]
    assert len(chosen) == 8 and doubt[[list(rows).index(row) for row in chosen]].max() <= doubt[others].min()


def agreeing(monkeypatch, share):
    """A student that agrees with the teacher on a share of the rows, evenly."""
    said = lesson.targets().argmax(-1)

    def probabilities(model, places):
        differs = torch.tensor([(place * 0.618034) % 1 >= share["now"] for place in places])
        return torch.nn.functional.one_hot(torch.where(differs, 1 - said[places], said[places]), 2).float()

    monkeypatch.setattr(lesson, "probabilities", probabilities)


def test_an_alarm_comes_when_agreement_falls_and_not_before(monkeypatch):
    share, rows = {"now": 0.8}, lesson.stream(3)[1][0]
    agreeing(monkeypatch, share)
    ask = lesson.alarmed(3)
    before = [len(ask(None, rows[32 * batch : 32 * batch + 32])) for batch in range(16)]
    share["now"] = 0.3
    after = [len(ask(None, rows[32 * batch : 32 * batch + 32])) for batch in range(16, 48)]
    assert set(before) == {3}
    assert after.count(32) == 8 and after.index(32) < 8  # one burst: then the new share is the usual one
    assert after[after.index(32) :][:8] == [32] * 8


def test_no_alarm_asks_more_than_a_quarter(monkeypatch):
    share, rows = {"now": 0.9}, lesson.stream(3)[1][0][:32]
    agreeing(monkeypatch, share)
    ask = lesson.alarmed(3, slack=-1.0, limit=0.5)  # alarms all the time
    asked = [len(ask(None, rows)) for _ in range(128)]
    assert sum(asked) == 1024 and asked[-1] == 0 and asked[1] == 32


def test_without_replay_only_what_came_is_learned(short, monkeypatch):
    seen, inputs = [], lesson.on_reviews.inputs("frozen")

    class Watched:
        def __getitem__(self, places):
            seen.append(list(places))
            return inputs[places]

    model = start()
    monkeypatch.setattr(lesson.on_reviews, "inputs", lambda student: Watched())
    share = lesson.learn(model, 7, 1e-4, lesson.everything(7), 0, lambda *look: None)
    coming = np.concatenate(lesson.stream(7)[1])
    assert share == 1.0 and len(seen) == 16 * lesson.UPDATES
    assert [seen[at] for at in range(0, len(seen), lesson.UPDATES)] == coming.reshape(16, 32).tolist()
    seen.clear()
    share = lesson.learn(start(), 7, 1e-4, lesson.drawn(7), 96, lambda *look: None)
    known = set(lesson.stream(7)[0])
    for batch in range(16):
        updates = seen[batch * lesson.UPDATES : (batch + 1) * lesson.UPDATES]
        new = updates[0][:8]
        assert all(places[:8] == new and set(places[8:]) <= known and len(places) == 104 for places in updates)
        known |= set(new)
    assert share == 0.25 and len({place for places in seen for place in places[8:]}) > 0.8 * len(known)


def test_looks_come_before_a_batch_is_learned_and_eight_times_a_part(short):
    model, seen = start(), []
    before = copy.deepcopy(model.state_dict())

    def look(student, source):
        changed = any(not torch.equal(student.state_dict()[name], before[name]) for name in before)
        seen.append((source, changed, student.training))

    lesson.learn(model, 7, 1e-3, lesson.everything(7), 0, look)
    assert seen == [("product", False, False)] + [("product", True, False)] * 7 + [("newspaper", True, False)] * 8


def test_both_sources_count_alike_and_a_student_that_stays_is_the_start(short):
    values = lesson.balanced([np.ones(10), np.zeros(90)])
    assert len(values) == 100 and values.mean() == pytest.approx(0.5)
    still, model = lesson.still(7), lesson.started(7)
    for source in ("product", "newspaper", "film"):
        places = reviews.places("test", source)
        right = lesson.probabilities(model, places).argmax(-1) == reviews.labels()[places]
        assert still[source] == pytest.approx(right.double().mean().item())
    assert np.mean(still["accuracy"]) == pytest.approx((still["product"] + still["newspaper"]) / 2)
    assert len(lesson.groups()) == len(still["accuracy"]) and still["asked"] == 0
    kept = lesson.score("follow", 7, 0.0, "test")  # a rate of nothing
    assert kept["accuracy"] == pytest.approx(still["accuracy"]) and kept["asked"] == 1
    assert lesson.score("follow", 7, 1e-3, "test")["film"] < still["film"] - 0.02  # without replay film is forgotten
