"""On-policy distillation: the student writes, the teacher scores each token, the student learns where it went itself.

`OnPolicyTrainer` is a `DistillationTrainer` whose batches may be written by the student or by the teacher; `write` is
how.
"""

import inspect
import math
import numbers
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import datasets
import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch.func import functional_call
from torch.nn.utils.rnn import pad_sequence
from transformers import DynamicCache, PreTrainedModel, TrainingArguments

from distill_lessons import runtime
from distill_lessons.losses import IGNORE, generalized_jsd
from distill_lessons.models import base_of, evaluating, logits_of
from distill_lessons.teacher import text
from distill_lessons.teacher.generation import end_tokens
from distill_lessons.training import estimators
from distill_lessons.training.checkpoints import last_checkpoint
from distill_lessons.training.trainer import SYNONYMS, DistillationTrainer

DECIDING = (
    "lmbda", "seq_kd", "sampling_temperature", "max_new_tokens", "updates_per_generation", "estimator", "top_k",
)  # fmt: skip
ESTIMATORS = ("full", "top_k", "k1", "k2", "k3")
OURS = ("student", "stale")  # what the log has beside the parts of the loss


# --- Writing ----------------------------------------------------------------------------------------------------------


class Written(NamedTuple):
    """A response as token ids, with its end token if it has one, and each token's log-probability when it was drawn."""

    ids: list[int]
    log_probs: list[float]


@torch.no_grad()
def write(
    model: PreTrainedModel,
    prompts: Sequence[Sequence[int]],
    ends: Sequence[int],
    uniforms: np.ndarray,
    temperature: float = 1.0,
    dtype: torch.dtype | None = None,
) -> list[Written]:
    """A model's responses to prompts of token ids, all in one batch, with a cache of keys and values.

    The model runs in eval mode and without gradient, and is left as it was. It may be in training. Nothing is cut off
    its distribution, and no setting of its own counts. A token is found where the cumulated probabilities pass a
    uniform number of the row's own: so a row's text depends neither on the rows beside it nor on the process that
    writes it.

    Args:
        prompts: token ids, none empty; padded on the left here.
        ends: tokens that end a response.
        uniforms: ``[B, L]``, numbers in [0, 1) (`uniform`); L is the longest that a response may be.
        temperature: 0 takes the likeliest token; the log-probabilities are then those of temperature 1.
        dtype: linear layers run in this copy of their weights, made once and gone afterwards; None leaves them.
    Raises:
        ValueError: there is an empty prompt; the model takes no cache or no positions.
    """
    if not all(len(prompt) for prompt in prompts):
        raise ValueError("a prompt is empty: a response needs at least one token before it")
    known = inspect.signature(type(base_of(model)).forward).parameters
    cache_name = next((name for name in ("cache", "past_key_values") if name in known), None)
    if cache_name is None or "position_ids" not in known:
        raise ValueError(
            f"{type(base_of(model)).__name__} takes no cache or no positions: choose a model of another family"
        )
    wide = torch.float32 if model.device.type == "mps" else torch.float64  # which an MPS device does not have
    uniforms = torch.as_tensor(uniforms, dtype=wide).to(model.device)
    options = {"use_cache": True} | ({"logits_to_keep": 1} if "logits_to_keep" in known else {})
    rows = [torch.as_tensor(prompt, dtype=torch.long, device=model.device) for prompt in prompts]
    found = [Written([], []) for _ in rows]

    def loop(model):
        """All steps: one function, so that `dtype`'s weights are lent once."""
        cache = DynamicCache(config=base_of(model).config.get_text_config())
        ids = pad_sequence(rows, batch_first=True, padding_side="left")
        seen = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True, padding_side="left")
        places, alive = (seen.cumsum(1) - 1).clamp(min=0), torch.arange(len(rows), device=ids.device)
        for step in range(uniforms.shape[1]):
            inputs = {"input_ids": ids, "attention_mask": seen, "position_ids": places, cache_name: cache}
            tokens, log_probs = _draw(model(**inputs, **options).logits[:, -1], uniforms[alive, step], temperature)
            for row, token, log_prob in zip(alive.tolist(), tokens.tolist(), log_probs.tolist()):
                found[row].ids.append(token)
                found[row].log_probs.append(log_prob)
            going = ~torch.isin(tokens, torch.as_tensor(ends, dtype=torch.long, device=tokens.device))
            if not going.any():
                return
            ids, places = tokens[:, None], places[:, -1:] + 1
            if not going.all():  # a finished row costs no more
                cache.batch_select_indices(going.nonzero()[:, 0])
                ids, places, seen, alive = ids[going], places[going], seen[going], alive[going]
            seen = torch.cat([seen, seen.new_ones(len(seen), 1)], 1)

    with evaluating(model):
        if dtype is None:
            loop(model)
        else:
            layers = {name: layer for name, layer in model.named_modules() if type(layer) is torch.nn.Linear}
            lent = {f"model.{name}.weight": layer.weight.to(dtype) for name, layer in layers.items()}
            functional_call(_Running(model, loop), lent, tie_weights=False)  # a tied embedding stays as it is
    return found


