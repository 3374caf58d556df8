"""Byte-level BPE on GPT-2's split: any bytes in, token ids, the same bytes out."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import UInt16
from tokenizers import Tokenizer as HFTokenizer
from tokenizers import decoders, models, pre_tokenizers, trainers

from tritcoder.errors import AskedWronglyError, EmptyCorpusError, ModelFileError
from tritcoder.provenance import whole_file

END = "<|endoftext|>"
PROBLEM = "<|problem|>"
STANDARD_INPUT = "<|standard_input|>"
CALL_BASED = "<|call_based|>"
ANSWER = "<|answer|>"
FIM_PREFIX = "<|fim_prefix|>"
FIM_SUFFIX = "<|fim_suffix|>"
FIM_MIDDLE = "<|fim_middle|>"
SPECIAL_TOKENS = (END, PROBLEM, STANDARD_INPUT, CALL_BASED, ANSWER, FIM_PREFIX, FIM_SUFFIX, FIM_MIDDLE)
"""Their ids are their places in this tuple."""

MIN_VOCAB_SIZE = len(SPECIAL_TOKENS) + 256

_ESCAPED_BYTES = re.compile("([\udc80-\udcff]+)")
_PROBE = "\n Az09 \t\r\n  \0~é漢\U0001f600\t "
"""A file that does not give this text back is no byte-level tokenizer, or one that rewrites what it reads."""


def text_bytes(text: str) -> bytes:
    """The bytes that a text stands for, whatever is in it.

    UTF-8; a lone surrogate from U+DC80 to U+DCFF is the undecodable byte that Python escapes so (`surrogateescape`).
    A text with any other lone surrogate has three bytes for each of them (`surrogatepass`).
    """
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


def _byte_alphabet() -> dict[str, int]:
    """GPT-2's printable stand-in for each byte (Radford et al. 2019, `bytes_to_unicode`)."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    alphabet = {chr(byte): byte for byte in printable}
    hidden = [byte for byte in range(256) if byte not in set(printable)]
    return alphabet | {chr(256 + place): byte for place, byte in enumerate(hidden)}


