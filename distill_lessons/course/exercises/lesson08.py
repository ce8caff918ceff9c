"""Checks of lesson 08, feature distillation: CKA, state loss, layer map, projection, relations within a text."""

import math
import operator

import torch

from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import nearest, unchanged


def _cka(x, y, centre=True):
    x, y = x.double(), y.double()
    if centre:
        x, y = x - x.mean(0), y - y.mean(0)
    return (torch.linalg.norm(y.T @ x) ** 2 / (torch.linalg.norm(x.T @ x) * torch.linalg.norm(y.T @ y))).item()


def check_cka(cka):
    """8.1: linear CKA."""
    cka = unchanged(cka)
    for d, e in ((5, 5), (4, 9), (8, 3)):
        x, y = torch.randn(60, d) + 2 * torch.randn(d), (torch.randn(60, e) - 1) * torch.linspace(0.5, 3, e)
        y[:, :3] += x[:, :3]
        expected = _cka(x, y)
        got = number(cka(x.clone(), y.clone()))
        if close(got, expected, 1e-4):
            continue
        a, b = (z.double() - z.double().mean(0) for z in (x, y))
        norms = torch.linalg.norm(a.T @ a) * torch.linalg.norm(b.T @ b)
        mistakes = (
            (
                _cka(x, y, centre=False),
                "The columns are not centred: subtract each one's mean over the positions. (hint 1)",
            ),
            (
                _cka(x - x.mean(1, keepdim=True), y - y.mean(1, keepdim=True), centre=False),
                "You centred each position over its dimensions: subtract each column's mean over positions. (hint 1)",
            ),
            (_cka(x - x.mean(), y - y.mean(), centre=False),
             "You subtract one mean for everything: each column has its own, mean(0). (hint 1)"),
            (_cka(x - x.mean(0), y, centre=False), "You centre x alone: y needs it as well. (hint 1)"),
            (_cka(x, y - y.mean(0), centre=False), "You centre y alone: x needs it as well. (hint 1)"),
            (_cka((x - x.mean(0)) / x.std(0), (y - y.mean(0)) / y.std(0)),
             "You divide by the deviations too: subtract the means alone. (hint 1)"),
            (torch.linalg.norm(b.T @ a) / norms.sqrt(), "The numerator is the norm squared. (hint 2)"),
            (torch.linalg.norm(b.T @ a) / norms, "The numerator is the norm squared. (hint 2)"),
            (torch.linalg.norm(b.T @ a) ** 2 / (torch.linalg.norm(a) * torch.linalg.norm(b)) ** 2,
             "The denominator has the norms of X'X and Y'Y, not those of X and Y. (hint 2)"),
            (torch.linalg.norm(b.T @ a) ** 2 / norms**2, "The denominator's norms are not squared. (hint 2)"),
            (torch.linalg.norm(b.T @ a, 2) ** 2 / (torch.linalg.norm(a.T @ a, 2) * torch.linalg.norm(b.T @ b, 2)),
             "You took the largest singular value: the norm here is the root of the sum of squares. (hint 2)"),
        )  # fmt: skip
        why = "Centre the columns of both; then ‖Y'X‖² over ‖X'X‖ ‖Y'Y‖. (hints 1 and 2)"
        why = nearest(got, mistakes, why)
        raise Wrong(f"For 60 positions a CKA of {expected:.4f} was expected, and {got:.4f} came. {why}")
    x = torch.randn(50, 6)
    turned = 3 * x @ torch.linalg.qr(torch.randn(6, 6))[0] + 1
    if not close(number(cka(x.clone(), turned)), 1, 1e-3):
        raise Wrong("A rotated, scaled and shifted copy must have a CKA of 1.")


