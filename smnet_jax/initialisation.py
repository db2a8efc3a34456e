"""Fresh weights, drawn on the host: compiling the random numbers of `model.init` takes XLA half a minute of CPU."""

from typing import Any

import jax
import numpy as np

from smnet_jax.model import SMNet


def initialise(model: SMNet, seed: int) -> dict[str, Any]:
    """Variables for `model.apply`, {"params": ...} of numpy float32, the same for one seed on every machine.

    The distributions are those of `model.init`, torch's defaults: kernels and biases uniform in +-1/sqrt(fan_in),
    PReLU slopes 0.25.
    """
    low = jax.ShapeDtypeStruct((1, 8, 8, 3), np.float32)
    shapes = jax.eval_shape(model.init, jax.random.key(0), low)["params"]
    return {"params": _draw(shapes, np.random.default_rng(seed))}


def pass_through(params: Any, gain: float) -> Any:
    """`params` plus a path on which red, green and blue reach the output, `gain` times as bright.

    The features of stem and blocks are sums, so what the stem puts into three of them arrives at the head, which picks
    it up. Dark input has little colour, and what random layers leave of it is too weak to learn from: without the path
    small networks stay with one axis of colour, orange to blue, for thousands of steps.
    """
    params = jax.tree.map(np.copy, params)
    for channel in range(3):
        params["stem"]["conv"]["kernel"][1, 1, channel, channel] += gain
        params["head"]["conv"]["kernel"][1, 1, channel, channel] += 1
        params["head"]["out"]["kernel"][0, 0, channel, channel] += 1
    return params


def _draw(layer: dict[str, Any], rng: np.random.Generator) -> dict[str, Any]:
    if "slope" in layer:
        return {"slope": np.array(0.25, np.float32)}
    if "kernel" in layer:
        bound = np.prod(layer["kernel"].shape[:-1]) ** -0.5
        return {name: rng.uniform(-bound, bound, leaf.shape).astype(np.float32) for name, leaf in layer.items()}
    return {name: _draw(inner, rng) for name, inner in sorted(layer.items())}
