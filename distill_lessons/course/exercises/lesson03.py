"""Checks of lesson 03, loss functions."""

import inspect
import math
import re
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from distill_lessons import runtime
from distill_lessons.course import exercises
from distill_lessons.course.exercises import Wrong, close, number

IGNORE = -100


def _kl_rows(z_p, z_q, temperature=1.0):
    """KL(p ‖ q) of each row, in float64."""
    log_p, log_q = (z.double().div(temperature).log_softmax(-1) for z in (z_p, z_q))
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _unchanged(function):
    """The function on copies of its tensors; `Wrong` if it changes one of them."""

    def watched(*arguments):
        copies = [value.clone() if isinstance(value, Tensor) else value for value in arguments]
        answer = function(*copies)
        for place, (was, now) in enumerate(zip(arguments, copies), start=1):
            if isinstance(was, Tensor) and not torch.equal(was, now):
                raise Wrong(
                    f"Your function changes the tensor that it gets as argument number {place}: whoever calls it still "
                    "needs it. Make new tensors, without assigning into the old and without functions that end in _."
                )
        return answer

    return watched


def _gradient(function, *tensors):
    """The value and its gradient in the first tensor; `Wrong` if there is none."""
    first = tensors[0].detach().clone().requires_grad_()
    value = function(first, *tensors[1:])
    number(value)
    if not isinstance(value, torch.Tensor) or not value.requires_grad:
        raise Wrong("Your loss has no gradient in the student's logits: return a tensor, without item() or no_grad().")
    value.backward()
    return value.detach(), first.grad


def _random(low, high):
    return low + (high - low) * torch.rand(()).item()


def _whole(low, high):
    return int(torch.randint(low, high + 1, ()))


