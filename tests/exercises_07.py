"""Lesson 07: for every exercise a right answer, other right ones, and plausible wrong ones."""

import statistics
from collections import Counter
from math import isclose, prod

import numpy as np

# --- 7.1 -------------------------------------------------------------------------------------------------------------


def places(b):
    """47 as 40 and 7, 305 as 300, 0 and 5."""
    return [int(digit) * 10**place for place, digit in zip(reversed(range(len(str(b)))), str(b))]


def written(a, parts, sums):
    """A trace: the split into parts, then lists of numbers to be added."""
    return "=".join(["+".join(f"{a}*{part}" for part in parts), *("+".join(map(str, each)) for each in sums)])


def folded(numbers):
    """Lists of numbers: as they came, then the first two added, and so on."""
    found = [numbers]
    while len(found[-1]) > 1:
        found.append([found[-1][0] + found[-1][1], *found[-1][2:]])
    return found


def trace(a, b):
    return written(a, places(b), folded([a * part for part in places(b)]))


def trace_by_hand(a, b):
    text = "+".join(f"{a}*{part}" for part in places(b))
    total, rest = 0, [a * part for part in places(b)]
    while rest:
        shown = [total + rest[0], *rest[1:]] if total or len(rest) < len(str(b)) else rest
        text += "=" + "+".join(map(str, shown))
        total, rest = shown[0], shown[1:]
    return text


def trace_by_divmod(a, b):
    parts, unit = [], 1
    while b:
        b, digit = divmod(b, 10)
        parts.insert(0, digit * unit)
        unit *= 10
    lines = ["+".join(f"{a}*{part}" for part in parts)]
    for done in range(1, len(parts) + 1):
        lines.append("+".join(map(str, [a * sum(parts[:done]), *(a * part for part in parts[done:])])))
    return "=".join(lines)


def trace_of_the_lesson(a, b):
    tens, ones = b - b % 10, b % 10
    return f"{a}*{tens}+{a}*{ones}={a * tens}+{a * ones}={a * b}"


def trace_all_at_once(a, b):
    products = [a * part for part in places(b)]
    return written(a, places(b), [products, [a * b]])


def trace_forgets_zeros(a, b):
    digits = [int(digit) for digit in str(b)]
    return written(a, digits, folded([a * digit for digit in digits]))


def trace_splits_a(a, b):
    return "+".join(f"{part}*{b}" for part in places(a)) + trace(b, a)[trace(b, a).index("=") :]


def trace_answer_only(a, b):
    return str(a * b)


def trace_skips_the_products(a, b):
    return written(a, places(b), folded([a * part for part in places(b)])[1:])


def trace_ones_first(a, b):
    parts = places(b)[::-1]
    return written(a, parts, folded([a * part for part in parts]))


def trace_adds_from_the_right(a, b):
    numbers = [a * part for part in places(b)]
    sums = [numbers]
    while len(sums[-1]) > 1:
        sums.append([*sums[-1][:-2], sums[-1][-2] + sums[-1][-1]])
    return written(a, places(b), sums)


def trace_repeats_the_problem(a, b):
    return f"{a}*{b}=" + trace(a, b)


def trace_with_spaces(a, b):
    return trace(a, b).replace("=", " = ")


def trace_drops_zeros(a, b):
    parts = [part for part in places(b) if part]
    return written(a, parts, folded([a * part for part in parts]))


def trace_in_floats(a, b):
    return trace(a, b).rsplit("=", 1)[0] + f"={a * b / 1}"


def trace_ends_with_a_stop(a, b):
    return trace(a, b) + "."


def trace_sums_twice(a, b):
    return trace(a, b) + f"={a * b}"


def trace_as_a_list(a, b):
    return trace(a, b).split("=")


def trace_loses_a_carry(a, b):
    products = [a * part for part in places(b)]
    return trace(a, b).rsplit("=", 1)[0] + f"={products[0] // 10 * 10 + sum(products[1:]) % 10}"


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


