"""Which weights a model has: a digest that goes beside everything that was made with them."""

import hashlib
from collections.abc import Iterator

import torch
from torch import nn

CHUNK = 2**24  # elements that leave the device at a time


def digest(model: nn.Module) -> str:
    """SHA-256 over names, dtypes, shapes and bytes of the model's state dict, as hex.

    Equal for the same weights on every device and in every process; another for any other weight, type, shape or name. A
    matrix that has several names (an embedding that is its head's too) is read once. Weights leave their device a chunk at
    a time. What the state dict does not hold, such as the configuration, does not count.

    Raises:
        ValueError: a weight is on the "meta" device, where there are no numbers; says which.
    """
    found, seen = hashlib.sha256(), {}
    for name, tensor in model.state_dict().items():
        if not isinstance(tensor, torch.Tensor):
            continue
        if tensor.is_meta:
            raise ValueError(f"the weights of {name} are not loaded: load the model without device_map or offloading")
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        first = seen.setdefault(_place(tensor), name) if tensor.numel() else name
        if first != name:
            found.update(f"is {first}\n".encode())
            continue
        for chunk in _chunks(tensor):
            found.update(chunk)
    return found.hexdigest()


def _place(tensor: torch.Tensor) -> tuple:
    """Where a tensor lies and how it is read: equal for two names of the same numbers."""
    return (tensor.device, tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride())


def _chunks(tensor: torch.Tensor) -> Iterator[memoryview]:
    """The bytes of a tensor in row-major order."""
    for chunk in tensor.detach().contiguous().view(-1).split(CHUNK):
        yield memoryview(chunk.view(torch.uint8).cpu().numpy())
