"""The `multiplication` pair and the word problems: split, styles that are true, checkers that are not fooled, models."""

import random
import shutil
from collections import Counter

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from distill_lessons import evaluation, runtime
from distill_lessons.course import claims, results, stated
from distill_lessons.course.experiments import (
    lesson07,
    lesson07_explained,
    lesson07_real,
    lesson07_steps,
    lesson07_teacher,
    on_multiplication,
    study,
)
from distill_lessons.course.results import Experiment
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


# --- Arms on one grid -------------------------------------------------------------------------------------------------

TRAIN, VALIDATION = lesson07_steps.split()


def mirrored(problems):
    return {tuple(sorted(problem)) for problem in problems}


@pytest.fixture
def own_traces(tmp_path, monkeypatch):
    """A file of traces as `lesson07_teacher` writes it: sample k in way k, and every tenth problem with a wrong answer."""
    rows = [
        {"id": f"{a}*{b}", "sample": k, "response": way(a, b) if place % 10 else way(a, b)[:-1]}
        for place, (a, b) in enumerate(pair.problems("train"))
        for k, way in enumerate(lesson07_teacher.WAYS)
    ]
    (tmp_path / "multiplication").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "multiplication" / "traces-free.parquet")
    monkeypatch.setattr(runtime, "data_folder", lambda: tmp_path)
    lesson07_steps.lessons.cache_clear()
    yield
    lesson07_steps.lessons.cache_clear()


def test_problems_to_train_on_to_validate_on_and_to_test_on_share_none_nor_its_mirror_image():
    parts = [mirrored(part) for part in (TRAIN, VALIDATION, pair.problems("test"))]
    assert (len(TRAIN), len(VALIDATION)) == (7100, 500) and set(pair.problems("validation")) <= set(VALIDATION)
    assert not any(parts[i] & parts[j] for i, j in ((0, 1), (0, 2), (1, 2)))


def test_all_arms_learn_the_same_problems_and_no_two_the_same_text(own_traces):
    prompts = [pair.prompt(a, b) for a, b in TRAIN]
    texts = {arm: lesson07_steps.lessons(material, 0) for arm, (material, _) in lesson07_steps.ARMS.items()}
    for arm, rows in texts.items():
        asked = [prompt for prompt, _ in rows]
        assert asked == prompts if arm != "free" else set(asked) < set(prompts) and len(asked) > 0.85 * len(prompts)
    assert [text for _, text in texts["steps"]] == [pair.steps(a, b) for a, b in TRAIN]
    assert texts["answer"] == texts["answer, equal tokens"]
    different = {tuple(rows) for rows in texts.values()}
    assert len(different) == len(lesson07_steps.ARMS) - 1 == len({m for m, _ in lesson07_steps.ARMS.values()})
    assert len(set(lesson07_steps.ARMS.values())) == len(lesson07_steps.ARMS)


def test_a_seed_takes_one_of_the_teachers_traces_of_each_problem_and_none_that_ends_wrong(own_traces):
    problems = {pair.prompt(a, b): (a, b) for a, b in TRAIN}
    for seed in (0, 1, 2, 3, 5):
        way = lesson07_teacher.WAYS[seed % 4]
        rows = lesson07_steps.lessons("free", seed)
        assert all(text == way(*problems[prompt]) for prompt, text in rows) and len(rows) == len(dict(rows))
    program = dict(lesson07_steps.lessons("steps", 0))
    assert sum(program[prompt] == text for prompt, text in lesson07_steps.lessons("free", 2)) < 0.01 * len(rows)


def test_what_is_random_in_a_text_is_the_seeds_own_and_nothing_else_is():
    for material in ("answer", "steps", "detailed", "mistake", "verified"):
        differ = lesson07_steps.lessons(material, 0) != lesson07_steps.lessons(material, 1)
        assert differ is (material in ("mistake", "verified"))


def test_the_teachers_ways_are_four_true_ways_to_the_answer():
    assert [way(23, 47) for way in lesson07_teacher.WAYS] == [
        "23*40+23*7=920+161=1081",
        "23*7+23*40=161+920=1081",
        "20*47+3*47=940+141=1081",
        "3*47+20*47=141+940=1081",
    ]
    for a, b in SOME:
        for way in lesson07_teacher.WAYS:
            assert pair.first_error(a, b, way(a, b)) is None and set(way(a, b)) <= set(pair.CHARACTERS)


