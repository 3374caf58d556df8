"""No byte is lost, nothing special is smuggled in, and transformers reads the same ids."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.errors import AskedWronglyError, EmptyCorpusError, ModelFileError
from tritcoder.tokenizer.bpe import MIN_VOCAB_SIZE, SPECIAL_TOKENS, Tokenizer, text_bytes

ANY_TEXT = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=60)
"""Lone surrogates too, and many."""
UTF8_TEXT = st.text(st.characters(codec="utf-8"), max_size=60)
CODE_TEXT = st.lists(st.sampled_from(["def ", "return", " first", "\n    ", "漢", "\t", "10", "'", "  "])).map(
    "".join
)
SPELT_SPECIAL = st.lists(st.one_of(st.sampled_from(SPECIAL_TOKENS), st.text(max_size=4))).map("".join)

N_SPECIAL = len(SPECIAL_TOKENS)


@given(data=st.binary(max_size=80))
def test_any_bytes_come_back(tokenizer: Tokenizer, data: bytes) -> None:
    assert tokenizer.decode_bytes(tokenizer.encode_bytes(data)) == data


@given(text=st.one_of(ANY_TEXT, CODE_TEXT))
def test_any_text_comes_back(tokenizer: Tokenizer, text: str) -> None:
    ids = tokenizer.encode(text)
    assert tokenizer.decode_bytes(ids) == text_bytes(text)
    assert tokenizer.encode_batch([text, "x"]) == [ids, tokenizer.encode("x")]
    try:
        text.encode()
    except UnicodeEncodeError:
        return
    assert tokenizer.decode(ids) == text


@given(data=st.binary(max_size=40))
def test_bytes_that_python_escapes_in_text_come_back(tokenizer: Tokenizer, data: bytes) -> None:
    escaped = data.decode("utf-8", "surrogateescape")
    assert tokenizer.decode_bytes(tokenizer.encode(escaped)) == data
    assert tokenizer.encode(escaped) == tokenizer.encode_bytes(data)


def test_lone_surrogates_by_hand() -> None:
    assert text_bytes("a\udcff") == b"a\xff"
    assert text_bytes("\ud800b") == b"\xed\xa0\x80b"
    assert text_bytes("é") == b"\xc3\xa9"


def test_undecodable_bytes_cost_linear_time(tokenizer: Tokenizer) -> None:
    data = b"\xff" * 2**20  # with a copy of the rest for each byte this is half a terabyte of copying
    assert len(tokenizer.encode_bytes(data)) == len(data)


@given(text=SPELT_SPECIAL)
def test_text_that_spells_a_special_token_is_ordinary_text(tokenizer: Tokenizer, text: str) -> None:
    for ids in (tokenizer.encode(text), *tokenizer.encode_batch([text]), tokenizer.encode_bytes(text.encode())):
        assert min(ids, default=N_SPECIAL) >= N_SPECIAL
        assert tokenizer.decode(ids) == text


def test_a_loaded_tokenizer_keeps_special_tokens_out_of_text(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    ids = Tokenizer.load(tmp_path / "tokenizer.json").encode("".join(SPECIAL_TOKENS))
    assert min(ids) >= N_SPECIAL


def test_special_tokens_have_the_first_ids_and_stand_for_no_bytes(tokenizer: Tokenizer) -> None:
    assert [tokenizer.id_of(token) for token in SPECIAL_TOKENS] == list(range(N_SPECIAL))
    assert tokenizer.end_id == 0
    assert tokenizer.decode_bytes(range(N_SPECIAL)) == b""
    assert not tokenizer.token_lengths[:N_SPECIAL].any()


@given(data=st.binary(max_size=80))
def test_token_lengths_add_up_to_the_bytes(tokenizer: Tokenizer, data: bytes) -> None:
    ids = np.array(tokenizer.encode_bytes(data), dtype=np.int64)
    assert tokenizer.token_lengths[ids].sum() == len(data)


def test_every_byte_has_a_token_and_every_token_its_own_bytes(tokenizer: Tokenizer) -> None:
    tokens = [tokenizer.decode_bytes([i]) for i in range(N_SPECIAL, tokenizer.vocab_size)]
    assert {bytes([byte]) for byte in range(256)} <= set(tokens)
    assert len(set(tokens)) == len(tokens)


def test_frequent_words_are_one_token(tokenizer: Tokenizer) -> None:
    assert len(tokenizer.encode(" numbers")) == 1
    assert tokenizer.vocab_size <= 400


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_ids_equal_those_of_transformers(tokenizer: Tokenizer, tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    tokenizer.save(tmp_path / "tokenizer.json")
    path = str(tmp_path / "tokenizer.json")
    theirs = PreTrainedTokenizerFast(tokenizer_file=path)  # type: ignore[no-untyped-call]

    @given(text=st.one_of(UTF8_TEXT, CODE_TEXT))
    def ids_are_equal(text: str) -> None:
        if not any(token in text for token in SPECIAL_TOKENS):
            assert theirs.encode(text, add_special_tokens=False) == tokenizer.encode(text)

    ids_are_equal()
    assert theirs.convert_tokens_to_ids(list(SPECIAL_TOKENS)) == list(range(N_SPECIAL))


def test_saved_tokenizer_loads_to_an_equal_one(tokenizer: Tokenizer, tmp_path: Path) -> None:
    tokenizer.save(tmp_path / "tokenizer.json")
    again = Tokenizer.load(tmp_path / "tokenizer.json")
    assert again.to_json() == tokenizer.to_json()
    assert again.vocab_size == tokenizer.vocab_size
    assert json.loads((tmp_path / "tokenizer.json").read_text(encoding="utf-8")) == tokenizer.to_json()


def test_training_twice_gives_the_same_tokenizer() -> None:
    texts = ["while True:\n    pass\n", "x = [1, 2, 3]\n"]
    assert Tokenizer.train(texts, 290).to_json() == Tokenizer.train(iter(texts), 290).to_json()


def test_a_corpus_with_lone_surrogates_can_be_learnt_from() -> None:
    assert Tokenizer.train(["abc\udcff abc\ud800 abc"] * 3, 300).vocab_size >= MIN_VOCAB_SIZE


@pytest.mark.parametrize("vocab_size", [-1, 0, MIN_VOCAB_SIZE - 1])
def test_too_small_a_vocabulary_is_refused(vocab_size: int) -> None:
    with pytest.raises(AskedWronglyError, match=f"at least {MIN_VOCAB_SIZE} tokens, found {vocab_size}"):
        Tokenizer.train(["text"], vocab_size)


def test_the_smallest_vocabulary_holds_every_byte() -> None:
    smallest = Tokenizer.train(["text"], MIN_VOCAB_SIZE)
    assert smallest.vocab_size == MIN_VOCAB_SIZE
    assert len(smallest.encode_bytes(bytes(range(256)))) == 256


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_an_empty_corpus_is_refused(texts: list[str]) -> None:
    with pytest.raises(EmptyCorpusError, match="no text to learn"):
        Tokenizer.train(texts, 300)


@pytest.mark.parametrize("i", [-1, -100, 10**6, 2**63])
def test_an_id_outside_the_vocabulary_is_refused(tokenizer: Tokenizer, i: int) -> None:
    with pytest.raises(AskedWronglyError, match=f"must be 0 or more and below {tokenizer.vocab_size}"):
        tokenizer.decode_bytes([i])


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match=r"no tokenizer at .*tokenizer\.json"):
        Tokenizer.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe", b'{"model": {"type": "BPE"}}'])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content)
    with pytest.raises(ModelFileError):
        Tokenizer.load(path)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.99])
def test_a_file_cut_short_is_refused(tokenizer: Tokenizer, tmp_path: Path, share: float) -> None:
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(ModelFileError, match=r"tokenizer\.json is not a tokenizer"):
        Tokenizer.load(path)


def _set(*path: Any, value: Any) -> Callable[[dict[str, Any]], None]:
    def change(content: dict[str, Any]) -> None:
        for key in path[:-1]:
            content = content[key]
        content[path[-1]] = value

    return change


def _drop_byte(content: dict[str, Any]) -> None:
    vocabulary = content["model"]["vocab"]
    vocabulary["漢字"] = vocabulary.pop("Z")


def _swap_special(content: dict[str, Any]) -> None:
    tokens, vocabulary = content["added_tokens"], content["model"]["vocab"]
    first, second = tokens[0], tokens[1]
    first["content"], second["content"] = second["content"], first["content"]
    vocabulary[first["content"]], vocabulary[second["content"]] = 0, 1


HOSTILE = {
    "special token elsewhere": _swap_special,
    "id far outside": _set("model", "vocab", "Z", value=2**31),
    "byte without a token": _drop_byte,
    "no split": _set("pre_tokenizer", value=None),
    "lower case": _set("normalizer", value={"type": "Lowercase"}),
    "stripped": _set("normalizer", value={"type": "Strip", "strip_left": True, "strip_right": True}),
    "prefix space": _set("pre_tokenizer", "add_prefix_space", value=True),
    "truncated": _set(
        "truncation", value={"direction": "Right", "max_length": 2, "strategy": "LongestFirst", "stride": 0}
    ),
    "padded": _set(
        "padding",
        value={
            "strategy": {"Fixed": 64},
            "direction": "Right",
            "pad_to_multiple_of": None,
            "pad_id": 99,
            "pad_type_id": 0,
            "pad_token": "Z",
        },
    ),
}


@pytest.mark.parametrize("damage", HOSTILE.values(), ids=HOSTILE.keys())
def test_a_file_that_would_change_text_is_refused(
    tokenizer: Tokenizer, tmp_path: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    content = copy.deepcopy(tokenizer.to_json())
    damage(content)
    path = tmp_path / "tokenizer.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    with pytest.raises(ModelFileError):
        Tokenizer.load(path)
