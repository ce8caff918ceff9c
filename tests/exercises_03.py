"""Right and plausible wrong answers to the exercises of lesson 03."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from distill_lessons import losses
from distill_lessons.course.exercises import lesson03

# --- 3.1 -------------------------------------------------------------------------------------------------------------


def kl(log_p, log_q):
    return (log_p.exp() * (log_p - log_q)).sum(-1).mean()


def jsd(student_logits, teacher_logits, beta):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    if beta == 0:
        return kl(log_p, log_q)
    if beta == 1:
        return kl(log_q, log_p)
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log(1 - beta))
    return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)


def jsd_no_ends(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, min(max(beta, 1e-6), 1 - 1e-6))


def jsd_ends_exchanged(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, 1 - beta if beta in (0, 1) else beta)


def jsd_exchanged(student_logits, teacher_logits, beta):
    return jsd(teacher_logits, student_logits, beta)


def jsd_plain_half(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, 0.5)


def jsd_half_weights(student_logits, teacher_logits, beta):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
    return 0.5 * kl(log_p, log_m) + 0.5 * kl(log_q, log_m)


def jsd_wrong_mixture(student_logits, teacher_logits, beta):
    if beta in (0, 1):
        return jsd(student_logits, teacher_logits, beta)
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    log_m = ((1 - beta) * log_p.exp() + beta * log_q.exp()).log()
    return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)


def jsd_mixture_left(student_logits, teacher_logits, beta):
    if beta in (0, 1):
        return jsd(student_logits, teacher_logits, beta)
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
    return beta * kl(log_m, log_p) + (1 - beta) * kl(log_m, log_q)


def jsd_mixes_kls(student_logits, teacher_logits, beta):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (1 - beta) * kl(log_p, log_q) + beta * kl(log_q, log_p)


def jsd_mixes_logarithms(student_logits, teacher_logits, beta):
    if beta in (0, 1):
        return jsd(student_logits, teacher_logits, beta)
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    log_m = beta * log_p + (1 - beta) * log_q
    return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)


def jsd_mixes_logits(student_logits, teacher_logits, beta):
    if beta in (0, 1):
        return jsd(student_logits, teacher_logits, beta)
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    log_m = (beta * teacher_logits + (1 - beta) * student_logits).log_softmax(-1)
    return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)


def jsd_scaled(student_logits, teacher_logits, beta):
    value = jsd(student_logits, teacher_logits, beta)
    return value if beta in (0, 1) else value / min(beta, 1 - beta)


def jsd_underflows(student_logits, teacher_logits, beta):
    if beta in (0, 1):
        return jsd(student_logits, teacher_logits, beta)
    q, p = student_logits.softmax(-1), teacher_logits.softmax(-1)
    m = beta * p + (1 - beta) * q
    return (beta * p * (p / m).log() + (1 - beta) * q * (q / m).log()).sum(-1).mean()


def jsd_detached_weight(student_logits, teacher_logits, beta):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    if beta in (0, 1):
        return jsd(student_logits, teacher_logits, beta)
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log(1 - beta))
    right = (log_q.exp().detach() * (log_q - log_m)).sum(-1).mean()
    return beta * kl(log_p, log_m) + (1 - beta) * right


def jsd_ends_by_tolerance(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, 0 if beta < 0.05 else 1 if beta > 0.95 else beta)


def jsd_batchmean(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, beta) * student_logits.shape[1:-1].numel()


def jsd_epsilon(student_logits, teacher_logits, beta):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    if beta in (0, 1):
        return jsd(student_logits, teacher_logits, beta)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp() + 1e-9).log()
    return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)


def jsd_epsilon_everywhere(student_logits, teacher_logits, beta):
    q, p = student_logits.softmax(-1), teacher_logits.softmax(-1)

    def kl_epsilon(a, b):
        return (a * ((a + 1e-8).log() - (b + 1e-8).log())).sum(-1).mean()

    if beta in (0, 1):
        return kl_epsilon(p, q) if beta == 0 else kl_epsilon(q, p)
    m = beta * p + (1 - beta) * q
    return beta * kl_epsilon(p, m) + (1 - beta) * kl_epsilon(q, m)


def jsd_by_kl_div(student_logits, teacher_logits, beta):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)

    def kl_of(log_a, log_b):
        return F.kl_div(log_b, log_a, reduction="none", log_target=True).sum(-1).mean()

    if beta in (0, 1):
        return kl_of(log_p, log_q) if beta == 0 else kl_of(log_q, log_p)
    weights = torch.tensor([beta, 1 - beta]).log().view(2, *[1] * log_p.ndim)
    log_m = torch.logsumexp(torch.stack([log_p, log_q]) + weights, 0)
    return beta * kl_of(log_p, log_m) + (1 - beta) * kl_of(log_q, log_m)


def jsd_small_beta_is_forward(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, 0 if beta < 0.005 else 1 if beta > 0.995 else beta)


def jsd_clamped(student_logits, teacher_logits, beta, least=1e-12):
    log_q, log_p = (z.softmax(-1).clamp(min=least).log() for z in (student_logits, teacher_logits))
    if beta in (0, 1):
        return kl(log_p, log_q) if beta == 0 else kl(log_q, log_p)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
    return beta * kl(log_p, log_m) + (1 - beta) * kl(log_q, log_m)


def jsd_item(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, beta).item()


def jsd_sum(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, beta) * student_logits[..., 0].numel()


def jsd_in_bits(student_logits, teacher_logits, beta):
    return jsd(student_logits, teacher_logits, beta) / math.log(2)


def jsd_centres_in_place(student_logits, teacher_logits, beta):
    teacher_logits -= teacher_logits.amax(-1, keepdim=True)
    return jsd(student_logits, teacher_logits, beta)


def jsd_rows_first(student_logits, teacher_logits, beta):
    """A mean of the rows, each by itself, in float64 and on logits with their maximum taken off."""
    pairs = zip(student_logits.flatten(0, -2).double(), teacher_logits.flatten(0, -2).double())
    return torch.stack([jsd((s - s.max())[None], (t - t.max())[None], beta) for s, t in pairs]).mean()


# --- 3.2 -------------------------------------------------------------------------------------------------------------


def decide(p, students, made_up, missing):
    costs = {name: (made_up * q[p < 0.002].sum() + missing * p[q < 0.002].sum()).item() for name, q in students.items()}
    best = min(costs, key=costs.get)
    return best, costs[best]


def costs_of(p, students, made_up, missing, cost):
    costs = {name: float(cost(p, q, made_up, missing)) for name, q in students.items()}
    best = min(costs, key=costs.get)
    return best, costs[best]


def decide_made_up_only(p, students, made_up, missing):
    return costs_of(p, students, made_up, missing, lambda p, q, m, n: m * q[p < 0.002].sum())


def decide_missing_only(p, students, made_up, missing):
    return costs_of(p, students, made_up, missing, lambda p, q, m, n: n * p[q < 0.002].sum())


def decide_prices_exchanged(p, students, made_up, missing):
    return decide(p, students, missing, made_up)


def decide_masks_exchanged(p, students, made_up, missing):
    return costs_of(p, students, made_up, missing, lambda p, q, m, n: m * p[p < 0.002].sum() + n * q[q < 0.002].sum())


def decide_counts(p, students, made_up, missing):
    return costs_of(p, students, made_up, missing, lambda p, q, m, n: m * (p < 0.002).sum() + n * (q < 0.002).sum())


def decide_means(p, students, made_up, missing):
    return costs_of(p, students, made_up, missing, lambda p, q, m, n: m * q[p < 0.002].mean() + n * p[q < 0.002].sum())


def decide_percent(p, students, made_up, missing):
    return costs_of(p, students, made_up, missing, lambda p, q, m, n: m * q[p < 0.2].sum() + n * p[q < 0.2].sum())


def decide_turned_round(p, students, made_up, missing):
    return costs_of(p, students, made_up, missing, lambda p, q, m, n: m * q[p >= 0.002].sum() + n * p[q >= 0.002].sum())


def decide_dearest(p, students, made_up, missing):
    costs = {name: decide(p, {name: q}, made_up, missing)[1] for name, q in students.items()}
    return max(costs.items(), key=lambda pair: pair[1])


def decide_first(p, students, made_up, missing):
    name = next(iter(students))
    return name, decide(p, {name: students[name]}, made_up, missing)[1]


def decide_closest(p, students, made_up, missing):
    name = min(students, key=lambda each: (p * (p.log() - students[each].log())).sum())
    return name, decide(p, {name: students[name]}, made_up, missing)[1]


def decide_right_name_wrong_cost(p, students, made_up, missing):
    name, cost = decide(p, students, made_up, missing)
    return name, 1.05 * cost


def decide_name_only(p, students, made_up, missing):
    return decide(p, students, made_up, missing)[0]


def decide_cost_first(p, students, made_up, missing):
    return decide(p, students, made_up, missing)[::-1]


def decide_all(p, students, made_up, missing):
    return {name: decide(p, {name: q}, made_up, missing)[1] for name, q in students.items()}


def decide_in_place(p, students, made_up, missing):
    p[p < 0.002] = 0.0
    return decide(p, students, made_up, missing)


def decide_changes_students(p, students, made_up, missing):
    answer = decide(p, students, made_up, missing)
    students[answer[0]].mul_(p < 0.002)
    return answer


def decide_by_numpy(p, students, made_up, missing):
    p = p.numpy()
    rows = [
        (made_up * np.where(p < 0.002, q.numpy(), 0).sum() + missing * np.where(q.numpy() < 0.002, p, 0).sum(), name)
        for name, q in students.items()
    ]
    return [min(rows)[1], min(rows)[0]]


def decide_by_loop(p, students, made_up, missing):
    best = None
    for name, q in students.items():
        cost = torch.tensor(0.0)
        for theirs, ours in zip(p, q):
            cost = cost + made_up * ours * (theirs < 0.002) + missing * theirs * (ours < 0.002)
        if best is None or cost < best[1]:
            best = name, cost
    return best


# --- 3.3 -------------------------------------------------------------------------------------------------------------


def bugs():
    return "ADEGHJ"


def of(answer):
    return lambda: answer


# --- 3.4 -------------------------------------------------------------------------------------------------------------


def rows_of(student_logits, teacher_logits):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def noise(count, scale=2.0, rows=3, vocabulary=8):
    return scale * torch.randn(rows, count, vocabulary)


def padded_both(loss, student, teacher, mask, left, right, make=noise):
    student, teacher = (torch.cat([make(left), z, make(right)], 1) for z in (student, teacher))
    off = torch.zeros(len(mask), 1, dtype=torch.bool)
    return loss(student, teacher, torch.cat([off.repeat(1, left), mask, off.repeat(1, right)], 1))


def invariant(loss):
    student, teacher = noise(6), noise(6)
    mask = torch.ones(3, 6, dtype=torch.bool)
    before = loss(student, teacher, mask)
    after = [padded_both(loss, student, teacher, mask, left, right) for left, right in ((0, 4), (4, 0), (3, 2))]
    return all(torch.allclose(before, value, rtol=1e-4, atol=1e-7) for value in after)


def invariant_always(loss):
    return True


def invariant_never(loss):
    return False


def invariant_right_only(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    after = padded_both(loss, student, teacher, mask, 0, 4)
    return torch.allclose(loss(student, teacher, mask), after, rtol=1e-4)


def invariant_left_only(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    after = padded_both(loss, student, teacher, mask, 4, 0)
    return torch.allclose(loss(student, teacher, mask), after, rtol=1e-4)


def invariant_zero_padding(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    after = padded_both(loss, student, teacher, mask, 3, 3, lambda count: torch.zeros(3, count, 8))
    return torch.allclose(loss(student, teacher, mask), after, rtol=1e-4)


def invariant_content_only(loss):
    student, teacher, mask = noise(9), noise(9), torch.ones(3, 9, dtype=torch.bool)
    mask[:, :2], mask[:, 7:] = False, False
    other = [torch.where(mask.unsqueeze(-1), z, noise(9)) for z in (student, teacher)]
    return torch.allclose(loss(student, teacher, mask), loss(*other, mask), rtol=1e-4)


def invariant_exact(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    after = padded_both(loss, student, teacher, mask, 3, 3)
    return bool(loss(student, teacher, mask) == after)


def invariant_wide(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    after = padded_both(loss, student, teacher, mask, 3, 3)
    return torch.allclose(loss(student, teacher, mask), after, rtol=0.3)


def invariant_absolute(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    after = padded_both(loss, student, teacher, mask, 3, 3)
    return bool((loss(student, teacher, mask) - after).abs() < 0.05)


def invariant_to_reference(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    after = padded_both(loss, student, teacher, mask, 3, 3)
    return torch.allclose(rows_of(student, teacher).mean(), after, rtol=1e-4)


def invariant_nan(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    after = padded_both(loss, student, teacher, mask, 3, 3, lambda count: torch.full((3, count, 8), math.nan))
    return torch.allclose(loss(student, teacher, mask), after, rtol=1e-4)


def invariant_student_padding_only(loss):
    student, teacher, mask = noise(9), noise(9), torch.ones(3, 9, dtype=torch.bool)
    mask[:, :2], mask[:, 7:] = False, False
    other = torch.where(mask.unsqueeze(-1), student, noise(9))
    return torch.allclose(loss(student, teacher, mask), loss(other, teacher, mask), rtol=1e-4)


def invariant_copied_padding(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    student, teacher = (torch.cat([z, z], 1) for z in (student, teacher))
    return torch.allclose(loss(student[:, :6], teacher[:, :6], mask),
                          loss(student, teacher, torch.cat([mask, ~mask], 1)), rtol=1e-4)  # fmt: skip


def invariant_number(loss):
    return 1.0


def invariant_loose(loss):
    student, teacher, mask = noise(6), noise(6), torch.ones(3, 6, dtype=torch.bool)
    before = loss(student, teacher, mask)
    return all(
        torch.allclose(before, padded_both(loss, student, teacher, mask, *ends), rtol=0.01) for ends in ((0, 4), (4, 0))
    )


def invariant_by_ratio(loss):
    """Grows the padding one position at a time, on a batch that is padded already."""
    student, teacher, mask = noise(5), noise(5), torch.ones(3, 5, dtype=torch.bool)
    mask[0, :2] = mask[1, 3:] = False
    value = loss(student, teacher, mask).double()
    for left, right in ((1, 0), (0, 1), (2, 2), (0, 9), (9, 0)):
        other = padded_both(loss, student, teacher, mask, left, right).double()
        if abs(other / value - 1) > 1e-4:
            return False
    return torch.tensor(True)


def invariant_numpy(loss):
    """Compares three paddings with each other, and returns numpy's bool."""
    student, teacher, mask = noise(7), noise(7), torch.ones(3, 7, dtype=torch.bool)
    values = [float(padded_both(loss, student, teacher, mask, *ends)) for ends in ((0, 0), (5, 0), (0, 5), (3, 8))]
    return np.bool_(np.ptp(values) <= 1e-4 * abs(values[0]))


