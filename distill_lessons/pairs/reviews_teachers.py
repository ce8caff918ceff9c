"""The teachers of the `reviews` pair, each a function from texts to logits, and the logits that they gave to all sentences.

One is SmolLM2 with a classification head and LoRA adapters, trained on some labelled sentences; one the same model without
training, asked with two examples in its prompt; one a word list with rules, of another kind altogether.
"""

import copy
import functools
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from peft import PeftModel
from safetensors import SafetensorError
from transformers import AutoModelForSequenceClassification

from distill_lessons import runtime
from distill_lessons.models.responses import base_of
from distill_lessons.pairs import reviews_data, smollm

Teacher = Callable[[Sequence[str]], torch.Tensor]
NAMES = ("tuned-160", "tuned-640", "tuned-2560", "tuned-all", "prompted", "rules")
RULES_LABELS = 640  # that the two numbers of the rule-based teacher are fitted on
BATCH = 48  # sentences that a teacher reads at once
COMMAND = "`python -m distill_lessons.course.experiments.reviews_teachers`"

EXAMPLES = (
    "Review: The story is warm and clever, and I would gladly see it again.\nSentiment: positive\n\n"
    "Review: It broke after two days and nobody answered my letters.\nSentiment: negative\n\n"
    "Review:"
)
ANSWERS = (" negative", " positive")  # a token each, in the order of the classes


# --- What they said ---------------------------------------------------------------------------------------------------


def logits(name: str) -> torch.Tensor:
    """What a teacher says of every sentence: logits ``[23703, 2]`` for "not positive" and "positive", as in `sentences`.

    Args:
        name: one of `NAMES`. A teacher has seen the labels of some of these sentences: `trained_on`.
    Raises:
        ValueError: no such teacher; FileNotFoundError: the file is missing, or this teacher is not in it.
    """
    runtime.check_names([name], NAMES, "reviews")
    table = _table(runtime.data_folder())
    if name not in table:
        raise FileNotFoundError(f"{name} has not been asked yet; stored are {', '.join(table)}: make it with {COMMAND}")
    return table[name].clone()


def stored() -> list[str]:
    """The teachers whose logits are stored, in the order of `NAMES`."""
    return list(_table(runtime.data_folder()))


@functools.lru_cache(maxsize=1)
def _table(data):
    path = data / "reviews" / "logits.parquet"
    if not path.is_file():
        raise FileNotFoundError(
            f"no logits at data/reviews/{path.name}: restore it with git, or make it with {COMMAND}"
        )
    table = pq.read_table(path)
    pairs = {name: [table[f"{name} {kind}"].to_numpy() for kind in ("no", "yes")] for name in NAMES
             if f"{name} yes" in table.column_names}  # fmt: skip
    return {name: torch.from_numpy(np.stack(both, 1).astype(np.float32)) for name, both in pairs.items()}


def trained_on(name: str) -> np.ndarray:
    """Places of the sentences whose labels a teacher has seen, in `sentences`.

    Raises:
        ValueError: no such teacher.
    """
    runtime.check_names([name], NAMES, "reviews")
    if name == "prompted":
        return np.empty(0, dtype=np.int64)
    if name == "rules":
        return reviews_data.labelled(RULES_LABELS)
    number = name.removeprefix("tuned-")
    if number != "all":
        return reviews_data.labelled(int(number))
    return np.concatenate([reviews_data.labelled(), reviews_data.places("pool")])


def pool(teacher: str, sources: str | Sequence[str] = reviews_data.CASE) -> np.ndarray:
    """Places of the pool's sentences that a teacher may label for a student: it has seen none of their labels.

    Raises:
        ValueError: no such teacher or source; the teacher has seen them all ("tuned-all" has those of the case).
    """
    left = np.setdiff1d(reviews_data.places("pool", sources), trained_on(teacher))
    if len(left) == 0:
        raise ValueError(f"{teacher} was trained on this pool's labels: ask another teacher, tuned-640 for example")
    return left


# --- The teachers -----------------------------------------------------------------------------------------------------


def classifier() -> torch.nn.Module:
    """SmolLM2's body with an untrained head of two classes, in float32, on the CPU: what is trained to be a teacher."""
    torch.manual_seed(0)  # the head's weights
    # Attention as plain products: for rows as short as these the fused one is slower on a CPU in bfloat16.
    options = {"num_labels": 2, "dtype": torch.float32, "attn_implementation": "eager"}
    model = AutoModelForSequenceClassification.from_pretrained(smollm.source(), **options)
    model.config.pad_token_id = smollm.tokenizer().pad_token_id
    return model


