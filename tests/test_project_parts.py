"""The parts of a project: its settings, each kind of teacher, filters, what a student reads, and what a test can say."""

import inspect
import json
import math
import os
import sys

import numpy as np
import pandas as pd
import project_tables as tables
import pytest
import torch
from scipy import stats
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

import distill_lessons.__main__ as cli
from distill_lessons import project
from distill_lessons.project import config, exporting, judging, learning, selecting, students, teaching
from distill_lessons.project.stages import Result, fingerprint, stage

# --- project.toml -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "content, said",
    [
        ("[teacher]\nkind = 'tunned'", "did you mean tuned"),
        ("[table]\ntxt = 'a'", "did you mean text"),
        ("[tabel]\n", "did you mean table"),
        ("[report]\nmargin = 2", "margin in \\[report\\] .* between 0.0001 and 0.5"),
        ("[report]\nmargin = nan", "margin in"),
        ("[student]\nsteps = 1.5", "steps in \\[student\\] .* must be a whole number"),
        ("[student]\nsteps = true", "whole number"),
        ("[student]\nkinds = []", "kinds in \\[student\\] .* is empty"),
        ("[student]\nkinds = [3]", "kinds in"),
        ("[student]\nwidth = 30", "multiple of 4"),
        ("[student]\nrates = { bag = 'x' }", "rates.bag"),
        ("[table]\nclasses = ['a']", "two or more"),
        ("[table]\nclasses = ['a', 'a ']", "without spaces"),
        ("[table]\nseparator = '::'", "one sign"),
        ("[prices]\nteacher = -1", "teacher in \\[prices\\]"),
        ("filters = ['length']", "filters in project.toml must be a list"),
        ("table = 3", "must be a section"),
        ("[table", "cannot be read"),
    ],
)
def test_a_setting_that_cannot_be_is_named(tmp_path, content, said):
    (tmp_path / "project.toml").write_text(content, encoding="utf-8")
    with pytest.raises(ValueError, match=said) as told:
        project.settings(tmp_path)
    assert len(str(told.value).splitlines()) == 1
    with pytest.raises(FileNotFoundError, match="distill-lessons new"):
        project.settings(tmp_path / "nowhere")


# --- Stages -----------------------------------------------------------------------------------------------------------


def test_a_stage_is_made_once_for_its_inputs_and_again_for_others(tmp_path):
    made = []

    def make():
        made.append(1)
        return {"n": len(made), "odd": "ü\n", "inf": math.inf}, {"t": torch.arange(6).view(2, 3).T}

    first = stage(tmp_path, "a/b", {"x": 1, "y": [2]}, make)
    second = stage(tmp_path, "a/b", {"y": [2], "x": 1}, make)
    assert (second.key, second.values) == (first.key, first.values) and torch.equal(
        second.tensors["t"], first.tensors["t"]
    )
    assert (
        len(made) == 1 and first.values["inf"] == math.inf and first.tensors["t"].tolist() == [[0, 3], [1, 4], [2, 5]]
    )
    assert stage(tmp_path, "a/b", {"x": 1, "y": [3]}, make).values["n"] == 2
    assert stage(tmp_path, "a/c", {"x": 1, "y": [2]}, make).key != first.key
    assert fingerprint({"x": 1}) != fingerprint({"x": "1"})


# --- Teachers ---------------------------------------------------------------------------------------------------------


def taught(settings, **more):
    table = project.read(settings)
    split = project.split(settings, table)
    return table, split, project.teach(settings, table, split, **more)


def test_words_are_counted_whole_and_silence_is_no_answer():
    words = {"good": ["warm", "not bad"], "bad": ["bad", "c++"]}
    texts = ["Warm, warm days", "NOT BAD", "warmer badly", "c++ is", "nothing"]
    found = teaching.by_words(texts, words, ["bad", "good"])
    assert found[0].tolist() == pytest.approx([1 / (1 + math.e**2), 1 / (1 + math.e**-2)])
    assert found[1].tolist() == pytest.approx([0.5, 0.5]) and found[3, 0] > 0.7
    assert found[[2, 4]].isnan().all()


