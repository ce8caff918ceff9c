"""`DistillationTrainer`: a `transformers.Trainer` whose loss compares a student with its teacher."""

import copy
import inspect
import math
import numbers
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import datasets
import pyarrow as pa
import pyarrow.compute as pc
import torch
import torch.nn.functional as F
from accelerate.utils import extract_model_from_parallel
from peft import PeftConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict
from safetensors.torch import load_model
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PrinterCallback,
    ProgressCallback,
    Trainer,
    TrainerState,
    TrainingArguments,
)
from transformers.trainer import DEFAULT_PROGRESS_CALLBACK
from transformers.trainer_utils import TrainOutput

from distill_lessons import runtime
from distill_lessons.losses import IGNORE, generalized_jsd, sampled_kl, top_k_kl
from distill_lessons.models import base_of, check_head, evaluating, head_of, last_step, logits_of, response_states
from distill_lessons.models.head import chunked_loss
from distill_lessons.teacher import targets as stored
from distill_lessons.teacher import text
from distill_lessons.training.arguments import deciding, one_gpu
from distill_lessons.training.checkpoints import (
    complete,
    could_not_save,
    last_checkpoint,
    remember_settings,
    same_settings,
    writing_failed,
)
from distill_lessons.training.features import Matching

SETTINGS = "distillation.json"  # in every checkpoint: what the training was asked for
SYNONYMS = {"tokenizer": "processing_class", "teacher_model": "teacher"}  # names in other trainers


class Bar(ProgressCallback):
    """A progress bar with the last loss beside it, in a terminal or a notebook, instead of a line or a row a step."""

    def on_log(self, args, state, control, logs=None, **rest):
        if self.training_bar is not None and "loss" in (logs or {}):
            self.training_bar.set_postfix(loss=f"{logs['loss']:.4g}")


class Collate:
    """Makes a batch of encoded examples, or of stored rows with their targets; which of them, the rows tell."""

    def __init__(self, pad_token_id: int):
        self.plain, self.stored = text.Padded(pad_token_id), stored.Collator(pad_token_id)

    def __call__(self, rows: list[Mapping]) -> dict[str, torch.Tensor]:
        return (self.plain if stored.kind_of(rows) is None else self.stored)(rows)


