"""Lesson 14, economics: labels or a teacher? Few to many labels against a clean teacher and one that errs systematically."""

import functools
import time

import torch

from distill_lessons import evaluation, runtime
from distill_lessons.course import results
from distill_lessons.course.experiments import on_digits, on_multiplication
from distill_lessons.course.results import Experiment
from distill_lessons.pairs import digits, smollm
from distill_lessons.pairs import multiplication as pair
from distill_lessons.teacher.text import prompt_ids

# --- digits -----------------------------------------------------------------------------------------------------------

DIGIT_LABELS = (20, 50, 100, 300, 997)
TAKEN_FOR = {3: 8, 4: 9}  # the wrong teacher's systematic errors: all threes, all fours


@functools.lru_cache(maxsize=1)
def wrong_teacher(seed):
    """The course's teacher, trained on labels in which every 3 is an 8 and every 4 a 9."""
    true = digits.load().train_labels
    labels = true.clone()
    for digit, other in TAKEN_FOR.items():
        labels[true == digit] = other
    return on_digits.trained_teacher(seed, labels=labels)


def digit_run(arm, seed):
    """Test accuracy of a 32-wide student: "labels N" learns from N labelled images; "clean teacher" and "wrong teacher"
    from that teacher's soft targets on all 997 images, without a label. Rates are chosen on the validation images.
    """
    data = digits.load()
    if arm.startswith("labels"):
        count = int(arm.split()[1])
        rows = on_digits.few(data.train_labels, seed, count // digits.CLASSES)
        rows = rows if count < len(data.train_labels) else torch.arange(count)
        images = data.train_images[rows]
        options = on_digits.target_options("hard", images, data.train_labels[rows], seed)
    else:
        teacher = on_digits.teacher(seed) if arm == "clean teacher" else wrong_teacher(seed)
        images = data.train_images
        options = [(on_digits.soft(teacher, images), on_digits.TEMPERATURE)]
    student, rate = on_digits.best(options, images, seed, on_digits.validation_accuracy, width=32)
    found = {"accuracy": on_digits.accuracy(student, data.test_images, data.test_labels), "learning_rate": rate}
    if arm.endswith("teacher"):
        found["of the teacher"] = on_digits.accuracy(teacher, data.test_images, data.test_labels)
    return found


# --- multiplication ---------------------------------------------------------------------------------------------------

SAME = {"labels 7400": "steps", "clean teacher": "teacher's steps"}  # arms of lesson 07: the same runs, not made again


def forgets_the_carry(a, b):
    """Worked steps of somebody who adds the partial products place by place and forgets every carry."""
    return f"{pair.steps(a, b).rsplit('=', 1)[0]}={pair.without_carry(*pair.partial_products(a, b))}"


def lessons(arm, seed):
    """(prompt, response) pairs: worked steps for N problems, or what the wrong teacher writes on all 7,400."""
    problems = pair.problems("train")
    if arm.startswith("labels"):
        order = torch.randperm(len(problems), generator=torch.Generator().manual_seed(seed)).tolist()
        return [(pair.prompt(*problems[i]), pair.steps(*problems[i])) for i in order[: int(arm.split()[1])]]
    return [(pair.prompt(a, b), forgets_the_carry(a, b)) for a, b in problems]


def product_run(arm, seed):
    """Share of test problems that a 108 K student gets right, its tokens a query, and the seconds of its training; of a
    run that is made here also the seconds a query, all test problems asked together.
    """
    if arm in SAME:
        table = results.load("lesson07-arms", results.recorded_folder(runtime.device().type))
        found = table[(table.arm == SAME[arm]) & (table.seed == seed)].set_index("metric").value
        return {metric: found[metric] for metric in ("accuracy", "tokens", "seconds")}
    rate = on_multiplication.rate_of("steps")
    model, seconds = on_multiplication.learn(
        pair.student(seed), pair.tokenizer(), lessons(arm, seed), on_multiplication.STEPS, seed, rate
    )
    problems = pair.problems("test")
    began = time.perf_counter()
    made = on_multiplication.ask(model, problems)
    asked = (time.perf_counter() - began) / len(problems)
    tokens = sum(len(text) + 1 for text in made) / len(made)
    return {
        "accuracy": on_multiplication.accuracy(problems, made),
        "tokens": tokens,
        "seconds": seconds,
        "seconds a query": asked,
    }


# --- Asking instead of training ---------------------------------------------------------------------------------------

ASKED = 20  # problems a run
SHOTS = {"zero-shot": 0, "four-shot": 4, "sixteen-shot": 16}


def product_prompt(shots, seed, a, b):
    """A question, or examples and an unfinished line; examples are training problems, the seed's own."""
    if not shots:
        return f"What is {a} * {b}? Answer with a number only."
    problems = pair.problems("train")
    order = torch.randperm(len(problems), generator=torch.Generator().manual_seed(seed)).tolist()[:shots]
    lines = [f"{c} * {d} = {c * d}" for c, d in (problems[i] for i in order)]
    return "\n".join([*lines, f"{a} * {b} ="])


def prompted(arm, seed):
    """SmolLM2-135M asked for two-digit products: share right, tokens read and written, seconds a query in one batch."""
    model, tokenizer = smollm.teacher(), smollm.tokenizer()
    problems = pair.problems("test")[ASKED * seed :][:ASKED]
    prompts = [product_prompt(SHOTS[arm], seed, a, b) for a, b in problems]
    began = time.perf_counter()
    made = evaluation.responses(model, tokenizer, prompts, 16)
    seconds = (time.perf_counter() - began) / ASKED
    found = [
        on_multiplication.last_number(text.strip().split("\n")[0]) == a * b for (a, b), text in zip(problems, made)
    ]
    return {
        "accuracy": sum(found) / ASKED,
        "tokens read": sum(len(prompt_ids(tokenizer, prompt)) for prompt in prompts) / ASKED,
        "tokens written": sum(len(tokenizer(text)["input_ids"]) + 1 for text in made) / ASKED,
        "seconds a query": seconds,
    }


EXPERIMENTS = (
    Experiment(
        "lesson14-digits",
        (*(f"labels {count}" for count in DIGIT_LABELS), "clean teacher", "wrong teacher"),
        tuple(range(5)),
        digit_run,
    ),
    Experiment(
        "lesson14-products",
        ("labels 300", "labels 7400", "clean teacher", "wrong teacher"),
        tuple(range(5)),
        product_run,
    ),
    Experiment("lesson14-prompts", tuple(SHOTS), tuple(range(5)), prompted),
)

NAMES = {f"labels {count}": f"{count} labels" for count in (*DIGIT_LABELS, 7400)}
