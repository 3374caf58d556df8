import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("openai", reason="openai is not installed (pip install 'tritcoder[baselines]')")

from tests.baselines.conftest import Wire

from tritcoder.baselines.limits import ServiceLimits, Spending
from tritcoder.baselines.openai import OPENAI_URL, OpenAIGenerator
from tritcoder.baselines.prompting import instruction, seed_of
from tritcoder.errors import AccessError, ConfigError
from tritcoder.evaluate.samples import read_samples
from tritcoder.experiment.config import EvaluateConfig
from tritcoder.experiment.measuring import write_answers
from tritcoder.records import Completion, Prompt, Sampling

if TYPE_CHECKING:
    from tests.baselines.conftest import Answer, FakeService, FakeTime

TEXT = "```python\nprint(1)\n```"


def reply(text: str | None, reason: str | None = "stop", usage: bool = True) -> tuple[int, dict[str, Any]]:
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


@pytest.mark.parametrize("status", [408, 409, 429, 500, 503])
def test_busy_service_is_asked_again(
    server: OpenAIGenerator, service: "FakeService", fake_time: "FakeTime", status: int
) -> None:
    service.first(*[failure(status, "later")] * 2, then=reply(TEXT))
    assert [answer.text for answer in answers(server)] == [TEXT]
    assert len(service.requests) == 3
    assert fake_time.slept == pytest.approx(1 + 2)


def test_pause_that_the_service_asks_for_is_kept(
    server: OpenAIGenerator, service: "FakeService", fake_time: "FakeTime"
) -> None:
    service.first(Wire(429, {}, headers={"Retry-After": "30"}), then=reply(TEXT))
    assert [answer.text for answer in answers(server)] == [TEXT]
    assert fake_time.slept == pytest.approx(30)


@pytest.mark.parametrize(("cut_at", "silent"), [(0, False), (30, False), (0, True), (30, True)])
def test_body_that_is_cut_is_asked_for_again(
    server: OpenAIGenerator, service: "FakeService", cut_at: int, silent: bool
) -> None:
    service.first(Wire(body=reply(TEXT)[1], cut_at=cut_at, silent=silent), then=reply(TEXT))
    assert [answer.text for answer in answers(server)] == [TEXT]
    assert len(service.requests) == 2


def test_slow_answer_is_asked_for_again(
    server: OpenAIGenerator, service: "FakeService", fake_time: "FakeTime"
) -> None:
    held = threading.Event()
    service.first(Wire(body=reply(TEXT)[1], held_by=held), then=reply(TEXT))
    [answer] = answers(OpenAIGenerator("m", service.url, ServiceLimits(timeout_s=0.2), clock=fake_time.clock))
    held.set()
    assert answer.text == TEXT


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
    assert len(service.requests) == 1


def test_refused_question_is_an_answer_with_an_error(server: OpenAIGenerator, service: "FakeService") -> None:
    service.answer = lambda request: failure(400, "the prompt is too long")
    [answer] = answers(server)
    assert (answer.text, answer.finish_reason) == ("", "error")
    assert "the prompt is too long" in answer.error
    assert len(service.requests) == 1


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


@pytest.mark.parametrize("url", ["http://user:secret@host", "http://host/v1?key=secret", "http://host/v1#secret"])
def test_addresses_that_hold_a_secret_are_refused_without_quoting_it(url: str) -> None:
    with pytest.raises(ConfigError, match="holds no name, password or query") as caught:
        OpenAIGenerator("m", url)
    assert "secret" not in repr(caught.value)


@pytest.mark.parametrize("url", ["", "localhost:8000", "ftp://host/v1", "http://", "http://host:port"])
def test_addresses_that_are_none_are_refused(url: str) -> None:
    with pytest.raises(ConfigError, match="begins with http"):
        OpenAIGenerator("m", url)


def test_vendors_address_is_what_the_sdk_uses(monkeypatch: pytest.MonkeyPatch) -> None:
    import openai

    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    assert str(openai.OpenAI(api_key="k").base_url).rstrip("/") == OPENAI_URL


@pytest.mark.parametrize(
    ("text", "reason", "why"),
    [
        ("", "stop", "no text: the service ended the answer without any"),
        (" \n", "stop", "no text: the service ended the answer without any"),
        (None, "length", "no text: the room for the answer was used up by 5 tokens of hidden thought"),
    ],
)
def test_empty_answer_says_why(
    server: OpenAIGenerator, service: "FakeService", text: str | None, reason: str, why: str
) -> None:
    status, body = reply(text, reason)
    body["usage"]["completion_tokens_details"] = {"reasoning_tokens": 5}
    service.answer = lambda request: (status, body)
    [answer] = answers(server)
    assert (answer.finish_reason, answer.error) == (reason, why)


def events(*pieces: str, reason: str | None = "stop", usage: bool = True) -> tuple[dict[str, Any], ...]:
    """An answer in pieces, then why it ends, then what it cost."""
    chunk = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m"}
    deltas: list[dict[str, str]] = [{"role": "assistant", "content": piece} for piece in pieces]
    ends = [*[None] * len(pieces), reason]
    told = zip([*deltas, {}], ends, strict=True)
    choices = [[{"index": 0, "delta": delta, "finish_reason": end}] for delta, end in told]
    counts = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
    cost = [{**chunk, "choices": [], "usage": counts}] if usage else []
    return (*({**chunk, "choices": choice} for choice in choices), *cost)


def streamed(server: OpenAIGenerator) -> tuple[list[str], Completion]:
    shown: list[str] = []
    [answer] = server.generate([Prompt("Add.")], Sampling(), lambda prompt, text: shown.append(text))
    return shown, answer


