"""The last look: every pixel and what lies round it, at full size.

The grid of curves (`exposure.tone`) has 16x16 cells and knows nothing smaller. What is left where much light is added
is a matter of a few pixels: grain that smoothing did not even out, black lifted to fog, edges that lost their contrast.
A small network finds what each pixel needs for that: more or less of the curve that it goes through. So all that a
curve keeps is kept: nothing clips, black stays black, gray stays gray, hues stay.

Its width is a matter of time: 16 features instead of 8 score the same within 0.05 dB, and browsers, which are slow at
convolutions, then take twice as long for a photo.

Pixels go through it in pairs (`network.pixel_groups`): a block of 278x278 takes 13 instead of 29 ms of one core (AMD
EPYC, Zen 4, 2026-11-28), and 14 in threes or fours.
"""

import functools

import jax
import jax.numpy as jnp
from flax import linen as nn

from smnet_jax.exposure.noise import Planes
from smnet_jax.network import pixel_groups

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
        self.entry = _Conv(c)
        self.body = [_Conv(c, dilation) for dilation in DILATIONS]
        self.needs = nn.Dense(1, kernel_init=nn.initializers.zeros)  # who knows nothing changes nothing

    def __call__(self, lit: Planes, grainy: jax.Array, stops: jax.Array, inside: jax.Array) -> jax.Array:
        root = jnp.sqrt(functools.reduce(jnp.maximum, lit) + 1e-3)
        seen = jnp.stack([inside * x for x in (*lit, root, grainy, stops / 4)], -1)
        width = seen.shape[2]
        seen, inside = (jnp.pad(x, [(0, 0), (0, 0), (0, width % 2), (0, 0)]) for x in (seen, inside[..., None]))
        x = _act(self.entry(seen))
        for conv in self.body:
            x = x + _act(conv(inside * x))
        return jnp.clip(self.needs(x)[:, :, :width, 0], -MOST, MOST)


class _Conv(nn.Module):
    """`nn.Conv` of 3x3, with zeros round the picture, of pixels in pairs: (N,H,W,C) -> (N,H,W,F); W is even."""

    features: int
    dilation: int = 1

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, x.shape[-1], self.features))
        bias = self.param("bias", nn.initializers.zeros, (self.features,))
        return pixel_groups.conv3x3(x, kernel, None, 2, self.dilation) + bias[None, None, None]


def _act(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.1)
