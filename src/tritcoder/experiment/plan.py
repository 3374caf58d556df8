"""The proposal as one list: from corpus to report.

    corpus -> tokenizer -> tokens -> for each arm: pretrain -> finetune -> answers -> scores
                                  -> references                       -> examples -> report

The arms are the ternary model and its full-precision twin; rivals join at the answers.
"""

import difflib
from collections.abc import Sequence
from pathlib import Path

from tritcoder.config import plain, to_toml
from tritcoder.data import corpus
from tritcoder.data.apps import count, problems_identity, read_problems
from tritcoder.errors import ConfigError, storage_errors
from tritcoder.experiment import learning, measuring
from tritcoder.experiment.config import ExperimentConfig
from tritcoder.experiment.opening import model_identity
from tritcoder.experiment.references import measure_references
from tritcoder.experiment.reporting import is_told, manifest, write_report
from tritcoder.experiment.stage import Stage, StageCache, Watcher
from tritcoder.provenance import now, whole_file, write_json


def run_experiment(config: ExperimentConfig, directory: Path, watcher: Watcher, only: str = "") -> StageCache:
    """Walk the stages; what is done already under the same settings is left as it is.

    Args:
        config: the experiment.
        directory: its run directory, made when it is missing.
        watcher: is told of every stage.
        only: do this stage and those it needs, and nothing else; empty for all and the report.

    Returns:
        the cache, whose `records` tell what each stage took and whether anything was done.

    Raises:
        TritcoderError: as the stages say; what was finished stays.
    """
    with storage_errors(directory):
        directory.mkdir(parents=True, exist_ok=True)
    with whole_file(directory / "config.toml") as file:
        file.write(to_toml(config))
    cache = StageCache(directory, watcher)
    started = now()
    cache.run(needed(stages(config, directory, cache), only))
    if only:
        return cache
    story = manifest(config, cache, started)
    if not is_told(directory, story):
        (directory / "report.html").unlink(missing_ok=True)  # so that a run killed here writes it again
        write_json(directory / "manifest.json", story)
        write_report(directory)
    return cache


def measured_models(config: ExperimentConfig) -> tuple[str, ...]:
    """Our arms, then the rivals."""
    return (*config.arms, *config.evaluate.baselines)


def needed(listed: Sequence[Stage], only: str) -> list[Stage]:
    """The stages that one stage needs, and itself; all of them for an empty name.

    Raises:
        ConfigError: there is no such stage; names the nearest.
    """
    if not only:
        return list(listed)
    known = {stage.name: stage for stage in listed}
    if only not in known:
        near = difflib.get_close_matches(only, known, n=1, cutoff=0.0)[0]
        raise ConfigError(f"there is no stage {only!r}", f"did you mean {near}? Stages: {', '.join(known)}")
    wanted = {only}
    for stage in reversed(listed):
        if stage.name in wanted:
            wanted.update(stage.needs)
    return [stage for stage in listed if stage.name in wanted]


def stages(config: ExperimentConfig, directory: Path, cache: StageCache) -> list[Stage]:
    """Every stage, each after those it needs."""
    return [
        *_data_stages(config, directory),
        *(stage for arm in config.arms for stage in _arm_stages(config, arm, directory, cache)),
        *(stage for model in measured_models(config) for stage in _score_stages(config, model, directory, cache)),
        _examples_stage(config, directory),
    ]


def _data_stages(config: ExperimentConfig, directory: Path) -> list[Stage]:
    return [
        Stage(
            "problems",  # the quickest comes first: a wrong path is found before the corpus is read
            (),
            [plain(config.problems), problems_identity(config.problems)],
            (),
            lambda _: {split: count(read_problems(config.problems, split)) for split in ("train", "test")},
        ),
        Stage(
            "corpus",
            (),
            [plain(config.corpus), corpus.identity(config.corpus)],
            ("corpus",),
            lambda watcher: learning.collect_corpus(config, directory, watcher),
        ),
        Stage(
            "tokenizer",
            ("corpus", "problems"),
            plain(config.tokenizer),
            ("tokenizer.json",),
            lambda _: learning.train_tokenizer(config, directory),
        ),
        Stage(
            "tokens",
            ("corpus", "tokenizer"),
            None,
            ("tokens",),
            lambda watcher: learning.tokenise_corpus(directory, watcher),
        ),
        Stage(
            "references",
            ("tokens",),
            [config.evaluate.held_out_tokens, config.pretrain.seq_len, config.pretrain.tokens, config.pretrain.seed],
            ("references.json",),
            lambda _: measure_references(config, directory),
        ),
    ]


def _arm_stages(config: ExperimentConfig, arm: str, directory: Path, cache: StageCache) -> list[Stage]:
    pretrain, finetune = f"{arm}/pretrain", f"{arm}/finetune"
    return [
        Stage(
            pretrain,
            ("tokens",),
            [plain(config.model), arm, plain(config.training(arm, "pretrain")), config.evaluate.held_out_tokens],
            (pretrain, f"{arm}/base"),
            lambda watcher: learning.pretrain(config, arm, directory, cache.keys[pretrain], watcher),
        ),
        Stage(
            finetune,
            (pretrain, "problems"),
            [plain(config.training(arm, "finetune")), config.evaluate.held_out_problems],
            (finetune, f"{arm}/model"),
            lambda watcher: learning.finetune(config, arm, directory, cache.keys[finetune], watcher),
        ),
    ]


def _score_stages(config: ExperimentConfig, model: str, directory: Path, cache: StageCache) -> list[Stage]:
    learned = f"{model}/finetune" if model in config.arms else "problems"
    identity = model if model in config.arms else model_identity(model)
    settings = model if identity == model else [model, identity]
    return measuring.answer_and_score(config, model, directory, cache, (learned, "problems"), settings)


def _examples_stage(config: ExperimentConfig, directory: Path) -> Stage:
    models = measured_models(config)
    return Stage(
        "examples",
        tuple(f"scores/{model}" for model in models),
        config.evaluate.examples,
        ("examples.json",),
        lambda _: measuring.choose_examples(config, models, directory),
    )
