"""Right and plausible wrong answers to the exercises of lesson 15."""

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import curve_fit, least_squares

from distill_lessons.pairs import digits

# --- 15.1 -------------------------------------------------------------------------------------------------------------


def _law(q, n, d, floor):
    return floor + np.exp(q[4] * np.logaddexp(q[0] - q[1] * np.log(n), q[2] - q[3] * np.log(d)))


def foresee(n, d, loss, floor, new_n, new_d):
    def miss(q):
        return _law(q, n / n.min(), d / d.min(), floor) - loss

    starts = [(-1, a, -1, b, 0.15) for a in (0.2, 0.5, 1) for b in (0.2, 0.5, 1)]
    bounds = [-40, 0, -40, 0, 0.01], [10, 5, 10, 5, 3]
    best = min((least_squares(miss, start, bounds=bounds) for start in starts), key=lambda found: found.cost)
    return _law(best.x, new_n / n.min(), new_d / d.min(), floor)


def foresee_by_curve_fit(n, d, loss, floor, new_n, new_d):
    """The logarithm of what lies over the floor, by another optimiser."""

    def log_over(x, a0, a, b0, b, g):
        return g * np.logaddexp(a0 - a * x[0], b0 - b * x[1])

    x, new = (np.log([each[0] / n.min(), each[1] / d.min()]) for each in ((n, d), (new_n, new_d)))
    found = curve_fit(log_over, x, np.log(loss - floor), [-1, 0.5, -1, 0.5, 0.2], maxfev=50_000,
                      bounds=([-40, 0, -40, 0, 0.01], [10, 5, 10, 5, 3]))[0]  # fmt: skip
    return floor + np.exp(log_over(new, *found))


def foresee_carried(n, d, loss, floor, new_n, new_d):
    def nearest(a, b):
        a, b = min(a, n.max()), min(b, d.max())
        return loss[(n == a) & (d == b)][0]

    return np.array([nearest(*each) for each in zip(new_n, new_d)])


def foresee_plane(n, d, loss, floor, new_n, new_d):
    slopes = np.linalg.lstsq(np.stack([np.ones_like(n), np.log(n), np.log(d)], 1), loss, rcond=None)[0]
    return slopes[0] + slopes[1] * np.log(new_n) + slopes[2] * np.log(new_d)


def foresee_additive(n, d, loss, floor, new_n, new_d):
    def law(q, a, b):
        return q[4] + np.exp(q[0] - q[1] * np.log(a / n.min())) + np.exp(q[2] - q[3] * np.log(b / d.min()))

    starts = [(-3, a, -3, b, 0.55) for a in (0.2, 0.5, 1) for b in (0.2, 0.5, 1)]
    bounds = [-40, 0, -40, 0, floor], [10, 5, 10, 5, 3]
    found = [least_squares(lambda q: law(q, n, d) - loss, start, bounds=bounds) for start in starts]
    return law(min(found, key=lambda each: each.cost).x, new_n, new_d)


def foresee_data_only(n, d, loss, floor, new_n, new_d):
    slope, start = np.polyfit(np.log(d), loss, 1)
    return start + slope * np.log(new_d)


def foresee_mean(n, d, loss, floor, new_n, new_d):
    return np.full(3, loss.mean())


def foresee_best(n, d, loss, floor, new_n, new_d):
    return np.full(3, loss.min())


def foresee_floor(n, d, loss, floor, new_n, new_d):
    return np.full(3, floor)


def foresee_without_floor(n, d, loss, floor, new_n, new_d):
    return foresee(n, d, loss, floor, new_n, new_d) - floor


def foresee_swapped(n, d, loss, floor, new_n, new_d):
    return foresee(n, d, loss, floor, new_n * 0 + new_d * n.min() / d.min(), new_n * d.min() / n.min())


def foresee_the_known(n, d, loss, floor, new_n, new_d):
    return foresee(n, d, loss, floor, n, d)


def foresee_one(n, d, loss, floor, new_n, new_d):
    return foresee(n, d, loss, floor, new_n, new_d)[-1]


def foresee_in_place(n, d, loss, floor, new_n, new_d):
    n /= n.min()
    return foresee(n, d, loss, floor, new_n, new_d)


# --- 15.2 -------------------------------------------------------------------------------------------------------------


def fits(options, kilobytes, milliseconds, points):
    def size(each):
        return each["weights"] + each["words"]

    good = [
        each
        for each in options
        if size(each) <= kilobytes and each["ms"] <= milliseconds and 100 * each["behind"][1] >= -points
    ]
    return min(good, key=size)["name"] if good else "none"


