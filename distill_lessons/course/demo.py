"""Run lesson 00 from top to bottom without a browser, showing what it prints as it prints it: ``make demo``."""

import sys
import time

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from distill_lessons import runtime


class Aloud(NotebookClient):
    """Executes a notebook and passes its text output on as it arrives."""

    def process_message(self, msg, cell, cell_index):
        if msg["msg_type"] == "stream":
            print(msg["content"]["text"], end="", flush=True)
        return super().process_message(msg, cell, cell_index)


def until_exercises(notebook):
    """The notebook up to its exercises: they are for a reader, not for a demonstration."""
    stop = next(i for i, cell in enumerate(notebook.cells) if cell.source.startswith("## Where it breaks"))
    notebook.cells = notebook.cells[:stop]
    return notebook


def main():
    path = runtime.REPOSITORY / "notebooks" / "00_start_here.ipynb"
    notebook = until_exercises(nbformat.read(path, as_version=4))
    began = time.perf_counter()
    client = Aloud(notebook, timeout=1800, resources={"metadata": {"path": str(path.parent)}})
    client.on_cell_execute = lambda cell, cell_index: heading(notebook, cell_index)
    try:
        client.execute()
    except CellExecutionError as error:
        sys.exit(f"lesson 00 stopped: {error.ename}: {error.evalue}")
    print(f"\ndone in {time.perf_counter() - began:.0f} s; the figures are in the notebook: make lab")


def heading(notebook, index):
    """Print the section's title before its first cell."""
    before = notebook.cells[index - 1].source if index else ""
    for line in before.splitlines():
        if line.startswith("#"):
            print(f"\n{line.lstrip('# ')}", flush=True)


if __name__ == "__main__":
    main()
