"""The student: every kind at rates a factor of two apart, the best by validation trained longer; and the control."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from distill_lessons.project import students
from distill_lessons.project.config import FILE, Settings
from distill_lessons.project.selecting import mixture
from distill_lessons.project.splitting import VALIDATION, places
from distill_lessons.project.stages import Result, stage
from distill_lessons.project.students import Student
from distill_lessons.project.table import Table
from distill_lessons.training.classifier import fit

RATES = {"bag": 3.2e-2, "gru": 2e-2, "transformer": 1.6e-2}  # where a search begins
MOST_RATES = 6  # tried of one kind
TEMPERATURES = torch.logspace(-3, 5, 65, base=2)  # under which trainings are compared
FEWEST_LABELS = 50  # on validation rows: with fewer, the teacher's answers there are what students are chosen by
FEWEST = 20  # labelled training rows of a control


def soft_cross_entropy(student_logits: Tensor, target: Tensor, labels: Tensor | None = None) -> Tensor:
    """−Σ target · log softmax(student), mean over rows, in nats: its gradient is that of KL(target ‖ student)."""
    return -(target * student_logits.log_softmax(-1)).sum(-1).mean()


def learn(settings: Settings, table: Table, split: Result, teacher: Result, data: Result, tell=None) -> Result:
    """Train and choose: the kind and the rate with the least cross-entropy on validation rows (`calibrated_nats`).

    Each training is a piece of its own under ``work/trials``. The best of the search is then trained anew for all of
    ``steps`` at half its rate, as longer trainings want it; the better of the two is the student.

    Returns:
        `Result`: tensors are the net's weights; values kind, rate, steps, nats, vocabulary, longest, trials (list of kind,
        rate, steps, nats, right), chosen_by ("labels" or "teacher") and validation (how many rows).
    Raises:
        ValueError: no validation row has a label or a teacher's answer; every training diverged.
    """
    about, targets = settings.student, data.tensors["target"]
    rows = data.tensors["used"].nonzero().flatten()
    inputs = {"data": data.key, "student": [list(about.kinds), *_how(settings)]}

    def make():
        return _learned(settings, table, split, teacher, data.key, rows, targets[rows], about.kinds, "trials", tell)

    return stage(settings.folder, "student", inputs, make, tell)


def control(settings: Settings, table: Table, split: Result, data: Result, student: Result, teacher: Result, tell=None):
    """The same kind of student on people's labels alone, its own rates searched; values have why_not if there is none."""
    label = split.tensors["label"]
    rows = (data.tensors["used"] & (label >= 0)).nonzero().flatten()
    inputs = {"data": data.key, "student": student.key, "wanted": settings.student.control}

    def make():
        if not settings.student.control:
            return {"why_not": f"control = false in {FILE}"}, {}
        if len(rows) < FEWEST or len(label[rows].unique()) < 2:
            return {"why_not": f"{len(rows)} labelled rows are too few to learn from alone"}, {}
        silent = torch.full_like(data.tensors["target"], math.nan)
        target = mixture(silent, label, 1.0)[rows]
        known = student.values["vocabulary"], student.values["longest"]
        kinds = [student.values["kind"]]
        return _learned(settings, table, split, teacher, data.key, rows, target, kinds, "control-trials", tell, known)

    return stage(settings.folder, "control", inputs, make, tell)


def _how(settings):
    """The settings of one training."""
    about = settings.student
    return [about.width, sorted(about.rates.items()), about.search_steps, about.steps, about.batch, settings.split.seed]


