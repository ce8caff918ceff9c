"""How long a user waits and what a token costs: token times, percentiles, a queue, memory, energy. Prints nothing.

Every measurement drops its warm-up, repeats, and returns all repetitions, so that their spread can be told.
"""

import gc
import inspect
import os
import pickle
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import ArrayLike
from safetensors.torch import save_model
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill_lessons import runtime
from distill_lessons.evaluation.arrays import numbers, positive, whole
from distill_lessons.models import compression
from distill_lessons.teacher import generation

PERCENTILES = (50, 95, 99)


def _wait(device):
    """A GPU works on after a call returns; a clock has to wait for it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.inference_mode()
def token_times(model: PreTrainedModel, input_ids: torch.Tensor, new_tokens: int) -> np.ndarray:
    """Seconds from the request to each new token, greedy, with key/value cache, never stopping early: ``[new_tokens]``.

    The first entry is the time to first token, in which the prompt is read; the last is the whole response's latency.

    Args:
        model: a causal language model of transformers; input_ids: ``[B, L]``, without padding.
    Raises:
        ValueError: `new_tokens` is no whole number of at least 1.
    """
    new_tokens = whole("new_tokens", new_tokens)
    input_ids = input_ids.to(model.device)
    known = inspect.signature(model.forward).parameters
    name = "cache" if "cache" in known else "past_key_values"  # before transformers 5.24
    times, inputs, cache = [], input_ids, None
    began = time.perf_counter()
    for _ in range(new_tokens):
        output = model(input_ids=inputs, use_cache=True, logits_to_keep=1, **{name: cache})
        inputs, cache = output.logits[:, -1].argmax(-1, keepdim=True), getattr(output, name)
        _wait(model.device)
        times.append(time.perf_counter() - began)
    return np.array(times)


def response_times(
    model: PreTrainedModel, prompts: Sequence[Sequence[int]], new_tokens: int, warm_up: int = 1
) -> np.ndarray:
    """`token_times` of one prompt after another: ``[prompts, new_tokens]``, seconds.

    Args:
        prompts: token ids, a list of lists; the first is asked `warm_up` times more before, and not counted.
    Raises:
        ValueError: there is no prompt; `new_tokens` or `warm_up` is no whole number of at least 1 or 0.
    """
    if not len(prompts):
        raise ValueError("there is no prompt to time: give at least one")
    for _ in range(whole("warm_up", warm_up, 0)):
        token_times(model, torch.tensor(prompts[:1]), new_tokens)
    return np.stack([token_times(model, torch.tensor([ids]), new_tokens) for ids in prompts])


def timed(function: Callable[[], object], repeats: int, warm_up: int = 1) -> np.ndarray:
    """Seconds of each of `repeats` calls, after `warm_up` calls that are not counted: an array.

    Raises:
        ValueError: `repeats` or `warm_up` is no whole number of at least 1 or 0.
    """
    repeats = whole("repeats", repeats)
    for _ in range(whole("warm_up", warm_up, 0)):
        function()
    seconds = []
    for _ in range(repeats):
        _wait(runtime.device())
        began = time.perf_counter()
        function()
        _wait(runtime.device())
        seconds.append(time.perf_counter() - began)
    return np.array(seconds)


def percentiles(seconds: ArrayLike, warm_up: int = 0) -> dict[str, float]:
    """p50, p95 and p99 of latencies, in seconds, and how many there were, as a dict.

    Below 20 latencies p95 is little else than the largest, below 100 p99 is; the number says how far to trust them.

    Args:
        warm_up: so many at the beginning are dropped.
    Raises:
        ValueError: none is left; one is not finite; `warm_up` is no whole number of at least 0.
    """
    kept = numbers("latencies", seconds)[whole("warm_up", warm_up, 0) :]
    if len(kept) == 0:
        raise ValueError(f"no latency is left after a warm-up of {warm_up}: measure more responses")
    return {f"p{each}": float(np.percentile(kept, each)) for each in PERCENTILES} | {"responses": len(kept)}


def generation_speed(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    new_tokens: int = 32,
    repeats: int = 3,
) -> float:
    """Tokens generated per second, all prompts in one batch: the median of `repeats` after one warm-up.

    The tokens of all prompts count. Every answer is made exactly `new_tokens` long, so that two models do the same work.

    Raises:
        ValueError: there is no prompt; `new_tokens` or `repeats` is no whole number of at least 1.
    """
    new_tokens, repeats = whole("new_tokens", new_tokens), whole("repeats", repeats)
    if not len(prompts):
        raise ValueError("there is no prompt to answer: give at least one")
    generation.generate(model, tokenizer, prompts, max_new_tokens=2, batch_size=len(prompts))
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        generation.generate(
            model, tokenizer, prompts, max_new_tokens=new_tokens, min_new_tokens=new_tokens, batch_size=len(prompts)
        )
        seconds.append(time.perf_counter() - began)
    return len(prompts) * new_tokens / statistics.median(seconds)


# --- Serving under load -----------------------------------------------------------------------------------------------


def poisson(rate: float, count: int, seed: int = 0) -> np.ndarray:
    """Times, in seconds, at which `count` requests arrive that know nothing of each other, `rate` a second on average.

    Raises:
        ValueError: the rate is not positive, or the count no whole number of at least 1.
    """
    return np.random.default_rng(seed).exponential(1 / positive("the rate", rate), whole("count", count)).cumsum()


def queue(arrivals: ArrayLike, serve: Callable[[int], float], largest: int) -> np.ndarray:
    """Latency of each request, waiting included, on one server that takes whatever waits as one batch: ``[N]``, seconds.

    The clock jumps over idle time; only service takes time. Give as `serve` the real model, timed, or measured times.

    Args:
        arrivals: times in ascending order; serve: ``serve(how many)`` returns the seconds that this batch takes.
        largest: the most requests in a batch.
    Raises:
        ValueError: there are no arrivals, or they do not ascend; `largest` is no whole number of at least 1.
    """
    arrivals, largest, latency = numbers("arrivals", arrivals), whole("largest", largest), []
    if (np.diff(arrivals) < 0).any():
        raise ValueError("arrivals must ascend, and one comes before the one ahead of it: sort them")
    clock = 0.0
    while len(latency) < len(arrivals):
        first = len(latency)
        clock = max(clock, arrivals[first])
        waiting = int(np.searchsorted(arrivals, clock, side="right")) - first
        taken = min(waiting, largest)
        clock += serve(taken)
        latency += list(clock - arrivals[first : first + taken])
    return np.array(latency)


def measured(seconds: Mapping[int, float]) -> Callable[[int], float]:
    """A `serve` for `queue` from measured seconds a batch, {batch size: seconds}; straight lines between.

    Raises:
        ValueError: nothing was measured; when asked, the batch is smaller or larger than all that were.
    """
    if not seconds:
        raise ValueError("nothing was measured: give {batch size: seconds}")
    sizes = sorted(seconds)

    def serve(count: int) -> float:
        if not sizes[0] <= count <= sizes[-1]:
            raise ValueError(f"batches of {sizes[0]} to {sizes[-1]} were measured, and one of {count} is asked about")
        return float(np.interp(count, sizes, [seconds[size] for size in sizes]))

    return serve


# --- Memory -----------------------------------------------------------------------------------------------------------


def memory() -> tuple[int, int]:
    """Bytes that this process holds now, and the most that it held since its start or `forget_peak`.

    Not from getrusage where that can be helped: there a process begins with the peak of the one that started it.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux
        import resource  # which Windows has not

        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return peak, peak
    found = dict(line.split(":", 1) for line in lines)
    return tuple(1024 * int(found[name].split()[0]) for name in ("VmRSS", "VmHWM"))


