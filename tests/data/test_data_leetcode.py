import json
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.leetcode import leetcode_prompt, read_leetcode
from tritcoder.errors import DatasetError

ROW = {
    "task_id": "two-sum",
    "question": "You are an expert Python programmer.\n\n### Question:\nAdd.\n\n### Answer: (use the format)\n\n",
    "preamble": "import math\nfrom typing import *\nfrom math import *\n",
    "solution": "class Solution:\n    def add(self, n: List[int]) -> int:\n        return sum(n)\n",
    "entry_point": "Solution().add",
    "test": "def check(candidate):\n    assert candidate(n = [1, 2]) == 3\n    assert candidate(n = []) == 0\n",
    "difficulty": "Easy",
}


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_reference_passes_the_check_and_a_wrong_answer_does_not(tmp_path: Path) -> None:
    (problem,) = read_leetcode(_write(tmp_path / "a.jsonl", ROW))
    assert (problem.problem_id, problem.fn_name, problem.note) == ("two-sum", "add", "")
    exec(f"{problem.preamble}\n{problem.solutions[0]}\n{problem.check}", {})
    with pytest.raises(AssertionError):
        exec(f"{problem.preamble}\nclass Solution:\n    def add(self, n):\n        return 3\n{problem.check}", {})


def test_the_prompt_is_the_files_own_message(tmp_path: Path) -> None:
    (problem,) = read_leetcode(_write(tmp_path / "a.jsonl", ROW))
    prompt = leetcode_prompt(problem, 4)
    assert prompt.text == ROW["question"]
    assert (prompt.kind, prompt.stop, prompt.task_id, prompt.sample) == ("message", (), "two-sum", 4)


def test_the_sites_difficulties_become_the_three(tmp_path: Path) -> None:
    rows = [{**ROW, "difficulty": level} for level in ("Easy", "Medium", "Hard")]
    found = [problem.difficulty for problem in read_leetcode(_write(tmp_path / "a.jsonl", *rows))]
    assert found == ["introductory", "interview", "competition"]


def test_imports_that_the_jail_may_lack_are_passed_over_and_told(tmp_path: Path) -> None:
    preamble = f"import no_such_package\nfrom no_such_one import Sorted\n{ROW['preamble']}"
    (problem,) = read_leetcode(_write(tmp_path / "a.jsonl", {**ROW, "preamble": preamble}))
    exec(f"{problem.preamble}\n{problem.solutions[0]}\n{problem.check}", {})
    assert problem.note == "its authors offer no_such_one and no_such_package, which the jail does not have"


@pytest.mark.parametrize("name", list(ROW))
@pytest.mark.parametrize("value", [None, " ", 3, "Simple"])
def test_a_broken_field_is_named(tmp_path: Path, name: str, value: object) -> None:
    if value == "Simple" and name != "difficulty":
        return
    path = _write(tmp_path / "a.jsonl", ROW, {**ROW, name: value})
    with pytest.raises(DatasetError, match=f"line 2, field {name}: expected .*, found"):
        read_leetcode(path)
