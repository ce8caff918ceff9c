"""Bad days: what goes wrong in a long run is refused or survived, with one clear sentence and nothing lost."""

import ast
import json
import math
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import time
import types
from contextlib import contextmanager
from pathlib import Path

import datasets
import nbformat
import pytest
import torch
from nbclient import NotebookClient
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from test_features import narrow
from test_pairs import small_llama
from test_targets import store as store_targets
from test_train import config, teacher_folder  # noqa: F401
from test_training import STORED, collate, examples, make_trainer, stored, train
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel, TrainerCallback

from distill_lessons import losses, runtime, training
from distill_lessons.models import response_logits
from distill_lessons.pairs import smollm
from distill_lessons.teacher import generation, targets
from distill_lessons.training import features
from distill_lessons.training import run as command
from distill_lessons.training.trainer import same_tokenizer

SILENT = {"input_ids": [3, 4, 5], "labels": [-100] * 3}


def logged(trainer):
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]


# --- examples longer than a context ------------------------------------------------------------------------------------


def long(tokens, **more):
    return {"input_ids": [3] * tokens, "labels": [-100] + [3] * (tokens - 1)} | more


@pytest.mark.parametrize("kind", ["list", "dataset", "iterable"])
def test_an_example_longer_than_the_students_context_is_named_with_both_lengths(tmp_path, kind):
    rows = examples(8) + [long(65, id="a long one"), long(64, id="just right")]
    rows = [{"id": str(number)} | row for number, row in enumerate(rows)]
    sentence = "example 'a long one' has 65 tokens and the student reads 64: cut it"
    if kind == "dataset":
        rows = datasets.Dataset.from_list(rows).select(range(1, 10))
    if kind == "iterable":  # known only when its batch comes
        rows = datasets.Dataset.from_list(rows).to_iterable_dataset()
        sentence = "row 0 of a batch at step 2 has 65 tokens and the student reads 64"
    trainer = make_trainer(tmp_path, rows=rows, student=narrow())
    with pytest.raises(ValueError, match=sentence):
        trainer.train()
    assert trainer.state.global_step == (2 if kind == "iterable" else 0)


def test_the_teachers_context_counts_where_the_teacher_runs(tmp_path):
    teacher = small_llama()
    teacher.config.max_position_embeddings = 20
    rows = [long(21)] + examples(11)
    with pytest.raises(ValueError, match="example 0 of the data set has 21 tokens and the teacher reads 20"):
        make_trainer(tmp_path, rows=rows, how={"teacher": teacher}).train()
    train(tmp_path, rows=rows, how={"teacher": teacher, "alpha": 0.0})


def test_a_collator_may_cut_what_is_too_long(tmp_path):
    cut = lambda rows: collate([{name: row[name][:64] for name in ("input_ids", "labels")} for row in rows])  # noqa: E731
    values, _, _ = train(tmp_path, rows=[long(70)] + examples(11), student=narrow(), how={"data_collator": cut})
    assert len(values) == 3


# --- nothing to learn from -----------------------------------------------------------------------------------------------


def test_a_row_without_response_tokens_counts_for_nothing(tmp_path):
    with_it, one, _ = train(tmp_path, steps=1, batch_size=5, rows=[SILENT] + examples(4))
    without, other, _ = train(tmp_path, steps=1, batch_size=4, rows=examples(4))
    assert with_it == pytest.approx(without, abs=1e-5)
    for a, b in zip(one.parameters(), other.parameters()):
        torch.testing.assert_close(a, b, atol=2e-5, rtol=1e-3)


@pytest.mark.parametrize("kind", ["list", "dataset"])
def test_a_data_set_without_any_response_token_is_refused(tmp_path, kind):
    rows = [SILENT] * 12 if kind == "list" else datasets.Dataset.from_list([SILENT] * 12)
    trainer = make_trainer(tmp_path, rows=rows)
    with pytest.raises(ValueError, match="no example has a response token to learn from"):
        trainer.train()
    assert (trainer.state.global_step == 0) == (kind == "list")


def test_a_finished_run_that_is_started_again_is_no_error(tmp_path):
    train(tmp_path, save_strategy="steps", save_steps=3)
    trainer = make_trainer(tmp_path)
    trainer.train(resume_from_checkpoint=training.last_checkpoint(tmp_path))
    assert trainer.state.global_step == 3


