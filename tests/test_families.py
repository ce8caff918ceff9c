"""Other families of models: trained on the logits that they give themselves, or refused. The README's table is made here."""

import pytest
import torch
from test_training import collate, examples
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Cohere2Config,
    CohereConfig,
    FalconConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GPTNeoXConfig,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    NanoChatConfig,
    OPTConfig,
    Phi3Config,
    Qwen2Config,
    Qwen3Config,
    T5Config,
    T5ForConditionalGeneration,
)

from distill_lessons import evaluation, losses, models, runtime, training
from distill_lessons.models import students, unpadded
from distill_lessons.training.features import Matching

SIZES = {
    "vocab_size": 300, "hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
    "num_hidden_layers": 6, "max_position_embeddings": 64, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
}  # fmt: skip
ALIKE = {"num_key_value_heads": 4}
CONFIGS = {
    "Llama": (LlamaConfig, {}),
    "Qwen 2": (Qwen2Config, {}),
    "Qwen 3": (Qwen3Config, {"head_dim": 8}),
    "Mistral": (MistralConfig, {}),
    "GPT-NeoX": (GPTNeoXConfig, {}),
    "Gemma 2": (Gemma2Config, {"head_dim": 8, "final_logit_softcapping": 2.0, "query_pre_attn_scalar": 8}),
    "Gemma 3": (Gemma3TextConfig, {"head_dim": 8, "query_pre_attn_scalar": 8}),
    "Granite": (GraniteConfig, {"logits_scaling": 2.0}),
    "Cohere": (CohereConfig, ALIKE | {"logit_scale": 0.5}),
    "Cohere 2": (Cohere2Config, {"logit_scale": 0.25}),
    "Phi 3": (Phi3Config, {}),
    "GPT-2": (GPT2Config, {"resid_pdrop": 0.0, "embd_pdrop": 0.0, "attn_pdrop": 0.0}),
    "OPT": (OPTConfig, {"ffn_dim": 64, "word_embed_proj_dim": 32, "dropout": 0.0}),
    "Falcon": (FalconConfig, {}),
    "Bloom": (BloomConfig, {}),
    "NanoChat": (NanoChatConfig, ALIKE),
}
every_family = pytest.mark.parametrize("family", CONFIGS)


def make(family, seed=0):
    """A small random model of a family whose predictions are far from uniform: a uniform one hides most mistakes."""
    torch.manual_seed(seed)
    kind, changes = CONFIGS[family]
    config = kind(**SIZES | changes)
    model = AutoModelForCausalLM.from_config(config).float()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim > 1:
                weight.mul_(4)
    return model.to(runtime.device()).eval()


def own_logits(model, batch):
    """The logits at the response tokens, by the model alone: all positions, then shifted."""
    batch = {name: tensor.to(model.device) for name, tensor in batch.items()}
    full = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    logits, labels, mask = losses.align_next_token(full, batch["labels"])
    return logits[mask], labels[mask]


@every_family
def test_the_loss_and_its_gradient_are_those_of_the_models_own_logits(family, tmp_path):
    student, teacher, batch = make(family), make(family, seed=1), collate(examples(4))
    logits, labels = own_logits(student, batch)
    with torch.no_grad():
        expected_teacher, _ = own_logits(teacher, batch)
    expected = losses.distillation_loss(logits, expected_teacher, labels, alpha=0.6, temperature=2.0)
    wanted = torch.autograd.grad(expected.total, student.get_output_embeddings().weight)[0]
    assert expected.soft > 0.01
    trainer = training.DistillationTrainer(
        student,
        teacher,
        training.settings(1, 4, 0.0, output_dir=str(tmp_path), max_grad_norm=0.0),
        train_dataset=examples(4),
        alpha=0.6,
        temperature=2.0,
    )
    batch = {name: tensor.to(student.device) for name, tensor in batch.items()}
    value = trainer.compute_loss(student.train(), batch)
    assert value.item() == pytest.approx(expected.total.item(), rel=2e-4)
    value.backward()
    torch.testing.assert_close(student.get_output_embeddings().weight.grad, wanted, atol=2e-5, rtol=2e-3)
    trainer.train()
    entry = trainer.state.log_history[0]
    assert entry["loss"] == pytest.approx(expected.total.item(), rel=2e-3)
    assert entry["soft"] == pytest.approx(expected.soft.item(), rel=2e-3)
    assert entry["hard"] == pytest.approx(expected.hard.item(), rel=2e-3)


