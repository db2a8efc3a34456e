"""Which kind a file is, by its first bytes and by its name."""

from pathlib import Path

import pytest

from smnet_jax.errors import InputError
from smnet_jax.images import formats, naming, pictures


@pytest.mark.parametrize(
    ("head", "says"),
    [
        (b"\xff\x0a" + bytes(40), "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        (b"GIF89a" + bytes(40), "GIF"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "film"),
        (b"8BPS\0\1" + bytes(40), "Photoshop"),
        (b"%PDF-1.7" + bytes(40), "PDF"),
    ],
)
def test_other_kinds_are_named_with_the_remedy(head, says):
    with pytest.raises(InputError, match=says) as caught:
        pictures.from_bytes(head)
    assert "\n" not in str(caught.value)


def test_kinds_by_first_bytes():
    for brand, kind in ((b"heic", "HEIF"), (b"avif", "AVIF"), (b"crx ", "RAW"), (b"isom", "VIDEO")):
        assert formats.kind(b"\0\0\0\x18ftyp" + brand + bytes(40)) == kind
    assert formats.kind(b"\0\0\0\x20ftypmif1\0\0\0\0mif1heic") == "HEIF"
    assert formats.kind(b"\0\0\0\x20ftypmif1\0\0\0\0mif1avif") == "AVIF"
    assert formats.kind(b"II*\0\x10\0\0\0CR\2\0") == "RAW"
    assert formats.kind(b"\x89PNG\r\n\x1a\n") == "" == formats.kind(b"")


def targets(found, **options) -> list[str]:
    pairs = [(Path(name), Path(name)) if isinstance(name, str) else name for name in found]
    return [str(job.target) for job in naming.plan(pairs, Path("out"), **options)]


def test_results_of_photos_have_suffixes_that_can_be_written():
    assert targets(["a.HEIC", "b.nef", "c.avif"]) == ["out/a.jpg", "out/b.png", "out/c.avif"]
