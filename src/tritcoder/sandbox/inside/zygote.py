"""The warm interpreter inside the jail: forks one child for each untrusted program, and watches it.

Descriptor 0 is a SOCK_SEQPACKET socket to the keeper outside. A packet of settings comes in, a greeting goes out;
then for each program a request with six descriptors comes in and a reply goes out (see wire.py). What is untrusted
(source, arguments) is read by the child alone, from a descriptor: nothing hostile is ever parsed here.
"""

import contextlib
import gc
import importlib
import json
import os
import signal
import site
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, NoReturn

from . import confine, program, wire

_SETUP_FD, _TASK_FD = 4, 5  # after the three streams and program.VALUE_FD

WARM = (
    "abc array ast bisect calendar cmath collections contextlib copy dataclasses datetime decimal enum fractions "
    "functools hashlib heapq inspect io itertools json locale math numbers operator os queue random re statistics "
    "string struct sys textwrap threading time traceback types typing unicodedata"
)
"""What solutions import most: here already, so that each of them starts at once."""
WARM_WHERE_NO_FILE_OPENS = (
    "_pylong _strptime argparse asyncio base64 binascii builtins cProfile codecs collections.abc colorsys "
    "concurrent.futures.thread configparser csv difflib encodings.ascii encodings.latin_1 encodings.utf_16 "
    "encodings.utf_32 errno fileinput fnmatch getopt gettext glob graphlib hmac html.parser "
    "importlib.resources importlib.util ipaddress keyword logging mmap multiprocessing opcode optparse os.path "
    "pathlib pdb pickle platform pprint profile pstats pydoc reprlib sched secrets select selectors shlex "
    "shutil signal stat subprocess symtable tempfile timeit token tokenize tracemalloc tty unittest "
    "urllib.parse uuid warnings weakref xml.etree.ElementTree zlib zoneinfo"
)
"""Added where seccomp forbids opening any file: what is not here cannot be imported there."""
NUMPY = "numpy numpy.linalg numpy.fft numpy.random numpy.polynomial numpy.ma"


def main() -> None:
    """Warm up, confine this process, then serve until the keeper hangs up."""
    channel = socket.socket(fileno=0)
    settings = json.loads(channel.recv(2**20))
    try:
        _warm_up(settings)
        landlock_abi = confine.confine_zygote(settings["landlock"], settings["readable"])
    except Exception as error:
        channel.send(json.dumps({"error": f"{type(error).__name__}: {error}"}).encode())
        return
    program_filter = confine.filter_program(bytes.fromhex(settings["filter"]))
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD})  # waited for by sigtimedwait
    gc.collect()
    gc.freeze()
    channel.send(json.dumps({"landlock": landlock_abi}).encode())
    _serve(channel, program_filter)


def _warm_up(settings: dict[str, Any]) -> None:
    site.setquit()
    site.setcopyright()
    site.sethelper()
    sys.set_int_max_str_digits(0)
    threading.stack_size(program.THREAD_STACK_BYTES)
    names = f"{WARM} {WARM_WHERE_NO_FILE_OPENS}" if settings["warm_all"] else WARM
    for name in names.split():
        with contextlib.suppress(ImportError):  # distributions leave some out
            importlib.import_module(name)
    if settings["packages"]:
        sys.path.append(settings["packages"])
        for name in NUMPY.split():
            importlib.import_module(name)
        if not settings["packages_hold_only_numpy"]:
            sys.path.remove(settings["packages"])


def _serve(channel: socket.socket, program_filter: confine.FilterProgram | None) -> None:
    while True:
        packet, descriptors, _, _ = socket.recv_fds(channel, wire.REQUEST.size, len(wire.DESCRIPTORS))
        if not packet:
            return
        started = time.monotonic()
        try:
            pid = os.fork()
        except OSError:
            channel.send(wire.REPLY.pack(-1, wire.KILLED_NOT, 0.0, 0.0, 0))
            continue
        if pid == 0:
            _child(packet, descriptors, program_filter)
        for descriptor in descriptors:
            os.close(descriptor)
        cpu_s, wall_s = wire.REQUEST.unpack(packet)[:2]
        status, killed, usage = _watch(pid, cpu_s, started + wall_s)
        if program_filter is None:
            _kill_group(pid)
        spent = usage.ru_utime + usage.ru_stime
        elapsed = time.monotonic() - started
        channel.send(wire.REPLY.pack(status, killed, spent, elapsed, usage.ru_maxrss * 1024))


