"""Checks of lesson 02, dark knowledge."""

import torch
import torch.nn.functional as F

from distill_lessons.course.exercises import Wrong, close, number


def _shape(answer):
    return tuple(getattr(answer, "shape", ()))


def _draw_classes(classes, least=3):
    """Labels in random order, every class at least `least` times and in unequal numbers."""
    counts = least + torch.randperm(classes) * 2
    labels = torch.repeat_interleave(torch.arange(classes), counts)
    return labels[torch.randperm(len(labels))]


def _untouched(function, *inputs, hint):
    copies = [value.clone() if isinstance(value, torch.Tensor) else value for value in inputs]
    function(*copies)
    for value, copy in zip(inputs, copies):
        if isinstance(value, torch.Tensor) and not torch.equal(value, copy):
            raise Wrong(f"Your function changes the tensor that it is given: work on a copy, .clone(). ({hint})")


def _class_means(rows, labels):
    return torch.stack([rows[labels == label].mean(0) for label in range(rows.shape[-1])])


def check_mean_soft_targets(mean_soft_targets):
    """2.1: mean softened distribution of each true class."""
    for classes in (10, 6):
        labels = _draw_classes(classes)
        logits = 3 * torch.randn(len(labels), classes) + 4 * F.one_hot(labels, classes)
        temperature = 2 + 3 * torch.rand(()).item()
        expected = _class_means(torch.softmax(logits.double() / temperature, dim=-1), labels)
        answer = mean_soft_targets(logits.clone(), labels.clone(), temperature)
        if close(answer, expected):
            _untouched(mean_soft_targets, logits, labels, temperature, hint="hint 1")
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
        total = float(torch.as_tensor(answer).double()[0].sum())
        if abs(total - 1) > 1e-3:
            raise Wrong(
                f"Each row is a mean of distributions and sums to 1; your first row sums to {total:.3f}. Divide by the "
                "number of pictures of that class, not of all pictures. (hint 2)"
            )
        raise Wrong(
            f"The first entry of row 0 should be {expected[0, 0]:.4f}, and yours is {float(answer[0][0]):.4f}. Which rows "
            "do you average: those whose true label is the class? (hint 2)"
        )


def check_nearest_classes(nearest):
    """2.2: for each class the largest entry of its row that is not on the diagonal."""
    for classes, strange in ((10, False), (7, False), (8, True), (10, True)):
        matrix = torch.softmax(2 * torch.randn(classes, classes), dim=-1)
        matrix = 0.4 * matrix + 0.6 * torch.eye(classes)
        if strange:  # a teacher that confuses some class more often than it recognises it
            row = int(torch.randint(classes, ()))
            matrix[row] = torch.softmax(2 * torch.randn(classes), dim=-1)
            matrix[row, row] = matrix[row].min() / 2
        off = matrix.clone().fill_diagonal_(-1.0)
        expected = off.argmax(-1)
        answer = nearest(matrix.clone())
        if _shape(torch.as_tensor(answer)) != (classes,):
            raise Wrong(
                f"For a {classes} × {classes} matrix {classes} class numbers are expected, one for each row, and this "
                f"came: {answer!r}. (hint 1)"
            )
        if close(answer, expected):
            continue
        answer = torch.as_tensor(answer)
        wrong = int((answer != expected).nonzero()[0])
        told = f"Class {wrong} is nearest to {int(expected[wrong])}, and you say {answer[wrong].item():g}. "
        if close(answer, matrix.argmax(-1)):
            raise Wrong(told + "Every class is closest to itself: leave the diagonal out. (hint 1)")
        if close(answer, off.argmax(0)):
            raise Wrong(told + "You look down the columns: a row is what the teacher says about that class. (hint 1)")
        if strange:
            raise Wrong(
                told
                + "The diagonal is not always the largest entry: the second largest of a row need not be the answer. "
                "Mask the diagonal, then take the argmax. (hint 2)"
            )
        raise Wrong(told + "Take the largest entry of the row that is not on the diagonal. (hint 1)")
    _untouched(nearest, torch.softmax(torch.randn(5, 5), dim=-1), hint="hint 2")


