"""Lesson 08: the same matching of hidden states, right and reversed, with ten times its weight beside the logits."""

from distill_lessons.course.experiments import lesson08, on_smollm, study

ARMS = {
    "weight 10": {"how": {"features": lesson08.matching(lesson08.expected_map()), "feature_weight": 10.0}},
    "reversed 10": {"how": {"features": lesson08.matching(lesson08.reversed_map()), "feature_weight": 10.0}},
}


def learned(arm, seed, rate):
    """A trained student of an arm, with its seconds."""
    return on_smollm.learn(seed, rate, **ARMS[arm])


EXPERIMENTS = study.searched("lesson08-weight-rates", "lesson08-weight", ARMS, learned)

NAMES = {
    "kl": "KL to the teacher",
    "weight 10": "ten times the weight",
    "reversed 10": "reversed layers, ten times the weight",
}
