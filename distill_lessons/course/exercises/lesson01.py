"""Checks of lesson 01, temperature."""

import itertools
import math

import numpy as np
import torch
from torch import nn

from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import nearest, unchanged
from distill_lessons.pairs import reviews


def _random(low, high):
    return low + (high - low) * torch.rand(()).item()


def _shown(answer):
    """A single number with four decimals, anything else as it is."""
    array = torch.as_tensor(answer)
    return f"{array.item():.4f}" if array.numel() == 1 else repr(answer)


def _refuse_kept_axis(answer, expected):
    if close(answer, expected.unsqueeze(-1)):
        raise Wrong("Right numbers, wrong shape: drop keepdim.")


def check_soften(soften):
    """1.1: softmax with temperature, for any leading shape, stable for logits of 1000."""
    soften = unchanged(soften)
    logits = 3 * torch.randn(7)
    temperature = _random(1.7, 4.0)
    expected = torch.softmax(logits.double() / temperature, dim=-1)
    try:
        answer = soften(logits.clone(), temperature)
    except TypeError as error:
        if "return_types" not in str(error):
            raise
        raise Wrong("max(dim=...) returns the values and where they are: take .values of it. (hint 2)") from None
    if not close(answer, expected):
        total = float(torch.as_tensor(answer).sum())
        if abs(total - 1) > 1e-3:
            raise Wrong(f"Probabilities must sum to 1, and yours sum to {total:.3f}. What do you divide by? (hint 1)")
        if close(answer, torch.softmax(logits.double(), dim=-1)):
            raise Wrong("You return the distribution at T=1, whatever T is. Divide the logits by T first. (hint 1)")
        if close(answer, torch.softmax(logits.double() * temperature, dim=-1)):
            raise Wrong(f"At T={temperature:.2f} yours is sharper than at T=1: do you multiply by T? (hint 1)")
        raise Wrong(
            f"For T={temperature:.2f} the largest probability should be {expected.max():.4f}, "
            f"and yours is {float(torch.as_tensor(answer).max()):.4f}. (hint 1)"
        )
    batch = torch.randn(2, 3, 5)
    expected = torch.softmax(batch.double() / 2, dim=-1)
    answer = soften(batch.clone(), 2.0)
    if not close(answer, expected):
        raise Wrong(
            "Logits of shape [2, 3, 5] came out wrong: every row of the last axis is its own distribution. "
            "Sum and take the maximum over dim=-1, with keepdim=True. (hint 2)"
        )
    large = torch.tensor([[1000.0, 800.0, 900.0], [-1000.0, -1200.0, -1100.0]])
    for temperature in (1.0, 0.5, 2.0, 50.0):
        expected = torch.softmax(large.double() / temperature, dim=-1)
        answer = soften(large.clone(), temperature)
        if not close(answer, expected):
            raise Wrong(
                f"Logits around +1000 and −1000 at T={temperature:g} should give {expected[0].numpy().round(3)} in "
                f"both rows, and yours give {torch.as_tensor(answer).double().numpy().round(3).tolist()}: exp overflows or "
                "underflows. Take each row's own maximum off first. (hint 2)"
            )


