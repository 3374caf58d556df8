"""Does a saved directory mean the same in transformers 4.57 and in 5.x as in our own network?

Run by `make compat`, not by pytest: each version gets an environment of its own (.venv-transformers-4, -5).
Writes the largest difference of the logits, and exits with 1 where the two are not one function.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

from tritcoder.model import hugging_face
from tritcoder.model.config import ModelConfig
from tritcoder.model.transformer import Transformer
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.tokenizer.template import CHAT_TEMPLATE

VERSIONS = {"4": "transformers>=4.57,<4.58", "5": "transformers>=5,<6"}
ROUNDING_TOLERANCE = 1e-4
ROUNDING_SHARE = 0.01
TEXT = "def add(a, b):\n    return a + b  # 1 + 2 = 3\n"

THEIRS = """
import sys, numpy as np, torch
from transformers import AutoModelForCausalLM, AutoTokenizer
directory, ids, text, out = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(directory)
model = AutoModelForCausalLM.from_pretrained(directory, torch_dtype=torch.float32).eval()
with torch.no_grad():
    logits = model(torch.from_numpy(np.load(ids))).logits
np.savez(out, logits=logits.numpy(), ids=np.array(tokenizer(text, add_special_tokens=False)["input_ids"]))
"""


def main() -> int:
    """Compare both quantisations under both versions."""
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        tokenizer = Tokenizer.train([Path(__file__).read_text(encoding="utf-8")] * 4, 512)
        ids = torch.randint(0, 300, (4, 100), generator=torch.Generator().manual_seed(1))
        np.save(place / "ids.npy", ids.numpy())
        for version, requirement in VERSIONS.items():
            python = environment(version, requirement)
            for quantization in ("ternary", "none"):
                failed |= not compare(python, version, quantization, tokenizer, ids, place)
    return int(failed)


def environment(version: str, requirement: str) -> Path:
    """The interpreter of an environment with this version of transformers, made when it is missing."""
    root = Path(f".venv-transformers-{version}")
    python = root / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", root], check=True)
        packages = ["torch>=2.11,<2.14", "numpy", "accelerate", requirement]
        subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    return python


def compare(
    python: Path, version: str, quantization: str, tokenizer: Tokenizer, ids: torch.Tensor, place: Path
) -> bool:
    """Whether one saved model gives the same logits and token ids there."""
    directory, out = place / f"{quantization}-{version}", place / f"{quantization}-{version}.npz"
    shape = ModelConfig(tokenizer.vocab_size, n_layers=3, n_kv_heads=2, max_seq_len=128, quantization=quantization)  # type: ignore[arg-type]
    model = Transformer(shape).initialise(seed=1).eval()
    hugging_face.save(model, directory, tokenizer.to_json(), CHAT_TEMPLATE)
    subprocess.run([python, "-c", THEIRS, directory, place / "ids.npy", TEXT, out], check=True)
    theirs = np.load(out)
    with torch.no_grad():
        difference = np.abs(model(ids).numpy() - theirs["logits"]).max(axis=-1)
    share = float((difference > ROUNDING_TOLERANCE).mean())
    same_ids = theirs["ids"].tolist() == tokenizer.encode(TEXT)
    good = share < ROUNDING_SHARE and same_ids
    print(
        f"transformers {version}, {quantization:<7}: largest difference {difference.max():.2e}, "
        f"{100 * share:.2f} % of positions above {ROUNDING_TOLERANCE}, token ids {'equal' if same_ids else 'DIFFER'}"
        f" -> {'ok' if good else 'FAILED'}"
    )
    return good


if __name__ == "__main__":
    sys.exit(main())
