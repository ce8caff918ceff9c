"""Compression: int8 layers against exact arithmetic, pruning that stays, sizes as they are on disk."""

import copy
import inspect

import pytest
import torch
import transformers
from safetensors.torch import load_model, save_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.pytorch_utils import Conv1D

from distill_lessons.models import compression

# Of each family: its configuration, its model, what its configuration needs besides, and how much its head is scaled up, so
# that the model prefers a few of its tokens, as a trained one does: less than 2.4 nats of entropy of at most 4.6.
FAMILIES = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", {}, 3.0),
    "qwen2": ("Qwen2Config", "Qwen2ForCausalLM", {}, 3.0),
    "qwen3": ("Qwen3Config", "Qwen3ForCausalLM", {"tie_word_embeddings": False}, 5.0),
    "gpt-neox": ("GPTNeoXConfig", "GPTNeoXForCausalLM", {"tie_word_embeddings": False}, 5.0),
    "gemma2": ("Gemma2Config", "Gemma2ForCausalLM", {"sliding_window": 16}, 2.0),
    "gemma3": ("Gemma3TextConfig", "Gemma3ForCausalLM", {"sliding_window": 16}, 2.0),
    "gpt2": ("GPT2Config", "GPT2LMHeadModel", {"n_inner": 128, "n_positions": 32}, 2.5),
    "opt": ("OPTConfig", "OPTForCausalLM", {"ffn_dim": 128, "word_embed_proj_dim": 64}, 4.0),
    "granite": ("GraniteConfig", "GraniteForCausalLM", {"logits_scaling": 0.5, "embedding_multiplier": 3.0}, 1.3),
    "cohere": ("CohereConfig", "CohereForCausalLM", {"logit_scale": 0.3}, 6.0),
}
GATED = ["llama", "qwen2", "qwen3", "gemma2", "gemma3", "granite", "cohere"]


def of_family(name, **more):
    torch.manual_seed(0)
    config, model, needs, peak = FAMILIES[name]
    sizes = dict(
        vocab_size=96, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=32, initializer_range=0.1, pad_token_id=0,
        bos_token_id=1, eos_token_id=2, tie_word_embeddings=True,
    )  # fmt: skip
    made = getattr(transformers, model)(getattr(transformers, config)(**sizes | needs | more)).eval()
    made.get_output_embeddings().weight.data.mul_(peak)
    return made


@torch.no_grad()
def log_probabilities(model, inputs):
    return model(**inputs).logits.float().log_softmax(-1)


def kl(log_p, log_q):
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean().item()


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
    weight = fast.whole.double() * fast.scale.double()[:, None]
    torch.testing.assert_close(fast.weight.double(), weight)
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
    assert (head.whole.data_ptr() == table.whole.data_ptr()) is tie
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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_says_nearly_the_same_in_int8_in_every_dtype(family, dtype):
    model = of_family(family).to(dtype)
    inputs = batch()
    said = log_probabilities(model, inputs)
    assert -(said.exp() * said).sum(-1).mean() < 2.4  # it prefers some tokens, or the next line would prove nothing
    fast = compression.int8(model)
    assert fast(**inputs).logits.dtype == dtype
    assert kl(said, log_probabilities(fast, inputs)) < 0.01
    assert compression.megabytes(fast) < {4: 0.31, 2: 0.62}[dtype.itemsize] * compression.megabytes(model)
    for moved in (torch.float16, torch.bfloat16):
        fast = fast.to(moved)
        assert fast(**inputs).logits.dtype == fast.get_input_embeddings()(inputs["input_ids"]).dtype == moved
        assert kl(said, log_probabilities(fast, inputs)) < 0.01


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_largest_number_of_a_row_stays_positive_in_half_precision(dtype):
    weight = torch.rand(200, 30).to(dtype)  # 127.5 steps of a scale that was rounded down
    whole, scale = compression.quantised(weight)
    assert whole.min() >= 0 and whole.max() == 127 and scale.dtype == torch.float32
    assert ((whole * scale[:, None] - weight.float()).abs() <= scale[:, None] / 2 + 1e-6).all()
    layer = nn.Linear(30, 8)
    fast = compression.Int8Linear(*compression.quantised(layer.weight.data), layer.bias.data, dtype)
    assert fast(weight).dtype == fast.weight.dtype == dtype
    assert (fast(weight).float() - layer(weight.float())).abs().max() < 0.02


