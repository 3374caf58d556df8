"""No token is lost or seen twice, and a batch is a function of (seed, step) whatever the files and the ranks."""

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.data.shards import TokenShards, TokenWindows, permute, write_shards
from tritcoder.errors import DatasetError, EmptyCorpusError
from tritcoder.tokenizer.bpe import Tokenizer

ANY_TEXT = st.text(st.characters(codec="utf-8") | st.characters(categories=["Cs"]), max_size=20)
DOCUMENTS = st.lists(ANY_TEXT, min_size=1, max_size=12)
SEQ_LEN = 7


class NumberTokenizer(Tokenizer):
    """`"5 7"` is the ids 5 and 7: every token of a corpus can be told apart."""

    def __init__(self, vocab_size: int) -> None:
        self.vocab_size = vocab_size

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        return [[int(word) for word in text.split()] for text in texts]


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return Tokenizer.train(["for name in names: print(name)\n"] * 3, 280)


def numbered(directory: Path, count: int, shard_tokens: int = 2**27) -> TokenShards:
    """Shards of the ids 1, 2, ... with an end id after every tenth."""
    texts = [" ".join(map(str, range(first, min(first + 10, count)))) for first in range(1, count, 10)]
    write_shards(texts, NumberTokenizer(2**17), directory, shard_tokens=shard_tokens)
    return TokenShards(directory)


@given(texts=DOCUMENTS, shard_tokens=st.integers(1, 60), data=st.data())
def test_shards_hold_every_document_and_its_end(
    tokenizer: Tokenizer,
    tmp_path_factory: pytest.TempPathFactory,
    texts: list[str],
    shard_tokens: int,
    data: st.DataObject,
) -> None:
    directory = tmp_path_factory.mktemp("tokens")
    write_shards(iter(texts), tokenizer, directory, shard_tokens=shard_tokens)
    expected = [i for text in texts for i in (*tokenizer.encode(text), tokenizer.end_id)]
    shards = TokenShards(directory)
    assert shards.read(0, len(shards)).tolist() == expected
    start = data.draw(st.integers(0, len(expected)))
    count = data.draw(st.integers(0, len(expected) - start))
    assert shards.read(start, count).tolist() == expected[start : start + count]


def test_no_document_is_split_over_two_files(tokenizer: Tokenizer, tmp_path: Path) -> None:
    index = write_shards(["for name"] * 20, tokenizer, tmp_path, shard_tokens=9)
    assert len(index["shards"]) > 1
    for shard in index["shards"]:
        assert np.fromfile(tmp_path / shard["file"], "<u2")[-1] == tokenizer.end_id


def test_index_says_what_the_files_hold(tokenizer: Tokenizer, tmp_path: Path) -> None:
    texts = ["print(name)", "", "é\udcff"]
    moved: list[int] = []
    index = write_shards(texts, tokenizer, tmp_path, shard_tokens=4, on_bytes=moved.append)
    assert index == json.loads((tmp_path / "index.json").read_text(encoding="utf-8"))
    assert index["documents"] == 3
    assert index["bytes"] == sum(moved) == len(b"print(name)") + len(b"\xc3\xa9\xff")
    assert index["tokens"] == sum(shard["tokens"] for shard in index["shards"])
    for shard in index["shards"]:
        data = (tmp_path / shard["file"]).read_bytes()
        assert hashlib.sha256(data).hexdigest() == shard["sha256"]
        assert len(data) == 2 * shard["tokens"]


@pytest.mark.parametrize(("vocab_size", "dtype"), [(2**16, "<u2"), (2**16 + 1, "<u4")])
def test_ids_are_as_wide_as_the_vocabulary_needs(tmp_path: Path, vocab_size: int, dtype: str) -> None:
    last = vocab_size - 1
    index = write_shards([f"1 {last}"], NumberTokenizer(vocab_size), tmp_path)
    assert index["dtype"] == dtype
    assert TokenShards(tmp_path).read(0, 3).tolist() == [1, last, 0]


def test_no_documents_are_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    with pytest.raises(EmptyCorpusError, match="no documents"):
        write_shards([], tokenizer, tmp_path)
    assert not (tmp_path / "index.json").exists()


def test_reading_beyond_the_end_is_an_error(tmp_path: Path) -> None:
    shards = numbered(tmp_path, 30)
    with pytest.raises(IndexError):
        shards.read(len(shards) - 1, 2)


def _cut(directory: Path) -> None:
    path = directory / "00000.bin"
    path.write_bytes(path.read_bytes()[:-2])


def _change_index(**changes: Any) -> Callable[[Path], None]:
    def change(directory: Path) -> None:
        path = directory / "index.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | changes))

    return change


DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "shard cut": (_cut, r"00000\.bin should hold .* found \d+ bytes"),
    "shard missing": (lambda directory: (directory / "00000.bin").unlink(), "it is missing"),
    "index missing": (lambda directory: (directory / "index.json").unlink(), "no token shards at"),
    "index cut": (lambda directory: _truncate(directory / "index.json"), "no index of token shards"),
    "index not UTF-8": (lambda directory: _write(directory / "index.json", b"\xff"), "no index of token shards"),
    "index a list": (lambda directory: _write(directory / "index.json", b"[]"), "no index of token shards"),
    "index without shards": (_change_index(shards=None), "no index of token shards"),
    "shard without a name": (_change_index(shards=[{"tokens": 3}]), "no index of token shards"),
    "objects for ids": (_change_index(dtype="O"), "no index of token shards"),
    "floats for ids": (_change_index(dtype="<f4"), "no index of token shards"),
    "negative length": (_change_index(shards=[{"file": "00000.bin", "tokens": -1}]), "should hold -1 tokens"),
}


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-20])


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


