"""Lesson 09 on `reviews`: a stream whose source changes, and a student that goes on learning from its teacher.

Stated before the runs; what is in a step and the grid's place are from a look at two other seeds on validation sentences. A
student on frozen word vectors starts from 2,000 film sentences with the teacher's probabilities. Then 2,048 product sentences
come, and 2,048 of newspapers, 32 at a time; of those it may ask the teacher, and takes four updates with AdamW at one rate.

=======  ===============================================================================================================
still    asks nothing and stays as it is
follow   asks all; updates are on the 32 that came
replay   asks all; to each update come 96 sentences asked before, those of the start among them
random   asks 8 of 32, drawn; replay as before, and so for all below
unsure   asks the 8 of 32 on which the student's two probabilities are closest
alarm    asks 3 of 32; where their disagreement has grown (Page 1954's cumulative sum) it asks all of the next 8 batches; in
         all no more than 8 of 32
=======  ===============================================================================================================

Metric: exact answers against people's majority, on test sentences of the source that comes now, eight times in each part of
the stream, just before a batch is learned: the mean over both sources, each counting alike. Rates are searched on three seeds
of their own, one grid for all arms, by the same on validation sentences. Ten seeds of sentences, first weights and order.
Main test: replay against still. Least effect: two points; for less than 800 of 40,000 sentences a day nobody keeps asking.
Premise: on these sentences the teacher is five points ahead of the student that stays still. "film" is the accuracy on film
at the end, "asked" the share of the stream that the teacher answered. Cost: 155 runs of 2 to 5 s.
"""

import copy
import functools
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.pairs import reviews

FIRST, START, START_RATE = "film", 2000, 1e-3
COMING, EACH = ("product", "newspaper"), 2048
BATCH, UPDATES, REPLAYED = 32, 4, 96
SOME, WATCHED, BURST = 8, 3, 8  # sentences of a batch, sentences, and batches after an alarm
LOOKS = 8  # at the test sentences, a part of the stream
SLACK, LIMIT = 0.08, 3.0  # of the alarm: disagreement that is let pass, and the sum that raises it
ARMS = ("follow", "replay", "random", "unsure", "alarm")

Ask = Callable[[nn.Module, np.ndarray], np.ndarray]  # (student, the sentences that came) to those it asks about


# --- The stream -------------------------------------------------------------------------------------------------------


def stream(seed: int) -> tuple[np.ndarray, list[np.ndarray]]:
    """Places of the start's sentences and of what comes, a part of the stream each."""
    rng = np.random.default_rng(seed)
    first, *coming = (rng.permutation(reviews.places("pool", source)) for source in (FIRST, *COMING))
    return first[:START], [part[:EACH] for part in coming]


@functools.cache
def targets() -> Tensor:
    """The teacher's probabilities of all sentences, ``[23703, 2]``."""
    return on_reviews.soft(np.arange(len(reviews.labels())))


@functools.lru_cache(maxsize=2)
def started(seed: int) -> nn.Module:
    """The student that all arms of a seed go on from."""
    places = stream(seed)[0]
    return on_reviews.learn("frozen", places, targets()[places], START_RATE, seed)


def probabilities(model: nn.Module, places: np.ndarray) -> Tensor:
    return on_reviews.logits(model.eval(), "frozen", places).softmax(-1)


# --- Whom to ask about ------------------------------------------------------------------------------------------------


def everything(seed: int) -> Ask:
    return lambda model, rows: rows


def drawn(seed: int, count: int = SOME) -> Ask:
    rng = np.random.default_rng(seed)
    return lambda model, rows: rng.choice(rows, count, replace=False)


def unsure(seed: int, count: int = SOME) -> Ask:
    return lambda model, rows: rows[probabilities(model, rows).amax(-1).argsort().numpy()[:count]]