class _Running(torch.nn.Module):
    """A function of a model as a module, which `functional_call` can lend weights to for all that it does."""

    def __init__(self, model, function):
        super().__init__()
        self.model, self.function = model, function

    def forward(self):
        return self.function(self.model)


def _draw(logits, uniforms, temperature):
    """A token for each row of logits ``[B, V]`` and its log-probability ``[B]``."""
    log_p = (logits.float() / (temperature or 1.0)).log_softmax(-1)
    if temperature == 0:
        tokens = log_p.argmax(-1)
    else:
        up_to = log_p.exp().cumsum(-1, dtype=uniforms.dtype)
        passed = torch.searchsorted(up_to, uniforms[:, None] * up_to[:, -1:], right=True)
        tokens = passed.clamp(max=logits.shape[-1] - 1).squeeze(-1)
    return tokens, log_p.gather(-1, tokens[:, None]).squeeze(-1)


def uniform(seed: int, update: int, rows: Sequence[int], count: int) -> np.ndarray:
    """Uniform numbers ``[rows, count]`` for rows of an update: the same wherever and whenever they are asked for."""
    return np.stack([np.random.default_rng([seed, update, row + 1]).random(count) for row in rows])


def prompts_of(batch: Mapping[str, torch.Tensor]) -> list[list[int]]:
    """The prompts of a batch, padded on either side: what stands before a row's first label, or all without one."""
    found = []
    for ids, seen, labels in zip(batch["input_ids"], batch["attention_mask"], batch["labels"]):
        learned = (labels != IGNORE).nonzero()
        before = slice(int(learned[0]) if len(learned) else len(ids))
        found.append(ids[before][seen[before] == 1].tolist())
    return found


def example(prompt: Sequence[int], written: Written) -> dict:
    """A prompt and its response as `teacher.text` has them: input_ids, and labels that are -100 on the prompt."""
    return {"input_ids": [*prompt, *written.ids], "labels": [IGNORE] * len(prompt) + written.ids}


# --- Training ---------------------------------------------------------------------------------------------------------


