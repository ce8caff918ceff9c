"""Economics: the published sum to the query, what it leaves out, bad amounts refused by name, never is never."""

import dataclasses
import math
import re
import warnings
from decimal import Decimal
from fractions import Fraction

import nbformat
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from distill_lessons import economics, runtime
from distill_lessons.course import claims, results
from distill_lessons.course.experiments import lesson14, lesson14_labels
from distill_lessons.economics import (
    Between,
    Engineering,
    Evaluation,
    Generation,
    Hosted,
    Outlook,
    Plan,
    Price,
    TokenPriced,
    Training,
    Uncertain,
    Upkeep,
    costs,
    decision,
)
from distill_lessons.pairs import multiplication

DATE = "2026-11-25"


def usd(amount, per):
    return Price(amount, f"USD per {per}", DATE, "assumed")


def million(amount):
    return usd(amount, "million tokens")


TEACHER = TokenPriced(500, 250, million(1), million(4))
SERVER = Hosted(usd(1, "hour"), 1000, 750, 0.5)  # 57,600 queries a day, 24 USD a day
ONCE = {
    "data": Generation(10_000, 0.8, 200, 300, million(1), million(4)),
    "training": Training(5, 6, usd(2, "hour")),
    "engineering": Engineering(10, usd(800, "day")),
    "evaluation": Evaluation(500, usd(0.5, "item")),
}  # 17.5 + 60 + 8,000 + 250 USD


def student(**changes):
    return Plan(**{"name": "student", "server": SERVER, "wrong": 0.2, "once": ONCE} | changes)


def teacher(**changes):
    return Plan(**{"name": "teacher", "server": TEACHER, "wrong": 0.1, "once": {}} | changes)


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
        lambda: Outlook(0, 12),
        lambda: TEACHER.cost(0),
        lambda: SERVER.machines(0),
    ):
        with pytest.raises(ValueError, match="queries a day must be over 0, and it is 0"):
            call()


# --- Numbers of every kind --------------------------------------------------------------------------------------------


def priced(a, b):
    return Price(a, "USD per million tokens", DATE, "list"), Price(b, "USD per million tokens", DATE, "list")


def typed(a, b, c, share, months=7):
    """A plan with an amount in every place, another without any, and an outlook."""
    hosted = Hosted(
        usd(a, "hour"), b, c, share, spare=1, fixed=usd(b, "day"), tokens_in=a, tokens_in_per_second=c, peak=2
    )
    api = TokenPriced(b, c, *priced(a, b), share, priced(a, b)[0], share, share)
    once = {"engineering": Engineering(a, usd(b, "day")), "training": Training(a, b, usd(c, "hour")),
            "data": Generation(a, share, b, c, *priced(b, c)), "evaluation": Evaluation(a, usd(b, "item"))}  # fmt: skip
    how = {"upkeep": Upkeep(a, usd(b, "hour")), "retrain_every": 2, "retrain_parts": ("data", "evaluation")}
    plan = Plan("own", hosted, share, once, share, api, **how)
    ahead = Outlook(a, months, share, share / 2, share, usd(b, "error"))
    return plan, Plan("api", api, share, {}), ahead


