"""Answers: what a model generates and when it stops; files that resume to the batch; a server's bad days."""

import contextlib
import email.utils
import functools
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM

from distill_lessons import runtime
from distill_lessons.pairs import multiplication
from distill_lessons.teacher import generation

PROMPTS = [{"id": str(number), "prompt": "word " * (number % 4 + 1), "topic": "none"} for number in range(10)]
ASKED = ["12*34=", "7*8=", "99*10="]


def small(dropout=0.0, **changes):
    """A two-layer model of the `multiplication` pair's characters, sharp enough that its answers differ."""
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=22, hidden_size=32, intermediate_size=64, num_attention_heads=2, num_hidden_layers=2,
        attention_dropout=dropout, initializer_range=0.3, pad_token_id=0, bos_token_id=None, eos_token_id=1, **changes,
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval()
    model.lm_head.weight.data[:3] = 0.0  # padding, end and unknown seldom come by themselves
    return model


def answers(model, prompts=ASKED, **how):
    return generation.generate(model, multiplication.tokenizer(), prompts, **{"max_new_tokens": 12} | how)


SAMPLED = {"temperature": 1.0, "seed": 5}


@functools.cache
def plain(sampled=False):
    """What the model answers without anything odd about it."""
    return answers(small(), **SAMPLED if sampled else {})


def echo(fail_at=None, **about):
    calls = []

    def answer(prompts, seed):
        calls.append(seed)
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        return [(f"{prompt.strip()} {seed}", True) for prompt in prompts]

    answer.about = {"teacher": "echo"} | about
    answer.calls = calls
    return answer


# --- what a model generates --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("where", ["generation config", "list", "config", "tokenizer"])
def test_any_end_token_ends_an_answer_and_the_text_after_it_is_cut(where):
    model, tokenizer = small(), multiplication.tokenizer()
    ((whole, finished),) = answers(model, ASKED[:1], **SAMPLED)
    assert len(whole) == 12 and not finished
    end = whole[5]  # a character that will end the answer
    token, expected = tokenizer.convert_tokens_to_ids(end), whole[: whole.index(end)]
    if where == "generation config":
        model.generation_config.eos_token_id = token
    elif where == "list":
        model.generation_config.eos_token_id = [1, token]
    elif where == "config":
        model.generation_config.eos_token_id, model.config.eos_token_id = None, [token]
    else:
        tokenizer.eos_token = end
    made = generation.generate(model, tokenizer, ASKED[:1], max_new_tokens=12, **SAMPLED)
    assert made == [(expected, True)]
    assert set(generation.end_tokens(model, tokenizer)) >= {token}


def test_an_answer_goes_on_beside_one_that_has_ended():
    model = small()
    whole = [text for text, _ in answers(model)]
    end = next(c for c in whole[0] if any(c not in other for other in whole[1:]))
    model.generation_config.eos_token_id = [1, multiplication.tokenizer().convert_tokens_to_ids(end)]
    made = answers(model)
    assert made == [(text.split(end)[0], end in text) for text in whole]
    assert {finished for _, finished in made} == {True, False}


def test_a_model_without_any_end_token_is_asked_to_the_end():
    model, tokenizer = small(), multiplication.tokenizer()
    model.config.eos_token_id = model.generation_config.eos_token_id = tokenizer.eos_token = None
    tokenizer.pad_token = None  # as many models come: what fills up a batch does not matter
    assert generation.end_tokens(model, tokenizer) == []
    made = generation.generate(model, tokenizer, ASKED, max_new_tokens=4)
    assert not any(finished for _, finished in made)
    assert [text for text, _ in made] == [text[:4] for text, _ in plain()]


