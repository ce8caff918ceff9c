"""`project.toml`: what it may say, read and checked; nothing else decides what a project does."""

import dataclasses
import math
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from distill_lessons import runtime

FILE = "project.toml"
TEACHERS = ("probabilities", "rule", "tuned", "served")
STUDENTS = ("bag", "gru", "transformer")


@dataclass(frozen=True)
class TableSettings:
    file: str = "texts.csv"
    text: str = "text"
    label: str = ""  # none: nobody labelled anything
    classes: tuple = ()  # none: the labels that occur, in alphabetical order
    encoding: str = "utf-8"
    separator: str = "auto"
    quote: str = '"'


@dataclass(frozen=True)
class SplitSettings:
    column: str = ""  # cells say train, validation or test; none: drawn
    test: float = 0.2
    validation: float = 0.15
    alike: float = 0.8  # of two texts' groups of five signs; more, and the second is left out
    seed: int = 0


@dataclass(frozen=True)
class TeacherSettings:
    kind: str = "rule"
    budget: float = math.inf  # money for its answers
    file: str = ""  # probabilities: a parquet or CSV; "" means columns of the table itself
    key: str = ""  # probabilities: a column of both files by which rows are matched; "" means by their order
    columns: dict = field(default_factory=dict)  # probabilities: class = "column"
    logits: bool = False  # probabilities: the columns hold logits
    words: dict = field(default_factory=dict)  # rule: class = ["word", …]
    function: str = ""  # rule: "module:function" of a file in the project's folder
    model: str = ""  # tuned, served: a folder or a name
    rates: tuple = (1.25e-4, 2.5e-4, 5e-4)  # tuned
    epochs: int = 4  # tuned
    batch: int = 16  # tuned
    url: str = ""  # served
    prompt: str = "Which of {classes} fits this text? Answer with that word alone.\n\n{text}"  # served
    samples: int = 1  # served: answers a text; their shares are the probabilities


@dataclass(frozen=True)
class StudentSettings:
    kinds: tuple = STUDENTS
    width: int = 64
    rates: dict = field(default_factory=dict)  # where a kind's search begins; by default learning.RATES
    search_steps: int = 200
    steps: int = 1200
    batch: int = 128
    labels: float = 0.5  # weight of a person's label where the teacher has answered too
    control: bool = True  # train the same student on the labels alone, to see what the teacher was worth


@dataclass(frozen=True)
class ReportSettings:
    margin: float = 0.02  # so much less accuracy than the teacher can be borne
    int8_change: float = 0.05  # the most that a probability may move by int8
    int8_same: float = 0.99  # the least share of answers that must stay


@dataclass(frozen=True)
class PriceSettings:
    currency: str = "EUR"
    teacher: float = 0.0  # per 1,000 texts
    label: float = 0.0  # per label
    machine: float = 0.05  # per hour, for the student
    work: float = 0.0  # once: the people who build it
    texts_per_day: float = 10_000.0


@dataclass(frozen=True)
class Settings:
    """A project: its folder and the sections of `project.toml`."""

    folder: Path
    table: TableSettings = TableSettings()
    split: SplitSettings = SplitSettings()
    teacher: TeacherSettings = TeacherSettings()
    filters: tuple = ()  # of {"name": …, settings}
    student: StudentSettings = StudentSettings()
    report: ReportSettings = ReportSettings()
    prices: PriceSettings = PriceSettings()


SECTIONS = {each.name: each.type for each in dataclasses.fields(Settings) if dataclasses.is_dataclass(each.type)}


def settings(folder: str | Path) -> Settings:
    """Read and check the `project.toml` of a folder.

    Raises:
        FileNotFoundError: there is none; ValueError: it is no TOML, or names or values in it cannot be. Says which.
    """
    path = Path(folder) / FILE
    if not path.is_file():
        raise FileNotFoundError(f"no {FILE} in {folder}: make a project with `distill-lessons new {folder}`")
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{FILE} cannot be read: {error}") from None
    return from_dict(Path(folder), given)


def from_dict(folder: Path, given: dict) -> Settings:
    """The same from plain data. Errors as `settings`."""
    runtime.check_names(given, [*SECTIONS, "filters"], FILE)
    parts = {name: _section(name, kind, given.get(name, {})) for name, kind in SECTIONS.items()}
    filters = given.get("filters", [])
    if not isinstance(filters, list) or not all(isinstance(each, dict) and "name" in each for each in filters):
        raise ValueError(f'filters in {FILE} must be a list such as [{{ name = "length", least = 3 }}]')
    found = Settings(folder, filters=tuple(filters), **parts)
    _check(found)
    return found


