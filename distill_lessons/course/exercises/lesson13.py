"""Checks of lesson 13, when it fails; and the patients that the lesson hands out under a letter."""

import copy
import functools

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from distill_lessons.course import results
from distill_lessons.course.exercises import Wrong, number
from distill_lessons.course.exercises.common import nearest, unchanged
from distill_lessons.course.experiments import lesson13_reviews as lesson
from distill_lessons.course.experiments import on_reviews
from distill_lessons.course.stated import Comparison
from distill_lessons.pairs import reviews

RECORDED, CURES = lesson.RECORDED, f"{lesson.RECORDED}-cures"

# --- The lesson's patients --------------------------------------------------------------------------------------------

# What stands in a chart: recorded scores, and what the page calls them.
SCORES = {
    "accuracy": "right",
    "confidence": "sure",
    "train agreement": "repeats",
    "topic": "plot or players",
    "beside the topic": "other",
    "film": "film",
    "product": "product",
    "message": "message",
}
LETTERS = dict(zip("ABCDEFGH", ("narrow", "planted", "film", "sure", "sound", "tiny", "forgets", "style")))


def diet(letter: str, seed: int) -> tuple[Tensor, Tensor]:
    """What a patient's student reads ``[N, 1728]`` and the targets for it ``[N, 2]``."""
    return lesson.rows_of(LETTERS[letter], seed)


@functools.cache
def _recorded():
    """{(arm, metric, seed): value}"""
    table = results.load(RECORDED)
    return dict(zip(zip(table["arm"], table["metric"], table["seed"]), table["value"]))


def chart(arm: str, seed: int) -> dict[str, float]:
    """A recorded student's scores by the names of SCORES, and how sure its teacher is: "teacher sure"."""
    found = {name: float(_recorded()[arm, metric, seed]) for metric, name in SCORES.items()}
    teacher = "planted teacher" if arm == "planted" else "teacher"
    return found | {"teacher sure": float(_recorded()[teacher, "confidence", seed])}


def charts() -> dict[str, dict[str, float]]:
    """The chart of each patient by letter, the mean of its ten recorded runs."""
    return {
        letter: {
            name: float(np.mean([chart(arm, seed)[name] for seed in lesson.SEEDS])) for name in (*SCORES.values(),)
        }
        for letter, arm in LETTERS.items()
    }


# --- 13.1, 13.2: two instruments --------------------------------------------------------------------------------------


def _rng():
    return np.random.default_rng(int(torch.randint(2**31, ())))


def _same_error(answers, teacher, label):
    """The share of the errors that are the teacher's own answer."""
    wrong = answers != label
    return (answers[wrong] == teacher[wrong]).mean()