@pytest.mark.parametrize("seed", [0, 7])
def test_arms_at_equal_tokens_learn_from_as_many_within_two_percent(own_traces, seed):
    def learned(arm):
        rows = lesson07_steps.lessons(lesson07_steps.ARMS[arm][0], seed)
        return lesson07_steps.steps_for(arm, seed) * on_multiplication.tokens_of(rows)

    for arm, (_, equal) in lesson07_steps.ARMS.items():
        if equal == "tokens":
            assert learned(arm) == pytest.approx(learned("steps"), rel=0.02), arm
        else:
            assert lesson07_steps.steps_for(arm, seed) == lesson07_steps.STEPS
    assert lesson07_steps.steps_for("steps", seed) == lesson07_steps.STEPS
    assert lesson07_explained.steps_for("explanation") == lesson07_explained.STEPS
    tokens = {arm: lesson07_explained.tokens_of(arm) for arm in lesson07_explained.ARMS}
    rows = pair.encode(word_problems.tokenizer(), lesson07_explained.lessons("explanation")[:500])
    assert tokens["explanation"] == pytest.approx(sum(sum(row["attention_mask"]) for row in rows) / 500, rel=0.02)
    counts = [lesson07_explained.steps_for(arm) * tokens[arm] for arm in lesson07_explained.ARMS]
    assert counts[0] == pytest.approx(counts[1], rel=0.02)


@pytest.mark.parametrize("lesson", [lesson07_steps, lesson07_explained], ids=lambda module: module.__name__[-9:])
def test_all_arms_of_a_comparison_try_the_same_rates_on_seeds_of_the_searchs_own(lesson):
    search, runs = lesson.EXPERIMENTS
    assert search.seeds == study.SEARCH_SEEDS and runs.seeds == tuple(range(10))
    tried = {arm: set() for arm in lesson.ARMS}
    for name in search.arms:
        arm, _, rate = name.rpartition(" at ")
        tried[arm].add(float(rate))
    (grid,) = {tuple(sorted(rates)) for rates in tried.values()}
    assert len(grid) >= 5 and np.allclose(np.diff(np.log2(grid)), 1)
    assert set(lesson.ARMS) <= set(runs.arms) and len(runs.groups()) in (500, 600)


def test_a_contrast_is_the_difference_of_two_means():
    values, kinds = np.array([1.0, 0, 1, 1, 0, 1]), np.array([0, 0, 0, 1, 1, 2])
    found = on_multiplication.contrast(values, kinds == 0, kinds == 1)
    assert found.mean() == pytest.approx(2 / 3 - 1 / 2) and found.shape == values.shape and found[-1] == 0


def test_scores_of_responses_count_the_last_attempt_and_what_the_check_gained():
    def asked(problems):
        return [
            f"{a * b + 1};n{a * b};y"
            if place % 4 == 0
            else f"{a * b};y"
            if place % 4 < 3
            else f"{a * b};n{a * b + 1};y"
            for place, (a, b) in enumerate(problems)
        ]

    found = lesson07_steps.tested(asked)
    assert found["accuracy"].tolist() == [1, 1, 1, 0] * 125 and found["flagged"] == 0.5
    assert found["gain of the check"].tolist() == [1, 0, 0, -1] * 125 and found["three digits"] == 0.75
    assert found["more carries minus none"].mean() == pytest.approx(found["more carries"] - found["no carry"])
    problems, made = pair.problems("test"), asked(pair.problems("test"))
    many = [(p, text) for p, text in zip(problems, made) if pair.carries(*p) > 1]
    assert found["more carries"] == pytest.approx(on_multiplication.accuracy(*zip(*many)))
    assert found["tokens"] == sum(len(text) + 1 for text in made) / 500


def test_mirror_images_are_one_group_of_test_items():
    groups = Counter(lesson07_steps.groups())
    assert set(groups.values()) == {1, 2} and len(groups) == len(mirrored(pair.problems("test")))


