"""Trits in bytes: four to a byte, in the layout of Hugging Face's packed BitNet directories.

Row `i + j * (out / 4)` of the matrix lies in bits `2 j` and `2 j + 1` of row `i` of the packed array,
as the code `trit + 1`; the code 3 never occurs.
"""

import numpy as np
from jaxtyping import Int8, UInt8

from tritcoder.errors import ModelFileError

TRITS_PER_BYTE = 4


def pack_rows(trits: Int8[np.ndarray, "out in"]) -> UInt8[np.ndarray, "packed in"]:
    """Pack a matrix of trits to a quarter of its rows; `out` must be a multiple of 4.

    Raises:
        ModelFileError: the number of rows is no multiple of 4, or a value is no trit.
    """
    if trits.shape[0] % TRITS_PER_BYTE:
        raise ModelFileError(f"packing takes a multiple of {TRITS_PER_BYTE} rows, found {trits.shape[0]}")
    if trits.size and (trits.min() < -1 or trits.max() > 1):
        raise ModelFileError("packing takes -1, 0 and +1 only", "quantise first: ternary.quantize.absmean_ternary")
    codes = (trits + 1).astype(np.uint8).reshape(TRITS_PER_BYTE, -1, trits.shape[1])
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None, None]
    packed: UInt8[np.ndarray, "packed in"] = np.bitwise_or.reduce(codes << shifts, axis=0).astype(np.uint8)
    return packed


def unpack_rows(packed: UInt8[np.ndarray, "packed in"]) -> Int8[np.ndarray, "out in"]:
    """The inverse of `pack_rows`.

    Raises:
        ModelFileError: a byte holds the code 3, which stands for no trit.
    """
    shifts = np.arange(0, 8, 2, dtype=np.uint8)[:, None, None]
    codes = (packed[None] >> shifts) & 3
    if codes.size and codes.max() == 3:
        raise ModelFileError(
            "a packed byte holds the code 3, which is no trit", "the file is corrupt: export it again"
        )
    return (codes.astype(np.int8) - 1).reshape(-1, packed.shape[1])
