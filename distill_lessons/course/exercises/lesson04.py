"""Checks of lesson 04, logit distillation: sampled targets, top-k and its tail, draws needed, choosing a rate."""

import math

import numpy as np
import torch

from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import nearest, unchanged


def _gradient(function, logits, *rest):
    """The value and its gradient in the logits; `Wrong` if there is none."""
    logits = logits.detach().clone().requires_grad_()
    value = function(logits, *(tensor.clone() for tensor in rest))
    number(value)
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        raise Wrong("Your loss has no gradient in the student's logits: return a tensor, without item() or no_grad().")
    value.backward()
    return value.detach(), logits.grad


def _drawn(most):
    """Logits, ids and counts of six positions with a total of their own each, columns in random order."""
    z = 2 * torch.randn(6, 23)
    totals = torch.randint(3, most, (6,)).tolist()
    p = torch.randn(6, 23).mul(1.5).softmax(-1)
    full = torch.stack(
        [torch.multinomial(row, n, replacement=True).bincount(minlength=23) for row, n in zip(p, totals)]
    )
    full[:3, 0] += 2  # token 0 is a token like any other, and the id of the padding
    full[3, 0] = 0
    full = full.float()
    width = int((full > 0).sum(1).max()) + 2
    ids, counts = torch.zeros(6, width, dtype=torch.long), torch.zeros(6, width)
    for row in range(6):
        found = full[row].nonzero().squeeze(-1)
        columns = torch.randperm(width)[: len(found)]
        ids[row, columns], counts[row, columns] = found, full[row, found]
    return z, ids, counts, full


def check_target_loss(target_loss):
    """4.1: cross-entropy to drawn tokens, from counts."""
    target_loss = unchanged(target_loss)
    for most in (8, 60):
        z, ids, counts, full = _drawn(most)
        totals = full.sum(-1, keepdim=True).double()
        width = ids.shape[1]
        log_q = z.double().log_softmax(-1)
        weights = full.double() / totals
        rows = -(weights * log_q).sum(-1)
        expected = rows.mean()
        got, slope = _gradient(target_loss, z, ids, counts)
        if not close(number(got), expected):
            summed = -(full.double() * log_q).sum(-1)  # not divided
            own = log_q.gather(1, ids)
            listed = torch.where(counts > 0, own, -math.inf)
            wholly = weights.clone()
            wholly[:, 0] = 0
            last = z.gather(1, ids).double().log_softmax(-1)
            shares = (
                "You divide all rows by the same total: every row has its own, counts.sum(-1, keepdim=True). (hint 1)"
            )
            mistakes = (
                (summed.mean(), "You did not divide the counts by their sum, a total for each row. (hint 1)"),
                (rows.sum(), "You sum over the positions: take their mean. (hint 2)"),
                (-expected, "The sign is turned round: minus the logarithm."),
                (
                    (rows - torch.special.entr(weights).sum(-1)).mean(),
                    "You took the entropy of the shares off. That is a KL; the cross-entropy alone was asked for.",
                ),
                (summed.mean() / 50, "The draws need not be 50: divide by the sum of each row. (hint 1)"),
                (summed.sum() / totals.sum(), shares),
                (summed.sum() / totals.sum() / 6, shares),
                *(((summed / total).mean(), shares) for total in {*totals.flatten().tolist()}),
                (
                    expected / width,
                    f"You took a mean over the {width} columns: sum over them, mean over positions. (hint 2)",
                ),
                (
                    -torch.stack([row[c > 0].mean() for row, c in zip(own, counts)]).mean(),
                    "Every token that was drawn weighs the same in yours: its count is its weight. (hint 1)",
                ),
                (
                    -(weights.gather(1, ids) * (counts > 0) * listed.log_softmax(-1).nan_to_num(neginf=0))
                    .sum(-1)
                    .mean(),
                    "You took the softmax over the listed tokens alone: over the whole vocabulary first. (hint 2)",
                ),
                (
                    -(counts / totals * last).sum(-1).mean(),
                    "You took the softmax over the listed tokens alone: over the whole vocabulary first. (hint 2)",
                ),
                (-(wholly * log_q).sum(-1).mean(), "You leave token 0 out: padding is where the count is 0. (hint 1)"),
                (
                    -(wholly / wholly.sum(-1, keepdim=True) * log_q).sum(-1).mean(),
                    "You leave token 0 out: padding is where the count is 0. A scatter that overwrites loses it too.",
                ),
                (
                    -log_q.gather(1, full.argmax(-1, keepdim=True)).mean(),
                    "You take the token drawn most often alone: all count, by their share. (hint 1)",
                ),
            )
            told = f"For six positions {expected:.4f} nats were expected, and {number(got):.4f} came. "
            raise Wrong(
                told
                + nearest(
                    got, mistakes, "In each row: count over the row's total, times −log q, summed. (hints 1 and 2)"
                )
            )
        if not close(slope, (z.softmax(-1) - weights) / 6, 1e-4):
            raise Wrong(
                "The value is right, but the gradient is not (q − target) / positions: is a part of it detached?"
            )
    z, ids = torch.tensor([[300.0, 0.0, -200.0]]), torch.tensor([[2, 0]])
    got = float(target_loss(z, ids, torch.tensor([[1.0, 1.0]])))
    if not close(got, 250.0, 1e-3):
        raise Wrong(
            f"Logits of ±300 should give 250 nats, and yours give {got}: log_softmax, not the log of a softmax."
        )


