"""`smnet bench folder`: photos of mixed sizes through `smnet enhance`, against computing them and nothing else."""

import argparse
import json
import os
import tempfile
import time
from pathlib import Path
from typing import Any

from smnet_jax.bench import machine
from smnet_jax.errors import InputError

SUMMARY = "photos of mixed sizes: smnet enhance against the network alone"

SHAPES = ((2, 3), (3, 2), (3, 4), (4, 3), (9, 16))  # height to width


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="W", help="bundled name, converted directory or checkpoint")
    parser.add_argument("--pictures", type=int, default=50, metavar="N", help="how many (default: 50)")
    parser.add_argument("--sizes", type=int, default=10, metavar="N", help="different sizes (default: 10)")
    parser.add_argument("--megapixels", type=float, default=0.24, metavar="M", help="of the mean one (default: 0.24)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    if not 1 <= args.sizes <= args.pictures:
        raise InputError(f"--sizes {args.sizes}: must lie between 1 and the number of pictures, {args.pictures}")
    if not 0.001 <= args.megapixels <= 100:
        raise InputError(f"--megapixels {args.megapixels}: must lie between 0.001 and 100")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.weights, args.pictures, args.sizes, args.megapixels)
    result = {"machine": machine.describe(), "weights": args.weights, "sizes": args.sizes, **found}
    for name, about in (("first", "smnet enhance, compiling"), ("second", "again"), ("network", "the network alone")):
        seconds, cpu = found[name]["seconds"], found[name]["cpu_seconds"]
        print(f"{about:26} {seconds:8.2f} s {cpu:8.2f} CPU s {found['megapixels'] / seconds:8.3f} megapixels/s")
    print(f"smnet enhance reaches {result['share']:.0%} of the network's rate ({result['share_first']:.0%} compiling)")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def measure(folder: Path, weights: str | None, pictures: int, sizes: int, megapixels: float) -> dict[str, Any]:
    """Seconds of two runs of the command into an empty compile cache, and of the network on the decoded pictures."""
    from smnet_jax.enhancement import photo
    from smnet_jax.enhancement.plan import decide
    from smnet_jax.host import compile_cache
    from smnet_jax.images.pictures import read

    photos = write_photos(folder / "photos", pictures, sizes, megapixels)
    before = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    try:
        clocks = {name: _timed(lambda: _command(folder, weights)) for name in ("first", "second")}
    finally:
        compile_cache.use(before)
    model, variables = photo.open_weights(weights)
    decoded = [read(photo) for photo in photos]
    jobs = [(picture, decide(model, picture.rgb.shape)) for picture in decoded]
    for job in jobs:
        photo.prepare(model, variables, *job)

    def network() -> None:
        for job in jobs:
            photo.enhance_picture(model, variables, *job)

    clocks["network"] = _timed(network)
    total = sum(picture.rgb.shape[0] * picture.rgb.shape[1] for picture in decoded) / 1e6
    shares = {
        "share": clocks["network"]["seconds"] / clocks["second"]["seconds"],
        "share_first": clocks["network"]["seconds"] / clocks["first"]["seconds"],
    }
    return {"pictures": pictures, "megapixels": total, **clocks, **shares}


def write_photos(folder: Path, pictures: int, sizes: int, megapixels: float) -> list[Path]:
    """JPEGs cut and scaled from the photos that come with smnet, `sizes` different sizes in turn."""
    from PIL import Image

    from smnet_jax.cli.enhance import samples

    folder.mkdir()
    originals = sorted(path for path in samples().iterdir() if path.suffix in (".jpg", ".png"))
    written = []
    for number in range(pictures):
        place = number % sizes
        area = megapixels * 1e6 * (0.5 + (place + 0.5) / sizes)  # half to one and a half of the mean
        rows, columns = SHAPES[place % len(SHAPES)]
        height = max(8, round((area * rows / columns) ** 0.5))
        with Image.open(originals[number % len(originals)]) as image:
            photo = image.convert("RGB").resize((max(8, round(area / height)), height), Image.Resampling.BICUBIC)
        written.append(folder / f"{number:04}.jpg")
        photo.save(written[-1], quality=92)
    return written


def _command(folder: Path, weights: str | None) -> None:
    from contextlib import redirect_stdout
    from io import StringIO

    from smnet_jax import cli
    from smnet_jax.enhancement import photo

    photo.forget()
    arguments = ["enhance", str(folder / "photos"), "-o", str(folder / "out"), "--overwrite"]
    cache = ["--cache-dir", str(folder / "cache")]
    with redirect_stdout(StringIO()):
        code = cli.main([*arguments, *cache, *(["--weights", weights] if weights else [])])
    if code:
        raise RuntimeError("smnet enhance failed")


def _timed(work: Any) -> dict[str, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cpu}