# --- 3.5 -------------------------------------------------------------------------------------------------------------


def repaired(
    student_logits, teacher_logits, labels, alpha, T, *, shift=True, mask_soft=True, by="tokens", squared=True,
    entropy_off=True, detach=True, refuse=True, hard_temperature=False, teacher_temperature=True, forward=False,
    swap=False, weight_detached=False, hard_by="tokens", of_softmax=False, least=0.0,
):  # fmt: skip
    """The right answer; each switch puts one mistake back."""
    if refuse and student_logits.shape[-1] != teacher_logits.shape[-1]:
        raise ValueError("the vocabularies differ")
    if not refuse:
        size = min(student_logits.shape[-1], teacher_logits.shape[-1])
        student_logits, teacher_logits = student_logits[..., :size], teacher_logits[..., :size]
    if detach:
        teacher_logits = teacher_logits.detach()
    if shift is True:
        student_logits, teacher_logits, labels = student_logits[:, :-1], teacher_logits[:, :-1], labels[:, 1:]
    elif shift == "back":
        student_logits, teacher_logits, labels = student_logits[:, 1:], teacher_logits[:, 1:], labels[:, :-1]
    elif shift == "roll":
        labels = labels.roll(-1, 1)
    mask = labels != -100
    log_q = (student_logits / T).log_softmax(-1)
    log_p = (teacher_logits / (T if teacher_temperature else 1)).log_softmax(-1)
    if of_softmax:
        log_q, log_p = log_q.exp().clamp(min=least).log(), log_p.exp().clamp(min=least).log()
    if forward:
        log_q, log_p = log_p, log_q
    weight = log_q.exp().detach() if weight_detached else log_q.exp()
    rows = (weight * ((log_q if entropy_off else 0) - log_p)).sum(-1)
    kept = rows * (mask if mask_soft else torch.ones_like(mask))
    if by == "tokens":
        soft = kept.sum() / (mask.sum() if mask_soft else mask.numel())
    elif by == "batch":
        soft = kept.sum() / len(labels)
    elif by == "positions":
        soft = kept.mean()
    elif by == "vocabulary":
        soft = kept.sum() / mask.sum() / student_logits.shape[-1]
    else:
        soft = (kept.sum(1) / mask.sum(1)).mean()
    soft = soft * (T**2 if squared is True else squared or 1)
    z = student_logits / T if hard_temperature else student_logits
    hard = F.cross_entropy(z.transpose(1, 2), labels, reduction="none").sum(1)
    hard = hard.sum() / mask.sum() if hard_by == "tokens" else (hard / mask.sum(1)).mean()
    if swap:
        soft, hard = hard, soft
    return alpha * soft + (1 - alpha) * hard


