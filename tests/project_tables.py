"""Small made-up tables for the tests of `distill_lessons.project`."""

import csv
import random

from distill_lessons import project

WORDS = {
    "good": "warm clever lovely bright kind superb".split(),
    "bad": "cold dull broken awful grim poor".split(),
}
OTHERS = [f"{first}o{second}a" for first in "bdfgklmnp" for second in "rstvz"]
SMALL = {"width": 8, "search_steps": 6, "steps": 12, "kinds": ["bag"], "rates": {"bag": 0.03}}


def texts(count, seed=0):
    """Texts of eight words, two of which tell their class; with the classes."""
    rng = random.Random(seed)
    found = []
    for _ in range(count):
        name = rng.choice(["good", "bad"])
        chosen = rng.choices(WORDS[name], k=2) + rng.choices(OTHERS, k=6)
        rng.shuffle(chosen)
        found.append((" ".join(chosen), name))
    return found


def write(path, header, rows, **how):
    with open(path, "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, **how)
        table.writerow(header)
        table.writerows(rows)


def toml(**sections):
    """`project.toml` of dicts, the filters first."""
    lines = [f"filters = {_value(sections.pop('filters', []))}"]
    for name, section in sections.items():
        lines += [f"[{name}]", *(f"{key} = {_value(value)}" for key, value in section.items())]
    return "\n".join(lines) + "\n"


def _value(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {_value(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list):
        return "[" + ", ".join(map(_value, value)) + "]"
    return f"{value!r}" if not isinstance(value, str) else '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def tiny(folder, count=300, labelled=2, **changes):
    """A project with a rule as teacher and a bag as student; every `labelled`-th row has its label."""
    folder.mkdir(exist_ok=True)
    rows = [(text, name if place % labelled == 0 else "") for place, (text, name) in enumerate(texts(count))]
    write(folder / "texts.csv", ["text", "label"], rows)
    sections = {
        "filters": [],
        "table": {"label": "label"},
        "teacher": {"kind": "rule", "words": {name: words[:4] for name, words in WORDS.items()}},
        "student": dict(SMALL),
        "report": {},
        "prices": {"teacher": 2.0, "label": 0.1},
    }
    for name, change in changes.items():
        sections[name] = change if name == "filters" else sections.get(name, {}) | change
    (folder / "project.toml").write_text(toml(**sections), encoding="utf-8")
    return folder


def settings(folder, **changes):
    """The settings of such a project."""
    return project.settings(tiny(folder, **changes))
