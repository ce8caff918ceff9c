"""Is the student good enough, as sure as it is right, small, and worth its price? Numbers from the test rows, and words."""

import math

import numpy as np
import torch

from distill_lessons import economics
from distill_lessons.evaluation import calibration, power, speed
from distill_lessons.models import compression
from distill_lessons.project import students
from distill_lessons.project.config import Settings
from distill_lessons.project.learning import student_of
from distill_lessons.project.splitting import TEST, VALIDATION, places
from distill_lessons.project.stages import Result, stage
from distill_lessons.project.table import Table

FEWEST_LABELS = 50  # validation labels that a temperature is fitted on; with fewer, on the teacher's answers
FEWEST_TO_JUDGE = 20  # test labels from which an accuracy is told


# --- Calibration ------------------------------------------------------------------------------------------------------


def calibrate(settings: Settings, table: Table, split: Result, teacher: Result, learned: Result, tell=None) -> Result:
    """One temperature, fitted on validation rows: values temperature, fitted_on ("labels", "teacher" or "nothing"), rows."""
    inputs = {"split": split.key, "teacher": teacher.key, "student": learned.key}
    return stage(
        settings.folder, "calibration", inputs, lambda: _calibrated(settings, table, split, teacher, learned), tell
    )


def _calibrated(settings, table, split, teacher, learned):
    rows, wanted, on = places(split, VALIDATION, labelled=True), split.tensors["label"], "labels"
    if len(rows) < FEWEST_LABELS:
        rows, on = places(split, VALIDATION), "teacher"
        rows = rows[~teacher.tensors["probabilities"][rows].isnan().any(1)]
        wanted = teacher.tensors["probabilities"].nan_to_num(0).argmax(1)
    if not len(rows):
        return {"temperature": 1.0, "fitted_on": "nothing", "rows": 0}, {}
    student = student_of(settings, split, learned)
    logits = students.logits(student, [table.texts[place] for place in rows])
    found = calibration.fit_temperature(logits, wanted[rows])
    low, high = calibration.TEMPERATURES
    if not 1.05 * low < found < high / 1.05:  # right on every row, say: then none fits
        found, on = 1.0, "nothing"
    return {"temperature": found, "fitted_on": on, "rows": len(rows)}, {}


# --- Evaluation -------------------------------------------------------------------------------------------------------


def evaluate(
    settings: Settings, table: Table, split: Result, teacher: Result, learned: Result, calibrated: Result,
    control: Result, tell=None,
) -> Result:  # fmt: skip
    """The test, once: accuracies with intervals, the student against its teacher and the control, agreement, classes.

    Returns:
        `Result`: values rows, labelled; accuracy (of student, teacher, control, commonest), each value, low, high, items;
        against_teacher and against_control (`verdict`), agreement (`verdict_without_labels`), classes, calibration before
        and after. What cannot be told is None. Tensors logits ``[n, C]`` and places of the test rows.
    """
    inputs = {"split": split.key, "teacher": teacher.key, "student": learned.key, "calibration": calibrated.key,
              "control": control.key, "margin": settings.report.margin}  # fmt: skip

    def make():
        return _evaluated(settings, table, split, teacher, learned, calibrated, control)

    return stage(settings.folder, "evaluation", inputs, make, tell)


def _evaluated(settings, table, split, teacher, learned, calibrated, control):
    rows, margin = places(split, TEST), settings.report.margin
    texts = [table.texts[place] for place in rows]
    logits = students.logits(student_of(settings, split, learned), texts)
    said, theirs, label = logits.argmax(1), teacher.tensors["probabilities"][rows], split.tensors["label"][rows]
    known, there = label >= 0, ~theirs.isnan().any(1)
    taught, best = known & there, theirs.nan_to_num(0).argmax(1)
    values = {"rows": len(rows), "labelled": int(known.sum()), "margin": margin, "against_teacher": None,
              "against_control": None, "agreement": None, "calibration": None, "classes": []}  # fmt: skip
    right = {"student": (said == label)[known].double()}
    if int(taught.sum()) >= FEWEST_TO_JUDGE:
        values["against_teacher"] = verdict((said == label)[taught].double(), (best == label)[taught].double(), margin)
        right["teacher"] = (best == label)[taught].double()
    if int(there.sum()) >= FEWEST_TO_JUDGE:
        values["agreement"] = verdict_without_labels((said == best)[there], margin)
    if "why_not" not in control.values and int(known.sum()) >= FEWEST_TO_JUDGE:
        other = student_of(settings, split, control)
        right["control"] = (students.logits(other, texts).argmax(1) == label)[known].double()
        values["against_control"] = verdict(right["student"], right["control"], margin)
    if int(known.sum()) >= FEWEST_TO_JUDGE:
        often = int(torch.bincount(split.tensors["label"][(split.tensors["label"] >= 0) & (split.tensors["split"] == 0)],
                                   minlength=logits.shape[1]).argmax())  # fmt: skip
        right["commonest class"] = (label == often)[known].double()
        values["calibration"] = calibration_of(logits[known], label[known], calibrated.values["temperature"])
        values["classes"] = by_class(split.values["classes"], said[known], label[known])
    enough = int(known.sum()) >= FEWEST_TO_JUDGE
    values["accuracy"] = {name: power.proportion(float(each.sum()), len(each))._asdict() for name, each in right.items()
                          if enough and len(each)}  # fmt: skip
    return values, {"logits": logits, "places": rows}


