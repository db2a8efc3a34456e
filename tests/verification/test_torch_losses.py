"""The PyTorch losses against the published ones."""

import numpy as np
import pytest
import torch

from smnet_jax.verification import torch_losses
from smnet_jax.vgg16 import load_vgg16
from tests.support import tolerances


@pytest.fixture(scope="module")
def vgg():
    return torch_losses.vgg16_weights(load_vgg16())


@pytest.mark.parametrize("case", range(4))
def test_every_term_is_the_published_one(case, fixtures, vgg):
    """Cases 0 to 3 cover the three dynamic ranges that SSIM may pick."""
    with np.load(fixtures / "golden" / "losses.npz") as file:
        arrays = {name.removeprefix(f"case{case}/"): file[name] for name in file if name.startswith(f"case{case}/")}
    pred, low, high = (torch.tensor(arrays[name]).permute(0, 3, 1, 2) for name in ("pred", "low", "high"))
    with torch.inference_mode():
        total, terms = torch_losses.total_loss(pred, low, high, vgg)
    for name, value in {"total": total, **terms}.items():
        expected = arrays.get(name, arrays.get(f"loss/{name}"))
        assert expected is not None, sorted(arrays)
        np.testing.assert_allclose(value, expected, rtol=tolerances.LOSS, err_msg=name)
