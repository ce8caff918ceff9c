"""Students of the `reviews` pair, untrained, from a hundred thousand weights to twenty million; all go with `training.fit`.

Each maps a batch of its input to logits ``[B, 2]``. What it reads is made beforehand: word ids (`encode`) for `bag`, `gru`
and `transformer`, numbers (`features`) for `frozen`, token ids (`encode_tokens`) for `layers`. Nothing is learned from
test or validation sentences, the vocabularies included.
"""

import copy
import functools
import re
from collections import Counter
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from transformers import LlamaModel

from distill_lessons import runtime
from distill_lessons.pairs import reviews_data, smollm

PADDING, UNKNOWN = 0, 1
LONGEST = 64  # words or tokens of a sentence that are read; three sentences in a thousand are longer
FROZEN_WIDTH = 576  # of SmolLM2's word vectors


# --- Words ------------------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """A text as the students read it: words in lower case, any number as 0, and runs of punctuation such as ``:)``."""
    return re.findall(r"[^\W\d_]+(?:['’][^\W\d_]+)?|0|[^\w\s]+", re.sub(r"\d+", "0", text.lower()))


@functools.lru_cache(maxsize=1)
def vocabulary() -> tuple[str, ...]:
    """The words that stand at least twice in labelled and pool sentences, the commonest first; word n has the id n + 2."""
    often = Counter(word for text in _open_texts() for word in words(text))
    return tuple(sorted((word for word, count in often.items() if count > 1), key=lambda word: (-often[word], word)))


def _open_texts():
    """The texts that a vocabulary may be made of."""
    frame = reviews_data.sentences()
    return frame["text"][frame["split"].isin(["labelled", "pool"])].tolist()


def encode(texts: Sequence[str], longest: int = LONGEST) -> torch.Tensor:
    """Texts as word ids ``[N, L]``: 0 is padding, on the right, and 1 a word that the vocabulary does not have.

    Args:
        longest: words read of a text. L is the longest text's number of them, up to that.
    Raises:
        ValueError: there are no texts.
    """
    numbers = _numbers()
    return _padded([[numbers.get(word, UNKNOWN) for word in words(text)[:longest]] for text in texts])


@functools.lru_cache(maxsize=1)
def _numbers():
    return {word: number for number, word in enumerate(vocabulary(), start=UNKNOWN + 1)}


def _padded(rows):
    if not rows:
        raise ValueError("there is nothing to encode: give at least one text")
    rows = [torch.tensor(row or [UNKNOWN]) for row in rows]
    return pad_sequence(rows, batch_first=True, padding_value=PADDING)


# --- Students that read words -----------------------------------------------------------------------------------------


def bag(width: int = 64, dropout: float = 0.3) -> nn.Module:
    """823,618 weights: the mean of a sentence's own word vectors, then 64 hidden units; does not see the order of words."""
    return nn.Sequential(
        nn.EmbeddingBag(len(vocabulary()) + 2, width, mode="mean", padding_idx=PADDING),
        nn.Dropout(dropout),
        nn.Linear(width, 64),
        nn.ReLU(),
        nn.Linear(64, 2),
    )


