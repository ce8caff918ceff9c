"""Text from a teacher, in batches: `generate` in memory, `respond` to a file that a cut-off does not lose.

`respond` asks an *answerer*: `local` for a model in this process, `server` for any OpenAI-compatible server.
"""

import difflib
import email.utils
import hashlib
import http.client
import inspect
import json
import re
import shutil
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import GenerationConfig, PreTrainedModel, PreTrainedTokenizerBase, set_seed

from distill_lessons import runtime
from distill_lessons.models import base_of, evaluating, weights
from distill_lessons.teacher.text import prompt_ids

Answerer = Callable[[list, int], list[tuple[str, bool]]]

ADDED = {"sample": pa.int64(), "response": pa.string(), "finished": pa.bool_()}  # what `respond` adds to a prompt


# --- A model in this process ------------------------------------------------------------------------------------------


@torch.inference_mode()
def generate(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    prompts: Iterable,
    max_new_tokens: int = 32,
    temperature: float = 0.0,
    top_k: int = 0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int = 64,
    min_new_tokens: int = 0,
    use_cache: bool = True,
) -> list[tuple[str, bool]]:
    """The model's answers to prompts: a list of (text, finished), in the prompts' order.

    What is not asked for here is neutral: the model's own `generation_config` (penalties, beams, forced tokens …) does not
    count. An answer ends at the first of `end_tokens`.

    Args:
        prompts: texts, or lists of turns as `text.prompt_ids` reads them.
        temperature: 0 takes the likeliest token each time; otherwise samples from softmax(logits / temperature).
        top_k: sample from that many likeliest tokens only; 0 from all.
        top_p: sample from the likeliest tokens that together hold this much probability; 1 from all.
        seed: fixes the sampling.
        max_new_tokens, min_new_tokens: an answer is cut at the one and cannot end before the other.
        use_cache: keep keys and values of earlier tokens; without, every token reads the whole text again.
    `finished` is False where the answer was cut at `max_new_tokens`.
    Raises:
        ValueError: an option is out of range; a prompt is no prompt; model or tokenizer is a name.
    """
    check_loaded(model, tokenizer)
    _check_sampling(max_new_tokens, min_new_tokens, temperature, top_k, top_p, batch_size)
    prompts, ends = _listed(prompts), end_tokens(model, tokenizer)
    padding = next((token for token in (tokenizer.pad_token_id, tokenizer.eos_token_id, *ends) if token is not None), 0)
    how = {"do_sample": True, "temperature": temperature, "top_k": top_k, "top_p": top_p} if temperature else {}
    asked = GenerationConfig(
        max_new_tokens=max_new_tokens, min_new_tokens=min_new_tokens, use_cache=use_cache, pad_token_id=padding,
        eos_token_id=ends or None, **how,
    )  # fmt: skip
    set_seed(seed)
    answers = []
    with evaluating(model), _configured(model, asked):
        for start in range(0, len(prompts), batch_size):
            batch = prompts[start : start + batch_size]
            answers += _batch(model, tokenizer, [prompt_ids(tokenizer, prompt) for prompt in batch], asked)
    return answers


def _batch(model, tokenizer, prompts, asked):
    """The answers to one batch of prompts, token ids, under the model's present generation config `asked`."""
    rows = [torch.tensor(ids, dtype=torch.long) for ids in prompts]
    ids = pad_sequence(rows, batch_first=True, padding_value=asked.pad_token_id, padding_side="left")
    seen = pad_sequence([torch.ones_like(row) for row in rows], batch_first=True, padding_side="left")
    made = model.generate(input_ids=ids.to(model.device), attention_mask=seen.to(model.device), generation_config=asked)
    answers = []
    for tokens in made[:, ids.shape[1] :].tolist():
        end = next((place for place, token in enumerate(tokens) if token in (asked.eos_token_id or ())), None)
        answers.append((tokenizer.decode(tokens[:end], skip_special_tokens=True), end is not None))
    return answers


