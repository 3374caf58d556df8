"""A server on this machine that speaks as the vendors do, also when it fails, and a clock that nobody waits for."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tritcoder.baselines.pacing import Clock


@dataclass(frozen=True)
class Wire:
    """One HTTP response, down to the byte at which it breaks off."""

    status: int = 200
    body: Any = None
    """JSON, sent whole."""
    events: tuple[Any, ...] = ()
    """JSON, each sent as a server-sent event, in HTTP chunks."""
    done: bool = False
    """Whether the events end as OpenAI's do."""
    headers: dict[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    """The connection is closed after so many bytes of the body."""
    silent: bool = False
    """Whether nothing tells a cut body from a whole one: its length is not announced."""
    held_by: threading.Event | None = None
    """Nothing is sent until this is set."""

    @property
    def data(self) -> bytes:
        if not self.events:
            return json.dumps(self.body).encode()
        events = [json.dumps(event) for event in self.events] + ["[DONE]"] * self.done
        return "".join(f"data: {event}\r\n\r\n" for event in events).encode()


Answer = tuple[int, dict[str, Any]] | Wire


@dataclass
class FakeService:
    """What it was asked, and how it is to answer."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Answer] = lambda request: (500, {})
    url: str = ""

    def first(self, *answers: Answer, then: Answer) -> None:
        """Give these answers one after the other, and then always the same."""
        self.answer = lambda request: (*answers, *[then] * len(self.requests))[len(self.requests) - 1]


def _handler(service: FakeService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.requests.append(body)
            service.headers.append({name.lower(): value for name, value in self.headers.items()})
            service.paths.append(self.path)
            answer = service.answer(body)
            self._send(Wire(answer[0], answer[1]) if isinstance(answer, tuple) else answer)

        def _send(self, wire: Wire) -> None:
            if wire.held_by:
                wire.held_by.wait(30)
            self.close_connection = True
            self.send_response(wire.status)
            self.send_header("Content-Type", "text/event-stream" if wire.events else "application/json")
            self.send_header("Connection", "close")
            if wire.events and not wire.silent:
                self.send_header("Transfer-Encoding", "chunked")
            elif not wire.silent:
                self.send_header("Content-Length", str(len(wire.data)))
            for name, value in wire.headers.items():
                self.send_header(name, value)
            self.end_headers()
            self._send_body(wire)

        def _send_body(self, wire: Wire) -> None:
            data = wire.data[: wire.cut_at]
            if not wire.events or wire.silent:
                self.wfile.write(data)
                return
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            if wire.cut_at is None:
                self.wfile.write(b"0\r\n\r\n")

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up on a slow answer is no error here."""


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    fake = FakeService()
    server = _Server(("127.0.0.1", 0), _handler(fake))
    fake.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield fake
    server.shutdown()
    server.server_close()
    thread.join()


def byte_tokenizer() -> Any:
    """A token for each byte, and GPT-2's end of text."""
    import transformers
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokenizer = Tokenizer(models.BPE({char: place for place, char in enumerate(alphabet)}, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    wrap: Any = transformers.PreTrainedTokenizerFast
    return wrap(tokenizer_object=tokenizer, eos_token="<|endoftext|>", bos_token="<|endoftext|>")


def _save(folder: Path, network: Any) -> Path:
    byte_tokenizer().save_pretrained(folder)
    network.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def tiny_gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-2 of two layers, drawn at random, with a context of 96 bytes."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=257, n_positions=96, n_embd=16, n_layer=2, n_head=2, eos_token_id=256, bos_token_id=256,
        initializer_range=0.5,
    )  # fmt: skip
    return _save(tmp_path_factory.mktemp("gpt2"), transformers.GPT2LMHeadModel(config))


@pytest.fixture(scope="session")
def tiny_gpt_neo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A GPT-Neo of two layers, one with global and one with local attention."""
    torch = pytest.importorskip("torch", reason="torch is not installed")
    transformers = pytest.importorskip("transformers", reason="transformers is not installed")
    torch.manual_seed(1)
    config = transformers.GPTNeoConfig(
        vocab_size=257, max_position_embeddings=96, hidden_size=16, num_layers=2, num_heads=2, window_size=8,
        attention_types=[[["global", "local"], 1]], eos_token_id=256, bos_token_id=256, initializer_range=0.5,
    )  # fmt: skip
    return _save(tmp_path_factory.mktemp("gpt-neo"), transformers.GPTNeoForCausalLM(config))


class FakeTime:
    """Time that passes only when somebody sleeps."""

    def __init__(self) -> None:
        self.now, self.slept, self.jitter = 1000.0, 0.0, 0.0
        self._lock = threading.Lock()

    def sleep(self, seconds: float) -> None:
        with self._lock:
            self.now += seconds
            self.slept += seconds
        time.sleep(0)  # lets other threads go on

    @property
    def clock(self) -> Clock:
        return Clock(lambda: self.now, self.sleep, lambda: self.jitter)


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()
