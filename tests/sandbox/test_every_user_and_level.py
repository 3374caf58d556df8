"""The attacks once more, by other users than the one who runs these tests, and where namespaces are refused."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import attack_runner
import pytest
from attacks import ATTACKS, LEFT, met

import tritcoder
from tritcoder.errors import SandboxError
from tritcoder.sandbox.jail import best_level

pytest.importorskip("pyseccomp")

_HERE = Path(__file__).parent
_FIRST_UID = 10_000 + os.getpid() * 8 % 50_000
"""Of the plain users: nobody's, so that whatever belongs to it came from an attack."""
_LONGEST_S = 300


@dataclass(frozen=True)
class Case:
    level: str
    user: str
    """`plain`: a user of its own, without groups; `same`: the one who runs these tests."""
    namespaces: str = "allowed"

    def __str__(self) -> str:
        return f"{self.level}, {self.user} user, namespaces {self.namespaces}"


CASES = [
    Case("full", "plain"),
    Case("no-namespaces", "plain"),
    Case("seccomp-only", "plain"),
    Case("no-namespaces", "plain", "refused"),
    Case("no-namespaces", "same", "refused"),
]
SLOW_CASES = [Case("seccomp-only", "plain", "refused"), Case("seccomp-only", "same", "refused")]


@cache
def interpreter(uid: int) -> str | None:
    """One that this user may run: this one, or else the system's; its packages are not needed."""
    works = "import sys, json, ctypes; sys.exit(sys.version_info < (3, 11))"
    for name in (os.path.realpath(sys.executable), shutil.which("python3", path="/usr/local/bin:/usr/bin:/bin")):
        try:
            if name and not subprocess.run([name, "-B", "-c", works], check=False, cwd="/", **_as(uid)).returncode:
                return name
        except OSError:
            continue
    return None


def _as(uid: int) -> dict[str, Any]:
    return {} if uid == os.getuid() else {"user": uid, "group": uid, "extra_groups": []}


def _run(case: Case, uid: int, folder: Path) -> dict[str, Any]:
    """The report of a runner, or the reason why there is none."""
    if case.user == "plain" and os.getuid() != 0:
        return {"refused": "only root becomes another user; whoever runs this is a plain user already"}
    uid = uid if case.user == "plain" else os.getuid()
    program = interpreter(uid)
    if program is None:
        return {"refused": "a plain user may run no interpreter here that is new enough"}
    home = Path(tempfile.mkdtemp(dir=folder))
    os.chown(home, uid, uid if case.user == "plain" else -1)
    command = [program, "-B", "-s", str(folder / "attack_runner.py"), case.level]
    command += ["--refuse-namespaces"] if case.namespaces == "refused" else []
    environment = {"PATH": os.environ["PATH"], "HOME": str(home), "LC_ALL": "C.UTF-8"}
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd=home,
        env=environment,
        timeout=_LONGEST_S,
        **_as(uid),
    )
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    assert found.get("uid", uid) == uid
    return found


@pytest.fixture(scope="module")
def reports(request: pytest.FixtureRequest) -> Iterator[Mapping[Case, "Future[dict[str, Any]]"]]:
    """Of each case that was asked for, two at a time; what runs is a copy that every user may read."""
    try:
        best_level()
    except SandboxError as error:
        pytest.skip(error.message)
    wanted = {item.callspec.params.get("case") for item in request.session.items if hasattr(item, "callspec")}
    folder = Path(tempfile.mkdtemp(prefix="attacks-"))
    try:
        shutil.copytree(Path(tritcoder.__file__).parent / "sandbox", folder / "tritcoder" / "sandbox")
        shutil.copy(Path(tritcoder.__file__).with_name("errors.py"), folder / "tritcoder")
        (folder / "tritcoder" / "__init__.py").touch()
        for file in (_HERE / "attacks.py", _HERE / "attack_runner.py", sys.modules["pyseccomp"].__file__):
            shutil.copy(str(file), folder)
        for path in (folder, *folder.rglob("*")):
            path.chmod(0o755 if path.is_dir() else 0o644)
        with ThreadPoolExecutor(2) as pool:
            cases = [case for case in CASES + SLOW_CASES if case in wanted]
            yield {case: pool.submit(_run, case, _FIRST_UID + place, folder) for place, case in enumerate(cases)}
    finally:
        shutil.rmtree(folder)


def _report(reports: Mapping[Case, "Future[dict[str, Any]]"], case: Case) -> dict[str, Any]:
    report = reports[case].result()
    if "refused" in report:
        pytest.skip(report["refused"])
    return report


@pytest.mark.parametrize(
    "case", [*CASES, *(pytest.param(case, marks=pytest.mark.slow) for case in SLOW_CASES)], ids=str
)
def test_attacks_end_as_they_must_and_leave_nothing(
    reports: Mapping[Case, "Future[dict[str, Any]]"], case: Case
) -> None:
    report = _report(reports, case)
    assert report["became"] == {attack.name: met(attack) for attack in ATTACKS}
    assert report["heard"] == []
    assert report["left"] == []


@pytest.mark.parametrize("case", [case for case in CASES if case.namespaces == "refused"], ids=str)
def test_where_namespaces_are_refused_the_next_level_is_the_best(
    reports: Mapping[Case, "Future[dict[str, Any]]"], case: Case
) -> None:
    assert _report(reports, case)["best"] == "no-namespaces"


def test_what_an_attack_would_leave_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(attack_runner, "_children", lambda: ())  # the children of this process are others' as well
    monkeypatch.setattr(attack_runner, "_FOLDERS", ("/dev/shm",))
    with closing(socket.socket(socket.AF_UNIX)) as bound:
        before = set(attack_runner.left_behind())
        bound.bind(f"\0{LEFT}-{os.getpid()}")
        tmp_path.joinpath("x").touch()
        found = set(attack_runner.left_behind()) - before
    assert found == {str(tmp_path / "x"), f"a unix socket @{LEFT}-{os.getpid()}"}


def test_a_process_that_an_attack_would_leave_is_found() -> None:
    program = (
        "import attack_runner, os, subprocess\nattack_runner.adopt_orphans()\nattack_runner._PATIENCE_S = 0.2\n"
        "subprocess.run(['/bin/sh', '-c', 'sleep 60 &'], stdout=subprocess.DEVNULL)\n"
        "print(*attack_runner._children())\nos.killpg(0, 9)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{_HERE}:{Path(tritcoder.__file__).parents[1]}"}
    command = [sys.executable, "-u", "-c", program]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment, start_new_session=True
    )
    assert ended.stdout == "a process\n", ended.stderr
