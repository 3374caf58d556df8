"""The list of attacks in a process of its own, whoever runs it: `attack_runner.py LEVEL [--refuse-namespaces]`.

Needs the standard library, pyseccomp, attacks.py and tritcoder.sandbox. Prints JSON: the best level of this machine,
what became of each attack, and what was found afterwards of processes, files, sockets and shared memory.
"""

import ctypes
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from attacks import ATTACKS, CALM, IPC_KEY, LEFT, attempt

from tritcoder.errors import SandboxError
from tritcoder.sandbox.jail import Jail, best_level, open_jail

_PR_SET_CHILD_SUBREAPER = 36
_NEW_NAMESPACES = (1 << 7, 1 << 17, 1 << 25, 1 << 26, 1 << 27, 1 << 28, 1 << 29, 1 << 30)
_REFUSED_BY_CONTAINERS = (
    "unshare setns mount umount2 pivot_root move_mount open_tree fsopen fsconfig fsmount fspick mount_setattr "
    "bpf perf_event_open keyctl add_key request_key userfaultfd io_uring_setup io_uring_enter io_uring_register "
    "init_module finit_module delete_module kexec_load reboot swapon swapoff quotactl acct settimeofday"
)
_PATIENCE_S = 5.0
"""For what is about to end."""
_FOLDERS = ("/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run")
_MESSENGER = (
    "import socket as s\nport = int(input())\nname = '\\0' + input()\n"
    "def say(family, kind, place):\n"
    " for send in (lambda x: x.sendto(b'hello', place), lambda x: (x.connect(place), x.send(b'hello'))):\n"
    "  try:\n   with s.socket(family, kind) as x: send(x); print(family, kind)\n"
    "  except OSError: pass\n"
    "for kind in (s.SOCK_STREAM, s.SOCK_DGRAM):\n"
    " say(s.AF_INET, kind, ('127.0.0.1', port))\n say(s.AF_UNIX, kind, name)"
)


def refuse_namespaces() -> None:
    """Refuse, to this process and to all that it starts, what the default profile of Docker refuses."""
    import pyseccomp

    rules = pyseccomp.SyscallFilter(pyseccomp.ALLOW)
    refused, unknown = pyseccomp.ERRNO(1), pyseccomp.ERRNO(38)
    for flag in _NEW_NAMESPACES:
        rules.add_rule(refused, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    rules.add_rule(unknown, "clone3")
    for name in _REFUSED_BY_CONTAINERS.split():
        number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
        if number >= 0:
            rules.add_rule(refused, number)
    rules.load()


def adopt_orphans() -> None:
    """Whatever a descendant leaves running becomes this process's child, as it would otherwise become init's."""
    ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def left_behind() -> list[str]:
    """What there is of an attack once the jail is closed: nothing, if all is well.

    A name that holds LEFT, or the key IPC_KEY, gives it away; for a user who does nothing else, so does the owner.
    """
    return [*_children(), *_files(), *_sockets(), *_shared_memory()]


def _children() -> Iterator[str]:
    """Those that go on running. When there are none, there are no descendants either."""
    deadline = time.monotonic() + _PATIENCE_S
    with suppress(ChildProcessError):
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG) == (0, 0):
                time.sleep(0.02)
        yield "a process"


def _is_ours(uid: int) -> bool:
    return uid == os.getuid() != 0


def _files() -> Iterator[str]:
    yield from (str(path) for path in Path.cwd().iterdir())
    for folder in map(Path, _FOLDERS):
        if folder.is_dir() and os.access(folder, os.R_OK):
            for path in folder.iterdir():
                with suppress(OSError):  # somebody else's, and gone
                    if LEFT in path.name or _is_ours(path.lstat().st_uid):
                        yield str(path)


def _sockets() -> Iterator[str]:
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the one by which the folder is read
            if descriptor.readlink().name.startswith("socket:"):
                yield f"a socket, open as {descriptor.name}"
    for line in _rows("/proc/net/unix"):
        if LEFT in line[-1]:
            yield f"a unix socket {line[-1]}"
    for kind in ("tcp", "tcp6", "udp", "udp6", "raw", "raw6"):
        for line in _rows(f"/proc/net/{kind}"):
            if _is_ours(int(line[7])):
                yield f"a socket of {kind}, {line[1]} to {line[2]}"


def _shared_memory() -> Iterator[str]:
    for kind in ("shm", "msg", "sem"):
        for line in _rows(f"/proc/sysvipc/{kind}"):
            owners = line[7:11] if kind != "sem" else line[4:8]
            if int(line[0]) == IPC_KEY or _is_ours(int(owners[0])):
                yield f"{kind} {line[0]}"


def _rows(path: str) -> list[list[str]]:
    try:
        return [line.split() for line in Path(path).read_text(encoding="utf-8", errors="replace").splitlines()[1:]]
    except OSError:  # this kernel has no such thing
        return []


def messages_that_got_through(jail: Jail) -> list[str]:
    """What reaches servers outside, on the loopback interface and by name, from a program that knows them."""
    name = f"listener-{os.getpid()}"
    with (
        socket.socket() as tcp,
        socket.socket(type=socket.SOCK_DGRAM) as udp,
        socket.socket(socket.AF_UNIX) as stream,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        stream.bind(f"\0{name}")
        datagrams.bind(f"\0{name}-d")
        tcp.listen()
        stream.listen()
        stdin = f"{tcp.getsockname()[1]}\n{name}"
        executions = [jail.run(_MESSENGER, stdin + ending, CALM) for ending in ("", "-d")]
        heard = [f"{run.ended} {run.stdout}" for run in executions if (run.ended, run.stdout) != ("finished", "")]
        for listener in (tcp, udp, stream, datagrams):
            listener.setblocking(False)
            with suppress(BlockingIOError):
                heard.append(str(listener.accept() if listener in (tcp, stream) else listener.recv(9)))
    return heard


def report(level: str) -> dict[str, Any]:
    """Run the whole list at this level and tell."""
    adopt_orphans()
    try:
        best = best_level()
        with closing(open_jail(level)) as jail:
            became = {attack.name: attempt(jail, attack) for attack in ATTACKS}
            heard = messages_that_got_through(jail)
    except SandboxError as error:
        return {"refused": str(error)}
    return {"uid": os.getuid(), "best": best, "became": became, "heard": heard, "left": left_behind()}


if __name__ == "__main__":
    if "--refuse-namespaces" in sys.argv:
        refuse_namespaces()
    print(json.dumps(report(sys.argv[1])))
