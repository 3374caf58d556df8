"""A GGUF file becomes a model's weights: which keys and tensors there must be, and what they mean.

Tensors are named as llama.cpp names them. Read are the architecture `bitnet` and the two names that forks give it;
those two gate with relu2 unless the file says otherwise, as their graphs do.
"""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, cast, get_args

import numpy as np

from tritcoder.errors import ConfigError, ModelFileError
from tritcoder.ternary.blocks import (
    BlockLayout,
    are_finite,
    block_scales,
    decode_floats,
    decode_trits,
    row_bytes,
)
from tritcoder.ternary.decoding import rows_at_once
from tritcoder.ternary.gguf_file import GgufFile, GgufTensor, open_gguf
from tritcoder.ternary.gguf_tokenizer import tokenizer_json_from_keys
from tritcoder.ternary.quantize import EPS
from tritcoder.ternary.shape import ModelConfig
from tritcoder.ternary.weights import (
    BlockWeights,
    FloatLayout,
    FloatWeight,
    ModelWeights,
    TernaryLayout,
    TernaryWeight,
    linear_sizes,
)

ACTIVATIONS = {"bitnet": "silu", "bitnet-b1.58": "relu2", "bitnet-25": "relu2"}
"""Each architecture's gate where the key `hidden_activation` does not say it."""
LINEAR_TENSORS = {
    "q": "attn_q",
    "k": "attn_k",
    "v": "attn_v",
    "o": "attn_output",
    "gate": "ffn_gate",
    "up": "ffn_up",
    "down": "ffn_down",
}
NORM_TENSORS = {
    "attention_norm": "attn_norm",
    "attention_sub_norm": "attn_sub_norm",
    "feed_forward_norm": "ffn_norm",
    "feed_forward_sub_norm": "ffn_sub_norm",
}
MAX_SEQ_LEN = 1 << 20
"""A longer context is an attack or an accident: memory is set aside for all of it."""


def read_gguf(path: Path) -> ModelWeights:
    """Read a model: shape, tokenizer and views of its weights; structure and scales are checked, codes are not.

    Every byte of the trits is looked at by who packs them (the engine), or by `decoding.check_codes`.

    Raises:
        ModelFileError: no such file, damaged, another kind of model, or one that this architecture does not hold.
    """
    file = open_gguf(path)
    reading = _Reading(file)
    shape = reading.shape()
    embedding = reading.floats("token_embd.weight", shape.vocab_size, shape.dim)
    reading.require_tied_head("token_embd.weight")
    norm = reading.vector("output_norm.weight", shape.dim)
    norms = [reading.norms(layer, shape) for layer in range(shape.n_layers)]
    linear, quantization = reading.linear(shape)
    reading.require_nothing_else()
    shape = ModelConfig(
        **{name: getattr(shape, name) for name in ModelConfig.__slots__} | {"quantization": quantization}
    )
    return ModelWeights(
        shape=shape,
        embedding=embedding,
        blocks=tuple(BlockWeights(linear=linear[layer], **norms[layer]) for layer in range(shape.n_layers)),
        norm=norm,
        name=str(file.keys.get("general.name", path.stem)),
        tokenizer_json=tokenizer_json_from_keys(file.keys, shape.vocab_size, str(path)),
        metadata={key: value for key, value in file.keys.items() if _is_about_the_model(key, value)},
        bytes_on_disk=file.size_bytes,
    )


def _is_about_the_model(key: str, value: Any) -> bool:
    return key == "tokenizer.chat_template" or (key.startswith("general.") and isinstance(value, str | int | float))


