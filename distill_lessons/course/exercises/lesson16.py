"""Checks of lesson 16, the reader's own distillation; and the colleague's project that the lesson hands out."""

import csv
import json
import math
import random
import re
import tempfile
from pathlib import Path

import numpy as np
import torch

from distill_lessons.course.exercises import NotAttempted, Wrong, close
from distill_lessons.course.exercises.common import unchanged

# --- 16.1: a project that does not run --------------------------------------------------------------------------------

CLASSES = ("gut", "schlecht")
ENOUGH = 0.85  # of the unseen texts
PROJECT = """[table]
file = "texts.csv"
text = "text"
label = "label"
[teacher]
kind = "rule"
words = { gut = ["bato"], schlecht = ["gira"] }
[student]
kinds = ["bag"]
width = 16
search_steps = 30
steps = 120
control = false
"""
_PARTS = [first + vowel for first in "bdfgklmnprst" for vowel in "aeiou"]


def _words():
    """Forty made-up words of each class, and eighty that say nothing."""
    rng = random.Random(16)
    found = sorted({rng.choice(_PARTS) + rng.choice(_PARTS) + rng.choice(_PARTS) for _ in range(400)})
    rng.shuffle(found)
    return (["bato", *found[:39]], ["gira", *found[39:78]], found[78:158])


def _text(rng, side, words):
    sides = [words[side if rng.random() < 0.93 else 1 - side] for _ in range(3)]
    said = [rng.choices(each, [0.12] + [1] * (len(each) - 1))[0] for each in sides]  # the rule's word is rarer
    said += rng.choices(words[2], k=5)
    rng.shuffle(said)
    return " ".join(said)


def colleague(folder: str | Path, seed: int = 0) -> Path:
    """Make the colleague's folder: `texts.csv` with 700 reports, and the `project.toml` that PROJECT shows. Returns it."""
    rng, words, folder = random.Random(seed), _words(), Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "texts.csv", "w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, delimiter=";")
        table.writerow(["bericht", "urteil", "p_gut", "p_schlecht"])
        for place in range(700):
            side = rng.randrange(2)
            sure = rng.uniform(0.6, 0.97) if rng.random() < 0.9 else rng.uniform(0.2, 0.45)
            p = sure if side == 0 else 1 - sure
            table.writerow(
                [_text(rng, side, words), CLASSES[side] if place % 12 == 0 else "", f"{p:.3f}", f"{1 - p:.3f}"]
            )
    (folder / "project.toml").write_text(PROJECT, encoding="utf-8")
    return folder


def unseen(count: int, seed: int) -> tuple[list[str], list[str]]:
    """Texts that are in no table, and their classes."""
    rng, words = random.Random(seed), _words()
    sides = [rng.randrange(2) for _ in range(count)]
    return [_text(rng, side, words) for side in sides], [CLASSES[side] for side in sides]


def show_table() -> None:
    """The head of the colleague's table."""
    with tempfile.TemporaryDirectory() as folder:
        lines = (colleague(folder) / "texts.csv").read_text(encoding="utf-8").splitlines()
    print("\n".join(lines[:4]))


def check_answers(answers):
    """16.1: the colleague's project made to run, and its student right on 85% of unseen texts."""
    seed = _draw()
    texts, labels = unseen(1000, seed + 1)
    with tempfile.TemporaryDirectory() as place:
        folder = colleague(Path(place) / "theirs", seed)
        got = answers(folder, list(texts))
        there = [name for name in ("student.json", "vocabulary.json", "model.safetensors")
                 if not (folder / "student" / name).is_file()]  # fmt: skip
        words = [] if there else json.loads((folder / "student" / "vocabulary.json").read_text(encoding="utf-8"))
    got = _listed(got, len(texts), "a class for each text")
    if there:
        raise Wrong(f"There is no student/{there[0]} in the folder: let `project.distil` make the student. (hint 1)")
    odd = [each for each in got if each not in CLASSES]
    if odd:
        raise Wrong(
            f"{odd[0]!r} came where a class was expected, {' or '.join(CLASSES)}: take the likelier one. (hint 3)"
        )
    right = np.mean([one == other for one, other in zip(got, labels)])
    if right >= ENOUGH:
        return
    told = f"Your student is right on {right:.1%} of {len(texts)} unseen texts, and {ENOUGH:.0%} were asked for. "
    if len(set(got)) == 1:
        raise Wrong(told + f"It always says {got[0]!r}. Do you use its answers for these texts? (hint 3)")
    if right < 0.5:
        raise Wrong(told + "So the classes are turned round: which column belongs to which? (hint 2)")
    if len(words) < 60:
        raise Wrong(
            told + "It has learned from few texts: whom has the teacher answered, and who is the teacher? (hint 2)"
        )
    raise Wrong(told + "Who is the teacher? Two words are a poor one; the table holds a better. (hint 2)")