def _watch(pid: int, cpu_s: float, deadline: float) -> tuple[int, int, Any]:
    """Wait for the child, and kill it when it has used its processor time or the clock has run out."""
    clock = (~pid << 3) | 2  # the kernel's MAKE_PROCESS_CPUCLOCK(pid, CPUCLOCK_SCHED)
    killed = wire.KILLED_NOT
    while True:
        ended, status, usage = os.wait4(pid, os.WNOHANG)
        if ended:
            return status, killed, usage
        wall_left, cpu_left = deadline - time.monotonic(), cpu_s - _clock(clock)
        if killed == wire.KILLED_NOT and min(wall_left, cpu_left) <= 0:
            killed = wire.KILLED_CPU if cpu_left <= 0 else wire.KILLED_WALL
            os.kill(pid, signal.SIGKILL)
        wait_s = 1.0 if killed else min(wall_left, cpu_left) + 0.001
        signal.sigtimedwait({signal.SIGCHLD}, max(wait_s, 0.001))


def _clock(clock: int) -> float:
    try:
        return time.clock_gettime(clock)
    except OSError:  # it ended this very moment
        return 0.0


def _kill_group(pid: int) -> None:
    """End what the child has left in its session; with a filter it has been alone."""
    with contextlib.suppress(OSError):
        os.killpg(pid, signal.SIGKILL)


# ---- from here on: in the child, which ends by _exit and never returns ----


def _child(packet: bytes, descriptors: list[int], program_filter: confine.FilterProgram | None) -> NoReturn:
    leave: Callable[[int], NoReturn] = os._exit  # the program may replace the one in os
    try:
        cpu_s, _, address_space, memory_bytes, largest_file, mode = wire.REQUEST.unpack(packet)
        _take_descriptors(descriptors)
        try:
            confine.confine_child(cpu_s, address_space, largest_file, program.STACK_BYTES, program_filter)
            os.write(_SETUP_FD, wire.ARMED)
        except BaseException as error:
            os.write(_SETUP_FD, f"-{type(error).__name__}: {error}".encode())
            leave(1)
        task = json.loads(_read_all(_TASK_FD))
        source = task["program"].encode("utf-8", "surrogatepass")
        try:
            code = compile(source, program.PROGRAM_PATH, "exec", dont_inherit=True)
        except BaseException as error:  # SyntaxError, or what nested or broken source makes of the parser
            os.write(_SETUP_FD, f"{type(error).__name__}: {error}".encode("utf-8", "replace")[:1000])
            leave(1)
        os.closerange(_SETUP_FD, _TASK_FD + 1)
        if mode == wire.MODE_RUN:
            os.close(program.VALUE_FD)
            leave(program.run_as_main(code, source, memory_bytes))
        leave(program.call(code, source, memory_bytes, task["fn_name"], task["arguments"]))
    finally:
        leave(1)


def _take_descriptors(descriptors: list[int]) -> None:
    """Keep 0, 1, 2 for the standard streams and 3, 4, 5 for our own; close all others, the channel too."""
    value, setup, task, *streams = descriptors
    # Each source lies at or above its target, in ascending order: no copy overwrites what is still needed.
    for source, target in ((value, program.VALUE_FD), (setup, _SETUP_FD), (task, _TASK_FD)):
        os.dup2(source, target)
    for target, source in enumerate(streams):
        os.dup2(source, target)
    os.closerange(_TASK_FD + 1, 65536)


def _read_all(descriptor: int) -> bytes:
    size = os.fstat(descriptor).st_size
    return os.pread(descriptor, size, 0)
