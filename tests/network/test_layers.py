"""Both forms of each resampling layer against PyTorch's own operations."""

import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from smnet_jax.network import layers

TOLERANCE = 1e-6  # a few float32 roundings of values of order one


def nchw(x):
    return torch.tensor(np.asarray(x)).permute(0, 3, 1, 2)


def nhwc(t):
    return t.permute(0, 2, 3, 1).numpy()


@pytest.fixture
def x(rng):
    return jnp.asarray(rng.standard_normal((2, 6, 10, 4)), jnp.float32)


@pytest.mark.parametrize("form", ["conv", "subpixel"])
def test_blur_down(x, form):
    tap = torch.tensor([1.0, 2.0, 1.0])
    kernel = (torch.outer(tap, tap) / 16).repeat(4, 1, 1, 1)
    expected = F.conv2d(F.pad(nchw(x), (1, 1, 1, 1), mode="reflect"), kernel, stride=2, groups=4)
    np.testing.assert_allclose(layers.blur_down(x, form), nhwc(expected), atol=TOLERANCE)


@pytest.mark.parametrize("form", ["conv", "subpixel"])
@pytest.mark.parametrize("shape", [(2, 6, 10, 4), (1, 1, 1, 3)])
def test_bilinear_up(rng, form, shape):
    x = jnp.asarray(rng.standard_normal(shape), jnp.float32)
    expected = F.interpolate(nchw(x), scale_factor=2, mode="bilinear", align_corners=False)
    np.testing.assert_allclose(layers.bilinear_up(x, form), nhwc(expected), atol=TOLERANCE)


@pytest.mark.parametrize("phases", [False, True])
def test_transposed_conv(x, rng, phases):
    weight = rng.standard_normal((4, 5, 3, 3)).astype(np.float32)  # torch: (in, out, kh, kw)
    kernel = jnp.asarray(weight.transpose(2, 3, 0, 1))
    ours = layers.interleave(layers.transposed_conv_phases(x, kernel)) if phases else layers.transposed_conv(x, kernel)
    expected = F.conv_transpose2d(nchw(x), torch.tensor(weight), stride=2, padding=1, output_padding=1)
    np.testing.assert_allclose(ours, nhwc(expected), atol=5 * TOLERANCE)


def test_conv1x1_takes_a_kernel_per_picture(x, rng):
    kernels = jnp.asarray(rng.standard_normal((2, 1, 1, 4, 3)), jnp.float32)
    bias = jnp.asarray([1.0, 2.0, 3.0])
    together = layers.conv1x1(x, kernels, bias)
    alone = [layers.conv1x1(x[i : i + 1], kernels[i], bias)[0] for i in range(2)]
    np.testing.assert_allclose(together, np.stack(alone), atol=TOLERANCE)


def test_prelu_at_zero_takes_the_negative_side(rng):
    x = jnp.asarray([-2.0, 0.0, 3.0])
    np.testing.assert_array_equal(layers.prelu(x, jnp.float32(0.25)), [-0.5, 0.0, 3.0])
