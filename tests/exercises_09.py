"""Right and plausible wrong answers to the exercises of lesson 09."""

import numpy as np
import torch
from scipy import stats

from distill_lessons.models import response_logits
from distill_lessons.pairs import multiplication as pair
from distill_lessons.teacher import text
from distill_lessons.training import onpolicy

# --- 9.1 --------------------------------------------------------------------------------------------------------------


def counted(ids, start, ends):
    is_end = torch.isin(ids, torch.tensor(ends))
    is_end[:, :start] = False
    before = is_end.long().cumsum(1) - is_end.long()
    return ((before == 0) & (torch.arange(ids.shape[1]) >= start))[:, 1:]


def counted_by_rows(ids, start, ends):
    found = torch.zeros(len(ids), ids.shape[1] - 1, dtype=torch.bool)
    for row, line in zip(found, ids.tolist()):
        stops = [place for place in range(start, len(line)) if line[place] in ends]
        row[start - 1 : (stops[0] if stops else len(line))] = True
    return found


def counted_by_argmax(ids, start, ends):
    said = ids[:, start:]
    is_end = sum((said == end).long() for end in ends)
    first = torch.where(is_end.any(1), is_end.argmax(1), said.shape[1])
    inside = torch.arange(said.shape[1])[None] <= first[:, None]
    return torch.cat([torch.zeros(len(ids), start - 1, dtype=torch.bool), inside], 1)


def counted_without_the_end(ids, start, ends):
    return counted(ids, start, ends) & ~torch.isin(ids, torch.tensor(ends))[:, 1:]


def counted_all(ids, start, ends):
    return (torch.arange(1, ids.shape[1]) >= start).expand(len(ids), -1).clone()


def counted_no_padding(ids, start, ends):
    """As if the padding were always 0."""
    return counted_all(ids, start, ends) & (ids[:, 1:] != 0)


def counted_no_zeros(ids, start, ends):
    """Right but for token 0, which is taken for padding."""
    return counted(ids, start, ends) & (ids[:, 1:] != 0)


def counted_early(ids, start, ends):
    found = counted(ids, start, ends)
    found[:, start - 2] = True
    return found


def counted_too_late(ids, start, ends):
    return counted(ids, start, ends) & (torch.arange(1, ids.shape[1]) > start)


def counted_no_ends(ids, start, ends):
    return counted_all(ids, start, ends) & ~torch.isin(ids, torch.tensor(ends))[:, 1:]


def counted_unshifted(ids, start, ends):
    return torch.cat([torch.zeros(len(ids), 1, dtype=torch.bool), counted(ids, start, ends)], 1)


def counted_late(ids, start, ends):
    right = counted(ids, start, ends)
    return torch.cat([torch.zeros(len(ids), 1, dtype=torch.bool), right[:, :-1]], 1)


def counted_with_prompts(ids, start, ends):
    is_end = torch.isin(ids, torch.tensor(ends))
    is_end[:, :start] = False
    return (is_end.long().cumsum(1) - is_end.long() == 0)[:, 1:]


def counted_ends_of_prompts(ids, start, ends):
    is_end = torch.isin(ids, torch.tensor(ends))
    before = is_end.long().cumsum(1) - is_end.long()
    return ((before == 0) & (torch.arange(ids.shape[1]) >= start))[:, 1:]


def counted_to_the_last_end(ids, start, ends):
    found = counted_all(ids, start, ends)
    for row, line in zip(found, ids.tolist()):
        stops = [place for place in range(start, len(line)) if line[place] in ends]
        row[(stops[-1] if stops else len(line)) :] = False
    return found


def counted_drops_the_cut(ids, start, ends):
    return counted(ids, start, ends) & torch.isin(ids[:, start:], torch.tensor(ends)).any(1, keepdim=True)


def counted_one_end(ids, start, ends):
    return counted(ids, start, ends[:1])


def counted_as_floats(ids, start, ends):
    return counted(ids, start, ends).float()


def counted_in_place(ids, start, ends):
    ids[:, :start] = -1
    return counted(ids, start, ends)


# --- 9.2 --------------------------------------------------------------------------------------------------------------


def estimate(log_q, log_p):
    log_r = log_p - log_q
    return log_r.exp() * log_r - torch.expm1(log_r)


def estimate_plainly(log_q, log_p):
    r = torch.exp(log_p) / torch.exp(log_q)
    return r * torch.log(r) - r + 1