LEAKS = [
    {"repetition_penalty": 9.0},
    {"num_beams": 3},
    {"min_p": 0.9},
    {"top_k": 1},
    {"top_p": 0.01},
    {"temperature": 0.01},
    {"typical_p": 0.1},
    {"epsilon_cutoff": 0.5},
    {"eta_cutoff": 0.9},
    {"no_repeat_ngram_size": 1},
    {"forced_eos_token_id": 1},
    {"forced_bos_token_id": 7},
    {"max_length": 8},
    {"min_length": 99},
    {"max_time": 0.0},
    {"suppress_tokens": list(range(3, 13))},
    {"begin_suppress_tokens": list(range(3, 13))},
    {"bad_words_ids": [[token] for token in range(3, 13)]},
    {"exponential_decay_length_penalty": (1, 99.0)},
    {"num_return_sequences": 2},
    {"return_dict_in_generate": True, "output_scores": True},
    {"encoder_repetition_penalty": 9.0},
    {"guidance_scale": 3.0},
    {"do_sample": True},
]


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: next(iter(leak)))
def test_the_models_own_generation_config_does_not_count(leak):
    model = small()
    for name, value in leak.items():
        setattr(model.generation_config, name, value)
    own = model.generation_config
    before = own.to_dict()
    assert answers(model) == plain() and answers(model, **SAMPLED) == plain(sampled=True)
    assert model.generation_config is own and own.to_dict() == before


