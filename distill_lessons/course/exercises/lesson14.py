"""Checks of lesson 14, economics: the day it stays paid, an audit, five decisions, a tornado, "never", passing on."""

import math
import textwrap

import numpy as np
import torch

from distill_lessons.course.exercises import Wrong, close, number

NEVER = "never"


def _called(function, told, *arguments):
    """What the learner's function returns; a division by zero is told with the input on which it happens."""
    try:
        return function(*arguments)
    except ZeroDivisionError:
        raise Wrong(told + "your code divides by zero there: that input needs a thought of its own. (hint 1)") from None


def _day_or_never(answer, told):
    """The answer as a float, infinite for the text "never"."""
    if isinstance(answer, str):
        if answer.strip().lower() != NEVER:
            raise Wrong(told + f'a number or the text "never" was expected, and this came: {answer!r}.')
        return math.inf
    try:
        return number(answer)
    except Wrong:
        if isinstance(answer, float) and math.isinf(answer):
            raise Wrong(told + f'{answer} came; where it is never paid, return the text "never". (hint 1)') from None
        raise


def _text(day):
    return '"never"' if math.isinf(day) else f"{day:.4g}"


# --- 14.1 -------------------------------------------------------------------------------------------------------------


def _paid_for_good(upfront, savings):
    """The last moment at which it is behind, from the piecewise straight line; infinite if that is the end."""
    left = np.concatenate([[-upfront], -upfront + np.cumsum(savings)])
    behind = np.flatnonzero(left < -1e-9)
    if len(behind) == 0:
        return 0.0
    last = behind[-1]
    return math.inf if last == len(savings) else 30.0 * (last - left[last] / (left[last + 1] - left[last]))


def check_pays_after(pays_after):
    """14.1: the day from which on the savings cover what was paid once, to the end; 30 days a month."""
    cases = [
        (300, [100, 100, 100]),
        (300, [100, 100]),
        (0, [50, 20]),
        (100, [200, -150, 200]),
        (50, [100, -20]),
        (0, [-10, 30]),
        (100, [0, 0, 100]),
        (100, [80, -30, -90]),
        (100, [200, -300]),
    ]
    for _ in range(6):
        months = int(torch.randint(2, 9, ()))
        savings = (100 * torch.rand(months) - 25).round(decimals=1).tolist()
        cases.append((float((120 * torch.rand(())).round(decimals=1)), savings))
    for upfront, savings in cases:
        told = f"Paid once {upfront:g}, saved in the months {', '.join(f'{s:g}' for s in savings)}: "
        given = list(savings)
        got = _day_or_never(_called(pays_after, told, upfront, given), told)
        if given != savings:
            raise Wrong("Your function changed the caller's list of savings: work on a copy.")
        expected = _paid_for_good(upfront, savings)
        if got == expected or close(got, expected, 1e-6):
            continue
        left = np.concatenate([[-upfront], -upfront + np.cumsum(savings)])
        if math.isinf(expected):
            why = "at the end it is behind, so it is not paid. (hint 1)"
        elif expected == 0:
            why = "it is never behind, from day 0 on. (hint 1)"
        elif math.isinf(got):
            why = "it is ahead at the end, so there is such a day. (hint 1)"
        elif any(close(got, 30 * k, 1e-6) for k in range(len(savings) + 1)):
            why = "a month's saving comes evenly: only a part of the month may be needed. (hint 2)"
        elif got < expected and (left[1:] < left[:-1]).any():
            why = "after your day it falls behind once more: it has to stay paid. (hint 2)"
        else:
            why = "what is left to pay at the start of that month, over what the month saves. (hint 2)"
        raise Wrong(told + f"the answer is {_text(expected)}, and {_text(got)} came: {why}")


# --- 14.2 -------------------------------------------------------------------------------------------------------------

LINES = {  # letter: what the line is; each follows from the inputs and from the lines named, as they stand in the sheet
    "A": "API at list price, a month",
    "B": "API with the cached prompt, a month",
    "C": "seconds of machine a ticket",
    "D": "machines, the spare one included",
    "E": "machines, a month, from D",
    "F": "retraining, a month",
    "G": "more errors, a month",
    "H": "saved a month, B − E − upkeep − F − G",
}