def check_top_mass(top_mass):
    """1.3: mass of the k likeliest tokens at a temperature."""
    top_mass = unchanged(top_mass)
    logits = 4 * torch.randn(200)
    k, temperature = int(torch.randint(3, 20, ())), _random(1.8, 3.5)
    p = torch.softmax(logits.double() / temperature, dim=-1)
    ordered = p.sort(descending=True).values
    expected = ordered[:k].sum()
    answer = top_mass(logits.clone(), k, temperature)
    if not close(answer, expected):
        _refuse_kept_axis(answer, expected)
        told = (
            f"The {k} likeliest of 200 tokens hold {expected:.4f} at T={temperature:.2f}, and yours {_shown(answer)}. "
        )
        cold = torch.softmax(logits.double(), -1).sort(descending=True).values
        hot = torch.softmax(logits.double() * temperature, -1).sort(descending=True).values
        if close(answer, 1.0, 1e-5):
            raise Wrong(
                told
                + "Do you add up all tokens, take a softmax over the k alone, or multiply by T? Divide all 200 logits by "
                "T, take their softmax, and only then pick k. (hint 1)"
            )
        mistakes = (
            (p[:k].sum(), "You take the first k tokens, not the likeliest. (hint 1)"),
            (cold[:k].sum(), "That is the mass at T=1: the temperature is not used. (hint 1)"),
            (hot[:k].sum(), "You multiply the logits by T: divide them. (hint 1)"),
            (cold[:k].sum() / temperature, "You divide the mass by T: divide the logits, before the softmax. (hint 1)"),
            (ordered[-k:].sum(), "You take the k smallest. (hint 1)"),
            (ordered[k - 1], "That is the kth largest alone: add up the k. (hint 2)"),
            (ordered[0], "That is the largest alone: add up the k. (hint 2)"),
            (expected / k, "That is the mean of the k: add them up. (hint 2)"),
            (ordered[: k + 1].sum(), "You add up one token too many."),
            (ordered[: k - 1].sum(), "You add up one token too few."),
            (1 - expected, "That is the mass of all others."),
        )  # fmt: skip
        raise Wrong(told + nearest(answer, mistakes, "Soften all 200 first, then sum the k largest. (hint 1)"))
    batch = 3 * torch.randn(4, 5, 50)
    k, temperature = int(torch.randint(5, 10, ())), _random(1.8, 3.5)
    p = torch.softmax(batch.double() / temperature, dim=-1)
    expected = p.topk(k, dim=-1).values.sum(-1)
    answer = top_mass(batch.clone(), k, temperature)
    if not close(answer, expected):
        _refuse_kept_axis(answer, expected)
        told = "For one row it is right. Logits of shape [4, 5, 50] should give masses of shape [4, 5]; "
        shape = list(torch.as_tensor(answer).shape)
        if shape != [4, 5]:
            raise Wrong(told + f"yours have the shape {shape}: pick and sum over the last axis alone, dim=-1. (hint 2)")
        for axis in (0, 1):
            if close(answer, torch.softmax(batch.double() / temperature, dim=axis).topk(k, dim=-1).values.sum(-1)):
                raise Wrong(told + f"your softmax runs over axis {axis}: every row is its own distribution, dim=-1.")
        if close(answer, p.flatten().div(20).reshape(4, 5, 50).topk(k, dim=-1).values.sum(-1)):
            raise Wrong(told + "your softmax runs over all rows at once: every row is its own distribution, dim=-1.")
        raise Wrong(
            told
            + f"that of row [0, 0] should be {expected[0, 0]:.4f}, and yours is {float(answer[0][0]):.4f}. Softmax, "
            "choice and sum all run over the last axis, dim=-1. (hint 2)"
        )
    tied = torch.tensor([2.0, 1.0, 1.0, 1.0, 0.0, 0.0])[torch.randperm(6)]
    expected = torch.softmax(tied.double(), -1).sort(descending=True).values[:2].sum()
    answer = top_mass(tied, 2, 1.0)
    if not close(answer, expected):
        raise Wrong(
            f"Where three tokens share the second place, the 2 likeliest of 6 hold {expected:.4f}, and yours "
            f"{_shown(answer)}: a threshold lets all that tie in. Take exactly k, with topk. (hint 2)"
        )
    answer = top_mass(torch.randn(10), 10, 3.0)
    if not close(answer, 1.0):
        raise Wrong(f"All 10 of 10 tokens hold a mass of 1, and yours {_shown(answer)}: k may be as large as V.")


