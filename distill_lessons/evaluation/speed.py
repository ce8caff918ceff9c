"""How long a user waits and what a token costs: token times, percentiles, a queue, memory, energy. Prints nothing.

Every measurement drops its warm-up, repeats, and returns all repetitions, so that their spread can be told.
"""

import gc
import inspect
import os
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_model

from distill_lessons import runtime
from distill_lessons.teacher import generation

PERCENTILES = (50, 95, 99)


def _wait(device):
    """A GPU works on after a call returns; a clock has to wait for it."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


@torch.inference_mode()
def token_times(model, input_ids, new_tokens):
    """Seconds from the request to each new token, greedy, with key/value cache, never stopping early: ``[new_tokens]``.

    The first entry is the time to first token, in which the prompt is read; the last is the whole response's latency.

    Args:
        model: a causal language model of transformers; input_ids: ``[B, L]``, without padding.
    """
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


def response_times(model, prompts, new_tokens, warm_up=1):
    """`token_times` of one prompt after another: ``[prompts, new_tokens]``, seconds.

    Args:
        prompts: token ids, a list of lists; the first is asked `warm_up` times more before, and not counted.
    """
    for _ in range(warm_up):
        token_times(model, torch.tensor(prompts[:1]), new_tokens)
    return np.stack([token_times(model, torch.tensor([ids]), new_tokens) for ids in prompts])


def timed(function, repeats, warm_up=1):
    """Seconds of each of `repeats` calls, after `warm_up` calls that are not counted: an array."""
    for _ in range(warm_up):
        function()
    seconds = []
    for _ in range(repeats):
        _wait(runtime.device())
        began = time.perf_counter()
        function()
        _wait(runtime.device())
        seconds.append(time.perf_counter() - began)
    return np.array(seconds)


def percentiles(seconds, warm_up=0):
    """p50, p95 and p99 of latencies, in seconds, and how many there were, as a dict.

    Below 20 latencies p95 is little else than the largest, below 100 p99 is; the number says how far to trust them.

    Args:
        warm_up: so many at the beginning are dropped.
    Raises:
        ValueError: none is left.
    """
    kept = np.asarray(seconds, dtype=float)[warm_up:]
    if len(kept) == 0:
        raise ValueError(f"no latency is left after a warm-up of {warm_up}: measure more responses")
    return {f"p{each}": float(np.percentile(kept, each)) for each in PERCENTILES} | {"responses": len(kept)}


def generation_speed(model, tokenizer, prompts, new_tokens=32, repeats=3):
    """Tokens generated per second, all prompts in one batch: the median of `repeats` after one warm-up.

    Every answer is made exactly `new_tokens` long, so that two models do the same work.
    """
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


def poisson(rate, count, seed=0):
    """Times, in seconds, at which `count` requests arrive that know nothing of each other, `rate` a second on average."""
    return np.random.default_rng(seed).exponential(1 / rate, count).cumsum()


def queue(arrivals, serve, largest):
    """Latency of each request, waiting included, on one server that takes whatever waits as one batch: ``[N]``, seconds.

    The clock jumps over idle time; only service takes time. Give as `serve` the real model, timed, or measured times.

    Args:
        arrivals: times in ascending order; serve: ``serve(how many)`` returns the seconds that this batch takes.
        largest: the most requests in a batch.
    """
    arrivals, latency = np.asarray(arrivals, dtype=float), []
    clock = 0.0
    while len(latency) < len(arrivals):
        first = len(latency)
        clock = max(clock, arrivals[first])
        waiting = int(np.searchsorted(arrivals, clock, side="right")) - first
        taken = min(waiting, largest)
        clock += serve(taken)
        latency += list(clock - arrivals[first : first + taken])
    return np.array(latency)


def measured(seconds):
    """A `serve` for `queue` from measured seconds a batch, {batch size: seconds}; straight lines between."""
    sizes = sorted(seconds)
    return lambda count: float(np.interp(count, sizes, [seconds[size] for size in sizes]))


# --- Memory -----------------------------------------------------------------------------------------------------------


def memory():
    """Bytes that this process holds now, and the most that it held since its start or `forget_peak`.

    Not from getrusage where that can be helped: there a process begins with the peak of the one that started it.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # not Linux
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        return peak, peak
    found = dict(line.split(":", 1) for line in lines)
    return tuple(1024 * int(found[name].split()[0]) for name in ("VmRSS", "VmHWM"))


def forget_peak():
    """Let the peak of `memory` begin again from what is held now, where the system can."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        pass


def peak_memory(prepare, use, *arguments):
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
    """The other process of `peak_memory`: reads what to do, prints the bytes."""
    prepare, use, arguments = pickle.loads(sys.stdin.buffer.read())
    before, _ = memory()
    made = prepare(*arguments)
    gc.collect()
    if torch.cuda.is_available() and torch.cuda.memory_allocated():
        torch.cuda.reset_peak_memory_stats()
        use(made)
        print(torch.cuda.max_memory_allocated())
        return
    forget_peak()
    use(made)
    print(memory()[1] - before)


# --- Size


def size(model):
    """dict of ``parameters`` (shared ones counted once) and ``megabytes``, the memory that the weights take."""
    weights = list(model.parameters())
    return {
        "parameters": sum(weight.numel() for weight in weights),
        "megabytes": sum(weight.numel() * weight.element_size() for weight in weights) / 1e6,
    }


def size_on_disk(model):
    """Megabytes (10⁶ bytes) of the model's safetensors file, written to a temporary folder; shared weights once."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.safetensors"
        save_model(model, str(path))
        return path.stat().st_size / 1e6


# --- Energy -----------------------------------------------------------------------------------------------------------
# Cost from a speed and a price is `economics.price_per_million_tokens`.


def energy_per_million(per_second, watts):
    """Kilowatt hours for a million tokens at that power; the power is an argument: most machines do not tell theirs."""
    if not (per_second > 0 and watts > 0):
        raise ValueError(f"speed and power must be positive, and they are {per_second} and {watts}")
    return watts / 1000 / 3600 / per_second * 1e6
