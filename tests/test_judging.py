"""Judges and win rates: both orders, biases of known size, local judges and one behind a server."""

import json
import math
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import numpy as np
import pytest
import torch
from helpers import peaked
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
    assert found["win rate"] == found["high"] == 1 and found["ties"] == found["unreadable"] == 0
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


@pytest.mark.parametrize("pairs", [1, 5, 20])
def test_winning_every_time_is_no_certainty_and_neither_is_losing(pairs):
    fair = prefers(lambda a, b: float(a < b))
    won = judging.win_rate(fair, PROMPTS[:1] * pairs, BAD[:1] * pairs, GOOD[:1] * pairs)
    assert (won["low"], won["high"]) == pytest.approx((pairs / (pairs + 1.959964**2), 1))  # Wilson, of all
    lost = judging.win_rate(fair, PROMPTS[:1] * pairs, GOOD[:1] * pairs, BAD[:1] * pairs)
    assert (lost["low"], lost["high"]) == pytest.approx((0, 1 - won["low"]))


def test_the_interval_of_a_win_rate_covers_the_truth_with_and_without_ties():
    for chances, true in (((0.7, 0.3, 0.0), 0.7), ((0.5, 0.2, 0.3), 0.65), ((0.96, 0.04, 0.0), 0.96)):
        covered = 0
        for seed in range(300):
            results = np.random.default_rng(seed).choice([1.0, 0.0, 0.5], 20, p=chances)
            judge = lambda prompts, first, second: np.r_[results, 1 - results]  # noqa: B023, E731
            found = judging.win_rate(judge, ["?"] * 20, ["a"] * 20, ["b"] * 20)
            covered += found["low"] <= true <= found["high"]
        assert covered / 300 > 0.93


def test_replies_that_could_not_be_read_are_ties_and_are_counted():
    def judge(prompts, first, second):  # it can read nothing of the first three prompts, and of the fourth but once
        said = np.array([float(a == "good") for a in first])
        said[[0, 1, 2, 8, 9, 10, 11]] = math.nan
        return said

    found = judging.win_rate(judge, PROMPTS, GOOD, BAD)
    assert found["unreadable"] == 7 and found["ties"] == 4 / 8 and found["win rate"] == (4 + 4 / 2) / 8
    assert found["consistent"] == 4 / 8
    nothing = judging.win_rate(prefers(lambda a, b: math.nan), PROMPTS, GOOD, BAD)
    assert nothing["unreadable"] == 16 and nothing["win rate"] == 0.5 and nothing["consistent"] == 0
    assert nothing["position bias"] == nothing["length bias"] == 0


def test_answers_are_wanted_for_every_prompt():
    fair = prefers(lambda a, b: 1.0)
    with pytest.raises(ValueError, match="8 prompts, 7 and 8 answers"):
        judging.win_rate(fair, PROMPTS, GOOD[:7], BAD)
    with pytest.raises(ValueError, match="0 prompts, 0 and 0 answers"):
        judging.win_rate(fair, [], [], [])
    with pytest.raises(ValueError, match="an answer must be text, and None came"):
        judging.win_rate(fair, PROMPTS, [*GOOD[:7], None], BAD)


@pytest.mark.parametrize("said", [[1.0] * 8, [[1.0]] * 16, [2.0] * 16, [-0.1] * 16])
def test_a_judge_that_says_something_else_is_refused(said):
    with pytest.raises(ValueError, match="a judge must return a number between 0 and 1 for each of 16 prompts"):
        judging.win_rate(lambda prompts, first, second: said, PROMPTS, GOOD, BAD)


@pytest.mark.parametrize("letter, expected", [("A", 1.0), ("B", 0.0)])
def test_the_letter_alone_is_a_verdict(letter, expected):
    forms = ("{}", " {}\n", "{}.", "({})", "[{}]", "**{}**", "__{}__", "Answer: {}", "Answer {}", "answer: {}.", "ANSWER: {}",
             "**Answer:** {}", "Answer: **{}**", '"{}"', "`{}`")  # fmt: skip
    assert {judging.verdict(form.format(letter)) for form in forms} == {expected}


@pytest.mark.parametrize(
    "reply",
    ["", None, "A better answer is B.", "A clear case: B", "Neither A nor B", "A or B", "A/B", "A, B", "AB", "A B", "BA",
     "Both", "Answer", "Answer: C", "a tie", "I prefer A over B", "B is not as good as A", "Answer A is worse", "Alpha",
     "Ä", "A1", "Not A", "The answer: A or B"],
)  # fmt: skip
def test_a_sentence_is_no_verdict(reply):
    assert math.isnan(judging.verdict(reply))


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


def mean_log_likelihood(model, tokenizer, prompt, answer):
    """Of an answer and the end of the turn, by hand, in float64."""
    before = prompt_ids(tokenizer, prompt)
    ids = [*before, *tokenizer(answer, add_special_tokens=False)["input_ids"], tokenizer.eos_token_id]
    with torch.no_grad():
        log_p = model(torch.tensor([ids])).logits[0].double().log_softmax(-1)
    return np.mean([log_p[place - 1, ids[place]].item() for place in range(len(before), len(ids))])


