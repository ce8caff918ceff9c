"""Right and plausible wrong answers to the exercises of lesson 02."""

import math

import numpy as np
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


def means_of_predictions(logits, labels, T):
    return mean_soft_targets(1000 * F.one_hot(logits.argmax(-1), logits.shape[-1]).float(), labels, 1.0)


def means_overflow(logits, labels, T):
    p = (logits / T).exp()
    p = p / p.sum(-1, keepdim=True)
    return torch.stack([p[labels == label].mean(dim=0) for label in range(logits.shape[-1])])


def means_median(logits, labels, T):
    p = torch.softmax(logits / T, dim=-1)
    return torch.stack([p[labels == label].median(dim=0).values for label in range(logits.shape[-1])])


def means_of_logarithms(logits, labels, T):
    p = torch.log_softmax(logits / T, dim=-1)
    return torch.stack([p[labels == label].mean(dim=0).exp() for label in range(logits.shape[-1])])


def means_of_the_first_picture(logits, labels, T):
    p = torch.softmax(logits / T, dim=-1)
    return torch.stack([p[labels == label][0] for label in range(logits.shape[-1])])


def means_by_numpy(logits, labels, T):
    z = np.asarray(logits, dtype=float) / T
    p = np.exp(z - z.max(-1, keepdims=True))
    p /= p.sum(-1, keepdims=True)
    return np.array([p[np.asarray(labels) == label].mean(0) for label in range(p.shape[1])])


def means_in_a_loop(logits, labels, T):
    total, seen = torch.zeros(2, logits.shape[-1], logits.shape[-1])
    for row, label in zip(torch.softmax(logits / T, dim=-1), labels):
        total[label] += row
        seen[label] += 1
    return total / seen


# --- 2.2 -------------------------------------------------------------------------------------------------------------


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


def smooth_towards_frequencies(labels, classes, epsilon):
    hot = F.one_hot(labels, classes).float()
    return (1 - epsilon) * hot + epsilon * hot.mean(0)


def smooth_in_whole_numbers(labels, classes, epsilon):
    return F.one_hot(labels, classes) * int(1 - epsilon) + epsilon / classes


def smooth_one_class_short(labels, classes, epsilon):
    return smooth(labels, classes - 1, epsilon)


def smooth_first_label(labels, classes, epsilon):
    return smooth(labels[:1], classes, epsilon).expand(len(labels), -1)


def smooth_by_numpy(labels, classes, epsilon):
    return (1 - epsilon) * np.eye(classes)[np.asarray(labels)] + epsilon / classes


def smooth_in_a_loop(labels, classes, epsilon):
    rows = []
    for label in labels.tolist():
        rows.append([epsilon / classes + (1 - epsilon) * (place == label) for place in range(classes)])
    return rows


# --- 2.3 -------------------------------------------------------------------------------------------------------------


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


def flatten_by_a_ratio(targets, labels):
    flat = without_class_information(targets, labels)
    own = F.one_hot(labels, targets.shape[-1]).bool()
    wrong = targets.masked_fill(own, 0.0)
    return torch.where(own, targets, flat * wrong.sum(-1, keepdim=True) / wrong.sum(-1, keepdim=True))


def flatten_adds_up_the_wrong(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).bool()
    return torch.where(own, targets, targets.masked_fill(own, 0.0).sum(-1, keepdim=True))


def flatten_the_second_largest(targets, labels):
    out = without_class_information(targets, labels)
    return torch.where(targets == targets.amax(-1, keepdim=True), targets, out)


def flatten_scales_all(targets, labels):
    own = F.one_hot(labels, targets.shape[-1]).float()
    out = targets * own + targets.mean(-1, keepdim=True) * (1 - own)
    return out / out.sum(-1, keepdim=True)


def flatten_by_numpy(targets, labels):
    p, rows = np.asarray(targets).copy(), np.arange(len(targets))
    on = p[rows, np.asarray(labels)]
    p[:] = ((1 - on) / (p.shape[1] - 1))[:, None]
    p[rows, np.asarray(labels)] = on
    return p


