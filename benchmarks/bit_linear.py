"""What does ternary training cost over full precision, on this processor?

One optimiser step of the ternary model and of its twin, in turn, at the demo's shape; eager, float32 and bf16.
"""

import torch
from torch.nn.functional import cross_entropy

from measuring import interleaved, spread, write_result
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.shape import ModelConfig, Quantization
from tritcoder.train.config import TrainConfig
from tritcoder.train.loop import autocast, compute_dtype
from tritcoder.train.optim import Optimizers

QUESTION = "What does ternary training cost over full precision (one step of the demo's model, eager)?"
ROWS, LENGTH, REPEATS = 4, 256, 12


class Trainee:
    """A model that takes one step a call on a fixed batch."""

    def __init__(self, quantization: Quantization, precision: str) -> None:
        shape = ModelConfig(vocab_size=4096, n_layers=4, quantization=quantization)
        self.model = Transformer(shape).initialise(seed=0)
        self.optimizers = Optimizers(self.model, TrainConfig(steps=1000))
        self.dtype = compute_dtype(precision)
        self.ids = torch.randint(0, 4096, (ROWS, LENGTH + 1), generator=torch.Generator().manual_seed(0))

    def __call__(self) -> None:
        """Forward, backward, step."""
        with autocast(self.dtype):
            logits = self.model(self.ids[:, :-1])
        loss = cross_entropy(logits.float().flatten(0, 1), self.ids[:, 1:].flatten())
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizers.step(100)


def main() -> None:
    """Measure and write the result."""
    precisions = ["float32"] + (["bfloat16"] if compute_dtype("auto") else [])
    arms: dict[str, Quantization] = {"ternary": "ternary", "twin": "none"}
    rivals = {
        f"{arm} {precision}": Trainee(quantization, precision)
        for precision in precisions
        for arm, quantization in arms.items()
    }
    seconds = interleaved(rivals, REPEATS)
    result = {
        "tokens_per_step": ROWS * LENGTH,
        "threads": torch.get_num_threads(),
        "seconds": {name: spread(values) for name, values in seconds.items()},
        "ternary_over_twin": {
            precision: spread(
                [a / b for a, b in zip(seconds[f"ternary {precision}"], seconds[f"twin {precision}"], strict=True)]
            )
            for precision in precisions
        },
    }
    write_result("bit-linear-training", QUESTION, result)


if __name__ == "__main__":
    main()
