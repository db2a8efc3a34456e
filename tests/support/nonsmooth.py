"""Which side of every non-smooth point a PyTorch run took, and our loss made to take the same sides.

The loss has a jump in its gradient wherever an argument of PReLU, ReLU or |.| is zero, or two pixels tie for a
maximum. Within rounding of such a place float32 takes either side, and which one differs between compilers, and in
PyTorch between one thread and two. `record` writes down PyTorch's choices; `replay` imposes them on the JAX code, so
that gradients can be compared without that chance.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from flax import linen as nn

from smnet_jax.network import definition, layers

Choices = dict[str, list[Any]]
KINDS = ("prelu", "relu", "max_pool2d", "abs", "amax")


@contextmanager
def record() -> Iterator[Choices]:
    """Choices of a forward pass of `torch_loss.terms` inside, in the order of the calls, NHWC."""
    choices: Choices = {kind: [] for kind in KINDS}

    def nhwc(mask: torch.Tensor) -> np.ndarray:
        return (mask.permute(0, 2, 3, 1) if mask.ndim == 4 else mask).numpy()

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in ((F, "prelu"), (F, "relu"), (F, "max_pool2d"), (torch.Tensor, "abs")):
            original = getattr(owner, name)

            def positive(x: torch.Tensor, *args: Any, original=original, name=name, **options: Any) -> torch.Tensor:
                if name == "max_pool2d":
                    n, c, h, w = x.shape
                    blocks = x.detach()[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2)
                    blocks = blocks.permute(0, 2, 4, 1, 3, 5).reshape(n, h // 2, w // 2, c, 4)
                    choices[name].append(blocks.argmax(-1).numpy())
                else:
                    choices[name].append(nhwc(x.detach() > 0))
                return original(x, *args, **options)

            patch.setattr(owner, name, positive)
        amax = torch.Tensor.amax

        def where_largest(x: torch.Tensor, axes: Any, keepdim: bool = False) -> torch.Tensor:
            largest = amax(x, axes, keepdim)
            if axes == (2, 3):  # of GFRM; brightness, the other one, takes no gradient
                choices["amax"].append(nhwc(x.detach() == amax(x.detach(), axes, True)))
            return largest

        patch.setattr(torch.Tensor, "amax", where_largest)
        yield choices


@contextmanager
def replay(choices: Choices) -> Iterator[None]:
    """Trace `losses.total_loss` of our network once inside, and it takes these sides; leaves may be traced arrays."""
    left = {kind: list(masks) for kind, masks in choices.items()}
    features, blocks = 10, len(choices["amax"])
    gates, of_pred = left["relu"][: 2 * blocks], left["relu"][2 * blocks :][:features]
    # PyTorch looked at the output first, we look at the target first; the target's choices change no gradient.
    vgg, pools = [None] * features + of_pred, [None] * 3 + left["max_pool2d"][:3]
    phases: list[Any] = []

    def prelu(x: jax.Array, slope: jax.Array) -> jax.Array:
        if not phases:
            mask = left["prelu"].pop(0)
            whole = mask.shape == x.shape  # else x is the first of an upsampling's four phases
            phases.extend([mask] if whole else [mask[:, a::2, b::2] for a in (0, 1) for b in (0, 1)])
        return jnp.where(phases.pop(0), x, slope * x)

    def relu(masks: list[Any]) -> Any:
        def imposed(x: jax.Array) -> jax.Array:
            mask = masks.pop(0)
            return jnp.maximum(x, 0) if mask is None else jnp.where(mask, x, 0)

        return imposed

    def max_pool(x: jax.Array, *_: Any, **__: Any) -> jax.Array:
        n, h, w, c = x.shape
        windows = x[:, : h // 2 * 2, : w // 2 * 2].reshape(n, h // 2, 2, w // 2, 2, c)
        windows = windows.transpose(0, 1, 3, 5, 2, 4).reshape(n, h // 2, w // 2, c, 4)
        choice = pools.pop(0)
        if choice is None:
            return windows.max(-1)
        return jnp.sum(windows * jax.nn.one_hot(choice, 4), -1)

    absolute = jnp.abs

    def imposed_abs(x: jax.Array) -> jax.Array:
        if not left["abs"]:  # smooth_l1 has none
            return absolute(x)
        return jnp.where(left["abs"].pop(0), x, -x)

    def statistics(z: jax.Array) -> tuple[jax.Array, jax.Array]:
        mask = left["amax"].pop(0)
        return jnp.mean(z, (1, 2)), jnp.sum(z * mask, (1, 2)) / jnp.sum(mask, (1, 2))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(layers, "prelu", prelu)
        patch.setattr(jax.nn, "relu", relu(gates))
        patch.setattr(nn, "relu", relu(vgg))
        patch.setattr(nn, "max_pool", max_pool)
        patch.setattr(jnp, "abs", imposed_abs)
        patch.setattr(definition, "statistics", statistics)
        yield
    assert not (left["prelu"] or gates or vgg or pools or left["abs"] or left["amax"] or phases)
