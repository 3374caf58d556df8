"""How a model is trained: pre-training and fine-tuning are two of these."""

import math
from dataclasses import dataclass
from typing import Literal

from tritcoder.errors import ConfigError


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """One training."""

    steps: int = 1000
    """Optimiser steps."""
    seq_len: int = 512
    """Tokens of a row."""
    batch_size: int = 4
    """Rows of a forward pass."""
    accumulate: int = 1
    """Forward passes of a step: a step sees batch_size * accumulate * seq_len tokens."""
    optimizer: Literal["muon", "adamw"] = "muon"
    """muon: Muon for the matrices of the blocks, AdamW for embedding and norms. adamw: AdamW for all."""
    matrix_lr: float = 0.02
    """Peak learning rate of the blocks' matrices under Muon."""
    lr: float = 3e-3
    """Peak learning rate of everything that AdamW moves."""
    schedule: Literal["wsd", "two_stage"] = "wsd"
    """wsd: warm up, stay, decay linearly to final_lr. two_stage: linear decay, with a drop at half (BitNet)."""
    warmup: float = 0.02
    """Share of the steps in which the rate rises from 0."""
    decay: float = 0.45
    """wsd: share of the steps, at the end, in which the rate falls."""
    second_stage: float = 0.667
    """two_stage: where the second half starts, as a share of the peak."""
    final_lr: float = 0.02
    """Where the rate ends, as a share of the peak."""
    weight_decay: float = 0.0
    """Decoupled decay in the first half of the steps; always 0 in the second (BitNet's two stages)."""
    clip: float = 1.0
    """Longest gradient, over all parameters."""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    """bfloat16 runs matrix products in bf16 over float32 weights; auto: where the processor has bf16 units."""
    compile: Literal["auto", "on", "off"] = "auto"
    """torch.compile; auto: for long runs, where a C++ compiler is found."""
    evaluate_every: int = 0
    """Steps between evaluations on held-out data; 0: at the end only."""
    checkpoint_every: int = 200
    """Steps between checkpoints."""
    keep_checkpoints: int = 2
    """How many checkpoints stay on disk."""
    seed: int = 0
    """Decides the first weights and the order of the data."""

    def __post_init__(self) -> None:
        """Refuse settings outside their range, naming each."""
        for name in ("steps", "seq_len", "batch_size", "accumulate", "checkpoint_every", "keep_checkpoints"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in ("evaluate_every", "seed"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more, found {getattr(self, name)}")
        for name in ("matrix_lr", "lr", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ConfigError(f"{name} must be above 0 and finite, found {getattr(self, name)}")
        for name in ("warmup", "decay", "second_stage", "final_lr", "weight_decay"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} must lie between 0 and 1, found {getattr(self, name)}")

    @property
    def tokens_per_step(self) -> int:
        """Tokens that one optimiser step sees."""
        return self.seq_len * self.batch_size * self.accumulate

    @property
    def tokens(self) -> int:
        """Tokens that the whole training sees."""
        return self.steps * self.tokens_per_step
