"""Stored targets: unbiased where they claim it, tied to ids, resumable, and refused when they do not fit."""

import hashlib
import json
from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from test_pairs import small_llama
from test_training import collate, examples
from transformers import LlamaConfig, LlamaForCausalLM

from distill_lessons import losses, runtime
from distill_lessons.models import response_logits
from distill_lessons.pairs import smollm
from distill_lessons.teacher import targets
from distill_lessons.teacher.text import encode


class Tokenizer:
    """As much of a tokenizer as `store` needs."""

    def __init__(self, size=300, prefix="t"):
        self.vocabulary = {f"{prefix}{token}": token for token in range(size)}

    def get_vocab(self):
        return self.vocabulary


def named(rows):
    return [row | {"id": f"example-{number}"} for number, row in enumerate(rows)]


def store(folder, rows=None, **changes):
    options = {"batch_size": 3, "shard_rows": 4, "collate": collate, "teacher": small_llama().eval()} | changes
    rows = named(examples()) if rows is None else rows
    return targets.store(folder, tokenizer=Tokenizer(), examples=rows, **options)


def tiny(vocabulary=300, **changes):
    """A one-layer teacher whose head is sharp: a few tokens hold nearly all probability."""
    torch.manual_seed(0)
    small = {"hidden_size": 16, "intermediate_size": 16, "num_attention_heads": 2, "num_hidden_layers": 1}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=vocabulary, **small, **changes)).eval()
    model.lm_head.weight.data *= 100
    return model


def logits_of(row):
    batch = collate([{"input_ids": row["input_ids"], "labels": row["labels"]}])
    with torch.no_grad():
        return response_logits(small_llama().eval(), batch)[0]


def gradient(loss, logits):
    logits = logits.detach().clone().requires_grad_()
    loss(logits).backward()
    return logits.grad


# --- what they teach ---------------------------------------------------------------------------------------------------


def test_the_gradient_of_sampled_targets_is_right_on_average_and_naive_top_k_is_not():
    torch.manual_seed(0)
    teacher, student = 2 * torch.randn(1, 40, dtype=torch.float64), torch.randn(1, 40, dtype=torch.float64)
    exact = gradient(lambda z: losses.forward_kl(z, teacher), student)
    value = losses.forward_kl(student, teacher)
    generator, slopes, values = torch.Generator().manual_seed(0), [], []
    for _ in range(600):
        ids, counts, _ = targets.draw(teacher, 20, generator)
        ids, weights = torch.from_numpy(ids).unsqueeze(0), torch.from_numpy(counts / 20).unsqueeze(0)
        loss = lambda z, i=ids, w=weights: losses.sampled_kl(z, i, w, losses.entropy(teacher))  # noqa: E731
        slopes.append(gradient(loss, student))
        values.append(loss(student).item())
    slopes = torch.stack(slopes)
    error = (slopes.mean(0) - exact).norm()
    noise = (slopes.var(0) / len(slopes)).sum().sqrt()  # the length of the error that chance alone would leave
    assert error < 2 * noise
    assert abs(np.mean(values) - value) < 4 * np.std(values) / np.sqrt(len(values))

    top = teacher.softmax(-1).topk(5, dim=-1)
    naive = gradient(lambda z: losses.top_k_kl(z, top.indices, top.values, renormalise=True), student)
    assert (naive - exact).norm() > 10 * noise


def test_top_k_with_its_tail_is_a_lower_bound_that_is_tight_when_everything_is_listed():
    torch.manual_seed(1)
    teacher, student = 2 * torch.randn(5, 12, dtype=torch.float64), torch.randn(5, 12, dtype=torch.float64)
    exact = losses.forward_kl(student, teacher)
    before = torch.tensor(0.0)
    for k in (1, 4, 8, 11, 12):
        top = teacher.softmax(-1).topk(k, dim=-1)
        bound = losses.top_k_kl(student, top.indices, top.values)
        assert before - 1e-9 <= bound <= exact + 1e-9  # more tokens told apart, more divergence seen
        before = bound
    assert before == pytest.approx(exact.item(), abs=1e-5)
    assert losses.top_k_kl(teacher, top.indices, top.values).abs() < 1e-5