class _Reading:
    """One file on its way to a model; notes which tensors have found their place."""

    def __init__(self, file: GgufFile) -> None:
        self.file, self.used = file, set[str]()
        self.architecture = file.keys.get("general.architecture")
        if not isinstance(self.architecture, str) or self.architecture not in ACTIVATIONS:
            self.fail(
                f"should hold a model of architecture bitnet, found {str(self.architecture)[:40]!r}",
                "tritcoder runs BitNet b1.58 models; run this one in llama.cpp",
            )

    def fail(self, told: str, hint: str = "export the model again") -> NoReturn:
        raise ModelFileError(f"{self.file.path}: {told}", hint)

    # ---- keys ----

    def key(self, name: str, kind: type[int] | type[float] | type[str], default: Any = None) -> Any:
        """A key of the architecture, of the kind that is asked for."""
        value = self.file.keys.get(f"{self.architecture}.{name}", default)
        if value is None or type(value) is not kind:
            shown = repr(value)[:40] if isinstance(value, str | int | float | None) else type(value).__name__
            self.fail(f"key '{self.architecture}.{name}' should hold {kind.__name__}, found {shown}")
        with np.errstate(over="ignore"):
            return float(str(np.float32(value))) if kind is float else value  # 1e-05 for what float32 makes of it

    def shape(self) -> ModelConfig:
        """The shape that keys and the embedding tell; whether it is ternary is told by the matrices."""
        dims = self.tensor("token_embd.weight").dims
        head_count = self.key("attention.head_count", int)
        try:
            shape = ModelConfig(
                vocab_size=math.prod(dims[1:]),
                dim=self.key("embedding_length", int),
                n_layers=self.key("block_count", int),
                n_heads=head_count,
                n_kv_heads=self.key("attention.head_count_kv", int, head_count),
                hidden_dim=self.key("feed_forward_length", int),
                max_seq_len=self.key("context_length", int),
                rope_theta=self.key("rope.freq_base", float, 10000.0),
                norm_eps=self.key("attention.layer_norm_rms_epsilon", float),
                hidden_act=self.activation(),
            )
        except ConfigError as error:
            self.fail(error.message, error.hint or "export the model again")
        if not (0 < shape.rope_theta < math.inf and 0 < shape.norm_eps < 1 and shape.max_seq_len <= MAX_SEQ_LEN):
            self.fail(
                f"rope.freq_base ({shape.rope_theta}) should be above 0 and finite, layer_norm_rms_epsilon "
                f"({shape.norm_eps}) between 0 and 1, context_length ({shape.max_seq_len}) at most {MAX_SEQ_LEN}"
            )
        self.require_plain_positions(shape)
        return shape

    def activation(self) -> Any:
        assert self.architecture is not None
        told = self.key("hidden_activation", str, ACTIVATIONS[self.architecture])
        if told not in ("silu", "relu2"):
            self.fail(f"hidden_activation should be silu or relu2, found {told[:40]!r}", "run it in llama.cpp")
        return told

    def require_plain_positions(self, shape: ModelConfig) -> None:
        """Refuse what would change the function: heads of another width, positions that are scaled."""
        for name in ("rope.dimension_count", "attention.key_length", "attention.value_length"):
            width = self.key(name, int, shape.head_dim)
            if width != shape.head_dim:
                self.fail(f"{name} should be the width of a head, {shape.head_dim}, found {width}")
        scaling = self.key("rope.scaling.type", str, "none")
        if scaling != "none":
            self.fail(f"rope.scaling.type should be none, found {scaling[:40]!r}", "run it in llama.cpp")

    # ---- tensors ----

    def tensor(self, name: str) -> GgufTensor:
        """A tensor that must be there."""
        self.used.add(name)
        if name not in self.file.tensors:
            self.fail(f"should hold tensor {name}, found none (of {len(self.file.tensors)} tensors)")
        return self.file.tensors[name]

    def shaped(self, name: str, rows: int, cols: int) -> GgufTensor:
        tensor = self.tensor(name)
        cut = (*tensor.dims, 1)
        if cut[:2] != (cols, rows) or math.prod(cut[2:]) != 1:
            self.fail(f"tensor {name} should have the dimensions ({cols}, {rows}), found {tensor.dims}")
        return tensor

    def vector(self, name: str, size: int) -> np.ndarray:
        """A norm's weights as float32."""
        tensor = self.shaped(name, 1, size)
        if tensor.layout not in ("f32", "f16", "bf16") or not are_finite(tensor.data, tensor.layout):
            self.fail(f"tensor {name} should hold finite floats, found {tensor.layout} or NaN or infinity")
        values: np.ndarray = decode_floats(tensor.data, tensor.layout, 1, size)[0]
        return values

    def norms(self, layer: int, shape: ModelConfig) -> dict[str, np.ndarray]:
        sizes = {"feed_forward_sub_norm": shape.hidden_dim}
        return {
            ours: self.vector(f"blk.{layer}.{theirs}.weight", sizes.get(ours, shape.dim))
            for ours, theirs in NORM_TENSORS.items()
        }

    def floats(self, name: str, rows: int, cols: int, factor: float | np.float32 = 1) -> FloatWeight:
        """A matrix of floats as it lies in the file; decoded where the layout is not one of ours, or it is scaled."""
        tensor = self.shaped(name, rows, cols)
        if tensor.layout in get_args(BlockLayout):
            self.fail(f"tensor {name} should hold floats, found trits ({tensor.layout})")
        if not are_finite(tensor.data, tensor.layout):
            self.fail(f"tensor {name} should hold finite values, found NaN or infinity", "train again")
        if tensor.layout in get_args(FloatLayout) and factor == 1:
            return FloatWeight(rows, cols, cast(FloatLayout, tensor.layout), tensor.data)
        values = np.empty((rows, cols), dtype=np.float32)
        with np.errstate(over="ignore"):
            for start, piece in _pieces(tensor, rows, cols):
                values[start : start + len(piece)] = decode_floats(piece, tensor.layout, len(piece), cols) * factor
        if not are_finite(values.view(np.uint8), "f32"):
            self.fail(f"tensor {name} should hold finite values, found too large ones under its scale", "train again")
        return FloatWeight(rows, cols, "f32", values.view(np.uint8))

    def factor(self, name: str) -> np.float32:
        """What a layer's result is multiplied with: 1 without a `.scale` tensor."""
        if f"{name}.scale" not in self.file.tensors:
            return np.float32(1)
        found = self.vector(f"{name}.scale", 1)[0]
        if not found > 0:
            self.fail(f"tensor {name}.scale should be above 0, found {found}")
        return np.float32(found)

    def linear(self, shape: ModelConfig) -> tuple[list[dict[str, TernaryWeight | FloatWeight]], str]:
        """The matrices of all blocks, and whether they are ternary: all of them, or none."""
        sizes = linear_sizes(shape)
        places = [(layer, name) for layer in range(shape.n_layers) for name in LINEAR_TENSORS]
        blocks: list[dict[str, TernaryWeight | FloatWeight]] = [{} for _ in range(shape.n_layers)]
        quantization = "ternary"
        for layer, name in places:
            weight = self.ternary(f"blk.{layer}.{LINEAR_TENSORS[name]}", *sizes[name])
            if weight is None:
                quantization = "none"
                break
            blocks[layer][name] = weight
        if quantization == "none":
            for layer, name in places:
                whole = f"blk.{layer}.{LINEAR_TENSORS[name]}"
                blocks[layer][name] = self.floats(f"{whole}.weight", *sizes[name], self.factor(whole))
        return blocks, quantization

    def ternary(self, name: str, rows: int, cols: int) -> TernaryWeight | None:
        """A matrix of trits, packed or as floats; None if its floats are others than -s, 0 and +s."""
        tensor, factor = self.shaped(f"{name}.weight", rows, cols), self.factor(name)
        if tensor.layout == "i2_s":
            held = rows * row_bytes("i2_s", cols)
            scale = np.frombuffer(tensor.data[held : held + 4].tobytes(), dtype="<f4")[0]
            return TernaryWeight(rows, cols, "i2_s", tensor.data[:held], self.scale(tensor, scale, factor))
        if tensor.layout in ("tq2_0", "tq1_0"):
            scale = self.common_scale(tensor, rows, cols)
            return TernaryWeight(
                rows, cols, cast(TernaryLayout, tensor.layout), tensor.data, self.scale(tensor, scale, factor)
            )
        found = _trits_of_floats(tensor, rows, cols)
        return found and TernaryWeight(rows, cols, "trits", found[0], self.scale(tensor, found[1], factor))

    def scale(self, tensor: GgufTensor, scale: np.float32, factor: np.float32) -> np.float32:
        """The scale of a matrix, its factor included."""
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            product = np.float32(scale * factor)
        if not (np.isfinite(product) and product > 0):
            self.fail(f"tensor {tensor.name} should have a finite scale above 0, found {product}")
        return product

    def common_scale(self, tensor: GgufTensor, rows: int, cols: int) -> np.float32:
        """The one scale of all blocks; blocks of zeros alone may hold another."""
        scales = block_scales(tensor.data, cast(Any, tensor.layout), rows, cols)
        if (scales == scales[0]).all() and scales[0] > 0:
            return np.float32(scales[0])
        if not np.isfinite(scales).all():
            self.fail(f"tensor {tensor.name} should have finite scales, found NaN or infinity")
        try:
            held = scales[_blocks_with_trits(tensor, rows, cols)]
        except ModelFileError as error:
            self.fail(f"tensor {tensor.name}: {error.message}", error.hint)
        if held.size and not (held == held[0]).all():
            other = held[held != held[0]][0]
            self.fail(
                f"tensor {tensor.name} should have one scale in all its blocks, found {held[0]} and {other}",
                "it was quantised block by block from other weights: quantise the trained model's own trits",
            )
        return np.float32(held[0]) if held.size else EPS

    def require_tied_head(self, embedding: str) -> None:
        """Refuse an output head that is not the embedding."""
        head = self.file.tensors.get("output.weight")
        if head is None:
            return
        tied = self.tensor(embedding)
        self.used.add(head.name)
        if (head.layout, head.dims) != (tied.layout, tied.dims) or not np.array_equal(head.data, tied.data):
            self.fail("should have its embedding as its output head, found another in output.weight")

    def require_nothing_else(self) -> None:
        """Refuse tensors that would change the function if they were heeded."""
        strangers = sorted(set(self.file.tensors) - self.used)
        if strangers:
            told = f"should hold a BitNet's tensors alone, found {strangers[0][:80]!r}"
            self.fail(told + (f" and {len(strangers) - 1} others" if strangers[1:] else ""), "run it in llama.cpp")


