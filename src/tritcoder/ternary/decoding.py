"""Bytes of weights become arrays: the one place that knows which decoder reads which layout."""

import numpy as np
from jaxtyping import Float32, Int8

from tritcoder.errors import ModelFileError
from tritcoder.ternary.packing import TRITS_PER_BYTE, unpack_rows
from tritcoder.ternary.weights import FloatWeight, TernaryWeight

Q8_0_WEIGHTS = 32
Q8_0_BYTES = 2 + Q8_0_WEIGHTS


def decode_trits(weight: TernaryWeight) -> Int8[np.ndarray, "out in"]:
    """The trits of a matrix.

    Raises:
        ModelFileError: the bytes are of a layout that is not known, or hold no trits.
    """
    if weight.layout == "trits":
        return weight.data.reshape(weight.rows, weight.cols).view(np.int8)
    if weight.layout == "rows4":
        return unpack_rows(weight.data.reshape(weight.rows // TRITS_PER_BYTE, weight.cols))
    raise ModelFileError(f"trits in the layout {weight.layout} cannot be decoded here")


def decode_floats(weight: FloatWeight) -> Float32[np.ndarray, "out in"]:
    """The floats of a matrix, in single precision.

    Raises:
        ModelFileError: the bytes are of a layout that is not known.
    """
    data = np.ascontiguousarray(weight.data).reshape(-1).view(np.uint8)
    values: Float32[np.ndarray, ...]
    if weight.layout == "f32":
        values = data.view("<f4").astype(np.float32, copy=False)
    elif weight.layout == "f16":
        values = data.view("<f2").astype(np.float32)
    elif weight.layout == "bf16":
        values = (data.view("<u2").astype(np.uint32) << 16).view(np.float32)
    elif weight.layout == "q8_0":
        blocks = data.reshape(-1, Q8_0_BYTES)
        scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
        values = blocks[:, 2:].view(np.int8).astype(np.float32) * scales
    else:
        raise ModelFileError(f"floats in the layout {weight.layout} cannot be decoded here")
    return values.reshape(weight.rows, weight.cols)
