"""Network and metrics over all pictures: batched by size, sharded over the devices, pictures decoded meanwhile."""

import collections
import contextlib
import dataclasses
import hashlib
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from smnet_jax.enhancement.buckets import Buckets
from smnet_jax.errors import InputError
from smnet_jax.evaluation.columns import Column
from smnet_jax.evaluation.folders import Item
from smnet_jax.evaluation.protocol import (
    Operands,
    constants,
    constants_of_sizes,
    measure,
    measure_together,
    preparation,
    prepare,
    prepared_sizes,
    program,
    transformed,
    transforming,
    truncated,
)
from smnet_jax.evaluation.results import Evaluation, Picture, Throughput
from smnet_jax.images.padding import MULTIPLE, pad, padded

Apply = Callable[..., Any]  # (variables, low) -> output, (N,H,W,3), of one device; H, W multiples of 4
Receive = Callable[[int, Item, Mapping[str, np.ndarray]], object]
Score = Callable[[jax.Array, Mapping[str, np.ndarray]], dict[str, np.ndarray]]  # (output, low and high) -> by column
LOOKAHEAD = 2  # batches that are decoded while one is computed
# Default batch on an accelerator: eight pictures of 600x400, which fill a TPU (docs/lab/tpu.md).
PIXELS_PER_DEVICE = 2_000_000
# Pixels that all metrics take as long for as their compiling, measured on two cores; elsewhere a guess.
WORTH_ON_CPU, WORTH = 1_400_000, 100_000_000


@dataclasses.dataclass(frozen=True)
class Network:
    """What enhances: `apply(variables, low)`; `about` (source, sha256, ...) goes into the results.

    buckets: if not None, `apply(variables, low, sizes)` takes smaller pictures too, and sizes may share programs of the
    network; these buckets then say which do, of the metrics' programs too.
    """

    apply: Apply
    variables: Any
    about: Mapping[str, Any]
    buckets: Buckets | None = None


def evaluate(
    items: Sequence[Item],
    columns: Sequence[Column],
    network: Network | None = None,
    *,
    required: frozenset[str] = frozenset(),
    batch: int | None = None,
    settings: Mapping[str, Any] | None = None,
    notes: Sequence[str] = (),
    advance: Callable[[], object] = lambda: None,
    receive: Receive | None = None,
) -> Evaluation:
    """Score every item (from `folders.check`): `network`'s output for its `low`, or where None its finished `image`.

    `columns` that these pictures are too small for, or whose weights are not installed, become unavailable with the
    reason, unless they are in `required`: then InputError. `batch` pictures per step, over all devices together; by
    default one per device on CPU, and as many as make two million pixels per device elsewhere. `receive(index, item,
    pictures)` gets every item's uint8 pictures "low", "output" and "high" (where there are any), `advance()` is
    called after each item.

    Raises InputError where a picture is too small for the network, where no column is left, and where the network's
    output is not finite.
    """
    started = time.perf_counter()
    tiny = [item.name for item in items if network and min(item.height, item.width) < MULTIPLE]
    if tiny:
        raise InputError(f"{', '.join(tiny)}: smaller than {MULTIPLE}x{MULTIPLE}, which the network cannot take")
    unavailable = find_unavailable(items, columns, required)
    usable = [column for column in columns if column.name not in unavailable]
    if not usable:
        raise InputError(f"metrics: nothing can be computed; {'; '.join(unavailable.values())}")
    devices = jax.devices()[: len(items)]
    mesh = jax.make_mesh((len(devices),), ("data",), axis_types=(AxisType.Auto,), devices=devices)
    variables = jax.device_put(network.variables, NamedSharding(mesh, P())) if network else None
    values: dict[int, dict[str, float]] = {}
    spent = dict.fromkeys(("model", "metrics", "compiling"), 0.0)

    buckets = network.buckets if network else None
    network_shares = buckets is not None
    if buckets is None:
        buckets = Buckets(WORTH_ON_CPU if jax.default_backend() == "cpu" else WORTH)
    buckets.announce(padded(item.height, item.width) for item in items)
    compiled: dict[tuple[int, tuple[int, int], bool], Any] = {}
    shared_programs: dict[Any, Any] = {}
    groups = by_size(items)
    shapes = {size: buckets.shape(padded(*size)) for size in groups}
    for size, members in groups.items():
        shared = shapes[size]
        per_step = batch_size(batch, shared or padded(*size), len(devices))
        shape = shared if shared and network_shares else padded(*size)
        key = per_step, shape, shared is not None and network_shares
        among = [other for other, its in shapes.items() if its == shared]
        with _clock(spent, "compiling"):
            if network and key not in compiled:
                # Programs of one size alone are not needed again.
                compiled = {other: kept for other, kept in compiled.items() if other[2]}
                compiled[key] = _compile_network(network, variables, mesh, *key)
            kinds = tuple(kind for kind in ("low", "high") if getattr(items[members[0]], kind) is not None)
            score = _metrics(
                shared_programs, usable, mesh, per_step, size, shared, among, kinds, quantised=network is None
            )
        for indices, loaded in _batches(items, members, per_step):
            if network is not None:
                # Divided here, not on the device: XLA multiplies by 1/255 instead, which is not the same last bit.
                low = _within(shape, pad(loaded["low"] / np.float32(255)))
                sizes = np.full((per_step, 2), padded(*size), np.int32)
                given = jax.device_put((low, sizes), NamedSharding(mesh, P("data")))
                with _clock(spent, "model"):
                    output, finite = jax.block_until_ready(compiled[key](variables, *given))
                broken = [items[i].name for i, good in zip(indices, np.asarray(finite), strict=False) if not good]
                if broken:
                    raise InputError(
                        f"{settings['weights'] if settings else 'weights'}: the output for {', '.join(broken)} has "
                        "values that are not finite; the weights are damaged or from a diverged training"
                    )
            else:
                output = jax.device_put(loaded["image"], NamedSharding(mesh, P("data")))
            with _clock(spent, "metrics"):
                found = score(output, {k: loaded[k] for k in kinds})
            finished = np.asarray(truncated(output))[:, : size[0], : size[1]] if receive else None
            for row, index in enumerate(indices):
                values[index] = {name: float(scores_[row]) for name, scores_ in found.items()}
                if receive and finished is not None:
                    receive(index, items[index], {**{k: loaded[k][row] for k in kinds}, "output": finished[row]})
                advance()

    return Evaluation(
        columns=tuple(columns),
        unavailable=unavailable,
        pictures=tuple(
            Picture(item.name, item.height, item.width, _files(item), values[index]) for index, item in enumerate(items)
        ),
        throughput=Throughput(len(items), wall=time.perf_counter() - started, **spent),
        settings=dict(settings or {}),
        weights=dict(network.about) if network else None,
        notes=tuple(notes),
    )


