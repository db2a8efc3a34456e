"""One training step, a pure function: jitted, sharded, timed and tested as it stands."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax.sharding import Mesh, NamedSharding

from smnet_jax import losses
from smnet_jax.errors import InputError
from smnet_jax.network.model import SMNet, implementation_for
from smnet_jax.network.tpu.microbatches import microbatch_count, pad_batch
from smnet_jax.training import parallel
from smnet_jax.training.augmentation import Augmentation
from smnet_jax.training.config import Config, Stage
from smnet_jax.training.optimizer import KNOWS_ITS_RATE, make_optimizer
from smnet_jax.training.resident import Pairs
from smnet_jax.training.schedule import Schedule

Batch = dict[str, jax.Array]
Scalars = dict[str, jax.Array]
LossFunction = Callable[..., tuple[jax.Array, Scalars]]


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class TrainState:
    """Everything that a step changes."""

    step: jax.Array
    """Steps done, int32."""
    params: Any
    opt_state: Any
    average: Any
    """Exponential moving average of `params`, or an empty dict."""
    skipped: jax.Array
    """Updates skipped because something was not finite, int32."""


@dataclasses.dataclass(frozen=True)
class Step:
    """A run's step, compiled for its devices on the first call."""

    model: SMNet
    microbatches: int
    """How many a device computes of its batch, one after the other."""
    compiled: Any
    """(state, batch, vgg) -> (state, scalars), as `train_step`, or with data on the devices as `resident_steps`; the
    state given is consumed. Has `lower`."""


