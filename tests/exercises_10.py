"""Right and plausible wrong answers to the exercises of lesson 10."""

import itertools

import numpy as np
import torch
import torch.nn.functional as F
from scipy import stats
from sklearn.linear_model import LogisticRegression

from distill_lessons.pairs import reviews

# --- 10.1 -------------------------------------------------------------------------------------------------------------


def _odds(z):
    return (z[..., 1] - z[..., 0]).double()


def combine(z, label, source, new_z, new_source):
    """One regression of the labels on the log-odds, a source."""
    out = torch.zeros(new_z.shape[1], 2).double()
    for each in new_source.unique():
        rows, asked = source == each, new_source == each
        model = LogisticRegression().fit(_odds(z)[:, rows].T.numpy(), label[rows].numpy())
        out[asked] = torch.tensor(model.predict_proba(_odds(new_z)[:, asked].T.numpy()))
    return out


def combine_shifted(z, label, source, new_z, new_source):
    """Each teacher's log-odds through a slope and a shift of its own on each source, then added."""
    out = np.zeros((new_z.shape[1], 2))
    for each in range(4):
        rows, asked = source == each, new_source == each
        for odds, new in zip(_odds(z)[:, rows], _odds(new_z)[:, asked]):
            model = LogisticRegression(C=10.0).fit(odds[:, None].numpy(), label[rows].numpy())
            out[asked.numpy(), 1] += model.decision_function(new[:, None].numpy())
    return torch.tensor(out).softmax(-1)


def combine_by_descent(z, label, source, new_z, new_source):
    """The regressions by gradient descent, all sources at once."""
    weights = torch.zeros(4, 4, dtype=torch.double, requires_grad=True)  # [sources, teachers and a constant]
    x, new = (torch.cat([_odds(each), torch.ones_like(_odds(each)[:1])]).T for each in (z, new_z))
    optimiser = torch.optim.LBFGS([weights], max_iter=100)

    def closure():
        optimiser.zero_grad()
        loss = F.binary_cross_entropy_with_logits((x * weights[source]).sum(1), label.double())
        loss.backward()
        return loss

    optimiser.step(closure)
    said = (new * weights.detach()[new_source]).sum(1).sigmoid()
    return torch.stack([1 - said, said], 1)


def combine_best_of_the_source(z, label, source, new_z, new_source):
    p = new_z.softmax(-1)
    out = torch.empty_like(p[0])
    for each in new_source.unique():
        right = (z[:, source == each].argmax(-1) == label[source == each]).float().mean(1)
        rows = new_source == each
        out[rows] = p[right.argmax(), rows]
    return out


def combine_one_constant(z, label, source, new_z, new_source):
    """The mean of logits, shifted until it says yes as often as people do."""
    constant = -_odds(z).mean(0).quantile(1 - label.double().mean())
    return torch.stack([torch.zeros(new_z.shape[1]).double(), _odds(new_z).mean(0) + constant], 1).softmax(-1)


def combine_one_regression(z, label, source, new_z, new_source):
    model = LogisticRegression().fit(_odds(z).T.numpy(), label.numpy())
    return model.predict_proba(_odds(new_z).T.numpy())


def combine_swapped(z, label, source, new_z, new_source):
    return combine(z, label, source, new_z, new_source).flip(-1)


def combine_mean(z, label, source, new_z, new_source):
    return new_z.softmax(-1).mean(0)


def combine_logits(z, label, source, new_z, new_source):
    return new_z.log_softmax(-1).mean(0).softmax(-1)


def combine_confident(z, label, source, new_z, new_source):
    p = new_z.softmax(-1)
    weight = p.amax(-1, keepdim=True)
    return (p * weight).sum(0) / weight.sum(0)


def combine_surest(z, label, source, new_z, new_source):
    p = new_z.softmax(-1)
    return p[p.amax(-1).argmax(0), torch.arange(p.shape[1])]