def test_a_wrapped_model_is_as_neutral_and_its_config_comes_back_after_an_error(monkeypatch):
    model = small()
    model.generation_config.repetition_penalty = 9.0
    model.generation_config.no_repeat_ngram_size = 1
    wrapped, own = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])), None
    own = model.generation_config
    assert answers(wrapped) == answers(small())  # an adapter begins as nothing
    assert model.generation_config is own
    monkeypatch.setattr(model, "forward", lambda **batch: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        answers(wrapped)
    assert model.generation_config is own


def test_it_generates_without_dropout_and_leaves_every_module_as_it_was():
    model = small(dropout=0.9).train()
    model.model.layers[0].eval()
    modes = [module.training for module in model.modules()]
    assert answers(model) == plain()
    assert [module.training for module in model.modules()] == modes and len(set(modes)) == 2


def test_each_sampling_option_arrives():
    model, greedy = small(), plain()
    assert answers(model, temperature=1.0) != greedy
    for how in ({"temperature": 1e-4}, {"top_k": 1}, {"top_p": 1e-6}):
        assert answers(model, **{"temperature": 1.0} | how) == greedy
        local = generation.local(model, multiplication.tokenizer(), max_new_tokens=12, **{"temperature": 1.0} | how)
        assert local(ASKED, 5) == greedy
    assert answers(model, **SAMPLED) == answers(model, **SAMPLED) != answers(model, **SAMPLED | {"seed": 6})
    hot = answers(model, ASKED[:1] * 40, temperature=50.0, max_new_tokens=1)
    assert len({text for text, _ in hot}) > 12  # nearly uniform over 22
    few = answers(model, ASKED[:1] * 40, temperature=50.0, max_new_tokens=1, top_k=3)
    assert 1 < len({text for text, _ in few}) <= 3
    model.generation_config.eos_token_id = multiplication.tokenizer().convert_tokens_to_ids(greedy[0][0][0])
    assert answers(model)[0] == ("", True)
    ((text, finished), *_) = answers(model, min_new_tokens=9, max_new_tokens=9)
    assert len(text) == 9 and not finished


def test_batches_and_the_cache_change_no_greedy_answer():
    expected = plain()
    assert expected == answers(small(), batch_size=1) == answers(small(), use_cache=False)
    assert expected == [answers(small(), [prompt])[0] for prompt in ASKED]
    assert answers(small(), []) == [] and answers(small(), tuple(ASKED)) == expected


@pytest.mark.parametrize(
    "change, sentence",
    [
        ({"max_new_tokens": 0}, "max_new_tokens must be a whole number of at least 1, and it is 0"),
        ({"batch_size": 0}, "batch_size must be a whole number of at least 1"),
        ({"temperature": -1.0}, "temperature must be a number of at least 0"),
        ({"temperature": "0.7"}, "temperature must be a number of at least 0, and it is '0.7'"),
        ({"temperature": float("nan")}, "temperature must be a number"),
        ({"top_k": 2.5}, "top_k must be a whole number"),
        ({"top_p": 0.0}, "top_p must lie above 0"),
        ({"top_p": 1.5}, "top_p must lie above 0"),
        ({"min_new_tokens": 13}, "min_new_tokens is 13 and max_new_tokens 12"),
        ({"prompts": "12*34="}, "prompts is one text"),
        ({"prompts": [None]}, "prompt 0 is None"),
        ({"prompts": [{"id": "a", "prompt": "7*8="}]}, "prompt 0 is {'id'"),
    ],
)
def test_what_cannot_be_asked_is_refused_by_name(change, sentence):
    with pytest.raises(ValueError, match=sentence):
        answers(small(), **change)


def test_a_name_where_a_model_is_needed_says_to_load_it():
    tokenizer = multiplication.tokenizer()
    for call in (
        lambda: generation.generate("some/model", tokenizer, ASKED),
        lambda: generation.local(Path("some/model"), tokenizer),
    ):
        with pytest.raises(ValueError, match="'some/model': load it, with AutoModelForCausalLM.from_pretrained"):
            call()
    with pytest.raises(ValueError, match="the tokenizer is the name 'x': load it, with AutoTokenizer"):
        generation.local(small(), "x")


@pytest.mark.parametrize(
    "how, sentence",
    [
        ({"max_tokens": 3}, "no 'max_tokens': did you mean max_new_tokens"),
        ({"temprature": 3}, "did you mean temperature"),
        ({"zzz": 3}, "no 'zzz': there are max_new_tokens, min_new_tokens, temperature"),
        ({"batch_size": 3}, "give batch_size to respond"),
        ({"seed": 3}, "give seed to respond"),
    ],
)
def test_local_refuses_an_option_that_generate_has_not(how, sentence):
    with pytest.raises(ValueError, match=sentence):
        generation.local(small(), multiplication.tokenizer(), **how)


# --- answers on disk ---------------------------------------------------------------------------------------------------


def test_rows_come_in_the_prompts_order_with_all_their_fields(tmp_path):
    table = generation.respond(tmp_path / "out.parquet", echo(), PROMPTS, n=2, batch_size=3)
    rows = table.to_pylist()
    assert table.column_names == ["id", "prompt", "topic", "sample", "response", "finished"]
    assert [row["id"] for row in rows] == [prompt["id"] for prompt in PROMPTS for _ in range(2)]
    assert [row["sample"] for row in rows] == [0, 1] * 10
    assert all(row["response"].startswith(row["prompt"].strip()) and row["topic"] == "none" for row in rows)
    about = generation.provenance(pq.read_table(tmp_path / "out.parquet"))
    assert about["call"]["teacher"] == "echo" and about["call"]["n"] == 2 and about["machine"]["torch"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]
    assert generation.read(tmp_path / "out.parquet") == rows


def test_prompts_of_like_length_are_asked_together(tmp_path):
    batches = []

    def answer(prompts, seed):
        batches.append([len(prompt) for prompt in prompts])
        return [("x", True)] * len(prompts)

    generation.respond(tmp_path / "out.parquet", answer, PROMPTS, batch_size=3)
    assert sum(batches, []) == sorted(len(prompt["prompt"]) for prompt in PROMPTS)
    assert [len(batch) for batch in batches] == [3, 3, 3, 1]


def test_prompts_with_unequal_fields_keep_all_of_them(tmp_path):
    prompts = [
        {"id": "a", "prompt": "one"},
        {"id": "b", "prompt": "two", "topic": "rain", "more": {"x": 1}},
        {"id": "c", "prompt": "three", "more": {"y": [2.5]}},
    ]
    generation.respond(tmp_path / "out.parquet", echo(), prompts)
    rows = generation.read(tmp_path / "out.parquet")
    assert [row["topic"] for row in rows] == [None, "rain", None]
    assert rows[1]["more"] == {"x": 1, "y": None} and rows[2]["more"] == {"x": None, "y": [2.5]}


def test_no_prompts_give_an_empty_table_of_the_same_columns(tmp_path):
    table = generation.respond(tmp_path / "none.parquet", echo(), [])
    one = generation.respond(tmp_path / "one.parquet", echo(), [{"id": "a", "prompt": "b"}])
    assert len(table) == 0 and table.schema.equals(one.schema) and generation.read(tmp_path / "none.parquet") == []
    again = echo()
    generation.respond(tmp_path / "none.parquet", again, [])
    assert again.calls == []


@pytest.mark.parametrize(
    "prompts, sentence",
    [
        (PROMPTS + PROMPTS[:1], "same id"),
        ([{"id": "a", "prompt": "b", "response": "gold"}], "has the field response"),
        ([{"id": "a", "prompt": "b", "finished": 1, "sample": 1}], "has the field finished, sample"),
        ([{"prompt": "b"}], "prompt 0 is {'prompt': 'b'}: give dicts with an id"),
        ([{"id": "a", "prompt": None}], "prompt 0 is None"),
        ([{"id": "a"}], "prompt 0 is None"),
        (["b"], "prompt 0 is 'b': give dicts with an id"),
        ([{"id": "a", "prompt": "b", "field": 1}, {"id": "b", "prompt": "b", "field": "x"}], "field 'field' cannot be"),
        ([{"id": "a", "prompt": "b", "field": {}}], "field 'field' cannot be"),
        ([{"id": "a", "prompt": "b", "field": 2**80}], "field 'field' cannot be"),
        ([{"id": "a", "prompt": "b", "field": object()}], "must be plain texts"),
    ],
)
def test_prompts_that_cannot_be_kept_are_refused_before_anything_is_asked(tmp_path, prompts, sentence):
    answer = echo()
    with pytest.raises(ValueError, match=sentence):
        generation.respond(tmp_path / "out.parquet", answer, prompts)
    assert answer.calls == [] and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "given, sentence",
    [
        ([("a", True)], "gave 1 answers to 2 prompts"),
        ([("a", True), (None, True)], r"gave \(None, True\)"),
        ([("a", True), ("b", "stop")], r"gave \('b', 'stop'\)"),
    ],
)
def test_what_is_no_answer_is_not_stored(tmp_path, given, sentence):
    with pytest.raises(ValueError, match=sentence):
        generation.respond(tmp_path / "out.parquet", lambda prompts, seed: given, PROMPTS[:2])
    assert not list(tmp_path.rglob("*.json"))