@pytest.mark.parametrize("logits", [False, True])
@pytest.mark.parametrize("where", ["table", "parquet", "key"])
def test_stored_probabilities_reach_the_rows_that_they_are_of(tmp_path, where, logits):
    rows, rng = tables.texts(120), np.random.default_rng(0)
    scores = rng.normal(size=(120, 2))
    given = scores if logits else torch.from_numpy(scores).softmax(1).numpy()
    frame = pd.DataFrame({"id": [f"n{place}" for place in range(120)], "text": [text for text, _ in rows]})
    frame["label"] = [name for _, name in rows]
    stored = pd.DataFrame({"id": frame["id"], "p1": given[:, 1], "p2": given[:, 0]})
    about = {"kind": "probabilities", "columns": {"good": "p1", "bad": "p2"}, "logits": logits}
    if where == "table":
        frame = frame.merge(stored, on="id")
    elif where == "parquet":
        stored.to_parquet(tmp_path / "t.parquet")
        about |= {"file": "t.parquet"}
    else:
        stored.sample(frac=1, random_state=0).iloc[:100].to_csv(tmp_path / "t.csv", index=False)
        about |= {"file": "t.csv", "key": "id"}
    frame.to_csv(tmp_path / "texts.csv", index=False)
    _, split, teacher = taught(config.from_dict(tmp_path, {"table": {"label": "label"}, "teacher": about}))
    found = teacher.tensors["probabilities"]
    there = ~found.isnan().any(1)
    expected = torch.from_numpy(scores).softmax(1).float()
    torch.testing.assert_close(found[there], expected[there])
    assert there.sum() == (split.tensors["split"] >= 0).sum() - teacher.values["unread"]
    assert (teacher.values["unread"] == 0) == (where != "key")


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda frame: frame.assign(p1=2.0), "sum to 1"),
        (lambda frame: frame.assign(p1=-0.5, p2=1.5), "sum to 1"),
        (lambda frame: frame.assign(p1=["x"] * 60 + [0.5] * 60), "column 'p1' holds 'x'"),
        (lambda frame: frame.assign(p1=math.inf), "must be finite"),
        (lambda frame: frame.drop(columns="p2"), "no column 'p2'"),
        (lambda frame: frame.assign(p1="", p2=""), "answered for none"),
    ],
)
def test_stored_numbers_that_are_no_probabilities_are_told(tmp_path, change, said):
    rows = tables.texts(120)
    frame = pd.DataFrame(rows, columns=["text", "label"]).assign(p1=0.25, p2=0.75)
    change(frame).to_csv(tmp_path / "texts.csv", index=False)
    about = {"kind": "probabilities", "columns": {"good": "p2", "bad": "p1"}}
    with pytest.raises(ValueError, match=said):
        taught(config.from_dict(tmp_path, {"table": {"label": "label"}, "teacher": about}))


def test_code_of_the_readers_own_runs_only_when_allowed_and_only_from_the_folder(tmp_path, capsys):
    folder = tables.tiny(tmp_path / "mine", count=100, teacher={"function": "rules:judge"})
    (folder / "rules.py").write_text(
        "open(__file__ + '.ran', 'w').close()\n"
        "def judge(text):\n    return None if 'boraa' in text else 'good' if 'warm' in text else {'bad': 0.75, 'good': 0.25}\n"
    )
    assert cli.main(["distil", str(folder)]) == 1
    assert "say --allow-code" in capsys.readouterr().err and not (folder / "rules.py.ran").exists()
    table, _, teacher = taught(project.settings(folder), allow_code=True)
    for text, row in zip(table.texts, teacher.tensors["probabilities"]):
        if not row.isnan().any():
            assert row.tolist() == ([0, 1] if "warm" in text else [0.75, 0.25])
    for name in ("../rules:judge", "os:system", "rules.judge", "rules:nothing"):
        text = (folder / "project.toml").read_text().replace("rules:judge", name)
        (folder / "project.toml").write_text(text)
        with pytest.raises((ValueError, OSError), match="function|no os.py"):
            taught(project.settings(folder), allow_code=True)
        (folder / "project.toml").write_text(text.replace(name, "rules:judge"))
    (folder / "rules.py").write_text("def judge(text):\n    return 'excellent'\n")
    with pytest.raises(ValueError, match="gave {'excellent': 1.0} for row"):
        taught(project.settings(folder), allow_code=True)
    assert "rules" not in sys.modules and not (folder / "__pycache__").exists()


