"""Checks of lesson 15: a law of size and data, a student for a device, a reader taught by a model that sees, a draft."""

import copy
import functools
import math

import numpy as np
import torch
from torch import Tensor, nn

from distill_lessons.course import results
from distill_lessons.course.exercises import Wrong
from distill_lessons.course.exercises.common import nearest, unchanged
from distill_lessons.course.experiments import lesson15_digits as across
from distill_lessons.course.experiments import lesson15_reviews as law_and_edge
from distill_lessons.course.experiments import on_digits
from distill_lessons.course.stated import Comparison


def _rng():
    return np.random.default_rng(int(torch.randint(2**31, ())))


# --- 15.1: foresee ----------------------------------------------------------------------------------------------------

MUST = 0.005  # nats, the mean error over the recorded corners to be reached
NEAR = 0.0005  # nats: so near to what a mistake gives, it is that mistake


def known(seed: int) -> tuple[np.ndarray, ...]:
    """Recorded n, d and loss of a seed's sixteen small students, and of its three beyond: six arrays."""
    return _split(law_and_edge.losses_of(seed))


def _split(loss):
    n, d = np.meshgrid(law_and_edge.weights(np.array(law_and_edge.SIZES)), np.array(law_and_edge.POOLS), indexing="ij")
    new = tuple(zip(*law_and_edge.CORNER))
    small = np.s_[:4, :4]
    return n[small].ravel(), d[small].ravel(), loss[small].ravel(), n[new], d[new], loss[new]


def _foreseen(form, loss, floor):
    said = law_and_edge.foreseen(form, loss, floor)[0]
    return np.array([said[place] for place in law_and_edge.CORNER])


@functools.cache
def _rivals(seed):
    """What the recorded seed's sixteen give by each rival form."""
    loss, floor = law_and_edge.losses_of(seed), law_and_edge.floor()
    return {form: _foreseen(form, loss, floor) for form in ("carried", "line", "additive")}


MISTAKES = {
    "carried": "That is the nearest known student's loss, carried on: it takes more to be no better. (hint 1)",
    "line": "That is a plane in log n and log d, which falls without end. (hint 1)",
    "additive": "Here size and data add, each with an exponent of its own: a small student gains from data as much as a "
    "large one. One exponent around the sum is missing. (hint 1)",
}


def _invented(rng):
    """Losses ``[5, 5]`` that obey the law to half a thousandth, and their floor; n and d are as recorded."""
    n, d = np.meshgrid(law_and_edge.weights(np.array(law_and_edge.SIZES)), np.array(law_and_edge.POOLS), indexing="ij")
    floor, a, b, g = rng.uniform(0.2, 0.5), rng.uniform(0.5, 0.8), rng.uniform(1.2, 1.7), rng.uniform(0.25, 0.5)
    scale = rng.uniform(0.3, 0.5)
    u = (n / n[0, 0]) ** -a + rng.uniform(0.5, 1.5) * (d / d[0, 0]) ** -b
    return floor + scale * u**g + rng.normal(0, 0.0005, n.shape), floor


def check_foresee(foresee):
    """15.1: three students beyond sixteen known ones, on recorded rows and on worlds that obey the law."""
    foresee, rng = unchanged(foresee), _rng()
    loss, floor = _invented(rng)
    said, new = _asked(foresee, rng, loss, floor)
    error = np.abs(said - new[2]).mean()
    carried = np.abs(_foreseen("carried", loss, floor) - new[2]).mean()
    if error > 0.06 * carried:
        raise Wrong(
            f"In a world that obeys the law you are off by {error:.4f} nats; carrying on is off by {carried:.4f}. "
            + _named(said, {form: _foreseen(form, loss, floor) for form in MISTAKES}, new, floor)
        )
    errors, seeds = [], rng.permutation(10)[:5]
    for seed in map(int, seeds):
        said, new = _asked(foresee, rng, law_and_edge.losses_of(seed), law_and_edge.floor())
        errors.append(np.abs(said - new[2]).mean())
    if np.mean(errors) > MUST:
        raise Wrong(
            f"On five recorded seeds you are off by {np.mean(errors):.4f} nats on average, and {MUST} should be reached. "
            + _named(said, _rivals(seed), new, law_and_edge.floor())
        )


