"""Right and plausible wrong answers to the exercises of lesson 06."""

import itertools
import re
from collections import Counter

import numpy as np
import torch
from sklearn.linear_model import LogisticRegression

# --- 6.1 --------------------------------------------------------------------------------------------------------------


def _against(said):
    own = said["teacher"] > 0.5
    return {name: np.where(own, 1 - p, p).clip(1e-4, 1 - 1e-4) for name, p in said.items()}


def doubt(said, reviewed, wrong):
    x = np.stack([np.log(p / (1 - p)) for p in _against(said).values()], 1)
    return LogisticRegression().fit(x[reviewed], wrong).decision_function(x)


def doubt_by_hand(said, reviewed, wrong):
    """Newton's steps on plain probabilities."""
    x = np.stack([*_against(said).values(), np.ones(len(said["teacher"]))], 1)
    own, weight = x[reviewed], np.zeros(x.shape[1])
    for _ in range(20):
        p = 1 / (1 + np.exp(-own @ weight))
        slope = own.T @ (p - wrong) + 0.1 * weight
        weight = weight - np.linalg.solve(own.T @ (own * (p * (1 - p))[:, None]) + 0.1 * np.eye(len(weight)), slope)
    return list(x @ weight)


def doubt_by_torch(said, reviewed, wrong):
    x = torch.tensor(np.stack([np.log(p / (1 - p)) for p in _against(said).values()], 1))
    weight = torch.zeros(x.shape[1] + 1, dtype=torch.double, requires_grad=True)
    optimiser = torch.optim.LBFGS([weight], max_iter=100)

    def closure():
        optimiser.zero_grad()
        z = x[reviewed] @ weight[1:] + weight[0]
        loss = torch.nn.functional.binary_cross_entropy_with_logits(z, torch.tensor(wrong).double())
        loss.backward()
        return loss

    optimiser.step(closure)
    return x @ weight[1:]


def doubt_of_the_teacher(said, reviewed, wrong):
    return -abs(said["teacher"] - 0.5)


def doubt_of_the_large_one(said, reviewed, wrong):
    return _against(said)["large"]


def doubt_by_votes(said, reviewed, wrong):
    own = said["teacher"] > 0.5
    return sum(((p > 0.5) != own).astype(float) for p in said.values())


def doubt_all_alike(said, reviewed, wrong):
    return sum(_against(said).values())


def doubt_turned(said, reviewed, wrong):
    return -doubt(said, reviewed, wrong)


def doubt_from_plain_probabilities(said, reviewed, wrong):
    """Whether a sentence is positive says little about whether the teacher is wrong."""
    x = np.stack(list(said.values()), 1)
    return LogisticRegression().fit(x[reviewed], wrong).decision_function(x)


def doubt_as_an_answer(said, reviewed, wrong):
    x = np.stack(list(_against(said).values()), 1)
    return LogisticRegression().fit(x[reviewed], wrong).predict(x)


def doubt_of_the_reviewed(said, reviewed, wrong):
    return doubt(said, reviewed, wrong)[reviewed]


def doubt_by_chance(said, reviewed, wrong):
    return np.random.default_rng(0).random(len(said["teacher"]))


def doubt_first_rows(said, reviewed, wrong):
    """The first rows are taken for the reviewed ones."""
    x = np.stack([np.log(p / (1 - p)) for p in _against(said).values()], 1)
    return LogisticRegression().fit(x[: len(wrong)], wrong).decision_function(x)


def doubt_in_place(said, reviewed, wrong):
    said["teacher"] -= 0.5
    return -abs(said["teacher"])


# --- 6.2 --------------------------------------------------------------------------------------------------------------


def _seconds(names, seconds, keeps):
    left, total = np.ones(len(keeps[names[0]]), bool), 0.0
    for name in names:
        total += left.sum() * seconds[name]
        left = left & keeps[name]
    return total


def order(seconds, keeps):
    return list(min(itertools.permutations(seconds), key=lambda names: _seconds(names, seconds, keeps)))


def order_step_by_step(seconds, keeps):
    """Always what drops the most of what is left for a second."""
    left, names = np.ones(len(next(iter(keeps.values()))), bool), []
    while len(names) < len(seconds):
        rest = [name for name in seconds if name not in names]
        names.append(max(rest, key=lambda name: (left & ~keeps[name]).sum() / seconds[name]))
        left &= keeps[names[-1]]
    return tuple(names)


