"""One sequence of a running batch: its tokens, where it stands, how its next token is chosen."""

from collections.abc import Sequence

import numpy as np

from tritcoder.engine.block_tree import Holding
from tritcoder.engine.sampling import Chooser
from tritcoder.engine.speculation import Lookup
from tritcoder.protocols import Constraint
from tritcoder.records import Sampling, TokenScore


class RunningSequence:
    """See protocols.Writing."""

    __slots__ = (
        "_chooser",
        "_constraint",
        "_end_id",
        "_scored",
        "_scores",
        "_taken",
        "ended",
        "holding",
        "ids",
        "limit",
        "lookup",
        "n_read",
    )

    def __init__(
        self,
        ids: Sequence[int],
        limit: int,
        sampling: Sampling,
        random: np.random.Generator,
        *,
        n_tokens: int,
        end_id: int,
        constraint: Constraint | None,
        speculate: bool,
    ) -> None:
        self.ids = list(ids)
        self.limit = limit
        """How long `ids` may become."""
        self.n_read = 0
        """Tokens whose keys and values are written."""
        self.holding = Holding()
        self.ended = False
        self.lookup = Lookup() if speculate else None
        self._chooser = Chooser(sampling, random, n_tokens, self.ids)
        self._constraint, self._end_id = constraint, end_id
        self._taken, self._scored = len(self.ids), sampling.logprobs > 0
        self._scores: list[TokenScore] = []

    def advance(self, logits: np.ndarray) -> int:
        """Choose a token by one row of logits; sets `ended` if it was the last."""
        constraint = self._constraint
        token = self._chooser.choose(logits, None if constraint is None else constraint.allowed())
        if constraint is not None:
            constraint.accept(token)
        if self._scored:
            self._scores.append(self._chooser.score(logits, token))
        self.ids.append(token)
        if token == self._end_id or len(self.ids) >= self.limit:
            self.ended = True
        return token

    def take(self) -> tuple[list[int], list[TokenScore]]:
        """Tokens written since the last call, and their scores if they were asked for."""
        fresh = self.ids[self._taken :]
        n = len(fresh)
        self._taken += n
        scores = self._scores[:n]
        del self._scores[:n]
        return fresh, scores
