"""How often an exercise's check errs: a right answer refused, a wrong one let through. Over and over, on drawn input.

    python tools/odds.py --minutes 20 [--part 1/2] [exercise ...]

Draw k seeds what the check draws, so a line of the outcome can be seen again: `--draw 17 16.1`. Cheap answers are asked
up to --draws times, dear ones as often as the time allows.
"""

import argparse
import importlib
import os
import sys
import time
from collections import Counter
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "tests")]

from distill_lessons.course import exercises  # noqa: E402


def answers(wanted):
    """(exercise, answer, whether it is right) of every exercise whose number begins as wanted."""
    for path in sorted((ROOT / "tests").glob("exercises_*.py")):
        module = importlib.import_module(path.stem)
        for exercise, right in module.RIGHT.items():
            if not wanted or any(exercise == each or exercise.startswith(f"{each}.") for each in wanted):
                for answer in [right, *getattr(module, "ALSO_RIGHT", {}).get(exercise, [])]:
                    yield exercise, answer, True
                for answer in module.WRONG[exercise]:
                    yield exercise, answer, False


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("exercises", nargs="*", help="exercises or lessons, as 16.1 or 16; all if none")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--draws", type=int, default=200, help="at most, of each answer")
    parser.add_argument("--draw", type=int, help="only this one, and say each verdict")
    parser.add_argument("--part", default="1/1", help="2/3: the second of three equal parts")
    about = parser.parse_args()
    torch.set_num_threads(1)
    part, parts = map(int, about.part.split("/"))
    every = list(answers(about.exercises))[part - 1 :: parts]
    if about.draw is not None:
        for exercise, answer, right in every:
            print("right" if right else "wrong", answer.__name__, exercises.verdict(exercise, answer, about.draw))
        return
    begun = time.monotonic()
    count, spent = Counter(), Counter()
    live = set(range(len(every)))
    while live and time.monotonic() - begun < 60 * about.minutes:
        place = min(live, key=lambda each: (spent[each] // 5, count[each]))  # turns of five seconds
        exercise, answer, right = every[place]
        started = time.monotonic()
        line = exercises.verdict(exercise, answer, count[place])
        spent[place] += time.monotonic() - started
        if line.startswith("✓") != right:
            name = getattr(answer, "__name__", repr(answer))
            kind = "REFUSED, though right:" if right else "LET THROUGH, though wrong:"
            print(f"{kind} {exercise} {name}, draw {count[place]}: {line}", flush=True)
        count[place] += 1
        if count[place] == about.draws:
            live.discard(place)
    few = sorted((count[place], exercise) for place, (exercise, _, _) in enumerate(every))
    print(
        f"{sum(count.values()):,} verdicts on {len(every)} answers, from {few[0][0]} ({few[0][1]}) to {few[-1][0]} each"
    )


if __name__ == "__main__":
    main()
