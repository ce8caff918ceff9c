"""What the card of ``data/reviews`` states: how well the teachers do, how far people agree, and a first look at students.

``python -m distill_lessons.course.experiments.reviews_card`` measures all of it again from the committed logits, in some
minutes, and changes nothing else.
"""

import json
import time

import numpy as np
import torch
import torch.nn.functional as F
from scipy.stats import binomtest

from distill_lessons import runtime
from distill_lessons.pairs import reviews
from distill_lessons.training.classifier import cross_entropy, fit

SOURCES = (*reviews.CASE, *reviews.SHIFTED)
ARMS = ("640 labels", "soft", "hard", "people")  # all but the first on 5,000 sentences of the pool
POOL, BATCH = 5000, 128
STEPS = {"frozen": 500, "bag": 800}
RATES = {"frozen": (1.25e-4, 2.5e-4, 5e-4, 1e-3, 2e-3), "bag": (1e-3, 2e-3, 4e-3, 8e-3, 1.6e-2)}
SEEDS, SEARCH_SEED = (0, 1, 2), 100


# --- Teachers ---------------------------------------------------------------------------------------------------------


def accuracies(logits, labels, sources):
    """Share of right answers among the test sentences with a 95% interval (Wilson), by source and for the case.

    Args:
        logits ``[N, 2]``, labels ``[N]`` int, sources ``[N]`` names: of test sentences.
    Returns:
        {source or "case": {sentences, accuracy, low, high}}; accuracies from 0 to 1.
    """
    right, found = (logits.argmax(1) == labels).numpy(), {}
    for name, chosen in (("case", reviews.CASE), *((source, (source,)) for source in SOURCES)):
        own = right[np.isin(sources, chosen)]
        if len(own):
            interval = binomtest(int(own.sum()), len(own)).proportion_ci(method="wilson")
            found[name] = {
                "sentences": len(own),
                "accuracy": float(own.mean()),
                "low": float(interval.low),
                "high": float(interval.high),
            }
    return found


def teachers():
    """`accuracies` of every teacher whose logits are stored."""
    test, labels = reviews.places("test", SOURCES), reviews.labels()
    sources = reviews.sentences()["source"].to_numpy()[test]
    return {name: accuracies(reviews.logits(name)[test], labels[test], sources) for name in reviews.stored()}


# --- People -----------------------------------------------------------------------------------------------------------


def people(frame=None, draws=50, seed=0):
    """How far people agree on "positive" (a mean rating over 0), by source and for the case.

    Returns:
        {source or "case": {sentences, raters, ceiling, halves, one}}. raters: the least, the median, the most. ceiling:
        how often the label from as many raters, drawn anew from those of the sentence, is the sentence's label. It takes
        the raters at hand for the population, and so is somewhat too high where people are divided. halves: how often two
        random halves of the raters give the same label. one: how often one rater's own answer (a rating over 0) is the label
        that the others give.
    """
    frame = reviews.sentences() if frame is None else frame
    rated, rng = frame[frame["ratings"].notna()], np.random.default_rng(seed)
    rows = [_agreement(np.array(ratings), draws, rng) for ratings in rated["ratings"]]
    rates, counts = np.array(rows), rated["ratings"].map(len).to_numpy()
    found = {}
    for name, chosen in (("case", reviews.CASE), *((source, (source,)) for source in SOURCES)):
        own = rated["source"].isin(chosen).to_numpy()
        if own.any():
            ceiling, halves, one = rates[own].mean(0)
            raters = [int(counts[own].min()), float(np.median(counts[own])), int(counts[own].max())]
            found[name] = {
                "sentences": int(own.sum()),
                "raters": raters,
                "ceiling": float(ceiling),
                "halves": float(halves),
                "one": float(one),
            }
    return found


