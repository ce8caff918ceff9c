"""A teacher's soft targets on disk: a few tokens a position instead of a whole vocabulary, tied to example ids.

`store` runs the teacher once and writes shards; `load` maps them into memory and refuses what does not fit. A folder
holds ``00000.arrow``, ``00001.arrow`` … and ``manifest.json``, which names every shard with its checksum.

A row: `id`; `input_ids`; `prompt_length` (where the response begins); `entropy`, one float a response token; and all
positions' tokens end to end: `sizes` (how many at each position), `ids`, and `counts` (how often each was drawn) or
`probabilities` (top_k).
"""

import hashlib
import json
from pathlib import Path

import datasets
import numpy as np
import pyarrow as pa
import torch

from distill_lessons import losses, runtime
from distill_lessons.models import response_logits
from distill_lessons.teacher.text import collator

KINDS = ("sampled", "top_k")
FORMAT = 1


def store(
    folder,
    teacher,
    tokenizer,
    examples,
    kind="sampled",
    draws=50,
    k=32,
    seed=0,
    batch_size=16,
    shard_rows=256,
    collate=None,
    say=None,
):
    """Run the teacher over all examples once and write its targets; returns the manifest. Resumes where it stopped.

    Args:
        folder: made if missing. If it holds finished shards of the same call, they are kept and not made again.
        teacher: a causal language model, in eval mode.
        tokenizer: the teacher's; its fingerprint goes into the manifest.
        examples: dicts of id (text, unique), input_ids and labels, -100 on the prompt and nowhere after it.
        kind: "sampled" draws `draws` tokens a position (unbiased); "top_k" keeps the `k` likeliest, with probabilities.
        seed: with an example's id it fixes that example's draws, whatever batch or order it comes in.
        shard_rows: examples a shard; a cut-off loses one shard at most.
        collate: makes a batch of examples; by default pads with `teacher.text.collator`.
        say: called with one line of progress a shard.
    Raises:
        ValueError: an example is too long for the teacher, has no response, or repeats an id; the folder holds targets
            of another call.
        OSError: the disk is full; finished shards stay, and the same call goes on after them.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {', '.join(KINDS)}, and it is {kind!r}")
    if collate is None:
        collate = collator(tokenizer)
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = teacher.get_output_embeddings().weight.shape[0]
    _check_examples(examples, getattr(teacher.config, "max_position_embeddings", None))
    settings = {
        "format": FORMAT,
        "kind": kind,
        ("draws" if kind == "sampled" else "k"): draws if kind == "sampled" else k,
        "seed": seed,
        "teacher": teacher.config._name_or_path or type(teacher).__name__,
        "tokenizer": tokenizer_fingerprint(tokenizer),
        "vocabulary": vocabulary,
        "shard_rows": shard_rows,
        "examples": _examples_fingerprint(examples),
    }
    manifest = _begin(folder, settings)
    for number, start in enumerate(range(0, len(examples), shard_rows)):
        if number < len(manifest["shards"]):
            continue
        rows = []
        chosen = sorted(examples[start : start + shard_rows], key=lambda example: len(example["input_ids"]))
        for first in range(0, len(chosen), batch_size):
            rows += _targets_of(teacher, chosen[first : first + batch_size], collate, kind, draws, k, seed)
        name = f"{number:05d}.arrow"
        _write_shard(folder / name, rows, vocabulary, kind, draws if kind == "sampled" else k)
        tokens = sum(len(row["sizes"]) for row in rows)
        manifest["shards"].append(
            {
                "name": name,
                "rows": len(rows),
                "tokens": tokens,
                "bytes": (folder / name).stat().st_size,
                "sha256": runtime.sha256(folder / name),
            }
        )
        _write_manifest(folder, manifest)
        if say:
            say(f"targets: {min(start + shard_rows, len(examples))} of {len(examples)} examples, {tokens} tokens")
    manifest["finished"] = True
    _write_manifest(folder, manifest)
    for half in [*folder.glob(".*.arrow.*"), *folder.glob(".manifest.json.*")]:  # what kills have left
        half.unlink(missing_ok=True)
    return manifest


def load(folder, tokenizer=None, vocabulary=None, checksums=True):
    """The stored targets as a memory-mapped `datasets.Dataset`.

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


def read_manifest(folder):
    """The manifest of a folder of targets; FileNotFoundError if there is none that can be read."""
    try:
        return json.loads((Path(folder) / "manifest.json").read_text())
    except (OSError, ValueError):
        raise FileNotFoundError(f"no stored targets in {Path(folder).name}: make them with targets.store") from None


