"""Hostile programs: how each must end, and what must hold of its output. The list needs no pytest, so that any user's
interpreter can go through it (attack_runner.py).

Where the rows of the specification of attacks are ("semantics" is PROGRAMS and RIGHT of test_program_semantics.py;
some stand there and here):

1 fork bomb · 2 fork bomb that goes on · 3 8 GB at once · 4 growing list · 5 flood of output · 6 flood of errors ·
7 loop · 8 sleep · 9 kill all · 10 kill the parent · 11 kill by libc · 12 leave at once · 13 leave after flushing ·
14 close the output, then print · 15 close descriptor 1, then print · 16 loop that ignores signals · 17 sleep after
cancelled alarms · 18 more address space, more processor time · 19 memory of the parent · 20 list descriptors · 21 find
descriptors · 22 passwords, home, these tests · 23, 24 write anywhere, make a folder, remove, temporary file · 25 TCP,
UDP, unix socket, netlink · 26 shell · 27 subprocess, exec, multiprocessing · 28 four threads · 29 thread bomb ·
30 thread that never ends · 31 overflow of the C stack · 32 null pointer, no core file · 33, 34 recursion, recursion in a
thread · 35 many digits · 36 loop in C · 37 end of input · 38 input to the end · 39 bytes in, bytes out · 40 main guard ·
41, 42 leave a secret, find the secret · 43 write to every descriptor, close every descriptor · 44 cannot leave ·
45 speak for the zygote, serve in the zygote's place · 46 trace the parent · 47 write anywhere, temporary file ·
48 look for what others left · 49 shared memory · 50 new namespace · 51 bytes that are no text · 52 half of a
character · 53 io_uring · 54 loop at exit · 55 stop itself · 56 daemonise · 57 type into the terminal · 58 other
processors · 59+ equal to everything, not a number, a million lists deep, list that holds itself, nested brackets, NUL in
the source, source in another encoding, half of a character in the source, same hashes in every zygote; a hundred
megabytes of input: semantics; load 8: test_sandbox_limits.py.
"""

# ruff: noqa: E501  a table reads best with one program a line

import platform
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tritcoder.sandbox.execution import Ended, Execution
from tritcoder.sandbox.jail import Jail
from tritcoder.sandbox.limits import MIB, Limits

CALM = Limits(cpu_s=10, wall_s=60, memory_bytes=256 * MIB, output_bytes=64 * 1024)
BUSY = Limits(cpu_s=0.2, wall_s=60, memory_bytes=256 * MIB, output_bytes=64 * 1024)
"""For what burns processor time: the clock has no say, however busy the machine."""
IDLE = Limits(cpu_s=10, wall_s=0.25, memory_bytes=256 * MIB, output_bytes=64 * 1024)
"""For what sleeps."""
SMALL = Limits(cpu_s=10, wall_s=60, memory_bytes=48 * MIB)
SECRET = "-".join(["the", "expected", "output"])
LEFT = "left-behind"
"""In the name of whatever an attack would leave: files, folders, sockets."""
IPC_KEY = 0x7AC0DE
"""Of what it would leave in System V's shared memory, queues and semaphores."""


@dataclass(frozen=True)
class Attack:
    """A program, how it must end, and what it must print (a text, or a claim about the text)."""

    name: str
    program: str
    ended: Ended
    stdout: str | Callable[[str], bool] = field(default=lambda text: True)
    limits: Limits = CALM
    stdin: str = ""
    fn_name: str | None = None
    """The function to call, without arguments; what it printed counts for nothing then."""
    value: Any = None
    """What a call returns, as Python prints it."""

    def run(self, jail: Jail) -> Execution:
        """In this jail, once."""
        if self.fn_name is not None:
            return jail.call(self.program, self.fn_name, [], self.limits)
        return jail.run(self.program, self.stdin, self.limits)

    def is_met(self, execution: Execution) -> bool:
        """Whether it ended as it must, and left the output that it must."""
        if execution.ended != self.ended or repr(execution.value) != repr(self.value):
            return False
        if callable(self.stdout):
            return self.stdout(execution.stdout)
        return execution.stdout == self.stdout


