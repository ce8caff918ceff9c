"""Checks of lesson 09, on-policy distillation; and the logs and recorded rows that its exercises show."""

import copy
import functools

import matplotlib.pyplot as plt
import numpy as np
import torch
from scipy import stats
from torch import Tensor, nn

from distill_lessons import losses
from distill_lessons.course import plots, results
from distill_lessons.course.exercises import Wrong
from distill_lessons.course.exercises.common import nearest, unchanged
from distill_lessons.course.experiments import lesson09_multiplication as lesson
from distill_lessons.evaluation import exposure
from distill_lessons.losses import IGNORE
from distill_lessons.models import response_logits
from distill_lessons.pairs import multiplication as pair
from distill_lessons.teacher import text


def _rng():
    return np.random.default_rng(int(torch.randint(2**31, ())))


# --- 9.1: which predictions count? ------------------------------------------------------------------------------------


def _counted(ids, start, ends):
    """The reference, row by row: a prediction counts if it is of a response token up to the first end, that included."""
    found = torch.zeros(ids.shape[0], ids.shape[1] - 1, dtype=torch.bool)
    for row, line in enumerate(ids.tolist()):
        for place in range(start, len(line)):
            found[row, place - 1] = True
            if line[place] in ends:
                break
    return found


def _fresh_batch(rng):
    """Written rows: prompts padded on the left, ends inside prompts, rows that end early, late, at once or never."""
    rows, start, length = 8, int(rng.integers(4, 8)), int(rng.integers(8, 14))
    ends = rng.choice(np.arange(3, 30), 2, replace=False).tolist()
    others = np.setdiff1d(np.arange(30), ends)  # 0 is a token like others
    ids = rng.choice(others, (rows, start + length))
    pad = ends[0] if rng.random() < 0.5 else 0  # many tokenizers pad with their end token
    for row in range(rows):
        ids[row, : rng.integers(0, start - 1)] = pad
        if row % 3 == 0:
            ids[row, start - 1] = ends[1]  # a chat template closes the question with one
        if row == 0:
            at = 0
        elif row in (1, 2):
            ids[row, start + 1] = 0
            continue  # cut off: it never ended
        else:
            at = int(rng.integers(1, length - 2))
        ids[row, start + at] = ends[row % 2]
        after = ids[row, start + at + 1 :]
        after[:] = pad if row % 2 else rng.choice(others, len(after))
        if row > 4 and len(after) > 2:
            after[1] = ends[1]  # and another end further on
    return torch.from_numpy(ids), start, ends


def check_counted(counted):
    """9.1: the mask of what a student wrote, up to its first end token."""
    counted, rng = unchanged(counted), _rng()
    for _ in range(4):
        ids, start, ends = _fresh_batch(rng)
        expected = _counted(ids, start, ends)
        answer = counted(ids.clone(), start, list(ends))
        if not isinstance(answer, Tensor) or answer.dtype != torch.bool:
            kind = answer.dtype if isinstance(answer, Tensor) else type(answer).__name__
            raise Wrong(f"A bool tensor was expected, and this came: {kind}.")
        if answer.shape == ids.shape:
            raise Wrong(
                f"Yours is as long as the ids, {tuple(ids.shape)}. Logits at a place predict the *next* token, and nothing "
                f"is predicted at the last: {tuple(expected.shape)} was expected. (hint 1)"
            )
        if answer.shape != expected.shape:
            raise Wrong(f"{tuple(expected.shape)} was expected, and yours is {tuple(answer.shape)}.")
        if torch.equal(answer.cpu(), expected):
            continue
        row = int((answer.cpu() != expected).any(1).nonzero()[0])
        told = (
            f"Row {row} is {ids[row].tolist()}, its response begins at {start}, ends are {ends}. You count predictions "
            f"{answer[row].nonzero()[:, 0].tolist()}; right are {expected[row].nonzero()[:, 0].tolist()}. "
        )
        raise Wrong(told + _why_counted(ids, start, ends, answer.cpu(), expected))