def test_tokens_of_another_vocabulary_are_refused():
    with pytest.raises(ValueError, match="token 7 and the student's vocabulary has 5"):
        losses.sampled_kl(torch.randn(1, 5), torch.tensor([[7]]), torch.ones(1, 1), torch.zeros(1))
    with pytest.raises(ValueError, match="do not fit"):
        losses.sampled_kl(torch.randn(2, 5), torch.tensor([[1]]), torch.ones(1, 1), torch.zeros(1))


# --- what is stored ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", targets.KINDS)
def test_what_is_stored_is_the_teachers(tmp_path, kind):
    rows = named(examples())
    store(tmp_path, rows, kind=kind, draws=4000, k=6)
    data = targets.load(tmp_path, Tokenizer(), 300)
    assert list(data["id"]) == [row["id"] for row in rows]
    by_id = {row["id"]: row for row in rows}
    for stored in data:
        row = by_id[stored["id"]]
        logits = logits_of(row)
        p = logits.softmax(-1)
        assert stored["input_ids"] == row["input_ids"]
        assert row["labels"][stored["prompt_length"] :] == row["input_ids"][stored["prompt_length"] :]
        entropy = torch.special.entr(p).sum(-1)
        torch.testing.assert_close(torch.tensor(stored["entropy"]), entropy, atol=1e-4, rtol=1e-4)
        ids = torch.tensor(stored["ids"]).split(stored["sizes"])
        values = torch.tensor(stored["counts" if kind == "sampled" else "probabilities"]).split(stored["sizes"])
        for place, (token, value) in enumerate(zip(ids, values)):
            if kind == "sampled":
                assert value.sum() == 4000 and len(token.unique()) == len(token)
                listed = torch.zeros(300).scatter_(0, token, value / 4000)
                assert (listed - p[place]).abs().max() < 0.04
            else:
                assert set(token.tolist()) == set(p[place].topk(6).indices.tolist())
                torch.testing.assert_close(value, p[place][token], atol=1e-5, rtol=1e-4)


def test_draws_belong_to_the_example_and_not_to_its_batch(tmp_path):
    rows = named(examples())
    store(tmp_path / "one", rows)
    store(tmp_path / "other", rows[::-1], batch_size=1, shard_rows=5)
    one, other = ({row["id"]: row for row in targets.load(tmp_path / name)} for name in ("one", "other"))
    same = sum(one[name]["counts"] == other[name]["counts"] for name in one)
    assert same >= len(one) - 1  # a batch of another shape may round a logit the other way
    store(tmp_path / "third", rows, seed=1)
    third = {row["id"]: row for row in targets.load(tmp_path / "third")}
    assert sum(one[name]["counts"] != third[name]["counts"] for name in one) > len(one) / 2


def test_rows_are_stored_in_the_examples_own_order(tmp_path):
    rows = named(examples())
    lengths = [len(row["input_ids"]) for row in rows]
    assert lengths != sorted(lengths) and lengths[:4] != sorted(lengths[:4])
    store(tmp_path / "batches", rows, draws=4000)
    store(tmp_path / "alone", rows, draws=4000, batch_size=1)
    for stored, alone, row in zip(*(targets.load(tmp_path / name) for name in ("batches", "alone")), rows, strict=True):
        assert stored["id"] == alone["id"] == row["id"] and stored["input_ids"] == row["input_ids"]
        assert stored["entropy"] == pytest.approx(alone["entropy"], rel=1e-4)
        assert stored["counts"] == alone["counts"]


def test_draws_differ_between_ids_of_the_same_text_and_not_between_runs(tmp_path):
    row = examples(1)[0]
    rows = [row | {"id": name} for name in ("a", "b", "c")]
    store(tmp_path / "one", rows, draws=20)
    torch.manual_seed(7)  # what else the process draws does not matter
    store(tmp_path / "other", rows[::-1], draws=20)
    one, other = ({each["id"]: each for each in targets.load(tmp_path / name)} for name in ("one", "other"))
    assert {name: each["ids"] for name, each in one.items()} == {name: each["ids"] for name, each in other.items()}
    assert len({str(each["ids"]) for each in one.values()}) == 3
    digest = one["a"]["ids"][:8], one["a"]["counts"][:8]
    expected, counts, _ = targets.draw(  # as a folder of long ago was drawn
        logits_of(row), 20, torch.Generator().manual_seed(int.from_bytes(hashlib.sha256(b"0:a").digest()[:7], "big"))
    )
    assert digest == (expected[:8].tolist(), counts[:8].tolist())


