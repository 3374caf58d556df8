import json
from pathlib import Path
from typing import Any

import pytest

from tritcoder.data.conala import conala_prompt, read_conala
from tritcoder.errors import DatasetError

ROW = {
    "intent": "How can I send a signal from a python program?",
    "rewritten_intent": "send a signal `signal.SIGUSR1` to the current process ",
    "snippet": "os.kill(os.getpid(), signal.SIGUSR1)",
    "question_id": 15080500,
}


def _write(path: Path, *rows: dict[str, Any]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def test_the_prompt_is_the_published_one(tmp_path: Path) -> None:
    (problem,) = read_conala(_write(tmp_path / "a.jsonl", ROW))
    gap = "                   "
    prompt = conala_prompt(problem, 1)
    assert prompt.text == (
        "Answer the following instructions in one line of Python code:\n\n"
        f"Instruction:\nconvert a list of integers into a single integer{gap}\n"
        f"Solution:\nr = int(''.join(map(str, x))){gap}\n"
        f"Instruction:\nhow to convert a datetime string back to datetime object?{gap}\n"
        f"Solution:\ndatetime.datetime.strptime(str, '%m/%d/%Y'){gap}\n"
        f"Instruction:\nsend a signal `signal.SIGUSR1` to the current process{gap}\n"
        "Solution:\n"
    )
    assert (prompt.kind, prompt.stop, prompt.task_id, prompt.sample) == ("message", ("\n",), "CoNaLa/15080500", 1)


def test_the_snippet_is_the_reference_and_nothing_is_run(tmp_path: Path) -> None:
    rows = [ROW, {**ROW, "rewritten_intent": None}]
    problems = read_conala(_write(tmp_path / "a.jsonl", *rows))
    assert [problem.problem_id for problem in problems] == ["CoNaLa/15080500", "CoNaLa/15080500.2"]
    assert [problem.question for problem in problems] == [
        "send a signal `signal.SIGUSR1` to the current process",
        "How can I send a signal from a python program?",
    ]
    assert [problem.solutions for problem in problems] == [(ROW["snippet"],)] * 2
    assert not any(problem.tests or problem.check for problem in problems)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"intent": ""}, "intent"),
        ({"rewritten_intent": 3}, "rewritten_intent"),
        ({"snippet": None}, "snippet"),
        ({"question_id": "one"}, "question_id"),
    ],
)
def test_a_broken_field_is_named(tmp_path: Path, changes: dict[str, Any], field: str) -> None:
    path = _write(tmp_path / "a.jsonl", ROW, {**ROW, **changes})
    with pytest.raises(DatasetError, match=f"line 2, field {field}: expected .*, found"):
        read_conala(path)
