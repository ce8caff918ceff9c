"""Cells with a tolerance: which texts are equal within it, which tags are none, and what nbval then says of real notebooks."""

import inspect
import re
import shutil
import subprocess
import sys
from decimal import Decimal
from xml.etree import ElementTree

import nbformat
import pandas
import pytest
import tolerance
from hypothesis import example, given
from hypothesis import strategies as st
from nbval.plugin import IPyNbCell

from distill_lessons import runtime

ROOT = runtime.REPOSITORY


def within(stored, fresh, tag="tolerance:0.1", kind="stdout"):
    return tolerance.differences(stored, fresh, tolerance.asked([tag]), kind) == []


# --- what is a number, and what is a word ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "line, numbers",
    [
        ("loss 0.5, −0.5, -0.5, +0.5, .5, (-.5) and 5.", "0.5 −0.5 -0.5 +0.5 .5 -.5 5"),
        ("65.4% of 1,234,567 in 12s: 3× and 135M, $1,234.50", "65.4 1,234,567 12 3 135 1,234.50"),
        ("1e-3 1E5 2.5e+10 1_000 0.0 00.5 0", "1e-3 1E5 2.5e+10 1_000 0.0 00.5 0"),
        ("gain -0.32 [-0.64, +0.01] ±0.02, 31/48, ~3, <4, x → 5", "-0.32 -0.64 +0.01 0.02 31 48 3 4 5"),
        ("[1. 2.5 -3.]", "1 2.5 -3"),
        ("5-7 5%-7% 12s-7s 1+2j (5)-7", "5 7 5 7 12 7 1 2 5 7"),
        ("nan -inf NaN% +Infinity ∞", "nan -inf NaN +Infinity ∞"),
        ("kl=0.5, 3%=x, t=12s, x=-1e-3, T = 2, n=1,234.5", "0.5 3 12 -1e-3 2 1,234.5"),
        ("SmolLM2-135M SmolLM2-1.7B Qwen2.5-0.5B gpt-4 C3a lesson 04 lesson04 007", ""),
        ("T=2 T=2. T=2, n=1,234 k=-3 8-bit 1.5-fold top-5 layer.4 p50 int8 lr_3e-4 3_a", ""),
        ("torch 2.13.0+cpu, 2026-11-27, 8eb06eb975, a3613e9, 720x403.2, 0x1F", ""),
        ("information, infinite, inf-norm, nano, nan_policy, banana", ""),
    ],
)
def test_numbers_are_told_from_words(line, numbers):
    assert tolerance.split(line)[1] == numbers.split()


# --- equal within a tolerance, or not -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stored, fresh, tag",
    [
        ("65.4% right", "66.1% right", "tolerance:±1"),  # in the printed unit
        ("65.4% right", "66.1% right", "tolerance:0.02"),
        ("1,234,567 rows", "1,230,000 rows", "tolerance:0.01"),
        ("999", "1,001", "tolerance:±2"),
        ("12s", "13 s", "tolerance:0.1"),
        ("3×", "3.2×", "tolerance:0.1"),
        ("+0.32 [-0.02, +0.66]", "+0.30 [+0.01, +0.61]", "tolerance:0.1±0.05"),
        ("0.3", "0.1", "tolerance:±0.2"),  # exactly at the end, where floats are beyond it
        ("100", "110", "tolerance:0.1"),
        ("1e-3", "0.00105", "tolerance:0.1"),
        ("5 steps", "5.0 steps", "tolerance:0"),
        ("a   9.9|\nb   0.1|", "a  10.1|\nb   0.1|", "tolerance:0.1"),  # padded columns
        ("[ 9.9, 1.0]", "[10.1, 1.0]", "tolerance:0.1"),
        ("loss\n 0.5", " loss\n 0.51", "tolerance:0.1"),  # a heading moves with its column
        ("[1. 2.5]", "[1.1 2.5]", "tolerance:0.1"),
        ("It is 5.", "It is 5.1.", "tolerance:0.1"),
        ("-0.0", "0.0", "tolerance:0"),
        ("nan -inf", "NaN -inf", "tolerance:0.1"),
        ("1e999", "1.05e999", "tolerance:0.1"),
        ("1e9999999", "1e9999999", "tolerance:0.1"),
        ("", "", "tolerance:0.1"),
    ],
)
def test_passes(stored, fresh, tag):
    assert within(stored, fresh, tag)


