"""The last look: every pixel and what lies round it, at full size.

The grid of curves (`exposure.tone`) has 16x16 cells and knows nothing smaller. What is left where much light is added
is a matter of a few pixels: grain that smoothing did not even out, black lifted to fog, edges that lost their contrast.
A small network finds what each pixel needs for that: more or less of the curve that it goes through. So all that a
curve keeps is kept: nothing clips, black stays black, gray stays gray, hues stay.

Its width is a matter of time: 16 features instead of 8 score the same within 0.05 dB, and browsers, which are slow at
convolutions, then take twice as long for a photo.

Eight features do not fill a processor's vectors, so pixels go through it in pairs: two neighbours in a row of (H,W,C)
are one of (H,W/2,2C), the same numbers under another shape. A block of 278x278 takes 13 instead of 29 ms of one core
(AMD EPYC, Zen 4, 2026-11-28), and 14 in threes or fours.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from smnet_jax.exposure.noise import Planes

DILATIONS = (1, 2, 1, 2)  # of the 3x3 convolutions after the first
HALO = 1 + sum(DILATIONS)  # pixels: as far as a pixel sees
MOST = 2.0  # binary logarithms: as far as a rate is moved


class Detail(nn.Module):
    """What each pixel needs beside its place's curve, (N,H,W): the binary logarithm of a factor on its rate.

    Called with what `tone.render_part` knows of each pixel, (N,H,W): lit, three planes, brightened after smoothing;
    grainy, the level brightened without smoothing; stops, the light that is added round it; inside (N or 1), 1 in the
    picture and 0 elsewhere, where nothing is seen. All float32; stops of either sign, the others in [0, 1].
    """

    features: int

    def setup(self) -> None:
        c = self.features
        self.entry = _InPairs(c)
        self.body = [_InPairs(c, dilation) for dilation in DILATIONS]
        self.needs = nn.Dense(1, kernel_init=nn.initializers.zeros)  # who knows nothing changes nothing

    def __call__(self, lit: Planes, grainy: jax.Array, stops: jax.Array, inside: jax.Array) -> jax.Array:
        root = jnp.sqrt(functools.reduce(jnp.maximum, lit) + 1e-3)
        seen = jnp.stack([inside * x for x in (*lit, root, grainy, stops / 4)], -1)
        x = _act(self.entry(_pairs(seen)))
        inside = _pairs(jnp.repeat(inside[..., None], self.features, -1))
        for conv in self.body:
            x = x + _act(conv(inside * x))
        n, height, pairs, _ = x.shape
        x = x.reshape(n, height, 2 * pairs, self.features)[:, :, : seen.shape[2]]
        return jnp.clip(self.needs(x)[..., 0], -MOST, MOST)


class _InPairs(nn.Module):
    """A 3x3 convolution with zeros round the picture, of pixels in pairs: (N,H,W/2,2C) -> (N,H,W/2,2F).

    The parameters are those of `nn.Conv`. The kernel holds each tap twice, once for each pixel of a pair, and zeros
    where a pixel does not see another.
    """

    features: int
    dilation: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        d, c = self.dilation, x.shape[-1] // 2
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, c, self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        # A pair sees 2 + 2d pixels of a row. For its pixel q, tap t lies on pixel q + d t of them.
        taps = np.zeros((3, 2 + 2 * d, 2), np.float32)
        for q in range(2):
            taps[np.arange(3), q + d * np.arange(3), q] = 1
        spread = jnp.einsum("tsq,rtio->rsiqo", taps, kernel, precision="highest")
        left, right = x[:, :, :-1, -d * c :], x[:, :, 1:, : d * c]  # d is 1 or 2: what is seen lies in the next pairs
        beside = [jnp.pad(left, [(0, 0), (0, 0), (1, 0), (0, 0)]), jnp.pad(right, [(0, 0), (0, 0), (0, 1), (0, 0)])]
        y = jax.lax.conv_general_dilated(
            jnp.concatenate([beside[0], x, beside[1]], -1),
            spread.reshape(3, 1, -1, 2 * self.features),
            (1, 1),
            ((d, d), (0, 0)),
            rhs_dilation=(d, 1),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        return y + jnp.tile(bias, 2)[None, None, None]


def _pairs(x: jax.Array) -> jax.Array:
    """(N,H,W,C) -> (N,H,W/2,2C), a column of zeros last if W is odd."""
    n, height, width, c = x.shape
    return jnp.pad(x, [(0, 0), (0, 0), (0, width % 2), (0, 0)]).reshape(n, height, -1, 2 * c)


def _act(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.1)
