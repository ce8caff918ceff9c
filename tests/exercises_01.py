"""Right and plausible wrong answers to the exercises of lesson 01."""

import itertools
import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy import special, stats

# --- 1.1 -------------------------------------------------------------------------------------------------------------


def soften(logits, T):
    z = logits / T
    z = z - z.max(dim=-1, keepdim=True).values
    e = z.exp()
    return e / e.sum(dim=-1, keepdim=True)


def soften_overflows(logits, T):
    e = (logits / T).exp()
    return e / e.sum(dim=-1, keepdim=True)


def soften_multiplies(logits, T):
    return torch.softmax(logits * T, dim=-1)


def soften_divides_probabilities(logits, T):
    return torch.softmax(logits, dim=-1) / T


def soften_ignores_temperature(logits, T):
    p = torch.softmax(logits, dim=-1) / T
    return p / p.sum(dim=-1, keepdim=True)


def soften_over_everything(logits, T):
    e = (logits / T - (logits / T).max()).exp()
    return e / e.sum()


def soften_one_maximum_for_all(logits, T):
    e = (logits / T - (logits / T).max()).exp()
    return e / e.sum(dim=-1, keepdim=True)


def soften_first_axis(logits, T):
    return torch.softmax(logits / T, dim=0)


def soften_in_place(logits, T):
    logits -= logits.max(dim=-1, keepdim=True).values
    e = (logits / T).exp()
    return e / e.sum(dim=-1, keepdim=True)


def soften_power_of_probabilities(logits, T):
    p = torch.softmax(logits, dim=-1) ** (1 / T)
    return p / p.sum(dim=-1, keepdim=True)


def soften_forgets_values(logits, T):
    z = logits / T
    e = (z - z.max(dim=-1, keepdim=True)).exp()
    return e / e.sum(dim=-1, keepdim=True)


def soften_clamps(logits, T):
    return soften_overflows(logits.clamp(-80, 80), T)


def soften_takes_the_mean_off(logits, T):
    return soften_overflows(logits - logits.mean(dim=-1, keepdim=True), T)


def soften_hides_nan(logits, T):
    return soften_overflows(logits, T).nan_to_num(1.0)


def soften_keeps_the_logarithm(logits, T):
    return soften(logits, T).log()


def soften_largest_size(logits, T):
    return soften_overflows(logits - logits.abs().amax(dim=-1, keepdim=True), T)


def soften_by_numpy(logits, T):
    return special.softmax(np.asarray(logits, dtype=float) / T, axis=-1)


def soften_by_logsumexp(logits, T):
    return (logits / T - torch.logsumexp(logits / T, -1, keepdim=True)).exp()


# --- 1.2 -------------------------------------------------------------------------------------------------------------


def trained(student, x, teacher_logits, loss, steps=150, rate=3e-3):
    optimiser = torch.optim.AdamW(student.parameters(), lr=rate)
    for _ in range(steps):
        rows = torch.randint(len(x), (128,))
        optimiser.zero_grad()
        loss(student(x[rows]), teacher_logits[rows]).backward()
        optimiser.step()
    return student


def distils(target, steps=150, rate=3e-3, divide=True):
    """A `distil` that trains towards ``target(teacher logits, T)``."""

    def distil(student, x, teacher_logits, T):
        def loss(s, z):
            return T**2 * F.cross_entropy(s / T if divide else s, target(z, T))

        return trained(student, x, teacher_logits, loss, steps, rate)

    return distil


distil = distils(lambda z, T: (z / T).softmax(-1))


def distil_by_divergence(student, x, teacher_logits, T):
    def loss(s, z):
        return T**2 * F.kl_div((s / T).log_softmax(-1), (z / T).softmax(-1), reduction="batchmean")

    return trained(student, x, teacher_logits, loss)


def distil_in_epochs_without_square(student, x, teacher_logits, T):
    optimiser = torch.optim.Adam(student.parameters(), lr=3e-3)
    for _ in range(4):
        for rows in torch.randperm(len(x)).split(128):
            q = (student(x[rows]) / T).log_softmax(-1)
            loss = -((teacher_logits[rows] / T).softmax(-1) * q).sum(-1).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return student.eval()


def distil_returns_nothing(student, x, teacher_logits, T):
    distil(student, x, teacher_logits, T)


