"""Trains the `multiplication` teachers and asks them for traces: ``python -m distill_lessons.course.experiments.multiplication_teacher``.

Writes data/multiplication: the teacher; the noisy teacher, which is the same training stopped as soon as it was right on
60% of the validation problems; what each wrote on every training problem; and card.json with how well they do.
"""

import json
import shutil

from transformers import TrainerCallback

from distill_lessons import runtime
from distill_lessons.course.experiments import on_multiplication
from distill_lessons.pairs import multiplication
from distill_lessons.teacher import generation

STEPS, BATCH, RATE, DECAY = 2000, 32, 3e-3, 0.3  # weight decay: without, it learns training problems by heart
NOISY_AT, EVERY = 0.6, 10


def accuracy(model, problems):
    """Share of problems whose response ends on the right answer."""
    return on_multiplication.accuracy(problems, on_multiplication.ask(model, problems))


class StopsOnce(TrainerCallback):
    """Keeps the weights as they were when the model was first right on a share of the validation problems."""

    def __init__(self):
        self.problems, self.weights, self.step = multiplication.problems("validation"), None, None

    def on_step_end(self, args, state, control, model=None, **rest):
        if self.weights is None and state.global_step % EVERY == 0 and accuracy(model, self.problems) >= NOISY_AT:
            self.weights = {name: value.detach().clone() for name, value in model.state_dict().items()}
            self.step = state.global_step


def save(model, folder):
    """Weights as safetensors and the configuration, replacing what was there only when both are written."""
    temporary = folder.with_name(f".{folder.name}")
    model.save_pretrained(temporary)
    (temporary / "model.safetensors").chmod(0o644)
    shutil.rmtree(folder, ignore_errors=True)
    temporary.rename(folder)


def main():
    runtime.start()
    folder = runtime.data_folder() / "multiplication"
    folder.mkdir(exist_ok=True)
    tokenizer, train = multiplication.tokenizer(), multiplication.problems("train")
    pairs, watch = [(multiplication.prompt(*p), multiplication.steps(*p)) for p in train], StopsOnce()
    model, seconds = on_multiplication.learn(
        multiplication.large(), tokenizer, pairs, STEPS, rate=RATE, batch=BATCH, callbacks=[watch], weight_decay=DECAY
    )
    if watch.weights is None:
        raise SystemExit(
            f"the teacher was never right on {NOISY_AT:.0%} of the validation problems: train it for longer"
        )
    card = {"steps": {"teacher": STEPS, "noisy": watch.step}, "seconds": round(seconds)}
    save(model, folder / "teacher")
    model.load_state_dict(watch.weights)
    save(model, folder / "noisy")
    for name in ("teacher", "noisy"):
        model = multiplication.teacher(name)
        path = folder / f"traces-{name}.parquet"
        path.unlink(missing_ok=True)
        prompts = [{"id": f"{a}*{b}", "prompt": multiplication.prompt(a, b)} for a, b in train]
        answer = generation.local(model, tokenizer, max_new_tokens=40)
        answer.about["teacher"] = f"multiplication {name}"
        generation.respond(path, answer, prompts, batch_size=512, say=print)
        right = [multiplication.is_right(a, b, row["response"]) for (a, b), row in zip(train, generation.read(path))]
        card[name] = {"test": accuracy(model, multiplication.problems("test")), "train": sum(right) / len(right)}
    with runtime.replacing(folder / "card.json") as temporary:
        temporary.write_text(json.dumps(card | {"machine": runtime.machine_stamp()}, indent=1) + "\n")
    print(json.dumps(card))


if __name__ == "__main__":
    main()
