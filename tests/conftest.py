"""Set-up for every test: shapes in annotations are checked, idle threads sleep instead of spinning, no clock runs."""

import contextlib
import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path

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


@pytest.fixture(scope="session")
def untrained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model directory of the smallest shape, as training would leave it, but untrained."""
    from tritcoder.model import hugging_face
    from tritcoder.model.transformer import Transformer
    from tritcoder.ternary.shape import ModelConfig
    from tritcoder.tokenizer.bpe import Tokenizer

    tokenizer = Tokenizer.train(["def add(a, b):\n    return a + b\n"], 300)
    shape = ModelConfig(tokenizer.vocab_size, n_layers=1, n_kv_heads=2, hidden_dim=256, max_seq_len=64)
    directory = tmp_path_factory.mktemp("untrained")
    hugging_face.save(Transformer(shape).initialise(0), directory, tokenizer.to_json())
    return directory


@pytest.fixture
def model(untrained: Path, tmp_path: Path) -> Path:
    """A copy of it that a test may spoil."""
    return Path(shutil.copytree(untrained, tmp_path / "model"))
