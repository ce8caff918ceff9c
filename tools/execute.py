"""Execute notebooks whole, in a fresh kernel each, and write them back with their outputs: ``make notebooks``.

Names of files may be given; all lessons and solutions otherwise. A notebook that raises is left as it was. The README's
picture is the first figure of lesson 00, and is written anew with it.
"""

import base64
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

from distill_lessons import runtime

PICTURE = runtime.REPOSITORY / "images" / "lesson00.png"


def first_figure(notebook):
    """The bytes of a notebook's first PNG output."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return base64.b64decode(next(o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})))


def execute(path):
    """Run one notebook and save it; nothing stays in it but tags, sources and outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=1800, coalesce_streams=True, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
    with runtime.replacing(path) as temporary:
        nbformat.write(notebook, temporary)
    if path.name.startswith("00") and path.parent.name == "notebooks":
        with runtime.replacing(PICTURE) as temporary:
            temporary.write_bytes(first_figure(notebook))


def main():
    chosen = [Path(name).resolve() for name in sys.argv[1:]]
    for path in chosen or sorted(runtime.REPOSITORY.glob("notebooks/*.ipynb")) + sorted(
        runtime.REPOSITORY.glob("solutions/*.ipynb")
    ):
        began = time.perf_counter()
        execute(path)
        print(f"{path.parent.name}/{path.name} · {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