def _learned(settings, table, split, teacher, key, rows, target, kinds, name, tell, known=None):
    about, classes = settings.student, split.values["classes"]
    texts = [table.texts[place] for place in rows]
    vocabulary, longest = known or students.vocabulary_of(texts)
    by, chosen, wanted = judged_by(split, teacher)
    blank = students.build(kinds[0], classes, vocabulary, about.width, longest)
    ids, open_ids = (students.encode(each, students.numbers_of(blank), longest)
                     for each in (texts, [table.texts[place] for place in chosen]))  # fmt: skip

    def trial(kind, rate, steps):
        inputs = {"data": key, "name": name, "kind": kind, "rate": rate, "steps": steps,
                  "how": [about.width, about.batch, settings.split.seed, vocabulary, longest]}  # fmt: skip

        def make():
            return trained(settings, kind, classes, vocabulary, longest, ids, target, open_ids, wanted, rate, steps)

        return stage(settings.folder, f"{name}/{kind}-{rate:.3g}-{steps}", inputs, make, tell)

    def start(kind):
        return about.rates.get(kind, RATES[kind])

    found = searched(lambda kind, power: trial(kind, start(kind) * 2.0**power, about.search_steps), kinds)
    best = min(found, key=lambda one: one.values["nats"])
    if not math.isfinite(best.values["nats"]):
        raise ValueError(f"every training diverged: lower rates in [student] of {FILE}, now {start(kinds[0]):g}")
    if about.steps != about.search_steps:
        found.append(trial(best.values["kind"], best.values["rate"] / 2, about.steps))
        best = min(best, found[-1], key=lambda one: one.values["nats"])
    told = ("kind", "rate", "steps", "nats", "right")
    trials = [{each: one.values[each] for each in told} | {"seconds": one.values["seconds"]} for one in found]
    values = {each: best.values[each] for each in told}
    values |= {
        "vocabulary": vocabulary,
        "longest": longest,
        "trials": trials,
        "chosen_by": by,
        "validation": len(chosen),
    }
    return values | {"rows": len(rows)}, best.tensors


def trained(settings, kind, classes, vocabulary, longest, ids, target, open_ids, wanted, rate, steps):
    """One training: values kind, rate, steps, nats and right on the validation rows, and the weights."""
    student = students.build(kind, classes, vocabulary, settings.student.width, longest, settings.split.seed)
    net, values = students.Trimmed(student.net), {"kind": kind, "rate": rate, "steps": steps}
    nobody = torch.zeros(len(ids), dtype=torch.long)
    try:
        fit(
            net, ids, nobody, soft_cross_entropy, lambda _: target.to(_.device), steps, settings.student.batch, rate,
            seed=settings.split.seed,
        )  # fmt: skip
    except ValueError as error:
        if "the loss became" not in str(error):
            raise
        return values | {"nats": math.inf, "right": 0.0}, {}
    with torch.inference_mode():
        logits = torch.cat([net(part.to(next(net.parameters()).device)).cpu() for part in open_ids.split(256)])
    nats = calibrated_nats(logits, wanted) if logits.isfinite().all() else math.inf
    right = (logits.argmax(1) == wanted.argmax(1)).float().mean().item()
    return values | {"nats": nats, "right": right}, student.net.state_dict()


def searched(trial: Callable[[str, int], Result], kinds: Sequence[str]) -> list[Result]:
    """Each kind at three rates a factor of two apart, and further while its best is an end, six at most.

    Args:
        trial: of a kind and a power of two.
    """
    every = []
    for kind in kinds:
        found = {power: trial(kind, power) for power in (-1, 0, 1)}
        while len(found) < MOST_RATES:
            best = min(found, key=lambda power: found[power].values["nats"])
            if min(found) < best < max(found):
                break
            beyond = best - 1 if best == min(found) else best + 1
            found[beyond] = trial(kind, beyond)
        every += [found[power] for power in sorted(found)]
    return every


def calibrated_nats(logits: Tensor, wanted: Tensor) -> float:
    """The cross-entropy to the targets at the best of 65 temperatures: a student is calibrated before it is used.

    Without it, one that is right but too sure, as those on few labels are, would lose to one that has hardly learned.
    """
    return min(soft_cross_entropy(logits / temperature, wanted).item() for temperature in TEMPERATURES)


def judged_by(split: Result, teacher: Result) -> tuple[str, Tensor, Tensor]:
    """By what students are chosen: "labels" or "teacher", the validation rows' places, and their targets ``[n, C]``.

    Raises:
        ValueError: no validation row has a label or a teacher's answer.
    """
    label, probabilities = split.tensors["label"], teacher.tensors["probabilities"]
    labelled = places(split, VALIDATION, labelled=True)
    if len(labelled) >= FEWEST_LABELS:
        return "labels", labelled, mixture(probabilities, label, 1.0)[labelled]
    every = places(split, VALIDATION)
    every = every[~mixture(probabilities, label, 0.0)[every].isnan().any(1)]
    if not len(every):
        raise ValueError(f"no validation row has a label or an answer of the teacher: raise the budget in {FILE}")
    return "teacher", every, mixture(probabilities, label, 0.0)[every]


def student_of(settings: Settings, split: Result, learned: Result, temperature: float = 1.0) -> Student:
    """The trained student, on the CPU."""
    about = learned.values
    student = students.build(
        about["kind"], split.values["classes"], about["vocabulary"], settings.student.width, about["longest"]
    )
    student.net.load_state_dict(learned.tensors)
    return student._replace(net=student.net.eval(), temperature=temperature)
