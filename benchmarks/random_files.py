"""Models of random weights, for measuring speed and nothing else: GGUF files that llama.cpp and our engine both read.

    python benchmarks/random_files.py 25M 125M --kinds tq2_0,q4_0 [--cache FOLDER]

One pattern of random trits is laid over all matrices, each from another place of it, so that a file is written as
fast as the disk takes it, in little memory, and neighbours in a file never hold the same bytes. All kinds of a shape
hold the same trits; Q4_0 cannot hold +scale and -scale both exactly, so that its numbers differ a little. The
vocabulary is made up: byte-level BPE as llama.cpp wants it, with pairs of bytes for words.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import NamedTuple

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Kind

from tritcoder.provenance import whole_file
from tritcoder.ternary.shape import ModelConfig

SHAPES = {
    "tiny": ModelConfig(1024, 256, 2, 4, 2, 512, 2048),
    "25M": ModelConfig(16384, 512, 8, 8, 8, 1536, 8192),
    "125M": ModelConfig(16384, 768, 12, 12, 12, 2048, 8192),
    "700M": ModelConfig(32000, 1536, 24, 16, 16, 4096, 8192),
    "2B4T": ModelConfig(128256, 2560, 30, 20, 5, 6912, 8192),
}
"""By name: `tiny` is for trying things out; the others are those of the project's notes on rivals."""

KINDS = {"tq2_0": Kind.TQ2_0, "tq1_0": Kind.TQ1_0, "q4_0": Kind.Q4_0, "f16": Kind.F16}
EMBEDDINGS = {"q8_0": Kind.Q8_0, "q6_k": Kind.Q6_K, "f16": Kind.F16}
PATTERN = 2**20
"""Weights after which the pattern begins anew."""
STEP = 37 * 256
"""How far into the pattern each matrix begins after the one before: blocks of 256, without a common factor."""
ALIGNMENT = 32
"""Of every tensor's first byte in the file: the format's default."""
VERSION = 2
"""Part of a file's name: raise it when what is written changes."""


class Tensor(NamedTuple):
    """One tensor to be written."""

    name: str
    rows: int
    """0 for a vector."""
    cols: int
    kind: Kind

    @property
    def n_bytes(self) -> int:
        """In the file."""
        per_block, block_bytes = gguf.GGML_QUANT_SIZES[self.kind]
        return max(self.rows, 1) * self.cols // per_block * block_bytes


def tensors(shape: ModelConfig, kind: Kind, embedding: Kind) -> Iterator[Tensor]:
    """All of a model's, in the names of llama.cpp's architecture `bitnet`."""
    kv_dim, dim, hidden = shape.n_kv_heads * shape.head_dim, shape.dim, shape.hidden_dim
    yield Tensor("token_embd.weight", shape.vocab_size, dim, embedding)
    yield Tensor("output_norm.weight", 0, dim, Kind.F32)
    for block in range(shape.n_layers):
        for name, size in (("attn_norm", dim), ("attn_sub_norm", dim), ("ffn_norm", dim), ("ffn_sub_norm", hidden)):
            yield Tensor(f"blk.{block}.{name}.weight", 0, size, Kind.F32)
        for name, rows in (("attn_q", dim), ("attn_k", kv_dim), ("attn_v", kv_dim), ("attn_output", dim)):
            yield Tensor(f"blk.{block}.{name}.weight", rows, dim, kind)
        for name, rows, cols in (("ffn_gate", hidden, dim), ("ffn_up", hidden, dim), ("ffn_down", dim, hidden)):
            yield Tensor(f"blk.{block}.{name}.weight", rows, cols, kind)


class Pattern:
    """The bytes of one kind of weights, over and over."""

    def __init__(self, kind: Kind, scale: float, seed: int = 0) -> None:
        self.per_block, self.block_bytes = gguf.GGML_QUANT_SIZES[kind]
        random = np.random.default_rng(seed)
        if kind == Kind.Q6_K:
            self.blocks = _random_q6_k(random, scale)
        else:
            weights = (random.integers(-1, 2, PATTERN).astype(np.float32) * np.float32(scale)).reshape(-1, 256)
            self.blocks = gguf.quants.quantize(weights, kind).view(np.uint8).reshape(-1, self.block_bytes)

    def pieces(self, n_bytes: int, start: int) -> Iterator[memoryview]:
        """`n_bytes` of it from weight `start` on; `start` is a multiple of 256."""
        place = start % PATTERN // self.per_block
        while n_bytes > 0:
            piece = self.blocks[place:].reshape(-1)[:n_bytes]
            yield piece.data
            n_bytes, place = n_bytes - len(piece), 0


