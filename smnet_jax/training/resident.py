"""Decoded pairs kept on the devices, so that a step waits for no picture."""

import dataclasses
from collections.abc import Sequence
from typing import Any, Literal

import jax
import numpy as np
from jax.sharding import Mesh

from smnet_jax.data.augmentation import resize
from smnet_jax.data.sources import Source, darkens, picture_hash, sizes
from smnet_jax.errors import InputError
from smnet_jax.training import parallel
from smnet_jax.training.config import Config
from smnet_jax.training.schedule import Span

Place = Literal["device", "host"]

SHARE = 0.25  # of a device's memory: the rest is the network's


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Pairs:
    """A picture's bytes are one row, its lines after each other; rows are as long as the largest picture's.

    So pictures of one size, upright or not, lie without gaps, whatever the sizes, and a crop is a slice of each line.
    """

    low: jax.Array
    """(pictures, bytes) uint8."""
    high: jax.Array
    """(pictures, bytes) uint8, in the places of `low`."""
    size: jax.Array
    """(pictures, 2) int32: height and width."""
    row: jax.Array
    """(pairs,) int32: in which row the source's pair is. Pairs that count several times are kept once."""


def load(source: Source, mesh: Mesh, resize_to: int = 0) -> Pairs:
    """All of `source` on every device; first made `resize_to` x `resize_to` pixels, where given."""
    rows: dict[str, int] = {}
    row: list[int] = []
    kept: list[tuple[np.ndarray, np.ndarray]] = []
    for number in range(len(source)):
        example = source[number]
        if resize_to:
            example = resize(example, (resize_to, resize_to))
        low, high = example["low"], example["high"]
        name = picture_hash(low) + picture_hash(high)
        if name not in rows:
            rows[name] = len(kept)
            kept.append((low, high))
        row.append(rows[name])
    length = max(high.size for _, high in kept)
    lows, highs = np.zeros((2, len(kept), length), np.uint8)
    for place, (low, high) in enumerate(kept):
        lows[place, : low.size], highs[place, : high.size] = low.reshape(-1), high.reshape(-1)
    size = np.array([high.shape[:2] for _, high in kept], np.int32)
    arrays: Any = (lows, highs, size, np.array(row, np.int32))
    return parallel.replicate(Pairs(*arrays), mesh)


def choose(config: Config, source: Source, spans: Sequence[Span], mesh: Mesh) -> Place:
    """Where a run keeps its pairs. Raises InputError where it is told to keep them where they cannot be."""
    if config.data_on == "host":
        return "host"
    why_not = _obstacle(config, source)
    room, wanted = memory(mesh), _bytes(source, spans)
    if config.data_on == "auto":
        fits = room is not None and wanted is not None and wanted <= SHARE * room
        return "device" if why_not is None and fits and mesh.devices.flat[0].platform != "cpu" else "host"
    if why_not is None and room is not None and wanted is not None and wanted > SHARE * room:
        why_not = (
            f"the pairs take {wanted / 2**30:.1f} GiB there, more than {SHARE:.0%} of its {room / 2**30:.1f}; resize "
            "the largest pictures"
        )
    if why_not is not None:
        raise InputError(f"data_on device: {why_not}, or take --data-on host")
    return "device"


def memory(mesh: Mesh) -> int | None:
    """Bytes of the device of this process that has least, None where it does not say."""
    limits = [(device.memory_stats() or {}).get("bytes_limit") for device in mesh.local_devices]
    known = [limit for limit in limits if limit is not None]
    return min(known) if len(known) == len(limits) else None


def _obstacle(config: Config, source: Source) -> str | None:
    if darkens(source):
        return "synthetic: darkens every crop anew, which is done on the host; leave it out"
    if any(stage.thin > 1 for stage in config.stages):
        return "thin: another part of each picture at each step, which the host chooses; leave it out"
    if config.parallel == "pmap":
        return "parallel pmap: would send the pairs again at each step; use --parallel jit"
    return None


def _bytes(source: Source, spans: Sequence[Span]) -> int | None:
    """What the pairs take on a device at most; None where only decoding them would tell."""
    known = sizes(source)
    if known is None:
        return None
    native = max((height * width for height, width in known), default=0)
    areas = [span.stage.resize**2 or native for span in spans]
    return 6 * len(known) * max(areas)
