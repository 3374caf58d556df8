"""BitLinear: a linear layer that computes with trits and int8, and learns with float latent weights.

Axes: B batch, T tokens, D width.

Forward, in float32:  y = (levels * x_scale) (trits * w_scale)^T    in Hugging Face's order of operations
Forward, in bf16:     y = (levels trits^T) * (x_scale * w_scale)    small integers, which bf16 holds exactly
Backward:             as if y = x W^T had been computed with the rounded x and W: the straight-through estimator
                      (Bengio et al. 2013, arXiv:1308.3432), as in BitNet (arXiv:2310.11453, section 2.2)

Quantising comes before any cast, in float32: a bf16 cast first would move about 1 trit in 2,000.
"""

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tritcoder.ternary.shape import Quantization

EPS = 1e-5
"""As in ternary.quantize."""


class Levels(NamedTuple):
    """Activations ready for a BitLinear.

    By convention the gradient of `values` is the gradient of the rounded activations, whatever their scale.
    """

    values: Float[Tensor, "*B D"]
    scale: Float[Tensor, "*B 1"] | None
    """None: the values are (rounded) activations; else they are int8 levels in these units."""


def absmean_ternary(weight: Float[Tensor, "out in"]) -> tuple[Float[Tensor, "out in"], Float[Tensor, ""]]:
    """Trits and scale of a weight matrix; `ternary.quantize.absmean_ternary` in torch, float32."""
    inverse = 1.0 / weight.float().abs().mean().clamp(min=EPS)
    return (weight.float() * inverse).round().clamp(-1, 1), 1.0 / inverse


def absmax_int8(x: Float[Tensor, "*B D"]) -> tuple[Float[Tensor, "*B D"], Float[Tensor, "*B 1"]]:
    """Levels of each row and the inverse of its scale; `ternary.quantize.absmax_int8` in torch, float32."""
    inverse = 127 / x.float().abs().amax(dim=-1, keepdim=True).clamp(min=EPS)
    return (x.float() * inverse).round().clamp(-128, 127), inverse


def _compute_dtype(x: Tensor) -> torch.dtype:
    kind = x.device.type
    return torch.get_autocast_dtype(kind) if torch.is_autocast_enabled(kind) else x.dtype


class _RoundActivations(torch.autograd.Function):
    """float32: activations rounded to their int8 levels."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        levels, inverse = absmax_int8(x)
        return levels / inverse

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class _RoundWeight(torch.autograd.Function):
    """float32: a weight matrix rounded to trits times their scale."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor) -> Tensor:
        trits, scale = absmean_ternary(weight)
        return trits * scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


class _QuantizeActivations(torch.autograd.Function):
    """bf16: the int8 levels themselves, and their scale."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
        levels, inverse = absmax_int8(x)
        scale = 1.0 / inverse
        ctx.mark_non_differentiable(scale)
        ctx.x_dtype = x.dtype
        return levels.to(dtype), scale

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return gradients[0].to(ctx.x_dtype), None


class _TernaryProduct(torch.autograd.Function):
    """bf16: levels times trits, then the scales."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, x_scale: Tensor, weight: Tensor) -> Tensor:
        trits, w_scale = absmean_ternary(weight)
        trits = trits.to(values.dtype)
        ctx.save_for_backward(values, x_scale, trits, w_scale)
        ctx.weight_dtype = weight.dtype
        return F.linear(values, trits) * (x_scale * w_scale).to(values.dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, Tensor]:
        values, x_scale, trits, w_scale = ctx.saved_tensors
        gradient = gradients[0].to(values.dtype)
        to_values = (gradient @ trits) * w_scale.to(values.dtype)
        scaled = (gradient * x_scale.to(values.dtype)).flatten(0, -2)
        to_weight = scaled.t() @ values.flatten(0, -2)
        return to_values, None, to_weight.to(ctx.weight_dtype)


class BitLinear(nn.Module):
    """A linear layer without bias whose weights are ternary, or float for the twin.

    `prepare` quantises activations once for the several layers that read them.
    """

    def __init__(self, in_features: int, out_features: int, quantization: Quantization) -> None:
        super().__init__()
        self.quantization = quantization
        self.weight = nn.Parameter(torch.empty(out_features, in_features))
        self._frozen: Tensor | None = None

    def prepare(self, x: Float[Tensor, "*B D"]) -> Levels:
        """Round activations to int8 levels, or leave them be in the twin."""
        if self.quantization == "none":
            return Levels(x, None)
        dtype = _compute_dtype(x)
        if dtype == torch.float32:
            return Levels(_RoundActivations.apply(x), None)  # type: ignore[no-untyped-call]
        values, scale = _QuantizeActivations.apply(x, dtype)  # type: ignore[no-untyped-call]
        return Levels(values, scale)

    def forward(self, x: Levels) -> Float[Tensor, "*B out"]:
        """Activations from `prepare` in, (..., out) in the compute dtype out."""
        if x.scale is None:
            return F.linear(x.values, self._float_weight())
        product: Tensor = _TernaryProduct.apply(x.values, x.scale, self.weight)  # type: ignore[no-untyped-call]
        return product

    def freeze(self) -> None:
        """Round the weights once: for float32 inference, until the module is made anew."""
        with torch.no_grad():
            self._frozen = self._float_weight()

    def _float_weight(self) -> Tensor:
        if self.quantization == "none":
            return self.weight
        if self._frozen is not None:
            return self._frozen
        rounded: Tensor = _RoundWeight.apply(self.weight)  # type: ignore[no-untyped-call]
        return rounded


class RMSNorm(nn.Module):
    """x / sqrt(mean(x^2) + eps) * weight, computed in float32 (Zhang and Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, dim: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(dim))

    def forward(self, x: Float[Tensor, "*B D"]) -> Float[Tensor, "*B D"]:
        """The same shape, float32."""
        return F.rms_norm(x.float(), self.weight.shape, self.weight, self.eps)
