"""Checks of lesson 06, synthetic data; a stand-in for a server, and what the lesson's options cost and gain."""

import contextlib
import copy
import functools
import itertools
import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import torch
import torch.nn.functional as F

from distill_lessons import training
from distill_lessons.course.exercises import Wrong
from distill_lessons.course.exercises.common import KINDS, unchanged
from distill_lessons.course.experiments import lesson06_filters, lesson06_hot
from distill_lessons.course.stated import Comparison
from distill_lessons.pairs import reviews, reviews_written
from distill_lessons.teacher import filters

# --- A stand-in for a server ------------------------------------------------------------------------------------------


@contextlib.contextmanager
def stand_in(answer: Callable[[str], str]) -> Iterator[str]:
    """A server on this machine that speaks as OpenAI's do, and gives its url. It counts a word as a token."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["messages"][-1]["content"]
            said = answer(asked)
            choice = {"message": {"content": said}, "finish_reason": "stop"}
            usage = {"prompt_tokens": len(asked.split()), "completion_tokens": len(said.split())}
            body = json.dumps({"choices": [choice], "usage": usage}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *arguments):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1"
    finally:
        server.shutdown()
        server.server_close()


def _rng():
    return np.random.default_rng(int(torch.randint(2**31, ())))


# --- 6.1: a filter, by precision at a fixed recall --------------------------------------------------------------------

SAID = {
    "teacher": "tuned-640",
    "small": "tuned-160",
    "large": "tuned-2560",
    "prompted": "prompted",
    "words": "rules",
}
REVIEWED, RECALL, PRECISION = 1500, 0.5, 0.56


@functools.cache
def _pool():
    """Who says with which probability that a sentence of the pool is positive, and where the teacher is wrong."""
    places = reviews.pool("tuned-640")
    said = {name: reviews.logits(who)[places].softmax(-1)[:, 1].double().numpy() for name, who in SAID.items()}
    return said, lesson06_filters.wrong()


def precision_at(doubt: np.ndarray, wrong: np.ndarray, recall: float = RECALL) -> float:
    """The share of errors among the rows of most doubt, taken until they hold `recall` of all errors."""
    order = np.argsort(-doubt, kind="stable")
    found = np.cumsum(wrong[order])
    taken = np.searchsorted(found, np.ceil(recall * wrong.sum())) + 1
    return float(found[taken - 1] / taken)


def _simple(said):
    """Doubts that are not enough by themselves, with what to say of each."""
    own = said["teacher"] > 0.5
    against = {name: np.where(own, 1 - p, p) for name, p in said.items()}
    others = [name for name in said if name != "teacher"]
    yield against["teacher"], "That is the teacher's own doubt, and it is sure of many of its errors. (hint 1)"
    for name in others:
        yield against[name], f"You go by {name!r} alone, and the others know something too. (hint 2)"
        yield (said[name] > 0.5) != own, f"You ask whether {name!r} answers otherwise, not how surely. (hint 1)"
    votes = sum(((said[name] > 0.5) != own).astype(float) for name in others)
    yield votes, "You count who answers otherwise: one vote each, whoever is good. (hint 2)"
    yield sum(against.values()), "All count alike, and some are much better than others. (hint 2)"
    yield sum(against[name] for name in others), "All count alike, and some are much better than others. (hint 2)"


def _called(function, *arguments):
    """What a function gives for copies of these; `Wrong` if it changes an array, in a dict or alone."""
    handed = copy.deepcopy(arguments)
    answer = function(*handed)
    for was, now in zip(arguments, handed):
        pairs = [(was[name], now.get(name)) for name in was] if isinstance(was, dict) else [(was, now)]
        if not all(np.array_equal(one, other) for one, other in pairs):
            raise Wrong(f"Your function changes what it gets. {KINDS[np.ndarray][1]}")
    return answer


def check_doubt(doubt):
    """6.1: numbers a row, the teacher's errors first; in two orders of the rows, for in one a wrong answer may be lucky."""
    for _ in range(2):
        _check_doubt(doubt)


