"""Right and plausible wrong answers to the exercises of lesson 14."""

import math
import statistics

import numpy as np

from distill_lessons.course.exercises import lesson14

# --- 14.1 ------------------------------------------------------------------------------------------------------------


def pays_after(upfront, savings):
    left, day = upfront, 0.0
    for month, saving in enumerate(savings):
        before, left = left, left - saving
        if left > 1e-9:
            day = "never"
        elif before > 1e-9:
            day = 30 * (month + before / saving)
    return day


def pays_after_backwards(upfront, savings):
    paid = sum(savings) - upfront
    if paid < -1e-9:
        return "Never"
    for month in range(len(savings) - 1, -1, -1):
        earlier = paid - savings[month]
        if earlier < -1e-9:
            return 30.0 * month + 30.0 * -earlier / savings[month]
        paid = earlier
    return 0


def pays_after_by_halving(upfront, savings):
    """Halves the last month in which it is behind."""

    def left(day):
        month = min(int(day // 30), len(savings) - 1)
        return sum(savings[:month]) + savings[month] * (day - 30 * month) / 30 - upfront

    late = [month for month in range(len(savings) + 1) if left(30 * month) < -1e-9]
    if not late:
        return 0.0
    if late[-1] == len(savings):
        return "never"
    low, high = 30 * late[-1], 30 * late[-1] + 30
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if left(middle) < 0 else (low, middle)
    return high


def pays_after_first(upfront, savings):
    """The first day, though it falls behind again."""
    left = upfront
    for month, saving in enumerate(savings):
        if left <= 1e-9:
            return 30 * month
        if saving >= left - 1e-9:
            return 30 * (month + left / saving)
        left -= saving
    return "never" if left > 1e-9 else 30 * len(savings)


def pays_after_mean(upfront, savings):
    saving = sum(savings) / len(savings)
    day = 30 * upfront / saving if saving > 0 else math.inf
    return day if day <= 30 * len(savings) + 1e-9 else "never"


def pays_after_whole_months(upfront, savings):
    day = pays_after(upfront, savings)
    return day if day == "never" else 30 * math.ceil(day / 30 - 1e-9)


def pays_after_beyond(upfront, savings):
    """Goes on with the last month's saving after the end."""
    day = pays_after(upfront, savings)
    left = upfront - sum(savings)
    return 30 * (len(savings) + left / savings[-1]) if day == "never" and savings[-1] > 0 else day


def pays_after_day_0_is_never(upfront, savings):
    return pays_after(upfront, savings) or "never"


def pays_after_day_1(upfront, savings):
    day = pays_after(upfront, savings)
    return day if day == "never" else day + 1


def pays_after_in_months(upfront, savings):
    day = pays_after(upfront, savings)
    return day if day == "never" else day / 30


def pays_after_divides(upfront, savings):
    """Crashes where a month saves nothing."""
    for month, saving in enumerate(savings):
        if upfront / saving <= 1:
            return 30 * (month + upfront / saving)
        upfront -= saving
    return "never"


def pays_after_infinite(upfront, savings):
    day = pays_after(upfront, savings)
    return math.inf if day == "never" else day


def pays_after_forgets_to_return(upfront, savings):
    pays_after(upfront, savings)


def pays_after_changes_the_list(upfront, savings):
    day = pays_after(upfront, savings)
    savings.clear()
    return day


# --- 14.2 ------------------------------------------------------------------------------------------------------------


def computed(sheet):
    i, lines, month = sheet["inputs"], sheet["lines"], 30 * sheet["inputs"]["tickets"]
    prompt = i["cached"] * i["price cached"] + (1 - i["cached"]) * i["price in"]
    return {
        "A": month * (i["tokens in"] * i["price in"] + i["tokens out"] * i["price out"]) / 1e6,
        "B": month * (i["tokens in"] * prompt + i["tokens out"] * i["price out"]) / 1e6,
        "C": i["tokens in"] / i["read a second"] + i["tokens out"] / i["written a second"],
        "D": math.ceil(i["tickets"] / 24 * i["peak"] * lines["C"] / 3600) + 1,
        "E": lines["D"] * i["machine an hour"] * 720,
        "F": (i["retrain"] + i["evaluation"]) / i["every"],
        "G": month * i["errors"] * i["an error"],
        "H": lines["B"] - lines["E"] - i["upkeep"] - lines["F"] - lines["G"],
    }


def off(sheet, right):
    return {letter: value for letter, value in right.items() if abs(sheet["lines"][letter] / value - 1) > 0.01}


def audit(sheet):
    return off(sheet, computed(sheet))


def audit_line_by_line(sheet):
    found = {}
    for letter, value in computed(sheet).items():
        if not math.isclose(value, sheet["lines"][letter], rel_tol=0.01):
            found[letter] = float(value)
    return dict(sorted(found.items(), reverse=True))


def audit_with_numpy(sheet):
    letters, right = zip(*computed(sheet).items())
    stands = np.array([sheet["lines"][letter] for letter in letters])
    return {letters[i]: np.float64(right[i]) for i in np.flatnonzero(~np.isclose(stands, right, rtol=0.01))}


def audit_of_the_page_alone(sheet):
    return audit(lesson14.sheet())


def audit_with(**changes):
    """An audit with some lines computed otherwise: letter to a function of inputs and lines."""

    def with_a_slip(sheet):
        right = computed(sheet)
        right |= {letter: change(sheet["inputs"], sheet["lines"]) for letter, change in changes.items()}
        return off(sheet, right)

    return with_a_slip


audit_one_speed = audit_with(C=lambda i, lines: (i["tokens in"] + i["tokens out"]) / i["written a second"])
audit_mean_hour = audit_with(D=lambda i, lines: math.ceil(i["tickets"] * lines["C"] / 86_400) + 1)
audit_half_machines = audit_with(D=lambda i, lines: i["tickets"] * i["peak"] * lines["C"] / 86_400 + 1)
audit_no_spare = audit_with(D=lambda i, lines: math.ceil(i["tickets"] * i["peak"] * lines["C"] / 86_400))
audit_unevaluated = audit_with(F=lambda i, lines: i["retrain"] / i["every"])
audit_cached_answers = audit_with(
    B=lambda i, lines: lines["A"] * (1 - i["cached"] * (1 - i["price cached"] / i["price in"]))
)


def audit_carried_on(sheet):
    """Each line from the auditor's own lines above, so that right lines are found wrong."""
    mine = {"inputs": sheet["inputs"], "lines": dict(sheet["lines"])}
    for letter in "ABCDEFGH":
        mine["lines"][letter] = computed(mine)[letter]
    return off(sheet, mine["lines"])


def audit_all(sheet):
    return computed(sheet)


def audit_letters(sheet):
    return sorted(audit(sheet))


def audit_as_they_stand(sheet):
    return {letter: sheet["lines"][letter] for letter in audit(sheet)}


def audit_changes_the_sheet(sheet):
    found = audit(sheet)
    sheet["lines"].update(found)
    return found


# --- 14.3 ------------------------------------------------------------------------------------------------------------

DECISIONS = {
    "A": ("API", "upkeep"),
    "B": ("API", "errors"),
    "C": ("API", "falls"),
    "D": ("student", "nothing"),
    "E": ("API", "once"),
}


def decide():
    return DECISIONS


def decide_in_lists():
    return {name: [choice.upper(), f" {reason} "] for name, (choice, reason) in reversed(DECISIONS.items())}


def decide_computed():
    found = {}
    for name, firm in lesson14.FIRMS.items():

        def gain(firm=firm, **changes):
            f = firm | changes
            fall = (1 - f["falls"]) ** (1 / 12)
            api = f["api"] * (f["months"] if fall == 1 else (1 - fall ** f["months"]) / (1 - fall))
            return api - f["once"] - f["months"] * (f["machines"] + f["upkeep"] + f["errors"])

        turned = [each for each in ("falls", "upkeep", "errors", "once") if gain(**{each: 0}) * gain() < 0]
        found[name] = ("student" if gain() > 0 else "API", turned[0] if turned else "nothing")
    return found


def decide_with(**changes):
    return lambda: DECISIONS | changes


def decide_without_falling_prices():
    return DECISIONS | {"C": ("student", "nothing")}


def decide_by_one_month():
    """Compares a month, and forgets what is paid once."""
    return DECISIONS | {"E": ("student", "once")}


def decide_always_student():
    return {name: ("student", "nothing") for name in DECISIONS}


def decide_in_a_sentence():
    return {name: f"{choice}, because of {reason}" for name, (choice, reason) in DECISIONS.items()}


def decide_without_reasons():
    return {name: choice for name, (choice, _) in DECISIONS.items()}


def decide_not_all():
    return {name: each for name, each in DECISIONS.items() if name != "D"}


# --- 14.4 ------------------------------------------------------------------------------------------------------------


def reach(days, base, row):
    three = (days(**base), *row[1:])
    return max(three) - min(three) if min(three) < max(three) else 0.0


def tornado(days, base, ranges):
    rows = [(name, days(**base | {name: low}), days(**base | {name: high})) for name, (low, high) in ranges.items()]
    return sorted(rows, key=lambda row: reach(days, base, row), reverse=True)


def tornado_by_the_ends_alone(days, base, ranges):
    return sorted(
        tornado_unsorted(days, base, ranges),
        key=lambda row: abs(row[1] - row[2]) if row[1] != row[2] else 0.0,
        reverse=True,
    )


def tornado_of_nan(days, base, ranges):
    """Infinite minus infinite, which sorts nowhere."""
    middle = days(**base)
    rows = tornado_unsorted(days, base, ranges)
    return sorted(rows, key=lambda row: max(middle, *row[1:]) - min(middle, *row[1:]), reverse=True)


def tornado_of_nan_negated(days, base, ranges):
    middle = days(**base)
    rows = tornado_unsorted(days, base, ranges)
    return sorted(rows, key=lambda row: min(middle, *row[1:]) - max(middle, *row[1:]))


def tornado_by_high_minus_low(days, base, ranges):
    return sorted(tornado_unsorted(days, base, ranges), key=lambda row: row[2] - row[1], reverse=True)


def tornado_returns_nothing(days, base, ranges):
    sorted(tornado_unsorted(days, base, ranges))


def tornado_unsorted(days, base, ranges):
    return [(name, days(**base | {name: low}), days(**base | {name: high})) for name, (low, high) in ranges.items()]


def tornado_narrow_first(days, base, ranges):
    return tornado(days, base, ranges)[::-1]


def tornado_keeps_what_it_changed(days, base, ranges):
    rows, moved = [], dict(base)
    for name, (low, high) in ranges.items():
        moved[name] = low
        first = days(**moved)
        moved[name] = high
        rows.append((name, first, days(**moved)))
    return sorted(rows, key=lambda row: reach(days, base, row), reverse=True)


def tornado_changes_the_base(days, base, ranges):
    rows = []
    for name, (low, high) in ranges.items():
        base[name] = low
        first = days(**base)
        base[name] = high
        rows.append((name, first, days(**base)))
    return rows


def tornado_turned(days, base, ranges):
    return [(name, high, low) for name, low, high in tornado(days, base, ranges)]


def tornado_by_the_largest_end(days, base, ranges):
    return sorted(tornado_unsorted(days, base, ranges), key=lambda row: max(row[1:]), reverse=True)


def tornado_by_the_distance_to_the_base(days, base, ranges):
    middle = days(**base)
    rows = tornado_unsorted(days, base, ranges)
    return sorted(rows, key=lambda row: max(abs(row[1] - middle), abs(row[2] - middle)), reverse=True)


def tornado_of_every_input(days, base, ranges):
    """Loops over the base, and gives an input without a range one."""
    every = {name: ranges.get(name, (value, value)) for name, value in base.items()}
    return tornado(days, base, every)


def tornado_base_for_low(days, base, ranges):
    rows = [(name, days(**base), days(**base | {name: high})) for name, (_, high) in ranges.items()]
    return sorted(rows, key=lambda row: reach(days, base, row), reverse=True)


def tornado_by_range(days, base, ranges):
    return sorted(
        tornado_unsorted(days, base, ranges), key=lambda row: ranges[row[0]][1] - ranges[row[0]][0], reverse=True
    )


def tornado_with_dicts(days, base, ranges):
    """Never minus never is taken as no distance by counting infinities first."""
    middle = days(**base)
    found = {name: [days(**{**base, name: end}) for end in ends] for name, ends in ranges.items()}

    def order(name):
        three = [middle, *found[name]]
        lost = sum(map(math.isinf, three))
        return (0 < lost < 3, 0 if lost else max(three) - min(three))

    return [[name, *found[name]] for name in sorted(found, key=order)[::-1]]


def tornado_removing_the_widest(days, base, ranges):
    left = [(name, days(**{**base, name: a}), days(**{**base, name: b})) for name, (a, b) in ranges.items()]
    ordered, middle = [], days(**base)
    while left:
        spans = [max(middle, low, high) - min(middle, low, high) for _, low, high in left]
        spans = [0 if math.isnan(span) else span for span in spans]
        ordered.append(left.pop(spans.index(max(spans))))
    return tuple(ordered)


def tornado_without_never(days, base, ranges):
    return [row for row in tornado(days, base, ranges) if math.isfinite(row[1] + row[2])]


# --- 14.5 ------------------------------------------------------------------------------------------------------------


def summary(days):
    ordered = sorted(math.inf if day is None else day for day in days)
    median = ordered[len(ordered) // 2]
    return days.count(None) / len(days), "never" if math.isinf(median) else median


def summary_with_statistics(days):
    median = statistics.median(float("inf") if day is None else day for day in days)
    return sum(day is None for day in days) / len(days), median if median < float("inf") else "never"


def summary_with_numpy(days):
    values = np.array([np.inf if day is None else day for day in days], dtype=float)
    middle = np.median(values)
    return np.isinf(values).mean(), "Never" if np.isinf(middle) else middle


def summary_day_0_is_never(days):
    ordered = sorted(day or math.inf for day in days)
    median = ordered[len(ordered) // 2]
    return sum(not day for day in days) / len(days), "never" if math.isinf(median) else median


def summary_day_0_is_never_in_the_median(days):
    ordered = sorted(day or math.inf for day in days)
    median = ordered[len(ordered) // 2]
    return days.count(None) / len(days), "never" if math.isinf(median) else median


def summary_sorts_in_place(days):
    found = summary(days)
    days.sort(key=lambda day: math.inf if day is None else day)
    return found


def summary_leaves_never_out(days):
    paying = [day for day in days if day is not None]
    return days.count(None) / len(days), statistics.median(paying) if paying else "never"


def summary_never_is_zero(days):
    return days.count(None) / len(days), statistics.median(day or 0 for day in days)


def summary_mean(days):
    paying = [day for day in days if day is not None]
    return days.count(None) / len(days), sum(paying) / len(paying) if len(paying) > 4 else "never"


def summary_share_that_pays(days):
    return 1 - days.count(None) / len(days), summary(days)[1]


def summary_infinite(days):
    return days.count(None) / len(days), statistics.median(math.inf if day is None else day for day in days)


# --- 14.6 ------------------------------------------------------------------------------------------------------------


def cost_at(threshold, confidence, correct, student, teacher, error):
    costs = [student + (teacher if c < threshold else 0 if ok else error) for c, ok in zip(confidence, correct)]
    return sum(costs) / len(costs)


def least_cost(confidence, correct, student, teacher, error):
    thresholds = [*confidence, math.inf]
    return min(cost_at(t, confidence, correct, student, teacher, error) for t in thresholds)


def least_cost_sorted(confidence, correct, student, teacher, error):
    order = sorted(range(len(confidence)), key=lambda i: confidence[i])
    total = student * len(order) + sum(error for ok in correct if not ok)
    best = total
    for place, i in enumerate(order):
        total += teacher - (0 if correct[i] else error)
        if place + 1 == len(order) or confidence[order[place + 1]] > confidence[i]:
            best = min(best, total)
    return best / len(order)


def least_cost_by_levels(confidence, correct, student, teacher, error):
    best = student + teacher
    for level in sorted(set(confidence), reverse=True):
        kept = [ok for c, ok in zip(confidence, correct) if c >= level]
        wrong = len(kept) - sum(kept)
        best = min(best, student + (error * wrong + teacher * (len(correct) - len(kept))) / len(correct))
    return best


def least_cost_never_all(confidence, correct, student, teacher, error):
    return min(cost_at(t, confidence, correct, student, teacher, error) for t in confidence)


def least_cost_never_none(confidence, correct, student, teacher, error):
    higher = sorted(set(confidence))[1:]
    return min(cost_at(t, confidence, correct, student, teacher, error) for t in [*higher, math.inf])


def least_cost_splits_ties(confidence, correct, student, teacher, error):
    order = sorted(range(len(confidence)), key=lambda i: (confidence[i], correct[i]))
    total = student * len(order) + sum(error for ok in correct if not ok)
    best = total
    for i in order:
        total += teacher - (0 if correct[i] else error)
        best = min(best, total)
    return best / len(order)


def least_cost_on_a_grid(confidence, correct, student, teacher, error):
    return min(cost_at(k / 4, confidence, correct, student, teacher, error) for k in range(6))


def least_cost_fixed_threshold(confidence, correct, student, teacher, error):
    return cost_at(0.5, confidence, correct, student, teacher, error)


def least_cost_none_passed(confidence, correct, student, teacher, error):
    return cost_at(-1, confidence, correct, student, teacher, error)


def least_cost_student_free_if_passed(confidence, correct, student, teacher, error):
    return min(
        sum(teacher if c < t else student + (0 if ok else error) for c, ok in zip(confidence, correct)) / len(correct)
        for t in [*confidence, math.inf]
    )


def least_cost_sum(confidence, correct, student, teacher, error):
    return least_cost(confidence, correct, student, teacher, error) * len(correct)


def least_cost_all_passed(confidence, correct, student, teacher, error):
    return student + teacher


RIGHT = {
    "14.1": pays_after,
    "14.2": audit,
    "14.3": decide,
    "14.4": tornado,
    "14.5": summary,
    "14.6": least_cost,
}
ALSO_RIGHT = {
    "14.1": [pays_after_backwards, pays_after_by_halving],
    "14.2": [audit_line_by_line, audit_with_numpy],
    "14.3": [decide_in_lists, decide_computed],
    "14.4": [tornado_with_dicts, tornado_removing_the_widest],
    "14.5": [summary_with_statistics, summary_with_numpy],
    "14.6": [least_cost_sorted, least_cost_by_levels],
}
WRONG = {
    "14.1": [
        pays_after_first,
        pays_after_mean,
        pays_after_whole_months,
        pays_after_beyond,
        pays_after_day_0_is_never,
        pays_after_day_1,
        pays_after_in_months,
        pays_after_divides,
        pays_after_changes_the_list,
        pays_after_infinite,
        pays_after_forgets_to_return,
    ],
    "14.2": [
        audit_of_the_page_alone,
        audit_one_speed,
        audit_mean_hour,
        audit_half_machines,
        audit_no_spare,
        audit_unevaluated,
        audit_cached_answers,
        audit_carried_on,
        audit_all,
        audit_letters,
        audit_as_they_stand,
        audit_changes_the_sheet,
    ],
    "14.3": [
        decide_without_falling_prices,
        decide_by_one_month,
        decide_always_student,
        decide_in_a_sentence,
        decide_without_reasons,
        decide_not_all,
        decide_with(A=("API", "errors")),
        decide_with(D=("student", "upkeep")),
        decide_with(E=("API", "nothing")),
        decide_with(B=("cheap API", "errors")),
    ],
    "14.4": [
        tornado_by_the_ends_alone,
        tornado_of_nan,
        tornado_of_nan_negated,
        tornado_by_high_minus_low,
        tornado_returns_nothing,
        tornado_unsorted,
        tornado_narrow_first,
        tornado_keeps_what_it_changed,
        tornado_changes_the_base,
        tornado_turned,
        tornado_without_never,
        tornado_by_the_largest_end,
        tornado_by_the_distance_to_the_base,
        tornado_of_every_input,
        tornado_base_for_low,
        tornado_by_range,
    ],
    "14.5": [
        summary_leaves_never_out,
        summary_never_is_zero,
        summary_mean,
        summary_share_that_pays,
        summary_infinite,
        summary_day_0_is_never,
        summary_day_0_is_never_in_the_median,
        summary_sorts_in_place,
    ],
    "14.6": [
        least_cost_fixed_threshold,
        least_cost_none_passed,
        least_cost_student_free_if_passed,
        least_cost_sum,
        least_cost_all_passed,
        least_cost_never_all,
        least_cost_never_none,
        least_cost_splits_ties,
        least_cost_on_a_grid,
    ],
}