def check_state_loss(state_loss):
    """8.2: mean of 1 − cos at the positions that predict an answer token."""
    state_loss = unchanged(state_loss)
    # (start, stop) of each answer; one that begins at 0 is not predicted there, and a mask that wraps round counts it.
    for spans in (((2, 7), (3, 5), (1, 4)), ((2, 6), (0, 4), (3, 5)), ((0, 5), (2, 4), (1, 4)), ((3, 7), (0, 3))):
        student, teacher = torch.randn(len(spans), 7, 5), torch.randn(len(spans), 7, 5)
        labels = torch.full((len(spans), 7), -100)
        for row, (start, stop) in enumerate(spans):
            labels[row, start:stop] = torch.randint(0, 9, (stop - start,))
        labels[0, 3] = 0
        distance = 1 - torch.nn.functional.cosine_similarity(student.double(), teacher.double(), dim=-1)
        mask = labels[:, 1:] != -100
        expected = distance[:, :-1][mask].mean()
        own = student.clone().requires_grad_()
        other = teacher.clone().requires_grad_()
        got = state_loss(own, other, labels.clone())
        if not close(number(got), expected, 1e-4):
            unshifted = labels != -100
            squares = (student.double() - teacher.double()).square()
            wraps = (
                "Your mask wraps round: it pairs the last state of a row with the first label of a row. Nothing predicts the "
                "first label: drop it, labels[:, 1:]. (hint 1)"
            )
            mistakes = (
                (distance.mean(), "You averaged over every position, prompt and padding too. (hint 1)"),
                (distance[unshifted.roll(-1, 1)].mean(), wraps),
                (distance[unshifted.roll(-1)].mean(), wraps),
                (distance.flatten()[:-1][unshifted.flatten()[1:]].mean(), wraps),
                (
                    distance[:, 1:][unshifted[:, :-1]].mean(),
                    "You shifted the other way: the state at t predicts label t + 1. (hint 1)",
                ),
                (
                    distance[:, :-1][unshifted[:, :-1]].mean(),
                    "The mask is not shifted: the state at t predicts label t + 1. (hint 1)",
                ),
                ((distance[:, :-1] * mask).mean(), "You divide by all positions: by those that are picked. (hint 2)"),
                (squares[:, :-1][mask].mean(), "Those are squared differences: take 1 − cos. (hint 2)"),
                (-(1 - expected), "That is minus the mean cosine: add 1."),
                (distance[unshifted].mean(), "The mask is not shifted: the state at t predicts label t + 1. (hint 1)"),
                (distance[:, :-1][mask].sum(), "You sum over the positions: take their mean."),
                (
                    torch.stack([d[m].mean() for d, m in zip(distance[:, :-1], mask)]).mean(),
                    "You average each text first, so that a position of a short one weighs more. (hint 2)",
                ),
                (1 - expected, "That is the mean cosine: 1 minus it is the distance."),
                (
                    distance[:, :-1][labels[:, 1:] > 0].mean(),
                    "Your mask drops token 0, a token like any other: labels != -100.",
                ),
            )
            why = "Mean of 1 − cos over the states at t with labels[:, t + 1] != -100. (hints 1 and 2)"
            why = nearest(number(got), mistakes, why)
            raise Wrong(
                f"Over {int(mask.sum())} positions {expected:.4f} was expected, and {number(got):.4f} came. {why}"
            )
        if not isinstance(got, torch.Tensor) or not got.requires_grad:
            raise Wrong("Your loss has no gradient in the student's states: return a tensor.")
        got.backward()
        reference = student.clone().requires_grad_()
        (1 - torch.nn.functional.cosine_similarity(reference, teacher, dim=-1))[:, :-1][mask].mean().backward()
        if own.grad is None or not close(own.grad, reference.grad, 1e-4):
            raise Wrong("The value is right, but its gradient in the student is not: is a part of it detached?")
        if other.grad is not None and other.grad.abs().sum() > 0:
            raise Wrong("Your loss also moves the teacher: detach its states. (hint 2)")


