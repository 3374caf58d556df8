import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.errors import DatasetError
from tritcoder.evaluate.samples import read_samples, sample_from_json, sample_to_json, write_samples
from tritcoder.records import Completion

COMPLETIONS = st.builds(
    Completion,
    task_id=st.text(max_size=4),
    sample=st.integers(0, 9),
    text=st.text(max_size=20),
    finish_reason=st.sampled_from(["stop", "length", "cancelled", "error"]),
    n_prompt_tokens=st.integers(0, 10**6),
    n_tokens=st.integers(0, 10**6),
    first_token_s=st.floats(0, 1e6),
    seconds=st.floats(0, 1e6),
    model=st.text(max_size=4),
    error=st.text(max_size=4),
)


@given(COMPLETIONS)
def test_a_completion_survives_json(completion: Completion) -> None:
    assert sample_from_json(json.loads(json.dumps(sample_to_json(completion)))) == completion


def test_what_is_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "samples" / "model.jsonl"
    given = [
        Completion("a", 0, "print(1)\n", "stop", n_tokens=3, seconds=0.5, model="m"),
        Completion("a", 1, "é\u2028🙂\r\n", "length"),
        Completion("b", 0, "", "error", error="refused"),
    ]
    write_samples(path, given)
    assert read_samples(path) == given
    assert json.loads(path.read_text().split("\n")[0]).keys() >= {"task_id", "sample", "completion", "seconds"}


def test_half_a_surrogate_pair_can_be_written(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    write_samples(path, [Completion("a", 0, "x\ud800y", "stop")])
    assert read_samples(path)[0].text == "x?y"


def test_samples_of_other_tools_are_numbered_by_order(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    rows = [("HumanEval/0", "a"), (7, "b"), ("HumanEval/0", "c"), (7, "d")]
    lines = [json.dumps({"task_id": name, "completion": text, "extra": [1]}) for name, text in rows]
    path.write_text("\n".join([*lines[:2], "", *lines[2:]]))  # a blank line, and no newline at the end
    found = [(row.task_id, row.sample, row.text, row.finish_reason) for row in read_samples(path)]
    assert found == [
        ("HumanEval/0", 0, "a", "stop"),
        ("7", 0, "b", "stop"),
        ("HumanEval/0", 1, "c", "stop"),
        ("7", 1, "d", "stop"),
    ]


GOOD = {"task_id": "a", "completion": "x"}
BROKEN = {
    "not JSON": ("nonsense", "JSON"),
    "cut": ('{"task_id": "a", "comp', "JSON"),
    "not UTF-8": (b"\xff\xfe", "JSON"),
    "too deep": ("[" * 100_000, "JSON"),
    "no object": ("[1]", "object"),
    "no task": (json.dumps({"completion": "x"}), "task_id"),
    "task a list": (json.dumps({**GOOD, "task_id": []}), "task_id"),
    "task a truth": (json.dumps({**GOOD, "task_id": True}), "task_id"),
    "no completion": (json.dumps({"task_id": "a"}), "completion"),
    "completion null": (json.dumps({**GOOD, "completion": None}), "completion"),
    "completion a list": (json.dumps({**GOOD, "completion": ["x" * 200]}), "completion"),
    "sample text": (json.dumps({**GOOD, "sample": "0"}), "sample"),
    "sample negative": (json.dumps({**GOOD, "sample": -1}), "sample"),
    "sample a truth": (json.dumps({**GOOD, "sample": True}), "sample"),
    "unknown reason": (json.dumps({**GOOD, "finish_reason": "bored"}), "finish_reason"),
    "reason a list": (json.dumps({**GOOD, "finish_reason": [1]}), "finish_reason"),
    "seconds NaN": ('{"task_id": "a", "completion": "x", "seconds": NaN}', "seconds"),
    "seconds text": (json.dumps({**GOOD, "seconds": "1"}), "seconds"),
    "tokens a fraction": (json.dumps({**GOOD, "n_tokens": 1.5}), "n_tokens"),
    "model a number": (json.dumps({**GOOD, "model": 1}), "model"),
}


@pytest.mark.parametrize(("line", "field"), BROKEN.values(), ids=BROKEN)
def test_a_broken_line_is_named_with_its_field(line: str | bytes, field: str, tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    raw = line if isinstance(line, bytes) else line.encode()
    path.write_bytes(json.dumps(GOOD).encode() + b"\n" + raw + b"\n")
    with pytest.raises(DatasetError) as caught:
        read_samples(path)
    assert "line 2" in caught.value.message
    assert field in caught.value.message
    assert len(caught.value.message) < 400


def test_one_sample_given_twice_is_named(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text("\n".join(json.dumps({**GOOD, "sample": 3}) for _ in range(2)))
    with pytest.raises(DatasetError, match=r"line 2.*twice"):
        read_samples(path)


def test_a_cut_last_line_is_passed_over_only_when_resuming(tmp_path: Path) -> None:
    path = tmp_path / "samples.jsonl"
    path.write_text(json.dumps(GOOD) + '\n{"task_id": "b", "compl')
    assert [row.task_id for row in read_samples(path, resuming=True)] == ["a"]
    with pytest.raises(DatasetError, match="line 2"):
        read_samples(path)
    path.write_text('{"task_id": "b", "compl\n' + json.dumps(GOOD))
    with pytest.raises(DatasetError, match="line 1"):
        read_samples(path, resuming=True)


def test_a_missing_file_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"nowhere\.jsonl"):
        read_samples(tmp_path / "nowhere.jsonl")