def _agreement(ratings, draws, rng):
    """The three rates of `people` for one sentence."""
    count, total = len(ratings), ratings.sum()
    again = rng.choice(ratings, (draws, count)).sum(1) > 0
    mixed = rng.permuted(np.tile(ratings, (draws, 1)), axis=1)
    first, second = mixed[:, : count // 2].sum(1) > 0, mixed[:, count // 2 :].sum(1) > 0
    return (again == (total > 0)).mean(), (first == second).mean(), ((ratings > 0) == (total - ratings > 0)).mean()


# --- Students ---------------------------------------------------------------------------------------------------------


def soft_targets(student_logits, teacher_logits, labels):
    """Cross-entropy to the teacher's probabilities, in nats a sentence."""
    return F.cross_entropy(student_logits, teacher_logits.softmax(-1))


def diet(arm, seed, teacher="tuned-640"):
    """What a student is fed: places in `sentences`, labels for them, and the teacher's logits or None."""
    if arm == "640 labels":
        places = reviews.labelled(640)
        return places, reviews.labels()[places], None
    places = np.random.default_rng(seed).choice(reviews.pool(teacher), POOL, replace=False)
    logits = reviews.logits(teacher)[places]
    if arm == "soft":
        return places, torch.zeros(POOL, dtype=torch.long), logits
    return places, logits.argmax(1) if arm == "hard" else reviews.labels()[places], None


def student(name, arm, rate, seed):
    """A trained student with its inputs for all sentences, and the seconds that the training took.

    The seed decides which 5,000 sentences of the pool it sees, its first weights, and the order.
    """
    inputs = reviews.features() if name == "frozen" else reviews.encode(reviews.sentences()["text"].tolist())
    places, labels, logits = diet(arm, seed)
    torch.manual_seed(seed)
    model = getattr(reviews, name)()
    loss, teacher = (cross_entropy, None) if logits is None else (soft_targets, lambda _: logits)
    options = {"steps": STEPS[name], "batch_size": BATCH, "learning_rate": rate, "seed": seed}
    began = time.perf_counter()
    model = fit(model, inputs[places], labels, loss, teacher, **options)
    return model, inputs, time.perf_counter() - began


def accuracy(model, inputs, places):
    """Share of these sentences that a student judges as people do."""
    with torch.inference_mode():
        return (model(inputs[places]).argmax(1) == reviews.labels()[places]).float().mean().item()


def first_look():
    """Two students on four diets: rate (the best of a grid on the validation sentences, one seed), test accuracies, seconds.

    A first look and no evidence: three seeds, one search seed.
    """
    validation, test, found = reviews.places("validation"), reviews.places("test"), {}
    for name, rates in RATES.items():
        for arm in ARMS:
            searched = {}
            for rate in rates:
                model, inputs, _ = student(name, arm, rate, SEARCH_SEED)
                searched[rate] = accuracy(model, inputs, validation)
            rate = max(searched, key=searched.get)
            scores, seconds = [], []
            for seed in SEEDS:
                model, inputs, took = student(name, arm, rate, seed)
                scores.append(accuracy(model, inputs, test))
                seconds.append(took)
            found[f"{name}, {arm}"] = {
                "rate": rate,
                "validation": {f"{one:g}": score for one, score in searched.items()},
                "test": scores,
                "seconds": round(float(np.median(seconds)), 1),
            }
            print(name, arm, found[f"{name}, {arm}"], flush=True)
    return found


# --- The card ---------------------------------------------------------------------------------------------------------


def write(how):
    """Measure all and write card.json; `how` says how the teachers were made."""
    folder = runtime.data_folder() / "reviews"
    names = ("logits.parquet", "teacher/adapter_model.safetensors", "teacher/adapter_config.json")
    card = {
        "how": how,
        "teachers": teachers(),
        "people": people(),
        "students": first_look(),
        "sha256": {name: runtime.sha256(folder / name) for name in names},
        "machine": runtime.machine_stamp(),
    }
    with runtime.replacing(folder / "card.json") as temporary:
        temporary.write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")


def main():
    runtime.start()
    write(json.loads((runtime.data_folder() / "reviews" / "card.json").read_text(encoding="utf-8"))["how"])


if __name__ == "__main__":
    main()
