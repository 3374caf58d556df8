"""Blocks of GGUF, held to cases worked by hand and to the `gguf` package's own quantisers."""

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from gguf import quants
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from tritcoder.errors import ModelFileError
from tritcoder.ternary import blocks
from tritcoder.ternary.blocks import BLOCK_BYTES, BlockLayout, decode_trits, encode_trits

KINDS: dict[BlockLayout, Kind] = {"tq2_0": Kind.TQ2_0, "tq1_0": Kind.TQ1_0}
LAYOUTS: tuple[BlockLayout, ...] = ("tq2_0", "tq1_0", "i2_s")

TRITS = st.tuples(st.integers(1, 4), st.integers(1, 3).map(lambda n: 256 * n)).flatmap(
    lambda shape: hnp.arrays(np.int8, shape, elements=st.integers(-1, 1), fill=st.integers(-1, 1))
)
FLOATS = hnp.arrays(np.float32, (3, 64), elements=st.floats(-1000, 1000, width=32), fill=st.nothing())


def one_trit(place: int, value: int, length: int = 256) -> np.ndarray:
    trits = np.zeros((1, length), np.int8)
    trits[0, place] = value
    return trits


def test_tq2_0_by_hand() -> None:
    # weight 128 + 32 * 3 + 5 lies in bits 6, 7 of byte 32 + 5; zeros are the code 1: 0b01010101
    data = encode_trits(one_trit(128 + 96 + 5, 1), "tq2_0", 0.5)
    assert data.shape == (1, 66)
    assert data[0, 37] == 0b10_01_01_01
    assert set(np.delete(data[0, :64], 37).tolist()) == {0b01_01_01_01}
    assert data[0, 64:].tolist() == [0x00, 0x38]  # 0.5 as float16


def test_tq1_0_by_hand() -> None:
    # zeros are the digits 11111 of base 3, 121 of 243: ceil(121 * 256 / 243) = 128; four digits 11110 are 120: 127
    data = encode_trits(np.zeros((1, 256), np.int8), "tq1_0")
    assert data[0].tolist() == [128] * 48 + [127] * 4 + [0x00, 0x3C]
    # weight 32 * 1 + 7 is the second digit of byte 7: 12111 is 121 + 27 = 148, ceil(148 * 256 / 243) = 156
    assert encode_trits(one_trit(39, 1), "tq1_0")[0, 7] == 156
    # weight 240 + 4 * 3 + 2 is the fourth digit of byte 50: 11100 is 120 - 3 = 117, ceil(117 * 256 / 243) = 124
    assert encode_trits(one_trit(254, -1), "tq1_0")[0, 50] == 124


def test_i2_s_by_hand() -> None:
    # weight 32 * 0 + 9 lies in the two highest bits of byte 9, weight 32 * 3 + 9 in the two lowest
    assert encode_trits(one_trit(9, 1, 128), "i2_s")[0, 9] == 0b10_01_01_01
    assert encode_trits(one_trit(96 + 9, -1, 128), "i2_s")[0, 9] == 0b01_01_01_00


@given(trits=TRITS, layout=st.sampled_from(LAYOUTS))
def test_decoding_undoes_encoding(trits: np.ndarray, layout: BlockLayout) -> None:
    data = encode_trits(trits, layout, 0.25)
    assert data.shape == (trits.shape[0], blocks.row_bytes(layout, trits.shape[1]))
    assert (decode_trits(data, layout, *trits.shape) == trits).all()


@given(trits=TRITS, layout=st.sampled_from(tuple(KINDS)), scale=st.sampled_from([1.0, 0.5, 3.25]))
def test_blocks_of_trits_are_those_of_the_gguf_package(trits: np.ndarray, layout: BlockLayout, scale: float) -> None:
    data = encode_trits(trits, layout, scale)
    theirs = quants.quantize(trits * np.float32(scale), KINDS[layout])
    held = trits.reshape(-1, 256).any(axis=1)  # in blocks of zeros theirs holds the scale 0
    width = BLOCK_BYTES[layout]
    assert (data.reshape(-1, width)[held] == theirs.reshape(-1, width)[held]).all()
    assert (quants.dequantize(data, KINDS[layout]) == trits * np.float32(scale)).all()
    assert (blocks.block_scales(data, layout, *trits.shape) == scale).all()  # type: ignore[arg-type]


