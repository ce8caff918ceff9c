"""On-policy distillation: writing against a loop without cache or padding, estimators by enumeration, the trainer
against a plain loop and TRL's loss, blocks, resume, two processes."""

import ast
import copy
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch
from helpers import peaked
from peft import LoraConfig
from test_pairs import small_llama
from test_training import collate, examples
from transformers import GPT2Config, GPT2LMHeadModel, TrainerCallback, get_cosine_schedule_with_warmup

from distill_lessons import losses, runtime, training
from distill_lessons.losses import IGNORE
from distill_lessons.models import response_logits, students
from distill_lessons.pairs import smollm
from distill_lessons.training import estimators, onpolicy

ENDS = list(range(3, 40))  # of 300 tokens, so that responses end early and at different places


def teacher_of(ends=ENDS, factor=3.0):
    model = peaked(small_llama(), factor)
    model.config.eos_token_id = model.generation_config.eos_token_id = ends
    return model


def student_of(teacher=None):
    return students.cut(teacher or teacher_of(), 4)


def gpt2():
    torch.manual_seed(0)
    return GPT2LMHeadModel(GPT2Config(vocab_size=300, n_embd=32, n_layer=2, n_head=2, n_positions=64, attn_pdrop=0.5))


def trainer_of(tmp_path, rows=None, student=None, teacher=None, arguments=None, kind=onpolicy.OnPolicyTrainer, **how):
    teacher = teacher or teacher_of()
    how = {"max_new_tokens": 5} | how if kind is onpolicy.OnPolicyTrainer else how
    args = {"steps": 3, "batch_size": 4, "learning_rate": 1e-2, "output_dir": str(tmp_path)} | (arguments or {})
    return kind(
        student or student_of(teacher), teacher, training.settings(**args), train_dataset=rows or examples(24), **how
    )


def run(trainer, **options):
    """Train; returns the entries of the log that have a loss."""
    trainer.train(**options)
    return [entry for entry in trainer.state.log_history if "loss" in entry]


def seen_by(trainer):
    """Whatever batch the trainer's loss gets, and the student as it is then, in a list that fills while it trains."""
    seen, own = [], trainer.compute_loss

    def watched(model, inputs, *arguments, **options):
        seen.append(dict(inputs) | {"student": copy.deepcopy(trainer.accelerator.unwrap_model(model))})
        return own(model, inputs, *arguments, **options)

    trainer.compute_loss = watched
    return seen


def of(entries, name):
    return [entry[name] for entry in entries]


# --- writing ----------------------------------------------------------------------------------------------------------


def by_hand(model, prompt, ends, uniforms, temperature):
    """One response, without cache, batch or padding."""
    ids, log_probs = list(prompt), []
    for number in uniforms:
        with torch.no_grad():
            logits = model(torch.tensor([ids], device=model.device)).logits[0, -1].double().cpu()
        p = (logits / (temperature or 1.0)).softmax(-1)
        token = int(p.argmax()) if temperature == 0 else int((p.cumsum(-1) <= number * p.sum()).sum())
        ids.append(token)
        log_probs.append(math.log(p[token]))
        if token in ends:
            break
    return ids[len(prompt) :], log_probs


PROMPTS = [[7, 8, 9, 10, 11], [50], [60, 61, 62], [70, 71]]


@pytest.mark.parametrize("temperature", [1.0, 0.6, 0])
@pytest.mark.parametrize("make", [lambda: peaked(small_llama(), 3.0), gpt2])
def test_what_is_written_is_what_a_loop_without_cache_and_padding_writes(make, temperature):
    model = make().to(runtime.device()).eval()
    numbers = onpolicy.uniform(3, 0, range(4), 8)
    ends = list(range(60 if temperature else 0))
    written = onpolicy.write(model, PROMPTS, ends, numbers, temperature)
    expected = [by_hand(model, prompt, ends, row, temperature) for prompt, row in zip(PROMPTS, numbers)]
    assert [each.ids for each in written] == [ids for ids, _ in expected]
    for each, (_, log_probs) in zip(written, expected):
        assert each.log_probs == pytest.approx(log_probs, abs=1e-4)
    if temperature:
        assert len({len(each.ids) for each in written}) > 1  # rows ended at different places
        assert all(token not in ends for each in written for token in each.ids[:-1])


def test_a_model_in_training_writes_without_dropout_and_is_left_as_it_was():
    model = gpt2().to(runtime.device()).train()
    model.transformer.h[1].eval()
    modes = [module.training for module in model.modules()]
    numbers = onpolicy.uniform(0, 0, range(4), 6)
    first, second = (onpolicy.write(model, PROMPTS, [], numbers) for _ in range(2))
    assert first == second == onpolicy.write(copy.deepcopy(model).eval(), PROMPTS, [], numbers)
    assert [module.training for module in model.modules()] == modes
    assert all(weight.grad is None and weight.requires_grad for weight in model.parameters())


