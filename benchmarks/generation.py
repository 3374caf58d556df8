"""How fast does the torch path write, ternary beside its twin, alone and in a batch?

It is the slow, plain path: what an engine with packed weights has to beat. The ternary weights are held as float32
here, so no gain over the twin is to be expected, and none is claimed.
"""

import numpy as np

from measuring import interleaved, spread, write_result
from tritcoder.model.torch_model import TorchLanguageModel
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.shape import ModelConfig, Quantization

QUESTION = "Tokens per second of greedy decoding through torch, ternary and twin in turn (demo's shape)"
PROMPT, WRITTEN, REPEATS = 64, 64, 5
BATCHES = (1, 8, 32)


def decode(model: TorchLanguageModel, rows: int) -> None:
    """Read a prompt of 64 tokens and write 64, in `rows` sequences at once."""
    prompts = np.random.default_rng(0).integers(0, model.vocab_size, (rows, PROMPT)).tolist()
    decoding = model.start(prompts)
    for _ in range(WRITTEN - 1):
        decoding.append(decoding.logits.argmax(axis=-1))


def main() -> None:
    """Measure and write the result."""
    arms: dict[str, Quantization] = {"ternary": "ternary", "twin": "none"}
    models = {
        arm: TorchLanguageModel(
            Transformer(ModelConfig(vocab_size=4096, n_layers=4, quantization=kind)).initialise(0), arm
        )
        for arm, kind in arms.items()
    }
    result: dict[str, object] = {}
    for rows in BATCHES:
        rivals = {arm: lambda model=model, rows=rows: decode(model, rows) for arm, model in models.items()}
        seconds = interleaved(rivals, REPEATS, warm_up=1)
        result[f"tokens_per_second at batch {rows}"] = {
            arm: spread([rows * WRITTEN / value for value in values]) for arm, values in seconds.items()
        }
    write_result("generation-torch", QUESTION, result)


if __name__ == "__main__":
    main()
