"""The page of `smnet serve` as a folder for any static host: the photo is computed in the visitor's browser.

The folder holds the page, the network as ONNX, and ONNX Runtime Web (WebAssembly, and WebGPU where the browser has
it), which is too large to come with this package: the user gets it from npm's registry, once.
"""

import dataclasses
import hashlib
import json
import tarfile
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from smnet_jax.errors import InputError
from smnet_jax.export import exposure_graph, onnx_graph
from smnet_jax.exposure import GRID, THUMBNAIL
from smnet_jax.exposure.tone import HALO
from smnet_jax.host.atomic_files import replacing

FORMAT = "smnet-jax web page"
TESTED = "1.30.0"  # of onnxruntime-web
WITHOUT_GPU = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")
RUNTIME = (
    *WITHOUT_GPU,
    "ort.webgpu.min.mjs",
    "ort-wasm-simd-threaded.asyncify.mjs",
    "ort-wasm-simd-threaded.asyncify.wasm",
)
PAGE = {  # file of the page -> file of smnet_jax/serve/page
    **{name: name for name in ("index.html", "style.css", "icon.svg", "page.js", "knob.js", "viewer.js", "zip.js")},
    **{name: name for name in ("curves.js", "frame.js", "gain.js", "metadata.js", "transparency.js")},
    "engine.js": "browser_engine.js",
    "worker.js": "browser_worker.js",
}
# What a width of 16 computes whole in some ten seconds on one core, and within a browser's memory; wider networks are
# given less. Above, the photo is computed at REDUCED pixels, and the gain found there is applied at full size.
WHOLE, REDUCED = 800_000, 400_000
_LARGEST_FILE = 100 << 20  # of the runtime; the largest of 1.30.0 has 27 MB

_POLICY = (
    "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'none'"
)


@dataclasses.dataclass(frozen=True)
class Runtime:
    """ONNX Runtime Web: its version and its files by name."""

    version: str
    files: Mapping[str, bytes]


def find_runtime(given: Path | None) -> Path:
    """The package onnxruntime-web: `given`, or what npm left in this folder. Raises InputError where there is none."""
    here = [Path("node_modules/onnxruntime-web"), *sorted(Path().glob("onnxruntime-web-*.tgz"), reverse=True)]
    for path in (given,) if given else here:
        if path.exists():
            return path
    missing = f"{given}: no such file or folder" if given else "--web: the npm package onnxruntime-web is not here"
    address = f"https://registry.npmjs.org/onnxruntime-web/-/onnxruntime-web-{TESTED}.tgz"
    raise InputError(
        f"{missing}; get it with `npm pack onnxruntime-web@{TESTED}`, or from {address}, and name it by --ort"
    )


def read_runtime(source: Path) -> Runtime:
    """The files of an unpacked package or of its .tgz. Raises InputError where it is another package, or damaged."""
    names = ["package.json", *(f"dist/{name}" for name in RUNTIME)]
    try:
        if source.is_dir():
            found = {name: (source / name).read_bytes() for name in names}
        else:
            found = {}
            with tarfile.open(source) as archive:
                for member in archive:  # only read, never extracted: no path of the archive is used
                    name = member.name.removeprefix("package/")
                    if name in names and member.isfile() and member.size <= _LARGEST_FILE:
                        content = archive.extractfile(member)
                        found[name] = content.read() if content else b""
                    if len(found) == len(names):
                        break
        about = json.loads(found["package.json"])
        if about["name"] != "onnxruntime-web":
            raise InputError(f"{source}: is the package {about['name']}, not onnxruntime-web")
        return Runtime(str(about["version"]), {name: found[f"dist/{name}"] for name in RUNTIME})
    except InputError:
        raise
    except (OSError, EOFError, tarfile.TarError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"{source}: is not a whole package onnxruntime-web ({error}); get it with "
            f"`npm pack onnxruntime-web@{TESTED}`"
        ) from error


def check_folder(folder: Path) -> None:
    """Raise InputError for a folder with something in it that is not an earlier page of ours."""
    if folder.is_dir() and any(folder.iterdir()):
        try:
            ours = json.loads((folder / "model.json").read_text(encoding="utf-8"))["format"] == FORMAT
        except (OSError, ValueError, KeyError, TypeError):
            ours = False
        if not ours:
            raise InputError(f"{folder}: is not empty and holds no earlier page; choose another folder")
    elif folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: is a file; name a folder")


@dataclasses.dataclass(frozen=True)
class Network:
    """What the page computes with: ONNX files by name, what the page must know of them, and whether a GPU helps."""

    files: Mapping[str, bytes]
    about: Mapping[str, Any]
    on_gpu: bool = True


def smnet(architecture: Any, params: Mapping[str, Any]) -> Network:
    """SMNet with its weights."""
    share = min(1.0, (16 / architecture.width) ** 2)
    about = {
        "variant": architecture.variant,
        "width": architecture.width,
        "whole_pixels": int(WHOLE * share),
        "reduced_pixels": int(REDUCED * share),
    }
    return Network({"model.onnx": onnx_graph.to_onnx(architecture, params)}, about)


def exposure(model: Any, params: Mapping[str, Any]) -> Network:
    """An `ExposureNet` with its weights: all photos are computed whole, in strips, without a GPU."""
    look, render = exposure_graph.to_onnx_parts(model, params)
    about = {"network": "exposure", "thumbnail": THUMBNAIL, "grid": GRID, "halo": HALO}
    return Network({"look.onnx": look, "render.onnx": render}, about, on_gpu=False)


def write_page(folder: Path, network: Network, name: str, runtime: Runtime) -> int:
    """Write the folder and return its bytes; `name` is what the page calls the weights.

    What an earlier page there had beyond this one is removed.
    """
    page = resources.files("smnet_jax.serve") / "page"
    files = {target: (page / source).read_bytes() for target, source in PAGE.items()}
    files["index.html"] = _with_policy(files["index.html"])
    files |= network.files
    digest = hashlib.sha256(b"".join(network.files.values())).hexdigest()[:16]
    about = {"format": FORMAT, "name": name, **network.about, "networks": digest, "onnxruntime_web": runtime.version}
    files["model.json"] = (json.dumps(about, indent=1) + "\n").encode()
    files["ort/README.txt"] = (
        f"ONNX Runtime Web {runtime.version} (npm package onnxruntime-web), unchanged. MIT License,\n"
        "Copyright (c) Microsoft Corporation. https://github.com/microsoft/onnxruntime\n"
    ).encode()
    needed = RUNTIME if network.on_gpu else WITHOUT_GPU
    files |= {f"ort/{file}": content for file, content in runtime.files.items() if file in needed}
    for target, content in files.items():
        with replacing(folder / target) as temporary:
            temporary.write_bytes(content)
    for earlier in {*(f"ort/{file}" for file in RUNTIME), "look.onnx", "model.onnx", "render.onnx"} - files.keys():
        (folder / earlier).unlink(missing_ok=True)
    return sum(map(len, files.values()))


def _with_policy(html: bytes) -> bytes:
    """On a static host nobody sends headers: the page says itself that it loads nothing from elsewhere."""
    mark = b'<meta charset="utf-8">\n'
    return html.replace(mark, mark + f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'.encode(), 1)
