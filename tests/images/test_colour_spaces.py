"""Colours that a file describes otherwise than by a profile."""

import numpy as np

from smnet_jax.images import pictures, writing
from tests.support.scene import SCENE, SRGB_POINTS, encoded, png_with


def looks(data: bytes) -> np.ndarray:
    return pictures.from_bytes(data)[0].rgb


def test_linear_light_by_gamma_is_converted_and_comes_back(fixtures):
    picture, _ = pictures.from_bytes((fixtures / "field/gama_linear.png").read_bytes())
    data, _ = writing.to_bytes(picture, ".png")
    assert np.array_equal(writing.to_values(picture), writing.to_values(pictures.from_bytes(data)[0]))
    plain = SCENE / np.float32(255)
    linear = np.where(plain <= 0.0031308, plain * 12.92, 1.055 * plain ** (1 / 2.4) - 0.055)
    assert np.abs(looks(png_with(gama=100000, chrm=SRGB_POINTS)) - linear).max() < 1e-3


def test_precedence_of_colour_chunks():
    from PIL import ImageCms

    plain = SCENE / np.float32(255)
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    bt2020 = bytes((9, 13, 0, 1))
    for data in (
        png_with(gama=45455, chrm=SRGB_POINTS),  # what Windows writes for sRGB
        png_with(gama=100000, srgb=True),
        png_with(gama=100000, icc=srgb),
        png_with(gama=100000, cicp=bytes((1, 13, 0, 1))),
    ):
        assert np.abs(looks(data) - plain).max() < 1e-6
    wide = looks(png_with(cicp=bt2020, icc=srgb))
    assert np.abs(wide - plain).max() > 0.02 and np.array_equal(wide, looks(png_with(cicp=bt2020, srgb=True)))


def test_display_p3_by_numbers_equals_display_p3_by_profile():
    """The primaries of Apple's own profile, adapted to D50: what cICP 12 must come to."""
    from smnet_jax.images import profiles
    from smnet_jax.images.colour_spaces import from_code_points

    made = profiles.parse(from_code_points(12, 13)[0] or b"")
    apple = np.array([[0.51512, 0.29198, 0.1571], [0.2412, 0.69225, 0.06657], [-0.00105, 0.04189, 0.78407]])
    assert made is not None
    assert np.abs(made.matrix - np.linalg.inv(profiles._SRGB_TO_XYZ) @ apple).max() < 2e-3


def test_hdr_is_converted_to_srgb_and_said():
    for transfer, white in ((16, 0.58), (18, 0.75)):  # BT.2408: where 203 nits lie in PQ and in HLG
        data = png_with(cicp=bytes((9, transfer, 0, 1)))
        picture, _ = pictures.from_bytes(data)
        assert "HDR" in picture.notes[0] and picture.icc is None
        from smnet_jax.images.colour_spaces import hdr_to_linear

        assert abs(hdr_to_linear(np.full((1, 3), white), transfer).mean() - 1) < 0.05


def test_deep_avif_says_that_it_is_read_as_8_bits():
    from smnet_jax.images.colour_spaces import bits_of_avif

    assert bits_of_avif(encoded("AVIF")) == 8 and bits_of_avif(b"") == 8
    for flags, bits in ((0x4C, 10), (0x6C, 12), (0x0C, 8)):
        assert bits_of_avif(b"\0\0\0\x0cav1C\x81\x20" + bytes([flags, 0])) == bits