@pytest.mark.parametrize(
    "stored, fresh, tag",
    [
        ("65.4%", "67.0%", "tolerance:±1"),
        ("0.654", "65.4%", "tolerance:±100"),
        ("1,234", "1.234", "tolerance:0.1"),
        ("1,234", "1,400", "tolerance:0.1"),
        ("0.5", "-0.5", "tolerance:0.1"),
        ("0.00", "0.01", "tolerance:0.9"),  # a share of nothing is nothing
        ("100", "110.1", "tolerance:0.1"),
        ("110.1", "100", "tolerance:0.09"),  # a share of what is stored
        ("1e-3", "1e-2", "tolerance:0.1"),
        ("0.5 0.9", "0.9 0.5", "tolerance:0.1"),
        ("5 5", "55", "tolerance:0.9"),
        ("0.5", "0.5 0.5", "tolerance:0.1"),
        ("0.5", "nan", "tolerance:0.1±100"),
        ("nan", "0.5", "tolerance:0.1±100"),
        ("0.5", "inf", "tolerance:0.1±100"),
        ("inf", "-inf", "tolerance:0.1±100"),
        ("inf", "1e9999999", "tolerance:0.1"),
        ("inf", "nan", "tolerance:0.1"),
        ("loss 0.5", "0.5", "tolerance:0.1"),
        ("loss 0.5", "Loss 0.5", "tolerance:0.1"),
        ("0.5 loss", "0.5", "tolerance:0.1"),
        ("12s", "12ms", "tolerance:0.1"),
        ("a b 1", "ab 1", "tolerance:0.1"),
        ("0.5 [0.1, 0.9]", "0.5 (0.1, 0.9)", "tolerance:0.1"),
        ("5 -7", "5 - 7", "tolerance:0.1"),
        ("a 1", "1 a", "tolerance:0.1"),
        ("T=2", "T=3", "tolerance:±5"),
        ("SmolLM2-135M", "SmolLM2-136M", "tolerance:±5"),
        ("lesson 04", "lesson 05", "tolerance:±5"),
        ("2.13.0", "2.13.1", "tolerance:±5"),
        ("2026-11-27", "2026-11-28", "tolerance:±5"),
        ("C3a", "C4a", "tolerance:±5"),
        ("a 1\n", "a 1\nb 1\n", "tolerance:0.1"),
        ("a 1\nb 1\n", "a 1\n", "tolerance:0.1"),
        ("a 1\n\nb 1", "a 1\nb 1", "tolerance:0.1"),
        ("", "1", "tolerance:0.1"),
        ("True", "False", "tolerance:0.1"),
    ],
)
def test_fails(stored, fresh, tag):
    assert not within(stored, fresh, tag)


FORMS = [
    "{:.3f}",
    "{:+.3f}",
    "{:12.3f}",
    "{:,.3f}",
    "{:_.3f}",
    "{:.6e}",
    "{:.3f}%",
    "[{:.3f}]",
    "({:.3f}s)",
    "x={:.3f}",
]
amounts = st.decimals(-(10**7), 10**7, places=3)
shares = st.decimals("0.001", "0.999", places=3)


@given(
    st.lists(st.tuples(amounts, st.sampled_from(FORMS[:5]), st.sampled_from(FORMS[:5])), min_size=1, max_size=6),
    st.data(),
)
def test_numbers_within_pass_and_one_beyond_fails_however_they_are_printed(rows, data):
    """The reference is arithmetic in thousandths: it knows the numbers, and reads no text."""
    share, amount = data.draw(shares), data.draw(st.decimals("0.001", 1000, places=3))
    allowed = [max(share * abs(number), amount) for number, _, _ in rows]
    moved = [
        number + Decimal(data.draw(st.integers(-int(1000 * room), int(1000 * room)))) / 1000
        for (number, _, _), room in zip(rows, allowed)
    ]
    stored = "\n".join(f"row {form.format(float(number))} of C{place}" for place, (number, form, _) in enumerate(rows))
    fresh = [
        f"row {form.format(float(number))} of C{place}" for place, (number, (_, _, form)) in enumerate(zip(moved, rows))
    ]
    tag = f"tolerance:{share}±{amount}"
    assert within(stored, "\n".join(fresh), tag)
    place = data.draw(st.integers(0, len(rows) - 1))
    beyond = rows[place][0] + data.draw(st.sampled_from([-1, 1])) * (allowed[place] + Decimal("0.002"))
    fresh[place] = f"row {rows[place][2].format(float(beyond))} of C{place}"
    told = tolerance.differences(stored, "\n".join(fresh), tolerance.asked([tag]))
    assert len(told) == 1 and told[0].startswith(f"Line {place + 1} of stdout: "), told


