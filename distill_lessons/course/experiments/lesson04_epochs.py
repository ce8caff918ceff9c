"""Lesson 04, epochs: the same 48 examples three, five and ten times, each arm at its own best rate."""

from distill_lessons.course.claims import Claim, Comparison
from distill_lessons.course.experiments import lesson04, study
from distill_lessons.course.results import Experiment

EXAMPLES = 48


def learned(arm, seed, rate):
    """Arm "logits 5" sees the seed's 48 examples five times; the four-layer student of the teacher's layers."""
    epochs = int(arm.split()[1])
    rows = study.material()[2].select(study.chosen(seed, EXAMPLES) * epochs)
    steps = len(rows) // study.BATCH
    return study.learn(seed, rate, student=lesson04.cut, steps=steps, rows=rows, how=lesson04.STORED)


def find_rate(arm, seed):
    """An arm's best learning rate: `study.search`."""
    return study.search(lambda rate: learned(arm, seed, rate))


def run(arm, seed):
    """An arm at its best rate."""
    return study.run("lesson04-epochs-rates", arm, seed, lambda rate: learned(arm, seed, rate))


ARMS = tuple(f"logits {epochs}" for epochs in (3, 5, 10))

EXPERIMENTS = (
    Experiment("lesson04-epochs-rates", ARMS, (0,), find_rate),
    Experiment("lesson04-epochs", ARMS, (0, 1, 2), run, ("cpu", "cuda")),
)

CLAIMS = (
    Claim(
        "C25",
        "Three to five epochs suffice (ten gain less than 0.1 nats more)",
        "guide A; Beyer et al. 2022: patience pays",
        "04",
        (Comparison("48 examples", "", "lesson04-epochs", "kl", "logits 10", "logits 5", low=-0.1, unit="nats"),),
    ),
)
