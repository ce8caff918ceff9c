"""The `multiplication` pair: two-digit by two-digit products as characters, for two small Llamas made from scratch.

A prompt is ``23*47=``. What stands after it depends on the style: the bare answer, worked steps, or more. Whatever the
style, every statement in a trace is an equation, so that `first_error` can check a trace by exact arithmetic.
"""

import json
import math
import random
import re
from itertools import pairwise

import numpy as np
import pyarrow.parquet as pq
import torch
from safetensors import SafetensorError
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from distill_lessons import runtime

CHARACTERS = "0123456789*+-:=;!yn"
HELD_OUT = {"test": 500, "validation": 200}


# --- Problems ---------------------------------------------------------------------------------------------------------


def problems(split):
    """Pairs (a, b) of two-digit numbers: 7,400 for "train", 200 for "validation", 500 for "test".

    ``23*47`` and ``47*23`` are two problems, and always in the same part: none can be answered from its mirror image.
    """
    pairs = [(a, b) for a in range(10, 100) for b in range(a, 100)]
    random.Random(0).shuffle(pairs)
    parts = {"test": [], "validation": [], "train": []}
    for a, b in pairs:
        twins = list(dict.fromkeys([(a, b), (b, a)]))
        part = next((p for p, size in HELD_OUT.items() if len(parts[p]) + len(twins) <= size), "train")
        parts[part] += twins
    return parts[split]


def longer_problems(count=500):
    """Three-digit by two-digit products, out of the training distribution."""
    rng = random.Random(1)
    return [(rng.randrange(100, 1000), rng.randrange(10, 100)) for _ in range(count)]


def prompt(a, b):
    """The problem as the models read it: ``23*47=``."""
    return f"{a}*{b}="


def carries(a, b):
    """How often one carries in the written sum of the two partial products of a·b."""
    tens, ones = partial_products(a, b)
    count = carry = 0
    while tens or ones:
        carry = (tens % 10 + ones % 10 + carry) // 10
        count, tens, ones = count + carry, tens // 10, ones // 10
    return count


def partial_products(a, b):
    """a times the tens of b, and a times its ones: 23·47 gives (920, 161)."""
    return a * (b - b % 10), a * (b % 10)


# --- Styles of solution -----------------------------------------------------------------------------------------------


def answer(a, b):
    """The product alone: ``1081``."""
    return str(a * b)


def steps(a, b):
    """Worked steps: ``23*40+23*7=920+161=1081``."""
    tens, ones = partial_products(a, b)
    return f"{_split(a, b)}={tens}+{ones}={a * b}"


