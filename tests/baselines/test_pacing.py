import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.baselines.conftest import FakeTime

from tritcoder.baselines.limits import NOTHING, ServiceLimits, Spending
from tritcoder.baselines.pacing import BURST_S, Bucket, Meter
from tritcoder.errors import AccessError


def dollar_a_token(max_cost_usd: float) -> ServiceLimits:
    return ServiceLimits(max_cost_usd=max_cost_usd, usd_per_million_input=1e6, usd_per_million_output=1e6)


def patient() -> None:
    """Nobody closes the run."""


def test_questions_are_spread_over_the_minute(fake_time: FakeTime) -> None:
    meter = Meter("r", ServiceLimits(requests_per_minute=30), clock=fake_time.clock)
    moments = []
    for _ in range(5):
        meter.reserve(NOTHING, patient)
        moments.append(fake_time.now - 1000)
        meter.settle(NOTHING, NOTHING)
    assert moments == pytest.approx([0, 2, 4, 6, 8], abs=0.01)


def test_tokens_that_were_not_used_are_given_back(fake_time: FakeTime) -> None:
    meter = Meter("r", ServiceLimits(tokens_per_minute=600), clock=fake_time.clock)  # 10 a second, at most 100 saved
    for _ in range(3):
        meter.reserve(Spending(50, 50), patient)
        meter.settle(Spending(50, 50), Spending(5, 5))
    assert fake_time.slept == pytest.approx(2, abs=0.01)  # 10 tokens each time, and 100 again are wanted


def test_question_larger_than_the_bucket_waits_and_is_sent(fake_time: FakeTime) -> None:
    meter = Meter("r", ServiceLimits(tokens_per_minute=60), clock=fake_time.clock)
    for _ in range(2):
        meter.reserve(Spending(0, 100), patient)
        meter.settle(Spending(0, 100), Spending(0, 100))
    assert fake_time.slept == pytest.approx(100, abs=0.1)


@given(
    per_minute=st.floats(1, 1e6),
    asked=st.lists(st.tuples(st.floats(0, 1), st.floats(0, 100)), min_size=1, max_size=30),
)
def test_bucket_never_gives_more_than_has_flowed_into_it(per_minute: float, asked: list[tuple[float, float]]) -> None:
    time = FakeTime()
    capacity = per_minute * BURST_S / 60
    bucket, given_out = Bucket(per_minute, capacity, time.clock.now), 0.0
    for share, pause in asked:
        time.now += pause
        time.now += bucket.wait_s(share * capacity)
        assert bucket.wait_s(share * capacity) == 0
        bucket.take(share * capacity)
        given_out += share * capacity
    assert given_out <= (capacity + (time.now - 1000) * per_minute / 60) * (1 + 1e-4)


def test_cost_of_earlier_answers_counts(fake_time: FakeTime) -> None:
    limits = dollar_a_token(10)
    meter = Meter("r", limits, Spending(4, 4), fake_time.clock)
    meter.reserve(Spending(1, 1), patient)
    meter.settle(Spending(1, 1), Spending(1, 0))
    assert meter.spent == Spending(5, 4)
    with pytest.raises(AccessError, match=r"r has cost 9.0000 USD, .* up to 2.0000 USD .* max_cost_usd = 10"):
        meter.reserve(Spending(1, 1), patient)
    assert fake_time.slept == 0


def test_what_is_under_way_counts_at_its_worst_until_it_is_there(fake_time: FakeTime) -> None:
    meter = Meter("r", dollar_a_token(10), clock=fake_time.clock)
    meter.reserve(Spending(0, 6), patient)
    looks: list[int] = []

    def settle_at_the_third_look() -> None:
        looks.append(1)
        if len(looks) == 3:
            meter.settle(Spending(0, 6), Spending(0, 5))

    meter.reserve(Spending(0, 5), settle_at_the_third_look)
    assert len(looks) == 3


def test_many_threads_never_exceed_the_money(fake_time: FakeTime) -> None:
    meter = Meter("r", dollar_a_token(100), clock=fake_time.clock)
    stopped: list[AccessError] = []

    def spend() -> None:
        try:
            while True:
                meter.reserve(Spending(2, 5), patient)
                meter.settle(Spending(2, 5), Spending(2, 4))
        except AccessError as error:
            stopped.append(error)

    threads = [threading.Thread(target=spend) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(stopped) == 8
    assert 93 < meter.spent.total <= 100


def test_waiting_ends_when_the_run_does(fake_time: FakeTime) -> None:
    meter = Meter("r", ServiceLimits(requests_per_minute=1), clock=fake_time.clock)
    meter.reserve(NOTHING, patient)

    def close() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        meter.reserve(NOTHING, close)
    assert fake_time.slept < 1
