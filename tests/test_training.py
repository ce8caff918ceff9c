"""Training and evaluation: the trainer against a plain loop, micro-batches, a frozen teacher, and fit on digits."""

import pytest
import torch
from test_pairs import small_llama
from transformers import get_cosine_schedule_with_warmup

from distill_lessons import evaluation, losses, runtime, training
from distill_lessons.pairs import digits, smollm


def examples(count=12, seed=0):
    generator = torch.Generator().manual_seed(seed)
    rows = []
    for _ in range(count):
        prompt, response = torch.randint(2, 6, (2,), generator=generator).tolist()
        ids = torch.randint(3, 300, (prompt + response,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]})
    return rows


def collate(rows):
    length = max(len(row["input_ids"]) for row in rows)
    pad = lambda row, name, value: row[name] + [value] * (length - len(row[name]))  # noqa: E731
    return {
        "input_ids": torch.tensor([pad(row, "input_ids", 2) for row in rows]),
        "labels": torch.tensor([pad(row, "labels", -100) for row in rows]),
        "attention_mask": torch.tensor(
            [[1] * len(row["input_ids"]) + [0] * (length - len(row["input_ids"])) for row in rows]
        ),
    }


def train(tmp_path, steps=3, batch_size=4, rows=None, alpha=0.7, temperature=2.0, **changes):
    teacher, student = small_llama(), smollm.student(small_llama(), depth=4)
    trainer = training.DistillationTrainer(
        model=student,
        teacher=teacher,
        alpha=alpha,
        temperature=temperature,
        args=training.settings(steps, batch_size, 1e-2, output_dir=str(tmp_path), **changes),
        train_dataset=rows or examples(),
        data_collator=collate,
    )
    trainer.train()
    return [entry["loss"] for entry in trainer.state.log_history if "loss" in entry], student, teacher


def test_response_logits_are_the_shifted_ones():
    model = small_llama().eval()
    batch = collate(examples(3))
    logits, labels = training.response_logits(model, batch)
    full = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    aligned, expected_labels, mask = losses.align_next_token(full, batch["labels"])
    torch.testing.assert_close(logits, aligned[mask])
    assert torch.equal(labels, expected_labels[mask])
    batch["labels"][:] = -100
    with pytest.raises(ValueError, match="no response token"):
        training.response_logits(model, batch)


def test_trainer_equals_a_plain_loop(tmp_path):
    logged, trained, _ = train(tmp_path)
    device = runtime.device()
    teacher, student = small_llama().to(device).eval(), smollm.student(small_llama(), depth=4).train()
    optimizer = torch.optim.AdamW(student.parameters(), lr=1e-2, betas=(0.9, 0.95), weight_decay=0)
    schedule = get_cosine_schedule_with_warmup(optimizer, 5, 3)
    plain = []
    rows = examples()
    for step in range(3):
        batch = {name: tensor.to(device) for name, tensor in collate(rows[4 * step : 4 * step + 4]).items()}
        logits, labels = training.response_logits(student, batch)
        target = training.response_logits(teacher, batch)[0].detach()
        loss = losses.distillation_loss(logits, target, labels, 0.7, 2.0).total
        loss.backward()
        torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
        optimizer.step(), schedule.step(), optimizer.zero_grad()
        plain.append(loss.item())
    assert logged == pytest.approx(plain, abs=2e-3)
    for one, other in zip(trained.parameters(), student.parameters()):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4)


def test_micro_batches_give_the_same_weights(tmp_path):
    _, whole, _ = train(tmp_path, batch_size=4)
    _, split, _ = train(tmp_path, batch_size=1, gradient_accumulation_steps=4)
    for one, other in zip(whole.parameters(), split.parameters()):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-3)


def test_the_teacher_does_not_change(tmp_path):
    _, _, teacher = train(tmp_path)
    assert not teacher.training
    for one, other in zip(teacher.parameters(), small_llama().parameters()):
        assert torch.equal(one.cpu(), other) and one.grad is None


def test_distillation_brings_the_student_closer(tmp_path):
    batches = [collate(examples())]
    teacher = small_llama().to(runtime.device()).eval()
    before = evaluation.closeness(smollm.student(teacher, 4), teacher, batches)
    _, student, _ = train(tmp_path, steps=40, batch_size=12, rows=examples() * 40, alpha=1.0, temperature=1.0)
    after = evaluation.closeness(student, teacher, batches)
    assert after["kl"] < before["kl"] / 2
    assert after["tokens"] == before["tokens"] == sum(label != -100 for row in examples() for label in row["labels"])


def test_closeness_of_a_model_to_itself():
    teacher = small_llama().to(runtime.device())
    itself = evaluation.closeness(teacher, teacher, [collate(examples(5)), collate(examples(2, seed=1))])
    assert itself["kl"] == 0 and itself["agreement"] == 1 and itself["cross_entropy"] > 0


def test_closeness_does_not_depend_on_the_batches():
    teacher, student = small_llama().to(runtime.device()), smollm.student(small_llama(), 4)
    rows = examples(6)
    whole = evaluation.closeness(student, teacher, [collate(rows)])
    split = evaluation.closeness(student, teacher, [collate(rows[:1]), collate(rows[1:])])
    assert split == pytest.approx(whole, rel=1e-4)


def test_size_counts_shared_weights_once():
    model = small_llama()
    size = evaluation.size(model)
    assert size["parameters"] == sum({id(w): w.numel() for w in model.parameters()}.values())
    assert size["megabytes"] == pytest.approx(size["parameters"] * 4 / 1e6)


def test_fit_learns_digits_and_repeats_itself():
    data = digits.load()
    models = []
    for _ in range(2):
        torch.manual_seed(0)
        models.append(training.fit(digits.student(32), data.train_images, data.train_labels, steps=300))
    images = data.test_images.to(runtime.device())
    with torch.no_grad():
        one, other = (model(images).cpu() for model in models)
    torch.testing.assert_close(one, other)
    assert (one.argmax(-1) == data.test_labels).float().mean() > 0.85


def test_fit_shows_the_teacher_what_the_student_sees():
    seen = []

    def teacher(batch):
        seen.append(batch.clone())
        return torch.zeros(len(batch), 10, device=batch.device)

    def loss(student, teacher_logits, labels):
        return losses.forward_kl(student, teacher_logits)

    images, labels = digits.load()[:2]
    training.fit(digits.student(), images, labels, loss, teacher, steps=3, augment=digits.shift)
    assert len(seen) == 3 and not torch.equal(seen[0], images[:128].to(seen[0].device))


def test_fit_refuses_nothing_and_names_a_diverged_run():
    images, labels = digits.load()[:2]
    with pytest.raises(ValueError, match="at least one image"):
        training.fit(digits.student(), images[:0], labels[:0])
    with pytest.raises(ValueError, match="at step 0: lower the learning rate"):
        training.fit(digits.student(), images, labels, loss=lambda s, t, y: s.sum() * float("nan"), steps=2)
