"""`smnet bench photos`: quality by kind of photograph, for weights and for what a few lines of code would do."""

import argparse
import functools
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from smnet_jax.bench.colours import hue_and_chroma
from smnet_jax.bench.sharpness import fine_detail
from smnet_jax.errors import InputError

SUMMARY = "quality on each kind of photograph, beside simple baselines"

STOPS = (0, 1, 2, 3, 4, 5)
SIDE = 512  # pixels: longer sides are reduced
Picture = np.ndarray  # (H,W,3) float32 sRGB in [0, 1]
Enhance = Callable[[Picture], Picture]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--weights", nargs="*", default=["photo"], metavar="W", help="to score (default: photo)")
    parser.add_argument("--pairs", nargs="*", default=[], metavar="NAME=DIR", help="DIR holds low and high")
    parser.add_argument(
        "--good", type=Path, metavar="DIR", help="finished pictures: as they are, darkened, framed, gray"
    )
    parser.add_argument("--held-out", action="store_true", help="only the fifth that tools/train_photo.py leaves out")
    parser.add_argument("--baselines", action="store_true", help="also gain, gamma, illumination map, fusion")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="write a contact sheet: a row for each kind")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the numbers")


def run(args: argparse.Namespace) -> int:
    from smnet_jax.enhancement import photo

    kinds: dict[str, list[tuple[Picture, Picture]]] = {}
    for entry in args.pairs:
        name, _, folder = entry.partition("=")
        if not folder or not (Path(folder) / "low").is_dir():
            raise InputError(f"--pairs {entry}: must be NAME=DIR, where DIR holds low and high")
        kinds |= _pairs(name, Path(folder), args.held_out)
    if args.good is not None:
        if not args.good.is_dir():
            raise InputError(f"--good {args.good}: no such folder")
        kinds |= made(list(_good(args.good, args.held_out)))
    kinds |= drawn()
    methods: dict[str, Callable[[float], Enhance]] = {}
    for source in args.weights:
        model, variables = photo.open_weights(source)
        methods[source] = functools.partial(_by_weights, (model, variables))
    if args.baselines:
        methods |= {"gain": gain, "gamma": gamma, "illumination map": illumination_map, "fusion": exposure_fusion}
    table = {kind: {name: score(pairs, method) for name, method in methods.items()} for kind, pairs in kinds.items()}
    print(f"{'kind':16}{'n':>5}  " + "".join(f"{name:>56}" for name in methods))
    print(" " * 23 + f"{'PSNR, worst tenth, SSIM, clipped, hue, chroma, detail':>56}" * len(methods))
    for kind, row in table.items():
        cells = (
            f"{s['psnr']:.2f} {s['psnr_worst_tenth']:6.2f} {s['ssim']:6.3f} {s['newly_clipped']:6.2%}"
            f" {s['hue_error']:5.1f} {s['chroma_ratio']:5.2f} {s['fine_detail']:7.2f}"
            for s in row.values()
        )
        print(f"{kind:16}{len(kinds[kind]):5}  " + "".join(f"{cell:>56}" for cell in cells))
    if args.sheet:
        contact_sheet(kinds, methods).save(args.sheet)
    if args.json:
        finite = {
            kind: {name: {k: v if np.isfinite(v) else None for k, v in s.items()} for name, s in row.items()}
            for kind, row in table.items()
        }
        args.json.write_text(json.dumps(finite, indent=1) + "\n", encoding="utf-8")
    return 0


def score(pairs: list[tuple[Picture, Picture]], method: Callable[[float], Enhance]) -> dict[str, float]:
    """PSNR (dB) and SSIM of 8-bit results, means over pictures; the worst tenth's PSNR; the share newly clipped; hue's
    error (degrees) and the ratio of chroma, medians over coloured pixels, means over pictures; the share of the
    targets' finest detail, the mean over pictures.

    `method` is told the targets' mean level and gives the function to score.
    """
    from smnet_jax.metrics import ssim

    enhance = method(float(np.mean([high.mean() for _, high in pairs])))
    psnrs, ssims, clipped, levels, colours, details = [], [], [], [], [], []
    for low, high in pairs:
        out = np.rint(np.clip(enhance(low), 0, 1) * 255) / np.float32(255)
        target = np.rint(high * 255) / np.float32(255)
        psnrs.append(min(60.0, -10 * np.log10(max(1e-12, float(np.mean((out - target) ** 2))))))
        ssims.append(float(ssim(out[None], target[None])[0]))
        clipped.append(float(((out >= 1) & (low < 1)).any(-1).mean()))
        levels.append(255 * float(out.mean() - high.mean()))
        colours.append(hue_and_chroma(out, target))
        details.append(fine_detail(out, target))
    textured = [share for share in details if not np.isnan(share)]
    hues, chromas = np.transpose([pair for pair in colours if not np.isnan(pair[0])] or [(np.nan, np.nan)])
    return {
        "psnr": float(np.mean(psnrs)),
        "psnr_worst_tenth": float(np.percentile(psnrs, 10)),
        "ssim": float(np.mean(ssims)),
        "newly_clipped": float(np.mean(clipped)),
        "mean_difference": float(np.mean(levels)),
        "hue_error": float(hues.mean()),
        "chroma_ratio": float(chromas.mean()),
        "fine_detail": float(np.mean(textured)) if textured else float("nan"),
    }