def test_a_served_teacher_is_paid_once_for_each_text_even_when_it_falls_over(tmp_path, monkeypatch):
    monkeypatch.setattr(teaching, "PART", 16)
    changes = {"teacher": {"kind": "served", "url": "http://none", "model": "m", "samples": 2, "budget": 0.1}}
    settings = tables.settings(tmp_path / "mine", count=120, **changes)  # at 2.0 per 1,000: 50 texts
    asked = []

    def ask(prompts):
        if len(asked) == 60:
            asked.append(None)
            raise OSError("the line is dead")
        asked.extend(prompts)
        return [
            "I think: GOOD!" if "warm" in prompt else "bad, not good" if "cold" in prompt else None
            for prompt in prompts
        ]

    monkeypatch.setattr(teaching, "asker", lambda *_: pytest.fail("the server was asked"))
    settings.folder.joinpath("work").mkdir()
    table, split, teacher = None, None, None
    for _ in range(2):
        try:
            table, split, teacher = taught(settings, ask=ask)
        except OSError:
            asked.remove(None)
            asked.extend(["x"] * 100)  # does not fall over again
    paid = [one for one in asked if one != "x"]
    assert teacher.values["asked"] == teacher.values["affordable"] == 50 and teacher.values["spent"] == pytest.approx(
        0.1
    )
    assert len(set(paid)) == 50 and len(paid) == 100
    for text, row in zip(table.texts, teacher.tensors["probabilities"]):
        if text in "\n".join(paid) and ("warm" in text or "cold" in text):
            assert row.tolist() == ([0, 1] if "warm" in text else [1, 0])
    more = tables.settings(tmp_path / "mine", count=120, **{"teacher": changes["teacher"] | {"budget": 0.14}})
    assert taught(more, ask=ask)[2].values["asked"] == 70 and len([one for one in asked if one != "x"]) == 140
    with pytest.raises(ValueError, match="buys no answer"):
        taught(
            tables.settings(tmp_path / "mine", count=120, **{"teacher": changes["teacher"] | {"budget": 0.001}}),
            ask=ask,
        )


def test_the_server_of_the_settings_is_asked_with_a_seed_a_sample(tmp_path, monkeypatch):
    plain, seen = inspect.signature(teaching.served.ask), []

    def ask(*given, **named):
        told = plain.bind(*given, **named).arguments
        seen.append((told["url"], told["model"], told["seed"], told["temperature"]))
        answers = [teaching.served.Answer(text.upper(), True, 1, 1) for text in told["prompts"]]
        return teaching.served.Asked([*answers[:-1], None], {})

    monkeypatch.setattr(teaching.served, "ask", ask)
    about = config.TeacherSettings(kind="served", url="http://x/v1", model="m", samples=2)
    one = teaching.asker(about, tmp_path / "served.jsonl")
    assert [one(["a", "b"]) for _ in range(3)] == [["A", None]] * 3
    assert seen == [("http://x/v1", "m", seed, 0.8) for seed in (0, 1, 0)]


@pytest.mark.parametrize(
    "answer, number",
    [
        ("good", 0),
        ("It is Not Good.", 1),
        ("goodness", None),
        ("bad or good", 2),
        ("", None),
        (None, None),
        ("not good", 1),
        ("Bad taste", 3),
    ],
)
def test_an_answer_is_the_class_that_it_names_first(answer, number):
    assert teaching.named(answer, ["good", "not good", "bad", "bad taste"]) == number


def test_a_prompt_holds_the_text_as_it_stands():
    assert teaching.prompt_for("{classes} {x}", "{text}|{classes}|{y}", ["a", "b"]) == "{classes} {x}|a, b|{y}"


def test_shares_count_only_answers_that_name_a_class():
    found = teaching.shares([["a", "a", "b", "?"], ["?", None, "", "c"]], ["a", "b"])
    assert found[0].tolist() == pytest.approx([2 / 3, 1 / 3]) and found[1].isnan().all()


@pytest.fixture(scope="module")
def small_model(tmp_path_factory):
    """A language model with one layer and random weights, as a folder."""
    folder = tmp_path_factory.mktemp("model")
    known = ["<pad>", "<unk>", *tables.WORDS["good"], *tables.WORDS["bad"], *tables.OTHERS]
    plain = Tokenizer(models.WordLevel({word: place for place, word in enumerate(known)}, "<unk>"))
    plain.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=plain, pad_token="<pad>", unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    shape = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=len(known), pad_token_id=0, **shape)).save_pretrained(folder)
    return str(folder)