def _told(value):
    """What somebody returned, in at most a line."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else text[:79] + "…"


# --- 3.1: generalised JSD ---------------------------------------------------------------------------------------------------


def _jsd(student, teacher, beta):
    q, p = student.double().softmax(-1), teacher.double().softmax(-1)
    if beta in (0, 1):
        return (_kl_rows(teacher, student) if beta == 0 else _kl_rows(student, teacher)).mean()
    m = beta * p + (1 - beta) * q
    return (beta * p * (p / m).log() + (1 - beta) * q * (q / m).log()).sum(-1).mean()


def check_jsd(jsd):
    """3.1: generalised JSD with both ends, mean over rows."""
    jsd = _unchanged(jsd)
    student, teacher = 2 * torch.randn(2, 4, 3, 10)
    beta = _random(0.15, 0.35)
    expected = _jsd(student, teacher, beta)
    answer = number(jsd(student, teacher, beta))
    if not close(answer, expected):
        told = f"For beta={beta:.2f} the value should be {expected:.4f} nats, and this came: {answer:.4f}. "
        q, p = student.double().softmax(-1), teacher.double().softmax(-1)
        m = beta * p + (1 - beta) * q
        other = (1 - beta) * p + beta * q
        left, right = (p * (p / m).log()).sum(-1).mean(), (q * (q / m).log()).sum(-1).mean()
        reverse = (beta * m * (m / p).log() + (1 - beta) * m * (m / q).log()).sum(-1).mean()
        far = (beta * p * (p / other).log() + (1 - beta) * q * (q / other).log()).sum(-1).mean()
        candidates = (
            (_jsd(student, teacher, 1 - beta), "You exchange p and q, or beta and 1 − beta. (hint 1)"),
            (_jsd(student, teacher, 0.5), "That is beta = 0.5: beta is not used. (hint 1)"),
            ((left + right) / 2, "The mixture uses beta, the two weights in front do not. (hint 1)"),
            (far, "The mixture has beta and 1 − beta the wrong way round: m = beta p + (1 − beta) q. (hint 1)"),
            (reverse, "You measure KL(m ‖ p) and KL(m ‖ q): the mixture belongs on the right of the bar. (hint 1)"),
            (beta * _kl_rows(teacher, student).mean() + (1 - beta) * _kl_rows(student, teacher).mean(),
             "You mix the two KLs: each must be compared with the mixture m, not with the other. (hint 1)"),
            (beta * _kl_rows(student, teacher).mean() + (1 - beta) * _kl_rows(teacher, student).mean(),
             "You mix the two KLs: each must be compared with the mixture m, not with the other. (hint 1)"),
            (expected / min(beta, 1 - beta), "Nothing is divided by beta: between the ends it is the plain formula."),
            (expected / 10, "A mean over all entries also divides by the ten classes."),
            (expected * 12, "Mean over the twelve rows, not the sum."),
            (expected * 3, "reduction='batchmean' divides by the first axis only: mean over all twelve rows."),
        )  # fmt: skip
        for value, words in candidates:
            if close(answer, value):
                raise Wrong(told + words)
        q, p = student.softmax(-1).double(), teacher.softmax(-1).double()
        log_m = beta * p.log() + (1 - beta) * q.log()
        bad = (beta * p * (p.log() - log_m) + (1 - beta) * q * (q.log() - log_m)).sum(-1).mean()
        if close(answer, bad):
            raise Wrong(told + "You mix the logarithms: m is a mixture of probabilities. (hint 1)")
        raise Wrong(told + "m = beta p + (1 − beta) q, then beta KL(p‖m) + (1 − beta) KL(q‖m). (hint 1)")
    for end, name, other in ((0, "forward", "reverse"), (1, "reverse", "forward")):
        expected = _jsd(student, teacher, end)
        answer = float(jsd(student, teacher, end))
        if not close(answer, expected):
            told = f"beta={end} should give the {name} KL, {expected:.4f} nats, and yours gives {answer:.4f}. "
            if abs(answer) < 1e-4:
                raise Wrong(told + "The formula is 0 there; the convention needs a branch of its own. (hint 2)")
            if close(answer, _jsd(student, teacher, 1 - end)):
                raise Wrong(told + f"That is the {other} KL: the two ends are exchanged. (hint 2)")
            raise Wrong(told + "The ends need a branch of their own. (hint 2)")
        answer = float(jsd(student, teacher, float(end)))
        if not close(answer, expected):
            raise Wrong(f"beta={float(end)} as a float should give what beta={end} gives, and does not. (hint 2)")
    for beta in (0.001, 0.01, 0.99, 0.999):
        answer, expected = float(jsd(student, teacher, beta)), _jsd(student, teacher, beta).item()
        if not abs(answer - expected) <= 1e-6 + 1e-3 * expected:
            raise Wrong(
                f"beta={beta} should follow the formula, {expected:.6f} nats, and yours gives {answer:.6f}: only 0 and 1 "
                "themselves are special, and nothing is divided by beta. (hint 2)"
            )
    same = float(jsd(student, student, 0.5))
    if abs(same) > 1e-5:
        raise Wrong(f"The JSD of a distribution to itself is 0, and yours is {same:.5f}. (hint 1)")
    large = torch.tensor([[300.0, 0.0, -300.0]])
    answer = float(jsd(large, large.flip(-1), 0.5))
    if not close(answer, math.log(2), 1e-3):
        raise Wrong(
            f"Two models that are each sure of another token have a JSD of log 2 = 0.693 at beta=0.5, and yours is "
            f"{answer}: probabilities underflow to 0. Work with log_softmax and logaddexp. (hint 3)"
        )
    large = torch.tensor([[[120.0, 0.0, -60.0], [0.0, 150.0, 10.0]], [[0.0, 100.0, 0.0], [3.0, 0.0, -130.0]]])
    for end in (0, 1):
        answer, expected = float(jsd(large[0], large[1], end)), _jsd(large[0], large[1], end)
        if not close(answer, expected, 1e-3):
            raise Wrong(
                f"For logits as large as ±150, beta={end} should give {expected:.1f} nats, and yours gives {answer}: a "
                "probability underflows to 0, or an epsilon caps its logarithm. Work with log_softmax. (hint 3)"
            )
        if not torch.isfinite(_gradient(lambda s, t, b=end: jsd(s, t, b), *large)[1]).all():
            raise Wrong(
                f"For logits as large as ±150, beta={end} gives the right value, and a gradient of NaN: what torch.where "
                "hides going forward comes back going backward. Work with log_softmax. (hint 3)"
            )
    teacher_wide, noise = torch.randn(2, 2, 50_000)  # probabilities of about 1/50,000, and models that nearly agree
    student_wide = teacher_wide + 0.5 * noise
    for beta in (0.3, 0.7):
        expected = _jsd(student_wide, teacher_wide, beta).item()
        answer = float(jsd(student_wide, teacher_wide, beta))
        if not abs(answer - expected) <= 1e-4 * expected:
            raise Wrong(
                f"With 50,000 tokens the value should be {expected:.6f} nats, and yours is {answer:.6f}. An epsilon inside "
                "the logarithm is not small beside probabilities of 1/50,000: use log_softmax and logaddexp. (hint 3)"
            )
    beta = _random(0.6, 0.8)
    right = student.requires_grad_()
    log_q, log_p = right.log_softmax(-1), teacher.log_softmax(-1)
    log_m = (beta * log_p.exp() + (1 - beta) * log_q.exp()).log()
    value = beta * (log_p.exp() * (log_p - log_m)).sum(-1) + (1 - beta) * (log_q.exp() * (log_q - log_m)).sum(-1)
    value.mean().backward()
    _, slope = _gradient(lambda s, t: jsd(s, t, beta), student, teacher)
    if not close(slope, right.grad, 1e-5):
        raise Wrong(
            "The value is right, but its gradient is not: q weighs its own terms, and the gradient must go through that "
            "weight too. Is a part detached?"
        )


# --- 3.2: which student to ship ---------------------------------------------------------------------------------------------

RARE = 0.002  # below it, a token counts as never said


def _candidates(size=40):
    """A teacher with two humps over tokens in random order, and five students, as probabilities."""
    tokens, order = torch.arange(float(size)), torch.randperm(size)
    first, second = _random(7, 11), _random(26, 32)

    def hump(centre, width):
        return (-((tokens - centre) ** 2) / (2 * width**2)).softmax(-1)[order]

    share = _random(0.55, 0.8)
    teacher = share * hump(first, 2.5) + (1 - share) * hump(second, 2.5)
    students = {
        "wide": hump((first + second) / 2, 11.0),
        "one": hump(first, 2.6),
        "other": hump(second, 2.6),
        "between": hump((first + second) / 2, 3.0),
        "flat": torch.full((size,), 1 / size),
    }
    names = [list(students)[place] for place in torch.randperm(len(students))]
    return teacher, {f"{name} {_whole(10, 99)}": students[name] for name in names}


def check_decide(decide):
    """3.2: the student with the least expected cost, and that cost."""
    dear, cheap = _random(8, 20), _random(0.1, 0.5)
    for made_up, missing in ((dear, cheap), (cheap, dear), (_random(1, 9), _random(1, 9)), (0.0, dear)):
        p, students = _candidates()
        parts = {name: (q[p < RARE].sum().item(), p[q < RARE].sum().item()) for name, q in students.items()}
        costs = {name: made_up * extra + missing * lost for name, (extra, lost) in parts.items()}
        least = min(costs.values())
        best = min(costs, key=costs.get)
        if list(students)[0] == best:  # the first would do by chance otherwise
            students = {**{name: q for name, q in students.items() if name != best}, best: students[best]}
        given = p.clone(), {name: q.clone() for name, q in students.items()}
        answer = decide(*given, made_up, missing)
        if not torch.equal(given[0], p) or any(
            not torch.equal(given[1].get(name, p), q) for name, q in students.items()
        ):
            raise Wrong("Your function changes the probabilities that it is given: whoever calls it still needs them.")
        if not isinstance(answer, (tuple, list)) or len(answer) != 2 or isinstance(answer[0], (int, float, Tensor)):
            raise Wrong(f"A pair was expected, the name and its cost, and this came: {_told(answer)}")
        name, cost = answer
        if name not in students:
            raise Wrong(f"The first of the two is one of the names {', '.join(students)}, and this came: {_told(name)}")
        cost, (extra, lost) = number(cost), parts[name]
        told = (
            f'With {made_up:.2f} for what is made up and {missing:.2f} for what is missing you chose "{name}" at '
            f"{cost:.3f}; "
        )
        if not close(cost, costs[name], 1e-3):
            told += f"its cost is {costs[name]:.3f}. "
            p_extra, q_lost = p[p < RARE].sum().item(), students[name][students[name] < RARE].sum().item()
            count = (p < RARE).sum().item(), (students[name] < RARE).sum().item()
            for value, words in (
                (made_up * extra, "You leave out what is missing. (hint 2)"),
                (missing * lost, "You leave out what is made up. (hint 1)"),
                (made_up * lost + missing * extra, "The two prices are exchanged. (hint 1)"),
                (made_up * p_extra + missing * q_lost, "You add up the wrong model's probabilities: made-up answers "
                 "are the student's, missing ones the teacher's. (hints 1 and 2)"),
                (made_up * count[0] + missing * count[1], "You count tokens: each weighs by its probability. (hint 1)"),
                (made_up * count[0] / len(p) + missing * count[1] / len(p),
                 "You count tokens: each weighs by its probability, so sum, not mean. (hint 1)"),
                (
                    made_up * students[name][p < 0.2].sum().item() + missing * p[students[name] < 0.2].sum().item(),
                    "0.2% is 0.002, and you compare with 0.2. (hint 1)",
                ),
                (made_up * (1 - extra) + missing * (1 - lost), "Your masks are turned round: rare is below 0.002. (hint 1)"),
            ):  # fmt: skip
                if close(cost, value, 1e-3):
                    raise Wrong(told + words)
            raise Wrong(
                told + "Made up: the student's mass where p < 0.002. Missing: the teacher's where q < 0.002. (hint 1)"
            )
        if costs[name] > least + 1e-6:
            most = " You took the dearest." if costs[name] >= max(costs.values()) else ""
            raise Wrong(told + f'that is right, but "{best}" costs {least:.3f}.{most} Compare all of them. (hint 3)')


# --- 3.3: the list of bugs --------------------------------------------------------------------------------------------------

SUSPICIONS = {
    "A": "It cuts vocabularies of two sizes to one, though token 7 may mean something else in each.",
    "B": "detach() stops the student from learning.",
    "C": "A KL compares probabilities: log_softmax should be softmax.",
    "D": "The hard term compares a position's logits with its own token.",
    "E": "Prompt and padding count in the soft term.",
    "F": "Prompt and padding count in the hard term.",
    "G": "The soft term is no KL: a perfect copy of the teacher does not get 0.",
    "H": "The soft term grows with the length of the answers.",
    "I": "The hard term's logits should be divided by T too.",
    "J": "The factor T² is missing.",
    "K": "alpha should weigh the hard term.",
    "L": "Without log p the soft term trains the student towards something else.",
}
BUGS = {  # letter on the page: what shows it
    "A": "Of a student with 48 tokens and a teacher with 50 it makes a number. Who says that their token 7 is the same?",
    "D": "A student that predicts every next token perfectly gets a hard loss of 40. Whose label stands at its position?",
    "E": "Change the student's logits inside the prompt: the soft term moves. Should it?",
    "G": "Hand it the teacher as its own student: the soft term is 182, and not 0. Which logarithm is missing?",
    "H": "Repeat the same answer four times over: the soft term is four times as large. What does it divide by?",
    "J": "Go from T=1 to T=10: the soft gradient falls to less than a hundredth. What keeps its size?",
}
NO_BUGS = {
    "B": "detach is on the teacher: the student's gradient does not run through it, and the teacher must not learn",
    "C": "the first factor is a probability and the second a logarithm, as in the formula; log_softmax is the safe way",
    "F": "F.cross_entropy leaves out the label −100 by itself, and takes the mean over the others",
    "I": "labels are certain at any temperature: T belongs to the comparison with the teacher",
    "K": "alpha may weigh either term, as long as the docstring says which, and it does",
    "L": "a constant has no gradient: the first sitting printed both, and they were equal",
}


def suspicions() -> None:
    """Print the twelve suspicions about the colleague's loss, a line each."""
    for letter, text in SUSPICIONS.items():
        print(f"{letter}  {text}")