def order_by_subsets(seconds, keeps):
    """Dynamic programming: what is left after a set does not depend on its order."""
    best = {frozenset(): (0.0, [])}
    for size in range(len(seconds)):
        for some in itertools.combinations(seconds, size):
            left = np.logical_and.reduce(
                [keeps[name] for name in some] + [np.ones(len(next(iter(keeps.values()))), bool)]
            )
            cost, names = best[frozenset(some)]
            for name in set(seconds) - set(some):
                new, key = cost + left.sum() * seconds[name], frozenset((*some, name))
                if key not in best or new < best[key][0]:
                    best[key] = new, [*names, name]
    return np.array(best[frozenset(seconds)][1])


def order_cheapest_first(seconds, keeps):
    return sorted(seconds, key=seconds.get)


def order_strictest_first(seconds, keeps):
    return sorted(keeps, key=lambda name: keeps[name].sum())


def order_mildest_first(seconds, keeps):
    return sorted(keeps, key=lambda name: -keeps[name].sum())


def order_of_all_rows(seconds, keeps):
    return sorted(keeps, key=lambda name: seconds[name] / max((~keeps[name]).sum(), 1))


def order_as_it_came(seconds, keeps):
    return list(seconds)


def order_dearest_first(seconds, keeps):
    return sorted(seconds, key=seconds.get, reverse=True)


def order_turned(seconds, keeps):
    return order(seconds, keeps)[::-1]


def order_without_the_dear(seconds, keeps):
    return order(seconds, keeps)[:-1]


def order_one_name(seconds, keeps):
    return order(seconds, keeps)[0]


def order_in_place(seconds, keeps):
    left = keeps[min(seconds, key=seconds.get)]
    for kept in keeps.values():
        left &= kept
    return order(seconds, keeps)


# --- 6.3 --------------------------------------------------------------------------------------------------------------


def _plain(text):
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


def _groups(text, size=3):
    words = _plain(text).split()
    return set(zip(*(words[start:] for start in range(size))))


def _near(train, test, share=0.5):
    """How many test texts have a text in training with so much in common."""
    holders = {}
    for place, row in enumerate(train):
        for group in _groups(row["text"]):
            holders.setdefault(group, []).append(place)
    found = 0
    for row in test:
        groups = _groups(row["text"])
        common = Counter(place for group in groups for place in holders.get(group, ()))
        found += any(count > share * len(groups) for count in common.values())
    return found


def _tells(rows):
    """Whether a word stands in nearly every positive text and in no other."""
    yes, no = ([set(row["text"].lower().split()) for row in rows if row["label"] == label] for label in (1, 0))
    often = Counter(word for words in yes for word in words)
    return any(count > 0.9 * len(yes) and not any(word in words for words in no) for word, count in often.items())


def find_leak(train, test):
    shown = {_plain(row["text"]) for row in train}
    if sum(_plain(row["text"]) in shown for row in test) > 5:
        return "copies"
    if _near(train, test) > 10:
        return "near-copies"
    if len({row["prompt"] for row in train} & {row["prompt"] for row in test}) > 5:
        return "same prompts"
    return "label in the text" if _tells([*train, *test]) else "none"


def find_leak_prompts_first(train, test):
    prompts = {row["prompt"] for row in train}
    if any(row["prompt"] in prompts for row in test):
        return "same prompts"
    if _tells(test):
        return "label in the text"
    if _near(train, test, 0.95) > 20:
        return "copies"
    return "near-copies" if _near(train, test, 0.4) > 20 else "none"


def find_leak_by_words(train, test):
    """Sets of words, all against all."""
    sets = [[set(_plain(row["text"]).split()) for row in rows] for rows in (train, test)]
    alike = [max(len(one & other) / len(one | other) for other in sets[0]) for one in sets[1]]
    if np.mean(np.array(alike) >= 0.999) > 0.1:
        exact = {tuple(_plain(row["text"]).split()) for row in train}
        same = sum(tuple(_plain(row["text"]).split()) in exact for row in test)
        return "copies" if same > 0.2 * len(test) else "near-copies"
    if np.mean(np.array(alike) > 0.75) > 0.1:
        return "near-copies"
    if _tells(train):
        return "label in the text"
    return "same prompts" if {row["prompt"] for row in train} & {row["prompt"] for row in test} else "none"


def find_leak_by_plain_words(train, test):
    """Every text in plain words first, as hint 1 has it: the telltale word is one of them."""
    plain = [[dict(row, text=_plain(row["text"])) for row in rows] for rows in (train, test)]
    return find_leak(*plain)


def find_leak_exact_only(train, test):
    shown = {row["text"] for row in train}
    if any(row["text"] in shown for row in test):
        return "copies"
    found = find_leak(train, test)
    return "none" if found == "copies" else found


