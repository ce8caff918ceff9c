"""Checks of lesson 01, temperature."""

import itertools
import math

import numpy as np
import torch

from distill_lessons.course.exercises import Wrong, close, number


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
    kept = large.clone()
    soften(kept, 2.0)
    if not torch.equal(kept, large):
        raise Wrong(
            "Your function changes the logits that it is given: write z = z - z.max(...), not z -= ... (hint 2)"
        )


def check_entropy(entropy):
    """1.2: entropy in nats of each row, with 0 · log 0 = 0."""
    p = torch.softmax(2 * torch.randn(9), dim=-1)
    expected = -(p.double() * p.double().log()).sum()
    answer = entropy(p.clone())
    if not close(answer, expected):
        _refuse_kept_axis(answer, expected)
        if close(answer, expected / math.log(2)):
            raise Wrong("This is the entropy in bits: a nat is counted with the natural logarithm. (hint 1)")
        if close(answer, -expected):
            raise Wrong("The sign is wrong: log p is negative, and entropy is never below 0. (hint 1)")
        if close(answer, expected / 9):
            raise Wrong("You take the mean over the classes: entropy is the sum of −p log p. (hint 1)")
        raise Wrong(f"Entropy should be {expected:.4f} nats, and this came: {_shown(answer)}. (hint 1)")
    sure = torch.zeros(6)
    sure[torch.randint(6, ())] = 1.0
    if not close(entropy(sure), 0.0):
        raise Wrong(
            f"A distribution that is certain of one class has entropy 0, and yours is {entropy(sure)}: 0 · log 0 must "
            "count as 0, and in floating point it is NaN. (hint 2)"
        )
    wide = torch.full((50_000,), 1 / 50_000)
    if not close(entropy(wide), math.log(50_000)):
        raise Wrong(
            f"50,000 equal tokens have entropy log 50,000 = 10.820, and yours is {float(entropy(wide)):.3f}. A constant "
            "added inside the log is no longer small beside probabilities of 0.00002. (hint 2)"
        )
    tail = torch.full((1_000_001,), 0.5e-6)  # half of the mass on one token, the rest on a million
    tail[0] = 0.5
    expected = torch.special.entr(tail.double()).sum()
    if not close(entropy(tail.clone()), expected, 1e-3):
        raise Wrong(
            f"With half of the mass on a million rare tokens the entropy is {expected:.3f} nats, and yours is "
            f"{float(entropy(tail)):.3f}: a floor inside the log must lie far below the rarest token. (hint 2)"
        )
    rows = torch.softmax(torch.randn(4, 3, 6), dim=-1)
    rows[0, 0] = torch.tensor([0.5, 0.5, 0, 0, 0, 0])
    expected = torch.special.entr(rows.double()).sum(-1)
    answer = entropy(rows)
    if not close(answer, expected):
        _refuse_kept_axis(answer, expected)
        raise Wrong(
            "For probabilities of shape [4, 3, 6] twelve entropies are expected, shape [4, 3], one for each row. "
            "Over which axis do you sum? (hint 1)"
        )


