"""Filters that ask whether an answer is right or good: a reference answer, and a reward model trained on pairs."""

import hashlib
import re
from collections.abc import Callable, Sequence

import numpy as np
from scipy import sparse
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.linear_model import LogisticRegression

from distill_lessons.teacher.filters.verdicts import Filter, Verdict, absent, check_number, make, normalised, quoted

Score = Callable[[Sequence[str]], np.ndarray]


def same_words(answer: str, expected: str) -> bool:
    """Whether two answers are the same but for case, spaces and punctuation."""
    return normalised(answer) == normalised(expected)


def same_number(answer: str, expected: str) -> bool:
    """Whether the last number in an answer is the last one in the expected answer; thousands may be set off by commas."""
    own, right = _last_number(answer), _last_number(expected)
    return own is not None and own == right


def _last_number(text):
    found = re.findall(r"[-−]?\d[\d,]*(?:\.\d+)?", text)
    return float(found[-1].replace(",", "").replace("−", "-")) if found else None


def reference(
    expected: str = "reference", column: str = "response", same: Callable[[str, str], bool] = same_words
) -> Filter:
    """Keeps rows whose answer is the reference answer. A row without a reference is dropped, with that as its reason.

    Args:
        expected, column: the columns of the reference and of the answer; a reference may be a number.
        same: decides on (answer, reference), as texts: `same_words`, `same_number` or another function.
    """

    def one(answer, right):
        if same(answer, str(right)):
            return Verdict(True, f"the reference answer: {quoted(right)}")
        return Verdict(False, f"not the reference answer: {quoted(answer)} where {quoted(right)} is right")

    def judge(answers, references):
        return [one(answer, right) for answer, right in zip(answers, references)]

    return make("reference", judge, [column, expected], texts=[column], same=getattr(same, "__name__", "a function"))


def reward(score: Score, least: float, column: str = "text") -> Filter:
    """Keeps texts whose reward is at least `least`.

    Args:
        score: gives a list of texts' rewards, one each, finite: `fit_reward` makes one.
    Raises (when called):
        ValueError: the rewards are not one for each text, or not finite.
    """
    check_number("least", least, -float("inf"))

    def judge(texts):
        texts = list(texts)
        rewards = np.asarray(score(texts), dtype=float) if texts else np.zeros(0)
        if rewards.shape != (len(texts),) or not np.isfinite(rewards).all():
            raise ValueError(
                f"the score gave {rewards.shape} numbers for {len(texts)} texts: it must give a finite one each"
            )
        return [one(float(value)) for value in rewards]

    def one(value):
        if value < least:
            return Verdict(False, f"reward below {least:g}: {value:.3f}", value)
        return Verdict(True, f"reward as asked: {value:.3f}", value)

    return make("reward", judge, [column], least=least, **getattr(score, "about", {}))


def fit_reward(better: Sequence[str], worse: Sequence[str], C: float = 10.0, features: int = 2**18) -> Score:
    r"""A small reward model learned from pairs: the linear model of Bradley and Terry on hashed words and pairs of words.

    .. math:: P(a \succ b) = \sigma(r_a - r_b), \qquad r_x = w \cdot \phi(x)

    A logistic regression on φ(better) − φ(worse), without an intercept. Only differences of rewards mean something. It knows
    words, not sense, and no order beyond two words: enough to show what a reward filter does, and how it is fooled. Nothing
    in it is random.

    Args:
        better, worse: texts; the first of each is better than the first of the other, and so on.
        C: how freely it may learn (the inverse of the penalty on w); features: how many places words are hashed to.
    Returns:
        a function of texts that gives their rewards, a float array ``[N]``.
    Raises:
        ValueError: not as many of one as of the other; none; a pair is twice the same text; what is no text.
    Source: Bradley and Terry 1952; as a reward from pairs, Christiano et al. 2017.
    """
    better, worse = _pairs(better, worse)
    hashed = HashingVectorizer(n_features=features, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    gains = hashed.transform(better) - hashed.transform(worse)
    # A regression needs both outcomes: each pair is shown from both sides, which changes nothing but the scale of C.
    both, outcome = sparse.vstack([gains, -gains]), np.repeat([1, 0], len(better))
    fitted = LogisticRegression(C=C, fit_intercept=False, max_iter=1000, tol=1e-6).fit(both, outcome)
    weight = fitted.coef_[0]

    def score(texts: Sequence[str]) -> np.ndarray:
        return hashed.transform(texts) @ weight

    score.about = {"reward": "Bradley–Terry", "weights": hashlib.sha256(weight.tobytes()).hexdigest()[:16]}
    return score


def pair_accuracy(score: Score, better: Sequence[str], worse: Sequence[str]) -> float:
    """The share of pairs in which the better text has the higher reward; equal ones count half. Use pairs held back.

    Raises:
        ValueError: as `fit_reward`.
    """
    better, worse = _pairs(better, worse)
    gain = np.asarray(score(better)) - np.asarray(score(worse))
    return float(((gain > 0) + 0.5 * (gain == 0)).mean())


def _pairs(better, worse):
    if isinstance(better, str) or isinstance(worse, str):
        raise ValueError("better and worse must be lists of texts, and one of them is a text")
    better, worse = list(better), list(worse)
    if len(better) != len(worse) or not better:
        raise ValueError(f"there are {len(better)} better texts and {len(worse)} worse ones: give pairs, at least one")
    for place, pair in enumerate(zip(better, worse)):
        if any(not isinstance(text, str) or absent(text) for text in pair):
            raise ValueError(f"pair {place} is {pair!r:.80}: leave out pairs in which one is no text")
        if pair[0] == pair[1]:
            raise ValueError(f"pair {place} is twice the text {quoted(pair[0])}: neither is better")
    return better, worse
