"""``distill-lessons new my-project``: a folder with `project.toml`, a README and a notebook that goes the same way in cells.

With ``--example`` it holds the course's rated sentences too, as a table that is ready to distil.
"""

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path

import nbformat
import pandas as pd
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from distill_lessons import runtime
from distill_lessons.project.config import FILE

TOML = """# What this project does. Change a line, run `distill-lessons distil` again: only what depends on it is done anew.

[table]
file = "texts.csv"      # CSV or parquet, beside this file
text = "text"           # the column of the texts
label = ""              # the column of people's labels, cells may be empty; "" if there is none
classes = []            # ["negative", "positive"]; empty: the labels that occur
encoding = "utf-8"      # of a CSV
separator = "auto"      # of a CSV: comma, semicolon, tab or | is found out
quote = '"'

[split]
# column = "part"       # a column that says train, validation or test; without it, parts are drawn
test = 0.2              # shares of the labelled rows; of the others too, where labels are few
validation = 0.15
alike = 0.8             # a text that shares so much with another is left out
seed = 0

[teacher]
kind = "rule"           # probabilities, rule, tuned or served
# budget = 25.0         # the most that its answers may cost, at the price below; no limit without this line

# A rule: how often each class's words occur
words = { }             # { negative = ["broken", "not good"], positive = ["warm"] }
# function = "rules:judge"  # or: def judge(text) in rules.py here returns a class, a dict of probabilities or None;
#                             run only with `distill-lessons distil --allow-code`

# Probabilities: what a model has said already
# file = "teacher.parquet"  # or nothing: columns of the table
# key = "id"                # a column of both files; without it, the rows are in the same order
# columns = { negative = "p_no", positive = "p_yes" }
# logits = false

# Tuned: a language model tuned on your labels, with LoRA. Slow without a GPU.
# model = "my-model"        # a folder or a name; without it, the course's own
# rates = [1.25e-4, 2.5e-4, 5e-4]
# epochs = 4
# batch = 16

# Served: any OpenAI-compatible server; a key is read from DISTILL_API_KEY
# url = "http://localhost:8000/v1"
# model = "its-name"
# prompt = "Which of {classes} fits this text? Answer with that word alone.\\n\\n{text}"
# samples = 1               # answers a text; their shares are the probabilities

[student]
kinds = ["bag", "gru", "transformer"]  # tried; the best on validation rows is kept
width = 64
# rates = { bag = 0.032 } # where a kind's search begins; it goes on by factors of two
search_steps = 200
steps = 1200
labels = 0.5            # weight of a person's label where the teacher has answered too
control = true          # train one on labels alone, to see what the teacher was worth

[report]
margin = 0.02           # so much less accuracy than the teacher can be borne
int8_change = 0.05      # the most that int8 may move a probability
int8_same = 0.99        # the least share of answers that it must leave as they are

[prices]                # yours
currency = "EUR"
teacher = 0.0           # 1,000 texts
label = 0.0             # one label
machine = 0.05          # an hour of the student's machine
work = 0.0              # once: the people who build it
texts_per_day = 10000
"""
FILTERS = """# Training rows only, in this order: length, repetition, confidence, agreement.
filters = [
  { name = "length", least = 2, most = 20000 },
  # { name = "repetition" },
  # { name = "confidence", least = 0.6 },  # the teacher's likeliest class has at least that probability
  # { name = "agreement" },                # label and teacher do not differ
]

"""
README = """# {name}

1. Put a table of texts here, `texts.csv` or a parquet file: one row a text, labels in a column if there are some.
2. Say in `project.toml` what its columns are, and who is the teacher.
3. `distill-lessons distil {name}` does the rest: splits, asks, filters, trains, tests, calibrates, counts the cost, and writes
   `student/` and `report.html`. Stopped anywhere, the same command goes on. A changed setting repeats what depends on it.
4. `distill-lessons predict {name}/student more.csv` answers.

`distil.ipynb` goes the same way cell by cell, and shares its finished work in `work/`.

| in `report.html` | how to read it |
|---|---|
| not worse / worse / open | the whole interval is above minus the margin / below it / neither: label more test texts |
| the control | the same student on labels alone: if it is level, you did not need the teacher |
| calibration | among texts it is 80% sure of, 80% should be right |
"""
CELLS = """
# Distil your own

The steps of `distill-lessons distil`, one a cell. Finished work is kept in `work/` and shared with the command: run a
cell twice, and the second time it reads.

First say in `project.toml` what your table is.
---
from distill_lessons import project, runtime

runtime.start()
settings = project.settings(".")
table = project.read(settings)
print(f"{len(table.texts):,} rows, {sum(map(bool, table.labels)):,} with a label")
---
## Split

Near-duplicates go first. Otherwise the student is tested on what it has read.
---
split = project.split(settings, table)
print(split.values["counts"])
print(f"left out: {len(split.values['left_out'])}")
---
## Teacher

Its probabilities, for as many texts as the budget buys. Look at some: does it doubt where you doubt?
---
teacher = project.teach(settings, table, split)
answers = teacher.tensors["probabilities"]
print(split.values["classes"])
for place in project.places(split, project.TRAIN)[:5].tolist():
    print([round(each, 2) for each in answers[place].tolist()], table.texts[place][:70])
---
## Filters

What each dropped. A filter that drops half of everything is worth a second look.
---
data = project.select(settings, table, split, teacher)
for step in data.values["steps"]:
    print(step["filter"], step["in"], "dropped", step["dropped"], step["reasons"])
---
## Student

Every kind at several rates, and the best of them longer. Then the same student on labels alone.
---
student = project.learn(settings, table, split, teacher, data)
for one in student.values["trials"]:
    rate = f"rate {one['rate']:<8.2g} steps {one['steps']:5}"
    print(f"{one['kind']:12} {rate} nats {one['nats']:.3f}")
control = project.control(settings, table, split, data, student, teacher)
---
## Test, once

Write down what you expect before you run it.
---
calibrated = project.calibrate(settings, table, split, teacher, student)
judged = project.evaluate(settings, table, split, teacher, student, calibrated, control)
for name, one in judged.values["accuracy"].items():
    print(f"{name:16} {one['value']:.1%} [{one['low']:.1%}, {one['high']:.1%}]")
for name in "against_teacher", "against_control", "agreement":
    found = judged.values[name]
    print(name, found["words"] if found else "cannot be told")
---
## Small, fast, cheap?
---
small = project.shrink(settings, table, split, student, calibrated)
measured = project.measure(settings, table, split, student)
money = project.cost(settings, split, teacher, measured)
print(small.values["words"])
print(money.values["words"])
---
## Files

The student, its card and the report.
---
exported = project.export(settings, table, split, student, calibrated, small)
print(exported.values["onnx"])
done = {
    "split": split, "teacher": teacher, "select": data, "student": student, "control": control,
    "calibration": calibrated, "evaluation": judged, "int8": small, "speed": measured,
    "cost": money, "export": exported,
}
project.report(settings, done)
print("\\n".join(project.sentences(done)))
---
ready = project.load("student")
project.probabilities(ready, table.texts[:3])
"""


