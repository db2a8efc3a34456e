"""Reading a prepared tensorflow-datasets data set as a source, without TensorFlow."""

import io
import os
from pathlib import Path
from typing import Any

from PIL import Image

from smnet_jax.data.decoding import decode
from smnet_jax.data.sources import Example, picture_hash
from smnet_jax.data.tfds_records import tfds
from smnet_jax.errors import InputError


def open_tfds(directory: str | os.PathLike[str], split: str) -> "TfdsSource | None":
    """The split of the data set in `directory`, or None where it has no such split.

    `directory` holds dataset_info.json, as DATA_DIR/lol/1.0.0 does; DATA_DIR/lol means its newest version. Raises
    InputError where nothing prepared is there.
    """
    folders = [Path(directory), *Path(directory).glob("*.*.*")]
    versions = [folder for folder in folders if (folder / "dataset_info.json").is_file()]
    if not versions:
        raise InputError(
            f"{directory}: no prepared data set; run python -m smnet_jax.data.tfds_prepare lol PICTURES DATA_DIR"
        )
    newest = max(versions, key=lambda folder: [int(part) for part in folder.name.split(".") if part.isdigit()])
    builder = tfds.builder_from_directory(os.fspath(newest))
    return TfdsSource(builder, split) if split in builder.info.splits else None


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