def _why_counted(ids, start, ends, answer, expected):
    is_end, inside = torch.isin(ids, torch.tensor(ends)), torch.arange(ids.shape[1]) >= start
    first = expected & is_end[:, 1:]
    before = (is_end & inside).long().cumsum(1) - (is_end & inside).long()
    last_end = (is_end & inside).flip(1).long().cumsum(1).flip(1) > 0
    never = ~(is_end & inside).any(1)
    shifted = torch.cat([torch.zeros(len(ids), 1, dtype=torch.bool), expected[:, :-1]], 1)
    everything = (inside & ~is_end)[:, 1:]
    early = expected.clone()
    early[:, start - 2] = True
    mistakes = [
        (
            early,
            "Yours begins a token early: the first of a response is at `start`, and is predicted at start - 1. (hint 1)",
        ),
        (
            expected & (torch.arange(1, ids.shape[1]) > start),
            "Yours begins a token late: the first of a response is at `start`, and is predicted at start - 1. (hint 1)",
        ),
        (
            expected & (ids[:, 1:] != 0),
            "Token 0 is a token like others: where padding stands is told by place, not by number. (hint 3)",
        ),
        (expected & ~first, "Where to stop is learned too: the first end token belongs to it. (hint 2)"),
        (shifted, "Prediction t is of token t + 1: yours is one late. (hint 1)"),
        (inside[1:].expand_as(expected), "After the first end a row is no response any more. (hint 2)"),
        (everything, "You drop the end tokens and keep what comes after them. (hint 2)"),
        (
            (inside & last_end)[:, 1:] | (never[:, None] & inside[1:]),
            "The *first* end of the response counts. (hint 2)",
        ),
        (expected & ~never[:, None], "Rows that were cut off have no end, and all of them counts. (hint 3)"),
        (
            (before == 0)[:, 1:] & (answer | True),
            "Prompts count as well: they are not the student's own words. (hint 1)",
        ),
    ]
    for value, words in mistakes:
        if torch.equal(answer, value):
            return words
    if (answer[:, : start - 1]).any():
        return "Prompts and padding are not the student's own words. (hint 1)"
    if (answer & ~expected).any():
        return "You count tokens after the first end. (hint 2)"
    if (is_end[:, :start].any(1) & (expected & ~answer).any(1)).any():
        return "You leave out response tokens: an end inside the *prompt* ends nothing. (hint 3)"
    return "You leave out response tokens. (hint 3)"


# --- 9.2: an estimate of the other divergence -------------------------------------------------------------------------


def check_estimate(estimate):
    """9.2: KL(teacher ‖ student) from what the student drew: unbiased and never negative."""
    estimate = unchanged(estimate)
    for apart in (0.3, 1.0, 2.0, 0.05):
        z = torch.randn(6, 12, dtype=torch.float64)
        log_q, log_p = z.log_softmax(-1), (z + apart * torch.randn_like(z)).log_softmax(-1)
        q, log_r = log_q.exp(), log_p - log_q
        exact = (log_p.exp() * log_r).sum(-1).mean().item()
        answer = estimate(log_q.clone(), log_p.clone())
        if not isinstance(answer, Tensor) or answer.shape != log_q.shape:
            came = tuple(answer.shape) if isinstance(answer, Tensor) else type(answer).__name__
            raise Wrong(
                f"A value for each of {tuple(log_q.shape)} tokens was expected, not averaged; this came: {came}."
            )
        mean, r = (q * answer).sum(-1).mean().item(), log_r.exp()
        if abs(mean - exact) > 1e-6 * (1 + abs(exact)):
            mistakes = (
                (-log_r, "k1, which estimates KL(student ‖ teacher)"),
                (r - 1 - log_r, "k3, which estimates KL(student ‖ teacher)"),
                (log_r, "log r as if the teacher had drawn the tokens. The student did: weigh by r. (hint 1)"),
                (0.5 * log_r**2, "k2: biased, and of KL(student ‖ teacher)"),
                (-r * log_r, "r · log r with its sign turned"),
                (
                    log_p.exp() * log_r,
                    "a term of the exact sum. The tokens are drawn from q: weigh by r = p/q. (hint 1)",
                ),
                (r * log_r + r - 1, "r · log r with its help added the wrong way round, which is unbiased. (hint 2)"),
            )
            found = nearest(answer, mistakes, "", 1e-9)
            words = (
                f"Yours is {found}{'' if found.endswith(')') else '.'}"
                if found
                else "Draws of q stand for p when weighed by r = p/q. (hint 1)"
            )
            raise Wrong(
                f"Over all tokens that the student can draw, yours has the mean {mean:.4f}, and KL(teacher ‖ student) is "
                f"{exact:.4f}. {words}"
            )
        if answer.min() < -1e-9:
            added = torch.allclose(answer, r * log_r + r - 1)
            more = (
                "You added r - 1: try its other sign."
                if added
                else "Add something whose mean over the student's draws is 0."
            )
            raise Wrong(f"The mean is right, and a single value is {answer.min():.4f}: below zero. {more} (hint 2)")


