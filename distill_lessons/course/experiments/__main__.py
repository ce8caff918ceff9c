"""Run recorded experiments: ``python -m distill_lessons experiments [name] [--device cuda] [--minutes 8]``. Resumable."""

import argparse
import os
import time
from collections.abc import Sequence

from distill_lessons import runtime
from distill_lessons.course import claims, experiments, results


class OutOfTime(Exception):
    """The minutes are over."""


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m distill_lessons experiments", description=__doc__)
    parser.add_argument("name", nargs="?", help="an experiment, or the beginning of its name; all of them if left out")
    parser.add_argument("--device", help="cpu or cuda; by default the GPU if there is one")
    parser.add_argument(
        "--minutes", type=float, help="begin no run after that many; by default go on until all are done"
    )
    options = parser.parse_args(arguments)
    try:
        chosen = experiments.find(options.name)
    except ValueError as error:
        parser.error(str(error))
    if options.device:
        os.environ["DISTILL_DEVICE"] = options.device
    kind, began = runtime.start().type, time.monotonic()

    def say(line):
        print(line, flush=True)
        if options.minutes is not None and time.monotonic() - began >= 60 * options.minutes:
            raise OutOfTime

    for experiment in chosen:
        if kind not in experiment.devices:
            print(f"{experiment.name}: not recorded on {kind}, where it gains nothing", flush=True)
            continue
        try:
            results.record(experiment, say=say, plans=claims.plans(experiment.name))
        except OutOfTime:
            print(f"stopped in {experiment.name} after {options.minutes:g} minutes: the same command goes on from here")
            return
        print(f"{experiment.name}: recorded", flush=True)


if __name__ == "__main__":
    main()