# Rows that disagree in one pair of classes only: (row, T, row, T, which pair).
ONE_PAIR = (
    ((0.49, 0.31, 0.20), 1.0, (0.42, 0.32, 0.26), 2.0, (0, 1)),
    ((0.51, 0.21, 0.28), 1.0, (0.41, 0.27, 0.32), 2.0, (0, 2)),
    ((0.09, 0.77, 0.14), 1.0, (0.19, 0.59, 0.22), 2.0, (1, 2)),
)
# Rows that share logits, and rows that do not, by little: half-widths of 0.0046 and of 0.0054 give other answers.
NARROWLY = (
    ((0.40, 0.50, 0.10), 1.0, (0.38, 0.42, 0.20), 2.0, True),
    ((0.23, 0.46, 0.31), 1.0, (0.30, 0.37, 0.33), 4.0, True),
    ((0.12, 0.76, 0.12), 1.0, (0.22, 0.55, 0.23), 2.0, True),
    ((0.43, 0.31, 0.26), 2.0, (0.38, 0.32, 0.30), 5.0, False),
    ((0.49, 0.24, 0.27), 1.0, (0.42, 0.28, 0.30), 2.0, False),
    ((0.43, 0.06, 0.51), 1.0, (0.38, 0.22, 0.40), 4.0, False),
    ((0.30, 0.30, 0.30, 0.10), 1.0, (0.25, 0.25, 0.25, 0.25), 1.0, False),
    ((0.06, 0.35, 0.50, 0.09), 0.7, (0.20, 0.29, 0.30, 0.21), 3.9, False),
)
EVERY_PAIR = "Do you look at every pair of classes, and do you allow exactly 0.005 each way on both numbers? (hint 2)"


def _gap_ranges(row, temperature):
    row = np.asarray(row)
    return {
        (i, j): (
            temperature * math.log((row[i] - 0.005) / (row[j] + 0.005)),
            temperature * math.log((row[i] + 0.005) / (row[j] - 0.005)),
        )
        for i, j in itertools.combinations(range(len(row)), 2)
    }


def _distances(a, temperature_a, b, temperature_b):
    """How far apart the two ranges of each gap lie; negative where they overlap."""
    one, other = _gap_ranges(a, temperature_a), _gap_ranges(b, temperature_b)
    return {pair: max(one[pair][0], other[pair][0]) - min(one[pair][1], other[pair][1]) for pair in one}


def _printed(logits, temperature):
    return [round(value, 2) for value in torch.softmax(logits.double() / temperature, dim=-1).tolist()]


def _draw(size, same):
    """Two printed rows of which we know for certain whether they can share their logits."""
    while True:
        logits = 1.5 * torch.randn(size)
        temperatures = _random(0.6, 1.5), _random(2.0, 5.0)
        other = logits if same else logits + 1.2 * torch.randn(size)
        rows = _printed(logits, temperatures[0]), _printed(other, temperatures[1])
        if min(map(min, rows)) < 0.03:
            continue
        worst = max(_distances(rows[0], temperatures[0], rows[1], temperatures[1]).values())
        if worst < -1e-6 if same else worst > 0.1:
            return rows[0], temperatures[0], rows[1], temperatures[1]


def _yes_or_no(answer):
    if not isinstance(answer, (bool, np.bool_)) and not (
        isinstance(answer, torch.Tensor) and answer.dtype == torch.bool
    ):
        raise Wrong(f"True or False was expected, and this came: {answer!r}. Return one bool.")
    return bool(answer)