def test_word_problems_of_one_form_are_one_group():
    parts = lesson07_explained.split()
    one = parts["seen"][0]
    names = one._replace(prompt=one.prompt.replace("Mia", "Leo").replace("12", "9"))
    assert lesson07_explained.form(names) == lesson07_explained.form(one)
    example = one._replace(prompt="Mia has 12 pears . she finds 3 more . how many pears are left ?")
    assert lesson07_explained.form(example) == "_ has _ _ . _ finds _ more . how many _ are left ?"
    for problem in parts["seen"]:
        assert not any(word in lesson07_explained.form(problem) for word in ("Mia", " she ", "pears", "1", "2"))
    assert 100 < len(set(lesson07_explained.groups())) < 600
    prompts = [{problem.prompt for problem in part} for part in parts.values()]
    assert sum(map(len, prompts)) >= len(set().union(*prompts)) and not prompts[1] & (prompts[0] | prompts[2])
    assert not prompts[0] & (prompts[2] | prompts[3]) and len(parts["validation"]) == 500
    four = lesson07_explained.tested(parts["seen"], np.array([float(p.steps == 4) for p in parts["seen"]]))
    assert four["four steps minus one"].mean() == pytest.approx(1) and four["accuracy, 4 steps"] == 1


def recorded(folder, shares):
    """Tables as the experiments write them, of students that are right in these shares of the problems."""

    def made(problems, share, seed, right, wrong):
        chance = random.Random(f"{share} {seed}")
        return [(right if chance.random() < share else wrong)(problem) for problem in problems]

    def steps(arm, seed):
        return lesson07_steps.tested(
            lambda problems: made(
                problems, shares[arm], seed, lambda p: str(p[0] * p[1]), lambda p: str(p[0] * p[1] + 1)
            )
        )

    def explained(arm, seed):
        problems = lesson07_explained.split()["seen"]
        found = np.array(made(problems, shares[arm], seed, lambda p: 1.0, lambda p: 0.0))
        return lesson07_explained.tested(problems, found) | {"held out accuracy": shares[arm]}

    for lesson, run in ((lesson07_steps, steps), (lesson07_explained, explained)):
        (_, runs) = lesson.EXPERIMENTS
        fake = Experiment(runs.name, runs.arms, (0, 1, 2), run, groups=runs.groups)
        results.record(fake, folder, folder / "parts", lambda line: None)


def test_the_claims_read_what_is_recorded_and_ask_their_premises_first(tmp_path):
    shares = {"teacher": 0.96, "answer": 0.1, "answer, equal tokens": 0.2, "steps": 0.8, "free": 0.7, "detailed": 0.98,
              "mistake": 0.5, "verified": 0.01, "explanation": 0.85}  # fmt: skip
    recorded(tmp_path / "a", shares)
    found = {(row["claim"], row["arms"][0], row["metric"]): row for row in claims.ledger("07", tmp_path / "a")}
    assert {claim for claim, _, _ in found} == {"C12a", "C12b", "C13a", "C13b", "C13c", "C33"}
    assert found["C12a", "free", "accuracy"]["verdict"] == stated.SUPPORTED
    assert found["C13a", "detailed", "accuracy"]["verdict"] == stated.SUPPORTED
    assert found["C13b", "mistake", "accuracy"]["verdict"] == stated.CONTRADICTED
    assert found["C13c", "verified", "accuracy"]["verdict"] == stated.UNTESTABLE  # on the floor
    assert found["C33", "explanation", "accuracy"]["verdict"] == stated.SUPPORTED
    assert all(
        row["items"] in (500, 600) for key, row in found.items() if key[2] in ("accuracy", "four steps minus one")
    )
    assert all(len(row["arms"]) == 1 or row["premises"] for row in found.values())
    recorded(
        tmp_path / "b",
        shares | {"teacher": 0.8, "steps": 0.99, "answer, equal tokens": 0.97, "answer": 0.97, "explanation": 0.99},
    )
    for row in claims.ledger("07", tmp_path / "b"):
        assert (row["verdict"] == stated.UNTESTABLE) is (row["metric"] != "three digits"), row
