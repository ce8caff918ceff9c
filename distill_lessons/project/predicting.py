"""A student's answers to many texts: ``distill-lessons predict student/ texts.csv``, or a line a text on standard input."""

import argparse
import csv
import itertools
import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from distill_lessons import runtime
from distill_lessons.project import students
from distill_lessons.project.config import FILE, TableSettings
from distill_lessons.project.students import Student
from distill_lessons.project.table import Row, rows

BATCH = 256


class Answer(NamedTuple):
    """A row's number, its class and calibrated probability; both None where the row could not be read, and why."""

    row: int
    label: str | None
    probability: float | None
    problem: str = ""


def predict(student: Student, given: Iterable[Row], column: str = "text", batch: int = BATCH) -> Iterator[Answer]:
    """Answers in the rows' order, `batch` at a time; a row that is broken or has no text has an empty one."""
    for part in itertools.batched(given, batch) if hasattr(itertools, "batched") else _batched(given, batch):
        problems = [row.problem or _no_text(row, column) for row in part]
        good = [row.cells[column] for row, problem in zip(part, problems) if not problem]
        found = students.probabilities(student, good, batch).max(1)
        answers = iter(zip(found.indices.tolist(), found.values.tolist()))
        for row, problem in zip(part, problems):
            if problem:
                yield Answer(row.number, None, None, problem)
            else:
                number, probability = next(answers)
                yield Answer(row.number, student.classes[number], probability)


def _batched(given, size):  # itertools.batched before Python 3.12
    given = iter(given)
    while part := list(itertools.islice(given, size)):
        yield part


def _no_text(row, column):
    value = row.cells[column]
    if value is None or (isinstance(value, str) and not value.strip()):
        return f"row {row.number}, column {column!r} is empty"
    return "" if isinstance(value, str) else f"row {row.number}, column {column!r} holds {value!r:.40} and no text"


def lines(file, column: str = "text") -> Iterator[Row]:
    """A line a text, from a binary stream; a line that is not UTF-8 is a broken row."""
    for number, line in enumerate(file, 1):
        try:
            yield Row(number, {column: line.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")})
        except UnicodeDecodeError as error:
            yield Row(number, {}, f"row {number} is not UTF-8: {error.reason}")


def told_of_column(given: Iterable[Row]) -> Iterator[Row]:
    """The same rows; where the table has no such column, the sentence names the option and not a project's settings."""
    try:
        yield from given
    except ValueError as error:
        raise ValueError(str(error).replace(f"name it in {FILE}", "name it with --column")) from None


def write(answers: Iterable[Answer], file, form: str) -> list[Answer]:
    """Write answers as "csv" or "jsonl" as they come; returns those with a problem."""
    bad = []
    table = csv.writer(file, lineterminator="\n")
    if form == "csv":
        table.writerow(Answer._fields)
    for answer in answers:
        if answer.problem:
            bad.append(answer)
        if form == "csv":
            told = "" if answer.probability is None else f"{answer.probability:.6f}"
            table.writerow([answer.row, answer.label or "", told, answer.problem])
        else:
            kept = {name: value for name, value in answer._asdict().items() if name != "problem" or value}
            file.write(json.dumps(kept, ensure_ascii=False) + "\n")
    return bad


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(prog="distill-lessons predict", description=__doc__)
    parser.add_argument("student", help="the folder student/ of a project")
    parser.add_argument(
        "texts", nargs="?", default="-", help="CSV or parquet; - or nothing: standard input, a line a text"
    )
    parser.add_argument("--column", default="text", help="where the texts stand (text)")
    parser.add_argument("--separator", default="auto", help="of the CSV's cells; found out by itself")
    parser.add_argument("--encoding", default="utf-8", help="of the CSV")
    parser.add_argument("--format", default="csv", choices=["csv", "jsonl"], help="of the answers (csv)")
    parser.add_argument("--out", help="a file for the answers; standard output without it")
    parser.add_argument("--batch", type=int, default=BATCH, help=f"texts read at once ({BATCH})")
    parser.add_argument("--int8", action="store_true", help="use the int8 weights")
    asked = parser.parse_args(arguments)
    if asked.batch < 1:
        raise ValueError(f"--batch must be at least 1, and it is {asked.batch}")
    runtime.start()
    student = students.load(asked.student, asked.int8)
    about = TableSettings(text=asked.column, separator=asked.separator, encoding=asked.encoding)
    if asked.texts == "-":
        given = lines(sys.stdin.buffer, asked.column)
    elif Path(asked.texts).is_file():
        given = rows(Path(asked.texts), about, [asked.column])
    else:
        raise FileNotFoundError(f"there is no file {asked.texts}")
    answers = predict(student, told_of_column(given), asked.column, asked.batch)
    if asked.out:
        with runtime.replacing(asked.out) as temporary, open(temporary, "w", encoding="utf-8", newline="") as file:
            bad = write(answers, file, asked.format)
    else:
        bad = write(answers, sys.stdout, asked.format)
    for answer in bad[:10]:
        print(f"no answer: {answer.problem}", file=sys.stderr)
    if len(bad) > 10:
        print(f"and {len(bad) - 10} more rows without an answer", file=sys.stderr)
