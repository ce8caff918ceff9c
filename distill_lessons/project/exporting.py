"""The student as files: safetensors and vocabulary, int8, ONNX where its libraries are; each read again and compared."""

import importlib.util
from pathlib import Path

import numpy as np
import torch

from distill_lessons import runtime
from distill_lessons.models import compression
from distill_lessons.project import students
from distill_lessons.project.config import Settings
from distill_lessons.project.learning import student_of
from distill_lessons.project.splitting import TEST, places
from distill_lessons.project.stages import Result, stage
from distill_lessons.project.students import Student
from distill_lessons.project.table import Table

FOLDER = "student"
ONNX_NEEDS = ("onnx", "onnxscript", "onnxruntime")
ONNX_TOLERANCE = 1e-3  # of a logit


def export(
    settings: Settings, table: Table, split: Result, learned: Result, calibrated: Result, small: Result, tell=None
) -> Result:
    """Write ``student/`` and read it again: values files (name to SHA-256), megabytes and onnx (a sentence).

    Raises:
        ValueError: what was read answers otherwise than what was written.
    """
    missing = missing_for_onnx()
    inputs = {
        "split": split.key,
        "student": learned.key,
        "calibration": calibrated.key,
        "int8": small.key,
        "onnx": missing,
    }

    def make():
        student = student_of(settings, split, learned, calibrated.values["temperature"])
        texts = [table.texts[place] for place in places(split, TEST)]
        folder = settings.folder / FOLDER
        net = compression.int8(student.net) if small.values["kept"] else None
        if net is not None:
            net.load_state_dict(small.tensors)
        students.save(student, folder, net)
        pairs = [(student, students.load(folder))]
        if net is not None:
            pairs.append((student._replace(net=net), students.load(folder, int8=True)))
        for ours, read in pairs:
            if not torch.equal(students.probabilities(ours, texts), students.probabilities(read, texts)):
                raise ValueError(f"the student in {folder} answers otherwise than the one that was written: try again")
        words = to_onnx(student, folder / "model.onnx", texts[:64], missing)
        names = [name for name in ("student.json", "vocabulary.json", "model.safetensors", "model.int8.safetensors",
                                   "model.onnx") if (folder / name).is_file()]  # fmt: skip
        sizes = {name: (folder / name).stat().st_size / 1e6 for name in names}
        return {
            "files": digests(settings.folder, [f"{FOLDER}/{name}" for name in names]),
            "megabytes": sizes,
            "onnx": words,
        }, {}

    return with_files(settings, "export", inputs, make, tell)


def missing_for_onnx() -> list[str]:
    """Which of the libraries that ONNX needs are not installed here."""
    return [name for name in ONNX_NEEDS if importlib.util.find_spec(name) is None]


def to_onnx(student: Student, path: Path, texts: list[str], missing: list[str]) -> str:
    """Write the net as ONNX, ids ``[B, L]`` to logits ``[B, C]``, and compare it by onnxruntime; returns a sentence."""
    path.unlink(missing_ok=True)
    if missing:
        return (
            f"no ONNX: {', '.join(missing)} not installed here (`pip install {' '.join(missing)}`, then run it again)"
        )
    try:
        with runtime.replacing(path) as temporary:
            change = _to_onnx(student, temporary, texts)
            if change > ONNX_TOLERANCE:
                raise ValueError(f"a logit differs by {change:.2g}, over {ONNX_TOLERANCE:g}")
    except Exception as error:  # of libraries that are the reader's own; the student itself is written already
        path.unlink(missing_ok=True)
        return f"no ONNX: {type(error).__name__}: {' '.join(str(error).split()):.200}"
    return (
        f"model.onnx gives the same logits within {change:.1g} (allowed: {ONNX_TOLERANCE:g}) on {len(texts)} test texts"
    )


def _to_onnx(student, path, texts):
    import onnxruntime

    net, ids = student.net.eval(), students.encode(texts, students.numbers_of(student), student.longest)
    sizes = {0: torch.export.Dim("texts"), 1: torch.export.Dim("words", max=student.longest)}
    program = torch.onnx.export(
        net,
        (ids,),
        dynamo=True,
        dynamic_shapes=(sizes,),
        input_names=["ids"],
        output_names=["logits"],
        verbose=False,
    )
    program.save(str(path))
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    changes = []
    for part in (ids, ids[:1], students.encode(texts[:3], students.numbers_of(student), student.longest)):
        with torch.inference_mode():
            own = net(part).numpy()
        changes.append(np.abs(session.run(None, {session.get_inputs()[0].name: part.numpy()})[0] - own).max())
    return float(max(changes))


# --- Files that a stage has written beside its result -----------------------------------------------------------------


def digests(folder: Path, names: list[str]) -> dict[str, str]:
    """SHA-256 of files by their names within a folder."""
    return {name: runtime.sha256(folder / name) for name in names}


def with_files(settings: Settings, name: str, inputs: dict, make, tell=None) -> Result:
    """`stage` for one that writes files too: done again where one of ``values["files"]`` is gone or another."""
    fresh = []

    def noted():
        fresh.append(True)
        return make()

    found = stage(settings.folder, name, inputs, noted, tell)
    if fresh or _there(settings.folder, found.values["files"]):
        return found
    (settings.folder / "work" / f"{name}.safetensors").unlink()
    return stage(settings.folder, name, inputs, make, tell)


def _there(folder, files):
    return all((folder / name).is_file() and runtime.sha256(folder / name) == digest for name, digest in files.items())
