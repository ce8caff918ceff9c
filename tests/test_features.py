"""Hidden states as targets: distances, maps, CKA, and a trainer that matches states, alone or beside the logits."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file
from test_pairs import small_llama
from test_training import collate, examples, make_trainer
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from distill_lessons.models import response_states
from distill_lessons.training import features
from distill_lessons.training.features import Matching


def narrow():
    torch.manual_seed(3)
    return LlamaForCausalLM(
        LlamaConfig(
            hidden_size=16,
            intermediate_size=32,
            num_attention_heads=2,
            num_hidden_layers=3,
            vocab_size=300,
            max_position_embeddings=64,
            tie_word_embeddings=True,
        )
    )


def test_distances_are_zero_for_equal_states_and_known_elsewhere():
    states, rows = torch.randn(6, 5), torch.tensor([0, 0, 0, 1, 1, 1])
    for distance in (features.direction_distance, features.squared_distance):
        assert distance(states, states).abs().max() < 1e-6
    assert features.relation_distance(states, 3 * states, rows).abs().max() < 1e-6
    torch.testing.assert_close(features.direction_distance(states, -2 * states), torch.full((6,), 2.0))
    torch.testing.assert_close(features.squared_distance(torch.zeros(6, 5), states), torch.ones(6))


def test_relations_ignore_rotation_width_and_other_texts():
    states, rows = torch.randn(6, 5), torch.tensor([0, 0, 1, 1, 1, 1])
    rotation = torch.linalg.qr(torch.randn(8, 8))[0][:5]
    assert features.relation_distance(states @ rotation, states, rows).abs().max() < 1e-6
    both = features.relation_distance(states, states.roll(1, 0), rows)
    first = features.relation_distance(states[:2], states.roll(1, 0)[:2], rows[:2])
    torch.testing.assert_close(both[:2], first)  # a text's value does not depend on what else is in the batch


@given(st.integers(0, 1000))
@settings(max_examples=15, deadline=None)
def test_cka_is_one_for_a_rotation_and_lies_between_0_and_1(seed):
    torch.manual_seed(seed)
    states = torch.randn(60, 4)
    rotation = torch.linalg.qr(torch.randn(4, 4))[0]
    assert features.cka(states, 3 * states @ rotation + 1) == pytest.approx(1, abs=1e-6)
    other = torch.randn(60, 7)
    value = features.cka(states, other)
    assert 0 <= value < 0.5 and value == pytest.approx(features.cka(other, states))
    x, y = (each.double().numpy() - each.double().numpy().mean(0) for each in (states, other))
    gram = [z @ z.T for z in (x, y)]  # the definition by Gram matrices, as a second way to the number
    expected = np.sum(gram[0] * gram[1]) / np.sqrt(np.sum(gram[0] ** 2) * np.sum(gram[1] ** 2))
    assert value == pytest.approx(expected)


def test_cka_refuses_what_it_cannot_compare():
    with pytest.raises(ValueError, match="same positions"):
        features.cka(torch.randn(5, 3), torch.randn(6, 3))
    with pytest.raises(ValueError, match="all states of one set are equal"):
        features.cka(torch.ones(5, 3), torch.randn(5, 3))


def test_layer_maps_end_at_both_last_states():
    for student, teacher in ((4, 6), (16, 30), (6, 6)):
        assert features.uniform_map(student, teacher)[student] == teacher
        assert list(features.uniform_map(student, teacher)) == list(range(1, student + 1))
        assert features.last_map(student, teacher)[1] == teacher - student + 1
    assert features.last_map(16, 30, 2) == {15: 29, 16: 30}
    assert features.uniform_map(3, 6) == {1: 2, 2: 4, 3: 6}


@pytest.mark.parametrize("model", [small_llama(), GPTNeoXForCausalLM(GPTNeoXConfig(
    hidden_size=32, intermediate_size=64, num_attention_heads=4, num_hidden_layers=5, vocab_size=300))])  # fmt: skip
def test_captured_states_are_the_models_own(model):
    model = model.eval()
    batch = collate(examples(3))
    last = model.config.num_hidden_layers
    states, inner = response_states(model, batch, lambda *both: both, layers=(1, 3, last))
    full = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], output_hidden_states=True)
    hooks = sum(len(module._forward_hooks) for module in model.modules())  # the library's own
    response_states(model, batch, lambda *both: both, layers=(2,))
    mask = batch["labels"][:, 1:] != -100
    for number in (1, 3, last):
        torch.testing.assert_close(inner[number], full.hidden_states[number][:, :-1][mask])
    torch.testing.assert_close(inner[last], states)
    with pytest.raises(ValueError, match="states 1 to"):
        response_states(model, batch, lambda *both: both, layers=(99,))
    assert sum(len(module._forward_hooks) for module in model.modules()) == hooks


def test_states_alone_bring_the_student_to_the_teachers_states(tmp_path):
    torch.manual_seed(0)  # the maps' weights: of five seeds the loss ended at 0.75 to 0.85 of its start
    matching = Matching(features.uniform_map(3, 6), 16, 32, "cosine")
    how = {"features": matching, "output_weight": 0.0}
    trainer = make_trainer(tmp_path, steps=60, rows=examples(240), student=narrow(), how=how)
    trainer.train()
    logged = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert np.mean(logged[-5:]) < 0.9 * np.mean(logged[:5])
    assert not hasattr(trainer.model, "features")


@pytest.mark.parametrize("kind", features.KINDS)
def test_a_narrow_student_learns_with_its_projections(tmp_path, kind):
    matching = Matching({1: 2, 3: 6}, 16, 32, kind)
    before = [weight.clone() for weight in matching.parameters()]
    assert len(before) == (0 if kind == "relation" else 2)
    trainer = make_trainer(tmp_path, student=narrow(), how={"features": matching})
    trainer.train()
    assert all(not torch.equal(old, new) for old, new in zip(before, matching.cpu().parameters()))


def test_learned_weights_start_equal_and_move(tmp_path):
    matching = Matching({2: [2, 3, 4], 4: 6}, 32, 32)
    trainer = make_trainer(tmp_path, how={"features": matching})
    trainer.train()
    weights = matching.weights["2"].softmax(0)
    assert weights.sum().item() == pytest.approx(1) and (weights - 1 / 3).abs().max() > 1e-4


def test_micro_batches_give_the_same_weights_with_features(tmp_path):
    ends = []
    for size, steps in ((4, 1), (2, 2)):
        torch.manual_seed(5)
        how = {"features": Matching(features.uniform_map(4, 6), 32, 32, "mse", project=True)}
        trainer = make_trainer(tmp_path, batch_size=size, how=how, gradient_accumulation_steps=steps)
        trainer.train()
        ends.append([weight.detach().clone() for weight in trainer.model.parameters()])
    for one, other in zip(*ends):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_projections_are_in_checkpoints_and_not_in_the_student(tmp_path):
    how = {"features": Matching({4: 6}, 32, 32, project=True)}
    trainer = make_trainer(tmp_path, how=how, save_strategy="steps", save_steps=2)
    trainer.train()
    assert any("features" in name for name in load_file(tmp_path / "checkpoint-2" / "model.safetensors"))
    trainer.save_model(str(tmp_path / "end"))
    assert not any("features" in name for name in load_file(tmp_path / "end" / "model.safetensors"))


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"features": Matching({1: 1}, 32, 32), "teacher": None, "alpha": 0.0}, "teacher in the loop"),
        ({"output_weight": 0.0}, "nothing to learn from"),
        ({"features": Matching({1: 1}, 32, 32), "feature_weight": -1.0}, "feature_weight"),
        ({"output_weight": float("nan")}, "output_weight"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path, how, sentence):
    with pytest.raises(ValueError, match=sentence):
        make_trainer(tmp_path, how=how)


def test_a_matching_without_layers_or_of_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="no layers"):
        Matching({}, 4, 4)
    with pytest.raises(ValueError, match="cosine, mse, relation"):
        Matching({1: 1}, 4, 4, "euclid")


@pytest.mark.parametrize("kind", features.KINDS)
def test_a_matching_is_the_sum_over_positions_of_the_mean_over_its_layers(kind):
    torch.manual_seed(0)
    student, teacher = ({state: torch.randn(7, 5).double() for state in (1, 2, 3)} for _ in range(2))
    rows = torch.tensor([0, 0, 0, 1, 1, 2, 2])
    expected = 0.0
    for s, t in ((1, 2), (2, 1), (3, 3)):
        for place in range(7):
            a, b = student[s][place], teacher[t][place]
            if kind == "cosine":
                expected += 1 - a @ b / (a.norm() * b.norm())
            elif kind == "mse":
                expected += ((a - b) ** 2).sum() / (b**2).sum()
            else:
                same = [other for other in range(7) if rows[other] == rows[place]]
                unit = lambda states, i: states[i] / states[i].norm()  # noqa: E731
                expected += sum(
                    (unit(student[s], place) @ unit(student[s], o) - unit(teacher[t], place) @ unit(teacher[t], o)) ** 2
                    for o in same
                ) / len(same)
    found = Matching({1: 2, 2: 1, 3: 3}, 5, 5, kind)(student, teacher, rows)
    assert found.item() == pytest.approx(expected.item() / 3, rel=1e-5)


def test_the_uniform_map_rounds_to_the_nearest_layer():
    assert features.uniform_map(4, 7) == {1: 2, 2: 4, 3: 5, 4: 7}  # 1.75, 3.5, 5.25
    assert features.uniform_map(3, 8) == {1: 3, 2: 5, 3: 8}  # 2.67, 5.33