def test_prompts_may_be_turns_and_a_dataset(tmp_path):
    turns = [{"role": "user", "content": "7*"}, {"role": "user", "content": "8="}]
    rows = [{"id": 1, "prompt": turns}, {"id": 2, "prompt": turns[:1]}]
    answer = generation.local(small(), multiplication.tokenizer(), max_new_tokens=3)
    made = generation.respond(tmp_path / "out.parquet", answer, datasets.Dataset.from_list(rows)).to_pylist()
    assert (made[0]["response"], made[0]["finished"]) == answers(small(), ["7*8="], max_new_tokens=3)[0]


def test_a_cut_off_loses_one_batch_and_changes_no_answer(tmp_path):
    whole = generation.respond(tmp_path / "whole.parquet", echo(), PROMPTS, batch_size=3)
    cut = echo(fail_at=3)
    with pytest.raises(KeyboardInterrupt):
        generation.respond(tmp_path / "cut.parquet", cut, PROMPTS, batch_size=3)
    again = echo()
    resumed = generation.respond(tmp_path / "cut.parquet", again, PROMPTS, batch_size=3)
    assert len(cut.calls) == 3 and again.calls == cut.calls[2:] + [again.calls[-1]]
    assert resumed.to_pylist() == whole.to_pylist()
    finished = echo()
    generation.respond(tmp_path / "cut.parquet", finished, PROMPTS, batch_size=3)
    assert finished.calls == []


def test_each_batch_has_a_seed_of_its_own_and_it_depends_on_the_calls_seed(tmp_path):
    made = {}
    for seed in (0, 1):
        answer = made[seed] = echo()
        generation.respond(tmp_path / f"{seed}.parquet", answer, PROMPTS, n=3, batch_size=4, seed=seed)
    assert len(set(made[0].calls)) == len(made[0].calls) == 8
    assert not set(made[0].calls) & set(made[1].calls)


