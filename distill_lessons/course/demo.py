"""Run lesson 00 from top to bottom without a browser, showing what it prints as it prints it: ``make demo``."""

import argparse
import sys
import time
from collections.abc import Sequence

import nbformat
from nbclient.exceptions import CellExecutionError

from distill_lessons import runtime
from distill_lessons.course.client import Client


class Aloud(Client):
    """Executes a notebook and passes its text output on as it arrives."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream":
            print(msg["content"]["text"], end="", flush=True)
        return super().process_message(msg, cell, cell_index)


def until_exercises(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook up to its exercises: they are for a reader, not for a demonstration."""
    stop = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## Where it breaks"))
    notebook.cells = notebook.cells[:stop]
    return notebook


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the lesson; it stops at the first cell that raises, with one line.

    Raises:
        FileNotFoundError: the package stands alone, without the repository's notebooks and data.
    """
    argparse.ArgumentParser(prog="python -m distill_lessons demo", description=__doc__).parse_args(arguments)
    path = runtime.data_folder().parent / "notebooks" / "00_start_here.ipynb"
    notebook = until_exercises(nbformat.read(path, as_version=4))
    began = time.perf_counter()
    client = Aloud(notebook, timeout=1800, resources={"metadata": {"path": str(path.parent)}})
    client.on_cell_execute = lambda cell, cell_index: heading(notebook, cell_index)
    try:
        client.execute()
    except CellExecutionError as error:
        sys.exit(f"lesson 00 stopped: {error.ename}: {error.evalue}")
    print(f"\ndone in {time.perf_counter() - began:.0f} s; the figures are in the notebook: make lab")


def heading(notebook: nbformat.NotebookNode, index: int) -> None:
    """Print the section's title before its first cell."""
    before = notebook.cells[index - 1].source if index else ""
    for line in before.splitlines():
        if line.startswith("#"):
            print(f"\n{line.lstrip('# ')}", flush=True)


if __name__ == "__main__":
    main()
