from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openai", reason="openai is not installed (pip install 'tritcoder[baselines]')")

from tritcoder.baselines.openai import OPENAI_URL, OpenAIGenerator
from tritcoder.baselines.prompting import instruction, seed_of
from tritcoder.errors import AccessError, ConfigError
from tritcoder.records import Completion, Prompt, Sampling

if TYPE_CHECKING:
    from tests.baselines.conftest import Answer, FakeService, FakeTime

TEXT = "```python\nprint(1)\n```"


def reply(text: str | None, reason: str | None = "stop", usage: bool = True) -> "Answer":
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason}
    answer = {"id": "1", "object": "chat.completion", "created": 0, "model": "m", "choices": [choice]}
    counts = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    return 200, {**answer, "usage": counts} if usage else answer


def failure(status: int, message: str) -> "Answer":
    return status, {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}


@pytest.fixture
def server(service: "FakeService", fake_time: "FakeTime", monkeypatch: pytest.MonkeyPatch) -> OpenAIGenerator:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    service.answer = lambda request: reply(TEXT)
    return OpenAIGenerator("m", service.url, clock=fake_time.clock)


def answers(generator: OpenAIGenerator, n: int = 1, sampling: Sampling | None = None) -> list[Completion]:
    prompts = [Prompt("Add.", task_id="t", sample=sample) for sample in range(n)]
    return list(generator.generate(prompts, sampling or Sampling()))


def test_answer_is_the_raw_text(server: OpenAIGenerator, service: "FakeService") -> None:
    [answer] = answers(server)
    assert (answer.text, answer.finish_reason) == (TEXT, "stop")
    assert (answer.n_prompt_tokens, answer.n_tokens) == (7, 5)
    assert answer.model == f"openai:m@{service.url}/v1"


def test_request_holds_instruction_and_sampling(server: OpenAIGenerator, service: "FakeService") -> None:
    sampling = Sampling(max_tokens=77, temperature=0.25, top_p=0.5, top_k=9, seed=4)
    answers(server, sampling=sampling)
    request = service.requests[0]
    assert request["messages"] == [{"role": "user", "content": instruction(Prompt("Add."))}]
    assert (request["temperature"], request["top_p"], request["top_k"]) == (0.25, 0.5, 9)
    assert (request["max_tokens"], request["seed"]) == (77, seed_of(sampling, Prompt("", task_id="t")))
    assert service.paths == ["/v1/chat/completions"]
    assert service.headers[0]["authorization"] == "Bearer none"


def test_key_is_sent_when_there_is_one(service: "FakeService", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    service.answer = lambda request: reply(TEXT)
    answers(OpenAIGenerator("m", f"{service.url}/prefix/v2/"))
    assert service.headers[0]["authorization"] == "Bearer test-key"
    assert service.paths == ["/prefix/v2/chat/completions"]


def test_openai_itself_needs_a_key_and_other_limits(service: "FakeService", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(AccessError, match="OPENAI_API_KEY is not set"):
        OpenAIGenerator("m")
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    monkeypatch.setattr("tritcoder.baselines.openai.OPENAI_URL", f"{service.url}/v1")
    service.answer = lambda request: reply(TEXT)
    vendor = OpenAIGenerator("m", service.url)
    answers(vendor)
    assert vendor.name == "openai:m"
    assert service.requests[0]["max_completion_tokens"] == 8192
    assert "max_tokens" not in service.requests[0]


@pytest.mark.parametrize("status", [429, 500, 503])
def test_busy_service_is_asked_again(server: OpenAIGenerator, service: "FakeService", status: int) -> None:
    service.answer = lambda request: failure(status, "later") if len(service.requests) < 3 else reply(TEXT)
    assert [answer.text for answer in answers(server)] == [TEXT]
    assert len(service.requests) == 3


def test_service_that_stays_busy_stops_the_run_and_can_be_resumed(
    server: OpenAIGenerator, service: "FakeService"
) -> None:
    service.answer = lambda request: failure(503, "overloaded")
    with pytest.raises(AccessError, match=r"in 6 attempts \(HTTP 503: .*overloaded") as caught:
        answers(server)
    assert "give the same command again" in caught.value.hint
    assert len(service.requests) == 6


@pytest.mark.parametrize(("status", "sentence"), [(401, "does not accept the key"), (404, "is not served there")])
def test_refusals_of_the_service_stop_the_run(
    server: OpenAIGenerator, service: "FakeService", status: int, sentence: str
) -> None:
    service.answer = lambda request: failure(status, "no")
    with pytest.raises(AccessError, match=sentence):
        answers(server)


def test_refused_question_is_an_answer_with_an_error(server: OpenAIGenerator, service: "FakeService") -> None:
    service.answer = lambda request: failure(400, "the prompt is too long")
    [answer] = answers(server)
    assert (answer.text, answer.finish_reason) == ("", "error")
    assert "the prompt is too long" in answer.error


@pytest.mark.parametrize(
    ("given", "text", "reason"),
    [
        (reply(TEXT, "length"), TEXT, "length"),
        (reply(None, "content_filter"), "", "error"),
        (reply(None, None, usage=False), "", "stop"),
        ((200, {"choices": []}), "", "error"),
    ],
)
def test_finish_reason_is_recorded(
    server: OpenAIGenerator, service: "FakeService", given: "Answer", text: str, reason: str
) -> None:
    service.answer = lambda request: given
    [answer] = answers(server)
    assert (answer.text, answer.finish_reason) == (text, reason)
    assert bool(answer.error) == (not text)


@pytest.mark.parametrize("body", [{}, {"choices": None}, {"choices": [{}]}, {"choices": [{"message": 3}]}])
def test_answers_of_another_shape_do_not_crash(
    server: OpenAIGenerator, service: "FakeService", body: dict[str, Any]
) -> None:
    service.answer = lambda request: (200, body)
    [answer] = answers(server)
    assert (answer.text, answer.finish_reason) == ("", "error")


def test_unreachable_server_is_one_sentence(fake_time: "FakeTime") -> None:
    with pytest.raises(AccessError, match=r"cannot be reached at http://127\.0\.0\.1:9/v1"):
        answers(OpenAIGenerator("m", "http://127.0.0.1:9", clock=fake_time.clock))


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host/v1", "http://", "http://host:port"])
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="begins with http"):
        OpenAIGenerator("m", url)


def test_vendors_address_is_what_the_sdk_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    import openai

    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert str(openai.OpenAI(api_key="k").base_url).rstrip("/") == OPENAI_URL
