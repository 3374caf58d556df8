r'''ODEX (Wang et al. 2023, arXiv:2212.10481): one line or a few of Python for an intent, with tests.

The published prompt, without examples and tests, is

    def f_{task}({arguments}):\n    """{intent}\n    """\n    return

and goes on within its last line, which holds four spaces for a tab, and `return ` where a value is asked. A program
is the prompt (without the intent), the answer, the file's suffix (`return x`, say), and the tests.

Source: zorazrw/odex, prompt.py (`create_fewshot_prompt_nl2code` with no examples and no tests), nl2code_codex.py and
processor.py (stop strings), verify.py (`wrap_check`).
'''

import re
import sys
from pathlib import Path
from typing import Any

from tritcoder.data import fields, jsonl
from tritcoder.errors import DatasetError
from tritcoder.records import Problem, Prompt

ODEX_STOPS = ("###", "\nclass", "\ndef", "\n#", "\nif", "\nprint")

_HINT = (
    "an ODEX row has the fields task_id, prompt, canonical_solution, suffix, test_start, test, entry_point, intent"
)
_IN_THE_JAIL = frozenset({"numpy"})
"""Packages beside the standard library that a program may import in the jail."""
_IMPORTS = re.compile(r"^\s*(?:import|from) +(\w+)", re.MULTILINE)
_WRITES = re.compile(r"""\bopen ?\([^\n]*['"][wa]b?\+?['"]|\bsqlite3\.connect\(|\b(?:makedirs|mkdir)\(""")
_CONNECTS = re.compile(r"\b(?:urlopen|urlretrieve|getaddrinfo|gethostbyname)\b")


def read_odex(path: Path) -> list[Problem]:
    """The tasks of an ODEX file, in its order; ids repeat in it, so that the second one is `ODEX/2600191.2`.

    Tasks are unsuitable that need what the jail does not give: a package (named in `library`, or imported by the
    tests), a file that is written, the network. The last two are told by the calls in tests and reference.

    Raises:
        DatasetError: the file is missing or damaged, or a row lacks a field; names the line.
    """
    rows = [(row, f"{path}, line {number}") for number, row in jsonl.rows(path)]
    names = fields.distinct(f"ODEX/{fields.number(row, 'task_id', where, _HINT)}" for row, where in rows)
    return [_problem(name, row, where) for name, (row, where) in zip(names, rows, strict=True)]


def odex_prompt(problem: Problem, sample: int = 0) -> Prompt:
    """The head of the function, the intent as its docstring, and the beginning of the line to be continued."""
    head, _, begun = problem.starter_code.partition("\n")
    return Prompt(
        text=f'{head}\n    """{problem.question}\n    """\n{begun}',
        kind="code",
        call_based=problem.call_based,
        task_id=problem.problem_id,
        sample=sample,
        stop=ODEX_STOPS,
    )


def _problem(name: str, row: dict[str, Any], where: str) -> Problem:
    tests = fields.lines(row, "test", where, _HINT)
    if not tests:
        raise DatasetError(f"{where}, field test: expected at least one test, found none", _HINT)
    starter = _spaced(fields.text(row, "prompt", where, _HINT))
    suffix = _spaced(fields.text(row, "suffix", where, _HINT, optional=True))
    solution = _spaced(fields.text(row, "canonical_solution", where, _HINT))
    start, entry_point, intent = (
        fields.text(row, field, where, _HINT) for field in ("test_start", "entry_point", "intent")
    )
    program = f"{start.strip()}\n{''.join(tests)}\n\ncheck({entry_point})\n"
    return Problem(
        problem_id=name,
        question=intent,
        solutions=(f"{starter}{solution}{suffix}",),
        fn_name=entry_point,
        url=f"https://stackoverflow.com/questions/{row['task_id']}",
        starter_code=starter,
        check=f"{_closing(suffix)}{program}",
        unsuitable=_lacking([*fields.lines(row, "library", where, _HINT), *_IMPORTS.findall(start)])
        or _forbidden(program + solution),
    )


def _spaced(code: str) -> str:
    """The code with four spaces for every tab, as the authors run it."""
    return code.replace("\t", " " * 4)


def _closing(suffix: str) -> str:
    """The end of the function; a comment before it, so that its indentation does not begin a text."""
    return f"# the function ends with:\n{suffix.strip(chr(10))}\n\n" if suffix.strip() else ""


def _forbidden(code: str) -> str:
    if _WRITES.search(code):
        return "it writes files, which the jail does not let it"
    return "it needs the network, which the jail does not have" if _CONNECTS.search(code) else ""


def _lacking(libraries: list[str]) -> str:
    foreign = sorted({name.partition(".")[0] for name in libraries} - _IN_THE_JAIL - sys.stdlib_module_names)
    if not foreign:
        return ""
    verb = "is" if len(foreign) == 1 else "are"
    return f"it needs {' and '.join(foreign)}, which {verb} not in the jail"