def distil_returns_loss(student, x, teacher_logits, T):
    distil(student, x, teacher_logits, T)
    return 0.3


def distil_in_place(student, x, teacher_logits, T):
    teacher_logits /= T
    return trained(student, x, teacher_logits, lambda s, z: F.cross_entropy(s / T, z.softmax(-1)))


distil_student_undivided = distils(lambda z, T: (z / T).softmax(-1), divide=False)
distil_teacher_undivided = distils(lambda z, T: z.softmax(-1))
distil_divides_twice = distils(lambda z, T: (z / T / T).softmax(-1))
distil_answers = distils(lambda z, T: z.argmax(-1), rate=5e-3, steps=250)
distil_multiplies = distils(lambda z, T: (z * T).softmax(-1), divide=False)
distil_turned = distils(lambda z, T: (-z / T).softmax(-1))
distil_untrained = distils(lambda z, T: (z / T).softmax(-1), steps=0)
distil_three_steps = distils(lambda z, T: (z / T).softmax(-1), steps=3)
distil_wild_rate = distils(lambda z, T: (z / T).softmax(-1), rate=1.0)


def distil_ignores_temperature(student, x, teacher_logits, T):
    return trained(student, x, teacher_logits, lambda s, z: F.cross_entropy(s, z.softmax(-1)))


# --- 1.3 -------------------------------------------------------------------------------------------------------------


def top_mass(logits, k, T):
    return torch.softmax(logits / T, dim=-1).topk(k, dim=-1).values.sum(-1)


def top_mass_in_place(logits, k, T):
    logits /= T
    return torch.softmax(logits, dim=-1).topk(k, dim=-1).values.sum(-1)


def top_mass_renormalised(logits, k, T):
    return torch.softmax(logits.topk(k, dim=-1).values / T, dim=-1).sum(-1)


def top_mass_first_k(logits, k, T):
    return torch.softmax(logits / T, dim=-1)[..., :k].sum(-1)


def top_mass_without_temperature(logits, k, T):
    return torch.softmax(logits, dim=-1).topk(k, dim=-1).values.sum(-1)


def top_mass_of_batch(logits, k, T):
    return torch.softmax(logits / T, dim=-1).topk(k, dim=-1).values.sum()


def top_mass_smallest(logits, k, T):
    return torch.softmax(logits / T, dim=-1).sort(dim=-1).values[..., :k].sum(-1)


def top_mass_kth_only(logits, k, T):
    return torch.softmax(logits / T, dim=-1).topk(k, dim=-1).values[..., -1]


def top_mass_keeps_axis(logits, k, T):
    return torch.softmax(logits / T, dim=-1).topk(k, dim=-1).values.sum(-1, keepdim=True)


def top_mass_tempered_late(logits, k, T):
    return torch.softmax(logits, dim=-1).topk(k, dim=-1).values.sum(-1) / T


def top_mass_of_all(logits, k, T):
    return torch.softmax(logits / T, dim=-1).sum(-1)


def top_mass_multiplied(logits, k, T):
    return top_mass(logits, k, 1 / T)


def top_mass_by_threshold(logits, k, T):
    p = torch.softmax(logits / T, dim=-1)
    return torch.where(p >= p.topk(k, dim=-1).values[..., -1:], p, 0.0).sum(-1)


def top_mass_softmax_first_axis(logits, k, T):
    return torch.softmax(logits / T, dim=0).topk(k, dim=-1).values.sum(-1)


def top_mass_mean(logits, k, T):
    return top_mass(logits, k, T) / k


def top_mass_one_more(logits, k, T):
    return torch.softmax(logits / T, dim=-1).sort(descending=True).values[..., : k + 1].sum(-1)


def top_mass_by_numpy(logits, k, T):
    p = special.softmax(np.asarray(logits) / T, axis=-1)
    return np.sort(p, axis=-1)[..., -k:].sum(-1)


def top_mass_with_a_loop(logits, k, T):
    p, total = soften(logits, T), 0.0
    for _ in range(k):
        value, place = p.max(-1, keepdim=True)
        total, p = total + value.squeeze(-1), p.scatter(-1, place, 0.0)
    return total


# --- 1.4 -------------------------------------------------------------------------------------------------------------


