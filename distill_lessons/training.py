"""Training: `fit` for the small classifiers, `DistillationTrainer` (a `transformers.Trainer`) for language models."""

import torch
import torch.nn.functional as F
from transformers import PrinterCallback, Trainer, TrainingArguments

from distill_lessons import runtime
from distill_lessons.losses import IGNORE, distillation_loss, forward_kl


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
        batch: input_ids, attention_mask and labels, ``[B, L]`` each, labels -100 on prompt and padding.
    Returns:
        logits ``[N, V]`` and labels ``[N]``, already shifted: row n of the logits predicts label n.
    Raises:
        ValueError: the batch has no response token.
    """
    labels = batch["labels"][:, 1:]
    mask = labels != IGNORE
    columns = mask.any(0).nonzero().squeeze(-1)
    if len(columns) == 0:
        raise ValueError("the batch has no response token to learn from: leave out rows whose labels are all -100")
    output = model(
        input_ids=batch["input_ids"], attention_mask=batch["attention_mask"], logits_to_keep=columns, use_cache=False
    )
    return output.logits[mask[:, columns]], labels[mask]


class DistillationTrainer(Trainer):
    """A `transformers.Trainer` whose loss is `losses.distillation_loss` against a teacher in the loop.

    Args:
        teacher: frozen here, in eval mode; sees the same batches as the student.
        alpha, temperature: as in `distillation_loss`; alpha=0 trains on the text alone and never runs the teacher.
        Everything else as `transformers.Trainer`.

    The loss is the sum over response tokens divided by their number in the whole accumulated batch, so that it does not
    depend on the split into micro-batches.
    """

    def __init__(self, *arguments, teacher, alpha=1.0, temperature=1.0, **options):
        super().__init__(*arguments, **options)
        self.teacher = teacher.to(self.args.device).eval().requires_grad_(False)
        self.alpha, self.temperature = alpha, temperature
        self.remove_callback(PrinterCallback)  # logged values are in state.log_history
        self.model_accepts_loss_kwargs = True  # ask the Trainer for num_items_in_batch, and not to divide by steps

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        logits, labels = response_logits(model, inputs)
        if self.alpha == 0:
            value = F.cross_entropy(logits.float(), labels)
        else:
            with torch.no_grad():
                teacher_logits, _ = response_logits(self.teacher, inputs)
            if self.alpha == 1:  # nobody asks for the hard part: save its pass over the vocabulary
                value = self.temperature**2 * forward_kl(logits, teacher_logits, temperature=self.temperature)
            else:
                value = distillation_loss(logits, teacher_logits, labels, self.alpha, self.temperature).total
        if num_items_in_batch is not None:
            value = value * len(labels) / num_items_in_batch
        return (value, {"logits": logits}) if return_outputs else value


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
        "disable_tqdm": True,
        "use_cpu": runtime.device().type == "cpu",
    }
    return TrainingArguments(**defaults | changes)
