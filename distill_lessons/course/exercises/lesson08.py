"""Checks of lesson 08, feature distillation: layer map, state loss, projection, a control read, four logs, a training."""

import copy
import functools
import operator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from distill_lessons import runtime
from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import nearest, unchanged


def check_layer_map(layer_map):
    """8.1: each student state to the teacher state that its next layer was trained on."""
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


def check_explained(explained):
    """8.3: how much of the teacher's states a linear map explains, on states it was not fitted to."""
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


# --- 8.4: what did the states do? -------------------------------------------------------------------------------------

REASONS = {
    "meaning": "keep",  # better than without, and better than with other sentences' states
    "any target": "drop",  # better than without, and no better than with other sentences' states
    "nothing seen": "drop",
    "harm": "drop",
}
CLEAR = 2.5  # standard errors


def _clear(one, other):
    """How many standard errors the mean paired difference is above zero."""
    gap = one - other
    return gap.mean() / (gap.std(ddof=1) / np.sqrt(len(gap)))


def _reason(outputs, states, shuffled):
    if _clear(outputs, states) > CLEAR:
        return "harm"
    if _clear(states, outputs) <= CLEAR:
        return "nothing seen"
    return "meaning" if _clear(states, shuffled) > CLEAR else "any target"


# Gains of states and of shuffled states over the outputs alone, in units of the noise between arms of one seed.
GAINS = ((3, 0), (3, 1.2), (3, 3), (1.5, 1.5), (0, 0), (0, -3), (-3, -3), (-3, 0), (0, 3), (2.5, 4.5), (6, 3))
# Standard errors of the gains on the outputs alone and on strangers' states, near the limit: 2.2 is not clear and 2.8 is, and
# 2.42 becomes clear only where the deviation is taken with ddof=0 (8 to 12 seeds).
NEAR_LIMIT = ((2.2, 6), (2.8, 6), (2.42, 6), (6, 2.2), (6, 2.8), (6, 2.42), (-2.2, 1), (-2.8, 1), (-2.42, 1))


def _far_from_the_limit(gains):
    """Three arms, drawn until no other sensible rule would decide otherwise: nothing lies near the limit."""
    while True:
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        seeds = int(rng.integers(8, 13))
        common = 0.7 + 0.03 * rng.standard_normal(seeds)  # what the seeds share: it cancels only in pairs
        arms = [common + 0.004 * (gain + rng.standard_normal(seeds)) for gain in (0, *gains)]
        if all(abs(abs(_clear(arms[1], other)) - CLEAR) > 0.7 for other in (arms[0], arms[2])):
            return arms


def _at(ratios):
    """Three arms whose differences are exactly so many standard errors."""
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    seeds = int(rng.integers(8, 13))
    states, others = 0.7 + 0.03 * rng.standard_normal(seeds), []
    for ratio in ratios:
        noise = rng.standard_normal(seeds)
        noise = (noise - noise.mean()) / noise.std(ddof=1)
        others.append(states - 0.006 * (noise + ratio / np.sqrt(seeds)))
    return [others[0], states, others[1]]


def check_read_control(read):
    """8.4: keep the states or drop them, and why, from accuracies over seeds."""
    read = unchanged(read)
    cases = [*(_far_from_the_limit(gains) for gains in GAINS), *(_at(ratios) for ratios in NEAR_LIMIT)]
    for place in torch.randperm(len(cases)).tolist():
        arms = cases[place]
        ratios = [_clear(arms[1], arms[0]), _clear(arms[1], arms[2])]
        expected = _reason(*arms)
        answer = read(*(arm.copy() for arm in arms))
        try:
            decision, reason = answer
        except (TypeError, ValueError):
            raise Wrong(f'A pair is expected, such as ("drop", "harm"), and this came: {answer!r:.80}.') from None
        if not isinstance(reason, str) or reason not in REASONS or decision not in REASONS.values():
            raise Wrong(
                f'"keep" or "drop" is expected, and one of the reasons {", ".join(REASONS)}; this came: {answer!r:.80}.'
            )
        if (decision, reason) == (REASONS[expected], expected):
            continue
        told = (
            f"States gain {100 * (arms[1] - arms[0]).mean():+.2f} points on the outputs alone, {ratios[0]:.2f} standard errors of "
            f"the paired difference, and {100 * (arms[1] - arms[2]).mean():+.2f} on shuffled ones, {ratios[1]:.2f} standard errors. "
            f"You say {decision}, {reason}. "
        )
        if reason == expected:
            raise Wrong(told + "The reason is right, and the decision does not follow from it: keep for meaning alone.")
        why = {
            "harm": "With states the student is clearly worse than without. (hint 1)",
            "nothing seen": "Over the outputs alone no gain is clear, whatever the control does. (hint 1)",
            "any target": "Other sentences' states do as well: it is not what they mean. (hint 2)",
            "meaning": "They gain on both: subtract seed by seed, and divide by the error of the mean. (hint 1)",
        }[expected]
        if place >= len(GAINS):
            why += (
                " Clear is more than 2.5 standard errors, the deviation taken with ddof=1: look at your limit. (hint 1)"
            )
        raise Wrong(told + why)


