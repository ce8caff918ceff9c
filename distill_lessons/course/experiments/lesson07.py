"""Lesson 07, chain of thought: answers against worked steps, other styles of trace, flawed traces, and word problems."""

import time

from transformers import TrainerCallback

from distill_lessons import evaluation
from distill_lessons.course.experiments.on_multiplication import (
    BATCH,
    LONGEST,
    STEPS,
    accuracy,
    ask,
    learn,
    rate_of,
    search,
    steps_for,
    texts,
    tokens_of,
)
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import multiplication as pair
from distill_lessons.pairs import word_problems

CURVE = (250, 500, 1000, 1500)  # steps of STEPS after which validation problems are asked, beside the end


# --- Training and scoring ---------------------------------------------------------------------------------------------


class Curve(TrainerCallback):
    """Accuracy on the validation problems after some of the steps; `seconds` is the time that this took."""

    def __init__(self, steps):
        self.at, self.found, self.seconds = {round(steps * part / STEPS): part for part in CURVE}, {}, 0.0

    def on_step_end(self, args, state, control, model=None, **rest):
        if state.global_step in self.at:
            began = time.perf_counter()
            share = accuracy(pair.problems("validation"), ask(model, pair.problems("validation")))
            self.found[f"accuracy after {self.at[state.global_step]}"] = share
            self.seconds += time.perf_counter() - began


def wrong_place(a, b, text):
    """Where a worked trace is wrong first: "form", "first product", "second product", "sum"; None if nowhere."""
    parts = text.replace("+", "=").split("=")
    good = pair.steps(a, b).replace("+", "=").split("=")
    if len(parts) != len(good) or parts[:2] != good[:2]:
        return "form"
    if parts[2] != good[2]:
        return "first product"
    if parts[3] != good[3]:
        return "second product"
    return None if parts[4] == good[4] else "sum"


def self_check(problems, made):
    """How well a verifying student's check finds the errors of its first attempt.

    Returns:
        dict of "first accuracy" (of first attempts), "flagged" (share that the check rejects), and where they are defined
        "precision" (share of the rejected that were wrong) and "recall" (share of the wrong that were rejected).
    """
    wrong, flagged = [], []
    for (a, b), text in zip(problems, made):
        first = (pair.attempts(text) or [(None, None)])[0]
        wrong.append(first[0] != a * b)
        flagged.append(first[1] == "n")
    both = sum(w and f for w, f in zip(wrong, flagged))
    found = {"first accuracy": 1 - sum(wrong) / len(wrong), "flagged": sum(flagged) / len(flagged)}
    found["gain of the check"] = accuracy(problems, made) - found["first accuracy"]
    if any(flagged):
        found["precision"] = both / sum(flagged)
    if any(wrong):
        found["recall"] = both / sum(wrong)
    return found


def score(model, material):
    """Of a student of `material`, on test problems: accuracy, by carries, out of distribution; tokens; where it errs."""
    problems = pair.problems("test")
    made = ask(model, problems)
    found = {"accuracy": accuracy(problems, made), "tokens": sum(len(text) + 1 for text in made) / len(made)}
    for count, name in enumerate(("no carry", "one carry", "more carries")):
        chosen = [(p, text) for p, text in zip(problems, made) if min(pair.carries(*p), 2) == count]
        found[name] = accuracy(*zip(*chosen))
    found["more carries minus none"] = found["more carries"] - found["no carry"]
    longer = pair.longer_problems()
    found["three digits"] = accuracy(longer, ask(model, longer))
    if material != "answer":
        found["true traces"] = sum(pair.first_error(a, b, t) is None for (a, b), t in zip(problems, made)) / len(made)
    if material == "verified":
        found |= self_check(problems, made)
    if material in ("steps", "teacher", "noisy", "noisy all", "wrong_answer"):
        places = [wrong_place(a, b, text) for (a, b), text in zip(problems, made)]
        found |= {
            f"wrong: {p}": places.count(p) / len(places) for p in ("form", "first product", "second product", "sum")
        }
    return found


ARMS = {  # what is learned, and what is equal to the run on worked steps
    "answer": ("answer", "steps"),
    "answer, equal tokens": ("answer", "tokens"),
    "teacher's steps": ("teacher", "steps"),
    "steps": ("steps", "steps"),
    "detailed": ("detailed", "tokens"),
    "mistake": ("mistake", "tokens"),
    "verified": ("verified", "tokens"),
    "mistake, equal steps": ("mistake", "steps"),
    "verified, equal steps": ("verified", "steps"),
}
FLAWED = {
    "wrong steps": ("wrong_steps", "steps"),
    "wrong answers": ("wrong_answer", "steps"),
    "shuffled": ("shuffled", "steps"),
    "noisy": ("noisy all", "steps"),
    "noisy, filtered": ("noisy", "steps"),
}
SEARCHED = ("answer", "steps", "detailed", "verified")  # the others take the rate of the one most like them


