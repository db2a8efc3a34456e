"""The published layout, and everything that can be wrong with it, found before the first step."""

import numpy as np
import pytest
from PIL import Image

from smnet_jax.data.layouts import find_pairs
from smnet_jax.data.paired import PairedFolder
from smnet_jax.errors import InputError


def test_reads_pairs_by_name_in_order(make_pairs):
    root = make_pairs(3)
    source = PairedFolder(root)
    assert len(source) == 3
    assert [source[i]["name"] for i in range(3)] == ["0.png", "1.png", "2.png"]
    assert source.sizes == [(20, 28)] * 3
    for side in ("low", "high"):
        with Image.open(root / "train" / side / "1.png") as picture:
            np.testing.assert_array_equal(source[1][side], np.asarray(picture))


def test_streamed_equals_kept(make_pairs):
    root = make_pairs(3)
    kept, streamed = PairedFolder(root), PairedFolder(root, memory_bytes=2 * 20 * 28 * 3 * 3 - 1)
    for index in range(3):
        for side in ("low", "high"):
            np.testing.assert_array_equal(kept[index][side], streamed[index][side])


def test_memory_limit_counts_both_pictures_exactly(make_pairs):
    root, both = make_pairs(3), 2 * 20 * 28 * 3 * 3
    kept, streamed = (PairedFolder(root, memory_bytes=limit) for limit in (both, both - 1))
    (root / "train" / "high" / "1.png").unlink()
    assert kept[1]["high"].shape == (20, 28, 3)
    with pytest.raises(InputError, match=r"1\.png"):
        streamed[1]


def test_other_splits_and_none(make_pairs):
    root = make_pairs(2, split="test")
    assert len(PairedFolder(root, "test")) == 2
    assert len(PairedFolder(root / "test", None)) == 2
    with pytest.raises(InputError, match=r"train/low: no such folder; the layout is"):
        PairedFolder(root)


def test_jpeg_pairs_with_png_and_other_files_are_passed_over(make_pairs):
    low, high = (make_pairs(2) / "train" / side for side in ("low", "high"))
    with Image.open(high / "1.png") as picture:
        picture.save(high / "1.JPG")
    (high / "1.png").unlink()
    for name in ("Thumbs.db", ".0.png", "readme.txt"):
        (low / name).write_bytes(b"x")
    assert [(p.name, p.high.name) for p in find_pairs(low, high)] == [("0.png", "0.png"), ("1.png", "1.JPG")]


def test_unpaired_files_are_all_named(make_pairs):
    train = make_pairs(3) / "train"
    (train / "low" / "0.png").unlink()
    (train / "high" / "2.png").unlink()
    with pytest.raises(InputError, match=r"low/2\.png has no partner in .*high; .*high/0\.png has no partner in .*low"):
        find_pairs(train / "low", train / "high")


def test_same_name_twice_is_refused(make_pairs):
    train = make_pairs(2) / "train"
    with Image.open(train / "low" / "0.png") as picture:
        picture.save(train / "low" / "0.jpg")
    with pytest.raises(InputError, match=r"0\.png and 0\.jpg have the same name"):
        find_pairs(train / "low", train / "high")


def test_empty_folders_are_refused(tmp_path):
    for side in ("low", "high"):
        (tmp_path / side).mkdir()
    with pytest.raises(InputError, match="no pictures"):
        PairedFolder(tmp_path, None)


def test_equal_targets_have_equal_hashes(make_pairs):
    root = make_pairs(3)
    high = root / "train" / "high"
    with Image.open(high / "0.png") as picture:
        picture.save(high / "2.bmp")  # the same pixels in another file
    (high / "2.png").unlink()
    hashes = PairedFolder(root).high_hashes
    assert hashes[0] == hashes[2] != hashes[1]


def test_lol_has_the_known_groups(shared_data):
    """152 of the 485 targets in 66 groups: 399 different pictures."""
    hashes = PairedFolder(shared_data / "lol", memory_bytes=0).high_hashes  # 700 MB that nobody looks at
    assert len(hashes) == 485
    assert len(set(hashes)) == 399
