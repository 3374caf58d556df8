"""tritcoder: a code-generating language model whose weights are -1, 0 and +1."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tritcoder.coder import TritCoder

__version__ = "0.1.0"
__all__ = ["TritCoder", "__version__"]


def __getattr__(name: str) -> object:
    """Load what is heavy only when it is asked for."""
    if name == "TritCoder":
        from tritcoder.coder import TritCoder

        return TritCoder
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
