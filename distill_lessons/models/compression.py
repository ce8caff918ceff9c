"""Making a model smaller without a student: int8 weights, zeroed weights, narrower layers. Each returns a copy.

Removing whole layers, the other kind of structured pruning, is `pairs.smollm.student`.
"""

import copy

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils import prune

# --- Quantisation -----------------------------------------------------------------------------------------------------


def quantised(weight):
    """A matrix as whole numbers with one scale a row: int8 ``[out, in]`` and float ``[out]``; weight ≈ scale · int8.

    Symmetric: the largest number of a row becomes ±127, and zero stays zero.
    """
    scale = weight.abs().amax(1).clamp(min=1e-12) / 127
    return (weight / scale[:, None]).round().to(torch.int8), scale


class Int8Linear(nn.Module):
    """A linear layer with int8 weights. Its input is made int8 too, one scale a token, while it runs ("dynamic").

    The product of whole numbers is exact; the error is that of rounding weights and inputs. For inference only.
    Source: Dettmers et al. 2022, "LLM.int8()", section 2 (vector-wise quantisation, here without outliers).
    """

    def __init__(self, weight, scale, bias=None):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)
        self.register_buffer("bias", bias)

    def forward(self, inputs):
        rows = inputs.reshape(-1, inputs.shape[-1])
        scale = rows.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127
        whole = (rows / scale).round().to(torch.int8)
        if rows.is_cuda:  # torch's integer product has other rules there; this one is as exact, and not faster
            product = whole.float() @ self.weight.T.float()
        else:
            product = torch._int_mm(whole, self.weight.T)
        outputs = product * (scale * self.scale)
        if self.bias is not None:
            outputs = outputs + self.bias
        return outputs.to(inputs.dtype).view(*inputs.shape[:-1], -1)


class Int8Embedding(nn.Module):
    """An embedding with int8 rows, each with its scale."""

    def __init__(self, weight, scale):
        super().__init__()
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    def forward(self, ids):
        return F.embedding(ids, self.weight).to(self.scale.dtype) * self.scale[ids].unsqueeze(-1)


@torch.no_grad()
def int8(model):
    """A copy of a model with its linear layers and embeddings in int8: about a quarter of float32's bytes.

    Norms stay as they are. A head that shares the embedding's weights shares the int8 ones. For inference only.

    Args:
        model: any module; its linear layers are found by type, so peft adapters have to be merged first.
    Raises:
        ValueError: the model has no linear layer, or its weights are not floating-point numbers.
    """
    layers = [layer for layer in model.modules() if isinstance(layer, (nn.Linear, nn.Embedding))]
    if not any(isinstance(layer, nn.Linear) for layer in layers):
        raise ValueError(f"{type(model).__name__} has no linear layer to make int8 (is it int8 already?)")
    if not all(layer.weight.is_floating_point() for layer in layers):
        raise ValueError(f"{type(model).__name__} has weights that are whole numbers already: give the float model")
    copied = copy.deepcopy(model).eval().requires_grad_(False)
    made = {}  # by the address of the float weights: what shares them shares the int8 ones
    for parent in list(copied.modules()):
        for name, layer in list(parent.named_children()):
            if not isinstance(layer, (nn.Linear, nn.Embedding)):
                continue
            address = layer.weight.data_ptr()
            if address not in made:
                made[address] = layer.weight, *quantised(layer.weight)  # the float weights stay alive until the end
            _, weight, scale = made[address]
            linear = isinstance(layer, nn.Linear)
            setattr(parent, name, Int8Linear(weight, scale, layer.bias) if linear else Int8Embedding(weight, scale))
    return copied


# --- Pruning ----------------------------------------------------------------------------------------------------------


def prunable(model):
    """The linear layers that pruning may touch: all but the head."""
    head = model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return [layer for layer in model.modules() if isinstance(layer, nn.Linear) and layer is not head]


