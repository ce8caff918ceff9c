"""What several lessons do on `smollm`: the corpus with its stored targets, one short distillation, closeness when held out."""

import functools
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence

import torch
from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase, TrainerCallback

from distill_lessons import evaluation, runtime, training
from distill_lessons.pairs import smollm
from distill_lessons.teacher import targets
from distill_lessons.teacher.text import collator, encode

STEPS, BATCH, DEPTH = 24, 4, 10
HELD_OUT = {"validation": 24, "test": 48}  # prompts that a score looks at


@functools.lru_cache(maxsize=1)
def material() -> tuple[PreTrainedModel, PreTrainedTokenizerBase, Dataset]:
    """Teacher, tokenizer, and the training examples with their stored targets, memory-mapped."""
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    vocabulary = teacher.get_output_embeddings().weight.shape[0]
    return teacher, tokenizer, targets.load(smollm.corpus_folder() / "targets", tokenizer, vocabulary)


@functools.lru_cache(maxsize=2)
def held_out(split: str) -> list[dict[str, torch.Tensor]]:
    """Batches of the first prompts of a split, with what the teacher's head sees on them."""
    teacher, tokenizer, _ = material()
    rows = encode(tokenizer, smollm.corpus(split)[: HELD_OUT[split]], max_response=65)
    rows.sort(key=lambda row: len(row["input_ids"]))
    collate = collator(tokenizer)
    return evaluation.remember(teacher, [collate(rows[i : i + 16]) for i in range(0, len(rows), 16)])


def score(student: PreTrainedModel, split: str = "test") -> dict[str, float]:
    """Closeness to the teacher on held-out prompts: kl, agreement, cross_entropy."""
    return evaluation.closeness(student, material()[0], held_out(split))


def chosen(seed: int, count: int) -> list[int]:
    """The seed's own training examples, in its own order; more than there are begins again."""
    order = torch.randperm(len(material()[2]), generator=torch.Generator().manual_seed(seed)).tolist()
    return [order[i % len(order)] for i in range(count)]


def learn(
    seed: int,
    rate: float,
    student: Callable[[], PreTrainedModel] | None = None,
    depth: int = DEPTH,
    steps: int = STEPS,
    batch: int = BATCH,
    rows: Dataset | Sequence[dict] | None = None,
    how: Mapping | None = None,
    lora: int = 0,
    callbacks: Sequence[TrainerCallback] = (),
    **changes,
) -> tuple[PreTrainedModel, float]:
    """Train one student; returns it with the seconds that training took.

    Args:
        student: a function that makes one; by default `depth` of the teacher's layers.
        rows: training rows as `targets.load` gives them; by default the seed's own from the corpus.
        how: options of `training.DistillationTrainer`; `features` may be a function that makes a `Matching`. A teacher
            is put in the loop where they need one. With targets "top_k" or "naive_top_k", `k` tokens a position.
        lora: rank of adapters, merged afterwards.
        callbacks: of the `transformers.Trainer`.
        changes: go to `training.settings`.
    """
    teacher, tokenizer, stored = material()
    torch.manual_seed(seed)
    model = student() if student else smollm.student(teacher, depth)
    if not student:
        model.get_input_embeddings().requires_grad_(False)  # taken from the teacher, and a third of a step's time saved
    if lora:
        model = training.lora(model, lora)
    how = dict(how or {})
    if callable(how.get("features")):
        how["features"] = how["features"]()
    k = how.pop("k", None)
    rows = rows if rows is not None else stored.select(chosen(seed, steps * batch))
    with tempfile.TemporaryDirectory() as folder:
        if k:
            rows = top_k_rows(folder, rows, k)
        beside = how.get("features") or (how.get("alpha", 1.0) > 0 and not how.get("targets"))
        trainer = training.DistillationTrainer(
            model=model,
            teacher=teacher if beside else None,
            args=training.settings(steps, batch, rate, seed, logging_strategy="no", bf16=runtime.bf16(), **changes),
            train_dataset=rows,
            data_collator=targets.Collator(tokenizer.pad_token_id),
            callbacks=list(callbacks),
            **how,
        )
        began = time.perf_counter()
        trainer.train()
    seconds = time.perf_counter() - began
    return (model.merge_and_unload() if lora else model).eval(), seconds


def top_k_rows(folder: str, rows: Dataset | Sequence[dict], k: int) -> list[dict]:
    """The same examples with the teacher's `k` likeliest tokens as targets."""
    teacher, tokenizer, _ = material()
    examples = {
        row["id"]: {
            "id": row["id"],
            "input_ids": list(row["input_ids"]),
            "labels": [-100] * row["prompt_length"] + list(row["input_ids"])[row["prompt_length"] :],
        }
        for row in rows
    }
    targets.store(folder, teacher, tokenizer, list(examples.values()), kind="top_k", k=k)
    found = {row["id"]: row for row in targets.load(folder, tokenizer)}
    return [found[row["id"]] for row in rows]
