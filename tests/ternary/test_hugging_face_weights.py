"""Hugging Face directories without torch: what is written is read back, and harm is refused."""

import json
import re
import shutil
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tritcoder.errors import ModelFileError
from tritcoder.ternary.decoding import check_codes, floats_of, trits_of
from tritcoder.ternary.format import read_hugging_face, read_model, write_packed
from tritcoder.ternary.packing import pack_rows
from tritcoder.ternary.quantize import absmean_ternary
from tritcoder.ternary.safetensors_file import open_safetensors
from tritcoder.ternary.weights import FloatWeight, ModelWeights, TernaryWeight

Q, DOWN = "model.layers.0.self_attn.q_proj.weight", "model.layers.0.mlp.down_proj.weight"

in_one_folder = settings(
    max_examples=200, suppress_health_check=[HealthCheck.function_scoped_fixture], print_blob=False
)


def change(directory: Path, config: dict[str, Any], tensors: dict[str, Any]) -> Path:
    """Change keys of config.json and tensors; None takes one away."""
    if config:
        path = directory / "config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | config))
    if tensors:
        held = load_file(directory / "model.safetensors") | tensors
        save_file({name: t for name, t in held.items() if t is not None}, directory / "model.safetensors")
    return directory


@pytest.fixture
def directory(packed: Path, tmp_path: Path) -> Path:
    """A packed directory that a test may spoil."""
    return Path(shutil.copytree(packed, tmp_path / "small"))


def test_packed_weights_are_read_back(weights: ModelWeights, packed: Path) -> None:
    found = read_model(packed)
    check_codes(found)
    assert found.shape == weights.shape
    assert (floats_of(found.embedding) == floats_of(weights.embedding)).all()
    for name, weight in found.blocks[0].linear.items():
        there = weights.blocks[0].linear[name]
        assert isinstance(weight, TernaryWeight)
        assert isinstance(there, TernaryWeight)
        assert weight.layout == "rows4"
        assert weight.scale == there.scale
        assert (trits_of(weight) == trits_of(there)).all()
        assert not weight.data.flags.owndata
    assert json.loads(str(found.tokenizer_json)) == json.loads(str(weights.tokenizer_json))
    assert found.metadata["tokenizer.chat_template"] == weights.metadata["tokenizer.chat_template"]
    assert found.name == "small"
    assert found.bytes_on_disk == (packed / "model.safetensors").stat().st_size


def test_the_safetensors_package_reads_our_file(weights: ModelWeights, packed: Path) -> None:
    tensors = load_file(packed / "model.safetensors")
    weight = weights.blocks[0].linear["q"]
    assert isinstance(weight, TernaryWeight)
    assert (tensors[Q] == pack_rows(trits_of(weight))).all()
    assert tensors[f"{Q}_scale"].tolist() == [weight.scale]


def test_the_twin_is_read_back(twin: ModelWeights, tmp_path: Path) -> None:
    write_packed(tmp_path / "x", twin)
    assert "quantization_config" not in json.loads((tmp_path / "x" / "config.json").read_text())
    found = read_hugging_face(tmp_path / "x")
    assert found.shape == twin.shape
    for name, weight in found.blocks[0].linear.items():
        there = twin.blocks[0].linear[name]
        assert isinstance(weight, FloatWeight)
        assert isinstance(there, FloatWeight)
        assert (floats_of(weight) == floats_of(there)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_latent_weights_are_rounded_as_training_rounds_them(directory: Path, dtype: type) -> None:
    online = {"quant_method": "bitnet", "linear_class": "autobitlinear", "quantization_mode": "online"}
    held = load_file(directory / "model.safetensors")
    random = np.random.default_rng(1)
    latent: dict[str, Any] = {
        name: random.normal(0, 0.02, (4 * tensor.shape[0], tensor.shape[1])).astype(dtype)
        for name, tensor in held.items()
        if tensor.dtype == np.uint8
    }
    change(directory, {"quantization_config": online}, latent)
    weight = read_hugging_face(directory).blocks[0].linear["down"]
    wanted = absmean_ternary(latent[DOWN].astype(np.float32))
    assert isinstance(weight, TernaryWeight)
    assert weight.scale == wanted.scale
    assert (trits_of(weight) == wanted.trits).all()


def test_the_scale_of_bitlinear_divides(directory: Path) -> None:
    change(directory, {"quantization_config": {"quant_method": "bitnet"}}, {f"{Q}_scale": np.array([4.0], "<f4")})
    weight = read_hugging_face(directory).blocks[0].linear["q"]
    assert isinstance(weight, TernaryWeight)
    assert weight.scale == 0.25


def test_a_model_in_several_files_is_read(weights: ModelWeights, directory: Path) -> None:
    held = load_file(directory / "model.safetensors")
    (directory / "model.safetensors").unlink()
    names = sorted(held)
    places = {name: f"model-{1 + (i % 2)}.safetensors" for i, name in enumerate(names)}
    for file in set(places.values()):
        save_file({name: held[name] for name in names if places[name] == file}, directory / file)
    index = directory / "model.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": places}))
    found = read_hugging_face(directory)
    assert (floats_of(found.embedding) == floats_of(weights.embedding)).all()
    for wrong in ({Q: "../x"}, {Q: "/etc/passwd"}, {Q: 3}, {Q: ".."}, {Q: ""}, {Q: "a\0b"}):
        index.write_text(json.dumps({"weight_map": places | wrong}))
        with pytest.raises(ModelFileError, match="should name a file of the directory"):
            read_hugging_face(directory)
    index.write_text(json.dumps({"weight_map": places | {"other": "model-1.safetensors"}}))
    with pytest.raises(ModelFileError, match="names 'other' in model-1"):
        read_hugging_face(directory)


