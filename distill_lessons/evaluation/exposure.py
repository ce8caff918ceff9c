"""Exposure bias: how far a student is from its teacher at each token, on the teacher's prefixes and on its own."""

from collections.abc import Sequence

import numpy as np
import torch
from transformers import PreTrainedModel

from distill_lessons import losses
from distill_lessons.losses import IGNORE
from distill_lessons.models import evaluating, response_logits
from distill_lessons.teacher import text
from distill_lessons.teacher.generation import end_tokens
from distill_lessons.training import onpolicy


@torch.no_grad()
def by_position(
    student: PreTrainedModel, teacher: PreTrainedModel, examples: Sequence[dict], batch_size: int = 32
) -> list[dict]:
    """How far a student is from its teacher at the first response token, at the second, and so on; both in eval mode.

    Args:
        examples: token ids with labels that are -100 on the prompt (`teacher.text.encode`, `own_examples`).
    Returns:
        A dict a position: ``position`` (from 1), ``tokens`` (how many responses reach it), ``forward`` and ``reverse``
        (KL, nats per token) and ``differs`` (share of the tokens where the two's likeliest ones differ).
    Raises:
        ValueError: no example, or a batch without a response token.
    """
    found = []
    with evaluating(student), evaluating(teacher):
        for start in range(0, len(examples), batch_size):
            batch = text.Padded(0)(examples[start : start + batch_size])
            ours, theirs = (response_logits(model, batch)[0] for model in (student, teacher))
            counted = batch["labels"][:, 1:] != IGNORE
            places = (counted.cumsum(1)[counted]).tolist()
            theirs = theirs.to(ours.device)
            for place, one, other in zip(places, ours, theirs):
                differs = float(one.argmax() != other.argmax())
                found.append(
                    (place, losses.forward_kl(one, other).item(), losses.reverse_kl(one, other).item(), differs)
                )
    if not found:
        raise ValueError("there is no example to compare on: give at least one")
    table = np.array(found)
    rows = []
    for place in range(1, int(table[:, 0].max()) + 1):
        here = table[table[:, 0] == place]
        forward, reverse, differs = here[:, 1:].mean(0).tolist()
        rows.append(
            {"position": place, "tokens": len(here), "forward": forward, "reverse": reverse, "differs": differs}
        )
    return rows


def own_examples(
    model: PreTrainedModel,
    examples: Sequence[dict],
    tokenizer=None,
    max_new_tokens: int = 64,
    temperature: float = 1.0,
    seed: int = 0,
    batch_size: int = 64,
) -> list[dict]:
    """The examples' prompts with responses by a model, in the examples' form and order.

    Args:
        tokenizer: for its end token, where the model's own are not all; None where they are.
        temperature: 0 takes the likeliest token.
    Raises:
        ValueError: an example has no prompt.
    """
    found, ends = [], end_tokens(model, tokenizer)
    for start in range(0, len(examples), batch_size):
        prompts = onpolicy.prompts_of(text.Padded(0)(examples[start : start + batch_size]))
        numbers = onpolicy.uniform(seed, 0, range(start, start + len(prompts)), max_new_tokens)
        written = onpolicy.write(model, prompts, ends, numbers, temperature)
        found += [onpolicy.example(prompt, each) for prompt, each in zip(prompts, written)]
    return found
