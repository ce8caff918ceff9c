"""The pairs: data, splits, students made of teachers, and what happens when something is missing."""

import json
import subprocess
import sys

import pyarrow.parquet as pq
import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast, Qwen3Config, Qwen3ForCausalLM

from distill_lessons import runtime
from distill_lessons.models import response_logits
from distill_lessons.models.students import cut, kept_layers
from distill_lessons.pairs import digits, smollm
from distill_lessons.pairs.smollm_prompts import CORPUS_FORMS, MORE_HELD_OUT, corpus, prompts
from distill_lessons.teacher import generation, targets
from distill_lessons.teacher.text import collator, encode


def test_digits_splits_are_disjoint_and_fixed():
    data, again = digits.load(), digits.load()
    assert [len(part) for part in data] == [997, 997, 200, 200, 600, 600]
    assert all(torch.equal(one, other) for one, other in zip(data, again))
    assert data.train_images.min() >= 0 and data.train_images.max() <= 1
    rows = torch.cat([data.train_images, data.val_images, data.test_images]).unique(dim=0)
    assert len(rows) == 1797


def test_shift_moves_by_at_most_one_pixel_and_keeps_the_ink():
    image = torch.zeros(50, 8, 8)
    image[:, 3, 4] = 1
    moved = digits.shift(image.reshape(50, 64), torch.Generator().manual_seed(0)).view(50, 8, 8)
    places = moved.nonzero()[:, 1:]
    assert len(places) == 50 and moved.sum() == 50
    assert (places - torch.tensor([3, 4])).abs().max() == 1
    assert len(places.unique(dim=0)) == 9


def test_students_have_the_sizes_that_the_page_says():
    assert sum(weight.numel() for weight in digits.student(16).parameters()) == 1482
    assert sum(weight.numel() for weight in digits.student(32).parameters()) == 3466


def test_kept_layers():
    assert kept_layers(30, 16) == [0, 1, 3, 5, 7, 9, 11, 13, 16, 18, 20, 22, 24, 26, 28, 29]
    for total in range(4, 40):
        for depth in range(4, total + 1):
            layers = kept_layers(total, depth)
            assert len(set(layers)) == depth and layers == sorted(layers)
            assert {0, 1, total - 2, total - 1} <= set(layers)
    assert kept_layers(30, 30) == list(range(30))
    for depth in (3, 31):
        with pytest.raises(ValueError, match="between 4 and the teacher's 30"):
            kept_layers(30, depth)


def small_llama(layers=6):
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        num_hidden_layers=layers,
        vocab_size=300,
        tie_word_embeddings=True,
        bos_token_id=1,
        eos_token_id=2,
    )
    torch.manual_seed(0)
    return LlamaForCausalLM(config)


def test_student_is_the_teacher_without_some_layers():
    teacher = small_llama()
    student = smollm.student(teacher, depth=4)
    by_hand = small_llama()
    by_hand.model.layers = torch.nn.ModuleList([by_hand.model.layers[i] for i in (0, 1, 4, 5)])
    for place, layer in enumerate(by_hand.model.layers):
        layer.self_attn.layer_idx = place
    tokens = torch.randint(0, 300, (2, 7))
    device = runtime.device()
    with torch.no_grad():
        expected = by_hand(tokens, use_cache=False).logits
        got = student(tokens.to(device), use_cache=False).logits.cpu()
    torch.testing.assert_close(got, expected, atol=1e-4, rtol=1e-4)
    assert all(weight.requires_grad for weight in student.parameters())
    student.model.layers[0].mlp.up_proj.weight.data.zero_()  # the student's weights are its own
    assert teacher.model.layers[0].mlp.up_proj.weight.abs().sum() > 0
    assert smollm.student(teacher, depth=6).num_parameters() == teacher.num_parameters()


def test_student_of_something_else_is_refused():
    with pytest.raises(ValueError, match="model.layers"):
        smollm.student(torch.nn.Linear(2, 2))


def test_another_teacher_by_folder(tmp_path, monkeypatch):
    small_llama().save_pretrained(tmp_path)
    tokenizer = smollm.tokenizer()
    tokenizer.save_pretrained(tmp_path)
    monkeypatch.setenv("DISTILL_TEACHER", str(tmp_path))
    teacher = smollm.teacher()
    assert len(teacher.model.layers) == 6 and not teacher.training
    assert not any(weight.requires_grad for weight in teacher.parameters())
    assert len(smollm.student(teacher, 4).model.layers) == 4
    assert isinstance(smollm.tokenizer(), PreTrainedTokenizerFast)