def test_a_rows_text_does_not_depend_on_its_neighbours_nor_on_who_asks():
    model = peaked(small_llama(), 3.0).to(runtime.device())
    together = onpolicy.write(model, PROMPTS, ENDS, onpolicy.uniform(1, 5, range(4), 6))
    alone = [onpolicy.write(model, PROMPTS[i : i + 1], ENDS, onpolicy.uniform(1, 5, [i], 6))[0] for i in range(4)]
    assert [each.ids for each in together] == [each.ids for each in alone]
    numbers = [onpolicy.uniform(*key, 50) for key in ((1, 5, [0]), (1, 5, [1]), (1, 6, [0]), (2, 5, [0]))]
    assert len({tuple(each[0]) for each in numbers}) == 4


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_tokens_are_drawn_from_the_models_own_distribution(temperature):
    model, count = peaked(small_llama(), 30.0).to(runtime.device()).eval(), 4000
    even = (np.arange(count)[:, None] + 0.5) / count  # a stratified draw: every token as often as its probability says
    written = onpolicy.write(model, [PROMPTS[0]] * count, [], even, temperature)
    drawn = np.bincount([each.ids[0] for each in written], minlength=300)
    with torch.no_grad():
        logits = model(torch.tensor([PROMPTS[0]], device=model.device)).logits[0, -1]
    expected = count * (logits.double() / temperature).softmax(-1).cpu().numpy()
    assert np.abs(drawn - expected).max() <= 1.1


def test_lent_weights_are_gone_afterwards():
    model = small_llama().to(runtime.device())  # its head is its embedding
    before, dtypes = {name: weight.clone() for name, weight in model.state_dict().items()}, []

    def look(module, arguments):
        dtypes.append((module.weight.dtype, model.get_input_embeddings().weight.dtype))

    handle, kind = model.get_output_embeddings().register_forward_pre_hook(look), model.device.type
    with torch.autocast(kind, dtype=torch.bfloat16):
        rounded = onpolicy.write(model, PROMPTS, [], onpolicy.uniform(0, 0, range(4), 3), dtype=torch.bfloat16)
    handle.remove()
    assert set(dtypes) == {(torch.bfloat16, torch.float32)}
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())
    assert model.get_output_embeddings().weight is model.get_input_embeddings().weight
    exact = onpolicy.write(model, PROMPTS, [], onpolicy.uniform(0, 0, range(4), 3))
    assert rounded[0].log_probs[0] == pytest.approx(exact[0].log_probs[0], abs=0.05)


def test_the_prompt_is_what_stands_before_the_first_label_on_either_side_of_the_padding():
    rows = [{"input_ids": [5, 6, 7, 8], "labels": [-100, -100, 7, 8]}, {"input_ids": [9, 4], "labels": [-100, -100]}]
    right = collate(rows)
    left = {name: tensor.clone() for name, tensor in right.items()}
    for name in left:
        left[name][1] = left[name][1].roll(2)
    assert onpolicy.prompts_of(right) == onpolicy.prompts_of(left) == [[5, 6], [9, 4]]
    with pytest.raises(ValueError, match="a prompt is empty"):
        onpolicy.write(small_llama(), [[3], []], [], onpolicy.uniform(0, 0, range(2), 3))


# --- estimators, by enumeration ---------------------------------------------------------------------------------------


def pair(size=7, apart=1.0, seed=0):
    generator = torch.Generator().manual_seed(seed)
    student, noise = (torch.randn(size, generator=generator, dtype=torch.float64) for _ in range(2))
    return student.requires_grad_(), student.detach() + apart * noise


def mean_gradient(estimate, student, teacher):
    """The mean over the student's draws of the gradient of an estimate as a loss: every token, weighed by q."""
    total = torch.zeros_like(student)
    for token, weight in enumerate(student.detach().softmax(-1)):
        value = estimate(student.log_softmax(-1)[token], teacher.log_softmax(-1)[token])
        total += weight * torch.autograd.grad(value, student)[0]
    return total


def moments(estimate, student, teacher):
    q = student.detach().softmax(-1)
    values = estimate(student.detach().log_softmax(-1), teacher.log_softmax(-1))
    mean = (q * values).sum().item()
    return mean, (q * (values - mean) ** 2).sum().item()


