"""Hostile programs: how each must end, what must hold of its output, and that the jail stays as it was."""

# ruff: noqa: E501  a table reads best with one program a line

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tritcoder.sandbox.execution import Ended
from tritcoder.sandbox.jail import Jail
from tritcoder.sandbox.limits import MIB, Limits

CALM = Limits(cpu_s=10, wall_s=60, memory_bytes=256 * MIB, output_bytes=64 * 1024)
BUSY = Limits(cpu_s=0.2, wall_s=60, memory_bytes=256 * MIB, output_bytes=64 * 1024)
"""For what burns processor time: the clock has no say, however busy the machine."""
IDLE = Limits(cpu_s=10, wall_s=0.25, memory_bytes=256 * MIB, output_bytes=64 * 1024)
"""For what sleeps."""
SMALL = Limits(cpu_s=10, wall_s=60, memory_bytes=48 * MIB)
SECRET = "-".join(["the", "expected", "output"])


@dataclass(frozen=True)
class Attack:
    """A program, how it must end, and what it must print (a text, or a claim about the text)."""

    name: str
    program: str
    ended: Ended
    stdout: str | Callable[[str], bool] = field(default=lambda text: True)
    limits: Limits = CALM


LIBC = "import ctypes\nlibc = ctypes.CDLL(None)\n"

