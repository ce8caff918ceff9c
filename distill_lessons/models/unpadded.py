"""A batch without its padding: the tokens of all rows in one line, and only the attention knows the rows.

Whatever else a transformer does, it does to each token alone. So padding costs as much as text there, and no row needs it.
The attention puts the rows side by side again, looks back within each, and returns to the line. For short rows on a CPU in
bfloat16 its plain products are also the faster attention, so batches without padding use them there.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from transformers import AttentionInterface, PreTrainedModel

KINDS = ("llama", "gpt_neox", "qwen2", "qwen3")  # `config.model_type` of models that are tested so
# Tokens. On a CPU in bfloat16 the fused attention takes two to ten times as long as plain products on rows of up to these;
# in float32 0.8 to 2 times.
SHORT = 192


def possible(model: PreTrainedModel, batch: Mapping[str, torch.Tensor], mask: torch.Tensor) -> bool:
    """Whether a model can run this batch without padding, and gains by it.

    There must be padding, or short rows on a CPU (in float32 that changes nothing); and a known kind of model that looks
    back over the whole row. Gradient checkpointing runs layers again outside of `running`, where they would take the line for one long text; and a position
    that counts (`mask`) and is padding for the attention cannot be left out.
    """
    config, padding = model.config, batch["attention_mask"] == 0
    if getattr(config, "model_type", None) not in KINDS or (padding & mask).any():
        return False
    if not padding.any() and (padding.device.type != "cpu" or padding.shape[1] > SHORT):
        return False
    if set(getattr(config, "layer_types", None) or ["full_attention"]) != {"full_attention"}:
        return False
    modules = list(model.modules())
    own = all(getattr(module, "config", config) is config for module in modules)  # no layer of another model among them
    return own and not any(getattr(module, "gradient_checkpointing", False) for module in modules)


def line(batch: Mapping[str, torch.Tensor], mask: torch.Tensor) -> tuple[dict, torch.Tensor]:
    """The inputs of a model in `running`, and a mask over positions, both in one line; as they are without padding.

    Args:
        batch: input_ids and attention_mask, ``[B, L]``, padded on either side.
        mask: ``[B, L]`` bool, of positions that are not padding.
    Returns:
        inputs: input_ids and position_ids ``[1, N]`` and the layout of the rows; and the mask ``[1, N]``, in the same order.
        Without padding: input_ids, the layout None, and the mask that was given.
    """
    real = batch["attention_mask"].bool()
    if real.all():
        return {"input_ids": batch["input_ids"], "layout": None}, mask
    positions = (real.cumsum(1) - 1)[real]
    longest = int(real.sum(1).max())
    places = real.nonzero()[:, 0] * longest + positions
    return {
        "input_ids": batch["input_ids"][real][None],
        "position_ids": positions[None],
        "layout": (places, len(real), longest),
    }, mask[real][None]


@contextmanager
def running(model: PreTrainedModel) -> Iterator[None]:
    """Within the block, the model's layers expect inputs from `line`."""
    before = attention_of(model)
    model.set_attn_implementation("unpadded")
    try:
        yield
    finally:
        model.set_attn_implementation(before)


def attention_of(model: PreTrainedModel) -> str:
    """The name of the attention that a model uses; the library lets it be set in public, and read only like this."""
    return model.config._attn_implementation


def attention(module, query, key, value, attention_mask, scaling, layout, dropout=0.0, **rest):
    """Causal attention within each row; what `transformers` calls instead of its own.

    Args:
        query: ``[1, H, N, D]``; key and value: ``[1, K, N, D]``, where K divides H.
        layout: places ``[N]`` of the tokens in B rows of L, B and L; or None for rows side by side, ``[B, H, L, D]``.
    Returns:
        ``[1, N, H, D]`` or ``[B, L, H, D]``, and None for the weights.
    """
    if layout is None:
        # In float32 the fused one is about as fast, and what the model does by itself.
        exact = query.dtype == torch.float32 and not torch.is_autocast_enabled(query.device.type)
        mixed = _fused(query, key, value, scaling, dropout) if exact else _products(query, key, value, scaling, dropout)
        return mixed.transpose(1, 2), None
    places, count, longest = layout

    def in_rows(line):
        rows = line.new_zeros(count * longest, line.shape[1], line.shape[3])
        return rows.index_copy(0, places, line[0].transpose(0, 1)).unflatten(0, (count, longest)).transpose(1, 2)

    q, k, v = in_rows(query), in_rows(key), in_rows(value)  # rows end in zeros, which no token before them sees
    if query.device.type == "cpu" and longest <= SHORT:
        mixed = _products(q, k, v, scaling, dropout)
    else:
        k, v = (part.repeat_interleave(q.shape[1] // k.shape[1], dim=1) for part in (k, v))
        mixed = _fused(q, k, v, scaling, dropout)
    return mixed.transpose(1, 2).flatten(0, 1)[places][None], None


def _fused(q, k, v, scaling, dropout):
    """Torch's own attention."""
    how = {"enable_gqa": True} if q.shape[1] != k.shape[1] else {}
    return F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=scaling, dropout_p=dropout, **how)


def _products(q, k, v, scaling, dropout):
    """Attention as it is written, ``softmax(q kᵀ · scaling) v``; heads that share keys are one matrix product."""
    count, heads, length, width = q.shape
    shared = heads // k.shape[1]
    later = torch.full((length, length), -torch.inf, dtype=q.dtype, device=q.device).triu(1)
    scores = (q * scaling).unflatten(1, (-1, shared)).flatten(2, 3) @ k.transpose(-1, -2)
    weights = (scores.unflatten(2, (shared, length)) + later).softmax(-1, dtype=torch.float32).to(q.dtype)
    mixed = F.dropout(weights, dropout).flatten(2, 3) @ v
    return mixed.unflatten(2, (shared, length)).flatten(1, 2)


AttentionInterface.register("unpadded", attention)
