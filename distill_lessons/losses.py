"""Distillation losses: pure functions on tensors. All values are in nats per valid position unless said otherwise.

Everywhere `teacher` is the distribution p and `student` the distribution q. The sums run over the vocabulary, and the
mean over the positions that count, so a value never depends on padding or on how a batch was split.
"""

import math
import numbers
from typing import NamedTuple

import torch
import torch.nn.functional as F

IGNORE = -100  # the label that transformers uses for "this position does not count"
Number = float | torch.Tensor  # a tensor of one number may carry a gradient, for a temperature that is learned


def softmax_with_temperature(logits: torch.Tensor, temperature: Number) -> torch.Tensor:
    r"""Probabilities at a temperature.

    .. math:: p_i = \frac{e^{z_i / T}}{\sum_j e^{z_j / T}}

    Args:
        logits: ``[..., V]``; −inf means "impossible" and stays at probability 0.
        temperature: positive; 1 leaves the model as it is, higher flattens, lower sharpens.
    Returns:
        ``[..., V]``, sums to 1.
    Raises:
        ValueError: the temperature is not a positive finite number; logits hold NaN or +inf.
    Source: Hinton, Vinyals, Dean 2015, equation 1.
    """
    _check_temperature(temperature)
    _check_logits("logits", logits)
    return _log_softmax(logits, temperature).exp()


def entropy(logits: torch.Tensor, mask: torch.Tensor | None = None, temperature: Number = 1.0) -> torch.Tensor:
    r"""Entropy of the distribution, in nats, mean over valid positions: :math:`-\sum_i p_i \log p_i`.

    Args:
        logits: ``[..., V]``.
        mask: ``[...]`` bool, the positions that count; all of them if None.
        temperature: divides the logits; positive.
    Raises:
        ValueError: as `forward_kl`.
    Source: Shannon 1948.
    """
    _check_temperature(temperature)
    logits = _valid("logits", logits, mask)
    log_p = _log_softmax(logits, temperature)
    return _mean(-(log_p.exp() * log_p).sum(-1))


def forward_kl(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    mask: torch.Tensor | None = None,
    temperature: Number = 1.0,
) -> torch.Tensor:
    r"""KL(teacher ‖ student), in nats per valid position. Covers every mode of the teacher.

    .. math:: \sum_i p_i \,(\log p_i - \log q_i), \qquad p = \mathrm{softmax}(z^T / T), \; q = \mathrm{softmax}(z^S / T)

    Zero exactly when the distributions agree. Its gradient in the student is that of the cross-entropy to the
    teacher; the value is smaller by the teacher's entropy. Not multiplied by T²: `distillation_loss` does that.

    Args:
        student_logits, teacher_logits: ``[..., V]``, positions already aligned (`align_next_token`). −inf is allowed
            (a banned token); where the teacher gives mass to a token that the student bans, the value is inf.
        mask: ``[...]`` bool, the positions that count; all of them if None. None valid gives 0, with a gradient of 0.
        temperature: divides both logits; positive.
    Returns:
        A scalar tensor; float32 or, for float64 input, float64.
    Raises:
        ValueError: shapes or vocabularies differ, the temperature is not positive, valid logits hold NaN or +inf.
    Source: Hinton, Vinyals, Dean 2015, section 2.
    """
    log_q, log_p = _pair(student_logits, teacher_logits, mask, temperature)
    return _mean(_kl(log_p, log_q))


def reverse_kl(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    mask: torch.Tensor | None = None,
    temperature: Number = 1.0,
) -> torch.Tensor:
    r"""KL(student ‖ teacher), in nats per valid position. Seeks a mode of the teacher and may leave the others.

    .. math:: \sum_i q_i \,(\log q_i - \log p_i)

    Arguments, return value and errors as `forward_kl`.
    Source: Gu, Dong, Wei, Huang 2024 (MiniLLM).
    """
    log_q, log_p = _pair(student_logits, teacher_logits, mask, temperature)
    return _mean(_kl(log_q, log_p))


def generalized_jsd(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    beta: Number,
    mask: torch.Tensor | None = None,
    temperature: Number = 1.0,
) -> torch.Tensor:
    r"""Generalised Jensen–Shannon divergence, in nats per valid position.

    .. math:: \beta\, KL(p ‖ m) + (1 - \beta)\, KL(q ‖ m), \qquad m = \beta p + (1 - \beta) q

    By convention ``beta=0`` returns the forward KL and ``beta=1`` the reverse KL: the formula itself goes to 0 at both
    ends, but divided by β (or by 1 − β) it goes to those. ``beta=0.5`` is the usual JSD, at most log 2.

    Arguments, return value and errors as `forward_kl`; also ValueError if beta is outside [0, 1].
    Source: Agarwal et al. 2024 (GKD), equation 1.
    """
    _check_fraction("beta", beta)
    log_q, log_p = _pair(student_logits, teacher_logits, mask, temperature)
    if beta == 0:
        return _mean(_kl(log_p, log_q))
    if beta == 1:
        return _mean(_kl(log_q, log_p))
    log_m = torch.logaddexp(log_p + math.log(beta), log_q + math.log1p(-beta))
    return _mean(beta * _kl(log_p, log_m) + (1 - beta) * _kl(log_q, log_m))