def left(a=(2, 3, 4), b=(1,), c=(1, 2, 3, 4), d=(2,)):
    """An answer of the temperatures left to each teacher; by default the right one."""
    return lambda: {"A": list(a), "B": list(b), "C": list(c), "D": list(d)}


decide = left()


def decide_in_sets():
    return {"D": {2.0}, "C": range(1, 5), "B": (np.int64(1),), "A": {4, 3, 2}}


def decide_in_tensors():
    return {"A": torch.tensor([4, 2, 3]), "B": torch.ones(1), "C": np.arange(1, 5), "D": [torch.tensor(2)]}


def decide_forgets_to_return():
    answer = left()()
    answer["A"].sort()


# --- 1.5 -------------------------------------------------------------------------------------------------------------


def could_share(row_a, T_a, row_b, T_b, slack=0.005, pairs=None):
    for i, j in pairs or itertools.combinations(range(len(row_a)), 2):
        low, high = [], []
        for row, T in ((row_a, T_a), (row_b, T_b)):
            low.append(T * math.log((row[i] - slack) / (row[j] + slack)))
            high.append(T * math.log((row[i] + slack) / (row[j] - slack)))
        if max(low) > min(high):
            return False
    return True


def share_exactly(row_a, T_a, row_b, T_b):
    z_a, z_b = T_a * torch.tensor(row_a).log(), T_b * torch.tensor(row_b).log()
    return torch.allclose(z_a - z_a.mean(), z_b - z_b.mean(), atol=1e-3)


def share_first_pair(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, pairs=[(0, 1)])


def share_neighbours(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, pairs=[(i, i + 1) for i in range(len(row_a) - 1)])


def share_against_first(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, pairs=[(0, i) for i in range(1, len(row_a))])


def share_forgets_temperature(row_a, T_a, row_b, T_b):
    return could_share(row_a, 1.0, row_b, 1.0)


def share_same_order(row_a, T_a, row_b, T_b):
    return torch.tensor(row_a).argsort().tolist() == torch.tensor(row_b).argsort().tolist()


def share_wide_rounding(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, slack=0.01)


def share_narrow_rounding(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, slack=0.004)


def share_slightly_narrow(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, slack=0.0045)


def share_slightly_wide(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, slack=0.006)


def share_rounds_both_one_way(row_a, T_a, row_b, T_b):
    for i, j in itertools.combinations(range(len(row_a)), 2):
        ends = [
            sorted(T * math.log((row[i] + half) / (row[j] + half)) for half in (-0.005, 0.005))
            for row, T in ((row_a, T_a), (row_b, T_b))
        ]
        if max(ends[0][0], ends[1][0]) > min(ends[0][1], ends[1][1]):
            return False
    return True


def share_divides(row_a, T_a, row_b, T_b):
    return could_share(row_a, 1 / T_a, row_b, 1 / T_b)


def share_always(row_a, T_a, row_b, T_b):
    return True


def share_never(row_a, T_a, row_b, T_b):
    return False


def share_uncentred(row_a, T_a, row_b, T_b):
    return torch.allclose(T_a * torch.tensor(row_a).log(), T_b * torch.tensor(row_b).log(), atol=0.1)


def share_by_average(row_a, T_a, row_b, T_b):
    z_a, z_b = T_a * torch.tensor(row_a).log(), T_b * torch.tensor(row_b).log()
    return bool(((z_a - z_a.mean()) - (z_b - z_b.mean())).abs().mean() < 0.1)


def share_rounds_the_numerator_only(row_a, T_a, row_b, T_b):
    for i, j in itertools.combinations(range(len(row_a)), 2):
        ends = [
            [T * math.log((row[i] + half) / row[j]) for half in (-0.005, 0.005)]
            for row, T in ((row_a, T_a), (row_b, T_b))
        ]
        if max(ends[0][0], ends[1][0]) > min(ends[0][1], ends[1][1]):
            return False
    return True


def share_sizes_only(row_a, T_a, row_b, T_b):
    def up(row):
        return sorted(row, reverse=True)

    return could_share(up(row_a), T_a, up(row_b), T_b)


def share_three_classes(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, pairs=[(0, 1), (0, 2), (1, 2)])