# --- 9.3: five curves -------------------------------------------------------------------------------------------------

WAYS, RUNS = ("fine", "stale", "k1", "own words", "shifted"), 3


@functools.cache
def _recorded_logs():
    table = results.load("lesson09-curves")
    return {
        (arm, seed): rows.set_index("metric").value.round(3) for (arm, seed), rows in table.groupby(["arm", "seed"])
    }


def logs(number: int = 0) -> dict[str, dict[str, list[float]]]:
    """Logs of five recorded runs: ``loss`` (means of ten updates) and ``kl`` (nats per token, on fresh text of its own).

    `lesson09_curves` says how they were made.
    """
    found = {way: _recorded_logs()[way, number] for way in WAYS}
    return {
        way: {"loss": [log[f"loss {k}"] for k in range(5)], "kl": [log[f"kl {k}"] for k in range(6)]}
        for way, log in found.items()
    }


LETTERS = dict(zip("ABCDE", ("own words", "fine", "shifted", "stale", "k1")))


def show_logs() -> None:
    """The runs of exercise 9.3 as a figure, under letters."""
    shown = logs()
    figure, axes = plt.subplots(1, 5, figsize=(12, 3), sharey=True)
    for each, (letter, way) in zip(axes, LETTERS.items()):
        each.plot(
            range(5, 50, 10), shown[way]["loss"], "-o", color=plots.STUDENT, markersize=4, label="loss, as logged"
        )
        each.plot(range(0, 51, 10), shown[way]["kl"], "--", color=plots.TEACHER, label="KL on fresh own text")
        plots.finish(each, letter, "update", "nats per token (log)" if letter == "A" else "")
        each.set(yscale="log")
    axes[0].legend(loc="upper center", bbox_to_anchor=(3, -0.25), ncol=2)
    plt.show()


def check_diagnose(diagnose):
    """9.3: a loop that works, and four mistakes, told from two curves each, every value shaken by 2%, in nats or in bits."""
    diagnose, rng = unchanged(diagnose), _rng()
    cases = [(way, seed, unit) for way in WAYS for seed in range(RUNS) for unit in (1.0, 1 / np.log(2))]
    for place in rng.permutation(len(cases)):
        way, seed, unit = cases[place]
        found = {name: [unit * x for x in values] for name, values in logs(seed)[way].items()}
        log = {name: [round(x * rng.lognormal(0, 0.02), 4) for x in values] for name, values in found.items()}
        answer = diagnose(list(log["loss"]), list(log["kl"]))
        if not isinstance(answer, str) or answer not in WAYS:
            raise Wrong(f"One of {', '.join(WAYS)} was expected, and this came: {answer!r:.60}.")
        if answer != way:
            loss, kl = (", ".join(f"{x:g}" for x in log[name]) for name in ("loss", "kl"))
            raise Wrong(f"A run with loss {loss} and KL {kl}: {way!r}, and you say {answer!r}. {_why_way(way)}")


def _why_way(way):
    return {
        "fine": "The loss is the KL on the student's own text, so the two are near each other, and stay low. (hint 1)",
        "stale": "The loss falls to almost nothing, the KL on fresh text does not: it learns one batch by heart. (hint 2)",
        "k1": "The loss is near the KL, being an estimate of it, and both climb: its gradient is mere noise. (hint 2)",
        "own words": "The KL climbs far, and a loss that stays so low is no distance to the teacher. (hint 3)",
        "shifted": "The loss *begins* many times above the KL: the two disagree on what they measure. (hint 3)",
    }[way]


# --- 9.4: a teacher behind an interface -------------------------------------------------------------------------------

TOLD, MUST = 3, 0.95  # log-probabilities that the teacher tells at a place; KL to reach, as a share of the start's


@functools.cache
def _bare_prompts():
    asked = sorted({prompt for prompt, _ in lesson.texts("few", "after", 0)})
    return lesson.prompts_of([tuple(map(int, prompt[:-1].split("*"))) for prompt in asked])