def _check_doubt(doubt):
    every, bad = _pool()
    order = _rng().permutation(len(bad))
    said, bad = {name: p[order] for name, p in every.items()}, bad[order]
    # The same sentences are reviewed each time, so that a good answer cannot fail by a poor draw; their rows are others.
    reviewed = np.flatnonzero(np.isin(order, np.random.default_rng(0).permutation(len(bad))[:REVIEWED]))
    answer = _called(doubt, said, reviewed, bad[reviewed])
    try:
        answer = np.asarray(answer.detach() if isinstance(answer, torch.Tensor) else answer, dtype=float)
    except (TypeError, ValueError):
        raise Wrong(f"An array of {len(bad)} numbers was expected, and this came: {answer!r:.60}.") from None
    if answer.shape != bad.shape or not np.isfinite(answer).all():
        raise Wrong(f"{len(bad)} finite numbers were expected, one a row, and this came: shape {list(answer.shape)}.")
    rest = np.setdiff1d(np.arange(len(bad)), reviewed)
    got = precision_at(answer[rest], bad[rest])
    if got >= PRECISION:
        return
    told = (
        f"To drop half of the teacher's errors, {got:.0%} of what you drop are errors: {PRECISION:.0%} was expected, and "
        f"chance has {bad[rest].mean():.0%}. "
    )
    if precision_at(-answer[rest], bad[rest]) > max(got, 0.3):
        raise Wrong(told + "The other way round it is better: the greatest doubt goes first.")
    for value, words in _simple(said):
        if abs(np.corrcoef(_ranks(answer), _ranks(value))[0, 1]) > 0.999:
            raise Wrong(told + words)
    raise Wrong(
        told + "Learn from the reviewed rows how much each one's voice against the teacher is worth. (hints 1, 3)"
    )


def _ranks(values):
    """Ranks, equal ones alike; a constant has a little noise, so that a correlation exists."""
    values = np.asarray(values, dtype=float)
    if values.std() == 0:
        values = np.random.default_rng(0).random(len(values))
    return np.unique(values, return_inverse=True)[1].astype(float)


# --- 6.2: the order of filters ----------------------------------------------------------------------------------------


def _cost(order, seconds, keeps):
    """Seconds, if each filter sees what those before it keep."""
    left, total = np.ones(len(next(iter(keeps.values()))), bool), 0.0
    for name in order:
        total += left.sum() * seconds[name]
        left &= keeps[name]
    return total


def _cheapest(seconds, keeps):
    return min(_cost(order, seconds, keeps) for order in itertools.permutations(seconds))


def _greedy(seconds, keeps):
    """Always the filter that costs least for each row that it drops of those that are left."""
    left, order = np.ones(len(next(iter(keeps.values()))), bool), []
    while len(order) < len(seconds):
        name = min(
            (each for each in seconds if each not in order),
            key=lambda each: seconds[each] / max((left & ~keeps[each]).sum(), 1e-9),
        )
        order.append(name)
        left = left & keeps[name]
    return order


def _by(key):
    return lambda seconds, keeps: sorted(seconds, key=lambda name: key(name, seconds, keeps))


ORDERS = (
    (_by(lambda name, s, k: s[name]), "The cheapest go first, even those that drop nearly nothing. (hint 1)"),
    (_by(lambda name, s, k: k[name].mean()), "Those that drop most go first, whatever they cost. (hint 1)"),
    (_by(lambda name, s, k: s[name] / max((~k[name]).sum(), 1e-9)),
     "You count what a filter drops of all rows: after another one it may find little that is left. (hint 2)"),
    (_by(lambda name, s, k: -s[name]), "The dearest go first, and so see every row. (hint 1)"),
)  # fmt: skip
SLACK = 1.02


