"""What all rivals behind an API share: several questions under way at once, and attempts one after the other.

A refusal of the one question (too long, blocked by a filter) is an answer with `finish_reason == "error"`; a refusal
of the service (key, quota, network, money) stops the run, which can be resumed: a passing fault is no answer.
"""

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import NamedTuple, Protocol

from tritcoder.baselines.faults import RESUME, Fault, Reply
from tritcoder.baselines.limits import NOTHING, Spending
from tritcoder.baselines.pacing import Meter
from tritcoder.baselines.prompting import cut_at_stop
from tritcoder.baselines.shown import Shown
from tritcoder.errors import AccessError, TritcoderError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, Prompt, Sampling

MIN_OUTPUT_TOKENS = 8192
"""Room for an answer of a vendor's model: its hidden thoughts are counted too, and can leave no room for text."""
N_REFUSED = 5
"""After so many refusals and not one answer, the fault is taken to lie in the request, and the run stops."""
MAX_BACK_OFF_S = 60.0
"""Pauses between attempts double up to this."""
MAX_ASKED_WAIT_S = 300.0
"""A service that asks us to wait longer (a quota of the day, say) stops the run."""

_EXTRA_PROMPT_TOKENS = 64
"""Tokens that a service may put around a message."""

Say = Callable[[str], None]
"""Takes each piece of an answer as it comes."""


class Service(Protocol):
    """What it takes to be asked: one attempt, and what that costs at the most."""

    @property
    def name(self) -> str:
        """What reports call it."""
        ...

    def at_most(self, prompt: Prompt, sampling: Sampling) -> Spending:
        """The tokens of the question and of the longest answer."""
        ...

    def ask(self, prompt: Prompt, sampling: Sampling, say: Say | None) -> Reply | Fault:
        """Put one prompt to the service, once; called from several threads.

        Args:
            prompt: the question.
            sampling: how to answer.
            say: called with each piece of text as it comes; None: the answer is wanted whole.

        Raises:
            AccessError: the service refuses whatever is asked of it.
        """
        ...


def ask_all(
    service: Service, meter: Meter, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
) -> Iterator[Completion]:
    """Answer every prompt in order, a few at a time; closing the iterator asks no more.

    `on_text` is called from the caller's thread, with the pieces of one answer after the other's. When the service
    stops the run, the answers under way are waited for and given first: they are paid for.

    Raises:
        AccessError: the service refuses, or refuses every question; or a limit of money is reached.
    """
    held: list[Completion] = []
    answered = False
    for completion in _in_order(service, meter, prompts, sampling, on_text):
        held.append(completion)
        answered = answered or completion.finish_reason != "error"
        if not answered and len(held) >= N_REFUSED:
            raise AccessError(
                f"{service.name} refused each of the first {N_REFUSED} questions: {completion.error}",
                "check the model's name and the sampling settings",
            )
        if answered:
            yield from held
            held = []
    yield from held


def most_prompt_tokens(message: str) -> int:
    """No message has more tokens than this: a token stands for one byte at least."""
    return len(message.encode(errors="replace")) + _EXTRA_PROMPT_TOKENS


class _UnderWay(NamedTuple):
    prompt: Prompt
    pieces: SimpleQueue[str | None]
    """What to show of the answer; None ends it."""
    answer: Future[Completion]


def _in_order(
    service: Service, meter: Meter, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None
) -> Iterator[Completion]:
    executor = ThreadPoolExecutor(meter.limits.at_once, thread_name_prefix="rival")
    closing = threading.Event()
    waiting: deque[_UnderWay] = deque()

    def submit(prompt: Prompt) -> None:
        pieces: SimpleQueue[str | None] = SimpleQueue()
        question = _Question(service, meter, prompt, sampling, closing, pieces if on_text else None)
        waiting.append(_UnderWay(prompt, pieces, executor.submit(question.answer)))

    try:
        for prompt in prompts:
            submit(prompt)
            if len(waiting) >= meter.limits.at_once:
                yield _collect(waiting.popleft(), on_text)
        while waiting:
            yield _collect(waiting.popleft(), on_text)
    except TritcoderError:
        closing.set()
        yield from _rescue(waiting, on_text)
        raise
    finally:
        closing.set()
        executor.shutdown(wait=False, cancel_futures=True)


def _collect(under_way: _UnderWay, on_text: OnText | None) -> Completion:
    if on_text:
        for piece in iter(under_way.pieces.get, None):
            on_text(under_way.prompt, piece)
    return under_way.answer.result()