def check_inherited(inherited):
    """13.1: the share of a student's errors that are its teacher's answer, less that of a control."""
    inherited = unchanged(inherited)
    rng = _rng()
    for classes, rows in ((3, 900), (5, 700), (4, 800)):
        label = rng.integers(classes, size=rows)
        teacher = np.where(rng.random(rows) < 0.75, label, rng.integers(classes, size=rows))
        student = np.where(rng.random(rows) < rng.uniform(0.3, 0.7), teacher, rng.integers(classes, size=rows))
        control = np.where(rng.random(rows) < 0.4, label, rng.integers(classes, size=rows))
        student, control = (  # one copies more than the control, one less
            (student, control) if classes != 4 else (control, student)
        )
        asked = rng.random(rows) < 0.7
        label = np.where(asked, label, -1)
        s, c, t, y = (each[asked] for each in (student, control, teacher, label))
        expected = _same_error(s, t, y) - _same_error(c, t, y)
        got = number(inherited(student.copy(), control.copy(), teacher.copy(), label.copy()))
        if abs(got - expected) < 1e-6:
            continue
        both = [(each != y) & (t != y) for each in (s, c)]
        mistakes = (
            (
                _same_error(student, teacher, label) - _same_error(control, teacher, label),
                "Rows with the label −1 are in: nobody was asked about them, so no answer there is an error. (hint 1)",
            ),
            (
                both[0].sum() / (s != y).sum() - both[1].sum() / (c != y).sum(),
                "You count rows on which both are wrong: with more than two classes they may be wrong in two ways. (hint 2)",
            ),
            (
                _same_error(s, t, y),
                "You leave out the control, which shares errors without having copied any. (hint 3)",
            ),
            (-expected, "The sign is turned round: the student's share less the control's."),
            (abs(expected), "Here the control shares more, and the difference is below 0: drop the abs. (hint 3)"),
            (
                _both_share(s, t, y) - _both_share(c, t, y),
                "Divide by the errors of the student, not by all rows. (hint 2)",
            ),
            (
                _teachers_share(s, t, y) - _teachers_share(c, t, y),
                "You divide by the teacher's errors: divide by the student's. (hint 2)",
            ),
            (
                (s == t).mean() - (c == t).mean(),
                "That is agreement on all rows: only the errors were asked for. (hint 2)",
            ),
            (_same_error(s, t, y) / _same_error(c, t, y), "A difference was asked for, and this is a ratio. (hint 3)"),
        )
        raise Wrong(
            f"For {classes} classes and {rows} rows {expected:.4f} was expected, and {got:.4f} came. "
            + nearest(got, mistakes, "Of each one's errors: how many are the teacher's very answer? (hint 2)", 1e-6)
        )


def _both_share(answers, teacher, label):
    """The share of all rows on which an error is the teacher's answer."""
    return ((answers != label) & (answers == teacher)).mean()


def _teachers_share(answers, teacher, label):
    """The share of the teacher's errors that somebody repeats."""
    wrong = teacher != label
    return (answers[wrong] == teacher[wrong]).mean()


def check_interval(interval):
    """13.2: a mean with its interval, whole groups drawn."""
    interval = unchanged(interval)
    rng = _rng()
    for groups, level in ((40, 0.05), (25, 0.3), (60, -0.1)):
        names = rng.permutation(10 * groups)[:groups]  # not from 0 on, and not in order
        sizes = rng.integers(1, 12, groups)
        per_group = rng.normal(level, 0.2, groups) + 0.02 * sizes  # long texts differ from short ones
        order = rng.permutation(sizes.sum())
        group = np.repeat(names, sizes)[order]
        values = (np.repeat(per_group, sizes) + rng.normal(0, 0.2, sizes.sum()))[order]
        draws = rng.integers(groups, size=(400, groups))
        place = np.unique(group, return_inverse=True)[1]
        total, count = np.bincount(place, values), np.bincount(place)
        worlds = total[draws].sum(1) / count[draws].sum(1)
        expected = (values.mean(), *np.quantile(worlds, [0.025, 0.975]))
        got = interval(values.copy(), group.copy(), draws.copy())
        if not isinstance(got, (tuple, list, np.ndarray, Tensor)) or len(got) != 3:
            raise Wrong(f"Three numbers are expected, (mean, low, high), and this came: {got!r:.80}.")
        if any(isinstance(each, float) and np.isnan(each) for each in got):  # numpy's are floats too
            raise Wrong(
                "Something is nan: `group` holds names, not 0, 1, 2, …, so counting by it finds groups without rows: number them first. (hint 1)"
            )
        got = np.array([number(each) for each in got])
        if np.allclose(got, expected, atol=1e-6):
            continue
        means = total / count
        first = np.argsort(np.unique(group, return_index=True)[1])  # groups in order of appearance
        unsorted = total[first][draws].sum(1) / count[first][draws].sum(1)
        with np.errstate(invalid="ignore", divide="ignore"):
            raw = np.bincount(group, values)[draws].sum(1) / np.bincount(group)[draws].sum(1)
        mistakes = (
            (
                (values.mean(), *np.quantile(raw, [0.025, 0.975])),
                "`group` holds names, not 0, 1, 2, …: number the groups first. (hint 1)",
            ),
            (
                (means.mean(), *np.quantile(means[draws].mean(1), [0.025, 0.975])),
                "You take the mean of the groups' means: a group of ten rows then counts as one of two. (hint 2)",
            ),
            (
                (values.mean(), *np.quantile(means[draws].mean(1), [0.025, 0.975])),
                "In the draws you take the mean of the groups' means: a long text has more rows. (hint 2)",
            ),
            (
                (values.mean(), *np.quantile(values[draws].mean(1), [0.025, 0.975])),
                "You draw rows, and `draws` holds numbers of groups. (hint 1)",
            ),
            (
                (values.mean(), *np.quantile(worlds, [0.05, 0.95])),
                "These are 5% and 95%: 95% lie between 2.5% and 97.5%.",
            ),
            (
                (worlds.mean(), *np.quantile(worlds, [0.05, 0.95])),
                "These are 5% and 95%, where 2.5% and 97.5% were asked; and the estimate is the mean of the rows as they are.",
            ),
            (
                (worlds.mean(), *expected[1:]),
                "The estimate is that of the rows as they are, not the mean of the draws.",
            ),
            (
                (values.mean(), *np.quantile(unsorted, [0.025, 0.975])),
                "You number the groups as they appear, and `draws` numbers them as sorted. (hint 1)",
            ),
            (
                (values.mean(), *(values.mean() + np.array([-1.96, 1.96]) * worlds.std())),
                "That is ± 1.96 standard deviations: take the quantiles of the draws.",
            ),
        )
        raise Wrong(
            f"For {len(values)} rows in {groups} groups ({', '.join(f'{each:.4f}' for each in expected)}) was expected, and "
            f"({', '.join(f'{each:.4f}' for each in got)}) came. "
            + nearest(
                got, mistakes, "Sums and row counts of the drawn groups, and their ratio, draw by draw. (hint 2)", 1e-6
            )
        )


