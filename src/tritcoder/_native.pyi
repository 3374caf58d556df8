"""The compiled part; see native/bindings.cpp."""

import numpy as np

BLOCK_POSITIONS: int

def kernels() -> list[str]: ...
def sample(logits: np.ndarray, temperature: float, top_k: int, min_p: float, top_p: float, point: float) -> int: ...

class Cache:
    n_blocks: int
    block_bytes: int
    def __init__(self, core: Core, n_blocks: int, type: str) -> None: ...
    def copy(self, source: int, target: int) -> None: ...

class Core:
    kernel: str
    threads: int
    weight_bytes: int
    def __init__(
        self,
        vocab_size: int,
        dim: int,
        n_layers: int,
        n_heads: int,
        n_kv_heads: int,
        head_dim: int,
        hidden_dim: int,
        max_seq_len: int,
        norm_eps: float,
        hidden_act: str,
        ternary: bool,
        threads: int,
        kernel: str,
    ) -> None: ...
    def set_ternary(self, layer: int, name: int, layout: str, data: np.ndarray, scale: float) -> None: ...
    def set_float(self, layer: int, name: int, layout: str, data: np.ndarray) -> None: ...
    def set_norms(
        self,
        layer: int,
        attention: np.ndarray,
        attention_sub: np.ndarray,
        feed_forward: np.ndarray,
        feed_forward_sub: np.ndarray,
    ) -> None: ...
    def set_embedding(self, layout: str, data: np.ndarray) -> None: ...
    def set_norm(self, norm: np.ndarray) -> None: ...
    def set_rope(self, cos: np.ndarray, sin: np.ndarray) -> None: ...
    def forward(
        self,
        cache: Cache,
        tokens: np.ndarray,
        counts: np.ndarray,
        starts: np.ndarray,
        tables: np.ndarray,
        rows: np.ndarray,
        logits: np.ndarray,
    ) -> None: ...