def _by_weights(weights: Any, _: float) -> Enhance:
    from smnet_jax.enhancement import photo

    return lambda low: photo.enhance(low, weights)


def made(good: list[tuple[str, Picture]]) -> dict[str, list[tuple[Picture, Picture]]]:
    """Kinds made from finished pictures, which are the targets: by stops, unevenly dark, framed, gray."""
    from smnet_jax.data.exposures import darker, smooth_field

    rng = np.random.default_rng(0)
    eight = [np.rint(high * 255).astype(np.uint8) for _, high in good]
    back = lambda x: x.astype(np.float32) / 255  # noqa: E731
    kinds = {f"{s} stops": [(back(darker(x, float(s), rng)) if s else back(x), back(x)) for x in eight] for s in STOPS}
    uneven = []
    for picture in eight:
        field = _resized(smooth_field(rng, 64), picture.shape[1], picture.shape[0])
        uneven.append((back(darker(picture, 0.5 + 3 * field[..., None], rng)), back(picture)))
    kinds["uneven"] = uneven
    for name, level in (("white frame", 1.0), ("black frame", 0.0)):
        kinds[name] = [(_framed(low, level), _framed(high, level)) for low, high in kinds["2 stops"]]
    gray = lambda x: np.repeat(x.mean(2, keepdims=True), 3, 2)  # noqa: E731
    kinds["gray"] = [(gray(low), gray(high)) for low, high in kinds["2 stops"]]
    return kinds


def drawn() -> dict[str, list[tuple[Picture, Picture]]]:
    """What must stay as it is: flat graphics on white and starry skies, drawn from a fixed seed."""
    from smnet_jax.data.exposures import drawing

    rng = np.random.default_rng(1)
    pictures = [drawing(rng, 256).astype(np.float32) / 255 for _ in range(40)]
    dark = [x for x in pictures if x.mean() < 0.1]
    return {"graphics": [(x, x) for x in pictures if x.mean() >= 0.4], "night sky": [(x, x) for x in dark]}


def gain(mean: float) -> Enhance:
    """One factor on linear light for each picture, so that its mean level becomes `mean`; clipped."""
    from smnet_jax.images.srgb import from_linear, to_linear

    return lambda low: _fit(lambda k: np.clip(from_linear(np.minimum(to_linear(low) * 2.0**k, 1)), 0, 1), mean, -2, 10)


def gamma(mean: float) -> Enhance:
    """One exponent for each picture, so that its mean level becomes `mean`."""
    return lambda low: _fit(lambda k: np.maximum(low, 1e-6) ** 2.0**-k, mean, -2, 4)


def illumination_map(mean: float) -> Enhance:
    """The smoothed maximum of RGB to a power, as a divisor (after LIME, Guo et al., IEEE TIP 2017)."""

    def enhance(low: Picture) -> Picture:
        small = _resized(low.max(-1), 32, 32)
        light = np.clip(_resized(small, low.shape[1], low.shape[0]), 0.02, 1)[..., None]
        return _fit(lambda k: np.clip(low / light**k, 0, 1), mean, 0, 1.2)

    return enhance


def exposure_fusion(mean: float) -> Enhance:
    """The picture at 0 to 4 stops more light, fused (Mertens, Kautz and Van Reeth, Pacific Graphics 2007).

    Weights are contrast, saturation and well-exposedness; Laplacian pyramids join. It needs no mean.
    """
    from smnet_jax.images.srgb import from_linear, to_linear

    def enhance(low: Picture) -> Picture:
        frames = [np.clip(from_linear(np.minimum(to_linear(low) * 2.0**k, 1)), 0, 1) for k in range(5)]
        gray = bool(np.ptp(low, -1).max() < 2 / 255)  # saturation then says nothing, and is left out, as OpenCV does
        weights = [_fusion_weight(frame.astype(np.float32), gray) for frame in frames]
        total = np.sum(weights, 0)
        fused = [
            sum(w * detail for w, detail in zip(shares, details, strict=True))
            for shares, details in zip(
                zip(*(_pyramid(w / total, smooth=True) for w in weights), strict=True),
                zip(*(_pyramid(frame.astype(np.float32)) for frame in frames), strict=True),
                strict=True,
            )
        ]
        out = fused.pop()
        while fused:
            out = _each_channel(out, fused[-1].shape[1], fused[-1].shape[0]) + fused.pop()
        return np.clip(out, 0, 1).astype(np.float32)

    return enhance


