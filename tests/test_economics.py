"""Economics: the published sum to the query, what it leaves out, bad amounts refused by name, never is never."""

import dataclasses
import math
import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_lessons import economics
from distill_lessons.course import results
from distill_lessons.course.experiments import lesson14, lesson14_labels
from distill_lessons.economics import (
    Case,
    Engineering,
    Evaluation,
    Generation,
    Hosted,
    Price,
    TokenPriced,
    Training,
    Uncertain,
    costs,
    decision,
)
from distill_lessons.economics.decision import Option
from distill_lessons.pairs import multiplication

DATE = "2026-11-25"


def usd(amount, per):
    return Price(amount, f"USD per {per}", DATE, "assumed")


def case(**changes):
    once = {
        "data": Generation(10_000, 0.8, 200, 300, usd(1, "million tokens"), usd(4, "million tokens")),
        "training": Training(5, 6, usd(2, "hour")),
        "engineering": Engineering(10, usd(800, "day")),
        "evaluation": Evaluation(500, usd(0.5, "item")),
    }
    teacher = TokenPriced(500, 250, usd(1, "million tokens"), usd(4, "million tokens"))
    student = Hosted(usd(1, "hour"), 1000, 750, 0.5)
    return Case(**{"queries_per_day": 30_000, "once": once, "teacher": teacher, "student": student} | changes)


# --- The published sum ------------------------------------------------------------------------------------------------


def test_the_published_sum_to_the_query():
    assert economics.break_even_queries(10_000, 0.03, 0.001) == 344_828
    assert round(economics.break_even_days(10_000, 0.03, 0.001, 10_000), 1) == 34.5
    assert round(economics.break_even_days(10_000, 0.03, 0.001, 100_000), 2) == 3.45


@given(st.integers(1, 10**6), st.integers(1, 999), st.integers(0, 998))
def test_it_is_the_least_whole_number_that_pays(upfront, teacher, student):
    found = economics.break_even_queries(upfront / 100, teacher / 1000, student / 1000)
    if teacher <= student:
        assert found is None
    else:  # in whole tenths of a cent, where nothing is rounded
        assert found * (teacher - student) >= upfront * 10 > (found - 1) * (teacher - student)


def test_no_query_too_many_where_the_sum_comes_out_even():
    assert economics.break_even_queries(0.3, 0.3, 0.2) == 3  # in floating point 0.3 / (0.3 - 0.2) is over 3
    assert economics.break_even_queries(29, 0.03, 0.001) == 1000
    assert isinstance(economics.break_even_queries(29.0, np.float32(0.03), np.float64(0.001)), int)
    assert economics.break_even_queries(0, 0.03, 0.001) == 0


def test_never_is_none_and_the_word():
    assert economics.break_even_queries(10_000, 0.001, 0.03) is None
    assert economics.break_even_queries(0, 0.03, 0.03) is None
    assert economics.break_even_days(10_000, 0.03, 0.03, 100) is None
    assert economics.break_even_days(10_000, 0.03, 0, 1_600, fixed_per_day=48) is None
    assert economics.words(None) == "never"
    assert economics.words(344_828, "queries") == "344,828 queries" and economics.words(34.48) == "34.5 days"


def test_a_server_that_is_always_paid():
    assert economics.minimum_queries_per_day(48, 0.03) == 1601
    assert economics.break_even_days(10_000, 0.03, 0, 1_601, 48) == pytest.approx(10_000 / 0.03)
    assert economics.break_even_days(10_000, 0.03, 0, 10_000, 48) == pytest.approx(10_000 / 252)
    assert economics.minimum_queries_per_day(48, 0.001, 0.03) is None
    assert economics.minimum_queries_per_day(0, 0.03, 0.001) == 1


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((-1, 0.03, 0.001), "the upfront cost must be at least 0, and it is -1"),
        ((1, -0.03, 0.001), "the teacher's cost a query must be at least 0"),
        ((1, 0.03, -0.001), "the student's cost a query must be at least 0"),
        ((1, math.nan, 0), "the teacher's cost a query must be a finite number, and it is nan"),
        ((math.inf, 1, 0), "the upfront cost must be a finite number"),
        (("1", 1, 0), "the upfront cost must be a finite number, and it is '1'"),
        ((True, 1, 0), "the upfront cost must be a finite number"),
    ],
)
def test_amounts_are_refused_by_name(arguments, words):
    with pytest.raises(ValueError, match=words):
        economics.break_even_queries(*arguments)