def share_class_by_class(row_a, T_a, row_b, T_b):
    for a, b in zip(row_a, row_b):
        low = max(T_a * math.log(a - 0.005), T_b * math.log(b - 0.005))
        high = min(T_a * math.log(a + 0.005), T_b * math.log(b + 0.005))
        if low > high:
            return False
    return True


def share_sorts_in_place(row_a, T_a, row_b, T_b):
    answer = could_share(row_a, T_a, row_b, T_b)
    row_a.sort()
    return answer


def share_one_pair_is_enough(row_a, T_a, row_b, T_b):
    pairs = itertools.combinations(range(len(row_a)), 2)
    return any(could_share(row_a, T_a, row_b, T_b, pairs=[pair]) for pair in pairs)


def share_by_numpy(row_a, T_a, row_b, T_b):
    a, b = np.array(row_a), np.array(row_b)
    low_a, low_b = (T * np.log((r[:, None] - 0.005) / (r + 0.005)) for r, T in ((a, T_a), (b, T_b)))
    return (np.maximum(low_a, low_b) <= np.minimum(-low_a.T, -low_b.T) + np.eye(len(a))).all()


def share_both_ways(row_a, T_a, row_b, T_b):
    return could_share(row_a, T_a, row_b, T_b, pairs=list(itertools.permutations(range(len(row_a)), 2)))


# --- 1.6 -------------------------------------------------------------------------------------------------------------


def leads(right):
    """By how much each T is ahead of 1, student by student."""
    return {T: right[T].mean(-1) - right[1].mean(-1) for T in right if T != 1}


def choose(right):
    ahead = {T: lead for T, lead in leads(right).items() if lead.mean() > 2.5 * lead.std() / len(lead) ** 0.5}
    return max(ahead, key=lambda T: ahead[T].mean()) if ahead else 1


def choose_by_test(right):
    found = {T: stats.ttest_1samp(lead.numpy(), 0, alternative="greater").pvalue for T, lead in leads(right).items()}
    clear = [T for T, p in found.items() if p < 0.025]
    return max(clear, key=lambda T: right[T].mean().item(), default=1)


def choose_where_all_agree(right):
    clear = [T for T, lead in leads(right).items() if (lead > 0).all()]
    return np.float64(max(clear, key=lambda T: right[T].mean().item(), default=1))


def choose_highest(right):
    return max(right, key=lambda T: right[T].mean().item())


def choose_one(right):
    return 1


def choose_last(right):
    return max(right)


def choose_two(right):
    return 2


def choose_one_error(right):
    ahead = {T: lead for T, lead in leads(right).items() if lead.mean() > 0.3 * lead.std() / len(lead) ** 0.5}
    return max(ahead, key=lambda T: ahead[T].mean()) if ahead else 1


def choose_unpaired(right):
    def ends(each):
        means = each.mean(-1)
        half = 2.5 * means.std() / len(means) ** 0.5
        return means.mean() - half, means.mean() + half

    clear = [T for T in right if T != 1 and ends(right[T])[0] > ends(right[1])[1]]
    return max(clear, key=lambda T: right[T].mean().item(), default=1)


def choose_lowest_error_bar(right):
    return min(right, key=lambda T: right[T].mean(-1).std().item())


def choose_first_student(right):
    return max(right, key=lambda T: right[T][0].mean().item())


def choose_turned(right):
    return min(right, key=lambda T: right[T].mean().item())


def choose_smallest_that_wins(right):
    clear = [T for T, lead in leads(right).items() if lead.mean() > 2.5 * lead.std() / len(lead) ** 0.5]
    return min(clear, default=1)


def choose_the_score(right):
    return max(each.mean().item() for each in right.values())


def choose_with_the_population_s_deviation(right):
    ahead = {T: lead.numpy() for T, lead in leads(right).items()}
    clear = {T: lead.mean() for T, lead in ahead.items() if lead.mean() > 2.5 * lead.std() / len(lead) ** 0.5}
    return max(clear, key=clear.get, default=1)


def choose_in_place(right):
    best = choose(right)
    for each in right.values():
        each -= each.mean()
    return best


def choose_never_ten(right):
    return choose({T: each for T, each in right.items() if T < 10})


def choose_two_sided(right):
    clear = [T for T, lead in leads(right).items() if abs(lead.mean()) > 2.8 * lead.std() / len(lead) ** 0.5]
    return max(clear, key=lambda T: right[T].mean().item(), default=1)