ATTACKS = [
    # Processes.
    Attack("fork bomb", "import os\nwhile True: os.fork()", "raised", ""),
    Attack(
        "fork bomb that goes on",
        "import os\nwhile True:\n try: os.fork()\n except OSError: pass",
        "time_limit",
        limits=BUSY,
    ),
    Attack("fork by libc", LIBC + "print(libc.fork(), libc.vfork())", "finished", "-1 -1\n"),
    Attack("daemonise", "import os\nif os.fork(): os._exit(0)\nos.setsid()", "raised"),
    Attack("shell", "import os\nos.system('echo hacked')", "finished", ""),
    Attack("subprocess", "import subprocess\nsubprocess.run(['/bin/echo', 'hacked'])", "raised", ""),
    Attack("exec", "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo hacked'])", "raised", ""),
    Attack("multiprocessing", "import multiprocessing as m\nm.Process(target=print).start()", "raised", ""),
    # Memory and output.
    Attack("8 GB at once", "bytearray(8 << 30)", "memory_limit", ""),
    Attack("growing list", "kept = []\nwhile True: kept.append('x' * 10**6)", "memory_limit", ""),
    Attack(
        "small objects without end", "kept = []\nwhile True: kept.append([len(kept)])", "memory_limit", "", SMALL
    ),
    Attack("flood of output", "while True: print('x' * 1000)", "output_limit", lambda text: len(text) == 65536),
    Attack("flood of errors", "import sys\nwhile True: print('x' * 1000, file=sys.stderr)", "raised", ""),
    Attack(
        "a file of terabytes",
        "import os\nos.ftruncate(1, 1 << 40)",
        "raised",
    ),
    Attack(
        "thread bomb",
        "import threading, time\nn = 0\ntry:\n while True:\n"
        "  threading.Thread(target=time.sleep, args=(50,), daemon=True).start(); n += 1\n"
        "except RuntimeError: print(n < 100)",
        "finished",
        "True\n",
    ),
    # Time.
    Attack("loop", "while True: pass", "time_limit", limits=BUSY),
    Attack("sleep", "import time\ntime.sleep(1000)", "time_limit", limits=IDLE),
    Attack(
        "loop that ignores signals",
        "import signal\nfor n in range(1, 65):\n try: signal.signal(n, signal.SIG_IGN)\n"
        " except (OSError, ValueError): pass\nwhile True: pass",
        "time_limit",
        limits=BUSY,
    ),
    Attack(
        "loop under a bare except",
        "while True:\n try:\n  while True: pass\n except: pass",
        "time_limit",
        limits=BUSY,
    ),
    Attack(
        "sleep after cancelled alarms",
        "import signal, time\nsignal.alarm(0)\nsignal.setitimer(signal.ITIMER_PROF, 0)\n"
        "while True:\n try: time.sleep(9)\n except: pass",
        "time_limit",
        limits=IDLE,
    ),
    Attack(
        "thread that never ends",
        "import threading, time\nthreading.Thread(target=time.sleep, args=(99,)).start()\nprint(1)",
        "time_limit",
        limits=IDLE,
    ),
    Attack(
        "loop at exit",
        "import atexit\n@atexit.register\ndef f():\n while True: pass",
        "time_limit",
        limits=BUSY,
    ),
    Attack("loop in C", "x = 3\nwhile True: x *= x", "time_limit", limits=BUSY),
    Attack("loop in the destructor", "class A:\n def __del__(self):\n  while True: pass\na = A()", "time_limit", limits=BUSY),
    Attack("source that takes for ever to compile", "x = 1\n" * 10**6, "time_limit", limits=BUSY),
    # Signals.
    Attack("kill all", "import os\nos.kill(-1, 9)", "raised", ""),
    Attack("kill the parent", "import os\nos.kill(os.getppid(), 9)", "raised", ""),
    Attack(
        "kill by libc", LIBC + "import os\nprint(libc.kill(-1, 9), libc.kill(os.getppid(), 9))", "finished", "-1 -1\n"
    ),
    Attack("stop itself", "import os, signal\nos.kill(os.getpid(), signal.SIGSTOP)", "raised"),
    Attack(
        "have a pipe send the signal",
        "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())",
        "raised",
    ),
    Attack(
        "choose the signal that a pipe sends", "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, 10, 9)", "raised"
    ),
    Attack("group of another", "import os\nos.killpg(os.getpgid(os.getppid()), 9)", "raised"),
    # Crashes.
    Attack(
        "overflow of the C stack",
        "import sys\nsys.setrecursionlimit(10**9)\ndef f(x): return list(map(f, x))\nx = [0]\nx[0] = x\nf(x)",
        "raised",
        "",
        Limits(cpu_s=20, wall_s=60, memory_bytes=2048 * MIB),
    ),
    Attack("null pointer", LIBC + "ctypes.string_at(0)", "raised", ""),
    Attack("no core file", "import resource\nprint(resource.getrlimit(resource.RLIMIT_CORE))", "finished", "(0, 0)\n"),
    Attack("abort", "import os\nos.abort()", "raised"),
    # Limits and privileges.
    Attack("more address space", "import resource as r\nr.setrlimit(r.RLIMIT_AS, (-1, -1))", "raised"),
    Attack("more processor time", "import resource as r\nr.setrlimit(r.RLIMIT_CPU, (10**6, 10**6))", "raised"),
    Attack("be root", "import os\nos.setuid(0)\nos.setgroups([0])", "raised"),
    Attack("any capability", LIBC + "print(libc.prctl(38, 0, 0, 0, 0), libc.prctl(4, 1, 0, 0, 0))", "finished", "-1 -1\n"),
    Attack("other processors", "import os\nos.sched_setaffinity(0, {0})", "raised"),
    Attack("priority", "import os\nos.nice(-5)", "raised"),
    Attack("new namespace", LIBC + "print(libc.unshare(0x10000000))", "finished", "-1\n"),
    Attack("trace the parent", LIBC + "import os\nprint(libc.ptrace(16, os.getppid(), 0, 0))", "finished", "-1\n"),
    Attack("io_uring", LIBC + "print(libc.syscall(425, 1, 0))", "finished", "-1\n"),
    Attack("shared memory", LIBC + "print(libc.shmget(7, 4096, 0o1777))", "finished", "-1\n"),
    Attack("nameless file", "import os\nos.memfd_create('x')", "raised"),
    Attack("type into the terminal", "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSTI, b'x')", "raised"),
    # Network.
    Attack("TCP", "import socket\nsocket.create_connection(('127.0.0.1', 22))", "raised"),
    Attack("UDP", "import socket as s\ns.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))", "raised"),
    Attack("unix socket", "import socket as s\ns.socket(s.AF_UNIX)", "raised"),
    Attack("netlink", "import socket as s\ns.socket(s.AF_NETLINK, s.SOCK_RAW)", "raised"),
    # Files and descriptors.
    Attack("memory of the parent", "import os\nopen(f'/proc/{os.getppid()}/mem', 'rb')", "raised"),
    Attack("its own memory", "open('/proc/self/mem', 'r+b')", "raised"),
    Attack("environment of the parent", "import os\nprint(open(f'/proc/{os.getppid()}/environ').read())", "raised", ""),
    Attack("list descriptors", "import os\nprint(os.listdir('/proc/self/fd'))", "raised"),
    Attack(
        "find descriptors",
        "import os\nfound = []\nfor n in range(4096):\n try: os.fstat(n); found.append(n)\n"
        " except OSError: pass\nprint(found)",
        "finished",
        "[0, 1, 2]\n",
    ),
    Attack(
        "write to every descriptor",
        "import os\nfor n in range(3, 4096):\n try: os.write(n, b'\\0' * 40); print(n)\n except OSError: pass",
        "finished",
        "",
    ),
    Attack("passwords", "print(open('/etc/passwd').read())", "raised", ""),
    Attack("home", "import os\nprint(os.listdir('/root'), os.listdir('/home'))", "raised", ""),
    Attack("these tests", f"print(open({str(Path(__file__))!r}).read())", "raised", ""),
    Attack(
        "write anywhere",
        "import os, json\nwritten = []\n"
        "for d in ('/tmp', '/', '.', '/dev/shm', '/var/tmp', '/usr/lib', os.path.dirname(json.__file__)):\n"
        " try: open(d + '/left-behind', 'w').close(); written.append(d)\n except OSError: pass\nprint(written)",
        "finished",
        "[]\n",
    ),
    Attack("make a folder", "import os\nos.mkdir('/tmp/left-behind')", "raised"),
    Attack("remove", f"import os\nos.unlink({str(Path(__file__))!r})", "raised"),
    Attack("temporary file", "import tempfile\ntempfile.TemporaryFile()", "raised"),
    # The interpreter's own insides.
    Attack("leave at once", "import os\nos._exit(0)", "finished", ""),
    Attack("leave after flushing", "import os\nprint(7, flush=True)\nos._exit(0)", "finished", "7\n"),
    Attack("leave before flushing", "import os\nprint(7)\nos._exit(0)", "finished", ""),
    Attack("close the output, then print", "import sys\nsys.stdout.close()\nprint(7)", "raised", ""),
    Attack("close descriptor 1, then print", "import os\nos.close(1)\nprint(7)", "raised", ""),
    Attack("end of input", "import sys\nsys.stdin.close()\ninput()", "raised"),
    Attack(
        "cannot leave", "import os, sys\nos._exit = sys.exit = exit = lambda code=0: None\nprint(7)", "finished", "7\n"
    ),
    Attack(
        "speak for the zygote",
        "import sys\nframe = sys._getframe()\nwhile frame:\n"
        " if 'channel' in frame.f_locals: frame.f_locals['channel'].send(b'\\0' * 32); print('sent')\n"
        " frame = frame.f_back",
        "raised",
        "",
    ),
    Attack(
        "serve in the zygote's place",
        "import sys, socket\nzygote = sys.modules['inside.zygote']\nzygote.os._exit = lambda code: None\n"
        "zygote._serve(socket.socket(fileno=0), None)",
        "raised",
    ),
    Attack("tear everything down", "import sys\nprint(7)\nsys.modules.clear()", "finished"),
    Attack("no builtins", "import builtins\nprint(7)\nbuiltins.__dict__.clear()", "raised"),
    Attack("names that are none", "globals()[1] = 2\nprint(7)", "finished", "7\n"),
    Attack("hook that fails", "import sys\nsys.excepthook = None\n1 / 0", "raised"),
    Attack("exception that cannot be told", "class E(Exception):\n def __str__(self): 1/0\nraise E", "raised"),
    Attack("SystemExit of its own kind", "class E(SystemExit):\n code = property(lambda self: 1/0)\nraise E", "raised"),
    Attack("streams deleted", "import sys\nprint(7)\ndel sys.stdout, sys.stderr, sys.stdin", "finished", "7\n"),
    # Text.
    Attack("bytes that are no text", "import sys\nsys.stdout.buffer.write(b'\\xff')", "finished", "\ufffd"),
    Attack("half of a character", "print('\\ud800')", "raised", ""),
    Attack("nested brackets", "(" * 100_000 + ")" * 100_000, "syntax_error", ""),
    Attack("nested operators", "x = " + "-" * 200_000 + "1", "syntax_error", ""),
    Attack("NUL in the source", "print(1)\0", "syntax_error", ""),
    Attack("half of a character in the source", "print('\ud800')", "syntax_error", ""),
    Attack("unknown encoding", "# coding: no-such-thing\nprint(1)", "syntax_error", ""),
    Attack("empty", "", "finished", ""),
]  # fmt: skip


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_ends_as_it_must_and_the_jail_survives(jail: Jail, attack: Attack) -> None:
    zygote = jail._keeper("often")
    execution = jail.run(attack.program, "", attack.limits)
    assert execution.ended == attack.ended, execution.error
    if callable(attack.stdout):
        assert attack.stdout(execution.stdout)
    else:
        assert execution.stdout == attack.stdout
    after = jail.run("print(input())", "still here", CALM)
    assert (after.ended, after.stdout) == ("finished", "still here\n")
    assert jail._keepers["often"] is zygote