def test_a_model_is_tuned_on_the_labels_once(tmp_path, small_model):
    about = {"kind": "tuned", "rates": [1e-5, 3e-2], "epochs": 6, "batch": 8}
    settings = tables.settings(tmp_path / "mine", count=200, labelled=1, teacher=about)
    told = []
    table, split, teacher = taught(settings, model=small_model, tell=told.append)
    kept = split.tensors["split"] >= 0
    right = (teacher.tensors["probabilities"].argmax(1) == split.tensors["label"])[kept].float().mean()
    assert right > 0.8  # the low rate leaves the random head at about a half
    assert sum(line.startswith("teacher-parts/tuned") for line in told) == 2
    (settings.folder / "work" / "teacher.safetensors").unlink()
    told.clear()
    _, _, again = taught(settings, model=small_model, tell=told.append)
    assert torch.equal(again.tensors["probabilities"], teacher.tensors["probabilities"])
    assert [line for line in told if "done before" not in line and "known before" not in line][:-1] == []
    with pytest.raises(ValueError, match="20 at least, and there are [01]"):
        taught(
            tables.settings(tmp_path / "mine", labelled=999, table={"classes": ["bad", "good"]}, teacher=about),
            model="x",
        )


# --- What the student learns from -------------------------------------------------------------------------------------


def test_a_target_is_the_label_the_teacher_or_their_mixture():
    probabilities = torch.tensor([[0.2, 0.8], [math.nan, math.nan], [0.4, 0.6], [math.nan, math.nan]])
    target = selecting.mixture(probabilities, torch.tensor([0, 1, -1, -1]), 0.25)
    assert target[:3].tolist() == [pytest.approx([0.4, 0.6]), [0, 1], pytest.approx([0.4, 0.6])]
    assert target[3].isnan().all() and probabilities[0].tolist() == pytest.approx([0.2, 0.8])


def test_filters_drop_training_rows_alone_and_say_how_many(tmp_path):
    filters = [{"name": "length", "least": 3}, {"name": "confidence", "least": 0.8}, {"name": "agreement"}]
    settings = tables.settings(tmp_path / "mine", count=300, filters=filters)
    table, split, teacher = taught(settings)
    data = project.select(settings, table, split, teacher)
    used, sure = data.tensors["used"], teacher.tensors["probabilities"].max(1).values
    assert set(split.tensors["split"][used].tolist()) == {project.TRAIN}
    assert not (used & (sure < 0.8)).any() and (used & sure.isnan()).any()
    label, says = split.tensors["label"], teacher.tensors["probabilities"].nan_to_num(0).argmax(1)
    assert not (used & ~sure.isnan() & (label >= 0) & (label != says)).any()
    steps = data.values["steps"]
    assert [step["filter"] for step in steps] == [
        "neither label nor teacher",
        "contamination",
        "length",
        "confidence",
        "agreement",
    ]
    assert all(one["out"] == two["in"] for one, two in zip(steps, steps[1:])) and steps[-1]["out"] == used.sum()


@pytest.mark.parametrize(
    "filters, said",
    [
        ([{"name": "lenght"}], "did you mean length"),
        ([{"name": "length", "lest": 3}], "filter length"),
        ([{"name": "length", "least": 10**6}], "0 rows are left to learn from"),
    ],
)
def test_a_filter_that_cannot_be_is_told(tmp_path, filters, said):
    settings = tables.settings(tmp_path / "mine", count=100, filters=filters)
    with pytest.raises(ValueError, match=said):
        project.select(settings, *taught(settings))


# --- Students ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text, expected",
    [
        ("It's GOOD, 3.5 of 5 :)", ["it's", "good", ",", "0", ".", "0", "of", "0", ":)"]),
        ("Für Bücher", ["für", "bücher"]),
        ("Fu\u0308r", ["für"]),
        ("हिन्दी में", ["हिन्दी", "में"]),
        ("مرحبا بالعالم", ["مرحبا", "بالعالم"]),
        ("很好 book", ["很", "好", "book"]),
        ("ดี", ["ด", "ี"]),
        ("とても良い", list("とても良い")),
        ("", []),
    ],
)
def test_words_of_many_languages(text, expected):
    assert students.words(text) == expected


def test_a_vocabulary_is_in_one_order_and_leaves_out_what_stands_once():
    known, longest = students.vocabulary_of(["b a", "a c", "b a d"])
    assert known == ["a", "b"] and longest == students.SHORTEST
    assert students.vocabulary_of(["x y"])[0] == ["x", "y"]
    ids = students.encode(["b zzz a", "", "a"], {"a": 2, "b": 3}, 2)
    assert ids.tolist() == [[3, 1], [1, 0], [2, 0]]


