"""A teacher's soft targets on disk: a few tokens a position instead of a whole vocabulary, tied to example ids.

`store` runs the teacher once and writes shards; `load` maps them into memory and refuses what does not fit. A folder
holds ``00000.arrow``, ``00001.arrow`` … and ``manifest.json``, which names every shard with its checksum.

A row: `id`; `input_ids`; `prompt_length` (where the response begins); `entropy`, one float a response token; and all
positions' tokens end to end: `sizes` (how many at each position), `ids`, and `counts` (how often each was drawn) or
`probabilities` (top_k).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Literal

import datasets
import numpy as np
import pyarrow as pa
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill_lessons import losses, runtime
from distill_lessons.models import evaluating, head_of, response_logits, weights
from distill_lessons.teacher.generation import check_loaded, name_of
from distill_lessons.teacher.text import collator

COLUMNS = {"sampled": "counts", "top_k": "probabilities"}  # what tells the kinds apart
KINDS = tuple(COLUMNS)
FORMAT = 1


def store(
    folder: str | Path,
    teacher: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    examples: Iterable[Mapping],
    kind: Literal["sampled", "top_k"] = "sampled",
    draws: int = 50,
    k: int = 32,
    seed: int = 0,
    batch_size: int = 16,
    shard_rows: int = 256,
    collate: Callable | None = None,
    say: Callable[[str], object] | None = None,
) -> dict:
    """Run the teacher over all examples once and write its targets; returns the manifest. Resumes where it stopped.

    The manifest holds what fixes the targets, a digest of the teacher's weights among it.

    Args:
        folder: made if it is not there. A folder with another call's targets is refused.
        tokenizer: the teacher's; its fingerprint goes into the manifest.
        examples: a list or a `datasets.Dataset` of dicts with id (unique, kept as text), input_ids and labels, -100 on the
            prompt and nowhere after it. Rows are stored in their order.
        kind: "sampled" draws `draws` tokens a position (unbiased); "top_k" keeps the `k` likeliest, with probabilities.
        seed: with an example's id it fixes that example's draws, whatever batch or order it comes in.
        batch_size: examples that the teacher reads at a time, those of like length of a shard together.
        shard_rows: examples a shard; a cut-off loses one shard at most.
        collate: makes a batch of examples; by default pads with `teacher.text.collator`.
        say: called with one line of progress a shard.
    Raises:
        ValueError: an example is too long for the teacher, has no response or no id, or repeats one; there is none; teacher
            or tokenizer is a name; an option is out of range; the folder holds targets of another call.
        OSError: the disk is full; finished shards stay, and the same call goes on after them.
    """
    check_loaded(teacher, tokenizer)
    vocabulary = head_of(teacher).weight.shape[0]
    _check_options(kind, draws, k, batch_size, shard_rows, vocabulary)
    examples = _checked(examples, getattr(teacher.config, "max_position_embeddings", None))
    settings = {
        "format": FORMAT,
        "kind": kind,
        ("draws" if kind == "sampled" else "k"): draws if kind == "sampled" else k,
        "seed": seed,
        "teacher": name_of(teacher),
        "weights": weights.digest(teacher),
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "vocabulary": vocabulary,
        "shard_rows": shard_rows,
        "examples": _examples_fingerprint(examples),
    }
    folder, collate = Path(folder), collate or collator(tokenizer)
    folder.mkdir(parents=True, exist_ok=True)
    manifest = _begin(folder, settings)
    for start in range(len(manifest["shards"]) * shard_rows, len(examples), shard_rows):
        rows = _rows(teacher, examples[start : start + shard_rows], batch_size, collate, kind, draws, k, seed)
        path = folder / f"{start // shard_rows:05d}.arrow"
        _write_shard(path, rows, vocabulary, kind, draws if kind == "sampled" else k)
        manifest["shards"].append(_about(path, rows))
        _write_manifest(folder, manifest)
        if say:
            tokens = manifest["shards"][-1]["tokens"]
            say(f"targets: {min(start + shard_rows, len(examples))} of {len(examples)} examples, {tokens} tokens")
    manifest["finished"] = True
    _write_manifest(folder, manifest)
    for half in [*folder.glob(".*.arrow.*"), *folder.glob(".manifest.json.*")]:  # what kills have left
        half.unlink(missing_ok=True)
    return manifest


def load(
    folder: str | Path,
    tokenizer: PreTrainedTokenizerBase | None = None,
    vocabulary: int | None = None,
    checksums: bool = True,
) -> datasets.Dataset:
    """The stored targets as a memory-mapped `datasets.Dataset`, in the order in which they were stored.

    Args:
        tokenizer, vocabulary: the student's; refused if they are not the teacher's.
        checksums: read every shard once to see that it is the one that was written; sizes are compared in any case.
    Raises:
        FileNotFoundError: no finished targets there.
        ValueError: a shard is cut short, edited or missing; another tokenizer or vocabulary. Says which, and what to do.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if not manifest.get("finished"):
        raise FileNotFoundError(f"the targets in {folder.name} are not finished: run the call that stores them again")
    if vocabulary is not None and vocabulary != manifest["vocabulary"]:
        raise ValueError(
            f"the targets in {folder.name} are over {manifest['vocabulary']} tokens and the student has {vocabulary}: "
            "store them with a teacher of the student's vocabulary"
        )
    if tokenizer is not None and tokenizer_fingerprint(tokenizer) != manifest["tokenizer"]:
        raise ValueError(
            f"the targets in {folder.name} were stored with another tokenizer: the same number would mean another token"
        )
    for shard in manifest["shards"]:
        path = folder / shard["name"]
        if not path.is_file():
            raise ValueError(f"{folder.name}/{shard['name']} is missing: {_AGAIN}")
        if path.stat().st_size != shard["bytes"]:
            raise ValueError(
                f"{folder.name}/{shard['name']} has {path.stat().st_size} bytes and should have {shard['bytes']}, it "
                f"was cut short or replaced: {_AGAIN}"
            )
        if checksums and runtime.sha256(path) != shard["sha256"]:
            raise ValueError(f"{folder.name}/{shard['name']} was changed since it was written: {_AGAIN}")
    return datasets.concatenate_datasets(
        [datasets.Dataset.from_file(str(folder / shard["name"])) for shard in manifest["shards"]]
    )


