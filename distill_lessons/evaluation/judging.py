"""Whose answer is better? Judges that can be swapped, and the win rate they give, with their biases. Prints nothing.

A judge is a function ``judge(prompts, first, second)`` of three lists of texts. It returns for each prompt how far it
prefers the first answer to the second: 1, 0, or between; 0.5 is a tie, and NaN a reply that could not be read.
"""

import re
from collections.abc import Callable, Sequence

import numpy as np
import torch
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from distill_lessons.evaluation import power
from distill_lessons.evaluation.arrays import whole
from distill_lessons.evaluation.fidelity import by_row, next_tokens
from distill_lessons.models import evaluating
from distill_lessons.teacher import generation
from distill_lessons.teacher.text import collator, prompt_ids

QUESTION = (
    "Here are a question and two answers.\n\nQuestion: {prompt}\n\nAnswer A: {first}\n\nAnswer B: {second}\n\n"
    "Which answer is better, A or B? Reply with one letter."
)
LONGEST = 512  # tokens of an answer that the likelihood judge reads

Judge = Callable[[Sequence[str], Sequence[str], Sequence[str]], np.ndarray]


def likelihood(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, batch_size: int = 16) -> Judge:
    """A judge that takes the answer which a language model finds likelier, by the mean log-likelihood of its tokens.

    The end of the turn counts as a token, so an empty answer has one. It scores each answer by itself, so the order
    cannot matter. It has a taste, though: for its own phrases, and for repetition, which is always easy to foresee.

    Raises:
        ValueError: `batch_size` is no whole number of at least 1.
    """
    batch_size = whole("batch_size", batch_size)

    def encoded(prompt, answer):
        before = prompt_ids(tokenizer, prompt)
        after = [*tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id][:LONGEST]
        return {"input_ids": before + after, "labels": [-100] * len(before) + after}

    def judge(prompts, first, second):
        pairs = [*zip(prompts, first), *zip(prompts, second)]
        # Each is scored once, and forgotten with this call: the model may be another one, or trained on, at the next.
        different = list(dict.fromkeys(pairs))
        examples, collate = [encoded(*pair) for pair in different], collator(tokenizer)
        tokens = next_tokens(
            model, [collate(examples[i : i + batch_size]) for i in range(0, len(examples), batch_size)]
        )
        scores = dict(zip(different, -by_row(tokens, "surprise") / np.bincount(tokens["row"].astype(int))))
        ones, others = (
            np.array([scores[pair] for pair in each]) for each in (pairs[: len(first)], pairs[len(first) :])
        )
        return (np.sign(ones - others) + 1) / 2

    return judge