def check_bugs(bugs):
    """3.3: the letters of the six bugs, as a text, a set or a list."""
    answer = bugs()
    try:
        said = answer if isinstance(answer, str) else " ".join(str(each) for each in answer)
    except TypeError:
        raise Wrong(f'Letters were expected, for example "BF", and this came: {_told(answer)}') from None
    letters = set(re.findall(r"\w", said.upper()))
    if strange := sorted(letters - set(SUSPICIONS)):
        raise Wrong(f'There is no suspicion {strange[0]}: give letters from A to L alone, for example "BF".')
    found, alarms, missing = letters & set(BUGS), sorted(letters & set(NO_BUGS)), sorted(set(BUGS) - letters)
    told = f"{len(found)} of the six found" + (
        f", {len(alarms)} false alarm{'s' * (len(alarms) > 1)}" if alarms else ""
    )
    if alarms:
        raise Wrong(f"{told}. {alarms[0]} is no bug: {NO_BUGS[alarms[0]]}.")
    if missing:
        raise Wrong(f"{told}. {BUGS[missing[0]]}")


def sound_loss(
    student_logits: Tensor, teacher_logits: Tensor, labels: Tensor, alpha: float = 0.5, T: float = 4.0
) -> Tensor:
    """α T² KL(p ‖ q) + (1 − α) CE, in nats per answer token."""
    if student_logits.shape[-1] != teacher_logits.shape[-1]:
        raise ValueError("student and teacher must share one vocabulary")
    labels = labels[:, 1:]  # position t speaks about token t + 1
    counts = labels != -100
    student = student_logits[:, :-1][counts]  # [N, V]: what is left are answer tokens
    teacher = teacher_logits[:, :-1][counts].detach()

    log_q, log_p = (student / T).log_softmax(-1), (teacher / T).log_softmax(-1)
    soft = T**2 * (log_p.exp() * (log_p - log_q)).sum(-1).mean()
    hard = F.cross_entropy(student, labels[counts])
    return alpha * soft + (1 - alpha) * hard


