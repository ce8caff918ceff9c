"""Recorded results: tidy rows (experiment, arm, seed, metric, value) with provenance, and paired intervals.

While an experiment runs, each finished (arm, seed) is one small file under ``build/results``: a cut-off loses one run.
When all are there they become one table, ``data/results/<device>/<experiment>.csv``, with ``<experiment>.json`` beside
it: machine, versions, commit, seeds, seconds, and a digest of the code. Notebooks and claims read the table.
"""

import functools
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike

from distill_lessons import runtime
from distill_lessons.course import fingerprint
from distill_lessons.course.intervals import Interval, over_seeds


@dataclass(frozen=True)
class Experiment:
    """What is run: ``run(arm, seed)`` returns a dict of metric to number; `arms` are names, `seeds` whole numbers.

    Instead of a number a run may give one a test item, ``[I]``, the same items for all arms and seeds: the table has their
    mean, and a file beside it has them all, so that an interval can count the items too. `groups` names for each item
    what it belongs to (a topic), where items of one group are alike.

    `devices` says where it is worth recording: the small classifiers gain nothing from a GPU. `module` is the name of the
    lesson's module, whose code and imports a run depends on; by default that of `run`.
    """

    name: str
    arms: tuple[str, ...]
    seeds: tuple[int, ...]
    run: Callable[[str, int], dict[str, float | ArrayLike]]
    devices: tuple[str, ...] = ("cpu",)
    module: str | None = None
    groups: Callable[[], list] | None = None

    def digest(self) -> str:
        """Of the code that a run uses: `fingerprint.digest` of the module."""
        return fingerprint.digest(self.module or self.run.__module__)


def recorded_folder(device: str = "cpu") -> Path:
    """Where the tables made on that kind of device are kept."""
    return runtime.data_folder() / "results" / device


def home(*names: str) -> Path:
    """The folder that has the tables of all these experiments: the CPU's, or the GPU's where the CPU's lacks one.

    Tables that are compared come from one device. The CPU's folder is named where no folder has them all.
    """
    folders = [recorded_folder(device) for device in ("cpu", "cuda")]
    whole = [folder for folder in folders if all((folder / f"{name}.csv").is_file() for name in names)]
    return (whole or folders)[0]


def record(
    experiment: Experiment,
    folder: str | Path | None = None,
    parts: str | Path | None = None,
    say: Callable[[str], None] = print,
    plans: Sequence[str] = (),
) -> pd.DataFrame:
    """Run what is missing of an experiment and write its table; returns the table.

    A run counts as done if it was made by the same code: of the experiment's module, up to its EXPERIMENTS, and of all
    that this uses of the package. A mended loss makes runs anew; more arms or seeds, or other claims, do not.

    Args:
        experiment: an `Experiment`.
        folder: of the table; by default that of this run's device.
        parts: folder of the finished runs; by default ``build/results/<device>`` in the repository.
        say: called with one line of progress a run.
        plans: digests of the tests that will read this table, as they stand before the run (`claims.plans`). The table
            keeps those that all its runs were made under.
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
                values = {metric: _plain(value) for metric, value in experiment.run(arm, seed).items()}
                broken = [metric for metric, value in values.items() if not np.isfinite(value).all()]
                if broken:
                    raise ValueError(
                        f"{experiment.name}, arm {arm}, seed {seed}: {', '.join(broken)} is not a finite number"
                    )
                seconds = round(time.perf_counter() - began, 2)
                part = {"digest": digest, "arm": arm, "seed": seed, "seconds": seconds, "values": values,
                        "machine": runtime.machine_stamp(), "plans": sorted(plans)}  # fmt: skip
                with runtime.replacing(path) as temporary:
                    temporary.write_text(json.dumps(part))
                say(f"{experiment.name} · {arm} · seed {seed} · {seconds:.0f} s")
            done.append(part)
    rows = [
        {
            "experiment": experiment.name,
            "arm": part["arm"],
            "seed": part["seed"],
            "metric": metric,
            "value": float(np.mean(value)),
        }  # fmt: skip
        for part in done
        for metric, value in part["values"].items()
    ]
    table = pd.DataFrame(rows)
    about = done[-1]["machine"] | {
        "digest": digest,
        "seeds": len(experiment.seeds),
        "seconds": round(sum(part["seconds"] for part in done)),
        "plans": sorted(set.intersection(*(set(part.get("plans", ())) for part in done))),
    }
    items = [
        # Four decimals lose nothing that an interval could show, and make the file a third as large.
        {"arm": part["arm"], "seed": part["seed"], "metric": metric, "values": np.round(value, 4).tolist()}
        for part in done
        for metric, value in part["values"].items()
        if isinstance(value, list)
    ]
    if items:
        about["groups"] = [str(each) for each in experiment.groups()] if experiment.groups else None
        with runtime.replacing(folder / f"{experiment.name}.items.parquet") as temporary:
            kept = pa.Table.from_pylist(items, pa.schema([("arm", pa.string()), ("seed", pa.int64()),
                                        ("metric", pa.string()), ("values", pa.list_(pa.float32()))]))  # fmt: skip
            pq.write_table(kept, temporary, compression="zstd", compression_level=15)
    with runtime.replacing(folder / f"{experiment.name}.csv") as temporary:
        table.to_csv(temporary, index=False, float_format="%.10g")
    with runtime.replacing(folder / f"{experiment.name}.json") as temporary:
        temporary.write_text(json.dumps(about, indent=1) + "\n")
    return table


def _plain(value):
    """A number, or a list of one a test item."""
    value = np.asarray(value, dtype=float)
    return float(value) if value.ndim == 0 else value.tolist()


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

    Args:
        folder: of the table; by default its `home`. So too below.
    Raises:
        FileNotFoundError: it has not been recorded; says the command that records it.
    """
    path = Path(folder or home(name)) / f"{name}.csv"
    if not path.is_file():
        raise FileNotFoundError(f"no recorded results for {name!r}: run `python -m distill_lessons experiments {name}`")
    return _table(path, _mark(path)).copy()


