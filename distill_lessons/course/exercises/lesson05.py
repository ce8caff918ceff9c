"""Checks of lesson 05, response distillation: labels that teach to stop, left padding, logs, a purchase, a training."""

import copy
import operator

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from distill_lessons.course.exercises import Wrong
from distill_lessons.course.exercises.common import unchanged


def _whole_numbers(part):
    """A list of ints, however it came; TypeError if one is no whole number by its type."""
    return [int(each) if isinstance(each, np.bool_) else operator.index(each) for each in part]


def check_teach_to_stop(make_example):
    """5.1: one padded training example: the end is learned where the answer ended, padding never."""
    make_example = unchanged(make_example)
    # Where end and padding differ comes first: there a forgotten end cannot pass for a masked one. Room 0: no padding.
    for eos, pad, room in ((2, 0, 4), (2, 2, 4), (7, 7, 4), (2, 2, 0), (7, 3, 2)):
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
    """5.2: ids, mask and positions of a batch that a model can go on writing."""
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


# --- 5.3 and 5.5: a teacher small enough to write down ----------------------------------------------------------------

TOKENS, END, LONGEST, ASKED = 12, 0, 12, 5  # tokens; the one that ends; of an answer at most; of a prompt


def small_teacher(generator: torch.Generator) -> torch.Tensor:
    """The logits of the next token, ``[12, 12]``: a row for each last token, and token 0 ends."""
    logits = 2.0 * torch.randn(TOKENS, TOKENS, generator=generator)
    logits[:, END] = logits[:, 1:].logsumexp(-1) - 1.8  # an end after about seven tokens
    return logits


def small_prompts(count: int, generator: torch.Generator) -> torch.Tensor:
    """Prompts ``[count, 5]``: they walk through the tokens in a fixed order, nine times in ten, as templates do."""
    order = 1 + torch.randperm(TOKENS - 1, generator=generator)
    after = torch.empty(TOKENS, dtype=torch.long)
    after[order] = order.roll(-1)
    after[END] = order[0]
    walk = [torch.randint(1, TOKENS, (count,), generator=generator)]
    for _ in range(ASKED - 1):
        strays = torch.randint(1, TOKENS, (count,), generator=generator)
        walk.append(torch.where(torch.rand(count, generator=generator) < 0.9, after[walk[-1]], strays))
    return torch.stack(walk, 1)


def answered(logits: torch.Tensor, prompts: torch.Tensor, generator: torch.Generator, temperature: float = 1.0):
    """Answers ``[count, 12]`` after these prompts, filled up with -1 behind an end."""
    last, running, said = prompts[:, -1], torch.ones(len(prompts), dtype=torch.bool), []
    for _ in range(LONGEST):
        p = (
            (logits[last] / temperature).softmax(-1)
            if temperature
            else F.one_hot(logits[last].argmax(-1), TOKENS).float()
        )
        last = torch.multinomial(p, 1, generator=generator).squeeze(-1)
        said.append(torch.where(running, last, -1))
        running = running & (last != END)
    return torch.stack(said, 1)


MADE = ("sound", "end masked", "prompt learned", "not shifted")


