"""Pairs as a tensorflow-datasets data set, in array_record files and without TensorFlow: written, and read as a source.

Worth it on many hosts with network storage: one large file instead of ten thousand small ones. Only this module needs
the extra `tfds`.
"""

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from PIL import Image, UnidentifiedImageError

from smnet_jax.data.checking import check_all, complain
from smnet_jax.data.decoding import decode
from smnet_jax.data.layouts import Pair, find_pairs
from smnet_jax.data.sources import Example, picture_hash
from smnet_jax.errors import InputError

try:
    # tfds looks for these two only when it writes, and does not declare the second (4.9.10).
    import array_record  # noqa: F401
    import importlib_resources  # noqa: F401
    import tensorflow_datasets as tfds
except ImportError as error:
    raise InputError(f"{error.name}: not installed; run pip install 'smnet-jax[tfds]'") from error

# Of LOL: by its archive, and by our layout.
FOLDERS = {"train": ("our485", "train"), "test": ("eval15", "test")}
LAST_TEST_ID = 500  # of FiveK: a0001 to a0500 are the test set, a0501 to a5000 the training set


class Lol(tfds.core.GeneratorBasedBuilder):
    """LOL (Wei et al., BMVC 2018): 485 training and 15 test pairs, 600x400, split as published."""

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = "Unpack LOLdataset.zip: manual_dir holds our485/{low,high} and eval15/{low,high}."

    @staticmethod
    def pairs(manual_dir: str | os.PathLike[str]) -> dict[str, list[Pair]]:
        """Split -> its pairs, for the splits that are there. Raises InputError if none is, or a picture is alone."""
        found = {}
        for split, names in FOLDERS.items():
            for folder in (Path(manual_dir) / name for name in names):
                if folder.is_dir() and split not in found:
                    found[split] = find_pairs(folder / "low", folder / "high")
        if not found:
            raise InputError(f"{manual_dir}: neither our485 nor train is here; {Lol.MANUAL_DOWNLOAD_INSTRUCTIONS}")
        return found

    def _info(self) -> Any:
        return pairs_info(
            self,
            description="Low-light photographs with normal-light references of the same scenes.",
            homepage="https://daooshee.github.io/BMVC2018website/",
            citation="""@inproceedings{wei2018deep, title={Deep Retinex Decomposition for Low-Light Enhancement},
            author={Wei, Chen and Wang, Wenjing and Yang, Wenhan and Liu, Jiaying}, booktitle={BMVC}, year={2018}}""",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        return {split: self._generate_examples(pairs) for split, pairs in self.pairs(dl_manager.manual_dir).items()}

    def _generate_examples(self, pairs: list[Pair]) -> Iterator[Any]:
        return examples(pairs)


class MitAdobeFivek(tfds.core.GeneratorBasedBuilder):
    """MIT-Adobe FiveK (Bychkovsky et al., CVPR 2011): 5,000 pairs; the id says which set each belongs to.

    Ids a0001 to a0500 are the test set, as in the published results; the rest is the training set, whatever folder
    they lie in.
    """

    VERSION = tfds.core.Version("1.0.0")
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Export inputs and one expert's retouched pictures at 512 pixels on the long side: manual_dir holds low and "
        "high, or train/{low,high} and test/{low,high}, with file names that begin with the id, such as a0001-x.jpg."
    )

    @staticmethod
    def pairs(manual_dir: str | os.PathLike[str]) -> dict[str, list[Pair]]:
        """Split -> its pairs, in order of id. Raises InputError for lone pictures, names without id, ids twice."""
        root = Path(manual_dir)
        folders = [folder for folder in (root, root / "train", root / "test") if (folder / "low").is_dir()]
        if not folders:
            raise InputError(f"{manual_dir}: no low and high here; {MitAdobeFivek.MANUAL_DOWNLOAD_INSTRUCTIONS}")
        splits: dict[str, list[Pair]] = {"train": [], "test": []}
        problems: list[str] = []
        ids: dict[str, Path] = {}
        for pair in (pair for folder in folders for pair in find_pairs(folder / "low", folder / "high")):
            try:
                splits[split_of(pair.name)].append(pair)
            except InputError as error:
                problems.append(str(error).rpartition("; ")[0])
                continue
            if pair.name[:5] in ids:
                problems.append(f"{pair.low} and {ids[pair.name[:5]]} have the same id")
            ids[pair.name[:5]] = pair.low
        complain(root, problems, "every FiveK file name begins with its own id, a0001 to a5000")
        return {split: sorted(pairs, key=lambda pair: pair.name) for split, pairs in splits.items() if pairs}

    def _info(self) -> Any:
        return pairs_info(
            self,
            description="Photographs as the camera rendered them, and as an expert retouched them.",
            homepage="https://data.csail.mit.edu/graphics/fivek/",
            citation="""@inproceedings{fivek, author={Bychkovsky, Vladimir and Paris, Sylvain and Chan, Eric and
            Durand, Fr{\\'e}do}, title={Learning Photographic Global Tonal Adjustment with a Database of Input /
            Output Image Pairs}, booktitle={CVPR}, year={2011}}""",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        return {split: self._generate_examples(pairs) for split, pairs in self.pairs(dl_manager.manual_dir).items()}

    def _generate_examples(self, pairs: list[Pair]) -> Iterator[Any]:
        return examples(pairs)


def split_of(name: str) -> str:
    """ "test" or "train" of a FiveK file such as a0501-kme_372.jpg. Raises InputError where the id is missing."""
    found = re.match(r"a(\d{4})(?!\d)", name)
    if found is None:
        raise InputError(f"{name}: no FiveK file name; it must begin with an id, a0001 to a5000")
    return "test" if int(found[1]) <= LAST_TEST_ID else "train"


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

    `builder_class` is `Lol` or `MitAdobeFivek`. Every picture is decoded first: raises
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

    Raises InputError where the split is missing.
    """

    def __init__(self, builder: Any, split: str = "train", *, memory_bytes: int = 2 << 30):
        if split not in builder.info.splits:
            raise InputError(f"{builder.data_path}: no split {split}; it has {', '.join(builder.info.splits)}")
        # Decoding is ours: tfds would use OpenCV where it is installed, and other pixels with it.
        encoded = tfds.decode.SkipDecoding()
        self._records = builder.as_data_source(split, decoders={"low": encoded, "high": encoded})
        self._pictures: list[Example] | None = None
        self.sizes = [self._size(index) for index in range(len(self._records))]
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
