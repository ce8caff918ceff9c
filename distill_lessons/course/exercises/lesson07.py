"""Checks of lesson 07, chain of thought: write traces, filter them, find a bug, buy a data set, judge a self-check."""

import copy
import functools
import random
import statistics

import numpy as np
import torch

from distill_lessons.course import results
from distill_lessons.course.exercises import Wrong, number
from distill_lessons.course.exercises.common import unchanged
from distill_lessons.course.experiments.on_multiplication import BATCH
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
    """7.1: worked steps for b of any length, one small sum at a time, validated by exact arithmetic."""
    rng = _rng()
    problems = [(rng.randrange(10, 1000), rng.randrange(10 ** (digits - 1), 10**digits)) for digits in 40 * (2, 3, 4)]
    problems += [(10, 10), (99, 9999), (rng.randrange(10, 100), 100 * rng.randrange(1, 10)), (11, 1001), (205, 3040)]
    for a, b in problems:
        got = trace(a, b)
        if not isinstance(got, str):
            raise Wrong(f"A text was expected for {a}*{b}, and this came: {got!r:.80}")
        told = f"For {a}*{b} your trace is {got!r:.120}: "
        if got != "".join(got.split()):
            raise Wrong(told + "leave out spaces and line ends; every character is a token that must be paid for.")
        places = [10**place for place in reversed(range(len(str(b))))]
        parts = [b // place % 10 * place for place in places]
        expected = [[f"{a}*{part}" for part in parts], [str(a * part) for part in parts]]
        while len(expected[-1]) > 1:
            first, second, *rest = expected[-1]
            expected.append([str(int(first) + int(second)), *rest])
        came = [part.split("+") for part in got.split("=")]
        if came == expected:
            continue
        if got.startswith(pair.prompt(a, b)) and (len(set(parts) - {0}) > 1 or came[1:] == expected):
            raise Wrong(told + "leave out the problem itself; the student is given that.")
        for expression in got.split("="):
            if _value(expression) != a * b:
                raise Wrong(told + f"{expression} is {_value(expression)}, and {a}*{b} is {a * b}. (hint 2)")
        shown = "+".join(expected[0])
        if sorted(came[0]) == sorted(expected[0]):
            if came[0] != expected[0]:
                raise Wrong(
                    told + "put the highest place first, always: a student learns an order only if there is one."
                )
        elif sorted(came[0]) == sorted(each for each, part in zip(expected[0], parts) if part):
            raise Wrong(
                told + f"keep the parts that are 0, {shown}: one form for all problems is learned sooner. (hint 2)"
            )
        else:
            raise Wrong(told + f"split {b} into its places, one part a digit: {shown}. (hint 1)")
        if len(came) == 1 or came[1] != expected[1]:
            raise Wrong(told + f"after the split come the products, {'+'.join(expected[1])}. (hint 1)")
        if came == [*expected[:2], expected[-1]]:
            raise Wrong(
                told + f"{len(parts)} numbers are added at once. Add the first two, write down the rest, and again: "
                f"{'='.join('+'.join(each) for each in expected[1:])}. (hint 3)"
            )
        raise Wrong(
            told
            + f"from the products on {'='.join('+'.join(each) for each in expected[1:])} was expected: the first two "
            "are added, the others stay. (hint 3)"
        )


def _unseen(value):
    """1 or -1: what can be added to a whole number beyond 2^55 so that it stays the same float."""
    return 1 if float(value + 1) == float(value) else -1


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
        "large",
        "large, wrong",
    ]
    kinds = 8 * kinds
    problems = rng.sample(pair.problems("train"), len(kinds))
    rows, good = [], []
    for (a, b), kind in zip(problems, kinds):
        if kind.startswith("large"):  # a·b is beyond 2^56, where the next number is the same to a float, and below 2^63
            a, b = (rng.randrange(300_000_000, 900_000_000) for _ in range(2))
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
            "large": pair.steps(a, b),
            "large, wrong": f"{pair.steps(a, b).rpartition('=')[0]}={a * b + _unseen(a * b)}",
        }[kind]
        rows.append((a, b, text))
        good.append(kind in ("right", "no steps", "large"))
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
        "large, wrong": "its answer is off by one. Floats carry 16 digits and cannot see that: count in whole numbers.",
        "both wrong": "its first products do not add up to what was asked. (hint 1)",
    }
    for row, fine, kind in zip(rows, good, kinds):
        if row in got and not fine:
            raise Wrong(f"You keep {row}: {why[kind]}")
    for row, fine, kind in zip(rows, good, kinds):
        if fine and row not in got:
            if kind == "large":
                raise Wrong(
                    f"You drop {row}, in which everything is true: floats carry 16 digits, count in whole numbers."
                )
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


