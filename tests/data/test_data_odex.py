import json
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.odex import odex_prompt, read_odex
from tritcoder.errors import DatasetError

VALUE = {
    "task_id": 3844801,
    "prompt": "def f_3844801(myList):\n\treturn ",
    "suffix": "",
    "canonical_solution": "all(x == myList[0] for x in myList)",
    "test_start": "\ndef check(candidate):",
    "test": ["\n    assert candidate([1,2]) == False\n", "\n    assert candidate([1,1]) == True\n"],
    "entry_point": "f_3844801",
    "intent": "check if all elements in list `myList` are identical",
    "library": [],
}
STEPS = {
    **VALUE,
    "prompt": "def f_3844801(myList):\n\t",
    "canonical_solution": "for x in myList:\n\t\tsame = x == myList[0]\n\t\tif not same:\n\t\t\tbreak",
    "suffix": "\n\treturn same",
    "test_start": "\nimport math\n\ndef check(candidate):",
}


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_prompt_is_the_published_one(tmp_path: Path) -> None:
    value, steps = read_odex(_write(tmp_path / "a.jsonl", VALUE, STEPS))
    assert odex_prompt(value, 1).text == (
        'def f_3844801(myList):\n    """check if all elements in list `myList` are identical\n    """\n    return '
    )
    assert odex_prompt(steps).text == (
        'def f_3844801(myList):\n    """check if all elements in list `myList` are identical\n    """\n    '
    )
    prompt = odex_prompt(value, 1)
    assert (prompt.kind, prompt.task_id, prompt.sample) == ("code", "ODEX/3844801", 1)
    assert prompt.stop == ("###", "\nclass", "\ndef", "\n#", "\nif", "\nprint")


def test_prompt_reference_and_check_make_a_program(tmp_path: Path) -> None:
    for problem in read_odex(_write(tmp_path / "a.jsonl", VALUE, STEPS)):
        assert problem.solutions[0].startswith(problem.starter_code)
        exec(f"{problem.solutions[0]}\n\n{problem.check}", {})
        with pytest.raises(AssertionError):
            exec(f"def f_3844801(myList):\n    return True\n\n{problem.check}", {})


def test_the_end_of_the_function_comes_from_the_file(tmp_path: Path) -> None:
    (problem,) = read_odex(_write(tmp_path / "a.jsonl", STEPS))
    exec(f"{problem.starter_code}same = len(set(myList)) == 1\n\n{problem.check}", {})


def test_ids_that_repeat_are_numbered(tmp_path: Path) -> None:
    rows = [VALUE, {**VALUE, "task_id": 7}, STEPS]
    ids = [problem.problem_id for problem in read_odex(_write(tmp_path / "a.jsonl", *rows))]
    assert ids == ["ODEX/3844801", "ODEX/7", "ODEX/3844801.2"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"library": ["numpy", "re", "os"]}, ""),
        ({"library": ["pandas"]}, "it needs pandas, which is not in the jail"),
        ({"library": ["scipy.stats", "pandas", "re"]}, "it needs pandas and scipy, which are not in the jail"),
        ({"test_start": "\nimport mock\ndef check(candidate):"}, "it needs mock, which is not in the jail"),
        (
            {"test": ["\n    with open('a.txt', 'w') as file:\n        assert candidate(file)\n"]},
            "it writes files, which the jail does not let it",
        ),
        ({"test": ["\n    with open('a.txt', 'r') as file:\n        assert candidate(file)\n"]}, ""),
        (
            {"canonical_solution": "urllib.request.urlopen('http://example.org')"},
            "it needs the network, which the jail does not have",
        ),
    ],
)
def test_what_the_jail_does_not_give_makes_a_task_unsuitable(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    (problem,) = read_odex(_write(tmp_path / "a.jsonl", {**VALUE, **changes}))
    assert problem.unsuitable == reason


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"task_id": "3844801"}, "task_id"),
        ({"task_id": True}, "task_id"),
        ({"prompt": ""}, "prompt"),
        ({"suffix": 3}, "suffix"),
        ({"canonical_solution": None}, "canonical_solution"),
        ({"test_start": None}, "test_start"),
        ({"test": []}, "test"),
        ({"test": "assert True"}, "test"),
        ({"entry_point": None}, "entry_point"),
        ({"intent": " "}, "intent"),
        ({"library": "pandas"}, "library"),
    ],
)
def test_a_broken_field_is_named(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = _write(tmp_path / "a.jsonl", VALUE, {**VALUE, **changes})
    with pytest.raises(DatasetError, match=f"line 2, field {field}: expected .*, found"):
        read_odex(path)