def test_an_input_of_zeros_and_one_of_large_numbers_stay_finite_in_float16():
    layer = nn.Linear(512, 4)
    fast = compression.Int8Linear(*compression.quantised(layer.weight.data), layer.bias.data).half()
    x = torch.stack([torch.zeros(512), torch.full((512,), 1000.0)]).half()
    assert (fast(x).float() - layer(x.float())).abs().max() <= 0.01 * layer(x.float()).abs().max()


@pytest.mark.parametrize("columns", [1, 7, 1040, 1041, 5000])
@pytest.mark.parametrize("way", ["torch's", "none", "refusing"])
def test_the_product_of_whole_numbers_is_exact_with_torchs_kernel_and_without(columns, way, monkeypatch):
    def refuses(*arguments):
        raise RuntimeError("shapes that this kernel does not take")

    if way == "none":
        monkeypatch.delattr(torch, "_int_mm", raising=False)
    if way == "refusing":
        monkeypatch.setattr(torch, "_int_mm", refuses, raising=False)
    generator = torch.Generator().manual_seed(columns)
    whole, weight = (torch.randint(-127, 128, (n, columns), generator=generator, dtype=torch.int8) for n in (3, 5))
    weight[0], whole[0] = 127, 127
    weight[1, ::2], whole[1] = -127, 127  # sums that float32 cannot hold, were they added up in one go
    whole[1, 0] = 126
    strided = torch.stack([weight, weight], -1)[..., 0]
    for rows, matrix in ((whole, weight), (whole[:1], weight), (whole[:0], weight), (whole, weight[2:3].expand(5, -1)),
                         (whole, strided), (whole[:1].expand(3, -1), weight)):  # fmt: skip
        with torch.autocast("cpu", dtype=torch.bfloat16):
            product = compression.integer_product(rows, matrix)
        assert product.dtype == torch.int32
        assert torch.equal(product.long(), (rows.long()[:, None] * matrix.long()[None]).sum(-1))


def test_torch_still_has_the_integer_product_that_it_gives_no_public_name():
    assert hasattr(torch, "_int_mm"), (
        "torch has dropped _int_mm: compression.integer_product now multiplies in float32, as exact and several times "
        "slower; look for the successor and use it there"
    )
    assert (
        torch._int_mm(torch.ones(3, 4, dtype=torch.int8), torch.ones(4, 5, dtype=torch.int8)).tolist() == [[4] * 5] * 3
    )


def test_layers_with_a_forward_of_their_own_are_right_or_stay_as_they_are():
    class Doubling(nn.Linear):
        def forward(self, inputs):
            return 2 * super().forward(inputs)

    class Normed(nn.Embedding):
        embed_scale = 3.0

        def forward(self, ids):
            return nn.functional.normalize(super().forward(ids), dim=-1)

    class Scaled(nn.Embedding):
        embed_scale = 3.0

        def forward(self, ids):
            return super().forward(ids) * self.embed_scale

    torch.manual_seed(0)
    ids = torch.randint(0, 20, (4, 6))
    for table, kept in ((Normed(20, 32), True), (Scaled(20, 32), False), (nn.Embedding(20, 32, max_norm=1.0), True)):
        model = nn.Sequential(table, nn.Linear(32, 64), Doubling(64, 2))
        fast = compression.int8(model)
        assert isinstance(fast[2], Doubling) and isinstance(fast[0], type(table)) is kept
        assert (fast(ids) - model(ids)).abs().max() < 0.05 * model(ids).abs().max()


def test_one_layer_at_two_places_and_a_model_that_is_one_layer_become_int8():
    layer = nn.Linear(16, 16)
    twice = nn.Module()
    twice.first, twice.second = layer, layer
    fast = compression.int8(twice)
    assert type(fast.first) is type(fast.second) is compression.Int8Linear
    assert fast.first.whole.data_ptr() == fast.second.whole.data_ptr()
    assert type(compression.int8(layer)) is compression.Int8Linear
    x = torch.randn(3, 16)
    transposed = Conv1D(5, 16)  # keeps its weight as [in, out]
    assert (compression.int8(transposed)(x) - transposed(x)).abs().max() < 0.05 * transposed(x).abs().max()


def test_a_matrix_and_its_transpose_in_one_place_are_two_matrices():
    plain, transposed = nn.Linear(16, 16, bias=False), Conv1D(16, 16)
    transposed.weight = plain.weight
    fast = compression.int8(nn.ModuleList([plain, transposed]))
    x = torch.randn(3, 16)
    for layer, small in zip((plain, transposed), fast):
        assert (small(x) - layer(x)).abs().max() < 0.05 * layer(x).abs().max()