# --- another tokenizer -----------------------------------------------------------------------------------------------------


def test_a_student_with_another_tokenizer_is_refused(teacher_folder):  # noqa: F811
    student = teacher_folder / "student"
    model = AutoModelForCausalLM.from_pretrained(teacher_folder / "teacher")
    model.save_pretrained(student)
    tokenizer = smollm.tokenizer()
    path = config(teacher_folder, student=str(student), max_steps=1)
    command.train(*command.read([path]))  # no tokenizer of its own
    tokenizer.save_pretrained(student)
    same_tokenizer(str(student), str(teacher_folder / "teacher"))
    tokenizer.add_tokens(["<|quite new|>"])
    tokenizer.save_pretrained(student)
    with pytest.raises(ValueError, match=r"tokenizer of 49153 tokens that is not the teacher's of 49152"):
        command.train(*command.read([path]))


def test_the_librarys_stand_in_for_a_missing_tokenizer_is_not_taken_for_one(tmp_path):
    GPT2LMHeadModel(GPT2Config(n_embd=8, n_head=2, n_layer=1, vocab_size=50)).save_pretrained(tmp_path)
    smollm.tokenizer().save_pretrained(tmp_path / "other")
    same_tokenizer(str(tmp_path), str(tmp_path / "other"))


# --- -inf logits -----------------------------------------------------------------------------------------------------------


def with_bias(model, banned):
    """The model with an output bias that bans tokens."""
    head = model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(head.weight.shape[0]))
    head.bias.data[banned] = -math.inf
    return model


@pytest.mark.parametrize(("beta", "temperature"), [(0.0, 1.0), (0.0, 2.0), (0.5, 1.0)])
def test_tokens_that_the_teacher_bans_give_finite_losses_and_gradients(tmp_path, beta, temperature):
    teacher = with_bias(small_llama(), slice(290, 300))  # as a padded vocabulary
    rows = [row for row in examples(40) if max(row["input_ids"]) < 290][:12]
    how = {"teacher": teacher, "alpha": 1.0, "beta": beta, "temperature": temperature}
    values, student, _ = train(tmp_path, rows=rows, how=how)
    assert all(math.isfinite(value) for value in values)
    assert all(weight.isfinite().all() for weight in student.parameters())
    batch = collate(rows[:4])
    with torch.no_grad():
        both = [response_logits(m.cpu().eval(), batch)[0] for m in (smollm.student(small_llama(), 4), teacher)]
    expected = losses.generalized_jsd(*both, beta, temperature=temperature)
    assert values[0] == pytest.approx(temperature**2 * expected.item(), abs=2e-3)


def test_a_token_that_both_ban_gives_finite_losses_and_gradients(tmp_path):
    rows = [row for row in examples(40) if max(row["input_ids"]) < 290][:12]
    models = [with_bias(model, slice(290, 300)) for model in (small_llama(), smollm.student(small_llama(), 4))]
    values, student, _ = train(tmp_path, rows=rows, student=models[1], how={"teacher": models[0]})
    assert all(math.isfinite(value) for value in values)
    assert not any(weight.isnan().any() for weight in student.parameters())
    assert student.get_output_embeddings().bias[290:].isneginf().all()


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_token_that_only_the_student_bans_stops_the_run_with_the_reason(tmp_path, alpha):
    rows = examples(12)
    student = with_bias(smollm.student(small_llama(), 4), [rows[0]["input_ids"][-1]])
    trainer = make_trainer(tmp_path, rows=rows, student=student, how={"alpha": alpha, "temperature": 1.0})
    with pytest.raises(ValueError, match="the loss became inf at step 0.*a token that the student bans"):
        trainer.train()


def test_stored_targets_of_banned_tokens():
    logits = torch.randn(2, 6)
    logits[:, 0] = -math.inf  # padding of the targets names token 0
    ids, weights = torch.tensor([[2, 3], [4, 0]]), torch.tensor([[0.5, 0.5], [1.0, 0.0]])
    logits.requires_grad_()
    for value in (losses.sampled_kl(logits, ids, weights, torch.zeros(2)), losses.top_k_kl(logits, ids, weights * 0.9)):
        (slope,) = torch.autograd.grad(value, logits)
        assert value.isfinite() and slope.isfinite().all()
    for renormalise in (False, True):
        assert losses.top_k_kl(logits, ids.flip(0), weights.flip(1) * 0.9, renormalise=renormalise) == math.inf
    assert losses.sampled_kl(logits, ids, weights.flip(1), torch.zeros(2)) == math.inf


