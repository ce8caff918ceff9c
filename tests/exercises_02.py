"""Right and plausible wrong answers to the exercises of lesson 02."""

import torch
import torch.nn.functional as F

# --- 2.1 -------------------------------------------------------------------------------------------------------------


def mean_soft_targets(logits, labels, T):
    p = torch.softmax(logits / T, dim=-1)
    return torch.stack([p[labels == label].mean(dim=0) for label in range(logits.shape[-1])])


def means_in_place(logits, labels, T):
    logits /= T
    return mean_soft_targets(logits, labels, 1.0)


def mean_soft_targets_matrix(logits, labels, T):
    member = F.one_hot(labels, logits.shape[-1]).float()
    return member.T @ torch.softmax(logits / T, dim=-1) / member.sum(0).unsqueeze(-1)


def means_without_temperature(logits, labels, T):
    return mean_soft_targets(logits, labels, 1.0)


def means_at_a_fixed_temperature(logits, labels, T):
    return mean_soft_targets(logits, labels, 4)


def means_multiplied(logits, labels, T):
    return mean_soft_targets(logits, labels, 1 / T)


def means_of_logits_first(logits, labels, T):
    rows = torch.stack([logits[labels == label].mean(dim=0) for label in range(logits.shape[-1])])
    return torch.softmax(rows / T, dim=-1)


def means_transposed(logits, labels, T):
    return mean_soft_targets(logits, labels, T).T


def means_over_all_images(logits, labels, T):
    return F.one_hot(labels, logits.shape[-1]).float().T @ torch.softmax(logits / T, dim=-1) / len(labels)


def means_as_sums(logits, labels, T):
    return F.one_hot(labels, logits.shape[-1]).float().T @ torch.softmax(logits / T, dim=-1)


def means_by_prediction(logits, labels, T):
    return mean_soft_targets(logits, logits.argmax(-1), T)


def means_softmax_over_images(logits, labels, T):
    p = torch.softmax(logits / T, dim=0)
    return torch.stack([p[labels == label].mean(dim=0) for label in range(logits.shape[-1])])


def means_of_ten_classes(logits, labels, T):
    p = torch.softmax(logits / T, dim=-1)
    return torch.stack([p[labels == label].mean(dim=0) for label in range(10)])


# --- 2.2 -------------------------------------------------------------------------------------------------------------


def nearest_classes(matrix):
    return matrix.clone().fill_diagonal_(-1.0).argmax(dim=-1)


def nearest_classes_list(matrix):
    matrix = matrix - 2 * torch.eye(len(matrix))
    return [row.argmax().item() for row in matrix]


def nearest_is_itself(matrix):
    return matrix.argmax(dim=-1)


def nearest_down_columns(matrix):
    return matrix.clone().fill_diagonal_(-1.0).argmax(dim=0)


def nearest_second_largest(matrix):
    return matrix.argsort(dim=-1, descending=True)[:, 1]


def nearest_in_place(matrix):
    return matrix.fill_diagonal_(-1.0).argmax(dim=-1)


def nearest_smallest(matrix):
    return matrix.clone().fill_diagonal_(2.0).argmin(dim=-1)


def nearest_symmetrised(matrix):
    return nearest_classes(matrix + matrix.T)


def nearest_shifted_index(matrix):
    kept = matrix[~torch.eye(len(matrix), dtype=torch.bool)].view(len(matrix), -1)
    return kept.argmax(dim=-1)


def nearest_value(matrix):
    return matrix.clone().fill_diagonal_(-1.0).amax(dim=-1)


# --- 2.3 -------------------------------------------------------------------------------------------------------------


def smooth(labels, classes, epsilon):
    return (1 - epsilon) * F.one_hot(labels, classes).float() + epsilon / classes


def smooth_wrong_classes_only(labels, classes, epsilon):
    hot = F.one_hot(labels, classes).float()
    return (1 - epsilon) * hot + epsilon / (classes - 1) * (1 - hot)


