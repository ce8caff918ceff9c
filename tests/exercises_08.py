"""Right and plausible wrong answers to the exercises of lesson 08."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats

# --- 8.1 -------------------------------------------------------------------------------------------------------------


def layer_map(kept, teacher_layers):
    return {i: layer for i, layer in enumerate(kept) if i > 0} | {len(kept): teacher_layers}


def layer_map_with_zip(kept, teacher_layers):
    return dict(zip(range(1, len(kept) + 1), [*kept[1:], teacher_layers]))


def map_of_outputs(kept, teacher_layers):
    return {i: kept[i - 1] + 1 for i in range(1, len(kept) + 1)}


def map_of_numbers(kept, teacher_layers):
    return {i + 1: layer for i, layer in enumerate(kept)}


def map_without_last(kept, teacher_layers):
    return {i: kept[i] for i in range(1, len(kept))}


def map_with_embedding(kept, teacher_layers):
    return dict(enumerate(kept)) | {len(kept): teacher_layers}


def map_uniform(kept, teacher_layers):
    return {i: round(i * teacher_layers / len(kept)) for i in range(1, len(kept) + 1)}


def map_in_place(kept, teacher_layers):
    kept.append(teacher_layers)
    return {i: kept[i] for i in range(1, len(kept))}


def map_of_texts(kept, teacher_layers):
    return {str(i): layer for i, layer in layer_map(kept, teacher_layers).items()}


def map_of_floats(kept, teacher_layers):
    return {i: float(layer) for i, layer in layer_map(kept, teacher_layers).items()}


def map_last_minus_one(kept, teacher_layers):
    return layer_map(kept, teacher_layers - 1)


def map_turned_round(kept, teacher_layers):
    return {layer: i for i, layer in layer_map(kept, teacher_layers).items()}


def map_one_ahead(kept, teacher_layers):
    return {i: layer + 1 for i, layer in layer_map(kept, teacher_layers + 1).items()}


def map_by_numpy(kept, teacher_layers):
    return dict(enumerate(np.append(kept[1:], teacher_layers).astype(int), start=1))


def map_in_pairs(kept, teacher_layers):
    for state in range(1, len(kept)):
        yield state, kept[state]
    yield len(kept), teacher_layers


# --- 8.2 -------------------------------------------------------------------------------------------------------------


def state_loss(student, teacher, labels):
    mask = labels[:, 1:] != -100
    return (1 - F.cosine_similarity(student[:, :-1][mask], teacher[:, :-1][mask].detach(), dim=-1)).mean()


def state_loss_by_length(student, teacher, labels):
    mask = labels[:, 1:] != -100
    s, t = (F.normalize(states[:, :-1][mask], dim=-1) for states in (student, teacher.detach()))
    return 0.5 * (s - t).square().sum(-1).mean()


def state_everywhere(student, teacher, labels):
    return (1 - F.cosine_similarity(student, teacher.detach(), dim=-1)).mean()


def state_unshifted(student, teacher, labels):
    mask = labels != -100
    return (1 - F.cosine_similarity(student[mask], teacher[mask].detach(), dim=-1)).mean()


def state_sum(student, teacher, labels):
    return state_loss(student, teacher, labels) * (labels[:, 1:] != -100).sum()


def state_per_text(student, teacher, labels):
    return torch.stack([state_loss(s[None], t[None], y[None]) for s, t, y in zip(student, teacher, labels)]).mean()


def state_moves_the_teacher(student, teacher, labels):
    mask = labels[:, 1:] != -100
    return (1 - F.cosine_similarity(student[:, :-1][mask], teacher[:, :-1][mask], dim=-1)).mean()


def state_drops_zero(student, teacher, labels):
    return state_loss(student, teacher, torch.where(labels == 0, -100, labels))


def state_similarity(student, teacher, labels):
    return 1 - state_loss(student, teacher, labels)


def state_rolled(student, teacher, labels):
    mask = labels.roll(-1, 1) != -100
    return (1 - F.cosine_similarity(student[mask], teacher[mask].detach(), dim=-1)).mean()


def state_rolled_over_texts(student, teacher, labels):
    mask = labels.roll(-1) != -100
    return (1 - F.cosine_similarity(student[mask], teacher[mask].detach(), dim=-1)).mean()


def state_flat_and_shifted(student, teacher, labels):
    mask = labels.flatten()[1:] != -100
    s, t = student.flatten(0, 1)[:-1][mask], teacher.flatten(0, 1)[:-1][mask]
    return (1 - F.cosine_similarity(s, t.detach(), dim=-1)).mean()


def state_changes_the_labels(student, teacher, labels):
    answer = state_loss(student, teacher, labels)
    labels[labels == -100] = 0
    return answer


def state_squares(student, teacher, labels):
    mask = labels[:, 1:] != -100
    return F.mse_loss(student[:, :-1][mask], teacher[:, :-1][mask].detach())


def state_detaches_both(student, teacher, labels):
    return state_loss(student.detach(), teacher, labels)


def state_shifted_the_other_way(student, teacher, labels):
    mask = labels[:, :-1] != -100
    return (1 - F.cosine_similarity(student[:, 1:][mask], teacher[:, 1:][mask].detach(), dim=-1)).mean()


def state_one_by_one(student, teacher, labels):
    found = []
    for text, row in enumerate(labels.tolist()):
        for place in range(len(row) - 1):
            if row[place + 1] != -100:
                s, t = student[text, place], teacher[text, place].detach()
                found.append(1 - s @ t / (s.norm() * t.norm()))
    return sum(found) / len(found)


def state_without_gradient_of_the_teacher(student, teacher, labels):
    with torch.no_grad():
        direction = F.normalize(teacher[:, :-1], dim=-1)
    mask = (labels[:, 1:] != -100).float()
    distance = 1 - (F.normalize(student[:, :-1], dim=-1) * direction).sum(-1)
    return (distance * mask).sum() / mask.sum()


# --- 8.3 -------------------------------------------------------------------------------------------------------------


def explained(train_student, train_teacher, test_student, test_teacher):
    s, t = train_student.mean(0), train_teacher.mean(0)
    weights = torch.linalg.lstsq(train_student - s, train_teacher - t).solution
    left = test_teacher - ((test_student - s) @ weights + t)
    return (1 - left.square().sum() / (test_teacher - test_teacher.mean(0)).square().sum()).item()


def explained_with_ones(train_student, train_teacher, test_student, test_teacher):
    one = lambda states: torch.cat([states, torch.ones(len(states), 1)], dim=1)  # noqa: E731
    weights = torch.linalg.pinv(one(train_student)) @ train_teacher
    left = test_teacher - one(test_student) @ weights
    return 1 - left.square().sum() / (test_teacher - test_teacher.mean(0)).square().sum()


def explained_on_training(train_student, train_teacher, test_student, test_teacher):
    return explained(train_student, train_teacher, train_student, train_teacher)


def explained_fitted_on_test(train_student, train_teacher, test_student, test_teacher):
    return explained(test_student, test_teacher, test_student, test_teacher)


def explained_without_constant(train_student, train_teacher, test_student, test_teacher):
    weights = torch.linalg.lstsq(train_student, train_teacher).solution
    left = test_teacher - test_student @ weights
    return 1 - left.square().sum() / (test_teacher - test_teacher.mean(0)).square().sum()


def explained_against_zero(train_student, train_teacher, test_student, test_teacher):
    s, t = train_student.mean(0), train_teacher.mean(0)
    weights = torch.linalg.lstsq(train_student - s, train_teacher - t).solution
    left = test_teacher - ((test_student - s) @ weights + t)
    return 1 - left.square().sum() / test_teacher.square().sum()


def explained_left_over(train_student, train_teacher, test_student, test_teacher):
    return 1 - explained(train_student, train_teacher, test_student, test_teacher)


def explained_about_the_training_mean(train_student, train_teacher, test_student, test_teacher):
    one = lambda states: torch.cat([states, torch.ones(len(states), 1)], dim=1)  # noqa: E731
    weights = torch.linalg.pinv(one(train_student)) @ train_teacher
    left = test_teacher - one(test_student) @ weights
    return 1 - left.square().sum() / (test_teacher - train_teacher.mean(0)).square().sum()


def explained_not_below_zero(train_student, train_teacher, test_student, test_teacher):
    return max(0.0, explained(train_student, train_teacher, test_student, test_teacher))


def explained_about_one_number(train_student, train_teacher, test_student, test_teacher):
    share = 1 - explained(train_student, train_teacher, test_student, test_teacher)
    about = (test_teacher - test_teacher.mean(0)).square().sum() / (test_teacher - test_teacher.mean()).square().sum()
    return 1 - share * about


def explained_mean_of_columns(train_student, train_teacher, test_student, test_teacher):
    columns = zip(train_teacher.T, test_teacher.T)
    shares = [explained(train_student, t[:, None], test_student, u[:, None]) for t, u in columns]
    return sum(shares) / len(shares)


def explained_with_a_ridge(train_student, train_teacher, test_student, test_teacher):
    s, t = train_student.mean(0), train_teacher.mean(0)
    x = train_student - s
    weights = torch.linalg.solve(x.T @ x + torch.eye(x.shape[1]), x.T @ (train_teacher - t))
    left = test_teacher - ((test_student - s) @ weights + t)
    return 1 - left.square().sum() / (test_teacher - test_teacher.mean(0)).square().sum()


def explained_centres_the_test(train_student, train_teacher, test_student, test_teacher):
    s, t = train_student.mean(0), train_teacher.mean(0)
    weights = torch.linalg.lstsq(train_student - s, train_teacher - t).solution
    about = test_teacher - test_teacher.mean(0)
    left = about - (test_student - test_student.mean(0)) @ weights
    return 1 - left.square().sum() / about.square().sum()


def explained_without_sign(train_student, train_teacher, test_student, test_teacher):
    return abs(explained(train_student, train_teacher, test_student, test_teacher))


def explained_by_numpy(train_student, train_teacher, test_student, test_teacher):
    s, t, u, v = (np.asarray(z, float) for z in (train_student, train_teacher, test_student, test_teacher))
    weights = np.linalg.lstsq(np.c_[s, np.ones(len(s))], t, rcond=None)[0]
    return 1 - ((v - np.c_[u, np.ones(len(u))] @ weights) ** 2).sum() / (len(v) * v.var(0).sum())


def explained_column_by_column(train_student, train_teacher, test_student, test_teacher):
    left = about = 0.0
    for t, u in zip(train_teacher.T, test_teacher.T):
        share = explained(train_student, t[:, None], test_student, u[:, None])
        squares = (u - u.mean()).square().sum()
        left, about = left + (1 - share) * squares, about + squares
    return 1 - left / about


# --- 8.4 -------------------------------------------------------------------------------------------------------------


def read_control(outputs, states, shuffled):
    def clear(one, other):
        gap = one - other
        return gap.mean() > 2.5 * gap.std(ddof=1) / len(gap) ** 0.5

    if clear(outputs, states):
        return "drop", "harm"
    if not clear(states, outputs):
        return "drop", "nothing seen"
    return ("keep", "meaning") if clear(states, shuffled) else ("drop", "any target")


def read_by_t(outputs, states, shuffled):
    t = lambda a, b: stats.ttest_rel(a, b).statistic  # noqa: E731
    if t(states, outputs) > 2.5:
        return ["keep", "meaning"] if t(states, shuffled) > 2.5 else ["drop", "any target"]
    return ["drop", "harm" if t(states, outputs) < -2.5 else "nothing seen"]


def read_with_lists(outputs, states, shuffled):
    def ratio(one, other):
        gaps = [float(a) - float(b) for a, b in zip(one, other)]
        mean = sum(gaps) / len(gaps)
        squares = sum((gap - mean) ** 2 for gap in gaps)
        return mean / (squares / (len(gaps) - 1) / len(gaps)) ** 0.5

    gain, meaning = ratio(states, outputs), ratio(states, shuffled)
    reason = "harm" if gain < -2.5 else "nothing seen" if gain <= 2.5 else "meaning" if meaning > 2.5 else "any target"
    return "keep" if reason == "meaning" else "drop", reason


def read_at(limit, ddof=1):
    def read(outputs, states, shuffled):
        def clear(one, other):
            gap = one - other
            return gap.mean() > limit * gap.std(ddof=ddof) / len(gap) ** 0.5

        if clear(outputs, states):
            return "drop", "harm"
        if not clear(states, outputs):
            return "drop", "nothing seen"
        return ("keep", "meaning") if clear(states, shuffled) else ("drop", "any target")

    read.__name__ = f"read_at_{limit}_with_ddof_{ddof}"
    return read


def read_by_p(outputs, states, shuffled):
    p = lambda a, b: stats.ttest_rel(a, b).pvalue  # noqa: E731
    if p(states, outputs) > 0.05:
        return "drop", "nothing seen"
    if states.mean() < outputs.mean():
        return "drop", "harm"
    better = states.mean() > shuffled.mean() and p(states, shuffled) < 0.05
    return ("keep", "meaning") if better else ("drop", "any target")


def read_harm_at_any_loss(outputs, states, shuffled):
    return ("drop", "harm") if states.mean() < outputs.mean() else read_control(outputs, states, shuffled)


def read_means(outputs, states, shuffled):
    if states.mean() < outputs.mean():
        return "drop", "harm"
    return ("keep", "meaning") if states.mean() > shuffled.mean() else ("drop", "any target")


def read_without_control(outputs, states, shuffled):
    decision, reason = read_control(outputs, states, outputs)
    return decision, reason


def read_control_alone(outputs, states, shuffled):
    return ("keep", "meaning") if read_control(shuffled, states, shuffled)[0] == "keep" else ("drop", "any target")


def read_shuffled_against_outputs(outputs, states, shuffled):
    decision, reason = read_control(outputs, states, outputs)
    if reason == "meaning" and read_control(outputs, shuffled, outputs)[1] == "meaning":
        return "drop", "any target"
    return decision, reason


def read_unpaired(outputs, states, shuffled):
    def clear(one, other):
        return one.mean() - other.mean() > 2.5 * ((one.var(ddof=1) + other.var(ddof=1)) / len(one)) ** 0.5

    if clear(outputs, states):
        return "drop", "harm"
    if not clear(states, outputs):
        return "drop", "nothing seen"
    return ("keep", "meaning") if clear(states, shuffled) else ("drop", "any target")


def read_without_harm(outputs, states, shuffled):
    decision, reason = read_control(outputs, states, shuffled)
    return decision, "nothing seen" if reason == "harm" else reason


def read_deviation_for_error(outputs, states, shuffled):
    gap = states - outputs
    if abs(gap.mean()) < 2.5 * gap.std(ddof=1):
        return "drop", "nothing seen"
    return read_control(outputs, states, shuffled)


def read_keeps_any_gain(outputs, states, shuffled):
    reason = read_control(outputs, states, shuffled)[1]
    return "keep" if reason in ("meaning", "any target") else "drop", reason


def read_turned_round(outputs, states, shuffled):
    return read_control(states, outputs, shuffled)


def read_reason_alone(outputs, states, shuffled):
    return read_control(outputs, states, shuffled)[1]


def read_changes_what_it_gets(outputs, states, shuffled):
    states -= outputs
    shuffled -= outputs
    return read_control(np.zeros(len(outputs)), states, shuffled)


# --- 8.5 -------------------------------------------------------------------------------------------------------------


def diagnose(log):
    last = {name: readings[-1] for name, readings in log.items()}
    if last["pull"] == 0:
        return "cut off"
    if last["held out"] < 0.2:
        return "sound"
    return "moving teacher" if last["distance"] < 0.02 else "other sentences"


def diagnose_by_ratio(log):
    if not any(log["pull"]):
        return "cut off"
    near, held_out = log["distance"][-1], log["held out"][-1]
    if held_out > 28 * near:
        return "moving teacher"
    return "sound" if held_out < 0.2 else "other sentences"


def diagnose_in_another_order(log):
    distance, held_out = (np.array(log[name][3:]).mean() for name in ("distance", "held out"))
    if held_out > 0.2 and max(log["pull"]) > 1e-9:
        return "moving teacher" if distance < 0.02 else "other sentences"
    return "sound" if max(log["pull"]) > 1e-9 else "cut off"


def diagnose_all_sound(log):
    return "sound"


def diagnose_by_accuracy(log):
    return "sound" if log["accuracy"][-1] > 0.86 else "other sentences"


def diagnose_without_pull(log):
    if log["held out"][-1] < 0.2:
        return "sound"
    return "moving teacher" if log["distance"][-1] < 0.02 else "other sentences"


def diagnose_trusts_the_training_distance(log):
    if log["pull"][-1] == 0:
        return "cut off"
    return "moving teacher" if log["distance"][-1] < 0.006 else "sound"


def diagnose_by_distance(log):
    distance = log["distance"][-1]
    limits = ((0.01, "moving teacher"), (0.035, "sound"), (0.12, "other sentences"))
    return next((kind for limit, kind in limits if distance < limit), "cut off")


def diagnose_by_distance_in_another_way(log):
    distance = log["distance"][-1]
    limits = ((0.012, "moving teacher"), (0.045, "sound"), (0.3, "other sentences"))
    return next((kind for limit, kind in limits if distance < limit), "cut off")


def diagnose_without_distance(log):
    if log["pull"][-1] == 0:
        return "cut off"
    if log["held out"][-1] < 0.2:
        return "sound"
    return "moving teacher" if log["pull"][-1] < 0.02 else "other sentences"


def diagnose_by_pull(log):
    pull = log["pull"][-1]
    limits = ((1e-9, "cut off"), (0.005, "moving teacher"), (0.03, "sound"))
    return next((kind for limit, kind in limits if pull < limit), "other sentences")


def diagnose_first_reading(log):
    return diagnose({name: readings[:1] for name, readings in log.items()})


def diagnose_small_pull(log):
    return "cut off" if log["pull"][-1] < 0.02 else diagnose(log)


def diagnose_in_other_words(log):
    return diagnose(log).replace("sound", "fine")


# --- 8.6 -------------------------------------------------------------------------------------------------------------


def train(student, project, x, answers, states):
    optimiser = torch.optim.Adam([*student.parameters(), *project.parameters()], lr=1e-2)
    for _ in range(300):
        logits, own = student(x)
        loss = F.cross_entropy(logits, answers) + 3 * (1 - F.cosine_similarity(project(own), states, dim=-1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def train_squared_and_in_batches(student, project, x, answers, states):
    optimiser = torch.optim.AdamW([*student.parameters(), *project.parameters()], lr=5e-3)
    for _ in range(600):
        rows = torch.randperm(len(x))[:40]
        logits, own = student(x[rows])
        loss = F.cross_entropy(logits, answers[rows]) + 10 * (project(own) - states[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def train_first_states_then_head(student, project, x, answers, states):
    for parameters, kind in (([*student.body.parameters(), *project.parameters()], 1), (student.head.parameters(), 0)):
        optimiser = torch.optim.Adam(parameters, lr=1e-2)
        for _ in range(300):
            logits, own = student(x)
            apart = (1 - F.cosine_similarity(project(own), states, dim=-1)).mean()
            loss = apart if kind else F.cross_entropy(logits, answers)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    return student


def _trained(student, project, x, answers, states, *, weight=3.0, outputs=1.0, steps=300, detach=False, rate=1e-2):
    optimiser = torch.optim.Adam([*student.parameters(), *project.parameters()], lr=rate)
    for _ in range(steps):
        logits, own = student(x)
        own = own.detach() if detach else own
        apart = (1 - F.cosine_similarity(project(own), states, dim=-1)).mean()
        loss = outputs * F.cross_entropy(logits, answers) + weight * apart
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def train_without_states(student, project, x, answers, states):
    return _trained(student, project, x, answers, states, weight=0.0)


def train_without_answers(student, project, x, answers, states):
    return _trained(student, project, x, answers, states, outputs=0.0)


def train_detached(student, project, x, answers, states):
    return _trained(student, project, x, answers, states, detach=True)


def train_wrong_sign(student, project, x, answers, states):
    return _trained(student, project, x, answers, states, weight=-3.0)


def train_shuffled(student, project, x, answers, states):
    return _trained(student, project, x, answers, states[torch.randperm(len(x))])


def train_too_short(student, project, x, answers, states):
    return _trained(student, project, x, answers, states, steps=5)


def train_too_fast(student, project, x, answers, states):
    return _trained(student, project, x, answers, states, rate=3.0)


def train_a_map_of_its_own(student, project, x, answers, states):
    return _trained(student, torch.nn.Linear(16, states.shape[1], bias=False), x, answers, states)


def train_leaves_the_map(student, project, x, answers, states):
    optimiser = torch.optim.Adam(student.parameters(), lr=1e-2)
    for _ in range(500):
        logits, own = student(x)
        apart = (1 - F.cosine_similarity(project(own), states, dim=-1)).mean()
        loss = F.cross_entropy(logits, answers) + 10 * apart
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def train_turned_answers(student, project, x, answers, states):
    return _trained(student, project, x, 1 - answers, states)


def train_hands_back_the_loss(student, project, x, answers, states):
    _trained(student, project, x, answers, states)
    return F.cross_entropy(student(x)[0], answers)


def train_changes_the_states(student, project, x, answers, states):
    states /= states.norm(dim=-1, keepdim=True)
    return train(student, project, x, answers, states)


RIGHT = {"8.1": layer_map, "8.2": state_loss, "8.3": explained, "8.4": read_control, "8.5": diagnose, "8.6": train}
ALSO_RIGHT = {
    "8.1": [map_by_numpy, map_in_pairs, layer_map_with_zip],
    "8.2": [state_one_by_one, state_without_gradient_of_the_teacher, state_loss_by_length],
    "8.3": [explained_by_numpy, explained_column_by_column, explained_with_ones],
    "8.4": [read_by_t, read_with_lists],
    "8.5": [diagnose_by_ratio, diagnose_in_another_order],
    "8.6": [train_squared_and_in_batches, train_first_states_then_head],
}
WRONG = {
    "8.1": [
        map_in_place,
        map_of_texts,
        map_of_floats,
        map_last_minus_one,
        map_turned_round,
        map_one_ahead,
        map_of_outputs,
        map_of_numbers,
        map_without_last,
        map_with_embedding,
        map_uniform,
    ],
    "8.2": [
        state_rolled,
        state_rolled_over_texts,
        state_flat_and_shifted,
        state_changes_the_labels,
        state_squares,
        state_detaches_both,
        state_shifted_the_other_way,
        state_everywhere,
        state_unshifted,
        state_sum,
        state_per_text,
        state_moves_the_teacher,
        state_drops_zero,
        state_similarity,
    ],
    "8.3": [
        explained_about_the_training_mean,
        explained_not_below_zero,
        explained_about_one_number,
        explained_mean_of_columns,
        explained_with_a_ridge,
        explained_centres_the_test,
        explained_without_sign,
        explained_on_training,
        explained_fitted_on_test,
        explained_without_constant,
        explained_against_zero,
        explained_left_over,
    ],
    "8.4": [
        read_at(1.96),
        read_at(2),
        read_at(3),
        read_at(2.5, ddof=0),
        read_by_p,
        read_harm_at_any_loss,
        read_means,
        read_without_control,
        read_control_alone,
        read_shuffled_against_outputs,
        read_unpaired,
        read_without_harm,
        read_deviation_for_error,
        read_keeps_any_gain,
        read_turned_round,
        read_reason_alone,
        read_changes_what_it_gets,
    ],
    "8.5": [
        diagnose_all_sound,
        diagnose_by_accuracy,
        diagnose_without_pull,
        diagnose_trusts_the_training_distance,
        diagnose_by_distance,
        diagnose_by_distance_in_another_way,
        diagnose_without_distance,
        diagnose_by_pull,
        diagnose_first_reading,
        diagnose_small_pull,
        diagnose_in_other_words,
    ],
    "8.6": [
        train_without_states,
        train_without_answers,
        train_detached,
        train_wrong_sign,
        train_shuffled,
        train_too_short,
        train_too_fast,
        train_a_map_of_its_own,
        train_leaves_the_map,
        train_turned_answers,
        train_hands_back_the_loss,
        train_changes_the_states,
    ],
}
