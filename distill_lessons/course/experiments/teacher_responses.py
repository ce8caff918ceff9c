"""Make ``data/smollm/responses.jsonl``: every prompt of the pair, answered once by the teacher.

Run ``python -m distill_lessons.course.experiments.teacher_responses``; about six minutes on two cores.
"""

import json

from distill_lessons import runtime
from distill_lessons.pairs import smollm
from distill_lessons.pairs.smollm_prompts import prompts
from distill_lessons.teacher import generation

SPLITS = {"test": 48, "validation": 32}  # the first prompts of the shuffled list; the rest is for training


def main():
    runtime.start()
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    every = prompts()
    answers = generation.generate(
        teacher, tokenizer, every, max_new_tokens=48, temperature=0.7, top_k=50, batch_size=88
    )
    splits = [split for split, count in SPLITS.items() for _ in range(count)]
    splits += ["train"] * (len(every) - len(splits))
    with runtime.replacing(runtime.data_folder() / "smollm" / "responses.jsonl") as temporary:
        with open(temporary, "w", encoding="utf-8") as file:
            for split, prompt, (response, finished) in zip(splits, every, answers):
                row = {"split": split, "prompt": prompt, "response": response, "finished": finished}
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{len(every)} prompts answered, {sum(finished for _, finished in answers)} answers ended by themselves")


if __name__ == "__main__":
    main()