def test_nothing_of_one_program_reaches_the_next(jail: Jail) -> None:
    first = f"import builtins, os\nbuiltins.kept = {SECRET!r}\nos.environ['kept'] = kept\nprint(input())"
    assert jail.run(first, SECRET, CALM).stdout == SECRET + "\n"
    search = (
        "import builtins, gc, os, sys\n"
        "secret = '-'.join(['the', 'expected', 'output'])\n"
        "found = hasattr(builtins, 'kept') or 'kept' in os.environ\n"
        "frame = sys._getframe().f_back\n"
        "gc.unfreeze()\n"
        "places = [o for o in gc.get_objects() if isinstance(o, (dict, list, tuple))]\n"
        "while frame:\n places.append(dict(frame.f_locals)); frame = frame.f_back\n"
        "def holds(x): return isinstance(x, (str, bytes)) and x is not secret and str(x) == secret\n"
        "for place in places:\n"
        " if place is globals(): continue\n"
        " for item in (list(place.values()) if isinstance(place, dict) else place): found = found or holds(item)\n"
        "print(found)"
    )
    assert jail.run(search, "", CALM).stdout == "False\n"


def test_a_world_readable_file_outside_cannot_be_read(jail: Jail, tmp_path: Path) -> None:
    secret = tmp_path / "expected.txt"
    secret.write_text(SECRET, encoding="utf-8")
    secret.chmod(0o644)
    for parent in (tmp_path, tmp_path.parent):
        parent.chmod(0o755)
    execution = jail.run(f"print(open({str(secret)!r}).read())", "", CALM)
    assert execution.ended == "raised"
    assert SECRET not in execution.stdout


@pytest.mark.skipif(platform.machine() != "x86_64", reason="a second set of system calls exists on x86-64 only")
def test_the_second_set_of_system_calls_is_closed_too(jail: Jail) -> None:
    # 0x40000000 + 57 is fork by the x32 numbers.
    execution = jail.run(LIBC + "print(libc.syscall(0x40000000 + 57))", "", CALM)
    assert execution.ended == "raised"
    assert execution.error == "killed by SIGSYS"


def test_full_level_has_neither_processes_nor_folders_of_the_outside(jail: Jail) -> None:
    if jail.level != "full":
        pytest.skip("only namespaces hide what exists")
    program = "import os\nprint(os.getppid(), [d for d in ('/proc', '/home', '/tmp', '/root') if os.path.exists(d)])"
    seen = jail.run(program, "", CALM).stdout
    assert seen in ("1 []\n", "1 ['/root']\n")  # where the interpreter lies under /root, that path, and only it
