import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.humaneval import read_humaneval
from tritcoder.errors import DatasetError

PROMPT = """import math


def helper(x):
    '''Not this.'''
    return x


def root(x: float) -> float:
    ''' The square
    root of x.
    '''
"""
ROW = {
    "task_id": "HumanEval/900",
    "prompt": PROMPT,
    "entry_point": "root",
    "canonical_solution": "    return math.sqrt(x)\n",
    "test": "\n\nMETADATA = {}\n\n\ndef check(candidate):\n    assert candidate(9) == 3\n",
}


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz"])
def test_the_reference_passes_the_check_and_a_wrong_answer_does_not(tmp_path: Path, name: str) -> None:
    (problem,) = read_humaneval(_write(tmp_path / name, ROW))
    assert problem.problem_id == "HumanEval/900"
    assert problem.question == "The square\nroot of x."
    assert problem.starter_code == PROMPT
    assert (problem.fn_name, problem.tests, problem.difficulty) == ("root", (), "introductory")
    exec(f"{problem.solutions[0]}\n{problem.check}", {})
    with pytest.raises(AssertionError):
        exec(f"{problem.starter_code}    return x\n\n{problem.check}", {})


def test_a_prompt_without_a_docstring_is_its_own_question(tmp_path: Path) -> None:
    for prompt in ("def root(x):\n", "def root(x):\n    # the root\n    pass\n"):
        (problem,) = read_humaneval(_write(tmp_path / "a.jsonl", {**ROW, "prompt": prompt}))
        assert problem.question == prompt.strip()


@pytest.mark.parametrize("name", list(ROW))
@pytest.mark.parametrize("value", [None, "", 3])
def test_a_broken_field_is_named(tmp_path: Path, name: str, value: object) -> None:
    path = _write(tmp_path / "a.jsonl", ROW, {**ROW, name: value})
    with pytest.raises(DatasetError, match=f"line 2, field {name}"):
        read_humaneval(path)
