"""torch's BitLinear is the numpy one, and its gradient is the straight-through estimator's."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tritcoder.model.layers import BitLinear, RMSNorm, absmax_int8, absmean_ternary
from tritcoder.ternary import quantize

RELATIVE_TOLERANCE = 1e-5


def random_layer(seed: int, n_out: int = 24, n_in: int = 32) -> tuple[BitLinear, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    layer = BitLinear(n_in, n_out, "ternary")
    torch.nn.init.normal_(layer.weight, std=0.1, generator=generator)
    return layer, torch.randn(5, n_in, generator=generator)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_bit_linear_equals_the_numpy_reference(seed: int) -> None:
    layer, x = random_layer(seed)
    expected = quantize.ternary_matmul(
        quantize.absmax_int8(x.numpy()), quantize.absmean_ternary(layer.weight.detach().numpy())
    )
    with torch.no_grad():
        found = layer(layer.prepare(x)).numpy()
    np.testing.assert_allclose(found, expected, rtol=RELATIVE_TOLERANCE, atol=1e-6)


def test_gradient_is_that_of_the_rounded_product() -> None:
    layer, x = random_layer(3)
    x.requires_grad_()
    upstream = torch.randn(5, 24, generator=torch.Generator().manual_seed(4))
    layer(layer.prepare(x)).backward(upstream)
    with torch.no_grad():
        trits, w_scale = absmean_ternary(layer.weight)
        levels, inverse = absmax_int8(x)
    assert x.grad is not None
    assert layer.weight.grad is not None
    torch.testing.assert_close(x.grad, upstream @ (trits * w_scale))
    torch.testing.assert_close(layer.weight.grad, upstream.t() @ (levels / inverse))


def test_gradients_of_layers_that_share_their_activations_add_up() -> None:
    first, x = random_layer(5)
    second, _ = random_layer(6)
    x.requires_grad_()
    levels = first.prepare(x)
    (first(levels).sum() + second(levels).sum()).backward()
    with torch.no_grad():
        expected = sum((t * s).sum(dim=0) for t, s in (absmean_ternary(first.weight), absmean_ternary(second.weight)))
    assert x.grad is not None
    torch.testing.assert_close(x.grad, expected.expand_as(x.grad))  # type: ignore[union-attr]


def test_quantising_precedes_the_cast_to_bf16() -> None:
    layer, x = random_layer(7, 256, 256)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        levels = layer.prepare(x @ torch.randn(32, 256) if x.shape[1] != 256 else x)
    assert levels.values.dtype == torch.bfloat16
    exact, _ = absmax_int8(x)
    assert torch.equal(levels.values.float(), exact)


def test_frozen_layer_answers_as_before() -> None:
    layer, x = random_layer(8)
    with torch.no_grad():
        before = layer(layer.prepare(x))
        layer.freeze()
        assert torch.equal(layer(layer.prepare(x)), before)


def test_twin_layer_is_a_plain_linear_layer() -> None:
    layer = BitLinear(8, 4, "none")
    torch.nn.init.normal_(layer.weight, generator=torch.Generator().manual_seed(1))
    x = torch.randn(3, 8)
    assert torch.equal(layer(layer.prepare(x)), torch.nn.functional.linear(x, layer.weight))


def test_rms_norm_by_hand() -> None:
    norm = RMSNorm(2, eps=0.0)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, 2.0]))
        found = norm(torch.tensor([[3.0, 4.0]]))
    rms = (12.5) ** 0.5
    torch.testing.assert_close(found, torch.tensor([[3 / rms, 8 / rms]]))


@pytest.mark.parametrize("quantization", ["ternary", "none"])
def test_zero_input_gives_zero_output(quantization: str) -> None:
    layer = BitLinear(8, 4, quantization)  # type: ignore[arg-type]
    torch.nn.init.normal_(layer.weight)
    with torch.no_grad():
        assert torch.equal(layer(layer.prepare(torch.zeros(1, 8))), torch.zeros(1, 4))