def fits_by_sorting(options, kilobytes, milliseconds, points):
    for each in sorted(options, key=lambda each: each["weights"] + each["words"]):
        fast, sure = each["ms"] <= milliseconds, each["behind"][1] >= -points / 100
        if fast and sure and each["weights"] + each["words"] <= kilobytes:
            return each["name"]
    return "none"


def _fits(
    options, kilobytes, milliseconds, points, by=1, words=1, scale=100, fast=True, small=True, pick=min, key="size"
):
    def size(each):
        return each["weights"] + words * each["words"]

    keys = {"size": size, "ms": lambda each: each["ms"], "behind": lambda each: each["behind"][0]}
    good = [
        each
        for each in options
        if (size(each) <= kilobytes or not small)
        and (each["ms"] <= milliseconds or not fast)
        and scale * each["behind"][by] >= -points
    ]
    return pick(good, key=keys[key])["name"] if good else "none"


def fits_by_estimates(*given):
    return _fits(*given, by=0)


def fits_by_the_high_end(*given):
    return _fits(*given, by=2)


def fits_without_words(*given):
    return _fits(*given, words=0)


def fits_without_words_in_the_limit(options, kilobytes, milliseconds, points):
    """Ranks by all that lies on the disk, and leaves the words out of the limit."""
    good = [
        each
        for each in options
        if each["weights"] <= kilobytes and each["ms"] <= milliseconds and 100 * each["behind"][1] >= -points
    ]
    return min(good, key=lambda each: each["weights"] + each["words"])["name"] if good else "none"


def _strictly(options, kilobytes, milliseconds, points, which):
    """One limit as "below", the others as "at most"."""

    def inside(each):
        size, ms, low = each["weights"] + each["words"], each["ms"], 100 * each["behind"][1]
        at = {"kilobytes": size == kilobytes, "milliseconds": ms == milliseconds, "points": low == -points}
        return size <= kilobytes and ms <= milliseconds and low >= -points and not at[which]

    good = [each for each in options if inside(each)]
    return min(good, key=lambda each: each["weights"] + each["words"])["name"] if good else "none"


def fits_below_kilobytes(*given):
    return _strictly(*given, "kilobytes")


def fits_below_milliseconds(*given):
    return _strictly(*given, "milliseconds")


def fits_less_than_points(*given):
    return _strictly(*given, "points")


def fits_the_same_name(options, kilobytes, milliseconds, points):
    """What is right for the table on the page."""
    return "4,000 words × 12, int8"


def fits_shares(*given):
    return _fits(*given, scale=1)


def fits_slow(*given):
    return _fits(*given, fast=False)


def fits_large(*given):
    return _fits(*given, small=False, pick=max)


def fits_most_accurate(*given):
    return _fits(*given, pick=max, key="behind")


def fits_fastest(*given):
    return _fits(*given, key="ms")


def fits_largest(*given):
    return _fits(*given, pick=max)


def fits_somebody(options, kilobytes, milliseconds, points):
    found = fits(options, kilobytes, milliseconds, points)
    return found if found != "none" else max(options, key=lambda each: each["behind"][0])["name"]


def fits_a_dict(options, *limits):
    found = fits(options, *limits)
    return next((each for each in options if each["name"] == found), {})


def fits_none(options, kilobytes, milliseconds, points):
    return "none"


def fits_in_place(options, *limits):
    options.sort(key=lambda each: each["weights"])
    options.pop()
    return fits(options, *limits)


# --- 15.3 -------------------------------------------------------------------------------------------------------------


def _trained(x, targets, steps=300, rate=2e-3, batch=128):
    student = digits.mlp([x.shape[1], 64, 10]).train()
    optimiser = torch.optim.AdamW(student.parameters(), lr=rate)
    for _ in range(steps):
        rows = torch.randperm(len(x))[:batch]
        loss = F.cross_entropy(student(x[rows]), targets[rows])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def _joined(x, x_id, z, z_id):
    place = {number: row for row, number in enumerate(z_id.tolist())}
    rows = [row for row, number in enumerate(x_id.tolist()) if number in place]
    return x[rows], z[[place[number] for number in x_id[rows].tolist()]]


def teach(x, x_id, z, z_id):
    said, told = _joined(x, x_id, z, z_id)
    return _trained(said, told.softmax(-1))


