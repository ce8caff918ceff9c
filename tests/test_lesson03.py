"""Lesson 03's bug hunt: the sound loss is the package's, stays hidden until the list is right, and the logs show their bugs."""

import exercises_03
import pytest
import torch

from distill_lessons import losses, runtime
from distill_lessons.course.exercises import lesson03


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    student, teacher = 2 * torch.randn(2, 3, 9, 7, generator=generator)
    labels = torch.randint(0, 7, (3, 9), generator=generator)
    labels[:, :2] = labels[1, 5:] = -100
    return student, teacher, labels


@pytest.mark.parametrize("seed, alpha, temperature", [(0, 0.5, 4.0), (1, 0.0, 2.0), (2, 1.0, 1.0), (3, 0.3, 7.0)])
def test_the_sound_loss_is_the_packages(seed, alpha, temperature):
    student, teacher, labels = batch(seed)
    z, targets, _ = losses.align_next_token(student, labels)
    expected = losses.distillation_loss(z, teacher[:, :-1], targets, alpha, temperature).total
    assert torch.allclose(lesson03.sound_loss(student, teacher, labels, alpha, temperature), expected, rtol=1e-5)
    with pytest.raises(ValueError, match="vocabulary"):
        lesson03.sound_loss(student[..., :5], teacher, labels)
    teacher.requires_grad_()
    lesson03.sound_loss(student.requires_grad_(), teacher, labels).backward()
    assert teacher.grad is None and student.grad.abs().sum() > 0


def test_the_sound_loss_is_shown_to_whoever_found_the_bugs_and_to_nobody_else(capsys):
    for wrong in (lambda: ..., lambda: "ADEGH", lambda: "ABCDEFGHIJKL"):
        lesson03.reveal(wrong)
        assert capsys.readouterr().out == "○ the sound loss shows itself here once 3.3 is ticked\n"
    lesson03.reveal(exercises_03.bugs)
    shown = capsys.readouterr().out
    found = {"Tensor": torch.Tensor, "F": torch.nn.functional}
    exec(shown, found)  # what is shown is what was meant
    assert torch.equal(found["sound_loss"](*batch(4)), lesson03.sound_loss(*batch(4)))


def test_each_suspicion_is_either_a_bug_or_none_and_is_printed(capsys):
    assert len(lesson03.BUGS) == len(lesson03.NO_BUGS) == 6
    assert set(lesson03.BUGS) | set(lesson03.NO_BUGS) == set(lesson03.SUSPICIONS) == set("ABCDEFGHIJKL")
    lesson03.suspicions()
    lines = capsys.readouterr().out.splitlines()
    assert [line[0] for line in lines] == list("ABCDEFGHIJKL") and max(map(len, lines)) <= 96


def test_the_pages_five_logs_are_those_that_the_solutions_name():
    kinds = {letter: exercises_03.diagnose(log) for letter, log in lesson03.training_logs().items()}
    assert sorted(kinds.values()) == sorted(lesson03.KINDS)
    text = (runtime.REPOSITORY / "solutions" / "03_loss_functions.ipynb").read_text(encoding="utf-8")
    told = [f"{letter} is {kind if kind == 'sound' else f'`{kind}`'}" for letter, kind in kinds.items()]
    assert f"In the figure {', '.join(told[:4])} and {told[4]}." in text
    assert lesson03.training_logs()["B"] == lesson03.training_logs()["B"] != lesson03.training_logs(1)["B"]


def test_no_fixed_number_tells_the_logs_apart():
    """The soft term's first value: a sound one may lie below one without T², and far below another sound one."""
    starts = {
        case: sum(lesson03.training_log(*case, torch.Generator().manual_seed(n), steps=0)["soft"][0] for n in range(4))
        for case in lesson03.CASES
    }
    for kind in lesson03.KINDS:
        spreads = sorted(spread for name, spread, _ in lesson03.CASES if name == kind)
        assert len(spreads) == 2 and spreads[1] > 2 * spreads[0]
    least = {kind: min(start for case, start in starts.items() if case[0] == kind) for kind in lesson03.KINDS}
    most = {kind: max(start for case, start in starts.items() if case[0] == kind) for kind in lesson03.KINDS}
    assert least["sound"] < most["temperature"] and least["batch"] < 2 * most["sound"]
    assert most["sound"] > 10 * least["sound"] and most["batch"] > 10 * least["batch"]
