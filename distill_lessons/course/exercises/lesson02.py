"""Checks of lesson 02, dark knowledge."""

import functools

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F

from distill_lessons.course import results
from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import unchanged
from distill_lessons.course.experiments import on_reviews
from distill_lessons.pairs import reviews


def _shape(answer):
    return tuple(getattr(answer, "shape", np.shape(answer)))


def _draw_classes(classes, least=3):
    """Labels in random order, every class at least `least` times and in unequal numbers."""
    counts = least + torch.randperm(classes) * 2
    labels = torch.repeat_interleave(torch.arange(classes), counts)
    return labels[torch.randperm(len(labels))]


def _class_means(rows, labels):
    return torch.stack([rows[labels == label].mean(0) for label in range(rows.shape[-1])])


def check_mean_soft_targets(mean_soft_targets):
    """2.1: mean softened distribution of each true class."""
    mean_soft_targets = unchanged(mean_soft_targets)
    for classes in (10, 6):
        labels = _draw_classes(classes)
        logits = 3 * torch.randn(len(labels), classes) + 4 * F.one_hot(labels, classes)
        temperature = 2 + 3 * torch.rand(()).item()
        expected = _class_means(torch.softmax(logits.double() / temperature, dim=-1), labels)
        answer = mean_soft_targets(logits.clone(), labels.clone(), temperature)
        if close(answer, expected):
            continue
        size = f"{classes} × {classes}"
        if _shape(answer) != (classes, classes):
            raise Wrong(
                f"For {classes} logits a picture, a {size} matrix is expected, and the shape {_shape(answer)} came: "
                "one row for each true class, as many classes as there are logits. (hint 1)"
            )
        if close(answer, expected.T):
            raise Wrong(
                "Your matrix is transposed: the true class belongs in the rows, and each row sums to 1. (hint 1)"
            )
        if close(answer, _class_means(torch.softmax(logits.double(), dim=-1), labels)):
            raise Wrong(
                f"These are the means at T=1, and T={temperature:.2f} was asked for: divide the logits by T. (hint 1)"
            )
        if close(answer, _class_means(torch.softmax(logits.double() * temperature, dim=-1), labels)):
            raise Wrong(
                f"You multiply the logits by T, which softens with T={1 / temperature:.2f}, and T={temperature:.2f} was "
                "asked for: divide by T. (hint 1)"
            )
        for fixed in (0.5, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10, 20):
            if close(answer, _class_means(torch.softmax(logits.double() / fixed, dim=-1), labels)):
                raise Wrong(
                    f"You soften with T={fixed}, and T={temperature:.2f} was asked for: use the argument. (hint 1)"
                )
        if close(answer, _class_means(torch.softmax(logits.double() / temperature, dim=0), labels)):
            raise Wrong("Your softmax runs over pictures: use dim=-1. (hint 1)")
        if close(answer, torch.softmax(_class_means(logits.double(), labels) / temperature, dim=-1)):
            raise Wrong(
                "You take the mean of the logits and soften that. Softmax is not linear: soften each picture first, "
                "then take the mean. (hint 1)"
            )
        predicted = F.one_hot(logits.argmax(-1), classes).double()
        if close(answer, _class_means(predicted, labels)):
            raise Wrong("You count predictions, which is hard: take the mean of the softened probabilities. (hint 1)")
        softened = torch.softmax(logits.double() / temperature, dim=-1)
        if close(answer, _class_means(softened.log(), labels).exp()):
            raise Wrong("You take the mean of the logarithms: take that of the probabilities. (hint 1)")
        if close(answer, _class_means(softened, logits.argmax(-1))):
            raise Wrong("You group the pictures by what the teacher predicts: group them by their labels. (hint 2)")
        total = float(torch.as_tensor(answer).double()[0].sum())
        if abs(total - 1) > 1e-3:
            raise Wrong(
                f"Each row is a mean of distributions and sums to 1; your first row sums to {total:.3f}. Divide by the "
                "number of pictures of that class, not of all pictures. (hint 2)"
            )
        raise Wrong(
            f"The first entry of row 0 should be {expected[0, 0]:.4f}, and yours is {float(answer[0][0]):.4f}. Which rows "
            "do you average: all of those whose true label is the class? (hint 2)"
        )
    labels = _draw_classes(5)
    logits = 200 * F.one_hot(labels, 5) + torch.randn(len(labels), 5)
    if not close(mean_soft_targets(logits, labels, 2.0), _class_means(torch.softmax(logits.double() / 2, -1), labels)):
        raise Wrong("For logits of 200 yours is wrong: exp overflows. Use torch.softmax. (hint 1)")