def _section(name, kind, given):
    """One section with its values in the types that they must have."""
    if not isinstance(given, dict):
        raise ValueError(f"[{name}] in {FILE} must be a section with settings, and it is {given!r:.40}")
    runtime.check_names(given, [each.name for each in dataclasses.fields(kind)], f"[{name}] in {FILE}")
    values = {}
    for each in dataclasses.fields(kind):
        if each.name in given:
            values[each.name] = _typed(f"{each.name} in [{name}] of {FILE}", given[each.name], each.type)
    return kind(**values)


WORDS = {str: "a text in quotes", float: "a number", int: "a whole number", bool: "true or false", tuple: "a list",
         dict: "a table such as { a = … }"}  # fmt: skip


def _typed(where, value, kind):
    accepted = {float: (int, float), tuple: list}.get(kind, kind)
    if not isinstance(value, accepted) or (isinstance(value, bool) and kind is not bool):
        raise ValueError(f"{where} must be {WORDS[kind]}, and it is {value!r:.40}")
    return kind(value)


def _check(found: Settings) -> None:
    """What the types do not say."""
    classes = found.table.classes
    if not all(isinstance(each, str) and each.strip() == each and each for each in classes):
        raise ValueError(f"classes in [table] of {FILE} must be texts without spaces at their ends: {list(classes)!r}")
    if len(set(classes)) < len(classes) or len(classes) == 1:
        raise ValueError(f"classes in [table] of {FILE} must be two or more, all different: {list(classes)!r}")
    one_of("kind in [teacher]", [found.teacher.kind], TEACHERS)
    one_of("kinds in [student]", found.student.kinds, STUDENTS)
    one_of("rates in [student]", found.student.rates, STUDENTS)
    for where, value, low, high in (
        ("test in [split]", found.split.test, 0.05, 0.5),
        ("validation in [split]", found.split.validation, 0.05, 0.4),
        ("alike in [split]", found.split.alike, 0.5, 1),
        ("seed in [split]", found.split.seed, 0, runtime.LARGEST_SEED),
        ("budget in [teacher]", found.teacher.budget, 0, math.inf),
        ("epochs in [teacher]", found.teacher.epochs, 1, 100),
        ("batch in [teacher]", found.teacher.batch, 1, 4096),
        ("samples in [teacher]", found.teacher.samples, 1, 100),
        ("width in [student]", found.student.width, 4, 1024),
        *((f"rates.{name} in [student]", rate, 1e-6, 1) for name, rate in found.student.rates.items()),
        ("search_steps in [student]", found.student.search_steps, 1, 10**6),
        ("steps in [student]", found.student.steps, 1, 10**7),
        ("batch in [student]", found.student.batch, 1, 10**5),
        ("labels in [student]", found.student.labels, 0, 1),
        ("margin in [report]", found.report.margin, 1e-4, 0.5),
        ("int8_change in [report]", found.report.int8_change, 0, 1),
        ("int8_same in [report]", found.report.int8_same, 0, 1),
        ("teacher in [prices]", found.prices.teacher, 0, 1e9),
        ("label in [prices]", found.prices.label, 0, 1e9),
        ("machine in [prices]", found.prices.machine, 0, 1e9),
        ("work in [prices]", found.prices.work, 0, 1e12),
        ("texts_per_day in [prices]", found.prices.texts_per_day, 1, 1e12),
    ):
        if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
            raise ValueError(f"{where} of {FILE} must lie between {low:g} and {high:g}, and it is {value!r}")
    if not found.student.kinds:
        raise ValueError(f"kinds in [student] of {FILE} is empty: name one of {', '.join(STUDENTS)}")
    if found.student.width % 4:
        raise ValueError(f"width in [student] of {FILE} must be a multiple of 4, and it is {found.student.width}")
    if len(found.table.quote) != 1 or (found.table.separator != "auto" and len(found.table.separator) != 1):
        raise ValueError(f'quote and separator in [table] of {FILE} must be one sign each, or separator "auto"')
    if not all(isinstance(rate, float) and rate > 0 for rate in found.teacher.rates) or not found.teacher.rates:
        raise ValueError(f"rates in [teacher] of {FILE} must be numbers over 0, and they are {found.teacher.rates!r}")


def one_of(where: str, given, known) -> None:
    """Refuse what is not known; says where, and the nearest."""
    if not all(isinstance(each, str) for each in given):
        raise ValueError(f"{where} of {FILE} must be texts in quotes, of {', '.join(known)}")
    runtime.check_names(given, known, f"{where} of {FILE}")