def check_layer_map(layer_map):
    """8.3: each student state to the teacher state that its next layer was trained on."""
    layer_map = unchanged(layer_map)
    cases = [
        ([2, 5, 7], 9),
        ([3], 5),
        ([0, 1, 28, 29], 30),
        ([0, 2, 4], 6),
        ([0, 1, 2, 3], 4),
        ([0, 1, 5, 9, 10, 11], 12),
    ]
    for depth in torch.randint(16, 60, (3,)).tolist():
        cases.append(([0, *(1 + torch.randperm(depth - 1)[:6].sort().values).tolist()], depth))
    for kept, depth in cases:
        expected = {i: kept[i] for i in range(1, len(kept))} | {len(kept): depth}
        got = layer_map(list(kept), depth)
        try:
            got = dict(got)
        except (TypeError, ValueError):
            raise Wrong(f"A dict of student state to teacher state was expected, and this came: {got!r}") from None
        try:
            got = {operator.index(student): operator.index(teacher) for student, teacher in got.items()}
        except TypeError:
            raise Wrong(f"States are whole numbers (int), and this came: {got!r}") from None
        if got == expected:
            continue
        told = f"For layers {kept} of {depth} {expected} was expected, and {got} came. "
        if got == {i: kept[i - 1] + 1 for i in range(1, len(kept) + 1)}:
            raise Wrong(
                told + "You map to what the copied layer used to send; the next layer now must receive what it used to "
                "receive. (hint 1)"
            )
        if got == {i: kept[i - 1] for i in range(1, len(kept) + 1)}:
            raise Wrong(told + "State i comes after layer i − 1 and goes into layer i: take kept[i]. (hint 2)")
        if got == {i: layer for i, layer in enumerate(kept)} | {len(kept): depth}:
            raise Wrong(told + "State 0 is the embedding, equal in both: leave it out.")
        if got == {i: kept[i] for i in range(1, len(kept))}:
            raise Wrong(told + "The last state, the one before the head, is missing. (hint 2)")
        if got == {teacher: student for student, teacher in expected.items()}:
            raise Wrong(told + "Yours goes from teacher to student: turn it round.")
        missing = [state for state in expected if state not in got]
        if missing:
            raise Wrong(told + f"Student state {missing[0]} is missing: 1 to {len(kept)} all have one.")
        state = next((state for state in expected if got[state] != expected[state]), None)
        if state is None:
            raise Wrong(told + f"There are states too many: 1 to {len(kept)}, without 0, the embedding.")
        if state == len(kept):
            raise Wrong(
                told + f"The last state goes into the head, which received the teacher's last state, {depth}. (hint 2)"
            )
        raise Wrong(
            told
            + f"Student state {state} goes into the layer that was the teacher's {kept[state]}, and that received the "
            f"teacher's state {kept[state]}. (hint 1)"
        )