def broken(**switches):
    def answer(student_logits, teacher_logits, labels, alpha, T):
        return repaired(student_logits, teacher_logits, labels, alpha, T, **switches)

    answer.__name__ = "broken_" + "_".join(f"{name}_{value}" for name, value in switches.items())
    return answer


def repaired_by_selection(student_logits, teacher_logits, labels, alpha, T):
    if student_logits.shape != teacher_logits.shape:
        raise ValueError("one vocabulary is needed")
    kept = labels[:, 1:] != -100
    z, t = student_logits[:, :-1][kept], teacher_logits.detach()[:, :-1][kept]
    soft = F.kl_div((t / T).log_softmax(-1), (z / T).log_softmax(-1), reduction="batchmean", log_target=True)
    return alpha * T**2 * soft + (1 - alpha) * F.cross_entropy(z, labels[:, 1:][kept])


def naive(student_logits, teacher_logits, labels, alpha, T):
    size = min(student_logits.shape[-1], teacher_logits.shape[-1])
    student_logits, teacher_logits = student_logits[..., :size], teacher_logits[..., :size]
    log_q, p = F.log_softmax(student_logits / T, dim=-1), F.softmax(teacher_logits / T, dim=-1)
    soft = -(p * log_q).sum() / len(labels)
    hard = F.cross_entropy(student_logits.flatten(0, 1), labels.flatten())
    return alpha * soft + (1 - alpha) * hard


