"""A GGUF file that is damaged, or made to do harm: it is a model or it is refused, at once and with little memory."""

import os
import re
import struct
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.ternary.gguf_by_hand import Tensors, f32, gguf_by_hand, text

from tritcoder.errors import ModelFileError
from tritcoder.ternary.decoding import check_codes
from tritcoder.ternary.gguf_file import MAX_HEAD_BYTES, open_gguf
from tritcoder.ternary.gguf_reading import read_gguf
from tritcoder.ternary.weights import ModelWeights

SECONDS = 5.0
"""A refusal takes milliseconds; this allows for a busy machine."""
MEMORY_BYTES = 32 << 20

HEAD_BYTES = 24_000
"""Nearly all that a small file tells of itself."""
NUMBERS = (0, 1, 2, 8, 35, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**60, 2**61, 2**63 - 1, 2**63, 2**64 - 1)

in_one_folder = settings(
    max_examples=250, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=False
)


@pytest.fixture
def read(tmp_path: Path) -> Callable[[bytes], ModelWeights | None]:
    """Reads bytes as a model file; None if it is refused with what a person can use."""

    def attempt(data: bytes) -> ModelWeights | None:
        path = tmp_path / "x.gguf"
        path.write_bytes(data)
        try:
            found = read_gguf(path)
            check_codes(found)
        except ModelFileError as error:
            _require_plain(error)
            return None
        return found

    return attempt


def _require_plain(error: ModelFileError) -> None:
    assert error.hint
    assert len(error.message) < 1000


Read = Callable[[bytes], ModelWeights | None]


@in_one_folder
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(gguf_bytes: bytes, read: Read, data: st.DataObject) -> None:
    changed = bytearray(gguf_bytes)
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, HEAD_BYTES))
        changed[place] = data.draw(st.integers(0, 255))
    read(bytes(changed))


@in_one_folder
@given(place=st.integers(4, HEAD_BYTES), number=st.sampled_from(NUMBERS), width=st.sampled_from("IQ"))
def test_changed_numbers_are_read_or_refused(
    gguf_bytes: bytes, read: Read, place: int, number: int, width: str
) -> None:
    changed = bytearray(gguf_bytes)
    struct.pack_into(f"<{width}", changed, place, number % (1 << 32 if width == "I" else 1 << 64))
    read(bytes(changed))


@in_one_folder
@given(st.data())
def test_numbers_of_tensors_are_read_or_refused(gguf_bytes: bytes, read: Read, data: st.DataObject) -> None:
    """What stands behind a tensor's name: dimensions, type and offset."""
    places = [found.end() for found in re.finditer(rb"\.(weight|scale)", gguf_bytes)]
    changed = bytearray(gguf_bytes)
    place = data.draw(st.sampled_from(places)) + data.draw(st.sampled_from([0, 4, 12, 16, 20, 24]))
    struct.pack_into("<Q", changed, place, data.draw(st.sampled_from(NUMBERS)))
    read(bytes(changed))


@in_one_folder
@given(share=st.floats(0, 1, exclude_max=True))
def test_a_file_that_is_cut_short_is_refused(gguf_bytes: bytes, read: Read, share: float) -> None:
    assert read(gguf_bytes[: int(share * (len(gguf_bytes) - 64))]) is None


@in_one_folder
@given(st.binary(max_size=200))
def test_bytes_that_are_no_file_are_refused(read: Read, data: bytes) -> None:
    assert read(data) is None
    assert read(b"GGUF\x03\0\0\0" + data) is None


def header(n_tensors: int, n_keys: int, rest: bytes = b"", version: int = 3) -> bytes:
    return b"GGUF" + struct.pack("<IQQ", version, n_tensors, n_keys) + rest


def key(kind: int, content: bytes = b"") -> bytes:
    return text("k") + struct.pack("<I", kind) + content


def tensor(name: str, *dims: int, kind: int = 0, offset: int = 0) -> bytes:
    return text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)


def array(kind: int, count: int, content: bytes = b"") -> bytes:
    return key(9, struct.pack("<IQ", kind, count) + content)