def reveal(bugs: Callable) -> None:
    """Print a sound loss to whoever has found the six bugs."""
    if exercises.verdict("3.3", bugs).startswith("✓"):
        print(inspect.getsource(sound_loss).rstrip())
    else:
        print("○ the sound loss shows itself here once 3.3 is ticked")


# --- 3.4: losses that a property test must tell apart -------------------------------------------------------------------


def _rows(student_logits, teacher_logits):
    log_q, log_p = student_logits.log_softmax(-1), teacher_logits.log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1)


def _mean_of_sequences(s, t, m):
    return ((_rows(s, t) * m).sum(1) / m.sum(1).clamp(min=1)).mean()


def _with_rounding(s, t, m):
    return _rows(s, t)[m].mean() * (1 + 2e-7 * torch.randn(()))


def _zeroed_logits(s, t, m):
    return _rows(s * m.unsqueeze(-1), t * m.unsqueeze(-1)).mean()


def _student_zeroed(s, t, m):
    return _rows(s * m.unsqueeze(-1), t).sum() / m.sum()


def _first_always(s, t, m):
    m = m.clone()
    m[:, 0] = True
    return (_rows(s, t) * m).sum() / m.sum()


def _last_always(s, t, m):
    m = m.clone()
    m[:, -1] = True
    return (_rows(s, t) * m).sum() / m.sum()


def _leak(share):
    """Padding weighs this share of what an answer's token weighs."""
    return lambda s, t, m: (_rows(s, t) * (m + share * ~m)).sum() / m.sum()


