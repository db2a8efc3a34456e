"""Pairs written as a tensorflow-datasets data set, in array_record files and without TensorFlow.

Worth it on many hosts with network storage: one large file instead of ten thousand small ones. The extra `tfds` is
needed for the modules whose names begin with tfds, and for nothing else.
"""

import contextlib
import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from smnet_jax.data.checking import check_all
from smnet_jax.data.decoding import decode
from smnet_jax.data.layouts import Pair
from smnet_jax.errors import InputError

try:
    # tfds looks for these two only when it writes, and does not declare the second (4.9.10).
    import array_record  # noqa: F401
    import importlib_resources  # noqa: F401
    import tensorflow_datasets as tfds
except ImportError as error:
    raise InputError(f"{error.name}: not installed; run pip install 'smnet-jax[tfds]'") from error


def pairs_info(builder: Any, *, description: str, homepage: str, citation: str) -> Any:
    """The DatasetInfo of a set of pairs: `low` and `high` encoded as files are, and the `name`, in order of name."""
    picture = tfds.features.Image(shape=(None, None, 3))
    return tfds.core.DatasetInfo(
        builder=builder,
        description=description,
        homepage=homepage,
        citation=citation,
        features=tfds.features.FeaturesDict({"low": picture, "high": picture, "name": tfds.features.Text()}),
        disable_shuffling=True,
    )


def examples(pairs: Sequence[Pair]) -> Iterator[tuple[int, dict[str, Any]]]:
    """The records of a split."""
    for key, pair in enumerate(pairs):
        yield key, {"low": stored_bytes(pair.low), "high": stored_bytes(pair.high), "name": pair.name}


def stored_bytes(path: Path) -> bytes:
    """An upright RGB PNG or JPEG file as it is; anything else as PNG, for readers that ignore EXIF or lack a codec."""
    with (
        contextlib.suppress(UnidentifiedImageError),
        Image.open(path) as picture,
    ):  # HEIC and camera raw are not Pillow's
        upright = picture.getexif().get(0x0112, 1) == 1
        if upright and picture.mode == "RGB" and picture.format in ("JPEG", "PNG"):
            return path.read_bytes()
    buffer = io.BytesIO()
    Image.fromarray(decode(path)).save(buffer, "PNG")
    return buffer.getvalue()


def prepare(
    builder_class: Any, manual_dir: str | os.PathLike[str], data_dir: str | os.PathLike[str], *, progress: bool = False
) -> Any:
    """Write the data set of `manual_dir` below `data_dir`, unless it is there already; give back its builder.

    `builder_class` is `tfds_lol.Lol` or `tfds_fivek.MitAdobeFivek`. Every picture is decoded first: raises
    InputError with the names of damaged, unpaired and unequal ones. An interrupted run leaves nothing that a
    later one would take for whole.
    """
    builder = builder_class(data_dir=os.fspath(data_dir), file_format="array_record")
    if not builder.data_path.exists():
        for pairs in builder_class.pairs(manual_dir).values():
            groups = [(pair.low, pair.high) for pair in pairs]
            check_all(manual_dir, groups, at_least=1, memory_bytes=0, progress=progress)
        if not progress:
            tfds.disable_progress_bar()
        config = tfds.download.DownloadConfig(manual_dir=os.fspath(manual_dir))
        builder.download_and_prepare(download_config=config)
    return builder
