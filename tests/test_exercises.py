"""Every exercise: its solution passes, its stub counts as not attempted, plausible wrong answers are refused with help.

Checks draw fresh input. Here they draw from fixed seeds, so that a test that fails once fails again; how often a check errs
on any input is measured by `make odds`.
"""

import ast
import functools
import importlib
import inspect
import linecache
import re
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
import torch

from distill_lessons import runtime
from distill_lessons.course import exercises
from distill_lessons.course.exercises import lesson06, lesson16

ROOT = runtime.REPOSITORY
LESSONS = sorted(path.stem.removeprefix("exercises_") for path in Path(__file__).parent.glob("exercises_*.py"))
ANSWERS = {lesson: importlib.import_module(f"exercises_{lesson}") for lesson in LESSONS}
RIGHT = [(exercise, answer) for module in ANSWERS.values() for exercise, answer in module.RIGHT.items()]
ALSO_RIGHT = [  # other ways to solve an exercise
    (exercise, answer)
    for module in ANSWERS.values()
    for exercise, answers in getattr(module, "ALSO_RIGHT", {}).items()
    for answer in answers
]
WRONG = [
    pytest.param(exercise, answer, id=f"{exercise}-{number}")
    for module in ANSWERS.values()
    for exercise, answers in module.WRONG.items()
    for number, answer in enumerate(answers)
]


def notebook(folder, lesson):
    return nbformat.read(next((ROOT / folder).glob(f"{lesson}_*.ipynb")), 4)


def exercise_cells(folder, lesson):
    """Exercise id to (source of the stub or solution, the call in the cell after it)."""
    cells = [cell for cell in notebook(folder, lesson).cells if cell.cell_type == "code"]
    found = {}
    for cell, following in zip(cells, cells[1:]):
        if "exercise" in cell.metadata.get("tags", []):
            heading = re.match(r"# Exercise (\d+\.\d+) (★+) (\d+) min — \S", cell.source)
            assert heading, f"the first line of a stub says id, stars, minutes and task: {cell.source.splitlines()[0]}"
            found[heading[1]] = (cell.source, following)
    return found


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_exercise_has_check_stub_solution_and_wrong_answers(lesson):
    checks = set(importlib.import_module(f"distill_lessons.course.exercises.lesson{lesson}").CHECKS)
    assert 3 <= len(checks)
    assert checks == set(ANSWERS[lesson].RIGHT) == set(ANSWERS[lesson].WRONG)
    assert checks == set(exercise_cells("notebooks", lesson)) == set(exercise_cells("solutions", lesson))
    for answers in ANSWERS[lesson].WRONG.values():
        assert len(answers) >= 3


@pytest.mark.parametrize("exercise, answer", RIGHT + ALSO_RIGHT)
def test_right_answers_pass_on_any_input(exercise, answer):
    for seed in range(5):
        assert exercises.verdict(exercise, answer, seed) == f"✓ {exercise}"


@pytest.mark.parametrize("exercise, answer", WRONG)
def test_wrong_answers_are_refused_with_help(exercise, answer):
    for seed in range(3):
        line = exercises.verdict(exercise, answer, seed)
        assert line.startswith(f"✗ {exercise} ")
        assert len(line) > 40
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize(
    "exercise, name, seed, right",
    [
        ("2.4", "bias_to_a_tenth", 42, False),
        ("2.4", "bias_to_a_tenth", 174, False),
        ("2.4", "bias_in_a_loop", 148, True),
        ("3.2", "decide_first", 178, False),
        ("14.6", "least_cost_on_a_grid", 49, False),
        ("14.6", "least_cost_on_a_grid", 187, False),
    ],
)
def test_draws_on_which_a_check_once_erred(exercise, name, seed, right):
    answer = getattr(ANSWERS[exercise.split(".")[0].zfill(2)], name)
    assert exercises.verdict(exercise, answer, seed).startswith("✓" if right else "✗")


def test_a_choice_of_sentences_has_one_score_in_6_5(monkeypatch):
    """Whatever is drawn: the same students, on the same rows in the same order."""
    asked = []
    monkeypatch.setattr(lesson06, "learned", lambda rows, seed: asked.append((seed, rows.tolist())) or 0.5)
    for seed in (0, 1):
        exercises.verdict("6.5", lambda texts, positive, said: np.argsort([-len(text) for text in texts])[:600], seed)
    assert len(asked) == 2 * lesson06.TRAININGS
    assert [at for at, _ in asked] == 2 * list(range(lesson06.TRAININGS))
    assert all(rows == sorted(rows) for _, rows in asked)


