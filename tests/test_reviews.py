"""The `reviews` pair: the archive, the sentences and their split, the teachers and what they said, the students."""

import csv
import hashlib
import html
import io
import json
import random
import re
import tarfile
import zipfile
from itertools import combinations
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.feature_extraction.text import CountVectorizer

from distill_lessons import runtime
from distill_lessons.course.experiments import reviews_card, reviews_teachers
from distill_lessons.pairs import reviews as pair
from distill_lessons.pairs import reviews_data, reviews_students, smollm
from distill_lessons.pairs import reviews_teachers as of_pair
from distill_lessons.training import fit

COUNTS = {"film": 10605, "product": 3708, "message": 4200, "newspaper": 5190}


@pytest.fixture(scope="module")
def frame():
    return pair.sentences()


# --- The archive ------------------------------------------------------------------------------------------------------


@pytest.fixture
def archive(tmp_path, monkeypatch):
    """An archive in the form of the real one, with a member that wants to leave the folder; its zip and tar.gz."""
    contents = {name: f"1\t0\t{name}\n".encode() for name in reviews_data.MEMBERS}
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as inner:
        for name, content in [*contents.items(), ("../../outside.txt", b"out"), ("notes.txt", b"more")]:
            member = tarfile.TarInfo(f"hutto_ICWSM_2014/{name}")
            member.size = len(content)
            inner.addfile(member, io.BytesIO(content))
    (tmp_path / "a.tar.gz").write_bytes(packed.getvalue())
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as outer:
        outer.writestr(reviews_data.INNER, packed.getvalue())
        outer.writestr("../outside.txt", "out")
    known = {hashlib.sha256((tmp_path / f"a.{kind}").read_bytes()).hexdigest(): kind for kind in ("zip", "tar.gz")}
    monkeypatch.setattr(reviews_data, "SHA256", known)
    monkeypatch.setattr(reviews_data, "CONTENTS", hashlib.sha256(b"".join(contents.values())).hexdigest())
    monkeypatch.setenv("DISTILL_CACHE", str(tmp_path / "a" / "cache"))
    monkeypatch.delenv("DISTILL_REVIEWS", raising=False)
    return tmp_path


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
def test_eight_files_are_unpacked_and_nothing_else_is_written(archive, kind):
    folder = pair.prepare(archive / f"a.{kind}")
    assert {path.name for path in folder.iterdir()} == set(reviews_data.MEMBERS)
    assert {path.name for path in (archive / "a" / "cache").iterdir()} == {"reviews"}
    assert not list(archive.rglob("outside*")) and not list(archive.rglob("notes*"))
    assert pair.prepare() == folder  # and needs no archive a second time


def test_the_environment_may_name_the_archive(archive, monkeypatch):
    monkeypatch.setenv("DISTILL_REVIEWS", str(archive / "a.zip"))
    assert pair.prepare().is_dir()


@pytest.mark.parametrize("damage", ["cut", "gone", "changed"])
def test_a_damaged_cache_is_made_again(archive, damage):
    path = pair.prepare(archive / "a.zip") / reviews_data.MEMBERS[3]
    good = path.read_bytes()
    path.unlink() if damage == "gone" else path.write_bytes(good[:-3] + (b"xyz" if damage == "changed" else b""))
    with pytest.raises(FileNotFoundError, match="make setup"):
        pair.prepare()
    assert (pair.prepare(archive / "a.zip") / path.name).read_bytes() == good


def test_a_missing_or_wrong_archive_gets_one_sentence(archive):
    with pytest.raises(FileNotFoundError, match="no file .*nowhere.zip: run `make setup`"):
        pair.prepare(archive / "nowhere.zip")
    part = archive / "part.zip"
    for content in ((archive / "a.zip").read_bytes()[:-20], b"", b"<html>not found</html>"):
        part.write_bytes(content)
        with pytest.raises(ValueError, match="part.zip is not vaderSentiment-0.5.zip, or only a part of it"):
            pair.prepare(part)
    assert not (archive / "a" / "cache" / "reviews").exists()


