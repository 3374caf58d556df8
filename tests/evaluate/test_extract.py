import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tritcoder.evaluate.extract import extract_program

CASES = {
    "bare code": ("print(1)\n", "print(1)\n"),
    "nothing": ("", ""),
    "fenced": ("Here it is:\n```python\nprint(1)\n```\nIt prints 1.", "print(1)\n"),
    "no language": ("Sure.\n```\nprint(1)\n```", "print(1)\n"),
    "fence first": ("```python\nx = 1\n```", "x = 1\n"),
    "cut before it closed": ("Sure.\n```python\nprint(1)\nprint(2", "print(1)\nprint(2"),
    "cut after the fence": ("Sure.\n```python", ""),
    "python before text": ("In:\n```text\n1 2 3 4 5 6 7\n```\nCode:\n```python\nprint(1)\n```\n", "print(1)\n"),
    "unmarked before shell": ("```bash\npython solve.py < in\n```\n```\nprint(1)\n```", "print(1)\n"),
    "longest": ("```python\nsolve()\n```\nor\n```python\ndef f():\n    pass\nf()\n```", "def f():\n    pass\nf()\n"),
    "tildes": ("Sure.\n~~~py\nprint(1)\n~~~\n", "print(1)\n"),
    "longer fence holds a shorter one": ("Sure.\n````python\ns = '''\n```\n'''\n````", "s = '''\n```\n'''\n"),
    "language with attributes": ('Ok\n```python title="a.py"\nprint(1)\n```', "print(1)\n"),
    "inline code is no fence": ("x = 1 # ```not a fence```\n", "x = 1 # ```not a fence```\n"),
    "only another language": ("Sure.\n```java\nint x;\n```", "int x;\n"),
    "windows lines": ("Sure.\r\n```python\r\nprint(1)\r\n```\r\n", "print(1)\r\n"),
}


@pytest.mark.parametrize(("answer", "program"), CASES.values(), ids=CASES)
def test_answers_worked_by_hand(answer: str, program: str) -> None:
    assert extract_program(answer) == program


@pytest.mark.parametrize(
    "program",
    [
        'def f(x):\n    """Double.\n\n    ```python\n    f(2)\n    ```\n"""\n    return 2 * x\n',
        'import sys\n"""\n```\nnot code\n```\n"""\nprint(1)\n',
        "n = int(input())\ns = '''\n```\nx\n```\n'''\nprint(s)\n",
    ],
)
def test_a_program_whose_docstring_holds_a_fence_stays_whole(program: str) -> None:
    assert extract_program(program) == program


@given(st.text(alphabet=st.characters(exclude_characters="`~"), max_size=200))
def test_text_without_fences_is_left_as_it_is(text: str) -> None:
    assert extract_program(text) == text


@given(st.text(alphabet="`~ \na", max_size=200))
def test_no_arrangement_of_fences_raises(text: str) -> None:
    assert extract_program(text) in text


@given(st.lists(st.sampled_from(["x = 1", "    y()", "", "# ok", "print('`')"]), min_size=1, max_size=6))
def test_fencing_a_program_and_extracting_it_returns_it(lines: list[str]) -> None:
    program = "\n".join(lines) + "\n"
    assert extract_program(f"The answer is this.\n\n```python\n{program}```\nDone.") == program


LONG = 300_000
HOSTILE = {
    "a word after a fence, then what ends no fence": "x\n```" + "a" * LONG + "`\n",
    "a class without end": "class " + "x" * LONG,
    "a class of many colons": "class x" + "\n:" * LONG,
    "white space": " \n\t" * LONG + "x",
    "a name and space": "x" * LONG + " " * LONG,
    "dots": "from " + "." * LONG,
    "a definition that never opens": "def " + "x" * LONG + " " * LONG,
    "a fence of one length": "x\n" + "`" * LONG + " `",
    "tabs after a fence": "x\n```" + "\t" * LONG + "`",
    "waves": "x\n" + "~" * LONG + "`",
    "fences of every length": "\n".join("`" * length for length in range(3, 800)),
    "fences without number": "```\n" * LONG,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_answers_take_linear_time(text: str) -> None:
    # Tried twice at every place, any of these would take minutes.
    began = time.process_time()
    assert extract_program(text) in text
    assert time.process_time() - began < 10
