import base64
import io

import numpy as np
from PIL import Image

from smnet_jax.evaluation import thumbnails


def decoded(uri):
    head, _, data = uri.partition(",")
    assert head == "data:image/jpeg;base64"
    return Image.open(io.BytesIO(base64.b64decode(data)))


def test_bounded_in_pixels_and_bytes_even_for_noise():
    noise = np.random.default_rng(0).integers(0, 256, (900, 1400, 3)).astype(np.uint8)
    uri = thumbnails.data_uri(noise, 560)
    assert decoded(uri).size == (560, 360)
    assert len(base64.b64decode(uri.partition(",")[2])) < 2 * thumbnails.BYTES


def test_never_enlarged_and_faithful():
    flat = np.full((6, 8, 3), (200, 100, 50), np.uint8)
    picture = decoded(thumbnails.data_uri(flat, 560))
    assert picture.size == (8, 6)
    np.testing.assert_allclose(np.asarray(picture), flat, atol=3)


def test_very_long_pictures_keep_a_pixel():
    assert decoded(thumbnails.data_uri(np.zeros((4, 4000, 3), np.uint8), 160)).size == (160, 1)


def test_error_map_is_dark_where_equal_and_bright_where_wrong():
    target = np.full((1, 3, 3), 100, np.uint8)
    output = target.copy()
    output[0, 1] = (100 + 96, 100, 100)  # 32 levels on average: the middle of the scale
    output[0, 2] = 255  # far beyond it; and uint8 must not wrap around
    dark, middle, bright = thumbnails.error_map(output, target)[0]
    np.testing.assert_array_equal(dark, thumbnails.INFERNO[0])
    np.testing.assert_array_equal(middle, thumbnails.INFERNO[4])
    np.testing.assert_array_equal(bright, thumbnails.INFERNO[-1])


def test_more_pictures_get_smaller_thumbnails():
    edges = [thumbnails.edge_for(count) for count in (1, 40, 100, 500)]
    assert edges == sorted(edges, reverse=True)
    assert edges[0] > edges[-1]
