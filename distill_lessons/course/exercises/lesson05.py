"""Checks of lesson 05, response distillation: top-p, labels that teach to stop, left padding, distinct-n, merging LoRA."""

import operator

import numpy as np
import torch

from distill_lessons.course.exercises import Wrong, close, number
from distill_lessons.course.exercises.common import nearest, unchanged


def _vector(answer, what, length):
    """The answer as a float64 tensor of that length, or `Wrong`."""
    try:
        found = torch.as_tensor(np.asarray([float(value) for value in answer]))
    except (TypeError, ValueError):
        raise Wrong(f"{what} should be {length} numbers, and this came: {answer!r}") from None
    if len(found) != length:
        raise Wrong(f"{what} should have {length} entries, and yours has {len(found)}.")
    return found


def check_top_p(top_p):
    """5.1: the smallest set of likeliest tokens with at least that mass, scaled to 1."""
    top_p = unchanged(top_p)
    fixed = torch.tensor([0.5, 0.25, 0.125, 0.125], dtype=torch.float64)
    cases = [(fixed, 0.75, 2), (fixed, 0.4, 1), (fixed, 1.0, 4), (fixed, 0.76, 3)]
    for _ in range(5):
        p = torch.randn(12, dtype=torch.float64).mul(2).softmax(-1)
        mass = 0.3 + 0.65 * torch.rand(()).item()
        sums = p.sort(descending=True).values.cumsum(0)
        if (sums - mass).abs().min() > 1e-4:
            cases.append((p, mass, int((sums < mass).sum()) + 1))
    for p, mass, kept in cases:
        shuffled = torch.randperm(len(p))
        p = p[shuffled]
        got = _vector(top_p(p.clone().float(), mass), "The filtered distribution", len(p))
        count = int((got > 0).sum())
        told = f"Of {np.round(p.sort(descending=True).values.numpy()[:4], 3)} … with top-p {mass:.3g}, "
        if count == 0:
            raise Wrong(told + "you keep nothing: the token that crosses the line stays. (hint 1)")
        if abs(got.sum() - 1) > 1e-4:
            raise Wrong(told + f"what is kept sums to {got.sum():.3f}: divide by the sum, so that it is 1. (hint 2)")
        if count == kept - 1:
            raise Wrong(
                told + f"{kept} tokens are needed to reach that mass, and you keep {count}: the token that crosses the "
                "line stays. (hint 1)"
            )
        ids = p.topk(kept).indices
        if count > kept and count == int((p >= p[ids].min()).sum()):
            raise Wrong(
                told
                + f"{kept} tokens already hold that mass, and you keep {count}: where tokens tie, a threshold lets all of "
                "them in. Choose by place in the order. (hint 2)"
            )
        if count == kept + 1:
            raise Wrong(told + f"{kept} tokens already hold that mass, and you keep one more. (hint 1)")
        expected = torch.zeros_like(p).scatter(0, ids, p[ids] / p[ids].sum())
        of_kept = torch.where(got > 0, p, -torch.inf).softmax(-1)
        if count == kept and close(got, of_kept, 1e-4) and not close(got, expected, 1e-4):
            raise Wrong(told + "you take a softmax of probabilities: divide them by their sum. (hint 2)")
        ties = torch.allclose(got.sort().values, expected.sort().values, atol=1e-4)
        if not close(got, expected, 1e-4) and not (ties and torch.allclose(p[got > 0].min(), p[ids].min())):
            if count == kept:
                raise Wrong(
                    told + "the number kept is right, but not which: put each value back in its place. (hint 2)"
                )
            raise Wrong(told + f"the {kept} likeliest tokens should stay, and yours are {count}. (hint 1)")


def _whole_numbers(part):
    """A list of ints, however it came; TypeError if one is no whole number by its type."""
    return [int(each) if isinstance(each, np.bool_) else operator.index(each) for each in part]


