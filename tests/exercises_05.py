"""Right and plausible wrong answers to the exercises of lesson 05."""

import torch

# --- 5.1 -------------------------------------------------------------------------------------------------------------


def top_p(p, mass):
    values, order = p.sort(descending=True)
    before = values.cumsum(0) - values
    kept = torch.where(before < mass - 1e-7, values, 0.0)
    return torch.zeros_like(p).scatter(0, order, kept / kept.sum())


def top_p_with_a_loop(p, mass):
    kept, total = torch.zeros_like(p), 0.0
    for token in p.argsort(descending=True):
        kept[token] = p[token]
        total += p[token].item()
        if total >= mass - 1e-7:
            break
    return kept / kept.sum()


def top_p_one_too_few(p, mass):
    values, order = p.sort(descending=True)
    kept = torch.where(values.cumsum(0) <= mass, values, 0.0)
    return torch.zeros_like(p).scatter(0, order, kept / kept.sum().clamp(min=1e-9))


def top_p_not_scaled(p, mass):
    values, order = p.sort(descending=True)
    return torch.zeros_like(p).scatter(0, order, torch.where(values.cumsum(0) - values < mass, values, 0.0))


def top_p_left_sorted(p, mass):
    values = p.sort(descending=True).values
    kept = torch.where(values.cumsum(0) - values < mass - 1e-7, values, 0.0)
    return kept / kept.sum()


def top_p_one_too_many(p, mass):
    values, order = p.sort(descending=True)
    kept = torch.where(values.cumsum(0) - values <= mass, values, 0.0)
    return torch.zeros_like(p).scatter(0, order, kept / kept.sum())


def top_p_as_threshold(p, mass):
    kept = torch.where(p >= (1 - mass) * p.max(), p, 0.0)
    return kept / kept.sum()


# --- 5.2 -------------------------------------------------------------------------------------------------------------


def make_example(prompt, response, finished, length, eos, pad):
    answer = response + [eos] * finished
    free = length - len(prompt) - len(answer)
    ids = prompt + answer + [pad] * free
    mask = [1] * (length - free) + [0] * free
    return ids, mask, [-100] * len(prompt) + answer + [-100] * free


def example_masks_by_number(prompt, response, finished, length, eos, pad):
    ids, mask, labels = make_example(prompt, response, finished, length, eos, pad)
    return ids, mask, [-100 if label == pad else label for label in labels]


def example_always_ends(prompt, response, finished, length, eos, pad):
    return make_example(prompt, response, True, length, eos, pad)


def example_never_ends(prompt, response, finished, length, eos, pad):
    return make_example(prompt, response, False, length, eos, pad)


def example_learns_padding(prompt, response, finished, length, eos, pad):
    ids, mask, _ = make_example(prompt, response, finished, length, eos, pad)
    return ids, mask, [-100] * len(prompt) + ids[len(prompt) :]


def example_learns_prompt(prompt, response, finished, length, eos, pad):
    ids, mask, labels = make_example(prompt, response, finished, length, eos, pad)
    return ids, mask, prompt + labels[len(prompt) :]


def example_shifts(prompt, response, finished, length, eos, pad):
    ids, mask, labels = make_example(prompt, response, finished, length, eos, pad)
    return ids, mask, labels[1:] + [-100]


def example_needs_padding(prompt, response, finished, length, eos, pad):
    ids, mask, labels = make_example(prompt, response, finished, length, eos, pad)
    free = length - sum(mask)
    return ids, mask, labels[:-free] + [-100] * free


def example_mask_by_number(prompt, response, finished, length, eos, pad):
    ids, _, labels = make_example(prompt, response, finished, length, eos, pad)
    return ids, [int(token != pad) for token in ids], labels


# --- 5.3 -------------------------------------------------------------------------------------------------------------


def left_pad(rows, pad):
    width = max(len(row) for row in rows)
    ids = torch.tensor([[pad] * (width - len(row)) + row for row in rows])
    mask = torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows])
    return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)