class Tokenizer:
    """Bytes to ids and back. Text that looks like a special token is encoded as ordinary text."""

    def __init__(self, inner: HFTokenizer) -> None:
        self._inner = inner
        self._inner.encode_special_tokens = True
        for place, token in enumerate(SPECIAL_TOKENS):
            if inner.token_to_id(token) != place:
                raise ModelFileError(
                    f"the tokenizer should hold {token} as id {place}, found {inner.token_to_id(token)}",
                    "use a tokenizer.json written by tritcoder",
                )

    @classmethod
    def train(cls, texts: Iterable[str], vocab_size: int, *, progress: bool = False) -> "Tokenizer":
        """Learn the merges from texts.

        Raises:
            AskedWronglyError: the vocabulary is too small to hold every byte.
            EmptyCorpusError: there is no text.
        """
        if vocab_size < MIN_VOCAB_SIZE:
            raise AskedWronglyError(f"the vocabulary must hold at least {MIN_VOCAB_SIZE} tokens, found {vocab_size}")
        inner = HFTokenizer(models.BPE())
        inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
        inner.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=list(SPECIAL_TOKENS),
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=progress,
        )
        inner.train_from_iterator(_not_empty(texts), trainer)
        return cls(inner)

    @classmethod
    def load(cls, path: Path) -> "Tokenizer":
        """Read a `tokenizer.json`.

        Raises:
            ModelFileError: there is none, or it is not one that tritcoder wrote.
        """
        try:
            text = path.read_text(encoding="utf-8")
        except FileNotFoundError:
            raise ModelFileError(f"no tokenizer at {path}", "give a directory that tritcoder wrote") from None
        except (OSError, UnicodeDecodeError) as error:
            raise ModelFileError(
                f"{path} is not a tokenizer ({error})", "it may be cut short: write it again"
            ) from None
        return cls.from_json(text, path)

    @classmethod
    def from_json(cls, text: str, where: Path) -> "Tokenizer":
        """Make one of the text of a `tokenizer.json`; `where` names its file.

        Raises:
            ModelFileError: it is none that tritcoder wrote.
        """
        try:
            tokenizer = cls(HFTokenizer.from_str(text))
            tokenizer._require_lossless()
            return tokenizer
        except ModelFileError:
            raise
        except Exception as error:  # the library raises bare Exception for a text it cannot parse
            raise ModelFileError(
                f"{where} is not a tokenizer ({error})", "it may be cut short: write it again"
            ) from None

    def save(self, path: Path) -> None:
        """Write `tokenizer.json`, whole or not at all."""
        with whole_file(path) as file:
            file.write(self._inner.to_str(pretty=True))

    @cached_property
    def vocab_size(self) -> int:
        """How many tokens there are, special ones included."""
        size: int = self._inner.get_vocab_size()
        return size

    def id_of(self, special: str) -> int:
        """The id of a special token."""
        return SPECIAL_TOKENS.index(special)

    @cached_property
    def end_id(self) -> int:
        """The id that ends a document or an answer."""
        return self.id_of(END)

    def encode(self, text: str) -> list[int]:
        """Token ids of the text's bytes; see `text_bytes` for lone surrogates."""
        try:
            ids: list[int] = self._inner.encode(text, add_special_tokens=False).ids
        except (UnicodeEncodeError, TypeError):
            return self.encode_bytes(text_bytes(text))
        return ids

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of many texts, on every core."""
        try:
            encodings = self._inner.encode_batch_fast(list(texts), add_special_tokens=False)
        except (UnicodeEncodeError, TypeError):  # a lone surrogate in one of them
            return [self.encode(text) for text in texts]
        return [encoding.ids for encoding in encodings]

    def encode_bytes(self, data: bytes) -> list[int]:
        """Token ids of any bytes: what is UTF-8 is encoded as text, each other byte is a token of its own."""
        ids: list[int] = []
        for piece in _ESCAPED_BYTES.split(data.decode("utf-8", "surrogateescape")):
            if _ESCAPED_BYTES.match(piece):
                ids += [self._byte_ids[byte] for byte in text_bytes(piece)]
            else:
                ids += self._inner.encode(piece, add_special_tokens=False).ids
        return ids

    def decode_bytes(self, ids: Iterable[int]) -> bytes:
        """The bytes that the ids stand for; special tokens stand for none.

        Raises:
            AskedWronglyError: an id is outside the vocabulary.
        """
        table, ids = self._bytes_of, list(ids)
        if ids and not 0 <= min(ids) <= max(ids) < len(table):
            raise AskedWronglyError(f"token ids must be 0 or more and below {len(table)}, the size of the vocabulary")
        return b"".join(table[i] for i in ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text that the ids stand for; bytes that are no UTF-8 become U+FFFD."""
        return self.decode_bytes(ids).decode("utf-8", "replace")

    @cached_property
    def token_lengths(self) -> UInt16[np.ndarray, "V"]:
        """How many bytes each token stands for: what bits per byte divide by."""
        return np.array([len(data) for data in self._bytes_of], dtype=np.uint16)

    @cached_property
    def _bytes_of(self) -> list[bytes]:
        alphabet = _byte_alphabet()
        table = [b""] * self.vocab_size
        for token, i in self._inner.get_vocab(with_added_tokens=True).items():
            if i >= len(table) or not (i < len(SPECIAL_TOKENS) or alphabet.keys() >= set(token)):
                raise ModelFileError(
                    f"the tokenizer's token {token!r} (id {i}) stands for no bytes, or has no place",
                    "the file is damaged: use the tokenizer.json that lies beside the model",
                )
            if i >= len(SPECIAL_TOKENS):
                table[i] = bytes(alphabet[char] for char in token)
        return table

    @cached_property
    def _byte_ids(self) -> dict[int, int]:
        vocabulary = self._inner.get_vocab(with_added_tokens=True)
        return {byte: vocabulary[char] for char, byte in _byte_alphabet().items() if char in vocabulary}

    def _require_lossless(self) -> None:
        """Refuse a file that reads as a tokenizer, but would lose or change text."""
        if len(self._byte_ids) < 256 or self.decode_bytes(self.encode(_PROBE)) != text_bytes(_PROBE):
            raise ModelFileError(
                "the tokenizer should give every text back byte for byte, and this one does not",
                "the file is damaged or of another kind: use a tokenizer.json written by tritcoder",
            )

    def to_json(self) -> dict[str, object]:
        """The content of `tokenizer.json`."""
        content: dict[str, object] = json.loads(self._inner.to_str())
        return content


def _not_empty(texts: Iterable[str]) -> Iterator[str]:
    found = False
    for text in texts:
        found = found or bool(text)
        yield text_bytes(text).decode("utf-8", "replace")
    if not found:
        raise EmptyCorpusError("there is no text to learn a tokenizer from", "widen the corpus in the configuration")
