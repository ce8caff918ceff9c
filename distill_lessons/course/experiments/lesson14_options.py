"""Lesson 14, economics: what quantising, pruning and distilling the real pair gives, in closeness, size, speed and effort."""

import copy
import functools
import math
import time

import torch

from distill_lessons import evaluation
from distill_lessons.course.experiments import on_smollm, study
from distill_lessons.course.results import Experiment
from distill_lessons.models import compression
from distill_lessons.pairs import smollm
from distill_lessons.teacher.text import collator, encode

STEPS, DEPTH, WIDTH, SHARE = 24, 16, 768, 0.5  # training steps of four; layers of 30; inner neurons of 1,536; zeros
SHAPES = ("layers", "neurons", "weights")
PROMPTS = {"one": (1, 16), "batch": (32, 8)}  # prompts at a time and tokens an answer, for speeds


@functools.lru_cache(maxsize=1)
def importance():
    """Of the teacher's inner neurons, on 64 training examples."""
    teacher, tokenizer, _ = on_smollm.material()
    rows = encode(tokenizer, smollm.corpus("train")[:64], max_response=65)
    collate = collator(tokenizer)
    return compression.neuron_importance(teacher, [collate(rows[i : i + 16]) for i in range(0, 64, 16)])


def cut(shape):
    """The teacher without half of its "layers", inner "neurons" or single "weights"; trainable but for its embedding."""
    teacher = on_smollm.material()[0]
    if shape == "layers":
        model = smollm.student(teacher, DEPTH)
    elif shape == "neurons":
        model = compression.narrower(teacher, WIDTH, importance())
    else:
        model = compression.sparse(copy.deepcopy(teacher).requires_grad_(True), SHARE)
    model.get_input_embeddings().requires_grad_(False)
    return model


def learned(shape, seed, rate):
    """A cut teacher, distilled on the stored targets, with the seconds of its training."""
    return on_smollm.learn(seed, rate, student=lambda: cut(shape), steps=STEPS, how={"targets": "sampled"})


@functools.lru_cache(maxsize=1)
def distilled(shape, seed):
    """The same at its best rate."""
    model, seconds = learned(shape, seed, study.found_rate("lesson14-rates", shape))
    return compression.settled(model), seconds


def made(arm, seed):
    """The model of an arm, and the seconds that making it took."""
    teacher = on_smollm.material()[0]
    if arm.startswith("distilled"):
        model, seconds = distilled(arm.split()[1], seed)
        if not arm.endswith("int8"):
            return model, seconds
    else:
        model, seconds = teacher, 0.0
        if arm in SHAPES:
            importance.cache_clear()
    began = time.perf_counter()
    if arm.endswith("int8"):
        model = compression.int8(model)
    elif arm == "bf16":
        model = copy.deepcopy(teacher).to(torch.bfloat16)
    elif arm in SHAPES:
        model = compression.settled(cut(arm))
    return model.eval(), seconds + time.perf_counter() - began


def speeds(model, seed, repeats=2):
    """Tokens a second with one prompt and with a batch, reading the prompts included, and the speed-up over the teacher.

    Model and teacher take turns, so that what else the machine does slows both. The speed-up is a binary logarithm.
    """
    teacher, tokenizer, _ = on_smollm.material()
    found = {}
    for name, (count, new) in PROMPTS.items():
        prompts = [row["prompt"] for row in smollm.corpus("train")[32 * seed :][:count]]
        pairs = [
            [evaluation.generation_speed(each, tokenizer, prompts, new, repeats=1) for each in (model, teacher)]
            for _ in range(repeats)
        ]
        logs = [[math.log2(speed) for speed in pair] for pair in pairs]
        found[f"per second, {name}"] = 2 ** (sum(own for own, _ in logs) / repeats)
        found[f"speedup, {name}"] = sum(own - its for own, its in logs) / repeats
    return found


@functools.lru_cache
def score_of(arm):
    """Closeness of an arm that is the same for every seed."""
    return on_smollm.score(made(arm, 0)[0])


def compress(arm, seed):
    """What an arm gives and costs: closeness on test prompts, seconds to make it, megabytes; speeds, but not of a
    "distilled" one, which has the shape of the one before its training. The seed chooses training examples and prompts.
    """
    model, seconds = made(arm, seed)
    found = dict(on_smollm.score(model) if arm.startswith("distilled") else score_of(arm))
    found |= {"seconds": seconds, "log2 seconds": math.log2(max(seconds, 0.01))}
    found |= {"megabytes": compression.megabytes(model)}
    if "int8" not in arm:
        found["zeros"] = compression.zeros(model)
    if arm.endswith("int8") or not arm.startswith("distilled"):
        found |= speeds(model, seed)
    return found


EXPERIMENTS = (
    study.rates("lesson14-rates", ("layers", "neurons"), learned),
    Experiment(
        "lesson14-options",
        (
            "teacher",
            "bf16",
            "int8",
            "weights",
            "neurons",
            "layers",
            "distilled neurons",
            "distilled layers",
            "distilled layers int8",
        ),
        (0, 1, 2),
        compress,
    ),
)

NAMES = {
    "kl": "KL to the teacher",
    "log2 seconds": "time to make",
    "speedup, one": "speed-up",
    "speedup, batch": "speed-up",
    "int8": "8-bit weights",
    "layers": "half the layers",
    "neurons": "half the neurons",
    "distilled layers": "half the layers, distilled",
    "distilled neurons": "half the neurons, distilled",
}
