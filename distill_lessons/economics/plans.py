"""One way to serve over months: growing traffic, whole machines, upkeep, retraining, falling prices, errors, discounting.

Bills are arrays of floats, one number a month. A month is the twelfth of a year of 365 days.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from distill_lessons.economics.costs import (
    Amount,
    Engineering,
    Evaluation,
    Generation,
    Hosted,
    Price,
    TokenPriced,
    Training,
    Upkeep,
    amount_of,
    exact,
    one_currency,
    prices_in,
)

MONTH = Fraction(365, 12)  # days
PARTS = ("once", "serving", "handed on", "upkeep", "retraining", "errors")


@dataclass(frozen=True)
class Outlook:
    """What lies ahead, the same for every plan.

    Args:
        queries_per_day: in the first month.
        months: the horizon, whole.
        growth: of the traffic, a month: 0.05 is 5% more each month; over −1.
        api_falls: share by which prices a token fall a year, month by month; at least 0 and under 1.
        discount: a year: money in a year is worth 1 / (1 + discount) of today's.
        error_price: a `Price` per error; None if a wrong answer costs nothing.
    Raises:
        ValueError: an amount is out of bounds; names it.
    """

    queries_per_day: Amount
    months: int
    growth: Amount = 0
    api_falls: Amount = 0
    discount: Amount = 0
    error_price: Price | None = None

    def __post_init__(self):
        exact(self.queries_per_day, "queries a day", above=True)
        _whole(self.months, "the horizon in months")
        exact(self.growth, "the growth a month", -1, above=True)
        if exact(self.api_falls, "the fall of prices a year", 0, 1) == 1:
            raise ValueError("the fall of prices a year must be under 1, or everything is free tomorrow")
        exact(self.discount, "the discount a year")
        if self.error_price is not None:
            amount_of(self.error_price, "error", "the price of an error")

    def traffic(self) -> np.ndarray:
        """Queries a day in each month, ``[months]``."""
        return float(exact(self.queries_per_day)) * self.grown()

    def grown(self) -> np.ndarray:
        """Traffic as a multiple of the first month's, ``[months]``."""
        return (1 + float(exact(self.growth, low=None))) ** np.arange(int(self.months))

    def prices(self) -> np.ndarray:
        """Prices a token as a multiple of today's, ``[months]``."""
        return (1 - float(exact(self.api_falls))) ** (np.arange(int(self.months)) / 12)


@dataclass(frozen=True)
class Plan:
    """One way to serve: what answers, what it takes to get there and to stay there, and how often it is wrong.

    Args:
        server: sees every query: TokenPriced or Hosted.
        wrong: share of all queries that end wrong, 0 to 1, measured with everything that answers in it.
        once: parts of what is paid once by name, each with ``cost()``: Generation, Training, Engineering, Evaluation.
        hands_on: share of the queries that `server` passes to `to`, which are paid at both.
        to: TokenPriced or Hosted.
        upkeep: `Upkeep`, a month; None for none.
        retrain_every: months after which the model is made anew, again and again until the horizon; None for never.
        retrain_parts: names of `once` that are paid again each time. One must be an `Evaluation`: what was trained anew is
            not shipped unseen.
    Raises:
        ValueError: two currencies; a share is not between 0 and 1; something is handed on to nobody; retraining repeats
            what is not there, or twice, or ships without an evaluation.
    """

    name: str
    server: TokenPriced | Hosted
    wrong: Amount
    once: Mapping[str, Generation | Training | Engineering | Evaluation]
    hands_on: Amount = 0
    to: TokenPriced | Hosted | None = None
    upkeep: Upkeep | None = None
    retrain_every: int | None = None
    retrain_parts: Sequence[str] = ()

    def __post_init__(self):
        one_currency(*prices_in(self))
        exact(self.wrong, f"the share of {self.name!r} that is wrong", 0, 1)
        if exact(self.hands_on, f"the share that {self.name!r} hands on", 0, 1) and self.to is None:
            raise ValueError(f"{self.name!r} hands queries on to nobody: give `to`")
        _check_retraining(self)


def _check_retraining(plan):
    parts = plan.retrain_parts
    if isinstance(parts, str):
        raise ValueError(f"retrain_parts are several names, like ({parts!r},), and one text came")
    unknown = [name for name in parts if name not in plan.once]
    if unknown:
        raise ValueError(f"retraining repeats {unknown[0]!r}, which is not among the parts paid once {list(plan.once)}")
    if len(set(parts)) < len(parts):
        raise ValueError(f"retraining repeats a part twice, which would be paid twice: {list(parts)}")
    if plan.retrain_every is None:
        return
    _whole(plan.retrain_every, "months between retrainings")
    if not any(isinstance(plan.once[name], Evaluation) for name in parts):
        raise ValueError(f"{plan.name!r} would ship a retrained model unevaluated: name an Evaluation in retrain_parts")


def _whole(amount, name):
    if exact(amount, name, 1).denominator != 1:
        raise ValueError(f"{name} must be whole, and it is {amount!r}")


# --- The bill ---------------------------------------------------------------------------------------------------------


def bill(plan: Plan, outlook: Outlook) -> dict[str, np.ndarray]:
    """What a plan costs in each month, not discounted: a dict of `PARTS` to money, ``[months]``.

    Raises:
        ValueError: an amount is out of bounds, or the error's price is in another currency; says which.
    """
    return _bill(plan, outlook, outlook.traffic())


