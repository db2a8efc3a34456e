"""SMNet low-light image enhancement in JAX.

    model, variables = smnet_jax.load("photos.pth")     # bundled name, converted directory, .pth or .safetensors
    bright = model.apply(variables, low)                # (N, H, W, 3) float32 in [0, 1] -> the same, not clipped
    picture = smnet_jax.enhance(Image.open("dark.jpg")) # any size, any mode
    data = smnet_jax.enhance_bytes(data)                # a file's content to a file's content, EXIF and profile kept

`smnet_jax.metrics`, `smnet_jax.losses`, `smnet_jax.vgg16` and `smnet_jax.training` are imported by name.
"""

import importlib
from typing import TYPE_CHECKING, Any

from smnet_jax.errors import InputError
from smnet_jax.version import __version__

if TYPE_CHECKING:
    from smnet_jax.checkpoints.weights import load
    from smnet_jax.enhancement.encoded import enhance_bytes
    from smnet_jax.enhancement.photo import enhance
    from smnet_jax.network.model import SMNet

__all__ = ["InputError", "SMNet", "__version__", "enhance", "enhance_bytes", "load"]

_HOMES = {
    "SMNet": "smnet_jax.network.model",
    "enhance": "smnet_jax.enhancement.photo",
    "enhance_bytes": "smnet_jax.enhancement.encoded",
    "load": "smnet_jax.checkpoints.weights",
}


def __getattr__(name: str) -> Any:
    """Import the public names on first use: `smnet --help` should not wait for JAX."""
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