def check_smooth(smooth):
    """2.3: (1 − ε) one-hot + ε / C."""
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
    """2.4: the label keeps its probability, the wrong classes share the rest equally, picture by picture."""
    for classes in (10, 5):
        labels = torch.randint(classes, (40,))
        targets = torch.softmax(1.5 * torch.randn(40, classes) + 1.5 * F.one_hot(labels, classes), dim=-1)
        own = F.one_hot(labels, classes).bool()
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
            raise Wrong(
                f"Each row must sum to 1, and one of yours sums to {worst:.3f}. How many wrong classes share the rest? "
                "(hint 2)"
            )
        if not close(answer[own], on):
            worst = (answer[own] - on).abs().argmax()
            raise Wrong(
                f"A picture whose label had {on[worst]:.3f} now gives it {answer[own][worst]:.3f}: the label's own "
                "probability must stay. Its place is given by the label; the largest entry is sometimes another, and "
                "no average over pictures may enter. (hint 1)"
            )
        raise Wrong(
            "The label keeps its probability, but the wrong classes of a picture are not all equal, or not the mean of "
            "that picture's own wrong classes. (hint 2)"
        )
    labels = torch.randint(6, (5,))
    _untouched(flatten, torch.softmax(torch.randn(5, 6), dim=-1), labels, hint="hint 1")


LESSON_LABEL = 3  # the lesson finds a bias for this one


def check_bias_for_share(find):
    """2.5: the bias of one logit with which a given share of the pictures is given that label."""
    for classes, scale, offset in ((10, 1.0, -4.0), (6, 1.5, 5.0), (10, 10.0, -45.0), (4, 1.0, -3.0)):
        label = int((torch.randint(1, classes, ()) + LESSON_LABEL) % classes)  # any other
        logits = scale * torch.randn(400, classes)
        logits[:, label] += offset
        count = int(torch.randint(40, 140, ()))
        bias = number(find(logits.clone(), label, count / 400))
        moved = logits.clone()
        moved[:, label] += bias
        got = int((moved.argmax(-1) == label).sum())
        if abs(got - count) > 1:
            others = torch.cat([logits[:, :label], logits[:, label + 1 :]], dim=-1).amax(-1)
            needed = (others - logits[:, label]).sort().values
            right = ((needed[count - 1] + needed[count]) / 2).item()
            told = (
                f"Label {label} should be predicted for {count} of 400 pictures; your bias of {bias:.3f} gives {got}, and "
                f"{right:.3f} would do. "
            )
            if abs(bias + right) < 0.02 * abs(right):
                raise Wrong(told + "The sign is turned around: a bias is added to the logit. (hint 1)")
            if abs(bias) < 1e-6:
                raise Wrong(told + "A bias of 0 leaves every prediction as it was. (hint 1)")
            moved_other = logits.clone()
            moved_other[:, LESSON_LABEL] += bias
            if abs(int((moved_other.argmax(-1) == LESSON_LABEL).sum()) - count) <= 1:
                raise Wrong(
                    told
                    + f"Your bias fits label {LESSON_LABEL}, and label {label} was asked: use the argument. (hint 2)"
                )
            mean = torch.softmax(moved.double(), dim=-1)[:, label].mean().item()
            if abs(mean - count / 400) < 0.01:
                raise Wrong(
                    told + "You match the mean probability of the label. What is asked for is the share of pictures on "
                    "which it wins. (hint 1)"
                )
            raise Wrong(
                told
                + "On each picture the label wins once its logit passes the largest of the others: that difference, "
                "sorted over pictures, holds the answer. Biases may be negative or large. (hint 2)"
            )
    _untouched(find, torch.randn(50, 5), 2, 0.3, hint="hint 2")


CHECKS = {
    "2.1": check_mean_soft_targets,
    "2.2": check_nearest_classes,
    "2.3": check_smooth,
    "2.4": check_without_class_information,
    "2.5": check_bias_for_share,
}
