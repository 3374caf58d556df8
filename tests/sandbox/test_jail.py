"""The jail as its owner sees it: levels, repair, and what is left when it is closed."""

import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tritcoder.errors import AskedWronglyError, SandboxError
from tritcoder.sandbox import levels
from tritcoder.sandbox.jail import Jail, best_level, open_jail
from tritcoder.sandbox.keeper import BrokenZygoteError, Keeper
from tritcoder.sandbox.limits import Limits
from tritcoder.sandbox.syscalls import build_filter

CALM = Limits(cpu_s=20, wall_s=60)


def _descendants(pid: int) -> set[int]:
    """Processes below `pid`, as /proc tells."""
    children: dict[int, set[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                after_name = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has ended meanwhile
                continue
            children.setdefault(int(after_name[1]), set()).add(int(entry.name))
    found: set[int] = set()
    waiting = [pid]
    while waiting:
        new = children.get(waiting.pop(), set()) - found
        found |= new
        waiting += new
    return found


def test_auto_is_the_best_level_and_never_none(best_jail: Jail) -> None:
    assert best_jail.level == best_level()
    assert best_level() in ("full", "no-namespaces", "seccomp-only")


def test_none_is_given_when_asked_by_name() -> None:
    with open_jail("none") as jail:
        assert jail.level == "none"
        execution = jail.run("print(input())", "7", CALM)
        assert (execution.ended, execution.stdout) == ("finished", "7\n")
        # Descendants that stay in the session end with the program, even here.
        jail.run("import os, time\nif os.fork() == 0:\n time.sleep(600)", "", CALM)
        assert jail.run("print(1)", "", CALM).ended == "finished"


def test_unknown_level_names_the_known_ones() -> None:
    with pytest.raises(AskedWronglyError, match="no sandbox level is called 'best'") as caught:
        open_jail("best")
    assert "seccomp-only" in caught.value.hint


def test_missing_bubblewrap_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    with pytest.raises(SandboxError, match="bwrap") as caught:
        open_jail("full")
    assert "apt-get install bubblewrap" in caught.value.hint


def test_missing_pyseccomp_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyseccomp", None)
    with pytest.raises(SandboxError, match="pyseccomp, which is not installed") as caught:
        build_filter.__wrapped__(True)
    assert "pip install pyseccomp" in caught.value.hint


def test_with_no_safe_level_it_refuses_and_gives_every_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(open_files: bool) -> bytes:
        raise SandboxError("the sandbox needs pyseccomp, which is not installed")

    monkeypatch.setattr(levels, "build_filter", refuse)
    with pytest.raises(SandboxError, match=r"full: .*no-namespaces: .*seccomp-only: ") as caught:
        best_level.__wrapped__()
    assert "pip install pyseccomp" in caught.value.hint


def test_without_bubblewrap_the_next_level_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda name: None)
    try:
        level = best_level.__wrapped__()
    except SandboxError as error:
        pytest.skip(str(error))
    assert level in ("no-namespaces", "seccomp-only")


def test_refused_namespaces_are_told_in_the_words_of_bubblewrap(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake = tmp_path / "bwrap"
    fake.write_text("#!/bin/sh\necho 'bwrap: No permissions to create new namespace' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setattr("shutil.which", lambda name: str(fake))
    with pytest.raises(SandboxError, match="No permissions to create new namespace"):
        open_jail("full")


def test_killed_zygote_is_replaced_within_the_run(best_jail: Jail) -> None:
    best_jail.run("print(1)", "", CALM)
    os.kill(best_jail._keepers["often"]._pid, signal.SIGKILL)
    execution = best_jail.run("print(input())", "7", CALM)
    assert (execution.ended, execution.stdout) == ("finished", "7\n")


def test_jail_that_breaks_twice_says_so_and_the_next_run_is_sound(
    best_jail: Jail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Keeper, *_: object) -> None:
        self.close()
        raise BrokenZygoteError("the jail broke down: test")

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "submit", broken)
        execution = best_jail.run("print(1)", "", CALM)
    assert (execution.ended, execution.error) == ("sandbox_failed", "the jail broke down: test")
    assert best_jail.run("print(1)", "", CALM).stdout == "1\n"


def test_interrupted_run_does_not_leave_its_answer_to_the_next(
    best_jail: Jail, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(self: Keeper, pending: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Keeper, "_receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            best_jail.run("print('stale')", "", CALM)
    assert best_jail.run("print('fresh')", "", CALM).stdout == "fresh\n"


def _ends(pid: int) -> bool:
    """Whether the process is gone, or only its entry is left, within ten seconds."""
    for _ in range(200):
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except OSError:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("level", levels.LEVELS)
def test_interrupt_ends_the_program_that_is_running(level: str, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        jail = open_jail(level)
    except SandboxError as error:
        pytest.skip(str(error))
    running: list[int] = []

    def interrupted(self: Keeper, pending: object) -> None:
        while not running:
            running.extend(_descendants(self._pid))
        raise KeyboardInterrupt

    monkeypatch.setattr(Keeper, "_receive", interrupted)
    with jail, pytest.raises(KeyboardInterrupt):
        jail.run("while True: pass", "", CALM)
    assert all(_ends(pid) for pid in running)


def test_zygote_ends_when_its_owner_is_killed(best_jail: Jail) -> None:
    owner = (
        "import os, sys\nfrom tritcoder.sandbox.jail import open_jail\n"
        f"jail = open_jail({best_jail.level!r})\n"
        "print(jail._keepers['often']._pid, flush=True)\nos.kill(os.getpid(), 9)"
    )
    ended = subprocess.run([sys.executable, "-c", owner], capture_output=True, text=True, check=False)
    assert ended.returncode == -signal.SIGKILL
    assert _ends(int(ended.stdout))


def test_jails_of_several_threads_agree(best_jail: Jail) -> None:
    programs = ["print(input())", "1/0", "bytearray(1 << 40)", "(", "print('x' * 5000000)", "while True: pass"]
    limits = Limits(cpu_s=0.3, wall_s=60)

    def work(_: int) -> list[tuple[str, str, str]]:
        with open_jail(best_jail.level) as jail:
            executions = [jail.run(program, "7", limits) for program in programs * 2]
        return [(execution.ended, execution.stdout, execution.error) for execution in executions]

    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(work, range(4)))
    assert all(verdict == verdicts[0] for verdict in verdicts)
    assert [ended for ended, _, _ in verdicts[0]][:6] == [
        "finished",
        "raised",
        "memory_limit",
        "syntax_error",
        "output_limit",
        "time_limit",
    ]


def test_closed_jail_opens_again_by_itself(best_jail: Jail) -> None:
    best_jail.close()
    assert best_jail.run("print(7)", "", CALM).stdout == "7\n"


@pytest.mark.parametrize("level", levels.LEVELS)
def test_no_process_is_left(level: str) -> None:
    before = _descendants(os.getpid())
    try:
        jail = open_jail(level)
    except SandboxError as error:
        pytest.skip(str(error))
    with jail:
        zygote = jail._keepers["often"]._pid
        jail.run("import os, time\ntry: os.fork()\nexcept OSError: pass\nos.setsid", "", CALM)
        jail.run("while True: pass", "", Limits(cpu_s=0.2, wall_s=60))
        if level != "none":
            assert _descendants(zygote) == set()
    assert _descendants(os.getpid()) <= before


def test_the_environment_of_the_owner_does_not_come_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    with open_jail("none") as jail:
        assert "API_KEY" not in jail.run("import os\nprint(dict(os.environ))", "", CALM).stdout


def test_linux_is_required(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    with pytest.raises(SandboxError, match="Linux only, this is darwin"):
        open_jail()