# For each public function a call with amounts a, b, c of at least 1, and a share over 0 and at most 1.
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
    "price_per_million_tokens": lambda a, b, c, share: economics.price_per_million_tokens(usd(a, "hour"), b, share),
    "prices_in": lambda a, b, c, share: str(max(map(str, economics.prices_in(typed(a, b, c, share)[:2])))),
    "bill": lambda a, b, c, share: {
        name: amounts.tolist() for name, amounts in economics.bill(*typed(a, b, c, share)[::2]).items()
    },
    "present_value": lambda a, b, c, share: economics.present_value(*typed(a, b, c, share)[::2]),
    "by_volume": lambda a, b, c, share: economics.by_volume(*typed(a, b, c, share)[::2], np.array([20, 90], np.int8)).tolist(),
    "paid_so_far": lambda a, b, c, share: [x.tolist() for x in economics.paid_so_far(*typed(a, b, c, share)[::2])],
    "break_even_day": lambda a, b, c, share: economics.break_even_day(*typed(a, b, c, share)),
    "turns": lambda a, b, c, share: economics.turns(typed(a, b, c, share)[:2], typed(a, b, c, share)[2], 2, 90),
    "tornado": lambda a, b, c, share: economics.tornado(
        lambda a, b: a * a * b * 1.0, {"a": a, "b": b}, {"a": (a, a), "b": (b, b)}
    ),
    "draw": lambda a, b, c, share: economics.draw({"a": Between(0, a), "b": b, "c": Uncertain(-1, 0, c)}, draws=2),
    "simulate": lambda a, b, c, share: economics.simulate(
        lambda a, b: a * a * b * 1.0, {"a": Uncertain(a, a, a), "b": b}, draws=3
    ).median,
    "words": lambda a, b, c, share: economics.words(a, "queries"),
    "recommend": lambda a, b, c, share: decision.recommend(
        typed(a, b, c, share)[:2], typed(a, b, c, share)[2], most_wrong=share, budget=b
    ),
}  # fmt: skip
WHOLE = [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64]
REAL = [np.float16, np.float32, np.float64]


def python_number(value):
    return int(value) if isinstance(value, np.integer) else float(str(value))


def test_every_public_function_is_called():
    functions = {name for name in economics.__all__ if callable(getattr(economics, name))}
    assert functions - {name for name in functions if name[0].isupper()} | {"recommend"} == set(CALLS)


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
        student(server=Hosted(Price(1, "EUR per hour", DATE, "assumed"), 1000, 750, 0.5))


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
        (lambda: economics.price_per_million_tokens(usd(1, "hour"), 10, 2), "utilisation must be at most 1"),
        (lambda: Hosted(usd(1, "hour"), 10, 10, 1, spare=0.5).cost(5), "spare machines come whole, and 0.5 came"),
        (lambda: Price(1, None, DATE, "list"), "a unit reads like 'USD per hour', and this is None"),
        (lambda: student(hands_on=1.5, to=TEACHER), "the share that 'student' hands on must be at most 1"),
        (
            lambda: student(hands_on=math.nan),
            "the share that 'student' hands on must be a finite number, and it is nan",
        ),
        (lambda: student(hands_on=0.1), "'student' hands queries on to nobody: give `to`"),
        (lambda: student(wrong=None), "share of 'student' that is wrong must be a finite number, and it is None"),
        (lambda: student(wrong=15), "share of 'student' that is wrong must be at most 1, and it is 15"),
        (
            lambda: student(retrain_every=0, retrain_parts=("evaluation",)),
            "months between retrainings must be at least 1",
        ),
        (lambda: student(retrain_every=1.5, retrain_parts=("evaluation",)), "between retrainings must be whole"),
        (
            lambda: student(retrain_every=6, retrain_parts=("data", "training")),
            "'student' would ship a retrained model un",
        ),
        (lambda: student(retrain_every=6), "would ship a retrained model unevaluated: name an Evaluation"),
        (lambda: student(retrain_parts=("data", "data")), "repeats a part twice"),
        (lambda: student(retrain_parts="data"), r"retrain_parts are several names, like \('data',\)"),
        (lambda: student(retrain_parts=("date",)), "repeats 'date', which is not among the parts paid once"),
        (lambda: Outlook(10, 0), "the horizon in months must be at least 1"),
        (lambda: Outlook(10, 2.5), "the horizon in months must be whole"),
        (lambda: Outlook(10, 5, growth=-1), "the growth a month must be over -1"),
        (lambda: Outlook(10, 5, api_falls=1), "must be under 1, or everything is free tomorrow"),
        (lambda: Outlook(10, 5, api_falls=-0.1), "the fall of prices a year must be at least 0"),
        (lambda: Outlook(10, 5, discount=-0.1), "the discount a year must be at least 0"),
        (lambda: Outlook(10, 5, error_price=usd(1, "hour")), "the price of an error must be per error"),
        (lambda: Outlook(10, 5, error_price=0.2), "the price of an error must be a Price"),
        (lambda: Upkeep(-1, usd(80, "hour")).cost(), "hours of upkeep must be at least 0"),
        (lambda: Upkeep(1, usd(80, "day")).cost(), "the rate of upkeep must be per hour"),
        (lambda: api(cached=0.5).cost(1), "cached tokens have a price of their own"),
        (lambda: api(cached=1.5).cost(1), "the share of cached tokens must be at most 1"),
        (lambda: api(waits=2).cost(1), "the share that waits must be at most 1"),
        (lambda: api(batch_off=50).cost(1), "the batch discount must be at most 1"),
        (lambda: Hosted(usd(1, "hour"), 10, 10, 1, peak=0.5).cost(5), "the peak load over the mean must be at least 1"),
        (lambda: Hosted(usd(1, "hour"), 10, 0, 1).cost(5), "tokens a query must be over 0"),
        (lambda: Hosted(usd(1, "hour"), 10, 10, 1, tokens_in=5).cost(5), "a prompt is read at a speed of its own"),
        (lambda: economics.by_volume(student(), Outlook(1, 1), [0]), "volumes must be finite and over 0"),
        (lambda: economics.turns([student()], Outlook(1, 1), 9, 3), "no whole volume from 9 to 3"),
        (lambda: economics.turns([], Outlook(1, 1), 1, 3), "at least one Plan"),
        (
            lambda: economics.bill(student(), Outlook(1, 1, error_price=Price(1, "EUR per error", DATE, "assumed"))),
            "prices in EUR and USD cannot be added",
        ),
    ],
)
def test_parts_of_a_plan_are_checked(part, words):
    with pytest.raises(ValueError, match=words):
        part()


