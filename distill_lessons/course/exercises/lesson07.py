"""Checks of lesson 07, chain of thought: write traces, filter them, find a teacher's bug, price tokens, judge a self-check."""

import random

import torch

from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.pairs import multiplication as pair


def _rng():
    return random.Random(torch.randint(2**31, ()).item())


def _value(expression):
    """Exact value of a sum of products, or `Wrong`."""
    value = pair._value(expression)
    if value is None:
        raise Wrong(f"{expression!r} is no sum of products of whole numbers, such as 23*40+23*7. (hint 1)")
    return value


def check_trace(trace):
    """7.1: worked steps, validated by exact arithmetic, equation by equation."""
    rng = _rng()
    problems = [(rng.randrange(10, 100), rng.randrange(10, 100)) for _ in range(60)]
    problems += [(10, 10), (99, 99), (rng.randrange(10, 100), 10 * rng.randrange(1, 10)), (10, rng.randrange(11, 20))]
    for a, b in problems:
        got = trace(a, b)
        if not isinstance(got, str):
            raise Wrong(f"A text was expected for {a}*{b}, and this came: {got!r}")
        told = f"For {a}*{b} your trace is {got!r}: "
        if got.startswith(pair.prompt(a, b)):
            raise Wrong(told + "leave out the problem itself; the student is given that.")
        if got != "".join(got.split()):
            raise Wrong(told + "leave out spaces and line ends; every character is a token that must be paid for.")
        parts = got.split("=")
        if len(parts) != 3:
            raise Wrong(told + f"three parts joined by = were expected, and there are {len(parts)}. (hint 1)")
        for expression in parts:
            if _value(expression) != a * b:
                raise Wrong(told + f"{expression} is {_value(expression)}, and {a}*{b} is {a * b}. (hint 2)")
        split, products, answer = parts
        tens, ones = pair.partial_products(a, b)
        if sorted(split.split("+")) != sorted([f"{a}*{b - b % 10}", f"{a}*{b % 10}"]):
            raise Wrong(told + f"split {b} into its tens and its ones: {a}*{b - b % 10}+{a}*{b % 10}. (hint 2)")
        if split.split("+")[0] != f"{a}*{b - b % 10}":
            raise Wrong(told + "put the tens first, always: a student learns an order only if there is one.")
        if products != f"{tens}+{ones}":
            raise Wrong(told + f"the second part is the two partial products, {tens}+{ones}. (hint 1)")
        if answer != str(a * b):
            raise Wrong(told + f"the third part is the bare answer, {a * b}. (hint 1)")


def check_keep(keep):
    """7.2: keep a trace only if each of its equations is true and it answers the problem."""
    rng = _rng()
    problems = rng.sample(pair.problems("train"), 60)
    rows, good, kinds = [], [], []
    for place, (a, b) in enumerate(problems):
        kind = ("right", "wrong steps", "wrong answer", "other problem", "both wrong", "no steps")[place % 6]
        tens, ones = pair.partial_products(a, b)
        slip = rng.choice([-100, -10, 10, 100])
        text = {
            "right": pair.steps(a, b),
            "wrong steps": pair.wrong_steps(a, b, rng.random()),
            "wrong answer": pair.wrong_answer(a, b, rng.random()),
            "other problem": pair.steps(a, b + 1 if b < 99 else b - 1),
            "both wrong": f"{a}*{b - b % 10}+{a}*{b % 10}={tens + slip}+{ones}={a * b + slip}",
            "no steps": str(a * b),
        }[kind]
        rows.append((a, b, text))
        kinds.append(kind)
        good.append(kind in ("right", "no steps"))
    got = keep(list(rows))
    try:
        got = list(got)
    except TypeError:
        raise Wrong(f"A list of rows (a, b, trace) was expected, and this came: {got!r}") from None
    if any(row not in rows for row in got):
        strange = next(row for row in got if row not in rows)
        raise Wrong(f"{strange!r} is none of the rows: return the rows themselves, as they came.")
    why = {
        "wrong steps": "its answer is right, but a step before is false: look at every =, not only the last. (hint 1)",
        "wrong answer": "its last equation is false: a sum of right products must still be the answer. (hint 1)",
        "other problem": "its equations are true, but it answers another problem: the prompt belongs to them. (hint 2)",
        "both wrong": "its first products do not add up to what was asked. (hint 1)",
    }
    for row, fine, kind in zip(rows, good, kinds):
        if row in got and not fine:
            raise Wrong(f"You keep {row}: {why[kind]}")
    for row, fine in zip(rows, good):
        if fine and row not in got:
            raise Wrong(
                f"You drop {row}, in which everything is true: {len(set(row[2].split('=')))} part(s), all equal."
            )
    if got != [row for row, fine in zip(rows, good) if fine]:
        raise Wrong("The right rows, but in another order or more than once: return them as they came.")