INVARIANT = {  # padding may hold anything finite, on either side
    "the mean over the positions that count": lambda s, t, m: _rows(s, t)[m].mean(),
    "the masked sum over the count": lambda s, t, m: (_rows(s, t) * m).sum() / m.sum(),
    "the masked sum over the number of sequences": lambda s, t, m: (_rows(s, t) * m).sum() / len(m),
    "the mean of each sequence's own mean": _mean_of_sequences,
    "a reverse KL over the positions that count": lambda s, t, m: _rows(t, s)[m].mean(),
    "a mean that rounds in the seventh digit": _with_rounding,
    "a small loss, a hundredth of the masked mean": lambda s, t, m: 0.01 * _rows(s, t)[m].mean(),
}
LEAKS = {
    "a mean over all positions": lambda s, t, m: _rows(s, t).mean(),
    "a sum over all positions": lambda s, t, m: _rows(s, t).sum(),
    "batchmean over all positions": lambda s, t, m: _rows(s, t).sum() / len(m),
    "a masked sum that divides by all positions": lambda s, t, m: (_rows(s, t) * m).mean(),
    "all positions over the number that count": lambda s, t, m: _rows(s, t).sum() / m.sum(),
    "zeroed logits at padding, mean over all": _zeroed_logits,
    "only the student's logits zeroed at padding": _student_zeroed,
    "the first position always counted": _first_always,
    "the last position always counted": _last_always,
    "padding counted with a weight of 0.02": _leak(0.02),
    "padding counted with a weight of 0.003": _leak(0.003),
    "a small leak, a hundredth of the mean over all": lambda s, t, m: 0.01 * _rows(s, t).mean(),
}
CATCHES = {
    "a mean over all positions": "Is what you add fresh random numbers, and is your tolerance tight?",
    "a masked sum that divides by all positions": "Does your test add padded positions, or only change what is in them?",
    "zeroed logits at padding, mean over all": "Does your test add padded positions, or only change what is in them?",
    "a sum over all positions": "Does student differ from teacher at the padding that you add? If both are 0, their KL is 0.",
    "batchmean over all positions": "Does student differ from teacher at the padding that you add?",
    "all positions over the number that count": "Does student differ from teacher at the padding that you add?",
    "only the student's logits zeroed at padding": "Is the teacher's padding random too?",
    "the first position always counted": "Do you also pad on the left?",
    "the last position always counted": "Do you also pad on the right?",
    "padding counted with a weight of 0.02": "Is your tolerance too wide?",
    "padding counted with a weight of 0.003": "Is your tolerance wider than 1e-4?",
    "a small leak, a hundredth of the mean over all": "A tolerance must be relative to the loss: this one is small.",
}


class _Scaled:
    """A loss times a random factor, which changes nothing about what it ignores."""

    def __init__(self, loss):
        self.loss, self.factor = loss, _random(0.5, 2.0)

    def __call__(self, student_logits, teacher_logits, mask):
        return self.factor * self.loss(student_logits, teacher_logits, mask)

    def __repr__(self):
        return f"<a loss times {self.factor}>"


def check_property_test(is_padding_invariant):
    """3.4: a function that says whether a loss ignores padding."""
    for name, loss in INVARIANT.items():
        loss = _Scaled(loss)
        # Asked four times: an exact comparison can come out equal by chance.
        if not all(_yes_or_no(is_padding_invariant(loss)) for _ in range(4)):
            raise Wrong(
                f"You say False for a loss that ignores padding: {name}. Compare one loss with itself, before and "
                "after padding, with a relative tolerance such as 1e-4, and put finite numbers at padding. (hint 1)"
            )
    for name, loss in LEAKS.items():
        loss = _Scaled(loss)
        # Asked twice: a mean over all positions can stay the same by chance, once in a thousand times.
        if _yes_or_no(is_padding_invariant(loss)) and _yes_or_no(is_padding_invariant(loss)):
            raise Wrong(f"You say True for a loss that depends on padding: {name}. {CATCHES[name]} (hint 2)")


def _yes_or_no(answer):
    if isinstance(answer, torch.Tensor) and answer.numel() == 1 and answer.dtype == torch.bool:
        return bool(answer)
    if not isinstance(answer, (bool, np.bool_)):
        raise Wrong(f"True or False was expected, and this came: {answer!r}. Return one bool.")
    return bool(answer)


# --- 3.5: the repaired loss, with the reverse KL -----------------------------------------------------------------------------------------------


def _batch(vocabulary=12, rows=4, length=14, scale=2.0):
    """Student and teacher logits, and labels with a prompt and padding of -100."""
    student, teacher = scale * torch.randn(2, rows, length, vocabulary)
    labels = torch.randint(0, vocabulary, (rows, length))
    for row in range(rows):
        start = int(torch.randint(1, 4, ()))
        stop = (start + 2, length - 1, start + 6, length)[row % 4]
        labels[row, : 0 if row % 4 == 3 else start] = IGNORE  # the last row has no prompt
        labels[row, stop:] = IGNORE
    return student, teacher, labels


def _right(student, teacher, labels, alpha, temperature):
    student, teacher, labels = student[:, :-1].double(), teacher[:, :-1].double(), labels[:, 1:]
    mask = labels != IGNORE
    soft = temperature**2 * _kl_rows(student[mask], teacher[mask], temperature).mean()
    hard = F.cross_entropy(student[mask], labels[mask])
    return alpha * soft + (1 - alpha) * hard


