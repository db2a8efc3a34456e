import functools

import jax
import numpy as np
import pytest
from PIL import Image

import smnet_jax
from smnet_jax.enhancement import photo
from smnet_jax.enhancement.photo import enhance
from smnet_jax.enhancement.plan import decide
from smnet_jax.errors import InputError
from smnet_jax.images import padding, pictures
from tests.support import tolerances

ROUNDING = tolerances.forward("lol", 4)  # of pictures in [0, 1]


@functools.cache
def whole(model):
    return jax.jit(model.apply)


def directly(weights, low: np.ndarray) -> np.ndarray:
    model, variables = weights
    height, width = low.shape[:2]
    padded = np.pad(low, ((0, -height % 4), (0, -width % 4), (0, 0)), mode="reflect")
    return np.clip(np.asarray(whole(model)(variables, padded[None]))[0, :height, :width], 0, 1)


def test_a_float_array_is_padded_and_cropped(weights, low):
    result = enhance(low, weights)
    assert result.dtype == np.float32 and result.shape == low.shape
    assert np.abs(result - directly(weights, low)).max() < ROUNDING
    assert np.abs(result - low).max() > 0.05


@pytest.mark.parametrize(("kind", "peak"), [(np.uint8, 255), (np.uint16, 65535)])
def test_integers_are_rounded(weights, low, kind, peak):
    values = np.rint(low * peak).astype(kind)
    expected = directly(weights, values.astype(np.float32) / np.float32(peak)) * peak
    result = enhance(values, weights)
    assert result.dtype == kind
    assert np.abs(result - expected).max() <= 0.5 + 2e-6 * peak


@pytest.mark.parametrize("kind", [np.float16, np.float64])
def test_other_floats_keep_their_type(weights, low, kind):
    result = enhance(low.astype(kind), weights)
    assert result.dtype == kind
    assert np.abs(result - directly(weights, low.astype(kind).astype(np.float32))).max() < 1e-3


def test_gray_stays_gray_and_alpha_stays(weights, low):
    gray = np.rint(low[..., 0] * 255).astype(np.uint8)
    result = enhance(gray, weights)
    coloured = directly(weights, np.repeat(gray[..., None], 3, axis=2) / np.float32(255)) * 255
    assert result.shape == gray.shape
    assert np.abs(result - coloured @ [0.299, 0.587, 0.114]).max() < 0.501
    rgba = np.dstack(
        [np.rint(low * 65535).astype(np.uint16), np.arange(1, 1 + 13 * 18, dtype=np.uint16).reshape(13, 18)]
    )
    result = enhance(rgba, weights)
    assert np.array_equal(result[..., 3], rgba[..., 3])
    assert np.array_equal(result[..., :3], enhance(rgba[..., :3], weights))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "RGB", "RGBA", "P", "CMYK"])
def test_pillow_images_come_back_in_their_mode(weights, low, mode):
    image = Image.fromarray(np.rint(low * 255).astype(np.uint8)).convert(mode)
    image.info["icc_profile"], image.info["dpi"] = b"", (300, 300)
    result = enhance(image, weights)
    assert result.mode == {"1": "L", "P": "RGB", "CMYK": "RGB"}.get(mode, mode) and result.size == image.size
    assert result.info["dpi"] == (300, 300)
    if mode == "RGB":
        assert np.array_equal(np.asarray(result), enhance(np.asarray(image), weights))
    if mode in ("LA", "RGBA"):
        assert np.asarray(result)[..., -1].min() == 255


def test_deep_gray_pillow_images_stay_deep(weights, low):
    values = np.rint(low[..., 0] * 65535).astype(np.uint16)
    result = enhance(Image.fromarray(values), weights)
    assert result.mode == "I;16" and np.array_equal(np.asarray(result), enhance(values, weights))