def test_a_full_disk_leaves_nothing_half_made(archive, monkeypatch):
    real = Path.write_bytes

    def full(path, content):
        if path.name == reviews_data.MEMBERS[5]:
            raise OSError(28, "No space left on device")
        return real(path, content)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left.*DISTILL_CACHE"):
        pair.prepare(archive / "a.zip")
    assert list((archive / "a" / "cache").iterdir()) == []


# --- Sentences --------------------------------------------------------------------------------------------------------


def rows_of(source, end):
    """A file of the archive, read by another way."""
    with open(pair.prepare() / f"{reviews_data.FILES[source]}_{end}.txt", encoding="utf-8-sig", newline="") as file:
        return [row for row in csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row]


def test_every_sentence_of_the_archive_is_there_with_its_own_text_and_mean(frame):
    assert frame["source"].value_counts().to_dict() == COUNTS and frame["id"].is_unique
    for source in COUNTS:
        own, rows = frame[frame["source"] == source], rows_of(source, "GroundTruth")
        assert [html.unescape(html.unescape(text)) for _, _, text in rows] == own["text"].tolist()
        np.testing.assert_allclose(own["rating"], [float(mean) for _, mean, _ in rows], atol=1e-6)
        assert all(name.split("-", 1)[1].lstrip("0") == row[0] for name, row in zip(own["id"], rows))
    assert not frame["text"].str.contains(r"&#?\w+;|[\r\n\t]").any()


def test_raters_give_their_sentence_its_rating_and_are_left_out_where_they_do_not(frame):
    missing = 0
    for source in COUNTS:
        own = frame[frame["source"] == source].set_index("id")
        by_number = {
            row[0]: [int(part) for part in row[3].strip("[] ").split(",")] for row in rows_of(source, "anonDataRatings")
        }
        for name, ratings, rating, people in own[["ratings", "rating", "people"]].itertuples():
            number = name.split("-", 1)[1].lstrip("0")
            if ratings is None:
                missing += 1
                assert np.isnan(people) and abs(np.mean(by_number[number]) - rating) > 1e-3
                continue
            assert list(ratings) == by_number[number] and abs(np.mean(ratings) - rating) < 1e-12
            assert people == np.mean([(np.sign(one) + 1) / 2 for one in ratings])
    assert missing == 199 and set(frame["source"][frame["ratings"].isna()]) == {"message"}


def test_positive_means_over_zero(frame):
    zero = frame["rating"] == 0
    assert zero.sum() == 383 and not frame["positive"][zero].any()
    assert (frame["positive"] == (frame["rating"] > 0)).all()
    assert pair.labels().tolist() == frame["positive"].astype(int).tolist()


def test_who_changes_the_table_changes_only_a_copy(frame):
    mine = pair.sentences()
    mine.loc[0, "text"] = "mine"
    assert pair.sentences()["text"][0] == frame["text"][0] != "mine"


# --- Split ------------------------------------------------------------------------------------------------------------


def test_parts_have_their_sizes(frame):
    case = frame[frame["source"].isin(pair.CASE)]["split"].value_counts()
    assert case["labelled"] == 2560
    assert 2990 <= case["test"] <= 3000 and 990 <= case["validation"] <= 1000
    assert case["pool"] == 14313 - case["labelled"] - case["test"] - case["validation"]
    for source in pair.SHIFTED:
        shares = frame[frame["source"] == source]["split"].value_counts() / COUNTS[source]
        assert set(shares.index) == {"pool", "test", "validation"}
        assert abs(shares["test"] - 0.3) < 0.01 and abs(shares["validation"] - 0.1) < 0.01


