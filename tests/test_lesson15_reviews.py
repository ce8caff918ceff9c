"""What lesson 15 measures on `reviews`: a law of size and data, and students that are stored in few bytes."""

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from distill_lessons.course.experiments import lesson15_reviews as lesson
from distill_lessons.course.experiments import on_reviews
from distill_lessons.pairs import reviews, reviews_students

FLOOR = 0.4


@pytest.fixture(scope="module")
def grid():
    n, d = np.meshgrid(lesson.weights(np.array(lesson.SIZES)), np.array(lesson.POOLS), indexing="ij")
    return n / n[0, 0], d / d[0, 0]


# --- A law ------------------------------------------------------------------------------------------------------------


def test_n_counts_what_a_student_learns():
    for size in lesson.SIZES:
        assert lesson.weights(size) == sum(each.numel() for each in lesson.student(size).parameters())


def test_the_joint_law_by_hand():
    numbers = (np.log(0.2), 0.5, np.log(0.3), 1.0, 2.0)
    assert lesson.joint(numbers, 4.0, 2.0, FLOOR) == pytest.approx(FLOOR + (0.2 / 2 + 0.3 / 2) ** 2)
    assert lesson.additive((*numbers[:4], 0.5), 4.0, 2.0, FLOOR) == pytest.approx(0.5 + 0.2 / 2 + 0.3 / 2)


@pytest.mark.parametrize(
    "form, numbers", [("joint", (-1.0, 0.9, -1.5, 1.2, 0.3)), ("additive", (-3.0, 0.4, -2.5, 0.8, 0.5))]
)
def test_a_world_that_obeys_a_law_is_foreseen_by_it_and_by_no_rival(form, numbers, grid):
    loss = lesson.STARTS[form][0](numbers, *grid, FLOOR)
    errors = {each: np.abs(lesson.foreseen(each, loss, FLOOR)[0] - loss)[4, 4] for each in (form, "carried", "line")}
    assert errors[form] < 0.002
    assert errors["carried"] > 5 * errors[form] and errors["line"] > 5 * errors[form]


def test_a_plane_is_foreseen_by_the_plane_and_carrying_on_repeats_the_nearest(grid):
    loss = 0.7 - 0.01 * np.log(grid[0]) - 0.02 * np.log(grid[1])
    assert lesson.foreseen("line", loss, FLOOR)[0] == pytest.approx(loss)
    carried = lesson.foreseen("carried", loss, FLOOR)[0]
    assert carried[4, 4] == loss[3, 3] and carried[4, 1] == loss[3, 1] and carried[2, 4] == loss[2, 3]


@pytest.mark.parametrize("form", ["joint", "additive", "line", "carried"])
def test_no_form_looks_at_what_it_foresees(form, grid):
    loss = lesson.joint((-1.0, 0.9, -1.5, 1.2, 0.3), *grid, FLOOR)
    spoiled = loss.copy()
    spoiled[4], spoiled[:, 4] = 9.0, 9.0
    assert lesson.foreseen(form, spoiled, FLOOR)[0] == pytest.approx(lesson.foreseen(form, loss, FLOOR)[0])


def test_errors_are_over_the_corner_only(monkeypatch, grid):
    loss = 0.7 - 0.01 * np.log(grid[0]) - 0.02 * np.log(grid[1])
    loss[3, 4] += 0.03
    loss[4, 0] += 0.5
    monkeypatch.setattr(lesson, "losses_of", lambda seed: loss)
    monkeypatch.setattr(lesson, "floor", lambda: FLOOR)
    found = lesson.foresee("line", 0)
    assert found["error"] == pytest.approx(0.01) and found["far"] == pytest.approx(0, abs=1e-9)
    assert found["all nine"] == pytest.approx(0.53 / 9) and found["inside"] == pytest.approx(0, abs=1e-9)


def test_the_floor_is_the_loss_of_the_teacher_itself():
    z = reviews.logits(on_reviews.TEACHER)[reviews.places("test")]
    assert lesson.floor() == pytest.approx(nn.functional.cross_entropy(z, z.softmax(-1)).item(), abs=1e-6)