def check_repaired(loss):
    """3.5: the colleague's loss, repaired and with the reverse KL; every message names the property that fails."""
    unwatched, loss = loss, _unchanged(loss)
    student, teacher, labels = _batch()
    temperature, alpha = _random(1.8, 3.5), _random(0.3, 0.7)
    call = lambda s, t, y, a=alpha, T=temperature: loss(s, t, y, a, T)  # noqa: E731
    _gradient(call, student, teacher, labels)  # must be a differentiable number

    itself = number(call(teacher, teacher, labels, 1.0))
    if close(itself, _right(teacher, teacher, labels, 0.0, 1.0)):
        raise Wrong("With alpha=1 your loss is the hard one: alpha weighs the soft part, 1 − alpha the hard. (hint 4)")
    if abs(itself) > 1e-4:
        raise Wrong(
            f"Property KL(q‖q) = 0 fails: with alpha=1 and student = teacher your loss is {itself:.4f}, not 0. Three usual "
            "causes: log q is missing from the sum (hint 1), student and teacher are shifted differently (hint 2), or T "
            "divides only one of them (hint 4)."
        )
    perfect = torch.zeros(4, 14, 12)
    following = labels.roll(-1, dims=1).clamp(min=0)
    following[:, -1] = (labels[:, 0].clamp(min=0) + 5) % 12  # nothing follows the last token
    perfect.scatter_(2, following.unsqueeze(-1), 40.0)
    value = number(call(perfect, perfect, labels, 0.0))
    if abs(value) > 1e-3:
        raise Wrong(
            f"Property shift fails: a student that predicts every next token perfectly has a hard loss of {value:.2f}, "
            "not 0. Position t speaks about token t + 1: logits[:, :-1] meets labels[:, 1:]. (hint 2)"
        )
    for part, name in ((1.0, "soft"), (0.0, "hard"), (alpha, "whole")):
        value = number(call(student, teacher, labels, part))
        shuffled = [z.clone() for z in (student, teacher)]
        off = torch.ones(labels.shape, dtype=torch.bool)
        off[:, :-1] = labels[:, 1:] == IGNORE
        for z in shuffled:
            z[off] = 3 * torch.randn(int(off.sum()), 12)
        changed = number(call(*shuffled, labels, part))
        if not close(value, changed):
            raise Wrong(
                f'Property "prompt and padding do not count" fails: other logits at positions without a label changed '
                f"the {name} part from {value:.4f} to {changed:.4f}. The soft part needs the mask labels != -100 too, "
                "after the shift. (hint 2)"
            )
        longer = [torch.cat([z, 2 * torch.randn(4, 5, 12)], 1) for z in (student, teacher)]
        padded = number(call(*longer, torch.cat([labels, torch.full((4, 5), IGNORE)], 1), part))
        if not close(value, padded):
            raise Wrong(
                f"Property padding-invariant fails: five padded positions more changed the {name} part from "
                f"{value:.4f} to {padded:.4f}. Divide by the positions that count. (hint 2)"
            )
    first = torch.cat([torch.full((4, 1), IGNORE), torch.randint(0, 12, (4, 8))], 1)
    s, t = 2 * torch.randn(2, 4, 9, 12)
    s[:, -1], t[:, -1] = s[:, 0], t[:, 0]
    again = [torch.cat([z[:, :-1].repeat(1, 3, 1), z[:, -1:]], 1) for z in (s, t)]
    labels_again = torch.cat([first[:, :1], first[:, 1:].repeat(1, 3)], 1)
    value = number(call(s, t, first, 1.0))
    long = number(call(*again, labels_again, 1.0))
    if not close(value, long):
        raise Wrong(
            f'Property "scale independent of length" fails: the same answer three times over is {long / value:.2f} '
            "times the soft loss. Divide by tokens, not by sequences: batchmean divides by the batch only. (hint 3)"
        )
    for part, name in ((1.0, "soft"), (0.0, "hard")):
        _, whole = _gradient(lambda z, part=part: call(z, teacher, labels, part), student)
        valid = (labels[:, 1:] != IGNORE).sum(1)
        pieces = torch.zeros_like(whole)
        for rows in ([0], [1, 2], [3]):
            share = valid[rows].sum() / valid.sum()
            _, slope = _gradient(
                lambda z, rows=rows, part=part: call(z, teacher[rows], labels[rows], part), student[rows]
            )
            pieces[rows] += share * slope
        if not close(pieces, whole, 1e-5):
            raise Wrong(
                f'Property "any split into micro-batches" fails for the {name} part: gradients of the pieces, weighted '
                "by their number of answer tokens, do not add up to that of the batch. Every token of the batch must "
                "weigh the same. (hint 3)"
            )
    z = student.double().requires_grad_()
    expected = _right(z, teacher.double(), labels, 1.0, 1.0)
    expected.backward()
    value, slope = _gradient(lambda s: call(s, teacher, labels, 1.0, 1.0), student)
    if close(value, expected) and not close(slope, z.grad, 1e-4):
        raise Wrong(
            "At T=1 the value of the soft part is right, but its gradient is not: the student's q stands in front of the "
            "bracket and inside it, and the gradient must go through both. Do you detach one? (hint 1)"
        )
    one, ten = (
        _gradient(lambda z, T=T: call(z, teacher / 2, labels, 1.0, T), student / 2)[1].norm().item()
        for T in (1.0, 10.0)
    )
    if not 0.4 < ten / max(one, 1e-12) < 2.5:
        raise Wrong(
            f'Property "T² keeps the gradient\'s size" fails: at T=10 the soft gradient is {ten / max(one, 1e-12):.3g} '
            "times that at T=1. Divide both logits by T and multiply the soft part by T². (hint 4)"
        )
    asked = teacher.clone().requires_grad_()
    learner = student.clone().requires_grad_()
    unwatched(learner, asked, labels.clone(), alpha, temperature).backward()
    if asked.grad is not None and asked.grad.abs().max() > 0:
        raise Wrong(
            'Property "the teacher gets no gradient" fails: teacher logits that ask for a gradient received one. '
            "Detach them. (hint 4)"
        )
    for student_size, teacher_size in ((12, 10), (10, 12), (12, 1)):
        try:
            loss(torch.randn(2, 6, student_size), torch.randn(2, 6, teacher_size),
                 torch.randint(0, min(student_size, teacher_size), (2, 6)), alpha, temperature)  # fmt: skip
        except ValueError:
            continue
        except Exception as error:
            raise Wrong(
                f'Property "vocabularies that differ are refused" fails: {student_size} against {teacher_size} tokens '
                f"stopped by accident with {type(error).__name__}. Raise a ValueError that says so."
            ) from None
        raise Wrong(
            f'Property "vocabularies that differ are refused" fails: {student_size} tokens against {teacher_size} gave '
            "a number. Token 7 of one may not be token 7 of the other: raise a ValueError."
        )
    for part, name in ((1.0, "soft"), (0.0, "hard"), (alpha, "mixed")):
        value, expected = (
            number(call(student, teacher, labels, part)),
            _right(student, teacher, labels, part, temperature),
        )
        swapped = (
            temperature**2 * _kl_rows(teacher[:, :-1], student[:, :-1], temperature)[labels[:, 1:] != IGNORE].mean()
        )
        if part == 1.0 and close(value, expected / 12) and not close(value, expected):
            raise Wrong(
                f"All properties hold, but the soft part should be {expected:.4f} nats a token, and this came: {value:.4f}. A "
                "mean over all entries also divides by the 12 tokens of the vocabulary: sum over those. (hint 1)"
            )
        if part == 1.0 and close(value, swapped) and not close(value, expected):
            raise Wrong(
                "All properties hold, but the soft part is the forward KL: here the student's q stands in front. (hint 1)"
            )
        if not close(value, expected):
            raise Wrong(
                f"All properties hold, but the value of the {name} loss should be {expected:.4f} nats a token (alpha="
                f"{part:.2f}, T={temperature:.2f}), and this came: {value:.4f}. alpha · T² · KL + (1 − alpha) · "
                "cross-entropy at T=1. (hint 4)"
            )
        z = student.double().requires_grad_()
        _right(z, teacher.double(), labels, part, temperature).backward()
        _, slope = _gradient(lambda s, part=part: call(s, teacher, labels, part), student)
        if not close(slope, z.grad, 1e-4):
            raise Wrong(
                f"All values are right, but the gradient of the {name} part is not: q stands in front and inside. Is one detached?"
            )
    ahead = F.one_hot(torch.randint(0, 12, (2, 4, 14)), 12) * 120.0 * temperature
    for which, logits in (("teacher", (student, teacher + ahead[0])), ("student", (student + ahead[1], teacher))):
        for part, name in ((1.0, "soft"), (0.0, "hard")):
            value, expected = float(call(*logits, labels, part)), _right(*logits, labels, part, temperature)
            told = f'Property "sure models stay finite" fails: where the {which} puts one token 120 T ahead, the {name} loss '
            if not close(value, expected):
                raise Wrong(
                    f"{told}should be {expected:.2f}, and {value:.2f} came: a probability underflows to 0, or a clamp caps "
                    "its logarithm. Take log_softmax of the logits. (hint 1)"
                )
            if not _gradient(lambda z, t=logits[1], part=part: call(z, t, labels, part), logits[0])[1].isfinite().all():
                raise Wrong(f"{told}is right and its gradient is NaN: take log_softmax of the logits. (hint 1)")