def test_mean_and_variance_of_the_one_token_estimates():
    student, teacher = pair(apart=0.3)
    exact = losses.reverse_kl(student, teacher).item()
    (m1, v1), (m2, v2), (m3, v3) = (moments(getattr(estimators, k), student, teacher) for k in ("k1", "k2", "k3"))
    assert m1 == pytest.approx(exact, rel=1e-9) and m3 == pytest.approx(exact, rel=1e-9)
    assert abs(m2 - exact) > 1e-4 and m2 == pytest.approx(exact, rel=0.2)  # biased, and close where the two are close
    assert v2 < v1 / 10 and v3 < v1 / 10
    far = pair(apart=3.0)
    assert abs(moments(estimators.k2, *far)[0] / losses.reverse_kl(*far).item() - 1) > 0.5
    every = estimators.k3(far[0].detach().log_softmax(-1), far[1].log_softmax(-1))
    assert every.min() >= 0 and estimators.k1(far[0].detach().log_softmax(-1), far[1].log_softmax(-1)).min() < 0


@pytest.mark.parametrize("apart", [0.3, 2.0])
def test_the_gradient_that_each_estimate_has_in_the_mean(apart):
    student, teacher = pair(apart=apart)
    (reverse,) = torch.autograd.grad(losses.reverse_kl(student, teacher), student)
    (forward,) = torch.autograd.grad(losses.forward_kl(student, teacher), student)
    torch.testing.assert_close(mean_gradient(estimators.k1, student, teacher), torch.zeros_like(student))
    torch.testing.assert_close(mean_gradient(estimators.k2, student, teacher), reverse)
    torch.testing.assert_close(mean_gradient(estimators.k3, student, teacher), forward)
    assert (forward - reverse).abs().max() > 0.05 * reverse.abs().max()

    def rewarded(log_q, log_p):  # k1 as a reward
        return estimators.k1(log_q, log_p).detach() * log_q

    torch.testing.assert_close(mean_gradient(rewarded, student, teacher), reverse)


def test_the_likeliest_tokens_and_a_rest_are_a_lower_bound():
    student, teacher = pair(40, apart=2.0)
    exact = losses.reverse_kl(student, teacher).item()
    values = [estimators.top_k_reverse_kl(student.detach()[None], teacher[None], k).item() for k in (1, 5, 20, 40)]
    assert values == sorted(values) and values[-1] == pytest.approx(exact, rel=1e-5) and 0 < values[0] < 0.9 * exact
    q, p = student.detach().softmax(-1), teacher.softmax(-1)
    top = q.topk(5).indices
    q, p = (torch.cat([each[top], 1 - each[top].sum(-1, keepdim=True)]) for each in (q, p))
    assert values[1] == pytest.approx((q * (q / p).log()).sum().item(), rel=1e-5)
    sure = torch.tensor([[200.0, 0.0, -200.0]], requires_grad=True)
    value = estimators.top_k_reverse_kl(sure, torch.tensor([[0.0, 100.0, 0.0]]), 1).sum()
    assert value.item() == pytest.approx(100, rel=1e-4) and torch.autograd.grad(value, sure)[0].isfinite().all()
    for k in (0, 4):
        with pytest.raises(ValueError, match=f"between 1 and the vocabulary's 3, and it is {k}"):
            estimators.top_k_reverse_kl(sure, sure, k)
    with pytest.raises(ValueError, match="one shape"):
        estimators.k1(torch.zeros(2), torch.zeros(3))


def chains(seed):
    """Log-probabilities of the first token ``[V]`` and of the second after each first ``[V, V]``."""
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((4,), (4, 4))]


def test_prefix_ratios_make_old_texts_count_as_new_ones():
    then, now, teacher = ([each.log_softmax(-1) for each in chains(seed)] for seed in (0, 1, 2))

    def second(model):  # the divergence at the second token, after each first one
        return (model[1].exp() * (model[1] - teacher[1])).sum(-1)

    new = (now[0].exp() * second(now)).sum()
    weighed = unweighed = 0.0
    for first in range(4):
        for other in range(4):
            chance = (then[0][first] + then[1][first, other]).exp()
            texts = [torch.stack([each[0][first], each[1][first, other]])[None] for each in (now, then)]
            ratios = estimators.prefix_ratios(*texts, torch.ones(1, 2, dtype=torch.bool))
            assert ratios[0, 0] == 1
            weighed += chance * ratios[0, 1] * second(now)[first]
            unweighed += chance * second(now)[first]
    assert weighed.item() == pytest.approx(new.item(), rel=1e-9)
    assert abs(unweighed.item() / new.item() - 1) > 0.05
    padded = estimators.prefix_ratios(torch.tensor([[9.0, 2.0, 3.0]]), torch.ones(1, 3), torch.tensor([[0, 1, 1]]) == 1)
    assert padded.tolist() == [[1.0, 1.0, pytest.approx(math.e)]]