# --- 8.5 and 8.6: a small world ---------------------------------------------------------------------------------------

INPUTS, INSIDE = 30, 12


class Small(nn.Module):
    """``student(x)`` gives logits ``[B, 2]`` and hidden states ``[B, hidden]``."""

    def __init__(self, hidden: int):
        super().__init__()
        self.body, self.head = nn.Linear(INPUTS, hidden), nn.Linear(hidden, 2)

    def forward(self, x):
        states = self.body(x).tanh()
        return self.head(states), states


def world(generator: torch.Generator, count: int = 120):
    """A teacher with 12 hidden numbers, `count` inputs for the student and 2,000 held out."""
    teacher = Small(INSIDE)
    with torch.no_grad():
        for weight in teacher.parameters():
            weight.copy_(torch.randn(weight.shape, generator=generator) * (0.2 if weight.shape[-1] == INPUTS else 1.5))
        teacher.head.bias.zero_()
    draw = lambda n: torch.randn(n, INPUTS, generator=generator)  # noqa: E731
    return teacher, draw(count), draw(2000)


def agreement(student, teacher, held_out):
    """Share of held-out inputs on which both have one answer."""
    with torch.no_grad():
        return (student(held_out)[0].argmax(-1) == teacher(held_out)[0].argmax(-1)).float().mean().item()


KINDS = ("sound", "cut off", "other sentences", "moving teacher")


@functools.cache  # a third of a second each: who asks again waits less, and copies what is to be changed
@runtime.threads(1)  # quicker than two for so small a net, and by far on a busy machine
def log_of(kind: str, seed: int, count: int = 120, unit: float = 1.0) -> dict[str, list[float]]:
    """Six readings of a run of a kind, one every 40 steps.

    Args:
        count: of the training inputs.
        unit: that the inputs are measured in. Inputs `unit` times as large, with first weights as much smaller, change nothing
            but the gradient in these weights, which is `unit` times as large: so the size of a pull alone says little.
    Returns:
        ``distance`` on the training inputs, as the loss has it; on ``held out`` ones, to the teacher as it was; ``pull``, the
        norm of the distance's gradient in the student's weights; ``accuracy``, agreement with the teacher, held out.
    """
    generator = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng():  # what is drawn after it does not depend on what is remembered
        teacher, x, held_out = world(generator, count)
        torch.manual_seed(seed)
        student, project = Small(16), nn.Linear(16, INSIDE, bias=False)
    moving = copy.deepcopy(teacher)
    order = torch.randperm(len(x), generator=generator) if kind == "other sentences" else torch.arange(len(x))
    groups = [{"params": [*student.parameters(), *project.parameters()]}]
    if kind == "moving teacher":
        groups.append({"params": list(moving.parameters()), "lr": 5e-2})
    optimiser = torch.optim.Adam(groups, lr=1e-2)
    answers = teacher(x)[0].argmax(-1)

    def apart(inputs, order, teacher=moving):
        own, theirs = student(inputs)[1], teacher(inputs)[1][order]
        own = own.detach() if kind == "cut off" else own
        theirs = theirs if kind == "moving teacher" else theirs.detach()
        return (1 - F.cosine_similarity(project(own), theirs, dim=-1)).mean()

    log = {"distance": [], "held out": [], "pull": [], "accuracy": []}
    for step in range(201):
        distance = apart(x, order)
        if step % 40 == 0:
            pulled = torch.autograd.grad(distance, student.body.weight, retain_graph=True, allow_unused=True)[0]
            log["distance"].append(distance.item())
            log["held out"].append(apart(held_out, torch.arange(len(held_out)), teacher).item())
            log["pull"].append(0.0 if pulled is None else unit * pulled.norm().item())
            log["accuracy"].append(agreement(student, teacher, held_out))
        loss = F.cross_entropy(student(x)[0], answers) + distance
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return log


def logs(seed: int = 0, letters: str = "CADB") -> dict[str, dict[str, list[float]]]:
    """Four runs, one of each of KINDS, named by letters; each in a unit of its own."""
    units = 10 ** np.random.default_rng(seed).uniform(-1, 1, len(KINDS))
    return {
        letter: log_of(kind, seed + place, unit=units[place])
        for place, (letter, kind) in enumerate(sorted(zip(letters, KINDS)))
    }


def show_logs(seed: int = 0) -> None:
    """The last reading of each of the four runs."""
    for letter, log in logs(seed).items():
        print(letter, "  ".join(f"{name} {readings[-1]:.3f}" for name, readings in log.items()))


RUNS = 40  # seeds of each kind and size that a check draws from
HELD_OUT = 0.15, 0.35  # a sound run's last distance on new inputs is below the one, that of the others above the other
TOO_GOOD = 0.01  # the last training distance of a moving teacher is below


def _log_without_doubt(kind, count=120, unit=1.0, low=0.0, high=1.0):
    """A run's log that leaves no doubt, near on new inputs or far, with its last training distance between two limits."""
    while True:
        log = log_of(kind, int(torch.randint(RUNS, ())), count, unit)
        distance, held_out = log["distance"][-1], log["held out"][-1]
        sure = {
            "sound": held_out < HELD_OUT[0],
            "cut off": True,
            "other sentences": held_out > HELD_OUT[1],
            "moving teacher": held_out > HELD_OUT[1] and distance < TOO_GOOD,
        }[kind]
        if sure and low < distance < high:
            return log


