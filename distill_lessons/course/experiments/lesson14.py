"""Lesson 14, economics: the published break-even with and without a server of one's own, and the lesson's claims."""

import math

from distill_lessons import economics
from distill_lessons.course.claims import Claim, Comparison
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


def _options(condition, metric, arm, other, low=-math.inf, high=0.0, detail="", unit=""):
    return Comparison(condition, detail, "lesson14-options", metric, arm, other, low, high, unit)


def _labels(condition, winner, loser, pair="digits"):
    return Comparison(f"{pair}: {condition}", "", f"lesson14-{pair}", "accuracy", winner, loser)


def _paid(condition, metric, arm, low, high=math.inf, unit="days"):
    return Comparison(f"exact: {condition}", "", "lesson14-break-even", metric, arm, None, low, high, unit)


REAL = math.log2(1.25)  # a speed-up worth the name: a quarter more tokens a second
WHEN = "structured: a quarter more tokens a second"

NAMES = {"queries": "queries until it pays", "server": "with a server of one's own"}

CLAIMS = (
    Claim(
        "C26",
        "Quantisation is quicker to do than distillation (twice or more) but speeds up less",
        "guide A",
        "14",
        (
            _options("quicker to do", "log2 seconds", "int8", "distilled layers", high=-1.0, unit="doublings"),
            _options("speeds up less, one prompt", "speedup, one", "int8", "layers", unit="doublings"),
            _options("speeds up less, 32 prompts", "speedup, batch", "int8", "layers", unit="doublings"),
        ),
    ),
    Claim(
        "C27",
        "Pruning combines with distillation, and structured pruning gives real speed (a quarter more, or better)",
        "guide A; Muralidharan et al. 2024 (Minitron)",
        "14",
        (
            _options("distilling after layers are removed", "kl", "distilled layers", "layers", unit="nats"),
            _options("distilling after neurons are removed", "kl", "distilled neurons", "neurons", unit="nats"),
            Comparison(
                "distilling what is left of the teacher instead of fresh weights",
                "",
                "lesson04-arms",
                "kl",
                "cut",
                "llama",
                -math.inf,
                0.0,
                "nats",
            ),
            *(
                _options(f"{WHEN}, {name}", f"speedup, {name}", arm, None, REAL, math.inf, arm, "doublings")
                for name in ("one", "batch")
                for arm in ("layers", "neurons")
            ),
        ),
    ),
    Claim(
        "C28",
        "Distillation wins with few labels; direct training with many clean ones, or with a teacher that errs systematically",
        "guide A; Busbridge et al. 2025",
        "14",
        (
            _labels("distilling wins over 20 labels", "clean teacher", "labels 20"),
            _labels("distilling wins over 100 labels", "clean teacher", "labels 100"),
            _labels("997 labels win over a clean teacher", "labels 997", "clean teacher"),
            _labels("20 labels win over a wrong teacher", "labels 20", "wrong teacher"),
            _labels("100 labels win over a wrong teacher", "labels 100", "wrong teacher"),
            _labels("distilling wins over 300 labels", "clean teacher", "labels 300", "products"),
            _labels("7,400 labels win over a clean teacher", "labels 7400", "clean teacher", "products"),
            _labels("300 labels win over a wrong teacher", "labels 300", "wrong teacher", "products"),
            _labels("7,400 labels win over a wrong teacher", "labels 7400", "wrong teacher", "products"),
        ),
    ),
    Claim(
        "C46",
        "At $0.03 a query against $0.001, $10,000 is earned back after about 345,000 queries: 35 days at 10,000 a day, 3.5 at "
        "100,000",
        "guide A",
        "14",
        (
            _paid("paid by the query", "queries", "by the query", 344_500, 345_500, "queries"),
            _paid("paid by the query", "days at 10,000", "by the query", 34, 36),
            _paid("paid by the query", "days at 100,000", "by the query", 3.4, 3.6),
            _paid("a server, 100,000 a day", "days at 100,000", "server", 3.4, 3.6),
            _paid("a server, 10,000 a day", "days at 10,000", "server", 34, 36),
            _paid("a server, 1,000 a day: it pays at all", "saving a day at 1,000", "server", 0.0, math.inf, "USD"),
        ),
    ),
)
