"""Lesson 03, loss functions: KL beside cross-entropy, what T² keeps constant, and a teacher with planted errors."""

import functools
import math

import torch
import torch.nn.functional as F

from distill_lessons import losses, training
from distill_lessons.course.experiments import on_digits
from distill_lessons.course.results import Experiment
from distill_lessons.models import response_logits
from distill_lessons.pairs import digits, smollm
from distill_lessons.teacher.text import collator, encode

SEEDS = tuple(range(10))
STEPS = 600  # of every training run, but for the teachers of the alpha sweep


def gradient(loss, student_logits):
    """Value of a loss and its gradient in the student's logits."""
    student_logits = student_logits.detach().clone().requires_grad_()
    value = loss(student_logits)
    value.backward()
    return value.item(), student_logits.grad


def random_logits(shape, scale, seed, count=2):
    """Random logits in float64, centred in each row."""
    generator = torch.Generator().manual_seed(seed)
    z = scale * torch.randn((count, *shape), generator=generator, dtype=torch.float64)
    return z - z.mean(-1, keepdim=True)


# --- pairs of student and teacher logits to compute losses on ------------------------------------------------------------


@functools.lru_cache(maxsize=2)
def digits_student(seed):
    """A 16-wide student trained on the labels alone."""
    data = digits.load()
    torch.manual_seed(seed)
    return training.fit(
        digits.student(16), data.train_images, data.train_labels, steps=STEPS, learning_rate=8e-3, seed=seed
    )


PROMPTS = 8  # a set; 80 held-out prompts make ten sets


@functools.lru_cache(maxsize=1)
def language_models():
    """The language-model teacher and 22 of its 30 layers, untrained."""
    teacher = smollm.teacher()
    return teacher, smollm.student(teacher, depth=22)


@functools.lru_cache(maxsize=1)
def language_logits(number):
    """Student and teacher logits at the response tokens of one set of held-out prompts, ``[positions, 49152]`` each."""
    tokenizer = smollm.tokenizer()
    rows = [row for split in ("test", "validation") for row in smollm.rows(split) if row["response"].strip()]
    batch = collator(tokenizer)(encode(tokenizer, rows[number * PROMPTS : (number + 1) * PROMPTS]))
    teacher, student = language_models()
    batch = {name: value.to(teacher.device) for name, value in batch.items()}
    with torch.no_grad():
        return tuple(response_logits(model, batch)[0].float().cpu() for model in (student, teacher))


def logit_pair(setting, seed):
    """(student logits, teacher logits) of a named setting."""
    if setting == "random":
        return tuple(random_logits((64, 50), 2.0, seed))
    if setting == "near":  # a student that has nearly learned its teacher
        teacher, noise = random_logits((64, 50), 2.0, seed)
        return teacher + 0.1 * noise, teacher
    if setting in ("unit", "scale5"):
        return tuple(random_logits((64, 10), 1.0 if setting == "unit" else 5.0, seed))
    if setting == "smollm":
        return language_logits(seed)
    images = digits.load().test_images
    teacher = on_digits.logits(on_digits.teacher(seed, STEPS), images).double()
    if setting == "digits":
        return on_digits.logits(digits_student(seed), images).double(), teacher
    torch.manual_seed(seed)  # setting "digits-start": the student before its first step
    return on_digits.logits(digits.student(16), images).double(), teacher


# --- C6: KL and cross-entropy ------------------------------------------------------------------------------------------


def soft_cross_entropy(student_logits, teacher_logits):
    return -(teacher_logits.softmax(-1) * student_logits.log_softmax(-1)).sum(-1).mean()


def against_cross_entropy(arm, seed):
    """Values and gradients of four losses beside the cross-entropy between teacher and student; arm is the setting."""
    student, teacher = logit_pair(arm, seed)
    cross, cross_gradient = gradient(lambda z: soft_cross_entropy(z, teacher), student)
    entropy = losses.entropy(teacher).item()
    functions = {
        "forward_kl": losses.forward_kl,
        "reverse_kl": losses.reverse_kl,
        "jsd": lambda s, t: losses.generalized_jsd(s, t, 0.5),
        "total_variation": losses.total_variation,
    }
    row = {"cross_entropy": cross, "teacher_entropy": entropy}
    for name, function in functions.items():
        value, slope = gradient(lambda z, function=function: function(z, teacher), student)
        row[name] = value
        row[f"{name}_gradient_difference"] = ((slope - cross_gradient).norm() / cross_gradient.norm()).item()
        row[f"{name}_gradient_angle"] = math.degrees(
            math.acos(max(-1.0, min(1.0, F.cosine_similarity(slope.flatten(), cross_gradient.flatten(), dim=0).item())))
        )
    row["value_difference"] = (cross - row["forward_kl"]) / row["forward_kl"]
    row["unexplained"] = cross - row["forward_kl"] - entropy
    return row


# --- C7: T² and the size of the gradient -------------------------------------------------------------------------------

TEMPERATURES = (0.5, 1, 2, 4, 10, 20)
SETTINGS = ("unit", "scale5", "digits-start", "digits", "smollm")


def gradient_size(arm, seed):
    """Norm of the soft gradient at a temperature over that at T=1; arm "unit-T10" is setting and temperature."""
    setting, temperature = arm.rsplit("-T", 1)
    temperature = float(temperature)
    student, teacher = logit_pair(setting, seed)
    norm, base = (
        gradient(lambda z, t=t: losses.forward_kl(z, teacher, temperature=t), student)[1].norm().item()
        for t in (temperature, 1.0)
    )
    return {"without": norm / base, "with": temperature**2 * norm / base}


