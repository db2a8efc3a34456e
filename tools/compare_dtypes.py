"""Does training in bfloat16 learn as training in float32 does? The same runs in both, several seeds, on CPU.

python tools/compare_dtypes.py --json dtypes.json --plot docs/lab/dtypes.png

All runs see the same pictures. A seed sets the initial weights and the order, crops and flips; the runs of one seed
differ in nothing but the type of the activations. How far float32's own seeds lie apart is the noise; bfloat16 learns
as float32 does where changing the type moves the loss by less than changing the seed.
"""

import argparse
import dataclasses
import json
import platform
import time
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from smnet_jax.host.atomic_files import replacing
from smnet_jax.training import config as configs
from smnet_jax.training import log
from smnet_jax.training.inputs import DummyPairs
from smnet_jax.training.loop import train

DTYPES = ("float32", "bfloat16")
WINDOW = 40  # steps that one point of a curve is the mean of


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--workdir", type=Path, required=True, help="of the runs; given again, goes on where it was")
    parser.add_argument("--seeds", type=int, default=6)
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--blocks", type=int, default=2)
    parser.add_argument("--crop", type=int, default=32)
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--pictures", type=int, default=32)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plot", type=Path)
    args = parser.parse_args()
    base = dataclasses.replace(
        configs.load("smoke"), width=args.width, blocks=args.blocks, crop=args.crop, batch=args.batch, steps=args.steps,
        clip=1.0, warmup=args.steps // 20, evaluate_epochs=1e9, checkpoint_minutes=0, log_steps=1,
    )  # fmt: skip
    data = args.workdir / "data"
    write_pictures(data, args.pictures, size=2 * args.crop)
    runs = {}
    for seed in range(args.seeds):
        for dtype in DTYPES:
            config = dataclasses.replace(base, dtype=dtype, seed=seed, data=str(data))
            runs[dtype, seed] = one_run(config, args.workdir / f"{dtype}-{seed}")
    found = compare(runs, args.seeds)
    found["what"] = {name: value for name, value in vars(args).items() if isinstance(value, int)}
    found["machine"] = {"processor": platform.processor() or platform.machine(), "date": time.strftime("%Y-%m-%d")}
    print(told(found))
    if args.json:
        with replacing(args.json) as temporary:
            temporary.write_text(json.dumps(found, indent=1) + "\n")
    if args.plot:
        plot(runs, found, args.plot)


def write_pictures(root: Path, count: int, size: int) -> None:
    """Pairs for training and a quarter as many for the test, always the same."""
    for split, number, seed in (("train", count, 0), ("test", max(1, count // 4), 1)):
        for example in (DummyPairs(number, size, seed)[i] for i in range(number)):
            for side in ("low", "high"):
                path = root / split / side / f"{example['name']}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(example[side]).save(path)


def one_run(config: configs.Config, workdir: Path) -> dict[str, Any]:
    outcome = train(config, workdir)
    if not outcome.finished:
        raise SystemExit("stopped; the same command goes on")
    records = [r for r in log.read(workdir / "metrics.jsonl") if r["kind"] == "train"]
    return {"loss": [r["loss"] for r in records], "psnr": outcome.scores["psnr"], "ssim": outcome.scores["ssim"]}


def curve(losses: list[float]) -> np.ndarray:
    """Means of successive windows."""
    return np.array(losses[: len(losses) // WINDOW * WINDOW]).reshape(-1, WINDOW).mean(axis=1)


def compare(runs: dict[tuple[str, int], dict[str, Any]], seeds: int) -> dict[str, Any]:
    """Effect of the type at the same seed beside the deviation between float32's seeds, along the curve and at its
    end."""
    curves = {dtype: np.stack([curve(runs[dtype, seed]["loss"]) for seed in range(seeds)]) for dtype in DTYPES}
    shift = curves["bfloat16"] - curves["float32"]
    noise = curves["float32"].std(axis=0, ddof=1)
    scores = {
        name: {dtype: [runs[dtype, seed][name] for seed in range(seeds)] for dtype in DTYPES}
        for name in ("psnr", "ssim")
    }
    return {
        "curves": {dtype: values.tolist() for dtype, values in curves.items()},
        "noise": noise.tolist(),
        "mean_shift": shift.mean(axis=0).tolist(),
        "largest_shift": np.abs(shift).max(axis=0).tolist(),
        "mean_shift_in_deviations": (np.abs(shift.mean(axis=0)) / noise).tolist(),
        "final": scores,
    }


def told(found: dict[str, Any]) -> str:
    lines = [f"{'steps':>10}{'float32':>10}{'bfloat16':>10}{'seeds +-':>10}{'type':>10}{'type/seeds':>12}"]
    points = len(found["noise"])
    means = {dtype: np.mean(found["curves"][dtype], axis=0) for dtype in DTYPES}
    for i in sorted({0, points // 4, points // 2, 3 * points // 4, points - 1}):
        lines.append(
            f"{i * WINDOW:>5}-{(i + 1) * WINDOW:<4}{means['float32'][i]:>10.4f}{means['bfloat16'][i]:>10.4f}"
            f"{found['noise'][i]:>10.4f}{found['mean_shift'][i]:>+10.4f}{found['mean_shift_in_deviations'][i]:>12.2f}"
        )
    for name, values in found["final"].items():
        shifts = np.array(values["bfloat16"]) - values["float32"]
        lines.append(
            f"{name}: float32 {np.mean(values['float32']):.4f} +- {np.std(values['float32'], ddof=1):.4f} over seeds, "
            f"bfloat16 {np.mean(values['bfloat16']):.4f} +- {np.std(values['bfloat16'], ddof=1):.4f}; "
            f"same seed: {shifts.mean():+.4f} on average, at most {np.abs(shifts).max():.4f}"
        )
    return "\n".join(lines)


def plot(runs: dict[tuple[str, int], dict[str, Any]], found: dict[str, Any], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    steps = (np.arange(len(found["noise"])) + 0.5) * WINDOW
    for dtype, colour in zip(DTYPES, ("tab:gray", "tab:orange"), strict=True):
        for number, values in enumerate(found["curves"][dtype]):
            left.plot(steps, values, color=colour, lw=1, label=f"{dtype}, each seed" if number == 0 else None)
    left.set(xlabel="step", ylabel=f"loss, mean of {WINDOW} steps", yscale="log")
    left.legend()
    noise = np.array(found["noise"])
    right.fill_between(steps, -noise, noise, color="tab:gray", alpha=0.3, lw=0, label="float32, +-1 deviation of seeds")
    for number, (a, b) in enumerate(zip(found["curves"]["bfloat16"], found["curves"]["float32"], strict=True)):
        right.plot(
            steps,
            np.subtract(a, b),
            color="tab:orange",
            lw=1,
            label=None if number else "bfloat16 - float32, same seed",
        )
    right.plot(steps, found["mean_shift"], color="black", lw=1.5, label="its mean")
    right.set(xlabel="step", ylabel="difference of the loss")
    right.legend(fontsize="small")
    for panel in (left, right):
        panel.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, dpi=130)


if __name__ == "__main__":
    main()