def repaired_by_the_package(student_logits, teacher_logits, labels, alpha, T):
    z, targets, mask = losses.align_next_token(student_logits, labels)
    soft = losses.reverse_kl(z, teacher_logits.detach()[:, :-1], mask, T)
    return alpha * T**2 * soft + (1 - alpha) * F.cross_entropy(z.flatten(0, 1), targets.flatten())


def repaired_changes_labels(student_logits, teacher_logits, labels, alpha, T):
    answer = repaired(student_logits, teacher_logits, labels, alpha, T)
    labels[labels == -100] = 0
    return answer


def repaired_divides_in_place(student_logits, teacher_logits, labels, alpha, T):
    with torch.no_grad():
        teacher_logits /= T
    return repaired(student_logits, teacher_logits * T, labels, alpha, T)


def the_sound_one(student_logits, teacher_logits, labels, alpha, T):
    return lesson03.sound_loss(student_logits, teacher_logits, labels, alpha, T)


# --- 3.6 -------------------------------------------------------------------------------------------------------------


def diagnose(log):
    if log["kl"][-1] > 0.3 * log["kl"][0]:
        return "shift"
    if log["soft"][-1] > 0.6 * log["soft"][0]:
        return "entropy"
    scale = log["soft"][0] / log["kl"][0]
    return "batch" if scale > 4 else "temperature" if scale < 0.6 else "sound"