# --- dtypes ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mix", ["bf16 teacher", "bf16 autocast", "both", "bf16 student"])
def test_dtypes_may_be_mixed(tmp_path, mix):
    exact, _, _ = train(tmp_path)
    how = {"teacher": small_llama().to(torch.bfloat16)} if mix in ("bf16 teacher", "both") else {}
    student = smollm.student(small_llama(), 4)
    student = student.to(torch.bfloat16) if mix == "bf16 student" else student
    values, student, _ = train(tmp_path, how=how, student=student, bf16=mix in ("bf16 autocast", "both"))
    assert values == pytest.approx(exact, rel=0.02)
    assert {weight.dtype for weight in student.parameters()} == {torch.float32}


@pytest.mark.parametrize("kind", targets.KINDS)
def test_stored_targets_in_half_precision(tmp_path, kind):
    rows = stored(tmp_path / "targets", kind=kind)
    ends = []
    for dtype in (torch.float32, torch.float16):

        def halved(rows, dtype=dtype):
            batch = targets.Collator(2)(rows)
            return batch | {name: batch[name].to(dtype) for name in ("target_weights", "target_entropy")}

        ends.append(train(tmp_path, rows=rows, how=STORED | {"targets": kind, "data_collator": halved})[0])
    assert ends[1] == pytest.approx(ends[0], rel=5e-3, abs=5e-3)


# --- a kill at any moment --------------------------------------------------------------------------------------------------

linux = pytest.mark.skipif(sys.platform != "linux", reason="forks, or shards on the CPU, as Linux does")
PROMPTS = [{"id": str(number), "prompt": "word " * (number % 4 + 1)} for number in range(12)]


def store_once(folder):
    store_targets(folder / "targets", shard_rows=2, batch_size=2)


def respond_once(folder):
    runtime.machine_stamp = lambda: {"machine": "always this one"}
    answer = lambda prompts, seed: [(f"{prompt} {seed}", True) for prompt in prompts]  # noqa: E731
    answer.about = {"teacher": "echo"}
    generation.respond(folder / "out.parquet", answer, PROMPTS, batch_size=2)


