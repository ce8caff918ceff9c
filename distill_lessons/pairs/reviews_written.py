"""Sentences that a model wrote for the `reviews` pair, at three temperatures, and what the tuned teacher says of them.

SmolLM2-135M-Instruct was asked for sentences of reviews, with prompts that `prompts` makes of a few words of our own. The
texts are a model's and lie in ``data/reviews/written.parquet``; ``python -m distill_lessons.pairs.reviews_written`` makes
it, and goes on where it was stopped.
"""

import argparse
import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch

from distill_lessons import runtime
from distill_lessons.pairs import reviews_teachers, smollm
from distill_lessons.teacher import generation
from distill_lessons.teacher.filters.by_models import remembered

TEMPERATURES = (0.5, 1.0, 1.5)
LONGEST = 32  # tokens that an answer may have
CHUNK = 100  # sentences of one temperature that are written before the next one's turn
COMMAND = "`python -m distill_lessons.pairs.reviews_written`"

# --- Prompts ----------------------------------------------------------------------------------------------------------

SEEDS = (
    "You {stance} {topic}. Write one sentence of your review.",
    "Say in one sentence that you {stance} {topic}, and why.",
    "Write one sentence from the review of somebody who {stance} {topic}.",
    "Finish the sentence of this review: I {stance} {topic}, because",
)
TOPICS = {
    "film": (
        ("acting", "ending", "story", "jokes", "music", "camera work", "dialogue", "pace"),
        ("a crime film", "a comedy", "a thriller", "a war film", "a love story", "a cartoon", "a horror film", "a documentary"),
    ),
    "product": (
        ("price", "screen", "battery", "sound", "manual", "buttons", "size", "software"),
        ("a phone", "a camera", "a music player", "a radio", "a laptop", "a recorder", "a games console", "a navigator"),
    ),
}  # fmt: skip
STANCES = {"loved": True, "enjoyed": True, "admired": True, "disliked": False, "could not stand": False, "hated": False}


def prompts(seed: int = 0) -> list[dict]:
    """Every seed with every topic and stance, 3,072 prompts in an order that the seed fixes; fewer are the first of them.

    Returns:
        dicts of id (a whole number as text), prompt, about ("film" or "product"), topic, stance and positive, which says
        what was asked for: whether the sentence should be.
    """
    topics = [(about, f"the {part} of {whole}") for about, (parts, wholes) in TOPICS.items()
              for part, whole in itertools.product(parts, wholes)]  # fmt: skip
    every = list(itertools.product(SEEDS, topics, STANCES))
    return [
        {"id": str(place), "prompt": words.format(topic=topic, stance=stance), "about": about, "topic": topic,
         "stance": stance, "positive": STANCES[stance]}
        for place in np.random.default_rng(seed).permutation(len(every))
        for words, (about, topic), stance in [every[place]]
    ]  # fmt: skip


def sentence_of(answer: str) -> str:
    """The first line of an answer that has a letter in it, without quotation marks around it; empty if there is none."""
    lines = (line.strip().strip('"“”*').strip() for line in answer.splitlines())
    return next((line for line in lines if any(sign.isalpha() for sign in line)), "")


# --- What was written -------------------------------------------------------------------------------------------------


def written(temperature: float | None = None) -> pd.DataFrame:
    """The sentences, those of one temperature or all, a row each, in the order of `prompts`.

    Columns: prompt (its id), about, positive (asked for), temperature, text, finished (False where it was cut at 32 tokens),
    no and yes (the logits of the teacher `tuned-640`).

    Raises:
        ValueError: nothing was written at that temperature; FileNotFoundError: there is no file. Both say what to do.
    """
    frame = _table(runtime.data_folder())
    if temperature is None:
        return frame.copy()
    chosen = frame[frame["temperature"] == temperature].reset_index(drop=True)
    if chosen.empty:
        there = ", ".join(f"{each:g}" for each in sorted(frame["temperature"].unique()))
        raise ValueError(f"nothing was written at the temperature {temperature!r}; there are {there}")
    return chosen


def logits(frame: pd.DataFrame) -> torch.Tensor:
    """What `tuned-640` says of the rows of `written`: logits ``[N, 2]`` for "not positive" and "positive"."""
    return torch.tensor(frame[["no", "yes"]].to_numpy(dtype=np.float32))


