"""Right and plausible wrong answers to the exercises of lesson 03."""

import math

import torch
import torch.nn.functional as F

# --- 3.1 -------------------------------------------------------------------------------------------------------------


def reverse(student_logits, teacher_logits):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_q.exp() * (log_q - log_p)).sum(-1).mean()


def reverse_hides_nan(student_logits, teacher_logits):
    q = student_logits.softmax(-1)
    terms = torch.where(q > 0, q * (q.log() - teacher_logits.log_softmax(-1)), 0.0)
    return terms.sum(-1).mean()


def reverse_forward(student_logits, teacher_logits):
    return reverse(teacher_logits, student_logits)


def reverse_arguments_of_kl_div(student_logits, teacher_logits):
    rows = F.kl_div(student_logits.log_softmax(-1), teacher_logits.softmax(-1), reduction="none")
    return rows.sum(-1).mean()


def reverse_mean_over_classes(student_logits, teacher_logits):
    return F.kl_div(teacher_logits.log_softmax(-1), student_logits.softmax(-1))


def reverse_batchmean(student_logits, teacher_logits):
    return F.kl_div(teacher_logits.log_softmax(-1), student_logits.softmax(-1), reduction="batchmean")


def reverse_sum(student_logits, teacher_logits):
    return F.kl_div(teacher_logits.log_softmax(-1), student_logits.softmax(-1), reduction="sum")


def reverse_cross_entropy(student_logits, teacher_logits):
    return -(student_logits.softmax(-1) * teacher_logits.log_softmax(-1)).sum(-1).mean()


def reverse_sign(student_logits, teacher_logits):
    return -reverse(student_logits, teacher_logits)


def reverse_bits(student_logits, teacher_logits):
    return reverse(student_logits, teacher_logits) / math.log(2)


def reverse_underflows(student_logits, teacher_logits):
    q, p = student_logits.softmax(-1), teacher_logits.softmax(-1)
    return (q * (q.log() - p.log())).sum(-1).mean()


def reverse_clamped(student_logits, teacher_logits):
    q, p = student_logits.softmax(-1).clamp(min=1e-9), teacher_logits.softmax(-1).clamp(min=1e-9)
    return (q * (q.log() - p.log())).sum(-1).mean()


def reverse_detached(student_logits, teacher_logits):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_q.exp().detach() * (log_q - log_p)).sum(-1).mean()


def reverse_item(student_logits, teacher_logits):
    return reverse(student_logits, teacher_logits).item()


def reverse_on_logits(student_logits, teacher_logits):
    return (student_logits.softmax(-1) * (student_logits - teacher_logits)).sum(-1).mean()


# --- 3.2 -------------------------------------------------------------------------------------------------------------


def rows_of(student_logits, teacher_logits):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def masked(student_logits, teacher_logits, mask):
    return rows_of(student_logits[mask], teacher_logits[mask]).mean()


def masked_over_everything(student_logits, teacher_logits, mask):
    return rows_of(student_logits, teacher_logits).mean()


def masked_divides_by_all(student_logits, teacher_logits, mask):
    return (rows_of(student_logits, teacher_logits) * mask).mean()


def masked_divides_by_batch(student_logits, teacher_logits, mask):
    return (rows_of(student_logits, teacher_logits) * mask).sum() / len(mask)


def masked_zeroes_logits(student_logits, teacher_logits, mask):
    keep = mask.unsqueeze(-1)
    return rows_of(student_logits * keep, teacher_logits * keep).mean()


def masked_each_sequence(student_logits, teacher_logits, mask):
    return ((rows_of(student_logits, teacher_logits) * mask).sum(1) / mask.sum(1)).mean()


def masked_multiplies(student_logits, teacher_logits, mask):
    return (rows_of(student_logits, teacher_logits) * mask).sum() / mask.sum()


def masked_kl_div_mean(student_logits, teacher_logits, mask):
    return F.kl_div(student_logits[mask].log_softmax(-1), teacher_logits[mask].softmax(-1))


def masked_reverse(student_logits, teacher_logits, mask):
    return masked(teacher_logits, student_logits, mask)


def masked_cross_entropy(student_logits, teacher_logits, mask):
    return F.cross_entropy(student_logits[mask], teacher_logits[mask].softmax(-1))


