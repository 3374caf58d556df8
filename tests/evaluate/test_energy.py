"""The model of arithmetic energy against sums worked by hand, and the counters against files made for the purpose."""

from pathlib import Path

import pytest

from tritcoder.evaluate.energy import (
    PICOJOULES,
    EnergyCounter,
    Matrix,
    dense_picojoules,
    modelled_arithmetic_energy,
    ternary_picojoules,
)


def test_a_small_product_by_hand() -> None:
    # 1 token, 2 inputs, 2 outputs: 4 multiplications and 2 additions
    assert dense_picojoules(1, 2, 2, "fp16", "7nm") == pytest.approx(4 * 0.34 + 2 * 0.16)
    assert dense_picojoules(1, 2, 2, "fp32", "45nm") == pytest.approx(4 * 3.7 + 2 * 0.9)
    # 2 additions of int8; the scales: 2 outputs and 2 inputs, a multiplication of fp16 each
    assert ternary_picojoules(1, 2, 2, "7nm") == pytest.approx(2 * 0.007 + 4 * 0.34)
    assert ternary_picojoules(3, 5, 7, "45nm") == pytest.approx(3 * 4 * 7 * 0.03 + (21 + 15) * 1.1)


def test_large_products_reach_the_published_ratio() -> None:
    """BitNet b1.58 prints 71.4 at 7 nm: (0.16 + 0.34) / 0.007, where the scales no longer count."""
    size = 10**7
    ratio = dense_picojoules(1, size, size, "fp16", "7nm") / ternary_picojoules(1, size, size, "7nm")
    assert ratio == pytest.approx(71.4, abs=0.05)


def test_no_energy_of_an_operation_is_negative_and_smaller_nodes_need_less() -> None:
    for precision, (add, multiply) in PICOJOULES["45nm"].items():
        finer = PICOJOULES["7nm"][precision]
        assert 0 < finer[0] < add
        assert 0 < finer[1] < multiply


def test_a_model_adds_up_its_matrices_and_keeps_the_head_apart() -> None:
    found = modelled_arithmetic_energy([Matrix(2, 2, ternary=True), Matrix(2, 2), Matrix(2, 2, head=True)])
    row = found["by_node"]["7nm"]
    dense, trits = 4 * 0.34 + 2 * 0.16, 2 * 0.007 + 4 * 0.34
    assert row["picojoules_per_token"]["as_is"] == pytest.approx(trits + dense)
    assert row["picojoules_per_token"]["dense_fp16"] == pytest.approx(2 * dense)
    assert row["picojoules_per_token_with_head"]["as_is"] == pytest.approx(trits + 2 * dense)
    assert row["dense_fp16_over_as_is"] == pytest.approx(2 * dense / (trits + dense))


def test_the_modelled_energy_says_that_it_is_a_model() -> None:
    found = modelled_arithmetic_energy([Matrix(2, 2, ternary=True)])
    assert found["what_it_is"] == "a model, not a measurement"
    assert any("memory" in left_out for left_out in found["leaves_out"])
    assert "2310.11453" in found["source"]
    assert "watt" not in str(found).lower()


def test_nothing_but_a_head_has_no_ratio() -> None:
    assert modelled_arithmetic_energy([Matrix(2, 2, head=True)])["by_node"]["7nm"]["dense_fp16_over_as_is"] is None


def packages(folder: Path, *microjoules: int) -> None:
    for number, value in enumerate(microjoules):
        package = folder / f"intel-rapl:{number}"
        package.mkdir(exist_ok=True)
        (package / "energy_uj").write_text(f"{value}\n")
        (package / "max_energy_range_uj").write_text("1000000\n")


def test_counters_of_all_packages_are_added_and_cores_are_not(tmp_path: Path) -> None:
    packages(tmp_path, 100, 200)
    (tmp_path / "intel-rapl:0:0").mkdir()  # a part of package 0
    counter = EnergyCounter(tmp_path)
    packages(tmp_path, 300_100, 200_200)
    assert counter.joules() == pytest.approx(0.5)
    assert counter.why_not == ""


def test_a_counter_that_began_anew_is_carried_over(tmp_path: Path) -> None:
    packages(tmp_path, 900_000)
    counter = EnergyCounter(tmp_path)
    packages(tmp_path, 100_000)
    assert counter.joules() == pytest.approx(0.2)


def test_without_counters_there_is_no_number_but_a_reason(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "missing"):
        counter = EnergyCounter(folder)
        assert counter.joules() is None
        assert "RAPL" in counter.why_not


def test_a_counter_that_may_not_be_read_is_a_reason(tmp_path: Path) -> None:
    (tmp_path / "intel-rapl:0" / "energy_uj").mkdir(parents=True)  # reading it fails, for root too
    counter = EnergyCounter(tmp_path)
    assert counter.joules() is None
    assert "energy_uj cannot be read" in counter.why_not
