"""Lesson 04, epochs: the same 48 examples three, five and ten times, each arm at its own best rate."""

from distill_lessons.course.experiments import lesson04, on_smollm, study

EXAMPLES = 48


def learned(arm, seed, rate):
    """Arm "logits 5" sees the seed's 48 examples five times; the four-layer student of the teacher's layers."""
    epochs = int(arm.split()[1])
    rows = on_smollm.material()[2].select(on_smollm.chosen(seed, EXAMPLES) * epochs)
    steps = len(rows) // on_smollm.BATCH
    return on_smollm.learn(seed, rate, student=lesson04.cut, steps=steps, rows=rows, how=lesson04.STORED)


EXPERIMENTS = study.searched(
    "lesson04-epochs-rates", "lesson04-epochs", [f"logits {epochs}" for epochs in (3, 5, 10)], learned
)

NAMES = {"kl": "KL to the teacher", **{f"logits {epochs}": f"{epochs} epochs" for epochs in (3, 5, 10)}}