def left_pad_lists(rows, pad):
    return tuple(part.tolist() for part in left_pad(rows, pad))


def right_pad(rows, pad):
    width = max(len(row) for row in rows)
    ids = torch.tensor([row + [pad] * (width - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
    return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)


def pad_mask_by_number(rows, pad):
    ids, _, positions = left_pad(rows, pad)
    return ids, (ids != pad).long(), positions


def pad_mask_from_first_other_number(rows, pad):
    ids, _, _ = left_pad(rows, pad)
    mask = ((ids != pad).cumsum(-1) > 0).long()
    return ids, mask, (mask.cumsum(-1) - 1).clamp(min=0)


def pad_always_zero(rows, pad):
    return left_pad(rows, 0)


def pad_positions_of_columns(rows, pad):
    ids, mask, _ = left_pad(rows, pad)
    return ids, mask, torch.arange(ids.shape[1]).expand_as(ids)


def pad_positions_from_one(rows, pad):
    ids, mask, _ = left_pad(rows, pad)
    return ids, mask, mask.cumsum(-1)


def pad_two_only(rows, pad):
    return left_pad(rows, pad)[:2]


# --- 5.4 -------------------------------------------------------------------------------------------------------------


def distinct(texts, n):
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)


def distinct_with_zip(texts, n):
    grams = [gram for text in texts for gram in zip(*(text[i:] for i in range(n)))]
    return len(set(grams)) / len(grams)


def distinct_mean_over_texts(texts, n):
    shares = [distinct([text], n) for text in texts if len(text) >= n]
    return sum(shares) / len(shares)


def distinct_joined(texts, n):
    return distinct([sum(texts, [])], n)


def distinct_over_tokens(texts, n):
    grams = {tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)}
    return len(grams) / sum(len(text) for text in texts)


def distinct_count(texts, n):
    return len({tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)})


def distinct_short_grams(texts, n):
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text))]
    return len(set(grams)) / len(grams)


# --- 5.5 -------------------------------------------------------------------------------------------------------------


def merge(weight, down, up, alpha):
    return weight + alpha / len(down) * up @ down


def merge_with_einsum(weight, down, up, alpha):
    return weight + torch.einsum("or,ri->oi", up, down) * (alpha / down.shape[0])


def merge_without_rank(weight, down, up, alpha):
    return weight + alpha * up @ down


def merge_without_scale(weight, down, up, alpha):
    return weight + up @ down


def merge_adapter_only(weight, down, up, alpha):
    return alpha / len(down) * up @ down


def merge_turned_round(weight, down, up, alpha):
    return weight + alpha / len(down) * (down.T @ up.T)


def merge_root(weight, down, up, alpha):
    return weight + alpha / len(down) ** 0.5 * up @ down


RIGHT = {"5.1": top_p, "5.2": make_example, "5.3": left_pad, "5.4": distinct, "5.5": merge}
ALSO_RIGHT = {
    "5.1": [top_p_with_a_loop],
    "5.3": [left_pad_lists],
    "5.4": [distinct_with_zip],
    "5.5": [merge_with_einsum],
}
WRONG = {
    "5.1": [top_p_one_too_few, top_p_one_too_many, top_p_not_scaled, top_p_left_sorted, top_p_as_threshold],
    "5.2": [
        example_masks_by_number,
        example_always_ends,
        example_never_ends,
        example_learns_padding,
        example_learns_prompt,
        example_shifts,
        example_needs_padding,
        example_mask_by_number,
    ],
    "5.3": [
        right_pad,
        pad_mask_by_number,
        pad_mask_from_first_other_number,
        pad_always_zero,
        pad_positions_of_columns,
        pad_positions_from_one,
        pad_two_only,
    ],
    "5.4": [
        distinct_mean_over_texts,
        distinct_joined,
        distinct_over_tokens,
        distinct_count,
        distinct_short_grams,
    ],
    "5.5": [merge_without_rank, merge_without_scale, merge_adapter_only, merge_turned_round, merge_root],
}
