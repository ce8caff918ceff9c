"""Measuring a language-model student: closeness to the teacher on held-out text, speed, size. Returns numbers, prints none."""

import statistics
import time

import torch
import torch.nn.functional as F

from distill_lessons import generation, losses
from distill_lessons.training import response_logits, response_states


@torch.no_grad()
def remember(teacher, batches):
    """The batches on the teacher's device, each with ``teacher_states``: `closeness` then does not run the teacher."""
    kept = []
    for batch in batches:
        batch = {name: tensor.to(teacher.device) for name, tensor in batch.items()}
        kept.append(batch | {"teacher_states": response_states(teacher, batch, lambda states: states)})
    return kept


@torch.no_grad()
def closeness(student, teacher, batches):
    """How close a student is to its teacher on held-out responses.

    Args:
        batches: a list of batches as `pairs.smollm.collator` makes them, or of `remember`; all response tokens count
            the same.
    Returns:
        dict of ``kl`` (teacher ‖ student, nats per token), ``agreement`` (share of tokens with the same likeliest next
        token), ``cross_entropy`` (of the text, nats per token) and ``tokens``.
    """
    student.eval()
    totals = {"kl": 0.0, "agreement": 0.0, "cross_entropy": 0.0, "tokens": 0}
    for batch in batches:
        batch = {name: tensor.to(teacher.device) for name, tensor in batch.items()}
        if "teacher_states" in batch:
            teacher_logits = teacher.get_output_embeddings()(batch["teacher_states"])
        else:
            teacher_logits, _ = response_logits(teacher, batch)
        student_logits, labels = response_logits(student, batch)
        count = len(labels)
        totals["kl"] += losses.forward_kl(student_logits, teacher_logits).item() * count
        totals["agreement"] += (student_logits.argmax(-1) == teacher_logits.argmax(-1)).sum().item()
        totals["cross_entropy"] += F.cross_entropy(student_logits.float(), labels, reduction="sum").item()
        totals["tokens"] += count
    tokens = totals.pop("tokens")
    return {name: total / tokens for name, total in totals.items()} | {"tokens": tokens}


def responses(model, tokenizer, prompts, max_new_tokens, batch_size=500):
    """The model's likeliest response to each prompt, as text, many prompts at a time: for scores of exact match.

    A response that is not at its end after `max_new_tokens` is cut there.
    """
    made = generation.generate(model, tokenizer, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size)
    return [text for text, _ in made]


def generation_speed(model, tokenizer, prompts, new_tokens=32, repeats=3):
    """Tokens generated per second, all prompts in one batch: the median of `repeats` after one warm-up.

    Every answer is made exactly `new_tokens` long, so that two models do the same work.
    """
    generation.generate(model, tokenizer, prompts, max_new_tokens=2, batch_size=len(prompts))
    seconds = []
    for _ in range(repeats):
        began = time.perf_counter()
        generation.generate(
            model, tokenizer, prompts, max_new_tokens=new_tokens, min_new_tokens=new_tokens, batch_size=len(prompts)
        )
        seconds.append(time.perf_counter() - began)
    return len(prompts) * new_tokens / statistics.median(seconds)


def size(model):
    """dict of ``parameters`` (shared ones counted once) and ``megabytes``, the memory that the weights take."""
    weights = list(model.parameters())
    return {
        "parameters": sum(weight.numel() for weight in weights),
        "megabytes": sum(weight.numel() * weight.element_size() for weight in weights) / 1e6,
    }