@pytest.mark.parametrize("draws", [200, 300, 70_000])
def test_counts_add_up_to_the_draws_however_many(tmp_path, draws):
    store(tmp_path, named(examples(2)), teacher=tiny(), draws=draws)
    for row in targets.load(tmp_path):
        counts = torch.tensor(row["counts"]).split(row["sizes"])
        assert [int(each.sum()) for each in counts] == [draws] * len(row["sizes"])
        assert max(int(each.max()) for each in counts) > draws / 2  # more than fits into the next smaller type
    batch = targets.Collator(2)(list(targets.load(tmp_path)))
    first = targets.load(tmp_path)[0]
    shares = np.array(first["counts"][: first["sizes"][0]]) / draws
    assert batch["target_weights"][0, : len(shares)].tolist() == pytest.approx(shares.tolist(), rel=1e-6)


def test_a_vocabulary_of_more_than_65536_tokens_keeps_its_numbers(tmp_path):
    rows = [{"id": "a", "input_ids": [3, 69_999, 65_536, 5], "labels": [-100, 69_999, 65_536, 5]}]
    manifest = store(tmp_path, rows, teacher=tiny(70_000), kind="top_k", k=70_000)
    row = targets.load(tmp_path, vocabulary=70_000)[0]
    assert manifest["vocabulary"] == 70_000 and row["input_ids"] == rows[0]["input_ids"]
    assert sorted(row["ids"][:70_000]) == list(range(70_000)) and row["sizes"] == [70_000] * 3


def test_a_teacher_in_training_mode_is_read_without_dropout_and_left_as_it_was(tmp_path):
    teacher = tiny(attention_dropout=0.9).train()
    teacher.model.norm.eval()
    modes = [module.training for module in teacher.modules()]
    store(tmp_path / "one", teacher=teacher)
    store(tmp_path / "other", teacher=tiny())
    assert list(targets.load(tmp_path / "one")) == list(targets.load(tmp_path / "other"))
    assert [module.training for module in teacher.modules()] == modes and len(set(modes)) == 2


def test_the_collator_lines_targets_up_with_the_logits(tmp_path):
    store(tmp_path, draws=30)
    rows = list(targets.load(tmp_path))[:4]
    batch = targets.Collator(pad_token_id=2)(rows)
    _, labels = response_logits(small_llama().eval(), batch)
    expected = torch.cat([torch.tensor(row["input_ids"][row["prompt_length"] :]) for row in rows])
    assert torch.equal(labels, expected)
    assert len(batch["target_ids"]) == len(batch["target_weights"]) == len(batch["target_entropy"]) == len(labels)
    torch.testing.assert_close(batch["target_weights"].sum(1), torch.ones(len(labels)))
    assert ((batch["labels"] == losses.IGNORE) | (batch["attention_mask"] == 1)).all()


def test_the_kind_is_told_by_the_rows(tmp_path):
    for kind in targets.KINDS:
        store(tmp_path / kind, kind=kind)
        data = targets.load(tmp_path / kind)
        assert targets.read_manifest(tmp_path / kind)["kind"] == kind
        for rows in (data, data.select(range(2)), list(data), tuple(data), data[0], data.to_iterable_dataset()):
            assert targets.kind_of(rows) == kind
        assert targets.kind_of(row for row in data) == kind
    for rows in (named(examples()), datasets.Dataset.from_list(named(examples())), [], {}, iter(())):
        assert targets.kind_of(rows) is None
    mixed = [targets.load(tmp_path / kind)[0] for kind in targets.KINDS]
    for call in (targets.kind_of, targets.Collator(2)):
        with pytest.raises(ValueError, match="some rows hold sampled targets and some top-k"):
            call(mixed)
    with pytest.raises(ValueError, match="hold no stored targets"):
        targets.Collator(2)(named(examples()))


def test_a_token_takes_at_most_64_bytes_on_the_real_pair(tmp_path):
    tokenizer = smollm.tokenizer()
    rows = [row for row in smollm.rows("test") if row["response"]][:8]
    encoded = [row | {"id": str(number)} for number, row in enumerate(encode(tokenizer, rows))]
    manifest = targets.store(tmp_path, smollm.teacher(), tokenizer, encoded)
    distinct = np.mean(np.concatenate([row["sizes"] for row in targets.load(tmp_path, tokenizer, len(tokenizer))]))
    assert manifest["vocabulary"] == 49_152 and distinct > 5
    assert targets.bytes_per_token(tmp_path) <= 64