def api(**how):
    return TokenPriced(1500, 20, million(3), million(15), **how)


# --- What is paid day after day ---------------------------------------------------------------------------------------


shares = st.integers(0, 20).map(lambda n: n / 20)


@given(st.integers(0, 3000), st.integers(0, 300), shares, shares, shares, st.integers(1, 9), st.integers(0, 9))
def test_an_apis_bill_token_by_token(tokens_in, tokens_out, cached, waits, off, price, cheap):
    """Each of 20 queries that wait or not, each with its tokens cached or not."""
    server = TokenPriced(
        tokens_in, tokens_out, million(price), million(5 * price), cached, million(cheap / 10), waits, off
    )
    total = 0
    for query in range(20):
        paid = tokens_in * cached * cheap / 10 + tokens_in * (1 - cached) * price + tokens_out * 5 * price
        total += paid * (1 - off if query < round(20 * waits) else 1)
    assert float(server.cost(20)) == pytest.approx(total / 1e6, rel=1e-9, abs=1e-12)


def test_the_switches_of_an_api():
    assert float(api().cost(1000)) == pytest.approx(4.8)
    cached = {"cached": 0.96, "price_cached": million(0.3)}
    assert float(api(**cached).cost(1000)) == pytest.approx(4.8 - 1.5 * 0.96 * 2.7)
    assert float(api(waits=0.8, batch_off=0.5).cost(1000)) == pytest.approx(4.8 * 0.6)
    assert float(api(**cached, waits=0.8, batch_off=0.5).cost(1000)) == pytest.approx(0.912 * 0.6)
    assert api(waits=0.8) == api(waits=0.8, batch_off=0) and api(waits=0.8).cost(7) == api().cost(7)
    assert api(waits=1, batch_off=1).cost(5) == 0
    with pytest.raises(ValueError, match="prices in EUR and USD"):
        api(cached=0.1, price_cached=Price(1, "EUR per million tokens", DATE, "assumed")).cost(1)


