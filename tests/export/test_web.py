"""The page for static hosts: its folder, and its pixels in a real browser beside the command's."""

import contextlib
import functools
import io
import json
import os
import tarfile
import threading
import time
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest
from PIL import ExifTags, Image

from smnet_jax import enhance_bytes, load
from smnet_jax.checkpoints import untrained
from smnet_jax.checkpoints.weights import DEFAULT
from smnet_jax.cli import main
from smnet_jax.errors import InputError
from smnet_jax.export import web
from tests import browser as browsers
from tests.conftest import REPO

NETWORK = untrained.make(width=8)


def package(version="1.30.0", name="onnxruntime-web", **changed) -> dict[str, bytes]:
    """A package with empty files in place of the large ones."""
    about = json.dumps({"name": name, "version": version}).encode()
    return {"package.json": about, **{f"dist/{file}": file.encode() for file in web.RUNTIME}, **changed}


def archive(path, files):
    with tarfile.open(path, "w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name if name.startswith("..") else f"package/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return path


# The folder


def test_the_folder_is_whole_and_can_be_written_again(fixtures, tmp_path, capsys):
    weights, ort = str(fixtures / "golden/lol_dim8.pth"), str(archive(tmp_path / "ort.tgz", package()))
    out = tmp_path / "page"
    for _ in range(2):
        assert main(["export", weights, "--web", str(out), "--ort", ort]) == 0
    assert "ONNX Runtime Web 1.30.0" in capsys.readouterr().out
    said = json.loads((out / "model.json").read_text())
    assert (said["name"], said["width"], said["whole_pixels"]) == ("lol_dim8.pth", 8, 800_000)
    assert (out / "ort/ort.wasm.min.mjs").read_bytes() == b"ort.wasm.min.mjs"
    assert main(["export", weights, str(tmp_path / "net.onnx")]) == 0
    assert (out / "model.onnx").read_bytes() == (tmp_path / "net.onnx").read_bytes()
    page = (out / "index.html").read_text()
    assert "default-src 'self'" in page
    for name in ("style.css", "page.js", "icon.svg"):
        assert f'"{name}"' in page and (out / name).is_file()


def test_the_default_weights_need_no_gpu_and_replace_an_earlier_page(fixtures, tmp_path):
    out, ort = str(tmp_path / "page"), str(archive(tmp_path / "ort.tgz", package()))
    assert main(["export", str(fixtures / "golden/lol_dim8.pth"), "--web", out, "--ort", ort]) == 0
    assert main(["export", "--web", out, "--ort", ort]) == 0
    said = json.loads((tmp_path / "page/model.json").read_text())
    assert (said["name"], said["network"]) == (DEFAULT, "exposure")
    assert {path.name for path in (tmp_path / "page").glob("*.onnx")} == {"look.onnx", "render.onnx"}
    assert {path.name for path in (tmp_path / "page/ort").iterdir()} == {"README.txt", *web.WITHOUT_GPU}


def test_wider_networks_compute_fewer_pixels_whole():
    model, variables = untrained.make(width=32)
    about = web.smnet(model, variables["params"]).about
    assert about["reduced_pixels"] < about["whole_pixels"] == web.WHOLE // 4


def test_the_runtime_from_a_folder_or_an_archive(tmp_path, monkeypatch):
    for name, content in package().items():
        path = tmp_path / "node_modules/onnxruntime-web" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    monkeypatch.chdir(tmp_path)
    assert web.read_runtime(web.find_runtime(None)) == web.read_runtime(archive(tmp_path / "x.tgz", package()))


def test_make_gets_the_tested_version():
    assert f"npm pack --silent onnxruntime-web@{web.TESTED}" in (REPO / "Makefile").read_text()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        (package(name="left-pad"), "is the package left-pad"),
        ({"package.json": b"{"}, "not a whole package"),
        ({k: v for k, v in package().items() if not k.endswith(".wasm")}, "not a whole package"),
        ({"../../package.json": b"{}"}, "not a whole package"),
        ({"package.json": b'["onnxruntime-web"]'}, "not a whole package"),
    ],
)
def test_another_package_is_refused(tmp_path, files, says):
    with pytest.raises(InputError, match=says):
        web.read_runtime(archive(tmp_path / "x.tgz", files))


def test_a_damaged_archive_is_refused(tmp_path):
    whole = archive(tmp_path / "x.tgz", package()).read_bytes()
    for length in (0, 10, len(whole) // 2):
        (tmp_path / "y.tgz").write_bytes(whole[:length])
        with pytest.raises(InputError, match="npm pack onnxruntime-web"):
            web.read_runtime(tmp_path / "y.tgz")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lol-small", "--web", "page"], "npm pack onnxruntime-web@"),
        (["lol-small", "--web", "page", "--ort", "missing.tgz"], "missing.tgz: no such file"),
        (["lol-small", "--web", "full"], "is not empty"),
        (["lol-small", "--web", "full/x"], "is a file"),
        (["lol-small", "net.onnx", "--web", "page"], "leave OUT"),
        (["lol-small", "net.onnx", "--ort", "x"], "belongs to --web"),
        (["lol-small"], "name the weights and the file"),
    ],
)
def test_what_cannot_be_is_one_line(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("mine")
    assert main(["export", *arguments]) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.rglob("*")] == ["full", "x"]


