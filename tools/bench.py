"""The engine beside others, on this machine's CPU, in one run of minutes: ``make bench`` or ``python tools/bench.py``.

Each measurement runs in a process of its own, so that its peak memory is its own. Ratios go to ``data/results/bench.json``.
TRL and Liger are needed (extra ``bench``). All trainers see the same eight examples a step and train the same student of
16 layers, its embedding (which is its head too) frozen, without gradient checkpointing. A step's time is from the end of
the step before, so that collating a batch counts. TRL's on-policy trainer is handed the stored responses in place of what
its student would write: its update is measured, and no generation. ``--profile NAME`` shows where a measurement's time
goes; the table does it for rows that miss their target.
"""

import argparse
import dataclasses
import functools
import gc
import importlib.metadata
import json
import os
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from statistics import median

import datasets
import torch
import transformers

from distill_lessons import losses, runtime, training
from distill_lessons.evaluation import speed
from distill_lessons.models import head
from distill_lessons.pairs import smollm
from distill_lessons.teacher import generation, targets
from distill_lessons.teacher.text import collator

PUBLISHED = (114, 300)  # bytes a token of stored logits in published work, as the issue of this course gives them
ROUNDS = 2  # of the kinds of step that are compared with each other, in turn


@dataclasses.dataclass(frozen=True)
class Size:
    """How much is measured; `depth` is the student's layers, `vocabulary`, `tokens` and `width` are of the loss alone."""

    batch: int = 8
    depth: int = 16
    warm: int = 1
    timed: int = 3
    vocabulary: int = 151_936
    tokens: int = 2_048
    width: int = 576
    repeats: int = 1
    prompts: int = 64
    new_tokens: int = 32
    matrices: tuple = (512, 1024, 2048)
    tiny: bool = False


TINY = Size(2, 4, 1, 2, 500, 40, 16, 1, 4, 3, (64,), tiny=True)  # a random teacher: whether it runs, in seconds


# --- training steps --------------------------------------------------------------------------------------------------


class Clock(transformers.TrainerCallback):
    """Seconds of every step, from the end of the one before: with loading and collating its batch."""

    def on_train_begin(self, args, state, control, **rest):
        self.seconds, self.last = [], time.perf_counter()

    def on_step_end(self, args, state, control, **rest):
        now = time.perf_counter()
        self.seconds.append(now - self.last)
        self.last = now


def teacher_of(size):
    """The teacher, or a tiny random model with its vocabulary."""
    if not size.tiny:
        return smollm.teacher()
    config = transformers.LlamaConfig(
        vocab_size=len(smollm.tokenizer()), hidden_size=32, intermediate_size=64, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True,
    )  # fmt: skip
    return transformers.LlamaForCausalLM(config).eval().requires_grad_(False)


def examples(size):
    """The stored rows of all steps in one fixed random order, and the same as plain input_ids and labels."""
    stored = targets.load(smollm.corpus_folder() / "targets", smollm.tokenizer())
    count = size.batch * (size.warm + size.timed)
    order = torch.randperm(len(stored), generator=torch.Generator().manual_seed(0))[:count].tolist()
    rows = stored.select(order)
    plain = [
        {
            "input_ids": row["input_ids"],
            "labels": [losses.IGNORE] * row["prompt_length"] + row["input_ids"][row["prompt_length"] :],
        }
        for row in rows
    ]
    return rows, datasets.Dataset.from_list(plain)