def _asked(foresee, rng, loss, floor):
    """The answer for the corner, in its order; points come shuffled."""
    n, d, seen, *new = _split(loss)
    order, back = rng.permutation(16), rng.permutation(3)
    answer = foresee(n[order].astype(float), d[order].astype(float), seen[order], floor,
                     *(each[back].astype(float) for each in new[:2]))  # fmt: skip
    answer = answer.detach().numpy() if isinstance(answer, Tensor) else answer
    if isinstance(answer, str) or np.shape(answer) != (3,):
        raise Wrong(f"Three losses, one for each of `new_n` and `new_d`, were expected; this came: {answer!r:.60}.")
    answer = np.asarray(answer, dtype=float)
    if not np.isfinite(answer).all():
        raise Wrong(
            f"A prediction is not a finite number: {answer}. Fit logarithms of A and B, and divide n and d by their "
            "smallest. (hint 2)"
        )
    said = np.empty(3)
    said[back] = answer
    return said, new


def _named(said, rivals, new, floor):
    turned = [form for form, value in rivals.items() if np.abs(said - value).max() < NEAR]
    if turned:
        return MISTAKES[turned[0]]
    if np.abs(said + floor - new[2]).mean() < 0.02:
        return "The floor is missing: the law is floor + (…). (hint 1)"
    if (said < floor).any():
        return f"You foresee {said.min():.3f}, below the floor of {floor:.3f}, where no student can be. (hint 1)"
    if abs(said[0] - said[2]) < NEAR or abs(said[1] - said[2]) < NEAR:
        return "Two students of another size, or of another pool, get the same loss: both n and d count. (hint 1)"
    return "Does the fit reach its sixteen? Start it more than once; and n goes with A and a, d with B and b. (hint 3)"


# --- 15.2: which student fits? ----------------------------------------------------------------------------------------

NOBODY = "none"
TABLES = {"gru": "lesson15-edge-gru"}
CALLED = {"full": "12,800 words × 64", "small": "4,000 words × 12", "tiny": "1,000 words × 4", "gru": "recurrent"}


@functools.cache
def _options():
    found = []
    for kind, name in CALLED.items():
        own = TABLES.get(kind, law_and_edge.EDGE)
        tables = own if own == law_and_edge.EDGE else f"{own} + {law_and_edge.EDGE}"
        table, speed = results.load(own), results.load("lesson15-edge-speed")
        for form in ("float32", "float16", "int8"):
            arm = kind if form == "float32" else f"{kind} {form}"
            size, words = (results.per_seed(table, metric, arm).mean() for metric in ("kilobytes", "words' kilobytes"))
            if arm == "full":
                behind = (0.0, 0.0, 0.0)
            else:
                behind = tuple(float(each) for each in Comparison("", tables, "accuracy", arm, "full").interval()[:3])
            found.append({"name": f"{name}, {form}", "weights": float(size - words), "words": float(words),
                          "ms": float(results.per_seed(speed, "p50", kind).mean()), "behind": behind})  # fmt: skip
    return found


def students() -> list[dict]:
    """Recorded students: kilobytes of weights and of words, milliseconds a sentence, accuracy less the full student's."""
    return copy.deepcopy(_options())


def show_students() -> None:
    """The students of exercise 15.2 as a table."""
    print(f"{'student':28}{'weights':>9}{'words':>7}{'ms':>7}   points over the full one")
    for each in students():
        behind = "{:+.1f} [{:+.1f}, {:+.1f}]".format(*(100 * value for value in each["behind"]))
        print(f"{each['name']:28}{each['weights']:>6.0f} KB{each['words']:>4.0f} KB{each['ms']:>7.2f}   {behind}")


def _fitting(options, kilobytes, milliseconds, points, by=1, words=True, limits="km"):
    """The name of the smallest student within the limits that is at most `points` behind by an end of its interval."""

    def size(each):
        return each["weights"] + words * each["words"]

    fits = [
        each
        for each in options
        if ("k" not in limits or size(each) <= kilobytes)
        and ("m" not in limits or each["ms"] <= milliseconds)
        and 100 * each["behind"][by] >= -points
    ]
    return min(fits, key=size)["name"] if fits else NOBODY


