"""The losses against an independent float64 reference, their properties, and the input they refuse."""

import inspect
import math
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special, stats

from distill_lessons import losses, runtime

DEVICES = ["cpu"] + (["cuda"] if torch.cuda.is_available() else [])
TWO_MODELS = {
    "forward_kl": losses.forward_kl,
    "reverse_kl": losses.reverse_kl,
    "total_variation": losses.total_variation,
    "jsd 0": lambda s, t, **k: losses.generalized_jsd(s, t, 0, **k),
    "jsd 0.3": lambda s, t, **k: losses.generalized_jsd(s, t, 0.3, **k),
    "jsd 1": lambda s, t, **k: losses.generalized_jsd(s, t, 1, **k),
}


def reference(name, student, teacher, temperature=1.0):
    """The same quantities by scipy in float64, one position at a time."""
    values = []
    for z_q, z_p in zip(student.reshape(-1, student.shape[-1]), teacher.reshape(-1, teacher.shape[-1])):
        q, p = special.softmax(np.float64(z_q) / temperature), special.softmax(np.float64(z_p) / temperature)
        beta = float(name.split()[1]) if name.startswith("jsd") else None
        m = None if beta is None else beta * p + (1 - beta) * q
        if name == "forward_kl" or beta == 0:
            values.append(stats.entropy(p, q))
        elif name == "reverse_kl" or beta == 1:
            values.append(stats.entropy(q, p))
        elif name == "total_variation":
            values.append(np.abs(p - q).sum() / 2)
        else:
            values.append(beta * stats.entropy(p, m) + (1 - beta) * stats.entropy(q, m))
    return np.mean(values)


def pair(*shape, scale=2.0, seed=0, dtype=torch.float32, device="cpu"):
    generator = torch.Generator().manual_seed(seed)
    return [(scale * torch.randn(shape, generator=generator, dtype=torch.float64)).to(device, dtype) for _ in range(2)]


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
@pytest.mark.parametrize("name", TWO_MODELS)
def test_value_matches_float64_reference(name, temperature, device):
    student, teacher = pair(3, 5, 11, device=device)
    value = TWO_MODELS[name](student, teacher, temperature=temperature)
    expected = reference(name, student.cpu().numpy(), teacher.cpu().numpy(), temperature)
    assert value.item() == pytest.approx(expected, rel=1e-6, abs=1e-6)  # float32 itself is good to 6e-8 of the value


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    positions=st.integers(1, 6),
    vocabulary=st.integers(2, 40),
    scale=st.floats(0.01, 8),
    temperature=st.floats(0.3, 20),
    name=st.sampled_from(sorted(TWO_MODELS)),
)
def test_random_cases(seed, positions, vocabulary, scale, temperature, name):
    student, teacher = pair(positions, vocabulary, scale=scale, seed=seed, dtype=torch.float64)
    value = TWO_MODELS[name](student, teacher, temperature=temperature).item()
    assert value >= -1e-12
    assert value == pytest.approx(reference(name, student.numpy(), teacher.numpy(), temperature), abs=1e-8)
    shifted = TWO_MODELS[name](student + 7, teacher - 3, temperature=temperature).item()
    assert shifted == pytest.approx(value, abs=1e-9)  # a constant added to all logits changes nothing


@pytest.mark.parametrize("name", TWO_MODELS)
def test_zero_on_itself(name):
    student, _ = pair(4, 1000, scale=5)
    assert abs(TWO_MODELS[name](student, student.clone()).item()) < 1e-6


@pytest.mark.parametrize("name", TWO_MODELS)
def test_gradcheck(name):
    student, teacher = pair(3, 7, dtype=torch.float64)
    mask = torch.tensor([True, False, True])
    function = lambda z: TWO_MODELS[name](z, teacher, mask=mask, temperature=1.7)  # noqa: E731
    assert torch.autograd.gradcheck(function, student.requires_grad_())


def test_gradcheck_of_the_mixture():
    student, teacher = pair(4, 6, dtype=torch.float64)
    labels = torch.tensor([1, losses.IGNORE, 5, 0])
    function = lambda z: losses.distillation_loss(z, teacher, labels, 0.7, 3.0).total  # noqa: E731
    assert torch.autograd.gradcheck(function, student.requires_grad_())


