"""The `multiplication` pair and the word problems: split, styles that are true, checkers that are not fooled, models."""

import random
import shutil

import pytest
import torch

from distill_lessons import evaluation, runtime
from distill_lessons.course.experiments import lesson07, lesson07_real, on_multiplication
from distill_lessons.models import response_logits
from distill_lessons.pairs import multiplication as pair
from distill_lessons.pairs import word_problems

SOME = pair.problems("train")[::37] + [(10, 10), (99, 99), (10, 99), (57, 40)]


def test_the_split_is_fixed_and_holds_out_mirror_images_together():
    parts = {name: pair.problems(name) for name in ("train", "validation", "test")}
    assert {name: len(rows) for name, rows in parts.items()} == {"train": 7400, "validation": 200, "test": 500}
    every = [problem for rows in parts.values() for problem in rows]
    assert len(set(every)) == 8100
    for rows in parts.values():
        assert {(b, a) for a, b in rows} == set(rows)
    assert parts["test"][:2] == pair.problems("test")[:2]
    assert all(100 <= a <= 999 for a, _ in pair.longer_problems())


@pytest.mark.parametrize("style", pair.STYLES.values(), ids=lambda style: style.__name__)
def test_every_style_is_true_and_ends_on_the_answer(style):
    for a, b in SOME:
        text = style(a, b)
        assert set(text) <= set(pair.CHARACTERS)
        assert pair.is_right(a, b, text)
        assert pair.first_error(a, b, text) is None, text
        assert style(a, b) == text


def test_flawed_styles_have_the_flaw_that_they_are_named_after():
    for a, b in SOME:
        assert pair.is_right(a, b, pair.wrong_steps(a, b)) and pair.first_error(a, b, pair.wrong_steps(a, b))
        assert not pair.is_right(a, b, pair.wrong_answer(a, b))
        assert pair.is_right(a, b, pair.shuffled(a, b))
        assert sorted(pair.shuffled(a, b)) == sorted(pair.steps(a, b))


@pytest.mark.parametrize(
    "text, error",
    [
        ("23*40+23*7=920+161=1081", None),
        ("1081", None),
        ("23*40+23*7=920+161=1082", "920+161=1082"),
        ("23*40+23*7=920+171=1081", "23*40+23*7=920+171"),
        ("23*40+23*8=920+184=1104", "23*47=23*40+23*8"),
        ("23*40+23*7=92!920+161=1081", None),
        ("23*40+23*7=92+161=1081", "23*40+23*7=92+161"),
        ("23*40+23*7=920+161=1081;1081-161=920=23*40y", None),
        ("23*40+23*7=920+161=1071;1071-161=910=22*40+30n920+161=1081;1081-161=920=23*40y", None),
        ("23*40+23*7=920+161=1081;1081-161=910=23*40y", "1081-161=910"),
        ("", "23*47="),
        ("23*40+", "23*47=23*40+"),
    ],
)
def test_first_error_finds_the_first_false_equation(text, error):
    assert pair.first_error(23, 47, text) == error


def test_the_verdict_of_a_check_decides_which_attempt_counts():
    text = "23*40+23*7=920+161=1071;1071-161=910=22*40+30n920+161=1081;1081-161=920=23*40y"
    assert pair.attempts(text) == [(1071, "n"), (1081, "y")]
    assert pair.final_answer(text) == 1081
    assert pair.final_answer("no") is None
    assert pair.check_of(23, 47, 161, 1081) == "1081-161=920=23*40y"


def test_verified_traces_hold_a_failed_first_attempt_in_about_a_quarter():
    texts = [pair.verified(a, b) for a, b in pair.problems("train")]
    assert 0.2 < sum("n" in text for text in texts) / len(texts) < 0.3


