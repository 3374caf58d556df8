"""Weights in the blocks of GGUF: trits (TQ2_0, TQ1_0, I2_S) and floats (Q8_0, Q6_K), in and out.

A block holds weights of one row that lie side by side. Bits are counted from the lowest.

    TQ2_0   256 weights, 66 bytes: weight 128 g + 32 l + m is the code `trit + 1` in bits 2l, 2l+1 of byte 32 g + m
            (g < 2, l < 4, m < 32); then the scale, a float16
    TQ1_0   256 weights, 54 bytes: five trits in a byte, weight 32 n + m in byte m (n < 5, m < 32), then weight
            160 + 16 n + m in byte 32 + m (n < 5, m < 16), then four in a byte, weight 240 + 4 n + m in byte 48 + m
            (n < 4, m < 4); then the scale, a float16. A byte is the fraction 0.c0 c1 c2 c3 c4 of base 3, rounded
            up to 256ths: times 3^n modulo 256, then times 3, its carry is the code of n
    I2_S    128 weights, 32 bytes: weight 32 l + m is the code in bits 6 - 2l, 7 - 2l of byte m; no scale in the block
    Q8_0    32 weights, 34 bytes: the scale, a float16; 32 levels, int8
    Q6_K    256 weights, 210 bytes: sixteen scales int8 over one scale float16; levels of 6 bits in two pieces

Sources: ggml-common.h, ggml-quants.c of llama.cpp; for I2_S ggml-bitnet-mad.cpp of bitnet.cpp (its x86 layout).
"""

from typing import Literal

import numpy as np
from jaxtyping import Float32, Int8, UInt8

from tritcoder.errors import ModelFileError

BlockLayout = Literal["tq2_0", "tq1_0", "i2_s"]

BLOCK_WEIGHTS = {"f32": 1, "f16": 1, "bf16": 1, "tq2_0": 256, "tq1_0": 256, "i2_s": 128, "q8_0": 32, "q6_k": 256}
BLOCK_BYTES = {"f32": 4, "f16": 2, "bf16": 2, "tq2_0": 66, "tq1_0": 54, "i2_s": 32, "q8_0": 34, "q6_k": 210}
"""Of every layout: how many weights of a row go together, and in how many bytes."""

_SHIFTS = np.arange(0, 8, 2, dtype=np.uint8)
_POWERS = np.array([1, 3, 9, 27, 81], dtype=np.uint8)
_CHUNK_BYTES = 1 << 22
"""Bytes that are looked at at a time, so that a matrix is never held twice."""


def row_bytes(layout: str, cols: int) -> int:
    """Bytes of a row of so many weights.

    Raises:
        ModelFileError: a row is not a whole number of blocks.
    """
    blocks, rest = divmod(cols, BLOCK_WEIGHTS[layout])
    if rest:
        raise ModelFileError(
            f"rows of {layout} are made of blocks of {BLOCK_WEIGHTS[layout]} weights, found rows of {cols}",
            "choose another layout: f16 and f32 hold rows of any length",
        )
    return blocks * BLOCK_BYTES[layout]


def encode_trits(
    trits: Int8[np.ndarray, "out in"], layout: BlockLayout, scale: float = 1.0
) -> UInt8[np.ndarray, "out bytes"]:
    """Lay trits out in blocks of which each holds `scale` (I2_S blocks hold none).

    Raises:
        ModelFileError: a value is no trit, or a row is not a whole number of blocks.
    """
    rows, width = trits.shape[0], row_bytes(layout, trits.shape[1])
    if trits.size and (trits.min() < -1 or trits.max() > 1):
        raise ModelFileError("blocks take -1, 0 and +1 only", "quantise first: ternary.quantize.absmean_ternary")
    codes = (trits + np.int8(1)).view(np.uint8).reshape(-1, BLOCK_WEIGHTS[layout])
    if layout == "i2_s":
        return _shifted(codes.reshape(-1, 4, 32), _SHIFTS[::-1]).reshape(rows, width)
    body = _base_three(codes) if layout == "tq1_0" else _shifted(codes.reshape(-1, 2, 4, 32), _SHIFTS)
    blocks = np.empty((len(codes), BLOCK_BYTES[layout]), dtype=np.uint8)
    blocks[:, :-2] = body.reshape(len(codes), -1)
    blocks[:, -2:] = np.array([scale], dtype="<f2").view(np.uint8)
    return blocks.reshape(rows, width)