@given(
    st.integers(0, 500),
    st.integers(1, 200),
    st.integers(1, 40),
    st.integers(1, 60),
    st.integers(1, 4),
    st.integers(1, 9),
)
@settings(max_examples=60)
def test_machines_by_adding_them_until_the_busiest_hour_is_served(tokens_in, tokens, load, read, peak, share):
    server = Hosted(usd(1, "hour"), 7, tokens, share / 10, 2, None, tokens_in, read, peak)
    seconds = Fraction(tokens, 7) + Fraction(tokens_in, read)  # of one machine for a query
    machines = 1
    while machines * 3600 * Fraction(share, 10) < Fraction(1000 * load, 24) * peak * seconds:
        machines += 1
    assert server.machines(1000 * load) == machines + 2


def test_prompts_are_read_at_a_speed_of_their_own():
    two = Hosted(usd(2, "hour"), 1000, 20, 1, tokens_in=1500, tokens_in_per_second=10_000)
    assert two.seconds() == Fraction(17, 100)
    assert Hosted(usd(2, "hour"), 1000, 1520, 1).seconds() == Fraction(152, 100)  # all at the speed of writing
    assert Hosted(usd(2, "hour"), 1000, 0, 1, tokens_in=1500, tokens_in_per_second=10_000).seconds() == Fraction(
        15, 100
    )


# --- A plan over months -----------------------------------------------------------------------------------------------


def by_hand(plan, outlook):
    """Everything month by month, as a list of {part: money}; plain loops, and nothing of `economics.plans`."""
    months, load, days = [], outlook.queries_per_day, 365 / 12
    for month in range(outlook.months):
        path = (1 - outlook.api_falls) ** (month / 12)

        def served(server, load, path=path):
            if isinstance(server, TokenPriced):
                query = server.tokens_in * server.price_in.amount + server.tokens_out * server.price_out.amount
                return load * query / 1e6 * path
            machines = server.spare
            while (machines - server.spare) * 86_400 * server.utilisation * server.tokens_per_second < (
                load * server.tokens * server.peak * (1 - 1e-9)
            ):
                machines += 1
            return machines * 24 * server.price.amount

        row = {"once": sum(float(part.cost()) for part in plan.once.values()) if month == 0 else 0.0}
        row["serving"] = days * served(plan.server, load)
        row["handed on"] = days * served(plan.to, plan.hands_on * load) if plan.hands_on else 0.0
        row["upkeep"] = plan.upkeep.hours * plan.upkeep.rate.amount if plan.upkeep else 0.0
        again = plan.retrain_every and month and month % plan.retrain_every == 0
        row["retraining"] = sum(
            float(plan.once[name].cost()) * (path if name == "data" else 1) for name in plan.retrain_parts
        ) if again else 0.0  # fmt: skip
        row["errors"] = days * load * plan.wrong * outlook.error_price.amount if outlook.error_price else 0.0
        months.append(row)
        load *= 1 + outlook.growth
    return months


@st.composite
def plans(draw, name="plan"):
    own = Hosted(usd(draw(st.integers(1, 4)), "hour"), 1000, 750, 0.5, draw(st.integers(0, 2)),
                 peak=draw(st.integers(1, 3)))  # fmt: skip
    server = draw(st.sampled_from([own, TEACHER]))
    hands_on = draw(st.sampled_from([0, 0.25, 1]))
    retrain = draw(st.sampled_from([None, 1, 3, 6]))
    parts = ("data", "evaluation") if retrain else ()
    upkeep = draw(st.sampled_from([None, Upkeep(7, usd(80, "hour"))]))
    once = draw(st.sampled_from([ONCE, {} if not retrain else ONCE]))
    return Plan(name, server, draw(shares), once, hands_on, TEACHER, upkeep, retrain, parts)


