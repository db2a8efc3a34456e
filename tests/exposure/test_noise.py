"""What is smoothed, what is not, and where."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import smnet_jax
from smnet_jax.exposure import noise
from smnet_jax.images.srgb import from_linear, to_linear
from tests.support import tolerances


def smoothed(low):
    height, width = low.shape[:2]
    planes = [jnp.asarray(low[None, ..., channel]) for channel in range(3)]
    return np.stack(jax.jit(noise.smoothed)(planes, jnp.ones(height), jnp.ones(width)), -1)[0]


def test_window_means_count_only_the_picture():
    x = np.random.default_rng(0).uniform(0, 1, (7, 9)).astype(np.float32)
    found = np.asarray(jax.jit(noise.mean)(jnp.asarray(x[None]), jnp.ones(7), jnp.ones(9)))[0]
    for i in range(7):
        for j in range(9):
            wanted = x[max(0, i - 2) : i + 3, max(0, j - 2) : j + 3].mean()
            assert abs(found[i, j] - wanted) < tolerances.summed(25, 1)


def test_window_means_of_each_picture_count_only_its_own():
    x = np.random.default_rng(0).uniform(0, 1, (2, 12, 13)).astype(np.float32)
    rows, columns = np.zeros((2, 12), np.float32), np.zeros((2, 13), np.float32)
    rows[0, 2:9] = columns[0, 1:10] = rows[1] = columns[1, 4:] = 1
    found = np.asarray(jax.jit(noise.mean)(x, rows, columns))
    for number, part in enumerate(((slice(2, 9), slice(1, 10)), (slice(0, 12), slice(4, 13)))):
        inner = x[number][part]
        alone = jax.jit(noise.mean)(inner[None], jnp.ones(len(inner)), jnp.ones(inner.shape[1]))[0]
        np.testing.assert_allclose(found[number][part], alone, rtol=0, atol=tolerances.summed(25, 1))


def test_against_the_definition_in_float64():
    """He et al., equations 5 to 8, window by window."""
    low = np.random.default_rng(1).uniform(0, 0.1, (9, 10, 3))
    guide = low.mean(-1)
    slope, offset = np.empty_like(low), np.empty_like(low)
    windows = lambda i, j: (slice(max(0, i - 2), i + 3), slice(max(0, j - 2), j + 3))  # noqa: E731
    for i, j in np.ndindex(9, 10):
        g, p = guide[windows(i, j)][..., None], low[windows(i, j)]
        slope[i, j] = ((g * p).mean((0, 1)) - g.mean() * p.mean((0, 1))) / (g.var() + noise.NOISE**2)
        offset[i, j] = p.mean((0, 1)) - slope[i, j] * g.mean()
    wanted = np.empty_like(low)
    for i, j in np.ndindex(9, 10):
        a, b = (x[windows(i, j)].mean((0, 1)) for x in (slope, offset))
        wanted[i, j] = a * guide[i, j] + b
    bound = tolerances.guided(low, noise.NOISE)
    np.testing.assert_allclose(smoothed(low.astype(np.float32)), np.clip(wanted, 0, 1), rtol=0, atol=bound)


def test_noise_goes_and_edges_stay():
    low = np.full((40, 60, 3), 0.02, np.float32)
    low[:, 30:] = 0.15
    noisy = low + np.random.default_rng(0).normal(0, 1 / 255, low.shape).astype(np.float32)
    out = smoothed(np.clip(noisy, 0, 1))
    flat = out[5:-5, 5:25]
    assert flat.std() < 0.45 / 255
    assert np.ptp(flat, axis=-1).mean() < 0.5 * np.ptp(noisy[5:-5, 5:25], axis=-1).mean()
    assert (out[:, 30] - out[:, 29]).mean() > 0.9 * 0.13


def evened(low, rows=None, columns=None):
    """`noise.evened` where the windows' means are the pixels' own levels."""
    height, width = low.shape[:2]
    planes = [jnp.asarray(low[None, ..., channel]) for channel in range(3)]
    inside = jnp.ones(height) if rows is None else rows, jnp.ones(width) if columns is None else columns
    return np.stack(jax.jit(noise.evened)(planes, jnp.asarray(low.max(-1))[None], *inside), -1)[0]


def test_near_black_against_the_definition_in_float64():
    """Lee's filter, pixel by pixel, among what is near black."""
    low = np.random.default_rng(1).uniform(0, 6 / 255, (14, 17, 3)).astype(np.float32)
    black = np.clip(2 - low.max(-1) * 255 / 2, 0, 1).astype(np.float64)
    wanted = low.astype(np.float64)
    for i, j in np.ndindex(14, 17):
        window = (slice(max(0, i - 5), i + 6), slice(max(0, j - 5), j + 6))
        share = (black[window] / black[window].sum())[..., None]
        mean, guide = (share * low[window]).sum((0, 1)), low[window].mean(-1, keepdims=True)
        variance = (share * (guide - (share * guide).sum()) ** 2).sum()
        wanted[i, j] += black[i, j] * noise.BLOTCHES**2 / (variance + noise.BLOTCHES**2) * (mean - low[i, j])
    np.testing.assert_allclose(evened(low), wanted, rtol=0, atol=tolerances.evened(low))
    assert np.abs(evened(low) - low).max() > 0.5 / 255


