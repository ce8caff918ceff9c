"""Make ``data/smollm/corpus`` and ``data/smollm/corpus-T1``: prompts answered once by the teacher, with soft targets.

The first was sampled at temperature 0.7, the second at 1. Run ``python -m distill_lessons.course.experiments.corpus``;
about twenty minutes on two cores for each. A cut-off loses one batch or one shard: the same command goes on.
"""

from distill_lessons import runtime
from distill_lessons.pairs import smollm, smollm_corpus
from distill_lessons.pairs.smollm_prompts import CORPUS_HELD_OUT, MORE_HELD_OUT, corpus
from distill_lessons.teacher import generation, targets
from distill_lessons.teacher.text import encode

HOW = {"max_new_tokens": smollm_corpus.MAX_NEW_TOKENS, "temperature": 1.0}
COOLER = {"max_new_tokens": 64, "temperature": 0.7, "top_k": 50}


def make(folder, prompts, how):
    """Answers to all prompts, and targets of those for training."""
    say = lambda line: print(line, flush=True)  # noqa: E731
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    table = generation.respond(
        folder / "responses.parquet", generation.local(teacher, tokenizer, **how), prompts, batch_size=120, say=say
    )
    rows = [row for row in table.to_pylist() if row["split"] == "train" and row["response"]]
    examples = encode(tokenizer, rows, max_response=how["max_new_tokens"] + 1)
    manifest = targets.store(folder / "targets", teacher, tokenizer, examples, batch_size=32, shard_rows=550, say=say)
    tokens = sum(shard["tokens"] for shard in manifest["shards"])
    each = targets.bytes_per_token(folder / "targets")
    say(f"{folder.name}: {len(examples)} training examples, {tokens} tokens, {each:.1f} bytes each")


def main():
    runtime.start()
    make(smollm_corpus.folder(), corpus(MORE_HELD_OUT), HOW)
    make(smollm.corpus_folder(), corpus(CORPUS_HELD_OUT), COOLER)


if __name__ == "__main__":
    main()
