"""Right and plausible wrong answers to the exercises of lesson 00."""

import torch


def agreement(student_logits, teacher_logits):
    return (student_logits.argmax(-1) == teacher_logits.argmax(-1)).float().mean()


def dollars_per_million(tokens_per_second, dollars_per_hour):
    return 1e6 / tokens_per_second / 3600 * dollars_per_hour


def kept_layers(total, depth):
    inner = torch.linspace(1, total - 2, depth - 2).round().int().tolist()
    return [0, *inner, total - 1]


def kl_rows(student_logits, teacher_logits):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def answer_kl(student_logits, teacher_logits, labels):
    is_answer = labels[:, 1:] != -100
    return kl_rows(student_logits, teacher_logits)[:, :-1][is_answer].mean()


RIGHT = {"0.1": agreement, "0.2": dollars_per_million, "0.3": kept_layers, "0.4": answer_kl}

WRONG = {
    "0.1": [
        lambda s, t: (s.argmax(-1) == t.argmax(-1)).sum(),
        lambda s, t: (s.argmax(0) == t.argmax(0)).float().mean(),
        lambda s, t: (s == t).float().mean(),
        lambda s, t: (s.max(-1).values == t.max(-1).values).float().mean(),
        lambda s, t: (s.argmin(-1) == t.argmin(-1)).float().mean(),
        lambda s, t: 1.0,
    ],
    "0.2": [
        lambda speed, price: 1e6 / speed * price,
        lambda speed, price: speed * price / 3600,
        lambda speed, price: price / speed / 3600,
        lambda speed, price: 1e6 / speed / 60 * price,
        lambda speed, price: 1e6 * speed / 3600 * price,
    ],
    "0.3": [
        lambda total, depth: torch.linspace(0, total - 1, depth).round().int().tolist(),
        lambda total, depth: [0, *torch.linspace(1, total - 2, depth - 2).int().tolist(), total - 1],
        lambda total, depth: list(range(depth)),
        lambda total, depth: [0, *torch.linspace(1, total - 2, depth - 2).tolist(), total - 1],
        lambda total, depth: [1, *torch.linspace(2, total - 1, depth - 2).round().int().tolist(), total],
    ],
    "0.4": [
        lambda s, t, labels: kl_rows(s, t)[:, :-1].mean(),
        lambda s, t, labels: kl_rows(s, t)[labels != -100].mean(),
        lambda s, t, labels: (kl_rows(s, t)[:, :-1] * (labels[:, 1:] != -100)).mean(),
        lambda s, t, labels: answer_kl(t, s, labels),
        lambda s, t, labels: kl_rows(s, t)[:, 1:][labels[:, 1:] != -100].mean(),
        lambda s, t, labels: kl_rows(s, t)[:, :-1][labels[:, 1:] != -100].sum() / len(labels),
        lambda s, t, labels: kl_rows(s, t)[:, :-1][labels[:, :-1] != -100].mean(),
    ],
}
