"""Lesson 15 on language: what a draft is, how it is judged, and thoughts that are cut."""

import numpy as np
import pytest
import torch

from distill_lessons.course.experiments import lesson15_language as lesson
from distill_lessons.course.experiments import lesson15_thoughts as thoughts
from distill_lessons.course.experiments import study
from distill_lessons.pairs import multiplication as pair
from distill_lessons.pairs import smollm_corpus

# --- Drafts -----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def draft():
    return lesson.new_draft().eval()


def test_the_draft_has_four_layers_and_scores_the_most_frequent_tokens_only(draft):
    teacher, known = lesson.on_corpus.material()[0], lesson.known()
    assert len(draft.model.layers) == 4 and len(known.unique()) == lesson.KNOWN
    counts = lesson.frequencies()
    others = counts.clone()
    others[known] = 0
    assert counts[known].min() >= others.max()
    ids = torch.tensor([[5, 77, 1234, 9]])
    with torch.no_grad():
        states = draft.model(input_ids=ids).last_hidden_state
        full, all_of_it = draft(input_ids=ids).logits, states @ teacher.get_output_embeddings().weight.T
    assert full.shape == all_of_it.shape and torch.allclose(full[..., known], all_of_it[..., known], atol=1e-3)
    others = torch.ones(full.shape[-1], dtype=torch.bool).index_fill(0, known, False)
    assert (full[..., others] == -torch.inf).all()


def test_only_layers_learn(draft):
    learned = {name for name, weight in draft.named_parameters() if weight.requires_grad}
    assert learned and all(name.startswith(("model.layers", "model.norm")) for name in learned)


def test_the_losses_are_cross_entropies_without_what_the_draft_cannot_say(draft):
    batch = lesson.batches(900, 300)[0]
    with torch.no_grad():
        log_q = lesson.response_logits(draft, batch)[0].log_softmax(-1)
        ours = [lesson.loss_of(draft, batch, arm).item() for arm in lesson.ARMS]
    said = batch["labels"][:, 1:][batch["labels"][:, 1:] != -100]
    text = -log_q[torch.arange(len(said)), said]
    draws = -(batch["target_weights"] * log_q.gather(-1, batch["target_ids"])).nan_to_num(0, 0, 0)
    expected = [each.sum().item() / len(said) for each in (text[text < torch.inf], draws)]
    assert len(text[text == torch.inf]) > 0 and ours == pytest.approx(expected, rel=0.02)


def test_accepted_is_one_minus_total_variation_in_expectation():
    generator = torch.Generator().manual_seed(3)
    p, q = (torch.distributions.Dirichlet(torch.full((9,), 0.5)).sample((40,)) for _ in range(2))
    found = lesson.accepted(q, p, 20_000, generator)
    assert torch.allclose(found, torch.minimum(p, q).sum(-1), atol=0.02)
    assert lesson.accepted(p, p, 50, generator).tolist() == [1.0] * 40
    apart = torch.eye(9)[:2]
    assert lesson.accepted(apart[:1], apart[1:], 50, generator).tolist() == [0.0]


def test_scores_are_a_number_a_prompt(monkeypatch):
    monkeypatch.setattr(lesson, "PROMPTS", 4)
    lesson.spoken.cache_clear()
    found = lesson.scored(lambda batch: lesson.spoken("test")[0][1], "test", 0)  # the teacher drafts for itself
    lesson.spoken.cache_clear()
    assert {len(values) for values in found.values()} == {4} == {len(lesson.groups())}
    assert np.allclose(found["room"], 0, atol=1e-6)
    assert np.allclose(np.subtract(found["accepted"], found["shared"]), found["accepted less shared"])


def test_prompts_are_spread_over_a_split():
    for split in ("validation", "test"):
        ids = [row["id"] for row in smollm_corpus.rows(split)]
        places = [ids.index(row["id"]) for row in lesson.asked(split)]
        assert len(places) > 90 and places == sorted(set(places)) and places[-1] > 0.9 * len(ids)
    assert not {row["topic"] for row in lesson.asked("test")} & {row["topic"] for row in smollm_corpus.rows("train")}


def test_the_grid_is_one_for_both_arms():
    search, runs = lesson.EXPERIMENTS
    assert len(search.arms) == 8 and set(search.seeds) == set(study.SEARCH_SEEDS)
    assert not set(search.seeds) & set(runs.seeds) and len(runs.seeds) == 5


# --- Thoughts ---------------------------------------------------------------------------------------------------------


def test_a_cut_thought_is_a_long_ones_beginning_and_the_answer():
    assert thoughts.cut(23, 47) == "23*40+23*7;23*4=80+12=92;23*40=920;=1081"
    for a, b in pair.problems("test"):
        text, whole = thoughts.cut(a, b), pair.detailed(a, b)
        assert len(text) == thoughts.LIMIT < len(whole) and pair.is_right(a, b, text)
        assert whole.startswith(text.rpartition("=")[0])


def test_arms_see_equal_tokens():
    seen = {
        arm: thoughts.steps_for(arm) * thoughts.on_multiplication.tokens_of(thoughts.texts(arm))
        for arm in thoughts.ARMS
    }
    assert max(seen.values()) < 1.01 * min(seen.values())
    assert thoughts.steps_for("long") < thoughts.steps_for("cut") < thoughts.steps_for("short") == thoughts.STEPS
