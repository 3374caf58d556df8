"""Every attack, at every level, as the user who runs these tests; for others see test_every_user_and_level.py."""

from pathlib import Path

import pytest
from attacks import ATTACKS, CALM, SECRET, Attack, attempt, met

from tritcoder.sandbox.jail import Jail


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_ends_as_it_must_and_the_jail_survives(jail: Jail, attack: Attack) -> None:
    assert attempt(jail, attack) == met(attack)


def test_nothing_of_one_program_reaches_the_next(jail: Jail) -> None:
    leave, find = (attack for attack in ATTACKS if attack.name in ("leave a secret", "find the secret"))
    assert leave.run(jail).stdout == SECRET + "\n"
    assert find.run(jail).stdout == "False\n"


def test_attacks_have_names_of_their_own() -> None:
    assert len({attack.name for attack in ATTACKS}) == len(ATTACKS)


def test_a_world_readable_file_outside_cannot_be_read(jail: Jail, tmp_path: Path) -> None:
    secret = tmp_path / "expected.txt"
    secret.write_text(SECRET, encoding="utf-8")
    secret.chmod(0o644)
    for parent in (tmp_path, tmp_path.parent):
        parent.chmod(0o755)
    execution = jail.run(f"print(open({str(secret)!r}).read())", "", CALM)
    assert execution.ended == "raised"
    assert SECRET not in execution.stdout


def test_full_level_has_neither_processes_nor_folders_of_the_outside(jail: Jail) -> None:
    if jail.level != "full":
        pytest.skip("only namespaces hide what exists")
    program = "import os\nprint(os.getppid(), [d for d in ('/proc', '/home', '/tmp', '/root') if os.path.exists(d)])"
    seen = jail.run(program, "", CALM).stdout
    assert seen in ("1 []\n", "1 ['/root']\n")  # where the interpreter lies under /root, that path, and only it