def total_variation(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    mask: torch.Tensor | None = None,
    temperature: Number = 1.0,
) -> torch.Tensor:
    r"""Total variation distance, between 0 and 1, no unit; mean over valid positions.

    .. math:: \tfrac{1}{2} \sum_i |p_i - q_i|

    One minus it is the chance that speculative decoding accepts a token that the student drafts.
    Arguments and errors as `forward_kl`.
    Source: Wen et al. 2023 (f-distill); Leviathan, Kalman, Matias 2023 for the acceptance rate.
    """
    log_q, log_p = _pair(student_logits, teacher_logits, mask, temperature)
    return _mean(0.5 * (log_p.exp() - log_q.exp()).abs().sum(-1))


def align_next_token(logits: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Line up each prediction with the token it predicts: position t of a language model speaks about token t + 1.

    Args:
        logits: ``[B, L, V]``, as the model returns them.
        labels: ``[B, L]``, the tokens themselves, with -100 wherever nothing is to be learned.
    Returns:
        logits ``[B, L-1, V]``, labels ``[B, L-1]`` and mask ``[B, L-1]`` (``labels != -100``).
    Raises:
        ValueError: the two do not have the same batch and length, or there are fewer than two positions.
    """
    if logits.shape[:-1] != labels.shape:
        raise ValueError(
            f"logits {tuple(logits.shape)} and labels {tuple(labels.shape)} must share batch and length: "
            "logits are [B, L, V], labels [B, L]"
        )
    if labels.shape[-1] < 2:
        raise ValueError("a next-token loss needs at least two positions: the first one has nothing before it")
    labels = labels[..., 1:]
    return logits[..., :-1, :], labels, labels != IGNORE


class DistillationLoss(NamedTuple):
    """The mixture and its two parts, each in nats per valid position; `soft` carries its factor T²."""

    total: torch.Tensor
    soft: torch.Tensor
    hard: torch.Tensor


def distillation_loss(
    student_logits: torch.Tensor,
    teacher_logits: torch.Tensor,
    labels: torch.Tensor,
    alpha: Number,
    temperature: Number,
) -> DistillationLoss:
    r"""The mixed loss of Hinton et al., on aligned tensors.

    .. math:: \alpha \, T^2 \, KL(p^{(T)} ‖ q^{(T)}) + (1 - \alpha) \, CE(q^{(1)}, y)

    T² keeps the soft gradient's size about constant when T changes, so that α keeps its meaning.

    Args:
        student_logits, teacher_logits: ``[..., V]``, aligned (`align_next_token`).
        labels: ``[...]`` int, -100 where the position does not count.
        alpha: weight of the soft part, in [0, 1].
        temperature: for the soft part only; positive.
    Returns:
        `DistillationLoss` (total, soft, hard) with ``total = alpha * soft + (1 - alpha) * hard``.
    Raises:
        ValueError: as `forward_kl`; alpha outside [0, 1]; a label outside the vocabulary.
    Source: Hinton, Vinyals, Dean 2015, section 2.
    """
    _check_fraction("alpha", alpha)
    _check_temperature(temperature)
    if labels.shape != student_logits.shape[:-1]:
        raise ValueError(
            f"labels {tuple(labels.shape)} must have the logits' shape without the vocabulary, "
            f"{tuple(student_logits.shape[:-1])}"
        )
    if labels.is_floating_point() or labels.dtype == torch.bool:
        raise ValueError(f"labels must be whole numbers, and they are {labels.dtype}")
    mask = labels != IGNORE
    soft = temperature**2 * forward_kl(student_logits, teacher_logits, mask, temperature)
    targets = labels[mask].long()
    vocabulary = student_logits.shape[-1]
    if targets.numel() and not (0 <= targets.min() and targets.max() < vocabulary):
        raise ValueError(
            f"labels must be -100 or in 0..{vocabulary - 1}, and they run from {int(targets.min())} to {int(targets.max())}"
        )
    log_q = _log_softmax(student_logits[mask], 1.0)
    hard = _mean(_banned_is_inf(F.nll_loss(log_q, targets, reduction="none")))
    total = hard if alpha == 0 else soft if alpha == 1 else alpha * soft + (1 - alpha) * hard  # 0 · inf would be NaN
    return DistillationLoss(total, soft, hard)


def sampled_kl(
    student_logits: torch.Tensor, ids: torch.Tensor, weights: torch.Tensor, entropy: torch.Tensor
) -> torch.Tensor:
    r"""Forward KL estimated from tokens that were drawn from the teacher, in nats per position.

    .. math:: -\sum_k w_k \log q_{i_k} - H(p)

    With ``w = counts / draws`` the expectation over draws is the forward KL, and that of the gradient its gradient:
    nothing is lost but noise. A single estimate may be negative.

    Args:
        student_logits: ``[N, V]``.
        ids: ``[N, K]`` int, the distinct tokens drawn; padding may be any token, with weight 0.
        weights: ``[N, K]``, each token's share of the draws; rows sum to 1.
        entropy: ``[N]``, the teacher's entropy in nats; it moves the value and not the gradient.
    Raises:
        ValueError: shapes do not fit, a token is not in the vocabulary, the logits hold NaN.
    Source: Anshumann et al. 2025, "Sparse logit sampling".
    """
    _check_sparse(student_logits, ids, weights)
    listed = _LogSoftmaxAt.apply(student_logits, ids)
    listed = listed.masked_fill(weights == 0, 0.0)  # padding may name a banned token, and 0 · inf is NaN
    return _mean(-(weights * listed).sum(-1) - entropy)


def top_k_kl(
    student_logits: torch.Tensor, ids: torch.Tensor, probabilities: torch.Tensor, renormalise: bool = False
) -> torch.Tensor:
    r"""Forward KL from the teacher's likeliest tokens alone, in nats per position.

    .. math:: \sum_{k} p_{i_k} (\log p_{i_k} - \log q_{i_k}) + p_{rest} (\log p_{rest} - \log q_{rest})

    All other tokens count as one, with the mass that is left. So it is a lower bound of the forward KL, and blind to how
    the student spreads that mass. Right also for a student that is sure of a listed token: the rest's mass is summed
    over its own logits, not taken as one minus the others. ``renormalise=True`` is the naive form: it scales the listed
    probabilities to 1 and forgets the rest, which teaches the student to give the rest nothing.

    Args:
        student_logits: ``[N, V]``.
        ids: ``[N, K]`` int, distinct in each row; padding may be any token, with probability 0.
        probabilities: ``[N, K]``, the teacher's, at most 1 in each row's sum. With K = V there is no rest, and what a row
            lacks to 1 is rounding.
    Raises:
        ValueError: as `sampled_kl`.
    """
    _check_sparse(student_logits, ids, probabilities)
    log_all = _log_softmax(student_logits, 1.0)
    log_q = log_all.gather(-1, ids)
    p = _at_least_float32(probabilities)
    if renormalise:
        p = p / p.sum(-1, keepdim=True)
        return _mean(_banned_is_inf((torch.special.xlogy(p, p) - p * log_q).sum(-1)))
    listed = (torch.special.xlogy(p, p) - p * log_q).sum(-1)
    none, likeliest = torch.finfo(log_all.dtype).min, ids.gather(-1, p.argmax(-1, keepdim=True))
    # Summed over the other tokens: one minus the listed mass would round to 0 for a student that is sure of those.
    log_q_rest = log_all.scatter(-1, torch.where(p > 0, ids, likeliest), none).logsumexp(-1)
    rest = (1 - p.sum(-1)).clamp(min=0)
    rounding = rest < (math.inf if ids.shape[-1] == student_logits.shape[-1] else 1e-6)
    rest = rest.masked_fill(rounding & (log_q_rest < none / 2), 0.0)  # no token is left that could have it
    return _mean(_banned_is_inf(listed + torch.special.xlogy(rest, rest) - rest * log_q_rest))


# --- shared pieces ---------------------------------------------------------------------------------------------------


def _pair(student_logits, teacher_logits, mask, temperature):
    """Checked log-probabilities of student and teacher at the valid positions, ``[N, V]`` each."""
    _check_temperature(temperature)
    if student_logits.shape[-1] != teacher_logits.shape[-1]:
        raise ValueError(
            f"the vocabularies differ: student {student_logits.shape[-1]}, teacher {teacher_logits.shape[-1]}; "
            "distilling logits needs one vocabulary, so cut padded entries off or share the tokenizer"
        )
    if student_logits.shape != teacher_logits.shape:
        raise ValueError(
            f"student logits {tuple(student_logits.shape)} and teacher logits {tuple(teacher_logits.shape)} must have "
            "one shape: run both on the same tokens"
        )
    student_logits = _valid("student logits", student_logits, mask)
    teacher_logits = _valid("teacher logits", teacher_logits, mask)
    return _log_softmax(student_logits, temperature), _log_softmax(teacher_logits, temperature)


def _valid(name, logits, mask):
    """The checked logits at valid positions, flattened to ``[N, V]``; what lies elsewhere may be anything."""
    if mask is not None:
        if mask.shape != logits.shape[:-1]:
            raise ValueError(
                f"the mask {tuple(mask.shape)} must have the logits' shape without the vocabulary, "
                f"{tuple(logits.shape[:-1])}"
            )
        if mask.dtype != torch.bool and not ((mask == 0) | (mask == 1)).all():
            raise ValueError("the mask must be True (or 1) where a position counts; from labels, pass labels != -100")
        logits = logits[mask.bool()]
    _check_logits(name, logits)
    return logits.reshape(-1, logits.shape[-1])


def _log_softmax(logits, temperature):
    """Log-probabilities in at least float32, with −inf replaced by the most negative finite number: 0 · log 0 is 0."""
    logits = _at_least_float32(logits)
    if isinstance(temperature, torch.Tensor) or temperature != 1:  # no pass over the logits that changes nothing
        logits = logits / temperature
    if logits.numel() and logits.detach().amin() == -math.inf:
        logits = logits.masked_fill(logits.isneginf(), torch.finfo(logits.dtype).min)
    return F.log_softmax(logits, dim=-1)


class _LogSoftmaxAt(torch.autograd.Function):
    """``log_softmax(logits).gather(-1, ids)`` with two tensors of the logits' size for both directions, not five."""

    @staticmethod
    def forward(ctx, logits, ids):
        q = _at_least_float32(logits)
        listed, top = q.gather(-1, ids), q.amax(-1, keepdim=True)
        q = (q - top if q is logits else q.sub_(top)).exp_()
        total = q.sum(-1, keepdim=True)
        ctx.save_for_backward(q, total, ids)
        ctx.dtype = logits.dtype
        return listed - top - total.log()

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, grad):
        q, total, ids = ctx.saved_tensors
        slope = (q * (-grad.sum(-1, keepdim=True) / total)).scatter_add_(-1, ids, grad)  # grad · (1 at the id − q)
        return slope.to(ctx.dtype), None