def test_what_the_gradient_leaves_out():
    """The loss at each position on the student's own text lacks one part of the sequence's KL: how the first token
    moves where the second is asked."""
    start, (p1, p2) = chains(0), (each.log_softmax(-1) for each in chains(1))
    free = [each.clone().requires_grad_() for each in start]
    q1, q2 = (each.log_softmax(-1) for each in free)
    at_first, at_second = (q1.exp() * (q1 - p1)).sum(), (q2.exp() * (q2 - p2)).sum(-1)
    whole = torch.autograd.grad(at_first + (q1.exp() * at_second).sum(), free, retain_graph=True)
    taken = torch.autograd.grad(at_first + (q1.exp().detach() * at_second).sum(), free, retain_graph=True)
    left = torch.autograd.grad((q1.exp() * at_second.detach()).sum(), free[0])[0]
    torch.testing.assert_close(whole[0], taken[0] + left)
    torch.testing.assert_close(whole[1], taken[1])
    assert left.norm() > 0.1 * whole[0].norm()


# --- the trainer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_it_learns_like_a_plain_loop(tmp_path, beta):
    trainer = trainer_of(tmp_path, beta=beta)
    logged = run(trainer)
    device = runtime.device()
    teacher, student = teacher_of().to(device).eval(), student_of().to(device).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0)
    schedule, rows = get_cosine_schedule_with_warmup(optimizer, 5, 3), examples(24)
    for step, entry in enumerate(logged):
        texts = []
        for place, row in enumerate(rows[4 * step : 4 * step + 4]):
            prompt = [token for token, label in zip(row["input_ids"], row["labels"]) if label == IGNORE]
            numbers = np.random.default_rng([0, step, place + 1]).random(5)
            response, _ = by_hand(student.eval(), prompt, ENDS, numbers, 1.0)
            texts.append({"input_ids": prompt + response, "labels": [IGNORE] * len(prompt) + response})
        batch = collate(texts)
        logits, _ = response_logits(student.train(), batch)
        with torch.no_grad():
            target, _ = response_logits(teacher, batch)
        q, p = logits.log_softmax(-1), target.log_softmax(-1)
        m = (beta * p.exp() + (1 - beta) * q.exp()).log()
        forward, reverse = (
            (p.exp() * (p - (m if beta == 0.5 else q))).sum(-1),
            (q.exp() * (q - (m if beta == 0.5 else p))).sum(-1),
        )
        loss = {0.0: forward, 0.5: (forward + reverse) / 2, 1.0: reverse}[beta].mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step(), schedule.step(), optimizer.zero_grad()
        assert entry["loss"] == pytest.approx(loss.item(), abs=1e-4)
        assert entry["student"] == 1 and abs(entry["stale"]) < 1e-6
    for one, other in zip(trainer.model.parameters(), student.parameters()):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("beta", [0.0, 0.5, 1.0])
def test_its_loss_is_trls_on_the_same_tokens_and_mask(tmp_path, beta):
    gkd = pytest.importorskip("trl.experimental.gkd", reason="trl is in the extra bench")
    trainer = trainer_of(tmp_path, arguments={"steps": 1}, beta=beta)
    batches, student = seen_by(trainer), copy.deepcopy(trainer.model).to(runtime.device()).eval()
    (entry,), (batch,) = run(trainer), batches
    ids = {name: batch[name].to(runtime.device()) for name in ("input_ids", "attention_mask")}
    with torch.no_grad():
        ours, theirs = (model(**ids).logits[:, :-1] for model in (student, trainer.teacher))
    labels = batch["labels"][:, 1:].to(runtime.device())
    expected = gkd.GKDTrainer.generalized_jsd_loss(ours, theirs, labels=labels, beta=beta)
    assert entry["loss"] == pytest.approx(expected.item(), abs=1e-5)


def test_a_response_counts_up_to_its_end_token_and_padding_lies_on_the_right(tmp_path):
    rows = [{"input_ids": PROMPTS[n % 4], "labels": [IGNORE] * len(PROMPTS[n % 4])} for n in range(24)]  # prompts alone
    trainer = trainer_of(tmp_path, rows, max_new_tokens=7)
    batches = seen_by(trainer)
    run(trainer)
    lengths = set()
    for batch in batches:
        for place, (ids, seen, labels) in enumerate(
            zip(*(batch[n].tolist() for n in ("input_ids", "attention_mask", "labels")))
        ):
            prompt, real = PROMPTS[place], sum(seen)
            assert seen == [1] * real + [0] * (len(seen) - real)
            assert ids[: len(prompt)] == prompt and labels[: len(prompt)] == [IGNORE] * len(prompt)
            response = ids[len(prompt) : real]
            assert labels[len(prompt) :] == response + [IGNORE] * (len(seen) - real)
            assert not set(response[:-1]) & set(ENDS) and (len(response) == 7 or response[-1] in ENDS)
            lengths.add(len(response))
    assert len(lengths) > 3 and 7 in lengths