# --- bad days ----------------------------------------------------------------------------------------------------------


def test_a_kill_loses_one_shard_and_the_rest_is_not_made_again(tmp_path, monkeypatch):
    store(tmp_path / "whole")
    real, calls = targets._write_shard, []

    def killed(path, *arguments):
        calls.append(path.name)
        if len(calls) == 2:
            raise KeyboardInterrupt
        real(path, *arguments)

    monkeypatch.setattr(targets, "_write_shard", killed)
    with pytest.raises(KeyboardInterrupt):
        store(tmp_path / "cut")
    with pytest.raises(FileNotFoundError, match="not finished"):
        targets.load(tmp_path / "cut")
    store(tmp_path / "cut")
    assert calls == ["00000.arrow", "00001.arrow", "00001.arrow", "00002.arrow"]
    assert list(targets.load(tmp_path / "cut")) == list(targets.load(tmp_path / "whole"))
    store(tmp_path / "cut")
    assert len(calls) == 4


def test_a_full_disk_keeps_what_was_written(tmp_path, monkeypatch):
    real = targets._write_shard

    def full(path, *arguments):
        if path.name == "00001.arrow":
            with runtime.replacing(path) as temporary:
                temporary.write_bytes(b"half a shard")
                raise OSError(28, "No space left on device")
        real(path, *arguments)

    monkeypatch.setattr(targets, "_write_shard", full)
    with pytest.raises(OSError, match="free some disk space"):
        store(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["00000.arrow", "manifest.json"]
    monkeypatch.setattr(targets, "_write_shard", real)
    assert store(tmp_path)["finished"]


def test_a_cut_edited_or_missing_shard_is_refused_by_name(tmp_path):
    store(tmp_path)
    path = tmp_path / "00001.arrow"
    good = path.read_bytes()
    path.write_bytes(good[:-8])
    with pytest.raises(ValueError, match=r"00001.arrow has \d+ bytes and should have \d+"):
        targets.load(tmp_path)
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(ValueError, match="00001.arrow was changed"):
        targets.load(tmp_path)
    path.unlink()
    with pytest.raises(ValueError, match="00001.arrow is missing"):
        targets.load(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(FileNotFoundError, match="no stored targets"):
        targets.load(tmp_path)


def test_another_tokenizer_vocabulary_or_call_is_refused(tmp_path):
    store(tmp_path)
    with pytest.raises(ValueError, match="another tokenizer"):
        targets.load(tmp_path, Tokenizer(prefix="u"))
    with pytest.raises(ValueError, match="over 300 tokens and the student has 320"):
        targets.load(tmp_path, vocabulary=320)
    with pytest.raises(ValueError, match=r"another call \(different: draws\)"):
        store(tmp_path, draws=51)
    with pytest.raises(ValueError, match=r"another call \(different: examples\)"):
        store(tmp_path, named(examples(seed=1)))


@pytest.mark.parametrize(
    "row, sentence",
    [
        ({"id": "a", "input_ids": [3] * 5000, "labels": [-100] + [3] * 4999}, "'a' has 5000 tokens and the teacher"),
        ({"id": "b", "input_ids": [3, 4], "labels": [-100, -100]}, "'b' is not a prompt followed by a response"),
        ({"id": "c", "input_ids": [3, 4, 5], "labels": [-100, 4, -100]}, "'c' is not a prompt followed by a response"),
        ({"id": "example-0", "input_ids": [3, 4], "labels": [-100, 4]}, "two examples have the id 'example-0'"),
        ({"id": "d", "input_ids": [3, 4, 5], "labels": [-100, 4]}, "'d' is not a prompt followed by a response"),
        ({"input_ids": [3, 4], "labels": [-100, 4]}, "example 12 has no id: each needs"),
        ({"id": None, "prompt": "x", "response": "y"}, "example 12 has no id and no input_ids and no labels"),
        ("text", "example 12 is 'text': give dicts"),
    ],
)
def test_an_example_that_cannot_be_stored_is_named(tmp_path, row, sentence):
    with pytest.raises(ValueError, match=sentence):
        store(tmp_path, named(examples()) + [row])
    assert not (tmp_path / "manifest.json").exists()


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"teacher": "some/model"}, "the model is the name 'some/model': load it, with AutoModelForCausalLM"),
        ({"kind": "topk"}, "kind must be one of sampled, top_k, and it is 'topk'"),
        ({"draws": 0}, "draws must be a whole number of at least 1, and it is 0"),
        ({"k": "32"}, "k must be a whole number"),
        ({"shard_rows": 0}, "shard_rows must be"),
        ({"batch_size": 1.5}, "batch_size must be"),
        ({"kind": "top_k", "k": 301}, "k is 301 and the teacher knows 300 tokens"),
        ({"rows": []}, "there are no examples"),
    ],
)
def test_a_call_that_cannot_be_done_is_refused_in_one_sentence(tmp_path, options, sentence):
    with pytest.raises(ValueError, match=sentence):
        store(tmp_path / "new", **options)
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize("kind", targets.KINDS)
def test_logits_that_are_no_numbers_are_refused(tmp_path, kind):
    teacher = tiny()
    teacher.lm_head.weight.data[7] = float("nan")
    with pytest.raises(ValueError, match="logits are NaN in the batch of 'example-"):
        store(tmp_path, teacher=teacher, kind=kind)


