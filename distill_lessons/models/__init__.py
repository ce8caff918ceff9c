"""Running, cutting and shrinking language models: what training and evaluation both need of one."""

from distill_lessons.models.responses import (
    base_of,
    check_head,
    evaluating,
    head_of,
    last_step,
    logits_of,
    response_logits,
    response_states,
)

__all__ = [
    "base_of",
    "check_head",
    "evaluating",
    "head_of",
    "last_step",
    "logits_of",
    "response_logits",
    "response_states",
]