@pytest.mark.parametrize("change", [{"seed": 1}, {"n": 2}, {"batch_size": 2}, {"answer": echo(temperature=2)}])
def test_finished_batches_of_another_call_are_not_taken(tmp_path, change):
    with pytest.raises(KeyboardInterrupt):
        generation.respond(tmp_path / "out.parquet", echo(fail_at=3), PROMPTS, batch_size=3)
    call = {"answer": echo(), "prompts": PROMPTS, "batch_size": 3} | change
    call["answer"].calls.clear()
    made = generation.respond(tmp_path / "out.parquet", **call)
    assert len(call["answer"].calls) == -(-len(made) // call["batch_size"])


def test_finished_batches_are_found_whatever_order_the_options_come_in(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        generation.respond(tmp_path / "out.parquet", echo(fail_at=4, a=1, b=(2,)), PROMPTS, batch_size=3)
    again = echo(b=[2], a=1)
    generation.respond(tmp_path / "out.parquet", again, PROMPTS, batch_size=3)
    assert len(again.calls) == 1


def test_another_call_does_not_overwrite_answers(tmp_path):
    generation.respond(tmp_path / "out.parquet", echo(stop=("x",)), PROMPTS)
    for change in ({"seed": 1}, {"n": 2}, {"batch_size": 2}):
        with pytest.raises(ValueError, match=rf"answers of another call \(different: {next(iter(change))}\)"):
            generation.respond(tmp_path / "out.parquet", echo(stop=("x",)), PROMPTS, **change)
    with pytest.raises(ValueError, match="different: prompts"):
        generation.respond(tmp_path / "out.parquet", echo(stop=("x",)), PROMPTS[1:])
    with pytest.raises(ValueError, match="different: stop"):
        generation.respond(tmp_path / "out.parquet", echo(stop=("y",)), PROMPTS)
    own = echo(stop=("x",))
    generation.respond(tmp_path / "out.parquet", own, PROMPTS)
    assert own.calls == []


def test_a_file_of_something_else_is_refused_in_one_sentence(tmp_path):
    path = tmp_path / "out.parquet"
    pq.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(ValueError, match="answers of another call"):
        generation.respond(path, echo(), PROMPTS)
    path.write_bytes(path.read_bytes()[:-9])
    for read in (lambda: generation.respond(path, echo(), PROMPTS), lambda: generation.read(path)):
        with pytest.raises(ValueError, match="out.parquet cannot be read"):
            read()
    with pytest.raises(FileNotFoundError, match="no responses at none.parquet"):
        generation.read(tmp_path / "none.parquet")


def test_other_weights_are_another_call_and_another_name_is_not(tmp_path):
    def ask(model):
        answer = generation.local(model, multiplication.tokenizer(), max_new_tokens=4)
        return generation.respond(tmp_path / "out.parquet", answer, [{"id": "a", "prompt": "7*8="}])

    model, other = small(), small()
    made = ask(model)
    assert len(generation.provenance(made)["call"]["weights"]) == 64
    other.config.name_or_path = "/elsewhere/the-same"
    assert ask(other).to_pylist() == made.to_pylist()
    other.model.layers[1].mlp.up_proj.weight.data[0, 0] += 1
    with pytest.raises(ValueError, match=r"different: teacher, weights\)"):
        ask(other)


def test_weights_are_those_of_the_moment_of_asking(tmp_path):
    model = small()
    answer = generation.local(model, multiplication.tokenizer(), max_new_tokens=4)
    prompts = [{"id": "a", "prompt": "7*8="}]
    generation.respond(tmp_path / "out.parquet", answer, prompts)
    model.lm_head.weight.data[5] += 1  # trained meanwhile
    with pytest.raises(ValueError, match=r"different: weights\)"):
        generation.respond(tmp_path / "out.parquet", answer, prompts)


def test_a_name_holds_no_folder_of_this_machine():
    model = small()
    assert generation.name_of(model) == "LlamaForCausalLM"
    for given, name in {"org/model": "org/model", str(Path("/home/me/runs/model")): "model"}.items():
        model.config.name_or_path = given
        assert generation.name_of(model) == name


def test_a_local_model_answers_and_sampling_is_seeded(tmp_path):
    answer = generation.local(small(), multiplication.tokenizer(), max_new_tokens=8, temperature=1.0, top_p=0.9)
    prompts = [{"id": "a", "prompt": "7*8="}, {"id": "b", "prompt": "12*34="}]
    one, other = (generation.respond(tmp_path / f"{name}.parquet", answer, prompts, n=4, batch_size=2) for name in "xy")
    assert one.to_pylist() == other.to_pylist()
    assert len(one) == 8 and generation.provenance(one)["call"]["top_p"] == 0.9
    assert len(set(one["response"].to_pylist())) > 4  # no two batches of a prompt's repeats share their draws


def test_every_text_file_is_written_and_read_as_utf_8(tmp_path, monkeypatch):
    write, read = Path.write_text, Path.read_text

    def written(path, text, encoding=None, **rest):
        assert encoding == "utf-8"
        return write(path, text, encoding=encoding, **rest)

    def taken(path, encoding=None, **rest):
        assert encoding == "utf-8" or str(path).startswith("/proc")
        return read(path, encoding=encoding, **rest)

    monkeypatch.setattr(Path, "write_text", written)
    monkeypatch.setattr(Path, "read_text", taken)
    monkeypatch.setattr(runtime, "machine_stamp", dict)
    with pytest.raises(KeyboardInterrupt):
        generation.respond(
            tmp_path / "ü.parquet", echo(fail_at=2), [{"id": "→", "prompt": "日本"}] + PROMPTS, batch_size=9
        )
    generation.respond(tmp_path / "ü.parquet", echo(), [{"id": "→", "prompt": "日本"}] + PROMPTS, batch_size=9)
    assert generation.read(tmp_path / "ü.parquet")[0]["response"] == "日本 0"


# --- a server ----------------------------------------------------------------------------------------------------------


class Server(BaseHTTPRequestHandler):
    """Answers each request after the script's next step, if there is one left."""

    script, seen = [], []

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Server.seen.append((self.path, request, self.headers["Authorization"]))
        step = Server.script.pop(0) if Server.script else {}
        if "hang" in step:
            threading.Event().wait(step["hang"])
        asked = request["messages"][-1]["content"]
        message = {"content": step["content"] if "content" in step else f"{request['model']}: {asked}"}
        choice = {"message": message, "finish_reason": step.get("reason", "stop")}
        body = step.get("body", json.dumps({"choices": [choice]})).encode()
        self.send_response(step.get("status", 200))
        for name, value in step.get("headers", {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body) + step.get("cut", 0)))
        self.end_headers()
        with contextlib.suppress(OSError):  # who asked has gone
            self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address():
    Server.script, Server.seen = [], []
    service = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{service.server_port}/v1"
    service.shutdown()


@pytest.fixture
def waits(monkeypatch):
    """The seconds that the asker waits between tries, which do not pass."""
    waited = []
    monkeypatch.setattr(time, "sleep", waited.append)
    return waited


PASSING = {
    "429": {"status": 429},
    "408": {"status": 408},
    "500": {"status": 500},
    "503": {"status": 503},
    "cut": {"cut": 50},
    "cut refusal": {"status": 503, "cut": 50},
    "no choices": {"body": '{"choices": []}'},
    "choices null": {"body": '{"choices": null}'},
    "a list": {"body": "[1]"},
    "no message": {"body": '{"choices": [{"finish_reason": "stop", "message": null}]}'},
    "not JSON": {"body": "<html>busy</html>"},
    "not text": {"body": "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")},
    "null": {"content": None},
    "parts": {"content": [{"type": "text", "text": "x"}]},
    "slow": {"hang": 0.6},
}