def test_a_head_in_int8_shows_its_float_weights_to_who_asks():
    model = of_family("llama").to(torch.bfloat16)
    head = compression.int8(model).get_output_embeddings()
    assert head.weight.dtype == torch.bfloat16 and head.weight.shape == (96, 64)
    assert (head.weight - model.lm_head.weight).abs().max() < 0.01 * model.lm_head.weight.abs().max()


def test_a_model_of_other_layers_is_refused_by_name():
    config = transformers.MixtralConfig(
        vocab_size=32, hidden_size=16, intermediate_size=64, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, num_local_experts=4,
    )  # fmt: skip
    experts = transformers.MixtralForCausalLM(config)
    with pytest.raises(ValueError, match=r"MixtralForCausalLM would keep \d\d% of its bytes.*MixtralExperts"):
        compression.int8(experts)
    for call in (lambda: compression.sparse(experts, 0.5), lambda: compression.zeros(experts)):
        with pytest.raises(ValueError, match="MixtralForCausalLM keeps most of its weights elsewhere.*MixtralExperts"):
            call()
    with pytest.raises(ValueError, match="MixtralForCausalLM has no model.layers with mlp.gate_proj"):
        compression.narrower(experts, 8, [])
    convolutions = nn.Sequential(nn.Conv2d(3, 64, 3), nn.Flatten(), nn.Linear(64, 2))
    with pytest.raises(ValueError, match="Sequential would keep 9.% of its bytes.*Conv2d"):
        compression.int8(convolutions)


def test_a_diverged_model_is_refused():
    model = small()
    model.lm_head.weight.data[3, 4] = torch.nan
    with pytest.raises(ValueError, match="a weight is NaN or inf"):
        compression.int8(model)


def test_int8_refuses_what_it_cannot_do():
    with pytest.raises(ValueError, match="no linear layer"):
        compression.int8(nn.ReLU())
    with pytest.raises(ValueError, match="int8 already"):
        compression.int8(compression.int8(small()))


def test_the_size_is_what_is_held_shared_viewed_moved_or_in_no_parameter():
    model = of_family("qwen3")
    size = compression.megabytes(model)
    assert compression.megabytes(model.to("meta")) == size  # where no tensor has an address
    layer = nn.Linear(100, 10, bias=False)
    assert compression.megabytes(layer) == 0.004
    assert compression.megabytes(nn.ModuleList([layer, layer])) == 0.004
    assert compression.megabytes(copy.deepcopy(layer).to(torch.float64)) == 0.008
    part = nn.Linear(100, 10, bias=False)
    part.weight = nn.Parameter(torch.zeros(1000, 100)[:10])  # keeps the thousand rows alive
    assert compression.megabytes(part) == 0.4
    first, second = nn.Linear(100, 5, bias=False), nn.Linear(100, 5, bias=False)
    first.weight, second.weight = nn.Parameter(layer.weight.data[:5]), nn.Parameter(layer.weight.data[5:])
    assert compression.megabytes(nn.ModuleList([first, second, layer])) == 0.004
    layer.register_buffer("table", torch.zeros(1000, dtype=torch.int8), persistent=False)
    assert compression.megabytes(layer) == 0.005
    fast = compression.int8(of_family("llama"))
    whole = sum(buffer.numel() for name, buffer in fast.named_buffers() if name.endswith("whole"))
    assert compression.megabytes(fast.half()) == pytest.approx(whole / 1e6, rel=0.05)


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


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("family", FAMILIES)
def test_pruning_reaches_the_layers_of_every_family_and_spares_head_and_embedding(family, dtype):
    model = of_family(family).to(dtype)
    pruned = compression.settled(compression.sparse(model, 0.5))
    assert compression.zeros(pruned) == pytest.approx(0.5, abs=0.002) and compression.zeros(model) == 0
    inside = sum(weight.numel() for name, weight in model.named_parameters() if weight.dim() > 1 and "layers" in name)
    if family != "gpt2":  # where they are called h
        assert sum(layer.weight.numel() for layer in compression.prunable(model)) == inside
    assert len(compression.prunable(model)) == 2 * {"gpt-neox": 4, "gpt2": 4, "opt": 6}.get(family, 7)
    for table in ("get_output_embeddings", "get_input_embeddings"):
        assert torch.equal(getattr(pruned, table)().weight, getattr(model, table)().weight)
    inputs = batch()
    assert not torch.equal(pruned(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("family", GATED)
def test_neurons_that_do_nothing_can_go_in_every_family_with_a_gated_mlp(family):
    model = of_family(family, **({"mlp_bias": True} if family == "llama" else {}))
    for layer in model.model.layers:
        layer.mlp.up_proj.weight.data[5:60] = 0
        if layer.mlp.up_proj.bias is not None:
            torch.nn.init.normal_(layer.mlp.gate_proj.bias), torch.nn.init.normal_(layer.mlp.down_proj.bias)
            layer.mlp.up_proj.bias.data[5:60] = 0
    inputs = batch()
    importance = compression.neuron_importance(model, [inputs])
    assert all((each[5:60] == 0).all() and (each[60:] > 0).all() for each in importance)
    narrow = compression.narrower(model, 73, importance)
    torch.testing.assert_close(narrow(**inputs).logits, model(**inputs).logits, atol=1e-4, rtol=1e-4)
    fresh = type(model)(narrow.config).eval()
    fresh.load_state_dict(narrow.state_dict())
    torch.testing.assert_close(fresh(**inputs).logits, narrow(**inputs).logits)


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - set(GATED)))
def test_a_family_without_a_gated_mlp_is_refused_by_name(family):
    model = of_family(family)
    for call in (lambda: compression.neuron_importance(model, []), lambda: compression.narrower(model, 8, [])):
        with pytest.raises(ValueError, match=f"{type(model).__name__} has no .* choose a Llama-like model"):
            call()