def make_step(
    config: Config,
    mesh: Mesh,
    stage: Stage,
    rate: Schedule,
    model: SMNet | None = None,
    augmentation: Augmentation | None = None,
) -> Step:
    """The step of `smnet train`: what trains, what is measured and what is compiled ahead of time is this one program.

    mesh: of data x rows devices, which may be described only. stage: a batch's size, crop and loss. rate: of the
    step's number. model: the network, if not as configured for the mesh's devices. augmentation: what makes batches of
    the pairs that are on the devices, for `resident_steps`.
    """
    device = mesh.devices.flat[0]
    model = model or make_model(config, device.platform)
    microbatches = microbatches_for(config, model, stage.batch // mesh.shape["data"], device.device_kind)
    update: Any = functools.partial(
        train_step,
        loss=make_loss(config, model, stage.loss),
        optimizer=make_optimizer(config, rate),
        rate=rate,
        rate_applied=config.optimizer in KNOWS_ITS_RATE,
        ema=config.ema,
        accumulate=microbatches,
    )
    if augmentation is None:
        return Step(model, microbatches, parallel.compile_step(update, mesh, config.parallel))

    def draw(pairs: Pairs, index: jax.Array, step: jax.Array) -> Batch:
        pictures = augmentation.batch(pairs, index, step)
        if mesh.shape["rows"] == 1:
            return pictures
        return jax.lax.with_sharding_constraint(pictures, NamedSharding(mesh, parallel.BY_EXAMPLE_AND_ROW))

    several = functools.partial(resident_steps, update=update, draw=draw)
    return Step(model, microbatches, parallel.compile_step(several, mesh, config.parallel, parallel.BY_EXAMPLE))


def make_model(config: Config, platform: str | None = None) -> SMNet:
    """The network as configured, implemented for a platform (JAX's name; None: the default backend's).

    Rows over several devices need the implementation that XLA shards without gathering.
    """
    return SMNet(
        variant=config.variant,
        width=config.width,
        blocks=config.blocks,
        dtype=jnp.dtype(config.dtype),
        precision=config.precision or None,
        implementation="gpu" if config.rows > 1 else implementation_for("auto", platform),
        remat=config.remat,
        scan=config.scan,
    )


def make_loss(config: Config, model: SMNet, kind: str) -> LossFunction:
    """`loss(params, batch, vgg, axis_name) -> (total, terms)`; the terms are those of the last output."""
    if kind not in ("recipe", "l1_ssim"):
        raise InputError(f"loss {kind!r}: must be 'recipe' or 'l1_ssim'")
    apply = pad_batch(model.apply) if _for_tpu(model) else model.apply

    def one(pred: Any, batch: Batch, vgg: Any, axis_name: str | None) -> tuple[jax.Array, Scalars]:
        if kind == "recipe":
            return losses.total_loss(
                pred,
                batch["low"],
                batch["high"],
                vgg,
                axis_name=axis_name,
                dtype=model.dtype,
                implementation=model.implementation,
            )
        return losses.l1_ssim(
            pred,
            batch["low"],
            batch["high"],
            l1_weight=config.l1_weight,
            ssim_weight=config.ssim_weight,
            chroma_weight=config.chroma_weight,
            psnr_weight=config.psnr_weight,
            lpips_weight=config.lpips_weight,
            axis_name=axis_name,
        )

    def loss(params: Any, batch: Batch, vgg: Any, axis_name: str | None) -> tuple[jax.Array, Scalars]:
        if not config.deep_supervision:
            return one(apply({"params": params}, batch["low"]), batch, vgg, axis_name)
        last, *earlier = apply({"params": params}, batch["low"], outputs="all")
        total, terms = one(last, batch, vgg, axis_name)
        for pred in earlier:
            total += config.deep_supervision * one(pred, batch, vgg, axis_name)[0]
        return total, terms

    return loss


def microbatches_for(config: Config, model: SMNet, crops: int, kind: str) -> int:
    """How many microbatches a device of that kind (as JAX names it) makes of its `crops`: as configured, or as is
    fastest."""
    if config.accumulate:
        return config.accumulate
    return microbatch_count(crops, kind) if _for_tpu(model) else 1


def _for_tpu(model: SMNet) -> bool:
    return implementation_for(model.implementation) == "tpu"


def init_state(config: Config, params: Any) -> TrainState:
    """The state before the first step."""
    return TrainState(
        step=jnp.int32(0),
        params=params,
        opt_state=make_optimizer(config).init(params),
        average=jax.tree.map(jnp.copy, params) if config.ema else {},
        skipped=jnp.int32(0),
    )


def train_step(
    state: TrainState,
    batch: Batch,
    vgg: Any,
    *,
    loss: LossFunction,
    optimizer: optax.GradientTransformation,
    rate: Schedule = lambda _: jnp.float32(1),
    rate_applied: bool = False,
    ema: float = 0.0,
    accumulate: int = 1,
    axis_name: str | None = None,
) -> tuple[TrainState, Scalars]:
    """One update. `batch` holds `low` and `high`, (N, H, W, 3); `vgg` is whatever `loss` wants.

    What `optimizer` gives is added to the parameters, as optax has it, times `rate` of the step's number: with an
    optimizer that has its own rate, such as `optax.adamw(1e-3)`, leave `rate` out, or say `rate_applied`: then it is
    only told.

    The scalars are the total loss, its terms, the gradient's norm before clipping, the learning rate, and `finite`:
    0 where the loss or a gradient was not, and then everything but `step` and `skipped` stays as it was.

    Where each device runs the step on its own part of the batch, `axis_name` names the devices' axis.
    """
    (total, terms), grads = _mean_gradient(state.params, batch, vgg, loss, accumulate, axis_name)
    if axis_name is not None:
        # Mean of the gradients, not gradient of the mean: neither pmap nor `compile_step` tracks which values are
        # replicated, and the gradient of a pmean would come out too small by the number of devices.
        total, terms, grads = jax.lax.pmean((total, terms, grads), axis_name)
    norm = optax.tree.norm(grads)
    finite = jnp.isfinite(total) & jnp.isfinite(norm)

    # optax divides counts of steps by numbers, which strict promotion of types would not let it.
    with jax.numpy_dtype_promotion("standard"):
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        learning_rate = rate(state.step)
        factor = 1 if rate_applied else learning_rate
        params = jax.tree.map(lambda p, u: p + factor * u, state.params, updates)
        # A young average follows quickly, or it would hold the random initial weights for thousands of steps.
        decay = jnp.minimum(ema, (1 + state.step) / (10 + state.step))
        average = optax.incremental_update(params, state.average, 1 - decay) if ema else {}

    params, opt_state, average = jax.tree.map(
        lambda new, old: jnp.where(finite, new, old),
        (params, opt_state, average),
        (state.params, state.opt_state, state.average),
    )
    scalars = {"loss": total, **terms, "grad_norm": norm, "learning_rate": learning_rate, "finite": finite}
    skipped = state.skipped + jnp.where(finite, 0, 1)
    return TrainState(state.step + 1, params, opt_state, average, skipped), scalars


def resident_steps(
    state: TrainState,
    batch: Batch,
    fixed: dict[str, Any],
    *,
    update: Callable[..., tuple[TrainState, Scalars]],
    draw: Callable[[Pairs, jax.Array, jax.Array], Batch],
    axis_name: str | None = None,
) -> tuple[TrainState, Scalars]:
    """Several updates in one go, on pairs that are on the device.

    `batch["index"]` is (N, K) int32: column k names the pairs of the k-th step, and columns of -1 at the end are no
    steps. `fixed` has the `pairs` and `vgg`. `update` is `train_step` but for its arguments, `draw(pairs, index, step)`
    makes its batch. The scalars are (K,), zero for what was no step.

    The number of steps is no part of the program, as it would be of a scan's: on a GPU, a second program for the steps
    that are left over would take minutes to compile.
    """
    index = batch["index"]

    def one(state: TrainState, index: jax.Array) -> tuple[TrainState, Scalars]:
        return update(state, draw(fixed["pairs"], index, state.step), fixed["vgg"], axis_name=axis_name)

    if index.shape[1] == 1:
        state, scalars = one(state, index[:, 0])
        return state, jax.tree.map(lambda x: x[None], scalars)
    shapes = jax.eval_shape(one, state, index[:, 0])[1]
    none = jax.tree.map(lambda s: jnp.zeros((index.shape[1], *s.shape), s.dtype), shapes)

    def add(k: jax.Array, so_far: tuple[TrainState, Scalars]) -> tuple[TrainState, Scalars]:
        state, scalars = one(so_far[0], jax.lax.dynamic_index_in_dim(index, k, 1, keepdims=False))
        return state, jax.tree.map(lambda all_, x: all_.at[k].set(x), so_far[1], scalars)

    return jax.lax.fori_loop(0, jnp.sum(index[0] >= 0), add, (state, none))


def _mean_gradient(
    params: Any, batch: Batch, vgg: Any, loss: LossFunction, accumulate: int, axis_name: str | None
) -> tuple[tuple[jax.Array, Scalars], Any]:
    def gradient(part: Batch) -> tuple[tuple[jax.Array, Scalars], Any]:
        return jax.value_and_grad(loss, has_aux=True)(params, part, vgg, axis_name)

    if accumulate == 1:
        return gradient(batch)
    # Part i takes the pictures i, i + accumulate, ...: where devices share it (rows), all have some of each part.
    split = jax.tree.map(lambda x: jnp.moveaxis(x.reshape(-1, accumulate, *x.shape[1:]), 1, 0), batch)
    shapes = jax.eval_shape(gradient, jax.tree.map(lambda x: x[0], split))
    zero = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def add(so_far: Any, part: Batch) -> tuple[Any, None]:
        return jax.tree.map(jnp.add, so_far, gradient(part)), None

    summed, _ = jax.lax.scan(add, zero, split)
    return jax.tree.map(lambda x: x / accumulate, summed)