@pytest.mark.parametrize("step", PASSING.values(), ids=PASSING)
def test_what_may_pass_is_tried_again_and_what_stays_is_named(tmp_path, address, waits, step):
    answer = generation.server(address, "big", timeout=0.2 if "hang" in step else 5, retries=3)
    Server.script = [step, step]
    assert answer(["hello"], 0) == [("big: hello", True)]
    assert waits == [1, 2]
    Server.script = [step] * 3
    with pytest.raises(OSError, match="no usable answer .* after 3 tries, prompt 'hello' .*: check that it runs"):
        answer(["hello"], 0)
    assert len(Server.seen) == 6 and not Server.script


def test_content_null_is_named_with_its_reason(address, waits):
    Server.script = [{"content": None, "reason": "length"}] * 5
    with pytest.raises(OSError, match="after 5 tries.*content is null and no text, finish_reason 'length'"):
        generation.server(address, "big")(["hello"], 0)


def test_it_waits_as_long_as_the_server_asks(address, waits):
    soon = email.utils.formatdate(time.time() + 30, usegmt=True)
    Server.script = [
        {"status": 429, "headers": {"Retry-After": value}} for value in ("7", "0.5", soon, "tomorrow")
    ]  # fmt: skip
    assert generation.server(address, "big", retries=5)(["hello"], 0) == [("big: hello", True)]
    assert waits[:2] == [7, 0.5] and waits[2] == pytest.approx(30, abs=2) and waits[3] == 8
    Server.script = [{"status": 429, "headers": {"Retry-After": "7200"}}]
    with pytest.raises(OSError, match="after 1 try, .*429.*it asks to wait 7200 seconds"):
        generation.server(address, "big")(["hello"], 0)
    assert len(waits) == 4