def check_smooth(smooth):
    """2.2: (1 − ε) one-hot + ε / C."""
    smooth = unchanged(smooth)
    for classes, epsilon in ((10, 0.1), (5, 0.3), (4, 0.0), (7, 1.0)):
        labels = torch.randint(classes - 1, (12,))  # the last class does not occur
        expected = (1 - epsilon) * F.one_hot(labels, classes).double() + epsilon / classes
        answer = smooth(labels.clone(), classes, epsilon)
        if close(answer, expected):
            continue
        if _shape(answer) != (12, classes):
            raise Wrong(
                f"12 labels of {classes} classes should give the shape (12, {classes}), and {_shape(answer)} came. The "
                "number of classes is an argument: not every class need occur among the labels. (hint 1)"
            )
        answer = torch.as_tensor(answer).double()
        hot = F.one_hot(labels, classes).double()
        if close(answer, (1 - epsilon) * hot + epsilon * hot.mean(0)):
            raise Wrong(
                "You mix with the frequencies of the labels: every class gets the same part of ε, also one that does not occur. "
                "(hint 2)"
            )
        on = answer[0, labels[0]].item()
        told = (
            f"With ε={epsilon} and {classes} classes the label should get {1 - epsilon + epsilon / classes:.4f}, and "
        )
        told += f"yours gets {on:.4f}. "
        total = answer[0].sum().item()
        if abs(total - 1) > 1e-3:
            raise Wrong(told + f"Your row sums to {total:.3f}, and a distribution sums to 1. (hint 1)")
        if abs(on - (1 - epsilon)) < 1e-4:
            raise Wrong(
                told + "You share ε among the wrong classes only. Here ε is shared among all classes, and the label "
                "gets its part too. (hint 2)"
            )
        raise Wrong(told + "Mix the one-hot vector, weight 1 − ε, with the uniform distribution, weight ε. (hint 1)")