def find_unavailable(
    items: Sequence[Item], columns: Sequence[Column], required: frozenset[str] = frozenset()
) -> dict[str, str]:
    """Column name -> why it cannot be computed for these items, found by tracing, without computing anything.

    A column is all or nothing: a mean over the pictures that happen to be large enough would compare with no other
    mean. Raises InputError where the column is in `required`.
    """
    smallest = {min(items, key=lambda item: item.height), min(items, key=lambda item: item.width)}
    unavailable: dict[str, str] = {}
    for column in columns:
        for item in smallest:
            picture = jax.ShapeDtypeStruct((1, item.height, item.width, 3), jnp.uint8)
            where = ""
            try:
                arrays = constants(column)
                where = f"{item.name} ({item.width}x{item.height}): "
                jax.eval_shape(lambda *p, c=column, a=arrays: measure(c, prepare(c, *p), **a), *[picture] * 3)
            except InputError as error:
                unavailable[column.name] = f"{where}{error}"
                if column.name in required:
                    raise InputError(f"--metrics {column.name}: {unavailable[column.name]}") from error
    return unavailable


def fingerprint(variables: Any) -> str:
    """sha256 over every parameter's path, shape and float32 values: the same whatever file they came from."""
    digest = hashlib.sha256()
    leaves = {
        jax.tree_util.keystr(path, simple=True, separator="/"): leaf
        for path, leaf in jax.tree.leaves_with_path(variables)
    }
    for path, leaf in sorted(leaves.items()):
        digest.update(f"{path} {np.shape(leaf)} ".encode())
        digest.update(np.asarray(leaf, "<f4").tobytes())
    return digest.hexdigest()


def by_size(items: Sequence[Item]) -> dict[tuple[int, int], list[int]]:
    """(height, width) -> indices of the items of that size: what one compiled program can take."""
    groups: dict[tuple[int, int], list[int]] = collections.defaultdict(list)
    for index, item in enumerate(items):
        groups[item.height, item.width].append(index)
    return dict(groups)