def test_the_labelled_are_nested_mixed_and_in_no_order(frame):
    whole = pair.labelled()
    assert sorted(whole) == pair.places("labelled").tolist() and len({*whole}) == 2560
    for count in (160, 640):
        assert (pair.labelled(count) == whole[:count]).all()
        part = frame.iloc[pair.labelled(count)]
        assert 0.40 < part["positive"].mean() < 0.62 and 0.68 < (part["source"] == "film").mean() < 0.84
    assert abs(np.corrcoef(np.arange(2560), whole)[0, 1]) < 0.1
    for count in (0, 2561):
        with pytest.raises(ValueError, match="1 to 2560 labelled"):
            pair.labelled(count)


def test_places_are_those_of_split_and_source(frame):
    got = frame.iloc[pair.places("test", "message")]
    assert set(got["source"]) == {"message"} and set(got["split"]) == {"test"}
    assert set(frame.iloc[pair.places("pool")]["source"]) == {*pair.CASE}
    with pytest.raises(ValueError, match="knows no 'tests': did you mean test"):
        pair.places("tests")
    with pytest.raises(ValueError, match="knows no 'films': did you mean film"):
        pair.places("test", "films")


def test_a_product_review_or_editorial_lies_in_one_part(frame):
    documents = frame[frame["id"].str.contains("_")]
    assert (documents.groupby(documents["id"].str.split("_").str[0])["split"].nunique() == 1).all()
    assert documents["id"].str.split("_").str[0].nunique() == 798


def test_no_near_duplicate_lies_in_another_part(frame):
    plain = (
        frame["text"]
        .str.lower()
        .str.replace(r"\d+", "0", regex=True)
        .str.replace(r"[\W_]+", " ", regex=True)
        .str.strip()
    )
    counts = CountVectorizer(binary=True, token_pattern=r"\S+").fit_transform(plain)
    sizes, splits = np.asarray(counts.sum(1)).ravel(), frame["split"].to_numpy()
    chosen = np.random.default_rng(0).choice(np.flatnonzero(splits == "test"), 200, replace=False)
    common = (counts[chosen] @ counts.T).toarray()
    alike = common / np.maximum(sizes[chosen, None] + sizes[None] - common, 1) >= 0.8
    lines = [f" {line} " for line in plain]
    for row, place in zip(alike, chosen):
        others = np.flatnonzero(row & (splits != "test"))
        assert len(others) == 0, (frame["text"][place], frame["text"][others].tolist())
        if len(plain[place].split()) >= 6:
            longer = [other for other, line in enumerate(lines) if lines[place] in line]
            assert {*splits[longer]} == {"test"}


def test_no_text_lies_in_two_parts(frame):
    assert (frame.groupby(frame["text"].str.lower())["split"].nunique() == 1).all()


def test_near_duplicates_are_those_of_a_plain_search():
    rng = random.Random(0)
    texts = [" ".join(rng.choices("abcdefgh", k=rng.randrange(1, 11))) for _ in range(250)]
    texts += ["!!!", "...", "!!!", "A, b; C 12 e f?", "a b c 345 e f g h g g", "a b c 7 e"]
    plain = [" ".join(re.findall(r"[a-z]+|0", re.sub(r"\d+", "0", text.lower()))) or text for text in texts]

    def alike(one, other):
        a, b = set(one.split()), set(other.split())
        short, long = sorted((one, other), key=len)
        inside = len(short.split()) >= 6 and f" {short} " in f" {long} "
        return len(a & b) / len(a | b) > 0.8 - 1e-9 or inside

    expected = [(i, j) for j in range(len(texts)) for i in range(j) if alike(plain[i], plain[j])]
    assert reviews_data.near_duplicates(texts) == sorted(expected) and len(expected) > 100


# --- Teachers ---------------------------------------------------------------------------------------------------------


# Asking all teachers about all sentences takes hours; until that is done there is nothing to compare with.
asked = pytest.mark.skipif(
    not (runtime.data_folder() / "reviews" / "logits.parquet").is_file(), reason="the teachers have not been asked yet"
)


@pytest.fixture(scope="module")
def card():
    return json.loads((runtime.data_folder() / "reviews" / "card.json").read_text(encoding="utf-8"))


