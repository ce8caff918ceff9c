"""Right and plausible wrong answers to the exercises of lesson 14."""

import math
import statistics

# --- 14.1 ------------------------------------------------------------------------------------------------------------


def break_even(upfront, teacher, student):
    if teacher <= student:
        return "never"
    return -(-upfront // (teacher - student))


def break_even_with_ceil(upfront, teacher, student):
    return math.ceil(upfront / (teacher - student)) if teacher > student else "never"


def break_even_rounds_down(upfront, teacher, student):
    return upfront // (teacher - student) if teacher > student else "never"


def break_even_one_more(upfront, teacher, student):
    return upfront // (teacher - student) + 1 if teacher > student else "never"


def break_even_ignores_the_student(upfront, teacher, student):
    return -(-upfront // teacher) if teacher > student else "never"


def break_even_negative(upfront, teacher, student):
    return -(-upfront // (teacher - student)) if teacher != student else "never"


def break_even_infinite(upfront, teacher, student):
    return -(-upfront // (teacher - student)) if teacher > student else math.inf


def break_even_not_whole(upfront, teacher, student):
    return upfront / (teacher - student) if teacher > student else "never"


# --- 14.2 ------------------------------------------------------------------------------------------------------------


def least_traffic(server, teacher, student):
    if teacher <= student:
        return "never"
    return server // (teacher - student) + 1


def least_traffic_by_counting(server, teacher, student):
    if teacher <= student:
        return "never"
    guess = max(server // (teacher - student) - 2, 0)
    while guess * (teacher - student) <= server:
        guess += 1
    return guess


def least_traffic_even_is_enough(server, teacher, student):
    return -(-server // (teacher - student)) if teacher > student else "never"


def least_traffic_ignores_the_student(server, teacher, student):
    return server // teacher + 1 if teacher > student else "never"


def least_traffic_rounds_down(server, teacher, student):
    return server // (teacher - student) if teacher > student else "never"


def least_traffic_always(server, teacher, student):
    return server // (teacher - student) + 1 if teacher != student else "never"


# --- 14.3 ------------------------------------------------------------------------------------------------------------


def per_million(price, speed, utilisation):
    return price / (3600 * speed * utilisation) * 1e6


def per_million_full(price, speed, utilisation):
    return price / (3600 * speed) * 1e6


def per_million_cheaper_when_idle(price, speed, utilisation):
    return price * utilisation / (3600 * speed) * 1e6


def per_million_by_the_second(price, speed, utilisation):
    return price / (speed * utilisation) * 1e6


def per_token(price, speed, utilisation):
    return price / (3600 * speed * utilisation)


# --- 14.4 ------------------------------------------------------------------------------------------------------------


def tornado(days, base, ranges):
    rows = [(name, days(**base | {name: low}), days(**base | {name: high})) for name, (low, high) in ranges.items()]
    return sorted(rows, key=lambda row: abs(row[1] - row[2]), reverse=True)


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
    return sorted(rows, key=lambda row: abs(row[1] - row[2]), reverse=True)


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
    for i in order:
        total += teacher - (0 if correct[i] else error)
        best = min(best, total)
    return best / len(order)


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
    "14.1": break_even,
    "14.2": least_traffic,
    "14.3": per_million,
    "14.4": tornado,
    "14.5": summary,
    "14.6": least_cost,
}
ALSO_RIGHT = {
    "14.1": [break_even_with_ceil],
    "14.2": [least_traffic_by_counting],
    "14.5": [summary_with_statistics],
    "14.6": [least_cost_sorted],
}
WRONG = {
    "14.1": [
        break_even_rounds_down,
        break_even_one_more,
        break_even_ignores_the_student,
        break_even_negative,
        break_even_infinite,
        break_even_not_whole,
    ],
    "14.2": [
        least_traffic_even_is_enough,
        least_traffic_ignores_the_student,
        least_traffic_rounds_down,
        least_traffic_always,
    ],
    "14.3": [per_million_full, per_million_cheaper_when_idle, per_million_by_the_second, per_token],
    "14.4": [
        tornado_unsorted,
        tornado_narrow_first,
        tornado_keeps_what_it_changed,
        tornado_changes_the_base,
        tornado_turned,
        tornado_without_never,
    ],
    "14.5": [
        summary_leaves_never_out,
        summary_never_is_zero,
        summary_mean,
        summary_share_that_pays,
        summary_infinite,
    ],
    "14.6": [
        least_cost_fixed_threshold,
        least_cost_none_passed,
        least_cost_student_free_if_passed,
        least_cost_sum,
        least_cost_all_passed,
    ],
}
