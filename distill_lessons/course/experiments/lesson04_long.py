"""Lesson 04, the long run: text and logits for 300,000 response tokens, and what the students say at the end.

The corpus 2.6 times over; scored on the test prompts along the way.
"""

import json

from transformers import TrainerCallback

from distill_lessons import runtime
from distill_lessons.course import results
from distill_lessons.course.experiments import lesson04, on_smollm, study
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import smollm
from distill_lessons.teacher import generation

BATCH, TOKENS = 8, 300_000
SAMPLED = 3  # the first test prompts, whatever they are


class Scores(TrainerCallback):
    """Scores the student at some steps; `seen` are the response tokens of the examples up to each step."""

    def __init__(self, steps, seen):
        self.steps, self.seen, self.found = steps, seen, {}

    def on_step_end(self, args, state, control, model=None, **rest):
        if state.global_step in self.steps:
            score = on_smollm.score(model)
            for metric in ("kl", "agreement", "cross_entropy"):
                self.found[f"{metric} at {self.seen[state.global_step - 1]}"] = score[metric]
            model.train()


def samples(student):
    """The student's likeliest answers to the first test prompts."""
    prompts = [row["prompt"] for row in smollm.corpus("test")[:SAMPLED]]
    made = generation.generate(student, on_smollm.material()[1], prompts, max_new_tokens=48)
    return dict(zip(prompts, (text for text, _ in made)))


def run(arm, seed):
    """Arm "text" or "logits" at the rate of its short runs, until it has seen that many tokens."""
    stored = on_smollm.material()[2]
    order = on_smollm.chosen(seed, 4 * len(stored))
    tokens = [len(row["sizes"]) for row in stored.select_columns(["sizes"])]
    seen = []
    while not seen or seen[-1] < TOKENS:
        start = len(seen) * BATCH
        seen.append((seen[-1] if seen else 0) + sum(tokens[i] for i in order[start : start + BATCH]))
    steps = len(seen)
    scores = Scores({round(steps * share) for share in (0.02, 0.05, 0.1, 0.2, 0.35, 0.5, 0.75, 1)}, seen)
    rate = study.found_rate("lesson04-rates", arm)
    student, seconds = on_smollm.learn(
        seed,
        rate,
        steps=steps,
        batch=BATCH,
        rows=stored.select(order[: steps * BATCH]),
        callbacks=[scores],
        **lesson04.ARMS[arm],
    )
    said = {"teacher": samples(on_smollm.material()[0]), arm: samples(student)}
    path = results.recorded_folder(runtime.device().type) / "lesson04-samples.json"
    said = (json.loads(path.read_text()) if path.exists() else {}) | said
    with runtime.replacing(path) as temporary:
        temporary.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n")
    return scores.found | {"tokens": seen[-1], "seconds": seconds, "learning_rate": rate}


EXPERIMENTS = (Experiment("lesson04-long", ("text", "logits"), (0,), run, ("cpu", "cuda")),)
