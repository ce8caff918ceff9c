"""Filters: what each keeps and why; the funnel; what is measured once; people's sheets."""

import csv
import functools
import json
import math
import random
import statistics
import time

import datasets
import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import LlamaConfig, LlamaForCausalLM

from distill_lessons.course import plots
from distill_lessons.pairs import multiplication
from distill_lessons.teacher import filters
from distill_lessons.teacher.filters import Verdict

SENTENCE = "The old lighthouse keeper counted seventeen ships before the storm came in from the north."


def table(*texts, **columns):
    return datasets.Dataset.from_dict({"text": list(texts)} | columns)


def kept(made, *texts, **columns):
    return [verdict.keep for verdict in made(table(*texts, **columns))]


def kinds(made, *texts, **columns):
    return [verdict.kind for verdict in made(table(*texts, **columns))]


def made_up(count, seed=0, words=400, least=6, most=18):
    """Sentences of words drawn at random, rare ones less often."""
    rng = random.Random(seed)
    known = ["".join(rng.choices("abcdefghijklmnoprstuvwz", k=rng.randint(2, 9))) for _ in range(words)]
    weight = [1 / (place + 3) for place in range(words)]
    return [" ".join(rng.choices(known, weight, k=rng.randint(least, most))) for _ in range(count)]


def small(seed=0, context=64):
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=22, hidden_size=32, intermediate_size=64, num_attention_heads=2, num_hidden_layers=2,
        max_position_embeddings=context, initializer_range=0.3, pad_token_id=0, bos_token_id=None, eos_token_id=1,
    )  # fmt: skip
    return LlamaForCausalLM(config).eval()


ALL = {
    "length": lambda: filters.length(),
    "json_schema": lambda: filters.json_schema(int),
    "repetition": lambda: filters.repetition(),
    "near_duplicates": lambda: filters.near_duplicates(),
    "contamination": lambda: filters.contamination([SENTENCE]),
    "labels": lambda: filters.labels(["12"], column="text"),
    "reference": lambda: filters.reference(expected="text", column="text"),
    "reward": lambda: filters.reward(lambda texts: np.zeros(len(texts)), 0.0),
    "self_consistency": lambda: filters.self_consistency(lambda texts: [["a"]] * len(texts)),
    "perplexity": lambda: filters.perplexity(small(), multiplication.tokenizer(), 1e9, before="="),
}


# --- what holds of every filter ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ALL)
def test_a_row_with_nothing_in_it_is_dropped_and_says_so(name):
    verdicts = ALL[name]()(table(None, "", " \n", "\u200b", "12"))
    assert [verdict.keep for verdict in verdicts] == [False] * 4 + [True]
    assert verdicts[0].reason == "no text: it is missing"
    assert {verdict.reason for verdict in verdicts[1:4]} == {"no text: it is empty"}
    assert all(verdict.reason and "\n" not in verdict.reason for verdict in verdicts)


@pytest.mark.parametrize("name", ALL)
def test_no_rows_give_no_verdicts_and_another_column_is_told(name):
    assert ALL[name]()(table("12").select([])) == []
    with pytest.raises(ValueError, match=r"no column 'text'.*\(review\)"):
        ALL[name]()(datasets.Dataset.from_dict({"review": ["a"]}))
    with pytest.raises(ValueError, match="this is a list: make one of it"):
        ALL[name]()([{"text": "a"}])
    assert ALL[name]().about["filter"] == name
    json.dumps(ALL[name]().about)


def test_what_is_no_text_is_told_with_its_row():
    with pytest.raises(ValueError, match="row 1 has 7 as 'text', and length reads texts"):
        filters.length()(datasets.Dataset.from_dict({"text": [None, 7]}))


def test_the_format_of_a_data_set_does_not_matter():
    rows = datasets.Dataset.from_dict({"text": ["good film"], "label": [1]}).with_format("torch")
    assert filters.labels([1])(rows)[0].keep and filters.length(5)(rows)[0].keep


@pytest.mark.parametrize(
    "one, other",
    [
        ("Good film!", "  good\n\tFILM "),
        ("caf\u00e9 noir", "CAFE\u0301 noir"),
        ("don\u2019t go", "don't go"),
        ("fine\u00adly made", "finely ma\u200bde"),
        ("\uff27\uff2f\uff2f\uff24 film", "good film"),
        ("Straße", "STRASSE"),
        ("snake_case", "snake case"),
        ("\u8fd9\u90e8\u7535\u5f71\u3002", "\u8fd9 \u90e8 \u7535\u5f71"),
    ],
)
def test_texts_are_compared_without_case_spaces_and_signs(one, other):
    assert filters.normalised(one) == filters.normalised(other)
    assert kept(filters.near_duplicates(), one, other) == [True, False]


def test_texts_without_words_are_their_signs():
    assert filters.words("!? !") == ["!", "?", "!"]
    assert filters.normalised("\U0001f600") != filters.normalised("\U0001f622")
    assert filters.words("\u597d\u770b film") == ["\u597d", "\u770b", "film"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.one_of(st.none(), st.text(max_size=40)), max_size=8))
