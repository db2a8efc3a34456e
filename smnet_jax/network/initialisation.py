"""Fresh weights, drawn on the host: compiling the random numbers of `model.init` takes XLA half a minute of CPU."""

import functools
from typing import Any

import jax
import numpy as np

from smnet_jax.network.model import SMNet


def initialise(model: SMNet, seed: int) -> dict[str, Any]:
    """Variables for `model.apply`, {"params": ...} of numpy float32, the same for one seed on every machine.

    The distributions are those of `model.init`, torch's defaults: kernels and biases uniform in +-1/sqrt(fan_in),
    PReLU slopes 0.25.
    """
    return {"params": _draw(_shapes(model), np.random.default_rng(seed))}


@functools.lru_cache(maxsize=16)
def _shapes(model: SMNet) -> dict[str, Any]:
    low = jax.ShapeDtypeStruct((1, 8, 8, 3), np.float32)
    return jax.eval_shape(model.init, jax.random.key(0), low)["params"]


def add_colour_path(params: Any, gain: float) -> Any:
    """`params` plus a path on which what distinguishes red, green and blue reaches the output, `gain` times as strong.

    The features of stem and blocks are sums, so what the stem puts into three of them arrives at the head, which picks
    it up; gray passes nothing. Dark input has little colour, and what random layers leave of it is too weak to learn
    from: without the path small networks stay with one axis of colour, orange to blue, for thousands of steps.
    """
    params = jax.tree.map(np.array, params)
    colour = np.eye(3, dtype=np.float32) - np.float32(1 / 3)  # takes the mean over red, green and blue away
    params["stem"]["conv"]["kernel"][1, 1, :3, :3] += np.float32(gain) * colour
    params["head"]["conv"]["kernel"][1, 1, :3, :3] += colour
    params["head"]["out"]["kernel"][0, 0, :3, :3] += colour
    return params


def _draw(layer: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    if "slope" in layer:
        return {"slope": np.array(0.25, np.float32)}
    if "kernel" in layer:
        bound = np.prod(layer["kernel"].shape[:-1]) ** -0.5
        return {name: rng.uniform(-bound, bound, leaf.shape).astype(np.float32) for name, leaf in layer.items()}
    return {name: _draw(inner, rng) for name, inner in sorted(layer.items())}
