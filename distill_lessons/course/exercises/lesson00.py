"""Checks of lesson 00: agreement, cost, kept layers, KL on answer tokens."""

import math
import operator

import numpy as np
import torch
from scipy import special

from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import nearest, unchanged
from distill_lessons.models import students


def check_agreement(answer):
    """0.1: the share of positions with the same argmax."""
    answer = unchanged(answer)
    for shared in (0.4, 0.4, 0.4, 1.0, 0.0):
        count, size = torch.randint(20, 60, ()).item(), torch.randint(5, 12, ()).item()
        student, teacher = torch.randn(2, count, size)
        teacher = torch.where(torch.rand(count, 1) < shared, 2 * student + 1, teacher)
        same = student.numpy().argmax(-1) == teacher.numpy().argmax(-1)
        got = number(_with_a_mean(answer, student, teacher))
        if close(got, same.mean(), 1e-6):
            continue
        told = (
            f"{same.sum()} of {count} positions have the same likeliest token, a share of {same.mean():.3f}, and "
            f"{got:.3f} came. "
        )
        two = (student.topk(2).indices == teacher.argmax(-1, keepdim=True)).any(-1).double().mean()
        mistakes = (
            (same.sum(), f"That is a number of positions: divide by {count}, or take the mean."),
            (100 * same.mean(), "That is in percent: return a share between 0 and 1."),
            (same.sum() / size, f"You divide by the {size} tokens of the vocabulary, and not by the positions."),
            (same.sum() / 40, f"You divide by 40, and here are {count} positions: take the mean."),
            (two, "You also count the student's second choice."),
            (
                (student.argmax(0) == teacher.argmax(0)).double().mean(),
                "Your argmax runs over the positions: argmax(-1) runs over the vocabulary, the last dimension. (hint 1)",
            ),
            ((student == teacher).double().mean(), "You compare logits: compare their argmax. (hint 1)"),
            (
                (student.argmin(-1) == teacher.argmin(-1)).double().mean(),
                "You compare the least likely token: argmax, not argmin. (hint 1)",
            ),
        )
        otherwise = "Compare the argmax over the vocabulary, the last dimension, and take the mean. (hint 1)"
        raise Wrong(told + nearest(got, mistakes, otherwise, 1e-6))


def _with_a_mean(answer, *logits):
    """The answer; torch's refusal to average booleans does not say what to do about it, and this does."""
    try:
        return answer(*logits)
    except RuntimeError as error:
        if "infer output dtype" not in str(error):
            raise
        raise Wrong(
            "torch takes no mean of booleans or whole numbers: turn them into .float() first. (hint 1)"
        ) from None