def batch_size(asked: int | None, size: tuple[int, int], devices: int) -> int:
    """Pictures per step, a multiple of `devices`."""
    if asked is None:
        on_cpu = jax.default_backend() == "cpu"
        per_device = 1 if on_cpu else max(1, min(16, PIXELS_PER_DEVICE // (size[0] * size[1])))
    else:
        per_device = -(-asked // devices)
    return per_device * devices


def _batches(
    items: Sequence[Item], members: Sequence[int], per_step: int
) -> Iterator[tuple[list[int], dict[str, np.ndarray]]]:
    """(indices, stacked uint8 pictures); the last batch is filled up with repetitions beyond its indices."""
    chunks = [list(members[i : i + per_step]) for i in range(0, len(members), per_step)]
    with ThreadPoolExecutor(max_workers=os.cpu_count(), thread_name_prefix="decode") as pool:
        waiting: collections.deque[tuple[list[int], list[Future]]] = collections.deque()
        try:
            for position in range(len(chunks) + LOOKAHEAD):
                if position < len(chunks):
                    chunk = chunks[position]
                    waiting.append((chunk, [pool.submit(items[index].decode) for index in chunk]))
                if position >= LOOKAHEAD:
                    chunk, futures = waiting.popleft()
                    decoded = [future.result() for future in futures]
                    decoded += decoded[-1:] * (per_step - len(chunk))
                    yield chunk, {kind: np.stack([each[kind] for each in decoded]) for kind in decoded[0]}
        finally:  # an error or a closed generator must not wait for pictures that nobody will use
            for _, futures in waiting:
                for future in futures:
                    future.cancel()


def _within(shape: tuple[int, int], pictures: np.ndarray) -> np.ndarray:
    """Pictures (N,h,w,3) in the upper left corners of an array of zeros (N,*shape,3)."""
    if pictures.shape[1:3] == shape:
        return pictures
    array = np.zeros((len(pictures), *shape, 3), pictures.dtype)
    array[:, : pictures.shape[1], : pictures.shape[2]] = pictures
    return array


def _compile_network(
    network: Network, variables: Any, mesh: Mesh, per_step: int, shape: tuple[int, int], shared: bool
) -> Any:
    """Executable (variables, low float32, sizes) -> (output, whether each picture is finite); each device has its own.

    shared: pictures are of `sizes`; else they fill `shape`.
    """

    def enhance(variables: Any, low: jax.Array, sizes: jax.Array) -> tuple[jax.Array, jax.Array]:
        output = network.apply(variables, low, sizes) if shared else network.apply(variables, low)
        row, column = jnp.arange(shape[0])[None, :, None, None], jnp.arange(shape[1])[None, None, :, None]
        height, width = (sizes[:, axis, None, None, None] for axis in (0, 1))
        beyond = (row >= height) | (column >= width)
        return output, jnp.all(jnp.isfinite(output) | beyond, axis=(1, 2, 3))

    sizes = jax.ShapeDtypeStruct((per_step, 2), jnp.int32, sharding=NamedSharding(mesh, P("data")))
    return _compile(
        enhance, mesh, (P(), P("data"), P("data")), variables, _picture(mesh, per_step, shape, jnp.float32), sizes
    )


def _metrics(
    shared_programs: dict[Any, Any],
    columns: Sequence[Column],
    mesh: Mesh,
    per_step: int,
    size: tuple[int, int],
    shared: tuple[int, int] | None,
    among: Sequence[tuple[int, int]],
    kinds: tuple[str, ...],
    *,
    quantised: bool,
) -> Score:
    """What scores pictures of `size`: programs of `shared_programs` that take the sizes `among` in arrays `shared`, or
    where that is None, programs of this size alone.
    """
    data = NamedSharding(mesh, P("data"))
    if shared is None:
        alone = _compile_metrics(columns, mesh, per_step, size, kinds, quantised)

        def score(output: jax.Array, pictures: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
            output = output[:, : size[0], : size[1]]
            return jax.tree.map(np.asarray, alone(output, jax.device_put(dict(pictures), data)))

        return score

    constant = {program(c): constants_of_sizes(c, [size] * per_step, shared, among) for c in columns}
    sizes, by_program = jax.device_put((np.array([size] * per_step, np.int32), constant), data)

    one_each = {program(c): c for c in columns}
    reading = {name: arrays for name, c in one_each.items() if (arrays := transforming(c, size)) is not None}
    reading = jax.device_put(reading, NamedSharding(mesh, P()))

    def transform(
        reading: dict[Any, dict[str, Any]], output: jax.Array, pictures: dict[str, jax.Array]
    ) -> dict[Any, dict[str, Any]]:
        given = pictures.get("low"), output, pictures.get("high")
        return {name: transformed(one_each[name], given, size, among, **arrays) for name, arrays in reading.items()}

    operands = _operands(mesh, per_step, shared, kinds, quantised)
    transform_ = _compile(transform, mesh, (P(), P("data"), P("data")), reading, *operands) if reading else None
    key = per_step, shared, kinds
    if key not in shared_programs:
        made = jax.tree.map(lambda o: o.update(sharding=data), jax.eval_shape(transform, reading, *operands))
        example = sizes, {name: by_program[name] | made.get(name, {}) for name in by_program}
        shared_programs[key] = _compile_metrics(columns, mesh, per_step, shared, kinds, quantised, example)

    def score_within(output: jax.Array, pictures: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        fits = output.shape[1:3] == shared
        array = output if fits else _within(shared, np.asarray(output)[:, : size[0], : size[1]])
        within = {kind: _within(shared, picture) for kind, picture in pictures.items()}
        given = jax.device_put((array, within), data)
        made = transform_(reading, *given) if transform_ else {}
        of_pictures = {name: by_program[name] | made.get(name, {}) for name in by_program}
        return jax.tree.map(np.asarray, shared_programs[key](*given, (sizes, of_pictures)))

    return score_within


def _operands(
    mesh: Mesh, per_step: int, shape: tuple[int, int], kinds: Sequence[str], quantised: bool
) -> tuple[jax.ShapeDtypeStruct, dict[str, jax.ShapeDtypeStruct]]:
    """The network's output or finished pictures, and the pictures beside them."""
    output = _picture(mesh, per_step, shape, jnp.uint8 if quantised else jnp.float32)
    return output, {kind: _picture(mesh, per_step, shape, jnp.uint8) for kind in kinds}


def _compile_metrics(
    columns: Sequence[Column],
    mesh: Mesh,
    per_step: int,
    shape: tuple[int, int],
    kinds: Sequence[str],
    quantised: bool,
    of_size: Any = (None, {}),
) -> Callable[..., dict[str, jax.Array]]:
    """(output, {"low": ..., "high": ...}) -> {column: (N,)}; all metrics of a picture on its own device.

    One program prepares the pictures of every protocol, and then there is one for each metric: columns that differ in
    protocol alone share it, which halves the time for compiling. Arrays are of `shape`. `of_size` (sizes (N,2),
    {program: what depends on them}) is the third argument's example, where pictures are smaller than their arrays.
    """
    data = NamedSharding(mesh, P("data"))
    output, pictures = _operands(mesh, per_step, shape, kinds, quantised)
    sizes, by_program = of_size

    def prepare_all(
        output: jax.Array, pictures: dict[str, jax.Array], sizes: jax.Array | None
    ) -> dict[str, tuple[Operands, jax.Array | None]]:
        one_each = {preparation(c): c for c in columns}
        return {
            key: (
                prepare(c, pictures.get("low"), output, pictures.get("high"), sizes),
                None if sizes is None else prepared_sizes(c, sizes),
            )
            for key, c in one_each.items()
        }

    preparing = _compile(prepare_all, mesh, (P("data"), P("data"), P("data")), output, pictures, sizes)
    shapes = jax.eval_shape(prepare_all, output, pictures, sizes)
    alike: dict[Any, list[Column]] = collections.defaultdict(list)
    for column in columns:
        operands = shapes[preparation(column)][0]
        alike[program(column), tuple((o.shape, str(o.dtype)) for o in operands)].append(column)
    programs = []
    for group in alike.values():
        operands = jax.tree.map(lambda o: o.update(sharding=data), shapes[preparation(group[0])])
        arrays = jax.device_put(constants(group[0]), NamedSharding(mesh, P()))

        def metric(
            operands: tuple[Operands, jax.Array | None],
            arrays: dict[str, Any],
            of_size: dict[str, Any],
            group: list[Column] = group,
        ) -> dict[str, jax.Array]:
            pictures, sizes = operands
            return measure_together(group, pictures, sizes, **arrays, **of_size)

        compiled = _compile(
            metric, mesh, (P("data"), P(), P("data")), operands, arrays, by_program.get(program(group[0]), {})
        )
        programs.append((compiled, arrays, group))

    def score(output: jax.Array, pictures: dict[str, jax.Array], of_size: Any = (None, {})) -> dict[str, jax.Array]:
        sizes, by_program = of_size
        prepared = preparing(output, pictures, sizes)
        scores: dict[str, jax.Array] = {}
        for compiled, arrays, group in programs:
            for key in {preparation(column): None for column in group}:
                found = compiled(prepared[key], arrays, by_program.get(program(group[0]), {}))
                scores |= {c.name: found[c.function] for c in group if preparation(c) == key}
        return {column.name: scores[column.name] for column in columns}

    return score


def _compile(function: Callable[..., Any], mesh: Mesh, specs: tuple[P, ...], *arguments: Any) -> Any:
    # shard_map, not plain jit: pictures are independent, and this way no compiler can think otherwise.
    mapped = jax.shard_map(function, mesh=mesh, in_specs=specs, out_specs=P("data"), check_vma=False)
    return jax.jit(mapped).lower(*arguments).compile()


def _picture(mesh: Mesh, per_step: int, size: tuple[int, int], dtype: Any) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct((per_step, *size, 3), dtype, sharding=NamedSharding(mesh, P("data")))


def _files(item: Item) -> dict[str, str]:
    return {kind: str(path) for kind in ("low", "image", "high") if (path := getattr(item, kind)) is not None}


@contextlib.contextmanager
def _clock(spent: dict[str, float], what: str) -> Iterator[None]:
    started = time.perf_counter()
    yield
    spent[what] += time.perf_counter() - started
