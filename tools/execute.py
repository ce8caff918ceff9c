"""Execute notebooks whole, in a fresh kernel each, and write them back with their outputs: ``make notebooks``.

Names of files may be given; all lessons and solutions otherwise. A notebook that raises is left as it was. ``--tidy``
runs nothing: it only describes the figures anew, after a sentence under one of them has changed. The README's picture is
the first figure of lesson 00, and is written anew with it.
"""

import argparse
import base64
import json
import platform
import re
import time
from pathlib import Path

import nbformat

from distill_lessons import runtime
from distill_lessons.course.client import Client

PICTURE = runtime.REPOSITORY / "images" / "lesson00.png"
WIDGET = "application/vnd.jupyter.widget-view+json"
STATE = "application/vnd.jupyter.widget-state+json"
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {  # what JupyterLab writes when it saves a notebook, so that saving one unrun changes nothing
    "codemirror_mode": {"name": "ipython", "version": 3},
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "nbconvert_exporter": "python",
    "pygments_lexer": "ipython3",
}


def first_figure(notebook):
    """The bytes of a notebook's first PNG output."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return base64.b64decode(next(o.data["image/png"] for o in outputs if "image/png" in o.get("data", {})))


def held(state, model):
    """The outputs inside a widget and its children, in order: what a reader sees under the sliders."""
    about = state.get(model, {}).get("state", {})
    found = list(about.get("outputs") or [])
    for child in about.get("children", []):
        found += held(state, child.removeprefix("IPY_MODEL_"))
    return found


def without_widgets(notebook):
    """Put in each widget's place what it holds, for pages without a kernel; its own words there are debris.

    Args:
        notebook: as executed, with the widgets' state in its metadata, which is dropped.
    """
    state = notebook.metadata.pop("widgets", {}).get(STATE, {}).get("state", {})
    for cell in notebook.cells:
        outputs = []
        for output in cell.get("outputs", []):
            widget = output.get("data", {}).get(WIDGET)
            outputs += held(state, widget["model_id"]) if widget else [output]
        if cell.cell_type == "code":
            cell.outputs = [nbformat.from_dict(output) for output in outputs]
    return notebook


def alternative_text(markdown):
    """What ``*Figure: …*`` says at the head of a Markdown cell, as plain text; None where it does not begin so."""
    if not markdown.startswith("*Figure:"):
        return None
    paragraph = " ".join(markdown.split("\n\n")[0].split())
    text = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", paragraph.replace("*", "").removeprefix("Figure:"))
    text = re.sub(r"(?<!\\)\$(?!\d)([^$]+)\$", r"\1", text.replace("`", ""))  # formulas; "$5" is money
    text = text.replace("\\$", "$").strip()
    return text[:1].upper() + text[1:]


def described(notebook):
    """Write the sentence under each figure into its outputs, where HTML takes the picture's alternative text from.

    nbconvert's pages show it with its "classic" template, and with ours: ``jupyter nbconvert --to html --template page
    --TemplateExporter.extra_template_basedirs=tools NOTEBOOK``.
    """
    for cell, following in zip(notebook.cells, [*notebook.cells[1:], None]):
        text = alternative_text(following.source) if following and following.cell_type == "markdown" else None
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                about = {key: value for key, value in output.metadata.pop("image/png", {}).items() if key != "alt"}
                about |= {"alt": text} if text else {}
                output.metadata |= {"image/png": about} if about else {}
    return notebook


def tidied(notebook):
    """A notebook with its figures described, and nothing else in it but tags, sources, outputs and the kernel's name."""
    version = notebook.metadata.get("language_info", {}).get("version", platform.python_version())
    notebook = described(without_widgets(notebook))
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE | {"version": version}})
    for cell in notebook.cells:
        cell.metadata = {key: value for key, value in cell.metadata.items() if key == "tags"}
    return notebook


def save(notebook, path):
    """Write the notebook, and the README's picture with lesson 00."""
    with runtime.replacing(path) as temporary:
        nbformat.write(notebook, temporary)
    if path.name.startswith("00") and path.parent.name == "notebooks":
        with runtime.replacing(PICTURE) as temporary:
            temporary.write_bytes(first_figure(notebook))


def execute(path):
    """Run one notebook and save it."""
    notebook = nbformat.read(path, as_version=4)
    Client(notebook, timeout=1800, coalesce_streams=True, resources={"metadata": {"path": str(path.parent)}}).execute()
    save(tidied(notebook), path)


def tidy(path):
    """Save a notebook tidied, if that changes it, without running it; whether it did.

    Raises:
        ValueError: it holds a widget, whose picture only a run can tell.
    """
    notebook = nbformat.read(path, as_version=4)
    if any(WIDGET in output.get("data", {}) for cell in notebook.cells for output in cell.get("outputs", [])):
        raise ValueError(f"{path.name} holds a slider, and only a run draws its picture: execute it, without --tidy")
    before = json.dumps(notebook)
    changed = json.dumps(tidied(notebook)) != before
    if changed:
        save(notebook, path)
    return changed


def main(arguments=None):
    parser = argparse.ArgumentParser(prog="python tools/execute.py", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="NOTEBOOK", help="all lessons and solutions if left out")
    parser.add_argument("--tidy", action="store_true", help="run nothing: describe the figures, drop what tools left")
    options = parser.parse_args(arguments)
    every = [
        path for folder in ("notebooks", "solutions") for path in sorted((runtime.REPOSITORY / folder).glob("*.ipynb"))
    ]
    for path in [path.resolve() for path in options.paths] or every:
        began = time.perf_counter()
        if options.tidy:
            print(f"{path.parent.name}/{path.name} · {'tidied' if tidy(path) else 'as it was'}", flush=True)
        else:
            execute(path)
            print(f"{path.parent.name}/{path.name} · {time.perf_counter() - began:.0f} s", flush=True)


if __name__ == "__main__":
    main()