def sheet_inputs(seed=None):
    """The inputs of a colleague's sheet: those of the page, or random ones."""
    found = {"tickets": 90_000, "tokens in": 1_200, "tokens out": 150, "price in": 3.0, "price out": 15.0,
             "price cached": 0.3, "cached": 0.75, "read a second": 8_000, "written a second": 500, "peak": 4,
             "machine an hour": 1.5, "upkeep": 900, "retrain": 600, "evaluation": 1_200, "every": 6, "errors": 0.002,
             "an error": 0.25}  # fmt: skip
    if seed is not None:
        rng = np.random.default_rng(seed)
        found = {name: type(value)(math.ceil(value * rng.uniform(0.6, 1.5)) if isinstance(value, int)
                                   else round(value * rng.uniform(0.6, 1.3), 4)) for name, value in found.items()}  # fmt: skip
    return found


def _right_line(letter, i, lines):
    """A line's amount, from the inputs and the lines above as they stand."""
    month = 30 * i["tickets"]
    if letter == "A":
        return month * (i["tokens in"] * i["price in"] + i["tokens out"] * i["price out"]) / 1e6
    if letter == "B":
        price = i["cached"] * i["price cached"] + (1 - i["cached"]) * i["price in"]
        return month * (i["tokens in"] * price + i["tokens out"] * i["price out"]) / 1e6
    if letter == "C":
        return i["tokens in"] / i["read a second"] + i["tokens out"] / i["written a second"]
    if letter == "D":
        return math.ceil(i["tickets"] * i["peak"] * lines["C"] / 86_400) + 1
    if letter == "E":
        return lines["D"] * i["machine an hour"] * 24 * 30
    if letter == "F":
        return (i["retrain"] + i["evaluation"]) / i["every"]
    if letter == "G":
        return month * i["errors"] * i["an error"]
    return lines["B"] - lines["E"] - i["upkeep"] - lines["F"] - lines["G"]


def _slip(letter, i, lines):
    """The same line with a mistake that people make."""
    month = 30 * i["tickets"]
    if letter == "A":
        return month * (i["tokens in"] + i["tokens out"]) * i["price in"] / 1e6  # answers at the price of prompts
    if letter == "B":
        return lines["A"] * (1 - i["cached"] * (1 - i["price cached"] / i["price in"]))  # answers are not cached
    if letter == "C":
        return (i["tokens in"] + i["tokens out"]) / i["written a second"]  # one speed for both
    if letter == "D":
        return math.ceil(i["tickets"] * lines["C"] / 86_400) + 1  # the mean hour
    if letter == "E":
        return (lines["D"] - 1) * i["machine an hour"] * 24 * 30  # the spare one for nothing
    if letter == "F":
        return i["retrain"] / i["every"]  # shipped unevaluated
    if letter == "G":
        return i["tickets"] * i["errors"] * i["an error"]  # a day's
    return lines["B"] - lines["E"] - lines["F"] - lines["G"]  # no upkeep


def sheet(wrong="BDF", seed=None):
    """A colleague's sheet with mistakes in these lines: ``{"inputs": …, "lines": …}``; each line from those above it."""
    inputs, lines = sheet_inputs(seed), {}
    for letter in LINES:
        lines[letter] = (_slip if letter in wrong else _right_line)(letter, inputs, lines)
    return {"inputs": inputs, "lines": lines}


def show_sheet(made):
    """Print a sheet: its inputs, and its lines with what they are."""
    inputs = [f"{name} {value:,}" for name, value in made["inputs"].items()]
    print(textwrap.fill("inputs: " + ", ".join(inputs), 96, subsequent_indent="        "), end="\n\n")
    for letter, amount in made["lines"].items():
        print(f"{letter}  {LINES[letter]:<42} {amount:12,.2f}")


