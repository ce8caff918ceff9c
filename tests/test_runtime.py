"""The machine: threads, devices, seeds and their variables, the stamp, and files that are whole or not there."""

import os
import subprocess
import types

import pytest
import torch
from torch import nn

from distill_lessons import runtime

VARIABLES = ("DISTILL_THREADS", "DISTILL_DEVICE", "DISTILL_SEED", "DISTILL_PROGRESS", "DISTILL_CACHE")


@pytest.fixture(autouse=True)
def nothing_asked(monkeypatch):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


# --- threads -------------------------------------------------------------------------------------------------------


@pytest.fixture
def two_threads():
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


def test_threads_are_set_inside_and_put_back(two_threads):
    with runtime.threads(1):
        assert torch.get_num_threads() == 1
        with runtime.threads(3):
            assert torch.get_num_threads() == 3
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == 2


def test_threads_are_put_back_after_an_error(two_threads):
    with pytest.raises(KeyError), runtime.threads(1):
        raise KeyError
    assert torch.get_num_threads() == 2


@pytest.mark.parametrize("nothing", [None, 0])
def test_no_number_changes_nothing(two_threads, monkeypatch, nothing):
    monkeypatch.setenv("DISTILL_THREADS", "5")
    with runtime.threads(nothing):
        assert torch.get_num_threads() == 2


def test_the_users_word_on_threads_wins(two_threads, monkeypatch):
    monkeypatch.setenv("DISTILL_THREADS", "4")
    with runtime.threads(1):
        assert torch.get_num_threads() == 4
    assert torch.get_num_threads() == 2


def test_a_negative_number_of_threads_is_refused():
    with pytest.raises(ValueError, match="from 1 on.*-1"), runtime.threads(-1):
        pass


def weights(count):
    """A model of `count` weights that takes no memory."""
    return nn.ParameterList([nn.Parameter(torch.empty(count, device="meta"), requires_grad=False)])


def test_small_models_have_one_thread_on_a_cpu(monkeypatch):
    monkeypatch.setenv("DISTILL_DEVICE", "cpu")
    assert runtime.threads_for(nn.Linear(4, 4)) == 1
    assert runtime.threads_for(weights(3_999_999)) == 1
    assert runtime.threads_for(weights(4_000_000)) is None


def test_the_teacher_counts_too_and_shared_weights_once(monkeypatch):
    monkeypatch.setenv("DISTILL_DEVICE", "cpu")
    student, teacher = weights(1_000_000), weights(5_000_000)
    assert runtime.threads_for(student) == 1 and runtime.threads_for(student, teacher) is None
    large = weights(2_500_000)
    assert runtime.threads_for(large, large) == 1
    assert runtime.threads_for(large, weights(2_500_000)) is None
    assert runtime.threads_for(student, None, lambda batch: batch) == 1


def test_on_a_gpu_threads_are_left_alone(monkeypatch):
    monkeypatch.setattr(runtime, "device", lambda: torch.device("cuda"))
    assert runtime.threads_for(nn.Linear(4, 4)) is None


# --- the variables --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("wrong", ["abc", "0", "-2", "1.5"])
def test_wrong_threads_are_refused_in_one_sentence(monkeypatch, wrong):
    monkeypatch.setenv("DISTILL_THREADS", wrong)
    for call in (runtime.start, lambda: runtime.threads(1).__enter__()):
        with pytest.raises(ValueError, match=f"DISTILL_THREADS must be a whole number from 1 on, and it is '{wrong}'"):
            call()


@pytest.mark.parametrize("wrong", ["x", "1.0", "-1", "2147483648"])
def test_a_wrong_seed_is_refused_in_one_sentence(monkeypatch, wrong):
    monkeypatch.setenv("DISTILL_SEED", wrong)
    for call in (runtime.seed, runtime.start):
        with pytest.raises(ValueError, match=f"DISTILL_SEED must be a whole number from 0 to .*'{wrong}'"):
            call()


