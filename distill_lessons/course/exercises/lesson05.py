"""Checks of lesson 05, response distillation: top-p, labels that teach to stop, left padding, distinct-n, merging LoRA."""

import numpy as np
import torch

from distill_lessons.course.exercises import Wrong, close, number


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
        if count == kept + 1:
            raise Wrong(told + f"{kept} tokens already hold that mass, and you keep one more. (hint 1)")
        ids = p.topk(kept).indices
        expected = torch.zeros_like(p).scatter(0, ids, p[ids] / p[ids].sum())
        ties = torch.allclose(got.sort().values, expected.sort().values, atol=1e-4)
        if not close(got, expected, 1e-4) and not (ties and torch.allclose(p[got > 0].min(), p[ids].min())):
            if count == kept:
                raise Wrong(
                    told + "the number kept is right, but not which: put each value back in its place. (hint 2)"
                )
            raise Wrong(told + f"the {kept} likeliest tokens should stay, and yours are {count}. (hint 1)")


def check_teach_to_stop(make_example):
    """5.2: one padded training example: the end is learned where the answer ended, padding never."""
    for eos, pad, room in ((2, 2, 4), (2, 0, 4), (7, 7, 4), (2, 2, 0)):  # without room there is no padding
        for finished in (True, False):
            prompt, response = (torch.randint(10, 90, (n,)).tolist() for n in torch.randint(2, 6, (2,)).tolist())
            response[0] = eos if eos == 7 and finished else response[0]  # an end inside the text stays a token
            ids = prompt + response + [eos] * finished
            length = len(ids) + room
            labels = [-100] * len(prompt) + response + [eos] * finished
            got = make_example(list(prompt), list(response), finished, length, eos, pad)
            try:
                got_ids, got_mask, got_labels = ([int(x) for x in part] for part in got)
            except (TypeError, ValueError):
                raise Wrong(f"Three lists were expected, ids, mask and labels, and this came: {got!r}") from None
            told = f"Prompt {prompt}, response {response}, finished={finished}, end {eos}, padding {pad}: "
            for name, part in (("ids", got_ids), ("mask", got_mask), ("labels", got_labels)):
                if len(part) != length:
                    raise Wrong(told + f"{name} should have length {length}, and yours has {len(part)}. (hint 2)")
            if got_ids[: len(ids)] != ids or got_ids[len(ids) :] != [pad] * (length - len(ids)):
                if finished and got_ids[: len(ids) - 1] == ids[:-1] and got_ids[len(ids) - 1] != eos:
                    raise Wrong(told + "the answer ended by itself, so the end token belongs to it. (hint 1)")
                if not finished and got_ids[len(ids) : len(ids) + 1] == [eos] != [pad]:
                    raise Wrong(told + "the answer was cut, so it has no end: do not add one. (hint 1)")
                raise Wrong(told + f"the ids should begin {ids} and go on with {pad}, and yours are {got_ids}.")
            where = [i for i, (a, b) in enumerate(zip(got_labels, labels + [-100] * (length - len(labels)))) if a != b]
            if where:
                first = where[0]
                if first < len(prompt):
                    raise Wrong(told + "the prompt is not learned: its labels are -100.")
                if first < len(labels) and finished and first == len(labels) - 1 and got_labels[first] == -100:
                    raise Wrong(
                        told
                        + "the label of the end is -100: the student never learns to stop. Mask by position, not by "
                        "token number. (hint 1)"
                    )
                if first < len(labels) and got_labels[first] == -100:
                    raise Wrong(
                        told + "an end token inside the text is -100: mask by position, not by number. (hint 1)"
                    )
                if first >= len(labels) and not finished and got_labels[first] == eos:
                    raise Wrong(told + "the answer was cut, and you teach the student to end there. (hint 1)")
                if first >= len(labels):
                    raise Wrong(told + "padding is learned: its labels must be -100. (hint 2)")
                raise Wrong(told + f"labels should be {labels} and then -100, not {got_labels}; do not shift them.")
            if got_mask != [1] * len(ids) + [0] * (length - len(ids)):
                raise Wrong(
                    told
                    + f"the mask should be 1 on {len(ids)} tokens and 0 on padding, and yours is {got_mask}. (hint 2)"
                )