# --- 7.4: which data set to buy ---------------------------------------------------------------------------------------

OFFERS = {  # what an offer is called, and its recorded runs: at equal steps and at equal tokens
    "answers": ("answer", "answer, equal tokens"),
    "worked steps": ("steps",),
    "mistakes shown": ("mistake", "mistake, equal steps"),
    "checked": ("verified", "verified, equal steps"),
}


def offers():
    """Recorded runs of four kinds of text, as exercise 7.4 gets them."""
    table, found = results.load("lesson07-arms"), {}
    for name, arms in OFFERS.items():
        each = {metric: [results.per_seed(table, metric, arm) for arm in arms]
                for metric in ("accuracy", "tokens", "tokens learned", "steps")}  # fmt: skip
        runs = [
            {"examples": round(steps.mean()) * BATCH, "right": right.tolist()}
            for steps, right in zip(each["steps"], each["accuracy"])
        ]
        found[name] = {
            "tokens": round(float(each["tokens learned"][-1].mean()) / runs[-1]["examples"], 1),
            "answer": round(float(each["tokens"][-1].mean()), 1),
            "runs": runs,
        }
    return found


def show_offers():
    """Print the offers, a run a line."""
    print(f"{'text':16}{'tokens':>7}{'writes':>8}{'examples':>10}   right (%), five seeds")
    for name, offer in offers().items():
        for run in offer["runs"]:
            right = "".join(f"{100 * share:6.1f}" for share in run["right"])
            print(f"{name:16}{offer['tokens']:7.1f}{offer['answer']:8.1f}{run['examples']:10,}   {right}")


def _ahead(mine, other):
    """Whether the first is ahead of the second on every seed."""
    return bool((mine > other).all())


def _choice(offers, learn, write, pick=np.mean, lead=np.mean, ahead=_ahead, price="answer"):
    """The reference of 7.4, step by step: the best affordable run of each offer, who leads, who is level, who is bought.

    `pick` and `lead` weigh a run's shares, `ahead` compares two of them, and `price` is what the cheapest is cheapest in:
    with others the answer is one of the mistakes. Nothing affordable: no leader, and None is bought.
    """
    best = {}
    for name, offer in offers.items():
        affordable = [run["right"] for run in offer["runs"] if run["examples"] * offer["tokens"] <= learn]
        if affordable and offer["answer"] <= write:
            best[name] = np.array(max(affordable, key=pick))
    if not best:
        return best, None, [], None
    leader = max(best, key=lambda name: lead(best[name]))
    level = [name for name in best if name == leader or not ahead(best[leader], best[name])]
    return best, leader, level, min(level, key=lambda name: offers[name][price])


def _answer(leader, level, name):
    """What `buy` returns."""
    return name, "none" if leader is None else "clear" if len(level) == 1 else "level"


MISTAKES = {  # by the case that is planted for it, in this order: how the mistake chooses, and its name
    "prices": (
        {"price": "tokens"},
        "Buy what writes least a query, `answer`; you buy what has the shortest training text, `tokens`. (hint 3)",
    ),
    "tie": (
        {"ahead": lambda mine, other: bool((mine >= other).all())},
        "A tie is not behind: equal on one seed and behind on the others is level. (hint 2)",
    ),
    "crossed": (
        {"ahead": lambda mine, other: _ahead(np.sort(mine), np.sort(other))},
        "Compare the first seed with the first and so on, as they come; sorted, the pairs are lost. (hint 2)",
    ),
    "one seed leads": ({"lead": np.max}, "The leader has the best mean; yours has the best single seed."),
    "median leads": ({"lead": np.median}, "The leader has the best mean; yours has the best median."),
    "one seed picks": ({"pick": np.max}, "Of an offer's runs take the best mean, not the best single seed. (hint 1)"),
    "median picks": ({"pick": np.median}, "Of an offer's runs take the best mean, not the best median. (hint 1)"),
}


