"""The face that a person can guess: load a model, ask it for code.

from tritcoder import TritCoder

with TritCoder.load("model.gguf") as model:
    print(model.generate("Read two numbers and print their sum."))
"""

import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, overload

import numpy as np
from jaxtyping import Float32

from tritcoder.engine.core import open_core
from tritcoder.engine.language_model import EngineModel
from tritcoder.engine.reference import CacheType
from tritcoder.errors import AskedWronglyError, ConfigError, ModelFileError, PromptError
from tritcoder.generate import TextModel
from tritcoder.records import Completion, Prompt, Sampling
from tritcoder.ternary.weights import ModelWeights
from tritcoder.tokenizer.bpe import Tokenizer, text_bytes

MODEL_PLACES = ("", "model", "base", "ternary/model", "ternary/base")
"""Where in a directory a model may lie: a run stands for its ternary model, after fine-tuning if there was one."""

Message = Mapping[str, str]
"""`{"role": "user" or "assistant" or "system", "content": text}`."""


class TritCoder:
    """A ternary language model that writes code, on this computer's processor.

    Settings of every method that writes, beside those in its signature, are those of `records.Sampling`
    (`temperature`, `top_p`, `top_k`, `min_p`, `repetition_penalty`, `seed`, `stop`, `logit_bias`, ...), and
    `json_schema` (a dict or its JSON text), `regex` or `grammar` (Lark's notation), which the answer then keeps to.

    Args:
        weights: what a file holds.
        tokenizer: the one that the model was trained with.
        threads: by default one for each core.
        kernel: by default the best that the processor knows; `numpy` for the slow reference.
        cache_bytes: memory for what is remembered of texts; by default a quarter of a gigabyte, or one full context.
        kv_dtype: `float16`, or `int8` for half the memory.
        speculate: how many tokens of the text's own past to guess ahead; no text changes by it.
    """

    def __init__(
        self,
        weights: ModelWeights,
        tokenizer: Tokenizer,
        *,
        threads: int | None = None,
        kernel: str | None = None,
        cache_bytes: int | None = None,
        kv_dtype: CacheType = "float16",
        speculate: int = 0,
    ) -> None:
        core = open_core(weights, threads, kernel)
        self._model: EngineModel | None = EngineModel(
            core, weights.name or "tritcoder", cache_bytes=cache_bytes, kv_dtype=kv_dtype, speculate=speculate
        )
        self.tokenizer = tokenizer
        self._text = TextModel(self._model, tokenizer)

    @classmethod
    def load(
        cls,
        path: str | os.PathLike[str],
        *,
        threads: int | None = None,
        kernel: str | None = None,
        cache_bytes: int | None = None,
        kv_dtype: CacheType = "float16",
        speculate: int = 0,
    ) -> "TritCoder":
        """Open a GGUF file, a model directory, or the model of a run directory.

        Raises:
            ModelFileError: there is none, it is damaged or of another kind, or it came without its tokenizer.
            ConfigError: no such kernel, or a number of threads or bytes that makes no sense.
        """
        from tritcoder.ternary.format import read_model

        place = model_place(Path(path))
        weights = read_model(place)
        return cls(
            weights,
            tokenizer_of(weights, place),
            threads=threads,
            kernel=kernel,
            cache_bytes=cache_bytes,
            kv_dtype=kv_dtype,
            speculate=speculate,
        )

    @property
    def name(self) -> str:
        """The model's name."""
        return self._open().name

    @overload
    def generate(
        self, prompt: str, max_tokens: int = 512, *, stream: Literal[False] = False, n: None = None, **settings: Any
    ) -> str: ...
    @overload
    def generate(
        self, prompt: str, max_tokens: int = 512, *, stream: Literal[True], n: None = None, **settings: Any
    ) -> Iterator[str]: ...
    @overload
    def generate(
        self, prompt: str, max_tokens: int = 512, *, stream: Literal[False] = False, n: int, **settings: Any
    ) -> list[str]: ...
    @overload
    def generate(
        self,
        prompt: Sequence[str],
        max_tokens: int = 512,
        *,
        stream: Literal[False] = False,
        n: None = None,
        **settings: Any,
    ) -> list[str]: ...
    @overload
    def generate(
        self, prompt: Sequence[str], max_tokens: int = 512, *, stream: Literal[False] = False, n: int, **settings: Any
    ) -> list[list[str]]: ...
    def generate(
        self,
        prompt: str | Sequence[str],
        max_tokens: int = 512,
        *,
        stream: bool = False,
        n: int | None = None,
        **settings: Any,
    ) -> Any:
        """Write a program that does what the words say.

        Args:
            prompt: words; or many of them, which are answered together.
            max_tokens: at most so many tokens an answer.
            stream: give an iterator of pieces, as they are written; closing it cancels the rest.
            n: so many different answers to each prompt, as a list.
            settings: see the class.

        Returns:
            The text; with a list of prompts a list of texts, with `n` a list for each prompt.

        Raises:
            PromptError: a prompt is empty, or not to be answered within the context.
            ConfigError: a setting is unknown or out of its range.
        """
        one = isinstance(prompt, str)
        many = prompt if isinstance(prompt, list | tuple) else [prompt]
        prompts = [Prompt(_text(words)) for words in many]
        if stream:
            if not one or n is not None:
                raise ConfigError("a stream is of one answer to one prompt", "leave out n, and give one prompt")
            return self._stream(prompts[0], _sampling(max_tokens, settings))
        texts = [[found.text for found in some] for some in self._answer(prompts, n, _sampling(max_tokens, settings))]
        shaped = [some if n is not None else some[0] for some in texts]
        return shaped[0] if one else shaped

    def complete(
        self, prefix: str, suffix: str = "", max_tokens: int = 128, *, stream: bool = False, **settings: Any
    ) -> Any:
        """Go on with some code; with a suffix, write what stands between the two.

        Returns:
            The text; an iterator of its pieces with `stream=True`.
        """
        prompt = Prompt(_text(prefix), kind="code", suffix=_text(suffix))
        return self._one(prompt, _sampling(max_tokens, settings), stream)

    def chat(
        self, messages: Sequence[Message], max_tokens: int = 512, *, stream: bool = False, **settings: Any
    ) -> Any:
        """Answer the last message of a conversation.

        The models here learn to answer one problem at a time: the turns are put into one text, each under its role,
        and a conversation of a single message is that message.

        Returns:
            The text; an iterator of its pieces with `stream=True`.
        """
        return self._one(Prompt(_conversation(messages)), _sampling(max_tokens, settings), stream)

    def completions(
        self, prompt: str | Prompt, max_tokens: int = 512, *, n: int = 1, **settings: Any
    ) -> list[Completion]:
        """Answers with all that is known of them: why each ended, counts, times, scores (`logprobs=5`)."""
        asked = prompt if isinstance(prompt, Prompt) else Prompt(_text(prompt))
        return self._answer([asked], n, _sampling(max_tokens, settings))[0]

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a text."""
        return self.tokenizer.encode(text)

    def detokenize(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens stand for none."""
        return self.tokenizer.decode(ids)

    def logits(self, ids: Sequence[int]) -> Float32[np.ndarray, "T V"]:
        """Scores of every token of the vocabulary, after each of these.

        Raises:
            PromptError: no ids, too many, or one that stands for no token.
        """
        return self._open().logits(ids)

    def perplexity(self, text: str) -> float:
        """Exp of the mean loss of a text's tokens, over as many contexts as it needs.

        Raises:
            PromptError: the text is empty.
        """
        model, ids = self._open(), self.tokenizer.encode(text)
        if not ids:
            raise PromptError("an empty text has no perplexity", "give some text")
        width = model.max_seq_len - 1
        pieces = [[self.tokenizer.end_id, *ids[start : start + width]] for start in range(0, len(ids), width)]
        nats = -sum(float(scores.sum(dtype=np.float64)) for scores in model.log_probs(pieces))
        return math.exp(nats / len(ids))

    def close(self) -> None:
        """Give the memory back; whatever is still being written ends."""
        if self._model is not None:
            self._model.batch.cancel_all()
            self._model = None
            del self._text

    def __enter__(self) -> "TritCoder":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> EngineModel:
        if self._model is None:
            raise AskedWronglyError("this model was closed", "load it again: TritCoder.load(path)")
        return self._model

    def _one(self, prompt: Prompt, sampling: Sampling, stream: bool) -> Any:
        return self._stream(prompt, sampling) if stream else self._answer([prompt], None, sampling)[0][0].text

    def _stream(self, prompt: Prompt, sampling: Sampling) -> Iterator[str]:
        self._open()
        return self._text.stream(prompt, sampling)

    def _answer(self, prompts: Sequence[Prompt], n: int | None, sampling: Sampling) -> list[list[Completion]]:
        self._open()
        samples = 1 if n is None else n
        if samples < 1:
            raise ConfigError(f"n must be at least 1, found {n}")
        asked = [
            Prompt(one.text, one.kind, one.suffix, one.starter_code, one.call_based, str(place), sample, one.stop)
            for place, one in enumerate(prompts)
            for sample in range(samples)
        ]
        found = {(done.task_id, done.sample): done for done in self._text.generate(asked, sampling)}
        return [[found[str(place), sample] for sample in range(samples)] for place in range(len(prompts))]


