"""A batch without its padding gives the states and gradients of the padded one, for every kind of model it is used for."""

import pytest
import torch
from test_pairs import small_llama
from test_training import collate, examples
from transformers import (
    GPTNeoXConfig,
    GPTNeoXForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

from distill_lessons import training
from distill_lessons.models import response_logits, response_states, unpadded

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "vocab_size": 300,
}


def make(kind, **changes):
    torch.manual_seed(0)
    if kind == "gpt_neox":
        return GPTNeoXForCausalLM(GPTNeoXConfig(**SMALL | changes))
    config, model = {
        "llama": (LlamaConfig, LlamaForCausalLM),
        "qwen2": (Qwen2Config, Qwen2ForCausalLM),
        "qwen3": (Qwen3Config, Qwen3ForCausalLM),
    }[kind]
    return model(config(**SMALL | {"num_key_value_heads": 2} | changes))


def left_padded(rows):
    batch = collate(rows)
    lengths = batch["attention_mask"].sum(1)
    return {
        name: torch.stack([row.roll(len(row) - int(length)) for row, length in zip(tensor, lengths)])
        for name, tensor in batch.items()
    }


def learned(model, batch):
    """The states before the head and the gradient of every weight, for a loss that asks all states for something else."""
    states = response_states(model, batch, lambda states: states)
    model.zero_grad()
    (states * torch.linspace(-1, 1, states.numel()).reshape(states.shape)).sum().backward()
    return states, {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}


def compare(model, batch, monkeypatch, runs=1):
    """Checks that the padding is left out as often as it should be and that nothing else changes."""
    lines, line = [], unpadded.line
    monkeypatch.setattr(unpadded, "line", lambda *both: lines.append(1) or line(*both))
    states, gradients = learned(model, batch)
    assert len(lines) == runs
    monkeypatch.setattr(unpadded, "KINDS", ())
    expected, reference = learned(model, batch)
    assert len(lines) == runs
    torch.testing.assert_close(states, expected, atol=2e-6, rtol=1e-4)
    assert gradients.keys() == reference.keys()
    for name, gradient in gradients.items():
        torch.testing.assert_close(gradient, reference[name], atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("short", [192, 0], ids=["products", "fused"])
@pytest.mark.parametrize("pad", [collate, left_padded], ids=["right", "left"])
@pytest.mark.parametrize("kind", unpadded.KINDS)
def test_the_same_states_and_gradients(kind, pad, short, monkeypatch):
    monkeypatch.setattr(unpadded, "SHORT", short)
    model = make(kind).train()
    before = model.config._attn_implementation
    compare(model, pad(examples(5)), monkeypatch)
    assert model.config._attn_implementation == before


def test_the_head_sees_the_same_logits():
    model, batch = small_llama().eval(), collate(examples(5))
    head = model.get_output_embeddings()
    logits, _ = response_logits(model, batch)
    own = response_states(model, batch, lambda states: torch.nn.functional.linear(states, head.weight))
    torch.testing.assert_close(own, logits)


@pytest.mark.parametrize("case", ["checkpointing", "window", "counted", "full"])
def test_padding_stays_where_it_cannot_be_left_out(case, monkeypatch):
    rows = examples(5)
    if case == "window":
        model = make("qwen2", use_sliding_window=True, sliding_window=2, max_window_layers=0)
    else:
        model = make("llama")
    if case == "full":
        monkeypatch.setattr(unpadded, "SHORT", 0)
    if case == "checkpointing":
        model.gradient_checkpointing_enable()
    batch = collate(rows[:1] if case == "full" else rows)
    if case == "counted":  # a collator that takes the end token for padding
        first = batch["attention_mask"][:, 1:] * (batch["labels"][:, 1:] != -100)
        batch["attention_mask"][0, 1 + int(first[0].nonzero()[0, 0])] = 0
    compare(model.train(), batch, monkeypatch, runs=0)


@pytest.mark.parametrize("kind", unpadded.KINDS)
def test_short_rows_without_padding_are_the_models_own_in_float32_and_plain_products_in_bfloat16(kind, monkeypatch):
    model, products, plain = make(kind).train(), [], unpadded._products
    monkeypatch.setattr(unpadded, "_products", lambda *parts: products.append(1) or plain(*parts))
    batch = collate([examples(1)[0], examples(1)[0], examples(1)[0]])
    assert batch["attention_mask"].all()
    states, gradients = learned(model, batch)
    with torch.autocast("cpu", torch.bfloat16):
        assert not products
        rounded, rough = learned(model, batch)
    assert len(products) == len(make(kind).base_model.layers)
    monkeypatch.setattr(unpadded, "KINDS", ())
    expected, reference = learned(model, batch)
    assert torch.equal(states, expected)
    assert all(torch.equal(gradients[name], gradient) for name, gradient in reference.items())
    with torch.autocast("cpu", torch.bfloat16):
        expected, reference = learned(model, batch)
    torch.testing.assert_close(rounded, expected, atol=0.05, rtol=0.05)
    for name, gradient in reference.items():
        assert (rough[name] - gradient).norm() <= 0.05 * gradient.norm() + 1e-4, name


def test_the_attention_is_put_back():
    model = small_llama()
    with pytest.raises(KeyError), unpadded.running(model):
        assert unpadded.attention_of(model) == "unpadded"
        raise KeyError
    assert unpadded.attention_of(model) == "sdpa"


def test_a_layer_that_belongs_to_another_model_runs_padded_and_right():
    one, other = small_llama().eval(), small_llama()
    one.model.layers[0] = other.model.layers[0]
    batch = collate(examples(5))
    assert not unpadded.possible(one, batch, batch["labels"] != -100)
    states = response_states(one, batch, lambda states: states)
    torch.testing.assert_close(one.lm_head(states), response_logits(one, batch)[0])


def test_adapters_learn_the_same(monkeypatch):
    compare(training.lora(small_llama(), rank=2), collate(examples(5)), monkeypatch)


@pytest.mark.parametrize("short", [192, 0])
def test_dropout_reaches_the_attention(short, monkeypatch):
    monkeypatch.setattr(unpadded, "SHORT", short)
    model, batch = make("llama", attention_dropout=0.5), collate(examples(5))
    calm, again = (response_states(model.eval(), batch, lambda states: states) for _ in range(2))
    assert torch.equal(calm, again)
    torch.manual_seed(1)
    restless, other = (response_states(model.train(), batch, lambda states: states) for _ in range(2))
    assert not torch.allclose(restless, other)