@pytest.mark.parametrize("status", [400, 401, 403, 404, 422])
def test_a_refusal_is_not_tried_again_and_says_what_the_server_said(address, waits, status):
    Server.script = [{"status": status, "body": '{"error": {"message": "no model\n of that name"}}'}]
    with pytest.raises(OSError, match=f'refused the request: {status} .*"no model of that name"'):
        generation.server(address, "big")(["hello"], 0)
    assert waits == [] and len(Server.seen) == 1


def test_a_server_that_is_not_there_is_named(waits):
    with pytest.raises(OSError, match="no usable answer from http://127.0.0.1:9/v1 after 5 tries"):
        generation.server("http://127.0.0.1:9/v1", "big")(["hello"], 0)
    assert waits == [1, 2, 4, 8]


def test_requests_hold_what_was_asked_and_no_two_the_same_seed(tmp_path, address):
    answer = generation.server(address + "/", "big", api_key="k", parallel=2, temperature=0.7, stop=("x",))
    rows = generation.respond(tmp_path / "out.parquet", answer, PROMPTS, n=3, batch_size=4, seed=5).to_pylist()
    assert all(row["response"] == f"big: {row['prompt']}" and row["finished"] for row in rows)
    assert {(path, key) for path, _, key in Server.seen} == {("/v1/chat/completions", "Bearer k")}
    requests = [request for _, request, _ in Server.seen]
    seeds = [request.pop("seed") for request in requests]
    assert len(set(seeds)) == len(seeds) == 30 and min(seeds) == 5
    assert all(request["temperature"] == 0.7 and request["stop"] == ["x"] for request in requests)
    assert sorted(request["messages"][0]["content"] for request in requests) == sorted(p["prompt"] for p in PROMPTS * 3)
    generation.respond(tmp_path / "out.parquet", answer, PROMPTS, n=3, batch_size=4, seed=5)
    assert len(Server.seen) == 30
    generation.respond(tmp_path / "again.parquet", answer, PROMPTS, n=3, batch_size=4, seed=5)
    assert sorted(request["seed"] for _, request, _ in Server.seen[30:]) == sorted(seeds)


def test_turns_go_to_a_server_as_they_are_and_a_cut_answer_is_not_finished(address):
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    Server.script = [{"reason": "length"}]
    assert generation.server(address, "big")([turns], 0) == [("big: hello", False)]
    assert Server.seen[0][1]["messages"] == turns


def test_what_was_answered_before_a_server_went_is_kept(tmp_path, address, waits):
    answer = generation.server(address, "big", parallel=1, retries=1)
    Server.script = [{}] * 4 + [{"status": 500}]
    with pytest.raises(OSError, match="finished batches are kept"):
        generation.respond(tmp_path / "out.parquet", answer, PROMPTS, batch_size=4)
    before = len(Server.seen)
    generation.respond(tmp_path / "out.parquet", answer, PROMPTS, batch_size=4)
    assert len(Server.seen) - before == 6


@pytest.mark.parametrize(
    "how, sentence",
    [
        ({"max_new_tokens": 5}, "say max_tokens"),
        ({"temprature": 0.5}, "did you mean temperature"),
        ({"time_out": 5}, "did you mean timeout"),
        ({"seed": 5}, "server sets seed itself"),
        ({"n": 5}, "server sets n itself"),
        ({"stream": True}, "server sets stream itself"),
        ({"address": "localhost:8000/v1"}, "must begin with http:// or https://, and it is 'localhost:8000/v1'"),
        ({"retries": 0}, "must be at least 1"),
    ],
)
def test_options_that_a_server_would_not_understand_are_refused(how, sentence):
    with pytest.raises(ValueError, match=sentence):
        generation.server(**{"address": "http://127.0.0.1:9/v1", "model": "big"} | how)


def test_any_other_option_goes_into_the_request(address):
    how = {"max_tokens": 5, "guided_regex": "a*", "logprobs": True, "min_p": 0.1, "typical_p": 0.5}
    generation.server(address, "big", **how)(["hello"], 3)
    assert Server.seen[0][1].items() >= (how | {"seed": 3, "model": "big"}).items()


def test_answers_of_another_model_behind_a_server_are_another_call(tmp_path):
    generation.respond(tmp_path / "out.parquet", echo(teacher="big"), PROMPTS)
    with pytest.raises(ValueError, match=r"answers of another call \(different: teacher\)"):
        generation.respond(tmp_path / "out.parquet", echo(teacher="small"), PROMPTS)
