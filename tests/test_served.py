"""A served teacher's bad days: nothing is lost, nothing asked twice, no cap passed, no key shown, no other host spoken to."""

import contextlib
import email.utils
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from distill_lessons.teacher import served
from distill_lessons.teacher.served import Price

KEY = "sk-secret-123"
USAGE = {"prompt_tokens": 7, "completion_tokens": 5}


class Server(BaseHTTPRequestHandler):
    """Answers by the script of the prompt (a list of steps, one a try), and notes what it saw."""

    def do_POST(self):
        ours, began = self.server, time.monotonic()
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        asked = request["messages"][-1]["content"]
        with ours.lock:
            ours.seen.append((asked, request, self.headers.get("Authorization"), began))
            ours.present += 1
            ours.most = max(ours.most, ours.present)
            steps = ours.script.get(asked, [])
            step = steps.pop(0) if steps else {}
        threading.Event().wait(step.get("wait", ours.slow))
        choice = {
            "message": {"content": step.get("content", f"to {asked}")},
            "finish_reason": step.get("reason", "stop"),
        }
        reply = {"choices": [choice]} | ({} if "no usage" in step else {"usage": step.get("usage", USAGE)})
        body = step.get("body", json.dumps(reply)).encode()
        with ours.lock:
            ours.present -= 1
        with contextlib.suppress(OSError):  # who asked has gone
            self.send_response(step.get("status", 200))
            for name, value in step.get("headers", {}).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body) + step.get("cut", 0)))
            self.end_headers()
            self.wfile.write(body)

    do_GET = do_POST

    def log_message(self, *arguments):
        pass


@contextlib.contextmanager
def serving():
    service = ThreadingHTTPServer(("127.0.0.1", 0), Server)
    service.lock, service.seen, service.script, service.slow = threading.Lock(), [], {}, 0.0
    service.present = service.most = 0
    service.url = f"http://127.0.0.1:{service.server_port}/v1"
    threading.Thread(target=service.serve_forever, args=(0.01,), daemon=True).start()
    yield service
    service.shutdown()
    service.server_close()


@pytest.fixture
def server(monkeypatch):
    monkeypatch.setattr(served, "FIRST_WAIT", 0.02)
    monkeypatch.delenv(served.KEY_VARIABLE, raising=False)
    with serving() as service:
        yield service


@pytest.fixture
def ask(server, tmp_path):
    def ask(prompts, **more):
        return served.ask(
            prompts, **{"url": server.url, "model": "big", "path": tmp_path / "a.jsonl", "timeout": 5} | more
        )

    return ask


def prompts(count):
    return [f"p{place}" for place in range(count)]


def texts(asked):
    return [each and each.text for each in asked.answers]


def test_answers_stand_in_the_prompts_order_whatever_order_they_come_in(server, ask):
    server.script = {f"p{place}": [{"wait": 0.05 * (4 - place)}] for place in range(4)}
    assert texts(ask(prompts(4), parallel=4)) == [f"to p{place}" for place in range(4)]
    assert server.most == 4


@pytest.mark.parametrize("parallel", [1, 3])
def test_so_many_are_asked_at_a_time_and_no_more(server, ask, parallel):
    server.slow = 0.03
    ask(prompts(8), parallel=parallel)
    assert server.most == parallel


FREE = {"429": {"status": 429}, "408": {"status": 408}, "500": {"status": 500}, "503": {"status": 503}}
PERHAPS_CHARGED = {
    "cut short": {"cut": 50},
    "not JSON": {"body": "<html>busy</html>"},
    "no choices": {"body": '{"choices": []}'},
    "a list": {"body": "[1]"},
    "null": {"content": None},
    "slow": {"wait": 0.6},
}


@pytest.mark.parametrize("name", [*FREE, *PERHAPS_CHARGED])
def test_what_may_pass_is_tried_again_and_counted_if_it_may_have_been_charged(server, ask, name):
    step = (FREE | PERHAPS_CHARGED)[name]
    server.script = {"p1": [dict(step), dict(step)]}
    found = ask(prompts(3), max_tokens=10, timeout=0.3)
    assert texts(found) == ["to p0", "to p1", "to p2"]
    assert len(server.seen) == 5
    most = served.AROUND * 2 + len("p1") + 10
    assert found.report["lost"] == found.answers[1].lost == (2 * most if name in PERHAPS_CHARGED else 0)
    assert (found.report["read"], found.report["written"]) == (21, 15)