RIGHT = {
    "1.1": soften,
    "1.2": distil,
    "1.3": top_mass,
    "1.4": decide,
    "1.5": could_share,
    "1.6": choose,
}
# Other right ways, each with its exercise.
ALSO_RIGHT = {
    "1.4": [decide_in_sets, decide_in_tensors],
    "1.1": [soften_by_numpy, soften_by_logsumexp],
    "1.2": [distil_by_divergence, distil_in_epochs_without_square],
    "1.3": [top_mass_by_numpy, top_mass_with_a_loop],
    "1.5": [share_by_numpy, share_both_ways],
    "1.6": [choose_by_test, choose_where_all_agree, choose_with_the_population_s_deviation],
}

WRONG = {
    "1.1": [
        soften_takes_the_mean_off,
        soften_hides_nan,
        soften_keeps_the_logarithm,
        soften_largest_size,
        soften_overflows,
        soften_multiplies,
        soften_divides_probabilities,
        soften_ignores_temperature,
        soften_over_everything,
        soften_one_maximum_for_all,
        soften_first_axis,
        soften_in_place,
        soften_power_of_probabilities,
        soften_clamps,
        soften_forgets_values,
    ],
    "1.2": [
        distil_divides_twice,
        distil_student_undivided,
        distil_teacher_undivided,
        distil_answers,
        distil_multiplies,
        distil_turned,
        distil_untrained,
        distil_three_steps,
        distil_wild_rate,
        distil_ignores_temperature,
        distil_returns_loss,
        distil_returns_nothing,
        distil_in_place,
    ],
    "1.3": [
        top_mass_of_all,
        top_mass_multiplied,
        top_mass_by_threshold,
        top_mass_softmax_first_axis,
        top_mass_mean,
        top_mass_one_more,
        top_mass_in_place,
        top_mass_renormalised,
        top_mass_first_k,
        top_mass_without_temperature,
        top_mass_of_batch,
        top_mass_smallest,
        top_mass_kth_only,
        top_mass_tempered_late,
        top_mass_keeps_axis,
    ],
    "1.4": [
        left(a=(1, 2, 3, 4)),  # sees no second choice that vanishes
        left(a=(4,)),
        left(a=()),
        left(b=()),
        left(b=(1, 2)),
        left(b=(1, 2, 3)),  # reads the left panel alone
        left(b=(1, 2, 3, 4)),
        left(c=(1,)),  # nothing rules the others out
        left(c=()),
        left(d=(1, 2)),  # reads the right panel alone
        left(d=(2, 3, 4)),  # reads the left panel alone
        left(d=(3,)),
        left(d=()),
        left(a=(1,), b=(2, 3, 4), c=(), d=(1, 3, 4)),  # those ruled out
        left(a=(1, 2, 3, 4), b=(1, 2, 3, 4), c=(1, 2, 3, 4), d=(1, 2, 3, 4)),
        left(d=(2, 2.5)),
        left(d=("two",)),
        lambda: {"A": 2, "B": 1, "C": 1, "D": 2},  # where to start
        lambda: {"A": [2, 3, 4], "B": [1], "C": [1, 2, 3, 4]},
        lambda: [[2, 3, 4], [1], [1, 2, 3, 4], [2]],
        decide_forgets_to_return,
    ],
    "1.5": [
        share_rounds_the_numerator_only,
        share_sizes_only,
        share_three_classes,
        share_class_by_class,
        share_sorts_in_place,
        share_one_pair_is_enough,
        share_exactly,
        share_first_pair,
        share_neighbours,
        share_against_first,
        share_forgets_temperature,
        share_same_order,
        share_wide_rounding,
        share_divides,
        share_always,
        share_never,
        share_uncentred,
        share_by_average,
        share_narrow_rounding,
        share_slightly_narrow,
        share_slightly_wide,
        share_rounds_both_one_way,
    ],
    "1.6": [
        choose_highest,
        choose_one,
        choose_last,
        choose_two,
        choose_one_error,
        choose_unpaired,
        choose_lowest_error_bar,
        choose_first_student,
        choose_turned,
        choose_smallest_that_wins,
        choose_the_score,
        choose_in_place,
        choose_never_ten,
        choose_two_sided,
    ],
}