def test_any_unicode_has_one_verdict_a_row(texts):
    rows = datasets.Dataset.from_dict({"text": texts}, features=datasets.Features({"text": datasets.Value("string")}))
    for name in ("length", "json_schema", "repetition", "near_duplicates", "contamination", "labels"):
        verdicts = ALL[name]()(rows)
        assert len(verdicts) == len(texts) and all(verdict.reason for verdict in verdicts)


# --- form --------------------------------------------------------------------------------------------------------------


def test_length_keeps_its_limits_and_counts_signs_or_words():
    verdicts = filters.length(3, 5)(table("ab", "abc", "abcde", "abcdef", "äöü"))
    assert [verdict.keep for verdict in verdicts] == [False, True, True, False, True]
    assert verdicts[0].reason == "shorter than 3 characters: 2" and verdicts[0].kind == "shorter than 3 characters"
    assert verdicts[3].reason == "longer than 5 characters: 6" and verdicts[3].value == 6
    assert kept(filters.length(2, 2, unit="words"), "one", "two words", "now three words") == [False, True, False]
    assert kept(filters.length(2), "a" * 10_000) == [True]


@pytest.mark.parametrize(
    "how",
    [{"least": 5, "most": 4}, {"least": -1}, {"least": 1.5}, {"most": "9"}, {"unit": "tokens"}, {"most": math.inf}],
)
def test_a_length_that_cannot_be_is_refused(how):
    with pytest.raises(ValueError, match="must be"):
        filters.length(**how)


def test_labels_are_of_one_type_and_spelling():
    made = filters.labels(["positive", "negative"])
    found = made(datasets.Dataset.from_dict({"label": ["positive", " Positive.", "neutral", None]}))
    assert [verdict.keep for verdict in found] == [True, False, False, False]
    assert [verdict.kind for verdict in found[1:]] == [
        "a label in another spelling",
        "not one of the labels",
        "no label",
    ]
    numbers = datasets.Dataset.from_dict({"label": [0, 1, 2]})
    assert [verdict.keep for verdict in filters.labels([0, 1])(numbers)] == [True, True, False]
    truths = datasets.Dataset.from_dict({"label": [True]})
    assert not filters.labels([1])(truths)[0].keep
    with pytest.raises(ValueError, match="at least one label"):
        filters.labels([])


SCHEMA = {"text": str, "label": ("positive", "negative"), "sure": float, "tags": [str], "by": {"name": str, "age": int}}
FITS = {"text": "a", "label": "positive", "sure": 1, "tags": ["x"], "by": {"name": "n", "age": 3}}


@pytest.mark.parametrize(
    "change, reason",
    [
        ({"text": 3}, "text is not a text"),
        ({"label": "neutral"}, "label is 'neutral' and none of positive, negative"),
        ({"sure": "1"}, "sure is not a number"),
        ({"sure": True}, "sure is not a number"),
        ({"tags": "x"}, "tags is no list"),
        ({"tags": ["x", 1]}, r"tags[1] is not a text"),
        ({"by": {"name": "n", "age": 1.5}}, "by.age is not a whole number"),
        ({"by": {"name": "n"}}, "the field 'by.age' is missing"),
        ({"by": []}, "by is no object"),
        ({"more": 1}, "the field 'more' is not asked for"),
    ],
)
def test_json_of_another_form_says_where(change, reason):
    fits, other = filters.json_schema(SCHEMA)(table(json.dumps(FITS), json.dumps(FITS | change)))
    assert fits.keep and not other.keep
    assert other.kind == "JSON of another form" and reason in other.reason


def test_what_is_no_json_says_so():
    texts = ['{"a": 1', "NaN", "[" * 100_000, "```json\n1\n```", "Infinity", "1 2"]
    assert kinds(filters.json_schema(float), *texts, "1.5") == ["no JSON"] * 6 + ["JSON as asked"]
    assert kept(filters.json_schema(type(None)), "null", "0") == [True, False]
    assert kept(filters.json_schema(bool), "true", "1") == [True, False]
    assert kept(filters.json_schema((1, 2)), "1", "true", "3") == [True, False, False]


@pytest.mark.parametrize("schema", [{"a": 3}, [str, int], [], (), {str}, list, {3: str}, {"a": [{"b": dict}]}])
def test_a_schema_of_something_else_is_refused(schema):
    with pytest.raises(ValueError, match="a schema holds"):
        filters.json_schema(schema)


def test_circles_are_seen_and_plain_texts_are_not():
    made = filters.repetition()
    loops = ["It is a very good film. " * 4, "good " * 4, "ha! " * 9, "!!!!", "\u597d\u597d\u597d\u597d",
             "well and then it was so " * 4 + "over"]  # fmt: skip
    assert kept(made, *loops) == [False] * len(loops)
    assert "'it is a very good film'" in made(table(loops[0]))[0].reason
    fine = [
        "good good good film",
        SENTENCE,
        "no, no, no",
        "It is what it is, and what it is is fine.",
        "ok",
        "a b a b a b",
    ]
    assert kept(made, *fine, *made_up(200)) == [True] * (len(fine) + 200)
    assert kept(filters.repetition(times=3), "a b a b a b", "a b a b a c") == [False, True]