def check_lost(lost):
    """4.2: total variation between a distribution and its renormalised top k."""
    lost = unchanged(lost)
    tied = torch.tensor([0.3, 0.2, 0.2, 0.2, 0.1, 0.0, 0.0])
    for k in (1, 3, 8, 2, 6):
        n = int(torch.randint(3, 7, ()))
        p = torch.randn(n, 17).mul(2).double().softmax(-1)
        ties = k in (2, 6)
        if ties:
            p = torch.stack([tied[torch.randperm(7)] for _ in range(n)]).double()
        size = p.shape[1]
        top = p.sort(-1, descending=True).values
        rows = 1 - top[:, :k].sum(-1)
        expected = rows.mean()
        got = number(lost(p.clone(), k))
        if close(got, expected, 1e-5):
            continue
        at_least = torch.where(p >= top[:, k - 1 : k], p, 0.0)
        mistakes = (
            (2 * expected, "You forgot the half in front of the sum of differences. (hint 1)"),
            (expected / 2, "Did you renormalise? The kept tokens grow by as much as the others lose. (hint 2)"),
            (1 - expected, "That is the mass that is kept; what is lost was asked for."),
            (n * expected, f"You sum over the {n} distributions: take the mean."),
            (rows.max(), "That is the row that loses most: take the mean over rows."),
            (expected / size, f"A mean over all entries also divides by the {size} tokens: sum over them. (hint 1)"),
            (
                2 * expected / size,
                f"A mean over all entries also divides by the {size} tokens, and the half is missing. (hint 1)",
            ),
            ((1 - p[:, :k].sum(-1)).mean(), "You keep the first k tokens, not the k likeliest. (hint 2)"),
            (top[:, -k:].sum(-1).mean(), "You take the k smallest: what is lost is all but the k largest. (hint 2)"),
        )
        why = "Mass kept by the k largest, 1 minus that, mean over rows. (hint 2)"
        if ties and close(got, (p - at_least).sum(-1).mean(), 1e-5):
            why = "Tokens tie with the kth, and a threshold lets all of them in: keep exactly k, with topk."
        else:
            why = nearest(got, mistakes, why, 1e-5)
        raise Wrong(f"With k = {k} a share of {expected:.4f} was expected, and {got:.4f} came. {why}")


