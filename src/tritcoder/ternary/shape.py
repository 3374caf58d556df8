"""The shape of a model."""

from dataclasses import dataclass
from typing import Literal

from tritcoder.errors import ConfigError

Quantization = Literal["ternary", "none"]

ROW_MULTIPLE = 256
"""Rows of ternary weights are stored in blocks of 256 in GGUF (TQ1_0, TQ2_0)."""


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """BitNet b1.58 in the variant that stock transformers and stock llama.cpp run."""

    vocab_size: int = 16384
    """Rows of the embedding, which is also the output head; set by the tokenizer."""
    dim: int = 256
    """Width of the residual stream; a multiple of 256."""
    n_layers: int = 8
    """Blocks of attention and feed-forward."""
    n_heads: int = 4
    """Query heads; they divide `dim`."""
    n_kv_heads: int = 4
    """Key and value heads; they divide `n_heads`."""
    hidden_dim: int = 768
    """Width of the feed-forward layer; a multiple of 256."""
    max_seq_len: int = 512
    """The most tokens of prompt and answer together."""
    rope_theta: float = 10000.0
    """Base of the rotary position angles."""
    norm_eps: float = 1e-5
    """Added to the mean square in RMSNorm."""
    hidden_act: Literal["silu", "relu2"] = "silu"
    """Gate of the feed-forward layer; relu2 for checkpoints of the 2B4T kind (GGUF runs silu only)."""
    quantization: Quantization = "ternary"
    """`none` makes the full-precision twin."""

    def __post_init__(self) -> None:
        """Refuse shapes that cannot be built or exported, naming each."""
        sizes = (self.vocab_size, self.dim, self.n_layers, self.n_heads, self.n_kv_heads, self.hidden_dim)
        if min(sizes) < 1 or self.max_seq_len < 2:
            raise ConfigError("every size of a model must be at least 1 (max_seq_len 2)")
        for name, size in (("dim", self.dim), ("hidden_dim", self.hidden_dim)):
            if size % ROW_MULTIPLE:
                raise ConfigError(
                    f"{name} must be a multiple of {ROW_MULTIPLE}, found {size}",
                    "packed ternary files store rows in blocks of 256",
                )
        if self.dim % self.n_heads or self.n_heads % self.n_kv_heads or (self.dim // self.n_heads) % 2:
            raise ConfigError(
                f"n_heads ({self.n_heads}) must divide dim ({self.dim}) into an even head size, "
                f"and n_kv_heads ({self.n_kv_heads}) must divide n_heads"
            )

    @property
    def head_dim(self) -> int:
        """K: width of one head."""
        return self.dim // self.n_heads

    @property
    def ternary_parameters(self) -> int:
        """Weights inside the linear layers of the blocks: those that become trits."""
        attention = 2 * self.dim * self.dim + 2 * self.dim * self.n_kv_heads * self.head_dim
        return self.n_layers * (attention + 3 * self.dim * self.hidden_dim)

    @property
    def parameters(self) -> int:
        """All weights: ternary ones, the tied embedding, norms."""
        norms = self.n_layers * (3 * self.dim + self.hidden_dim) + self.dim
        return self.ternary_parameters + self.vocab_size * self.dim + norms
