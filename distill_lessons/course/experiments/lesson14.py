"""Lesson 14, economics: the published break-even with and without a server of one's own, and the lesson's claims."""

from distill_lessons import economics
from distill_lessons.course.results import Experiment
from distill_lessons.economics import Hosted, Price

UPFRONT, TEACHER_QUERY, STUDENT_QUERY = 10_000, 0.03, 0.001  # USD, guide A
SERVER = Hosted(  # full, it serves 48,000 queries a day, and then a query costs the published 0.001
    Price(2, "USD per hour", "2026-11-25", "assumed"), tokens_per_second=1000, tokens=1800, utilisation=1.0
)


def break_even(arm, seed):
    """The published sum, "by the query", or with a "server" that is paid whether it is used or not; arithmetic, no seed."""
    hosted = arm == "server"
    student, found = 0.0 if hosted else STUDENT_QUERY, {}
    if not hosted:
        found["queries"] = economics.break_even_queries(UPFRONT, TEACHER_QUERY, student)
    for traffic in (1_000, 10_000, 100_000):
        fixed = SERVER.cost(traffic) if hosted else 0
        found[f"saving a day at {traffic:,}"] = traffic * (TEACHER_QUERY - student) - float(fixed)
        days = economics.break_even_days(UPFRONT, TEACHER_QUERY, student, traffic, fixed)
        if days is not None:
            found[f"days at {traffic:,}"] = days
    return found


EXPERIMENTS = (Experiment("lesson14-break-even", ("by the query", "server"), (0,), break_even),)


NAMES = {"queries": "queries until it pays", "server": "with a server of one's own"}
