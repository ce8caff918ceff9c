"""Clocks, percentiles, the queue, memory and energy: against arithmetic, and against models that sleep."""

import ast
import functools
import time
import types
from pathlib import Path

import numpy as np
import pytest
import torch
from test_pairs import small_llama

from distill_lessons import economics
from distill_lessons.evaluation import speed


def test_every_token_has_its_time_and_the_tokens_are_those_of_greedy_generation():
    model = small_llama().eval()
    seen = []
    whole = model.forward

    @functools.wraps(whole)
    def watched(*arguments, **options):
        output = whole(*arguments, **options)
        seen.append(output.logits[:, -1].argmax(-1))
        return output

    model.forward = watched
    ids = torch.randint(3, 300, (2, 7), generator=torch.Generator().manual_seed(0))
    times = speed.token_times(model, ids, 5)
    assert times.shape == (5,) and (np.diff(times) > 0).all() and times[0] > 0
    model.forward = whole
    made = model.generate(ids, max_new_tokens=5, min_new_tokens=5, do_sample=False, eos_token_id=None, pad_token_id=0)
    assert torch.stack(seen, 1).tolist() == made[:, 7:].tolist()


class Sleeper:
    """A model whose first token takes 30 ms and every other one 10."""

    device = torch.device("cpu")

    def __init__(self):
        self.calls = 0

    def forward(self, input_ids, cache, **options):
        self.calls += 1
        time.sleep(0.03 if cache is None else 0.01)
        return types.SimpleNamespace(logits=torch.zeros(len(input_ids), 1, 5), cache="kept")

    __call__ = forward


def test_first_and_later_tokens_are_told_apart_and_the_warm_up_is_not_counted():
    model = Sleeper()
    times = speed.response_times(model, [[1, 2], [3, 4]], 4, warm_up=3)
    assert times.shape == (2, 4) and model.calls == (3 + 2) * 4
    assert times[:, 0].min() >= 0.03 and np.diff(times).min() >= 0.01
    assert np.median(times[:, 0]) > 1.5 * np.median(np.diff(times))


def test_calls_are_timed_after_the_warm_up():
    calls = []
    seconds = speed.timed(lambda: calls.append(time.sleep(0.1 if len(calls) < 2 else 0.005)), repeats=4, warm_up=2)
    assert len(seconds) == 4 and len(calls) == 6 and 0.005 <= np.median(seconds) < 0.1


def test_percentiles_of_what_is_left_after_the_warm_up():
    found = speed.percentiles([9, 9, *range(1, 102)], warm_up=2)
    assert found == {"p50": 51, "p95": 96, "p99": 100, "responses": 101}
    with pytest.raises(ValueError, match="no latency is left after a warm-up of 3"):
        speed.percentiles([1, 2, 3], warm_up=3)


def test_the_queue_by_hand():
    arrivals = [0.0, 0.1, 0.2, 5.0]
    assert speed.queue(arrivals, lambda count: 1.0, largest=1).tolist() == pytest.approx([1.0, 1.9, 2.8, 1.0])
    assert speed.queue(arrivals, lambda count: 1.0, largest=8).tolist() == pytest.approx([1.0, 1.9, 1.8, 1.0])
    sizes = []
    speed.queue(arrivals, lambda count: sizes.append(count) or 1.0, largest=8)
    assert sizes == [1, 2, 1]


def test_the_queue_waits_as_long_as_theory_says():
    rate, service = 0.7, 1.0  # one at a time, always the same service: an M/D/1 queue
    latency = speed.queue(speed.poisson(rate, 60_000), lambda count: service, largest=1)
    waiting = rate * service**2 / (2 * (1 - rate * service))  # Pollaczek and Khinchine
    assert latency.mean() - service == pytest.approx(waiting, rel=0.08)


def test_batches_keep_a_server_up_that_would_drown_alone():
    arrivals = speed.poisson(3.0, 3000)
    serve = speed.measured({1: 1.0, 4: 1.2, 16: 2.0})
    assert serve(4) == 1.2 and serve(10) == pytest.approx(1.6)
    alone, together = (speed.queue(arrivals, serve, largest) for largest in (1, 16))
    assert alone[-1] > 500 and np.percentile(together, 99) < 10


def test_poisson_arrivals_come_at_their_rate():
    arrivals = speed.poisson(5.0, 20_000)
    assert (np.diff(arrivals) > 0).all() and arrivals[-1] == pytest.approx(4000, rel=0.05)
    assert np.diff(arrivals).std() == pytest.approx(0.2, rel=0.05)


