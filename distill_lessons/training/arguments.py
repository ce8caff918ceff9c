"""How the course trains: its `TrainingArguments`, and LoRA adapters."""

import dataclasses

from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PreTrainedModel, TrainingArguments

from distill_lessons import runtime


def lora(student: PreTrainedModel, rank: int = 16, **changes) -> PeftModel:
    """The student with LoRA adapters on all its linear layers but the head, and everything else frozen.

    `changes` go to `peft.LoraConfig`. ``merge_and_unload()`` turns the trained adapters back into plain weights.
    Source: Hu et al. 2022.

    Raises:
        ValueError: an unknown setting (names the nearest).
    """
    options = {"r": rank, "lora_alpha": 2 * rank, "target_modules": "all-linear", "task_type": "CAUSAL_LM"}
    runtime.check_names(changes, [each.name for each in dataclasses.fields(LoraConfig)], "LoraConfig")
    return get_peft_model(student, LoraConfig(**options | changes))


def settings(
    steps: int | None = None, batch_size: int = 4, learning_rate: float = 7e-4, seed: int = 0, **changes
) -> TrainingArguments:
    """The course's `TrainingArguments`: AdamW (betas 0.9 and 0.95, no weight decay), five steps of warm-up, then cosine.

    Examples are taken in the data set's own order, so that the caller decides it. `changes` override anything, and what
    they ask for happens: with `save_steps` it saves at steps, with `eval_steps` it evaluates, with `num_train_epochs` it
    counts epochs (and `steps` is left out).

    Raises:
        ValueError: an unknown setting (names the nearest); both `steps` and `num_train_epochs`, or neither.
    """
    runtime.check_names(changes, [each.name for each in dataclasses.fields(TrainingArguments)], "TrainingArguments")
    given = [steps is not None or "max_steps" in changes, "num_train_epochs" in changes]
    if sum(given) != 1:
        raise ValueError("give the length of the training once: steps, or num_train_epochs")
    named = {"per_device_train_batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
    length = {} if steps is None else {"max_steps": steps}
    return one_gpu(TrainingArguments(**defaults(named | length | changes)))


def defaults(changes: dict) -> dict:
    """The course's settings with some of them changed, and with what the changes imply."""
    found = {
        "output_dir": str(runtime.cache_folder() / "runs"),
        "per_device_train_batch_size": 4,
        "learning_rate": 7e-4,
        "lr_scheduler_type": "cosine",
        "warmup_steps": 5,
        "weight_decay": 0.0,
        "adam_beta2": 0.95,
        "max_grad_norm": 1.0,
        "seed": 0,
        "train_sampling_strategy": "sequential",
        "remove_unused_columns": False,
        "logging_steps": 1,
        "save_strategy": "steps" if "save_steps" in changes else "no",
        "eval_strategy": "steps" if "eval_steps" in changes else "no",
        "report_to": "none",
        "disable_tqdm": not runtime.progress(),
        "use_cpu": runtime.device().type == "cpu",
    }
    return found | changes


DECIDES = (
    "learning_rate", "lr_scheduler_type", "lr_scheduler_kwargs", "warmup_steps", "optim", "adam_beta1", "adam_beta2",
    "adam_epsilon", "weight_decay", "max_grad_norm", "max_steps", "num_train_epochs", "label_smoothing_factor", "seed",
    "data_seed", "train_sampling_strategy", "bf16", "fp16",
)  # fmt: skip


def deciding(arguments: TrainingArguments) -> dict:
    """Those settings that decide what is learned: a training goes on from a checkpoint only with the same.

    How it is logged, saved and measured, and on how many devices the same batch lies, is free.
    """
    every = arguments.to_dict()
    batch = arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size
    return {name: every[name] for name in DECIDES if name in every} | {"batch": batch}


def one_gpu(arguments: TrainingArguments) -> TrainingArguments:
    """The same arguments, with one GPU for this process: several are for accelerate, and never for DataParallel.

    The library counts the GPUs that it sees, and offers no public way to say otherwise.
    """
    arguments._n_gpu = min(arguments.n_gpu, 1)
    return arguments
