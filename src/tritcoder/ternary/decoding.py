"""Weights in whatever layout a file holds them, as trits and as floats."""

from collections.abc import Iterator

import numpy as np

from tritcoder.errors import ModelFileError
from tritcoder.ternary.blocks import decode_floats, decode_trits, encode_floats, has_code_3
from tritcoder.ternary.packing import unpack_rows
from tritcoder.ternary.weights import FloatLayout, FloatWeight, ModelWeights, TernaryWeight

_CHUNK_WEIGHTS = 1 << 22


def rows_at_once(cols: int) -> int:
    """How many rows of a matrix are worked on at a time, so that memory is bounded whatever the model's size."""
    return max(1, _CHUNK_WEIGHTS // cols)


def trits_of(weight: TernaryWeight) -> np.ndarray:
    """The trits (out, in) int8 of a matrix.

    Raises:
        ModelFileError: a code stands for no trit.
    """
    flat = weight.data.reshape(-1)
    if weight.layout == "trits":
        trits: np.ndarray = flat.view(np.int8).reshape(weight.rows, weight.cols)
        if trits.size and (trits.min() < -1 or trits.max() > 1):
            raise ModelFileError("a matrix should hold -1, 0 and +1 alone, found others", "export the model again")
        return trits
    if weight.layout == "rows4":
        return unpack_rows(flat.reshape(-1, weight.cols))
    return decode_trits(flat, weight.layout, weight.rows, weight.cols)


def floats_of(weight: FloatWeight) -> np.ndarray:
    """The floats (out, in) float32 of a matrix."""
    return decode_floats(weight.data.reshape(-1).view(np.uint8), weight.layout, weight.rows, weight.cols)


def float_pieces(weight: FloatWeight, layout: FloatLayout) -> Iterator[np.ndarray]:
    """The bytes of a matrix in another layout, some rows at a time; the very bytes where it is the same.

    Raises:
        ModelFileError: a value is beyond the reach of the layout, or a row is not a whole number of blocks.
    """
    lines = weight.data.reshape(-1).view(np.uint8).reshape(weight.rows, -1)
    for start in range(0, weight.rows, rows_at_once(weight.cols)):
        piece = lines[start : start + rows_at_once(weight.cols)]
        if weight.layout == layout:
            yield piece
        else:
            yield encode_floats(decode_floats(piece, weight.layout, len(piece), weight.cols), layout)


def check_codes(weights: ModelWeights) -> None:
    """Look at every byte of the ternary matrices.

    Raises:
        ModelFileError: one of them stands for no trit; names the block and the layer.
    """
    for layer, block in enumerate(weights.blocks):
        for name, weight in block.linear.items():
            if not isinstance(weight, TernaryWeight) or weight.layout == "tq1_0":  # there every byte is five trits
                continue
            flat = weight.data.reshape(-1)
            if weight.layout == "trits":
                wrong = flat.size and (flat.min() < -1 or flat.max() > 1)
            else:
                wrong = has_code_3(flat.reshape(-1, 66)[:, :64] if weight.layout == "tq2_0" else flat)
            if wrong:
                raise ModelFileError(
                    f"block {layer}, layer {name} should hold trits alone, found a code that is none",
                    "the file is corrupt: copy or export it again",
                )