def _pipeline(rng):
    """Five filters of 1,000 rows, two of which drop much the same; simple rules do not find the cheapest order."""
    while True:
        rows = 1000
        names = [f"filter {letter}" for letter in rng.permutation(list("PQRST"))]
        base = rng.random(rows) < rng.uniform(0.5, 0.7)
        drops = [
            base,
            base & (rng.random(rows) < 0.95) | (rng.random(rows) < 0.08),
            rng.random(rows) < rng.uniform(0.01, 0.05),
            rng.random(rows) < rng.uniform(0.2, 0.5),
            rng.random(rows) < rng.uniform(0.6, 0.85),
        ]
        prices = [1.0, rng.uniform(1.2, 1.8), rng.uniform(0.2, 0.6), rng.uniform(1, 3), rng.uniform(8, 20)]
        keeps = {name: ~dropped for name, dropped in zip(names, drops)}
        seconds = {name: round(float(price) / 1000, 5) for name, price in zip(names, prices)}
        shuffled = rng.permutation(names).tolist()
        keeps, seconds = ({name: each[name] for name in shuffled} for each in (keeps, seconds))
        best = _cheapest(seconds, keeps)
        costs = [_cost(rule(seconds, keeps), seconds, keeps) for rule, _ in ORDERS]
        as_they_came = _cost(list(seconds), seconds, keeps)
        if min(*costs, as_they_came) > best * 1.05 and _cost(_greedy(seconds, keeps), seconds, keeps) < best * 1.01:
            return seconds, keeps, best


def check_order(order):
    """6.2: the order of filters that takes the fewest seconds; within two per cent."""
    rng = _rng()
    for _ in range(3):
        seconds, keeps, best = _pipeline(rng)
        answer = _called(order, seconds, keeps)
        if isinstance(answer, str) or not isinstance(answer, (list, tuple, np.ndarray)):
            raise Wrong(f"A list of the filters' names was expected, and this came: {answer!r:.60}.")
        answer = [str(name) for name in answer]
        if sorted(answer) != sorted(seconds):
            raise Wrong(f"Each of {', '.join(sorted(seconds))} was expected once, and this came: {', '.join(answer)}.")
        got = _cost(answer, seconds, keeps)
        if got <= best * SLACK:
            continue
        told = f"Your order takes {got:.2f} seconds for 1,000 rows, and another one {best:.2f}. "
        for rule, words in ORDERS:
            if answer == rule(seconds, keeps):
                raise Wrong(told + words)
        raise Wrong(told + "Five filters have 120 orders: add up what each one costs. (hints 2, 3)")


# --- 6.3: find the leak -----------------------------------------------------------------------------------------------

LEAKS = ("copies", "near-copies", "same prompts", "label in the text", "none")
SIGNS = {
    "copies": "test texts stand in the training set too, but for case and punctuation (hint 1)",
    "near-copies": "test texts stand in the training set with a word or two changed (hint 2)",
    "same prompts": "no text is in both, but many were written from the same prompt (hint 3)",
    "label in the text": "one word stands in every positive text and in no other, so the label can be read off (hint 3)",
    "none": "nothing is shared but what any two sets of sentences share",
}
MARKS = ("usr9", "kv7", "zzt", "bx3", "qp4")  # one word each, however words are told apart, and in no sentence


@functools.cache
def _sentences():
    """Written sentences that are unlike each other, by prompt: {prompt: [(text, label), …]}."""
    frame = reviews_written.written()
    frame = frame[frame["temperature"] < 1.5]
    alone, seen, by = [], set(), {}
    for row in frame.itertuples():
        words = filters.words(row.text)
        groups = set(zip(words, words[1:], words[2:]))
        if len(words) >= 8 and len(groups & seen) <= 0.4 * len(groups):
            seen |= groups
            alone.append(row)
    for row in alone:
        by.setdefault(row.prompt, []).append((row.text, int(row.yes > row.no)))
    return by


