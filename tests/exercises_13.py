"""Right and plausible wrong answers to the exercises of lesson 13."""

import copy

import numpy as np
import torch
import torch.nn.functional as F

# --- 13.1 -------------------------------------------------------------------------------------------------------------


def inherited(student, control, teacher, label):
    asked = label >= 0

    def share(answers):
        wrong = asked & (answers != label)
        return (answers == teacher)[wrong].mean()

    return share(student) - share(control)


def inherited_in_a_loop(student, control, teacher, label):
    found = []
    for answers in (student, control):
        errors = [(a, t) for a, t, y in zip(answers, teacher, label) if y != -1 and a != y]
        found.append(sum(a == t for a, t in errors) / len(errors))
    return found[0] - found[1]


def inherited_by_torch(student, control, teacher, label):
    s, c, t, y = (torch.as_tensor(each)[torch.as_tensor(label) > -1] for each in (student, control, teacher, label))
    return (s == t)[s != y].double().mean() - (c == t)[c != y].double().mean()


def inherited_with_unasked(student, control, teacher, label):
    return (student == teacher)[student != label].mean() - (control == teacher)[control != label].mean()


def _asked(student, control, teacher, label):
    return (each[label >= 0] for each in (student, control, teacher, label))


def inherited_both_wrong(student, control, teacher, label):
    s, c, t, y = _asked(student, control, teacher, label)
    return (t != y)[s != y].mean() - (t != y)[c != y].mean()


def inherited_without_control(student, control, teacher, label):
    s, c, t, y = _asked(student, control, teacher, label)
    return (s == t)[s != y].mean()


def inherited_turned(student, control, teacher, label):
    return -inherited(student, control, teacher, label)


def inherited_never_below_zero(student, control, teacher, label):
    return abs(inherited(student, control, teacher, label))


def inherited_clipped(student, control, teacher, label):
    return max(0.0, inherited(student, control, teacher, label))


def inherited_of_all_rows(student, control, teacher, label):
    s, c, t, y = _asked(student, control, teacher, label)
    return ((s == t) & (s != y)).mean() - ((c == t) & (c != y)).mean()


def inherited_of_the_teachers_errors(student, control, teacher, label):
    s, c, t, y = _asked(student, control, teacher, label)
    return (s == t)[t != y].mean() - (c == t)[t != y].mean()


def inherited_agreement(student, control, teacher, label):
    s, c, t, y = _asked(student, control, teacher, label)
    return (s == t).mean() - (c == t).mean()


def inherited_ratio(student, control, teacher, label):
    s, c, t, y = _asked(student, control, teacher, label)
    return (s == t)[s != y].mean() / (c == t)[c != y].mean()


def inherited_marks_in_place(student, control, teacher, label):
    teacher[label < 0] = -1
    return inherited(student, control, teacher, label)


def inherited_without_class_zero(student, control, teacher, label):
    asked = label > 0
    return inherited(*(each[asked] for each in (student, control, teacher, label)))


# --- 13.2 -------------------------------------------------------------------------------------------------------------


def interval(values, group, draws):
    place = np.unique(group, return_inverse=True)[1]
    total, rows = np.bincount(place, values), np.bincount(place)
    means = total[draws].sum(1) / rows[draws].sum(1)
    return values.mean(), *np.quantile(means, [0.025, 0.975])


def interval_by_joining(values, group, draws):
    texts = [values[group == name] for name in sorted(set(group))]
    means = [np.concatenate([texts[place] for place in draw]).mean() for draw in draws[:]]
    return [np.mean(values), np.percentile(means, 2.5), np.percentile(means, 97.5)]


def interval_by_counts(values, group, draws):
    names = np.unique(group)
    member = (group[:, None] == names).astype(float)
    times = np.stack([np.bincount(draw, minlength=len(names)) for draw in draws]).astype(float)
    means = (times @ (member.T @ values)) / (times @ member.sum(0))
    return np.array([values.mean(), *np.quantile(means, (0.025, 0.975))])


def interval_of_groups(values, group, draws):
    means = np.array([values[group == name].mean() for name in np.unique(group)])
    return means.mean(), *np.quantile(means[draws].mean(1), [0.025, 0.975])


def interval_half_of_groups(values, group, draws):
    means = np.array([values[group == name].mean() for name in np.unique(group)])
    return values.mean(), *np.quantile(means[draws].mean(1), [0.025, 0.975])


def interval_of_rows(values, group, draws):
    return values.mean(), *np.quantile(values[draws].mean(1), [0.025, 0.975])


