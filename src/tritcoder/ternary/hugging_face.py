"""A model's weights from a Hugging Face directory, and packed into one; without torch.

Read are directories with latent weights (`online`: rounded here, once), with packed ones (`offline`, `bitlinear`),
and the full-precision twin's. Written are packed ones (`offline`), for transformers: ours to train on are written by
`model/hugging_face.py`.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from tritcoder.errors import ModelFileError, storage_errors
from tritcoder.provenance import whole_file, write_json
from tritcoder.ternary.blocks import are_finite, decode_floats
from tritcoder.ternary.decoding import float_pieces, floats_of, rows_at_once, trits_of
from tritcoder.ternary.hugging_face_names import (
    Packing,
    from_their_config,
    packing_of,
    parse_object,
    read_text,
    read_their_config,
    their_name,
    to_their_config,
    write_tokenizer,
)
from tritcoder.ternary.packing import TRITS_PER_BYTE, pack_rows
from tritcoder.ternary.quantize import absmean_scale, trits_under
from tritcoder.ternary.safetensors_file import HeldTensor, open_model, write_safetensors
from tritcoder.ternary.shape import ModelConfig
from tritcoder.ternary.weights import (
    LINEAR_NAMES,
    BlockWeights,
    FloatLayout,
    FloatWeight,
    ModelWeights,
    TernaryWeight,
    linear_sizes,
)

_LAYOUTS: dict[str, FloatLayout] = {"F32": "f32", "F16": "f16", "BF16": "bf16"}
_NORM_NAMES = {
    "attention_norm": "attention_norm",
    "attention_sub_norm": "attention.sub_norm",
    "feed_forward_norm": "feed_forward_norm",
    "feed_forward_sub_norm": "feed_forward.sub_norm",
}


def read_hugging_face(directory: Path) -> ModelWeights:
    """Read a model directory: shape, tokenizer, and its weights as views where they are packed or floats.

    Raises:
        ModelFileError: no such directory, damaged, another kind of model, or tensors that do not fit its config.json.
    """
    content = read_their_config(directory)
    shape, packing = from_their_config(content, directory), packing_of(content, directory)
    tensors, size = open_model(directory)
    reading = _Reading(directory, tensors, packing)
    embedding = reading.floats(their_name("embedding.weight"), shape.vocab_size, shape.dim)
    reading.require_tied_head()
    metadata: dict[str, Any] = {"general.name": directory.name}
    if template := read_text(directory / "chat_template.jinja"):
        metadata["tokenizer.chat_template"] = template
    return ModelWeights(
        shape=shape,
        embedding=embedding,
        norm=reading.vector(their_name("norm.weight"), shape.dim),
        blocks=tuple(reading.block(layer, shape) for layer in range(shape.n_layers)),
        name=directory.name,
        tokenizer_json=read_text(directory / "tokenizer.json"),
        metadata=metadata,
        bytes_on_disk=size,
    )


class _Reading:
    """The tensors of a directory on their way to a model."""

    def __init__(self, directory: Path, tensors: dict[str, HeldTensor], packing: Packing) -> None:
        self.directory, self.tensors, self.packing = directory, tensors, packing

    def tensor(self, name: str, shape: tuple[int, ...], dtypes: tuple[str, ...]) -> HeldTensor:
        found = self.tensors.get(name)
        if found is None or found.shape != shape or found.dtype not in dtypes:
            told = "none" if found is None else f"{found.dtype} {found.shape}"
            raise ModelFileError(
                f"{self.directory}: tensor {name} should have shape {shape} and dtype {' or '.join(dtypes)}, "
                f"found {told}",
                "export the model again",
            )
        if found.dtype in _LAYOUTS and not are_finite(found.data, _LAYOUTS[found.dtype]):
            raise ModelFileError(f"{self.directory}: tensor {name} holds NaN or infinity", "train again")
        return found

    def floats(self, name: str, rows: int, cols: int) -> FloatWeight:
        found = self.tensor(name, (rows, cols), tuple(_LAYOUTS))
        return FloatWeight(rows, cols, _LAYOUTS[found.dtype], found.data)

    def vector(self, name: str, size: int) -> np.ndarray:
        found = self.tensor(name, (size,), tuple(_LAYOUTS))
        values: np.ndarray = decode_floats(found.data, _LAYOUTS[found.dtype], 1, size)[0]
        return values

    def block(self, layer: int, shape: ModelConfig) -> BlockWeights:
        sizes = {"feed_forward_sub_norm": shape.hidden_dim}
        norms = {
            ours: self.vector(their_name(f"blocks.{layer}.{name}.weight"), sizes.get(ours, shape.dim))
            for ours, name in _NORM_NAMES.items()
        }
        linear = {name: self.linear(_linear_name(layer, name), *size) for name, size in linear_sizes(shape).items()}
        return BlockWeights(linear=linear, **norms)

    def linear(self, name: str, rows: int, cols: int) -> TernaryWeight | FloatWeight:
        if self.packing == "none":
            return self.floats(name, rows, cols)
        if self.packing == "online":
            return _rounded(self.floats(name, rows, cols))
        if rows % TRITS_PER_BYTE:
            raise ModelFileError(f"{self.directory}: packed layers have a multiple of 4 rows, found {rows} in {name}")
        packed = self.tensor(name, (rows // TRITS_PER_BYTE, cols), ("U8",))
        return TernaryWeight(rows, cols, "rows4", packed.data, self.packed_scale(f"{name}_scale"))

    def packed_scale(self, name: str) -> np.float32:
        told = self.tensors.get(name)
        found = self.vector(name, 1)[0] if told is None or told.shape else self.scalar(name)
        with np.errstate(all="ignore"):
            scale = np.float32(1) / found if self.packing == "bitlinear" else np.float32(found)
        if not (np.isfinite(scale) and scale > 0):
            raise ModelFileError(
                f"{self.directory}: {name} should be finite and above 0, found {found}", "train again"
            )
        return np.float32(scale)

    def scalar(self, name: str) -> np.float32:
        found = self.tensor(name, (), tuple(_LAYOUTS))
        return np.float32(decode_floats(found.data, _LAYOUTS[found.dtype], 1, 1)[0, 0])

    def require_tied_head(self) -> None:
        """Refuse an output head that is not the embedding."""
        head, tied = self.tensors.get("lm_head.weight"), self.tensors[their_name("embedding.weight")]
        if head is not None and (head[:2] != tied[:2] or not np.array_equal(head.data, tied.data)):
            raise ModelFileError(
                f"{self.directory} should have its embedding as its output head, found another in lm_head.weight",
                f"for another kind of model use hf:{self.directory}",
            )


def write_packed(directory: Path, weights: ModelWeights, embedding: Literal["f32", "f16"] = "f32") -> int:
    """Write a directory with packed trits, which transformers loads; `config.json` comes last.

    The twin's floats are written as they are, as float32.

    Args:
        directory: made if missing; files that are there are replaced.
        weights: their tokenizer and chat template are written too.
        embedding: its dtype, and that of the twin's linear layers.

    Returns:
        Bytes of `model.safetensors`.

    Raises:
        ModelFileError: a code stands for no trit, a layer's rows are no multiple of 4, or the tokenizer is no JSON.
        StorageError: the disk is full or cannot be written.
    """
    tensors = list(_planned(weights, embedding))
    heads = {tensor.name: (tensor.dtype, tensor.shape) for tensor in tensors}
    tokenizer = weights.tokenizer_json
    content = None if tokenizer is None else parse_object(tokenizer, directory / "tokenizer.json")
    with storage_errors(directory):  # what is there is not complete from here on
        (directory / "config.json").unlink(missing_ok=True)
    with whole_file(directory / "model.safetensors", "wb") as file:
        write_safetensors(file, heads, (piece for tensor in tensors for piece in tensor.pieces()))
        size: int = file.tell()
    if content is not None:
        template = weights.metadata.get("tokenizer.chat_template")
        write_tokenizer(directory, content, weights.shape, template if isinstance(template, str) else "")
    write_json(directory / "config.json", to_their_config(weights.shape, "offline"))
    return size


def _linear_name(layer: int, name: str) -> str:
    part = "attention" if name in "qkvo" else "feed_forward"
    return their_name(f"blocks.{layer}.{part}.{name}.weight")


def _rounded(latent: FloatWeight) -> TernaryWeight:
    """Latent weights as trits, four in a byte; one matrix of floats is held at a time, and no second one."""
    rows, cols = latent.rows, latent.cols
    values = floats_of(latent)
    scale = absmean_scale(values)
    trits = np.empty((rows, cols), dtype=np.int8)
    for start in range(0, rows, rows_at_once(cols)):
        piece = slice(start, start + rows_at_once(cols))
        trits[piece] = trits_under(values[piece], scale)
    if rows % TRITS_PER_BYTE:
        return TernaryWeight(rows, cols, "trits", trits, scale)
    return TernaryWeight(rows, cols, "rows4", pack_rows(trits), scale)


class _Planned(NamedTuple):
    """A tensor to be written."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[Any]]


