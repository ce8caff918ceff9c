"""Lesson 07: for every exercise a right answer, other right ones, and plausible wrong ones."""

from collections import Counter
from math import prod

import numpy as np

# --- 7.1 -------------------------------------------------------------------------------------------------------------


def trace(a, b):
    tens, ones = b - b % 10, b % 10
    return f"{a}*{tens}+{a}*{ones}={a * tens}+{a * ones}={a * b}"


def trace_by_digits(a, b):
    digit, last = (int(character) for character in str(b))
    return "=".join([f"{a}*{digit}0+{a}*{last}", f"{a * digit * 10}+{a * last}", str(a * digit * 10 + a * last)])


def trace_forgets_zero(a, b):
    return f"{a}*{b // 10}+{a}*{b % 10}={a * (b // 10)}+{a * (b % 10)}={a * b}"


def trace_splits_a(a, b):
    return f"{a - a % 10}*{b}+{a % 10}*{b}={(a - a % 10) * b}+{a % 10 * b}={a * b}"


def trace_answer_only(a, b):
    return str(a * b)


def trace_ones_first(a, b):
    tens, ones = b - b % 10, b % 10
    return f"{a}*{ones}+{a}*{tens}={a * ones}+{a * tens}={a * b}"


def trace_repeats_the_problem(a, b):
    return f"{a}*{b}=" + trace(a, b)


def trace_with_spaces(a, b):
    return trace(a, b).replace("=", " = ")


def trace_drops_zero_product(a, b):
    return trace(a, b) if b % 10 else f"{a}*{b}={a * b}={a * b}"


def trace_divides(a, b):
    return f"{a}*{b - b % 10}+{a}*{b % 10}={a * (b - b % 10)}+{a * (b % 10)}={a * b / 1}"


def trace_ends_with_a_stop(a, b):
    return trace(a, b) + "."


def trace_in_tens_of_a_hundred(a, b):
    return f"{a}*{b // 10}*10+{a}*{b % 10}={a * (b - b % 10)}+{a * (b % 10)}={a * b}"


def trace_sums_twice(a, b):
    return trace(a, b) + f"={a * b}"


def trace_as_a_list(a, b):
    return trace(a, b).split("=")


def trace_slips_in_the_carry(a, b):
    tens, ones = a * (b - b % 10), a * (b % 10)
    return f"{a}*{b - b % 10}+{a}*{b % 10}={tens}+{ones}={int(str(tens // 10)) * 10 + ones % 10}"


def trace_by_divmod(a, b):
    tens, ones = divmod(b, 10)
    parts = ((f"{a}*{tens * 10}", f"{a}*{ones}"), (str(a * tens * 10), str(a * ones)), (str(a * b),))
    return "=".join("+".join(part) for part in parts)


def trace_by_rounding_down(a, b):
    tens = int(np.floor(b / 10)) * 10
    return f"{a}*{tens}+{a}*{b - tens}={a * tens}+{a * (b - tens)}={a * b}"


# --- 7.2 -------------------------------------------------------------------------------------------------------------


def value(expression):
    return sum(prod(int(number) for number in term.split("*")) for term in expression.split("+"))


def keep(rows):
    return [row for row in rows if {value(part) for part in row[2].split("=")} == {row[0] * row[1]}]


def keep_in_a_loop(rows):
    kept = []
    for a, b, text in rows:
        if all(value(part) == a * b for part in text.split("=")):
            kept.append((a, b, text))
    return kept


def keep_by_answer(rows):
    return [row for row in rows if int(row[2].split("=")[-1]) == row[0] * row[1]]


def keep_by_last_equation(rows):
    return [row for row in rows if len({value(part) for part in row[2].split("=")[-2:]}) == 1]


def keep_consistent(rows):
    return [row for row in rows if len({value(part) for part in row[2].split("=")}) == 1]


def keep_only_with_steps(rows):
    return [row for row in keep(rows) if "+" in row[2]]


def keep_texts(rows):
    return [row[2] for row in keep(rows)]


