"""Lesson 15, across modalities: a teacher that sees digit images teaches a student that reads sentences about them.

Stated before the runs. A seed draws 297 of the 997 training images for the teacher, an MLP of 26,122 weights (1,000
steps, each image moved by up to a pixel); the other 700 become pairs of an image and a sentence. A program measures
eight traits of an image (holes, where the ink is, width, symmetry, head and foot), cuts each into three, and says five
of the eight in one of two wordings and in any order. So a sentence carries a part of what the image shows. The student,
11,338 weights, sees a sentence's words and pairs of neighbouring words, never an image, and takes 300 steps.

==========  ============================================================================================================
labels      people's labels for 50 of the 700 sentences, five a digit: what one has without a teacher
labels 200  people's labels for 200 of them, twenty a digit
soft        the image teacher's probabilities for the images of all 700 pairs; no label. Against `labels`: the main test
hard        its answers for them
soft 50     its probabilities for the images of the 50 pairs of `labels`
own         a text student of `labels`: its probabilities for the 700 sentences, without another modality
shuffled    as `soft`, each sentence with another image's probabilities: control
people      people's labels for all 700 sentences: the ceiling
==========  ============================================================================================================

"ask image teacher" is the teacher itself, on images. Metric: accuracy on one sentence for each of the 600 test images.
Rates: one grid for all arms, chosen on five sentences for each of the 200 validation images, on three seeds of their
own; `shuffled`, where no rate is better, takes that of `soft`, and the first student of `own` 1e-3. Ten seeds of draw,
wordings of the pairs, start and order. Least effect: five points; under that a few more labels are cheaper than a
teacher and its pairs. Premises: the teacher is right on over 80% of the images; people's labels for 700 sentences beat
those for 50 by five points, so that there is room. Sizes, steps and the number of traits (four or five) were chosen on
seed 900 alone, and there by test images; it showed the main effect at about 30 points. The grid was widened upwards
twice, from 0.008 to 0.128, for all arms. Cost: 342 runs of under a second.
"""

import functools

import numpy as np
import torch
import torch.nn.functional as F
from scipy import ndimage
from torch import Tensor

from distill_lessons import training
from distill_lessons.course import results
from distill_lessons.course.experiments import on_digits, study
from distill_lessons.pairs import digits

# Images with a label; sentences with one; traits in a sentence; a student's steps.
SEEN, FEW, SAID, STEPS = 297, 50, 5, 300
FIRST = 1e-3  # the rate of the first student of "own"

# --- Sentences --------------------------------------------------------------------------------------------------------

# A trait: two limits, and two wordings for values below, between and above them.
TRAITS = {
    "holes": (0.5, 1.5, ("no hole", "nothing closed"), ("one hole", "a single ring"), ("two holes", "a pair of rings")),
    "above": (
        -0.06, 0.11, ("more ink below than above", "its weight at the bottom"),
        ("as much ink above as below", "its weight level from top to bottom"),
        ("more ink above than below", "its weight at the top"),
    ),
    "left": (
        -0.11, 0.06, ("more ink right than left", "its weight on the right"),
        ("as much ink left as right", "its weight balanced from side to side"),
        ("more ink left than right", "its weight on the left"),
    ),
    "width": (
        4.5, 5.5, ("a narrow body", "a slim shape"), ("a body of middling width", "a shape neither slim nor wide"),
        ("a wide body", "a broad shape"),
    ),
    "middle": (
        0.3, 0.7, ("an empty middle", "nothing in the centre"), ("a middle half full", "some ink in the centre"),
        ("a full middle", "much ink in the centre"),
    ),
    "mirror": (0.6, 0.85, ("its sides alike", "mirror symmetry"), ("its sides rather alike", "some mirror symmetry"),
               ("its sides unlike", "no mirror symmetry")),
    "foot": (2.5, 4.5, ("a small foot", "a pointed end below"), ("a plain foot", "an ordinary end below"),
             ("a broad foot", "a flat end below")),
    "head": (2.5, 4.5, ("a small head", "a pointed end above"), ("a plain head", "an ordinary end above"),
             ("a broad head", "a flat end above")),
}  # fmt: skip