def test_a_fused_or_adapted_mlp_is_refused_by_name():
    phi = transformers.Phi3Config(
        vocab_size=32, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, pad_token_id=0
    )
    for model in (transformers.Phi3ForCausalLM(phi), compression.int8(small())):
        with pytest.raises(ValueError, match=f"{type(model).__name__} has no .* choose a Llama-like model"):
            compression.narrower(model, 8, [torch.ones(32)])


def test_importance_over_much_text_in_bfloat16_is_that_of_float32():
    model = small()
    many = [batch(8, 20) for _ in range(12)]
    exact = compression.neuron_importance(model, many)
    for ours, right in zip(compression.neuron_importance(model.to(torch.bfloat16), many), exact):
        assert ours.dtype == torch.float32
        assert ((ours - right).abs() / right).mean() < 0.01


def test_importance_is_measured_without_dropout_and_leaves_the_model_in_its_mode():
    model = small()
    model.config.attention_dropout = 0.5
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    text = [batch()]
    quiet = compression.neuron_importance(model, text)
    model.train()
    for ours, right in zip(compression.neuron_importance(model, text), quiet):
        assert torch.equal(ours, right)
    assert model.training


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
        (lambda: compression.sparse(small(), "0.5"), "a number in .* and it is '0.5'"),
        (lambda: compression.narrower(small(), 129, [torch.ones(128)] * 2), "between 1 and the model's 128"),
        (lambda: compression.narrower(small(), "64", [torch.ones(128)] * 2), "whole number .* and it is '64'"),
        (lambda: compression.narrower(small(), 64, [torch.ones(128)]), "2 tensors of 128 numbers"),
        (lambda: compression.narrower(small(), 64, [torch.ones(64)] * 2), "2 tensors of 128 numbers"),
        (lambda: compression.neuron_importance(small(), []), "the batches hold no token"),
        (lambda: compression.neuron_importance(nn.Linear(2, 2), []), "choose a Llama-like model"),
    ],
)
def test_bad_input_is_refused_in_words(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_every_public_function_says_the_types_of_what_it_takes_and_returns():
    for name, function in inspect.getmembers(compression, inspect.isfunction):
        if not name.startswith("_") and function.__module__ == compression.__name__:
            parameters = inspect.signature(function)
            assert parameters.return_annotation is not inspect.Signature.empty, name
            assert all(each.annotation is not each.empty for each in parameters.parameters.values()), name


def test_the_share_of_zeros_counts_weights_and_not_layers():
    large, little = nn.Linear(30, 30, bias=False), nn.Linear(10, 10, bias=False)
    nn.init.ones_(large.weight)
    nn.init.zeros_(little.weight)
    assert compression.zeros(nn.Sequential(large, little)) == 0.1