# --- 16.2: what is wrong with a report --------------------------------------------------------------------------------

FAULTS = ("leak", "teacher saw the test", "chosen on the test", "one class", "sound")


def a_report(fault: str, rng: np.random.Generator) -> dict:
    """A made-up report with that fault and no other.

    Returns:
        dict of train, test (lists of texts), classes (test texts by true class), teacher_read (texts whose labels the
        teacher learned from), trials (list of {rate, validation, test}, nats), kept (the rate).
    """
    every = ["".join(rng.choice(list("abcdefgh "), 12)).strip().capitalize() + f" {number}." for number in range(60)]
    train, test = every[:40], every[40:]
    read = [train[place] for place in rng.permutation(40)[:15]]
    if fault == "leak":
        copied = train[int(rng.integers(40))]
        test[int(rng.integers(20))] = f"  {copied.upper()}" if rng.random() < 0.6 else copied
        read = [each for each in read if each != copied]
    if fault == "teacher saw the test":
        seen = test[int(rng.integers(20))]
        read[int(rng.integers(15))] = f"{seen} " if rng.random() < 0.5 else seen
    rates = [0.004 * 2**step for step in range(5)]
    nats = 0.5 + 0.02 * rng.permutation(5)
    order = rng.permutation(5)
    while order.argmin() == nats.argmin():
        order = rng.permutation(5)
    tested = 0.55 + 0.02 * order
    kept = rates[int(tested.argmin() if fault == "chosen on the test" else nats.argmin())]
    trials = [{"rate": rate, "validation": round(float(one), 3), "test": round(float(two), 3)}
              for rate, one, two in zip(rates, nats, tested)]  # fmt: skip
    classes = {"no": 20, "yes": 0} if fault == "one class" else {"no": 11, "yes": 9}
    return {"train": train, "test": test, "classes": classes, "teacher_read": read, "trials": trials, "kept": kept}


def check_fault(fault):
    """16.2: one word for what is wrong with a report; forty are tried."""
    fault, rng = unchanged(fault), np.random.default_rng(_draw())
    for place in rng.permutation(40):
        expected = FAULTS[place % len(FAULTS)]
        given = a_report(expected, rng)
        got = fault(json.loads(json.dumps(given)))
        if not isinstance(got, str) or got not in FAULTS:
            raise Wrong(f"One of {', '.join(FAULTS)} was expected, and this came: {got!r:.60}")
        if got == expected:
            continue
        lowest = {part: min(given["trials"], key=lambda one: one[part])["rate"] for part in ("validation", "test")}
        words = {
            "leak": "A test text stands among the training texts, be it in other capitals or with blanks. (hint 1)",
            "teacher saw the test": "The teacher learned from the label of a test text: its own accuracy is too high. (hint 1)",
            "chosen on the test": f"Kept was {given['kept']:g}, the lowest on the test; on validation {lowest['validation']:g} "
            "is lowest. (hint 2)",
            "one class": f"The test holds {given['classes']}: whoever always says 'no' is right on all. (hint 3)",
            "sound": f"Nothing is shared, both classes are there, and {given['kept']:g} is lowest on validation. That another "
            "rate does better on the test is chance. (hint 2)",
        }  # fmt: skip
        raise Wrong(f"You said {got!r}, and {expected!r} was expected. {words[expected]}")


# --- 16.3: ship it? ---------------------------------------------------------------------------------------------------

WORDS = ("keep the teacher", "label more", "no teacher needed", "ship")