LIBC = "import ctypes\nlibc = ctypes.CDLL(None)\n"

RECURSION = "import sys\nsys.setrecursionlimit(10**6)\ndef f(n): return n and f(n - 1) + 1\n"
FIND_SECRET = (
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

ATTACKS = [
    # Processes.
    Attack("fork bomb", "import os\nwhile True: os.fork()", "raised", ""),
    Attack("fork bomb that goes on", "import os\nwhile True:\n try: os.fork()\n except OSError: pass", "time_limit", limits=BUSY),
    Attack("fork by libc", LIBC + "print(libc.fork(), libc.vfork())", "finished", "-1 -1\n"),
    Attack("daemonise", "import os\nif os.fork(): os._exit(0)\nos.setsid()", "raised"),
    Attack("shell", "import os\nos.system('echo hacked')", "finished", ""),
    Attack("subprocess", "import subprocess\nsubprocess.run(['/bin/echo', 'hacked'])", "raised", ""),
    Attack("exec", "import os\nos.execv('/bin/sh', ['sh', '-c', 'echo hacked'])", "raised", ""),
    Attack("multiprocessing", "import multiprocessing as m\nm.Process(target=print).start()", "raised", ""),
    # Memory and output.
    Attack("8 GB at once", "bytearray(8 << 30)", "memory_limit", ""),
    Attack("growing list", "kept = []\nwhile True: kept.append('x' * 10**6)", "memory_limit", ""),
    Attack("small objects without end", "kept = []\nwhile True: kept.append([len(kept)])", "memory_limit", "", SMALL),
    Attack("flood of output", "while True: print('x' * 1000)", "output_limit", lambda text: len(text) == 65536),
    Attack("flood of errors", "import sys\nwhile True: print('x' * 1000, file=sys.stderr)", "raised", ""),
    Attack("a file of terabytes", "import os\nos.ftruncate(1, 1 << 40)", "raised"),
    Attack(
        "thread bomb",
        "import threading, time\nn = 0\ntry:\n while True:\n"
        "  threading.Thread(target=time.sleep, args=(50,), daemon=True).start(); n += 1\n"
        "except RuntimeError: print(n < 100)",
        "finished",
        "True\n",
    ),
    Attack(
        "thread bomb with stacks of next to nothing",
        "import threading, time\nthreading.stack_size(32768)\nn = 0\ntry:\n while n < 600:\n"
        "  threading.Thread(target=time.sleep, args=(50,), daemon=True).start(); n += 1\n"
        "except RuntimeError: print(n < 300)",
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
    Attack("loop under a bare except", "while True:\n try:\n  while True: pass\n except: pass", "time_limit", limits=BUSY),
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
    Attack("loop at exit", "import atexit\n@atexit.register\ndef f():\n while True: pass", "time_limit", limits=BUSY),
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
    Attack("have a pipe send the signal", "import fcntl, os\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())", "raised"),
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
    Attack("shared memory", LIBC + "print(libc.shmget(0x7AC0DE, 4096, 0o1777), libc.msgget(0x7AC0DE, 0o1777), libc.semget(0x7AC0DE, 1, 0o1777))", "finished", "-1 -1 -1\n"),
    Attack("nameless file", "import os\nos.memfd_create('x')", "raised"),
    Attack("type into the terminal", "import fcntl, termios\nfcntl.ioctl(0, termios.TIOCSTI, b'x')", "raised"),
    # Network.
    Attack("TCP", "import socket\nsocket.create_connection(('127.0.0.1', 22))", "raised"),
    Attack("UDP", "import socket as s\ns.socket(s.AF_INET, s.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))", "raised"),
    Attack("unix socket", "import socket as s\ns.socket(s.AF_UNIX).bind('\\0left-behind')", "raised"),
    Attack("pair of sockets", "import socket as s\ns.socketpair()", "raised"),
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
    Attack(
        "look for what others left",
        "import os\nfound = []\nfor d in ('/tmp', '/dev/shm', '/var/tmp', '/run', '/proc', '.'):\n try: found += os.listdir(d)\n"
        " except OSError: pass\nprint([n for n in found if n not in os.listdir('/')] if found else found)",
        "finished",
        "[]\n",
    ),
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
    Attack("source in another encoding", "# coding: utf-16\nprint(1)", "syntax_error", ""),
    Attack("source in an older encoding", "# coding: latin-1\nprint(len('é'))", "finished", "2\n"),
    Attack("NUL alone", "\0", "syntax_error", ""),
    # Descriptors that the process outside holds too: nothing done to them reaches it.
    Attack("flags on the streams", "import fcntl, os\nfor n in (0, 1, 2): fcntl.fcntl(n, fcntl.F_SETFL, os.O_APPEND | os.O_NONBLOCK)\nprint(7)", "finished", "7\n"),
    Attack("close every descriptor", "import os\nos.closerange(0, 4096)\nprint(7)", "raised", ""),
    Attack("reserve terabytes", "import os\nos.posix_fallocate(1, 0, 1 << 40)", "raised", ""),
    Attack("input of terabytes", "import os\nos.ftruncate(0, 1 << 40)", "raised", ""),
    Attack("cut and change the input", "import os\nos.ftruncate(0, 0)\nos.pwrite(0, b'mine', 0)\nprint(input())", "finished", "mine\n", stdin="theirs"),
    Attack("far beyond the end of the output", "import os\nos.lseek(1, 1 << 60, 0)\nos.write(1, b'x')", "raised", ""),
    Attack("back to the beginning of the output", "import os\nos.write(1, b'wrong')\nos.lseek(1, 0, 0)\nos.ftruncate(1, 0)\nos.write(1, b'7')", "finished", "7"),
    Attack("a hole in the output", "import os\nos.lseek(1, 9, 0)\nos.write(1, b'x')", "finished", "\0" * 9 + "x"),
    Attack("a hole up to the limit", "import os\nos.ftruncate(1, 65536)", "finished", "\0" * 65536),
    Attack("beyond the end of the input", "import os\nos.lseek(0, 1 << 62, 0)\nprint(os.read(0, 9))\ninput()", "raised", "b''\n", stdin="x\n"),
    Attack("output in memory", "import mmap, os\nos.ftruncate(1, 4096)\nm = mmap.mmap(1, 4096)\nm[:2] = b'7\\n'\nm.close()\nos.ftruncate(1, 2)", "finished", "7\n"),
    Attack("output cut under a map", "import mmap, os\nos.ftruncate(1, 4096)\nm = mmap.mmap(1, 4096)\nos.ftruncate(1, 0)\nm[0]", "raised", ""),
    Attack("output sealed", "import fcntl\nfcntl.fcntl(1, 1033, 15)", "raised", ""),
    Attack("output locked", "import fcntl\nfcntl.flock(1, fcntl.LOCK_EX)", "raised", ""),
    Attack("copies of a descriptor without end", "import os\nn = 0\ntry:\n while True: os.dup(1); n += 1\nexcept OSError: print(n)", "finished", "61\n"),
    Attack("an error far out", "import os\nos.lseek(2, 60000, 0)\nos.write(2, b'MemoryError')\n1 / 0", "raised", ""),
    Attack("a pipe that nobody reads", "import os\nr, w = os.pipe()\nos.write(w, b'x' * 10**6)", "time_limit", "", IDLE),
    Attack("alarms that are still to ring", "import signal\nsignal.setitimer(signal.ITIMER_REAL, 0.05)\nsignal.setitimer(signal.ITIMER_PROF, 9)\nsignal.alarm(1)\nprint(7)", "finished", "7\n"),
    # Bombs for the compiler, the interpreter and its libraries.
    Attack("constant of gigabits", "x = 1 << 10**10", "memory_limit", ""),
    Attack("constant of gigabytes", "x = 'a' * 10**10", "memory_limit", ""),
    Attack("tower of powers", "x = 9**9**9**9", "time_limit", "", BUSY),
    Attack("constant of a million digits", "x = " + "9" * 2_000_000, "time_limit", "", BUSY),
    Attack("sum of 100,000 terms", "x = " + "+".join("1" * 100_000), "syntax_error", ""),
    Attack("wide format", "print('%*d' % (10**9, 1))", "memory_limit", ""),
    Attack("unpacking bomb", "import zlib\nx = zlib.compress(b'\\0' * (1 << 24))\nkept = [zlib.decompress(x) for _ in range(99)]", "memory_limit", ""),
    Attack("pattern that backtracks", "import re\nre.match('(a+)+$', 'a' * 50 + 'b')", "time_limit", "", BUSY),
    Attack("code of its own making", "def f(): pass\nf.__code__ = f.__code__.replace(co_code=bytes([100, 255, 83, 0]) * 999, co_consts=())\nf()", "raised", ""),
    Attack("marshal of nonsense", "import marshal\nmarshal.loads(b'\\xfb' * 100)", "raised", ""),
    Attack("tracer that fails", "import sys\nsys.settrace(lambda *a: 1 / 0)\ndef f(): pass\nf()", "raised", ""),
    # Calls: what comes back is data, or nothing.
    Attack("equal to everything", "class A:\n def __eq__(self, other): return True\ndef f(): return A()", "raised", fn_name="f"),
    Attack("not a number", "def f(): return [float('nan'), float('inf')]", "finished", fn_name="f", value=[float("nan"), float("inf")]),
    Attack("a million lists deep", "def f():\n x = []\n for _ in range(10**6): x = [x]\n return x", "raised", fn_name="f"),
    Attack("a million objects deep", "def f():\n x = {}\n for _ in range(10**6): x = {'x': x}\n return x", "raised", fn_name="f"),
    Attack("list that holds itself", "x = []\nx.append(x)\ndef f(): return x", "raised", fn_name="f"),
    Attack("object that holds itself", "x = {}\nx['x'] = x\ndef f(): return x", "raised", fn_name="f"),
    Attack("forged depth", "import os\ndef f():\n os.write(3, b'{\"value\":' + b'[' * 30000 + b']' * 30000 + b'}')\n os._exit(0)", "raised", fn_name="f"),
    Attack("forged, then returned", "import os\ndef f():\n os.write(3, b'{\"value\": 1}')\n return 2", "raised", fn_name="f"),
    Attack("value of terabytes", "import os\ndef f():\n os.lseek(3, 1 << 40, 0)\n return 2", "raised", fn_name="f"),
    Attack("value of NULs", "import os\ndef f():\n os.ftruncate(3, 65536)\n return 2", "raised", fn_name="f"),
    # What must go well, whoever runs it: an attack on the jail's patience at most.
    Attack("leave a secret", f"import builtins, os\nbuiltins.kept = {SECRET!r}\nos.environ['kept'] = kept\nprint(input())", "finished", SECRET + "\n", stdin=SECRET),
    Attack("find the secret", FIND_SECRET, "finished", "False\n"),
    Attack("four threads", "import threading\nx = [0] * 4\ndef f(i): x[i] = i\nt = [threading.Thread(target=f, args=(i,)) for i in range(4)]\n[i.start() for i in t]\n[i.join() for i in t]\nprint(x)", "finished", "[0, 1, 2, 3]\n"),
    Attack("recursion", RECURSION + "print(f(10**5))", "finished", "100000\n"),
    Attack("recursion in a thread", RECURSION + "import threading\nthreading.stack_size(1 << 26)\nt = threading.Thread(target=lambda: print(f(10**5)))\nt.start()", "finished", "100000\n"),
    Attack("many digits", "print(len(str(10**20000)))", "finished", "20001\n"),
    Attack("input to the end", "try:\n while True: print(input())\nexcept EOFError: print('end')", "finished", "1\n2\nend\n", stdin="1\n2\n"),
    Attack("bytes in, bytes out", "import sys\nsys.stdout.buffer.write(sys.stdin.buffer.read()[::-1])", "finished", "21", stdin="12"),
    Attack("main guard", "def main(): print(7)\nif __name__ == '__main__': main()", "finished", "7\n"),
    Attack("same hashes in every zygote", "print(hash('x'))", "finished", "-3368204716105132637\n"),
]  # fmt: skip

_RAW = (
    "import ctypes\nlibc = ctypes.CDLL(None, use_errno=True)\n"
    "def ask(*numbers): return libc.syscall(*map(ctypes.c_long, numbers)), ctypes.get_errno()\n"
)
_MACHINE = (
    "import ctypes, mmap\npage = mmap.mmap(-1, 4096, prot=7)\npage.write(bytes.fromhex('{}'))\n"
    "print(ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))())"
)
REFUSED = {
    "eventfd": (284, 290), "timerfd": (283, 286, 287), "inotify": (253, 254, 294), "epoll": (213, 291),
    "userfaultfd": (323,), "bpf": (321,), "perf_event_open": (298,), "keys": (248, 249, 250),
    "memory of others": (310, 311, 312, 440, 448), "pidfd": (424, 434, 438), "signals": (62, 129, 200, 234, 297),
    "mount": (155, 161, 165, 166, 428, 429, 430, 431, 432, 433, 442), "namespaces": (272, 308),
    "handles of files": (303, 304, 437), "notifications": (300, 301), "Landlock and seccomp": (317, 444, 445, 446),
    "asynchronous input and output": (206, 209, 425, 426, 427), "process timers": (222, 223), "signalfd": (282, 289),
    "queues": (29, 30, 31, 64, 65, 68, 69, 70, 71, 240, 241), "sockets": (41, 42, 43, 44, 46, 49, 50, 53, 288),
    "modules, kernels": (169, 175, 246, 313, 320), "clocks": (159, 164, 227, 305), "swap, accounts": (163, 167, 168),
    "users": (105, 106, 109, 113, 114, 116, 117, 119, 122, 123, 126), "names": (170, 171), "ports": (172, 173),
    "schedule": (141, 142, 144, 203, 251, 314), "limits": (160,), "pages of memory": (149, 151, 237, 238, 256, 279),
    "processes": (57, 58, 59, 322), "files": (82, 83, 84, 85, 86, 87, 88, 90, 92, 132, 133, 188, 189, 190, 280),
    "spans between descriptors": (40, 275, 276, 278, 326), "segments": (154,), "personality": (135,), "trace": (101,),
    "nameless files": (319, 447), "reserve": (285,), "locks": (73,),
}  # fmt: skip
"""Numbers of x86-64 that no program may use: each fails with EPERM, whatever its arguments."""

if platform.machine() == "x86_64":
    ATTACKS += [
        Attack(
            f"raw {name}",
            f"{_RAW}print([n for n in {numbers} for x in (0, 1) if ask(n, x, x, x, 0, 0, 0) != (-1, 1)])",
            "finished",
            "[]\n",
        )
        for name, numbers in REFUSED.items()
    ]
    ATTACKS += [
        Attack("clone3", f"{_RAW}print(ask(435, 0, 88))", "finished", "(-1, 38)\n"),
        Attack("fork in machine code", _MACHINE.format("b8390000000f05c3"), "finished", "-1\n"),
        Attack("fork by int 0x80", _MACHINE.format("b802000000cd80c3"), "raised", ""),
        Attack("process id by int 0x80", _MACHINE.format("b814000000cd80c3"), "raised", ""),
        Attack("fork by x32", f"{_RAW}print(ask(0x40000000 + 57))", "raised", ""),
        Attack("halt the machine", _MACHINE.format("f4c3"), "raised", ""),
    ]


def attempt(jail: Jail, attack: Attack) -> list[Any]:
    """What became of an attack, for comparison with `met`: how it ended, its output, and whether the jail survived."""
    zygote = jail._keeper("often")
    execution = attack.run(jail)
    after = jail.run("print(input())", "still here", CALM)
    survived = (after.ended, after.stdout) == ("finished", "still here\n") and jail._keepers["often"] is zygote
    said = "" if attack.is_met(execution) else f"{execution.error} {execution.stdout[:300]!r} {execution.value!r}"
    return [execution.ended, said, survived]


def met(attack: Attack) -> list[Any]:
    """What `attempt` says of an attack that went as it must."""
    return [attack.ended, "", True]
