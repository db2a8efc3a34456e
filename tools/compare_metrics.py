"""Score and time smnet_jax.metrics beside piq, scikit-image and lpips: the tables of docs/metrics.md.

    refs/bin/pip install jax==0.10.2 numpy        # into the environment of tools/make_metric_references.py
    PYTHONPATH=. refs/bin/python tools/compare_metrics.py low.png picture.png reference.png

Without pictures, a random scene of 600x400. Each function is called until two seconds are over; the table
gives the median, and the fastest call in brackets, in milliseconds, alternating the two sides so that both see the
same load. piq and lpips work on float tensors that are ready, ours on uint8 arrays that are ready; compilation is
left out (and printed). scikit-image works on float64.
"""

import statistics
import sys
import time

import jax
import numpy as np
import torch
from make_metric_references import lpips, piq  # not directly: it puts something in torchvision's place first
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from smnet_jax import metrics


def pictures(paths):
    if paths:
        return [np.asarray(Image.open(path).convert("RGB"))[None] for path in paths]
    rng = np.random.default_rng(0)
    small = rng.integers(0, 256, (25, 38, 3), dtype=np.uint8)
    target = np.asarray(Image.fromarray(small).resize((600, 400), Image.Resampling.BICUBIC))[None]
    pred = np.clip(target + rng.normal(0, 12, target.shape), 0, 255).astype(np.uint8)
    return [target // 4, pred, target]


def pairs(low, pred, target):
    """(name, ours, theirs or None); each a function without arguments that returns a float."""
    x, y = (torch.tensor(p).permute(0, 3, 1, 2).float() / 255 for p in (pred, target))
    ours = [jax.device_put(p) for p in (pred, target)]
    both = {"channel_axis": 2, "data_range": 255}
    wang = {"gaussian_weights": True, "use_sample_covariance": False, "sigma": 1.5}
    nets = {name: lpips.LPIPS(net=name, verbose=False) for name in ("alex", "vgg")}
    skimage_ssim = structural_similarity
    yield "psnr", lambda: metrics.psnr(*ours), lambda: peak_signal_noise_ratio(target[0], pred[0], data_range=255)
    yield "ssim", lambda: metrics.ssim(*ours), lambda: skimage_ssim(target[0], pred[0], **both)
    yield (
        "ssim gaussian",
        lambda: metrics.ssim(*ours, window="gaussian"),
        lambda: skimage_ssim(target[0], pred[0], **both, **wang),
    )
    yield "ssim gaussian, piq", lambda: metrics.ssim(*ours, window="gaussian"), lambda: piq.ssim(x, y, downsample=False)
    yield "iw_ssim", lambda: metrics.iw_ssim(*ours), lambda: piq.information_weighted_ssim(x, y)
    yield "vif", lambda: metrics.vif(*ours), lambda: piq.vif_p(x, y)
    yield "fsim", lambda: metrics.fsim(*ours), lambda: piq.fsim(x, y, chromatic=False)
    yield "fsimc", lambda: metrics.fsimc(*ours), lambda: piq.fsim(x, y)
    yield "loe", lambda: metrics.loe(low, pred), None
    yield "loe nearest", lambda: metrics.loe(low, pred, sampling="nearest"), None
    for name, net in nets.items():
        yield f"lpips {name}", lambda n=name: metrics.lpips(*ours, net=n), lambda n=net: n(x, y, normalize=True)


def main(paths):
    low, pred, target = pictures(paths)
    print(f"{pred.shape[2]}x{pred.shape[1]} pixels")
    print("| metric | ours, ms | theirs, ms | ours | difference | compile, s |\n|---|---|---|---|---|---|")
    torch.set_grad_enabled(False)
    for name, ours, theirs in pairs(low, pred, target):
        start = time.perf_counter()
        value = float(ours()[0])
        compile_seconds = time.perf_counter() - start
        spent = {ours: [], theirs: []}
        end = time.perf_counter() + 2
        while time.perf_counter() < end or len(spent[ours]) < 3:
            for function in filter(None, (ours, theirs)):
                start = time.perf_counter()
                float(np.ravel(np.asarray(function()))[0])
                spent[function].append(1e3 * (time.perf_counter() - start))
        cells = [f"{statistics.median(t):.1f} ({min(t):.1f})" if t else "" for t in spent.values()]
        difference = f"{value - float(np.ravel(np.asarray(theirs()))[0]):.1e}" if theirs else ""
        print(f"| {name} | {cells[0]} | {cells[1]} | {value:.6f} | {difference} | {compile_seconds:.1f} |", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