def _tail_reference(z, ids, mass):
    """KL over the listed tokens and the others as one; their mass is added up, not taken as what the listed ones leave."""
    log_q = z.log_softmax(-1)
    log_rest = log_q.scatter(1, ids, -math.inf).logsumexp(-1)
    p = torch.cat([mass, 1 - mass.sum(-1, keepdim=True)], dim=-1)
    return (p * (p.log() - torch.cat([log_q.gather(1, ids), log_rest[:, None]], dim=-1))).sum(-1).mean()


def check_tail_kl(tail_kl):
    """4.3: KL over the listed tokens and everything else as one."""
    tail_kl = unchanged(tail_kl)
    for k, sure in ((2, False), (5, False), (4, True)):  # the last is a teacher that is nearly sure
        z, p = 2 * torch.randn(5, 19), torch.randn(5, 19).mul(2).double().softmax(-1)
        if sure:
            p = 0.004 * p + 0.996 * torch.nn.functional.one_hot(torch.randint(19, (5,)), 19)
        mass, ids = p.topk(k, dim=-1)
        shuffled = torch.rand(5, k).argsort(-1)
        mass, ids = mass.gather(1, shuffled).float(), ids.gather(1, shuffled)
        q, kept = z.double().softmax(-1).gather(1, ids), mass.double()
        rest_p, rest_q = 1 - kept.sum(-1), 1 - q.sum(-1)
        listed = (kept * (kept / q).log()).sum(-1)
        expected = (listed + rest_p * (rest_p / rest_q).log()).mean()
        got, slope = _gradient(tail_kl, z, ids, mass)
        if not close(got, expected, 1e-4):
            naive = kept / kept.sum(-1, keepdim=True)
            clamped = [rest_p.clamp(min=least) for least in (0.1, 0.05, 0.02, 0.01, 0.005, 0.001)]
            mistakes = (
                (listed.mean(), "The rest is missing: the tokens that are not listed count too, as one. (hint 1)"),
                ((naive * (naive / q).log()).sum(-1).mean(), "You renormalised the listed tokens and forgot the rest."),
                (
                    (naive * (naive / (q / q.sum(-1, keepdim=True))).log()).sum(-1).mean(),
                    "You renormalised both over the listed tokens: then the mass outside is free. (hint 1)",
                ),
                (expected * 5, "You sum over the positions: take their mean."),
                (expected / (k + 1), "A mean over all entries also divides by the outcomes: sum over them. (hint 1)"),
                (-expected, "The sign is turned round: log p − log q."),
                (
                    expected + (torch.special.entr(kept).sum(-1) + torch.special.entr(rest_p)).mean(),
                    "That is a cross-entropy, too large by the teacher's entropy: log p is missing. (hint 1)",
                ),
                (
                    ((q * (q / kept).log()).sum(-1) + rest_q * (rest_q / rest_p).log()).mean(),
                    "That is the reverse KL: the teacher's p stands in front. (hint 1)",
                ),
                (
                    (listed + rest_p * (rest_p / (rest_q / (19 - k))).log()).mean(),
                    "The rest is one outcome: the student's mass there is a sum, not a mean. (hint 2)",
                ),
                (
                    (listed + (rest_p / rest_q).log()).mean(),
                    "The rest is weighed by its mass, like every other outcome: p (log p − log q). (hint 1)",
                ),
                *(
                    (
                        (listed + mass * (mass / rest_q).log()).mean(),
                        "You clamp the teacher's rest: it may be small. (hint 1)",
                    )
                    for mass in clamped
                ),
                *(
                    (
                        (listed + rest_p * (rest_p / rest_q.clamp(min=least)).log()).mean(),
                        "You clamp the student's rest: it may be small. Take logsumexp over the others. (hint 2)",
                    )
                    for least in (0.1, 0.05, 0.02, 0.01, 0.001)
                ),
            )
            told = f"With {k} listed tokens {expected:.4f} nats were expected, and {number(got):.4f} came. "
            why = "For each listed token p (log p − log q), and the same once more for the rest, added up. (hints 1 and 2)"
            raise Wrong(told + nearest(got, mistakes, why))
        right = _gradient(_tail_reference, z.double(), ids, kept)[1]
        if not close(slope, right, 1e-4):
            raise Wrong("The value is right, but its gradient is not: does it also flow through the student's rest?")
    for lead in (20.0, 60.0, 120.0):
        z, p = 2 * torch.randn(4, 12), torch.randn(4, 12).softmax(-1)
        mass, ids = p.topk(3, dim=-1)
        z[torch.arange(4), ids[torch.arange(4), torch.randint(3, (4,))]] += lead
        expected, right = _gradient(_tail_reference, z.double(), ids, mass.double())
        got = float(tail_kl(z.clone(), ids.clone(), mass.clone()))
        told = f"A student that puts one listed token {lead:g} logits ahead should get "
        if not close(got, expected, 1e-3):
            raise Wrong(
                f"{told}{expected:.3f} nats, and yours gives {got:.3f}: in float32 the listed mass is 1, and 1 minus it is 0. "
                "Take the logsumexp of log q over the tokens that are not listed; a clamp gives another number."
            )
        slope = _gradient(tail_kl, z, ids, mass)[1]
        if not close(slope, right, 1e-4):
            raise Wrong(
                f"{told}{expected:.3f} nats, as yours does, but its gradient is not right: "
                f"{'it is NaN' if slope.isnan().any() else 'does a clamp stop it'}? Take the logsumexp of log q over the "
                "tokens that are not listed."
            )
    z = torch.randn(3, 9)
    mass, ids = z.softmax(-1).topk(4, dim=-1)
    same = number(tail_kl(z.clone(), ids, mass))
    if abs(same) > 1e-4:
        raise Wrong(f"A student equal to its teacher has a KL of 0, and yours gives {same:.4f}.")


