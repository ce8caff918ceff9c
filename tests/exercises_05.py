"""Right and plausible wrong answers to the exercises of lesson 05."""

import numpy as np
import torch
import torch.nn.functional as F

# --- 5.1 -------------------------------------------------------------------------------------------------------------


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


def example_forgets_the_end(prompt, response, finished, length, eos, pad):
    free = length - len(prompt) - len(response)
    labels = [-100] * len(prompt) + response + [-100] * free
    return prompt + response + [pad] * free, [1] * (length - free) + [0] * free, labels


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


# --- 5.2 -------------------------------------------------------------------------------------------------------------


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


# --- 5.3 -------------------------------------------------------------------------------------------------------------


def diagnose(log):
    last = {name: readings[-1] for name, readings in log.items()}
    if last["held out"] > log["held out"][0]:
        return "not shifted"
    if last["ended"] < 0.2:
        return "end masked"
    return "prompt learned" if last["ended"] < 0.75 else "sound"


def diagnose_in_another_order(log):
    if log["ended"][-1] > 0.75:
        return "sound"
    if log["loss"][-1] < 0.3:
        return "not shifted"
    return "prompt learned" if log["ended"][-1] > 0.3 else "end masked"


def diagnose_in_one_table(log):
    ended = np.asarray(log["ended"])[-1]
    words = np.array(["end masked", "prompt learned", "sound"])
    return "not shifted" if log["loss"][-1] < 0.3 else str(words[np.digitize(ended, [0.3, 0.75])])


def diagnose_by_least_loss(log):
    return "sound" if log["loss"][-1] < 1 else diagnose(log)


def diagnose_always_sound(log):
    return "sound"


def diagnose_without_ends(log):
    return "not shifted" if log["held out"][-1] > log["held out"][0] else "sound"


def diagnose_first_readings(log):
    return diagnose({name: readings[:1] for name, readings in log.items()})


def diagnose_swaps_prompt_and_end(log):
    return {"end masked": "prompt learned", "prompt learned": "end masked"}.get(diagnose(log), diagnose(log))


def diagnose_forgets_prompts(log):
    return diagnose(log).replace("prompt learned", "sound")


def diagnose_in_other_words(log):
    return diagnose(log).replace("sound", "fine")


def diagnose_in_place(log):
    answer = diagnose(log)
    log["loss"].append(0.0)
    return answer


# --- 5.4 -------------------------------------------------------------------------------------------------------------


def tokens_at(curve, goal):
    for (few, high), (many, low) in zip(curve, curve[1:]):
        if high >= goal >= low:
            return few * (many / few) ** ((high - goal) / (high - low))
    return None


def choose(curves, prices, goal):
    needed = {name: tokens_at(curve, goal) for name, curve in curves.items()}
    costs = {name: count * prices[name] for name, count in needed.items() if count is not None}
    if not costs:
        return "neither", "neither was seen there"
    return min(costs, key=costs.get), "cheaper" if len(costs) == 2 else "only one gets there"


def choose_by_numpy(curves, prices, goal):
    costs = {}
    for name, curve in curves.items():
        tokens, kl = np.array(curve).T
        if kl.min() <= goal:
            costs[name] = np.exp(np.interp(goal, kl[::-1], np.log(tokens[::-1]))) * prices[name]
    if len(costs) == 2:
        return ["text" if costs["text"] < costs["probabilities"] else "probabilities", "cheaper"]
    return (next(iter(costs)), "only one gets there") if costs else ("neither", "neither was seen there")


def choose_by_bisection(curves, prices, goal):
    def cost(name):
        tokens, kl = (np.array(each) for each in zip(*curves[name]))
        low, high = np.log(tokens[0]), np.log(tokens[-1])
        for _ in range(60):
            middle = (low + high) / 2
            low, high = (middle, high) if np.interp(middle, np.log(tokens), kl) > goal else (low, middle)
        return np.exp(high) * prices[name]

    there = [name for name in curves if min(kl for _, kl in curves[name]) <= goal]
    if len(there) < 2:
        return (there[0], "only one gets there") if there else ("neither", "neither was seen there")
    return min(there, key=cost), "cheaper"


def choose_by_price(curves, prices, goal):
    decision, why = choose(curves, prices, goal)
    return (min(prices, key=prices.get), why) if why == "cheaper" else (decision, why)


def choose_by_tokens(curves, prices, goal):
    return choose(curves, {"text": 1, "probabilities": 1}, goal)


def choose_straight(curves, prices, goal):
    def at(curve):
        for (few, high), (many, low) in zip(curve, curve[1:]):
            if high >= goal >= low:
                return few + (many - few) * (high - goal) / (high - low)
        return None

    costs = {name: at(curve) * prices[name] for name, curve in curves.items() if at(curve) is not None}
    decision, why = choose(curves, prices, goal)
    return (min(costs, key=costs.get), why) if why == "cheaper" else (decision, why)


def choose_beyond(curves, prices, goal):
    def at(curve):
        (few, high), (many, low) = curve[-2:]
        return few * (many / few) ** ((high - goal) / (high - low))

    costs = {name: at(curve) * prices[name] for name, curve in curves.items()}
    return min(costs, key=costs.get), "cheaper"


def choose_always_probabilities(curves, prices, goal):
    return "probabilities", "cheaper"


