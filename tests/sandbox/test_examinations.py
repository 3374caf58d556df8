"""A program and the code that checks it, in two processes: what passes, and what no program can feign."""

# ruff: noqa: E501  a table reads best with one program a line

import time

import pytest

from tritcoder.sandbox.execution import Ended
from tritcoder.sandbox.jail import Jail
from tritcoder.sandbox.limits import MIB, Limits

CALM = Limits(cpu_s=10, wall_s=60, memory_bytes=256 * MIB)
BUSY = Limits(cpu_s=0.3, wall_s=60, memory_bytes=256 * MIB)
IDLE = Limits(cpu_s=10, wall_s=0.3, memory_bytes=256 * MIB)
CHECK = """
f = __candidate__
assert f(2) == 4
assert f("ab") == "abab"
assert f([1, (2,)]) == [1, (2,), 1, (2,)]
print("reached the end")
"""
END = "reached the end\n"


def test_right_program_brings_the_check_to_its_end(jail: Jail) -> None:
    program, check = jail.examine("def f(x): return x * 2", "f", CHECK, CALM)
    assert (program.ended, check.ended, check.stdout) == ("finished", "finished", END)
    assert program.cpu_s > 0


def test_method_of_class_solution_is_found(jail: Jail) -> None:
    program = "class Solution:\n def f(self, x): return x * 2"
    assert jail.examine(program, "f", CHECK, CALM)[1].stdout == END


def test_state_lasts_from_call_to_call_and_no_longer(jail: Jail) -> None:
    program = "seen = []\ndef f(x):\n seen.append(x)\n return len(seen)"
    check = "assert [__candidate__(0) for _ in range(3)] == [1, 2, 3]\nprint('reached the end')"
    for _ in range(2):
        assert jail.examine(program, "f", check, CALM)[1].stdout == END


def test_arguments_by_name_and_built_in_exceptions_cross(jail: Jail) -> None:
    program = "def f(a, *, b=1):\n if a < 0: raise ValueError('negative', a)\n return a + b"
    check = (
        "assert __candidate__(1, b=4) == 5\n"
        "try: __candidate__(-1)\nexcept ValueError as error: assert 'negative' in str(error)\nelse: assert False\n"
        "print('reached the end')"
    )
    assert jail.examine(program, "f", check, CALM)[1].stdout == END


def test_megabytes_cross_in_both_directions(jail: Jail) -> None:
    check = "x = ['y' * 1000] * 3000\nassert __candidate__(x) == x * 2\nprint('reached the end')"
    assert jail.examine("def f(x): return x * 2", "f", check, CALM)[1].stdout == END