def log_of(kind: str, seed: int) -> dict[str, list[float]]:
    """Six readings of a training on 400 answers of a small teacher, one every 20 steps.

    Returns:
        ``loss``, as the run itself counts it; ``held out``, nats per token of the answers to new prompts, ends among them;
        ``ended``, the share of what the student says to these that ends within twelve tokens.
    """
    generator = torch.Generator().manual_seed(seed)
    teacher = small_teacher(generator)
    both = small_prompts(800, generator)  # of one kind, the second half to test on
    said = answered(teacher, both, generator)
    ids = torch.cat([both, said], 1)
    labels = torch.cat([torch.full_like(both, -1), said], 1)

    def pairs(rows, kind):
        """How often each token is to be followed by each, ``[12, 12]``, as the run counts them."""
        wanted = ids[rows] if kind == "prompt learned" else labels[rows]
        if kind == "end masked":
            wanted = torch.where(wanted == END, -1, wanted)
        shift = 0 if kind == "not shifted" else 1
        before, wanted = ids[rows, : ids.shape[1] - shift].flatten(), wanted[:, shift:].flatten()
        learned = wanted >= 0
        return torch.bincount(TOKENS * before[learned] + wanted[learned], minlength=TOKENS**2).view(TOKENS, TOKENS)

    def loss_of(weights, counts):
        return -(counts * weights.log_softmax(-1)).sum() / counts.sum()

    train, test = slice(0, 400), slice(400, 800)
    counted, held_out = pairs(train, kind), pairs(test, "sound")
    weights = torch.zeros(TOKENS, TOKENS, requires_grad=True)
    optimiser = torch.optim.Adam([weights], lr=0.1)
    log = {"loss": [], "held out": [], "ended": []}
    for step in range(101):
        loss = loss_of(weights, counted)
        if step % 20 == 0:
            with torch.no_grad():
                log["loss"].append(loss.item())
                log["held out"].append(loss_of(weights, held_out).item())
                own = answered(weights.detach(), both[test], generator)
                log["ended"].append((own == END).any(-1).float().mean().item())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return log


def show_logs(seed: int = 0, letters: str = "CADB") -> None:
    """The last reading of four runs, one of each of MADE, named by letters."""
    for letter, kind in sorted(zip(letters, MADE)):
        log = log_of(kind, seed + ord(letter))
        print(letter, "  ".join(f"{name} {readings[-1]:.2f}" for name, readings in log.items()))


def check_diagnose(diagnose):
    """5.3: which of four runs was sound, and what the other three had wrong."""
    diagnose = unchanged(diagnose)
    for place in torch.randperm(len(MADE)).tolist() + torch.randint(len(MADE), (4,)).tolist():
        log = log_of(MADE[place], int(torch.randint(10**6, ())))
        while 0.71 < log["ended"][-1] < 0.79:  # where a rule that is as sensible might draw its line elsewhere
            log = log_of(MADE[place], int(torch.randint(10**6, ())))
        answer = diagnose(copy.deepcopy(log))
        if not isinstance(answer, str) or answer not in MADE:
            raise Wrong(f"One of the words {', '.join(MADE)} is expected, and this came: {answer!r:.80}.")
        if answer != MADE[place]:
            last = ", ".join(f"{name} {readings[-1]:.2f}" for name, readings in log.items())
            why = {
                "sound": "What it counts is what it does on new prompts, and it ends.",
                "end masked": "This student never ends: nobody showed it an end. (hint 1)",
                "prompt learned": "Its own loss is far below what it does on new answers: it also counts what is easy. (hint 2)",
                "not shifted": "Its loss is near zero and it is lost on new answers: it learned to say again what it reads. (hint 3)",
            }[MADE[place]]
            raise Wrong(f"For a run that ends at {last} you say {answer!r}, and it was {MADE[place]!r}. {why}")


# --- 5.4 --------------------------------------------------------------------------------------------------------------

WHY = ("cheaper", "only one gets there", "neither was seen there")


def _tokens(curve, goal, logarithmic=True):
    """Tokens at which a curve of (tokens, KL) reaches a goal, between two of its points; None outside of them."""
    for (few, high), (many, low) in zip(curve, curve[1:]):
        if high >= goal >= low:
            share = (high - goal) / (high - low)
            return few * (many / few) ** share if logarithmic else few + share * (many - few)
    return None


def _choice(curves, prices, goal, logarithmic=True):
    needed = {name: _tokens(curve, goal, logarithmic) for name, curve in curves.items()}
    costs = {name: count * prices[name] for name, count in needed.items() if count is not None}
    if not costs:
        return "neither", WHY[2]
    return min(costs, key=costs.get), WHY[0] if len(costs) == 2 else WHY[1]


