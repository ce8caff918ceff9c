"""Filters that ask a model, and so are dear: perplexity and self-consistency. What was measured is kept in a file."""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.nn.functional as F
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill_lessons import runtime
from distill_lessons.losses import IGNORE
from distill_lessons.models import evaluating, response_logits, weights
from distill_lessons.teacher.filters.verdicts import Filter, Verdict, absent, check_number, make, normalised, quoted
from distill_lessons.teacher.generation import Answerer, check_loaded
from distill_lessons.teacher.targets import tokenizer_fingerprint
from distill_lessons.teacher.text import Padded

Asker = Callable[[list[str]], list[list]]
Say = Callable[[str], object]


# --- Perplexity -------------------------------------------------------------------------------------------------------


def perplexity(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    most: float,
    least: float = 1.0,
    column: str = "text",
    before: str = "\n",
    batch_size: int = 16,
    cache: str | Path | None = None,
    say: Say | None = None,
) -> Filter:
    """Keeps texts of a perplexity from `least` to `most` under a second model, both included.

    High is text that the model finds strange, low is text that it could have written without thinking.

    Args:
        before: read before each text and not scored, so that the first token is scored as well.
        cache: a parquet file of perplexities, made if it is not there: what stands in it is not measured again, whatever
            the limits. It is written every 16 batches.
        say: called with a line of progress each time.
    Raises:
        ValueError: a limit or the batch size is out of range; model or tokenizer is a name; `before` gives no token. When
            called also: the cache cannot be read; the model's logits are NaN.
        OSError: the cache cannot be written; what was written before stays.
    """
    check_loaded(model, tokenizer)
    check_number("least", least, 0)
    check_number("most", most, least)
    check_number("batch_size", batch_size, 1, whole=True)
    if not tokenizer(before, add_special_tokens=False)["input_ids"]:
        raise ValueError(f"before is {before!r}, in which this tokenizer sees no token: give another text")

    def judge(texts):
        about = {
            "measured": "perplexity",
            "weights": weights.digest(model),
            "tokenizer": tokenizer_fingerprint(tokenizer),
            "before": before,
        }

        def measure(some):
            return perplexities(model, tokenizer, some, before, batch_size)

        texts = list(texts)
        if not texts:
            return []
        by_size = sorted(set(texts), key=lambda text: (len(text), text))
        found = remembered(cache, about, by_size, measure, 16 * batch_size, say)
        return [one(*found[text]) for text in texts]

    def one(value, tokens):
        if tokens == 0:
            return Verdict(False, "no token for the model in it")
        if value is None:
            return Verdict(False, f"longer than the model reads: {tokens} tokens")
        if value > most:
            return Verdict(False, f"perplexity above {most:g}: {value:.1f}", value)
        if value < least:
            return Verdict(False, f"perplexity below {least:g}: {value:.1f}", value)
        return Verdict(True, f"perplexity as asked: {value:.1f}", value)

    return make("perplexity", judge, [column], most=most, least=least, before=before)


@torch.no_grad()
def perplexities(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    before: str = "\n",
    batch_size: int = 16,
) -> list[tuple[float | None, int]]:
    """Each text's (perplexity, tokens): e to the mean cross-entropy of its tokens, in nats.

    The perplexity is None for a text without tokens and for one that is longer than the model reads.

    Raises:
        ValueError: the model's logits are NaN.
    """
    start = tokenizer(before, add_special_tokens=False)["input_ids"]
    ids = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    context = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    found = [(None, len(one)) for one in ids]
    order = [i for i, one in enumerate(ids) if one and (context is None or len(start) + len(one) <= context)]
    order.sort(key=lambda place: len(ids[place]))
    collate = Padded(tokenizer.pad_token_id or 0)
    with evaluating(model):
        for first in range(0, len(order), batch_size):
            places = order[first : first + batch_size]
            rows = [{"input_ids": start + ids[place], "labels": [IGNORE] * len(start) + ids[place]} for place in places]
            logits, labels = response_logits(model, collate(rows))
            nats = F.cross_entropy(logits.float(), labels, reduction="none")
            if nats.isnan().any():
                raise ValueError("the model's logits are NaN: load it in float32 or bfloat16")
            for place, own in zip(places, nats.split([len(ids[place]) for place in places])):
                found[place] = (own.double().mean().exp().item(), len(own))
    return found