@asked
def test_logits_are_there_for_every_sentence_and_score_what_the_card_says(frame, card):
    labels, test = frame["positive"].to_numpy(), (frame["split"] == "test").to_numpy()
    for name in pair.stored():
        logits = pair.logits(name)
        assert logits.shape == (23703, 2) and logits.dtype == torch.float32 and logits.isfinite().all()
        right = (logits[:, 1] > logits[:, 0]).numpy() == labels
        for source in COUNTS:
            rows = test & (frame["source"] == source).to_numpy()
            said = card["teachers"][name][source]
            assert said["sentences"] == rows.sum() and abs(said["accuracy"] - right[rows].mean()) < 1e-9
            assert said["low"] < said["accuracy"] < said["high"]
    with pytest.raises(ValueError, match="did you mean tuned-640"):
        pair.logits("tuned-64")


def test_a_teacher_that_was_not_asked_is_named_with_those_that_were(monkeypatch):
    monkeypatch.setattr(of_pair, "_table", lambda data: {"rules": torch.zeros(1, 2)})
    with pytest.raises(FileNotFoundError, match="prompted has not been asked yet; stored are rules: make it with"):
        pair.logits("prompted")


@asked
def test_logits_lie_beside_the_ids_in_their_order(frame):
    stored = pd.read_parquet(runtime.data_folder() / "reviews" / "logits.parquet")
    assert stored["id"].tolist() == frame["id"].tolist()
    assert np.allclose(stored["rules yes"], pair.logits("rules")[:, 1]) and (stored["rules no"] == 0).all()


@asked
def test_who_changes_logits_changes_only_a_copy():
    before = pair.logits("rules").clone()
    pair.logits("rules").zero_()
    assert torch.equal(pair.logits("rules"), before)


def test_no_teacher_offers_a_pool_whose_labels_it_has_seen(frame):
    splits, sizes = frame["split"].to_numpy(), {}
    for name in pair.NAMES:
        seen = {*pair.trained_on(name)}
        sizes[name] = len(seen)
        assert not seen & {*np.flatnonzero(np.isin(splits, ["test", "validation"]))}
        if name != "tuned-all":
            found = pair.pool(name)
            assert set(splits[found]) == {"pool"} and not seen & {*found} and len(found) == len(pair.places("pool"))
    assert sizes == {"tuned-160": 160, "tuned-640": 640, "tuned-2560": 2560, "rules": 640, "prompted": 0} | {
        "tuned-all": 2560 + len(pair.places("pool"))
    }
    with pytest.raises(ValueError, match="tuned-all was trained on this pool's labels"):
        pair.pool("tuned-all")
    assert len(pair.pool("tuned-all", pair.SHIFTED)) == len(pair.places("pool", pair.SHIFTED))


def some(frame, count, split="test"):
    places = np.random.default_rng(1).choice(np.flatnonzero(frame["split"] == split), count, replace=False)
    return places, frame["text"].to_numpy()[places].tolist()


@asked
def test_the_stored_adapter_says_what_is_stored(frame, card):
    places, texts = some(frame, 24)
    teacher = pair.tuned()
    found, stored = teacher(texts), pair.logits("tuned-640")[places]
    # bfloat16 keeps two or three digits, and another machine multiplies in float32
    assert (found - stored).abs().max() < 0.25 and (found - stored).abs().mean() < 0.05
    assert stored.std(0).min() > 0.5  # so that this is close
    assert (teacher(texts[3:4]) - found[3:4]).abs().max() < 0.2  # alone as among others
    folder = runtime.data_folder() / "reviews"
    assert sum(path.stat().st_size for path in (folder / "teacher").iterdir()) < 10_000_000
    for name, digest in card["sha256"].items():
        assert runtime.sha256(folder / name) == digest
    assert "/" not in json.loads((folder / "teacher" / "adapter_config.json").read_text())["base_model_name_or_path"]