EXAMPLE = {  # what the settings say of a table that comes with its teacher's logits
    'label = "" ': 'label = "label" ',
    '# column = "part"': 'column = "part"',
    'kind = "rule" ': 'kind = "probabilities" ',
    '# columns = { negative = "p_no", positive = "p_yes" }': 'columns = { negative = "no", positive = "yes" }',
    "# logits = false": "logits = true",
}


def new(folder: str | Path, table: pd.DataFrame | None = None) -> Path:
    """Make a project's folder with `project.toml`, README.md and distil.ipynb; files that are there already stay.

    Args:
        table: becomes texts.csv, which the settings then fit: its columns are text, label ("negative", "positive" or ""),
            part (train, validation or test), and the teacher's logits, no and yes. None leaves the table to the reader.
    Raises:
        ValueError: there is a project already, or a texts.csv where `table` should go.
    """
    folder = Path(folder)
    if (folder / FILE).exists():
        raise ValueError(f"{folder} is a project already: choose another name, or edit its {FILE}")
    if table is not None and (folder / "texts.csv").exists():
        raise ValueError(f"{folder} has a texts.csv already: choose another name for the example")
    name, settings = folder.resolve().name, FILTERS + TOML
    files = {"README.md": README.format(name=name), "distil.ipynb": nbformat.writes(notebook()) + "\n"}
    if table is not None:
        files["texts.csv"] = table.to_csv(index=False)
        for plain, filled in EXAMPLE.items():
            settings = settings.replace(plain, filled)
    files[FILE] = settings  # last: where it is, there is a project
    for each, content in files.items():
        if not (folder / each).exists():
            with runtime.replacing(folder / each) as temporary:
                temporary.write_text(content, encoding="utf-8")
    return folder


def notebook() -> nbformat.NotebookNode:
    """The notebook, not yet run."""
    cells = []
    for number, source in enumerate(CELLS.strip().split("\n---\n")):
        make = new_markdown_cell if source.startswith("#") else new_code_cell
        cells.append(make(source, id=f"step-{number:02}"))
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def main(arguments: Sequence[str] | None = None, example: Callable[[], pd.DataFrame] | None = None) -> None:
    """The command line; `example` makes the table of ``--example``."""
    parser = argparse.ArgumentParser(prog="distill-lessons new", description=__doc__)
    parser.add_argument("folder", help="made if it is not there")
    if example is not None:
        parser.add_argument("--example", action="store_true", help="with the course's rated sentences, ready to distil")
    options = parser.parse_args(arguments)
    if getattr(options, "example", False):
        print(f"{new(options.folder, example())} is ready:")
    else:
        folder = new(options.folder)
        print(f"{folder} is ready: put your texts there, say in {folder / FILE} what they are, then")
    print(f"  distill-lessons distil {options.folder}")