def _two_curves(rng, goal_in):
    """Two falling curves, and a goal that lies in the range of both, of the one named, or of none."""
    while True:
        curves = {}
        for name in ("text", "probabilities"):
            tokens = np.cumsum(rng.uniform(1, 2, size=rng.integers(2, 4))) * 0.9
            tokens = (10_000 * np.exp(tokens - tokens[0])).round(-2)
            kl = rng.uniform(2.6, 3.0) - np.cumsum([0, *rng.uniform(0.3, 0.9, size=len(tokens) - 1)])
            curves[name] = [(float(count), round(float(value), 2)) for count, value in zip(tokens, kl)]
        ends = {name: curve[-1][1] for name, curve in curves.items()}
        low, high = min(ends.values()), max(ends.values())
        if goal_in == "both":
            if high > 2.3:
                continue
            return curves, round(float(rng.uniform(high + 0.05, 2.5)), 2)
        if goal_in == "none":
            return curves, round(low - float(rng.uniform(0.05, 0.3)), 2)
        if ends[goal_in] == low and high - low > 0.15:
            return curves, round((low + high) / 2, 2)


def check_choose(choose):
    """5.4: text or probabilities for a goal, by price and by two measured curves; never beyond what was measured."""
    choose = unchanged(choose)
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    for goal_in in rng.permutation(
        ["price", "price", "tokens", "tokens", "line", "line", "text", "probabilities", "none"]
    ).tolist():
        while True:  # until one mistake alone would decide otherwise: price alone, tokens alone, or a line over tokens
            curves, goal = _two_curves(rng, "both" if goal_in in ("price", "tokens", "line") else goal_in)
            if goal_in not in ("price", "tokens", "line"):
                ratio = float(np.exp(rng.uniform(-2, 2)))
                break
            # At this ratio of prices both cost alike; and so it seems on a line that is straight over tokens.
            even, seeming = (
                np.divide(*(_tokens(curves[name], goal, logarithmic) for name in ("text", "probabilities")))
                for logarithmic in (True, False)
            )
            if goal_in == "line" and abs(np.log(even / seeming)) > 0.25:
                ratio = (even * seeming) ** 0.5
                break
            if goal_in != "line" and abs(np.log(even)) > 0.4:
                ratio = even**0.5 if goal_in == "price" else even**1.5
                break
        prices = {"text": 2.0, "probabilities": round(2.0 * float(ratio), 3)}
        expected = _choice(curves, prices, goal)
        answer = choose(copy.deepcopy(curves), dict(prices), goal)
        try:
            decision, reason = answer
        except (TypeError, ValueError):
            raise Wrong(f'A pair is expected, such as ("text", "{WHY[0]}"), and this came: {answer!r:.80}.') from None
        if decision not in ("text", "probabilities", "neither") or reason not in WHY:
            raise Wrong(
                f'"text", "probabilities" or "neither" is expected, and one of the reasons {", ".join(WHY)}; this came: '
                f"{answer!r:.80}."
            )
        if (decision, reason) == expected:
            continue
        needed = {name: _tokens(curve, goal) for name, curve in curves.items()}
        words = ", ".join(
            f"{name} {'never' if count is None else f'after {count:,.0f} tokens at {prices[name]:g} a million'}"
            for name, count in needed.items()
        )
        told = f"A KL of {goal:g} is reached by {words}. You say {decision}, {reason}; {', '.join(expected)} was expected. "
        if expected[1] == WHY[2]:
            raise Wrong(told + "Beyond its last point nobody knows where a curve goes. (hint 3)")
        if expected[1] == WHY[1]:
            raise Wrong(told + "Only one of the two has been seen there, whatever it costs. (hint 3)")
        if (decision, reason) == _choice(curves, prices, goal, logarithmic=False):
            raise Wrong(told + "Your line is straight over tokens: draw it over their logarithm. (hint 2)")
        raise Wrong(told + "Compare tokens × price. (hint 1)")


# --- 5.5 --------------------------------------------------------------------------------------------------------------

PROMPTS, NEAR = 600, 0.05
ASK = TOKENS  # the last token of every prompt, which nobody says: what follows it is seen in answers' first tokens only


def asked_teacher(generator: torch.Generator) -> torch.Tensor:
    """The logits of the next token, ``[13, 13]``: as `small_teacher`, and a row, far from even, for what follows ASK."""
    logits = torch.full((ASK + 1, ASK + 1), -torch.inf)
    logits[:ASK, :ASK] = small_teacher(generator)
    logits[ASK, :ASK] = 5.0 * torch.randn(ASK, generator=generator)
    logits[ASK, END] = logits[ASK, 1:].logsumexp(-1) - 3.0
    return logits