def decided(report: dict) -> tuple[str, float]:
    """The reference."""
    against, control, margin = report["against_teacher"], report["against_control"], report["margin"]
    if against["high"] < -margin:
        return "keep the teacher", against["high"]
    if against["low"] < -margin:
        return "label more", report["needed"] - report["items"]
    if report["days"] is None or report["days"] > report["horizon"]:
        return "keep the teacher", math.inf if report["days"] is None else report["days"]
    if control["low"] <= 0:
        return "no teacher needed", control["low"]
    return "ship", report["days"]


def some_report(kind: int, rng: np.random.Generator) -> dict:
    """A report's numbers, of one of seven kinds."""
    margin = float(rng.choice([0.01, 0.02, 0.03]))
    low = {0: -margin - rng.uniform(0.03, 0.06), 1: -margin - rng.uniform(0.004, 0.02)}.get(
        kind, -margin + rng.uniform(0.001, 0.004)
    )
    high = {0: -margin - rng.uniform(0.002, 0.02), 1: rng.uniform(-0.004, 0.02)}.get(
        kind, low + rng.uniform(0.002, 0.03)
    )
    if kind == 6:  # surely a little worse than its teacher, and within the margin
        high = low + 0.0005
    days = {2: None, 3: float(rng.uniform(400, 900))}.get(kind, float(rng.uniform(5, 300)))
    better = rng.uniform(0.005, 0.05)
    control = {"low": better, "high": better + 0.03} if kind != 4 else {"low": -rng.uniform(0.001, 0.01), "high": 0.02}
    if kind in (0, 1) and rng.random() < 0.5:  # what stands further down must not decide
        control, days = {"low": -0.01, "high": 0.01}, float(rng.uniform(400, 900))
    items = int(rng.integers(150, 900))
    return {
        "against_teacher": {"low": round(float(low), 5), "high": round(float(high), 5)},
        "against_control": {name: round(float(value), 5) for name, value in control.items()},
        "margin": margin, "items": items, "needed": items + int(rng.integers(200, 4000)),
        "days": None if days is None else round(days, 2), "horizon": 365.0,
    }  # fmt: skip


def check_decide(decide):
    """16.3: a word and the number that decides, for forty-two reports."""
    decide, rng = unchanged(decide), np.random.default_rng(_draw())
    for place in rng.permutation(42):
        given = some_report(int(place % 7), rng)
        word, reason = decided(given)
        got = decide(json.loads(json.dumps(given)))
        if not isinstance(got, tuple | list) or len(got) != 2 or got[0] not in WORDS:
            raise Wrong(f"A word of {', '.join(WORDS)} and a number were expected, and this came: {got!r:.60}")
        against = "[{low:+.4f}, {high:+.4f}]".format(**given["against_teacher"])
        told = (
            f"Against its teacher {against}, margin {given['margin']:g}; against the control "
            f"[{given['against_control']['low']:+.4f}, {given['against_control']['high']:+.4f}]; pays after {given['days']} days: "
        )
        if got[0] != word:
            why = {
                "label more": "the interval lies on both sides of minus the margin, so the test cannot say. (hint 1)",
                "no teacher needed": "the student is good enough and pays, and labels alone may be as good. (hint 3)",
                "ship": "the whole interval is above minus the margin, the control is surely beaten, and it pays. (hint 1)",
            }.get(word, "it is surely worse by more than the margin. (hint 1)" if given["against_teacher"]["high"]
                  < -given["margin"] else "it never pays within the horizon. (hint 2)")  # fmt: skip
            raise Wrong(f"{told}{word!r} was expected, and {got[0]!r} came: {why}")
        try:
            value = float(got[1])
        except (TypeError, ValueError):
            raise Wrong(f"The reason must be a number, and this came: {got[1]!r:.40}") from None
        if not close(value, reason, 1e-6) and value != reason:
            raise Wrong(
                f"{told}{word!r} is right; its reason is {reason:g}, and {value:g} came. Which number decided? (hint 3)"
            )


# --- 16.4: read the ledger --------------------------------------------------------------------------------------------

VERDICTS = ("supported", "weaker than claimed", "undecided", "contradicted", "no effect here")