def _mark(path):
    """What changes when a file is written again: the ledger reads a table for each of its many tests."""
    about = path.stat()
    return about.st_mtime_ns, about.st_size, about.st_ino


@functools.lru_cache(maxsize=256)
def _table(path, mark):
    # Whatever an arm is called it is a name, be it "1" or "None".
    return pd.read_csv(path, dtype=dict.fromkeys(("experiment", "arm", "metric"), str), keep_default_na=False)


def provenance(name: str, folder: str | Path | None = None) -> str:
    """One line for under a figure: seeds, time, machine, versions, date and, where it was kept, commit of a recorded run."""
    about = json.loads((Path(folder or home(name)) / f"{name}.json").read_text())
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


def paired(first: pd.Series, second: pd.Series) -> pd.Series:
    """``first − second`` over the seeds that both have.

    Raises:
        ValueError: they share none.
    """
    difference = (first - second).dropna()
    if difference.empty:
        raise ValueError("the two arms share no seed, so nothing can be paired")
    return difference


def interval(values: ArrayLike) -> Interval:
    """Mean and 95% interval of one value a seed: `intervals.over_seeds`."""
    return over_seeds(values)


def paired_difference(table: pd.DataFrame, metric: str, arm: str, other: str) -> Interval:
    """Mean of ``arm − other`` over the seeds that both have, with its 95% interval."""
    return over_seeds(paired(per_seed(table, metric, arm), per_seed(table, metric, other)))


def items_of(name: str, metric: str, arm: str, folder: str | Path | None = None) -> dict[int, np.ndarray] | None:
    """A metric's value at every test item, ``{seed: [I]}``; None where the experiment keeps means only."""
    path = Path(folder or home(name)) / f"{name}.items.parquet"
    if not path.is_file():
        return None
    found = _items(path, _mark(path)).get((arm, metric), {})
    return {seed: values.astype(float) for seed, values in found.items()} or None


@functools.lru_cache(maxsize=64)
def _items(path, mark):
    """All of a file: {(arm, metric): {seed: [I]}}."""
    table, found = pq.read_table(path), {}
    columns = (table[name].to_pylist() for name in ("arm", "metric", "seed"))
    for arm, metric, seed, values in zip(*columns, table["values"]):
        found.setdefault((arm, metric), {})[seed] = values.values.to_numpy()
    return found


def stamp(name: str, folder: str | Path | None = None) -> dict:
    """What stands beside a table: machine, versions, commit, digests; empty where there is nothing."""
    path = Path(folder or home(name)) / f"{name}.json"
    return json.loads(path.read_text()) if path.is_file() else {}
