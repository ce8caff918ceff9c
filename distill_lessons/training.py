"""Training: `fit` for the small classifiers, `DistillationTrainer` (a `transformers.Trainer`) for language models."""

import inspect
import json
import math
import os
import shutil
from collections.abc import Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from accelerate.utils import extract_model_from_parallel
from peft import LoraConfig, get_peft_model
from safetensors import SafetensorError
from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK

from distill_lessons import runtime, unpadded
from distill_lessons.features import captured
from distill_lessons.head import chunked_loss, replaced_forward
from distill_lessons.losses import IGNORE, generalized_jsd, sampled_kl, top_k_kl


def cross_entropy(student_logits, teacher_logits, labels):
    """The loss of a student without a teacher, in the form that `fit` expects."""
    return F.cross_entropy(student_logits, labels)


def fit(
    model,
    images,
    labels,
    loss=cross_entropy,
    teacher=None,
    steps=1500,
    batch_size=128,
    learning_rate=2e-3,
    augment=None,
    seed=0,
):
    """Train a classifier with AdamW and a cosine schedule; returns the model, on the run's device and in eval mode.

    Args:
        model: maps ``[B, ...]`` to logits ``[B, C]``; trained in place.
        images, labels: ``[N, ...]`` and ``[N]`` int.
        loss: ``loss(student_logits, teacher_logits, labels)``, a scalar. The default looks at the labels only.
        teacher: maps the same (augmented) batch to logits; frozen here. None passes None on to the loss.
        steps, batch_size, learning_rate: the budget; batches are drawn without replacement, epoch after epoch.
        augment: ``augment(batch, generator)``, applied to each batch before both models see it.
        seed: fixes batches and augmentation. The initial weights are the caller's.
    Raises:
        ValueError: no images; the loss becomes NaN or infinite (says at which step).
    """
    if len(images) == 0:
        raise ValueError("fit needs at least one image")
    device = runtime.device()
    images, labels, model = images.to(device), labels.to(device), model.to(device).train()
    if teacher is not None and isinstance(teacher, torch.nn.Module):
        teacher = teacher.to(device).eval()
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout draws from the global generator
    optimizer = torch.optim.AdamW(model.parameters(), lr=learning_rate, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    order = torch.empty(0, dtype=torch.long)
    with torch.no_grad():  # images that never change are shown to the teacher once
        stored = teacher(images) if teacher is not None and augment is None else None
    for step in range(steps):
        if len(order) < min(batch_size, len(images)):
            order = torch.randperm(len(images), generator=generator)
        rows, order = order[:batch_size].to(device), order[batch_size:]
        batch = augment(images[rows], generator) if augment else images[rows]
        with torch.no_grad():
            targets = stored[rows] if stored is not None else teacher(batch) if teacher is not None else None
        value = loss(model(batch), targets, labels[rows])
        if not torch.isfinite(value):
            raise ValueError(
                f"the loss became {value.item()} at step {step}: lower the learning rate, now {learning_rate}"
            )
        optimizer.zero_grad()
        value.backward()
        optimizer.step()
        schedule.step()
    return model.eval()


def response_logits(model, batch):
    """Logits where a response token is predicted, with those tokens; the head runs on no other position.

    Args:
        model: a causal language model of transformers.
        batch: input_ids, attention_mask and labels, ``[B, L]`` each, labels -100 on prompt and padding; on any device.
    Returns:
        logits ``[N, V]`` and labels ``[N]``, already shifted: row n of the logits predicts label n. On the model's device.
    Raises:
        ValueError: the batch has no response token.
    """
    batch = _beside(model, batch)
    labels = batch["labels"][:, 1:]
    mask = labels != IGNORE
    columns = mask.any(0).nonzero().squeeze(-1)
    if len(columns) == 0:
        raise ValueError("the batch has no response token to learn from: leave out rows whose labels are all -100")
    output = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], logits_to_keep=columns, use_cache=False
    )
    return output.logits[mask[:, columns]], labels[mask]


