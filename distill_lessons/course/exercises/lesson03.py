"""Checks of lesson 03, loss functions."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from distill_lessons.course.exercises import Wrong, close, number

IGNORE = -100


def _kl_rows(z_p, z_q, temperature=1.0):
    """KL(p ‖ q) of each row, in float64."""
    log_p, log_q = (z.detach().double().div(temperature).log_softmax(-1) for z in (z_p, z_q))
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _gradient(function, *tensors):
    """The value and its gradient in the first tensor; `Wrong` if there is none."""
    first = tensors[0].detach().clone().requires_grad_()
    value = function(first, *tensors[1:])
    number(value)
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        raise Wrong("Your loss has no gradient in the student's logits: return a tensor, without item() or no_grad().")
    value.backward()
    return value.detach(), first.grad


def _random(low, high):
    return low + (high - low) * torch.rand(()).item()


def check_reverse_kl(reverse_kl):
    """3.1: KL(student ‖ teacher) in nats, mean over rows, from logits."""
    student, teacher = 2 * torch.randn(2, 5, 13)
    expected = _kl_rows(student, teacher).mean()
    answer = number(reverse_kl(student.clone(), teacher.clone()))
    if not close(answer, expected):
        told = f"For five rows {expected:.4f} nats were expected, and this came: {answer:.4f}. "
        if close(answer, _kl_rows(teacher, student).mean()):
            raise Wrong(told + "That is the forward KL: here the student's q is the weight in front. (hint 1)")
        if close(answer, expected / math.log(2)):
            raise Wrong(told + "That is in bits: a nat is counted with the natural logarithm.")
        if close(answer, -expected):
            raise Wrong(told + "The sign is turned round: log q − log p, not log p − log q. (hint 1)")
        if close(answer, expected * 5):
            raise Wrong(told + "You sum over the rows: take the mean of the five. (hint 2)")
        if close(answer, expected / 13):
            raise Wrong(told + "A mean over all entries also divides by the 13 classes: sum over classes. (hint 2)")
        if close(answer, expected + torch.special.entr(student.double().softmax(-1)).sum(-1).mean()):
            raise Wrong(
                told + "That is a cross-entropy, too large by the student's entropy: log q is missing. (hint 1)"
            )
        raise Wrong(told + "Softmax both, then sum q (log q − log p) over the last axis. (hints 1 and 2)")
    same = number(reverse_kl(student.clone(), student.clone()))
    if abs(same) > 1e-4:
        raise Wrong(f"KL of a distribution to itself is 0, and yours is {same:.4f}. (hint 1)")
    batch = torch.randn(2, 3, 4, 7)
    if not close(number(reverse_kl(batch[0].clone(), batch[1].clone())), _kl_rows(batch[0], batch[1]).mean()):
        raise Wrong(
            "Logits of shape [3, 4, 7] hold twelve distributions: sum over the last axis, then take the mean of all "
            "twelve. reduction='batchmean' divides by 3. (hint 2)"
        )
    large = torch.tensor([[120.0, 0.0, -60.0], [0.0, 150.0, 10.0]])
    teacher = torch.tensor([[0.0, 100.0, 0.0], [3.0, 0.0, -130.0]])
    answer, expected = float(reverse_kl(large.clone(), teacher.clone())), _kl_rows(large, teacher).mean()
    if not close(answer, expected, 1e-3):
        raise Wrong(
            f"Logits as large as ±150 should give {expected:.1f} nats, and yours give {answer}: a probability underflows to 0 "
            "and its logarithm is −inf. Take log_softmax of the logits. (hint 2)"
        )
    if not torch.isfinite(_gradient(reverse_kl, large, teacher)[1]).all():
        raise Wrong(
            "For logits as large as ±150 the value is right and its gradient is NaN: what torch.where hides going forward "
            "comes back going backward. Take log_softmax of the logits, never the log of a probability. (hint 2)"
        )
    student, teacher = torch.randn(2, 5, 13)
    right = student.clone().requires_grad_()
    log_q = right.log_softmax(-1)
    (log_q.exp() * (log_q - teacher.log_softmax(-1))).sum(-1).mean().backward()
    _, slope = _gradient(reverse_kl, student, teacher)
    if not close(slope, right.grad, 1e-4):
        raise Wrong(
            "The value is right, but its gradient is not: q stands in front of the bracket and inside it, and the "
            "gradient must go through both. Do you detach one? (hint 1)"
        )


def check_masked_kl(masked_kl):
    """3.2: forward KL, mean over the positions that count, whatever stands elsewhere."""
    student, teacher = 2 * torch.randn(2, 3, 9, 11)
    lengths = torch.tensor([9, 2, 5])[torch.randperm(3)]
    mask = torch.arange(9) < lengths[:, None]
    rows = _kl_rows(teacher, student)
    expected = rows[mask].mean()
    arguments = student, teacher, mask
    answer = number(masked_kl(*(tensor.clone() for tensor in arguments)))
    if not close(answer, expected):
        told = f"16 of 27 positions count, their mean is {expected:.4f} nats, and this came: {answer:.4f}. "
        entropy = torch.special.entr(teacher.double().softmax(-1)).sum(-1)[mask].mean()
        per_row = torch.stack([row[m].mean() for row, m in zip(rows, mask)]).mean()
        candidates = (
            (rows.mean(), "You take the mean over all positions, padding too. (hint 1)"),
            ((rows * mask).mean(), "You leave padding out of the sum, but divide by all 27 positions. (hint 1)"),
            (
                (rows * mask).sum() / 3,
                "You divide by the three sequences: divide by the positions that count. (hint 1)",
            ),
            ((rows * mask).sum(), "You sum over the positions: divide by the number that count. (hint 1)"),
            (per_row, "You average each sequence first, so that a token of a short one weighs more. (hint 1)"),
            (expected / 11, "A mean over all entries also divides by the 11 tokens of the vocabulary. (hint 2)"),
            (_kl_rows(student, teacher)[mask].mean(), "That is the reverse KL: the teacher's p stands in front."),
            (expected + entropy, "That is a cross-entropy, too large by the teacher's entropy: log p is missing."),
        )
        for value, words in candidates:
            if close(answer, value):
                raise Wrong(told + words)
        raise Wrong(told + "One KL for each position first, then the mean of those with mask True. (hints 1 and 2)")
    slope = _gradient(masked_kl, *arguments)[1]
    q, p = student.softmax(-1), teacher.softmax(-1)
    if not close(slope, (q - p) * mask.unsqueeze(-1) / mask.sum(), 1e-5):
        raise Wrong(
            "The value is right but the gradient is not (q − p) over the number that count. Is a part detached?"
        )
    left = mask.flip(1)
    if not close(number(masked_kl(student.clone(), teacher.clone(), left)), rows[left].mean()):
        raise Wrong("With padding on the left the value is wrong: use the mask itself, not lengths. (hint 2)")
    hostile = [z.masked_fill(~mask.unsqueeze(-1), float("nan")) for z in (student, teacher)]
    answer = float(masked_kl(*hostile, mask))
    if not close(answer, expected):
        raise Wrong(
            f"With NaN in the logits of padded positions the value must stay {expected:.4f}, and yours is {answer}: "
            "0 · NaN is NaN. Pick the positions that count instead of multiplying. (hint 2)"
        )
    slope = _gradient(masked_kl, *hostile, mask)[1]
    if not torch.isfinite(slope).all():
        raise Wrong(
            "With NaN at padding the value is right, but its gradient is NaN: torch.where or kl[mask] hide a NaN going "
            "forward, not going back. Pick logits[mask] before the softmax. (hint 2)"
        )
    if not close(slope, (q - p) * mask.unsqueeze(-1) / mask.sum(), 1e-5):
        raise Wrong(
            "With NaN at padding the value is right, but its gradient is not the one without NaN. Pick logits[mask] before "
            "the softmax. (hint 2)"
        )


# --- 3.3: losses that a property test must tell apart -------------------------------------------------------------------


def _rows(student_logits, teacher_logits):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _mean_of_sequences(s, t, m):
    return ((_rows(s, t) * m).sum(1) / m.sum(1).clamp(min=1)).mean()


def _with_rounding(s, t, m):
    return _rows(s, t)[m].mean() * (1 + 2e-7 * torch.randn(()))


def _zeroed_logits(s, t, m):
    return _rows(s * m.unsqueeze(-1), t * m.unsqueeze(-1)).mean()


def _student_zeroed(s, t, m):
    return _rows(s * m.unsqueeze(-1), t).sum() / m.sum()


def _first_always(s, t, m):
    m = m.clone()
    m[:, 0] = True
    return (_rows(s, t) * m).sum() / m.sum()


def _last_always(s, t, m):
    m = m.clone()
    m[:, -1] = True
    return (_rows(s, t) * m).sum() / m.sum()


def _weak_leak(s, t, m):
    weight = m + 0.02 * ~m
    return (_rows(s, t) * weight).sum() / m.sum()


INVARIANT = {  # padding may hold anything finite, on either side
    "the mean over the positions that count": lambda s, t, m: _rows(s, t)[m].mean(),
    "the masked sum over the count": lambda s, t, m: (_rows(s, t) * m).sum() / m.sum(),
    "the masked sum over the number of sequences": lambda s, t, m: (_rows(s, t) * m).sum() / len(m),
    "the mean of each sequence's own mean": _mean_of_sequences,
    "a reverse KL over the positions that count": lambda s, t, m: _rows(t, s)[m].mean(),
    "a mean that rounds in the seventh digit": _with_rounding,
    "a small loss, a hundredth of the masked mean": lambda s, t, m: 0.01 * _rows(s, t)[m].mean(),
}
LEAKS = {
    "a mean over all positions": lambda s, t, m: _rows(s, t).mean(),
    "a sum over all positions": lambda s, t, m: _rows(s, t).sum(),
    "batchmean over all positions": lambda s, t, m: _rows(s, t).sum() / len(m),
    "a masked sum that divides by all positions": lambda s, t, m: (_rows(s, t) * m).mean(),
    "all positions over the number that count": lambda s, t, m: _rows(s, t).sum() / m.sum(),
    "zeroed logits at padding, mean over all": _zeroed_logits,
    "only the student's logits zeroed at padding": _student_zeroed,
    "the first position always counted": _first_always,
    "the last position always counted": _last_always,
    "padding counted with a weight of 0.02": _weak_leak,
    "a small leak, a hundredth of the mean over all": lambda s, t, m: 0.01 * _rows(s, t).mean(),
}
CATCHES = {
    "a mean over all positions": "Is what you add fresh random numbers, and is your tolerance tight?",
    "a masked sum that divides by all positions": "Does your test add padded positions, or only change what is in them?",
    "zeroed logits at padding, mean over all": "Does your test add padded positions, or only change what is in them?",
    "a sum over all positions": "Does student differ from teacher at the padding that you add? If both are 0, their KL is 0.",
    "batchmean over all positions": "Does student differ from teacher at the padding that you add?",
    "all positions over the number that count": "Does student differ from teacher at the padding that you add?",
    "only the student's logits zeroed at padding": "Is the teacher's padding random too?",
    "the first position always counted": "Do you also pad on the left?",
    "the last position always counted": "Do you also pad on the right?",
    "padding counted with a weight of 0.02": "Is your tolerance too wide?",
    "a small leak, a hundredth of the mean over all": "A tolerance must be relative to the loss: this one is small.",
}


def check_property_test(is_padding_invariant):
    """3.3: a function that says whether a loss ignores padding."""
    for name, loss in INVARIANT.items():
        # Asked four times: an exact comparison can come out equal by chance.
        if not all(_yes_or_no(is_padding_invariant(loss)) for _ in range(4)):
            raise Wrong(
                f"You say False for a loss that ignores padding: {name}. Compare one loss with itself, before and "
                "after padding, with a relative tolerance such as 1e-4, and put finite numbers at padding. (hint 1)"
            )
    for name, loss in LEAKS.items():
        # Asked twice: a mean over all positions can stay the same by chance, once in a thousand times.
        if _yes_or_no(is_padding_invariant(loss)) and _yes_or_no(is_padding_invariant(loss)):
            raise Wrong(f"You say True for a loss that depends on padding: {name}. {CATCHES[name]} (hint 2)")


def _yes_or_no(answer):
    if isinstance(answer, torch.Tensor) and answer.numel() == 1 and answer.dtype == torch.bool:
        return bool(answer)
    if not isinstance(answer, (bool, np.bool_)):
        raise Wrong(f"True or False was expected, and this came: {answer!r}. Return one bool.")
    return bool(answer)


def _jsd(student, teacher, beta):
    q, p = student.double().softmax(-1), teacher.double().softmax(-1)
    if beta in (0, 1):
        return (_kl_rows(teacher, student) if beta == 0 else _kl_rows(student, teacher)).mean()
    m = beta * p + (1 - beta) * q
    return (beta * p * (p / m).log() + (1 - beta) * q * (q / m).log()).sum(-1).mean()


def check_jsd(jsd):
    """3.4: generalised JSD with both ends."""
    student, teacher = 2 * torch.randn(2, 4, 3, 10)
    beta = _random(0.15, 0.35)
    expected = _jsd(student, teacher, beta)
    answer = number(jsd(student.clone(), teacher.clone(), beta))
    if not close(answer, expected):
        told = f"For beta={beta:.2f} the value should be {expected:.4f} nats, and this came: {answer:.4f}. "
        q, p = student.double().softmax(-1), teacher.double().softmax(-1)
        m = beta * p + (1 - beta) * q
        other = (1 - beta) * p + beta * q
        left, right = (p * (p / m).log()).sum(-1).mean(), (q * (q / m).log()).sum(-1).mean()
        reverse = (beta * m * (m / p).log() + (1 - beta) * m * (m / q).log()).sum(-1).mean()
        far = (beta * p * (p / other).log() + (1 - beta) * q * (q / other).log()).sum(-1).mean()
        candidates = (
            (_jsd(student, teacher, 1 - beta), "You exchange p and q, or beta and 1 − beta. (hint 1)"),
            (_jsd(student, teacher, 0.5), "That is beta = 0.5: beta is not used. (hint 1)"),
            ((left + right) / 2, "The mixture uses beta, the two weights in front do not. (hint 1)"),
            (far, "The mixture has beta and 1 − beta the wrong way round: m = beta p + (1 − beta) q. (hint 1)"),
            (reverse, "You measure KL(m ‖ p) and KL(m ‖ q): the mixture belongs on the right of the bar. (hint 1)"),
            (beta * _kl_rows(teacher, student).mean() + (1 - beta) * _kl_rows(student, teacher).mean(),
             "You mix the two KLs: each must be compared with the mixture m, not with the other. (hint 1)"),
            (beta * _kl_rows(student, teacher).mean() + (1 - beta) * _kl_rows(teacher, student).mean(),
             "You mix the two KLs: each must be compared with the mixture m, not with the other. (hint 1)"),
            (expected / min(beta, 1 - beta), "Nothing is divided by beta: between the ends it is the plain formula."),
            (expected / 10, "A mean over all entries also divides by the ten classes."),
            (expected * 12, "Mean over the twelve rows, not the sum."),
            (expected * 3, "reduction='batchmean' divides by the first axis only: mean over all twelve rows."),
        )  # fmt: skip
        for value, words in candidates:
            if close(answer, value):
                raise Wrong(told + words)
        q, p = student.softmax(-1).double(), teacher.softmax(-1).double()
        log_m = beta * p.log() + (1 - beta) * q.log()
        bad = (beta * p * (p.log() - log_m) + (1 - beta) * q * (q.log() - log_m)).sum(-1).mean()
        if close(answer, bad):
            raise Wrong(told + "You mix the logarithms: m is a mixture of probabilities. (hint 1)")
        raise Wrong(told + "m = beta p + (1 − beta) q, then beta KL(p‖m) + (1 − beta) KL(q‖m). (hint 1)")
    for end, name, other in ((0, "forward", "reverse"), (1, "reverse", "forward")):
        expected = _jsd(student, teacher, end)
        answer = float(jsd(student.clone(), teacher.clone(), end))
        if not close(answer, expected):
            told = f"beta={end} should give the {name} KL, {expected:.4f} nats, and yours gives {answer:.4f}. "
            if abs(answer) < 1e-4:
                raise Wrong(told + "The formula is 0 there; the convention needs a branch of its own. (hint 2)")
            if close(answer, _jsd(student, teacher, 1 - end)):
                raise Wrong(told + f"That is the {other} KL: the two ends are exchanged. (hint 2)")
            raise Wrong(told + "The ends need a branch of their own. (hint 2)")
        answer = float(jsd(student.clone(), teacher.clone(), float(end)))
        if not close(answer, expected):
            raise Wrong(f"beta={float(end)} as a float should give what beta={end} gives, and does not. (hint 2)")
    for beta in (0.01, 0.99):
        if not close(float(jsd(student.clone(), teacher.clone(), beta)), _jsd(student, teacher, beta), 1e-5):
            raise Wrong(
                f"beta={beta} should follow the formula ({_jsd(student, teacher, beta):.4f} nats): only 0 and 1 "
                "themselves are special, and nothing is divided by beta. (hint 2)"
            )
    same = float(jsd(student.clone(), student.clone(), 0.5))
    if abs(same) > 1e-5:
        raise Wrong(f"The JSD of a distribution to itself is 0, and yours is {same:.5f}. (hint 1)")
    large = torch.tensor([[300.0, 0.0, -300.0]])
    answer = float(jsd(large, large.flip(-1), 0.5))
    if not close(answer, math.log(2), 1e-3):
        raise Wrong(
            f"Two models that are each sure of another token have a JSD of log 2 = 0.693 at beta=0.5, and yours is "
            f"{answer}: probabilities underflow to 0. Work with log_softmax and logaddexp. (hint 3)"
        )
    large = torch.tensor([[[120.0, 0.0, -60.0], [0.0, 150.0, 10.0]], [[0.0, 100.0, 0.0], [3.0, 0.0, -130.0]]])
    for end in (0, 1):
        answer, expected = float(jsd(large[0].clone(), large[1].clone(), end)), _jsd(large[0], large[1], end)
        if not close(answer, expected, 1e-3):
            raise Wrong(
                f"For logits as large as ±150, beta={end} should give {expected:.1f} nats, and yours gives {answer}: a "
                "probability underflows to 0, or an epsilon caps its logarithm. Work with log_softmax. (hint 3)"
            )
        if not torch.isfinite(_gradient(lambda s, t, b=end: jsd(s, t, b), *large)[1]).all():
            raise Wrong(
                f"For logits as large as ±150, beta={end} gives the right value, and a gradient of NaN: what torch.where "
                "hides going forward comes back going backward. Work with log_softmax. (hint 3)"
            )
    teacher_wide, noise = torch.randn(2, 2, 50_000)  # probabilities of about 1/50,000, and models that nearly agree
    student_wide = teacher_wide + 0.5 * noise
    for beta in (0.3, 0.7):
        expected = _jsd(student_wide, teacher_wide, beta).item()
        answer = float(jsd(student_wide.clone(), teacher_wide.clone(), beta))
        if not abs(answer - expected) <= 1e-4 * expected:
            raise Wrong(
                f"With 50,000 tokens the value should be {expected:.6f} nats, and yours is {answer:.6f}. An epsilon inside "
                "the logarithm is not small beside probabilities of 1/50,000: use log_softmax and logaddexp. (hint 3)"
            )
    beta = _random(0.6, 0.8)
    right = student.clone().requires_grad_()
    log_q, log_p = right.log_softmax(-1), teacher.log_softmax(-1)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
    value = beta * (log_p.exp() * (log_p - log_m)).sum(-1) + (1 - beta) * (log_q.exp() * (log_q - log_m)).sum(-1)
    value.mean().backward()
    _, slope = _gradient(lambda s, t: jsd(s, t, beta), student, teacher)
    if not close(slope, right.grad, 1e-5):
        raise Wrong(
            "The value is right, but its gradient is not: q weighs its own terms, and the gradient must go through that "
            "weight too. Is a part detached?"
        )


# --- 3.5: the repaired loss -----------------------------------------------------------------------------------------------


def _batch(vocabulary=12, rows=4, length=14, scale=2.0):
    """Student and teacher logits, and labels with a prompt and padding of -100."""
    student, teacher = scale * torch.randn(2, rows, length, vocabulary)
    labels = torch.randint(0, vocabulary, (rows, length))
    for row in range(rows):
        start = int(torch.randint(1, 4, ()))
        stop = (start + 2, length - 1, start + 6, length)[row % 4]
        labels[row, : 0 if row % 4 == 3 else start] = IGNORE  # the last row has no prompt
        labels[row, stop:] = IGNORE
    return student, teacher, labels


def _right(student, teacher, labels, alpha, temperature):
    student, teacher, labels = student[:, :-1].double(), teacher[:, :-1].double(), labels[:, 1:]
    mask = labels != IGNORE
    soft = temperature**2 * _kl_rows_grad(teacher[mask], student[mask], temperature).mean()
    hard = F.cross_entropy(student[mask], labels[mask])
    return alpha * soft + (1 - alpha) * hard


def _kl_rows_grad(z_p, z_q, temperature):
    log_p, log_q = (z_p / temperature).log_softmax(-1), (z_q / temperature).log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def check_repaired(loss):
    """3.5: the naive loss, repaired; every message names the property that fails."""
    student, teacher, labels = _batch()
    temperature, alpha = _random(1.8, 3.5), _random(0.3, 0.7)
    call = lambda s, t, y, a=alpha, T=temperature: loss(s.clone(), t.clone(), y.clone(), a, T)  # noqa: E731
    _gradient(call, student, teacher, labels)  # must be a differentiable number

    itself = number(call(teacher, teacher, labels, 1.0))
    if close(itself, _right(teacher, teacher, labels, 0.0, 1.0)):
        raise Wrong("With alpha=1 your loss is the hard one: alpha weighs the soft part, 1 − alpha the hard. (hint 4)")
    if abs(itself) > 1e-4:
        raise Wrong(
            f"Property KL(p‖p) = 0 fails: with alpha=1 and student = teacher your loss is {itself:.4f}, not 0. Three usual "
            "causes: log p is missing from the sum (hint 1), student and teacher are shifted differently (hint 2), or T "
            "divides only one of them (hint 4)."
        )
    perfect = torch.zeros(4, 14, 12)
    following = labels.roll(-1, dims=1).clamp(min=0)
    following[:, -1] = (labels[:, 0].clamp(min=0) + 5) % 12  # nothing follows the last token
    perfect.scatter_(2, following.unsqueeze(-1), 40.0)
    value = number(call(perfect, perfect, labels, 0.0))
    if abs(value) > 1e-3:
        raise Wrong(
            f"Property shift fails: a student that predicts every next token perfectly has a hard loss of {value:.2f}, "
            "not 0. Position t speaks about token t + 1: logits[:, :-1] meets labels[:, 1:]. (hint 2)"
        )
    for part, name in ((1.0, "soft"), (0.0, "hard"), (alpha, "whole")):
        value = number(call(student, teacher, labels, part))
        shuffled = [z.clone() for z in (student, teacher)]
        off = torch.ones(labels.shape, dtype=torch.bool)
        off[:, :-1] = labels[:, 1:] == IGNORE
        for z in shuffled:
            z[off] = 3 * torch.randn(int(off.sum()), 12)
        changed = number(call(*shuffled, labels, part))
        if not close(value, changed):
            raise Wrong(
                f'Property "prompt and padding do not count" fails: other logits at positions without a label changed '
                f"the {name} part from {value:.4f} to {changed:.4f}. The soft part needs the mask labels != -100 too, "
                "after the shift. (hint 2)"
            )
        longer = [torch.cat([z, 2 * torch.randn(4, 5, 12)], 1) for z in (student, teacher)]
        padded = number(call(*longer, torch.cat([labels, torch.full((4, 5), IGNORE)], 1), part))
        if not close(value, padded):
            raise Wrong(
                f"Property padding-invariant fails: five padded positions more changed the {name} part from "
                f"{value:.4f} to {padded:.4f}. Divide by the positions that count. (hint 2)"
            )
    first = torch.cat([torch.full((4, 1), IGNORE), torch.randint(0, 12, (4, 8))], 1)
    s, t = 2 * torch.randn(2, 4, 9, 12)
    s[:, -1], t[:, -1] = s[:, 0], t[:, 0]
    again = [torch.cat([z[:, :-1].repeat(1, 3, 1), z[:, -1:]], 1) for z in (s, t)]
    labels_again = torch.cat([first[:, :1], first[:, 1:].repeat(1, 3)], 1)
    value = number(call(s, t, first, 1.0))
    long = number(call(*again, labels_again, 1.0))
    if not close(value, long):
        raise Wrong(
            f'Property "scale independent of length" fails: the same answer three times over is {long / value:.2f} '
            "times the soft loss. Divide by tokens, not by sequences: batchmean divides by the batch only. (hint 3)"
        )
    for part, name in ((1.0, "soft"), (0.0, "hard")):
        _, whole = _gradient(lambda z, part=part: call(z, teacher, labels, part), student)
        valid = (labels[:, 1:] != IGNORE).sum(1)
        pieces = torch.zeros_like(whole)
        for rows in ([0], [1, 2], [3]):
            share = valid[rows].sum() / valid.sum()
            _, slope = _gradient(
                lambda z, rows=rows, part=part: call(z, teacher[rows], labels[rows], part), student[rows]
            )
            pieces[rows] += share * slope
        if not close(pieces, whole, 1e-5):
            raise Wrong(
                f'Property "any split into micro-batches" fails for the {name} part: gradients of the pieces, weighted '
                "by their number of answer tokens, do not add up to that of the batch. Every token of the batch must "
                "weigh the same. (hint 3)"
            )
    one, ten = (
        _gradient(lambda z, T=T: call(z, teacher / 2, labels, 1.0, T), student / 2)[1].norm().item()
        for T in (1.0, 10.0)
    )
    if not 0.4 < ten / max(one, 1e-12) < 2.5:
        raise Wrong(
            f'Property "T² keeps the gradient\'s size" fails: at T=10 the soft gradient is {ten / max(one, 1e-12):.3g} '
            "times that at T=1. Divide both logits by T and multiply the soft part by T². (hint 4)"
        )
    asked = teacher.clone().requires_grad_()
    learner = student.clone().requires_grad_()
    loss(learner, asked, labels.clone(), alpha, temperature).backward()
    if asked.grad is not None and asked.grad.abs().max() > 0:
        raise Wrong(
            'Property "the teacher gets no gradient" fails: teacher logits that ask for a gradient received one. '
            "Detach them. (hint 4)"
        )
    for student_size, teacher_size in ((12, 10), (10, 12), (12, 1)):
        try:
            loss(torch.randn(2, 6, student_size), torch.randn(2, 6, teacher_size),
                 torch.randint(0, min(student_size, teacher_size), (2, 6)), alpha, temperature)  # fmt: skip
        except ValueError:
            continue
        except Exception as error:
            raise Wrong(
                f'Property "vocabularies that differ are refused" fails: {student_size} against {teacher_size} tokens '
                f"stopped by accident with {type(error).__name__}. Raise a ValueError that says so. (hint 5)"
            ) from None
        raise Wrong(
            f'Property "vocabularies that differ are refused" fails: {student_size} tokens against {teacher_size} gave '
            "a number. Token 7 of one is not token 7 of the other: raise a ValueError. (hint 5)"
        )
    for part, name in ((1.0, "soft"), (0.0, "hard"), (alpha, "mixed")):
        value, expected = (
            number(call(student, teacher, labels, part)),
            _right(student, teacher, labels, part, temperature),
        )
        swapped = (
            temperature**2 * _kl_rows(student[:, :-1], teacher[:, :-1], temperature)[labels[:, 1:] != IGNORE].mean()
        )
        if part == 1.0 and close(value, swapped) and not close(value, expected):
            raise Wrong(
                "All properties hold, but the soft part is the reverse KL: the teacher's p stands in front. (hint 1)"
            )
        if not close(value, expected):
            raise Wrong(
                f"All properties hold, but the value of the {name} loss should be {expected:.4f} nats a token (alpha="
                f"{part:.2f}, T={temperature:.2f}), and this came: {value:.4f}. alpha · T² · KL + (1 − alpha) · "
                "cross-entropy at T=1. (hint 4)"
            )
        z = student.double().requires_grad_()
        _right(z, teacher.double(), labels, part, temperature).backward()
        _, slope = _gradient(lambda s, part=part: call(s, teacher, labels, part), student)
        if not close(slope, z.grad, 1e-4):
            raise Wrong(f"All values are right, but the gradient of the {name} part is not. Is a part of it detached?")
    ahead = F.one_hot(torch.randint(0, 12, (2, 4, 14)), 12) * 120.0 * temperature
    for which, logits in (("teacher", (student, teacher + ahead[0])), ("student", (student + ahead[1], teacher))):
        for part, name in ((1.0, "soft"), (0.0, "hard")):
            value, expected = float(call(*logits, labels, part)), _right(*logits, labels, part, temperature)
            told = f'Property "sure models stay finite" fails: where the {which} puts one token 120 T ahead, the {name} loss '
            if not close(value, expected):
                raise Wrong(
                    f"{told}should be {expected:.2f}, and {value:.2f} came: a probability underflows to 0, or a clamp caps "
                    "its logarithm. Take log_softmax of the logits. (hint 1)"
                )
            if not _gradient(lambda z, t=logits[1], part=part: call(z, t, labels, part), logits[0])[1].isfinite().all():
                raise Wrong(f"{told}is right and its gradient is NaN: take log_softmax of the logits. (hint 1)")


CHECKS = {
    "3.1": check_reverse_kl,
    "3.2": check_masked_kl,
    "3.3": check_property_test,
    "3.4": check_jsd,
    "3.5": check_repaired,
}
