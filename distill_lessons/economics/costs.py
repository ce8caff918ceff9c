"""What a distilled model costs and when it pays: plain sums, with every price an argument that says where it is from.

Sums are exact: amounts are read as the decimals they were written as (`exact`), so that 0.03 − 0.001 is 0.029 and a
break-even of three queries is not four. Money is a number in the one currency of its prices.
"""

import datetime
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from decimal import Decimal
from fractions import Fraction
from numbers import Integral, Rational, Real
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

Amount = Real | Decimal  # any number: of Python, numpy, decimal or fractions
NEVER = "never"
DAY = 24 * 3600  # seconds


# --- Amounts and prices -----------------------------------------------------------------------------------------------


def exact(
    amount: Amount, name: str = "the amount", low: int | None = 0, high: int | None = None, above: bool = False
) -> Fraction:
    """A number as the fraction that its decimal notation stands for, in Python's own integers, which never overflow.

    Args:
        low, high: the bounds that it may reach, None for none; `above` if it must be over `low`.
    Raises:
        ValueError: it is no finite number, or out of bounds; says which and names it.
    """
    found = None
    if isinstance(amount, Rational) and not isinstance(amount, bool):
        found = Fraction(int(amount.numerator), int(amount.denominator))  # numpy's integers would wrap around
    elif isinstance(amount, (Real, Decimal)) and not isinstance(amount, bool) and math.isfinite(amount):
        found = Fraction(str(amount))
    if found is None:
        raise ValueError(f"{name} must be a finite number, and it is {amount!r}")
    if low is not None and (found < low or (above and found == low)):
        raise ValueError(f"{name} must be {'over' if above else 'at least'} {low}, and it is {_short(found)}")
    if high is not None and found > high:
        raise ValueError(f"{name} must be at most {high}, and it is {_short(found)}")
    return found


def _short(amount):
    """A fraction for a message; one that is larger than any float is written out."""
    try:
        return f"{float(amount):g}"
    except OverflowError:
        return str(amount)


@dataclass(frozen=True)
class Price:
    """An amount of money per something, with the day it was true and where it is from.

    Args:
        amount: not negative.
        unit: "USD per hour", "EUR per million tokens" …: a currency, " per ", and a thing.
        date: ISO, "2026-11-25".
        source: a price list, an invoice, or "assumed".
    """

    amount: Amount
    unit: str
    date: str
    source: str

    def __post_init__(self):
        if not isinstance(self.unit, str):
            raise ValueError(f"a unit reads like 'USD per hour', and this is {self.unit!r}")
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
    def currency(self) -> str:
        return self.unit.split(" per ")[0]

    @property
    def per(self) -> str:
        return self.unit.split(" per ")[1]

    def __str__(self) -> str:
        return f"{float(exact(self.amount)):g} {self.unit} ({self.source}, {self.date})"


def amount_of(price: Price, per: str, name: str) -> Fraction:
    """A price's amount as a fraction, if it is per what the sum needs.

    Raises:
        ValueError: it is no `Price`, or per something else; names it.
    """
    if not isinstance(price, Price):
        raise ValueError(f"{name} must be a Price with unit, date and source, and it is {price!r}")
    if price.per != per:
        raise ValueError(f"{name} must be per {per}, and it is in {price.unit}: convert it first")
    return exact(price.amount, name)


def one_currency(*prices: Price) -> str:
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

    responses: Amount  # that are to be left after filtering
    kept: Amount
    tokens_in: Amount
    tokens_out: Amount
    price_in: Price  # per million tokens
    price_out: Price

    def cost(self) -> Fraction:
        asked = exact(self.responses, "responses", above=True) / exact(self.kept, "the share kept", 0, 1, above=True)
        return asked * _tokens_cost(self)


@dataclass(frozen=True)
class Training:
    """`runs` counts the searches and failures too, not only the run that is kept."""

    hours: Amount  # of one run
    runs: Amount
    price: Price  # per hour

    def cost(self) -> Fraction:
        hours = exact(self.hours, "hours of training") * exact(self.runs, "training runs")
        return hours * amount_of(self.price, "hour", "the price of training")