@asked
def test_an_adapter_that_is_missing_or_damaged_is_told(tmp_path):
    with pytest.raises(FileNotFoundError, match="no adapter of the teacher in nothing"):
        pair.tuned(tmp_path / "nothing")
    whole = runtime.data_folder() / "reviews" / "teacher"
    for path in whole.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes()[:5000])
    with pytest.raises(OSError, match="cannot be read .*restore data/reviews"):
        pair.tuned(tmp_path)


@asked
def test_the_prompted_teacher_reads_whole_prompts(frame):
    places, texts = some(frame, 6)
    found = pair.prompted()(texts)
    if "prompted" in pair.stored():
        assert (found - pair.logits("prompted")[places]).abs().max() < 0.3
    model, tokenizer = smollm.teacher(), smollm.tokenizer()
    for text, row in zip(texts, found):
        ids = tokenizer(f"{of_pair.EXAMPLES} {text}\nSentiment:", return_tensors="pt")["input_ids"].to(model.device)
        with torch.no_grad():
            last = model(ids).logits[0, -1].log_softmax(-1).cpu()
        expected = torch.stack(
            [last[tokenizer(" negative")["input_ids"][0]], last[tokenizer(" positive")["input_ids"][0]]]
        )
        assert (row - expected).abs().max() < 0.3


@asked
def test_the_rules_say_what_is_stored_and_are_fitted_on_labels(frame, card):
    places, texts = some(frame, 300)
    fitted = card["how"]["rules"]
    assert (pair.rules(**fitted)(texts) - pair.logits("rules")[places]).abs().max() < 2e-3
    assert fitted == pytest.approx(dict(zip(("slope", "shift"), reviews_teachers.fitted_rules())), rel=1e-4)
    good, bad = pair.rules()(["What a wonderful, delightful film!", "A horrible and boring mess."])[:, 1]
    assert good > 0.5 and bad < -0.5


def test_a_teacher_needs_a_text():
    with pytest.raises(ValueError, match="at least one text"):
        pair.rules()([])


# --- Students ---------------------------------------------------------------------------------------------------------


def test_the_vocabulary_has_no_word_of_the_test_alone(frame):
    known = [*reviews_students.vocabulary()]
    seen = frame["split"].isin(["labelled", "pool"])
    often = pd.Series([w for text in frame["text"][seen] for w in reviews_students.words(text)]).value_counts()
    assert {*known} == {*often.index[often > 1]} and known[:2] == often.index[:2].tolist()
    assert [often[word] for word in known] == sorted(often[known], reverse=True)


def test_texts_are_encoded_word_by_word():
    assert (
        reviews_students.words("It's 12 times  WORSE than ''1984'' :)") == "it's 0 times worse than '' 0 '' :)".split()
    )
    ids = pair.encode(["the the", "The film .", "qqxyz film"])
    assert ids.dtype == torch.long and ids.shape == (3, 3)
    number = {word: place + 2 for place, word in enumerate(reviews_students.vocabulary())}
    assert ids.tolist() == [
        [number["the"]] * 2 + [0],
        [number["the"], number["film"], number["."]],
        [1, number["film"], 0],
    ]
    assert pair.encode(["the " * 100]).shape == (1, 64) and pair.encode(["the " * 100], 5).shape == (1, 5)
    for encode in (pair.encode, pair.encode_tokens):
        with pytest.raises(ValueError, match="nothing to encode"):
            encode([])


def test_tokens_are_encoded_in_the_tokenizers_order():
    text, tokenizer = "A surprisingly good film, 1984.", smollm.tokenizer()
    (ids,) = pair.encode_tokens([text]).tolist()
    back = [reviews_students.tokens_in_use()[number - 2] for number in ids]
    assert tokenizer.decode(back) == text


MAKERS = {"bag": pair.bag, "gru": pair.gru, "transformer": pair.transformer, "layers": lambda: pair.layers(1)}


