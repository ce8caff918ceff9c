"""Compare a notebook cell's numbers within a tolerance: what ``pytest --nbval`` does with a cell tagged ``tolerance:…``.

``tolerance:0.1`` lets each number move by a tenth of what is stored, ``tolerance:±2`` by two of the printed unit (65.4%
may become 67.4%), ``tolerance:0.1±0.02`` by the larger of both (notebooks allow no comma in a tag). Of such a cell,
standard output and whatever text it shows (plain, HTML, Markdown, LaTeX) are compared line by line: the words exactly,
as many numbers, each within its tolerance. Markup is words, so a table of pandas is compared both as text and as HTML.
Runs of blanks are equal, and so is any blank beside a number, for columns move when a number gains a digit; ``5``,
``5.0`` and ``5e0`` are equal, and ``1,234`` and ``1234``. NaN and infinities equal themselves only. All else is
nbval's: other cells, other outputs, other tags.

A number begins where no letter touches it: ``12s``, ``3×`` and ``65.4%`` are numbers with a unit. Compared exactly, like
words: names with digits (``SmolLM2-135M``, ``C3a``, ``layer.4``, ``8-bit``), whole numbers as settings (``T=2``, while
``kl=0.5`` is a measurement), numbered things (``04``), versions (``2.13.0``), dates and hashes.

`pytest_itemcollected` is pytest's hook; the repository's ``conftest.py`` brings it in. It wraps nbval's
``IPyNbCell.compare_outputs(test, ref, skip_compare)`` of nbval 0.11, the only release that runs under pytest 9;
``tests/test_tolerance.py`` notices if a newer one has no such method.
"""

import copy
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal
from typing import Any, NamedTuple

AMOUNT = r"[0-9]*\.?[0-9]+(?:e-?[0-9]+)?"
TAG = re.compile(rf"tolerance:(?:(?P<relative>{AMOUNT})|(?P<both>{AMOUNT})?±(?P<absolute>{AMOUNT}))")
EXACT = Context(prec=100, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[])  # raises nothing, whatever was printed

DIGITS = r"(?>[1-9]\d{0,2}(?:[,_]\d{3})+(?!\d)|\d+)"
VALUE = rf"(?>{DIGITS}(?:\.\d+)?(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?)"
TOKENS = rf"""
    (?<=\d)[^\W\d_]+                                    # the unit after a number (a name takes its letters itself)
  | (?<!\w)(?:\d{{4}}-\d\d-\d\d(?!\d) | \d+(?:\.\d+){{2,}} | 0\d+(?!\.?\d|e[-+]?\d))\w*   # a date, a version, "04"
  | (?P<number>
      (?:(?<![\w.)\]%])[-+−])? (?<!\w)                  # with its sign, which is no sign in 5-7
      (?: (?:nan|inf|infinity|∞)(?!-?\w)                # not the name inf-norm
        | {VALUE}(?![^\W\d_]*[\d_])(?!-[^\W\d])         # not 720x403, not 8-bit
      ))
  | [^\W\d]\w*(?:[-.]\w+)*(?:=[-+−]?{DIGITS}(?!\.?\d|\w|%))?   # a name, a setting
  | \d\w*(?:[-.]\w+)*                                   # a name that begins with a digit
"""
MARKUP = r"<style\b.*?</style>|<script\b.*?</script>|<!--.*?-->|</?[a-z][^>]*>|&\#?\w+;"
FLAGS = re.IGNORECASE | re.VERBOSE | re.DOTALL
TEXT, HTML, ONLY_MARKUP = (re.compile(form, FLAGS) for form in (TOKENS, f"{MARKUP}|{TOKENS}", MARKUP))


class Tolerance(NamedTuple):
    """How far a number may move: by a share of what is stored, or by an amount in the printed unit; the larger counts."""

    relative: Decimal = Decimal(0)
    absolute: Decimal = Decimal(0)

    def allowed(self, stored: Decimal) -> Decimal:
        return max(self.absolute, EXACT.multiply(self.relative, stored.copy_abs()))

    def holds(self, stored: Decimal, fresh: Decimal) -> bool:
        if not (stored.is_finite() and fresh.is_finite()):
            return stored == fresh or (stored.is_nan() and fresh.is_nan())
        return stored == fresh or EXACT.subtract(stored, fresh).copy_abs() <= self.allowed(stored)


def asked(tags: Any) -> Tolerance | None:
    """The tolerance that a cell's tags ask for, or None.

    Raises:
        ValueError: a tag begins with "tolerance" and is none, there are two, or the output is ignored anyway.
    """
    tags = [tag for tag in tags if isinstance(tag, str)] if isinstance(tags, list) else []
    mine = [tag for tag in tags if tag.strip().lower().startswith("tolerance")]
    if not mine:
        return None
    if len(mine) > 1:
        raise ValueError(f"A cell takes one tolerance, and here are {len(mine)}: {', '.join(mine)}")
    found = TAG.fullmatch(mine[0])
    if not found:
        raise ValueError(
            f"The tag {mine[0]!r} is no tolerance: write tolerance:0.1 for a tenth, tolerance:±2 for two of the printed "
            "unit, or tolerance:0.1±2 for the larger of both"
        )
    relative = Decimal(found["relative"] or found["both"] or 0)
    if relative >= 1:
        raise ValueError(f"The tag {mine[0]!r} lets any number become zero: write 0.1 for a tenth, or ±2 for an amount")
    if "nbval-ignore-output" in tags:
        raise ValueError(f"The tag {mine[0]!r} compares outputs that nbval-ignore-output leaves out: keep one of them")
    return Tolerance(relative, Decimal(found["absolute"] or 0))


