"""The command that trains from a file: it refuses what does not fit, trains, resumes, and saves what others can load."""

import json
import re

import pytest
import torch
from peft import PeftModel
from test_pairs import small_llama
from transformers import AutoModelForCausalLM

from distill_lessons import runtime
from distill_lessons.__main__ import course_pair
from distill_lessons.models import students
from distill_lessons.pairs import smollm
from distill_lessons.teacher import targets
from distill_lessons.teacher.text import encode
from distill_lessons.training import run as command

ROWS = [{"prompt": f"What is {n}?", "response": f"{n} is a number of {n} things.", "finished": True} for n in range(12)]


@pytest.fixture
def teacher_folder(tmp_path, monkeypatch):
    """A tiny teacher with the real tokenizer, and rows to learn from."""
    tokenizer = smollm.tokenizer()
    model = small_llama()
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, ROWS)), encoding="utf-8")
    monkeypatch.setenv("DISTILL_TEACHER", str(tmp_path / "teacher"))
    return tmp_path


def config(teacher_folder, **values):
    base = {
        "teacher": str(teacher_folder / "teacher"),
        "depth": 4,
        "output_dir": str(teacher_folder / "out"),
        "max_steps": 2,
    }
    if "targets" not in values:
        base["data"] = str(teacher_folder / "rows.jsonl")
    path = teacher_folder / "run.json"
    path.write_text(json.dumps(base | values), encoding="utf-8")
    return str(path)


def train(teacher_folder, *words, **values):
    return command.train(*command.read([config(teacher_folder, **values), *words]))


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "cannot be read"),
        ("[1]", "no JSON object"),
        ('{"temprature": 2}', r"no 'temprature': did you mean temperature\?"),
        ('{"learning_rte": 2}', r"did you mean learning_rate\?"),
        ('{"alpha": "half"}', "alpha.*half"),
        ('{"alpha": true}', "alpha must be a number"),
        ('{"lora": []}', "lora must be a number"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path, text, sentence):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        command.read([str(tmp_path / "run.json")])
    with pytest.raises(ValueError, match="cannot be read"):
        command.read([str(tmp_path / "nothing.json")])
    with pytest.raises(ValueError, match=r"the command line knows no 'temprature': did you mean temperature\?"):
        command.read(["--temprature", "2"])


def test_what_the_user_says_wins_over_the_file_and_the_file_over_the_defaults(teacher_folder):
    path = config(teacher_folder, alpha="0.5", learning_rate=2e-3)
    run, arguments = command.read([path, "--learning_rate", "3e-3", "--temperature=2"])
    assert (run.alpha, run.temperature, arguments.learning_rate, arguments.max_steps) == (0.5, 2.0, 3e-3, 2)
    assert (arguments.adam_beta2, arguments.save_steps) == (0.95, 50)
    assert arguments.train_sampling_strategy == "random"
    _, arguments = command.read(["--num_train_epochs", "2", "--eval_steps", "5", "--save_steps", "7"])
    assert (arguments.max_steps, arguments.num_train_epochs) == (-1, 2)
    assert arguments.eval_strategy == "steps" and arguments.save_steps == 7
    assert command.read([])[1].max_steps == command.STEPS


def test_only_a_run_that_names_nothing_gets_the_fallback(teacher_folder):
    fallback = lambda: {"teacher": "a", "data": "b"}  # noqa: E731
    assert command.read(["--depth", "4"], fallback)[0].teacher == "a"
    assert command.read([config(teacher_folder)], fallback)[0].data == str(teacher_folder / "rows.jsonl")
    assert command.read(["--targets", "c"], fallback)[0].data is None


@pytest.mark.parametrize(
    "values, sentence",
    [
        ({"data": None}, "what to learn from"),
        ({"targets": "somewhere"}, "what to learn from"),
        ({"teacher": None}, "which teacher"),
        ({"teacher": None, "student": "teacher", "alpha": 0.5}, "which teacher"),
        ({"data": "nothing.jsonl"}, "must be a file that exists"),
        ({"features": "first"}, "features must be uniform, last, or kept"),
        ({"eval_steps": 1}, "needs a column split"),
    ],
)
def test_runs_that_cannot_be_are_refused(teacher_folder, values, sentence):
    if values.get("student"):
        values = values | {"student": str(teacher_folder / "teacher")}
    path = config(
        teacher_folder, **values, **({"data": str(teacher_folder / "rows.jsonl")} if "targets" in values else {})
    )
    with pytest.raises(ValueError, match=sentence):
        command.train(*command.read([path]))


def test_trains_beside_the_teacher_and_what_it_saves_is_the_student(teacher_folder):
    trainer = train(teacher_folder, alpha=0.7, temperature=2.0, beta=0.3)
    assert trainer.state.global_step == 2
    assert (trainer.alpha, trainer.temperature, trainer.beta) == (0.7, 2.0, 0.3)
    student = AutoModelForCausalLM.from_pretrained(teacher_folder / "out")
    assert len(student.model.layers) == 4
    for name, weight in student.state_dict().items():
        assert torch.equal(weight, trainer.model.state_dict()[name].cpu()), name
    assert not list((teacher_folder / "out").rglob("training_args.bin"))
    assert json.loads((teacher_folder / "out" / "run.json").read_text())["alpha"] == 0.7


