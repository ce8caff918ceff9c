"""The command line: ``python -m distill_lessons``, or ``distill-lessons`` where the package is installed.

Each command hands what follows its name to the `main` of the module that does the work.
"""

import difflib
import importlib
import os
import runpy
import sys
from collections.abc import Sequence

COMMANDS = {
    "demo": ("distill_lessons.course.demo", "run lesson 00 from top to bottom, about three minutes on two cores"),
    "claims": ("distill_lessons.course.claims", "what published claims came to, from the recorded runs"),
    "train": ("distill_lessons.training.run", "distil a language model as a JSON file or options say"),
    "diagnose": ("distill_lessons.project.diagnosing", "say what ails a student, from tables of its predictions"),
    "experiments": ("distill_lessons.course.experiments.__main__", "run the recorded experiments, or one; resumable"),
    "new": ("distill_lessons.project.starting", "make a folder for a distillation of your own"),
    "distil": ("distill_lessons.project.distilling", "from your table of texts to a tested student; resumable"),
    "predict": ("distill_lessons.project.predicting", "a student's answers to many texts"),
    "bench": ("tools/bench.py", "measure the engine beside TRL and Liger on this machine"),
}


def overview() -> str:
    """What there is, one command a line."""
    lines = [f"  {name:<12} {words}" for name, (_, words) in COMMANDS.items()]
    return "\n".join(
        [
            "Knowledge distillation, measured: a course in notebooks, and the package behind it.",
            "",
            "usage: distill-lessons COMMAND [options]     (or python -m distill_lessons COMMAND)",
            "",
            *lines,
            "",
            "`distill-lessons COMMAND --help` tells a command's options. The lessons are in notebooks/ of the repository:",
            "`make lab` opens them.",
        ]
    )


def bench(arguments: Sequence[str]) -> None:
    """Run tools/bench.py, which lies beside the package and is not installed with it."""
    from distill_lessons import runtime

    path = runtime.data_folder().parent / "tools" / "bench.py"
    before, sys.argv = sys.argv, [str(path), *arguments]
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        sys.argv = before


def course_pair() -> dict:
    """What `train` takes where nothing is named: the course's own teacher and its answers to the training prompts."""
    from distill_lessons import runtime
    from distill_lessons.pairs import smollm

    return {"teacher": smollm.source(), "data": str(runtime.data_folder() / "smollm" / "responses.jsonl")}


def course_teacher() -> str:
    """What `distil` tunes where no model is named: the course's own teacher."""
    from distill_lessons.pairs import smollm

    return str(smollm.source())


def course_table():
    """What `new` takes for an example: all rated sentences, 640 of them with people's labels, and what a teacher said."""
    import numpy as np

    from distill_lessons.pairs import reviews

    sentences = reviews.sentences()
    table = sentences[["id", "text", "source"]].copy()
    held_out = sentences["split"].isin(["validation", "test"])
    table["label"] = np.where(sentences["positive"], "positive", "negative")
    known = held_out.to_numpy().copy()
    known[reviews.labelled(640)] = True
    table.loc[~known, "label"] = ""
    table["part"] = sentences["split"].where(held_out, "train")
    table[["no", "yes"]] = reviews.logits("tuned-640").numpy()
    return table


def run(command: str, arguments: Sequence[str]) -> None:
    """Hand `arguments` to the command's own `main`."""
    if command == "bench":
        bench(arguments)
    elif command == "train":
        importlib.import_module(COMMANDS[command][0]).main(list(arguments), course_pair)
    elif command == "distil":
        importlib.import_module(COMMANDS[command][0]).main(list(arguments), course_teacher)
    elif command == "new":
        importlib.import_module(COMMANDS[command][0]).main(list(arguments), course_table)
    else:
        importlib.import_module(COMMANDS[command][0]).main(list(arguments))


def sentence(error: Exception) -> str:
    """What an error says, without the number of the operating system, and with the file that it names."""
    if not isinstance(error, OSError) or not error.strerror:
        return str(error)
    return error.strerror + (f": {error.filename}" if error.filename else "")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status: 0, 1 where it could not be done, 2 where it was not understood."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    for stream in sys.stdout, sys.stderr:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a console that knows no "✓" shows "?" instead of an error
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    command, *rest = arguments
    if command not in COMMANDS:
        near = difflib.get_close_matches(command.lower(), COMMANDS, 1, 0.5)
        meant = f"did you mean {near[0]}? " if near else ""
        print(
            f"distill-lessons: there is no command {command!r}: {meant}There are {', '.join(COMMANDS)}.",
            file=sys.stderr,
        )
        return 2
    try:
        run(command, rest)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader has seen enough: `… | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError) as error:
        print(f"distill-lessons {command}: {sentence(error)}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
