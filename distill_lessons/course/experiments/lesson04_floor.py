"""Lesson 04's floor: how near the teacher comes who knows only how often each token occurs in the training text.

A student that is no nearer has learned word frequencies at most, and two such students cannot be compared.
"""

import torch

from distill_lessons.course.experiments import on_smollm
from distill_lessons.course.results import Experiment
from distill_lessons.models import response_logits
from distill_lessons.pairs import smollm
from distill_lessons.teacher.text import collator, encode


def frequencies(vocabulary: int) -> torch.Tensor:
    """Log-probabilities of all tokens, ``[V]``: their shares of the corpus's training responses, one count added to each."""
    tokenizer = smollm.tokenizer()
    counts = torch.ones(vocabulary, dtype=torch.float64)
    for row in encode(tokenizer, smollm.corpus("train"), max_response=65):
        labels = torch.as_tensor(row["labels"])
        counts += torch.bincount(labels[labels >= 0], minlength=vocabulary)
    return (counts / counts.sum()).log().float()


def run(arm, seed):
    """KL, agreement and cross-entropy of the word frequencies on the held-out prompts of `on_smollm.score`."""
    teacher, tokenizer, _ = on_smollm.material()
    rows = encode(tokenizer, smollm.corpus("test")[: on_smollm.HELD_OUT["test"]], max_response=65)
    collate, found = collator(tokenizer), []
    guess = frequencies(teacher.get_output_embeddings().weight.shape[0]).to(teacher.device)
    with torch.no_grad():
        for begin in range(0, len(rows), 8):
            batch = {name: value.to(teacher.device) for name, value in collate(rows[begin : begin + 8]).items()}
            logits, labels = response_logits(teacher, batch)
            log_p = logits.float().log_softmax(-1)
            kl = (log_p.exp() * (log_p - guess)).sum(-1)
            found.append(torch.stack([kl, (log_p.argmax(-1) == guess.argmax()).float(), -guess[labels]], -1))
    kl, agreement, cross_entropy = torch.cat(found).mean(0).tolist()
    return {"kl": kl, "agreement": agreement, "cross_entropy": cross_entropy}


EXPERIMENTS = (Experiment("lesson04-floor", ("word frequencies",), (0,), run, ("cpu", "cuda")),)

NAMES = {"kl": "KL to the teacher"}
