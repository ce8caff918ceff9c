"""Lesson 12, did it work?: language models judged by closeness, calibration, out of distribution and two judges.

The small pairs are in `lesson12_small`, speeds in `lesson12_speed`; the claims of all are here.
"""

import functools
import importlib.resources
import re

import pandas as pd

from distill_lessons import evaluation
from distill_lessons.course import results
from distill_lessons.course.experiments import lesson08, on_smollm, study
from distill_lessons.course.results import Experiment
from distill_lessons.evaluation import calibration, judging
from distill_lessons.models import compression
from distill_lessons.pairs import smollm
from distill_lessons.teacher import generation
from distill_lessons.teacher.text import collator

JUDGED, CHOSEN, SAID = 24, 8, 32  # prompts that the likelihood judge and the choosing one see; tokens of an answer
ARMS = {  # what is trained, as in lessons 04, 05 and 08
    "text": {"how": {"alpha": 0.0}},
    "logits": {"how": {"targets": "sampled"}},
    "logits and states": {"how": {"features": lesson08.matching(lesson08.expected_map())}},
    "22 layers": {"how": {"targets": "sampled"}, "depth": 22},
}
WHERE_RATED = {
    "text": ("lesson04-rates", "text"),
    "logits": ("lesson04-rates", "logits"),
    "logits and states": ("lesson08-rates", "both"),
    "22 layers": ("lesson04-rates", "logits"),  # not searched: the best rate with 6 and with 10 layers
}


def human_text(least=30, tokens=64, context=16):
    """Paragraphs that people wrote: of scikit-learn's descriptions of its data sets; rows as `encode` makes them.

    The first `context` tokens of a paragraph are read, the next up to `tokens` are predicted.
    """
    folder, rows = importlib.resources.files("sklearn.datasets.descr"), []
    tokenizer = on_smollm.material()[1]
    for file in sorted(folder.iterdir(), key=lambda path: path.name):
        if not file.name.endswith(".rst"):
            continue
        for paragraph in re.split(r"\n\s*\n", file.read_text(encoding="utf-8")):
            text = " ".join(paragraph.split())
            prose = sum(letter.isalpha() or letter in " ,.'" for letter in text) / max(len(text), 1)
            ids = tokenizer(text, add_special_tokens=False)["input_ids"][: context + tokens]
            if prose > 0.95 and len(text.split()) >= least and len(ids) > context:
                rows.append({"input_ids": ids, "labels": [-100] * context + ids[context:]})
    return rows


@functools.lru_cache(maxsize=2)
def language_batches(kind):
    """Batches of "test" prompts with the teacher's answers, or of "human" text."""
    if kind == "test":
        return on_smollm.held_out("test")
    teacher, tokenizer, _ = on_smollm.material()
    rows, collate = sorted(human_text(), key=lambda row: len(row["input_ids"])), collator(tokenizer)
    return evaluation.remember(teacher, [collate(rows[i : i + 16]) for i in range(0, len(rows), 16)])


@functools.lru_cache(maxsize=2)
def language_model(arm, seed):
    """A model of an arm: trained at the best rate found for it; "untrained" as it begins; "int8 …" in eight bits."""
    if arm == "int8 student":
        return compression.int8(language_model("logits", seed))
    teacher = on_smollm.material()[0]
    if arm == "teacher":
        return teacher
    if arm == "int8 teacher":
        return compression.int8(teacher)
    if arm == "untrained":
        return smollm.student(teacher, on_smollm.DEPTH).eval()
    return on_smollm.learn(seed, study.found_rate(*WHERE_RATED[arm]), **ARMS[arm])[0]


@functools.lru_cache(maxsize=2)
def teacher_tokens(kind):
    """`evaluation.next_tokens` of the teacher."""
    return evaluation.next_tokens(on_smollm.material()[0], language_batches(kind))


def language_scores(model, kind):
    """Closeness, transfer ratio of next tokens guessed, calibration of the next token."""
    tokens = evaluation.next_tokens(model, language_batches(kind), on_smollm.material()[0])
    ratio = evaluation.transfer_ratio(*(evaluation.by_row(each, "right") for each in (tokens, teacher_tokens(kind))))
    found = {
        "kl": tokens["kl"].mean(),
        "agreement": tokens["agrees"].mean(),
        "perplexity": evaluation.perplexity(tokens["surprise"].mean()),
        "accuracy": tokens["right"].mean(),
        "transfer ratio": ratio.value,
        "transfer ratio, low": ratio.low,
        "transfer ratio, high": ratio.high,
        "brier": tokens["brier"].mean(),
        "tokens": len(tokens["right"]),
    }
    return found | calibration.summary(tokens["confidence"], tokens["right"])


def judged_prompts():
    """Test prompts that judges are shown."""
    return [row["prompt"] for row in smollm.corpus("test")[:JUDGED]]


def said(model):
    """A model's likeliest answers to `judged_prompts`, up to SAID tokens."""
    made = generation.generate(model, on_smollm.material()[1], judged_prompts(), max_new_tokens=SAID)
    return [text.strip() for text, _ in made]


