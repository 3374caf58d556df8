"""The container of GGUF, version 2 and 3: keys with values, and tensors by name.

    header      "GGUF", version u32, number of tensors u64, number of keys u64
    keys        each: name, type u32, value; an array is its elements' type u32, their number u64, and they
    tensors     each: name, number of dimensions u32, dimensions u64 (the innermost first), type u32, offset u64
    data        begins at the next multiple of `general.alignment` (32); offsets count from there
    text        length u64, and so many bytes of UTF-8

No number in a file is trusted: every length is held against what is left of the file before anything is made of it.
Source: docs/gguf.md of ggml.
"""

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np

from tritcoder.errors import ModelFileError
from tritcoder.ternary.blocks import BLOCK_BYTES, BLOCK_WEIGHTS
from tritcoder.ternary.mapped import map_file

MAGIC = b"GGUF"
VERSIONS = (2, 3)
LAYOUT_NUMBERS = {0: "f32", 1: "f16", 8: "q8_0", 14: "q6_k", 30: "bf16", 34: "tq1_0", 35: "tq2_0", 36: "i2_s"}
"""The types of tensors that are read here; 36 is free in ggml, and I2_S in bitnet.cpp."""

MAX_KEYS = 1 << 16
MAX_TENSORS = 1 << 16
MAX_NAME_BYTES = 1 << 16
MAX_TEXT_BYTES = 1 << 26
MAX_TEXTS = 1 << 22
MAX_HEAD_BYTES = 1 << 28
"""What is before the data is copied into memory, and so has a limit. The longest known is a few MiB."""
MAX_ALIGNMENT = 1 << 16

_NUMBERS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_TEXT, _ARRAY = 8, 9
_I2_S_TAIL = 32
"""After the trits of an I2_S tensor: its scale, a float32, filled up to 32 bytes."""


@dataclass(frozen=True, slots=True)
class GgufTensor:
    """A tensor as it lies in the file."""

    name: str
    layout: str
    dims: tuple[int, ...]
    """The innermost first: (cols, rows) of a matrix."""
    data: np.ndarray
    """uint8, one-dimensional, a view of the file."""


@dataclass(frozen=True, slots=True)
class GgufFile:
    """A file, parsed and found sound in its structure; what it means is for others to say."""

    path: Path
    keys: dict[str, Any]
    """Numbers, booleans and texts; arrays of texts as lists, of numbers as numpy arrays."""
    tensors: dict[str, GgufTensor]
    size_bytes: int


def open_gguf(path: Path) -> GgufFile:
    """Map a GGUF file and parse all that is before its data.

    Raises:
        ModelFileError: no such file, no GGUF, cut short, or a length, an offset, a type or a name that cannot be.
    """
    data = map_file(path, least_bytes=24)
    cursor = _Cursor(path, data.data)
    if bytes(cursor.take(4, "its first bytes")) != MAGIC:
        cursor.fail(f"should begin with {MAGIC.decode()}, found {bytes(data[:4])!r}", "give a GGUF file")
    version = cursor.number("<I", "its version")
    if version not in VERSIONS:
        big = int.from_bytes(version.to_bytes(4, "little"), "big") in VERSIONS
        found = "a file for machines of the other byte order" if big else f"version {version}"
        cursor.fail(f"should be GGUF of version 2 or 3, found {found}", "convert it with a current llama.cpp")
    n_tensors = cursor.count("<Q", MAX_TENSORS, 24, "tensors")
    n_keys = cursor.count("<Q", MAX_KEYS, 13, "keys")
    keys = _read_keys(cursor, n_keys)
    heads = [_read_tensor_head(cursor) for _ in range(n_tensors)]
    start = _data_start(cursor, keys)
    return GgufFile(path, keys, _placed(cursor, heads, data[start:], keys), data.size)