def model_place(path: Path) -> Path:
    """The file or the directory that holds the model of a run, an arm or a directory.

    Raises:
        ModelFileError: there is none.
    """
    if path.is_file():
        return path
    for place in MODEL_PLACES:
        if (path / place / "config.json").is_file():
            return path / place
    files = sorted(path.glob("*.gguf")) if path.is_dir() else []
    if len(files) == 1:
        return files[0]
    state = "holds no model yet" if path.is_dir() else "does not exist"
    raise ModelFileError(
        f"{path} {state}",
        "give a GGUF file, a model directory, a run directory (runs/demo), or a rival (naive:retrieval, hf:PATH)",
    )


def tokenizer_of(weights: ModelWeights, place: Path) -> Tokenizer:
    """The tokenizer in the model's own file, or in the one beside it.

    Raises:
        ModelFileError: there is none, or it is damaged.
    """
    if weights.tokenizer_json is not None:
        return Tokenizer.from_json(weights.tokenizer_json, place / "tokenizer.json" if place.is_dir() else place)
    folder = place if place.is_dir() else place.parent
    return Tokenizer.load(folder / "tokenizer.json")


def _text(words: object) -> str:
    if not isinstance(words, str):
        raise PromptError(f"a prompt must be text, found {type(words).__name__}", "give a str, or a list of them")
    return text_bytes(words).decode("utf-8", "replace")