def _planned(weights: ModelWeights, layout: FloatLayout) -> Iterator[_Planned]:
    yield _planned_floats(their_name("embedding.weight"), weights.embedding, layout)
    yield _planned_vector(their_name("norm.weight"), weights.norm)
    for layer, block in enumerate(weights.blocks):
        for ours, name in _NORM_NAMES.items():
            yield _planned_vector(their_name(f"blocks.{layer}.{name}.weight"), getattr(block, ours))
        for name in LINEAR_NAMES:
            yield from _planned_linear(_linear_name(layer, name), block.linear[name], layout)


def _planned_vector(name: str, values: np.ndarray) -> _Planned:
    return _Planned(name, "F32", values.shape, lambda: iter((values.astype("<f4").data,)))


def _planned_floats(name: str, weight: FloatWeight, layout: FloatLayout) -> _Planned:
    dtype = {"f32": "F32", "f16": "F16"}[layout]
    return _Planned(name, dtype, (weight.rows, weight.cols), lambda: (p.data for p in float_pieces(weight, layout)))


def _planned_linear(name: str, weight: TernaryWeight | FloatWeight, layout: FloatLayout) -> Iterator[_Planned]:
    if isinstance(weight, FloatWeight):
        yield _planned_floats(name, weight, layout)
        return
    shape = (weight.rows // TRITS_PER_BYTE, weight.cols)
    yield _Planned(name, "U8", shape, lambda: iter((pack_rows(trits_of(weight)).data,)))
    yield _planned_vector(f"{name}_scale", np.array([weight.scale], dtype=np.float32))
