"""The benchmark's pieces on tiny sizes: rows and ratios, counted operations, every kind of measurement, other libraries."""

import copy
import json
import subprocess
import sys

import bench
import pytest
import torch
from helpers import peaked
from test_pairs import small_llama
from torch.utils.flop_counter import FlopCounterMode

from distill_lessons import losses
from distill_lessons.evaluation import speed
from distill_lessons.models import response_states
from distill_lessons.models.head import chunked_loss
from distill_lessons.pairs import smollm
from distill_lessons.teacher.text import collator


def measured():
    step = {
        "seconds": [1.0, 2.0],
        "tokens": [400, 800],
        "operations": [6e11, 12e11],
        "peak": 2e9,
        "parts": {"before the first step": 1e9, "activations": 1e9},
    }
    slow = step | {"seconds": [5.0, 10.0], "peak": 8e9}
    loss = {"seconds": 8.0, "extra": 1e9, "gradients": 4e8}
    return {
        "step stored": step,
        "step stored fp32": step,
        "step online": step | {"seconds": [2.0, 4.0], "peak": 3e9},
        "step text": step | {"seconds": [0.8, 1.6]},
        "step plain": step,
        "step trl": slow,
        "step trl fp32": slow | {"seconds": [4.5, 9.0], "peak": 4e9},
        "step trl checkpointed": slow | {"peak": 3e9},
        "step trl on-policy": slow | {"seconds": [5.0, 10.0], "peak": 6e9},
        "step trl on-policy fp32": slow | {"seconds": [4.0, 8.0], "peak": 5e9},
        "matmul": {"bf16": 1e12, "fp32": 1e12},
        "loss ours": loss,
        "loss ours given": loss,
        "loss trl": {"seconds": 9.0, "extra": 2e9, "gradients": 4e8},
        "loss trl given": {"seconds": 7.0, "extra": 10e9, "gradients": 4e8},
        "loss liger": {"seconds": 10.0, "extra": 2e9, "gradients": 4e8},
        "loss liger small": {"seconds": 16.0, "extra": 1e9, "gradients": 4e8},
        "generate": {"one": 20.0, "batch": 200.0},
        "bytes a token": 57.0,
        "difference trl": 2e-6,
    }


def rows(found, failed=None):
    return {row["name"]: row for row in bench.table(found, failed or {}, lambda name: f"profile of {name}")}


def only(table, *words):
    (found,) = [row for name, row in table.items() if all(word in name for word in words)]
    return found


def test_a_ratio_is_against_the_faster_of_trls_two_precisions():
    table = rows(measured())
    speed = only(table, "training tokens/s", "GKDTrainer")
    assert (speed["ratio"], speed["target"], speed["holds"]) == (4.5, ">= 4", True) and "why" not in speed
    memory = only(table, "peak memory", "GKDTrainer")
    assert (memory["ratio"], memory["holds"]) == (0.5, True)
    assert only(table, "generation, 64")["ratio"] == 10
    assert only(table, "bytes a token")["ratio"] == 0.5
    assert only(table, "logits given", "extra memory")["ratio"] == 0.1
    assert only(table, "loss alone: largest difference")["holds"]


def test_the_on_policy_trainer_has_rows_against_stored_targets_and_against_a_teacher_in_the_loop():
    table = rows(measured())
    stored = only(table, "training tokens/s", "stored targets", "DistillationTrainer")
    assert (stored["ratio"], stored["target"], stored["holds"]) == (4, ">= 4", True)
    assert stored["detail"].startswith("1.50 s a step in ") and "6.00 in fp32, 100 tokens/s" in stored["detail"]
    online = only(table, "training tokens/s", "teacher in the loop", "same tokens")
    assert (online["ratio"], online["target"], online["holds"]) == (2, ">= 1", True)
    assert only(table, "peak memory", "stored targets", "DistillationTrainer")["ratio"] == 0.4
    assert only(table, "peak memory", "teacher in the loop")["ratio"] == 0.6
    found = measured()
    del found["step online"]
    missing = only(rows(found, {"step online": "out of memory"}), "peak memory", "teacher in the loop")
    assert missing["ratio"] is None and missing["detail"] == "not measured: out of memory"


def test_a_ratio_that_is_not_reached_says_what_bounds_it():
    table = rows(measured())
    flops = only(table, "FLOP/s")
    assert (flops["ratio"], flops["holds"], flops["why"]) == (0.6, False, "profile of step stored")
    assert "600 GFLOP/s of 1000" in flops["detail"]
    slower = only(table, "cross-entropy")
    assert (slower["ratio"], slower["why"]) == (1.25, "profile of step stored; profile of step text")
    assert only(table, "loss alone: extra memory", "TRL")["why"] == "0.40 GB of it are the gradients themselves"
    found = measured()
    found["step stored"] = found["step stored"] | {"peak": 3e9}
    memory = only(rows(found), "peak memory", "GKDTrainer")
    assert not memory["holds"] and memory["why"].startswith("before the first step 1.00 GB")