def tuned(folder: str | os.PathLike | None = None) -> Teacher:
    """The fine-tuned teacher: logits ``[N, 2]`` of N texts, in float32 on the CPU.

    Args:
        folder: of its adapter, by default the one that saw 640 labels.
    Raises:
        FileNotFoundError: the adapter is missing; OSError: it is damaged. Both say what to do.
    """
    folder = Path(folder or runtime.data_folder() / "reviews" / "teacher")
    if not (folder / "adapter_model.safetensors").is_file():
        raise FileNotFoundError(
            f"no adapter of the teacher in {folder.name}: restore data/reviews with git, or make it with {COMMAND}"
        )
    try:
        model = PeftModel.from_pretrained(classifier(), folder)
    except (SafetensorError, OSError, RuntimeError, json.JSONDecodeError) as error:
        raise OSError(f"the teacher's adapter cannot be read ({error}): restore data/reviews with git") from error
    return reader(model.merge_and_unload())


def reader(model: torch.nn.Module) -> Teacher:
    """A classifier of token ids as a function of texts; in bfloat16 where the device multiplies that (`runtime.bf16`)."""
    model = model.to(runtime.device(), torch.bfloat16 if runtime.bf16() else torch.float32).eval()
    tokenizer = smollm.tokenizer()

    def read(texts):
        return model(**tokenizer(texts, return_tensors="pt", padding=True).to(model.device)).logits

    return _in_batches(read)


def prompted() -> Teacher:
    """SmolLM2 asked with two examples: the log-probabilities ``[N, 2]`` of the words "negative" and "positive".

    Nothing is trained and nothing calibrated. The examples' keys and values are computed once.
    """
    model, tokenizer = smollm.teacher(), smollm.tokenizer()
    model.set_attn_implementation("eager")  # as in `classifier`
    model = model.to(torch.bfloat16 if runtime.bf16() else torch.float32)
    words = [tokenizer(word, add_special_tokens=False)["input_ids"] for word in ANSWERS]
    if any(len(ids) != 1 for ids in words):
        raise ValueError("the answer words are not one token each in this tokenizer: choose others")
    examples = tokenizer(EXAMPLES, add_special_tokens=False, return_tensors="pt")["input_ids"].to(model.device)
    with torch.inference_mode():
        shared = model(examples, use_cache=True).past_key_values

    def read(texts):
        asked = [f" {text}\nSentiment:" for text in texts]
        batch = tokenizer(asked, add_special_tokens=False, return_tensors="pt", padding=True).to(model.device)
        seen = torch.nn.functional.pad(batch["attention_mask"], (examples.shape[1], 0), value=1)
        cache = copy.deepcopy(shared)
        cache.batch_repeat_interleave(len(texts))
        body = base_of(model).model
        states = body(batch["input_ids"], attention_mask=seen, past_key_values=cache).last_hidden_state
        last = batch["attention_mask"].sum(1) - 1
        every = model.lm_head(states[torch.arange(len(texts)), last])
        return every.float().log_softmax(-1)[:, [ids[0] for ids in words]]

    return _in_batches(read)


def rules(slope: float = 1.0, shift: float = 0.0) -> Teacher:
    """VADER's word list and rules: logits (0, slope · compound + shift), its compound score being from −1 to 1.

    The two numbers that fit the first 640 labels best stand in ``data/reviews/card.json``.
    Source: Hutto and Gilbert 2014.
    """
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer  # takes a while to read its list

    analyser = SentimentIntensityAnalyzer()

    def read(texts):
        scores = torch.tensor([analyser.polarity_scores(text)["compound"] for text in texts])
        return torch.stack([torch.zeros_like(scores), slope * scores + shift], 1)

    return _in_batches(read)


def _in_batches(read) -> Teacher:
    """`read` over any number of texts: those of like length together, so that little is padding, in the order given."""

    @torch.inference_mode()
    def teacher(texts: Sequence[str]) -> torch.Tensor:
        texts = list(texts)
        if not texts:
            raise ValueError("there is nothing to read: give at least one text")
        order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
        found = torch.empty(len(texts), 2)
        for start in range(0, len(texts), BATCH):
            part = order[start : start + BATCH]
            found[part] = read([texts[place] for place in part]).float().cpu()
        return found

    return teacher