def test_the_rows_are_shuffled(teacher_folder, monkeypatch):
    seen = []
    collate = command.DistillationTrainer.compute_loss

    def watched(self, model, inputs, *arguments, **options):
        seen.extend(tuple(row.tolist()) for row in inputs["input_ids"])
        return collate(self, model, inputs, *arguments, **options)

    monkeypatch.setattr(command.DistillationTrainer, "compute_loss", watched)
    trainer = train(teacher_folder, max_steps=12, per_device_train_batch_size=1)
    order = [seen.index(tuple(row["input_ids"])) for row in trainer.train_dataset]
    assert sorted(order) == list(range(12)) and order != list(range(12))


@pytest.mark.parametrize("cut_again", [True, False])
def test_adapters_are_loaded_by_peft_and_what_comes_of_them_by_transformers(teacher_folder, cut_again):
    values = {"lora": 2, "learning_rate": 0.05, "max_steps": 3}
    if not cut_again:
        students.cut(smollm.teacher(), 4).save_pretrained(teacher_folder / "student")
        values["student"] = str(teacher_folder / "student")
    trainer = train(teacher_folder, **values)
    trained = trainer.model.eval().cpu()
    ids = torch.randint(3, 300, (2, 9))
    with torch.no_grad():
        expected = trained(ids).logits
        plain = AutoModelForCausalLM.from_pretrained(teacher_folder / "out")
        assert len(plain.model.layers) == 4
        torch.testing.assert_close(plain.eval()(ids).logits, expected, atol=1e-4, rtol=1e-4)
        about = json.loads((teacher_folder / "out" / "adapter" / "adapter_config.json").read_text())
        base = AutoModelForCausalLM.from_pretrained(about["base_model_name_or_path"])
        assert not torch.allclose(base.eval()(ids).logits, expected, atol=1e-3)
        with_adapter = PeftModel.from_pretrained(base, teacher_folder / "out" / "adapter").eval()
        torch.testing.assert_close(with_adapter(ids).logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("kind, count", [("sampled", {"draws": 10}), ("top_k", {"k": 7})])
def test_trains_from_stored_targets_of_either_kind(teacher_folder, kind, count):
    tokenizer = smollm.tokenizer()
    examples = [row | {"id": str(number)} for number, row in enumerate(encode(tokenizer, ROWS))]
    targets.store(teacher_folder / "targets", smollm.teacher(), tokenizer, examples, kind=kind, **count)
    trainer = train(teacher_folder, targets=str(teacher_folder / "targets"))
    assert trainer.targets == kind and abs(trainer.state.log_history[0]["loss"]) < 0.5


def test_a_finished_run_is_not_made_again_and_a_changed_one_is_refused(teacher_folder):
    first = train(teacher_folder, save_steps=1)
    weights = (teacher_folder / "out" / "model.safetensors").read_bytes()
    again = train(teacher_folder, save_steps=1)
    for one, other in zip(again.model.parameters(), first.model.parameters()):
        assert torch.equal(one, other)
    assert again.state.global_step == 2
    assert (teacher_folder / "out" / "model.safetensors").read_bytes() == weights
    train(teacher_folder, save_steps=1, logging_steps=2, save_total_limit=3)
    changes = {"alpha": 0.5, "learning_rate": 1e-3, "depth": 5, "max_steps": 3, "lora": 2, "seed": 1}
    for name, value in changes.items():
        with pytest.raises(ValueError, match=rf"the run in out was begun with .*{name}.*choose another output_dir"):
            train(teacher_folder, **{"save_steps": 1, name: value})
    assert (teacher_folder / "out" / "model.safetensors").read_bytes() == weights


def test_features_and_evaluation_from_a_file(teacher_folder):
    rows = [row | {"split": "validation" if place < 3 else "train"} for place, row in enumerate(ROWS)]
    (teacher_folder / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    trainer = train(teacher_folder, features="kept", feature_kind="mse", feature_weight=0.5, eval_steps=1)
    assert len(trainer.train_dataset) == 9 and len(trainer.eval_dataset) == 3
    assert trainer.features.kind == "mse" and trainer.features.layers == {1: [1], 2: [4], 3: [5], 4: [6]}
    assert trainer.feature_weight == 0.5
    measured = [entry for entry in trainer.state.log_history if "eval_loss" in entry]
    assert len(measured) == 2 and measured[0]["eval_features"] > 0


def test_the_readmes_file_is_read_as_it_stands(tmp_path):
    readme = (runtime.REPOSITORY / "README.md").read_text(encoding="utf-8")
    (tmp_path / "run.json").write_text(re.search(r"```json\n(.*?)```", readme, re.S)[1])
    run, arguments = command.read([str(tmp_path / "run.json")])
    assert (run.alpha, run.features, arguments.num_train_epochs, arguments.max_steps) == (0.5, "kept", 3, -1)


def test_without_a_name_the_command_takes_the_courses_own_pair():
    run, _ = command.read([], course_pair)
    assert run.teacher == smollm.source() and run.data.endswith("responses.jsonl")
