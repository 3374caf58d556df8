"""Any server that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, our own."""

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from tritcoder.baselines.faults import (
    Fault,
    Reply,
    asked_wait_s,
    cut_off,
    empty_answer,
    is_network_error,
    refused,
    unreachable,
)
from tritcoder.baselines.keys import find_key, without_key
from tritcoder.baselines.limits import DEFAULT_LIMITS, NOTHING, ServiceLimits, Spending
from tritcoder.baselines.pacing import REAL_CLOCK, Clock, Meter
from tritcoder.baselines.prompting import instruction, seed_of
from tritcoder.baselines.remote import MIN_OUTPUT_TOKENS, Say, ask_all, most_prompt_tokens
from tritcoder.errors import AccessError, ConfigError, MissingExtraError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, FinishReason, Prompt, Sampling

OPENAI_URL = "https://api.openai.com/v1"

_KEYS = ("OPENAI_API_KEY",)
_FINISHED: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class OpenAIGenerator:
    """A model behind an OpenAI-compatible address; it is told each problem with `prompting.instruction`.

    The key is in OPENAI_API_KEY; servers other than OpenAI's own get a dummy when it is not set.
    """

    def __init__(
        self,
        model: str,
        url: str = OPENAI_URL,
        limits: ServiceLimits = DEFAULT_LIMITS,
        spent: Spending = NOTHING,
        clock: Clock = REAL_CLOCK,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            model: the server's name for the model.
            url: the address that `/chat/completions` is appended to; without a path it gets `/v1`.
            limits: what it may use; `thinking_tokens` is not told to these servers.
            spent: what the answers that are there already have cost.
            clock: time and chance.

        Raises:
            MissingExtraError: openai is not installed.
            AccessError: OpenAI's own service is asked without a key.
            ConfigError: the address is none, or holds a secret.
        """
        self._model, self._url = model, _full_address(url)
        self._is_openai = self._url == OPENAI_URL
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{self.name} needs {error.name}, which is not installed", "pip install 'tritcoder[baselines]'"
            ) from None
        self._key = find_key(_KEYS)
        if self._is_openai and not self._key:
            raise AccessError(
                f"openai:{model} needs a key, and OPENAI_API_KEY is not set",
                f"export OPENAI_API_KEY=KEY, or name another server: openai:{model}@http://localhost:8000/v1",
            )
        self._meter = Meter(self.name, limits, spent, clock)
        self._counts_streams = True
        self._client = openai.OpenAI(
            api_key=self._key or "none", base_url=self._url, timeout=limits.timeout_s, max_retries=0
        )

    @property
    def name(self) -> str:
        """`openai:` and the model's name, with the address when it is not OpenAI's own."""
        return f"openai:{self._model}" + ("" if self._is_openai else f"@{self._url}")

    @property
    def spent(self) -> Spending:
        """What is paid for so far."""
        return self._meter.spent

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer every prompt with the model's raw text, code fences and all.

        From OpenAI itself an answer may have 8192 tokens even if `sampling.max_tokens` is less: its models count
        hidden thoughts among them. Other servers keep to `sampling.max_tokens`.

        Raises:
            AccessError: the key, the quota, the model's name, the network or a limit of money is in the way.
            PromptError: a prompt is empty, or a gap is to be filled.
        """
        return ask_all(self, self._meter, prompts, sampling, on_text)

    def at_most(self, prompt: Prompt, sampling: Sampling) -> Spending:
        """The tokens of the question and of the longest answer."""
        return Spending(most_prompt_tokens(instruction(prompt)), self._room(sampling))

    def ask(self, prompt: Prompt, sampling: Sampling, say: Say | None) -> Reply | Fault:
        """Put one prompt to the service, once; see `remote.Service`."""
        import openai

        counts = self._counts_streams
        try:
            return self._listen(prompt, sampling, say)
        except openai.APIStatusError as error:
            status, said, wait_s = error.status_code, error.message, asked_wait_s(error.response.headers)
        except openai.APIConnectionError as error:
            return unreachable(self._url, error.__cause__ or error, self._key)
        except openai.APIError as error:  # told in the middle of a stream, or an answer of another shape
            code = error.body.get("code") if isinstance(error.body, dict) else None
            if not isinstance(code, int) or not 400 <= code < 600:
                return Fault(f"in the middle of an answer: {without_key(error.message, self._key)}", may_cost=True)
            status, said, wait_s = code, error.message, 0.0
        except ValueError:  # JSON that has no end
            return cut_off("the answer")
        except Exception as error:  # older versions do not wrap what happens in the middle of a stream
            if not is_network_error(error):
                raise
            return unreachable(self._url, error, self._key)
        if say and counts and status == 400 and "stream_options" in said:
            self._counts_streams = False  # an older server, which counts no tokens in streams
            return self.ask(prompt, sampling, say)
        return refused(self.name, status, without_key(said, self._key), _KEYS, wait_s)

    def _listen(self, prompt: Prompt, sampling: Sampling, say: Say | None) -> Reply | Fault:
        message: Any = {"role": "user", "content": instruction(prompt)}
        asked: dict[str, Any] = {"model": self._model, "messages": [message], **self._settings(prompt, sampling)}
        if say is None:
            return _reply(self._client.chat.completions.create(**asked))
        if self._counts_streams:
            asked["stream_options"] = {"include_usage": True}
        with self._client.chat.completions.create(stream=True, **asked) as stream:
            return _streamed(stream, say)

    def _room(self, sampling: Sampling) -> int:
        return max(MIN_OUTPUT_TOKENS, sampling.max_tokens) if self._is_openai else sampling.max_tokens

    def _settings(self, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        settings: dict[str, Any] = {"temperature": sampling.temperature, "seed": seed_of(sampling, prompt)}
        settings["max_completion_tokens" if self._is_openai else "max_tokens"] = self._room(sampling)
        if sampling.top_p < 1:
            settings["top_p"] = sampling.top_p
        if sampling.top_k:
            settings["extra_body"] = {"top_k": sampling.top_k}
        return settings


def _full_address(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 0) >= 0
    except ValueError:
        sound = False
    if not sound:
        raise ConfigError(
            f"a server's address begins with http:// or https://, found {url!r}",
            "for example openai:NAME@http://localhost:8000/v1",
        )
    if parts.username or parts.password or parts.query or parts.fragment:  # names are written into every sample
        raise ConfigError(
            "a server's address holds no name, password or query: it is written into every answer's record",
            "put the key into OPENAI_API_KEY",
        )
    return url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")


def _reply(response: Any) -> Reply:
    """What an answer holds; servers may leave any part of it out, or send something else."""
    n_prompt, n_tokens, n_thoughts = _counts(response)
    choice = _first_choice(response)
    message: Any = getattr(choice, "message", None)
    if not hasattr(message, "content"):
        return Reply("", "error", n_prompt, n_tokens, "an answer without a message")
    text = message.content or getattr(message, "refusal", None) or ""
    word = getattr(choice, "finish_reason", None) or "stop"
    return _finished(str(text), word, n_prompt, n_tokens, n_thoughts)


def _streamed(stream: Iterable[Any], say: Say) -> Reply | Fault:
    """The same of an answer in pieces; one that never says why it ends was cut off."""
    text, word, counts = "", "", (0, 0, 0)
    for chunk in stream:
        choice = _first_choice(chunk)
        delta = getattr(choice, "delta", None)
        piece = getattr(delta, "content", None) or getattr(delta, "refusal", None)
        word = getattr(choice, "finish_reason", None) or word
        counts = _counts(chunk) if getattr(chunk, "usage", None) else counts
        if isinstance(piece, str) and piece:
            text += piece
            say(piece)
    return _finished(text, word, *counts) if word else cut_off("the stream")


def _finished(text: str, word: str, n_prompt: int, n_tokens: int, n_thoughts: int) -> Reply:
    reason = _FINISHED.get(word, "error")
    error = "" if text.strip() else empty_answer(reason, n_thoughts)
    return Reply(text, reason, n_prompt, n_tokens, f"finish reason {word}" if reason == "error" else error)


def _first_choice(response: Any) -> Any:
    choices = getattr(response, "choices", None)
    return choices[0] if isinstance(choices, list) and choices else None


def _counts(response: Any) -> tuple[int, int, int]:
    """Tokens read, written, and among these thoughts; 0 where the server does not say."""
    usage = getattr(response, "usage", None)
    details = getattr(usage, "completion_tokens_details", None)
    return _count(usage, "prompt_tokens"), _count(usage, "completion_tokens"), _count(details, "reasoning_tokens")


def _count(usage: Any, name: str) -> int:
    value = getattr(usage, name, None)
    return value if isinstance(value, int) else 0
