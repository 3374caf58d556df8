"""Gemini, through Google's own SDK `google-genai`."""

import os
from collections.abc import Iterable, Iterator
from typing import Any

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
from tritcoder.errors import AccessError, MissingExtraError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, FinishReason, Prompt, Sampling

THINKING_TOKENS = 4096
"""Most tokens of hidden thought; without a bound they can use up the answer's room and leave an empty text."""

_KEYS = "GEMINI_API_KEY or GOOGLE_API_KEY"
_FINISHED: dict[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length"}


class GeminiGenerator:
    """A model of the Gemini API; it is told each problem with `prompting.instruction`.

    The key is in GEMINI_API_KEY or GOOGLE_API_KEY. GOOGLE_GEMINI_BASE_URL names another address (the SDK reads it).
    """

    def __init__(self, model: str, first_wait_s: float = 1.0) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            model: the vendor's name, such as `gemini-2.5-flash`.
            first_wait_s: pause before the second attempt; it doubles from one attempt to the next.

        Raises:
            MissingExtraError: google-genai is not installed.
            AccessError: there is no key.
        """
        try:
            import google.genai
            import google.genai.types
        except ModuleNotFoundError as error:
            raise MissingExtraError(
                f"gemini:{model} needs {error.name}, which is not installed", "pip install 'tritcoder[baselines]'"
            ) from None
        key = os.environ.get("GEMINI_API_KEY") or os.environ.get("GOOGLE_API_KEY")
        if not key:
            raise AccessError(f"gemini:{model} needs a key, and {_KEYS} is not set", "export GEMINI_API_KEY=KEY")
        self._model, self._thinks = model, True
        retries = google.genai.types.HttpRetryOptions(
            attempts=N_ATTEMPTS, initial_delay=first_wait_s, jitter=first_wait_s
        )
        options = google.genai.types.HttpOptions(timeout=int(TIMEOUT_S * 1000), retry_options=retries)
        self._client = google.genai.Client(api_key=key, vertexai=False, http_options=options)

    @property
    def name(self) -> str:
        """`gemini:` and the vendor's name."""
        return f"gemini:{self._model}"

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer every prompt with the model's raw text, code fences and all.

        An answer may have 8192 tokens even if `sampling.max_tokens` is less: thoughts are counted among them.

        Raises:
            AccessError: the key, the quota, the model's name or the network is in the way.
            PromptError: a prompt is empty, or a gap is to be filled.
        """
        return ask_all(self.name, self._ask, prompts, sampling, on_text)

    def _ask(self, prompt: Prompt, sampling: Sampling) -> Reply:
        from google.genai.errors import APIError

        message, thinks = instruction(prompt), self._thinks
        settings = self._settings(prompt, sampling, thinks)
        try:
            return _reply(self._send(message, settings))
        except APIError as error:
            status, said = int(error.code or 0), str(error.message or error)
            if thinks and status == 400 and "thinking" in said.lower():
                self._thinks = False  # a model without hidden thoughts refuses a bound on them
                return self._ask(prompt, sampling)
            return _raised(refusal(self.name, status, said, _KEYS), error)
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # the SDK, over JSON of another shape
            return Reply("", "error", error=f"an answer that cannot be read ({type(error).__name__})")
        except Exception as error:
            if not _is_network_error(error):
                raise
            address = os.environ.get("GOOGLE_GEMINI_BASE_URL") or "Google's address"
            raise unreachable(self.name, address, error) from error

    def _send(self, message: str, settings: Any) -> Any:
        return self._client.models.generate_content(model=self._model, contents=message, config=settings)

    def _settings(self, prompt: Prompt, sampling: Sampling, thinks: bool) -> Any:
        from google.genai.types import GenerateContentConfig, ThinkingConfig

        return GenerateContentConfig(
            max_output_tokens=max(MIN_OUTPUT_TOKENS, sampling.max_tokens + THINKING_TOKENS * thinks),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or None,
            seed=seed_of(sampling, prompt),
            thinking_config=ThinkingConfig(thinking_budget=THINKING_TOKENS) if thinks else None,
        )


def _reply(response: Any) -> Reply:
    """What an answer holds: the text that is no thought, why it ended, and what it cost."""
    usage = response.usage_metadata
    n_prompt = (usage and usage.prompt_token_count) or 0
    n_tokens = ((usage and usage.candidates_token_count) or 0) + ((usage and usage.thoughts_token_count) or 0)
    if not response.candidates:
        blocked = response.prompt_feedback and response.prompt_feedback.block_reason
        return Reply("", "error", n_prompt, n_tokens, f"no answer (block reason {_word(blocked)})")
    candidate = response.candidates[0]
    parts = (candidate.content and candidate.content.parts) or []
    text = "".join(part.text for part in parts if part.text and not part.thought)
    reason = _FINISHED.get(_word(candidate.finish_reason), "error")
    error = f"finish reason {_word(candidate.finish_reason)}" if reason == "error" else ""
    return Reply(text, reason, n_prompt, n_tokens, error)


def _word(value: Any) -> str:
    return str(getattr(value, "value", value) or "not given")


def _raised(refused: AccessError | Reply, cause: Exception) -> Reply:
    if isinstance(refused, AccessError):
        raise refused from cause
    return refused


def _is_network_error(error: Exception) -> bool:
    """Whether the SDK's HTTP library (httpx or httpx2, by version) or the operating system gave up."""
    return isinstance(error, OSError) or type(error).__module__.partition(".")[0] in ("httpx", "httpx2", "httpcore")
