"""Lesson 07's checks name the mistake, on every draw; and the offers of 7.4 are those of the recorded runs."""

import exercises_07
import pytest

from distill_lessons.course import exercises
from distill_lessons.course.exercises import lesson07

WRONG = [
    (exercise, answer, words) for exercise, answers in exercises_07.WORDS.items() for answer, words in answers.items()
]


@pytest.mark.parametrize("exercise, answer, words", WRONG, ids=lambda value: getattr(value, "__name__", ""))
def test_the_mistake_is_named_on_every_draw(exercise, answer, words):
    for _ in range(4):
        told = exercises.verdict(exercise, answer)
        assert told.startswith(f"✗ {exercise} ") and words in told


@pytest.mark.parametrize("exercise", exercises_07.RIGHT)
def test_right_answers_pass_on_every_draw(exercise):
    for answer in [exercises_07.RIGHT[exercise], *exercises_07.ALSO_RIGHT[exercise]]:
        assert {exercises.verdict(exercise, answer) for _ in range(4)} == {f"✓ {exercise}"}


def test_the_offers_are_the_recorded_runs_and_can_be_chosen_from(capsys):
    offers = lesson07.offers()
    assert list(offers) == list(lesson07.OFFERS) and all(
        len(r["right"]) == 5 for o in offers.values() for r in o["runs"]
    )
    assert exercises_07.buy(offers, 10**9, 10)[0] == "answers"
    lesson07.show_offers()
    assert len(capsys.readouterr().out.splitlines()) == 1 + sum(len(offer["runs"]) for offer in offers.values())
