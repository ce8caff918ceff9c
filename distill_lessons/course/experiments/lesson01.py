"""Lesson 01, temperature: a printed table recomputed, and what T does to ten classes and to 49,152 tokens."""

import functools
import math

import torch
import torch.nn.functional as F
from sklearn.metrics import roc_auc_score

from distill_lessons import losses, training
from distill_lessons.course.experiments import on_digits
from distill_lessons.course.results import Experiment
from distill_lessons.models import response_logits
from distill_lessons.pairs import digits, smollm
from distill_lessons.teacher.text import collator, encode

# --- C1: the printed table -------------------------------------------------------------------------------------------

LOGITS = (2.0, 1.0, 0.5)
PRINTED = {  # temperature: the three probabilities as published, two decimals
    1.0: (0.66, 0.24, 0.10),
    2.0: (0.50, 0.31, 0.19),
    5.0: (0.39, 0.33, 0.28),
    0.5: (0.84, 0.14, 0.02),
}


def recompute(arm, seed):
    """The printed probabilities against float64 arithmetic; arm "T1" and so on for a row, "all" for all of them."""
    rows = [t for t in PRINTED if arm in ("all", f"T{t:g}")]
    true = torch.stack([torch.softmax(torch.tensor(LOGITS, dtype=torch.float64) / t, dim=-1) for t in rows])
    off = (torch.tensor([PRINTED[t] for t in rows], dtype=torch.float64) - true).abs()
    return {
        "largest_difference": off.max().item(),
        "entries": off.numel(),
        "entries_off": (off > 0.005).sum().item(),  # more than rounding to two decimals can explain
    }


# --- C2 and C3 on ten classes ----------------------------------------------------------------------------------------

RATES = (2e-3, 8e-3, 3e-2)
UNSEEN = 3


def arm_loss(arm):
    """The loss of an arm: "hard", "smoothing", or "T4" for soft targets alone at T=4, with T²."""
    if arm == "hard":
        return training.cross_entropy
    if arm == "smoothing":
        return lambda student, teacher, labels: F.cross_entropy(student, labels, label_smoothing=0.1)
    temperature = float(arm.removeprefix("T"))
    return lambda student, teacher, labels: (
        temperature**2 * losses.forward_kl(student, teacher, temperature=temperature)
    )


def all_shifts(images):
    """Each image in its nine places: moved by at most one pixel each way. What `digits.shift` draws from."""
    padded = F.pad(images.view(-1, 8, 8), (1, 1, 1, 1))
    moved = [padded[:, down : down + 8, right : right + 8] for down in range(3) for right in range(3)]
    return torch.cat(moved).reshape(-1, 64)


def distil(arm, seed, images, labels, width, steps, score):
    """Students at three learning rates; returns the one with the highest ``score(student)``, and its rate."""
    students = []
    for rate in RATES:
        torch.manual_seed(seed)
        student = training.fit(
            digits.student(width),
            images,
            labels,
            loss=arm_loss(arm),
            teacher=on_digits.teacher(seed),
            steps=steps,
            learning_rate=rate,
            seed=seed,
        )
        students.append((score(student), -rate, student))
    _, rate, student = max(students, key=lambda entry: entry[:2])
    return student, -rate


def unseen_auc(model, images, labels):
    """Area under the ROC curve of "is a 3": every threshold is one value of a bias added to logit 3.

    The score is the lead of logit 3 over the best other logit; a softmax fixes logits only up to a constant, so a
    logit alone would say nothing.
    """
    z = on_digits.logits(model, images)
    others = torch.cat([z[:, :UNSEEN], z[:, UNSEEN + 1 :]], dim=-1)
    return roc_auc_score((labels == UNSEEN).numpy(), (z[:, UNSEEN] - others.amax(-1)).numpy())