def value_in_floats(expression):
    return sum(prod(float(number) for number in term.split("*")) for term in expression.split("+"))


def keep_in_floats(rows):
    return [row for row in rows if {value_in_floats(part) for part in row[2].split("=")} == {float(row[0]) * row[1]}]


def keep_nearly(rows):
    """Parts may differ as floats do: that lets through what is off by one of many digits."""
    return [row for row in rows if all(isclose(value_in_floats(part), row[0] * row[1]) for part in row[2].split("="))]


def keep_in_floats_but_the_product(rows):
    return [row for row in rows if {value_in_floats(part) for part in row[2].split("=")} == {row[0] * row[1]}]


def keep_by_numpy(rows):
    def worth(part):
        return sum(np.prod(np.array(term.split("*"), dtype=np.int64)) for term in part.split("+"))

    return [row for row in rows if all(worth(part) == row[0] * row[1] for part in row[2].split("="))]


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


def affordable(offers, learn, write, pick=mean):
    """The best affordable run of each offer that writes few enough tokens."""
    found = {}
    for name, offer in offers.items():
        runs = [run["right"] for run in offer["runs"] if run["examples"] * offer["tokens"] <= learn]
        if runs and offer["answer"] <= write:
            found[name] = max(runs, key=pick)
    return found


def level_by_seed(mine, other):
    """Whether the second is not behind the first on every seed."""
    return not all(x > y for x, y in zip(mine, other))


def bought(offers, best, level=level_by_seed, lead=mean, price="answer"):
    """The offer and the reason, once it is known who can be paid and who is level."""
    if not best:
        return None, "none"
    leader = max(best, key=lambda name: lead(best[name]))
    names = [name for name in best if name == leader or level(best[leader], best[name])]
    return min(names, key=lambda name: offers[name][price]), "clear" if len(names) == 1 else "level"


def buy(offers, learn, write):
    return bought(offers, affordable(offers, learn, write))


def buy_in_order(offers, learn, write):
    best = affordable(offers, learn, write)
    if not best:
        return [None, "none"]
    names = sorted(best, key=lambda name: mean(best[name]), reverse=True)
    level = [names[0]]
    for name in names[1:]:
        if any(mine <= other for mine, other in zip(best[names[0]], best[name])):
            level.append(name)
    level.sort(key=lambda name: offers[name]["answer"])
    return [level[0], ("clear", "level")[len(level) > 1]]


def buy_by_numpy(offers, learn, write):
    best = {name: np.array(right) for name, right in affordable(offers, learn, write).items()}
    leader = max(best, key=lambda name: best[name].mean(), default=None)
    if leader is None:
        return None, "none"
    level = {name for name in best if (best[leader] - best[name]).min() <= 0}
    return min(level, key=lambda name: offers[name]["answer"]), "clear" if level == {leader} else "level"


def buy_whatever_it_takes(offers, learn, write):
    return bought(offers, affordable(offers, 10**12, write))


def buy_counts_examples(offers, learn, write):
    return bought(offers, affordable({name: offer | {"tokens": 1} for name, offer in offers.items()}, learn, write))


def buy_without_looking_at_the_query(offers, learn, write):
    return bought(offers, affordable(offers, learn, 10**6))


def buy_the_longest_run(offers, learn, write):
    cut = {}
    for name, offer in offers.items():
        runs = [run for run in offer["runs"] if run["examples"] * offer["tokens"] <= learn]
        cut[name] = offer | {"runs": sorted(runs, key=lambda run: run["examples"])[-1:]}
    return bought(offers, affordable(cut, learn, write))


def buy_with_change(offers, learn, write):
    return bought(offers, affordable(offers, learn - 1, write - 1))


def buy_the_best_mean(offers, learn, write):
    return bought(offers, affordable(offers, learn, write), level=lambda mine, other: False)


