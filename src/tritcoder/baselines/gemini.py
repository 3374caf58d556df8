"""Gemini, through Google's own SDK `google-genai`."""

import json
import os
from collections.abc import Iterable, Iterator
from typing import Any

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
from tritcoder.errors import AccessError, MissingExtraError
from tritcoder.protocols import OnText
from tritcoder.records import Completion, FinishReason, Prompt, Sampling

_KEYS = ("GEMINI_API_KEY", "GOOGLE_API_KEY")
_FINISHED: dict[str, FinishReason] = {"STOP": "stop", "MAX_TOKENS": "length"}


class GeminiGenerator:
    """A model of the Gemini API; it is told each problem with `prompting.instruction`.

    The key is in GEMINI_API_KEY or GOOGLE_API_KEY. GOOGLE_GEMINI_BASE_URL names another address (the SDK reads it).
    """

    def __init__(
        self,
        model: str,
        limits: ServiceLimits = DEFAULT_LIMITS,
        spent: Spending = NOTHING,
        clock: Clock = REAL_CLOCK,
    ) -> None:
        """Prepare to ask; nothing is sent yet.

        Args:
            model: the vendor's name, such as `gemini-2.5-flash`.
            limits: what it may use.
            spent: what the answers that are there already have cost.
            clock: time and chance.

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
        self._key = find_key(_KEYS)
        if not self._key:
            raise AccessError(
                f"gemini:{model} needs a key, and {' or '.join(_KEYS)} is not set", "export GEMINI_API_KEY=KEY"
            )
        self._model, self._thinks, self._limits = model, True, limits
        self._meter = Meter(self.name, limits, spent, clock)
        # Without retry_options the SDK asks once: attempts are ours to count.
        options = google.genai.types.HttpOptions(timeout=max(1, int(limits.timeout_s * 1000)))
        self._client = google.genai.Client(api_key=self._key, vertexai=False, http_options=options)

    @property
    def name(self) -> str:
        """`gemini:` and the vendor's name."""
        return f"gemini:{self._model}"

    @property
    def spent(self) -> Spending:
        """What is paid for so far."""
        return self._meter.spent

    def generate(
        self, prompts: Iterable[Prompt], sampling: Sampling, on_text: OnText | None = None
    ) -> Iterator[Completion]:
        """Answer every prompt with the model's raw text, code fences and all.

        An answer may have 8192 tokens even if `sampling.max_tokens` is less: thoughts are counted among them.

        Raises:
            AccessError: the key, the quota, the model's name, the network or a limit of money is in the way.
            PromptError: a prompt is empty, or a gap is to be filled.
        """
        return ask_all(self, self._meter, prompts, sampling, on_text)

    def at_most(self, prompt: Prompt, sampling: Sampling) -> Spending:
        """The tokens of the question and of the longest answer, thoughts included."""
        return Spending(most_prompt_tokens(instruction(prompt)), self._room(sampling))

    def ask(self, prompt: Prompt, sampling: Sampling, say: Say | None) -> Reply | Fault:
        """Put one prompt to the service, once; see `remote.Service`."""
        from google.genai.errors import APIError, UnknownApiResponseError

        message, thinks = instruction(prompt), self._thinks
        try:
            return self._listen(message, self._settings(prompt, sampling, thinks), say)
        except APIError as error:
            status, said = int(error.code or 0), str(error.message or error)
            wait_s = asked_wait_s(getattr(error.response, "headers", None) or {}, error.details)
        except (UnknownApiResponseError, json.JSONDecodeError):
            return cut_off("the answer")
        except (ValueError, TypeError, KeyError, AttributeError) as error:  # the SDK, over JSON of another shape
            return Reply("", "error", error=f"an answer that cannot be read ({type(error).__name__})")
        except Exception as error:
            if not is_network_error(error):
                raise
            return unreachable(os.environ.get("GOOGLE_GEMINI_BASE_URL") or "Google's address", error, self._key)
        if thinks and status == 400 and _refuses_thoughts(said):
            self._thinks = False
            return self.ask(prompt, sampling, say)
        return refused(self.name, status, without_key(said, self._key), _KEYS, wait_s)

    def _listen(self, message: str, settings: Any, say: Say | None) -> Reply | Fault:
        heard = _Heard()
        if say is None:
            heard.add(self._client.models.generate_content(model=self._model, contents=message, config=settings))
            return cut_off("the answer") if heard.nothing else heard.reply()
        stream = self._client.models.generate_content_stream(model=self._model, contents=message, config=settings)
        for response in stream:
            if piece := heard.add(response):
                say(piece)
        return heard.reply() if heard.ended else cut_off("the stream")

    def _room(self, sampling: Sampling) -> int:
        return max(MIN_OUTPUT_TOKENS, sampling.max_tokens + self._limits.thinking_tokens)

    def _settings(self, prompt: Prompt, sampling: Sampling, thinks: bool) -> Any:
        from google.genai.types import GenerateContentConfig, ThinkingConfig

        return GenerateContentConfig(
            max_output_tokens=self._room(sampling),
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k or None,
            seed=seed_of(sampling, prompt),
            thinking_config=ThinkingConfig(thinking_budget=self._limits.thinking_tokens) if thinks else None,
        )


class _Heard:
    """What has come of an answer, whole or in pieces: the text that is no thought, why it ended, what it cost."""

    def __init__(self) -> None:
        self.text = self._reason = self._blocked = ""
        self._n_prompt = self._n_text = self._n_thoughts = 0
        self._answered = False

    @property
    def nothing(self) -> bool:
        """Whether there was no answer at all, nor a reason: the SDK makes that of a body of no bytes."""
        return not (self._answered or self._blocked or self._n_prompt)

    @property
    def ended(self) -> bool:
        """Whether the service has said why there is no more."""
        return bool(self._reason or self._blocked)

    def add(self, response: Any) -> str:
        """Take in one response; returns the text that it adds."""
        usage = response.usage_metadata
        if usage:  # counts are of the whole answer so far
            self._n_prompt = usage.prompt_token_count or self._n_prompt
            self._n_text = usage.candidates_token_count or self._n_text
            self._n_thoughts = usage.thoughts_token_count or self._n_thoughts
        if response.prompt_feedback and response.prompt_feedback.block_reason:
            self._blocked = _word(response.prompt_feedback.block_reason)
        if not response.candidates:
            return ""
        candidate, self._answered = response.candidates[0], True
        self._reason = _word(candidate.finish_reason) or self._reason
        parts = (candidate.content and candidate.content.parts) or []
        piece = "".join(part.text for part in parts if part.text and not part.thought)
        self.text += piece
        return piece

    def reply(self) -> Reply:
        """The whole answer."""
        reason = _FINISHED.get(self._reason, "error")
        if self._blocked or not self._reason:
            error = f"no answer (block reason {self._blocked or 'not given'})"
        elif reason == "error":
            error = f"finish reason {self._reason}"
        else:
            error = "" if self.text.strip() else empty_answer(reason, self._n_thoughts)
        reason = "error" if self._blocked else reason
        return Reply(self.text, reason, self._n_prompt, self._n_text + self._n_thoughts, error)


def _word(value: Any) -> str:
    return str(getattr(value, "value", value) or "")


def _refuses_thoughts(said: str) -> bool:
    """Whether a model has no hidden thoughts that could be bounded; one that wants another bound is not meant."""
    return "thinking" in said.lower() and "budget" not in said.lower()
