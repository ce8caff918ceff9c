"""Recorded results: tidy rows (experiment, arm, seed, metric, value) with provenance, and paired intervals.

While an experiment runs, each finished (arm, seed) is one small file under ``build/results``: a cut-off loses one run.
When all are there they become one table, ``data/results/<device>/<experiment>.csv``, with ``<experiment>.json`` beside
it: machine, versions, commit, seeds, seconds, and a digest of the code. Notebooks and claims read the table.
"""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple
from urllib.parse import quote

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy import stats

from distill_lessons import runtime
from distill_lessons.course import fingerprint


@dataclass(frozen=True)
class Experiment:
    """What is run: ``run(arm, seed)`` returns a dict of metric to number; `arms` are names, `seeds` whole numbers.

    `devices` says where it is worth recording: the small classifiers gain nothing from a GPU. `module` is the name of the
    lesson's module, whose code and imports a run depends on; by default that of `run`.
    """

    name: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    run: Callable[[str, int], dict[str, float]]
    devices: tuple[str, ...] = ("cpu",)
    module: str | None = None

    def digest(self) -> str:
        """Of the code that a run uses: `fingerprint.digest` of the module."""
        return fingerprint.digest(self.module or self.run.__module__)


def recorded_folder(device: str = "cpu") -> Path:
    """Where the tables made on that kind of device are kept."""
    return runtime.data_folder() / "results" / device


def record(
    experiment: Experiment,
    folder: str | Path | None = None,
    parts: str | Path | None = None,
    say: Callable[[str], None] = print,
) -> pd.DataFrame:
    """Run what is missing of an experiment and write its table; returns the table.

    A run counts as done if it was made by the same code: of the experiment's module, up to its EXPERIMENTS, and of all
    that this uses of the package. A mended loss makes runs anew; more arms or seeds, or other claims, do not.

    Args:
        experiment: an `Experiment`.
        folder: of the table; by default that of this run's device.
        parts: folder of the finished runs; by default ``build/results/<device>`` in the repository.
        say: called with one line of progress a run.
    Raises:
        ValueError: a run returned a metric that is not a finite number; nothing is written for it. Or the experiment was
            not written into a file, so that nothing could say whether a run is still good.
        OSError: the disk is full; finished runs stay.
    """
    kind = runtime.device().type
    folder = Path(folder or recorded_folder(kind))
    parts = Path(parts or runtime.REPOSITORY / "build" / "results" / kind) / experiment.name
    digest = experiment.digest()
    done = []
    for seed in experiment.seeds:
        for arm in experiment.arms:
            path = parts / _part_name(arm, seed)
            part = _read_part(path, digest, arm)
            if part is None:
                began = time.perf_counter()
                values = {metric: float(value) for metric, value in experiment.run(arm, seed).items()}
                broken = [metric for metric, value in values.items() if not np.isfinite(value)]
                if broken:
                    raise ValueError(
                        f"{experiment.name}, arm {arm}, seed {seed}: {', '.join(broken)} is not a finite number"
                    )
                seconds = round(time.perf_counter() - began, 2)
                part = {"digest": digest, "arm": arm, "seed": seed, "seconds": seconds, "values": values,
                        "machine": runtime.machine_stamp()}  # fmt: skip
                with runtime.replacing(path) as temporary:
                    temporary.write_text(json.dumps(part))
                say(f"{experiment.name} · {arm} · seed {seed} · {seconds:.0f} s")
            done.append(part)
    rows = [
        {"experiment": experiment.name, "arm": part["arm"], "seed": part["seed"], "metric": metric, "value": value}
        for part in done
        for metric, value in part["values"].items()
    ]
    table = pd.DataFrame(rows)
    about = done[-1]["machine"] | {
        "digest": digest,
        "seeds": len(experiment.seeds),
        "seconds": round(sum(part["seconds"] for part in done)),
    }
    with runtime.replacing(folder / f"{experiment.name}.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.10g")
    with runtime.replacing(folder / f"{experiment.name}.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n")
    return table