@given(amounts, st.sampled_from(FORMS))
def test_each_form_is_read_as_one_number_of_the_right_value(number, form):
    (found,) = tolerance.split(form.format(float(number)))[1]
    assert abs(tolerance.value(found) - number) <= abs(number) * Decimal("1e-6")


LETTERS = st.text(st.characters(categories=["Lu", "Ll", "Lo", "Po", "Sm", "Pd"], exclude_characters="∞"), max_size=12)


@given(LETTERS, LETTERS, LETTERS, LETTERS)
@example("a", "", "b", "")
def test_changed_words_fail_and_equal_words_pass(before, after, new_before, new_after):
    stored, fresh = f"{before} 1.25 {after}", f"{new_before} 1.25 {new_after}"
    assert within(stored, stored)
    if " ".join(stored.split()) != " ".join(fresh.split()):
        same_but_for_a_full_stop = stored.replace(" .", " ") == fresh.replace(" .", " ")
        assert not within(stored, fresh) or same_but_for_a_full_stop


@given(st.text(max_size=80), st.text(max_size=80))
def test_any_two_texts_are_compared_without_an_error(one, other):
    for kind in ("stdout", "text/html"):
        assert within(one, one, kind=kind)
        assert isinstance(within(one, other, kind=kind), bool)
        digitless = re.sub(r"\d|nan|inf|∞", "", one, flags=re.IGNORECASE)
        if not re.search(r"\d|nan|inf|∞", digitless, re.IGNORECASE):  # strict, but for blanks
            assert within(digitless, f"{digitless}x", kind=kind) is False


# --- tables ---------------------------------------------------------------------------------------------------------------

TABLE = pandas.DataFrame({"arm": ["text", "logits"], "KL": [9.94, 1.85], "steps": [80, 1200]})


@pytest.mark.parametrize(
    "kind, shown", [("text/plain", str), ("text/html", lambda frame: frame.to_html(notebook=True))]
)
def test_tables(kind, shown):
    def changed(column, row, to):
        return shown(TABLE.assign(**{column: [to if place == row else old for place, old in enumerate(TABLE[column])]}))

    stored = shown(TABLE)
    assert within(stored, changed("KL", 0, 10.05), kind=kind)  # a wider column
    assert not within(stored, changed("KL", 0, 11.05), kind=kind)
    assert not within(stored, changed("arm", 1, "logit"), kind=kind)
    assert not within(stored, changed("KL", 1, float("nan")), kind=kind)
    assert not within(stored, shown(TABLE.iloc[:1]), kind=kind)
    assert not within(stored, shown(TABLE.iloc[::-1]), kind=kind)


def test_markup_is_compared_exactly():
    stored = '<td width="30"\n title="2">0.50</td>&#39;<style>\nb {left: 3px}</style>'
    assert within(stored, stored.replace("0.50", "0.52"), kind="text/html")
    for old, new in [("30", "31"), ('"2"', '"2.1"'), ("39", "38"), ("3px", "3.1px"), ("</td>", "</th>")]:
        assert not within(stored, stored.replace(old, new), kind="text/html")


# --- what it says ---------------------------------------------------------------------------------------------------------


def test_what_moved_is_told_in_one_sentence():
    (told,) = tolerance.differences("a\nKL 1.85 nats", "a\nKL 2.40 nats", tolerance.asked(["tolerance:0.1"]))
    assert told == (
        "Line 2 of stdout: 1.85 was stored and 2.40 came, 0.55 apart where 0.185 is allowed, in 'KL 2.40 nats'."
    )


@pytest.mark.parametrize(
    "stored, fresh, words",
    [
        ("KL 1", "loss 1", "Line 1 of stdout: the words differ: 'KL 1' was stored and 'loss 1' came."),
        ("1 2", "1", "Line 1 of stdout: 2 numbers were stored and 1 came: '1 2', and now '1'."),
        ("a\nb", "a", "stdout has 1 lines where 2 were stored: line 2, 'b', was stored and did not come."),
        ("a", "a\nb", "stdout has 2 lines where 1 were stored: line 2, 'b', came and was not stored."),
        ("1", "nan", "Line 1 of stdout: 1 was stored and nan came, in 'nan'."),
    ],
)
def test_messages(stored, fresh, words):
    assert tolerance.differences(stored, fresh, tolerance.asked(["tolerance:0.1"])) == [words]


def test_each_line_that_differs_is_told():
    told = tolerance.differences("1\n2\n3", "5\n2\n9", tolerance.asked(["tolerance:0.1"]))
    assert [sentence[:6] for sentence in told] == ["Line 1", "Line 3"]