def buy_the_leader_though_level(offers, learn, write):
    best = affordable(offers, learn, write)
    return max(best, key=lambda name: mean(best[name]), default=None), buy(offers, learn, write)[1]


def buy_the_shortest(offers, learn, write):
    return bought(offers, affordable(offers, learn, write), level=lambda mine, other: True)


def buy_by_ranges(offers, learn, write):
    return bought(offers, affordable(offers, learn, write), level=lambda mine, other: min(mine) <= max(other))


def buy_by_two_points(offers, learn, write):
    return bought(offers, affordable(offers, learn, write), level=lambda mine, other: mean(mine) - mean(other) < 0.02)


def buy_by_the_first_seed(offers, learn, write):
    best = {name: right[:1] for name, right in affordable(offers, learn, write).items()}
    return bought(offers, best)


def buy_by_the_median(offers, learn, write):
    return bought(offers, affordable(offers, learn, write, statistics.median), lead=statistics.median)


def buy_with_the_median_leading(offers, learn, write):
    return bought(offers, affordable(offers, learn, write), lead=statistics.median)


def buy_runs_by_the_median(offers, learn, write):
    return bought(offers, affordable(offers, learn, write, statistics.median))


def buy_with_the_best_seed_leading(offers, learn, write):
    return bought(offers, affordable(offers, learn, write), lead=max)


def buy_runs_by_the_best_seed(offers, learn, write):
    return bought(offers, affordable(offers, learn, write, max))


def buy_the_shortest_training_text(offers, learn, write):
    return bought(offers, affordable(offers, learn, write), price="tokens")


def buy_with_ties_behind(offers, learn, write):
    best = affordable(offers, learn, write)
    return bought(offers, best, level=lambda mine, other: any(y > x for x, y in zip(mine, other)))


def buy_by_sorted_seeds(offers, learn, write):
    best = affordable(offers, learn, write)
    return bought(offers, best, level=lambda mine, other: level_by_seed(sorted(mine), sorted(other)))


def buy_something_always(offers, learn, write):
    best = affordable(offers, learn, write) or affordable(offers, 10**12, 10**6)
    return bought(offers, best)


def buy_stops_at_nothing(offers, learn, write):
    best = affordable(offers, learn, write)
    leader = max(best, key=lambda name: mean(best[name]))
    return bought(offers, best) if leader else None


def buy_none_clear(offers, learn, write):
    name, reason = buy(offers, learn, write)
    return name, "clear" if reason == "none" else reason


def buy_always_clear(offers, learn, write):
    return buy(offers, learn, write)[0], "clear"


def buy_name_alone(offers, learn, write):
    return buy(offers, learn, write)[0]


def buy_another_word(offers, learn, write):
    return buy(offers, learn, write)[0], "better"


def buy_in_place(offers, learn, write):
    for name in [name for name in offers if offers[name]["answer"] > write]:
        del offers[name]
    return buy(offers, learn, write)


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


def judge_by_statistics(rows):
    precision = statistics.mean(not first for first, verdict, _ in rows if verdict == "n")
    return precision, statistics.mean(verdict == "n" for first, verdict, _ in rows if not first)


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


RIGHT = {"7.1": trace, "7.2": keep, "7.3": bad_digit, "7.4": buy, "7.5": judge}

ALSO_RIGHT = {
    "7.1": [trace_by_divmod, trace_by_hand],
    "7.2": [keep_one_by_one, keep_by_eval, keep_in_a_loop, keep_by_numpy],
    "7.3": [bad_digit_of_the_first_false_product, bad_digit_by_numpy, bad_digit_by_any_false_step],
    "7.4": [buy_by_numpy, buy_in_order],
    "7.5": [judge_by_numpy, judge_one_by_one, lambda rows: list(judge(rows))],
}