def _fresh(rng, trap):
    """Options and limits for which the mistake `trap` decides otherwise, and nothing stands within 5% of a limit."""
    while True:
        made = []
        for name in rng.permutation(list("PQRSTU"))[: rng.integers(4, 7)]:
            estimate, half = rng.uniform(-0.05, 0.005), rng.uniform(0.002, 0.02)
            made.append({"name": f"student {name}", "weights": float(rng.integers(5, 200)),
                         "words": float(rng.integers(5, 110)), "ms": round(float(rng.uniform(0.05, 2)), 2),
                         "behind": (estimate, estimate - half, estimate + half)})  # fmt: skip
        limits = float(rng.integers(60, 250)), round(float(rng.uniform(0.3, 2)), 2), float(rng.integers(1, 6))
        right = _fitting(made, *limits)
        sizes = [each["weights"] + each["words"] for each in made]
        near = [abs(size / limits[0] - 1) for size in sizes] + [abs(each["ms"] / limits[1] - 1) for each in made]
        near += [abs(100 * each["behind"][1] + limits[2]) / 2 for each in made] + list(np.abs(np.diff(np.sort(sizes))))
        nobody = trap in ("anybody", "disk")
        if min(near) > 0.05 and right != _mistaken(trap, made, *limits) and nobody == (right == NOBODY):
            return made, *limits


def _at_limit(rng, which):
    """Options and limits where the student to name stands exactly at one limit: "at most" lets it in.

    All three numbers are exact in binary, so that no rounding decides: whole kilobytes, the same milliseconds, and
    64ths of a share.
    """
    while True:
        made, *limits = _fresh(rng, "estimate")
        right = _fitting(made, *limits)
        own = next(each for each in made if each["name"] == right)
        if which == "kilobytes":
            limits[0] = own["weights"] + own["words"]
        elif which == "milliseconds":
            limits[1] = own["ms"]
        else:
            low = -int(rng.integers(1, 4)) / 64
            own["behind"], limits[2] = (low + 0.01, low, low + 0.02), -100 * low
        others = [100 * each["behind"][1] + limits[2] for each in made if each is not own]
        if _fitting(made, *limits) == right and min(map(abs, others)) > 0.1:
            return made, *limits


def _mistaken(trap, options, kilobytes, milliseconds, points):
    """What somebody answers who makes a mistake."""
    limits = (kilobytes, milliseconds, points)
    if trap == "estimate":
        return _fitting(options, *limits, by=0)
    if trap == "words":
        return _fitting(options, *limits, words=False)
    if trap == "disk":  # the words count when sizes are compared, and not against the limit
        fits = [each for each in options if each["weights"] <= kilobytes]
        return _fitting(fits, *limits, limits="m")
    if trap == "slow":
        return _fitting(options, *limits, limits="k")
    if trap in ("largest", "anybody"):
        fits = [each for each in options if each["weights"] + each["words"] <= kilobytes and each["ms"] <= milliseconds]
        return max(fits, key=lambda each: each["behind"][0])["name"] if fits else NOBODY
    raise ValueError(trap)


TRAPS = ("estimate", "words", "disk", "slow", "largest", "anybody")
LIMITS = ("kilobytes", "milliseconds", "points")


def _fault(options, answer, right, kilobytes, milliseconds, points):
    """What is wrong with the student that was named."""
    strict = [
        each
        for each in options
        if each["weights"] + each["words"] != kilobytes
        and each["ms"] != milliseconds
        and 100 * each["behind"][1] != -points
    ]
    if len(strict) < len(options) and answer == _fitting(strict, kilobytes, milliseconds, points):
        return f"{right!r} stands exactly at a limit, and 'at most' lets it in: <= and >=, not < and >."
    if answer == NOBODY:
        return "That one is within every limit: points are hundredths of a share. (hint 2)"
    given = next(each for each in options if each["name"] == answer)
    end = "" if right != NOBODY else " Nobody fits: say 'none'. (hint 3)"
    if given["weights"] + given["words"] > kilobytes:
        small = given["weights"] <= kilobytes
        return ("Do you leave the list of words out? (hint 1)" if small else "That one is too large. (hint 1)") + end
    if given["ms"] > milliseconds:
        return "That one takes too long for a sentence. (hint 1)" + end
    if 100 * given["behind"][1] < -points:
        return "Only the low end is sure, and 0.01 is a point. (hint 2)" + end
    return "That one is good enough, and the smallest that is was asked for. (hint 3)"