WRONG: dict[str, tuple[str, Ended, str, Limits]] = {
    "wrong value": ("def f(x): return 3", "finished", "AssertionError", CALM),
    "raises": ("def f(x): return 1 / 0", "finished", "ZeroDivisionError", CALM),
    "raises an exception of its own": ("class E(Exception): pass\ndef f(x): raise E('why')", "finished", "CandidateError: E: why", CALM),
    "no such function": ("def g(x): return x", "raised", "the program ended", CALM),
    "does not compile": ("def f(", "syntax_error", "the program ended", CALM),
    "raises at once": ("1 / 0", "raised", "the program ended", CALM),
    "never answers": ("def f(x):\n while True: pass", "time_limit", "the program ended", BUSY),
    "sleeps": ("import time\ndef f(x): time.sleep(99)", "time_limit", "the program ended", IDLE),
    "takes all memory": ("def f(x): return 'x' * (1 << 34)", "finished", "MemoryError", CALM),
    # What would pass where program and check are one process.
    "equal to everything": ("class A:\n def __eq__(s, o): return True\ndef f(x): return A()", "finished", "a A is no plain data", CALM),
    "a number equal to everything": ("class A(int):\n def __eq__(s, o): return True\ndef f(x): return A(1)", "finished", "AssertionError", CALM),
    "a list that sorts itself out": ("class A(list):\n def __eq__(s, o): return True\ndef f(x): return A()", "finished", "AssertionError", CALM),
    "ends at the first question": ("import os\ndef f(x): os._exit(0)", "finished", "the program ended", CALM),
    "ends before the first question": ("import os\nos._exit(0)", "finished", "the program ended", CALM),
    "exits politely": ("import sys\ndef f(x): sys.exit(0)", "finished", "the program ended", CALM),
    "prints what the check prints": (f"import os\nos.write(1, {END.encode()!r})\nos._exit(0)", "finished", "the program ended", CALM),
    "reads the check off the stack": ("import sys\ndef f(x):\n c = sys._getframe().f_back\n while c:\n  if '__candidate__' in c.f_globals or 'reached' in str(c.f_code.co_consts): return x * 2\n  c = c.f_back\n return 0", "finished", "AssertionError", CALM),
    "patches assert's error": ("import builtins\nclass A(Exception): pass\nbuiltins.AssertionError = A\ndef f(x): return 0", "finished", "AssertionError", CALM),
    "answers before it is asked": ("import os\nfor _ in range(9): os.write(7, (1).to_bytes(8, 'little') + b'v')\ndef f(x): return x * 2", "finished", "Error", CALM),
    "writes noise": ("import os\nos.write(7, b'\\xff' * 4096)\ndef f(x): return x * 2", "finished", "the program ended", CALM),
    "promises a frame without end": ("import os\nos.write(7, (2 ** 40).to_bytes(8, 'little'))\ndef f(x): return x * 2", "finished", "the program ended", CALM),
    "answers with brackets without end": ("import os\nd = b'v' + b'[' * 10**6\nos.write(7, len(d).to_bytes(8, 'little') + d)\ndef f(x): return x * 2", "finished", "RecursionError", CALM),
    "closes the link": ("import os\nos.closerange(3, 64)\ndef f(x): return x * 2", "raised", "the program ended", CALM),
    "reads its own questions away": ("import os\nos.read(6, 9)\ndef f(x): return x * 2", "finished", "the program ended", CALM),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_wrong_program_does_not_pass_whatever_it_tries(jail: Jail, name: str) -> None:
    text, ended, error, limits = WRONG[name]
    program, check = jail.examine(text, "f", CHECK, limits)
    assert check.ended in ("raised", "memory_limit"), (program, check)
    assert check.stdout == ""
    assert error in check.error
    assert program.ended == ended, program.error
    after = jail.examine("def f(x): return x * 2", "f", CHECK, CALM)
    assert after[1].stdout == END


def test_program_that_waits_for_more_questions_ends_with_the_check(jail: Jail) -> None:
    began = time.monotonic()
    program, check = jail.examine("def f(x): return x", "f", "print('reached the end')", CALM)
    assert (program.ended, check.stdout) == ("finished", END)
    assert time.monotonic() - began < 30


def test_check_without_end_is_stopped(jail: Jail) -> None:
    program, check = jail.examine("def f(x): return x", "f", "while True: pass", BUSY)
    assert check.ended == "time_limit"
    assert program.ended == "finished"


def test_check_runs_where_nothing_of_the_program_is(jail: Jail) -> None:
    check = "import builtins, sys\nprint(hasattr(builtins, 'left'), 'solution' in sys.modules)"
    _, found = jail.examine("import builtins\nbuiltins.left = 1\ndef f(): return 1", "f", check, CALM)
    assert found.stdout == "False False\n"


@pytest.mark.parametrize("kind", ["StopIteration", "StopAsyncIteration"])
def test_program_cannot_end_the_loop_of_its_check(jail: Jail, kind: str) -> None:
    check = "assert all(map(lambda x: __candidate__(x) == 2 * x, range(9)))\nprint('reached the end')"
    _, found = jail.examine(f"def f(x): raise {kind}", "f", check, CALM)
    assert (found.ended, found.stdout) == ("raised", "")
    assert f"CandidateError: {kind}" in found.error
