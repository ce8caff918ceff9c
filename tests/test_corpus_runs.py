"""The runs on the corpus at temperature 1: examples of a seed, a teacher that is looked up, rates of two budgets, scores."""

import functools
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from helpers import peaked
from transformers import LlamaConfig, LlamaForCausalLM

from distill_lessons import evaluation, losses, runtime, training
from distill_lessons.course import results
from distill_lessons.course.experiments import lesson04_flagship, on_corpus, study
from distill_lessons.models import response_logits
from distill_lessons.pairs import smollm, smollm_corpus
from distill_lessons.teacher import generation, targets
from distill_lessons.teacher.text import encode
from distill_lessons.training.features import Matching

# --- Examples -----------------------------------------------------------------------------------------------------------


def test_a_seed_draws_whole_examples_until_the_budget_and_none_twice():
    sizes = [3, 5, 2, 8, 4, 6, 1, 7]
    for tokens in (1, 9, 20, 36):
        for seed in range(4):
            found = on_corpus.drawn(seed, tokens, sizes)
            spent = sum(sizes[place] for place in found)
            assert len(set(found)) == len(found) and found == on_corpus.drawn(seed, tokens, sizes)
            longer = on_corpus.drawn(seed, 36, sizes)
            assert longer[: len(found)] == found and len(longer) == 8  # the short budget's come first in the long one
            others = [sum(sizes[place] for place in longer[:count]) for count in range(1, 9)]
            assert abs(spent - tokens) == min(abs(other - tokens) for other in others)
    assert on_corpus.drawn(0, 30, sizes) != on_corpus.drawn(1, 30, sizes)
    with pytest.raises(ValueError, match="37 response tokens were asked for and the corpus has 36"):
        on_corpus.drawn(0, 37, sizes)


# --- A teacher that is looked up ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """A teacher of four layers with stored draws of twelve examples, and its student of two layers' width."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=64, hidden_size=16, intermediate_size=32, num_hidden_layers=4, num_attention_heads=2,
        num_key_value_heads=1, max_position_embeddings=64, eos_token_id=1, pad_token_id=0, bos_token_id=1,
    )  # fmt: skip
    teacher = peaked(LlamaForCausalLM(config), 20).eval().requires_grad_(False)
    generator, rows = torch.Generator().manual_seed(1), []
    for number in range(12):
        ids = torch.randint(2, 64, (6 + number % 5,), generator=generator).tolist()
        rows.append({"id": f"train-{number}", "input_ids": ids, "labels": [-100] * 3 + ids[3:]})
    folder = tmp_path_factory.mktemp("targets")
    tokenizer = smollm.tokenizer()
    targets.store(folder, teacher, tokenizer, rows, shard_rows=5, batch_size=4)
    return teacher, tokenizer, targets.load(folder), rows


@pytest.fixture()
def remembered(tiny, tmp_path, monkeypatch):
    """A file of the tiny teacher's states, where they begin in it, and each row's number."""
    teacher, tokenizer, stored, _ = tiny
    monkeypatch.setattr(on_corpus, "material", lambda: (teacher, tokenizer, stored))
    monkeypatch.setattr(on_corpus, "LAST", 4)
    path = tmp_path / "states.safetensors"
    on_corpus.remember_states(path, [1, 3])
    sizes = [len(each) for each in stored["sizes"]]
    return path, [0, *np.cumsum(sizes).tolist()], {name: place for place, name in enumerate(stored["id"])}


@pytest.mark.parametrize("how", [{}, {"temperature": 3.0}, {"alpha": 0.6}, {"features": {1: 1, 2: 3, 4: 4}}], ids=str)
def test_a_remembered_teacher_teaches_as_one_in_the_loop(tiny, remembered, how, tmp_path):
    teacher, tokenizer, stored, _ = tiny
    path, starts, places = remembered
    found = []
    for kind in (training.DistillationTrainer, on_corpus.Remembering):
        torch.manual_seed(2)
        student = peaked(LlamaForCausalLM(teacher.config), 5)
        options = dict(how)
        if "features" in how:
            options["features"] = Matching(how["features"], 16, 16)
        memory = {"states": path, "starts": starts} if kind is on_corpus.Remembering else {}
        trainer = kind(
            model=student,
            teacher=teacher,
            args=training.settings(4, 3, 1e-2, 0, output_dir=str(tmp_path), use_cpu=True),
            train_dataset=stored.select([7, 2, 11, 0, 5, 9, 1, 3, 10, 4, 8, 6]),
            processing_class=tokenizer,
            data_collator=on_corpus.Placed(0, places) if memory else targets.Collator(0),
            **options,
            **memory,
        )
        trainer.train()
        logs = [log for log in trainer.state.log_history if "loss" in log]
        found.append([log[name] for log in logs for name in ("loss", "features") if name in log])
    assert len(found[0]) == (8 if "features" in how else 4)
    assert found[0] == pytest.approx(found[1], rel=0.01)  # the states are kept in bfloat16