@given(st.binary(min_size=52, max_size=52))
def test_every_byte_of_tq1_0_is_read_as_the_gguf_package_reads_it(body: bytes) -> None:
    data = np.frombuffer(body + b"\x00\x3c", np.uint8)[None]
    assert (decode_trits(data, "tq1_0", 1, 256) == quants.dequantize(data, Kind.TQ1_0)).all()


@given(FLOATS)
def test_q8_0_is_that_of_the_gguf_package(values: np.ndarray) -> None:
    data = blocks.encode_q8_0(values)
    assert (data == quants.quantize(values, Kind.Q8_0)).all()
    assert (blocks.decode_floats(data, "q8_0", *values.shape) == quants.dequantize(data, Kind.Q8_0)).all()


def test_q8_0_takes_subnormal_values() -> None:
    values = np.full((1, 32), 1e-40, np.float32)
    assert (blocks.decode_floats(blocks.encode_q8_0(values), "q8_0", 1, 32) == 0).all()


@given(hnp.arrays(np.uint8, (2, 420)))
def test_q6_k_is_that_of_the_gguf_package(data: np.ndarray) -> None:
    for block in data.reshape(-1, 210):
        block[208:] = (0x00, 0x2C)  # a scale that is finite
    assert (blocks.decode_floats(data, "q6_k", 2, 512) == quants.dequantize(data, Kind.Q6_K)).all()


@given(hnp.arrays(np.float32, (2, 5), elements=st.floats(-60000, 60000, width=32)))
def test_floats_go_in_and_out(values: np.ndarray) -> None:
    assert (blocks.decode_floats(blocks.encode_floats(values, "f32"), "f32", 2, 5) == values).all()
    assert (blocks.decode_floats(blocks.encode_floats(values, "f16"), "f16", 2, 5) == values.astype(np.float16)).all()


def test_bf16_by_hand() -> None:
    assert blocks.decode_floats(np.array([0x80, 0x3F, 0x20, 0xC0], np.uint8), "bf16", 1, 2).tolist() == [[1.0, -2.5]]


@pytest.mark.parametrize("layout", ["tq2_0", "i2_s"])
def test_code_3_is_refused(layout: BlockLayout) -> None:
    data = encode_trits(np.zeros((2, 256), np.int8), layout)
    data[1, 9] |= 3
    assert blocks.has_code_3(data[:, :64])
    with pytest.raises(ModelFileError, match="code 3"):
        decode_trits(data, layout, 2, 256)


@given(hnp.arrays(np.uint8, 16))
def test_code_3_is_found_by_bits(data: np.ndarray) -> None:
    assert blocks.has_code_3(data) == any((byte >> s) & 3 == 3 for byte in data.tolist() for s in (0, 2, 4, 6))


@pytest.mark.parametrize("layout", LAYOUTS)
def test_what_does_not_fit_is_refused(layout: BlockLayout) -> None:
    with pytest.raises(ModelFileError, match="blocks of"):
        encode_trits(np.zeros((1, 100), np.int8), layout)
    with pytest.raises(ModelFileError, match="-1, 0 and \\+1 only"):
        encode_trits(np.full((1, 256), 2, np.int8), layout)
    with pytest.raises(ModelFileError, match=r"takes \d+ bytes, found 8"):
        decode_trits(np.zeros(8, np.uint8), layout, 1, 256)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e30])
def test_floats_beyond_reach_are_refused(value: float) -> None:
    values = np.full((1, 32), value, np.float32)
    for layout in ("q8_0", "f16"):
        with pytest.raises(ModelFileError, match="too large"):
            blocks.encode_floats(values, layout)


@pytest.mark.parametrize(("layout", "finite", "endless"), [
    ("f32", [0, 0, 0x7F, 0x7F], [0, 0, 0x80, 0x7F]),
    ("f16", [0xFF, 0x7B], [0, 0xFC]),
    ("bf16", [0x7F, 0x7F], [0x80, 0xFF]),
    ("q8_0", [0, 0x3C, *[127] * 32], [0, 0x7C, *[127] * 32]),
    ("q6_k", [*[255] * 208, 0, 0x3C], [*[255] * 208, 0, 0x7E]),
])  # fmt: skip
def test_values_that_are_not_finite_are_found(layout: str, finite: list[int], endless: list[int]) -> None:
    assert blocks.are_finite(np.array(finite, np.uint8), layout)
    assert not blocks.are_finite(np.array([*finite, *endless], np.uint8), layout)