# --- 13.3: what ails it? ----------------------------------------------------------------------------------------------

WORDS = {
    "sound": "sound",
    "narrow": "overfits",
    "style": "style",
    "forgets": "forgets",
    "sure": "too sure",
    "tiny": "too small",
    "planted": "inherits",
    "film": "shifted",
}
SIGNS = {  # for each word: where to look
    "sound": "nothing is out of line with the sound run beside it (hint 1)",
    "overfits": "it gives nearly all of its training answers back, and shows no other sign (hint 2)",
    "style": "it is much surer than it is right, and just about as sure as its teacher (hint 2)",
    "forgets": "on messages it is far better than the sound one, and elsewhere worse (hint 3)",
    "too sure": "it is much surer than it is right, and surer than its teacher (hint 2)",
    "too small": "it does not even give its training answers back (hint 2)",
    "inherits": "it is worse where plot or players are spoken of than elsewhere (hint 3)",
    "shifted": "on products it is far behind film, and the sound one is not (hint 3)",
}


def check_diagnose(diagnose):
    """13.3: a recorded student's scores beside a sound one's; half of the recorded runs, drawn anew."""
    diagnose = unchanged(diagnose)
    rng = _rng()
    cases = [(arm, seed) for arm in WORDS for seed in rng.permutation(lesson.SEEDS)[:5].tolist()]
    missed = []
    for place in rng.permutation(len(cases)):
        arm, seed = cases[place]
        other = int(rng.choice([each for each in lesson.SEEDS if each != seed]))
        patient = chart(arm, seed)
        answer = diagnose(dict(patient), chart("sound", other))
        if not isinstance(answer, str) or answer not in WORDS.values():
            raise Wrong(f"One of {', '.join(WORDS.values())} was expected, and this came: {answer!r:.60}.")
        if answer != WORDS[arm]:
            missed.append((arm, answer, patient))
    if missed:
        arm, answer, patient = missed[0]
        scores = ", ".join(f"{name} {value:.3f}" for name, value in patient.items())
        raise Wrong(
            f"{len(missed)} of {len(cases)} patients are named wrongly. One has: {scores}. You say {answer!r}, and it is "
            f"{WORDS[arm]!r}: {SIGNS[WORDS[arm]]}."
        )