def _bill(plan, outlook, traffic):
    """The same for any traffic ``[..., months]``, in queries a day."""
    one_currency(*prices_in([plan, outlook]))
    days, months, path = float(MONTH), int(outlook.months), outlook.prices()
    found = {name: np.zeros(traffic.shape) for name in PARTS}
    found["once"][..., 0] = float(sum((part.cost() for part in plan.once.values()), Fraction(0)))
    found["serving"] = days * _per_day(plan.server, traffic, path)
    handed = float(exact(plan.hands_on))
    if handed:
        found["handed on"] = days * _per_day(plan.to, handed * traffic, path)
    if plan.upkeep is not None:
        found["upkeep"] += float(plan.upkeep.cost())
    if plan.retrain_every is not None:
        for month in range(int(plan.retrain_every), months, int(plan.retrain_every)):
            parts = [plan.once[name] for name in plan.retrain_parts]  # the teacher's answers follow its price
            found["retraining"][..., month] = sum(
                float(part.cost()) * (path[month] if isinstance(part, Generation) else 1) for part in parts
            )
    if outlook.error_price is not None:
        found["errors"] = days * traffic * float(exact(plan.wrong) * exact(outlook.error_price.amount))
    return found


def _per_day(server, traffic, path):
    """Money a day of a server at each traffic ``[..., months]``; prices a token follow `path`, those of machines stay."""
    if isinstance(server, TokenPriced):
        return float(server.cost(1)) * traffic * path
    # A load that a machine just holds does not need another for the last digit of a float.
    machines = np.ceil(traffic / float(server.capacity()) * (1 - 1e-12)) + server.spares()
    return machines * float(server.machine_day()) + float(server.fixed_day())


def discounting(outlook: Outlook) -> np.ndarray:
    """What money of each month is worth today, ``[months]``: the first month's is worth 1."""
    return (1 + float(exact(outlook.discount))) ** (-np.arange(int(outlook.months)) / 12)


def present_value(plan: Plan, outlook: Outlook) -> float:
    """Everything that a plan costs to the horizon, in today's money."""
    return float(sum(bill(plan, outlook).values()) @ discounting(outlook))


def by_volume(plan: Plan, outlook: Outlook, volumes: ArrayLike) -> np.ndarray:
    """The present value of a plan for other traffic in the first month: ``[V]`` queries a day to ``[V]`` money.

    Raises:
        ValueError: a volume is not finite and over 0.
    """
    volumes = np.asarray(volumes, dtype=float)
    if not (np.isfinite(volumes) & (volumes > 0)).all():
        raise ValueError("volumes must be finite and over 0 queries a day")
    return sum(_bill(plan, outlook, volumes[:, None] * outlook.grown()).values()) @ discounting(outlook)


# --- When it pays -----------------------------------------------------------------------------------------------------


def paid_so_far(plan: Plan, outlook: Outlook) -> tuple[np.ndarray, np.ndarray]:
    """Days, and what has been paid by then in today's money: two arrays ``[2 · months]``.

    What is paid once and each retraining fall on the first day of their month, so each month has two points: its first
    day with them paid, and its last. Between the two the line is straight.
    """
    amounts, worth = bill(plan, outlook), discounting(outlook)
    lumps = (amounts["once"] + amounts["retraining"]) * worth
    flows = sum(amounts[name] for name in PARTS if name not in ("once", "retraining")) * worth
    starts = np.cumsum(lumps) + np.cumsum(flows) - flows
    days = float(MONTH) * np.arange(int(outlook.months) + 1)
    return np.stack([days[:-1], days[1:]], 1).ravel(), np.stack([starts, starts + flows], 1).ravel()


def break_even_day(plan: Plan, other: Plan, outlook: Outlook) -> float | None:
    """The day from which on a plan has cost no more than another, to the horizon, in today's money.

    Returns:
        float; 0.0 if it was never behind; None if it is behind at the horizon, or costs the same from first to last.
    """
    days, paid = paid_so_far(plan, outlook)
    others = paid_so_far(other, outlook)[1]
    behind, least = paid - others, 1e-9 * max(paid[-1], others[-1])
    if behind[-1] > least or (np.abs(behind) <= least).all():
        return None
    late = np.flatnonzero(behind > least)
    if len(late) == 0:
        return 0.0
    last = late[-1]  # behind here, and at no later point
    span = days[last + 1] - days[last]
    return float(days[last] + span * behind[last] / (behind[last] - behind[last + 1]))


def turns(plans: Iterable[Plan], outlook: Outlook, low: Amount, high: Amount) -> list[tuple[int, str]]:
    """Which plan is the cheapest at which traffic of the first month, from `low` to `high` queries a day.

    Looked for at 400 volumes, then between neighbours that differ: what comes and goes between two of them is missed.

    Returns:
        list of (the least whole volume, name of the plan that is the cheapest from there on); the first is at `low`.
    Raises:
        ValueError: there is no plan, or no whole volume over 0 between the two.
    """
    plans = list(plans)
    if not plans:
        raise ValueError("give at least one Plan to choose from")
    low, high = exact(low, "the least volume", above=True), exact(high, "the largest volume", above=True)
    low, high = math.ceil(low), math.floor(high)
    if low > high:
        raise ValueError(f"there is no whole volume from {low} to {high}: give the smaller one first")
    volumes = np.unique(np.round(np.geomspace(float(low), float(high), 400)))
    best = _best(plans, outlook, volumes)
    found = [(int(volumes[0]), plans[best[0]].name)]
    for place in np.flatnonzero(np.diff(best)):
        under, over = int(volumes[place]), int(volumes[place + 1])
        while over - under > 1:  # the plan of `under` is no longer the cheapest at `over`
            middle = (under + over) // 2
            if _best(plans, outlook, [middle])[0] == best[place]:
                under = middle
            else:
                over = middle
        found.append((over, plans[_best(plans, outlook, [over])[0]].name))
    return found


def _best(plans, outlook, volumes):
    """Places of the cheapest plans; the first of those that cost the same."""
    return np.argmin([by_volume(plan, outlook, volumes) for plan in plans], 0)