_AGAIN = "remove the folder and store the targets again"


def kind_of(rows: datasets.Dataset | Sequence[Mapping] | Mapping) -> Literal["sampled", "top_k"] | None:
    """The kind of the targets that rows hold: "sampled" for counts, "top_k" for probabilities, None for neither.

    Args:
        rows: a dataset, of which the columns (or the first row) tell; a list, of which every row is looked at; or one row.
    Raises:
        ValueError: some rows hold one kind and some another.
    """
    if isinstance(rows, Mapping):
        names = [rows]
    elif isinstance(rows, list | tuple):
        names = rows
    else:
        columns = getattr(rows, "column_names", None)
        names = [next(iter(rows), {}) if columns is None else columns]
    found = {kind for kind, column in COLUMNS.items() for row in names if column in row}
    if len(found) > 1:
        raise ValueError("some rows hold sampled targets and some top-k ones: keep them apart")
    return next(iter(found), None)


def read_manifest(folder: str | Path) -> dict:
    """The manifest of a folder of targets; FileNotFoundError if there is none that can be read."""
    try:
        return json.loads((Path(folder) / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise FileNotFoundError(f"no stored targets in {Path(folder).name}: make them with targets.store") from None


def bytes_per_token(folder: str | Path) -> float:
    """Bytes on disk for each response token, everything counted."""
    shards = read_manifest(folder)["shards"]
    return sum(shard["bytes"] for shard in shards) / sum(shard["tokens"] for shard in shards)


def tokenizer_fingerprint(tokenizer: PreTrainedTokenizerBase) -> str:
    """SHA-256 of the vocabulary: equal for two tokenizers exactly if every token has the same number in both."""
    entries = sorted(tokenizer.get_vocab().items(), key=lambda entry: (entry[1], entry[0]))
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


class Collator:
    """Makes a batch of stored rows: input_ids, attention_mask and labels ``[B, L]``, and the targets of all N response
    tokens in the order in which `response_logits` gives their logits: target_ids and target_weights ``[N, K]``
    (weight 0 is padding) and target_entropy ``[N]``. Weights are shares of the draws, or the stored probabilities.

    Raises (when called):
        ValueError: the rows hold no targets, or those of two kinds.
    """

    def __init__(self, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, rows: Sequence[Mapping]) -> dict[str, torch.Tensor]:
        kind = kind_of(list(rows))
        if kind is None:
            raise ValueError("the rows hold no stored targets: make them with targets.store, or use text.collator")
        length = max(len(row["input_ids"]) for row in rows)
        shape = (len(rows), length)
        input_ids = torch.full(shape, self.pad_token_id)
        labels, attention_mask = torch.full(shape, losses.IGNORE), torch.zeros(shape, dtype=torch.long)
        for place, row in enumerate(rows):
            ids, prompt = torch.as_tensor(row["input_ids"]), row["prompt_length"]
            input_ids[place, : len(ids)], attention_mask[place, : len(ids)] = ids, 1
            labels[place, prompt : len(ids)] = ids[prompt:]
        sizes = np.concatenate([row["sizes"] for row in rows]).astype(np.int64)
        inside = np.arange(sizes.max(initial=1)) < sizes[:, None]
        target_ids, shares = np.zeros(inside.shape, dtype=np.int64), np.zeros(inside.shape, dtype=np.float32)
        target_ids[inside] = np.concatenate([row["ids"] for row in rows])
        shares[inside] = np.concatenate([row[COLUMNS[kind]] for row in rows])
        if kind == "sampled":
            shares /= shares.sum(1, keepdims=True)
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            "target_ids": torch.from_numpy(target_ids),
            "target_weights": torch.from_numpy(shares),
            "target_entropy": torch.from_numpy(np.concatenate([row["entropy"] for row in rows]).astype(np.float32)),
        }


# --- pieces ----------------------------------------------------------------------------------------------------------


def draw(
    logits: torch.Tensor, draws: int, generator: torch.Generator | None = None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Distinct tokens drawn from softmax(logits) and how often: (ids, counts, sizes), positions end to end.

    Args:
        logits: ``[N, V]``.
        draws: how many at each position; the counts of a position add up to it.
    """
    drawn = torch.multinomial(logits.softmax(-1), draws, replacement=True, generator=generator)
    ids, counts, sizes = [], [], []
    for row in drawn.cpu():
        token, count = row.unique(return_counts=True)
        ids.append(token)
        counts.append(count)
        sizes.append(len(token))
    return torch.cat(ids).numpy(), torch.cat(counts).numpy(), np.array(sizes)


def _rows(teacher, examples, batch_size, collate, kind, draws, k, seed):
    """The rows of a shard, in the examples' order; the teacher reads examples of like length together."""
    order = sorted(range(len(examples)), key=lambda place: len(examples[place]["input_ids"]))
    rows = [None] * len(examples)
    for first in range(0, len(order), batch_size):
        places = order[first : first + batch_size]
        chosen = [examples[place] for place in places]
        for place, row in zip(places, _targets_of(teacher, chosen, collate, kind, draws, k, seed)):
            rows[place] = row
    return rows


@torch.no_grad()
def _targets_of(teacher, examples, collate, kind, draws, k, seed):
    batch = collate([{"input_ids": e["input_ids"], "labels": e["labels"]} for e in examples])
    with evaluating(teacher):
        logits = response_logits(teacher, batch)[0].float()
    if logits.isnan().any():
        names = ", ".join(repr(example["id"]) for example in examples[:4])
        raise ValueError(f"the teacher's logits are NaN in the batch of {names} …: load it in float32 or bfloat16")
    rows, start = [], 0
    for example in examples:
        prompt = _prompt_length(example["labels"])
        count = len(example["input_ids"]) - prompt
        own = logits[start : start + count]
        start += count
        row = {
            "id": example["id"],
            "input_ids": np.array(example["input_ids"]),
            "prompt_length": prompt,
            "entropy": torch.special.entr(own.softmax(-1)).sum(-1).cpu().numpy(),
        }
        if kind == "sampled":
            digest = hashlib.sha256(f"{seed}:{example['id']}".encode()).digest()
            generator = torch.Generator(own.device).manual_seed(int.from_bytes(digest[:7], "big"))
            row["ids"], row["counts"], row["sizes"] = draw(own, draws, generator)
        else:
            top = own.softmax(-1).topk(k, dim=-1)
            row["ids"], row["probabilities"] = top.indices.flatten().cpu().numpy(), top.values.flatten().cpu().numpy()
            row["sizes"] = np.full(count, k)
        rows.append(row)
    return rows


def _prompt_length(labels):
    """Where the response begins; -1 if the labels are not one prompt and one response."""
    learned = [label != losses.IGNORE for label in labels]
    prompt = learned.index(True) if True in learned else -1
    return prompt if prompt > 0 and all(learned[prompt:]) else -1


def _check_options(kind, draws, k, batch_size, shard_rows, vocabulary):
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, and it is {kind!r}")
    for name, value in {"draws": draws, "k": k, "batch_size": batch_size, "shard_rows": shard_rows}.items():
        if isinstance(value, str) or value < 1 or value != int(value):
            raise ValueError(f"{name} must be a whole number of at least 1, and it is {value!r}")
    if kind == "top_k" and k > vocabulary:
        raise ValueError(f"k is {k} and the teacher knows {vocabulary} tokens: ask for fewer")


def _checked(examples, context):
    """The examples as plain dicts, ids as text."""
    found = {}
    for place, example in enumerate(examples):
        if not isinstance(example, Mapping):
            raise ValueError(f"example {place} is {example!r:.80}: give dicts of id, input_ids and labels")
        lacking = [name for name in ("id", "input_ids", "labels") if example.get(name) is None]
        if lacking:
            raise ValueError(
                f"example {place} has no {' and no '.join(lacking)}: each needs an id, and input_ids and labels as "
                "teacher.text makes them"
            )
        name, (ids, labels) = str(example["id"]), (list(map(int, example[each])) for each in ("input_ids", "labels"))
        if name in found:
            raise ValueError(f"two examples have the id {name!r}: targets are found by it, so make the ids unique")
        if context is not None and len(ids) > context:
            raise ValueError(f"example {name!r} has {len(ids)} tokens and the teacher reads {context}: cut it")
        if len(ids) != len(labels) or _prompt_length(labels) < 0:
            raise ValueError(
                f"example {name!r} is not a prompt followed by a response: its labels must be -100 on the prompt and "
                "tokens on all of the rest; leave out examples without a response"
            )
        found[name] = {"id": name, "input_ids": ids, "labels": labels}
    if not found:
        raise ValueError("there are no examples to store targets of")
    return list(found.values())


def _examples_fingerprint(examples):
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([example["id"], example["input_ids"], example["labels"]]).encode())
    return digest.hexdigest()


def _begin(folder, settings):
    """The manifest to go on with: the one that is there if it is of the same call, or a new one."""
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        manifest = {**settings, "shards": [], "finished": False}
        _write_manifest(folder, manifest)
        return manifest
    # The weights are compared by their digest: what the model was called where it was loaded does not matter.
    different = sorted(name for name in settings if name != "teacher" and manifest.get(name) != settings[name])
    if different:
        raise ValueError(
            f"{folder.name} holds targets of another call (different: {', '.join(different)}): choose another folder, "
            "or remove this one"
        )
    return manifest


def _about(path, rows):
    """What the manifest says of a shard."""
    tokens = sum(len(row["sizes"]) for row in rows)
    return {
        "name": path.name,
        "rows": len(rows),
        "tokens": tokens,
        "bytes": path.stat().st_size,
        "sha256": runtime.sha256(path),
    }


def _write_manifest(folder, manifest):
    with runtime.replacing(folder / "manifest.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=1), encoding="utf-8")


def _write_shard(path, rows, vocabulary, kind, most):
    """`most` is the largest size or count that any shard of the folder can hold, so that all have the same types."""
    token = pa.uint16() if vocabulary <= 2**16 else pa.uint32()
    small = pa.uint8() if most < 2**8 else pa.uint16() if most < 2**16 else pa.uint32()
    columns = {
        "id": pa.array([row["id"] for row in rows], pa.string()),
        "input_ids": pa.array([row["input_ids"] for row in rows], pa.list_(token)),
        "prompt_length": pa.array([row["prompt_length"] for row in rows], pa.int32()),
        "entropy": pa.array([row["entropy"] for row in rows], pa.list_(pa.float32())),
        "sizes": pa.array([row["sizes"] for row in rows], pa.list_(small)),
        "ids": pa.array([row["ids"] for row in rows], pa.list_(token)),
    }
    if kind == "sampled":
        columns["counts"] = pa.array([row["counts"] for row in rows], pa.list_(small))
    else:
        columns["probabilities"] = pa.array([row["probabilities"] for row in rows], pa.list_(pa.float32()))
    table = pa.table(columns)
    with runtime.replacing(path) as temporary, pa.OSFile(str(temporary), "wb") as file:
        with pa.ipc.new_stream(file, table.schema) as writer:
            writer.write_table(table)
