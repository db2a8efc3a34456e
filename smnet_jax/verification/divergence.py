"""Training in both frameworks on the same batches: how fast the two runs drift apart, and whether that is rounding.

Training amplifies rounding: Adam's first update is the sign of the gradient, and gradients jump at non-smooth points.
No fixed tolerance fits every network. The yardstick is PyTorch itself: the same run in float64 shows how far PyTorch's
float32 has drifted by rounding alone. Ours may drift from the float64 run about as far; an error in the loss, the
gradient, the optimiser or the schedule is larger by orders of magnitude.
"""

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch

from smnet_jax.checkpoints.architecture import Architecture
from smnet_jax.checkpoints.trees import flatten
from smnet_jax.network.model import SMNet
from smnet_jax.training import parallel
from smnet_jax.training.config import Config, Stage
from smnet_jax.training.step import init_state, make_step
from smnet_jax.verification import torch_losses, torch_stages
from smnet_jax.verification.inputs import target
from smnet_jax.verification.stages import LEARNING_RATE, Arrays

ALLOWANCE = 3.0  # times PyTorch's own drift, which is as much luck as ours
FLOOR = 5e-3  # of the way travelled: the first non-smooth point that a run meets costs up to 2e-3, and it may be ours


@dataclasses.dataclass(frozen=True)
class Row:
    """After one step. Drifts are distances (2-norm over all parameters) over the distance travelled so far."""

    step: int
    loss: float
    """Ours, before the update."""
    torch_loss: float
    between: float
    """Drift of our run from PyTorch's float32 run."""
    ours: float
    """Drift of our run from PyTorch's float64 run."""
    torchs: float
    """Drift of PyTorch's float32 run from its float64 run: the yardstick."""

    @property
    def within(self) -> bool:
        """False also for NaN."""
        return self.ours <= max(FLOOR, ALLOWANCE * self.torchs)


def compare(
    architecture: Architecture,
    params: Any,
    batches: Sequence[np.ndarray],
    vgg: Any,
    *,
    done: Callable[[Row], None] = lambda _: None,
) -> list[Row]:
    """Train from `params` on each batch of `low` once, at the recipe's rate, in both frameworks; a row per step."""
    start = flatten(params)
    runs = zip(
        batches,
        _ours(architecture, params, batches, vgg),
        _torchs(architecture, params, batches, vgg, torch.float32),
        _torchs(architecture, params, batches, vgg, torch.float64),
        strict=True,
    )
    rows, largest = [], 0.0
    for step, (_, (loss, ours), (torch_loss, single), (_, double)) in enumerate(runs, 1):
        way = _distance(double, start)
        # Drift does not always grow; the yardstick is the largest so far, so that a lucky step does not fail us.
        largest = max(largest, _distance(single, double) / way)
        rows.append(Row(step, loss, torch_loss, _distance(ours, single) / way, _distance(ours, double) / way, largest))
        done(rows[-1])
    return rows


def _distance(a: Arrays, b: Arrays) -> float:
    return float(np.sqrt(sum(np.sum(np.square(a[path].astype(np.float64) - b[path])) for path in b)))


def _ours(
    architecture: Architecture, params: Any, batches: Sequence[np.ndarray], vgg: Any
) -> Iterator[tuple[float, Arrays]]:
    config = Config(ema=0, devices=1, accumulate=1)
    model = SMNet(**vars(architecture), precision="highest")
    mesh = parallel.make_mesh(config)
    stage = Stage(len(batches), batches[0].shape[1], len(batches[0]), "recipe")
    step = make_step(config, mesh, stage, lambda _: jnp.float32(LEARNING_RATE), model).compiled
    state = parallel.replicate(init_state(config, params), mesh)
    for low in batches:
        batch = parallel.share_batch({"low": low, "high": target(low)}, mesh)
        with jax.default_matmul_precision("highest"):  # of VGG16's products too
            state, scalars = step(state, batch, vgg)
        yield float(scalars["loss"]), flatten(jax.tree.map(np.array, state.params))  # copies: the step takes the state


def _torchs(
    architecture: Architecture, params: Any, batches: Sequence[np.ndarray], vgg: Any, dtype: torch.dtype
) -> Iterator[tuple[float, Arrays]]:
    net = torch_stages.network(params, architecture).to(dtype)
    frozen = torch_losses.vgg16_weights(vgg)
    optimizer = torch.optim.Adam(net.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.999), eps=1e-8)
    for low in batches:
        given, high = (torch_stages.nchw(pictures).to(dtype) for pictures in (low, target(low)))
        optimizer.zero_grad(set_to_none=True)
        total, _ = torch_losses.total_loss(net(given), given, high, frozen)
        total.backward()
        optimizer.step()
        yield float(total.detach()), torch_stages.by_path(net)
