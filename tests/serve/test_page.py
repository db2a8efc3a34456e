"""The page of `smnet serve` in a real browser, as its user works with it."""

import io
import json
import zipfile

import numpy as np
import pytest
from PIL import ExifTags, Image

from smnet_jax.checkpoints import untrained
from smnet_jax.enhancement.encoded import Encoded, encode_enhanced
from tests import browser as browsers

NETWORK = untrained.make(width=8)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browsers.browser(tmp_path_factory.mktemp("downloads")) as page:
        yield page


@pytest.fixture
def page(chromium, tmp_path):
    """A fresh tab with downloads of its own."""
    with chromium.tab(tmp_path / "downloads"):
        yield chromium


@pytest.fixture
def address(serving):
    return f"http://127.0.0.1:{serving(enhance, weights='some').port}/"


def enhance(data, options):
    return encode_enhanced(data, NETWORK, name="this photo", **options)


def dark(width=64, height=48) -> Image.Image:
    y, x = np.mgrid[0:height, 0:width] / np.float32(width)
    return Image.fromarray(np.uint8(np.stack([x * 60 + 5, y * 70 + 5, (1 - x) * 50], axis=-1)))


def file(image: Image.Image, kind: str, **options) -> bytes:
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_from_dropping_a_photo_to_downloading_it(page, address):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Somebody"
    photo = file(dark(), "JPEG", exif=exif, quality=95)
    page.open(address)
    page.give({"IMG_1.jpg": photo})
    page.done("1 of 1 photo done.")

    # The download is the command's own result, and at another strength too.
    page.click("save")
    assert page.saved("IMG_1_bright.jpg") == enhance(photo, {}).data
    page.slide("strength", 50)
    page.click("save")
    assert page.saved("IMG_1_bright.jpg") == enhance(photo, {"strength": 0.5}).data

    # The viewer shows the photo left of the border and the blend right of it.
    before, after = pixels(photo), pixels(enhance(photo, {}).data)
    left, right = before[24, 16], (before[24, 48] + after[24, 48]) / 2
    page.until(lambda: np.abs(np.array(page.pixel(0.5, 0.5)) - 255).max() < 30, "the border in the middle")
    place = [
        (x - 0.5) * 4 * 64 / page.run("return document.getElementById('canvas').width") + 0.5 for x in (0.25, 0.75)
    ]
    assert np.abs(np.array(page.pixel(place[0], 0.5)) - left).max() <= 4
    assert np.abs(np.array(page.pixel(place[1], 0.5)) - right).max() <= 4
    assert np.abs(right - before[24, 48]).max() > 8  # so that the two can be told apart
    page.slide("exposure", 1)  # at once, and as the command does it
    page.click("save")
    saved = page.saved("IMG_1_bright.jpg")
    assert saved == enhance(photo, {"strength": 0.5, "exposure": 1.0}).data
    right = pixels(saved)[24, 48]
    page.until(lambda: np.abs(np.array(page.pixel(place[1], 0.5)) - right).max() <= 8, "the photo with more exposure")
    assert np.abs(np.array(page.pixel(place[0], 0.5)) - left).max() <= 4
    page.slide("split", 100)
    page.until(lambda: np.abs(np.array(page.pixel(place[1], 0.5)) - before[24, 48]).max() <= 4, "the border to move")
    assert [text for text in page.complaints() if "willReadFrequently" not in text] == []  # that is the test's doing


def test_a_batch_with_one_broken_photo(page, address):
    photos = {"a.png": file(dark(), "PNG"), "b.jpg": file(dark(), "JPEG")[:300], "c.png": file(dark(40, 60), "PNG")}
    page.open(address)
    page.give(photos)
    page.done("2 of 3 photos done, 1 could not be brightened.")
    page.run("document.querySelectorAll('#photos button')[1].click()")
    page.until(lambda: page.element("message").text.startswith("b.jpg: "), "the error in words")
    assert not page.element("save").is_enabled()
    page.click("save-all")
    with zipfile.ZipFile(io.BytesIO(page.saved("bright_photos.zip"))) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["a_bright.png", "c_bright.png"]
        assert archive.read("c_bright.png") == enhance(photos["c.png"], {}).data


def test_what_the_browser_cannot_show_is_shown_all_the_same(page, address):
    page.open(address)
    page.give({"scan.tiff": file(dark(), "TIFF")})
    page.done("1 of 1 photo done.")
    page.until(lambda: max(page.pixel(0.5, 0.5)) > 150, "the border")
    page.click("save")
    assert page.saved("scan_bright.tiff") == enhance(file(dark(), "TIFF"), {}).data