@pytest.mark.parametrize("kind", config.STUDENTS)
@pytest.mark.parametrize("small", [False, True])
def test_every_kind_is_saved_and_read_to_the_bit_and_does_not_mind_its_company(tmp_path, kind, small):
    known = [first + second for first in tables.OTHERS for second in "aeiou"]
    student = students.build(kind, ["x", "y", "z"], known, 16, 20, seed=3)._replace(temperature=0.2)
    texts = [" ".join(known[7 * place * n % 200] for n in range(1 + place % 15)) for place in range(40)]
    net = judging.compression.int8(student.net) if small else None
    students.save(student, tmp_path, net)
    ours = student._replace(net=net) if small else student
    found, read = students.probabilities(ours, texts), students.load(tmp_path, small)
    assert torch.equal(found, students.probabilities(read, texts)) and read.classes == ("x", "y", "z")
    torch.testing.assert_close(found.sum(1), torch.ones(40))
    assert found.std(0).min() > 0.01
    torch.testing.assert_close(
        found, students.probabilities(read, texts, batch=1), atol=0.02 if small else 1e-5, rtol=0
    )
    assert students.probabilities(read, []).shape == (0, 3)
    state = torch.get_rng_state()
    students.build(kind, ["x", "y"], known, 16, 20)
    assert torch.equal(torch.get_rng_state(), state)


def results(nats):
    """A stand-in for trainings: nats by kind and power; notes what was asked."""
    asked = []

    def trial(kind, power):
        asked.append((kind, power))
        return Result("", {"nats": nats(kind, power)}, {})

    return trial, asked


def test_the_search_goes_on_until_the_best_is_no_end():
    trial, asked = results(lambda kind, power: (power - 3) ** 2 if kind == "bag" else power**2)
    learning.searched(trial, ["bag", "gru"])
    assert asked == [*(("bag", power) for power in range(-1, 5)), *(("gru", power) for power in (-1, 0, 1))]
    trial, asked = results(lambda kind, power: power)
    assert len(learning.searched(trial, ["bag"])) == learning.MOST_RATES and min(power for _, power in asked) == -4
    trial, asked = results(lambda kind, power: math.inf if power == 1 else -power)
    learning.searched(trial, ["bag"])
    assert len(asked) == 3


def test_being_too_sure_does_not_lose_a_comparison():
    wanted = torch.tensor([[1.0, 0], [0, 1], [1, 0], [0, 1]])
    right = torch.tensor([[1.0, 0], [0, 1], [1, 0], [1, 0]])
    vague = torch.tensor([[0.1, 0], [0, 0.1], [0, 0.1], [0.1, 0]])
    for sure in (1, 20):
        assert learning.calibrated_nats(sure * right, wanted) < learning.calibrated_nats(vague, wanted) - 0.05
    exact = -(3 * math.log(0.75) + math.log(0.25)) / 4
    assert learning.calibrated_nats(7 * right, wanted) == pytest.approx(exact, abs=1e-3)


def test_the_loss_is_the_cross_entropy_to_the_target():
    logits = torch.randn(5, 3, dtype=torch.float64)
    target = torch.randn(5, 3, dtype=torch.float64).softmax(1)
    expected = torch.nn.functional.cross_entropy(logits, target)
    torch.testing.assert_close(learning.soft_cross_entropy(logits, target), expected)


# --- Judging ----------------------------------------------------------------------------------------------------------


def rights(both, first, second, neither):
    """Two models' rights on so many items."""
    one = [1.0] * both + [1.0] * first + [0.0] * second + [0.0] * neither
    return torch.tensor(one), torch.tensor([1.0] * both + [0.0] * first + [1.0] * second + [0.0] * neither)


def test_a_verdict_is_what_the_interval_says():
    assert judging.verdict(*rights(900, 20, 20, 60), margin=0.03)["verdict"] == "not worse"
    assert judging.verdict(*rights(700, 10, 190, 100), margin=0.03)["verdict"] == "worse"
    assert judging.verdict(*rights(880, 10, 40, 70), margin=0.03)["verdict"] == "open"  # worse, and perhaps bearable
    small = judging.verdict(*rights(40, 2, 2, 6), margin=0.03)
    assert small["verdict"] == "open" and "cannot say" in small["words"]
    assert small["needed"] == math.ceil(2.8**2 * 0.08 / 0.03**2)
    assert judging.verdict(*rights(5, 0, 0, 0), margin=0.03)["verdict"] == "open"  # five of five say little
    better = judging.verdict(*rights(700, 190, 10, 100), margin=0.03)
    assert better["verdict"] == "not worse" and better["difference"] == pytest.approx(0.18)