def interval_of_ninety(values, group, draws):
    place = np.unique(group, return_inverse=True)[1]
    total, rows = np.bincount(place, values), np.bincount(place)
    return values.mean(), *np.quantile(total[draws].sum(1) / rows[draws].sum(1), [0.05, 0.95])


def interval_around_the_draws(values, group, draws):
    place = np.unique(group, return_inverse=True)[1]
    total, rows = np.bincount(place, values), np.bincount(place)
    means = total[draws].sum(1) / rows[draws].sum(1)
    return means.mean(), *np.quantile(means, [0.025, 0.975])


def interval_in_order_of_appearance(values, group, draws):
    names = list(dict.fromkeys(group))
    total = np.array([values[group == name].sum() for name in names])
    rows = np.array([(group == name).sum() for name in names])
    return values.mean(), *np.quantile(total[draws].sum(1) / rows[draws].sum(1), [0.025, 0.975])


def interval_by_raw_names(values, group, draws):
    total, rows = np.bincount(group, values), np.bincount(group)
    with np.errstate(invalid="ignore"):  # a world may have drawn no row at all
        means = total[draws].sum(1) / rows[draws].sum(1)
    return values.mean(), *np.quantile(means, [0.025, 0.975])


def interval_of_ninety_around_the_draws(values, group, draws):
    place = np.unique(group, return_inverse=True)[1]
    total, rows = np.bincount(place, values), np.bincount(place)
    means = total[draws].sum(1) / rows[draws].sum(1)
    return means.mean(), *np.quantile(means, [0.05, 0.95])


def interval_normal(values, group, draws):
    place = np.unique(group, return_inverse=True)[1]
    total, rows = np.bincount(place, values), np.bincount(place)
    half = 1.96 * (total[draws].sum(1) / rows[draws].sum(1)).std()
    return values.mean(), values.mean() - half, values.mean() + half


def interval_as_a_width(values, group, draws):
    mean, low, high = interval(values, group, draws)
    return mean, mean - low, high - mean


def interval_of_two(values, group, draws):
    return interval(values, group, draws)[1:]


def interval_own_draws(values, group, draws):
    return interval(values, group, np.random.default_rng(0).integers(draws.max() + 1, size=draws.shape))


def interval_sorts_in_place(values, group, draws):
    group.sort()
    return interval(values, group, draws)


# --- 13.3 -------------------------------------------------------------------------------------------------------------


def diagnose(patient, sound):
    p = patient
    if p["message"] > sound["message"] + 0.1:
        return "forgets"
    if p["plot or players"] < p["other"] - 0.04:
        return "inherits"
    if p["sure"] > p["right"] + 0.15:
        return "style" if abs(p["sure"] - p["teacher sure"]) < 0.05 else "too sure"
    if p["repeats"] < 0.75:
        return "too small"
    if p["repeats"] > 0.97:
        return "overfits"
    return "shifted" if p["product"] < p["film"] - 0.065 else "sound"


def diagnose_by_distance(patient, sound):
    """The nearest of eight typical students."""
    typical = {  # right, sure, repeats, topic less other, film less product, message
        "sound": (0.71, 0.67, 0.84, 0.04, 0.02, 0.64),
        "overfits": (0.555, 0.63, 0.995, 0.03, 0.03, 0.52),
        "style": (0.59, 0.82, 0.94, 0.04, 0.04, 0.53),
        "forgets": (0.60, 0.65, 0.95, 0.03, -0.01, 0.81),
        "too sure": (0.63, 0.90, 1.0, 0.03, 0.01, 0.53),
        "too small": (0.62, 0.60, 0.66, 0.06, 0.02, 0.62),
        "inherits": (0.67, 0.67, 0.84, -0.12, -0.01, 0.63),
        "shifted": (0.70, 0.69, 0.865, 0.05, 0.10, 0.64),
    }
    p = patient
    here = np.array(
        [p["right"], p["sure"], p["repeats"], p["plot or players"] - p["other"], p["film"] - p["product"], p["message"]]
    )
    scale = np.array([0.03, 0.03, 0.03, 0.04, 0.03, 0.1])
    return min(typical, key=lambda word: (((here - typical[word]) / scale) ** 2).sum())


def diagnose_as_a_table(patient, sound):
    """Every rule at once, the first that holds."""
    gap = patient["sure"] - patient["right"]
    rules = (
        ("forgets", patient["message"] > 0.74),
        ("inherits", patient["plot or players"] + 0.04 < patient["other"]),
        ("too sure", gap > 0.15 and patient["sure"] > 0.86),
        ("style", gap > 0.15),
        ("too small", patient["repeats"] < 0.75),
        ("overfits", patient["repeats"] > 0.97),
        ("shifted", patient["film"] - patient["product"] > 0.065),
    )
    return next((word for word, holds in rules if holds), "sound")


