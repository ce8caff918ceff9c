"""Checks of lesson 04, logit distillation: top-k and its tail, draws needed, a training on stored counts, a search read."""

import math

import numpy as np
import torch
from torch import nn

from distill_lessons import runtime
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


def check_lost(lost):
    """4.1: total variation between a distribution and its renormalised top k."""
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
    """4.2: KL over the listed tokens and everything else as one."""
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
            raise Wrong(
                "The value is right, but its gradient is not: does it also flow through the student's rest? A clamp stops it; "
                "logsumexp over the others does not. (hint 2)"
            )
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
    """4.3: the smallest number of draws whose standard error is small enough."""
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
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


TOKENS, INPUTS = 40, 6


def world(generator: torch.Generator, count: int = 2000) -> tuple[torch.Tensor, ...]:
    """A small teacher's stored draws, and what it says where nobody stored anything.

    Returns:
        Contexts ``[N, 6]``; ids and counts ``[N, K]``, the tokens drawn at each and how often, 8 to 24 in all, columns in any
        order, padding with id 0 and count 0; 1,000 new contexts and the teacher's log-probabilities there, ``[1000, 40]``.
        Token 0 is a token like any other, and a common one.
    """
    teacher = nn.Sequential(nn.Linear(INPUTS, 24), nn.Tanh(), nn.Linear(24, TOKENS))
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.copy_(0.6 * torch.randn(weight.shape, generator=generator))
    x, new = (torch.randn(n, INPUTS, generator=generator) for n in (count, 1000))
    with torch.no_grad():
        teacher[2].bias[0] += math.log(0.15 / 0.85) - teacher(x).softmax(-1)[:, 0].mean().logit()
        p, held_out = teacher(x).softmax(-1), teacher(new).log_softmax(-1)
    totals = torch.randint(8, 25, (count, 1), generator=generator)
    drawn = torch.multinomial(p, 24, replacement=True, generator=generator)
    full = torch.zeros(count, TOKENS).scatter_add_(1, drawn, (torch.arange(24) < totals).float())
    width = int((full > 0).sum(1).max()) + 1
    counts, ids = (part[:, :width] for part in full.sort(1, descending=True))
    columns = torch.rand(count, width, generator=generator).argsort(1)
    return x, ids.masked_fill(counts == 0, 0).gather(1, columns), counts.gather(1, columns), new, held_out


def student() -> nn.Sequential:
    """A net from a context to the logits of 40 tokens."""
    return nn.Sequential(nn.Linear(INPUTS, 32), nn.Tanh(), nn.Linear(32, TOKENS))


NEAR = 0.15  # nats on new contexts; sound losses end at 0.06 to 0.1, and tokens that all weigh the same at 0.25


@runtime.threads(1)  # quicker than two for so small a net
def check_train(train):
    """4.4: a training on stored counts, scored by KL to the teacher in contexts that are new."""
    x, ids, counts, new, held_out = world(torch.Generator().manual_seed(int(torch.randint(2**31, ()))))
    copies = [each.clone() for each in (x, ids, counts)]
    with torch.enable_grad():
        trained = train(student(), *copies)
    if any(not torch.equal(now.detach(), was) for now, was in zip(copies, (x, ids, counts))):
        raise Wrong(
            "Your function changes what it is given: x, ids and counts stay as they are. Divide into a new tensor."
        )
    if not isinstance(trained, nn.Module):
        raise Wrong(f"The trained student is expected back, and this came: {trained!r:.80}.")
    with torch.no_grad():
        log_q = trained(new).double().log_softmax(-1)
    if log_q.isnan().any():
        raise Wrong("Your student's logits are NaN: is the rate too high, or a logarithm taken of 0?")
    log_p = held_out.double()
    p, q = log_p.exp(), log_q.exp()
    kl = (p * (log_p - log_q)).sum(-1).mean().item()
    own, theirs = log_q[:, 1:].log_softmax(-1), log_p[:, 1:].log_softmax(-1)
    rest = (theirs.exp() * (theirs - own)).sum(-1).mean().item()  # among the tokens but 0
    share = (q[:, 0].mean() / p[:, 0].mean()).item()
    wider = (torch.special.entr(q).sum(-1) - torch.special.entr(p).sum(-1)).mean().item()
    if kl <= NEAR:
        return
    told = f"On new contexts your student is {kl:.2f} nats from the teacher, and {NEAR} or less was asked for. "
    if share < 0.7 and rest < kl / 2:
        why = f"It gives token 0 {share:.0%} of what the teacher gives it: padding is where the count is 0, not the id. (hint 1)"
    elif wider < -0.3:
        why = "It is far surer than the teacher: a token weighs by its share of the draws, not only the commonest. (hint 1)"
    elif wider > 0.1:
        why = (
            "It is less sure than the teacher. Weigh tokens by their counts, take the softmax over all 40, and train for some "
            "hundred steps. (hints 1 and 2)"
        )
    else:
        why = "Is the sign right, does every row have its own total, and is every position read? (hints 1 and 2)"
    raise Wrong(told + why)


