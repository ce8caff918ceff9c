"""Lesson 15 on `reviews`: does a law of size and data foresee a larger student, and how small may a student be?

Stated before the runs; grids, forms and sizes were looked at on seed 900, which is not recorded, by test sentences.

A law. Students read the mean of a sentence's SmolLM2 word vectors, cut to the first 8, 24, 72, 216 or 576 principal
components (the axes come from pool sentences), through 64 hidden units: 706 to 37,058 weights. They learn the tuned
teacher's probabilities for the seed's own 480, 960, … 7,680 pool sentences, each read four times in batches of 128, and
every one of the 25 cells at a learning rate of its own (three search seeds, one grid, by the same loss on validation
sentences). Loss: cross-entropy to the teacher on 3,000 test sentences, in nats; its floor is the teacher's entropy there,
0.424. A seed's 16 small students (up to 216 numbers and 3,840 sentences) are what is known; the corner is three students
beyond: 216 and 7,680, 576 and 3,840, 576 and 7,680. Foreseen by

==========  ==========================================================================================================
joint       floor + (A / N^a + B / D^b)^g, after Busbridge et al. 2025, whose teacher term is constant here: 5 numbers
additive    E + A / N^a + B / D^b, Hoffmann et al. 2022: 5 numbers
line        a plane in log N and log D: 3 numbers
carried     the nearest known student's loss, carried on: nothing is fitted
==========  ==========================================================================================================

Main test: the joint law's mean absolute error over the corner against carrying on, ten seeds of draw, start and order.
Least effect: 0.002 nats, a fifth of what the last doubling of the pool brings to the largest student. Premise: the corner's
far student is better than the best known one by 0.005 nats, so that there is something to foresee. Cost: 0.3 s a student.

The edge. Bags of words that know the commonest words only: "full" 12,800 words of 64 numbers, "small" 4,000 of 12, "tiny"
1,000 of 4; "gru", a recurrent net of 4,000 words of 12 numbers that reads the first 32 words. All learn the tuned teacher's
probabilities for 7,680 pool sentences in 400 steps of 128; rates searched by accuracy on validation sentences, three seeds
of their own, one grid. Each is stored in float32, in float16, and in int8 (a matrix as whole numbers with one float16 scale
a row, the rest float16), read again, and asked in float32. Kilobytes count weights and word list. Main test: "small" in
int8, under 100 KB, is at most 3 points behind "full" in float32: half of what 5,000 sentences win over 640 labels; one
point could not be told on 3,000 sentences. Premise: "full" is right on 65% at least, a useful skill. Ten seeds. The
teacher's speed stands in lesson 12's table.
"""

import functools

import numpy as np
import safetensors.torch
import torch
import torch.nn.functional as F
from scipy.optimize import least_squares
from torch import nn

from distill_lessons import training
from distill_lessons.course import results
from distill_lessons.course.experiments import on_reviews, study
from distill_lessons.evaluation import speed
from distill_lessons.models import compression
from distill_lessons.pairs import reviews, reviews_students

SIZES, POOLS, PASSES = (8, 24, 72, 216, 576), (480, 960, 1920, 3840, 7680), 4
SCALING, EDGE = "lesson15-scaling", "lesson15-edge"


def drawn(seed, count):
    """The seed's own sentences of the pool; fewer are the first of more."""
    return on_reviews.drawn(seed, count)


def learned(model, inputs, places, steps, rate, seed):
    """A model trained on the teacher's probabilities for the sentences at `places`, whose inputs these are."""
    targets = on_reviews.soft(places)
    return training.fit(
        model,
        inputs,
        torch.zeros(len(places), dtype=torch.long),  # no label
        loss=lambda logits, told, labels: F.cross_entropy(logits, told),
        teacher=lambda batch: targets.to(batch.device),
        steps=steps,
        batch_size=on_reviews.BATCH,
        learning_rate=rate,
        seed=seed,
    ).cpu()


# --- A law ------------------------------------------------------------------------------------------------------------


