"""Train the default weights for photographs: ExposureNet, on pairs of several kinds and on pictures that need nothing.

All but the last look, which tools/train_photo_detail.py adds.

python tools/train_photo.py --scenes DIR --fivek DIR --lol DIR --photos DIR --out DIR [--steps 5000]

Every DIR but --photos and --out holds `low` and `high`; pictures pair by name, and for several under-exposures of one
target `low/NAME_1.jpg`, `low/NAME_2.jpg` pair with `high/NAME.jpg`. --photos holds ordinary, finished pictures. A fifth
of all targets is held out (`smnet bench photos --held-out` scores it). A checkpoint is written each 500
steps beside the weights; the same command goes on from it.
"""

import argparse
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jax
import numpy as np
from PIL import Image

from smnet_jax.checkpoints import exposure as weights
from smnet_jax.data.checking import pictures_in
from smnet_jax.data.exposures import Sources, held_out
from smnet_jax.exposure import ExposureNet, tone
from smnet_jax.host import huge_pages
from smnet_jax.host.atomic_files import replacing
from smnet_jax.training import exposure as training

LONG_SIDE = 400  # pixels: what is kept of each picture
WANTED = "0 to 1: all of the set get one curve, so that this is their mean; 0: as they are"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("scenes", "fivek", "lol", "photos", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True, metavar="DIR")
    parser.add_argument("--steps", type=int, default=5000)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--size", type=int, default=192, help="pixels: the side of the examples")
    parser.add_argument("--rate", type=float, default=2e-3, help="of learning, at its highest")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--all", action="store_true", help="hold nothing out: for the last run, when all is decided")
    parser.add_argument("--init", type=Path, metavar="DIR", help="start from these weights")
    parser.add_argument(
        "--share", type=float, default=1.0, help="of what was learned in the result; the rest is --init"
    )
    parser.add_argument("--scenes-mean", type=float, default=0.0, help=f"of the targets, {WANTED}")
    parser.add_argument("--fivek-mean", type=float, default=0.0, help=f"of the targets, {WANTED}")
    parser.add_argument("--devices", type=int, default=1, metavar="N", help="of the CPU, to share each step among")
    args = parser.parse_args()
    if args.share != 1 and not args.init:
        parser.error("--share: of what is learned beside --init, so it needs --init")
    if args.batch % args.devices:
        parser.error(f"--batch {args.batch}: must be a multiple of --devices {args.devices}")
    if args.devices > 1:
        jax.config.update("jax_num_cpu_devices", args.devices)

    pairs = {kind: read_pairs(kind, getattr(args, kind), everything=args.all) for kind in ("scenes", "fivek", "lol")}
    photos = [path for path in pictures_in(args.photos) if args.all or not held_out("photos", path)]
    targets = {name: high for kind in ("scenes", "fivek") for name, _, high in pairs[kind]}
    for kind, mean in (("scenes", args.scenes_mean), ("fivek", args.fivek_mean)):
        if mean:
            pairs[kind] = with_mean(pairs[kind], mean)
    sources = Sources(
        *([(low, high) for _, low, high in pairs[kind]] for kind in ("scenes", "fivek", "lol")),
        photos=[decode(path) for path in photos] + list(targets.values()),
    )
    print({kind: len(pairs[kind]) for kind in pairs} | {"photos": len(sources.photos)})

    model, tx = ExposureNet(fine=0), training.optimizer(args.steps, args.rate)
    params = None
    if args.init:
        params = {name: x for name, x in weights.load(args.init)[1]["params"].items() if name != "detail"}
        params = jax.device_get(params)  # the step takes devices' own
    state = training.start(model, tx, args.seed, params)
    checkpoint = args.out.with_name(args.out.name + ".checkpoint.npz")
    state = resumed(state, checkpoint)
    mesh = jax.make_mesh((jax.device_count(),), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
    shared, split = (jax.NamedSharding(mesh, jax.P(*axes)) for axes in ((), ("data",)))
    state = jax.device_put(state, shared)
    step = jax.jit(lambda state, pair: training.train_step(state, *pair, model=model, tx=tx), donate_argnums=0)

    def batch(number: int) -> tuple[np.ndarray, np.ndarray]:
        rng = np.random.default_rng((args.seed, number))
        examples = [sources.draw(rng, args.size) for _ in range(args.batch)]
        low, high = (np.stack(side).astype(np.float32) / 255 for side in zip(*examples, strict=True))
        return low, high

    state = trained(state, lambda state, pair: step(state, jax.device_put(pair, split)), batch, args.steps, checkpoint)
    about = {"source": {"name": "tools/train_photo.py"}, "training": {k: str(v) for k, v in vars(args).items()}}
    learned = state.average
    if args.share != 1:  # between two that are good at different things (Wortsman et al., WiSE-FT, CVPR 2022)
        learned = jax.tree.map(lambda a, b: a + args.share * (b - a), params, learned)
    weights.save(args.out, model, jax.device_get(learned), about)


def resumed(state: training.State, checkpoint: Path) -> training.State:
    """The state that `trained` left in the checkpoint, if there is one."""
    if not checkpoint.exists():
        return state
    with np.load(checkpoint) as saved:
        return jax.tree.unflatten(jax.tree.structure(state), [saved[name] for name in saved.files])


def trained(
    state: training.State,
    step: Callable[[training.State, Any], tuple[training.State, jax.Array]],
    batch: Callable[[int], Any],
    steps: int,
    checkpoint: Path,
) -> training.State:
    """The state after `steps` steps on `batch(number)`, made ahead in a thread; told each 100 steps, saved each 500."""
    started, losses, first = time.time(), [], int(state.step)
    with ThreadPoolExecutor(1) as pool:
        ahead = pool.submit(batch, first)
        for number in range(first, steps):
            examples = ahead.result()
            ahead = pool.submit(batch, number + 1)
            state, value = step(state, examples)
            losses.append(value)
            if (number + 1) % 100 == 0:
                mean = np.mean(jax.device_get(losses))
                print(f"step {number + 1}: loss {mean:.4f}, {time.time() - started:.0f} s", flush=True)
                losses = []
            if (number + 1) % 500 == 0 or number + 1 == steps:
                with replacing(checkpoint) as temporary, temporary.open("wb") as file:
                    np.savez(file, *jax.device_get(jax.tree.leaves(state)))
    return state


def read_pairs(kind: str, folder: Path, *, everything: bool) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """(target's name, low, high) of a folder, without what is held out."""
    highs = {path.stem: path for path in pictures_in(folder / "high")}
    pairs = []
    for path in pictures_in(folder / "low"):
        name = path.stem if path.stem in highs else path.stem.rpartition("_")[0]
        if everything or not held_out(kind, highs[name]):
            pairs.append((name, decode(path), decode(highs[name])))
    return pairs


def with_mean(pairs: list[tuple[str, np.ndarray, np.ndarray]], mean: float) -> list[tuple[str, np.ndarray, np.ndarray]]:
    """The pairs with targets whose mean is `mean`, 0 to 1, by one rate of `tone.curve` for all of them.

    How light a picture should be is taste. A set has its own, and a few hundred pictures of it theirs by chance.
    """
    highs = [high / np.float32(255) for _, _, high in pairs]

    def lit(high: np.ndarray, log2_rate: float) -> np.ndarray:
        level = np.maximum(high.max(-1, keepdims=True), tone.BLACK)
        return high * (1 - (1 - level) ** np.float32(2**log2_rate)) / level

    low, high = -2.0, 2.0
    for _ in range(16):
        middle = (low + high) / 2
        low, high = (middle, high) if np.mean([lit(x, middle).mean() for x in highs]) < mean else (low, middle)
    print(f"targets of {len(pairs)} pairs: log2 of the rate {low:+.3f}")
    eight = (np.rint(lit(x, low) * 255).astype(np.uint8) for x in highs)
    return [(name, dark, target) for (name, dark, _), target in zip(pairs, eight, strict=True)]


def decode(path: Path, long_side: int = LONG_SIDE) -> np.ndarray:
    picture = Image.open(path).convert("RGB")
    scale = long_side / max(picture.size)
    if scale < 1:
        size = (round(picture.width * scale), round(picture.height * scale))
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return np.asarray(picture)


if __name__ == "__main__":
    huge_pages.ask()
    main()
