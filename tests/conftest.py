"""Set-up for every test: shapes in annotations are checked, idle threads sleep instead of spinning, no clock runs."""

import contextlib
import io
import os
from collections.abc import Callable

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TORCHDYNAMO_DISABLE", "1")

import pytest
from hypothesis import settings
from jaxtyping import install_import_hook

install_import_hook(["tritcoder.ternary", "tritcoder.model"], "beartype.beartype")

settings.register_profile("clockless", deadline=None)
settings.load_profile("clockless")


@pytest.fixture(scope="session")
def tritcoder() -> Callable[..., tuple[int, str, str]]:
    """The command, in this process: exit status, standard output, standard error."""
    from tritcoder.cli.app import run

    def command(*arguments: object) -> tuple[int, str, str]:
        out, err, status = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                run([str(argument) for argument in arguments])
            except SystemExit as end:
                status = int(end.code or 0)
        return status, out.getvalue(), err.getvalue()

    return command