def teach_by_table(x, x_id, z, z_id):
    """A comparison of all numbers with all, and the teacher's answers."""
    row, column = (x_id[:, None] == z_id[None]).nonzero().T
    return _trained(x[row], F.one_hot(z[column].argmax(-1), 10).float())


def teach_linear(x, x_id, z, z_id):
    """A student without a hidden layer, all rows at once."""
    said, told = _joined(x, x_id, z, z_id)
    student = torch.nn.Linear(x.shape[1], 10)
    optimiser = torch.optim.Adam(student.parameters(), lr=0.02)
    for _ in range(150):
        loss = F.cross_entropy(student(said), told.softmax(-1))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return student


def teach_row_by_row(x, x_id, z, z_id):
    return _trained(x, z.softmax(-1))


def teach_sorted(x, x_id, z, z_id):
    """Both sorted by number; those without a partner shift the rest."""
    return _trained(x[x_id.argsort()], z[z_id.argsort()].softmax(-1))


def teach_searched(x, x_id, z, z_id):
    """Those without a partner get the next number's image, and the numbers are not sorted first."""
    return _trained(x, z[torch.searchsorted(z_id, x_id).clamp(max=len(z) - 1)].softmax(-1))


def teach_the_wrong_way_round(x, x_id, z, z_id):
    kept = torch.isin(x_id, z_id)
    return _trained(x[kept], z[torch.isin(z_id, x_id)].softmax(-1))


def teach_few(x, x_id, z, z_id):
    said, told = _joined(x, x_id, z, z_id)
    return _trained(said[:50], told[:50].softmax(-1))


def teach_too_short(x, x_id, z, z_id):
    said, told = _joined(x, x_id, z, z_id)
    return _trained(said, told.softmax(-1), steps=5, rate=1e-3)


def teach_untrained(x, x_id, z, z_id):
    return digits.mlp([x.shape[1], 64, 10])


def teach_least_likely(x, x_id, z, z_id):
    said, told = _joined(x, x_id, z, z_id)
    return _trained(said, (-told).softmax(-1))


def teach_of_images(x, x_id, z, z_id):
    """A student of images."""
    return digits.student()


def teach_one_logit(x, x_id, z, z_id):
    return torch.nn.Linear(x.shape[1], 1)


def teach_returns_targets(x, x_id, z, z_id):
    return _joined(x, x_id, z, z_id)[1].softmax(-1)


def teach_in_place(x, x_id, z, z_id):
    z -= z.logsumexp(-1, keepdim=True)
    return teach(x, x_id, z, z_id)


# --- 15.4 -------------------------------------------------------------------------------------------------------------


def accept(p, q, x):
    rows = torch.arange(len(x))
    kept = torch.rand(len(x)) < p[rows, x] / q[rows, x]
    rest = (p - q).clamp(min=0)
    rest = torch.where(rest.sum(1, keepdim=True) > 0, rest, p)
    return torch.where(kept, x, torch.multinomial(rest, 1).squeeze(1))


def accept_a_little_too_seldom(p, q, x):
    """Nineteen in twenty of what may be accepted; all else as it should be."""
    spared = torch.rand(len(x)) < 0.05
    return torch.where(spared, torch.multinomial(p, 1).squeeze(1), accept(p, q, x))


def accept_only_where_refused(p, q, x):
    """Draws again in those rows alone, and compares u·q with p."""
    y = x.clone()
    refused = (
        torch.rand(len(x), dtype=p.dtype) * q.gather(1, x[:, None])[:, 0] >= p.gather(1, x[:, None])[:, 0]
    ).nonzero()[:, 0]
    y[refused] = torch.multinomial(torch.relu(p[refused] - q[refused]), 1)[:, 0]
    return y


def accept_in_numpy(p, q, x):
    """Row by row along the cumulative rest, with numpy's own chance."""
    p, q, x = (np.asarray(each) for each in (p, q, x))
    rng = np.random.default_rng(int(torch.randint(2**31, ())))
    rows = np.arange(len(x))
    kept = rng.random(len(x)) < np.minimum(1, p[rows, x] / q[rows, x])
    rest = np.maximum(p - q, 0) + 1e-15
    edges = np.cumsum(rest, 1)
    drawn = (rng.random((len(x), 1)) * edges[:, -1:] > edges).sum(1)
    return np.where(kept, x, drawn)