def flatten_in_a_loop(targets, labels):
    out = []
    for row, label in zip(targets.tolist(), labels.tolist()):
        others = [value for place, value in enumerate(row) if place != label]
        out.append([row[label] if place == label else sum(others) / len(others) for place in range(len(row))])
    return out


# --- 2.4 -------------------------------------------------------------------------------------------------------------


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


def bias_to_a_tenth(logits, label, share):
    return round(bias_for_share(logits, label, share), 1)


def bias_narrow_bisection(logits, label, share):
    return max(-10.0, min(10.0, bias_for_share(logits, label, share)))


def bias_of_four_hundred(logits, label, share):
    needed = needed_bias(logits, label).sort().values
    return needed[min(round(400 * share), len(needed) - 1)].item() - 1e-6


def bias_against_the_second_largest(logits, label, share):
    return torch.quantile(logits.topk(2, dim=-1).values[:, 1] - logits[:, label], share).item()


def bias_of_the_mean_picture(logits, label, share):
    return needed_bias(logits, label).mean().item()


def bias_by_numpy(logits, label, share):
    z = np.asarray(logits)
    return np.quantile(np.delete(z, label, axis=1).max(1) - z[:, label], share)


def bias_in_a_loop(logits, label, share):
    needed = []
    for row in logits.tolist():
        needed.append(max(value for place, value in enumerate(row) if place != label) - row[label])
    return math.nextafter(sorted(needed)[round(share * len(needed)) - 1], math.inf) + 1e-4


# --- 2.5 -------------------------------------------------------------------------------------------------------------


def counts(label_price, ask_price, setup, budget):
    return int(budget / label_price + 1e-9), max(0, int((budget - setup) / ask_price + 1e-9))


def plan(pool, label_price, ask_price, setup, budget):
    labels, asked = counts(label_price, ask_price, setup, budget)
    return ([], pool[:asked]) if asked > labels else (pool[:labels], [])


def plan_fills_up(pool, label_price, ask_price, setup, budget):
    """All but one euro for whoever gives more, the rest for people's labels, as lists."""
    labels, asked = counts(label_price, ask_price, setup, budget - 1)
    few = int(1 / label_price)
    if asked > labels:
        return pool[asked : asked + few].tolist(), pool[:asked].tolist()
    return pool[: labels + few].tolist(), []


def plan_from_the_end(pool, label_price, ask_price, setup, budget):
    labels, asked = counts(label_price, ask_price, setup, budget)
    some = torch.from_numpy(pool).flip(0)[: max(labels, asked)]
    none = torch.empty(0, dtype=torch.long)
    return (none, some) if asked > labels else (some, none)


def plan_the_cheaper(pool, label_price, ask_price, setup, budget):
    """Looks at the price of a sentence alone, and asks only where it can pay the set-up."""
    if ask_price < label_price and setup < budget:
        return [], pool[: int((budget - setup) / ask_price)]
    return pool[: int(budget / label_price)], []


def plan_forgets_the_setup(pool, label_price, ask_price, setup, budget):
    return plan(pool, label_price, ask_price, 0, budget)


def plan_sets_up_in_any_case(pool, label_price, ask_price, setup, budget):
    return plan(pool, label_price, ask_price, 0, budget - setup)


def plan_negative_count(pool, label_price, ask_price, setup, budget):
    count = int((budget - setup) / ask_price)
    return ([], pool[:count]) if abs(count) > budget / label_price else (pool[: int(budget / label_price)], [])


def plan_labels(pool, label_price, ask_price, setup, budget):
    return pool[: int(budget / label_price)], []


def plan_asks(pool, label_price, ask_price, setup, budget):
    return [], pool[: max(0, int((budget - setup) / ask_price))]


def plan_turned_round(pool, label_price, ask_price, setup, budget):
    return plan(pool, label_price, ask_price, setup, budget)[::-1]


def plan_always_five_thousand(pool, label_price, ask_price, setup, budget):
    return [], pool[:5000]