def test_lmbda_is_the_share_of_updates_that_the_student_writes(tmp_path):
    arguments = {"steps": 8, "batch_size": 2}
    entries = run(trainer_of(tmp_path, examples(16), arguments=arguments, lmbda=0.5))
    coins = [float(np.random.default_rng([0, step]).random() < 0.5) for step in range(8)]
    assert of(entries, "student") == coins and 1 < sum(coins) < 7
    halves = arguments | {"batch_size": 1, "gradient_accumulation_steps": 2}
    split = run(trainer_of(tmp_path, examples(16), arguments=halves, lmbda=0.5))
    assert of(split, "student") == coins
    assert of(split, "loss") == pytest.approx(of(entries, "loss"), abs=2e-3)
    other = run(trainer_of(tmp_path, examples(16), arguments=arguments | {"seed": 1}, lmbda=0.5))
    assert of(other, "student") != coins


def test_a_generation_of_several_updates_has_one_writer(tmp_path):
    arguments = {"steps": 10, "batch_size": 1}
    entries = run(trainer_of(tmp_path, examples(10), arguments=arguments, lmbda=0.5, updates_per_generation=2))
    coins = [float(np.random.default_rng([0, number]).random() < 0.5) for number in range(5)]
    assert of(entries, "student") == [coin for coin in coins for _ in range(2)] and 0 < sum(coins) < 5


@pytest.mark.parametrize("temperature", [0.5, 0])
def test_the_student_writes_at_the_sampling_temperature(tmp_path, temperature):
    trainer = trainer_of(tmp_path, arguments={"steps": 1}, sampling_temperature=temperature)
    student, batches = copy.deepcopy(trainer.model), seen_by(trainer)
    (entry,), (batch,) = run(trainer), batches
    prompts = onpolicy.prompts_of(collate(examples(24)[:4]))
    expected = onpolicy.write(student, prompts, ENDS, onpolicy.uniform(0, 0, range(4), 5), temperature)
    assert [[t for t in row if t != IGNORE] for row in batch["labels"].tolist()] == [each.ids for each in expected]
    assert abs(entry["stale"]) < 1e-6


def test_without_writing_it_is_the_trainer_that_it_comes_from(tmp_path):
    plain = run(trainer_of(tmp_path, kind=training.DistillationTrainer, alpha=0.7, temperature=2.0))
    ours = run(trainer_of(tmp_path, lmbda=0.0, beta=0.0, alpha=0.7, temperature=2.0))
    for name in ("loss", "soft", "hard"):
        assert of(ours, name) == of(plain, name)


def test_the_teacher_writes_what_the_student_does_not(tmp_path):
    teacher = teacher_of()
    trainer = trainer_of(tmp_path, teacher=teacher, lmbda=0.0, seq_kd=True, alpha=0.5, sampling_temperature=0.7)
    batches = seen_by(trainer)
    entries = run(trainer)
    for step, batch in enumerate(batches):
        rows = examples(24)[4 * step : 4 * step + 4]
        numbers = onpolicy.uniform(0, step, range(4), 5)
        prompts = onpolicy.prompts_of(collate(rows))
        expected = onpolicy.write(teacher, prompts, ENDS, numbers, 0.7)
        responses = [[label for label in labels if label != IGNORE] for labels in batch["labels"].tolist()]
        assert responses == [each.ids for each in expected]
    assert of(entries, "student") == [0, 0, 0] and min(of(entries, "hard")) > 0  # the teacher's words are labels
    for entry in entries:
        assert entry["loss"] == pytest.approx(0.5 * entry["soft"] + 0.5 * entry["hard"], abs=2e-4)


def test_what_the_student_writes_has_no_hard_part(tmp_path):
    entries = run(trainer_of(tmp_path, examples(48), arguments={"steps": 8}, lmbda=0.5, alpha=0.6, temperature=2.0))
    assert {0.0, 1.0} == set(of(entries, "student"))
    for entry in entries:
        hard = 0.4 * entry["hard"] if entry["student"] == 0 else 0.0
        assert (entry["hard"] > 0) == (entry["student"] == 0)
        assert entry["loss"] == pytest.approx(0.6 * entry["soft"] + hard, abs=2e-4)


