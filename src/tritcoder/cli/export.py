"""`tritcoder export`: a trained model becomes a file that other programs run."""

import sys
from pathlib import Path
from typing import Literal


def export(
    run: Path,
    /,
    *,
    to: Literal["gguf", "hf"],
    ternary: Literal["tq2_0", "tq1_0", "f16", "f32"] | None = None,
    embedding: Literal["q8_0", "f16", "f32"] | None = None,
    out: Path | None = None,
) -> None:
    """Write a model as one GGUF file, or as a packed Hugging Face directory.

    Args:
        run: a run directory, an arm of it, a model directory, or a GGUF file.
        to: gguf for llama.cpp and tritcoder, hf for transformers (and tritcoder).
        ternary: how a GGUF file lays out the linear layers: tq2_0 (2.06 bits a weight, the fastest), tq1_0 (1.69),
            or floats; f16 for the full-precision twin.
        embedding: how the embedding lies in it; q8_0 in GGUF, f32 in a directory if not given.
        out: where to; beside the model if not given. What is there is replaced.
    """
    from tritcoder.experiment.exporting import export as export_model

    exported = export_model(run, to, ternary, embedding, out)
    weights = exported.weights
    shape = weights.shape
    trits = f", {shape.ternary_parameters:,} of them trits" if shape.quantization == "ternary" else ""
    print(
        f"{exported.path}\n"
        f"{exported.size_bytes:,} bytes, {exported.bits_per_weight:.2f} bits a weight "
        f"({shape.parameters:,} weights{trits})\n"
        f"linear layers {exported.linear}, embedding {exported.embedding}, "
        f"{'with its tokenizer' if weights.tokenizer_json else 'without a tokenizer'}"
    )
    if to == "gguf" and shape.hidden_act != "silu":
        told = f"stock llama.cpp gates this architecture with silu: this model's {shape.hidden_act} runs here alone"
        print(f"[{told}]", file=sys.stderr)
    if to == "gguf" and not weights.tokenizer_json:
        print("[llama.cpp loads no model without a tokenizer]", file=sys.stderr)
