"""GGUF: what is written is read back, by us and by the `gguf` package; what a file says is heeded or refused."""

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gguf import GGMLQuantizationType as Kind
from gguf import GGUFReader, quants
from tests.ternary.gguf_by_hand import Tensors, f32, gguf_by_hand

from tritcoder.errors import AskedWronglyError, ModelFileError
from tritcoder.ternary.blocks import BlockLayout, encode_trits
from tritcoder.ternary.decoding import check_codes, floats_of, trits_of
from tritcoder.ternary.format import read_gguf, read_model, write_gguf
from tritcoder.ternary.quantize import EPS
from tritcoder.ternary.weights import FloatWeight, ModelWeights, TernaryWeight
from tritcoder.tokenizer.bpe import Tokenizer

KEYS: dict[str, Any] = {
    "embedding_length": 256,
    "block_count": 1,
    "attention.head_count": 2,
    "attention.head_count_kv": 1,
    "feed_forward_length": 512,
    "context_length": 64,
    "attention.layer_norm_rms_epsilon": 1e-5,
}
SIZES = {
    "attn_q": (256, 256),
    "attn_k": (128, 256),
    "attn_v": (128, 256),
    "attn_output": (256, 256),
    "ffn_gate": (512, 256),
    "ffn_up": (512, 256),
    "ffn_down": (256, 512),
}
TRITS = {name: np.random.default_rng(len(name)).integers(-1, 2, size).astype(np.int8) for name, size in SIZES.items()}


def sound_tensors() -> Tensors:
    """The tensors of a small file as others write it: float matrices of -0.5, 0 and +0.5."""
    norms = {"attn_norm": 256, "attn_sub_norm": 256, "ffn_norm": 256, "ffn_sub_norm": 512}
    tensors: Tensors = {
        "token_embd.weight": f32(np.ones((8, 256))),
        "output_norm.weight": f32(np.ones(256)),
        **{f"blk.0.{name}.weight": f32(np.ones(size)) for name, size in norms.items()},
    }
    return tensors | {f"blk.0.{name}.weight": f32(trits * 0.5) for name, trits in TRITS.items()}


def write_by_hand(path: Path, tensors: Tensors, arch: str = "bitnet", **keys: Any) -> Path:
    """A GGUF file of any content; a key that is None is left out."""
    changed = KEYS | {name.replace("__", "."): value for name, value in keys.items()}
    named = {f"{arch}.{name}": value for name, value in changed.items() if value is not None}
    path.write_bytes(gguf_by_hand({"general.architecture": arch, **named}, tensors))
    return path


def assert_equal_weights(one: ModelWeights, other: ModelWeights) -> None:
    assert one.shape == other.shape
    assert (one.norm == other.norm).all()
    for mine, theirs in zip(one.blocks, other.blocks, strict=True):
        for name in ("attention_norm", "attention_sub_norm", "feed_forward_norm", "feed_forward_sub_norm"):
            assert (getattr(mine, name) == getattr(theirs, name)).all()
        for name, weight in mine.linear.items():
            other_weight = theirs.linear[name]
            if isinstance(weight, TernaryWeight):
                assert isinstance(other_weight, TernaryWeight)
                assert weight.scale == other_weight.scale
                assert (trits_of(weight) == trits_of(other_weight)).all()
            else:
                assert isinstance(other_weight, FloatWeight)
                assert (floats_of(weight) == floats_of(other_weight)).all()


# ---- there and back ----


@pytest.mark.parametrize("layout", ["tq2_0", "tq1_0", "f16", "f32"])
def test_what_is_written_is_read_back(weights: ModelWeights, tmp_path: Path, layout: Any) -> None:
    size = write_gguf(tmp_path / "x.gguf", weights, layout, "f32")
    found = read_model(tmp_path / "x.gguf")
    check_codes(found)
    assert_equal_weights(found, weights)
    assert (floats_of(found.embedding) == floats_of(weights.embedding)).all()
    assert found.tokenizer_json == weights.tokenizer_json
    assert found.name == "made up"
    assert found.metadata["tokenizer.chat_template"] == weights.metadata["tokenizer.chat_template"]
    assert found.metadata["general.license"] == "Apache-2.0"
    assert found.bytes_on_disk == size == (tmp_path / "x.gguf").stat().st_size


