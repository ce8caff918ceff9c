"""The engine beside others, on this machine, in one run: ``make bench`` or ``python -m distill_lessons.bench``.

Each measurement runs in a process of its own, so that its peak memory is its own. Ratios go to ``data/results/bench.json``.
TRL and Liger are needed (extra ``bench``). All trainers see the same eight examples a step, the same student of 16 layers
with its embedding frozen, and no gradient checkpointing.
"""

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from transformers import TrainerCallback

from distill_lessons import generation, head, losses, runtime, targets, training
from distill_lessons.experiments import study
from distill_lessons.pairs import smollm

BATCH, DEPTH, WARM, TIMED = 8, 16, 2, 4
VOCABULARY, TOKENS, WIDTH = 151_936, 2_048, 576
PUBLISHED = (114, 300)  # bytes a token of stored logits in published work, as the issue of this course gives them


def peak_memory():
    """Most memory that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


class Clock(TrainerCallback):
    """Seconds of every step, its data loading left out."""

    def __init__(self):
        self.seconds = []

    def on_step_begin(self, args, state, control, **rest):
        self.began = time.perf_counter()

    def on_step_end(self, args, state, control, **rest):
        self.seconds.append(time.perf_counter() - self.began)


# --- training steps --------------------------------------------------------------------------------------------------


def trainer_of(name):
    """A trainer by name: "stored", "text" or "trl", with "fp32" behind it for float32; its clock, and its rows."""
    kind, _, precision = name.partition(" ")
    bf16 = runtime.bf16() and precision != "fp32"
    teacher, tokenizer, stored = study.material()
    student = smollm.student(teacher, DEPTH)
    student.get_input_embeddings().requires_grad_(False)
    steps, clock = WARM + TIMED, Clock()
    rows = stored.select(study.chosen(0, steps * BATCH))
    collate = targets.Collator(tokenizer.pad_token_id)
    settings = training.settings(steps, BATCH, 7e-4, logging_strategy="no", bf16=bf16, disable_tqdm=True)
    if kind == "trl":
        from trl.experimental.gkd import GKDConfig, GKDTrainer

        arguments = {key: value for key, value in settings.to_dict().items() if key in _shared_settings()}
        config = GKDConfig(
            **arguments, lmbda=0.0, beta=0.0, temperature=1.0, bf16=bf16, gradient_checkpointing=False, max_length=512
        )

        def chat(rows):  # the names that GKDTrainer asks for; with lmbda=0 it does not look at the prompts
            batch = collate(rows)
            return {name: batch[name] for name in ("input_ids", "attention_mask", "labels")}

        trainer = GKDTrainer(
            model=student, teacher_model=teacher, args=config, data_collator=chat, train_dataset=rows,
            processing_class=tokenizer, callbacks=[clock],
        )  # fmt: skip
    else:
        how = {"targets": "sampled"} if kind == "stored" else {"alpha": 0.0}
        trainer = training.DistillationTrainer(
            model=student, args=settings, data_collator=collate, train_dataset=rows, callbacks=[clock], **how
        )
    return trainer, clock, rows, collate


def _shared_settings():
    return (
        "output_dir", "max_steps", "per_device_train_batch_size", "learning_rate", "lr_scheduler_type", "warmup_steps",
        "weight_decay", "adam_beta2", "max_grad_norm", "seed", "train_sampling_strategy", "remove_unused_columns",
        "logging_strategy", "save_strategy", "report_to", "disable_tqdm", "use_cpu",
    )  # fmt: skip


def step(name):
    """Median seconds of a step, response tokens a second, peak memory, and the floating-point operations that it needs."""
    trainer, clock, rows, collate = trainer_of(name)
    trainer.train()
    seconds = statistics.median(clock.seconds[WARM:])
    shapes = [collate(rows.select(range(i * BATCH, (i + 1) * BATCH)))["labels"] for i in range(WARM, WARM + TIMED)]
    responses = statistics.mean((labels != losses.IGNORE).sum().item() for labels in shapes)
    return {
        "seconds": seconds,
        "tokens per second": responses / seconds,
        "peak memory": peak_memory(),
        "operations": operations(trainer.model, shapes, responses),
    }


def operations(student, shapes, responses):
    """Floating-point operations of one training step on average: layers on all positions, padding included, three times
    the forward pass; the frozen head on response positions, forward and back to the states.
    """
    config = student.config
    layers = sum(weight.numel() for weight in student.model.layers.parameters())
    total = 0.0
    for labels in shapes:
        rows, length = labels.shape
        attention = 4 * rows * length**2 * config.hidden_size * config.num_hidden_layers
        total += 3 * (2 * layers * rows * length + attention)
    return total / len(shapes) + 4 * responses * student.get_output_embeddings().weight.numel()


def matmul(dtype):
    """Floating-point operations a second of square matrix products: the best of several sizes."""
    best = 0.0
    for size in (512, 1024, 2048):
        one, other = (torch.randn(size, size, device=runtime.device()).to(dtype) for _ in range(2))
        one @ other
        times = []
        for _ in range(8):
            began = time.perf_counter()
            one @ other
            times.append(time.perf_counter() - began)
        best = max(best, 2 * size**3 / min(times))
    return best


# --- the loss alone --------------------------------------------------------------------------------------------------


def loss_alone(name, vocabulary=VOCABULARY, tokens=TOKENS, width=WIDTH, out=None):
    """Seconds and extra memory of forward KL from hidden states to the gradients of states and head, in float32.

    The teacher's states and head are given too; extra memory is what the process's peak rises by.
    """
    torch.manual_seed(0)
    h, h_teacher = torch.randn(2, tokens, width)
    w, w_teacher = 0.05 * torch.randn(2, vocabulary, width)
    h.requires_grad_()
    layer = torch.nn.Linear(width, vocabulary, bias=False)
    layer.weight = torch.nn.Parameter(w)
    loss = {"ours": _ours, "trl": _trl, "liger": _liger}[name]
    before, times = peak_memory(), []
    for _ in range(2):
        h.grad = layer.weight.grad = None
        began = time.perf_counter()
        loss(h, layer, h_teacher, w_teacher).backward()
        times.append(time.perf_counter() - began)
    if out:
        torch.save({"h": h.grad, "w": layer.weight.grad[:4096].clone()}, out)
    return {"seconds": min(times), "extra memory": peak_memory() - before}


def _ours(h, layer, h_teacher, w_teacher):
    def loss(logits, part):
        return len(logits) * losses.forward_kl(logits, h_teacher[part] @ w_teacher.T)

    return head.chunked_loss(h, layer, loss) / len(h)


def _trl(h, layer, h_teacher, w_teacher):
    from trl.experimental.gkd import GKDTrainer

    with torch.no_grad():
        z_teacher = h_teacher @ w_teacher.T
    return GKDTrainer.generalized_jsd_loss(layer(h)[None], z_teacher[None], beta=0.0, num_items_in_batch=len(h))


def _liger(h, layer, h_teacher, w_teacher):
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    loss = LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0.0, compiled=False, chunk_size=256)
    labels = torch.zeros(len(h), dtype=torch.long)
    return loss(h, layer.weight, h_teacher, w_teacher, labels)


# --- generation ------------------------------------------------------------------------------------------------------


def generate(batch_size):
    """Tokens a second of the teacher, 32 new ones a prompt."""
    teacher, tokenizer, _ = study.material()
    prompts = [row["prompt"] for row in smollm.corpus("test")[: batch_size if batch_size > 1 else 3]]
    how = {"max_new_tokens": 32, "min_new_tokens": 32, "batch_size": batch_size}
    generation.generate(teacher, tokenizer, prompts[:1], max_new_tokens=2)
    began = time.perf_counter()
    generation.generate(teacher, tokenizer, prompts, **how)
    return {"tokens per second": 32 * len(prompts) / (time.perf_counter() - began)}


# --- all together ----------------------------------------------------------------------------------------------------

ONE = {
    **{f"step {name}": lambda name=name: step(name) for name in ("stored", "stored fp32", "text", "trl", "trl fp32")},
    "matmul": lambda: {"bf16": matmul(torch.bfloat16), "fp32": matmul(torch.float32)},
    "generate 1": lambda: generate(1),
    "generate 64": lambda: generate(64),
}


def alone(name, folder):
    """One measurement in a process of its own."""
    command = [sys.executable, "-m", "distill_lessons.bench", "--only", name, "--folder", str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{name} failed: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def row(name, ratio, sign, bound, detail):
    """One line of the table: `sign` is ">=" or "<=", what the ratio should be against `bound`."""
    holds = ratio >= bound if sign == ">=" else ratio <= bound
    return {
        "name": name,
        "ratio": round(ratio, 3),
        "target": f"{sign} {bound:g}",
        "holds": bool(holds),
        "detail": detail,
    }


def table(found, difference, per_token):
    """The rows from the measurements; `difference` is the largest of gradients, relative to the largest gradient."""
    stored, text = found["step stored"], found["step text"]
    trl = min((found["step trl"], found["step trl fp32"]), key=lambda each: each["seconds"])
    precision = "bf16" if runtime.bf16() else "fp32"
    speed = stored["operations"] / stored["seconds"]
    ours, theirs, liger = (found[f"loss {name}"] for name in ("ours", "trl", "liger"))
    return [
        row("training tokens a second, stored targets ÷ TRL GKDTrainer", trl["seconds"] / stored["seconds"], ">=", 4,
            f"{stored['seconds']:.2f} s a step (fp32 {found['step stored fp32']['seconds']:.2f}) against "
            f"{found['step trl']['seconds']:.2f} in {precision} and {found['step trl fp32']['seconds']:.2f} in fp32"),
        row("peak memory of the process, stored targets ÷ TRL GKDTrainer", stored["peak memory"] / trl["peak memory"],
            "<=", 0.6, f"{stored['peak memory'] / 1e9:.2f} GB against {trl['peak memory'] / 1e9:.2f}"),
        row("a step with stored targets ÷ a cross-entropy step", stored["seconds"] / text["seconds"], "<=", 1.05,
            f"{stored['seconds']:.2f} s against {text['seconds']:.2f}"),
        row("loss alone, extra memory ÷ TRL generalized_jsd_loss", ours["extra memory"] / theirs["extra memory"],
            "<=", 0.25, f"{ours['extra memory'] / 1e9:.2f} GB against {theirs['extra memory'] / 1e9:.2f}"),
        row("loss alone, time ÷ TRL generalized_jsd_loss", ours["seconds"] / theirs["seconds"], "<=", 1.0,
            f"{ours['seconds']:.1f} s against {theirs['seconds']:.1f}"),
        row("loss alone, largest gradient difference to TRL ÷ largest gradient", difference, "<=", 1e-5, "states and head"),
        row("loss alone, extra memory ÷ Liger chunked JSD", ours["extra memory"] / liger["extra memory"], "<=", 1.0,
            f"{ours['extra memory'] / 1e9:.2f} GB against {liger['extra memory'] / 1e9:.2f}"),
        row("loss alone, time ÷ Liger chunked JSD", ours["seconds"] / liger["seconds"], "<=", 1.0,
            f"{ours['seconds']:.1f} s against {liger['seconds']:.1f}; not compiled"),
        row(f"training FLOP/s ÷ matrix product peak, {precision}", speed / found["matmul"][precision], ">=", 0.65,
            f"{speed / 1e9:.0f} GFLOP/s against {found['matmul'][precision] / 1e9:.0f}"),
        row("generation, 64 prompts in a batch ÷ one at a time",
            found["generate 64"]["tokens per second"] / found["generate 1"]["tokens per second"], ">=", 8,
            f"{found['generate 64']['tokens per second']:.0f} tokens/s against "
            f"{found['generate 1']['tokens per second']:.0f}"),
        row("bytes a token of stored targets ÷ the smallest published", per_token / PUBLISHED[0], "<=", 1.0,
            f"{per_token:.1f} against {PUBLISHED[0]} to {PUBLISHED[1]}"),
    ]  # fmt: skip


def profile(name="stored", count=12):
    """Where a training step's time goes: [(operator, share of self time)], largest first."""
    trainer, clock, _, _ = trainer_of(name)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as found:
        trainer.train()
    events = sorted(found.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return [(event.key, event.self_cpu_time_total / total) for event in events[:count]]


def main():
    parser = argparse.ArgumentParser(prog="python -m distill_lessons.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", help="one measurement, printed as JSON")
    parser.add_argument("--folder", type=Path, help="for gradients to compare")
    parser.add_argument("--profile", metavar="NAME", help="operators of a training step: stored, text or trl")
    options = parser.parse_args()
    os.environ["TRL_EXPERIMENTAL_SILENCE"] = "1"
    runtime.start()
    if options.profile:
        for operator, share in profile(options.profile):
            print(f"{share:6.1%}  {operator}")
        return
    if options.only:
        kind, _, name = options.only.partition(" ")
        found = loss_alone(name, out=options.folder / f"{name}.pt") if kind == "loss" else ONE[options.only]()
        print(json.dumps(found))
        return
    run()


def run():
    """All measurements, the table printed and written."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in (*ONE, "loss ours", "loss trl", "loss liger"):
            found[name] = alone(name, folder)
            print(f"{name}: {json.dumps(found[name])}", file=sys.stderr, flush=True)
        gradients = [torch.load(Path(folder) / f"{name}.pt", weights_only=True) for name in ("ours", "trl")]
    difference = max(
        ((gradients[0][key] - gradients[1][key]).abs().max() / gradients[1][key].abs().max()).item()
        for key in ("h", "w")
    )
    rows = table(found, difference, targets.bytes_per_token(smollm.corpus_folder() / "targets"))
    if not all(each["holds"] for each in rows):
        where = ", ".join(f"{operator} {share:.0%}" for operator, share in profile(count=6))
        for each in rows:
            if not each["holds"]:
                each["profile"] = where
    machine = runtime.machine_stamp()
    with runtime.replacing(runtime.data_folder() / "results" / "bench.json") as temporary:
        temporary.write_text(
            json.dumps([each | {"machine": machine} for each in rows], indent=1, ensure_ascii=False) + "\n"
        )
    for each in rows:
        print(
            f"{'holds' if each['holds'] else 'does not':9} {each['ratio']:8.3f} {each['target']:8} {each['name']} ({each['detail']})"
        )


if __name__ == "__main__":
    main()