def killed(work, folder, seconds=None, file=None):
    """Do the work in a process of its own that is killed after some time, or at its n-th file; True if it was."""

    def child():
        torch.set_num_threads(1)
        real, count = runtime.replacing, [0]

        @contextmanager
        def replacing(path):
            count[0] += 1
            with real(path) as temporary:
                yield temporary
                if file == (count[0], "half written"):
                    os.truncate(temporary, temporary.stat().st_size // 2)
                    os.kill(os.getpid(), signal.SIGKILL)
            if file == (count[0], "written"):
                os.kill(os.getpid(), signal.SIGKILL)

        runtime.replacing = replacing
        work(folder)
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    if seconds is not None:
        time.sleep(seconds)
        process.kill()
    process.join(120)
    assert process.exitcode in (0, -signal.SIGKILL)
    return process.exitcode != 0


def contents(folder):
    hidden = lambda path: any(part.startswith(".") for part in path.relative_to(folder).parts)  # noqa: E731
    files = [path for path in folder.rglob("*") if path.is_file() and not hidden(path)]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@linux
@pytest.mark.parametrize("work", [store_once, respond_once])
def test_killed_at_random_moments_it_ends_with_the_same_bytes(tmp_path, work):
    began = time.perf_counter()
    assert not killed(work, tmp_path / "whole")
    whole = time.perf_counter() - began
    moments, kills = random.Random(0), 0
    for attempt in range(4):
        folder = tmp_path / str(attempt)
        seconds = 0.0  # surely too early, so that there is a kill even where the first, cold run took longest
        while killed(work, folder, seconds=seconds):
            kills, seconds = kills + 1, moments.uniform(0, 1.2 * whole)
        assert contents(folder) == contents(tmp_path / "whole")
    assert kills


@linux
@pytest.mark.parametrize("work", [store_once, respond_once])
@pytest.mark.parametrize("state", ["half written", "written"])
def test_killed_at_every_file_it_ends_with_the_same_bytes(tmp_path, work, state):
    assert not killed(work, tmp_path / "whole")
    expected, number, kills = contents(tmp_path / "whole"), 1, 0
    while killed(work, tmp_path / "cut", file=(number, state)):
        kills, number = kills + 1, 1 + number % 3  # at the first, second and third file of its call
        assert kills < 30
    killed(work, tmp_path / "cut")
    assert kills > 3 and contents(tmp_path / "cut") == expected
    assert not list((tmp_path / "cut" / "targets").glob(".*"))


# --- a full disk, a cut checkpoint, a diverged run ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "error",
    [
        OSError(28, "No space left on device"),
        RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 576 vs 534"),
        SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)"),
        KeyboardInterrupt(),  # as a kill, it leaves the half checkpoint
    ],
)
def test_a_full_disk_or_a_kill_leaves_the_earlier_checkpoint_to_go_on_from(tmp_path, monkeypatch, error):
    whole = make_trainer(tmp_path / "whole", steps=6, rows=examples(24))
    whole.train()
    options = {"steps": 6, "rows": examples(24), "save_strategy": "steps", "save_steps": 2}
    trainer, real = make_trainer(tmp_path / "cut", **options), training.DistillationTrainer._save_rng_state

    def full(self, folder):
        if folder.endswith("-4"):
            (Path(folder) / "optimizer.pt").write_bytes(b"half")
            raise error
        real(self, folder)

    monkeypatch.setattr(training.DistillationTrainer, "_save_rng_state", full)
    sentence = r"could not save checkpoint-4 \(.*\); earlier checkpoints are .* free some disk"
    kill = isinstance(error, KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt if kill else OSError, match=None if kill else sentence):
        trainer.train()
    left = sorted(path.name for path in (tmp_path / "cut").iterdir())
    assert left == ["checkpoint-2", "checkpoint-4"][: 1 + kill]
    monkeypatch.undo()
    again = make_trainer(tmp_path / "cut", **options)
    again.train(resume_from_checkpoint=training.last_checkpoint(tmp_path / "cut"))
    assert logged(again) == logged(whole)
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), whole.model.parameters()))


def test_an_error_that_is_none_of_the_disk_stays_what_it_is(tmp_path, monkeypatch):
    def broken(self, folder):
        raise RuntimeError("something else")

    monkeypatch.setattr(training.DistillationTrainer, "_save_rng_state", broken)
    with pytest.raises(RuntimeError, match="something else"):
        make_trainer(tmp_path, save_strategy="steps", save_steps=2).train()


def test_a_checkpoint_that_a_kill_cut_short_is_passed_over(tmp_path):
    assert training.last_checkpoint(tmp_path / "nothing") is None
    train(tmp_path, save_strategy="steps", save_steps=1)
    assert training.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-3")
    state = tmp_path / "checkpoint-3" / "trainer_state.json"
    state.write_text(state.read_text()[:-20])
    (tmp_path / "checkpoint-2" / "trainer_state.json").unlink()
    (tmp_path / "checkpoint-old").mkdir()
    assert training.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-1")


def test_a_full_disk_at_the_end_of_a_run_is_a_sentence_too(teacher_folder, monkeypatch, capsys):  # noqa: F811
    def full(self, teacher_folder):
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(training.DistillationTrainer, "save_model", full)
    monkeypatch.setattr(sys, "argv", ["train", config(teacher_folder, max_steps=1, save_strategy="no")])
    with pytest.raises(SystemExit, match="train: could not save the student .*checkpoints are as they were"):
        command.main()


class Spoil(TrainerCallback):
    """Makes the student's weights what a diverged run leaves."""

    def on_step_end(self, args, state, control, model=None, **rest):
        if state.global_step == 2:
            next(model.parameters()).data[:] = math.nan


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_diverged_run_stops_and_names_step_and_learning_rate(tmp_path, alpha):
    trainer = make_trainer(
        tmp_path, steps=6, rows=examples(24), how={"alpha": alpha}, save_strategy="steps", save_steps=1
    )
    trainer.add_callback(Spoil())
    with pytest.raises(ValueError, match="at step 2, with learning rate 0.004: lower learning_rate, now 0.01"):
        trainer.train()
    assert trainer.state.global_step == 2


# --- a progress bar ----------------------------------------------------------------------------------------------------------