def check_teach_to_stop(make_example):
    """5.2: one padded training example: the end is learned where the answer ended, padding never."""
    make_example = unchanged(make_example)
    for eos, pad, room in ((2, 2, 4), (2, 0, 4), (7, 7, 4), (2, 2, 0), (7, 3, 2)):  # without room there is no padding
        for finished in (True, False):
            prompt, response = (torch.randint(10, 90, (n,)).tolist() for n in torch.randint(2, 6, (2,)).tolist())
            if eos == 7:  # inside the text, the numbers of the end and of padding are tokens like any other
                response[0] = eos
                prompt[int(torch.randint(len(prompt), ()))] = pad
                response.insert(1, pad)
                response.append(50)
            ids = prompt + response + [eos] * finished
            length = len(ids) + room
            labels = [-100] * len(prompt) + response + [eos] * finished + [-100] * room
            got = make_example(list(prompt), list(response), finished, length, eos, pad)
            try:
                got = tuple(tuple(part) for part in got)
                got_ids, got_mask, got_labels = got
            except (TypeError, ValueError):
                raise Wrong(f"Three lists were expected, ids, mask and labels, and this came: {got!r}") from None
            try:
                got_ids, got_mask, got_labels = (_whole_numbers(part) for part in got)
            except TypeError:
                odd = next(each for part in got for each in part if not _is_whole(each))
                raise Wrong(
                    f"The three lists hold whole numbers (int), and one of yours is {odd!r}: tokens are looked up by number."
                ) from None
            told = f"Prompt {prompt}, response {response}, finished={finished}, end {eos}, padding {pad}: "
            for name, part in (("ids", got_ids), ("mask", got_mask), ("labels", got_labels)):
                if len(part) != length:
                    raise Wrong(told + f"{name} should have length {length}, and yours has {len(part)}. (hint 2)")
            if got_ids != ids + [pad] * room:
                raise Wrong(told + _wrong_ids(got_ids, ids, prompt + response, finished, eos, pad))
            if got_labels != labels:
                raise Wrong(told + _wrong_labels(got_labels, labels, len(prompt), len(ids), finished, eos, pad))
            if got_mask != [1] * len(ids) + [0] * room:
                if got_mask == [int(each != pad) for each in got_ids]:
                    why = "it drops a real token that has the padding's number: mask by position. (hint 1)"
                elif got_mask == [1] * length:
                    why = "it is 1 on padding too. (hint 2)"
                else:
                    why = f"yours is {got_mask}. (hint 2)"
                raise Wrong(told + f"the mask should be 1 on {len(ids)} tokens and 0 on padding: {why}")


def _is_whole(each):
    try:
        _whole_numbers([each])
    except TypeError:
        return False
    return True


def _wrong_ids(got, ids, text, finished, eos, pad):
    room = len(got) - len(ids)
    if room and got == [pad] * room + ids:
        return "you pad on the left; a training example is padded on the right. (hint 2)"
    if finished and got[: len(text)] == text and got[len(text) :] == [pad] * room + [eos]:
        return "the end comes right after the answer, before the padding. (hint 2)"
    if finished and got[: len(text)] == text and got[len(text)] != eos:
        return "the answer ended by itself, so the end token belongs to it. (hint 1)"
    if not finished and got[len(ids) : len(ids) + 1] == [eos] != [pad]:
        return "the answer was cut, so it has no end: do not add one. (hint 1)"
    return f"the ids should begin {ids} and go on with {pad}, and yours are {got}."


def _wrong_labels(got, labels, asked, used, finished, eos, pad):
    """Which mistake makes these labels of the right ones; a prompt has `asked` tokens, all text `used`."""
    if got == [*labels[1:], -100]:
        return "you shift the labels: label and token stand at the same place, the trainer shifts them. (hint 2)"
    where = [place for place, (a, b) in enumerate(zip(got, labels)) if a != b]
    if where[0] < asked:
        return f"the prompt is not learned: its labels are -100, and yours begin {got[:asked]}. (hint 2)"
    padded = [place for place in where if place >= used]
    if padded == where and not finished and where == [used] and got[used] == eos:
        return "the answer was cut, and you teach the student to end there. (hint 1)"
    if padded == where:
        return "padding is learned: its labels must be -100. (hint 2)"
    masked = {place for place in range(asked, used) if got[place] == -100}
    if masked >= set(range(asked, used)):
        return "all labels are -100, and nothing is learned: the answer's labels are its tokens. (hint 2)"
    if finished and masked == {used - 1} == set(where):
        return "the label of the end is -100: the student never learns to stop. Mask by position, not by token number. (hint 1)"
    if finished and got[used - 1] == -100 and got[-1] == eos:
        return "the end comes right after the answer, before the padding. (hint 2)"
    for token, name in ((eos, "the end"), (pad, "padding")):
        if masked and masked == set(where) and all(labels[place] == token for place in masked):
            return (
                f"a token inside the text with the number of {name} is -100: mask by position, not by number. (hint 1)"
            )
    return f"labels should be {labels}, and yours are {got}."