def check_audit(audit):
    """14.2: the wrong lines of a sheet with their right amounts, on the page's sheet and on others."""
    letters, sheets = list(LINES), [sheet()]
    while len(sheets) < 8:
        wrong = "".join(letters[place] for place in torch.randperm(8)[:3].tolist())
        made = sheet(wrong, int(torch.randint(10**6, ())))
        rights = {letter: _right_line(letter, made["inputs"], made["lines"]) for letter in letters}
        if all((letter in wrong) != close(made["lines"][letter] / rights[letter], 1, 0.02) for letter in letters):
            sheets.append(made)  # every mistake shows
    for place, made in enumerate(sheets):
        told = "In the page's sheet: " if place == 0 else "In another sheet of the same form: "
        before = {name: dict(part) for name, part in made.items()}
        got = _called(audit, told, made)
        if made != before:
            raise Wrong("Your function changed the sheet: leave it as it is, and return a new dict.")
        if not isinstance(got, dict):
            raise Wrong(told + f"a dict of letter to right amount was expected, and this came: {got!r}")
        expected = {letter: _right_line(letter, made["inputs"], made["lines"]) for letter in letters}
        expected = {
            letter: right for letter, right in expected.items() if not close(made["lines"][letter] / right, 1, 5e-3)
        }
        for letter in got:
            if letter not in LINES:
                raise Wrong(told + f"there is no line {letter!r}: the lines are {', '.join(letters)}.")
            if letter not in expected:
                raise Wrong(
                    told + f"line {letter} ({LINES[letter]}) is right, given the lines above as they stand. (hint 1)"
                )
        for letter, right in expected.items():
            if letter not in got:
                raise Wrong(told + f"{len(expected)} lines are wrong, and one that you leave out is {_about(letter)}")
            value = number(got[letter])
            if not close(value / right, 1, 2e-3):
                raise Wrong(
                    told + f"line {letter} is wrong, and {right:,.4g} would be right, where you have {value:,.4g}: "
                    f"it is {_about(letter)}"
                )


def _about(letter):
    where = {
        "A": "about the API: prompt and answer have two prices. (hint 2)",
        "B": "about the cache: only the prompt's tokens are cached. (hint 2)",
        "C": "about speed: prompts are read at another speed than answers are written with. (hint 2)",
        "D": "about machines: they are bought for the busiest hour, come whole, and one is spare. (hint 2)",
        "E": "about machines: the spare one is paid too. (hint 2)",
        "F": "about retraining: is the new model evaluated before it is shipped? (hint 2)",
        "G": "about errors: a day or a month of 30 days? (hint 2)",
        "H": "the last sum: is everything taken off? (hint 2)",
    }
    return where[letter]


# --- 14.3 -------------------------------------------------------------------------------------------------------------

FIRMS = {  # months; USD a month of the API (falling a year), machines, upkeep, more errors; USD once
    "A": {"months": 24, "api": 400, "falls": 0.2, "machines": 150, "upkeep": 300, "errors": 20, "once": 1_000},
    "B": {"months": 24, "api": 6_000, "falls": 0.3, "machines": 500, "upkeep": 700, "errors": 4_500, "once": 12_000},
    "C": {"months": 24, "api": 3_000, "falls": 0.5, "machines": 1_600, "upkeep": 120, "errors": 100, "once": 2_500},
    "D": {"months": 24, "api": 5_000, "falls": 0.3, "machines": 300, "upkeep": 900, "errors": 600, "once": 15_000},
    "E": {"months": 6, "api": 2_500, "falls": 0.1, "machines": 100, "upkeep": 50, "errors": 40, "once": 14_000},
}
REASONS = ("falls", "upkeep", "errors", "once")


def show_firms():
    """Print the five firms, one a line."""
    heads = next(iter(FIRMS.values()))
    print("firm" + "".join(f"{head:>11}" for head in heads))
    for name, firm in FIRMS.items():
        print(f"{name:<4}" + "".join(f"{value:>11.0%}" if value < 1 else f"{value:>11,}" for value in firm.values()))


def _totals(firm):
    """(API, student) to the horizon, month by month."""
    api = sum(firm["api"] * (1 - firm["falls"]) ** (month / 12) for month in range(firm["months"]))
    return api, firm["once"] + firm["months"] * (firm["machines"] + firm["upkeep"] + firm["errors"])


def _decided(firm):
    """The cheaper of the two, and the one input that would turn it, were it 0; "nothing" if none would."""
    choice = "API" if _totals(firm)[0] < _totals(firm)[1] else "student"
    turns = [
        name for name in REASONS if (_totals(firm | {name: 0})[0] < _totals(firm | {name: 0})[1]) != (choice == "API")
    ]
    return choice, (turns or ["nothing"])[0]


