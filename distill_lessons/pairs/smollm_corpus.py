"""The corpus of the `smollm` pair at temperature 1: what the teacher really says, and what it thinks at every token of it.

The same training prompts as `smollm.corpus`, and more held-out ones. Text sampled at temperature 1 is a fair sample of the
teacher's distribution: training on it and training on the distribution aim at the same student.
"""

from pathlib import Path

import pyarrow.parquet as pq

from distill_lessons import runtime

MAX_NEW_TOKENS = 64  # of an answer; one that ended by itself has its end-of-turn token beside


def folder() -> Path:
    """``data/smollm/corpus-T1``: responses.parquet, and the folder targets with the teacher's soft targets."""
    return runtime.data_folder() / "smollm" / "corpus-T1"


def rows(split: str | None = None) -> list[dict]:
    """The corpus: dicts of id, split, form, topic, prompt, response, and finished (it ended by itself).

    Args:
        split: "train" (of 2,200 prompts), "validation" (100) or "test" (200), whose topics occur in no training prompt.
            All if None. Prompts to which the teacher said nothing are left out.
    """
    every = pq.read_table(folder() / "responses.parquet").to_pylist()
    return [row for row in every if row["response"] and split in (None, row["split"])]
