"""Word problems from templates, one to four steps of plus and minus, for the small models of `multiplication`.

"Mia has 12 pears . she buys 3 pears . she gives Tom 5 pears . how many pears does Mia have now ?" Names, things, verbs and
numbers vary. Some orders of sentences are held out: no training problem uses them, though every word is familiar.
"""

import random
import re
from typing import NamedTuple

from tokenizers import pre_tokenizers

from distill_lessons.pairs import multiplication

NAMES = {"Mia": "she", "Ada": "she", "Zoe": "she", "Eva": "she", "Tom": "he", "Ben": "he", "Leo": "he", "Max": "he"}
THINGS = ("apples", "pears", "books", "coins", "cards", "shells", "stamps", "pens", "eggs", "nuts")
EVENTS = {
    "{he} buys {k} {things} .": ("+", "buys"),
    "{he} finds {k} more .": ("+", "finds"),
    "{friend} gives {name} {k} {things} .": ("+", "gets"),
    "{he} loses {k} {things} .": ("-", "loses"),
    "{he} sells {k} of them .": ("-", "sells"),
    "{he} gives {friend} {k} {things} .": ("-", "gives"),
}
STARTS = ("{name} has {n} {things} .", "there are {n} {things} on the table of {name} .")
QUESTIONS = ("how many {things} does {name} have now ?", "how many {things} are left ?")
TEMPLATES = {  # which start, which question, and whether the question comes first
    "seen": ((0, 0, False), (0, 1, False), (1, 1, False)),
    "held out": ((1, 0, False), (0, 0, True)),
}
LARGEST = 60


class Problem(NamedTuple):
    """A prompt, its answer, an explanation that ends in the answer, and the number of steps that it takes."""

    prompt: str
    answer: str
    explanation: str
    steps: int


def problems(count, seed, templates="seen", steps=(1, 2, 3, 4)):
    """Problems drawn at random, as many of each number of steps; the same for the same arguments."""
    rng = random.Random(f"{seed} {templates}")
    return [_problem(rng, steps[place % len(steps)], rng.choice(TEMPLATES[templates])) for place in range(count)]


def split(train=6000, test=600):
    """Training problems, test problems of the same templates, and of those held out; no test prompt is a training prompt."""
    tests = {name: problems(test, "test", name) for name in TEMPLATES}
    taken = {problem.prompt for problem in tests["seen"]}
    return [p for p in problems(train, "train") if p.prompt not in taken], tests["seen"], tests["held out"]


def _problem(rng, steps, template):
    start, question, question_first = template
    name, friend = rng.sample(list(NAMES), 2)
    words = {"name": name, "friend": friend, "he": NAMES[name], "things": rng.choice(THINGS)}
    have = rng.randrange(3, 21)
    told, shown = [STARTS[start].format(n=have, **words)], []
    for _ in range(steps):
        fitting = [
            event for event, (sign, _) in EVENTS.items() if sign == "+" and have < LARGEST or have > 1 and sign == "-"
        ]
        event = rng.choice(fitting)
        sign, verb = EVENTS[event]
        k = rng.randrange(1, min(20, LARGEST - have) + 1) if sign == "+" else rng.randrange(1, min(20, have - 1) + 1)
        after = have + k if sign == "+" else have - k
        told.append(event.format(k=k, **words))
        shown.append(f"{verb} {k} : {have} {sign} {k} = {after} .")
        have = after
    asked = QUESTIONS[question].format(**words)
    prompt = " ".join([asked, *told] if question_first else [*told, asked])
    return Problem(prompt, str(have), " ".join([*shown, str(have)]), steps)


def final_answer(text):
    """The number that a response ends in, or None. A decoded number has spaces between its digits."""
    joined = re.sub(r"(?<=\d) (?=\d)", "", text)
    last = re.search(r"(\d+)$", joined.strip())
    return int(last[1]) if last else None


def is_right(problem, text):
    """Whether a response ends in the problem's answer."""
    return final_answer(text) == int(problem.answer)


def tokenizer():
    """One token a word, sign or digit; a tokenizer of transformers like that of `multiplication`."""
    texts = [*EVENTS, *STARTS, *QUESTIONS, *NAMES, *NAMES.values(), *THINGS, *(verb for _, verb in EVENTS.values())]
    words = {word for text in texts for word in text.split() if "{" not in word}
    splitter = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Digits(individual_digits=True)]
    )
    return multiplication.small_tokenizer([*"0123456789+-=:", *sorted(words)], splitter, None)


def student(seed=0):
    """The student of `multiplication` with a row of its embedding for every word."""
    return multiplication.llama(len(tokenizer()), 64, 2, seed)
