"""The network: a decoder-only Transformer with LLaMA's parts and BitNet's linear layers, all of it here.

    x = embedding[ids]
    each block:  x += o(sub_norm(attention(rope(q, k), v)))     q, k, v from norm(x)
                 x += down(sub_norm(act(gate) * up))            gate, up from norm(x)
    logits = norm(x) embedding^T

Axes: B batch, T tokens, S cached tokens, D width, H heads, K head width, V vocabulary.
Source: Ma et al. 2024, arXiv:2402.17764; sub-norms as in Hugging Face's BitNet and GGUF's `bitnet` graph.
"""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tritcoder.model.layers import BitLinear, RMSNorm
from tritcoder.ternary.shape import ModelConfig

INIT_STD = 0.02


class KVCache:
    """Keys and values of the tokens read so far; rows may have different lengths."""

    def __init__(self, config: ModelConfig, rows: int, length: int, dtype: torch.dtype) -> None:
        shape = (config.n_layers, rows, config.n_kv_heads, length, config.head_dim)
        self.keys = torch.zeros(shape, dtype=dtype)
        self.values = torch.zeros(shape, dtype=dtype)
        self.lengths = torch.zeros(rows, dtype=torch.long)

    def keep(self, rows: list[int]) -> None:
        """Let only these rows go on."""
        self.keys, self.values = self.keys[:, rows], self.values[:, rows]
        self.lengths = self.lengths[rows]

    def write(self, layer: int, positions: Int[Tensor, "B T"], keys: Tensor, values: Tensor) -> None:
        """Store keys and values (B, H, T, K) of one layer at their positions."""
        index = positions[:, None, :, None].expand_as(keys)
        self.keys[layer].scatter_(2, index, keys)
        self.values[layer].scatter_(2, index, values)


def rope_tables(config: ModelConfig) -> tuple[Float[Tensor, "T K"], Float[Tensor, "T K"]]:
    """Cosines and sines of the rotary angles, NEOX order (Su et al. 2021, arXiv:2104.09864)."""
    exponents = torch.arange(0, config.head_dim, 2, dtype=torch.float32) / config.head_dim
    frequencies = 1.0 / config.rope_theta**exponents
    angles = torch.outer(torch.arange(config.max_seq_len, dtype=torch.float32), frequencies).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(
    x: Float[Tensor, "B H T K"], cos: Float[Tensor, "*B T K"], sin: Float[Tensor, "*B T K"]
) -> Float[Tensor, "B H T K"]:
    """Turn each pair (i, i + K/2) of a head by its position's angle."""
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class Attention(nn.Module):
    """Grouped-query causal attention with a norm before its output projection."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        kv_dim = config.n_kv_heads * config.head_dim
        self.q = BitLinear(config.dim, config.dim, config.quantization)
        self.k = BitLinear(config.dim, kv_dim, config.quantization)
        self.v = BitLinear(config.dim, kv_dim, config.quantization)
        self.sub_norm = RMSNorm(config.dim, config.norm_eps)
        self.o = BitLinear(config.dim, config.dim, config.quantization)

    def forward(
        self,
        x: Float[Tensor, "B T D"],
        cos: Float[Tensor, "*B T K"],
        sin: Float[Tensor, "*B T K"],
        mask: Bool[Tensor, "B 1 T S"] | None,
        cache: KVCache | None,
        layer: int,
        positions: Int[Tensor, "B T"] | None,
    ) -> Float[Tensor, "B T D"]:
        """Without a mask attention is causal; with a cache, over the cached tokens."""
        batch, time, _ = x.shape
        levels = self.q.prepare(x)
        q, k, v = (
            layer_(levels).view(batch, time, -1, self.config.head_dim).transpose(1, 2)
            for layer_ in (self.q, self.k, self.v)
        )
        q, k = rotate(q, cos, sin).to(v.dtype), rotate(k, cos, sin).to(v.dtype)
        if cache is not None and positions is not None:
            cache.write(layer, positions, k, v)
            k, v = cache.keys[layer], cache.values[layer]
        shared = self.config.n_kv_heads != self.config.n_heads
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask, is_causal=mask is None, enable_gqa=shared)
        out = self.sub_norm(out.transpose(1, 2).reshape(batch, time, -1))
        projected: Tensor = self.o(self.o.prepare(out))
        return projected


class FeedForward(nn.Module):
    """Gated feed-forward layer with a norm before its output projection."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.hidden_act = config.hidden_act
        self.gate = BitLinear(config.dim, config.hidden_dim, config.quantization)
        self.up = BitLinear(config.dim, config.hidden_dim, config.quantization)
        self.sub_norm = RMSNorm(config.hidden_dim, config.norm_eps)
        self.down = BitLinear(config.hidden_dim, config.dim, config.quantization)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """down(sub_norm(act(gate(x)) * up(x)))."""
        levels = self.gate.prepare(x)
        gate = self.gate(levels)
        gate = F.silu(gate) if self.hidden_act == "silu" else F.relu(gate).square()
        projected: Tensor = self.down(self.down.prepare(self.sub_norm(gate * self.up(levels))))
        return projected