def check_explained(explained):
    """8.4: how much of the teacher's states a linear map explains, on states it was not fitted to."""
    explained = unchanged(explained)
    # Few training rows and much noise: every mistake then moves the share by far more than the tolerance. The test states
    # lie elsewhere, so that their mean is another; and where the noise is all there is, the share is below 0.
    for noise, signal in ((0.7, 1.0), (1.0, 1.0), (1.5, 0.05)):
        train_s, train_t, test_s, test_t = _pairs(noise, signal)

        def fit(s, t, shift=True):
            ones = torch.ones(len(s), int(shift))
            return torch.linalg.lstsq(torch.cat([s, ones], 1).double(), t.double()).solution

        def share(solution, s, t, about):
            ones = torch.ones(len(s), len(solution) - s.shape[1])
            left = (t - torch.cat([s, ones], 1).double() @ solution).square().sum()
            return (1 - left / (t.double() - about).square().sum()).item()

        solution, mean, own = fit(train_s, train_t), train_t.double().mean(0), test_t.double().mean(0)
        expected = share(solution, test_s, test_t, own)
        got = number(explained(train_s.clone(), train_t.clone(), test_s.clone(), test_t.clone()))
        if close(got, expected, 1e-4):
            continue
        columns = [share(solution[:, c : c + 1], test_s, test_t[:, c : c + 1], own[c]) for c in range(6)]
        moved = test_s.double() - test_s.double().mean(0)
        left = (test_t.double() - own - moved @ solution[:-1]).square().sum()
        ridges = [_ridge(train_s, train_t, test_s, test_t, strength) for strength in (1e-3, 0.01, 0.1, 1.0, 10.0)]
        mistakes = (
            (
                share(solution, train_s, train_t, mean),
                "That is the share on the states the map was fitted to. (hint 2)",
            ),
            (
                share(fit(test_s, test_t), test_s, test_t, test_t.double().mean(0)),
                "You fitted the map on the test states. (hint 2)",
            ),
            (
                share(fit(train_s, train_t, False), test_s, test_t, test_t.double().mean(0)),
                "Your map has no constant: centre with the training means, or add a column of ones. (hint 1)",
            ),
            (
                share(solution, test_s, test_t, 0.0),
                "Compare with the mean of the teacher's states, not with zero. (hint 2)",
            ),
            (1 - expected, "That is the share left over."),
            (
                share(solution, test_s, test_t, mean),
                "Your divisor takes the mean of the training set: that of the test states was asked for. (hint 2)",
            ),
            (
                share(solution, test_s, test_t, test_t.double().mean()),
                "Your divisor takes one mean for all dimensions: each has its own, mean(0). (hint 2)",
            ),
            (sum(columns) / 6, "You average the share of each dimension: sum the squares of all, then divide once."),
            (
                (1 - left / (test_t.double() - own).square().sum()).item(),
                "You centre the test pair by its own means: then it tells the map its constant. Use the training means. (hint 1)",
            ),
            *(
                (ridge, "You shrink the map with a ridge: plain least squares was asked for. (hint 1)")
                for ridge in ridges
            ),
        )
        why = "Fit on training, squares left over on test, over the squares about the test mean. (hints 1 and 2)"
        why = nearest(got, mistakes, why)
        if expected < 0 and (got == 0 or close(got, -expected, 1e-4)):
            why = "A map can do worse than the mean: then the share is below 0, and stays so, without max and abs."
        raise Wrong(f"A share of {expected:.4f} was expected, and {got:.4f} came. {why}")


def _pairs(noise, signal):
    """Training and test pairs on which every mistake shows: another mean in the test pair, dimensions of unequal size."""
    inside = signal * torch.randn(4, 6) * torch.linspace(0.3, 2, 6)
    while True:
        train_s, test_s = torch.randn(14, 4) + 1, torch.randn(50, 4) + 1.7
        spread = train_s - train_s.mean(0)
        train_t, test_t = (s @ inside + 3 + noise * torch.randn(len(s), 6) for s in (train_s, test_s))
        centred = (test_t - test_t.mean(0)).square().sum()
        if torch.linalg.cond(spread) < 6 and (test_t.mean(0) - train_t.mean(0)).square().sum() * 50 > 0.05 * centred:
            weights = torch.linalg.lstsq(spread, train_t - train_t.mean(0)).solution
            left = test_t - train_t.mean(0) - (test_s - train_s.mean(0)) @ weights
            if signal > 0.5 or left.square().sum() > 1.1 * centred:
                return train_s, train_t, test_s, test_t


def _ridge(train_s, train_t, test_s, test_t, strength):
    s, t, u, v = (z.double() for z in (train_s, train_t, test_s, test_t))
    x = s - s.mean(0)
    weights = torch.linalg.solve(x.T @ x + strength * torch.eye(x.shape[1]), x.T @ (t - t.mean(0)))
    left = v - t.mean(0) - (u - s.mean(0)) @ weights
    return (1 - left.square().sum() / (v - v.mean(0)).square().sum()).item()


