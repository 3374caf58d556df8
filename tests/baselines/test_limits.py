import math
from typing import Any

import pytest

from tritcoder.baselines.limits import NOTHING, ServiceLimits, Spending
from tritcoder.errors import ConfigError
from tritcoder.records import Completion


@pytest.mark.parametrize(
    "asked",
    [
        {"requests_per_minute": -1},
        {"tokens_per_minute": math.nan},
        {"max_cost_usd": math.inf, "usd_per_million_input": 1, "usd_per_million_output": 1},
        {"usd_per_million_input": -0.1},
        {"usd_per_million_output": -0.1},
        {"thinking_tokens": -1},
        {"at_once": 0},
        {"attempts": 0},
        {"first_wait_s": -1},
        {"timeout_s": 0},
        {"timeout_s": math.inf},
    ],
)
def test_limits_outside_their_range_are_refused_by_name(asked: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(asked))):
        ServiceLimits(**asked)


@pytest.mark.parametrize("prices", [{}, {"usd_per_million_input": 1}, {"usd_per_million_output": 1}])
def test_cost_limit_without_both_prices_is_refused(prices: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="needs usd_per_million_input and usd_per_million_output"):
        ServiceLimits(max_cost_usd=5, **prices)


def test_cost_is_tokens_times_price() -> None:
    limits = ServiceLimits(usd_per_million_input=0.5, usd_per_million_output=3)
    assert limits.cost_usd(Spending(2_000_000, 1_000_000)) == pytest.approx(4)
    assert limits.cost_usd(NOTHING) == 0


def test_spending_of_answers_is_their_sum() -> None:
    answers = [Completion("t", n, "", "stop", n_prompt_tokens=n, n_tokens=10 * n) for n in range(4)]
    assert Spending.of(answers) == Spending(6, 60)
    assert Spending.of([]) == NOTHING
