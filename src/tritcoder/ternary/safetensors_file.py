"""The container of safetensors: a header in JSON, and bytes.

    length u64, then so many bytes of JSON: {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, ...}
    data: offsets count from here; every byte belongs to one tensor

Source: the "Format" section of the README of safetensors. Nothing in a header is trusted.
"""

import json
import math
import struct
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple, NoReturn, TypeGuard

import numpy as np

from tritcoder.errors import ModelFileError
from tritcoder.ternary.hugging_face_names import parse_object, read_text
from tritcoder.ternary.mapped import map_file

MAX_HEADER_BYTES = 1 << 24
DTYPE_BYTES = {
    **dict.fromkeys(("F64", "I64", "U64"), 8),
    **dict.fromkeys(("F32", "I32", "U32"), 4),
    **dict.fromkeys(("F16", "BF16", "I16", "U16"), 2),
    **dict.fromkeys(("I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2"), 1),
}


class HeldTensor(NamedTuple):
    """A tensor as it lies in the file."""

    dtype: str
    shape: tuple[int, ...]
    data: np.ndarray
    """uint8, one-dimensional, a view of the file."""


def open_safetensors(path: Path) -> dict[str, HeldTensor]:
    """Map a file and parse its header.

    Raises:
        ModelFileError: no such file, damaged, cut short, or a header that does not fit its data.
    """
    data = map_file(path, least_bytes=8)
    (length,) = struct.unpack("<Q", data[:8].tobytes())
    if length > min(MAX_HEADER_BYTES, data.size - 8):
        room = min(MAX_HEADER_BYTES, data.size - 8)
        _fail(path, f"should begin with a header of at most {room} bytes, found a length of {length}")
    header = _parse_header(data[8 : 8 + length].tobytes(), path)
    header.pop("__metadata__", None)
    tensors, end = {}, 0
    body = data[8 + length :]
    for name, start, stop, dtype, shape in sorted(_checked(header, path), key=lambda head: head[1:3]):
        if start != end:  # bytes that two share, or that none owns
            _fail(path, f"tensor {name!r} should begin at byte {end}, found {start}")
        if stop > body.size:
            _fail(path, f"tensor {name!r} should end at byte {stop}, found {body.size} bytes (the file is cut short)")
        tensors[name] = HeldTensor(dtype, shape, body[start:stop])
        end = stop
    if end != body.size:
        _fail(path, f"should end after {end} bytes of tensors, found {body.size}")
    return tensors


def open_model(directory: Path) -> tuple[dict[str, HeldTensor], int]:
    """The tensors of `model.safetensors`, or of the files that its index names, and the size of all of them.

    Raises:
        ModelFileError: there is no such file, or one is damaged or lacks what the index says.
    """
    path, index = directory / "model.safetensors", directory / "model.safetensors.index.json"
    if path.exists():  # as transformers, which looks for the one file first
        return open_safetensors(path), path.stat().st_size
    text = read_text(index)
    if text is None:
        raise ModelFileError(f"{directory} has a config.json but no model.safetensors", "export the model again")
    places = parse_object(text, index).get("weight_map")
    if not isinstance(places, dict) or not all(_is_plain_name(name) for name in places.values()):
        _fail(index, "should name a file of the directory for each tensor")
    files = {name: open_safetensors(directory / name) for name in sorted(set(places.values()))}
    missing = [name for name, file in places.items() if name not in files[file]]
    if missing:
        _fail(index, f"names {missing[0]!r} in {places[missing[0]]}, which does not hold it")
    tensors = {name: files[file][name] for name, file in places.items()}
    return tensors, sum((directory / name).stat().st_size for name in files)


def write_safetensors(file: IO[bytes], heads: Mapping[str, tuple[str, tuple[int, ...]]], data: Iterable[Any]) -> None:
    """Write a file: dtype and shape of each tensor, and the bytes of each in the same order (in pieces or not)."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, (dtype, shape) in heads.items():
        size = math.prod(shape) * DTYPE_BYTES[dtype]
        header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(struct.pack("<Q", len(text)) + text)
    for piece in data:
        file.write(piece)


def _parse_header(text: bytes, path: Path) -> dict[str, Any]:
    try:
        header = json.loads(text.decode("utf-8"), object_pairs_hook=_each_name_once)
    except (ValueError, RecursionError) as error:
        _fail(path, f"should have a header in JSON that names each tensor once ({error})")
    if not isinstance(header, dict):
        _fail(path, f"should have an object as its header, found {type(header).__name__}")
    return header


def _each_name_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _checked(header: dict[str, Any], path: Path) -> Iterator[tuple[str, int, int, str, tuple[int, ...]]]:
    """Name, first byte, last byte, dtype and shape of each tensor, each sound in itself."""
    for name, head in header.items():
        if not isinstance(head, dict) or not isinstance(dtype := head.get("dtype"), str) or dtype not in DTYPE_BYTES:
            _fail(path, f"tensor {name[:80]!r} should have a known dtype, found {str(head)[:80]}")
        shape, offsets = head.get("shape"), head.get("data_offsets")
        if not _are_sizes(shape) or len(shape) > 8 or not _are_sizes(offsets) or len(offsets) != 2:
            _fail(path, f"tensor {name[:80]!r} should have a shape and two offsets, found {str(head)[:80]}")
        size = math.prod(shape) * DTYPE_BYTES[dtype]
        if offsets[1] - offsets[0] != size:
            _fail(path, f"tensor {name[:80]!r} should take {size} bytes, found offsets {offsets}")
        yield name, offsets[0], offsets[1], dtype, tuple(shape)


def _are_sizes(values: Any) -> TypeGuard[list[int]]:
    return isinstance(values, list) and all(type(value) is int and 0 <= value < 1 << 48 for value in values)


def _is_plain_name(name: Any) -> bool:
    return isinstance(name, str) and name not in ("", "..") and "\0" not in name and Path(name).name == name


def _fail(path: Path, told: str) -> NoReturn:
    raise ModelFileError(f"{path} {told}", "copy or export the model again")
