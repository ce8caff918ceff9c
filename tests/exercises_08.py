"""Right and plausible wrong answers to the exercises of lesson 08."""

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
    return 1 - left.square().sum() / (test_teacher - train_teacher.mean(0)).square().sum()


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


RIGHT = {"8.1": cka, "8.2": state_loss, "8.3": layer_map, "8.4": explained, "8.5": relations}
ALSO_RIGHT = {
    "8.1": [cka_by_gram],
    "8.2": [state_loss_by_length],
    "8.3": [layer_map_with_zip],
    "8.4": [explained_with_ones],
    "8.5": [relations_text_by_text],
}
WRONG = {
    "8.1": [cka_not_centred, cka_centred_over_dimensions, cka_not_squared, cka_wrong_norms],
    "8.2": [
        state_everywhere,
        state_unshifted,
        state_sum,
        state_per_text,
        state_moves_the_teacher,
        state_drops_zero,
        state_similarity,
    ],
    "8.3": [map_of_outputs, map_of_numbers, map_without_last, map_with_embedding, map_uniform],
    "8.4": [
        explained_on_training,
        explained_fitted_on_test,
        explained_without_constant,
        explained_against_zero,
        explained_left_over,
    ],
    "8.5": [
        relations_across_texts,
        relations_wrong_divisor,
        relations_dot_products,
        relations_over_pairs,
        relations_absolute,
        relations_sum,
    ],
}
