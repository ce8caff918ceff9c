"""The students: a bag of words, a recurrent net, a small transformer; their words, their files, their answers.

A student is a folder: ``student.json``, ``vocabulary.json`` and ``model.safetensors``. Nothing in it can run code.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils.rnn import pad_sequence

from distill_lessons import runtime
from distill_lessons.models import compression

FORMAT = 1
PADDING, UNKNOWN = 0, 1
MOST_WORDS = 20_000
SHORTEST, LONGEST = (
    16,
    256,
)  # words of a text that are read: between these, so that 19 in 20 training texts are read whole

# --- Words ------------------------------------------------------------------------------------------------------------

# Vowel signs and accents are no letters for `re`, and belong to their word. Scripts without spaces are read sign by sign.
_MARKS = "".join(chr(code) for code in range(0x300, 0xAC00) if unicodedata.category(chr(code)).startswith("M"))
_LETTER = rf"(?:[^\W\d_]|[{re.escape(_MARKS)}])"
_ALONE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
_WORD = re.compile(
    rf"[{_ALONE}](?:(?![{_ALONE}])[{re.escape(_MARKS)}])*"
    rf"|(?:(?![{_ALONE}]){_LETTER})+(?:['’](?:(?![{_ALONE}]){_LETTER})+)?|0|[^\w\s]+"
)


def words(text: str) -> list[str]:
    """A text as the students read it: words in lower case, any number as 0, and runs of punctuation such as ``:)``.

    Chinese, Japanese, Thai, Lao, Khmer and Burmese, which are written without spaces, are read sign by sign.
    """
    return _WORD.findall(re.sub(r"\d+", "0", unicodedata.normalize("NFC", text).lower()))


def vocabulary_of(texts: Sequence[str]) -> tuple[list[str], int]:
    """The words that stand at least twice, the commonest first, and how many words of a text are read.

    Give training texts only. Word n has the id n + 2. If nothing stands twice, every word counts.
    """
    lists = [words(text) for text in texts]
    often = Counter(word for one in lists for word in one)
    known = [word for word, count in often.items() if count > 1] or list(often)
    longest = int(np.quantile([len(one) for one in lists], 0.95)) if lists else SHORTEST
    return sorted(known, key=lambda word: (-often[word], word))[:MOST_WORDS], min(max(longest, SHORTEST), LONGEST)


def encode(texts: Sequence[str], numbers: dict[str, int], longest: int) -> torch.Tensor:
    """Texts as word ids ``[N, L]``: 0 is padding, on the right, and 1 a word that is not known; an empty text is one such."""
    rows = [[numbers.get(word, UNKNOWN) for word in words(text)[:longest]] or [UNKNOWN] for text in texts]
    return pad_sequence([torch.tensor(row) for row in rows], batch_first=True, padding_value=PADDING)


# --- Nets: each maps ids [B, L] to logits [B, C] ----------------------------------------------------------------------


class Bag(nn.Module):
    """The mean of the words' own vectors, then one hidden layer; does not see the order of words."""

    def __init__(self, size: int, classes: int, width: int, longest: int, dropout: float = 0.3):
        super().__init__()
        self.embedding = nn.Embedding(size, width, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.hidden, self.head = nn.Linear(width, width), nn.Linear(width, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.hidden(self.dropout(mean_of(self.embedding(ids), ids)))))


