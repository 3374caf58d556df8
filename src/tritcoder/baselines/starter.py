"""What starter code asks for: the function's name, and the class around it."""

import re
from dataclasses import dataclass
from typing import Any

_DEFINITION = re.compile(r"^([ \t]*)(?:async[ \t]+)?def[ \t]+(\w+)[ \t]*\(", re.MULTILINE)
_CLASS = re.compile(r"^class[ \t]+(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class AskedFunction:
    """The function that starter code begins."""

    name: str
    class_name: str = ""
    """The class whose method it is; empty for a plain function."""


def asked_function(starter_code: str) -> AskedFunction | None:
    """Find the function that starter code asks for; None when it defines none.

    The last definition counts, because helpers stand before what is to be written.
    """
    definitions = [found for found in _DEFINITION.finditer(starter_code) if not found[2].startswith("__")]
    if not definitions:
        return None
    last = definitions[-1]
    if not last[1]:
        return AskedFunction(last[2])
    classes = _CLASS.findall(starter_code[: last.start()])
    return AskedFunction(last[2], classes[-1] if classes else "")


def constant_function(asked: AskedFunction, value: Any) -> str:
    """A program whose asked function returns `value` (plain JSON data), whatever it is given."""
    if asked.class_name:
        return f"class {asked.class_name}:\n    def {asked.name}(self, *args, **kwargs):\n        return {value!r}\n"
    return f"def {asked.name}(*args, **kwargs):\n    return {value!r}\n"


def rename_function(program: str, old: str, new: str) -> str:
    """The program with every whole word `old` replaced by `new`."""
    return re.sub(rf"\b{re.escape(old)}\b", lambda _: new, program)
