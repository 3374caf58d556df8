"""The outer end of one zygote: starts it, hands it programs, collects what they leave."""

import contextlib
import json
import marshal
import os
import signal
import socket
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritcoder.errors import AskedWronglyError, SandboxError
from tritcoder.sandbox.execution import Traces
from tritcoder.sandbox.inside import wire
from tritcoder.sandbox.levels import ENVIRONMENT, plan
from tritcoder.sandbox.limits import Limits

_START_S = 60.0
"""Longest wait for a zygote to be ready; numpy on a busy machine takes a while."""
_GRACE_S = 20.0
"""How much longer than the program's own limit a reply may take."""
_STDERR_TAIL_BYTES = 4096
_CREDENTIALS = struct.Struct("3i")
"""`struct ucred`: pid, uid, gid."""


class BrokenZygoteError(Exception):
    """The zygote is gone, or does not answer, or could not confine its child. It must be replaced."""


class Task:
    """One program, and how it is run.

    Args:
        program: the source text.
        mode: one of wire's MAIN, CALL, SERVE and EXAMINE.
        fn_name: the function to call; None where the program is run as a whole.
    """

    def __init__(self, program: str, mode: str = wire.MAIN, fn_name: str | None = None) -> None:
        self.program, self.mode, self.fn_name = program, mode, fn_name
        self.code = b""
        """The program compiled by its first child, before it ran a line; never looked into here."""
        self._source = program.encode("utf-8", "surrogatepass")

    def told(self, arguments: list[Any] | None) -> bytes:
        """What a child is told: never an expected output.

        Raises:
            AskedWronglyError: the arguments are no JSON data.
        """
        try:
            if arguments:
                json.dumps(arguments)
            return marshal.dumps((self.mode, self._source, self.code, self.fn_name, arguments))
        except (TypeError, ValueError, RecursionError) as error:
            raise AskedWronglyError(f"the arguments of a call must be JSON data: {error}") from None


@dataclass(frozen=True, slots=True)
class Input:
    """What a program is given in one run."""

    stdin: str = ""
    arguments: list[Any] | None = None
    """Of a call: positional, JSON data; keys that are numbers stay numbers."""


@dataclass(frozen=True, slots=True)
class Pending:
    """A run that was asked for and has not been collected."""

    keeper: "Keeper"
    task: Task
    limits: Limits
    files: dict[str, "_MemoryFile"]

    def close(self) -> None:
        """Give the files up, when nobody will collect it."""
        _close_all(self.files)


