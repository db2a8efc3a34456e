"""How one picture is computed, decided once: the plan then travels with the picture to whatever compiles and computes.

Memory is what decides, and how much is free changes from one moment to the next: asked twice, the program compiled
ahead might not be the one that is run.
"""

import dataclasses
from collections.abc import Sequence
from typing import Literal

from smnet_jax.enhancement import memory
from smnet_jax.enhancement.buckets import Buckets
from smnet_jax.errors import InputError
from smnet_jax.exposure import ExposureNet
from smnet_jax.exposure.picture import BLOCK
from smnet_jax.images import padding
from smnet_jax.network.model import SMNet

Tile = Literal["auto", "off"] | int


@dataclasses.dataclass(frozen=True)
class Plan:
    """tile: (rows, columns) in pixels of what is computed at once; None: the whole picture.

    shape: (rows, columns) of the larger array that a whole picture lies in; other sizes do too (`buckets`).
    """

    tile: tuple[int, int] | None
    shape: tuple[int, int] | None = None


def decide(
    model: SMNet | ExposureNet,
    shape: Sequence[int],
    tile: Tile = "auto",
    max_memory: int | None = None,
    buckets: Buckets | None = None,
) -> Plan:
    """The plan for a picture of `shape` (height, width, ...).

    tile: "off" is the whole picture, a number the side of tiles, "auto" what memory allows. max_memory: bytes that the
    process may take; most of what is available if None. ExposureNet always computes in tiles, of BLOCK if not told.
    buckets: those of `model`, where pictures of other sizes come too.

    Raises InputError for a tile that makes no sense, and where not even the smallest tile fits into the memory.
    """
    check_tile(tile)
    if isinstance(tile, int):
        return Plan((tile, tile))
    if isinstance(model, ExposureNet):
        return Plan((BLOCK, BLOCK))
    height, width = padding.padded(*shape[:2])
    shared = buckets.shape((height, width)) if buckets is not None else None
    if tile == "off":
        return Plan(None, shared)
    if shared is not None and memory.largest_tile(*shared, model, max_memory) is None:
        return Plan(None, shared)
    return Plan(memory.largest_tile(height, width, model, max_memory))


def check_tile(tile: Tile) -> None:
    """Raise InputError for a tile that cannot be had."""
    if tile in ("auto", "off"):
        return
    if not isinstance(tile, int) or isinstance(tile, bool) or tile < 1:
        raise InputError(f"tile {tile!r}: must be auto, off or a number of pixels")