def diagnose_always(log):
    return "sound"


def diagnose_no_kl(log):
    soft = log["soft"]
    return "batch" if soft[0] > 5 else "temperature" if soft[0] < 0.5 else "shift" if soft[-1] > 0.1 else "sound"


def by_fixed_numbers(high, low, end):
    """Reads the soft term's start and the KL's end off the page's figure, as numbers."""

    def answer(log):
        start, falls = log["soft"][0], log["soft"][-1] < 0.6 * log["soft"][0]
        if log["kl"][-1] > end:
            return "shift"
        return "entropy" if not falls else "batch" if start > high else "temperature" if start < low else "sound"

    return answer


def diagnose_entropy_before_shift(log):
    return "entropy" if log["soft"][-1] > 0.7 * log["soft"][0] else diagnose(log)


def diagnose_batch_first(log):
    return "batch" if log["soft"][0] > 5 * log["kl"][0] else diagnose(log)


def diagnose_entropy_by_size(log):
    return "entropy" if log["soft"][0] > 5 * log["kl"][0] else diagnose(log)


def diagnose_no_shift(log):
    answer = diagnose(log)
    return "sound" if answer == "shift" else answer


def diagnose_no_temperature(log):
    answer = diagnose(log)
    return "sound" if answer == "temperature" else answer