def detailed(a, b):
    """Every digit's product and every place of the sum:
    ``23*40+23*7;23*4=80+12=92;23*40=920;23*7=140+21=161;920+161=1000+80+1=1081``.
    """
    tens, ones = partial_products(a, b)
    parts = [_split(a, b)]
    parts += [f"{a}*{digit}={_places(a, digit)}={a * digit}" for digit in (b // 10,)]
    parts += [f"{a}*{b - b % 10}={tens}", f"{a}*{b % 10}={_places(a, b % 10)}={ones}"]
    widths = range(max(len(str(tens)), len(str(ones))) - 1, -1, -1)
    sums = "+".join(str((tens // 10**place % 10 + ones // 10**place % 10) * 10**place) for place in widths)
    return ";".join([*parts, f"{tens}+{ones}={sums}={a * b}"])


def mistake(a, b, seed=0):
    """Worked steps with a common mistake shown, struck out by "!", and put right: ``23*40+23*7=92!920+161=1081``.

    The mistake is one of three: the zero forgotten, the next row of the times table, a carry lost.
    """
    tens, ones = partial_products(a, b)
    rng = random.Random(f"mistake {seed} {a} {b}")
    wrong = {0: tens // 10, 1: a * (b % 10 + 1), 2: without_carry(tens, ones)}
    if wrong[2] == a * b:  # nothing is carried here
        del wrong[2]
    where = rng.choice(list(wrong))
    shown = [f"{wrong[place]}!" if place == where else "" for place in range(3)]
    return f"{_split(a, b)}={shown[0]}{tens}+{shown[1]}{ones}={shown[2]}{a * b}"


def verified(a, b, seed=0, slips=0.25):
    """Worked steps, then the inverse: subtract the second product, divide by the tens, compare with a; "y" or "n".

    ``23*40+23*7=920+161=1081;1081-161=920=23*40y``. In a share `slips` of the problems the first attempt has a slip, the
    check ends in "n", and a second attempt follows: without such examples a student would learn to write "y" always.
    """
    tens, ones = partial_products(a, b)
    rng = random.Random(f"verified {seed} {a} {b}")
    good = f"{steps(a, b)};{check_of(a, b, ones, a * b)}"
    if rng.random() >= slips:
        return good
    if rng.random() < 0.5:  # a slip in the first product, carried on to the sum
        slip = tens + rng.choice([-1, 1]) * rng.choice([10, 100, b - b % 10])
        total = slip + ones
    else:
        slip = tens
        total = rng.choice([t for t in (a * b - 100, a * b + 100, a * b - 10, a * b + 10) if t > ones])
    if total <= ones:  # nothing sensible left to check
        return good
    return f"{_split(a, b)}={slip}+{ones}={total};{check_of(a, b, ones, total)}{tens}+{ones}={good.split('=', 2)[2]}"


def check_of(a, b, ones, total):
    """The check that an attempt calls for: ``1081-161=920=23*40y``, or ``1071-161=910=22*40+30n``."""
    left, divisor = total - ones, b - b % 10
    quotient, rest = divmod(left, divisor)
    verdict = "y" if (quotient, rest) == (a, 0) else "n"
    return f"{total}-{ones}={left}={quotient}*{divisor}{f'+{rest}' if rest else ''}{verdict}"


def wrong_steps(a, b, seed=0):
    """The right answer after partial products of the right length that are wrong, and do not even add up to it."""
    rng = random.Random(f"wrong steps {seed} {a} {b}")
    right = partial_products(a, b)
    while True:
        tens, ones = (_of_same_length(product, rng) for product in right)
        if tens != right[0] and ones != right[1] and tens + ones != a * b:
            return f"{_split(a, b)}={tens}+{ones}={a * b}"


def wrong_answer(a, b, seed=0):
    """The right steps, and an answer with one of its last two digits changed."""
    rng = random.Random(f"wrong answer {seed} {a} {b}")
    unit = rng.choice([1, 10])
    digit = a * b // unit % 10
    changed = rng.choice([other for other in range(10) if other != digit])
    return f"{steps(a, b).rsplit('=', 1)[0]}={a * b + (changed - digit) * unit}"


def shuffled(a, b, seed=0):
    """The right pieces in random order, ``920+23*7=161+23*40=1081``: a result may stand before what it follows from."""
    rng = random.Random(f"shuffled {seed} {a} {b}")
    one, two, three, four = rng.sample([*_split(a, b).split("+"), *map(str, partial_products(a, b))], 4)
    return f"{one}+{two}={three}+{four}={a * b}"


STYLES = {style.__name__: style for style in (answer, steps, detailed, mistake, verified)}
FLAWED = {style.__name__: style for style in (wrong_steps, wrong_answer, shuffled)}


def _split(a, b):
    return f"{a}*{b - b % 10}+{a}*{b % 10}"


def _places(a, digit):
    tens, ones = a - a % 10, a % 10
    return f"{tens * digit}+{ones * digit}"


def without_carry(left, right):
    """The sum of two numbers, place by place, with every carry forgotten."""
    places = range(max(len(str(left)), len(str(right))))
    return sum((left // 10**p % 10 + right // 10**p % 10) % 10 * 10**p for p in places)


def _of_same_length(number, rng):
    low = 10 ** (len(str(number)) - 1)
    return rng.randrange(low if number else 1, 10 * low)


# --- Reading a response -----------------------------------------------------------------------------------------------


def attempts(text):
    """A response's attempts in order: a list of (answer or None, verdict), the verdict "y", "n" or None if unchecked."""
    found = []
    for work, check in re.findall(r"([^yn]*?)(?:;([^;yn]*[yn])|$)", text):
        if work or check:
            last = re.search(r"(?:^|[=!;])(\d+)$", work)
            found.append((int(last[1]) if last else None, check[-1] if check else None))
    return found


def final_answer(text):
    """The answer that a response ends on, an int, or None if it has none."""
    found = attempts(text)
    return found[-1][0] if found else None


def is_right(a, b, text):
    """Whether a response to a·b ends on the right answer; how it got there is not looked at."""
    return final_answer(text) == a * b


def first_error(a, b, text):
    """The first equation of a trace that is false, as text, or None if all are true and it ends on a·b.

    Numbers struck out by "!" and attempts that a check rejected, with "n", are passed over.
    """
    kept = [attempt for attempt in re.sub(r"\d+!", "", text).split("n") if attempt] or [""]
    for statement in re.split(r"[;y]", prompt(a, b) + kept[-1]):
        for left, right in pairwise(statement.split("=")):
            values = _value(left), _value(right)
            if None in values or values[0] != values[1]:
                return f"{left}={right}"
    return None if is_right(a, b, text) else f"{prompt(a, b)}{final_answer(text)}"


def _value(expression):
    """Exact value of sums and differences of products, such as ``23*40+23*7`` or ``1081-161``; None if it is none."""
    if not re.fullmatch(r"\d+([*+-]\d+)*", expression):
        return None
    terms = re.findall(r"(^|[+-])([^+-]+)", expression)
    return sum((-1 if sign == "-" else 1) * math.prod(map(int, term.split("*"))) for sign, term in terms)


# --- Tokenizer and models ---------------------------------------------------------------------------------------------


def tokenizer(characters=CHARACTERS):
    """One token a character, as a tokenizer of transformers: pads, decodes batches, saves and loads.

    Its chat template is the bare prompt, so that `generation.generate` asks these models as it asks any other.
    """
    return small_tokenizer(characters, pre_tokenizers.Split(Regex("."), "isolated"), decoders.Fuse())


def small_tokenizer(words, splitter, decoder):
    """A tokenizer that knows these words and nothing else, with tokens for padding, end and unknown.

    Args:
        words: strings, each a token; splitter, decoder: of the tokenizers library.
    """
    special = ["<pad>", "<eos>", "<unk>"]
    vocabulary = {word: number for number, word in enumerate([*special, *words])}
    inner = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    inner.pre_tokenizer, inner.decoder = splitter, decoder
    made = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", eos_token="<eos>", unk_token="<unk>", padding_side="right"
    )
    made.chat_template = "{% for message in messages %}{{ message.content }}{% endfor %}"
    return made


def llama(vocabulary, width, layers, seed=0, positions=256):
    """A Llama of the given width and depth with fresh weights, on the run's device; heads are 16 wide.

    The matrix of its embedding is its head's too. Positions turn faster than in large models (`rope_theta` 100 for 10,000):
    texts are short, and so it learns to look at the right digit sooner. Weights start three times as large as usual.
    """
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=vocabulary, hidden_size=width, intermediate_size=3 * width, num_hidden_layers=layers,
        num_attention_heads=width // 16, num_key_value_heads=width // 16, max_position_embeddings=positions,
        rope_parameters={"rope_type": "default", "rope_theta": 100.0}, tie_word_embeddings=True,
        initializer_range=0.06, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(runtime.device())


def student(seed=0):
    """2 layers, 64 wide: 108 thousand parameters, untrained."""
    return llama(len(tokenizer()), 64, 2, seed)


def large(seed=0):
    """4 layers, 128 wide: 855 thousand parameters, untrained: what the teacher was before its training."""
    return llama(len(tokenizer()), 128, 4, seed)


def teacher(name="teacher"):
    """The trained teacher from ``data/multiplication``, or "noisy": the same training, stopped early; frozen.

    Raises:
        FileNotFoundError: the weights are missing; OSError: they are damaged. Both say what to do.
    """
    folder = runtime.data_folder() / "multiplication" / name
    if not (folder / "model.safetensors").is_file():
        raise FileNotFoundError(
            f"no weights of the {name} at data/multiplication/{name}: restore them with git, or make them with "
            "`python -m distill_lessons.course.experiments.multiplication_teacher`"
        )
    try:
        model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float32)
    except (SafetensorError, OSError, RuntimeError, json.JSONDecodeError) as error:
        raise OSError(
            f"the weights of the {name} cannot be read ({error}): restore data/multiplication with git"
        ) from error
    return model.to(runtime.device()).eval().requires_grad_(False)


def traces(name="teacher"):
    """What a teacher wrote on every training problem, greedily: a list of (a, b, text), right or wrong."""
    rows = pq.read_table(runtime.data_folder() / "multiplication" / f"traces-{name}.parquet").to_pylist()
    return [(*map(int, row["id"].split("*")), row["response"]) for row in rows]


def encode(tokenizer, pairs, length=None):
    """(prompt, response) pairs as token ids: dicts of input_ids and labels, -100 on the prompt, ending in the end token.

    Args:
        length: pad all rows to it, so that a batch needs no padding of its own; by default to the longest row.
    Raises:
        ValueError: there are no pairs; a text has a character that the tokenizer does not know; a row is too long.
    """
    if not pairs:
        raise ValueError("there is nothing to encode: give at least one pair of prompt and response")
    prompts = tokenizer([prompt for prompt, _ in pairs], add_special_tokens=False)["input_ids"]
    responses = tokenizer([response for _, response in pairs], add_special_tokens=False)["input_ids"]
    rows = []
    for (before, after), asked, told in zip(pairs, prompts, responses):
        if tokenizer.unk_token_id in asked or tokenizer.unk_token_id in told:
            raise ValueError(f"{before + after!r} has a character or word that the tokenizer does not know")
        told = [*told, tokenizer.eos_token_id]
        rows.append({"input_ids": asked + told, "labels": [-100] * len(asked) + told})
    longest = max(len(row["input_ids"]) for row in rows)
    if length is not None and longest > length:
        raise ValueError(f"a row has {longest} tokens, more than the {length} asked for")
    for row in rows:
        missing = (length or longest) - len(row["input_ids"])
        row["attention_mask"] = [1] * len(row["input_ids"]) + [0] * missing
        row["input_ids"] += [tokenizer.pad_token_id] * missing
        row["labels"] += [-100] * missing
    return rows


def collate(rows):
    """A batch of rows that `encode` has made: tensors ``[B, L]``, cut to the longest row among them.

    The mask is all ones: padding is on the right, where a causal model never looks, and attention without a mask is faster.
    """
    longest = max(sum(row["attention_mask"]) for row in rows)
    # numpy reads lists of lists more than twice as fast as torch
    batch = {
        name: torch.from_numpy(np.array([row[name][:longest] for row in rows])) for name in ("input_ids", "labels")
    }
    return batch | {"attention_mask": torch.ones_like(batch["input_ids"])}
