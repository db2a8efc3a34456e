"""`smnet bench folder`: photos of mixed sizes through `smnet enhance`, against computing them and nothing else.

And against as many photos of one size with the same number of pixels: what the many sizes cost.
"""

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
ALIKE = ((304, 400), (364, 520))  # from and to, with --alike; scaled to the megapixels
_MEAN = (304 + 364) / 2 * (400 + 520) / 2  # pixels


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", metavar="W", help="bundled name, converted directory or checkpoint")
    parser.add_argument("--pictures", type=int, default=50, metavar="N", help="how many (default: 50)")
    parser.add_argument("--sizes", type=int, default=10, metavar="N", help="different sizes (default: 10)")
    parser.add_argument("--megapixels", type=float, default=0.24, metavar="M", help="of the mean one (default: 0.24)")
    parser.add_argument("--alike", action="store_true", help="of one shape, sides from 400x304 to 520x364, say")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    if not 1 <= args.sizes <= args.pictures:
        raise InputError(f"--sizes {args.sizes}: must lie between 1 and the number of pictures, {args.pictures}")
    if not 0.001 <= args.megapixels <= 100:
        raise InputError(f"--megapixels {args.megapixels}: must lie between 0.001 and 100")
    with tempfile.TemporaryDirectory() as folder:
        found = measure(Path(folder), args.weights, args.pictures, args.sizes, args.megapixels, args.alike)
    result = {"machine": machine.describe(), "weights": args.weights, "sizes": args.sizes, **found}
    rows = {"first": "smnet enhance, compiling", "one_size": "the same, one size", "second": "again"}
    for name, about in (*rows.items(), ("network", "the network alone")):
        seconds, cpu = found[name]["seconds"], found[name]["cpu_seconds"]
        print(f"{about:26} {seconds:8.2f} s {cpu:8.2f} CPU s {found['megapixels'] / seconds:8.3f} megapixels/s")
    print(f"smnet enhance reaches {result['share']:.0%} of the network's rate ({result['share_first']:.0%} compiling)")
    print(f"{args.sizes} sizes take {result['sizes_cost']:.2f} times as long as one (CPU time, compiling)")
    if args.json:
        args.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def measure(
    folder: Path, weights: str | None, pictures: int, sizes: int, megapixels: float, alike: bool = False
) -> dict[str, Any]:
    """Seconds of two runs of the command into an empty compile cache, and of the network on the decoded pictures.

    `one_size` are those of the first run for pictures of one size; `sizes_cost` compares CPU time, which other programs
    on the machine disturb least.
    """
    from smnet_jax.enhancement import photo
    from smnet_jax.enhancement.plan import decide
    from smnet_jax.host import compile_cache
    from smnet_jax.images.pictures import read

    photos = write_photos(folder / "photos", pictures, sizes, megapixels, alike)
    total = sum(height * width for height, width in map(_size, photos))
    write_photos(folder / "one_size", pictures, 1, total / pictures / 1e6, alike)
    before = os.environ.get("JAX_COMPILATION_CACHE_DIR")
    try:
        clocks = {name: _timed(lambda: _command(folder, weights)) for name in ("first", "second")}
        clocks["one_size"] = _timed(lambda: _command(folder, weights, "one_size"))
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
    shares = {
        "share": clocks["network"]["seconds"] / clocks["second"]["seconds"],
        "share_first": clocks["network"]["seconds"] / clocks["first"]["seconds"],
        "sizes_cost": clocks["first"]["cpu_seconds"] / clocks["one_size"]["cpu_seconds"],
    }
    return {"pictures": pictures, "megapixels": total / 1e6, **clocks, **shares}


def write_photos(folder: Path, pictures: int, sizes: int, megapixels: float, alike: bool = False) -> list[Path]:
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
        if alike:
            share = place / (sizes - 1) if sizes > 1 else 0.5
            rows, columns = (round(a + (b - a) * share) for a, b in zip(*ALIKE, strict=True))
            area = megapixels * 1e6 * rows * columns / _MEAN
        height = max(8, round((area * rows / columns) ** 0.5))
        with Image.open(originals[number % len(originals)]) as image:
            photo = image.convert("RGB").resize((max(8, round(area / height)), height), Image.Resampling.BICUBIC)
        written.append(folder / f"{number:04}.jpg")
        photo.save(written[-1], quality=92)
    return written


def _size(photo: Path) -> tuple[int, int]:
    from PIL import Image

    with Image.open(photo) as image:
        return image.height, image.width


def _command(folder: Path, weights: str | None, photos: str = "photos") -> None:
    from contextlib import redirect_stdout
    from io import StringIO

    from smnet_jax import cli
    from smnet_jax.enhancement import photo

    photo.forget()
    arguments = ["enhance", str(folder / photos), "-o", str(folder / f"{photos}_out"), "--overwrite"]
    cache = ["--cache-dir", str(folder / f"{photos}_cache")]
    with redirect_stdout(StringIO()):
        code = cli.main([*arguments, *cache, *(["--weights", weights] if weights else [])])
    if code:
        raise RuntimeError("smnet enhance failed")


def _timed(work: Any) -> dict[str, float]:
    clock, cpu = time.perf_counter(), time.process_time()
    work()
    return {"seconds": time.perf_counter() - clock, "cpu_seconds": time.process_time() - cpu}