def keep_sorted(rows):
    return sorted(keep(rows))


def keep_skips_the_split(rows):
    return [(a, b, text) for a, b, text in rows if {value(part) for part in text.split("=")[-2:]} == {a * b}]


def keep_skips_the_products(rows):
    return [row for row in rows if {value(row[2].split("=")[0]), value(row[2].split("=")[-1])} == {row[0] * row[1]}]


def keep_removes_in_place(rows):
    kept = keep(rows)
    rows[:] = kept
    return rows


def keep_in_a_dict(rows):
    return list({(a, b): (a, b, text) for a, b, text in keep(rows)}.values())


def keep_once_each(rows):
    return list(dict.fromkeys(keep(rows)))


def keep_with_a_true_equation(rows):
    return [(a, b, text) for a, b, text in rows if any(value(part) == a * b for part in text.split("=")[:-1] or [text])]


def keep_near_enough(rows):
    return [(a, b, text) for a, b, text in rows if all(abs(value(part) - a * b) <= 10 for part in text.split("="))]


def keep_one_by_one(rows):
    for row in rows:
        if all(value(part) == row[0] * row[1] for part in row[2].split("=")):
            yield row


def keep_by_eval(rows):
    return tuple(filter(lambda row: {eval(part) for part in row[2].split("=")} == {row[0] * row[1]}, rows))


# --- 7.3 -------------------------------------------------------------------------------------------------------------


def bad_digit(rows):
    seen, false = Counter(), Counter()
    for a, b, text in rows:
        product = int(text.split("=")[1].split("+")[1])
        seen[b % 10] += 1
        false[b % 10] += product != a * (b % 10)
    return max(seen, key=lambda digit: false[digit] / seen[digit])


def bad_digit_by_any_false_step(rows):
    seen, false = Counter(), Counter()
    for a, b, text in rows:
        seen[b % 10] += 1
        false[b % 10] += any(value(part) != a * b for part in text.split("="))
    return max(seen, key=lambda digit: false[digit] / seen[digit])


def bad_digit_by_count(rows):
    false = Counter()
    for a, b, text in rows:
        false[b % 10] += any(value(part) != a * b for part in text.split("="))
    return max(false, key=false.get)


def bad_digit_by_answers(rows):
    false = Counter(b % 10 for a, b, text in rows if int(text.split("=")[-1]) != a * b)
    return max(false, key=false.get)


def bad_digit_is_commonest(rows):
    return Counter(b % 10 for _, b, _ in rows).most_common(1)[0][0]


