"""Right and plausible wrong answers to the exercises of lesson 05."""

import numpy as np
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


def top_p_in_place(p, mass):
    values, order = p.sort(descending=True)
    p[order[values.cumsum(0) - values >= mass - 1e-7]] = 0.0
    return p / p.sum()


def top_p_in_the_given_order(p, mass):
    kept = torch.where(p.cumsum(0) - p < mass - 1e-7, p, 0.0)
    return kept / kept.sum()


def top_p_softmax_again(p, mass):
    return torch.where(top_p(p, mass) > 0, p, -torch.inf).softmax(-1)


def top_p_as_top_k(p, mass):
    kept = torch.where(p >= p.topk(max(1, round(mass * len(p)))).values[-1], p, 0.0)
    return kept / kept.sum()


def top_p_all_ties(p, mass):
    kept = torch.where(p >= p[top_p(p, mass) > 0].min(), p, 0.0)
    return kept / kept.sum()


def top_p_keeps_the_least(p, mass):
    values, order = p.sort()
    kept = torch.where(values.cumsum(0) - values < mass - 1e-7, values, 0.0)
    return torch.zeros_like(p).scatter(0, order, kept / kept.sum())


def top_p_by_numpy(p, mass):
    p = np.asarray(p, dtype=float)
    order = np.argsort(-p)
    kept = order[: np.searchsorted(np.cumsum(p[order]), mass - 1e-6) + 1]
    out = np.zeros_like(p)
    out[kept] = p[kept] / p[kept].sum()
    return out


def top_p_in_a_list(p, mass):
    return tuple(top_p_with_a_loop(p, mass).tolist())


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


def example_grows_the_prompt(prompt, response, finished, length, eos, pad):
    labels = [-100] * len(prompt) + response + [eos] * finished
    prompt += response + [eos] * finished
    free = length - len(prompt)
    return prompt + [pad] * free, [1] * len(prompt) + [0] * free, labels + [-100] * free


def example_appends_in_place(prompt, response, finished, length, eos, pad):
    if finished:
        response.append(eos)
    return make_example(prompt, response, False, length, eos, pad)


def example_floats(prompt, response, finished, length, eos, pad):
    return torch.tensor(make_example(prompt, response, finished, length, eos, pad)).float().unbind()


def example_pads_on_the_left(prompt, response, finished, length, eos, pad):
    ids, mask, labels = make_example(prompt, response, finished, length, eos, pad)
    used = sum(mask)
    return tuple(part[used:] + part[:used] for part in (ids, mask, labels))


def example_learns_nothing(prompt, response, finished, length, eos, pad):
    ids, mask, _ = make_example(prompt, response, finished, length, eos, pad)
    return ids, mask, [-100] * length


def example_ends_after_the_padding(prompt, response, finished, length, eos, pad):
    ids, mask, labels = make_example(prompt, response, False, length - finished, eos, pad)
    return ids + [eos] * finished, mask + [1] * finished, labels + [eos] * finished


def example_mask_sees_all(prompt, response, finished, length, eos, pad):
    ids, _, labels = make_example(prompt, response, finished, length, eos, pad)
    return ids, [1] * length, labels


def example_drops_ends_in_the_text(prompt, response, finished, length, eos, pad):
    ids, mask, labels = make_example(prompt, response, finished, length, eos, pad)
    used = sum(mask)
    return ids, mask, [-100 if label == eos and i != used - 1 else label for i, label in enumerate(labels)]


def example_in_tensors(prompt, response, finished, length, eos, pad):
    return torch.tensor(make_example(prompt, response, finished, length, eos, pad))


def example_one_by_one(prompt, response, finished, length, eos, pad):
    ids = np.full(length, pad)
    labels, mask = np.full(length, -100), np.zeros(length, dtype=bool)
    for place, token in enumerate([*prompt, *response, eos][: len(prompt) + len(response) + finished]):
        ids[place], mask[place] = token, True
        if place >= len(prompt):
            labels[place] = token
    return ids, mask, labels


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


def pad_float_ids(rows, pad):
    ids, mask, positions = left_pad(rows, pad)
    return ids.float(), mask, positions


def pad_float_positions(rows, pad):
    ids, mask, positions = left_pad(rows, pad)
    return ids, mask, positions.float()


def pad_in_place(rows, pad):
    lengths, width = [len(row) for row in rows], max(map(len, rows))
    for row in rows:
        while len(row) < width:
            row.insert(0, pad)
    mask = torch.arange(width)[None] >= width - torch.tensor(lengths)[:, None]
    return torch.tensor(rows), mask.long(), (mask.cumsum(-1) - 1).clamp(min=0)


def pad_cuts_the_rows(rows, pad):
    width = min(len(row) for row in rows)
    return left_pad([row[-width:] for row in rows], pad)


def pad_positions_from_the_right(rows, pad):
    ids, mask, positions = left_pad(rows, pad)
    return ids, mask, positions.flip(-1) * mask


def pad_reversed_rows(rows, pad):
    return left_pad([row[::-1] for row in rows], pad)


def left_pad_by_numpy(rows, pad):
    lengths = np.array([len(row) for row in rows])
    columns = np.arange(lengths.max())
    mask = columns >= (lengths.max() - lengths)[:, None]
    ids = np.full(mask.shape, pad)
    ids[mask] = np.concatenate([np.array(row) for row in rows])
    return ids, mask, columns - (lengths.max() - lengths)[:, None]


