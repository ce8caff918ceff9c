"""The output head and the loss in one, a few positions at a time: no tensor of batch × vocabulary ever exists.

A language model's last layer is its largest tensor: 2,000 positions of 50,000 logits are 400 MB, and a loss makes four or
five copies of them. Here each chunk's logits are made, turned into a loss and a gradient, and forgotten.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F

# Of float32 logits. Small, so that little memory is held; below 32 MB, from where glibc fetches fresh pages each time.
CHUNK_BYTES = 31 * 2**20
FEWEST_ROWS = 32  # positions a chunk, however large the vocabulary: fewer make the matrix product slow


class _Chunked(torch.autograd.Function):
    """Sum of ``loss(logits, rows)`` over chunks; gradients are computed on the way forward, then only scaled."""

    @staticmethod
    def forward(ctx, hidden, weight, bias, loss, rows):
        kind = hidden.device.type
        dtype = torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else weight.dtype
        wanted = [hidden.requires_grad, weight.requires_grad, bias is not None and bias.requires_grad]
        h, w = hidden.detach().to(dtype), weight.detach().to(dtype)
        b = None if bias is None else bias.detach().to(dtype)
        grad_hidden = torch.empty_like(hidden) if wanted[0] else None
        grad_weight = torch.zeros_like(weight) if wanted[1] else None
        grad_bias = torch.zeros_like(bias) if wanted[2] else None
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        with torch.autocast(kind, enabled=False):
            for start in range(0, len(hidden), rows):
                part = slice(start, min(start + rows, len(hidden)))
                logits = F.linear(h[part], w, b).requires_grad_(any(wanted))
                with torch.enable_grad():
                    value = loss(logits, part)
                total += value.detach().float()
                if not any(wanted):
                    continue
                (slope,) = torch.autograd.grad(value, logits)
                if wanted[0]:
                    grad_hidden[part] = slope @ w
                if wanted[1]:
                    if slope.dtype == grad_weight.dtype:
                        grad_weight.addmm_(slope.T, h[part])  # no temporary of the weight's size
                    else:
                        grad_weight += slope.T @ h[part]
                if wanted[2]:
                    grad_bias += slope.sum(0)
                del logits, slope
        ctx.save_for_backward(grad_hidden, grad_weight, grad_bias)
        return total

    @staticmethod
    def backward(ctx, grad):
        return (*(None if saved is None else saved * grad for saved in ctx.saved_tensors), None, None)


def chunked_loss(hidden: torch.Tensor, head: torch.nn.Linear, loss: Callable, rows: int | None = None) -> torch.Tensor:
    """The sum of a loss over positions, from hidden states, without all logits at once.

    Args:
        hidden: ``[N, D]``, the states that the head turns into logits.
        head: the model's `torch.nn.Linear` from D to V.
        loss: ``loss(logits, part)``, the *sum* over the positions of a chunk; logits ``[n, V]``, part a slice of 0..N.
            Gradients flow into hidden states and head, and into nothing else that the loss may use.
        rows: positions a chunk; by default as many as fit 31 MB of float32 logits, at least 32.
    Returns:
        A float32 scalar; 0 with a gradient path if there is no position.
    """
    vocabulary = head.weight.shape[0]
    rows = rows or max(FEWEST_ROWS, CHUNK_BYTES // (4 * vocabulary))
    if len(hidden) == 0:
        return 0.0 * (hidden.sum() + head.weight[0, 0])
    return _Chunked.apply(hidden, head.weight, head.bias, loss, rows)


@contextmanager
def replaced_forward(module: torch.nn.Module, function: Callable) -> Iterator[None]:
    """For the time of the block, calling `module` calls ``function(input)`` instead.

    So a loss can run *inside* the model's own forward pass, where DDP and FSDP have gathered the parameters.
    """
    before = module.__dict__.get("forward")
    module.forward = function
    try:
        yield
    finally:
        del module.forward
        if before is not None:
            module.forward = before