def end_tokens(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> list[int]:
    """Every token that ends an answer: those of the model's generation config and config, and the tokenizer's; ascending."""
    found = set()
    for source in (getattr(model, "generation_config", None), model.config.get_text_config(), tokenizer):
        ids = getattr(source, "eos_token_id", None)
        found.update([] if ids is None else [ids] if isinstance(ids, int) else ids)
    return sorted(found)


def check_loaded(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Refuse a name where the loaded thing is needed.

    Raises:
        ValueError: says which, and how to load it.
    """
    for what, given, loader in (("model", model, "AutoModelForCausalLM"), ("tokenizer", tokenizer, "AutoTokenizer")):
        if isinstance(given, str | Path):
            raise ValueError(f"the {what} is the name {str(given)!r}: load it, with {loader}.from_pretrained")


def name_of(model: PreTrainedModel) -> str:
    """What a model is called: its id on a hub, the last part of its folder, or its class. Weights tell more: `digest`."""
    name = model.config.name_or_path
    return (Path(name).name if Path(name).is_absolute() else name) or type(model).__name__


def local(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, **how) -> Answerer:
    """An answerer for `respond`: a model in this process. `how` goes to `generate`.

    Raises:
        ValueError: `generate` has no such option (names the nearest); model or tokenizer is a name.
    """
    check_loaded(model, tokenizer)
    ours = ("model", "tokenizer", "prompts", "seed", "batch_size")
    known = [name for name in inspect.signature(generate).parameters if name not in ours]
    for name in how:
        if name in ours:
            raise ValueError(f"local takes no {name}: give {name} to respond")
    runtime.check_names(how, known, "generate")

    def answer(prompts, seed):
        return generate(model, tokenizer, prompts, seed=seed, batch_size=len(prompts), **how)

    answer.about = {"teacher": name_of(model), "dtype": str(model.dtype), **how}
    answer.model = model
    return answer


@contextmanager
def _configured(model, config):
    """Within the block the model's generation config is `config`.

    Handing it over is not enough: the library fills what is None in it from the model's own.
    """
    owners = [each for each in {model, base_of(model)} if "generation_config" in vars(each)]
    before = [each.generation_config for each in owners]
    for each in owners:
        each.generation_config = config
    try:
        yield
    finally:
        for each, own in zip(owners, before):
            each.generation_config = own


def _check_sampling(max_new_tokens, min_new_tokens, temperature, top_k, top_p, batch_size):
    least = {"max_new_tokens": 1, "min_new_tokens": 0, "temperature": 0, "top_k": 0, "top_p": 0, "batch_size": 1}
    given = dict(zip(least, (max_new_tokens, min_new_tokens, temperature, top_k, top_p, batch_size)))
    for name, value in given.items():
        whole = name not in ("temperature", "top_p")
        if isinstance(value, str) or not value >= least[name] or (whole and value != int(value)):
            kind = "a whole number" if whole else "a number"
            raise ValueError(f"{name} must be {kind} of at least {least[name]}, and it is {value!r}")
    if not 0 < top_p <= 1:
        raise ValueError(f"top_p must lie above 0 and be at most 1, and it is {top_p!r}")
    if min_new_tokens > max_new_tokens:
        raise ValueError(f"min_new_tokens is {min_new_tokens} and max_new_tokens {max_new_tokens}: ask for more tokens")


def _listed(prompts):
    if isinstance(prompts, str):
        raise ValueError("prompts is one text: give a list of them")
    prompts = list(prompts)
    for place, prompt in enumerate(prompts):
        _check_prompt(prompt, place)
    return prompts


def _check_prompt(prompt, place):
    if not isinstance(prompt, str | Sequence) or prompt in ([], ()):
        raise ValueError(f"prompt {place} is {prompt!r:.80}: give a text, or a list of turns")


# --- A server ---------------------------------------------------------------------------------------------------------

WAIT_AT_MOST = 600  # seconds; a server that asks for more has no room today
OF_REQUESTS = ("messages", "seed", "n", "stream")
SERVERS_OWN = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "max_completion_tokens", "stop", "logit_bias",
    "presence_penalty", "frequency_penalty", "repetition_penalty", "response_format", "reasoning_effort",
    "chat_template_kwargs", "api_key", "parallel", "timeout", "retries")  # fmt: skip


def server(
    address: str,
    model: str,
    api_key: str = "none",
    parallel: int = 16,
    timeout: float = 120,
    retries: int = 5,
    **how,
) -> Answerer:
    """An answerer for `respond`: an OpenAI-compatible server, such as vLLM's; `parallel` requests at a time.

    What may pass (a busy server, a cut or empty reply, no connection) is tried again, after 1, 2, 4 … seconds or after as
    many as the server asks for. Each request has a seed of its own.

    Args:
        address: up to and with the version, such as ``http://localhost:8000/v1``.
        timeout: seconds that a request may take; retries: how often it is tried in all.
        how: goes into each request: temperature, top_p, max_tokens …
    Raises:
        ValueError: the address is none; an option has another name with such servers, or is `respond`'s.
        OSError (when asked): the server has given no usable answer after `retries` tries, or refuses; says what it said.
    """
    if not re.match("https?://", address):
        raise ValueError(f"the address must begin with http:// or https://, and it is {address!r}")
    if parallel < 1 or retries < 1 or not timeout > 0:
        raise ValueError(f"parallel ({parallel}), retries ({retries}) and timeout ({timeout}) must be at least 1")
    _check_request_options(how)
    where = f"{address.rstrip('/')}/chat/completions"
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"}

    def one(prompt, seed):
        messages = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        body = json.dumps({"model": model, "messages": messages, "seed": seed, **how}).encode()
        for attempt in range(retries):
            try:
                with urllib.request.urlopen(urllib.request.Request(where, body, headers), timeout=timeout) as reply:
                    return _text_of(json.load(reply))
            except urllib.error.HTTPError as error:
                problem, wait = _said(error), _asked_wait(error)
                if error.code < 500 and error.code not in (408, 429):  # our mistake: asking again would not help
                    raise OSError(f"the server refused the request: {problem}") from error
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem, wait = f"{type(error).__name__}: {error}", None
            if wait is not None and wait > WAIT_AT_MOST:
                problem += f"; it asks to wait {wait:.0f} seconds"
                break
            if attempt + 1 < retries:
                time.sleep(2**attempt if wait is None else wait)
        tries = f"{attempt + 1} {'tries' if attempt else 'try'}"
        raise OSError(
            f"no usable answer from {address} after {tries}, prompt {prompt!r:.80} ({problem}): check that "
            "it runs, then call again; finished batches are kept"
        )

    def answer(prompts, seed):
        with ThreadPoolExecutor(parallel) as pool:
            return list(pool.map(lambda entry: one(entry[1], seed + entry[0]), enumerate(prompts)))

    answer.about = {"teacher": model, "server": "OpenAI-compatible", **how}
    return answer


def _check_request_options(how):
    for name in how:
        if name == "max_new_tokens":
            raise ValueError("such servers know no max_new_tokens: say max_tokens")
        if name in OF_REQUESTS:
            raise ValueError(f"server sets {name} itself: leave it out (seed and n belong to respond)")
        near = difflib.get_close_matches(name, SERVERS_OWN, n=1, cutoff=0.85)
        if near and name not in SERVERS_OWN:
            raise ValueError(f"server knows no option {name!r}: did you mean {near[0]}?")


def _text_of(reply):
    """A reply's (text, finished).

    Raises:
        ValueError: there is none in it; says what came.
    """
    try:
        choice = reply["choices"][0]
        text, reason = choice["message"]["content"], choice["finish_reason"]
    except (LookupError, TypeError):
        raise ValueError(f"the reply has no answer in it: {json.dumps(reply)[:200]}") from None
    if not isinstance(text, str):
        raise ValueError(f"the reply's content is {json.dumps(text)[:80]} and no text, finish_reason {reason!r}")
    return text, reason == "stop"


def _said(error):
    """What a server said when it refused, in one line."""
    try:
        text = " ".join(error.read().decode(errors="replace").split())[:300]
    except (OSError, http.client.HTTPException):
        text = ""
    return f"{error.code} {error.reason}" + (f", {text}" if text else "")


def _asked_wait(error):
    """Seconds that a server asks to wait (Retry-After, in seconds or as a date), or None."""
    text = (error.headers.get("Retry-After") or "").strip()
    if re.fullmatch(r"\d+(\.\d+)?", text):
        return float(text)
    try:
        return max(0.0, email.utils.parsedate_to_datetime(text).timestamp() - time.time())
    except ValueError:
        return None


# --- Answers on disk --------------------------------------------------------------------------------------------------


def respond(
    path: str | Path,
    answer: Answerer,
    prompts: Iterable[Mapping],
    n: int = 1,
    batch_size: int = 64,
    seed: int = 0,
    say: Callable[[str], object] | None = None,
) -> pa.Table:
    """Ask a teacher for `n` answers to each prompt and write them as parquet; returns the table.

    Prompts of like length are asked together. Each finished batch is a file beside `path` until all are there: a
    cut-off loses one batch, and the same call goes on after it with the same answers as an uninterrupted one.

    Args:
        path: of the parquet file. If it is there and of the same call, nothing is asked.
        answer: ``answer(list of prompts, seed)`` returns a list of (text, finished); `local` or `server` make one. What it
            has as `about` (a dict) belongs to the call; so do the weights of what it has as `model`.
        prompts: dicts of id (unique) and prompt; other fields are kept, and None where a prompt lacks them.
        say: called with one line of progress a batch.
    Returns:
        `pyarrow.Table` with the prompts' fields, sample (0 … n − 1), response and finished, in the prompts' order. Its
        schema's metadata holds provenance, under "distill_lessons", as JSON.
    Raises:
        ValueError: a prompt lacks an id or a text, or has a field of the table's own; ids repeat; a field cannot be stored;
            `path` holds the answers of another call; the answerer gives what is no answer.
        OSError: the disk is full, or the server does not answer; finished batches are kept.
    """
    if n < 1 or batch_size < 1:
        raise ValueError(f"n ({n}) and batch_size ({batch_size}) must be at least 1")
    path, prompts = Path(path), _checked(prompts)
    call = _call(answer, prompts, n, batch_size, seed)
    if path.exists():
        return _own(path, call)
    asked = [prompt | {"sample": sample} for prompt in prompts for sample in range(n)]
    columns = _columns(asked)
    parts = path.parent / f".{path.name}.{hashlib.sha256(json.dumps(call, sort_keys=True).encode()).hexdigest()[:12]}"
    answers = _asked(parts, answer, [row["prompt"] for row in asked], batch_size, seed, say, path.name)
    for place, name in enumerate(("response", "finished")):
        columns[name] = pa.array([each[place] for each in answers], ADDED[name])
    about = {"call": call, "machine": runtime.machine_stamp()}
    table = pa.table(columns).replace_schema_metadata({"distill_lessons": json.dumps(about)})
    with runtime.replacing(path) as temporary:
        pq.write_table(table, temporary)
    shutil.rmtree(parts, ignore_errors=True)
    return table


def read(path: str | Path) -> list[dict]:
    """The rows that `respond` wrote, as dicts.

    Raises:
        FileNotFoundError: they are not there; ValueError: the file is cut short or no parquet file.
    """
    return _table(Path(path)).to_pylist()


def provenance(table: pa.Table) -> dict:
    """How a table of responses was made: the call and the machine; both None if it does not say."""
    return json.loads((table.schema.metadata or {}).get(b"distill_lessons", b'{"call": null, "machine": null}'))


def _table(path):
    if not path.is_file():
        raise FileNotFoundError(f"no responses at {path.name}: make them with generation.respond")
    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{path.name} cannot be read ({error}): remove it and ask the teacher again") from error


def _checked(prompts):
    """The prompts as a list of dicts, each with an id of its own and something to ask."""
    rows = []
    for place, prompt in enumerate(prompts):
        if not isinstance(prompt, Mapping) or prompt.get("id") is None:
            raise ValueError(f"prompt {place} is {prompt!r:.80}: give dicts with an id and a prompt")
        _check_prompt(prompt.get("prompt"), place)
        taken = [name for name in prompt if name in ADDED]
        if taken:
            raise ValueError(f"a prompt has the field {', '.join(taken)}, which the answers' table has too: rename it")
        rows.append(dict(prompt))
    if len({row["id"] for row in rows}) < len(rows):
        raise ValueError("two prompts have the same id: make the ids unique")
    return rows


def _call(answer, prompts, n, batch_size, seed):
    """What fixes the answers, in the form in which a file holds it."""
    call = {"n": n, "seed": seed, "batch_size": batch_size, **getattr(answer, "about", {})}
    if getattr(answer, "model", None) is not None:
        call["weights"] = weights.digest(answer.model)
    try:
        call["prompts"] = hashlib.sha256(json.dumps(prompts, sort_keys=True).encode()).hexdigest()
        return json.loads(json.dumps(call))
    except TypeError as error:
        raise ValueError(f"prompts and options must be plain texts, numbers, lists and dicts: {error}") from None


def _own(path, call):
    """The table at `path`, which must be of this call. Where weights are known, their name does not matter."""
    table = _table(path)
    before = provenance(table)["call"] or {}
    different = {name for name in {**before, **call} if before.get(name) != call.get(name)}
    if "weights" in call and "weights" not in different:
        different.discard("teacher")
    if different:
        raise ValueError(
            f"{path.name} holds the answers of another call (different: {', '.join(sorted(different))}): choose another "
            "file, or remove this one"
        )
    return table


def _columns(asked):
    """The asked rows as columns: every field that any of them has, sample last."""
    names = [name for name in dict.fromkeys(name for row in asked for name in row) if name != "sample"]
    columns = {}
    for name in names or ["id", "prompt"]:
        try:
            columns[name] = pa.array([row.get(name) for row in asked], None if names else pa.string())
            pq.write_table(pa.table({name: columns[name]}), pa.BufferOutputStream())  # now, not after the last answer
        except (pa.ArrowException, OverflowError) as error:
            raise ValueError(f"the prompts' field {name!r} cannot be stored as one column: {error}") from None
    return columns | {"sample": pa.array([row["sample"] for row in asked], ADDED["sample"])}


def _asked(parts, answer, prompts, batch_size, seed, say, name):
    """The answers to all prompts, in their order; a batch is asked only if `parts` does not hold it."""
    order = sorted(range(len(prompts)), key=lambda place: _length(prompts[place]))
    began, done, answers = time.perf_counter(), 0, [None] * len(prompts)
    for number, start in enumerate(range(0, len(order), batch_size)):
        part, places = parts / f"{number:05d}.json", order[start : start + batch_size]
        if not part.exists():
            fresh = answer([prompts[place] for place in places], seed + 1_000_003 * number)
            _check_answers(fresh, len(places))
            with runtime.replacing(part) as temporary:
                temporary.write_text(json.dumps(fresh, ensure_ascii=False), encoding="utf-8")
            done += len(places)
            if say:
                rate = done / (time.perf_counter() - began)
                say(f"{name}: {start + len(places)} of {len(order)} answers, {rate:.1f} a second")
        for place, each in zip(places, json.loads(part.read_text(encoding="utf-8")), strict=True):
            answers[place] = each
    return answers


def _check_answers(answers, count):
    if len(answers) != count:
        raise ValueError(f"the answerer gave {len(answers)} answers to {count} prompts: give one each, in their order")
    for each in answers:
        if len(each) != 2 or not isinstance(each[0], str) or not isinstance(each[1], bool):
            raise ValueError(f"the answerer gave {each!r:.80}: an answer is a pair of text and whether it is finished")


def _length(prompt):
    return len(prompt if isinstance(prompt, str) else json.dumps(prompt))