@pytest.mark.parametrize("seed", range(5))
def test_two_words_answer_few_of_the_texts_of_16_1(tmp_path, seed):
    """So that a student of that rule stays far below the 85% that are asked for."""
    lines = (lesson16.colleague(tmp_path, seed) / "texts.csv").read_text(encoding="utf-8").splitlines()[1:]
    assert 0 < sum(bool({"bato", "gira"} & set(line.split(";")[0].split())) for line in lines) < 0.05 * len(lines)


@pytest.mark.parametrize("exercise", [exercise for exercise, _ in RIGHT])
@pytest.mark.parametrize("stub", [lambda *arguments, **keywords: ..., lambda *arguments, **keywords: None, ...])
def test_stubs_count_as_not_attempted(exercise, stub):
    assert exercises.verdict(exercise, stub) == f"○ {exercise} not attempted yet"


@pytest.mark.parametrize("exercise", [exercise for exercise, _ in RIGHT])
def test_nothing_the_learner_writes_is_raised(exercise):
    def broken(*arguments, **keywords):
        raise KeyError("a mistake of the learner's")

    def leaves(*arguments, **keywords):
        sys.exit("done")

    for answer in (broken, leaves, lambda: 1, "text", 1e999, lambda *arguments, **keywords: "text"):
        assert exercises.verdict(exercise, answer).startswith(f"✗ {exercise} ")


def signature(source):
    """Name and parameters of the last function a cell defines."""
    function = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)][-1]
    return function.name, ast.unparse(function.args)


@pytest.mark.parametrize("lesson", LESSONS)
def test_stub_and_solution_fit_and_the_stub_fails(lesson):
    stubs, solutions = exercise_cells("notebooks", lesson), exercise_cells("solutions", lesson)
    for exercise, (stub, following) in stubs.items():
        solution, solved = solutions[exercise]
        assert signature(stub) == signature(solution)
        assert stub.splitlines()[0] == solution.splitlines()[0]
        body = [node for node in ast.parse(stub).body if isinstance(node, ast.FunctionDef)][-1].body
        assert ast.unparse(body[-1]) == "...", f"{exercise}: the stub's body is ..."
        assert following.source == solved.source == f'check("{exercise}", {signature(stub)[0]})'
        assert following.outputs[0].text.strip() == f"○ {exercise} not attempted yet"
        assert solved.outputs[0].text.strip() == f"✓ {exercise}"


def test_a_forgotten_return_is_named_and_every_verdict_is_one_line():
    def forgets(student_logits, teacher_logits):
        (student_logits.argmax(-1) == teacher_logits.argmax(-1)).float().mean()

    assert "`return` missing" in exercises.verdict("0.1", forgets)
    assert len(exercises.verdict("0.1", lambda s, t: s.argmax(-1) == t.argmax(-1)).splitlines()) == 1


# --- An error is shown with its line ----------------------------------------------------------------------------------


def in_a_cell(source, name="answer", cell="/tmp/ipykernel_0/123.py", remembered=True):
    """A function as a notebook's cell defines it: the file does not exist, and `linecache` holds its lines."""
    if remembered:
        linecache.cache[cell] = (len(source), None, source.splitlines(keepends=True), cell)
    else:
        linecache.cache.pop(cell, None)
    found = {"torch": torch, "np": np, "functools": functools}
    exec(compile(source, cell, "exec"), found)
    return found[name]


BROKEN = """import math
def answer(student_logits, teacher_logits):
    names = {}
    return names['x']   # no such name
"""


def test_an_error_is_shown_with_its_line():
    line = exercises.verdict("0.1", in_a_cell(BROKEN))
    assert (
        line
        == "✗ 0.1 Your code stopped with KeyError: 'x', in line 4 of your cell: \"return names['x'] # no such name\""
    )
    line = exercises.verdict("0.1", in_a_cell(BROKEN, remembered=False))
    assert line == "✗ 0.1 Your code stopped with KeyError: 'x', in line 4 of your cell"


