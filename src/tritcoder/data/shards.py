"""A corpus as token ids on disk, read in an order that depends on the seed and the step alone.

    tokens/
        index.json          dtype, vocabulary, shards with their lengths and digests
        00000.bin ...       ids, little-endian uint16 (uint32 above 65,536 tokens); each document ends with the end id

A batch is a function of (seed, step): nothing has to be remembered to resume, whatever the number of ranks.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from tritcoder.data.batch import Batch
from tritcoder.errors import DatasetError, EmptyCorpusError
from tritcoder.provenance import whole_file, write_json
from tritcoder.tokenizer.bpe import Tokenizer, text_bytes

SHARD_TOKENS = 2**27
_BATCH_TEXTS = 256
_ID_DTYPES: dict[str, np.dtype[Any]] = {"<u2": np.dtype("<u2"), "<u4": np.dtype("<u4")}


def write_shards(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    directory: Path,
    *,
    shard_tokens: int = SHARD_TOKENS,
    on_bytes: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Tokenise texts into shards and return the index.

    Args:
        texts: documents; each is followed by the end-of-text id.
        tokenizer: its vocabulary decides the width of an id.
        directory: receives the shards and `index.json`, which is written last.
        shard_tokens: a file is closed after the document with which it reaches this many ids.
        on_bytes: called with the number of bytes done since the last call.

    Raises:
        EmptyCorpusError: there are no documents.
        StorageError: the disk is full.
    """
    dtype = np.dtype("<u2" if tokenizer.vocab_size <= 2**16 else "<u4")
    shards: list[dict[str, Any]] = []
    totals = {"documents": 0, "bytes": 0}
    chunks = _tokenised(texts, tokenizer, dtype, totals, on_bytes)
    for place, shard in enumerate(_grouped(chunks, shard_tokens)):
        path = directory / f"{place:05}.bin"
        with whole_file(path, "wb") as file:
            shard.tofile(file)
        shards.append(
            {"file": path.name, "tokens": shard.size, "sha256": hashlib.sha256(shard.tobytes()).hexdigest()}
        )
    if not shards:
        raise EmptyCorpusError("there are no documents to tokenise", "widen the corpus in the configuration")
    tokens = sum(shard["tokens"] for shard in shards)
    index = {
        "dtype": dtype.str,
        "vocab_size": tokenizer.vocab_size,
        "tokens": tokens,
        **totals,
        "shards": shards,
    }
    write_json(directory / "index.json", index)
    return index


def _tokenised(
    texts: Iterable[str],
    tokenizer: Tokenizer,
    dtype: np.dtype[Any],
    totals: dict[str, int],
    on_bytes: Callable[[int], None] | None,
) -> Iterator[np.ndarray[Any, Any]]:
    stream = iter(texts)
    while batch := list(islice(stream, _BATCH_TEXTS)):
        n_bytes = sum(len(text_bytes(text)) for text in batch)
        for ids in tokenizer.encode_batch(batch):
            yield np.array([*ids, tokenizer.end_id], dtype=dtype)
        totals["documents"] += len(batch)
        totals["bytes"] += n_bytes
        if on_bytes:
            on_bytes(n_bytes)


def _grouped(chunks: Iterable[np.ndarray[Any, Any]], limit: int) -> Iterator[np.ndarray[Any, Any]]:
    """Chunks joined into arrays of at least `limit` ids; a document is never split over two files."""
    held: list[np.ndarray[Any, Any]] = []
    size = 0
    for chunk in chunks:
        held.append(chunk)
        size += chunk.size
        if size >= limit:
            yield np.concatenate(held)
            held, size = [], 0
    if held:
        yield np.concatenate(held)