# --- tags -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "tag, share, amount",
    [("tolerance:0.1", "0.1", "0"), ("tolerance:±2", "0", "2"), ("tolerance:.1±0.02", "0.1", "0.02"),
     ("tolerance:1e-6", "0.000001", "0"), ("tolerance:0", "0", "0")],
)  # fmt: skip
def test_tags_are_read(tag, share, amount):
    assert tolerance.asked(["exercise", tag]) == (Decimal(share), Decimal(amount))


@pytest.mark.parametrize("tags", [None, [], ["exercise", "nbval-ignore-output"], "tolerance:0.1", [3]])
def test_cells_without_the_tag_have_no_tolerance(tags):
    assert tolerance.asked(tags) is None


WRONG = [
    "tolerance", "tolerance:", "tolerance:abc", "tolerance:-0.1", "tolerance:±-2", "tolerance:0.1,2", "tolerance:±2,0.1",
    "tolerance:0.1,", "tolerance:,±2", "tolerance:±", "tolerance:10%", "tolerance: 0.1", "Tolerance:0.1", "tolerance=0.1",
    "tolerance:nan", "tolerance:inf", "tolerance:0.1,±2",
]  # fmt: skip


@pytest.mark.parametrize("tag", WRONG)
def test_what_is_no_tolerance_is_told(tag):
    with pytest.raises(ValueError, match=f"The tag {re.escape(repr(tag))} is no tolerance: write tolerance:0.1 for"):
        tolerance.asked([tag])


def test_tags_that_contradict_are_told():
    with pytest.raises(ValueError, match="takes one tolerance, and here are 2"):
        tolerance.asked(["tolerance:0.1", "tolerance:±2"])
    with pytest.raises(ValueError, match="nbval-ignore-output leaves out: keep one"):
        tolerance.asked(["tolerance:0.1", "nbval-ignore-output"])
    for tag in ("tolerance:10", "tolerance:1", "tolerance:2±1"):
        with pytest.raises(ValueError, match="lets any number become zero: write 0.1 for a tenth, or ±2"):
            tolerance.asked([tag])


# --- in nbval -------------------------------------------------------------------------------------------------------------


def test_nbval_compares_where_the_wrapper_stands():
    """What an upgrade of nbval might take away."""
    assert list(inspect.signature(IPyNbCell.compare_outputs).parameters) == ["self", "test", "ref", "skip_compare"]
    assert list(inspect.signature(IPyNbCell.sanitize).parameters) == ["self", "s"]
    source = inspect.getsource(IPyNbCell)
    for used in (
        "self.compare_outputs(outs,",
        "self.comparison_traceback",
        "self.options['check']",
        "self.cell = cell",
    ):
        assert used in source


def stream(text, name="stdout"):
    return nbformat.v4.new_output("stream", name=name, text=text)


def result(**data):
    return nbformat.v4.new_output(
        "execute_result", execution_count=1, data={f"text/{kind}": text for kind, text in data.items()}
    )


SHOWN = """class Shown:  # as text and as HTML
    def __init__(self, *shown): self.shown = shown
    def __repr__(self): return self.shown[0]
    def _repr_html_(self): return self.shown[1]"""


