"""Experiments in two steps: every arm tries learning rates on one seed, then runs several seeds at the best one.

Rates are scored on validation prompts, and searched on the CPU for every device; runs are scored on test prompts, whose
topics no training prompt mentions. What a run depends on stands above a module's EXPERIMENTS: only that counts when a
finished run is asked whether it is still good.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import pandas as pd
from transformers import PreTrainedModel

from distill_lessons import runtime
from distill_lessons.course import results
from distill_lessons.course.experiments import on_smollm
from distill_lessons.course.results import Experiment

FIRST_RATE = 1.4e-3
KEPT = ("kl", "agreement", "cross_entropy", "tokens", "seconds", "learning_rate")  # of a search's run of seed 0

Scores = dict[str, float]
Learned = Callable[[str, int, float], tuple[PreTrainedModel, float]]  # (arm, seed, rate) to a student and its seconds
Beside = Mapping[str, Callable[[int], Scores]]  # arms that need no rate: each a function of the seed


def search(learned: Callable[[float], tuple[PreTrainedModel, float]], first: float = FIRST_RATE) -> Scores:
    """Try learning rates around `first`, a factor of two apart, until the best has a worse one on either side.

    Args:
        learned: ``learned(rate)`` returns a trained student and its seconds; called once a rate.
    Returns:
        dict: learning_rate; "validation at <rate>" for every rate tried; and of the best one its test score and seconds.
    """
    tried, best = {}, None

    def attempt(step):
        nonlocal best
        student, seconds = learned(first * 2.0**step)
        tried[step] = on_smollm.score(student, "validation")["kl"]
        if tried[step] == min(tried.values()):
            best = step, student, seconds

    for step in (0, 1, -1):
        attempt(step)
    while best[0] in (min(tried), max(tried)):
        attempt(best[0] + (1 if best[0] == max(tried) else -1))
    step, student, seconds = best
    rates = {f"validation at {first * 2.0**each:.2g}": value for each, value in sorted(tried.items())}
    return {"learning_rate": first * 2.0**step} | on_smollm.score(student) | {"seconds": seconds} | rates


def found_rate(name: str, arm: str) -> float:
    """The learning rate that the search recorded as experiment `name` found for an arm."""
    return results.per_seed(results.load(name), "learning_rate", arm).iloc[0]


def rates(
    name: str, arms: Sequence[str], learned: Learned, first: Callable[[str], float] = lambda arm: FIRST_RATE
) -> Experiment:
    """The first step: `search` for every arm, on seed 0.

    Args:
        learned: a function of the lesson's module: student and seconds of an arm, a seed and a rate.
        first: where an arm's search begins; a function of the lesson's module.
    """

    def run(arm, seed):
        return search(lambda rate: learned(arm, seed, rate), first(arm))

    return Experiment(name, tuple(arms), (0,), run, module=learned.__module__)


def searched(
    name: str,
    table: str,
    arms: Sequence[str],
    learned: Learned,
    seeds: Sequence[int] = (0, 1, 2),
    first: Callable[[str], float] = lambda arm: FIRST_RATE,
    before: Beside | None = None,
    after: Beside | None = None,
) -> tuple[Experiment, Experiment]:
    """Both steps: `rates` as experiment `name`, and every arm at its best rate as experiment `table`.

    On the CPU a search has made the run of seed 0 already, and it is not made again.

    Args:
        learned, first: as for `rates`.
        before, after: arms of `table` that are not searched, above and below the others.
    """
    before, after = dict(before or {}), dict(after or {})
    beside = before | after

    def run(arm, seed):
        if arm in beside:
            return beside[arm](seed)
        rate = found_rate(name, arm)
        if seed == 0 and runtime.device().type == "cpu":
            found = results.load(name)
            return {metric: results.per_seed(found, metric, arm).iloc[0] for metric in KEPT}
        student, seconds = learned(arm, seed, rate)
        return on_smollm.score(student) | {"seconds": seconds, "learning_rate": rate}

    second = Experiment(table, (*before, *arms, *after), tuple(seeds), run, ("cpu", "cuda"), module=learned.__module__)
    return rates(name, arms, learned, first), second


def on_a_grid(
    name: str,
    table: str,
    arms: Sequence[str],
    grid: Sequence[float],
    learned: Callable[[str, int, float], PreTrainedModel],
    score: Callable[[PreTrainedModel, str], Scores],
    seeds: Sequence[int],
    before: Beside | None = None,
) -> tuple[Experiment, Experiment]:
    """As `searched`, but every arm tries the same rates, and each rate is an arm of experiment `name`: "text-0.0014".

    Args:
        learned: a function of the lesson's module: a student of an arm, a seed and a rate.
        score: a student's scores on a split, "validation" or "test".
    """
    tried = {f"{arm}-{rate:g}": (arm, rate) for arm in arms for rate in grid}
    before = dict(before or {})

    def try_rate(arm, seed):
        method, rate = tried[arm]
        return score(learned(method, seed, rate), "validation")

    def run(arm, seed):
        if arm in before:
            return before[arm](seed)
        rate = best_of_grid(name, arm, grid)
        return score(learned(arm, seed, rate), "test") | {"learning_rate": rate}

    module = learned.__module__
    return (
        Experiment(name, tuple(tried), (0,), try_rate, module=module),
        Experiment(table, (*before, *arms), tuple(seeds), run, ("cpu", "cuda"), module=module),
    )


def best_of_grid(name: str, arm: str, grid: Sequence[float]) -> float:
    """The learning rate of an arm with the lowest validation KL in the rows of experiment `name`."""
    table = results.load(name)
    return min(grid, key=lambda rate: results.per_seed(table, "kl", f"{arm}-{rate:g}").mean())


# --- One grid for all arms --------------------------------------------------------------------------------------------

SEARCH_SEEDS = (100, 101, 102)  # never those of the runs that a claim is judged by


def rate_search(
    name: str,
    arms: Sequence[str],
    grid: Sequence[float],
    score: Callable[[str, int, float], Scores],
    seeds: Sequence[int] = SEARCH_SEEDS,
) -> Experiment:
    """Every arm at every rate of one grid, on three seeds of the search's own: arms called "text at 0.0014".

    Args:
        grid: rates a factor of two apart, the same for all arms of a comparison.
        score: ``score(arm, seed, rate)``, a function of the lesson's module: what a trained student comes to on validation.
    Raises:
        ValueError: the rates are not a factor of two apart.
    """
    _check_grid(grid)
    tried = {f"{arm} at {rate:g}": (arm, rate) for arm in arms for rate in grid}

    def run(arm, seed):
        method, rate = tried[arm]
        return score(method, seed, rate)

    return Experiment(name, tuple(tried), tuple(seeds), run, module=score.__module__)


def chosen_rate(
    table: pd.DataFrame, arm: str, grid: Sequence[float], metric: str, lower_is_better: bool = False
) -> float:
    """The lowest rate of the grid whose mean over the search's seeds is within one standard error of the best one's.

    The standard error is the best rate's own. What is best on three seeds is often so by chance, and of rates that cannot
    be told apart the lowest is the safest.

    Raises:
        ValueError: fewer than three seeds; or the best rate, or the chosen one, is an end of the grid, so that a better
            one may lie beyond: says which rate to add, for all arms.
    """
    _check_grid(grid)
    grid = sorted(grid)
    found = [results.per_seed(table, metric, f"{arm} at {rate:g}") * (-1 if lower_is_better else 1) for rate in grid]
    if min(map(len, found)) < 3:
        raise ValueError(
            f"{arm}: a rate is searched on three seeds or more, and one was tried on {min(map(len, found))}"
        )
    means = np.array([values.mean() for values in found])
    best = int(means.argmax())
    error = found[best].std(ddof=1) / np.sqrt(len(found[best]))
    chosen = int(np.argmax(means >= means[best] - error))
    for place, further in ((0, grid[0] / 2), (len(grid) - 1, grid[-1] * 2)):
        if place in (best, chosen):
            raise ValueError(
                f"{arm}: the rate {grid[place]:g} is an end of the grid, and a better one may lie beyond: "
                f"add {further:g} for all arms and search again"
            )
    return grid[chosen]


def at_chosen_rates(
    name: str,
    table: str,
    arms: Sequence[str],
    grid: Sequence[float],
    score: Callable[[str, int, float, str], Scores],
    seeds: Sequence[int],
    metric: str = "accuracy",
    lower_is_better: bool = False,
    beside: Beside | None = None,
    groups: Callable[[], list] | None = None,
) -> tuple[Experiment, Experiment]:
    """`rate_search` as experiment `name`, and every arm at its `chosen_rate` on seeds of its own as experiment `table`.

    Args:
        score: ``score(arm, seed, rate, split)``, a function of the lesson's module: what a student comes to that is trained
            so, on "validation" or "test".
        metric, lower_is_better: what a rate is chosen by, on validation.
        beside: arms of `table` without a rate, each a function of the seed.
        groups: of the test items, as `Experiment` has it.
    """
    beside = dict(beside or {})

    def run(arm, seed):
        if arm in beside:
            return beside[arm](seed)
        rate = chosen_rate(results.load(name), arm, rates_of(name, arm), metric, lower_is_better)
        return score(arm, seed, rate, "test") | {"learning_rate": rate}

    def try_rate(arm, seed, rate):
        return score(arm, seed, rate, "validation")

    try_rate.__module__ = score.__module__
    search = rate_search(name, arms, grid, try_rate)
    return search, Experiment(table, (*beside, *arms), tuple(seeds), run, module=score.__module__, groups=groups)


def rates_of(name: str, arm: str) -> list[float]:
    """The learning rates that the search recorded as experiment `name` tried for an arm, ascending."""
    tried = results.load(name).arm.unique()
    return sorted(float(each.rpartition(" at ")[2]) for each in tried if each.rpartition(" at ")[0] == arm)


def _check_grid(grid):
    steps = np.diff(np.log2(sorted(grid)))
    if len(grid) < 3 or not np.allclose(steps, 1, atol=0.05):
        raise ValueError(f"a grid of rates has three or more, a factor of two apart, and it is {list(grid)}")