def test_the_loss_at_a_temperature_carries_its_square(tmp_path):
    trainer = trainer_of(tmp_path, arguments={"steps": 1}, temperature=3.0, beta=0.3)
    batches = seen_by(trainer)
    (entry,), (batch,) = run(trainer), batches
    with torch.no_grad():
        logits, target = (response_logits(model.eval(), batch)[0] for model in (batch["student"], trainer.teacher))
    expected = 9 * losses.generalized_jsd(logits, target, 0.3, temperature=3.0).item()
    assert entry["loss"] == pytest.approx(expected, abs=1e-4) and expected > 1e-3


@pytest.mark.parametrize("estimator", ["top_k", "k1", "k2", "k3"])
def test_the_loss_of_an_estimator(tmp_path, estimator):
    trainer = trainer_of(tmp_path, arguments={"steps": 1}, estimator=estimator, top_k=10, alpha=0.8)
    batches, student = seen_by(trainer), copy.deepcopy(trainer.model).eval()
    (entry,), (batch,) = run(trainer), batches
    with torch.no_grad():
        (logits, tokens), (target, _) = (response_logits(model, batch) for model in (student, trainer.teacher))
    if estimator == "top_k":
        expected = estimators.top_k_reverse_kl(logits, target, 10).mean()
    else:
        apart = [(each.log_softmax(-1)[range(len(tokens)), tokens]) for each in (logits, target)]
        expected = getattr(estimators, estimator)(*apart).mean()
    assert entry["loss"] == pytest.approx(0.8 * expected.item(), abs=1e-4)


def test_the_students_own_text_brings_it_closer(tmp_path):
    teacher, arguments = teacher_of(factor=30.0), {"steps": 24, "learning_rate": 1e-3}
    entries = run(trainer_of(tmp_path, examples(8) * 12, teacher=teacher, arguments=arguments))
    assert sum(of(entries[-4:], "loss")) < 0.6 * sum(of(entries[:4], "loss"))


# --- one generation for several updates -------------------------------------------------------------------------------


def generations(monkeypatch):
    """The number of prompts of each call of `write`."""
    calls, own = [], onpolicy.write
    monkeypatch.setattr(
        onpolicy, "write", lambda model, prompts, *rest: calls.append(len(prompts)) or own(model, prompts, *rest)
    )
    return calls


def test_one_generation_for_several_updates_is_older_at_each(tmp_path, monkeypatch):
    calls = generations(monkeypatch)
    arguments = {"steps": 7, "batch_size": 2, "warmup_steps": 0}
    trainer = trainer_of(tmp_path, examples(48), arguments=arguments, updates_per_generation=3)
    batches = seen_by(trainer)
    entries = run(trainer)
    assert calls == [6, 6, 2]  # three updates of two rows, three, and the last one alone
    stale = of(entries, "stale")
    assert [value < 1e-6 for value in stale] == [True, False, False, True, False, False, True]
    for step in (1, 5):  # against the student as it was before that update
        logits, tokens = response_logits(batches[step]["student"].eval(), batches[step])
        now = logits.log_softmax(-1)[range(len(tokens)), tokens]
        then = batches[step]["log_probs"][batches[step]["labels"] != IGNORE].to(now)
        ratio = (now - then).exp()
        assert stale[step] == pytest.approx((ratio - 1 - ratio.log()).mean().item(), abs=1e-3) and stale[step] > 0.01
    prompts = [prompt for batch in batches for prompt in onpolicy.prompts_of(batch)]
    assert prompts == onpolicy.prompts_of(collate(examples(48)[:14]))  # each once, in the rows' order
    fresh = run(trainer_of(tmp_path, examples(48), arguments=arguments))
    assert of(fresh, "loss")[0] == of(entries, "loss")[0] and max(of(fresh, "stale")) < 1e-6


def test_a_block_ends_with_the_epoch_and_no_row_is_left_out(tmp_path, monkeypatch):
    calls = generations(monkeypatch)
    trainer = trainer_of(
        tmp_path, examples(5), arguments={"steps": 5, "batch_size": 1, "gradient_accumulation_steps": 2},
        updates_per_generation=2,
    )  # fmt: skip
    batches = seen_by(trainer)
    run(trainer)
    # An epoch is three updates: two rows, two rows, one row. Blocks: updates 0 and 1; 2, cut by the epoch; 3 (its other
    # half); 4.
    assert calls == [4, 1, 2, 2]
    prompts, expected = [onpolicy.prompts_of(batch)[0] for batch in batches], onpolicy.prompts_of(collate(examples(5)))
    assert prompts == expected + expected[:4]


