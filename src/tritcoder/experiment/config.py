"""One experiment: everything that `tritcoder run` reads from a TOML file."""

import math
from dataclasses import dataclass, field, replace
from pathlib import Path

from tritcoder.baselines.limits import DEFAULT_LIMITS, ServiceLimits
from tritcoder.data.config import CorpusConfig, ProblemsConfig
from tritcoder.errors import ConfigError
from tritcoder.records import Sampling
from tritcoder.sandbox.limits import Limits
from tritcoder.ternary.shape import ModelConfig
from tritcoder.tokenizer.bpe import MIN_VOCAB_SIZE
from tritcoder.train.config import TrainConfig

ARMS = ("ternary", "twin")
"""The model, and the same code with full-precision weights: same shape, same tokens, same order."""


@dataclass(frozen=True, slots=True)
class TokenizerConfig:
    """How the tokenizer is trained."""

    vocab_size: int = 16384
    """Tokens, special ones included; fewer when the text does not give so many merges."""
    train_bytes: int = 40_000_000
    """It learns from about so many bytes of the training text."""

    def __post_init__(self) -> None:
        """Refuse a vocabulary that cannot hold every byte."""
        if self.vocab_size < MIN_VOCAB_SIZE or self.train_bytes < 1:
            raise ConfigError(f"vocab_size must be at least {MIN_VOCAB_SIZE}, train_bytes at least 1")


@dataclass(frozen=True, slots=True)
class TwinConfig:
    """The full-precision twin."""

    enabled: bool = True
    """Whether it is trained and measured too."""
    lr_scale: float = 1.0
    """Its learning rates, as multiples of the ternary model's: full precision wants lower ones."""

    def __post_init__(self) -> None:
        """Refuse a scale that trains nothing."""
        if not 0 < self.lr_scale < math.inf:
            raise ConfigError(f"lr_scale must be above 0 and finite, found {self.lr_scale}")


@dataclass(frozen=True, slots=True)
class EvaluateConfig:
    """How answers are drawn and measured."""

    samples: int = 1
    """Answers for each problem."""
    sampling: Sampling = field(default_factory=lambda: Sampling(max_tokens=256))
    """How tokens are chosen."""
    batch_size: int = 32
    """Answers written at once."""
    limits: Limits = field(default_factory=Limits)
    """What a program may use on one test."""
    workers: int = 0
    """Jails at once; 0: one for each core."""
    exclude: str = ""
    """An exclusion list, as `tritcoder evaluate BENCHMARK --gold` writes it: its problems count in no score."""
    services: ServiceLimits = DEFAULT_LIMITS
    """What rivals behind an API may use: requests and tokens a minute, money, thoughts."""
    held_out_tokens: int = 65536
    """Held-out bits per byte are measured on so many tokens."""
    held_out_problems: float = 0.05
    """Share of the training problems that fine-tuning never sees, to watch its loss on."""
    baselines: tuple[str, ...] = ("naive:constant", "naive:retrieval")
    """Rivals, by model string."""
    examples: int = 9
    """Problems that the report shows in full."""

    def __post_init__(self) -> None:
        """Refuse settings outside their range."""
        for name in ("samples", "batch_size", "held_out_tokens"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} must be at least 1, found {getattr(self, name)}")
        for name in ("workers", "examples"):
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} must be 0 or more, found {getattr(self, name)}")
        if not 0 <= self.held_out_problems < 1:
            raise ConfigError(f"held_out_problems must be 0 or more and below 1, found {self.held_out_problems}")
        names = [*ARMS, *self.baselines]
        for name in self.baselines:
            if names.count(name) > 1:
                raise ConfigError(f"baselines must name each rival once, and no model of the run; found {name!r}")


@dataclass(frozen=True, slots=True)
class ExperimentConfig:
    """A run from corpus to report."""

    name: str
    """The run directory is `runs/<name>`."""
    title: str = ""
    """One line for the report."""
    notes: tuple[str, ...] = ()
    """What a reader of the report must know, in plain words."""
    corpus: CorpusConfig = field(default_factory=CorpusConfig)
    """The code to learn from."""
    tokenizer: TokenizerConfig = field(default_factory=TokenizerConfig)
    """How text becomes tokens."""
    problems: ProblemsConfig = field(default_factory=ProblemsConfig)
    """The problems to learn from and to be measured on."""
    model: ModelConfig = field(default_factory=ModelConfig)
    """The shape; `vocab_size` is set by the tokenizer, `quantization` by the arm."""
    twin: TwinConfig = field(default_factory=TwinConfig)
    """The full-precision twin."""
    pretrain: TrainConfig = field(default_factory=TrainConfig)
    """Learning to write code."""
    finetune: TrainConfig = field(default_factory=lambda: TrainConfig(steps=200, matrix_lr=5e-3, lr=1e-3))
    """Learning to answer problems."""
    evaluate: EvaluateConfig = field(default_factory=EvaluateConfig)
    """How the answers are measured."""

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together."""
        if self.name in ("", "..") or Path(self.name).name != self.name:
            raise ConfigError(f"name must be a plain folder name, found {self.name!r}")
        for part in ("pretrain", "finetune"):
            length = getattr(self, part).seq_len
            if length > self.model.max_seq_len:
                raise ConfigError(
                    f"{part}.seq_len ({length}) is above model.max_seq_len ({self.model.max_seq_len})",
                    "raise model.max_seq_len",
                )

    @property
    def arms(self) -> tuple[str, ...]:
        """The models that are trained."""
        return ARMS if self.twin.enabled else ARMS[:1]

    def training(self, arm: str, part: str) -> TrainConfig:
        """How one arm is pre-trained or fine-tuned."""
        config: TrainConfig = getattr(self, part)
        if arm == "ternary":
            return config
        scale = self.twin.lr_scale
        return replace(config, lr=config.lr * scale, matrix_lr=config.matrix_lr * scale)