def test_pillow_images_are_not_turned(weights, low):
    """The EXIF block comes back as it was, so the pixels must lie as they did."""
    image = Image.fromarray(np.rint(low * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[274] = 6
    image.info["exif"] = exif.tobytes()
    result = enhance(image, weights)
    assert result.size == image.size and result.info["exif"] == exif.tobytes()


def test_strength_blends_with_the_input(weights, low):
    full = enhance(low, weights)
    assert np.array_equal(enhance(low, weights, strength=0), low)
    quarter = enhance(low, weights, strength=0.25)
    # Two products and a sum of numbers up to 1, there and here.
    assert np.abs(quarter - (0.75 * low + 0.25 * full)).max() <= 4 * tolerances.UNIT
    for wrong in (-0.1, 1.1, float("nan")):
        with pytest.raises(InputError, match="strength"):
            enhance(low, weights, strength=wrong)


def test_strength_0_returns_wide_gamut_colours_unclipped(weights):
    rgb = np.full((8, 8, 3), -0.25, np.float32)
    picture, (model, variables) = pictures.Picture(rgb), weights
    assert np.array_equal(photo.enhance_picture(model, variables, picture, strength=0).rgb, rgb)
    half = photo.enhance_picture(model, variables, picture, strength=0.5).rgb
    full = photo.enhance_picture(model, variables, picture).rgb
    assert full.min() >= 0 and np.allclose(half, (rgb + full) / 2)


@pytest.mark.parametrize("size", [(8, 8), (8, 11)])
def test_small_and_odd_sizes(weights, size):
    low = np.random.default_rng(1).random((*size, 3), np.float32)
    assert np.abs(enhance(low, weights) - directly(weights, low)).max() < ROUNDING


@pytest.mark.parametrize(
    ("array", "says"),
    [
        (np.zeros((7, 8, 3), np.uint8), "8x7"),
        (np.zeros((0, 8, 3), np.uint8), "8x0"),
        (np.zeros((8, 8, 2), np.uint8), "shape"),
        (np.zeros(8, np.uint8), "shape"),
        (np.zeros((8, 8, 3), np.int32), "int32"),
        (np.zeros((8, 8), bool), "bool"),
        (np.full((8, 8, 3), np.nan), "NaN"),
        (np.full((8, 8, 3), np.inf), "infinity"),
        (np.full((8, 8, 3), 200.0), "255"),
        (np.full((8, 8, 3), -0.1), "-0.1"),
        (np.full((8, 8, 3), "x"), "dtype"),
        (None, "shape"),
    ],
)
def test_unusable_arrays_are_refused(weights, array, says):
    with pytest.raises(InputError, match=says):
        enhance(array, weights)


def test_results_that_are_not_finite_are_refused(weights, low):
    model, variables = weights
    broken = jax.tree.map(lambda x: x * np.float32(np.nan), variables)
    with pytest.raises(InputError, match="not finite"):
        enhance(low, (model, broken))


def test_the_same_twice_and_one_compilation_per_size(weights, compilations):
    low = np.random.default_rng(2).random((25, 18, 3), np.float32) * 0.3  # a size that no other test has compiled
    first = enhance(low, weights)
    assert np.array_equal(enhance(low, weights), first)
    enhance(low[:24, :17], weights)  # 24x20 after padding, not 28x20
    enhance(low[:23, :18], weights)
    assert len(compilations) == 2


def test_preparing_compiles_what_enhancing_uses(weights, compilations):
    picture, (model, variables) = pictures.Picture(np.full((25, 22, 3), 0.2, np.float32)), weights
    plan = decide(model, picture.rgb.shape)
    photo.prepare(model, variables, picture, plan)
    assert len(compilations) == 1
    photo.enhance_picture(model, variables, picture, plan)
    assert len(compilations) == 1


def test_tiles_change_nothing(weights):
    low = np.random.default_rng(0).random((130, 138, 3), np.float32) * 0.3
    whole = enhance(low, weights, tile="off")
    shares: list[float] = []
    (model, variables), picture = weights, pictures.Picture(low)
    tiled = photo.enhance_picture(model, variables, picture, decide(model, low.shape, 40), progress=shares.append).rgb
    assert np.abs(tiled - whole).max() < ROUNDING and shares[-1] == pytest.approx(1)
    shares.clear()
    little = (500 << 20) + 4_000_000  # what the program itself may take, and a little more
    tiled = photo.enhance_picture(
        model, variables, picture, decide(model, low.shape, max_memory=little), progress=shares.append
    ).rgb
    assert np.abs(tiled - whole).max() < ROUNDING and len(shares) > 4
    with pytest.raises(InputError, match="MiB are enough"):
        enhance(low, weights, max_memory=1000)


def test_padding_is_never_more_than_needed(weights, low, monkeypatch):
    """GFRM sees all of the picture: a wider margin would change every pixel."""
    sizes = []
    real = padding.pad

    def noting(low):
        sizes.append(real(low).shape)
        return real(low)

    monkeypatch.setattr(padding, "pad", noting)
    enhance(low, weights)
    assert sizes == [(16, 20, 3)]


def test_without_weights_the_way_to_get_some_is_told(low, monkeypatch):
    import smnet_jax.checkpoints.weights

    monkeypatch.setattr(smnet_jax.checkpoints.weights, "bundled", list)
    with pytest.raises(InputError, match="--weights"):
        enhance(low)


def test_is_the_package_s_own_function():
    assert smnet_jax.enhance is enhance