def test_zero_traffic_is_refused():
    for call in (
        lambda: economics.break_even_days(1, 1, 0, 0),
        lambda: economics.break_even_days(1, 1, 0, 0, 5),
        lambda: economics.per_day(case(queries_per_day=0)),
        lambda: decision.recommend([Option("a", 1, 1)], 0, 10),
    ):
        with pytest.raises(ValueError, match="queries a day must be over 0, and it is 0"):
            call()


# --- Numbers of every kind --------------------------------------------------------------------------------------------


def priced(a, b):
    return Price(a, "USD per million tokens", DATE, "list"), Price(b, "USD per million tokens", DATE, "list")


def typed_case(a, b, c, share, **changes):
    once = {"engineering": Engineering(a, usd(b, "day")), "training": Training(a, b, usd(c, "hour"))}
    student = Hosted(usd(a, "hour"), b, c, share, spare=1, fixed=usd(b, "day"))
    how = {"retrain_every": c, "retrain_parts": ("training",), "errors_more": share, "error_price": usd(b, "error")}
    return Case(a, once, TokenPriced(b, c, *priced(a, b)), student, **how | changes)


# For each public function a call with amounts a, b, c over 0, and a share over 0 and at most 1.
CALLS = {
    "break_even_queries": lambda a, b, c, share: economics.break_even_queries(a, b, c),
    "break_even_days": lambda a, b, c, share: (
        economics.break_even_days(a, b, c, a),
        economics.break_even_days(a, b, c, b, fixed_per_day=c),
    ),
    "days_to_pay": lambda a, b, c, share: economics.days_to_pay(a, b),
    "minimum_queries_per_day": lambda a, b, c, share: economics.minimum_queries_per_day(a, b, c),
    "least_traffic": lambda a, b, c, share: economics.least_traffic(
        1, Hosted(usd(1, "hour"), a, 1, share, spare=1, fixed=usd(b, "day"))
    ),
    "expected_cost": lambda a, b, c, share: economics.expected_cost(a, b, share, share, c),
    "price_per_million_tokens": lambda a, b, c, share: economics.price_per_million_tokens(usd(a, "hour"), b, share),
    "upfront": lambda a, b, c, share: economics.upfront(
        typed_case(a, b, c, share)
    ) | {"data": Generation(a, share, b, c, *priced(b, c)).cost(), "evaluation": Evaluation(a, usd(b, "item")).cost()},
    "per_day": lambda a, b, c, share: economics.per_day(typed_case(a, b, c, share)),
    "saving_per_day": lambda a, b, c, share: economics.saving_per_day(typed_case(a, b, c, share)),
    "case_days": lambda a, b, c, share: economics.case_days(typed_case(a, b, c, share)),
    "lines": lambda a, b, c, share: [
        line.tolist() for line in economics.lines(typed_case(a, b, c, share), np.array([0, 20], np.int8)).values()
    ],
    "prices_in": lambda a, b, c, share: str(max(map(str, economics.prices_in(typed_case(a, b, c, share))))),
    "tornado": lambda a, b, c, share: economics.tornado(
        lambda a, b: a * a * b * 1.0, {"a": a, "b": b}, {"a": (a, a), "b": (b, b)}
    ),
    "simulate": lambda a, b, c, share: economics.simulate(
        lambda a, b: a * a * b * 1.0, {"a": Uncertain(a, a, a), "b": b}, draws=3
    ).median,
    "words": lambda a, b, c, share: economics.words(a, "queries"),
    "recommend": lambda a, b, c, share: decision.recommend(
        [Option("x", share, a, b, c), Option("y", share, b, c, a)], a, b, share, c, a
    ),
    "option_cost": lambda a, b, c, share: decision.option_cost(Option("x", share, a, b, c), b, c, a),
}  # fmt: skip
WHOLE = [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64]
REAL = [np.float16, np.float32, np.float64]


def python_number(value):
    return int(value) if isinstance(value, np.integer) else float(str(value))


def test_every_public_function_is_called():
    functions = {name for name in economics.__all__ if callable(getattr(economics, name))}
    assert functions - {name for name in functions if name[0].isupper()} | {"recommend", "option_cost"} == set(CALLS)


