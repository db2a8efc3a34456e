"""Score our weights beside what one would otherwise do to dark pictures: the table of docs/model-card.md.

    pip install scikit-image==0.26.0 torch && pip install --no-deps neuro-low-light==0.1.0
    python tools/compare_baselines.py LOW HIGH WORK [--weights W]

LOW and HIGH are folders of paired pictures; WORK gets every method's pictures, and `smnet evaluate`'s JSON of each.
Methods: nothing; gamma 2.2; a gamma for each picture that takes its mean to 0.45; histogram equalisation of the value
channel, global and contrast-limited (CLAHE, scikit-image's defaults); Zero-DCE++ with the weights of the PyPI package
neuro-low-light (torch; left out, and said, where it is not installed).
"""

import argparse
import importlib.util
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from smnet_jax.cli import main as smnet

COLUMNS = ("psnr", "ssim", "lpips_alex", "loe", "psnr_gtmean_luma")
Method = Callable[[np.ndarray], np.ndarray]  # (H, W, 3) float32 [0, 1] -> the same


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("low", type=Path)
    parser.add_argument("high", type=Path)
    parser.add_argument("work", type=Path)
    parser.add_argument("--weights", default="lol-small")
    args = parser.parse_args()
    rows = {}
    for name, method in methods().items():
        folder = args.work / name
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(args.low.iterdir()):
            picture = np.asarray(Image.open(path).convert("RGB")).astype(np.float32) / 255
            output = np.clip(method(picture), 0, 1)
            Image.fromarray((output * 255 + 0.5).astype(np.uint8)).save(folder / f"{path.stem}.png")
        rows[name] = score(args, name, "--images", str(folder))
    rows[args.weights] = score(args, Path(args.weights).name, "--weights", args.weights)
    print("| |" + "|".join(COLUMNS) + "|\n|" + "---|" * (len(COLUMNS) + 1))
    for name, means in rows.items():
        print(f"| {name} |" + "|".join(f" {means[column]:.3f} " for column in COLUMNS) + "|")


def score(args: argparse.Namespace, name: str, *what: str) -> dict[str, float]:
    """Means of the columns, by `smnet evaluate`."""
    file = args.work / f"{name}.json"
    options = ["--low", str(args.low), "--high", str(args.high), "--metrics", ",".join(COLUMNS), "--json", str(file)]
    if code := smnet(["evaluate", *what, *options]):
        raise SystemExit(code)
    return {column["name"]: column["mean"] for column in json.loads(file.read_text())["columns"]}


def methods() -> dict[str, Method]:
    """Every method that is installed."""
    found: dict[str, Method] = {
        "nothing": lambda x: x,
        "gamma_2.2": lambda x: x ** (1 / 2.2),
        "gamma_to_mean_0.45": gamma_to_mean,
    }
    try:
        from skimage import color, exposure

        def on_value(equalise: Method) -> Method:
            def apply(x: np.ndarray) -> np.ndarray:
                hsv = color.rgb2hsv(x)
                hsv[..., 2] = equalise(hsv[..., 2])
                return color.hsv2rgb(hsv)

            return apply

        found["equalised"] = on_value(exposure.equalize_hist)
        found["clahe"] = on_value(exposure.equalize_adapthist)
    except ImportError:
        print("scikit-image is not installed: no equalisation")
    if (spec := importlib.util.find_spec("neuro_low_light")) and spec.submodule_search_locations:
        found["zero_dce_pp"] = zero_dce(Path(spec.submodule_search_locations[0]))
    else:
        print("neuro-low-light is not installed: no Zero-DCE++")
    return found


def gamma_to_mean(x: np.ndarray, wanted: float = 0.45) -> np.ndarray:
    """x to the power that makes its mean `wanted`, found by bisection."""
    low, high = 0.01, 10.0
    for _ in range(40):
        middle = (low * high) ** 0.5
        low, high = (middle, high) if np.mean(x**middle) > wanted else (low, middle)
    return x**low


def zero_dce(package: Path) -> Method:
    """The network of the installed package, loaded from its own two files: the package itself wants OpenCV too."""
    import torch

    spec = importlib.util.spec_from_file_location("zero_dce_model", package / "model.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    net = module.ZeroDCEPP()
    saved = torch.load(package / "weights" / "best_model.pth", map_location="cpu", weights_only=True)
    net.load_state_dict(saved["model_state_dict"])
    net.eval()

    def apply(x: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return net(torch.tensor(x).permute(2, 0, 1)[None])[0][0].permute(1, 2, 0).numpy()

    return apply


if __name__ == "__main__":
    main()