def check_draws_needed(draws_needed):
    """4.4: the smallest number of draws whose standard error is small enough."""
    rng = np.random.default_rng()
    for p, error in (
        (0.02, 0.003),
        (0.3, 0.04),
        (0.9, 0.05),
        (0.5, 0.1),
        (0.5, 2.0 ** -rng.integers(2, 7)),  # the answer is whole without rounding, and computed without an error
        *rng.uniform(0.01, 0.2, (3, 2)),
    ):
        exact = p * (1 - p) / error**2
        expected = max(1, math.ceil(exact - 1e-9))
        got = number(draws_needed(float(p), float(error)))
        # A floating error just above a whole number may round up to the next: it is forgiven where p is not one half.
        if got == expected or (p != 0.5 and abs(exact - round(exact)) < 1e-6 and got == expected + 1):
            continue
        told = f"For p = {p:.3g} and an error of {error:.3g}, {expected} draws were expected and {got:g} came. "
        if got != int(got):
            if close(got, exact, 1e-9):
                raise Wrong(told + "A number of draws is whole: round up. (hint 2)")
            raise Wrong(
                told + "A number of draws is whole. p (1 − p) over the error squared, rounded up. (hints 1 and 2)"
            )
        if got == expected + 1 and abs(exact - round(exact)) < 1e-9:
            raise Wrong(
                told
                + f"With {expected} the error is {error:.3g} exactly, and that is small enough: int(x) + 1 goes one too far "
                "where x is whole. Round up with math.ceil. (hint 2)"
            )
        mistakes = (
            (math.floor(exact), "You rounded down: with that many the error is still a little too large. (hint 2)"),
            (round(exact), "Rounding to the nearest may round down: then the error is still too large. (hint 2)"),
            (math.ceil(p / error**2), "The variance of one draw is p (1 − p), not p. (hint 1)"),
            (math.ceil((1 - p) / error**2), "The variance of one draw is p (1 − p), not 1 − p. (hint 1)"),
            (math.ceil(exact / p), "The variance of one draw is p (1 − p). (hint 1)"),
            (math.ceil(exact / p**2), "That is for an error relative to p: error is a share itself. (hint 1)"),
            (math.ceil(exact / 2), "You halved it: p (1 − p) over the error squared. (hint 1)"),
            (math.ceil(4 * exact), "That is two standard errors: one was asked for. (hint 1)"),
            (
                math.ceil(p * (1 - p) * error**2),
                "You multiply by the error squared: divide. A small error needs many. (hint 1)",
            ),
            (math.ceil(p * (1 - p) / error), "The error falls with the root of the draws: square it. (hint 1)"),
            (
                math.ceil(math.sqrt(p * (1 - p)) / error),
                "The error falls with the root of the draws: square it. (hint 1)",
            ),
            (math.ceil(0.25 / error**2), "That is the worst case, p = ½, for every p. (hint 1)"),
        )
        raise Wrong(
            told + nearest(got, mistakes, "p (1 − p) over the error squared, rounded up. (hints 1 and 2)", 1e-9)
        )