def combine_best_of_all(z, label, source, new_z, new_source):
    return new_z[(z.argmax(-1) == label).float().mean(1).argmax()].softmax(-1)


def combine_majority(z, label, source, new_z, new_source):
    votes = F.one_hot(new_z.argmax(-1), 2).sum(0)
    return votes / 3


def combine_fixed_places(z, label, source, new_z, new_source):
    """The page's teachers and sources, though both come in another order."""
    p = new_z.softmax(-1)
    out = p[0].clone()
    out[new_source == 2] = p[2, new_source == 2]
    return out


def combine_worst(z, label, source, new_z, new_source):
    p = new_z.softmax(-1)
    out = torch.empty_like(p[0])
    for each in new_source.unique():
        right = (z[:, source == each].argmax(-1) == label[source == each]).float().mean(1)
        out[new_source == each] = p[right.argmin(), new_source == each]
    return out


def combine_answers_the_labelled(z, label, source, new_z, new_source):
    return combine(z, label, source, z, source)


def combine_logits_as_they_are(z, label, source, new_z, new_source):
    return combine(z, label, source, new_z, new_source).log()


def combine_one_column(z, label, source, new_z, new_source):
    return combine(z, label, source, new_z, new_source)[:, 1]


def combine_in_place(z, label, source, new_z, new_source):
    new_z -= new_z.logsumexp(-1, keepdim=True)
    return combine(z, label, source, new_z, new_source)


# --- 10.2 -------------------------------------------------------------------------------------------------------------


def pair(right):
    best = max(itertools.combinations(range(len(right)), 2), key=lambda c: (right[c[0]] | right[c[1]]).mean())
    return *best, (right[best[0]] | right[best[1]]).mean()


def pair_by_joint_errors(right):
    wrong = (~np.asarray(right)).astype(float)
    both = wrong @ wrong.T / wrong.shape[1]
    both[np.tril_indices(len(both))] = 2
    i, j = divmod(both.argmin(), len(both))
    return [i, j, 1 - both[i, j]]


def pair_in_torch(right):
    right, found = torch.tensor(right), (-1.0, 0, 0)
    for i in range(len(right)):
        for j in range(i + 1, len(right)):
            found = max(found, (torch.logical_or(right[i], right[j]).double().mean().item(), i, j))
    return found[1], found[2], found[0]


def _with_share(right, i, j):
    i, j = sorted((int(i), int(j)))
    return i, j, (right[i] | right[j]).mean()


def _couples(right):
    return itertools.combinations(range(len(right)), 2)


def pair_least_correlated(right):
    return _with_share(right, *min(_couples(right), key=lambda c: np.corrcoef(right[c[0]], right[c[1]])[0, 1]))


def pair_of_the_best(right):
    return _with_share(right, *np.argsort(-right.mean(1))[:2])


def pair_most_different(right):
    return _with_share(right, *max(_couples(right), key=lambda c: (right[c[0]] != right[c[1]]).mean()))


def pair_fewest(right):
    return _with_share(right, *min(_couples(right), key=lambda c: (right[c[0]] | right[c[1]]).mean()))


def pair_turned(right):
    i, j, share = pair(right)
    return j, i, share


def pair_both_right(right):
    i, j, _ = pair(right)
    return i, j, (right[i] & right[j]).mean()


def pair_both_wrong(right):
    i, j, share = pair(right)
    return i, j, 1 - share


def pair_if_independent(right):
    accuracy = right.mean(1)
    share = {c: 1 - (1 - accuracy[c[0]]) * (1 - accuracy[c[1]]) for c in _couples(right)}
    i, j = max(share, key=share.get)
    return i, j, share[i, j]


def pair_counts(right):
    i, j, share = pair(right)
    return i, j, share * right.shape[1]


def pair_mean_accuracy(right):
    i, j, _ = pair(right)
    return i, j, right[[i, j]].mean()


def pair_without_share(right):
    return pair(right)[:2]