def trainer_of(name, size):
    """A trainer, ready to train, with its `Clock`.

    Args:
        name: "stored" (our trainer, stored targets), "online" (ours, the teacher in the loop), "text" (ours,
            cross-entropy), "plain" (transformers.Trainer), "trl" (GKDTrainer), "trl checkpointed" (with gradient
            checkpointing, its default) or "trl on-policy" (TRL's DistillationTrainer on the stored responses); in bfloat16
            where the processor multiplies it, unless "fp32" is behind it.
    """
    kind, bf16 = name.removesuffix(" fp32"), runtime.bf16() and not name.endswith(" fp32")
    tokenizer, teacher = smollm.tokenizer(), teacher_of(size)
    torch.manual_seed(0)
    student = smollm.student(teacher, size.depth)
    student.get_input_embeddings().requires_grad_(False)
    rows, plain = examples(size)
    clock = Clock()
    settings = training.settings(
        size.warm + size.timed, size.batch, logging_strategy="no", bf16=bf16, disable_tqdm=True
    )
    common = {"model": student, "callbacks": [clock]}
    on_text = common | {"train_dataset": plain, "data_collator": collator(tokenizer)}
    if kind == "stored":
        collate = targets.Collator(tokenizer.pad_token_id)
        trainer = training.DistillationTrainer(
            args=settings, train_dataset=rows, data_collator=collate, targets="sampled", **common
        )
    elif kind == "online":
        trainer = training.DistillationTrainer(args=settings, teacher=teacher, **on_text)
    elif kind == "text":
        trainer = training.DistillationTrainer(args=settings, alpha=0.0, **on_text)
    elif kind == "plain":
        trainer = transformers.Trainer(args=settings, **on_text)
    elif kind == "trl on-policy":
        trainer = on_policy(settings, rows, teacher_model=teacher, processing_class=tokenizer, **common)
    else:
        from trl.experimental.gkd import GKDConfig, GKDTrainer

        checkpointed = kind == "trl checkpointed"
        config = same_settings(GKDConfig, settings, lmbda=0.0, gradient_checkpointing=checkpointed)
        trainer = GKDTrainer(teacher_model=teacher, args=config, processing_class=tokenizer, **on_text)
    return trainer, clock


def same_settings(kind, settings, **changes):
    """The same settings for one of TRL's trainers, with the forward KL: beta=0."""
    same = {field.name: getattr(settings, field.name) for field in dataclasses.fields(settings) if field.init}
    return kind(**same | {"beta": 0.0, "temperature": 1.0} | changes)


def on_policy(settings, rows, **rest):
    """TRL's DistillationTrainer, which takes stored responses for what its student wrote, in the rows' order."""
    from trl import DistillationConfig, DistillationTrainer

    class Given(DistillationTrainer):
        def _generate(self, prompts):  # TRL has no public place to hand responses over
            return [each["prompt"] for each in prompts], [each["response"] for each in prompts], None, None, []

    cut = [(row["input_ids"][: row["prompt_length"]], row["input_ids"][row["prompt_length"] :]) for row in rows]
    data = [{"prompt": {"prompt": prompt, "response": response}} for prompt, response in cut]
    config = same_settings(DistillationConfig, settings, shuffle_dataset=False)
    return Given(args=config, train_dataset=datasets.Dataset.from_list(data), **rest)


def step(name, size, watch=None):
    """Of each timed step: seconds, response tokens and floating-point operations; and the process's peak memory with its
    parts, in bytes.
    """
    trainer, clock = trainer_of(name, size)
    gc.collect()  # where the student learns from stored targets or text, its teacher is gone now
    before, _ = speed.memory()
    with watch or nullcontext():
        trainer.train()
    _, peak = speed.memory()
    student = trainer.accelerator.unwrap_model(trainer.model)
    learned = sum(weight.nbytes for weight in student.parameters() if weight.requires_grad)
    found = {"seconds": clock.seconds[size.warm :], "tokens": [], "operations": []}
    _, plain = examples(size)
    for number in range(size.warm, size.warm + size.timed):
        batch = [plain[number * size.batch + place] for place in range(size.batch)]
        lengths = [len(row["input_ids"]) for row in batch]
        responses = sum(label != losses.IGNORE for row in batch for label in row["labels"])
        found["tokens"].append(responses)
        found["operations"].append(operations(student, lengths, responses))
    parts = {"before the first step": before, "gradients and AdamW's moments": 3 * learned}
    return found | {"peak": peak, "parts": parts | {"activations and the rest": peak - before - 3 * learned}}