class _Cursor:
    """A place in the file that moves on as it is read, and never beyond the end."""

    def __init__(self, path: Path, data: memoryview) -> None:
        self.path, self.data, self.place = path, data, 0
        self.texts_left = MAX_TEXTS

    def fail(self, told: str, hint: str = "the file is damaged: copy or export it again") -> NoReturn:
        raise ModelFileError(f"{self.path}: {told}", hint)

    def take(self, size: int, what: str) -> memoryview:
        left = min(len(self.data), MAX_HEAD_BYTES) - self.place
        if size > left:
            self.fail(f"{what} should take {size} bytes, found {left} (the file is cut short, or a length is wrong)")
        piece = self.data[self.place : self.place + size]
        self.place += size
        return piece

    def number(self, form: str, what: str) -> Any:
        return struct.unpack(form, self.take(struct.calcsize(form), what))[0]

    def count(self, form: str, limit: int, least_bytes: int, what: str) -> int:
        """A number of things, of which each takes so many bytes at least."""
        found: int = self.number(form, f"the number of {what}")
        room = min(limit, (len(self.data) - self.place) // least_bytes)
        if found > room:
            self.fail(f"should hold at most {room} {what} in its size, found a count of {found}")
        return found

    def text(self, limit: int, what: str) -> str:
        size = self.number("<Q", f"the length of {what}")
        if size > limit:
            self.fail(f"{what} should be at most {limit} bytes long, found {size}")
        try:
            return str(self.take(size, what), "utf-8")
        except UnicodeDecodeError:
            self.fail(f"{what} should be UTF-8, found other bytes")

    def texts(self, count: int, what: str) -> list[str]:
        """Many texts, in a narrow loop: vocabularies hold hundreds of thousands."""
        self.texts_left -= count
        if self.texts_left < 0:
            self.fail(f"should hold at most {MAX_TEXTS} texts in arrays, found more at {what}")
        data, place, end = self.data, self.place, min(len(self.data), MAX_HEAD_BYTES)
        length, found = struct.Struct("<Q").unpack_from, []
        try:
            for _ in range(count):
                (size,) = length(data, place)
                place += 8
                if size > end - place:
                    self.fail(f"a text of {what} should take {size} bytes, found {end - place}")
                found.append(str(data[place : place + size], "utf-8"))
                place += size
        except (struct.error, UnicodeDecodeError) as error:
            self.fail(f"{what} should hold {count} texts, found the {len(found)}th damaged ({error})")
        self.place = place
        return found


def _read_keys(cursor: _Cursor, count: int) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    for _ in range(count):
        name = cursor.text(MAX_NAME_BYTES, "the name of a key")
        if name in keys:
            cursor.fail(f"should hold each key once, found {name!r} twice")
        keys[name] = _read_value(cursor, name)
    return keys


def _read_value(cursor: _Cursor, name: str) -> Any:
    what = f"key {name!r}"
    kind = cursor.number("<I", f"the type of {what}")
    if kind == _TEXT:
        return cursor.text(MAX_TEXT_BYTES, what)
    if kind == _ARRAY:
        return _read_array(cursor, what)
    if kind not in _NUMBERS:
        cursor.fail(f"{what} should have a type from 0 to 12, found {kind}")
    return cursor.number(_NUMBERS[kind], what)


def _read_array(cursor: _Cursor, what: str) -> Any:
    kind = cursor.number("<I", f"the type of the elements of {what}")
    if kind == _TEXT:
        return cursor.texts(cursor.count("<Q", MAX_TEXTS, 8, f"elements of {what}"), what)
    if kind not in _NUMBERS:  # arrays of arrays are allowed by the format, and read by nobody
        cursor.fail(f"{what} should be an array of numbers or texts, found elements of type {kind}")
    dtype = np.dtype(_NUMBERS[kind])
    size = dtype.itemsize
    count = cursor.count("<Q", MAX_HEAD_BYTES, size, f"elements of {what}")
    return np.frombuffer(bytes(cursor.take(count * size, what)), dtype=dtype)


def _read_tensor_head(cursor: _Cursor) -> tuple[str, tuple[int, ...], int, int]:
    name = cursor.text(MAX_NAME_BYTES, "the name of a tensor")
    n_dims = cursor.number("<I", f"the number of dimensions of tensor {name!r}")
    if not 1 <= n_dims <= 4:
        cursor.fail(f"tensor {name!r} should have 1 to 4 dimensions, found {n_dims}")
    dims = struct.unpack(f"<{n_dims}Q", cursor.take(8 * n_dims, f"the dimensions of tensor {name!r}"))
    kind, offset = struct.unpack("<IQ", cursor.take(12, f"the type and place of tensor {name!r}"))
    return name, dims, kind, offset


def _alignment(cursor: _Cursor, keys: dict[str, Any]) -> int:
    found = keys.get("general.alignment", 32)
    if type(found) is not int or not 1 <= found <= MAX_ALIGNMENT or found & (found - 1):
        cursor.fail(f"key 'general.alignment' should be a power of 2 up to {MAX_ALIGNMENT}, found {found!r}")
    return found


def _data_start(cursor: _Cursor, keys: dict[str, Any]) -> int:
    alignment = _alignment(cursor, keys)
    return -(-cursor.place // alignment) * alignment


def _placed(
    cursor: _Cursor, heads: list[tuple[str, tuple[int, ...], int, int]], data: np.ndarray, keys: dict[str, Any]
) -> dict[str, GgufTensor]:
    """The tensors in the data, of which no two share a byte."""
    alignment, tensors, end, before = _alignment(cursor, keys), {}, 0, ""
    for name, dims, kind, offset in sorted(heads, key=lambda head: head[3]):
        layout, size = _layout_and_size(cursor, name, dims, kind)
        if name in tensors:
            cursor.fail(f"should hold each tensor once, found {name!r} twice")
        if offset % alignment:
            cursor.fail(f"tensor {name!r} should begin at a multiple of {alignment}, found offset {offset}")
        if offset < end:
            cursor.fail(f"tensor {name!r} should begin after {before!r} (at {end}), found offset {offset}")
        if size > data.size - offset:
            held = max(0, data.size - offset)
            cursor.fail(
                f"tensor {name!r} should hold {size} bytes, found {held} (the file is cut short)",
                "copy or export it again",
            )
        tensors[name] = GgufTensor(name, layout, dims, data[offset : offset + size])
        end, before = offset + size, name
    return tensors


def _layout_and_size(cursor: _Cursor, name: str, dims: tuple[int, ...], kind: int) -> tuple[str, int]:
    if kind not in LAYOUT_NUMBERS:
        read = ", ".join(layout.upper() for layout in LAYOUT_NUMBERS.values())
        cursor.fail(
            f"tensor {name!r} should be of a type that tritcoder reads ({read}), found ggml's type {kind}",
            "make the file anew: llama-quantize --token-embedding-type q8_0 F32.gguf OUT.gguf tq2_0",
        )
    layout = LAYOUT_NUMBERS[kind]
    if min(dims) < 1 or dims[0] % BLOCK_WEIGHTS[layout]:
        cursor.fail(
            f"tensor {name!r} should have rows of whole blocks of {BLOCK_WEIGHTS[layout]} weights, "
            f"found dimensions {dims}"
        )
    size = math.prod(dims) // BLOCK_WEIGHTS[layout] * BLOCK_BYTES[layout]
    return layout, size + _I2_S_TAIL * (layout == "i2_s")
