"""A `tokenizer.json` as the keys of a GGUF file, and back.

Its exact text is kept beside them under a key of our own, so that our own files give back what was put in; other
programs' files are read by the keys that llama.cpp reads.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tritcoder.errors import ModelFileError

TEXT_KEY = "tritcoder.tokenizer_json"
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""Types of tokens, by llama.cpp's numbers."""
PRE = "gpt-2"
"""llama.cpp's name for GPT-2's way to split a text before it looks for tokens."""

_LLAMA_3 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+"
    r"|\s+(?!\S)|\s+"
)
_SPLITS = {"gpt-2": None, "gpt2": None, "llama-bpe": _LLAMA_3, "llama3": _LLAMA_3, "llama-v3": _LLAMA_3}
"""Ways to split that can be told in a `tokenizer.json`: None is GPT-2's, which the byte level brings with it."""


class GgufVocabulary(NamedTuple):
    """What llama.cpp wants to know of a tokenizer."""

    tokens: list[str]
    types: list[int]
    merges: list[str]


def vocabulary(tokenizer_json: str, size: int, where: str) -> GgufVocabulary:
    """Tokens by id, their types and the merges in their order; ids without a token become unused ones.

    Raises:
        ModelFileError: the text is no byte-level BPE's `tokenizer.json`, or has more tokens than the model.
    """
    try:
        content = json.loads(tokenizer_json)
        model, added = content["model"], content.get("added_tokens") or []
        ids = {token: int(i) for token, i in model["vocab"].items()} | {a["content"]: int(a["id"]) for a in added}
        special = {int(a["id"]) for a in added if a["special"]}
        merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ModelFileError(
            f"{where}: the tokenizer should be a tokenizer.json of a BPE, found another ({error!r})",
            "use a tokenizer.json written by tritcoder",
        ) from None
    if ids and not 0 <= min(ids.values()) <= max(ids.values()) < size:
        raise ModelFileError(f"{where}: the tokenizer's ids should be below {size}, found {max(ids.values())}")
    tokens, types = [f"[unused{i}]" for i in range(size)], [UNUSED] * size
    for token, i in ids.items():
        tokens[i], types[i] = token, CONTROL if i in special else NORMAL
    for one in added:
        types[int(one["id"])] = CONTROL if one["special"] else USER_DEFINED
    return GgufVocabulary(tokens, types, merges)


def end_of_text(tokenizer_json: str) -> int:
    """The id that ends a document: `<|endoftext|>`, or 0."""
    added = json.loads(tokenizer_json).get("added_tokens") or []
    return next((int(one["id"]) for one in added if one["content"] == "<|endoftext|>"), 0)


def tokenizer_json_from_keys(keys: Mapping[str, Any], vocab_size: int, where: str) -> str | None:
    """The `tokenizer.json` of a GGUF file: our own text if it is there, else one made of tokens and merges.

    Returns:
        None if the file has no tokenizer, or one of a kind that a byte-level BPE is not.

    Raises:
        ModelFileError: the keys of the tokenizer contradict each other or the model.
    """
    text = keys.get(TEXT_KEY)
    if text is not None:
        if not isinstance(text, str):
            raise ModelFileError(f"{where}: key '{TEXT_KEY}' should be text, found {type(text).__name__}")
        return text
    pre = keys.get("tokenizer.ggml.pre")
    if keys.get("tokenizer.ggml.model") != "gpt2" or not isinstance(pre, str) or pre not in _SPLITS:
        return None
    tokens, merges = _texts(keys, "tokens", where), _texts(keys, "merges", where)
    if len(tokens) != vocab_size:
        raise ModelFileError(
            f"{where}: should hold a token for each of the {vocab_size} rows of the embedding, found {len(tokens)}"
        )
    types = keys.get("tokenizer.ggml.token_type")
    types = (
        [int(kind) for kind in types if np.isfinite(kind)]
        if isinstance(types, np.ndarray)
        else [NORMAL] * len(tokens)
    )
    if len(types) != len(tokens):
        raise ModelFileError(f"{where}: should hold a type for each of {len(tokens)} tokens, found {len(types)}")
    return json.dumps(_content(tokens, types, merges, _SPLITS[pre]), ensure_ascii=False)


def _texts(keys: Mapping[str, Any], name: str, where: str) -> Sequence[str]:
    found = keys.get(f"tokenizer.ggml.{name}")
    if not isinstance(found, list):
        raise ModelFileError(f"{where}: key 'tokenizer.ggml.{name}' should be a list of texts, found none")
    return found


def _content(tokens: Sequence[str], types: Iterable[Any], merges: Sequence[str], split: str | None) -> dict[str, Any]:
    byte_level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": split is None}
    before: dict[str, Any] = byte_level
    if split is not None:
        apart = {"type": "Split", "pattern": {"Regex": split}, "behavior": "Isolated", "invert": False}
        before = {"type": "Sequence", "pretokenizers": [apart, byte_level]}
    added = [
        {
            "id": i,
            "content": token,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
            "special": kind == CONTROL,
        }
        for i, (token, kind) in enumerate(zip(tokens, types, strict=True))
        if kind in (CONTROL, USER_DEFINED)
    ]
    model = {
        "type": "BPE",
        "dropout": None,
        "unk_token": None,
        "continuing_subword_prefix": None,
        "end_of_word_suffix": None,
        "fuse_unk": False,
        "byte_fallback": False,
        "ignore_merges": split is not None,
        "vocab": {token: i for i, token in enumerate(tokens)},
        "merges": [merge.split(" ", 1) for merge in merges],
    }
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": added,
        "normalizer": None,
        "pre_tokenizer": before,
        "post_processor": None,
        "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
        "model": model,
    }