class TokenShards:
    """The ids of a directory of shards, as one long memory-mapped sequence."""

    def __init__(self, directory: Path) -> None:
        """Open the shards.

        Raises:
            DatasetError: there is no index, or a shard is missing or of another length than the index says.
        """
        self.directory = directory
        try:
            self.index: dict[str, Any] = json.loads((directory / "index.json").read_text(encoding="utf-8"))
            entries = [(directory / entry["file"], int(entry["tokens"])) for entry in self.index["shards"]]
            dtype = _ID_DTYPES[self.index["dtype"]]
            self._vocab_size = int(self.index["vocab_size"])
        except FileNotFoundError:
            raise DatasetError(f"no token shards at {directory}", "tokenise a corpus first: tritcoder run") from None
        except (KeyError, TypeError, ValueError) as error:
            raise DatasetError(f"{directory / 'index.json'} is no index of token shards ({error})") from None
        self._maps = [_map_shard(path, tokens, dtype) for path, tokens in entries]
        self._starts = np.cumsum([0, *(tokens for _, tokens in entries)])

    def __len__(self) -> int:
        return int(self._starts[-1])

    def read(self, start: int, count: int) -> Int64[np.ndarray, "count"]:
        """Ids `start .. start + count`, across shard borders.

        Raises:
            DatasetError: an id is outside the vocabulary that the index names.
        """
        parts = []
        while count > 0:
            place = int(np.searchsorted(self._starts, start, side="right")) - 1
            offset = start - int(self._starts[place])
            part = self._maps[place][offset : offset + count]
            if not part.size:
                raise IndexError(f"the shards end at token {len(self)}")
            if part.max() >= self._vocab_size:
                raise DatasetError(
                    f"{self.directory}: token {part.max()} after place {start} is not below the vocabulary's size, "
                    f"{self._vocab_size}",
                    "the shards are damaged: delete the token directory and tokenise again",
                )
            parts.append(part)
            start, count = start + part.size, count - part.size
        return np.concatenate(parts).astype(np.int64) if parts else np.empty(0, np.int64)


def _map_shard(path: Path, tokens: int, dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    found = path.stat().st_size if path.exists() else -1
    if found != tokens * dtype.itemsize:
        state = "it is missing" if found < 0 else f"found {found} bytes"
        raise DatasetError(
            f"{path} should hold {tokens} tokens in {tokens * dtype.itemsize} bytes; {state}",
            "delete the token directory and tokenise again",
        )
    return np.memmap(path, dtype=dtype, mode="r") if tokens else np.empty(0, dtype)


class TokenWindows:
    """Windows of `seq_len + 1` ids, each epoch in another order and from another offset.

    Window n of the run is window `shuffle(n mod N)` of epoch `n div N`; the shuffle is a keyed permutation that is
    computed, not stored.
    """

    def __init__(self, shards: TokenShards, seq_len: int, seed: int) -> None:
        """Cut the shards into windows.

        Raises:
            EmptyCorpusError: there are fewer ids than one window takes.
        """
        self.shards, self.seq_len, self.seed = shards, seq_len, seed
        self.per_epoch = (len(shards) - 1) // seq_len - 1
        if self.per_epoch < 1:
            needed = 2 * seq_len + 1
            raise EmptyCorpusError(
                f"the corpus holds {len(shards)} tokens, windows of {seq_len} need at least {needed}",
                "use a larger corpus, or a smaller seq_len",
            )

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """The `size` windows that this rank trains on at this step."""
        first = (step * ranks + rank) * size
        rows = np.stack([self._window(first + i) for i in range(size)])
        return Batch(rows[:, :-1], rows[:, 1:])

    def _window(self, number: int) -> Int64[np.ndarray, "T1"]:
        return self.shards.read(self._start(number), self.seq_len + 1)

    def _start(self, number: int) -> int:
        epoch, place = divmod(number, self.per_epoch)
        offset = _mix(self.seed, epoch, 0) % self.seq_len
        return offset + self.seq_len * permute(place, self.per_epoch, (self.seed, epoch))

    def seen(self, windows: int) -> Int64[np.ndarray, "N"]:
        """The distinct text behind the first so many windows, in its own order: what a counting model may count."""
        if windows >= self.per_epoch:
            return self.shards.read(0, len(self.shards))
        places = sorted(self._start(number) for number in range(windows))
        return np.concatenate([self.shards.read(start, self.seq_len) for start in places])

    @cached_property
    def tokens_per_epoch(self) -> int:
        """How many tokens are predicted in one pass."""
        return self.per_epoch * self.seq_len


def permute(place: int, size: int, key: tuple[int, int]) -> int:
    """Where `place` goes in a pseudo-random permutation of range(size) chosen by `key`.

    A four-round Feistel network over the next even power of two, walked until it lands below `size`
    (Black and Rogaway 2002, "Ciphers with arbitrary finite domains").
    """
    half = max(1, (max(size - 1, 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for turn in range(1, 5):
            left, right = right, left ^ (_mix(*key, turn, right) & mask)
        place = (left << half) | right
        if place < size:
            return place


def _mix(*values: int) -> int:
    """A 64-bit hash of small integers: the finaliser of splitmix64 (Steele et al. 2014), chained."""
    state = 0
    for value in values:
        state = (state ^ (value & 0xFFFFFFFFFFFFFFFF)) + 0x9E3779B97F4A7C15 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ (state >> 30)) * 0xBF58476D1CE4E5B9 & 0xFFFFFFFFFFFFFFFF
        state = (state ^ (state >> 27)) * 0x94D049BB133111EB & 0xFFFFFFFFFFFFFFFF
        state ^= state >> 31
    return state