def check_without_class_information(flatten):
    """2.3: the label keeps its probability, the wrong classes share the rest equally, picture by picture."""
    flatten = unchanged(flatten)
    for classes in (10, 5):
        labels = torch.randint(classes, (40,))
        targets = torch.softmax(1.5 * torch.randn(40, classes) + 1.5 * F.one_hot(labels, classes), dim=-1)
        own = F.one_hot(labels, classes).bool()
        targets[:2] = own[:2].float()  # a teacher that is certain and right
        targets[2] = own[3].roll(1).float()  # and one that is certain, and mostly wrong
        on = targets[own].double()
        expected = ((1 - on) / (classes - 1)).unsqueeze(-1).expand(-1, classes).clone()
        expected[own] = on
        try:
            answer = flatten(targets.clone(), labels.clone())
        except (IndexError, RuntimeError, ValueError):
            if classes == 10:
                raise
            raise Wrong("5 classes came: take the number of classes from targets.shape[-1], not 10. (hint 2)") from None
        if close(answer, expected):
            continue
        if _shape(answer) != _shape(targets):
            raise Wrong(f"The shape {_shape(targets)} is expected back, and {_shape(answer)} came. (hint 1)")
        answer = torch.as_tensor(answer).double()
        total = answer.sum(-1)
        if not close(total, torch.ones(40), 1e-3):
            worst = total[(total - 1).abs().argmax()].item()
            if total.isnan().any():
                raise Wrong(
                    "Where the label has a probability of 1 exactly, yours gives NaN: nothing is left to share, and the "
                    "wrong classes get 0 each. (hint 2)"
                )
            raise Wrong(
                f"Each row must sum to 1, and one of yours sums to {worst:.3f}. How many wrong classes share the rest? "
                "(hint 2)"
            )
        if not close(answer[own], on):
            worst = (answer[own] - on).abs().argmax()
            told = f"A picture whose label had {on[worst]:.3f} now gives it {answer[own][worst]:.3f}"
            largest, place = targets.double().max(-1)
            if close(answer[own], torch.where(place == labels, on, (1 - largest) / (classes - 1))):
                raise Wrong(
                    f"{told}: you keep the largest entry. The teacher is sometimes wrong, and then the label's entry is "
                    "another: find it through `labels`. (hint 1)"
                )
            if close(answer[own], on.mean().expand(len(on))):
                raise Wrong(f"{told}: you keep an average over pictures. Each picture keeps its own value. (hint 1)")
            raise Wrong(f"{told}: the label's own probability must stay as it was. (hint 1)")
        raise Wrong(
            "The label keeps its probability, but the wrong classes of a picture are not all equal, or not the mean of "
            "that picture's own wrong classes. (hint 2)"
        )


LESSON_LABEL = 3  # the lesson finds a bias for this one