KL = 'print("KL 1.85 nats")'
CELLS = [  # source, stored outputs, tags, and what must be said if it must fail
    (SHOWN, [], [], None),
    (KL, [stream("KL 1.85 nats\n")], [], None),
    (KL, [stream("KL 1.86 nats\n")], [], "Cell outputs differ"),  # strict without the tag
    (KL, [stream("KL  1.85 nats\n")], [], "Cell outputs differ"),
    (KL, [stream("KL 1.86 nats\n")], ["exercise"], "Cell outputs differ"),
    (KL, [stream("KL 9.99 nats\n")], ["nbval-ignore-output"], None),
    (KL, [stream("KL 1.90 nats\n")], ["tolerance:0.1"], None),
    (KL, [stream("KL 1.90 nats\n")], ["exercise", "tolerance:±0.05"], None),
    (KL, [stream("KL 2.40 nats\n")], ["tolerance:0.1"], "Line 1 of stdout: 2.40 was stored and 1.85 came, 0.55 apart"),
    (KL, [stream("KL 1.90 bits\n")], ["tolerance:0.1"], "the words differ"),
    (KL, [stream("KL 1.90 nats\nend\n")], ["tolerance:0.1"], "line 2, 'end', was stored and did not come"),
    (KL, [], ["tolerance:0.1"], "Unexpected output fields"),
    ("1", [stream("1\n")], ["tolerance:0.1"], "Missing output fields"),
    (KL, [stream("KL 1.85 nats\n")], ["tolerance:abc"], "'tolerance:abc' is no tolerance: write"),
    (KL, [stream("KL 1.85 nats\n")], ["tolerance:-1"], "'tolerance:-1' is no tolerance: write"),
    (KL, [stream("x")], ["tolerance:0.1", "nbval-ignore-output"], "keep one of them"),
    ("0.5", [result(plain="0.52")], ["tolerance:0.1"], None),
    ("0.5", [result(plain="0.52")], [], "Cell outputs differ"),
    ("0.5", [result(plain="0.72")], ["tolerance:0.1"], "Line 1 of text/plain: 0.72 was stored and 0.5 came"),
    ('Shown("9.9", "<b>9.9</b>")', [result(plain="10.1", html="<b>10.1</b>")], ["tolerance:0.1"], None),
    ('Shown("9.9", "<b>9.9</b>")', [result(plain="10.1", html="<b>19.1</b>")], ["tolerance:0.1"], "of text/html: 19.1"),
    ('Shown("9.9", "<b>9.9</b>")', [result(plain="9.9", html="<i>9.9</i>")], ["tolerance:0.1"], "words differ"),
    ('print("a 1"); display(2.0); print("b 3"); display(4)',
     [stream("a 1.02\nb 3.02\n"), result(plain="2.02"), result(plain="4.02")], ["tolerance:±0.02"], None),
    ('display(2.0); display(4)', [result(plain="2.0"), result(plain="5")], ["tolerance:0.1"], "5 was stored and 4 came"),
    ('display(2.0); display(4)', [result(plain="2.0")], ["tolerance:0.1"], "dissimilar number of outputs"),
    ('import sys; print("a 1", file=sys.stderr)', [stream("a 1.02\n", "stderr")], ["tolerance:0.1"], "stderr"),
    ('raise ValueError("a 1")', [], ["tolerance:0.1"], "ValueError"),
    (KL, [stream("KL 1.85 nats\n")], [], None),  # the kernel went on
]  # fmt: skip

NAMED = 'print("id abc", 1.0)'
SANITIZED = [  # the same, for a run that sanitizes
    (NAMED, [stream("id xyz 1.02\n")], ["tolerance:0.1"], None),
    (NAMED, [stream("id xyz 1.2\n")], ["tolerance:0.1"], "1.2 was stored and 1.0 came"),
]


def notebook(cells):
    made = [
        nbformat.v4.new_code_cell(source, outputs=outputs, execution_count=1, metadata={"tags": tags})
        for source, outputs, tags, _ in cells
    ]
    return nbformat.v4.new_notebook(
        cells=made, metadata={"kernelspec": {"name": "python3", "display_name": "Python 3"}}
    )


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """What of the repository `pytest --nbval` meets, with small notebooks."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("conftest.py", "pyproject.toml"):
        shutil.copy(ROOT / name, folder)
    shutil.copytree(ROOT / "tools", folder / "tools", ignore=shutil.ignore_patterns("__pycache__"))
    for name, cells in (("notebooks", CELLS), ("solutions", SANITIZED)):
        (folder / name).mkdir()
        nbformat.write(notebook(cells), folder / name / "02_x.ipynb")
    (folder / "sanitize.cfg").write_text("regex: id [a-z]+\nreplace: ID\n")
    return folder


def validated(folder, *arguments):
    """What plain `pytest --nbval` says: a list of (notebook's folder, cell's number, None or how it failed)."""
    report = folder / "report.xml"
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval",
        "-p",
        "no:cacheprovider",
        "--color=no",
        f"--junitxml={report}",
    ]
    said = subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True)
    assert report.exists(), said.stdout + said.stderr
    cases = ElementTree.parse(report).iter("testcase")
    return [
        (case.get("classname", "").split(".")[0], int(case.get("name").split()[-1]), case.findtext("failure"))
        for case in cases
    ]


def meets(cells, told):
    """Whether each cell passed, or failed with the words that were wanted."""
    assert len(told) == len(cells)
    for (source, _, tags, wanted), (_, number, failure) in zip(cells, told):
        about = f"cell {number}, {tags}: {source}\n{failure}"
        assert failure is None if wanted is None else failure is not None and wanted in failure, about


def test_plain_nbval_from_the_root(clone):
    told = validated(clone, "notebooks", "solutions")
    meets(CELLS, told[: len(CELLS)])
    meets([(*cell[:3], "the words differ") for cell in SANITIZED], told[len(CELLS) :])


def test_plain_nbval_in_the_folder_and_what_it_is_told_to_sanitize(clone):
    meets(SANITIZED, validated(clone / "solutions", "02_x.ipynb", "--nbval-sanitize-with=../sanitize.cfg"))