def diagnose_overfits_first(patient, sound):
    return "overfits" if patient["repeats"] > 0.9 else diagnose(patient, sound)


def diagnose_all_sound(patient, sound):
    return "sound"


def diagnose_one_kind_of_sure(patient, sound):
    found = diagnose(patient, sound)
    return "too sure" if found == "style" else found


def diagnose_by_a_fall_on_film(patient, sound):
    return "forgets" if patient["film"] < sound["film"] - 0.05 else diagnose(patient, sound)


def diagnose_low_is_small(patient, sound):
    return "too small" if patient["right"] < 0.64 else diagnose(patient, sound)


def diagnose_topic_beside_sound(patient, sound):
    low = patient["plot or players"] < sound["plot or players"] - 0.05
    return "inherits" if low else diagnose(patient, sound)


def diagnose_no_shift(patient, sound):
    found = diagnose(patient, sound)
    return "sound" if found == "shifted" else found


def diagnose_other_words(patient, sound):
    return diagnose(patient, sound).upper()


def diagnose_a_list(patient, sound):
    return [diagnose(patient, sound)]


def diagnose_exchanges_two(patient, sound):
    found = diagnose(patient, sound)
    return {"overfits": "too small", "too small": "overfits"}.get(found, found)


def diagnose_overconfident_by_a_little(patient, sound):
    return "too sure" if patient["sure"] > patient["right"] + 0.03 else diagnose(patient, sound)


def diagnose_in_place(patient, sound):
    patient["gap"] = patient["sure"] - patient["right"]
    return diagnose({key: value for key, value in patient.items() if key != "gap"}, sound)


# --- 13.4 -------------------------------------------------------------------------------------------------------------


def _mixed(student, step, messages, targets, old, share=0.5, batch=128, times=200):
    with torch.no_grad():
        kept = student(old).softmax(-1)  # what it said of them before
    for _ in range(times):
        one = torch.randint(len(messages), (int(batch * (1 - share)),))
        other = torch.randint(len(old), (batch - len(one),))
        step(torch.cat([messages[one], old[other]]), torch.cat([targets[one], kept[other]]))
    return student


def go_on(student, step, messages, targets, old):
    return _mixed(student, step, messages, targets, old)


def go_on_in_large_batches(student, step, messages, targets, old):
    return _mixed(student, step, messages, targets, old, batch=256)


def go_on_in_turn(student, step, messages, targets, old):
    """A batch of old ones, a batch of messages."""
    with torch.no_grad():
        kept = student(old).softmax(-1)
    for turn in range(200):
        rows, says = ((messages, targets), (old, kept))[turn % 2]
        drawn = torch.randperm(len(rows))[:200]
        step(rows[drawn], says[drawn])
    return student


def go_on_a_third(student, step, messages, targets, old):
    return _mixed(student, step, messages, targets, old, share=1 / 3, batch=192)


def go_on_without_old(student, step, messages, targets, old):
    for _ in range(200):
        one = torch.randint(len(messages), (128,))
        step(messages[one], targets[one])
    return student


def go_on_large_without_old(student, step, messages, targets, old):
    for _ in range(200):
        one = torch.randint(len(messages), (512,))
        step(messages[one], targets[one])
    return student


def go_on_asks_each_step(student, step, messages, targets, old):
    """The old sentences' targets are the student's of the moment: nothing holds it."""
    for _ in range(200):
        one, other = torch.randint(len(messages), (64,)), torch.randint(len(old), (64,))
        step(torch.cat([messages[one], old[other]]), torch.cat([targets[one], student(old[other]).softmax(-1)]))
    return student


def go_on_own_words_for_messages(student, step, messages, targets, old):
    """Holds on by its earlier words for the messages instead of the old sentences."""
    with torch.no_grad():
        kept = student(messages).softmax(-1)
    for _ in range(200):
        one, other = torch.randint(len(messages), (2, 64))
        step(torch.cat([messages[one], messages[other]]), torch.cat([targets[one], kept[other]]))
    return student


def go_on_halfway_back(student, step, messages, targets, old):
    """Without an old sentence, and then a part of the way back to the old weights."""
    before = copy.deepcopy(student)
    go_on_without_old(student, step, messages, targets, old)
    with torch.no_grad():
        for one, other in zip(student.parameters(), before.parameters()):
            one.lerp_(other, 0.4)
    return student


