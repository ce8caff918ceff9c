"""Experiments in two steps: every arm tries learning rates on one seed, then runs several seeds at the best one.

Rates are scored on validation prompts, and searched on the CPU for every device; runs are scored on test prompts, whose
topics no training prompt mentions. What a run depends on stands above a module's EXPERIMENTS: only that counts when a
finished run is asked whether it is still good.
"""

from collections.abc import Callable, Mapping, Sequence

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