def choose_without_neither(curves, prices, goal):
    decision, why = choose(curves, prices, goal)
    return ("text", "cheaper") if decision == "neither" else (decision, why)


def choose_the_dearer(curves, prices, goal):
    decision, why = choose(curves, prices, goal)
    return {"text": "probabilities", "probabilities": "text"}.get(decision, decision), why


def choose_without_a_reason(curves, prices, goal):
    return choose(curves, prices, goal)[0]


def choose_one_reason(curves, prices, goal):
    return choose(curves, prices, goal)[0], "cheaper"


def choose_in_place(curves, prices, goal):
    answer = choose(curves, prices, goal)
    curves["text"].reverse()
    return answer


# --- 5.5 -------------------------------------------------------------------------------------------------------------


def pairs_of(ask, prompts, temperature=1.0, whole=False, ends=True, first=True):
    pairs = []
    for prompt in prompts:
        answer = ask(prompt, temperature)
        answer = answer if ends else [token for token in answer if token != 0]
        text = [*prompt, *answer] if whole else [prompt[-1], *answer] if first else answer
        pairs += zip(text, text[1:])
    return torch.tensor(pairs)


def fitted(student, pairs, steps=150, rate=0.1):
    optimiser = torch.optim.Adam(student.parameters(), lr=rate)
    for _ in range(steps):
        loss = F.cross_entropy(student(pairs[:, 0]), pairs[:, 1])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def learn(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts))


def learn_by_counting(student, ask, prompts):
    counts = torch.full((13, 13), 0.3)
    for before, after in pairs_of(ask, prompts).tolist():
        counts[before, after] += 1
    student.weight.data = counts.log()
    return student


def learn_in_batches(student, ask, prompts):
    pairs = pairs_of(ask, prompts)
    optimiser = torch.optim.AdamW(student.parameters(), lr=0.05, weight_decay=0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, 400)
    for _ in range(400):
        rows = pairs[torch.randint(len(pairs), (512,))]
        optimiser.zero_grad()
        F.cross_entropy(student(rows[:, 0]), rows[:, 1]).backward()
        optimiser.step(), schedule.step()
    return student


def learn_cold(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts, 0.5))


def learn_greedy(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts, 0.0))


def learn_hot(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts, 2.0))


def learn_prompts_too(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts, whole=True))


def learn_without_ends(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts, ends=False))


def learn_without_the_first(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts, first=False))


def learn_the_first_after_a_wrong_token(student, ask, prompts):
    text = [[prompt[-2], *ask(prompt)] for prompt in prompts]
    return fitted(student, torch.tensor([pair for each in text for pair in zip(each, each[1:])]))


def learn_the_first_only(student, ask, prompts):
    return fitted(student, torch.tensor([(prompt[-1], ask(prompt)[0]) for prompt in prompts]))


def learn_from_few(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts[:40]))


def learn_one_prompt_again(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts[:1] * 1000))


def learn_backwards(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts).flip(1))


def learn_nothing(student, ask, prompts):
    pairs_of(ask, prompts)
    return student


def learn_three_steps(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts), steps=3, rate=0.01)


def learn_unasked(student, ask, prompts):
    return fitted(student, torch.tensor([pair for prompt in prompts for pair in zip(prompt, prompt[1:])]))


def learn_copies(student, ask, prompts):
    return fitted(student, pairs_of(ask, prompts)[:, [0, 0]])


def learn_returns_the_weights(student, ask, prompts):
    return learn(student, ask, prompts).weight


RIGHT = {"5.1": make_example, "5.2": left_pad, "5.3": diagnose, "5.4": choose, "5.5": learn}
ALSO_RIGHT = {
    "5.2": [left_pad_by_numpy, left_pad_row_by_row, left_pad_lists],
    "5.3": [diagnose_in_another_order, diagnose_in_one_table],
    "5.4": [choose_by_numpy, choose_by_bisection],
    "5.5": [learn_by_counting, learn_in_batches],
    "5.1": [example_in_tensors, example_one_by_one],
}
WRONG = {
    "5.1": [
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
        example_forgets_the_end,
        example_learns_padding,
        example_learns_prompt,
        example_shifts,
        example_needs_padding,
        example_mask_by_number,
    ],
    "5.2": [
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
    "5.3": [
        diagnose_by_least_loss,
        diagnose_always_sound,
        diagnose_without_ends,
        diagnose_first_readings,
        diagnose_swaps_prompt_and_end,
        diagnose_forgets_prompts,
        diagnose_in_other_words,
        diagnose_in_place,
    ],
    "5.4": [
        choose_by_price,
        choose_by_tokens,
        choose_straight,
        choose_beyond,
        choose_always_probabilities,
        choose_without_neither,
        choose_the_dearer,
        choose_without_a_reason,
        choose_one_reason,
        choose_in_place,
    ],
    "5.5": [
        learn_cold,
        learn_greedy,
        learn_hot,
        learn_prompts_too,
        learn_without_ends,
        learn_without_the_first,
        learn_the_first_after_a_wrong_token,
        learn_the_first_only,
        learn_from_few,
        learn_one_prompt_again,
        learn_backwards,
        learn_nothing,
        learn_three_steps,
        learn_unasked,
        learn_copies,
        learn_returns_the_weights,
    ],
}
