"""Measuring a student: `fidelity` to its teacher, `calibration`, `judging`, `speed`, `power`, and the `goals` it was set.

Returns rows and numbers, prints none.
"""

from distill_lessons.evaluation import calibration, goals, judging, power, speed
from distill_lessons.evaluation.fidelity import (
    by_row,
    closeness,
    next_tokens,
    perplexity,
    remember,
    responses,
    transfer_ratio,
)
from distill_lessons.evaluation.speed import generation_speed, size, size_on_disk

__all__ = [
    "by_row",
    "calibration",
    "closeness",
    "generation_speed",
    "goals",
    "judging",
    "next_tokens",
    "perplexity",
    "power",
    "remember",
    "responses",
    "size",
    "size_on_disk",
    "speed",
    "transfer_ratio",
]
