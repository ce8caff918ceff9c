"""Train a student as a file or a command line says, on one process or many, through accelerate.

``python -m distill_lessons train run.json --learning_rate 1e-3`` on one process; several, on one machine or more, with DDP
or FSDP: ``accelerate launch [--config_file …] -m distill_lessons train run.json``, or torchrun. The file is JSON: the fields
of `Run` and any of `transformers.TrainingArguments`, side by side; what stands on the command line wins.
"""

import dataclasses
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import datasets
import torch
from peft import PeftModel
from torch import distributed
from transformers import AutoModelForCausalLM, AutoTokenizer, HfArgumentParser, PreTrainedModel, TrainingArguments

from distill_lessons import runtime
from distill_lessons.models import students
from distill_lessons.teacher import targets, text
from distill_lessons.training import checkpoints
from distill_lessons.training.arguments import deciding, defaults, lora, one_gpu
from distill_lessons.training.features import KINDS, Matching, last_map, uniform_map
from distill_lessons.training.trainer import DistillationTrainer, same_tokenizer

STEPS = 100  # of a run that says nothing about its length
READERS = {
    ".jsonl": datasets.Dataset.from_json,
    ".json": datasets.Dataset.from_json,
    ".parquet": datasets.Dataset.from_parquet,
    ".csv": datasets.Dataset.from_csv,
}


@dataclass
class Run:
    """What is trained on what. Paths are relative to the working directory."""

    teacher: str | None = field(
        default=None, metadata={"help": "model id or folder; runs beside the student, or is cut"}
    )
    student: str | None = field(
        default=None, metadata={"help": "model id or folder; by default some of the teacher's layers"}
    )
    depth: int = field(default=16, metadata={"help": "layers of a student that is made of the teacher's"})
    data: str | None = field(
        default=None,
        metadata={"help": "jsonl, parquet or csv of rows to learn from; with a column split, its train part"},
    )
    targets: str | None = field(default=None, metadata={"help": "folder that targets.store filled, instead of data"})
    alpha: float = field(default=1.0, metadata={"help": "weight of the soft part, 0 to 1"})
    temperature: float = field(default=1.0, metadata={"help": "of the soft part"})
    beta: float = field(default=0.0, metadata={"help": "0 forward KL, 1 reverse KL, between them the generalised JSD"})
    features: str | None = field(default=None, metadata={"help": "match hidden states: uniform, last or kept layers"})
    feature_kind: str = field(default="cosine", metadata={"help": f"distance of hidden states: {', '.join(KINDS)}"})
    feature_weight: float = field(default=1.0, metadata={"help": "of the distance of hidden states"})
    output_weight: float = field(default=1.0, metadata={"help": "of everything but the hidden states"})
    lora: int = field(default=0, metadata={"help": "rank of adapters to train instead of all weights; 0 for all"})


def read(words: list[str], fallback: Callable[[], dict] = dict) -> tuple[Run, TrainingArguments]:
    """What a command line asks for: an optional JSON file first, then ``--name value`` of either class.

    Args:
        fallback: gives fields of `Run`, and is asked where neither file nor command line names a teacher, data or targets.
    Raises:
        ValueError: the file cannot be read; a field does not exist (names the nearest) or has a value of another kind.
    """
    known = [each.name for kind in (Run, TrainingArguments) for each in dataclasses.fields(kind) if each.init]
    values = {}
    if words and not words[0].startswith("-"):
        values, words = _file(words[0], known), words[1:]
    said = {word[2:].split("=")[0].replace("-", "_") for word in words if word.startswith("--")}
    runtime.check_names(said - {"help"}, known, "the command line")
    named = said | values.keys()
    implied = defaults({}) | {"output_dir": "distilled", "train_sampling_strategy": "random"}
    implied |= {"save_strategy": "steps", "save_steps": 50, "eval_strategy": "steps" if "eval_steps" in named else "no"}
    if not named & {"num_train_epochs", "max_steps"}:
        implied["max_steps"] = STEPS
    if not named & {"teacher", "data", "targets"}:
        implied |= fallback()
    parser = HfArgumentParser((Run, TrainingArguments), prog="python -m distill_lessons train", description=__doc__)
    parser.set_defaults(**implied | values)
    parser.error = _refuse
    run, arguments = parser.parse_args_into_dataclasses(args=words)
    return run, one_gpu(arguments)


def _refuse(message):
    raise ValueError(message)


def _file(path, known):
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
        if not isinstance(values, dict):
            raise ValueError("it holds no JSON object")
    except (OSError, ValueError) as error:
        raise ValueError(f"the config {path} cannot be read: {error}") from error
    runtime.check_names(values, known, f"the config {path}")
    kinds = {each.name: each.type for each in dataclasses.fields(Run)}
    for name, value in values.items():
        if kinds.get(name) in (int, float) and not isinstance(value, str):
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ValueError(f"the config {path}: {name} must be a number, and it is {value!r}")
    return values


