"""Short runs on the corpus that lessons 04, 05 and 08 share: one student, one method, one seed, at its own best rate.

Every arm is a dict of options of `learn`. `search` finds its learning rate on seed 0 and the validation prompts; `run`
repeats it on other seeds; all are scored on the test prompts, whose topics no training prompt mentions.
"""

import functools
import tempfile
import time

import torch

from distill_lessons import evaluation, runtime, training
from distill_lessons.course import results
from distill_lessons.pairs import smollm
from distill_lessons.teacher import targets
from distill_lessons.teacher.text import collator, encode

STEPS, BATCH, DEPTH = 24, 4, 10
HELD_OUT = {"validation": 24, "test": 48}  # prompts that a score looks at
FIRST_RATE = 1.4e-3


@functools.lru_cache(maxsize=1)
def material():
    """Teacher, tokenizer, and the training examples with their stored targets, memory-mapped."""
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    vocabulary = teacher.get_output_embeddings().weight.shape[0]
    return teacher, tokenizer, targets.load(smollm.corpus_folder() / "targets", tokenizer, vocabulary)


@functools.lru_cache(maxsize=2)
def held_out(split):
    """Batches of the first prompts of a split, with what the teacher's head sees on them."""
    teacher, tokenizer, _ = material()
    rows = encode(tokenizer, smollm.corpus(split)[: HELD_OUT[split]], max_response=65)
    rows.sort(key=lambda row: len(row["input_ids"]))
    collate = collator(tokenizer)
    return evaluation.remember(teacher, [collate(rows[i : i + 16]) for i in range(0, len(rows), 16)])


def score(student, split="test"):
    """Closeness to the teacher on held-out prompts: kl, agreement, cross_entropy."""
    return evaluation.closeness(student, material()[0], held_out(split))


def chosen(seed, count):
    """The seed's own training examples, in its own order; more than there are begins again."""
    order = torch.randperm(len(material()[2]), generator=torch.Generator().manual_seed(seed)).tolist()
    return [order[i % len(order)] for i in range(count)]


def learn(
    seed,
    rate,
    student=None,
    depth=DEPTH,
    steps=STEPS,
    batch=BATCH,
    rows=None,
    how=None,
    lora=0,
    callbacks=(),
    **changes,
):
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


def top_k_rows(folder, rows, k):
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


def search(learned, first=FIRST_RATE):
    """Try learning rates around `first`, a factor of two apart, until the best has a worse one on either side.

    Args:
        learned: ``learned(rate)`` returns a trained student and its seconds; called once a rate.
    Returns:
        dict: learning_rate; "validation at <rate>" for every rate tried; and of the best one its test score and seconds.
    """
    tried, best = {}, None

    def attempt(step):
        nonlocal best
        student, seconds = learned(first * 2.0**step)
        tried[step] = score(student, "validation")["kl"]
        if tried[step] == min(tried.values()):
            best = step, student, seconds

    for step in (0, 1, -1):
        attempt(step)
    while best[0] in (min(tried), max(tried)):
        attempt(best[0] + (1 if best[0] == max(tried) else -1))
    step, student, seconds = best
    rates = {f"validation at {first * 2.0**each:.2g}": value for each, value in sorted(tried.items())}
    return {"learning_rate": first * 2.0**step} | score(student) | {"seconds": seconds} | rates


def run(name, arm, seed, learned):
    """An arm at the rate that experiment `name` found for it on the CPU, where its run of seed 0 is not made again."""
    table = results.load(name)
    found = table[table.arm == arm].set_index("metric").value
    kept = ("kl", "agreement", "cross_entropy", "tokens", "seconds", "learning_rate")
    if seed == 0 and runtime.device().type == "cpu":
        return {metric: found[metric] for metric in kept}
    student, seconds = learned(found["learning_rate"])
    return score(student) | {"seconds": seconds, "learning_rate": found["learning_rate"]}
