"""The command line: what it offers, how it hands on, and what it says when something cannot be done."""

import os
import subprocess
import sys
import types

import pytest

import distill_lessons.__main__ as cli
from distill_lessons import runtime


def test_without_a_command_it_says_what_there_is(capsys):
    for arguments in ([], ["--help"], ["-h"], ["help"]):
        assert cli.main(arguments) == 0
        said = capsys.readouterr().out
        for name, (_, words) in cli.COMMANDS.items():
            assert name in said and words in said


def test_saying_what_there_is_loads_no_library():
    code = "import sys; from distill_lessons.__main__ import main; main([]); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == 0


@pytest.mark.parametrize("wrong, near", [("clams", "claims"), ("DEMO", "demo"), ("experiment", "experiments")])
def test_an_unknown_command_is_told_the_nearest(wrong, near, capsys):
    assert cli.main([wrong]) == 2
    out, err = capsys.readouterr()
    assert out == "" and f"did you mean {near}?" in err and len(err.splitlines()) == 1


def test_a_command_that_resembles_none_gets_the_list(capsys):
    assert cli.main(["xyzzy"]) == 2
    assert "did you mean" not in (said := capsys.readouterr().err) and "demo, claims, train" in said


@pytest.mark.parametrize("command", ["demo", "claims", "train", "diagnose", "experiments", "bench"])
def test_every_command_has_a_help_that_names_it(command, capsys):
    with pytest.raises(SystemExit) as left:
        cli.main([command, "--help"])
    assert left.value.code == 0
    assert "usage:" in capsys.readouterr().out


@pytest.fixture
def command(monkeypatch):
    """A command "claims" that notes what it was given, and raises what it is told to."""
    stand_in = types.ModuleType("stand_in")
    stand_in.seen, stand_in.error = [], None

    def main(arguments):
        stand_in.seen.append(arguments)
        if stand_in.error:
            raise stand_in.error

    stand_in.main = main
    monkeypatch.setitem(sys.modules, "stand_in", stand_in)
    monkeypatch.setitem(cli.COMMANDS, "claims", ("stand_in", "a stand-in"))
    return stand_in


def test_what_follows_the_name_is_handed_on_as_it_stands(command):
    assert cli.main(["claims", "--lesson", "02", "--json"]) == 0
    assert command.seen == [["--lesson", "02", "--json"]]


@pytest.mark.parametrize(
    "error, said",
    [
        (ValueError("no such lesson: there are 00 and 01"), "no such lesson: there are 00 and 01"),
        (FileNotFoundError("clone the repository"), "clone the repository"),
        (OSError(28, "could not write x; free some disk space"), "could not write x; free some disk space"),
        (FileNotFoundError(2, "No such file or directory", "run.json"), "No such file or directory: run.json"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_on_stderr(command, capsys, error, said):
    command.error = error
    assert cli.main(["claims"]) == 1
    assert capsys.readouterr() == ("", f"distill-lessons claims: {said}\n")


def test_a_fault_of_the_code_is_not_hidden(command):
    command.error = TypeError("a bug")
    with pytest.raises(TypeError):
        cli.main(["claims"])


def test_bench_runs_the_file_beside_the_package_with_its_own_arguments(tmp_path, monkeypatch, capsys):
    (tmp_path / "data").mkdir()
    (tmp_path / "tools").mkdir()
    (tmp_path / "tools" / "bench.py").write_text("import sys; print(__name__, sys.argv[1:])", encoding="utf-8")
    monkeypatch.setattr(runtime, "REPOSITORY", tmp_path)
    before = list(sys.argv)
    assert cli.main(["bench", "--tiny"]) == 0
    assert capsys.readouterr().out == "__main__ ['--tiny']\n" and sys.argv == before


def test_a_reader_that_stops_reading_gets_no_traceback():
    code = "import sys; import distill_lessons.__main__ as cli; cli.run = lambda *_: print('x\\n' * 10**6); sys.exit(cli.main(['claims']))"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr.read() == b"" and process.wait(60) == 0


def test_a_console_without_our_characters_shows_what_it_can():
    code = "import sys; import distill_lessons.__main__ as cli; cli.run = lambda *_: print('✓ −1'); sys.exit(cli.main(['claims']))"
    done = subprocess.run(
        [sys.executable, "-X", "utf8=0", "-c", code],
        capture_output=True,
        env=os.environ | {"PYTHONIOENCODING": "cp1252"},
    )
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.strip() == b"? ?1"
