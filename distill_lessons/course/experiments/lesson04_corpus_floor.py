"""Lesson 04: how near the teacher comes who knows only how often each token occurs in the corpus at temperature 1.

A student that is no nearer has learned word frequencies at most, and two such students cannot be compared.
"""

import numpy as np
import torch

from distill_lessons.course.experiments import on_corpus
from distill_lessons.course.results import Experiment
from distill_lessons.models import logits_of


def frequencies(vocabulary: int) -> torch.Tensor:
    """Log-probabilities of all tokens, ``[V]``: their shares of the training responses, one count added to each."""
    counts = torch.ones(vocabulary, dtype=torch.float64)
    for row in on_corpus.material()[2]:
        counts += torch.bincount(torch.as_tensor(row["input_ids"][row["prompt_length"] :]), minlength=vocabulary)
    return (counts / counts.sum()).log().float()


@torch.no_grad()
def run(arm, seed):
    """KL, agreement and cross-entropy of the word frequencies on the test prompts, a number a prompt."""
    teacher = on_corpus.material()[0]
    guess = frequencies(teacher.get_output_embeddings().weight.shape[0]).to(teacher.device)
    found = {"kl": [], "agreement": [], "cross_entropy": []}
    for batch in on_corpus.held_out("test")[0]:
        log_p = logits_of(teacher, batch["teacher_states"]).float().log_softmax(-1)
        labels = batch["labels"][:, 1:]
        mask = labels != -100
        values = {
            "kl": (log_p.exp() * (log_p - guess)).sum(-1),
            "agreement": (log_p.argmax(-1) == guess.argmax()).float(),
            "cross_entropy": -guess[labels[mask]],
        }
        row = mask.nonzero()[:, 0].cpu().numpy()
        for name, each in values.items():
            found[name] += (np.bincount(row, each.cpu().numpy()) / np.bincount(row)).tolist()
    return found


DEVICES = ("cpu", "cuda")  # beside the students' tables, on either
EXPERIMENTS = (Experiment("lesson04-corpus-floor", ("word frequencies",), (0,), run, DEVICES, groups=on_corpus.groups),)

NAMES = {"kl": "KL to the teacher"}