class GRU(nn.Module):
    """A recurrent net over the words, in their order; the mean of its states goes to the logits."""

    def __init__(self, width: int = 64, dropout: float = 0.3):
        super().__init__()
        self.embedding = nn.Embedding(len(vocabulary()) + 2, width, padding_idx=PADDING)
        self.dropout = nn.Dropout(dropout)
        self.body = nn.GRU(width, width, batch_first=True)
        self.head = nn.Linear(width, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        ids = shortened(ids)
        states, _ = self.body(self.dropout(self.embedding(ids)))  # padding is on the right, so no word comes after it
        return self.head(self.dropout(mean_of(states, ids)))


class Transformer(nn.Module):
    """Two layers of attention over the words, with learned places; the mean of the states goes to the logits."""

    def __init__(self, width: int = 64, layers: int = 2, dropout: float = 0.3):
        super().__init__()
        self.embedding = nn.Embedding(len(vocabulary()) + 2, width, padding_idx=PADDING)
        self.place = nn.Embedding(LONGEST, width)
        self.dropout = nn.Dropout(dropout)  # none within the layers: on a CPU that would take longer than the rest
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, 0.0, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, layers, nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        ids = shortened(ids)
        places = self.place(torch.arange(ids.shape[1], device=ids.device))
        states = self.body(self.dropout(self.embedding(ids) + places), src_key_padding_mask=ids == PADDING)
        return self.head(self.dropout(mean_of(states, ids)))


def gru(width: int = 64) -> nn.Module:
    """844,418 weights: a recurrent net over the words, in their order."""
    return GRU(width)


def transformer(width: int = 64, layers: int = 2) -> nn.Module:
    """890,626 weights: two layers of attention over the words."""
    return Transformer(width, layers)


def shortened(ids: torch.Tensor) -> torch.Tensor:
    """Ids ``[B, L]`` without the columns that are padding in every row; at least one is left."""
    return ids[:, : max(1, int((ids != PADDING).any(0).sum()))]


def mean_of(states: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """The mean ``[B, D]`` of states ``[B, L, D]`` where ids ``[B, L]`` are no padding."""
    real = (ids != PADDING).unsqueeze(-1)
    return states.masked_fill(~real, 0.0).sum(1) / real.sum(1).clamp(min=1)


# --- A student on frozen word vectors ---------------------------------------------------------------------------------


def frozen(hidden: int = 64, dropout: float = 0.3) -> nn.Module:
    """64 hidden units on `features`: 110,786 weights to train; SmolLM2's word vectors stay as they are."""
    return nn.Sequential(
        nn.Dropout(dropout), nn.Linear(3 * FROZEN_WIDTH, hidden), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden, 2)
    )


def features() -> torch.Tensor:
    """All sentences as numbers ``[23703, 1728]``: mean, maximum and minimum of SmolLM2's word vectors over the sentence.

    Each number is shifted and scaled to mean 0 and variance 1 over the labelled and pool sentences. Takes some seconds once;
    the tensor is kept, so do not change it.
    """
    return _all_features()[0]


def features_of(texts: Sequence[str]) -> torch.Tensor:
    """Any texts as `features` has the pair's own: ``[N, 1728]``.

    Raises:
        ValueError: there are no texts, or one is empty.
    """
    _, shift, scale = _all_features()
    return (_raw_features(_tokens(texts)) - shift) / scale


@functools.lru_cache(maxsize=1)
def _all_features():
    frame = reviews_data.sentences()
    found = _raw_features(_token_rows())
    seen = torch.tensor(frame["split"].isin(["labelled", "pool"]).tolist())
    scale, shift = torch.std_mean(found[seen], 0)
    return found.sub_(shift).div_(scale), shift, scale


@functools.lru_cache(maxsize=1)
def _word_vectors():
    return smollm.teacher().get_input_embeddings().weight.detach().cpu().clone()


@torch.no_grad()
def _raw_features(rows):
    table = _word_vectors()
    if not rows or not all(rows):
        raise ValueError("features need at least one text, and no empty one: leave those out")
    ids, places = torch.tensor([token for row in rows for token in row]).unique(return_inverse=True)
    starts = torch.tensor([0, *(len(row) for row in rows[:-1])]).cumsum(0)
    used = table[ids]  # one sentence needs a few of the 49,152 vectors
    mean, most, least = (
        sign * F.embedding_bag(places, sign * used, starts, mode=mode)
        for sign, mode in ((1, "mean"), (1, "max"), (-1, "max"))
    )
    return torch.cat([mean, most, least], 1)


# --- Some of SmolLM2's layers -----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=1)
def tokens_in_use() -> tuple[int, ...]:
    """SmolLM2's token ids that occur in labelled and pool sentences, ascending; token n of these has the id n + 2 here."""
    seen = reviews_data.sentences()["split"].isin(["labelled", "pool"])
    return tuple(sorted({token for row, known in zip(_token_rows(), seen) if known for token in row}))


@functools.lru_cache(maxsize=1)
def _token_rows():
    """All sentences as SmolLM2's token ids: a list of lists."""
    return _tokens(reviews_data.sentences()["text"])


@functools.lru_cache(maxsize=1)
def _tokenizer():
    return smollm.tokenizer()


def _tokens(texts):
    return _tokenizer()(list(texts), add_special_tokens=False)["input_ids"] if len(texts) else []


def encode_tokens(texts: Sequence[str], longest: int = LONGEST) -> torch.Tensor:
    """Texts as token ids ``[N, L]`` for `layers`, numbered over the tokens in use; 0 is padding, 1 a token that is not.

    Raises:
        ValueError: there are no texts.
    """
    numbers = {token: number for number, token in enumerate(tokens_in_use(), start=UNKNOWN + 1)}
    return _padded([[numbers.get(token, UNKNOWN) for token in row[:longest]] for row in _tokens(texts)])


class Layers(nn.Module):
    """The first layers of SmolLM2 with its word vectors of the tokens in use, frozen, and a new head on the mean state."""

    def __init__(self, count: int, seed: int = 0):
        super().__init__()
        whole = smollm.teacher().cpu()
        if not 1 <= count <= len(whole.model.layers):
            raise ValueError(f"SmolLM2 has 1 to {len(whole.model.layers)} layers, and {count} were asked for")
        config = copy.deepcopy(whole.config)
        config.num_hidden_layers, config.vocab_size, config.pad_token_id = count, len(tokens_in_use()) + 2, PADDING
        self.body = LlamaModel(config)
        self.body.layers.load_state_dict(whole.model.layers[:count].state_dict())
        self.body.norm.load_state_dict(whole.model.norm.state_dict())
        table = whole.get_input_embeddings().weight
        ours = self.body.get_input_embeddings().weight.requires_grad_(False)
        ours[UNKNOWN] = table.mean(0)
        ours[UNKNOWN + 1 :] = table[torch.tensor(tokens_in_use())]
        self.body.layers.requires_grad_(True)
        self.body.norm.requires_grad_(True)
        torch.manual_seed(seed)
        self.head = nn.Linear(config.hidden_size, 2)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        ids = shortened(ids)
        states = self.body(ids, use_cache=False).last_hidden_state  # padding is where a causal model never looks
        return self.head(mean_of(states, ids))


def layers(count: int = 2, seed: int = 0) -> nn.Module:
    """The first `count` of SmolLM2's 30 layers with a new head, on the run's device; 3.5 million weights to train a layer.

    The word vectors of the tokens in use, 13 million weights, are copied and not trained.

    Raises:
        ValueError: SmolLM2 has not so many layers.
    """
    return Layers(count, seed).to(runtime.device())