def test_the_students_states_are_matched_with_those_that_its_next_layer_received():
    layers = on_corpus.matched()
    assert list(layers) == list(range(1, 11)) and layers[10] == 30
    assert layers[1] == 1 and list(layers.values()) == sorted(set(layers.values()))


# --- Scores -------------------------------------------------------------------------------------------------------------


def test_scores_are_a_number_a_prompt_in_the_order_of_its_topics(tiny, monkeypatch):
    teacher, tokenizer, _, rows = tiny
    torch.manual_seed(3)
    student = peaked(LlamaForCausalLM(teacher.config), 5).eval()
    said = [{"id": row["id"], "topic": f"topic {place % 3}"} for place, row in enumerate(rows)]
    monkeypatch.setattr(on_corpus, "material", lambda: (teacher, tokenizer, None))
    monkeypatch.setattr(smollm_corpus, "rows", lambda split: said)
    monkeypatch.setattr(on_corpus, "encode", lambda tokenizer, given, max_response: rows)
    monkeypatch.setattr(on_corpus, "judged", lambda student: 1.5)
    for function in (on_corpus.held_out, on_corpus.teacher_tokens):
        monkeypatch.setattr(on_corpus, function.__name__, functools.cache(function.__wrapped__))
    found = on_corpus.scores(student, "test")
    order = sorted(range(12), key=lambda place: len(rows[place]["input_ids"]))
    assert on_corpus.groups() == [f"topic {place % 3}" for place in order]
    collate = on_corpus.collator(tokenizer)
    for where, place in enumerate(order):
        ours, labels = response_logits(student, collate([rows[place]]))
        theirs, _ = response_logits(teacher, collate([rows[place]]))
        assert found["kl"][where] == pytest.approx(losses.forward_kl(ours, theirs).item(), rel=1e-4)
        assert found["agreement"][where] == pytest.approx((ours.argmax(-1) == theirs.argmax(-1)).float().mean().item())
        surprise = torch.nn.functional.cross_entropy(ours, labels).item()
        assert found["cross_entropy"][where] == pytest.approx(surprise, rel=1e-4)
    assert found["judged"] == 1.5 and found["transfer ratio"] >= 0
    means = on_corpus.scores(student, "validation")
    assert means == {name: pytest.approx(np.mean(found[name])) for name in ("kl", "agreement", "cross_entropy")}
    assert on_corpus.scores(teacher, "validation")["kl"] == pytest.approx(0, abs=1e-5)


def test_what_a_student_says_is_judged_by_the_teachers_surprise(tiny, monkeypatch):
    teacher, tokenizer, _, _ = tiny
    said = [("a b", True), ("", True), ("c", False)]
    monkeypatch.setattr(on_corpus, "material", lambda: (teacher, tokenizer, None))
    monkeypatch.setattr(smollm_corpus, "rows", lambda split: [{"prompt": "p"}, {"prompt": "q"}, {"prompt": "r"}])
    asked = {}
    monkeypatch.setattr(generation, "generate", lambda *given, **how: asked.update(how) or said)
    rows = [{"input_ids": [5, 6, 7, 8], "labels": [-100, 6, 7, 8]}, {"input_ids": [9, 10], "labels": [-100, 10]}]

    def two(tokenizer, given, max_response):
        assert [row["response"] for row in given] == ["a b", "c"] and [row["finished"] for row in given] == [
            True,
            False,
        ]
        return rows

    monkeypatch.setattr(on_corpus, "encode", two)
    logits, labels = response_logits(teacher, on_corpus.collator(tokenizer)(rows))
    expected = torch.nn.functional.cross_entropy(logits, labels).item()
    assert on_corpus.judged(None) == pytest.approx(expected, rel=1e-4)
    assert asked["temperature"] == 1.0