def _offer(rng, tokens, answer, *runs):
    """An offer; runs are (examples, mean accuracy in %), with seeds scattered less than a point about it."""
    return {
        "tokens": tokens,
        "answer": answer,
        "runs": [
            {"examples": examples, "right": [(mean + rng.randrange(-80, 81) / 100) / 100 for _ in range(5)]}
            for examples, mean in runs
        ],
    }


def _crossed(rng, offer, other):
    """Give an offer's best run the seeds of another's, a little lower but for one seed that is higher."""
    higher = max(other["runs"], key=lambda run: np.mean(run["right"]))["right"]
    place = rng.randrange(5)
    right = [share + (0.01 if seed == place else -0.02) for seed, share in enumerate(higher)]
    max(offer["runs"], key=lambda run: np.mean(run["right"]))["right"] = right


def _markets(rng):
    """Offers and budgets, each with a name of what decides there."""
    short, middle, long = ("bare", "steps", "checked")
    for case in (
        "tokens learned",
        "tokens written",
        "level",
        "clear",
        "longest is not best",
        "always ahead",
        "exactly",
    ):
        base = rng.randrange(20, 40)
        found = {
            short: _offer(rng, 10, 5, (60_000, base), (180_000, base + 10)),
            middle: _offer(rng, 30, 24, (20_000, base + 5), (64_000, base + 40)),
            long: _offer(rng, 50, 45, (32_000, base + 20), (64_000, base + 50)),
        }
        learn, write = 3_300_000, 60
        if case == "tokens learned":
            learn = rng.choice([1_500_000, 2_000_000])
        elif case == "tokens written":
            write = rng.choice([10, 30])
        elif case == "level":
            _crossed(rng, found[middle], found[long])
            found["second steps"] = _offer(rng, 31, 23, (64_000, base + 30))
        elif case == "always ahead":  # though the two ranges overlap
            right = [(base + 50 + shift) / 100 for shift in rng.sample([-3, -1.5, 0, 1.5, 3], 5)]
            found[long]["runs"][1]["right"] = right
            found[middle]["runs"][1]["right"] = [share - 0.01 for share in right]
        elif case == "longest is not best":
            found[long]["runs"].append({"examples": 65_000, "right": [base / 100] * 5})
        elif case == "exactly":
            learn, write = 64_000 * 50, 45
        yield case, dict(rng.sample(list(found.items()), len(found))), learn, write


def _run(base, order, *points):
    """A run whose seeds are right on so many points more than `base` percent, in an order."""
    shares = [(base + point) / 100 for point in points]
    return {"examples": 64_000, "right": [shares[place] for place in order]}


def _planted(rng):
    """Offers in which one of `MISTAKES` leads to another answer, as `_markets` yields them; and nothing affordable."""
    for case in (*MISTAKES, "nothing"):
        run = functools.partial(_run, rng.randrange(40, 60), rng.sample(range(5), 5))

        flat, low, high = run(0, 0.2, -0.2, 0.1, -0.1), run(-5, -5.2, -4.8, -5.1, -4.9), run(5, 5.2, 4.8, 5.1, 4.9)
        three, one = run(12, 12.2, 11.8, -30, -30.2), run(25, -10, -10.2, -9.8, -10.1)  # best median, best single seed
        short, middle, long = [low], [flat], [run(-8, -8, -8, -8, -8)]
        tokens = [10, 30, 50]
        if case == "prices":
            middle, long, tokens = [flat], [run(1, 1.2, -1, 1.1, 1.3)], [10, 55, 50]
        elif case == "tie":
            long = [run(0, 1.2, 1, 1.1, 1.3)]
        elif case == "crossed":
            middle, long = [run(8.5, 5.5, 2.5, -0.5, -3.5)], [run(-3, 9, 6, 3, 0)]
        elif case in ("median leads", "one seed leads"):
            long = [three if case == "median leads" else one]
        elif case in ("median picks", "one seed picks"):
            middle, long = [flat, three if case == "median picks" else one], [high]
        found = {
            name: {"tokens": paid, "answer": written, "runs": rng.sample(runs, len(runs))}
            for name, paid, written, runs in zip(
                ("bare", "steps", "checked"), tokens, (5, 24, 45), (short, middle, long)
            )
        }
        learn, write = rng.choice([(100_000, 60), (3_600_000, 3)]) if case == "nothing" else (3_600_000, 60)
        yield case, dict(rng.sample(list(found.items()), len(found))), learn, write