def test_the_tokenizer_behaves_as_one_of_transformers(tmp_path):
    tokenizer = pair.tokenizer()
    text = "23*40+23*7=92!920+161=1081;1081-161=920=23*40y"
    ids = tokenizer(text)["input_ids"]
    assert len(ids) == len(text) and tokenizer.decode(ids) == text
    batch = tokenizer(["1", "23*47="], padding=True, return_tensors="pt")
    assert batch["attention_mask"].tolist() == [[1, 0, 0, 0, 0, 0], [1] * 6]
    assert tokenizer.batch_decode(batch["input_ids"], skip_special_tokens=True) == ["1", "23*47="]
    tokenizer.save_pretrained(tmp_path)
    assert type(tokenizer).from_pretrained(tmp_path)(text)["input_ids"] == ids
    with pytest.raises(ValueError, match="'23x47=' has a character or word that the tokenizer does not know"):
        pair.encode(tokenizer, [("23x47=", "")])


def test_encode_learns_response_and_end_only_and_refuses_what_does_not_fit():
    tokenizer = pair.tokenizer()
    short, long = pair.encode(tokenizer, [("2*3=", "6"), ("23*47=", "1081")])
    assert short["labels"][:4] == [-100] * 4 and short["labels"][5] == tokenizer.eos_token_id
    assert set(short["labels"][6:]) == {-100} and short["attention_mask"] == [1] * 6 + [0] * 5
    assert len(short["input_ids"]) == len(long["input_ids"]) == 11
    with pytest.raises(ValueError, match="nothing to encode"):
        pair.encode(tokenizer, [])
    with pytest.raises(ValueError, match="11 tokens, more than the 8"):
        pair.encode(tokenizer, [("23*47=", "1081")], length=8)


def test_the_models_have_the_size_that_the_course_says():
    assert evaluation.size(pair.student())["parameters"] == 108_224
    assert evaluation.size(pair.large())["parameters"] == 855_936
    assert torch.equal(pair.student(3).model.embed_tokens.weight, pair.student(3).model.embed_tokens.weight)
    assert not torch.equal(pair.student(3).model.embed_tokens.weight, pair.student(4).model.embed_tokens.weight)


def test_padding_on_the_right_needs_no_mask():
    """What `collate` relies on: a causal model never looks to its right, so padding there changes no learned token."""
    rows = pair.encode(pair.tokenizer(), [(pair.prompt(a, b), pair.steps(a, b)) for a, b in [(10, 10), (99, 99)]])
    model, batch = pair.student().eval(), pair.collate(rows)
    masked = batch | {"attention_mask": torch.tensor([row["attention_mask"] for row in rows])}
    with torch.no_grad():
        logits, labels = response_logits(model, {k: v.to(model.device) for k, v in batch.items()})
        expected, same = response_logits(model, {k: v.to(model.device) for k, v in masked.items()})
    assert torch.equal(labels, same)
    assert torch.allclose(logits, expected, atol=1e-5)


def test_a_student_learns_a_few_problems_by_heart():
    pairs = [(pair.prompt(a, b), pair.answer(a, b)) for a, b in pair.problems("train")[:8]]
    model, _ = on_multiplication.learn(pair.student(), pair.tokenizer(), pairs, steps=150, batch=8)
    made = on_multiplication.ask(model, pair.problems("train")[:8])
    assert on_multiplication.accuracy(pair.problems("train")[:8], made) >= 0.75
    assert (
        on_multiplication.accuracy(
            pair.problems("test")[:100], on_multiplication.ask(model, pair.problems("test")[:100])
        )
        < 0.2
    )


def test_the_teachers_are_as_good_as_their_card_says():
    problems = pair.problems("test")
    good = on_multiplication.accuracy(problems, on_multiplication.ask(pair.teacher(), problems))
    noisy = on_multiplication.accuracy(problems, on_multiplication.ask(pair.teacher("noisy"), problems))
    assert good >= 0.97
    assert 0.4 < noisy < 0.85
    for folder in (runtime.data_folder() / "multiplication").glob("*/model.safetensors"):
        assert folder.stat().st_size <= 4_000_000


def test_stored_traces_are_what_the_teacher_writes():
    rows = pair.traces()
    assert [(a, b) for a, b, _ in rows] == pair.problems("train")
    chosen = random.Random(0).sample(rows, 50)
    made = on_multiplication.ask(pair.teacher(), [(a, b) for a, b, _ in chosen])
    same = sum(text == row[2] for text, row in zip(made, chosen))
    assert same >= 48  # a tie between two characters may fall the other way on another machine


