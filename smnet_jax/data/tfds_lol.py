"""LOL (Wei et al., BMVC 2018) as a tensorflow-datasets builder: `prepare(Lol, manual_dir, data_dir)`."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from smnet_jax.data.layouts import Pair, find_pairs
from smnet_jax.data.tfds_records import examples, pairs_info, tfds
from smnet_jax.errors import InputError

FOLDERS = {"train": ("our485", "train"), "test": ("eval15", "test")}  # as the archive names them; as the layout does


class Lol(tfds.core.GeneratorBasedBuilder):
    """485 training and 15 test pairs, 600x400, split as published."""

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