def check_fits(fits):
    """15.2: the smallest student within a device's limits that is surely good enough."""
    fits, rng = unchanged(fits), _rng()
    cases = [_fresh(rng, trap) for trap in TRAPS for _ in range(3)]
    cases += [(students(), 100.0, 1.0, 3.0), (students(), 400.0, 1.0, 2.0), (students(), 20.0, 1.0, 1.0)]
    edges = [_at_limit(rng, which) for which in LIMITS for _ in range(2)]  # last: other mistakes are named before
    for options, *limits in [*(cases[place] for place in rng.permutation(len(cases))), *edges]:
        right = _fitting(options, *limits)
        answer = fits(copy.deepcopy(options), *limits)
        names = [NOBODY, *(each["name"] for each in options)]
        if isinstance(answer, str) and answer not in names:
            raise Wrong(
                f"{answer!r} is no student of this list, which has {', '.join(names[1:])}: choose among the `students` that "
                f"are handed in, new ones at every call, or say {NOBODY!r}."
            )
        if not isinstance(answer, str):
            raise Wrong(f"A student's name or {NOBODY!r} was expected, and this came: {answer!r:.60}.")
        if answer == right:
            continue
        told = "; ".join(
            f"{each['name']} {each['weights'] + each['words']:.0f} KB, {each['ms']:.2f} ms, "
            f"{100 * each['behind'][1]:+.1f} at the low end"
            for each in options
            if each["name"] in (answer, right)
        )
        raise Wrong(
            f"Within {limits[0]:g} KB, {limits[1]:g} ms and {limits[2]:g} points {right!r} was expected, and you say "
            f"{answer!r} ({told}). {_fault(options, answer, right, *limits)}"
        )


# --- 15.3: teach across modalities ------------------------------------------------------------------------------------

MUST_READ = 0.38  # accuracy on test sentences to reach; right answers come to 44 to 53%, few pairs to 30% at most
ALONE = 100  # sentences without an image, and images without a sentence
PAIRS = 900  # the seed of the teacher and its pairs, none of those recorded


def archive(rng: np.random.Generator):
    """Sentences and images as an archive has them, each in an order of its own, some without a partner.

    Returns:
        x ``[600, V]`` and x_id ``[600]``: sentences as a student sees them, and their records' numbers; z ``[600, 10]`` and
        z_id ``[600]``: the image teacher's logits, and theirs. 500 numbers are in both.
    """
    pair = across.pairs(PAIRS)
    ids = torch.from_numpy(rng.choice(10_000, len(pair["x"]), replace=False))
    order = rng.permutation(len(ids))
    said, shown = rng.permutation(order[ALONE:]), rng.permutation(order[:-ALONE])
    return pair["x"][said], ids[said], pair["logits"][shown], ids[shown]


def check_teach(teach):
    """15.3: a student of sentences, taught by what a teacher said of images; scored on sentences of new images."""
    teach, rng = unchanged(teach), np.random.default_rng(int(torch.randint(2**31, ())))
    given = archive(rng)
    student = teach(*(each.clone() for each in given))
    if not isinstance(student, nn.Module):
        raise Wrong(f"The trained student was expected, and this came: {type(student).__name__}. Return it.")
    x, labels = across.asked("test")
    try:
        z = on_digits.logits(student, x)
    except RuntimeError as error:
        raise Wrong(f"Your student cannot read a row of {x.shape[1]} words and pairs: {error}") from None
    if tuple(z.shape) != (len(x), 10):
        raise Wrong(f"Your student gives {tuple(z.shape)} for {len(x)} sentences: ten logits each were expected.")
    right = (z.argmax(-1) == labels).float().mean().item()
    if right >= MUST_READ:
        return
    raise Wrong(
        f"It is right on {right:.1%} of new sentences, and {MUST_READ:.0%} should be reached. {_why(student, given, right, z)}"
    )


