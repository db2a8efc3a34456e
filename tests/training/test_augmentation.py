"""The device's augmentation against the host's, given the same random numbers."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from smnet_jax.data import augmentation as host
from smnet_jax.training import parallel, resident
from smnet_jax.training.augmentation import READ, SHOT, Augmentation
from smnet_jax.training.config import Config

CROP, STEP = (12, 16), 3  # no square: height and width are not exchanged


class Sizes:
    """Pairs of different sizes, landscape and upright; the last is the first again."""

    sizes = ((20, 28), (28, 20), (12, 16), (20, 28))

    def __len__(self):
        return len(self.sizes)

    def __getitem__(self, index):
        rng = np.random.default_rng(index % 3)
        low, high = rng.integers(0, 256, (2, *self.sizes[index], 3), np.uint8)
        return {"low": low, "high": high, "name": f"{index}.png"}


class _Scripted:
    """Stands in for numpy's generator: gives the numbers that it was made with, one after the other."""

    def __init__(self, *numbers):
        self.numbers = list(numbers)

    def next(self, *_, **__):
        return self.numbers.pop(0)

    integers = random = uniform = standard_normal = next

    def poisson(self, expected):
        return np.asarray(jax.random.poisson(self.next(), expected, dtype=jnp.int32))


def scripted(*numbers) -> Any:
    return _Scripted(*numbers)


def on_host(example, key, aug):
    """`example` cut and changed by the host's own code with the numbers that `key` gives on the device."""
    place, gain, noise, daylight = jax.random.split(key, 4)
    size = np.array(example["high"].shape[:2])
    top, left, flips = aug.corner_and_flips(place, size)
    coins = [*np.where(flips, 0.0, 1.0), 1.0]  # less than a half is heads; the third is the half turn
    found = host.to_float(host.crop_and_flip(example, CROP, scripted(int(top), int(left), np.array(coins))))
    stops = jax.random.uniform(gain, (), minval=-aug.gain, maxval=aug.gain)
    found = host.LowGain(aug.gain)(found, scripted(stops))

    def coloured(key, height, width):
        own, common = jax.random.split(key)
        return jax.random.normal(own, (height, width, 3)), jax.random.normal(common, (height, width, 1))

    deviation, coarse, fine, blocks = jax.random.split(noise, 4)
    numbers = [
        jax.random.uniform(deviation, (), maxval=aug.noise),
        jax.random.uniform(coarse, (), maxval=0.5),
        *coloured(blocks, *(side // 2 for side in CROP)),
        *coloured(fine, *CROP),
    ]
    found = host.LowNoise(aug.noise)(found, scripted(*map(np.asarray, numbers)))
    chosen, stops, shot, read = jax.random.split(daylight, 4)
    rng = scripted(
        float(jax.random.uniform(chosen, ())),
        float(jax.random.uniform(stops, (), maxval=2.0)),
        shot,
        np.asarray(jax.random.normal(read, (*CROP, 3))),
    )
    return host.Daylight(aug.daylight)(found, rng)


@pytest.fixture(scope="module")
def pairs():
    return resident.load(Sizes(), parallel.make_mesh(Config(devices=1)))


def test_equals_the_hosts_own_code_for_the_same_random_numbers(pairs):
    aug, index = Augmentation(CROP, seed=5, gain=1.0, noise=0.05, daylight=0.5), jnp.arange(4)
    batch = jax.jit(aug.batch)(pairs, index, STEP)
    assert batch["low"].shape == (4, *CROP, 3) and batch["low"].dtype == jnp.float32
    daylight = 0
    for i, key in enumerate(aug.keys(index, STEP)):
        wanted = on_host(Sizes()[i], key, aug)
        np.testing.assert_allclose(batch["high"][i], wanted["high"], rtol=1e-6)
        # A photon count or an 8-bit level may round to the neighbour: the two powers of sRGB's curve differ by an ulp.
        np.testing.assert_allclose(batch["low"][i], wanted["low"], atol=1.01 / 255)
        assert np.mean(np.abs(batch["low"][i] - wanted["low"]) > 1e-6) < 0.01
        daylight += bool(np.abs(wanted["low"] - wanted["high"]).mean() < 0.2)
    assert 0 < daylight < 4  # both kinds were compared


def test_a_darkened_picture_has_the_hosts_noise():
    assert (SHOT, READ) == (8e-5, 2e-4)  # as Daylight calls `darken`
    assert host.Daylight.stops == 2.0


def test_draws_follow_from_seed_step_and_pair_alone(pairs):
    aug = Augmentation(CROP, seed=5, noise=0.05)
    whole = aug.batch(pairs, jnp.array([0, 1, 2, 3]), 7)
    np.testing.assert_array_equal(aug.batch(pairs, jnp.array([3, 1]), 7)["low"], whole["low"][jnp.array([3, 1])])
    for other in (aug.batch(pairs, jnp.arange(4), 8), Augmentation(CROP, 6, noise=0.05).batch(pairs, jnp.arange(4), 7)):
        assert not np.array_equal(other["high"], whole["high"])
    # The same pair twice in a batch, as `*2` has it, is cut twice.
    assert not np.array_equal(whole["high"][0], whole["high"][3])


def test_every_window_and_flip_comes(pairs):
    aug = Augmentation(CROP, seed=0)
    keys = jax.random.split(jax.random.key(0), 4000)
    top, left, flips = jax.vmap(aug.corner_and_flips, in_axes=(0, None))(keys, jnp.array([14, 20]))
    assert sorted(set(top.tolist())) == [0, 1, 2] and sorted(set(left.tolist())) == list(range(5))
    assert np.abs(np.bincount(left) / 4000 - 1 / 5).max() < 0.03  # four standard deviations
    kinds = np.bincount(np.asarray(flips) @ np.array([1, 2]), minlength=4)
    assert np.abs(kinds / 4000 - 0.25).max() < 0.03  # four standard deviations


def test_a_picture_of_just_the_crop_comes_whole(pairs):
    both = Augmentation(CROP, seed=1).batch(pairs, jnp.array([2]), 0)
    assert sorted(np.rint(np.asarray(both["high"]) * 255).ravel()) == sorted(Sizes()[2]["high"].ravel())