@pytest.mark.parametrize("name", CALLS)
@settings(max_examples=40, deadline=None)
@given(st.data())
def test_numpys_numbers_give_what_pythons_give(name, data):
    dtype = data.draw(st.sampled_from(WHOLE + REAL))
    if dtype in WHOLE:
        numbers = st.integers(1, int(np.iinfo(dtype).max))
        typed = [dtype(data.draw(numbers)) for _ in range(3)] + [dtype(1)]
    else:
        numbers = st.floats(0.0625, 6e4, width=16)
        typed = [dtype(data.draw(numbers)) for _ in range(3)] + [dtype(data.draw(st.sampled_from([0.1, 0.3, 1.0])))]
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # numpy warns where it wraps around, if it does not only do it
        assert CALLS[name](*typed) == CALLS[name](*map(python_number, typed))


def test_amounts_of_every_kind_are_exact_and_pythons_own():
    for amount in (7, 7.0, np.int8(7), np.uint64(7), np.float16(7), Decimal(7), Fraction(7)):
        found = costs.exact(amount)
        assert found == 7 and type(found.numerator) is int and type(found.denominator) is int
    assert economics.break_even_queries(np.int32(10**9), np.int32(30), np.int32(1)) == 34_482_759
    assert economics.break_even_queries(np.int64(10**18), Fraction(29, 10**9), Decimal(0)) == -(-(10**27) // 29)
    assert costs.exact(np.float32(0.03)) == Fraction(3, 100) == costs.exact(Decimal("0.03"))
    assert economics.break_even_queries(10**400, 1, 0) == 10**400


@pytest.mark.parametrize(
    "amount",
    [None, "1", True, np.bool_(True), math.nan, -math.inf, np.float32("nan"), Decimal("nan"), 1j, [1], np.ones(1)],
)
def test_what_is_no_amount_is_refused_by_name(amount):
    for call in (
        lambda: costs.exact(amount, "this"),
        lambda: Price(amount, "USD per this", DATE, "list"),
        lambda: economics.days_to_pay(1, amount),
        lambda: economics.simulate(days, {"this": Uncertain(amount, 1, 2)}),
        lambda: economics.tornado(days, {"this": 1}, {"this": (amount, 2)}),
        lambda: economics.words(amount if amount is not None else "this", "this"),
    ):
        with pytest.raises(ValueError, match="must be a finite number, and it is"):
            call()


# --- Prices -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments, words",
    [
        ((-1, "USD per hour", DATE, "list"), "the price in USD per hour must be at least 0"),
        ((1, "USD/hour", DATE, "list"), "a unit reads like 'USD per hour', and this is 'USD/hour'"),
        ((1, "USD per hour", "yesterday", "list"), "needs its day, like '2026-11-25', and this came: 'yesterday'"),
        ((1, "USD per hour", None, "list"), "needs its day"),
        ((1, "USD per hour", DATE, " "), "Give its source"),
    ],
)
def test_a_price_has_amount_unit_date_and_source(arguments, words):
    with pytest.raises(ValueError, match=words):
        Price(*arguments)


def test_mixed_units_and_currencies_are_refused():
    with pytest.raises(ValueError, match="price of training must be per hour, and it is in USD per day"):
        Training(1, 1, usd(2, "day")).cost()
    with pytest.raises(ValueError, match="tokens out must be per million tokens, and it is in USD per query"):
        TokenPriced(1, 1, usd(1, "million tokens"), usd(1, "query")).cost(10)
    with pytest.raises(ValueError, match="rate of an engineer must be a Price .* and it is 800"):
        Engineering(1, 800).cost()
    with pytest.raises(ValueError, match="prices in EUR and USD cannot be added"):
        case(student=Hosted(Price(1, "EUR per hour", DATE, "assumed"), 1000, 750, 0.5))


