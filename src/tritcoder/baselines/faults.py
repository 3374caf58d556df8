"""What goes wrong with a service: passing faults, which are worth another attempt, told from refusals."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

from tritcoder.baselines.keys import without_key
from tritcoder.errors import AccessError
from tritcoder.records import FinishReason

RESUME = "wait, then give the same command again: answers already written are kept"
_PASSING = (408, 409, 429)
_NOT_SENT = ("ConnectError", "ConnectTimeout", "PoolTimeout")


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service said to one prompt."""

    text: str
    finish_reason: FinishReason
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    """Tokens written, hidden thoughts included: what is paid for."""
    error: str = ""
    """Why there is no text."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Why an attempt gave no answer, when another attempt may."""

    said: str
    wait_s: float = 0.0
    """How long the service asks us to wait."""
    may_cost: bool = False
    """Whether the service may have written, and charged for, an answer that did not arrive whole."""
    hint: str = RESUME


def refused(name: str, status: int, message: str, key_names: Sequence[str], wait_s: float = 0.0) -> Reply | Fault:
    """What an HTTP error means: a refusal of the one question is a Reply, a service that is busy or failing a Fault.

    Args:
        name: what the rival is called.
        status: the HTTP status.
        message: the service's own words.
        key_names: the environment variables that may hold the key.
        wait_s: how long the service asks us to wait.

    Raises:
        AccessError: the key or the model's name is refused.
    """
    said = f"HTTP {status}: {_one_line(message)[:300]}"
    if status in (401, 403) or (status == 400 and "api key" in message.lower()):
        raise AccessError(f"{name} does not accept the key ({said})", f"check {' or '.join(key_names)}")
    if status == 404:
        raise AccessError(f"{name} is not served there ({said})", "check the model's name and the address")
    if status in _PASSING or status >= 500:
        return Fault(said, wait_s)
    return Reply("", "error", error=said)


def is_network_error(error: BaseException) -> bool:
    """Whether an SDK's HTTP library (httpx or httpx2, by version) or the operating system gave up."""
    home = type(error).__module__.partition(".")[0]
    return isinstance(error, OSError) or home in ("httpx", "httpx2", "httpcore", "httpcore2")


def unreachable(address: str, error: BaseException, key: str) -> Fault:
    """A service that could not be reached, or fell silent in the middle of an answer.

    Args:
        address: where it was looked for.
        error: what the HTTP library says.
        key: the key, which the text must not hold.
    """
    said = without_key(_one_line(str(error)), key)[:200] or type(error).__name__
    if type(error).__name__ in _NOT_SENT:
        hint = "check the address and the network, then give the same command again"
        return Fault(f"it cannot be reached at {address}: {said}", hint=hint)
    return Fault(f"the connection to {address} broke: {said}", may_cost=True)


def cut_off(what: str) -> Fault:
    """An answer that ended before its end."""
    return Fault(f"{what} was cut off", may_cost=True)


def empty_answer(reason: FinishReason, n_thoughts: int = 0) -> str:
    """Why an answer without text is none, though the service calls it finished; for `Reply.error`."""
    if reason == "length":
        thoughts = f"{n_thoughts} tokens of hidden thought" if n_thoughts else "hidden thoughts"
        return f"no text: the room for the answer was used up by {thoughts}"
    return "no text: the service ended the answer without any"


def asked_wait_s(headers: Mapping[str, str], body: Any = None) -> float:
    """How long a service asks us to wait: `retry-after-ms`, `Retry-After` (seconds or a date), or RetryInfo; else 0.

    Args:
        headers: of the response; names in small letters, or a mapping that does not tell them apart.
        body: the parsed JSON of a Google error, whose `error.details` may hold a `google.rpc.RetryInfo`.
    """
    waits = [_number(headers.get("retry-after-ms")) / 1000, _retry_after_s(headers), _retry_info_s(body)]
    return max(0.0, *waits)


def _retry_after_s(headers: Mapping[str, str]) -> float:
    value = (headers.get("retry-after") or "").strip()
    if not value or value[0].isdigit():
        return _number(value)
    try:
        moment = parsedate_to_datetime(value).timestamp()
        sent = parsedate_to_datetime(headers["date"]).timestamp() if headers.get("date") else time.time()
    except ValueError:
        return 0.0
    return moment - sent


def _retry_info_s(body: Any) -> float:
    body = body[0] if isinstance(body, list) and body else body
    error = body.get("error") if isinstance(body, Mapping) else None
    details = error.get("details") if isinstance(error, Mapping) else None
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, Mapping) and str(detail.get("@type", "")).endswith("google.rpc.RetryInfo"):
            return _number(str(detail.get("retryDelay", "")).removesuffix("s"))
    return 0.0


def _number(text: str | None) -> float:
    try:
        value = float(text or 0)
    except ValueError:
        return 0.0
    return value if 0 <= value < 1e9 else 0.0


def _one_line(text: str) -> str:
    return " ".join(text.split())