def verdict(student: torch.Tensor, other: torch.Tensor, margin: float) -> dict:
    """Is the student not worse than the other by more than the margin? `student` and `other` are 1 where right, ``[n]``.

    Returns:
        dict of difference, low, high (95%, paired), items, margin, verdict ("not worse", "worse" or "open"), words, and
        needed: about how many labelled test texts would tell, in four tests of five, if the difference is what was seen (level
        where the student was better): the nearer it is to minus the margin, the more.
    """
    found = power.difference(student, other)
    differ = max(float((student != other).double().mean()), 1 / (len(student) + 1))
    room = max(abs(margin + min(found.value, 0.0)), margin / 20)  # from what was seen to the border
    needed = math.ceil((1.96 + 0.84) ** 2 * differ / room**2)
    name = "not worse" if found.low >= -margin else "worse" if found.high < -margin else "open"
    points = (
        f"{100 * found.value:+.1f} points [{100 * found.low:+.1f}, {100 * found.high:+.1f}] on {found.items} test texts"
    )
    allowed = f"the margin of {100 * margin:g} points"
    said = {
        "not worse": f"not worse by more than {allowed}: {points}",
        "worse": f"worse by more than {allowed}: {points}",
        "open": f"this test cannot say whether it is worse by more than {allowed}: {points}; about {needed:,} labelled "
        "test texts would be needed if the difference is what it seems",
    }[name]
    return {"difference": found.value, "low": found.low, "high": found.high, "items": found.items, "margin": margin,
            "verdict": name, "words": said, "needed": needed}  # fmt: skip


def verdict_without_labels(same: torch.Tensor, margin: float) -> dict:
    """What agreement alone can say: where the two agree, neither is better, so the student loses at most what is left.

    Returns:
        dict of agreement, low, high, items, verdict ("not worse" or "open") and words.
    """
    found = power.proportion(float(same.sum()), len(same))
    name = "not worse" if 1 - found.low <= margin else "open"
    points = f"{found.value:.1%} [{found.low:.1%}, {found.high:.1%}] of {found.items} answers are the teacher's"
    said = {
        "not worse": f"not worse by more than {100 * margin:g} points, whatever the truth is: {points}",
        "open": f"{points}; who is right in the others, labels alone can say",
    }[name]
    return {"agreement": found.value, "low": found.low, "high": found.high, "items": found.items, "verdict": name,
            "words": said}  # fmt: skip


def by_class(classes, said: torch.Tensor, label: torch.Tensor) -> list[dict]:
    """For each class: test texts, recall and precision with intervals; None where it never occurs, or is never said."""
    rows = []
    for number, name in enumerate(classes):
        hit, is_it, says = (
            int(((said == number) & (label == number)).sum()),
            int((label == number).sum()),
            int((said == number).sum()),
        )
        rows.append({"class": name, "texts": is_it, "recall": power.proportion(hit, is_it)._asdict() if is_it else None,
                     "precision": power.proportion(hit, says)._asdict() if says else None})  # fmt: skip
    return rows


def calibration_of(logits: torch.Tensor, label: torch.Tensor, temperature: float) -> dict:
    """Calibration on labelled test rows before and after the temperature, and the points of the figure."""
    found = {}
    for name, each in (("before", 1.0), ("after", temperature)):
        best = (logits / each).softmax(1).max(1)
        right = best.indices == label
        points = {one: np.asarray(two).tolist() for one, two in calibration.reliability(best.values, right, 10).items()}
        found[name] = calibration.summary(best.values, right, 10) | {"points": points}
    return found


# --- Smaller numbers --------------------------------------------------------------------------------------------------