def _pieces(tensor: GgufTensor, rows: int, cols: int) -> Iterator[tuple[int, np.ndarray]]:
    """A matrix's bytes, some rows at a time: the first row, and (rows, bytes)."""
    lines = tensor.data.reshape(rows, -1)
    step = rows_at_once(cols)
    yield from ((start, lines[start : start + step]) for start in range(0, rows, step))


def _blocks_with_trits(tensor: GgufTensor, rows: int, cols: int) -> np.ndarray:
    """Of each block, whether it holds a trit that is not 0."""
    layout = cast(BlockLayout, tensor.layout)
    pieces = (decode_trits(piece, layout, len(piece), cols) for _, piece in _pieces(tensor, rows, cols))
    return np.concatenate([piece.reshape(-1, 256).any(axis=1) for piece in pieces])


def _trits_of_floats(tensor: GgufTensor, rows: int, cols: int) -> tuple[np.ndarray, np.float32] | None:
    """Trits and scale of floats that are all -s, 0 or +s."""
    trits, scale = np.empty((rows, cols), dtype=np.int8), np.float32(0)
    for start, piece in _pieces(tensor, rows, cols):
        if not are_finite(piece, tensor.layout):
            return None
        values = decode_floats(piece, tensor.layout, len(piece), cols)
        scale = scale or np.float32(np.abs(values).max())
        signs = np.sign(values)
        if not (values == signs * scale).all():
            return None
        trits[start : start + len(piece)] = signs
    return trits, scale or EPS
