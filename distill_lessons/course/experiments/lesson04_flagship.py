"""Lesson 04, the flagship: about a million response tokens on stored draws, for students of 16 and of 22 layers.

The corpus at temperature 1 nearly nine times over, one seed, alpha 1, batches of 16, at the rate below. Scored on the test
prompts along the way. It goes on from its last checkpoint under build/flagship: about four hours on two cores for 16 layers
and five for 22.
"""

import json
import math

import torch
from transformers import TrainerCallback

from distill_lessons import runtime, training
from distill_lessons.course import results
from distill_lessons.course.experiments import on_corpus
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import smollm, smollm_corpus
from distill_lessons.teacher import generation, targets

TOKENS, BATCH, RATE = 1_000_000, 16, 1e-3
DEPTHS = {"16 layers": 16, "22 layers": 22}
SHARES = (0.01, 0.03, 0.1, 0.2, 0.35, 0.5, 0.7, 0.85, 1)  # of the steps, at which a student is scored
SAMPLED = 3  # the first test prompts, whatever they are
SAVED = 50  # steps between two checkpoints
METRICS = ("kl", "agreement", "cross_entropy", "judged", "transfer ratio")


class Scores(TrainerCallback):
    """Scores the student at some steps, and keeps what it found in a file, so that a cut-off loses no score.

    Args:
        steps: ``{step: response tokens seen up to it}``.
    """

    def __init__(self, path, steps):
        self.path, self.steps = path, steps

    def read(self) -> dict[str, float]:
        """What has been found: "kl at 10000" and so on."""
        return json.loads(self.path.read_text()) if self.path.is_file() else {}

    def on_step_end(self, args, state, control, model=None, **rest):
        seen = self.steps.get(state.global_step)
        if seen is None:
            return
        found = on_corpus.scores(model.eval(), "test")
        model.train()
        new = {f"{metric} at {seen}": sum(value) / len(value) if isinstance(value, list) else value
               for metric, value in found.items() if metric in METRICS}  # fmt: skip
        with runtime.replacing(self.path) as temporary:
            temporary.write_text(json.dumps(self.read() | new))


def samples(model) -> dict[str, str]:
    """A model's likeliest answers to the first test prompts."""
    prompts = [row["prompt"] for row in smollm_corpus.rows("test")[:SAMPLED]]
    made = generation.generate(model, on_corpus.material()[1], prompts, max_new_tokens=48)
    return dict(zip(prompts, (text for text, _ in made)))


def planned(seed: int, sizes: list[int], tokens: int) -> tuple[list[int], dict[int, int]]:
    """Examples in order, every one once before any comes again, for about `tokens`; and tokens seen at the scored steps."""
    order, seen, generator = [], [], torch.Generator().manual_seed(seed)
    while not seen or seen[-1] < tokens:
        if len(order) < (len(seen) + 1) * BATCH:
            order += torch.randperm(len(sizes), generator=generator).tolist()
            continue
        start = len(seen) * BATCH
        seen.append((seen[-1] if seen else 0) + sum(sizes[place] for place in order[start : start + BATCH]))
    steps = sorted({max(1, math.ceil(share * len(seen))) for share in SHARES})
    return order[: len(seen) * BATCH], {step: seen[step - 1] for step in steps}


def run(arm, seed):
    """A student of so many layers, until it has seen a million tokens."""
    teacher, tokenizer, stored = on_corpus.material()
    order, steps = planned(seed, [len(each) for each in stored["sizes"]], TOKENS)
    folder = runtime.REPOSITORY / "build" / "flagship" / f"{arm}-{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    scores = Scores(folder / "scores.json", steps)
    student = smollm.student(teacher, DEPTHS[arm])
    student.get_input_embeddings().requires_grad_(False)
    options = {"save_steps": SAVED, "save_total_limit": 1, "logging_strategy": "no", "bf16": runtime.bf16()}
    trainer = training.DistillationTrainer(
        model=student,
        args=training.settings(len(order) // BATCH, BATCH, RATE, seed, output_dir=str(folder), **options),
        train_dataset=stored.select(order),
        processing_class=tokenizer,
        data_collator=targets.Collator(tokenizer.pad_token_id),
        targets="sampled",
        callbacks=[scores],
    )
    trainer.train(resume_from_checkpoint=training.last_checkpoint(folder))
    said = {"teacher": samples(teacher), arm: samples(trainer.model.eval())}
    path = results.recorded_folder(runtime.device().type) / "lesson04-flagship-samples.json"
    said = (json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}) | said
    with runtime.replacing(path) as temporary:
        temporary.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return scores.read() | {"tokens": max(steps.values()), "learning_rate": RATE}


EXPERIMENTS = (Experiment("lesson04-flagship", tuple(DEPTHS), (0,), run, ("cpu", "cuda")),)

NAMES = {"kl": "KL to the teacher"}
