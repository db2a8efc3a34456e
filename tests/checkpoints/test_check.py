"""Parameters that are not those of their architecture are refused, with every difference."""

import numpy as np
import pytest

from smnet_jax.checkpoints import torch_layout
from smnet_jax.checkpoints.architecture import VARIANTS, Architecture
from smnet_jax.checkpoints.check import check
from smnet_jax.errors import InputError


@pytest.fixture(params=VARIANTS)
def variant(request) -> str:
    return request.param


@pytest.fixture
def params(variant) -> dict[str, np.ndarray]:
    return {entry.path: entry.ours(entry.initial()) for entry in torch_layout.layout(variant, 8) if entry.path}


def test_an_architectures_own_parameters_pass(variant, params):
    check(params, Architecture(variant, 8))


def test_those_of_another_are_refused(variant, params):
    with pytest.raises(InputError, match=f"differ from variant {variant} at width 12"):
        check(params, Architecture(variant, 12))


def test_every_difference_is_told(variant, params):
    del params["block/act/slope"]
    params["stem/conv/bias"] = np.zeros(8)
    params["head/out/bias"] = np.full(3, np.inf, np.float32)
    params["more"] = np.zeros(2, np.float32)
    with pytest.raises(InputError) as caught:
        check(params, Architecture(variant, 8), "mine")
    first, *others = str(caught.value).splitlines()
    assert first.startswith("mine: 4 arrays differ")
    assert sorted(others) == [
        "differs: stem/conv/bias is (8,) float64, must be (8,) float32",
        "missing: block/act/slope ()",
        "not finite: head/out/bias holds NaN or infinity",
        "unknown: 'more' (2,) float32",
    ]