@pytest.mark.parametrize(
    "part, words",
    [
        (lambda: Hosted(usd(1, "hour"), 10, 10, 1.2).cost(5), "utilisation must be at most 1, and it is 1.2"),
        (lambda: Hosted(usd(1, "hour"), 10, 10, 0).cost(5), "utilisation must be over 0"),
        (lambda: Hosted(usd(1, "hour"), 0, 10, 1).cost(5), "tokens a second must be over 0"),
        (lambda: Hosted(usd(1, "hour"), 10, 10, 1, spare=-1).cost(5), "spare machines must be at least 0"),
        (
            lambda: Generation(10, 0, 1, 1, usd(1, "million tokens"), usd(1, "million tokens")).cost(),
            "the share kept must be over 0",
        ),
        (
            lambda: Generation(0, 1, 1, 1, usd(1, "million tokens"), usd(1, "million tokens")).cost(),
            "responses must be over 0",
        ),
        (lambda: Training(-1, 1, usd(1, "hour")).cost(), "hours of training must be at least 0"),
        (lambda: economics.per_day(case(passed_on=1.5)), "the share passed on must be at most 1"),
        (lambda: economics.price_per_million_tokens(usd(1, "hour"), 10, 2), "utilisation must be at most 1"),
        (lambda: Hosted(usd(1, "hour"), 10, 10, 1, spare=0.5).cost(5), "spare machines come whole, and 0.5 came"),
        (lambda: Price(1, None, DATE, "list"), "a unit reads like 'USD per hour', and this is None"),
        (
            lambda: case(passed_on=0.7, errors_more=0.4, error_price=usd(1, "error")),
            "passed on, 0.7, and of errors more, 0.4, are over 1 together",
        ),
        (lambda: case(passed_on=math.nan), "the share passed on must be a finite number, and it is nan"),
        (lambda: case(errors_more=None), "the share of errors more must be a finite number, and it is None"),
        (lambda: case(retrain_every=0), "days between retrainings must be over 0"),
        (lambda: case(retrain_parts=("data", "data")), "repeats a part twice"),
        (lambda: case(retrain_parts="data"), r"retrain_parts are several names, like \('data',\)"),
        (lambda: economics.lines(case(), [1, math.nan]), "days must be finite and not negative"),
        (lambda: economics.lines(case(), [-1]), "days must be finite and not negative"),
        (lambda: case(errors_more=0.1), "more errors need a price per error"),
        (lambda: case(retrain_parts=("date",)), "repeats 'date', which is not among the upfront parts"),
    ],
)
def test_parts_of_a_case_are_checked(part, words):
    with pytest.raises(ValueError, match=words):
        part()


def test_what_is_not_passed_on_may_all_go_wrong():
    all_wrong = case(passed_on=0.7, errors_more=0.3, error_price=usd(1, "error"))
    assert float(economics.per_day(all_wrong)["errors"]) == pytest.approx(9_000)


# --- The whole case ---------------------------------------------------------------------------------------------------


def test_the_parts_add_up():
    found = {name: float(cost) for name, cost in economics.upfront(case()).items()}
    assert found == {
        "data": pytest.approx(12_500 * (200 * 1 + 300 * 4) / 1e6),
        "training": 60,
        "engineering": 8_000,
        "evaluation": 250,
    }
    # capacity 86,400 · 1,000 · 0.5 / 750 = 57,600 queries a day: one machine
    costs = economics.per_day(case())
    assert float(costs["teacher"]) == pytest.approx(30_000 * (500 + 1000) / 1e6)
    assert float(costs["serving"]) == 24
    assert economics.case_days(case()) == pytest.approx((17.5 + 60 + 8_000 + 250) / (45 - 24))


def test_machines_come_whole_and_the_spare_one_is_paid_too():
    server = Hosted(usd(1, "hour"), 1000, 750, 0.5, spare=1, fixed=usd(3, "day"))
    assert server.capacity() == 57_600
    assert [server.machines(load) for load in (1, 57_600, 57_601, 120_000)] == [2, 2, 3, 4]
    assert server.cost(57_601) == 3 * 24 + 3