WORDS = {  # wrong answers, and what the message must say
    "7.1": {
        trace_of_the_lesson: "(hint ",
        trace_all_at_once: "numbers are added at once",
        trace_forgets_zeros: " is ",
        trace_splits_a: "one part a digit",
        trace_answer_only: "one part a digit",
        trace_skips_the_products: "after the split come the products",
        trace_ones_first: "put the highest place first",
        trace_adds_from_the_right: "the first two are added",
        trace_repeats_the_problem: "leave out the problem itself",
        trace_with_spaces: "leave out spaces",
        trace_drops_zeros: "keep the parts that are 0",
        trace_in_floats: "no sum of products of whole numbers",
        trace_ends_with_a_stop: "no sum of products of whole numbers",
        trace_sums_twice: "the first two are added",
        trace_as_a_list: "A text was expected",
        trace_loses_a_carry: " is ",
    },
    "7.2": {
        keep_in_floats: "Floats carry 16 digits",
        keep_nearly: "its answer is off by one",
        keep_in_floats_but_the_product: "loats carry 16 digits",
        keep_skips_the_split: "the first part",
        keep_skips_the_products: "a step before is false",
        keep_removes_in_place: "changes the list",
        keep_in_a_dict: "",
        keep_once_each: "Keep each of them",
        keep_with_a_true_equation: "You keep",
        keep_near_enough: "You keep",
        keep_by_answer: "You keep",
        keep_by_last_equation: "You keep",
        keep_consistent: "You keep",
        keep_only_with_steps: "You drop",
        keep_texts: "return the rows themselves",
        keep_sorted: "as they came",
    },
    "7.3": {
        bad_digit_by_last_numbers: "the slip is in the sum",
        bad_digit_by_sums: "",
        bad_digit_by_first_products: "",
        bad_digit_of_the_first_false_answer: "",
        bad_digit_of_a: "",
        bad_digit_by_count: "compare shares",
        bad_digit_by_answers: "compare shares",
        bad_digit_is_commonest: "compare shares",
        bad_digit_of_the_tens: "take the last digit of b",
    },
    "7.4": {
        buy_whatever_it_takes: "examples times tokens",
        buy_counts_examples: "examples times tokens",
        buy_without_looking_at_the_query: "too many",
        buy_the_longest_run: "not its longest",
        buy_with_change: "",
        buy_the_best_mean: "is level with it",
        buy_the_leader_though_level: "is level with it",
        buy_the_shortest: "is ahead of it on every seed",
        buy_by_ranges: "",
        buy_by_two_points: "",
        buy_by_the_first_seed: "",
        buy_by_the_median: "best median",
        buy_with_the_median_leading: "best median",
        buy_runs_by_the_median: "not the best median",
        buy_with_the_best_seed_leading: "best single seed",
        buy_runs_by_the_best_seed: "not the best single seed",
        buy_the_shortest_training_text: "shortest training text",
        buy_with_ties_behind: "A tie is not behind",
        buy_by_sorted_seeds: "",
        buy_something_always: "othing is affordable",
        buy_stops_at_nothing: "your code stops with ValueError",
        buy_none_clear: "othing is affordable",
        buy_always_clear: "not ahead on every seed",
        buy_name_alone: "(name, reason) was expected",
        buy_another_word: '"clear" or "level"',
        buy_in_place: "changes the dict",
    },
    "7.5": {
        judge_divides_by_zero: "Of 5 rows like",
        judge_by_statistics: "Of 5 rows like",
        judge_zero_by_zero_is_one: "return None",
        judge_drops_rows_in_place: "changes the list",
        judge_share_of_all: "divide by all rows",
        judge_counts: "Those are counts",
        judge_not_a_number: "return None",
        judge_swapped: "swapped",
        judge_zero_if_undefined: "return None",
        judge_acceptances: "an alarm is a rejection",
        judge_final: "the check judged the first",
        judge_accuracy: "A pair (precision, recall)",
    },
}

WRONG = {exercise: list(answers) for exercise, answers in WORDS.items()}