@pytest.mark.parametrize(("damage", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_damage_is_named(tmp_path: Path, damage: Callable[[Path], None], message: str) -> None:
    numbered(tmp_path, 30)
    damage(tmp_path)
    with pytest.raises(DatasetError, match=message):
        TokenShards(tmp_path)


def test_an_id_outside_the_vocabulary_is_named(tokenizer: Tokenizer, tmp_path: Path) -> None:
    write_shards(["name in names"], tokenizer, tmp_path)
    path = tmp_path / "00000.bin"
    path.write_bytes(b"\xff\xff" + path.read_bytes()[2:])
    with pytest.raises(DatasetError, match=f"token 65535 .* vocabulary's size, {tokenizer.vocab_size}"):
        TokenShards(tmp_path).read(0, 1)


@pytest.mark.parametrize("key", [(0, 0), (0, 1), (7, 0), (2**63, 2**40)])
def test_permute_is_a_permutation(key: tuple[int, int]) -> None:
    for size in range(1, 201):
        assert sorted(permute(place, size, key) for place in range(size)) == list(range(size))


def test_permutations_differ_by_key() -> None:
    orders = {
        tuple(permute(place, 50, (seed, epoch)) for place in range(50)) for seed in range(4) for epoch in range(4)
    }
    assert len(orders) == 16


@pytest.mark.parametrize("count", [15, 16, 50, 91])
def test_every_token_of_an_epoch_is_predicted_once(tmp_path: Path, count: int) -> None:
    shards = numbered(tmp_path, count)
    windows = TokenWindows(shards, SEQ_LEN, seed=3)
    stream = shards.read(0, len(shards)).tolist()
    for epoch in range(4):
        rows = [windows.batch(epoch * windows.per_epoch + i, 1).targets[0].tolist() for i in range(windows.per_epoch)]
        seen = sorted(rows, key=lambda row: max(row))
        joined = [token for row in seen for token in row]
        assert len(joined) == windows.tokens_per_epoch
        start = next(i for i in range(1, len(stream)) if stream[i : i + len(joined)] == joined)
        assert start <= SEQ_LEN
        assert len(stream) - len(joined) <= 2 * SEQ_LEN


def test_epochs_differ_in_order_and_in_offset(tmp_path: Path) -> None:
    windows = TokenWindows(numbered(tmp_path, 200), SEQ_LEN, seed=0)
    epochs = [windows.batch(epoch, windows.per_epoch).inputs for epoch in range(6)]
    orders = {tuple(rows.argsort(axis=0)[:, 0].tolist()) for rows in epochs}
    starts = {tuple(sorted(rows[:, 0].tolist())) for rows in epochs}
    assert len(orders) == 6
    assert len(starts) > 1


def test_targets_are_the_next_inputs(tmp_path: Path) -> None:
    batch = TokenWindows(numbered(tmp_path, 100), SEQ_LEN, seed=1).batch(5, 4)
    assert batch.inputs.shape == batch.targets.shape == (4, SEQ_LEN)
    assert (batch.inputs[:, 1:] == batch.targets[:, :-1]).all()
    assert batch.segments is None


@pytest.mark.parametrize("ranks", [2, 3])
def test_ranks_together_see_what_one_rank_sees(tmp_path: Path, ranks: int) -> None:
    windows = TokenWindows(numbered(tmp_path, 120), SEQ_LEN, seed=2)
    for step in (0, 1, 4, 9):
        joint = windows.batch(step, 2 * ranks)
        parts = [windows.batch(step, 2, rank, ranks) for rank in range(ranks)]
        assert (np.concatenate([part.inputs for part in parts]) == joint.inputs).all()
        assert (np.concatenate([part.targets for part in parts]) == joint.targets).all()


def test_a_batch_depends_on_seed_and_step_alone(tmp_path: Path) -> None:
    shards = numbered(tmp_path, 150)
    seen = [TokenWindows(shards, SEQ_LEN, seed=4).batch(step, 3).inputs for step in range(20)]
    fresh = TokenWindows(TokenShards(tmp_path), SEQ_LEN, seed=4)
    for step in (19, 3, 11, 3):
        assert (fresh.batch(step, 3).inputs == seen[step]).all()
    other = TokenWindows(shards, SEQ_LEN, seed=5)
    assert any((other.batch(step, 3).inputs != seen[step]).any() for step in range(20))


def test_shard_borders_are_invisible(tmp_path: Path) -> None:
    whole = TokenWindows(numbered(tmp_path / "whole", 150), SEQ_LEN, seed=6)
    pieces = numbered(tmp_path / "pieces", 150, shard_tokens=1)
    assert len(pieces.index["shards"]) == 15
    for step in range(30):
        assert (TokenWindows(pieces, SEQ_LEN, seed=6).batch(step, 2).inputs == whole.batch(step, 2).inputs).all()


def test_a_corpus_smaller_than_two_windows_is_refused(tokenizer: Tokenizer, tmp_path: Path) -> None:
    write_shards(["1 " * (2 * SEQ_LEN)], NumberTokenizer(10), tmp_path / "enough")
    enough = TokenShards(tmp_path / "enough")
    assert len(enough) == 2 * SEQ_LEN + 1
    windows = TokenWindows(enough, SEQ_LEN, seed=0)
    assert all(windows.batch(step, 1).inputs.shape == (1, SEQ_LEN) for step in range(4 * SEQ_LEN))
    write_shards(["1 " * (2 * SEQ_LEN - 1)], NumberTokenizer(10), tmp_path / "short")
    with pytest.raises(EmptyCorpusError, match=f"holds {2 * SEQ_LEN} tokens, windows of {SEQ_LEN} need"):
        TokenWindows(TokenShards(tmp_path / "short"), SEQ_LEN, seed=0)