def _beside(model, batch):
    """What a model reads of a batch, on its device."""
    return {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask", "labels")}


def response_states(model, batch, function, call=None, layers=()):
    """Run a model and hand the states before its head, at the response positions only, to `function`.

    Padding is left out on the way (`unpadded`), where the model allows it, and short rows on a CPU have an attention of
    their own there.

    Args:
        function: called with states ``[N, D]``, in the order of `response_logits`; what it returns is returned. With
            `layers` it is called with those states and a dict {number: ``[N, D]``} of the hidden states asked for.
        call: what to call with the inputs, if not the model itself: its wrapper for several processes.
        layers: numbers of hidden states, from 1 (after the first layer) to the last, which is the one before the head.
    """
    batch = _beside(model, batch)
    mask = F.pad(batch["labels"][:, 1:] != IGNORE, (0, 1))
    inputs, running = {"input_ids": batch["input_ids"], "attention_mask": batch["attention_mask"]}, nullcontext()
    base, head = base_of(model), model.get_output_embeddings()
    if unpadded.possible(base, batch, mask):
        (inputs, mask), running = unpadded.line(batch, mask), unpadded.running(base)
    columns = mask.any(0).nonzero().squeeze(-1)

    def select(states):
        if states.shape[1] != len(columns):  # a hidden state, or a model that knows no logits_to_keep
            states = states[:, columns]
        return states[mask[:, columns]]

    options = {"use_cache": False, "logits_to_keep": columns}
    known = inspect.signature(base.forward).parameters
    options = {name: value for name, value in options.items() if name in known}
    with captured(base, layers) if layers else nullcontext() as inner:

        def instead_of_head(states):
            states = select(states)
            if not layers:
                return function(states)
            return function(states, {n: select(inner[n]) if n in inner else states for n in layers})

        with running, replaced_forward(head, instead_of_head):
            output = (call or model)(**inputs, **options)
    return output.logits


def base_of(model):
    """The model inside a peft wrapper, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


class Bar(ProgressCallback):
    """A progress bar with the last loss beside it, in a terminal or a notebook, instead of a line or a row a step."""

    def on_log(self, args, state, control, logs=None, **rest):
        if self.training_bar is not None and "loss" in (logs or {}):
            self.training_bar.set_postfix(loss=f"{logs['loss']:.4g}")


@contextmanager
def saving(what, kept):
    """Within the block, whatever the libraries raise when a disk is full becomes an OSError with one sentence."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        if isinstance(error, RuntimeError):
            if "inline_container" not in reason:  # torch's writer of files
                raise
            reason = "a file could not be written to its end"
        raise OSError(
            f"could not save {what} ({reason}); {kept}: free some disk space (save_total_limit keeps fewer "
            "checkpoints), then start the same training again, from its last checkpoint",
        ) from error


def last_checkpoint(folder):
    """The newest complete checkpoint in a folder, or None; one that a kill cut short is passed over."""
    found = [path for path in Path(folder).glob("checkpoint-*") if path.name[11:].isdigit() and _complete(path)]
    return str(max(found, key=lambda path: int(path.name[11:]))) if found else None


def _complete(checkpoint):
    """Whether a checkpoint has its last file, and all of it."""
    try:
        json.loads((checkpoint / "trainer_state.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return True


@contextmanager
def evaluating(model):
    """All modules of a model in eval mode, and afterwards each as it was: some may belong to another model too."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode


class DistillationTrainer(Trainer):
    """A `transformers.Trainer` that distils: ``alpha · T² · divergence(teacher, student) + (1 − alpha) · cross-entropy``,
    and with `features` also ``feature_weight · distance of hidden states``.

    Args:
        teacher: runs beside the student on each batch, without gradient and in eval mode; a module that it shares with
            the student stays trainable. None with stored targets, or with alpha=0.
        targets: None for a teacher in the loop, or what `targets.Collator` puts into the batch: "sampled", "top_k", or
            "naive_top_k" (renormalised, biased: for comparison).
        alpha: weight of the soft part, in [0, 1]; 0 trains on the text alone and never runs the teacher.
        temperature: of the soft part; stored targets know T = 1 only.
        beta: 0 forward KL, 1 reverse KL, between them the generalised JSD; stored targets know 0 only.
        features: a `features.Matching`; trained along with the student and gone after `train`. Needs the teacher.
        feature_weight: of the distance of hidden states.
        output_weight: of everything else; 0 trains on hidden states alone, and the head is not computed.
        Everything else as `transformers.Trainer`.
    Raises:
        ValueError: settings that do not go together; vocabularies that differ (says both sizes). From `train`: an example
            that is longer than a model's context, before the first step where the data set is a list or a
            `datasets.Dataset`; no response token anywhere; a loss that is NaN or infinite (says at which step).
        OSError: a checkpoint cannot be written; those before it stay, and `last_checkpoint` finds them.

    The head and the loss run on response positions only, a chunk at a time (`head.chunked_loss`). The loss is the sum
    over response tokens divided by their number in the whole accumulated batch of all processes: its gradient does not
    depend on the split. A batch without response tokens counts for nothing.
    """

    def __init__(
        self,
        *arguments,
        teacher=None,
        targets=None,
        alpha=1.0,
        temperature=1.0,
        beta=0.0,
        features=None,
        feature_weight=1.0,
        output_weight=1.0,
        **options,
    ):
        _check(alpha if output_weight else 0, temperature, beta, teacher, targets, features)
        _check_features(features, feature_weight, output_weight, teacher)
        # torch_compile=True compiles one layer, for all layers and shapes; a whole model would be compiled for each batch.
        os.environ.setdefault("ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION", "1")
        os.environ.setdefault("ACCELERATE_DYNAMO_USE_DYNAMIC", "1")
        super().__init__(*arguments, **options)
        self.alpha, self.temperature, self.beta, self.targets = alpha, temperature, beta, targets
        self.features, self.feature_weight, self.output_weight = features, feature_weight, output_weight
        self.teacher = None if teacher is None else self._prepare_teacher(teacher)
        self.remove_callback(PrinterCallback)  # logged values are in state.log_history
        if not self.args.disable_tqdm:
            self.remove_callback(DEFAULT_PROGRESS_CALLBACK)
            self.add_callback(Bar)
        self._context = self._shortest_context()
        self._batches, self._tokens = 0, 0
        self.model_accepts_loss_kwargs = True  # ask the Trainer for num_items_in_batch, and not to divide by steps

    def _prepare_teacher(self, teacher):
        sizes = [model.get_output_embeddings().weight.shape[0] for model in (self.model, teacher)]
        if sizes[0] != sizes[1] and self.output_weight > 0 and self.alpha > 0 and self.targets is None:
            raise ValueError(
                f"the vocabularies differ: student {sizes[0]}, teacher {sizes[1]}; if only padding differs, call "
                f"resize_token_embeddings({min(sizes)}) on the larger, else choose models with one tokenizer"
            )
        shared = {id(weight) for weight in self.model.parameters()}
        for weight in teacher.parameters():
            if id(weight) not in shared:
                weight.requires_grad_(False)
        return teacher.to(self.args.device).eval()

    def train(self, *arguments, **options):
        self._check_rows()
        self._batches, self._tokens = 0, 0
        try:
            output = self._train(*arguments, **options)
        finally:  # accelerate leaves its autocast on the model: what comes after would run in bfloat16 unasked
            extract_model_from_parallel(self.model, keep_fp32_wrapper=False)
            if not self.is_fsdp_enabled:  # and a mark by which a second training would go without it
                vars(self.model).pop("_is_accelerate_prepared", None)
        if self._batches and int(self._tokens) == 0:
            raise ValueError(_NOTHING)
        return output

    def _train(self, *arguments, **options):
        if self.features is None:
            return super().train(*arguments, **options)
        # A part of the student while it trains: so it is optimised, saved in checkpoints and shared between processes.
        self.model.add_module("features", self.features.to(self.args.device))
        try:
            return super().train(*arguments, **options)
        finally:
            del self.model.features

    def _save_checkpoint(self, model, trial):
        folder = Path(self._get_output_dir(trial)) / f"checkpoint-{self.state.global_step}"
        try:
            with saving(folder.name, "earlier checkpoints are as they were"):
                super()._save_checkpoint(model, trial)
        except OSError:
            if not _complete(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def _check_rows(self):
        """Refuse, before training, rows that are too long or all without a response, where looking costs little."""
        rows = self.train_dataset
        lengths = _lengths(rows)
        if not lengths:
            return
        longest = max(range(len(lengths)), key=lengths.__getitem__)
        if lengths[longest] > self._context[0]:
            row = rows[longest]
            name = f"example {row['id']!r}" if "id" in row else f"example {longest} of the data set"
            self._check_length(self.data_collator([dict(row)]), lambda place: name)  # the collator may cut it
        if isinstance(rows, (list, tuple)) and all(isinstance(row, Mapping) and "labels" in row for row in rows):
            if not any(label != IGNORE for row in rows for label in row["labels"]):
                raise ValueError(_NOTHING)

    def _shortest_context(self):
        """The shortest context of the models that run, in tokens, and whose it is."""
        models = {"student": self.model}
        if self.teacher is not None and (self.features is not None or (self.alpha > 0 and self.targets is None)):
            models["teacher"] = self.teacher
        return min((_context_of(model), name) for name, model in models.items())

    def _check_length(self, batch, name):
        limit, whose = self._context
        if batch["input_ids"].shape[1] <= limit:
            return
        lengths = batch["attention_mask"].sum(1)
        if lengths.max() > limit:
            place = int(lengths.argmax())
            raise ValueError(
                f"{name(place)} has {int(lengths[place])} tokens and the {whose} reads {limit}: cut it or leave it out"
            )

    def _stop(self, problem):
        now = self.lr_scheduler.get_last_lr()[0] if self.lr_scheduler is not None else 0.0
        return ValueError(
            f"{problem} at step {self.state.global_step}, with learning rate {now:.3g}: lower learning_rate, now "
            f"{self.args.learning_rate}; if it is so from the first step, look for a token that the student bans (-inf) "
            "and the teacher or the text does not"
        )

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self._check_length(inputs, lambda place: f"row {place} of a batch at step {self.state.global_step}")
        columns = inputs["labels"][:, 1:]
        mask = columns != IGNORE
        labels, rows = columns[mask], mask.nonzero()[:, 0]
        student = self.accelerator.unwrap_model(model)
        head = student.get_output_embeddings()
        teacher_states, teacher_layers = self._teacher_states(inputs)
        loss = self._loss_of_chunk(inputs, labels, teacher_states)

        def total_of(states, layers=None):
            total = 0.0
            if self.output_weight > 0:
                total = self.output_weight * chunked_loss(states, head, loss)
            if layers is not None:
                total = total + self.feature_weight * student.features(layers, teacher_layers, rows)
            return total

        layers = () if self.features is None else tuple(self.features.layers)
        try:
            total = response_states(student, inputs, total_of, call=model, layers=layers)
        except ValueError as error:  # the losses look at the logits
            if not (model.training and "NaN" in str(error)):
                raise
            raise self._stop(error) from error
        if model.training and not torch.isfinite(total):
            raise self._stop(f"the loss became {total.item()}")
        if num_items_in_batch is None:
            value = total / max(len(labels), 1)
        else:
            self._batches, self._tokens = self._batches + 1, self._tokens + num_items_in_batch
            value = total / torch.as_tensor(num_items_in_batch).clamp(min=1)
            if self.args.average_tokens_across_devices:  # DDP takes the mean over processes, we want the sum
                value = value * self.accelerator.num_processes
        return (value, {"loss": value}) if return_outputs else value

    @torch.no_grad()
    def _teacher_states(self, inputs):
        """What the teacher's head sees, and the hidden states to match: None for what is not needed."""
        if self.features is None and (self.alpha == 0 or self.targets is not None):
            return None, None
        with evaluating(self.teacher):
            if self.features is None:
                return response_states(self.teacher, inputs, lambda states: states), None
            layers = self.features.teacher_layers
            return response_states(self.teacher, inputs, lambda states, inner: (states, inner), layers=layers)

    def _loss_of_chunk(self, inputs, labels, teacher_states):
        """``loss(logits, part)`` for `chunked_loss`: the sum over the positions of a part."""

        def soft(logits, part):
            if self.targets is None:
                head = self.teacher.get_output_embeddings()
                teacher_logits = F.linear(teacher_states[part].to(head.weight.dtype), head.weight, head.bias)
                mean = generalized_jsd(logits, teacher_logits, self.beta, temperature=self.temperature)
                return self.temperature**2 * mean
            ids, weights = inputs["target_ids"][part], inputs["target_weights"][part]
            if self.targets == "sampled":
                return sampled_kl(logits, ids, weights, inputs["target_entropy"][part])
            return top_k_kl(logits, ids, weights, renormalise=self.targets == "naive_top_k")

        def loss(logits, part):
            value = 0.0
            if self.alpha > 0:
                value = self.alpha * len(logits) * soft(logits, part)
            if self.alpha < 1:
                smoothing = self.args.label_smoothing_factor
                hard = F.cross_entropy(logits.float(), labels[part], reduction="sum", label_smoothing=smoothing)
                value = value + (1 - self.alpha) * hard
            return value

        return loss


_NOTHING = (
    "no example has a response token to learn from: labels must be -100 on the prompt and the tokens themselves on the "
    "response"
)


def _context_of(model):
    config = base_of(model).config
    config = config.get_text_config() if hasattr(config, "get_text_config") else config
    limit = getattr(config, "max_position_embeddings", None)
    return limit if isinstance(limit, int) and limit > 0 else math.inf


def _lengths(rows):
    """Tokens of each row of a list of dicts or a `datasets.Dataset`; an empty list for what would have to be run to know."""
    if isinstance(rows, datasets.Dataset) and "input_ids" in rows.column_names:
        column = rows.select_columns(["input_ids"]).with_format("arrow")[:]["input_ids"]
        is_list = pa.types.is_list(column.type) or pa.types.is_large_list(column.type)
        return [length or 0 for length in pc.list_value_length(column).to_pylist()] if is_list else []
    if isinstance(rows, (list, tuple)) and all(isinstance(row, Mapping) and "input_ids" in row for row in rows):
        return [len(row["input_ids"]) for row in rows]
    return []


def _check(alpha, temperature, beta, teacher, targets, features):
    for name, value in (("alpha", alpha), ("beta", beta)):
        if not 0 <= value <= 1:
            raise ValueError(f"{name} must lie between 0 and 1, and it is {value}")
    if not (math.isfinite(temperature) and temperature > 0):
        raise ValueError(f"the temperature must be a positive finite number, and it is {temperature}")
    if targets not in (None, "sampled", "top_k", "naive_top_k"):
        raise ValueError(f"targets must be None, 'sampled', 'top_k' or 'naive_top_k', and it is {targets!r}")
    if alpha > 0 and ((teacher is None) == (targets is None)) and (features is None or targets is None):
        raise ValueError("a soft loss needs a teacher or stored targets, and not both")
    if targets is not None and (temperature != 1 or beta != 0):
        raise ValueError(
            "stored targets hold the teacher at temperature 1 and for the forward KL: leave temperature at 1 and beta "
            "at 0, or put the teacher in the loop"
        )


def _check_features(features, feature_weight, output_weight, teacher):
    if features is not None and teacher is None:
        raise ValueError("matching hidden states needs the teacher in the loop: they are not among the stored targets")
    for name, value in (("feature_weight", feature_weight), ("output_weight", output_weight)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name} must be a finite number from 0 up, and it is {value}")
    if output_weight == 0 and features is None:
        raise ValueError("with output_weight=0 and no features there is nothing to learn from")


def lora(student, rank=16, **changes):
    """The student with LoRA adapters on all its linear layers, and everything else frozen; a `peft.PeftModel`.

    `changes` go to `peft.LoraConfig`. ``merge_and_unload()`` turns the trained adapters back into plain weights.
    Source: Hu et al. 2022.
    """
    options = {"r": rank, "lora_alpha": 2 * rank, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    return get_peft_model(student, LoraConfig(**options | changes))


def settings(steps, batch_size=4, learning_rate=7e-4, seed=0, **changes):
    """The course's `TrainingArguments`: AdamW (betas 0.9 and 0.95, no weight decay), five steps of warm-up, then cosine.

    Examples are taken in the data set's own order, so that the caller decides it; `changes` override anything.
    """
    defaults = {
        "output_dir": str(runtime.cache_folder() / "runs"),
        "max_steps": steps,
        "per_device_train_batch_size": batch_size,
        "learning_rate": learning_rate,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 5,
        "weight_decay": 0.0,
        "adam_beta2": 0.95,
        "max_grad_norm": 1.0,
        "seed": seed,
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
        "logging_steps": 1,
        "save_strategy": "no",
        "report_to": "none",
        "disable_tqdm": not runtime.progress(),
        "use_cpu": runtime.device().type == "cpu",
    }
    arguments = TrainingArguments(**defaults | changes)
    arguments._n_gpu = min(arguments.n_gpu, 1)  # one process, one GPU: several are for accelerate, not for DataParallel
    return arguments
