"""The network that looks at a thumbnail and says what to do with the picture."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from smnet_jax.exposure import frame, tone
from smnet_jax.exposure.detail import Detail
from smnet_jax.exposure.tone import GRID, KNOTS, Tone

BINS = 24  # of a histogram
EXTREMES = 4  # sizes of place, each twice the last, whose lightest and darkest are told
# Where a picture is very dark, little is known of it, and what is learned from few pictures errs towards too little
# light. Chosen on held-out pictures: 0.17 against 0.1 +0.5 dB at five stops, within 0.1 dB on scenes, FiveK and LOL,
# but -1.8 dB on finished photos left alone and -5 dB on starry skies.
LIFT = 0.1
# How much darker and lighter a picture is looked at: the factor on sRGB that a third of a stop is. Chosen on held-out
# pictures: against looks at it as it is +0.8 dB where one stop is missing (results' means deviate from the targets' by
# 22 instead of 25 levels) and -1.2 dB where nothing is.
NEARLY = 2 ** (0.35 / 2.2)


class ExposureNet(nn.Module):
    """Brighten photographs: (N,H,W,3) sRGB in [0, 1], float32 -> the same, within [0, 1]; any H and W.

    A glance at the whole picture (averages, extremes and histograms) chooses one curve for it; a second look, at the
    picture as that curve leaves it, adds what each place and level needs (`tone.Tone`). Neither depends on how large
    the picture is, for both see a thumbnail of one size. Both are done four times and averaged, for each time they err
    in another way: of the picture as it stands and with rows and columns exchanged, a little darker and a little
    lighter. A last look sees each pixel's neighbours, at full size, where much light is added (`detail.Detail`, of
    `fine` features; none if 0). A plain black or white frame is not seen, and stays as it is (`exposure.frame`).
    """

    features: int = 48
    hidden: int = 64
    fine: int = 8

    def setup(self) -> None:
        c = self.features
        self.glance_in, self.glance = nn.Dense(c), [nn.Conv(c, (3, 3)) for _ in range(2)]
        self.summary = [nn.Dense(self.hidden) for _ in range(2)]
        self.rate, self.curve, self.saturation = nn.Dense(1), nn.Dense(KNOTS), nn.Dense(KNOTS)
        self.look_in, self.look_fine, self.look_merge = nn.Dense(32), nn.Conv(32, (3, 3)), nn.Dense(c)
        self.context = nn.Dense(c)
        self.look = [nn.Conv(c, (3, 3)) for _ in range(3)]
        self.grid = nn.Dense(KNOTS)
        self.detail = Detail(self.fine) if self.fine else None

    def __call__(self, low: jax.Array) -> jax.Array:
        within = frame.inside_each(low)
        return tone.render(low, self.predict(tone.thumbnail(low, within)), within, self.detail)

    def render_part(self, low: jax.Array, found: Tone, rows: jax.Array, columns: jax.Array) -> jax.Array:
        """`tone.render_part` with this network's last look."""
        return tone.render_part(low, found, rows, columns, self.detail)

    def predict(self, thumbnail: jax.Array) -> Tone:
        """(N,THUMBNAIL,THUMBNAIL,3) sRGB in [0, 1] -> what is done to each of the N pictures."""
        glances = jnp.concatenate([jnp.clip(thumbnail * factor, 0, 1) for factor in (1 / NEARLY, NEARLY)])
        found = self.look_at(jnp.concatenate([glances, glances.swapaxes(1, 2)]))
        n = len(thumbnail)
        rate, grid, saturation = (x.reshape(2, 2, n, *x.shape[1:]).mean(1) for x in found)
        return Tone(rate.mean(0), (grid[0] + grid[1].swapaxes(1, 2)) / 2, saturation.mean(0))

    def look_at(self, thumbnail: jax.Array) -> Tone:
        """(N,THUMBNAIL,THUMBNAIL,3) sRGB in [0, 1] -> what one look at each of the N pictures says: this is trained."""
        n, side = thumbnail.shape[:2]
        small = thumbnail.reshape(n, side // 2, 2, side // 2, 2, 3).mean((2, 4))
        x = _act(self.glance_in(_patches(_features(small), 4)))  # (N,16,16,c)
        for conv in self.glance:
            x = x + _act(conv(x))
        counts = [4 * _histogram(f(thumbnail, -1)) for f in (jnp.max, jnp.min)]
        summary = jnp.concatenate([x.mean((1, 2)), x.max((1, 2)), *counts, _extremes(thumbnail.max(-1))], -1)
        for dense in self.summary:
            summary = _act(dense(summary))
        log2_rate = 1 + self.rate(summary)  # a network that knows nothing doubles

        level = thumbnail.max(-1, keepdims=True)
        lit = thumbnail * (tone.curve(level, jnp.exp2(log2_rate)[:, None, None]) / jnp.maximum(level, 1e-3))
        x = _act(self.look_in(_patches(jnp.concatenate([_features(lit), level], -1), 4)))  # (N,32,32,32)
        x = x + _act(self.look_fine(x))
        peaks = _stops(_patches(lit.max(-1, keepdims=True), side // GRID).max(-1, keepdims=True))
        x = jnp.concatenate([_patches(x, side // 4 // GRID), peaks], -1)
        x = _act(self.look_merge(x))  # (N,GRID,GRID,c)
        x = x + self.context(summary)[:, None, None]
        for conv in self.look:
            x = x + _act(conv(x))
        grid = self.grid(x) + self.curve(summary)[:, None, None]
        log2_rate = log2_rate + LIFT * jnp.maximum(0, log2_rate - 1)
        return Tone(log2_rate, jnp.clip(grid, -3, 3), jnp.exp2(jnp.clip(self.saturation(summary), -1, 1)))


def _features(rgb: jax.Array) -> jax.Array:
    """Values as they are, with dark ones spread out, and stops: (...,3) -> (...,7)."""
    stops = _stops(rgb.max(-1, keepdims=True)) / 16 + 0.5
    return jnp.concatenate([rgb, jnp.sqrt(rgb + 1e-3), stops], -1)


def _extremes(level: jax.Array) -> jax.Array:
    """How light the lightest and the darkest places of each size are, in stops: (N,H,W) -> (N,2*EXTREMES).

    Most good pictures hold something white, and a histogram does not show it where it is small.
    """
    found = [level.max((1, 2)), level.min((1, 2))]
    for _ in range(EXTREMES - 1):
        n, h, w = level.shape
        level = level.reshape(n, h // 2, 2, w // 2, 2).mean((2, 4))
        found += [level.max((1, 2)), level.min((1, 2))]
    return _stops(jnp.stack(found, -1))


def _stops(level: jax.Array) -> jax.Array:
    """About one for a stop: sRGB's exponent is near 1 / 2."""
    return 2 * jnp.log2(level + 1 / 256)


def _patches(x: jax.Array, size: int) -> jax.Array:
    """Squares of `size` pixels as features, (N,H,W,C) -> (N,H/size,W/size,size*size*C)."""
    n, h, w, c = x.shape
    x = x.reshape(n, h // size, size, w // size, size, c).transpose(0, 1, 3, 2, 4, 5)
    return x.reshape(n, h // size, w // size, size * size * c)


def _histogram(level: jax.Array) -> jax.Array:
    """Shares of the pixels by the square root of their level, linear between bins: (N,H,W) -> (N,24)."""
    position = jnp.sqrt(jnp.clip(level, 0, 1)).reshape(level.shape[0], -1, 1) * (BINS - 1)
    return jnp.maximum(0, 1 - jnp.abs(position - np.arange(BINS, dtype=np.float32)[None, None])).mean(1)


def _act(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.2)