def test_the_seed_is_the_variables_and_the_offset(monkeypatch):
    assert (runtime.seed(), runtime.seed(3)) == (0, 3)
    monkeypatch.setenv("DISTILL_SEED", "7")
    assert (runtime.seed(), runtime.seed(3)) == (7, 10)
    monkeypatch.setenv("DISTILL_SEED", "")
    assert runtime.seed() == 0


@pytest.mark.parametrize("wrong", ["yes", "2", "true"])
def test_a_wrong_progress_is_refused_in_one_sentence(monkeypatch, wrong):
    monkeypatch.setenv("DISTILL_PROGRESS", wrong)
    for call in (runtime.progress, runtime.start):
        with pytest.raises(ValueError, match=f"DISTILL_PROGRESS must be 1 .* or 0 .*'{wrong}'"):
            call()


@pytest.mark.parametrize("wrong", ["gpu", "CUDA", "cuda:x", "meta", "cpu:0", "cuda:-1", " cpu"])
def test_a_device_that_is_none_is_refused_in_one_sentence(monkeypatch, wrong):
    monkeypatch.setenv("DISTILL_DEVICE", wrong)
    with pytest.raises(ValueError, match=f"DISTILL_DEVICE must be cpu, cuda, cuda:N or mps, and it is '{wrong}'"):
        runtime.device()


def machine(monkeypatch, gpus=0, apple=False):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: apple)


@pytest.mark.parametrize("wanted, gpus", [("cuda", 0), ("cuda:1", 1), ("cuda:0", 0), ("mps", 2)])
def test_a_gpu_that_is_not_there_is_named(monkeypatch, wanted, gpus):
    machine(monkeypatch, gpus)
    monkeypatch.setenv("DISTILL_DEVICE", wanted)
    with pytest.raises(ValueError, match=f"asks for {wanted} but torch sees no such GPU: unset it"):
        runtime.device()


def test_the_device_is_picked_or_as_asked_for(monkeypatch):
    machine(monkeypatch, gpus=2, apple=True)
    assert runtime.device() == torch.device("cuda")
    for wanted in ("cpu", "cuda", "cuda:1", "mps"):
        monkeypatch.setenv("DISTILL_DEVICE", wanted)
        assert runtime.device() == torch.device(wanted)


def test_apples_gpu_is_used_only_where_asked_for_and_the_stamp_says_so(monkeypatch):
    machine(monkeypatch, apple=True)
    assert runtime.device().type == "cpu" and runtime.machine_stamp()["device"] == "cpu"
    monkeypatch.setenv("DISTILL_DEVICE", "mps")
    assert runtime.device().type == "mps" and runtime.machine_stamp()["device"] == "mps"
    assert runtime.bf16() is False


def test_the_cache_folder_is_found_from_home(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert runtime.cache_folder() == tmp_path / ".cache" / "distill_lessons"
    monkeypatch.setenv("DISTILL_CACHE", "~/elsewhere")
    assert runtime.cache_folder() == tmp_path / "elsewhere"


# --- why a model did not load ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name, offline, reason",
    [
        ("HuggingFaceTB/SmolLM2-135M", True, "HF_HUB_OFFLINE=1 forbids to fetch it: unset HF_HUB_OFFLINE"),
        ("HuggingFaceTB/SmolLM2-135M", False, "check its name on the Hugging Face hub, and the network"),
        ("/nowhere/model", True, "there is no such folder"),
        ("./model", False, "there is no such folder"),
        ("C:\\model", False, "there is no such folder"),
        ("a/b/c", True, "there is no such folder"),
        (".", True, "the folder is there, but no model"),
    ],
)
def test_the_reason_that_holds_is_the_one_that_is_told(monkeypatch, name, offline, reason):
    monkeypatch.setattr("huggingface_hub.is_offline_mode", lambda: offline)
    said = runtime.why_not_loaded(name, OSError("first line\n  second line"))
    assert reason in said and repr(name) in said and "first line second line" in said
    others = {"HF_HUB_OFFLINE", "network", "no such folder", "no model"}
    assert sum(other in said for other in others) == 1