def test_a_directory_that_is_written_over_is_not_complete_in_between(weights: ModelWeights, directory: Path) -> None:
    wrong = {"down": TernaryWeight(256, 512, "rows4", np.full(32768, 255, np.uint8), np.float32(1))}
    block = replace(weights.blocks[0], linear={**weights.blocks[0].linear, **wrong})
    with pytest.raises(ModelFileError, match="code 3"):
        write_packed(directory, replace(weights, blocks=(block,)))
    assert not (directory / "config.json").exists()
    assert not list(directory.glob("*.tmp"))


def test_what_cannot_be_written_is_refused(weights: ModelWeights, tmp_path: Path) -> None:
    with pytest.raises(ModelFileError, match="is not JSON"):
        write_packed(tmp_path, replace(weights, tokenizer_json="{"))
    assert not list(tmp_path.iterdir())


# ---- damaged and hostile ----


@pytest.mark.parametrize(
    ("config", "tensors", "told"),
    [
        ({"model_type": "llama"}, {}, "a model of kind 'llama'"),
        ({"quantization_config": {"quant_method": "gptq"}}, {}, "should quantise as BitNet does"),
        ({"quantization_config": {"use_rms_norm": True}}, {}, "should quantise as BitNet does"),
        ({"quantization_config": None}, {}, f"tensor {Q} should have shape (256, 256) and dtype F32 or F16 or BF16"),
        ({"hidden_size": 10**400}, {}, "config.json"),
        ({"num_hidden_layers": 10**12}, {}, "model.layers.1."),
        ({"vocab_size": 2**40}, {}, "model.embed_tokens.weight should have shape (1099511627776, 256)"),
        ({}, {"model.norm.weight": None}, "model.norm.weight should have shape (256,)"),
        ({}, {"model.norm.weight": np.full(256, np.nan, "<f4")}, "model.norm.weight holds NaN"),
        ({}, {f"{Q}_scale": np.array([np.inf], "<f4")}, "_scale holds NaN or infinity"),
        ({}, {f"{Q}_scale": np.array([0.0], "<f4")}, "_scale should be finite and above 0"),
        ({}, {f"{Q}_scale": np.array([-1.0], "<f4")}, "_scale should be finite and above 0"),
        ({}, {f"{Q}_scale": None}, "q_proj.weight_scale should have shape (1,)"),
        ({}, {Q: np.zeros((64, 256), np.int8)}, "and dtype U8, found I8"),
        ({}, {Q: np.zeros((63, 256), np.uint8)}, "should have shape (64, 256)"),
        ({}, {"lm_head.weight": np.zeros((2, 2), "<f4")}, "another in lm_head.weight"),
    ],
)
def test_what_does_not_fit_is_named(
    directory: Path, config: dict[str, Any], tensors: dict[str, Any], told: str
) -> None:
    change(directory, config, tensors)
    with pytest.raises(ModelFileError, match=re.escape(told)) as caught:
        read_hugging_face(directory)
    assert str(directory) in caught.value.message