NESTED = array(9, 1, struct.pack("<IQ", 9, 1) * 100_000)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"GGUF", "should hold at least 24 bytes, found 4"),
        (b"GGML" + bytes(40), "should begin with GGUF"),
        (header(0, 0, version=1), "found version 1"),
        (header(0, 0, version=0x03000000), "machines of the other byte order"),
        (header(2**64 - 1, 0, bytes(100)), "should hold at most 4 tensors in its size"),
        (header(0, 2**63, bytes(100)), "should hold at most 7 keys in its size"),
        (header(0, 1, struct.pack("<Q", 2**64 - 1) + bytes(100)), "the name of a key should be at most 65536 bytes"),
        (header(0, 1, struct.pack("<Q", 200) + bytes(100)), "the name of a key should take 200 bytes, found 100"),
        (header(0, 1, struct.pack("<Q", 2) + b"\xff\xff" + bytes(30)), "the name of a key should be UTF-8"),
        (header(0, 2, 2 * key(4, bytes(4))), "should hold each key once, found 'k' twice"),
        (header(0, 1, key(13, bytes(8))), "key 'k' should have a type from 0 to 12, found 13"),
        (header(0, 1, key(8, struct.pack("<Q", 2**62))), "key 'k' should be at most 67108864 bytes long"),
        (header(0, 1, array(8, 2**64 - 1, bytes(100))), "should hold at most 12 elements of key 'k'"),
        (header(0, 1, array(6, 2**62, bytes(100))), "should hold at most 25 elements of key 'k'"),
        (header(0, 1, array(8, 2, struct.pack("<QQ", 2**63, 0))), "a text of key 'k' should take 92233720"),
        (header(0, 1, array(8, 2, struct.pack("<Q", 2) + b"\xff\xff" + bytes(8))), "found the 0th damaged"),
        (header(0, 1, array(14, 1, bytes(100))), "found elements of type 14"),
        (header(0, 1, NESTED), "found elements of type 9"),
        (header(1, 0, tensor("t") + bytes(64)), "tensor 't' should have 1 to 4 dimensions, found 0"),
        (header(1, 0, tensor("t", 1, 1, 1, 1, 1) + bytes(64)), "should have 1 to 4 dimensions, found 5"),
        (header(1, 0, tensor("t", 0) + bytes(64)), "rows of whole blocks of 1 weights, found dimensions (0,)"),
        (header(1, 0, tensor("t", 2**63, 2**63, 2**63, 2**63)), "tensor 't' should hold"),
        (header(1, 0, tensor("t", 100, kind=35) + bytes(64)), "whole blocks of 256 weights"),
        (header(1, 0, tensor("t", 4, kind=99) + bytes(64)), "found ggml's type 99"),
        (header(1, 0, tensor("t", 4, offset=31) + bytes(64)), "multiple of 32, found offset 31"),
        (header(1, 0, tensor("t", 4, offset=2**64 - 32) + bytes(64)), "should hold 16 bytes, found 0"),
        (header(1, 0, tensor("t", 1000) + bytes(64)), "should hold 4000 bytes, found"),
        (header(2, 0, tensor("t", 4) + tensor("t", 4, offset=32) + bytes(99)), "each tensor once, found 't' twice"),
        (header(2, 0, tensor("t", 16) + tensor("u", 4, offset=32) + bytes(99)), "'u' should begin after 't' (at 64)"),
        (header(0, 1, text("general.alignment") + struct.pack("<II", 4, 0)), "a power of 2 up to 65536, found 0"),
        (header(0, 1, text("general.alignment") + struct.pack("<II", 4, 24)), "power of 2 up to 65536, found 24"),
        (header(0, 1, text("general.alignment") + struct.pack("<II", 4, 1 << 31)), "power of 2 up to 65536"),
        (header(0, 1, text("general.alignment") + struct.pack("<If", 6, 32.0)), "power of 2 up to 65536, found 32.0"),
        (header(0, 0, bytes(64)), "architecture bitnet, found 'None'"),
    ],
)  # fmt: skip
def test_each_lie_is_named_at_once_and_costs_no_memory(tmp_path: Path, data: bytes, told: str) -> None:
    path = tmp_path / "x.gguf"
    path.write_bytes(data)
    began = time.monotonic()
    tracemalloc.start()
    try:
        with pytest.raises(ModelFileError) as caught:
            read_gguf(path)
        assert tracemalloc.get_traced_memory()[1] < MEMORY_BYTES
    finally:
        tracemalloc.stop()
    assert time.monotonic() - began < SECONDS
    assert told in caught.value.message
    assert str(path) in caught.value.message


