"""Texts as token ids: prompts through the chat template, examples with labels on the response only, batches."""

from transformers import DataCollatorForSeq2Seq


def prompt_ids(tokenizer, prompt):
    """A prompt as the model expects it: token ids of the user's turn and the opening of the assistant's."""
    message = [{"role": "user", "content": prompt}]
    return tokenizer.apply_chat_template(message, add_generation_prompt=True, return_dict=False)


def encode(tokenizer, rows, max_response=32):
    """Rows as token ids: a list of dicts of input_ids and labels, which are -100 on the prompt; a row's id is kept.

    Args:
        max_response: response tokens kept. A response that ended by itself within them ends in the end-of-turn token.
    Raises:
        ValueError: a row has no response.
    """
    examples = []
    for row in rows:
        prompt = prompt_ids(tokenizer, row["prompt"])
        response = tokenizer(row["response"], add_special_tokens=False)["input_ids"]
        response = (response + [tokenizer.eos_token_id] * row["finished"])[:max_response]
        if not response:
            raise ValueError(f"the row of prompt {row['prompt']!r} has no response: leave it out")
        kept = {"id": row["id"]} if "id" in row else {}
        examples.append(kept | {"input_ids": prompt + response, "labels": [-100] * len(prompt) + response})
    return examples


def collator(tokenizer):
    """Makes a batch of encoded examples: pads input_ids on the right, attention_mask with 0, labels with -100."""
    pad = DataCollatorForSeq2Seq(tokenizer)
    return lambda rows: pad([{name: row[name] for name in ("input_ids", "labels")} for row in rows])