def bad_digit_of_the_tens(rows):
    false = Counter(b // 10 for a, b, text in rows if value(text.split("=")[1]) != a * b)
    return 10 + max(false, key=false.get)


def bad_digit_by_last_numbers(rows):
    seen, false = Counter(), Counter()
    for a, b, text in rows:
        seen[b % 10] += 1
        false[b % 10] += int(text.split("=")[-1]) != a * b
    return max(seen, key=lambda digit: false[digit] / seen[digit])


def bad_digit_by_sums(rows):
    seen, false = Counter(), Counter()
    for _, b, text in rows:
        seen[b % 10] += 1
        false[b % 10] += value(text.split("=")[1]) != int(text.split("=")[2])
    return max(seen, key=lambda digit: false[digit] / seen[digit])


def bad_digit_by_first_products(rows):
    false = Counter(b % 10 for a, b, text in rows if int(text.split("=")[1].split("+")[0]) != a * (b - b % 10))
    return false.most_common(1)[0][0] if false else 0


def bad_digit_of_the_first_false_answer(rows):
    return next(b % 10 for a, b, text in rows if int(text.split("=")[-1]) != a * b)


def bad_digit_of_a(rows):
    false = Counter(a % 10 for a, b, text in rows if value(text.split("=")[1]) != a * b)
    return false.most_common(1)[0][0]


def bad_digit_of_the_first_false_product(rows):
    for a, b, text in rows:
        if int(text.split("=")[1].split("+")[1]) != a * (b % 10):
            return b % 10


def bad_digit_by_numpy(rows):
    false = np.zeros(10, dtype=int)
    for a, b, text in rows:
        false[b % 10] += value(text.split("=")[1]) != a * b
    return false.argmax()


# --- 7.4 -------------------------------------------------------------------------------------------------------------


def mean(values):
    return sum(values) / len(values)


def accuracy_per_token(right, tokens, base_right, base_tokens):
    return (mean(right) - mean(base_right)) / (mean(tokens) - mean(base_tokens))


def price_by_sums(right, tokens, base_right, base_tokens):
    return (sum(right) - sum(base_right)) / (sum(tokens) - sum(base_tokens))


def price_ignores_base(right, tokens, base_right, base_tokens):
    return mean(right) / mean(tokens)


def price_of_all_tokens(right, tokens, base_right, base_tokens):
    return (mean(right) - mean(base_right)) / mean(tokens)


def price_difference_of_ratios(right, tokens, base_right, base_tokens):
    return mean(right) / mean(tokens) - mean(base_right) / mean(base_tokens)


def price_mean_of_ratios(right, tokens, base_right, base_tokens):
    return mean([(r - s) / (t - u) for r, t, s, u in zip(right, tokens, base_right, base_tokens)])


def price_upside_down(right, tokens, base_right, base_tokens):
    return 1 / accuracy_per_token(right, tokens, base_right, base_tokens)


def price_without_sign(right, tokens, base_right, base_tokens):
    return abs(accuracy_per_token(right, tokens, base_right, base_tokens))


def price_without_loss(right, tokens, base_right, base_tokens):
    return max(0.0, accuracy_per_token(right, tokens, base_right, base_tokens))


def price_without_signs_of_tokens(right, tokens, base_right, base_tokens):
    return (mean(right) - mean(base_right)) / abs(mean(tokens) - mean(base_tokens))


def price_per_base_token(right, tokens, base_right, base_tokens):
    return (mean(right) - mean(base_right)) / mean(base_tokens)


def price_of_those_right(right, tokens, base_right, base_tokens):
    return mean([r > s for r, s in zip(right, base_right)]) / (mean(tokens) - mean(base_tokens))


def price_in_points(right, tokens, base_right, base_tokens):
    return 100 * accuracy_per_token(right, tokens, base_right, base_tokens)


def price_relative(right, tokens, base_right, base_tokens):
    return (mean(right) / max(mean(base_right), 1e-9) - 1) / (mean(tokens) - mean(base_tokens))


def price_by_numpy(right, tokens, base_right, base_tokens):
    return (np.mean(right) - np.mean(base_right)) / np.subtract(tokens, base_tokens).mean()


def price_in_a_loop(right, tokens, base_right, base_tokens):
    gain = more = 0
    for r, t, s, u in zip(right, tokens, base_right, base_tokens):
        gain, more = gain + r - s, more + t - u
    return gain / more


# --- 7.5 -------------------------------------------------------------------------------------------------------------


def judge(rows):
    wrong = sum(not first for first, _, _ in rows)
    flagged = sum(verdict == "n" for _, verdict, _ in rows)
    both = sum(not first and verdict == "n" for first, verdict, _ in rows)
    return both / flagged if flagged else None, both / wrong if wrong else None


def judge_swapped(rows):
    return judge(rows)[::-1]


def judge_zero_if_undefined(rows):
    return tuple(share or 0.0 for share in judge(rows))


def judge_acceptances(rows):
    accepted = [first for first, verdict, _ in rows if verdict == "y"]
    right = [verdict == "y" for first, verdict, _ in rows if first]
    return mean(accepted) if accepted else None, mean(right) if right else None


def judge_final(rows):
    return judge([(last, verdict, last) for _, verdict, last in rows])


def judge_accuracy(rows):
    return mean([first == (verdict == "y") for first, verdict, _ in rows])


def judge_divides_by_zero(rows):
    wrong = sum(not first for first, _, _ in rows)
    flagged = sum(verdict == "n" for _, verdict, _ in rows)
    both = sum(not first and verdict == "n" for first, verdict, _ in rows)
    return both / flagged, both / wrong


def judge_zero_by_zero_is_one(rows):
    return tuple(1.0 if share is None else share for share in judge(rows))


def judge_drops_rows_in_place(rows):
    answer = judge(rows)
    while rows and rows[-1][1] == "y":
        rows.pop()
    return answer


def judge_share_of_all(rows):
    both = mean([not first and verdict == "n" for first, verdict, _ in rows])
    precision, recall = judge(rows)
    return None if precision is None else both, None if recall is None else both


def judge_counts(rows):
    both = sum(not first and verdict == "n" for first, verdict, _ in rows)
    precision, recall = judge(rows)
    return None if precision is None else both, None if recall is None else both


def judge_not_a_number(rows):
    return tuple(float("nan") if share is None else share for share in judge(rows))


def judge_by_numpy(rows):
    wrong = ~np.array([first for first, _, _ in rows])
    flagged = np.array([verdict for _, verdict, _ in rows]) == "n"
    return (
        wrong[flagged].mean() if flagged.any() else None,
        np.float64(flagged[wrong].mean()) if wrong.any() else None,
    )


def judge_one_by_one(rows):
    for ask, given in ((0, 1), (1, 0)):
        group = [(not first, verdict == "n") for first, verdict, _ in rows if (not first, verdict == "n")[given]]
        yield mean([pair[ask] for pair in group]) if group else None


RIGHT = {"7.1": trace, "7.2": keep, "7.3": bad_digit, "7.4": accuracy_per_token, "7.5": judge}

ALSO_RIGHT = {
    "7.1": [trace_by_divmod, trace_by_rounding_down, trace_by_digits],
    "7.2": [keep_one_by_one, keep_by_eval, keep_in_a_loop],
    "7.3": [bad_digit_of_the_first_false_product, bad_digit_by_numpy, bad_digit_by_any_false_step],
    "7.4": [price_by_numpy, price_in_a_loop, price_by_sums],
    "7.5": [judge_by_numpy, judge_one_by_one, lambda rows: list(judge(rows))],
}

WRONG = {
    "7.1": [
        trace_divides,
        trace_ends_with_a_stop,
        trace_in_tens_of_a_hundred,
        trace_sums_twice,
        trace_as_a_list,
        trace_slips_in_the_carry,
        trace_forgets_zero,
        trace_splits_a,
        trace_answer_only,
        trace_ones_first,
        trace_repeats_the_problem,
        trace_with_spaces,
        trace_drops_zero_product,
    ],
    "7.2": [
        keep_skips_the_split,
        keep_skips_the_products,
        keep_removes_in_place,
        keep_in_a_dict,
        keep_once_each,
        keep_with_a_true_equation,
        keep_near_enough,
        keep_by_answer,
        keep_by_last_equation,
        keep_consistent,
        keep_only_with_steps,
        keep_texts,
        keep_sorted,
    ],
    "7.3": [
        bad_digit_by_last_numbers,
        bad_digit_by_sums,
        bad_digit_by_first_products,
        bad_digit_of_the_first_false_answer,
        bad_digit_of_a,
        bad_digit_by_count,
        bad_digit_by_answers,
        bad_digit_is_commonest,
        bad_digit_of_the_tens,
    ],
    "7.4": [
        price_without_sign,
        price_without_loss,
        price_without_signs_of_tokens,
        price_per_base_token,
        price_of_those_right,
        price_in_points,
        price_relative,
        price_ignores_base,
        price_of_all_tokens,
        price_difference_of_ratios,
        price_mean_of_ratios,
        price_upside_down,
    ],
    "7.5": [
        judge_divides_by_zero,
        judge_zero_by_zero_is_one,
        judge_drops_rows_in_place,
        judge_share_of_all,
        judge_counts,
        judge_not_a_number,
        judge_swapped,
        judge_zero_if_undefined,
        judge_acceptances,
        judge_final,
        judge_accuracy,
    ],
}