class DistillationTrainer(Trainer):
    """A `transformers.Trainer` that distils: ``alpha · T² · divergence(teacher, student) + (1 − alpha) · cross-entropy``,
    and with `features` also ``feature_weight · distance of hidden states``.

    Args:
        model: the student, or the name of one; trained in float32 (or under autocast), also if it was saved in less.
        teacher: a model or the name of one. Runs beside the student on each batch, without gradient and in eval mode; a
            module that it shares with the student stays trainable. None with stored targets, or with alpha=0.
        args: `training.settings`, or any `transformers.TrainingArguments`.
        train_dataset, eval_dataset: rows of messages, of prompt and completion, of text, or of token ids
            (`teacher.text.examples`), as a list or a `datasets.Dataset`; or rows of `targets.load`.
        processing_class: the tokenizer; by default the student's or the teacher's own. Token ids need none.
        data_collator: by default pads whatever rows there are.
        peft_config: trains adapters of that kind instead of all weights.
        targets: None for a teacher in the loop or as the rows' own columns tell; "sampled", "top_k", or "naive_top_k"
            (renormalised, biased: for comparison).
        alpha: weight of the soft part, in [0, 1]; 0 trains on the text alone and never runs the teacher.
        temperature: of the soft part; stored targets know T = 1 only.
        beta: 0 forward KL, 1 reverse KL, between them the generalised JSD; stored targets know 0 only.
        features: a `features.Matching`; trained along with the student and gone after `train`. Needs the teacher.
        feature_weight: of the distance of hidden states.
        output_weight: of everything else; 0 trains on hidden states alone, and the head is not computed.
        compute_metrics, callbacks, optimizers, optimizer_cls_and_kwargs, preprocess_logits_for_metrics: as
            `transformers.Trainer`.
    Raises:
        ValueError: settings that do not go together or do not exist; vocabularies or tokenizers that differ; a student that
            is its teacher; adapters on the head; a model whose logits this trainer cannot make (`models.check_head`). From
            `train`: an example that is longer than a model's context, before the first step where the data set is a list
            or a `datasets.Dataset`; no response token anywhere; a loss that is NaN or infinite (says at which step); a
            checkpoint that was made with other settings.
        OSError: a checkpoint cannot be written; those before it stay, and `last_checkpoint` finds them.

    The head and the loss run on response positions only, a chunk at a time (`head.chunked_loss`). The loss is the sum
    over response tokens divided by their number in the whole accumulated batch of all processes: its gradient does not
    depend on the split, and the evaluation's does not depend on the batch size. A batch without response tokens counts for
    nothing. Beside `loss` the log has its parts ``soft`` (with its factor T²), ``hard`` and ``features``, each per response
    token and not yet weighed.
    """

    def __init__(
        self,
        model: PreTrainedModel | torch.nn.Module | str,
        teacher: PreTrainedModel | torch.nn.Module | str | None = None,
        args: TrainingArguments | None = None,
        *,
        train_dataset: Any = None,
        eval_dataset: Any = None,
        processing_class: PreTrainedTokenizerBase | None = None,
        data_collator: Callable | None = None,
        peft_config: PeftConfig | None = None,
        targets: str | None = None,
        alpha: float = 1.0,
        temperature: float = 1.0,
        beta: float = 0.0,
        features: Matching | None = None,
        feature_weight: float = 1.0,
        output_weight: float = 1.0,
        compute_metrics: Callable | None = None,
        callbacks: list | None = None,
        optimizers: tuple = (None, None),
        optimizer_cls_and_kwargs: tuple | None = None,
        preprocess_logits_for_metrics: Callable | None = None,
        **unknown,
    ):
        for name in unknown:
            if name in SYNONYMS:
                raise ValueError(f"DistillationTrainer knows no {name!r}: it is called {SYNONYMS[name]} here")
        runtime.check_names(unknown, list(inspect.signature(DistillationTrainer).parameters), "DistillationTrainer")
        kind = stored.kind_of(train_dataset) if isinstance(train_dataset, (datasets.Dataset, list, tuple)) else None
        if targets is None and teacher is None:
            targets = kind
        _check(alpha, temperature, beta, teacher, targets, kind, features, feature_weight, output_weight)
        names = [each for each in (model, teacher) if isinstance(each, str)]
        model, teacher = _loaded(model, torch.float32, "student"), _loaded(teacher, "auto", "teacher")
        _check_two(model, teacher)
        if peft_config is not None:
            model = get_peft_model(model, peft_config)
        _check_student(model, teacher)
        self.alpha, self.temperature, self.beta, self.targets = alpha, temperature, beta, targets
        self.features, self.feature_weight, self.output_weight = features, feature_weight, output_weight
        runs_teacher = features is not None or (alpha > 0 and targets is None)
        if teacher is not None and runs_teacher:
            check_head(teacher, "teacher")
        if len(names) == 2 and runs_teacher and processing_class is None:
            same_tokenizer(*names)
        if any(text.needs_tokenizer(rows) for rows in _each(train_dataset, eval_dataset)):
            processing_class = processing_class or _tokenizer_of(model, teacher)
            train_dataset = None if train_dataset is None else text.examples(processing_class, train_dataset)
            if isinstance(eval_dataset, dict):
                eval_dataset = {name: text.examples(processing_class, rows) for name, rows in eval_dataset.items()}
            elif eval_dataset is not None:
                eval_dataset = text.examples(processing_class, eval_dataset)
        args = (
            copy.copy(args)
            if args is not None
            else TrainingArguments(str(runtime.cache_folder() / "runs"), report_to="none")
        )
        args.remove_unused_columns = False  # the columns are for the collator, not for the model's forward pass
        # torch_compile=True compiles one layer, for all layers and shapes; a whole model would be compiled for each batch.
        os.environ.setdefault("ACCELERATE_DYNAMO_USE_REGIONAL_COMPILATION", "1")
        os.environ.setdefault("ACCELERATE_DYNAMO_USE_DYNAMIC", "1")
        super().__init__(
            model=_float32(model),
            args=one_gpu(args),
            data_collator=data_collator or Collate(_padding(processing_class, model)),
            train_dataset=train_dataset,
            eval_dataset=eval_dataset,
            processing_class=processing_class,
            compute_metrics=compute_metrics,
            callbacks=callbacks,
            optimizers=optimizers,
            optimizer_cls_and_kwargs=optimizer_cls_and_kwargs,
            preprocess_logits_for_metrics=preprocess_logits_for_metrics,
        )
        self.teacher = None if teacher is None else self._prepare_teacher(teacher)
        self.remove_callback(PrinterCallback)  # logged values are in state.log_history
        if not self.args.disable_tqdm:
            self.remove_callback(DEFAULT_PROGRESS_CALLBACK)
            self.add_callback(Bar)
        self._context = self._shortest_context()
        self._tokens, self._batches, self._parts, self._with_logits = 0, 0, self._new_parts(), False
        self.model_accepts_loss_kwargs = True  # ask the Trainer for num_items_in_batch, and not to divide by steps

    def _prepare_teacher(self, teacher):
        sizes = [head_of(model).weight.shape[0] for model in (self.model, teacher)]
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

    # --- training ---------------------------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None, **options):
        if resume_from_checkpoint is True:
            resume_from_checkpoint = last_checkpoint(self.args.output_dir)
            if resume_from_checkpoint is None:
                raise ValueError(f"there is no complete checkpoint in {self.args.output_dir}: train without resuming")
        if resume_from_checkpoint:
            folder = Path(resume_from_checkpoint)
            same_settings(folder / SETTINGS, self._settings(), f"the training in {folder.name}")
            if (ended := self._ended(folder)) is not None:
                return ended
        self._check_rows()
        self._tokens, self._batches, self._parts = 0, 0, self._new_parts()
        try:
            with runtime.threads(runtime.threads_for(self.model, self.teacher)), self._features_inside():
                output = super().train(resume_from_checkpoint=resume_from_checkpoint, **options)
        except Exception as error:
            self._explain(error)
            raise
        finally:
            _plain_again(self.model, self.is_fsdp_enabled)
        if self._batches and int(self._tokens) == 0:
            raise ValueError(_NOTHING)
        return output

    def _ended(self, checkpoint):
        """The end of a training whose last checkpoint is its last step; None if it has more to do.

        The Trainer would take one more step, wherever in an epoch the end lies.
        """
        state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))
        files = sorted(checkpoint.glob("*model*.safetensors"))
        if state.global_step < state.max_steps or not files:
            return None
        self.state, student = state, self.accelerator.unwrap_model(self.model)
        if hasattr(student, "peft_config"):
            set_peft_model_state_dict(student, load_peft_weights(str(checkpoint), device=str(self.args.device)))
        else:
            for file in files:
                load_model(student, file, strict=False, device=str(self.args.device))
        return TrainOutput(state.global_step, 0.0, {})

    @contextmanager
    def _features_inside(self) -> Iterator[None]:
        """Within the block what matches hidden states is a part of the student: so it is optimised, saved in checkpoints and
        shared between processes.
        """
        if self.features is None or hasattr(self.model, "features"):
            yield
            return
        self.model.add_module("features", self.features.to(self.args.device))
        try:
            yield
        finally:
            del self.model.features

    def _explain(self, error):
        """Turn an error of a checkpoint that could not be written into one sentence, and leave no half checkpoint."""
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        inside = str(getattr(error, "filename", None) or "").startswith(str(self.args.output_dir))
        if writing_failed(error) and (inside or (folder.exists() and not complete(folder))):
            if not complete(folder):
                shutil.rmtree(folder, ignore_errors=True)
            raise could_not_save(folder.name, "earlier checkpoints are as they were", error) from error

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False):
        """As `transformers.Trainer`, with the settings as JSON beside a checkpoint, and without their pickle."""
        super().save_model(output_dir, _internal_call)
        if self.args.should_save:
            folder = Path(output_dir or self.args.output_dir)
            (folder / "training_args.bin").unlink(missing_ok=True)
            if _internal_call:  # a checkpoint
                remember_settings(folder / SETTINGS, self._settings())

    def _settings(self) -> dict:
        """What decides the course of a training: a checkpoint goes on only with the same."""
        found, matching = deciding(self.args), self.features
        for name in ("alpha", "temperature", "beta", "targets", "feature_weight", "output_weight"):
            found[name] = getattr(self, name)
        found["features"] = (
            None if matching is None else [matching.kind, [list(pair) for pair in matching.layers.items()]]
        )
        student = self.accelerator.unwrap_model(self.model)
        found["student"] = f"{base_of(student).config.model_type}, {base_of(student).config.num_hidden_layers} layers"
        adapters = getattr(student, "peft_config", {}).values()
        found["adapters"] = [f"{each.peft_type.value} of rank {getattr(each, 'r', None)}" for each in adapters]
        taught = None if self.teacher is None else base_of(self.teacher)
        found["teacher"] = None if taught is None else f"{taught.config.model_type} {taught.name_or_path}"
        return found

    def _new_parts(self):
        names = ["features"] if self.features is not None else []
        if self.output_weight > 0:
            names += ["soft"] * (self.alpha > 0) + ["hard"] * (self.alpha < 1)
        return Parts(tuple(names))

    def log(self, logs: dict[str, float], start_time: float | None = None):
        if "loss" in logs:
            means = self._parts.means(self.accelerator)
            logs |= {name: value for name, value in means.items() if name != "total"}
            self._parts = self._new_parts()
        super().log(logs, start_time)

    # --- evaluation -------------------------------------------------------------------------------------------------------

    def evaluation_loop(self, *arguments, **options):
        """As `transformers.Trainer`, but every response token counts the same, whatever the batches."""
        training, self._parts = self._parts, self._new_parts()
        try:
            with self._features_inside():
                output = super().evaluation_loop(*arguments, **options)
            prefix = options.get("metric_key_prefix", "eval")
            means = self._parts.means(self.accelerator)
        finally:
            self._parts = training
        if f"{prefix}_loss" in output.metrics:
            output.metrics[f"{prefix}_loss"] = means.pop("total", 0.0)
            output.metrics.update({f"{prefix}_{name}": value for name, value in means.items()})
        return output

    def prediction_step(self, model, inputs, prediction_loss_only, ignore_keys=None):
        self._with_logits = not prediction_loss_only
        try:
            return super().prediction_step(model, inputs, prediction_loss_only, ignore_keys)
        finally:
            self._with_logits = False

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

    # --- the loss -----------------------------------------------------------------------------------------------------------

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        self._check_length(inputs, lambda place: f"row {place} of a batch at step {self.state.global_step}")
        columns = inputs["labels"][:, 1:]
        mask = columns != IGNORE
        labels, rows = columns[mask], mask.nonzero()[:, 0]
        student = self.accelerator.unwrap_model(model)
        head = head_of(student)
        teacher_states, teacher_layers = self._teacher_states(inputs)
        loss = self._loss_of_chunk(inputs, labels, teacher_states, last_step(student))

        def total_of(states, layers=None):
            total = 0.0
            if self.output_weight > 0:
                total = self.output_weight * chunked_loss(states, head, loss)
            if layers is not None:
                apart = student.features(layers, teacher_layers, rows)
                self._parts.add("features", apart)
                total = total + self.feature_weight * apart
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
        self._parts.add("total", total, tokens=len(labels))
        if num_items_in_batch is None:
            value = total / max(len(labels), 1)
        else:
            if model.training:
                self._batches, self._tokens = self._batches + 1, self._tokens + num_items_in_batch
            value = total / torch.as_tensor(num_items_in_batch).clamp(min=1)
            if self.args.average_tokens_across_devices:  # DDP takes the mean over processes, we want the sum
                value = value * self.accelerator.num_processes
        if not return_outputs:
            return value
        outputs = {"loss": value}
        if self._with_logits:  # what compute_metrics and predict need: all positions, as the model gives them
            outputs["logits"] = model(input_ids=inputs["input_ids"], attention_mask=inputs["attention_mask"]).logits
        return value, outputs

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

    def _loss_of_chunk(self, inputs, labels, teacher_states, finish):
        """``loss(logits, part)`` for `chunked_loss`: the sum over the positions of a part.

        `finish` is what the student does to its logits after the head.
        """

        def soft(logits, part):
            if self.targets is None:
                with torch.no_grad():
                    teacher_logits = logits_of(self.teacher, teacher_states[part])
                mean = generalized_jsd(logits, teacher_logits, self.beta, temperature=self.temperature)
                return self.temperature**2 * mean
            ids, weights = inputs["target_ids"][part], inputs["target_weights"][part]
            if self.targets == "sampled":
                return sampled_kl(logits, ids, weights, inputs["target_entropy"][part])
            return top_k_kl(logits, ids, weights, renormalise=self.targets == "naive_top_k")

        def loss(logits, part):
            logits, value = finish(logits), 0.0
            if self.alpha > 0:
                apart = len(logits) * soft(logits, part)
                self._parts.add("soft", apart)
                value = self.alpha * apart
            if self.alpha < 1:
                smoothing = self.args.label_smoothing_factor
                hard = F.cross_entropy(logits.float(), labels[part], reduction="sum", label_smoothing=smoothing)
                self._parts.add("hard", hard)
                value = value + (1 - self.alpha) * hard
            return value

        return loss