def behind_teacher(student: nn.Module, teacher: torch.Tensor) -> tuple[float, float, float]:
    """KL of the student to the teacher, nats per token of the teacher's answers: of all, the first, and those after it."""
    p = teacher.softmax(-1)
    visits, at = torch.zeros(len(p)), F.one_hot(torch.tensor(ASK), len(p)).float()
    for _ in range(LONGEST):
        visits = visits + at
        at = (at @ p).index_fill(0, torch.tensor(END), 0.0)
    with torch.no_grad():
        q = student(torch.arange(len(p))).log_softmax(-1)
    each = F.kl_div(q, p, reduction="none").sum(-1)
    total = visits * each
    return (total.sum() / visits.sum()).item(), each[ASK].item(), (total[:ASK].sum() / visits[:ASK].sum()).item()


def check_learn(learn):
    """5.5: a student within 0.05 nats of a teacher that only talks, each prompt asked once."""
    generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
    teacher, prompts = asked_teacher(generator), F.pad(small_prompts(PROMPTS, generator), (0, 1), value=ASK)
    student, asked = nn.Embedding(*teacher.shape), []
    with torch.no_grad():
        student.weight.zero_()
    before, *_ = behind_teacher(student, teacher)

    def ask(prompt, temperature=1.0):
        asked.append(float(temperature))
        if len(asked) > PROMPTS:
            raise Wrong(f"There is money for {PROMPTS} answers, and you ask for more: ask once a prompt, and keep it.")
        row = torch.as_tensor(prompt, dtype=torch.long)[None]
        return [token for token in answered(teacher, row, generator, temperature)[0].tolist() if token >= 0]

    given = learn(student, ask, prompts.tolist())
    if not isinstance(given, nn.Module):
        raise Wrong(f"Return the student, trained in place; this came: {given!r:.80}.")
    try:
        with torch.no_grad():
            shape = given(torch.arange(ASK + 1)).shape
            after, first, later = behind_teacher(given, teacher)
    except Exception as error:
        raise Wrong(f"Your student cannot be asked any more: {error}") from None
    if shape != teacher.shape or not np.isfinite(after):
        raise Wrong(
            f"Your student's logits are {list(shape)}, and its KL is {after}: finite logits [13, 13] were expected."
        )
    if after <= NEAR:
        return
    told = f"Before training the KL was {before:.2f} nats, now it is {after:.2f}, and {NEAR} is asked for. "
    if not asked:
        raise Wrong(told + "You asked nothing: ask(prompt) is the only way to the teacher.")
    if any(temperature != 1 for temperature in asked):
        raise Wrong(told + f"You asked at temperature {asked[-1]:g}: that is another distribution. (hint 1)")
    if len(asked) < 0.9 * PROMPTS:
        raise Wrong(told + f"You asked {len(asked)} times of {PROMPTS}: few answers leave noise. (hint 1)")
    if abs(after - before) < 1e-6:
        raise Wrong(told + "Your student has not moved: fit it to the pairs. (hint 3)")
    with torch.no_grad():
        end = given(torch.arange(1, TOKENS)).softmax(-1)[:, END].mean().item()
    wanted = teacher[1:].softmax(-1)[:, END].mean().item()
    if end < wanted / 3:
        raise Wrong(
            told + f"It ends with probability {end:.3f}, the teacher with {wanted:.2f}: ends are learned. (hint 2)"
        )
    if later <= NEAR:
        raise Wrong(
            told + f"Later tokens are near enough, but at an answer's first the KL is {first:.2f}: learn that one too, "
            "after the prompt's last. (hint 2)"
        )
    raise Wrong(
        told + "The last token of the prompt predicts the first of the answer, and so on to the end; what stands in "
        "the prompt is not learned; and the loss must have stopped falling. (hints 2 and 3)"
    )


CHECKS = {
    "5.1": check_teach_to_stop,
    "5.2": check_left_pad,
    "5.3": check_diagnose,
    "5.4": check_choose,
    "5.5": check_learn,
}
