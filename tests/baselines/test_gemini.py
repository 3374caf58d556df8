from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("google.genai", reason="google-genai is not installed (pip install 'tritcoder[baselines]')")

from tritcoder.baselines.gemini import GeminiGenerator
from tritcoder.baselines.limits import DEFAULT_LIMITS
from tritcoder.baselines.prompting import instruction, seed_of
from tritcoder.errors import AccessError
from tritcoder.records import Completion, Prompt, Sampling

if TYPE_CHECKING:
    from tests.baselines.conftest import Answer, FakeService, FakeTime

THINKING_TOKENS = DEFAULT_LIMITS.thinking_tokens
TEXT = "Here:\n```python\nprint(1)\n```"


def reply(text: str, reason: str = "STOP", **more: Any) -> "Answer":
    parts = [{"text": "let me think", "thought": True}, {"text": text}] if text else []
    usage = {"promptTokenCount": 7, "candidatesTokenCount": 5, "thoughtsTokenCount": 11, "totalTokenCount": 23}
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": reason, "index": 0}
    return 200, {"candidates": [candidate], "usageMetadata": usage, **more}


def failure(status: int, message: str, word: str = "INVALID_ARGUMENT") -> "Answer":
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


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_service_is_asked_again(gemini: GeminiGenerator, service: "FakeService", status: int) -> None:
    service.answer = lambda request: failure(status, "later") if len(service.requests) < 3 else reply(TEXT)
    assert [answer.text for answer in answers(gemini)] == [TEXT]
    assert len(service.requests) == 3


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


@pytest.mark.parametrize("body", [{}, {"candidates": None}, {"candidates": [{}]}, {"candidates": 3}])
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
