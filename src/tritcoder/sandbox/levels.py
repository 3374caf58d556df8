"""How well an untrusted program can be shut in on this machine: the levels, and the command that reaches each.

full            bubblewrap: every namespace, a file system that holds the interpreter and its libraries, read-only;
                besides seccomp, rlimits and, where the kernel has it, Landlock
no-namespaces   Landlock in the place of bubblewrap
seccomp-only    neither: seccomp forbids opening any file at all
none            rlimits only; a program may do all that its user may do
"""

import functools
import importlib.util
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tritcoder.errors import SandboxError
from tritcoder.sandbox.inside import modules
from tritcoder.sandbox.syscalls import build_filter

LEVELS = ("full", "no-namespaces", "seccomp-only", "none")
"""From the best to the worst."""

_INSIDE = Path(__file__).parent / "inside"
_ROOT_INSIDE, _PACKAGES_INSIDE = "/jail", "/packages"
_NOBODY = "65534"
_LIBRARIES = (
    *("/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/local/lib", "/nix/store"),
    *("/etc/ld.so.cache", "/etc/alternatives", "/usr/share/zoneinfo"),
)
"""What the interpreter and numpy are linked against. /etc/alternatives says which BLAS, on Debian."""
_DEVICES = ("/dev/null", "/dev/urandom")
_FLAGS = ("-S", "-s", "-P", "-B")
"""No site, no user's packages, no unsafe path, no bytecode written. Not -I: it would ignore PYTHONHASHSEED."""
_STACK_KIB = 262144
ENVIRONMENT = {
    "PYTHONHASHSEED": "0",  # the same order of sets in every run
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TZ": "UTC",
    "HOME": "/",
    "PATH": "/usr/bin:/bin",
    "LD_BIND_NOW": "1",  # symbols are looked up once, here, and not anew by each child
    "MALLOC_ARENA_MAX": "1",  # each arena takes 64 MiB of address space, which is what is limited
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
}


@dataclass(frozen=True, slots=True)
class Launch:
    """How to start one zygote, and what it must be told."""

    command: tuple[str, ...]
    settings: dict[str, Any]


def plan(level: str, kind: str) -> Launch:
    """The command line and the settings of a zygote at this level.

    Args:
        level: one of LEVELS.
        kind: what is imported beforehand: `often`, `seldom` (that too), or `numpy` (that as well).

    Raises:
        SandboxError: bubblewrap, pyseccomp or libseccomp is needed and missing.
    """
    namespaces = level == "full"
    packages = numpy_folder() if kind == "numpy" else None
    root = _ROOT_INSIDE if namespaces else str(_INSIDE.parent)
    start = f"import sys; sys.path.append({root!r}); from inside.zygote import main; sys.path.pop(); main()"
    command: tuple[str, ...] = (_interpreter(), *_FLAGS, "-c", start)
    readable = [*_LIBRARIES, *_DEVICES, *_interpreter_folders()]
    if packages is not None:
        readable += [_PACKAGES_INSIDE] if namespaces else _numpy_parts(packages)
    settings = {
        "filter": "" if level == "none" else build_filter(open_files=level != "seccomp-only").hex(),
        "landlock": {"full": "if_there", "no-namespaces": "required"}.get(level, "no"),
        "readable": readable,
        "packages": _PACKAGES_INSIDE if packages and namespaces else packages,
        "packages_hold_only_numpy": namespaces,
        "more": _more_modules(level, kind),
    }
    if namespaces:
        command = (*_bubblewrap(packages), "--", *command)
    # The room for the main stack is laid out when a program starts, so the limit comes before it.
    limit_stack = f'ulimit -s {_STACK_KIB} 2>/dev/null; exec "$@"'
    return Launch(("/bin/sh", "-c", limit_stack, "sh", *command), settings)


def _more_modules(level: str, kind: str) -> str:
    if level == "seccomp-only":
        return f"{modules.SELDOM} {modules.WHERE_NO_FILE_OPENS}"
    return "" if kind == "often" else modules.SELDOM


@functools.cache
def numpy_folder() -> str | None:
    """The folder that holds this interpreter's numpy; None where there is none."""
    spec = importlib.util.find_spec("numpy")
    if spec is None or not spec.submodule_search_locations:
        return None
    return str(Path(spec.submodule_search_locations[0]).resolve().parent)


def _numpy_parts(packages: str) -> list[str]:
    """The package, and the shared libraries that its wheel brings."""
    return [str(path) for name in ("numpy", "numpy.libs") if (path := Path(packages, name)).is_dir()]


def _interpreter() -> str:
    """The real interpreter: that of a virtual environment is a link to it."""
    return str(Path(sys.executable).resolve())


def _interpreter_folders() -> list[str]:
    """Its standard library and libpython. Never the prefix itself: that may be somebody's home."""
    prefix = Path(sys.base_prefix).resolve()
    return [str(path) for name in ("lib", "lib64") if (path := prefix / name).is_dir()]


def _bubblewrap(packages: str | None) -> list[str]:
    program = shutil.which("bwrap")
    if program is None:
        raise SandboxError(
            "bubblewrap (bwrap) is not installed",
            "apt-get install bubblewrap (dnf install bubblewrap, apk add bubblewrap)",
        )
    command = [program, "--unshare-user", "--uid", _NOBODY, "--gid", _NOBODY, "--cap-drop", "ALL"]
    command += ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]
    command += ["--hostname", "jail", "--as-pid-1", "--new-session"]
    shown: list[str] = []
    for path in [*_LIBRARIES, *_interpreter_folders(), _interpreter()]:
        command += _show(path, shown)
    for path in _DEVICES:
        command += ["--dev-bind", path, path]
    command += ["--ro-bind", str(_INSIDE), f"{_ROOT_INSIDE}/inside"]
    for path in _numpy_parts(packages) if packages else []:
        command += ["--ro-bind", path, f"{_PACKAGES_INSIDE}/{Path(path).name}"]
    return [*command, "--remount-ro", "/", "--chdir", "/"]


def _show(path: str, shown: list[str]) -> list[str]:
    """The option that makes a path visible at its own place, read-only; none if it is missing or visible already."""
    here = Path(path)
    if not here.exists() or any(here.is_relative_to(other) for other in shown):
        return []
    shown.append(path)
    if here.is_symlink():  # /lib is a link to usr/lib on most systems
        return ["--symlink", str(here.readlink()), path]
    return ["--ro-bind", path, path]
