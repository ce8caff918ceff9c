"""Right and plausible wrong answers to the exercises of lesson 00."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import special

from distill_lessons.models import students


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


def agreement_of_booleans(student_logits, teacher_logits):
    return (student_logits.argmax(-1) == teacher_logits.argmax(-1)).mean()


def agreement_in_percent(student_logits, teacher_logits):
    return 100 * agreement(student_logits, teacher_logits)


def agreement_over_the_vocabulary(student_logits, teacher_logits):
    return (student_logits.argmax(-1) == teacher_logits.argmax(-1)).sum() / student_logits.shape[-1]


def agreement_of_forty(student_logits, teacher_logits):
    return (student_logits.argmax(-1) == teacher_logits.argmax(-1)).sum() / 40


def agreement_within_two(student_logits, teacher_logits):
    two = student_logits.topk(2, dim=-1).indices
    return (two == teacher_logits.argmax(-1, keepdim=True)).any(-1).float().mean()


def agreement_by_numpy(student_logits, teacher_logits):
    return np.mean(np.asarray(student_logits).argmax(-1) == np.asarray(teacher_logits).argmax(-1))


def agreement_in_a_loop(student_logits, teacher_logits):
    rows = zip(student_logits.tolist(), teacher_logits.tolist())
    return sum(s.index(max(s)) == t.index(max(t)) for s, t in rows) / len(student_logits)


def dollars_in_cents(tokens_per_second, dollars_per_hour):
    return 100 * dollars_per_million(tokens_per_second, dollars_per_hour)


def dollars_to_the_cent(tokens_per_second, dollars_per_hour):
    return round(dollars_per_million(tokens_per_second, dollars_per_hour), 2)


def dollars_in_whole_seconds(tokens_per_second, dollars_per_hour):
    return 1e6 // tokens_per_second / 3600 * dollars_per_hour


def dollars_in_whole_hours(tokens_per_second, dollars_per_hour):
    return math.ceil(1e6 / tokens_per_second / 3600) * dollars_per_hour


def dollars_by_the_hour(tokens_per_second, dollars_per_hour):
    return dollars_per_hour / (tokens_per_second * 60 * 60) * 1_000_000


def dollars_in_a_tensor(tokens_per_second, dollars_per_hour):
    return torch.tensor([dollars_per_hour]) * (1e6 / 3600 / tokens_per_second)


def kept_as_floats(total, depth):
    return [float(layer) for layer in kept_layers(total, depth)]


def kept_in_a_float_tensor(total, depth):
    return torch.tensor(kept_as_floats(total, depth))


def kept_by_numpy_without_whole_numbers(total, depth):
    return [0, *np.linspace(1, total - 2, depth - 2).round(), total - 1]


def kept_in_equal_steps(total, depth):
    step = (total - 3) // (depth - 3)
    return [0, *(1 + step * i for i in range(depth - 3)), total - 2, total - 1]


def kept_between_the_second_and_the_last_but_two(total, depth):
    return [0, 1, *np.linspace(2, total - 3, depth - 4).round().astype(int).tolist(), total - 2, total - 1]


def kept_falling(total, depth):
    return kept_layers(total, depth)[::-1]


def kept_by_numpy(total, depth):
    return np.array([0, *np.rint(np.linspace(1, total - 2, depth - 2)).astype(int), total - 1])


def kept_in_a_tensor(total, depth):
    return torch.tensor(kept_layers(total, depth))


def kept_one_by_one(total, depth):
    yield 0
    for i in range(depth - 2):
        yield round(1 + i * (total - 3) / (depth - 3))
    yield total - 1


def kept_in_a_tuple(total, depth):
    return tuple(torch.tensor(kept_layers(total, depth)))


def kl_rolled(student_logits, teacher_logits, labels):
    return kl_rows(student_logits, teacher_logits)[labels.roll(-1, 1) != -100].mean()


def kl_rolled_over_rows(student_logits, teacher_logits, labels):
    return kl_rows(student_logits, teacher_logits)[labels.roll(-1) != -100].mean()


def kl_flat_and_shifted(student_logits, teacher_logits, labels):
    return kl_rows(student_logits, teacher_logits).flatten()[:-1][labels.flatten()[1:] != -100].mean()


def kl_changes_the_labels(student_logits, teacher_logits, labels):
    answer = answer_kl(student_logits, teacher_logits, labels)
    labels[labels == -100] = 0
    return answer


def kl_of_a_logarithm(student_logits, teacher_logits, labels):
    q, p = student_logits.softmax(-1), teacher_logits.softmax(-1)
    return (p * (p.log() - q.log())).sum(-1)[:, :-1][labels[:, 1:] != -100].mean()


def kl_with_a_small_constant(student_logits, teacher_logits, labels):
    q, p = student_logits.softmax(-1), teacher_logits.softmax(-1)
    return (p * ((p + 1e-9).log() - (q + 1e-9).log())).sum(-1)[:, :-1][labels[:, 1:] != -100].mean()


def kl_without_token_0(student_logits, teacher_logits, labels):
    return kl_rows(student_logits, teacher_logits)[:, :-1][labels[:, 1:] > 0].mean()


def kl_sequence_by_sequence(student_logits, teacher_logits, labels):
    rows = zip(student_logits, teacher_logits, labels)
    return torch.stack([answer_kl(s[None], t[None], y[None]) for s, t, y in rows]).mean()


def kl_over_the_vocabulary(student_logits, teacher_logits, labels):
    return answer_kl(student_logits, teacher_logits, labels) / student_logits.shape[-1]


def kl_in_bits(student_logits, teacher_logits, labels):
    return answer_kl(student_logits, teacher_logits, labels) / math.log(2)


def kl_flat_answers_of_the_first(student_logits, teacher_logits, labels):
    return answer_kl(student_logits[:1], teacher_logits[:1], labels[:1])


def kl_by_numpy(student_logits, teacher_logits, labels):
    q, p = (special.log_softmax(np.asarray(z)[:, :-1], axis=-1) for z in (student_logits, teacher_logits))
    return (np.exp(p) * (p - q)).sum(-1)[np.asarray(labels)[:, 1:] != -100].mean()


def kl_in_a_loop(student_logits, teacher_logits, labels):
    found = []
    for s, t, y in zip(student_logits, teacher_logits, labels):
        for place in range(len(y) - 1):
            if y[place + 1] != -100:
                found.append(kl_rows(s[place], t[place]).item())
    return sum(found) / len(found)


def kl_by_kl_div(student_logits, teacher_logits, labels):
    mask = labels[:, 1:] != -100
    q, p = (z[:, :-1][mask].log_softmax(-1) for z in (student_logits, teacher_logits))
    return F.kl_div(q, p, reduction="batchmean", log_target=True)


RIGHT = {"0.1": agreement, "0.2": dollars_per_million, "0.3": kept_layers, "0.4": answer_kl}

ALSO_RIGHT = {
    "0.1": [agreement_by_numpy, agreement_in_a_loop],
    "0.2": [dollars_by_the_hour, dollars_in_a_tensor],
    "0.3": [kept_by_numpy, kept_in_a_tensor, kept_one_by_one, kept_in_a_tuple],
    "0.4": [kl_by_numpy, kl_in_a_loop, kl_by_kl_div],
}
WRONG = {
    "0.1": [
        agreement_of_booleans,
        agreement_in_percent,
        agreement_over_the_vocabulary,
        agreement_of_forty,
        agreement_within_two,
        lambda s, t: (s.argmax(-1) == t.argmax(-1)).sum(),
        lambda s, t: (s.argmax(0) == t.argmax(0)).float().mean(),
        lambda s, t: (s == t).float().mean(),
        lambda s, t: (s.max(-1).values == t.max(-1).values).float().mean(),
        lambda s, t: (s.argmin(-1) == t.argmin(-1)).float().mean(),
        lambda s, t: 1.0,
    ],
    "0.2": [
        dollars_in_cents,
        dollars_to_the_cent,
        dollars_in_whole_seconds,
        dollars_in_whole_hours,
        lambda speed, price: 1e6 / speed * price,
        lambda speed, price: speed * price / 3600,
        lambda speed, price: price / speed / 3600,
        lambda speed, price: 1e6 / speed / 60 * price,
        lambda speed, price: 1e6 * speed / 3600 * price,
    ],
    "0.3": [
        kept_as_floats,
        kept_in_a_float_tensor,
        kept_by_numpy_without_whole_numbers,
        kept_in_equal_steps,
        kept_between_the_second_and_the_last_but_two,
        kept_falling,
        students.kept_layers,
        lambda total, depth: torch.linspace(0, total - 1, depth).round().int().tolist(),
        lambda total, depth: [0, *torch.linspace(1, total - 2, depth - 2).int().tolist(), total - 1],
        lambda total, depth: list(range(depth)),
        lambda total, depth: [0, *torch.linspace(1, total - 2, depth - 2).tolist(), total - 1],
        lambda total, depth: [1, *torch.linspace(2, total - 1, depth - 2).round().int().tolist(), total],
    ],
    "0.4": [
        kl_rolled,
        kl_rolled_over_rows,
        kl_flat_and_shifted,
        kl_changes_the_labels,
        kl_of_a_logarithm,
        kl_with_a_small_constant,
        kl_without_token_0,
        kl_sequence_by_sequence,
        kl_over_the_vocabulary,
        kl_in_bits,
        kl_flat_answers_of_the_first,
        lambda s, t, labels: kl_rows(s, t)[:, :-1].mean(),
        lambda s, t, labels: kl_rows(s, t)[labels != -100].mean(),
        lambda s, t, labels: (kl_rows(s, t)[:, :-1] * (labels[:, 1:] != -100)).mean(),
        lambda s, t, labels: answer_kl(t, s, labels),
        lambda s, t, labels: kl_rows(s, t)[:, 1:][labels[:, 1:] != -100].mean(),
        lambda s, t, labels: kl_rows(s, t)[:, :-1][labels[:, 1:] != -100].sum() / len(labels),
        lambda s, t, labels: kl_rows(s, t)[:, :-1][labels[:, :-1] != -100].mean(),
    ],
}
