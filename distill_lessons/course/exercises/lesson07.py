"""Checks of lesson 07, chain of thought: write traces, filter them, find a teacher's bug, price tokens, judge a self-check."""

import random

import torch

from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import nearest, unchanged
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
    keep = unchanged(keep)
    rng = _rng()
    kinds = [
        "right",
        "wrong split",
        "wrong steps",
        "wrong answer",
        "other problem",
        "both wrong",
        "no steps",
        "wrong alone",
    ]
    kinds = 8 * kinds
    problems = rng.sample(pair.problems("train"), len(kinds))
    rows, good = [], []
    for (a, b), kind in zip(problems, kinds):
        tens, ones = pair.partial_products(a, b)
        slip = rng.choice([-100, -10, 10, 100])
        text = {
            "right": pair.steps(a, b),
            "wrong split": f"{a}*{b - b % 10}+{a}*{(b + 1) % 10}={tens}+{ones}={a * b}",
            "wrong steps": pair.wrong_steps(a, b, rng.random()),
            "wrong answer": pair.wrong_answer(a, b, rng.random()),
            "other problem": pair.steps(a, b + 1 if b < 99 else b - 1),
            "both wrong": f"{a}*{b - b % 10}+{a}*{b % 10}={tens + slip}+{ones}={a * b + slip}",
            "no steps": str(a * b),
            "wrong alone": str(a * b + slip),
        }[kind]
        rows.append((a, b, text))
        good.append(kind in ("right", "no steps"))
    # A teacher is asked twice: for the same problem come other traces, and now and then the same one.
    again = [place for place, kind in enumerate(kinds) if kind == "right"][:4]
    rows += [(a, b, str(a * b)) for a, b, _ in (rows[place] for place in again[:2])] + [
        rows[place] for place in again[2:]
    ]
    kinds, good = kinds + ["no steps", "no steps", "right", "right"], good + 4 * [True]
    order = rng.sample(range(len(rows)), len(rows))
    rows, kinds, good = ([each[place] for place in order] for each in (rows, kinds, good))
    got = keep(list(rows))
    try:
        got = list(got)
    except TypeError:
        raise Wrong(f"A list of rows (a, b, trace) was expected, and this came: {got!r}") from None
    if any(row not in rows for row in got):
        strange = next(row for row in got if row not in rows)
        raise Wrong(f"{strange!r} is none of the rows: return the rows themselves, as they came.")
    why = {
        "wrong split": "its products and its answer are right, but the first part is another number. (hint 1)",
        "wrong alone": "it is no equation, but it is not the answer. (hint 2)",
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
            if any(kept[:2] == row[:2] for kept in got):
                raise Wrong(f"You drop {row}: another trace of {row[0]}*{row[1]} stays, and both are right. Keep both.")
            raise Wrong(
                f"You drop {row}, in which everything is true: {len(set(row[2].split('=')))} part(s), all equal."
            )
    if got != [row for row, fine in zip(rows, good) if fine]:
        if len(got) < sum(good):
            raise Wrong(
                f"{sum(good)} rows are right, and {len(got)} came: two rows may belong to one problem, or be the same. Keep "
                "each of them; no dict and no set."
            )
        raise Wrong("The right rows, but in another order or more than once: return them as they came.")


def check_bug(bad_digit):
    """7.3: which row of the times table does the program that wrote these traces not know?"""
    bad_digit = unchanged(bad_digit)
    for _ in range(6):
        rng = _rng()
        digit = rng.randrange(2, 10)
        common = rng.choice([d for d in range(2, 10) if d != digit])  # has more slips, because it has more problems
        decoy = rng.choice([d for d in range(10) if d not in (digit, common)])  # its sums slip most of the time
        ones = [digit] * 12 + [common] * 150 + [d for d in range(10) if d not in (digit, common)] * 12
        rng.shuffle(ones)
        slips = set(rng.sample([place for place, d in enumerate(ones) if d == common], 30))
        slips |= set(rng.sample([place for place, d in enumerate(ones) if d == decoy], 10))
        rows = []
        for place, last in enumerate(ones):
            a, b = rng.randrange(11, 100), 10 * rng.randrange(1, 10) + last
            tens, product = pair.partial_products(a, b)
            if last == digit:
                seen = ones[:place].count(digit)
                product = a * (last + 1) if seen % 4 else a * (last - 1)
                total = a * b if seen % 2 else tens + product  # every other one ends on the right answer all the same
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
        if got == decoy:
            raise Wrong(
                f"{decoy} came, and it is {digit}. Where b ends in {decoy} the last number is often wrong, but the products are "
                f"right and the slip is in the sum: look at the second product, {digit}'s is wrong always. (hint 1)"
            )
        raise Wrong(
            f"{digit} was expected, and {got:g} came: take the last digit of b, check the second product of the middle part, "
            "and count the false ones by digit. Some false products are followed by a right answer. (hint 1)"
        )


def check_price(accuracy_per_token):
    """7.4: what a token of reasoning buys."""
    accuracy_per_token = unchanged(accuracy_per_token)
    longer, shorter = (20, 30), (3, 6)
    for share, base_share, ends, base_ends in (
        (0.9, 0.25, longer, shorter),
        (0.7, 0.4, longer, shorter),
        (0.3, 0.8, longer, shorter),  # reasoning made it worse
        (0.8, 0.4, shorter, longer),  # the student that reasons is brief
        (0.2, 0.6, shorter, longer),
        (0.5, None, longer, shorter),  # neither better nor worse
    ):
        rng = _rng()
        count = rng.randrange(30, 60)
        right = [rng.random() < share for _ in range(count)]
        base_right = (
            rng.sample(right, count) if base_share is None else [rng.random() < base_share for _ in range(count)]
        )
        tokens, base_tokens = ([rng.randrange(*each) for _ in range(count)] for each in (ends, base_ends))
        gain, more = sum(right) - sum(base_right), sum(tokens) - sum(base_tokens)
        expected = gain / more
        got = number(accuracy_per_token(list(right), list(tokens), list(base_right), list(base_tokens)))
        if close(got, expected, 1e-6):
            continue
        told = (
            f"Right {sum(right)} of {count} with {sum(tokens)} tokens, {sum(base_right)} with {sum(base_tokens)} without "
            f"reasoning: {expected:.5f} was expected, and {got:.5f} came. "
        )
        if expected < 0 and (close(got, -expected, 1e-6) or got == 0):
            raise Wrong(
                told
                + "A token may cost accuracy, or save it: keep the sign, without abs and max, of gain and of tokens. "
                "(hint 1)"
            )
        if more < 0 and close(got, -expected, 1e-6):
            raise Wrong(told + "Reasoning took fewer tokens here: keep the sign of the difference. (hint 1)")
        each = sum((r - b) / (t - u) for r, b, t, u in zip(right, base_right, tokens, base_tokens)) / count
        only = sum(r > b for r, b in zip(right, base_right)) / more
        mistakes = [
            (sum(right) / sum(tokens), "That is accuracy over tokens of one student: subtract the other's, above and below. (hint 1)"),
            (gain / sum(tokens), "You divide by all tokens: only the additional ones bought the gain. (hint 1)"),
            (gain / sum(base_tokens), "You divide by the other student's tokens: only the additional ones bought the gain. (hint 1)"),
            (sum(right) / sum(tokens) - sum(base_right) / sum(base_tokens), "That is a difference of two ratios: the gain divided by the additional tokens was asked. (hint 1)"),
            (each, "That is the mean of ratios, problem by problem: take the means first, then divide. (hint 2)"),
            (only, "You count the problems that were won; those that were lost count against them. (hint 1)"),
            (100 * expected, "That is in points: leave it a share."),
            (gain / (more / count), "You divide a count by a mean: take the mean of both. (hint 2)"),
            ((sum(right) / max(sum(base_right), 1) - 1) * count / more, "You take the gain relative to the other student's accuracy: a difference of shares was asked. (hint 1)"),
        ]  # fmt: skip
        if gain:
            mistakes.append((1 / expected, "That is tokens a unit of accuracy: turn it over."))
        why = "Mean of right less mean of base_right, over mean of tokens less mean of base_tokens. (hints 1 and 2)"
        raise Wrong(told + nearest(got, mistakes, why, 1e-6))


def check_self_check(judge):
    """7.5: precision and recall of a student's check of its own first answer."""
    judge = unchanged(judge)
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
        try:
            got = judge(list(rows))
            try:
                precision, recall = got
            except (TypeError, ValueError):
                raise Wrong(f"A pair (precision, recall) was expected, and this came: {got!r}") from None
        except ZeroDivisionError:
            group = "first answer was wrong" if any(flagged) else "answer was rejected"
            raise Wrong(
                f"Of {len(rows)} rows like {rows[0]!r}, no {group}, and your code divides by zero: where the group is empty, "
                "return None. (hint 2)"
            ) from None
        if _same(precision, expected[0]) and _same(recall, expected[1]):
            continue
        told = f"With {sum(wrong)} first answers wrong, {sum(flagged)} rejected, {both} of them rightly, "
        told += f"{_pair(expected)} was expected, and {_pair((precision, recall))} came. "
        passed = sum(not w and not f for w, f in zip(wrong, flagged))
        accepted = passed / (len(rows) - sum(flagged)) if not all(flagged) else None
        final = [not last for _, _, last in rows]
        by_final = sum(w and f for w, f in zip(final, flagged))
        if None in expected:
            raise Wrong(told + "Where nothing was rejected, or nothing wrong, there is no share: return None. (hint 2)")
        if _same(precision, expected[1]) and _same(recall, expected[0]):
            raise Wrong(
                told + "The two are swapped: precision divides by what was rejected, recall by what was wrong. (hint 1)"
            )
        if _same(precision, accepted):
            raise Wrong(told + "You count how often an accepted answer is right: an alarm is a rejection, n. (hint 1)")
        everything = both / len(rows)
        if _same(precision, everything) and _same(recall, everything) and not _same(everything, expected[0]):
            raise Wrong(told + "You divide by all rows: each share has a group of its own. (hint 1)")
        if _same(precision, both) and _same(recall, both):
            raise Wrong(told + "Those are counts: divide each by the size of its group. (hint 1)")
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