class OnPolicyTrainer(DistillationTrainer):
    """A `DistillationTrainer` that learns from what the student writes, in a share `lmbda` of its updates.

    Args:
        model, teacher, args, and whatever is not named here: as `DistillationTrainer`, `targets` left out: the teacher
            runs beside the student.
        train_dataset: as `DistillationTrainer`; where a model writes, a row's own response is not read, and rows may be
            prompts alone: labels all -100, or texts with no more than a prompt (which need `processing_class`).
        lmbda: share of the updates whose text the student writes, in [0, 1].
        beta: 0 forward KL, 1 reverse KL, between them the generalised JSD; on all text, whoever wrote it.
        seq_kd: the teacher writes the other updates; otherwise they take the rows' own responses.
        sampling_temperature: of whoever writes; 0 takes the likeliest token.
        max_new_tokens: a response is cut there; a cut one has no end token to learn.
        updates_per_generation: so many updates' texts are written at once, and each is learned from once. The last of
            them are by then as many updates old, less one.
        estimator: of the loss on student-written text: "full" sums over the vocabulary; "top_k" takes the student's
            `top_k` likeliest tokens and a rest, "k1", "k2" and "k3" the written token alone (`training.estimators`).
            All but "full" are of the reverse KL at temperature 1, and need lmbda = 1.
    Raises:
        ValueError: as `DistillationTrainer`; settings out of range or that do not go together; a row without a prompt,
            or too long for `max_new_tokens` more.

    Student-written text has no hard term, whatever `alpha` is: its labels are the student's own draws, and the mean of
    their cross-entropy's gradient is zero: mere noise, and below temperature 1 praise of what it says already.

    The gradient takes the text as given: it does not flow through the choice of earlier tokens, as in GKD and TRL
    (MiniLLM adds that part). Nor are old texts weighed by an importance ratio (`estimators.prefix_ratios` is what that
    would be). Instead the log has ``stale``: KL(who wrote ‖ who learns now), estimated from the tokens
    (`estimators.k3`), in nats per token. It is 0 in the first update after a generation, but for rounding. And it has
    ``student``, the share of tokens that the student wrote. All parts in the log are per response token of all: divide
    by the share for one of its own.

    Who writes an update, and every token of it, follows from `args.seed` and the update's number: two processes write
    what one would, and a resumed training what an uninterrupted one would. Texts not yet learned from are in the
    checkpoint. Evaluation reads the rows as they are. With `args.bf16` the teacher's layers run in bfloat16 too.
    Source: Agarwal et al. 2024 (GKD), algorithm 1.
    """

    def __init__(
        self,
        model: PreTrainedModel | torch.nn.Module | str,
        teacher: PreTrainedModel | torch.nn.Module | str,
        args: TrainingArguments | None = None,
        *,
        train_dataset: Any = None,
        lmbda: float = 1.0,
        beta: float = 1.0,
        seq_kd: bool = False,
        sampling_temperature: float = 1.0,
        max_new_tokens: int = 64,
        updates_per_generation: int = 1,
        estimator: str = "full",
        top_k: int = 32,
        **rest,
    ):
        ours, theirs = (inspect.signature(kind).parameters for kind in (OnPolicyTrainer, DistillationTrainer))
        runtime.check_names(rest, [*ours, *theirs, *SYNONYMS], "OnPolicyTrainer")
        self.lmbda, self.seq_kd, self.sampling_temperature = lmbda, seq_kd, sampling_temperature
        self.max_new_tokens, self.updates_per_generation = max_new_tokens, updates_per_generation
        self.estimator, self.top_k = estimator, top_k
        if teacher is None:
            raise ValueError("on-policy distillation needs a teacher beside the student: give one")
        self._check_settings(beta, rest)
        train_dataset = _bare_prompts(train_dataset, rest.get("processing_class"))
        self._block, self._read_ahead = [], 0
        super().__init__(model, teacher, args, train_dataset=train_dataset, beta=beta, **rest)
        if self.is_fsdp_enabled or self.is_deepspeed_enabled:
            raise ValueError("a student whose weights are split over processes cannot write here: train with plain DDP")

    def _check_settings(self, beta, rest):
        alpha, temperature = rest.get("alpha", 1.0), rest.get("temperature", 1.0)
        for name, least, most in (("lmbda", 0, 1), ("sampling_temperature", 0, math.inf)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Real) or not least <= value <= most:
                raise ValueError(f"{name} must be a number of at least {least} and at most {most}, and it is {value!r}")
        for name in ("max_new_tokens", "updates_per_generation", "top_k"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, numbers.Integral) or value < 1:
                raise ValueError(f"{name} must be a whole number of at least 1, and it is {value!r}")
        if self.estimator not in ESTIMATORS:
            raise ValueError(f"estimator must be one of {', '.join(ESTIMATORS)}, and it is {self.estimator!r}")
        if rest.get("targets") is not None:
            raise ValueError(
                "stored targets are of stored texts: leave targets out, the teacher scores what is written"
            )
        if self.lmbda > 0 and alpha == 0:
            raise ValueError(
                "with alpha=0 nothing is learned from what the student writes: raise alpha, or set lmbda=0"
            )
        if self.estimator != "full" and (self.lmbda, beta, temperature) != (1, 1, 1):
            raise ValueError(
                f"the estimator {self.estimator!r} is of the reverse KL on the student's own text: set lmbda, beta and "
                f"temperature to 1; they are {self.lmbda}, {beta} and {temperature}"
            )
        if self.estimator in ("k1", "k2", "k3") and self.sampling_temperature != 1:
            raise ValueError(f"{self.estimator} needs tokens drawn at temperature 1: set sampling_temperature=1")

    def _settings(self) -> dict:
        return super()._settings() | {name: getattr(self, name) for name in DECIDING}

    # --- what is written, and when ------------------------------------------------------------------------------------

    def train(self, resume_from_checkpoint: str | bool | None = None, **options):
        asked = resume_from_checkpoint
        folder = last_checkpoint(self.args.output_dir) if asked is True else asked
        self._block = self._stored(Path(folder)) if folder else []
        self._read_ahead = len(self._block)
        return super().train(resume_from_checkpoint, **options)

    def get_batch_samples(self, epoch_iterator: Iterator, num_batches: int, device: torch.device):
        """As `transformers.Trainer`: the batches of one update and their number of tokens, once they are written."""
        return super().get_batch_samples(self._of_update(epoch_iterator, num_batches), num_batches, device)

    def _of_update(self, epoch_iterator, num_batches):
        """The batches of one update: read, or written now, or written in an update before."""
        for _ in range(self._read_ahead):  # their texts came with the checkpoint
            next(epoch_iterator, None)
        self._read_ahead, step = 0, self.state.global_step
        if not self._block:
            writer = self._writer(step // self.updates_per_generation)
            if writer is None:
                yield from islice(epoch_iterator, num_batches)
                return
            left = self.updates_per_generation - step % self.updates_per_generation
            count = min(left, self.state.max_steps - step) * num_batches
            self._block = self._written(writer, list(islice(epoch_iterator, count)), step)
        for _ in range(min(num_batches, len(self._block))):
            yield self._block.pop(0)

    def _writer(self, number):
        """Who writes the texts of the generation of this number: a model, or None for the rows' own."""
        if np.random.default_rng([self.args.seed, number]).random() < self.lmbda:
            return self.model
        return self.teacher if self.seq_kd else None

    def _written(self, writer, batches, step):
        """The batches with responses by `writer` in place of their own."""
        prompts = [prompts_of(batch) for batch in batches]
        for each in (prompt for group in prompts for prompt in group):
            self._check_prompt(len(each), f"a row of a batch at step {step}")
        processes, process, size = self.args.world_size, self.args.process_index, self.args.train_batch_size
        rows = [
            (number * processes + process) * size + place
            for number, group in enumerate(prompts)
            for place in range(len(group))
        ]
        by_student = writer is self.model
        model = self.accelerator.unwrap_model(writer) if by_student else writer
        half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(self.accelerator.mixed_precision)
        with self.accelerator.autocast() if by_student else nullcontext():
            every = write(
                model,
                [prompt for group in prompts for prompt in group],
                end_tokens(base_of(model), self.processing_class),
                uniform(self.args.seed, step, rows, self.max_new_tokens),
                self.sampling_temperature,
                half if by_student else None,
            )
        made, responses = [], iter(every)
        for group in prompts:
            texts = [next(responses) for _ in group]
            batch = text.Padded(0)([example(prompt, each) for prompt, each in zip(group, texts)])
            if by_student:
                batch["log_probs"] = torch.zeros(batch["labels"].shape)
                batch["log_probs"][batch["labels"] != IGNORE] = torch.tensor(
                    [x for each in texts for x in each.log_probs]
                )
            made.append(batch)
        return made

    def _check_rows(self):
        rows, written = self.train_dataset, self.lmbda > 0 or self.seq_kd
        if self.lmbda < 1 and not self.seq_kd:
            super()._check_rows()
        if written and isinstance(rows, (list, tuple)):
            for place, row in enumerate(rows):
                labels = [int(label) for label in row.get("labels", row["input_ids"])]
                length = next((i for i, label in enumerate(labels) if label != IGNORE), len(labels))
                self._check_prompt(length, f"example {row.get('id', place)!r}")

    def _check_prompt(self, length, name):
        limit, whose = self._context
        if length == 0:
            raise ValueError(f"{name} has no prompt to write a response to: its labels must be -100 on the prompt")
        if length + self.max_new_tokens > limit:
            raise ValueError(
                f"{name} has a prompt of {length} tokens, the {whose} reads {limit}, and max_new_tokens is "
                f"{self.max_new_tokens}: cut the prompt, leave it out or write less"
            )

    # --- checkpoints --------------------------------------------------------------------------------------------------

    def _file(self, folder):
        return Path(folder) / f"written-{self.args.process_index}-of-{self.args.world_size}.safetensors"

    def save_model(self, output_dir: str | None = None, _internal_call: bool = False):
        """As `DistillationTrainer`, and in a checkpoint also the texts that are written and not yet learned from."""
        super().save_model(output_dir, _internal_call)
        if not _internal_call:
            return
        file = self._file(output_dir)
        file.unlink(missing_ok=True)
        if self._block:
            file.parent.mkdir(parents=True, exist_ok=True)
            tensors = {f"{n}.{name}": tensor for n, batch in enumerate(self._block) for name, tensor in batch.items()}
            with runtime.replacing(file) as temporary:
                save_file(tensors, temporary)

    def _stored(self, folder):
        """The texts that a checkpoint holds for this process."""
        file = self._file(folder)
        others = sorted(folder.glob("written-*.safetensors"))
        if not file.is_file():
            if others:
                raise ValueError(
                    f"{folder.name} holds texts that other processes wrote ({others[0].name}): go on with as many"
                )
            return []
        batches = {}
        for name, tensor in load_file(file).items():
            number, column = name.split(".")
            batches.setdefault(int(number), {})[column] = tensor
        return [batches[number] for number in sorted(batches)]

    # --- the loss -----------------------------------------------------------------------------------------------------

    def _new_parts(self):
        parts = super()._new_parts()
        parts.sums |= dict.fromkeys(OURS, 0.0)
        return parts

    def evaluation_loop(self, *arguments, **options):
        """As `DistillationTrainer`; nothing is written in an evaluation."""
        output = super().evaluation_loop(*arguments, **options)
        for name in OURS:
            output.metrics.pop(f"{options.get('metric_key_prefix', 'eval')}_{name}", None)
        return output

    def _teacher_states(self, inputs):
        """As `DistillationTrainer`, in the student's own precision: the teacher's pass is half of an update."""
        with self.accelerator.autocast():
            return super()._teacher_states(inputs)

    def _loss_of_chunk(self, inputs, labels, teacher_states, finish) -> Callable:
        if "log_probs" not in inputs:  # not the student's own text
            return super()._loss_of_chunk(inputs, labels, teacher_states, finish)
        then = inputs["log_probs"][:, 1:][inputs["labels"][:, 1:] != IGNORE]

        def loss(logits, part):
            logits, tokens = finish(logits), labels[part]
            with torch.no_grad():
                teacher_logits = logits_of(self.teacher, teacher_states[part])
                now = _log_probs(logits, tokens, self.sampling_temperature or 1.0)
                self._parts.add("student", len(tokens))
                self._parts.add("stale", estimators.k3(then[part], now).sum())
            apart = self._apart(logits, teacher_logits, tokens)
            self._parts.add("soft", apart)
            return self.alpha * apart

        return loss

    def _apart(self, logits, teacher_logits, tokens):
        """The sum over positions of what is between student and teacher."""
        if self.estimator == "full":
            mean = generalized_jsd(logits, teacher_logits, self.beta, temperature=self.temperature)
            return self.temperature**2 * len(logits) * mean
        if self.estimator == "top_k":
            return estimators.top_k_reverse_kl(logits, teacher_logits, min(self.top_k, logits.shape[-1])).sum()
        return getattr(estimators, self.estimator)(_log_probs(logits, tokens), _log_probs(teacher_logits, tokens)).sum()


def _log_probs(logits, tokens, temperature=1.0):
    """Log-probabilities of tokens ``[N]`` under logits ``[N, V]``."""
    logits = logits.float() / temperature if temperature != 1 else logits.float()
    return logits.gather(-1, tokens[:, None]).squeeze(-1) - logits.logsumexp(-1)


def _bare_prompts(rows, tokenizer):
    """Rows, with those that are a prompt alone as token ids without anything to learn."""
    if isinstance(rows, datasets.Dataset) and "prompt" in rows.column_names:
        rows = list(rows)
    if not isinstance(rows, (list, tuple)):
        return rows

    def bare(row):
        answer = any(row.get(name) is not None for name in ("input_ids", "messages", "completion", "response"))
        return isinstance(row, Mapping) and row.get("prompt") is not None and not answer

    if tokenizer is None and any(bare(row) for row in rows):
        raise ValueError("prompts without responses need a tokenizer: give processing_class=…")
    made = []
    for row in rows:
        if bare(row):
            ids = text.prompt_ids(tokenizer, row["prompt"])
            row = ({"id": row["id"]} if "id" in row else {}) | {"input_ids": ids, "labels": [IGNORE] * len(ids)}
        made.append(row)
    return made