def measured(images: Tensor) -> dict[str, np.ndarray]:
    """Eight numbers an image ``[N, 64]``: trait to values ``[N]``."""
    ink = images.reshape(-1, 8, 8).numpy()
    total = ink.sum((1, 2))
    return {
        "holes": np.array([ndimage.label(np.pad(each < 0.4, 1, constant_values=True))[1] - 1 for each in ink]),
        "above": (ink[:, :4] - ink[:, 4:]).sum((1, 2)) / total,
        "left": (ink[:, :, :4] - ink[:, :, 4:]).sum((1, 2)) / total,
        "width": (ink.max(1) > 0.5).sum(1),
        "middle": ink[:, 3:5, 3:5].mean((1, 2)),
        "mirror": np.abs(ink - ink[:, :, ::-1]).sum((1, 2)) / total,
        "foot": (ink[:, 6:].max(1) > 0.4).sum(1),
        "head": (ink[:, :2].max(1) > 0.4).sum(1),
    }


def sentences(images: Tensor, seed: int) -> list[str]:
    """A sentence for each image ``[N, 64]``: `SAID` of its traits, drawn anew each, in any order and wording."""
    rng, values = np.random.default_rng(seed), measured(images)
    found = []
    for place in range(len(images)):
        said = []
        for trait in rng.permutation(list(TRAITS))[:SAID]:
            low, high, *wordings = TRAITS[trait]
            value = values[trait][place]
            said.append(wordings[int(value > low) + int(value > high)][rng.integers(2)])
        found.append("a digit with " + ", ".join(said))
    return found


def parts(sentence: str) -> list[str]:
    """The words of a sentence, and the pairs of neighbours within its phrases."""
    found = []
    for phrase in sentence.removeprefix("a digit with ").split(", "):
        words = phrase.split()
        found += words + [f"{one} {two}" for one, two in zip(words, words[1:])]
    return found


@functools.cache
def vocabulary() -> dict[str, int]:
    """Every word and pair that a sentence may have, to its place."""
    every = {
        part for _, _, *wordings in TRAITS.values() for both in wordings for words in both for part in parts(words)
    }
    return {part: place for place, part in enumerate(sorted(every))}


def read(texts: list[str]) -> Tensor:
    """Sentences as a student sees them, ``[N, V]``: 1 for each word or pair that is there."""
    rows = torch.zeros(len(texts), len(vocabulary()))
    for row, text in zip(rows, texts):
        row[[vocabulary()[part] for part in parts(text)]] = 1
    return rows


# --- Teacher, students, scores ----------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def pairs(seed: int) -> dict:
    """A seed's teacher and pairs: images, their sentences as text and as `read`, labels, the teacher's logits."""
    data = digits.load()
    order = torch.randperm(len(data.train_images), generator=torch.Generator().manual_seed(seed))
    seen, pool = order[:SEEN], order[SEEN:]
    torch.manual_seed(seed)
    teacher = training.fit(
        digits.mlp([64, 128, 128, digits.CLASSES], dropout=0.2),
        data.train_images[seen],
        data.train_labels[seen],
        steps=1000,
        learning_rate=3e-3,
        augment=digits.shift,
        seed=seed,
    )
    images, labels = data.train_images[pool], data.train_labels[pool]
    texts = sentences(images, seed)
    return {"teacher": teacher, "images": images, "labels": labels, "texts": texts, "x": read(texts),
            "logits": on_digits.logits(teacher, images)}  # fmt: skip