def check_could_share(could_share):
    """1.5: whether two printed rows can come from the same logits."""
    could_share = unchanged(could_share)
    for size in (3, 3, 3, 4, 4, 5):
        row_a, t_a, row_b, t_b = _draw(size, same=True)
        if not _yes_or_no(could_share(row_a, t_a, row_b, t_b)):
            raise Wrong(
                f"{row_a} at T={t_a:.2f} and {row_b} at T={t_b:.2f} were made from the same logits and rounded to two "
                "decimals, and you say that they cannot share them. A printed 0.24 stands for anything from 0.235 to "
                "0.245, and T multiplies the gaps. (hints 1 and 2)"
            )
        row_a, t_a, row_b, t_b = _draw(size, same=False)
        if _yes_or_no(could_share(row_a, t_a, row_b, t_b)):
            distances = _distances(row_a, t_a, row_b, t_b)
            i, j = max(distances, key=distances.get)
            raise Wrong(
                f"{row_a} at T={t_a:.2f} and {row_b} at T={t_b:.2f} disagree about the gap between classes {i} and {j} "
                f"by at least {distances[i, j]:.2f}, more than rounding allows, and you say that they can share their "
                "logits. (hint 2)"
            )
    for row in ((0.6, 0.3, 0.1), (0.1, 0.2, 0.3, 0.4)):
        turned = list(row[1:] + row[:1])
        if _yes_or_no(could_share(list(row), 1.0, turned, 1.0)):
            raise Wrong(
                f"{list(row)} and {turned}, both at T=1, hold the same numbers for other classes, and you say that they can "
                "share their logits. A gap has a sign: keep the classes in their places. (hint 1)"
            )
    for row_a, t_a, row_b, t_b, (i, j) in ONE_PAIR:
        if _yes_or_no(could_share(list(row_a), t_a, list(row_b), t_b)):
            raise Wrong(
                f"{list(row_a)} at T={t_a} and {list(row_b)} at T={t_b} disagree about classes {i} and {j} alone, and "
                f"you say that they can share their logits. {EVERY_PAIR}"
            )
    for row_a, t_a, row_b, t_b, right in NARROWLY:
        if _yes_or_no(could_share(list(row_a), t_a, list(row_b), t_b)) != right:
            told = f"{list(row_a)} at T={t_a} and {list(row_b)} at T={t_b} "
            told += "can share their logits, if only just. " if right else "just cannot share their logits. "
            raise Wrong(told + EVERY_PAIR)


# --- 1.2: a student trained at a temperature --------------------------------------------------------------------------

WIDTH = 576  # of the mean of a sentence's word vectors: the first of its features


def pupil() -> nn.Module:
    """The student of exercise 1.2, untrained: 18,530 weights on the mean of a sentence's word vectors."""
    return nn.Sequential(nn.Dropout(0.3), nn.Linear(WIDTH, 32), nn.ReLU(), nn.Linear(32, 2))


def _lesson(distil, temperature, scale):
    """Has a student taught by `distil` on 5,000 sentences of the pool, with scaled logits; scores it on test sentences.

    Returns:
        its accuracy, and how wide its logit gaps are beside the teacher's.
    """
    every, stored, test = reviews.features()[:, :WIDTH], scale * reviews.logits("tuned-640"), reviews.places("test")
    rows = np.random.default_rng(int(torch.randint(10**9, ()))).permutation(reviews.pool("tuned-640"))[:5000]
    x, teacher = every[rows], stored[rows]
    kept = x.clone(), teacher.clone()
    student = distil(pupil(), x, teacher, temperature)
    if not isinstance(student, nn.Module):
        raise Wrong(f"Return the trained student, a module; this came: {type(student).__name__}.")
    if not (torch.equal(x, kept[0]) and torch.equal(teacher, kept[1])):
        raise Wrong("Your function changes the features or the logits that it is given: make new tensors from them.")
    with torch.no_grad():
        z = student.eval()(every[test])
    if not torch.isfinite(z).all():
        raise Wrong("The student's logits are no longer finite numbers: is the learning rate too high? (hint 3)")
    right, gaps, theirs = reviews.labels()[test], z[:, 1] - z[:, 0], stored[test, 1] - stored[test, 0]
    return (z.argmax(-1) == right).float().mean().item(), (gaps.std() / theirs.std()).item()