def test_the_twin_is_read_back(twin: ModelWeights, tmp_path: Path) -> None:
    write_gguf(tmp_path / "x.gguf", twin, "f32", "f32")
    assert_equal_weights(read_gguf(tmp_path / "x.gguf"), twin)
    write_gguf(tmp_path / "y.gguf", twin, "f16", "f16")
    half = read_gguf(tmp_path / "y.gguf").blocks[0].linear["up"]
    assert isinstance(half, FloatWeight)
    whole = twin.blocks[0].linear["up"]
    assert isinstance(whole, FloatWeight)
    assert (floats_of(half) == floats_of(whole).astype(np.float16)).all()


def test_a_shape_of_other_numbers_is_read_back(make_weights: Callable[..., ModelWeights], tmp_path: Path) -> None:
    changes = {"n_layers": 2, "n_kv_heads": 2, "rope_theta": 500000.0, "norm_eps": 1e-6, "hidden_act": "relu2"}
    weights = make_weights(**changes)
    write_gguf(tmp_path / "x.gguf", weights)
    assert read_gguf(tmp_path / "x.gguf").shape == weights.shape


def test_views_of_the_file_are_handed_out_where_they_can_be(weights: ModelWeights, tmp_path: Path) -> None:
    write_gguf(tmp_path / "x.gguf", weights)
    found = read_gguf(tmp_path / "x.gguf")
    for weight in (found.embedding, *found.blocks[0].linear.values()):
        assert not weight.data.flags.owndata
        assert not weight.data.flags.writeable
    assert found.embedding.layout == "q8_0"
    assert found.blocks[0].linear["q"].layout == "tq2_0"


def test_a_file_may_be_written_over_the_one_that_is_read(weights: ModelWeights, tmp_path: Path) -> None:
    write_gguf(tmp_path / "x.gguf", weights)
    write_gguf(tmp_path / "x.gguf", read_gguf(tmp_path / "x.gguf"), "tq1_0")
    assert_equal_weights(read_gguf(tmp_path / "x.gguf"), weights)
    assert [path.name for path in tmp_path.iterdir()] == ["x.gguf"]


@pytest.mark.parametrize("layout", ["tq2_0", "tq1_0"])
def test_the_gguf_package_reads_our_files(weights: ModelWeights, tmp_path: Path, layout: Any) -> None:
    write_gguf(tmp_path / "x.gguf", weights, layout)
    reader = GGUFReader(tmp_path / "x.gguf")
    tensors = {tensor.name: tensor for tensor in reader.tensors}
    gate = weights.blocks[0].linear["gate"]
    assert isinstance(gate, TernaryWeight)
    theirs = tensors["blk.0.ffn_gate.weight"]
    assert (quants.dequantize(theirs.data, theirs.tensor_type) == trits_of(gate)).all()
    assert tensors["blk.0.ffn_gate.scale"].data.tolist() == [gate.scale]
    assert reader.fields["bitnet.hidden_activation"].contents() == "silu"
    assert reader.fields["tokenizer.ggml.add_bos_token"].contents() is False
    assert len(reader.fields["tokenizer.ggml.tokens"].contents()) == weights.shape.vocab_size


def test_rebuilt_tokenizer_is_the_same(weights: ModelWeights, tmp_path: Path) -> None:
    from tritcoder.ternary.gguf_file import open_gguf
    from tritcoder.ternary.gguf_tokenizer import TEXT_KEY, tokenizer_json_from_keys

    write_gguf(tmp_path / "x.gguf", weights)
    keys = open_gguf(tmp_path / "x.gguf").keys
    assert keys.pop(TEXT_KEY) == weights.tokenizer_json
    size = weights.shape.vocab_size
    (tmp_path / "rebuilt.json").write_text(str(tokenizer_json_from_keys(keys, size, "x")))
    (tmp_path / "whole.json").write_text(str(weights.tokenizer_json))
    rebuilt, whole = Tokenizer.load(tmp_path / "rebuilt.json"), Tokenizer.load(tmp_path / "whole.json")
    for text in ("def add(a, b):\n    return a + b\n", "  \t漢字 <|endoftext|>"):
        assert rebuilt.encode(text) == whole.encode(text)
    with pytest.raises(ModelFileError, match=f"each of the {size + 1} rows"):
        tokenizer_json_from_keys(keys, size + 1, "x")
    assert tokenizer_json_from_keys(keys | {"tokenizer.ggml.model": "llama"}, size, "x") is None
    assert tokenizer_json_from_keys(keys | {"tokenizer.ggml.pre": "other"}, size, "x") is None


