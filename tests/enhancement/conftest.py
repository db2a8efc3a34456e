import jax
import numpy as np
import pytest

from smnet_jax.checkpoints import untrained


@pytest.fixture(scope="module")
def weights():
    """A random network that changes a picture, but leaves most of it within [0, 1]."""
    model, variables = untrained.make(width=4)
    return model.clone(blocks=1), variables


@pytest.fixture(scope="module")
def low() -> np.ndarray:
    """13x18: neither side a multiple of four."""
    return np.random.default_rng(0).random((13, 18, 3), np.float32) * 0.3


@pytest.fixture
def compilations(monkeypatch) -> list[jax.stages.Lowered]:
    """Grows by one with each program that is compiled."""
    seen: list[jax.stages.Lowered] = []
    compile_ = jax.stages.Lowered.compile

    def noting(self, *args, **options):
        seen.append(self)
        return compile_(self, *args, **options)

    monkeypatch.setattr(jax.stages.Lowered, "compile", noting)
    return seen