def test_the_likelihood_judge_does_not_prefer_the_shorter_answer():
    model, tokenizer = model_and_tokenizer()
    peaked(model)
    answers = [
        "Yes.",
        "Yes. Yes.",
        "It is a great day and the sun is out.",
        "",
        "no no no no no no no no no no no",
        "zq",
    ]
    scores = [mean_log_likelihood(model, tokenizer, PROMPTS[0], answer) for answer in answers]
    tokens = [len(tokenizer(answer)["input_ids"]) + 1 for answer in answers]
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    by_sum = [scores[i] * tokens[i] > scores[j] * tokens[j] for i, j in pairs]
    by_mean = [scores[i] > scores[j] for i, j in pairs]
    assert sum(a != b for a, b in zip(by_sum, by_mean)) >= 4  # here the two would often disagree
    found = judging.likelihood(model, tokenizer)([PROMPTS[0]] * 30, *zip(*[(answers[i], answers[j]) for i, j in pairs]))
    assert found.tolist() == [float(each) for each in by_mean]


def test_the_likelihood_judge_forgets_what_a_model_said_before_it_was_changed():
    model, tokenizer = model_and_tokenizer()
    peaked(model)
    judge = judging.likelihood(model, tokenizer)
    ours, theirs = [f"It is {n} of them." for n in range(8)], [f"{n} times no" for n in range(8)]
    before = judge(PROMPTS, ours, theirs)
    with torch.no_grad():
        model.get_output_embeddings().weight.neg_()  # as training would, in place
    after = judge(PROMPTS, ours, theirs)
    expected = [
        float(mean_log_likelihood(model, tokenizer, p, a) > mean_log_likelihood(model, tokenizer, p, b))
        for p, a, b in zip(PROMPTS, ours, theirs)
    ]
    assert after.tolist() == expected and after.tolist() != before.tolist()


def test_an_answer_is_scored_once_for_both_orders(monkeypatch):
    model, tokenizer = model_and_tokenizer()
    seen = []
    whole = judging.next_tokens

    def watched(model, batches):
        seen.extend(len(batch["input_ids"]) for batch in batches)
        return whole(model, batches)

    monkeypatch.setattr(judging, "next_tokens", watched)
    judging.win_rate(judging.likelihood(model, tokenizer, batch_size=5), PROMPTS, ["the same"] * 8, GOOD)
    assert sum(seen) == 16 and max(seen) == 5


def test_the_choosing_judge_reads_the_probability_of_the_letters():
    model, tokenizer = model_and_tokenizer()
    found = judging.choice(model, tokenizer)(PROMPTS[:2], GOOD[:2], BAD[:2])
    asked = judging.QUESTION.format(prompt=PROMPTS[1], first=GOOD[1], second=BAD[1])
    with torch.no_grad():
        logits = model(torch.tensor([prompt_ids(tokenizer, asked)])).logits[0, -1]
    a, b = (logits[tokenizer(letter)["input_ids"][0]].exp().item() for letter in "AB")
    assert found[1] == pytest.approx(a / (a + b), abs=1e-4)


def test_the_choosing_judge_does_not_drop_out_and_needs_letters_that_are_tokens():
    model, tokenizer = model_and_tokenizer()
    judge = judging.choice(model, tokenizer)
    quiet = judge(PROMPTS[:2], GOOD[:2], BAD[:2])
    model.model.norm = torch.nn.Sequential(model.model.norm, torch.nn.Dropout(0.5))
    model.train()
    assert judge(PROMPTS[:2], GOOD[:2], BAD[:2]) == pytest.approx(quiet) and model.training
    unknown = lambda text, **how: {"input_ids": [0]}  # noqa: E731
    with pytest.raises(ValueError, match=r"needs A and B as one token each, and the tokenizer makes \[\[0\], \[0\]\]"):
        judging.choice(model, unknown)


class Judge(BaseHTTPRequestHandler):
    """An OpenAI-compatible server that prefers the answer "good", in a letter; of others it cannot say."""

    asked = []

    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        Judge.asked.append(request)
        text = request["messages"][0]["content"]
        first, second = (f"Answer {letter}: good" in text for letter in "AB")
        reply = "A hard case: neither A nor B." if first == second else f"**{'A' if first else 'B'}**."
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
    assert found["win rate"] == (6 + 2 / 2) / 8 and found["ties"] == 2 / 8
    assert found["unreadable"] == 4 and found["consistent"] == 6 / 8
    assert found["position bias"] == 0
    assert len(Judge.asked) == 16 and {request["model"] for request in Judge.asked} == {"big judge"}
    assert {request["temperature"] for request in Judge.asked} == {0}


def test_what_is_asked_of_the_judging_server_wins_over_what_is_usual(address):
    Judge.asked.clear()
    judging.server(address, "big judge", temperature=0.7, max_tokens=300)(PROMPTS[:1], GOOD[:1], BAD[:1])
    assert [(request["temperature"], request["max_tokens"]) for request in Judge.asked] == [(0.7, 300)]