@st.composite
def outlooks(draw):
    price = draw(st.sampled_from([None, usd(0.001, "error")]))
    return Outlook(draw(st.integers(1_000, 200_000)), draw(st.integers(1, 30)), draw(st.sampled_from([-0.1, 0, 0.07])),
                   draw(st.sampled_from([0, 0.3])), draw(st.sampled_from([0, 0.08])), price)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(plans(), outlooks())
def test_a_bill_month_by_month(plan, outlook):
    expected, found = by_hand(plan, outlook), economics.bill(plan, outlook)
    for name, amounts in found.items():
        assert amounts == pytest.approx([row[name] for row in expected], rel=1e-9, abs=1e-9), name
    worth = [sum(row.values()) / (1 + outlook.discount) ** (month / 12) for month, row in enumerate(expected)]
    assert economics.present_value(plan, outlook) == pytest.approx(sum(worth), rel=1e-9)
    assert economics.by_volume(plan, outlook, [outlook.queries_per_day]) == pytest.approx([sum(worth)], rel=1e-9)
    days, paid = economics.paid_so_far(plan, outlook)
    assert len(days) == len(paid) == 2 * outlook.months and (np.diff(paid) >= -1e-6).all()
    assert days[-1] == pytest.approx(outlook.months * 365 / 12) and paid[-1] == pytest.approx(sum(worth), rel=1e-9)
    assert paid[0] == pytest.approx(expected[0]["once"])


@settings(max_examples=80, deadline=None)
@given(plans(), plans("other"), outlooks())
def test_the_break_even_day_by_walking_through_the_days(plan, other, outlook):
    """Day by day: what both have paid at its end; the first day after the last one on which the plan is behind."""
    walked, behind, total = [], [], [0.0, 0.0]
    months = [by_hand(each, outlook) for each in (plan, other)]
    steps = 30  # a month's
    for month in range(outlook.months):
        worth = (1 + outlook.discount) ** (-month / 12)
        for part in range(steps + 1):
            for side, rows in enumerate(months):
                lumps = rows[month]["once"] + rows[month]["retraining"]
                total[side] += (lumps if part == 0 else (sum(rows[month].values()) - lumps) / steps) * worth
            walked.append((month + part / steps) * 365 / 12)
            behind.append(total[0] - total[1])
    found = economics.break_even_day(plan, other, outlook)
    least = 1e-7 * max(total)
    if behind[-1] > least:
        assert found is None
    elif found is None:  # the same all along
        assert max(map(abs, behind)) <= least
    elif behind[-1] < -least:
        last = max((day for day, each in zip(walked, behind) if each > least), default=None)
        assert found == 0 if last is None else last - 1e-6 <= found <= last + 365 / 12 / steps + 1e-6


def test_break_even_in_a_world_that_stands_still_is_the_short_sum():
    steady = Outlook(30_000, 24)
    saving = 30_000 * 1500 / 1e6 - 24  # 21 USD a day
    assert economics.break_even_day(student(), teacher(), steady) == pytest.approx(8_327.5 / saving)
    assert economics.break_even_day(student(), teacher(), steady) == pytest.approx(
        economics.days_to_pay(8_327.5, Fraction(str(saving)))
    )
    assert economics.break_even_day(student(), teacher(), Outlook(30_000, 13)) is None  # day 396.5 is after the horizon
    assert economics.break_even_day(student(once={}), teacher(), steady) == 0.0
    assert economics.break_even_day(teacher(), student(), steady) is None
    assert economics.break_even_day(student(), student(), steady) is None  # nothing is saved


