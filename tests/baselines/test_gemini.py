import threading
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.genai", reason="google-genai is not installed (pip install 'tritcoder[baselines]')")

from tests.baselines.conftest import Wire

from tritcoder.baselines.gemini import GeminiGenerator
from tritcoder.baselines.limits import DEFAULT_LIMITS, ServiceLimits, Spending
from tritcoder.baselines.prompting import instruction, seed_of
from tritcoder.errors import AccessError
from tritcoder.records import Completion, Prompt, Sampling

if TYPE_CHECKING:
    from tests.baselines.conftest import Answer, FakeService, FakeTime

THINKING_TOKENS = DEFAULT_LIMITS.thinking_tokens
TEXT = "Here:\n```python\nprint(1)\n```"


def reply(text: str, reason: str = "STOP", **more: Any) -> tuple[int, dict[str, Any]]:
    parts = [{"text": "let me think", "thought": True}, {"text": text}] if text else []
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 5, "thoughtsTokenCount": 11, "totalTokenCount": 23}
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}
    return 200, {"candidates": [candidate], "usageMetadata": usage, **more}


def failure(status: int, message: str, word: str = "INVALID_ARGUMENT") -> tuple[int, dict[str, Any]]:
    return status, {"error": {"code": status, "message": message, "status": word}}


@pytest.fixture
def gemini(service: "FakeService", fake_time: "FakeTime", monkeypatch: pytest.MonkeyPatch) -> GeminiGenerator:
    monkeypatch.setenv("GEMINI_API_KEY", "test-key")
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", service.url)
    service.answer = lambda request: reply(TEXT)
    return GeminiGenerator("gemini-2.5-flash", clock=fake_time.clock)


def answers(generator: GeminiGenerator, n: int = 1, sampling: Sampling | None = None) -> list[Completion]:
    prompts = [Prompt("Add.", task_id="t", sample=sample) for sample in range(n)]
    return list(generator.generate(prompts, sampling or Sampling()))


def test_answer_is_the_raw_text_without_thoughts(
    gemini: GeminiGenerator, service: "FakeService", fake_time: "FakeTime"
) -> None:
    def think(request: dict[str, Any]) -> "Answer":
        fake_time.sleep(3)
        return reply(TEXT)

    service.answer = think
    [answer] = answers(gemini)
    assert (answer.text, answer.finish_reason) == (TEXT, "stop")
    assert (answer.n_prompt_tokens, answer.n_tokens) == (7, 16)
    assert answer.model == "gemini:gemini-2.5-flash"
    assert answer.seconds == answer.first_token_s == 3


def test_request_bounds_thought_and_leaves_room_for_text(gemini: GeminiGenerator, service: "FakeService") -> None:
    sampling = Sampling(temperature=0.25, top_p=0.5, top_k=9, seed=4)
    answers(gemini, sampling=sampling)
    settings = service.requests[0]["generationConfig"]
    # The SDK writes this one key with an underscore; the API reads both spellings.
    assert {key.replace("_b", "B"): value for key, value in settings["thinkingConfig"].items()} == {
        "thinkingBudget": THINKING_TOKENS
    }
    assert settings["maxOutputTokens"] >= max(8192, THINKING_TOKENS + sampling.max_tokens)
    assert (settings["temperature"], settings["topP"], settings["topK"]) == (0.25, 0.5, 9)
    assert settings["seed"] == seed_of(sampling, Prompt("", task_id="t"))
    assert service.requests[0]["contents"][0]["parts"] == [{"text": instruction(Prompt("Add."))}]
    assert service.headers[0]["x-goog-api-key"] == "test-key"
    assert service.paths[0].endswith("/models/gemini-2.5-flash:generateContent")


def test_long_answers_are_allowed_what_was_asked(gemini: GeminiGenerator, service: "FakeService") -> None:
    answers(gemini, sampling=Sampling(max_tokens=20_000))
    assert service.requests[0]["generationConfig"]["maxOutputTokens"] == 20_000 + THINKING_TOKENS


def test_either_key_serves(service: "FakeService", monkeypatch: pytest.MonkeyPatch, gemini: GeminiGenerator) -> None:
    monkeypatch.delenv("GEMINI_API_KEY")
    monkeypatch.setenv("GOOGLE_API_KEY", "other-key")
    answers(GeminiGenerator("m"))
    assert service.headers[0]["x-goog-api-key"] == "other-key"


def test_without_a_key_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GEMINI_API_KEY", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    with pytest.raises(AccessError, match="GEMINI_API_KEY or GOOGLE_API_KEY is not set") as caught:
        GeminiGenerator("m")
    assert "export GEMINI_API_KEY" in caught.value.hint


@pytest.mark.parametrize("status", [408, 429, 500, 503])
def test_busy_service_is_asked_again(
    gemini: GeminiGenerator, service: "FakeService", fake_time: "FakeTime", status: int
) -> None:
    service.first(*[failure(status, "later")] * 2, then=reply(TEXT))
    assert [answer.text for answer in answers(gemini)] == [TEXT]
    assert len(service.requests) == 3
    assert fake_time.slept == pytest.approx(1 + 2)


