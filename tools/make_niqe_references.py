"""Make smnet_jax/metrics/niqe.npz, NIQE's released parameters, and tests/fixtures/metrics/niqe.json, BasicSR's scores.

    pip download --no-deps --no-binary :all: basicsr-fixed==1.4.2       # or take BasicSR's repository
    tar xzf basicsr-fixed-1.4.2.tar.gz
    python tools/make_niqe_references.py basicsr-fixed-1.4.2            # needs torch and scipy

BasicSR (Apache-2.0) carries the parameters of the authors' release and agrees with their MATLAB code to 3e-6 on one
picture, by its docstring. It is run here without being installed, and in float64: its resizing alone works in float32.
What rounding leaves of a flat place (1e-14) counts as zero, where the original takes it for contrast.
"""

import importlib.util
import json
import sys
import types
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).parents[1]
FIXTURES = ROOT / "tests/fixtures/metrics"


def basicsr(folder: Path) -> types.ModuleType:
    """Its module metrics/niqe.py, with as little of the rest as that needs."""
    sys.modules["cv2"] = types.ModuleType("cv2")
    for name in ("basicsr", "basicsr.metrics", "basicsr.utils"):
        sys.modules[name] = types.ModuleType(name)
        sys.modules[name].__path__ = [str(folder / name.replace(".", "/"))]

    def load(name: str, *edits: tuple[str, str]) -> types.ModuleType:
        source = (folder / f"{name.replace('.', '/')}.py").read_text()
        for old, new in edits:
            assert old in source, (name, old)
            source = source.replace(old, new)
        module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader=None))
        sys.modules[name] = module
        exec(compile(source, name, "exec"), module.__dict__)
        return module

    sys.modules["basicsr.utils"].bgr2ycbcr = load("basicsr.utils.color_util").bgr2ycbcr
    load("basicsr.utils.registry")
    load(
        "basicsr.utils.matlab_functions",
        (".float()", ".double()"),
        ("FloatTensor", "DoubleTensor"),
        ("torch.linspace(1, out_length, out_length)", "torch.linspace(1, out_length, out_length, dtype=torch.float64)"),
        ("torch.linspace(0, p - 1, p)", "torch.linspace(0, p - 1, p, dtype=torch.float64)"),
    )
    normalised = "img_nomalized = (img - mu) / (sigma + 1)"
    flat = "img_nomalized[np.abs(img_nomalized) < 1e-9] = 0"
    return load("basicsr.metrics.niqe", (normalised, f"{normalised}; {flat}"))


def mosaic(pictures: dict[str, np.ndarray]) -> np.ndarray:
    """Four distortions as quarters of one picture: twelve blocks."""
    quarters = [pictures[f"coffee_{kind}.png"] for kind in ("dark", "noise", "jpeg", "tint")]
    return np.vstack([np.hstack(quarters[:2]), np.hstack(quarters[2:])])


def main(folder: Path) -> None:
    stored = np.load(folder / "basicsr/metrics/niqe_pris_params.npz")
    mean, covariance = stored["mu_pris_param"].ravel(), stored["cov_pris_param"]
    np.savez(ROOT / "smnet_jax/metrics/niqe.npz", mean=mean, covariance=covariance)
    module = basicsr(folder)
    pictures = {path.name: np.asarray(Image.open(path).convert("RGB")) for path in sorted(FIXTURES.glob("coffee*.png"))}
    large = mosaic(pictures)
    with_flat = large.copy()
    with_flat[:120, :120] = 255  # the first block has no contrast, nor do windows of seven pixels around it
    scores = {}
    for name, picture in {**pictures, "mosaic": large, "flat": with_flat}.items():
        gray = (picture.astype(int) @ [299, 587, 114] + 500) // 1000
        scores[name] = module.niqe(gray.astype(np.float64), mean, covariance, stored["gaussian_window"])
    (FIXTURES / "niqe.json").write_text(json.dumps({"basicsr": "1.4.2", "scores": scores}, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