def sparse(model, share):
    """A trainable copy in which the smallest `share` of the weights of every linear layer but the head is zero.

    A mask keeps them zero in training; `settled` makes it permanent. The tensors keep their shapes, and their zeros are
    stored and multiplied like any number: no byte and no second is saved without kernels made for it.
    Source: Han et al. 2015, "Learning both weights and connections".

    Raises:
        ValueError: the share is not in [0, 1).
    """
    if not 0 <= share < 1:
        raise ValueError(f"the share of weights to remove must lie in [0, 1), and it is {share}")
    copied = copy.deepcopy(model)
    for layer in prunable(copied):
        layer.weight.requires_grad_(True)
        prune.l1_unstructured(layer, "weight", amount=float(share))
    return copied


def settled(model):
    """The same model, in place, with the masks of `sparse` multiplied into its weights and gone."""
    for layer in prunable(model):
        if prune.is_pruned(layer):
            prune.remove(layer, "weight")
    return model


def zeros(model):
    """Share of zeros among the weights of the linear layers but the head."""
    weights = [layer.weight for layer in prunable(model)]
    return sum((weight == 0).sum().item() for weight in weights) / sum(weight.numel() for weight in weights)


@torch.no_grad()
def neuron_importance(model, batches):
    """How large the inner values of each MLP are on some text: a list with a tensor ``[inner]`` a layer, the mean of |value|.

    Args:
        model: a causal language model with its layers in ``model.layers`` and ``mlp.down_proj`` in each (Llama, Qwen …).
        batches: dicts of input_ids and attention_mask; padding does not count.
    Source: Muralidharan et al. 2024, "Compact language models via pruning and knowledge distillation" (Minitron).
    """
    layers = _mlps(model)
    totals, count = [0.0] * len(layers), 0
    mask = None

    def watch(number):
        def hook(module, inputs):
            totals[number] = totals[number] + inputs[0][mask].abs().sum(0)

        return hook

    hooks = [mlp.down_proj.register_forward_pre_hook(watch(number)) for number, mlp in enumerate(layers)]
    try:
        for batch in batches:
            inputs = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
            mask = inputs["attention_mask"].bool()
            model(**inputs, logits_to_keep=1)
            count += int(mask.sum())
    finally:
        for hook in hooks:
            hook.remove()
    return [total / count for total in totals]


@torch.no_grad()
def narrower(model, width, importance):
    """A trainable copy whose MLPs keep the `width` most important inner neurons of each layer: smaller dense matrices.

    Args:
        width: inner neurons kept a layer.
        importance: as `neuron_importance` returns it.
    Raises:
        ValueError: the width is not between 1 and the model's; importance does not fit the model.
    """
    inner = model.config.intermediate_size
    if not 1 <= width <= inner:
        raise ValueError(f"the width must lie between 1 and the model's {inner} inner neurons, and it is {width}")
    copied = copy.deepcopy(model).requires_grad_(True)
    mlps = _mlps(copied)
    if len(importance) != len(mlps) or any(len(each) != inner for each in importance):
        raise ValueError(f"importance must be {len(mlps)} tensors of {inner} numbers: neuron_importance of this model")
    for mlp, each in zip(mlps, importance):
        keep = each.topk(width).indices.sort().values
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
    if not layers or not all(hasattr(getattr(layer, "mlp", None), "down_proj") for layer in layers):
        raise ValueError(f"{type(model).__name__} has no model.layers with mlp.down_proj: choose a Llama-like model")
    return [layer.mlp for layer in layers]


# --- Size -------------------------------------------------------------------------------------------------------------


def megabytes(model):
    """Size of a model's weights in a safetensors file, in MB (10⁶ bytes): all its tensors, shared ones once."""
    seen = {}
    for tensor in model.state_dict().values():
        seen[tensor.data_ptr(), tensor.dtype] = tensor.numel() * tensor.element_size()
    return sum(seen.values()) / 1e6