def with_gradient(loss, student):
    student = student.clone().requires_grad_()
    value = loss(student)
    value.backward()
    return value.detach(), student.grad


@pytest.mark.parametrize("name", TWO_MODELS)
def test_padding_changes_neither_value_nor_gradient(name):
    student, teacher = pair(2, 5, 9)
    value, gradient = with_gradient(lambda z: TWO_MODELS[name](z, teacher), student)
    padding = torch.full((2, 3, 9), float("nan"))  # whatever stands at a padded position must not matter
    mask = torch.tensor([[True] * 5 + [False] * 3] * 2)
    padded_teacher = torch.cat([teacher, padding], 1)
    padded_value, padded_gradient = with_gradient(
        lambda z: TWO_MODELS[name](z, padded_teacher, mask=mask), torch.cat([student, padding], 1)
    )
    torch.testing.assert_close(padded_value, value)
    torch.testing.assert_close(padded_gradient[:, :5], gradient)
    assert (padded_gradient[:, 5:] == 0).all()


def test_mixture_ignores_padding_and_does_not_grow_with_length():
    student, teacher = pair(2, 6, 9)
    labels = torch.randint(0, 9, (2, 6))
    loss = losses.distillation_loss(student, teacher, labels, 0.5, 2.0)
    longer = losses.distillation_loss(*(z.repeat(1, 4, 1) for z in (student, teacher)), labels.repeat(1, 4), 0.5, 2.0)
    torch.testing.assert_close(tuple(loss), tuple(longer))
    padded = [torch.cat([z, torch.full((2, 2, 9), float("inf"))], 1) for z in (student, teacher)]
    padded_labels = torch.cat([labels, torch.full((2, 2), losses.IGNORE)], 1)
    torch.testing.assert_close(tuple(losses.distillation_loss(*padded, padded_labels, 0.5, 2.0)), tuple(loss))


@pytest.mark.parametrize("name", TWO_MODELS)
def test_any_split_weighted_by_valid_tokens_gives_the_same_gradient(name):
    student, teacher = pair(6, 4, 8)
    mask = torch.rand(6, 4, generator=torch.Generator().manual_seed(1)) < 0.6
    _, whole = with_gradient(lambda z: TWO_MODELS[name](z, teacher, mask=mask), student)
    parts = torch.zeros_like(student)
    for rows in ([0], [1, 2], [3, 4, 5]):
        share = mask[rows].sum() / mask.sum()
        _, gradient = with_gradient(
            lambda z, rows=rows, share=share: share * TWO_MODELS[name](z[rows], teacher[rows], mask=mask[rows]), student
        )
        parts += gradient
    torch.testing.assert_close(parts, whole)


@pytest.mark.parametrize("seed", range(5))
def test_t_squared_keeps_the_gradient_norm_within_a_factor_of_two(seed):
    student, teacher = (z - z.mean(-1, keepdim=True) for z in pair(64, 10, scale=1.0, seed=seed))
    norms = []
    for temperature in (1, 2, 4, 7, 10):
        loss = lambda z, t=temperature: t**2 * losses.forward_kl(z, teacher, temperature=t)  # noqa: E731
        norms.append(with_gradient(loss, student)[1].norm().item())
    assert max(norms) / min(norms) < 2


def test_the_end_points_of_beta():
    student, teacher = pair(3, 9, dtype=torch.float64)
    for beta, limit in ((1e-6, losses.forward_kl), (1 - 1e-6, losses.reverse_kl)):
        scaled = losses.generalized_jsd(student, teacher, beta) / min(beta, 1 - beta)
        assert scaled.item() == pytest.approx(limit(student, teacher).item(), rel=1e-4)
    assert losses.generalized_jsd(student, teacher, 0.5) <= math.log(2)


def test_cross_entropy_minus_kl_is_the_teachers_entropy():
    student, teacher = pair(5, 12, dtype=torch.float64)
    cross = -(teacher.softmax(-1) * student.log_softmax(-1)).sum(-1).mean()
    difference = cross - losses.forward_kl(student, teacher)
    torch.testing.assert_close(difference, losses.entropy(teacher))


