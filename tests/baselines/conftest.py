"""A server on this machine that answers as the vendors do, and a checkpoint too small to know anything."""

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

Answer = tuple[int, dict[str, Any]]


@dataclass
class FakeService:
    """What it was asked, and how it is to answer."""

    requests: list[dict[str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    answer: Callable[[dict[str, Any]], Answer] = lambda request: (500, {})
    url: str = ""


def _handler(service: FakeService) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.requests.append(body)
            service.headers.append({name.lower(): value for name, value in self.headers.items()})
            service.paths.append(self.path)
            status, answer = service.answer(body)
            data = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.send_header("retry-after-ms", "1")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            """Say nothing."""

    return Handler


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeService]:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    fake = FakeService()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(fake))
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