def check_distil(distil):
    """1.2: a training loop at a temperature, judged by the student that comes out on the sentences of `reviews`."""
    temperature = _random(3.5, 5.0)
    accuracy, spread = _lesson(distil, temperature, 0.4)  # a teacher with more doubts: slips show more
    told = f"At T={temperature:.1f} your student is right on {accuracy:.1%} of the test sentences"
    gaps = f"{told}, and its logit gaps are {spread:.2f} times as wide as the teacher's; 0.33 to 1 is asked. "
    if accuracy < 0.45:
        raise Wrong(f"{told}, fewer than a coin: it learned the wrong way round. (hint 2)")
    if accuracy < 0.66:
        raise Wrong(f"{told}; 66% are asked. Too few steps, or too low or high a rate? (hint 3)")
    if spread < 0.33:
        raise Wrong(f"{gaps}Too narrow: divide the student's logits by T too, and never multiply by T. (hint 2)")
    if spread > 1.0:
        raise Wrong(f"{gaps}Too wide: are the targets the teacher's probabilities at T? (hints 1 and 2)")
    _, spread = _lesson(distil, 0.2, 1.0)
    if spread > 0.36:
        raise Wrong(
            f"At T=0.2 your student's gaps are {spread:.2f} times as wide as the teacher's, and at most 0.36 is asked: "
            "do you use T, on both sides? (hint 2)"
        )


# --- 1.4: four teachers -----------------------------------------------------------------------------------------------

TEMPERATURES = (1, 2, 3, 4)
LEAST_SECOND, LEAST_HELD = 0.001, 0.9  # the rule of the lesson: T is too low below the one, too high below the other


def four_teachers() -> dict[str, torch.Tensor]:
    """Logits ``[64, V]`` of four made-up teachers, by letter: always the same ones."""
    generator = torch.Generator().manual_seed(1)

    def drawn(classes, first, likely, rest):
        z = torch.randn(64, classes, generator=generator)
        z[:, 1:10] -= likely
        z[:, 10:] -= rest
        z[:, 0] += first
        return z

    return {
        "A": drawn(30_000, 3.0, 9.0, 60.0),
        "B": drawn(30_000, 2.0, 0.5, 10.8),
        "C": drawn(10, 2.0, 0.5, 0.0),
        "D": drawn(30_000, 3.0, 6.5, 25.5),
    }


def teacher_curves() -> dict[str, dict[str, list[float]]]:
    """For the figure of exercise 1.4: at each T what the second choice gets and what the 32 likeliest hold together."""
    curves = {}
    for name, logits in four_teachers().items():
        likeliest = min(32, logits.shape[-1])
        at = [torch.softmax(logits / T, -1).topk(likeliest).values for T in TEMPERATURES]
        curves[name] = {
            "T": list(TEMPERATURES),
            "second": [p[:, 1].median().item() for p in at],
            "held": [p.sum(-1).mean().item() for p in at],
        }
    return curves


def _listed(name, given):
    """The temperatures of one teacher's answer, as a set."""
    if not isinstance(given, list | tuple | set | frozenset | range | np.ndarray | torch.Tensor):
        raise Wrong(f"For {name} a list of temperatures was expected, such as [1, 2], and this came: {given!r}")
    found = {number(each) for each in given}
    if not found <= set(TEMPERATURES):
        raise Wrong(f"For {name} a list of some of 1, 2, 3, 4 was expected, and this came: {given!r}")
    return found