# --- Self-consistency -------------------------------------------------------------------------------------------------


def self_consistency(
    answers: str | Asker,
    threshold: float = 0.6,
    column: str = "text",
    label: str | None = None,
    read: Callable[[str], object] | None = None,
    cache: str | Path | None = None,
    say: Say | None = None,
) -> Filter:
    """Keeps rows on which at least `threshold` of several answers agree, and agree with the row's label if one is named.

    Answers are the same if they are but for case, spaces and punctuation. An answer of None, or a blank one, counts, and
    agrees with none.

    Args:
        answers: the column that holds each row's list of answers, or what gives them for a list of texts: `sampled`.
        label: the column of the label that the answers should agree on.
        read: makes of an answer what is compared ("I think it is positive." → "positive"), or None where it sees none.
        cache: a parquet file of answers, made if it is not there: who stands in it is not asked again, whatever threshold,
            label and `read`. It is written every 16 texts.
    Raises:
        ValueError: the threshold is not from 0.01 to 1. When called also: the cache cannot be read, or does
            not know what the answers depend on; there are not as many lists as texts.
        OSError: the cache cannot be written; what was written before stays.
    Source: Wang et al. 2023, as a filter.
    """
    check_number("threshold", threshold, 0.01, 1)
    asks = callable(answers)
    if cache is not None and not (asks and hasattr(answers, "about")):
        raise ValueError(
            "a cache must know what the answers depend on: give a function that says so in its attribute about, a dict, as "
            "filters.sampled does, or leave the cache out"
        )

    def judge(first, *others):
        others = list(others)
        lists = asked(first) if asks else others.pop(0)
        wanted = others.pop(0) if label else [None] * len(lists)
        return [one(list(own), want) for own, want in zip(lists, wanted, strict=True)]

    def asked(texts):
        about = {"measured": "answers", **getattr(answers, "about", {})}
        if getattr(answers, "model", None) is not None:
            about["weights"] = weights.digest(answers.model)
        found = remembered(cache, about, list(dict.fromkeys(texts)), answers, 16, say)
        return [found[text] for text in texts]

    def one(own, wanted):
        if not own:
            return Verdict(False, "no answers to compare")
        made = [_plain(read(answer) if read and answer is not None else answer) for answer in own]
        votes = Counter(answer for answer in made if answer is not None)
        most = votes.most_common(1)[0][1] if votes else 0
        leaders = [answer for answer, count in votes.items() if count == most]
        part = most / len(own)
        told = f"{most} of {len(own)}" + (f" say {quoted(leaders[0])}" if leaders else "")
        if not leaders or most < threshold * len(own) - 1e-9:
            return Verdict(False, f"the answers disagree: {told}", part)
        if label and _plain(wanted) not in leaders:
            return Verdict(False, f"the answers agree on another label: {told}, the row {quoted(wanted)}", part)
        return Verdict(True, f"the answers agree: {told}", part)

    columns = [column, *([] if asks else [answers]), *([label] if label else [])]
    return make("self_consistency", judge, columns, texts=[column], threshold=threshold, label=label)


def _plain(answer):
    """An answer as it is compared; None if there is nothing in it."""
    return None if absent(answer) else normalised(answer) if isinstance(answer, str) else answer