def operations(student, lengths, responses):
    """Floating-point operations of matrix products in one of our training steps, embedding and head frozen.

    Two a weight and position on the way forward, four on the way back, the head two and two. Attention over all pairs of
    positions, its backward pass counted as twice the forward one.

    Args:
        lengths: tokens of each sequence; padding is work that no step needs, and ours leave it out.
        responses: positions on which the head runs.
    """
    layers = student.model.layers
    weights = sum(weight.numel() for weight in layers.parameters() if weight.ndim == 2)
    attention = 12 * sum(length**2 for length in lengths) * layers[0].self_attn.q_proj.out_features * len(layers)
    return 6 * weights * sum(lengths) + attention + 4 * responses * student.get_output_embeddings().weight.numel()


def matmul(size, watch=None):
    """Floating-point operations a second of square matrix products, by dtype: the best of several sizes."""
    found = {}
    for name, dtype in (("bf16", torch.bfloat16), ("fp32", torch.float32)):
        best = 0.0
        for width in size.matrices:
            one, other = (torch.randn(width, width).to(dtype) for _ in range(2))
            one @ other
            for _ in range(8):
                began = time.perf_counter()
                one @ other
                best = max(best, 2 * width**3 / (time.perf_counter() - began))
        found[name] = best
    return found


# --- the loss alone --------------------------------------------------------------------------------------------------


def loss_alone(name, size, watch=None, gradients=None):
    """Seconds and extra memory of the forward KL, from hidden states to the gradients of states and head, in float32.

    Args:
        name: one of `LOSSES`. With " given" behind it the teacher's logits ``[N, V]`` are there before; without, they are
            made on the way from the teacher's states and head.
        gradients: a file to write both gradients to.
    Returns:
        seconds: of the fastest repetition. extra: bytes that the peak lies above what is held before. gradients: bytes of
        the gradients themselves, which are part of it.
    """
    torch.manual_seed(0)
    loss, given = LOSSES[name.removesuffix(" given")], name.endswith(" given")
    loss(*_loss_inputs(8, 8, 32, given)).backward()  # whatever is imported on first use counts for nobody
    inputs = _loss_inputs(size.tokens, size.width, size.vocabulary, given)
    h, layer, *_ = inputs
    speed.forget_peak()
    (before, _), times = speed.memory(), []
    with watch or nullcontext():
        for _ in range(size.repeats):
            h.grad = layer.weight.grad = None
            began = time.perf_counter()
            loss(*inputs).backward()
            times.append(time.perf_counter() - began)
    _, peak = speed.memory()
    if gradients:
        torch.save({"states": h.grad, "head": layer.weight.grad}, gradients)
    return {"seconds": min(times), "extra": peak - before, "gradients": h.grad.nbytes + layer.weight.grad.nbytes}


def _loss_inputs(tokens, width, vocabulary, given):
    """Student's states and head, teacher's states and head, and its logits if they are given; made in place, no copies."""
    h, h_teacher = (torch.empty(tokens, width).normal_() for _ in range(2))
    layer = torch.nn.Linear(width, vocabulary, bias=False)
    torch.nn.init.normal_(layer.weight, std=0.05)
    w_teacher = torch.empty(vocabulary, width).normal_(std=0.05)
    return h.requires_grad_(), layer, h_teacher, w_teacher, h_teacher @ w_teacher.T if given else None


def _ours(h, layer, h_teacher, w_teacher, z_teacher):
    def loss(logits, part):
        teacher_logits = h_teacher[part] @ w_teacher.T if z_teacher is None else z_teacher[part]
        return len(logits) * losses.generalized_jsd(logits, teacher_logits, beta=0)

    return head.chunked_loss(h, layer, loss) / len(h)