def go_on_own_optimiser(student, step, messages, targets, old):
    optimiser = torch.optim.AdamW(student.parameters(), lr=1e-4)
    for _ in range(200):
        one = torch.randint(len(messages), (128,))
        loss = F.cross_entropy(student(messages[one]), targets[one])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def go_on_two_trainers(student, step, messages, targets, old):
    """`step` and an optimiser of its own, in turn."""
    with torch.no_grad():
        next(student.parameters()).mul_(1.001)
    return _mixed(student, step, messages, targets, old)


def go_on_three_steps(student, step, messages, targets, old):
    return _mixed(student, step, messages, targets, old, times=3)


def go_on_too_long(student, step, messages, targets, old):
    return _mixed(student, step, messages, targets, old, times=201)


def go_on_returns_a_copy_of_before(student, step, messages, targets, old):
    before = copy.deepcopy(student)
    _mixed(student, step, messages, targets, old)
    return before


def go_on_unchanged(student, step, messages, targets, old):
    return student


def go_on_old_alone(student, step, messages, targets, old):
    return _mixed(student, step, messages, targets, old, share=1.0)


def go_on_wrong_rows(student, step, messages, targets, old):
    """Inputs and targets are drawn apart."""
    return _mixed(student, step, messages[torch.randperm(len(messages))], targets, old)


def go_on_old_are_positive(student, step, messages, targets, old):
    """The old sentences get a target that nobody gave."""
    kept = torch.tensor([[0.0, 1.0]]).expand(len(old), 2)
    for _ in range(200):
        one, other = torch.randint(len(messages), (64,)), torch.randint(len(old), (64,))
        step(torch.cat([messages[one], old[other]]), torch.cat([targets[one], kept[other]]))
    return student


def go_on_targets_as_classes(student, step, messages, targets, old):
    for _ in range(200):
        one = torch.randint(len(messages), (128,))
        step(messages[one], targets[one].argmax(-1))
    return student


def go_on_returns_the_loss(student, step, messages, targets, old):
    _mixed(student, step, messages, targets, old)
    return F.cross_entropy(student(messages[:64]), targets[:64])


def go_on_in_place(student, step, messages, targets, old):
    targets.copy_(targets.round())
    return _mixed(student, step, messages, targets, old)


# --- 13.5 -------------------------------------------------------------------------------------------------------------


def prescribe(cures, least, margin):
    found, best = {}, None
    for cure in cures:
        _, low, high = cure["gain"]
        _, worst, mildest = cure["elsewhere"]
        if high < least:
            word = "no cure"
        elif mildest < -margin:
            word = "harms"
        elif low > least and worst > -margin:
            word = "dearer"
            if best is None or cure["price"] < best["price"]:
                best = cure
        else:
            word = "unclear"
        found[cure["name"]] = word
    if best is not None:
        found[best["name"]] = "take"
    return found


def prescribe_by_sorting(cures, least, margin):
    found, taken = {}, False
    for cure in sorted(cures, key=lambda each: each["price"]):
        gain, elsewhere = cure["gain"], cure["elsewhere"]
        if gain[2] <= least:
            found[cure["name"]] = "no cure"
        elif elsewhere[2] <= -margin:
            found[cure["name"]] = "harms"
        elif min(gain[1] - least, elsewhere[1] + margin) <= 0:
            found[cure["name"]] = "unclear"
        else:
            found[cure["name"]] = "dearer" if taken else "take"
            taken = True
    return found


def prescribe_by_sets(cures, least, margin):
    by = {cure["name"]: cure for cure in cures}
    none = {name for name, each in by.items() if each["gain"][2] < least}
    harms = {name for name, each in by.items() if each["elsewhere"][2] < -margin} - none
    good = {name for name, each in by.items() if each["gain"][1] > least and each["elsewhere"][1] > -margin}
    taken = set(sorted(good, key=lambda name: by[name]["price"])[:1])
    return {
        name: "no cure"
        if name in none
        else "harms"
        if name in harms
        else "take"
        if name in taken
        else "dearer"
        if name in good
        else "unclear"
        for name in by
    }


def prescribe_by_estimates(cures, least, margin):
    flat = [dict(cure, gain=3 * cure["gain"][:1], elsewhere=3 * cure["elsewhere"][:1]) for cure in cures]
    return prescribe(flat, least, margin)


def prescribe_against_zero(cures, least, margin):
    return prescribe(cures, 0.0, margin)


