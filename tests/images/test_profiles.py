"""Our floating-point conversion against LittleCMS, which computes the same in 8 bits."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from smnet_jax.images import profiles
from tests.support import icc_profiles as icc

PROFILES = {
    "adobe": icc.rgb(icc.ADOBE_RGB, icc.gamma(563 / 256)),
    "prophoto": icc.rgb(icc.PROPHOTO, icc.gamma(1.8)),
    "linear": icc.rgb(icc.SRGB, icc.table([0.0, 1.0])),
    "table": icc.rgb(icc.ADOBE_RGB, icc.table(np.linspace(0, 1, 300) ** 2.2)),
    "bgr": icc.rgb(np.array(icc.SRGB)[:, ::-1], icc.parametric(3, *icc.SRGB_CURVE)),
    "gamma": icc.rgb(icc.SRGB, icc.parametric(0, 2.2)),
    "lifted": icc.rgb(icc.SRGB, icc.parametric(4, *icc.SRGB_CURVE, 0.0, 0.0)),
    "gray": icc.gray(icc.gamma(1.8)),
}


def probe() -> np.ndarray:
    axis = np.linspace(0, 255, 9).round().astype(np.uint8)
    return np.stack(np.meshgrid(axis, axis, axis), axis=-1).reshape(27, 27, 3)


@pytest.mark.parametrize("name", PROFILES)
def test_agrees_with_littlecms(name):
    values = probe()
    mode = "L" if name == "gray" else "RGB"
    if mode == "L":
        values = np.repeat(values[..., :1], 3, axis=2)
    theirs = ImageCms.profileToProfile(
        Image.fromarray(values).convert(mode),
        ImageCms.ImageCmsProfile(io.BytesIO(PROFILES[name])),
        ImageCms.createProfile("sRGB"),
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        outputMode="RGB",
    )
    profile = profiles.parse(PROFILES[name])
    assert profile is not None
    ours = np.clip(profile.to_srgb(values / np.float32(255)), 0, 1) * 255
    # LittleCMS rounds to 8 bits, and its curves by up to a step more where they are steep.
    assert np.abs(ours - np.asarray(theirs, np.float32)).max() < 1.3


@pytest.mark.parametrize("name", PROFILES)
def test_there_and_back_is_the_identity_also_outside_srgb(name):
    profile = profiles.parse(PROFILES[name])
    assert profile is not None
    values = probe() / np.float32(255)
    if name == "gray":
        values = np.repeat(values[..., :1], 3, axis=2)
    # A pure power is infinitely steep at black, in an inverse: float32 shows there, as 0.1 of an 8-bit step.
    tolerance = 5e-4 if name in ("adobe", "table", "prophoto", "gamma", "gray") else 2e-6
    assert np.abs(profile.from_srgb(profile.to_srgb(values)) - values).max() < tolerance
    if name == "prophoto":
        assert profile.to_srgb(values).min() < -0.1  # or the test above would prove little


def test_knows_srgb_when_it_sees_it():
    assert profiles.parse(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()).is_srgb  # type: ignore
    assert profiles.parse(icc.rgb(icc.SRGB, icc.parametric(3, *icc.SRGB_CURVE))).is_srgb  # type: ignore
    assert not profiles.parse(PROFILES["adobe"]).is_srgb  # type: ignore
    assert not profiles.parse(PROFILES["gamma"]).is_srgb  # type: ignore


def test_neutral_stays_neutral():
    ramp = np.repeat(np.linspace(0, 1, 50, dtype=np.float32)[:, None], 3, axis=1)
    result = profiles.parse(PROFILES["prophoto"]).to_srgb(ramp)  # type: ignore[union-attr]
    assert np.ptp(result, axis=1).max() < 1e-6


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"x" * 200,
        PROFILES["adobe"][:140],
        PROFILES["adobe"][:-20],
        PROFILES["adobe"][:128] + b"\xff" * 300,
        icc.lut(),
        icc.profile(b"CMYK", {}),
        icc.rgb(icc.SRGB, icc.gamma(0)),
        icc.rgb(icc.SRGB, icc.table([1.0, 0.5, 0.0])),
        icc.rgb(np.zeros((3, 3)) + 0.3, icc.gamma(2)),
        icc.rgb(icc.SRGB, icc.parametric(1, 2.4, 0.0, 0.5)),
        icc.rgb(icc.SRGB, b"curv" + bytes(4) + b"\x7f\xff\xff\xff" + bytes(20)),
        icc.rgb(icc.SRGB, b"para" + bytes(4) + b"\x00\x09\x00\x00" + bytes(40)),
    ],
)
def test_anything_else_is_none_not_an_exception(damaged):
    assert profiles.parse(damaged) is None