@dataclass(frozen=True)
class Engineering:
    days: Amount
    rate: Price  # per day

    def cost(self) -> Fraction:
        return exact(self.days, "days of engineering") * amount_of(self.rate, "day", "the rate of an engineer")


@dataclass(frozen=True)
class Evaluation:
    """Items that a person or a judge looks at before the student may serve."""

    items: Amount
    price: Price  # per item

    def cost(self) -> Fraction:
        return exact(self.items, "items of evaluation") * amount_of(self.price, "item", "the price of an item")


# --- What is paid every day -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TokenPriced:
    """Somebody else's server: paid by the token. Tokens are of one query."""

    tokens_in: Amount
    tokens_out: Amount
    price_in: Price  # per million tokens
    price_out: Price

    def cost(self, queries_per_day: Amount) -> Fraction:
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
    tokens_per_second: Amount
    tokens: Amount
    utilisation: Amount
    spare: Amount = 0
    fixed: Price | None = None

    def capacity(self) -> Fraction:
        """Queries a day that one machine serves."""
        speed = exact(self.tokens_per_second, "tokens a second", above=True)
        share = exact(self.utilisation, "utilisation", 0, 1, above=True)
        return DAY * speed * share / exact(self.tokens, "tokens a query", above=True)

    def machines(self, queries_per_day: Amount) -> int:
        """Machines that run at that load, the spare ones included."""
        needed = math.ceil(exact(queries_per_day, "queries a day", above=True) / self.capacity())
        return needed + self.spares()

    def spares(self) -> int:
        """The spare machines; half a one is refused, since machines come whole."""
        found = exact(self.spare, "spare machines")
        if found.denominator != 1:
            raise ValueError(f"spare machines come whole, and {float(found):g} came")
        return int(found)

    def machine_day(self) -> Fraction:
        """What one machine costs a day."""
        return 24 * amount_of(self.price, "hour", "the price of a machine")

    def fixed_day(self) -> Fraction:
        """What is paid a day, whatever the load."""
        return Fraction(0) if self.fixed is None else amount_of(self.fixed, "day", "the fixed cost")

    def cost(self, queries_per_day: Amount) -> Fraction:
        return self.machines(queries_per_day) * self.machine_day() + self.fixed_day()


def _tokens_cost(what):
    """Of one response or query, from its tokens in and out and their prices."""
    one_currency(what.price_in, what.price_out)
    paid_in = exact(what.tokens_in, "tokens in") * amount_of(what.price_in, "million tokens", "the price of tokens in")
    paid_out = exact(what.tokens_out, "tokens out") * amount_of(
        what.price_out, "million tokens", "the price of tokens out"
    )
    return (paid_in + paid_out) / 10**6


def price_per_million_tokens(price: Price, tokens_per_second: Amount, utilisation: Amount = 1.0) -> float:
    """What a million tokens cost on a machine paid by the hour, as a number in the price's currency.

    Args:
        price: a `Price` per hour. tokens_per_second: measured. utilisation: share of the hour in which it works.
    Raises:
        ValueError: the price is not per hour, the speed not positive, or the share not over 0 and at most 1.
    """
    speed = exact(tokens_per_second, "tokens a second", above=True)
    share = exact(utilisation, "utilisation", 0, 1, above=True)
    return float(amount_of(price, "hour", "the price of a machine") * 10**6 / (3600 * speed * share))


# --- The published sum, and what it leaves out ------------------------------------------------------------------------


def break_even_queries(
    upfront_cost: Amount, teacher_cost_per_query: Amount, student_cost_per_query: Amount
) -> int | None:
    """The least whole number of queries after which the saving has paid the upfront cost; None if it never does.

    A student that saves nothing a query never pays, whatever was paid for it.

    Raises:
        ValueError: an amount is negative or no finite number; names it.
    """
    upfront = exact(upfront_cost, "the upfront cost")
    teacher = exact(teacher_cost_per_query, "the teacher's cost a query")
    student = exact(student_cost_per_query, "the student's cost a query")
    return math.ceil(upfront / (teacher - student)) if teacher > student else None