# --- 3.6: which bug has this training? --------------------------------------------------------------------------------------

KINDS = ("sound", "entropy", "batch", "shift", "temperature")
SIGNS = {
    "sound": "The soft term begins near the KL, falls to nearly 0, and the KL falls with it.",
    "entropy": "The soft term hardly falls, though the KL does: a constant is in it. (hint 2)",
    "batch": "The soft term falls to 0, from a number far above the KL. (hint 1)",
    "shift": "The KL stays high, while the hard term falls: the student learns something else. (hint 3)",
    "temperature": "The soft term begins far below the KL. (hint 1)",
}
FLAT, SHARP = (1.0, 12), (2.6, 40)  # how far apart the teacher's logits lie, and the longest answer
CASES = (  # small and large losses of every kind, so that a fixed number tells no two kinds apart
    *((kind, *setting) for kind in KINDS if kind != "sound" for setting in (FLAT, SHARP)),
    ("sound", 0.6, 12),
    ("sound", *SHARP),
)


@runtime.threads(1)  # quicker than two for so small a net, and by far on a busy machine
def training_log(kind: str, spread: float, longest: int, generator: torch.Generator, steps: int = 100) -> dict:
    """Train a small next-token student with one of five losses, and return what its log says every ten steps.

    The teacher is a random table of next-token logits that seldom repeats a token, the student a table that starts at
    zero; the texts are the teacher's, with a prompt of three tokens and answers of different lengths. alpha is 0.5.

    Args:
        kind: "sound", or the bug: "entropy" (log p left out), "batch" (the soft term is divided by the number of answers),
            "shift" (the hard term's labels are not shifted), "temperature" (no T²).
        spread: standard deviation of the teacher's logits; longest: tokens of the longest answer, twice the shortest's.
    Returns:
        T, and lists of `soft` (with its T²) and `hard` as the loss computes them, and of `kl`, the true forward KL at T=1
        over the contexts of all answers, in nats a token.
    """
    size, T = int(torch.randint(12, 21, (), generator=generator)), float(torch.randint(3, 5, (), generator=generator))
    table = spread * torch.randn(size, size, generator=generator)
    table.fill_diagonal_(-spread)
    chances, log_p = table.softmax(-1), table.log_softmax(-1)
    weights = torch.zeros(size, size, requires_grad=True)
    optimiser = torch.optim.Adam([weights], lr=0.1)
    log = {"T": T, "soft": [], "hard": [], "kl": []}
    texts = torch.randint(size, (400, 1), generator=generator)
    for _ in range(longest + 2):
        texts = torch.cat([texts, torch.multinomial(chances[texts[:, -1]], 1, generator=generator)], 1)
    place = torch.arange(longest + 3)
    stop = torch.randint(longest // 2, longest + 1, (400, 1), generator=generator) + 3
    text_labels = torch.where((place >= 3) & (place < stop), texts, IGNORE)
    contexts = texts[:, :-1][text_labels[:, 1:] != IGNORE]
    share = torch.bincount(contexts, minlength=size) / len(contexts)
    for step in range(steps + 1):
        chosen = torch.randint(400, (24,), generator=generator)
        ids, labels = texts[chosen], text_labels[chosen]
        counts = labels[:, 1:] != IGNORE
        student, teacher = weights[ids], table[ids][:, :-1][counts]
        aligned = student[:, :-1][counts]
        tempered, target = (aligned / T).log_softmax(-1), (teacher / T).log_softmax(-1)
        soft = (target.exp() * ((0 if kind == "entropy" else target) - tempered)).sum()
        soft = soft / (len(ids) if kind == "batch" else counts.sum()) * (1 if kind == "temperature" else T**2)
        shifted = F.cross_entropy(aligned, labels[:, 1:][counts])
        hard = F.cross_entropy(student.flatten(0, 1), labels.flatten()) if kind == "shift" else shifted
        if step % 10 == 0:
            kl = share @ (chances * (log_p - weights.detach().log_softmax(-1))).sum(-1)
            for name, value in (("soft", soft), ("hard", hard), ("kl", kl)):
                log[name].append(value.item())
        optimiser.zero_grad()
        (0.5 * soft + 0.5 * hard).backward()
        optimiser.step()
    return log


def training_logs(seed: int = 0) -> dict[str, dict]:
    """Five logs, one of each kind, under the letters A to E in an order that the seed decides.

    The batch bug gets a flat teacher and short answers: its soft term then starts where the sound one does.
    """
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(KINDS), generator=generator).tolist()
    kinds = [KINDS[place] for place in order]
    return {
        letter: training_log(kind, *(FLAT if kind in ("batch", "shift") else SHARP), generator)
        for letter, kind in zip("ABCDE", kinds)
    }