def _runs():
    """Seven runs of 8.5, shuffled: (kind, log). No reading alone tells the kinds apart.

    The pull of other sentences' states lies above the moving teacher's in one unit and below it in the other; the training
    distance of the run that is cut off lies between those of the two with other sentences' states.
    """
    few = _log_without_doubt("other sentences", 120, 0.02, high=0.09)
    cut = _log_without_doubt("cut off", 60, low=few["distance"][-1], high=0.17)
    runs = [
        ("cut off", cut),
        ("other sentences", few),
        ("other sentences", _log_without_doubt("other sentences", 300, 10.0, low=cut["distance"][-1])),
        ("sound", _log_without_doubt("sound", 120, 0.05)),
        ("sound", _log_without_doubt("sound", 300, 30.0)),
        ("moving teacher", _log_without_doubt("moving teacher", 120, 30.0)),
        ("moving teacher", _log_without_doubt("moving teacher", 300, 0.05)),
    ]
    return [runs[place] for place in torch.randperm(len(runs)).tolist()]


def check_diagnose(diagnose):
    """8.5: which runs were sound, and what the others had wrong."""
    diagnose = unchanged(diagnose)
    for kind, log in _runs():
        answer = diagnose(copy.deepcopy(log))
        if not isinstance(answer, str) or answer not in KINDS:
            raise Wrong(f"One of the words {', '.join(KINDS)} is expected, and this came: {answer!r:.80}.")
        if answer != kind:
            last = ", ".join(f"{name} {readings[-1]:.3g}" for name, readings in log.items())
            why = {
                "sound": "Its student is pulled, comes nearer, and nearer on new inputs too.",
                "cut off": "The distance does not pull at this student's weights. (hint 1)",
                "other sentences": "What it learns of the states does not hold on new inputs. (hint 2)",
                "moving teacher": "Near where it trained, far from the teacher as it was: that one came to meet it. (hint 3)",
            }[kind]
            raise Wrong(f"For a run that ends at {last} you say {answer!r}, and it was {kind!r}. {why}")


@runtime.threads(1)
def _ours(student, project, x, answers, states, weight=3.0, steps=300):
    """The reference training of 8.6: outputs, and `weight` times the distance of the states."""
    optimiser = torch.optim.Adam([*student.parameters(), *project.parameters()], lr=1e-2)
    for _ in range(steps):
        logits, own = student(x)
        loss = F.cross_entropy(logits, answers)
        loss = loss + weight * (1 - F.cosine_similarity(project(own), states, dim=-1)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


NEAR, BEHIND = 0.15, 0.05  # the farthest that the states may stay, and agreement lost against ours


def check_train(train):
    """8.6: a training that uses answers and states, scored on held-out inputs of three small worlds."""
    far, found, ours = [], [], []
    for _ in range(3):
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        teacher, x, held_out = world(generator)
        student, project = Small(16), nn.Linear(16, INSIDE, bias=False)
        with torch.no_grad():
            logits, states = teacher(x)
        given = (x, logits.argmax(-1), states)
        ours.append(agreement(_ours(*copy.deepcopy((student, project)), *given), teacher, held_out))
        copies, before = [each.clone() for each in given], project.weight.detach().clone()
        with torch.enable_grad():
            trained = train(student, project, *copies)
        if any(not torch.equal(now.detach(), was) for now, was in zip(copies, given)):
            raise Wrong("Your function changes what it is given: x, the answers and the states stay as they are.")
        if not isinstance(trained, nn.Module):
            raise Wrong(f"The trained student is expected back, and this came: {trained!r:.80}.")
        if torch.equal(project.weight.detach(), before):
            raise Wrong(
                "`project` is as it was: train the map too, in place, in one optimiser with the student. (hint 1)"
            )
        with torch.no_grad():
            own, theirs = project(trained(held_out)[1]), teacher(held_out)[1]
        far.append((1 - F.cosine_similarity(own, theirs, dim=-1)).mean().item())
        found.append(agreement(trained, teacher, held_out))
    distance, got, reference = (float(np.mean(scores)) for scores in (far, found, ours))
    told = (
        f"On new inputs your states are {distance:.2f} from the teacher's, and {got:.1%} of the answers are its own. "
    )
    if not distance < NEAR:
        raise Wrong(
            told
            + f"{NEAR} or less was asked for. Does the distance pull at the student's body, with the right sign, each state "
            "towards its own, for enough steps? And is `project` trained, in place? (hint 1)"
        )
    if got < reference - BEHIND:
        raise Wrong(told + f"Ours agrees on {reference:.1%}: are the answers in the loss too? (hint 2)")


CHECKS = {
    "8.1": check_layer_map,
    "8.2": check_state_loss,
    "8.3": check_explained,
    "8.4": check_read_control,
    "8.5": check_diagnose,
    "8.6": check_train,
}