def test_progress_is_shown_in_a_terminal_and_where_it_is_asked_for(monkeypatch):
    monkeypatch.delenv("DISTILL_PROGRESS", raising=False)
    for terminal in (True, False):
        monkeypatch.setattr(sys, "stderr", types.SimpleNamespace(isatty=lambda terminal=terminal: terminal))
        assert runtime.progress() is terminal
        for wanted in ("0", "1"):
            monkeypatch.setenv("DISTILL_PROGRESS", wanted)
            assert runtime.progress() is (wanted == "1")
        monkeypatch.delenv("DISTILL_PROGRESS")
    monkeypatch.setattr(sys, "stderr", None)
    assert runtime.progress() is False


@pytest.mark.parametrize("wanted", ["0", "1"])
def test_the_bar_is_one_line_with_the_loss(tmp_path, monkeypatch, capfd, wanted):
    monkeypatch.setenv("DISTILL_PROGRESS", wanted)
    values, _, _ = train(tmp_path)
    out, err = capfd.readouterr()
    assert out == "" and ("3/3" in err and "loss=" in err) == (wanted == "1")
    assert len(values) == 3 and err.count("\n") <= 1


def test_a_notebook_shows_the_bar_only_where_it_is_asked_for(tmp_path, monkeypatch):
    monkeypatch.delenv("DISTILL_PROGRESS", raising=False)
    code = f"""import os, sys
sys.path.insert(0, {str(runtime.REPOSITORY / "tests")!r})
from distill_lessons import runtime
runtime.start()
from test_training import train
values = train({str(tmp_path)!r})"""
    again = f"os.environ['DISTILL_PROGRESS'] = '1'\nvalues = train({str(tmp_path)!r})"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(text) for text in (code, again)])
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    quiet, shown = (cell.outputs for cell in notebook.cells)
    assert quiet == []
    shown = json.dumps([shown, notebook.metadata.get("widgets", {})])
    assert "loss=" in shown and "3/3" in shown


# --- several processes ---------------------------------------------------------------------------------------------------------

AS_ON_GPUS = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from accelerate.state import PartialState
from accelerate.utils import DistributedType
from distill_lessons import training
from distill_lessons.training import trainer as engine

plain = engine.one_gpu

def one_gpu(arguments):
    # accelerate applies FSDP on accelerators only, and on CPUs falls back to DDP without a word: call them accelerators.
    PartialState._shared_state["distributed_type"] = DistributedType.MULTI_GPU
    return plain(arguments)

engine.one_gpu = one_gpu
"""

TWO = """
from safetensors.torch import save_file
from test_bad_days import SILENT, logged
from test_training import examples, make_trainer
from torch.distributed.fsdp import FSDPModule
from torch.distributed.tensor import DTensor
from distill_lessons.training import features
from distill_lessons.models import response_logits
from distill_lessons.training.run import leave_group

def sharded(name, **options):
    torch.manual_seed(5)
    how = {{}}
    if name == "features":
        how["features"] = features.Matching(features.uniform_map(4, 6), 32, 32, "mse", project=True)
    trainer = make_trainer({folder!r} + "/" + name, steps=6, batch_size=2, rows=examples(22) + [SILENT] * 2, how=how,
                           fsdp=True, fsdp_config={{"version": 2}}, save_strategy="steps", save_steps=4)
    trainer.train(**options)
    assert isinstance(trainer.model, FSDPModule) and all(isinstance(w, DTensor) for w in trainer.model.parameters())
    weights = {{key: weight.full_tensor() for key, weight in trainer.model.named_parameters()}}
    return trainer, weights

for name in ("logits", "features"):
    trainer, weights = sharded(name)
    if trainer.is_world_process_zero():
        save_file(weights, {folder!r} + f"/{{name}}.safetensors", metadata={{"losses": repr(logged(trainer))}})
again, resumed = sharded("logits", resume_from_checkpoint={folder!r} + "/logits/checkpoint-4")
if trainer.is_world_process_zero():
    save_file(resumed, {folder!r} + "/resumed.safetensors")