def check_left_pad(left_pad):
    """5.3: ids, mask and positions of a batch that a model can go on writing."""
    for pad in (0, 2, 60):
        lengths = [3, 6, 1, 4]
        rows = [torch.randint(3, 50, (n,)).tolist() for n in lengths]
        rows[0][0] = rows[1][2] = pad  # tokens like any other, and also the padding
        got = left_pad([list(row) for row in rows], pad)
        try:
            ids, mask, positions = (torch.as_tensor(part).long() for part in got)
        except (TypeError, ValueError):
            raise Wrong(f"Three tensors were expected, ids, mask and positions, and this came: {got!r}") from None
        for name, part in (("ids", ids), ("mask", mask), ("positions", positions)):
            if part.shape != (4, 6):
                raise Wrong(f"{name} should have the shape [4, 6], rows by longest prompt, and has {list(part.shape)}.")
        expected = torch.tensor([[pad] * (6 - len(row)) + row for row in rows])
        right = torch.tensor([row + [pad] * (6 - len(row)) for row in rows])
        if torch.equal(ids, right):
            raise Wrong(
                "You pad on the right: then the last column is padding, and that is where the next token is predicted. "
                "(hint 1)"
            )
        if not torch.equal(ids, expected):
            raise Wrong(
                f"With padding {pad} row 0 should be {expected[0].tolist()}, and yours is {ids[0].tolist()}. (hint 1)"
            )
        inside = torch.arange(6)[None] >= 6 - torch.tensor(lengths)[:, None]
        if not torch.equal(mask, inside.long()):
            if torch.equal(mask, (expected != pad).long()) or torch.equal(
                mask, ((expected != pad).cumsum(-1) > 0).long()
            ):
                raise Wrong(
                    "Your mask drops a real token that has the padding's number: build it from lengths. (hint 2)"
                )
            raise Wrong(f"The mask of row 0 should be {inside[0].long().tolist()}, and yours is {mask[0].tolist()}.")
        for row, length in enumerate(lengths):
            own = positions[row, 6 - length :]
            if not torch.equal(own, torch.arange(length)):
                raise Wrong(
                    f"A prompt of {length} tokens has the positions {list(range(length))} wherever it stands in the batch; "
                    f"yours are {own.tolist()}. (hint 3)"
                )


def check_distinct(distinct):
    """5.4: distinct n-grams over all n-grams, of all answers together."""
    for n in (1, 2, 3):
        texts = [torch.randint(0, 6, (length,)).tolist() for length in (9, 4, 2, 1, 14)]
        texts[1] = texts[0][:4]  # a repeated opening
        grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
        expected = len(set(grams)) / len(grams)
        got = number(distinct([list(text) for text in texts], n))
        if close(got, expected, 1e-6):
            continue
        each = [[tuple(text[i : i + n]) for i in range(len(text) - n + 1)] for text in texts]
        shares = [len(set(own)) / len(own) for own in each if own]
        joined = sum(texts, [])
        across = [tuple(joined[i : i + n]) for i in range(len(joined) - n + 1)]
        mistakes = (
            (
                sum(shares) / len(shares),
                "That is the mean over answers: an opening that all share must count once. (hint 1)",
            ),
            (
                len(set(across)) / len(across),
                "You joined the answers: no n-gram reaches from one into the next. (hint 2)",
            ),
            (len(set(grams)) / sum(map(len, texts)), "You divide by the number of tokens: divide by that of n-grams."),
            (len(set(grams)), "That is the number of distinct n-grams: divide by the number of all."),
            (1 - expected, "That is the share that repeats."),
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-6)), "See both hints.")
        raise Wrong(f"For n = {n} a share of {expected:.4f} was expected, and {got:.4f} came. {why}")


def check_merge(merge):
    """5.5: fold an adapter into its weight."""
    for rank, out, inside, alpha in ((2, 5, 7, 8.0), (4, 6, 3, 4.0), (3, 4, 4, 16.0)):
        weight, down, up = torch.randn(out, inside), torch.randn(rank, inside), torch.randn(out, rank)
        expected = weight + alpha / rank * up @ down
        try:
            got = torch.as_tensor(merge(weight.clone(), down.clone(), up.clone(), alpha)).detach().float()
        except RuntimeError as error:
            raise Wrong(
                f"The shapes do not fit ({error}): B A, with B {[out, rank]} and A {[rank, inside]}. (hint 1)"
            ) from None
        if got.shape != weight.shape:
            raise Wrong(f"The merged weight has the shape {[out, inside]}, and yours {list(got.shape)}.")
        if close(got, expected, 1e-4):
            continue
        mistakes = (
            (weight + alpha * up @ down, "You multiplied by alpha, and forgot to divide by the rank. (hint 2)"),
            (weight + up @ down, "The scale alpha / rank is missing. (hint 2)"),
            (alpha / rank * up @ down, "The frozen weight itself is missing: it stays underneath."),
            (weight + up @ down / rank, "The factor alpha is missing. (hint 2)"),
            (weight - alpha / rank * up @ down, "The adapter is added, not subtracted."),
            (weight + alpha / rank**0.5 * up @ down, "You divided by the root of the rank: that is another method."),
        )
        why = next((words for value, words in mistakes if close(got, value, 1e-3)), "See both hints.")
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