@pytest.mark.parametrize("name", MAKERS)
def test_padding_and_neighbours_change_nothing(name):
    torch.manual_seed(0)
    model = MAKERS[name]().cpu().eval()
    ids = torch.randint(2, 500, (5, 9))
    ids[0, 4:] = ids[1, 1:] = ids[2, 7:] = 0
    with torch.no_grad():
        together = model(ids)
        alone = torch.cat([model(row[row != 0][None]) for row in ids])
        wider = model(torch.nn.functional.pad(ids, (0, 6)))
        empty = model(torch.zeros(2, 3, dtype=torch.long))
        turned = model(ids.flip(1)[3:])
    assert together.shape == (5, 2) and empty.isfinite().all()
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-3)
    torch.testing.assert_close(together, wider, atol=1e-4, rtol=1e-3)
    assert (turned - together[3:]).abs().max().lt(1e-5) == (name == "bag")
    assert (together[3] - together[4]).abs().max() > 1e-4


def test_sizes_are_as_said():
    def trained(model):
        return sum(weight.numel() for weight in model.parameters() if weight.requires_grad)

    for make in (pair.bag, pair.frozen, pair.gru, pair.transformer):
        assert f"{trained(make()):,}" in make.__doc__
    model = pair.layers(2)
    assert 3.5e6 < trained(model) / 2 < 3.6e6 and 19e6 < sum(w.numel() for w in model.parameters()) < 21e6


def test_layers_are_the_first_of_smollm2():
    text, tokenizer, whole = "An honest, moving film.", smollm.tokenizer(), smollm.teacher()
    ids = tokenizer(text, return_tensors="pt")["input_ids"].to(whole.device)
    with torch.no_grad():
        states = whole.model.norm(whole(ids, output_hidden_states=True).hidden_states[2]).mean(1)
        model = pair.layers(2).eval()
        expected = model.head(states)
        torch.testing.assert_close(model(pair.encode_tokens([text]).to(whole.device)), expected, atol=1e-4, rtol=1e-3)
    with pytest.raises(ValueError, match="1 to 30 layers, and 31"):
        pair.layers(31)


def test_features_are_mean_maximum_and_minimum_of_word_vectors(frame):
    table, tokenizer = smollm.teacher().get_input_embeddings().weight.cpu().numpy(), smollm.tokenizer()
    seen = torch.tensor(frame["split"].isin(["labelled", "pool"]).tolist())
    every = pair.features()
    assert every.shape == (23703, 1728)
    torch.testing.assert_close(every[seen].mean(0), torch.zeros(1728), atol=1e-3, rtol=0)
    torch.testing.assert_close(every[seen].std(0), torch.ones(1728), atol=1e-3, rtol=0)
    places, texts = some(frame, 40)
    raw = []
    for text in texts:
        vectors = table[tokenizer(text)["input_ids"]]
        raw.append(np.concatenate([vectors.mean(0), vectors.max(0), vectors.min(0)]))
    own = every[places].double().numpy()
    for column in range(0, 1728, 97):  # the same but for a shift and a positive scale
        slope, _ = np.polyfit(np.array(raw)[:, column], own[:, column], 1)
        assert slope > 0 and np.corrcoef(np.array(raw)[:, column], own[:, column])[0, 1] > 0.99999
    torch.testing.assert_close(pair.features_of(texts), every[places], atol=1e-4, rtol=1e-4)
    with pytest.raises(ValueError, match="no empty one"):
        pair.features_of(["good", ""])


def test_features_of_one_sentence_touch_its_own_word_vectors_alone(monkeypatch):
    """A student that answers in a fraction of a millisecond must not wait for 49,152 vectors or for a tokenizer."""
    before, sizes = pair.features_of(["a fine film"]), []
    own = reviews_students.F.embedding_bag

    def counted(places, table, *rest, **options):
        sizes.append(len(table))
        return own(places, table, *rest, **options)

    monkeypatch.setattr(reviews_students.F, "embedding_bag", counted)
    monkeypatch.setattr(smollm, "tokenizer", None)  # the one that is loaded stays
    assert torch.equal(pair.features_of(["a fine film"]), before)
    assert max(sizes) <= len("a fine film".split()) + 2


