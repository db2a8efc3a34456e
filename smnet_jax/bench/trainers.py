"""One training step in both frameworks, from the same weights on the same batch.

PyTorch's network and loss are `smnet_jax.verification.torch_model` and `torch_losses` beside it, written layer for
layer and term for term as published; "eager" keeps PyTorch's default layout, NCHW. In bfloat16 PyTorch casts by itself
in the network and VGG16, on channels_last; the rest of the loss, the parameters and Adam are float32 in both.
All run on the device that JAX runs on.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import numpy as np

from smnet_jax.bench import torch_device
from smnet_jax.bench.torch_device import Missing

OURS, SHARED, COMPILED = "smnet-jax", "smnet-jax, a device per core", "PyTorch compiled"
TORCH = ("PyTorch eager", "PyTorch channels_last", COMPILED)
OURS_BFLOAT16 = "smnet-jax bfloat16"
BFLOAT16 = ("PyTorch bfloat16", "PyTorch bfloat16 compiled")  # in this precision each is compared with ours only
NAMES = (OURS, SHARED, *TORCH, OURS_BFLOAT16, *BFLOAT16)
ON_CPU = (OURS, SHARED, *TORCH[:2])  # what is measured where nothing is said
ON_GPU = (OURS, *TORCH, OURS_BFLOAT16, *BFLOAT16)


@dataclasses.dataclass(frozen=True)
class Case:
    """What is trained: `low` and `high` are (N,H,W,3) float32."""

    variant: Literal["lol", "fivek"]
    width: int
    loss: Literal["recipe", "l1_ssim"]
    low: np.ndarray
    high: np.ndarray
    tf32: bool = False
    """On a GPU: let float32 products round their inputs to TF32."""


@dataclasses.dataclass(frozen=True)
class Trainer:
    """`step` does one update and returns the loss before it. `parts` are pieces of it, each from the same start."""

    step: Callable[[], float]
    parts: dict[str, Callable[[], Any]]


def make_case(variant: Any, width: int, batch: int, crop: int, loss: Any, tf32: bool = False) -> Case:
    """Random pictures: what they show does not change the time."""
    low, high = np.random.default_rng(1).random((2, batch, crop, crop, 3), np.float32)
    return Case(variant, width, loss, low / 5, high, tf32)


def build(name: str, case: Case, cores: int) -> Trainer:
    """Prepare and compile. Raises Missing."""
    if name in TORCH or name in BFLOAT16:
        return _torch(name, case)
    return _ours(case, cores if name == SHARED else 1, "bfloat16" if name == OURS_BFLOAT16 else "float32")


def _ours(case: Case, devices: int, dtype: Literal["float32", "bfloat16"]) -> Trainer:
    import jax
    import jax.numpy as jnp

    from smnet_jax.training import parallel
    from smnet_jax.training.config import Config, Stage
    from smnet_jax.training.step import init_state, make_loss, make_optimizer, make_step

    exact = jax.default_backend() == "gpu" and dtype == "float32" and not case.tf32
    config = Config(
        variant=case.variant,
        width=case.width,
        loss=case.loss,
        devices=devices,
        ema=0,
        dtype=dtype,
        precision="highest" if exact else "",
    )
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
    device = torch_device.beside_jax()
    import torch

    from smnet_jax.checkpoints.architecture import Architecture
    from smnet_jax.verification import torch_losses, torch_stages

    torch_device.use_tf32(case.tf32)
    last, casts = name != "PyTorch eager", name in BFLOAT16
    net: Any = torch_stages.network(_params(case), Architecture(case.variant, case.width))
    vgg = torch_losses.vgg16_weights(_vgg(case)) if case.loss == "recipe" else {}
    net = device.put(net, channels_last=last)
    low, high = (device.put(torch_stages.nchw(x), channels_last=last) for x in (case.low, case.high))
    vgg = {k: (device.put(w, channels_last=last), device.put(b)) for k, (w, b) in vgg.items()}
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-4, fused=True if device.name == "cuda" else None)

    def forward() -> Any:
        with device.autocast(casts):
            return net(low)

    def total() -> Any:
        pred = forward().float()
        if case.loss == "recipe":
            return torch_losses.total_loss(pred, low, high, vgg, device.autocast(casts))[0]
        return torch_losses.l1_ssim(pred, high)

    chosen = device.compile(total) if "compiled" in name else total

    def step() -> float:
        optimizer.zero_grad()
        loss = chosen()
        loss.backward()
        optimizer.step()
        device.wait()
        return float(loss.detach())

    def waited(part: Callable[[], Any]) -> Callable[[], Any]:
        def run() -> None:
            part()
            device.wait()

        return run

    pieces = {"forward": forward, "forward and loss": total, "Adam": optimizer.step}
    return Trainer(step, {part: waited(run) for part, run in pieces.items()})


def _params(case: Case) -> Any:
    from smnet_jax.network.initialisation import initialise
    from smnet_jax.network.model import SMNet

    return initialise(SMNet(case.variant, case.width), seed=0)["params"]


def _vgg(case: Case) -> Any:
    from smnet_jax.vgg16 import load_vgg16

    return load_vgg16() if case.loss == "recipe" else {}