def _at_least_float32(tensor):
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor


def _kl(log_p, log_q):
    """KL(p ‖ q) for each row. Mass where q has none shows as a huge number; adding inf keeps its gradient finite."""
    return _banned_is_inf((log_p.exp() * (log_p - log_q)).sum(-1))


def _banned_is_inf(rows):
    return rows + torch.where(rows.detach() > 1e9, math.inf, 0.0)


def _mean(rows):
    """Mean over positions; 0 with a gradient path when there are none."""
    return rows.sum() / max(rows.numel(), 1)


def _check_temperature(temperature):
    number = _number(temperature)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"the temperature must be a positive finite number, and it is {_told(temperature)}")


def _check_fraction(name, value):
    if not 0 <= _number(value) <= 1:
        raise ValueError(f"{name} must lie between 0 and 1, and it is {_told(value)}")


def _number(value):
    """The value as a float; NaN, which no range holds, for what is no number."""
    if isinstance(value, torch.Tensor):
        return float(value.detach()) if value.dim() == 0 else math.nan
    return float(value) if isinstance(value, numbers.Real) else math.nan


def _told(value):
    return f"the text {value!r}: give the number itself" if isinstance(value, str) else repr(value)


def _check_sparse(student_logits, ids, weights):
    if ids.shape != weights.shape or ids.shape[:-1] != student_logits.shape[:-1]:
        raise ValueError(
            f"logits {tuple(student_logits.shape)}, ids {tuple(ids.shape)} and weights {tuple(weights.shape)} do not "
            "fit: they are [N, V], [N, K] and [N, K]"
        )
    vocabulary = student_logits.shape[-1]
    if ids.numel() and not (0 <= ids.min() and ids.max() < vocabulary):
        raise ValueError(
            f"the targets name token {int(ids.max())} and the student's vocabulary has {vocabulary}: they were stored "
            "for another tokenizer"
        )
    _check_logits("student logits", student_logits)


def _check_logits(name, logits):
    if not logits.is_floating_point():
        raise ValueError(f"{name} must be floating-point scores, and they are {logits.dtype}")
    if logits.numel() and not logits.detach().amax(-1).isfinite().all():
        raise ValueError(
            f"{name} hold NaN, +inf or a row of nothing but -inf: look for a diverged model or a wrong mask"
        )
