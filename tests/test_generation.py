"""Responses on disk: resumable to the batch, with provenance, from a local model or a server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pyarrow.parquet as pq
import pytest
from test_pairs import small_llama

from distill_lessons.pairs import smollm
from distill_lessons.teacher import generation

PROMPTS = [{"id": str(number), "prompt": "word " * (number % 4 + 1), "topic": "none"} for number in range(10)]


def echo(fail_at=None):
    calls = []

    def answer(prompts, seed):
        calls.append(seed)
        if len(calls) == fail_at:
            raise KeyboardInterrupt
        return [(f"{prompt.strip()} {seed}", True) for prompt in prompts]

    answer.about = {"teacher": "echo"}
    answer.calls = calls
    return answer


def test_rows_come_in_the_prompts_order_with_all_their_fields(tmp_path):
    table = generation.respond(tmp_path / "out.parquet", echo(), PROMPTS, n=2, batch_size=3)
    rows = table.to_pylist()
    assert [row["id"] for row in rows] == [prompt["id"] for prompt in PROMPTS for _ in range(2)]
    assert [row["sample"] for row in rows] == [0, 1] * 10
    assert all(row["response"].startswith(row["prompt"].strip()) and row["topic"] == "none" for row in rows)
    about = generation.provenance(pq.read_table(tmp_path / "out.parquet"))
    assert about["call"]["teacher"] == "echo" and about["call"]["n"] == 2 and about["machine"]["torch"]
    assert [path.name for path in tmp_path.iterdir()] == ["out.parquet"]


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


def test_another_call_does_not_overwrite_answers(tmp_path):
    generation.respond(tmp_path / "out.parquet", echo(), PROMPTS)
    with pytest.raises(ValueError, match="answers of another call"):
        generation.respond(tmp_path / "out.parquet", echo(), PROMPTS, seed=1)
    with pytest.raises(ValueError, match="same id"):
        generation.respond(tmp_path / "new.parquet", echo(), PROMPTS + PROMPTS[:1])


def test_a_local_model_answers_and_sampling_is_seeded(tmp_path):
    model, tokenizer = small_llama(), smollm.tokenizer()
    model.resize_token_embeddings(len(tokenizer))
    answer = generation.local(model, tokenizer, max_new_tokens=4, temperature=1.0, top_p=0.9)
    prompts = [{"id": "a", "prompt": "What is rain?"}, {"id": "b", "prompt": "Name a colour."}]
    one, other = (generation.respond(tmp_path / f"{name}.parquet", answer, prompts, n=2) for name in "xy")
    assert one.to_pylist() == other.to_pylist()
    assert len(one) == 4 and generation.provenance(one)["call"]["top_p"] == 0.9


class Server(BaseHTTPRequestHandler):
    busy = 0

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        prompt = request["messages"][0]["content"]
        if Server.busy > 0 or "refuse" in prompt:
            Server.busy -= 1
            self.send_error(400 if "refuse" in prompt else 503)
            return
        choice = {"message": {"content": f"{request['model']}: {prompt}"}, "finish_reason": "stop"}
        body = json.dumps({"choices": [choice]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address():
    service = HTTPServer(("127.0.0.1", 0), Server)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{service.server_port}/v1"
    service.shutdown()


def test_an_openai_compatible_server_answers_even_if_it_is_busy_once(tmp_path, address, monkeypatch):
    monkeypatch.setattr(generation.time, "sleep", lambda seconds: None)
    Server.busy = 1
    answer = generation.server(address, "big", parallel=2, temperature=0.7)
    rows = generation.respond(tmp_path / "out.parquet", answer, PROMPTS, batch_size=4).to_pylist()
    assert all(row["response"] == f"big: {row['prompt']}" and row["finished"] for row in rows)


def test_a_server_that_refuses_or_is_not_there_is_named(tmp_path, address, monkeypatch):
    monkeypatch.setattr(generation.time, "sleep", lambda seconds: None)
    refused = [{"id": "r", "prompt": "refuse this"}]
    with pytest.raises(OSError, match=r"refused the request \(400\)"):
        generation.respond(tmp_path / "out.parquet", generation.server(address, "big"), refused)
    nowhere = generation.server("http://127.0.0.1:9/v1", "big")
    with pytest.raises(OSError, match="no usable answer .* after 3 tries"):
        generation.respond(tmp_path / "out.parquet", nowhere, PROMPTS)