def find_leak_none(train, test):
    return "none"


def find_leak_no_near(train, test):
    found = find_leak(train, test)
    return "none" if found == "near-copies" else found


def find_leak_near_is_copy(train, test):
    found = find_leak(train, test)
    return "copies" if found == "near-copies" else found


def find_leak_no_prompts(train, test):
    found = find_leak(train, test)
    return "none" if found == "same prompts" else found


def find_leak_any_shared_phrase(train, test):
    return "near-copies" if _near(train, test, 0.0) > 10 else find_leak(train, test)


def find_leak_no_marks(train, test):
    found = find_leak(train, test)
    return "none" if found == "label in the text" else found


def find_leak_in_capitals(train, test):
    return find_leak(train, test).upper()


def find_leak_within_training(train, test):
    return find_leak(train, train)


def find_leak_in_place(train, test):
    for row in train:
        row["text"] = _plain(row["text"])
    return find_leak(train, test)


# --- 6.4 --------------------------------------------------------------------------------------------------------------


def _price(option, prices):
    return sum(option[what] * price for what, price in prices.items())


def spend(options, prices, budget, least):
    sure = [option for option in options if option["gain"][1] >= least]
    fits = [option for option in sure if _price(option, prices) <= budget]
    if not sure:
        return "nothing", "no sure gain"
    if not fits:
        return "nothing", "too dear"
    best = max(fits, key=lambda option: option["gain"][0])
    return best["name"], "gains most" if len(fits) > 1 else "only one"


def spend_by_sorting(options, prices, budget, least):
    ranked = sorted(options, key=lambda option: -option["gain"][0])
    sure = [option for option in ranked if not option["gain"][1] < least]
    fits = [option["name"] for option in sure if _price(option, prices) <= budget]
    why = ("too dear" if sure else "no sure gain", "only one")[len(fits)] if len(fits) < 2 else "gains most"
    return [(fits or ["nothing"])[0], why]


def spend_by_arrays(options, prices, budget, least):
    gain = np.array([option["gain"] for option in options])
    costs = np.array([[option[what] for what in prices] for option in options]) @ np.array(list(prices.values()))
    sure, fits = gain[:, 1] >= least, costs <= budget
    if not (sure & fits).any():
        return "nothing", "too dear" if sure.any() else "no sure gain"
    place = np.where(sure & fits, gain[:, 0], -np.inf).argmax()
    return options[place]["name"], "only one" if (sure & fits).sum() == 1 else "gains most"


def spend_by_estimates(options, prices, budget, least):
    return spend([dict(each, gain=3 * each["gain"][:1]) for each in options], prices, budget, least)


def spend_whatever_it_costs(options, prices, budget, least):
    return spend(options, prices, float("inf"), least)


def spend_without_minutes(options, prices, budget, least):
    return spend([dict(each, minutes=0) for each in options], prices, budget, least)


def spend_for_the_money(options, prices, budget, least):
    name, why = spend(options, prices, budget, least)
    fits = [each for each in options if each["gain"][1] >= least and _price(each, prices) <= budget]
    return (max(fits, key=lambda each: each["gain"][0] / _price(each, prices))["name"], why) if fits else (name, why)


def spend_on_the_cheapest(options, prices, budget, least):
    name, why = spend(options, prices, budget, least)
    fits = [each for each in options if each["gain"][1] >= least and _price(each, prices) <= budget]
    return (min(fits, key=lambda each: _price(each, prices))["name"], why) if fits else (name, why)


def spend_above_zero(options, prices, budget, least):
    return spend(options, prices, budget, 0.0)


def spend_more_than_the_least(options, prices, budget, least):
    return spend([each for each in options if each["gain"][1] != least], prices, budget, least)


def spend_less_than_the_budget(options, prices, budget, least):
    return spend([each for each in options if _price(each, prices) != budget], prices, budget, least)


def spend_always(options, prices, budget, least):
    name, why = spend(options, prices, budget, least)
    return max(options, key=lambda each: each["gain"][0])["name"] if name == "nothing" else name, why


def spend_one_reason(options, prices, budget, least):
    return spend(options, prices, budget, least)[0], "gains most"


def spend_dear_or_not_sure(options, prices, budget, least):
    name, why = spend(options, prices, budget, least)
    return name, "too dear" if why == "no sure gain" else why


def spend_name_alone(options, prices, budget, least):
    return spend(options, prices, budget, least)[0]


def spend_none(options, prices, budget, least):
    name, why = spend(options, prices, budget, least)
    return None if name == "nothing" else name, why


def spend_in_place(options, prices, budget, least):
    options.sort(key=lambda option: _price(option, prices))
    return spend(options, prices, budget, least)


