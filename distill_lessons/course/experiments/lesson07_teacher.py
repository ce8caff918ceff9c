"""Trains a teacher with ways of its own and asks it for traces: ``python -m distill_lessons.course.experiments.lesson07_teacher``.

The course's other teachers write, character by character, what a program would have written for them. This one splits
either factor and begins with either part, `WAYS`, as it pleases, and it is small enough to err. It is asked at T=1, four
times a problem, so it rarely writes what the program of lesson 07 does. Writes data/multiplication/free, with how well it
does in card.json, and traces-free.parquet.
"""

import json
from pathlib import Path

from distill_lessons import runtime
from distill_lessons.course.experiments import on_multiplication
from distill_lessons.course.experiments.lesson07_steps import SAMPLES
from distill_lessons.course.experiments.multiplication_teacher import save
from distill_lessons.pairs import multiplication as pair
from distill_lessons.teacher import generation

WIDTH, LAYERS = 96, 3  # 0.36 million weights: the student has 0.11, the course's other teachers 0.86
STEPS, BATCH, RATE, DECAY = 2500, 32, 3e-3, 0.3


def _way(split_first, ones_first):
    """A function that writes a·b in one of the ways: which factor is split, and which part comes first."""

    def written(a, b):
        whole, cut = (b, a) if split_first else (a, b)
        parts = [cut % 10, cut - cut % 10] if ones_first else [cut - cut % 10, cut % 10]
        shown = "+".join(f"{part}*{whole}" if split_first else f"{whole}*{part}" for part in parts)
        return f"{shown}={whole * parts[0]}+{whole * parts[1]}={a * b}"

    return written


# For 23·47: 23*40+23*7=920+161=1081, 23*7+23*40=161+920=1081, 20*47+3*47=940+141=1081, 3*47+20*47=141+940=1081
WAYS = tuple(_way(split_first, ones_first) for split_first in (False, True) for ones_first in (False, True))


def ask(folder: Path, problems: list[on_multiplication.Problem]) -> list[dict]:
    """What the teacher in a folder writes at T=1, kept beside it as traces-free.parquet: rows of `generation.respond`."""
    answer = generation.local(pair.teacher("free"), pair.tokenizer(), max_new_tokens=40, temperature=1.0)
    answer.about["teacher"] = "multiplication free"
    prompts = [{"id": f"{a}*{b}", "prompt": pair.prompt(a, b)} for a, b in problems]
    path = folder / "traces-free.parquet"
    path.unlink(missing_ok=True)
    generation.respond(path, answer, prompts, n=SAMPLES, batch_size=512, say=print)
    return generation.read(path)


def main() -> None:
    runtime.start()
    folder = runtime.data_folder() / "multiplication"
    folder.mkdir(exist_ok=True)
    train, test = pair.problems("train"), pair.problems("test")
    pairs = [(pair.prompt(a, b), way(a, b)) for a, b in train for way in WAYS]
    model, seconds = on_multiplication.learn(
        pair.llama(len(pair.tokenizer()), WIDTH, LAYERS), pair.tokenizer(), pairs, STEPS, rate=RATE, batch=BATCH,
        weight_decay=DECAY,
    )  # fmt: skip
    save(model, folder / "free")
    rows = ask(folder, train)
    problems = [problem for problem in train for _ in range(SAMPLES)]
    card = {
        "steps": STEPS,
        "seconds": round(seconds),
        "test": on_multiplication.accuracy(test, on_multiplication.ask(model, test)),
        "traces right": on_multiplication.accuracy(problems, [row["response"] for row in rows]),
        "traces as the program": sum(pair.steps(*p) == row["response"] for p, row in zip(problems, rows)) / len(rows),
        "machine": runtime.machine_stamp(),
    }
    with runtime.replacing(folder / "free" / "card.json") as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n")
    print(json.dumps(card))


if __name__ == "__main__":
    main()
