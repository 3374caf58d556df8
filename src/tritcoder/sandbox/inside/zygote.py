"""The warm interpreter inside the jail: forks one child for each untrusted program, and watches it.

Descriptor 0 is a SOCK_SEQPACKET socket to the keeper outside. A packet of settings comes in, a greeting goes out;
then for each program a request with six descriptors comes in and a reply goes out (see wire.py). What is untrusted
(source, arguments) is read by the child alone, from a descriptor: nothing hostile is ever parsed here.

A fork copies the page tables of all that is in memory here, and a child copies every page that it writes to. So this
process imports what programs often use and nothing else, does what it can before the fork, and has its own names for
modules of the library that would bring others with them (`_socket` for socket, `_signal` for signal).
"""

import _signal
import _socket
import gc
import json
import marshal
import os
import struct
import sys
import time
from typing import Any, NoReturn

from . import confine, modules, program, wire

_VALUE_FD, _SETUP_FD, _TASK_FD = program.VALUE_FD, program.VALUE_FD + 1, program.VALUE_FD + 2
_CHANNEL_FD = 63
"""Out of the way of what a child arranges; the last below the limit on descriptors."""
_MAX_FDS = 64


def main() -> None:
    """Warm up, confine this process, then serve until the keeper hangs up."""
    os.dup2(0, _CHANNEL_FD, inheritable=False)
    channel = _socket.socket(fileno=_CHANNEL_FD)
    settings = json.loads(channel.recv(2**20))
    try:
        for stream in range(3):
            os.dup2(os.memfd_create("stream"), stream)
        os.closerange(3, _CHANNEL_FD)
        _warm_up(settings)
        landlock_abi = confine.confine_zygote(settings["landlock"], settings["readable"])
        program_filter = confine.filter_program(bytes.fromhex(settings["filter"]))
        confine.limit_for_all(_MAX_FDS, program.STACK_BYTES)
    except Exception as error:
        channel.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        return
    _signal.pthread_sigmask(_signal.SIG_BLOCK, (_signal.SIGCHLD,))  # waited for by sigtimedwait
    gc.collect()
    gc.freeze()
    channel.send(json.dumps({"landlock": landlock_abi}).encode())
    _serve(channel, program_filter)


def _warm_up(settings: dict[str, Any]) -> None:
    """Import what programs use, and undo what imports do for processes that fork in earnest."""
    os.environ.pop("LD_BIND_NOW", None)  # programs need not see it
    register_at_fork = os.register_at_fork
    # Modules ask to be put right after a fork: `random` draws a seed, locks are made anew. Here nothing has run that
    # would need it, and it would cost each child more than all the rest of its start.
    os.register_at_fork = lambda **_: None
    for name in f"{modules.OFTEN} {settings['more']}".split():
        try:
            __import__(name)
        except ImportError:  # distributions leave some out
            continue
    if settings["packages"]:
        sys.path.append(settings["packages"])
        for name in modules.NUMPY.split():
            __import__(name)
        sys.modules["numpy"].random.seed(0)
        if not settings["packages_hold_only_numpy"]:
            sys.path.remove(settings["packages"])
    os.register_at_fork = register_at_fork
    sys.modules["random"].seed(0)
    _give_site_names()
    program.make_ready(frames_below=_FRAMES_BELOW)


def _give_site_names() -> None:
    """`exit`, `quit`, `copyright`, `credits`, `license` and `help`, as the interpreter's `site` gives them."""
    import site

    site.setquit()
    site.setcopyright()
    site.sethelper()


def _serve(channel: _socket.socket, program_filter: confine.FilterProgram | None) -> None:
    room_for_descriptors = _socket.CMSG_SPACE(4 * (len(wire.DESCRIPTORS) + 2))
    while True:
        packet, ancillary, _, _ = channel.recvmsg(wire.REQUEST.size, room_for_descriptors)
        if not packet:
            return
        descriptors = struct.unpack(f"{len(ancillary[0][2]) // 4}i", ancillary[0][2])
        request = wire.REQUEST.unpack(packet)
        started = time.monotonic()
        try:
            pid = os.fork()
        except OSError:
            channel.send(wire.REPLY.pack(-1, wire.KILLED_NOT, 0.0, 0.0, 0))
            continue
        if pid == 0:
            _child(request, descriptors, program_filter)
        for descriptor in descriptors:
            os.close(descriptor)
        status, killed, usage = _watch(pid, request[0], request[1], started)
        if program_filter is None:
            _kill_group(pid)
        spent = usage.ru_utime + usage.ru_stime
        elapsed = time.monotonic() - started
        channel.send(wire.REPLY.pack(status, killed, spent, elapsed, usage.ru_maxrss * 1024))


