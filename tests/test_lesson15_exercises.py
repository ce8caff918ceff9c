"""What the checks of lesson 15 say to mistakes that were once let through or got a confusing sentence."""

import exercises_15 as answers
import pytest

from distill_lessons.course import exercises


def a_name_of_no_list(options, kilobytes, milliseconds, points):
    return "student of last week"


@pytest.mark.parametrize(
    "exercise, answer, told",
    [
        ("15.2", answers.fits_without_words_in_the_limit, "leave the list of words out"),
        ("15.2", answers.fits_below_kilobytes, "'at most' lets it in"),
        ("15.2", answers.fits_below_milliseconds, "'at most' lets it in"),
        ("15.2", answers.fits_less_than_points, "'at most' lets it in"),
        ("15.2", a_name_of_no_list, "is no student of this list"),
        ("15.5", answers.plan_climbs, "beyond a jump"),
        ("15.5", answers.plan_climbs_down, "The longest draft is not the fastest"),
    ],
)
def test_the_mistake_is_named(exercise, answer, told):
    for seed in range(5):
        line = exercises.verdict(exercise, answer, seed)
        assert line.startswith(f"✗ {exercise} ") and told in line
