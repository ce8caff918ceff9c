"""KL(student ‖ teacher) from what the student itself wrote: from one token, or from the student's likeliest ones.

The exact value sums over the whole vocabulary (`losses.reverse_kl`). A teacher behind an interface gives less: the
log-probability of the token that was written, or a few. What each estimate gets right, over tokens y drawn from the
student:

| estimate | its mean | mean of its gradient as a loss |
|---|---|---|
| `k1` | the KL | zero: it teaches nothing |
| `k2` | not the KL, near it where the two are close | that of the KL |
| `k3` | the KL, never negative, mostly less noisy than `k1` | that of the *forward* KL |
| `top_k_reverse_kl` | at most the KL, no noise | not the KL's, the closer the larger k |

So the estimate to log is not the one to learn from. `tests/test_onpolicy.py` proves each line by enumeration.
"""

import torch
import torch.nn.functional as F


def k1(student_log_probs: torch.Tensor, teacher_log_probs: torch.Tensor) -> torch.Tensor:
    r"""One token's estimate of KL(student ‖ teacher): :math:`\log q(y) - \log p(y)`, in nats per token.

    May be negative. Unbiased. As a loss it is useless: the mean of its gradient,
    :math:`E_q[\nabla \log q] = \nabla \sum_y q(y)`, is zero. As a *reward* it is right: :math:`k_1 \nabla \log q` is
    the gradient of `k2`.

    Args:
        student_log_probs, teacher_log_probs: ``[...]``, of the tokens y that the student drew at temperature 1.
    Returns:
        ``[...]``, not averaged: the mean over valid tokens is the estimate.
    Raises:
        ValueError: the two have different shapes.
    Source: Schulman 2020, "Approximating KL divergence".
    """
    _check(student_log_probs, teacher_log_probs)
    return student_log_probs - teacher_log_probs


def k2(student_log_probs: torch.Tensor, teacher_log_probs: torch.Tensor) -> torch.Tensor:
    r"""One token's estimate of KL(student ‖ teacher): :math:`\frac12 (\log q(y) - \log p(y))^2`, in nats per token.

    Biased as a value. As a loss its gradient, :math:`(\log q - \log p) \nabla \log q`, has the gradient of the KL for
    its mean: it is REINFORCE with the reward :math:`\log p - \log q`.

    Arguments, return value and errors as `k1`. Source: Schulman 2020.
    """
    _check(student_log_probs, teacher_log_probs)
    return 0.5 * (student_log_probs - teacher_log_probs) ** 2


def k3(student_log_probs: torch.Tensor, teacher_log_probs: torch.Tensor) -> torch.Tensor:
    r"""One token's estimate of KL(student ‖ teacher): :math:`r - 1 - \log r, \; r = p(y) / q(y)`, in nats per token.

    Unbiased where the student can write whatever the teacher can, never negative, and mostly less noisy than `k1`. As a
    loss its gradient is :math:`(1 - r) \nabla \log q`, whose mean is that of the *forward* KL,
    :math:`-\sum_y p(y) \nabla \log q(y)`; where the teacher likes a token much more than the student did, r is huge and
    so is the step.

    Arguments, return value and errors as `k1`. Source: Schulman 2020.
    """
    _check(student_log_probs, teacher_log_probs)
    log_ratio = teacher_log_probs - student_log_probs
    return torch.expm1(log_ratio) - log_ratio


def top_k_reverse_kl(student_logits: torch.Tensor, teacher_logits: torch.Tensor, k: int) -> torch.Tensor:
    r"""KL(student ‖ teacher) over the student's k likeliest tokens, all others taken as one, in nats per token.

    .. math:: \sum_{i \in K} q_i (\log q_i - \log p_i) + q_{rest} (\log q_{rest} - \log p_{rest})

    A lower bound of the KL (the log-sum inequality), blind to how the two spread the rest; equal to it at k = V.

    Args:
        student_logits, teacher_logits: ``[..., V]``; from the teacher no more is used than the k log-probabilities and
            the rest's mass.
        k: from 1 to V.
    Returns:
        ``[...]``, not averaged.
    Raises:
        ValueError: the shapes differ, or k is out of range.
    """
    _check(student_logits, teacher_logits)
    if not 1 <= k <= student_logits.shape[-1]:
        raise ValueError(f"k must lie between 1 and the vocabulary's {student_logits.shape[-1]}, and it is {k}")
    log_q, log_p = (F.log_softmax(logits.float(), -1) for logits in (student_logits, teacher_logits))
    listed = log_q.detach().topk(k, -1).indices
    parts = [log_q.gather(-1, listed), log_p.gather(-1, listed)]
    if k < student_logits.shape[-1]:  # the rest's mass summed, not one minus the others: that would round to 0
        none = torch.finfo(log_q.dtype).min
        rest = [each.scatter(-1, listed, none).logsumexp(-1, keepdim=True) for each in (log_q, log_p)]
        parts = [torch.cat(pair, -1) for pair in zip(parts, rest)]
    return (parts[0].exp() * (parts[0] - parts[1])).sum(-1)


def prefix_ratios(now: torch.Tensor, then: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    r"""How much likelier today's student is to write what stands before each token than the student that wrote it.

    .. math:: w_t = \prod_{s < t} \frac{q_{now}(y_s)}{q_{then}(y_s)}

    Weighing the loss of each position by this makes its mean over old texts what it would be over new ones (importance
    sampling). The token itself does not count: the loss at t sums over all that could stand there. The product's
    variance grows with every token, so `OnPolicyTrainer` leaves the weights out and logs how far the two students are
    apart.

    Args:
        now, then: ``[B, L]``, log-probabilities of the written tokens.
        mask: ``[B, L]`` bool, the written tokens.
    Returns:
        ``[B, L]``, without gradient; 1 at the first written token.
    Source: Precup, Sutton, Singh 2000, per-decision importance sampling.
    """
    apart = torch.where(mask, now - then, 0.0).detach()
    return (apart.cumsum(-1) - apart).exp()


def _check(student, teacher):
    if student.shape != teacher.shape:
        raise ValueError(
            f"the student's {tuple(student.shape)} and the teacher's {tuple(teacher.shape)} must have one shape: score "
            "the same tokens with both"
        )