def sampled(answer: Answerer, prompts: Sequence[str], n: int = 1, seed: int = 0) -> Asker:
    """What asks a teacher about each text, in several words and several times, for `self_consistency`.

    Args:
        answer: ``answer(list of prompts, seed)`` gives a list of (text, finished): `generation.local` or `server`.
        prompts: the question in several words, ``{text}`` in each where the text goes.
        n: answers to each wording; more than one needs an answerer that samples.
        seed: with a text it fixes that text's answers, whatever is asked beside it, so that a cut-off changes none.
    Returns:
        a function of a list of texts; gives each one's len(prompts) × n answers, None where one was cut.
    Raises:
        ValueError: there is no prompt, or one without ``{text}``. When called: not one answer for each prompt.
    """
    prompts = [prompts] if isinstance(prompts, str) else list(prompts)
    check_number("n", n, 1, whole=True)
    for prompt in prompts or [None]:
        if not isinstance(prompt, str) or "{text}" not in prompt:
            raise ValueError(f"a prompt must be a text that holds {{text}}, and it is {prompt!r:.60}")

    def ask(texts):
        found = []
        for text in texts:
            asked = [prompt.replace("{text}", text) for prompt in prompts for _ in range(n)]
            number = int.from_bytes(hashlib.sha256(f"{seed}:{text}".encode("utf-8", "replace")).digest()[:3], "big")
            given = answer(asked, number)
            if len(given) != len(asked):
                raise ValueError(f"the answerer gave {len(given)} answers to {len(asked)} prompts: give one each")
            found.append([said if finished else None for said, finished in given])
        return found

    ask.about = {"prompts": prompts, "n": n, "seed": seed, **getattr(answer, "about", {})}
    ask.model = getattr(answer, "model", None)
    return ask


# --- What was measured, on disk ---------------------------------------------------------------------------------------


def remembered(
    path: str | Path | None, about: dict, texts: Sequence[str], measure: Callable, every: int, say: Say | None = None
) -> dict[str, object]:
    """What `measure` gives for each of `texts`, from the file at `path` where it stands there; plain data, by text.

    A row of the file is a key, SHA-256 over `about` and the text, and what was measured, as JSON: one file can serve many
    filters, and another model's row is never taken. It is written anew after every `every` texts. Two processes must not
    share one.

    Args:
        about: what the measure depends on, plain data.
        measure: called with a list of at most `every` texts; gives a list, one each.
    Raises:
        ValueError: the file cannot be read; `measure` gives another number of results.
        OSError: it cannot be written; what was written before stays.
    """
    path = None if path is None else Path(path)
    known = _read(path) if path else {}
    told = json.dumps(about, sort_keys=True)
    keys = {text: hashlib.sha256(f"{told}\n{text}".encode("utf-8", "surrogatepass")).hexdigest() for text in texts}
    fresh = [text for text in keys if keys[text] not in known]
    for first in range(0, len(fresh), every):
        some = fresh[first : first + every]
        values = list(measure(some))
        if len(values) != len(some):
            raise ValueError(f"{len(some)} texts were asked about and {len(values)} answers came: give one each")
        known.update((keys[text], json.dumps(value)) for text, value in zip(some, values))
        if path:
            _write(path, known)
        if say:
            say(
                f"{about['measured']}: {first + len(some)} of {len(fresh)} texts, {len(keys) - len(fresh)} known before"
            )
    return {text: json.loads(known[key]) for text, key in keys.items()}


def _read(path):
    if not path.exists():
        return {}
    try:
        table = pq.read_table(path, columns=["key", "value"])
    except (pa.ArrowException, OSError, ValueError) as error:
        raise ValueError(
            f"{path.name} is no file of what was measured ({error}): remove it, or name another"
        ) from error
    return dict(zip(table["key"].to_pylist(), table["value"].to_pylist()))


def _write(path, known):
    table = pa.table({"key": pa.array(known.keys(), pa.string()), "value": pa.array(known.values(), pa.string())})
    with runtime.replacing(path) as temporary:
        pq.write_table(table, temporary)