class Stop(TrainerCallback):
    def __init__(self, step):
        self.step = step

    def on_step_end(self, args, state, control, **rest):
        control.should_training_stop = state.global_step == self.step
        return control


@pytest.mark.parametrize("how", [{}, {"updates_per_generation": 3}, {"lmbda": 0.5, "seq_kd": True, "alpha": 0.5}])
def test_a_training_that_was_cut_goes_on_as_if_it_had_not_been(tmp_path, how):
    arguments = {"steps": 6, "save_steps": 2, "train_sampling_strategy": "random", "batch_size": 2, "warmup_steps": 0}
    whole = trainer_of(
        tmp_path / "whole", examples(10), arguments=arguments | {"output_dir": str(tmp_path / "whole")}, **how
    )
    expected = run(whole)
    arguments["output_dir"] = str(tmp_path / "cut")
    cut = trainer_of(tmp_path, examples(10), arguments=arguments, callbacks=[Stop(2)], **how)
    run(cut)
    resumed = trainer_of(tmp_path, examples(10), arguments=arguments, **how)
    entries = run(resumed, resume_from_checkpoint=True)
    assert len(entries) == 6 and of(entries, "loss") == of(expected, "loss")
    for one, other in zip(resumed.model.parameters(), whole.model.parameters()):
        assert torch.equal(one, other)
    kept = [path.parent.name for path in sorted((tmp_path / "whole").glob("*/written-*"))]
    assert kept == (["checkpoint-2", "checkpoint-4"] if "updates_per_generation" in how else [])


def test_a_checkpoint_goes_on_only_with_the_same_settings_and_processes(tmp_path):
    arguments = {"steps": 4, "save_steps": 1}
    run(trainer_of(tmp_path, arguments=arguments, updates_per_generation=4, callbacks=[Stop(2)]))
    for changed in ({"lmbda": 0.9}, {"max_new_tokens": 6}, {"seq_kd": True}, {"sampling_temperature": 0.5}):
        with pytest.raises(ValueError, match=f"begun with {next(iter(changed))}="):
            trainer_of(tmp_path, arguments=arguments, updates_per_generation=4, **changed).train(True)
    (file,) = (tmp_path / "checkpoint-2").glob("written-*")
    file.rename(file.with_name("written-0-of-2.safetensors"))
    with pytest.raises(ValueError, match=r"checkpoint-2 holds texts that other processes wrote \(written-0-of-2"):
        trainer_of(tmp_path, arguments=arguments, updates_per_generation=4).train(True)


SCRIPT = """
import sys
sys.path.insert(0, {tests!r})
import torch
torch.set_num_threads(1)
from test_onpolicy import examples, of, run, trainer_of
from distill_lessons.training.run import leave_group
arguments = {{"steps": 4, "batch_size": 1, "gradient_accumulation_steps": 2, "warmup_steps": 0}}
trainer = trainer_of({folder!r}, examples(16), arguments=arguments, updates_per_generation=2, lmbda=0.7)
entries = run(trainer)
if trainer.is_world_process_zero():
    print([of(entries, name) for name in ("loss", "student", "stale")])
leave_group()
"""