def train(run: Run, arguments: TrainingArguments) -> DistillationTrainer:
    """Train as a `Run` says, going on from the last complete checkpoint in the output folder; returns the trainer.

    The folder holds, at the end, the student as plain transformers loads it, its tokenizer, and ``run.json``. With
    adapters it holds them too, under ``adapter``, and where the student was cut out of its teacher what they were put on,
    under ``base``.

    Raises:
        ValueError: there is neither data nor targets, or no teacher; the folder is of a run with other settings (says
            which); and as `DistillationTrainer`.
        OSError: the disk is full.
    """
    output = Path(arguments.output_dir)
    if (run.data is None) == (run.targets is None):
        raise ValueError("say what to learn from, once: data (a file of rows) or targets (a folder of stored targets)")
    if run.teacher is None and (run.student is None or (run.alpha > 0 and run.targets is None) or run.features):
        raise ValueError(
            "say which teacher: it runs beside the student, and is what a student of its layers is cut from"
        )
    wanted = dataclasses.asdict(run) | deciding(arguments)
    checkpoints.same_settings(output / "run.json", wanted, f"the run in {output.name}")
    beside = run.targets is None and run.alpha > 0 and run.output_weight > 0 or run.features is not None
    teacher = student = None
    if run.teacher is not None and (beside or run.student is None):
        teacher = AutoModelForCausalLM.from_pretrained(run.teacher, dtype=torch.float32).eval()
    tokenizer = AutoTokenizer.from_pretrained(run.teacher or run.student)
    if run.student is not None:
        student = AutoModelForCausalLM.from_pretrained(run.student, dtype=torch.float32)
        if run.teacher is not None:
            same_tokenizer(run.student, run.teacher)
    else:
        student = students.cut(teacher, run.depth)
    matching = None if run.features is None else _matching(run, student, teacher)
    base = run.student or str((output / "base").resolve())
    if run.lora:
        student = lora(student, run.lora)
        student.peft_config["default"].base_model_name_or_path = base
    trainer = DistillationTrainer(
        student,
        teacher if beside else None,
        arguments,
        train_dataset=_rows(run, tokenizer, student, "train"),
        eval_dataset=None if arguments.eval_strategy == "no" else _rows(run, tokenizer, student, "validation"),
        processing_class=tokenizer,
        alpha=run.alpha,
        temperature=run.temperature,
        beta=run.beta,
        features=matching,
        feature_weight=run.feature_weight,
        output_weight=run.output_weight,
    )
    if trainer.is_world_process_zero():
        with checkpoints.saving("run.json", "nothing was trained"):
            checkpoints.remember_settings(output / "run.json", wanted)
            if run.lora and run.student is None:
                students.cut(teacher, run.depth).save_pretrained(base)
                tokenizer.save_pretrained(base)
    trainer.train(resume_from_checkpoint=checkpoints.last_checkpoint(output))
    _save(trainer, output, base if run.lora else None)
    return trainer


def _save(trainer, output, base):
    """The student in one piece, whatever form its checkpoints have; with adapters, these and what comes of them."""
    if trainer.is_fsdp_enabled:
        trainer.accelerator.state.fsdp_plugin.set_state_dict_type("FULL_STATE_DICT")
    with checkpoints.saving("the student", "its checkpoints are as they were"):
        trainer.save_model(str(output / "adapter" if base else output))
        if trainer.is_world_process_zero():
            if base:
                plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
                PeftModel.from_pretrained(plain, output / "adapter").merge_and_unload().save_pretrained(output)
            trainer.processing_class.save_pretrained(output)
            trainer.state.save_to_json(str(output / "trainer_state.json"))


def _rows(run: Run, tokenizer, student: PreTrainedModel, split: str):
    """The rows that a run learns from, or is measured on."""
    if run.targets is not None and split == "train":
        vocabulary = student.get_output_embeddings().weight.shape[0]
        return targets.load(run.targets, tokenizer, vocabulary)
    path = Path(run.data or "")
    if path.suffix not in READERS or not path.is_file():
        raise ValueError(f"data must be a file that exists, {', '.join(READERS)}, and it is {run.data!r}")
    rows = READERS[path.suffix](str(path))
    if "split" in rows.column_names:
        rows = rows.filter(lambda which: which == split, input_columns="split")
    elif split != "train":
        raise ValueError(f"to measure on the way, {run.data} needs a column split with rows of {split}")
    if "response" in rows.column_names:
        rows = rows.filter(bool, input_columns="response")
    if len(rows) == 0:
        raise ValueError(f"there is no {split} row to use in {run.data}")
    return text.examples(tokenizer, rows)


def _matching(run, student, teacher):
    """`Matching` for a run's layer map."""
    own, theirs = (model.config.get_text_config() for model in (student, teacher))
    depth, total = own.num_hidden_layers, theirs.num_hidden_layers
    maps = {"uniform": uniform_map, "last": last_map, "kept": _kept_map}
    if run.features not in maps or (run.features == "kept" and run.student is not None):
        raise ValueError(
            f"features must be uniform, last, or kept (for a student of its teacher's layers), and it is {run.features!r}"
        )
    return Matching(maps[run.features](depth, total), own.hidden_size, theirs.hidden_size, run.feature_kind)


def _kept_map(depth, total):
    """Each state of a cut student to the one that its next layer received in the teacher."""
    kept = students.kept_layers(total, depth)
    return {i: kept[i] for i in range(1, depth)} | {depth: total}


def leave_group() -> None:
    """End the process group, if there is one, and let its threads finish: the last call of a script that torchrun starts.

    gloo's threads drop the last tensors they gathered a moment after the call returns, and need Python for it. Where Python
    is already ending, they abort the process: a run that is done and saved would be reported as failed.
    """
    if distributed.is_available() and distributed.is_initialized():
        distributed.destroy_process_group()
        time.sleep(0.5)  # Python is free meanwhile


def main(words: list[str] | None = None, fallback: Callable[[], dict] = dict) -> None:
    runtime.start()
    try:
        train(*read(sys.argv[1:] if words is None else words, fallback))
    except (ValueError, OSError) as error:
        sys.exit(f"train: {error}")
    leave_group()


if __name__ == "__main__":
    main()
