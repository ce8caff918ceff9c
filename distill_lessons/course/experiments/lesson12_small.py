"""Lesson 12 on the small pairs: quality, calibration and out of distribution, for `digits` and `multiplication`."""

import functools

import numpy as np
import torch

from distill_lessons import evaluation, losses, runtime
from distill_lessons.course.experiments import on_digits, on_multiplication
from distill_lessons.course.results import Experiment
from distill_lessons.evaluation import calibration
from distill_lessons.models import compression
from distill_lessons.pairs import digits, multiplication

# --- digits -----------------------------------------------------------------------------------------------------------

WIDTH = 32
SOFT_AT_1 = "soft, T 1"


@functools.lru_cache(maxsize=1)
def noisy_images():
    """The test images with noise of standard deviation 0.3, which no model was trained on."""
    images = digits.load().test_images
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(0))
    return (images + 0.3 * noise).clamp(0, 1)


def digits_student(arm, seed):
    """A 32-wide student at its best rate on validation images; arms "all, hard", "100, soft" and so on: images, targets."""
    data = digits.load()
    count, kind = arm.split(", ", 1)
    rows = on_digits.few(data.train_labels, seed) if count == "100" else torch.arange(len(data.train_labels))
    images, labels = data.train_images[rows], data.train_labels[rows]
    if kind == SOFT_AT_1:
        options = [(on_digits.soft(on_digits.teacher(seed), images, 1.0), 1.0)]
    else:
        options = on_digits.target_options(kind, images, labels, seed)
    return on_digits.best(options, images, seed, on_digits.validation_accuracy, width=WIDTH)[0]


def digits_model(arm, seed):
    """A trained model of an arm; "untrained" is the student before."""
    if arm == "teacher":
        return on_digits.teacher(seed)
    if arm == "untrained":
        torch.manual_seed(seed)
        return digits.student(WIDTH).to(runtime.device()).eval()
    return digits_student(arm, seed)


def classifier_scores(logits, teacher_logits, labels):
    """Quality and calibration of a classifier from its logits ``[N, C]`` and the teacher's."""
    p, right = logits.softmax(-1), (logits.argmax(-1) == labels).float()
    ratio = evaluation.transfer_ratio(right, (teacher_logits.argmax(-1) == labels).float())
    found = {
        "accuracy": right.mean().item(),
        "transfer ratio": ratio.value,
        "transfer ratio, low": ratio.low,
        "transfer ratio, high": ratio.high,
        "agreement": (logits.argmax(-1) == teacher_logits.argmax(-1)).float().mean().item(),
        "kl": losses.forward_kl(logits, teacher_logits).item(),
        "brier": calibration.brier(p, labels),
    }
    return found | calibration.summary(p.amax(-1), right)


def digits_run(arm, seed):
    """One model on test images and on noisy ones, as it is and with a temperature fitted on validation images."""
    data, model = digits.load(), digits_model(arm, seed)
    teacher, labels = on_digits.teacher(seed), data.test_labels
    z = on_digits.logits(model, data.test_images)
    found = classifier_scores(z, on_digits.logits(teacher, data.test_images), labels)
    noisy = classifier_scores(
        on_digits.logits(model, noisy_images()), on_digits.logits(teacher, noisy_images()), labels
    )
    found |= {f"noisy: {metric}": value for metric, value in noisy.items()}
    temperature = calibration.fit_temperature(on_digits.logits(model, data.val_images), data.val_labels)
    scaled = classifier_scores(z / temperature, z, labels)
    kept = ("ece", "excess ece", "overconfidence", "confidence when wrong", "brier")
    found |= {f"scaled: {metric}": scaled[metric] for metric in kept if metric in scaled}
    found["scaling gains"] = found["ece"] - found["scaled: ece"]
    return found | {"temperature": temperature}


# --- multiplication ---------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def multiplication_model(arm, seed):
    """A model of an arm: "teacher", "untrained", "student" (on the teacher's own right traces, at `on_multiplication.RATE`)."""
    if arm.startswith("int8"):
        return compression.int8(multiplication_model(arm.removeprefix("int8 "), seed))
    if arm == "teacher":
        return multiplication.teacher()
    if arm == "untrained":
        return multiplication.student(seed)
    pairs = on_multiplication.texts("teacher")
    return on_multiplication.learn(
        multiplication.student(seed), multiplication.tokenizer(), pairs, on_multiplication.STEPS, seed
    )[0]


def written(model, problems):
    """What a model writes on problems (a, b): whether each answer is right, the answers, and how sure it is of each.

    It is as sure as the text it wrote is likely: the product of the probabilities of all its tokens.
    """
    made = on_multiplication.ask(model, problems)
    answers = np.array([multiplication.final_answer(text) or -1 for text in made])
    right = np.array([a * b for a, b in problems]) == answers
    pairs = [(multiplication.prompt(a, b), text) for (a, b), text in zip(problems, made)]
    rows = multiplication.encode(multiplication.tokenizer(), pairs)
    batches = [multiplication.collate(rows[i : i + 250]) for i in range(0, len(rows), 250)]
    surprise = evaluation.by_row(evaluation.next_tokens(model, batches), "surprise")
    return right.astype(float), answers, np.exp(-surprise), sum(len(text) + 1 for text in made) / len(made)


@functools.lru_cache(maxsize=2)
def teacher_written(kind):
    """`written` of the teacher, on "test" problems or "three digits"."""
    problems = multiplication.longer_problems() if kind == "three digits" else multiplication.problems("test")
    return problems, *written(multiplication.teacher(), problems)


@functools.lru_cache(maxsize=8)
def multiplication_found(arm, seed):
    """`multiplication_run`; the teacher's arms are run once a process."""
    model, found = multiplication_model(arm, seed), {}
    for kind, prefix in (("test", ""), ("three digits", "three digits: ")):
        problems, teacher_right, teacher_answers, _, _ = teacher_written(kind)
        right, answers, confidence, tokens = written(model, problems)
        found[f"{prefix}accuracy"] = right.mean()
        found[f"{prefix}agreement"] = (answers == teacher_answers).mean()
        found[f"{prefix}tokens"] = tokens
        if teacher_right.any():
            ratio = evaluation.transfer_ratio(right, teacher_right)
            found |= {f"{prefix}transfer ratio": ratio.value, f"{prefix}transfer ratio, low": ratio.low,
                      f"{prefix}transfer ratio, high": ratio.high}  # fmt: skip
        found |= {f"{prefix}{metric}": value for metric, value in calibration.summary(confidence, right).items()}
    return found


def multiplication_run(arm, seed):
    """Exact match on two-digit problems and on three-digit ones, transfer ratio, agreement, calibration."""
    return multiplication_found(arm, 0 if arm.endswith("teacher") else seed)


EXPERIMENTS = (
    Experiment(
        "lesson12-digits",
        (
            "teacher",
            "untrained",
            *(f"{count}, {kind}" for count in ("all", "100") for kind in ("hard", "smoothing", "soft", SOFT_AT_1)),
        ),
        tuple(range(8)),
        digits_run,
    ),
    Experiment(
        "lesson12-multiplication",
        ("teacher", "int8 teacher", "untrained", "student", "int8 student"),
        (0, 1, 2, 3, 4),
        multiplication_run,
    ),
)

NAMES = {
    "ece": "ECE",
    "noisy: ece": "ECE",
    "scaling gains": "ECE won",
    **{f"{count}, {kind}": f"{kind} labels" for count in ("all", "100") for kind in ("hard", "soft")},
    f"100, {SOFT_AT_1}": "soft labels at T=1",
}
