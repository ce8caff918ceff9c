"""Which way to serve: the cheapest option that is good enough, from measured options, with the reasons in words."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import NamedTuple

from distill_lessons.economics.costs import Amount, exact


@dataclass(frozen=True)
class Option:
    """One way to serve, as measured: `quality` in [0, 1], money a query, money once."""

    name: str
    quality: Amount
    cost_per_query: Amount
    upfront: Amount = 0.0
    fixed_per_day: Amount = 0.0


class Advice(NamedTuple):
    """The option to take, or None, and why: a list of sentences."""

    option: str | None
    reasons: list[str]


def option_cost(option: Option, queries_per_day: Amount, days: Amount, error_cost: Amount = 0.0) -> Fraction:
    """What an option costs in that time: once, a day, a query, and 1 − quality of the queries at `error_cost` each.

    Raises:
        ValueError: an amount is no finite number or out of bounds; names it and the option.
    """
    queries = exact(queries_per_day, "queries a day", above=True) * exact(days, "days", above=True)
    wrong = 1 - exact(option.quality, f"the quality of {option.name!r}", 0, 1)
    query = exact(option.cost_per_query, f"the cost a query of {option.name!r}")
    query += wrong * exact(error_cost, "the cost of an error")
    once = exact(option.upfront, f"the upfront cost of {option.name!r}")
    return (
        once + exact(days, "days") * exact(option.fixed_per_day, f"the fixed cost of {option.name!r}") + queries * query
    )


def recommend(
    options: Iterable[Option],
    queries_per_day: Amount,
    days: Amount,
    least_quality: Amount = 0.0,
    error_cost: Amount = 0.0,
    budget: Amount | None = None,
) -> Advice:
    """The cheapest option that is good enough and can be paid, and why.

    Args:
        options: `Option`s, as measured, each with a name of its own.
        days: how long it will serve; least_quality: what the product needs, in [0, 1].
        error_cost: money that an answer costs which the quality does not count as good.
        budget: money there is upfront; None for no limit.
    Returns:
        `Advice`: a sentence for each option that is out, the bill of the best, the next best, and the traffic
        above and below which another option is the cheapest. The option is None if none qualifies.
    Raises:
        ValueError: there is no option, two have one name, or an amount is out of bounds; names it.
    """
    options = list(options)
    if not options:
        raise ValueError("give at least one Option to choose from")
    name, times = Counter(option.name for option in options).most_common(1)[0]
    if times > 1:
        raise ValueError(
            f"{times} options are called {name!r}: give each a name of its own, or the advice tells neither"
        )
    queries_per_day = exact(queries_per_day, "queries a day", above=True)
    days, least = exact(days, "days", above=True), exact(least_quality, "the least quality", 0, 1)
    budget = None if budget is None else exact(budget, "the budget")
    reasons, left = [], []
    for option in options:
        quality = exact(option.quality, f"the quality of {option.name!r}", 0, 1)
        once = exact(option.upfront, f"the upfront cost of {option.name!r}")
        if quality < least:
            reasons.append(f"{option.name}: out, quality {float(quality):.2f} is under the {float(least):.2f} needed")
        elif budget is not None and once > budget:
            reasons.append(f"{option.name}: out, {float(once):,.0f} upfront is over the budget of {float(budget):,.0f}")
        else:
            left.append(option)
    if not left:
        return Advice(None, [*reasons, "nothing qualifies: lower the need, raise the budget, or make a better student"])
    bill = {option.name: option_cost(option, queries_per_day, days, error_cost) for option in left}
    ranked = sorted(left, key=lambda option: bill[option.name])
    best = ranked[0]
    reasons.append(f"{best.name}: {float(bill[best.name]):,.0f} over {float(days):,g} days, the least of {len(left)}")
    if len(ranked) > 1:
        more = bill[ranked[1].name] - bill[best.name]
        reasons.append(f"next is {ranked[1].name}, {float(more):,.0f} more")
    for side, turn, option in _turns(best, ranked[1:], queries_per_day, days, error_cost):
        reasons.append(f"{side} {float(turn):,.0f} queries a day {option.name} costs less")
    return Advice(best.name, reasons)


def _turns(best, others, queries_per_day, days, error_cost):
    """Where the advice turns: (side, queries a day, the option that is cheapest from there) above and below, if anywhere.

    Bills are straight lines in the traffic, so on either side the next option is the one whose line is met first.
    """
    at_none, slope = {}, {}
    for option in (best, *others):  # a line through two loads
        one, two = (option_cost(option, load, days, error_cost) for load in (1, 2))
        at_none[option], slope[option] = 2 * one - two, two - one
    crossings = []
    for option in others:
        if slope[option] != slope[best]:
            crossings.append(((at_none[option] - at_none[best]) / (slope[best] - slope[option]), option))
    above = [(turn, option) for turn, option in crossings if turn >= queries_per_day and slope[option] < slope[best]]
    below = [
        (turn, option) for turn, option in crossings if 0 < turn <= queries_per_day and slope[option] > slope[best]
    ]
    found = [("over", *min(above, key=lambda each: (each[0], slope[each[1]])))] if above else []
    return found + ([("under", *max(below, key=lambda each: (each[0], slope[each[1]])))] if below else [])