def test_a_text_that_comes_back_with_changes_between_is_seen():
    text = " and also ".join(["the plot of this film is thin and slow"] * 5).replace("also", "yet", 2)
    (verdict,) = filters.repetition(times=50)(table(text))
    words = filters.words(text)
    groups = [tuple(words[i : i + 3]) for i in range(len(words) - 2)]
    assert (
        verdict.value == pytest.approx(1 - len(set(groups)) / len(groups)) and verdict.value > 0.5 and not verdict.keep
    )
    assert kept(filters.repetition(times=50, share=1), text) == [True]


# --- near-duplicates ---------------------------------------------------------------------------------------------------


@functools.cache
def groups_of(text):
    text = filters.normalised(text)
    return {text[i : i + 5] for i in range(max(1, len(text) - 4))}


def jaccard(one, other):
    one, other = groups_of(one), groups_of(other)
    return len(one & other) / len(one | other)


def edited(text, rng):
    words = text.split()
    for _ in range(rng.randint(0, 3)):
        words[rng.randrange(len(words))] = rng.choice(["xyz", "qq", "wonderful"])
    return " ".join(words)


@pytest.mark.parametrize("threshold", [0.5, 0.8, 0.95])
def test_it_agrees_with_comparing_all_pairs(threshold):
    rng = random.Random(1)
    texts = made_up(150, seed=2)
    texts += [edited(rng.choice(texts), rng) for _ in range(250)]
    verdicts = filters.near_duplicates(threshold)(table(*texts))
    left, wrong = [], 0
    for text, verdict in zip(texts, verdicts):
        near = max((jaccard(text, other) for other in left), default=0.0)
        wrong += verdict.keep != (near < threshold)
        assert verdict.keep or near >= threshold  # nothing is dropped by mistake
        if not verdict.keep:
            assert verdict.value == pytest.approx(near, abs=0.2)
        if verdict.keep:
            left.append(text)
    assert wrong <= 3 and 60 < 400 - len(left)


def test_the_first_of_its_kind_stays_and_the_reason_quotes_it():
    found = filters.near_duplicates()(
        table("A fine film.", SENTENCE, "a FINE film", SENTENCE.replace("ships", "boats"), "x")
    )
    assert [verdict.keep for verdict in found] == [True, True, False, False, True]
    assert found[2].reason == "the same as an earlier row: 'A fine film.'"
    assert found[3].kind == "nearly the same as an earlier row" and "The old lighthouse" in found[3].reason
    assert found[3].value == pytest.approx(jaccard(SENTENCE, SENTENCE.replace("ships", "boats")))


def test_short_texts_are_compared_whole_and_seeds_repeat():
    assert kept(filters.near_duplicates(), "good", "bad", "Good!", "goo", "g") == [True, True, False, True, True]
    texts = made_up(100) + made_up(100, seed=3)
    assert filters.near_duplicates(seed=4)(table(*texts)) == filters.near_duplicates(seed=4)(table(*texts))
    for threshold in (0.2, 1.1, "0.8"):
        with pytest.raises(ValueError, match="threshold must be a number from 0.5 to 1"):
            filters.near_duplicates(threshold)


# --- contamination -----------------------------------------------------------------------------------------------------


def test_a_quoted_test_text_is_found_whatever_is_around_it():
    made = filters.contamination([SENTENCE, "A must see."])
    spaced = SENTENCE.upper().replace(" ", "  \n").replace(".", " !!!")
    texts = [
        SENTENCE,
        f"I once read this: {SENTENCE} Then I slept, and the night was long.",
        spaced,
        f"“{spaced}” - so they say",
    ]
    assert kept(made, *texts) == [False] * 4
    assert made(table(texts[1]))[0].reason.startswith("it holds a test text: 100% of its groups of 5 words, 'The old")
    one_word = SENTENCE.replace("north", "south")
    assert kept(made, one_word, "a MUST see!!") == [False, False]


def test_common_phrases_are_no_leak():
    test = ["This is one of the best films that I have seen in a very long time, said the tired critic.",
            "one of the best", "It is what it is, really.", "It is fun."]  # fmt: skip
    made = filters.contamination(test)
    fine = ["This is one of the best films that my brother ever made, and he made many of them in his day.",
            "one of the best films", "It is what it is, really, and I went home and slept.", "the", SENTENCE]  # fmt: skip
    assert kept(made, *fine) == [True] * len(fine)
    others = made_up(300, seed=5)
    assert all(kept(filters.contamination(made_up(300, seed=6)), *others))


def test_a_part_of_a_long_test_text_is_found():
    long = " ".join(f"word{number}" for number in range(200))
    part = " ".join(f"word{number}" for number in range(50, 63))
    made = filters.contamination([long])
    (verdict,) = made(table(f"well {part} and so on"))
    assert not verdict.keep and verdict.kind == "13 words in a row of a test text"
    assert kept(made, f"well {part.replace('word56', 'else')} and so on") == [True]


def test_the_share_is_that_of_the_test_texts_groups():
    test = "a b c d e f g h i j"  # six groups of five
    made = filters.contamination([test])
    found = made(table("x a b c d e f g y", "x a b c d e f g h y", "z " * 30 + test))
    assert [verdict.value for verdict in found] == pytest.approx([3 / 6, 4 / 6, 1])
    assert [verdict.keep for verdict in found] == [True, False, False]


