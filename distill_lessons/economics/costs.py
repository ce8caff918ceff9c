"""What a distilled model costs and when it pays: plain sums, with every price an argument that says where it is from.

Sums are exact: amounts are read as the decimals they were written as (`exact`), so that 0.03 − 0.001 is 0.029 and a
break-even of three queries is not four. Money is a number in the one currency of its prices.
"""

import datetime
import math
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Rational, Real
from typing import NamedTuple

import numpy as np

NEVER = "never"
DAY = 24 * 3600  # seconds


# --- Amounts and prices -----------------------------------------------------------------------------------------------


def exact(amount, name="the amount", low=0, high=None, above=False):
    """A number as the fraction that its decimal notation stands for.

    Args:
        low, high: the bounds that it may reach; `above` if it must be over `low`.
    Raises:
        ValueError: it is no finite number, or out of bounds; says which and names it.
    """
    if isinstance(amount, bool) or not isinstance(amount, (Real, Decimal)) or not math.isfinite(amount):
        raise ValueError(f"{name} must be a finite number, and it is {amount!r}")
    found = Fraction(amount) if isinstance(amount, (Rational, Decimal)) else Fraction(str(amount))
    if found < low or (above and found == low):
        raise ValueError(f"{name} must be {'over' if above else 'at least'} {low}, and it is {float(found):g}")
    if high is not None and found > high:
        raise ValueError(f"{name} must be at most {high}, and it is {float(found):g}")
    return found


@dataclass(frozen=True)
class Price:
    """An amount of money per something, with the day it was true and where it is from.

    Args:
        amount: not negative.
        unit: "USD per hour", "EUR per million tokens" …: a currency, " per ", and a thing.
        date: ISO, "2026-11-25".
        source: a price list, an invoice, or "assumed".
    """

    amount: float
    unit: str
    date: str
    source: str

    def __post_init__(self):
        exact(self.amount, f"the price in {self.unit}")
        if self.unit.count(" per ") != 1 or not all(part.strip() for part in self.unit.split(" per ")):
            raise ValueError(f"a unit reads like 'USD per hour', and this is {self.unit!r}")
        try:
            datetime.date.fromisoformat(self.date)
        except (TypeError, ValueError):
            raise ValueError(f"a price needs its day, like '2026-11-25', and this came: {self.date!r}") from None
        if not str(self.source).strip():
            raise ValueError(f"where is the price of {self.amount} {self.unit} from? Give its source, or 'assumed'")

    @property
    def currency(self):
        return self.unit.split(" per ")[0]

    @property
    def per(self):
        return self.unit.split(" per ")[1]

    def __str__(self):
        return f"{self.amount:g} {self.unit} ({self.source}, {self.date})"


def amount_of(price, per, name):
    """A price's amount as a fraction, if it is per what the sum needs.

    Raises:
        ValueError: it is no `Price`, or per something else; names it.
    """
    if not isinstance(price, Price):
        raise ValueError(f"{name} must be a Price with unit, date and source, and it is {price!r}")
    if price.per != per:
        raise ValueError(f"{name} must be per {per}, and it is in {price.unit}: convert it first")
    return exact(price.amount, name)


def one_currency(*prices):
    """The currency of all prices.

    Raises:
        ValueError: there are two.
    """
    found = sorted({price.currency for price in prices})
    if len(found) != 1:
        raise ValueError(f"prices in {' and '.join(found) or 'no currency'} cannot be added: convert them to one")
    return found[0]


# --- What is paid once ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Generation:
    """The teacher's answers that become training data. Tokens are of one response; filters keep `kept` of all asked for."""

    responses: int  # that are to be left after filtering
    kept: float
    tokens_in: float
    tokens_out: float
    price_in: Price  # per million tokens
    price_out: Price

    def cost(self):
        asked = exact(self.responses, "responses", above=True) / exact(self.kept, "the share kept", 0, 1, above=True)
        return asked * _tokens_cost(self)


@dataclass(frozen=True)
class Training:
    """`runs` counts the searches and failures too, not only the run that is kept."""

    hours: float  # of one run
    runs: int
    price: Price  # per hour

    def cost(self):
        hours = exact(self.hours, "hours of training") * exact(self.runs, "training runs")
        return hours * amount_of(self.price, "hour", "the price of training")


@dataclass(frozen=True)
class Engineering:
    days: float
    rate: Price  # per day

    def cost(self):
        return exact(self.days, "days of engineering") * amount_of(self.rate, "day", "the rate of an engineer")


