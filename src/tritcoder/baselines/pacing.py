"""When the next question may be sent: requests and tokens a minute, and money. Waits, and stops only for money."""

import random
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from tritcoder.baselines.limits import NOTHING, ServiceLimits, Spending
from tritcoder.errors import AccessError

BURST_S = 10.0
"""The token bucket holds what flows into it in so many seconds."""
SLICE_S = 0.5
"""Nobody sleeps longer than this without looking up: tokens may have been given back, the run may be closing."""
_LEAST_SLEEP_S = 0.001


@dataclass(frozen=True, slots=True)
class Clock:
    """Time and chance, so that tests need neither."""

    now: Callable[[], float] = time.monotonic
    """Seconds since some moment."""
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    """A number in [0, 1)."""


REAL_CLOCK = Clock()


class Bucket:
    """A token bucket: it fills steadily up to its capacity, and what is sent is taken out of it.

    Who wants more than the capacity waits for a full bucket and leaves a debt, so that nothing waits for ever.
    """

    def __init__(self, per_minute: float, capacity: float, now: Callable[[], float]) -> None:
        """Begin with a full bucket."""
        self._per_s, self._capacity, self._now = per_minute / 60, capacity, now
        self._level, self._seen = capacity, now()

    def wait_s(self, amount: float) -> float:
        """Seconds until so much may be taken; 0: now."""
        moment = self._now()
        self._level = min(self._capacity, self._level + (moment - self._seen) * self._per_s)
        self._seen = moment
        missing = min(amount, self._capacity) - self._level
        return missing / self._per_s if missing > 1e-6 * self._capacity else 0.0

    def take(self, amount: float) -> None:
        """Take so much out; a negative amount is given back."""
        self._level = min(self._capacity, self._level - amount)


class Meter:
    """Counts what one rival has used, and holds every question back until it may be sent; safe between threads."""

    def __init__(
        self, name: str, limits: ServiceLimits, spent: Spending = NOTHING, clock: Clock = REAL_CLOCK
    ) -> None:
        """Begin to count.

        Args:
            name: what the rival is called.
            limits: what it may use.
            spent: what answers of an interrupted run have cost already.
            clock: time and chance.
        """
        self.limits, self.clock, self._name = limits, clock, name
        self._spent, self._under_way, self._n_under_way = spent, NOTHING, 0
        self._lock = threading.Lock()
        requests, tokens = limits.requests_per_minute, limits.tokens_per_minute
        self._requests = Bucket(requests, 1.0, clock.now) if requests else None
        self._tokens = Bucket(tokens, tokens * BURST_S / 60, clock.now) if tokens else None

    @property
    def spent(self) -> Spending:
        """What is paid for so far; answers cut off in the middle count as if they had been as long as can be."""
        with self._lock:
            return self._spent

    def reserve(self, at_most: Spending, look_up: Callable[[], None]) -> None:
        """Wait until a question that costs at most so much may be sent; `settle` must follow.

        While others are under way, their answers may leave more of the money than they might, so it waits for them.

        Args:
            at_most: the tokens of the question, and of the longest answer.
            look_up: called between two short sleeps; may raise, to wait no longer.

        Raises:
            AccessError: the cost could rise above `max_cost_usd`, with nothing under way.
        """
        while wait_s := self._try(at_most):
            self.pause(min(wait_s, SLICE_S), look_up)

    def settle(self, at_most: Spending, used: Spending) -> None:
        """Put what a question really cost in the place of what was reserved for it."""
        with self._lock:
            self._under_way -= at_most
            self._n_under_way -= 1
            self._spent += used
            if self._tokens:
                self._tokens.take(used.total - at_most.total)

    def pause(self, seconds: float, look_up: Callable[[], None]) -> None:
        """Sleep in short pieces, with a call of `look_up` after each."""
        end = self.clock.now() + seconds
        while (left := end - self.clock.now()) > 0:
            self.clock.sleep(max(_LEAST_SLEEP_S, min(left, SLICE_S)))
            look_up()

    def _try(self, at_most: Spending) -> float:
        with self._lock:
            if self._would_cost_too_much(at_most):
                if not self._n_under_way:
                    raise self._too_dear(at_most)
                return SLICE_S
            wait_s = max(
                self._requests.wait_s(1) if self._requests else 0.0,
                self._tokens.wait_s(at_most.total) if self._tokens else 0.0,
            )
            if not wait_s:
                self._begin(at_most)
            return wait_s

    def _begin(self, at_most: Spending) -> None:
        self._under_way += at_most
        self._n_under_way += 1
        if self._requests:
            self._requests.take(1)
        if self._tokens:
            self._tokens.take(at_most.total)

    def _would_cost_too_much(self, at_most: Spending) -> bool:
        most = self.limits.max_cost_usd
        return bool(most) and self.limits.cost_usd(self._spent + self._under_way + at_most) > most

    def _too_dear(self, at_most: Spending) -> AccessError:
        spent, next_ = self.limits.cost_usd(self._spent), self.limits.cost_usd(at_most)
        return AccessError(
            f"{self._name} has cost {spent:.4f} USD, and one more answer of up to {next_:.4f} USD could exceed "
            f"max_cost_usd = {self.limits.max_cost_usd:g}; the answers that are there are kept",
            "raise max_cost_usd and give the same command again: only what is missing is asked",
        )
