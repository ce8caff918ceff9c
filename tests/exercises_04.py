"""Right and plausible wrong answers to the exercises of lesson 04."""

import math

import numpy as np
import torch

# --- 4.1 -------------------------------------------------------------------------------------------------------------


def target_loss(student_logits, ids, counts):
    weights = counts / counts.sum(-1, keepdim=True)
    log_q = student_logits.log_softmax(-1).gather(-1, ids)
    return -(weights * log_q).sum(-1).mean()


def target_loss_dense(student_logits, ids, counts):
    target = torch.zeros_like(student_logits).scatter_add(-1, ids, counts)
    return torch.nn.functional.cross_entropy(student_logits, target / target.sum(-1, keepdim=True))


def target_not_divided(student_logits, ids, counts):
    return -(counts * student_logits.log_softmax(-1).gather(-1, ids)).sum(-1).mean()


def target_sum(student_logits, ids, counts):
    return target_loss(student_logits, ids, counts) * len(ids)


def target_uniform(student_logits, ids, counts):
    return target_loss(student_logits, ids, (counts > 0).float())


def target_listed_softmax(student_logits, ids, counts):
    listed = student_logits.gather(-1, ids).masked_fill(counts == 0, -1e9)
    return -(counts / counts.sum(-1, keepdim=True) * listed.log_softmax(-1)).sum(-1).mean()


def target_mean_over_columns(student_logits, ids, counts):
    return -(counts / counts.sum(-1, keepdim=True) * student_logits.log_softmax(-1).gather(-1, ids)).mean()


def target_log_of_softmax(student_logits, ids, counts):
    log_q = student_logits.softmax(-1).log().gather(-1, ids)
    return -(counts / counts.sum(-1, keepdim=True) * log_q).sum(-1).mean()


def target_no_gradient(student_logits, ids, counts):
    return target_loss(student_logits, ids, counts).item()


def target_kl(student_logits, ids, counts):
    weights = counts / counts.sum(-1, keepdim=True)
    return target_loss(student_logits, ids, counts) + torch.xlogy(weights, weights).sum(-1).mean()


def target_fifty(student_logits, ids, counts):
    return -(counts / 50 * student_logits.log_softmax(-1).gather(-1, ids)).sum(-1).mean()


def target_sign(student_logits, ids, counts):
    return -target_loss(student_logits, ids, counts)


def target_total_of_the_first_row(student_logits, ids, counts):
    return -(counts / counts[0].sum() * student_logits.log_softmax(-1).gather(-1, ids)).sum(-1).mean()


def target_total_of_the_batch(student_logits, ids, counts):
    return -(counts * student_logits.log_softmax(-1).gather(-1, ids)).sum() / counts.sum()


def target_scatter(student_logits, ids, counts):
    order = counts.argsort(dim=-1, descending=True, stable=True)
    target = torch.zeros_like(student_logits)
    for column in order.T:  # the padding, id 0 and count 0, is written last
        rows = torch.arange(len(ids))
        target[rows, ids[rows, column]] = counts[rows, column]
    target = target / target.sum(-1, keepdim=True).clamp(min=1e-9)
    return -(target * student_logits.log_softmax(-1)).sum(-1).mean()


def target_skips_id_0(student_logits, ids, counts):
    return target_loss(student_logits, ids, counts.masked_fill(ids == 0, 1e-9))


def target_changes_the_counts(student_logits, ids, counts):
    counts /= counts.sum(-1, keepdim=True)
    return -(counts * student_logits.log_softmax(-1).gather(-1, ids)).sum(-1).mean()


def target_with_a_small_constant(student_logits, ids, counts):
    log_q = (student_logits.softmax(-1) + 1e-12).log().gather(-1, ids)
    return -(counts / counts.sum(-1, keepdim=True) * log_q).sum(-1).mean()


def target_weighs_rows_by_draws(student_logits, ids, counts):
    rows = -(counts / counts.sum(-1, keepdim=True) * student_logits.log_softmax(-1).gather(-1, ids)).sum(-1)
    return (rows * counts.sum(-1)).sum() / counts.sum()


def target_largest_only(student_logits, ids, counts):
    best = ids.gather(-1, counts.argmax(-1, keepdim=True)).squeeze(-1)
    return torch.nn.functional.cross_entropy(student_logits, best)


def target_token_by_token(student_logits, ids, counts):
    total = 0.0
    for z, own, count in zip(student_logits, ids.tolist(), counts.tolist()):
        log_q = z.log_softmax(-1)
        total = total - sum(c * log_q[token] for token, c in zip(own, count)) / sum(count)
    return total / len(ids)