def _rescue(waiting: Iterable[_UnderWay], on_text: OnText | None) -> Iterator[Completion]:
    """The answers among what is still under way; what gave none is left for the resumed run."""
    for under_way in waiting:
        try:
            yield _collect(under_way, on_text)
        except (CancelledError, TritcoderError):
            continue


class _Question:
    """One prompt, asked until there is an answer, by one thread."""

    def __init__(
        self,
        service: Service,
        meter: Meter,
        prompt: Prompt,
        sampling: Sampling,
        closing: threading.Event,
        pieces: "SimpleQueue[str | None] | None",
    ) -> None:
        self._service, self._meter, self._closing, self._pieces = service, meter, closing, pieces
        self._prompt, self._sampling = prompt, sampling
        # A benchmark's stop strings fit a model that continues code: "\ndef" would cut a chat model's whole answer.
        self._stops = (*sampling.stop, *(prompt.stop if prompt.kind == "message" else ()))
        self._shown = Shown(pieces.put, self._stops) if pieces else None
        self._began = self._first = 0.0

    def answer(self) -> Completion:
        """The answer, timed from the beginning of the attempt that gave it.

        Raises:
            AccessError: the service refuses, or gives no answer in all its attempts.
            CancelledError: nobody waits for it any more.
        """
        try:
            reply = self._persist()
            text = cut_at_stop(reply.text, self._stops)
            if self._shown:
                self._shown.end(text)
        finally:
            if self._pieces:
                self._pieces.put(None)
        ended = self._meter.clock.now()
        return Completion(
            task_id=self._prompt.task_id,
            sample=self._prompt.sample,
            text=text,
            finish_reason=reply.finish_reason,
            n_prompt_tokens=reply.n_prompt_tokens,
            n_tokens=reply.n_tokens,
            first_token_s=(self._first or ended) - self._began,
            seconds=ended - self._began,
            model=self._service.name,
            error=reply.error,
        )

    def _persist(self) -> Reply:
        attempts = self._meter.limits.attempts
        for attempt in range(1, attempts + 1):
            result = self._attempt()
            if isinstance(result, Reply):
                return result
            if attempt == attempts or result.wait_s > MAX_ASKED_WAIT_S:
                raise self._given_up(result, attempt)
            self._meter.pause(self._back_off_s(attempt, result), self._look_up)
        raise AssertionError("there is at least one attempt")

    def _attempt(self) -> Reply | Fault:
        self._look_up()
        at_most = self._service.at_most(self._prompt, self._sampling)
        self._meter.reserve(at_most, self._look_up)
        used = NOTHING
        try:
            if self._shown:
                self._shown.begin()
            self._began, self._first = self._meter.clock.now(), 0.0
            result = self._service.ask(self._prompt, self._sampling, self._say if self._shown else None)
            used = _paid(result, at_most)
        finally:
            self._meter.settle(at_most, used)
        return result

    def _say(self, piece: str) -> None:
        assert self._shown
        self._first = self._first or self._meter.clock.now()
        self._shown.add(piece)

    def _look_up(self) -> None:
        if self._closing.is_set():
            raise CancelledError

    def _back_off_s(self, attempt: int, fault: Fault) -> float:
        """max(what the service asks for, first_wait_s * 2^(attempt - 1)), and up to as much again by chance."""
        pause_s = min(MAX_BACK_OFF_S, self._meter.limits.first_wait_s * 2.0 ** (attempt - 1))
        return max(fault.wait_s, pause_s) + pause_s * self._meter.clock.jitter()

    def _given_up(self, fault: Fault, attempts: int) -> AccessError:
        name, times = self._service.name, f"{attempts} attempt{'s' if attempts > 1 else ''}"
        if fault.wait_s > MAX_ASKED_WAIT_S:
            return AccessError(f"{name} asks us to wait for {fault.wait_s:.0f} s ({fault.said})", RESUME)
        return AccessError(f"{name} gave no answer in {times} ({fault.said})", fault.hint)


def _paid(result: Reply | Fault, at_most: Spending) -> Spending:
    """What an attempt cost; as much as it can, where a service does not say."""
    if isinstance(result, Fault):
        return at_most if result.may_cost else NOTHING
    said = Spending(result.n_prompt_tokens, result.n_tokens)
    return said if said.total or not result.text else at_most