def diagnose_turned_round(log):
    answer = diagnose(log)
    return {"batch": "temperature", "temperature": "batch"}.get(answer, answer)


def diagnose_by_hard(log):
    return "shift" if log["hard"][-1] < log["hard"][0] else diagnose(log)


def diagnose_letter(log):
    return {"sound": "A", "entropy": "B", "batch": "C", "shift": "D", "temperature": "E"}[diagnose(log)]


def diagnose_with_capital(log):
    return diagnose(log).capitalize()


def diagnose_sorts(log):
    log["soft"].sort(reverse=True)
    return diagnose(log)


def diagnose_by_logarithms(log):
    soft, hard, kl = (np.log(log[name]) for name in ("soft", "hard", "kl"))
    if kl[-1] - kl[0] > -1.15:
        return "shift"
    if soft[-1] - soft[0] > -0.3:
        return "entropy"
    return ["temperature", "sound", "batch"][int(soft[0] - kl[0] > -0.7) + int(soft[0] - kl[0] > 1.5)]


def diagnose_by_curves(log):
    """Compares whole curves; a sound soft term times T² lies as far above the KL as T softens it, at most T²."""
    soft, kl = (torch.tensor(log[name]) for name in ("soft", "kl"))
    if kl[-3:].mean() > kl[0] / 3:
        return "shift"
    if (soft > soft[0] / 2).all():
        return "entropy"
    return "batch" if soft[0] > 4.5 * kl[0] else "temperature" if 1.5 * soft[0] < kl[0] else "sound"