class Block(nn.Module):
    """Attention, then feed-forward, each on a normed copy of the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.attention_norm = RMSNorm(config.dim, config.norm_eps)
        self.attention = Attention(config)
        self.feed_forward_norm = RMSNorm(config.dim, config.norm_eps)
        self.feed_forward = FeedForward(config)


class Transformer(nn.Module):
    """Token ids in, logits out."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.dim)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layers))
        self.norm = RMSNorm(config.dim, config.norm_eps)
        cos, sin = rope_tables(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def initialise(self, seed: int) -> "Transformer":
        """Fill the weights: normal with deviation 0.02, output projections narrower by sqrt(2 n_layers).

        The same seed gives the ternary model and its twin the same latent weights.
        """
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            if parameter.dim() < 2:
                continue
            last = name.endswith(("attention.o.weight", "feed_forward.down.weight"))
            std = INIT_STD / math.sqrt(2 * self.config.n_layers) if last else INIT_STD
            nn.init.normal_(parameter, std=std, generator=generator)
        return self

    def forward(
        self,
        ids: Int[Tensor, "B T"],
        segments: Int[Tensor, "B T"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B T V"]:
        """Scores of the next token after each position; see `hidden` for the arguments."""
        return self.head(self.hidden(ids, segments, cache))

    def head(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Scores of every token of the vocabulary; the head is the embedding, and is not ternary."""
        return F.linear(hidden, self.embedding.weight)

    def hidden(
        self,
        ids: Int[Tensor, "B T"],
        segments: Int[Tensor, "B T"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """The normed residual stream after the last block.

        Args:
            ids: (B, T) token ids.
            segments: (B, T) which example of a packed row a token belongs to; tokens see their own only.
            cache: the tokens read before; `ids` goes on from its lengths, which are advanced by T.
        """
        positions, mask = None, None
        cos, sin = self.cos[: ids.shape[1]], self.sin[: ids.shape[1]]
        if cache is not None:
            positions = cache.lengths[:, None] + torch.arange(ids.shape[1])
            cos, sin = self.cos[positions][:, None], self.sin[positions][:, None]
            mask = torch.arange(cache.keys.shape[3])[None, None, None] <= positions[:, None, :, None]
        elif segments is not None:
            causal = torch.ones(ids.shape[1], ids.shape[1], dtype=torch.bool, device=ids.device).tril()
            mask = causal & (segments[:, None, :, None] == segments[:, None, None, :])
        x = self.embedding(ids)
        for layer, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            attended = block.attention(block.attention_norm(x), cos, sin, mask, cache, layer, positions)
            x = x + attended
            x = x + block.feed_forward(block.feed_forward_norm(x))
        if cache is not None:
            cache.lengths = cache.lengths + ids.shape[1]
        normed: Tensor = self.norm(x)
        return normed

    def freeze(self) -> "Transformer":
        """Quantise every ternary matrix once: for inference."""
        for module in self.modules():
            if isinstance(module, BitLinear):
                module.freeze()
        return self.eval()