def some_ledger(rng: np.random.Generator) -> list[dict]:
    """Rows as in data/ledger.csv, with the columns that matter; a claim's rows are not always together."""
    rows = []
    for number in rng.permutation(np.arange(1, 60))[:24]:
        claim = f"C{number}" + str(rng.choice(["", "", "a", "b"]))
        for _ in range(int(rng.choice([1, 1, 2]))):
            rows.append({"claim": claim, "role": "main", "verdict": str(rng.choice(VERDICTS, p=[0.6, 0.1, 0.1, 0.1, 0.1])),
                         "grade": str(rng.choice(list("AABBBCD"))), "against": str(rng.choice(["", "", "", "digits"]))})  # fmt: skip
        for _ in range(int(rng.integers(0, 3))):
            rows.append({"claim": claim, "role": "moderator", "verdict": str(rng.choice(VERDICTS)), "grade":
                         str(rng.choice(list("ABCD"))), "against": ""})  # fmt: skip
    return [rows[place] for place in rng.permutation(len(rows))]


def _order(claim):
    found = re.fullmatch(r"C(\d+)(\w?)", claim)
    return int(found[1]), found[2]


def leaned_on(rows: list[dict], grades="AB", roles=("main",), against=True, any_row=False) -> list[str]:
    """The reference, with what a wrong answer leaves out as options."""
    mine = {}
    for row in rows:
        if row["role"] in roles:
            good = row["verdict"] == "supported" and row["grade"] in grades and not (against and row["against"])
            mine.setdefault(row["claim"], []).append(good)
    return sorted((claim for claim, good in mine.items() if (any if any_row else all)(good)), key=_order)


def check_lean_on(lean_on):
    """16.4: the claims that all their main tests support, at grade A or B, and nothing contradicts; by number."""
    lean_on, rng = unchanged(lean_on), np.random.default_rng(_draw())
    for _ in range(12):
        rows = some_ledger(rng)
        expected = leaned_on(rows)
        got = lean_on([dict(row) for row in rows])
        if isinstance(got, str) or not hasattr(got, "__iter__"):
            raise Wrong(f"A list of claims was expected, and this came: {got!r:.60}")
        got = [str(each) for each in got]
        if got == expected:
            continue
        for wrong, words in (
            (leaned_on(rows, roles=("main", "moderator")), "You let moderators decide: only main tests do. (hint 1)"),
            (leaned_on(rows, any_row=True), "One good main test is not enough where a claim has two. (hint 2)"),
            (
                leaned_on(rows, against=False),
                "You keep claims that another test contradicts: look at `against`. (hint 1)",
            ),
            (leaned_on(rows, grades="ABCD"), "You keep grades C and D. (hint 1)"),
            (leaned_on(rows, grades="A"), "Grade B is good enough here. (hint 1)"),
        ):
            if sorted(got) == sorted(wrong):
                raise Wrong(f"{len(expected)} claims were expected, and {len(got)} came. {words}")
        if len(set(got)) < len(got):
            raise Wrong("A claim stands twice in your list: rows are tests, and a claim may have several. (hint 2)")
        if sorted(got) == sorted(expected):
            raise Wrong("The claims are right, and their order is not: C2 comes before C10. (hint 3)")
        odd = sorted(set(got) ^ set(expected), key=str)[0]
        theirs = [row for row in rows if row["claim"] == odd and row["role"] == "main"]
        told = "; ".join(
            f"{row['verdict']}, grade {row['grade']}, against {row['against'] or 'nothing'}" for row in theirs
        )
        raise Wrong(
            f"{odd} is {'in your list' if odd in got else 'missing'}. Its main tests: {told or 'none'}. All must be supported, "
            "grade A or B, and contradicted by nothing. (hint 1)"
        )


# --- 16.5: a teacher of your own --------------------------------------------------------------------------------------

GOOD = ("warm", "clever", "bright", "lovely", "kind", "superb")  # three of each are drawn
BAD = ("dull", "cold", "broken", "grim", "poor", "awful")
_OTHERS = "the film a story of her brother who warms coldness brightly and then some knot nothing dullness".split()