# --- C8: a teacher with planted errors ---------------------------------------------------------------------------------

TRUE, PLANTED, SHARE = 4, 9, 0.8  # this share of the teacher's fours was labelled as nines
RATES = (4e-3, 1.5e-2, 5e-2)
TEACHER_STEPS = 1200  # with 600 the sound teacher was no better than its student
TEMPERATURE = 2.0

ALPHAS = (0.1, 0.3, 0.5, 0.7, 0.9, 1.0)
LOW, HIGH = (0.0, 0.1, 0.3), (0.5, 0.7, 0.9)


def plant(labels, seed):
    """The labels with a share of the fours turned into nines."""
    fours = (labels == TRUE).nonzero().squeeze(-1)
    chosen = fours[
        torch.randperm(len(fours), generator=torch.Generator().manual_seed(seed))[: round(SHARE * len(fours))]
    ]
    labels = labels.clone()
    labels[chosen] = PLANTED
    return labels


@functools.lru_cache(maxsize=2)
def planted_teacher(seed):
    """A teacher as `on_digits.teacher`, but trained on planted labels."""
    return on_digits.trained_teacher(seed, TEACHER_STEPS, plant(digits.load().train_labels, seed))


def teacher_of(kind, seed):
    return planted_teacher(seed) if kind == "planted" else on_digits.teacher(seed, TEACHER_STEPS)


@functools.lru_cache(maxsize=32)
def best_student(kind, alpha, seed):
    """(validation accuracy, learning rate, student): the best of three rates on the validation images' true labels."""
    data = digits.load()
    teacher = teacher_of(kind, seed) if kind in ("sound", "planted") else None

    def loss(student_logits, teacher_logits, labels):
        if kind == "smoothing":
            return F.cross_entropy(student_logits, labels, label_smoothing=0.1)
        if teacher is None:
            return F.cross_entropy(student_logits, labels)
        return losses.distillation_loss(student_logits, teacher_logits, labels, alpha, TEMPERATURE).total

    tried = []
    for rate in RATES:
        torch.manual_seed(seed)
        student = training.fit(
            digits.student(16),
            data.train_images,
            data.train_labels,
            loss=loss,
            teacher=teacher,
            steps=STEPS,
            learning_rate=rate,
            seed=seed,
        )
        tried.append((on_digits.validation_accuracy(student), rate, student))
    return max(tried, key=lambda entry: (entry[0], -entry[1]))


def inherited_errors(arm, seed):
    """Accuracy and copied errors. Arms: "hard", "smoothing", "teacher-planted", "planted-0.5" (teacher and alpha);
    "planted-low" and "planted-high" take the alpha of 0, 0.1, 0.3 or of 0.5, 0.7, 0.9 with the best validation score.
    """
    kind, _, setting = arm.partition("-")
    if kind == "teacher":
        model, rate, alpha = teacher_of(setting, seed), 0.0, -1.0
    elif kind in ("hard", "smoothing"):
        (_, rate, model), alpha = best_student(kind, 0.0, seed), 0.0
    elif setting in ("low", "high"):
        options = [
            (best_student(kind if alpha else "hard", alpha, seed), alpha)
            for alpha in (LOW if setting == "low" else HIGH)
        ]
        (_, rate, model), alpha = max(options, key=lambda option: option[0][0])
    else:
        alpha = float(setting)
        _, rate, model = best_student(kind, alpha, seed)
    data = digits.load()
    fours = data.test_labels == TRUE
    guesses = on_digits.logits(model, data.test_images).argmax(-1)
    return {
        "accuracy": (guesses == data.test_labels).float().mean().item(),
        "fours_right": (guesses[fours] == TRUE).float().mean().item(),
        "copied": (guesses[fours] == PLANTED).float().mean().item(),
        "others_right": (guesses[~fours] == data.test_labels[~fours]).float().mean().item(),
        "learning_rate": rate,
        "alpha": alpha,
    }


EXPERIMENTS = (
    Experiment("lesson03-cross-entropy", ("random", "near", "digits"), SEEDS, against_cross_entropy),
    Experiment(
        "lesson03-gradient",
        tuple(f"{setting}-T{t:g}" for setting in SETTINGS for t in TEMPERATURES),
        SEEDS,
        gradient_size,
    ),
    Experiment(
        "lesson03-alpha",
        (
            "hard",
            "smoothing",
            *(f"{kind}-{alpha:g}" for kind in ("planted", "sound") for alpha in ALPHAS),
            *(f"{kind}-{end}" for kind in ("planted", "sound") for end in ("low", "high")),
            "teacher-planted",
            "teacher-sound",
        ),
        SEEDS[:8],
        inherited_errors,
    ),
)

NAMES = {
    "random": "random logits",
    "near": "a student near its teacher",
    "digits": "digits",
    "value_difference": "excess of the cross-entropy",
    **{
        f"{loss}_gradient_difference": "difference of gradients"
        for loss in ("forward_kl", "reverse_kl", "jsd", "total_variation")
    },
    "with": "gradient with T² ÷ that at T=1",
    "without": "gradient without T² ÷ that at T=1",
    **{f"{setting}-T{t:g}": f"T={t:g}" for setting in SETTINGS for t in TEMPERATURES},
    "copied": "fours called nine",
    "hard": "alpha 0",
    **{f"{kind}-{alpha:g}": f"alpha {alpha:g}" for kind in ("planted", "sound") for alpha in ALPHAS},
    **{f"{kind}-low": "best alpha of 0–0.3" for kind in ("planted", "sound")},
    **{f"{kind}-high": "best alpha of 0.5–0.9" for kind in ("planted", "sound")},
}