def _random_q6_k(random: np.random.Generator, scale: float) -> np.ndarray:
    """Blocks of 256 weights: 192 bytes of 6-bit codes, any of which are valid, 16 int8 scales, a float16 scale."""
    blocks = random.integers(0, 256, (PATTERN // 256, 210)).astype(np.uint8)
    blocks[:, 192:208] = random.integers(32, 96, (PATTERN // 256, 16))
    blocks[:, 208:] = np.full((PATTERN // 256, 1), scale / 64 / 32, np.float16).view(np.uint8)
    return blocks


def vocabulary(size: int) -> tuple[list[str], list[str]]:
    """Tokens and merges of a byte-level BPE: an end token, the bytes, pairs of bytes, and those with a byte more."""
    visible = [*range(ord("!"), ord("~") + 1), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    letters = [chr(code) for code in visible]
    letters += [chr(0x100 + place) for place in range(256 - len(letters))]  # GPT-2's stand-ins for the other bytes
    merges = list(islice(_merges(letters), max(0, size - 257)))
    return ["<|endoftext|>", *letters, *(merge.replace(" ", "") for merge in merges)][:size], merges


def _merges(letters: list[str]) -> Iterator[str]:
    for first, second in product(letters, letters):
        yield f"{first} {second}"
    for first, second, third in product(letters, letters, letters):
        yield f"{first}{second} {third}"


def model_path(name: str, kind: str, cache: Path) -> Path:
    """Where the file of a shape and a kind (`tq2_0`, `tq2_0:q6_k`) lies."""
    return cache / f"random-{name}-{kind.replace(':', '-')}-v{VERSION}.gguf"


def default_cache() -> Path:
    """Below the system's folder for temporary files."""
    return Path(tempfile.gettempdir()) / "tritcoder-random-files"


def kinds_of(kind: str) -> tuple[Kind, Kind]:
    """The kinds of matrices and embedding: `tq2_0:q6_k` names both; alone, the embedding is Q8_0 (F16 with F16)."""
    ternary, _, embedding = kind.partition(":")
    return KINDS[ternary], EMBEDDINGS[embedding or ("f16" if ternary == "f16" else "q8_0")]


def tensor_bytes(name: str, kind: str) -> int:
    """Bytes of all weights in the file: what one token reads, as the embedding is the head too."""
    return sum(tensor.n_bytes for tensor in tensors(SHAPES[name], *kinds_of(kind)))


def ensure(name: str, kind: str, cache: Path | None = None) -> Path:
    """The file, written now if it is not there."""
    path = model_path(name, kind, cache or default_cache())
    if not path.is_file():
        write(SHAPES[name], kind, path, f"random {name} {kind}")
    return path


def write(shape: ModelConfig, kind: str, path: Path, title: str) -> None:
    """Write a model of this shape, tensor by tensor."""
    listed = list(tensors(shape, *kinds_of(kind)))
    with tempfile.TemporaryDirectory() as folder, whole_file(path, "wb") as file:
        head = Path(folder) / "head.gguf"
        _write_head(shape, listed, head, title)
        file.write(head.read_bytes())
        for number, tensor in enumerate(listed):
            file.write(bytes(-file.tell() % ALIGNMENT))
            for piece in _content(tensor, number):
                file.write(piece)
        file.write(bytes(-file.tell() % ALIGNMENT))


def _write_head(shape: ModelConfig, listed: list[Tensor], path: Path, title: str) -> None:
    """All but the weights."""
    writer = gguf.GGUFWriter(path, "bitnet")
    writer.add_name(title)
    writer.add_vocab_size(shape.vocab_size)
    writer.add_context_length(shape.max_seq_len)
    writer.add_embedding_length(shape.dim)
    writer.add_block_count(shape.n_layers)
    writer.add_feed_forward_length(shape.hidden_dim)
    writer.add_head_count(shape.n_heads)
    writer.add_head_count_kv(shape.n_kv_heads)
    writer.add_layer_norm_rms_eps(shape.norm_eps)
    writer.add_rope_freq_base(shape.rope_theta)
    writer.add_rope_dimension_count(shape.head_dim)
    tokens, merges = vocabulary(shape.vocab_size)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] + [gguf.TokenType.NORMAL] * (len(tokens) - 1))
    writer.add_token_merges(merges)
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(0)
    writer.add_add_bos_token(False)
    for tensor in listed:
        per_block, block_bytes = gguf.GGML_QUANT_SIZES[tensor.kind]
        row_bytes = tensor.cols // per_block * block_bytes
        plain = tensor.kind in (Kind.F32, Kind.F16)
        sizes = ([tensor.rows] if tensor.rows else []) + [tensor.cols if plain else row_bytes]
        dtype = np.dtype({Kind.F32: "f4", Kind.F16: "f2"}.get(tensor.kind, "u1"))
        writer.add_tensor_info(tensor.name, sizes, dtype, tensor.n_bytes, None if plain else tensor.kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    writer.close()


_patterns: dict[tuple[Kind, int], Pattern] = {}


def _content(tensor: Tensor, number: int) -> Iterator[memoryview]:
    if not tensor.rows:
        return iter([np.ones(tensor.cols, np.float32).view(np.uint8).data])
    key = (tensor.kind, tensor.cols)
    if key not in _patterns:
        _patterns[key] = Pattern(tensor.kind, tensor.cols**-0.5)
    return _patterns[key].pieces(tensor.n_bytes, number * STEP)


def main() -> None:
    """Write the files that were asked for."""
    parser = argparse.ArgumentParser(description="GGUF files with random weights")
    parser.add_argument("shapes", nargs="+", choices=list(SHAPES))
    parser.add_argument("--kinds", default="tq2_0", help="such as tq2_0,tq1_0,q4_0,f16,tq2_0:q6_k")
    parser.add_argument("--cache", type=Path, default=default_cache())
    asked = parser.parse_args()
    for name in asked.shapes:
        for kind in asked.kinds.split(","):
            path = ensure(name, kind, asked.cache)
            print(f"{path}  {path.stat().st_size / 1e6:,.1f} MB", file=sys.stdout)


if __name__ == "__main__":
    main()
