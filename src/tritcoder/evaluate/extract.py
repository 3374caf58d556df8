"""The program in an answer: chat models wrap it in prose and in markdown fences."""

import re
from typing import NamedTuple

# Nothing in these is tried twice (possessive quantifiers, no two that share characters), so that no text, however
# long its lines, takes more than linear time.
_FENCE = re.compile(r"^ {0,3}(`{3,}+|~{3,}+)[ \t]*+([\w.+#-]*+)[^\n`]*+$", re.MULTILINE)
_CODE = re.compile(r"\s*+(?:import \w|from [\w.]++ import |def \w++ *+\(|class \w[^\n:]*+:|@\w|\w++ *+= )")
_PYTHON = frozenset({"python", "python3", "py", "python2", "python3.11", "pycon"})


class _Block(NamedTuple):
    language: str
    code: str


def extract_program(completion: str) -> str:
    """Take the code out of an answer: its longest fenced block, or all of it when nothing is fenced.

    An answer that begins as a program is taken whole: the fences in it belong to its docstrings.
    Blocks marked as Python are preferred to unmarked ones, and those to other languages; a fence that
    is never closed (the answer was cut) reaches to the end. Cutting at end-of-text markers is done
    where the text is generated, not here.
    """
    blocks = [] if _CODE.match(completion) else _blocks(completion)
    if not blocks:
        return completion
    return max(blocks, key=lambda block: (_preference(block.language), len(block.code))).code


def _preference(language: str) -> int:
    return 2 if language.lower() in _PYTHON else 0 if language else 1


def _blocks(text: str) -> list[_Block]:
    """Fenced blocks in order; a fence closes with at least as many of the same characters and no word."""
    blocks: list[_Block] = []
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence[1].startswith(opened[1]) and not fence[2]:
            blocks.append(_Block(opened[2], text[opened.end() + 1 : fence.start()]))
            opened = None
    if opened is not None:
        blocks.append(_Block(opened[2], text[opened.end() + 1 :]))
    return blocks