def pair_in_place(right):
    np.logical_not(right, out=right)
    return pair(~right)


# --- 10.3 -------------------------------------------------------------------------------------------------------------


def _net(option, sentences, worth, by=1):
    return 100 * worth * option["gain"][by] - option["once"] - option["each"] * sentences


def _best(options, sentences, worth, by=1):
    best = max(options, key=lambda each: _net(each, sentences, worth, by))
    return best["name"] if _net(best, sentences, worth, by) > 0 else "the list"


def choose(options, sentences, worth):
    name = _best(options, sentences, worth)
    top = max(options, key=lambda each: each["gain"][0])
    if name == top["name"]:
        return name, "gain"
    sure = [each for each in options if each is not top] + [dict(top, gain=(top["gain"][0],) * 3)]
    return name, "unsure" if _best(sure, sentences, worth) == top["name"] else "price"


def choose_by_numbers(options, sentences, worth):
    low, estimate = (np.array([_net(each, sentences, worth, by) for each in options]) for by in (1, 0))
    top = int(np.argmax([each["gain"][0] for each in options]))
    taken = int(low.argmax()) if low.max() > 0 else None
    name = "the list" if taken is None else options[taken]["name"]
    if taken == top:
        return [name, "gain"]
    return [name, "unsure" if estimate[top] > max(0, np.delete(low, top).max(initial=0)) else "price"]


def choose_by_sorting(options, sentences, worth):
    ways = [(_net(each, sentences, worth), each["name"]) for each in options] + [(0.0, "the list")]
    ways.sort(reverse=True)
    top = sorted(options, key=lambda each: -each["gain"][0])[0]
    if ways[0][1] == top["name"]:
        return ways[0][1], "gain"
    return ways[0][1], ("price", "unsure")[_net(top, sentences, worth, 0) > ways[0][0]]


def choose_by_estimates(options, sentences, worth):
    return choose([dict(each, gain=(each["gain"][0],) * 3) for each in options], sentences, worth)


def choose_without_costs(options, sentences, worth):
    return choose([dict(each, once=0.0, each=0.0) for each in options], sentences, worth)


def choose_without_once(options, sentences, worth):
    return choose([dict(each, once=0.0) for each in options], sentences, worth)


def choose_without_each(options, sentences, worth):
    return choose([dict(each, each=0.0) for each in options], sentences, worth)


def choose_shares_for_points(options, sentences, worth):
    return choose(options, sentences, worth / 100)


def choose_never_the_list(options, sentences, worth):
    best = max(options, key=lambda each: _net(each, sentences, worth))["name"]
    return best, choose(options, sentences, worth)[1]


def choose_always_gain(options, sentences, worth):
    return choose(options, sentences, worth)[0], "gain"


def choose_never_unsure(options, sentences, worth):
    name, reason = choose(options, sentences, worth)
    return name, "price" if reason == "unsure" else reason


def choose_name_alone(options, sentences, worth):
    return choose(options, sentences, worth)[0]


def choose_the_high_end(options, sentences, worth):
    return choose([dict(each, gain=(each["gain"][0], *each["gain"][:0:-1])) for each in options], sentences, worth)


def choose_the_list(options, sentences, worth):
    return "the list", "unsure"


def choose_in_place(options, sentences, worth):
    options.sort(key=lambda each: each["once"])
    options.pop()
    return "the list", "price"


# --- 10.4 -------------------------------------------------------------------------------------------------------------


def _interval(values):
    half = stats.t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / len(values) ** 0.5
    return values.mean() - half, values.mean() + half


def judge(rounds, control):
    low, high = _interval(rounds[:, -1] - rounds[:, 0])
    if high < 0:
        return "falls"
    if low <= 0:
        return "level"
    return "grows" if _interval(rounds[:, -1] - control)[0] > 0 else "only steps"


