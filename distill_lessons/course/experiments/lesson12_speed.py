"""Lesson 12, speed: latency of one request, throughput in batches, size and memory, for all three pairs.

Record it while nothing else runs: ``python -m distill_lessons experiments lesson12-speed``, a few minutes.
"""

import functools
import math
import tempfile

import numpy as np
import torch
from transformers import LlamaForCausalLM

from distill_lessons import evaluation, runtime
from distill_lessons.course.experiments import lesson12_small, on_smollm
from distill_lessons.course.results import Experiment
from distill_lessons.evaluation import speed
from distill_lessons.models import compression
from distill_lessons.pairs import digits, multiplication, smollm
from distill_lessons.teacher.text import prompt_ids

BATCHES = (1, 4, 16, 64)
RESPONSES = {"smollm": 8, "multiplication": 40, "digits": 200}  # timed one at a time, a repetition
NEW = {"smollm": 24, "multiplication": 24}  # tokens of every response, so that all models do the same work


@functools.lru_cache(maxsize=1)
def speed_model(arm):
    """A model to be timed: its weights do not matter, so students are untrained."""
    pair, name = arm.split(" ", 1)
    if name.startswith("int8 "):
        return compression.int8(speed_model(f"{pair} {name.removeprefix('int8 ')}"))
    if pair == "digits":
        made = digits.teacher() if name == "teacher" else digits.student(lesson12_small.WIDTH)
        return made.to(runtime.device()).eval()
    if pair == "multiplication":
        return (multiplication.large() if name == "teacher" else multiplication.student()).eval()
    if name == "teacher":
        return smollm.teacher()
    return smollm.student(smollm.teacher(), 22 if name == "22 layers" else on_smollm.DEPTH).eval()


def load_saved(folder, quantised):
    """A model from safetensors, made int8 if asked; for `speed.peak_memory`."""
    runtime.start()
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32).to(runtime.device()).eval()
    return compression.int8(model) if quantised else model


def answer_one(model):
    """One response to a prompt of 32 tokens; for `speed.peak_memory`."""
    speed.token_times(model, torch.arange(3, 35)[None] % 19, 24)


def memory_of(arm):
    """`speed.peak_memory` of loading a model and answering once, in MB."""
    quantised = "int8" in arm
    with tempfile.TemporaryDirectory() as folder:
        speed_model(arm.replace("int8 ", "")).save_pretrained(folder)
        return speed.peak_memory(load_saved, answer_one, folder, quantised)


def speed_run(arm, seed):
    """Latency of one request at a time, queries and tokens a second in batches, size and memory. The seed chooses prompts."""
    pair, model = arm.split(" ", 1)[0], speed_model(arm)
    found = {"megabytes on disk": evaluation.size_on_disk(model)}
    if pair == "digits":
        images = digits.load().test_images.to(runtime.device())
        call = torch.inference_mode()(model)
        latency = [speed.timed(lambda one=one: call(one), 1, 0)[0] for one in images[: RESPONSES[pair] + 20].split(1)]
        found |= speed.percentiles(latency, warm_up=20)
        for size in BATCHES:
            batch = images[:size]
            found[f"seconds at {size}"] = float(np.median(speed.timed(lambda batch=batch: call(batch), 50, 5)))
    else:
        pairing = smollm if pair == "smollm" else multiplication
        tokenizer, new = pairing.tokenizer(), NEW[pair]
        if pair == "smollm":
            prompts = [row["prompt"] for row in smollm.corpus("train")[64 * seed : 64 * seed + 64]]
        else:
            prompts = [multiplication.prompt(*p) for p in multiplication.problems("train")[64 * seed : 64 * seed + 64]]
        ids = [prompt_ids(tokenizer, prompt) for prompt in prompts]
        times = speed.response_times(model, ids[: RESPONSES[pair]], new, warm_up=2)
        found |= speed.percentiles(times[:, -1]) | {"time to first token": float(np.median(times[:, 0]))}
        found["time per token"] = float(np.median(np.diff(times, axis=1)))
        for size in BATCHES:
            rate = evaluation.generation_speed(model, tokenizer, prompts[:size], new, repeats=1)
            found |= {f"tokens a second at {size}": rate, f"seconds at {size}": size * new / rate}
        if seed == 0:  # it does not depend on the prompts
            found["peak megabytes"] = memory_of(arm)
    best = max(size / found[f"seconds at {size}"] for size in BATCHES)
    found |= {"queries a second": best, "log2 queries a second": math.log2(best), "log2 p50": math.log2(found["p50"])}
    return found


EXPERIMENTS = (
    Experiment(
        "lesson12-speed",
        (
            *(f"smollm {name}" for name in ("teacher", "int8 teacher", "22 layers", "student", "int8 student")),
            *(f"multiplication {name}" for name in ("teacher", "int8 teacher", "student", "int8 student")),
            *(f"digits {name}" for name in ("teacher", "student")),
        ),
        (0, 1, 2),
        speed_run,
    ),
)

NAMES = {
    "log2 queries a second": "queries a second",
    "log2 p50": "median latency",
    **{arm: arm.split(" ", 1)[1] for arm in EXPERIMENTS[0].arms},
}