# The page, in a browser


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_args):
        pass


@pytest.fixture(scope="module")
def runtime():
    path = REPO / "build" / f"onnxruntime-web-{web.TESTED}.tgz"
    if not path.exists():
        pytest.skip(f"needs {path.relative_to(REPO)}, which `make test` gets with npm where that is installed")
    return web.read_runtime(path)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory):
    with browsers.browser(tmp_path_factory.mktemp("downloads")) as page:
        yield page


@pytest.fixture(scope="module")
def site(tmp_path_factory, runtime):
    """The page with a small random network, served by a host that knows nothing of it."""
    model, variables = NETWORK
    folder = tmp_path_factory.mktemp("page")
    web.write_page(folder, web.smnet(model, variables["params"]), "some", runtime)
    for path in folder.rglob("*"):  # as if it had stood for a year: a browser may then keep files for weeks
        os.utime(path, (0, time.time() - 3e7))
    with hosted(folder) as address:
        yield folder, address


@pytest.fixture(scope="module")
def default_site(tmp_path_factory, runtime):
    """The page with the default weights."""
    model, variables = load(DEFAULT)
    folder = tmp_path_factory.mktemp("default")
    web.write_page(folder, web.exposure(model, variables["params"]), DEFAULT, runtime)
    with hosted(folder) as address:
        yield address


@contextlib.contextmanager
def hosted(folder):
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Quiet, directory=str(folder))) as host:
        threading.Thread(target=host.serve_forever).start()
        yield f"http://127.0.0.1:{host.server_port}/"
        host.shutdown()


@pytest.fixture
def page(chromium, site, tmp_path):
    with chromium.tab(tmp_path / "downloads"):
        chromium.open(site[1])
        yield chromium


@pytest.fixture
def reduced(site):
    """The same page, told to compute photos at 1,500 pixels at most."""
    path = site[0] / "model.json"
    before = path.read_text()
    path.write_text(json.dumps(json.loads(before) | {"whole_pixels": 2000, "reduced_pixels": 1500}))
    yield
    path.write_text(before)


def dark(width=64, height=48) -> np.ndarray:
    """Smooth, with some fine detail."""
    y, x = np.mgrid[0:height, 0:width] / np.float32(width)
    detail = 4 * np.sin(40 * x) * np.sin(30 * y)
    values = [x * 60 + 8 + detail, y * 70 + 8 + detail, (1 - x) * 50 + 8 + detail]
    return np.rint(np.stack(values, axis=-1)).astype(np.uint8)


def file(values, kind="PNG", **options) -> bytes:
    content = io.BytesIO()
    Image.fromarray(values).save(content, kind, **options)
    return content.getvalue()


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB")).astype(int)