def find_rate(arm, seed):
    """One seed's search for the rate of an arm."""
    material, equal = ARMS[arm]
    pairs, steps, problems = texts(material), steps_for(material, equal), pair.problems("validation")

    def validate(rate):
        model, _ = learn(pair.student(seed), pair.tokenizer(), pairs, steps, seed, rate)
        return accuracy(problems, ask(model, problems))

    return search(validate)


def run(arm, seed):
    """One student; "teacher" and "noisy teacher" are the teachers themselves, and "untrained" a student before training."""
    if arm in ("teacher", "noisy teacher"):
        return score(pair.teacher("noisy" if arm.startswith("noisy") else "teacher"), "teacher")
    if arm == "untrained":
        return score(pair.student(seed), "answer")
    material, equal = (ARMS | FLAWED)[arm]
    pairs, steps = texts(material), steps_for(material, equal)
    curve, rate = Curve(steps), rate_of(arm)
    model, seconds = learn(pair.student(seed), pair.tokenizer(), pairs, steps, seed, rate, callbacks=[curve])
    spent = {"seconds": seconds - curve.seconds, "steps": steps, "tokens learned": steps * BATCH * tokens_of(pairs)}
    return score(model, material) | curve.found | spent | {"learning_rate": rate, "examples": len(pairs)}


# --- Word problems ----------------------------------------------------------------------------------------------------

WORD_STEPS, WORD_BATCH = 1000, 32
WORD_ARMS = {
    "answer": ("answer", "steps"),
    "answer, equal tokens": ("answer", "tokens"),
    "explanation": ("explanation", "steps"),
}


def word_pairs(kind):
    """(prompt, response) pairs of the training problems, with their bare answers or with explanations."""
    return [(problem.prompt, getattr(problem, kind)) for problem in word_problems.split()[0]]


def word_tokens(kind):
    """Mean number of tokens of a training example."""
    tokenizer = word_problems.tokenizer()
    return sum(len(ids) + 1 for ids in tokenizer([" ".join(pair) for pair in word_pairs(kind)])["input_ids"]) / 6000


def word_learn(arm, seed, rate):
    """A student of word problems, with the seconds of its training."""
    kind, equal = WORD_ARMS[arm]
    steps = WORD_STEPS if equal == "steps" else round(WORD_STEPS * word_tokens("explanation") / word_tokens(kind))
    return learn(
        word_problems.student(seed), word_problems.tokenizer(), word_pairs(kind), steps, seed, rate, WORD_BATCH
    )


def word_score(model, problems, name):
    """Accuracy on word problems: of all, and by the number of steps that they take."""
    made = evaluation.responses(model, word_problems.tokenizer(), [p.prompt for p in problems], LONGEST)
    right = [word_problems.is_right(problem, text) for problem, text in zip(problems, made)]
    found = {f"{name} accuracy": sum(right) / len(right)}
    for count in (1, 2, 3, 4):
        chosen = [r for problem, r in zip(problems, right) if problem.steps == count]
        found[f"{name} accuracy, {count} steps"] = sum(chosen) / len(chosen)
    return found


def word_rate(arm, seed):
    """The best rate for an arm, on validation problems that are in no other part."""
    validation = word_problems.problems(200, "validation")
    return search(lambda rate: word_score(word_learn(arm, seed, rate)[0], validation, "seen")["seen accuracy"])


def word_run(arm, seed):
    """One student of word problems, scored on templates that it has seen and on others."""
    rate = rate_of(arm, "lesson07-word-rates")
    model, seconds = word_learn(arm, seed, rate)
    _, seen, held_out = word_problems.split()
    found = word_score(model, seen, "seen") | word_score(model, held_out, "held out")
    found["four steps minus one"] = found["seen accuracy, 4 steps"] - found["seen accuracy, 1 steps"]
    return found | {"seconds": seconds, "learning_rate": rate}


# --- What is recorded, and the claims ---------------------------------------------------------------------------------

SEEDS = (0, 1, 2, 3, 4)

EXPERIMENTS = (
    Experiment("lesson07-rates", (*SEARCHED, "teacher's steps", "mistake"), (5, 6), find_rate),
    Experiment("lesson07-arms", ("teacher", "noisy teacher", "untrained", *ARMS), SEEDS, run),
    Experiment("lesson07-flawed", tuple(FLAWED), SEEDS[:3], run),
    Experiment("lesson07-word-rates", ("answer", "explanation"), (0,), word_rate),
    Experiment("lesson07-words", tuple(WORD_ARMS), SEEDS, word_run),
)


NAMES = {
    "three digits": "accuracy on three digits",
    "more carries minus none": "accuracy with two carries or more less that without",
    "seen accuracy": "accuracy",
    "held out accuracy": "accuracy",
    "four steps minus one": "accuracy in four steps less that in one",
    "answer": "answers",
    "explanation": "explanations",
    "detailed": "detailed steps",
    "mistake": "error analysis",
    "verified": "self-verification",
    "answer, equal tokens": "answers (equal tokens)",
    "mistake, equal steps": "error analysis (equal steps)",
    "verified, equal steps": "self-verification (equal steps)",
}
