import threading

import pytest

from tritcoder.baselines.remote import N_AT_ONCE, N_REFUSED, Reply, ask_all, refusal
from tritcoder.errors import AccessError
from tritcoder.records import Prompt, Sampling

PROMPTS = [Prompt("q", task_id=str(place), sample=place) for place in range(12)]


def echo(prompt: Prompt, sampling: Sampling) -> Reply:
    return Reply(f"answer {prompt.task_id} STOP rest", "stop", 1, 2)


def test_answers_come_in_order_whatever_order_they_are_given_in() -> None:
    gate = threading.Event()

    def slow_first(prompt: Prompt, sampling: Sampling) -> Reply:
        if prompt.task_id == "0":
            assert gate.wait(30)  # opened by a later question: several are under way at once
        if prompt.task_id == str(N_AT_ONCE - 1):
            gate.set()
        return echo(prompt, sampling)

    answers = list(ask_all("r", slow_first, PROMPTS, Sampling(stop=(" STOP",))))
    assert [answer.text for answer in answers] == [f"answer {place}" for place in range(12)]
    assert [answer.sample for answer in answers] == list(range(12))


def test_text_is_shown_in_order_and_cut_at_stop_strings() -> None:
    shown: list[str] = []
    list(ask_all("r", echo, PROMPTS[:2], Sampling(stop=("STOP",)), lambda prompt, text: shown.append(text)))
    assert shown == ["answer 0 ", "answer 1 "]


def test_closing_asks_no_more() -> None:
    asked: list[str] = []

    def note(prompt: Prompt, sampling: Sampling) -> Reply:
        asked.append(prompt.task_id)
        return echo(prompt, sampling)

    answers = ask_all("r", note, PROMPTS, Sampling())
    next(answers)
    answers.close()  # type: ignore[attr-defined]
    assert len(asked) <= N_AT_ONCE


def test_errors_of_single_questions_pass_through_once_one_is_answered() -> None:
    def some(prompt: Prompt, sampling: Sampling) -> Reply:
        return echo(prompt, sampling) if prompt.sample == 3 else Reply("", "error", error="too long")

    answers = list(ask_all("r", some, PROMPTS, Sampling()))
    assert [answer.finish_reason for answer in answers].count("error") == 11
    assert [answer.sample for answer in answers] == list(range(12))


def test_refusals_without_one_answer_stop_the_run_with_nothing_recorded() -> None:
    answers = ask_all("r", lambda prompt, sampling: Reply("", "error", error="bad"), PROMPTS, Sampling())
    with pytest.raises(AccessError, match=f"each of the first {N_REFUSED} questions: bad"):
        next(answers)


def test_few_refusals_are_answers() -> None:
    few = PROMPTS[: N_REFUSED - 1]
    answers = list(ask_all("r", lambda prompt, sampling: Reply("", "error", error="bad"), few, Sampling()))
    assert [answer.error for answer in answers] == ["bad"] * len(few)


def test_a_refusal_of_the_service_reaches_the_caller() -> None:
    def refuse(prompt: Prompt, sampling: Sampling) -> Reply:
        raise AccessError("no key")

    with pytest.raises(AccessError, match="no key"):
        list(ask_all("r", refuse, PROMPTS, Sampling()))


@pytest.mark.parametrize("status", [401, 403, 404, 408, 429, 500, 502, 529])
def test_status_of_the_service_stops_the_run(status: int) -> None:
    refused = refusal("r", status, "words\nof the  service", "KEY")
    assert isinstance(refused, AccessError)
    assert f"HTTP {status}: words of the service" in refused.message
    assert refused.hint


@pytest.mark.parametrize("status", [400, 413, 422])
def test_status_of_a_question_is_an_answer(status: int) -> None:
    assert refusal("r", status, "x" * 999, "KEY") == Reply("", "error", error=f"HTTP {status}: {'x' * 300}")