def tensor_of(megabytes):
    return torch.zeros(int(megabytes * 1e6 / 4))


def doubled(tensor):
    return (tensor + 1).sum()


def test_the_peak_is_what_the_model_and_its_use_need():
    assert speed.peak_memory(tensor_of, doubled, 200) == pytest.approx(400, abs=60)


@pytest.mark.parametrize(
    "said, told", [(b"Traceback\nKeyError: 'no such tensor'\n", "KeyError"), (b"", "it was killed")]
)
def test_a_process_that_came_to_no_end_is_told(monkeypatch, said, told):
    done = types.SimpleNamespace(returncode=1, stdout=b"", stderr=said)
    monkeypatch.setattr(speed.subprocess, "run", lambda *arguments, **options: done)
    with pytest.raises(RuntimeError, match=f"measuring memory failed: {told}"):
        speed.peak_memory(tensor_of, doubled, 1)


def test_the_speed_of_generation_counts_the_tokens_of_all_prompts(monkeypatch):
    asked, clock = [], [0.0]

    def generate(model, tokenizer, prompts, max_new_tokens, **how):
        asked.append((len(prompts), max_new_tokens, how))
        clock[0] += (9.0, 0.5, 0.4, 7.0)[len(asked) - 1]  # the first is the warm-up

    monkeypatch.setattr(speed.generation, "generate", generate)
    monkeypatch.setattr(speed, "time", types.SimpleNamespace(perf_counter=lambda: clock[0]))
    found = speed.generation_speed(None, None, ["a", "b", "c", "d"], new_tokens=10, repeats=3)
    assert found == pytest.approx(4 * 10 / 0.5)
    assert len(asked) == 4 and asked[1] == (4, 10, {"min_new_tokens": 10, "batch_size": 4})


@pytest.mark.parametrize("count", [0, -1, 1.5, None])
def test_counts_are_counts(count):
    calls = [
        lambda: speed.token_times(Sleeper(), torch.zeros(1, 2, dtype=torch.long), count),
        lambda: speed.timed(lambda: None, count),
        lambda: speed.generation_speed(None, None, ["a"], count),
        lambda: speed.generation_speed(None, None, ["a"], repeats=count),
        lambda: speed.poisson(1.0, count),
        lambda: speed.queue([0.0], lambda batch: 1.0, count),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="must be a whole number of at least 1"):
            call()
    if count != 0:
        for call in (
            lambda: speed.percentiles([1.0, 2.0], count),
            lambda: speed.timed(lambda: None, 1, count),
            lambda: speed.response_times(Sleeper(), [[1]], 1, count),
        ):
            with pytest.raises(ValueError, match="warm_up must be a whole number of at least 0"):
                call()


def test_nothing_to_time_and_what_was_not_measured_are_said():
    for call in (lambda: speed.response_times(Sleeper(), [], 3), lambda: speed.generation_speed(None, None, [])):
        with pytest.raises(ValueError, match="there is no prompt"):
            call()
    with pytest.raises(ValueError, match="latencies must be finite"):
        speed.percentiles([1.0, float("nan")])
    with pytest.raises(ValueError, match="arrivals must ascend"):
        speed.queue([1.0, 0.5], lambda count: 1.0, 1)
    with pytest.raises(ValueError, match="the rate must be a positive finite number, and it is 0"):
        speed.poisson(0, 5)
    with pytest.raises(ValueError, match="nothing was measured"):
        speed.measured({})
    serve = speed.measured({2: 1.0, 16: 2.0})
    for count in (1, 17):
        with pytest.raises(ValueError, match=f"batches of 2 to 16 were measured, and one of {count} is asked about"):
            serve(count)


def top_level_imports(path):
    return {
        each.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import) for each in node.names
    }


def test_what_windows_has_not_is_imported_only_where_it_is_used():
    for path in Path(speed.__file__).parent.glob("*.py"):
        assert not top_level_imports(path) & {"resource", "fcntl", "pwd", "grp"}, path.name


def test_nothing_in_these_rooms_prints():
    for path in (*Path(speed.__file__).parent.glob("*.py"), *Path(economics.__file__).parent.glob("*.py")):
        calls = [node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)]
        assert "print" not in [getattr(call, "id", None) for call in calls], path.name


def test_energy():
    assert speed.energy_per_million(1000, 360) == pytest.approx(0.1)  # 1,000 s at 360 W
    for wrong in ((0, 10), (10, 0), (float("nan"), 10), (10, float("inf")), (None, 10)):
        with pytest.raises(ValueError, match="must be a positive finite number"):
            speed.energy_per_million(*wrong)