# --- the stamp -------------------------------------------------------------------------------------------------------


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """A repository of one commit with a package and notes, as if the running package were its own."""

    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", "-C", str(tmp_path), *arguments]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
        return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()

    (tmp_path / "distill_lessons").mkdir()
    (tmp_path / "distill_lessons" / "losses.py").write_text("T = 1\n")
    (tmp_path / "notes.md").write_text("notes\n")
    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "one")
    monkeypatch.setattr(runtime, "REPOSITORY", tmp_path)
    return types.SimpleNamespace(folder=tmp_path, git=git, head=git("rev-parse", "HEAD"))


def commit():
    runtime.commit.cache_clear()
    try:
        return runtime.commit()
    finally:
        runtime.commit.cache_clear()


def test_the_stamp_has_the_commit(repository):
    runtime.commit.cache_clear()
    stamp = runtime.machine_stamp()
    runtime.commit.cache_clear()
    assert repository.head.startswith(stamp["commit"]) and len(stamp["commit"]) >= 10
    assert all(isinstance(value, str | int) for value in stamp.values())


def test_a_changed_package_marks_the_commit_and_other_files_do_not(repository):
    (repository.folder / "notes.md").write_text("other notes\n")
    (repository.folder / "scratch.py").write_text("")
    assert repository.head.startswith(commit())
    new = repository.folder / "distill_lessons" / "new.py"
    new.write_text("")
    assert commit() == repository.head[:10] + "+"
    new.unlink()
    (repository.folder / "distill_lessons" / "losses.py").write_text("T = 2\n")
    assert commit() == repository.head[:10] + "+"
    repository.git("commit", "-q", "-a", "-m", "two")
    assert commit() == repository.git("rev-parse", "HEAD")[:10]


def test_a_surrounding_git_command_does_not_mislead_the_stamp(repository, monkeypatch):
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("GIT_INDEX_FILE", "/nowhere/index")
    assert repository.head.startswith(commit())


def test_an_installed_package_in_somebody_elses_repository_has_no_commit(repository, monkeypatch):
    monkeypatch.setattr(runtime, "REPOSITORY", repository.folder / "distill_lessons")
    assert commit() == "unknown"


def test_without_git_the_commit_is_unknown(repository, monkeypatch):
    monkeypatch.setenv("PATH", str(repository.folder))
    assert commit() == "unknown"


# --- files -------------------------------------------------------------------------------------------------------------


def test_a_file_is_replaced_whole_or_left_as_it_was(tmp_path):
    path = tmp_path / "deep" / "file.txt"
    with runtime.replacing(path) as temporary:
        temporary.write_text("one")
    with pytest.raises(KeyError), runtime.replacing(path) as temporary:
        temporary.write_text("two")
        raise KeyError
    assert path.read_text() == "one" and list(path.parent.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_or_written_is_one_sentence(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OSError, match="could not write x.json .*set DISTILL_CACHE"),
        runtime.replacing(tmp_path / "file" / "x.json"),
    ):
        pass

    def full(**how):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(runtime.tempfile, "mkstemp", full)
    with pytest.raises(OSError, match="could not write x.json .No space left on device.*free some disk space"):
        with runtime.replacing(tmp_path / "x.json"):
            pass


def test_the_data_folder_is_missed_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "REPOSITORY", tmp_path)
    with pytest.raises(FileNotFoundError, match="clone the repository"):
        runtime.data_folder()


@pytest.mark.skipif(os.name == "nt", reason="Windows keeps no such modes")
def test_a_written_file_can_be_read_by_others(tmp_path):
    with runtime.replacing(tmp_path / "file.txt") as temporary:
        temporary.write_text("one")
    assert (tmp_path / "file.txt").stat().st_mode & 0o777 == 0o644  # a temporary file is its owner's alone