def test_each_thing_that_the_short_sum_leaves_out_moves_the_day_the_right_way():
    steady, plan = Outlook(30_000, 48), student()
    day = economics.break_even_day(plan, teacher(), steady)
    later = {
        "upkeep": (student(upkeep=Upkeep(2, usd(80, "hour"))), steady),
        "retraining": (student(retrain_every=6, retrain_parts=("data", "training", "evaluation")), steady),
        "a spare": (student(server=dataclasses.replace(SERVER, spare=1, price=usd(0.6, "hour"))), steady),
        "handing on": (student(hands_on=0.1, to=TEACHER), steady),
        "falling prices": (plan, dataclasses.replace(steady, api_falls=0.1)),
        "discount": (plan, dataclasses.replace(steady, discount=0.1)),
        "errors": (plan, dataclasses.replace(steady, error_price=usd(0.001, "error"))),
    }
    for what, (other, outlook) in later.items():
        assert economics.break_even_day(other, teacher(), outlook) > day + 5, what
    growing = dataclasses.replace(steady, growth=0.02)
    assert economics.break_even_day(plan, teacher(), growing) < day - 5


def test_it_is_the_day_after_which_it_stays_ahead():
    """Ahead after 100 days, then a retraining puts it behind, and it is ahead again from day 400 on."""
    plan = student(
        once={"evaluation": Evaluation(1, usd(2_100, "item"))}, retrain_every=5, retrain_parts=("evaluation",)
    )
    # 21 a day: 2,100 after 100 days; 4,200 at day 152 needs day 200; the third time, at day 304, needs day 300
    assert economics.break_even_day(plan, teacher(), Outlook(30_000, 9)) == pytest.approx(200)
    assert economics.break_even_day(plan, teacher(), Outlook(30_000, 5)) == pytest.approx(100)
    assert economics.break_even_day(plan, teacher(), Outlook(30_000, 6)) is None
    # the other is made anew at the start of month 5, which puts this one ahead on that day
    costly = teacher(once={"evaluation": Evaluation(1, usd(1, "item")), "data": ONCE["engineering"]}, retrain_every=5,
                     retrain_parts=("evaluation", "data"))  # fmt: skip
    assert economics.break_even_day(
        student(once={"engineering": Engineering(20, usd(800, "day"))}), costly, Outlook(30_000, 6)
    ) == pytest.approx(5 * 365 / 12)


def test_machines_of_a_plan_are_those_of_its_server():
    for load in (1, 57_600, 57_601, 115_200, 400_000):
        found = economics.bill(student(), Outlook(load, 1))["serving"][0]
        assert found == pytest.approx(float(SERVER.cost(load)) * 365 / 12)


def test_the_parts_that_are_paid_once():
    assert {name: float(part.cost()) for name, part in ONCE.items()} == {
        "data": pytest.approx(12_500 * (200 * 1 + 300 * 4) / 1e6),
        "training": 60,
        "engineering": 8_000,
        "evaluation": 250,
    }


def test_machines_come_whole_and_the_spare_one_is_paid_too():
    server = Hosted(usd(1, "hour"), 1000, 750, 0.5, spare=1, fixed=usd(3, "day"))
    assert server.capacity() == 57_600
    assert [server.machines(load) for load in (1, 57_600, 57_601, 120_000)] == [2, 2, 3, 4]
    assert server.cost(57_601) == 3 * 24 + 3


def test_where_the_cheapest_changes():
    steady = Outlook(1_000, 12)
    # 8,327.5 once and 24 a day for each 57,600 queries, against 0.0015 a query: even where
    # 365 · 0.0015 v = 8,327.5 + 365 · 24
    turn = (8_327.5 + 365 * 24) / (365 * 0.0015)
    assert economics.turns([teacher(), student()], steady, 100, 50_000) == [
        (100, "teacher"),
        (math.ceil(turn), "student"),
    ]
    stairs = student(once={}, server=dataclasses.replace(SERVER, price=usd(3, "hour")))  # 72 a day, up to 86.4 saved
    assert economics.turns([teacher(), stairs], steady, 40_000, 90_000) == [
        (40_000, "teacher"), (48_001, "student"), (57_601, "teacher")
    ]  # fmt: skip
    assert economics.turns([stairs], steady, 5, 5) == [(5, "student")]