def _sampling(max_tokens: int, settings: dict[str, Any]) -> Sampling:
    """The settings as `records.Sampling`; whatever does not fit is refused in a sentence."""
    settings = dict(settings)
    if isinstance(settings.get("stop"), str):
        settings["stop"] = (settings["stop"],)
    if "stop" in settings:
        settings["stop"] = tuple(settings["stop"])
    if isinstance(settings.get("logit_bias"), Mapping):
        settings["logit_bias"] = tuple((int(token), float(bias)) for token, bias in settings["logit_bias"].items())
    schema = settings.get("json_schema")
    if schema is not None and not isinstance(schema, str):
        settings["json_schema"] = json.dumps(schema)
    known = Sampling.__dataclass_fields__
    unknown = [name for name in settings if name not in known]
    if unknown:
        raise ConfigError(f"there is no setting {unknown[0]!r}", f"choose among {', '.join(sorted(known))}")
    try:
        return Sampling(max_tokens=max_tokens, **settings)
    except TypeError as error:
        raise ConfigError(f"a setting has a value of another kind than it should have: {error}") from None


def _conversation(messages: Sequence[Message]) -> str:
    if not messages:
        raise PromptError("a conversation must have a message", 'give [{"role": "user", "content": "..."}]')
    for message in messages:
        if not isinstance(message, Mapping) or not {"role", "content"} <= set(message):
            raise PromptError(f"a message must have a role and a content, found {message!r}")
    if len(messages) == 1:
        return _text(messages[0]["content"])
    return "\n\n".join(f"{message['role']}: {_text(message['content']).strip()}" for message in messages)