def _fusion_weight(frame: Picture, gray: bool) -> np.ndarray:
    luma = frame.mean(-1)
    contrast = np.abs(
        4 * luma - np.roll(luma, 1, 0) - np.roll(luma, -1, 0) - np.roll(luma, 1, 1) - np.roll(luma, -1, 1)
    )
    well_exposed = np.exp(-((frame - 0.5) ** 2) / (2 * 0.2**2)).prod(-1)
    saturation = 1 if gray else frame.std(-1)
    return (contrast * saturation * well_exposed + 1e-12)[..., None]


def _pyramid(picture: np.ndarray, smooth: bool = False) -> list[np.ndarray]:
    """Levels of half the size each, the smallest last: of details, or smooth ones."""
    levels = []
    while min(picture.shape[:2]) >= 16:
        height, width = picture.shape[:2]
        small = _each_channel(picture, width // 2, height // 2)
        levels.append(picture if smooth else picture - _each_channel(small, width, height))
        picture = small
    return [*levels, picture]


def _each_channel(picture: np.ndarray, width: int, height: int) -> np.ndarray:
    return np.stack([_resized(picture[..., c], width, height) for c in range(picture.shape[-1])], -1)


def contact_sheet(
    kinds: dict[str, list[tuple[Picture, Picture]]], methods: dict[str, Callable[[float], Enhance]]
) -> Any:
    """A Pillow image: a row for each kind, its columns the input, each method's result and the target.

    Of each kind the picture is shown for which the first method's PSNR is the median: neither its best nor its worst.
    """
    from PIL import Image, ImageDraw

    side, margin = 240, 16
    columns = ["input", *methods, "target"]
    sheet = Image.new("RGB", (side * len(columns), (side + margin) * len(kinds)), "white")
    draw = ImageDraw.Draw(sheet)
    for row, (kind, pairs) in enumerate(kinds.items()):
        mean = float(np.mean([high.mean() for _, high in pairs]))
        first = next(iter(methods.values()))(mean)
        errors = [float(np.mean((first(low) - high) ** 2)) for low, high in pairs]
        low, high = pairs[int(np.argsort(errors)[len(errors) // 2])]
        shown = [low, *(method(mean)(low) for method in methods.values()), high]
        for column, (name, picture) in enumerate(zip(columns, shown, strict=True)):
            at = (column * side, row * (side + margin))
            draw.text((at[0] + 2, at[1] + 2), f"{kind}: {name}", "black")
            tile = Image.fromarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8))
            tile.thumbnail((side - 4, side - 2))
            sheet.paste(tile, (at[0], at[1] + margin))
    return sheet


def _fit(render: Callable[[float], Picture], mean: float, least: float, most: float) -> Picture:
    """The result whose mean is nearest to `mean`; it grows with the parameter."""
    for _ in range(20):
        middle = (least + most) / 2
        least, most = (middle, most) if render(middle).mean() < mean else (least, middle)
    return render(most).astype(np.float32)


def _pairs(name: str, folder: Path, held_out: bool) -> dict[str, list[tuple[Picture, Picture]]]:
    """By kind: several exposures of one target (low/NAME_1, NAME_2) become kinds NAME 1, NAME 2."""
    from smnet_jax.data.checking import pictures_in
    from smnet_jax.data.exposures import held_out as is_held_out

    highs = {path.stem: path for path in pictures_in(folder / "high")}
    kinds: dict[str, list[tuple[Picture, Picture]]] = {}
    for path in pictures_in(folder / "low"):
        stem, exposure = (path.stem, "") if path.stem in highs else path.stem.rpartition("_")[::2]
        if stem not in highs:
            raise InputError(f"{path}: has no target in {folder / 'high'}; every picture needs one of its name")
        if not held_out or is_held_out(name, highs[stem]):
            kinds.setdefault(f"{name} {exposure}".strip(), []).append((_decode(path), _decode(highs[stem])))
    return kinds


def _good(folder: Path, held_out: bool) -> Iterator[tuple[str, Picture]]:
    from smnet_jax.data.checking import pictures_in
    from smnet_jax.data.exposures import held_out as is_held_out

    paths: Iterable[Path] = pictures_in(folder)
    return ((path.stem, _decode(path)) for path in paths if not held_out or is_held_out("photos", path))


def _decode(path: Path) -> Picture:
    from PIL import Image

    with Image.open(path) as picture:
        rgb = picture.convert("RGB")
        rgb.thumbnail((SIDE, SIDE), Image.Resampling.BICUBIC)
        return np.asarray(rgb, np.float32) / 255


def _resized(values: np.ndarray, width: int, height: int) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR))


def _framed(picture: Picture, level: float) -> Picture:
    border = picture.shape[0] // 8
    return np.pad(picture, ((border, border), (border, border), (0, 0)), constant_values=level)
