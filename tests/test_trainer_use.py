"""The trainer as somebody would use it who knows transformers and TRL: names, texts, plain arguments, metrics; and its slips."""

import copy
import multiprocessing

import datasets
import pytest
import torch
from peft import LoraConfig
from test_pairs import small_llama
from test_training import collate, examples
from transformers import AutoModelForCausalLM, TrainingArguments

from distill_lessons import losses, models, runtime, training
from distill_lessons.models import students
from distill_lessons.pairs import smollm
from distill_lessons.teacher import targets, text
from distill_lessons.training import arguments, checkpoints, features


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A tiny teacher and its student on disk, with the real tokenizer."""
    folder, tokenizer = tmp_path_factory.mktemp("models"), smollm.tokenizer()
    teacher = small_llama()
    teacher.resize_token_embeddings(len(tokenizer))
    for name, model in (("teacher", teacher), ("student", students.cut(teacher, 4))):
        model.save_pretrained(folder / name)
        tokenizer.save_pretrained(folder / name)
    return str(folder / "student"), str(folder / "teacher")


def plain_arguments(tmp_path, **changes):
    return TrainingArguments(str(tmp_path), **{"max_steps": 2, "logging_steps": 1, "report_to": "none"} | changes)


def trainer_of(tmp_path, rows=None, student=None, arguments=None, **how):
    how = {"teacher": small_llama(), "train_dataset": rows or examples()} | how
    return training.DistillationTrainer(
        student if student is not None else students.cut(small_llama(), 4),
        args=training.settings(**{"steps": 2, "learning_rate": 1e-2, "output_dir": str(tmp_path)} | (arguments or {})),
        **how,
    )


CHAT = [{"role": "user", "content": "What is fog?"}, {"role": "assistant", "content": "A cloud on the ground."}]
ROWS = {
    "messages": {"messages": CHAT},
    "prompt and completion": {"prompt": "What is fog?", "completion": " A cloud."},
    "their messages": {"prompt": CHAT[:1], "completion": CHAT[1:]},
    "prompt and response": {"prompt": "What is fog?", "response": "A cloud."},
    "text": {"text": "Fog is a cloud."},
}


@pytest.mark.parametrize("as_dataset", [False, True])
@pytest.mark.parametrize("form", ROWS)
def test_names_texts_and_plain_arguments_are_enough(folders, tmp_path, form, as_dataset):
    rows = [ROWS[form] | {"topic": str(number)} for number in range(8)]
    trainer = training.DistillationTrainer(
        model=folders[0],
        teacher=folders[1],
        train_dataset=datasets.Dataset.from_list(rows) if as_dataset else rows,
        args=plain_arguments(tmp_path),
    )
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 2 and logged[0]["loss"] == pytest.approx(logged[0]["soft"], abs=1e-4)


def test_only_the_answer_is_learned():
    tokenizer = smollm.tokenizer()
    for form, row in ROWS.items():
        (found,) = text.examples(tokenizer, [row])
        learned = [token for token in found["labels"] if token != -100]
        assert found["input_ids"][-len(learned) :] == learned and learned[-1] == tokenizer.eos_token_id
        said = tokenizer.decode(learned[:-1]).strip()
        assert said == {"messages": "A cloud on the ground.", "their messages": "A cloud on the ground.",
                        "text": "Fog is a cloud."}.get(form, "A cloud.")  # fmt: skip
        asked = tokenizer.decode(found["input_ids"][: -len(learned)])
        assert ("fog" in asked) == (form != "text")
    several = [*CHAT, {"role": "user", "content": "And mist?"}, {"role": "assistant", "content": "Thin fog."}]
    (found,) = text.examples(tokenizer, [{"messages": several}])
    assert tokenizer.decode([token for token in found["labels"] if token != -100]) == "Thin fog.<|im_end|>"


@pytest.mark.parametrize(
    "row, sentence",
    [
        ({"question": "?"}, "row 0 has question; a row to learn from has messages"),
        ({"messages": CHAT[:1]}, "must be the assistant's"),
        ({"messages": CHAT[1:]}, "the assistant's answer to others"),
        ({"prompt": "?", "completion": CHAT[1:]}, "must both be texts"),
        ({"prompt": "?", "response": ""}, "has no response"),
        ({}, "row 0 has nothing"),
    ],
)
def test_rows_without_something_to_learn_are_named(row, sentence):
    with pytest.raises(ValueError, match=sentence):
        text.examples(smollm.tokenizer(), [row])


@pytest.mark.parametrize(
    "slip, sentence",
    [
        ({"teacher_model": None}, "no 'teacher_model': it is called teacher here"),
        ({"tokenizer": None}, "no 'tokenizer': it is called processing_class here"),
        ({"temprature": 2.0}, r"no 'temprature': did you mean temperature\?"),
        ({"evaldataset": []}, r"did you mean eval_dataset\?"),
        ({"alpha": "0.5"}, "alpha must be a finite number, and it is '0.5'"),
        ({"beta": True}, "beta must be a finite number"),
        ({"temperature": float("nan")}, "temperature must be a finite number"),
        ({"teacher": "nowhere/at-all"}, "the teacher 'nowhere/at-all' cannot be loaded"),
        ({"train_dataset": [{"text": "a"}]}, "texts need a tokenizer"),
    ],
)
def test_slips_are_told_in_one_sentence(tmp_path, slip, sentence):
    with pytest.raises(ValueError, match=sentence):
        trainer_of(tmp_path, **slip)
    if "temprature" in slip:
        with pytest.raises(
            ValueError, match=r"TrainingArguments knows no 'learning_rte': did you mean learning_rate\?"
        ):
            training.settings(2, learning_rte=1)
        with pytest.raises(ValueError, match=r"LoraConfig knows no 'lora_alfa': did you mean lora_alpha\?"):
            training.lora(small_llama(), 2, lora_alfa=1)


def test_token_ids_need_no_tokenizer_no_collator_and_no_id(tmp_path):
    rows = [{"input_ids": row["input_ids"], "labels": row["labels"]} for row in examples()]
    by_hand = trainer_of(tmp_path / "one", data_collator=collate)
    by_itself = trainer_of(tmp_path / "two", rows=rows)
    by_hand.train(), by_itself.train()
    for one, other in zip(by_hand.model.parameters(), by_itself.model.parameters()):
        assert torch.equal(one, other)


def test_what_the_settings_ask_for_happens(tmp_path):
    assert training.settings(num_train_epochs=2).max_steps == -1
    assert training.settings(5, save_steps=2).save_strategy == "steps"
    assert training.settings(5, eval_steps=2).eval_strategy == "steps"
    assert training.settings(5).save_strategy == "no"
    assert training.settings(5, max_steps=3).max_steps == 3  # changes override anything
    assert training.settings(5, save_steps=2, save_strategy="epoch").save_strategy == "epoch"
    for wrong in ({}, {"steps": 3, "num_train_epochs": 1}):
        with pytest.raises(ValueError, match="give the length of the training once"):
            training.settings(**wrong)


def test_the_users_arguments_are_not_changed_and_plain_ones_shuffle(tmp_path):
    arguments = plain_arguments(tmp_path, max_steps=3, per_device_train_batch_size=4)
    seen = []

    class Watched(training.DistillationTrainer):
        def compute_loss(self, model, inputs, *rest, **options):
            seen.extend(tuple(row.tolist()) for row in inputs["labels"])
            return super().compute_loss(model, inputs, *rest, **options)

    before = arguments.to_dict()
    Watched(students.cut(small_llama(), 4), small_llama(), arguments, train_dataset=examples()).train()
    assert arguments.to_dict() == before
    tails = [[label for label in row if label != -100] for row in seen]
    order = [[label for label in row["labels"] if label != -100] for row in examples()]
    assert len(tails) == 12 and tails != order and sorted(tails) == sorted(order)


def test_peft_config_makes_adapters_and_leaves_the_rest(tmp_path):
    config = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
    trainer = trainer_of(tmp_path, peft_config=config)
    before = {name: weight.clone() for name, weight in trainer.model.named_parameters()}
    trainer.train()
    changed = {name for name, weight in trainer.model.named_parameters() if not torch.equal(weight, before[name])}
    assert changed and all("lora_" in name for name in changed)


# --- what would train nothing, or something else --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "make, sentence",
    [
        (lambda teacher: teacher, "the student is the teacher itself"),
        (lambda teacher: training.lora(teacher, 2), "the student is the teacher itself, or adapters put on it"),
        (
            lambda teacher: _sharing(teacher),
            "every weight that the student would learn is the teacher's own",
        ),
    ],
)
def test_a_student_that_is_its_teacher_is_refused(tmp_path, make, sentence):
    teacher = small_llama()
    with pytest.raises(ValueError, match=sentence):
        trainer_of(tmp_path, student=make(teacher), teacher=teacher)


def _sharing(teacher):
    student = copy.deepcopy(teacher)
    student.model, student.lm_head = teacher.model, teacher.lm_head
    return student


@pytest.mark.parametrize(
    "config",
    [
        {"target_modules": ["lm_head", "q_proj"]},
        {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    ],
)
def test_adapters_on_the_students_head_are_refused_and_on_the_teachers_they_count(tmp_path, config):
    with pytest.raises(ValueError, match="the student's head is a .*leave the head"):
        trainer_of(tmp_path, peft_config=LoraConfig(r=2, task_type="CAUSAL_LM", **config))
    teacher = training.lora(small_llama(), 2, **config)
    with torch.no_grad():
        for name, weight in teacher.named_parameters():
            if "lm_head" in name and ("lora_B" in name or "modules_to_save" in name):
                weight.normal_()
    batch = collate(examples(4))
    trainer = trainer_of(tmp_path, teacher=teacher)
    student = trainer.model
    logits, _ = models.response_logits(student, batch)
    with torch.no_grad():
        taught, _ = models.response_logits(teacher.to(runtime.device()).eval(), batch)
    expected = losses.forward_kl(logits, taught).item()
    trainer.train()
    assert expected > 0.05
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_a_student_saved_in_half_precision_trains_in_float32(tmp_path, dtype):
    exact = students.cut(small_llama(), 4)
    exact.load_state_dict({name: weight.to(dtype).float() for name, weight in exact.state_dict().items()})
    copy.deepcopy(exact).to(dtype).save_pretrained(tmp_path / "saved")
    rounded = AutoModelForCausalLM.from_pretrained(tmp_path / "saved")
    assert rounded.dtype == dtype
    one = trainer_of(tmp_path / "one", student=exact, arguments={"learning_rate": 1e-5})
    other = trainer_of(tmp_path / "two", student=rounded, arguments={"learning_rate": 1e-5})
    one.train(), other.train()
    for expected, found in zip(one.model.parameters(), other.model.parameters()):
        assert found.dtype == torch.float32
        assert torch.equal(found, expected)


def test_a_frozen_base_in_bfloat16_stays_so_under_adapters(tmp_path):
    student = training.lora(students.cut(small_llama(), 4).bfloat16(), 2)
    trainer = trainer_of(tmp_path, student=student)
    kinds = {weight.dtype for name, weight in trainer.model.named_parameters() if "lora_" not in name}
    assert kinds == {torch.bfloat16}
    trainer.train()


def stored(folder, kind, **how):
    rows = [row | {"id": str(number)} for number, row in enumerate(examples())]
    tokenizer = smollm.tokenizer()
    targets.store(folder, small_llama().eval(), tokenizer, rows, kind=kind, collate=collate, **how)
    return targets.load(folder)


@pytest.mark.parametrize("as_list", [False, True])
def test_the_rows_tell_which_targets_they_hold(tmp_path, as_list):
    for kind, how in (("sampled", {"draws": 20}), ("top_k", {"k": 5})):
        rows = stored(tmp_path / kind, kind, **how)
        rows = list(rows) if as_list else rows
        trainer = trainer_of(tmp_path / "out", rows=rows, teacher=None)
        assert trainer.targets == kind
        trainer.train()
        other = {"sampled": "top_k", "top_k": "sampled"}[kind]
        with pytest.raises(ValueError, match=f"the rows hold {kind} targets and are to be read as '{other}'"):
            trainer_of(tmp_path / "out", rows=rows, teacher=None, targets=other)
    assert trainer_of(tmp_path / "out", rows=rows, teacher=None, targets="naive_top_k").targets == "naive_top_k"
    with pytest.raises(ValueError, match="the rows hold top_k targets"):
        trainer_of(tmp_path / "out", rows=rows, teacher=None, targets="sampled")


# --- evaluation and logs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", [{"alpha": 0.3, "temperature": 2.0}, {"alpha": 1.0}, {"alpha": 0.0}])
def test_the_evaluation_does_not_depend_on_the_batch_size(tmp_path, how):
    rows, found = examples(17, seed=3), []
    for batch in (1, 4, 17):
        trainer = trainer_of(tmp_path, eval_dataset=rows, arguments={"per_device_eval_batch_size": batch}, **how)
        found.append(trainer.evaluate())
    batch = collate(rows)
    student, teacher = (models.response_logits(m, batch) for m in (trainer.model, trainer.teacher))
    expected = losses.distillation_loss(student[0], teacher[0], student[1], how["alpha"], how.get("temperature", 1.0))
    for one in found:
        assert one["eval_loss"] == pytest.approx(expected.total.item(), rel=1e-4)
        assert ("eval_soft" in one) == (how["alpha"] > 0) and ("eval_hard" in one) == (how["alpha"] < 1)
        if "eval_soft" in one:
            assert one["eval_soft"] == pytest.approx(expected.soft.item(), rel=1e-4)


def test_the_parts_of_the_loss_are_logged_beside_it(tmp_path):
    matching = features.Matching({2: 3, 4: 6}, 32, 32, kind="mse")
    trainer = trainer_of(
        tmp_path, features=matching, feature_weight=0.5, output_weight=2.0, alpha=0.3, eval_dataset=examples(5),
        arguments={"gradient_accumulation_steps": 2, "steps": 3},
        rows=examples(24),
    )  # fmt: skip
    trainer.train()
    logged = [entry for entry in trainer.state.log_history if "loss" in entry]
    assert len(logged) == 3
    for entry in logged:
        whole = 2.0 * (0.3 * entry["soft"] + 0.7 * entry["hard"]) + 0.5 * entry["features"]
        assert entry["loss"] == pytest.approx(whole, rel=1e-3) and entry["features"] > 0
    measured = trainer.evaluate()
    whole = 2.0 * (0.3 * measured["eval_soft"] + 0.7 * measured["eval_hard"]) + 0.5 * measured["eval_features"]
    assert measured["eval_loss"] == pytest.approx(whole, rel=1e-4)
    assert not hasattr(trainer.model, "features")


def test_compute_metrics_gets_what_the_model_says(tmp_path):
    seen = {}

    def accuracy(prediction):
        logits, labels = prediction.predictions[:, :-1], prediction.label_ids[:, 1:]
        seen["shape"], mask = logits.shape, labels != -100
        return {"accuracy": float((logits.argmax(-1) == labels)[mask].mean())}

    rows = examples(6, seed=5)
    trainer = trainer_of(
        tmp_path, eval_dataset=rows, compute_metrics=accuracy, arguments={"per_device_eval_batch_size": 6}
    )
    found = trainer.evaluate()
    logits, labels = models.response_logits(trainer.model, collate(rows))
    assert found["eval_accuracy"] == pytest.approx((logits.argmax(-1) == labels).float().mean().item())
    assert seen["shape"][0] == 6 and seen["shape"][2] == 300
    assert trainer.predict(rows).predictions.shape[2] == 300


def test_label_smoothing_is_part_of_the_hard_loss(tmp_path):
    trainer = trainer_of(tmp_path, teacher=None, alpha=0.0, arguments={"label_smoothing_factor": 0.3})
    logits, labels = models.response_logits(trainer.model, collate(examples()[:4]))
    expected = torch.nn.functional.cross_entropy(logits, labels, label_smoothing=0.3).item()
    plain = torch.nn.functional.cross_entropy(logits, labels).item()
    trainer.train()
    assert abs(expected - plain) > 1e-3
    assert trainer.state.log_history[0]["loss"] == pytest.approx(expected, abs=5e-4)


# --- going on -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how, changed", [({"alpha": 0.5}, "alpha"), ({"temperature": 2.0}, "temperature")])
def test_a_checkpoint_goes_on_only_with_the_same_settings(tmp_path, how, changed):
    saving = {"save_strategy": "steps", "save_steps": 1}
    trainer_of(tmp_path, arguments=saving).train()
    with pytest.raises(ValueError, match=rf"the training in checkpoint-2 was begun with {changed}=1.0.*choose another"):
        trainer_of(tmp_path, arguments=saving, **how).train(resume_from_checkpoint=True)
    with pytest.raises(ValueError, match="begun with learning_rate=0.01"):
        trainer_of(tmp_path, arguments=saving | {"learning_rate": 0.5}).train(resume_from_checkpoint=True)
    with pytest.raises(ValueError, match="begun with student='llama, 4 layers'"):
        trainer_of(tmp_path, student=students.cut(small_llama(), 5), arguments=saving).train(
            resume_from_checkpoint=True
        )
    with pytest.raises(ValueError, match=r"begun with adapters=\[\], now it is \['LORA of rank 2'\]"):
        adapters = LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")
        trainer_of(tmp_path, peft_config=adapters, arguments=saving).train(resume_from_checkpoint=True)
    with pytest.raises(ValueError, match="there is no complete checkpoint"):
        trainer_of(tmp_path / "other", arguments=saving).train(resume_from_checkpoint=True)
    assert not list(tmp_path.rglob("training_args.bin"))


def test_the_last_checkpoint_is_the_largest_number(tmp_path):
    for number in (9, 10, 100):
        (tmp_path / f"checkpoint-{number}").mkdir()
        (tmp_path / f"checkpoint-{number}" / "trainer_state.json").write_text("{}")
    (tmp_path / "checkpoint-100" / "trainer_state.json").write_text("{")  # cut short
    assert training.last_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")


@pytest.mark.parametrize("lora", [False, True])
def test_a_finished_training_takes_no_further_step(tmp_path, lora):
    saving = {"save_strategy": "steps", "save_steps": 1}
    how = {"peft_config": LoraConfig(r=2, target_modules="all-linear", task_type="CAUSAL_LM")} if lora else {}
    first = trainer_of(tmp_path, arguments=saving, **how)
    first.train()
    torch.manual_seed(5)
    again = trainer_of(tmp_path, arguments=saving, **how)
    again.train(resume_from_checkpoint=True)
    assert again.state.global_step == 2
    for one, other in zip(first.model.parameters(), again.model.parameters()):
        assert torch.equal(one, other)


@pytest.mark.skipif("spawn" not in multiprocessing.get_all_start_methods(), reason="no spawn here")
def test_workers_of_a_fresh_process_load_the_batches(tmp_path):
    """Where processes are spawned and not forked, whatever the loader needs is pickled."""
    trainer = trainer_of(tmp_path, arguments={"dataloader_num_workers": 1})
    loader = torch.utils.data.DataLoader(
        examples(), batch_size=4, collate_fn=trainer.data_collator, num_workers=1, multiprocessing_context="spawn"
    )
    batch = next(iter(loader))
    assert torch.equal(batch["labels"], collate(examples()[:4])["labels"])


def test_adapters_are_scaled_by_two(tmp_path):
    adapted = training.lora(small_llama(), 4)
    assert adapted.peft_config["default"].lora_alpha == 8 and adapted.peft_config["default"].r == 4
    layer = adapted.base_model.model.model.layers[0].mlp.up_proj
    assert layer.scaling["default"] == 2


def test_the_same_batch_however_it_is_divided_is_the_same_training():
    whole, halves, larger = (
        arguments.deciding(training.settings(2, size, gradient_accumulation_steps=steps))
        for size, steps in ((8, 1), (4, 2), (8, 2))
    )
    assert whole == halves and {name for name in whole if whole[name] != larger[name]} == {"batch"}


def test_a_setting_that_an_older_training_did_not_know_is_another_one(tmp_path):
    checkpoints.remember_settings(tmp_path / "a.json", {"alpha": 1.0})
    checkpoints.same_settings(tmp_path / "a.json", {"alpha": 1.0}, "the run")
    for now, words in (({"alpha": 1.0, "beta": 0.5}, "beta=None, now it is 0.5"), ({}, "alpha=1.0, now it is None")):
        with pytest.raises(ValueError, match=f"the run was begun with {words}"):
            checkpoints.same_settings(tmp_path / "a.json", now, "the run")


def test_an_evaluation_on_the_way_changes_nothing_that_is_logged_of_the_training(tmp_path):
    logged = []
    for asked in ({}, {"eval_strategy": "steps", "eval_steps": 1}):
        arguments = {"steps": 4, "logging_steps": 2, "lr_scheduler_type": "constant"} | asked
        trainer = trainer_of(
            tmp_path, rows=examples(16), eval_dataset=examples(5, seed=3), arguments=arguments, alpha=0.4
        )
        trainer.train()
        entries = [entry for entry in trainer.state.log_history if "loss" in entry]
        logged.append([entry[name] for entry in entries for name in ("loss", "soft", "hard")])
    assert len(logged[0]) == 6 and logged[1] == pytest.approx(logged[0])