class Parts:
    """Sums of the parts of a loss over response tokens, until they are logged.

    Args:
        names: of the parts; the same on every process, though one may have had no token.
    """

    def __init__(self, names: tuple[str, ...] = ()):
        self.sums, self.tokens = dict.fromkeys((*names, "total"), 0.0), 0

    def add(self, name: str, value: torch.Tensor, tokens: int = 0) -> None:
        self.sums[name] = self.sums[name] + torch.as_tensor(value).detach().float()
        self.tokens += tokens

    def means(self, accelerator) -> dict[str, float]:
        """Each part over the tokens of all processes, which all have to call this; empty before the first token."""
        values = [*self.sums.values(), self.tokens]
        found = torch.tensor([float(value) for value in values], device=accelerator.device)
        *sums, tokens = accelerator.reduce(found, "sum").tolist() if accelerator.num_processes > 1 else found.tolist()
        return {name: value / tokens for name, value in zip(self.sums, sums)} if tokens else {}


# --- before it begins ---------------------------------------------------------------------------------------------------


def _loaded(model, dtype, whose):
    """A model, or the one of that name."""
    if not isinstance(model, str):
        return model
    try:
        return AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
    except (OSError, ValueError) as error:
        raise ValueError(f"the {whose} {model!r} cannot be loaded: check the name or folder; {error}") from error