def check_left_pad(left_pad):
    """5.3: ids, mask and positions of a batch that a model can go on writing."""
    left_pad = unchanged(left_pad)
    for pad, lengths in ((0, None), (2, None), (60, None), (1, [4, 4]), (0, [5])):
        lengths = lengths or [[3, 6, 1, 4][place] for place in torch.randperm(4)]
        width, count = max(lengths), len(lengths)
        rows = [torch.randint(3, 50, (n,)).tolist() for n in lengths]
        for row in rows:
            row[0] = row[-1] = pad  # tokens like any other, and also the padding
        got = left_pad([list(row) for row in rows], pad)
        try:
            ids, mask, positions = (torch.as_tensor(np.asarray(part)) for part in got)
        except (TypeError, ValueError):
            raise Wrong(f"Three tensors were expected, ids, mask and positions, and this came: {got!r}") from None
        for name, part in (("input_ids", ids), ("attention_mask", mask), ("position_ids", positions)):
            if part.shape != (count, width):
                raise Wrong(
                    f"{name} should have the shape [{count}, {width}], rows by longest prompt, and has {list(part.shape)}."
                )
            if part.is_floating_point() and name != "attention_mask":
                raise Wrong(
                    f"{name} are whole numbers, and yours are {str(part.dtype).removeprefix('torch.')}: a model cannot look "
                    "up token 3.0. Make the tensor from lists of int, or add .long()."
                )
        expected = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
        right = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
        if not torch.equal(ids, expected) and torch.equal(ids, right):
            raise Wrong(
                "You pad on the right: then the last column is padding, and that is where the next token is predicted. "
                "(hint 1)"
            )
        row = next((row for row in range(count) if not torch.equal(ids[row], expected[row])), None)
        if row is not None:
            if ids[row, width - lengths[row] :].tolist() == rows[row]:
                raise Wrong(
                    f"Padding is {pad} here, and your row {row} is {ids[row].tolist()}: use the argument. (hint 1)"
                )
            raise Wrong(
                f"With padding {pad} row {row} should be {expected[row].tolist()}, and yours is {ids[row].tolist()}. (hint 1)"
            )
        inside = torch.arange(width)[None] >= width - torch.tensor(lengths)[:, None]
        mask = mask.long()
        if not torch.equal(mask, inside.long()):
            if torch.equal(mask, (expected != pad).long()) or torch.equal(
                mask, ((expected != pad).cumsum(-1) > 0).long()
            ):
                raise Wrong(
                    "Your mask drops a real token that has the padding's number: build it from lengths. (hint 2)"
                )
            row = next(row for row in range(count) if not torch.equal(mask[row], inside[row].long()))
            raise Wrong(
                f"The mask of {expected[row].tolist()}, a prompt of {lengths[row]} tokens, should be "
                f"{inside[row].long().tolist()}, and yours is {mask[row].tolist()}. (hint 2)"
            )
        for row, length in enumerate(lengths):
            own = positions[row, width - length :]
            if not torch.equal(own.long(), torch.arange(length)):
                raise Wrong(
                    f"A prompt of {length} tokens has the positions {list(range(length))} wherever it stands in the batch; "
                    f"yours are {own.tolist()}. (hint 3)"
                )


