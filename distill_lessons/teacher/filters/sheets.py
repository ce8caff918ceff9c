"""People as a filter: a sheet to fill in, read back with how far they agree."""

import csv
import hashlib
import io
import itertools
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import datasets
import numpy as np
from sklearn.metrics import cohen_kappa_score

from distill_lessons import runtime
from distill_lessons.teacher.filters.verdicts import Filter, Verdict, absent, check_number, column_of, make, quoted

CHOICES = ("keep", "drop")
KEY = "key"  # tells whose text a line is, whatever a spreadsheet did to it
PERSON = "person "


def sheet_out(
    dataset: datasets.Dataset, path: str | Path, count: int, seed: int = 0, column: str = "text", people: int = 2,
    shown: Sequence[str] = (), choices: Sequence[str] = CHOICES,
) -> list[int]:  # fmt: skip
    """Write a CSV file of `count` texts drawn at random, for people to fill in one of `choices` each; returns their rows.

    Texts that stand in the data set several times are drawn once. The file opens in a spreadsheet (UTF-8 with its mark); a
    text that one would read as a formula has an apostrophe before it. People's judgements must be made apart: give each
    their own copy, and bring the columns together afterwards.

    Args:
        people: how many columns "person 1", "person 2" … there are to fill in.
        shown: further columns to show. Leave out the teacher's label: who sees it agrees with it.
    Raises:
        ValueError: there are fewer different texts than `count`; a setting is out of range; a file is there already, which
            people may have filled in.
        OSError: the file cannot be written.
    """
    path = Path(path)
    check_number("count", count, 1, whole=True)
    check_number("people", people, 1, whole=True)
    if path.exists():
        raise ValueError(f"{path.name} is there already, and people may have filled it in: choose another name")
    texts, more = column_of(dataset, column), [column_of(dataset, name) for name in shown]
    first = {text: place for place, text in reversed(list(enumerate(texts))) if not absent(text)}
    rows = sorted(first.values())
    if count > len(rows):
        raise ValueError(
            f"the sheet asks for {count} texts and the data set has {len(rows)} different ones: ask for fewer"
        )
    chosen = [rows[i] for i in np.random.default_rng(seed).permutation(len(rows))[:count]]
    persons = [f"{PERSON}{number + 1}" for number in range(people)]
    with runtime.replacing(path) as temporary, open(temporary, "w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow([KEY, column, *shown, *(f"{person} ({' or '.join(choices)})" for person in persons)])
        for place in chosen:
            cells = [texts[place], *(values[place] for values in more)]
            writer.writerow([_key(texts[place]), *map(_harmless, cells), *[""] * people])
    return chosen


def sheet_in(
    dataset: datasets.Dataset, path: str | Path, column: str = "text", against: str | None = None,
    choices: Sequence[str] = CHOICES,
) -> dict:  # fmt: skip
    """Read a sheet that people have filled in, and how far they agree.

    Args:
        against: a column of the data set, the teacher's label say, that people's majority is compared with.
        choices: those of `sheet_out`; case and spaces around them do not matter.
    Returns:
        dict of *judgements*, one dict a line: row (the first of the data set with that text), text, answers (by person, None
        where nothing is filled in) and majority (None for a tie); *blank*, how many cells are not filled in; and *agreement*,
        one dict for each two people, and for the majority and `against`: between, lines (that both judged), same (share) and
        kappa: Cohen's, 1 for full agreement and 0 for what chance would give; NaN where all answers are the same, or none.
    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no sheet, of another data set, not filled in, or holds something else than a choice; says where.
    """
    rows = {}
    for place, text in enumerate(column_of(dataset, column)):
        if isinstance(text, str):
            rows.setdefault(_key(text), (place, text))
    other = column_of(dataset, against) if against else None
    judgements = []
    for line, (key, answers) in enumerate(_lines(Path(path), choices), start=2):
        if key not in rows:
            raise ValueError(f"{Path(path).name}, line {line}: its text is not in this data set's column {column!r}")
        place, text = rows[key]
        judgements.append({"row": place, "text": text, "answers": answers, "majority": _majority(answers.values())})
    persons = list(judgements[0]["answers"])
    agreement = [
        _agreement(f"{a} and {b}", [(one["answers"][a], one["answers"][b]) for one in judgements])
        for a, b in itertools.combinations(persons, 2)
    ]
    if against:
        pairs = [(one["majority"], _answer(other[one["row"]])) for one in judgements]
        agreement.append(_agreement(f"the majority and {against}", pairs))
    blank = sum(answer is None for one in judgements for answer in one["answers"].values())
    return {"judgements": judgements, "blank": blank, "agreement": agreement}


def people(path: str | Path, column: str = "text") -> Filter:
    """Drops the texts that most people on a sheet of keep and drop would drop. A text that no one judged is kept.

    Raises:
        FileNotFoundError, ValueError: as `sheet_in`, at once.
    """
    answers = dict(_lines(Path(path), CHOICES))

    def one(text):
        given = Counter(answer for answer in answers.get(_key(text), {}).values() if answer)
        told = f"{given['drop']} of {given.total()} say drop"
        if not given:
            return Verdict(True, "not judged by people")
        if given["keep"] == given["drop"]:
            return Verdict(True, f"people do not agree: {told}", 0.5)
        keep = given["keep"] > given["drop"]
        return Verdict(keep, f"people would {'keep' if keep else 'drop'} it: {told}", given["keep"] / given.total())

    return make("people", lambda texts: [one(text) for text in texts], [column], sheet=Path(path).name)


def _key(text):
    return (
        "t" + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    )  # the letter: a spreadsheet takes 12e4 for a number


def _harmless(cell):
    """A cell that no spreadsheet takes for a formula."""
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(("=", "+", "-", "@", "\t", "\r")) else cell


def _answer(value):
    return None if absent(value) else str(value).strip().casefold()


def _lines(path, choices):
    """A sheet's (key, {person: answer or None}), line by line; checked."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no sheet {path.name}: make one with filters.sheet_out")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{path.name} is not in UTF-8: save it as CSV UTF-8 in the spreadsheet") from None
    head = text.partition("\n")[0]
    mark = max(",;\t", key=head.count)  # some spreadsheets write a semicolon
    lines = [line for line in csv.reader(io.StringIO(text, newline=""), delimiter=mark) if any(line)]
    heads = lines[0] if lines else []
    persons = {place: name.partition(" (")[0] for place, name in enumerate(heads) if name.startswith(PERSON)}
    if KEY not in heads or not persons or len(lines) < 2:
        raise ValueError(
            f"{path.name} is no sheet of filters.sheet_out: its columns {KEY!r} and 'person 1' are looked for"
        )
    known, found, seen = {_answer(choice): choice for choice in choices}, [], set()
    for number, line in enumerate(lines[1:], start=2):
        line = line + [""] * (len(heads) - len(line))
        key, answers = line[heads.index(KEY)], {}
        if key in seen:
            raise ValueError(f"{path.name}, line {number}: its text stands there twice, remove one of the lines")
        seen.add(key)
        for place, person in persons.items():
            answer = _answer(line[place])
            if answer is not None and answer not in known:
                raise ValueError(
                    f"{path.name}, line {number}: {person} says {quoted(line[place])}, and the choices are "
                    f"{', '.join(map(str, choices))}"
                )
            answers[person] = answer if answer is None else known[answer]
        found.append((key, answers))
    if all(answer is None for _, answers in found for answer in answers.values()):
        raise ValueError(
            f"{path.name} is not filled in: let people write {' or '.join(map(str, choices))} in each line"
        )
    return found


def _majority(answers):
    votes = Counter(answer for answer in answers if answer is not None).most_common(2)
    return None if not votes or len(votes) == 2 and votes[0][1] == votes[1][1] else votes[0][0]


def _agreement(between, pairs):
    both = [(_answer(one), _answer(other)) for one, other in pairs if one is not None and other is not None]
    same = sum(one == other for one, other in both) / len(both) if both else float("nan")
    varied = len({answer for pair in both for answer in pair}) > 1
    kappa = float(cohen_kappa_score(*zip(*both))) if varied else float("nan")
    return {"between": between, "lines": len(both), "same": same, "kappa": kappa}
