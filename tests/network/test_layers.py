"""Every implementation of each resampling layer against PyTorch's own operations."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from smnet_jax.network import gpu, layers
from smnet_jax.network.cpu import resampling
from smnet_jax.network.cpu.resampling import interleave
from tests.support import tolerances


def nchw(x):
    return torch.tensor(np.asarray(x)).permute(0, 3, 1, 2)


def nhwc(t):
    return t.permute(0, 2, 3, 1).numpy()


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.standard_normal((2, 6, 10, 4)), jnp.float32)


@pytest.mark.parametrize(
    "blur_down", [layers.blur_down, gpu.blur_down, resampling.blur_down], ids=["plain", "gpu", "cpu"]
)
def test_blur_down(x, blur_down):
    tap = torch.tensor([1.0, 2.0, 1.0])
    kernel = (torch.outer(tap, tap) / 16).repeat(4, 1, 1, 1)
    expected = F.conv2d(F.pad(nchw(x), (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=4)
    bound = tolerances.summed(9, layers.blur_down(jnp.abs(x)))
    np.testing.assert_allclose(blur_down(x), nhwc(expected), rtol=0, atol=bound)


def _bilinear_up_by_phases(x):
    return interleave(resampling.bilinear_up_phases(x))


@pytest.mark.parametrize(
    "bilinear_up", [layers.bilinear_up, gpu.bilinear_up, _bilinear_up_by_phases], ids=["plain", "gpu", "cpu"]
)
@pytest.mark.parametrize("shape", [(2, 6, 10, 4), (1, 1, 1, 3)])
def test_bilinear_up(rng, bilinear_up, shape):
    x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    expected = F.interpolate(nchw(x), scale_factor=2, mode="bilinear", align_corners=False)
    bound = tolerances.summed(4, layers.bilinear_up(jnp.abs(x)))
    np.testing.assert_allclose(bilinear_up(x), nhwc(expected), rtol=0, atol=bound)


def _transposed_conv_by_phases(x, kernel):
    return interleave(resampling.transposed_conv_phases(x, kernel))


@pytest.mark.parametrize(
    "transposed_conv",
    [layers.transposed_conv, gpu.transposed_conv, _transposed_conv_by_phases],
    ids=["plain", "gpu", "cpu"],
)
def test_transposed_conv(x, rng, transposed_conv):
    weight = rng.standard_normal((4, 5, 3, 3)).astype(np.float32)  # torch: (in, out, kh, kw)
    kernel = jnp.asarray(weight.transpose(2, 3, 0, 1))
    expected = F.conv_transpose2d(nchw(x), torch.tensor(weight), stride=2, padding=1, output_padding=1)
    bound = tolerances.summed(4 * 4, layers.transposed_conv(jnp.abs(x), jnp.abs(kernel)))  # four taps of four channels
    np.testing.assert_allclose(transposed_conv(x, kernel), nhwc(expected), rtol=0, atol=bound)


def test_product1x1_takes_a_kernel_per_picture(x, rng):
    kernels = jnp.asarray(rng.standard_normal((2, 1, 1, 4, 3)), jnp.float32)
    bias = jnp.asarray([1.0, 2.0, 3.0])
    together = layers.product1x1(x, kernels, bias)
    alone = [layers.product1x1(x[i : i + 1], kernels[i], bias)[0] for i in range(2)]
    bound = tolerances.summed(4, layers.product1x1(jnp.abs(x), jnp.abs(kernels), bias))
    np.testing.assert_allclose(together, np.stack(alone), rtol=0, atol=bound)


def test_prelu_at_zero_takes_the_negative_side(rng):
    x = jnp.asarray([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(layers.prelu(x, jnp.float32(0.25)), [-0.5, 0.0, 3.0])
