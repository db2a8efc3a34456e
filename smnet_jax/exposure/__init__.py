"""The default for photographs: how much light each part of a picture needs, seen on a thumbnail.

Unlike SMNet it invents no pixels: a small network chooses curves, and the curves brighten the picture.
"""

from smnet_jax.exposure.knob import adjust
from smnet_jax.exposure.network import ExposureNet
from smnet_jax.exposure.picture import enhance
from smnet_jax.exposure.tone import GRID, KNOTS, THUMBNAIL, Tone, render, thumbnail

__all__ = ["GRID", "KNOTS", "THUMBNAIL", "ExposureNet", "Tone", "adjust", "enhance", "render", "thumbnail"]