def test_pause_that_the_service_asks_for_is_kept(
    gemini: GeminiGenerator, service: "FakeService", fake_time: "FakeTime"
) -> None:
    info = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "40s"}
    quota = {"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED", "details": [info]}}
    service.first(Wire(429, quota), Wire(429, {}, headers={"Retry-After": "5"}), then=reply(TEXT))
    assert [answer.text for answer in answers(gemini)] == [TEXT]
    assert fake_time.slept == pytest.approx(40 + 5)


def test_service_that_stays_busy_is_no_answer(gemini: GeminiGenerator, service: "FakeService") -> None:
    service.answer = lambda request: failure(503, "overloaded")
    with pytest.raises(AccessError, match=r"no answer in 6 attempts \(HTTP 503: overloaded\)") as caught:
        answers(gemini)
    assert "already written are kept" in caught.value.hint
    assert len(service.requests) == 6


@pytest.mark.parametrize(("cut_at", "silent"), [(0, False), (30, False), (0, True), (30, True)])
def test_body_that_is_cut_is_asked_for_again(
    gemini: GeminiGenerator, service: "FakeService", cut_at: int, silent: bool
) -> None:
    service.first(Wire(body=reply(TEXT)[1], cut_at=cut_at, silent=silent), then=reply(TEXT))
    assert [answer.text for answer in answers(gemini)] == [TEXT]
    assert len(service.requests) == 2


def test_slow_answer_is_asked_for_again(
    service: "FakeService", gemini: GeminiGenerator, fake_time: "FakeTime"
) -> None:
    held = threading.Event()
    service.first(Wire(body=reply(TEXT)[1], held_by=held), then=reply(TEXT))
    [answer] = answers(GeminiGenerator("m", ServiceLimits(timeout_s=0.2), clock=fake_time.clock))
    held.set()
    assert answer.text == TEXT


@pytest.mark.parametrize(
    ("status", "message", "sentence"),
    [
        (400, "API key not valid. Please pass a valid API key.", "does not accept the key"),
        (403, "denied", "does not accept the key"),
        (404, "no such model", "is not served there"),
    ],
)
def test_refusals_of_the_service_stop_the_run(
    gemini: GeminiGenerator, service: "FakeService", status: int, message: str, sentence: str
) -> None:
    service.answer = lambda request: failure(status, message)
    with pytest.raises(AccessError, match=sentence) as caught:
        answers(gemini, n=3)
    assert caught.value.hint
    assert len(service.requests) <= 3  # not one is asked again


@pytest.mark.parametrize(
    ("reason", "expected", "why"),
    [
        ("STOP", "stop", "no text: the service ended the answer without any"),
        (
            "MAX_TOKENS",
            "length",
            "no text: the room for the answer was used up by 11 tokens of hidden thought",
        ),
        ("SAFETY", "error", "finish reason SAFETY"),
        ("RECITATION", "error", "finish reason RECITATION"),
        ("PROHIBITED_CONTENT", "error", "finish reason PROHIBITED_CONTENT"),
    ],
)
def test_finish_reason_is_recorded(
    gemini: GeminiGenerator, service: "FakeService", reason: str, expected: str, why: str
) -> None:
    service.answer = lambda request: reply("", reason)
    [answer] = answers(gemini)
    assert (answer.text, answer.finish_reason) == ("", expected)
    assert answer.error == why


def test_blocked_prompt_is_an_answer_with_an_error(gemini: GeminiGenerator, service: "FakeService") -> None:
    service.answer = lambda request: (200, {"promptFeedback": {"blockReason": "SAFETY"}})
    [answer] = answers(gemini)
    assert (answer.finish_reason, answer.error) == ("error", "no answer (block reason SAFETY)")


def test_model_without_thoughts_is_asked_without_a_bound(gemini: GeminiGenerator, service: "FakeService") -> None:
    def picky(request: dict[str, Any]) -> "Answer":
        if "thinkingConfig" in request["generationConfig"]:
            return failure(400, "Thinking is not supported by this model.")
        return reply(TEXT)

    service.answer = picky
    assert [answer.text for answer in answers(gemini, n=6)] == [TEXT] * 6
    assert "thinkingConfig" not in service.requests[-1]["generationConfig"]


def test_bound_that_a_model_refuses_is_not_dropped_in_silence(
    gemini: GeminiGenerator, service: "FakeService"
) -> None:
    service.answer = lambda request: failure(400, "The thinking budget 0 is invalid: choose 128 or more.")
    [answer] = answers(gemini)
    assert (answer.finish_reason, len(service.requests)) == ("error", 1)
    assert "thinking budget 0 is invalid" in answer.error


@pytest.mark.parametrize("body", [{}, {"candidates": None}])
def test_response_that_says_nothing_is_asked_for_again(
    gemini: GeminiGenerator, service: "FakeService", body: dict[str, Any]
) -> None:
    service.first((200, body), then=reply(TEXT))
    assert [answer.text for answer in answers(gemini)] == [TEXT]


