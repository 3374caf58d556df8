"""What the benchmark of the engine rests on, without a clock; engines are played by a few lines."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("gguf", reason="gguf is not installed")

import gguf

import bandwidth
import goals
import inference
import random_files
from peers import Peer, PeerError, made_up
from random_files import KINDS, SHAPES, ensure, tensor_bytes, vocabulary

# ---- random models ----


@pytest.mark.parametrize("kind", [*KINDS, "tq2_0:q6_k"])
def test_a_random_model_is_a_sound_file(kind: str, tmp_path: Path) -> None:
    path = ensure("tiny", kind, tmp_path)
    reader, shape = gguf.GGUFReader(path), SHAPES["tiny"]
    by_name = {tensor.name: tensor for tensor in reader.tensors}
    assert len(by_name) == 2 + shape.n_layers * 11
    assert sum(tensor.n_bytes for tensor in reader.tensors) == tensor_bytes("tiny", kind)
    assert list(by_name["blk.1.attn_k.weight"].shape) == [256, 128]
    assert list(by_name["blk.0.ffn_down.weight"].shape) == [512, 256]
    assert list(by_name["token_embd.weight"].shape) == [256, 1024]
    last = reader.tensors[-1]
    assert path.stat().st_size >= last.data_offset + last.n_bytes
    embedding = by_name["token_embd.weight"]
    if kind != "tq2_0:q6_k":  # which the package does not decode
        first = gguf.quants.dequantize(embedding.data, embedding.tensor_type) * 16
        assert np.abs(np.abs(first) - np.rint(np.abs(first))).max() < 0.01  # -1, 0, 1, as near as Q8_0 can tell
        assert 0.3 < np.mean(first == 0) < 0.37
    key = by_name["blk.1.attn_q.weight"]
    values = gguf.quants.dequantize(key.data, key.tensor_type) * 16  # the scale is 1 / sqrt(256)
    if kind != "q4_0":  # which holds 7/8 of one of the two signs
        assert set(np.unique(values)) == {-1.0, 0.0, 1.0}
    assert 0.3 < np.mean(values == 0) < 0.37
    assert not list(tmp_path.glob(".*"))


def test_all_kinds_hold_the_same_trits_and_no_two_matrices_the_same_bytes(tmp_path: Path) -> None:
    trits: dict[str, list[np.ndarray]] = {}
    for kind in ("tq2_0", "tq1_0", "f16"):
        for tensor in gguf.GGUFReader(ensure("tiny", kind, tmp_path)).tensors:
            if ".attn_q." in tensor.name or ".attn_output." in tensor.name:
                found = np.sign(gguf.quants.dequantize(tensor.data, tensor.tensor_type))
                trits.setdefault(tensor.name, []).append(found)
    for first, *others in trits.values():
        assert all(np.array_equal(first, other) for other in others)
    firsts = [row[0].tobytes() for row in trits.values()]
    assert len(set(firsts)) == len(firsts) == 4


def test_a_file_that_is_there_is_not_written_again(tmp_path: Path) -> None:
    path = ensure("tiny", "tq2_0", tmp_path)
    path.write_bytes(b"mine")
    assert ensure("tiny", "tq2_0", tmp_path).read_bytes() == b"mine"


@pytest.mark.parametrize("size", [1024, 16384, 128256])
def test_a_vocabulary_has_as_many_different_tokens_and_merges_that_make_them(size: int) -> None:
    tokens, merges = vocabulary(size)
    assert len(tokens) == len(set(tokens)) == size
    known = set(tokens)
    assert all(len(merge.split(" ")) == 2 and set(merge.split(" ")) <= known for merge in merges)
    assert {merge.replace(" ", "") for merge in merges} <= known


def test_parameters_are_those_of_the_notes() -> None:
    """facts: 84.9 M and 12.6 M at 125M, 679.5 M and 49.2 M at 700M, 2084 M and 328.3 M at 2B4T."""
    for name, ternary, embedding in (("125M", 84.9e6, 12.6e6), ("700M", 679.5e6, 49.2e6), ("2B4T", 2084e6, 328.3e6)):
        shape = SHAPES[name]
        assert shape.ternary_parameters == pytest.approx(ternary, rel=1e-3)
        assert shape.vocab_size * shape.dim == pytest.approx(embedding, rel=2e-3)


# ---- peers ----

FAKE = """
import sys, time
sys.path[:0] = {path!r}
from peers import serve
class Fake:
    def __init__(self, path, threads): self.log = [str(path), threads]
    def facts(self): return {{"log": self.log}}
    def make_room(self, *sizes): self.log.append(["room", *sizes])
    def prompt(self, n): self.log.append(["prompt", n]); return 7
    def begin(self, *sizes): self.log.append(["begin", *sizes])
    def step(self): self.log.append("step"); time.sleep({sleep})
