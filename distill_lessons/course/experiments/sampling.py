"""Make ``data/smollm/sampling``: 240 training prompts of the corpus, answered by the teacher under four other settings.

Run ``python -m distill_lessons.course.experiments.sampling``; about five minutes on two cores. Resumable.
"""

from distill_lessons import runtime
from distill_lessons.pairs import smollm
from distill_lessons.teacher import generation

SETTINGS = {
    "greedy": {"temperature": 0.0},
    "T1": {"temperature": 1.0},
    "T1.5": {"temperature": 1.5},
    "top-p": {"temperature": 1.0, "top_p": 0.9},
}
PROMPTS = 240


def rows(name):
    """The answers under a setting, or "T0.7" for the corpus's own to the same prompts."""
    if name == "T0.7":
        return smollm.corpus("train")[:PROMPTS]
    return generation.read(runtime.data_folder() / "smollm" / "sampling" / f"{name}.parquet")


def main():
    runtime.start()
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    fields = ("id", "form", "topic", "prompt")
    prompts = [{name: row[name] for name in fields} for row in smollm.corpus("train")[:PROMPTS]]
    for name, how in SETTINGS.items():
        answer = generation.local(teacher, tokenizer, max_new_tokens=64, **how)
        path = runtime.data_folder() / "smollm" / "sampling" / f"{name}.parquet"
        generation.respond(path, answer, prompts, batch_size=120, say=lambda line: print(line, flush=True))


if __name__ == "__main__":
    main()