def test_what_the_short_sum_leaves_out_is_added():
    everything = case(
        passed_on=0.1,
        errors_more=0.02,
        error_price=usd(0.01, "error"),
        retrain_every=30,
        retrain_parts=("data", "training"),
    )
    costs = economics.per_day(everything)
    assert float(costs["passed on"]) == pytest.approx(4.5)
    assert float(costs["errors"]) == pytest.approx(6)
    assert float(costs["retraining"]) == pytest.approx((17.5 + 60) / 30)
    saving = 45 - 24 - 4.5 - 6 - 77.5 / 30
    assert float(economics.saving_per_day(everything)) == pytest.approx(saving)
    assert economics.case_days(everything) == pytest.approx(8_327.5 / saving)
    assert economics.case_days(dataclasses.replace(everything, errors_more=0.1)) is None
    drawn = economics.lines(everything, [0, 10])
    assert drawn["teacher"].tolist() == [0, 450]
    assert drawn["student"] == pytest.approx([8_327.5, 8_327.5 + 10 * (45 - saving)])
    day = economics.case_days(everything)
    assert np.diff([line[0] for line in economics.lines(everything, [day]).values()]) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("spare", [0, 1, 3])
@pytest.mark.parametrize("price, teacher", [(1, 0.016), (0.5, 0.002), (0.3, 0.00999), (1, 0.0005), (2, 0.05)])
def test_the_least_traffic_by_trying_all(spare, price, teacher):
    server = Hosted(usd(price, "hour"), 10, 300, 0.8, spare=spare, fixed=usd(4, "day"))  # 2,304 queries a day each
    pays = (load for load in range(1, 15_000) if load * Fraction(str(teacher)) > server.cost(load))
    assert economics.least_traffic(teacher, server) == next(pays, None)


def test_a_million_tokens():
    assert economics.price_per_million_tokens(usd(3.6, "hour"), 1000) == pytest.approx(1.0)
    assert economics.price_per_million_tokens(usd(3.6, "hour"), 1000, 0.25) == pytest.approx(4.0)


def test_expected_cost_of_a_query_that_may_be_passed_on():
    assert economics.expected_cost(0.001, 0.03, 0.2, 0.01, 0.5) == pytest.approx(0.001 + 0.006 + 0.005)
    with pytest.raises(ValueError, match="the share passed on must be at most 1"):
        economics.expected_cost(0.001, 0.03, 1.2)


# --- Uncertainty ------------------------------------------------------------------------------------------------------


def days(upfront, saving):
    return economics.days_to_pay(upfront, saving)


def test_a_tornado_moves_one_input_at_a_time_and_never_is_widest():
    rows = economics.tornado(days, {"upfront": 100.0, "saving": 10.0}, {"upfront": (50, 200), "saving": (0, 20)})
    assert [row["input"] for row in rows] == ["saving", "upfront"]
    assert (rows[0]["at low"], rows[0]["at high"]) == (None, 5)
    assert (rows[1]["at low"], rows[1]["at high"]) == (5, 20)
    with pytest.raises(ValueError, match="no input 'x'; there are: upfront, saving"):
        economics.tornado(days, {"upfront": 1, "saving": 1}, {"x": (0, 1)})
    with pytest.raises(ValueError, match="does not contain its base 1"):
        economics.tornado(days, {"upfront": 1, "saving": 1}, {"saving": (2, 3)})


def test_a_simulation_counts_never_and_does_not_average_over_it():
    inputs = {"upfront": 100.0, "saving": Uncertain(-1.0, 1.0, 3.0)}
    found = economics.simulate(days, inputs, draws=4000)
    assert found.never == pytest.approx(1 / 8, abs=0.02)  # the triangle under zero
    assert found.high is None and found.median == pytest.approx(100, rel=0.05)
    assert found.low == pytest.approx(100 / (3 - math.sqrt(8 * 0.025)), rel=0.05)
    assert np.array_equal(found.days, economics.simulate(days, inputs, draws=4000).days)
    sure = economics.simulate(days, {"upfront": 100.0, "saving": 4.0}, draws=10)
    assert (sure.never, sure.median, sure.low, sure.high) == (0, 25, 25, 25)
    with pytest.raises(ValueError, match="'saving' must have low ≤ likely ≤ high, and it is \\(2, 1, 3\\)"):
        economics.simulate(days, {"upfront": 1.0, "saving": Uncertain(2, 1, 3)})


