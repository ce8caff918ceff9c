"""Whose answer is better? Judges that can be swapped, and the win rate they give, with their biases. Prints nothing.

A judge is a function ``judge(prompts, first, second)`` of three lists of texts. It returns for each prompt how far it
prefers the first answer to the second: 1, 0, or between; 0.5 is a tie.
"""

import re

import numpy as np
import torch

from distill_lessons import evaluation
from distill_lessons.evaluation import power
from distill_lessons.teacher import generation
from distill_lessons.teacher.text import collator, encode, prompt_ids

QUESTION = (
    "Here are a question and two answers.\n\nQuestion: {prompt}\n\nAnswer A: {first}\n\nAnswer B: {second}\n\n"
    "Which answer is better, A or B? Reply with one letter."
)


def likelihood(model, tokenizer, batch_size=16):
    """A judge that takes the answer which a language model finds likelier, by the mean log-likelihood of its tokens.

    It scores each answer by itself, so the order cannot matter. It has a taste, though: for its own phrases, and for
    repetition, which is always easy to foresee.
    """

    known = {}  # an answer is scored once, in whichever order and against whatever it is shown

    def score(prompts, answers):
        pairs = list(zip(prompts, answers))
        new = [pair for pair in dict.fromkeys(pairs) if pair not in known]
        if new:
            known.update(zip(new, fresh(new)))
        return np.array([known[pair] for pair in pairs])

    def fresh(pairs):
        rows = [{"prompt": p, "response": a, "finished": True} for p, a in pairs]
        examples = encode(tokenizer, rows, max_response=512)
        collate = collator(tokenizer)
        batches = [collate(examples[i : i + batch_size]) for i in range(0, len(examples), batch_size)]
        tokens = evaluation.next_tokens(model, batches)
        lengths = np.bincount(tokens["row"].astype(int))
        return -evaluation.by_row(tokens, "surprise") / lengths

    def judge(prompts, first, second):
        return (np.sign(score(prompts, first) - score(prompts, second)) + 1) / 2

    return judge


def choice(model, tokenizer):
    """A judge that shows a language model both answers as A and B and asks: the probability of A against that of B.

    Source: Zheng et al. 2023, "Judging LLM-as-a-judge with MT-Bench and Chatbot Arena", pairwise comparison.
    """
    letters = [tokenizer(letter, add_special_tokens=False)["input_ids"][0] for letter in "AB"]

    @torch.inference_mode()
    def judge(prompts, first, second):
        preferred = []
        for prompt, one, other in zip(prompts, first, second):
            ids = prompt_ids(tokenizer, QUESTION.format(prompt=prompt, first=one, second=other))
            logits = model(input_ids=torch.tensor([ids], device=model.device), logits_to_keep=1).logits[0, -1]
            preferred.append(logits[letters].float().softmax(0)[0].item())
        return np.array(preferred)

    return judge


def server(address, model, **how):
    """A judge behind an OpenAI-compatible server, asked the question of `choice`; options as `generation.server`.

    The first "A" or "B" that stands alone in its reply is the verdict; a reply without one counts as a tie.
    """
    ask = generation.server(address, model, **({"temperature": 0, "max_tokens": 8} | how))

    def judge(prompts, first, second):
        asked = [QUESTION.format(prompt=p, first=a, second=b) for p, a, b in zip(prompts, first, second)]
        found = [re.search(r"\b[AB]\b", reply or "") for reply, _ in ask(asked, 0)]
        return np.array([0.5 if letter is None else float(letter[0] == "A") for letter in found])

    return judge


def win_rate(judge, prompts, ours, theirs):
    """How often a judge prefers our answers to theirs; each pair is shown in both orders.

    A pair is won if our answer is preferred in both orders, lost if theirs is, and otherwise a tie, which counts half.

    Args:
        ours, theirs: an answer for each prompt, as text.
    Returns:
        dict of ``win rate`` with ``low`` and ``high`` (95%, over prompts) and ``ties``; ``position bias``, how much more
        often than half the first place is preferred (0 none, 0.5 always the first, −0.5 always the second);
        ``consistent``, the share of pairs whose order made no difference; ``length bias``, how much more often than half
        the longer answer is preferred, over pairs of unequal length (0 if there are none).
    Raises:
        ValueError: the lists differ in length or are empty.
    """
    if not len(prompts) == len(ours) == len(theirs) > 0:
        raise ValueError(
            f"{len(prompts)} prompts, {len(ours)} and {len(theirs)} answers: one of each a prompt, and at least one"
        )
    first = _picks(judge(prompts, ours, theirs))  # 1: our answer, which stands first
    second = _picks(judge(prompts, theirs, ours))  # 1: theirs
    ours_preferred = (first + 1 - second) / 2
    same = first + second == 1  # both orders name the same answer, or neither prefers one
    result = np.where(same, ours_preferred, 0.5)
    won = power.bootstrap(lambda mean: mean, result)
    longer = np.sign([len(one) - len(other) for one, other in zip(ours, theirs)])
    picked_longer = np.where(longer > 0, ours_preferred, 1 - ours_preferred)[longer != 0]
    return {
        "win rate": won.value,
        "low": won.low,
        "high": won.high,
        "ties": float((result == 0.5).mean()),
        "position bias": float(np.concatenate([first, second]).mean() - 0.5),
        "consistent": float(same.mean()),
        "length bias": float(picked_longer.mean() - 0.5) if len(picked_longer) else 0.0,
    }


def _picks(preferences):
    """Preferences as picks: 1, 0, or 0.5 for a tie."""
    return (np.sign(np.asarray(preferences, dtype=float) - 0.5) + 1) / 2
