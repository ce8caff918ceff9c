"""The list of bugs is alive: every text stands in its file once, and a copy of the repository runs its tests."""

import mutants
import pytest


def test_every_bug_of_the_list_can_be_put_in():
    found = mutants.read()
    assert len(found) >= 60
    assert len({mutation.file for mutation in found}) >= 20


def test_the_tests_of_every_bug_are_there():
    for mutation in mutants.read():
        for test in mutation.tests.split():
            file, _, name = test.partition("::")
            assert (f"def {name}(" if name else "def test_") in (mutants.ROOT / file).read_text(encoding="utf-8"), test


def test_a_bug_without_its_place_is_named(tmp_path):
    entry = '[[mutation]]\nname = "x"\nfile = "distill_lessons/losses.py"\nfind = "not there"\nput = ""\ntests = "t"\n'
    (tmp_path / "x.toml").write_text(entry)
    with pytest.raises(ValueError, match="'x': its text stands 0 times in distill_lessons/losses.py"):
        mutants.read(tmp_path)


@pytest.mark.parametrize(("other", "find", "put"), [("x", "IGNORE = -100", "IGNORE = 0"), ("y", "math", "math")])
def test_a_bug_that_is_none_or_has_anothers_name_is_named(tmp_path, other, find, put):
    file = tmp_path / "a.py"
    file.write_text("IGNORE = -100\nimport math\n")
    entry = "[[mutation]]\nname = '{}'\nfile = '{}'\nfind = '{}'\nput = '{}'\ntests = 't'\n"
    (tmp_path / "x.toml").write_text(entry.format("x", file, "-100", "100") + entry.format(other, file, find, put))
    with pytest.raises(ValueError, match="it changes nothing, or another has its name"):
        mutants.read(tmp_path)


def test_a_bug_is_put_into_a_copy_and_noticed():
    bug = mutants.Mutation(
        "x", "distill_lessons/evaluation/goals.py", "measured >= goal}", "measured < goal}", "tests/test_goals.py"
    )
    failed, said = mutants.run(bug, bug.tests)
    assert failed and said.startswith("FAILED tests/test_goals.py::")  # it ran there, and saw the bug
    assert "measured >= goal}" in (mutants.ROOT / bug.file).read_text(encoding="utf-8")