# --- Rates of two budgets -----------------------------------------------------------------------------------------------


def tried(*found):
    rows = [(on_corpus.near("a", step), "kl", value) for step, value in found] + [("a, rate × 8", "needed", 0.0)]
    return pd.DataFrame([{"arm": arm, "seed": 100, "metric": metric, "value": value} for arm, metric, value in rows])


def test_the_best_of_the_rates_near_by_is_taken_and_never_the_last_that_was_tried():
    assert on_corpus.best_step("a", tried((-1, 2.1), (0, 2.0), (1, 2.2))) == 0
    lowest = tried((-3, 2.0), (-2, 2.1), (-1, 2.2))
    assert on_corpus.best_step("a", lowest, end=True) == -3
    with pytest.raises(ValueError, match="a, rate × 0.125 is the last that was tried"):
        on_corpus.best_step("a", lowest)
    assert on_corpus.best_step("a", lowest, tried((-5, 2.5), (-4, 2.05))) == -3
    with pytest.raises(ValueError, match="a, rate × 4 is the last"):
        on_corpus.best_step("a", tried((0, 2.1), (1, 1.9)), tried((2, 1.8)))


def test_each_budget_runs_at_its_own_rate(tmp_path, monkeypatch):
    """The best rate is 1.4e-3 for 15,000 tokens; for 110,000 half of it, or a sixteenth: the search must find all."""
    asked = []
    best = {"a": {15_000: 1.4e-3, 110_000: 0.7e-3}, "b": {15_000: 1.4e-3, 110_000: 8.75e-5}}

    def learned(arm, seed, rate, tokens):
        asked.append((arm, seed, rate, tokens))
        return (arm, seed, rate, tokens), {"tokens": tokens}

    def scores(student, split):
        arm, seed, rate, tokens = student
        kl = 2 + np.log2(rate / best[arm][tokens]) ** 2 + 0.01 * (seed % 3)
        return {"kl": [kl, kl + 1] if split == "test" else kl}

    monkeypatch.setattr(on_corpus, "scores", scores)
    monkeypatch.setattr(on_corpus, "groups", lambda: ["one", "two"])
    monkeypatch.setattr(results, "load", functools.partial(results.load, folder=tmp_path))
    made = {}
    for experiment in on_corpus.both_budgets("lesson99", ["a", "b"], learned):
        assert experiment.devices == ("cpu", "cuda")
        experiment = replace(experiment, module=__name__, groups=on_corpus.groups)
        made[experiment.name] = results.record(experiment, tmp_path, tmp_path / "parts", say=lambda line: None)
    assert list(made) == [f"lesson99-corpus-{part}" for part in ("rates", "15K", "rates-near", "rates-further", "110K")]
    short = [(arm, seed, rate) for arm, seed, rate, tokens in asked if tokens == 15_000 and seed >= 100]
    assert sorted(short) == sorted(
        (arm, seed, rate) for arm in "ab" for seed in (100, 101, 102) for rate in on_corpus.RATES
    )
    assert study.SEARCH_SEEDS == (100, 101, 102)
    runs = {(arm, seed, round(rate / 1.4e-3, 4), tokens) for arm, seed, rate, tokens in asked if seed < 100}
    found = {("a", 15_000): 1, ("b", 15_000): 1, ("a", 110_000): 0.5, ("b", 110_000): 0.0625}
    assert runs == {(arm, seed, rate, tokens) for (arm, tokens), rate in found.items() for seed in range(5)}
    for arm, beyond in (("a", []), ("b", [1 / 32, 1 / 16])):  # two further ones where the lowest was the best
        rates = [rate / 1.4e-3 for each, seed, rate, tokens in asked if (each, seed, tokens) == (arm, 100, 110_000)]
        assert sorted(rates) == pytest.approx([*beyond, 1 / 8, 1 / 4, 1 / 2, 1, 2])
    assert results.per_seed(made["lesson99-corpus-110K"], "kl", "a").mean() == pytest.approx(2.5 + 0.008, abs=1e-3)


# --- The corpus ---------------------------------------------------------------------------------------------------------