def estimate_weighing_k3(log_q, log_p):
    """k3 with the roles exchanged, and each token weighed by r."""
    back = log_q - log_p
    return (-back).exp() * (back.exp() - 1 - back)


def estimate_k1(log_q, log_p):
    return log_q - log_p


def estimate_k2(log_q, log_p):
    return 0.5 * (log_q - log_p) ** 2


def estimate_k3(log_q, log_p):
    return (log_p - log_q).exp() - 1 - (log_p - log_q)


def estimate_unweighed(log_q, log_p):
    return log_p - log_q


def estimate_may_be_negative(log_q, log_p):
    return (log_p - log_q).exp() * (log_p - log_q)


def estimate_turned(log_q, log_p):
    return -estimate_may_be_negative(log_q, log_p)


def estimate_helped_wrongly(log_q, log_p):
    return estimate_may_be_negative(log_q, log_p) + (log_p - log_q).exp() - 1


def estimate_exact_terms(log_q, log_p):
    return log_p.exp() * (log_p - log_q)


def estimate_clamped(log_q, log_p):
    return estimate_may_be_negative(log_q, log_p).clamp(min=0)


def estimate_averaged(log_q, log_p):
    return estimate(log_q, log_p).mean()


def estimate_in_place(log_q, log_p):
    log_p -= log_q
    return log_p.exp() * log_p - torch.expm1(log_p)


# --- 9.3 --------------------------------------------------------------------------------------------------------------


def diagnose(loss, kl):
    if loss[0] > 4 * kl[0]:
        return "shifted"
    if loss[-1] < kl[-1] / 3:
        return "own words" if kl[-1] > 3 * kl[0] else "stale"
    return "k1" if kl[-1] > 2 * kl[0] else "fine"


def diagnose_by_ratios(loss, kl):
    begins, ends, climbs = loss[0] / kl[0], loss[-1] / kl[-1], kl[-1] / kl[0]
    rules = {"shifted": begins > 5, "own words": ends < 0.3 and climbs > 3, "stale": ends < 0.3, "k1": climbs > 2}
    return next((way for way, holds in rules.items() if holds), "fine")


def diagnose_by_the_end(loss, kl):
    return "fine" if kl[-1] < 1.2 * kl[0] else "stale" if loss[-1] < kl[-1] / 3 else "k1"


def diagnose_by_loss_alone(loss, kl):
    if loss[0] > 3:
        return "shifted"
    return "fine" if loss[-1] < loss[0] else "k1"


def diagnose_by_kl_alone(loss, kl):
    return "fine" if kl[-1] < 1.2 * kl[0] else "stale" if kl[-1] < 3 * kl[0] else "own words"


def diagnose_swaps_far_ones(loss, kl):
    found = diagnose(loss, kl)
    return {"stale": "own words", "own words": "stale"}.get(found, found)


def diagnose_trusts_a_loss_near_the_kl(loss, kl):
    found = diagnose(loss, kl)
    return "fine" if found == "k1" else found


def diagnose_by_numbers_of_the_figure(loss, kl):
    if loss[0] > 5:
        return "shifted"
    if loss[-1] < 0.4 and kl[-1] > 0.6:
        return "own words" if kl[-1] > 2 else "stale"
    return "k1" if kl[-1] > 1 else "fine"


def diagnose_always_fine(loss, kl):
    return "fine"


def diagnose_a_number(loss, kl):
    return kl[-1] / kl[0]


def diagnose_letter(loss, kl):
    return "A"


# --- 9.4 --------------------------------------------------------------------------------------------------------------


def _learn(student, prompts, loss_of, updates=50, rate=1.5e-3, seed=0):
    rng, end = np.random.default_rng(seed), pair.tokenizer().eos_token_id
    optimiser = torch.optim.AdamW(student.parameters(), lr=rate, weight_decay=0.0)
    for update in range(updates):
        asked = [prompts[at] for at in rng.choice(len(prompts), 32, replace=False)]
        written = onpolicy.write(student, asked, [end], rng.random((32, 48)))
        batch = text.Padded(0)([onpolicy.example(*each) for each in zip(asked, written)])
        loss = loss_of(*response_logits(student, batch), batch)
        optimiser.zero_grad()
        loss.backward()
        optimiser.param_groups[0]["lr"] = rate * (1 - update / updates)
        optimiser.step()
    return student