def test_what_is_not_uncertain_stays_as_it_is():
    seen = []

    def retrained(every, price, name, half):
        seen.append((every, price, name))
        return 3 * half

    found = economics.simulate(
        retrained, {"every": None, "price": np.int16(300), "name": "x", "half": Uncertain(0.5, 0.5, 0.5)}, draws=4
    )
    assert seen == [(None, 300, "x")] * 4 and type(seen[0][1]) is int and found.median == 1.5
    rows = economics.tornado(lambda every, price: price, {"every": None, "price": 2}, {"price": (1, 3)})
    assert (rows[0]["at low"], rows[0]["at high"]) == (1, 3)
    with pytest.raises(ValueError, match="'every' in a range must be a finite number, and it is None"):
        economics.tornado(days, {"every": None}, {"every": (1, 2)})


@pytest.mark.parametrize("draws", [0, -1, 2.5, None, "5"])
def test_a_simulation_needs_draws(draws):
    with pytest.raises(ValueError, match="the number of draws must be"):
        economics.simulate(days, {"upfront": 1.0, "saving": 1.0}, draws=draws)
    assert len(economics.simulate(days, {"upfront": 1.0, "saving": 1.0}, draws=np.int64(7)).days) == 7


def test_days_may_be_infinite_and_not_nan():
    assert economics.simulate(lambda: math.inf, {}, draws=3).never == 1
    assert economics.simulate(lambda: Fraction(1, 2), {}, draws=3).median == 0.5
    with pytest.raises(ValueError, match="the break-even day must be a finite number, and it is nan"):
        economics.simulate(lambda: math.nan, {}, draws=3)
    assert economics.words(math.inf) == "never" and economics.words(Fraction(69, 2)) == "34.5 days"


def test_quantiles_with_never():
    ordered = [5.0, 1.0, math.inf, 3.0]
    assert [costs.quantile(ordered, q) for q in (0.0, 0.25, 0.5, 0.75, 0.76, 1.0)] == [1, 1, 3, 5, None, None]
    assert costs.quantile(np.arange(1, 11), np.float32(0.3)) == 3  # 0.3 · 10 is over 3 in floating point of 32 bits
    for wrong in (([], 0.5), ([1.0, math.nan], 0.5)):
        with pytest.raises(ValueError, match="a quantile needs at least one day, and none that is NaN"):
            costs.quantile(*wrong)
    with pytest.raises(ValueError, match="a quantile's share must be at most 1"):
        costs.quantile([1.0], 50)


# --- The decision -----------------------------------------------------------------------------------------------------

TEACHER = Option("teacher", 1.0, 0.01)
STUDENT = Option("student", 0.9, 0.001, upfront=5_000)
CHEAP = Option("prompting", 0.5, 0.0005)


def test_advice_follows_the_bill_and_says_why():
    advice = decision.recommend([TEACHER, STUDENT, CHEAP], 10_000, 100, least_quality=0.8)
    assert advice.option == "student"
    text = "\n".join(advice.reasons)
    assert "prompting: out, quality 0.50 is under the 0.80 needed" in text
    assert "student: 6,000 over 100 days, the least of 2" in text
    assert "next is teacher, 4,000 more" in text
    assert "under 5,556 queries a day teacher costs less" in text


def test_advice_turns_at_the_traffic_it_names():
    above, below = (decision.recommend([TEACHER, STUDENT], load, 100).option for load in (5_557, 5_555))
    assert (above, below) == ("student", "teacher")
    assert any(
        "over 5,556 queries a day student" in r for r in decision.recommend([TEACHER, STUDENT], 100, 100).reasons
    )


@pytest.mark.parametrize("load", [1, 40, 300, 2_000, 50_000])
def test_between_the_turns_that_it_names_the_advice_stays_and_beyond_them_it_is_the_named_one(load):
    options = [Option(f"{labels} labels", quality, 0, cost) for labels, quality, cost in
               ((20, 0.69, 5), (50, 0.81, 12.5), (300, 0.94, 75), (997, 0.965, 249.25))]  # fmt: skip
    options += [Option("teacher", 0.95, 0, 29.91), Option("wrong", 0.76, 0, 29.91)]
    best, reasons = decision.recommend(options, load, 365, error_cost=0.001)
    turns = [r.split(" queries a day ") for r in reasons if r.startswith(("over", "under"))]
    inside = [load]
    for start, rest in turns:
        side, turn = start.split()
        turn, other = float(turn.replace(",", "")), rest.removesuffix(" costs less")
        step = 1.5 if side == "over" else -1.5
        assert decision.recommend(options, turn + step, 365, error_cost=0.001).option == other
        inside += [turn - step, (turn + load) / 2]
    assert {decision.recommend(options, each, 365, error_cost=0.001).option for each in inside} == {best}
    if not any(start.startswith("over") for start, _ in turns):
        assert decision.recommend(options, 1e9, 365, error_cost=0.001).option == best


