"""A notebook's client that does not sleep through the kernel's answer."""

import asyncio
import time
from queue import Empty

import nbformat
import pytest

from distill_lessons.course import client


def sleeper(answer_after):
    """A channel that notices an answer only when it is asked, as nbclient's does where a cell drew a slider."""
    begun, asked = time.monotonic(), []

    async def get_msg(timeout=None):
        asked.append(timeout)
        if time.monotonic() - begun >= answer_after:
            return "answer"
        await asyncio.sleep(3600 if timeout is None else timeout)
        raise Empty

    return get_msg, asked


@pytest.mark.parametrize("timeout", [None, 60])
def test_an_answer_is_noticed_though_nothing_wakes_the_client(monkeypatch, timeout):
    monkeypatch.setattr(client, "LOOK_AGAIN", 0.05)
    get_msg, asked = sleeper(answer_after=0.12)
    found = asyncio.run(asyncio.wait_for(client._looking_again(get_msg)(timeout), 5))
    assert found == "answer" and 3 <= len(asked) <= 5 and set(asked) == {0.05}


def test_without_an_answer_the_time_is_kept(monkeypatch):
    monkeypatch.setattr(client, "LOOK_AGAIN", 0.05)
    get_msg, asked = sleeper(answer_after=60)
    begun = time.monotonic()
    with pytest.raises(Empty):
        asyncio.run(client._looking_again(get_msg)(0.12))
    assert 0.12 <= time.monotonic() - begun < 2 and max(asked) <= 0.05 > asked[-1]


def test_the_client_of_a_notebook_looks_again(monkeypatch):
    said = []
    monkeypatch.setattr(client, "_looking_again", lambda get_msg: said.append(get_msg) or get_msg)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("print(6 * 7)")])
    client.Client(notebook, timeout=60, kernel_name="python3").execute()
    assert notebook.cells[0].outputs[0].text == "42\n" and len(said) == 1
