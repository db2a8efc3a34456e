"""The last look: every pixel and what lies round it, at full size.

The grid of curves (`exposure.tone`) has 16x16 cells and knows nothing smaller. What is left where much light is added
is a matter of a few pixels: grain that smoothing did not even out, black lifted to fog, edges that lost their contrast.
A small network finds what each pixel needs for that: more or less of the curve that it goes through. So all that a
curve keeps is kept: nothing clips, black stays black, gray stays gray, hues stay.

Its width is a matter of time: 16 features instead of 8 score the same within 0.05 dB, and browsers, which are slow at
convolutions, then take twice as long for a photo.
"""

import jax
import jax.numpy as jnp
from flax import linen as nn

DILATIONS = (1, 2, 1, 2)  # of the 3x3 convolutions after the first
HALO = 1 + sum(DILATIONS)  # pixels: as far as a pixel sees
MOST = 2.0  # binary logarithms: as far as a rate is moved


class Detail(nn.Module):
    """What each pixel needs beside its place's curve, (N,H,W,1): the binary logarithm of a factor on its rate.

    Called with what `tone.render_part` knows of each pixel: lit (N,H,W,3), brightened after smoothing; grainy
    (N,H,W,1), the level brightened without smoothing; stops (N,H,W,1), the light that is added round it; inside
    (N,H,W,1), 1 in the picture and 0 elsewhere, where nothing is seen. All float32; stops of either sign, the others
    in [0, 1].
    """

    features: int

    def setup(self) -> None:
        c = self.features
        self.entry = nn.Conv(c, (3, 3))
        self.body = [nn.Conv(c, (3, 3), kernel_dilation=d) for d in DILATIONS]
        self.needs = nn.Dense(1, kernel_init=nn.initializers.zeros)  # who knows nothing changes nothing

    def __call__(self, lit: jax.Array, grainy: jax.Array, stops: jax.Array, inside: jax.Array) -> jax.Array:
        root = jnp.sqrt(lit.max(-1, keepdims=True) + 1e-3)
        x = _act(self.entry(inside * jnp.concatenate([lit, root, grainy, stops / 4], -1)))
        for conv in self.body:
            x = x + _act(conv(inside * x))
        return jnp.clip(self.needs(x), -MOST, MOST)


def _act(x: jax.Array) -> jax.Array:
    return nn.leaky_relu(x, 0.1)
