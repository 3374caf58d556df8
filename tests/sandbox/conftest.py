"""One jail for each level that this machine reaches, kept through the whole set: every test runs after the others."""

from collections.abc import Iterator

import pytest

from tritcoder.errors import SandboxError
from tritcoder.sandbox.jail import Jail, open_jail


@pytest.fixture(scope="session", params=["full", "no-namespaces", "seccomp-only"])
def jail(request: pytest.FixtureRequest) -> Iterator[Jail]:
    try:
        opened = open_jail(request.param)
    except SandboxError as error:
        pytest.skip(f"this machine has no {request.param}: {error}")
    with opened:
        yield opened


@pytest.fixture(scope="session")
def best_jail() -> Iterator[Jail]:
    """Where the level makes no difference."""
    try:
        opened = open_jail()
    except SandboxError as error:
        pytest.skip(str(error))
    with opened:
        yield opened
