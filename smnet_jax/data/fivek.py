"""Which MIT-Adobe FiveK pictures are for testing, read off the file names of the published results."""

import re

from smnet_jax.data.paired import PairedFolder
from smnet_jax.data.sources import Subset
from smnet_jax.errors import InputError

LAST_TEST_ID = 500  # a0001 to a0500 are the test set, a0501 to a5000 the training set


def split_of(name: str) -> str:
    """ "test" or "train" of a file such as a0501-kme_372.jpg. Raises InputError where the id is missing."""
    found = re.match(r"a(\d{4})(?!\d)", name)
    if found is None:
        raise InputError(f"{name}: no FiveK file name; it must begin with an id, a0001 to a5000")
    return "test" if int(found[1]) <= LAST_TEST_ID else "train"


def split(source: PairedFolder) -> tuple[Subset, Subset]:
    """A folder with all of FiveK as (training, test)."""
    splits = [split_of(pair.name) for pair in source.pairs]
    training, test = (tuple(i for i, s in enumerate(splits) if s == wanted) for wanted in ("train", "test"))
    return Subset(source, training), Subset(source, test)