def test_the_line_is_the_learners_also_where_a_library_or_a_helper_of_theirs_raises():
    within_torch = "def answer(s, t):\n    q = s.softmax(-1)\n    return (q @ t).nonsense()\n"
    assert 'in line 3 of your cell: "return (q @ t).nonsense()"' in exercises.verdict("0.1", in_a_cell(within_torch))
    helper = "def helper(z):\n    return z['x']\ndef answer(s, t):\n    return helper({})\n"
    assert "in line 2 of your cell: \"return z['x']\"" in exercises.verdict("0.1", in_a_cell(helper))
    elsewhere = in_a_cell("def other(z):\n    return 1 / 0\n", "other", cell="/tmp/ipykernel_0/9.py")
    calls = in_a_cell("def answer(s, t, other=None):\n    return other(s)\n")
    line = exercises.verdict("0.1", functools.partial(calls, other=elsewhere))
    assert 'ZeroDivisionError: division by zero, in line 2 of your cell: "return other(s)"' in line


def test_the_line_is_told_of_a_decorated_function_a_callable_object_and_one_in_a_file(tmp_path):
    decorated = "def keep(f):\n    @functools.wraps(f)\n    def inner(*a):\n        return f(*a)\n    return inner\n"
    decorated += "@keep\ndef answer(s, t):\n    return 1 / 0\n"
    assert 'in line 8 of your cell: "return 1 / 0"' in exercises.verdict("0.1", in_a_cell(decorated))
    wrapper = "def keep(f):\n    @functools.wraps(f)\n    def inner(*a):\n        return f(*a)\n    return inner\n"
    keep = in_a_cell(wrapper, "keep", cell="/tmp/ipykernel_0/7.py")  # a decorator of another cell
    assert 'in line 2 of your cell: "return 1 / 0"' in exercises.verdict(
        "0.1", keep(in_a_cell("def answer(s, t):\n    return 1 / 0\n"))
    )
    thing = "class Thing:\n    def __call__(self, s, t):\n        return [][3]\nanswer = Thing()\n"
    assert 'in line 3 of your cell: "return [][3]"' in exercises.verdict("0.1", in_a_cell(thing))
    (tmp_path / "mine.py").write_text("def answer(s, t):\n    raise ValueError('two\\nlines')\n")
    found = {}
    exec(compile((tmp_path / "mine.py").read_text(), str(tmp_path / "mine.py"), "exec"), found)
    line = exercises.verdict("0.1", found["answer"])
    assert "stopped with ValueError: two lines, in line 2 of mine.py: \"raise ValueError('two" in line


def test_a_long_line_is_cut_and_an_error_without_words_or_line_is_still_told():
    long = "def answer(s, t):\n    return 1 / 0, '" + 300 * "x" + "'\n"
    assert exercises.verdict("0.1", in_a_cell(long)).endswith('xxx…"')
    assert len(exercises.verdict("0.1", in_a_cell(long))) < 200
    assert exercises.verdict("0.1", in_a_cell("def answer(s, t):\n    raise SystemExit\n")) == (
        '✗ 0.1 Your code stopped with SystemExit, in line 2 of your cell: "raise SystemExit"'
    )
    mute = "class Mute(Exception):\n    def __str__(self):\n        raise RuntimeError\n"
    mute += "def answer(s, t):\n    raise Mute\n"
    assert exercises.verdict("0.1", in_a_cell(mute)).startswith("✗ 0.1 Your code stopped with Mute, in line 5")
    assert exercises.verdict("0.1", in_a_cell("def answer(s):\n    return 1\n")).startswith(
        "✗ 0.1 Your code stopped with TypeError: answer() takes 1 positional argument but 2 were given"
    )
    assert exercises.verdict("0.1", len).startswith("✗ 0.1 Your code stopped with TypeError: len()")


def test_an_interrupt_passes_through():
    def interrupted(student_logits, teacher_logits):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        exercises.verdict("0.1", interrupted)


@pytest.mark.parametrize("exercise", ["0.9", "6.9", "99.1", "x", "", "../0.1", 0.1])
def test_an_exercise_that_does_not_exist_is_named_and_raises_nothing(exercise):
    line = exercises.verdict(exercise, lambda s, t: 1.0)
    assert line.startswith(f"✗ {exercise} There is no exercise {exercise}: ")


# --- What the checks stand on -----------------------------------------------------------------------------------------


def takes_arguments(answer):
    """An answer that takes none is a decision, or a list: nothing fresh can be put in."""
    return bool(inspect.signature(answer).parameters)