def _with_rest(log_q, log_p):
    rest = [(1 - x.exp().sum(-1)).clamp(min=1e-6) for x in (log_q, log_p)]
    return ((log_q.exp() * (log_q - log_p)).sum(-1) + rest[0] * (rest[0] / rest[1]).log()).mean()


def learn_from_three(student, tell, prompts):
    def loss(z, _, batch):
        log_q, tokens = z.log_softmax(-1).topk(3)
        return _with_rest(log_q, tell(batch, tokens))

    return _learn(student, prompts, loss)


def learn_by_reward(student, tell, prompts):
    """The gradient of the same sum written as a policy's: log q − log p as a cost, held fixed; more updates."""

    def loss(z, _, batch):
        log_q, tokens = z.log_softmax(-1).topk(3)
        log_p = tell(batch, tokens)
        rest = [(1 - x.exp().sum(-1)).clamp(min=1e-6) for x in (log_q, log_p)]
        cost, last = (log_q - log_p).detach(), (rest[0] / rest[1]).log().detach()
        return ((log_q.exp() * cost).sum(-1) + rest[0] * last).mean()

    return _learn(student, prompts, loss, 60)


def learn_turned(student, tell, prompts):
    def loss(z, _, batch):
        log_q, tokens = z.log_softmax(-1).topk(3)
        return -_with_rest(log_q, tell(batch, tokens))

    return _learn(student, prompts, loss, 5)


def learn_k1(student, tell, prompts):
    def loss(z, tokens, batch):
        log_q = z.log_softmax(-1).gather(-1, tokens[:, None])
        return (log_q - tell(batch, tokens[:, None])).mean()

    return _learn(student, prompts, loss, 10)


def learn_own_words(student, tell, prompts):
    return _learn(student, prompts, lambda z, tokens, batch: torch.nn.functional.cross_entropy(z, tokens), 10)


def learn_detached(student, tell, prompts):
    """The gradient flows through log q alone, whose mean is zero."""

    def loss(z, tokens, batch):
        log_q = z.log_softmax(-1).gather(-1, tokens[:, None])
        return ((log_q - tell(batch, tokens[:, None])).detach() + 0 * log_q).mean()

    return _learn(student, prompts, loss, 3)


def learn_shifted(student, tell, prompts):
    def loss(z, _, batch):
        log_q, tokens = z.log_softmax(-1).topk(3)
        return _with_rest(log_q, tell(batch, tokens).roll(1, 0))

    return _learn(student, prompts, loss, 10)


def learn_untrained(student, tell, prompts):
    return student


def learn_from_all(student, tell, prompts):
    def loss(z, _, batch):
        every = torch.arange(z.shape[-1]).expand(len(z), -1)
        return _with_rest(z.log_softmax(-1), tell(batch, every))

    return _learn(student, prompts, loss, 1)


def learn_returns_the_loss(student, tell, prompts):
    return 0.4


def learn_in_place(student, tell, prompts):
    return None if prompts.clear() else prompts


# --- 9.5 --------------------------------------------------------------------------------------------------------------


def _low(gain):
    return gain.mean() - stats.t.ppf(0.975, len(gain) - 1) * gain.std(ddof=1) / len(gain) ** 0.5


def _nearest(seconds):
    own = seconds["on-policy"].mean()
    return min(("supervised", "supervised, longer"), key=lambda name: abs(np.log(seconds[name].mean() / own)))


def worth(right, seconds):
    own = right["on-policy"]
    if _low(own - right[_nearest(seconds)]) > 0:
        return "better"
    return "only by steps" if _low(own - right["supervised"]) > 0 else "no"


def worth_by_scipy(right, seconds):
    def ahead(name):
        return stats.ttest_rel(right["on-policy"], right[name]).confidence_interval(0.95).low > 0

    return "better" if ahead(_nearest(seconds)) else "only by steps" if ahead("supervised") else "no"


def worth_by_p(right, seconds):
    def ahead(name):
        found = stats.ttest_1samp(right["on-policy"] - right[name], 0)
        return found.pvalue < 0.05 and found.statistic > 0

    return ("no", "only by steps", "better")[2 if ahead(_nearest(seconds)) else int(ahead("supervised"))]


def worth_by_updates(right, seconds):
    return "better" if _low(right["on-policy"] - right["supervised"]) > 0 else "no"


def worth_always_longer(right, seconds):
    return worth(right, seconds | {"supervised": seconds["supervised"] * 1e6})


def worth_by_means(right, seconds):
    own = right["on-policy"].mean()
    if own > right[_nearest(seconds)].mean():
        return "better"
    return "only by steps" if own > right["supervised"].mean() else "no"