def check_decide(decide):
    """14.3: for each of five firms API or student, and what the decision hangs on."""
    got = decide()
    if not isinstance(got, dict):
        raise Wrong(f'A dict of firm to (choice, reason) was expected, like {{"A": ("API", "once"), …}}; {got!r} came.')
    for name, firm in FIRMS.items():
        if name not in got:
            raise Wrong(f"Firm {name} is missing: each of the five needs a choice and a reason.")
        try:
            choice, reason = (str(each).strip().lower() for each in got[name])
        except (TypeError, ValueError):
            raise Wrong(
                f"Firm {name}: two words were expected, choice and reason, and this came: {got[name]!r}"
            ) from None
        if choice not in ("api", "student"):
            raise Wrong(f'Firm {name}: the choice is "API" or "student", and {choice!r} came.')
        if reason not in (*REASONS, "nothing"):
            raise Wrong(f"Firm {name}: the reason is one of {', '.join(REASONS)} or nothing, and {reason!r} came.")
        expected, why = _decided(firm)
        api, student = _totals(firm)
        if choice != expected.lower():
            raise Wrong(
                f"Firm {name}: over {firm['months']} months the API costs {api:,.0f} and the student {student:,.0f}. "
                "Do prices fall in your sum, and is all that is paid counted? (hint 1)"
            )
        if reason == why:
            continue
        if reason == "nothing":
            raise Wrong(f"Firm {name}: the choice is right, but one input turns it, were it 0. (hint 2)")
        api, student = _totals(firm | {reason: 0})
        raise Wrong(
            f"Firm {name}: the choice is right. Without {reason!r} the API costs {api:,.0f} and the student {student:,.0f}: "
            "the choice stays. (hint 2)"
        )


# --- 14.4 -------------------------------------------------------------------------------------------------------------


def _tornado_cases():
    """(days, base, ranges) whose ends, distances to the base, ranges and largest ends each give another order than reach.

    The load moves the days the same way at both of its ends. In two cases some ends are infinite: the load's upper one;
    then all but those of a low price, the base too.
    """
    for sign, never in ((1, "nowhere"), (-1, "nowhere"), (1, "much load"), (1, "without a low price")):
        base = {name: 1 + float(torch.rand(())) for name in ("price", "team", "load", "share", "rest")}
        start = dict(base)
        reach = {"share": (0.9, 0.05), "team": (0.5, 0.5), "load": (0.5, 0.4), "price": (0.1, 2.0)}  # down, up
        slopes = {"price": -30.0, "team": 40.0, "load": 100.0, "share": 25.0, "rest": 3.0}
        slopes = {name: sign * slope * (0.97 + 0.06 * float(torch.rand(()))) for name, slope in slopes.items()}
        ranges = {name: (base[name] - down, base[name] + up) for name, (down, up) in reach.items()}

        def days(price, team, load, share, rest, slopes=slopes, start=start, never=never):
            moved = {"price": price, "team": team, "load": load, "share": share, "rest": rest}
            moved = {name: value - start[name] for name, value in moved.items()}
            if (never == "much load" and moved["load"] > 0.2) or (
                never == "without a low price" and moved["price"] > -0.05
            ):
                return math.inf
            return 300 + sum(slopes[name] * (abs(by) if name == "load" else by) for name, by in moved.items())

        yield days, base, ranges


def check_tornado(tornado):
    """14.4: a row an input with a range, (name, at low, at high), of the largest reach first; days may be infinite."""
    for days, base, ranges in _tornado_cases():
        expected = [(name, *(days(**{**base, name: end}) for end in ends)) for name, ends in ranges.items()]
        middle = days(**base)
        given = {row[0]: ranges[row[0]] for row in sorted(expected, key=lambda row: _reach(row, middle))}
        before = dict(base), dict(given)
        rows = tornado(days, base, given)
        if (base, given) != before:
            raise Wrong("Your function changed the base or the ranges: make a new dict for each end. (hint 1)")
        try:
            rows = [(str(name), float(low), float(high)) for name, low, high in rows]
        except (TypeError, ValueError):
            raise Wrong(f"A list of (name, days at low, days at high) was expected, and this came: {rows!r}") from None
        if len(rows) != len(expected):
            raise Wrong(f"{len(expected)} inputs have a range, and you return {len(rows)} rows.")
        _compare_rows(rows, expected, middle)


