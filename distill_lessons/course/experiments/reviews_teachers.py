"""Makes the teachers of the `reviews` pair and what they say: ``python -m distill_lessons.course.experiments.reviews_teachers``.

Every finished piece is a file in build/reviews, so that a second call goes on where the first one ended. At the end
data/reviews has the adapter of the teacher with 640 labels, all teachers' logits, and card.json. About three
hours on two cores of the reference machine.
"""

import argparse
import json
import shutil
import time

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from datasets import Dataset
from peft import LoraConfig, get_peft_model
from sklearn.linear_model import LogisticRegression
from transformers import DataCollatorWithPadding, Trainer, TrainingArguments

from distill_lessons import runtime
from distill_lessons.course.experiments import reviews_card
from distill_lessons.pairs import reviews_data, reviews_teachers, smollm

RANK, BATCH = 8, 16
RATES = (6.25e-5, 1.25e-4, 2.5e-4, 5e-4, 1e-3)  # tried on the validation sentences
SEARCHED = {
    "160": "160",
    "640": "640",
    "2560": "640",
    "all": "640",
}  # whose rate a teacher of so many labels is trained at
EPOCHS = {"160": 8, "640": 4, "2560": 2, "all": 1}
FOLDER = runtime.REPOSITORY / "build" / "reviews"


# --- Training ---------------------------------------------------------------------------------------------------------


def train(places, rate, epochs, seed=0):
    """SmolLM2 with LoRA on the labels of these sentences; the adapter rounded to float16, as it is stored.

    Returns:
        the peft model, and the seconds that it took.
    """
    frame, tokenizer = reviews_data.sentences().iloc[places], smollm.tokenizer()
    rows = tokenizer(frame["text"].tolist())
    rows["length"] = [len(ids) for ids in rows["input_ids"]]
    data = Dataset.from_dict({**rows, "labels": frame["positive"].astype(int).tolist()})
    body = reviews_teachers.classifier().to(torch.bfloat16 if runtime.bf16() else torch.float32)
    torch.manual_seed(seed)
    # The head and the adapters are trained in float32, and run under autocast.
    model = get_peft_model(
        body, LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="SEQ_CLS")
    )
    arguments = TrainingArguments(
        output_dir=str(FOLDER / "trainer"), per_device_train_batch_size=BATCH, num_train_epochs=epochs,
        learning_rate=rate, lr_scheduler_type="cosine", warmup_steps=0.1, bf16=runtime.bf16(), seed=seed,
        train_sampling_strategy="group_by_length", save_strategy="no", report_to="none", logging_steps=20,
        disable_tqdm=True, use_cpu=runtime.device().type == "cpu",
    )  # fmt: skip
    started = time.perf_counter()
    Trainer(model, arguments, train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer)).train()
    seconds = time.perf_counter() - started
    with torch.no_grad():
        for weight in model.parameters():
            if weight.requires_grad:
                weight.copy_(weight.half().float())
    return model, seconds


