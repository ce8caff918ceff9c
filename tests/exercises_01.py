"""Right and plausible wrong answers to the exercises of lesson 01."""

import itertools
import math

import torch

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


# --- 1.2 -------------------------------------------------------------------------------------------------------------


def entropy(p):
    return -torch.where(p > 0, p * p.clamp(min=1e-30).log(), 0.0).sum(-1)


def entropy_floor_too_high(p):
    return -(p * p.clamp(min=1e-6).log()).sum(-1)


def entropy_nan(p):
    return -(p * p.log()).sum(-1)


def entropy_bits(p):
    return -(p * p.clamp(min=1e-30).log2()).sum(-1)


def entropy_sign(p):
    return (p * p.clamp(min=1e-30).log()).sum(-1)


def entropy_mean(p):
    return -(p * p.clamp(min=1e-30).log()).mean(-1)


def entropy_of_everything(p):
    return -(p * p.clamp(min=1e-30).log()).sum()


def entropy_coarse_constant(p):
    return -(p * (p + 1e-4).log()).sum(-1)


def entropy_softmax_again(p):
    return entropy(torch.softmax(p, dim=-1))


def entropy_keeps_axis(p):
    return entropy(p).unsqueeze(-1)


def entropy_without_weights(p):
    return -p.clamp(min=1e-30).log().sum(-1)


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


# --- 1.4 -------------------------------------------------------------------------------------------------------------


def bisect(logits, target, low, high, steps, grows=True, geometric=True):
    for _ in range(steps):
        middle = math.sqrt(low * high) if geometric else (low + high) / 2
        if (entropy(torch.softmax(logits.double() / middle, dim=-1)).item() < target) == grows:
            low = middle
        else:
            high = middle
    return middle


def temperature_for_entropy(logits, target):
    return bisect(logits, target, 1e-4, 1e4, 60)


def temperature_in_a_tensor(logits, target):
    return torch.tensor(temperature_for_entropy(logits, target))


def temperature_in_a_vector(logits, target):
    return torch.tensor([temperature_for_entropy(logits, target)])


def temperature_between_the_promised_ends(logits, target):
    return bisect(logits, target, 0.01, 200.0, 50)


def temperature_wrong_half(logits, target):
    return bisect(logits, target, 1e-4, 1e4, 60, grows=False)


def temperature_few_steps(logits, target):
    return bisect(logits, target, 1e-3, 1e3, 10)


def temperature_narrow_ends(logits, target):
    return bisect(logits, target, 0.1, 10.0, 60)


def temperature_from_a_fine_grid(logits, target):
    grid = torch.logspace(-2, math.log10(200), 1000, dtype=torch.float64).unsqueeze(-1)
    return grid[(entropy(torch.softmax(logits / grid, dim=-1)) - target).abs().argmin()]


def temperature_of_the_page(logits, target):
    return bisect(logits, target, 0.1, 100.0, 20)


def temperature_low_end_too_high(logits, target):
    return bisect(logits, target, 0.1, 1e3, 60)


def temperature_high_end_too_low(logits, target):
    return bisect(logits, target, 1e-3, 100.0, 60)


def temperature_twenty_linear_steps(logits, target):
    return bisect(logits, target, 1e-3, 1e3, 20, geometric=False)


def temperature_through_nan(logits, target, soften=soften_overflows, low=1e-3, high=1e3):
    for _ in range(50):
        middle = math.sqrt(low * high)
        if entropy_nan(soften(logits, middle)) < target:
            low = middle
        else:
            high = middle
    return middle


def temperature_through_nan_of_zero(logits, target):
    return temperature_through_nan(logits, target, soften=soften)


def temperature_through_nan_from_the_promised_ends(logits, target):
    return temperature_through_nan(logits, target, low=0.01, high=200.0)


def temperature_as_text(logits, target):
    return f"{temperature_for_entropy(logits, target):.6f}"


def temperature_in_bits(logits, target):
    return bisect(logits, target / math.log(2), 1e-4, 1e4, 60)


def temperature_linear_and_short(logits, target):
    return bisect(logits, target, 1e-4, 1e4, 15, geometric=False)


def temperature_by_proportion(logits, target):
    return target / entropy(torch.softmax(logits, dim=-1)).item()


def temperature_from_a_grid(logits, target):
    grid = [0.1 * step for step in range(1, 1000)]
    return min(grid, key=lambda T: abs(entropy(torch.softmax(logits.double() / T, dim=-1)).item() - target))


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


RIGHT = {
    "1.1": soften,
    "1.2": entropy,
    "1.3": top_mass,
    "1.4": temperature_for_entropy,
    "1.5": could_share,
}
# Other right ways, each with its exercise.
ALSO_RIGHT = {
    "1.4": [temperature_in_a_tensor, temperature_in_a_vector, temperature_between_the_promised_ends],
}

WRONG = {
    "1.1": [
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
        entropy_floor_too_high,
        entropy_nan,
        entropy_bits,
        entropy_sign,
        entropy_mean,
        entropy_of_everything,
        entropy_coarse_constant,
        entropy_softmax_again,
        entropy_without_weights,
        entropy_keeps_axis,
    ],
    "1.3": [
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
        temperature_wrong_half,
        temperature_few_steps,
        temperature_narrow_ends,
        temperature_in_bits,
        temperature_linear_and_short,
        temperature_by_proportion,
        temperature_from_a_grid,
        temperature_from_a_fine_grid,
        temperature_of_the_page,
        temperature_low_end_too_high,
        temperature_high_end_too_low,
        temperature_twenty_linear_steps,
        temperature_through_nan,
        temperature_through_nan_of_zero,
        temperature_through_nan_from_the_promised_ends,
        temperature_as_text,
    ],
    "1.5": [
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
}