def test_a_measurement_that_failed_gives_rows_without_numbers():
    found = measured()
    del found["loss liger"]
    table = rows(found, {"loss liger": "no compiler"})
    for row in (only(table, "extra memory", "Liger's"), only(table, "time", "Liger's")):
        assert row["ratio"] is None and row["holds"] is None and row["detail"] == "not measured: no compiler"
    assert sum(row["ratio"] is None for row in table.values()) == 2
    with pytest.raises(KeyError):  # a measurement that nobody made is a mistake here, and not a row
        rows(found)


@pytest.mark.parametrize(
    "ratio, sign, holds", [(1.0, "<=", True), (1.1, "<=", False), (1.1, ">=", True), (0.9, ">=", False)]
)
def test_a_row_holds_up_to_its_bound(ratio, sign, holds):
    row = bench.row("x", sign, 1.0, lambda: (ratio, ""), lambda: "why", {})
    assert row["holds"] is holds and ("why" in row) is not holds


def test_rounds_are_joined():
    one, other = measured()["step stored"], measured()["step trl"]
    assert bench.join(None, one) == one
    both = bench.join(one, other)
    assert both["seconds"] == [1.0, 2.0, 5.0, 10.0] and both["tokens"] == [400, 800] * 2 and both["peak"] == 8e9


def test_rows_are_written_with_the_machine_and_all_or_nothing(tmp_path):
    path = tmp_path / "bench.json"
    bench.write(list(rows(measured()).values()), path)
    for row in json.loads(path.read_text(encoding="utf-8")):
        assert {"name", "ratio", "target", "holds", "detail", "machine"} <= set(row)
        assert {"processor", "threads", "torch", "trl", "liger-kernel", "date"} <= set(row["machine"])
    before = path.read_bytes()
    with pytest.raises(TypeError):
        bench.write([{"ratio": object()}], path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]


def test_operations_are_those_that_a_training_step_makes():
    student = small_llama().train()
    student.get_input_embeddings().requires_grad_(False)
    lengths, prompt = [12, 12, 12], 5
    tokens = torch.randint(3, 300, (3, 12))
    labels = tokens.clone()
    labels[:, :prompt] = losses.IGNORE
    batch = {"input_ids": tokens, "attention_mask": torch.ones_like(tokens), "labels": labels}
    responses = 3 * (12 - prompt)

    def loss(states):
        return chunked_loss(
            states, student.get_output_embeddings(), lambda logits, part: logits.logsumexp(-1).sum(), rows=5
        )

    with FlopCounterMode(display=False) as counter:
        response_states(student, batch, loss).backward()
    counts = counter.get_flop_counts()["Global"]
    products = sum(count for operator, count in counts.items() if str(operator) in ("aten.mm", "aten.addmm"))
    attention = 12 * 3 * 12**2 * 32 * 6
    assert bench.operations(student, lengths, responses) - attention == products
    assert bench.operations(student, [12, 10, 8], responses) < bench.operations(student, lengths, responses)


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_is_the_process_s_own_and_can_be_forgotten():
    block = torch.ones(2**26)  # 256 MB
    held, peak = speed.memory()
    assert peak >= held >= block.nbytes
    told = "from distill_lessons.evaluation import speed; print(speed.memory()[1])"
    extra = torch.ones(2**28)  # 1 GB, more than the imports of a child
    child = int(subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True).stdout)
    assert child < extra.nbytes + block.nbytes
    del extra
    speed.forget_peak()
    held, peak = speed.memory()
    assert peak - held < 2**26


@pytest.mark.parametrize("other", ["trl", "liger", "trl given"])
def test_the_losses_of_other_libraries_have_our_gradient(tmp_path, other):
    pytest.importorskip("liger_kernel" if other == "liger" else "trl")
    name = "liger small" if other == "liger" else other  # the compiled one takes half a minute to compile
    for each in ("ours given" if "given" in other else "ours", name):
        found = bench.loss_alone(each, bench.TINY, gradients=tmp_path / each)
        assert found["seconds"] > 0 and found["gradients"] == 4 * 16 * (500 + 40)
    ours, theirs = sorted(tmp_path.iterdir(), key=lambda path: "ours" not in path.name)
    assert bench.difference(ours, theirs) <= 1e-5
    wrong = {key: value * 1.001 for key, value in torch.load(theirs, weights_only=True).items()}
    torch.save(wrong, tmp_path / "wrong")
    assert bench.difference(ours, tmp_path / "wrong") > 1e-4


@pytest.fixture
def on_cpu(monkeypatch):
    monkeypatch.setenv("DISTILL_DEVICE", "cpu")


@pytest.mark.parametrize("name", ["stored", "online", "text fp32", "plain", "trl", "trl checkpointed", "trl on-policy"])
def test_every_trainer_takes_the_same_steps(on_cpu, name):
    if name.startswith("trl"):
        pytest.importorskip("trl")
    found = bench.step(name, bench.TINY)
    assert len(found["seconds"]) == len(found["tokens"]) == len(found["operations"]) == bench.TINY.timed
    assert sum(found["parts"].values()) == found["peak"]