def check_decide(decide):
    """1.4: which temperatures are neither too low nor too high for each of four teachers, read off a figure."""
    answer = decide() if callable(decide) else decide
    curves = teacher_curves()
    if not isinstance(answer, dict) or set(answer) != set(curves):
        raise Wrong(f"A dict with the keys A, B, C and D was expected, and this came: {answer!r}")
    answer = {name: _listed(name, answer[name]) for name in curves}
    for name, curve in curves.items():
        for T, second, held in zip(curve["T"], curve["second"], curve["held"]):
            if held < LEAST_HELD and T in answer[name]:
                raise Wrong(
                    f"You keep T={T} for {name}: how much do its 32 likeliest hold there? Right panel. (hint 1)"
                )
            if second < LEAST_SECOND and T in answer[name]:
                raise Wrong(f"You keep T={T} for {name}: how likely is its second choice there? Left panel. (hint 1)")
            if held >= LEAST_HELD and second >= LEAST_SECOND and T not in answer[name]:
                raise Wrong(
                    f"You drop T={T} for {name}: is its second choice below a thousandth there, or do its 32 "
                    "likeliest hold less than 90%? Read both panels. (hint 1)"
                )


# --- 1.6: choose T ----------------------------------------------------------------------------------------------------

OFFERED = (1, 2, 3, 5, 10)
TRIES = 60  # of each kind


def _world(gains):
    """What students of five temperatures got right, ``{T: [S, N]}``; `gains` are by how much T is better, in noise."""
    students, sentences = int(torch.randint(5, 9, ())), int(torch.randint(200, 2500, ()))
    noise = 5.5 / math.sqrt(sentences * students)  # about the standard error of a difference, in units of ability
    ease = 0.9 + torch.randn(sentences)
    luck = 0.25 * torch.randn(students, 1)  # of a seed: its sentences, its start; the same at every T
    right = {}
    for temperature in OFFERED:
        ability = gains.get(temperature, 0.0) * noise / math.sqrt(2)
        own = 0.6 * torch.randn(students, sentences)
        right[temperature] = (ease + luck + own + ability > 0).float()
    return right


def _chosen(choose, gains):
    right = _world(gains)
    kept = {temperature: each.clone() for temperature, each in right.items()}
    answer = number(choose(right))
    if answer not in OFFERED:
        raise Wrong(f"One of the temperatures {list(OFFERED)} was expected, and this came: {answer:g}")
    if set(right) != set(kept) or not all(torch.equal(right[each], kept[each]) for each in kept):
        raise Wrong("Your function changes the table that it is given: read it, and make new tensors.")
    return int(answer)


def check_choose(choose):
    """1.6: T chosen on validation sentences; counted is what the choice is worth on held-out ones."""
    left = sum(_chosen(choose, {}) != 1 for _ in range(TRIES))
    if left > 0.33 * TRIES:
        raise Wrong(
            f"In {TRIES} cases no temperature is better on held-out sentences, and in {left} of them you left T=1. "
            "Somebody always leads by chance: how large is the lead beside its noise over the students? (hint 2)"
        )
    for better in (2, 5, 10):
        found = sum(_chosen(choose, {better: 6.0, 3: -5.0}) == better for _ in range(TRIES // 3))
        if found < 0.7 * TRIES / 3:
            raise Wrong(
                f"In {TRIES // 3} cases T={better} is clearly better than all others on held-out sentences, and you "
                f"chose it in {found}. Subtract student by student: the same seed, the same sentences. (hint 1)"
            )
    found = sum(_chosen(choose, {2: 5.0, 5: 11.0}) == 5 for _ in range(TRIES // 3))
    if found < 0.7 * TRIES / 3:
        raise Wrong(
            f"In {TRIES // 3} cases T=2 is better than 1 and T=5 better still on held-out sentences, and you chose T=5 "
            f"in {found}. Among those that clearly beat T=1, take the best. (hint 3)"
        )
    worse = sum(_chosen(choose, {each: -6.0 for each in OFFERED[1:]}) != 1 for _ in range(TRIES // 3))
    if worse > 0.1 * TRIES:
        raise Wrong(
            f"In {TRIES // 3} cases every T above 1 is worse on held-out sentences, and you left T=1 in {worse}."
        )


CHECKS = {
    "1.1": check_soften,
    "1.2": check_distil,
    "1.3": check_top_mass,
    "1.4": check_decide,
    "1.5": check_could_share,
    "1.6": check_choose,
}