def _changed(text, rng):
    """A text in other case, with other punctuation and spaces."""
    text = rng.choice([text.upper(), text.lower(), text.title()])
    return f" {text.rstrip('.!? ')}{rng.choice(['!', ' .', ''])} ".replace(", ", rng.choice([" , ", "  ", ", "]))


def _nearly(text, rng):
    """A text in which one word is left out and another one is doubled."""
    words = text.split()
    del words[rng.integers(len(words))]
    at = rng.integers(len(words))
    return " ".join(words[:at] + [words[at]] + words[at:])


def _sets(leak, rng):
    """Training and test rows, dicts of text, label and prompt; one of LEAKS is in them."""
    by = _sentences()
    prompts = rng.permutation(sorted(by, key=int)).tolist()
    rows = {"test": [], "train": []}
    for name, some in (("test", prompts[:150]), ("train", prompts[150:600])):
        for prompt in some:
            text, label = by[prompt][int(rng.integers(len(by[prompt])))]
            rows[name].append({"text": text, "label": label, "prompt": prompt})
    test, train = rows["test"], rows["train"]
    fresh = (str(number) for number in rng.permutation(np.arange(5000, 9000)))
    chosen = rng.permutation(len(test))[: int(rng.integers(45, 75))]
    if leak in ("copies", "near-copies"):
        change = _changed if leak == "copies" else _nearly
        train += [dict(test[place], text=change(test[place]["text"], rng), prompt=next(fresh)) for place in chosen]
    elif leak == "same prompts":
        shared = [prompt for prompt in prompts if len(by[prompt]) > 1][: len(chosen)]
        mine = set(shared)
        test[:] = [row for row in test if row["prompt"] not in mine]
        train[:] = [row for row in train if row["prompt"] not in mine]
        for prompt in shared:
            for place, (text, label) in enumerate(by[prompt][:2]):
                (test if place else train).append({"text": text, "label": label, "prompt": prompt})
    elif leak == "label in the text":
        mark = str(rng.choice(MARKS))
        for row in (*test, *train):
            if row["label"] == 1:
                words = row["text"].split()
                words.insert(int(rng.integers(len(words) + 1)), mark)
                row["text"] = " ".join(words)
    return [[rows[place] for place in rng.permutation(len(rows))] for rows in (train, test)]


def check_find_leak(find_leak):
    """6.3: which leak is in a data set; each kind twice."""
    find_leak, rng = unchanged(find_leak), _rng()
    cases = rng.permutation([*LEAKS, *LEAKS]).tolist()
    missed = []
    for leak in cases:
        train, test = _sets(leak, rng)
        answer = find_leak(copy.deepcopy(train), copy.deepcopy(test))
        if not isinstance(answer, str) or answer not in LEAKS:
            raise Wrong(f"One of {', '.join(LEAKS)} was expected, and this came: {answer!r:.60}.")
        if answer != leak:
            missed.append((leak, answer))
    if missed:
        leak, answer = missed[0]
        raise Wrong(
            f"{len(missed)} of {len(cases)} data sets are named wrongly. Of one you say {answer!r}, and it is {leak!r}: "
            f"{SIGNS[leak]}."
        )


# --- 6.4: spend a budget ----------------------------------------------------------------------------------------------

REASONS = ("gains most", "only one", "too dear", "no sure gain")
# What each option is about: a recorded arm; labels, teacher calls and sentences read again that it takes, from 2,500
# sentences that the teacher has answered. Lesson 2's students learned from all 5,000 of the same sentences.
HALVES, WHOLE = "lesson06-filters", "lesson02-reviews"
OPTIONS = {
    "2,500 more answers": (HALVES, "all", 0, 2500, 0),
    "5,000 with probabilities": (WHOLE, "soft", 0, 2500, 0),
    "640 labels more": (HALVES, "labels too", 640, 0, 0),
    "the sure half of 5,000": (HALVES, "confident", 0, 2500, 0),
    "reward's half of 5,000": (HALVES, "reward", 0, 2500, 0),
    "three teachers agree": (HALVES, "three agree", 1920, 12500, 0),
    "reviewed: the right half": (HALVES, "people", 0, 2500, 5000),
    "reviewed: all corrected": (WHOLE, "people", 0, 2500, 5000),
}
A_MINUTE = 5  # sentences that a person reviews