def check_top_mass(top_mass):
    """1.3: mass of the k likeliest tokens at a temperature."""
    logits = 4 * torch.randn(200)
    k, temperature = int(torch.randint(3, 20, ())), _random(1.8, 3.5)
    p = torch.softmax(logits.double() / temperature, dim=-1)
    expected = p.sort(descending=True).values[:k].sum()
    answer = top_mass(logits.clone(), k, temperature)
    if not close(answer, expected):
        _refuse_kept_axis(answer, expected)
        told = (
            f"The {k} likeliest of 200 tokens hold {expected:.4f} at T={temperature:.2f}, and yours {_shown(answer)}. "
        )
        if close(answer, 1.0):
            raise Wrong(told + "You normalise over the k tokens alone: softmax over all first, then pick. (hint 1)")
        if close(answer, p[:k].sum()):
            raise Wrong(told + "You take the first k tokens, not the likeliest. (hint 1)")
        if close(answer, torch.softmax(logits.double(), -1).sort(descending=True).values[:k].sum()):
            raise Wrong(told + "That is the mass at T=1: the temperature is not used. (hint 1)")
        raise Wrong(told + "Soften all 200 first, then sum the k largest probabilities. (hint 1)")
    batch = 3 * torch.randn(4, 5, 50)
    expected = torch.softmax(batch.double() / 2, dim=-1).sort(dim=-1, descending=True).values[..., :7].sum(-1)
    answer = top_mass(batch.clone(), 7, 2.0)
    if not close(answer, expected):
        _refuse_kept_axis(answer, expected)
        raise Wrong(
            "Logits of shape [4, 5, 50] should give masses of shape [4, 5], one for each row, and yours differ: "
            "sort and sum over the last axis only. (hint 2)"
        )
    kept = batch.clone()
    top_mass(kept, 7, 2.0)
    if not torch.equal(kept, batch):
        raise Wrong("Your function changes the logits that it is given: write logits / T, not logits /= T. (hint 1)")
    if not close(top_mass(torch.randn(10), 10, 3.0), 1.0):
        raise Wrong("All ten of ten tokens hold a mass of 1, and yours do not. (hint 1)")


def _entropy_at(logits, temperature):
    p = torch.softmax(logits.double() / temperature, dim=-1)
    return torch.special.entr(p).sum().item()


def _halves_well(find):
    """Whether a search finds T=5 where no temperature on the way to it is low."""
    logits = torch.linspace(-3, 3, 10)
    return 4 < number(find(logits, _entropy_at(logits, 5.0))) < 6


def check_temperature_for_entropy(find):
    """1.4: the temperature at which a distribution has a given entropy, from 0.01 to 200."""
    anywhere = [
        (size, scale, 0.4, 2.0) for size, scale in ((10, 1), (10, 30), (5000, 3), (5000, 0.2), (50, 8), (1000, 60))
    ]
    # Three at the low end: a search in twenty equal steps hits one of them by luck once in a hundred times.
    at_the_ends = [(100, 0.012, 0.95, 1.05)] * 3 + [(500, 180.0, 0.95, 1.05)]
    for size, scale, least, most in anywhere + at_the_ends:
        target = 0.0
        while not 0.1 < target < math.log(size) - 0.1:
            logits = scale * torch.randn(size)
            right = scale * math.exp(_random(math.log(least), math.log(most)))
            target = _entropy_at(logits, right)
        temperature = number(find(logits.clone(), target))
        if temperature <= 0:
            raise Wrong(
                f"A temperature is positive, and yours is {temperature:.4g}. Bisect between positive ends. (hint 1)"
            )
        got = _entropy_at(logits, temperature)
        if abs(got - target) > 0.0011:
            told = f"{size} logits should have entropy {target:.3f} nats. Your T={temperature:.4g} gives {got:.3f}; "
            told += f"T={right:.4g} would do. "
            if temperature < min(0.11, right / 3) and _halves_well(find):
                raise Wrong(
                    told + "Your search ran to its low end. Is an entropy NaN there? NaN < target is False. Use a "
                    "stable softmax (1.1) and an entropy that is safe at 0 (1.2)."
                )
            if (size, scale, least, most) in at_the_ends:
                raise Wrong(
                    told + "The answer may lie anywhere between 0.01 and 200: are your first ends wide enough, and do "
                    "you halve often enough, in the geometric middle? (hint 2)"
                )
            raise Wrong(
                told + "Entropy grows with T: which half do you keep, are your first ends wide enough, and do you "
                "halve often enough? (hints 1 and 2)"
            )


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


CHECKS = {
    "1.1": check_soften,
    "1.2": check_entropy,
    "1.3": check_top_mass,
    "1.4": check_temperature_for_entropy,
    "1.5": check_could_share,
}
