"""Trits in the order in which a kernel reads them.

A tile is 64 rows of a matrix. It lies in steps of 16 columns, 256 bytes each: four groups of 16 rows, and in a group
16 rows of 4 bytes. The byte `b` (0 to 3) of a row in step `s` holds four trits as codes `trit + 1`:

    bits 2j, 2j+1  =  code of column 16 s + 4 j + b        j = 0 to 3

so that 4 bytes of a row, masked to the bits of one j, meet 4 activations that lie side by side, and a 64-byte vector
is 16 rows. A matrix whose rows are no multiple of 64 is filled up with rows of zeros (code 1).
"""

import numpy as np
from jaxtyping import Int8, UInt8

TILE_ROWS = 64
STEP_COLS = 16


def pack_tiles(trits: Int8[np.ndarray, "out in"]) -> UInt8[np.ndarray, "tiles bytes"]:
    """Lay a matrix of trits out in tiles: (ceil(out / 64), 16 * in) bytes; `in` must be a multiple of 16."""
    rows, cols = trits.shape
    assert cols % STEP_COLS == 0, "columns come in steps of 16"
    codes = np.ones((-(-rows // TILE_ROWS) * TILE_ROWS, cols), dtype=np.uint8)
    codes[:rows] = trits + 1
    # tile, group, row, step, j, byte  ->  tile, step, group, row, byte, with j inside of the byte
    parts = codes.reshape(-1, 4, 16, cols // STEP_COLS, 4, 4).transpose(0, 3, 1, 2, 5, 4)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)
    packed: UInt8[np.ndarray, "tiles bytes"] = np.bitwise_or.reduce(parts << shifts, axis=-1).astype(np.uint8)
    return packed.reshape(-1, 16 * cols)


def unpack_tiles(packed: UInt8[np.ndarray, "tiles bytes"], rows: int) -> Int8[np.ndarray, "out in"]:
    """The inverse of `pack_tiles`: the first `rows` rows."""
    steps = packed.shape[1] // (4 * TILE_ROWS)
    shifts = np.arange(0, 8, 2, dtype=np.uint8)
    codes = (packed.reshape(-1, steps, 4, 16, 4, 1) >> shifts) & 3
    trits = codes.astype(np.int8).transpose(0, 2, 3, 1, 5, 4) - np.int8(1)
    return trits.reshape(-1, steps * STEP_COLS)[:rows]