def save_adapter(model, folder):
    """The adapter as float16 safetensors, replacing what was there only when it is written."""
    temporary = folder.with_name(f".{folder.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    weights = {name: weight.half() for name, weight in model.state_dict().items()}
    model.save_pretrained(temporary, state_dict=weights)
    (temporary / "README.md").unlink(missing_ok=True)  # peft's template of a card
    settings = json.loads((temporary / "adapter_config.json").read_text(encoding="utf-8"))
    settings["base_model_name_or_path"] = "SmolLM2-135M-Instruct"  # and no folder of this machine
    (temporary / "adapter_config.json").write_text(
        json.dumps(settings, indent=1, sort_keys=True) + "\n", encoding="utf-8"
    )
    (temporary / "adapter_model.safetensors").chmod(0o644)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def adapter(name, rate):
    """The folder of the adapter trained on "160", "640", "2560" or "all" labels at a rate; trains it if it is not there."""
    folder = FOLDER / f"adapter-{name}-{rate:g}"
    if not (folder / "adapter_model.safetensors").is_file():
        places = reviews_teachers.trained_on(f"tuned-{name}")
        model, seconds = train(places, rate, EPOCHS[name])
        save_adapter(model, folder)
        note(f"adapter-{name}-{rate:g}", {"labels": len(places), "rate": rate, "seconds": round(seconds)})
    return folder


def chosen_rate(name):
    """The rate whose teacher of so many labels has the lowest cross-entropy on the validation sentences.

    Raises:
        ValueError: it is an end of RATES, and a better one may lie beyond.
    """
    places, found = reviews_data.places("validation"), {}
    labels = torch.from_numpy(reviews_data.sentences()["positive"].to_numpy()[places].astype(int))
    for rate in RATES:
        of = f"validation-{name}-{rate:g}"
        scores = piece(of, lambda rate=rate: reviews_teachers.tuned(adapter(name, rate)), places)
        found[rate] = torch.nn.functional.cross_entropy(torch.from_numpy(scores).float(), labels).item()
        right = (scores.argmax(1) == labels.numpy()).mean()
        print(f"{name} labels, rate {rate:g}: validation {found[rate]:.4f} nats, {right:.1%} right", flush=True)
        note(of, {"nats": found[rate], "accuracy": float(right)})
    best = min(found, key=found.get)
    if best in (RATES[0], RATES[-1]):
        raise ValueError(
            f"{name} labels: the rate {best:g} is an end of RATES, and a better one may lie beyond: add it"
        )
    return best


# --- Pieces that are made once ----------------------------------------------------------------------------------------


def piece(name, make, places, size=4000):
    """A teacher's logits ``[len(places), 2]`` in float16, from build/reviews or made now; `make` gives the teacher.

    Made in parts of `size` sentences, each a file, so that little is lost if it is stopped.
    """
    texts, teacher, parts = reviews_data.sentences()["text"].to_numpy()[places], None, []
    for start in range(0, len(places), size):
        path = FOLDER / f"{name}-{start:05}.npy"
        if not path.is_file():
            teacher = teacher or make()
            began = time.perf_counter()
            found = teacher(texts[start : start + size]).numpy().astype(np.float16)
            with runtime.replacing(path) as temporary:
                with open(temporary, "wb") as file:
                    np.save(file, found)
            note(path.stem, {"sentences": len(found), "seconds": round(time.perf_counter() - began, 1)})
        parts.append(np.load(path))
    return np.concatenate(parts)


def note(name, what):
    """Keep a few numbers about a piece beside it."""
    with runtime.replacing(FOLDER / f"{name}.json") as temporary:
        temporary.write_text(json.dumps(what | {"machine": runtime.machine_stamp()}), encoding="utf-8")


def fitted_rules():
    """The slope and shift that turn VADER's compound score into a logit, fitted on the first 640 labels."""
    rows = reviews_data.sentences().iloc[reviews_teachers.trained_on("rules")]
    scores = reviews_teachers.rules()(rows["text"])[:, 1:].numpy()
    model = LogisticRegression(C=np.inf).fit(scores, rows["positive"])
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def makers():
    """The teachers by name, in the order in which they are made, each as a function that loads or trains it."""
    by_labels = {
        f"tuned-{n}": lambda n=n: reviews_teachers.tuned(adapter(n, chosen_rate(SEARCHED[n])))
        for n in ("640", "160", "2560", "all")
    }
    return {
        "rules": lambda: reviews_teachers.rules(*fitted_rules()),
        **by_labels,
        "prompted": reviews_teachers.prompted,
    }


def save_logits(found, path):
    """All teachers' logits with the sentences' ids as one parquet file of float16."""
    columns = {"id": pa.array(reviews_data.sentences()["id"])}
    for name in (each for each in reviews_teachers.NAMES if each in found):
        for place, kind in enumerate(("no", "yes")):
            columns[f"{name} {kind}"] = pa.array(found[name][:, place])
    with runtime.replacing(path) as temporary:
        pq.write_table(pa.table(columns), temporary, compression="zstd", use_dictionary=False)


def main(arguments=None):
    parser = argparse.ArgumentParser(prog=f"python -m {__spec__.name}", description=__doc__)
    parser.add_argument(
        "only", nargs="*", metavar="TEACHER", help=f"of {', '.join(reviews_teachers.NAMES)}; by default all"
    )
    only = parser.parse_args(arguments).only or reviews_teachers.NAMES
    runtime.check_names(only, reviews_teachers.NAMES, "reviews")
    runtime.start()
    FOLDER.mkdir(parents=True, exist_ok=True)
    everything, found = np.arange(len(reviews_data.sentences())), {}
    for name, make in makers().items():
        if name not in only:
            continue
        found[name] = piece(name, make, everything)
        print(f"{name}: done", flush=True)
    folder = runtime.data_folder() / "reviews"
    folder.mkdir(exist_ok=True)
    rates = {name: chosen_rate(name) for name in sorted({*SEARCHED.values()})}
    shutil.copytree(adapter("640", rates["640"]), folder / "teacher", dirs_exist_ok=True)
    save_logits(found, folder / "logits.parquet")
    slope, shift = fitted_rules()
    made = {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(FOLDER.glob("*.json"))}
    how = {
        "rates": {n: rates[of] for n, of in SEARCHED.items()},
        "epochs": EPOCHS,
        "rank": RANK,
        "batch": BATCH,
        "rules": {"slope": slope, "shift": shift},
    }
    reviews_card.write(how | {"pieces": made})


if __name__ == "__main__":
    main()