@dataclass(frozen=True)
class Evaluation:
    """Items that a person or a judge looks at before the student may serve."""

    items: int
    price: Price  # per item

    def cost(self):
        return exact(self.items, "items of evaluation") * amount_of(self.price, "item", "the price of an item")


# --- What is paid every day -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenPriced:
    """Somebody else's server: paid by the token. Tokens are of one query."""

    tokens_in: float
    tokens_out: float
    price_in: Price  # per million tokens
    price_out: Price

    def cost(self, queries_per_day):
        return exact(queries_per_day, "queries a day", above=True) * _tokens_cost(self)


@dataclass(frozen=True)
class Hosted:
    """Your own machines: paid by the hour, used or not.

    Args:
        price: per hour and machine.
        tokens_per_second: measured, of one machine at the batch size it serves with.
        tokens: a query.
        utilisation: share of that speed that real traffic reaches, over 0 and at most 1: load comes in waves.
        spare: machines beside those that the load needs, in case one fails.
        fixed: per day, whatever the load: monitoring, storage, on-call; None for none.
    """

    price: Price
    tokens_per_second: float
    tokens: float
    utilisation: float
    spare: int = 0
    fixed: Price | None = None

    def capacity(self):
        """Queries a day that one machine serves."""
        speed = exact(self.tokens_per_second, "tokens a second", above=True)
        share = exact(self.utilisation, "utilisation", 0, 1, above=True)
        return DAY * speed * share / exact(self.tokens, "tokens a query", above=True)

    def machines(self, queries_per_day):
        """Machines that run at that load, the spare ones included."""
        needed = math.ceil(exact(queries_per_day, "queries a day", above=True) / self.capacity())
        return needed + math.ceil(exact(self.spare, "spare machines"))

    def machine_day(self):
        return 24 * amount_of(self.price, "hour", "the price of a machine")

    def fixed_day(self):
        return Fraction(0) if self.fixed is None else amount_of(self.fixed, "day", "the fixed cost")

    def cost(self, queries_per_day):
        return self.machines(queries_per_day) * self.machine_day() + self.fixed_day()


def _tokens_cost(what):
    """Of one response or query, from its tokens in and out and their prices."""
    one_currency(what.price_in, what.price_out)
    paid_in = exact(what.tokens_in, "tokens in") * amount_of(what.price_in, "million tokens", "the price of tokens in")
    paid_out = exact(what.tokens_out, "tokens out") * amount_of(
        what.price_out, "million tokens", "the price of tokens out"
    )
    return (paid_in + paid_out) / 10**6


def price_per_million_tokens(price, tokens_per_second, utilisation=1.0):
    """What a million tokens cost on a machine paid by the hour, as a number in the price's currency.

    Args:
        price: a `Price` per hour. tokens_per_second: measured. utilisation: share of the hour in which it works.
    """
    speed = exact(tokens_per_second, "tokens a second", above=True)
    share = exact(utilisation, "utilisation", 0, 1, above=True)
    return float(amount_of(price, "hour", "the price of a machine") * 10**6 / (3600 * speed * share))


# --- The published sum, and what it leaves out ------------------------------------------------------------------------


def break_even_queries(upfront_cost, teacher_cost_per_query, student_cost_per_query):
    """The least whole number of queries after which the saving has paid the upfront cost; None if it never does.

    A student that saves nothing a query never pays, whatever was paid for it.

    Raises:
        ValueError: an amount is negative or no finite number; names it.
    """
    upfront = exact(upfront_cost, "the upfront cost")
    teacher = exact(teacher_cost_per_query, "the teacher's cost a query")
    student = exact(student_cost_per_query, "the student's cost a query")
    return math.ceil(upfront / (teacher - student)) if teacher > student else None


def break_even_days(upfront_cost, teacher_cost_per_query, student_cost_per_query, queries_per_day, fixed_per_day=0):
    """The same in days, a float; `fixed_per_day` is paid for the student's server whether it is used or not.

    Raises:
        ValueError: as `break_even_queries`; there is no traffic.
    """
    traffic = exact(queries_per_day, "queries a day", above=True)
    fixed = exact(fixed_per_day, "the fixed cost a day")
    if fixed == 0:
        queries = break_even_queries(upfront_cost, teacher_cost_per_query, student_cost_per_query)
        return None if queries is None else float(queries / traffic)
    saving = exact(teacher_cost_per_query, "the teacher's cost a query") - exact(
        student_cost_per_query, "the student's cost a query"
    )
    return days_to_pay(exact(upfront_cost, "the upfront cost"), traffic * saving - fixed)


