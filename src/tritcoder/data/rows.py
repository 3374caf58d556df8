"""One row of the APPS schema becomes a Problem, or a sentence that says where the row breaks the schema.

The same fields come in two dresses: as JSON values, and as the JSON *strings* in which codeparrot/apps keeps
`solutions` and `input_output` (empty when there are none).
"""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from tritcoder.data import jsonl
from tritcoder.errors import DatasetError
from tritcoder.records import DIFFICULTIES, Difficulty, Problem, TestCase

Split = Literal["train", "test"]
Row = Mapping[str, Any]

EXAMPLES_ONLY = "its tests are the statement's examples only"
"""Said of rows whose field `tests` is `example-only`: they are no part of a full APPS result."""


def problem_of(row: Row, where: str, max_tests: int = 0, max_solutions: int = 0) -> Problem:
    """Read one row.

    Args:
        row: the fields of the APPS schema; those beyond it are ignored.
        where: file and line, for the complaint.
        max_tests: keep the first so many tests; 0: all.
        max_solutions: keep the first so many solutions; 0: all.

    Raises:
        DatasetError: names the place, the field, what was expected and what was found.
    """
    fn_name, tests = _tests(row, where, max_tests)
    problem = Problem(
        problem_id=problem_id_of(row, where),
        question=_question(row, where),
        solutions=_solutions(row, where)[: max_solutions or None],
        tests=tests,
        fn_name=fn_name,
        difficulty=difficulty_of(row, where),
        url=_optional_text(row, "url", where),
        starter_code=_optional_text(row, "starter_code", where),
        unsuitable=EXAMPLES_ONLY if row.get("tests") == "example-only" else "",
    )
    _check_utf8(problem, where)
    return problem


def problem_id_of(row: Row, where: str) -> str:
    """The id as text; numbers and text are both in use."""
    value = row.get("problem_id")
    if isinstance(value, bool) or not isinstance(value, int | str) or not str(value).strip():
        raise _broken(where, "problem_id", "a number or text", value)
    return str(value)


def difficulty_of(row: Row, where: str) -> Difficulty:
    """The difficulty; rows of benchmarks that have none count as introductory."""
    value: Difficulty = row.get("difficulty") or "introductory"
    if value not in DIFFICULTIES:
        raise _broken(where, "difficulty", f"one of {', '.join(DIFFICULTIES)}", value)
    return value


def _question(row: Row, where: str) -> str:
    value = row.get("question")
    if not isinstance(value, str) or not value.strip():
        raise _broken(where, "question", "the statement as text", value)
    return value


def _optional_text(row: Row, name: str, where: str) -> str:
    value = row.get(name)
    if value is not None and not isinstance(value, str):
        raise _broken(where, name, "text", value)
    return value or ""


def _solutions(row: Row, where: str) -> tuple[str, ...]:
    value = _json_value(row, "solutions", where)
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(solution, str) for solution in value):
        raise _broken(where, "solutions", "a list of programs as text", value)
    return tuple(value)


def _tests(row: Row, where: str, max_tests: int) -> tuple[str | None, tuple[TestCase, ...]]:
    value = _json_value(row, "input_output", where)
    if not value and (value is None or isinstance(value, dict)):
        return None, ()
    if not isinstance(value, dict):
        raise _broken(where, "input_output", "an object with inputs and outputs", value)
    inputs, outputs = (_list(value, name, where) for name in ("inputs", "outputs"))
    if len(inputs) != len(outputs):
        expected = f"as many outputs as inputs ({len(inputs)})"
        raise _broken(where, "input_output.outputs", expected, f"{len(outputs)} outputs")
    fn_name = value.get("fn_name") or None
    if fn_name is not None and not isinstance(fn_name, str):
        raise _broken(where, "input_output.fn_name", "a function's name", fn_name)
    pairs = list(zip(inputs, outputs, strict=True))[: max_tests or None]
    make = _standard_test if fn_name is None else _call_test
    return fn_name, tuple(make(given, right, where) for given, right in pairs)


def _list(value: Row, name: str, where: str) -> list[Any]:
    found = value.get(name)
    if not isinstance(found, list):
        raise _broken(where, f"input_output.{name}", "a list", found)
    return found


def _standard_test(given: Any, right: Any, where: str) -> TestCase:
    return TestCase(_lines(given, "inputs", where), _lines(right, "outputs", where))


def _lines(value: Any, name: str, where: str) -> str:
    """Text; a list of lines is joined, as the APPS authors' own checker does."""
    if isinstance(value, list) and all(isinstance(line, str) for line in value):
        return "\n".join(value)
    if not isinstance(value, str):
        raise _broken(where, f"input_output.{name}", "text or a list of lines", value)
    return value


def _call_test(given: Any, right: Any, where: str) -> TestCase:
    if not isinstance(given, list):
        raise _broken(where, "input_output.inputs", "a list of arguments for each call", given)
    return TestCase(given, right)


def _json_value(row: Row, name: str, where: str) -> Any:
    """A field that is a JSON value, or a string that holds one; None when it is absent or empty."""
    value = row.get(name)
    if not isinstance(value, str):
        return value
    if not value.strip():
        return None
    try:
        return jsonl.parse(value)
    except ValueError as error:
        raise _broken(where, name, "JSON in a string", str(error)) from None


def _check_utf8(problem: Problem, where: str) -> None:
    parts = {
        "problem_id": problem.problem_id,
        "question": problem.question,
        "url": problem.url,
        "starter_code": problem.starter_code,
        "solutions": list(problem.solutions),
        "input_output": [[problem.fn_name], *([test.input, test.output] for test in problem.tests)],
    }
    for name, value in parts.items():
        for text in _strings(value):
            if not text.isascii():
                try:
                    text.encode()
                except UnicodeEncodeError as error:
                    found = f"the lone surrogate {text[error.start]!a}"
                    raise _broken(where, name, "text that UTF-8 can hold", found) from None


def _strings(value: Any) -> Iterator[str]:
    """Every string within a JSON value; without recursion, for values may be deep."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if isinstance(one, str):
            yield one
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]


def _broken(where: str, name: str, expected: str, found: Any) -> DatasetError:
    shown = found if isinstance(found, str) else f"{type(found).__name__} {_brief(found)}"
    shown = "nothing" if found is None or found == "" else shown
    return DatasetError(
        f"{where}, field {name}: expected {expected}, found {shown[:120]}",
        "the fields of a problem are described in docs/data.md",
    )


def _brief(value: Any) -> str:
    try:
        return repr(value)[:80]
    except (ValueError, RecursionError):  # an integer of too many digits, a list too deep
        return "that is too large to show"
