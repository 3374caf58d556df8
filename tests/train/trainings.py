"""Trainings in processes of their own, which may be told how to die.

    python trainings.py TOKENS JOB...        a JOB is DIRECTORY[:sigterm|sigkill|sigkill_saving:STEP]

Each job is a fork of this process, so that torch is imported once; they run side by side. A training writes its final
weights to DIRECTORY/weights.pt, and exits as the command line does: 130 when a signal stopped it. The last line of
the output is the JSON list of the exit codes, minus the signal's number for a process that was killed.
"""

import json
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
import torch._dynamo  # the optimisers import it: once for all jobs

from tritcoder.data.shards import TokenShards, TokenWindows
from tritcoder.errors import TritcoderError
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.shape import ModelConfig
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


def run(tokens: Path, directory: Path, death: str = "", at_step: int = 0) -> None:
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


def _forked(tokens: Path, job: str) -> int:
    """Start a job and return its process id."""
    process = os.fork()
    if process:
        return process
    exit_code = 1
    try:
        directory, death, step = (*job.split(":"), "", "0")[:3]
        run(tokens, Path(directory), death, int(step))
        exit_code = 0
    except TritcoderError as error:
        exit_code = error.exit_code
    except Exception:
        traceback.print_exc()
    finally:
        os._exit(exit_code)


if __name__ == "__main__":
    torch.set_num_threads(1)
    processes = [_forked(Path(sys.argv[1]), job) for job in sys.argv[2:]]
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) for process in processes]))