def shrink(settings: Settings, table: Table, split: Result, learned: Result, calibrated: Result, tell=None) -> Result:
    """The student in int8, and whether it stays within the tolerance of project.toml on the test texts.

    Returns:
        `Result`: values kept (bool), same (share of equal answers), change (the most that a probability moved), megabytes
        (of both), words; tensors: the int8 weights if kept.
    """
    about = settings.report
    inputs = {"split": split.key, "student": learned.key, "calibration": calibrated.key,
              "tolerance": [about.int8_change, about.int8_same]}  # fmt: skip

    def make():
        student = student_of(settings, split, learned, calibrated.values["temperature"])
        before = compression.megabytes(student.net)
        try:
            small = student._replace(net=compression.int8(student.net))
        except ValueError as error:
            return {
                "kept": False,
                "same": None,
                "change": None,
                "megabytes": [before, None],
                "words": f"no int8: {error}",
            }, {}
        texts = [table.texts[place] for place in places(split, TEST)]
        full, less = students.probabilities(student, texts), students.probabilities(small, texts)
        same = float((full.argmax(1) == less.argmax(1)).double().mean())
        change = float((full - less).abs().max())
        kept = same >= about.int8_same and change <= about.int8_change
        words = (
            f"int8 gives {same:.1%} of the {len(texts)} answers unchanged and moves a probability by {change:.3f} at most; "
            f"allowed are {about.int8_same:.1%} and {about.int8_change:.3f}: {'kept' if kept else 'not exported'}"
        )
        megabytes = [before, compression.megabytes(small.net)]
        values = {"kept": kept, "same": same, "change": change, "megabytes": megabytes, "words": words}
        return values, small.net.state_dict() if kept else {}

    return stage(settings.folder, "int8", inputs, make, tell)


# --- Speed and cost ---------------------------------------------------------------------------------------------------


def measure(settings: Settings, table: Table, split: Result, learned: Result, tell=None) -> Result:
    """How fast the student reads here: values texts_per_second (in batches of 256) and p50, p95, p99 in ms, one by one."""

    def make():
        student = student_of(settings, split, learned)
        texts = [table.texts[place] for place in places(split, TEST)]
        many = (texts * math.ceil(512 / len(texts)))[:512]
        whole = float(np.median(speed.timed(lambda: students.logits(student, many), 3)))
        numbers = students.numbers_of(student)
        one = []
        for text in many[:200]:
            one += speed.timed(lambda text=text: _single(student, numbers, text), 1, 0).tolist()
        times = {name: 1000 * value for name, value in speed.percentiles(one, 10).items() if name.startswith("p")}
        return {"texts_per_second": len(many) / whole, "milliseconds": times}, {}

    return stage(settings.folder, "speed", {"split": split.key, "student": learned.key}, make, tell)


@torch.inference_mode()
def _single(student, numbers, text):
    return student.net(students.encode([text], numbers, student.longest))


def cost(settings: Settings, split: Result, teacher: Result, measured: Result, tell=None) -> Result:
    """What it all costs at the reader's prices: values upfront, teacher and student (1,000 texts), a month of each, days."""
    about = settings.prices
    labels = sum(part["labelled"] for part in split.values["counts"].values())
    inputs = {"prices": [about.teacher, about.label, about.machine, about.work, about.texts_per_day], "labels": labels,
              "currency": about.currency, "asked": teacher.values["asked"], "speed": measured.key}  # fmt: skip

    def make():
        asked = teacher.values["asked"] / 1000 * about.teacher
        upfront = asked + labels * about.label + about.work
        theirs, ours = about.teacher / 1000, about.machine / 3600 / measured.values["texts_per_second"]
        days = None
        if theirs > 0:
            days = economics.break_even_days(upfront, theirs, ours, about.texts_per_day)
        month = 30 * about.texts_per_day
        if theirs <= 0:
            words = "the price of the teacher is 0 in project.toml, so nothing can be saved: set teacher in [prices]"
        elif days is None:
            words = "the student costs as much per text as the teacher, and never pays for itself"
        else:
            words = f"at {about.texts_per_day:,.0f} texts a day the student has paid for itself after {days:,.1f} days"
        return {"upfront": upfront, "asked": asked, "labels": labels * about.label, "work": about.work, "days": days,
                "per_1000": {"teacher": about.teacher, "student": 1000 * ours}, "words": words,
                "month": {"teacher": month * theirs, "student": month * ours}, "currency": about.currency}, {}  # fmt: skip

    return stage(settings.folder, "cost", inputs, make, tell)