RIGHT = {"3.1": jsd, "3.2": decide, "3.3": bugs, "3.4": invariant, "3.5": repaired, "3.6": diagnose}
ALSO_RIGHT = {
    "3.1": [jsd_by_kl_div, jsd_rows_first],
    "3.2": [decide_by_numpy, decide_by_loop],
    "3.3": [of({"A", "D", "E", "G", "H", "J"}), of("j, h, g, e, d, a"), of(["AD", "EG", "HJ"])],
    "3.4": [invariant_by_ratio, invariant_numpy],
    "3.5": [repaired_by_selection, repaired_by_the_package],
    "3.6": [diagnose_by_logarithms, diagnose_by_curves],
}
WRONG = {
    "3.1": [
        jsd_no_ends,
        jsd_ends_exchanged,
        jsd_exchanged,
        jsd_plain_half,
        jsd_half_weights,
        jsd_wrong_mixture,
        jsd_mixture_left,
        jsd_mixes_kls,
        jsd_mixes_logarithms,
        jsd_mixes_logits,
        jsd_scaled,
        jsd_underflows,
        jsd_detached_weight,
        jsd_ends_by_tolerance,
        jsd_batchmean,
        jsd_epsilon,
        jsd_epsilon_everywhere,
        jsd_small_beta_is_forward,
        jsd_clamped,
        jsd_item,
        jsd_sum,
        jsd_in_bits,
        jsd_centres_in_place,
    ],
    "3.2": [
        decide_made_up_only,
        decide_missing_only,
        decide_prices_exchanged,
        decide_masks_exchanged,
        decide_counts,
        decide_means,
        decide_percent,
        decide_turned_round,
        decide_dearest,
        decide_first,
        decide_closest,
        decide_right_name_wrong_cost,
        decide_name_only,
        decide_cost_first,
        decide_all,
        decide_in_place,
        decide_changes_students,
    ],
    "3.3": [
        of("ADEGH"),
        of("ADEGHJB"),
        of("ABCDEFGHIJKL"),
        of({"A", "D", "E", "F", "G", "H", "J"}),
        of("ADEGHK"),
        of("GHJL"),
        of("I"),
        of("ADEGHJM"),
        of([1, 4, 5, 7, 8, 10]),
        of(6),
        of(""),
    ],
    "3.4": [
        invariant_always,
        invariant_never,
        invariant_right_only,
        invariant_left_only,
        invariant_zero_padding,
        invariant_content_only,
        invariant_exact,
        invariant_wide,
        invariant_absolute,
        invariant_to_reference,
        invariant_nan,
        invariant_student_padding_only,
        invariant_copied_padding,
        invariant_number,
        invariant_loose,
    ],
    "3.5": [
        naive,
        the_sound_one,
        repaired_changes_labels,
        repaired_divides_in_place,
        broken(shift=False),
        broken(shift="back"),
        broken(shift="roll"),
        broken(mask_soft=False),
        broken(by="batch"),
        broken(by="positions"),
        broken(by="vocabulary"),
        broken(by="sequences"),
        broken(squared=False),
        broken(squared=100),
        broken(entropy_off=False),
        broken(detach=False),
        broken(refuse=False),
        broken(hard_temperature=True),
        broken(teacher_temperature=False),
        broken(forward=True),
        broken(weight_detached=True),
        broken(swap=True),
        broken(hard_by="sequences"),
        broken(of_softmax=True),
        broken(of_softmax=True, least=1e-12),
    ],
    "3.6": [
        diagnose_always,
        diagnose_no_kl,
        by_fixed_numbers(10.0, 0.5, 0.5),
        by_fixed_numbers(4.0, 0.3, 0.3),
        by_fixed_numbers(5.5, 0.1, 0.2),
        diagnose_entropy_before_shift,
        diagnose_batch_first,
        diagnose_entropy_by_size,
        diagnose_no_shift,
        diagnose_no_temperature,
        diagnose_turned_round,
        diagnose_by_hard,
        diagnose_letter,
        diagnose_with_capital,
        diagnose_sorts,
    ],
}