def test_trits_of_the_twin_cannot_be_asked_for(twin: ModelWeights, tmp_path: Path) -> None:
    with pytest.raises(AskedWronglyError, match="no trits"):
        write_gguf(tmp_path / "x.gguf", twin)
    assert not list(tmp_path.iterdir())


def test_nothing_is_left_of_a_file_that_cannot_be_written(weights: ModelWeights, tmp_path: Path) -> None:
    wrong = {**weights.blocks[0].linear, "down": TernaryWeight(256, 512, "rows4", np.full(32768, 255, np.uint8), EPS)}
    broken = replace(weights, blocks=(replace(weights.blocks[0], linear=wrong),))
    with pytest.raises(ModelFileError, match="code 3"):
        write_gguf(tmp_path / "x.gguf", broken)
    assert not list(tmp_path.iterdir())


# ---- files of others ----


@pytest.mark.parametrize("kind", ["f32", "f16", "bf16", "q8_0", "tq2_0", "tq1_0", "i2_s"])
def test_trits_of_every_type_are_the_same(tmp_path: Path, kind: str) -> None:
    tensors = sound_tensors()
    for name, trits in TRITS.items():
        if kind == "i2_s":
            data = encode_trits(trits, "i2_s").tobytes() + np.array([0.5, *[0.0] * 7], "<f4").tobytes()
        else:
            data = quants.quantize(trits * np.float32(0.5), Kind[kind.upper()]).tobytes()
        tensors[f"blk.0.{name}.weight"] = (
            trits.shape[::-1],
            36 if kind == "i2_s" else Kind[kind.upper()].value,
            data,
        )
    found = read_gguf(write_by_hand(tmp_path / "x.gguf", tensors))
    check_codes(found)
    assert found.shape.quantization == "ternary"
    for name, weight in zip(TRITS, found.blocks[0].linear.values(), strict=True):
        assert isinstance(weight, TernaryWeight), name
        assert weight.scale == pytest.approx(0.5, rel=1e-3 if kind == "q8_0" else 0)
        assert (trits_of(weight) == TRITS[name]).all()


@pytest.mark.parametrize("kind", ["f16", "bf16", "q8_0", "q6_k"])
def test_embeddings_of_every_type_are_read(tmp_path: Path, kind: str) -> None:
    number = Kind[kind.upper()]
    values = np.random.default_rng(0).normal(size=(8, 256)).astype(np.float32)
    if kind == "q6_k":
        blocks = np.random.default_rng(0).integers(0, 256, (8, 210)).astype(np.uint8)
        blocks[:, 208:] = (0x00, 0x2C)
    else:
        blocks = quants.quantize(values, number)
    tensors = sound_tensors() | {"token_embd.weight": ((256, 8), number.value, blocks.tobytes())}
    found = read_gguf(write_by_hand(tmp_path / "x.gguf", tensors)).embedding
    assert found.layout == ("f32" if kind == "q6_k" else kind)
    assert (floats_of(found) == quants.dequantize(blocks, number)).all()


def test_a_scale_beside_a_matrix_multiplies(tmp_path: Path) -> None:
    tensors = sound_tensors() | {"blk.0.attn_k.scale": f32(np.array([3.0]))}
    weight = read_gguf(write_by_hand(tmp_path / "x.gguf", tensors)).blocks[0].linear["k"]
    assert isinstance(weight, TernaryWeight)
    assert weight.scale == 1.5
    floats = np.random.default_rng(0).normal(size=(128, 256))
    tensors |= {"blk.0.attn_k.weight": f32(floats)}
    twin = read_gguf(write_by_hand(tmp_path / "x.gguf", tensors))
    scaled = twin.blocks[0].linear["k"]
    assert isinstance(scaled, FloatWeight)
    assert twin.shape.quantization == "none"
    assert (floats_of(scaled) == floats.astype(np.float32) * np.float32(3)).all()


