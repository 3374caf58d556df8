"""What all rivals behind an API share: several questions under way at once, and refusals told apart.

A refusal of the one question (too long, blocked by a filter) is an answer with `finish_reason == "error"`; a refusal
of the service (key, quota, network) stops the run, which can be resumed.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from tritcoder.baselines.prompting import cut_at_stop
from tritcoder.errors import AccessError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, FinishReason, Prompt, Sampling

N_AT_ONCE = 4
"""Questions under way at the same time."""
TIMEOUT_S = 600.0
"""Longest wait for one answer."""
N_ATTEMPTS = 6
"""How often one question is asked while the service is busy (429) or failing (5xx)."""
MIN_OUTPUT_TOKENS = 8192
"""Room for an answer of a vendor's model: its hidden thoughts are counted too, and can leave no room for text."""
N_REFUSED = 5
"""After so many refusals and not one answer, the fault is taken to lie in the request, and the run stops."""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a service said to one prompt."""

    text: str
    finish_reason: FinishReason
    n_prompt_tokens: int = 0
    n_tokens: int = 0
    """Tokens written, hidden thoughts included: what is paid for."""
    error: str = ""


Ask = Callable[[Prompt, Sampling], Reply]
"""Puts one prompt to a service; safe to call from several threads. Raises AccessError when the service refuses."""


def ask_all(
    name: str, ask: Ask, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
) -> Iterator[Completion]:
    """Answer every prompt in order, a few at a time; closing the iterator asks no more.

    The text is shown whole when it has come. First and last token are timed alike, with the wait for the service.

    Raises:
        AccessError: the service refuses, or refuses every question.
    """
    held: list[Completion] = []
    answered = False
    for prompt, completion in _in_order(name, ask, prompts, sampling):
        held.append(completion)
        answered = answered or completion.finish_reason != "error"
        if not answered and len(held) >= N_REFUSED:
            raise AccessError(
                f"{name} refused each of the first {N_REFUSED} questions: {completion.error}",
                "check the model's name and the sampling settings",
            )
        if answered:
            if on_text and completion.text:
                on_text(prompt, completion.text)
            yield from held
            held = []
    yield from held


def _in_order(
    name: str, ask: Ask, prompts: Iterable[Prompt], sampling: Sampling
) -> Iterator[tuple[Prompt, Completion]]:
    def answer(prompt: Prompt) -> Completion:
        return _answer(name, ask, prompt, sampling)

    executor = ThreadPoolExecutor(N_AT_ONCE, thread_name_prefix="rival")
    waiting: deque[tuple[Prompt, Future[Completion]]] = deque()
    try:
        for prompt in prompts:
            waiting.append((prompt, executor.submit(answer, prompt)))
            if len(waiting) >= N_AT_ONCE:
                asked, future = waiting.popleft()
                yield asked, future.result()
        while waiting:
            asked, future = waiting.popleft()
            yield asked, future.result()
    finally:
        executor.shutdown(wait=False, cancel_futures=True)


def _answer(name: str, ask: Ask, prompt: Prompt, sampling: Sampling) -> Completion:
    began = time.monotonic()
    reply = ask(prompt, sampling)
    seconds = time.monotonic() - began
    return Completion(
        task_id=prompt.task_id,
        sample=prompt.sample,
        text=cut_at_stop(reply.text, (*sampling.stop, *prompt.stop)),
        finish_reason=reply.finish_reason,
        n_prompt_tokens=reply.n_prompt_tokens,
        n_tokens=reply.n_tokens,
        first_token_s=seconds,
        seconds=seconds,
        model=name,
        error=reply.error,
    )


def refusal(name: str, status: int, message: str, key_names: str) -> AccessError | Reply:
    """What an HTTP error means: the service's refusal as an AccessError, a question's as a Reply.

    Args:
        name: what the rival is called.
        status: the HTTP status.
        message: the service's own words.
        key_names: the environment variables that hold the key.
    """
    said = " ".join(message.split())[:300]
    if status in (401, 403) or (status == 400 and "api key" in message.lower()):
        return AccessError(f"{name} does not accept the key (HTTP {status}: {said})", f"check {key_names}")
    if status == 404:
        return AccessError(f"{name} is not served there (HTTP 404: {said})", "check the model's name and the address")
    if status in (408, 409, 429) or status >= 500:
        return AccessError(
            f"{name} gave no answer in {N_ATTEMPTS} attempts (HTTP {status}: {said})",
            "wait, then give the same command again: answers already written are kept",
        )
    return Reply("", "error", error=f"HTTP {status}: {said}")


def unreachable(name: str, address: str, error: Exception) -> AccessError:
    """The error for a service that could not be reached, or stopped in the middle of an answer."""
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return AccessError(f"{name} cannot be reached at {address} ({said})", "check the address and the network")
