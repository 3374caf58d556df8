import json
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.p3 import one_of_each, p3_prompt, read_p3
from tritcoder.errors import DatasetError

ROW = {
    "name": "Indices:0",
    "sat": 'def sat(inds: List[int], string="ab"):\n    return "".join(string[i] for i in inds) == "ba"',
    "ans_type": "List[int]",
    "sol_header": 'def sol(string="ab"):',
    "sol_docstring": '    """Find indices\n    that spell ba."""',
    "sol_bodies": ['    return [string.index(c) for c in "ba"]'],
    "module": "study.py",
}
WHOLE = """def g6(string="ab"):
    return {}
"""


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def _read(path: Path, **changes: object) -> Any:
    return read_p3(_write(path / "a.jsonl", {**ROW, **changes}))[0]


def test_the_prompt_is_the_published_one(tmp_path: Path) -> None:
    prompt = p3_prompt(_read(tmp_path), 2)
    assert prompt.text.startswith(
        'from typing import List\n\ndef f1(s: str):\n    return "Hello " + s == "Hello world"\n\ndef g1():\n'
        '    """Find a string that when concatenated onto \'Hello \' gives \'Hello world\'."""\n'
        '    return "world"\n\nassert f1(g1())\n\ndef f2('
    )
    assert prompt.text.endswith(
        '    return int(int("123456789" + "0"*9) ** 0.5) + 1\n\nassert f5(g5())\n\n'
        'def f6(inds: List[int], string="ab"):\n    return "".join(string[i] for i in inds) == "ba"\n\n'
        'def g6(string="ab"):\n    """Find indices\n    that spell ba."""'
    )
    assert (prompt.kind, prompt.stop, prompt.task_id, prompt.sample) == ("code", ("\nassert",), "Indices:0", 2)


def test_the_shown_puzzles_are_solved(tmp_path: Path) -> None:
    shown, found, _ = p3_prompt(_read(tmp_path)).text.partition("def f6(")
    assert found
    exec(shown, {})


def test_references_pass_and_answers_that_do_not_satisfy_fail(tmp_path: Path) -> None:
    problem = _read(tmp_path)
    exec(f"{problem.preamble}\n\n{problem.solutions[0]}\n\n{problem.check}", {})
    exec(f"{problem.preamble}\n\n{WHOLE.format('[1, 0]')}\n\n{problem.check}", {})
    for wrong in ("[0, 1]", "None", "(1, 0)", "[True, False]", "[1.0, 0.0]"):
        with pytest.raises((AssertionError, TypeError)):
            exec(f"{problem.preamble}\n\n{WHOLE.format(wrong)}\n\n{problem.check}", {})


def test_only_true_itself_satisfies(tmp_path: Path) -> None:
    problem = _read(tmp_path, sat="def sat(n: int):\n    return n", ans_type="int", sol_header="def sol():")
    with pytest.raises(AssertionError):
        exec(f"{problem.preamble}\n\ndef g6():\n    return 1\n\n{problem.check}", {})


def test_an_answer_cannot_change_the_puzzle(tmp_path: Path) -> None:
    problem = _read(tmp_path)
    cheat = f"{WHOLE.format('[0]')}\n\ndef f6(inds):\n    return True\n"
    with pytest.raises(AssertionError):
        exec(f"{problem.preamble}\n\n{cheat}\n\n{problem.check}", {})


def test_types_are_checked_within_lists(tmp_path: Path) -> None:
    sat = "def sat(x: List[List[float]]):\n    return len(x) == 2"
    problem = _read(tmp_path, sat=sat, ans_type="List[List[float]]", sol_header="def sol():")
    exec(f"{problem.preamble}\n\n{'def g6():'}\n    return [[0.5], []]\n\n{problem.check}", {})
    with pytest.raises(AssertionError, match=r"not of the type List\[List\[float\]\]"):
        exec(f"{problem.preamble}\n\n{'def g6():'}\n    return [[0.5], [1]]\n\n{problem.check}", {})


def test_one_instance_of_each_puzzle_is_asked(tmp_path: Path) -> None:
    rows = [{**ROW, "name": name} for name in ("A:0", "B:0", "A:1", "B:10", "C:3")]
    problems = one_of_each(read_p3(_write(tmp_path / "a.jsonl", *rows)))
    assert [problem.problem_id for problem in problems] == ["A:0", "B:0", "C:3"]


def test_a_puzzle_that_nobody_has_solved_says_so(tmp_path: Path) -> None:
    problem = _read(tmp_path, sol_bodies=[])
    assert (problem.solutions, problem.note) == ((), "the data set knows no solution")


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": None}, "name"),
        ({"sat": ""}, "sat"),
        ({"sat": "def puzzle(x): return True"}, "sat"),
        ({"ans_type": "Set[int]"}, "ans_type"),
        ({"ans_type": None}, "ans_type"),
        ({"sol_header": "def answer():"}, "sol_header"),
        ({"sol_docstring": 3}, "sol_docstring"),
        ({"sol_bodies": "return 1"}, "sol_bodies"),
    ],
)
def test_a_broken_field_is_named(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = _write(tmp_path / "a.jsonl", ROW, {**ROW, **changes})
    with pytest.raises(DatasetError, match=f"line 2, field {field}: expected .*, found"):
        read_p3(path)