def tell(batch, tokens) -> Tensor:
    """The teacher's log-probabilities of three tokens at most, ``[N, k]``, at each place of a response.

    Args:
        batch: input_ids, attention_mask, labels ``[B, L]`` (`teacher.text.Padded`).
        tokens: ``[N, k]``, a row for each row of `response_logits`.
    """
    with torch.no_grad():
        logits = response_logits(lesson.teacher(), batch)[0]
        if tokens.ndim != 2 or len(tokens) != len(logits) or not 1 <= tokens.shape[1] <= TOLD:
            raise Wrong(
                f"tell was asked about tokens of shape {tuple(tokens.shape)}: [{len(logits)}, k] was expected, k from 1 to "
                f"{TOLD}, a row for each of response_logits."
            )
        return logits.log_softmax(-1).gather(-1, tokens)


@torch.no_grad()
def apart(student, count: int = 300, seed: int = 2) -> float:
    """KL(student ‖ teacher) on text that a student writes to test problems, nats per token."""
    rows = [
        {"input_ids": row, "labels": [IGNORE] * len(row)} for row in lesson.prompts_of(pair.problems("test")[:count])
    ]
    batch = text.Padded(0)(exposure.own_examples(student, rows, pair.tokenizer(), lesson.LONGEST, seed=seed))
    own, told = (response_logits(model, batch)[0] for model in (student, lesson.teacher()))
    return losses.reverse_kl(own, told).item()


@functools.cache
def _before():
    return apart(lesson.started("few", 0))


def check_learn(learn):
    """9.4: on-policy from three numbers a token; KL on text of the student's own must fall far enough."""
    order = _rng().permutation(len(_bare_prompts()))  # before a model is read, which draws as well
    student = copy.deepcopy(lesson.started("few", 0))
    answer = learn(student, tell, [list(_bare_prompts()[at]) for at in order])
    if not isinstance(answer, nn.Module):
        raise Wrong(f"The trained student was expected, and this came: {type(answer).__name__}. Return it.")
    before, after = _before(), apart(answer.eval())
    if np.isfinite(after) and after <= MUST * before:
        return
    words = f"On text of its own your student is {after:.3f} nats a token from the teacher; it began at {before:.3f}, "
    words += f"and {MUST * before:.3f} should be reached. "
    if after > 1.1 * before:
        words += "It moved away: is the sign right, and is each term weighed by the student's probability? (hint 2)"
    elif after > 0.99 * before:
        words += "It did not move: does the gradient reach the student's probabilities? (hint 2)"
    else:
        words += "It comes nearer: 50 updates of 32 texts, AdamW at 0.0015, suffice. (hint 3)"
    raise Wrong(words)


# --- 9.5: is it worth its time? ---------------------------------------------------------------------------------------

VERDICTS = ("better", "only by steps", "no")


def _t(values, p):
    return stats.t.ppf(p, len(values) - 1)


def _span(values, width=None, ddof=1):
    """Mean ± width · s / √n; by default the 95% interval of Student's t."""
    half = (width or _t(values, 0.975)) * values.std(ddof=ddof) / np.sqrt(len(values))
    return values.mean() - half, values.mean() + half


def _rival(seconds, own):
    """Of rivals' seconds ``{name: [seeds]}`` the name of the nearest in mean to those of `own`, as a ratio."""
    return min(seconds, key=lambda name: abs(np.log(seconds[name].mean() / own.mean())))


def _surely(own, other):
    return _span(own - other)[0] > 0


def _judged(right, seconds, ahead=_surely, rival=_rival):
    """One of VERDICTS for "on-policy" against the rival of equal time, then against "supervised"."""
    own, name = right["on-policy"], rival({k: v for k, v in seconds.items() if k != "on-policy"}, seconds["on-policy"])
    if ahead(own, right[name]):
        return "better"
    return "only by steps" if ahead(own, right["supervised"]) else "no"