def reference(good, bad):
    """A teacher as asked for: words counted, turned round after "not" or "never", (count + 1) / (all + 2), else None."""

    def judge(text):
        said, counts = re.findall(r"\w+", text.lower()), [0, 0]
        for place, word in enumerate(said):
            side = 0 if word in good else 1 if word in bad else None
            if side is not None:
                turned = place > 0 and said[place - 1] in ("not", "never")
                counts[1 - side if turned else side] += 1
        if not sum(counts):
            return None
        return {"positive": (counts[0] + 1) / (sum(counts) + 2), "negative": (counts[1] + 1) / (sum(counts) + 2)}

    return judge


def _sentence(rng, listed):
    said = [str(each) for each in rng.choice(_OTHERS, int(rng.integers(2, 6)))]
    for _ in range(int(rng.choice([0, 1, 1, 2, 3]))):
        word = str(rng.choice(listed))
        phrase = f"{rng.choice(['not', 'never'])} {word}" if rng.random() < 0.35 else word
        said.insert(int(rng.integers(len(said) + 1)), phrase)
    text = " ".join(said) + str(rng.choice([".", "!", "", " :)"]))
    text = text.replace(" and ", ", and ")
    return text.capitalize() if rng.random() < 0.5 else text.upper() if rng.random() < 0.2 else text


def check_rule(rule):
    """16.5: `rule(good, bad)` returns a teacher as the tool expects one."""
    rng = np.random.default_rng(_draw())
    good, bad = ([str(each) for each in rng.permutation(words)[:3]] for words in (GOOD, BAD))
    judge, own = rule(list(good), list(bad)), reference(good, bad)
    if not callable(judge):
        raise Wrong(f"rule must return a function of one text, and it returned {judge!r:.60}")
    fixed = [f"{good[0].capitalize()}.", f"not {good[0]}", f"NEVER {bad[0]}!", f"{bad[1]}ness and a knot",
             f"{good[0]}, {good[2]}, {bad[2]}", f"{good[1].capitalize()}ly told"]  # fmt: skip
    for text in fixed + [_sentence(rng, good + bad) for _ in range(60)]:
        expected, got = own(text), judge(text)
        if got is Ellipsis:
            raise NotAttempted
        if expected is None:
            if got is not None:
                raise Wrong(
                    f"In {text!r} no word of the lists stands, so None was expected, and {got!r:.60} came: a teacher that knows "
                    "nothing must say so. (hint 3)"
                )
            continue
        if got is None:
            raise Wrong(
                f"For {text!r} {_shown(expected)} was expected, and None came: capitals and full stops? (hint 1)"
            )
        if not isinstance(got, dict) or set(got) != {"positive", "negative"}:
            raise Wrong(f"For {text!r} a dict of positive and negative was expected, and this came: {got!r:.60}")
        if not all(isinstance(each, int | float | np.number) for each in got.values()):
            raise Wrong(f"For {text!r} numbers were expected, and this came: {got!r:.60}")
        if not all(close(got[name], expected[name], 1e-6) for name in expected):
            turned = {"positive": expected["negative"], "negative": expected["positive"]}
            hint = (
                "They do not sum to 1. (hint 3)"
                if abs(sum(got.values()) - 1) > 1e-6
                else "Your two classes are turned round."
                if all(close(got[name], turned[name], 1e-6) for name in turned) and " n" not in f" {text.lower()}"
                else "A word right after not or never counts for the other side. (hint 2)"
                if re.search(r"\b(not|never)\b", text.lower())
                else "Whole words, case aside; (count + 1) / (all + 2). (hint 1)"
            )
            raise Wrong(f"For {text!r} {_shown(expected)} was expected, and {_shown(got)} came. {hint}")


def _shown(found):
    return ", ".join(f"{name} {float(value):.3f}" for name, value in sorted(found.items()))


# --- Common -----------------------------------------------------------------------------------------------------------


def _draw():
    return int(torch.randint(2**31, ()))


def _listed(got, count, what):
    if isinstance(got, str) or not hasattr(got, "__iter__"):
        raise Wrong(f"A list with {what} was expected, and this came: {got!r:.60}")
    got = list(got)
    if len(got) != count:
        raise Wrong(f"A list with {what} was expected, {count} in all, and {len(got)} came")
    return got


CHECKS = {
    "16.1": check_answers,
    "16.2": check_fault,
    "16.3": check_decide,
    "16.4": check_lean_on,
    "16.5": check_rule,
}