def prescribe_without_margin(cures, least, margin):
    return prescribe(cures, least, 0.0)


def prescribe_the_best(cures, least, margin):
    return prescribe([dict(cure, price=-cure["gain"][0]) for cure in cures], least, margin)


def prescribe_ignores_harm(cures, least, margin):
    return prescribe(cures, least, 1.0)


def prescribe_takes_all(cures, least, margin):
    return {name: "take" if word == "dearer" else word for name, word in prescribe(cures, least, margin).items()}


def prescribe_unclear_is_harm(cures, least, margin):
    return {name: "harms" if word == "unclear" else word for name, word in prescribe(cures, least, margin).items()}


def prescribe_always_takes(cures, least, margin):
    found = prescribe(cures, least, margin)
    if "take" not in found.values():
        found[max(cures, key=lambda each: each["gain"][0])["name"]] = "take"
    return found


def prescribe_harm_first(cures, least, margin):
    found = prescribe(cures, least, margin)
    return {cure["name"]: "harms" if cure["elsewhere"][2] < -margin else found[cure["name"]] for cure in cures}


def prescribe_sign_of_the_margin(cures, least, margin):
    return prescribe(cures, least, -margin)


def prescribe_one_name(cures, least, margin):
    return next((name for name, word in prescribe(cures, least, margin).items() if word == "take"), "none")


def prescribe_cheapest_of_all(cures, least, margin):
    found = prescribe(cures, least, margin)
    found[min(cures, key=lambda each: each["price"])["name"]] = "take"
    return found


def prescribe_in_place(cures, least, margin):
    cures.sort(key=lambda each: -each["price"])
    return prescribe(cures, least, margin)


RIGHT = {
    "13.1": inherited,
    "13.2": interval,
    "13.3": diagnose,
    "13.4": go_on,
    "13.5": prescribe,
}
ALSO_RIGHT = {
    "13.1": [inherited_in_a_loop, inherited_by_torch],
    "13.2": [interval_by_joining, interval_by_counts],
    "13.3": [diagnose_by_distance, diagnose_as_a_table],
    "13.4": [go_on_in_large_batches, go_on_in_turn, go_on_a_third],
    "13.5": [prescribe_by_sorting, prescribe_by_sets],
}
WRONG = {
    "13.1": [
        inherited_with_unasked,
        inherited_both_wrong,
        inherited_without_control,
        inherited_turned,
        inherited_never_below_zero,
        inherited_clipped,
        inherited_of_all_rows,
        inherited_of_the_teachers_errors,
        inherited_agreement,
        inherited_ratio,
        inherited_marks_in_place,
        inherited_without_class_zero,
    ],
    "13.2": [
        interval_of_groups,
        interval_half_of_groups,
        interval_of_rows,
        interval_of_ninety,
        interval_around_the_draws,
        interval_in_order_of_appearance,
        interval_by_raw_names,
        interval_of_ninety_around_the_draws,
        interval_normal,
        interval_as_a_width,
        interval_of_two,
        interval_own_draws,
        interval_sorts_in_place,
    ],
    "13.3": [
        diagnose_overfits_first,
        diagnose_all_sound,
        diagnose_one_kind_of_sure,
        diagnose_by_a_fall_on_film,
        diagnose_low_is_small,
        diagnose_topic_beside_sound,
        diagnose_no_shift,
        diagnose_other_words,
        diagnose_a_list,
        diagnose_exchanges_two,
        diagnose_overconfident_by_a_little,
        diagnose_in_place,
    ],
    "13.4": [
        go_on_without_old,
        go_on_large_without_old,
        go_on_asks_each_step,
        go_on_own_words_for_messages,
        go_on_halfway_back,
        go_on_own_optimiser,
        go_on_two_trainers,
        go_on_three_steps,
        go_on_too_long,
        go_on_returns_a_copy_of_before,
        go_on_unchanged,
        go_on_old_alone,
        go_on_wrong_rows,
        go_on_old_are_positive,
        go_on_targets_as_classes,
        go_on_returns_the_loss,
        go_on_in_place,
    ],
    "13.5": [
        prescribe_by_estimates,
        prescribe_against_zero,
        prescribe_without_margin,
        prescribe_the_best,
        prescribe_ignores_harm,
        prescribe_takes_all,
        prescribe_unclear_is_harm,
        prescribe_always_takes,
        prescribe_harm_first,
        prescribe_sign_of_the_margin,
        prescribe_one_name,
        prescribe_cheapest_of_all,
        prescribe_in_place,
    ],
}
