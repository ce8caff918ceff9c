"""From a table to a student: the stages one after another. ``distill-lessons distil my-project``."""

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from distill_lessons import runtime
from distill_lessons.project import (
    exporting,
    judging,
    learning,
    reporting,
    selecting,
    splitting,
    stages,
    table,
    teaching,
)
from distill_lessons.project.config import settings as settings_of
from distill_lessons.project.stages import Result

INTERRUPTED = 130  # the exit status of a command that Ctrl-C stopped


def distil(
    folder: str | Path, ask: teaching.Ask | None = None, allow_code: bool = False, model: str = "", tell=None
) -> dict[str, Result]:
    """Every stage of a project; what is finished is read and not done again.

    Args:
        ask: a served teacher as a function from prompts to answers; None asks the server of project.toml.
        allow_code: run the rule in the project's own folder, if project.toml names one.
        model: what a tuned teacher is made of, where project.toml names none.
        tell: is given one line a stage.
    Returns:
        dict of stage to `Result`: split, teacher, select, student, control, calibration, evaluation, int8, speed, cost,
        export, report.
    Raises:
        ValueError, OSError: one sentence that says what came and what to do.
    """
    about = settings_of(folder)
    stages.tidy(about.folder)
    rows = table.read(about)
    done = {"split": splitting.split(about, rows, tell)}
    done["teacher"] = teaching.teach(about, rows, done["split"], ask, allow_code, model, tell)
    done["select"] = selecting.select(about, rows, done["split"], done["teacher"], tell)
    first = done["split"], done["teacher"]
    done["student"] = learning.learn(about, rows, *first, done["select"], tell)
    done["control"] = learning.control(
        about, rows, done["split"], done["select"], done["student"], done["teacher"], tell
    )
    done["calibration"] = judging.calibrate(about, rows, *first, done["student"], tell)
    done["evaluation"] = judging.evaluate(
        about, rows, *first, done["student"], done["calibration"], done["control"], tell
    )
    done["int8"] = judging.shrink(about, rows, done["split"], done["student"], done["calibration"], tell)
    done["speed"] = judging.measure(about, rows, done["split"], done["student"], tell)
    done["cost"] = judging.cost(about, *first, done["speed"], tell)
    done["export"] = exporting.export(
        about, rows, done["split"], done["student"], done["calibration"], done["int8"], tell
    )
    done["report"] = reporting.report(about, done, tell)
    return done


def main(arguments: Sequence[str] | None = None, source: Callable[[], str] | None = None) -> None:
    """The command line. `source` gives the model that a tuned teacher is made of, where project.toml names none."""
    parser = argparse.ArgumentParser(prog="distill-lessons distil", description=__doc__)
    parser.add_argument("folder", help="a project that `distill-lessons new` made")
    parser.add_argument("--allow-code", action="store_true", help="run the rule in the project's own folder")
    asked = parser.parse_args(arguments)
    runtime.start()
    about = settings_of(asked.folder)
    model = source() if source and about.teacher.kind == "tuned" and not about.teacher.model else ""
    try:
        done = distil(asked.folder, None, asked.allow_code, model, lambda line: print(line, flush=True))
    except KeyboardInterrupt:
        print("\nstopped: the same command goes on, and repeats nothing that is finished", file=sys.stderr)
        raise SystemExit(INTERRUPTED) from None
    print("\n" + "\n".join(reporting.sentences(done)))
    print(f"\n{about.folder / reporting.PAGE} tells it all; ask the student with")
    print(f"  {reporting.command(about, about.folder / exporting.FOLDER)}")