def check_best_rate(best_rate):
    """4.5: the best learning rate, and whether the list was long enough to know."""
    best_rate = unchanged(best_rate)
    rates = [3e-4, 6e-4, 1.2e-3, 2.4e-3, 4.8e-3]
    for best, broken in 4 * ((2, None), (0, None), (4, None), (3, 4), (1, 0), (4, 0), (2, 3)):
        order = torch.randperm(5).tolist()
        scores = 2 + 0.1 * (torch.arange(5) - best).abs() + 0.01 * torch.rand(5)
        values = {rates[i]: float(scores[i]) for i in range(5)}
        if broken is not None:
            values[rates[broken]] = math.nan
        values = {rates[i]: values[rates[i]] for i in order}
        settled = best not in (0, 4)
        shown = ", ".join(f"{rate:g}: {values[rate]:.2f}" for rate in sorted(values))
        got = best_rate(dict(values))
        try:
            rate, inside = got
        except (TypeError, ValueError):
            raise Wrong(f"A pair was expected, the rate and True or False, and this came: {got!r}") from None
        if isinstance(rate, (bool, np.bool_)) or isinstance(inside, str):
            raise Wrong(f"A pair was expected, the rate and then True or False, and this came: {(rate, inside)!r}")
        if number(rate) != rates[best]:
            if float(rate) == values[rates[best]]:
                raise Wrong(
                    f"Of {shown} you return the lowest KL itself: return the rate that has it, {rates[best]:g}."
                )
            if float(rate) not in values:
                raise Wrong(f"Of {shown} the best rate is {rates[best]:g}, and {float(rate):g} is none of them.")
            if math.isnan(values.get(float(rate), 0.0)):
                raise Wrong(f"Of {shown} you chose a run that diverged: nan is no score. Leave it out. (hint 2)")
            if float(rate) == max(values, key=lambda each: (not math.isnan(values[each]), values[each])):
                raise Wrong(f"Of {shown} you chose the highest KL; lower is better.")
            why = "nan compares as neither smaller nor larger (hint 2)" if broken is not None else "the lowest KL wins"
            raise Wrong(f"Of {shown} the best rate is {rates[best]:g}, and {float(rate):g} came: {why}.")
        if bool(inside) != settled:
            if settled and broken is not None:
                raise Wrong(
                    f"Of {shown} the best has a worse neighbour on either side: a diverged run is a worse one too."
                )
            if bool(inside) == (rates[best] not in (list(values)[0], list(values)[-1])):
                raise Wrong(
                    f"Of {shown} you said {bool(inside)}. Is {rates[best]:g} the smallest or largest rate tried? The dict may "
                    f"stand in any order, here {', '.join(f'{each:g}' for each in values)}. (hint 1)"
                )
            raise Wrong(
                f"Of {shown} the best is {rates[best]:g}, {'not ' if settled else ''}an end of the list, and you said "
                f"{bool(inside)}. True means: settled. (hint 1)"
            )


CHECKS = {
    "4.1": check_target_loss,
    "4.2": check_lost,
    "4.3": check_tail_kl,
    "4.4": check_draws_needed,
    "4.5": check_best_rate,
}
