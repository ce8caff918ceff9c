"""Compression: int8 layers against exact arithmetic, pruning that stays, sizes as they are on disk."""

import copy

import pytest
import torch
from safetensors.torch import load_model, save_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from distill_lessons.models import compression


def small(tie=True, seed=0):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=96, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        tie_word_embeddings=tie, pad_token_id=0,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


def batch(rows=3, length=7):
    ids = torch.randint(1, 96, (rows, length))
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


# --- int8 -------------------------------------------------------------------------------------------------------------


def test_quantising_rounds_to_the_nearest_of_255_steps_a_row():
    weight = torch.randn(5, 40) * torch.tensor([1e-3, 1.0, 100.0, 3.0, 0.0])[:, None]
    whole, scale = compression.quantised(weight)
    assert whole.dtype == torch.int8 and whole.shape == weight.shape and scale.shape == (5,)
    assert (whole.abs().amax(1)[:4] == 127).all() and (whole[4] == 0).all()
    assert ((whole * scale[:, None] - weight).abs() <= scale[:, None] / 2 + 1e-6).all()


@pytest.mark.parametrize("shape", [(1, 48), (2, 3, 48), (33, 48)])
def test_the_layer_is_the_product_of_the_rounded_numbers_exactly(shape):
    layer = nn.Linear(48, 20)
    fast = compression.Int8Linear(*compression.quantised(layer.weight.data), layer.bias.data)
    x = torch.randn(shape)
    scale = x.abs().amax(-1, keepdim=True) / 127
    rounded = (x / scale).round().double() * scale.double()
    weight = fast.weight.double() * fast.scale.double()[:, None]
    expected = rounded @ weight.T + layer.bias.double()
    torch.testing.assert_close(fast(x).double(), expected, atol=1e-4, rtol=1e-4)
    assert (fast(x) - layer(x)).abs().max() < 0.05 * layer(x).abs().max()


def test_padding_and_other_rows_do_not_change_a_row():
    layer = nn.Linear(32, 16)
    fast = compression.Int8Linear(*compression.quantised(layer.weight.data), layer.bias.data)
    x = torch.randn(4, 32)
    torch.testing.assert_close(fast(torch.cat([x, 100 * x]))[:4], fast(x))


@pytest.mark.parametrize("tie", [True, False])
def test_an_int8_model_says_nearly_the_same_and_the_original_is_untouched(tie):
    model = small(tie)
    before = copy.deepcopy(model.state_dict())
    fast = compression.int8(model)
    inputs = batch()
    with torch.no_grad():
        gap = (fast(**inputs).logits - model(**inputs).logits).abs().max()
        assert 0 < gap < 0.05 * model(**inputs).logits.abs().max()
        assert fast.generate(**inputs, max_new_tokens=3, do_sample=False).shape == (3, 10)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(isinstance(layer, (nn.Linear, nn.Embedding)) for layer in fast.modules())
    head, table = fast.get_output_embeddings(), fast.get_input_embeddings()
    assert (head.weight.data_ptr() == table.weight.data_ptr()) is tie
    assert all(torch.isfinite(p).all() for p in fast.parameters())


def test_size_is_that_of_the_file_and_about_a_quarter(tmp_path):
    model = small()
    fast = compression.int8(model)
    for each in (model, fast):
        save_model(each, str(tmp_path / "model.safetensors"))
        on_disk = (tmp_path / "model.safetensors").stat().st_size / 1e6
        assert compression.megabytes(each) == pytest.approx(on_disk, abs=0.01)  # the file has a header
    assert compression.megabytes(fast) / compression.megabytes(model) == pytest.approx(0.25, abs=0.03)
    other = compression.int8(small(seed=1))
    load_model(other, str(tmp_path / "model.safetensors"))
    inputs = batch()
    torch.testing.assert_close(other(**inputs).logits, fast(**inputs).logits)


def test_int8_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="no linear layer"):
        compression.int8(nn.ReLU())
    with pytest.raises(ValueError, match="int8 already"):
        compression.int8(compression.int8(small()))


# --- Pruning ----------------------------------------------------------------------------------------------------------


def test_the_smallest_weights_go_and_stay_away_in_training():
    model = small()
    pruned = compression.sparse(model, 0.5)
    largest = {name: weight.abs().median() for name, weight in model.named_parameters()}
    optimizer = torch.optim.SGD(pruned.parameters(), lr=0.1)
    inputs = batch()
    before = pruned.model.layers[0].mlp.up_proj.weight.clone()
    pruned(**inputs, labels=inputs["input_ids"]).loss.backward()
    optimizer.step()
    settled = compression.settled(pruned)
    assert compression.zeros(settled) == pytest.approx(0.5, abs=0.001)
    assert compression.zeros(model) == 0
    gone = model.model.layers[0].mlp.up_proj.weight.abs() < largest["model.layers.0.mlp.up_proj.weight"]
    assert (settled.model.layers[0].mlp.up_proj.weight[gone] == 0).all()
    assert not torch.equal(settled.model.layers[0].mlp.up_proj.weight, before)  # what is left has learned
    assert compression.megabytes(settled) == compression.megabytes(model)  # zeros take their bytes
    assert set(settled.state_dict()) == set(model.state_dict())


def test_only_the_important_neurons_stay():
    model = small()
    batches = [batch(), batch(2, 5)]
    importance = compression.neuron_importance(model, batches)
    assert [each.shape for each in importance] == [(128,), (128,)]
    for layer in model.model.layers:  # neurons 0 to 99 do nothing
        layer.mlp.down_proj.weight.data[:, :100] = 0
    made_up = [torch.cat([torch.zeros(100), torch.ones(28)])] * 2
    narrow = compression.narrower(model, 28, made_up)
    inputs = batch()
    torch.testing.assert_close(narrow(**inputs).logits, model(**inputs).logits)
    assert narrow.config.intermediate_size == 28 and model.config.intermediate_size == 128
    fresh = LlamaForCausalLM(narrow.config)
    fresh.load_state_dict(narrow.state_dict())  # the configuration describes it


def test_importance_is_the_mean_over_real_tokens():
    model = small()
    one = batch(1, 6)
    padded = {
        "input_ids": torch.cat([one["input_ids"], torch.zeros(1, 4, dtype=torch.long)], 1),
        "attention_mask": torch.tensor([[1] * 6 + [0] * 4]),
    }
    for plain, with_padding in zip(
        compression.neuron_importance(model, [one]), compression.neuron_importance(model, [padded, one])
    ):
        torch.testing.assert_close(plain, with_padding)
    layer = model.model.layers[0]
    seen = []
    hook = layer.mlp.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    model(**one)
    hook.remove()
    inner = torch.nn.functional.silu(layer.mlp.gate_proj(seen[0])) * layer.mlp.up_proj(seen[0])
    torch.testing.assert_close(compression.neuron_importance(model, [one])[0], inner[0].abs().mean(0))


@pytest.mark.parametrize(
    "call, words",
    [
        (lambda: compression.sparse(small(), 1.0), r"\[0, 1\), and it is 1.0"),
        (lambda: compression.sparse(small(), -0.1), "and it is -0.1"),
        (lambda: compression.narrower(small(), 0, [torch.ones(128)] * 2), "between 1 and the model's 128"),
        (lambda: compression.narrower(small(), 64, [torch.ones(128)]), "2 tensors of 128 numbers"),
        (lambda: compression.neuron_importance(nn.Linear(2, 2), []), "choose a Llama-like model"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()