@pytest.mark.parametrize("spare", [0, 1, 3])
@pytest.mark.parametrize("price, teacher", [(1, 0.016), (0.5, 0.002), (0.3, 0.00999), (1, 0.0005), (2, 0.05)])
def test_the_least_traffic_by_trying_all(spare, price, teacher):
    server = Hosted(usd(price, "hour"), 10, 300, 0.8, spare=spare, fixed=usd(4, "day"))  # 2,304 queries a day each
    pays = (load for load in range(1, 15_000) if load * Fraction(str(teacher)) > server.cost(load))
    assert economics.least_traffic(teacher, server) == next(pays, None)


def test_a_million_tokens():
    assert economics.price_per_million_tokens(usd(3.6, "hour"), 1000) == pytest.approx(1.0)
    assert economics.price_per_million_tokens(usd(3.6, "hour"), 1000, 0.25) == pytest.approx(4.0)


# --- Uncertainty ------------------------------------------------------------------------------------------------------


def days(upfront, saving):
    return economics.days_to_pay(upfront, saving)


def test_a_tornado_is_ranked_by_what_lies_between_both_ends_and_the_base():
    def cost(u, wide, flat):
        return 10 * abs(u - 1) + wide + 0 * flat

    base = {"u": 1, "wide": 5, "flat": 0}
    rows = economics.tornado(cost, base, {"flat": (-9, 9), "wide": (3, 8), "u": (0, 1.8)})
    assert [row["input"] for row in rows] == ["u", "wide", "flat"]  # u: 15 and 13 at its ends, and 5 between them
    assert (rows[0]["at low"], rows[0]["at high"]) == (15, 13)
    rows = economics.tornado(cost, base, {"u": (1, 1.6), "wide": (2, 7)})  # 6 above the base; 3 under and 2 above it
    assert [row["input"] for row in rows] == ["u", "wide"]


def test_a_tornado_about_a_base_that_never_pays():
    def rarely(price, load):
        return 7 if price < 1 else None

    rows = economics.tornado(rarely, {"price": 1, "load": 1}, {"load": (0, 2), "price": (0, 2)})
    assert [row["input"] for row in rows] == ["price", "load"]
    always = economics.tornado(
        lambda price, load: 7 if price == load == 1 else None,
        {"price": 1, "load": 1},
        {"load": (1, 1), "price": (0, 2)},
    )
    assert [row["input"] for row in always] == ["price", "load"]  # a day between two nevers


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


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 10**6))
@settings(max_examples=30, deadline=None)
def test_draws_stay_in_their_ranges_and_a_seed_repeats_them(low, likely, more, seed):
    inputs = {
        "t": Uncertain(low, low + likely, low + likely + more),
        "u": Between(low, low + more),
        "x": None,
        "n": "x",
    }
    rows = economics.draw(inputs, 50, seed)
    assert rows == economics.draw(inputs, 50, seed) and len(rows) == 50
    for row in rows:
        assert low <= row["t"] <= low + likely + more and low <= row["u"] <= low + more
        assert row["x"] is None and row["n"] == "x"


def test_draws_have_the_shape_that_they_say():
    rows = economics.draw({"t": Uncertain(0, 1, 5), "u": Between(0, 5)}, 20_000)
    t, u = (np.array([row[name] for row in rows]) for name in "tu")
    assert t.mean() == pytest.approx(2, abs=0.05) and u.mean() == pytest.approx(2.5, abs=0.05)
    assert (t < 1).mean() == pytest.approx(0.2, abs=0.02) and (u < 1).mean() == pytest.approx(0.2, abs=0.02)
    assert abs(np.corrcoef(t, u)[0, 1]) < 0.03  # each on its own
    with pytest.raises(ValueError, match="'u' must have low ≤ high, and it is \\(2, 1\\)"):
        economics.draw({"u": Between(2, 1)})


