"""Text from a language model, in batches."""

import torch
from transformers import set_seed

from distill_lessons.pairs import smollm


@torch.inference_mode()
def generate(
    model, tokenizer, prompts, max_new_tokens=32, temperature=0.0, top_k=0, seed=0, batch_size=64, min_new_tokens=0
):
    """The model's answers to prompts: a list of (text, finished), in the prompts' order.

    Args:
        temperature: 0 takes the likeliest token each time; otherwise samples from softmax(logits / temperature).
        top_k: sample from that many likeliest tokens only; 0 from all.
        seed: fixes the sampling.
        max_new_tokens, min_new_tokens: an answer is cut at the one and cannot end before the other.
    `finished` is False where the answer was cut at `max_new_tokens`.
    """
    set_seed(seed)
    how = (
        {"do_sample": True, "temperature": temperature, "top_k": top_k, "top_p": 1.0}
        if temperature
        else {"do_sample": False}
    )
    answers = []
    was_training = model.training
    model.eval()
    for start in range(0, len(prompts), batch_size):
        ids = [smollm.prompt_ids(tokenizer, prompt) for prompt in prompts[start : start + batch_size]]
        batch = tokenizer.pad({"input_ids": ids}, padding_side="left", return_tensors="pt").to(model.device)
        made = model.generate(
            **batch,
            max_new_tokens=max_new_tokens,
            min_new_tokens=min_new_tokens,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=tokenizer.eos_token_id,
            **how,
        )
        for tokens in made[:, batch.input_ids.shape[1] :].tolist():
            finished = tokenizer.eos_token_id in tokens
            if finished:
                tokens = tokens[: tokens.index(tokenizer.eos_token_id)]
            answers.append((tokenizer.decode(tokens, skip_special_tokens=True), finished))
    model.train(was_training)
    return answers