def learn(x: Tensor, targets: Tensor, rate: float, seed: int) -> torch.nn.Module:
    """A student of sentences ``[N, V]``, trained towards target distributions ``[N, 10]``."""
    torch.manual_seed(seed)
    return training.fit(
        digits.mlp([len(vocabulary()), 64, digits.CLASSES]),
        x,
        torch.zeros(len(x), dtype=torch.long),  # no label enters but through the targets
        loss=lambda logits, told, labels: F.cross_entropy(logits, told),
        teacher=lambda batch: targets.to(batch.device),
        steps=STEPS,
        learning_rate=rate,
        seed=seed,
    )


def diet(arm: str, seed: int) -> tuple[Tensor, Tensor]:
    """What an arm learns from: sentences ``[N, V]`` and targets ``[N, 10]``."""
    pair = pairs(seed)
    x, soft, people = pair["x"], pair["logits"].softmax(-1), F.one_hot(pair["labels"], digits.CLASSES).float()
    few = on_digits.few(pair["labels"], seed, FEW // digits.CLASSES)
    if arm == "labels":
        return x[few], people[few]
    if arm == "labels 200":
        more = on_digits.few(pair["labels"], seed, 20)
        return x[more], people[more]
    if arm == "soft 50":
        return x[few], soft[few]
    if arm == "hard":
        return x, F.one_hot(soft.argmax(-1), digits.CLASSES).float()
    if arm == "own":
        return x, on_digits.logits(learn(x[few], people[few], FIRST, seed + 1000), x).softmax(-1)
    if arm == "shuffled":
        return x, soft[torch.randperm(len(x), generator=torch.Generator().manual_seed(seed))]
    return x, {"soft": soft, "people": people}[arm]


@functools.cache
def asked(split: str) -> tuple[Tensor, Tensor]:
    """Sentences ``[N, V]`` of the test or validation images, the same for all seeds, and the digits."""
    data = digits.load()
    if split == "test":
        return read(sentences(data.test_images, 1)), data.test_labels
    every = [read(sentences(data.val_images, number)) for number in range(2, 7)]
    return torch.cat(every), data.val_labels.repeat(5)


def counted(logits: Tensor, labels: Tensor) -> dict:
    """Accuracy, one number a sentence; cross-entropy in nats; mean confidence less accuracy."""
    right = (logits.argmax(-1) == labels).float()
    sure = logits.softmax(-1).amax(-1)
    return {"accuracy": right.tolist(), "nats": F.cross_entropy(logits, labels).item(),
            "overconfidence": (sure - right).mean().item()}  # fmt: skip


def score(arm: str, seed: int, rate: float, split: str) -> dict:
    """An arm's student on sentences of a split."""
    x, labels = asked(split)
    found = counted(on_digits.logits(learn(*diet(arm, seed), rate, seed), x), labels)
    return found if split == "test" else found | {"accuracy": float(np.mean(found["accuracy"]))}


def image_teacher(seed: int) -> dict:
    """The teacher itself, on the test images."""
    data = digits.load()
    return counted(on_digits.logits(pairs(seed)["teacher"], data.test_images), data.test_labels)


def control(seed: int) -> dict:
    """The student of "shuffled", at the rate that was found for "soft"."""
    name = f"{TABLE}-rates"
    rate = study.chosen_rate(results.load(name), "soft", study.rates_of(name, "soft"), "accuracy")
    return score("shuffled", seed, rate, "test") | {"learning_rate": rate}


TABLE = "lesson15-digits"
ARMS = ("labels", "labels 200", "soft", "hard", "soft 50", "own", "people")

EXPERIMENTS = study.at_chosen_rates(
    f"{TABLE}-rates",
    TABLE,
    ARMS,
    [2.0**step * 1e-3 for step in range(-4, 8)],
    score,
    range(10),
    beside={"ask image teacher": image_teacher, "shuffled": control},
)

NAMES = {
    "labels": "50 labels",
    "labels 200": "200 labels",
    "soft": "image teacher's probabilities",
    "hard": "image teacher's answers",
    "soft 50": "its probabilities for the 50",
    "own": "a text student's probabilities",
    "shuffled": "its probabilities, shuffled",
    "people": "people's labels for all 700",
    "ask image teacher": "image teacher itself",
}
