"""Does a saved directory mean the same in transformers 4.57 and in 5.x as in our own network?

Run by `make compat`, not by pytest: each version gets an environment of its own (.venv-transformers-4, -5).
Prints how far the logits differ, and exits with 1 where the two are not one function.

Their quantisers are under torch.compile, which adds and divides in another order. Run plainly they give our logits;
compiled, the last bits differ, some activations tip to the next int8 level, and what follows them moves a little:
that is held to by the divergence of the predictions.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from torch.nn.functional import kl_div

from tritcoder.model import hugging_face
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.shape import ModelConfig
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.tokenizer.template import CHAT_TEMPLATE

VERSIONS = {"4": "transformers>=4.57,<4.58", "5": "transformers>=5,<6"}
ROUNDING_TOLERANCE = 1e-4
ROUNDING_SHARE = 0.01
KL_TOLERANCE = 1e-5
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
                for compiled in (False, True):
                    failed |= not compare(python, version, quantization, compiled, tokenizer, ids, place)
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
    python: Path,
    version: str,
    quantization: str,
    compiled: bool,
    tokenizer: Tokenizer,
    ids: torch.Tensor,
    place: Path,
) -> bool:
    """Whether one saved model gives the same logits and token ids there."""
    directory, out = place / f"{quantization}-{version}", place / f"{quantization}-{version}.npz"
    shape = ModelConfig(tokenizer.vocab_size, n_layers=3, n_kv_heads=2, max_seq_len=128, quantization=quantization)  # type: ignore[arg-type]
    model = Transformer(shape).initialise(seed=1).eval()
    hugging_face.save(model, directory, tokenizer.to_json(), CHAT_TEMPLATE)
    environ = os.environ | {"TORCHDYNAMO_DISABLE": "0" if compiled else "1", "TRANSFORMERS_VERBOSITY": "error"}
    subprocess.run([python, "-c", THEIRS, directory, place / "ids.npy", TEXT, out], check=True, env=environ)
    found = np.load(out)
    theirs = torch.from_numpy(found["logits"])
    with torch.no_grad():
        ours = model(ids)
    difference = (ours - theirs).abs().amax(dim=-1)
    share = (difference > ROUNDING_TOLERANCE).float().mean().item()
    kl = kl_div(ours.log_softmax(-1), theirs.log_softmax(-1), log_target=True, reduction="none").sum(-1).mean().item()
    same_ids = found["ids"].tolist() == tokenizer.encode(TEXT)
    good = kl < KL_TOLERANCE and same_ids and (compiled or share < ROUNDING_SHARE)
    print(
        f"transformers {version}, {quantization:<7}, {'compiled' if compiled else 'plain':<8}: largest difference "
        f"{difference.max():.1e}, above {ROUNDING_TOLERANCE} at {100 * share:.2f} % of positions, KL {kl:.1e}, "
        f"token ids {'equal' if same_ids else 'DIFFER'} -> {'ok' if good else 'FAILED'}"
    )
    return good


if __name__ == "__main__":
    sys.exit(main())
