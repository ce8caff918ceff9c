"""Filters that look at a row's form: length, JSON, labels, repetition."""

import json
from collections.abc import Iterable
from typing import Literal

from distill_lessons.teacher.filters.verdicts import Filter, Verdict, check_number, make, normalised, quoted, words


def length(
    least: int = 1,
    most: int | None = None,
    unit: Literal["characters", "words"] = "characters",
    column: str = "text",
) -> Filter:
    """Keeps texts of `least` to `most` characters or words, both included; None sets no upper limit.

    Raises:
        ValueError: the limits are no whole numbers, or cross; the unit is another.
    """
    if unit not in ("characters", "words"):
        raise ValueError(f"unit must be characters or words, and it is {unit!r}")
    check_number("least", least, 0, whole=True)
    if most is not None:
        check_number("most", most, least, whole=True)

    def judge(texts):
        return [one(len(text) if unit == "characters" else len(text.split())) for text in texts]

    def one(size):
        if size < least:
            return Verdict(False, f"shorter than {least} {unit}: {size}", size)
        if most is not None and size > most:
            return Verdict(False, f"longer than {most} {unit}: {size}", size)
        return Verdict(True, f"as long as asked: {size} {unit}", size)

    return make("length", judge, [column], least=least, most=most, unit=unit)


def labels(allowed: Iterable, column: str = "label") -> Filter:
    """Keeps rows whose label is one of `allowed`, of the same type and spelled the same.

    A label that is allowed but for case, spaces and punctuation has a reason of its own: it could be mended.

    Raises:
        ValueError: no label is allowed.
    """
    allowed = [allowed] if isinstance(allowed, str) else list(allowed)
    if not allowed:
        raise ValueError("labels needs at least one label that is allowed")
    spelled = {normalised(label) for label in allowed if isinstance(label, str)}

    def one(label):
        if any(label == each and isinstance(label, bool) == isinstance(each, bool) for each in allowed):
            return Verdict(True, f"a label that is allowed: {quoted(label)}")
        if isinstance(label, str) and normalised(label) in spelled:
            return Verdict(False, f"a label in another spelling: {quoted(label)}")
        return Verdict(False, f"not one of the labels: {quoted(label)}")

    return make("labels", lambda rows: [one(row) for row in rows], [column], texts=(), allowed=allowed)


KINDS = {str: "a text", float: "a number", int: "a whole number", bool: "true or false", type(None): "null"}


def json_schema(schema: object, column: str = "text") -> Filter:
    """Keeps texts that are JSON of a form.

    Args:
        schema: a type (str, float, int, bool, ``type(None)``); a tuple of the values that may stand there; a list of one
            schema, for a list of any length of such; or a dict of field to schema, where each field must be there and no
            other: ``{"text": str, "label": ("positive", "negative"), "words": [str]}``. A float may be a whole number.
    Raises:
        ValueError: the schema holds something else; says what.
    """
    _check_schema(schema)

    def one(text):
        try:
            problem = _differs(json.loads(text, parse_constant=_no_number), schema, "")
        except ValueError as error:
            return Verdict(False, f"no JSON: {error}")
        except RecursionError:
            return Verdict(False, "no JSON: it is nested too deeply")
        return Verdict(False, f"JSON of another form: {problem}") if problem else Verdict(True, "JSON as asked")

    return make("json_schema", lambda texts: [one(text) for text in texts], [column], schema=_told(schema))


def _check_schema(schema):
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for each in inner:
        _check_schema(each)
    if isinstance(schema, dict):
        fits = all(isinstance(name, str) for name in schema)
    elif isinstance(schema, list | tuple):
        fits = len(schema) == 1 if isinstance(schema, list) else len(schema) > 0
    else:
        fits = isinstance(schema, type) and schema in KINDS
    if not fits:
        raise ValueError(
            f"a schema holds types, dicts of field to schema, lists of one schema and tuples of values, not {schema!r:.60}"
        )


def _no_number(name):
    raise ValueError(f"{name} is no number of JSON")


def _differs(value, schema, where):
    """What is wrong with a value, in words; None if it fits."""
    here = where.rstrip(".") or "the whole"
    if isinstance(schema, dict):
        if not isinstance(value, dict):
            return f"{here} is no object with fields"
        for field in (*schema, *value):
            if (field in schema) != (field in value):
                return f"the field {quoted(where + field)} is {'missing' if field in schema else 'not asked for'}"
        return next(
            filter(None, (_differs(value[name], each, f"{where}{name}.") for name, each in schema.items())), None
        )
    if isinstance(schema, list):
        if not isinstance(value, list):
            return f"{here} is no list"
        return next(filter(None, (_differs(each, schema[0], f"{here}[{i}].") for i, each in enumerate(value))), None)
    if isinstance(schema, tuple):
        known = any(value == each and isinstance(value, bool) == isinstance(each, bool) for each in schema)
        return None if known else f"{here} is {quoted(value)} and none of {', '.join(map(str, schema))}"
    fits = isinstance(value, (int, float) if schema is float else schema)
    return None if fits and (schema is bool or not isinstance(value, bool)) else f"{here} is not {KINDS[schema]}"


def _told(schema):
    """A schema as plain data, for the filter's `about`."""
    if isinstance(schema, dict):
        return {name: _told(each) for name, each in schema.items()}
    return [_told(each) for each in schema] if isinstance(schema, list) else KINDS.get(schema) or list(schema)


LONGEST = 8  # words of a phrase that is looked for in a row
GROUP = 3  # words of a group that may have come before


def repetition(times: int = 4, share: float = 0.5, column: str = "text") -> Filter:
    """Drops texts that go round in circles.

    Either a phrase of up to eight words stands `times` times in a row, or more than `share` of all groups of three words
    have come before in the same text. A text without words is looked at sign by sign.

    Raises:
        ValueError: `times` is below 2, or `share` not from 0 to 1.
    """
    check_number("times", times, 2, whole=True)
    check_number("share", share, 0, 1)

    def one(text):
        found = words(text)
        for size in range(1, min(LONGEST, len(found) // times) + 1):
            run = 0  # words in a row that are the same as those `size` before
            for place, (before, word) in enumerate(zip(found, found[size:])):
                run = run + 1 if before == word else 0
                if run == size * (times - 1):
                    phrase = " ".join(found[place + 1 : place + 1 + size])
                    return Verdict(False, f"a phrase at least {times} times in a row: {quoted(phrase)}")
        groups = list(zip(*(found[start:] for start in range(GROUP))))
        again = 1 - len(set(groups)) / len(groups) if groups else 0.0
        if again > share:
            return Verdict(False, f"more than {share:.0%} of it came before: {again:.0%} of its groups of words", again)
        return Verdict(True, f"little of it came before: {again:.0%} of its groups of words", again)

    return make("repetition", lambda texts: [one(text) for text in texts], [column], times=times, share=share)
