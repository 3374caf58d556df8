"""Every weight has one optimiser, Muon exactly the blocks' matrices, and the rates are the schedule's."""

import pytest
import torch
from torch import nn

from tritcoder.errors import TrainingError
from tritcoder.model.transformer import Transformer
from tritcoder.ternary.shape import ModelConfig
from tritcoder.train.config import TrainConfig
from tritcoder.train.optim import Optimizers
from tritcoder.train.schedule import lr_share

SHAPE = ModelConfig(vocab_size=300, dim=256, n_layers=2, n_kv_heads=2, hidden_dim=256, max_seq_len=32)


def moved_by(optimizer: torch.optim.Optimizer) -> set[int]:
    return {id(parameter) for group in optimizer.param_groups for parameter in group["params"]}


def test_muon_takes_exactly_the_matrices_of_the_blocks() -> None:
    model = Transformer(SHAPE)
    (adamw, _), (muon, _) = Optimizers(model, TrainConfig(optimizer="muon")).parts
    assert isinstance(muon, torch.optim.Muon)
    matrices = {
        id(parameter)
        for name, parameter in model.named_parameters()
        if name.split(".")[-2] in {"q", "k", "v", "o", "gate", "up", "down"}
    }
    assert len(matrices) == 2 * 7
    assert moved_by(muon) == matrices
    assert moved_by(adamw) == {id(parameter) for parameter in model.parameters()} - matrices


def test_adamw_can_take_all() -> None:
    model = Transformer(SHAPE)
    ((adamw, _),) = Optimizers(model, TrainConfig(optimizer="adamw")).parts
    assert isinstance(adamw, torch.optim.AdamW)
    assert moved_by(adamw) == {id(parameter) for parameter in model.parameters()}


def test_each_step_has_the_rate_of_the_schedule(model: nn.Module) -> None:
    config = TrainConfig(steps=10, lr=0.01, matrix_lr=0.5, weight_decay=0.2)
    optimizers = Optimizers(model, config)
    for step in range(10):
        for parameter in model.parameters():
            parameter.grad = torch.ones_like(parameter)
        assert optimizers.step(step) == 0.01 * lr_share(config, step)
        for optimizer, peak in optimizers.parts:
            assert [group["lr"] for group in optimizer.param_groups] == [peak * lr_share(config, step)]
            assert [group["weight_decay"] for group in optimizer.param_groups] == [0.2 if step < 5 else 0.0]
        assert all(parameter.grad is None for parameter in model.parameters())


@pytest.mark.parametrize("optimizer", ["muon", "adamw"])
def test_without_gradient_weights_shrink_by_rate_times_decay_in_the_first_half_alone(
    model: nn.Module, optimizer: str
) -> None:
    config = TrainConfig(
        steps=4, warmup=0.0, decay=0.0, lr=0.1, matrix_lr=0.1, weight_decay=0.5, optimizer=optimizer  # type: ignore[arg-type]
    )  # fmt: skip
    optimizers = Optimizers(model, config)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for step in range(4):
        for parameter in model.parameters():
            parameter.grad = torch.zeros_like(parameter)
        optimizers.step(step)
    for parameter, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old * (1 - 0.1 * 0.5) ** 2)


def test_first_step_of_adamw_by_hand(model: nn.Module) -> None:
    # m / sqrt(v) is the gradient's sign at the first step
    optimizers = Optimizers(model, TrainConfig(steps=1, optimizer="adamw", lr=0.01))
    before = [parameter.detach().clone() for parameter in model.parameters()]
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, -3.0)
    optimizers.step(0)
    for parameter, old in zip(model.parameters(), before, strict=True):
        torch.testing.assert_close(parameter.detach(), old + 0.01)


def test_state_of_another_choice_of_optimiser_is_refused(model: nn.Module) -> None:
    muon, adamw = (Optimizers(model, TrainConfig(optimizer=name)) for name in ("muon", "adamw"))
    with pytest.raises(TrainingError, match="holds 2 optimisers, this run has 1"):
        adamw.load_state_dict(muon.state_dict())


def test_state_of_another_model_is_refused(model: nn.Module) -> None:
    config = TrainConfig(optimizer="adamw")
    other = torch.nn.Linear(3, 3)
    with pytest.raises(TrainingError, match="does not fit this model"):
        Optimizers(model, config).load_state_dict(Optimizers(other, config).state_dict())
