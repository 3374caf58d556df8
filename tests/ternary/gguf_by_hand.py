"""GGUF files made byte by byte, so that they can hold anything."""

import struct
from typing import Any

import numpy as np

Tensors = dict[str, tuple[tuple[int, ...], int, bytes]]
"""Dimensions (innermost first), type and bytes of each tensor."""


def f32(values: np.ndarray) -> tuple[tuple[int, ...], int, bytes]:
    return values.shape[::-1], 0, values.astype("<f4").tobytes()


def gguf_by_hand(keys: dict[str, Any], tensors: Tensors) -> bytes:
    head = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(keys))
    head += b"".join(text(name) + value(content) for name, content in keys.items())
    data = b""
    for name, (dims, kind, content) in tensors.items():
        head += text(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, len(data))
        data += content + bytes(-len(content) % 32)
    return head + bytes(-len(head) % 32) + data


def text(content: str) -> bytes:
    return struct.pack("<Q", len(content.encode())) + content.encode()


def value(content: Any) -> bytes:
    match content:
        case bool():
            return struct.pack("<I?", 7, content)
        case int():
            return struct.pack("<II", 4, content) if content < 1 << 32 else struct.pack("<IQ", 10, content)
        case float():
            return struct.pack("<If", 6, content)
        case str():
            return struct.pack("<I", 8) + text(content)
        case bytes():
            return content
    raise AssertionError(content)
