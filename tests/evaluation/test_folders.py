import pytest

from smnet_jax.errors import InputError
from smnet_jax.evaluation import folders


def found(root, *kinds):
    return folders.find({kind: root / kind for kind in kinds})


def test_pairs_by_name_without_suffix(write, tmp_path):
    write("low/7.png"), write("high/7.jpg"), write("low/.hidden.png")
    (tmp_path / "low" / "readme.txt").write_text("not a picture")
    (item,) = found(tmp_path, "low", "high")
    assert (item.name, item.low, item.high) == ("7", tmp_path / "low/7.png", tmp_path / "high/7.jpg")
    assert item.image is None


def test_sizes_and_arrays(pairs):
    items = folders.check(found(pairs, "low", "high"))
    assert [(item.name, item.height, item.width) for item in items] == [("a", 16, 24), ("b", 13, 19), ("c", 16, 24)]
    decoded = items[1].decode()
    assert {kind: array.shape for kind, array in decoded.items()} == {"low": (13, 19, 3), "high": (13, 19, 3)}


def test_missing_partners_are_all_named(write, tmp_path):
    write("low/a.png"), write("low/b.png"), write("high/b.png"), write("high/c.png")
    with pytest.raises(InputError) as error:
        found(tmp_path, "low", "high")
    assert "low/a.png has no partner" in str(error.value)
    assert "high/c.png has no partner" in str(error.value)
    assert "b.png has" not in str(error.value)
    assert "\n" not in str(error.value)


def test_two_files_of_one_name(write, tmp_path):
    write("low/a.png"), write("low/a.jpg"), write("high/a.png")
    with pytest.raises(InputError, match=r"a\.png has the same name as a\.jpg"):
        found(tmp_path, "low", "high")


def test_missing_and_empty_folders(tmp_path):
    with pytest.raises(InputError, match="low: no such folder"):
        found(tmp_path, "low")
    (tmp_path / "low").mkdir()
    with pytest.raises(InputError, match="low: no pictures in it"):
        found(tmp_path, "low")


def test_unreadable_and_unequal_are_named_together(write, tmp_path):
    for name in "abc":
        write(f"low/{name}.png"), write(f"high/{name}.png")
    write("high/b.png", width=20)
    damaged = tmp_path / "low/c.png"
    damaged.write_bytes(damaged.read_bytes()[:-40])
    ticks = []
    with pytest.raises(InputError) as error:
        folders.check(found(tmp_path, "low", "high"), advance=lambda: ticks.append(1))
    assert "low/b.png is 24x16 but " in str(error.value)
    assert "high/b.png is 20x16" in str(error.value)
    assert "low/c.png: cannot be decoded" in str(error.value)
    assert "a.png" not in str(error.value)
    assert len(ticks) == 3
