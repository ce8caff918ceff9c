"""What the reader already has of a teacher: probabilities in a table, or a function in the project's folder."""

import importlib.util
import math
import sys

import pyarrow.parquet as pq
import torch

from distill_lessons import runtime
from distill_lessons.project.config import FILE
from distill_lessons.project.table import rows as rows_of


def teacher(settings, table, split, more):
    """Stored probabilities or logits: what decides them, and a function from places to probabilities."""
    about, classes = settings.teacher, split.values["classes"]
    names = about.columns or {name: name for name in classes}
    if sorted(names) != sorted(classes):
        raise ValueError(
            f"columns in [teacher] of {FILE} must name a column for each class ({', '.join(classes)}), and they are for "
            f"{', '.join(names)}"
        )
    columns = [names[name] for name in classes]
    own = {"columns": columns, "logits": about.logits, "key": about.key, "file": "the table"}
    if about.file:
        path = settings.folder / about.file
        if not path.is_file():
            raise FileNotFoundError(
                f"there is no {about.file} in {settings.folder}: name the stored probabilities in {FILE}"
            )
        own["file"] = runtime.sha256(path)

    def read(places):
        cells, place = _beside(settings, table, columns) if about.file else _within(table, columns, settings)
        found = torch.full((len(places), len(classes)), math.nan)
        for at, row in enumerate(places.tolist()):
            source = place(row)
            if source is not None:
                values = [_number(cells[name][source], name, source + 1) for name in columns]
                found[at] = torch.tensor(values, dtype=torch.float64).float()
        return found.softmax(1) if about.logits else found

    return own, read


def _within(table, columns, settings):
    """Columns of the table itself; a row's place is its own."""
    for name in columns:
        if name not in table.others:
            raise ValueError(
                f"{settings.table.file} has no column {name!r} with the teacher's probabilities: name it in {FILE}"
            )
    return table.others, lambda row: row


def _beside(settings, table, columns):
    """Columns of another file, and the place there of each of the table's rows: by a key, or by their order."""
    about = settings.teacher
    path, needed = settings.folder / about.file, [*columns, *filter(None, [about.key])]
    if path.suffix.lower() in (".parquet", ".pq"):
        there = pq.read_schema(path).names
        missing = [name for name in needed if name not in there]
        if missing:
            raise ValueError(
                f"{about.file} has no column {missing[0]!r}, only {', '.join(map(repr, there))}: name it in {FILE}"
            )
        cells = pq.read_table(path, columns=needed).to_pydict()
    else:
        cells = {name: [] for name in needed}
        for row in rows_of(path, settings.table, needed):
            if row.problem:
                raise ValueError(f"{about.file}: {row.problem}")
            for name in needed:
                cells[name].append(row.cells[name])
    if not about.key:
        if len(cells[columns[0]]) != len(table.texts):
            raise ValueError(
                f"{about.file} has {len(cells[columns[0]])} rows and {settings.table.file} {len(table.texts)}: they must be "
                f"the same rows, or set key in [teacher] of {FILE} to a column of both"
            )
        return cells, lambda row: row
    if about.key not in table.others:
        raise ValueError(f"{settings.table.file} has no column {about.key!r} to match rows by: set key in {FILE}")
    by_key = {}
    for place, value in enumerate(cells[about.key]):
        if str(value) in by_key:
            raise ValueError(
                f"{about.file}: row {place + 1}, column {about.key!r} has {value!r:.40} for the second time"
            )
        by_key[str(value)] = place
    return cells, lambda row: by_key.get(str(table.others[about.key][row]))


def _number(value, column, row):
    """A cell as a number; NaN where it is empty."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return math.nan
    try:
        found = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"row {row}, column {column!r} holds {value!r:.40}, and the teacher gives numbers") from None
    if math.isinf(found):
        raise ValueError(f"row {row}, column {column!r} holds {value!r}: the teacher's numbers must be finite")
    return found


def function_of(settings, allow_code):
    """The SHA-256 of the reader's own file, and the function in it.

    Raises:
        ValueError: running code was not allowed, the name is none, or leads out of the folder; FileNotFoundError: no file.
    """
    name = settings.teacher.function
    module, _, function = name.partition(":")
    if not module.isidentifier() or not function.isidentifier():
        raise ValueError(f'function in [teacher] of {FILE} must read "module:function", and it is {name!r}')
    path = (settings.folder / f"{module}.py").resolve()
    if path.parent != settings.folder.resolve():
        raise ValueError(
            f"function in [teacher] of {FILE} must be of a file in {settings.folder} itself, not {path.parent}"
        )
    if not path.is_file():
        raise FileNotFoundError(f"there is no {module}.py in {settings.folder}, which [teacher] in {FILE} names")
    if not allow_code:
        raise ValueError(f"the teacher is code of your own, {module}.py: read it, then say --allow-code to run it")
    spec = importlib.util.spec_from_file_location(f"_project_{module}", path)
    loaded = importlib.util.module_from_spec(spec)
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True
    try:
        spec.loader.exec_module(loaded)
    except Exception as error:
        raise ValueError(f"{module}.py cannot be run: {type(error).__name__}: {error}") from error
    finally:
        sys.dont_write_bytecode = written
    if not callable(getattr(loaded, function, None)):
        raise ValueError(f"{module}.py has no function {function!r}")
    return runtime.sha256(path), getattr(loaded, function)
