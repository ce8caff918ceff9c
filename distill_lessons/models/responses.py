"""Running a language model where it counts: logits and hidden states at the response tokens, and at no other position."""

import inspect
from contextlib import contextmanager, nullcontext

import torch.nn.functional as F
from torch import nn

from distill_lessons.losses import IGNORE
from distill_lessons.models import unpadded
from distill_lessons.models.head import replaced_forward


def response_logits(model, batch):
    """Logits where a response token is predicted, with those tokens; the head runs on no other position.

    Args:
        model: a causal language model of transformers.
        batch: input_ids, attention_mask and labels, ``[B, L]`` each, labels -100 on prompt and padding; on any device.
    Returns:
        logits ``[N, V]`` and labels ``[N]``, already shifted: row n of the logits predicts label n. On the model's device.
    Raises:
        ValueError: the batch has no response token.
    """
    batch = _beside(model, batch)
    labels = batch["labels"][:, 1:]
    mask = labels != IGNORE
    columns = mask.any(0).nonzero().squeeze(-1)
    if len(columns) == 0:
        raise ValueError("the batch has no response token to learn from: leave out rows whose labels are all -100")
    output = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], logits_to_keep=columns, use_cache=False
    )
    return output.logits[mask[:, columns]], labels[mask]


def _beside(model, batch):
    """What a model reads of a batch, on its device."""
    return {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask", "labels")}


def response_states(model, batch, function, call=None, layers=()):
    """Run a model and hand the states before its head, at the response positions only, to `function`.

    Padding is left out on the way (`unpadded`), where the model allows it, and short rows on a CPU have an attention of
    their own there.

    Args:
        function: called with states ``[N, D]``, in the order of `response_logits`; what it returns is returned. With
            `layers` it is called with those states and a dict {number: ``[N, D]``} of the hidden states asked for.
        call: what to call with the inputs, if not the model itself: its wrapper for several processes.
        layers: numbers of hidden states, from 1 (after the first layer) to the last, which is the one before the head.
    """
    batch = _beside(model, batch)
    mask = F.pad(batch["labels"][:, 1:] != IGNORE, (0, 1))
    inputs, running = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}, nullcontext()
    base, head = base_of(model), model.get_output_embeddings()
    if unpadded.possible(base, batch, mask):
        (inputs, mask), running = unpadded.line(batch, mask), unpadded.running(base)
    columns = mask.any(0).nonzero().squeeze(-1)

    def select(states):
        if states.shape[1] != len(columns):  # a hidden state, or a model that knows no logits_to_keep
            states = states[:, columns]
        return states[mask[:, columns]]

    options = {"use_cache": False, "logits_to_keep": columns}
    known = inspect.signature(base.forward).parameters
    options = {name: value for name, value in options.items() if name in known}
    with captured(base, layers) if layers else nullcontext() as inner:

        def instead_of_head(states):
            states = select(states)
            if not layers:
                return function(states)
            return function(states, {n: select(inner[n]) if n in inner else states for n in layers})

        with running, replaced_forward(head, instead_of_head):
            output = (call or model)(**inputs, **options)
    return output.logits


def base_of(model):
    """The model inside a peft wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def decoder_layers(model):
    """The list of a model's transformer layers, wherever its architecture keeps them.

    Raises:
        ValueError: there is none of the length that the model's config gives.
    """
    count = getattr(model.config, "num_hidden_layers", None)
    for module in model.modules():
        if isinstance(module, nn.ModuleList) and len(module) == count:
            return module
    raise ValueError(f"{type(model).__name__} has no list of {count} layers: feature matching does not know it")


@contextmanager
def captured(model, wanted):
    """Within the block, a forward pass leaves states `wanted` (numbers from 1 below the last) in the dict that is yielded.

    The last state is what the head receives, and the caller has it already (`response_states`).
    """
    states, handles = {}, []

    def keep(number):
        def hook(module, arguments, output):
            states[number] = output[0] if isinstance(output, tuple) else output

        return hook

    layers = decoder_layers(model)
    outside = [number for number in wanted if not 1 <= number <= len(layers)]
    if outside:
        raise ValueError(
            f"the model has states 1 to {len(layers)}, and {outside} {'was' if len(outside) == 1 else 'were'} asked for"
        )
    try:
        for number in wanted:
            if number < len(layers):
                handles.append(layers[number - 1].register_forward_hook(keep(number)))
        yield states
    finally:
        for handle in handles:
            handle.remove()


@contextmanager
def evaluating(model):
    """All modules of a model in eval mode, and afterwards each as it was: some may belong to another model too."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
