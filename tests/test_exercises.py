"""Every exercise: its solution passes, its stub counts as not attempted, plausible wrong answers are refused with help."""

import ast
import importlib
import re
from pathlib import Path

import nbformat
import pytest

from distill_lessons import runtime
from distill_lessons.course import exercises

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
    for _ in range(5):
        assert exercises.verdict(exercise, answer) == f"✓ {exercise}"


@pytest.mark.parametrize("exercise, answer", WRONG)
def test_wrong_answers_are_refused_with_help(exercise, answer):
    for _ in range(3):
        line = exercises.verdict(exercise, answer)
        assert line.startswith(f"✗ {exercise} ")
        assert len(line) > 40
        assert len(line.splitlines()) == 1


@pytest.mark.parametrize("exercise", [exercise for exercise, _ in RIGHT])
@pytest.mark.parametrize("stub", [lambda *arguments, **keywords: ..., lambda *arguments, **keywords: None, ...])
def test_stubs_count_as_not_attempted(exercise, stub):
    assert exercises.verdict(exercise, stub) == f"○ {exercise} not attempted yet"


@pytest.mark.parametrize("exercise", [exercise for exercise, _ in RIGHT])
def test_nothing_the_learner_writes_is_raised(exercise):
    def broken(*arguments, **keywords):
        raise KeyError("a mistake of the learner's")

    for answer in (broken, lambda: 1, "text", 1e999, lambda *arguments, **keywords: "text"):
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
