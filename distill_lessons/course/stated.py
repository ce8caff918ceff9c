"""What a claim is: a published sentence, its one main test, what stands beside it, and how an interval becomes a verdict."""

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from distill_lessons.course import intervals, results
from distill_lessons.course.intervals import Interval

SUPPORTED = "supported"
WEAKER = "weaker than claimed"
NONE = "no effect here"
CONTRADICTED = "contradicted"
UNDECIDED = "undecided"
UNTESTABLE = "not testable here"
VERDICTS = (SUPPORTED, WEAKER, NONE, CONTRADICTED, UNDECIDED, UNTESTABLE)

FEWEST = 3  # seeds: from fewer nothing is concluded


@dataclass(frozen=True)
class Comparison:
    """One test. The claim says that `metric` of `arm` minus that of `other` is above `least` (with `lower`: below −least).

    With ``other=None`` the metric of `arm` itself is. A claim about a range gives `within` instead of `least`.

    Args:
        setting: pair and setting, in a few words.
        experiment: the recorded table, or two joined by " + " whose arms are paired by seed.
        least: the least effect that matters, from zero on; `why` says in a sentence why that much.
        within: (low, high), either may be infinite: the claim puts the value between them.
        budget: of a language model's training, in words; asks for LANGUAGE_SEEDS seeds instead of SEEDS.
        rates: the experiment that searched the arms' learning rates, or "none" where no rate enters.
        premises: what must be supported for this test to mean anything.
        exact: arithmetic, the same for every seed: one value is enough.
    """

    setting: str
    experiment: str
    metric: str
    arm: str
    other: str | None = None
    least: float = 0.0
    why: str = ""
    lower: bool = False
    within: tuple[float, float] | None = None
    unit: str = ""
    budget: str = ""
    rates: str = ""
    premises: tuple["Premise", ...] = ()
    exact: bool = False

    def __post_init__(self):
        if self.least < 0:
            raise ValueError(f"{self.setting}: a least effect is a size, from zero on; `lower` gives its direction")

    def tables(self) -> list[str]:
        return self.experiment.split(" + ")

    def home(self, folder: str | Path | None = None) -> Path:
        """Where its tables are read: the given folder, or by default the one that has them all (`results.home`)."""
        return Path(folder or results.home(*self.tables()))

    def recorded(self, folder: str | Path | None = None) -> bool:
        """Whether all its tables are in one folder."""
        return all((self.home(folder) / f"{name}.csv").is_file() for name in self.tables())

    def interval(self, folder: str | Path | None = None, spare: str | Path | None = None) -> Interval:
        """The mean over seeds with its 95% interval; test items count too where they were kept.

        Args:
            folder: of the tables, by default their `home`.
            spare: where a table is taken from that `folder` has not; by default from nowhere.
        Raises:
            FileNotFoundError: a table has not been recorded.
        """
        home = self.home(folder)
        there = {name: spare is None or (home / f"{name}.csv").is_file() for name in self.tables()}
        folders = {name: home if there[name] else spare for name in there}
        table = pd.concat([results.load(name, place) for name, place in folders.items()])
        arms = [arm for arm in (self.arm, self.other) if arm is not None]
        values = [results.per_seed(table, self.metric, arm) for arm in arms]
        items = [self._items(arm, folders) for arm in arms]
        if all(each is not None for each, _ in items):
            shared = sorted(set.intersection(*(set(each) for each, _ in items)))
            cells = [np.stack([each[seed] for seed in shared]) for each, _ in items]
            if len(shared) > 1:
                return intervals.over_seeds_and_items(cells[0] - (cells[1] if self.other else 0), items[0][1])
        if self.other is None:
            return intervals.over_seeds(values[0])
        # What is recorded once because no seed enters (word frequencies) is a constant for every seed of the other arm.
        (alone,) = table[table.arm == self.other].experiment.unique()
        if table[table.experiment == alone].seed.nunique() == 1:
            return intervals.over_seeds(values[0] - values[1].iloc[0])
        return intervals.over_seeds(results.paired(*values))

    def _items(self, arm, folders):
        for name, folder in folders.items():
            if (found := results.items_of(name, self.metric, arm, folder)) is not None:
                return found, results.stamp(name, folder).get("groups")
        return None, None

    def digest(self) -> str:
        """Of the test as it is stated: a run keeps it, so that a test changed after its runs can be told."""
        told = [repr(getattr(self, name)) for name in ("experiment", "metric", "arm", "other", "least", "lower", "within",
                                                       "budget", "rates", "exact")]  # fmt: skip
        told += [premise.test.digest() for premise in self.premises]
        return hashlib.sha256("|".join(told).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Premise:
    """What must be true for a test to mean anything: words, and the comparison that must be supported."""

    words: str
    test: Comparison


@dataclass(frozen=True)
class Claim:
    """A published sentence in our words, its source, the lesson that tests it, its main test and its moderators.

    `main` is one comparison, or for a language model one a budget. `note` is a caveat that no row can show.
    """

    id: str
    statement: str
    source: str
    lesson: str
    main: tuple[Comparison, ...]
    moderators: tuple[Comparison, ...] = ()
    note: str = ""


def verdict(test: Comparison, interval: Interval) -> str:
    """One of VERDICTS but UNTESTABLE, from the interval alone.

    Supported: the whole interval beyond the least effect. Weaker than claimed: on the claimed side of zero, and not wholly
    beyond it. No effect here: wholly within ± the least effect. Contradicted: wholly on the other side. A range is
    supported or contradicted as the interval lies wholly inside or outside. Undecided otherwise, and from few seeds.
    """
    if interval.seeds < FEWEST and not test.exact:
        return UNDECIDED
    if test.within is not None:
        low, high = test.within
        if low <= interval.low and interval.high <= high:
            return SUPPORTED
        return CONTRADICTED if interval.high < low or interval.low > high else UNDECIDED
    low, high = (-interval.high, -interval.low) if test.lower else (interval.low, interval.high)
    if low > test.least:
        return SUPPORTED
    if low > 0:
        return WEAKER
    if -test.least < low and high < test.least:
        return NONE
    return CONTRADICTED if high < 0 else UNDECIDED


def claimed(test: Comparison) -> str:
    """Where the claim puts the value, in words."""
    unit = f" {test.unit}" if test.unit else ""
    if test.within is None:
        return f"below {-test.least:.3g}{unit}" if test.lower else f"above {test.least:.3g}{unit}"
    low, high = test.within
    if math.isinf(high):
        return f"at least {low:g}{unit}"
    return f"at most {high:g}{unit}" if math.isinf(low) else f"{low:g} to {high:g}{unit}"