def choice(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> Judge:
    """A judge that shows a language model both answers as A and B and asks: the probability of A against that of B.

    Raises:
        ValueError: A and B are not one token each in this tokenizer.
    Source: Zheng et al. 2023, "Judging LLM-as-a-judge with MT-Bench and Chatbot Arena", pairwise comparison.
    """
    found = [tokenizer(letter, add_special_tokens=False)["input_ids"] for letter in "AB"]
    if [len(each) for each in found] != [1, 1] or found[0] == found[1]:
        raise ValueError(f"this judge needs A and B as one token each, and the tokenizer makes {found} of them")
    letters = [each[0] for each in found]

    @torch.inference_mode()
    def judge(prompts, first, second):
        preferred = []
        with evaluating(model):
            for prompt, one, other in zip(prompts, first, second):
                ids = prompt_ids(tokenizer, QUESTION.format(prompt=prompt, first=one, second=other))
                logits = model(input_ids=torch.tensor([ids], device=model.device), logits_to_keep=1).logits[0, -1]
                preferred.append(logits[letters].float().softmax(0)[0].item())
        return np.array(preferred)

    return judge


def server(address: str, model: str, **how) -> Judge:
    """A judge behind an OpenAI-compatible server, asked the question of `choice`; options as `generation.server`.

    Its reply is read by `verdict`; where that finds none it counts as unreadable.
    """
    ask = generation.server(address, model, **({"temperature": 0, "max_tokens": 8} | how))

    def judge(prompts, first, second):
        asked = [QUESTION.format(prompt=p, first=a, second=b) for p, a, b in zip(prompts, first, second)]
        return np.array([verdict(reply) for reply, _ in ask(asked, 0)])

    return judge


def verdict(reply: str | None) -> float:
    """1 for the letter A, 0 for B, NaN for a reply that is anything else.

    The letter must stand alone; "Answer:" before it, brackets, asterisks, quotes and a full stop are read over. A
    sentence is not: "A clear case: B" has two capitals, and "Neither A nor B" means none of them.
    """
    found = re.fullmatch(r"[\W_]*(?:(?i:answer)[\W_]+)?([AB])[\W_]*", reply or "")
    return float("nan") if found is None else float(found[1] == "A")


def win_rate(judge: Judge, prompts: Sequence[str], ours: Sequence[str], theirs: Sequence[str]) -> dict[str, float]:
    """How often a judge prefers our answers to theirs; each pair is shown in both orders, in one call of the judge.

    A pair is won if our answer is preferred in both orders, lost if theirs is, and otherwise a tie, which counts half.
    A reply that could not be read prefers neither.

    Args:
        ours, theirs: an answer for each prompt, as text.
    Returns:
        dict of ``win rate`` with ``low`` and ``high`` (95%, over prompts: `power.proportion`) and ``ties``; ``position
        bias``, how much more often than half the first place is preferred (0 none, 0.5 always the first, −0.5 always the
        second); ``consistent``, the share of pairs whose order made no difference, both replies read; ``length bias``, how
        much more often than half the longer answer is preferred, over pairs of unequal length (0 if there are none);
        ``unreadable``, the number of replies that could not be read, of two a prompt.
    Raises:
        ValueError: the lists differ in length, are empty, or hold something that is no text; the judge does not return a
            number between 0 and 1 (or NaN) for each prompt.
    """
    prompts, ours, theirs = list(prompts), list(ours), list(theirs)
    if not len(prompts) == len(ours) == len(theirs) > 0:
        raise ValueError(
            f"{len(prompts)} prompts, {len(ours)} and {len(theirs)} answers: one of each a prompt, and at least one"
        )
    strange = [each for each in (*ours, *theirs) if not isinstance(each, str)]
    if strange:
        raise ValueError(f"an answer must be text, and {strange[0]!r} came: leave out prompts without an answer")
    said = np.asarray(judge(prompts + prompts, ours + theirs, theirs + ours), dtype=float)
    if said.shape != (2 * len(prompts),) or not (np.isnan(said) | ((said >= 0) & (said <= 1))).all():
        raise ValueError(
            f"a judge must return a number between 0 and 1 for each of {2 * len(prompts)} prompts, and {said} came"
        )
    read = ~np.isnan(said)
    picks = np.where(read, (np.sign(said - 0.5) + 1) / 2, 0.5)  # 1: the answer that stands first
    first, second = np.split(picks, 2)  # ours stands first; theirs does
    ours_preferred = (first + 1 - second) / 2
    same = (first + second == 1) & np.logical_and(*np.split(read, 2))  # both name the same answer, or prefer neither
    result = np.where(same, ours_preferred, 0.5)
    won = power.proportion(result.sum(), len(result))
    longer = np.sign([len(one) - len(other) for one, other in zip(ours, theirs)])
    picked_longer = np.where(longer > 0, ours_preferred, 1 - ours_preferred)[longer != 0]
    return {
        "win rate": won.value,
        "low": won.low,
        "high": won.high,
        "ties": float((result == 0.5).mean()),
        "position bias": float(picks.mean() - 0.5),
        "consistent": float(same.mean()),
        "length bias": float(picked_longer.mean() - 0.5) if len(picked_longer) else 0.0,
        "unreadable": int((~read).sum()),
    }
