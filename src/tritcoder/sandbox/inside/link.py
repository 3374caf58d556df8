"""The two ends between a program and the code that checks it, each in a process of its own.

The examiner asks, the program answers: frames of a length (8 bytes, little-endian) and so many bytes. What comes from
the program may be anything: it is decoded as plain data (plain.py), or ends the examination.
"""

import builtins
import os
from collections.abc import Callable
from typing import Any

from . import plain

READ_FD, WRITE_FD = 6, 7
_MAX_FRAME_BYTES = 64 * 2**20
_VALUE, _RAISED, _NOT_PLAIN = b"v", b"r", b"n"
_ENDS_A_LOOP = (StopIteration, StopAsyncIteration)
"""Not raised as they are: `all(map(check, cases))` would take the first for the end of the cases."""


class CandidateError(Exception):
    """The program ended, or sent what is no answer, or raised an exception of its own making."""


def serve(function: Callable[..., Any]) -> None:
    """Answer calls of this function until the examiner has no more."""
    while (question := _receive()) is not None:
        arguments, named = plain.decode(question)
        try:
            value = function(*arguments, **named)
        except Exception as error:
            answer = _RAISED + plain.encode([type(error).__name__, str(error)])
        else:
            try:
                answer = _VALUE + plain.encode(value)
            except plain.NotPlainError as error:
                answer = _NOT_PLAIN + str(error).encode("utf-8", "replace")
        try:
            _send(answer)
        except OSError:  # nobody waits for it: the examination is over
            return


def ask(*arguments: Any, **named: Any) -> Any:
    """What the program's function returns for these arguments; raises what it raises, if that is built in."""
    try:
        _send(plain.encode([arguments, named]))
        answer = _receive()
    except OSError:
        answer = None
    if answer is None:
        raise CandidateError("the program ended before the check was through")
    kind, content = answer[:1], answer[1:]
    if kind == _VALUE:
        return plain.decode(content)
    if kind != _RAISED:
        raise CandidateError(content.decode("utf-8", "replace"))
    name, said = plain.decode(content)
    known = getattr(builtins, name, None)
    if isinstance(known, type) and issubclass(known, Exception) and known not in _ENDS_A_LOOP:
        raise known(said)
    raise CandidateError(f"{name}: {said}")


def _send(frame: bytes) -> None:
    view = memoryview(len(frame).to_bytes(8, "little") + frame)
    while view:
        view = view[os.write(WRITE_FD, view) :]


def _receive() -> bytes | None:
    """The next frame; None when there is none, or it is too long to be true."""
    header = _read(8)
    size = int.from_bytes(header, "little")
    if len(header) < 8 or size > _MAX_FRAME_BYTES:
        return None
    frame = _read(size)
    return frame if len(frame) == size else None


def _read(size: int) -> bytes:
    parts = []
    while size and (part := os.read(READ_FD, min(size, 2**20))):
        parts.append(part)
        size -= len(part)
    return b"".join(parts)
