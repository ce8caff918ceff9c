"""Text from a teacher, in batches: `generate` in memory, `respond` to a file that a cut-off does not lose.

`respond` asks an *answerer*: `local` for a model in this process, `server` for any OpenAI-compatible server.
"""

import hashlib
import json
import shutil
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import set_seed

from distill_lessons import runtime
from distill_lessons.teacher.text import prompt_ids


@torch.inference_mode()
def generate(
    model,
    tokenizer,
    prompts,
    max_new_tokens=32,
    temperature=0.0,
    top_k=0,
    top_p=1.0,
    seed=0,
    batch_size=64,
    min_new_tokens=0,
    use_cache=True,
):
    """The model's answers to prompts: a list of (text, finished), in the prompts' order.

    Args:
        temperature: 0 takes the likeliest token each time; otherwise samples from softmax(logits / temperature).
        top_k: sample from that many likeliest tokens only; 0 from all.
        top_p: sample from the likeliest tokens that together hold this much probability; 1 from all.
        seed: fixes the sampling.
        max_new_tokens, min_new_tokens: an answer is cut at the one and cannot end before the other.
        use_cache: keep keys and values of earlier tokens; without, every token reads the whole text again.
    `finished` is False where the answer was cut at `max_new_tokens`.
    """
    set_seed(seed)
    how = (
        {"do_sample": True, "temperature": temperature, "top_k": top_k, "top_p": top_p}
        if temperature
        else {"do_sample": False}
    )
    answers = []
    was_training = model.training
    model.eval()
    for start in range(0, len(prompts), batch_size):
        ids = [prompt_ids(tokenizer, prompt) for prompt in prompts[start : start + batch_size]]
        batch = tokenizer.pad({"input_ids": ids}, padding_side="left", return_tensors="pt").to(model.device)
        made = model.generate(
            **batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
            use_cache=use_cache,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **how,
        )
        for tokens in made[:, batch.input_ids.shape[1] :].tolist():
            finished = tokenizer.eos_token_id in tokens
            if finished:
                tokens = tokens[: tokens.index(tokenizer.eos_token_id)]
            answers.append((tokenizer.decode(tokens, skip_special_tokens=True), finished))
    model.train(was_training)
    return answers


def local(model, tokenizer, **how):
    """An answerer for `respond`: a model in this process. `how` goes to `generate`."""

    def answer(prompts, seed):
        return generate(model, tokenizer, prompts, seed=seed, batch_size=len(prompts), **how)

    answer.about = {"teacher": model.config._name_or_path or type(model).__name__, "dtype": str(model.dtype), **how}
    return answer


def server(address, model, api_key="none", parallel=16, timeout=120, retries=3, **how):
    """An answerer for `respond`: an OpenAI-compatible server, such as vLLM's; `parallel` requests at a time.

    Args:
        address: up to and with the version, such as ``http://localhost:8000/v1``.
        how: goes into each request: temperature, top_p, max_tokens …
    Raises (when asked):
        OSError: the server does not answer after `retries` tries, or refuses; says what it said.
    """

    def one(prompt, seed):
        body = {"model": model, "messages": [{"role": "user", "content": prompt}], "seed": seed, **how}
        request = urllib.request.Request(
            f"{address.rstrip('/')}/chat/completions",
            json.dumps(body).encode(),
            {"Content-Type": "application/json", "Authorization": f"Bearer {api_key}"},
        )
        for attempt in range(retries):
            try:
                with urllib.request.urlopen(request, timeout=timeout) as reply:
                    choice = json.load(reply)["choices"][0]
                return choice["message"]["content"], choice["finish_reason"] == "stop"
            except urllib.error.HTTPError as error:
                if error.code < 500:  # our mistake: asking again would not help
                    raise OSError(f"the server refused the request ({error.code}): {error.read().decode()}") from error
                problem = error
            except (OSError, ValueError, KeyError) as error:
                problem = error
            if attempt + 1 < retries:
                time.sleep(2**attempt)
        raise OSError(
            f"no usable answer from {address} after {retries} tries ({problem}): check that it runs, then call again; "
            "finished batches are kept"
        ) from problem

    def answer(prompts, seed):
        with ThreadPoolExecutor(parallel) as pool:
            return list(pool.map(lambda entry: one(entry[1], seed + entry[0]), enumerate(prompts)))

    answer.about = {"teacher": model, "server": "OpenAI-compatible", **how}
    return answer


