import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.data import jsonl
from tritcoder.errors import DatasetError

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz"])
@given(rows=st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=3), max_size=4))
def test_rows_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, name: str, rows: list[dict[str, Any]]
) -> None:
    path = tmp_path_factory.mktemp("rows") / name
    data = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    assert [row for _, row in jsonl.rows(path)] == rows


def test_blank_lines_are_skipped_and_still_counted(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"a": 1}\n\n  \n{"a": 2}\n', encoding="utf-8")
    assert list(jsonl.rows(path)) == [(1, {"a": 1}), (4, {"a": 2})]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b"{", "line 2"),
        (b"[1]", "found list"),
        (b"null", "found NoneType"),
        (b'{"a": "\xff"}', "UTF-8"),
        (b'{"a": ' + b"[" * 100_000, "nested too deeply"),
        (b'{"a": ' + b"1" * 1_000_001 + b"}", "1000001 digits"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: bytes, found: str) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b"\n")
    with pytest.raises(DatasetError) as caught:
        list(jsonl.rows(path))
    assert str(path) in caught.value.message
    assert "line 2" in caught.value.message
    assert found in caught.value.message


@pytest.mark.parametrize("damage", [lambda data: data[:-12], lambda data: b"{}" + data, lambda data: data[:20]])
def test_damaged_gzip_data_is_a_sentence(tmp_path: Path, damage: Any) -> None:
    path = tmp_path / "a.jsonl.gz"
    path.write_bytes(damage(gzip.compress(b'{"a": 1}\n' * 50)))
    with pytest.raises(DatasetError, match=r"gzip data is damaged"):
        list(jsonl.rows(path))


def test_a_missing_file_and_a_folder_are_sentences(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="there is no data file"):
        list(jsonl.rows(tmp_path / "none.jsonl"))
    with pytest.raises(DatasetError, match="cannot be read"):
        list(jsonl.rows(tmp_path))


@pytest.mark.parametrize("n_digits", [4300, 4301, 8001, 30_000])
@pytest.mark.parametrize("sign", ["", "-"])
def test_long_integers_are_read_without_touching_the_limit(n_digits: int, sign: str) -> None:
    before = sys.get_int_max_str_digits()
    digits = ("1234567890" * (n_digits // 10 + 1))[:n_digits]
    value = jsonl.parse(f'{{"a": [{sign}{digits}, 7]}}')
    assert sys.get_int_max_str_digits() == before
    remaining, modulus = value["a"][0] * (-1 if sign else 1), 10**9
    assert value["a"][1] == 7
    for end in range(n_digits, 0, -9):  # compare nine digits at a time, from the right
        chunk = digits[max(0, end - 9) : end]
        remaining, found = divmod(remaining, modulus)
        assert found == int(chunk)
    assert remaining == 0
