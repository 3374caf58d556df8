"""A toy of the whole proposal: a corpus of made files, two trainings of seconds, rivals, scores, a report."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

Command = Callable[..., tuple[int, str, str]]

MIT = """MIT License

Copyright (c) 2024 Nobody in particular

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""

CONFIG = """
name = "toy"
title = "A toy [of everything] :smile:"
notes = ["It learns nothing, and [says] so."]

[corpus]
source = "folder"
path = "{corpus}"
held_out = ["beta"]

[tokenizer]
vocab_size = 512

[problems]
train_limit = 8
test_limit = 6
max_tests = 3
max_solutions = 1

[model]
dim = 256
n_layers = 1
n_heads = 4
n_kv_heads = 2
hidden_dim = 256
max_seq_len = 256

[pretrain]
steps = 8
seq_len = 64
batch_size = 2
checkpoint_every = 2
evaluate_every = 4

[finetune]
steps = 4
seq_len = 256
batch_size = 2
evaluate_every = 2

[evaluate]
held_out_tokens = 512
held_out_problems = 0.3
batch_size = 8
workers = 2
examples = 3
sampling = {{ max_tokens = 16, temperature = 0.8 }}
"""

WORDS = "apple bread cloud drum eagle flute grape house island jungle kettle lemon"


class Toy(NamedTuple):
    """Where a toy run and what it was made from lie, and what it printed."""

    config: Path
    directory: Path
    out: str
    err: str


def write_corpus(root: Path) -> None:
    """Two projects under one MIT licence, `alpha` to learn from and `beta` to hold out."""
    (root / "LICENSE").parent.mkdir(parents=True)
    (root / "LICENSE").write_text(MIT)
    for project, first in (("alpha", 0), ("beta", 6)):
        (root / project).mkdir()
        for number, word in enumerate(WORDS.split()[first : first + 6]):
            (root / project / f"{word}.py").write_text(_source(word, number + first))


def _source(word: str, number: int) -> str:
    functions = [
        f"def {word}_{place}(value, other={number * place}):\n"
        f'    """Return the {word} of a value, {place} times."""\n'
        f"    total = {place}\n"
        f"    for index in range(other + {number}):\n"
        f"        total += value * index - {place * 7 + number}\n"
        f"    return total\n"
        for place in range(12)
    ]
    return f'"""All about {word}."""\n\n\n' + "\n\n".join(functions)


@pytest.fixture(scope="session")
def toy(tmp_path_factory: pytest.TempPathFactory, tritcoder: Command) -> Toy:
    """The toy, run once; no test changes it."""
    place = tmp_path_factory.mktemp("toy")
    write_corpus(place / "corpus")
    config = place / "toy.toml"
    config.write_text(CONFIG.format(corpus=place / "corpus"))
    status, out, err = tritcoder("run", config, "--runs", place / "runs")
    assert status == 0, err
    return Toy(config, place / "runs" / "toy", out, err)


@pytest.fixture
def copy(toy: Toy, tmp_path: Path) -> Path:
    """A copy of the run directory that a test may spoil."""
    return Path(shutil.copytree(toy.directory, tmp_path / "toy"))