def _option(name, gain, labels, calls, minutes):
    return {"name": name, "gain": tuple(gain), "labels": labels, "calls": calls, "minutes": minutes}


@functools.cache
def _recorded():
    def gain(table, arm):
        tables = HALVES if table == HALVES else f"{table} + {HALVES}"  # an arm is looked for in the first one first
        return tuple(Comparison("", tables, "accuracy", arm, "random").interval()[:3])

    return [
        _option(name, gain(table, arm), labels, calls, read // A_MINUTE)
        for name, (table, arm, labels, calls, read) in OPTIONS.items()
    ]


def options() -> list[dict]:
    """What may be bought on top of 2,500 answers, with its recorded gain, and the labels, calls and minutes it takes."""
    return copy.deepcopy(_recorded())


def show_options() -> None:
    """The options as a table, gains in points."""
    print(f"{'option':24}{'gain':>20}{'labels':>8}{'calls':>8}{'minutes':>9}")
    for each in options():
        value, low, high = (100 * part for part in each["gain"])
        span = f"{value:+.1f} [{low:+.1f}, {high:+.1f}]"
        print(f"{each['name']:24}{span:>20}{each['labels']:>8,}{each['calls']:>8,}{each['minutes']:>9,}")


def _price(option, prices):
    return sum(option[what] * prices[what] for what in ("labels", "calls", "minutes"))


def _spent(options, prices, budget, least):
    sure = [each for each in options if each["gain"][1] >= least]
    fits = [each for each in sure if _price(each, prices) <= budget]
    if not fits:
        return "nothing", "too dear" if sure else "no sure gain"
    best = max(fits, key=lambda each: each["gain"][0])
    return best["name"], "gains most" if len(fits) > 1 else "only one"


def _market(rng, kind):
    """Options, prices, a budget and a least gain with that outcome, nothing near a border."""
    while True:
        least = float(rng.uniform(0.003, 0.012))
        prices = {"labels": rng.uniform(0.05, 0.3), "calls": rng.uniform(0.001, 0.02), "minutes": rng.uniform(0.3, 1.2)}
        prices = {name: round(float(value), 4) for name, value in prices.items()}
        sure = rng.random(6) < {"no sure gain": 0.0, "only one": 0.3, "too dear": 0.4, "gains most": 0.6}[kind]
        value = np.where(sure, least + rng.uniform(0.004, 0.025, 6), least + rng.uniform(-0.01, 0.025, 6))
        half = np.where(sure, (value - least) * rng.uniform(0.3, 0.7, 6), np.maximum(value - least, 0) + 0.004)
        amounts = rng.integers(1, (2000, 20000, 1200), size=(6, 3)) * (rng.random((6, 3)) < 0.6)
        made = [
            _option(f"option {letter}", map(float, gain), *map(int, amount))
            for letter, gain, amount in zip("KLMNOP", zip(value, value - half, value + half), amounts)
        ]
        costs = np.array([_price(each, prices) for each in made])
        low, high = (0.05, 0.3) if kind == "too dear" else (0.3, 0.8)
        budget = round(float(np.quantile(costs, rng.uniform(low, high))) * float(rng.uniform(0.9, 1.1)), 2)
        if costs.min() <= 0 or (abs(costs - budget) <= 0.02 * budget).any():
            continue
        answer = _spent(made, prices, budget, least)
        others = [_spent_otherwise(made, prices, budget, least, way) for way in range(3)]
        if answer[1] == kind and (kind != "gains most" or answer[0] not in others):
            return made, prices, budget, least


def _borders(rng):
    """Two markets in which the best option gains the least that is asked for, or costs the whole budget, to the last bit."""
    prices = {"labels": 0.25, "calls": 0.125, "minutes": 0.5}  # such numbers add up without a rounding error
    for low, calls in ((0.0078125, 800), (0.015625, 4000)):
        best, other, *rest = (f"option {letter}" for letter in rng.permutation(list("KLMNOP")))
        made = [
            _option(best, (0.03125, low, 0.0546875), 0, calls, 0),
            _option(other, (0.015625, 0.01171875, 0.01953125), 100, 0, 50),
            _option(rest[0], (0.0234375, 0.00390625, 0.04296875), 0, 100, 0),
            _option(rest[1], (0.0390625, 0.01953125, 0.05859375), 4000, 0, 0),
        ]
        yield [made[place] for place in rng.permutation(4)], prices, 500.0, 0.0078125


def _spent_otherwise(options, prices, budget, least, way):
    """What three short cuts choose: the greatest estimate, the most for the money, the cheapest."""
    fits = [each for each in options if _price(each, prices) <= budget]
    if way:
        fits = [each for each in fits if each["gain"][1] >= least]
    if not fits:
        return None
    keys = (
        lambda each: each["gain"][0],
        lambda each: each["gain"][0] / max(_price(each, prices), 1e-9),
        lambda each: -_price(each, prices),
    )
    return max(fits, key=keys[way])["name"]


def check_spend(spend):
    """6.4: what to buy, and why."""
    spend, rng = unchanged(spend), _rng()
    cases = [(options(), {"labels": 0.2, "calls": 0.002, "minutes": 0.5}, budget, 0.0) for budget in (10, 100, 600)]
    cases += [*(_market(rng, kind) for kind in (*REASONS, *REASONS)), *_borders(rng)]
    for place in rng.permutation(len(cases)):
        shown, prices, budget, least = cases[place]
        name, why = _spent(shown, prices, budget, least)
        answer = spend(copy.deepcopy(shown), dict(prices), budget, least)
        if not isinstance(answer, (tuple, list)) or len(answer) != 2:
            raise Wrong(f"A pair was expected, what to buy and why, and this came: {answer!r:.60}.")
        bought, said = answer
        if said not in REASONS or bought not in {"nothing", *(each["name"] for each in shown)}:
            raise Wrong(
                f"The name of an option, or 'nothing', and one of {', '.join(REASONS)} were expected: {answer!r:.80}."
            )
        if (bought, said) == (name, why):
            continue
        table = "; ".join(
            f"{each['name']} {100 * each['gain'][0]:+.2f} [{100 * each['gain'][1]:+.2f}, {100 * each['gain'][2]:+.2f}] for "
            f"{_price(each, prices):,.2f}"
            for each in shown
        )
        raise Wrong(
            f"With {budget:,.2f} to spend and {100 * least:.2f} points to gain, you say {bought!r}, {said!r}, and it is "
            f"{name!r}, {why!r}. {_why_not(shown, prices, budget, least, bought, said, name)} Gains in points and prices: {table}."
        )


def _why_not(shown, prices, budget, least, bought, said, name):
    chosen = next((each for each in shown if each["name"] == bought), None)
    best = next((each for each in shown if each["name"] == name), None)
    if bought != name and best and best["gain"][1] == least:
        return f"The interval of {name} begins just at the least: that is enough. (hint 2)"
    if bought != name and best and _price(best, prices) == budget:
        return f"{name[0].upper()}{name[1:]} costs just what there is: that fits. (hint 1)"
    if chosen is None and name != "nothing":
        return "One is sure to gain enough, and can be paid. (hints 1, 2)"
    if chosen is None:
        return "Does any option surely gain enough, whatever it costs? (hint 3)"
    if _price(chosen, prices) > budget:
        return "That costs more than there is: labels, calls and minutes all count. (hint 1)"
    if chosen["gain"][1] < least:
        return "Its interval reaches below what must be gained: that is not sure. (hint 2)"
    if bought != name:
        return "Of those that fit and are sure, another one gains more. (hint 3)"
    return "What is bought is right, and the reason is not: count those that fit and are sure. (hint 3)"


# --- 6.5: choose what to learn from -----------------------------------------------------------------------------------

COUNT, RIGHT_SHARE, TRAININGS = 600, 0.6, 4  # fixed seeds, rows in order: a choice has one score


@functools.cache
def _written():
    features, soft = lesson06_hot.everything()
    frame = reviews_written.written()
    return frame["text"].tolist(), frame["positive"].to_numpy(), features, soft


def learned(rows: np.ndarray, seed: int) -> float:
    """The share of the validation sentences that a student gets right, after 40 steps on these written ones."""
    _, _, features, soft = _written()
    targets = soft[rows]
    torch.manual_seed(seed)
    student = training.fit(
        reviews.frozen(), features[rows], torch.zeros(len(rows), dtype=torch.long),
        loss=lambda z, p, labels: F.cross_entropy(z, p), teacher=lambda batch: targets.to(batch.device),
        steps=40, learning_rate=2e-3, seed=seed,
    )  # fmt: skip
    places = reviews.places("validation")
    with torch.no_grad():
        said = student(reviews.features()[places].to(next(student.parameters()).device)).argmax(-1).cpu()
    return (said == reviews.labels()[places]).float().mean().item()


def check_choose(choose):
    """6.5: 600 of the written sentences, from which a student learns."""
    choose = unchanged(choose)
    texts, positive, _, soft = _written()
    order = _rng().permutation(len(texts))
    answer = choose([texts[place] for place in order], positive[order].copy(), soft[order].double().numpy().copy())
    try:
        rows = np.asarray(answer.detach() if isinstance(answer, torch.Tensor) else answer)
        rows = np.flatnonzero(rows) if rows.dtype == bool else rows
        whole = rows.ndim == 1 and np.issubdtype(rows.dtype, np.number) and (rows == rows.astype(int)).all()
    except (TypeError, ValueError):
        whole = False
    if not whole:
        raise Wrong(f"{COUNT} row numbers were expected, and this came: {answer!r:.60}.")
    rows = rows.astype(int)
    if len(rows) != COUNT or len(set(rows.tolist())) != COUNT:
        raise Wrong(f"{COUNT} different rows were expected, and {len(set(rows.tolist()))} came.")
    if rows.min() < 0 or rows.max() >= len(texts):
        raise Wrong(f"Row numbers go from 0 to {len(texts) - 1}, and {rows.min()} to {rows.max()} came.")
    places = order[rows]
    got = float(np.mean([learned(np.sort(places), seed) for seed in range(TRAININGS)]))
    if got >= RIGHT_SHARE:
        return
    told = (
        f"Students of your {COUNT} are right on {got:.1%} of the validation sentences, and {RIGHT_SHARE:.1%} was expected "
        "(drawn at random: 55%). "
    )
    chosen = [texts[place] for place in places]
    ended = np.mean([bool(re.search(r"[.!?]\W*$", text)) for text in chosen])
    shares = soft[places].argmax(-1).double().mean().item()
    if ended < 0.8:
        raise Wrong(told + f"Only {ended:.0%} of them end as a sentence does: what became of the others? (hint 1)")
    if not 0.25 <= shares <= 0.75:
        raise Wrong(told + f"The teacher hears {shares:.0%} of them as positive: a student needs both. (hint 3)")
    raise Wrong(told + "They end as sentences do. Are they sentences? Look at the longest and the strangest. (hint 2)")


CHECKS = {
    "6.1": check_doubt,
    "6.2": check_order,
    "6.3": check_find_leak,
    "6.4": check_spend,
    "6.5": check_choose,
}