class GRU(nn.Module):
    """A recurrent net over the words, in their order; the mean of its states goes to the logits."""

    def __init__(self, size: int, classes: int, width: int, longest: int, dropout: float = 0.3):
        super().__init__()
        self.embedding = nn.Embedding(size, width, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.body = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        states, _ = self.body(self.dropout(self.embedding(ids)))  # padding is on the right: no word comes after it
        return self.head(self.dropout(mean_of(states, ids)))


class Transformer(nn.Module):
    """Two layers of attention over the words, with learned places; the mean of the states goes to the logits."""

    def __init__(self, size: int, classes: int, width: int, longest: int, dropout: float = 0.3):
        super().__init__()
        self.embedding = nn.Embedding(size, width, padding_idx=PADDING)
        self.place = nn.Embedding(longest, width)
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        places = self.place(torch.arange(ids.shape[1], device=ids.device))
        states = self.body(self.dropout(self.embedding(ids) + places), src_key_padding_mask=ids == PADDING)
        return self.head(self.dropout(mean_of(states, ids)))


KINDS = {"bag": Bag, "gru": GRU, "transformer": Transformer}


def mean_of(states: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The mean ``[B, D]`` of states ``[B, L, D]`` where ids ``[B, L]`` are no padding."""
    real = (ids != PADDING).unsqueeze(-1)
    return states.masked_fill(~real, 0.0).sum(1) / real.sum(1).clamp(min=1)


class Trimmed(nn.Module):
    """A net that is given batches cut out of a wide tensor: leaves out the columns that are padding in every row."""

    def __init__(self, net: nn.Module):
        super().__init__()
        self.net = net

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        return self.net(ids[:, : max(1, int((ids != PADDING).any(0).sum()))])


# --- A student and its answers ----------------------------------------------------------------------------------------


class Student(NamedTuple):
    """A net with all that its answers need. `temperature` divides its logits: it is then as sure as it is right."""

    net: nn.Module
    kind: str
    classes: tuple[str, ...]
    vocabulary: list[str]
    width: int
    longest: int
    temperature: float = 1.0


def build(kind: str, classes: Sequence[str], vocabulary: list[str], width: int, longest: int, seed: int = 0) -> Student:
    """An untrained student; the seed fixes its weights, and torch's own random numbers go on as they would have."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = KINDS[kind](len(vocabulary) + 2, len(classes), width, longest)
    return Student(net, kind, tuple(classes), vocabulary, width, longest)


def numbers_of(student: Student) -> dict[str, int]:
    """The id of each word."""
    return {word: number for number, word in enumerate(student.vocabulary, UNKNOWN + 1)}


@torch.inference_mode()
def logits(student: Student, texts: Sequence[str], batch: int = 256) -> torch.Tensor:
    """Logits ``[N, C]``, not yet divided by the temperature, on the CPU in eval mode."""
    net, numbers = student.net.eval(), numbers_of(student)
    device = next((each.device for each in (*net.parameters(), *net.buffers())), torch.device("cpu"))
    found = [torch.empty(0, len(student.classes))]
    for start in range(0, len(texts), batch):
        found.append(net(encode(texts[start : start + batch], numbers, student.longest).to(device)).float().cpu())
    return torch.cat(found)


def probabilities(student: Student, texts: Sequence[str], batch: int = 256) -> torch.Tensor:
    """Calibrated probabilities ``[N, C]``; each row sums to 1."""
    return (logits(student, texts, batch) / student.temperature).softmax(1)


# --- Files ------------------------------------------------------------------------------------------------------------


def save(student: Student, folder: str | Path, int8: nn.Module | None = None) -> None:
    """Write a student's folder; with `int8`, the same net in int8, a second file of weights beside the first."""
    folder = Path(folder)
    about = {
        "format": FORMAT, "kind": student.kind, "classes": list(student.classes), "width": student.width,
        "longest": student.longest, "temperature": student.temperature, "padding": PADDING, "unknown": UNKNOWN,
        "words": "NFC, lower case, numbers as 0; see distill_lessons.project.students.words",
    }  # fmt: skip
    for name, content in (("student.json", about), ("vocabulary.json", student.vocabulary)):
        with runtime.replacing(folder / name) as temporary:
            temporary.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    for name, net in (("model.safetensors", student.net), ("model.int8.safetensors", int8)):
        if net is not None:
            weights = {each: tensor.detach().cpu().contiguous() for each, tensor in net.state_dict().items()}
            with runtime.replacing(folder / name) as temporary:
                save_file(weights, temporary)
        else:
            (folder / name).unlink(missing_ok=True)


def load(folder: str | Path, int8: bool = False) -> Student:
    """A student from its folder, on the CPU.

    Raises:
        FileNotFoundError: a file is missing; ValueError: one is damaged, or of another format. Says which.
    """
    folder, weights = Path(folder), "model.int8.safetensors" if int8 else "model.safetensors"
    for name in ("student.json", "vocabulary.json", weights):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"there is no {name} in {folder}: give the folder student/ that `distil` has made")
    try:
        about = json.loads((folder / "student.json").read_text(encoding="utf-8"))
        vocabulary = json.loads((folder / "vocabulary.json").read_text(encoding="utf-8"))
        if about["format"] != FORMAT or about["kind"] not in KINDS:
            raise ValueError(f"format {about['format']}, kind {about['kind']!r}")
        student = build(about["kind"], about["classes"], vocabulary, about["width"], about["longest"])
        net = compression.int8(student.net) if int8 else student.net
        net.load_state_dict(load_file(folder / weights))
        temperature = float(about["temperature"])
        if not 0 < temperature < float("inf"):
            raise ValueError(f"temperature {temperature}")
    except (SafetensorError, KeyError, TypeError, ValueError, RuntimeError) as error:
        said = " ".join(str(error).split())
        raise ValueError(
            f"the student in {folder} cannot be read ({said:.200}): make it again with `distil`"
        ) from error
    return student._replace(net=net.eval(), temperature=temperature)
