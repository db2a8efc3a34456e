"""One picture in blocks against the whole, and the promises about pictures that the shipped weights keep."""

import time

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import smnet_jax
from smnet_jax.exposure import ExposureNet, tone
from smnet_jax.exposure import picture as exposed
from smnet_jax.images.srgb import from_linear, to_linear
from tests.support import tolerances

OPTIMISED = True  # it computes for longer than it compiles


@pytest.fixture(scope="module")
def loaded():
    model, variables = smnet_jax.load("photo")
    assert isinstance(model, ExposureNet)
    return model, variables


@pytest.fixture(scope="module")
def photographs(fixtures):
    """Finished pictures, name -> (H,W,3) float32."""
    paths = sorted((fixtures / "samples_high").glob("*.jpg"))
    return {path.stem: np.asarray(Image.open(path).convert("RGB"), np.float32) / 255 for path in paths}


def darker(picture, stops):
    return np.rint(from_linear(to_linear(picture) * np.float32(2.0**-stops)) * 255).astype(np.float32) / 255


@pytest.mark.parametrize("shape", [(8, 8), (61, 300), (270, 130)])
def test_blocks_equal_the_whole(loaded, shape):
    model, variables = loaded
    low = np.random.default_rng(0).uniform(0, 0.3, (*shape, 3)).astype(np.float32)
    whole = np.asarray(jax.jit(model.apply)(variables, low[None]))[0]
    bound = tolerances.exposed(model, variables, low[None])
    for block in (256, 100):
        np.testing.assert_allclose(exposed.enhance(model, variables, low, block=block), whole, rtol=0, atol=bound)


def test_an_interruption_leaves_the_blocks_that_are_to_come(loaded, monkeypatch):
    model, variables = loaded
    computed = []

    def slow(_variables, part, *_):
        computed.append(part.shape)
        time.sleep(0.02)
        return part

    def interrupt(_share):
        raise KeyboardInterrupt

    monkeypatch.setattr(exposed, "_render", lambda _: slow)
    low = np.full((200, 200, 3), 0.1, np.float32)
    with pytest.raises(KeyboardInterrupt):
        exposed.enhance(model, variables, low, block=10, progress=interrupt)
    assert 1 <= len(computed) < 100  # of 400


def test_blocks_are_bound_to_the_caller_s_device(loaded, monkeypatch):
    """A default device is told to one thread only, and blocks have threads of their own."""
    model, variables = loaded
    bound: list[bool] = []

    def watched(_variables, part, found, *_):
        bound.extend(x.committed for x in found)
        return part

    monkeypatch.setattr(exposed, "_render", lambda _: watched)
    exposed.enhance(model, variables, np.full((40, 300, 3), 0.1, np.float32))
    assert bound == [True] * 6  # of two blocks


def test_good_pictures_are_left_alone(loaded, photographs):
    model, variables = loaded
    for name, high in photographs.items():
        if name == "rocket":  # a launch at night: dark itself
            continue
        out = exposed.enhance(model, variables, high)
        assert -10 * np.log10(np.mean((out - high) ** 2)) > 22, name


def test_the_darker_the_more(loaded, photographs):
    """How much light is added never falls as a picture gets darker, and results hardly depend on how dark it was."""
    model, variables = loaded
    for name, high in photographs.items():
        added, means = [], []
        for stops in np.arange(0, 5.1, 0.5):
            low = darker(high, stops)
            out = exposed.enhance(model, variables, low)
            means.append(255 * out.mean())
            added.append(np.log2(out.mean() / low.mean()))
        assert np.all(np.diff(added) > -0.02), name
        assert np.ptp(means) < 40, name


def test_white_stays_white_and_flat_flat(loaded):
    model, variables = loaded
    screen = np.ones((240, 320, 3), np.float32)
    screen[40:120, 40:200] = (0.1, 0.3, 0.9)
    screen[150:154, 20:300] = 0
    out = exposed.enhance(model, variables, screen) * 255
    assert abs(out[200:, :].mean() - 255) < 3
    assert out[42:118, 42:198].std((0, 1)).max() < 1.5


def test_sixteen_bit_gray_rgb_stays_gray(loaded):
    gray = np.random.default_rng(0).integers(0, 9000, (40, 48), np.uint16)
    out = smnet_jax.enhance(np.repeat(gray[..., None], 3, 2), loaded)
    np.testing.assert_array_equal(out, np.repeat(out[..., :1], 3, 2))
    assert out.dtype == np.uint16
    assert out.mean() > gray.mean()


def test_thumbnail_on_the_host_equals_the_model_s():
    low = np.random.default_rng(0).uniform(0, 1, (50, 333, 3)).astype(np.float32)
    bound = tolerances.resampled(50, tone.THUMBNAIL) + tolerances.resampled(333, tone.THUMBNAIL)
    np.testing.assert_allclose(exposed.thumbnail(low), tone.thumbnail(jnp.asarray(low[None]))[0], rtol=0, atol=bound)
