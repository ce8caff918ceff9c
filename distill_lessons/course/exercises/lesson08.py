"""Checks of lesson 08, feature distillation: CKA, state loss, layer map, projection, relations within a text."""

import torch

from distill_lessons.course.exercises import Wrong, close, number


def _cka(x, y, centre=True):
    x, y = x.double(), y.double()
    if centre:
        x, y = x - x.mean(0), y - y.mean(0)
    return (torch.linalg.norm(y.T @ x) ** 2 / (torch.linalg.norm(x.T @ x) * torch.linalg.norm(y.T @ y))).item()


def check_cka(cka):
    """8.1: linear CKA."""
    for d, e in ((5, 5), (4, 9)):
        x, y = torch.randn(60, d) + 2, torch.randn(60, e) - 1
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
            ((torch.linalg.norm(b.T @ a) / norms.sqrt()).item(), "The numerator is the norm squared. (hint 2)"),
            ((torch.linalg.norm(b.T @ a) / norms).item(), "The numerator is the norm squared. (hint 2)"),
            (
                (torch.linalg.norm(b.T @ a) ** 2 / (torch.linalg.norm(a) * torch.linalg.norm(b)) ** 2).item(),
                "The denominator has the norms of X'X and Y'Y, not those of X and Y. (hint 2)",
            ),
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-4)), "See both hints.")
        raise Wrong(f"For 60 positions a CKA of {expected:.4f} was expected, and {got:.4f} came. {why}")
    x = torch.randn(50, 6)
    turned = 3 * x @ torch.linalg.qr(torch.randn(6, 6))[0] + 1
    if not close(number(cka(x.clone(), turned)), 1, 1e-3):
        raise Wrong("A rotated, scaled and shifted copy must have a CKA of 1.")


def check_state_loss(state_loss):
    """8.2: mean of 1 − cos at the positions that predict an answer token."""
    for _ in range(3):
        student, teacher = torch.randn(3, 7, 5), torch.randn(3, 7, 5)
        labels = torch.full((3, 7), -100)
        for row, (start, stop) in enumerate(((2, 7), (3, 5), (1, 4))):
            labels[row, start:stop] = torch.randint(0, 9, (stop - start,))
        labels[0, 2] = 0
        distance = 1 - torch.nn.functional.cosine_similarity(student.double(), teacher.double(), dim=-1)
        mask = labels[:, 1:] != -100
        expected = distance[:, :-1][mask].mean()
        own = student.clone().requires_grad_()
        other = teacher.clone().requires_grad_()
        got = state_loss(own, other, labels.clone())
        if not close(number(got), expected, 1e-4):
            unshifted = labels != -100
            mistakes = (
                (distance.mean(), "You averaged over every position, prompt and padding too. (hint 1)"),
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
            why = next((words for value, words in mistakes if close(number(got), value, 1e-4)), "See both hints.")
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
    cases = [([0, 1, 28, 29], 30), ([0, 2, 4], 6), ([0, 1, 2, 3], 4), ([0, 1, 5, 9, 10, 11], 12)]
    for depth in torch.randint(16, 60, (3,)).tolist():
        cases.append(([0, *(1 + torch.randperm(depth - 1)[:6].sort().values).tolist()], depth))
    for kept, depth in cases:
        expected = {i: kept[i] for i in range(1, len(kept))} | {len(kept): depth}
        got = layer_map(list(kept), depth)
        try:
            got = {int(student): int(teacher) for student, teacher in dict(got).items()}
        except (TypeError, ValueError):
            raise Wrong(f"A dict of student state to teacher state was expected, and this came: {got!r}") from None
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
        raise Wrong(told + "See both hints.")


def check_explained(explained):
    """8.4: how much of the teacher's states a linear map explains, on states it was not fitted to."""
    # Few training rows and much noise: every mistake then moves the share by far more than the tolerance.
    for noise in (0.7, 1.0, 1.5):
        inside = torch.randn(4, 6)
        train_s, test_s = torch.randn(20, 4) + 1, torch.randn(50, 4) + 1
        train_t, test_t = (s @ inside + 3 + noise * torch.randn(len(s), 6) for s in (train_s, test_s))

        def fit(s, t, shift=True):
            ones = torch.ones(len(s), int(shift))
            return torch.linalg.lstsq(torch.cat([s, ones], 1).double(), t.double()).solution

        def share(solution, s, t, about):
            ones = torch.ones(len(s), len(solution) - s.shape[1])
            left = (t - torch.cat([s, ones], 1).double() @ solution).square().sum()
            return (1 - left / (t.double() - about).square().sum()).item()

        solution, mean = fit(train_s, train_t), train_t.double().mean(0)
        expected = [share(solution, test_s, test_t, about) for about in (test_t.double().mean(0), mean)]
        got = number(explained(train_s.clone(), train_t.clone(), test_s.clone(), test_t.clone()))
        if any(close(got, value, 1e-4) for value in expected):
            continue
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
            (1 - expected[0], "That is the share left over."),
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-4)), "See both hints.")
        raise Wrong(f"A share of {expected[0]:.4f} was expected, and {got:.4f} came. {why}")


def check_relations(relations):
    """8.5: squared differences of cosine similarities within each text, mean over its pairs, mean over positions."""
    for lengths in ((3, 5), (4, 1, 2)):
        total = sum(lengths)
        rows = torch.repeat_interleave(torch.arange(len(lengths)), torch.tensor(lengths))
        student, teacher = torch.randn(total, 4), torch.randn(total, 7)
        s, t = (torch.nn.functional.normalize(z.double(), dim=-1) for z in (student, teacher))
        squares = (s @ s.T - t @ t.T).square()
        same = rows[:, None] == rows[None]
        expected = ((squares * same).sum(1) / same.sum(1)).mean()
        got = number(relations(student.clone(), teacher.clone(), rows.clone()))
        if close(got, expected, 1e-4):
            continue
        raw = (student.double() @ student.double().T - teacher.double() @ teacher.double().T).square()
        mistakes = (
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
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-4)), "See both hints.")
        raise Wrong(f"For texts of {list(lengths)} positions {expected:.4f} was expected, and {got:.4f} came. {why}")
    slope_of = torch.randn(5, 3).requires_grad_()
    value = relations(slope_of, torch.randn(5, 6), torch.zeros(5, dtype=torch.long))
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        raise Wrong("Your loss has no gradient in the student's states: return a tensor.")


CHECKS = {
    "8.1": check_cka,
    "8.2": check_state_loss,
    "8.3": check_layer_map,
    "8.4": check_explained,
    "8.5": check_relations,
}
