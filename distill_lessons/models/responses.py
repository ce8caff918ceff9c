"""Running a language model where it counts: logits and hidden states at the response tokens, and at no other position.

A causal language model is a body that makes states, a head that makes logits of them, and in some families a last step
after the head: Granite divides its logits, Cohere multiplies them, Gemma 2 caps them. `logits_of` does all that follows
the body, and `check_head` refuses a model for which it does not give what the model gives.
"""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext

import torch
import torch.nn.functional as F
from torch import nn

from distill_lessons.losses import IGNORE
from distill_lessons.models import unpadded
from distill_lessons.models.head import replaced_forward


def base_of(model: nn.Module) -> nn.Module:
    """The model inside a peft wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def head_of(model: nn.Module) -> nn.Module:
    """The module that turns states into logits.

    Raises:
        ValueError: the model has none, or reads its text with an encoder.
    """
    base = base_of(model)
    head = base.get_output_embeddings() if hasattr(base, "get_output_embeddings") else None
    if head is None or getattr(base.config, "is_encoder_decoder", False):
        raise ValueError(f"{type(base).__name__} is no causal language model with an output head: load one of those")
    return head


def last_step(model: nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """What a model does to its logits after the head, as a function of them; most do nothing."""
    config = base_of(model).config.get_text_config()
    divisor, cap = getattr(config, "logits_scaling", None), getattr(config, "final_logit_softcapping", None)
    names = ("logit_scale", "output_multiplier", "lm_head_multiplier")  # of the same factor, in different families
    factor = next((value for name in names if (value := getattr(config, name, None)) is not None), None)

    def step(logits: torch.Tensor) -> torch.Tensor:
        if divisor not in (None, 1):
            logits = logits / divisor
        if factor not in (None, 1):
            logits = logits * factor
        return logits if cap is None else torch.tanh(logits / cap) * cap

    return step


def logits_of(model: nn.Module, states: torch.Tensor) -> torch.Tensor:
    """The logits that a model makes of the states before its head.

    Args:
        states: ``[..., D]``, as `response_states` hands them over.
    Returns:
        ``[..., V]``.
    """
    head = head_of(model)
    # The class's own forward: within `response_states` the module's is replaced, and a teacher may share its head.
    return last_step(model)(type(head).forward(head, states.to(head.weight.dtype)))


@torch.no_grad()
def check_head(model: nn.Module, name: str = "model") -> None:
    """Refuse a model whose logits are not what `logits_of` makes of its states, tried on a few tokens.

    Raises:
        ValueError: they differ, so that a loss computed from the states would be that of another model.
    """
    base = base_of(model)
    ids = torch.arange(4, device=base.device)[None]  # several, since padding has a zero for an embedding in some
    batch = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
    with evaluating(model):
        own = model(input_ids=ids, attention_mask=batch["attention_mask"], use_cache=False).logits[:, :-1].float()
        ours = response_states(model, batch, lambda states: logits_of(model, states))[None].float()
    if own.shape != ours.shape or (own - ours).abs().max() > 0.02 * own.abs().max() + 1e-4:
        raise ValueError(
            f"the {name}, {type(base).__name__}, does something to its logits after the head that is not known here, so "
            "its loss would be wrong: choose a model of another family"
        )


def response_logits(model: nn.Module, batch: Mapping[str, torch.Tensor]) -> tuple[torch.Tensor, torch.Tensor]:
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
    inputs = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}
    logits = model(**inputs, **_known(model, use_cache=False, logits_to_keep=columns)).logits
    if logits.shape[1] != len(columns):  # a model that knows no logits_to_keep
        logits = logits[:, columns]
    return logits[mask[:, columns]], labels[mask]


def _beside(model, batch):
    """What a model reads of a batch, on its device."""
    return {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask", "labels")}


def _known(model, **options):
    """Those options that the model's forward pass has."""
    known = inspect.signature(type(base_of(model)).forward).parameters
    return {name: value for name, value in options.items() if name in known}


def response_states(
    model: nn.Module,
    batch: Mapping[str, torch.Tensor],
    function: Callable,
    call: Callable | None = None,
    layers: Iterable[int] = (),
):
    """Run a model and hand the states before its head, at the response positions only, to `function`.

    Padding is left out on the way (`unpadded`), where the model allows it, and short rows on a CPU have an attention of
    their own there.

    Args:
        function: called with states ``[N, D]``, in the order of `response_logits`; what it returns is returned. With
            `layers` it is called with those states and a dict {number: ``[N, D]``} of the hidden states asked for.
        call: what to call with the inputs, if not the model itself: its wrapper for several processes.
        layers: numbers of hidden states, from 1 (after the first layer) to the last, which is the one before the head.
    """
    batch, layers = _beside(model, batch), tuple(layers)
    mask = F.pad(batch["labels"][:, 1:] != IGNORE, (0, 1))
    inputs, running = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}, nullcontext()
    base, head = base_of(model), head_of(model)
    if unpadded.possible(base, batch, mask):
        (inputs, mask), running = unpadded.line(batch, mask), unpadded.running(base)
    columns = mask.any(0).nonzero().squeeze(-1)
    options, own, results = _known(model, use_cache=False, logits_to_keep=columns), base.forward, []

    def select(states):
        if states.shape[1] != len(columns):  # a hidden state, or a model that knows no logits_to_keep
            states = states[:, columns]
        return states[mask[:, columns]]

    with captured(base, layers) if layers else nullcontext() as inner:

        def instead_of_head(states):
            chosen = select(states)
            if layers:
                results.append(function(chosen, {n: select(inner[n]) if n in inner else chosen for n in layers}))
            else:
                results.append(function(chosen))
            return chosen.new_zeros(1, 1, 1)  # the model may scale or cap it

        def with_result(*arguments, **keywords):
            # Inside the model's own forward pass, where DDP and FSDP look for what a gradient will come from.
            output = own(*arguments, **keywords)
            output.logits = results.pop()
            return output

        with running, replaced_forward(head, instead_of_head), replaced_forward(base, with_result):
            output = (call or model)(**inputs, **options)
    return output.logits


def decoder_layers(model: nn.Module) -> nn.ModuleList:
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
def captured(model: nn.Module, wanted: Iterable[int]) -> Iterator[dict]:
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
def evaluating(model: nn.Module) -> Iterator[None]:
    """All modules of a model in eval mode, and afterwards each as it was: some may belong to another model too."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
