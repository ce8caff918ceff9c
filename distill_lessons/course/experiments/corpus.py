"""Make ``data/smollm/corpus``: every corpus prompt answered once by the teacher, and its soft targets for the training part.

Run ``python -m distill_lessons.course.experiments.corpus``; about fifteen minutes on two cores. A cut-off loses one batch or one
shard: the same command goes on.
"""

from distill_lessons import runtime
from distill_lessons.pairs import smollm
from distill_lessons.pairs.smollm_prompts import corpus
from distill_lessons.teacher import generation, targets
from distill_lessons.teacher.text import encode

HOW = {"max_new_tokens": 64, "temperature": 0.7, "top_k": 50}


def main():
    runtime.start()
    say = lambda line: print(line, flush=True)  # noqa: E731
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    folder = smollm.corpus_folder()
    answer = generation.local(teacher, tokenizer, **HOW)
    generation.respond(folder / "responses.parquet", answer, corpus(), batch_size=120, say=say)
    examples = encode(tokenizer, smollm.corpus("train"), max_response=HOW["max_new_tokens"] + 1)
    manifest = targets.store(folder / "targets", teacher, tokenizer, examples, batch_size=32, shard_rows=550, say=say)
    tokens = sum(shard["tokens"] for shard in manifest["shards"])
    say(
        f"{len(examples)} training examples, {tokens} tokens, {targets.bytes_per_token(folder / 'targets'):.1f} bytes each"
    )


if __name__ == "__main__":
    main()