def check_diagnose(diagnose):
    """3.6: the kind of ten fresh trainings, from their logs."""
    generator = torch.Generator().manual_seed(_whole(0, 2**31 - 1))
    for place in torch.randperm(len(CASES)).tolist():
        kind, *setting = CASES[place]
        log = training_log(kind, *setting, generator)
        while (log["kl"][-1] > 0.35 * log["kl"][0]) != (kind == "shift"):  # a rare run whose curves do not tell
            log = training_log(kind, *setting, generator)
        given = {name: list(value) if isinstance(value, list) else value for name, value in log.items()}
        answer = diagnose(given)
        if given != log:
            raise Wrong("Your function changes the log that it is given: sort or cut a copy.")
        if not isinstance(answer, str) or answer not in KINDS:
            raise Wrong(f"One of {', '.join(KINDS)} was expected, as a text, and this came: {_told(answer)}")
        if answer != kind:
            ends = ", ".join(f"{name} {log[name][0]:.2f} to {log[name][-1]:.2f}" for name in ("soft", "hard", "kl"))
            raise Wrong(
                f'A training with T={log["T"]:.0f} ({ends}) is "{kind}", and you say "{answer}". {SIGNS[kind]} Sizes '
                "differ between trainings: compare a curve with another, or with its own start."
            )


CHECKS = {
    "3.1": check_jsd,
    "3.2": check_decide,
    "3.3": check_bugs,
    "3.4": check_property_test,
    "3.5": check_repaired,
    "3.6": check_diagnose,
}