def test_waits_grow(server, ask, monkeypatch):
    monkeypatch.setattr(served, "FIRST_WAIT", 0.1)
    server.script = {"p0": [{"status": 500}, {"cut": 9}, {"status": 503}]}
    assert texts(ask(prompts(1))) == ["to p0"]
    times = [began for *_, began in server.seen]
    gaps = [after - before for before, after in zip(times, times[1:])]
    assert gaps[0] >= 0.1 and gaps[1] >= 0.2 and gaps[2] >= 0.4


@pytest.mark.parametrize("as_date", [False, True])
def test_a_pause_that_the_server_asks_for_holds_for_everybody(server, ask, as_date):
    asked = email.utils.formatdate(time.time() + 2, usegmt=True) if as_date else "0.6"
    server.script = {"p0": [{"status": 429, "headers": {"Retry-After": asked}}]}
    server.slow = 0.02
    assert len(ask(prompts(12), parallel=2).answers) == 12
    times = sorted(began for *_, began in server.seen)
    assert max(after - before for before, after in zip(times, times[1:])) >= 0.5
    assert sum(began < times[0] + 0.5 for began in times) <= 4


def test_a_server_that_asks_for_hours_ends_the_asking(server, ask):
    server.script = {"p0": [{"status": 429, "headers": {"Retry-After": "7200"}}]}
    with pytest.raises(OSError, match="429.*it asks to wait 7200 seconds"):
        ask(prompts(1))
    assert len(server.seen) == 1


def test_tokens_and_money(ask):
    found = ask(prompts(4), price=Price(2.0, 10.0))
    assert found.report["money"] == pytest.approx((28 * 2 + 20 * 10) / 1e6) and found.report["currency"] == "USD"
    again = ask(prompts(4), price=Price(1.0, 3.0, "EUR per thousand tokens"))
    assert again.report["money"] == pytest.approx((28 + 60) / 1e3) and again.report["currency"] == "EUR"
    assert ask(prompts(4)).report["money"] is None


def test_what_the_server_does_not_count_is_counted_at_its_most(server, ask):
    broken = ({"no usage": 1}, {"usage": None}, {"usage": {"prompt_tokens": "7"}}, {"usage": {"prompt_tokens": 3}})
    server.script = {f"p{place}": [step] for place, step in enumerate(broken)}
    found = ask(prompts(5), max_tokens=4)
    assert [each.estimated for each in found.answers] == [True] * 4 + [False]
    assert all(each.read == 2 * served.AROUND + 2 and each.written == 4 for each in found.answers[:4])
    assert found.report["estimated"] == 4


@pytest.mark.parametrize("cap", [100, 137, 160, 230])
def test_a_cap_in_tokens_is_never_passed_and_what_was_made_is_kept(server, ask, tmp_path, cap):
    server.slow = 0.005
    found = ask(prompts(20), most_tokens=cap, max_tokens=10, parallel=4)
    spent, most = found.report["read"] + found.report["written"], 2 * served.AROUND + 3 + 10
    assert cap - most < spent <= cap
    made = spent // 12
    assert found.report["answered"] == made == len(server.seen) < 20
    assert [each is not None for each in found.answers] == [True] * made + [False] * (20 - made)
    assert found.report["stopped"].startswith(
        f"stopped before prompt {made + 1} of 20: the cap of {cap} tokens leaves "
    )
    assert f"{made} answers are kept in a.jsonl" in found.report["stopped"]
    assert len(served.read(tmp_path / "a.jsonl")) == made
    assert ask(prompts(20), most_tokens=cap, max_tokens=10).report["answered"] == made  # the file's own tokens count
    rest = ask(prompts(20), max_tokens=10)
    assert rest.report["stopped"] is None and rest.report["known"] == made and len(server.seen) == 20


@pytest.mark.parametrize(
    "caps", [{"most_tokens": 100}, {"most_money": 0.1, "price": Price(1, 1, "EUR per thousand tokens")}]
)
def test_requests_under_way_are_counted_at_their_most(server, ask, caps):
    server.slow = 0.03
    dear = {"usage": {"prompt_tokens": 2 * served.AROUND + 2, "completion_tokens": 10}}
    server.script = {each: [dear] for each in prompts(10)}
    found = ask(prompts(10), max_tokens=10, parallel=4, **caps)
    assert found.report["answered"] == len(server.seen) == 2
    assert found.report["read"] + found.report["written"] == 88