@functools.lru_cache(maxsize=1)
def _table(data):
    path = data / "reviews" / "written.parquet"
    if not path.is_file():
        raise FileNotFoundError(
            f"no sentences at data/reviews/{path.name}: restore it with git, or make it with {COMMAND}"
        )
    return pq.read_table(path).to_pandas()


# --- Made once --------------------------------------------------------------------------------------------------------


def write(each: int, folder: Path, answerers: dict[float, generation.Answerer], say=print) -> pd.DataFrame:
    """The first `each` prompts answered at every temperature: files in `folder`, by chunks, all temperatures in turn.

    Returns:
        the rows of `written` without logits; an answer without a sentence in it has the text "".
    """
    rows, asked = [], prompts()[:each]
    for start in range(0, len(asked), CHUNK):
        some = asked[start : start + CHUNK]
        for temperature, answer in answerers.items():
            path = folder / f"written-{temperature:g}-{start:05}.parquet"
            # Another seed for each: with one seed the temperatures would share their first words.
            seed = 1000 * start + round(100 * temperature)
            for row in generation.respond(path, answer, some, batch_size=CHUNK, seed=seed, say=say).to_pylist():
                rows.append({"prompt": row["id"], "about": row["about"], "positive": row["positive"],
                             "temperature": temperature, "text": sentence_of(row["response"]),
                             "finished": row["finished"]})  # fmt: skip
    return pd.DataFrame(rows)


def label(texts: Sequence[str], folder: Path, teacher: reviews_teachers.Teacher | None = None, say=print) -> np.ndarray:
    """The teacher's logits ``[N, 2]`` in float16; what stands in `folder` is not asked again.

    Args:
        teacher: by default `tuned-640`, which is loaded only if there is something to ask.
    """
    about = {"measured": "logits", "teacher": "tuned-640", "adapter": _adapter()}

    def measure(some):
        nonlocal teacher
        teacher = teacher or reviews_teachers.tuned()
        return teacher(some).tolist()

    found = remembered(folder / "written-logits.parquet", about, texts, measure, 200, say)
    return np.array([found[text] for text in texts], dtype=np.float16).reshape(-1, 2)


def save(frame: pd.DataFrame, path: Path) -> None:
    """The rows of `written` as a parquet file with their provenance; rows without a text are left out, and counted."""
    kept = frame[frame["text"] != ""].sort_values("temperature", kind="stable").reset_index(drop=True)
    about = {
        "model": "SmolLM2-135M-Instruct",
        "teacher": "tuned-640",
        "adapter": _adapter(),
        "max_new_tokens": LONGEST,
        "prompts": frame["prompt"].nunique(),
        "without a sentence": len(frame) - len(kept),
        "command": COMMAND.strip("`"),
        "machine": runtime.machine_stamp(),
    }
    table = pa.Table.from_pandas(kept, preserve_index=False)
    table = table.replace_schema_metadata({**(table.schema.metadata or {}), "distill_lessons": json.dumps(about)})
    with runtime.replacing(path) as temporary:
        pq.write_table(table, temporary, compression="zstd", compression_level=15)


def _adapter():
    return runtime.sha256(runtime.data_folder() / "reviews" / "teacher" / "adapter_model.safetensors")[:16]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description="Let SmolLM2 write sentences of reviews, and the tuned teacher read them."
    )
    parser.add_argument("each", nargs="?", type=int, default=3000, help="sentences a temperature, at most 3,072")
    each = parser.parse_args(arguments).each
    folder = runtime.REPOSITORY / "build" / "reviews"
    model, tokenizer = smollm.teacher(), smollm.tokenizer()
    model = model.to(torch.bfloat16 if runtime.bf16() else torch.float32)
    answerers = {
        temperature: generation.local(model, tokenizer, temperature=temperature, max_new_tokens=LONGEST)
        for temperature in TEMPERATURES
    }
    frame = write(each, folder, answerers)
    frame[["no", "yes"]] = label(frame["text"].where(frame["text"] != "", "."), folder)
    save(frame, runtime.data_folder() / "reviews" / "written.parquet")
    print(f"{len(frame)} sentences written and read")


if __name__ == "__main__":
    runtime.start()
    main()
