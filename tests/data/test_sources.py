"""Parts and sums of sources, and splits that do not leak."""

import numpy as np
import pytest

from smnet_jax.data.sources import Concatenated, Subset, cut_example, holdout, picture_hash
from smnet_jax.errors import InputError


class Bracketed:
    """30 pairs, of which each target occurs three times: targets 0 0 0 1 1 1 ..., lows all different."""

    def __init__(self, order=range(30)):
        self.order = list(order)

    def __len__(self):
        return len(self.order)

    def __getitem__(self, index):
        n = self.order[index]
        return {"low": np.full((4, 4, 3), n, np.uint8), "high": np.full((4, 4, 3), n // 3, np.uint8), "name": str(n)}


def names(source):
    return {source[i]["name"] for i in range(len(source))}


def test_holdout_keeps_equal_targets_together():
    training, validation = holdout(Bracketed(), fraction=0.3)
    assert len(training) == 21 and len(validation) == 9
    assert names(training) | names(validation) == names(Bracketed())
    targets = [{int(name) // 3 for name in names(side)} for side in (training, validation)]
    assert not targets[0] & targets[1]


def test_holdout_never_exceeds_the_fraction():
    assert len(holdout(Bracketed(), fraction=11 / 30)[1]) == 9
    assert len(holdout(Bracketed(), fraction=0.4)[1]) == 12


def test_holdout_depends_on_seed_and_pixels_not_on_order():
    first = names(holdout(Bracketed(), fraction=0.3, seed=1)[1])
    assert names(holdout(Bracketed(), fraction=0.3, seed=1)[1]) == first
    assert names(holdout(Bracketed(reversed(range(30))), fraction=0.3, seed=1)[1]) == first
    assert len({frozenset(names(holdout(Bracketed(), fraction=0.3, seed=seed)[1])) for seed in range(8)}) > 4


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.99, 1.0, 1.5])
def test_holdout_refuses_what_cannot_be(fraction):
    with pytest.raises(InputError, match="holdout"):
        holdout(Bracketed(), fraction=fraction)


def test_holdout_refuses_groups_larger_than_the_fraction():
    with pytest.raises(InputError, match="no group of equal targets has 2 pairs or fewer"):
        holdout(Bracketed(), fraction=2 / 30)


def test_hash_sees_pixels_and_shape():
    picture = np.arange(48, dtype=np.uint8).reshape(4, 4, 3)
    assert picture_hash(picture) == picture_hash(picture.copy())
    assert picture_hash(picture) != picture_hash(picture.reshape(2, 8, 3))
    assert picture_hash(picture) != picture_hash(picture + np.uint8(1))


def test_concatenated_repeats_and_keeps_sizes(coordinates):
    both = Concatenated([coordinates(2, 8, 9), coordinates(1, 10, 11)], repeats=[1, 3])
    assert len(both) == 5
    assert [both[i]["high"].shape[:2] for i in range(5)] == both.sizes == [(8, 9)] * 2 + [(10, 11)] * 3
    assert Concatenated([coordinates(2), Bracketed()]).sizes is None


@pytest.mark.parametrize("repeats", [[1], [1, 0], [1, 1, 1]])
def test_concatenated_refuses_wrong_repeats(coordinates, repeats):
    with pytest.raises(InputError, match="repeats"):
        Concatenated([coordinates(2), coordinates(2)], repeats)


def test_subset_passes_the_cut_on(coordinates):
    part = Subset(coordinates(5), (4, 2))
    assert len(part) == 2 and part.sizes == [(24, 40)] * 2
    assert part[0]["name"] == "4.png"
    cut = cut_example(part, 1, lambda example: {**example, "cut": True}, np.random.default_rng(0))
    assert cut["name"] == "2.png" and cut["cut"]