@pytest.mark.parametrize(
    "tests, sentence", [([], "there are none"), ("one", "is one text"), (["a", None], "test text 1 is None")]
)
def test_no_test_texts_are_refused(tests, sentence):
    with pytest.raises(ValueError, match=sentence):
        filters.contamination(tests)


# --- perplexity --------------------------------------------------------------------------------------------------------

SUMS = ["12*34=408", "7", "99*10=", "5*5=25", "1*1=1", "7", "333*2=666"]


def test_perplexity_is_that_of_the_model_alone_with_each_text():
    model, tokenizer = small(), multiplication.tokenizer()
    got = filters.perplexities(model, tokenizer, SUMS, before="=", batch_size=3)
    for text, (value, tokens) in zip(SUMS, got):
        ids = torch.tensor([tokenizer("=" + text, add_special_tokens=False)["input_ids"]])
        with torch.no_grad():
            loss = model(ids, labels=ids).loss  # over all but the first token
        assert tokens == ids.shape[1] - 1 and value == pytest.approx(loss.exp().item(), rel=1e-4)


def test_perplexity_keeps_between_its_limits():
    model, tokenizer = small(context=10), multiplication.tokenizer()
    values = [value for value, _ in filters.perplexities(model, tokenizer, SUMS, before="=")]
    middle = statistics.median(values)
    rows = table(*SUMS, "1" * 10, "1" * 9)
    found = filters.perplexity(model, tokenizer, most=middle, before="=")(rows)
    assert [verdict.keep for verdict in found[:7]] == [value <= middle for value in values]
    assert found[7].reason == "longer than the model reads: 10 tokens" and found[8].value is not None
    low = filters.perplexity(model, tokenizer, most=1e9, least=middle, before="=")(rows)
    assert [verdict.keep for verdict in low[:7]] == [value >= middle for value in values]
    with pytest.raises(ValueError, match="load it, with AutoModelForCausalLM"):
        filters.perplexity("gpt2", tokenizer, 9)
    with pytest.raises(ValueError, match="sees no token"):
        filters.perplexity(model, tokenizer, 9, before="")
    with pytest.raises(ValueError, match="most must be a number of at least 5"):
        filters.perplexity(model, tokenizer, 4, least=5, before="=")


def test_what_was_measured_is_not_measured_again(tmp_path, monkeypatch):
    tokenizer, path, read, lines = multiplication.tokenizer(), tmp_path / "seen" / "perplexity.parquet", [], []
    real = filters.by_models.perplexities
    monkeypatch.setattr(filters.by_models, "perplexities", lambda *a: read.extend(a[2]) or real(*a))

    def verdicts(texts=SUMS, model=None, **how):
        read.clear()
        how = {"most": 30.0, "before": "=", "cache": path, "say": lines.append} | how
        return filters.perplexity(model or small(), tokenizer, **how)(table(*texts))

    first = verdicts()
    assert sorted(read) == sorted(set(SUMS))  # the text that stands there twice is read once
    assert verdicts() == first and read == []
    assert [verdict.value for verdict in verdicts(most=2.0)] == [verdict.value for verdict in first] and read == []
    assert verdicts([*SUMS, "8*8=64"])[:7] == first and read == ["8*8=64"]
    assert verdicts(model=small(seed=1)) != first and len(read) == 6
    assert len(verdicts(before="1")) == 7 and len(read) == 6
    assert verdicts() == first and read == []  # what others have added pushed nothing out
    assert verdicts(cache=None) == first and len(read) == 6
    assert "perplexity: 6 of 6 texts, 0 known before" in lines
    assert [each.name for each in path.parent.iterdir()] == [path.name]
    assert pq.read_table(path).num_rows == 6 + 1 + 6 + 6