def test_the_same_pixels_as_the_command(page, site):
    photos = {
        "colour.png": file(dark()),
        "odd.png": file(dark(61, 43)),
        "gray.png": file(dark()[..., 0]),
        "gray.jpg": file(dark()[..., 0], "JPEG"),
        "colour.jpg": file(dark(), "JPEG", subsampling=2),
    }
    for name, data in photos.items():  # one by one, for their types
        page.give({name: data}, kind="image/jpeg" if name.endswith("jpg") else "image/png")
    page.done("5 of 5 photos done.")
    for i, (name, data) in enumerate(photos.items()):
        page.run(f"document.querySelectorAll('#photos button')[{i}].click()")
        page.until(lambda: not page.element("message").is_displayed(), "the photo to be shown")
        page.click("save")
        got = page.saved(name.replace(".", "_bright."))
        # JPEG is lossy: what is compared is what went into it, so the command's result goes through the same loss.
        expected = enhance_bytes(data, NETWORK, format="png")
        tolerance = 1 if name.endswith("png") else 8
        difference = np.abs(pixels(got) - pixels(expected))
        assert difference.max() <= tolerance and difference.mean() < 1, name
        assert np.abs(pixels(expected) - pixels(data)).max() > 20, name
    loaded = page.run("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert loaded and all(name.startswith((site[1], f"blob:{site[1]}")) for name in loaded)


def test_strength_and_exposure_are_the_command_s(page):
    page.give({"a.png": file(dark())}, kind="image/png")
    page.done("1 of 1 photo done.")
    page.slide("strength", 40)
    for stops in (0, 1.5, -2):
        page.slide("exposure", stops)
        page.click("save")
        expected = enhance_bytes(file(dark()), NETWORK, strength=0.4, exposure=stops)
        assert np.abs(pixels(page.saved("a_bright.png")) - pixels(expected)).max() <= 1, stops


def test_the_default_weights_give_the_command_s_pixels_whole(chromium, default_site, tmp_path):
    """Small ones, enlarged to the thumbnail; gray; with a white area that nobody sees; between dark walls, which are no
    frame; in frames; of several strips.
    """
    walls = np.pad(dark(), ((0, 0), (9, 7), (0, 0)))
    walls[:, :9] = walls[:, -7:] = np.random.default_rng(5).integers(0, 4, (len(walls), 1, 1))
    walls[0, 0] = 1
    rings = np.where(np.pad(np.ones((36, 50, 1), bool), ((5, 7), (8, 6), (0, 0))), dark(), 235 + dark() % 20)
    rings[2, 30] = 232
    seen = np.full((48, 64, 1), 255, np.uint8)
    seen[:20, 5:] = 0
    photos = {
        "small.png": file(dark(61, 43)),
        "gray.png": file(dark()[..., 0]),
        "cut.png": file(np.concatenate([np.where(seen > 0, dark(), 255), seen], axis=2, dtype=np.uint8)),
        "walls.png": file(walls),
        "framed.png": file(np.pad(dark(), ((9, 6), (12, 5), (0, 0)), constant_values=253)),
        "rings.png": file(rings.astype(np.uint8)),
        "bars.png": file(np.pad(dark(), ((20, 20), (0, 0), (0, 0)))),
        "large.png": file(dark(1500, 1100)),
    }
    with chromium.tab(tmp_path / "downloads"):
        chromium.open(default_site)
        chromium.give(photos, kind="image/png")
        chromium.done("8 of 8 photos done.")
        for i, (name, data) in enumerate(photos.items()):
            chromium.run(f"document.querySelectorAll('#photos button')[{i}].click()")
            chromium.until(lambda: not chromium.element("message").is_displayed(), "the photo to be shown")
            for stops in (0, 2):
                chromium.slide("exposure", stops)
                chromium.click("save")
                got = chromium.saved(name.replace(".", "_bright."))
                difference = pixels(got) - pixels(enhance_bytes(data, DEFAULT, exposure=stops))
                shown = np.s_[:] if name != "cut.png" else seen[..., 0] > 0
                # The page's knob works on bytes: where they were one apart, a slope of 2^(2/2.2) makes them two apart.
                apart = np.abs(difference[shown])
                assert apart.max() <= (1 if stops == 0 else 2), (name, stops)
                assert (apart > 1).mean() < 1e-3, (name, stops)
            chromium.slide("exposure", 0)
            assert chromium.element("notes").text == ""


def test_a_jpeg_comes_back_upright_with_its_exif(page):
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = "Somebody"
    exif[ExifTags.Base.Orientation] = 6
    page.give({"a.jpg": file(dark(), "JPEG", exif=exif)})  # without a type, as some systems hand files over
    page.done("1 of 1 photo done.")
    page.click("save")
    with Image.open(io.BytesIO(page.saved("a_bright.jpg"))) as image:
        assert image.format == "JPEG" and image.size == (48, 64)
        assert image.getexif()[ExifTags.Base.Make] == "Somebody"
        assert image.getexif()[ExifTags.Base.Orientation] == 1


def test_a_batch_with_one_broken_photo(page):
    page.give(
        {"a.png": file(dark()), "b.png": file(dark())[:200], "c.png": file(dark(7, 20)), "d.png": file(dark(40, 60))}
    )
    page.done("2 of 4 photos done, 2 could not be brightened.")
    states = page.run("return [...document.querySelectorAll('#photos .state')].map((e) => e.textContent)")
    assert "cannot read the file" in states[1] and "at least 8x8" in states[2]


def test_a_large_photo_is_computed_at_a_stated_reduced_size(reduced, page):
    photo = file(dark(192, 144))
    page.give({"a.png": photo}, kind="image/png")
    page.done("1 of 1 photo done.")
    page.until(
        lambda: "computed at 45x34" in page.element("notes").text, "the note of the size"
    )  # shown with the photo
    assert "192x144" in page.element("notes").text
    page.click("save")
    got, whole = pixels(page.saved("a_bright.png")), pixels(enhance_bytes(photo, NETWORK))
    assert got.shape == whole.shape
    # Not the same pixels, but the same photo: a few levels apart where the whole result is tens from the input.
    assert np.abs(got - whole).mean() < 0.15 * np.abs(whole - pixels(photo)).mean()


def test_twelve_megapixels(reduced, page):
    page.give({"a.jpg": file(np.full((3000, 4000, 3), (20, 18, 16), np.uint8), "JPEG")}, kind="image/jpeg")
    page.done("1 of 1 photo done.", 300)
    page.until(lambda: "4000x3000" in page.element("notes").text, "the note of the size")
    flat = enhance_bytes(file(np.full((48, 64, 3), (20, 18, 16), np.uint8)), NETWORK)
    middle = pixels(flat)[24, 32]
    page.until(lambda: np.abs(np.array(page.pixel(0.6, 0.5)) - middle).max() <= 3, "the result to be shown")