def _why(student, given, right, z):
    """What probably went wrong."""
    said, _, told, _ = given
    by_row = (on_digits.logits(student, said).argmax(-1) == told.argmax(-1)).float().mean().item()
    if by_row > 0.4:
        return "It learned the row of `z` beside each row of `x`: another record's image. Go by the numbers. (hint 1)"
    if z.softmax(-1).amax(-1).mean() < 0.2:
        return "Its ten probabilities are still nearly equal: has it taken steps enough? (hint 2)"
    if right < 0.06:
        return "That is less than chance: is a sign or an order turned round?"
    if right < 0.16:
        return "That is chance: does each target belong to the sentence's own number? (hint 1)"
    return "It learned something: are there too few pairs or steps, or are some pairs wrong? (hints 1, 2)"


# --- 15.4: accept, or draw from the rest ------------------------------------------------------------------------------

WORDS, EACH, SIGMAS = 5, 40_000, 6.0  # tokens; rows of a pair of distributions; how far chance may carry a share


def _pairs(rng):
    """Distributions (p, q) that hold what is easily got wrong: zeros on either side, p equal to q, nothing in common."""
    two = rng.dirichlet(np.ones(WORDS), (2, 2))
    absent, only = two[0].copy(), np.zeros((2, WORDS))
    absent[0, 0] = absent[1, 1] = 0.0  # drafted and impossible; possible and never drafted
    only[0, :2], only[1, 2:] = 0.5, 1 / 3
    same = np.stack([two[1, 0]] * 2)
    found = [two[0], two[1], absent / absent.sum(1, keepdims=True), only, same]
    order = rng.permutation(WORDS)
    return [each[:, order] for each in found]


def _table(p, q, accept, rest):
    """Share of each result y for each drafted x, ``[x, y]``, from a rule's two parts."""
    chance = np.clip(accept(p, np.maximum(q, 1e-12)), 0, 1)
    left = np.maximum(rest(p, q), 0)
    left = left / left.sum() if left.sum() > 1e-12 else np.full(WORDS, 1 / WORDS)
    return np.diag(chance) + (1 - chance)[:, None] * left


def _ratio(p, q):
    return p / q


RULES = (  # (how it accepts, what it draws from otherwise, words)
    (_ratio, lambda p, q: p, "It draws again from all of p, and so gives too much to what was drafted too often. (hint 2)"),
    (_ratio, lambda p, q: q, "It draws again from q: the draft never gets a second go. (hint 2)"),
    (_ratio, lambda p, q: q - p, "The rest is turned round: what p has *beyond* q is still owed. (hint 2)"),
    (_ratio, lambda p, q: np.abs(p - q), "Where q is above p nothing is owed: cut the rest off at 0. (hint 2)"),
    (lambda p, q: q / p, lambda p, q: p - q, "The ratio is turned round: accept with p/q. (hint 1)"),
    (lambda p, q: p >= q, lambda p, q: p - q, "It refuses whatever the draft overrates; accept it now and then. (hint 1)"),
    (lambda p, q: p, lambda p, q: p - q, "It accepts with p alone: q has brought this token already. (hint 1)"),
    (lambda p, q: np.ones(WORDS), lambda p, q: p, "It accepts everything: that is a sample of the draft. (hint 1)"),
    (lambda p, q: np.zeros(WORDS), lambda p, q: p, "A right sample, and the draft was of no use: nothing was accepted. (hint 1)"),
    (lambda p, q: 1 - np.abs(p - q).sum() / 2 + 0 * p, lambda p, q: p - q,
     "It accepts every token alike: one minus the total variation is the mean of the chances. (hint 1)"),
)  # fmt: skip


