"""Pairs as a tensorflow-datasets data set in array_record files, written and read without TensorFlow.

Worth it on many hosts with network storage: one large file instead of ten thousand small ones. The extra `tfds` is
needed for this module, for tfds_lol.py and for tfds_fivek.py, and for nothing else.
"""

import io
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from smnet_jax.data.checking import check_all
from smnet_jax.data.decoding import decode
from smnet_jax.data.paired import Pair
from smnet_jax.data.sources import Example, picture_hash
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
    with Image.open(path) as picture:
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


class TfdsSource:
    """One split of a prepared builder as a source; kept decoded (uint8) where that fits into `memory_bytes`.

    Raises InputError where the split is missing or pictures have a side shorter than `at_least` (give it the crop).
    """

    def __init__(self, builder: Any, split: str = "train", *, at_least: int = 1, memory_bytes: int = 2 << 30):
        if split not in builder.info.splits:
            raise InputError(f"{builder.data_path}: no split {split}; it has {', '.join(builder.info.splits)}")
        # Decoding is ours: tfds would use OpenCV where it is installed, and other pixels with it.
        encoded = tfds.decode.SkipDecoding()
        self._records = builder.as_data_source(split, decoders={"low": encoded, "high": encoded})
        self._pictures: list[Example] | None = None
        self.sizes = [self._size(index) for index in range(len(self._records))]
        if small := [index for index, size in enumerate(self.sizes) if min(size) < at_least]:
            height, width = self.sizes[small[0]]
            name = self._records[small[0]]["name"].decode()
            raise InputError(
                f"{builder.data_path}: {len(small)} pictures are smaller than the crop of {at_least}, the first is "
                f"{name}, {width}x{height}; use a smaller crop"
            )
        if sum(2 * 3 * height * width for height, width in self.sizes) <= memory_bytes:
            pictures = [self[index] for index in range(len(self))]
            self._pictures = pictures
            self.high_hashes = [picture_hash(example["high"]) for example in pictures]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> Example:
        if self._pictures is not None:
            return dict(self._pictures[index])
        record = self._records[index]
        name = record["name"].decode()
        low, high = (decode(f"{name} ({side})", record[side]) for side in ("low", "high"))
        return {"low": low, "high": high, "name": name}

    def _size(self, index: int) -> tuple[int, int]:
        """(height, width) from the file's header."""
        with Image.open(io.BytesIO(self._records[index]["high"])) as picture:
            return picture.height, picture.width