def _float32(model):
    """A student whose trained weights are float32: smaller numbers would swallow most steps of a small learning rate."""
    half = (torch.float16, torch.bfloat16)
    return model.float() if any(w.requires_grad and w.dtype in half for w in model.parameters()) else model


def _padding(tokenizer, model):
    """A token to pad with; which one does not matter, since no padding is ever looked at."""
    numbers = [] if tokenizer is None else [tokenizer.pad_token_id, tokenizer.eos_token_id]
    numbers += [getattr(base_of(model).config, "pad_token_id", None), 0]
    return next(number for number in numbers if isinstance(number, int) and number >= 0)


def _each(train_dataset, eval_dataset):
    """All data sets that there are."""
    evals = eval_dataset.values() if isinstance(eval_dataset, dict) else [eval_dataset]
    return [rows for rows in (train_dataset, *evals) if rows is not None]


def _tokenizer_of(*models):
    """The tokenizer that belongs to the first of the models that names one."""
    for name in (base_of(model).name_or_path for model in models if model is not None):
        try:
            if name:
                return AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError):
            continue
    raise ValueError("texts need a tokenizer and none of the models names one: give processing_class=…")


def same_tokenizer(student: str, teacher: str) -> None:
    """Refuse a student and a teacher that give other numbers to tokens; one without a tokenizer is taken as it is."""
    found = []
    for name in (student, teacher):
        try:
            tokenizer = AutoTokenizer.from_pretrained(name)
        except (OSError, ValueError):
            return
        if set(tokenizer.get_vocab()) <= set(tokenizer.all_special_tokens):  # the library's stand-in for a missing one
            return
        found.append(tokenizer)
    if stored.tokenizer_fingerprint(found[0]) != stored.tokenizer_fingerprint(found[1]):
        raise ValueError(
            f"the student {student} has a tokenizer of {len(found[0])} tokens that is not the teacher's of "
            f"{len(found[1])}: the same number would mean another token, so choose a student and a teacher with one tokenizer"
        )