def bytes_per_token(folder):
    """Bytes on disk for each response token, everything counted."""
    shards = read_manifest(folder)["shards"]
    return sum(shard["bytes"] for shard in shards) / sum(shard["tokens"] for shard in shards)


def tokenizer_fingerprint(tokenizer):
    """SHA-256 of the vocabulary: equal for two tokenizers exactly if every token has the same number in both."""
    entries = sorted(tokenizer.get_vocab().items(), key=lambda entry: (entry[1], entry[0]))
    return hashlib.sha256(json.dumps(entries).encode()).hexdigest()


class Collator:
    """Makes a batch of stored rows: input_ids, attention_mask and labels ``[B, L]``, and the targets of all N response
    tokens in the order in which `response_logits` gives their logits: target_ids and target_weights ``[N, K]``
    (weight 0 is padding) and target_entropy ``[N]``.
    """

    def __init__(self, pad_token_id):
        self.pad_token_id = pad_token_id

    def __call__(self, rows):
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
        target_ids, weights = np.zeros(inside.shape, dtype=np.int64), np.zeros(inside.shape, dtype=np.float32)
        target_ids[inside] = np.concatenate([row["ids"] for row in rows])
        values = "counts" if "counts" in rows[0] else "probabilities"
        weights[inside] = np.concatenate([row[values] for row in rows])
        if values == "counts":
            weights /= weights.sum(1, keepdims=True)
        return {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "labels": labels,
            "target_ids": torch.from_numpy(target_ids),
            "target_weights": torch.from_numpy(weights),
            "target_entropy": torch.from_numpy(np.concatenate([row["entropy"] for row in rows]).astype(np.float32)),
        }


# --- pieces ----------------------------------------------------------------------------------------------------------


def draw(logits, draws, generator):
    """Distinct tokens drawn from softmax(logits) and how often: (ids, counts, sizes), positions end to end.

    Args:
        logits: ``[N, V]``.
    """
    drawn = torch.multinomial(logits.softmax(-1), draws, replacement=True, generator=generator)
    ids, counts, sizes = [], [], []
    for row in drawn.cpu():
        token, count = row.unique(return_counts=True)
        ids.append(token)
        counts.append(count)
        sizes.append(len(token))
    return torch.cat(ids).numpy(), torch.cat(counts).numpy(), np.array(sizes)


@torch.no_grad()
def _targets_of(teacher, examples, collate, kind, draws, k, seed):
    batch = collate([{"input_ids": e["input_ids"], "labels": e["labels"]} for e in examples])
    batch = {name: tensor.to(teacher.device) for name, tensor in batch.items()}
    logits = response_logits(teacher, batch)[0].float()
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


def _check_examples(examples, context):
    seen = set()
    for example in examples:
        name = example["id"]
        if name in seen:
            raise ValueError(f"two examples have the id {name!r}: targets are found by it, so make the ids unique")
        seen.add(name)
        if context is not None and len(example["input_ids"]) > context:
            raise ValueError(
                f"example {name!r} has {len(example['input_ids'])} tokens and the teacher reads {context}: cut it"
            )
        if _prompt_length(example["labels"]) < 0:
            raise ValueError(
                f"example {name!r} is not a prompt followed by a response: its labels must be -100 on the prompt and "
                "tokens on all of the rest; leave out examples without a response"
            )


def _examples_fingerprint(examples):
    digest = hashlib.sha256()
    for example in examples:
        digest.update(json.dumps([example["id"], list(example["input_ids"]), list(example["labels"])]).encode())
    return digest.hexdigest()


def _begin(folder, settings):
    """The manifest to go on with: the one that is there if it is of the same call, or a new one."""
    try:
        manifest = read_manifest(folder)
    except FileNotFoundError:
        manifest = {**settings, "shards": [], "finished": False}
        _write_manifest(folder, manifest)
        return manifest
    different = sorted(name for name in settings if manifest.get(name) != settings[name])
    if different:
        raise ValueError(
            f"{folder.name} holds targets of another call (different: {', '.join(different)}): choose another folder, "
            "or remove this one"
        )
    return manifest


def _write_manifest(folder, manifest):
    with runtime.replacing(folder / "manifest.json") as temporary:
        temporary.write_text(json.dumps(manifest, indent=1))


def _write_shard(path, rows, vocabulary, kind, most):
    """`most` is the largest size or count that any shard of the folder can hold, so that all have the same types."""
    token = pa.uint16() if vocabulary <= 2**16 else pa.uint32()
    small = pa.uint8() if most < 256 else pa.uint16()
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
