"""Which plan: the cheapest that is good enough, with the reasons in words."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from distill_lessons.economics.costs import Amount, exact
from distill_lessons.economics.plans import Outlook, Plan, bill, present_value, turns


class Advice(NamedTuple):
    """The plan to take by name, or None, and why: a list of sentences."""

    plan: str | None
    reasons: list[str]


def recommend(
    plans: Iterable[Plan],
    outlook: Outlook,
    most_wrong: Amount = 1.0,
    budget: Amount | None = None,
    within: Amount = 1000,
) -> Advice:
    """The plan that costs least to the horizon among those that are good enough and can be paid, and why.

    Args:
        plans: each with a name of its own.
        most_wrong: share of wrong answers that the product can bear, 0 to 1.
        budget: money there is to begin with; None for no limit.
        within: how many times less and more traffic is looked at for where the advice turns.
    Returns:
        `Advice`: a sentence for each plan that is out, the bill of the best, the next best, and the traffic of the first
        month above and below which another is the cheapest. The plan is None if none qualifies.
    Raises:
        ValueError: there is no plan, two have one name, or an amount is out of bounds; names it.
    """
    plans = list(plans)
    if not plans:
        raise ValueError("give at least one Plan to choose from")
    name, times = Counter(plan.name for plan in plans).most_common(1)[0]
    if times > 1:
        raise ValueError(f"{times} plans are called {name!r}: give each a name of its own, or the advice tells neither")
    most = exact(most_wrong, "the most that may be wrong", 0, 1)
    budget = None if budget is None else exact(budget, "the budget")
    within = exact(within, "how far traffic is looked at", 1, above=True)
    reasons, left = [], []
    for plan in plans:
        once = float(bill(plan, outlook)["once"][0])
        if exact(plan.wrong) > most:
            reasons.append(f"{plan.name}: out, {float(plan.wrong):.0%} wrong is over the {float(most):.0%} allowed")
        elif budget is not None and once > budget:
            reasons.append(f"{plan.name}: out, {once:,.0f} to begin with is over the budget of {float(budget):,.0f}")
        else:
            left.append(plan)
    if not left:
        return Advice(
            None, [*reasons, "nothing qualifies: allow more errors, raise the budget, or make a better model"]
        )
    ranked = sorted(left, key=lambda plan: present_value(plan, outlook))
    costs = [present_value(plan, outlook) for plan in ranked]
    reasons.append(f"{ranked[0].name}: {costs[0]:,.0f} over {int(outlook.months)} months, the least of {len(left)}")
    if len(ranked) > 1:
        reasons.append(f"next is {ranked[1].name}, {costs[1] - costs[0]:,.0f} more")
    return Advice(ranked[0].name, reasons + _turns(ranked, outlook, within))


def _turns(ranked, outlook, within):
    """Sentences on the nearest traffic on either side at which another plan becomes the cheapest."""
    load = exact(outlook.queries_per_day)
    if load < 1:
        return []
    found = turns(ranked, outlook, max(load / within, 1), load * within)
    place = max((i for i, (volume, _) in enumerate(found) if volume <= load), default=0)
    over = [f"from {found[place + 1][0]:,} queries a day on, {found[place + 1][1]}"] if place + 1 < len(found) else []
    under = [f"under {found[place][0]:,} queries a day, {found[place - 1][1]}"] if place > 0 else []
    return over + under