def test_a_student_that_seems_a_little_worse_needs_more_texts_than_it_had():
    level, lower = (judging.verdict(*rights(880, 20, second, 80), margin=0.02) for second in (20, 30))
    assert lower["verdict"] == "open" and level["needed"] < lower["items"] < lower["needed"]
    differ, room = 0.05, 0.02 - 10 / 1010
    assert lower["needed"] == pytest.approx(2.8**2 * differ / room**2, rel=0.02)
    assert judging.verdict(*rights(880, 20, 40, 60), margin=0.02)["needed"] < 10**6  # just at the border


def test_so_many_test_texts_as_it_says_would_do():
    _, differ, margin = 0, 0.1, 0.02
    needed = judging.verdict(*rights(850, 50, 50, 50), margin)["needed"]
    spread = math.sqrt(differ / needed)  # of a difference of 0
    assert stats.norm.cdf(margin / spread - 1.96) == pytest.approx(0.8, abs=0.01)


def test_agreement_alone_bounds_what_is_lost():
    same = torch.tensor([True] * 995 + [False] * 5)
    assert judging.verdict_without_labels(same, 0.02)["verdict"] == "not worse"
    assert judging.verdict_without_labels(same, 0.005)["verdict"] == "open"
    assert judging.verdict_without_labels(same[:50], 0.02)["verdict"] == "open"  # all of few


def test_class_by_class():
    said, label = torch.tensor([0, 0, 1, 1, 1]), torch.tensor([0, 1, 1, 1, 0])
    rows = judging.by_class(["a", "b", "c"], said, label)
    assert (rows[0]["recall"]["value"], rows[0]["precision"]["value"]) == (0.5, 0.5)
    assert (rows[1]["recall"]["value"], rows[1]["precision"]["value"]) == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert rows[2]["recall"] is None and rows[2]["precision"] is None and rows[2]["texts"] == 0


def test_cost_is_what_a_pencil_gives(tmp_path):
    prices = {"teacher": 4.0, "label": 0.5, "machine": 3.6, "work": 100.0, "texts_per_day": 1000}
    settings = tables.settings(tmp_path / "mine", prices=prices)
    split = Result("s", {"counts": {"train": {"labelled": 60}, "test": {"labelled": 40}}}, {})
    measured = Result("m", {"texts_per_second": 1000.0}, {})
    found = project.cost(settings, split, Result("t", {"asked": 500}, {}), measured).values
    assert found["upfront"] == pytest.approx(2 + 50 + 100)
    assert found["per_1000"] == {"teacher": 4.0, "student": pytest.approx(0.001)}
    assert found["days"] == pytest.approx(152 / (4.0 - 0.001), rel=0.01)
    assert found["month"]["teacher"] == pytest.approx(120)


def test_a_missing_exporter_is_one_sentence_and_leaves_no_file(tmp_path):
    student = students.build("bag", ["x", "y"], ["a", "b"], 8, 16)
    (tmp_path / "model.onnx").write_bytes(b"of an earlier run")
    said = exporting.to_onnx(student, tmp_path / "model.onnx", ["a b"], ["onnxruntime"])
    assert said.startswith("no ONNX: onnxruntime not installed") and not (tmp_path / "model.onnx").exists()


@pytest.mark.skipif(
    any(exporting.importlib.util.find_spec(name) is None for name in exporting.ONNX_NEEDS), reason="no onnx"
)
@pytest.mark.parametrize("kind", config.STUDENTS)
def test_onnx_gives_the_same_logits_for_any_number_of_texts_and_words(tmp_path, kind):
    student = students.build(kind, ["x", "y"], ["a", "b", "c"], 8, 16)
    said = exporting.to_onnx(student, tmp_path / "model.onnx", ["a b c a b", "b c", "c c c c c c c a"] * 4, [])
    assert said.startswith("model.onnx gives the same logits") and (tmp_path / "model.onnx").is_file()
    assert json.dumps(said) and os.path.getsize(tmp_path / "model.onnx") > 100
