"""The checks' words name the mistake, an answer that changes its inputs is told so, and right answers leave no doubt."""

import importlib

import numpy as np
import pytest
import torch

from distill_lessons.course import exercises
from distill_lessons.course.exercises import common

# What somebody answers, and words that must stand in what is printed.
WORDS = [
    ("0.1", "agreement_of_booleans", ".float()"),
    ("0.3", "kept_as_floats", "of type int"),
    ("0.3", "kept_in_a_float_tensor", "of type int"),
    ("0.4", "kl_rolled_over_rows", "wraps round"),
    ("0.4", "kl_flat_and_shifted", "wraps round"),
    ("0.4", "kl_of_a_logarithm", "log_softmax"),
    ("0.4", "kl_sequence_by_sequence", "each sequence first"),
    ("4.1", "lost_by_threshold", "tie with the kth"),
    ("4.2", "tail_of_the_teacher_clamped", "clamp the teacher's rest"),
    ("4.2", "tail_clamped_early", "logsumexp"),
    ("4.3", "draws_one_more", "int(x) + 1"),
    ("4.4", "train_scatter", "not the id"),
    ("4.4", "train_commonest_only", "surer than the teacher"),
    ("4.4", "train_every_token_the_same", "by their counts"),
    ("4.5", "choose_skips_broken_seeds", "one of its seeds diverged"),
    ("4.5", "choose_lowest_mean", "the lower is safer"),
    ("4.5", "choose_kl", "none of the rates tried"),
    ("5.1", "example_shifts", "shift the labels"),
    ("5.1", "example_learns_nothing", "nothing is learned"),
    ("5.1", "example_learns_padding", "padding is learned"),
    ("5.1", "example_never_ends", "belongs to it"),
    ("5.1", "example_always_ends", "the answer was cut"),
    ("5.2", "pad_float_ids", "whole numbers"),
    ("5.3", "diagnose_forgets_prompts", "counts what is easy"),
    ("5.4", "choose_straight", "over their logarithm"),
    ("5.5", "learn_cold", "another distribution"),
    ("5.5", "learn_without_ends", "ends are learned"),
    ("5.5", "learn_without_the_first", "first"),
    ("7.2", "keep_skips_the_split", "the first part"),
    ("7.3", "bad_digit_by_last_numbers", "the slip is in the sum"),
    ("7.4", "buy_by_two_points", "is ahead of it on every seed"),
    ("7.4", "buy_always_clear", "not ahead on every seed"),
    ("7.5", "judge_divides_by_zero", "Of 5 rows like"),
    ("7.5", "judge_zero_if_undefined", "return None"),
    ("8.1", "map_last_minus_one", "goes into the head"),
    ("8.2", "state_rolled_over_texts", "wraps round"),
    ("8.3", "explained_about_the_training_mean", "mean of the training set"),
    ("8.3", "explained_not_below_zero", "below 0"),
    ("8.5", "diagnose_without_pull", "does not pull"),
    ("8.6", "train_wrong_sign", "with the right sign"),
    ("12.2", "ratio_with_draws_of_its_own", "draw the items yourself"),
    ("12.2", "ratio_mean_of_draws", "mean of the draws"),
    ("12.2", "ratio_normal", "± 1.96"),
    ("12.4", "latencies_without_the_slowest", "dropped the slowest"),
    ("12.6", "items_negative_z", "negative"),
    ("12.6", "items_without_gain_inside", "d − g², not d"),
]
CHANGES = [
    ("0.4", "kl_changes_the_labels"),
    ("4.1", "lost_in_place"),
    ("4.2", "tail_in_place"),
    ("4.5", "choose_in_place"),
    ("5.1", "example_appends_in_place"),
    ("5.2", "pad_in_place"),
    ("5.3", "diagnose_in_place"),
    ("5.4", "choose_in_place"),
    ("7.2", "keep_removes_in_place"),
    ("7.5", "judge_drops_rows_in_place"),
    ("8.1", "map_in_place"),
    ("8.2", "state_changes_the_labels"),
    ("8.4", "read_changes_what_it_gets"),
    ("12.1", "ece_changes_the_confidence"),
    ("12.4", "latencies_sorts_a_view"),
    ("12.5", "win_rate_joins_in_place"),
]


def answer(exercise, name):
    return getattr(importlib.import_module(f"exercises_{int(exercise.split('.')[0]):02d}"), name)


@pytest.mark.parametrize("exercise, name, words", WORDS)
def test_the_mistake_is_named(exercise, name, words):
    for _ in range(3):
        assert words in exercises.verdict(exercise, answer(exercise, name))


def test_the_mistake_is_named_on_every_draw_though_two_may_come_to_the_same_number_on_some():
    for _ in range(500):  # such a draw comes once in about 150
        assert "d − g², not d" in exercises.verdict("12.6", answer("12.6", "items_without_gain_inside"))


@pytest.mark.parametrize("exercise, name", CHANGES)
def test_an_answer_that_changes_its_inputs_is_told_so(exercise, name):
    assert "Your function changes the " in exercises.verdict(exercise, answer(exercise, name))


@pytest.mark.parametrize("lesson", ["00", "04", "05", "07", "08", "12"])
def test_nobody_is_sent_away_with_see_both_hints(lesson):
    module = importlib.import_module(f"exercises_{lesson}")
    for exercise, answers in module.WRONG.items():
        for wrong in answers:
            told = exercises.verdict(exercise, wrong)
            assert "See both hints" not in told and "See hint" not in told


@pytest.mark.parametrize(
    "given, change, kind",
    [
        (torch.ones(2), lambda x: x.mul_(2), "tensor"),
        (torch.ones(2, requires_grad=True), lambda x: x.mul_(2), "tensor"),
        (np.ones(2), lambda x: x.sort() or x.fill(2), "array"),
        ([[1], [2]], lambda x: x[0].append(3), "list"),
        ({"a": 1.0}, lambda x: x.pop("a"), "dict"),
    ],
)
def test_unchanged_sees_every_kind_of_change(given, change, kind):
    with pytest.raises(exercises.Wrong, match=f"changes (the|a) {kind}"):
        common.unchanged(lambda first, second: change(second))(1, given)


def test_unchanged_hands_back_what_came_keeps_the_gradient_and_lets_other_errors_through():
    z, labels = torch.ones(2, requires_grad=True), [1, 2]
    value = common.unchanged(lambda z, labels: (3 * z).sum() + sum(labels))(z, labels)
    value.backward()
    assert value.item() == 9 and z.grad.tolist() == [3, 3]
    with pytest.raises(RuntimeError, match="shapes"):
        common.unchanged(lambda z: z @ torch.ones(3, 3))(torch.ones(2, 2))
    scores = {1: float("nan")}
    assert common.unchanged(lambda scores: 5)(scores) == 5  # nan is not equal to itself, and nobody changed it


def test_nearest_takes_the_nearest_names_all_that_are_equally_near_and_none_that_is_far():
    mistakes = [(1.00009, "far"), (1.00001, "near"), (2.0, "other"), (float("nan"), "never"), (torch.ones(2), "shape")]
    assert common.nearest(1.0, mistakes, "none") == "near"
    assert common.nearest(1.5, mistakes, "none") == "none"
    assert common.nearest(1.0, [*mistakes, (0.99999, "beside"), (1.00001, "near")], "none", 1e-3) == "near Or: beside"
    assert common.nearest(torch.tensor(2.0, requires_grad=True), mistakes, "none") == "other"
    assert common.nearest([1.0, 1.0], mistakes, "none") == "shape"
    assert common.nearest(1.0, [], "none") == "none"
