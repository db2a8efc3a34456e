"""Weights of `ExposureNet` in the project's directory format."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax.checkpoints import trees, weights
from smnet_jax.errors import InputError
from smnet_jax.exposure import tone
from smnet_jax.exposure.network import ExposureNet


def load(directory: str | os.PathLike[str]) -> tuple[ExposureNet, dict[str, Any]]:
    """(model, variables) of a directory that `save` wrote; float32 on the default device. Raises InputError."""
    about, flat = weights.read_directory(Path(directory))
    if about.get("network") != "exposure":
        raise InputError(f"{directory}: weights of SMNet, not of ExposureNet; load them with smnet_jax.load")
    model = ExposureNet(about["features"], about["hidden"], about.get("fine") or 0)
    _check(model, flat, str(directory))
    return model, {"params": jax.tree.map(jnp.asarray, trees.unflatten(flat))}


def save(
    directory: str | os.PathLike[str],
    model: Any,
    params: Mapping[str, Any],
    about: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Write an `ExposureNet`'s collection "params" as a directory, whole or not at all; returns its description.

    Raises InputError where the arrays do not fit, or the directory cannot be written.
    """
    flat = {path: np.asarray(array, np.float32) for path, array in trees.flatten(params).items()}
    _check(model, flat, str(directory))
    kind = {"network": "exposure", "features": model.features, "hidden": model.hidden, "fine": model.fine}
    return weights.write_directory(Path(directory), flat, kind, about)


def _check(model: Any, flat: Mapping[str, np.ndarray], source: str) -> None:
    """Raise InputError unless the arrays are the model's: same paths, shapes, float32, finite."""
    small = jax.ShapeDtypeStruct((1, tone.THUMBNAIL, tone.THUMBNAIL, 3), jnp.float32)
    tree = jax.eval_shape(lambda x: model.init(jax.random.key(0), x), small)["params"]
    wanted = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf.shape
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
    wrong = sorted(flat.keys() ^ wanted.keys())
    wrong += [path for path, shape in wanted.items() if path in flat and flat[path].shape != shape]
    wrong += [path for path, array in flat.items() if array.dtype != np.float32 or not np.isfinite(array).all()]
    if wrong:
        raise InputError(f"{source}: its arrays do not fit ExposureNet: {', '.join(wrong[:4])}; get the weights again")
