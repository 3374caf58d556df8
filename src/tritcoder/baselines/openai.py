"""Any server that speaks OpenAI's chat completions: OpenAI itself, vLLM, llama.cpp, Ollama, our own."""

import os
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

from tritcoder.baselines.prompting import instruction, seed_of
from tritcoder.baselines.remote import (
    MIN_OUTPUT_TOKENS,
    N_ATTEMPTS,
    TIMEOUT_S,
    Reply,
    ask_all,
    refusal,
    unreachable,
)
from tritcoder.errors import AccessError, ConfigError, MissingExtraError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, FinishReason, Prompt, Sampling

OPENAI_URL = "https://api.openai.com/v1"

_FINISHED: dict[str, FinishReason] = {"stop": "stop", "length": "length"}


class OpenAIGenerator:
    """A model behind an OpenAI-compatible address; it is told each problem with `prompting.instruction`.

    The key is in OPENAI_API_KEY; servers other than OpenAI's own get a dummy when it is not set.
    """

    def __init__(self, model: str, url: str = OPENAI_URL) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            model: the server's name for the model.
            url: the address that `/chat/completions` is appended to; without a path it gets `/v1`.

        Raises:
            MissingExtraError: openai is not installed.
            AccessError: OpenAI's own service is asked without a key.
            ConfigError: the address is none.
        """
        self._model, self._url = model, _full_address(url)
        self._is_openai = self._url == OPENAI_URL
        try:
            import openai
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"{self.name} needs {error.name}, which is not installed", "pip install 'tritcoder[baselines]'"
            ) from None
        key = os.environ.get("OPENAI_API_KEY")
        if self._is_openai and not key:
            raise AccessError(
                f"openai:{model} needs a key, and OPENAI_API_KEY is not set",
                f"export OPENAI_API_KEY=KEY, or name another server: openai:{model}@http://localhost:8000/v1",
            )
        self._client = openai.OpenAI(
            api_key=key or "none", base_url=self._url, timeout=TIMEOUT_S, max_retries=N_ATTEMPTS - 1
        )

    @property
    def name(self) -> str:
        """`openai:` and the model's name, with the address when it is not OpenAI's own."""
        return f"openai:{self._model}" + ("" if self._is_openai else f"@{self._url}")

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer every prompt with the model's raw text, code fences and all.

        From OpenAI itself an answer may have 8192 tokens even if `sampling.max_tokens` is less: its models count
        hidden thoughts among them. Other servers keep to `sampling.max_tokens`.

        Raises:
            AccessError: the key, the quota, the model's name or the network is in the way.
            PromptError: a prompt is empty, or a gap is to be filled.
        """
        return ask_all(self.name, self._ask, prompts, sampling, on_text)

    def _ask(self, prompt: Prompt, sampling: Sampling) -> Reply:
        import openai

        message: Any = {"role": "user", "content": instruction(prompt)}
        try:
            response = self._client.chat.completions.create(
                model=self._model, messages=[message], **self._settings(prompt, sampling)
            )
        except openai.APIStatusError as error:
            refused = refusal(self.name, error.status_code, error.message, "OPENAI_API_KEY")
            if isinstance(refused, AccessError):
                raise refused from error
            return refused
        except openai.APIError as error:
            raise unreachable(f"openai:{self._model}", self._url, error) from error
        return _reply(response)

    def _settings(self, prompt: Prompt, sampling: Sampling) -> dict[str, Any]:
        settings: dict[str, Any] = {"temperature": sampling.temperature, "seed": seed_of(sampling, prompt)}
        if self._is_openai:
            settings["max_completion_tokens"] = max(MIN_OUTPUT_TOKENS, sampling.max_tokens)
        else:
            settings["max_tokens"] = sampling.max_tokens
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
    return url.rstrip("/") + ("" if parts.path.strip("/") else "/v1")


def _reply(response: Any) -> Reply:
    """What an answer holds; servers may leave any part of it out, or send something else."""
    usage = getattr(response, "usage", None)
    n_prompt, n_tokens = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    choices = getattr(response, "choices", None)
    choice = choices[0] if isinstance(choices, list) and choices else None
    message: Any = getattr(choice, "message", None)
    if not hasattr(message, "content"):
        return Reply("", "error", n_prompt, n_tokens, "an answer without a message")
    text = message.content or getattr(message, "refusal", None) or ""
    word = getattr(choice, "finish_reason", None) or "stop"
    reason = _FINISHED.get(word, "error")
    return Reply(str(text), reason, n_prompt, n_tokens, f"finish reason {word}" if reason == "error" else "")


def _count(usage: Any, name: str) -> int:
    value = getattr(usage, name, None)
    return value if isinstance(value, int) else 0
