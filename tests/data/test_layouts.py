"""Every layout that data sets come in, with names and nothing in the files: only where they lie matters here."""

from pathlib import Path

import pytest

from smnet_jax.data.layouts import check_names, find_pairs, read_list, recognise
from smnet_jax.errors import InputError


def touch(root: Path, *files: str) -> Path:
    for name in files:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    return root


def names(pairs) -> list[tuple[str, str]]:
    return [(pair.low.name, pair.high.name) for pair in pairs or []]


@pytest.mark.parametrize(
    ("files", "train", "test"),
    [
        (["train/low/1.png", "train/high/1.jpg"], [("1.png", "1.jpg")], []),
        (
            ["our485/low/1.png", "our485/high/1.png", "eval15/low/2.png", "eval15/high/2.png"],
            [("1.png", "1.png")],
            [("2.png", "2.png")],
        ),
        (
            ["LOLdataset/our485/low/1.png", "LOLdataset/our485/high/1.png", "__MACOSX/x.png"],
            [("1.png", "1.png")],
            [],
        ),
        (["train/input/1.png", "train/target/1.png"], [("1.png", "1.png")], []),
        (
            [f"{split}/{side}/{side.lower()}0001.png" for split in ("Train", "Test") for side in ("Low", "Normal")],
            [("low0001.png", "normal0001.png")],
            [("low0001.png", "normal0001.png")],
        ),
        (["low/a/1.png", "low/b/1.png", "high/a/1.png", "high/b/1.png"], [("1.png", "1.png")] * 2, []),
        (["input/7_low.png", "gt/7_gt.png"], [("7_low.png", "7_gt.png")], []),
        (
            ["train/low/1.png", "train/high/1.png", "val/low/2.png", "val/high/2.png"],
            [("1.png",) * 2],
            [("2.png",) * 2],
        ),
    ],
)
def test_published_layouts_are_recognised(tmp_path, files, train, test):
    layout = recognise(touch(tmp_path, *files))
    assert (names(layout.train), names(layout.test)) == (train, test)
    assert f"{len(train)} pairs" in layout.told


def test_nested_pictures_are_told_and_named_by_their_folder(tmp_path):
    layout = recognise(touch(tmp_path, "low/a/1.png", "low/2.png", "high/a/1.png", "high/2.png"))
    assert [pair.name for pair in layout.train] == ["2.png", "a/1.png"]
    assert "1 of them in folders below" in layout.told


def test_an_unknown_layout_is_refused_with_what_is_there_and_what_is_known(tmp_path):
    with pytest.raises(InputError, match=r"but Real_captured, Synthetic; known are .*our485"):
        recognise(touch(tmp_path, "Real_captured/x.png", "Synthetic/x.png"))


def test_names_by_template(tmp_path):
    root = touch(tmp_path, "low/1_s1.png", "high/ref1.png")
    assert names(find_pairs(root / "low", root / "high", "{}_s1:ref{}")) == [("1_s1.png", "ref1.png")]
    with pytest.raises(InputError, match=r"1_s1\.png has a name of another form"):
        find_pairs(root / "low", root / "high", "{}_s2:ref{}")
    for wrong in ("{}", "{}:x", "{}{}:{}"):
        with pytest.raises(InputError, match="pair_names"):
            check_names(wrong)


def test_lists(tmp_path):
    (tmp_path / "low.txt").write_text("a/1.png\nb/2.png\n")
    (tmp_path / "high.txt").write_text("c/x.png\nc/y.png\n\n")
    layout = read_list(f"{tmp_path}/low.txt:{tmp_path}/high.txt")
    assert [(p.low, p.high) for p in layout.train][1] == (tmp_path / "b/2.png", tmp_path / "c/y.png")
    (tmp_path / "pairs.csv").write_text("\ufefflow,high,split\na,b,train\nc,d,test\n", encoding="utf-8")
    layout = read_list(f"{tmp_path}/pairs.csv")
    assert (names(layout.train), names(layout.test)) == ([("a", "b")], [("c", "d")])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("low,high\na,\n", "line 2"),
        ("low,high\n", "no lines"),
        ("x,y\na,b\n", "columns"),
        ("low,high,split\na,b,dev", "line 2"),
    ],
)
def test_a_list_that_makes_no_pairs_is_refused(tmp_path, content, told):
    (tmp_path / "p.csv").write_text(content)
    with pytest.raises(InputError, match=told):
        read_list(f"{tmp_path}/p.csv")


def test_lists_of_different_length_are_refused(tmp_path):
    (tmp_path / "a.txt").write_text("1\n2\n")
    (tmp_path / "b.txt").write_text("1\n")
    with pytest.raises(InputError, match=r"2 lines, .* has 1"):
        read_list(f"{tmp_path}/a.txt:{tmp_path}/b.txt")
    with pytest.raises(InputError, match="must be list:"):
        read_list(f"{tmp_path}/a.txt")