def check_relations(relations):
    """8.5: squared differences of cosine similarities within each text, mean over its pairs, mean over positions."""
    relations = unchanged(relations)
    for lengths, names in (((3, 5), (0, 1)), ((4, 1, 2), (0, 1, 2)), ((5, 2, 3), (7, 0, 4))):
        total = sum(lengths)
        rows = torch.repeat_interleave(torch.tensor(names), torch.tensor(lengths))
        if len(lengths) > 2:  # the positions of a batch may stand in any order
            rows = rows[torch.randperm(total)]
        student, teacher = torch.randn(total, 4), torch.randn(total, 7)
        s, t = (torch.nn.functional.normalize(z.double(), dim=-1) for z in (student, teacher))
        squares = (s @ s.T - t @ t.T).square()
        same = rows[:, None] == rows[None]
        expected = ((squares * same).sum(1) / same.sum(1)).mean()
        own = student.clone().requires_grad_()
        value = relations(own, teacher.clone(), rows.clone())
        array = torch.as_tensor(value).detach()
        got = array.item() if array.numel() == 1 else number(value)
        if close(got, expected, 1e-4):
            if not isinstance(value, torch.Tensor) or not value.requires_grad:
                raise Wrong("Your loss has no gradient in the student's states: return a tensor.")
            value.backward()
            right = student.double().requires_grad_()
            z = torch.nn.functional.normalize(right, dim=-1)
            ((((z @ z.T - t @ t.T).square() * same).sum(1) / same.sum(1)).mean()).backward()
            if own.grad is None or not close(own.grad, right.grad, 1e-4):
                raise Wrong(
                    "The value is right, but its gradient in the student is not: both states of a pair are the student's, and "
                    "the gradient goes through both. Is one detached?"
                )
            continue
        if math.isnan(got):
            raise Wrong("Yours gives NaN: a text of one position has one pair, the position with itself. (hint 2)")
        each = (squares * same).sum(1)
        raw = (student.double() @ student.double().T - teacher.double() @ teacher.double().T).square()
        order = rows.sort().values
        blocks = order[:, None] == order[None]
        apart = "Here the texts do not stand one after the other: compare rows[:, None] == rows[None]. (hint 2)"
        mistakes = (
            (((squares * blocks).sum(1) / blocks.sum(1)).mean(), apart),
            (squares.mean(), "Positions of other texts are in yours: compare within a text only. (hint 2)"),
            ((squares * same).mean(), "You divide by all pairs, those of other texts too. (hint 2)"),
            (
                ((raw * same).sum(1) / same.sum(1)).mean(),
                "Scale every state to length 1 first: cosine, not dot product.",
            ),
            (
                (squares * same).sum() / same.sum(),
                "You take the mean over pairs: a long text then weighs more. (hint 2)",
            ),
            (((squares * same).sum(1) / same.sum(1)).sum(), "You sum over the positions: take their mean."),
            (
                (((s @ s.T - t @ t.T).abs() * same).sum(1) / same.sum(1)).mean(),
                "You take absolute differences: squares were asked for.",
            ),
            (
                (each / (same.sum(1) - 1).clamp(min=1)).mean(),
                "Each position counts itself too: divide by all of its text. (hint 2)",
            ),
            (
                torch.stack([(each / same.sum(1))[rows == name].mean() for name in names]).mean(),
                "You take the mean over texts: one over positions was asked for. (hint 2)",
            ),
            (
                (((2 - 2 * s @ s.T).clamp(min=0).sqrt() - (2 - 2 * t @ t.T).clamp(min=0).sqrt()).square() * same)
                .sum(1)
                .div(same.sum(1))
                .mean(),
                "You compare distances: cosines were asked for. (hint 1)",
            ),
        )
        why = "Squared differences of the cosines, mean over the positions of the same text, then over all. (hints 1 and 2)"
        if not torch.equal(rows, rows.sort().values):
            why = apart
        why = nearest(got, mistakes, why)
        raise Wrong(
            f"For texts of {list(lengths)} positions, rows {rows.tolist()}, {expected:.4f} was expected, and {got:.4f} came. {why}"
        )


CHECKS = {
    "8.1": check_cka,
    "8.2": check_state_loss,
    "8.3": check_layer_map,
    "8.4": check_explained,
    "8.5": check_relations,
}