def test_the_corpus_is_the_teachers_own_distribution():
    """Sampled at temperature 1 from all tokens, its text is worth the teacher's entropy, and a cooler one is not."""
    call = generation.provenance(pq.read_table(smollm_corpus.folder() / "responses.parquet"))["call"]
    assert call["temperature"] == 1 and "top_k" not in call and "top_p" not in call
    rows = smollm_corpus.rows()
    splits = {name: [row for row in rows if row["split"] == name] for name in ("train", "validation", "test")}
    assert len(splits["test"]) > 190 and len(splits["validation"]) > 95
    held = {row["topic"] for name in ("validation", "test") for row in splits[name]}
    assert not held & {row["topic"] for row in splits["train"]}
    tokenizer = smollm.tokenizer()
    stored = targets.load(smollm_corpus.folder() / "targets", tokenizer, 49152)
    assert sorted(stored["id"]) == sorted(row["id"] for row in splits["train"])
    assert sum(map(len, stored["sizes"])) >= on_corpus.BUDGETS["110K"]
    teacher = smollm.teacher()
    examples = encode(tokenizer, splits["test"][:16], max_response=smollm_corpus.MAX_NEW_TOKENS + 1)
    batch = on_corpus.collator(tokenizer)(examples)
    tokens = evaluation.next_tokens(teacher, [batch])
    logits, _ = response_logits(teacher, batch)
    entropy = losses.entropy(logits).mean().item()
    error = tokens["surprise"].std() / np.sqrt(len(tokens["surprise"]))
    assert abs(tokens["surprise"].mean() - entropy) < 4 * error


# --- The flagship -------------------------------------------------------------------------------------------------------


def test_a_long_run_sees_every_example_before_any_again_and_counts_its_tokens():
    sizes = [5, 9, 2, 7, 4, 8, 3, 6, 1, 10] * 5
    order, steps = lesson04_flagship.planned(3, sizes, 700)
    assert len(order) % lesson04_flagship.BATCH == 0
    for start in range(0, len(order) - 50, 50):
        assert sorted(order[start : start + 50]) == list(range(50))
    assert order[:50] != order[50:100]
    for step, seen in steps.items():
        assert seen == sum(sizes[place] for place in order[: step * lesson04_flagship.BATCH])
    last = max(steps)
    assert last == len(order) // lesson04_flagship.BATCH and steps[last] >= 700
    assert steps[last] - sum(sizes[place] for place in order[-lesson04_flagship.BATCH :]) < 700


def test_a_long_run_that_was_cut_off_keeps_its_scores_and_ends_where_a_whole_one_does(tiny, tmp_path, monkeypatch):
    teacher, tokenizer, stored, _ = tiny
    monkeypatch.setattr(on_corpus, "material", lambda: (teacher, tokenizer, stored))
    for name, value in {"TOKENS": 300, "BATCH": 4, "SAVED": 5, "RATE": 1e-2, "DEPTHS": {"4 layers": 4}}.items():
        monkeypatch.setattr(lesson04_flagship, name, value)
    monkeypatch.setattr(lesson04_flagship, "samples", lambda model: {"p": "said"})
    monkeypatch.setattr(results, "recorded_folder", lambda device="cpu": tmp_path)
    batch = targets.Collator(0)(list(stored.select(range(12))))
    cut_at = []

    def scores(student, split):
        if cut_at and len(asked) == cut_at[0]:
            raise KeyboardInterrupt
        asked.append(split)
        return {"kl": [evaluation.closeness(student, teacher, [batch])["kl"]], "judged": 1.0, "ece": 0.5}

    monkeypatch.setattr(on_corpus, "scores", scores)
    found = []
    for name, cut in (("whole", None), ("cut", 6)):
        monkeypatch.setattr(runtime, "REPOSITORY", tmp_path / name)
        asked = []
        if cut:
            cut_at.append(cut)
            with pytest.raises(KeyboardInterrupt):
                lesson04_flagship.run("4 layers", 0)
            cut_at.clear()
        found.append(lesson04_flagship.run("4 layers", 0))
    assert found[0] == pytest.approx(found[1], rel=1e-4)
    kept = [name for name in found[0] if name.startswith("kl at")]
    steps = lesson04_flagship.planned(0, [len(each) for each in stored["sizes"]], 300)[1]
    assert kept == [f"kl at {seen}" for seen in steps.values()] and "ece at" not in " ".join(found[0])
    assert len({found[0][name] for name in kept}) == len(kept)  # the student moved between any two scores