def judge_by_scipy(rounds, control):
    gain = stats.ttest_rel(rounds[:, 4], rounds[:, 0]).confidence_interval(0.95)
    over = stats.ttest_1samp(rounds[:, 4] - control, 0).confidence_interval(0.95)
    return "falls" if gain.high < 0 else "level" if gain.low <= 0 else "grows" if over.low > 0 else "only steps"


def judge_by_p(rounds, control):
    def sign(a, b):
        found = stats.ttest_rel(a, b)
        return 0 if found.pvalue >= 0.05 else int(np.sign(found.statistic))

    gain = sign(rounds[:, -1], rounds[:, 0])
    words = {-1: "falls", 0: "level"}
    return words[gain] if gain < 1 else ("grows" if sign(rounds[:, -1], control) == 1 else "only steps")


def _judge_with(interval, rounds, control):
    low, high = interval(rounds[:, -1] - rounds[:, 0])
    if high < 0:
        return "falls"
    if low <= 0:
        return "level"
    return "grows" if interval(rounds[:, -1] - control)[0] > 0 else "only steps"


def _scaled(t, ddof):
    def interval(values):
        half = t(len(values)) * values.std(ddof=ddof) / len(values) ** 0.5
        return values.mean() - half, values.mean() + half

    return interval


def judge_normal(rounds, control):
    return _judge_with(_scaled(lambda n: 1.96, 1), rounds, control)


def judge_spread_over_n(rounds, control):
    return _judge_with(_scaled(lambda n: stats.t.ppf(0.975, n - 1), 0), rounds, control)


def judge_degrees_n(rounds, control):
    return _judge_with(_scaled(lambda n: stats.t.ppf(0.975, n), 1), rounds, control)


def judge_one_sided(rounds, control):
    return _judge_with(_scaled(lambda n: stats.t.ppf(0.95, n - 1), 1), rounds, control)


def judge_best_round(rounds, control):
    best = rounds.copy()
    best[:, -1] = rounds.max(1)
    return judge(best, control)


def judge_without_control(rounds, control):
    found = judge(rounds, control)
    return "grows" if found == "only steps" else found


def judge_by_means(rounds, control):
    gain = (rounds[:, -1] - rounds[:, 0]).mean()
    return "falls" if gain < 0 else "grows" if (rounds[:, -1] - control).mean() > 0 else "only steps"


def judge_unpaired(rounds, control):
    gain = stats.ttest_ind(rounds[:, -1], rounds[:, 0]).confidence_interval(0.95)
    over = stats.ttest_ind(rounds[:, -1], control).confidence_interval(0.95)
    return "falls" if gain.high < 0 else "level" if gain.low <= 0 else "grows" if over.low > 0 else "only steps"


def judge_by_spread(rounds, control):
    gain = rounds[:, -1] - rounds[:, 0]
    if gain.mean() < -2 * gain.std():
        return "falls"
    if gain.mean() < 2 * gain.std():
        return "level"
    over = rounds[:, -1] - control
    return "grows" if over.mean() > 2 * over.std() else "only steps"


def judge_second_round(rounds, control):
    return judge(rounds[:, :2], control)


def judge_from_the_second(rounds, control):
    return judge(rounds[:, 1:], control)


def judge_against_control_alone(rounds, control):
    low, high = _interval(rounds[:, -1] - control)
    return "grows" if low > 0 else "falls" if high < 0 else "level"


def judge_turned(rounds, control):
    return judge(rounds[:, ::-1], control)


def judge_only_grows(rounds, control):
    return "grows"


def judge_in_place(rounds, control):
    rounds -= rounds[:, :1]
    return "level"


# --- 10.5 -------------------------------------------------------------------------------------------------------------


