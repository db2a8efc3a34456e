"""Add the last look to weights that tools/train_photo.py made: what each pixel needs beside its place's curve.

python tools/train_photo_detail.py --weights DIR --photos DIR --out DIR

--photos holds ordinary, finished pictures, as for tools/train_photo.py; a fifth is held out. They are darkened, so each
pixel's target is known: from pairs that were photographed one after the other the look learns to blur
(docs/photo-card.md). Drawn shapes without noise teach that beside an edge nothing is to be done. What --weights say of
each picture is computed once, and stays. A checkpoint is written each 500 steps beside the weights; the same command
goes on from it.
"""

import argparse
import dataclasses
from pathlib import Path

import jax
import numpy as np
from train_photo import decode, resumed, trained

from smnet_jax.checkpoints import exposure as weights
from smnet_jax.data.checking import pictures_in
from smnet_jax.data.exposures import darker, held_out
from smnet_jax.data.windows import Told, draw, shapes
from smnet_jax.exposure import ExposureNet, adjust, tone
from smnet_jax.exposure.detail import Detail
from smnet_jax.exposure.picture import thumbnail
from smnet_jax.host import huge_pages
from smnet_jax.training import exposure as training
from smnet_jax.training import exposure_detail
from smnet_jax.training.exposure_detail import Windows

LONG_SIDE = 512  # pixels: what is kept of each picture
SHAPES = 80  # drawings
STOPS = ((0.5, 3), (3, 6))  # from and to: each picture is darkened once for each


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("weights", "photos", "out"):
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
    told = read(args, model, variables)
    print(f"{len(told)} pictures", flush=True)
    detail, tx = Detail(args.features), training.optimizer(args.steps, args.rate)
    state = jax.jit(lambda: exposure_detail.start(detail, tx, args.seed))()
    checkpoint = args.out.with_name(args.out.name + ".checkpoint.npz")
    state = jax.device_put(resumed(state, checkpoint))
    step = jax.jit(
        lambda state, windows: exposure_detail.train_step(state, windows, model=detail, tx=tx), donate_argnums=0
    )

    def batch(number: int) -> Windows:
        rng = np.random.default_rng((args.seed, number))
        windows = [draw(rng, told, args.size) for _ in range(args.batch)]
        return Windows(*(np.stack(values) for values in zip(*windows, strict=True)))

    state = trained(state, lambda state, windows: step(state, jax.device_put(windows)), batch, args.steps, checkpoint)
    whole = {**variables["params"], "detail": state.average}
    about = {"source": {"name": "tools/train_photo_detail.py"}, "training": {k: str(v) for k, v in vars(args).items()}}
    weights.save(args.out, dataclasses.replace(model, fine=args.features), jax.device_get(whole), about)


def read(args: argparse.Namespace, model: ExposureNet, variables: dict) -> list[Told]:
    """The finished pictures, darkened, and drawings of shapes, with what the weights say of them."""
    predict = jax.jit(lambda variables, small: model.apply(variables, small[None], method="predict"))
    render = jax.jit(lambda small, found: tone.render(small[None], found)[0])
    alone = jax.jit(lambda low, found: tone.each_alone(low[None], found)[0])

    def told(low: np.ndarray, high: np.ndarray) -> Told:
        seen, wanted = (np.clip(thumbnail(x / np.float32(255)), 0, 1) for x in (low, high))
        found = jax.device_get(predict(variables, seen))
        return Told(low, high, *(x[0] for x in found), moved(np.asarray(render(seen, found)), wanted))

    rng = np.random.default_rng(args.seed)
    paths = [path for path in pictures_in(args.photos) if args.all or not held_out("photos", path)]
    highs = (decode(path, LONG_SIDE) for path in paths)
    dark = [told(darker(high, rng.uniform(*stops), rng), high) for high in highs for stops in STOPS]

    def drawn(low: np.ndarray) -> Told:
        whole = low / np.float32(255)
        found = predict(variables, np.clip(thumbnail(whole), 0, 1))
        wanted = np.rint(255 * np.asarray(alone(whole, found))).astype(np.uint8)
        return Told(low, wanted, *(x[0] for x in jax.device_get(found)), moved=0.0, drawn=True)

    return dark + [drawn(shapes(rng, 400)) for _ in range(SHAPES)]


def moved(out: np.ndarray, wanted: np.ndarray) -> float:
    """Binary logarithm, in sixteenths from -2 to 2, of the rate that takes `out` nearest to `wanted`."""
    steps = np.arange(-32, 33) / 16
    stops = 2.2  # `adjust` counts in stops, 2.2 to a doubled rate
    return float(min(steps, key=lambda x: np.square(adjust(out, stops * x) - wanted).mean()))


if __name__ == "__main__":
    huge_pages.ask()
    main()
