"""Filters that compare texts with other texts, by groups of words or signs: near-duplicates and contamination."""

import math
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable

from datasketch import MinHash, MinHashLSH

from distill_lessons.teacher.filters.verdicts import (
    Filter,
    Verdict,
    absent,
    check_number,
    make,
    normalised,
    quoted,
    words,
)

BAND = 5  # hashes that must all agree for two texts to be compared: those with little in common almost never do
FOUND = 0.99  # of the pairs that are just alike enough, at least so many are compared
SIGNS = 5  # of a group


def near_duplicates(threshold: float = 0.8, column: str = "text", seed: int = 0) -> Filter:
    """Keeps the first of texts that are the same, or nearly, but for case, spaces and punctuation.

    Two are nearly the same if of all groups of five signs that either has, at least `threshold` are in both (Jaccard). Each
    text is compared with the earlier ones that are kept. MinHash finds those worth comparing (99 in 100 at the threshold,
    more above it); the share is then counted, so that none is dropped by mistake. A lower threshold takes longer.

    Args:
        seed: of the hashes.
    Raises:
        ValueError: the threshold is not from 0.5 to 1.
    Source: Broder 1997; the hashes and their index are those of `datasketch`.
    """
    check_number("threshold", threshold, 0.5, 1)
    bands = _bands(threshold)

    def judge(texts):
        plain = [normalised(text) for text in texts]
        index = MinHashLSH(num_perm=bands * BAND, params=(bands, BAND))
        hashed = MinHash.generator(map(_groups, plain), num_perm=bands * BAND, seed=seed + 1, hashfunc=zlib.crc32)
        first, verdicts = {}, []
        for place, (text, hashes) in enumerate(zip(plain, hashed)):
            if text in first:
                other = texts[first[text]]
                verdicts.append(Verdict(False, f"the same as an earlier row: {quoted(other)}", 1.0))
                continue
            alike, other = max(((_alike(text, plain[at]), -at) for at in index.query(hashes)), default=(0.0, 0))
            if alike >= threshold:
                reason = f"nearly the same as an earlier row: {alike:.2f} alike, {quoted(texts[-other])}"
                verdicts.append(Verdict(False, reason, alike))
                continue
            first[text] = place
            index.insert(place, hashes, check_duplication=False)
            verdicts.append(Verdict(True, "unlike every earlier row", alike))
        return verdicts

    return make("near_duplicates", judge, [column], threshold=threshold, seed=seed)


def _bands(threshold):
    """How many bands of hashes find `FOUND` of the pairs at the threshold."""
    missed = 1 - threshold**BAND  # by one band
    return max(2, math.ceil(math.log(1 - FOUND) / math.log(missed))) if missed else 2


def _groups(text):
    """Groups of five signs, as bytes; a text of fewer is one group."""
    if text.isascii():
        signs = text.encode()
        return {signs[at : at + SIGNS] for at in range(max(1, len(signs) - SIGNS + 1))}
    return {text[at : at + SIGNS].encode() for at in range(max(1, len(text) - SIGNS + 1))}


def _alike(one, other):
    one, other = _groups(one), _groups(other)
    return len(one & other) / len(one | other)


def contamination(
    test_texts: Iterable[str], n: int = 5, share: float = 0.6, in_a_row: int = 13, column: str = "text"
) -> Filter:
    """Drops texts that hold a test text, whatever case, spacing and punctuation.

    A text holds one if at least `share` of the test text's groups of `n` words stand in it; or if `in_a_row` words of it stand
    there in a row, for parts of long test texts (13 as in Brown et al. 2020, appendix C). A test text of fewer than 2n − 2
    words could be a common phrase, and counts only if it is the whole text.

    Args:
        test_texts: those of every test set that the student will be measured on.
    Raises:
        ValueError: there is no test text, one is none, or a setting is out of range.
    """
    check_number("n", n, 2, whole=True)
    check_number("share", share, 0.05, 1)
    check_number("in_a_row", in_a_row, n, whole=True)
    tests = _listed(test_texts)
    whole, rows, holders, sizes = {}, {}, defaultdict(list), {}
    for number, test in enumerate(tests):
        found = words(test)
        whole.setdefault(tuple(found), number)
        rows.update((group, number) for group in _word_groups(found, in_a_row))
        if len(found) >= 2 * n - 2:
            groups = set(_word_groups(found, n))
            sizes[number] = len(groups)
            for group in groups:
                holders[group].append(number)

    def one(text):
        found = words(text)
        if tuple(found) in whole:
            return Verdict(False, f"the same as a test text: {quoted(tests[whole[tuple(found)]])}", 1.0)
        groups = set(_word_groups(found, n)) & holders.keys()
        common = Counter(number for group in groups for number in holders[group])
        held, number = max(((count / sizes[test], -test) for test, count in common.items()), default=(0.0, 0))
        if held >= share:
            reason = f"it holds a test text: {held:.0%} of its groups of {n} words, {quoted(tests[-number])}"
            return Verdict(False, reason, held)
        for group in _word_groups(found, in_a_row):
            if group in rows:
                reason = f"{in_a_row} words in a row of a test text: {quoted(' '.join(group), 90)}"
                return Verdict(False, reason, held)
        return Verdict(True, "no test text in it", held)

    return make(
        "contamination", lambda texts: [one(text) for text in texts], [column],
        tests=len(tests), n=n, share=share, in_a_row=in_a_row,
    )  # fmt: skip


def _word_groups(found, size):
    return zip(*(found[start:] for start in range(size)))


def _listed(test_texts):
    if isinstance(test_texts, str):
        raise ValueError("test_texts is one text: give a list of them")
    tests = list(test_texts)
    for place, test in enumerate(tests):
        if not isinstance(test, str) or absent(test):
            raise ValueError(f"test text {place} is {test!r:.60}: leave out what is no text")
    if not tests:
        raise ValueError("contamination needs the texts of a test set, and there are none")
    return tests
