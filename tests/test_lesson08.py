"""Lesson 08 on `reviews`: the student with states is the pair's student, and its states are matched where it is said."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from distill_lessons import training
from distill_lessons.course.exercises import lesson08 as exercise
from distill_lessons.course.experiments import lesson08_reviews as lesson
from distill_lessons.course.experiments import on_reviews
from distill_lessons.pairs import reviews, reviews_students
from distill_lessons.training.features import Matching

N = 96


@pytest.fixture(autouse=True)
def small(monkeypatch):
    """Ninety-six sentences of a language of fifty words, places 100 to 195 of a pool, and a teacher of random states."""
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(1, 52, (300, 9), generator=generator)
    ids[torch.arange(9) >= torch.randint(1, 10, (300, 1), generator=generator)] = reviews_students.PADDING
    soft = torch.rand(300, 1, generator=generator)
    states = {layer: torch.randn(N, lesson.TEACHER_WIDTH, generator=generator) for layer in lesson.RIGHT.values()}
    monkeypatch.setattr(reviews_students, "vocabulary", lambda: tuple(map(str, range(50))))
    monkeypatch.setattr(lesson, "inputs", lambda: ids)
    monkeypatch.setattr(lesson, "teacher_states", lambda: states)
    monkeypatch.setattr(reviews, "pool", lambda teacher: torch.arange(100, 100 + N).numpy())
    monkeypatch.setattr(on_reviews, "drawn", lambda seed, count=N: 100 + torch.randperm(N).numpy()[:count])
    monkeypatch.setattr(on_reviews, "soft", lambda places: torch.cat([soft, 1 - soft], 1)[places])
    torch.manual_seed(5)
    return ids, states


def weights(model):
    return torch.cat([weight.detach().flatten() for weight in model.parameters()])


def test_step_by_step_the_student_computes_what_the_pairs_own_does(small):
    student = reviews.transformer(lesson.WIDTH)
    for mode in (True, False):
        student.train(mode)
        torch.manual_seed(1)
        expected = student(small[0][:40])
        torch.manual_seed(1)
        logits, *states = lesson.states_of(student, small[0][:40])
        assert torch.allclose(logits, expected, atol=1e-5)
        assert len(states) == 3 and all(each.shape == (40, lesson.WIDTH) for each in states)
    assert torch.allclose(student.head(states[2]), expected, atol=1e-5)  # the last state is what the head reads
    vectors = student.embedding(small[0][0]) + student.place.weight[:9]
    assert torch.allclose(states[0][0], vectors[small[0][0] != 0].mean(0), atol=1e-5)


def test_with_weight_0_training_is_that_of_the_bare_student(monkeypatch, small):
    found = lesson.learn("outputs", 3, 2e-3, steps=12).student
    torch.manual_seed(5)  # the fixture's, so that the same sentences are drawn
    places = on_reviews.drawn(3)
    torch.manual_seed(3)
    expected = training.fit(
        reviews.transformer(lesson.WIDTH),
        small[0][places],
        torch.zeros(N, dtype=torch.long),
        loss=lambda z, targets, labels: F.cross_entropy(z, targets),
        teacher=lambda batch: on_reviews.soft(places),
        steps=12,
        batch_size=lesson.BATCH,
        learning_rate=2e-3,
        seed=3,
    )
    assert torch.allclose(weights(found), weights(expected), atol=1e-5)


@pytest.mark.parametrize("arm", lesson.ARMS)
def test_each_state_is_matched_with_its_own_layer_and_sentence(monkeypatch, arm):
    """One step's loss by hand, from the states that the arm's words promise."""
    seen = []

    def fit(model, ids, labels, loss, teacher, seed, **options):
        torch.manual_seed(seed)
        seen.append((model, ids, loss(model(ids), teacher(ids), labels)))
        return model

    monkeypatch.setattr(training, "fit", fit)
    model = lesson.learn(arm, 7, 1e-3)
    ((_, ids, value),) = seen
    torch.manual_seed(5)
    places = on_reviews.drawn(7)
    torch.manual_seed(7)
    logits, *own = lesson.states_of(model.student, ids)
    rows = torch.from_numpy(places) - 100
    if arm.startswith("shuffled"):
        rows = rows[torch.randperm(N, generator=torch.Generator().manual_seed(7))]
        assert (rows != torch.from_numpy(places) - 100).float().mean() > 0.8
    layers = (30, 20, 10) if arm.startswith("reversed") else (10, 20, 30)
    weight = {"outputs": 0.0, "states, weight 1": 1.0}.get(arm, 10.0)
    projected = [model.matching.projections[str(place)](each) for place, each in enumerate(own)]
    apart = [
        (1 - F.cosine_similarity(mine, lesson.teacher_states()[layer][rows], dim=-1)).mean()
        for mine, layer in zip(projected, layers)
    ]
    expected = F.cross_entropy(logits, on_reviews.soft(places)) + weight * sum(apart) / 3
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)


def test_matching_brings_the_states_nearer_and_nearness_counts_sentence_by_sentence():
    places = 100 + torch.arange(N).numpy()
    before = lesson.nearness(lesson.learn("states, weight 10", 0, 1e-3, steps=0), places)
    model = lesson.learn("states, weight 10", 0, 8e-3, steps=60)
    after = lesson.nearness(model, places)
    assert abs(before) < 0.1 and after > before + 0.1
    assert lesson.nearness(model, places[:1]) != pytest.approx(after)
    own = lesson.asked(model, places[:30])[1]
    mine = model.matching.projections["0"](own)
    one = Matching({0: 10}, lesson.WIDTH, lesson.TEACHER_WIDTH)
    one.projections["0"] = model.matching.projections["0"]
    rows = lesson.rows_of(places[:30])
    expected = F.cosine_similarity(mine, lesson.teacher_states()[10][rows], dim=-1).mean().item()
    assert lesson.nearness(lesson.Shown(model.student, one), places[:30]) == pytest.approx(expected, abs=1e-5)


class Counting(nn.Module):
    """A model whose state at layer n is the number of tokens so far, times n."""

    device = torch.device("cpu")

    def model(self, input_ids, attention_mask, output_hidden_states):
        self.padded = bool((attention_mask == 0).any())
        so_far = (
            torch.ones_like(attention_mask).cumsum(1).unsqueeze(-1).float()
        )  # padding counts: who reads it is found out
        return type("Output", (), {"hidden_states": [n * so_far.expand(-1, -1, 2) for n in range(4)]})()


def test_a_state_is_read_at_the_last_token_of_its_own_text(monkeypatch):
    def tokenizer(texts, return_tensors, padding):
        sizes = [len(text.split()) for text in texts]
        mask = (torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]).long()
        rows = {"input_ids": mask, "attention_mask": mask}
        return type("Rows", (dict,), {"to": lambda self, device: self})(rows)

    monkeypatch.setattr(lesson.smollm, "tokenizer", lambda: tokenizer)
    texts = ["a b c d", "abcdefghijk", "a b", "a b c d e f g"]
    model = Counting()
    found = lesson.read_states(model, texts, (1, 3), batch=3)
    assert found[1][:, 0].tolist() == [4, 1, 2, 7] and found[3][:, 1].tolist() == [12, 3, 6, 21]
    assert not model.padded  # those of like length are read together: the longest came alone


def test_the_teachers_numbers_have_mean_0_and_variance_1(tmp_path, monkeypatch):
    from safetensors.torch import save_file

    monkeypatch.undo()
    path = tmp_path / "states.safetensors"
    scales = torch.tensor([1.0, 100.0, 0.01])
    save_file({"10": (torch.randn(50, 3) * scales + 7).bfloat16(), "30": torch.randn(50, 3).bfloat16()}, path)
    monkeypatch.setattr(lesson, "memory", lambda: path)
    lesson.teacher_states.cache_clear()
    try:
        found = lesson.teacher_states()
    finally:
        lesson.teacher_states.cache_clear()
    assert set(found) == {10, 30}
    assert torch.allclose(found[10].mean(0), torch.zeros(3), atol=1e-4)
    assert torch.allclose(found[10].std(0), torch.ones(3), atol=1e-4)


def test_what_was_stated():
    assert lesson.RIGHT == {0: 10, 1: 20, 2: 30} and lesson.REVERSED == {0: 30, 1: 20, 2: 10}
    search, table = lesson.EXPERIMENTS
    assert len(table.seeds) == 10 and not set(search.seeds) & set(table.seeds) and len(search.seeds) == 3
    tries = [arm.rpartition(" at ") for arm in search.arms]
    assert {arm: sum(each[0] == arm for each in tries) for arm in table.arms} == dict.fromkeys(lesson.ARMS, 7)
    assert set(lesson.ARMS) < set(lesson.NAMES)


@pytest.mark.parametrize("kind, doubtful, clear", [("sound", 0.19, 0.1), ("other sentences", 0.3, 0.4)])
def test_a_run_that_may_be_taken_for_another_is_not_asked_about(monkeypatch, kind, doubtful, clear):
    drawn = iter({"distance": [1.0, 0.05], "held out": [1.0, held_out]} for held_out in (doubtful, clear))
    monkeypatch.setattr(exercise, "log_of", lambda *_: next(drawn))
    assert exercise._log_without_doubt(kind)["held out"][-1] == clear


def test_no_single_reading_tells_the_runs_apart():
    torch.manual_seed(0)
    ends = [(kind, {name: readings[-1] for name, readings in log.items()}) for kind, log in exercise._runs()]
    of = lambda kind, name: sorted(end[name] for found, end in ends if found == kind)  # noqa: E731
    assert len(ends) == 7 and {kind for kind, _ in ends} == set(exercise.KINDS)
    few, many = of("other sentences", "distance")
    assert few < of("cut off", "distance")[0] < many
    assert of("other sentences", "pull")[0] < of("moving teacher", "pull")[1]
    assert of("moving teacher", "pull")[0] < of("other sentences", "pull")[1]


def test_another_unit_of_the_inputs_changes_nothing_but_the_pull():
    one, other = (exercise.log_of("other sentences", 3, unit=unit) for unit in (1.0, 20.0))
    assert other["pull"] == pytest.approx([20 * pull for pull in one["pull"]])
    assert one | {"pull": []} == other | {"pull": []}


def test_arms_near_the_limit_are_at_the_standard_errors_asked_for():
    outputs, states, shuffled = exercise._at((2.42, -6))
    assert exercise._clear(states, outputs) == pytest.approx(2.42)
    assert exercise._clear(states, shuffled) == pytest.approx(-6)