def smooth_sums_to_more(labels, classes, epsilon):
    return F.one_hot(labels, classes).float() + epsilon / classes


def smooth_without_division(labels, classes, epsilon):
    return (1 - epsilon) * F.one_hot(labels, classes).float() + epsilon


def smooth_counts_labels(labels, classes, epsilon):
    hot = F.one_hot(labels).float()
    return (1 - epsilon) * hot + epsilon / hot.shape[-1]


def smooth_swapped(labels, classes, epsilon):
    return epsilon * F.one_hot(labels, classes).float() + (1 - epsilon) / classes


def smooth_label_keeps_less(labels, classes, epsilon):
    hot = F.one_hot(labels, classes).float()
    return (1 - epsilon) * hot + epsilon / classes * (1 - hot)


def smooth_softmax(labels, classes, epsilon):
    return torch.softmax(F.one_hot(labels, classes).float() / max(epsilon, 1e-3), dim=-1)


def smooth_hard(labels, classes, epsilon):
    return F.one_hot(labels, classes).float()


# --- 2.4 -------------------------------------------------------------------------------------------------------------


def without_class_information(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    on = targets[own].unsqueeze(-1)
    return torch.where(own, on, (1 - on) / (targets.shape[-1] - 1))


def flatten_ten_classes(targets, labels):
    own = F.one_hot(labels, 10).bool()
    on = targets[own].unsqueeze(-1)
    return torch.where(own, on, (1 - on) / 9)


def flatten_largest(targets, labels):
    return without_class_information(targets, targets.argmax(-1))


def flatten_divides_by_all(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    on = targets[own].unsqueeze(-1)
    return torch.where(own, on, (1 - on) / targets.shape[-1])


def flatten_over_batch(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    on = targets[own].mean()
    return torch.where(own, on, (1 - on) / (targets.shape[-1] - 1))


def flatten_mean_of_rest_over_batch(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    return torch.where(own, targets, targets[~own].mean())


def flatten_each_class_over_batch(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    rest = targets.masked_fill(own, 0.0)
    mean = rest.sum(0) / (~own).sum(0).clamp(min=1)
    out = torch.where(own, 0.0, mean)
    return torch.where(own, targets, out / out.sum(-1, keepdim=True) * (1 - targets[own].unsqueeze(-1)))


def flatten_mean_with_label(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    return torch.where(own, targets, targets.mean(-1, keepdim=True))


def flatten_shuffles(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    others = targets[~own].view(len(targets), -1)
    out = targets.clone()
    out[~own] = others[:, torch.randperm(others.shape[-1])].flatten()
    return out


def flatten_reverses(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    out = targets.clone()
    out[~own] = targets[~own].view(len(targets), -1).flip(-1).flatten()
    return out


def flatten_drops_the_rest(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    return torch.where(own, targets, torch.zeros(()))


def flatten_in_place(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    targets[~own] = ((1 - targets[own]) / (targets.shape[-1] - 1)).repeat_interleave(targets.shape[-1] - 1)
    return targets


def flatten_does_nothing(targets, labels):
    return targets.clone()


def flatten_smoothing(targets, labels):
    return smooth(labels, targets.shape[-1], 0.1)


# --- 2.5 -------------------------------------------------------------------------------------------------------------


def needed_bias(logits, label):
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], dim=-1)
    return others.amax(-1) - logits[:, label]


def bias_for_share(logits, label, share):
    needed = needed_bias(logits, label).sort().values
    count = round(share * len(needed))
    return ((needed[count - 1] + needed[count]) / 2).item()


def bias_by_quantile(logits, label, share):
    return torch.quantile(needed_bias(logits, label), share)


def bias_by_bisection(logits, label, share):
    low, high = -1000.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        moved = logits.clone()
        moved[:, label] += middle
        if (moved.argmax(-1) == label).float().mean() < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def bias_sign(logits, label, share):
    return -bias_for_share(logits, label, share)


def bias_other_end(logits, label, share):
    return torch.quantile(needed_bias(logits, label), 1 - share).item()


def bias_mean_probability(logits, label, share):
    low, high = -1000.0, 1000.0
    for _ in range(60):
        middle = (low + high) / 2
        moved = logits.double()
        moved[:, label] += middle
        if torch.softmax(moved, dim=-1)[:, label].mean() < share:
            low = middle
        else:
            high = middle
    return (low + high) / 2


def bias_against_mean_logit(logits, label, share):
    others = torch.cat([logits[:, :label], logits[:, label + 1 :]], dim=-1)
    return torch.quantile(others.mean(-1) - logits[:, label], share).item()


def bias_against_all_logits(logits, label, share):
    return torch.quantile(logits.amax(-1) - logits[:, label], share).item()


def bias_on_a_grid(logits, label, share):
    def off(bias):
        moved = logits.clone()
        moved[:, label] += bias
        return abs((moved.argmax(-1) == label).float().mean().item() - share)

    return min((step / 2 for step in range(21)), key=off)


def bias_positive_only(logits, label, share):
    return max(0.0, bias_for_share(logits, label, share))


def bias_log_odds(logits, label, share):
    now = (logits.argmax(-1) == label).float().mean().clamp(0.001, 0.999)
    return (torch.logit(torch.tensor(share)) - torch.logit(now)).item()


def bias_always_class_3(logits, label, share):
    return bias_for_share(logits, 3, share)


def bias_none(logits, label, share):
    return 0.0


def bias_counts_images(logits, label, share):
    return needed_bias(logits, label).sort().values[int(share * 200)].item()


def bias_in_place(logits, label, share):
    answer = bias_for_share(logits, label, share)
    logits[:, label] += answer
    return answer


RIGHT = {
    "2.1": mean_soft_targets,
    "2.2": nearest_classes,
    "2.3": smooth,
    "2.4": without_class_information,
    "2.5": bias_for_share,
}
# Other right ways, each with its exercise, for whoever tests the checks.
ALSO_RIGHT = {
    "2.1": [mean_soft_targets_matrix],
    "2.2": [nearest_classes_list],
    "2.5": [bias_by_quantile, bias_by_bisection],
}
WRONG = {
    "2.1": [
        means_in_place,
        means_without_temperature,
        means_at_a_fixed_temperature,
        means_multiplied,
        means_of_logits_first,
        means_transposed,
        means_over_all_images,
        means_as_sums,
        means_by_prediction,
        means_softmax_over_images,
        means_of_ten_classes,
    ],
    "2.2": [
        nearest_is_itself,
        nearest_down_columns,
        nearest_second_largest,
        nearest_in_place,
        nearest_smallest,
        nearest_symmetrised,
        nearest_shifted_index,
        nearest_value,
    ],
    "2.3": [
        smooth_wrong_classes_only,
        smooth_sums_to_more,
        smooth_without_division,
        smooth_counts_labels,
        smooth_swapped,
        smooth_label_keeps_less,
        smooth_softmax,
        smooth_hard,
    ],
    "2.4": [
        flatten_largest,
        flatten_ten_classes,
        flatten_divides_by_all,
        flatten_over_batch,
        flatten_mean_of_rest_over_batch,
        flatten_each_class_over_batch,
        flatten_mean_with_label,
        flatten_shuffles,
        flatten_reverses,
        flatten_drops_the_rest,
        flatten_in_place,
        flatten_does_nothing,
        flatten_smoothing,
    ],
    "2.5": [
        bias_sign,
        bias_other_end,
        bias_mean_probability,
        bias_against_mean_logit,
        bias_against_all_logits,
        bias_on_a_grid,
        bias_positive_only,
        bias_log_odds,
        bias_always_class_3,
        bias_none,
        bias_counts_images,
        bias_in_place,
    ],
}