def _watch(pid: int, cpu_s: float, wall_s: float, started: float) -> tuple[int, int, Any]:
    """Wait for the child, and kill it when it has used its processor time, or sleeps when the clock has run out."""
    clock = (~pid << 3) | 2  # the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)
    killed = wire.KILLED_NOT
    looked, used_then, deadline = started, 0.0, started + wall_s
    wait_s = min(cpu_s, wall_s)
    while True:
        _signal.sigtimedwait((_signal.SIGCHLD,), max(wait_s, 0.0) + 0.001)
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, killed, usage
        now, used = time.monotonic(), _clock(clock)
        if killed:
            wait_s = 1.0
            continue
        if now >= deadline and used - used_then >= wire.MIN_BUSY_SHARE * (now - looked):
            looked, used_then, deadline = now, used, now + min(wall_s, 1.0)
        if used >= cpu_s or now >= deadline:
            killed = wire.KILLED_CPU if used >= cpu_s else wire.KILLED_WALL
            os.kill(pid, _signal.SIGKILL)
        wait_s = min(cpu_s - used, deadline - now)


def _clock(clock: int) -> float:
    try:
        return time.clock_gettime(clock)
    except OSError:  # it ended this very moment
        return 0.0


def _kill_group(pid: int) -> None:
    """End what the child has left in its session; with a filter it has been alone."""
    try:
        os.killpg(pid, _signal.SIGKILL)
    except OSError:
        return


# ---- from here on: in the child, which ends by _exit and never returns ----

_FRAMES_BELOW = 5 + (sys.version_info < (3, 12))
"""On what a program stands: the command line, main, _serve, _child, run_as_main; until 3.11 exec() counted too."""


def _child(
    request: tuple[float, float, int, int, int],
    descriptors: tuple[int, ...],
    program_filter: confine.FilterProgram | None,
) -> NoReturn:
    leave = os._exit  # the program may replace the one in os
    write, close_range = os.write, os.closerange
    try:
        cpu_s, _, address_space, memory_bytes, largest_file = request
        _take_descriptors(descriptors)
        try:
            confine.confine_child(cpu_s, address_space, largest_file, program_filter)
            write(_SETUP_FD, wire.ARMED)
        except BaseException as error:
            write(_SETUP_FD, f"-{type(error).__name__}: {error}".encode())
            leave(1)
        task = os.pread(_TASK_FD, os.fstat(_TASK_FD).st_size, 0)
        mode, source, compiled, fn_name, arguments = marshal.loads(task)  # noqa: S302  the keeper wrote it
        # What a child wrote may be anything, and is no more trusted here than the source is: both are for this child.
        code = marshal.loads(compiled) if compiled else _compile(source, leave)  # noqa: S302
        close_range(_SETUP_FD, _TASK_FD + 1)
        if mode == wire.CALL:
            leave(program.call(code, source, memory_bytes, fn_name, arguments))
        close_range(_VALUE_FD, _VALUE_FD + 1)
        if mode == wire.SERVE:
            leave(program.serve(code, source, memory_bytes, fn_name))
        if mode == wire.EXAMINE:
            program.let_ask()
        leave(program.run_as_main(code, source, memory_bytes))
    finally:
        leave(1)


def _compile(source: bytes, leave: Any) -> Any:
    """Compile, and hand the code to the keeper, for the children after this one that run the same program."""
    try:
        code = compile(source, program.PROGRAM_PATH, "exec", dont_inherit=True)
    except BaseException as error:  # SyntaxError, or what nested or broken source makes of the parser
        os.write(_SETUP_FD, wire.REFUSED + f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:1000])
        leave(1)
    data = marshal.dumps(code)
    if len(data) <= wire.MAX_CODE_BYTES:
        os.write(_SETUP_FD, wire.COMPILED + data)
    return code


def _take_descriptors(descriptors: tuple[int, ...]) -> None:
    """Keep 0, 1, 2 for the standard streams, 3, 4, 5 for our own, 6 and 7 for a link; close all others."""
    value, setup, task, stdin, stdout, stderr, *link = descriptors
    # The kernel gave the lowest free numbers, from 3 on, in order: no copy overwrites what is still needed.
    os.dup2(value, _VALUE_FD)
    os.dup2(setup, _SETUP_FD)
    os.dup2(task, _TASK_FD)
    os.dup2(stdin, 0)
    os.dup2(stdout, 1)
    os.dup2(stderr, 2)
    first_free = _TASK_FD + 1
    for descriptor in link:
        os.dup2(descriptor, first_free)
        first_free += 1
    os.closerange(first_free, 65536)