def test_components_are_uncorrelated_on_the_pool_widest_first_and_see_no_test_sentence(monkeypatch):
    numbers = torch.randn(len(reviews.sentences()), 600, generator=torch.Generator().manual_seed(0))
    numbers[:, 1] += 2 * numbers[:, 0]
    monkeypatch.setattr(reviews, "features", lambda: numbers)
    lesson.components.cache_clear()
    try:
        own = lesson.components()
        pool = own[reviews.pool(on_reviews.TEACHER)].double()
        spread = pool.T @ pool / len(pool)
        assert (spread - spread.diag().diag()).abs().max() < 1e-3 and (spread.diag().diff() <= 1e-4).all()
        spoiled = numbers.clone()
        spoiled[reviews.places("test")] *= 7
        monkeypatch.setattr(reviews, "features", lambda: spoiled)
        lesson.components.cache_clear()
        pool = reviews.pool(on_reviews.TEACHER)
        assert torch.allclose(lesson.components()[pool], own[pool], atol=1e-4)
    finally:
        lesson.components.cache_clear()


def test_a_cell_reads_so_many_numbers_of_so_many_sentences(monkeypatch):
    seen = {}
    numbers = torch.randn(len(reviews.sentences()), 24)
    monkeypatch.setattr(lesson, "components", lambda: numbers)
    monkeypatch.setattr(lesson, "learned", lambda model, inputs, places, steps, rate, seed: seen.update(
        inputs=inputs, places=places, steps=steps) or model)  # fmt: skip
    lesson.grown(8, 960, 1e-3, 3)
    assert seen["inputs"].shape == (960, 8) and seen["steps"] == 30
    assert set(seen["places"]) <= set(reviews.pool(on_reviews.TEACHER))
    more = lesson.drawn(3, 1920)
    assert list(more[:960]) == list(seen["places"])


# --- The edge ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def words(monkeypatch):
    """Two small students, and a vocabulary of 60 words."""
    monkeypatch.setattr(lesson, "WORDS", {"small": (40, 12), "gru": (40, 12)})
    monkeypatch.setattr(reviews_students, "vocabulary", lambda: tuple(f"word{place}" for place in range(60)))


@pytest.mark.parametrize("kind", ["small", "gru"])
@pytest.mark.parametrize("form", ["float32", "float16", "int8"])
def test_what_is_stored_comes_back_as_near_as_its_form_allows(kind, form, words):
    torch.manual_seed(0)
    model = lesson.edge(kind)
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    stored = safetensors.torch.load(safetensors.torch.save(lesson.packed(model, form)))
    after = lesson.unpacked(lesson.edge(kind), stored).state_dict()
    for name, tensor in before.items():
        assert torch.equal(model.state_dict()[name], tensor), "packing changes nothing"
        if form == "float32":
            assert torch.equal(after[name], tensor)
        elif form == "float16" or tensor.dim() == 1:
            assert torch.equal(after[name], tensor.half().float())
        else:
            step = tensor.abs().amax(1, keepdim=True) / 127
            assert ((after[name] - tensor).abs() <= (0.5 + 127 * 2**-11) * step + 1e-7).all()
            assert stored[name].dtype == torch.int8 and stored[f"{name} scale"].dtype == torch.float16


def test_kilobytes_count_weights_and_the_words_that_are_known(words):
    stored = lesson.packed(lesson.edge("small"), "int8")
    own, text = lesson.kilobytes("small", stored)
    assert text == pytest.approx(len("\n".join(f"word{place}" for place in range(40))) / 1000)
    assert own == pytest.approx(len(safetensors.torch.save(stored)) / 1000)
    assert own > (42 * 12 + 64 * 12 + 2 * 64) / 1000


def test_words_beyond_the_list_are_unknown_and_the_recurrent_net_reads_the_first(words):
    ids = torch.tensor([[2, 41, 42, 61, 0], [1, 0, 0, 0, 0]])
    assert lesson.read("small", ids).tolist() == [[2, 41, 1, 1, 0], [1, 0, 0, 0, 0]]
    assert ids[0, 3] == 61, "the ids are left as they were"
    assert lesson.read("gru", torch.ones(2, 50, dtype=torch.long)).shape == (2, lesson.READS)


@pytest.mark.parametrize("kind", ["small", "gru"])
def test_a_student_answers_ids_of_its_list(kind, words):
    model = lesson.edge(kind).eval()
    ids = lesson.read(kind, torch.randint(0, 62, (5, 40)))
    assert model(ids).shape == (5, 2)
    padded = torch.cat([ids, torch.zeros(5, 3, dtype=torch.long)], 1)
    assert torch.allclose(model(padded), model(ids), atol=1e-6)


def test_the_main_student_fits_into_100_kilobytes():
    count, width = lesson.WORDS["small"]
    model = lesson.edge("small")
    assert len(reviews_students.vocabulary()) >= count and model[0].weight.shape == (count + 2, width)
    assert sum(lesson.kilobytes("small", lesson.packed(model, "int8"))) < 100