SHORTCUTS = (  # what is tempting and wrong: each has to be caught
    lambda right, seconds: _judged(
        right, seconds | {"supervised": 1e6 * seconds["supervised"]}
    ),  # the longer one always
    lambda right, seconds: _judged(right, seconds, lambda own, other: own.mean() > other.mean()),
    lambda right, seconds: _judged(right, seconds, lambda own, other: (own - other).mean() > 2 * (own - other).std()),
    lambda right, seconds: _judged(
        right, seconds, lambda own, other: stats.ttest_ind(own, other).confidence_interval(0.95).low > 0
    ),
    lambda right, seconds: _judged(right, seconds, lambda own, other: _span(own - other, 1.96)[0] > 0),
    lambda right, seconds: _judged(right, seconds, lambda own, other: _span(own - other, _t(own, 0.95))[0] > 0),
    lambda right, seconds: _judged(right, seconds, lambda own, other: _span(own - other, ddof=0)[0] > 0),
    lambda right, seconds: _judged(
        right, seconds, rival=lambda each, own: min(each, key=lambda name: abs(each[name].mean() - own.mean()))
    ),
    lambda right, seconds: _judged(
        right, {name: np.full(len(each), np.median(each)) for name, each in seconds.items()}
    ),
)


def _fresh_arms(rng, word, shortcut=None):
    """Arms that deserve a word, or any where a shortcut comes to another; no end of an interval is close to zero."""
    while True:
        seeds = int(rng.integers(3, 12))
        hard, base = rng.normal(0, 0.03, seeds), rng.uniform(0.4, 0.8)
        slower, longer = rng.uniform(1.0, 3.0), rng.choice([2.0, 3.2])
        gain = rng.uniform(-0.06, 0.06, 2)
        mean = {"supervised": 0.0, "supervised, longer": gain[0], "on-policy": gain[1]}
        right = {name: base + hard + each + rng.normal(0, 0.008, seeds) for name, each in mean.items()}
        pace = {"supervised": 1.0, "supervised, longer": longer, "on-policy": slower}
        seconds = {name: 20 * each * rng.uniform(0.95, 1.05, seeds) for name, each in pace.items()}
        seconds["on-policy"][0] *= rng.choice([1.0, 4.0])  # somebody else was using the machine
        rivals = ("supervised", "supervised, longer")
        spans = [_span(right["on-policy"] - right[name]) for name in rivals]
        ratios = sorted(abs(np.log(seconds[name].mean() / seconds["on-policy"].mean())) for name in rivals)
        found, clear = _judged(right, seconds), min(map(abs, np.ravel(spans))) > 0.001 and ratios[1] - ratios[0] > 0.05
        if clear and (found == word if shortcut is None else shortcut(right, seconds) != found):
            return right, seconds


def check_worth(worth):
    """9.5: on-policy against the supervised arm that took about as long."""
    rng = _rng()
    cases = [_fresh_arms(rng, word) for word in VERDICTS for _ in range(5)]
    cases += [_fresh_arms(rng, None, shortcut) for shortcut in SHORTCUTS for _ in range(2)]
    for place in rng.permutation(len(cases)):
        right, seconds = cases[place]
        handed, word = copy.deepcopy((right, seconds)), _judged(right, seconds)
        answer = worth(*handed)
        for was, now in zip((right, seconds), handed):
            if set(was) != set(now) or any(not np.array_equal(was[name], now[name]) for name in was):
                raise Wrong("Your function changes what it is handed: work on a copy, a - b and not a -= b.")
        if not isinstance(answer, str) or answer not in VERDICTS:
            raise Wrong(f"One of {', '.join(VERDICTS)} was expected, and this came: {answer!r:.60}.")
        if answer != word:
            rivals = {name: each for name, each in seconds.items() if name != "on-policy"}
            name, told = _rival(rivals, seconds["on-policy"]), ""
            for other in rivals:
                low, high = _span(right["on-policy"] - right[other])
                told += f"on-policy less {other} [{100 * low:+.1f}, {100 * high:+.1f}] points; "
            pace = ", ".join(f"{key} {value.mean():.0f}" for key, value in seconds.items())
            raise Wrong(f"Seconds: {pace}; {told}{word!r}, and you say {answer!r}. {_why_worth(word, name)}")


def _why_worth(word, name):
    return {
        "better": f"About as long took “{name}”, and on-policy is surely ahead of that. (hints 1, 2)",
        "only by steps": f"It beats as many updates, but not surely “{name}”, which took about as long. (hint 1)",
        "no": "It is surely ahead of neither: an interval that reaches zero is no gain. (hint 2)",
    }[word]


CHECKS = {
    "9.1": check_counted,
    "9.2": check_estimate,
    "9.3": check_diagnose,
    "9.4": check_learn,
    "9.5": check_worth,
}
