"""Texts as token ids: prompts through the chat template, examples with labels on the response only, batches."""

from collections.abc import Mapping, Sequence

import datasets
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BatchEncoding, PreTrainedTokenizerBase

from distill_lessons.losses import IGNORE

FORMS = "messages; prompt and completion; prompt and response; text; or input_ids and labels"


def prompt_ids(tokenizer: PreTrainedTokenizerBase, prompt: str | list) -> list[int]:
    """A prompt as the model expects it: token ids of the user's turn and the opening of the assistant's.

    Args:
        prompt: what the user says, or a list of turns, dicts of role and content.
    """
    turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
    return tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)


def encode(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping], max_response: int | None = 32) -> list[dict]:
    """Rows as token ids: a list of dicts of input_ids and labels, which are -100 on the prompt; a row's id is kept.

    Args:
        rows: dicts of prompt, response and finished (it ended by itself; True if left out).
        max_response: response tokens kept; None keeps all. A response that ended by itself within them ends in the
            end-of-turn token.
    Raises:
        ValueError: a row has no response.
    """
    examples = []
    for row in rows:
        prompt = prompt_ids(tokenizer, row["prompt"])
        response = tokenizer(row["response"] or "", add_special_tokens=False)["input_ids"]
        response = (response + [tokenizer.eos_token_id] * bool(row.get("finished", True)))[:max_response]
        if not row["response"] or not response:
            raise ValueError(f"the row of prompt {row['prompt']!r} has no response: leave it out")
        kept = {"id": row["id"]} if "id" in row else {}
        examples.append(kept | {"input_ids": prompt + response, "labels": [IGNORE] * len(prompt) + response})
    return examples


def examples(tokenizer: PreTrainedTokenizerBase, rows: Sequence[Mapping] | datasets.Dataset):
    """Rows in any form that the field uses, as `encode` makes them; rows that are token ids already stay as they are.

    Args:
        rows: a list or a `datasets.Dataset` of dicts of *messages* (the last one is the assistant's and is learned),
            *prompt* and *completion* (two texts, or two lists of messages; the completion is learned), *prompt* and
            *response* (the prompt goes through the chat template), *text* (all of it is learned), or *input_ids* and
            *labels*.
    Raises:
        ValueError: a row of another form, or without anything to learn; says which row.
    """
    if isinstance(rows, datasets.Dataset):
        if "input_ids" in rows.column_names or len(rows) == 0:
            return rows
        kept = [name for name in rows.column_names if name != "id"]
        return rows.map(lambda row, place: _example(tokenizer, row, place), with_indices=True, remove_columns=kept)
    return [row if "input_ids" in row else _example(tokenizer, row, place) for place, row in enumerate(rows)]


def _example(tokenizer, row, place):
    """One row as token ids."""
    row = {name: value for name, value in row.items() if value is not None}
    if "messages" in row:
        found = _turns(tokenizer, row["messages"], place)
    elif "prompt" in row and "completion" in row:
        if isinstance(row["completion"], str) != isinstance(row["prompt"], str):
            raise ValueError(f"row {place}: prompt and completion must both be texts, or both be lists of messages")
        if isinstance(row["completion"], str):
            before = tokenizer(row["prompt"])["input_ids"]
            after = tokenizer(row["completion"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
            found = {"input_ids": before + after, "labels": [IGNORE] * len(before) + after}
        else:
            found = _turns(tokenizer, [*row["prompt"], *row["completion"]], place, learned=len(row["completion"]))
    elif "prompt" in row and "response" in row:
        (found,) = encode(tokenizer, [row], max_response=None)
    elif "text" in row:
        ids = [*tokenizer(row["text"])["input_ids"], tokenizer.eos_token_id]
        found = {"input_ids": ids, "labels": list(ids)}
    else:
        raise ValueError(f"row {place} has {', '.join(row) or 'nothing'}; a row to learn from has {FORMS}")
    return ({"id": row["id"]} if "id" in row else {}) | found


def _turns(tokenizer, messages, place, learned=1):
    """A conversation as token ids; the last `learned` messages are learned, up to the last end of a turn."""
    if len(messages) <= learned or messages[-1]["role"] != "assistant":
        roles = ", ".join(str(message["role"]) for message in messages) or "none"
        raise ValueError(
            f"row {place}: the last message must be the assistant's answer to others, and roles are {roles}"
        )
    before = prompt_ids(tokenizer, list(messages[:-learned]))
    whole = tokenizer.apply_chat_template(list(messages), return_dict=False)
    if whole[: len(before)] != before:  # a template that writes earlier turns otherwise once an answer follows
        after = tokenizer(messages[-1]["content"], add_special_tokens=False)["input_ids"] + [tokenizer.eos_token_id]
        whole = before + after
    end = max((i for i, token in enumerate(whole) if token == tokenizer.eos_token_id), default=len(whole) - 1) + 1
    whole = whole[:end] if end > len(before) else whole
    return {"input_ids": whole, "labels": [IGNORE] * len(before) + whole[len(before) :]}


def needs_tokenizer(rows) -> bool:
    """Whether rows are texts, and not token ids yet; what cannot be looked at without running it counts as token ids."""
    if isinstance(rows, datasets.Dataset):
        return len(rows) > 0 and "input_ids" not in rows.column_names
    return isinstance(rows, (list, tuple)) and any(isinstance(row, Mapping) and "input_ids" not in row for row in rows)


class Padded:
    """Makes a batch of encoded examples: tensors ``[B, L]`` of input_ids, attention_mask and labels, padded on the right."""

    def __init__(self, pad_token_id: int):
        self.pad_token_id = pad_token_id

    def __call__(self, rows: Sequence[Mapping]) -> BatchEncoding:
        ids = [torch.as_tensor(row["input_ids"], dtype=torch.long) for row in rows]
        labels = [torch.as_tensor(row.get("labels", row["input_ids"]), dtype=torch.long) for row in rows]
        seen = [
            torch.as_tensor(row.get("attention_mask", [1] * len(one)), dtype=torch.long) for row, one in zip(rows, ids)
        ]
        batch = {
            "input_ids": pad_sequence(ids, batch_first=True, padding_value=self.pad_token_id),
            "attention_mask": pad_sequence(seen, batch_first=True, padding_value=0),
            "labels": pad_sequence(labels, batch_first=True, padding_value=IGNORE),
        }
        return BatchEncoding(batch)  # a dict that can be moved to a device whole


def collator(tokenizer: PreTrainedTokenizerBase) -> Padded:
    """`Padded` with a tokenizer's padding token."""
    return Padded(tokenizer.pad_token_id)
