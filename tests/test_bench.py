"""The benchmark's pieces on small shapes: rows and ratios, counted operations, and the losses of other libraries."""

import json

import pytest
import torch
from test_pairs import small_llama

from distill_lessons import bench


def measured():
    step = {"seconds": 1.0, "tokens per second": 400.0, "peak memory": 2e9, "operations": 6e11}
    slow = step | {"seconds": 5.0, "peak memory": 8e9}
    return {
        "step stored": step,
        "step stored fp32": step | {"seconds": 1.5},
        "step text": step | {"seconds": 0.98},
        "step trl": slow,
        "step trl fp32": slow | {"seconds": 4.5, "peak memory": 9e9},
        "matmul": {"bf16": 1e12, "fp32": 1e12},
        "generate 1": {"tokens per second": 20.0},
        "generate 64": {"tokens per second": 200.0},
        "loss ours": {"seconds": 8.0, "extra memory": 1e9},
        "loss trl": {"seconds": 9.0, "extra memory": 8e9},
        "loss liger": {"seconds": 10.0, "extra memory": 2e9},
    }


def test_ratios_are_against_the_faster_of_trls_two_precisions():
    rows = {row["name"]: row for row in bench.table(measured(), 2e-6, 50.0)}
    speed = next(row for name, row in rows.items() if name.startswith("training tokens"))
    assert (speed["ratio"], speed["target"], speed["holds"]) == (4.5, ">= 4", True)
    memory = next(row for name, row in rows.items() if name.startswith("peak memory"))
    assert memory["ratio"] == pytest.approx(2 / 9, abs=1e-3) and memory["holds"]
    flops = next(row for name, row in rows.items() if "FLOP" in name)
    assert flops["ratio"] == 0.6 and not flops["holds"]
    assert all({"name", "ratio", "target", "holds", "detail"} <= set(row) for row in rows.values())
    json.dumps(list(rows.values()))


@pytest.mark.parametrize(
    "ratio, sign, holds", [(1.0, "<=", True), (1.1, "<=", False), (1.1, ">=", True), (0.9, ">=", False)]
)
def test_a_row_holds_up_to_its_bound(ratio, sign, holds):
    assert bench.row("x", ratio, sign, 1.0, "")["holds"] is holds


def test_operations_grow_with_padding_and_responses():
    model = small_llama()
    labels = [torch.full((2, 10), -100)]
    layers = sum(weight.numel() for weight in model.model.layers.parameters())
    head = model.get_output_embeddings().weight.numel()
    attention = 4 * 2 * 10**2 * 32 * 6
    assert bench.operations(model, labels, 7) == 3 * (2 * layers * 20 + attention) + 4 * 7 * head
    assert bench.operations(model, [torch.full((2, 20), -100)], 7) > bench.operations(model, labels, 7)


@pytest.mark.parametrize("other", ["trl", "liger"])
def test_the_losses_of_other_libraries_have_our_gradient(tmp_path, other):
    pytest.importorskip({"trl": "trl", "liger": "liger_kernel"}[other])
    for name in ("ours", other):
        found = bench.loss_alone(name, vocabulary=500, tokens=40, width=16, out=tmp_path / name)
        assert found["seconds"] > 0 and found["extra memory"] >= 0
    ours, theirs = (torch.load(tmp_path / name, weights_only=True) for name in ("ours", other))
    for key in ("h", "w"):
        assert (ours[key] - theirs[key]).abs().max() <= 1e-5 * theirs[key].abs().max()


def test_a_failed_measurement_is_named(tmp_path):
    with pytest.raises(RuntimeError, match="step nothing failed"):
        bench.alone("step nothing", tmp_path)
