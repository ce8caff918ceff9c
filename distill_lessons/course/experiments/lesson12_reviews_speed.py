"""Lesson 12, speed on `reviews`: from text to answer, teacher and students, one sentence at a time and in batches.

Record it while nothing else runs. Tokenising and, for the student on frozen word vectors, its features count; loading does
not. The students' batches grow to 2,048 sentences; the teacher's end at 128, where it gains little more: 31 sentences a
second at 8, 35 at 128.
"""

import functools
import math

import numpy as np
import torch

from distill_lessons import evaluation, runtime
from distill_lessons.course.results import Experiment
from distill_lessons.evaluation import speed
from distill_lessons.pairs import reviews, smollm

BATCHES = {"teacher": (1, 8, 32, 128), "students": (1, 32, 256, 2048)}
ONE_BY_ONE = {"teacher": 40, "students": 300}
STUDENTS = ("frozen", "bag", "gru", "transformer")


@functools.lru_cache(maxsize=1)
def answer(arm):
    """A function from texts to answers. A student's weights do not matter: it is untrained."""
    if arm == "teacher":
        ask = reviews.tuned()
        return lambda texts: ask(texts).argmax(-1)
    model = getattr(reviews, arm)().to(runtime.device()).eval()
    read = reviews.features_of if arm == "frozen" else reviews.encode

    def run(texts):
        with torch.inference_mode():
            return model(read(texts).to(runtime.device())).argmax(-1).cpu()

    return run


def weights(arm):
    """Weights that answer a request: the teacher's with its adapters, a student's with frozen word vectors."""
    if arm == "teacher":
        return sum(each.numel() for each in smollm.teacher().parameters())
    own = sum(each.numel() for each in getattr(reviews, arm)().parameters())
    return own + (smollm.teacher().get_input_embeddings().weight.numel() if arm == "frozen" else 0)


def run(arm, seed):
    """Latency of one sentence at a time and sentences a second in batches. The seed chooses the sentences."""
    who = "teacher" if arm == "teacher" else "students"
    texts = reviews.sentences()["text"].to_numpy()[np.random.default_rng(seed).permutation(reviews.places("test"))]
    ask = answer(arm)
    alone = [speed.timed(lambda text=text: ask([text]), 1, 0)[0] for text in texts[: ONE_BY_ONE[who] + 10]]
    found = evaluation.speed.percentiles(alone, warm_up=10)
    for size in BATCHES[who]:
        batch = list(texts[:size])
        found[f"seconds at {size}"] = float(np.median(speed.timed(lambda batch=batch: ask(batch), 3, 1)))
    best = max(size / found[f"seconds at {size}"] for size in BATCHES[who])
    return found | {
        "queries a second": best,
        "log2 queries a second": math.log2(best),
        "log2 p50": math.log2(found["p50"]),
        "weights": weights(arm),
    }


EXPERIMENTS = (Experiment("lesson12-reviews-speed", ("teacher", *STUDENTS), tuple(range(10)), run),)

NAMES = {"log2 queries a second": "queries a second", "log2 p50": "median latency"}