def check_accept(accept):
    """15.4: tokens drafted from q become tokens of p, and as many as possible are kept."""
    accept, rng = unchanged(accept), np.random.default_rng(int(torch.randint(2**31, ())))
    pairs = _pairs(rng)
    which = torch.from_numpy(rng.integers(len(pairs), size=EACH * len(pairs)))
    p, q = (torch.tensor(np.stack([pair[side] for pair in pairs]))[which] for side in (0, 1))
    x = torch.multinomial(q, 1).squeeze(1)
    try:
        answer = accept(p, q, x)
    except RuntimeError as error:
        if "multinomial" in str(error) or "probability tensor" in str(error):
            raise Wrong(
                "`multinomial` was handed a row that is no distribution. Where p equals q the rest is 0 everywhere, and "
                "divided by its sum it is NaN. (hint 3)"
            ) from None
        raise
    y = torch.as_tensor(np.asarray(answer.detach() if isinstance(answer, Tensor) else answer))
    if tuple(y.shape) != tuple(x.shape) or y.is_floating_point() or y.dtype == torch.bool:
        raise Wrong(
            f"Token numbers of shape {tuple(x.shape)} were expected, one a row, and this came: {y.dtype} of shape "
            f"{tuple(y.shape)}. Return the drafted token where it is accepted, the new one elsewhere."
        )
    if not ((y >= 0) & (y < WORDS)).all():
        raise Wrong(f"There are tokens 0 to {WORDS - 1}, and yours reach from {int(y.min())} to {int(y.max())}.")
    for number, (mine, theirs) in enumerate(pairs):
        rows = which == number
        counts = torch.bincount(x[rows] * WORDS + y[rows], minlength=WORDS**2).reshape(WORDS, WORDS).numpy()
        drafted = counts.sum(1, keepdims=True)
        seen, due = counts / np.maximum(drafted, 1), _table(mine, theirs, _ratio, lambda a, b: a - b)
        far = _far(seen, due, drafted)
        if far <= SIGMAS:
            continue
        fits = [words for how, rest, words in RULES if _far(seen, _table(mine, theirs, how, rest), drafted) <= SIGMAS]
        kept, share = np.trace(counts) / counts.sum(), np.minimum(mine, theirs).sum()
        total = np.abs(counts.sum(0) / counts.sum() - mine).max()
        words = (
            f"p = {_shown(mine)}, q = {_shown(theirs)}: you keep {kept:.1%} of what was drafted, {share:.1%} is due, and what "
            f"comes out is off p by up to {100 * total:.1f} points. "
        )
        raise Wrong(
            words
            + (fits[0] if fits else "Is each row judged by its own p, q and x, with a chance of its own? (hints 1, 2)")
        )


def _far(seen, due, drafted):
    """By how many standard errors shares differ from what is due, at most; rows that were never drafted do not count."""
    error = np.sqrt(due * (1 - due) / np.maximum(drafted, 1)) + 2 / np.maximum(drafted, 1)
    return (np.abs(seen - due) / error * (drafted > 200)).max()


def _shown(values):
    return "[" + ", ".join(f"{each:.2f}" for each in values) + "]"


# --- 15.5: how long a draft? ------------------------------------------------------------------------------------------

LONGEST = 8


def _tokens(rate, length):
    """Expected tokens of one pass of the teacher: the accepted ones, and its own."""
    return sum(rate**place for place in range(length + 1))


def _best(speed):
    """(length, tokens a second) where that is greatest; the shorter of two equal ones."""
    length = int(np.argmax(speed))
    return length, float(speed[length])


def _speeds(rate, draft_ms, pass_ms, tokens=_tokens):
    return [1000 * tokens(rate, n) / (n * draft_ms + pass_ms[n]) for n in range(len(pass_ms))]


def _climbed(speeds):
    """(length, tokens a second) just before the first length that is slower than the one before."""
    length = next((n for n in range(len(speeds) - 1) if speeds[n + 1] < speeds[n]), len(speeds) - 1)
    return length, speeds[length]