def test_a_teacher_that_cannot_be_loaded_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("DISTILL_TEACHER", str(tmp_path / "nowhere"))
    with pytest.raises(OSError, match="DISTILL_TEACHER"):
        smollm.teacher()


def test_missing_weights_say_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.delenv("DISTILL_TEACHER", raising=False)
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path))
    monkeypatch.setattr(smollm.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(FileNotFoundError, match="make setup"):
        smollm.teacher()


def test_a_cut_or_edited_cache_is_noticed(tmp_path):
    (tmp_path / "weights").write_text("abc")
    files = {"weights": {"bytes": 3, "sha256": runtime.sha256(tmp_path / "weights")}}
    (tmp_path / "manifest.json").write_text(json.dumps({"files": files}))
    assert smollm._complete(tmp_path) and smollm._complete(tmp_path, checksums=True)
    (tmp_path / "weights").write_text("abd")
    assert smollm._complete(tmp_path) and not smollm._complete(tmp_path, checksums=True)
    (tmp_path / "weights").write_text("ab")
    assert not smollm._complete(tmp_path)
    (tmp_path / "manifest.json").write_text("{")
    assert not smollm._complete(tmp_path)


def test_a_failed_write_leaves_the_old_file_and_no_debris(tmp_path):
    path = tmp_path / "file"
    path.write_text("old")
    with pytest.raises(OSError, match="free some disk space"), runtime.replacing(path) as temporary:
        temporary.write_text("half")
        raise OSError(28, "No space left on device")
    assert path.read_text() == "old"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_responses_are_split_by_prompt():
    rows = smollm.rows()
    assert [len(smollm.rows(split)) for split in ("train", "validation", "test")] == [800, 32, 48]
    assert len({row["prompt"] for row in rows}) == len(rows) == 880
    assert [row["prompt"] for row in rows] == prompts()
    assert (runtime.data_folder() / "smollm" / "responses.jsonl").stat().st_size < 2e6


def test_encoding_learns_the_answer_and_its_end_and_nothing_else():
    tokenizer = smollm.tokenizer()
    rows = [
        {"prompt": "What is rain?", "response": "Water.", "finished": True},
        {"prompt": "What is snow?", "response": "Frozen water", "finished": False},
    ]
    ended, cut = encode(tokenizer, rows)
    learned = [label for label in ended["labels"] if label != -100]
    assert tokenizer.decode(learned[:-1]) == "Water." and learned[-1] == tokenizer.eos_token_id
    assert cut["labels"][-1] != tokenizer.eos_token_id
    batch = collator(tokenizer)([ended, cut])
    assert ((batch["labels"] == -100) | (batch["attention_mask"] == 1)).all()
    assert len([x for x in encode(tokenizer, rows, max_response=1)[1]["labels"] if x != -100]) == 1
    with pytest.raises(ValueError, match="no response"):
        encode(tokenizer, [{"prompt": "Hm?", "response": "", "finished": False}])


def test_batched_generation_equals_one_prompt_at_a_time():
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    questions = ["What is rain?", "Name three things that have to do with the capital of France."]
    together = generation.generate(teacher, tokenizer, questions, max_new_tokens=8)
    alone = [generation.generate(teacher, tokenizer, [question], max_new_tokens=8)[0] for question in questions]
    assert together == alone
    drawn = [generation.generate(teacher, tokenizer, questions, 8, temperature=1.0, seed=seed) for seed in (1, 1, 2)]
    assert drawn[0] == drawn[1] != drawn[2]


def test_the_package_needs_no_particular_working_directory(tmp_path):
    code = "from distill_lessons.pairs import smollm; print(len(smollm.rows('test')))"
    printed = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "48"


def test_corpus_prompts_are_unique_and_held_out_topics_are_new():
    rows = corpus()
    assert rows == corpus() and len(rows) == len({row["prompt"] for row in rows}) == 2400
    assert not {row["prompt"] for row in rows} & set(prompts())
    by_split = {name: [row for row in rows if row["split"] == name] for name in ("train", "validation", "test")}
    assert [len(part) for part in by_split.values()] == [2200, 80, 120]
    trained = "\n".join(row["prompt"].lower() for row in by_split["train"])
    for name in ("validation", "test"):
        assert not {row["topic"] for row in by_split[name]} & {row["topic"] for row in by_split["train"]}
        assert not [row["topic"] for row in by_split[name] if f" {row['topic']}?" in trained]
    assert {row["form"] for row in by_split["train"]} == set(CORPUS_FORMS)


def test_the_corpus_at_temperature_1_asks_the_same_and_more_of_the_held_out():
    rows, more = corpus(), corpus(MORE_HELD_OUT)
    assert more[:2400] == rows and len({row["prompt"] for row in more}) == len(more) == 2500
    by_split = {name: [row for row in more if row["split"] == name] for name in ("train", "validation", "test")}
    assert [len(part) for part in by_split.values()] == [2200, 100, 200]
    topics = [{row["topic"] for row in part} for part in by_split.values()]
    assert not topics[0] & topics[1] and not topics[0] & topics[2] and not topics[1] & topics[2]


def test_the_committed_corpus_is_the_answered_prompts_with_their_targets():
    rows = smollm.corpus()
    assert [row["prompt"] for row in rows] == [row["prompt"] for row in corpus()]
    assert all(row["response"] or row["finished"] for row in rows)
    call = generation.provenance(pq.read_table(smollm.corpus_folder() / "responses.parquet"))["call"]
    assert (call["temperature"], call["top_k"], call["max_new_tokens"]) == (0.7, 50, 64)
    tokenizer = smollm.tokenizer()
    stored = targets.load(smollm.corpus_folder() / "targets", tokenizer, 49152)
    assert sorted(stored["id"]) == [row["id"] for row in smollm.corpus("train")]
    encoded = {row["id"]: row for row in encode(tokenizer, smollm.corpus("train"), max_response=65)}
    for row in stored.select(range(0, 2200, 100)):
        assert row["input_ids"] == encoded[row["id"]]["input_ids"]
        assert len(row["sizes"]) == len(row["entropy"]) == len(row["input_ids"]) - row["prompt_length"]
        assert sum(row["sizes"]) == len(row["ids"]) and sum(row["counts"]) == 50 * len(row["sizes"])
    assert targets.bytes_per_token(smollm.corpus_folder() / "targets") < 64
    files = [path for path in (runtime.data_folder() / "smollm").rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 40e6


def test_the_stored_targets_are_draws_from_this_teacher():
    """On some rows: the drawn tokens' mean log-probability under the teacher is minus its entropy."""
    teacher, tokenizer = smollm.teacher(), smollm.tokenizer()
    stored = targets.load(smollm.corpus_folder() / "targets", checksums=False)
    batch = targets.Collator(tokenizer.pad_token_id)([stored[i] for i in (3, 900)])
    batch = {name: tensor.to(teacher.device) for name, tensor in batch.items()}
    log_p = response_logits(teacher, batch)[0].log_softmax(-1)
    cross = -(batch["target_weights"] * log_p.gather(1, batch["target_ids"])).sum(1)
    entropy = torch.special.entr(log_p.exp()).sum(-1)
    torch.testing.assert_close(entropy, batch["target_entropy"], atol=1e-3, rtol=1e-3)
    assert abs((cross - entropy).mean() / entropy.mean()) < 0.1


def test_a_cut_student_keeps_the_kind_of_attention_of_each_of_its_layers():
    kinds = ["full_attention"] * 3 + ["sliding_attention"] * 2 + ["full_attention"]
    config = Qwen3Config(
        hidden_size=32, intermediate_size=64, num_attention_heads=4, num_key_value_heads=2, head_dim=8, vocab_size=300,
        num_hidden_layers=6, use_sliding_window=True, sliding_window=4, layer_types=kinds,
    )  # fmt: skip
    student = cut(Qwen3ForCausalLM(config), 4)
    assert student.config.layer_types == [kinds[layer] for layer in (0, 1, 4, 5)]


def test_a_response_that_is_cut_does_not_learn_to_end_there():
    tokenizer = smollm.tokenizer()
    row = {"prompt": "Name a colour.", "response": "Blue, green and a little red.", "finished": True}
    whole = tokenizer(row["response"], add_special_tokens=False)["input_ids"]
    for kept in (3, len(whole), len(whole) + 1, None):
        (example,) = encode(tokenizer, [row], max_response=kept)
        learned = [label for label in example["labels"] if label != -100]
        assert learned == [*whole, tokenizer.eos_token_id][:kept]


def test_the_digits_are_split_as_they_were_for_every_recorded_number():
    data = digits.load()
    ink = [round(part.double().sum().item() * 16) for part in (data.train_images, data.val_images, data.test_images)]
    assert ink == [311950, 62372, 187396]
    assert data.train_labels[:8].tolist() == [2, 8, 5, 9, 1, 7, 8, 1]
    assert data.test_labels[:8].tolist() == [5, 4, 7, 9, 2, 8, 5, 9]
