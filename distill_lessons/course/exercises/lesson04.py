"""Checks of lesson 04, logit distillation: sampled targets, top-k and its tail, draws needed, choosing a rate."""

import math

import numpy as np
import torch

from distill_lessons.course.exercises import Wrong, close, number


def _gradient(function, logits, *rest):
    """The value and its gradient in the logits; `Wrong` if there is none."""
    logits = logits.detach().clone().requires_grad_()
    value = function(logits, *(tensor.clone() for tensor in rest))
    number(value)
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        raise Wrong("Your loss has no gradient in the student's logits: return a tensor, without item() or no_grad().")
    value.backward()
    return value.detach(), logits.grad


def check_target_loss(target_loss):
    """4.1: cross-entropy to drawn tokens, from counts."""
    for draws in (7, 50):
        z = 2 * torch.randn(6, 23)
        drawn = torch.multinomial(torch.randn(6, 23).mul(1.5).softmax(-1), draws, replacement=True)
        full = torch.zeros(6, 23).scatter_add_(1, drawn, torch.ones(6, draws))
        width = int((full > 0).sum(1).max()) + 2
        ids, counts = torch.zeros(6, width, dtype=torch.long), torch.zeros(6, width)
        for row in range(6):
            found = full[row].nonzero().squeeze(-1)
            ids[row, : len(found)], counts[row, : len(found)] = found, full[row, found]
        log_q = z.double().log_softmax(-1)
        weights = full.double() / draws
        expected = -(weights * log_q).sum(-1).mean()
        got, slope = _gradient(target_loss, z, ids, counts)
        if not close(number(got), expected):
            own = log_q.gather(1, ids)
            listed = torch.where(counts > 0, own, -math.inf)
            mistakes = (
                (expected * draws, f"You did not divide the counts by their sum, {draws} draws here. (hint 1)"),
                (expected * 6, "You sum over the positions: take their mean. (hint 2)"),
                (-expected, "The sign is turned round: minus the logarithm."),
                (
                    expected - torch.special.entr(weights).sum(-1).mean(),
                    "You took the entropy of the shares off. That is a KL; the cross-entropy alone was asked for.",
                ),
                (
                    expected * draws / 50,
                    f"The draws need not be 50, here they are {draws}: divide by their sum. (hint 1)",
                ),
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
            )
            told = (
                f"For six positions and {draws} draws {expected:.4f} nats were expected, and {number(got):.4f} came. "
            )
            raise Wrong(told + next((words for value, words in mistakes if close(got, value, 1e-3)), "See both hints."))
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
    for k in (1, 3, 8):
        p = torch.randn(4, 17).mul(2).double().softmax(-1)
        top = p.sort(-1, descending=True).values
        expected = 1 - top[:, :k].sum(-1).mean()
        got = number(lost(p.clone(), k))
        if close(got, expected, 1e-5):
            continue
        mistakes = (
            (2 * expected, "You forgot the half in front of the sum of differences. (hint 1)"),
            (expected / 2, "Did you renormalise? The kept tokens grow by as much as the others lose. (hint 2)"),
            (1 - expected, "That is the mass that is kept; what is lost was asked for."),
            (4 * expected, "You sum over the four distributions: take the mean."),
            (expected / 17, "A mean over all entries also divides by the 17 tokens: sum over them. (hint 1)"),
            (
                2 * expected / 17,
                "A mean over all entries also divides by the 17 tokens, and the half is missing. (hint 1)",
            ),
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-4)), "See both hints.")
        raise Wrong(f"With k = {k} a share of {expected:.4f} was expected, and {got:.4f} came. {why}")


def _tail_reference(z, ids, mass):
    """KL over the listed tokens and the others as one; their mass is added up, not taken as what the listed ones leave."""
    log_q = z.log_softmax(-1)
    log_rest = log_q.scatter(1, ids, -math.inf).logsumexp(-1)
    p = torch.cat([mass, 1 - mass.sum(-1, keepdim=True)], dim=-1)
    return (p * (p.log() - torch.cat([log_q.gather(1, ids), log_rest[:, None]], dim=-1))).sum(-1).mean()


def check_tail_kl(tail_kl):
    """4.3: KL over the listed tokens and everything else as one."""
    for k in (2, 5):
        z, p = 2 * torch.randn(5, 19), torch.randn(5, 19).mul(2).softmax(-1)
        mass, ids = p.topk(k, dim=-1)
        q, kept = z.double().softmax(-1).gather(1, ids), mass.double()
        rest_p, rest_q = 1 - kept.sum(-1), 1 - q.sum(-1)
        listed = (kept * (kept / q).log()).sum(-1)
        expected = (listed + rest_p * (rest_p / rest_q).log()).mean()
        got, slope = _gradient(tail_kl, z, ids, mass)
        if not close(got, expected, 1e-4):
            naive = kept / kept.sum(-1, keepdim=True)
            mistakes = (
                (listed.mean(), "The rest is missing: the tokens that are not listed count too, as one. (hint 1)"),
                ((naive * (naive / q).log()).sum(-1).mean(), "You renormalised the listed tokens and forgot the rest."),
                (
                    (naive * (naive / (q / q.sum(-1, keepdim=True))).log()).sum(-1).mean(),
                    "You renormalised both over the listed tokens: then the mass outside is free. (hint 1)",
                ),
                (expected * 5, "You sum over the positions: take their mean."),
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
            )
            told = f"With {k} listed tokens {expected:.4f} nats were expected, and {number(got):.4f} came. "
            raise Wrong(told + next((words for value, words in mistakes if close(got, value, 1e-3)), "See both hints."))
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
    for p, error in (
        (0.5, 0.1),
        (0.02, 0.003),
        (0.9, 0.05),
        (0.3, 0.04),
        *np.random.default_rng().uniform(0.01, 0.2, (3, 2)),
    ):
        exact = p * (1 - p) / error**2
        expected = max(1, math.ceil(exact - 1e-9))
        got = number(draws_needed(float(p), float(error)))
        if got == expected or (abs(exact - round(exact)) < 1e-6 and abs(got - exact) <= 1):
            continue
        mistakes = (
            (exact, "A number of draws is whole: round up. (hint 2)"),
            (math.floor(exact), "You rounded down: with that many the error is still a little too large. (hint 2)"),
            (round(exact), "Rounding to the nearest may round down: then the error is still too large. (hint 2)"),
            (math.ceil(p / error**2), "The variance of one draw is p (1 − p), not p. (hint 1)"),
            (math.ceil(exact / p), "The variance of one draw is p (1 − p). (hint 1)"),
            (math.ceil(p * (1 - p) / error), "The error falls with the root of the draws: square it. (hint 1)"),
            (
                math.ceil(math.sqrt(p * (1 - p)) / error),
                "The error falls with the root of the draws: square it. (hint 1)",
            ),
            (math.ceil(0.25 / error**2), "That is the worst case, p = ½, for every p. (hint 1)"),
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-9)), "See both hints.")
        raise Wrong(
            f"For p = {p:.3g} and an error of {error:.3g}, {expected} draws were expected and {got:g} came. {why}"
        )


def check_best_rate(best_rate):
    """4.5: the best learning rate, and whether the list was long enough to know."""
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
        if number(rate) != rates[best]:
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
            if list(values)[0] == rates[best] or list(values)[-1] == rates[best]:
                raise Wrong(f"The list need not be in order: is {rates[best]:g} the smallest or largest rate? (hint 1)")
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
