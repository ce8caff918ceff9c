"""Lesson 08, feature distillation: hidden states alone and beside logits, layer maps, and students of another width."""

import functools

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from distill_lessons import runtime
from distill_lessons.course import results
from distill_lessons.course.experiments import on_smollm, study
from distill_lessons.models.students import kept_layers
from distill_lessons.training import features
from distill_lessons.training.features import Matching

DEPTH, TEACHER_DEPTH, WIDTH, NARROW = on_smollm.DEPTH, 30, 576, 288


def expected_map():
    """Each state of the cut student to the state that its next layer received in the teacher."""
    kept = kept_layers(TEACHER_DEPTH, DEPTH)
    return {i: kept[i] for i in range(1, DEPTH)} | {DEPTH: TEACHER_DEPTH}


def reversed_map():
    """A wrong map: early states to late ones and the other way round; only the last one is right."""
    right = expected_map()
    return {i: right[DEPTH - i] for i in range(1, DEPTH)} | {DEPTH: TEACHER_DEPTH}


def learned_map():
    """Each state to a learned mixture of all teacher states up to three layers from the expected one."""
    right = expected_map()
    near = {i: [t for t in range(right[i] - 3, right[i] + 4) if 1 <= t < TEACHER_DEPTH] for i in right if i < DEPTH}
    return near | {DEPTH: TEACHER_DEPTH}


def matching(layers, width=WIDTH, kind="cosine"):
    """A function that makes a fresh `Matching`."""
    return functools.partial(Matching, layers, width, WIDTH, kind)


def narrow():
    """Half the teacher's width, made from scratch: none of the teacher's weights fit."""
    config = LlamaConfig(
        vocab_size=49152, hidden_size=NARROW, intermediate_size=768, num_hidden_layers=DEPTH, num_attention_heads=9,
        num_key_value_heads=3, head_dim=32, tie_word_embeddings=True, rope_theta=100000.0,
    )  # fmt: skip
    return LlamaForCausalLM(config).to(on_smollm.material()[0].device)


LAST = features.last_map(DEPTH, TEACHER_DEPTH)
ARMS = {
    "states": {"how": {"features": matching(expected_map()), "output_weight": 0.0}},
    "both": {"how": {"features": matching(expected_map())}},
    "both last": {"how": {"features": matching(LAST)}},
    "both learned": {"how": {"features": matching(learned_map())}},
    "both reversed": {"how": {"features": matching(reversed_map())}},
    "narrow logits": {"student": narrow},
    "narrow both": {"student": narrow, "how": {"features": matching(expected_map(), NARROW)}},
    "narrow relations": {"student": narrow, "how": {"features": matching(expected_map(), NARROW, "relation")}},
}


def learned(arm, seed, rate):
    """A trained student of an arm, with its seconds."""
    return on_smollm.learn(seed, rate, **ARMS[arm])


def logits_alone(seed):
    """Lesson 04's "online", the same run, as recorded on the same device."""
    table = results.load("lesson04-arms", results.recorded_folder(runtime.device().type))
    return table[(table.arm == "online") & (table.seed == seed)].set_index("metric").value.to_dict()


def narrow_untrained(seed):
    """The narrow student as it begins."""
    torch.manual_seed(seed)
    return on_smollm.score(narrow())


BESIDE = {"logits": logits_alone, "narrow untrained": narrow_untrained}

EXPERIMENTS = study.searched("lesson08-rates", "lesson08-arms", ARMS, learned, before=BESIDE)

NAMES = {
    "kl": "KL to the teacher",
    "logits": "outputs alone",
    "both": "outputs and states",
    "both last": "last layers",
    "both reversed": "reversed layers",
    "narrow logits": "outputs alone",
    "narrow both": "outputs and projected states",
    "narrow relations": "outputs and relations",
}
