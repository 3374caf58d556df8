"""Which problems a limit takes: each difficulty with its share, in the order of a hash of seed and id."""

import hashlib
from collections.abc import Iterable, Sequence

from tritcoder.records import DIFFICULTIES, Difficulty


def sample(problems: Iterable[tuple[str, Difficulty]], limit: int, seed: int) -> set[str]:
    """The ids of `limit` problems, chosen by (seed, id) alone; of all where there are no more.

    Args:
        problems: id and difficulty of each.
        limit: how many to take, each difficulty in proportion to its size, by largest remainder.
        seed: decides the order.
    """
    strata: dict[str, list[str]] = {name: [] for name in DIFFICULTIES}
    for problem_id, difficulty in problems:
        strata[difficulty].append(problem_id)
    shares = _shares([len(ids) for ids in strata.values()], limit)
    chosen: set[str] = set()
    for ids, share in zip(strata.values(), shares, strict=True):
        chosen.update(sorted(ids, key=lambda name: _place_in_order(seed, name))[:share])
    return chosen


def _shares(sizes: Sequence[int], limit: int) -> list[int]:
    """`limit` dealt out in proportion to the sizes, by largest remainder; never more than there is."""
    total = sum(sizes)
    if limit >= total:
        return list(sizes)
    shares = [limit * size // total for size in sizes]
    remainders = sorted(range(len(sizes)), key=lambda index: (-(limit * sizes[index] % total), index))
    for index in remainders[: limit - sum(shares)]:
        shares[index] += 1
    return shares


def _place_in_order(seed: int, name: str) -> bytes:
    return hashlib.blake2b(f"{seed}\0{name}".encode("utf-8", "replace")).digest()
