"""The order of trits in a tile: against the rule of the module's docstring, byte by byte, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.ternary.tiles import pack_tiles, unpack_tiles


def some_trits(rows: int, cols: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(-1, 2, (rows, cols)).astype(np.int8)


def code_at(packed: np.ndarray, row: int, col: int) -> int:
    """The code of one weight, found by counting bytes."""
    step, j, b = col // 16, col % 16 // 4, col % 4
    byte = packed[row // 64][256 * step + 4 * (row % 64) + b]
    return int(byte >> (2 * j)) & 3


def test_every_trit_lies_where_the_rule_says() -> None:
    trits = some_trits(70, 48)
    packed = pack_tiles(trits)
    assert packed.shape == (2, 16 * 48)
    assert all(code_at(packed, row, col) == trits[row, col] + 1 for row in range(70) for col in range(48))


def test_rows_that_fill_a_tile_up_are_zeros() -> None:
    packed = pack_tiles(some_trits(3, 16))
    assert {code_at(packed, row, col) for row in range(3, 64) for col in range(16)} == {1}


@given(rows=st.integers(1, 200), steps=st.integers(1, 8), seed=st.integers(0, 99))
def test_unpacking_gives_the_trits_back(rows: int, steps: int, seed: int) -> None:
    trits = some_trits(rows, 16 * steps, seed)
    assert np.array_equal(unpack_tiles(pack_tiles(trits), rows), trits)


def test_columns_come_in_steps() -> None:
    with pytest.raises(AssertionError):
        pack_tiles(some_trits(4, 24))
