"""Checks of lesson 00: agreement, cost, kept layers, KL on answer tokens."""

import numpy as np
import torch
from scipy import special

from distill_lessons.course.exercises import Wrong, close, number


def check_agreement(answer):
    for _ in range(5):
        student, teacher = torch.randn(2, 40, 7)
        teacher = torch.where(torch.rand(40, 1) < 0.4, 2 * student + 1, teacher)
        got = number(answer(student, teacher))
        same = student.numpy().argmax(-1) == teacher.numpy().argmax(-1)
        if not close(got, same.mean(), 1e-6):
            if close(got, same.sum(), 1e-6):
                raise Wrong(f"You returned how many positions agree, {got:.0f}; a share of the 40 was asked for.")
            raise Wrong(
                f"{same.sum()} of 40 positions have the same likeliest token, a share of {same.mean():.3f}, and yours is "
                f"{got:.3f}. Compare the argmax over the vocabulary, the last dimension (hint 1)."
            )


def check_dollars(answer):
    for speed, price in zip(np.random.default_rng().uniform(5, 5000, 5), np.random.default_rng().uniform(0.05, 8, 5)):
        got, expected = number(answer(float(speed), float(price))), 1e6 / speed / 3600 * price
        if not close(got / expected, 1, 1e-6):
            factor = got / expected
            hint = {3600.0: "Are the seconds turned into hours?", 1e-6: "That is the cost of one token."}
            why = next(
                (text for size, text in hint.items() if close(factor / size, 1, 1e-3)), "Seconds first, then hours."
            )
            raise Wrong(
                f"At {speed:.0f} tokens/s and ${price:.2f} an hour a million tokens cost ${expected:.4g}, and yours is "
                f"${got:.4g}. {why} (hint 1)"
            )


def check_kept_layers(answer):
    fresh = zip(torch.randint(16, 60, (3,)).tolist(), (9, 7, 12))
    for total, depth in ((30, 6), (30, 16), (12, 5), (24, 24), (30, 10), *fresh):
        got = answer(total, depth)
        try:
            got = [int(layer) if float(layer) == int(layer) else float(layer) for layer in got]
        except (TypeError, ValueError):
            raise Wrong(f"A list of {depth} whole numbers was expected, and this came: {got!r}") from None
        expected = [0, *np.rint(np.float32(np.linspace(1, total - 2, depth - 2))).astype(int).tolist(), total - 1]
        if len(got) != depth:
            raise Wrong(f"A student of depth {depth} keeps {depth} layers, and yours keeps {len(got)}: {got} (hint 1).")
        if [got[0], got[1], got[-2], got[-1]] != [0, 1, total - 2, total - 1]:
            raise Wrong(f"Of {total} layers, 0, 1, {total - 2} and {total - 1} always stay; yours are {got} (hint 1).")
        if any(abs(a - b) > 0 for a, b in zip(got, expected)) and not _tied(got, total, depth):
            raise Wrong(
                f"For {total} layers and depth {depth}, {expected} was expected and {got} came (hints 1 and 2)."
            )


def _tied(got, total, depth):
    """Whether each layer is a nearest whole number: where a spacing ends in one half, both neighbours are right."""
    exact = [0, *np.linspace(1, total - 2, depth - 2), total - 1]
    return all(isinstance(layer, int) and abs(layer - place) <= 0.5 + 1e-6 for layer, place in zip(got, exact))


def check_answer_kl(answer):
    for lengths in ((6, 3), (2, 7), (5, 5)):
        student, teacher = 2 * torch.randn(2, 2, 9, 11)
        labels = torch.full((2, 9), -100)
        for row, length in enumerate(lengths):
            labels[row, 2 : 2 + length] = torch.randint(0, 11, (length,))
        labels[0, 2] = 0  # a token like any other
        q, p = (special.log_softmax(z.double().numpy(), -1) for z in (student, teacher))
        rows = (np.exp(p) * (p - q)).sum(-1)
        mask = labels.numpy() != -100
        expected = rows[:, :-1][mask[:, 1:]].mean()
        got = number(answer(student.clone(), teacher.clone(), labels.clone()))
        if close(got, expected, 1e-4):
            continue
        mistakes = {
            "You averaged over every position, prompt and padding too": rows[:, :-1].mean(),
            "The mask is not shifted: the logits at t predict the label at t + 1": rows[mask].mean(),
            "You divided by all positions and not by the answer tokens": (rows[:, :-1] * mask[:, 1:]).mean(),
            "You added up the answer tokens and did not divide by their number": rows[:, :-1][mask[:, 1:]].sum(),
            "That is the reverse direction, from student to teacher": (np.exp(q) * (q - p))
            .sum(-1)[:, :-1][mask[:, 1:]]
            .mean(),
            "That is the cross-entropy: the teacher's own entropy is still in it": -(np.exp(p) * q)
            .sum(-1)[:, :-1][mask[:, 1:]]
            .mean(),
        }
        why = next((text for text, value in mistakes.items() if close(got, value, 1e-3)), "Align, select, then average")
        raise Wrong(f"{why}. Expected {expected:.4f} nats per answer token, and {got:.4f} came (hints 1 and 2).")


CHECKS = {"0.1": check_agreement, "0.2": check_dollars, "0.3": check_kept_layers, "0.4": check_answer_kl}
