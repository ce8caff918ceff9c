"""A local language model tuned on the labels with LoRA, as teacher: slow on a CPU, and done once."""

from pathlib import Path

import torch
import torch.nn.functional as F
from datasets import Dataset
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    DataCollatorWithPadding,
    PrinterCallback,
    Trainer,
    TrainingArguments,
)

from distill_lessons import runtime
from distill_lessons.project.config import FILE
from distill_lessons.project.splitting import TRAIN, VALIDATION, places
from distill_lessons.project.stages import stage
from distill_lessons.teacher.filters.by_models import remembered

RANK, READ, LONGEST = 8, 32, 256
PART = 256  # texts after whose answers they are written down
FEWEST = 20  # labels to learn from


def teacher(settings, table, split, more):
    """The model tuned at each rate, the best by validation: what decides it, and a function from places to probabilities.

    A rate's adapter is a piece of its own, and answers are written down as they come: stopped, it goes on.
    """
    about, classes = settings.teacher, split.values["classes"]
    source = about.model or more["model"]
    labelled = places(split, TRAIN, labelled=True)
    if len(labelled) < FEWEST:
        raise ValueError(
            f"a tuned teacher learns from labels, {FEWEST} at least, and there are {len(labelled)}: see {FILE}"
        )
    if not source:
        raise ValueError(f"a tuned teacher needs a model: set model in [teacher] of {FILE} to a folder or a name")
    kept = [about.batch, about.epochs, settings.split.seed]
    own = {"model": str(source), "rates": list(about.rates), "kept": kept}

    def read(rows):
        adapters = {}
        for rate in about.rates:
            inputs = {"split": split.key, "model": str(source), "rate": rate, "kept": kept}
            adapters[rate] = stage(
                settings.folder, f"teacher-parts/tuned-{rate:g}", inputs,
                lambda rate=rate: tune(settings, table, split, source, rate), more["tell"],
            )  # fmt: skip
        best = min(adapters.values(), key=lambda one: one.values["nats"])
        texts, reader = [table.texts[place] for place in rows], []

        def measure(some):
            if not reader:
                reader.extend(load(source, classes, best.tensors))
            return read_all(*reader, some).softmax(1).tolist()

        path, of = settings.folder / "work" / "answers.parquet", {"measured": "probabilities", "adapter": best.key}
        found = remembered(path, of, texts, measure, PART, more["tell"])
        return torch.tensor([found[text] for text in texts])

    return own, read


def body(source, classes):
    """The untuned model with a head of so many classes, and its tokenizer."""
    try:
        tokenizer = AutoTokenizer.from_pretrained(source)
        model = AutoModelForSequenceClassification.from_pretrained(
            source, num_labels=len(classes), dtype=torch.float32, attn_implementation="eager"
        )
    except (OSError, ValueError) as error:
        raise ValueError(runtime.why_not_loaded(str(source), error)) from error
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    tokenizer.padding_side, model.config.pad_token_id = "right", tokenizer.pad_token_id
    return model, tokenizer


def adapted(source, classes, seed=0):
    """The same with LoRA adapters to train, and the head."""
    torch.manual_seed(seed)
    model, tokenizer = body(source, classes)
    options = LoraConfig(r=RANK, lora_alpha=2 * RANK, target_modules="all-linear", task_type="SEQ_CLS")
    return get_peft_model(model, options), tokenizer


def tune(settings, table, split, source, rate):
    """One training; values nats (on validation labels, or those it learned from if there are none), and the adapter."""
    about, classes = settings.teacher, split.values["classes"]
    model, tokenizer = adapted(source, classes, settings.split.seed)
    rows, label = places(split, TRAIN, labelled=True), split.tensors["label"]
    coded = tokenizer([table.texts[place] for place in rows], truncation=True, max_length=LONGEST)
    coded = {name: coded[name] for name in ("input_ids", "attention_mask")}
    data = Dataset.from_dict({**coded, "labels": label[rows].tolist()})
    arguments = TrainingArguments(
        output_dir=str(Path(settings.folder) / "work" / "trainer"), per_device_train_batch_size=about.batch,
        num_train_epochs=about.epochs, learning_rate=rate, lr_scheduler_type="cosine", warmup_steps=0.1,
        seed=settings.split.seed, save_strategy="no", report_to="none", logging_strategy="no",
        disable_tqdm=not runtime.progress(), use_cpu=runtime.device().type == "cpu",
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=data, data_collator=DataCollatorWithPadding(tokenizer))
    trainer.remove_callback(PrinterCallback)
    trainer.train()
    chosen = places(split, VALIDATION, labelled=True)
    chosen = chosen if len(chosen) else rows
    logits = read_all(model.to(runtime.device()), tokenizer, [table.texts[place] for place in chosen])
    nats = F.cross_entropy(logits, label[chosen]).item()
    return {"nats": nats, "rate": rate}, get_peft_model_state_dict(model)


def load(source, classes, adapter):
    """The tuned model with the adapters merged in, and its tokenizer."""
    model, tokenizer = adapted(source, classes)
    set_peft_model_state_dict(model, adapter)
    return model.merge_and_unload().to(runtime.device()), tokenizer


@torch.inference_mode()
def read_all(model, tokenizer, texts) -> torch.Tensor:
    """Logits ``[N, C]`` of any number of texts, those of like length together."""
    model.eval()
    order = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    found = [None] * len(texts)
    for start in range(0, len(order), READ):
        part = order[start : start + READ]
        batch = tokenizer([texts[place] for place in part], return_tensors="pt", padding=True, truncation=True,
                          max_length=LONGEST)  # fmt: skip
        inputs = {name: batch[name].to(model.device) for name in ("input_ids", "attention_mask")}
        for place, row in zip(part, model(**inputs).logits.float().cpu()):
            found[place] = row
    return torch.stack(found)