def check_bias_for_share(find):
    """2.4: the bias of one logit with which a given share of the pictures is given that label."""
    find = unchanged(find)
    for classes, scale, offset in (
        (10, 1.0, -4.0), (6, 1.5, 5.0), (10, 10.0, -45.0), (4, 1.0, -3.0),
        (5, 0.2, -0.8), (7, 0.2, -0.6), (4, 0.2, -0.5), (9, 0.2, -0.3),  # here a tenth is many pictures
    ):  # fmt: skip
        label = int((torch.randint(1, classes, ()) + LESSON_LABEL) % classes)  # any other
        pictures = int(torch.randint(300, 600, ()))
        logits = scale * torch.randn(pictures, classes)
        logits[:, label] += offset
        count = int(torch.randint(pictures // 10, pictures // 3, ()))
        bias = number(find(logits.clone(), label, count / pictures))
        moved = logits.clone()
        moved[:, label] += bias
        got = int((moved.argmax(-1) == label).sum())
        if abs(got - count) > 2:
            others = torch.cat([logits[:, :label], logits[:, label + 1 :]], dim=-1).amax(-1)
            needed = (others - logits[:, label]).sort().values
            right = ((needed[count - 1] + needed[count]) / 2).item()
            told = (
                f"Label {label} should be predicted for {count} of {pictures} pictures; your bias of {bias:.3f} gives {got}, and "
                f"{right:.3f} would do. "
            )
            if abs(bias + right) < 0.02 * abs(right):
                raise Wrong(told + "The sign is turned around: a bias is added to the logit. (hint 1)")
            if abs(bias) < 1e-6:
                raise Wrong(told + "A bias of 0 leaves every prediction as it was. (hint 1)")
            if abs(bias - right) <= 0.051:
                raise Wrong(told + "That is near, but several pictures off: do you round, or stop too early? (hint 2)")
            moved_other = logits.clone()
            moved_other[:, LESSON_LABEL] += bias
            if abs(int((moved_other.argmax(-1) == LESSON_LABEL).sum()) - count) <= 1:
                raise Wrong(
                    told
                    + f"Your bias fits label {LESSON_LABEL}, and label {label} was asked: use the argument. (hint 2)"
                )
            mean = torch.softmax(moved.double(), dim=-1)[:, label].mean().item()
            if abs(mean - count / pictures) < 0.01:
                raise Wrong(
                    told + "You match the mean probability of the label. What is asked for is the share of pictures on "
                    "which it wins. (hint 1)"
                )
            raise Wrong(
                told
                + "On each picture the label wins once its logit passes the largest of the others: that difference, "
                "sorted over pictures, holds the answer. Biases may be negative or large. (hint 2)"
            )


# --- 2.5: what to buy -------------------------------------------------------------------------------------------------

BUDGET = 50.0  # euros
# Prices of a label, of a probability and of setting the teacher up. Few, so that a plan that comes again is not trained again.
PRICES = (
    ((0.08, 0.005, 30.0), (0.10, 0.004, 34.0)),  # the teacher, although it must be set up
    ((0.0125, 0.01, 30.0), (0.0125, 0.01, 25.0)),  # people, although a probability is cheaper
    ((0.08, 0.005, 60.0), (0.10, 0.004, 55.0)),  # people, since the money does not set the teacher up
)


def _whole_places(bought, name):
    array = np.asarray(bought)
    if array.dtype == bool:
        raise Wrong(f"Your {name} is a mask: give the places themselves, numbers out of `pool`. (hint 1)")
    if array.ndim != 1 or (array.size and not np.issubdtype(array.dtype, np.integer)):
        raise Wrong(f"Your {name} should be a list of places out of `pool`, and this came: {bought!r:.80}. (hint 1)")
    return array.astype(np.int64)


@functools.lru_cache(maxsize=64)
def _taught(labelled: bytes, asked: bytes) -> float:
    """Test accuracy of a student that learns people's labels of some places and tuned-640's probabilities of others."""
    labelled, asked = (np.frombuffer(each, dtype=np.int64).copy() for each in (labelled, asked))
    targets = torch.cat([on_reviews.answers(reviews.labels()[labelled]), on_reviews.soft(asked)])
    model = on_reviews.learn("frozen", np.concatenate([labelled, asked]), targets, 2e-3, 0, steps=150)
    test = reviews.places("test")
    right = on_reviews.logits(model, "frozen", test).argmax(-1) == reviews.labels()[test]
    return right.float().mean().item()


def _best(pool, label_price, ask_price, setup):
    """The most sentences that the money buys, from people or from the teacher: (to_label, to_ask)."""
    labels = int(BUDGET / label_price + 1e-9)
    asked = max(0, int((BUDGET - setup) / ask_price + 1e-9))
    return (pool[:labels], pool[:0]) if labels >= asked else (pool[:0], pool[:asked])


def check_plan(plan):
    """2.5: spend a budget on people's labels or the teacher's probabilities; a student is trained on a plan that falls short."""
    prices = [pair[int(torch.randint(len(pair), ()))] for pair in PRICES]
    for place in torch.randperm(len(prices)):
        label_price, ask_price, setup = prices[place]
        pool = np.random.default_rng(0).permutation(reviews.pool("tuned-640"))
        told = f"At {label_price} € a label, {ask_price} € a probability and {setup:.0f} € to set the teacher up "
        answer = plan(pool.copy(), label_price, ask_price, setup, BUDGET)
        try:
            bought = list(answer)
        except TypeError:
            bought = []
        if len(bought) != 2 or isinstance(answer, (str, dict)):
            raise Wrong(f"Two lists are expected, (to_label, to_ask), and this came: {answer!r:.80}. (hint 1)")
        labelled, asked = _whole_places(bought[0], "to_label"), _whole_places(bought[1], "to_ask")
        both = np.concatenate([labelled, asked])
        if len(both) == 0:
            raise Wrong(told + "you buy nothing, and a student learns nothing from it. (hint 1)")
        if not np.isin(both, pool).all():
            strange = both[~np.isin(both, pool)][0]
            raise Wrong(
                f"{strange} is no place of the pool: take places out of `pool`, as in pool[:100]; test sentences and "
                "positions in the pool are not for sale. (hint 1)"
            )
        if len(np.unique(both)) < len(both):
            raise Wrong(told + "you pay for a sentence twice: each once, from the one or the other. (hint 2)")
        cost = len(labelled) * label_price + len(asked) * ask_price + (setup if len(asked) else 0)
        if cost > BUDGET + 1e-6:
            raise Wrong(told + f"your plan costs {cost:.2f} € in all, and the budget is {BUDGET:.2f} €. (hint 2)")
        best = _best(pool, label_price, ask_price, setup)
        most = sum(map(len, best))
        if len(both) < 0.9 * most:
            mine, ours = (
                _taught(*(np.sort(each).astype(np.int64).tobytes() for each in pair))
                for pair in ((labelled, asked), best)
            )
            scores = f": a student ends at {mine:.1%} on yours and at {ours:.1%} on these" if mine < ours else ""
            raise Wrong(
                told + f"you buy {len(labelled):,} labels and {len(asked):,} probabilities, and leave "
                f"{BUDGET - cost:.2f} €. The money buys {most:,} sentences{scores}. What does it buy from each? (hint 3)"
            )


# --- 2.6: three students ----------------------------------------------------------------------------------------------

WORDS = ("intended", "answers", "shuffled")
# What the three learned from: each at its own learning rate, or all at one. No score alone sorts all of these right.
TRIPLES = (("soft", "hard", "permuted"), ("soft", "hard at 0.0005", "permuted at 0.0005"))
SCORES = ("accuracy", "overconfidence", "nats")


@functools.cache
def _recorded():
    return pd.concat([results.load("lesson02-reviews"), results.load("lesson02-reviews-other")])


def students(seed: int = 0, letters: str = "BAC", triple: int = 0) -> dict[str, dict[str, float]]:
    """Recorded test scores of three students of a seed, named by letters in the order of WORDS; `triple` as in TRIPLES."""
    return {
        letter: {score: float(results.per_seed(_recorded(), score, arm)[seed]) for score in SCORES}
        for letter, arm in sorted(zip(letters, TRIPLES[triple]))
    }


def check_diagnose(diagnose):
    """2.6: which of three students learned from shuffled probabilities, which from answers, which as intended."""
    for number_of_case in torch.randperm(10 * len(TRIPLES)).tolist():
        triple, seed = divmod(number_of_case, 10)
        letters = "".join("ABC"[place] for place in torch.randperm(3))
        right = dict(zip(letters, WORDS))
        shown = students(seed, letters, triple)
        answer = diagnose({letter: dict(scores) for letter, scores in shown.items()})
        if not isinstance(answer, dict) or set(answer) != set(right):
            raise Wrong(
                f"A dict from the letters A, B and C to three words is expected, and this came: {answer!r:.80}."
            )
        if strange := [word for word in answer.values() if word not in WORDS]:
            raise Wrong(f"{strange[0]!r} is none of the three words: {', '.join(WORDS)}.")
        if len(set(answer.values())) < 3:
            raise Wrong("Each of the three words belongs to one student: " + f"yours are {', '.join(answer.values())}.")
        if answer != right:
            words = {
                "answers": "Targets of 0 and 1 teach to be sure: who is surer than right? (hint 1)",
                "shuffled": "The doubts of one are at the wrong sentences: what does that cost? (hint 2)",
            }["answers" if answer[letters[1]] != "answers" else "shuffled"]
            scores = "; ".join(
                f"{letter} " + ", ".join(f"{name} {value:.3f}" for name, value in each.items())
                for letter, each in shown.items()
            )
            yours = ", ".join(f"{letter} {answer[letter]}" for letter in sorted(answer))
            raise Wrong(f"For {scores} you say {yours}. {words}")


CHECKS = {
    "2.1": check_mean_soft_targets,
    "2.2": check_smooth,
    "2.3": check_without_class_information,
    "2.4": check_bias_for_share,
    "2.5": check_plan,
    "2.6": check_diagnose,
}
