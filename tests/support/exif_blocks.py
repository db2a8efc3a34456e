"""EXIF entries that are hard to carry, a JPEG with any block, and what a block holds."""

import io

from PIL import Image

from smnet_jax.images import exif
from tests.support.scene import SCENE

NAME = "José Müller 写真".encode()
COMMENT = (0x9286, 7, 18, b"UNICODE\0" + "Häfen".encode("utf-16-le"))
MAKER_NOTE = (0x927C, 7, 40, bytes(range(40)))


def jpeg(block: bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(SCENE).save(file, "JPEG", quality=95, exif=block)
    return file.getvalue()


def entries(block: bytes) -> dict[int, exif.Entry]:
    """Every entry of a block, of the directories below too."""
    _, top, below = exif.tree(io.BytesIO(block.removeprefix(exif.PREFIX)))
    return top | {tag: entry for inner in below.values() for tag, entry in inner.items()}