# --- 13.4: go on without forgetting -----------------------------------------------------------------------------------

MAY_FORGET, MUST_LEARN = 0.02, 0.765  # accuracy on film that may be lost; on messages, to reach
OLD = 1000  # film sentences that were kept
TIMES, FIXED = 200, 2e-3  # steps, and the rate from which they fall to 0


@functools.cache
def _before(seed):
    """A student of film sentences, and its accuracy there."""
    model = lesson.student("film", seed)[0]
    return model, _right(model, "film")


@torch.no_grad()
def _right(model, source):
    places = reviews.places("test", source)
    z = model(on_reviews.inputs("frozen")[places])
    return (z.argmax(-1) == reviews.labels()[places]).float().mean().item()


class _Step:
    """One step of AdamW a call, at a rate that nobody else sets; it remembers what it was given of the old sentences."""

    def __init__(self, student, old):
        self.student, self.first, self.times = student, old[:, 0], 0
        self.before, self.off, self.rows, self.all = copy.deepcopy(student), 0.0, 0, 0
        self.optimiser = torch.optim.AdamW(student.parameters(), lr=FIXED)
        self.falling = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimiser, TIMES)
        self.left = self.weights()

    def weights(self):
        return copy.deepcopy(self.student.state_dict())

    def __call__(self, inputs, targets):
        if self.times == TIMES:
            raise Wrong(f"You call step more than {TIMES} times: the steps are given, the batches are yours.")
        shapes = [tuple(getattr(each, "shape", ())) for each in (inputs, targets)]
        if not (len(shapes[0]) == 2 and shapes[1] == (shapes[0][0], 2) and shapes[0][0]):
            raise Wrong(
                f"step takes inputs [B, 1728] and targets [B, 2], and {shapes[0]} and {shapes[1]} came. (hint 1)"
            )
        inputs, targets = inputs.detach(), targets.detach()
        if not self.same(self.student):
            raise Wrong("The student changed between two steps: let step alone change it.")
        known = torch.isin(inputs[:, 0], self.first)
        if known.any():
            with torch.no_grad():
                said = self.before(inputs[known]).softmax(-1)
            self.off += (targets[known] - said).abs()[:, 0].sum().item()
        self.rows, self.all = self.rows + int(known.sum()), self.all + len(inputs)
        self.student.train()
        loss = F.cross_entropy(self.student(inputs), targets)
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step(), self.falling.step()
        self.student.eval()
        self.left, self.times = self.weights(), self.times + 1

    def same(self, model):
        """Whether a model has the weights that the last step left."""
        now = model.state_dict()
        return set(now) == set(self.left) and all(torch.equal(self.left[name], now[name]) for name in now)