def test_two_processes_write_and_learn_like_one(tmp_path):
    arguments = {"steps": 4, "batch_size": 4, "warmup_steps": 0}
    one = run(trainer_of(tmp_path, examples(16), arguments=arguments, updates_per_generation=2, lmbda=0.7))
    script = tmp_path / "two.py"
    script.write_text(SCRIPT.format(tests=str(runtime.REPOSITORY / "tests"), folder=str(tmp_path)))
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node=2", "--standalone", str(script)]
    environment = os.environ | {"DISTILL_DEVICE": "cpu", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    two = ast.literal_eval(done.stdout.splitlines()[-1])
    assert two[0] == pytest.approx(of(one, "loss"), abs=1e-3) and two[1] == of(one, "student")
    assert two[2] == pytest.approx(of(one, "stale"), abs=1e-3) and 1 in two[1]


# --- adapters, precision, forms of rows, slips ------------------------------------------------------------------------


def test_adapters_write_and_learn(tmp_path):
    teacher = teacher_of()
    student = student_of(teacher)
    before = {name: weight.clone() for name, weight in student.state_dict().items()}
    config = LoraConfig(r=4, target_modules="all-linear", task_type="CAUSAL_LM", init_lora_weights=False)
    how = {"peft_config": config, "updates_per_generation": 2, "arguments": {"warmup_steps": 0}}
    trainer = trainer_of(tmp_path, student=student, teacher=teacher, **how)
    entries = run(trainer)
    assert [value < 1e-6 for value in of(entries, "stale")] == [True, False, True]  # it wrote with its adapters
    weights = trainer.model.get_base_model().state_dict()
    assert all(torch.equal(weights[name.replace("weight", "base_layer.weight") if "proj" in name else name], weight.to(
        runtime.device())) for name, weight in before.items())  # fmt: skip


def test_in_bfloat16_it_writes_what_it_learns_from_but_for_rounding(tmp_path):
    trainer, dtypes = trainer_of(tmp_path, arguments={"bf16": True}), set()
    layer = trainer.teacher.model.layers[0].mlp.up_proj
    layer.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    entries = run(trainer)
    assert dtypes == {torch.bfloat16}
    assert 0 < max(of(entries, "stale")) < 1e-3
    assert all(weight.dtype == torch.float32 for weight in trainer.model.parameters())


def test_evaluation_reads_the_rows_as_they_are(tmp_path):
    trainer = trainer_of(tmp_path, eval_dataset=examples(6, seed=5), alpha=0.5)
    batch = collate(examples(6, seed=5))
    (logits, labels), (target, _) = (response_logits(m.eval(), batch) for m in (trainer.model, trainer.teacher))
    expected = 0.5 * losses.reverse_kl(logits, target) + 0.5 * torch.nn.functional.cross_entropy(logits, labels)
    found = trainer.evaluate()
    assert found["eval_loss"] == pytest.approx(expected.item(), abs=1e-4)
    assert not {"eval_student", "eval_stale"} & found.keys()


def test_texts_may_be_prompts_alone(tmp_path):
    tokenizer, teacher = smollm.tokenizer(), small_llama()
    teacher.resize_token_embeddings(len(tokenizer))
    rows = [{"prompt": "What is fog?"}, {"prompt": [{"role": "user", "content": "Why?"}], "id": "b"}]
    how = {"max_new_tokens": 2, "arguments": {"steps": 1, "batch_size": 2}}
    trainer = trainer_of(tmp_path, rows, teacher=teacher, processing_class=tokenizer, **how)
    batches = seen_by(trainer)
    run(trainer)
    texts = [tokenizer.decode(ids) for ids in onpolicy.prompts_of(batches[0])]
    assert texts == [f"<|im_start|>user\n{t}<|im_end|>\n<|im_start|>assistant\n" for t in ("What is fog?", "Why?")]
    with pytest.raises(ValueError, match="need a tokenizer: give processing_class"):
        trainer_of(tmp_path, rows, teacher=teacher)


@pytest.mark.parametrize(
    "how, sentence",
    [
        ({"lmbda": 1.2}, "lmbda must be a number of at least 0 and at most 1, and it is 1.2"),
        ({"lmbda": "all"}, "lmbda must be a number"),
        ({"sampling_temperature": -1}, "sampling_temperature must be a number of at least 0"),
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number of at least 1, and it is 0"),
        ({"updates_per_generation": 1.5}, "updates_per_generation must be a whole number"),
        ({"alpha": 0.0}, "with alpha=0 nothing is learned from what the student writes"),
        ({"targets": "sampled"}, "leave targets out"),
        ({"estimator": "k4"}, "estimator must be one of full, top_k, k1, k2, k3"),
        ({"estimator": "k2", "beta": 0.5}, "set lmbda, beta and temperature to 1; they are 1.0, 0.5 and 1.0"),
        ({"estimator": "k2", "lmbda": 0.5}, "on the student's own text"),
        ({"estimator": "k3", "sampling_temperature": 0.7}, "set sampling_temperature=1"),
        ({"lambda_": 0.5}, "OnPolicyTrainer knows no 'lambda_': did you mean lmbda"),
        ({"beta": 2.0}, "beta must lie between 0 and 1"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(tmp_path, how, sentence):
    with pytest.raises(ValueError, match=sentence):
        trainer_of(tmp_path, **how)


def test_a_row_that_nothing_can_be_written_to_is_named(tmp_path):
    ids = list(range(3, 9))
    whole = {"input_ids": ids, "labels": ids}
    with pytest.raises(ValueError, match="example 'all' has no prompt to write a response to"):
        trainer_of(tmp_path, [*examples(3), whole | {"id": "all"}]).train()
    long = {"input_ids": [5] * 2046, "labels": [IGNORE] * 2046}
    with pytest.raises(
        ValueError, match="example 3 has a prompt of 2046 tokens, the student reads 2048, and max_new_tokens is 5"
    ):
        trainer_of(tmp_path, [*examples(3), long]).train()
    with pytest.raises(ValueError, match="needs a teacher beside the student"):
        onpolicy.OnPolicyTrainer(student_of(), None, training.settings(1), train_dataset=examples())
