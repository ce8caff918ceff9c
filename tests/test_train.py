"""The command that trains from a config file: it refuses what does not fit, trains, resumes, and saves a student."""

import json

import pytest
from test_pairs import small_llama
from transformers import AutoModelForCausalLM

from distill_lessons.pairs import smollm
from distill_lessons.teacher import targets
from distill_lessons.teacher.text import encode
from distill_lessons.training import run as train


@pytest.fixture
def teacher_folder(tmp_path, monkeypatch):
    """A tiny teacher with the real tokenizer, in the place of the course's."""
    tokenizer = smollm.tokenizer()
    model = small_llama()
    model.resize_token_embeddings(len(tokenizer))
    model.save_pretrained(tmp_path / "teacher")
    tokenizer.save_pretrained(tmp_path / "teacher")
    monkeypatch.setenv("DISTILL_TEACHER", str(tmp_path / "teacher"))
    return tmp_path


def config(folder, **values):
    path = folder / "run.json"
    path.write_text(json.dumps({"output": str(folder / "out"), "depth": 4} | values))
    return path


@pytest.mark.parametrize(
    "text, sentence",
    [
        ("{", "cannot be read"),
        ('{"output": "x", "temprature": 2}', r"unknown: temprature.*temperature"),
        ('{"depth": 4}', "output is missing"),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path, text, sentence):
    (tmp_path / "run.json").write_text(text)
    with pytest.raises(ValueError, match=sentence):
        train.read(tmp_path / "run.json")
    with pytest.raises(ValueError, match="cannot be read"):
        train.read(tmp_path / "nothing.json")


def test_trains_beside_the_teacher_and_goes_on_where_it_stopped(teacher_folder):
    steps = {"max_steps": 2, "save_steps": 1}
    assert train.train(train.read(config(teacher_folder, arguments=steps))).state.global_step == 2
    more = train.train(train.read(config(teacher_folder, arguments=steps | {"max_steps": 3})))
    assert more.state.global_step == 3 and len(more.state.log_history) > 2
    student = AutoModelForCausalLM.from_pretrained(teacher_folder / "out")
    assert len(student.model.layers) == 4
    assert not list((teacher_folder / "out").glob("*.bin"))


@pytest.mark.parametrize("lora", [0, 2])
def test_trains_from_stored_targets(teacher_folder, lora):
    tokenizer = smollm.tokenizer()
    rows = [row for row in smollm.rows("validation") if row["response"]]
    examples = [row | {"id": str(number)} for number, row in enumerate(encode(tokenizer, rows))]
    targets.store(teacher_folder / "targets", smollm.teacher(), tokenizer, examples, draws=10)
    path = config(teacher_folder, targets=str(teacher_folder / "targets"), lora=lora, arguments={"max_steps": 2})
    trainer = train.train(train.read(path))
    assert trainer.state.global_step == 2
    assert any((teacher_folder / "out").glob("*.safetensors"))