def _part_name(arm, seed):
    """A file name for any arm: what some system forbids in one is written as in a web address."""
    name = quote(arm, safe=" ,'=+")
    return f"{name}-{seed}.json"


def _read_part(path, digest, arm):
    try:
        part = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return None
    return part if (part.get("digest"), part.get("arm")) == (digest, arm) else None


def load(name: str, folder: str | Path | None = None) -> pd.DataFrame:
    """The recorded table of an experiment: columns experiment, arm, seed, metric, value.

    Raises:
        FileNotFoundError: it has not been recorded; says the command that records it.
    """
    path = Path(folder or recorded_folder()) / f"{name}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"no recorded results for {name!r}: run `python -m distill_lessons experiments {name}`")
    # Whatever an arm is called it is a name, be it "1" or "None".
    return pd.read_csv(path, dtype=dict.fromkeys(("experiment", "arm", "metric"), str), keep_default_na=False)


def provenance(name: str, folder: str | Path | None = None) -> str:
    """One line for under a figure: seeds, time, machine, versions, date and, where it was kept, commit of a recorded run."""
    about = json.loads((Path(folder or recorded_folder()) / f"{name}.json").read_text())
    machine = about["device"] if about["device"] != "cpu" else f"{about['processor']}, {about['threads']} thread(s)"
    return (
        f"recorded: {name} · {about['seeds']} seed{'s' if about['seeds'] != 1 else ''} · {about['seconds']} s · {machine}"
        f" · torch {about['torch'].split('+')[0]} · {about['date']}"
        + (f" · commit {about['commit']}" if "commit" in about else "")
    )


def per_seed(table: pd.DataFrame, metric: str, arm: str) -> pd.Series:
    """One arm's values of a metric as a Series indexed by seed."""
    rows = table[(table.metric == metric) & (table.arm == arm)]
    if rows.empty:
        raise ValueError(
            f"no rows for arm {arm!r} and metric {metric!r}; arms: {sorted(table.arm.unique())}, "
            f"metrics: {sorted(table.metric.unique())}"
        )
    return rows.set_index("seed").value.sort_index()


class Interval(NamedTuple):
    """A mean over seeds with its 95% interval."""

    estimate: float
    low: float
    high: float
    seeds: int


def bootstrap_interval(values: ArrayLike, resamples: int = 10_000) -> Interval:
    """Mean and 95% bootstrap interval, widened for small samples (the expanded percentile interval).

    A plain percentile interval is too narrow for few values. The expanded one reads the bootstrap distribution at
    the quantiles that a Student t interval would need; with three values it spans their whole range.
    Source: Hesterberg 2015, "What teachers should know about the bootstrap", section 4.2.3.

    Raises:
        ValueError: no values, or one that is not finite.
    """
    values = np.asarray(values, dtype=float)
    count = len(values)
    if count == 0 or not np.isfinite(values).all():
        raise ValueError("an interval needs at least one value, and all of them finite")
    if count == 1 or np.ptp(values) == 0:
        return Interval(values.mean(), values.mean(), values.mean(), count)
    draws = np.random.default_rng(0).integers(0, count, (resamples, count))
    tail = NormalDist().cdf(np.sqrt(count / (count - 1)) * stats.t.ppf(0.025, count - 1))
    low, high = np.quantile(values[draws].mean(axis=1), [tail, 1 - tail])
    return Interval(values.mean(), low, high, count)


def paired_difference(table: pd.DataFrame, metric: str, arm: str, other: str) -> Interval:
    """Mean of ``arm − other`` over the seeds that both have, with its 95% interval."""
    difference = (per_seed(table, metric, arm) - per_seed(table, metric, other)).dropna()
    if difference.empty:
        raise ValueError(f"arms {arm!r} and {other!r} share no seed")
    return bootstrap_interval(difference)
