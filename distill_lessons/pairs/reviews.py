"""The `reviews` pair: is a sentence positive? People's ratings of 23,703 sentences, three teachers, students of any size.

``python -m distill_lessons.pairs.reviews <archive>`` unpacks the sentences to the cache folder, which set-up does once.
"""

import sys

from distill_lessons import runtime
from distill_lessons.pairs.reviews_data import CASE, SHIFTED, labelled, labels, places, prepare, sentences
from distill_lessons.pairs.reviews_students import (
    bag,
    encode,
    encode_tokens,
    features,
    features_of,
    frozen,
    gru,
    layers,
    transformer,
)
from distill_lessons.pairs.reviews_teachers import NAMES, logits, pool, prompted, rules, stored, trained_on, tuned

__all__ = [
    "CASE",
    "NAMES",
    "SHIFTED",
    "bag",
    "encode",
    "encode_tokens",
    "features",
    "features_of",
    "frozen",
    "gru",
    "labelled",
    "labels",
    "layers",
    "logits",
    "places",
    "pool",
    "prepare",
    "prompted",
    "rules",
    "sentences",
    "stored",
    "trained_on",
    "transformer",
    "tuned",
]

if __name__ == "__main__":
    runtime.start()
    try:
        print(f"rated sentences ready: {prepare(*sys.argv[1:2]).name}")
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
