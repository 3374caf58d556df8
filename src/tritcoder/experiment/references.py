"""What the models are held against on the same held-out text: counting, compressing, and published results."""

from pathlib import Path
from typing import Any

from tritcoder.data.shards import TokenShards, TokenWindows
from tritcoder.evaluate import references
from tritcoder.evaluate.published import published_scores
from tritcoder.experiment.config import ExperimentConfig
from tritcoder.experiment.learning import held_out_text
from tritcoder.experiment.stage import Facts
from tritcoder.provenance import write_json
from tritcoder.tokenizer.bpe import Tokenizer


def measure_references(config: ExperimentConfig, directory: Path) -> Facts:
    """What counting (of the tokens that the models learn from) and compressing achieve on the held-out tokens."""
    tokenizer = Tokenizer.load(directory / "tokenizer.json")
    held_out = held_out_text(config, directory, tokenizer, config.pretrain)
    settings = config.pretrain
    windows = TokenWindows(TokenShards(directory / "tokens" / "train"), settings.seq_len, settings.seed)
    train_ids = windows.seen(settings.steps * settings.batch_size * settings.accumulate)
    text = tokenizer.decode_bytes(held_out.ids[1:].tolist())
    arguments = (train_ids, held_out.ids, held_out.n_bytes, tokenizer.vocab_size)
    found: Facts = {
        "unigram": references.unigram_bits_per_byte(*arguments),
        "3-gram": references.ngram_bits_per_byte(*arguments, order=3),
        **references.compression_bits_per_byte(text),
        "counted_tokens": len(train_ids),
        "held_out_tokens": len(held_out.ids) - 1,
        "published": [_published_row(row) for row in published_scores()],
    }
    write_json(directory / "references.json", found)
    return {name: found[name] for name in ("unigram", "3-gram", "zlib", "xz", "counted_tokens", "held_out_tokens")}


def _published_row(score: dict[str, Any]) -> dict[str, Any]:
    def percents(measure: str) -> dict[str, float]:
        return {level: round(100 * cells[measure]["value"], 4) for level, cells in score["table"].items()}

    names = {name: score[name] for name in ("model", "how", "status", "source")}
    return {**names, "average": percents("average_apps"), "strict": percents("strict_apps")}