def check_bug(bad_digit):
    """7.3: which row of the times table does the program that wrote these traces not know?"""
    for _ in range(6):
        rng = _rng()
        digit = rng.randrange(2, 10)
        common = rng.choice([d for d in range(2, 10) if d != digit])  # has more slips, because it has more problems
        ones = [digit] * 12 + [common] * 150 + [d for d in range(10) if d not in (digit, common)] * 12
        rng.shuffle(ones)
        slips = set(rng.sample([place for place, d in enumerate(ones) if d == common], 30))
        rows = []
        for place, last in enumerate(ones):
            a, b = rng.randrange(11, 100), 10 * rng.randrange(1, 10) + last
            tens, product = pair.partial_products(a, b)
            if last == digit:
                product = a * (last + 1) if place % 4 else a * (last - 1)
                total = a * b if place % 2 else tens + product  # every other one ends on the right answer all the same
            elif place in slips:
                total = tens + product + rng.choice([-10, 10])
            else:
                total = tens + product
            rows.append((a, b, f"{a}*{b - last}+{a}*{last}={tens}+{product}={total}"))
        got = number(bad_digit(list(rows)))
        if got == digit:
            continue
        if got == common:
            raise Wrong(
                f"{common} came, and it is {digit}. {common} has more false traces, but only because it has more problems: "
                "compare shares, and look at the product, not at the sum. (hint 2)"
            )
        raise Wrong(
            f"{digit} was expected, and {got:g} came: take the last digit of b, check the second product of the middle part, "
            "and count the false ones by digit. Some false products are followed by a right answer. (hint 1)"
        )


def check_price(accuracy_per_token):
    """7.4: what a token of reasoning buys."""
    for _ in range(5):
        rng = _rng()
        count = rng.randrange(30, 60)
        right, base_right = ([rng.random() < share for _ in range(count)] for share in (0.9, 0.25))
        tokens, base_tokens = ([rng.randrange(*ends) for _ in range(count)] for ends in ((20, 30), (3, 6)))
        gain, more = sum(right) - sum(base_right), sum(tokens) - sum(base_tokens)
        expected = gain / more
        got = number(accuracy_per_token(list(right), list(tokens), list(base_right), list(base_tokens)))
        if close(got, expected, 1e-6):
            continue
        each = sum((r - b) / (t - u) for r, b, t, u in zip(right, base_right, tokens, base_tokens)) / count
        mistakes = (
            (sum(right) / sum(tokens), "That is accuracy over tokens of one student: subtract the other's, above and below. (hint 1)"),
            (gain / sum(tokens), "You divide by all tokens: only the additional ones bought the gain. (hint 1)"),
            (sum(right) / sum(tokens) - sum(base_right) / sum(base_tokens), "That is a difference of two ratios: the gain divided by the additional tokens was asked. (hint 1)"),
            (each, "That is the mean of ratios, problem by problem: take the means first, then divide. (hint 2)"),
            (100 * expected, "That is in points: leave it a share."),
            (1 / expected, "That is tokens a unit of accuracy: turn it over."),
            (gain / (more / count), "You divide a count by a mean: take the mean of both."),
        )  # fmt: skip
        why = next((words for value, words in mistakes if close(got, value, 1e-6)), "See both hints.")
        raise Wrong(f"{expected:.5f} was expected, and {got:.5f} came. {why}")


def check_self_check(judge):
    """7.5: precision and recall of a student's check of its own first answer."""
    cases = []
    for _ in range(4):
        rng = _rng()
        cases.append([(rng.random() < 0.7, rng.choice("yyn"), rng.random() < 0.8) for _ in range(40)])
    for first, verdicts in ((True, "y"), (False, "y"), (True, "n")):
        cases.append([(first, verdicts, True)] * 5)
    for rows in cases:
        wrong = [not first for first, _, _ in rows]
        flagged = [verdict == "n" for _, verdict, _ in rows]
        both = sum(w and f for w, f in zip(wrong, flagged))
        expected = (both / sum(flagged) if any(flagged) else None, both / sum(wrong) if any(wrong) else None)
        got = judge(list(rows))
        try:
            precision, recall = got
        except (TypeError, ValueError):
            raise Wrong(f"A pair (precision, recall) was expected, and this came: {got!r}") from None
        if _same(precision, expected[0]) and _same(recall, expected[1]):
            continue
        told = f"With {sum(wrong)} first answers wrong, {sum(flagged)} rejected, {both} of them rightly, "
        told += f"{_pair(expected)} was expected, and {_pair((precision, recall))} came. "
        passed = sum(not w and not f for w, f in zip(wrong, flagged))
        accepted = passed / (len(rows) - sum(flagged)) if not all(flagged) else None
        final = [not last for _, _, last in rows]
        by_final = sum(w and f for w, f in zip(final, flagged))
        if _same(precision, expected[1]) and _same(recall, expected[0]):
            raise Wrong(
                told + "The two are swapped: precision divides by what was rejected, recall by what was wrong. (hint 1)"
            )
        if _same(precision, accepted):
            raise Wrong(told + "You count how often an accepted answer is right: an alarm is a rejection, n. (hint 1)")
        if None in expected:
            raise Wrong(told + "Where nothing was rejected, or nothing wrong, there is no share: return None. (hint 2)")
        if any(flagged) and _same(precision, by_final / sum(flagged)):
            raise Wrong(told + "You look at the final answers: the check judged the first. (hint 1)")
        raise Wrong(
            told + "Precision: of the rejected, how many were wrong? Recall: of the wrong, how many were rejected?"
        )


def _same(got, expected):
    if got is None or expected is None:
        return got is expected
    try:
        return abs(float(got) - expected) < 1e-6
    except (TypeError, ValueError):
        return False


def _pair(values):
    return "(" + ", ".join(f"{v:.3f}" if isinstance(v, (int, float)) else str(v) for v in values) + ")"


CHECKS = {
    "7.1": check_trace,
    "7.2": check_keep,
    "7.3": check_bug,
    "7.4": check_price,
    "7.5": check_self_check,
}