def check_dollars(answer):
    """0.2: what a million tokens cost."""
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    cases = [*zip(rng.uniform(5, 5000, 5), rng.uniform(0.05, 8, 5)), (rng.uniform(4000, 5000), rng.uniform(0.05, 0.08))]
    for speed, price in cases:
        got, expected = number(answer(float(speed), float(price))), 1e6 / speed / 3600 * price
        if close(got / expected, 1, 1e-6):
            continue
        hours = 1e6 / speed / 3600
        mistakes = (
            (expected * 3600, "Are the seconds turned into hours?"),
            (expected * 60, "An hour has 3600 seconds: you divide by 60."),
            (expected / 1e6, "That is the cost of one token."),
            (expected * 100, "That is in cents."),
            (math.ceil(hours) * price, "You pay whole hours: part of an hour costs part of the price."),
            (1e6 // speed / 3600 * price, "You cut the seconds to a whole number: divide with /, not //."),
            (
                speed * price / 3600,
                "Tokens a second and seconds are taken for one another: how long do a million take?",
            ),
            (1e6 * speed / 3600 * price, "You multiply by the speed: a faster machine needs less time."),
        )
        why = next((words for value, words in mistakes if close(got / value, 1, 1e-5)), None)
        if why is None and abs(got - expected) <= 0.00501:
            why = "You rounded: return the number itself."
        raise Wrong(
            f"At {speed:.1f} tokens/s and ${price:.3f} an hour a million tokens cost ${expected:.6g}, and yours is "
            f"${got:.6g}. {why or 'Seconds first, then hours.'} (hint 1)"
        )


def check_kept_layers(answer):
    """0.3: first two, last two, the others evenly between, as whole numbers."""
    if getattr(answer, "function", answer) is students.kept_layers:
        raise Wrong("This is the course's own function, imported: write yours in the cell above and run that cell.")
    fresh = zip(torch.randint(16, 60, (3,)).tolist(), (9, 7, 12))
    for total, depth in ((30, 6), (30, 16), (12, 5), (24, 24), (30, 10), (12, 4), *fresh):
        got = answer(total, depth)
        try:
            got = list(got)
        except TypeError:
            raise Wrong(f"A list of {depth} whole numbers was expected, and this came: {got!r}") from None
        try:
            got = [operator.index(layer) for layer in got]
        except TypeError:
            odd = next(layer for layer in got if not _whole(layer))
            odd = odd.item() if isinstance(odd, torch.Tensor) else odd
            if not isinstance(odd, float):
                raise Wrong(f"A list of {depth} whole numbers was expected, and one of yours is {odd!r}") from None
            if odd != int(odd):
                raise Wrong(f"Layers are whole numbers, and one of yours is {odd:.4g}: round. (hint 2)") from None
            raise Wrong(
                f"Layers are whole numbers of type int, and one of yours is the float {odd}: layers[{odd}] would stop. "
                "After rounding turn them into int, with int(…), .int() or .astype(int). (hint 2)"
            ) from None
        expected = [0, *np.rint(np.float32(np.linspace(1, total - 2, depth - 2))).astype(int).tolist(), total - 1]
        if len(got) != depth:
            raise Wrong(f"A student of depth {depth} keeps {depth} layers, and yours keeps {len(got)}: {got} (hint 1).")
        if got == sorted(got, reverse=True):
            raise Wrong(f"The layers should rise, and yours fall: {got}.")
        if [got[0], got[1], got[-2], got[-1]] != [0, 1, total - 2, total - 1]:
            raise Wrong(f"Of {total} layers, 0, 1, {total - 2} and {total - 1} always stay; yours are {got} (hint 1).")
        if got == expected or _tied(got, total, depth):
            continue
        told = f"For {total} layers and depth {depth}, {expected} was expected and {got} came. "
        if got == [0, *np.linspace(1, total - 2, depth - 2).astype(int).tolist(), total - 1]:
            raise Wrong(told + "You cut the fractions off: round. (hint 2)")
        if got[2:-2] == np.rint(np.linspace(2, total - 3, depth - 4)).astype(int).tolist():
            raise Wrong(
                told + f"What is left runs from layer 1 to layer {total - 2}: those two are its ends, so that all gaps "
                "are equal. (hint 1)"
            )
        raise Wrong(told + "The gaps between layer 1 and the last but one are equal before rounding. (hints 1 and 2)")


def _whole(layer):
    try:
        operator.index(layer)
    except TypeError:
        return False
    return True


def _tied(got, total, depth):
    """Whether each layer is a nearest whole number: where a spacing ends in one half, both neighbours are right."""
    exact = [0, *np.linspace(1, total - 2, depth - 2), total - 1]
    return all(abs(layer - place) <= 0.5 + 1e-6 for layer, place in zip(got, exact))


def check_answer_kl(answer):
    """0.4: KL to the teacher, mean over the positions that predict an answer token."""
    answer = unchanged(answer)
    # (first, length) of each answer; one that begins at 0 is not predicted there, and a mask that wraps round counts it.
    for spans in (((2, 6), (2, 3)), ((3, 2), (1, 7)), ((2, 5), (0, 5)), ((0, 4), (3, 5)), ((2, 3), (0, 2), (4, 4))):
        student, teacher = 2 * torch.randn(2, len(spans), 9, 11)
        labels = torch.full((len(spans), 9), -100)
        for row, (first, length) in enumerate(spans):
            labels[row, first : first + length] = torch.randint(0, 11, (length,))
        labels[0, 2 : 2 + spans[0][1] // 2] = 0  # a token like any other
        q, p = (special.log_softmax(z.double().numpy(), -1) for z in (student, teacher))
        rows = (np.exp(p) * (p - q)).sum(-1)
        mask = labels.numpy() != -100
        chosen = mask[:, 1:]
        expected = rows[:, :-1][chosen].mean()
        got = number(answer(student, teacher, labels))
        if close(got, expected, 1e-4):
            continue
        wraps = (
            "Your mask wraps round: it pairs the last position of a row with the first label of a row. Nothing predicts "
            "the first label: drop it, labels[:, 1:]"
        )
        mistakes = {
            "You averaged over every position, prompt and padding too": [rows[:, :-1].mean(), rows.mean()],
            "The mask is not shifted: the logits at t predict the label at t + 1": [
                rows[mask].mean(),
                rows[:, :-1][mask[:, :-1]].mean(),
            ],
            "You shifted the other way: the logits at t predict the label at t + 1": [
                rows[:, 1:][mask[:, :-1]].mean(),
            ],
            wraps: [rows[np.roll(mask, -1, 1)].mean(), rows[np.roll(mask, -1)].mean(),
                    rows.ravel()[:-1][mask.ravel()[1:]].mean()],
            "Your mask drops token 0, a token like any other: compare with -100": [
                rows[:, :-1][labels.numpy()[:, 1:] > 0].mean()
            ],
            "You averaged each sequence first: then a token of a short answer weighs more": [
                np.mean([row[own].mean() for row, own in zip(rows[:, :-1], chosen)])
            ],
            "You looked at the first sequence alone": [rows[0, :-1][chosen[0]].mean()],
            "You divided by all positions and not by the answer tokens": [
                (rows[:, :-1] * chosen).mean(),
                (rows[:, :-1] * chosen).sum() / rows.size,
            ],
            "You divided by the number of sequences and not by the answer tokens": [
                rows[:, :-1][chosen].sum() / len(rows)
            ],
            "You added up the answer tokens and did not divide by their number": [rows[:, :-1][chosen].sum()],
            "A mean over all entries also divides by the 11 tokens of the vocabulary: sum over those": [expected / 11],
            "That is in bits: a nat is counted with the natural logarithm": [expected / math.log(2)],
            "The sign is turned round: log p − log q": [-expected],
            "That is the other direction, KL(q ‖ p): weigh the logarithms with the teacher's p": [
                (np.exp(q) * (q - p)).sum(-1)[:, :-1][chosen].mean()
            ],
            "That is the cross-entropy: the teacher's own entropy is still in it": [
                -(np.exp(p) * q).sum(-1)[:, :-1][chosen].mean()
            ],
        }  # fmt: skip
        candidates = [(value, text) for text, values in mistakes.items() for value in values]
        why = nearest(got, candidates, "Align, select, then average")
        raise Wrong(f"{why}. Expected {expected:.4f} nats per answer token, and {got:.4f} came (hints 1 and 2).")
    student, teacher = 150 * torch.randn(2, 2, 6, 11)
    labels = torch.tensor([[-100, -100, 3, 0, 5, -100], [-100, 7, 7, 1, -100, -100]])
    q, p = (special.log_softmax(z.double().numpy(), -1) for z in (student, teacher))
    expected = (np.exp(p) * (p - q)).sum(-1)[:, :-1][labels.numpy()[:, 1:] != -100].mean()
    got = float(answer(student, teacher, labels))
    if not close(got, expected, 1e-3):
        raise Wrong(
            f"For logits as large as ±300, {expected:.1f} nats were expected, and {got:.1f} came: a probability underflows "
            "to 0, and its logarithm is lost. Take log_softmax of the logits, never the log of a softmax."
        )


CHECKS = {"0.1": check_agreement, "0.2": check_dollars, "0.3": check_kept_layers, "0.4": check_answer_kl}
