"""Judges and win rates: both orders, biases of known size, local judges and one behind a server."""

import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from test_pairs import small_llama

from distill_lessons import evaluation
from distill_lessons.evaluation import judging
from distill_lessons.pairs import smollm
from distill_lessons.teacher.text import collator, encode, prompt_ids

PROMPTS = [f"Question {number}" for number in range(8)]
GOOD, BAD = ["good"] * 8, ["bad and long"] * 8


def prefers(function):
    """A judge that prefers by a number for each pair of answers."""
    return lambda prompts, first, second: np.array([function(a, b) for a, b in zip(first, second)], dtype=float)


def test_a_fair_judge_names_the_better_side_and_has_no_bias():
    fair = prefers(lambda a, b: 0.9 if a < b else 0.1)  # "bad" before "good"
    found = judging.win_rate(fair, PROMPTS, BAD, GOOD)
    assert found["win rate"] == found["low"] == found["high"] == 1 and found["ties"] == 0
    assert found["position bias"] == 0 and found["consistent"] == 1 and found["length bias"] == 0.5
    assert judging.win_rate(fair, PROMPTS, GOOD, BAD)["win rate"] == 0


def test_a_judge_that_always_takes_the_first_gives_ties_and_its_bias_away():
    found = judging.win_rate(prefers(lambda a, b: 0.51), PROMPTS, GOOD, BAD)
    assert found["win rate"] == 0.5 and found["ties"] == 1
    assert found["position bias"] == 0.5 and found["consistent"] == 0 and found["length bias"] == 0
    last = judging.win_rate(prefers(lambda a, b: 0.0), PROMPTS, GOOD, BAD)
    assert last["position bias"] == -0.5


def test_a_judge_of_length_is_found_out():
    ours = ["x" * (number + 1) for number in range(8)]
    theirs = ["x" * (9 - number) for number in range(8)]
    found = judging.win_rate(prefers(lambda a, b: (np.sign(len(a) - len(b)) + 1) / 2), PROMPTS, ours, theirs)
    assert found["length bias"] == 0.5 and found["consistent"] == 1
    assert found["ties"] == 1 / 8  # the pair of equal length


def test_the_same_answers_tie_and_are_consistent():
    found = judging.win_rate(prefers(lambda a, b: 0.5), PROMPTS, GOOD, GOOD)
    assert found["win rate"] == 0.5 and found["consistent"] == 1 and found["length bias"] == 0


def test_answers_are_wanted_for_every_prompt():
    with pytest.raises(ValueError, match="8 prompts, 7 and 8 answers"):
        judging.win_rate(prefers(lambda a, b: 1.0), PROMPTS, GOOD[:7], BAD)


def model_and_tokenizer():
    model, tokenizer = small_llama().eval(), smollm.tokenizer()
    model.resize_token_embeddings(len(tokenizer))
    return model, tokenizer


def test_the_likelihood_judge_ranks_by_mean_log_likelihood_whatever_the_order():
    model, tokenizer = model_and_tokenizer()
    judge = judging.likelihood(model, tokenizer, batch_size=3)
    ours, theirs = [f"It is {n} of them." for n in range(8)], ["", *(f"No, {n} " * n for n in range(1, 8))]
    forward = judge(PROMPTS, ours, theirs)
    assert forward.tolist() == (1 - judge(PROMPTS, theirs, ours)).tolist()
    scores = []
    for answer in (ours[3], theirs[3]):
        row = encode(tokenizer, [{"prompt": PROMPTS[3], "response": answer, "finished": True}])
        tokens = evaluation.next_tokens(model, [collator(tokenizer)(row)])
        scores.append(-tokens["surprise"].mean())
    assert forward[3] == float(scores[0] > scores[1])
    assert judge(PROMPTS, ours, ours).tolist() == [0.5] * 8


def test_the_choosing_judge_reads_the_probability_of_the_letters():
    model, tokenizer = model_and_tokenizer()
    found = judging.choice(model, tokenizer)(PROMPTS[:2], GOOD[:2], BAD[:2])
    asked = judging.QUESTION.format(prompt=PROMPTS[1], first=GOOD[1], second=BAD[1])
    with torch.no_grad():
        logits = model(torch.tensor([prompt_ids(tokenizer, asked)])).logits[0, -1]
    a, b = (logits[tokenizer(letter)["input_ids"][0]].exp().item() for letter in "AB")
    assert found[1] == pytest.approx(a / (a + b), abs=1e-4)


class Judge(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that prefers the answer "good", in words; of others it cannot say."""

    asked = []

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Judge.asked.append(request)
        text = request["messages"][0]["content"]
        first, second = (f"Answer {letter}: good" in text for letter in "AB")
        reply = "Neither. Both are Alike." if first == second else f"The better one is {'A' if first else 'B'}."
        body = json.dumps({"choices": [{"message": {"content": reply}, "finish_reason": "stop"}]}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def address():
    service = HTTPServer(("127.0.0.1", 0), Judge)
    threading.Thread(target=service.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{service.server_port}/v1"
    service.shutdown()


def test_a_server_can_be_the_judge(address):
    Judge.asked.clear()
    judge = judging.server(address, "big judge")
    mixed = [*GOOD[:6], *BAD[6:]]
    found = judging.win_rate(judge, PROMPTS, mixed, BAD)
    assert found["win rate"] == (6 + 2 / 2) / 8 and found["ties"] == 2 / 8 and found["consistent"] == 1
    assert found["position bias"] == 0
    assert len(Judge.asked) == 16 and {request["model"] for request in Judge.asked} == {"big judge"}
    assert {request["temperature"] for request in Judge.asked} == {0}
