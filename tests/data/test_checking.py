"""Every file of a data set is looked at before training; all faults are told at once."""

import pytest
from PIL import Image

from smnet_jax.data.paired import PairedFolder
from smnet_jax.errors import InputError


def test_every_kind_of_fault_stands_in_one_message(make_pairs):
    root = make_pairs(6)
    low, high = root / "train" / "low", root / "train" / "high"
    (low / "1.png").write_bytes((low / "1.png").read_bytes()[:300])
    Image.new("RGB", (28, 22)).save(high / "2.png")
    for side in (low, high):
        Image.new("RGB", (28, 15)).save(side / "4.png")
    with pytest.raises(InputError) as caught:
        PairedFolder(root, at_least=16)
    message = str(caught.value)
    assert "low/1.png: cannot be decoded" in message
    assert "low/2.png is 28x20 but" in message and "high/2.png is 28x22" in message
    assert "low/4.png is 28x15, smaller than the crop of 16" in message
    assert not any(f"/{good}.png" in message for good in (0, 3, 5))
    assert message.count("replace or remove") == 0 and message.endswith("repair or remove these pictures")
    assert "\n" not in message


def test_long_lists_are_cut(make_pairs):
    root = make_pairs(25, height=4, width=4)
    with pytest.raises(InputError, match=r"; and 5 more; repair") as caught:
        PairedFolder(root, at_least=8)
    assert str(caught.value).count("smaller than") == 20
