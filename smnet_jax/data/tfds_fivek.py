"""MIT-Adobe FiveK (Bychkovsky et al., CVPR 2011) as a builder: `prepare(MitAdobeFivek, manual_dir, data_dir)`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smnet_jax.data.checking import complain
from smnet_jax.data.fivek import split_of
from smnet_jax.data.layouts import Pair, find_pairs
from smnet_jax.data.tfds_records import examples, pairs_info, tfds
from smnet_jax.errors import InputError


class MitAdobeFivek(tfds.core.GeneratorBasedBuilder):
    """5,000 pairs; ids a0001 to a0500 are the test set, the rest the training set, whatever folder they lie in."""

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
