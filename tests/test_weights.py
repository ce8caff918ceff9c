"""The digest of a model's weights: equal for the same ones wherever they lie, another for any other."""

import copy

import pyarrow.parquet as pq
import pytest
import torch
from test_pairs import small_llama
from torch import nn

from distill_lessons import runtime
from distill_lessons.models import weights
from distill_lessons.pairs import multiplication, smollm, smollm_corpus
from distill_lessons.teacher import generation, targets


def test_the_same_weights_have_the_same_digest(tmp_path):
    model = small_llama()
    digest = weights.digest(model)
    assert len(digest) == 64 and digest == weights.digest(small_llama()) == weights.digest(copy.deepcopy(model).eval())
    model.save_pretrained(tmp_path)
    assert weights.digest(type(model).from_pretrained(tmp_path)) == digest


def test_it_does_not_depend_on_how_the_bytes_are_read(monkeypatch):
    model = nn.Linear(7, 5)
    digest = weights.digest(model)
    monkeypatch.setattr(weights, "CHUNK", 3)
    assert weights.digest(model) == digest
    model.weight.data = model.weight.data.T.contiguous().T  # the same numbers, laid out by columns
    assert not model.weight.is_contiguous() and weights.digest(model) == digest


@pytest.mark.parametrize("change", ["one bit", "dtype", "shape", "name", "buffer", "order of values"])
def test_any_other_weights_have_another(change):
    model, other = nn.Sequential(nn.Linear(4, 4, bias=False)), nn.Sequential(nn.Linear(4, 4, bias=False))
    other[0].weight.data = model[0].weight.data.clone()
    assert weights.digest(model) == weights.digest(other)
    if change == "one bit":
        other[0].weight.data.view(torch.int32)[3, 3] ^= 1
    elif change == "dtype":
        other[0].weight.data = other[0].weight.data.view(torch.int32).view(torch.float32).to(torch.bfloat16)
    elif change == "shape":  # the same bytes in two rows
        other[0].weight = nn.Parameter(other[0].weight.data.reshape(2, 8))
    elif change == "name":
        other = nn.ModuleDict({"1": other[0]})
    elif change == "buffer":
        other.register_buffer("scale", torch.zeros(()))
    else:
        other[0].weight.data = other[0].weight.data.flip(0)
    assert weights.digest(model) != weights.digest(other)


def test_a_type_counts_where_the_bytes_agree():
    model, other = nn.Module(), nn.Module()
    model.register_buffer("a", torch.tensor([1.0, -2.0]))
    other.register_buffer("a", model.a.view(torch.int32))
    assert weights.digest(model) != weights.digest(other)


def test_a_tied_matrix_is_read_once(monkeypatch):
    read, real = [], weights._chunks
    monkeypatch.setattr(weights, "_chunks", lambda tensor: read.append(tensor.data_ptr()) or real(tensor))
    model = small_llama()
    weights.digest(model)
    assert len(read) == len(set(read)) == len(model.state_dict()) - 1


def test_unequal_parts_of_one_storage_are_all_read():
    model, other = nn.Module(), nn.Module()
    square = torch.arange(4.0).view(2, 2)
    for each, second in ((model, square.T), (other, square)):
        each.register_buffer("a", square)
        each.register_buffer("b", second)
    assert weights.digest(model) != weights.digest(other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.int8, torch.bool, torch.float8_e4m3fn])
def test_every_type_and_shape_is_read(dtype):
    model = nn.Module()
    model.register_buffer("number", torch.tensor(1).to(dtype))
    model.register_buffer("none", torch.zeros(0, 3).to(dtype))
    model.register_buffer("many", torch.ones(2, 3).to(dtype))
    digest = weights.digest(model)
    model.many[1, 2] = 0
    assert weights.digest(model) != digest


def test_weights_that_are_not_loaded_are_refused_by_name():
    with pytest.raises(ValueError, match="weights of weight are not loaded"):
        weights.digest(nn.Linear(2, 2, device="meta"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_it_is_the_same_on_a_gpu():
    model = small_llama()
    assert weights.digest(copy.deepcopy(model).to("cuda")) == weights.digest(model)


def test_what_is_committed_was_made_by_these_teachers():
    def call(path):
        return generation.provenance(pq.read_table(path))["call"]

    data, digest = runtime.data_folder(), weights.digest(smollm.teacher())
    corpora = [smollm.corpus_folder(), smollm_corpus.folder()]
    made = [each / "responses.parquet" for each in corpora] + [*(data / "smollm" / "sampling").glob("*.parquet")]
    assert len(made) == 6 and {call(path)["weights"] for path in made} == {digest}
    assert {targets.read_manifest(each / "targets")["weights"] for each in corpora} == {digest}
    for name in ("teacher", "noisy"):
        path = data / "multiplication" / f"traces-{name}.parquet"
        assert call(path)["weights"] == weights.digest(multiplication.teacher(name))
