"""The stages of the computation by name, and what our network has at each of them.

A forward pass has `stem`, then for each block `block1/half` ... `block1/gfrm` in the order of computation, and
`block1/head`, the picture decoded after that block; the last block's is the network's output. All are NHWC float32.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from smnet_jax import losses
from smnet_jax.checkpoints.trees import flatten, unflatten
from smnet_jax.network.model import SMNet

Arrays = dict[str, np.ndarray]

FEATURES = ("half", "quarter", "fem_quarter", "quarter_up", "fem_half", "fem_full", "gfrm")
LEARNING_RATE = 5e-4  # the recipe's


@dataclasses.dataclass(frozen=True)
class Training:
    """One training step taken apart. `gradients` and `updated` go by our paths ("block/fuse/kernel"), HWIO."""

    loss: Arrays
    """The five terms and `total`, scalars."""
    gradients: Arrays
    """Of the total."""
    updated: Arrays | None
    """The parameters after Adam's first update by `gradients`; None where nobody computed them."""


def names(blocks: int) -> list[str]:
    """Every stage of the forward pass, in the order of computation."""
    return ["stem", *(f"block{i + 1}/{name}" for i in range(blocks) for name in (*FEATURES, "head"))]


def output(blocks: int) -> str:
    """The name of the stage that is the network's result."""
    return f"block{blocks}/head"


def forward(model: SMNet) -> Callable[[Any, np.ndarray], Arrays]:
    """A function of (variables, low) that gives every stage of the forward pass; it compiles once per picture size."""

    @jax.jit
    def run(variables: Any, low: jax.Array) -> dict[str, jax.Array]:
        pictures, recorded = model.apply(variables, low, outputs="all", mutable=["intermediates"])
        found = {"stem": recorded["intermediates"]["stem_features"][0]}
        for i, picture in enumerate(reversed(pictures)):
            for name in FEATURES:
                found[f"block{i + 1}/{name}"] = recorded["intermediates"]["block"][f"{name}_features"][i]
            found[f"block{i + 1}/head"] = picture
        return {name: value.astype(jnp.float32) for name, value in found.items()}

    def arrays(variables: Any, low: np.ndarray) -> Arrays:
        found = run(variables, low)
        return {name: np.asarray(found[name]) for name in names(model.blocks)}  # jit sorts dicts by name

    return arrays


@functools.lru_cache(maxsize=4)
def loss_and_gradients(model: SMNet) -> Callable[..., tuple[Arrays, Arrays]]:
    """A function of (variables, low, high, vgg): the recipe's loss with its terms, and its gradient by path.

    `vgg` as `vgg16.load_vgg16` gives it.
    """

    @jax.jit
    @functools.partial(jax.value_and_grad, has_aux=True)
    def loss(params: Any, low: jax.Array, high: jax.Array, vgg: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        return losses.total_loss(model.apply({"params": params}, low), low, high, vgg)  # type: ignore[arg-type]

    def arrays(variables: Any, low: np.ndarray, high: np.ndarray, vgg: Any) -> tuple[Arrays, Arrays]:
        with jax.default_matmul_precision("highest"):  # of VGG16's products too
            (total, terms), gradients = loss(variables["params"], low, high, vgg)
        return {name: np.asarray(value) for name, value in {**terms, "total": total}.items()}, flatten(gradients)

    return arrays


def updated(params: Any, gradients: Arrays) -> Arrays:
    """The parameters by path after the training code's first update by given gradients."""
    import optax

    from smnet_jax.training.config import Config
    from smnet_jax.training.step import init_state, make_optimizer, train_step

    config = Config(ema=0)
    given = jax.tree.map(jnp.asarray, unflatten(gradients))

    def linear(params: Any, *_: Any) -> tuple[jax.Array, dict[str, jax.Array]]:
        """A loss whose gradient is the given one."""
        return optax.tree.vdot(params, given), {}

    state, _ = jax.jit(
        lambda state: train_step(
            state, {}, {}, loss=linear, optimizer=make_optimizer(config), rate=lambda _: jnp.float32(LEARNING_RATE)
        )
    )(init_state(config, params))
    return flatten(state.params)