def test_answer_is_shown_as_it_comes(server: OpenAIGenerator, service: "FakeService") -> None:
    service.answer = lambda request: Wire(events=events("print", "(1)"), done=True)
    shown, answer = streamed(server)
    assert shown == ["print", "(1)"]
    assert (answer.text, answer.finish_reason) == ("print(1)", "stop")
    assert (answer.n_prompt_tokens, answer.n_tokens) == (7, 5)
    assert (service.requests[0]["stream"], service.requests[0]["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize("silent", [False, True])
@pytest.mark.parametrize("share", [0.2, 0.4, 0.5])
def test_stream_that_is_cut_is_asked_for_again_and_shown_once(
    server: OpenAIGenerator, service: "FakeService", share: float, silent: bool
) -> None:
    whole = Wire(events=events("print", "(1)", "  # done"), done=True)
    cut = Wire(events=whole.events, cut_at=int(len(whole.data) * share), silent=silent)
    service.first(cut, then=whole)
    shown, answer = streamed(server)
    assert "".join(shown) == answer.text == "print(1)  # done"
    assert len(service.requests) == 2


def test_error_in_the_middle_of_a_stream_is_told_apart(server: OpenAIGenerator, service: "FakeService") -> None:
    begun, whole = events("print")[:1], Wire(events=events("print", "(1)"), done=True)
    service.first(
        Wire(events=(*begun, {"error": {"message": "overloaded", "type": "server_error"}})),
        Wire(events=(*begun, {"error": {"message": "overloaded", "code": 503}})),
        then=whole,
    )
    shown, answer = streamed(server)
    assert "".join(shown) == answer.text == "print(1)"
    assert len(service.requests) == 3
    service.answer = lambda request: Wire(events=({"error": {"message": "too long", "code": 400}},))
    _, answer = streamed(server)
    assert (answer.finish_reason, answer.error) == ("error", "HTTP 400: too long")


def test_blocked_stream_is_an_answer_with_an_error(server: OpenAIGenerator, service: "FakeService") -> None:
    service.answer = lambda request: Wire(events=events("print", reason="content_filter"), done=True)
    shown, answer = streamed(server)
    assert (shown, answer.finish_reason, answer.error) == (["print"], "error", "finish reason content_filter")


def test_older_server_is_not_asked_to_count_a_stream(server: OpenAIGenerator, service: "FakeService") -> None:
    def older(request: dict[str, Any]) -> "Answer":
        if "stream_options" in request:
            return failure(400, "unknown field stream_options")
        return Wire(events=events("print(1)", usage=False), done=True)

    service.answer = older
    _, answer = streamed(server)
    assert (answer.text, answer.n_tokens) == ("print(1)", 0)
    assert server.spent.n_tokens == 512  # the most that it can have been


def test_money_ends_the_run_with_what_is_there_given(service: "FakeService", fake_time: "FakeTime") -> None:
    limits = ServiceLimits(max_cost_usd=1, usd_per_million_input=1, usd_per_million_output=1000, at_once=1)
    service.answer = lambda request: reply(TEXT)
    rival = OpenAIGenerator("m", service.url, limits, Spending(0, 485), fake_time.clock)
    coming = rival.generate([Prompt("Add.", task_id=str(n)) for n in range(2)], Sampling(max_tokens=512))
    assert next(coming).text == TEXT  # 0.485 USD are spent, and it could cost 0.512
    with pytest.raises(AccessError, match=r"has cost 0\.4900 USD"):
        next(coming)
    assert len(service.requests) == 1


def test_run_that_stopped_asks_only_what_is_missing(
    service: "FakeService", fake_time: "FakeTime", tmp_path: Path
) -> None:
    limits, path = ServiceLimits(at_once=1), tmp_path / "samples.jsonl"
    prompts = [Prompt(f"Add {n}.", task_id=str(n)) for n in range(4)]
    settings = EvaluateConfig(sampling=Sampling())

    def write() -> Spending:
        spent = Spending.of(read_samples(path)) if path.exists() else Spending()
        rival = OpenAIGenerator("m", service.url, limits, spent, fake_time.clock)
        write_answers(rival, prompts, settings, path, SilentWatcher())
        return rival.spent

    service.first(reply(TEXT), reply(TEXT), then=failure(503, "overloaded"))
    with pytest.raises(AccessError, match="6 attempts"):
        write()
    assert [row.task_id for row in read_samples(path)] == ["0", "1"]
    service.answer = lambda request: reply(TEXT)
    service.requests.clear()
    assert write() == Spending(4 * 7, 4 * 5)
    assert [row.text for row in read_samples(path)] == [TEXT] * 4
    assert [request["messages"][0]["content"] for request in service.requests] == list(map(instruction, prompts[2:]))


class SilentWatcher:
    """Nobody looks on."""

    def stage_began(self, name: str) -> None: ...

    def stage_moved(self, done: float, total: float, note: str) -> None: ...

    def stage_ended(self, name: str, seconds: float, cached: bool) -> None: ...


@pytest.mark.parametrize("status", [400, 401, 404, 500])
def test_key_is_in_no_error_and_no_answer(
    service: "FakeService", fake_time: "FakeTime", monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "test-key")
    rival = OpenAIGenerator("m", service.url, clock=fake_time.clock)
    service.answer = lambda request: failure(status, "you sent test-key; api_key=test-key")
    told: list[object] = [rival]
    try:
        told += answers(rival)
    except AccessError as error:
        told += [error, error.message, error.hint, error.__cause__, error.__context__]
    assert len(told) > 1
    assert not any("test-key" in f"{thing!r} {thing}" for thing in told)
