"""What each part of serving a model costs: plain sums, with every price an argument that says where it is from.

Sums are exact: amounts are read as the decimals they were written as (`exact`), so that 0.03 − 0.001 is 0.029 and a
break-even of three queries is not four. Money is a number in the one currency of its prices.
"""

import datetime
import math
from collections.abc import Callable, Mapping
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
    """Somebody else's server: paid by the token. Tokens are of one query.

    Args:
        price_in, price_out: per million tokens.
        cached: share of the prompt's tokens that are the same in every query and are read from a cache, 0 to 1.
        price_cached: per million of those tokens; needed where `cached` is over 0.
        waits: share of the queries whose answer may come hours later, 0 to 1.
        batch_off: what is taken off the bill of those that wait, as a share of it, 0 to 1.
    """

    tokens_in: Amount
    tokens_out: Amount
    price_in: Price
    price_out: Price
    cached: Amount = 0
    price_cached: Price | None = None
    waits: Amount = 0
    batch_off: Amount = 0

    def cost(self, queries_per_day: Amount) -> Fraction:
        """Money a day at that load."""
        cached = exact(self.cached, "the share of cached tokens", 0, 1)
        off = exact(self.waits, "the share that waits", 0, 1) * exact(self.batch_off, "the batch discount", 0, 1)
        full = _tokens_cost(self)
        if cached:
            if self.price_cached is None:
                raise ValueError("cached tokens have a price of their own: give price_cached, per million tokens")
            one_currency(self.price_in, self.price_cached)
            price_in = amount_of(self.price_in, "million tokens", "the price of tokens in")
            saved = price_in - amount_of(self.price_cached, "million tokens", "the price of cached tokens")
            full -= cached * exact(self.tokens_in, "tokens in") * saved / 10**6
        return exact(queries_per_day, "queries a day", above=True) * full * (1 - off)


@dataclass(frozen=True)
class Hosted:
    """Your own machines: paid by the hour, used or not. They come whole.

    Args:
        price: per hour and machine.
        tokens_per_second: that one machine writes, measured at the batch size it serves with.
        tokens: that a query makes it write; 0 only where it reads.
        utilisation: share of its speed that is planned with, over 0 and at most 1.
        spare: machines beside those that the load needs, in case one fails.
        fixed: per day, whatever the load: monitoring, storage; None for none.
        tokens_in: of a query's prompt, which are read at another speed than answers are written with.
        tokens_in_per_second: that one machine reads; needed where `tokens_in` is over 0.
        peak: load of the busiest hour over that of the mean one, at least 1: machines are bought for the former.
    """

    price: Price
    tokens_per_second: Amount
    tokens: Amount
    utilisation: Amount
    spare: Amount = 0
    fixed: Price | None = None
    tokens_in: Amount = 0
    tokens_in_per_second: Amount | None = None
    peak: Amount = 1

    def seconds(self) -> Fraction:
        """Of one machine for one query: reading its prompt and writing its answer."""
        written = exact(self.tokens, "tokens a query", above=not self.tokens_in)
        found = written / exact(self.tokens_per_second, "tokens a second", above=True)
        read = exact(self.tokens_in, "tokens of a prompt")
        if read and self.tokens_in_per_second is None:
            raise ValueError("a prompt is read at a speed of its own: give tokens_in_per_second")
        return found + (read / exact(self.tokens_in_per_second, "tokens read a second", above=True) if read else 0)

    def capacity(self) -> Fraction:
        """Queries a day that one machine serves, its share of the busiest hour included."""
        share = exact(self.utilisation, "utilisation", 0, 1, above=True)
        return DAY * share / (self.seconds() * exact(self.peak, "the peak load over the mean", 1))

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
        """Money a day at that load."""
        return self.machines(queries_per_day) * self.machine_day() + self.fixed_day()


@dataclass(frozen=True)
class Upkeep:
    """People's hours a month for as long as it serves: looking at errors, updates, being called at night."""

    hours: Amount
    rate: Price  # per hour

    def cost(self) -> Fraction:
        """Money a month."""
        return exact(self.hours, "hours of upkeep") * amount_of(self.rate, "hour", "the rate of upkeep")


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


