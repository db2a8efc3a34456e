import json

import pytest
from PIL import Image

from smnet_jax.bench import folder
from smnet_jax.checkpoints import untrained
from smnet_jax.cli import main


@pytest.mark.slow
def test_the_command_is_timed_against_the_network(tmp_path, capsys, monkeypatch):
    weights = untrained.make(width=4)
    monkeypatch.setattr(untrained, "make", lambda: weights)
    few = ["--weights", untrained.NAME, "--pictures", "3", "--sizes", "2", "--megapixels", "0.002"]
    assert main(["bench", "folder", *few, "--json", str(tmp_path / "numbers.json")]) == 0
    found = json.loads((tmp_path / "numbers.json").read_text())
    assert found["share"] == found["network"]["seconds"] / found["second"]["seconds"]
    assert found["megapixels"] == pytest.approx(0.006, rel=0.2)
    assert found["sizes_cost"] == found["first"]["cpu_seconds"] / found["one_size"]["cpu_seconds"]
    said = capsys.readouterr().out
    assert "of the network's rate" in said and "2 sizes take" in said


def test_alike_photos_differ_little(tmp_path):
    photos = folder.write_photos(tmp_path / "photos", 16, 16, 0.154, alike=True)
    sizes = [folder._size(photo) for photo in photos]
    assert len(set(sizes)) == 16 and sizes[0] == pytest.approx((304, 400), abs=1)
    assert sizes[-1] == pytest.approx((364, 520), abs=1)


def test_photos_have_so_many_sizes(tmp_path):
    photos = folder.write_photos(tmp_path / "photos", 7, 3, 0.01)
    sizes = set()
    for photo in photos:
        with Image.open(photo) as image:
            sizes.add(image.size)
    assert len(photos) == 7 and len(sizes) == 3
    areas = sorted(width * height for width, height in sizes)
    assert areas[0] == pytest.approx(0.0067e6, rel=0.05) and areas[-1] == pytest.approx(0.0133e6, rel=0.05)


def test_bad_arguments(capsys):
    assert main(["bench", "folder", "--pictures", "3", "--sizes", "4"]) == 2
    assert "--sizes" in capsys.readouterr().err