def _reach(row, middle):
    """How far an input moves the days: the largest of both ends and the base, minus the smallest."""
    found = (middle, *row[1:])
    return 0.0 if min(found) == max(found) else max(found) - min(found)


def _compare_rows(rows, expected, middle):
    by_name = {row[0]: row for row in rows}
    for name, low, high in expected:
        if name not in by_name:
            raise Wrong(f"The input {name!r} has a range and no row of yours.")
        got = by_name[name][1:]
        if np.allclose(got, (low, high), rtol=1e-6):
            continue
        why = "the input goes to the ends of its range, the others stay at their base. (hint 1)"
        if np.allclose(got, (high, low), rtol=1e-6):
            why = "that is the right pair the other way round: low end first."
        raise Wrong(f"{name!r}: days {low:.4g} and {high:.4g} were expected, {got[0]:.4g} and {got[1]:.4g} came: {why}")
    for row, after in zip(rows, rows[1:]):
        if _reach(row, middle) < _reach(after, middle) and not close(_reach(row, middle), _reach(after, middle)):
            raise Wrong(f"{_moves(after, middle)}, and {_moves(row, middle)}, which you put first. {_why(row)}")


def _moves(row, middle):
    name, low, high = row
    return f"{name!r} (days {low:.4g} and {high:.4g}, {middle:.4g} at the base) reaches {_reach(row, middle):.4g}"


def _why(row):
    if math.isinf(row[1]) and math.isinf(row[2]):
        return "Infinite minus infinite is nan, which sorts nowhere. (hint 2)"
    return "Reach is the largest of the three minus the smallest. (hint 2)"


# --- 14.5 -------------------------------------------------------------------------------------------------------------


def check_never(summary):
    """14.5: share of draws that never pay, and the median day of all draws, "never" among them; day 0 is a day."""
    for lost, zeros in ((0, 1), (1, 0), (4, 3), (4, 5), (7, 1), (9, 0), (2, 6)):
        paying = [0.0] * zeros + (10 + 90 * torch.rand(9 - lost - zeros)).tolist()
        days = [*paying, *[None] * lost]
        days = [days[i] for i in torch.randperm(9).tolist()]
        told = f"{lost} of nine draws came out as never and {zeros} as day 0: "
        given = list(days)
        got = _called(summary, told, given)
        if given != days:
            raise Wrong("Your function changed the caller's list: sort a copy, with `sorted`.")
        try:
            share, median = got
        except (TypeError, ValueError):
            raise Wrong(
                f"Two things were expected, the share of never and the median, and this came: {got!r}"
            ) from None
        share = number(share)
        if not close(share, lost / 9, 1e-6):
            why = "Day 0 is a day: it pays at once. (hint 1)" if close(share, (lost + zeros) / 9, 1e-6) else "(hint 1)"
            raise Wrong(told + f"the share is {lost / 9:.3f}, and yours is {share:.3f}. {why}")
        _check_median(median, paying, lost, zeros, told)


def _check_median(median, paying, lost, zeros, told):
    expected = sorted(paying + [math.inf] * lost)[4]
    if isinstance(median, str):
        if median.strip().lower() != NEVER:
            raise Wrong(told + f'a day or the text "never" was expected, and this came: {median!r}.')
        if not math.isinf(expected):
            raise Wrong(told + f"more than half do pay, so the median is a day, {expected:.1f}. (hint 2)")
        return
    if math.isinf(expected):
        raise Wrong(told + f'so does the middle one, and "never" was expected; {median!r} came. (hint 2)')
    median = number(median)
    if close(median, expected, 1e-6):
        return
    mistakes = [
        (np.median(paying), "You left the draws out that never pay: the rest looks too good. (hint 2)"),
        (np.median(paying + [0.0] * lost), "You count never as day 0, the best there is. (hint 2)"),
        (np.mean(paying), "That is the mean of those that pay; the median of all was asked for. (hint 2)"),
        (sorted([day or math.inf for day in paying] + [math.inf] * lost)[4], "Day 0 is not never. (hint 1)"),
    ]
    why = next((words for value, words in mistakes if close(median, value, 1e-6)), "Never comes last. (hint 2)")
    raise Wrong(told + f"a median of {expected:.1f} was expected, and {median:.1f} came. {why}")