def test_missing_and_damaged_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(runtime, "data_folder", lambda: tmp_path)
    with pytest.raises(FileNotFoundError, match="restore them with git"):
        pair.teacher()
    monkeypatch.undo()
    shutil.copytree(runtime.data_folder() / "multiplication" / "noisy", tmp_path / "multiplication" / "noisy")
    weights = tmp_path / "multiplication" / "noisy" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    monkeypatch.setattr(runtime, "data_folder", lambda: tmp_path)
    with pytest.raises(OSError, match="restore data/multiplication with git"):
        pair.teacher("noisy")


# --- Word problems ----------------------------------------------------------------------------------------------------


def test_word_problems_are_right_held_out_and_readable_by_the_tokenizer():
    train, seen, held_out = word_problems.split()
    assert not {p.prompt for p in train} & {p.prompt for p in seen + held_out}
    tokenizer = word_problems.tokenizer()
    pair.encode(tokenizer, [(p.prompt, p.explanation) for p in train[:300] + seen + held_out])  # knows every word
    for problem in seen + held_out:
        assert word_problems.is_right(problem, problem.explanation)
        assert word_problems.is_right(problem, problem.answer)
        assert not word_problems.is_right(problem, str(int(problem.answer) + 1))
        steps = problem.explanation.split(" .")[:-1]
        assert len(steps) == problem.steps
        for step in steps:
            left, right = step.split(" : ")[1].split(" = ")
            assert pair._value(left.replace(" ", "")) == int(right)
    decoded = tokenizer.decode(tokenizer(seen[0].explanation)["input_ids"])
    assert word_problems.is_right(seen[0], decoded)
    assert word_problems.final_answer("1 2 apples") is None


def test_word_problems_written_as_one_types_them():
    assert lesson07_real.tidy("Mia has 12 pears . she buys 3 pears . how many are left ?") == (
        "Mia has 12 pears. She buys 3 pears. How many are left?"
    )
    assert on_multiplication.last_number("12 + 3 = 15, so 1,015 pears.") == 1015
    assert on_multiplication.last_number("none") is None


# --- What the lesson measures -----------------------------------------------------------------------------------------


def test_equal_tokens_means_equal_tokens():
    for material in ("answer", "detailed", "verified"):
        tokens = on_multiplication.steps_for(material, "tokens") * on_multiplication.tokens_of(
            on_multiplication.texts(material)
        )
        assert (
            abs(tokens / (on_multiplication.STEPS * on_multiplication.tokens_of(on_multiplication.texts("steps"))) - 1)
            < 0.01
        )


def test_wrong_place_and_self_check():
    assert lesson07.wrong_place(23, 47, pair.steps(23, 47)) is None
    assert lesson07.wrong_place(23, 47, "23*40+23*7=910+161=1071") == "first product"
    assert lesson07.wrong_place(23, 47, "23*40+23*7=920+160=1080") == "second product"
    assert lesson07.wrong_place(23, 47, "23*40+23*7=920+161=1181") == "sum"
    assert lesson07.wrong_place(23, 47, "1081") == "form"
    problems = [(23, 47)] * 4
    texts = ["1081;y", "1080;n1081;y", "1080;y", "1081;n1081;y"]
    found = lesson07.self_check(problems, texts)
    assert found["first accuracy"] == 0.5 and found["flagged"] == 0.5
    assert found["precision"] == found["recall"] == 0.5
    assert found["gain of the check"] == pytest.approx(0.25)


def test_no_test_problem_in_words_is_learned_however_many_are_drawn():
    train, seen, _ = word_problems.split(train=60_000)
    assert len(train) < 60_000 and not {p.prompt for p in train} & {p.prompt for p in seen}


def test_the_tokens_of_an_example_are_those_that_the_tokenizer_makes():
    pairs = [("7*8=", "56"), ("12*34=", "408")]
    rows = pair.encode(pair.tokenizer(), pairs)
    assert on_multiplication.tokens_of(pairs) == sum(sum(row["attention_mask"]) for row in rows) / len(rows)