@pytest.mark.parametrize("form", ["list", "python", "torch", "numpy", "iterable"])
def test_examples_may_be_a_dataset_in_any_format(tmp_path, form):
    rows = named(examples())
    data = datasets.Dataset.from_list(rows)
    given = {"list": rows, "python": data, "iterable": data.to_iterable_dataset()}
    store(tmp_path, given[form] if form in given else data.with_format(form))
    store(tmp_path / "list", rows)
    assert list(targets.load(tmp_path)) == list(targets.load(tmp_path / "list"))
    assert targets.read_manifest(tmp_path) == targets.read_manifest(tmp_path / "list")


def test_ids_may_be_numbers_and_are_kept_as_text(tmp_path):
    store(tmp_path, [row | {"id": number} for number, row in enumerate(examples())])
    assert list(targets.load(tmp_path)["id"]) == [str(number) for number in range(12)]
    with pytest.raises(ValueError, match="two examples have the id '1'"):
        store(tmp_path / "other", [examples(1)[0] | {"id": name} for name in (1, "1")])


def test_other_weights_are_another_call_and_another_name_is_not(tmp_path, monkeypatch):
    manifest = store(tmp_path, teacher=tiny())
    same, other = tiny(), tiny()
    same.config.name_or_path = "/elsewhere/the-same"
    monkeypatch.setattr(targets, "_rows", None)  # nothing is made again
    assert store(tmp_path, teacher=same) == manifest
    other.model.layers[0].mlp.up_proj.weight.data[0, 0] += 1
    with pytest.raises(ValueError, match=r"another call \(different: weights\)"):
        store(tmp_path, teacher=other)
    assert len(manifest["weights"]) == 64


def test_the_manifest_is_utf_8_whatever_the_console_says(tmp_path, monkeypatch):
    def checked(real):
        def call(path, *arguments, encoding=None):
            assert encoding == "utf-8"
            return real(path, *arguments, encoding=encoding)

        return call

    monkeypatch.setattr(Path, "read_text", checked(Path.read_text))
    monkeypatch.setattr(Path, "write_text", checked(Path.write_text))
    store(tmp_path)
    assert len(targets.load(tmp_path)) == 12


def test_the_manifest_says_where_the_targets_come_from(tmp_path):
    store(tmp_path)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    assert {"kind", "draws", "seed", "teacher", "tokenizer", "vocabulary", "shards"} <= set(manifest)
    assert sum(shard["rows"] for shard in manifest["shards"]) == 12


def test_the_same_tokens_with_a_longer_prompt_are_another_call(tmp_path):
    store(tmp_path)
    rows = named(examples())
    first = rows[0]["labels"]
    place = next(place for place, label in enumerate(first) if label != -100)
    rows[0] = rows[0] | {"labels": [-100] * (place + 1) + list(first[place + 1 :])}
    with pytest.raises(ValueError, match=r"another call \(different: examples\)"):
        store(tmp_path, rows)