def _cases(rng):
    """(rate, draft_ms, pass_ms) of every kind: no draft pays, a middling one does, the longest does; 0 and 1 among rates."""
    first = rng.uniform(30, 60)
    flat, steep = (first * (1 + slope * np.arange(LONGEST + 1)) for slope in (0.01, 0.12))
    yield 0.5, first * rng.uniform(0.6, 0.9), flat.tolist()
    yield 0.7 + 0.1 * rng.random(), first * 0.15, steep.tolist()
    yield 0.85 + 0.05 * rng.random(), first * 0.1, flat.tolist()
    yield 0.0, first * 0.1, flat.tolist()
    yield 1.0, first * 0.1, steep.tolist()
    jump = np.where(np.arange(LONGEST + 1) < 4, first, 1.9 * first)  # a pass of five tokens needs another kernel
    yield 0.8, first * 0.08, jump.tolist()
    # Two jumps: from either end the next length is slower, and the best stands between.
    jumps = first * np.array([1.0] * 2 + [rng.uniform(1.55, 1.65)] * 5 + [2.6] * 2)
    yield rng.uniform(0.88, 0.92), first * 0.05, jumps.tolist()
    for _ in range(6):
        slope = rng.uniform(0, 0.15)
        yield (
            rng.uniform(0.2, 0.95),
            first * rng.uniform(0.03, 0.6),
            (first * (1 + slope * np.arange(LONGEST + 1))).tolist(),
        )


def check_plan(plan):
    """15.5: the length of a draft from an acceptance rate and measured milliseconds."""
    plan, rng = unchanged(plan), np.random.default_rng(int(torch.randint(2**31, ())))
    for rate, draft_ms, pass_ms in _cases(rng):
        length, speed = _best(_speeds(rate, draft_ms, pass_ms))
        try:
            answer = plan(rate, draft_ms, list(pass_ms))
        except ZeroDivisionError:
            raise Wrong(f"At rate {rate:g} you divide by zero: there add the powers up one by one. (hint 1)") from None
        try:
            got, told = answer
            got, told = int(got), float(told)
        except (TypeError, ValueError):
            raise Wrong(f"(length, tokens a second) was expected, and this came: {answer!r:.80}.") from None
        if got == length and math.isfinite(told) and abs(told - speed) <= 1e-4 * speed:
            continue
        mistakes = (
            (lambda a, n: _tokens(a, n) - 1, pass_ms, draft_ms, "A pass also gives a token of the teacher's own: add it. (hint 1)"),
            (lambda a, n: 1 + a * n, pass_ms, draft_ms, "The second drafted token counts only if the first was accepted. (hint 1)"),
            (lambda a, n: 1 + n * a**n, pass_ms, draft_ms, "Those before the first refusal are kept too. (hint 1)"),
            (lambda a, n: n + 1, pass_ms, draft_ms, "That is what comes out if all are accepted. (hint 1)"),
            (_tokens, [pass_ms[0]] * len(pass_ms), draft_ms, "A longer pass takes longer: use pass_ms of that length. (hint 2)"),
            (_tokens, pass_ms, 0.0, "Drafting costs time as well: length · draft_ms. (hint 2)"),
        )  # fmt: skip
        found = [(_best(_speeds(rate, ms, passes, tokens)), words) for tokens, passes, ms, words in mistakes]
        drafted = _speeds(rate, draft_ms, pass_ms)
        found += [
            ((1 + int(np.argmax(drafted[1:])), max(drafted[1:])), "Length 0, no draft, is a choice too. (hint 3)"),
            (_climbed(drafted), "It stops at the first that is slower: the fastest may lie beyond a jump. (hint 3)"),
            ((len(pass_ms) - 1, drafted[-1]), "The longest draft is not the fastest. (hint 3)"),
            ((int(np.argmin(drafted)), min(drafted)), "That is the slowest."),
            ((length, speed / drafted[0]), "That is how many times faster: tokens a second were asked for."),
            ((length, speed / 1000), "Tokens a millisecond: a second has 1,000."),
            ((length, 1000 / speed), "Milliseconds a token: tokens a second were asked for."),
        ]
        words = nearest(
            (got, told),
            [(list(each), text) for each, text in found],
            "Tokens over milliseconds, for each length. (hints 1, 2)",
            1e-4,
        )
        raise Wrong(
            f"At acceptance {rate:.2f}, {draft_ms:.1f} ms a drafted token and {pass_ms[0]:.1f} to {pass_ms[-1]:.1f} ms a pass "
            f"{length} drafted tokens are best, {speed:.2f} a second; you say {got} and {told:.2f}. {words}"
        )


CHECKS = {"15.1": check_foresee, "15.2": check_fits, "15.3": check_teach, "15.4": check_accept, "15.5": check_plan}
