"""Train a student from stored targets or beside its teacher, on one process or many, through accelerate.

One process: ``python -m distill_lessons.training.run --config run.json``. Several, on one machine or more, with DDP or FSDP:
``accelerate launch [--config_file …] -m distill_lessons.training.run --config run.json``. The config is JSON: the fields of `Run`,
and under "arguments" any of `transformers.TrainingArguments`.
"""

import argparse
import json
import sys
from dataclasses import dataclass, field, fields
from pathlib import Path

from transformers import AutoModelForCausalLM, AutoTokenizer

from distill_lessons import runtime, training
from distill_lessons.pairs import smollm
from distill_lessons.teacher import targets
from distill_lessons.teacher.text import collator, encode


@dataclass
class Run:
    """What is trained on what. Paths are relative to the working directory.

    Args:
        output: folder of checkpoints and, at the end, of the student (safetensors).
        depth: layers of a student made of the teacher's.
        student: a model id or folder to train instead; then depth is not used.
        targets: a folder that `targets.store` filled. Without one the course's prompts are used, with the teacher beside.
        kind: how stored targets are read: "sampled", "top_k" or "naive_top_k".
        alpha, temperature, beta: as in `training.DistillationTrainer`.
        lora: rank of LoRA adapters to train instead of all weights; 0 for all.
        arguments: of `transformers.TrainingArguments`.
    """

    output: str
    depth: int = 16
    student: str | None = None
    targets: str | None = None
    kind: str = "sampled"
    alpha: float = 1.0
    temperature: float = 1.0
    beta: float = 0.0
    lora: int = 0
    arguments: dict = field(default_factory=dict)


def read(path):
    """A `Run` from a JSON file.

    Raises:
        ValueError: the file cannot be read, or has a field that does not exist (says which there are).
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"the config {path} cannot be read: {error}") from error
    known = [each.name for each in fields(Run)]
    unknown = sorted(set(values) - set(known))
    if unknown or "output" not in values:
        what = f"unknown: {', '.join(unknown)}" if unknown else "output is missing"
        raise ValueError(f"the config {path} does not fit ({what}); its fields are {', '.join(known)}")
    return Run(**values)


def train(run):
    """Train as a `Run` says, going on from the last complete checkpoint in its output folder; returns the trainer.

    Raises:
        ValueError: the student has a tokenizer of its own, and not the teacher's; and as `training.DistillationTrainer`.
        OSError: the disk is full.
    """
    tokenizer = smollm.tokenizer()
    if run.student:
        _check_tokenizer(run.student, tokenizer)
    teacher = smollm.teacher()
    student = AutoModelForCausalLM.from_pretrained(run.student) if run.student else smollm.student(teacher, run.depth)
    if run.lora:
        student = training.lora(student, run.lora)
    if run.targets:
        vocabulary = student.get_output_embeddings().weight.shape[0]
        data = targets.load(run.targets, tokenizer, vocabulary)
        collate, beside, kind = targets.Collator(tokenizer.pad_token_id), None, run.kind
    else:
        data, collate = encode(tokenizer, smollm.rows("train")), collator(tokenizer)
        beside, kind = teacher, None
    arguments = {"steps": 100, "output_dir": run.output, "save_strategy": "steps", "save_steps": 50} | run.arguments
    trainer = training.DistillationTrainer(
        model=student,
        teacher=beside,
        targets=kind,
        alpha=run.alpha,
        temperature=run.temperature,
        beta=run.beta,
        args=training.settings(**arguments),
        train_dataset=data,
        data_collator=collate,
    )
    trainer.train(resume_from_checkpoint=training.last_checkpoint(run.output))
    if trainer.is_fsdp_enabled:  # the student in one piece, whatever form its checkpoints have
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    with training.saving("the student", "its checkpoints are as they were"):
        trainer.save_model(run.output)
        if trainer.is_world_process_zero():
            (Path(run.output) / "training_args.bin").unlink(missing_ok=True)  # a pickle, and the config says it all
            tokenizer.save_pretrained(run.output)
            trainer.state.save_to_json(str(Path(run.output) / "trainer_state.json"))
    return trainer


def _check_tokenizer(student, tokenizer):
    """Refuse a student whose own tokenizer gives other numbers to tokens; one without a tokenizer is taken as it is."""
    try:
        own = AutoTokenizer.from_pretrained(student)
    except (OSError, ValueError):
        return
    if set(own.get_vocab()) <= set(own.all_special_tokens):  # the library's stand-in for one that is not there
        return
    if targets.tokenizer_fingerprint(own) != targets.tokenizer_fingerprint(tokenizer):
        raise ValueError(
            f"the student {student} has a tokenizer of {len(own)} tokens that is not the teacher's of {len(tokenizer)}: "
            "the same number would mean another token, so choose a student and a teacher with one tokenizer"
        )


def main():
    parser = argparse.ArgumentParser(prog="python -m distill_lessons.training.run", description=__doc__.splitlines()[0])
    parser.add_argument("--config", required=True, help="a JSON file with the fields of distill_lessons.train.Run")
    options = parser.parse_args()
    runtime.start()
    try:
        train(read(options.config))
    except (ValueError, OSError) as error:
        sys.exit(f"train: {error}")


if __name__ == "__main__":
    main()