def respond(path, answer, prompts, n=1, batch_size=64, seed=0, say=None):
    """Ask a teacher for `n` answers to each prompt and write them as parquet; returns the table.

    Prompts of like length are asked together. Each finished batch is a file beside `path` until all are there: a
    cut-off loses one batch, and the same call goes on after it with the same answers as an uninterrupted one.

    Args:
        path: of the parquet file. If it is there and of the same call, nothing is asked.
        answer: ``answer(list of prompts, seed)`` returns a list of (text, finished); `local` or `server` make one.
        prompts: dicts of id (unique) and prompt; other fields are kept.
        say: called with one line of progress a batch.
    Returns:
        `pyarrow.Table` with the prompts' fields, sample (0 … n − 1), response and finished, in the prompts' order. Its
        schema's metadata holds provenance, under "distill_lessons", as JSON.
    Raises:
        ValueError: ids repeat; `path` holds the answers of another call.
        OSError: the disk is full, or the server does not answer; finished batches are kept.
    """
    path = Path(path)
    ids = [prompt["id"] for prompt in prompts]
    if len(set(ids)) < len(ids):
        raise ValueError("two prompts have the same id: make the ids unique")
    asked = [prompt | {"sample": sample} for prompt in prompts for sample in range(n)]
    call = {"n": n, "seed": seed, "batch_size": batch_size, **getattr(answer, "about", {})}
    call["prompts"] = hashlib.sha256(json.dumps(prompts, sort_keys=True).encode()).hexdigest()
    if path.exists():
        table = pq.read_table(path)
        if provenance(table)["call"] != call:
            raise ValueError(f"{path.name} holds the answers of another call: choose another file, or remove this one")
        return table
    parts = path.parent / f".{path.name}.{hashlib.sha256(json.dumps(call).encode()).hexdigest()[:12]}"
    order = sorted(range(len(asked)), key=lambda place: len(asked[place]["prompt"]))
    began, done = time.perf_counter(), 0
    for number, start in enumerate(range(0, len(order), batch_size)):
        part = parts / f"{number:05d}.json"
        if part.exists():
            continue
        chosen = [asked[place] for place in order[start : start + batch_size]]
        answers = answer([row["prompt"] for row in chosen], seed + 1_000_003 * number)
        with runtime.replacing(part) as temporary:
            temporary.write_text(json.dumps(answers, ensure_ascii=False), encoding="utf-8")
        done += len(chosen)
        if say:
            rate = done / (time.perf_counter() - began)
            say(f"{path.name}: {start + len(chosen)} of {len(order)} answers, {rate:.1f} a second")
    answers = [
        answer
        for number in range(-(-len(order) // batch_size))
        for answer in json.loads((parts / f"{number:05d}.json").read_text(encoding="utf-8"))
    ]
    rows = [None] * len(asked)
    for place, (response, finished) in zip(order, answers):
        rows[place] = asked[place] | {"response": response, "finished": finished}
    about = {"call": call, "machine": runtime.machine_stamp()}
    table = pa.Table.from_pylist(rows).replace_schema_metadata({"distill_lessons": json.dumps(about)})
    with runtime.replacing(path) as temporary:
        pq.write_table(table, temporary)
    shutil.rmtree(parts)
    return table


def read(path):
    """The rows that `respond` wrote, as dicts.

    Raises:
        FileNotFoundError: they are not there; ValueError: the file is cut short or no parquet file.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(f"no responses at {Path(path).name}: make them with generation.respond")
    try:
        return pq.read_table(path).to_pylist()
    except (pa.ArrowInvalid, OSError) as error:
        raise ValueError(f"{Path(path).name} cannot be read ({error}): remove it and ask the teacher again") from error


def provenance(table):
    """How a table of responses was made: the call and the machine."""
    return json.loads((table.schema.metadata or {}).get(b"distill_lessons", b'{"call": null, "machine": null}'))