def test_one_matrix_of_other_floats_makes_the_twin(tmp_path: Path) -> None:
    tensors = sound_tensors() | {"blk.0.ffn_down.weight": f32(np.random.default_rng(0).normal(size=(256, 512)))}
    found = read_gguf(write_by_hand(tmp_path / "x.gguf", tensors))
    assert found.shape.quantization == "none"
    assert all(isinstance(weight, FloatWeight) for weight in found.blocks[0].linear.values())
    packed = ((256, 256), Kind.TQ2_0.value, encode_trits(TRITS["attn_q"], "tq2_0").tobytes())
    with pytest.raises(ModelFileError, match=r"attn_q\.weight should hold floats, found trits"):
        read_gguf(write_by_hand(tmp_path / "x.gguf", tensors | {"blk.0.attn_q.weight": packed}))


@pytest.mark.parametrize("kind", ["f32", "tq2_0", "tq1_0"])
def test_a_matrix_of_zeros_has_the_least_scale(tmp_path: Path, kind: str) -> None:
    data = quants.quantize(np.zeros((128, 256), np.float32), Kind[kind.upper()])  # whose blocks have the scale 0
    tensors = sound_tensors() | {"blk.0.attn_v.weight": ((256, 128), Kind[kind.upper()].value, data.tobytes())}
    weight = read_gguf(write_by_hand(tmp_path / "x.gguf", tensors)).blocks[0].linear["v"]
    assert isinstance(weight, TernaryWeight)
    assert weight.scale == EPS
    assert not trits_of(weight).any()


@pytest.mark.parametrize("kind", ["tq2_0", "tq1_0"])
def test_blocks_of_zeros_may_have_any_scale_and_others_not(tmp_path: Path, kind: BlockLayout) -> None:
    trits = TRITS["attn_v"].copy()
    trits[5] = 0
    data = encode_trits(trits, kind, 0.5)
    data[5, -2:] = np.array([7.0], "<f2").view(np.uint8)

    def tensors() -> Tensors:
        return sound_tensors() | {"blk.0.attn_v.weight": ((256, 128), Kind[kind.upper()].value, data.tobytes())}

    weight = read_gguf(write_by_hand(tmp_path / "x.gguf", tensors())).blocks[0].linear["v"]
    assert isinstance(weight, TernaryWeight)
    assert weight.scale == 0.5
    data[6, -2:] = data[5, -2:]
    with pytest.raises(
        ModelFileError, match=r"attn_v\.weight should have one scale in all its blocks, found 0\.5 and 7"
    ):
        read_gguf(write_by_hand(tmp_path / "x.gguf", tensors()))


@pytest.mark.parametrize(("arch", "act"), [("bitnet", "silu"), ("bitnet-b1.58", "relu2"), ("bitnet-25", "relu2")])
def test_architectures_have_their_own_gate(tmp_path: Path, arch: str, act: str) -> None:
    assert read_gguf(write_by_hand(tmp_path / "x.gguf", sound_tensors(), arch)).shape.hidden_act == act
    for told in ("silu", "relu2"):
        path = write_by_hand(tmp_path / "x.gguf", sound_tensors(), arch, hidden_activation=told)
        assert read_gguf(path).shape.hidden_act == told


def test_defaults_are_those_of_llama_cpp(tmp_path: Path) -> None:
    path = write_by_hand(tmp_path / "x.gguf", sound_tensors())
    found = read_gguf(path)
    assert (found.shape.rope_theta, found.name, found.tokenizer_json) == (10000.0, "x", None)


def test_an_output_head_must_be_the_embedding(tmp_path: Path) -> None:
    tied = sound_tensors()["token_embd.weight"]
    read_gguf(write_by_hand(tmp_path / "x.gguf", sound_tensors() | {"output.weight": tied}))
    other = f32(np.full((8, 256), 2.0))
    with pytest.raises(ModelFileError, match=r"another in output\.weight"):
        read_gguf(write_by_hand(tmp_path / "x.gguf", sound_tensors() | {"output.weight": other}))


NAN = f32(np.array([np.nan] * 256))


