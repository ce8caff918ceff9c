"""Is a student good enough? Three goals, judged: quality, cost, speed."""

import math

GOALS = {"quality": 0.85, "cost": 10.0, "speed": 3.0}  # of guide A, "good": 85%, 10×, 3×
UNITS = {"quality": "of the teacher's score", "cost": "× cheaper", "speed": "× faster"}


def judge(quality, cost, speed, goals=None):
    """The three criteria, each met or not.

    Args:
        quality: transfer ratio, student's score ÷ teacher's.
        cost: teacher's cost a query ÷ student's.
        speed: teacher's latency ÷ student's.
        goals: what each must reach; `GOALS` if None.
    Returns:
        a list of dicts of criterion, measured, goal, met.
    Raises:
        ValueError: a ratio is no positive finite number (a quality may be 0).
    """
    goals = goals or GOALS
    rows = []
    for criterion, measured in (("quality", quality), ("cost", cost), ("speed", speed)):
        if not math.isfinite(measured) or measured < 0 or (measured == 0 and criterion != "quality"):
            raise ValueError(f"the {criterion} ratio must be a positive finite number, and it is {measured}")
        met = measured >= goals[criterion]
        rows.append({"criterion": criterion, "measured": measured, "goal": goals[criterion], "met": met})
    return rows


def told(name, rows):
    """The criteria as one line: which are met, and whether all are."""
    parts = []
    for row in rows:
        size = f"{row['measured']:.0%}" if row["criterion"] == "quality" else f"{row['measured']:.1f}×"
        goal = f"{row['goal']:.0%}" if row["criterion"] == "quality" else f"{row['goal']:g}×"
        parts.append(f"{row['criterion']} {size} {'≥' if row['met'] else '<'} {goal} {'✓' if row['met'] else '✗'}")
    count = sum(row["met"] for row in rows)
    return f"{name:32} {' · '.join(parts)} → {'good' if count == len(rows) else f'{count} of {len(rows)} met'}"


def show(name, quality, cost, speed, goals=None):
    """Print which of the three goals a student meets."""
    print(told(name, judge(quality, cost, speed, goals)))
