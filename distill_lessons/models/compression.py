"""Making a model smaller without a student: int8 weights, zeroed weights, narrower layers. Each returns a copy.

Removing whole layers, the other kind of structured pruning, is `students.cut`.
"""

import copy
import numbers
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune
from transformers.pytorch_utils import Conv1D

from distill_lessons.models.responses import evaluating

Model = TypeVar("Model", bound=nn.Module)

# --- Quantisation -----------------------------------------------------------------------------------------------------

EXACT_COLUMNS = 2**24 // 127**2  # so many products of two int8 numbers add up to a whole number that float32 holds


def quantised(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """A matrix as whole numbers with one scale a row: int8 ``[out, in]`` and float ``[out]``; weight ≈ scale · int8.

    Symmetric: the largest number of a row becomes ±127, and zero stays zero. In at least float32 whatever the matrix is
    in: in bfloat16 a row's largest number would be 127.5 / 127 of itself, round to 128 and come out as −128.

    Raises:
        ValueError: the matrix holds NaN or inf.
    """
    weight = _at_least_float32(weight)
    scale = weight.abs().amax(1).clamp(min=1e-12) / 127
    if not scale.isfinite().all():
        raise ValueError("a weight is NaN or inf, and has no place among whole numbers: look for a diverged model")
    return (weight / scale[:, None]).round().clamp(-127, 127).to(torch.int8), scale


def integer_product(whole: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """``whole @ weight.T`` of whole numbers, exact: int8 ``[N, K]`` and ``[M, K]`` to int32 ``[N, M]``, K under 130,000.

    By torch's own integer product, which has no public name, where it exists and takes the shapes, on the CPU alone: on a
    GPU it has other rules and is not faster. Else in float32, so few columns at a time that nothing is rounded.
    """
    kernel = getattr(torch, "_int_mm", None)
    # With one column, or numbers that lie at one place (`expand`), torch 2.13's product is not right and says nothing.
    if kernel is not None and whole.device.type == "cpu" and whole.shape[1] > 1:
        try:
            return kernel(whole.contiguous(), weight.contiguous().T)
        except RuntimeError:  # shapes or a build that it does not know
            pass
    with torch.autocast(whole.device.type, enabled=False):
        parts = zip(whole.split(EXACT_COLUMNS, 1), weight.split(EXACT_COLUMNS, 1), strict=True)
        return sum((a.float() @ b.float().T).int() for a, b in parts)


class _Int8(nn.Module):
    """Int8 rows with their scales. `dtype` is the model's; ``.to(dtype)`` and ``.half()`` change it like any layer's."""

    def __init__(self, whole, scale, dtype):
        super().__init__()
        self.register_buffer("whole", whole)
        self.register_buffer("scale", scale)
        self.register_buffer("like", torch.empty(0, dtype=dtype, device=whole.device), persistent=False)

    @property
    def weight(self) -> torch.Tensor:
        """The matrix in the model's dtype, made anew at each call: for code that looks at a layer's weights."""
        return (self.whole * _at_least_float32(self.scale)[:, None]).to(self.like.dtype)


class Int8Linear(_Int8):
    """A linear layer with int8 weights. Its input is made int8 too, one scale a token, while it runs ("dynamic").

    The product of whole numbers is exact; the error is that of rounding weights and inputs. For inference only.
    Source: Dettmers et al. 2022, "LLM.int8()", section 2 (vector-wise quantisation, here without outliers).
    """

    def __init__(
        self,
        whole: torch.Tensor,
        scale: torch.Tensor,
        bias: torch.Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(whole, scale, dtype)
        self.register_buffer("bias", bias)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        rows = _at_least_float32(inputs.reshape(-1, inputs.shape[-1]))
        scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        whole = (rows / scale).round_().clamp_(-127, 127).to(torch.int8)
        outputs = integer_product(whole, self.whole) * (scale * self.scale)
        if self.bias is not None:
            outputs = outputs + self.bias
        return outputs.to(inputs.dtype).view(*inputs.shape[:-1], -1)


class Int8Embedding(_Int8):
    """An embedding with int8 rows, each with its scale; `factor` multiplies what comes out (Gemma's embeddings)."""

    def __init__(
        self,
        whole: torch.Tensor,
        scale: torch.Tensor,
        factor: torch.Tensor | None = None,
        dtype: torch.dtype = torch.float32,
    ):
        super().__init__(whole, scale, dtype)
        self.register_buffer("factor", factor, persistent=False)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        rows = F.embedding(ids, self.whole) * _at_least_float32(self.scale[ids]).unsqueeze(-1)
        rows = rows.to(self.like.dtype)
        return rows if self.factor is None else rows * self.factor.to(rows.dtype)


@torch.no_grad()
def int8(model: nn.Module) -> nn.Module:
    """A copy of a model with its linear layers and embeddings in int8: about a quarter of float32's bytes.

    Norms stay as they are, and so does a layer of a class of its own, such as OPT's table of positions. A head that
    shares the embedding's weights shares the int8 ones. For inference only.

    Args:
        model: any module in any float dtype; its layers are found by type (``nn.Linear``, ``nn.Embedding`` also with an
            ``embed_scale``, and GPT-2's ``Conv1D``), so peft adapters have to be merged first.
    Raises:
        ValueError: the model has no linear layer, its weights are not finite floating-point numbers, or most of its bytes
            would stay what they are.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Linear, nn.Embedding, Conv1D))]
    if not any(isinstance(layer, (nn.Linear, Conv1D)) for layer in layers):
        raise ValueError(f"{type(model).__name__} has no linear layer to make int8 (is it int8 already?)")
    if not all(layer.weight.is_floating_point() for layer in layers):
        raise ValueError(f"{type(model).__name__} has weights that are whole numbers already: give the float model")
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    made = {}  # by where the float weights lie: what shares them shares the int8 ones
    for path, layer in list(copied.named_modules(remove_duplicate=False)):
        small = _in_int8(layer, made)
        if small is not None and path:
            copied.set_submodule(path, small)
        elif small is not None:
            copied = small
    _check_that_most_is_int8(model, copied)
    return copied


def _in_int8(layer, made):
    """The layer in int8, or None where it is of no kind that is known here."""
    if type(layer) in (nn.Linear, Conv1D):
        weight = layer.weight.T if type(layer) is Conv1D else layer.weight
    elif isinstance(layer, nn.Embedding) and layer.max_norm is None:
        weight = layer.weight
    else:
        return None
    place = weight.data_ptr(), weight.stride()
    if place not in made:
        made[place] = weight, *quantised(weight)  # the float weights stay alive until the end
    _, whole, scale = made[place]
    if not isinstance(layer, nn.Embedding):
        return Int8Linear(whole, scale, layer.bias, weight.dtype)
    if type(layer) is nn.Embedding:
        return Int8Embedding(whole, scale, None, weight.dtype)
    if not hasattr(layer, "embed_scale"):
        return None
    factor = torch.as_tensor(layer.embed_scale, device=weight.device).clone()
    small = Int8Embedding(whole, scale, factor, weight.dtype)
    ids = torch.arange(min(8, len(weight)), device=weight.device)
    own, ours = layer(ids).float(), small(ids).float()
    return small if (own - ours).abs().max() <= 0.02 * own.abs().max() else None


def _check_that_most_is_int8(model, copied):
    left = {}
    for layer in copied.modules():
        for weights in (*layer.parameters(recurse=False), *layer.buffers(recurse=False)):
            if weights.is_floating_point() and weights.dim() > 1:
                left.setdefault(type(layer).__name__, {})[weights.data_ptr()] = weights.numel() * weights.element_size()
    share = sum(sum(sizes.values()) for sizes in left.values()) / 1e6 / megabytes(model)
    if share > 0.5:
        raise ValueError(
            f"{type(model).__name__} would keep {share:.0%} of its bytes in floating point, in layers that int8 does not "
            f"know ({', '.join(sorted(left))}): choose a model of linear layers and embeddings"
        )


def _at_least_float32(tensor):
    return tensor.to(torch.promote_types(tensor.dtype, torch.float32))


# --- Pruning ----------------------------------------------------------------------------------------------------------


def prunable(model: nn.Module) -> list[nn.Module]:
    """The linear layers that pruning may touch: all but the head. GPT-2's ``Conv1D`` is one."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return [layer for layer in model.modules() if isinstance(layer, (nn.Linear, Conv1D)) and layer is not head]


def sparse(model: Model, share: float) -> Model:
    """A trainable copy in which the smallest `share` of the weights of every linear layer but the head is zero.

    A mask keeps them zero in training; `settled` makes it permanent. The tensors keep their shapes, and their zeros are
    stored and multiplied like any number: no byte and no second is saved without kernels made for it.
    Source: Han et al. 2015, "Learning both weights and connections".

    Raises:
        ValueError: the share is not in [0, 1); most of the model's matrices lie in layers of other types.
    """
    if not (isinstance(share, numbers.Real) and 0 <= share < 1):
        raise ValueError(f"the share of weights to remove must be a number in [0, 1), and it is {share!r}")
    _check_prunable(model)
    copied = copy.deepcopy(model)
    for layer in prunable(copied):
        layer.weight.requires_grad_(True)
        prune.l1_unstructured(layer, "weight", amount=float(share))
    return copied


def settled(model: Model) -> Model:
    """The same model, in place, with the masks of `sparse` multiplied into its weights and gone."""
    for layer in prunable(model):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")
    return model


def zeros(model: nn.Module) -> float:
    """Share of zeros among the weights of the linear layers but the head.

    Raises:
        ValueError: as `sparse`.
    """
    _check_prunable(model)
    weights = [layer.weight for layer in prunable(model)]
    return sum((weight == 0).sum().item() for weight in weights) / sum(weight.numel() for weight in weights)


def _check_prunable(model):
    """Refuse a model whose weights lie elsewhere: experts in one tensor, convolutions, weights in int8."""
    known = (nn.Linear, nn.Embedding, Conv1D)
    other = {
        type(layer).__name__: sum(weight.numel() for weight in layer.parameters(recurse=False) if weight.dim() > 1)
        for layer in model.modules()
        if not isinstance(layer, known)
    }
    if sum(other.values()) >= sum(layer.weight.numel() for layer in prunable(model)):
        names = ", ".join(sorted(name for name, count in other.items() if count)) or "none that could be pruned"
        raise ValueError(
            f"{type(model).__name__} keeps most of its weights elsewhere than in linear layers ({names}): choose a model "
            "made of linear layers"
        )


@torch.no_grad()
def neuron_importance(model: nn.Module, batches: Iterable[Mapping[str, torch.Tensor]]) -> list[torch.Tensor]:
    """How large the inner values of each MLP are on some text: the mean of |value|, float32 ``[inner]`` for each layer.

    Args:
        model: a causal language model whose layers lie in ``model.layers``, each with the three linear layers of a gated
            MLP (Llama, Qwen, Gemma, Granite, Cohere …).
        batches: dicts of input_ids and attention_mask; padding does not count.
    Raises:
        ValueError: the model is built otherwise, or the batches hold no token.
    Source: Muralidharan et al. 2024, "Compact language models via pruning and knowledge distillation" (Minitron).
    """
    layers = _mlps(model)
    totals, count = [0.0] * len(layers), 0
    mask = None

    def watch(number):
        def hook(module, inputs):
            values = inputs[0][mask].float()  # a long sum in bfloat16 stands still
            totals[number] = totals[number] + values.abs().sum(0)

        return hook

    hooks = [mlp.down_proj.register_forward_pre_hook(watch(number)) for number, mlp in enumerate(layers)]
    try:
        with evaluating(model):
            for batch in batches:
                inputs = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
                mask = inputs["attention_mask"].bool()
                model(**inputs, logits_to_keep=1)
                count += int(mask.sum())
    finally:
        for hook in hooks:
            hook.remove()
    if not count:
        raise ValueError("the batches hold no token, so no neuron can be more important than another: give some text")
    return [total / count for total in totals]


@torch.no_grad()
def narrower(model: Model, width: int, importance: Sequence[torch.Tensor]) -> Model:
    """A trainable copy whose MLPs keep the `width` most important inner neurons of each layer: smaller dense matrices.

    Args:
        model: as for `neuron_importance`.
        width: inner neurons kept a layer.
        importance: as `neuron_importance` returns it.
    Raises:
        ValueError: the width is not between 1 and the model's; importance does not fit the model, or the model is built
            otherwise.
    """
    inner = _mlps(model)[0].up_proj.out_features
    if not (isinstance(width, numbers.Integral) and 1 <= width <= inner):
        raise ValueError(
            f"the width must be a whole number between 1 and the model's {inner} inner neurons, and it is {width!r}"
        )
    copied = copy.deepcopy(model).requires_grad_(True)
    mlps = _mlps(copied)
    if len(importance) != len(mlps) or any(len(each) != inner for each in importance):
        raise ValueError(f"importance must be {len(mlps)} tensors of {inner} numbers: neuron_importance of this model")
    for mlp, each in zip(mlps, importance):
        keep = each.topk(width).indices.sort().values.to(mlp.down_proj.weight.device)
        for layer, rows in ((mlp.gate_proj, True), (mlp.up_proj, True), (mlp.down_proj, False)):
            layer.weight = nn.Parameter(layer.weight[keep] if rows else layer.weight[:, keep].contiguous())
            if rows and layer.bias is not None:
                layer.bias = nn.Parameter(layer.bias[keep])
        for layer in (mlp.gate_proj, mlp.up_proj):
            layer.out_features = width
        mlp.down_proj.in_features = width
    copied.config.intermediate_size = width
    return copied


def _mlps(model):
    layers = getattr(getattr(model, "model", None), "layers", ())
    mlps = [getattr(layer, "mlp", None) for layer in layers]
    parts = [getattr(mlp, name, None) for mlp in mlps for name in ("gate_proj", "up_proj", "down_proj")]
    inner = getattr(getattr(model, "config", None), "intermediate_size", None)
    if (
        not parts
        or not all(type(part) is nn.Linear for part in parts)
        or any(mlp.up_proj.out_features != inner for mlp in mlps)
    ):
        raise ValueError(
            f"{type(model).__name__} has no model.layers with mlp.gate_proj, up_proj and down_proj, all linear and of one "
            "width: choose a Llama-like model"
        )
    return mlps


# --- Size -------------------------------------------------------------------------------------------------------------


def megabytes(model: nn.Module) -> float:
    """Memory that a model's weights and buffers hold, in MB (10⁶ bytes).

    Counted by storage: what is shared counts once, and a view counts as all that it keeps alive. Where nothing is a view
    that is, but for a header and a few buffers, the size of its safetensors file.
    """
    held = {}
    for tensor in (*model.parameters(), *model.buffers()):
        storage = tensor.untyped_storage()
        held[storage.data_ptr() or id(storage)] = storage  # on the meta device nothing has an address
    return sum(storage.nbytes() for storage in held.values()) / 1e6
