"""Is a student good enough? Three goals, judged: quality, cost, speed."""

from collections.abc import Mapping, Sequence
from numbers import Real

from distill_lessons.evaluation.arrays import positive

GOALS = {"quality": 0.85, "cost": 10.0, "speed": 3.0}  # of guide A, "good": 85%, 10×, 3×


def judge(quality: float, cost: float, speed: float, goals: Mapping[str, float] | None = None) -> list[dict]:
    """The three criteria, each met or not.

    Args:
        quality: transfer ratio, student's score ÷ teacher's.
        cost: teacher's cost a query ÷ student's.
        speed: teacher's latency ÷ student's.
        goals: what each must reach; `GOALS` if None.
    Returns:
        a list of dicts of criterion, measured, goal, met.
    Raises:
        ValueError: a ratio is no positive finite number (a quality may be 0); the goals are not one of each.
    """
    goals = GOALS if goals is None else goals
    if set(goals) != set(GOALS):
        raise ValueError(
            f"goals must be of {', '.join(GOALS)}, and they are of {', '.join(map(str, goals)) or 'nothing'}"
        )
    rows = []
    for criterion, measured in (("quality", quality), ("cost", cost), ("speed", speed)):
        goal = positive(f"the goal of {criterion}", goals[criterion])
        may_be_0 = criterion == "quality" and isinstance(measured, Real) and not isinstance(measured, bool)
        measured = 0.0 if may_be_0 and measured == 0 else positive(f"the {criterion} ratio", measured)
        rows.append({"criterion": criterion, "measured": measured, "goal": goal, "met": measured >= goal})
    return rows


def told(name: str, rows: Sequence[Mapping]) -> str:
    """The criteria as one line: which are met, and whether all are.

    A ratio just under its goal is written with the digits that tell them apart, not rounded up to it.

    Args:
        rows: as `judge` returns them.
    """
    parts = []
    for row in rows:
        written = _percent if row["criterion"] == "quality" else _times
        goal = f"{row['goal']:.0%}" if row["criterion"] == "quality" else f"{row['goal']:g}×"
        apart = (
            each for each in range(9) if row["met"] or written(row["measured"], each) != written(row["goal"], each)
        )
        size = written(row["measured"], next(apart, 9))
        parts.append(f"{row['criterion']} {size} {'≥' if row['met'] else '<'} {goal} {'✓' if row['met'] else '✗'}")
    count = sum(row["met"] for row in rows)
    return f"{name:32} {' · '.join(parts)} → {'good' if count == len(rows) else f'{count} of {len(rows)} met'}"


def _percent(share, more):
    return f"{share:.{more}%}"


def _times(factor, more):
    return f"{factor:.{1 + more}f}×"