class Keeper:
    """One running zygote.

    Raises:
        SandboxError: it could not be started at this level; says why.
    """

    def __init__(self, level: str, kind: str) -> None:
        launch = plan(level, kind)
        self._channel, far_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self._channel.settimeout(_START_S)
        self._pid = 0
        self.closed = False
        with far_end, tempfile.TemporaryFile() as errors:
            try:
                self._process = subprocess.Popen(
                    launch.command,
                    stdin=far_end.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    env=ENVIRONMENT,
                    cwd="/",
                    start_new_session=True,
                )
            except OSError as error:
                self._channel.close()
                raise SandboxError(f"the jail cannot be started: {error}") from None
            far_end.close()
            try:
                self._greet(launch.settings)
            except BaseException as error:
                self.close()
                if not isinstance(error, OSError | ValueError | BrokenZygoteError):
                    raise
                errors.seek(0)
                said = errors.read().decode("utf-8", "replace").strip().splitlines()
                raise SandboxError(f"the jail ({level}) does not start: {said[-1] if said else error}") from None

    def _greet(self, settings: dict[str, Any]) -> None:
        """Send the settings, wait until it is ready, and learn its process id and its size."""
        self._channel.send(json.dumps(settings).encode())
        packet, ancillary, _, _ = self._channel.recvmsg(65536, socket.CMSG_SPACE(_CREDENTIALS.size))
        if not packet:
            raise BrokenZygoteError("it ended while it started")
        hello = json.loads(packet)
        if "error" in hello:
            raise BrokenZygoteError(hello["error"])
        for level, kind, data in ancillary:
            if (level, kind) == (socket.SOL_SOCKET, socket.SCM_CREDENTIALS):
                self._pid = _CREDENTIALS.unpack(data)[0]  # the kernel's word, and in our own numbers
        pages = Path(f"/proc/{self._pid}/statm").read_text(encoding="ascii").split()[0]
        self._address_space_bytes = int(pages) * os.sysconf("SC_PAGE_SIZE")
        self._channel.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 0)

    def submit(self, task: Task, given: Input, limits: Limits, link: Sequence[int] = ()) -> Pending:
        """Ask for one run. The zygote works off what it is asked in order; two at a time keep it busy.

        Args:
            task: the program.
            given: its input.
            limits: what it may use.
            link: two descriptors, to read from and to write to, for the modes that are linked.

        Raises:
            BrokenZygoteError: this keeper is of no use any more, and closed.
            AskedWronglyError: the arguments are no JSON data.
        """
        told = task.told(given.arguments)
        files: dict[str, _MemoryFile] = {}
        try:
            for name in wire.DESCRIPTORS:
                files[name] = _MemoryFile(name)
            files["task"].fill(told)
            files["stdin"].fill(given.stdin.encode("utf-8", "surrogatepass"))
            self._send(_request(limits, self._address_space_bytes), files, link)
        except BaseException as error:  # an interrupt too: it is not known whether the request is under way
            _close_all(files)
            self.close()
            if isinstance(error, OSError):
                raise BrokenZygoteError(f"the jail broke down: {error}") from None
            raise
        return Pending(self, task, limits, files)

    def collect(self, pending: Pending) -> Traces:
        """Wait for the run that was submitted first among those not collected.

        Raises:
            BrokenZygoteError: this keeper is of no use any more, and closed.
        """
        try:
            reply = self._receive(pending)
            traces = _collect(reply, pending.files, pending.limits)
            if traces.code:
                pending.task.code = traces.code
        except BaseException:  # an interrupt too: a reply may still be under way
            self.close()
            raise
        finally:
            _close_all(pending.files)
        return traces

    def _send(self, request: bytes, files: dict[str, "_MemoryFile"], link: Sequence[int]) -> None:
        self._channel.settimeout(_GRACE_S)
        socket.send_fds(self._channel, [request], [*(file.descriptor for file in files.values()), *link])

    def _receive(self, pending: Pending) -> tuple[int, int, float, float, int]:
        files = pending.files
        try:
            self._channel.settimeout(pending.limits.longest_s + _GRACE_S)
            reply = wire.REPLY.unpack(self._channel.recv(wire.REPLY.size))
        except (OSError, struct.error) as error:
            raise BrokenZygoteError(f"the jail broke down: {error}") from None
        if reply[0] == -1:
            raise BrokenZygoteError("the jail cannot make a process")
        if files["setup"].read(1) != wire.ARMED:
            said = files["setup"].read(1000).decode("utf-8", "replace")
            raise BrokenZygoteError(f"the jail could not confine its child: {said}")
        return reply

    def close(self) -> None:
        """End the zygote and all that runs in it. It would end by itself when this process does."""
        self.closed = True
        self._channel.close()
        try:
            self._process.wait(timeout=0.5)
        except subprocess.TimeoutExpired:
            for pid in (self._pid, self._process.pid):
                if pid:
                    with contextlib.suppress(OSError):
                        os.kill(pid, signal.SIGKILL)
            self._process.wait()


class _MemoryFile:
    """A file without a name, shared with one child."""

    def __init__(self, name: str) -> None:
        self.descriptor = os.memfd_create(name, os.MFD_CLOEXEC)

    def fill(self, data: bytes) -> None:
        """Write everything, then go back to the start."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.descriptor, view) :]
        os.lseek(self.descriptor, 0, os.SEEK_SET)

    def read(self, most: int, start: int = 0) -> bytes:
        """At most so many bytes from `start` on."""
        return os.pread(self.descriptor, most, start)

    def tail(self, most: int) -> bytes:
        """The last bytes."""
        return self.read(most, max(0, os.fstat(self.descriptor).st_size - most))

    def close(self) -> None:
        """Give it up; again does nothing."""
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


def _close_all(files: dict[str, _MemoryFile]) -> None:
    for file in files.values():
        file.close()


def _request(limits: Limits, zygote_bytes: int) -> bytes:
    return wire.REQUEST.pack(
        limits.cpu_s,
        limits.wall_s,
        zygote_bytes + limits.memory_bytes,
        limits.memory_bytes,
        limits.output_bytes + 1,  # one more, so that too much can be told from just enough
    )


def _collect(reply: tuple[int, int, float, float, int], files: dict[str, _MemoryFile], limits: Limits) -> Traces:
    status, killed, cpu_s, wall_s, peak = reply
    setup = files["setup"].read(2 + wire.MAX_CODE_BYTES)
    kind, rest = setup[1:2], setup[2:]
    return Traces(
        status=status,
        killed=killed,
        cpu_s=cpu_s,
        wall_s=wall_s,
        peak_memory_bytes=peak,
        armed=setup.startswith(wire.ARMED),
        syntax_error=rest.decode("utf-8", "replace") if kind == wire.REFUSED else "",
        stdout=files["stdout"].read(limits.output_bytes + 1),
        value=files["value"].read(limits.output_bytes + 1),
        stderr_tail=files["stderr"].tail(_STDERR_TAIL_BYTES),
        code=rest if kind == wire.COMPILED else b"",
    )