@pytest.mark.parametrize(
    ("tensors", "keys", "told"),
    [
        ({}, {"arch": "llama"}, "architecture bitnet, found 'llama'"),
        ({}, {"block_count": None}, "'bitnet.block_count' should hold int, found None"),
        ({}, {"block_count": "x"}, "'bitnet.block_count' should hold int, found 'x'"),
        ({}, {"block_count": True}, "should hold int, found True"),
        ({}, {"block_count": 2}, "should hold tensor blk.1.attn_norm.weight, found none"),
        ({}, {"block_count": 2**32 - 1}, "should hold tensor blk.1."),
        ({}, {"block_count": 0}, "every size of a model must be at least 1"),
        ({}, {"attention__head_count": 0}, "at least 1"),
        ({}, {"attention__head_count": 3}, "must divide dim"),
        ({}, {"embedding_length": 2**32 - 256}, "should have the dimensions (4294967040, 8)"),
        ({}, {"embedding_length": 512}, "token_embd.weight should have the dimensions (512, 8), found (256, 8)"),
        ({}, {"feed_forward_length": 100}, "hidden_dim must be a multiple of 256"),
        ({}, {"feed_forward_length": 256}, "ffn_sub_norm.weight should have the dimensions (256, 1)"),
        ({}, {"context_length": 2**31}, "context_length (2147483648) at most"),
        ({}, {"attention__layer_norm_rms_epsilon": float("nan")}, "layer_norm_rms_epsilon (nan)"),
        ({}, {"attention__layer_norm_rms_epsilon": 0.0}, "layer_norm_rms_epsilon (0.0)"),
        ({}, {"rope__freq_base": float("inf")}, "rope.freq_base (inf)"),
        ({}, {"rope__freq_base": -1.0}, "rope.freq_base (-1.0)"),
        ({}, {"rope__dimension_count": 64}, "rope.dimension_count should be the width of a head, 128, found 64"),
        ({}, {"rope__scaling__type": "yarn"}, "rope.scaling.type should be none, found 'yarn'"),
        ({}, {"hidden_activation": "gelu"}, "hidden_activation should be silu or relu2, found 'gelu'"),
        ({"output_norm.weight": None}, {}, "should hold tensor output_norm.weight, found none"),
        ({"output_norm.weight": NAN}, {}, "output_norm.weight should hold finite floats"),
        ({"token_embd.weight": f32(np.full((8, 256), np.inf))}, {}, "token_embd.weight should hold finite values"),
        ({"blk.0.attn_q.weight": f32(np.full((256, 256), np.nan))}, {}, "attn_q.weight should hold finite values"),
        (
            {"blk.0.attn_q.weight": f32(np.ones((256, 512)))},
            {},
            "attn_q.weight should have the dimensions (256, 256)",
        ),
        ({"blk.0.attn_q.scale": f32(np.array([0.0]))}, {}, "attn_q.scale should be above 0"),
        ({"blk.0.attn_q.scale": f32(np.array([np.inf]))}, {}, "attn_q.scale should hold finite floats"),
        ({"blk.0.attn_q.scale": f32(np.array([1e-45]))}, {}, "attn_q.weight should have a finite scale above 0"),
        ({"blk.0.attn_q.bias": f32(np.ones(256))}, {}, "a BitNet's tensors alone, found 'blk.0.attn_q.bias'"),
        ({"blk.0.attn_q.weight": ((256, 256), 12, bytes(36864))}, {}, "found ggml's type 12"),
    ],
)
def test_what_is_not_ours_to_run_is_refused_and_named(
    tmp_path: Path, tensors: dict[str, Any], keys: dict[str, Any], told: str
) -> None:
    held = {name: tensor for name, tensor in (sound_tensors() | tensors).items() if tensor is not None}
    with pytest.raises(ModelFileError, match=re.escape(told)) as caught:
        read_gguf(write_by_hand(tmp_path / "x.gguf", held, **keys))
    assert "x.gguf" in caught.value.message
    assert caught.value.hint


def test_a_code_that_is_no_trit_is_found_by_check_codes(tmp_path: Path) -> None:
    data = encode_trits(TRITS["attn_q"], "tq2_0")
    data[3, 60] |= 3
    tensors = sound_tensors() | {"blk.0.attn_q.weight": ((256, 256), Kind.TQ2_0.value, data.tobytes())}
    found = read_gguf(write_by_hand(tmp_path / "x.gguf", tensors))
    with pytest.raises(ModelFileError, match="block 0, layer q"):
        check_codes(found)