def _kept(p, q, x, chance, rest):
    kept = torch.rand(len(x)) < chance.gather(1, x[:, None])[:, 0]
    rest = rest.clamp(min=0)
    rest = torch.where(rest.sum(1, keepdim=True) > 0, rest, torch.ones_like(rest))
    return torch.where(kept, x, torch.multinomial(rest, 1)[:, 0])


def accept_again_from_p(p, q, x):
    return _kept(p, q, x, p / q, p)


def accept_again_from_q(p, q, x):
    return _kept(p, q, x, p / q, q)


def accept_rest_turned(p, q, x):
    return _kept(p, q, x, p / q, q - p)


def accept_rest_absolute(p, q, x):
    return _kept(p, q, x, p / q, (p - q).abs())


def accept_ratio_turned(p, q, x):
    return _kept(p, q, x, q / p, p - q)


def accept_where_p_is_larger(p, q, x):
    return _kept(p, q, x, (p >= q).double(), p - q)


def accept_with_p(p, q, x):
    return _kept(p, q, x, p, p - q)


def accept_everything(p, q, x):
    return x.clone()


def accept_nothing(p, q, x):
    return torch.multinomial(p, 1)[:, 0]


def accept_with_the_mean(p, q, x):
    overlap = torch.minimum(p, q).sum(1, keepdim=True).expand_as(p)
    return _kept(p, q, x, overlap, p - q)


def accept_one_chance_for_all(p, q, x):
    kept = torch.rand(()) < (p / q).gather(1, x[:, None])[:, 0]
    rest = torch.where((p > q).any(1, keepdim=True), (p - q).clamp(min=0), p)
    return torch.where(kept, x, torch.multinomial(rest, 1)[:, 0])


def accept_without_guard(p, q, x):
    rest = (p - q).clamp(min=0)
    rest = rest / rest.sum(1, keepdim=True)
    kept = torch.rand(len(x)) < (p / q).gather(1, x[:, None])[:, 0]
    return torch.where(kept, x, torch.multinomial(rest, 1)[:, 0])


def accept_the_likeliest(p, q, x):
    kept = torch.rand(len(x)) < (p / q).gather(1, x[:, None])[:, 0]
    return torch.where(kept, x, (p - q).argmax(1))


def accept_one_hot(p, q, x):
    return F.one_hot(accept(p, q, x), p.shape[1])


def accept_mask(p, q, x):
    return accept(p, q, x) == x


def accept_in_place(p, q, x):
    y = accept(p, q, x)
    p -= q
    return y


# --- 15.5 -------------------------------------------------------------------------------------------------------------


def plan(rate, draft_ms, pass_ms):
    speeds = [
        1000 * sum(rate**k for k in range(length + 1)) / (length * draft_ms + each)
        for length, each in enumerate(pass_ms)
    ]
    return int(np.argmax(speeds)), max(speeds)


def plan_closed(rate, draft_ms, pass_ms):
    """The closed form, with a limit of its own at 1."""
    best = (0, 0.0)
    for length in range(len(pass_ms)):
        tokens = length + 1 if rate == 1 else (1 - rate ** (length + 1)) / (1 - rate)
        speed = tokens / (length * draft_ms + pass_ms[length]) * 1000
        if speed > best[1]:
            best = (length, speed)
    return list(best)


def plan_by_enumeration(rate, draft_ms, pass_ms):
    """Expected tokens from the chance of each number that is accepted."""

    def tokens(n):
        chances = [rate**k * (1 - rate) for k in range(n)] + [rate**n]
        return sum((k + 1) * chance for k, chance in enumerate(chances))

    found = np.array([tokens(n) / (n * draft_ms + ms) for n, ms in enumerate(pass_ms)]) * 1e3
    return found.argmax(), found.max()


def _with(rate, draft_ms, pass_ms, tokens=None, least=0, scale=1000.0):
    tokens = tokens or (lambda a, n: sum(a**k for k in range(n + 1)))
    speeds = [scale * tokens(rate, n) / (n * draft_ms + pass_ms[n]) for n in range(len(pass_ms))]
    best = max(range(least, len(speeds)), key=speeds.__getitem__)
    return best, speeds[best]


def plan_without_the_teachers_own(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, pass_ms, lambda a, n: sum(a**k for k in range(1, n + 1)))


def plan_as_if_independent(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, pass_ms, lambda a, n: 1 + a * n)


def plan_all_or_nothing(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, pass_ms, lambda a, n: 1 + n * a**n)