def _check_two(model, teacher):
    """Refuse a student that is its own teacher: their distance would be zero from the first step to the last."""
    if teacher is None:
        return
    if base_of(model) is base_of(teacher):
        raise ValueError(
            "the student is the teacher itself, or adapters put on it: copy.deepcopy the teacher first, so that only one "
            "of them learns"
        )


def _check_student(model, teacher):
    """Refuse what this trainer could not train right."""
    head = head_of(model)
    if type(head) is not torch.nn.Linear:
        raise ValueError(
            f"the student's head is a {type(head).__name__}, and only a plain torch.nn.Linear can be trained here: leave "
            "the head (lm_head) out of target_modules and modules_to_save, or merge the adapters"
        )
    learned = [weight for weight in model.parameters() if weight.requires_grad]
    taught = set() if teacher is None else {id(weight) for weight in teacher.parameters()}
    if learned and all(id(weight) in taught for weight in learned):
        raise ValueError(
            "every weight that the student would learn is the teacher's own: copy.deepcopy the teacher first"
        )
    check_head(model, "student")


def _plain_again(model, sharded):
    """Take accelerate's autocast off a model that has been trained, and the mark by which a second training would go
    without it. The library has no public name for that mark; `test_a_second_training_is_in_bfloat16_too` tells if it moved.
    """
    extract_model_from_parallel(model, keep_fp32_wrapper=False)  # what comes after would run in bfloat16 unasked
    if not sharded:
        vars(model).pop("_is_accelerate_prepared", None)


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


