"""Photographs without partners."""

import numpy as np
import pytest
from PIL import Image

from smnet_jax.data.darkening import DarkeningRanges
from smnet_jax.data.pipeline import make_loader
from smnet_jax.data.sources import holdout
from smnet_jax.data.synthetic import SyntheticFolder
from smnet_jax.errors import InputError
from smnet_jax.images.srgb import to_linear


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for index in range(6):
        Image.fromarray(rng.integers(60, 256, (32, 48, 3), np.uint8)).save(tmp_path / f"{index}.png")
    return tmp_path


def test_a_pair_follows_from_seed_and_index(photos):
    once, again, other = (
        SyntheticFolder(photos, seed=1),
        SyntheticFolder(photos, seed=1),
        SyntheticFolder(photos, seed=2),
    )
    assert len(once) == 6
    for index in (3, 0, 5):
        np.testing.assert_array_equal(once[index]["low"], again[index]["low"])
    assert (once[0]["low"] != other[0]["low"]).any()
    example = once[4]
    assert example["name"] == "4.png"
    assert example["low"].dtype == example["high"].dtype == np.uint8
    assert example["low"].shape == example["high"].shape == (32, 48, 3)
    assert example["low"].mean() < 0.8 * example["high"].mean()


def test_equal_photographs_get_different_darkness(photos):
    with Image.open(photos / "0.png") as picture:
        picture.save(photos / "1.png")
    source = SyntheticFolder(photos)
    assert source.high_hashes[0] == source.high_hashes[1]
    assert (source[0]["low"] != source[1]["low"]).mean() > 0.5


def test_streamed_equals_kept(photos):
    kept, streamed = SyntheticFolder(photos), SyntheticFolder(photos, memory_bytes=0)
    np.testing.assert_array_equal(kept[2]["low"], streamed[2]["low"])


def test_large_photographs_are_reduced(photos):
    Image.new("RGB", (1280, 40)).save(photos / "6.png")
    source = SyntheticFolder(photos)
    assert source.sizes == [(32, 48)] * 6 + [(32, 1024)]
    assert source[6]["high"].shape == (32, 1024, 3)


def test_loader_darkens_anew_every_epoch_and_reproducibly(photos):
    """Darkening without noise is a known function of the target, so each low can be checked against its high."""
    ranges = DarkeningRanges(exposure=(0.1, 0.1), shot=(0.0, 0.0), read=(0.0, 0.0), white_balance=0.0, bits=None)
    source = SyntheticFolder(photos)
    source.darkening = ranges
    batch = next(make_loader(source, batch=6, crop=(16, 16), seed=0, threads=0))
    assert batch["low"].dtype == np.float32
    np.testing.assert_allclose(to_linear(batch["low"]), 0.1 * to_linear(batch["high"]), rtol=1e-4, atol=1e-6)

    loader = make_loader(SyntheticFolder(photos), batch=6, crop=(32, 32), seed=0, threads=2)
    epochs = [next(loader) for _ in range(2)]
    lows = [batch["low"][batch["index"].argsort()].mean((1, 2, 3)) for batch in epochs]
    assert (abs(lows[0] - lows[1]) > 1e-3).all()
    np.testing.assert_array_equal(next(loader.seek(1))["low"], epochs[1]["low"])
    loader.close()


def test_holdout_of_synthetic_pairs_goes_through_the_loader(photos):
    training, _ = holdout(SyntheticFolder(photos), fraction=1 / 3)
    loader = make_loader(training, batch=4, crop=(16, 16), seed=0, threads=0)
    held = set(range(6)) - set(training.indices)
    names = {name for _ in range(3) for name in loader.names(next(loader))}
    assert names == {f"{i}.png" for i in range(6) if i not in held}


def test_faults_are_listed(photos):
    (photos / "2.png").write_bytes(b"broken")
    Image.new("RGB", (40, 8)).save(photos / "7.png")
    with pytest.raises(InputError, match=r"2\.png: cannot be decoded.*7\.png is 40x8, smaller than the crop of 16"):
        SyntheticFolder(photos, at_least=16)
    with pytest.raises(InputError, match="No such file"):
        SyntheticFolder(photos / "absent")