def plan_all_accepted(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, pass_ms, lambda a, n: n + 1)


def plan_with_one_pass(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, [pass_ms[0]] * len(pass_ms))


def plan_with_free_drafts(rate, draft_ms, pass_ms):
    return _with(rate, 0.0, pass_ms)


def plan_always_drafts(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, pass_ms, least=1)


def plan_the_longest(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, pass_ms, least=len(pass_ms) - 1)


def _climb(rate, draft_ms, pass_ms, lengths):
    """Goes along the lengths, and stops before the first that is slower."""

    def speed(n):
        return 1000 * sum(rate**k for k in range(n + 1)) / (n * draft_ms + pass_ms[n])

    best = lengths[0]
    for length in lengths[1:]:
        if speed(length) < speed(best):
            break
        best = length
    return best, speed(best)


def plan_climbs(rate, draft_ms, pass_ms):
    return _climb(rate, draft_ms, pass_ms, range(len(pass_ms)))


def plan_climbs_down(rate, draft_ms, pass_ms):
    return _climb(rate, draft_ms, pass_ms, range(len(pass_ms))[::-1])


def plan_divides_by_zero(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, pass_ms, lambda a, n: (1 - a ** (n + 1)) / (1 - a))


def plan_times_faster(rate, draft_ms, pass_ms):
    length, speed = plan(rate, draft_ms, pass_ms)
    return length, speed * pass_ms[0] / 1000


def plan_by_milliseconds(rate, draft_ms, pass_ms):
    return _with(rate, draft_ms, pass_ms, scale=1.0)


def plan_length_alone(rate, draft_ms, pass_ms):
    return plan(rate, draft_ms, pass_ms)[0]


def plan_in_place(rate, draft_ms, pass_ms):
    found = plan(rate, draft_ms, pass_ms)
    pass_ms.sort()
    pass_ms[0] = 0
    return found


RIGHT = {
    "15.1": foresee,
    "15.2": fits,
    "15.3": teach,
    "15.4": accept,
    "15.5": plan,
}
ALSO_RIGHT = {
    "15.1": [foresee_by_curve_fit],
    "15.2": [fits_by_sorting],
    "15.3": [teach_by_table, teach_linear],
    "15.4": [accept_only_where_refused, accept_in_numpy],
    "15.5": [plan_closed, plan_by_enumeration],
}
WRONG = {
    "15.1": [
        foresee_carried,
        foresee_plane,
        foresee_additive,
        foresee_data_only,
        foresee_mean,
        foresee_best,
        foresee_floor,
        foresee_without_floor,
        foresee_swapped,
        foresee_the_known,
        foresee_one,
        foresee_in_place,
    ],
    "15.2": [
        fits_by_estimates,
        fits_by_the_high_end,
        fits_without_words,
        fits_without_words_in_the_limit,
        fits_below_kilobytes,
        fits_below_milliseconds,
        fits_less_than_points,
        fits_the_same_name,
        fits_shares,
        fits_slow,
        fits_large,
        fits_most_accurate,
        fits_fastest,
        fits_largest,
        fits_somebody,
        fits_a_dict,
        fits_none,
        fits_in_place,
    ],
    "15.3": [
        teach_row_by_row,
        teach_sorted,
        teach_searched,
        teach_the_wrong_way_round,
        teach_few,
        teach_too_short,
        teach_untrained,
        teach_least_likely,
        teach_of_images,
        teach_one_logit,
        teach_returns_targets,
        teach_in_place,
    ],
    "15.4": [
        accept_a_little_too_seldom,
        accept_again_from_p,
        accept_again_from_q,
        accept_rest_turned,
        accept_rest_absolute,
        accept_ratio_turned,
        accept_where_p_is_larger,
        accept_with_p,
        accept_everything,
        accept_nothing,
        accept_with_the_mean,
        accept_one_chance_for_all,
        accept_without_guard,
        accept_the_likeliest,
        accept_one_hot,
        accept_mask,
        accept_in_place,
    ],
    "15.5": [
        plan_without_the_teachers_own,
        plan_as_if_independent,
        plan_all_or_nothing,
        plan_all_accepted,
        plan_with_one_pass,
        plan_with_free_drafts,
        plan_always_drafts,
        plan_the_longest,
        plan_climbs,
        plan_climbs_down,
        plan_divides_by_zero,
        plan_times_faster,
        plan_by_milliseconds,
        plan_length_alone,
        plan_in_place,
    ],
}
