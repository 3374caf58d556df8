"""What a training step reads, wherever it comes from.

Axes: B rows, T tokens.
"""

from typing import NamedTuple, Protocol

import numpy as np
from jaxtyping import Int64

IGNORED = -100
"""The target of a position that no loss falls on; torch's own convention."""


class Batch(NamedTuple):
    """Token ids, the ids that follow them, and who may see whom."""

    inputs: Int64[np.ndarray, "B T"]
    targets: Int64[np.ndarray, "B T"]
    """The next token; IGNORED within prompts and padding."""
    segments: Int64[np.ndarray, "B T"] | None = None
    """Which example of its row a token belongs to: 1, 2, ...; 0 for padding. None: one document stream."""


class BatchSource(Protocol):
    """Batches as a function of the step: nothing has to be remembered to resume."""

    seq_len: int

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The `size` rows that this rank trains on at this step."""
        ...
