"""One program, run as `python prog.py` runs it, or imported and called; in a process of its own that then exits.

Whatever can be made ready is made ready before the fork (`make_ready`): a child that writes to a page that it shares
with the zygote pays for a copy of it, and those copies are most of what a short run costs.
"""

import _thread
import atexit
import contextlib
import functools
import gc
import io
import json
import os
import sys
import types
from _frozen_importlib_external import SourceFileLoader
from collections.abc import Callable
from typing import Any

from . import link

PROGRAM_PATH = "/prog.py"
VALUE_FD = 3
"""Where a call writes the value that came back."""
STACK_BYTES = 256 * 2**20
THREAD_STACK_BYTES = 8 * 2**20
_SMALLEST_STACK_BYTES = 2**20

_MAIN, _IMPORTED = "__main__", "solution"
_ballast = [bytes(2 * 2**20)]
"""Let go when memory is out, so that the error can still be told."""


class _Given:
    """What is known of the program only in the child."""

    source = b""
    memory_bytes = 2**62


_modules: dict[str, types.ModuleType] = {}


def make_ready(frames_below: int) -> None:
    """Make the interpreter look freshly started; descriptors 0, 1 and 2 must be files, each at its beginning.

    Args:
        frames_below: how many frames a program stands on that it must not pay for with its recursion limit.
    """
    _open_streams()
    sys.argv = [PROGRAM_PATH]
    sys.set_int_max_str_digits(0)
    sys.setrecursionlimit(sys.getrecursionlimit() + frames_below)
    _thread.stack_size(THREAD_STACK_BYTES)
    set_size = functools.partial(_stack_size, _thread.stack_size)
    for module in (_thread, sys.modules.get("threading")):
        if module is not None:
            module.stack_size = set_size  # type: ignore[attr-defined]
    for name in (_MAIN, _IMPORTED):
        _modules[name] = _empty_module(name)
    sys.modules[_MAIN] = _modules[_MAIN]


def _open_streams() -> None:
    """Fresh standard streams, made as the interpreter makes them when they are files."""
    for number, name, errors in ((0, "stdin", "strict"), (1, "stdout", "strict"), (2, "stderr", "backslashreplace")):
        raw = io.FileIO(number, "rb" if number == 0 else "wb", closefd=False)
        raw.name = f"<{name}>"
        buffer = io.BufferedReader(raw) if number == 0 else io.BufferedWriter(raw)
        text = io.TextIOWrapper(buffer, "utf-8", errors, newline="\n", line_buffering=number == 2)
        text.mode = "r" if number == 0 else "w"  # type: ignore[misc]
        setattr(sys, name, text)
        setattr(sys, f"__{name}__", text)


def _empty_module(name: str) -> types.ModuleType:
    loader = SourceFileLoader(name, PROGRAM_PATH)
    # Tracebacks and inspect ask the loader for the text.
    vars(loader)["get_source"] = lambda _: _Given.source.decode("utf-8", "replace")
    module = types.ModuleType(name)
    module.__file__ = PROGRAM_PATH
    module.__loader__ = loader
    module.__dict__.update(__builtins__=sys.modules["builtins"], __annotations__={}, __cached__=None)
    return module


