"""Run recorded experiments: ``python -m distill_lessons.experiments [name] [--device cuda]``. Resumable."""

import argparse
import os

from distill_lessons import experiments, results, runtime


def main():
    parser = argparse.ArgumentParser(prog="python -m distill_lessons.experiments", description=__doc__)
    parser.add_argument("name", nargs="?", help="an experiment, or the beginning of its name; all of them if left out")
    parser.add_argument("--device", help="cpu or cuda; by default the GPU if there is one")
    options = parser.parse_args()
    if options.device:
        os.environ["DISTILL_DEVICE"] = options.device
    kind = runtime.start().type
    for experiment in experiments.find(options.name):
        if kind not in experiment.devices:
            print(f"{experiment.name}: not recorded on {kind}, where it gains nothing", flush=True)
            continue
        results.record(experiment, say=lambda line: print(line, flush=True))
        print(f"{experiment.name}: recorded", flush=True)


if __name__ == "__main__":
    main()
