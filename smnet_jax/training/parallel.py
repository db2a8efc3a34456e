"""Devices: the mesh, who holds what, and the two ways to compile the step for them. The network never sees this."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from smnet_jax.errors import InputError
from smnet_jax.training.config import Config

BY_EXAMPLE = PartitionSpec("data")
BY_EXAMPLE_AND_ROW = PartitionSpec("data", "rows")


def prepare_cpu_devices(count: int) -> None:
    """Make `count` CPU devices (of this process). Must run before JAX's first operation; harmless for GPU and TPU."""
    if count > 1:
        with contextlib.suppress(RuntimeError):  # JAX is already running: `make_mesh` checks what there is
            jax.config.update("jax_num_cpu_devices", count)


def make_mesh(config: Config) -> Mesh:
    """A mesh of data x rows devices. Raises InputError where there are too few or they do not divide."""
    devices = jax.devices()
    count = config.devices or len(devices)
    if count > len(devices):
        raise InputError(f"devices {count}: there are {len(devices)} {devices[0].platform} devices")
    if jax.process_count() > 1 and count != len(devices):
        raise InputError(f"devices {count}: with several processes all {len(devices)} must be used")
    if count % config.rows:
        raise InputError(f"rows {config.rows}: does not divide the {count} devices")
    shape = (count // config.rows, config.rows)
    return jax.make_mesh(shape, ("data", "rows"), axis_types=(AxisType.Auto,) * 2, devices=devices[:count])


def check_batch(batch: int, crop: int, shape: Mapping[str, int], accumulate: int) -> None:
    """Raise InputError, naming the nearest sizes that work, where the batch does not divide over a mesh of `shape`."""
    data, rows = shape["data"], shape["rows"]
    unit = data * max(1, accumulate)
    if batch < 1 or batch % unit:
        below, above = batch // unit * unit, -(-max(batch, 1) // unit) * unit
        nearest = [n for n in (below, above) if n > 0]
        shares = f"{data} devices" + (f" x {accumulate} microbatches" if accumulate > 1 else "")
        raise InputError(f"batch {batch}: does not divide over {shares}; nearest: {' or '.join(map(str, nearest))}")
    if crop % (4 * rows):
        raise InputError(f"crop {crop}: must be a multiple of 4 rows on each of {rows} devices ({4 * rows})")


def replicate(tree: Any, mesh: Mesh) -> Any:
    """Copies of every leaf on every device; the originals stay valid although the step donates its state."""
    everywhere = NamedSharding(mesh, PartitionSpec())

    def put(x: Any) -> jax.Array:
        value = np.array(x)
        return jax.make_array_from_callback(value.shape, everywhere, lambda index: value[index])

    return jax.tree.map(put, tree)


def share_batch(
    batch: dict[str, np.ndarray], mesh: Mesh, spec: PartitionSpec = BY_EXAMPLE_AND_ROW
) -> dict[str, jax.Array]:
    """This process's part of the batch, (N / processes, H, W, 3) each, to the global arrays that the step takes."""
    sharding = NamedSharding(mesh, spec)
    return {name: jax.make_array_from_process_local_data(sharding, value) for name, value in batch.items()}


def compile_step(
    step: Callable[..., Any], mesh: Mesh, how: str = "jit", spec: PartitionSpec = BY_EXAMPLE_AND_ROW
) -> Callable[..., Any]:
    """`step(state, batch, fixed)` over the mesh, `batch` divided as `spec` says; the state given is consumed.

    Where each device has whole pictures, it runs the step on its part of the batch, and the step averages gradients
    itself: once, in float32 and in the parameters' own shapes, which the compiler, left to divide the work, does not.
    Where devices share pictures, it divides the rows as the shardings say.
    """
    if how == "pmap":
        return _under_pmap(step, mesh)
    if mesh.shape["rows"] == 1 and mesh.size > 1:  # a device alone has nothing to average
        everywhere = PartitionSpec()
        step = jax.shard_map(
            functools.partial(step, axis_name="data"),
            mesh=mesh,
            in_specs=(everywhere, BY_EXAMPLE, everywhere),
            out_specs=everywhere,
            check_vma=False,  # as under pmap: gradients are each device's own until the step averages them
        )
    shardings = tuple(NamedSharding(mesh, spec) for spec in (PartitionSpec(), spec, PartitionSpec()))
    return jax.jit(step, donate_argnums=0, in_shardings=shardings, out_shardings=shardings[0])


def _under_pmap(step: Callable[..., Any], mesh: Mesh) -> Callable[..., Any]:
    devices = list(mesh.devices.flat)
    mapped = jax.pmap(
        functools.partial(step, axis_name="devices"),
        axis_name="devices",
        in_axes=(None, 0, None),
        out_axes=None,
        devices=devices,
    )

    return _Mapped(mapped, len(devices))


@dataclasses.dataclass(frozen=True)
class _Mapped:
    """A pmapped step that takes what the jitted one takes."""

    mapped: Any
    devices: int

    def __call__(self, state: Any, batch: dict[str, jax.Array], vgg: Any) -> Any:
        parts = {name: x.reshape(self.devices, -1, *x.shape[1:]) for name, x in batch.items()}
        return self.mapped(state, parts, vgg)

    def lower(self, state: Any, batch: dict[str, Any], vgg: Any) -> Any:
        """Lower the program, like `lower` of `jax.jit`; shapes will do."""
        parts = {
            name: jax.ShapeDtypeStruct((self.devices, x.shape[0] // self.devices, *x.shape[1:]), x.dtype)
            for name, x in batch.items()
        }
        return self.mapped.lower(state, parts, vgg)