def check_buy(buy):
    """7.4: which data set to buy for a budget of tokens to learn from and of tokens to write."""
    buy, rng = unchanged(buy), _rng()
    for _ in range(4):
        for case, market, learn, write in (*_markets(rng), *_planted(rng)):
            expected = _answer(*_choice(market, learn, write)[1:])
            try:
                answer = buy(copy.deepcopy(market), learn, write)
            except (ValueError, IndexError, KeyError, StopIteration, TypeError) as error:
                if case != "nothing":
                    raise
                raise Wrong(
                    f"With {learn:,} tokens to learn from and {write} to write nothing is affordable, and your code stops with "
                    f'{type(error).__name__}: return (None, "none").'
                ) from None
            try:
                got, reason = answer
            except (TypeError, ValueError):
                raise Wrong(f"(name, reason) was expected, and this came: {answer!r:.80}.") from None
            if (got, reason) == expected:
                continue
            told = f"With {learn:,} tokens to learn from and {write} to write, {expected} was expected, and {answer!r:.60} came. "
            if case in MISTAKES:
                how, name = MISTAKES[case]
                if (got, reason) == _answer(*_choice(market, learn, write, **how)[1:]):
                    raise Wrong(told + name)
            if case == "nothing":
                raise Wrong(told + 'Nothing is affordable, and then the answer is (None, "none").')
            _explain(market, learn, write, got, reason, told)


def _explain(market, learn, write, got, reason, told):
    """Raise `Wrong` with the mistake that leads to an offer and a reason."""
    best, leader, level, name = _choice(market, learn, write)
    if not isinstance(got, str) or got not in market:
        raise Wrong(told + "The name is one of the keys of offers.")
    offer = market[got]
    if offer["answer"] > write:
        raise Wrong(told + f"{got!r} writes {offer['answer']} tokens a query: too many. (hint 1)")
    if got not in best:
        least = min(run["examples"] for run in offer["runs"]) * offer["tokens"]
        raise Wrong(
            told + f"{got!r} takes {least:,} tokens for its shortest run: a run costs examples times tokens. (hint 1)"
        )
    if reason not in ("clear", "level"):
        raise Wrong(told + 'The reason is "clear" or "level".')
    if got == name:
        seeds = f"{leader!r} is right on {_shares(best[leader])}"
        if reason == "level":
            raise Wrong(
                told + f"{seeds}, and no other affordable one passes it on any seed: its lead is clear. (hint 2)"
            )
        other = next(each for each in level if each != leader)
        raise Wrong(told + f"{seeds}, {other!r} on {_shares(best[other])}: not ahead on every seed. (hint 2)")
    lengths = {id(run["right"]): run["examples"] for each in market.values() for run in each["runs"]}
    longest = _choice(market, learn, write, pick=lambda right: lengths[id(right)])
    if got == longest[-1] and any(longest[0][each].mean() < best[each].mean() for each in best):
        raise Wrong(told + "Take each offer's best affordable run, and not its longest or its last. (hint 1)")
    if got == _choice(market, float("inf"), write)[-1]:
        raise Wrong(told + f"{got!r} is best at a length that the budget does not pay: examples times tokens. (hint 1)")
    if got == leader:
        raise Wrong(
            told
            + f"{got!r} has the best mean, and {name!r} is level with it, for it is not behind on every seed, and writes "
            f"{market[name]['answer']} tokens for {offer['answer']}. (hint 3)"
        )
    if got not in level and offer["answer"] < market[name]["answer"]:
        raise Wrong(told + f"{got!r} writes fewer tokens, but {leader!r} is ahead of it on every seed. (hint 3)")
    raise Wrong(
        told
        + f"The best runs that can be paid: {', '.join(f'{each} {100 * best[each].mean():.1f}%' for each in best)}. "
        "(hint 1)"
    )


def _shares(right):
    return ", ".join(f"{100 * share:.1f}" for share in right) + "%"


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
        except (ZeroDivisionError, statistics.StatisticsError):
            group = "first answer was wrong" if any(flagged) else "answer was rejected"
            raise Wrong(
                f"Of {len(rows)} rows like {rows[0]!r}, no {group}, and your code takes the mean of nothing: where the group is empty, "
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
    "7.4": check_buy,
    "7.5": check_self_check,
}