def _check(alpha, temperature, beta, teacher, targets, kind, features, feature_weight, output_weight):
    """Refuse settings that are no numbers, out of range, or do not go together."""
    named = {"alpha": alpha, "temperature": temperature, "beta": beta}
    named |= {"feature_weight": feature_weight, "output_weight": output_weight}
    for name, value in named.items():
        if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value):
            raise ValueError(f"{name} must be a finite number, and it is {value!r}")
        if name in ("alpha", "beta") and not 0 <= value <= 1:
            raise ValueError(f"{name} must lie between 0 and 1, and it is {value}")
        if value < 0 or (name == "temperature" and value == 0):
            raise ValueError(
                f"{name} must be {'positive' if name == 'temperature' else 'at least 0'}, and it is {value}"
            )
    if targets not in (None, "sampled", "top_k", "naive_top_k"):
        raise ValueError(f"targets must be None, 'sampled', 'top_k' or 'naive_top_k', and it is {targets!r}")
    if targets is not None and kind is not None and targets.removeprefix("naive_") != kind:
        raise ValueError(f"the rows hold {kind} targets and are to be read as {targets!r}: leave targets out")
    soft = alpha > 0 and output_weight > 0
    if soft and ((teacher is None) == (targets is None)) and (features is None or targets is None):
        raise ValueError("a soft loss needs a teacher or stored targets, and not both")
    if targets is not None and (temperature != 1 or beta != 0):
        raise ValueError(
            "stored targets hold the teacher at temperature 1 and for the forward KL: leave temperature at 1 and beta "
            "at 0, or put the teacher in the loop"
        )
    if features is not None and teacher is None:
        raise ValueError("matching hidden states needs the teacher in the loop: they are not among the stored targets")
    if output_weight == 0 and features is None:
        raise ValueError("with output_weight=0 and no features there is nothing to learn from")
