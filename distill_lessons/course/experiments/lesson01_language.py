"""Lesson 01, temperature, on the language model: at which T does a student come closest to its teacher?

Two steps. First each arm tries several learning rates on one seed, scored on the validation prompts. Then it runs five
seeds at its own best rate, scored on the test prompts. Every score is at T=1, whatever the student was trained at.
"""

from distill_lessons.course.experiments import language, study

STEPS = 20
ARMS = ("text", "T1", "T2", "T3", "T5")
RATES = (4e-4, 8e-4, 1.6e-3, 3.2e-3, 6.4e-3)


def learned(arm, seed, rate):
    """Arm "T3" is T² times the KL at T=3, and nothing else; "text" the cross-entropy on the teacher's answers."""
    if arm == "text":
        return language.distil(seed, STEPS, alpha=0.0, learning_rate=rate)
    return language.distil(seed, STEPS, temperature=float(arm[1:]), learning_rate=rate)


EXPERIMENTS = study.on_a_grid(
    "lesson01-rates", "lesson01-language", ARMS, RATES, learned, language.held_out, seeds=(0, 1, 2, 3, 4)
)

NAMES = {"kl": "KL to the teacher", "text": "the teacher's text", **{f"T{t}": f"T={t}" for t in (1, 2, 3, 5)}}