def test_a_cut_off_loses_one_part_and_changes_nothing(tmp_path, monkeypatch):
    tokenizer, path, texts = multiplication.tokenizer(), tmp_path / "p.parquet", [f"{i}*2={2 * i}" for i in range(40)]
    how = {"most": 30.0, "before": "=", "batch_size": 1}
    whole = filters.perplexity(small(), tokenizer, **how)(table(*texts))
    real, calls = filters.by_models.perplexities, []

    def failing(*arguments):
        calls.append(len(arguments[2]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return real(*arguments)

    monkeypatch.setattr(filters.by_models, "perplexities", failing)
    made = filters.perplexity(small(), tokenizer, cache=path, **how)
    with pytest.raises(KeyboardInterrupt):
        made(table(*texts))
    assert made(table(*texts)) == whole and calls == [16, 16, 8, 8]


def test_a_cache_of_something_else_is_refused(tmp_path):
    path = tmp_path / "p.parquet"
    path.write_text("no parquet")
    made = filters.perplexity(small(), multiplication.tokenizer(), 9, before="=", cache=path)
    with pytest.raises(ValueError, match="p.parquet is no file of what was measured"):
        made(table("1"))
    assert path.read_text() == "no parquet"


def test_logits_that_are_nan_are_told():
    model = small()
    model.model.norm.weight.data[:] = math.nan
    with pytest.raises(ValueError, match="logits are NaN"):
        filters.perplexity(model, multiplication.tokenizer(), 9, before="=")(table("1"))


# --- self-consistency --------------------------------------------------------------------------------------------------


def test_answers_must_agree_and_on_the_label():
    rows = table(
        *"abcdefg",
        said=[
            ["Good", "good.", "bad"],
            ["good", "bad", "ok"],
            ["bad"] * 3,
            [],
            [None, " ", None],
            ["good", None, "good"],
            None,
        ],
        label=["good", "good", "good", "good", "good", "GOOD", "good"],
    )
    alone = filters.self_consistency("said", 2 / 3)(rows)
    assert [verdict.keep for verdict in alone] == [True, False, True, False, False, True, False]
    assert [alone[place].value for place in (0, 1, 2, 4, 5)] == pytest.approx([2 / 3, 1 / 3, 1, 0, 2 / 3])
    labelled = filters.self_consistency("said", 2 / 3, label="label")(rows)
    assert [verdict.keep for verdict in labelled] == [True, False, False, False, False, True, False]
    assert [verdict.kind for verdict in labelled] == [
        "the answers agree", "the answers disagree", "the answers agree on another label", "no answers to compare",
        "the answers disagree", "the answers agree", "no said",
    ]  # fmt: skip
    assert labelled[2].reason == "the answers agree on another label: 3 of 3 say 'bad', the row 'good'"


def test_answers_are_read_and_ties_go_with_the_label():
    rows = table("x", "y", said=[["I say good", "I say bad"], ["I say good", "hm"]], label=["bad", "bad"])
    how = {"read": lambda answer: answer.split()[-1] if " " in answer else None, "threshold": 0.5}
    assert [verdict.keep for verdict in filters.self_consistency("said", label="label", **how)(rows)] == [True, False]
    numbers = table("x", said=[[4, 4, 5]], label=[4])
    assert filters.self_consistency("said", 0.6, label="label")(numbers)[0].keep
    with pytest.raises(ValueError, match="threshold must be"):
        filters.self_consistency("said", 0)


def parrot(calls, **about):
    """Answers with the prompt's last word, and for the seed a number; cuts what asks for "long"."""

    def answer(prompts, seed):
        calls.append((list(prompts), seed))
        return [(f"{prompt.split()[-1]} {seed + place}", "long" not in prompt) for place, prompt in enumerate(prompts)]

    answer.about = {"teacher": "parrot"} | about
    return answer


def test_a_teacher_is_asked_in_several_words_and_each_text_has_its_seed():
    calls = []
    ask = filters.sampled(parrot(calls), ["Judge {text}", "What of {text}"], n=2, seed=3)
    both = ask(["good {text}", "long"])
    assert calls[0][0] == ["Judge good {text}"] * 2 + ["What of good {text}"] * 2
    assert len({answer for answer in both[0]}) == 4 and both[1] == [None] * 4
    assert calls[0][1] != calls[1][1]
    assert ask(["long", "good {text}"]) == both[::-1]
    assert filters.sampled(parrot([]), ["Judge {text}", "What of {text}"], n=2, seed=4)(["good {text}"]) != both[:1]
    for prompts in ([], ["no place"], [3]):
        with pytest.raises(ValueError, match=r"holds \{text\}"):
            filters.sampled(parrot([]), prompts)


def test_answers_are_asked_for_once_and_a_cut_off_changes_none(tmp_path):
    path, texts = tmp_path / "answers.parquet", [f"text {number}" for number in range(40)]

    def verdicts(calls, seed=0, cache=path, threshold=1.0, fail_at=None, **about):
        told = parrot(calls, **about)

        def answer(prompts, number):
            if len(calls) == fail_at:
                raise KeyboardInterrupt
            return told(prompts, number)

        answer.about = told.about
        ask = filters.sampled(answer, "Judge {text}", n=3, seed=seed)
        return filters.self_consistency(ask, threshold, cache=cache)(table(*texts))

    whole, first, second, again = verdicts([], cache=None), [], [], []
    with pytest.raises(KeyboardInterrupt):
        verdicts(first, fail_at=20)
    assert verdicts(second) == whole and len(first) == 20 and len(second) == 24  # the first 16 stand in the file
    assert verdicts(again, threshold=0.3) != whole and again == []
    for change in ({"seed": 1}, {"teacher": "other"}):
        calls = []
        verdicts(calls, **change)
        assert len(calls) == 40
    with pytest.raises(ValueError, match="attribute about"):
        filters.self_consistency(lambda texts: [["a"]] * len(texts), cache=path)
    with pytest.raises(ValueError, match="3 texts were asked about and 1 answers came"):
        filters.self_consistency(lambda texts: [["a"]])(table("a", "b", "c"))


def test_other_weights_are_asked_again(tmp_path):
    calls = []

    def verdicts(model):
        answer = parrot(calls)
        answer.model = model
        ask = filters.sampled(answer, "Judge {text}")
        return filters.self_consistency(ask, cache=tmp_path / "a.parquet")(table("x"))

    verdicts(small())
    verdicts(small())
    assert len(calls) == 1
    verdicts(small(seed=1))
    assert len(calls) == 2


# --- reference and reward ----------------------------------------------------------------------------------------------


def test_the_reference_answer_decides():
    rows = datasets.Dataset.from_dict(
        {"response": ["Paris.", "Lyon", None, "paris"], "reference": ["paris", "Paris", "Paris", None]}
    )
    found = filters.reference()(rows)
    assert [verdict.keep for verdict in found] == [True, False, False, False]
    assert found[1].reason == "not the reference answer: 'Lyon' where 'Paris' is right"
    assert [verdict.reason for verdict in found[2:]] == ["no response: it is missing", "no reference: it is missing"]
    numbers = datasets.Dataset.from_dict(
        {"response": ["12*34 is 408.", "It is 1,408", "4080", "no idea", "-408", "408.0"], "reference": [408] * 6}
    )
    found = filters.reference(same=filters.same_number)(numbers)
    assert [verdict.keep for verdict in found] == [True, False, False, False, False, True]
    assert filters.same_number("1,408", "#### 1408") and not filters.same_number("none", "none")


def pairs(count, seed):
    """Pairs in which the better text has more of some words than the worse, in a noise of others."""
    rng = random.Random(seed)
    noise = [f"word{number}" for number in range(60)]
    sides = []
    for good in (3, 1):
        sides.append(
            [" ".join(rng.choices(noise, k=6) + rng.choices(["clear", "short", "kind"], k=good)) for _ in range(count)]
        )
    return sides


def test_a_reward_learns_what_is_better_and_not_from_nothing():
    score = filters.fit_reward(*pairs(300, seed=0))
    better, worse = pairs(200, seed=1)
    assert filters.pair_accuracy(score, better, worse) > 0.9
    assert filters.pair_accuracy(score, worse, better) < 0.1
    rng = random.Random(0)
    swapped = [pair if rng.random() < 0.5 else pair[::-1] for pair in zip(*pairs(300, seed=2))]
    assert 0.3 < filters.pair_accuracy(filters.fit_reward(*zip(*swapped)), better, worse) < 0.7
    assert (filters.fit_reward(*pairs(300, seed=0))(better) == score(better)).all()
    assert filters.pair_accuracy(lambda texts: np.zeros(len(texts)), better, worse) == 0.5


def test_a_reward_is_the_model_of_bradley_and_terry():
    better, worse = pairs(80, seed=3)
    score = filters.fit_reward(better, worse, C=1.0, features=64)
    from sklearn.feature_extraction.text import HashingVectorizer

    hashed = HashingVectorizer(n_features=64, ngram_range=(1, 2), token_pattern=r"(?u)\b\w+\b")
    gains = torch.tensor((hashed.transform(better) - hashed.transform(worse)).toarray())
    weight = torch.zeros(64, dtype=torch.float64, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=500, tolerance_grad=1e-10, line_search_fn="strong_wolfe")

    def loss():
        optimiser.zero_grad()
        total = 2 * torch.nn.functional.softplus(-gains @ weight).sum() + weight.square().sum() / 2
        total.backward()
        return total

    optimiser.step(loss)
    np.testing.assert_allclose(score(better), hashed.transform(better) @ weight.detach().numpy(), atol=1e-4)


def test_a_reward_filter_keeps_from_its_limit_on():
    found = filters.reward(lambda texts: [float(len(text)) for text in texts], 3)(table("ab", "abc", None))
    assert [verdict.keep for verdict in found] == [False, True, False]
    assert found[0].reason == "reward below 3: 2.000" and found[1].value == 3
    for wrong in ([1.0], [1.0, math.nan]):
        with pytest.raises(ValueError, match="a finite one each"):
            filters.reward(lambda texts, wrong=wrong: wrong, 0)(table("a", "b"))
    for better, worse, sentence in (
        (["a"], [], "1 better texts and 0 worse"), ([], [], "at least one"), (["a"], ["a"], "twice the text 'a'"),
        (["a"], [None], "pair 0 is"), ("ab", ["a", "b"], "lists of texts"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=sentence):
            filters.fit_reward(better, worse)


# --- a run -------------------------------------------------------------------------------------------------------------


def no_z(dataset):
    return [Verdict("z" not in text, "a z in it" if "z" in text else "no z") for text in dataset["text"]]


def test_a_run_keeps_every_row_in_view():
    texts = ["short", "a long enough text", None, "A long enough TEXT!", "another text with z", "the last of the texts"]
    rows = table(*texts, number=list(range(6)))
    result = filters.run(rows, [filters.length(6), filters.near_duplicates(), no_z, filters.length(most=20)])
    assert result.kept["number"][:] == [1] and result.kept.column_names == ["text", "number"]
    assert result.rows.column_names == ["text", "number", "kept", "reason", "filter"]
    assert result.rows["text"][:] == texts and result.rows["kept"][:] == [False, True, False, False, False, False]
    assert result.rows["filter"][:] == ["length", None, "length", "near_duplicates", "no_z", "length 2"]
    assert result.rows["reason"][0] == "shorter than 6 characters: 5"
    assert result.rows["reason"][1] == "passed all filters: 4"
    report, steps = result.report, result.report["steps"]
    assert (report["in"], report["out"]) == (6, 1)
    assert [(step["filter"], step["in"], step["out"]) for step in steps] == [
        ("length", 6, 4), ("near_duplicates", 4, 3), ("no_z", 3, 2), ("length 2", 2, 1),
    ]  # fmt: skip
    assert steps[0]["reasons"] == {"shorter than 6 characters": 1, "no text": 1}
    assert steps[0]["examples"]["no text"] == [{"row": 2, "text": "None", "reason": "no text: it is missing"}]
    assert steps[3]["examples"]["longer than 20 characters"][0]["row"] == 5
    assert steps[0]["settings"]["least"] == 6 and steps[2]["settings"] == {}
    assert all(step["dropped"] == step["in"] - step["out"] == sum(step["reasons"].values()) for step in steps)
    json.dumps(report)


@settings(deadline=None, max_examples=25)
@given(st.lists(st.text(alphabet="ab x", max_size=8), max_size=12))
def test_no_row_is_lost_on_the_way(texts):
    rows = datasets.Dataset.from_dict({"text": texts}, features=datasets.Features({"text": datasets.Value("string")}))
    result = filters.run(rows, [filters.length(2), filters.near_duplicates(), filters.random_share(0.5)])
    assert result.rows["text"][:] == texts
    assert result.kept["text"][:] == [row["text"] for row in result.rows if row["kept"]]
    dropped = sum(step["dropped"] for step in result.report["steps"])
    assert dropped + len(result.kept) == len(texts) and all(result.rows["reason"][:])


def test_examples_are_a_few_and_no_filters_keep_all():
    step = filters.run(table(*["ab"] * 10), [filters.length(5)]).report["steps"][0]
    assert step["reasons"] == {"shorter than 5 characters": 10}
    assert [each["row"] for each in step["examples"]["shorter than 5 characters"]] == [0, 1, 2]
    assert len(filters.run(table("a"), []).kept) == 1


@pytest.mark.parametrize(
    "wrong, sentence",
    [
        (lambda rows: [], "gave 0 verdicts for 2 rows"),
        (lambda rows: [True, True], "gave True for row 0: give a filters.Verdict"),
        (lambda rows: [Verdict(True, "fine"), Verdict(False, "")], "dropped row 1 without a reason"),
    ],
)
def test_a_filter_that_is_none_is_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        filters.run(table("a", "b"), [wrong])
    with pytest.raises(ValueError, match="has a column 'reason'"):
        filters.run(table("a", reason=["b"]), [])
    with pytest.raises(ValueError, match="this is a list"):
        filters.run([{"text": "a"}], [])


def test_a_random_filter_keeps_as_many_as_asked():
    rows = table(*map(str, range(101)))
    for share, count in ((0, 0), (1, 101), (0.5, 50), *((count / 101, count) for count in range(30))):
        assert sum(verdict.keep for verdict in filters.random_share(share, seed=1)(rows)) == count
    few, many, other = (filters.random_share(share, seed)(rows) for share, seed in ((0.2, 1), (0.6, 1), (0.2, 2)))
    assert few == filters.random_share(0.2, 1)(rows) != other
    assert all(b.keep for a, b in zip(few, many) if a.keep)
    drawn = np.mean([[v.keep for v in filters.random_share(0.3, seed)(rows)] for seed in range(60)], axis=0)
    assert abs(drawn.mean() - 0.3) < 0.01 and drawn.std() < 0.1  # no place is favoured


def test_a_filter_is_held_against_people():
    verdicts = [Verdict(keep, "r") for keep in (True, True, True, False, False, True)]
    found = filters.against(verdicts, [True, True, False, True, False, None])
    assert found == {"rows": 5, "kept": 3, "good": 3 / 5, "precision": 2 / 3, "recall": 2 / 3}
    assert math.isnan(filters.against([Verdict(False, "r")], [True])["precision"])
    with pytest.raises(ValueError, match="1 verdicts and 2 judgements"):
        filters.against(verdicts[:1], [True, False])


def test_the_cheap_filters_are_quick():
    texts = made_up(4500, words=5000) + [edited(text, random.Random(0)) for text in made_up(500, words=5000)]
    rows = table(*texts, json=['{"label": "a"}'] * 5000, label=["a"] * 5000)
    cheap = [
        filters.length(5, 300), filters.json_schema({"label": str}, column="json"), filters.labels(["a"]),
        filters.repetition(), filters.near_duplicates(), filters.contamination(made_up(1000, seed=7, words=5000)),
    ]  # fmt: skip
    began = time.process_time()
    filters.run(rows, cheap)
    assert time.process_time() - began < 6  # 3 would be 100,000 in 60 s; a busy machine may be half as fast


# --- people ------------------------------------------------------------------------------------------------------------


def sheet(path):
    with open(path, encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def fill(path, *answers, mark=",", encoding="utf-8-sig"):
    """Write people's answers into a sheet: a list for each person."""
    rows = sheet(path)
    persons = [name for name in rows[0] if name.startswith("person")]
    for person, given_answers in zip(persons, answers):
        for row, answer in zip(rows, given_answers):
            row[person] = answer
    with open(path, "w", encoding=encoding, newline="") as file:
        writer = csv.DictWriter(file, rows[0], delimiter=mark)
        writer.writeheader()
        writer.writerows(rows)


ROWS = ["=1+1", "fine; really", "ö\nnew line", "fine; really", None, "last, one", "more"]


def test_a_sheet_goes_out_and_comes_back(tmp_path):
    rows, path = table(*ROWS, label=["keep", "keep", "drop", "keep", "keep", "drop", "drop"]), tmp_path / "sheet.csv"
    places = filters.sheet_out(rows, path, 5, seed=0, shown=["label"])
    assert sorted(places) == [0, 1, 2, 5, 6]  # the text that stands there twice once, and nothing for None
    assert [line["text"] for line in sheet(path)] == [("'" if place == 0 else "") + ROWS[place] for place in places]
    assert list(sheet(path)[0]) == ["key", "text", "label", "person 1 (keep or drop)", "person 2 (keep or drop)"]
    one, two = ["keep", "KEEP ", "drop", "drop", ""], ["keep", "drop", "drop", "keep", "keep"]
    fill(path, one, two, mark=";")
    back = filters.sheet_in(rows, path, against="label")
    assert [each["row"] for each in back["judgements"]] == places and back["blank"] == 1
    assert [each["majority"] for each in back["judgements"]] == ["keep", None, "drop", None, "keep"]
    people, teacher = back["agreement"]
    assert people["between"] == "person 1 and person 2" and people["lines"] == 4 and people["same"] == 0.5
    # By hand: 2 of 4 are the same; each says keep twice, so chance gives 1/2.
    assert people["kappa"] == pytest.approx(0)
    assert teacher["between"] == "the majority and label" and teacher["lines"] == 3
    found = filters.people(path)(rows)
    wanted = {place: back["judgements"][at]["majority"] for at, place in enumerate(places)}
    wanted |= {3: wanted[1], 4: "drop"}
    assert [verdict.keep for verdict in found] == [wanted[place] != "drop" for place in range(7)]


def test_kappa_is_what_chance_does_not_give(tmp_path):
    rows, path = table(*map(str, range(10))), tmp_path / "s.csv"
    filters.sheet_out(rows, path, 10, choices=("yes", "no"))
    fill(path, ["yes"] * 5 + ["no"] * 5, ["yes"] * 4 + ["no"] * 6)
    (agreement,) = filters.sheet_in(rows, path, choices=("yes", "no"))["agreement"]
    chance = 0.5 * 0.4 + 0.5 * 0.6
    assert agreement["same"] == 0.9 and agreement["kappa"] == pytest.approx((0.9 - chance) / (1 - chance))
    fill(path, ["yes"] * 10, ["yes"] * 10)
    (agreement,) = filters.sheet_in(rows, path, choices=("yes", "no"))["agreement"]
    assert agreement["same"] == 1 and math.isnan(agreement["kappa"])


def test_a_draw_is_seeded_and_without_repeats(tmp_path):
    rows = table(*map(str, range(50)))
    first, again, other = (filters.sheet_out(rows, tmp_path / f"{i}.csv", 20, seed) for i, seed in enumerate((1, 1, 2)))
    assert first == again != other and len(set(first)) == 20


def test_a_sheet_that_does_not_fit_says_where(tmp_path):
    rows, path = table("a", "b", "c"), tmp_path / "s.csv"
    with pytest.raises(FileNotFoundError, match="no sheet s.csv"):
        filters.sheet_in(rows, path)
    with pytest.raises(ValueError, match="asks for 4 texts and the data set has 3"):
        filters.sheet_out(rows, path, 4)
    filters.sheet_out(rows, path, 3)
    with pytest.raises(ValueError, match="may have filled it in"):
        filters.sheet_out(rows, path, 3)
    with pytest.raises(ValueError, match="is not filled in"):
        filters.sheet_in(rows, path)
    fill(path, ["keep", "perhaps", "drop"])
    with pytest.raises(ValueError, match="line 3: person 1 says 'perhaps', and the choices are keep, drop"):
        filters.sheet_in(rows, path)
    fill(path, ["keep", "keep", "drop"])
    with pytest.raises(ValueError, match="its text is not in this data set"):
        filters.sheet_in(table("d"), path)
    path.write_text(path.read_text(encoding="utf-8-sig") + path.read_text(encoding="utf-8-sig").splitlines()[-1])
    with pytest.raises(ValueError, match="line 5: its text stands there twice"):
        filters.people(path)
    path.write_bytes(path.read_bytes() + "ä".encode("cp1252"))
    with pytest.raises(ValueError, match="not in UTF-8"):
        filters.people(path)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(ValueError, match="no sheet of filters.sheet_out"):
        filters.people(path)


def test_the_funnel_shows_what_each_step_leaves_and_drops():
    rows = table("a short one", "x", "a good sentence", "a good sentence")
    report = filters.run(rows, [filters.length(2), filters.near_duplicates()]).report
    axes = plots.funnel(report, "Two of four are left")
    left, dropped = ([bar.get_width() for bar in group] for group in axes.containers)
    assert left == [4, 3, 2] and dropped == [0, 1, 1]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["all rows", "length", "near duplicates"]
    assert axes.texts[1].get_text().startswith("3  −1 · ") and axes.yaxis_inverted()
