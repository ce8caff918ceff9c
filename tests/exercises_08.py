"""Right and plausible wrong answers to the exercises of lesson 08."""

import numpy as np
import torch
import torch.nn.functional as F

# --- 8.1 -------------------------------------------------------------------------------------------------------------


def cka(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return torch.linalg.norm(y.T @ x) ** 2 / (torch.linalg.norm(x.T @ x) * torch.linalg.norm(y.T @ y))


def cka_by_gram(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    k, m = x @ x.T, y @ y.T
    return ((k * m).sum() / ((k * k).sum() * (m * m).sum()).sqrt()).item()


def cka_not_centred(x, y):
    return torch.linalg.norm(y.T @ x) ** 2 / (torch.linalg.norm(x.T @ x) * torch.linalg.norm(y.T @ y))


def cka_centred_over_dimensions(x, y):
    return cka_not_centred(x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True))


def cka_not_squared(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return torch.linalg.norm(y.T @ x) / (torch.linalg.norm(x.T @ x) * torch.linalg.norm(y.T @ y))


def cka_wrong_norms(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return torch.linalg.norm(y.T @ x) ** 2 / (torch.linalg.norm(x) * torch.linalg.norm(y)) ** 2


def cka_in_place(x, y):
    x -= x.mean(0)
    y -= y.mean(0)
    return cka_not_centred(x, y)


def cka_centred_by_one_number(x, y):
    return cka_not_centred(x - x.mean(), y - y.mean())


def cka_centres_one_only(x, y):
    return cka_not_centred(x - x.mean(0), y)


def cka_spectral(x, y):
    x, y = x - x.mean(0), y - y.mean(0)
    return torch.linalg.norm(y.T @ x, 2) ** 2 / (torch.linalg.norm(x.T @ x, 2) * torch.linalg.norm(y.T @ y, 2))


def cka_of_dot_products(x, y):
    return F.cosine_similarity((x @ x.T).flatten(), (y @ y.T).flatten(), dim=0)


def cka_standardised(x, y):
    return cka((x - x.mean(0)) / x.std(0), (y - y.mean(0)) / y.std(0))


def cka_by_numpy(x, y):
    x, y = (np.asarray(z, dtype=float) - np.asarray(z, dtype=float).mean(0) for z in (x, y))
    return np.linalg.norm(y.T @ x) ** 2 / (np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))


def cka_by_squares(x, y):
    x, y = x.double() - x.double().mean(0), y.double() - y.double().mean(0)
    above = sum(float(column @ other) ** 2 for column in x.T for other in y.T)
    return above / ((x.T @ x).square().sum() * (y.T @ y).square().sum()).sqrt()


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


# --- 8.4 -------------------------------------------------------------------------------------------------------------


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


# --- 8.5 -------------------------------------------------------------------------------------------------------------


def relations(student, teacher, rows):
    s, t = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    same = (rows[:, None] == rows[None]).float()
    return (((s @ s.T - t @ t.T).square() * same).sum(1) / same.sum(1)).mean()


def relations_text_by_text(student, teacher, rows):
    total = 0.0
    for row in rows.unique():
        s, t = (F.normalize(states[rows == row], dim=-1) for states in (student, teacher))
        total = total + (s @ s.T - t @ t.T).square().mean(1).sum()
    return total / len(rows)


def relations_across_texts(student, teacher, rows):
    return relations(student, teacher, torch.zeros_like(rows))


def relations_wrong_divisor(student, teacher, rows):
    s, t = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    return ((s @ s.T - t @ t.T).square() * (rows[:, None] == rows[None])).mean()


def relations_dot_products(student, teacher, rows):
    same = (rows[:, None] == rows[None]).float()
    return (((student @ student.T - teacher @ teacher.T).square() * same).sum(1) / same.sum(1)).mean()


def relations_over_pairs(student, teacher, rows):
    s, t = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    same = (rows[:, None] == rows[None]).float()
    return ((s @ s.T - t @ t.T).square() * same).sum() / same.sum()


def relations_absolute(student, teacher, rows):
    s, t = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    same = (rows[:, None] == rows[None]).float()
    return (((s @ s.T - t @ t.T).abs() * same).sum(1) / same.sum(1)).mean()


def relations_sum(student, teacher, rows):
    return relations(student, teacher, rows) * len(rows)


def relations_of_sorted_texts(student, teacher, rows):
    total, lengths = 0.0, torch.bincount(rows)
    for s, t in zip(student.split(lengths.tolist()), teacher.split(lengths.tolist())):
        s, t = F.normalize(s, dim=-1), F.normalize(t, dim=-1)
        total = total + (s @ s.T - t @ t.T).square().mean(1).sum() if len(s) else total
    return total / len(rows)


def relations_between_neighbours(student, teacher, rows):
    starts = (rows[1:] != rows[:-1]).long().cumsum(0)
    return relations(student, teacher, torch.cat([torch.zeros(1, dtype=torch.long), starts]))


def relations_detached(student, teacher, rows):
    s, t = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    same = (rows[:, None] == rows[None]).float()
    return (((s @ s.detach().T - t @ t.T).square() * same).sum(1) / same.sum(1)).mean()


def relations_without_itself(student, teacher, rows):
    s, t = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    same = (rows[:, None] == rows[None]).float()
    return (((s @ s.T - t @ t.T).square() * same).sum(1) / (same.sum(1) - 1).clamp(min=1)).mean()


def relations_mean_over_texts(student, teacher, rows):
    texts = [relations(student[rows == row], teacher[rows == row], rows[rows == row]) for row in rows.unique()]
    return torch.stack(texts).mean()


def relations_in_place(student, teacher, rows):
    answer = relations(student, teacher, rows)
    with torch.no_grad():
        teacher /= teacher.norm(dim=-1, keepdim=True)
    return answer


def relations_of_distances(student, teacher, rows):
    s, t = F.normalize(student, dim=-1), F.normalize(teacher, dim=-1)
    same = (rows[:, None] == rows[None]).float()
    return (((torch.cdist(s, s) - torch.cdist(t, t)).square() * same).sum(1) / same.sum(1)).mean()


def relations_pair_by_pair(student, teacher, rows):
    total = 0.0
    for i in range(len(rows)):
        own = [j for j in range(len(rows)) if rows[j] == rows[i]]
        s = F.cosine_similarity(student[i : i + 1], student[own])
        t = F.cosine_similarity(teacher[i : i + 1], teacher[own])
        total = total + (s - t).square().mean()
    return total / len(rows)


def relations_by_einsum(student, teacher, rows):
    s, t = (torch.einsum("id,jd->ij", z, z) for z in (F.normalize(student), F.normalize(teacher)))
    weight = (rows[:, None] == rows).to(s.dtype)
    return torch.einsum("ij,ij->", (s - t) ** 2, weight / weight.sum(1, keepdim=True)) / len(rows)


RIGHT = {"8.1": cka, "8.2": state_loss, "8.3": layer_map, "8.4": explained, "8.5": relations}
ALSO_RIGHT = {
    "8.1": [cka_by_numpy, cka_by_squares, cka_by_gram],
    "8.2": [state_one_by_one, state_without_gradient_of_the_teacher, state_loss_by_length],
    "8.3": [map_by_numpy, map_in_pairs, layer_map_with_zip],
    "8.4": [explained_by_numpy, explained_column_by_column, explained_with_ones],
    "8.5": [relations_pair_by_pair, relations_by_einsum, relations_text_by_text],
}
WRONG = {
    "8.1": [
        cka_in_place,
        cka_centred_by_one_number,
        cka_centres_one_only,
        cka_spectral,
        cka_of_dot_products,
        cka_standardised,
        cka_not_centred,
        cka_centred_over_dimensions,
        cka_not_squared,
        cka_wrong_norms,
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
    "8.4": [
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
    "8.5": [
        relations_of_sorted_texts,
        relations_between_neighbours,
        relations_detached,
        relations_without_itself,
        relations_mean_over_texts,
        relations_in_place,
        relations_of_distances,
        relations_across_texts,
        relations_wrong_divisor,
        relations_dot_products,
        relations_over_pairs,
        relations_absolute,
        relations_sum,
    ],
}