def _trl(h, layer, h_teacher, w_teacher, z_teacher):
    from trl.experimental.gkd import GKDTrainer

    if z_teacher is None:
        z_teacher = h_teacher @ w_teacher.T
    return GKDTrainer.generalized_jsd_loss(layer(h)[None], z_teacher[None], beta=0.0, num_items_in_batch=len(h))


def _liger(h, layer, h_teacher, w_teacher, z_teacher, **how):
    from liger_kernel.chunked_loss import LigerFusedLinearJSDLoss

    loss = LigerFusedLinearJSDLoss(weight_hard_loss=0.0, weight_soft_loss=1.0, beta=0.0, **how)
    return loss(h, layer.weight, h_teacher, w_teacher, torch.zeros(len(h), dtype=torch.long))


LOSSES = {
    "ours": _ours,
    "trl": _trl,
    "liger": _liger,  # as it comes: compiled, 1,024 positions at a time
    "liger small": functools.partial(_liger, compiled=False, chunk_size=64),
}


def difference(one, other):
    """Largest difference of two files of gradients, relative to the largest gradient of the same tensor."""
    one, other = (torch.load(path, weights_only=True, mmap=True) for path in (one, other))
    return max(((one[key] - other[key]).abs().max() / other[key].abs().max()).item() for key in other)


# --- generation ------------------------------------------------------------------------------------------------------


def generate(size, watch=None):
    """Tokens a second of the teacher in float32, by prompts in a batch: all of them, and one at a time, every sixteenth."""
    teacher, tokenizer = teacher_of(size), smollm.tokenizer()
    prompts = [row["prompt"] for row in smollm.corpus("test")[: size.prompts]]
    generation.generate(teacher, tokenizer, prompts[:1], max_new_tokens=2)
    found, how = {}, {"max_new_tokens": size.new_tokens, "min_new_tokens": size.new_tokens}
    with watch or nullcontext():
        for name, asked, together in (("batch", prompts, len(prompts)), ("one", prompts[::16], 1)):
            began = time.perf_counter()
            generation.generate(teacher, tokenizer, asked, batch_size=together, **how)
            found[name] = size.new_tokens * len(asked) / (time.perf_counter() - began)
    return found


# --- each in a process of its own ------------------------------------------------------------------------------------

COMPARED = ("stored", "text", "online", "trl", "trl on-policy")
STEPS = ("stored fp32", "plain", "trl fp32", "trl checkpointed", "trl on-policy fp32")
ALONE = ("ours", "trl", "liger", "liger small", "ours given", "trl given")
ORDER = (
    *[f"step {name}" for name in COMPARED] * ROUNDS,
    *(f"step {name}" for name in STEPS),
    "matmul",
    *(f"loss {name}" for name in ALONE),
    "generate",
)


def measure(name, size, watch=None, gradients=None):
    """One measurement by its name in `ORDER`; `watch` is a context around the part that is measured."""
    if name not in ORDER:
        raise ValueError(f"there is no measurement {name!r}; there are: {', '.join(dict.fromkeys(ORDER))}")
    kind, _, rest = name.partition(" ")
    if kind == "loss":
        return loss_alone(rest, size, watch, gradients)
    if kind == "step":
        return step(rest, size, watch)
    return generate(size, watch) if kind == "generate" else matmul(size, watch)


