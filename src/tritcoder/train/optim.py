"""Which optimiser moves which weight."""

from typing import Any

import torch
from torch import nn

from tritcoder.errors import TrainingError
from tritcoder.train.config import TrainConfig
from tritcoder.train.schedule import lr_share, weight_decay


class Optimizers:
    """Muon for the blocks' matrices (Jordan 2024) and AdamW for the rest, or AdamW for all, as one."""

    def __init__(self, model: nn.Module, config: TrainConfig) -> None:
        self.config = config
        matrices, others = _split(model)
        if config.optimizer == "adamw":
            others, matrices = others + matrices, []
        fused = all(parameter.device.type in ("cpu", "cuda") for parameter in others)
        self.parts: list[tuple[torch.optim.Optimizer, float]] = [
            (torch.optim.AdamW(others, lr=config.lr, betas=(0.9, 0.95), weight_decay=0.0, fused=fused), config.lr)
        ]
        if matrices:
            muon = torch.optim.Muon(matrices, lr=config.matrix_lr, weight_decay=0.0, momentum=0.95)
            self.parts.append((muon, config.matrix_lr))

    def step(self, step: int) -> float:
        """Move the weights with the rates of this step; returns AdamW's rate."""
        share, decay = lr_share(self.config, step), weight_decay(self.config, step)
        for optimizer, peak in self.parts:
            for group in optimizer.param_groups:
                group["lr"], group["weight_decay"] = peak * share, decay
            optimizer.step()
            optimizer.zero_grad(set_to_none=True)
        return self.config.lr * share

    def state_dict(self) -> list[dict[str, Any]]:
        """The state of each part, in order."""
        return [optimizer.state_dict() for optimizer, _ in self.parts]

    def load_state_dict(self, states: list[dict[str, Any]]) -> None:
        """Take back what `state_dict` gave.

        Raises:
            TrainingError: it belongs to another model or another choice of optimiser.
        """
        if len(states) != len(self.parts):
            raise TrainingError(
                f"the checkpoint holds {len(states)} optimisers, this run has {len(self.parts)}",
                "resume with the optimizer setting that the checkpoint was written with",
            )
        for (optimizer, _), state in zip(self.parts, states, strict=True):
            try:
                optimizer.load_state_dict(state)
            except ValueError as error:
                raise TrainingError(f"the checkpoint's optimiser does not fit this model ({error})") from None


def _split(model: nn.Module) -> tuple[list[nn.Parameter], list[nn.Parameter]]:
    matrices = [p for name, p in model.named_parameters() if p.dim() == 2 and "embedding" not in name]
    chosen = set(map(id, matrices))
    return matrices, [p for p in model.parameters() if id(p) not in chosen]
