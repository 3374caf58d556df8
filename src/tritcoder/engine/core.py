"""One way to open a core: the compiled one where it is built, else numpy."""

import warnings
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from tritcoder.engine.reference import ReferenceCore
from tritcoder.engine.settings import asked_kernel
from tritcoder.ternary.shape import ModelConfig
from tritcoder.ternary.weights import ModelWeights


class Pool(Protocol):
    """Memory for keys and values, in blocks."""

    @property
    def n_blocks(self) -> int:
        """How many blocks there are."""
        ...

    def copy(self, source: int, target: int) -> None:
        """Copy a whole block."""
        ...


class Core(Protocol):
    """See docs/engine.md, "The engine's core"."""

    shape: ModelConfig

    @property
    def kernel(self) -> str:
        """What computes."""
        ...

    @property
    def threads(self) -> int:
        """How many of them, the caller's included."""
        ...

    @property
    def forward(self) -> Callable[..., None]:
        """Read runs of tokens."""
        ...

    def new_pool(self, n_blocks: int, kv_dtype: Any = "float16") -> Any:
        """Memory for keys and values."""
        ...


class SlowCoreWarning(UserWarning):
    """The compiled core is not there."""


def is_compiled() -> bool:
    """Whether the compiled core is there."""
    try:
        import tritcoder.engine.native  # noqa: F401
    except ImportError:
        return False
    return True


def open_core(weights: ModelWeights, threads: int | None = None, kernel: str | None = None) -> Core:
    """Make a model's weights ready to run.

    Args:
        weights: what a file holds.
        threads: by default one for each core; numpy knows one only.
        kernel: `numpy`, or one that the compiled core knows; by default what TRITCODER_KERNEL says, or the best.
    """
    if asked_kernel(kernel) == "numpy":
        return ReferenceCore(weights)
    try:
        from tritcoder.engine.native import NativeCore
    except ImportError:
        _warn_of_numpy()
        return ReferenceCore(weights)
    core: Core = NativeCore(weights, threads, kernel)
    return core


@cache
def _warn_of_numpy() -> None:
    warnings.warn(
        "tritcoder's compiled core is not built, numpy does its work: some hundred times slower "
        "(install with a C++ compiler at hand: pip install --force-reinstall tritcoder)",
        SlowCoreWarning,
        stacklevel=3,
    )