@pytest.mark.parametrize("name", ["trl", "trl on-policy"])
def test_trl_learns_what_our_trainer_learns_with_the_teacher_beside(on_cpu, monkeypatch, name):
    """On the same batches the losses agree, and the weights after training: same data, same loss, same schedule."""
    pytest.importorskip("trl")
    torch.manual_seed(0)
    size, teacher = bench.TINY, peaked(bench.teacher_of(bench.TINY))
    monkeypatch.setattr(bench, "teacher_of", lambda size: teacher)
    ours, theirs = (bench.trainer_of(f"{each} fp32", size)[0] for each in ("online", name))
    assert not theirs.args.gradient_checkpointing and not theirs.args.bf16
    start = copy.deepcopy(theirs.model.state_dict())
    assert all(torch.equal(value, ours.model.state_dict()[key]) for key, value in start.items())
    losses_of = [losses_of_steps(each) for each in (ours, theirs)]
    for each in (ours, theirs):
        each.train()
    assert len(losses_of[0]) == size.warm + size.timed and min(losses_of[0]) > 0.01
    assert losses_of[1] == pytest.approx(losses_of[0], rel=1e-4)
    moved = 0.0
    for key, value in theirs.model.state_dict().items():
        torch.testing.assert_close(ours.model.state_dict()[key], value, atol=2e-5, rtol=1e-4)
        moved = max(moved, (value - start[key]).abs().max().item())
    assert moved > 1e-4


def losses_of_steps(trainer):
    """A list to which every step of the trainer will add its loss."""
    found, compute = [], trainer.compute_loss

    def compute_loss(*arguments, **keywords):
        loss = compute(*arguments, **keywords)
        found.append(loss.item())
        return loss

    trainer.compute_loss = compute_loss
    return found


def test_stored_rows_and_plain_ones_are_the_same_tokens(on_cpu):
    stored, plain = bench.examples(bench.TINY)
    tokenizer = smollm.tokenizer()
    one = bench.targets.Collator(tokenizer.pad_token_id)([stored[0], stored[1]])
    other = collator(tokenizer)([plain[0], plain[1]])
    for name in ("input_ids", "attention_mask", "labels"):
        assert torch.equal(one[name], other[name])


def test_generation_matmul_and_profile_run(on_cpu):
    assert min(bench.generate(bench.TINY).values()) > 0
    assert all(value > 0 for value in bench.matmul(bench.TINY).values())
    shares = bench.profile("step stored", bench.TINY)
    assert len(shares) == 12 and 0 < sum(share for _, share in shares) <= 1
    assert shares == sorted(shares, key=lambda each: -each[1])


def test_generation_is_timed_in_one_batch_and_one_at_a_time(on_cpu, monkeypatch):
    calls = []
    monkeypatch.setattr(
        bench.generation,
        "generate",
        lambda model, tokenizer, prompts, max_new_tokens, **how: calls.append((len(prompts), how.get("batch_size"))),
    )
    found = bench.generate(bench.dataclasses.replace(bench.TINY, prompts=32))
    assert calls[1:] == [(32, 32), (2, 1)] and set(found) == {"batch", "one"}


def test_what_is_compared_takes_turns():
    compared = [f"step {name}" for name in bench.COMPARED]
    assert list(bench.ORDER[: bench.ROUNDS * len(compared)]) == compared * bench.ROUNDS and bench.ROUNDS > 1


def test_a_measurement_alone_is_after_its_imports():
    """A first use of TRL imports hundreds of modules; neither their time nor their memory is the loss's own."""
    pytest.importorskip("trl")
    found = bench.alone("--tiny", "--only", "loss trl")
    assert set(found) == {"seconds", "extra", "gradients"} and found["seconds"] < 0.1


def test_a_measurement_that_is_not_there_is_named():
    with pytest.raises(RuntimeError, match="step nothing failed: ValueError: there is no measurement 'step nothing'"):
        bench.alone("--tiny", "--only", "step nothing")


def test_a_whole_run_goes_on_after_a_failure(monkeypatch):
    found = measured()

    def alone(option, name, *rest):
        if option == "--profile":
            return [["aten::mm", 0.5], ["aten::copy_", 0.25]]
        if name == "loss trl":
            raise RuntimeError("out of memory")
        if name == "loss ours":
            assert rest[0] == "--tiny" and rest[1] == "--gradients"
        return found[name]

    monkeypatch.setattr(bench, "alone", alone)
    table = {row["name"]: row for row in bench.run(True, lambda line: None)}
    assert only(table, "FLOP/s")["why"] == "profile of step stored: aten::mm 50%, aten::copy_ 25%"
    assert only(table, "largest difference")["detail"] == "not measured: out of memory"
    assert only(table, "training tokens/s", "GKDTrainer")["holds"]
