"""Four trits to a byte, and back, in Hugging Face's layout."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tritcoder.errors import ModelFileError
from tritcoder.ternary.packing import pack_rows, unpack_rows

SHAPES = st.tuples(st.integers(1, 8).map(lambda quarter: 4 * quarter), st.integers(1, 9))
TRITS = SHAPES.flatmap(lambda shape: hnp.arrays(np.int8, shape, elements=st.integers(-1, 1)))


def test_packing_by_hand() -> None:
    # codes 2, 0, 1, 2 at bits 0, 2, 4, 6: 2 + 0 + 16 + 128
    packed = pack_rows(np.array([[1], [-1], [0], [1]], np.int8))
    assert packed.tolist() == [[146]]


@given(TRITS)
def test_unpacking_undoes_packing(trits: np.ndarray) -> None:
    packed = pack_rows(trits)
    assert packed.shape == (trits.shape[0] // 4, trits.shape[1])
    assert (unpack_rows(packed) == trits).all()


@given(st.binary(min_size=1, max_size=16))
def test_packing_undoes_unpacking_and_the_code_3_is_refused(data: bytes) -> None:
    packed = np.frombuffer(data, np.uint8)[None]
    if any((byte >> shift) & 3 == 3 for byte in data for shift in (0, 2, 4, 6)):
        with pytest.raises(ModelFileError, match="code 3"):
            unpack_rows(packed)
    else:
        assert (pack_rows(unpack_rows(packed)) == packed).all()


@given(TRITS)
def test_layout_is_that_of_hugging_face(trits: np.ndarray) -> None:
    from transformers.integrations.bitnet import pack_weights, unpack_weights

    packed = pack_rows(trits)
    theirs = pack_weights(torch.from_numpy(trits.astype(np.float32)))  # a copy: it writes into its argument
    assert (theirs.numpy() == packed).all()
    assert (unpack_weights(torch.from_numpy(packed), torch.float32).numpy() == trits).all()


def test_what_cannot_be_packed_is_refused() -> None:
    with pytest.raises(ModelFileError, match="multiple of 4 rows, found 6"):
        pack_rows(np.zeros((6, 2), np.int8))
    for value in (2, -2, 127, -128):
        with pytest.raises(ModelFileError, match="-1, 0 and \\+1 only"):
            pack_rows(np.full((4, 1), value, np.int8))