def masked_by_length(student_logits, teacher_logits, mask):
    parts = [rows_of(s[:n], t[:n]) for s, t, n in zip(student_logits, teacher_logits, mask.sum(1))]
    return torch.cat(parts).mean()


def masked_inverted(student_logits, teacher_logits, mask):
    return masked(student_logits, teacher_logits, ~mask)


def masked_shifted(student_logits, teacher_logits, mask):
    return masked(student_logits[:, :-1], teacher_logits[:, :-1], mask[:, 1:])


def masked_where(student_logits, teacher_logits, mask):
    return torch.where(mask, rows_of(student_logits, teacher_logits), 0.0).sum() / mask.sum()


def masked_rows_afterwards(student_logits, teacher_logits, mask):
    return rows_of(student_logits, teacher_logits)[mask].mean()


def masked_nan_to_num(student_logits, teacher_logits, mask):
    return (rows_of(student_logits, teacher_logits).nan_to_num() * mask).sum() / mask.sum()


def masked_filled_first(student_logits, teacher_logits, mask):
    student_logits, teacher_logits = (z.masked_fill(~mask.unsqueeze(-1), 0.0) for z in (student_logits, teacher_logits))
    return rows_of(student_logits, teacher_logits).sum() / mask.sum()


# --- 3.3 -------------------------------------------------------------------------------------------------------------


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


# --- 3.4 -------------------------------------------------------------------------------------------------------------


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


# --- 3.5 -------------------------------------------------------------------------------------------------------------


def repaired(
    student_logits, teacher_logits, labels, alpha, T, *, shift=True, mask_soft=True, by="tokens", squared=True,
    entropy_off=True, detach=True, refuse=True, hard_temperature=False, teacher_temperature=True, reverse=False,
    swap=False, hard_by="tokens", of_softmax=False, least=0.0,
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
    if reverse:
        log_q, log_p = log_p, log_q
    rows = (log_p.exp() * ((log_p if entropy_off else 0) - log_q)).sum(-1)
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
    soft = F.kl_div((z / T).log_softmax(-1), (t / T).log_softmax(-1), reduction="batchmean", log_target=True)
    return alpha * T**2 * soft + (1 - alpha) * F.cross_entropy(z, labels[:, 1:][kept])


def naive(student_logits, teacher_logits, labels, alpha, T):
    size = min(student_logits.shape[-1], teacher_logits.shape[-1])
    student_logits, teacher_logits = student_logits[..., :size], teacher_logits[..., :size]
    log_q, p = F.log_softmax(student_logits / T, dim=-1), F.softmax(teacher_logits / T, dim=-1)
    soft = F.kl_div(log_q, p, reduction="batchmean")
    hard = F.cross_entropy(student_logits.flatten(0, 1), labels.flatten())
    return alpha * soft + (1 - alpha) * hard


RIGHT = {"3.1": reverse, "3.2": masked, "3.3": invariant, "3.4": jsd, "3.5": repaired}
ALSO_RIGHT = {"3.2": [masked_filled_first], "3.4": [jsd_by_kl_div], "3.5": [repaired_by_selection]}
WRONG = {
    "3.1": [
        reverse_hides_nan,
        reverse_forward,
        reverse_arguments_of_kl_div,
        reverse_mean_over_classes,
        reverse_batchmean,
        reverse_sum,
        reverse_cross_entropy,
        reverse_sign,
        reverse_bits,
        reverse_underflows,
        reverse_clamped,
        reverse_detached,
        reverse_item,
        reverse_on_logits,
    ],
    "3.2": [
        masked_over_everything,
        masked_divides_by_all,
        masked_divides_by_batch,
        masked_zeroes_logits,
        masked_each_sequence,
        masked_multiplies,
        masked_kl_div_mean,
        masked_reverse,
        masked_cross_entropy,
        masked_by_length,
        masked_inverted,
        masked_shifted,
        masked_where,
        masked_rows_afterwards,
        masked_nan_to_num,
    ],
    "3.3": [
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
    ],
    "3.4": [
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
    ],
    "3.5": [
        naive,
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
        broken(reverse=True),
        broken(swap=True),
        broken(hard_by="sequences"),
        broken(of_softmax=True),
        broken(of_softmax=True, least=1e-12),
    ],
}
