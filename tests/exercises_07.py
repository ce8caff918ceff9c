"""Lesson 07: for every exercise a right answer, other right ones, and plausible wrong ones."""

from collections import Counter
from math import prod

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


RIGHT = {"7.1": trace, "7.2": keep, "7.3": bad_digit, "7.4": accuracy_per_token, "7.5": judge}

ALSO_RIGHT = {
    "7.1": [trace_by_digits],
    "7.2": [keep_in_a_loop],
    "7.3": [bad_digit_by_any_false_step],
    "7.4": [price_by_sums],
    "7.5": [lambda rows: list(judge(rows))],
}

WRONG = {
    "7.1": [
        trace_forgets_zero,
        trace_splits_a,
        trace_answer_only,
        trace_ones_first,
        trace_repeats_the_problem,
        trace_with_spaces,
        trace_drops_zero_product,
    ],
    "7.2": [keep_by_answer, keep_by_last_equation, keep_consistent, keep_only_with_steps, keep_texts, keep_sorted],
    "7.3": [bad_digit_by_count, bad_digit_by_answers, bad_digit_is_commonest, bad_digit_of_the_tens],
    "7.4": [
        price_ignores_base,
        price_of_all_tokens,
        price_difference_of_ratios,
        price_mean_of_ratios,
        price_upside_down,
    ],
    "7.5": [judge_swapped, judge_zero_if_undefined, judge_acceptances, judge_final, judge_accuracy],
}
