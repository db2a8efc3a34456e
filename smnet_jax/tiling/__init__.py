"""One picture in pieces, with exactly the result of the whole: tiles one after another, or rows over several devices.

GFRM looks at the whole picture, so tiles computed alone would differ in brightness and show their seams. Here every
block first gathers the statistics of all tiles, then finishes them with the one gate that belongs to the picture.
"""

from smnet_jax.tiling.memory import available_memory, bytes_needed, choose_tile, kept_between_pictures, plan
from smnet_jax.tiling.rows import enhance_in_rows
from smnet_jax.tiling.tiles import Done, enhance_tiled, prepare
from smnet_jax.windows import HALO

__all__ = [
    "HALO",
    "Done",
    "available_memory",
    "bytes_needed",
    "choose_tile",
    "enhance_in_rows",
    "enhance_tiled",
    "kept_between_pictures",
    "plan",
    "prepare",
]
