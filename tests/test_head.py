"""The chunked head: the same value and gradients as all logits at once, without ever having them."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_lessons import losses
from distill_lessons.models import head as chunks
from distill_lessons.models.head import chunked_loss, replaced_forward

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])


def inputs(positions=13, width=8, vocabulary=30, bias=True, seed=0, device="cpu"):
    torch.manual_seed(seed)
    head = torch.nn.Linear(width, vocabulary, bias=bias).to(device)
    hidden = torch.randn(positions, width, device=device, requires_grad=True)
    teacher = 2 * torch.randn(positions, vocabulary, device=device)
    return hidden, head, teacher


def gradients(value, hidden, head):
    found = torch.autograd.grad(value, [hidden, *head.parameters()])
    return [value.detach(), *found]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("rows", [1, 5, 13, 100])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("beta", [0.0, 0.4, 1.0])
def test_equals_all_logits_at_once(beta, bias, rows, device):
    hidden, head, teacher = inputs(bias=bias, device=device)

    def loss(logits, part):
        return losses.generalized_jsd(logits, teacher[part], beta) * len(logits)

    whole = gradients(3 * loss(head(hidden), slice(0, 13)), hidden, head)
    chunked = gradients(3 * chunked_loss(hidden, head, loss, rows), hidden, head)
    for one, other in zip(chunked, whole):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)


@settings(max_examples=25, deadline=None)
@given(positions=st.integers(1, 20), rows=st.integers(1, 25), seed=st.integers(0, 1000))
def test_any_chunk_size_gives_the_same(positions, rows, seed):
    hidden, head, _ = inputs(positions, seed=seed)
    labels = torch.randint(0, 30, (positions,))
    loss = lambda logits, part: F.cross_entropy(logits, labels[part], reduction="sum")  # noqa: E731
    whole = gradients(loss(head(hidden), slice(None)), hidden, head)
    for one, other in zip(gradients(chunked_loss(hidden, head, loss, rows), hidden, head), whole):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_frozen_head_or_hidden_states_get_no_gradient():
    hidden, head, _ = inputs()
    head.requires_grad_(False)
    loss = lambda logits, part: logits.square().sum()  # noqa: E731
    chunked_loss(hidden, head, loss, 4).backward()
    assert hidden.grad is not None and head.weight.grad is None
    hidden, head, _ = inputs()
    chunked_loss(hidden.detach(), head, loss, 4).backward()
    assert head.weight.grad is not None
    with torch.no_grad():
        assert not chunked_loss(hidden, head, loss, 4).requires_grad


def test_no_position_gives_zero_with_a_gradient_path():
    hidden, head, _ = inputs(positions=0)
    value = chunked_loss(hidden, head, lambda logits, part: logits.sum())
    value.backward()
    assert value == 0 and head.weight.grad.abs().sum() == 0


def test_autocast_computes_in_bfloat16_and_keeps_gradients_in_float32():
    hidden, head, teacher = inputs(positions=64)
    seen = []

    def loss(logits, part):
        seen.append(logits.dtype)
        return losses.forward_kl(logits, teacher[part]) * len(logits)

    exact = gradients(chunked_loss(hidden, head, loss, 16), hidden, head)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = gradients(chunked_loss(hidden, head, loss, 16), hidden, head)
    assert set(seen) == {torch.float32, torch.bfloat16}
    for one, other in zip(rounded, exact):
        assert one.dtype == torch.float32
        torch.testing.assert_close(one, other, atol=0.05 * other.abs().max().item(), rtol=0.05)


def test_no_tensor_of_all_positions_and_the_vocabulary_is_made():
    hidden, head, _ = inputs(positions=50, vocabulary=1000)
    largest = 0

    class Watch(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, function, types, arguments=(), keywords=None):
            nonlocal largest
            made = function(*arguments, **(keywords or {}))
            for tensor in made if isinstance(made, (tuple, list)) else [made]:
                if isinstance(tensor, torch.Tensor):
                    largest = max(largest, tensor.numel())
            return made

    with Watch():
        chunked_loss(hidden, head, lambda logits, part: logits.logsumexp(-1).sum(), rows=5).backward()
    assert largest < 50 * 1000 and largest >= 5 * 1000


def test_a_forward_is_replaced_for_the_block_only():
    layer = torch.nn.Linear(2, 2)
    x = torch.ones(1, 2)
    before = layer(x)
    with pytest.raises(KeyError), replaced_forward(layer, lambda input: "something else"):
        assert layer(x) == "something else"
        raise KeyError
    assert torch.equal(layer(x), before)


@pytest.mark.parametrize("logits, sizes", [(40_000, [40, 10]), (39_999, [39, 11]), (1, [32, 18]), (10**9, [50])])
def test_a_chunk_has_the_rows_whose_logits_fit_its_bytes_but_never_few(logits, sizes, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK_BYTES", 4 * logits)
    hidden, head, _ = inputs(positions=50, vocabulary=1000)
    seen = []

    def loss(logits, part):
        seen.append(len(logits))
        assert part.stop - part.start == len(logits)
        return logits.logsumexp(-1).sum()

    chunked_loss(hidden, head, loss)
    assert seen == sizes