def alarmed(seed: int, slack: float = SLACK, limit: float = LIMIT) -> Ask:
    """A few of each batch, and all of some batches once the student agrees with the teacher less than it did.

    The sum grows by each watched disagreement less its usual share and `slack`, and never falls below 0; over `limit` it
    is an alarm. After the burst the usual share is that of the burst's last half.
    """
    watch, burst, total, left = drawn(seed, WATCHED), 0, 0.0, SOME * len(COMING) * EACH // BATCH
    usual, heard = None, []

    def disagreements(model, rows):
        return (probabilities(model, rows).argmax(-1) != targets()[rows].argmax(-1)).float()

    def ask(model, rows):
        nonlocal burst, total, left, usual
        if not left:
            return rows[:0]
        if usual is None:
            usual = disagreements(model, reviews.places("validation", FIRST)).mean().item()
        asked = (rows if burst else watch(model, rows))[:left]
        left -= len(asked)
        found = disagreements(model, asked)
        if burst:
            burst -= 1
            heard.extend(found.tolist())
            if not burst:
                usual = float(np.mean(heard[-len(heard) // 2 :]))
                heard.clear()
        else:
            for each in found.tolist():
                total = max(0.0, total + each - usual - slack)
            if total > limit:
                burst, total = BURST, 0.0
        return asked

    return ask


WAYS = {  # whom it asks about, and how many come again
    "follow": (everything, 0),
    "replay": (everything, REPLAYED),
    "random": (drawn, REPLAYED),
    "unsure": (unsure, REPLAYED),
    "alarm": (alarmed, REPLAYED),
}

# --- Learning on the way ----------------------------------------------------------------------------------------------


def learn(
    model: nn.Module, seed: int, rate: float, ask: Ask, replayed: int, look: Callable[[nn.Module, str], object]
) -> float:
    """Take the stream, in place, and ``look(model, source)`` on the way; returns the share that the teacher was asked for."""
    first, coming = stream(seed)
    device, inputs = next(model.parameters()).device, on_reviews.inputs("frozen")
    generator = torch.Generator().manual_seed(seed)
    torch.manual_seed(seed)  # dropout draws from the global generator
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=1e-4)
    known, asked = first.tolist(), 0
    for source, part in zip(COMING, coming):
        batches = np.split(part, range(BATCH, len(part), BATCH))
        for number, rows in enumerate(batches):
            if number % (len(batches) // LOOKS) == 0:
                look(model.eval(), source)
            chosen = ask(model, rows)
            for _ in range(UPDATES if len(chosen) else 0):
                again = torch.randint(len(known), (replayed,), generator=generator).tolist()
                places = np.concatenate([chosen, np.array([known[at] for at in again], dtype=int)])
                z = model.train()(inputs[places].to(device))
                loss = F.cross_entropy(z, targets()[places].to(device))
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
            known.extend(chosen.tolist())
            asked += len(chosen)
    model.eval()
    return asked / sum(map(len, coming))


def score(arm: str, seed: int, rate: float, split: str) -> dict:
    """What an arm's student comes to on "validation" or "test", on the way."""
    ask, replayed = WAYS[arm]
    return measured(
        split, lambda model, look: learn(model, seed, rate, ask(seed), replayed, look), copy.deepcopy(started(seed))
    )


def measured(split: str, taken: Callable, model: nn.Module) -> dict:
    """Scores on the way. Returns: a number a sentence for ``accuracy`` (both sources count alike); one number for each source,
    for ``film`` and for ``asked``."""
    seen = {source: [] for source in COMING}

    def look(model, source):
        places = reviews.places(split, source)
        seen[source].append((probabilities(model, places).argmax(-1) == reviews.labels()[places]).double())

    asked = taken(model, look)
    mean = {source: torch.stack(found).mean(0).numpy() for source, found in seen.items()}
    last = reviews.places(split, FIRST)
    return {
        "accuracy": balanced([mean[source] for source in COMING]),
        **{source: float(values.mean()) for source, values in mean.items()},
        FIRST: (probabilities(model, last).argmax(-1) == reviews.labels()[last]).double().mean().item(),
        "asked": asked,
    }


def balanced(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Numbers of several parts, one after another, scaled so that their mean is the mean of the parts' means."""
    total = sum(map(len, parts))
    return np.concatenate([part * total / (len(parts) * len(part)) for part in parts])


def still(seed: int) -> dict:
    """The student that stays as it was."""

    def taken(model, look):
        for source in COMING:
            look(model, source)
        return 0.0

    return measured("test", taken, started(seed))


def teacher(seed: int) -> dict:
    """The teacher's own scores, whatever the seed."""
    right = (targets().argmax(-1) == reviews.labels()).double().numpy()
    own = {source: right[reviews.places("test", source)] for source in (FIRST, *COMING)}
    return {"accuracy": balanced([own[source] for source in COMING])} | {
        source: float(values.mean()) for source, values in own.items()
    }


def groups() -> list[str]:
    """What each test sentence belongs to: its product review, its editorial, or itself."""
    ids = reviews.sentences()["id"].to_numpy()
    return [name.rsplit("_", 1)[0] for source in COMING for name in ids[reviews.places("test", source)]]


EXPERIMENTS = study.at_chosen_rates(
    "lesson09-stream-rates",
    "lesson09-stream",
    ARMS,
    [2.0**step * 1e-3 for step in range(-5, 2)],
    score,
    range(10),
    beside={"still": still, "teacher": teacher},
    groups=groups,
)

NAMES = {
    "accuracy": "right answers on the way",
    "film": "right answers on film at the end",
    "still": "staying as it was",
    "follow": "asking all, no replay",
    "replay": "asking all, with replay",
    "random": "a quarter, drawn",
    "unsure": "a quarter, where it is unsure",
    "alarm": "a quarter at most, after alarms",
}
