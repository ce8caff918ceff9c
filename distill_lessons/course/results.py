"""Recorded results: tidy rows (experiment, arm, seed, metric, value) with provenance, and paired intervals.

While an experiment runs, each finished (arm, seed) is one small file under ``build/results``: a cut-off loses one run.
When all are there they become one table, ``data/results/<device>/<experiment>.csv``, with ``<experiment>.json`` beside
it: machine, versions, seeds, seconds. Notebooks and claims read the table.
"""

import hashlib
import inspect
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from distill_lessons import runtime


@dataclass(frozen=True)
class Experiment:
    """What is run: ``run(arm, seed)`` returns a dict of metric to number; `arms` are names, `seeds` whole numbers.

    `devices` says where it is worth recording: the small classifiers gain nothing from a GPU.
    """

    name: str
    arms: tuple
    seeds: tuple
    run: Callable
    devices: tuple = ("cpu",)


def recorded_folder(device="cpu"):
    """Where the tables made on that kind of device are kept."""
    return runtime.data_folder() / "results" / device


def record(experiment, folder=None, parts=None, say=print):
    """Run what is missing of an experiment and write its table; returns the table.

    A part counts as done if it was made from the same source text of the experiment's module, up to its EXPERIMENTS:
    more arms or seeds, or other claims, change no run that is there.

    Args:
        experiment: an `Experiment`.
        folder: of the table; by default that of this run's device.
        parts: folder of the finished runs; by default ``build/results/<device>`` in the repository.
        say: called with one line of progress a run.
    Raises:
        ValueError: a run returned a metric that is not a finite number; nothing is written for it.
        OSError: the disk is full; finished runs stay.
    """
    kind = runtime.device().type
    folder = Path(folder or recorded_folder(kind))
    parts = Path(parts or runtime.REPOSITORY / "build" / "results" / kind) / experiment.name
    source = _fingerprint(experiment)
    done = []
    for seed in experiment.seeds:
        for arm in experiment.arms:
            path = parts / f"{arm}-{seed}.json"
            part = _read_part(path, source)
            if part is None:
                began = time.perf_counter()
                values = {metric: float(value) for metric, value in experiment.run(arm, seed).items()}
                broken = [metric for metric, value in values.items() if not np.isfinite(value)]
                if broken:
                    raise ValueError(
                        f"{experiment.name}, arm {arm}, seed {seed}: {', '.join(broken)} is not a finite number"
                    )
                seconds = round(time.perf_counter() - began, 2)
                part = {"source": source, "arm": arm, "seed": seed, "seconds": seconds, "values": values,
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
        "seeds": len(experiment.seeds),
        "seconds": round(sum(part["seconds"] for part in done)),
    }
    with runtime.replacing(folder / f"{experiment.name}.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
    with runtime.replacing(folder / f"{experiment.name}.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n")
    return table


def _fingerprint(experiment):
    """Of the experiment's module, without its lists of experiments and claims: they change no run."""
    text = inspect.getsource(sys.modules[experiment.run.__module__]).split("\nEXPERIMENTS =")[0]
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _read_part(path, source):
    try:
        part = json.loads(path.read_text())
    except (OSError, json.JSONDecodeError):
        return None
    return part if part.get("source") == source else None


def load(name, folder=None):
    """The recorded table of an experiment: columns experiment, arm, seed, metric, value.

    Raises:
        FileNotFoundError: it has not been recorded; says the command that records it.
    """
    path = Path(folder or recorded_folder()) / f"{name}.csv"
    if not path.is_file():
        raise FileNotFoundError(
            f"no recorded results for {name!r}: run `python -m distill_lessons.course.experiments {name}`"
        )
    return pd.read_csv(path)


def provenance(name, folder=None):
    """One line for under a figure: seeds, time, machine, versions, date of the recorded run."""
    about = json.loads((Path(folder or recorded_folder()) / f"{name}.json").read_text())
    machine = about["device"] if about["device"] != "cpu" else f"{about['processor']}, {about['threads']} thread(s)"
    return (
        f"recorded: {name} · {about['seeds']} seed{'s' if about['seeds'] != 1 else ''} · {about['seconds']} s · {machine}"
        f" · torch {about['torch'].split('+')[0]} · {about['date']}"
    )


def per_seed(table, metric, arm):
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


def bootstrap_interval(values, resamples=10_000):
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


def paired_difference(table, metric, arm, other):
    """Mean of ``arm − other`` over the seeds that both have, with its 95% interval."""
    difference = (per_seed(table, metric, arm) - per_seed(table, metric, other)).dropna()
    if difference.empty:
        raise ValueError(f"arms {arm!r} and {other!r} share no seed")
    return bootstrap_interval(difference)


def summary(table, metric, arms=None):
    """Mean and 95% interval of one metric, a row an arm, in the order of `arms`."""
    arms = arms or list(dict.fromkeys(table.arm[table.metric == metric]))
    rows = [bootstrap_interval(per_seed(table, metric, arm)) for arm in arms]
    return pd.DataFrame(rows, index=pd.Index(arms, name="arm"))
