"""The stages up to a trained model: corpus, tokenizer, tokens, pre-training, fine-tuning."""

import hashlib
import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from tritcoder.data import corpus
from tritcoder.data.answers import PackedAnswers
from tritcoder.data.apps import read_problems
from tritcoder.data.shards import TokenShards, TokenWindows, write_shards
from tritcoder.experiment.config import ExperimentConfig
from tritcoder.experiment.stage import Facts, Watcher
from tritcoder.model import hugging_face
from tritcoder.model.transformer import Transformer
from tritcoder.records import Problem
from tritcoder.ternary.shape import ModelConfig
from tritcoder.tokenizer.bpe import Tokenizer
from tritcoder.tokenizer.template import CHAT_TEMPLATE
from tritcoder.train.config import TrainConfig
from tritcoder.train.held_out import Evaluate, HeldOutAnswers, HeldOutText
from tritcoder.train.loop import OnProgress, Progress, train


def collect_corpus(config: ExperimentConfig, directory: Path, watcher: Watcher) -> Facts:
    """Read and clean the source; returns the manifest's part on it."""
    return corpus.build(
        config.corpus,
        directory / "corpus",
        on_progress=lambda doing, files: watcher.stage_moved(0, 0, f"{doing}: {files:,} files"),
    )


def train_tokenizer(config: ExperimentConfig, directory: Path) -> Facts:
    """Learn the merges from a sample of the training text and from the training problems."""
    texts = _sampled(directory / "corpus" / "train.jsonl", config.tokenizer.train_bytes)
    problems = read_problems(config.problems, "train")
    words = _within((_problem_text(problem) for problem in problems), config.tokenizer.train_bytes // 4)
    tokenizer = Tokenizer.train(itertools.chain(texts, words), config.tokenizer.vocab_size)
    tokenizer.save(directory / "tokenizer.json")
    return {"vocab_size": tokenizer.vocab_size, "train_bytes": config.tokenizer.train_bytes}


def tokenise_corpus(directory: Path, watcher: Watcher) -> Facts:
    """Token shards of the training and the held-out text."""
    tokenizer = Tokenizer.load(directory / "tokenizer.json")
    total = sum((directory / "corpus" / f"{part}.jsonl").stat().st_size for part in ("train", "held_out"))
    done = 0

    def moved(n_bytes: int) -> None:
        nonlocal done
        done += n_bytes
        watcher.stage_moved(min(done, total), total, f"{done / 1e6:.1f} MB")

    facts: Facts = {}
    for part in ("train", "held_out"):
        texts = _corpus_texts(directory / "corpus" / f"{part}.jsonl")
        index = write_shards(texts, tokenizer, directory / "tokens" / part, on_bytes=moved)
        facts[part] = {name: index[name] for name in ("tokens", "documents", "bytes")}
        facts[part]["bytes_per_token"] = round(index["bytes"] / index["tokens"], 4)
    return facts


def model_config(config: ExperimentConfig, arm: str, vocab_size: int) -> ModelConfig:
    """The shape of one arm."""
    return replace(config.model, vocab_size=vocab_size, quantization="ternary" if arm == "ternary" else "none")


def pretrain(config: ExperimentConfig, arm: str, directory: Path, key: str, watcher: Watcher) -> Facts:
    """Learn to write code from the token shards; writes `<arm>/base`."""
    tokenizer = Tokenizer.load(directory / "tokenizer.json")
    settings = config.training(arm, "pretrain")
    model = Transformer(model_config(config, arm, tokenizer.vocab_size)).initialise(settings.seed)
    windows = TokenWindows(TokenShards(directory / "tokens" / "train"), settings.seq_len, settings.seed)
    held_out = held_out_text(config, directory, tokenizer, settings)
    train(model, windows, settings, directory / arm / "pretrain", key, evaluate=held_out, on_progress=_told(watcher))
    hugging_face.save(model, directory / arm / "base", tokenizer.to_json())
    return {
        "parameters": model.config.parameters,
        "ternary_parameters": model.config.ternary_parameters if arm == "ternary" else 0,
        "quantization": model.config.quantization,
        "dim": model.config.dim,
        "n_layers": model.config.n_layers,
        "tokens": settings.tokens,
        "epochs": round(settings.tokens / windows.tokens_per_epoch, 3),
        "held_out": last_evaluation(directory / arm / "pretrain" / "metrics.jsonl"),
    }


def finetune(config: ExperimentConfig, arm: str, directory: Path, key: str, watcher: Watcher) -> Facts:
    """Learn to answer problems; writes `<arm>/model`."""
    tokenizer = Tokenizer.load(directory / "tokenizer.json")
    settings = config.training(arm, "finetune")
    model = hugging_face.load(directory / arm / "base")
    seen, kept_back = split_problems(read_problems(config.problems, "train"), config.evaluate.held_out_problems)
    answers = PackedAnswers(seen, tokenizer, settings.seq_len, settings.seed)
    evaluate: Evaluate | None = None
    if any(problem.solutions for problem in kept_back):
        held_out = PackedAnswers(kept_back, tokenizer, settings.seq_len, settings.seed)
        evaluate = HeldOutAnswers(held_out, settings.batch_size)
    train(model, answers, settings, directory / arm / "finetune", key, evaluate=evaluate, on_progress=_told(watcher))
    hugging_face.save(model, directory / arm / "model", tokenizer.to_json(), CHAT_TEMPLATE)
    return {
        "problems": answers.n_problems,
        "epochs": round(settings.steps * settings.batch_size * settings.accumulate / answers.rows_in_epoch(0), 3),
        "held_out": last_evaluation(directory / arm / "finetune" / "metrics.jsonl"),
    }


def held_out_text(
    config: ExperimentConfig, directory: Path, tokenizer: Tokenizer, settings: TrainConfig
) -> HeldOutText:
    """The held-out windows that every model and every reference is measured on."""
    return HeldOutText(
        TokenShards(directory / "tokens" / "held_out"),
        tokenizer.token_lengths,
        seq_len=settings.seq_len,
        batch_size=settings.batch_size,
        max_tokens=config.evaluate.held_out_tokens,
    )


def split_problems(problems: list[Problem], share: float) -> tuple[list[Problem], list[Problem]]:
    """Problems to learn from, and a fixed share of them (by a hash of the id) to watch the loss on."""
    kept_back = [problem for problem in problems if _unit(problem.problem_id) < share]
    names = {problem.problem_id for problem in kept_back}
    return [problem for problem in problems if problem.problem_id not in names], kept_back


def last_evaluation(path: Path) -> dict[str, Any]:
    """The last held-out figures of a metrics log."""
    found: dict[str, Any] = {}
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if "held_out_loss" in row:
            found = {name: value for name, value in row.items() if name.startswith("held_out")}
    return found


def _unit(text: str) -> float:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") / 2**64


def _corpus_texts(path: Path) -> Iterator[str]:
    return (document.text for document in corpus.read(path))


def _sampled(path: Path, n_bytes: int) -> Iterator[str]:
    """About so many bytes of the documents, chosen by a hash of their place, so from all over the corpus."""
    share = n_bytes / max(1, path.stat().st_size)
    chosen = (document.text for document in corpus.read(path) if _unit(document.source + document.path) < share)
    return _within(chosen, n_bytes)


def _problem_text(problem: Problem) -> str:
    return "\n".join((problem.question, *problem.solutions[:2]))


def _within(texts: Iterator[str], n_bytes: int) -> Iterator[str]:
    """Texts until they come to this many bytes."""
    size = 0
    for text in texts:
        if size >= n_bytes:
            return
        size += len(text.encode("utf-8", "surrogateescape"))
        yield text


def _told(watcher: Watcher) -> OnProgress:
    def on_progress(progress: Progress) -> None:
        note = f"loss {progress.loss:.3f} · {progress.tokens_per_second:,.0f} tokens/s"
        watcher.stage_moved(progress.step, progress.steps, note)

    return on_progress