def test_a_code_that_is_no_trit_is_found_by_check_codes(directory: Path) -> None:
    found = read_hugging_face(change(directory, {}, {Q: np.full((64, 256), 0b11_01_01_01, np.uint8)}))
    with pytest.raises(ModelFileError, match="block 0, layer q"):
        check_codes(found)


def head(content: Any, data: bytes = b"") -> bytes:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    return struct.pack("<Q", len(text)) + text + data


def one(**changes: Any) -> bytes:
    return head({"t": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]} | changes}, bytes(8))


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "at least 8 bytes, found 0"),
        (struct.pack("<Q", 2**64 - 1), "found a length of 18446744073709551615"),
        (struct.pack("<Q", 100) + bytes(50), "at most 50 bytes, found a length of 100"),
        (head(b"{"), "should have a header in JSON"),
        (head(b"\xff\xfe{}"), "should have a header in JSON"),
        (head(b"[" * 100_000), "should have a header in JSON"),
        (head(b"[1]"), "should have an object as its header, found list"),
        (head(b'{"t": 1, "t": 1}'), "a name occurs twice"),
        (head(b'{"t": {"dtype": "F32", "shape": [1' + b"0" * 5000 + b"]}}"), "should have a header in JSON"),
        (head({"t": 1}), "should have a known dtype"),
        (one(dtype="F31"), "should have a known dtype"),
        (one(dtype=["F32"]), "should have a known dtype"),
        (one(shape=None), "should have a shape and two offsets"),
        (one(shape=[-2]), "should have a shape and two offsets"),
        (one(shape=[2.0]), "should have a shape and two offsets"),
        (one(shape=[True, 2]), "should have a shape and two offsets"),
        (one(shape=[2**47] * 8), "should take"),
        (one(shape=[1] * 9), "should have a shape and two offsets"),
        (one(data_offsets=[0]), "should have a shape and two offsets"),
        (one(data_offsets=[0, 2**63]), "should have a shape and two offsets"),
        (one(data_offsets=[8, 0]), "should take 8 bytes, found offsets [8, 0]"),
        (one(data_offsets=[0, 4]), "should take 8 bytes"),
        (one(data_offsets=[4, 12]), "should begin at byte 0, found 4"),
        (one() + b"x", "should end after 8 bytes of tensors, found 9"),
        (one()[:-1], "should end at byte 8, found 7 bytes"),
    ],
)
def test_each_lie_of_a_header_is_named(tmp_path: Path, data: bytes, told: str) -> None:
    (tmp_path / "x.safetensors").write_bytes(data)
    with pytest.raises(ModelFileError, match=re.escape(told)):
        open_safetensors(tmp_path / "x.safetensors")


def test_a_sound_header_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.safetensors").write_bytes(one())
    found = open_safetensors(tmp_path / "x.safetensors")["t"]
    assert (found.dtype, found.shape, found.data.tolist()) == ("F32", (2,), [0] * 8)


@pytest.fixture
def read(directory: Path) -> Callable[[str, bytes], ModelWeights | None]:
    """Reads the directory with one file changed; None if it is refused with what a person can use."""

    def attempt(name: str, data: bytes) -> ModelWeights | None:
        path = directory / name
        whole = path.read_bytes()
        path.write_bytes(data)
        try:
            found = read_hugging_face(directory)
            check_codes(found)
        except ModelFileError as error:
            _require_plain(error)
            return None
        finally:
            path.unlink()  # not written into: views of it may be held
            path.write_bytes(whole)
        return found

    return attempt


def _require_plain(error: ModelFileError) -> None:
    assert len(error.message) < 1000


@in_one_folder
@given(data=st.data())
def test_changed_bytes_are_read_or_refused(packed: Path, read: Any, data: st.DataObject) -> None:
    name, size = data.draw(st.sampled_from([("model.safetensors", 2600), ("config.json", 900)]))
    changed = bytearray((packed / name).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, size) if size < len(changed) else st.just(0))] = data.draw(
            st.integers(0, 255)
        )
    read(name, bytes(changed))


@in_one_folder
@given(share=st.floats(0, 1, exclude_max=True))
def test_files_that_are_cut_short_are_refused(packed: Path, read: Any, share: float) -> None:
    for name in ("model.safetensors", "config.json"):
        whole = (packed / name).read_bytes().rstrip()
        assert read(name, whole[: int(share * (len(whole) - 1))]) is None