def decode_trits(
    data: UInt8[np.ndarray, "..."], layout: BlockLayout, rows: int, cols: int
) -> Int8[np.ndarray, "out in"]:
    """The trits of a matrix in blocks, its scales left out.

    Raises:
        ModelFileError: a code is 3, which stands for no trit, or there are not as many bytes as the matrix takes.
    """
    blocks = _blocks(data, layout, rows, cols)
    if layout == "tq1_0":
        codes = _base_three_codes(blocks)
    elif layout == "tq2_0":
        codes = (blocks[:, :64].reshape(-1, 2, 1, 32) >> _SHIFTS[:, None]) & 3
    else:
        codes = (blocks.reshape(-1, 1, 32) >> _SHIFTS[::-1][:, None]) & 3
    if codes.size and codes.max() == 3:
        raise ModelFileError("a block holds the code 3, which is no trit", "the file is corrupt: export it again")
    return codes.view(np.int8).reshape(rows, cols) - np.int8(1)


def block_scales(
    data: UInt8[np.ndarray, "..."], layout: Literal["tq2_0", "tq1_0", "q8_0"], rows: int, cols: int
) -> Float32[np.ndarray, "blocks"]:
    """The scale of each block, in the order of the blocks."""
    blocks = _blocks(data, layout, rows, cols)
    place = blocks[:, :2] if layout == "q8_0" else blocks[:, -2:]
    return np.ascontiguousarray(place).view("<f2")[:, 0].astype(np.float32)


def has_code_3(data: UInt8[np.ndarray, "..."]) -> bool:
    """Whether a byte of four 2-bit codes holds the code 3."""
    flat = data.reshape(-1)
    pieces = (flat[start : start + _CHUNK_BYTES] for start in range(0, flat.size, _CHUNK_BYTES))
    return any(bool((piece & (piece >> 1) & 0x55).any()) for piece in pieces)


def encode_q8_0(values: Float32[np.ndarray, "out in"]) -> UInt8[np.ndarray, "out bytes"]:
    """Round floats to int8 in blocks of 32, as ggml does: scale = max|x| / 127, halves away from zero.

    Raises:
        ModelFileError: a row is not a whole number of blocks, or a value is beyond what a float16 scale reaches.
    """
    width = row_bytes("q8_0", values.shape[1])
    groups = np.ascontiguousarray(values).reshape(-1, 32)
    scales = np.abs(groups).max(axis=1, keepdims=True) / np.float32(127)
    if scales.size and not scales.max() <= np.finfo(np.float16).max:
        raise ModelFileError("values are too large for q8_0 (or not finite)", "choose f32 for the embedding")
    with np.errstate(over="ignore"):  # the inverse of a subnormal scale: its values are zeros
        inverse = np.divide(np.float32(1), scales, out=np.zeros_like(scales), where=scales > 0)
    scaled = groups * np.where(np.isfinite(inverse), inverse, np.float32(0))
    blocks = np.empty((len(groups), 34), dtype=np.uint8)
    blocks[:, :2] = scales.astype("<f2").view(np.uint8)
    blocks[:, 2:] = np.copysign(np.floor(np.abs(scaled) + np.float32(0.5)), scaled).astype(np.int8).view(np.uint8)
    return blocks.reshape(len(values), width)


def decode_floats(data: UInt8[np.ndarray, "..."], layout: str, rows: int, cols: int) -> Float32[np.ndarray, "out in"]:
    """The floats of a matrix in any layout that holds floats, as float32.

    Raises:
        ModelFileError: there are not as many bytes as the matrix takes.
    """
    blocks = _blocks(data, layout, rows, cols)
    if layout == "q8_0":
        levels = blocks[:, 2:].view(np.int8).astype(np.float32)
        scaled: Float32[np.ndarray, "out in"] = levels * block_scales(data, "q8_0", rows, cols)[:, None]
        return scaled.reshape(rows, cols)
    if layout == "q6_k":
        return _six_bits(blocks).reshape(rows, cols)
    if layout == "bf16":
        high = blocks.reshape(-1).view("<u2").astype(np.uint32) << 16
        return high.view(np.float32).reshape(rows, cols)
    return blocks.reshape(-1).view("<f4" if layout == "f32" else "<f2").astype(np.float32).reshape(rows, cols)