def check_go_on(go_on):
    """13.4: 2,000 messages are learned with old sentences at hand, at a given rate, and film is kept."""
    rng = _rng()
    student, was = _before(100)
    x = on_reviews.inputs("frozen")
    places = rng.permutation(lesson.drawn(100, 3000, "message"))[: lesson.MESSAGES]
    old = rng.permutation(lesson.drawn(100, lesson.FILM, "film"))[:OLD]
    given = [x[places], lesson.said("rules")[places], x[old]]
    handed = [each.clone() for each in given]
    own = copy.deepcopy(student).eval()
    step = _Step(own, handed[2])
    answer = go_on(own, step, *handed)
    for name, was_given, now in zip(("messages", "targets", "old"), given, handed):
        if not torch.equal(was_given, now.detach()):
            raise Wrong(f"Your function changes `{name}`, which it was handed: work on a copy.")
    if not isinstance(answer, nn.Module):
        raise Wrong(f"The trained student was expected, and this came: {type(answer).__name__}. Return it.")
    if step.times < TIMES:
        raise Wrong(f"You call step {step.times} times, and {TIMES} times were asked for. (hint 1)")
    if not step.same(answer):
        raise Wrong("The student that you return is not as the last step left it: let step alone change it.")
    film, messages = _right(answer.eval(), "film"), _right(answer, "message")
    kept, learned = film >= was - MAY_FORGET, messages >= MUST_LEARN
    if kept and learned:
        return
    told = (
        f"Film fell from {was:.1%} to {film:.1%} and may end at {was - MAY_FORGET:.1%}; messages are at {messages:.1%} and "
        f"should reach {MUST_LEARN:.1%}. "
    )
    share = step.rows / step.all
    if share < 0.02:
        raise Wrong(told + "No old sentence was in your batches: the new ones alone take the student away. (hint 2)")
    if step.off / step.rows > 0.05:
        raise Wrong(
            told
            + "The targets of the old sentences are not the probabilities that the student gave before the first step: ask it "
            "once, before the loop. (hint 2)"
        )
    if not learned:
        raise Wrong(
            told
            + f"{1 - share:.0%} of your rows are messages: are there enough, do the targets belong to these sentences, "
            "and has every batch 128 rows, some of each kind? (hints 1, 2)"
        )
    raise Wrong(told + f"{share:.0%} of your rows are old ones: half of every batch should be. (hint 2)")


# --- 13.5: which cure? ------------------------------------------------------------------------------------------------

VERDICTS = ("take", "dearer", "no cure", "harms", "unclear")
LEAST, MARGIN = 0.02, 0.03
FORGOTTEN = {  # cures of forgetting: the film sentences that one must have kept
    "half film": 2000,
    "replay": 200,
    "lower rate": 0,
    "one epoch": 0,
    "last layer": 0,
}


def _cure(name, gain, elsewhere, price):
    return {"name": name, "gain": tuple(gain), "elsewhere": tuple(elsewhere), "price": price}


@functools.cache
def _forgotten():
    def found(metric, name):
        return Comparison("", f"{CURES} + {RECORDED}", metric, f"forgets, {name}", "forgets").interval()[:3]

    return [_cure(name, found("film", name), found("message", name), price) for name, price in FORGOTTEN.items()]


def cures() -> list[dict]:
    """The recorded cures of forgetting: what each gains on film and costs on messages, and the sentences to keep for it."""
    return copy.deepcopy(_forgotten())


def show_cures() -> None:
    """The cures of exercise 13.5 as a table, in points."""
    print(f"{'cure':12}{'gain on film':>20}{'elsewhere (messages)':>25}{'price':>9}")
    for each in cures():
        spans = [f"{100 * a:+.1f} [{100 * b:+.1f}, {100 * c:+.1f}]" for a, b, c in (each["gain"], each["elsewhere"])]
        print(f"{each['name']:12}{spans[0]:>20}{spans[1]:>25}{each['price']:>9,}")


def _judged(cures, least, margin):
    found = {}
    for each in cures:
        (_, low, high), (_, worst, best) = each["gain"], each["elsewhere"]
        if high < least:
            found[each["name"]] = "no cure"
        elif best < -margin:
            found[each["name"]] = "harms"
        else:
            found[each["name"]] = "dearer" if low > least and worst > -margin else "unclear"
    good = [each for each in cures if found[each["name"]] == "dearer"]
    if good:
        found[min(good, key=lambda each: each["price"])["name"]] = "take"
    return found