def check_distinct(distinct):
    """5.4: distinct n-grams over all n-grams, of all answers together."""
    distinct = unchanged(distinct)
    for n in (1, 2, 3):
        texts = [torch.randint(0, 6, (length,)).tolist() for length in (9, 4, 2, 1, 14)]
        texts[1] = texts[0][:4]  # a repeated opening
        # Different n-grams with the same digits in a row, with the same sum, or in another order; and an empty answer.
        texts += [[1, 23, 4], [12, 3, 4], [1, 2, 34], [34, 1, 2], [11, 1, 1], [1, 11, 1], []]
        grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
        expected = len(set(grams)) / len(grams)
        got = number(distinct([list(text) for text in texts], n))
        if close(got, expected, 1e-6):
            continue
        each = [[tuple(text[i : i + n]) for i in range(len(text) - n + 1)] for text in texts]
        shares = [len(set(own)) / len(own) for own in each if own]
        joined = sum(texts, [])
        across = [tuple(joined[i : i + n]) for i in range(len(joined) - n + 1)]
        short = [tuple(text[i : i + n]) for text in texts for i in range(len(text))]
        apart = [tuple(text[i : i + n]) for text in texts for i in range(0, len(text) - n + 1, n)]
        mistakes = (
            (
                sum(shares) / len(shares),
                "That is the mean over answers: an opening that all share must count once. (hint 1)",
            ),
            (
                sum(len(set(own)) for own in each) / len(grams),
                "You count the different ones of each answer: an opening that all share must count once. (hint 1)",
            ),
            (
                len(set(across)) / len(across),
                "You joined the answers: no n-gram reaches from one into the next. (hint 2)",
            ),
            (len(set(grams)) / sum(map(len, texts)), "You divide by the number of tokens: divide by that of n-grams."),
            (len(set(grams)), "That is the number of distinct n-grams: divide by the number of all."),
            (1 - expected, "That is the share that repeats."),
            (
                len({"".join(map(str, gram)) for gram in grams}) / len(grams),
                "You glue the numbers together, and then 1, 23 and 12, 3 are both 123: compare tuples. (hint 2)",
            ),
            (len({tuple(sorted(gram)) for gram in grams}) / len(grams), "The order inside an n-gram counts. (hint 2)"),
            (len({frozenset(gram) for gram in grams}) / len(grams), "The order inside an n-gram counts. (hint 2)"),
            (len(set(map(sum, grams))) / len(grams), "You compare sums: compare tuples. (hint 2)"),
            (len(set(short)) / len(short), f"Pieces shorter than {n} at the end of an answer are no n-grams. (hint 2)"),
            (len(set(apart)) / len(apart), "N-grams overlap: begin one at every token, not at every nth. (hint 2)"),
            (
                sum(grams.count(gram) == 1 for gram in grams) / len(grams),
                "You count those that occur once: one that occurs twice is also a different one, once. (hint 1)",
            ),
            (len(set(each[0])) / len(each[0]), "You look at the first answer alone: all of them together. (hint 1)"),
        )
        why = "One set of tuples for all answers, over the number of all n-grams. (hints 1 and 2)"
        raise Wrong(
            f"For n = {n} a share of {expected:.4f} was expected, and {got:.4f} came. {nearest(got, mistakes, why, 1e-6)}"
        )


def check_merge(merge):
    """5.5: fold an adapter into its weight."""
    merge = unchanged(merge)
    for rank, out, inside, alpha in ((2, 5, 7, 8.0), (4, 6, 3, 4.0), (3, 4, 4, 16.0)):
        weight, down, up = torch.randn(out, inside), torch.randn(rank, inside), torch.randn(out, rank)
        expected = weight + alpha / rank * up @ down
        try:
            got = merge(weight.clone(), down.clone(), up.clone(), alpha)
            got = torch.as_tensor(np.asarray(got.detach() if isinstance(got, torch.Tensor) else got, dtype=np.float32))
        except (RuntimeError, ValueError) as error:
            if "shape" not in str(error) and "size" not in str(error):
                raise
            raise Wrong(
                f"The shapes do not fit ({error}): B A, with B {[out, rank]} and A {[rank, inside]}. (hint 1)"
            ) from None
        if got.shape != weight.shape:
            raise Wrong(f"The merged weight has the shape {[out, inside]}, and yours {list(got.shape)}.")
        if close(got, expected, 1e-4):
            continue
        delta = up @ down
        mistakes = (
            (weight + alpha * delta, "You multiplied by alpha, and forgot to divide by the rank. (hint 2)"),
            (weight + delta, "The scale alpha / rank is missing. (hint 2)"),
            (alpha / rank * delta, "The frozen weight itself is missing: it stays underneath. (hint 1)"),
            (weight + delta / rank, "The factor alpha is missing. (hint 2)"),
            (weight - alpha / rank * delta, "The adapter is added, not subtracted. (hint 1)"),
            (weight + alpha / rank**0.5 * delta, "You divided by the root of the rank: that is another method."),
            (weight + alpha / out * delta, f"You divided by {out}, the rows of B: the rank is the number of rows of A. (hint 2)"),
            (weight + alpha / inside * delta, f"You divided by {inside}, the columns of A: the rank is that of its rows. (hint 2)"),
            (alpha / rank * (weight + delta), "You scale the frozen weight too: only the adapter is scaled. (hint 1)"),
        )  # fmt: skip
        if out == inside:
            mistakes += (
                (weight + alpha / rank * delta.T, "The adapter is turned round: B A, not its transpose. (hint 1)"),
            )
        why = nearest(got, mistakes, "Weight plus alpha / rank times B A. (hints 1 and 2)", 1e-3)
        x = torch.randn(inside)
        wanted = weight @ x + alpha / rank * (up @ (down @ x))
        raise Wrong(
            f"With rank {rank} and alpha {alpha:g} the merged layer should turn an input into {wanted[0]:.3f} …, and yours "
            f"gives {(got @ x)[0]:.3f}. {why}"
        )


CHECKS = {
    "5.1": check_top_p,
    "5.2": check_teach_to_stop,
    "5.3": check_left_pad,
    "5.4": check_distinct,
    "5.5": check_merge,
}
