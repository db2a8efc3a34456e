"""What an exported file is, as JSON beside it: enough to use it without this package."""

import hashlib
from pathlib import Path
from typing import Any

from smnet_jax.version import __version__

FORMAT = "smnet-jax exported network"
PROGRAM = {  # suffix -> what runs the file
    ".onnx": "ONNX Runtime or any other ONNX runtime",
    ".stablehlo": "jax.export.deserialize(data).call(low)",
}


def metadata_path(path: Path) -> Path:
    """`net.onnx` -> `net.onnx.json`."""
    return path.with_name(path.name + ".json")


def describe(
    kind: str, data: bytes, architecture: Any, about: dict[str, Any], versions: dict[str, str]
) -> dict[str, Any]:
    """The description. `kind` is the suffix; `about` says where the weights come from; `versions` of what wrote it."""
    multiples = "" if kind == ".onnx" else "; H and W are multiples of 4 (mirror rows below and columns to the right)"
    network = {"variant": architecture.variant, "width": architecture.width, "blocks": architecture.blocks}
    return _description(kind, data, network, about, versions, multiples)


def describe_exposure(data: bytes, model: Any, about: dict[str, Any], versions: dict[str, str]) -> dict[str, Any]:
    """The description of an `ExposureNet` as ONNX."""
    network = {"network": "exposure", "features": model.features, "hidden": model.hidden, "fine": model.fine}
    return _description(".onnx", data, network, about, versions, "")


def _description(
    kind: str, data: bytes, network: dict[str, Any], about: dict[str, Any], versions: dict[str, str], multiples: str
) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "version": 1,
        "runs_in": PROGRAM[kind],
        **network,
        "input": {"name": "low", "shape": ["N", "H", "W", 3], "type": "float32", "smallest": [8, 8]},
        "output": {"name": "high", "shape": ["N", "H", "W", 3], "type": "float32"},
        "preprocessing": f"RGB, sRGB as stored (no linearising), 8-bit values divided by 255{multiples}",
        "postprocessing": "clip to [0, 1], times 255, round to the nearest integer",
        "sha256": hashlib.sha256(data).hexdigest(),
        "bytes": len(data),
        "weights": about,
        "written_by": {"smnet-jax": __version__, **versions},
    }
