"""Sentences that a model wrote: prompts of our own, files that go on where they were stopped, and what is stored."""

import json
from collections import Counter

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch

from distill_lessons import runtime
from distill_lessons.pairs import reviews_written
from distill_lessons.pairs.reviews_written import SEEDS, STANCES, TEMPERATURES


def test_prompts_are_every_seed_with_every_topic_and_stance_in_an_order_of_its_own():
    every = reviews_written.prompts()
    assert len(every) == len(SEEDS) * 128 * len(STANCES) == 3072
    assert len({each["prompt"] for each in every}) == len({each["id"] for each in every}) == 3072
    assert every == reviews_written.prompts() and every != reviews_written.prompts(1)
    assert [each["id"] for each in every] != sorted((each["id"] for each in every), key=int)
    for some in (every, every[:1000]):
        for name, share in (("positive", 0.5), ("about", 0.5)):
            counts = Counter(each[name] for each in some)
            assert all(abs(count / len(some) - share) < 0.05 for count in counts.values()) and len(counts) == 2
    for each in every[:50]:
        assert each["topic"] in each["prompt"] and each["stance"] in each["prompt"]
        assert each["positive"] == STANCES[each["stance"]]
    assert {each["topic"] for each in every if each["about"] == "film"}.isdisjoint(
        each["topic"] for each in every if each["about"] == "product"
    )


@pytest.mark.parametrize(
    "answer, sentence",
    [
        ("I liked it.", "I liked it."),
        ('\n\n  "I liked it."\nAnd more.', "I liked it."),
        ("***\n**Bold words**", "Bold words"),
        ("“It’s fine”", "It’s fine"),
        ("3 of 5", "3 of 5"),
        ("...\n***\n", ""),
        ("", ""),
    ],
)
def test_the_sentence_of_an_answer_is_its_first_line_with_a_letter(answer, sentence):
    assert reviews_written.sentence_of(answer) == sentence


def writer(temperature, asked, fail_at=None):
    """An answerer that says which prompt and seed it was given; breaks off at its `fail_at`-th call."""

    def answer(prompts, seed):
        if fail_at is not None and len(asked) == fail_at:
            raise KeyboardInterrupt
        asked.append((temperature, seed))
        return [(f"{prompt} at {temperature}, {seed}", True) for prompt in prompts]

    answer.about = {"temperature": temperature}
    return answer


def test_writing_goes_on_where_it_was_stopped_and_takes_the_temperatures_in_turn(tmp_path, monkeypatch):
    monkeypatch.setattr(reviews_written, "CHUNK", 4)
    asked = []
    with pytest.raises(KeyboardInterrupt):
        answerers = {t: writer(t, asked, 4) for t in TEMPERATURES}
        reviews_written.write(10, tmp_path, answerers, say=None)
    assert [temperature for temperature, _ in asked] == [0.5, 1.0, 1.5, 0.5]
    again = []
    frame = reviews_written.write(10, tmp_path, {t: writer(t, again) for t in TEMPERATURES}, say=None)
    assert [temperature for temperature, _ in again] == [1.0, 1.5, 0.5, 1.0, 1.5]
    assert len({seed for _, seed in asked + again}) == 9  # no two batches are drawn alike
    fresh = reviews_written.write(10, tmp_path / "other", {t: writer(t, []) for t in TEMPERATURES}, say=None)
    assert frame.equals(fresh) and len(frame) == 30
    for temperature, rows in frame.groupby("temperature"):
        wanted = reviews_written.prompts()[:10]
        assert rows["prompt"].tolist() == [each["id"] for each in wanted]
        assert rows["positive"].tolist() == [each["positive"] for each in wanted]
        assert all(text.startswith(f"{each['prompt']} at {temperature},") for text, each in zip(rows["text"], wanted))


@pytest.fixture
def data(tmp_path, monkeypatch):
    """A data folder of its own, with something for an adapter."""
    (tmp_path / "data" / "reviews" / "teacher").mkdir(parents=True)
    (tmp_path / "data" / "reviews" / "teacher" / "adapter_model.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(runtime, "data_folder", lambda: tmp_path / "data")
    reviews_written._table.cache_clear()
    yield tmp_path
    reviews_written._table.cache_clear()


def test_a_text_is_read_by_the_teacher_once(data):
    read = []

    def teacher(texts):
        read.extend(texts)
        return torch.tensor([[0.0, len(text)] for text in texts])

    found = reviews_written.label(["a", "bbb", "a"], data, teacher, say=None)
    assert found.dtype == np.float16 and found.tolist() == [[0, 1], [0, 3], [0, 1]] and read == ["a", "bbb"]
    assert reviews_written.label(["cc", "a"], data, teacher, say=None).tolist() == [[0, 2], [0, 1]]
    assert read == ["a", "bbb", "cc"]
    (data / "data" / "reviews" / "teacher" / "adapter_model.safetensors").write_bytes(b"other weights")
    reviews_written.label(["a"], data, teacher, say=None)
    assert read[3:] == ["a"]  # another teacher may think otherwise


def test_what_is_saved_is_what_is_read_without_rows_that_have_no_text(data, monkeypatch):
    monkeypatch.setattr(reviews_written, "CHUNK", 2)
    with pytest.raises(FileNotFoundError, match="restore it with git, or make it with `python -m"):
        reviews_written.written()
    frame = reviews_written.write(5, data, {t: writer(t, []) for t in TEMPERATURES}, say=None)
    frame.loc[frame.index[3], "text"] = ""
    frame[["no", "yes"]] = np.arange(30, dtype=np.float16).reshape(15, 2)
    path = data / "data" / "reviews" / "written.parquet"
    reviews_written.save(frame, path)
    found = reviews_written.written()
    assert len(found) == 14 and found["temperature"].is_monotonic_increasing and (found["text"] != "").all()
    assert list(found.columns) == ["prompt", "about", "positive", "temperature", "text", "finished", "no", "yes"]
    hot = reviews_written.written(1.5)
    assert set(hot["temperature"]) == {1.5} and hot.index.tolist() == list(range(len(hot)))
    assert reviews_written.logits(hot).tolist() == hot[["no", "yes"]].to_numpy(float).tolist()
    found.loc[0, "text"] = "changed"
    assert reviews_written.written().loc[0, "text"] != "changed"
    with pytest.raises(ValueError, match="nothing was written at the temperature 2; there are 0.5, 1, 1.5"):
        reviews_written.written(2)
    about = json.loads(pq.read_schema(path).metadata[b"distill_lessons"])
    assert about["without a sentence"] == 1 and about["prompts"] == 5 and about["model"] and about["machine"]


def test_the_stored_sentences_are_whole():
    path = runtime.data_folder() / "reviews" / "written.parquet"
    if not path.is_file():
        pytest.skip("not written yet")
    reviews_written._table.cache_clear()
    frame = reviews_written.written()
    assert path.stat().st_size < 2_000_000 and sorted(frame["temperature"].unique()) == list(TEMPERATURES)
    counts = frame.groupby("temperature").size()
    assert counts.min() > 0.95 * counts.max() and not frame.duplicated(["temperature", "prompt"]).any()
    wanted = {each["id"]: each["positive"] for each in reviews_written.prompts()}
    assert all(wanted[prompt] == positive for prompt, positive in zip(frame["prompt"], frame["positive"]))
    assert np.isfinite(frame[["no", "yes"]].to_numpy()).all() and frame["text"].str.strip().str.len().min() > 0