def profile(name, size, count=12):
    """Where a measurement's time goes: [(operator, share of the operators' own time)], largest first.

    Of one step, or a quarter of the tokens: shares need no repetition.
    """
    watch = torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU])
    measure(name, dataclasses.replace(size, timed=1, tokens=size.tokens // 4), watch)
    events = sorted(watch.key_averages(), key=lambda event: -event.self_cpu_time_total)
    total = sum(event.self_cpu_time_total for event in events)
    return [(event.key, event.self_cpu_time_total / total) for event in events[:count]]


def alone(*arguments):
    """What this module prints as JSON with these arguments, in a process of its own.

    Raises:
        RuntimeError: it failed; says with which arguments, and the last line of what it said.
    """
    command = [sys.executable, __file__, "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        said = done.stderr.strip().splitlines() or [f"exit status {done.returncode}"]
        raise RuntimeError(f"{' '.join(map(str, arguments))} failed: {said[-1]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def join(earlier, later):
    """Two rounds of one measurement: the steps of both, the higher peak with its parts."""
    if earlier is None:
        return later
    higher = max(earlier, later, key=lambda each: each["peak"])
    return {name: earlier[name] + later[name] if isinstance(later[name], list) else higher[name] for name in later}


# --- the table -------------------------------------------------------------------------------------------------------


def row(name, sign, bound, ratio_and_detail, why, failed):
    """One line of the table.

    Args:
        sign, bound: ">=" or "<=", and what the ratio should be on that side of.
        ratio_and_detail: called; returns both, or raises KeyError with the name of a measurement that failed.
        why: called where the ratio is not reached; returns what bounds it. None where no profile can tell.
        failed: {measurement: what it said}.
    """
    made = {"name": name, "target": f"{sign} {bound:g}"}
    try:
        ratio, detail = ratio_and_detail()
    except KeyError as missing:
        reason = failed[missing.args[0]]
        return made | {"ratio": None, "holds": None, "detail": f"not measured: {reason}"}
    holds = bool(ratio >= bound if sign == ">=" else ratio <= bound)
    made |= {"ratio": float(f"{ratio:.4g}"), "holds": holds, "detail": detail}
    return made if holds or why is None else made | {"why": why()}


def table(found, failed, explain):
    """All rows, from the measurements; ``explain(name)`` says where a measurement's time goes."""
    precision = "bf16" if runtime.bf16() else "fp32"

    def seconds(name):
        return median(found[f"step {name}"]["seconds"])

    def rate(name, what):
        return median(a / s for a, s in zip(found[f"step {name}"][what], found[f"step {name}"]["seconds"]))

    def faster(name):
        return min((name, f"{name} fp32"), key=seconds)

    def given(ours):
        best = faster("trl on-policy")
        return rate(ours, "tokens") / rate(best, "tokens"), (
            f"{seconds(ours):.2f} s a step in {precision}, {rate(ours, 'tokens'):.0f} tokens/s, against "
            f"{seconds('trl on-policy'):.2f} in {precision} and {seconds('trl on-policy fp32'):.2f} in fp32, "
            f"{rate(best, 'tokens'):.0f} tokens/s in the faster one"
        )

    def given_peak(ours):
        ours, theirs = (found[f"step {name}"]["peak"] for name in (ours, faster("trl on-policy")))
        return ours / theirs, f"{ours / 1e9:.2f} GB against {theirs / 1e9:.2f} of the faster precision"

    def speed():
        best = faster("trl")
        return rate("stored", "tokens") / rate(best, "tokens"), (
            f"{seconds('stored'):.2f} s a step in {precision} ({seconds('stored fp32'):.2f} in fp32), "
            f"{rate('stored', 'tokens'):.0f} tokens/s, against {seconds('trl'):.2f} in {precision} and "
            f"{seconds('trl fp32'):.2f} in fp32, {rate(best, 'tokens'):.0f} tokens/s in the faster one"
        )

    def peak():
        ours, theirs = found["step stored"]["peak"], found[f"step {faster('trl')}"]["peak"]
        return ours / theirs, (
            f"{ours / 1e9:.2f} GB against {theirs / 1e9:.2f} of the faster precision; with gradient checkpointing, "
            f"TRL's default, {found['step trl checkpointed']['peak'] / 1e9:.2f} and "
            f"{seconds('trl checkpointed'):.2f} s a step"
        )

    def cross_entropy():
        return seconds("stored") / seconds("text"), (
            f"{seconds('stored'):.3f} s against {seconds('text'):.3f} of the same trainer on text, median of "
            f"{len(found['step text']['seconds'])} steps; transformers.Trainer {seconds('plain'):.3f}"
        )

    def flops():
        best, reached = found["matmul"][precision], rate("stored", "operations")
        return (
            reached / best,
            f"{reached / 1e9:.0f} GFLOP/s of {best / 1e9:.0f}; padding is neither computed nor counted",
        )

    def less(what, ours, theirs):
        ours, theirs = found[f"loss {ours}"][what], found[f"loss {theirs}"][what]
        unit, scale = ("GB", 1e9) if what == "extra" else ("s", 1)
        return ours / max(theirs, 1e-9), f"{ours / scale:.2f} {unit} against {theirs / scale:.2f}"

    def same_gradient():
        return found["difference trl"], "states and head; relative to the largest gradient of each"

    def generation_speed():
        many, one = (found["generate"][name] for name in ("batch", "one"))
        return many / one, f"{many:.0f} tokens/s against {one:.1f}, in fp32"

    def size_of_targets():
        return found["bytes a token"] / PUBLISHED[0], (
            f"{found['bytes a token']:.1f} bytes a token; published {PUBLISHED[0]} to {PUBLISHED[1]}"
        )

    def where(*names):
        return lambda: "; ".join(explain(name) for name in names)

    def parts(name):
        return lambda: ", ".join(f"{part} {size / 1e9:.2f} GB" for part, size in found[f"step {name}"]["parts"].items())

    def gradients(name):
        return lambda: f"{found[f'loss {name}']['gradients'] / 1e9:.2f} GB of it are the gradients themselves"

    plan = [
        ("training tokens/s, stored targets ÷ TRL GKDTrainer", ">=", 4, speed, where("step stored", "step trl")),
        ("peak memory of the process, stored targets ÷ TRL GKDTrainer", "<=", 0.6, peak, parts("stored")),
        (
            "a step with stored targets ÷ a cross-entropy step, time",
            "<=",
            1.05,
            cross_entropy,
            where("step stored", "step text"),
        ),
    ]
    for ours, title, more, less_memory in (
        ("stored", "stored targets", 4, 0.6),
        ("online", "teacher in the loop", 1, 1),
    ):
        against = f"{title} ÷ TRL DistillationTrainer on the same tokens, generation left out"
        plan += [
            (f"training tokens/s, {against}", ">=", more, functools.partial(given, ours),
             where(f"step {ours}", "step trl on-policy")),
            (f"peak memory of the process, {against}", "<=", less_memory, functools.partial(given_peak, ours),
             parts(ours)),
        ]  # fmt: skip
    for suffix, title in (("", "loss alone"), (" given", "loss alone, teacher's logits given")):
        ours, theirs = f"ours{suffix}", f"trl{suffix}"
        plan += [
            (f"{title}: extra memory ÷ TRL generalized_jsd_loss", "<=", 0.125,
             functools.partial(less, "extra", ours, theirs), gradients(ours)),
            (f"{title}: time ÷ TRL generalized_jsd_loss", "<=", 1.0,
             functools.partial(less, "seconds", ours, theirs), where(f"loss {ours}")),
        ]  # fmt: skip
    plan.append(("loss alone: largest difference of gradients to TRL", "<=", 1e-5, same_gradient, None))
    for other, title in (("liger", "Liger's chunked JSD"), ("liger small", "the same, not compiled, chunks of 64")):
        plan += [
            (f"loss alone: extra memory ÷ {title}", "<=", 1.0,
             functools.partial(less, "extra", "ours", other), gradients("ours")),
            (f"loss alone: time ÷ {title}", "<=", 1.0,
             functools.partial(less, "seconds", "ours", other), where("loss ours")),
        ]  # fmt: skip
    plan += [
        (f"training FLOP/s ÷ matrix product peak, {precision}", ">=", 0.65, flops, where("step stored")),
        ("generation, 64 prompts in a batch ÷ one at a time, tokens/s", ">=", 8, generation_speed, where("generate")),
        ("bytes a token of stored targets ÷ the smallest published", "<=", 1.0, size_of_targets, None),
    ]  # fmt: skip
    return [row(*each, failed) for each in plan]


def write(rows, path):
    """The rows, each with the machine that measured them, as a JSON list; all or nothing."""
    machine = runtime.machine_stamp()
    for package in ("trl", "liger-kernel"):
        try:
            machine[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            machine[package] = "not installed"
    text = json.dumps([each | {"machine": machine} for each in rows], indent=1, ensure_ascii=False)
    with runtime.replacing(path) as temporary:
        temporary.write_text(text + "\n", encoding="utf-8")


def run(tiny, say):
    """All measurements, one after another; returns the rows of the table."""
    small = ["--tiny"] if tiny else []
    found, failed = {"bytes a token": targets.bytes_per_token(smollm.corpus_folder() / "targets")}, {}
    with tempfile.TemporaryDirectory() as folder:
        compared = {f"loss {name}": Path(folder) / f"{name}.pt" for name in ("ours", "trl")}
        for name in ORDER:
            extra = ["--gradients", compared[name]] if name in compared else []
            try:
                found[name] = join(found.get(name), alone("--only", name, *small, *extra))
                say(f"{name}: {json.dumps(found[name])}")
            except RuntimeError as error:
                failed[name] = str(error)
                say(f"{name}: {error}")
        missing = [failed[name] for name in compared if name in failed]
        if missing:
            failed["difference trl"] = missing[0]
        else:
            found["difference trl"] = difference(*compared.values())

    @functools.cache
    def explain(name):
        say(f"profiling {name}")
        try:
            shares = alone("--profile", name, *small)
        except RuntimeError as error:
            return f"no profile: {error}"
        return f"profile of {name}: " + ", ".join(f"{operator} {share:.0%}" for operator, share in shares[:6])

    return table({name: value for name, value in found.items() if name not in failed}, failed, explain)


def main():
    parser = argparse.ArgumentParser(prog="python tools/bench.py", description=__doc__.splitlines()[0])
    parser.add_argument("--only", metavar="NAME", help=f"one measurement: {', '.join(dict.fromkeys(ORDER))}")
    parser.add_argument("--profile", metavar="NAME", help="the 12 operators that take most of a measurement's time")
    parser.add_argument("--json", action="store_true", help="print --only or --profile as one line of JSON")
    parser.add_argument("--gradients", type=Path, metavar="FILE", help="with --only 'loss …': keep the gradients")
    parser.add_argument("--tiny", action="store_true", help="tiny random models, only to see that it runs")
    parser.add_argument("--out", type=Path, metavar="FILE", help="by default data/results/bench.json; none with --tiny")
    options = parser.parse_args()
    os.environ |= {"TRL_EXPERIMENTAL_SILENCE": "1", "HF_HUB_DISABLE_TELEMETRY": "1"}  # for the processes it starts
    os.environ["DISTILL_DEVICE"] = "cpu"
    runtime.start()
    size = TINY if options.tiny else Size()
    if options.profile:
        shares = profile(options.profile, size)
        print(json.dumps(shares) if options.json else "\n".join(f"{share:6.1%}  {name}" for name, share in shares))
        return
    if options.only:
        found = measure(options.only, size, gradients=options.gradients)
        print(json.dumps(found, indent=None if options.json else 1))
        return
    began = time.perf_counter()
    rows = run(options.tiny, lambda line: print(line, file=sys.stderr, flush=True))
    print(f"measured in {time.perf_counter() - began:.0f} s", file=sys.stderr)
    out = options.out or (None if options.tiny else runtime.data_folder() / "results" / "bench.json")
    if out:
        write(rows, out)
    words = {True: "holds", False: "does not", None: "not run"}
    for each in rows:
        ratio = "-" if each["ratio"] is None else f"{each['ratio']:.3g}"
        print(f"{words[each['holds']]:8} {ratio:>9} {each['target']:>8}  {each['name']} ({each['detail']})")
        if "why" in each:
            print(f"{'':29}{each['why']}")


if __name__ == "__main__":
    main()
