"""Lesson 05, response distillation: sampling settings, text against logits at equal tokens and time, LoRA, batching."""

import math
import time

import numpy as np
import torch

from distill_lessons.course.experiments import on_smollm, sampling, study
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import smollm
from distill_lessons.teacher import generation
from distill_lessons.teacher.text import encode

TEXT, STORED = {"alpha": 0.0}, {"targets": "sampled"}
LONGER = 1.9  # steps on text in the time of one with the teacher in the loop; lesson05-speed measures it


def answers(name, seed):
    """As many answers under a sampling setting as a run takes, in the seed's order, as rows for `targets.Collator`."""
    tokenizer = on_smollm.material()[1]
    every = encode(tokenizer, sampling.rows(name), max_response=65)
    order = torch.randperm(len(every), generator=torch.Generator().manual_seed(seed)).tolist()
    rows = []
    for example in (every[i] for i in order[: on_smollm.STEPS * on_smollm.BATCH]):
        prompt = sum(label == -100 for label in example["labels"])
        count = len(example["labels"]) - prompt
        empty = {"sizes": np.ones(count, int), "ids": np.zeros(count, int), "counts": np.ones(count, int)}
        row = {"input_ids": example["input_ids"], "prompt_length": prompt, "entropy": np.zeros(count)}
        rows.append(row | empty)  # text only: the targets are never looked at
    return rows


SETTINGS = ("greedy", "T0.7", "top-p", "T1", "T1.5")
ARMS = {
    "text longer": {"how": TEXT, "steps": round(LONGER * on_smollm.STEPS)},
    "lora text": {"how": TEXT, "lora": 16},
    "lora logits": {"how": STORED, "lora": 16},
}


def learned(arm, seed, rate):
    """A trained student of an arm, with its seconds."""
    if arm in SETTINGS:
        return on_smollm.learn(seed, rate, how=TEXT, rows=answers(arm, seed))
    return on_smollm.learn(seed, rate, **ARMS[arm])


def first_rate(arm):
    """Adapters take higher rates."""
    return 4 * study.FIRST_RATE if arm.startswith("lora") else study.FIRST_RATE


def speed(arm, seed):
    """Tokens a second of the teacher: "single" prompts, a "batch" of 64, a batch "without cache"; steps a second of the
    student with targets "stored" and with the teacher "online". The seed chooses the prompts or examples. A GPU does
    everything once before the clock runs, and more steps: otherwise its preparations would be all that is timed.
    """
    teacher, tokenizer, _ = on_smollm.material()
    gpu = teacher.device.type == "cuda"
    if arm in ("stored", "online"):
        how, steps = STORED if arm == "stored" else {}, 100 if gpu else 6
        if gpu:
            on_smollm.learn(seed, 1e-3, steps=2, how=how)
        _, seconds = on_smollm.learn(seed, 1e-3, steps=steps, how=how)
        return rate(steps / seconds)
    prompts = [row["prompt"] for row in smollm.corpus("train")[64 * seed : 64 * seed + 64]]
    prompts = prompts[:2] if arm == "single" else prompts
    lengths = (4, 12) if arm == "without cache" else (4, 36)  # the difference leaves out the reading of the prompts
    times = []
    for new in (lengths[0], *lengths) if gpu else lengths:
        began = time.perf_counter()
        how = {"max_new_tokens": new, "min_new_tokens": new, "batch_size": 1 if arm == "single" else 64}
        generation.generate(teacher, tokenizer, prompts, use_cache=arm != "without cache", **how)
        times.append(time.perf_counter() - began)
    return rate(len(prompts) * (lengths[1] - lengths[0]) / (times[-1] - times[-2]))


def rate(per_second):
    """A speed, and its binary logarithm: a difference of 1 is a factor of two."""
    return {"per second": per_second, "log2 per second": math.log2(per_second)}


EXPERIMENTS = (
    *study.searched("lesson05-rates", "lesson05-arms", (*SETTINGS, *ARMS), learned, first=first_rate),
    Experiment(
        "lesson05-speed", ("single", "batch", "without cache", "stored", "online"), (0, 1, 2), speed, ("cpu", "cuda")
    ),
)

NAMES = {
    "kl": "KL to the teacher",
    "T0.7": "temperature 0.7",
    "T1": "temperature 1",
    "T1.5": "temperature 1.5",
    "top-p": "top-p 0.9",
    "text longer": "text for as long",
    "log2 per second": "speed",
    "single": "one prompt at a time",
    "batch": "64 prompts at a time",
    "stored": "stored targets",
    "online": "teacher in the loop",
}
