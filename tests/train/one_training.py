"""A training in a process of its own, which may be told how to die.

    python one_training.py TOKENS DIRECTORY [sigterm STEP | sigkill STEP | sigkill_saving STEP]

Writes the final weights to DIRECTORY/weights.pt. Exits as the command line does: 130 when a signal stopped it.
"""

import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from tritcoder.data.shards import TokenShards, TokenWindows
from tritcoder.errors import TritcoderError
from tritcoder.model.config import ModelConfig
from tritcoder.model.transformer import Transformer
from tritcoder.train.config import TrainConfig
from tritcoder.train.held_out import HeldOutText
from tritcoder.train.loop import Progress, train

CONFIG = TrainConfig(
    steps=12,
    seq_len=32,
    batch_size=2,
    accumulate=2,
    precision="float32",
    weight_decay=0.1,
    evaluate_every=3,
    checkpoint_every=4,
    seed=1,
)
VOCAB_SIZE = 300
SHAPE = ModelConfig(vocab_size=VOCAB_SIZE, n_layers=1, n_kv_heads=2, hidden_dim=256, max_seq_len=32)


def main(tokens: Path, directory: Path, death: str = "", at_step: int = 0) -> None:
    """Train, from where the directory stands."""
    if death == "sigkill_saving":
        _die_while_saving(at_step)
    shards = TokenShards(tokens)
    model = Transformer(SHAPE).initialise(CONFIG.seed)
    windows = TokenWindows(shards, CONFIG.seq_len, CONFIG.seed)
    lengths = np.ones(VOCAB_SIZE, np.uint16)
    held_out = HeldOutText(shards, lengths, seq_len=CONFIG.seq_len, batch_size=2, max_tokens=128)

    def on_progress(progress: Progress) -> None:
        if progress.step == at_step and death in ("sigterm", "sigkill"):
            os.kill(os.getpid(), signal.SIGTERM if death == "sigterm" else signal.SIGKILL)

    train(model, windows, CONFIG, directory, "f" * 16, evaluate=held_out, on_progress=on_progress)
    torch.save(model.state_dict(), directory / "weights.pt")


def _die_while_saving(step: int) -> None:
    """Let the checkpoint of this step be cut short by a SIGKILL."""
    real_save = torch.save

    def save(state: Any, file: IO[bytes]) -> None:
        real_save(state, file)
        if state["step"] == step:
            file.flush()
            file.truncate(file.tell() // 2)
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = save  # type: ignore[assignment]


if __name__ == "__main__":
    torch.set_num_threads(1)
    try:
        main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:4], *map(int, sys.argv[4:5]))
    except TritcoderError as error:
        sys.exit(error.exit_code)