def shown(value):
    """What was drawn of an argument: no address, no temporary folder."""
    if isinstance(value, torch.Tensor | np.ndarray):
        return np.asarray(torch.as_tensor(value).detach()).tobytes()
    if isinstance(value, Path):
        return value.name
    if hasattr(value, "__dict__"):  # a function or an object, and the numbers it holds
        return type(value).__name__, [each for each in vars(value).values() if isinstance(each, float)]
    return value


def seen_by(exercise, answer, seed=None):
    """What a check hands to an answer, call by call."""
    seen = []

    @functools.wraps(answer)
    def watched(*arguments, **keywords):
        seen.append(repr([shown(each) for each in (*arguments, *keywords.values())]))
        return answer(*arguments, **keywords)

    assert exercises.verdict(exercise, watched, seed) == f"✓ {exercise}"
    return seen


@pytest.mark.parametrize("exercise, answer", [pair for pair in RIGHT if takes_arguments(pair[1])])
def test_every_check_draws_its_input_and_from_a_seed_the_same_again(exercise, answer):
    first = seen_by(exercise, answer, 0)
    assert seen_by(exercise, answer, 0) == first
    again = [seen for seed in (1, 2) for seen in seen_by(exercise, answer, seed)]  # small whole numbers may come twice
    assert len(set(again) - set(first)) >= max(1, len(set(first)) / 4)


def test_input_is_fresh_whatever_seed_the_notebook_set():
    seen = []
    for _ in range(2):
        torch.manual_seed(0)
        seen.append(seen_by("0.1", dict(RIGHT)["0.1"]))
    assert not set(seen[0]) & set(seen[1])


def test_a_check_leaves_the_notebooks_random_numbers_alone():
    torch.manual_seed(3)
    expected = torch.rand(2).tolist()
    torch.manual_seed(3)
    exercises.verdict("4.3", dict(RIGHT)["4.3"])
    assert torch.rand(2).tolist() == expected


@pytest.mark.parametrize(
    "answer, expected, equal",
    [
        ([1.0, 1.0], [1.0, 1.0], True),
        (torch.ones(2, 1), torch.ones(2), False),  # they would broadcast
        (torch.ones(1), 1.0, False),
        (1.0, torch.ones(3), False),
        (torch.ones(3), torch.ones(2), False),
        (torch.tensor(1.0), 1.0, True),
        (1.00001, 1.0, True),
        (1.01, 1.0, False),
        (1000.01, 1000.0, True),  # relative
        (0.00001, 0.0, True),  # absolute
        (0.01, 0.0, False),
        (float("nan"), 1.0, False),
        (float("inf"), 1.0, False),
        (torch.ones(2, dtype=torch.bfloat16, requires_grad=True), np.ones(2), True),
    ],
)
def test_close_compares_shape_and_value(answer, expected, equal):
    assert exercises.close(answer, expected) is equal


@pytest.mark.parametrize("answer", ["0.5", None, [1, 2], float("nan"), float("inf"), torch.ones(2), {"x": 1}, print])
def test_what_is_no_single_finite_number_is_refused_in_words(answer):
    with pytest.raises(exercises.Wrong, match="[Nn]umber.* expected, and"):
        exercises.number(answer)


def test_a_list_of_tensors_with_gradients_is_refused_in_words():
    with pytest.raises(exercises.Wrong, match="Numbers were expected"):
        exercises.close([torch.ones(2, requires_grad=True)], [1.0])


def test_every_public_function_says_the_types_of_what_it_takes_and_returns():
    for name, function in inspect.getmembers(exercises, inspect.isfunction):
        if not name.startswith("_") and function.__module__ == exercises.__name__:
            parameters = inspect.signature(function)
            assert parameters.return_annotation is not inspect.Signature.empty, name
            assert all(each.annotation is not each.empty for each in parameters.parameters.values()), name


def test_an_answer_that_is_nearly_right_is_wrong():
    assert exercises.close([1.0, -2.0], [1.00005, -2.0]) and not exercises.close([1.0, -2.0], [1.001, -2.0])
    right = ANSWERS["12"].RIGHT["12.6"]
    assert exercises.verdict("12.6", right).startswith("✓")
    assert exercises.verdict("12.6", lambda *given: 1.05 * right(*given)).startswith("✗")
