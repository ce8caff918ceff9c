"""A teacher behind an address: ask any OpenAI-compatible server, count tokens and money, stop at a cap, lose nothing.

``served.ask(prompts, url="http://localhost:8000/v1", model="big", path="answers.jsonl", price=Price(0.15, 0.60), most_money=2)``
"""

import hashlib
import http.client
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from distill_lessons import runtime
from distill_lessons.teacher.generation import WAIT_AT_MOST, _asked_wait, _said, _text_of

KEY_VARIABLE = "DISTILL_API_KEY"
FIRST_WAIT = 1.0  # seconds before the second try; each further one waits twice as long, up to a minute
WRITE_EVERY = 1.0  # seconds between two writings of the file, which is written whole
AROUND = 16  # tokens that a chat template may put around a turn, and before the answer
HOPELESS = (401, 403, 404)  # statuses that any other prompt would get as well: the key or the model's name is wrong
PER = {"token": 1, "thousand tokens": 1_000, "million tokens": 1_000_000}
OURS = ("model", "messages", "seed", "temperature", "max_tokens", "n", "stream")  # what `how` must not hold


class Price(NamedTuple):
    """What tokens cost. `unit` is a currency "per token", "per thousand tokens" or "per million tokens"."""

    read: float
    written: float
    unit: str = "USD per million tokens"

    @property
    def currency(self) -> str:
        return self.unit.partition(" per ")[0]

    def of(self, read: int, written: int) -> float:
        """The cost of so many tokens, in `currency`.

        Raises:
            ValueError: the unit is another; says which there are.
        """
        currency, _, per = self.unit.partition(" per ")
        if per not in PER or not currency:
            raise ValueError(f"a price's unit is a currency per {', per '.join(PER)}, and it is {self.unit!r}")
        return (read * self.read + written * self.written) / PER[per]


class Answer(NamedTuple):
    """A server's answer to one prompt, and the tokens that it took.

    `finished` is False where it was cut at max_tokens. `estimated` says that the server did not count its tokens: then they
    are counted at their most. `lost` are tokens of tries that brought nothing and may have been charged.
    """

    text: str
    finished: bool
    read: int
    written: int
    estimated: bool = False
    lost: int = 0


class Asked(NamedTuple):
    """What `ask` gives: answers in the prompts' order, None where there is none; and the report, plain data."""

    answers: list[Answer | None]
    report: dict


