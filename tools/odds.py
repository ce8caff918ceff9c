"""How often an exercise's check errs: a right answer refused, a wrong one let through. Over and over, on drawn input.

    python tools/odds.py --minutes 20 [exercise or lesson ...]

Draw k is what `verdict` draws from seed k, so an outcome can be seen again: `--draw 17 16.1`. Answers are asked in turns of
five seconds: cheap ones up to --draws times, dear ones as often as the time allows. Ends with 1 if a check erred.
"""

import argparse
import importlib
import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch  # noqa: E402

TESTS = Path(__file__).resolve().parent.parent / "tests"
sys.path.insert(0, str(TESTS))

from distill_lessons.course import exercises  # noqa: E402


def answers(wanted: Sequence[str] = ()) -> Iterator[tuple[str, object, bool]]:
    """(exercise, answer, whether it is right), of all exercises or of those wanted: "16.1", or a lesson, "16"."""
    for path in sorted(TESTS.glob("exercises_*.py")):
        module = importlib.import_module(path.stem)
        for exercise, right in module.RIGHT.items():
            if not wanted or exercise in wanted or exercise.split(".")[0] in wanted:
                for answer in [right, *getattr(module, "ALSO_RIGHT", {}).get(exercise, [])]:
                    yield exercise, answer, True
                for answer in module.WRONG[exercise]:
                    yield exercise, answer, False


def measure(every: Sequence[tuple[str, object, bool]], minutes: float, draws: int, say: Callable = print) -> Counter:
    """Asks each answer up to so many times and says where its check erred.

    Returns:
        place in ``every`` to the number of errors.
    """
    begun = time.monotonic()
    count, spent, erred = Counter(), Counter(), Counter()
    live = set(range(len(every)))
    while live and time.monotonic() - begun < 60 * minutes:
        place = min(live, key=lambda each: (spent[each] // 5, count[each]))
        exercise, answer, right = every[place]
        started = time.monotonic()
        line = exercises.verdict(exercise, answer, count[place])
        spent[place] += time.monotonic() - started
        if line.startswith("✓") != right:
            erred[place] += 1
            said = "refused, though right:" if right else "let through, though wrong:"
            say(f"{said} {getattr(answer, '__name__', answer)}, draw {count[place]}: {line}")
        count[place] += 1
        if count[place] == draws:
            live.discard(place)
    fewest = min(range(len(every)), key=lambda each: count[each])
    say(f"{count.total():,} verdicts on {len(every)} answers, at least {count[fewest]} on each (fewest: "
        f"{every[fewest][0]}), {erred.total()} wrong")  # fmt: skip
    return erred


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("exercises", nargs="*", help="exercises or lessons, as 16.1 or 16; all if none")
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--draws", type=int, default=200, help="at most, of each answer")
    parser.add_argument("--draw", type=int, help="only this one, and say each verdict")
    about = parser.parse_args()
    torch.set_num_threads(1)
    every = list(answers(about.exercises))
    if not every:
        parser.error(f"there is no exercise {' or '.join(about.exercises)}: give one as 16.1, or a lesson as 16")
    if about.draw is None:
        return int(measure(every, about.minutes, about.draws).total() > 0)
    for exercise, answer, right in every:
        print("right" if right else "wrong", answer.__name__, exercises.verdict(exercise, answer, about.draw))
    return 0


if __name__ == "__main__":
    sys.exit(main())