def worth_unpaired(right, seconds):
    def ahead(name):
        return stats.ttest_ind(right["on-policy"], right[name]).confidence_interval(0.95).low > 0

    return "better" if ahead(_nearest(seconds)) else "only by steps" if ahead("supervised") else "no"


def worth_by_spread(right, seconds):
    def ahead(name):
        gain = right["on-policy"] - right[name]
        return gain.mean() > 2 * gain.std()

    return "better" if ahead(_nearest(seconds)) else "only by steps" if ahead("supervised") else "no"


def _worth_where(right, seconds, half=None, ddof=1, p=0.975, nearest=_nearest):
    def ahead(name):
        gain = right["on-policy"] - right[name]
        width = half or stats.t.ppf(p, len(gain) - 1)
        return gain.mean() - width * gain.std(ddof=ddof) / len(gain) ** 0.5 > 0

    return "better" if ahead(nearest(seconds)) else "only by steps" if ahead("supervised") else "no"


def worth_by_1_96(right, seconds):
    return _worth_where(right, seconds, half=1.96)


def worth_one_sided(right, seconds):
    return _worth_where(right, seconds, p=0.95)


def worth_with_n(right, seconds):
    return _worth_where(right, seconds, ddof=0)


def worth_nearest_by_difference(right, seconds):
    own = seconds["on-policy"].mean()
    rivals = ("supervised", "supervised, longer")
    return _worth_where(
        right, seconds, nearest=lambda seconds: min(rivals, key=lambda name: abs(seconds[name].mean() - own))
    )


def worth_by_medians(right, seconds):
    return _worth_where(
        right, seconds, nearest=lambda seconds: _nearest({name: np.median(each) for name, each in seconds.items()})
    )


def worth_never_by_steps(right, seconds):
    found = worth(right, seconds)
    return "no" if found == "only by steps" else found


def worth_turned(right, seconds):
    return worth({name: -value for name, value in right.items()}, seconds)


def worth_a_number(right, seconds):
    return right["on-policy"].mean() - right["supervised"].mean()


def worth_in_place(right, seconds):
    right["on-policy"] -= right["supervised"]
    return "no"


RIGHT = {"9.1": counted, "9.2": estimate, "9.3": diagnose, "9.4": learn_from_three, "9.5": worth}
ALSO_RIGHT = {
    "9.1": [counted_by_rows, counted_by_argmax],
    "9.2": [estimate_plainly, estimate_weighing_k3],
    "9.3": [diagnose_by_ratios],
    "9.4": [learn_by_reward],
    "9.5": [worth_by_scipy, worth_by_p],
}
WRONG = {
    "9.1": [
        counted_without_the_end,
        counted_all,
        counted_no_padding,
        counted_no_zeros,
        counted_early,
        counted_too_late,
        counted_no_ends,
        counted_unshifted,
        counted_late,
        counted_with_prompts,
        counted_ends_of_prompts,
        counted_to_the_last_end,
        counted_drops_the_cut,
        counted_one_end,
        counted_as_floats,
        counted_in_place,
    ],
    "9.2": [
        estimate_k1,
        estimate_k2,
        estimate_k3,
        estimate_unweighed,
        estimate_may_be_negative,
        estimate_turned,
        estimate_helped_wrongly,
        estimate_exact_terms,
        estimate_clamped,
        estimate_averaged,
        estimate_in_place,
    ],
    "9.3": [
        diagnose_by_the_end,
        diagnose_by_loss_alone,
        diagnose_by_kl_alone,
        diagnose_swaps_far_ones,
        diagnose_trusts_a_loss_near_the_kl,
        diagnose_by_numbers_of_the_figure,
        diagnose_always_fine,
        diagnose_a_number,
        diagnose_letter,
    ],
    "9.4": [
        learn_turned,
        learn_k1,
        learn_own_words,
        learn_detached,
        learn_shifted,
        learn_untrained,
        learn_from_all,
        learn_returns_the_loss,
    ],
    "9.5": [
        worth_by_updates,
        worth_always_longer,
        worth_by_means,
        worth_unpaired,
        worth_by_spread,
        worth_by_1_96,
        worth_one_sided,
        worth_with_n,
        worth_nearest_by_difference,
        worth_by_medians,
        worth_never_by_steps,
        worth_turned,
        worth_a_number,
        worth_in_place,
    ],
}