def ask(
    prompts: Sequence[str | list],
    *,
    url: str,
    model: str,
    path: str | Path,
    key: str | None = None,
    seed: int = 0,
    temperature: float = 0.0,
    max_tokens: int = 256,
    parallel: int = 8,
    timeout: float = 120,
    tries: int = 6,
    price: Price | None = None,
    most_tokens: int | None = None,
    most_money: float | None = None,
    say: Callable[[str], object] | None = None,
    **how,
) -> Asked:
    """Ask a server for an answer to each prompt; only what `path` does not hold yet is asked.

    A cap is never passed: before a request goes out, the most that it and those under way may take must fit (a token is a
    byte of text at least, and an answer `max_tokens` at most). Where it does not, asking ends, and the report says where.
    What may pass (a busy server, a cut or empty reply, no connection) is tried again after 1, 2, 4 … seconds, or after as
    long as the server asks (Retry-After), and then nobody else asks it either. Ctrl-C waits for the requests under way,
    writes what came, and then interrupts; a second one does not wait.

    Args:
        prompts: texts, or lists of turns, dicts of role and content. One that stands there twice gets two answers.
        url: up to and with the version, such as ``http://localhost:8000/v1``. Nobody else is spoken to: a redirection is
            not followed, and no proxy is used.
        path: of the answers, a JSON object a line, by prompt, model and settings: one file can serve many calls, and two
            processes must not share one. Caps count all that stands in it.
        key: the server's key; by default what the environment's ``DISTILL_API_KEY`` holds, else none. It is sent to the
            server alone and written nowhere.
        seed: with a prompt it fixes the request's seed, whatever is asked beside it.
        parallel: requests at a time; timeout: seconds that one may take; tries: how often it is sent in all.
        price: what tokens cost; most_tokens, most_money: the caps, the latter in the price's currency.
        how: goes into each request: top_p, stop, response_format …
    Returns:
        answers, and a report of prompts, answered, known (before this call), refused (dict of the prompt's number to what
        the server said), tokens read, written and lost in the whole file, estimated (answers that the server did not count),
        money and currency (None without a price), seconds, and stopped (a sentence; None if all were asked).
    Raises:
        ValueError: an argument is out of range; a prompt is none; the file holds something else.
        OSError: the server refuses the key or the model, or gave no usable answer to a prompt after so many tries, or the
            disk is full; says what it said. What came before is in the file.
    """
    where = _address(url)
    _check(parallel, timeout, tries, max_tokens, temperature, price, most_tokens, most_money, how)
    settings = {"model": model, "temperature": float(temperature), "max_tokens": max_tokens, **how}
    requests = _requests(prompts, settings, seed)
    book = _Book(Path(path), price, most_tokens, most_money)
    line = _Line(where, _key(key), timeout, tries)
    known = sum(each.name in book.rows for each in requests)
    began, refused, stopped, trouble = time.perf_counter(), {}, None, None
    waiting = [place for place, each in enumerate(requests) if each.name not in book.rows]
    waiting.reverse()
    tried, under_way, pool = Counter(), {}, ThreadPoolExecutor(parallel)

    def enter(place, outcome):
        """Take in what came of a request; returns why no other should be sent, or None."""
        if isinstance(outcome, Answer):
            book.enter(requests[place], outcome)
            return None
        book.lose(requests[place], outcome.lost)
        tried[place] += outcome.tries
        if outcome.again and tried[place] < tries:
            waiting.append(place)
            return None
        if not outcome.again and not outcome.hopeless:
            refused[place] = outcome.said
            return None
        return outcome.said

    try:
        while under_way or (waiting and not stopped and not trouble):
            while waiting and not stopped and not trouble and len(under_way) < parallel:
                place = waiting[-1]
                if not book.fits(requests[place], [requests[other] for other in under_way.values()]):
                    if not under_way:  # what those took is known, and it still does not fit
                        stopped = book.sentence(requests[place], place, len(requests))
                    break
                waiting.pop()
                under_way[pool.submit(line.send, requests[place], tried[place])] = place
            done = wait(under_way, return_when=FIRST_COMPLETED).done if under_way else ()
            for future in done:
                told = enter(under_way[future], future.result())
                del under_way[future]  # only now: an interruption between the two must not lose what was paid for
                trouble = trouble or told
            if trouble:
                line.leaving.set()  # the others are not tried again
            book.write()
            if say and done:
                say(
                    f"{book.path.name}: {len(requests) - len(waiting) - len(under_way)} of {len(requests)} prompts asked"
                )
    except BaseException:
        line.leaving.set()  # nobody tries again, and those who wait go on at once
        for future in wait(under_way).done if under_way else ():
            enter(under_way[future], future.result())
        raise
    finally:
        line.leaving.set()
        pool.shutdown(wait=False, cancel_futures=True)
        book.write(now=True)
    if trouble:
        raise OSError(f"{trouble}; {book.kept()}: then call again, and only the rest is asked")
    answers = [book.rows.get(each.name) for each in requests]
    report = {"prompts": len(requests), "answered": sum(each is not None for each in answers), "known": known,
              "refused": refused, **book.totals(), "seconds": time.perf_counter() - began, "stopped": stopped}  # fmt: skip
    return Asked(answers, report)