leave_group()
"""


def run(*command):
    environment = os.environ | {"DISTILL_DEVICE": "cpu", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]


@linux
def test_two_processes_under_fsdp_train_like_one_and_resume(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_DEVICE", "cpu")
    script = (AS_ON_GPUS + TWO).format(tests=str(runtime.REPOSITORY / "tests"), folder=str(tmp_path))
    (tmp_path / "two.py").write_text(script)
    run("torch.distributed.run", "--nproc_per_node=2", "--standalone", str(tmp_path / "two.py"))
    for name in ("logits", "features"):
        torch.manual_seed(5)
        matching = features.Matching(features.uniform_map(4, 6), 32, 32, "mse", project=True)
        how = {"features": matching} if name == "features" else {}
        one = make_trainer(tmp_path / "one", steps=6, batch_size=4, rows=examples(22) + [SILENT] * 2, how=how)
        one.train()
        with safe_open(tmp_path / f"{name}.safetensors", "pt") as file:
            assert ast.literal_eval(file.metadata()["losses"]) == pytest.approx(logged(one), abs=1e-4)
        weights = load_file(tmp_path / f"{name}.safetensors")
        for key, weight in one.model.named_parameters():
            torch.testing.assert_close(weights[key], weight.detach().cpu(), atol=1e-4, rtol=0)
    uncut, resumed = (load_file(tmp_path / f"{name}.safetensors") for name in ("logits", "resumed"))
    for key in uncut:
        torch.testing.assert_close(resumed[key], uncut[key], atol=1e-6, rtol=0)


LEAVE = """
import sys
import torch
from distill_lessons.training.run import leave_group

torch.distributed.init_process_group("gloo")
model = torch.nn.parallel.DistributedDataParallel(torch.nn.Linear(4, 4))
sys.setswitchinterval(10)  # gloo's threads get Python only where it is left to them
for _ in range(50):
    torch.distributed.all_gather([torch.empty(4) for _ in range(4)], torch.ones(4))
leave_group()
"""


def test_a_run_that_is_done_is_not_aborted_by_what_it_gathered_last(tmp_path):
    (tmp_path / "leave.py").write_text(LEAVE)
    run("torch.distributed.run", "--nproc_per_node=4", "--standalone", str(tmp_path / "leave.py"))


@pytest.mark.parametrize("how", ["ddp", pytest.param("fsdp", marks=linux)])
def test_accelerate_launches_the_command_and_two_processes_make_the_same_student(teacher_folder, monkeypatch, how):  # noqa: F811
    monkeypatch.setenv("DISTILL_DEVICE", "cpu")
    # a gradient below Adam's epsilon is noise that Adam would blow up: most of 49,152 tokens are never seen here
    arguments = {"max_steps": 3, "learning_rate": 1e-2, "save_steps": 2, "adam_epsilon": 1e-3}
    whole = {"per_device_train_batch_size": 4, "output_dir": str(teacher_folder / "one")}
    one = command.train(*command.read([config(teacher_folder, alpha=0.5, **arguments | whole)]))
    path = config(teacher_folder, alpha=0.5, **arguments | {"per_device_train_batch_size": 2})
    # without --multi_gpu (or --use_fsdp) accelerate starts one process on a CPU, whatever --num_processes says
    launch = ["--num_processes=2", "--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no"]
    launch += ["--main_process_port=0"]
    if how == "fsdp":
        launch += ["--use_fsdp", "--fsdp_version=2", "--fsdp_auto_wrap_policy=TRANSFORMER_BASED_WRAP"]
        launch += ["--fsdp_state_dict_type=SHARDED_STATE_DICT", str(teacher_folder / "two.py")]
        script = AS_ON_GPUS.format(tests=str(runtime.REPOSITORY / "tests"))
        (teacher_folder / "two.py").write_text(script + "from distill_lessons.training.run import main\nmain()\n")
    else:
        launch += ["--multi_gpu", "-m", "distill_lessons", "train"]
    run("accelerate.commands.launch", *launch, path)
    shards = list((teacher_folder / "out" / "checkpoint-2").glob("pytorch_model_fsdp_0/*.distcp"))
    assert len(shards) == (2 if how == "fsdp" else 0)
    state = json.loads((teacher_folder / "out" / "trainer_state.json").read_text())
    two = [entry["loss"] for entry in state["log_history"] if "loss" in entry]
    assert two == pytest.approx(logged(one), abs=1e-4)
    student = AutoModelForCausalLM.from_pretrained(teacher_folder / "out")
    for a, b in zip(student.parameters(), one.model.parameters()):
        torch.testing.assert_close(a, b.cpu(), atol=1e-4, rtol=0)