@pytest.mark.parametrize("name", TWO_MODELS)
def test_banned_tokens_stay_finite(name):
    student, teacher = pair(3, 8)
    banned = torch.zeros(8, dtype=torch.bool)
    banned[[1, 5]] = True
    cut_student, cut_teacher = (z.masked_fill(banned, -torch.inf) for z in (student, teacher))
    value, gradient = with_gradient(lambda z: TWO_MODELS[name](z, cut_teacher), cut_student)
    assert value.isfinite() and gradient.isfinite().all()
    torch.testing.assert_close(value, TWO_MODELS[name](student[:, ~banned], teacher[:, ~banned]))


def test_mass_where_the_student_has_none_is_infinite():
    student, teacher = pair(2, 4)
    student[0, 2] = -torch.inf
    assert losses.forward_kl(student, teacher).isposinf()
    assert losses.reverse_kl(student, teacher).isfinite()


@pytest.mark.parametrize("name", TWO_MODELS)
def test_nothing_valid_is_zero_with_a_gradient_path(name):
    student, teacher = pair(2, 3, 5)
    mask = torch.zeros(2, 3, dtype=torch.bool)
    value, gradient = with_gradient(lambda z: TWO_MODELS[name](z, teacher, mask=mask), student)
    assert value == 0 and (gradient == 0).all()
    labels = torch.full((2, 3), losses.IGNORE)
    total, gradient = with_gradient(lambda z: losses.distillation_loss(z, teacher, labels, 0.5, 2.0).total, student)
    assert total == 0 and (gradient == 0).all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(dtype):
    student, teacher = pair(4, 50)
    value = losses.forward_kl(student.to(dtype), teacher.to(dtype))
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(losses.forward_kl(student, teacher).item(), rel=0.05)


def test_alignment_is_the_shift():
    logits, labels = torch.arange(24.0).view(1, 4, 6), torch.tensor([[losses.IGNORE, 3, losses.IGNORE, 5]])
    aligned, shifted, mask = losses.align_next_token(logits, labels)
    torch.testing.assert_close(aligned, logits[:, :3])
    assert shifted.tolist() == [[3, losses.IGNORE, 5]] and mask.tolist() == [[True, False, True]]
    perfect = 50 * torch.nn.functional.one_hot(torch.tensor([[3, 0, 5, 0]]), 6).float()
    aligned, shifted, _ = losses.align_next_token(perfect, labels)
    assert losses.distillation_loss(aligned, aligned, shifted, 0.5, 1.0).total < 1e-6


def test_mixture_is_the_formula():
    student, teacher = pair(4, 9)
    labels = torch.tensor([0, 8, losses.IGNORE, 3])
    mask = labels != losses.IGNORE
    loss = losses.distillation_loss(student, teacher, labels, 0.3, 2.5)
    soft = 2.5**2 * losses.forward_kl(student, teacher, mask, 2.5)
    hard = torch.nn.functional.cross_entropy(student, labels)
    torch.testing.assert_close(tuple(loss), (0.3 * soft + 0.7 * hard, soft, hard))


def test_teacher_gets_no_gradient_it_was_not_asked_for():
    student, teacher = pair(3, 5)
    student.requires_grad_()
    losses.forward_kl(student, teacher).backward()
    assert teacher.grad is None and student.grad is not None


def test_temperature_softmax():
    probabilities = losses.softmax_with_temperature(torch.tensor([2.0, 1.0, 0.5, -torch.inf]), 2.0)
    np.testing.assert_allclose(probabilities, [0.4810, 0.2918, 0.2272, 0], atol=1e-4)
    assert losses.softmax_with_temperature(torch.tensor([1e4, 0.0]), 0.5).tolist() == [1, 0]


