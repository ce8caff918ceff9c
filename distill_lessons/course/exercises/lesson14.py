"""Checks of lesson 14, economics: break-even, a server always paid, money a token, tornado, "never", passing on."""

import math

import numpy as np
import torch

from distill_lessons.course.exercises import Wrong, close, number

NEVER = "never"


def _whole_or_never(answer, told):
    """The answer as an int, or the text "never"."""
    if isinstance(answer, str):
        if answer.strip().lower() != NEVER:
            raise Wrong(told + f'a whole number or the text "never" was expected, and this came: {answer!r}.')
        return NEVER
    found = number(answer)
    if found != int(found):
        raise Wrong(told + f"queries are whole, and yours are {found}: round up. (hint 1)")
    return int(found)


def _amounts(*tops):
    """Random whole amounts, each from 1 to its top."""
    return [int(torch.randint(1, top + 1, ())) for top in tops]


def check_break_even(break_even):
    """14.1: the least whole number of queries that pays, or "never"; amounts are whole tenths of a cent."""
    cases = [(10_000_000, 30, 1), (29_000, 30, 1), (1_000, 7, 7), (1_000, 5, 9)]
    for _ in range(6):
        upfront, saving, student = _amounts(9_999_999, 60, 40)
        cases += [(upfront, student + saving, student), (saving * student, student + saving, student)]
    for upfront, teacher, student in cases:
        told = f"With {upfront:,} upfront, {teacher} a query of the teacher and {student} of the student: "
        got = _whole_or_never(break_even(upfront, teacher, student), told)
        expected = -(-upfront // (teacher - student)) if teacher > student else NEVER
        if got == expected:
            continue
        if expected == NEVER:
            why = "nothing is saved, so it never pays. (hint 2)"
        elif got == NEVER:
            why = f"each query saves {teacher - student}, so it does pay in the end. (hint 2)"
        elif got == expected - 1:
            why = "your number of queries has not paid it yet: round up. (hint 1)"
        elif got == expected + 1:
            why = "one query less pays it already: add nothing where it comes out even. (hint 1)"
        elif got == -(-upfront // teacher):
            why = "you divide by the teacher's cost; a query saves only the difference. (hint 1)"
        else:
            why = "divide by what a query saves. (hint 1)"
        raise Wrong(told + f"the answer is {expected}, and {got} came: {why}")


def check_least_traffic(least_traffic):
    """14.2: the least whole traffic at which the saving is over what the server costs a day, or "never"."""
    cases = [(48_000, 30, 0), (48_000, 30, 30), (48_000, 2, 9), (0, 30, 1)]
    for _ in range(6):
        server, saving, student = _amounts(99_999, 60, 40)
        cases += [(server, student + saving, student), (saving * server, student + saving, student)]
    for server, teacher, student in cases:
        told = f"A server of {server:,} a day, {teacher} a query of the teacher, {student} of the student: "
        got = _whole_or_never(least_traffic(server, teacher, student), told)
        expected = server // (teacher - student) + 1 if teacher > student else NEVER
        if got == expected:
            continue
        if expected == NEVER:
            why = "the more traffic, the more is lost. (hint 2)"
        elif got == expected - 1:
            why = "there the day's saving is not over the server's cost, so nothing is ever left to pay the rest. (hint 1)"
        elif got == expected + 1:
            why = "one query less a day leaves something already. (hint 1)"
        else:
            why = "what does one query save, and how many cover the server? (hint 1)"
        raise Wrong(told + f"the answer is {expected}, and {got} came: {why}")


def check_per_million(per_million):
    """14.3: money for a million tokens of a machine that is paid by the hour."""
    for _ in range(6):
        price, speed, share = (0.1 + 9.9 * torch.rand(3)).tolist()
        speed, share = 1000 * speed, share / 10
        expected = price / (3600 * speed * share) * 1e6
        got = number(per_million(price, speed, share))
        if close(got, expected, 1e-6):
            continue
        mistakes = (
            (expected * share, "You let the machine work all the time: divide by the utilisation. (hint 2)"),
            (expected * share**2, "You multiplied by the utilisation: an idle machine makes tokens dearer. (hint 2)"),
            (expected * 3600, "That is as if the price were per second: an hour has 3,600. (hint 1)"),
            (expected * 60, "An hour has 3,600 seconds, not 60. (hint 1)"),
            (expected / 1e6, "That is for one token, and a million were asked for. (hint 1)"),
            (1 / expected, "That is upside down: money over tokens."),
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-6)), "See both hints.")
        told = f"{price:.2f} an hour, {speed:.0f} tokens a second, {share:.0%} in use: "
        raise Wrong(told + f"{expected:.4f} a million tokens was expected, and {got:.4f} came. {why}")