def _trained(x, targets, steps=150, rate=2e-3, model=None):
    model = model or reviews.frozen()
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    model.train()
    for _ in range(steps):
        rows = torch.randint(len(x), (128,))
        loss = F.cross_entropy(model(x[rows]), targets[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return model


def _routed(p, film):
    return torch.where(film[:, None], p[0], p[2])


def teach(x, p, film):
    return _trained(x, _routed(p, film))


def teach_long(x, p, film):
    return _trained(x, _routed(p, film), 250, 1e-3)


def teach_film_mean(x, p, film):
    """Of film the mean of the two that read, of messages the list."""
    both = (p[0] + p[1]) / 2
    return _trained(x, torch.where(film[:, None], both, p[2]))


def teach_mean(x, p, film):
    return _trained(x, p.mean(0), 60)


def teach_tuned(x, p, film):
    return _trained(x, p[0], 60)


def teach_rules(x, p, film):
    return _trained(x, p[2], 120)


def teach_turned(x, p, film):
    return _trained(x, torch.where(film[:, None], p[2], p[0]), 60)


def teach_shuffled(x, p, film):
    targets = _routed(p, film)
    return _trained(x, targets[torch.randperm(len(targets))], 60)


def teach_untrained(x, p, film):
    return reviews.frozen()


def teach_too_short(x, p, film):
    return _trained(x, _routed(p, film), 5, 1e-4)


def teach_swapped_classes(x, p, film):
    return _trained(x, _routed(p, film).flip(-1), 60)


def teach_returns_targets(x, p, film):
    return _routed(p, film)


def teach_one_logit(x, p, film):
    return torch.nn.Linear(1728, 1)


class _Softmaxed(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).softmax(-1)


def teach_softmaxed(x, p, film):
    return _Softmaxed(_trained(x, _routed(p, film)))


def teach_in_place(x, p, film):
    p /= 3
    return reviews.frozen()


RIGHT = {"10.1": combine, "10.2": pair, "10.3": choose, "10.4": judge, "10.5": teach}
ALSO_RIGHT = {
    "10.1": [combine_shifted, combine_by_descent],
    "10.2": [pair_by_joint_errors, pair_in_torch],
    "10.3": [choose_by_numbers, choose_by_sorting],
    "10.4": [judge_by_scipy, judge_by_p],
    "10.5": [teach_long, teach_film_mean],
}
WRONG = {
    "10.1": [
        combine_best_of_the_source,
        combine_one_constant,
        combine_one_regression,
        combine_swapped,
        combine_mean,
        combine_logits,
        combine_confident,
        combine_surest,
        combine_best_of_all,
        combine_majority,
        combine_fixed_places,
        combine_worst,
        combine_answers_the_labelled,
        combine_logits_as_they_are,
        combine_one_column,
        combine_in_place,
    ],
    "10.2": [
        pair_least_correlated,
        pair_of_the_best,
        pair_most_different,
        pair_fewest,
        pair_turned,
        pair_both_right,
        pair_both_wrong,
        pair_if_independent,
        pair_counts,
        pair_mean_accuracy,
        pair_without_share,
        pair_in_place,
    ],
    "10.3": [
        choose_by_estimates,
        choose_without_costs,
        choose_without_once,
        choose_without_each,
        choose_shares_for_points,
        choose_never_the_list,
        choose_always_gain,
        choose_never_unsure,
        choose_name_alone,
        choose_the_high_end,
        choose_the_list,
        choose_in_place,
    ],
    "10.4": [
        judge_normal,
        judge_spread_over_n,
        judge_degrees_n,
        judge_one_sided,
        judge_best_round,
        judge_without_control,
        judge_by_means,
        judge_unpaired,
        judge_by_spread,
        judge_second_round,
        judge_from_the_second,
        judge_against_control_alone,
        judge_turned,
        judge_only_grows,
        judge_in_place,
    ],
    "10.5": [
        teach_mean,
        teach_tuned,
        teach_rules,
        teach_turned,
        teach_shuffled,
        teach_untrained,
        teach_too_short,
        teach_swapped_classes,
        teach_returns_targets,
        teach_one_logit,
        teach_softmaxed,
        teach_in_place,
    ],
}
