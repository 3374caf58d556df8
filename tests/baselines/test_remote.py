import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest

from tritcoder.baselines.faults import Fault, Reply
from tritcoder.baselines.limits import DEFAULT_LIMITS, ServiceLimits, Spending
from tritcoder.baselines.pacing import REAL_CLOCK, Clock, Meter
from tritcoder.baselines.remote import MAX_ASKED_WAIT_S, N_REFUSED, Say, ask_all
from tritcoder.errors import AccessError, TritcoderError
from tritcoder.records import Completion, Prompt, PromptKind, Sampling

if TYPE_CHECKING:
    from tests.baselines.conftest import FakeTime

PROMPTS = [Prompt("q", task_id=str(place), sample=place) for place in range(12)]
N_AT_ONCE = DEFAULT_LIMITS.at_once


@dataclass
class Rival:
    """A service that is a function."""

    answer: Callable[[Prompt, Say | None], Reply | Fault]
    name: str = "r"

    def at_most(self, prompt: Prompt, sampling: Sampling) -> Spending:
        return Spending(1, 2)

    def ask(self, prompt: Prompt, sampling: Sampling, say: Say | None) -> Reply | Fault:
        return self.answer(prompt, say)


def echo(prompt: Prompt, say: Say | None = None) -> Reply:
    return Reply(f"answer {prompt.task_id} STOP rest", "stop", 1, 2)


def ask(
    answer: Callable[[Prompt, Say | None], Reply | Fault],
    prompts: list[Prompt] = PROMPTS,
    sampling: Sampling | None = None,
    on_text: Callable[[Prompt, str], None] | None = None,
    limits: ServiceLimits = DEFAULT_LIMITS,
    clock: Clock = REAL_CLOCK,
) -> Iterator[Completion]:
    return ask_all(Rival(answer), Meter("r", limits, clock=clock), prompts, sampling or Sampling(), on_text)


def keep(answers: Iterator[Completion], kept: list[Completion]) -> None:
    for answer in answers:
        kept.append(answer)


def test_answers_come_in_order_whatever_order_they_are_given_in() -> None:
    gate = threading.Event()

    def slow_first(prompt: Prompt, say: Say | None) -> Reply:
        if prompt.task_id == "0":
            assert gate.wait(30)  # opened by a later question: several are under way at once
        if prompt.task_id == str(N_AT_ONCE - 1):
            gate.set()
        return echo(prompt)

    answers = list(ask(slow_first, sampling=Sampling(stop=(" STOP",))))
    assert [answer.text for answer in answers] == [f"answer {place}" for place in range(12)]
    assert [answer.sample for answer in answers] == list(range(12))


def test_text_is_shown_in_order_and_cut_at_stop_strings() -> None:
    shown: list[str] = []
    list(ask(echo, PROMPTS[:2], Sampling(stop=("STOP",)), lambda prompt, text: shown.append(text)))
    assert shown == ["answer 0 ", "answer 1 "]


def test_pieces_of_an_answer_that_is_cut_off_are_not_shown_twice(fake_time: "FakeTime") -> None:
    tries: list[str] = []

    def cut_once(prompt: Prompt, say: Say | None) -> Reply | Fault:
        assert say
        tries.append(prompt.task_id)
        pieces = ["one ", "two ", "three"] if len(tries) > 1 else ["one ", "tw"]
        for piece in pieces:
            say(piece)
        return Reply("one two three", "stop", 1, 2) if len(tries) > 1 else Fault("cut")

    shown: list[str] = []
    [answer] = ask(cut_once, PROMPTS[:1], on_text=lambda prompt, text: shown.append(text), clock=fake_time.clock)
    assert shown == ["one ", "tw", "o ", "three"]
    assert answer.text == "".join(shown)


def test_text_is_shown_in_the_callers_thread_one_answer_after_the_other() -> None:
    def piecewise(prompt: Prompt, say: Say | None) -> Reply:
        assert say
        say("a")
        say("b")
        return Reply("ab", "stop", 1, 2)

    threads, shown = set(), []

    def note(prompt: Prompt, text: str) -> None:
        threads.add(threading.current_thread())
        shown.append(f"{prompt.task_id}{text}")

    list(ask(piecewise, PROMPTS[:3], on_text=note))
    assert shown == ["0a", "0b", "1a", "1b", "2a", "2b"]
    assert threads == {threading.current_thread()}


@pytest.mark.parametrize(("kind", "whole"), [("message", False), ("code", True), ("problem", True)])
def test_published_stop_strings_cut_published_messages_alone(kind: PromptKind, whole: bool) -> None:
    text = "```python\nimport math\ndef f(): pass\n```"
    prompt = Prompt("q", kind, stop=("\ndef", "\nimport"))
    [answer] = ask(lambda prompt, say: Reply(text, "stop", 1, 2), [prompt])
    assert answer.text == (text if whole else "```python")
    [answer] = ask(lambda prompt, say: Reply(text, "stop", 1, 2), [prompt], Sampling(stop=("\nimport",)))
    assert answer.text == "```python"