# --- The decision -----------------------------------------------------------------------------------------------------

LARGE = teacher()
SMALL = student(once={"engineering": Engineering(5, usd(800, "day"))})
CHEAP = teacher(name="prompting", server=TokenPriced(50, 25, million(1), million(4)), wrong=0.5)
STEADY = Outlook(40_000, 12)


def test_advice_follows_the_bill_and_says_why():
    advice = decision.recommend([LARGE, SMALL, CHEAP], STEADY, most_wrong=0.2)
    assert advice.plan == "student"
    text = "\n".join(advice.reasons)
    assert "prompting: out, 50% wrong is over the 20% allowed" in text
    assert "student: 12,760 over 12 months, the least of 2" in text  # 4,000 + 365 · 24
    assert "next is teacher, 9,140 more" in text  # 365 · 60 = 21,900
    turn = math.ceil(12_760 / 365 / 0.0015)
    assert f"under {turn:,} queries a day, teacher" in text and "from" not in text
    few = decision.recommend([LARGE, SMALL], dataclasses.replace(STEADY, queries_per_day=100))
    assert few.plan == "teacher" and f"from {turn:,} queries a day on, student" in few.reasons
    for load, best in ((turn - 1, "teacher"), (turn, "student")):
        assert decision.recommend([LARGE, SMALL], dataclasses.replace(STEADY, queries_per_day=load)).plan == best
    assert decision.recommend([LARGE, SMALL], dataclasses.replace(STEADY, queries_per_day=0.5)).plan == "teacher"


def test_errors_that_cost_and_budgets_change_the_advice():
    errors = dataclasses.replace(STEADY, error_price=usd(0.01, "error"))
    assert decision.recommend([LARGE, SMALL], errors).plan == "teacher"
    short = decision.recommend([LARGE, SMALL], STEADY, budget=1_000)
    assert short.plan == "teacher" and "4,000 to begin with is over the budget of 1,000" in short.reasons[0]
    assert decision.recommend([LARGE, SMALL], STEADY, budget=4_000).plan == "student"
    assert decision.recommend([LARGE], STEADY, most_wrong=0.1).plan == "teacher"
    none = decision.recommend([CHEAP], STEADY, most_wrong=0.1)
    assert none.plan is None and "nothing qualifies" in none.reasons[-1]
    with pytest.raises(ValueError, match="at least one Plan"):
        decision.recommend([], STEADY)


def test_plans_of_one_name_are_refused():
    with pytest.raises(ValueError, match="2 plans are called 'student': give each a name of its own"):
        decision.recommend([LARGE, SMALL, student()], STEADY)
    assert decision.recommend(iter([LARGE, SMALL]), STEADY).plan == "student"


@pytest.mark.parametrize(
    "changes, words",
    [
        ({"most_wrong": 20}, "the most that may be wrong must be at most 1, and it is 20"),
        ({"budget": -1}, "the budget must be at least 0"),
        ({"budget": "much"}, "the budget must be a finite number, and it is 'much'"),
        ({"within": 1}, "how far traffic is looked at must be over 1"),
    ],
)
def test_amounts_of_a_decision_are_refused_by_name(changes, words):
    with pytest.raises(ValueError, match=words):
        decision.recommend([LARGE], STEADY, **changes)


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


def test_the_page_says_of_a_claim_what_the_ledger_says():
    notebook = nbformat.read(runtime.REPOSITORY / "notebooks" / "14_economics.ipynb", as_version=4)
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    said = dict(re.findall(r"^- \*\*(C\d+[a-z]?)\*\* [^:]+: ([^;,.]+)", prose, re.M))
    assert len(said) >= 5
    judged = {row["claim"]: row["verdict"] for row in claims.ledger() if row["role"] == "main"}
    assert said == {claim: judged[claim] for claim in said}
