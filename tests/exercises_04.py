"""Right and plausible wrong answers to the exercises of lesson 04."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

# --- 4.1 -------------------------------------------------------------------------------------------------------------


def lost(p, k):
    return 1 - p.topk(k, dim=-1).values.sum(-1).mean()


def lost_by_definition(p, k):
    mass, ids = p.topk(k, dim=-1)
    naive = torch.zeros_like(p).scatter(-1, ids, mass / mass.sum(-1, keepdim=True))
    return 0.5 * (p - naive).abs().sum(-1).mean()


def lost_without_half(p, k):
    return 2 * lost(p, k)


def lost_without_renormalising(p, k):
    mass, ids = p.topk(k, dim=-1)
    return 0.5 * (p - torch.zeros_like(p).scatter(-1, ids, mass)).abs().sum(-1).mean()


def lost_kept(p, k):
    return p.topk(k, dim=-1).values.sum(-1).mean()


def lost_sum(p, k):
    return lost(p, k) * len(p)


def lost_mean_over_tokens(p, k):
    mass, ids = p.topk(k, dim=-1)
    return (p - torch.zeros_like(p).scatter(-1, ids, mass / mass.sum(-1, keepdim=True))).abs().mean()


def lost_by_threshold(p, k):
    kept = torch.where(p >= p.topk(k, dim=-1).values[:, -1:], p, 0.0)
    return 0.5 * (p - kept / kept.sum(-1, keepdim=True)).abs().sum(-1).mean()


def lost_in_place(p, k):
    answer = lost(p, k)
    p[p < p.topk(k, dim=-1).values[:, -1:]] = 0.0
    return answer


def lost_first_k(p, k):
    return 1 - p[:, :k].sum(-1).mean()


def lost_smallest(p, k):
    return p.sort(-1).values[:, :k].sum(-1).mean()


def lost_largest_row(p, k):
    return (1 - p.topk(k, dim=-1).values.sum(-1)).max()


def lost_by_numpy(p, k):
    return np.sort(np.asarray(p), axis=-1)[:, : p.shape[1] - k].sum(-1).mean()


def lost_in_a_loop(p, k):
    return sum(1 - sum(sorted(row, reverse=True)[:k]) for row in p.tolist()) / len(p)


# --- 4.2 -------------------------------------------------------------------------------------------------------------


def tail_kl(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1)
    listed = (probabilities * (probabilities.log() - log_q.gather(-1, ids))).sum(-1)
    rest_p = 1 - probabilities.sum(-1)
    rest_q = log_q.scatter(-1, ids, -math.inf).logsumexp(-1)
    return (listed + rest_p * (rest_p.log() - rest_q)).mean()


def tail_kl_joined(student_logits, ids, probabilities):
    others = student_logits.clone()
    others[torch.arange(len(ids))[:, None], ids] = -math.inf
    rest = others.logsumexp(-1, keepdim=True) - student_logits.logsumexp(-1, keepdim=True)
    log_q = torch.cat([student_logits.log_softmax(-1).gather(-1, ids), rest], -1)
    p = torch.cat([probabilities, 1 - probabilities.sum(-1, keepdim=True)], -1)
    return torch.nn.functional.kl_div(log_q, p, reduction="batchmean")


def tail_kl_row_by_row(student_logits, ids, probabilities):
    total = 0.0
    for z, own, p in zip(student_logits, ids.tolist(), probabilities):
        others = [token for token in range(len(z)) if token not in own]
        rest, log_z = 1 - p.sum(), z.logsumexp(0)
        total = total + (p * (p.log() - z[own] + log_z)).sum() + rest * (rest.log() - z[others].logsumexp(0) + log_z)
    return total / len(ids)


def tail_one_minus(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1).gather(-1, ids)
    rest_p, rest_q = 1 - probabilities.sum(-1), 1 - log_q.exp().sum(-1)
    listed = (probabilities * (probabilities.log() - log_q)).sum(-1)
    return (listed + rest_p * (rest_p.log() - rest_q.log())).mean()


def tail_clamped(student_logits, ids, probabilities, least=1e-6):
    log_q = student_logits.log_softmax(-1).gather(-1, ids)
    rest_p, rest_q = 1 - probabilities.sum(-1), (1 - log_q.exp().sum(-1)).clamp(min=least)
    listed = (probabilities * (probabilities.log() - log_q)).sum(-1)
    return (listed + rest_p * (rest_p.log() - rest_q.log())).mean()


def tail_clamped_far(student_logits, ids, probabilities):
    return tail_clamped(student_logits, ids, probabilities, 1e-30)


def tail_clamped_early(student_logits, ids, probabilities):
    return tail_clamped(student_logits, ids, probabilities, 0.05)


def tail_sum_of_others(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1)
    rest_q = log_q.exp().scatter(-1, ids, 0.0).sum(-1) + 1e-12
    rest_p = 1 - probabilities.sum(-1)
    listed = (probabilities * (probabilities.log() - log_q.gather(-1, ids))).sum(-1)
    return (listed + rest_p * (rest_p.log() - rest_q.log())).mean()


def tail_detached_where_sure(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1)
    rest_q = log_q.scatter(-1, ids, -math.inf).logsumexp(-1)
    rest_q = torch.where(rest_q < -15, rest_q.detach(), rest_q)
    rest_p = 1 - probabilities.sum(-1)
    listed = (probabilities * (probabilities.log() - log_q.gather(-1, ids))).sum(-1)
    return (listed + rest_p * (rest_p.log() - rest_q)).mean()


def tail_forgotten(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1).gather(-1, ids)
    return (probabilities * (probabilities.log() - log_q)).sum(-1).mean()


def tail_naive(student_logits, ids, probabilities):
    return tail_forgotten(student_logits, ids, probabilities / probabilities.sum(-1, keepdim=True))


def tail_both_renormalised(student_logits, ids, probabilities):
    p = probabilities / probabilities.sum(-1, keepdim=True)
    return (p * (p.log() - student_logits.gather(-1, ids).log_softmax(-1))).sum(-1).mean()


def tail_spread(student_logits, ids, probabilities):
    q = student_logits.softmax(-1).gather(-1, ids)
    others = student_logits.shape[-1] - ids.shape[-1]
    rest_p, rest_q = 1 - probabilities.sum(-1), (1 - q.sum(-1)) / others
    return ((probabilities * (probabilities / q).log()).sum(-1) + rest_p * (rest_p / rest_q).log()).mean()


def tail_detached(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1).gather(-1, ids)
    rest_p, rest_q = 1 - probabilities.sum(-1), (1 - log_q.exp().sum(-1)).detach()
    return ((probabilities * (probabilities.log() - log_q)).sum(-1) + rest_p * (rest_p / rest_q).log()).mean()


def tail_cross_entropy(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1).gather(-1, ids)
    rest_p, rest_q = 1 - probabilities.sum(-1), 1 - log_q.exp().sum(-1)
    return -((probabilities * log_q).sum(-1) + rest_p * rest_q.log()).mean()


def tail_reverse(student_logits, ids, probabilities):
    q = student_logits.softmax(-1).gather(-1, ids)
    rest_p, rest_q = 1 - probabilities.sum(-1), 1 - q.sum(-1)
    return ((q * (q / probabilities).log()).sum(-1) + rest_q * (rest_q / rest_p).log()).mean()


def tail_sum(student_logits, ids, probabilities):
    return tail_kl(student_logits, ids, probabilities) * len(ids)


def tail_of_the_teacher_clamped(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1)
    listed = (probabilities * (probabilities.log() - log_q.gather(-1, ids))).sum(-1)
    rest_p = (1 - probabilities.sum(-1)).clamp(min=0.01)
    return (listed + rest_p * (rest_p.log() - log_q.scatter(-1, ids, -math.inf).logsumexp(-1))).mean()


def tail_in_place(student_logits, ids, probabilities):
    answer = tail_kl(student_logits, ids, probabilities)
    probabilities /= probabilities.sum(-1, keepdim=True)
    return answer


def tail_log_of_softmax(student_logits, ids, probabilities):
    q = student_logits.softmax(-1)
    listed = (probabilities * (probabilities.log() - q.gather(-1, ids).log())).sum(-1)
    rest_p = 1 - probabilities.sum(-1)
    return (listed + rest_p * (rest_p.log() - q.scatter(-1, ids, 0.0).sum(-1).log())).mean()


def tail_without_its_weight(student_logits, ids, probabilities):
    log_q = student_logits.log_softmax(-1)
    listed = (probabilities * (probabilities.log() - log_q.gather(-1, ids))).sum(-1)
    rest_p = 1 - probabilities.sum(-1)
    return (listed + rest_p.log() - log_q.scatter(-1, ids, -math.inf).logsumexp(-1)).mean()


def tail_over_outcomes(student_logits, ids, probabilities):
    return tail_kl(student_logits, ids, probabilities) / (ids.shape[-1] + 1)


def tail_sorted_by_the_student(student_logits, ids, probabilities):
    return tail_kl(student_logits, student_logits.topk(ids.shape[-1], dim=-1).indices, probabilities)


# --- 4.3 -------------------------------------------------------------------------------------------------------------


def draws_needed(p, error):
    return math.ceil(p * (1 - p) / error**2)


def draws_by_counting(p, error):
    n = 1
    while math.sqrt(p * (1 - p) / n) > error:
        n += 1
    return n


def draws_floor(p, error):
    return math.floor(p * (1 - p) / error**2)


def draws_rounded(p, error):
    return round(p * (1 - p) / error**2)


def draws_exact(p, error):
    return p * (1 - p) / error**2


def draws_poisson(p, error):
    return math.ceil(p / error**2)


def draws_not_squared(p, error):
    return math.ceil(p * (1 - p) / error)


def draws_root(p, error):
    return math.ceil(math.sqrt(p * (1 - p)) / error)


def draws_worst_case(p, error):
    return math.ceil(0.25 / error**2)


def draws_one_more(p, error):
    return int(p * (1 - p) / error**2) + 1


def draws_of_a_half(p, error):
    return math.ceil(p * (1 - p) / error**2 / 2)


def draws_of_two_errors(p, error):
    return math.ceil(4 * p * (1 - p) / error**2)


def draws_of_a_count(p, error):
    return math.ceil(p * (1 - p) * error**2)


def draws_of_the_others(p, error):
    return math.ceil((1 - p) / (p * error**2))


def draws_by_numpy(p, error):
    return np.ceil(p * (1 - p) / error**2)


def draws_by_roots(p, error):
    return math.ceil((math.sqrt(p * (1 - p)) / error) ** 2)


# --- 4.4 -------------------------------------------------------------------------------------------------------------


def trained(loss, student, x, ids, counts, steps=250, rate=1e-2, size=256):
    """A student trained with ``loss(logits, ids, counts)`` on random rows."""
    optimiser = torch.optim.Adam(student.parameters(), lr=rate)
    for _ in range(steps):
        rows = torch.randint(len(x), (size,))
        value = loss(student(x[rows]), ids[rows], counts[rows])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
    return student


def shares_loss(z, ids, counts):
    weights = counts / counts.sum(-1, keepdim=True)
    return -(weights * z.log_softmax(-1).gather(-1, ids)).sum(-1).mean()


def train(student, x, ids, counts):
    return trained(shares_loss, student, x, ids, counts)


def train_dense(student, x, ids, counts):
    target = torch.zeros(len(x), 40).scatter_add(1, ids, counts)
    target = target / target.sum(-1, keepdim=True)
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-2)
    for _ in range(200):
        loss = F.cross_entropy(student(x), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def train_by_likelihood(student, x, ids, counts):
    """A position with more draws weighs more: another sound estimate."""

    def loss(z, ids, counts):
        return -(counts * z.log_softmax(-1).gather(-1, ids)).sum() / counts.sum()

    return trained(loss, student, x, ids, counts)


def train_on_one_draw_a_visit(student, x, ids, counts):
    """Unbiased, only noisier."""

    def loss(z, ids, counts):
        return F.cross_entropy(z, ids.gather(1, torch.multinomial(counts, 1))[:, 0])

    return trained(loss, student, x, ids, counts, 500, 1e-2, 256)


def train_new_net(student, x, ids, counts):
    other = nn.Sequential(nn.Linear(6, 48), nn.GELU(), nn.Linear(48, 40))
    return trained(shares_loss, other, x, ids, counts)


def train_every_token_the_same(student, x, ids, counts):
    return trained(shares_loss, student, x, ids, (counts > 0).float())


def train_listed_softmax(student, x, ids, counts):
    def loss(z, ids, counts):
        listed = z.gather(-1, ids).masked_fill(counts == 0, -1e9)
        return -(counts / counts.sum(-1, keepdim=True) * listed.log_softmax(-1)).sum(-1).mean()

    return trained(loss, student, x, ids, counts)


def train_scatter(student, x, ids, counts):
    """The padding, id 0 and count 0, may be written last."""

    def loss(z, ids, counts):
        order = counts.argsort(-1, descending=True)
        target = torch.zeros_like(z)
        for column in order.T:
            rows = torch.arange(len(ids))
            target[rows, ids[rows, column]] = counts[rows, column]
        target = target / target.sum(-1, keepdim=True).clamp(min=1e-9)
        return -(target * z.log_softmax(-1)).sum(-1).mean()

    return trained(loss, student, x, ids, counts)


def train_without_token_0(student, x, ids, counts):
    return trained(shares_loss, student, x, ids, torch.where(ids == 0, 1e-9, counts))


def train_commonest_only(student, x, ids, counts):
    def loss(z, ids, counts):
        return F.cross_entropy(z, ids.gather(1, counts.argmax(1, keepdim=True))[:, 0])

    return trained(loss, student, x, ids, counts)


def train_padding_counts(student, x, ids, counts):
    return trained(shares_loss, student, x, ids, counts + 1)


def train_wrong_sign(student, x, ids, counts):
    return trained(lambda *parts: -shares_loss(*parts), student, x, ids, counts)


def train_too_short(student, x, ids, counts):
    return trained(shares_loss, student, x, ids, counts, steps=20)


def train_without_a_step(student, x, ids, counts):
    loss = shares_loss(student(x), ids, counts)
    loss.backward()
    return student


def train_rate_too_high(student, x, ids, counts):
    return trained(shares_loss, student, x, ids, counts, rate=3.0)


def train_other_rows(student, x, ids, counts):
    order = torch.randperm(len(x))
    return trained(shares_loss, student, x[order], ids, counts)


def train_in_place(student, x, ids, counts):
    counts /= counts.sum(-1, keepdim=True)
    return trained(shares_loss, student, x, ids, counts)


def train_returns_a_loss(student, x, ids, counts):
    return shares_loss(train(student, x, ids, counts)(x), ids, counts)


def train_frozen(student, x, ids, counts):
    return trained(shares_loss, student.requires_grad_(False), x, ids, counts)


# --- 4.5 -------------------------------------------------------------------------------------------------------------


def choose(scores):
    means = {rate: sum(found) / len(found) for rate, found in scores.items() if not any(map(math.isnan, found))}
    best = min(means, key=means.get)
    error = np.std(scores[best], ddof=1) / math.sqrt(len(scores[best]))
    rate = min(each for each in means if means[each] <= means[best] + error)
    return rate, "go lower" if rate == min(scores) else "go higher" if rate == max(scores) else "settled"


def choose_by_numpy(scores):
    rates = np.array(sorted(scores))
    values = np.array([scores[rate] for rate in rates])
    means = values.mean(1)
    best = np.nanargmin(means)
    place = int(np.flatnonzero(means <= means[best] + values[best].std(ddof=1) / values.shape[1] ** 0.5)[0])
    yield rates[place]
    yield "go lower" if place == 0 else "go higher" if place == len(rates) - 1 else "settled"


def choose_with_infinity(scores):
    rates = sorted(scores)
    values = torch.tensor([scores[rate] for rate in rates]).nan_to_num(nan=math.inf)
    place = int(values.mean(1).argmin())
    limit = values[place].mean() + values[place].std() / values.shape[1] ** 0.5
    while any(row.mean() <= limit for row in values[:place]):
        place -= 1
    return [rates[place], ["go lower", *["settled"] * (len(rates) - 2), "go higher"][place]]


def _said(scores, rate):
    return rate, "go lower" if rate == min(scores) else "go higher" if rate == max(scores) else "settled"


def choose_lowest_mean(scores):
    means = {rate: np.mean(found) for rate, found in scores.items() if not np.isnan(found).any()}
    return _said(scores, min(means, key=means.get))


def choose_luckiest_seed(scores):
    least = {rate: np.nanmin(found) for rate, found in scores.items()}
    return _said(scores, min(least, key=least.get))


def choose_skips_broken_seeds(scores):
    means = {rate: float(np.nanmean(found)) for rate, found in scores.items()}
    best = min(means, key=means.get)
    error = np.nanstd(scores[best], ddof=1) / math.sqrt(3)
    return _said(scores, min(rate for rate in means if means[rate] <= means[best] + error))


def choose_highest_within(scores):
    means = {rate: np.mean(found) for rate, found in scores.items() if not np.isnan(found).any()}
    best = min(means, key=means.get)
    error = np.std(scores[best], ddof=1) / math.sqrt(3)
    return _said(scores, max(rate for rate in means if means[rate] <= means[best] + error))


def choose_with_nan(scores):
    return _said(scores, min(scores, key=lambda rate: sum(scores[rate])))


def choose_highest_kl(scores):
    means = {rate: np.mean(found) for rate, found in scores.items() if not np.isnan(found).any()}
    return _said(scores, max(means, key=means.get))


def choose_lowest_tried(scores):
    return min(scores), "go lower"


def choose_always_settled(scores):
    return choose(scores)[0], "settled"


def choose_in_dict_order(scores):
    rate, rates = choose(scores)[0], list(scores)
    return rate, "go lower" if rate == rates[0] else "go higher" if rate == rates[-1] else "settled"


def choose_forgets_diverged(scores):
    rate = choose(scores)[0]
    sound = [each for each, found in scores.items() if not np.isnan(found).any()]
    return _said(sound, rate)


def choose_judges_the_best(scores):
    return choose(scores)[0], choose_lowest_mean(scores)[1]


def choose_turned_round(scores):
    return choose(scores)[::-1]


def choose_other_way(scores):
    rate, words = choose(scores)
    return rate, {"go lower": "go higher", "go higher": "go lower"}.get(words, words)


def choose_true_or_false(scores):
    rate, words = choose(scores)
    return rate, words == "settled"


def choose_rate_alone(scores):
    return choose(scores)[0]


def choose_kl(scores):
    rate, words = choose(scores)
    return float(np.mean(scores[rate])), words


def choose_in_place(scores):
    answer = choose(scores)
    for found in scores.values():
        found.sort()
    return answer


RIGHT = {"4.1": lost, "4.2": tail_kl, "4.3": draws_needed, "4.4": train, "4.5": choose}
ALSO_RIGHT = {
    "4.1": [lost_by_numpy, lost_in_a_loop, lost_by_definition],
    "4.2": [tail_kl_joined, tail_kl_row_by_row],
    "4.3": [draws_by_numpy, draws_by_roots, draws_by_counting],
    "4.4": [train_dense, train_by_likelihood, train_on_one_draw_a_visit, train_new_net],
    "4.5": [choose_by_numpy, choose_with_infinity],
}
WRONG = {
    "4.1": [
        lost_by_threshold,
        lost_in_place,
        lost_first_k,
        lost_smallest,
        lost_largest_row,
        lost_without_half,
        lost_without_renormalising,
        lost_kept,
        lost_sum,
        lost_mean_over_tokens,
    ],
    "4.2": [
        tail_of_the_teacher_clamped,
        tail_in_place,
        tail_log_of_softmax,
        tail_without_its_weight,
        tail_over_outcomes,
        tail_sorted_by_the_student,
        tail_forgotten,
        tail_naive,
        tail_both_renormalised,
        tail_spread,
        tail_detached,
        tail_sum,
        tail_cross_entropy,
        tail_reverse,
        tail_one_minus,
        tail_clamped,
        tail_clamped_far,
        tail_clamped_early,
        tail_sum_of_others,
        tail_detached_where_sure,
    ],
    "4.3": [
        draws_one_more,
        draws_of_a_half,
        draws_of_two_errors,
        draws_of_a_count,
        draws_of_the_others,
        draws_floor,
        draws_rounded,
        draws_exact,
        draws_poisson,
        draws_not_squared,
        draws_root,
        draws_worst_case,
    ],
    "4.4": [
        train_commonest_only,
        train_every_token_the_same,
        train_frozen,
        train_in_place,
        train_listed_softmax,
        train_other_rows,
        train_padding_counts,
        train_rate_too_high,
        train_returns_a_loss,
        train_scatter,
        train_too_short,
        train_without_a_step,
        train_without_token_0,
        train_wrong_sign,
    ],
    "4.5": [
        choose_always_settled,
        choose_forgets_diverged,
        choose_highest_kl,
        choose_highest_within,
        choose_in_dict_order,
        choose_in_place,
        choose_judges_the_best,
        choose_kl,
        choose_lowest_mean,
        choose_lowest_tried,
        choose_luckiest_seed,
        choose_other_way,
        choose_rate_alone,
        choose_skips_broken_seeds,
        choose_true_or_false,
        choose_turned_round,
        choose_with_nan,
    ],
}
