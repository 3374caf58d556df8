import pytest

from tritcoder.config import build, load, to_toml
from tritcoder.data.config import PERMISSIVE, CorpusConfig, ProblemsConfig
from tritcoder.errors import ConfigError


@pytest.mark.parametrize(
    ("tree", "names"),
    [
        ({"held_out_share": 1.0}, "held_out_share"),
        ({"held_out_share": -0.1}, "held_out_share"),
        ({"max_bytes": -1}, "max_bytes"),
        ({"max_bytes_per_group": -1}, "max_bytes_per_group"),
        ({"held_out_max_bytes": -1}, "held_out_max_bytes"),
        ({"max_files": -1}, "max_files"),
        ({"min_file_bytes": -1}, "min_file_bytes"),
        ({"max_file_bytes": 64}, "max_file_bytes"),
        ({"max_mean_line": 0.0}, "max_mean_line"),
        ({"max_line": 0}, "max_line"),
        ({"min_alphanumeric": 1.1}, "min_alphanumeric"),
        ({"languages": []}, "languages"),
        ({"languages": ["Ruby"]}, "languages"),
        ({"licences": []}, "licences"),
        ({"licences": [""]}, "licences"),
        ({"source": "folder"}, "path"),
        ({"source": "the-stack", "dataset": "the-stack"}, "dataset"),
        ({"source": "github"}, "source"),
        ({"licenses": ["MIT"]}, "licences"),
    ],
)
def test_a_corpus_that_cannot_be_is_refused_by_name(tree: dict[str, object], names: str) -> None:
    with pytest.raises(ConfigError) as caught:
        build(CorpusConfig, tree)
    assert names in caught.value.message + caught.value.hint


@pytest.mark.parametrize("name", ["train_limit", "test_limit", "max_tests", "max_solutions"])
def test_a_negative_limit_on_problems_is_refused_by_name(name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        build(ProblemsConfig, {name: -1})


def test_a_source_that_names_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="source"):
        ProblemsConfig(source=" ")


@pytest.mark.parametrize("config", [CorpusConfig(), CorpusConfig(source="folder", path="x"), ProblemsConfig()])
def test_a_configuration_survives_its_file(config: object, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("config") / "one.toml"
    path.write_text(to_toml(config), encoding="utf-8")
    assert load(path, type(config)) == config


def test_no_copyleft_licence_is_allowed_by_default() -> None:
    assert not [name for name in PERMISSIVE if name.startswith(("GPL", "LGPL", "AGPL", "MPL", "CC-BY-SA", "EPL"))]