def break_even_days(
    upfront_cost: Amount,
    teacher_cost_per_query: Amount,
    student_cost_per_query: Amount,
    queries_per_day: Amount,
    fixed_per_day: Amount = 0,
) -> float | None:
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


def days_to_pay(upfront: Amount, saving_per_day: Amount) -> float | None:
    """Days after which a daily saving has paid `upfront`; None if it saves nothing.

    Raises:
        ValueError: `upfront` is negative, or one of the two is no finite number.
    """
    upfront, saving = exact(upfront, "the upfront cost"), exact(saving_per_day, "the saving a day", low=None)
    return float(upfront / saving) if saving > 0 else None


def minimum_queries_per_day(
    fixed_per_day: Amount, teacher_cost_per_query: Amount, student_cost_per_query: Amount = 0
) -> int | None:
    """The least whole number of queries a day at which the saving is over the fixed cost: under it, it never pays.

    Returns:
        int, or None if the student saves nothing a query.
    Raises:
        ValueError: as `break_even_queries`.
    """
    fixed = exact(fixed_per_day, "the fixed cost a day")
    saving = exact(teacher_cost_per_query, "the teacher's cost a query") - exact(
        student_cost_per_query, "the student's cost a query"
    )
    return math.floor(fixed / saving) + 1 if saving > 0 else None