def forget_peak() -> None:
    """Let the peak of `memory` begin again from what is held now, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_memory(prepare: Callable, use: Callable, *arguments) -> float:
    """Megabytes (10⁶ bytes) that a process needs at most for ``use(prepare(*arguments))``, beyond what it had before.

    Runs in a process of its own, so that nothing else counts. What `prepare` needs in passing is not counted, what it
    returns is. On a GPU: the memory that torch holds there.

    Args:
        prepare, use: functions of a module, so that another process can find them.
    Raises:
        RuntimeError: that process came to no end; says what it said.
    """
    command = [sys.executable, "-c", "from distill_lessons.evaluation import speed; speed._peak()"]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    asked = pickle.dumps((prepare, use, arguments))
    done = subprocess.run(command, input=asked, capture_output=True, env=environment)
    if done.returncode:
        last = done.stderr.decode(errors="replace").strip().splitlines() or [
            "it was killed, perhaps for want of memory"
        ]
        raise RuntimeError(f"measuring memory failed: {last[-1]}")
    return int(done.stdout.split()[-1]) / 1e6


def _peak():
    """The other process of `peak_memory`: reads what to do, writes the bytes."""
    prepare, use, arguments = pickle.loads(sys.stdin.buffer.read())
    before, _ = memory()
    made = prepare(*arguments)
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.memory_allocated():
        torch.cuda.reset_peak_memory_stats()
        use(made)
        sys.stdout.write(f"\n{torch.cuda.max_memory_allocated()}")
        return
    forget_peak()
    use(made)
    sys.stdout.write(f"\n{memory()[1] - before}")


# --- Size -------------------------------------------------------------------------------------------------------------


def size(model: nn.Module) -> dict[str, float]:
    """What a model is: ``parameters``, its weights, and ``megabytes`` (10⁶ bytes) of memory; shared ones once.

    The int8 matrices and the biases of a quantised layer are weights, though torch calls them buffers. Its scales, or the
    statistics of a norm, are memory only (`models.compression.megabytes`).
    """
    weights = {id(weight): weight for weight in model.parameters()}
    for name, buffer in model.named_buffers():
        if buffer.dtype == torch.int8 or name.rsplit(".", 1)[-1] == "bias":
            weights[id(buffer)] = buffer
    return {
        "parameters": sum(weight.numel() for weight in weights.values()),
        "megabytes": compression.megabytes(model),
    }


def size_on_disk(model: nn.Module) -> float:
    """Megabytes (10⁶ bytes) of the model's safetensors file, written to a temporary folder; shared weights once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_model(model, str(path))
        return path.stat().st_size / 1e6


# --- Energy -----------------------------------------------------------------------------------------------------------
# Cost from a speed and a price is `economics.price_per_million_tokens`.


def energy_per_million(per_second: float, watts: float) -> float:
    """Kilowatt hours for a million tokens at that power; the power is an argument: most machines do not tell theirs.

    Raises:
        ValueError: the tokens a second or the watts are no positive finite number.
    """
    return positive("watts", watts) / 1000 / 3600 / positive("tokens a second", per_second) * 1e6