@functools.lru_cache(maxsize=1)
def teacher_said():
    return said(on_smollm.material()[0])


@functools.lru_cache(maxsize=1)
def likelihood_judge():
    return judging.likelihood(*on_smollm.material()[:2])


def by_likelihood(answers):
    """The verdict of the likelihood judge, played by the teacher, between answers and the teacher's."""
    return judging.win_rate(likelihood_judge(), judged_prompts(), answers, teacher_said())


def by_choice(answers):
    """The verdict of the same model when it is shown both answers and asked to choose; of fewer prompts, since it is slow."""
    judge, prompts = judging.choice(*on_smollm.material()[:2]), judged_prompts()[:CHOSEN]
    return judging.win_rate(judge, prompts, answers[:CHOSEN], teacher_said()[:CHOSEN])


PARROT = "It is a great day. " * 5
SAME = ("teacher", "int8 teacher", "untrained", "parrot")  # whatever the seed


@functools.lru_cache(maxsize=8)
def language_found(arm, seed):
    """`language_run`; arms that are the same for every seed are run once a process."""
    found = {}
    if arm == "parrot":  # no model: the same sentence again and again, for every prompt
        answers = [PARROT.strip()] * JUDGED
    else:
        model = language_model(arm, seed)
        found |= language_scores(model, "test")
        found |= {f"human: {metric}": value for metric, value in language_scores(model, "human").items()}
        answers = said(model)
    found |= {f"likelihood: {metric}": value for metric, value in by_likelihood(answers).items()}
    if arm in ("parrot", "logits"):
        found |= {f"choice: {metric}": value for metric, value in by_choice(answers).items()}
    return found


def language_run(arm, seed):
    """One language model: test prompts, text that people wrote, and two judges between its answers and the teacher's."""
    return language_found(arm, 0 if arm in SAME else seed)


EXPERIMENTS = (
    Experiment(
        "lesson12-language",
        (
            "teacher",
            "int8 teacher",
            "untrained",
            "parrot",
            "text",
            "logits",
            "int8 student",
            "logits and states",
            "22 layers",
        ),
        (0, 1, 2),
        language_run,
        ("cpu", "cuda"),
    ),
)

# --- The report: every model's quality, cost and speed against its teacher, from the recorded rows --------------------

CANDIDATES = {  # pair and model: experiment and arm of its quality, arm of its speed
    ("digits", "student"): ("lesson12-digits", "all, soft", "digits student"),
    ("digits", "student, 100 labels"): ("lesson12-digits", "100, soft", "digits student"),
    ("multiplication", "student"): ("lesson12-multiplication", "student", "multiplication student"),
    ("multiplication", "int8 student"): ("lesson12-multiplication", "int8 student", "multiplication int8 student"),
    ("multiplication", "int8 teacher"): ("lesson12-multiplication", "int8 teacher", "multiplication int8 teacher"),
    ("language", "10 layers, text"): ("lesson12-language", "text", "smollm student"),
    ("language", "10 layers, logits"): ("lesson12-language", "logits", "smollm student"),
    ("language", "10 layers, and states"): ("lesson12-language", "logits and states", "smollm student"),
    ("language", "10 layers, int8"): ("lesson12-language", "int8 student", "smollm int8 student"),
    ("language", "22 layers, logits"): ("lesson12-language", "22 layers", "smollm 22 layers"),
    ("language", "int8 teacher"): ("lesson12-language", "int8 teacher", "smollm int8 teacher"),
}


def report():
    """A row a candidate: pair, model, and quality, cost and speed ratios, each with low and high (95%).

    Quality is the student's score ÷ the teacher's; its interval is the wider of two, over seeds and over test items. Cost
    is how many times as many queries a second one machine answers, in its best batch; speed is the teacher's median
    latency ÷ the student's, one request at a time.
    """
    speeds, rows = results.load("lesson12-speed"), []
    for (pair, model), (experiment, arm, timed) in CANDIDATES.items():
        teacher = f"{timed.split()[0]} teacher"
        table = results.load(experiment)
        quality = results.interval(results.per_seed(table, "transfer ratio", arm))
        low, high = (results.per_seed(table, f"transfer ratio, {end}", arm).mean() for end in ("low", "high"))
        quality = quality._replace(low=min(quality.low, low), high=max(quality.high, high))
        cost = results.paired_difference(speeds, "log2 queries a second", timed, teacher)
        faster = results.paired_difference(speeds, "log2 p50", teacher, timed)
        row = {"pair": pair, "model": model}
        for name, interval, base in (("quality", quality, None), ("cost", cost, 2), ("speed", faster, 2)):
            ends = [value if base is None else base**value for value in interval[:3]]
            row |= dict(zip((name, f"{name} low", f"{name} high"), ends))
        rows.append(row)
    return pd.DataFrame(rows)


NAMES = {
    "ece": "ECE",
    "human: ece": "ECE",
    "human: overconfidence": "overconfidence",
    "text": "the teacher's text",
    "logits": "stored draws",
    "kl": "KL to the teacher",
}