# --- 14.6 -------------------------------------------------------------------------------------------------------------


def check_pass_on(least_cost):
    """14.6: the least mean cost of a query over all thresholds, with "all" and "none" passed on among them; ties go together."""
    cases = []
    for costs in ((1.0, 30.0, 100.0), (1.0, 30.0, 5.0), (2.0, 3.0, 400.0), (1.0, 20.0, 60.0)):
        sure = torch.rand(40).tolist()
        cases.append((costs, sure, (torch.rand(40) < 0.3 + 0.7 * torch.tensor(sure)).tolist()))
        rounded = [round(one, 1) for one in sure]  # many are equally sure
        cases.append((costs, rounded, (torch.rand(40) < 0.55).tolist()))
    cases.append(((1.0, 2.0, 50.0), [0.5, 0.7, 0.9, 0.9], [False, False, True, False]))  # all to the teacher
    cases.append(((1.0, 10.0, 50.0), [0.9] * 6, [False, False, True, True, True, True]))  # all, and no part of a tie
    cases.append(((1.0, 100.0, 10.0), [0.2, 0.4, 0.6], [False, True, True]))  # none
    cases.append(((1.0, 10.0, 50.0), [0.61, 0.63, 0.67, 0.69], [False, False, True, True]))  # between a grid's steps
    for costs, sure, right in cases:
        _check_least(least_cost, costs, sure, right)


def _check_least(least_cost, costs, sure, right):
    student, teacher, error = costs

    def mean(threshold):
        kept = [0 if r else error for s, r in zip(sure, right) if s >= threshold]
        return student + (sum(kept) + teacher * (len(sure) - len(kept))) / len(sure)

    def split():
        order = sorted(range(len(sure)), key=lambda i: (sure[i], right[i]))
        return min(
            student + (teacher * k + sum(error for i in order[k:] if not right[i])) / len(sure)
            for k in range(len(sure) + 1)
        )

    told = f"Costs {student:g} (student), {teacher:g} (teacher), {error:g} (error), {len(sure)} queries: "
    expected, given = min(map(mean, [*sure, 2.0])), (list(sure), list(right))
    got = number(_called(least_cost, told, *given, student, teacher, error))
    if given != (list(sure), list(right)):
        raise Wrong("Your function changed the caller's lists: work on copies.")
    if close(got, expected, 1e-6):
        return
    instead = min(
        sum(teacher if s < t else student + (0 if r else error) for s, r in zip(sure, right)) / len(sure)
        for t in [*sure, 2.0]
    )
    mistakes = (
        (min(map(mean, sure)), "Passing every query on is a choice too. (hint 2)"),
        (min(mean(t) for t in [*sorted(set(sure))[1:], 2.0]), "Passing no query on is a choice too. (hint 2)"),
        (split(), "Queries that are equally sure fall on the same side of a threshold. (hint 2)"),
        (instead, "A query that is passed on has cost the student's share already. (hint 1)"),
        (mean(2.0), "That is the cost of passing every query on: try the other thresholds. (hint 2)"),
        (mean(-1.0), "That is the cost of passing none on: try the other thresholds. (hint 2)"),
        (mean(0.5), "That is the threshold 0.5: the best one depends on the three costs. (hint 2)"),
        (expected * len(sure), "That is the sum over all queries; the mean was asked for."),
    )
    why = next((words for value, words in mistakes if close(got, value, 1e-6)), None)
    why = why or ("No threshold reaches that. (hint 1)" if got < expected else "A better threshold exists. (hint 2)")
    raise Wrong(told + f"the least is {expected:.3f} a query, and {got:.3f} came. {why}")


CHECKS = {
    "14.1": check_pays_after,
    "14.2": check_audit,
    "14.3": check_decide,
    "14.4": check_tornado,
    "14.5": check_never,
    "14.6": check_pass_on,
}