def class_relations(arm, seed):
    """A student that is never shown a 3: what has it learned about threes? Soft targets alone, or a control."""
    data = digits.load()
    seen = data.train_labels != UNSEEN
    if arm == "teacher":
        student, rate = on_digits.teacher(seed), 0.0
    else:
        student, rate = distil(
            arm,
            seed,
            all_shifts(data.train_images[seen]),
            data.train_labels[seen].repeat(9),
            width=16,
            steps=800,
            score=lambda model: unseen_auc(model, data.val_images, data.val_labels),
        )
    seen = data.test_labels != UNSEEN
    return {
        "auc": unseen_auc(student, data.test_images, data.test_labels),
        "seen_accuracy": on_digits.accuracy(student, data.test_images[seen], data.test_labels[seen]),
        "learning_rate": rate,
    }


def classification(arm, seed):
    """Test accuracy of a 32-wide student that learns from soft targets alone on the training images."""
    data = digits.load()
    if arm == "teacher":
        student, rate = on_digits.teacher(seed), 0.0
    else:
        student, rate = distil(
            arm,
            seed,
            data.train_images,
            data.train_labels,
            width=32,
            steps=800,
            score=on_digits.validation_accuracy,
        )
    return {"accuracy": on_digits.accuracy(student, data.test_images, data.test_labels), "learning_rate": rate}


# --- C2 on a vocabulary of 49,152 ------------------------------------------------------------------------------------

TOP = 32
PROMPTS = 10  # a set


@functools.lru_cache(maxsize=1)
def answer_logits(number):
    """The teacher's logits at the response tokens of set `number` of the 80 held-out prompts, ``[positions, V]``."""
    tokenizer = smollm.tokenizer()
    rows = [row for split in ("test", "validation") for row in smollm.rows(split) if row["response"].strip()]
    rows = rows[number * PROMPTS : (number + 1) * PROMPTS]
    model = language_model()
    batch = collator(tokenizer)(encode(tokenizer, rows))
    with torch.no_grad():
        logits, _ = response_logits(model, {name: value.to(model.device) for name, value in batch.items()})
    return logits.float().cpu()


@functools.lru_cache(maxsize=1)
def language_model():
    return smollm.teacher()


def token_distributions(arm, seed):
    """Mass of the 32 likeliest tokens and entropy at a temperature, mean over the answer positions of one prompt set."""
    temperature = float(arm.removeprefix("T"))
    logits = answer_logits(seed)
    p = losses.softmax_with_temperature(logits, temperature)
    entropy = losses.entropy(logits, temperature=temperature).item()
    top = p.topk(TOP, dim=-1).values
    return {
        "top32_mass": top.sum(-1).mean().item(),
        "top1_mass": top[:, 0].mean().item(),
        "entropy": entropy,
        "entropy_share": entropy / math.log(logits.shape[-1]),
        "positions": len(logits),
    }


EXPERIMENTS = (
    Experiment("lesson01-table", ("all", "T1", "T2", "T5", "T0.5"), (0,), recompute),
    Experiment(
        "lesson01-classes",
        ("hard", "smoothing", "T0.5", "T1", "T2", "T4", "T8", "T20", "T50", "teacher"),
        tuple(range(8)),
        class_relations,
    ),
    Experiment(
        "lesson01-classification",
        ("hard", "smoothing", "T1", "T2", "T3", "T5", "teacher"),
        tuple(range(8)),
        classification,
    ),
    Experiment(
        "lesson01-tokens",
        ("T0.5", "T0.7", "T1", "T1.5", "T2", "T3", "T5", "T10", "T20"),
        tuple(range(8)),
        token_distributions,
    ),
)

NAMES = {
    "all": "all rows",
    "auc": "AUC",
    "hard": "hard labels",
    "top32_mass": "mass of the 32 likeliest tokens",
    **{f"T{t:g}": f"T={t:g}" for t in (0.5, 0.7, 1, 1.5, 2, 3, 4, 5, 8, 10, 20, 50)},
}
