"""Add the last look to weights that tools/train_photo.py made: what each pixel needs beside its place's curve.

python tools/train_photo_detail.py --weights DIR --scenes DIR --fivek DIR --lol DIR --photos DIR --out DIR

The folders are those of tools/train_photo.py, and so is what is held out. What --weights say of each picture is
computed once, and stays. A checkpoint is written each 500 steps beside the weights; the same command goes on from it.
"""

import argparse
import dataclasses
from pathlib import Path

import jax
import numpy as np
from train_photo import decode, read_pairs, resumed, trained

from smnet_jax.checkpoints import exposure as weights
from smnet_jax.data.checking import pictures_in
from smnet_jax.data.exposures import darker, held_out
from smnet_jax.data.windows import Told, draw
from smnet_jax.exposure import ExposureNet, adjust, tone
from smnet_jax.exposure.detail import Detail
from smnet_jax.exposure.picture import thumbnail
from smnet_jax.host import huge_pages
from smnet_jax.training import exposure as training
from smnet_jax.training import exposure_detail
from smnet_jax.training.exposure_detail import Windows

LONG_SIDE = 640  # pixels: what is kept of each picture
SHARES = {"scenes_darkest": 0.25, "scenes": 0.1, "fivek": 0.2, "lol": 0.12, "photos": 0.33}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("weights", "scenes", "fivek", "lol", "photos", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, default=2400)
    parser.add_argument("--batch", type=int, default=12)
    parser.add_argument("--size", type=int, default=112, help="pixels: the side of the windows")
    parser.add_argument("--rate", type=float, default=3e-3, help="of learning, at its highest")
    parser.add_argument("--features", type=int, default=8)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="hold nothing out: for the last run, when all is decided")
    args = parser.parse_args()

    model, variables = weights.load(args.weights)
    kinds = read(args, model, variables)
    print({kind: len(told) for kind, told in kinds.items()}, flush=True)
    detail, tx = Detail(args.features), training.optimizer(args.steps, args.rate)
    state = jax.jit(lambda: exposure_detail.start(detail, tx, args.seed))()
    checkpoint = args.out.with_name(args.out.name + ".checkpoint.npz")
    state = jax.device_put(resumed(state, checkpoint))
    step = jax.jit(
        lambda state, windows: exposure_detail.train_step(state, windows, model=detail, tx=tx), donate_argnums=0
    )

    def batch(number: int) -> Windows:
        rng = np.random.default_rng((args.seed, number))
        windows = [draw(rng, kinds, SHARES, args.size) for _ in range(args.batch)]
        return Windows(*(np.stack(values) for values in zip(*windows, strict=True)))

    state = trained(state, lambda state, windows: step(state, jax.device_put(windows)), batch, args.steps, checkpoint)
    whole = {**variables["params"], "detail": state.average}
    about = {"source": {"name": "tools/train_photo_detail.py"}, "training": {k: str(v) for k, v in vars(args).items()}}
    weights.save(args.out, dataclasses.replace(model, fine=args.features), jax.device_get(whole), about)


def read(args: argparse.Namespace, model: ExposureNet, variables: dict) -> dict[str, list[Told]]:
    """All pairs by kind with what the weights say of them; each finished photo darkened twice."""
    predict = jax.jit(lambda small: model.apply(variables, small[None], method="predict"))
    render = jax.jit(lambda small, found: tone.render(small[None], found)[0])

    def told(low: np.ndarray, high: np.ndarray) -> Told:
        seen, wanted = (np.clip(thumbnail(x / np.float32(255)), 0, 1) for x in (low, high))
        found = jax.device_get(predict(seen))
        return Told(low, high, *(x[0] for x in found), moved(np.asarray(render(seen, found)), wanted))

    kinds: dict[str, list[Told]] = {kind: [] for kind in SHARES}
    for kind in ("scenes", "fivek", "lol"):
        pairs = read_pairs(kind, getattr(args, kind), everything=args.all, long_side=LONG_SIDE)
        before = ""
        for name, low, high in pairs:
            first = kind == "scenes" and name != before  # the exposures of a scene come darkest first
            kinds["scenes_darkest" if first else kind].append(told(low, high))
            before = name
    rng = np.random.default_rng(args.seed)
    for path in pictures_in(args.photos):
        if args.all or not held_out("photos", path):
            high = decode(path, 512)
            kinds["photos"] += [told(darker(high, rng.uniform(*stops), rng), high) for stops in ((0.5, 3), (3, 6))]
    return kinds


def moved(out: np.ndarray, wanted: np.ndarray) -> float:
    """Binary logarithm, in sixteenths from -2 to 2, of the rate that takes `out` nearest to `wanted`."""
    steps = np.arange(-32, 33) / 16
    stops = 2.2  # `adjust` counts in stops, 2.2 to a doubled rate
    return float(min(steps, key=lambda x: np.square(adjust(out, stops * x) - wanted).mean()))


if __name__ == "__main__":
    huge_pages.ask()
    main()
