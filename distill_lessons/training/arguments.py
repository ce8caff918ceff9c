"""How the course trains: its `TrainingArguments`, and LoRA adapters."""

from peft import LoraConfig, get_peft_model
from transformers import TrainingArguments

from distill_lessons import runtime


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
