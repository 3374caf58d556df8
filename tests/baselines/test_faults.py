from typing import Any

import pytest

from tritcoder.baselines.faults import Fault, Reply, asked_wait_s, refused, unreachable
from tritcoder.errors import AccessError

RETRY_INFO = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "7.5s"}


@pytest.mark.parametrize("status", [401, 403, 404])
def test_status_of_the_service_stops_the_run(status: int) -> None:
    with pytest.raises(AccessError, match=f"HTTP {status}: words of the service") as caught:
        refused("r", status, "words\nof the  service", ["KEY"])
    assert caught.value.hint


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504, 529])
def test_status_of_the_moment_is_worth_another_attempt(status: int) -> None:
    assert refused("r", status, "later", ["KEY"], 3.0) == Fault(f"HTTP {status}: later", 3.0)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_status_of_a_question_is_an_answer(status: int) -> None:
    assert refused("r", status, "x" * 999, ["KEY"]) == Reply("", "error", error=f"HTTP {status}: {'x' * 300}")


@pytest.mark.parametrize(
    ("headers", "body", "seconds"),
    [
        ({}, None, 0),
        ({"retry-after": "12"}, None, 12),
        ({"retry-after": "0.5"}, None, 0.5),
        ({"retry-after-ms": "250"}, None, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:30 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, None, 30),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, None, 0),
        ({}, {"error": {"details": [{"@type": "other"}, RETRY_INFO]}}, 7.5),
        ({}, [{"error": {"details": [RETRY_INFO]}}], 7.5),
        ({"retry-after": "9"}, {"error": {"details": [RETRY_INFO]}}, 9),
        ({"retry-after": "soon"}, None, 0),
        ({"retry-after": "1e999"}, None, 0),
        ({"retry-after": "-5"}, None, 0),
        ({"retry-after": " "}, None, 0),
        ({"retry-after-ms": "nan"}, {"error": {"details": "none"}}, 0),
        ({}, {"error": {"details": [3, {"@type": RETRY_INFO["@type"], "retryDelay": None}]}}, 0),
        ({}, {"error": "text"}, 0),
        ({}, [], 0),
    ],
)
def test_pause_that_a_service_asks_for_is_read(headers: dict[str, str], body: Any, seconds: float) -> None:
    assert asked_wait_s(headers, body) == pytest.approx(seconds)


def test_network_error_that_quotes_the_key_is_told_without_it() -> None:
    class ConnectError(OSError):
        """As the HTTP libraries call it."""

    never_sent = unreachable("http://host", ConnectError("illegal header k3y"), "k3y")
    assert never_sent.said == "it cannot be reached at http://host: illegal header [the key]"
    assert not never_sent.may_cost
    assert unreachable("http://host", TimeoutError(), "") == Fault(
        "the connection to http://host broke: TimeoutError", may_cost=True
    )