def test_names_are_text_and_pasting_works(page, address):
    page.open(address)
    name = "<img src=x onerror=alert(1)>.png"
    page.give({name: file(dark(), "PNG")}, browsers.PASTE, "image/png")
    page.done("1 of 1 photo done.")
    assert page.run("return document.querySelector('#photos .name').textContent") == name
    assert page.run("return document.querySelectorAll('#photos img').length") == 0


def test_keyboard_alone(page, address, tmp_path):
    from selenium.webdriver.common.keys import Keys

    (tmp_path / "x.png").write_bytes(file(dark(), "PNG"))
    page.open(address)
    page.chrome.find_element("tag name", "body").send_keys(Keys.TAB)
    assert page.run("return document.activeElement.id") == "files"  # it opens the browser's own dialogue
    page.chrome.switch_to.active_element.send_keys(str(tmp_path / "x.png"))
    page.done("1 of 1 photo done.")
    order = []
    page.run("document.activeElement.blur()")
    for _ in range(12):
        page.chrome.switch_to.active_element.send_keys(Keys.TAB)
        order.append(page.run("return document.activeElement.id"))
    assert [i for i in order if i][:8] == [
        "canvas", "strength", "exposure", "split", "zoom-out", "zoom-in", "zoom-fit", "zoom-pixels"
    ]  # fmt: skip
    canvas = page.element("canvas")
    border = page.element("split").get_property("value")
    canvas.send_keys(Keys.ARROW_LEFT)
    assert int(page.element("split").get_property("value")) < int(border)
    canvas.send_keys("1")
    assert page.element("zoom-value").text in ("100 %", "400 %")  # a photo this small is shown enlarged as it is
    canvas.send_keys("+")
    assert page.element("zoom-value").text == "800 %"
    page.element("strength").send_keys(Keys.ARROW_LEFT)
    assert page.element("strength-value").text == "99 %"
    page.element("exposure").send_keys(Keys.ARROW_LEFT)
    assert page.element("exposure-value").text == "−0.1 EV"


@pytest.mark.parametrize(("scheme", "width"), [("light", 320), ("dark", 360)])
def test_a_phone_s_width_in_light_and_dark(page, address, scheme, width):
    page.chrome.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    )
    media = {"features": [{"name": "prefers-color-scheme", "value": scheme}]}
    page.chrome.execute_cdp_cmd("Emulation.setEmulatedMedia", media)
    page.open(address)
    page.give({"a.png": file(dark(), "PNG"), "b.png": file(dark(), "PNG")})
    page.done("2 of 2 photos done.")
    assert page.run("return document.documentElement.scrollWidth") <= width  # nothing is cut off
    ground = json.loads("[" + page.run("return getComputedStyle(document.body).backgroundColor").strip("rgb()") + "]")
    assert (max(ground) < 60) == (scheme == "dark")
    small = page.run(
        "return [...document.querySelectorAll('button, input[type=range]')].filter(e => e.offsetParent)"
        ".filter(e => e.getBoundingClientRect().height < 24).map(e => e.id)"
    )
    assert small == []  # WCAG 2.2, 2.5.8: at least 24 CSS pixels to touch


def test_the_page_talks_to_its_own_server_only(page, address):
    page.open(address)
    page.give({"a.png": file(dark(), "PNG")})
    page.done("1 of 1 photo done.")
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert loaded and all(name.startswith((address, f"blob:{address}")) for name in loaded)
    blocked = page.run(
        "return fetch('http://127.0.0.1:9/').then(() => 'sent', () => 'refused')"  # by its content security policy
    )
    assert blocked == "refused" and any("Content Security Policy" in text for text in page.complaints())


def test_twelve_megapixels(page, serving):
    """The network is left out: what counts is that page and server carry such a photo."""

    bright = file(Image.new("RGB", (4000, 3000), (200, 180, 160)), "JPEG")

    def brighter(data, options):
        return Encoded(bright, ".jpg", 4000, 3000)

    page.open(f"http://127.0.0.1:{serving(brighter).port}/")
    page.give({"large.jpg": file(Image.new("RGB", (4000, 3000), (20, 18, 16)), "JPEG")})
    page.done("1 of 1 photo done.")
    shown = lambda x, colour: np.abs(np.array(page.pixel(x, 0.5)) - colour).max() <= 3  # noqa: E731  JPEG's rounding
    page.until(lambda: shown(0.6, (200, 180, 160)), "the result to be shown")
    assert shown(0.4, (20, 18, 16))
    page.click("save")
    assert page.saved("large_bright.jpg") == bright


def test_an_ended_server_is_said(page, serving):
    def fail(data, options):
        raise RuntimeError("not an InputError: uvicorn answers 500")

    page.open(f"http://127.0.0.1:{serving(fail).port}/")
    page.give({"a.png": file(dark(), "PNG")})
    page.done("0 of 1 photo done, 1 could not be brightened.")
    assert "the server says 500" in page.element("message").text
