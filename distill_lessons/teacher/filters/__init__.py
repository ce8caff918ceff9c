"""Filters over a `datasets.Dataset`: each keeps or drops every row and says why; `run` makes a funnel of several.

``filters.run(dataset, [filters.length(5, 300), filters.near_duplicates(), filters.contamination(test_texts)])``
"""

from distill_lessons.teacher.filters.by_models import perplexities, perplexity, sampled, self_consistency
from distill_lessons.teacher.filters.correctness import (
    fit_reward,
    pair_accuracy,
    reference,
    reward,
    same_number,
    same_words,
)
from distill_lessons.teacher.filters.form import json_schema, labels, length, repetition
from distill_lessons.teacher.filters.overlap import contamination, near_duplicates
from distill_lessons.teacher.filters.pipeline import Run, against, random_share, run
from distill_lessons.teacher.filters.sheets import people, sheet_in, sheet_out
from distill_lessons.teacher.filters.verdicts import Filter, Verdict, normalised, words

__all__ = [
    "Filter",
    "Run",
    "Verdict",
    "against",
    "contamination",
    "fit_reward",
    "json_schema",
    "labels",
    "length",
    "near_duplicates",
    "normalised",
    "pair_accuracy",
    "people",
    "perplexities",
    "perplexity",
    "random_share",
    "reference",
    "repetition",
    "reward",
    "run",
    "same_number",
    "same_words",
    "sampled",
    "self_consistency",
    "sheet_in",
    "sheet_out",
    "words",
]
