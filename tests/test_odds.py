"""The tool that measures how often checks of exercises err."""

import importlib.util

import torch

from distill_lessons import runtime
from distill_lessons.course import exercises
from distill_lessons.course.exercises import lesson00

spec = importlib.util.spec_from_file_location("odds", runtime.REPOSITORY / "tools" / "odds.py")
odds = importlib.util.module_from_spec(spec)
spec.loader.exec_module(odds)


def test_a_check_that_errs_by_chance_is_found_and_each_error_can_be_seen_again(monkeypatch):
    def by_chance(answer):
        if not answer() or torch.rand(()) < 0.3:
            raise exercises.Wrong("By chance.")

    monkeypatch.setitem(lesson00.CHECKS, "0.1", by_chance)
    said = []
    right, wrong = lambda: True, lambda: False
    erred = odds.measure([("0.1", right, True), ("0.1", wrong, False)], minutes=1, draws=50, say=said.append)
    refused = [seed for seed in range(50) if torch.rand((), generator=torch.Generator().manual_seed(seed)) < 0.3]
    assert erred == {0: len(refused)} and 5 < len(refused) < 25
    assert [int(line.split("draw ")[1].split(":")[0]) for line in said[:-1]] == refused
    assert said[-1] == f"100 verdicts on 2 answers, at least 50 on each (fewest: 0.1), {len(refused)} wrong"
    for seed in refused:
        assert exercises.verdict("0.1", right, seed) == "✗ 0.1 By chance."


def test_a_wrong_answer_that_is_let_through_counts_and_time_ends_it(monkeypatch):
    monkeypatch.setitem(lesson00.CHECKS, "0.1", lambda answer: None)
    assert odds.measure([("0.1", lambda: True, False)], minutes=1, draws=4, say=list) == {0: 4}
    assert odds.measure([("0.1", lambda: True, False)], minutes=0, draws=4, say=list) == {}


def test_answers_are_those_of_an_exercise_or_a_lesson():
    one = list(odds.answers(["2.4"]))
    assert {exercise for exercise, _, _ in one} == {"2.4"} and {right for _, _, right in one} == {True, False}
    assert {exercise.split(".")[0] for exercise, _, _ in odds.answers(["1"])} == {"1"}  # and not 10 to 16
    assert list(odds.answers(["99"])) == []