def test_closing_asks_no_more() -> None:
    asked: list[str] = []

    def note(prompt: Prompt, say: Say | None) -> Reply:
        asked.append(prompt.task_id)
        return echo(prompt)

    answers = ask(note)
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(asked) <= N_AT_ONCE


def test_errors_of_single_questions_pass_through_once_one_is_answered() -> None:
    def some(prompt: Prompt, say: Say | None) -> Reply:
        return echo(prompt) if prompt.sample == 3 else Reply("", "error", error="too long")

    answers = list(ask(some))
    assert [answer.finish_reason for answer in answers].count("error") == 11
    assert [answer.sample for answer in answers] == list(range(12))


def test_refusals_without_one_answer_stop_the_run_with_nothing_recorded() -> None:
    answers = ask(lambda prompt, say: Reply("", "error", error="bad"))
    with pytest.raises(AccessError, match=f"each of the first {N_REFUSED} questions: bad"):
        next(answers)


def test_few_refusals_are_answers() -> None:
    few = PROMPTS[: N_REFUSED - 1]
    answers = list(ask(lambda prompt, say: Reply("", "error", error="bad"), few))
    assert [answer.error for answer in answers] == ["bad"] * len(few)


def test_a_refusal_of_the_service_reaches_the_caller() -> None:
    def refuse(prompt: Prompt, say: Say | None) -> Reply:
        raise AccessError("no key")

    with pytest.raises(AccessError, match="no key"):
        list(ask(refuse))


def test_answers_under_way_are_kept_when_the_run_stops() -> None:
    sent, refused = threading.Event(), threading.Event()

    def refuse_first(prompt: Prompt, say: Say | None) -> Reply:
        if prompt.task_id == "0":
            assert sent.wait(30)
            refused.set()
            raise AccessError("no quota")
        sent.set()
        assert refused.wait(30)
        return echo(prompt)

    kept: list[Completion] = []
    with pytest.raises(AccessError, match="no quota"):
        keep(ask(refuse_first, PROMPTS[:2], limits=ServiceLimits(at_once=2)), kept)
    assert [answer.task_id for answer in kept] == ["1"]


def test_pauses_between_attempts_double_and_vary(fake_time: "FakeTime") -> None:
    moments: list[float] = []

    def busy(prompt: Prompt, say: Say | None) -> Fault:
        moments.append(fake_time.now)
        return Fault("HTTP 503: busy")

    fake_time.jitter = 0.5
    limits = ServiceLimits(attempts=5, first_wait_s=2.0)
    with pytest.raises(AccessError, match=r"r gave no answer in 5 attempts \(HTTP 503: busy\)") as caught:
        list(ask(busy, PROMPTS[:1], limits=limits, clock=fake_time.clock))
    assert "already written are kept" in caught.value.hint
    pauses = [after - before for before, after in pairwise(moments)]
    assert pauses == pytest.approx([3, 6, 12, 24])


def test_service_that_asks_for_a_pause_gets_it(fake_time: "FakeTime") -> None:
    replies: Iterator[Reply | Fault] = iter([Fault("busy", wait_s=17.0), Reply("text", "stop", 1, 2)])
    [answer] = ask(lambda prompt, say: next(replies), PROMPTS[:1], clock=fake_time.clock)
    assert fake_time.slept == pytest.approx(17)
    assert answer.seconds == 0  # the pause is not the model's


def test_service_that_asks_for_hours_stops_the_run(fake_time: "FakeTime") -> None:
    with pytest.raises(AccessError, match="asks us to wait for 7200 s"):
        list(ask(lambda prompt, say: Fault("quota", wait_s=7200.0), PROMPTS[:1], clock=fake_time.clock))
    assert fake_time.slept == 0
    assert MAX_ASKED_WAIT_S < 7200


def test_a_passing_fault_is_never_an_answer(fake_time: "FakeTime") -> None:
    answers = ask(lambda prompt, say: Fault("cut"), clock=fake_time.clock)
    with pytest.raises(TritcoderError):
        next(answers)


def test_money_ends_before_the_limit_and_what_is_there_is_given(fake_time: "FakeTime") -> None:
    limits = ServiceLimits(max_cost_usd=4.0, usd_per_million_input=1e6, usd_per_million_output=2e5, at_once=3)
    # An answer costs 1 + 2 * 0.2 = 1.4 USD at most, and so it does: two are affordable, three are not.
    kept: list[Completion] = []
    with pytest.raises(AccessError, match=r"has cost 2.8000 USD.*max_cost_usd = 4; .* are kept") as caught:
        keep(ask(echo, limits=limits, clock=fake_time.clock), kept)
    assert len(kept) == 2
    assert "give the same command again" in caught.value.hint