# --- All prices of a plan ---------------------------------------------------------------------------------------------


def prices_in(thing: object) -> list[Price]:
    """All `Price` objects of a plan, of a part of it, or of a list or dict of parts."""
    if isinstance(thing, Price):
        return [thing]
    if isinstance(thing, list | tuple):
        return [price for part in thing for price in prices_in(part)]
    if isinstance(thing, Mapping):
        return [price for part in thing.values() for price in prices_in(part)]
    if is_dataclass(thing):
        return [price for field in fields(thing) for price in prices_in(getattr(thing, field.name))]
    return []


# --- How sure is it? --------------------------------------------------------------------------------------------------


def tornado(
    days: Callable[..., float | None], base: Mapping, ranges: Mapping[str, tuple[Amount, Amount]]
) -> list[dict]:
    """One input at a time, from its low to its high value, the others at their base.

    Rows are ranked by reach, the largest of the days at low, at high and at the base minus the smallest: an input that
    moves the days the same way at both of its ends has a reach too. Between a day and never lies an infinite one.

    Args:
        days: ``days(**inputs)``, a number or None for never.
        base: dict of inputs. ranges: dict of input to (low, high).
    Returns:
        list of dicts of input, low, high, "at low", "at high" (numbers or None), of the largest reach first.
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

    middle = _day(days(**base))

    def reach(row):
        found = [middle, _day(row["at low"]), _day(row["at high"])]
        return 0.0 if min(found) == max(found) else max(found) - min(found)  # never minus never is no number

    return sorted(rows, key=reach, reverse=True)


class Uncertain(NamedTuple):
    """What is known of an input: it is not under `low`, not over `high`, and most likely about `likely` (triangular)."""

    low: Amount
    likely: Amount
    high: Amount


class Between(NamedTuple):
    """What is known of an input where no value is likelier than another: it lies from `low` to `high` (uniform)."""

    low: Amount
    high: Amount


class Simulation(NamedTuple):
    """The days of a Monte Carlo run, infinite where it never pays; its median and 95% interval, None for never."""

    days: np.ndarray
    never: float
    median: float | None
    low: float | None
    high: float | None


def draw(inputs: Mapping, draws: int = 2000, seed: int = 0) -> list[dict]:
    """Draw all uncertain inputs, each on its own, again and again.

    Args:
        inputs: dict of `Uncertain`s and `Between`s, and of anything else, which stays as it is: a number, or None.
        draws: how many. seed: the same one gives the same draws.
    Returns:
        list of dicts with the names of `inputs`.
    Raises:
        ValueError: a range is not low ≤ (likely ≤) high, all finite; `draws` is no whole number of at least 1.
    """
    count = exact(draws, "the number of draws", 1)
    if count.denominator != 1:
        raise ValueError(f"the number of draws must be whole, and it is {draws!r}")
    rng, columns, count = np.random.default_rng(seed), {}, int(count)
    for name, value in inputs.items():
        if not isinstance(value, Uncertain | Between):
            columns[name] = [_python(value)] * count
            continue
        ends = [exact(each, f"{name!r}", low=None) for each in value]
        if ends != sorted(ends):
            order = " ≤ ".join(value._fields)
            raise ValueError(f"{name!r} must have {order}, and it is {tuple(map(_python, value))}")
        drawn = rng.triangular if isinstance(value, Uncertain) else rng.uniform
        sure = ends[0] == ends[-1]
        columns[name] = [float(ends[0])] * count if sure else drawn(*map(float, ends), count).tolist()
    return [{name: column[row] for name, column in columns.items()} for row in range(count)]


def simulate(days: Callable[..., float | None], inputs: Mapping, draws: int = 2000, seed: int = 0) -> Simulation:
    """Draw all inputs at once, again and again, each on its own: how the break-even day is spread.

    Args:
        days: ``days(**inputs)``, a number or None for never.
        inputs, draws, seed: of `draw`.
    Raises:
        ValueError: as `draw`; `days` returned something that is neither a number nor None.
    """
    found = np.array([_day(days(**each)) for each in draw(inputs, draws, seed)])
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