def _searches():
    """Searches over a grid: {rate: KL of three seeds}, and what `check_choose` expects of each."""
    rates = [3.5e-4 * 2.0**step for step in range(6)]
    for best, tie, broken in (
        (2, None, None), (0, None, None), (5, None, None), (3, 2, None), (1, 0, None), (5, 4, None), (3, None, 4),
        (2, None, 1), (4, None, 5), (2, 1, 3), (1, None, 0), (3, 1, None),
    ):  # fmt: skip
        middle = 2.0 + torch.rand(1).item() + 0.3 * (torch.arange(6) - best).abs().double()
        spread = torch.tensor([-0.03, 0.0, 0.03]).double()
        scores = middle[:, None] + torch.stack([spread[torch.randperm(3)] for _ in rates])
        if tie is not None:  # 0.01 behind, and the best's standard error is 0.017
            scores[tie] = scores[best] + 0.01
        values = [row.tolist() for row in scores]
        if broken is not None:  # two of its seeds did best of all
            values[broken] = [1.5, 1.6, 1.7]
            values[broken][int(torch.randint(3, ()))] = math.nan
        chosen = best if tie is None else min(best, tie)
        words = "go lower" if chosen == 0 else "go higher" if chosen == 5 else "settled"
        yield {rates[i]: values[i] for i in torch.randperm(6).tolist()}, rates[chosen], words, rates[best]


def check_choose(choose):
    """4.5: the rate that a search chooses, and whether it may be trusted."""
    choose = unchanged(choose)
    for scores, rate, words, best in _searches():
        shown = ", ".join(f"{each:g}: {np.round(scores[each], 2).tolist()}" for each in sorted(scores))
        answer = choose({each: list(found) for each, found in scores.items()})
        try:
            got, said = answer
        except (TypeError, ValueError):
            raise Wrong(f"A pair was expected, the rate and a word, and this came: {answer!r:.80}") from None
        if isinstance(got, str) or not isinstance(said, str) or said not in ("settled", "go lower", "go higher"):
            raise Wrong(
                f'A rate and one of "settled", "go lower", "go higher" are expected, and this came: {answer!r:.80}'
            )
        told = f"Of {{{shown}}} {rate:g} was expected, and {float(got):g} came: "
        if not close(got, rate, 1e-9):
            if float(got) not in scores:
                raise Wrong(told + "that is none of the rates tried.")
            if any(map(math.isnan, scores[float(got)])):
                raise Wrong(told + "one of its seeds diverged, and a rate that may diverge is out. (hint 1)")
            if float(got) == best:
                raise Wrong(told + "a lower one is within one standard error of it, and the lower is safer. (hint 2)")
            raise Wrong(
                told
                + "first the lowest mean over seeds, then the lowest rate within one standard error of that. (hint 2)"
            )
        if said != words:
            told = f"Of {{{shown}}} you choose {rate:g}, rightly, and say {said!r}: {words!r} was expected. "
            if words == "settled" and any(math.isnan(each) for found in scores.values() for each in found):
                raise Wrong(told + "A rate that diverged is a worse neighbour too. (hint 3)")
            raise Wrong(told + "Was a lower rate tried, and a higher one? The dict may stand in any order. (hint 3)")


CHECKS = {
    "4.1": check_lost,
    "4.2": check_tail_kl,
    "4.3": check_draws_needed,
    "4.4": check_train,
    "4.5": check_choose,
}