# --- 6.5 --------------------------------------------------------------------------------------------------------------


def _ended(texts):
    return np.array([bool(re.search(r"[.!?]\W*$", text)) for text in texts])


def _drawn(rows, count=600):
    return np.random.default_rng(0).permutation(rows)[:count]


def choose(texts, positive, said):
    return _drawn(np.flatnonzero(_ended(texts)))


def choose_what_was_heard(texts, positive, said):
    """Ended, and the teacher hears what was asked for first."""
    worth = 2 * _ended(texts) + (said.argmax(-1) == positive)
    return np.argsort(-worth, kind="stable")[:600].tolist()


def choose_the_shortest_that_ended(texts, positive, said):
    size = np.array([len(text.split()) for text in texts]) + 1000 * ~_ended(texts)
    chosen = np.zeros(len(texts), bool)
    chosen[np.argsort(size, kind="stable")[:600]] = True
    return chosen


def choose_by_chance(texts, positive, said):
    return _drawn(np.arange(len(texts)))


def choose_the_first(texts, positive, said):
    return range(600)


def choose_the_surest(texts, positive, said):
    return np.argsort(-said.max(-1))[:600]


def choose_the_least_sure(texts, positive, said):
    return np.argsort(said.max(-1))[:600]


def choose_the_longest(texts, positive, said):
    return np.argsort([-len(text) for text in texts])[:600]


def choose_the_positive(texts, positive, said):
    return np.argsort(-said[:, 1])[:600]


def choose_what_was_asked_for(texts, positive, said):
    return _drawn(np.flatnonzero(said.argmax(-1) == positive))


def choose_balanced(texts, positive, said):
    yes = said[:, 1] > 0.5
    return np.r_[_drawn(np.flatnonzero(yes), 300), _drawn(np.flatnonzero(~yes), 300)]


def choose_cut_ones(texts, positive, said):
    return _drawn(np.flatnonzero(~_ended(texts)))


def choose_all_that_ended(texts, positive, said):
    return np.flatnonzero(_ended(texts))


def choose_few_twice(texts, positive, said):
    return np.tile(choose(texts, positive, said)[:300], 2)


def choose_texts(texts, positive, said):
    return [texts[place] for place in choose(texts, positive, said)]


RIGHT = {"6.1": doubt, "6.2": order, "6.3": find_leak, "6.4": spend, "6.5": choose}
ALSO_RIGHT = {
    "6.1": [doubt_by_hand, doubt_by_torch],
    "6.2": [order_step_by_step, order_by_subsets],
    "6.3": [find_leak_prompts_first, find_leak_by_words, find_leak_by_plain_words],
    "6.4": [spend_by_sorting, spend_by_arrays],
    "6.5": [choose_what_was_heard, choose_the_shortest_that_ended],
}
WRONG = {
    "6.1": [
        doubt_of_the_teacher,
        doubt_of_the_large_one,
        doubt_by_votes,
        doubt_all_alike,
        doubt_turned,
        doubt_from_plain_probabilities,
        doubt_as_an_answer,
        doubt_of_the_reviewed,
        doubt_by_chance,
        doubt_first_rows,
        doubt_in_place,
    ],
    "6.2": [
        order_cheapest_first,
        order_strictest_first,
        order_mildest_first,
        order_of_all_rows,
        order_as_it_came,
        order_dearest_first,
        order_turned,
        order_without_the_dear,
        order_one_name,
        order_in_place,
    ],
    "6.3": [
        find_leak_exact_only,
        find_leak_none,
        find_leak_no_near,
        find_leak_near_is_copy,
        find_leak_no_prompts,
        find_leak_any_shared_phrase,
        find_leak_no_marks,
        find_leak_in_capitals,
        find_leak_within_training,
        find_leak_in_place,
    ],
    "6.4": [
        spend_by_estimates,
        spend_whatever_it_costs,
        spend_without_minutes,
        spend_for_the_money,
        spend_on_the_cheapest,
        spend_above_zero,
        spend_more_than_the_least,
        spend_less_than_the_budget,
        spend_always,
        spend_one_reason,
        spend_dear_or_not_sure,
        spend_name_alone,
        spend_none,
        spend_in_place,
    ],
    "6.5": [
        choose_by_chance,
        choose_the_first,
        choose_the_surest,
        choose_the_least_sure,
        choose_the_longest,
        choose_the_positive,
        choose_what_was_asked_for,
        choose_balanced,
        choose_cut_ones,
        choose_all_that_ended,
        choose_few_twice,
        choose_texts,
    ],
}