def test_errors_that_cost_and_budgets_change_the_advice():
    assert decision.recommend([TEACHER, STUDENT], 10_000, 100, error_cost=0.5).option == "teacher"
    short = decision.recommend([TEACHER, STUDENT], 10_000, 100, budget=1_000)
    assert short.option == "teacher" and "5,000 upfront is over the budget of 1,000" in short.reasons[0]
    assert decision.recommend([TEACHER, STUDENT], 10_000, 100, budget=5_000).option == "student"
    assert decision.recommend([STUDENT], 10, 10, least_quality=0.9).option == "student"
    none = decision.recommend([CHEAP], 10, 10, least_quality=0.9)
    assert none.option is None and "nothing qualifies" in none.reasons[-1]
    with pytest.raises(ValueError, match="at least one Option"):
        decision.recommend([], 1, 1)


def test_options_of_one_name_are_refused():
    twice = Option("student", 0.9, 0.002)
    with pytest.raises(ValueError, match="2 options are called 'student': give each a name of its own"):
        decision.recommend([TEACHER, STUDENT, twice], 10, 10)
    assert decision.recommend(iter([TEACHER, STUDENT]), 10_000, 100).option == "student"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"days": 0}, "days must be over 0, and it is 0"),
        ({"days": math.nan}, "days must be a finite number"),
        ({"least_quality": 80}, "the least quality must be at most 1, and it is 80"),
        ({"error_cost": -1}, "the cost of an error must be at least 0"),
        ({"budget": -1}, "the budget must be at least 0"),
        ({"budget": "much"}, "the budget must be a finite number, and it is 'much'"),
        ({"options": [Option("x", 90, 1)]}, "the quality of 'x' must be at most 1, and it is 90"),
        ({"options": [Option("x", 0.9, None)]}, "the cost a query of 'x' must be a finite number, and it is None"),
        ({"options": [Option("x", 0.9, 1, -1)]}, "the upfront cost of 'x' must be at least 0"),
        ({"options": [Option("x", 0.9, 1, 1, -1)]}, "the fixed cost of 'x' must be at least 0"),
    ],
)
def test_amounts_of_a_decision_are_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        decision.recommend(**{"options": [TEACHER], "queries_per_day": 10, "days": 10} | changes)


def test_an_options_bill():
    paid = decision.option_cost(Option("x", 0.75, 0.01, 100, 2), 50, 10, error_cost=0.2)
    assert float(paid) == pytest.approx(100 + 20 + 500 * (0.01 + 0.05))
    with pytest.raises(ValueError, match="the quality of 'x' must be at most 1"):
        decision.option_cost(Option("x", 1.1, 0.01), 50, 10)


# --- The lesson's experiments -----------------------------------------------------------------------------------------


def test_the_recorded_sums_are_what_the_code_computes():
    table = results.load("lesson14-break-even")
    for arm in ("by the query", "server"):
        computed = lesson14.break_even(arm, 0)
        recorded = table[table.arm == arm].set_index("metric").value
        assert set(recorded.index) == set(computed)
        for metric, value in computed.items():
            assert recorded[metric] == pytest.approx(value, rel=1e-5)
    assert "days at 1,000" not in lesson14.break_even("server", 0)  # never is no number


def test_the_wrong_teacher_is_wrong_exactly_where_something_is_carried():
    for a, b in multiplication.problems("test"):
        text = lesson14_labels.forgets_the_carry(a, b)
        assert multiplication.is_right(a, b, text) == (multiplication.carries(a, b) == 0)
        assert text.startswith(multiplication.steps(a, b).rsplit("=", 1)[0] + "=")


def test_examples_in_a_prompt_are_right_and_the_question_is_the_last_line():
    lines = lesson14_labels.product_prompt(4, 1, 23, 47).split("\n")
    assert len(lines) == 5 and lines[-1] == "23 * 47 ="
    for line in lines[:-1]:
        product, answer = line.split(" = ")
        assert np.prod([int(n) for n in product.split(" * ")]) == int(answer)