@pytest.mark.parametrize("body", [{"candidates": [{}]}, {"candidates": 3}])
def test_answers_of_another_shape_do_not_crash(
    gemini: GeminiGenerator, service: "FakeService", body: dict[str, Any]
) -> None:
    service.answer = lambda request: (200, body)
    [answer] = answers(gemini)
    assert (answer.text, answer.finish_reason) == ("", "error")
    assert answer.error


def test_unreachable_service_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, gemini: GeminiGenerator, fake_time: "FakeTime"
) -> None:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:9")
    with pytest.raises(AccessError, match=r"cannot be reached at http://127.0.0.1:9"):
        answers(GeminiGenerator("m", clock=fake_time.clock))


def events(*pieces: str, reason: str = "STOP") -> tuple[dict[str, Any], ...]:
    """An answer in pieces; the last says why it ends, as the service's own do."""
    whole = [reply(piece)[1] for piece in pieces]
    for event in whole[:-1]:
        del event["candidates"][0]["finishReason"]
    whole[-1]["candidates"][0]["finishReason"] = reason
    return tuple(whole)


def streamed(gemini: GeminiGenerator) -> tuple[list[str], Completion]:
    shown: list[str] = []
    [answer] = gemini.generate([Prompt("Add.")], Sampling(), lambda prompt, text: shown.append(text))
    return shown, answer


def test_answer_is_shown_as_it_comes(gemini: GeminiGenerator, service: "FakeService") -> None:
    service.answer = lambda request: Wire(events=events("print", "(1)"))
    shown, answer = streamed(gemini)
    assert shown == ["print", "(1)"]
    assert (answer.text, answer.finish_reason) == ("print(1)", "stop")
    assert (answer.n_prompt_tokens, answer.n_tokens) == (7, 16)
    assert service.paths[0].endswith(":streamGenerateContent?alt=sse")


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("share", [0.4, 0.6, 0.8])
def test_stream_that_is_cut_is_asked_for_again_and_shown_once(
    gemini: GeminiGenerator, service: "FakeService", share: float, silent: bool
) -> None:
    whole = Wire(events=events("print", "(1)", "  # done"))
    cut = Wire(events=whole.events, cut_at=int(len(whole.data) * share), silent=silent)
    service.first(cut, then=whole)
    shown, answer = streamed(gemini)
    assert "".join(shown) == answer.text == "print(1)  # done"
    assert len(service.requests) == 2


def test_stream_that_ends_between_two_events_is_cut_too(gemini: GeminiGenerator, service: "FakeService") -> None:
    whole = events("print", "(1)")
    service.first(Wire(events=whole[:1]), Wire(events=(whole[0], failure(503, "busy")[1])), then=Wire(events=whole))
    shown, answer = streamed(gemini)
    assert "".join(shown) == answer.text == "print(1)"
    assert len(service.requests) == 3


def test_blocked_stream_is_an_answer_with_an_error(gemini: GeminiGenerator, service: "FakeService") -> None:
    service.answer = lambda request: Wire(events=events("print", "", reason="SAFETY"))
    shown, answer = streamed(gemini)
    assert (shown, answer.finish_reason, answer.error) == (["print"], "error", "finish reason SAFETY")
    service.answer = lambda request: Wire(events=({"promptFeedback": {"blockReason": "SAFETY"}},))
    shown, answer = streamed(gemini)
    assert (shown, answer.finish_reason, answer.error) == ([], "error", "no answer (block reason SAFETY)")


def test_money_ends_the_run_and_a_resumed_run_knows_what_was_spent(
    gemini: GeminiGenerator, service: "FakeService", fake_time: "FakeTime"
) -> None:
    limits = ServiceLimits(max_cost_usd=0.05, usd_per_million_input=0.3, usd_per_million_output=2.5, at_once=1)
    first = GeminiGenerator("m", limits, clock=fake_time.clock)
    assert len(answers(first, n=3)) == 3  # each may cost 8192 tokens, 0.02 USD, and costs 16
    assert first.spent == Spending(3 * 7, 3 * 16)
    resumed = GeminiGenerator("m", limits, Spending(7, 20_000), clock=fake_time.clock)
    with pytest.raises(AccessError, match=r"gemini:m has cost 0\.0500 USD.*max_cost_usd = 0\.05; .* are kept"):
        answers(resumed)
    assert len(service.requests) == 3


def test_stream_that_is_cut_counts_at_its_dearest(gemini: GeminiGenerator, service: "FakeService") -> None:
    service.first(Wire(events=events("print", "(1)"), cut_at=40), then=Wire(events=events("print", "(1)")))
    streamed(gemini)
    assert gemini.spent.n_tokens == max(8192, 512 + THINKING_TOKENS) + 16


@pytest.mark.parametrize("status", [400, 403, 404, 500])
def test_key_is_in_no_error_and_no_answer(gemini: GeminiGenerator, service: "FakeService", status: int) -> None:
    service.answer = lambda request: failure(status, "you sent test-key; api_key=test-key")
    told: list[object] = [gemini]
    try:
        told += answers(gemini)
    except AccessError as error:
        told += [error, error.message, error.hint, error.__cause__, error.__context__]
    assert len(told) > 1
    assert not any("test-key" in f"{thing!r} {thing}" for thing in told)