def _stack_size(set_size: Callable[[int], int], size: int = 0) -> int:
    """`threading.stack_size`, for once with a ceiling: programs ask for more than all their memory, in case.

    And with a floor: stacks are what the number of threads is limited by, and threads are many programs' to share.
    """
    largest = min(STACK_BYTES, _Given.memory_bytes // 2)
    if 0 < size < _SMALLEST_STACK_BYTES:
        size = _SMALLEST_STACK_BYTES
    return set_size(min(size or THREAD_STACK_BYTES, largest))


# ---- from here on: in the child ----


def run_as_main(code: types.CodeType, source: bytes, memory_bytes: int) -> int:
    """What `python prog.py` does. Returns the exit status."""
    _Given.source, _Given.memory_bytes = source, memory_bytes
    module = _modules[_MAIN]
    try:
        exec(code, module.__dict__)  # noqa: S102  this is what the jail is for
        status = 0
    except BaseException as error:
        status = _status_after(error)
    return _finish(module, status)


def call(code: types.CodeType, source: bytes, memory_bytes: int, fn_name: str, arguments: list[Any]) -> int:
    """Import the program under another name than `__main__`, call its function, write the value as JSON."""
    dumps = json.dumps

    def write_value(function: Callable[..., Any]) -> None:
        _write_all(VALUE_FD, dumps({"value": function(*arguments)}, default=_numpy_as_plain).encode())

    return _import_for(write_value, code, source, memory_bytes, fn_name)


def serve(code: types.CodeType, source: bytes, memory_bytes: int, fn_name: str) -> int:
    """Import the program as `call` does, then let its function be called over the link."""
    return _import_for(link.serve, code, source, memory_bytes, fn_name)


def _import_for(
    use: Callable[[Callable[..., Any]], None], code: types.CodeType, source: bytes, memory_bytes: int, fn_name: str
) -> int:
    """Import the program and do something with its function. Returns the exit status."""
    _Given.source, _Given.memory_bytes = source, memory_bytes
    module = _modules[_IMPORTED]
    sys.modules[_IMPORTED] = sys.modules[_MAIN] = module
    try:
        exec(code, module.__dict__)  # noqa: S102
        use(_function(module, fn_name))
        status = 0
    except BaseException as error:
        status = _status_after(error)
    return _finish(module, status)


def let_ask() -> None:
    """Give the program that runs next, an examiner, the name by which it calls the other program's function."""
    _modules[_MAIN].__dict__["__candidate__"] = link.ask


def _function(module: types.ModuleType, fn_name: str) -> Callable[..., Any]:
    """The method of class Solution, where there is one, else the function of the module."""
    solution = getattr(module, "Solution", None)
    if isinstance(solution, type) and hasattr(solution, fn_name):
        found = getattr(solution(), fn_name)
    else:
        found = getattr(module, fn_name, None)
    if not callable(found):
        raise AttributeError(f"the program defines no function {fn_name!r}")
    return found  # type: ignore[no-any-return]


def _numpy_as_plain(value: Any) -> Any:
    if type(value).__module__.partition(".")[0] == "numpy" and hasattr(value, "tolist"):
        return value.tolist()
    raise TypeError(f"the returned value is no JSON data: it holds a {type(value).__name__}")


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def _status_after(error: BaseException) -> int:
    """The exit status that the interpreter gives after this exception, once it has told it."""
    try:
        if isinstance(error, SystemExit):
            if error.code is None or isinstance(error.code, int):
                return (error.code or 0) & 0xFF
            print(error.code, file=sys.stderr)
            return 1
        _ballast.clear()
        trace = error.__traceback__
        sys.excepthook(type(error), error, trace and trace.tb_next)
    except BaseException as second:  # a hook, a __str__ or memory may fail too
        with contextlib.suppress(BaseException):
            os.write(2, f"{type(error).__name__} (then {type(second).__name__})\n".encode())
    return 1


def _finish(module: types.ModuleType, status: int) -> int:
    """End as the interpreter ends: join threads, run atexit, flush, let objects go (files flush then), flush."""
    for step in (_join_threads, atexit._run_exitfuncs):
        try:
            step()
        except BaseException as error:
            status = _status_after(error)
    flushed = _flush("stdout") & _flush("stderr")
    names = [name for name in module.__dict__ if isinstance(name, str) and name != "__builtins__"]
    for name in sorted(names, key=lambda name: not (name[:1] == "_" and name[1:2] != "_")):
        module.__dict__[name] = None
    gc.collect()
    flushed &= _flush("stdout") & _flush("__stdout__")
    return status if flushed or status else 120


def _join_threads() -> None:
    threading = sys.modules.get("threading")
    if threading is not None:
        threading._shutdown()


def _flush(name: str) -> bool:
    """Whether the stream, if there is one and it is open, takes what was kept for it."""
    try:
        stream = getattr(sys, name, None)
        if stream is not None and not getattr(stream, "closed", False):
            stream.flush()
    except AttributeError:  # a stand-in that keeps nothing
        return True
    except BaseException:
        return False
    return True
