"""How close a student is to its teacher on held-out text, as a mean and token by token. Returns numbers, prints none."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext

import numpy as np
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill_lessons import losses
from distill_lessons.evaluation import power
from distill_lessons.losses import IGNORE
from distill_lessons.models import evaluating, logits_of, response_logits, response_states
from distill_lessons.teacher import generation

Batch = Mapping[str, torch.Tensor]


@torch.no_grad()
def remember(teacher: PreTrainedModel, batches: Iterable[Batch]) -> list[dict[str, torch.Tensor]]:
    """The batches on the teacher's device, each with ``teacher_states``: `closeness` then does not run the teacher."""
    kept = []
    with evaluating(teacher):
        for batch in batches:
            batch = _on(teacher.device, batch)
            kept.append(batch | {"teacher_states": response_states(teacher, batch, lambda states: states)})
    return kept


@torch.no_grad()
def closeness(student: PreTrainedModel, teacher: PreTrainedModel, batches: Iterable[Batch]) -> dict[str, float]:
    """How close a student is to its teacher on held-out responses; both run in eval mode, and are left as they were.

    Args:
        batches: as `teacher.text.collator` makes them, or of `remember`; all response tokens count the same.
    Returns:
        dict of ``kl`` (teacher ‖ student, nats per token), ``agreement`` (share of tokens with the same likeliest next
        token), ``cross_entropy`` (of the text, nats per token) and ``tokens``.
    Raises:
        ValueError: there is no batch, or one has no response token.
    """
    totals = {"kl": 0.0, "agreement": 0.0, "cross_entropy": 0.0, "tokens": 0}
    with evaluating(student), evaluating(teacher):
        for batch in batches:
            student_logits, labels = response_logits(student, batch)
            teacher_logits = _teacher_logits(teacher, _on(teacher.device, batch)).to(student_logits.device)
            count = len(labels)
            totals["kl"] += losses.forward_kl(student_logits, teacher_logits).item() * count
            totals["agreement"] += (student_logits.argmax(-1) == teacher_logits.argmax(-1)).sum().item()
            totals["cross_entropy"] += F.cross_entropy(student_logits.float(), labels, reduction="sum").item()
            totals["tokens"] += count
    tokens = totals.pop("tokens")
    if not tokens:
        raise ValueError("there is no batch to compare on: give at least one")
    return {name: total / tokens for name, total in totals.items()} | {"tokens": tokens}


def perplexity(cross_entropy: float) -> float:
    """exp of a cross-entropy in nats per token: among how many equally likely tokens the model is as unsure."""
    with np.errstate(over="ignore"):  # over e^709 it is inf
        return float(np.exp(cross_entropy))


@torch.no_grad()
def next_tokens(
    model: PreTrainedModel, batches: Iterable[Batch], teacher: PreTrainedModel | None = None
) -> dict[str, np.ndarray]:
    """What a model says before every response token, an entry a token, in the batches' order: `closeness`, not yet averaged.

    Args:
        batches: as for `closeness`.
        teacher: to be compared with; None leaves out the last two entries.
    Returns:
        dict of arrays ``[tokens]``: ``row`` (which response, counted over all batches), ``right`` (the likeliest token is
        the text's), ``confidence`` (probability of the likeliest), ``surprise`` (−log p of the text's token, nats),
        ``brier`` (squared error of the whole distribution, 0 to 2; Brier 1950), ``kl`` (teacher ‖ model, nats) and
        ``agrees`` (with the teacher's likeliest token).
    Raises:
        ValueError: as `closeness`.
    """
    found = {name: [] for name in ("row", "right", "confidence", "surprise", "brier", "kl", "agrees")}
    rows = 0
    with evaluating(model), evaluating(teacher) if teacher is not None else nullcontext():
        for batch in batches:
            logits, labels = response_logits(model, batch)
            log_p = logits.float().log_softmax(-1)
            own = log_p.gather(-1, labels.unsqueeze(-1)).squeeze(-1)
            best = log_p.max(-1)
            found["row"].append(rows + (batch["labels"][:, 1:] != IGNORE).nonzero()[:, 0].to(logits.device))
            found["right"].append((best.indices == labels).float())
            found["confidence"].append(best.values.exp())
            found["surprise"].append(-own)
            found["brier"].append((2 * log_p).exp().sum(-1) - 2 * own.exp() + 1)
            if teacher is not None:
                theirs = _teacher_logits(teacher, _on(teacher.device, batch)).to(logits.device).float().log_softmax(-1)
                found["kl"].append((theirs.exp() * (theirs - log_p)).sum(-1))
                found["agrees"].append((best.indices == theirs.argmax(-1)).float())
            rows += len(batch["labels"])
    if not rows:
        raise ValueError("there is no batch to read: give at least one")
    return {name: torch.cat(parts).cpu().double().numpy() for name, parts in found.items() if parts}


def _on(device, batch):
    return {name: tensor.to(device) for name, tensor in batch.items()}


def _teacher_logits(teacher, batch):
    """The teacher's logits at the response tokens, from what `remember` kept if it is there."""
    if "teacher_states" in batch:
        return logits_of(teacher, batch["teacher_states"])
    return response_logits(teacher, batch)[0]


def by_row(tokens: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The sum of one entry of `next_tokens` over each response: an array ``[responses]``.

    Raises:
        ValueError: there is no such entry.
    """
    if name not in tokens:
        raise ValueError(f"there is no {name!r}, only {', '.join(tokens)}: kl and agrees need a teacher")
    return np.bincount(tokens["row"].astype(int), weights=tokens[name])


def transfer_ratio(student: power.Scores, teacher: power.Scores) -> power.Estimate:
    """Score of the student ÷ score of the teacher on the same items, with a 95% paired bootstrap interval over items.

    Where the two score alike on every item, the interval says what items that were not seen may be like
    (`power.bootstrap`): it does not know whether they are one model.

    Args:
        student, teacher: a score an item, ``[N]`` each, larger is better; for text the sum over a whole response, since
            tokens of one response are not independent.
    Returns:
        `power.Estimate`.
    Raises:
        ValueError: the items differ in number, or the teacher's scores sum to no more than 0.
    """
    student, teacher = power.paired(student, teacher)
    if teacher.sum() <= 0:
        raise ValueError("the teacher's scores sum to no more than 0: a ratio to it means nothing")
    return power.bootstrap(lambda ours, theirs: ours / np.maximum(theirs, 1e-12), student, teacher)


def responses(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Sequence[str],
    max_new_tokens: int,
    batch_size: int = 500,
) -> list[str]:
    """The model's likeliest response to each prompt, as text, many prompts at a time: for scores of exact match.

    A response that is not at its end after `max_new_tokens` is cut there.
    """
    made = generation.generate(model, tokenizer, prompts, max_new_tokens=max_new_tokens, batch_size=batch_size)
    return [text for text, _ in made]