BAD = {
    "temperature": (lambda s, t: losses.forward_kl(s, t, temperature=0), "positive finite"),
    "negative temperature": (lambda s, t: losses.softmax_with_temperature(s, -1), "positive finite"),
    "NaN temperature": (lambda s, t: losses.reverse_kl(s, t, temperature=math.nan), "positive finite"),
    "infinite temperature": (lambda s, t: losses.total_variation(s, t, temperature=math.inf), "positive finite"),
    "vocabularies": (lambda s, t: losses.forward_kl(s, t[..., :4]), "student 5, teacher 4"),
    "shapes": (lambda s, t: losses.forward_kl(s, t[:1]), "one shape"),
    "mask": (lambda s, t: losses.forward_kl(s, t, mask=torch.ones(3, dtype=torch.bool)), "mask"),
    "beta": (lambda s, t: losses.generalized_jsd(s, t, 1.2), "beta must lie between 0 and 1"),
    "alpha": (lambda s, t: losses.distillation_loss(s, t, torch.tensor([0, 1]), -0.1, 1.0), "alpha must lie"),
    "NaN alpha": (lambda s, t: losses.distillation_loss(s, t, torch.tensor([0, 1]), math.nan, 1.0), "alpha must lie"),
    "labels": (lambda s, t: losses.distillation_loss(s, t, torch.tensor([0, 9]), 0.5, 1.0), "0..4"),
    "label shape": (lambda s, t: losses.distillation_loss(s, t, torch.tensor([0]), 0.5, 1.0), "shape"),
    "NaN student": (lambda s, t: losses.forward_kl(s * math.nan, t), "student logits hold NaN"),
    "NaN teacher": (lambda s, t: losses.generalized_jsd(s, t * math.nan, 0.5), "teacher logits hold NaN"),
    "integers": (lambda s, t: losses.forward_kl(s.long(), t), "floating-point"),
    "alignment": (lambda s, t: losses.align_next_token(s[None], torch.zeros(1, 3)), "share batch and length"),
    "too short": (lambda s, t: losses.align_next_token(s[None, :1], torch.zeros(1, 1)), "two positions"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused_with_one_clear_sentence(case):
    call, words = BAD[case]
    with pytest.raises(ValueError, match=words) as refused:
        call(*pair(2, 5))
    assert len(str(refused.value).splitlines()) == 1


def test_repository_is_found():
    assert runtime.data_folder().is_dir()


def test_a_banned_token_leaves_the_other_part_alone_and_says_inf():
    student, teacher = torch.tensor([[0.0, 0.0, -math.inf]]), torch.zeros(1, 3)
    value = losses.distillation_loss(student, teacher, torch.tensor([1]), alpha=0, temperature=1)
    assert value.total == value.hard and value.hard == pytest.approx(math.log(2)) and value.soft == math.inf
    assert losses.distillation_loss(student, student, torch.tensor([2]), alpha=0.5, temperature=1).hard == math.inf


@pytest.mark.parametrize("bad", ["1", None, [2.0], torch.ones(2), math.nan])
def test_what_is_no_number_is_refused_by_name(bad):
    z, labels = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    with pytest.raises(ValueError, match="the temperature must be"):
        losses.distillation_loss(z, z, labels, 0.5, bad)
    with pytest.raises(ValueError, match="alpha must lie"):
        losses.distillation_loss(z, z, labels, bad, 1.0)
    with pytest.raises(ValueError, match="beta must lie"):
        losses.generalized_jsd(z, z, bad)


def test_labels_in_the_place_of_a_mask_are_refused_and_small_integers_are_labels():
    z = torch.randn(2, 3, 4)
    labels = torch.tensor([[1, 2, -100], [3, 0, 1]])
    with pytest.raises(ValueError, match="pass labels != -100"):
        losses.forward_kl(z, z, labels)
    with pytest.raises(ValueError, match="whole numbers"):
        losses.distillation_loss(z, z, labels.float(), 0.5, 1.0)
    assert losses.distillation_loss(z, z, labels.int(), 0.5, 1.0) == losses.distillation_loss(z, z, labels, 0.5, 1.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_sampled_kl_has_the_gradient_of_its_formula(dtype):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 40, generator=generator, dtype=torch.float64).to(dtype)
    logits[0, 7] = -math.inf  # banned, and named by padding only
    ids = torch.stack([torch.randperm(40, generator=generator)[:5] for _ in range(6)])
    weights = torch.rand(6, 5, generator=generator, dtype=torch.float64).to(
        torch.float64 if dtype == torch.float64 else torch.float32
    )
    ids[0, 4], weights[0, 4] = 7, 0
    weights /= weights.sum(-1, keepdim=True)
    entropy = torch.zeros(6)
    z = logits.clone().requires_grad_()
    value = losses.sampled_kl(z, ids, weights, entropy)
    (first,) = torch.autograd.grad(value, z, retain_graph=True)
    (again,) = torch.autograd.grad(value, z)
    reference = logits.double().requires_grad_()
    listed = reference.log_softmax(-1).gather(-1, ids).masked_fill(weights == 0, 0.0)
    expected = -(weights.double() * listed).sum(-1).mean()
    (slope,) = torch.autograd.grad(expected, reference)
    tolerance = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 1e-3}[dtype]
    assert value.item() == pytest.approx(expected.item(), abs=max(tolerance, 1e-12))
    torch.testing.assert_close(first.double(), slope, atol=tolerance, rtol=1e-2 if dtype == torch.bfloat16 else 1e-5)
    assert torch.equal(first, again) and torch.equal(z.detach(), logits)


def test_a_temperature_that_is_learned_gets_its_gradient_also_at_one():
    student, teacher = torch.randn(2, 4, 9)
    for start in (1.0, 2.0):
        temperature = torch.tensor(start, requires_grad=True)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # torch warns where such a tensor is read as a number
            value = losses.forward_kl(student, teacher, temperature=temperature)
        (slope,) = torch.autograd.grad(value, temperature)
        up, down = (losses.forward_kl(student.double(), teacher.double(), temperature=start + h) for h in (1e-4, -1e-4))
        assert slope.item() == pytest.approx(((up - down) / 2e-4).item(), rel=1e-3, abs=1e-5)


def sparse_reference(logits, ids, probabilities):
    """KL over the listed tokens and all others as one, in float64, the others added up on their own."""
    log_q, p = logits.double().log_softmax(-1), probabilities.double()
    listed = torch.zeros_like(log_q, dtype=torch.bool).scatter(-1, ids, True)
    others = torch.stack([row[~inside].logsumexp(0) for row, inside in zip(log_q, listed)])
    rest = 1 - p.sum(-1)
    return ((p * (p.log() - log_q.gather(-1, ids))).sum(-1) + rest * (rest.log() - others)).mean()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("lead", [0, 20, 60, 120])
def test_a_student_that_is_sure_of_a_listed_token_still_learns_what_belongs_to_the_rest(lead, dtype):
    logits, teacher = pair(5, 30, scale=1.5)
    probabilities, ids = teacher.softmax(-1).topk(4, -1)
    logits[torch.arange(5), ids[torch.arange(5), torch.tensor([0, 1, 2, 3, 0])]] += lead
    logits = logits.to(dtype)
    value, slope = with_gradient(lambda z: losses.top_k_kl(z, ids, probabilities), logits)
    expected, right = with_gradient(lambda z: sparse_reference(z, ids, probabilities), logits)
    assert value.item() == pytest.approx(expected.item(), rel=1e-5)
    assert value.item() > 0.05 * lead
    tolerance = 2e-5 if dtype == torch.float32 else 4e-3
    torch.testing.assert_close(slope.float(), right.float(), atol=1e-6, rtol=tolerance)


def test_a_sure_student_gets_the_value_that_was_worked_out_by_hand():
    logits = torch.tensor([[20.0, 0.0, 0.0]])
    value, slope = with_gradient(lambda z: losses.top_k_kl(z, torch.tensor([[0]]), torch.tensor([[0.9]])), logits)
    assert value.item() == pytest.approx(0.9 * math.log(0.9) + 0.1 * math.log(0.1) - 0.1 * (math.log(2) - 20), abs=1e-5)
    torch.testing.assert_close(slope, torch.tensor([[0.1, -0.05, -0.05]]))  # the rest lacks a tenth


@pytest.mark.parametrize("lead", [0, 20, 120])
def test_with_every_token_listed_the_sparse_kl_is_the_kl(lead):
    student, teacher = pair(4, 7)
    student[:, 0] += lead
    probabilities, ids = teacher.softmax(-1).topk(7, -1)
    value, slope = with_gradient(lambda z: losses.top_k_kl(z, ids, probabilities), student)
    full, right = with_gradient(lambda z: losses.forward_kl(z, teacher), student)
    torch.testing.assert_close(value, full)
    torch.testing.assert_close(slope, right)
    for scale in (0.998, 1.002):  # stored coarsely: what a row lacks to 1 is no mass for a token that is not there
        coarse = (scale * probabilities).bfloat16()
        assert losses.top_k_kl(student, ids, coarse).item() == pytest.approx(full.item(), abs=0.02 + 0.01 * lead)


def test_mass_for_the_rest_where_the_student_bans_the_rest_is_infinite_and_rounding_is_no_mass():
    student = torch.tensor([[1.0, 0.0, -math.inf]])
    ids = torch.tensor([[0, 1]])
    assert losses.top_k_kl(student, ids, torch.tensor([[0.6, 0.3]])) == math.inf
    value, slope = with_gradient(lambda z: losses.top_k_kl(z, ids, torch.tensor([[0.6, 0.4 - 1e-7]])), student)
    assert value.item() == pytest.approx(0.04025, abs=1e-4) and slope.isfinite().all()


def test_padding_of_sparse_targets_is_not_taken_out_of_the_rest():
    student, teacher = pair(3, 9)
    probabilities, ids = teacher.softmax(-1).topk(3, -1)
    padded = torch.cat([ids, torch.zeros(3, 2, dtype=torch.long)], -1)
    weights = torch.cat([probabilities, torch.zeros(3, 2)], -1)
    for renormalise in (False, True):
        plain = losses.top_k_kl(student, ids, probabilities, renormalise=renormalise)
        torch.testing.assert_close(losses.top_k_kl(student, padded, weights, renormalise=renormalise), plain)


@pytest.mark.parametrize("text", ["0.5", "1", ""])
def test_a_number_given_as_text_is_refused_as_text(text):
    z, labels = torch.zeros(2, 3), torch.zeros(2, dtype=torch.long)
    for name, call in (
        ("temperature", lambda: losses.forward_kl(z, z, temperature=text)),
        ("temperature", lambda: losses.entropy(z, temperature=text)),
        ("temperature", lambda: losses.distillation_loss(z, z, labels, 0.5, text)),
        ("alpha", lambda: losses.distillation_loss(z, z, labels, text, 1.0)),
        ("beta", lambda: losses.generalized_jsd(z, z, text)),
    ):
        with pytest.raises(ValueError, match=f"{name} must .*it is the text '{text}': give the number itself$"):
            call()


def test_every_public_function_says_the_types_of_what_it_takes_and_returns():
    for name, function in inspect.getmembers(losses, inspect.isfunction):
        if not name.startswith("_") and function.__module__ == losses.__name__:
            parameters = inspect.signature(function)
            assert parameters.return_annotation is not inspect.Signature.empty, name
            assert all(each.annotation is not each.empty for each in parameters.parameters.values()), name


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_entropy_is_that_of_the_distribution_at_its_temperature(temperature):
    logits, _ = pair(4, 6, 11)
    mask = torch.arange(24).view(4, 6) % 3 > 0
    rows = np.float64(logits[mask].numpy()) / temperature
    expected = np.mean([stats.entropy(special.softmax(row)) for row in rows])
    assert losses.entropy(logits, mask, temperature).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("name", TWO_MODELS)
def test_a_mask_of_zeros_and_ones_is_one_of_false_and_true(name):
    student, teacher = pair(4, 6, 11)
    mask = torch.arange(24).view(4, 6) % 3 > 0
    expected = TWO_MODELS[name](student, teacher, mask=mask)
    for dtype in (torch.long, torch.uint8, torch.float32):
        assert torch.equal(TWO_MODELS[name](student, teacher, mask=mask.to(dtype)), expected)


def test_listed_probabilities_that_rounding_puts_over_1_leave_no_rest():
    student, _ = pair(2, 9)
    ids, probabilities = torch.tensor([[3, 1], [0, 8]]), torch.tensor([[0.75, 0.2500004], [0.5, 0.5000006]])
    value, gradient = with_gradient(lambda z: losses.top_k_kl(z, ids, probabilities), student)
    log_q = student.double().log_softmax(-1).gather(-1, ids)
    p = probabilities.double()
    assert value.item() == pytest.approx((p * (p.log() - log_q)).sum(-1).mean().item(), abs=1e-5)
    assert gradient.isfinite().all()
