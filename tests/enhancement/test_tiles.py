import gc
import types
from typing import Any

import jax
import numpy as np
import pytest

from smnet_jax.enhancement.tiles import enhance_tiled, programs_for
from smnet_jax.errors import InputError
from tests.support import tolerances
from tests.support.golden_case import relative_error
from tests.support.networks import network


@pytest.fixture(scope="module")
def low() -> np.ndarray:
    """132x140: brighter to one corner, so that tiles differ in their statistics."""
    ramp = np.linspace(0, 1, 132)[:, None, None] * np.linspace(0.2, 1, 140)[None, :, None]
    return (ramp * np.random.default_rng(0).random((132, 140, 3))).astype(np.float32)


def whole(model, variables, low):
    return np.asarray(jax.jit(model.apply)(variables, low[None]))[0]


@pytest.mark.parametrize(
    ("variant", "implementation", "tile", "keep"),
    [
        ("lol", "cpu", 40, False),  # 2 x 3 tiles
        ("lol", "cpu", 40, True),
        ("lol", "tpu", (132, 30), True),  # columns only
        ("fivek", "cpu", (27, 140), True),  # rows only
        ("fivek", "gpu", 64, False),
    ],
)
def test_tiles_equal_the_whole(variant, implementation, tile, keep, low):
    model, variables = network(variant, implementation)
    expected = whole(model, variables, low)
    steps: list[float] = []
    result, done = enhance_tiled(model, variables, low, tile, keep=keep, progress=steps.append)
    assert result.dtype == np.float32
    assert relative_error(result, expected) < tolerances.forward(variant, 8)
    assert steps == sorted(steps) and steps[-1] == pytest.approx(1)
    assert done.tiles > 1 and done.work > 1


def test_tiles_equal_the_whole_by_fewer_products(winograd_everywhere, low):
    """Tiles that begin at other rows round otherwise."""
    model, variables = network("lol")
    expected = np.asarray(jax.jit(lambda low: model.apply(variables, low))(low[None]))[0]
    result, _ = enhance_tiled(model, variables, low, (44, 36))
    assert 0 < relative_error(result, expected) < tolerances.forward("lol", 8)


def test_tiles_are_compiled_for_little_memory():
    model, _ = network("lol")
    local = programs_for(model, (96, 96), (48, 48)).local
    plans: list[Any] = [p.memory_analysis() for p in (local.compiled, local.lowered.compile())]
    planned, usual = (plan.temp_size_in_bytes for plan in plans)
    assert planned < 0.9 * usual  # measured: 0.83; 0.67 at width 64


@pytest.mark.parametrize("keep", [True, False])
def test_the_work_is_counted(keep, low):
    """One tile is the whole picture: what is left is its local part, computed once or twice."""
    model, variables = network("lol")
    _, one = enhance_tiled(model, variables, low, 200, keep=keep)
    assert one.tiles == 1 and one.work == pytest.approx(1 if keep else 1.7, abs=0.05)


def test_tiles_computed_alone_would_not(low):
    """The test above can fail: without the picture's statistics it does."""
    model, variables = network("fivek")
    expected = whole(model, variables, low)
    alone = whole(model, variables, low[:96])
    assert np.abs(alone[:68] - expected[:68]).max() > 1e-3


def test_no_file_is_left_and_the_space_is_checked(low, tmp_path, monkeypatch):
    model, variables = network("fivek")

    def interrupt(_share):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        enhance_tiled(model, variables, low, 40, progress=interrupt, folder=tmp_path)
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(InputError, match="cannot be kept there"):
        enhance_tiled(model, variables, low, 40, folder=tmp_path / "absent")
    full = types.SimpleNamespace(free=1000)
    monkeypatch.setattr("smnet_jax.enhancement.scratch.shutil.disk_usage", lambda _: full)
    with pytest.raises(InputError, match="TMPDIR"):
        enhance_tiled(model, variables, low, 40, folder=tmp_path)


@pytest.mark.parametrize("shape", [(133, 140, 3), (1, 132, 140, 3), (132, 140, 4)])
def test_other_shapes_are_refused(shape):
    model, variables = network("lol")
    with pytest.raises(ValueError, match="multiples of 4"):
        enhance_tiled(model, variables, np.zeros(shape, np.float32), 40)