def least_traffic(teacher_cost_per_query: Amount, server: Hosted) -> int | None:
    """The least whole number of queries a day at which a server of your own costs less than asking the teacher.

    With more traffic it pays too, but for a stretch after each point at which one more machine has to be started.

    Args:
        server: a `Hosted`.
    Returns:
        int, or None if even full machines cost more than the teacher.
    Raises:
        ValueError: an amount is out of bounds; names it.
    """
    query = exact(teacher_cost_per_query, "the teacher's cost a query")
    capacity, machine = server.capacity(), server.machine_day()
    gain = query * capacity - machine  # of one more machine, if it is full
    if gain <= 0:
        return None
    always = server.spares() * machine + server.fixed_day()
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
        errors_more: share of all queries that go wrong because of the student, on top of the teacher's own errors; only
            those that it does not hand on can.
        error_price: a `Price` per error; None if an error costs nothing.
    Raises:
        ValueError: two currencies; a share is not between 0 and 1, or the two together are over 1; no traffic; retraining
            repeats what is not there, or twice; errors without a price.
    """

    queries_per_day: Amount
    once: Mapping[str, Generation | Training | Engineering | Evaluation]
    teacher: TokenPriced | Hosted
    student: TokenPriced | Hosted
    retrain_every: Amount | None = None
    retrain_parts: Sequence[str] = ()
    passed_on: Amount = 0.0
    errors_more: Amount = 0.0
    error_price: Price | None = None

    def __post_init__(self):
        one_currency(*prices_in(self))
        if isinstance(self.retrain_parts, str):
            raise ValueError(f"retrain_parts are several names, like ({self.retrain_parts!r},), and one text came")
        unknown = [name for name in self.retrain_parts if name not in self.once]
        if unknown:
            raise ValueError(
                f"retraining repeats {unknown[0]!r}, which is not among the upfront parts {list(self.once)}"
            )
        if len(set(self.retrain_parts)) < len(self.retrain_parts):
            raise ValueError(f"retraining repeats a part twice, which would be paid twice: {list(self.retrain_parts)}")
        _traffic(self)
        passed, errors = _shares(self)
        if passed + errors > 1:
            raise ValueError(
                f"the shares passed on, {float(passed):g}, and of errors more, {float(errors):g}, are over 1 together: "
                "what is passed on cannot go wrong because of the student"
            )
        if self.retrain_every is not None:
            exact(self.retrain_every, "days between retrainings", above=True)
        if errors and self.error_price is None:
            raise ValueError("more errors need a price per error, if only of 0: otherwise they look free")


def _traffic(case):
    return exact(case.queries_per_day, "queries a day", above=True)


def _shares(case):
    """What is passed on, and what goes wrong besides, as fractions."""
    return (
        exact(case.passed_on, "the share passed on", 0, 1),
        exact(case.errors_more, "the share of errors more", 0, 1),
    )


def prices_in(thing: object) -> list[Price]:
    """All `Price` objects of a case, of a part of it, or of a dict of parts."""
    if isinstance(thing, Price):
        return [thing]
    if isinstance(thing, Mapping):
        return [price for part in thing.values() for price in prices_in(part)]
    if is_dataclass(thing):
        return [price for field in fields(thing) for price in prices_in(getattr(thing, field.name))]
    return []


def upfront(case: Case) -> dict[str, Fraction]:
    """What is paid once, by part: a dict of fractions."""
    return {name: part.cost() for name, part in case.once.items()}


def per_day(case: Case) -> dict[str, Fraction]:
    """What is paid a day: a dict of "teacher" alone, and of the student's "serving", "passed on", "errors" and "retraining".

    Retraining is spread evenly over the days between two times.
    """
    traffic, (passed, errors) = _traffic(case), _shares(case)
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


def saving_per_day(case: Case) -> Fraction:
    """What the student saves a day, all counted; negative where it loses."""
    costs = per_day(case)
    return costs["teacher"] - sum(cost for name, cost in costs.items() if name != "teacher")


def case_days(case: Case) -> float | None:
    """The day on which a case is even, or None if it never is."""
    return days_to_pay(sum(upfront(case).values(), Fraction(0)), saving_per_day(case))


def lines(case: Case, days: ArrayLike) -> dict[str, np.ndarray]:
    """Cumulative cost to each of `days`: a dict of "teacher" and "student", arrays of floats.

    Raises:
        ValueError: a day is negative or not finite.
    """
    costs = per_day(case)
    days = np.asarray(days, dtype=float)
    if not (np.isfinite(days) & (days >= 0)).all():
        raise ValueError("days must be finite and not negative")
    daily = float(sum(cost for name, cost in costs.items() if name != "teacher"))
    return {
        "teacher": float(costs["teacher"]) * days,
        "student": float(sum(upfront(case).values())) + daily * days,
    }


def expected_cost(
    student_cost: Amount,
    teacher_cost: Amount,
    passed_on: Amount,
    error_share: Amount = 0.0,
    error_cost: Amount = 0.0,
) -> float:
    """A query's expected cost if the student answers first: its own, the teacher's where it passes on, and the errors left.

    Args:
        passed_on: share of queries handed to the teacher; error_share: share of *all* queries that end wrong, those that
            the teacher gets wrong too.
    Raises:
        ValueError: an amount is negative, or a share not between 0 and 1; names it.
    """
    asked = exact(student_cost, "the student's cost a query")
    asked += exact(passed_on, "the share passed on", 0, 1) * exact(teacher_cost, "the teacher's cost a query")
    return float(asked + exact(error_share, "the error share", 0, 1) * exact(error_cost, "the cost of an error"))


# --- How sure is it? --------------------------------------------------------------------------------------------------


def tornado(
    days: Callable[..., float | None], base: Mapping, ranges: Mapping[str, tuple[Amount, Amount]]
) -> list[dict]:
    """One input at a time, from its low to its high value, the others at their base.

    Args:
        days: ``days(**inputs)``, a number or None for never.
        base: dict of inputs. ranges: dict of input to (low, high).
    Returns:
        list of dicts of input, low, high, "at low", "at high" (numbers or None); the widest first, "never" is widest.
    Raises:
        ValueError: a range is of no input, does not contain the base, or one of the three is no finite number.
    """
    rows, base = [], {name: _python(value) for name, value in base.items()}
    for name, (low, high) in ranges.items():
        if name not in base:
            raise ValueError(f"there is no input {name!r}; there are: {', '.join(base)}")
        low, high = _python(low), _python(high)
        least, middle, most = (exact(each, f"{name!r} in a range", low=None) for each in (low, base[name], high))
        if not least <= middle <= most:
            raise ValueError(f"the range of {name!r}, {low} to {high}, does not contain its base {base[name]}")
        ends = {f"at {end}": days(**base | {name: value}) for end, value in (("low", low), ("high", high))}
        rows.append({"input": name, "low": low, "high": high, **ends})

    def width(row):
        ends = [math.inf if row[end] is None else float(row[end]) for end in ("at low", "at high")]
        return 0.0 if ends[0] == ends[1] else abs(ends[0] - ends[1])

    return sorted(rows, key=width, reverse=True)


class Uncertain(NamedTuple):
    """What is known of an input: it is not under `low`, not over `high`, and most likely about `likely` (triangular)."""

    low: Amount
    likely: Amount
    high: Amount


class Simulation(NamedTuple):
    """The days of a Monte Carlo run, infinite where it never pays; its median and 95% interval, None for never."""

    days: np.ndarray
    never: float
    median: float | None
    low: float | None
    high: float | None


def simulate(days: Callable[..., float | None], inputs: Mapping, draws: int = 2000, seed: int = 0) -> Simulation:
    """Draw all inputs at once, again and again, each on its own: how the break-even day is spread.

    Args:
        days: ``days(**inputs)``, a number or None for never.
        inputs: dict of `Uncertain`s, and of anything else, which stays as it is: a number, or None.
        draws: how many.
    Raises:
        ValueError: an `Uncertain` is not low ≤ likely ≤ high, all finite; `draws` is no whole number of at least 1; `days`
            returned something that is neither a number nor None.
    """
    count = exact(draws, "the number of draws", 1)
    if count.denominator != 1:
        raise ValueError(f"the number of draws must be whole, and it is {draws!r}")
    rng, fixed, columns = np.random.default_rng(seed), {}, {}
    for name, value in inputs.items():
        if not isinstance(value, Uncertain):
            fixed[name] = _python(value)
            continue
        low, likely, high = (exact(each, f"{name!r}", low=None) for each in value)
        if not low <= likely <= high:
            raise ValueError(f"{name!r} must have low ≤ likely ≤ high, and it is {tuple(map(_python, value))}")
        ends = float(low), float(likely), float(high)
        columns[name] = rng.triangular(*ends, int(count)) if high > low else np.full(int(count), ends[0])
    found = [
        days(**fixed, **{name: column[row].item() for name, column in columns.items()}) for row in range(int(count))
    ]
    found = np.array([_day(day) for day in found])
    return Simulation(found, float(np.isinf(found).mean()), *(quantile(found, q) for q in (0.5, 0.025, 0.975)))


def quantile(days: ArrayLike, q: float) -> float | None:
    """A quantile of days of which some are infinite (never): the value that a share q lies at or under; None if infinite.

    Raises:
        ValueError: there are no days, one is NaN, or q is not between 0 and 1.
    """
    ordered = np.sort(np.asarray(days, dtype=float).ravel())
    if len(ordered) == 0 or np.isnan(ordered).any():
        raise ValueError("a quantile needs at least one day, and none that is NaN: never is infinite")
    rank = math.ceil(exact(q, "a quantile's share", 0, 1) * len(ordered))
    found = ordered[max(rank - 1, 0)]
    return None if math.isinf(found) else float(found)


def words(days: Amount | None, unit: str = "days") -> str:
    """Days (or queries) as text: "never" for None, and for infinitely many."""
    if days is None or (isinstance(days, Real) and not isinstance(days, Rational) and days == math.inf):
        return NEVER
    if isinstance(days, Integral) and not isinstance(days, bool):
        return f"{int(days):,} {unit}"
    days = float(exact(days, f"the number of {unit}", low=None))
    return f"{days:,.{1 if days < 1000 else 0}f} {unit}"


def _python(value):
    """A number of numpy's as Python's own, which does not wrap around, read as `exact` does; anything else as it is."""
    if isinstance(value, np.floating):
        return float(str(value))
    return value.item() if isinstance(value, np.generic) else value


def _day(day):
    """What a `days` function returned, as a float; never is infinite."""
    return math.inf if day is None or day == math.inf else float(exact(day, "the break-even day", low=None))