def encode_floats(values: Float32[np.ndarray, "out in"], layout: str) -> UInt8[np.ndarray, "out bytes"]:
    """Floats as bytes of `f32`, `f16` (rounded to nearest even) or `q8_0`.

    Raises:
        ModelFileError: a value is beyond the reach of the layout, or a row is not a whole number of blocks.
    """
    if layout == "q8_0":
        return encode_q8_0(values)
    if layout == "f16" and values.size and not np.abs(values).max() <= np.finfo(np.float16).max:
        raise ModelFileError("values are too large for f16 (or not finite)", "choose f32")
    return np.ascontiguousarray(values.astype("<f2" if layout == "f16" else "<f4")).view(np.uint8)


def _blocks(data: UInt8[np.ndarray, "..."], layout: str, rows: int, cols: int) -> UInt8[np.ndarray, "blocks bytes"]:
    needed = rows * row_bytes(layout, cols)
    if data.size != needed:
        raise ModelFileError(f"a matrix {rows} x {cols} of {layout} takes {needed} bytes, found {data.size}")
    blocks: UInt8[np.ndarray, "blocks bytes"] = data.reshape(-1, BLOCK_BYTES[layout])
    return blocks


def _shifted(codes: UInt8[np.ndarray, "... 4 m"], shifts: UInt8[np.ndarray, "4"]) -> UInt8[np.ndarray, "... m"]:
    shifted: UInt8[np.ndarray, "... m"] = np.bitwise_or.reduce(codes << shifts[:, None], axis=-2).astype(np.uint8)
    return shifted


def _base_three(codes: UInt8[np.ndarray, "blocks 256"]) -> UInt8[np.ndarray, "blocks 52"]:
    # four in a byte are five of which the last is 0
    pieces = (
        codes[:, :160].reshape(-1, 5, 32),
        codes[:, 160:240].reshape(-1, 5, 16),
        codes[:, 240:].reshape(-1, 4, 4),
    )
    digits = [np.einsum("bnm,n->bm", piece, _POWERS[::-1][: piece.shape[1]]) for piece in pieces]
    numbers = np.concatenate(digits, axis=1).astype(np.uint16)
    return ((numbers * 256 + 242) // 243).astype(np.uint8)


def _base_three_codes(blocks: UInt8[np.ndarray, "blocks 54"]) -> UInt8[np.ndarray, "blocks 256"]:
    codes = np.empty((len(blocks), 256), dtype=np.uint8)
    for first, last, start, count in ((0, 32, 0, 5), (32, 48, 160, 5), (48, 52, 240, 4)):
        for n in range(count):
            turned = blocks[:, first:last] * _POWERS[n]  # modulo 256: what was carried off are the codes before
            width = last - first
            carry = (turned > 85).view(np.uint8) + (turned > 170)
            codes[:, start + n * width : start + (n + 1) * width] = carry
    return codes


def _six_bits(blocks: UInt8[np.ndarray, "blocks 210"]) -> Float32[np.ndarray, "blocks 256"]:
    low = blocks[:, :128].reshape(-1, 2, 1, 64) >> np.array([0, 4], dtype=np.uint8)[:, None] & 15
    high = blocks[:, 128:192].reshape(-1, 2, 1, 32) >> _SHIFTS[:, None] & 3
    levels = (low.reshape(-1, 256) | high.reshape(-1, 256) << 4).view(np.int8) - np.int8(32)
    scales = blocks[:, 192:208].view(np.int8).astype(np.float32)
    scales *= np.ascontiguousarray(blocks[:, 208:]).view("<f2").astype(np.float32)
    return (levels.reshape(-1, 16, 16) * scales[:, :, None]).reshape(-1, 256)


def are_finite(data: UInt8[np.ndarray, "..."], layout: str) -> bool:
    """Whether a matrix of floats holds neither NaN nor infinity (in blocks: its scales)."""
    if layout in ("q8_0", "q6_k"):
        blocks = data.reshape(-1, BLOCK_BYTES[layout])
        scales = np.ascontiguousarray(blocks[:, :2] if layout == "q8_0" else blocks[:, -2:])
        return bool(np.isfinite(scales.view("<f2")).all())
    values = data.reshape(-1).view("<f4" if layout == "f32" else "<u2")
    exponent = {"f32": 0, "f16": 0x7C00, "bf16": 0x7F80}[layout]
    pieces = (values[start : start + _CHUNK_BYTES] for start in range(0, values.size, _CHUNK_BYTES))
    if layout == "f32":
        return all(bool(np.isfinite(piece).all()) for piece in pieces)
    return not any(bool(((piece & exponent) == exponent).any()) for piece in pieces)