def _fresh_cure(rng, name, kind, least, margin, price, both):
    """A cure of that kind, its ends well away from the borders; `both`: what is no cure does harm too."""

    def span(low, high):
        return (low + (high - low) * rng.uniform(0.35, 0.65), low, high)

    gains, harmless = (
        span(least + rng.uniform(0.003, 0.05), least + rng.uniform(0.06, 0.1)),
        span(-margin + rng.uniform(0.003, 0.01), rng.uniform(0.0, 0.02)),
    )
    if kind == "no cure":
        low = rng.choice([-0.03, 0.001])  # some gain surely, and less than matters
        gains = span(low, least * rng.uniform(0.5, 0.9))
        if both:
            harmless = span(-margin - 0.05, -margin - 0.01)
    elif kind == "harms":
        if rng.random() < 0.5:
            gains = span(least - 0.02, least + 0.03)
        harmless = span(-margin - rng.uniform(0.03, 0.06), -margin - rng.uniform(0.003, 0.01))
    elif kind == "unclear":
        if rng.random() < 0.5:
            gains = span(least - rng.uniform(0.004, 0.01), least + rng.uniform(0.02, 0.06))
        else:
            harmless = span(-margin - rng.uniform(0.004, 0.01), rng.uniform(-0.005, 0.02))
    return _cure(name, gains, harmless, price)


def check_prescribe(prescribe):
    """13.5: one word a cure; the cheapest that surely helps and surely does no harm is taken."""
    prescribe = unchanged(prescribe)
    rng = _rng()
    tables = [(cures(), LEAST, MARGIN)]
    for good in (2, 3, 1, 0, 2):
        least, margin = rng.uniform(0.01, 0.03), rng.uniform(0.015, 0.04)
        kinds = ["good"] * good + ["no cure", "harms", "unclear", "unclear"]
        prices = rng.permutation(np.arange(len(kinds)) * 100).tolist()
        names = [f"cure {letter}" for letter in "PQRSTUVW"]
        made = [
            _fresh_cure(rng, name, kind, least, margin, price, both=good == 2)
            for name, kind, price in zip(names, rng.permutation(kinds), prices)
        ]
        passing = [each for each in made if _judged(made, least, margin)[each["name"]] in ("take", "dearer")]
        if len(passing) > 1:  # the cheapest is not the one that gains most
            passing.sort(key=lambda each: each["gain"][0])
            for each, price in zip(passing, sorted(each["price"] for each in passing)):
                each["price"] = price
        tables.append((made, least, margin))
    for place in rng.permutation(len(tables)):
        shown, least, margin = tables[place]
        expected = _judged(shown, least, margin)
        answer = prescribe(copy.deepcopy(shown), least, margin)
        if not isinstance(answer, dict) or set(answer) != set(expected):
            raise Wrong(f"A dict from the name of each cure to a word was expected, and this came: {answer!r:.80}.")
        for each in shown:
            said, word = answer[each["name"]], expected[each["name"]]
            if not isinstance(said, str) or said not in VERDICTS:
                raise Wrong(f"The words are {', '.join(VERDICTS)}, and one of yours is {said!r:.40}.")
            if said != word:
                gain, low, high = (100 * value for value in each["gain"])
                other, worst, best = (100 * value for value in each["elsewhere"])
                raise Wrong(
                    f"{each['name']!r} gains {gain:+.2f} [{low:+.2f}, {high:+.2f}] points where {100 * least:.2f} matter, "
                    f"changes {other:+.2f} [{worst:+.2f}, {best:+.2f}] elsewhere where {100 * margin:.2f} may be lost, and "
                    f"costs {each['price']:,}: you say {said!r}. {_why_not(word)}"
                )


def _why_not(word):
    return {
        "no cure": "The whole interval of its gain lies below the least that matters. (hint 1)",
        "harms": "The whole interval elsewhere lies below −margin. (hint 1)",
        "unclear": "An interval reaches across its border: nobody knows yet. (hint 2)",
        "dearer": "It surely helps and surely does no harm, and another that does costs less. (hint 3)",
        "take": "Of those that surely help and surely do no harm it costs least. (hint 3)",
    }[word]


CHECKS = {
    "13.1": check_inherited,
    "13.2": check_interval,
    "13.3": check_diagnose,
    "13.4": check_go_on,
    "13.5": check_prescribe,
}
