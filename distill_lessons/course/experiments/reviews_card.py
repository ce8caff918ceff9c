"""What the card of ``data/reviews`` states: how well the teachers do, and how far people agree.

``python -m distill_lessons.course.experiments.reviews_card`` measures it again from the committed logits, in a minute, and
changes nothing else.
"""

import json

import numpy as np
from scipy.stats import binomtest

from distill_lessons import runtime
from distill_lessons.pairs import reviews

SOURCES = (*reviews.CASE, *reviews.SHIFTED)


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


# --- The card ---------------------------------------------------------------------------------------------------------


def write(how):
    """Measure all and write card.json; `how` says how the teachers were made."""
    folder = runtime.data_folder() / "reviews"
    names = ("logits.parquet", "teacher/adapter_model.safetensors", "teacher/adapter_config.json")
    card = {
        "how": how,
        "teachers": teachers(),
        "people": people(),
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
