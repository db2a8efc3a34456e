"""Small networks in both frameworks, and what PyTorch computes with them."""

import numpy as np
import pytest

from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.checkpoints.trees import flatten, unflatten
from smnet_jax.verification import stored
from smnet_jax.verification.check import Reference
from smnet_jax.vgg16 import load_vgg16


@pytest.fixture(scope="session")
def vgg():
    return load_vgg16()


@pytest.fixture(scope="session")
def frozen(vgg):
    """VGG16's weights as tensors."""
    from smnet_jax.verification import torch_losses

    return torch_losses.vgg16_weights(vgg)


@pytest.fixture(scope="session")
def low():
    """The stored numbers' picture: one size for all tests, so that everything compiles once."""
    return stored.read("lol")[2].low


@pytest.fixture(scope="session")
def tampered(low):
    """A function that makes the reference of a network of which one parameter was changed."""

    from smnet_jax.verification import torch_stages

    def reference(variant: str, path: str, factor: float) -> tuple[Architecture, dict, Reference]:
        architecture, params, *_ = stored.read(variant)
        other = flatten(params)
        assert path in other
        other[path] = (other[path] * np.float32(factor)).astype(np.float32)
        net = torch_stages.network(unflatten(other), architecture)
        return architecture, params, Reference("tampered", low, torch_stages.forward(net, low))

    return reference
