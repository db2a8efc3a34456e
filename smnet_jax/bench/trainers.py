"""One training step in both frameworks, from the same weights on the same batch.

PyTorch's network and loss are `smnet_jax.verification.torch_model` and `torch_losses` beside it, written layer for
layer and term for term as published; "eager" keeps PyTorch's default layout, NCHW.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from smnet_jax.bench.baselines import Missing

OURS, SHARED = "smnet-jax", "smnet-jax, a device per core"
TORCH = ("PyTorch eager", "PyTorch channels_last")
NAMES = (OURS, SHARED, *TORCH)


@dataclasses.dataclass(frozen=True)
class Case:
    """What is trained: `low` and `high` are (N,H,W,3) float32."""

    variant: Literal["lol", "fivek"]
    width: int
    loss: Literal["recipe", "l1_ssim"]
    low: np.ndarray
    high: np.ndarray


@dataclasses.dataclass(frozen=True)
class Trainer:
    """`step` does one update and returns the loss before it. `parts` are pieces of it, each from the same start."""

    step: Callable[[], float]
    parts: dict[str, Callable[[], Any]]


def make_case(variant: Any, width: int, batch: int, crop: int, loss: Any) -> Case:
    """Random pictures: what they show does not change the time."""
    low, high = np.random.default_rng(1).random((2, batch, crop, crop, 3), np.float32)
    return Case(variant, width, loss, low / 5, high)


def build(name: str, case: Case, cores: int) -> Trainer:
    """Prepare and compile. Raises Missing."""
    if name in TORCH:
        return _torch(name, case)
    return _ours(case, cores if name == SHARED else 1)


def _ours(case: Case, devices: int) -> Trainer:
    import jax
    import jax.numpy as jnp

    from smnet_jax.training import parallel
    from smnet_jax.training.config import Config, Stage
    from smnet_jax.training.step import init_state, make_loss, make_optimizer, make_step

    config = Config(variant=case.variant, width=case.width, loss=case.loss, devices=devices, ema=0)
    if devices > jax.device_count() or len(case.low) % devices:
        raise Missing(f"{len(case.low)} pictures do not divide over {devices} of {jax.device_count()} devices")
    mesh = parallel.make_mesh(config)
    stage = Stage(1, case.low.shape[1], len(case.low), config.loss)
    update = make_step(config, mesh, stage, lambda _: jnp.float32(5e-4))
    loss, optimizer = make_loss(config, update.model, config.loss), make_optimizer(config)
    params = _params(case)
    batch = parallel.share_batch({"low": case.low, "high": case.high}, mesh)
    params, vgg = (parallel.replicate(tree, mesh) for tree in (params, _vgg(case)))
    state = parallel.replicate(init_state(config, params), mesh)

    def step() -> float:
        nonlocal state
        state, scalars = update.compiled(state, batch, vgg)
        return float(jax.block_until_ready(scalars)["loss"])

    if devices > 1:
        return Trainer(step, {})
    forward = jax.jit(lambda params: update.model.apply({"params": params}, batch["low"]))
    whole = jax.jit(lambda params, vgg: loss(params, batch, vgg, None)[0])
    start = init_state(config, params)
    adam = jax.jit(lambda grads, state: optimizer.update(grads, state.opt_state, state.params))
    return Trainer(
        step,
        {
            "forward": lambda: jax.block_until_ready(forward(params)),
            "forward and loss": lambda: jax.block_until_ready(whole(params, vgg)),
            "Adam": lambda: jax.block_until_ready(adam(params, start)),
        },
    )


def _torch(name: str, case: Case) -> Trainer:
    try:
        import torch
    except ImportError:
        raise Missing("torch is not installed") from None
    from smnet_jax.checkpoints.architecture import Architecture
    from smnet_jax.verification import torch_losses, torch_stages

    net = torch_stages.network(_params(case), Architecture(case.variant, case.width))
    low, high = torch_stages.nchw(case.low), torch_stages.nchw(case.high)
    vgg = torch_losses.vgg16_weights(_vgg(case)) if case.loss == "recipe" else {}
    if name == "PyTorch channels_last":
        net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        low, high = (x.contiguous(memory_format=torch.channels_last) for x in (low, high))
        vgg = {k: (w.contiguous(memory_format=torch.channels_last), b) for k, (w, b) in vgg.items()}
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4)

    def total() -> Any:
        pred = net(low)
        if case.loss == "recipe":
            return torch_losses.total_loss(pred, low, high, vgg)[0]
        return torch_losses.l1_ssim(pred, high)

    def step() -> float:
        optimizer.zero_grad()
        loss = total()
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    return Trainer(step, {"forward": lambda: net(low), "forward and loss": total, "Adam": optimizer.step})


def _params(case: Case) -> Any:
    from smnet_jax.network.initialisation import initialise
    from smnet_jax.network.model import SMNet

    return initialise(SMNet(case.variant, case.width), seed=0)["params"]


def _vgg(case: Case) -> Any:
    from smnet_jax.vgg16 import load_vgg16

    return load_vgg16() if case.loss == "recipe" else {}
