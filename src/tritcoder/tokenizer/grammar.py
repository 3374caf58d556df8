"""Answers that keep to a JSON schema, a regular expression or a grammar: which tokens may come next.

The work is llguidance's (an optional extra); see protocols.Constraint.
"""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Bool

from tritcoder.errors import AskedWronglyError, MissingExtraError
from tritcoder.records import Sampling
from tritcoder.tokenizer.bpe import SPECIAL_TOKENS, Tokenizer

if TYPE_CHECKING:
    import llguidance


class GrammarConstraint:
    """One answer's place in its grammar."""

    def __init__(self, matcher: "llguidance.LLMatcher", n_tokens: int, end_id: int, kind: str) -> None:
        self._matcher, self._n_tokens, self._end_id, self._kind = matcher, n_tokens, end_id, kind
        self._require_sound()

    def allowed(self) -> Bool[np.ndarray, "V"]:
        """Which tokens may come now; the end, where the grammar lets an answer end."""
        if self._matcher.is_stopped():
            return self._only_end()
        packed = np.frombuffer(self._matcher.compute_bitmask(), dtype=np.uint8)
        self._require_sound()
        found = np.unpackbits(packed, count=self._n_tokens, bitorder="little").view(np.bool_)
        return found if found.any() else self._only_end()

    def accept(self, token: int) -> None:
        """Take note of a token that was written."""
        if token != self._end_id and not self._matcher.is_stopped():
            self._matcher.consume_token(token)
            self._require_sound()

    def _only_end(self) -> Bool[np.ndarray, "V"]:
        found = np.zeros(self._n_tokens, dtype=np.bool_)
        found[self._end_id] = True
        return found

    def _require_sound(self) -> None:
        if self._matcher.is_error():
            raise AskedWronglyError(f"the {self._kind} cannot be kept to: {self._matcher.get_error()}")


def constraint_of(tokenizer: Tokenizer, sampling: Sampling) -> GrammarConstraint | None:
    """What `json_schema`, `regex` or `grammar` of a sampling demand; None if they demand nothing.

    Raises:
        AskedWronglyError: it is no schema, regular expression or grammar.
        MissingExtraError: llguidance is not installed.
    """
    if not (sampling.json_schema or sampling.regex or sampling.grammar):
        return None
    try:
        from llguidance import LLMatcher
    except ImportError:
        raise MissingExtraError(
            "answers that keep to a grammar need llguidance", "pip install 'tritcoder[grammar]'"
        ) from None
    try:
        if sampling.json_schema:
            kind, text = "JSON schema", LLMatcher.grammar_from_json_schema(sampling.json_schema)
        elif sampling.regex:
            kind, text = "regular expression", LLMatcher.grammar_from_regex(sampling.regex)
        else:
            kind, text = "grammar", LLMatcher.grammar_from_lark(sampling.grammar)
    except ValueError as error:
        raise AskedWronglyError(f"the JSON schema cannot be read: {error}") from None
    matcher = LLMatcher(_vocabulary(tokenizer), text, log_level=0)
    return GrammarConstraint(matcher, tokenizer.vocab_size, tokenizer.end_id, kind)


class _Words:
    """What llguidance asks of a tokenizer."""

    bos_token_id = None
    special_token_ids = tuple(range(len(SPECIAL_TOKENS)))

    def __init__(self, tokenizer: Tokenizer) -> None:
        self.eos_token_id, self._tokenizer = tokenizer.end_id, tokenizer
        words = [tokenizer.decode_bytes([token]) for token in range(tokenizer.vocab_size)]
        self.tokens = [*(name.encode() for name in SPECIAL_TOKENS), *words[len(SPECIAL_TOKENS) :]]

    def __call__(self, data: bytes | str) -> list[int]:
        return self._tokenizer.encode_bytes(data if isinstance(data, bytes) else data.encode())


@lru_cache(maxsize=4)
def _vocabulary(tokenizer: Tokenizer) -> Any:
    from llguidance import LLTokenizer, TokenizerWrapper

    return LLTokenizer(TokenizerWrapper(_Words(tokenizer)))
