"""`DistillationTrainer`: a `transformers.Trainer` whose loss compares a student with its teacher."""

import math
import os
import shutil
from collections.abc import Mapping
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from accelerate.utils import extract_model_from_parallel
from transformers import PrinterCallback, ProgressCallback, Trainer
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK

from distill_lessons.losses import IGNORE, generalized_jsd, sampled_kl, top_k_kl
from distill_lessons.models import base_of, evaluating, response_states
from distill_lessons.models.head import chunked_loss
from distill_lessons.training.checkpoints import complete, saving


class Bar(ProgressCallback):
    """A progress bar with the last loss beside it, in a terminal or a notebook, instead of a line or a row a step."""

    def on_log(self, args, state, control, logs=None, **rest):
        if self.training_bar is not None and "loss" in (logs or {}):
            self.training_bar.set_postfix(loss=f"{logs['loss']:.4g}")


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
            if not complete(folder):
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