def test_a_cap_in_money_is_never_passed(server, ask):
    price = Price(1.0, 2.0, "EUR per thousand tokens")
    found = ask(prompts(20), most_money=0.2, price=price, max_tokens=10)
    assert 0.2 - 0.055 < found.report["money"] <= 0.2 and found.report["answered"] == len(server.seen)
    assert "the cap of 0.2 EUR leaves 0.0" in found.report["stopped"] and "may take 0.05" in found.report["stopped"]


def test_tries_that_may_have_been_charged_count_against_the_cap(server, ask):
    server.script = {"p0": [{"cut": 9}] * 3}
    found = ask(prompts(3), most_tokens=100, max_tokens=10, parallel=1)
    assert found.report["answered"] == 0 and len(server.seen) == 2 and found.report["lost"] == 88
    assert found.report["stopped"].startswith("stopped before prompt 1 of 3")


def test_only_what_is_missing_is_asked(server, ask):
    first = ask(prompts(3))
    assert texts(ask(["p2", "new", "p0"])) == ["to p2", "to new", "to p0"]
    assert [asked for asked, *_ in server.seen[3:]] == ["new"]
    assert ask(prompts(3)).answers == first.answers and len(server.seen) == 4
    for other in ({"temperature": 0.7}, {"max_tokens": 9}, {"seed": 1}, {"model": "small"}, {"top_p": 0.5}):
        before = len(server.seen)
        assert ask(["p0"], **other).report["known"] == 0 and len(server.seen) == before + 1
    ask(["p0"], url=server.url + "/chat/completions", temperature=0)  # the same as 0.0
    assert len(server.seen) == 9


def test_a_prompt_asked_twice_gets_two_answers_with_seeds_of_their_own(server, ask):
    server.script = {"p": [{"content": "one"}, {"content": "two"}]}
    found = ask(["p", "p", "q"], parallel=1)
    assert texts(found) == ["one", "two", "to q"]
    seeds = {asked: set() for asked in "pq"}
    for asked, request, *_ in server.seen:
        seeds[asked].add(request["seed"])
        assert 0 <= request["seed"] < 2**31
    assert len(seeds["p"]) == 2 and len(seeds["p"] | seeds["q"]) == 3
    assert ask(["q"]).report["known"] == 1 and len(server.seen) == 3  # whatever is asked beside it


def test_requests_hold_what_was_asked(server, ask):
    turns = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "hello"}]
    server.script = {"hello": [{"reason": "length"}]}
    (answer,) = ask([turns], key=KEY, temperature=0.5, max_tokens=3, stop=["x"]).answers
    _, request, key, _ = server.seen[0]
    assert request["messages"] == turns and key == f"Bearer {KEY}" and not answer.finished
    assert request | {"seed": 0} == {"model": "big", "messages": turns, "temperature": 0.5, "max_tokens": 3,
                                     "stop": ["x"], "seed": 0}  # fmt: skip


def test_an_interruption_loses_nothing(server, ask, tmp_path):
    server.slow = 0.05

    def interrupted(line):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        ask(prompts(9), parallel=3, say=interrupted)
    answered = len(server.seen)
    assert 3 <= answered < 9
    assert {row["prompt"] for row in served.read(tmp_path / "a.jsonl")} == {asked for asked, *_ in server.seen}
    assert texts(ask(prompts(9))) == [f"to p{place}" for place in range(9)] and len(server.seen) == 9


def test_no_file_is_left_beside_the_answers_and_each_write_is_whole(ask, tmp_path, monkeypatch):
    monkeypatch.setattr(served, "WRITE_EVERY", 0.0)
    sizes = []

    def say(line):
        sizes.append(len(served.read(tmp_path / "a.jsonl")))

    ask(prompts(4), parallel=1, say=say)
    assert sizes == [1, 2, 3, 4] and [path.name for path in tmp_path.iterdir()] == ["a.jsonl"]


