"""The reader's table: CSV or parquet, read row by row, with a sentence that names row and column where one is broken."""

import codecs
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

from distill_lessons import runtime
from distill_lessons.project.config import FILE, Settings, TableSettings

SEPARATORS = ",;\t|"
LONGEST_CELL = 2**24  # characters
MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # what a file of another encoding begins with


class Row(NamedTuple):
    """A row's number, counted from 1 without the header; its cells by column, or what is wrong with it."""

    number: int
    cells: dict
    problem: str = ""


class Table(NamedTuple):
    """All rows: texts and labels, "" where there is none; other columns as they stand; SHA-256 of the file."""

    texts: list[str]
    labels: list[str]
    others: dict[str, list]
    digest: str


def read(settings: Settings) -> Table:
    """The table that `project.toml` names. Row n of the file is entry n − 1 of every list.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a row or a cell cannot be read, or a column is missing; says which row and column.
    """
    about = settings.table
    path = settings.folder / about.file
    if not path.is_file():
        raise FileNotFoundError(
            f"there is no table {about.file} in {settings.folder}: put it there, or name it in {FILE}"
        )
    texts, labels, others = [], [], {}
    for row in rows(path, about, [about.text, *filter(None, [about.label])]):
        if row.problem:
            raise ValueError(f"{path.name}: {row.problem}")
        texts.append(_text(row, about.text, path))
        labels.append(_label(row, about.label, path) if about.label else "")
        for name, value in row.cells.items():
            if name not in (about.text, about.label):
                others.setdefault(name, []).append(value)
    if not texts:
        raise ValueError(f"{path.name} has a header and no row")
    return Table(texts, labels, others, runtime.sha256(path))


def _text(row, column, path):
    value = row.cells[column]
    if value is not None and not isinstance(value, str):
        raise ValueError(f"{path.name}: row {row.number}, column {column!r} holds {value!r:.40} and no text")
    return (value or "").strip()


def _label(row, column, path):
    value = row.cells[column]
    if isinstance(value, float) and value == value and not value.is_integer():
        raise ValueError(
            f"{path.name}: row {row.number}, column {column!r} holds {value!r}, and a label is no fraction"
        )
    if value is None or value != value:  # NaN is a missing cell
        return ""
    return str(int(value)) if isinstance(value, float) else str(value).strip()


def rows(path: Path, about: TableSettings, needed: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV or parquet file, broken ones too.

    Raises:
        ValueError: a column that is needed is missing, or the header cannot be read; names the columns there are.
    """
    if path.suffix.lower() in (".parquet", ".pq"):
        yield from parquet_rows(path, needed)
    else:
        with open(path, "rb") as file:
            yield from csv_rows(file, path.name, about, needed)


def parquet_rows(path: Path, needed: Sequence[str]) -> Iterator[Row]:
    """The rows of a parquet file, as `rows`."""
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path.name} is no parquet file, or a damaged one: {str(error).splitlines()[0]}") from None
    with file:
        check_columns(path.name, file.schema_arrow.names, needed)
        number = 0
        for batch in file.iter_batches():
            for cells in batch.to_pylist():
                number += 1
                yield Row(number, cells)


def csv_rows(file: BinaryIO, name: str, about: TableSettings, needed: Sequence[str]) -> Iterator[Row]:
    """The rows of a CSV, as `rows`. Empty lines are no rows; a cell may hold line breaks within quotes."""
    head = file.read(2)
    encoding = MARKS.get(head, about.encoding)
    try:
        plain = codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
    except LookupError:
        raise ValueError(f"encoding in [table] of {FILE} is {encoding!r}, which Python does not know") from None
    # What is no UTF-8 stays visible as lone surrogates, and is told with its row.
    how = ("utf-8-sig", "surrogateescape") if plain else (encoding, "replace")
    lines = io.TextIOWrapper(io.BufferedReader(_Again(head, file)), *how, newline="")
    csv.field_size_limit(LONGEST_CELL)
    first = lines.readline()
    if not first.strip():
        raise ValueError(f"{name} has no header in its first line: name the columns there")
    separator = about.separator if about.separator != "auto" else separator_of(first, about.quote, needed)
    options = {"delimiter": separator, "quotechar": about.quote, "strict": True}
    try:
        header = [cell.strip() for cell in next(csv.reader([first], **options))]
    except csv.Error as error:
        raise ValueError(
            f"the header of {name} cannot be read ({error}): write the columns' names in one line"
        ) from None
    check_columns(name, header, needed)
    reader, number = csv.reader(lines, **options), 0
    while True:
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            number += 1
            yield Row(number, {}, f"row {number} (about line {reader.line_num + 1}) cannot be read ({error}): "
                      f"look for a {about.quote} that is opened and not closed, and write {about.quote * 2} for one "
                      "within a text")  # fmt: skip
            continue
        if not cells:
            continue
        number += 1
        yield _row(number, cells, header, encoding, separator)


def _row(number, cells, header, encoding, separator):
    if len(cells) != len(header):
        return Row(number, {}, f"row {number} has {len(cells)} cells and the header {len(header)}, first {cells[0]!r:.40}: "
                   f"put a text that holds {separator!r} in quotes")  # fmt: skip
    for column, cell in zip(header, cells):
        if any("\udc80" <= sign <= "\udcff" for sign in cell):
            return Row(number, {}, f"row {number}, column {column!r} is not {encoding}: save the table as UTF-8, or set "
                       f"encoding in [table] of {FILE}")  # fmt: skip
    return Row(number, dict(zip(header, cells)))


def separator_of(first: str, quote: str, needed: Sequence[str]) -> str:
    """The sign that cuts a header into the most columns, of those with which all that are needed are among them."""
    cut = {sign: next(csv.reader([first], delimiter=sign, quotechar=quote)) for sign in SEPARATORS}
    names = {sign: [cell.strip() for cell in cells] for sign, cells in cut.items()}
    fits = [sign for sign in SEPARATORS if set(needed) <= set(names[sign])] or SEPARATORS
    return max(fits, key=lambda sign: len(names[sign]))


def check_columns(name: str, header: Sequence[str], needed: Sequence[str]) -> None:
    """Refuse a table without a column that is needed, or with two of one name; says which columns it has."""
    twice = {column for column in header if header.count(column) > 1}
    if twice:
        raise ValueError(f"{name} has two columns {min(twice)!r}: rename one")
    for column in needed:
        if column not in header:
            raise ValueError(f"{name} has no column {column!r}, only {', '.join(map(repr, header))}: name it in {FILE}")


class _Again(io.RawIOBase):
    """A stream whose first bytes were read already."""

    def __init__(self, head: bytes, file: BinaryIO):
        self.head, self.file = head, file

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        found = self.head[: len(buffer)] or self.file.read(len(buffer))
        self.head = self.head[len(found) :]
        buffer[: len(found)] = found
        return len(found)