# --- 4.2 -------------------------------------------------------------------------------------------------------------


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


# --- 4.3 -------------------------------------------------------------------------------------------------------------


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


# --- 4.4 -------------------------------------------------------------------------------------------------------------


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


# --- 4.5 -------------------------------------------------------------------------------------------------------------


def best_rate(scores):
    finite = {rate: kl for rate, kl in scores.items() if not math.isnan(kl)}
    best = min(finite, key=finite.get)
    return best, min(scores) < best < max(scores)


def best_rate_with_infinity(scores):
    rates = sorted(scores)
    ranked = sorted(rates, key=lambda rate: math.inf if math.isnan(scores[rate]) else scores[rate])
    return ranked[0], 0 < rates.index(ranked[0]) < len(rates) - 1


def best_with_nan(scores):
    best = min(sorted(scores), key=scores.get)
    return best, min(scores) < best < max(scores)


def best_highest(scores):
    finite = {rate: kl for rate, kl in scores.items() if not math.isnan(kl)}
    best = max(finite, key=finite.get)
    return best, min(scores) < best < max(scores)


def best_in_list_order(scores):
    finite = {rate: kl for rate, kl in scores.items() if not math.isnan(kl)}
    best = min(finite, key=finite.get)
    return best, best not in (list(scores)[0], list(scores)[-1])


def best_always_settled(scores):
    return best_rate(scores)[0], True


def best_alone(scores):
    return best_rate(scores)[0]


def best_forgets_diverged(scores):
    finite = {rate: kl for rate, kl in scores.items() if not math.isnan(kl)}
    best = min(finite, key=finite.get)
    return best, min(finite) < best < max(finite)


def best_deletes_in_place(scores):
    ends = min(scores), max(scores)
    for rate in list(scores):
        if math.isnan(scores[rate]):
            del scores[rate]
    best = min(scores, key=scores.get)
    return best, best not in ends


def best_kl_in_place_of_rate(scores):
    best, settled = best_rate(scores)
    return scores[best], settled


def best_turned_round(scores):
    return best_rate(scores)[::-1]


def best_place(scores):
    best, settled = best_rate(scores)
    return sorted(scores).index(best), settled


def best_as_text(scores):
    best, settled = best_rate(scores)
    return best, str(settled)


def best_settled_by_value(scores):
    best, _ = best_rate(scores)
    return best, scores[best] < 2.1


def best_never_settled(scores):
    return best_rate(scores)[0], False


def best_by_numpy(scores):
    rates = np.array(sorted(scores))
    place = np.nanargmin([scores[rate] for rate in rates])
    return rates[place], np.bool_(0 < place < len(rates) - 1)


def best_in_a_loop(scores):
    best = None
    for rate, kl in scores.items():
        if kl == kl and (best is None or kl < scores[best]):
            best = rate
    yield best
    yield any(rate < best for rate in scores) and any(rate > best for rate in scores)


RIGHT = {"4.1": target_loss, "4.2": lost, "4.3": tail_kl, "4.4": draws_needed, "4.5": best_rate}
ALSO_RIGHT = {
    "4.1": [target_token_by_token, target_loss_dense],
    "4.2": [lost_by_numpy, lost_in_a_loop, lost_by_definition],
    "4.3": [tail_kl_joined, tail_kl_row_by_row],
    "4.4": [draws_by_numpy, draws_by_roots, draws_by_counting],
    "4.5": [best_by_numpy, best_in_a_loop, best_rate_with_infinity],
}
WRONG = {
    "4.1": [
        target_total_of_the_first_row,
        target_total_of_the_batch,
        target_scatter,
        target_skips_id_0,
        target_changes_the_counts,
        target_with_a_small_constant,
        target_weighs_rows_by_draws,
        target_largest_only,
        target_not_divided,
        target_sum,
        target_uniform,
        target_listed_softmax,
        target_mean_over_columns,
        target_log_of_softmax,
        target_no_gradient,
        target_sign,
        target_kl,
        target_fifty,
    ],
    "4.2": [
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
    "4.3": [
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
    "4.4": [
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
    "4.5": [
        best_deletes_in_place,
        best_kl_in_place_of_rate,
        best_turned_round,
        best_place,
        best_as_text,
        best_settled_by_value,
        best_never_settled,
        best_with_nan,
        best_highest,
        best_in_list_order,
        best_always_settled,
        best_alone,
        best_forgets_diverged,
    ],
}
