"""The three goals are judged each by itself, and impossible ratios are refused."""

import pytest

from distill_lessons.evaluation import goals


def test_goals_are_met_at_their_bound_and_not_below():
    assert [row["met"] for row in goals.judge(0.85, 10, 3)] == [True, True, True]
    assert [row["met"] for row in goals.judge(0.8499, 9.99, 2.99)] == [False, False, False]
    assert [row["met"] for row in goals.judge(0.5, 2, 1.1, {"quality": 0.4, "cost": 3, "speed": 1})] == [
        True,
        False,
        True,
    ]


def test_what_is_told_names_every_goal():
    line = goals.told("a student", goals.judge(0.9, 12.0, 2.0))
    assert "quality 90% ≥ 85% ✓" in line and "cost 12.0× ≥ 10× ✓" in line and "speed 2.0× < 3× ✗" in line
    assert "2 of 3 met" in line
    assert goals.told("x", goals.judge(1.0, 20, 20)).endswith("good")


def test_a_ratio_just_under_its_goal_is_not_rounded_up_to_it():
    line = goals.told("x", goals.judge(0.8499, 9.99, 2.999999))
    assert "quality 84.99% < 85% ✗" in line and "cost 9.99× < 10× ✗" in line and "speed 2.999999× < 3× ✗" in line
    assert "quality 85% ≥ 85% ✓" in goals.told("x", goals.judge(0.8501, 1, 1))


@pytest.mark.parametrize(
    "ratios",
    [(float("nan"), 1, 1), (1, 0, 1), (1, 1, float("inf")), (-0.1, 1, 1), (1, None, 1), (1, "2", 1), (False, 1, 1)],
)
def test_impossible_ratios_are_refused(ratios):
    with pytest.raises(ValueError, match="ratio must be a positive finite number"):
        goals.judge(*ratios)
    assert goals.judge(0, 1, 1)[0]["measured"] == 0  # a student may be right on nothing


@pytest.mark.parametrize("wanted", [{}, {"quality": 0.8}, {"quality": 0.8, "cost": 1, "latency": 1}])
def test_a_goal_is_needed_for_each_of_the_three(wanted):
    with pytest.raises(ValueError, match="goals must be of quality, cost, speed"):
        goals.judge(1, 1, 1, wanted)
    with pytest.raises(ValueError, match="the goal of cost must be a positive finite number, and it is nan"):
        goals.judge(1, 1, 1, {"quality": 0.8, "cost": float("nan"), "speed": 1})
