"""Lesson 04, logit distillation: text, stored and online logits, alpha, temperature, depth, architecture, learning rate."""

import functools

import torch
from transformers import GPTNeoXConfig, GPTNeoXForCausalLM, LlamaConfig, LlamaForCausalLM

from distill_lessons.course.experiments import on_smollm, study
from distill_lessons.pairs import smollm

STORED, TEXT = {"targets": "sampled"}, {"alpha": 0.0}
LAYERS = 4  # of the students that are made from scratch


def with_embeddings(model):
    """A model of the teacher's width with the teacher's embedding, which is also its head, frozen; the rest as it was."""
    teacher = on_smollm.material()[0]
    table = model.get_input_embeddings().weight
    table.data.copy_(teacher.get_input_embeddings().weight)
    table.requires_grad_(False)
    return model.to(teacher.device)


def neox():
    """GPT-NeoX: layer norm, GELU, attention and MLP side by side; 16.0 M parameters in its layers."""
    config = GPTNeoXConfig(
        vocab_size=49152, hidden_size=576, intermediate_size=2304, num_hidden_layers=LAYERS, num_attention_heads=9,
        max_position_embeddings=512, tie_word_embeddings=True,
    )  # fmt: skip
    return with_embeddings(GPTNeoXForCausalLM(config))


def llama():
    """The teacher's own kind, made from scratch: 14.2 M parameters in its layers."""
    config = LlamaConfig(
        **{**on_smollm.material()[0].config.to_dict(), "num_hidden_layers": LAYERS, "layer_types": None}
    )
    return with_embeddings(LlamaForCausalLM(config))


def cut():
    """The same shape with the weights of the teacher's first two and last two layers."""
    return with_embeddings(smollm.student(on_smollm.material()[0], LAYERS))


ARMS = {
    "text": {"how": TEXT},
    "logits": {"how": STORED},
    "online": {},
    "naive top 8": {"how": {"targets": "naive_top_k", "k": 8}},
    "half": {"how": STORED | {"alpha": 0.5}},
    "smoothing": {"how": TEXT, "label_smoothing_factor": 0.1},
    "T2": {"how": {"temperature": 2.0}},
    "shallow text": {"how": TEXT, "depth": 6},
    "shallow logits": {"how": STORED, "depth": 6},
    "cut": {"how": STORED, "student": cut},
    "llama": {"how": STORED, "student": llama},
    "neox": {"how": STORED, "student": neox},
    "neox text": {"how": TEXT, "student": neox},
}
FAST = 3e-3  # the peak rate of the teacher's own pre-training (Allal et al. 2025)


def learned(arm, seed, rate):
    """A trained student of an arm, with its seconds."""
    return on_smollm.learn(seed, rate, **ARMS[arm])


def untrained(seed):
    """The ten-layer student as it begins, whatever the seed."""
    return on_smollm.score(smollm.student(on_smollm.material()[0], on_smollm.DEPTH))


def neox_untrained(seed):
    """GPT-NeoX as it begins."""
    torch.manual_seed(seed)
    return on_smollm.score(neox())


def at_rate(rate, seed):
    """The arm "logits" at a rate that was not searched."""
    student, seconds = learned("logits", seed, rate)
    return on_smollm.score(student) | {"seconds": seconds, "learning_rate": rate}


UNTRAINED = {"untrained": untrained, "neox untrained": neox_untrained}
FIXED = {name: functools.partial(at_rate, rate) for name, rate in {"fast": FAST, "slow": FAST / 32}.items()}

EXPERIMENTS = study.searched("lesson04-rates", "lesson04-arms", ARMS, learned, before=UNTRAINED, after=FIXED)

NAMES = {
    "kl": "KL to the teacher",
    "cross_entropy": "cross-entropy of the teacher's text",
    "text": "the teacher's text",
    "logits": "stored draws",
    "online": "teacher in the loop",
    "half": "half text, half stored draws",
    "smoothing": "text with label smoothing",
    "shallow text": "six layers on text",
    "shallow logits": "six layers on stored draws",
    "cut": "four of the teacher's layers",
    "llama": "Llama from scratch",
    "neox": "GPT-NeoX on stored draws",
    "neox text": "GPT-NeoX on text",
    "neox untrained": "GPT-NeoX untrained",
    "fast": f"rate {FAST:g}",
    "slow": f"rate {FAST / 32:.1g}",
}