def days_to_pay(upfront, saving_per_day):
    """Days after which a daily saving has paid `upfront`; None if it saves nothing."""
    return float(upfront / saving_per_day) if saving_per_day > 0 else None


def minimum_queries_per_day(fixed_per_day, teacher_cost_per_query, student_cost_per_query=0):
    """The least whole number of queries a day at which the saving is over the fixed cost: under it, it never pays.

    Returns:
        int, or None if the student saves nothing a query.
    """
    fixed = exact(fixed_per_day, "the fixed cost a day")
    saving = exact(teacher_cost_per_query, "the teacher's cost a query") - exact(
        student_cost_per_query, "the student's cost a query"
    )
    return math.floor(fixed / saving) + 1 if saving > 0 else None


def least_traffic(teacher_cost_per_query, server):
    """The least whole number of queries a day at which a server of your own costs less than asking the teacher.

    With more traffic it pays too, but for a stretch after each point at which one more machine has to be started.

    Args:
        server: a `Hosted`.
    Returns:
        int, or None if even full machines cost more than the teacher.
    """
    query = exact(teacher_cost_per_query, "the teacher's cost a query")
    capacity, machine = server.capacity(), server.machine_day()
    gain = query * capacity - machine  # of one more machine, if it is full
    if gain <= 0:
        return None
    always = math.ceil(exact(server.spare, "spare machines")) * machine + server.fixed_day()
    needed = math.floor(always / gain) + 1  # machines, so that they pay for what is always paid
    while True:
        traffic = math.floor((needed * machine + always) / query) + 1
        if traffic <= needed * capacity:
            return traffic
        needed += 1