serve(Fake, sys.argv[1:])
"""


def fake(tmp_path: Path, code: str = FAKE, sleep: float = 0.0) -> Peer:
    script = tmp_path / "fake.py"
    script.write_text(code.format(path=sys.path, sleep=sleep))
    return Peer("fake", str(script), Path("some.gguf"), 3)


def test_an_engine_is_asked_what_the_protocol_says(tmp_path: Path) -> None:
    with fake(tmp_path) as peer:
        assert peer.ask("memory")["peak_bytes"] > 1e6
        assert peer.ask("open")["facts"]["log"] == ["some.gguf", 3]
        assert peer.ask("prompt", tokens=512)["likeliest"] == 7
        found = peer.ask("decode", batch=8, depth=64, steps=4, budget_s=60)
        assert (found["tokens"], found["cut_short"]) == (32, False)
        log = peer.ask("open")["facts"]["log"]
    assert log == ["some.gguf", 3]  # a new engine


def test_a_slow_engine_is_cut_short(tmp_path: Path) -> None:
    with fake(tmp_path, sleep=0.05) as peer:
        peer.ask("open")
        found = peer.ask("decode", batch=2, depth=64, steps=1000, budget_s=0.1)
    assert found["cut_short"]
    assert 2 <= found["tokens"] <= 8


def test_a_peer_that_dies_tells_its_last_words(tmp_path: Path) -> None:
    with fake(tmp_path, "raise SystemExit('no such model')") as peer, pytest.raises(PeerError, match="no such model"):
        peer.ask("open")


def test_every_engine_is_given_the_same_tokens() -> None:
    tokens = made_up(4, 16, 300)
    assert tokens.dtype == np.int32
    assert np.array_equal(tokens, made_up(4, 16, 300))
    assert 1 <= tokens.min() <= tokens.max() < 300


def test_llama_reads_a_random_model(tmp_path: Path) -> None:
    if not find_spec("llama_cpp"):
        pytest.skip("llama_cpp is not installed")
    with Peer("llama", "llama_peer.py", ensure("tiny", "tq2_0", tmp_path), 1) as peer:
        assert peer.ask("open")["facts"]["threads"] == 1
        assert peer.ask("decode", batch=3, depth=16, steps=4, budget_s=60)["tokens"] == 12
        assert peer.ask("prompt", tokens=40)["tokens"] == 40


# ---- what follows from the rounds ----


def test_ratios_are_taken_round_by_round() -> None:
    rates = {"ours": {"decode 1": [10.0, 30.0]}, "tq2_0": {"decode 1": [5.0, 10.0]}}
    row = inference.row(rates, "ours", [5.0], [2.0, 3.0], n_bytes=100_000_000)
    ratio = {"median": 2.5, "min": 2.0, "max": 3.0, "n": 2, "best_over_best": 3.0}
    assert row["over"]["tq2_0"]["decode 1"] == ratio
    assert row["effective_gb_per_s"]["max"] == pytest.approx(3.0)
    assert row["share_of_bandwidth"]["min"] == pytest.approx(0.5)
    assert row["kept_beside_busy"] == pytest.approx(0.25)


def test_bytes_of_a_token_by_hand() -> None:
    # 24 layers, 16 heads of 96, keys and values in 2 bytes
    assert inference.cache_bytes_per_position(SHAPES["700M"]) == 24 * 16 * 96 * 2 * 2
    cache = 96 * 24 * 16 * 96 * 2 * 2
    packed = inference.bytes_per_token("700M", "tq2_0", runs_packed=True)
    assert packed == 679_477_248 // 4 + 32000 * (1536 + 4) + cache
    norms = 4 * (24 * (3 * 1536 + 4096) + 1536)
    from_file = inference.bytes_per_token("700M", "tq2_0", runs_packed=False)
    assert from_file == 679_477_248 // 256 * 66 + 32000 * 1536 // 32 * 34 + norms + cache


def shape_result(over: float, share: float) -> dict[str, object]:
    works = {work: {"median": over, "best_over_best": over + 1} for work in ("decode 1", "decode 32", "prompt")}
    ours = {"over": {"tq2_0": works}, "share_of_bandwidth": {"median": share}, "peak_over_file_and_cache": 1.2}
    return {"engines": {"ours": ours}}


def test_goals_are_judged_by_shape() -> None:
    rows = goals.judged({"700M": shape_result(2.5, 0.8)})
    met = {row["goal"]: row["met"] for row in rows}
    assert met["decode, times llama.cpp TQ2_0"] is True  # twice is enough at this shape
    assert met["prompt of 512, times llama.cpp TQ2_0"] is False
    assert met["share of the bandwidth measured beside it"] is False
    assert met["peak memory over file and cache"] is False
    assert met["share of the speed kept beside two busy processes"] is None
    assert "load time, s" not in met
    assert next(row["met"] for row in goals.judged({"25M": shape_result(2.5, 1)})) is False
    assert "NOT met" in goals.told(rows)


def test_a_run_beside_other_work_judges_nothing() -> None:
    rows = goals.judged({"700M": shape_result(100.0, 2.0) | {"quiet": False}})
    assert {row["met"] for row in rows} == {None}
    assert any(row["found"] == 100.0 for row in rows)


def test_cores_that_others_keep_busy_are_seen() -> None:
    if not Path("/proc/stat").exists():
        pytest.skip("the system does not tell")
    with inference.busy_processes(1):
        assert max(inference.busy_cores() for _ in range(5)) > 0.4


def test_a_run_is_quiet_if_others_rest_nearly_always() -> None:
    assert inference.is_quiet([0.1] * 18 + [2.0] * 2)
    assert not inference.is_quiet([0.1] * 17 + [2.0] * 3)
    assert not inference.is_quiet([])


def test_the_smaller_ratio_counts() -> None:
    result = shape_result(3.5, 1)
    result["engines"]["ours"]["over"]["tq2_0"]["decode 1"]["best_over_best"] = 1.5  # type: ignore[index]
    assert goals.judged({"700M": result})[0]["found"] == 1.5


def test_without_an_engine_of_ours_no_goal_is_met_and_none_is_missed() -> None:
    assert {row["met"] for row in goals.judged({"25M": {"engines": {}}})} == {None}


def test_a_missing_rival_is_said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(inference, "find_spec", lambda name: None)
    assert inference.available(["tq2_0"]) == {}
    said = capsys.readouterr().err
    assert "llama_cpp is not installed" in said
    assert "our own engine is not built" in said


def test_busy_processes_end_with_the_measurement() -> None:
    with inference.busy_processes(2):
        pass
    assert subprocess.run([sys.executable, "-c", "pass"], check=False).returncode == 0


def test_memory_is_probed_or_there_is_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    if bandwidth.probe_program():
        found = bandwidth.read_gb_per_s(threads=2, mib=8, repetitions=3)
        assert found is not None
        assert len(found) == 3
        assert all(0.1 < value < 10_000 for value in found)
    monkeypatch.setattr(bandwidth, "probe_program", lambda: None)
    assert bandwidth.read_gb_per_s(1) is None


def test_the_cache_lies_outside_the_repository() -> None:
    assert not random_files.default_cache().is_relative_to(Path(__file__).parents[2])
