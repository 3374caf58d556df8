"""A model's weights become a GGUF file that stock llama.cpp runs.

Trits are written in blocks of scale 1, and beside each matrix a tensor `.scale` holds its scale in float32: llama.cpp
multiplies each linear layer's result with it, so that nothing of the scale is lost to the float16 of the blocks.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal, NamedTuple, cast

import numpy as np

from tritcoder.errors import AskedWronglyError
from tritcoder.provenance import whole_file
from tritcoder.ternary.blocks import BlockLayout, encode_floats, encode_trits, row_bytes
from tritcoder.ternary.decoding import float_pieces, rows_at_once, trits_of
from tritcoder.ternary.gguf_file import LAYOUT_NUMBERS
from tritcoder.ternary.gguf_reading import LINEAR_TENSORS, NORM_TENSORS
from tritcoder.ternary.gguf_tokenizer import PRE, TEXT_KEY, end_of_text, vocabulary
from tritcoder.ternary.weights import FloatLayout, FloatWeight, ModelWeights, TernaryWeight

LinearChoice = Literal["tq2_0", "tq1_0", "f16", "f32"]
EmbeddingChoice = Literal["q8_0", "f16", "f32"]
FILE_TYPES = {"f32": 0, "f16": 1, "tq1_0": 36, "tq2_0": 37}
"""llama.cpp's numbers for `general.file_type`."""


class _Planned(NamedTuple):
    """A tensor to be written."""

    name: str
    layout: str
    shape: tuple[int, ...]
    pieces: Callable[[], Iterator[np.ndarray]]
    """Its bytes, some rows at a time."""


def write_gguf(
    path: Path, weights: ModelWeights, ternary: LinearChoice = "tq2_0", embedding: EmbeddingChoice = "q8_0"
) -> int:
    """Write the model, whole or not at all; a file that is there is replaced.

    Args:
        path: the file to write.
        weights: a ternary model, or the twin.
        ternary: layout of the linear layers; the twin has floats, which are written as `f16` or `f32`.
        embedding: layout of the embedding, which is the output head too.

    Returns:
        Bytes written.

    Raises:
        AskedWronglyError: trits are asked of the twin.
        ModelFileError: a code stands for no trit, or a float is beyond the reach of its layout.
        StorageError: the disk is full or cannot be written.
    """
    if weights.shape.quantization == "none" and ternary not in ("f16", "f32"):
        raise AskedWronglyError(
            f"the full-precision twin has no trits to write as {ternary}", "write its floats: --ternary f16"
        )
    tensors = list(_planned(weights, ternary, embedding))
    with whole_file(path, "wb") as file:
        _write(Path(file.name), weights, ternary, tensors)
        file.seek(0, 2)
        size: int = file.tell()
    return size


def _write(path: Path, weights: ModelWeights, ternary: LinearChoice, tensors: list[_Planned]) -> None:
    from gguf import GGMLQuantizationType, GGUFWriter

    numbers = {layout: number for number, layout in LAYOUT_NUMBERS.items()}
    writer = GGUFWriter(path, "bitnet")
    _add_keys(writer, weights, ternary)
    for tensor in tensors:
        kind = GGMLQuantizationType(numbers[tensor.layout])
        shape = (*tensor.shape[:-1], row_bytes(tensor.layout, tensor.shape[-1]))
        writer.add_tensor_info(tensor.name, shape, np.dtype(np.uint8), math.prod(shape), raw_dtype=kind)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_ti_data_to_file()
        assert writer.fout is not None
        file = writer.fout[0]
        for tensor in tensors:
            writer.write_padding(file, file.tell())
            for piece in tensor.pieces():
                file.write(np.ascontiguousarray(piece).data)
        writer.write_padding(file, file.tell())
    finally:
        writer.close()


def _add_keys(writer: Any, weights: ModelWeights, ternary: str) -> None:
    shape = weights.shape
    writer.add_name(weights.name or "tritcoder")
    writer.add_type("model")
    writer.add_file_type(FILE_TYPES[ternary])
    writer.add_quantization_version(2)
    for key in ("author", "license", "description", "url", "version", "organization"):
        if isinstance(value := weights.metadata.get(f"general.{key}"), str):
            writer.add_string(f"general.{key}", value)
    writer.add_vocab_size(shape.vocab_size)
    writer.add_context_length(shape.max_seq_len)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.hidden_dim)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_dimension_count(shape.head_dim)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_string("bitnet.hidden_activation", shape.hidden_act)
    if weights.tokenizer_json is not None:
        _add_tokenizer(writer, weights, weights.tokenizer_json)


def _add_tokenizer(writer: Any, weights: ModelWeights, text: str) -> None:
    known = vocabulary(text, weights.shape.vocab_size, weights.name or "the model")
    end = end_of_text(text)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(PRE)
    writer.add_token_list(known.tokens)
    writer.add_token_types(known.types)
    writer.add_token_merges(known.merges)
    writer.add_bos_token_id(end)
    writer.add_eos_token_id(end)
    writer.add_pad_token_id(end)
    writer.add_add_bos_token(False)
    writer.add_add_eos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_string(TEXT_KEY, text)
    template = weights.metadata.get("tokenizer.chat_template")
    if isinstance(template, str) and template:
        writer.add_chat_template(template)


def _planned(weights: ModelWeights, ternary: LinearChoice, embedding: EmbeddingChoice) -> Iterator[_Planned]:
    shape = weights.shape
    size = (shape.vocab_size, shape.dim)
    yield _Planned("token_embd.weight", embedding, size, lambda: float_pieces(weights.embedding, embedding))
    yield _vector("output_norm.weight", weights.norm)
    for layer, block in enumerate(weights.blocks):
        for ours, theirs in NORM_TENSORS.items():
            yield _vector(f"blk.{layer}.{theirs}.weight", getattr(block, ours))
        for ours, theirs in LINEAR_TENSORS.items():
            yield from _linear(f"blk.{layer}.{theirs}", block.linear[ours], ternary)


def _vector(name: str, values: np.ndarray) -> _Planned:
    return _Planned(name, "f32", values.shape, lambda: iter((values.astype("<f4"),)))


def _linear(name: str, weight: TernaryWeight | FloatWeight, layout: LinearChoice) -> Iterator[_Planned]:
    size = (weight.rows, weight.cols)
    if isinstance(weight, FloatWeight):
        yield _Planned(f"{name}.weight", layout, size, lambda: float_pieces(weight, cast(FloatLayout, layout)))
        return
    yield _Planned(f"{name}.weight", layout, size, lambda: _trit_pieces(weight, layout))
    yield _vector(f"{name}.scale", np.array([weight.scale], dtype=np.float32))


def _trit_pieces(weight: TernaryWeight, layout: str) -> Iterator[np.ndarray]:
    trits = trits_of(weight)
    for start in range(0, weight.rows, rows_at_once(weight.cols)):
        piece = trits[start : start + rows_at_once(weight.cols)]
        if layout in ("tq2_0", "tq1_0"):
            yield encode_trits(piece, cast(BlockLayout, layout))
        else:
            yield encode_floats(piece.astype(np.float32), layout)