@every_family
def test_closeness_is_the_same_with_what_remember_kept(family):
    student, teacher, batches = make(family), make(family, seed=1), [collate(examples(4))]
    plain = evaluation.closeness(student, teacher, batches)
    kept = evaluation.closeness(student, teacher, evaluation.remember(teacher, batches))
    assert plain["kl"] > 0.01 and kept == pytest.approx(plain, rel=1e-3)


def test_a_last_step_that_is_not_known_is_refused(tmp_path):
    class Odd(type(make("Llama"))):
        def forward(self, *arguments, **options):
            output = super().forward(*arguments, **options)
            output.logits = 3 * output.logits
            return output

    student = make("Llama")
    student.__class__ = Odd
    with pytest.raises(ValueError, match="the student, Odd, does something to its logits after the head"):
        training.DistillationTrainer(student, alpha=0.0, train_dataset=examples(4))
    with pytest.raises(ValueError, match="the teacher, Odd, does something"):
        training.DistillationTrainer(make("Llama"), student, train_dataset=examples(4))


def test_an_encoder_is_refused():
    model = T5ForConditionalGeneration(T5Config(vocab_size=300, d_model=16, d_ff=32, d_kv=4, num_layers=1, num_heads=4))
    with pytest.raises(ValueError, match="T5ForConditionalGeneration is no causal language model"):
        training.DistillationTrainer(model, alpha=0.0, train_dataset=examples(4))


# --- the README's table -------------------------------------------------------------------------------------------------


def can(attempt):
    """✓ if it works, – if it is refused by name."""
    try:
        return "✓" if attempt() is not False else "–"
    except ValueError as error:
        assert len(str(error)) > 30
        return "–"


def row(family):
    model, batch = make(family), collate(examples(4))

    def cut():
        small = students.cut(model, 4)
        states = models.response_states(small, batch, lambda states: states)
        logits, _ = own_logits(small, batch)
        torch.testing.assert_close(models.logits_of(small, states), logits, atol=1e-3, rtol=1e-3)

    def matched():
        matching = Matching({1: 2, 6: 6}, 32, 32)
        found = models.response_states(model, batch, lambda states, inner: inner, layers=(1, 2, 6))
        assert matching(found, found, torch.zeros(len(found[1]), dtype=torch.long)) > 0

    def adapted():
        adapted = training.lora(make(family), rank=2)
        models.check_head(adapted)
        assert any("lora_" in name for name, _ in adapted.named_parameters())

    checks = {
        "trained right": lambda: models.check_head(model),
        "adapters": adapted,
        "student of its layers": cut,
        "hidden states": matched,
        "padding left out": lambda: unpadded.possible(model, batch, batch["labels"] != -100),
    }
    return {name: can(check) for name, check in checks.items()}


def table():
    rows = {family: row(family) for family in CONFIGS}
    names = list(next(iter(rows.values())))
    lines = [f"| family | {' | '.join(names)} |", "|---" * (len(names) + 1) + "|"]
    return "\n".join([*lines, *(f"| {family} | {' | '.join(found.values())} |" for family, found in rows.items())])


def test_the_readme_says_which_families_can_what():
    made = table()
    readme = (runtime.REPOSITORY / "README.md").read_text(encoding="utf-8")
    assert made in readme, f"paste this into the README:\n{made}"