def split(line: str, tokens: re.Pattern = TEXT) -> tuple[list[str], list[str]]:
    """The words around a line's numbers (before, between, after them: one more than there are numbers), and the numbers."""
    words, numbers, at = [], [], 0
    for token in tokens.finditer(line):
        if token.groupdict()["number"]:
            words.append(line[at : token.start()])
            numbers.append(token[0])
            at = token.end()
    words.append(line[at:])
    # numpy's "1." and the full stop after a number are no words: 1. may become 1.1
    words[1:] = [re.sub(r"^\.(?!\w)", "", word) for word in words[1:]]
    return [" ".join(word.split()) for word in words], numbers


def value(number: str) -> Decimal:
    """A number as it was printed, exactly."""
    return EXACT.create_decimal(re.sub("[,_]", "", number).replace("−", "-").replace("∞", "inf"))


def lines_of(text: str, kind: str) -> list[str]:
    """The lines of a text; one piece of HTML's markup never spans two."""
    if kind == "text/html":
        text = ONLY_MARKUP.sub(lambda found: " ".join(found[0].split()), text)
    return text.splitlines()


def differences(stored: str, fresh: str, tolerance: Tolerance, kind: str = "stdout") -> list[str]:
    """A sentence for each line of a text that is not what was stored, within the tolerance; none if all are."""
    old, new = lines_of(stored, kind), lines_of(fresh, kind)
    found = []
    for place, (before, after) in enumerate(zip(old, new), start=1):
        told = _difference(before, after, tolerance, HTML if kind == "text/html" else TEXT)
        if told:
            found.append(f"Line {place} of {kind}: {told}.")
    if len(old) != len(new):
        many, extra = (old, "was stored and did not come") if len(old) > len(new) else (new, "came and was not stored")
        more = f"line {min(len(old), len(new)) + 1}, {many[min(len(old), len(new))]!r}, {extra}"
        found = [f"{kind} has {len(new)} lines where {len(old)} were stored: {more}.", *found[:1]]
    return found


def _difference(before, after, tolerance, tokens):
    """How a line differs, or None."""
    (words, numbers), (new_words, new_numbers) = split(before, tokens), split(after, tokens)
    if len(numbers) != len(new_numbers):
        return f"{len(numbers)} numbers were stored and {len(new_numbers)} came: {before!r}, and now {after!r}"
    if words != new_words:
        return f"the words differ: {before!r} was stored and {after!r} came"
    moved = []
    for stored, fresh in zip(numbers, new_numbers):
        old, new = value(stored), value(fresh)
        if tolerance.holds(old, new):
            continue
        if old.is_finite() and new.is_finite():
            apart, allowed = EXACT.subtract(old, new).copy_abs(), tolerance.allowed(old)
            moved.append(f"{stored} was stored and {fresh} came, {apart:g} apart where {allowed:g} is allowed")
        else:
            moved.append(f"{stored} was stored and {fresh} came")
    return f"{', and '.join(moved)}, in {after!r}" if moved else None


def texts(output: Any) -> Iterator[tuple[str, str, Any, str]]:
    """The texts of a notebook's output that are compared: kind, text, and where to put another (mapping and key)."""
    if output.output_type == "stream" and output.name == "stdout":
        yield "stdout", output.text, output, "text"
    for kind, text in output.get("data", {}).items():
        if kind.startswith("text/") and isinstance(text, str):
            yield kind, text, output.data, kind


def tolerant(cell: Any, tolerance: Tolerance) -> Callable:
    """nbval's comparison of a cell's outputs, where each fresh text that is within the tolerance counts as the stored one."""
    strict = cell.compare_outputs

    def compare_outputs(test, ref, skip_compare=None):
        stored, found = defaultdict(list), []
        for output in ref:
            for kind, text, *_ in texts(output):
                stored[kind].append(text)
        fresh = copy.deepcopy(test)
        for output in fresh:
            for kind, text, place, key in list(texts(output)):
                if stored[kind]:  # another number of outputs is nbval's to tell
                    old = stored[kind].pop(0)
                    found += differences(cell.sanitize(old), cell.sanitize(text), tolerance, kind)
                    place[key] = old
        cell.comparison_traceback = found
        return not found and strict(fresh, ref, skip_compare)

    return compare_outputs


def refusing(cell: Any, why: str) -> Callable:
    """A comparison that fails and says why."""

    def compare_outputs(test, ref, skip_compare=None):
        cell.comparison_traceback = [why]
        return False

    return compare_outputs


def pytest_itemcollected(item):
    """Give a notebook's cell with a tolerance its own comparison; one whose tag is wrong runs, and fails."""
    if item.path.suffix != ".ipynb":
        return
    from nbval.plugin import IPyNbCell

    if isinstance(item, IPyNbCell):
        try:
            tolerance = asked(item.cell.metadata.get("tags"))
        except ValueError as error:
            item.compare_outputs = refusing(item, str(error))
            item.options["check"] = True
        else:
            if tolerance:
                item.compare_outputs = tolerant(item, tolerance)