def left_pad_row_by_row(rows, pad):
    width = max(map(len, rows))
    for make in (
        lambda row: [pad] * (width - len(row)) + row,
        lambda row: [0] * (width - len(row)) + [1] * len(row),
        lambda row: [0] * (width - len(row)) + list(range(len(row))),
    ):
        yield torch.tensor([make(row) for row in rows])


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


def distinct_glued(texts, n):
    grams = ["".join(map(str, text[i : i + n])) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)


def distinct_in_any_order(texts, n):
    grams = [tuple(sorted(text[i : i + n])) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)


def distinct_by_sums(texts, n):
    grams = [sum(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return len(set(grams)) / len(grams)


def distinct_side_by_side(texts, n):
    grams = [tuple(text[i : i + n]) for text in texts for i in range(0, len(text) - n + 1, n)]
    return len(set(grams)) / len(grams)


def distinct_joined_in_place(texts, n):
    answer = distinct(texts, n)
    for text in texts[1:]:
        texts[0] += text
    return answer


def distinct_once_only(texts, n):
    grams = [tuple(text[i : i + n]) for text in texts for i in range(len(text) - n + 1)]
    return sum(grams.count(gram) == 1 for gram in grams) / len(grams)


def distinct_of_the_first(texts, n):
    return distinct(texts[:1], n)


def distinct_with_a_separator(texts, n):
    grams = [" ".join(map(str, text[i : i + n])) for text in texts for i in range(len(text) - n + 1)]
    return np.unique(grams).size / np.float64(len(grams))


def distinct_in_a_loop(texts, n):
    seen, count = [], 0
    for text in texts:
        for i in range(len(text) - n + 1):
            count += 1
            if text[i : i + n] not in seen:
                seen.append(text[i : i + n])
    return len(seen) / count


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


def merge_in_place(weight, down, up, alpha):
    weight += alpha / len(down) * up @ down
    return weight


def merge_over_the_outputs(weight, down, up, alpha):
    return weight + alpha / len(up) * up @ down


def merge_over_the_inputs(weight, down, up, alpha):
    return weight + alpha / down.shape[1] * up @ down


def merge_transposed_adapter(weight, down, up, alpha):
    return weight + (alpha / len(down) * up @ down).flip(0)


def merge_without_alpha(weight, down, up, alpha):
    return weight + up @ down / len(down)


def merge_subtracts(weight, down, up, alpha):
    return weight - alpha / len(down) * up @ down


def merge_scales_everything(weight, down, up, alpha):
    return alpha / len(down) * (weight + up @ down)


def merge_by_numpy(weight, down, up, alpha):
    return np.asarray(weight) + alpha / len(down) * np.asarray(up) @ np.asarray(down)


def merge_rank_by_rank(weight, down, up, alpha):
    total = weight.clone()
    for row, column in zip(down, up.T):
        total += alpha / len(down) * torch.outer(column, row)
    return total


RIGHT = {"5.1": top_p, "5.2": make_example, "5.3": left_pad, "5.4": distinct, "5.5": merge}
ALSO_RIGHT = {
    "5.1": [top_p_by_numpy, top_p_in_a_list, top_p_with_a_loop],
    "5.3": [left_pad_by_numpy, left_pad_row_by_row, left_pad_lists],
    "5.4": [distinct_with_a_separator, distinct_in_a_loop, distinct_with_zip],
    "5.5": [merge_by_numpy, merge_rank_by_rank, merge_with_einsum],
    "5.2": [example_in_tensors, example_one_by_one],
}
WRONG = {
    "5.1": [
        top_p_in_place,
        top_p_in_the_given_order,
        top_p_softmax_again,
        top_p_as_top_k,
        top_p_all_ties,
        top_p_keeps_the_least,
        top_p_one_too_few,
        top_p_one_too_many,
        top_p_not_scaled,
        top_p_left_sorted,
        top_p_as_threshold,
    ],
    "5.2": [
        example_grows_the_prompt,
        example_appends_in_place,
        example_floats,
        example_pads_on_the_left,
        example_learns_nothing,
        example_ends_after_the_padding,
        example_mask_sees_all,
        example_drops_ends_in_the_text,
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
        pad_float_ids,
        pad_float_positions,
        pad_in_place,
        pad_cuts_the_rows,
        pad_positions_from_the_right,
        pad_reversed_rows,
        right_pad,
        pad_mask_by_number,
        pad_mask_from_first_other_number,
        pad_always_zero,
        pad_positions_of_columns,
        pad_positions_from_one,
        pad_two_only,
    ],
    "5.4": [
        distinct_glued,
        distinct_in_any_order,
        distinct_by_sums,
        distinct_side_by_side,
        distinct_joined_in_place,
        distinct_once_only,
        distinct_of_the_first,
        distinct_mean_over_texts,
        distinct_joined,
        distinct_over_tokens,
        distinct_count,
        distinct_short_grams,
    ],
    "5.5": [
        merge_in_place,
        merge_over_the_outputs,
        merge_over_the_inputs,
        merge_transposed_adapter,
        merge_without_alpha,
        merge_subtracts,
        merge_scales_everything,
        merge_without_rank,
        merge_without_scale,
        merge_adapter_only,
        merge_turned_round,
        merge_root,
    ],
}