def plan_both_for_all(pool, label_price, ask_price, setup, budget):
    count = max(1, int((budget - setup) / (label_price + ask_price)))
    return pool[:count], pool[:count]


def plan_positions(pool, label_price, ask_price, setup, budget):
    return [range(len(places)) for places in plan(pool, label_price, ask_price, setup, budget)]


def plan_mask(pool, label_price, ask_price, setup, budget):
    mask = torch.arange(len(pool)) < 3000
    return (mask, ~mask) if label_price < ask_price else (~mask, mask)


def plan_counts(pool, label_price, ask_price, setup, budget):
    return counts(label_price, ask_price, setup, budget)


def plan_one_list(pool, label_price, ask_price, setup, budget):
    return pool[: max(counts(label_price, ask_price, setup, budget))]


def plan_saves(pool, label_price, ask_price, setup, budget):
    return [places[: len(places) // 4] for places in plan(pool, label_price, ask_price, setup, budget)]


def plan_halves(pool, label_price, ask_price, setup, budget):
    """Half for people; the other half for the teacher, if that sets it up."""
    count = int(budget / 2 / label_price)
    return pool[:count], pool[count : count + max(0, int((budget / 2 - setup) / ask_price))]


def plan_twice_the_same(pool, label_price, ask_price, setup, budget):
    return [[*places[: len(places) // 2]] * 2 for places in plan(pool, label_price, ask_price, setup, budget)]


def plan_a_place_outside_the_pool(pool, label_price, ask_price, setup, budget):
    not_for_sale = min(set(range(20000)) - set(pool.tolist()))
    bought = plan(pool, label_price, ask_price, setup, budget)
    return [[*places[:-1], not_for_sale] if len(places) else [] for places in bought]


def plan_nothing(pool, label_price, ask_price, setup, budget):
    return [], []


def plan_rounds_up(pool, label_price, ask_price, setup, budget):
    to_label, to_ask = plan(pool, label_price, ask_price, setup, budget)
    return pool[: len(to_label) + 1] if len(to_label) else [], pool[: len(to_ask) + 1] if len(to_ask) else []


# --- 2.6 -------------------------------------------------------------------------------------------------------------


def named(order, words):
    return dict(zip(order, words))


def diagnose(students):
    answers = max(students, key=lambda letter: students[letter]["overconfidence"])
    rest = sorted(set(students) - {answers}, key=lambda letter: students[letter]["accuracy"])
    return {answers: "answers", rest[0]: "shuffled", rest[1]: "intended"}


def diagnose_by_nats_and_confidence(students):
    found = {min(students, key=lambda letter: students[letter]["nats"]): "intended"}
    surest = max(students, key=lambda letter: students[letter]["overconfidence"])
    return found | {surest: "answers"} | {letter: "shuffled" for letter in students if letter not in (*found, surest)}


def diagnose_by_a_threshold(students):
    words = {letter: "answers" for letter, scores in students.items() if scores["overconfidence"] > 0.02}
    rest = {letter: scores["nats"] + 10 * (1 - scores["accuracy"]) for letter, scores in students.items()}
    first, second = sorted(set(students) - set(words), key=rest.get)
    return words | {first: "intended", second: "shuffled"}


def diagnose_by_nats(students):
    return named(sorted(students, key=lambda letter: students[letter]["nats"]), ("intended", "shuffled", "answers"))


def diagnose_by_accuracy(students):
    order = sorted(students, key=lambda letter: -students[letter]["accuracy"])
    return named(order, ("intended", "answers", "shuffled"))


def diagnose_accuracy_turned(students):
    order = sorted(students, key=lambda letter: -students[letter]["accuracy"])
    return named(order, ("intended", "shuffled", "answers"))


def diagnose_by_confidence(students):
    order = sorted(students, key=lambda letter: students[letter]["overconfidence"])
    return named(order, ("intended", "shuffled", "answers"))


def diagnose_by_confidence_otherwise(students):
    order = sorted(students, key=lambda letter: students[letter]["overconfidence"])
    return named(order, ("shuffled", "intended", "answers"))


def diagnose_by_size_of_overconfidence(students):
    order = sorted(students, key=lambda letter: abs(students[letter]["overconfidence"]))
    return named(order, ("intended", "shuffled", "answers"))


def diagnose_the_worst_is_answers(students):
    """The largest nats for answers, the rest by accuracy."""
    answers = max(students, key=lambda letter: students[letter]["nats"])
    rest = sorted(set(students) - {answers}, key=lambda letter: students[letter]["accuracy"])
    return {answers: "answers", rest[0]: "shuffled", rest[1]: "intended"}


def diagnose_nats_as_a_score(students):
    return named(sorted(students, key=lambda letter: -students[letter]["nats"]), ("intended", "shuffled", "answers"))


def diagnose_by_letter(students):
    return {"A": "answers", "B": "intended", "C": "shuffled"}


def diagnose_all_intended(students):
    return dict.fromkeys(students, "intended")


def diagnose_other_words(students):
    return {letter: {"answers": "hard"}.get(word, word) for letter, word in diagnose(students).items()}


def diagnose_words_first(students):
    return {word: letter for letter, word in diagnose(students).items()}


def diagnose_one(students):
    return max(students, key=lambda letter: students[letter]["accuracy"])


RIGHT = {
    "2.1": mean_soft_targets,
    "2.2": smooth,
    "2.3": without_class_information,
    "2.4": bias_for_share,
    "2.5": plan,
    "2.6": diagnose,
}
# Other right ways, each with its exercise, for whoever tests the checks.
ALSO_RIGHT = {
    "2.1": [means_by_numpy, means_in_a_loop, mean_soft_targets_matrix],
    "2.2": [smooth_by_numpy, smooth_in_a_loop],
    "2.3": [flatten_by_numpy, flatten_in_a_loop],
    "2.4": [bias_by_numpy, bias_in_a_loop, bias_by_quantile, bias_by_bisection],
    "2.5": [plan_fills_up, plan_from_the_end],
    "2.6": [diagnose_by_nats_and_confidence, diagnose_by_a_threshold],
}
WRONG = {
    "2.1": [
        means_of_predictions,
        means_overflow,
        means_median,
        means_of_logarithms,
        means_of_the_first_picture,
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
        smooth_towards_frequencies,
        smooth_in_whole_numbers,
        smooth_one_class_short,
        smooth_first_label,
        smooth_wrong_classes_only,
        smooth_sums_to_more,
        smooth_without_division,
        smooth_counts_labels,
        smooth_swapped,
        smooth_label_keeps_less,
        smooth_softmax,
        smooth_hard,
    ],
    "2.3": [
        flatten_by_a_ratio,
        flatten_adds_up_the_wrong,
        flatten_the_second_largest,
        flatten_scales_all,
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
    "2.4": [
        bias_to_a_tenth,
        bias_narrow_bisection,
        bias_of_four_hundred,
        bias_against_the_second_largest,
        bias_of_the_mean_picture,
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
    "2.5": [
        plan_the_cheaper,
        plan_forgets_the_setup,
        plan_sets_up_in_any_case,
        plan_negative_count,
        plan_labels,
        plan_asks,
        plan_turned_round,
        plan_always_five_thousand,
        plan_both_for_all,
        plan_positions,
        plan_mask,
        plan_counts,
        plan_one_list,
        plan_saves,
        plan_halves,
        plan_twice_the_same,
        plan_a_place_outside_the_pool,
        plan_nothing,
        plan_rounds_up,
    ],
    "2.6": [
        diagnose_by_accuracy,
        diagnose_accuracy_turned,
        diagnose_by_confidence,
        diagnose_by_confidence_otherwise,
        diagnose_by_nats,
        diagnose_the_worst_is_answers,
        diagnose_by_size_of_overconfidence,
        diagnose_nats_as_a_score,
        diagnose_by_letter,
        diagnose_all_intended,
        diagnose_other_words,
        diagnose_words_first,
        diagnose_one,
    ],
}
