"""Lesson 09's five logs for exercise 9.3: a loop that works, and four mistakes in it, as two curves each.

Not a comparison: no claim rests on it, and all runs have one rate. A start has read its teacher's texts of 500 problems, 1,500
steps, or 1,000 for number 1; then it takes 50 updates of 32 texts of its own, AdamW at 0.0015, one order of draws for all.

=========  =============================================================================================================
fine       the reverse KL on the whole distribution
stale      the same, on the texts of the first update for ever
k1         `estimators.k1` of the written tokens for a loss
own words  the cross-entropy of the written tokens
shifted    as fine, with the teacher's row of the next token
=========  =============================================================================================================

"loss 0" to "loss 4" are means of ten updates, "kl 0" to "kl 5" the reverse KL on fresh text for 64 test problems, before and
after every ten, both in nats per token. Cost: 15 runs of about 6 s, two starts of 30 s.
"""

import copy
import functools

import numpy as np
import torch

from distill_lessons.course.experiments import lesson09_multiplication as lesson
from distill_lessons.course.experiments import on_multiplication
from distill_lessons.course.results import Experiment
from distill_lessons.models import response_logits
from distill_lessons.pairs import multiplication as pair
from distill_lessons.teacher import text
from distill_lessons.training import estimators, onpolicy

UPDATES, EVERY, RATE, SCORED = 50, 10, 1.5e-3, 64
BEGUN, STARTS = 900, (1500, 1000, 1500)  # the seed of weights and texts, and a start's steps, by number


@functools.cache
def started(steps: int):
    """A student after that many steps on its teacher's texts."""
    pairs = lesson.texts("few", "start", BEGUN)
    learned = on_multiplication.learn(pair.student(BEGUN), pair.tokenizer(), pairs, steps, BEGUN, lesson.START_RATE)
    return learned[0]


@functools.cache
def prompts() -> list[list[int]]:
    """The problems that the start has no texts of."""
    asked = sorted({prompt for prompt, _ in lesson.texts("few", "after", BEGUN)})
    return lesson.prompts_of([tuple(map(int, prompt[:-1].split("*"))) for prompt in asked])


def written(student, asked: list[list[int]], uniforms) -> text.Padded:
    """A batch of what a student writes to prompts."""
    drawn = onpolicy.write(student, asked, [pair.tokenizer().eos_token_id], uniforms)
    return text.Padded(0)([onpolicy.example(*both) for both in zip(asked, drawn)])


def log_probs(student, batch):
    """log q and log p ``[N, V]`` of student and teacher, and the tokens ``[N]`` that were written."""
    z, tokens = response_logits(student, batch)
    with torch.no_grad():
        told = response_logits(lesson.teacher(), batch)[0]
    return z.log_softmax(-1), told.log_softmax(-1), tokens


def whole(log_q, log_p):
    """The reverse KL, in nats per token."""
    return (log_q.exp() * (log_q - log_p)).sum(-1).mean()


@torch.no_grad()
def distance(student, seed: int) -> float:
    """The reverse KL on fresh text of the student's own."""
    asked = lesson.prompts_of(pair.problems("test")[:SCORED])
    batch = written(student, asked, onpolicy.uniform(seed, 0, range(SCORED), lesson.LONGEST))
    return whole(*log_probs(student, batch)[:2]).item()


def loss_of(way: str, log_q, log_p, tokens):
    """The loss of a way, in nats per token."""
    if way == "shifted":
        return whole(log_q, log_p.roll(-1, 0))
    said, told = (each.gather(-1, tokens[:, None])[:, 0] for each in (log_q, log_p))
    if way == "k1":
        return estimators.k1(said, told).mean()
    return -said.mean() if way == "own words" else whole(log_q, log_p)


def run(way: str, number: int) -> dict:
    """A run's log."""
    student, rng, batch = copy.deepcopy(started(STARTS[number])).train(), np.random.default_rng(number), None
    optimiser = torch.optim.AdamW(student.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=0)
    losses, found = [], {"kl 0": distance(student, 100)}
    for update in range(UPDATES):
        asked = [prompts()[at] for at in rng.choice(len(prompts()), lesson.BATCH, replace=False)]
        if way != "stale" or batch is None:
            batch = written(student, asked, rng.random((lesson.BATCH, lesson.LONGEST)))
        loss = loss_of(way, *log_probs(student, batch))
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimiser.step()
        losses.append(loss.item())
        if len(losses) % EVERY == 0:
            place = len(losses) // EVERY
            found |= {
                f"loss {place - 1}": float(np.mean(losses[-EVERY:])),
                f"kl {place}": distance(student, 101 + update),
            }
    return found


EXPERIMENTS = (Experiment("lesson09-curves", ("fine", "stale", "k1", "own words", "shifted"), (0, 1, 2), run),)
