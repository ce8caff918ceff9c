"""The README says what the repository does: its ledger is the computed one, its links and commands exist."""

import re

from distill_lessons import claims, runtime

README = (runtime.REPOSITORY / "README.md").read_text(encoding="utf-8")


def test_verdicts_are_the_computed_ones():
    printed = dict(re.findall(r"^\| \*\*(C\d+)\*\* .+ \| ([a-z ]+) \|$", README, re.M))
    assert printed == {row["id"]: row["verdict"] for row in claims.ledger()}


def test_links_lead_somewhere():
    targets = re.findall(r"\]\(([^)]+)\)", README)
    assert targets
    for target in targets:
        assert (runtime.REPOSITORY / target).exists(), target


def test_commands_exist():
    makefile = (runtime.REPOSITORY / "Makefile").read_text()
    for target in set(re.findall(r"`?make (\w+)", README)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_lesson_is_on_the_map():
    for path in (runtime.REPOSITORY / "notebooks").glob("*.ipynb"):
        assert f"(notebooks/{path.name})" in README