def sparse(path: Path, head: bytes, size: int) -> Path:
    """A file of any size that takes no room on the disk."""
    with path.open("wb") as file:
        file.write(head)
        file.truncate(size)
    return path


def test_a_head_beyond_its_limit_is_refused(tmp_path: Path) -> None:
    size = MAX_HEAD_BYTES + (1 << 30)
    many = header(0, 1, array(0, size - 1000))
    with pytest.raises(ModelFileError, match="key 'k'"):
        open_gguf(sparse(tmp_path / "x.gguf", many, size))


def test_many_empty_texts_are_refused_before_they_are_made(tmp_path: Path) -> None:
    head = header(0, 2, array(8, 1 << 23))
    with pytest.raises(ModelFileError, match="should hold at most 4194304 elements"):
        open_gguf(sparse(tmp_path / "x.gguf", head, 1 << 29))


def test_a_large_file_is_opened_without_reading_it(tmp_path: Path) -> None:
    rows = 1 << 20
    head = header(1, 0, tensor("t", 4096, rows, kind=35))
    path = sparse(tmp_path / "x.gguf", head, 64 + 64 + rows * 16 * 66)
    tracemalloc.start()
    found = open_gguf(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.tensors["t"].data.size == rows * 16 * 66
    assert peak < 1 << 20


@pytest.mark.parametrize("name", ["folder.gguf", "nowhere.gguf", "pipe.gguf", "a\0b.gguf"])
def test_what_is_no_file_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.gguf").mkdir()
    os.mkfifo(tmp_path / "pipe.gguf")
    with pytest.raises(ModelFileError):
        read_gguf(tmp_path / name)


TOKENS = ("tokens", "merges")


@pytest.mark.parametrize("name", TOKENS)
@pytest.mark.parametrize("content", [7, "text", None])
def test_a_garbled_vocabulary_is_refused(tmp_path: Path, name: str, content: Any) -> None:
    from tritcoder.ternary.gguf_tokenizer import tokenizer_json_from_keys

    keys: dict[str, Any] = {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": "gpt-2",
        "tokenizer.ggml.tokens": ["a", "b"],
        "tokenizer.ggml.merges": ["a b"],
    }
    assert tokenizer_json_from_keys(keys, 2, "x")
    with pytest.raises(ModelFileError, match=f"tokenizer.ggml.{name}"):
        tokenizer_json_from_keys(keys | {f"tokenizer.ggml.{name}": content}, 2, "x")
    with pytest.raises(ModelFileError, match="a type for each of 2 tokens, found 1"):
        tokenizer_json_from_keys(keys | {"tokenizer.ggml.token_type": np.array([1])}, 2, "x")
    with pytest.raises(ModelFileError, match="should be text"):
        tokenizer_json_from_keys({"tritcoder.tokenizer_json": 1}, 2, "x")


def test_a_head_made_by_hand_is_sound(tmp_path: Path) -> None:
    tensors: Tensors = {"t": f32(np.arange(6.0).reshape(2, 3))}
    (tmp_path / "x.gguf").write_bytes(gguf_by_hand({"a": 1, "b": "text", "c": True}, tensors))
    found = open_gguf(tmp_path / "x.gguf")
    assert found.keys == {"a": 1, "b": "text", "c": True}
    assert found.tensors["t"].dims == (3, 2)
    assert found.tensors["t"].data.view("<f4").tolist() == [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]
