"""Lesson 07: how long the student trains and is asked, as the lesson does it and in faster ways; and what that does to it."""

import time
from statistics import median

from transformers import TrainerCallback

from distill_lessons.course.experiments import on_multiplication
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import multiplication as pair

STEPS, BATCH = 1500, 256
WAYS = {
    "float32": {},
    "bfloat16": {"bf16": True},
    "bfloat16, compiled": {"bf16": True, "torch_compile": True},
}


class Clock(TrainerCallback):
    """The time at the beginning of the training and at the end of every step."""

    def on_train_begin(self, args, state, control, **rest):
        self.times = [time.perf_counter()]

    def on_step_end(self, args, state, control, **rest):
        self.times.append(time.perf_counter())


def run(arm, seed):
    """Training on the teacher's steps: seconds in all, of the first five steps, where compiling is, and the median of a later
    one; seconds to ask the student the 500 test problems, and the share that it gets right.
    """
    tokenizer, problems, clock = pair.tokenizer(), pair.problems("test"), Clock()
    how = {"seed": seed, "batch": BATCH, "callbacks": [clock]} | WAYS[arm]
    student, seconds = on_multiplication.learn(
        pair.student(seed), tokenizer, on_multiplication.texts("teacher"), STEPS, **how
    )
    steps = [later - earlier for earlier, later in zip(clock.times, clock.times[1:])]
    on_multiplication.ask(student, problems[:8])  # what is done once, by whatever runs first
    began = time.perf_counter()
    answers = on_multiplication.ask(student, problems)
    asked = time.perf_counter() - began
    found = {"seconds": seconds, "first steps": sum(steps[:5]), "step": median(steps[5:])}
    return found | {"asking": asked, "accuracy": on_multiplication.accuracy(problems, answers)}


EXPERIMENTS = (Experiment("lesson07-speed", tuple(WAYS), (0, 1, 2), run, ("cpu", "cuda")),)
