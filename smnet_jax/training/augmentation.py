"""What happens to pairs on the device on their way into a batch: `smnet_jax.data.augmentation`, as part of the step.

Every random number follows from (seed, step, number of the pair), whatever the devices. They are not the host's, but
drawn from the same distributions, and what is made of them is the same arithmetic.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.data.augmentation import Daylight
from smnet_jax.data.order import CUT
from smnet_jax.training.resident import Pairs

SHOT, READ = 8e-5, 2e-4  # noise of `Daylight`


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """Crops, flips, conversion to float32 in [0, 1], and what `Config` says of `gain`, `noise` and `daylight`."""

    crop: tuple[int, int]  # height and width
    seed: int
    gain: float = 0.0
    noise: float = 0.0
    daylight: float = 0.0

    def keys(self, index: jax.Array, step: jax.typing.ArrayLike) -> jax.Array:
        """A key for each pair of `index` (N,) in step `step`."""
        # Of threefry by name: what it draws depends on no setting of JAX and on no device.
        words = np.random.SeedSequence((self.seed, CUT)).generate_state(2, np.uint32)
        of_step = jax.random.fold_in(jax.random.wrap_key_data(jnp.asarray(words), impl="threefry2x32"), step)
        return jax.vmap(lambda number: jax.random.fold_in(of_step, number))(index)

    def batch(self, pairs: Pairs, index: jax.Array, step: jax.typing.ArrayLike) -> dict[str, jax.Array]:
        """`low` and `high`, (N, *crop, 3) float32 in [0, 1], of the pairs `index` (N,)."""
        row = pairs.row[index]
        low, high = jax.vmap(self._one, in_axes=(None, 0, 0))(pairs, row, self.keys(index, step))
        return {"low": low, "high": high}

    def _one(self, pairs: Pairs, row: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        place, gain, noise, daylight = jax.random.split(key, 4)
        top, left, flips = self.corner_and_flips(place, pairs.size[row])
        rows, columns = self.crop
        width = pairs.size[row, 1]

        def cut(pictures: jax.Array) -> jax.Array:
            starts = ((top + jnp.arange(rows)) * width + left) * 3
            line = jax.vmap(lambda start: jax.lax.dynamic_slice(pictures, (row, start), (1, 3 * columns)))
            crop = line(starts).reshape(rows, columns, 3)
            crop = jnp.where(flips[0], crop[::-1], crop)
            crop = jnp.where(flips[1], crop[:, ::-1], crop)
            return crop.astype(jnp.float32) / 255

        low, high = cut(pairs.low), cut(pairs.high)
        if self.gain:
            low = jnp.clip(low * jnp.exp2(jax.random.uniform(gain, (), minval=-self.gain, maxval=self.gain)), 0, 1)
        if self.noise:
            low = with_noise(low, noise, self.noise)
        if self.daylight:
            low = in_daylight(low, high, daylight, self.daylight)
        return low, high

    def corner_and_flips(self, key: jax.Array, size: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Top, left, and whether to flip (vertically, horizontally), in a picture of `size` (height, width)."""
        corner, flips = jax.random.split(key)
        top, left = jax.random.randint(corner, (2,), 0, size - jnp.array(self.crop) + 1)
        return top, left, jax.random.bernoulli(flips, 0.5, (2,))


def with_noise(low: jax.Array, key: jax.Array, largest: float) -> jax.Array:
    """`data.augmentation.LowNoise`: (H, W, 3) in [0, 1], rounded to 8 bits."""
    height, width = low.shape[:2]
    deviation, coarse, fine, blocks = jax.random.split(key, 4)
    share = jax.random.uniform(coarse, (), maxval=0.5)
    large = _coloured(blocks, (height + 1) // 2, (width + 1) // 2).repeat(2, 0).repeat(2, 1)[:height, :width]
    noise = jnp.sqrt(1 - share) * _coloured(fine, height, width) + jnp.sqrt(share) * large
    return _eight_bits(low + jax.random.uniform(deviation, (), maxval=largest) * noise)


def _coloured(key: jax.Array, height: int, width: int) -> jax.Array:
    """(height, width, 3) of unit variance, half of it common to the three channels."""
    own, common = jax.random.split(key)
    both = jax.random.normal(own, (height, width, 3)) + jax.random.normal(common, (height, width, 1))
    return both / jnp.sqrt(jnp.float32(2))


def in_daylight(low: jax.Array, high: jax.Array, key: jax.Array, share: float) -> jax.Array:
    """`data.augmentation.Daylight`: `low`, or for a `share` of the keys `high` darkened by at most two stops."""
    chosen, stops, shot, read = jax.random.split(key, 4)
    exposure = jnp.exp2(-jax.random.uniform(stops, (), maxval=Daylight.stops))
    signal = _to_linear(high) * exposure
    photons = jax.random.poisson(shot, signal / SHOT, dtype=jnp.int32)
    signal = photons.astype(jnp.float32) * SHOT + READ * jax.random.normal(read, signal.shape)
    dark = _eight_bits(_from_linear(jnp.clip(signal, 0, 1)))
    return jnp.where(jax.random.uniform(chosen, ()) < share, dark, low)


def _to_linear(encoded: jax.Array) -> jax.Array:
    """sRGB's curve, as `smnet_jax.images.srgb` on arrays of numpy."""
    return jnp.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


def _from_linear(linear: jax.Array) -> jax.Array:
    return jnp.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _eight_bits(picture: jax.Array) -> jax.Array:
    return jnp.rint(jnp.clip(picture, 0, 1) * 255) / 255