def test_a_refused_prompt_does_not_stop_the_others(server, ask):
    server.script = {"p1": [{"status": 400, "body": "too\n long"}]}
    found = ask(prompts(3))
    assert texts(found) == ["to p0", None, "to p2"] and len(server.seen) == 3
    assert list(found.report["refused"]) == [1] and "400" in found.report["refused"][1]
    assert "too long" in found.report["refused"][1] and found.report["stopped"] is None


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_wrong_key_or_model_ends_the_asking_and_never_shows_the_key(server, ask, tmp_path, status):
    server.script = {f"p{place}": [{"status": status, "body": f"bad key {KEY}"}] for place in range(2, 20)}
    with pytest.raises(
        OSError, match=f"refused the request: {status}.*<the key>.*2 answers are kept in a.jsonl"
    ) as error:
        ask(prompts(20), parallel=1, key=KEY)
    assert KEY not in str(error.value) and len(server.seen) == 3
    assert KEY not in (tmp_path / "a.jsonl").read_text()


def test_a_key_comes_from_the_environment_and_a_broken_one_is_not_shown(server, ask, monkeypatch):
    ask(["a"])
    monkeypatch.setenv(served.KEY_VARIABLE, "from-there")
    ask(["b"])
    ask(["c"], key="given")
    assert [key for _, _, key, _ in server.seen] == [None, "Bearer from-there", "Bearer given"]
    with pytest.raises(ValueError, match="the key holds") as error:
        ask(["d"], key="secret\nX: y")
    assert "secret" not in str(error.value)


def test_only_the_named_host_is_spoken_to(server, ask, monkeypatch):
    with serving() as other:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setenv(name, other.url.removesuffix("/v1"))
        assert texts(ask(["plain"])) == ["to plain"]
        for status in (301, 302, 303, 307, 308):
            server.script["moved"] = [{"status": status, "headers": {"Location": f"{other.url}/chat/completions"}}]
            with pytest.raises(OSError, match=f"refused the request: {status}"):
                ask(["moved"], key=KEY)
        assert not other.seen


def test_a_server_that_goes_is_named_and_what_it_said_before_is_kept(server, ask, tmp_path):
    ask(prompts(2))
    server.script = {"p2": [{"status": 500}] * 9}
    with pytest.raises(OSError, match=r"no usable answer from http://127.* \(500 .*, prompt 'p2'; 2 answers are kept"):
        ask(prompts(3), tries=3)
    assert len(server.seen) == 5
    with pytest.raises(OSError, match="no usable answer"):
        ask(["x"], url="http://127.0.0.1:9/v1", tries=2)
    server.script = {"p2": [{"cut": 9}] * 9}
    with pytest.raises(OSError, match="IncompleteRead"):
        ask(prompts(3), tries=3)
    assert len(server.seen) == 8 and len(served.read(tmp_path / "a.jsonl")) == 2


@pytest.mark.parametrize(
    "how, sentence",
    [
        ({"prompts": "one"}, "prompts is one text"),
        ({"prompts": ["a", ""]}, "prompt 1 is ''"),
        ({"prompts": [[{"role": "user"}]]}, "prompt 0 is"),
        ({"url": "localhost:8000/v1"}, "must begin with http"),
        ({"url": "http://me:secret@host/v1"}, "give no name, password or query"),
        ({"parallel": 0}, "parallel must be a whole number of at least 1"),
        ({"max_tokens": 2.5}, "max_tokens must be a whole number"),
        ({"timeout": 0}, "timeout"),
        ({"most_tokens": 0}, "most_tokens must be above 0"),
        ({"most_money": 1}, "most_money needs a price"),
        ({"price": Price(1, 2, "USD a token")}, "USD a token"),
        ({"price": Price(-1, 2)}, "a price is 0 or more"),
        ({"n": 3}, "ask sets n itself"),
        ({"stream": True}, "ask sets stream itself"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_is_sent(server, ask, how, sentence):
    with pytest.raises(ValueError, match=sentence) as error:
        ask(**{"prompts": ["a"]} | how)
    assert not server.seen and "secret" not in str(error.value)


def test_another_file_is_not_taken_for_answers(server, ask, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"key": 1}\n')
    with pytest.raises(ValueError, match="line 1 of a.jsonl is no answer of served.ask"):
        ask(["a"])
    with pytest.raises(FileNotFoundError, match="make them with served.ask"):
        served.read(tmp_path / "none.jsonl")
    assert not server.seen