def read(path: str | Path) -> list[dict]:
    """The rows that `ask` wrote: dicts of key, prompt, settings, text, finished, read, written, estimated and lost.

    Raises:
        FileNotFoundError: they are not there; ValueError: a line is no such row; says which.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no answers at {path.name}: make them with served.ask")
    rows = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            row = json.loads(line)
            Answer(*(row[name] for name in Answer._fields))
            row["key"], row["prompt"]
        except (ValueError, LookupError, TypeError):
            raise ValueError(f"line {number} of {path.name} is no answer of served.ask: name another file") from None
        rows.append(row)
    return rows


# --- What is asked ----------------------------------------------------------------------------------------------------


class _Request(NamedTuple):
    name: str  # the key of its row
    prompt: str | list
    body: dict
    most_read: int  # tokens

    @property
    def most(self):
        return self.most_read + self.body["max_tokens"]


def _requests(prompts, settings, seed):
    if isinstance(prompts, str):
        raise ValueError("prompts is one text: give a list of them")
    requests, times = [], Counter()
    for place, prompt in enumerate(prompts):
        turns = [{"role": "user", "content": prompt}] if isinstance(prompt, str) else prompt
        fits = isinstance(turns, list) and turns and all(
            isinstance(turn, dict) and isinstance(turn.get("content"), str) and turn.get("role") for turn in turns
        )  # fmt: skip
        if not fits or not turns[-1]["content"].strip():
            raise ValueError(f"prompt {place} is {prompt!r:.80}: give a text, or a list of turns of role and content")
        told = json.dumps({"messages": turns, "settings": settings, "seed": seed}, sort_keys=True)
        number, times[told] = times[told], times[told] + 1
        digest = hashlib.sha256(f"{told}\n{number}".encode("utf-8", "surrogatepass"))
        body = {**settings, "messages": turns, "seed": int.from_bytes(digest.digest()[:4], "big") >> 1}
        most = sum(len(turn["content"].encode("utf-8", "surrogatepass")) + AROUND for turn in turns) + AROUND
        requests.append(_Request(digest.hexdigest(), prompt, body, most))
    return requests


def _address(url):
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError(f"the url must begin with http:// or https:// and a host, and it is {url!r}")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError("the url must end with its path: give no name, password or query in it, and the key as `key`")
    return f"{url.rstrip('/').removesuffix('/chat/completions')}/chat/completions"


def _key(key):
    key = os.environ.get(KEY_VARIABLE) if key is None else key
    if key and not re.fullmatch(r"[!-~]+", key):
        raise ValueError("the key holds a space, a line break or another sign that no key has: copy it again")
    return key or None


def _check(parallel, timeout, tries, max_tokens, temperature, price, most_tokens, most_money, how):
    whole = {"parallel": parallel, "tries": tries, "max_tokens": max_tokens}
    for name, value in whole.items():
        if not isinstance(value, int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1, and it is {value!r}")
    if not timeout > 0 or not temperature >= 0:
        raise ValueError(f"timeout ({timeout!r}) must be above 0, and temperature ({temperature!r}) 0 or more")
    for name, value in {"most_tokens": most_tokens, "most_money": most_money}.items():
        if value is not None and not value > 0:
            raise ValueError(f"{name} must be above 0, or None for no cap, and it is {value!r}")
    if price is not None:
        if not (price.read >= 0 and price.written >= 0):
            raise ValueError(f"a price is 0 or more, and it is {price}")
        price.of(0, 0)
    elif most_money is not None:
        raise ValueError("most_money needs a price: give price=Price(read, written, unit)")
    for name in how:
        if name in OURS:
            raise ValueError(f"ask sets {name} itself, and asks for one answer a prompt: leave it out")


# --- Asking -----------------------------------------------------------------------------------------------------------


class _Refused(NamedTuple):
    """No answer: what was said, the tokens that may have been charged, the tries that it took, and what to do now."""

    said: str
    lost: int
    tries: int
    again: bool = False  # ask once more, if the caps allow
    hopeless: bool = False  # other prompts would fare no better


class _Stay(urllib.request.HTTPRedirectHandler):
    """Follows no redirection: the key and the prompts are for the named host alone."""

    def redirect_request(self, *arguments):
        return None


class _Line:
    """The line to the server that all requests share: a pause that it asked for holds for all of them."""

    def __init__(self, where, key, timeout, tries):
        self.where, self.key, self.timeout, self.tries = where, key, timeout, tries
        self.opener = urllib.request.build_opener(_Stay, urllib.request.ProxyHandler({}))
        self.leaving, self.quiet_until = threading.Event(), 0.0

    def send(self, request: _Request, before: int) -> Answer | _Refused:
        """The answer to a request that was tried `before`, or why there is none.

        What costs nothing (a busy server, no connection) is tried again here; what may have been charged is not, so that
        the caps are looked at first.
        """
        headers = {"Content-Type": "application/json"} | ({"Authorization": f"Bearer {self.key}"} if self.key else {})
        body, tries, problem = json.dumps(request.body).encode(), 0, "it was not asked"
        while before + tries < self.tries and not (self.leaving.is_set() and tries):
            self.leaving.wait(max(0.0, self.quiet_until - time.monotonic()))
            pause, lost = min(FIRST_WAIT * 2.0 ** (before + tries), 60.0), 0
            tries += 1
            try:
                with self.opener.open(urllib.request.Request(self.where, body, headers), timeout=self.timeout) as reply:
                    return _answer(json.load(reply), request)
            except urllib.error.HTTPError as error:
                problem = self.hidden(_said(error))
                if error.code < 500 and error.code not in (408, 429):  # our mistake: asking again would not help
                    hopeless = error.code in HOPELESS or error.code < 400
                    return _Refused(f"the server refused the request: {problem}", 0, tries, hopeless=hopeless)
                asked_for = _asked_wait(error)
                if asked_for is not None and asked_for > WAIT_AT_MOST:
                    problem += f"; it asks to wait {asked_for:.0f} seconds"
                    break
                if asked_for is not None:
                    self.quiet_until, pause = max(self.quiet_until, time.monotonic() + asked_for), 0.0
            except (OSError, http.client.HTTPException, ValueError) as error:
                problem = self.hidden(f"{type(error).__name__}: {error}")
                lost = 0 if isinstance(getattr(error, "reason", None), ConnectionRefusedError) else request.most
            if before + tries < self.tries:
                self.leaving.wait(pause)
            if lost:
                return _Refused(self.unanswered(request, problem), lost, tries, again=True)
        return _Refused(self.unanswered(request, problem), 0, tries, hopeless=True)

    def unanswered(self, request, problem):
        return f"no usable answer from {self.where} ({problem}), prompt {request.prompt!r:.80}"

    def hidden(self, text):
        """A text without the key, should a server have repeated it."""
        return text.replace(self.key, "<the key>") if self.key else text


def _answer(reply, request):
    """A reply's answer.

    Raises:
        ValueError: there is none in it; says what came.
    """
    text, finished = _text_of(reply)
    usage = reply["usage"] if isinstance(reply.get("usage"), dict) else {}
    counts = [usage.get(name) for name in ("prompt_tokens", "completion_tokens")]
    if all(type(count) is int and count >= 0 for count in counts):
        return Answer(text, finished, *counts)
    size = len(text.encode("utf-8", "surrogatepass")) + 1
    return Answer(text, finished, request.most_read, min(size, request.body["max_tokens"]), True)


# --- What came --------------------------------------------------------------------------------------------------------


class _Book:
    """The answers by key, the tokens that they took, and the file that holds both."""

    def __init__(self, path, price, most_tokens, most_money):
        self.path, self.price, self.most_tokens, self.most_money = path, price, most_tokens, most_money
        self.lines, self.rows, self.lost = {}, {}, Counter()  # by key; lost are those of prompts without an answer
        self.fresh, self.last = False, time.monotonic()
        for row in read(path) if path.exists() else ():
            self.lines[row["key"]] = row
            self.rows[row["key"]] = Answer(*(row[name] for name in Answer._fields))

    def enter(self, request, answer):
        answer = answer._replace(lost=self.lost.pop(request.name, 0))
        settings = {name: value for name, value in request.body.items() if name != "messages"}
        self.lines[request.name] = {
            "key": request.name,
            "prompt": request.prompt,
            "settings": settings,
            **answer._asdict(),
        }
        self.rows[request.name], self.fresh = answer, True

    def lose(self, request, tokens):
        self.lost[request.name] += tokens

    def write(self, now=False):
        if self.fresh and (now or time.monotonic() - self.last >= WRITE_EVERY):
            with runtime.replacing(self.path) as temporary:
                text = "".join(json.dumps(row, ensure_ascii=True) + "\n" for row in self.lines.values())
                temporary.write_text(text, encoding="utf-8")
            self.fresh, self.last = False, time.monotonic()

    def totals(self):
        rows = self.rows.values()
        read, written = sum(each.read for each in rows), sum(each.written for each in rows)
        lost = self.lost.total() + sum(each.lost for each in rows)
        # What was lost is taken to have cost as much as what is written: the dearer kind with every server.
        money = self.price.of(read, 0) + self._dear(lost) + self.price.of(0, written) if self.price else None
        return {"read": read, "written": written, "lost": lost, "estimated": sum(each.estimated for each in rows),
                "money": money, "currency": self.price.currency if self.price else None}  # fmt: skip

    def _dear(self, tokens):
        return max(self.price.of(tokens, 0), self.price.of(0, tokens))

    def _left(self, under_way=()):
        """Tokens and money that are left under the caps if those under way take the most; None where there is no cap."""
        found = self.totals()
        tokens = found["read"] + found["written"] + found["lost"] + sum(each.most for each in under_way)
        left = None if self.most_tokens is None else self.most_tokens - tokens
        if self.most_money is None:
            return left, None
        return left, self.most_money - found["money"] - sum(map(self._most_money, under_way))

    def _most_money(self, request):
        return self.price.of(request.most_read, request.body["max_tokens"])

    def fits(self, request, under_way):
        if self.most_tokens is None and self.most_money is None:
            return True
        tokens, money = self._left(under_way)
        return (tokens is None or request.most <= tokens) and (
            money is None or self._most_money(request) <= money + 1e-12
        )

    def sentence(self, request, place, count):
        tokens, money = self._left()
        if tokens is not None and request.most > tokens:
            cap, left, next_one = f"{self.most_tokens:,} tokens", f"{max(tokens, 0):,}", f"{request.most:,}"
        else:
            cap = f"{self.most_money:g} {self.price.currency}"
            left, next_one = f"{max(money, 0):.4g}", f"{self._most_money(request):.4g}"
        return (
            f"stopped before prompt {place + 1} of {count}: the cap of {cap} leaves {left}, and the next request may take "
            f"{next_one}; {self.kept()}: raise the cap and call again, and only the rest is asked"
        )

    def kept(self):
        return f"{len(self.rows):,} answers are kept in {self.path.name}"
