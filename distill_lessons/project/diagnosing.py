"""The command ``distill-lessons diagnose``: what ails a student, from tables of its predictions (`evaluation.triage`)."""

import argparse
import json
from collections.abc import Sequence

from distill_lessons.evaluation import triage


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        prog="python -m distill_lessons diagnose",
        description=triage.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "paths", nargs="+", help="a folder of tables; or a file of predictions, and one of the old task"
    )
    parser.add_argument("--trained-on", help="sources that the student learned from, with commas between")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON")
    options = parser.parse_args(arguments)
    if len(options.paths) > 2:
        parser.error("give a folder, or one or two files")
    sources = options.trained_on.split(",") if options.trained_on else None
    findings = triage.diagnose(**triage.read(*options.paths), trained_on=sources)
    print(
        json.dumps(triage.as_rows(findings), indent=1, ensure_ascii=False) if options.json else triage.report(findings)
    )