# --- The whole case ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """Everything that decides: what is paid once, what both models cost a day, and what the student does worse.

    Args:
        once: parts of the upfront cost by name, each with ``cost()``: Generation, Training, Engineering, Evaluation.
        teacher, student: TokenPriced or Hosted.
        retrain_every: days after which the student is made anew; None for never.
        retrain_parts: names of `once` that are paid again each time.
        passed_on: share of queries that the student hands to the teacher, which are paid at both.
        errors_more: share of all queries that go wrong because of the student, on top of the teacher's own errors.
        error_price: a `Price` per error; None if an error costs nothing.
    """

    queries_per_day: float
    once: dict
    teacher: TokenPriced | Hosted
    student: TokenPriced | Hosted
    retrain_every: float | None = None
    retrain_parts: tuple = ()
    passed_on: float = 0.0
    errors_more: float = 0.0
    error_price: Price | None = None

    def __post_init__(self):
        one_currency(*prices_in(self))
        unknown = [name for name in self.retrain_parts if name not in self.once]
        if unknown:
            raise ValueError(
                f"retraining repeats {unknown[0]!r}, which is not among the upfront parts {list(self.once)}"
            )
        if self.errors_more and self.error_price is None:
            raise ValueError("more errors need a price per error, if only of 0: otherwise they look free")


def prices_in(thing):
    """All `Price` objects of a case or of a part of it."""
    if isinstance(thing, Price):
        return [thing]
    if isinstance(thing, dict):
        return [price for part in thing.values() for price in prices_in(part)]
    if hasattr(thing, "__dataclass_fields__"):
        return [price for name in thing.__dataclass_fields__ for price in prices_in(getattr(thing, name))]
    return []


def upfront(case):
    """What is paid once, by part: a dict of fractions."""
    return {name: part.cost() for name, part in case.once.items()}


def per_day(case):
    """What is paid a day: a dict of "teacher" alone, and of the student's "serving", "passed on", "errors" and "retraining".

    Retraining is spread evenly over the days between two times.
    """
    traffic = exact(case.queries_per_day, "queries a day", above=True)
    passed = exact(case.passed_on, "the share passed on", 0, 1)
    errors = exact(case.errors_more, "the share of errors more", 0, 1)
    costs = {"teacher": case.teacher.cost(traffic), "serving": case.student.cost(traffic)}
    costs["passed on"] = case.teacher.cost(passed * traffic) if passed else Fraction(0)
    costs["errors"] = Fraction(0)
    if case.error_price is not None:
        costs["errors"] = errors * traffic * amount_of(case.error_price, "error", "the price of an error")
    costs["retraining"] = Fraction(0)
    if case.retrain_every is not None:
        again = sum((case.once[name].cost() for name in case.retrain_parts), Fraction(0))
        costs["retraining"] = again / exact(case.retrain_every, "days between retrainings", above=True)
    return costs


def saving_per_day(case):
    """What the student saves a day, all counted; negative where it loses."""
    costs = per_day(case)
    return costs["teacher"] - sum(cost for name, cost in costs.items() if name != "teacher")


def case_days(case):
    """The day on which a case is even, or None if it never is."""
    return days_to_pay(sum(upfront(case).values(), Fraction(0)), saving_per_day(case))


def lines(case, days):
    """Cumulative cost to each of `days`: a dict of "teacher" and "student", arrays of floats."""
    costs = per_day(case)
    days = np.asarray(days, dtype=float)
    daily = float(sum(cost for name, cost in costs.items() if name != "teacher"))
    return {
        "teacher": float(costs["teacher"]) * days,
        "student": float(sum(upfront(case).values())) + daily * days,
    }


def expected_cost(student_cost, teacher_cost, passed_on, error_share=0.0, error_cost=0.0):
    """A query's expected cost if the student answers first: its own, the teacher's where it passes on, and the errors left.

    Args:
        passed_on: share of queries handed to the teacher; error_share: share of *all* queries that end wrong.
    """
    asked = exact(student_cost, "the student's cost a query")
    asked += exact(passed_on, "the share passed on", 0, 1) * exact(teacher_cost, "the teacher's cost a query")
    return float(asked + exact(error_share, "the error share", 0, 1) * exact(error_cost, "the cost of an error"))


# --- How sure is it? --------------------------------------------------------------------------------------------------


def tornado(days, base, ranges):
    """One input at a time, from its low to its high value, the others at their base.

    Args:
        days: ``days(**inputs)``, a number or None for never.
        base: dict of inputs. ranges: dict of input to (low, high).
    Returns:
        list of dicts of input, low, high, "at low", "at high" (numbers or None); the widest first, "never" is widest.
    Raises:
        ValueError: a range is of no input, or does not contain the base.
    """
    rows = []
    for name, (low, high) in ranges.items():
        if name not in base:
            raise ValueError(f"there is no input {name!r}; there are: {', '.join(base)}")
        if not low <= base[name] <= high:
            raise ValueError(f"the range of {name!r}, {low} to {high}, does not contain its base {base[name]}")
        ends = {f"at {end}": days(**base | {name: value}) for end, value in (("low", low), ("high", high))}
        rows.append({"input": name, "low": low, "high": high, **ends})

    def width(row):
        ends = [math.inf if row[end] is None else row[end] for end in ("at low", "at high")]
        return 0.0 if ends[0] == ends[1] else abs(ends[0] - ends[1])

    return sorted(rows, key=width, reverse=True)


class Uncertain(NamedTuple):
    """What is known of an input: it is not under `low`, not over `high`, and most likely about `likely` (triangular)."""

    low: float
    likely: float
    high: float


class Simulation(NamedTuple):
    """The days of a Monte Carlo run, infinite where it never pays; its median and 95% interval, None for never."""

    days: np.ndarray
    never: float
    median: float | None
    low: float | None
    high: float | None


def simulate(days, inputs, draws=2000, seed=0):
    """Draw all inputs at once, again and again, each on its own: how the break-even day is spread.

    Args:
        days: ``days(**inputs)``, a number or None for never.
        inputs: dict of a number, which stays, or an `Uncertain`.
    """
    rng = np.random.default_rng(seed)
    columns = {}
    for name, value in inputs.items():
        if isinstance(value, Uncertain):
            if not value.low <= value.likely <= value.high:
                raise ValueError(f"{name!r} must have low ≤ likely ≤ high, and it is {tuple(value)}")
            spread = value.high > value.low
            columns[name] = rng.triangular(*value, draws) if spread else np.full(draws, value.low)
        else:
            columns[name] = np.full(draws, value)
    found = [days(**{name: column[row].item() for name, column in columns.items()}) for row in range(draws)]
    found = np.array([math.inf if day is None else day for day in found])
    return Simulation(found, float(np.isinf(found).mean()), *(quantile(found, q) for q in (0.5, 0.025, 0.975)))


def quantile(days, q):
    """A quantile of days of which some are infinite (never): the value that a share q lies at or under; None if infinite."""
    ordered = np.sort(np.asarray(days, dtype=float))
    found = ordered[min(max(math.ceil(q * len(ordered)) - 1, 0), len(ordered) - 1)]
    return None if math.isinf(found) else float(found)


def words(days, unit="days"):
    """Days (or queries) as text: "never" for None."""
    if days is None:
        return NEVER
    return f"{days:,} {unit}" if isinstance(days, int) else f"{days:,.{1 if days < 1000 else 0}f} {unit}"
