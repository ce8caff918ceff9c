"""One run of distillation on the `smollm` pair, as lesson 00 shows it, for the experiments of several lessons."""

import functools

import torch
from transformers import PreTrainedModel

from distill_lessons import evaluation, training
from distill_lessons.pairs import smollm
from distill_lessons.teacher.text import collator, encode


@functools.lru_cache(maxsize=1)
def pair():
    """Teacher, tokenizer, encoded examples of each split, and the collator; loaded once a process."""
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    examples = {name: encode(tokenizer, smollm.rows(name)) for name in ("train", "validation", "test")}
    return teacher, tokenizer, examples, collator(tokenizer)


def held_out(student: PreTrainedModel, split: str) -> dict[str, float]:
    """Closeness of a student to the teacher on a split (`evaluation.closeness`)."""
    teacher, _, examples, collate = pair()
    rows = examples[split]
    return evaluation.closeness(student, teacher, [collate(rows[i : i + 16]) for i in range(0, len(rows), 16)])


def distil(
    seed: int,
    steps: int,
    alpha: float = 1.0,
    temperature: float = 1.0,
    learning_rate: float = 7e-4,
    depth: int = 16,
    batch_size: int = 4,
) -> PreTrainedModel:
    """A student of `depth` layers after `steps` of `DistillationTrainer`; the seed decides the order of the examples."""
    teacher, _, examples, collate = pair()
    student = smollm.student(teacher, depth)
    student.get_input_embeddings().requires_grad_(False)  # taken from the teacher; a third of a step's time saved
    order = torch.randperm(len(examples["train"]), generator=torch.Generator().manual_seed(seed))
    trainer = training.DistillationTrainer(
        model=student,
        teacher=teacher,
        alpha=alpha,
        temperature=temperature,
        args=training.settings(steps, batch_size, learning_rate, seed, logging_strategy="no"),
        train_dataset=[examples["train"][i] for i in order[: steps * batch_size]],
        data_collator=collate,
    )
    trainer.train()
    return student.eval()