@functools.cache
def components():
    """All sentences as mean word vectors ``[23703, 576]`` along their principal axes, the widest first."""
    means = reviews.features()[:, :576]
    seen = means[reviews.pool(on_reviews.TEACHER)].double()
    axes = torch.linalg.eigh(seen.T @ seen / len(seen))[1].flip(1)
    axes = axes * axes.gather(0, axes.abs().argmax(0, keepdim=True)).sign()  # either sign is an axis: fix one
    return means @ axes.float()


def student(size):
    """An untrained student of that many numbers a sentence."""
    return nn.Sequential(nn.Dropout(0.3), nn.Linear(size, 64), nn.ReLU(), nn.Dropout(0.3), nn.Linear(64, 2))


def weights(size):
    """What a student of that size learns: N."""
    return 64 * size + 194


def cell(size, pool):
    """The arm of a size and a pool."""
    return f"{size} x {pool}"


def grown(size, pool, rate, seed):
    """A trained student of a cell."""
    places = drawn(seed, pool)
    torch.manual_seed(seed)
    inputs = components()[places, :size].contiguous()
    return learned(student(size), inputs, places, pool * PASSES // on_reviews.BATCH, rate, seed)


def cell_score(arm, seed, rate, split):
    """Cross-entropy to the teacher, in nats, and accuracy against people."""
    size, pool = map(int, arm.split(" x "))
    places = reviews.places(split)
    model = grown(size, pool, rate, seed)
    with torch.no_grad():
        z = model(components()[places, :size])
    right = (z.argmax(-1) == reviews.labels()[places]).float().mean().item()
    return {"nats": F.cross_entropy(z, on_reviews.soft(places)).item(), "accuracy": right}


@functools.cache
def floor():
    """The teacher's entropy on test sentences, in nats: no student's loss is lower."""
    p = on_reviews.soft(reviews.places("test"))
    return -(p * p.log()).sum(-1).mean().item()


def joint(numbers, n, d, floor):
    """floor + (A / n^a + B / d^b)^g; `numbers` are log A, a, log B, b, g."""
    log_a, a, log_b, b, g = numbers
    return floor + np.exp(g * np.logaddexp(log_a - a * np.log(n), log_b - b * np.log(d)))


def additive(numbers, n, d, floor):
    """E + A / n^a + B / d^b; `numbers` are log A, a, log B, b, E."""
    log_a, a, log_b, b, e = numbers
    return e + np.exp(log_a - a * np.log(n)) + np.exp(log_b - b * np.log(d))


STARTS = {"joint": (joint, -1.0, 0.15), "additive": (additive, -3.0, 0.55)}  # form, log A and log B, the fifth number


def fitted(form, n, d, loss, floor):
    """The five numbers of "joint" or "additive" with the least squared error, from nine starts.

    Args:
        n, d, loss: arrays of one length; sizes and pools are divided by their smallest.
    """
    law, log, fifth = STARTS[form]
    low = [-40, 0, -40, 0, 0.01 if form == "joint" else floor]
    high = [10, 5, 10, 5, 3]
    starts = [[log, a, log, b, fifth] for a in (0.2, 0.5, 1.0) for b in (0.2, 0.5, 1.0)]
    found = [least_squares(lambda q: law(q, n, d, floor) - loss, start, bounds=(low, high)) for start in starts]
    return min(found, key=lambda each: each.cost).x


def foreseen(form, loss, floor):
    """Losses ``[5, 5]`` of all sizes and pools from the 16 small ones; and the law's five numbers, or None.

    Args:
        loss: ``[5, 5]``, sizes down, pools across; only its first four rows and columns are looked at.
    """
    n, d = np.meshgrid(weights(np.array(SIZES)), np.array(POOLS), indexing="ij")
    n, d, known = n / n[0, 0], d / d[0, 0], np.s_[:4, :4]
    if form == "carried":
        return np.pad(loss[known], ((0, 1), (0, 1)), mode="edge"), None
    if form == "line":
        plane = np.stack([np.ones_like(n), np.log(n), np.log(d)], -1)
        slopes = np.linalg.lstsq(plane[known].reshape(-1, 3), loss[known].ravel(), rcond=None)[0]
        return plane @ slopes, None
    numbers = fitted(form, n[known].ravel(), d[known].ravel(), loss[known].ravel(), floor)
    return STARTS[form][0](numbers, n, d, floor), numbers


CORNER = ((3, 4), (4, 3), (4, 4))


def losses_of(seed):
    """A seed's recorded losses ``[5, 5]``, sizes down, pools across."""
    table = results.load(SCALING)
    rows = table[(table.metric == "nats") & (table.seed == seed)].set_index("arm").value
    return np.array([[rows[cell(size, pool)] for pool in POOLS] for size in SIZES])


def foresee(form, seed):
    """How far off a form is, in nats: "error" over the corner, "far" at its far end (signed), "inside" where it is fitted."""
    loss = losses_of(seed)
    said, numbers = foreseen(form, loss, floor())
    miss = said - loss
    found = {
        "error": float(np.mean([abs(miss[place]) for place in CORNER])),
        "far": miss[4, 4],
        "all nine": float((np.abs(miss).sum() - np.abs(miss[:4, :4]).sum()) / 9),
        "inside": float(np.sqrt((miss[:4, :4] ** 2).mean())),
    }
    names = ("log A", "a", "log B", "b", "g" if form == "joint" else "E")
    return found | (dict(zip(names, map(float, numbers))) if numbers is not None else {})


# --- The edge ---------------------------------------------------------------------------------------------------------

WORDS = {"full": (12_800, 64), "small": (4_000, 12), "tiny": (1_000, 4), "gru": (4_000, 12)}  # known, numbers a word
STEPS, TAUGHT, READS = 400, 7_680, 32  # READS: words of a sentence that the recurrent net reads


def edge(kind):
    """An untrained student that knows the commonest words only."""
    count, width = WORDS[kind]
    if kind == "gru":
        model = reviews_students.GRU(width)
        model.embedding = nn.Embedding(count + 2, width, padding_idx=reviews_students.PADDING)
        return model
    table = nn.EmbeddingBag(count + 2, width, mode="mean", padding_idx=reviews_students.PADDING)
    return nn.Sequential(table, nn.Dropout(0.3), nn.Linear(width, 64), nn.ReLU(), nn.Linear(64, 2))


def read(kind, ids):
    """Word ids as that student reads them: words beyond its list are unknown."""
    ids = ids[:, :READS] if kind == "gru" else ids
    return torch.where(ids < WORDS[kind][0] + 2, ids, reviews_students.UNKNOWN)


@functools.lru_cache(maxsize=2)
def taught(kind, seed, rate):
    """A trained student."""
    places = drawn(seed, TAUGHT)
    torch.manual_seed(seed)
    return learned(edge(kind), read(kind, on_reviews.inputs("bag")[places]), places, STEPS, rate, seed)


def packed(model, form):
    """A model's tensors as they are stored: "float32", "float16", or "int8"."""
    stored = {}
    for name, tensor in model.state_dict().items():
        if form == "int8" and tensor.dim() == 2:
            whole, scale = compression.quantised(tensor)
            stored |= {name: whole, f"{name} scale": scale.half()}
        else:
            stored[name] = tensor.float() if form == "float32" else tensor.half()
    return stored


def unpacked(model, stored):
    """The same model in float32, with what was stored as its weights; in place."""
    whole = {name: tensor.float() for name, tensor in stored.items()}
    scales = {name: whole.pop(f"{name} scale") for name in list(whole) if f"{name} scale" in whole}
    model.load_state_dict(whole | {name: whole[name] * scale[:, None] for name, scale in scales.items()})
    return model.eval()


def kilobytes(kind, stored):
    """Of a file of weights, and of the words that its student knows."""
    text = "\n".join(reviews_students.vocabulary()[: WORDS[kind][0]])
    return len(safetensors.torch.save(stored)) / 1000, len(text.encode()) / 1000


@torch.no_grad()
def said(model, kind, places):
    """Logits ``[N, 2]``."""
    return torch.cat([model(read(kind, part)) for part in on_reviews.inputs("bag")[places].split(1000)])


def stored_score(kind, seed, rate, form):
    """Accuracy a test sentence, cross-entropy to the teacher, and kilobytes of a student stored in a form."""
    stored, places = packed(taught(kind, seed, rate), form), reviews.places("test")
    z = said(unpacked(edge(kind), stored), kind, places)
    own, words = kilobytes(kind, stored)
    return {
        "accuracy": (z.argmax(-1) == reviews.labels()[places]).float().tolist(),
        "nats": F.cross_entropy(z, on_reviews.soft(places)).item(),
        "kilobytes": own + words,
        "words' kilobytes": words,
    }


def edge_score(kind, seed, rate, split):
    """A student in float32."""
    if split == "test":
        return stored_score(kind, seed, rate, "float32")
    places = reviews.places("validation")
    return on_reviews.validated(said(taught(kind, seed, rate), kind, places), places)


def found_rate(table, kind):
    """The learning rate that a search found."""
    return study.chosen_rate(results.load(table), kind, study.rates_of(table, kind), "accuracy")


def in_form(table, kind, form):
    """A function of the seed: scores of a student stored in a form."""
    return lambda seed: stored_score(kind, seed, found_rate(table, kind), form)


def of_teacher(seed):
    """The teacher's accuracy a test sentence, whatever the seed."""
    places = reviews.places("test")
    z = reviews.logits(on_reviews.TEACHER)[places]
    return {"accuracy": (z.argmax(-1) == reviews.labels()[places]).float().tolist()}


@functools.lru_cache(maxsize=1)
def answers(kind):
    """A function from texts to answers; its weights do not matter here, and are untrained."""
    model = edge(kind).eval()

    def run(texts):
        with torch.inference_mode():
            return model(read(kind, reviews.encode(texts))).argmax(-1)

    return run


def timed(kind, seed):
    """Median milliseconds from one text to its answer, on one thread; the seed chooses the sentences."""
    texts = reviews.sentences()["text"].to_numpy()[np.random.default_rng(seed).permutation(reviews.places("test"))]
    ask = answers(kind)
    alone = [speed.timed(lambda text=text: ask([text]), 1, 0)[0] for text in texts[:1020]]
    return {"p50": 1000 * speed.percentiles(alone, warm_up=20)["p50"]}


def pair(name, kinds, grid, beside=None):
    """The search and the runs of some kinds, each in three forms."""
    rates = f"{name}-rates"
    forms = {f"{kind} {form}": in_form(rates, kind, form) for kind in kinds for form in ("float16", "int8")}
    return study.at_chosen_rates(
        rates, name, kinds, grid, edge_score, range(10), beside=forms | (beside or {}), groups=on_reviews.groups
    )


EXPERIMENTS = (
    *study.at_chosen_rates(
        f"{SCALING}-rates",
        SCALING,
        tuple(cell(size, pool) for size in SIZES for pool in POOLS),
        [2.0**step * 1e-3 for step in range(-1, 7)],
        cell_score,
        range(10),
        metric="nats",
        lower_is_better=True,
    ),
    results.Experiment("lesson15-law", ("joint", "additive", "line", "carried"), tuple(range(10)), foresee),
    *pair(EDGE, ("full", "small", "tiny"), [2.0**step * 1e-3 for step in range(2, 8)], {"teacher": of_teacher}),
    *pair("lesson15-edge-gru", ("gru",), [2.0**step * 1e-3 for step in range(2, 8)]),
    results.Experiment("lesson15-edge-speed", tuple(WORDS), tuple(range(5)), timed),
)

NAMES = {
    "nats": "cross-entropy to the teacher",
    "error": "error at the corner",
    "joint": "joint law",
    "additive": "additive law",
    "line": "straight line",
    "carried": "carried on",
    "full": "12,800 words × 64",
    "small int8": "4,000 words × 12, int8",
    "tiny int8": "1,000 words × 4, int8",
    "gru int8": "recurrent, int8",
}