@pytest.mark.parametrize("name", ["bag", "frozen", "gru", "transformer"])
def test_a_student_learns_with_fit(name):
    places = pair.labelled(64)
    inputs = (
        pair.features()[places] if name == "frozen" else pair.encode(pair.sentences()["text"].to_numpy()[places], 24)
    )
    torch.manual_seed(0)
    model = fit(getattr(pair, name)(), inputs, pair.labels()[places], steps=60, batch_size=32, learning_rate=5e-3)
    with torch.no_grad():
        assert (model(inputs).argmax(1) == pair.labels()[places]).float().mean() > 0.85


# --- The card ---------------------------------------------------------------------------------------------------------


def test_accuracies_are_counted_by_source():
    logits = torch.tensor([[0.0, 1], [1, 0], [0, 1], [0, 1], [2, 1]])
    labels = torch.tensor([1, 0, 0, 1, 1])
    found = reviews_card.accuracies(logits, labels, np.array(["film", "film", "product", "message", "message"]))
    assert {name: (one["sentences"], round(one["accuracy"], 3)) for name, one in found.items()} == {
        "case": (3, 0.667), "film": (2, 1.0), "product": (1, 0.0), "message": (2, 0.5)
    }  # fmt: skip
    # Wilson's interval for 1 of 2, by its formula
    z = 1.959964
    middle, half = (0.5 + z * z / 4) / (1 + z * z / 2), z * np.sqrt(0.25 / 2 + z * z / 16) / (1 + z * z / 2)
    assert (found["message"]["low"], found["message"]["high"]) == pytest.approx(
        (middle - half, middle + half), abs=1e-5
    )


def people_of(*ratings):
    return reviews_card.people(pd.DataFrame({"source": ["film"] * len(ratings), "ratings": list(ratings)}), draws=4000)[
        "case"
    ]


def test_people_who_agree_set_no_ceiling():
    found = people_of((2, 1, 3, 1), (-1, -2, -1, -4), (0, 0, 0, 0))
    assert (found["ceiling"], found["halves"], found["one"]) == (1, 1, 1) and found["raters"] == [4, 4.0, 4]


def test_people_who_are_divided_set_one():
    found = people_of((3, -1, -1, -1, 1))
    # drawn anew, the sum of five is over 0 in a share that can be counted out
    outcomes = np.array(np.meshgrid(*[[3, -1, -1, -1, 1]] * 5)).reshape(5, -1).sum(0) > 0
    assert found["ceiling"] == pytest.approx(outcomes.mean(), abs=0.03)
    # and so can the ten halves of two and three
    same = [(sum(two) > 0) == (1 - sum(two) > 0) for two in combinations([3, -1, -1, -1, 1], 2)]
    assert found["halves"] == pytest.approx(np.mean(same), abs=0.03)
    assert found["one"] == pytest.approx(np.mean([(one > 0) == (1 - one > 0) for one in (3, -1, -1, -1, 1)]))


@asked
def test_the_card_states_what_was_measured(card):
    text = (runtime.data_folder() / "reviews" / "README.md").read_text(encoding="utf-8")
    for name in pair.stored():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| `{name}` |")]
        said = [float(cell.split("[")[0]) for cell in line.split("|")[3:-1]]
        wanted = [100 * card["teachers"][name][source]["accuracy"] for source in ("case", *COUNTS)]
        assert np.abs(np.array(said) - wanted).max() < 0.051
    for name, one in card["people"].items():
        (line,) = [line for line in text.splitlines() if line.startswith(f"| {name} | {one['sentences']:,} |")]
        for kind in ("ceiling", "halves", "one"):
            assert f"{100 * one[kind]:.1f}" in line
    for digest in card["sha256"].values():
        assert digest in text