def check_tornado(tornado):
    """14.4: a row an input, (name, at low, at high), widest first; infinite days are possible."""
    for _ in range(4):
        up, per_query, traffic, fixed = (1 + torch.rand(4)).tolist()
        base = {"upfront": 1000 * up, "saving": per_query, "traffic": 100 * traffic, "fixed": fixed}
        ranges = {name: (value * (0.6 + 0.3 * torch.rand(()).item()), value * 1.4) for name, value in base.items()}
        ranges["fixed"] = (fixed, 1000.0)  # never, at the upper end

        def days(upfront, saving, traffic, fixed):
            left = traffic * saving - fixed
            return upfront / left if left > 0 else math.inf

        expected = []
        for name, (low, high) in ranges.items():
            ends = [days(**{**base, name: value}) for value in (low, high)]
            expected.append((name, *ends))
        expected.sort(key=lambda row: -abs(row[1] - row[2]))
        before = dict(base)
        rows = tornado(days, base, {row[0]: ranges[row[0]] for row in reversed(expected)})  # narrowest first
        if base != before:
            raise Wrong("Your function changed the base: make a new dict for each end. (hint 1)")
        try:
            rows = [(str(name), float(low), float(high)) for name, low, high in rows]
        except (TypeError, ValueError):
            raise Wrong(f"A list of (name, days at low, days at high) was expected, and this came: {rows!r}") from None
        if len(rows) != len(expected):
            raise Wrong(f"{len(expected)} inputs have a range, and you return {len(rows)} rows.")
        by_name = {row[0]: row for row in rows}
        for name, low, high in expected:
            if name not in by_name:
                raise Wrong(f"The input {name!r} has a range and no row of yours.")
            got = by_name[name][1:]
            if np.allclose(got, (low, high), rtol=1e-6):
                continue
            why = "the other inputs stay at their base. (hint 1)"
            if np.allclose(got, (high, low), rtol=1e-6):
                why = "that is the right pair the other way round: low end first."
            raise Wrong(
                f"{name!r}: days {low:.4g} and {high:.4g} were expected, {got[0]:.4g} and {got[1]:.4g} came: {why}"
            )
        if [row[0] for row in rows] != [row[0] for row in expected]:
            raise Wrong(
                f"The widest comes first: {', '.join(row[0] for row in expected)}; yours are in the order "
                f"{', '.join(row[0] for row in rows)}. (hint 2)"
            )


def check_never(summary):
    """14.5: share of draws that never pay, and the median day of all draws, "never" among them."""
    for lost in (0, 1, 4, 7, 9):
        paying = (10 + 90 * torch.rand(9 - lost)).tolist()
        days = [*paying, *[None] * lost]
        days = [days[i] for i in torch.randperm(9).tolist()]
        told = f"{lost} of nine draws came out as never: "
        got = summary(list(days))
        try:
            share, median = got
        except (TypeError, ValueError):
            raise Wrong(
                f"Two things were expected, the share of never and the median, and this came: {got!r}"
            ) from None
        share = number(share)
        if not close(share, lost / 9, 1e-6):
            raise Wrong(told + f"the share is {lost / 9:.3f}, and yours is {share:.3f}. (hint 1)")
        expected = sorted(paying + [math.inf] * lost)[4]
        if isinstance(median, str):
            if median.strip().lower() != NEVER:
                raise Wrong(told + f'a day or the text "never" was expected, and this came: {median!r}.')
            if not math.isinf(expected):
                raise Wrong(told + f"more than half do pay, so the median is a day, {expected:.1f}. (hint 2)")
            continue
        if math.isinf(expected):
            raise Wrong(told + f'so does the middle one, and "never" was expected; {median!r} came. (hint 2)')
        median = number(median)
        if close(median, expected, 1e-6):
            continue
        mistakes = (
            (np.median(paying), "You left the draws out that never pay: the rest looks too good. (hint 2)"),
            (np.median(paying + [0.0] * lost), "You count never as day 0, the best there is. (hint 2)"),
            (np.mean(paying), "That is the mean of those that pay; the median of all was asked for. (hint 2)"),
        )
        why = next((words for value, words in mistakes if close(median, value, 1e-6)), "See hint 2.")
        raise Wrong(told + f"a median of {expected:.1f} was expected, and {median:.1f} came. {why}")


def check_pass_on(least_cost):
    """14.6: the least mean cost of a query over all thresholds, with "all" and "none" passed on among them."""
    for student, teacher, error in ((1.0, 30.0, 100.0), (1.0, 30.0, 5.0), (2.0, 3.0, 400.0), (1.0, 20.0, 60.0)):
        sure = torch.rand(40).tolist()
        right = (torch.rand(40) < 0.3 + 0.7 * torch.tensor(sure)).tolist()

        def mean(threshold, student=student, teacher=teacher, error=error, sure=sure, right=right):
            costs = [student + (teacher if s < threshold else 0 if r else error) for s, r in zip(sure, right)]
            return sum(costs) / len(costs)

        expected = min(map(mean, [*sure, 2.0]))
        got = number(least_cost(list(sure), list(right), student, teacher, error))
        if close(got, expected, 1e-6):
            continue
        everything = student + teacher
        nothing = mean(-1.0)
        instead = min(
            sum(teacher if s < t else student + (0 if r else error) for s, r in zip(sure, right)) / 40
            for t in [*sure, 2.0]
        )
        mistakes = (
            (min(map(mean, sure)), "Passing every query on is a choice too. (hint 2)"),
            (min(mean(t) for t in [*sorted(sure)[1:], 2.0]), "Passing no query on is a choice too. (hint 2)"),
            (instead, "A query that is passed on has cost the student's share already. (hint 1)"),
            (everything, "That is the cost of passing every query on: try the other thresholds. (hint 2)"),
            (nothing, "That is the cost of passing none on: try the other thresholds. (hint 2)"),
            (mean(0.5), "That is the threshold 0.5: the best one depends on the three costs. (hint 2)"),
            (expected * 40, "That is the sum over all queries; the mean was asked for."),
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-6)), "See both hints.")
        told = f"Costs {student:g} (student), {teacher:g} (teacher), {error:g} (error): "
        raise Wrong(told + f"{expected:.3f} a query can be reached, and {got:.3f} came. {why}")


CHECKS = {
    "14.1": check_break_even,
    "14.2": check_least_traffic,
    "14.3": check_per_million,
    "14.4": check_tornado,
    "14.5": check_never,
    "14.6": check_pass_on,
}
