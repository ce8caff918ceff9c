"""A student cut out of its teacher: some of its layers, all its other weights."""

import copy

import torch
from transformers import PreTrainedModel

from distill_lessons import runtime


def kept_layers(total: int, depth: int) -> list[int]:
    """Which of the teacher's `total` layers a student of `depth` keeps: the first and last two, and evenly between.

    Raises:
        ValueError: depth is under 4 or over `total`.
    """
    if not 4 <= depth <= total:
        raise ValueError(f"the student's depth must lie between 4 and the teacher's {total} layers, and it is {depth}")
    inner = torch.linspace(1, total - 2, depth - 2).round().int().tolist()
    return [0, *inner, total - 1]


def cut(teacher: PreTrainedModel, depth: int) -> PreTrainedModel:
    """A model of the teacher's kind with `depth` of its layers and all its other weights, copied; trainable, float32.

    Args:
        teacher: a causal language model of transformers with its layers in ``model.layers`` (Llama, Qwen, Mistral …).
    Raises:
        ValueError: as `kept_layers`; the teacher keeps its layers elsewhere, or counts them in more than one setting.
    """
    if not hasattr(getattr(teacher, "model", None), "layers"):
        raise ValueError(f"{type(teacher).__name__} does not keep its layers in model.layers: choose another teacher")
    keep = kept_layers(len(teacher.model.layers), depth)
    config = copy.deepcopy(teacher.config)
    config.num_hidden_layers = depth
    if getattr(config, "layer_types", None):
        config.layer_types = [config.layer_types[layer] for layer in keep]
    config.name_or_path = ""  # it is nobody's: what is saved of it must not name the teacher
    small = type(teacher)(config).float()
    place = {f"model.layers.{old}.": f"model.layers.{new}." for new, old in enumerate(keep)}
    weights = {}
    for name, value in teacher.state_dict().items():
        prefix = ".".join(name.split(".")[:3]) + "."
        if not name.startswith("model.layers."):
            weights[name] = value
        elif prefix in place:
            weights[place[prefix] + name.removeprefix(prefix)] = value
    try:
        small.load_state_dict(weights, strict=True)
    except RuntimeError as error:
        raise ValueError(
            f"some layers of a {type(teacher).__name__} cannot stand alone ({str(error).splitlines()[-1].strip()}): "
            "choose another teacher, or give the student yourself"
        ) from error
    return small.to(runtime.device())
