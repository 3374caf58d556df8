import json
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.mbpp import read_mbpp
from tritcoder.errors import DatasetError

FULL = {
    "task_id": 11,
    "text": "Write a function to add one.",
    "code": "import os\r\ndef help(n):\r\n    return n + 1\r\ndef add_one(n):\r\n    return help(n)",
    "test_list": ["assert abs(add_one(START)) == 2", "assert add_one(2) == 3"],
    "test_setup_code": "START = 1",
    "challenge_test_list": ["assert add_one(-1) == 0"],
}
SANITIZED = {
    "task_id": 511,
    "prompt": "Write a function to find the root.",
    "code": "import math\ndef root(n):\n    return math.sqrt(n)",
    "test_list": ["assert math.isclose(root(9), 3)"],
    "test_imports": ["import math"],
}
PLUS = {**SANITIZED, "task_id": "Mbpp/601", "test": "for n in range(9):\n    assert root(n * n) == n\n"}


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_every_form_has_a_check_that_tells_right_from_wrong(tmp_path: Path) -> None:
    problems = read_mbpp(_write(tmp_path / "a.jsonl", FULL, SANITIZED, PLUS))
    assert [problem.problem_id for problem in problems] == ["MBPP/11", "MBPP/511", "MBPP/601"]
    assert [problem.fn_name for problem in problems] == ["add_one", "root", "root"]
    for problem in problems:
        exec(f"{problem.solutions[0]}\n{problem.check}", {})
        with pytest.raises(AssertionError):
            exec(f"def {problem.fn_name}(n):\n    return 77\n{problem.check}", {})
    assert "range(9)" in problems[2].check
    assert "add_one(-1)" not in problems[0].check


def test_the_question_shows_the_tests(tmp_path: Path) -> None:
    (problem,) = read_mbpp(_write(tmp_path / "a.jsonl", FULL))
    assert problem.question == (
        "Write a function to add one.\nYour code should pass these tests:\n"
        "assert abs(add_one(START)) == 2\nassert add_one(2) == 3"
    )


def test_the_published_splits_are_told_by_number(tmp_path: Path) -> None:
    path = _write(
        tmp_path / "a.jsonl", *({**FULL, "task_id": number} for number in (1, 10, 11, 510, 511, 600, 601, 974))
    )
    ids = {
        split: [problem.problem_id for problem in read_mbpp(path, split)]
        for split in ("prompt", "test", "validation", "train")
    }
    assert ids == {
        "prompt": ["MBPP/1", "MBPP/10"],
        "test": ["MBPP/11", "MBPP/510"],
        "validation": ["MBPP/511", "MBPP/600"],
        "train": ["MBPP/601", "MBPP/974"],
    }


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"task_id": "one"}, "task_id"),
        ({"task_id": None}, "task_id"),
        ({"task_id": True}, "task_id"),
        ({"text": ""}, "text"),
        ({"code": None}, "code"),
        ({"test_list": []}, "test_list"),
        ({"test_list": "assert True"}, "test_list"),
        ({"test_list": [1]}, "test_list"),
        ({"test_setup_code": 3}, "test_setup_code"),
        ({"test_imports": "import math"}, "test_imports"),
        ({"test": ["a"]}, "test"),
    ],
)
def test_a_broken_field_is_named(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = _write(tmp_path / "a.jsonl", FULL, {**FULL, "task_id": 12, **changes})
    with pytest.raises(DatasetError, match=f"line 2, field {field}:"):
        read_mbpp(path)


def test_code_that_does_not_parse_names_no_function(tmp_path: Path) -> None:
    (problem,) = read_mbpp(_write(tmp_path / "a.jsonl", {**FULL, "code": "def ("}))
    assert problem.fn_name is None