def test_blotches_near_black_go_and_shapes_there_stay():
    """Levels 0 and 1 by chance, twelve pixels of one kind beside each other; a bar of nearly 4, and one that is lit."""
    few = np.random.default_rng(0).integers(0, 2, (20, 20)) / 255
    low = np.repeat(np.kron(few, np.ones((3, 4)))[..., None], 3, -1).astype(np.float32)
    low[:, 40:50], low[:, 70:] = 3.9 / 255, 0.5
    out = evened(low)
    assert out[6:-6, 6:34].std() < 0.6 * low[6:-6, 6:34].std()
    assert (out[:, 45] - out[:, 30]).mean() > 0.9 * (low[:, 45] - low[:, 30]).mean()
    np.testing.assert_array_equal(out[:, 70:], low[:, 70:])


def test_near_black_nothing_outside_the_picture_counts():
    low = np.random.default_rng(2).uniform(0, 3 / 255, (20, 24, 3)).astype(np.float32)
    rows, columns = np.zeros(20, np.float32), np.ones(24, np.float32)
    rows[4:15] = 1
    np.testing.assert_array_equal(evened(low, rows, columns)[4:15], evened(low[4:15]))


def test_as_far_as_the_halo_and_no_further():
    """A light in the dark takes all near it from what is near black, and so from the windows of what is farther."""
    low = np.random.default_rng(3).uniform(0, 1 / 255, (1, 40, 40, 3)).astype(np.float32)
    touched = low.copy()
    touched[:, 20, 20] = 0.9
    ones = jnp.ones(40)

    @jax.jit
    def reduced(low):
        around = noise.mean(low.max(-1), ones, ones)
        return jnp.stack(noise.reduced([low[..., k] for k in range(3)], around, jnp.ones((1, 40, 40)), ones, ones), -1)

    rows, columns = np.nonzero((np.asarray(reduced(touched)) != np.asarray(reduced(low)))[0].any(-1))
    wanted = 20 - noise.HALO, 20 + noise.HALO
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == 2 * wanted


def test_linear_in_the_share():
    """So training, which derives by the share alone, need not derive what is smoothed: 0.5 instead of 4.4 s a step."""
    x = jnp.asarray(np.random.default_rng(4).uniform(0, 5 / 255, (3, 1, 24, 24)).astype(np.float32))
    ones = jnp.ones(24)
    reduced = jax.jit(
        lambda share: jnp.stack(noise.reduced(list(x), x.max(0), share * jnp.ones((1, 24, 24)), ones, ones))
    )
    none, half, all_of_it = (np.asarray(reduced(share)) for share in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(none, x)
    np.testing.assert_allclose(half, (none + all_of_it) / 2, rtol=0, atol=4 * tolerances.UNIT * float(x.max()))
    assert np.abs(all_of_it - none).max() > 0.5 / 255


def test_only_where_light_is_added_and_never_to_white():
    dark = jnp.zeros(())
    assert noise.amount(jnp.array([0.5, 1.0, 1.41, 4.0, 50.0]), dark).tolist() == pytest.approx([0, 0, 0, 1, 1])
    assert noise.amount(jnp.array(50.0), jnp.array([0.5, 0.75, 1.0])).tolist() == pytest.approx([1, 0.5, 0])
    shares = np.asarray(noise.amount(jnp.linspace(1, 12, 200), dark))
    assert (np.diff(shares) >= 0).all()
    assert np.diff(shares).max() < 0.05


def test_gray_stays_gray_and_flat_flat():
    gray = np.repeat(np.random.default_rng(0).uniform(0, 0.1, (20, 20, 1)).astype(np.float32), 3, -1)
    out = smoothed(gray)
    np.testing.assert_array_equal(out, np.repeat(out[..., :1], 3, -1))
    flat = np.full((20, 20, 3), 0.037, np.float32)
    np.testing.assert_allclose(smoothed(flat), flat, rtol=0, atol=tolerances.guided(flat, noise.NOISE))


def test_the_default_smooths_a_noisy_dark_photo(fixtures):
    """Against the same photo without noise: half of what the noise adds is gone, and more."""
    rng = np.random.default_rng(0)
    with Image.open(fixtures / "samples_high" / "chelsea.jpg") as photo:
        high = np.asarray(photo.convert("RGB"), np.float32) / 255
    dark = from_linear(to_linear(high) / 32)
    noisy = np.clip(dark + rng.normal(0, 1.2 / 255, dark.shape), 0, 1).astype(np.float32)
    clean, out = (smnet_jax.enhance(x).astype(np.float32) for x in (dark.astype(np.float32), noisy))
    gain = out.mean() / noisy.mean()
    assert gain > 4
    assert np.std(out - clean) < 0.5 * gain * np.std(noisy - dark)
