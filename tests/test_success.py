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


def test_what_is_printed_names_every_goal(capsys):
    goals.show("a student", 0.9, 12.0, 2.0)
    line = capsys.readouterr().out
    assert "quality 90% ≥ 85% ✓" in line and "cost 12.0× ≥ 10× ✓" in line and "speed 2.0× < 3× ✗" in line
    assert "2 of 3 met" in line
    assert goals.told("x", goals.judge(1.0, 20, 20)).endswith("good")


@pytest.mark.parametrize("ratios", [(float("nan"), 1, 1), (1, 0, 1), (1, 1, float("inf")), (-0.1, 1, 1)])
def test_impossible_ratios_are_refused(ratios):
    with pytest.raises(ValueError, match="ratio must be a positive finite number"):
        goals.judge(*ratios)
